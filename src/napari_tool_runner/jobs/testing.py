"""Runs the ``<tests>`` of descriptors on any service."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, Unpack

from napari_tool_runner.data_classes import asdict, dataclass
from napari_tool_runner.errors import (
    JobCancelledError,
    ParameterError,
    RunnerUnavailableError,
    TemplateError,
    ToolFailedError,
    ToolRunnerError,
)
from napari_tool_runner.jobs.api import run_job
from napari_tool_runner.jobs.manager import prepare
from napari_tool_runner.jobs.workspace import PROGRAM_VERSION
from napari_tool_runner.tools import dialect_of
from napari_tool_runner.tools.dialect import CollectedFile, CollectedOutput, TestOutcome
from napari_tool_runner.tools.isolation.rendering import verify
from napari_tool_runner.tools.model import CollectionOutput

if TYPE_CHECKING:
    from napari_tool_runner.jobs.job import Job
    from napari_tool_runner.jobs.request import RunOptions
    from napari_tool_runner.tools.model import Tool, ToolTest

__all__ = ["TestReport", "run_test", "run_tests"]


@dataclass(frozen=True, slots=True)
class TestReport:
    """The outcome of one test of one tool. `message` is empty when it passed."""

    __test__ = False
    tool: str
    test: int
    status: Literal["pass", "fail", "error", "skip"]
    seconds: float
    message: str = ""

    def as_dict(self) -> dict[str, object]:
        """Return the JSON object of the command line."""
        return {**asdict(self), "seconds": round(self.seconds, 3)}


def run_tests(tool: Tool, **options: Unpack[RunOptions]) -> Iterator[TestReport]:
    """Run every test of `tool`, one after the other.

    A tool without tests yields nothing; one that cannot run yields errors.
    """
    for test in tool.tests:
        yield run_test(tool, test, **options)


def run_test(tool: Tool, test: ToolTest, **options: Unpack[RunOptions]) -> TestReport:
    """Run one test.

    ``fail``: it ran and the outcome differs. ``error``: it could not be run (values,
    environment). ``skip``: it needs what is not here, as its message says.
    """
    begun = time.monotonic()

    def report(status: Literal["pass", "fail", "error", "skip"], message: str = "") -> TestReport:
        return TestReport(tool.id, test.index, status, time.monotonic() - begun, message)

    skip = test.extra.get("skip")
    if skip:
        return report("skip", str(skip))
    # a test compares files; an empty one may be what it expects
    options |= {"cache": False}  # what is tested is whether it runs
    options |= {"must_load": False, "must_write": dialect_of(tool).must_write}
    try:
        job = prepare(tool, test.values, **options)
    except ParameterError as error:
        # a test may expect that its values are refused
        return report("pass") if test.expect_failure else report("error", str(error))
    except ToolRunnerError as error:
        return report("error", str(error))
    failed = False
    try:
        run_job(job)
    except ToolFailedError as error:
        if isinstance(error.__cause__, RunnerUnavailableError):
            return report("skip", str(error))
        if job.run.exit_code is None:
            # it never started: a test may expect just that of a template or a validator
            refused = isinstance(error.__cause__, TemplateError | ParameterError)
            expected = test.expect_failure and refused
            return report("pass") if expected else report("error", str(error))
        failed = True
        if not test.expect_failure:
            tail = "\n".join(error.log_tail)
            return report("fail", f"{error}\n{tail}".strip())
    except JobCancelledError as error:
        return report("error", str(error))
    if test.expect_failure and not failed:
        return report("fail", "The test expects a failure, but the tool ended well.")
    try:
        problems = verify(tool, test, _outcome(job, failed), job.workspace.paths)
    except ToolRunnerError as error:
        return report("error", str(error))
    return report("fail", "\n".join(problems)) if problems else report("pass")


def _outcome(job: Job, failed: bool) -> TestOutcome:
    outputs = {
        name: CollectedOutput(
            output.output,
            tuple(
                CollectedFile(entry.path, entry.format, element)
                for element, entry in output.files().items()
            ),
        )
        for name, output in job.run.outputs.items()
    }
    rendered = job.run.rendered
    for planned in rendered.outputs if rendered and not failed else ():
        # a collection in which nothing was found is an output all the same
        if planned.output.name not in outputs and isinstance(planned.output, CollectionOutput):
            outputs[planned.output.name] = CollectedOutput(planned.output, ())
    if rendered and not job.request.must_write:
        # all that were planned, in their order: a test may name an output by its place
        outputs = {
            planned.output.name: outputs.get(
                planned.output.name, CollectedOutput(planned.output, ())
            )
            for planned in rendered.outputs
        }
    command = (rendered.script or " ".join(rendered.argv)) if rendered else ""
    return TestOutcome(
        exit_code=job.run.exit_code,
        stdout=job.log.text("stdout"),
        stderr=job.log.text("stderr"),
        outputs=outputs,
        command=command,
        failed=failed,
        version=str(job.run.context.provenance.get(PROGRAM_VERSION, "")),
    )
