"""A new tool: a folder with descriptor, script and test, blank or from a script's options."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.data_classes import dataclass, replace
from napari_tool_runner.errors import (
    DescriptorError,
    JobCancelledError,
    ToolFailedError,
    ToolRunnerError,
)
from napari_tool_runner.jobs.api import run_job
from napari_tool_runner.jobs.drafts.beside import SCRIPT_BYTES, copy_beside
from napari_tool_runner.jobs.drafts.new_test import DraftedTest, TestFile
from napari_tool_runner.jobs.drafts.samples import sample_values
from napari_tool_runner.jobs.manager import prepare
from napari_tool_runner.jobs.past.reclaim import delete_job
from napari_tool_runner.names import safe_name
from napari_tool_runner.storage import read_json, read_limited
from napari_tool_runner.tools import drafts
from napari_tool_runner.tools.drafts.guessing import Guess, sketches_of
from napari_tool_runner.tools.drafts.sketch import Sketch, SketchedArgument
from napari_tool_runner.tools.isolation.looking import read_tool
from napari_tool_runner.tools.python_needs import needs_of_script
from napari_tool_runner.tools.reader import dialects

if TYPE_CHECKING:
    from napari_tool_runner.config import Config
    from napari_tool_runner.jobs.job import Job
    from napari_tool_runner.jobs.outputs import JobResult
    from napari_tool_runner.tools.model import Tool

__all__ = ["RUNS_IT", "Making", "NewTools", "Origin", "new_tool"]

RUNS_IT = (
    "To learn its options the script is started once, without arguments, where its tool would "
    "run, and then its tool on a small sample: what it does then is done. Start only what you "
    "trust."
)
"""What to show before a script is asked for its options."""
_SCRIPTS = Path(drafts.__file__).parent / "scripts"
_PATIENCE = 60.0
_TOLD_BYTES = 2**22
_MOST_TRIED = 20


@dataclass(frozen=True)
class NewTools:
    """What was made: descriptors, and what of the script was guessed or left out."""

    paths: tuple[Path, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Origin:
    """What a new tool is made of.

    Parameters
    ----------
    script : Path or None
        A Python program with a parser of argparse, click or typer. It is copied, with the modules
        and packages beside it that it imports, and **run**, so ask first (`RUNS_IT`). None: a
        small program is written that is to be changed.
    conda, image : str
        The packages, or the container image, that it needs; else napari's own Python runs it.
    """

    script: Path | None = None
    conda: str = ""
    image: str = ""


class Making:
    """By which the making of a tool is given up, in any thread."""

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._job: Job | None = None

    def stop(self) -> None:
        """End the script that runs; nothing is made."""
        self._stopped.set()
        if self._job is not None:
            self._job.cancel()

    def goes_on(self, job: Job | None = None) -> None:
        """Raise JobCancelledError after a `stop`; `job`: what begins now, and would be ended."""
        self._job = job
        if self._stopped.is_set():
            raise JobCancelledError("The new tool was given up.")


@dataclass(frozen=True)
class _Runs:
    """How jobs are run for a new tool."""

    config: Config | None
    timeout: float
    making: Making

    def start(self, tool: Tool, values: Mapping[str, object]) -> tuple[Job, JobResult]:
        job = prepare(tool, values, config=self.config, timeout=self.timeout, cache=False)
        self.making.goes_on(job)
        return job, run_job(job)


def new_tool(
    folder: Path,
    origin: Origin,
    *,
    title: str = "",
    config: Config | None = None,
    timeout: float = _PATIENCE,
    making: Making | None = None,
) -> NewTools:
    """Make the folder of a new tool, which must not be there yet.

    Parameters
    ----------
    title : str
        What the tool is called; empty: as the folder.
    timeout : float
        Seconds that a script may take to tell its options, and its tool for the sample.
    making : Making, optional
        By which it can be given up.

    Raises
    ------
    ToolRunnerError
        The folder is there, the script cannot be asked, or it was given up; nothing is left.
    """
    folder = folder.absolute()
    if folder.exists():
        raise DescriptorError(f"{folder} is there already.", hint="Choose another name.")
    try:
        # programs are not shown what is hidden, and nobody should meet what is half made
        with tempfile.TemporaryDirectory(prefix="new-tool-") as place:
            draft = Path(place) / safe_name(folder.name)
            draft.mkdir()
            runs = _Runs(config, timeout, making or Making())
            made, notes = _fill(draft, title or folder.name, origin, runs)
            runs.making.goes_on()
            _put(draft, folder)
    except OSError as error:
        raise DescriptorError(f"{folder} cannot be made: {error}.") from error
    return NewTools(tuple(folder / name for name in made), tuple(dict.fromkeys(notes)))


def _put(draft: Path, folder: Path) -> None:
    """Let a finished folder appear in its place as a whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
    try:
        shutil.copytree(draft, beside / folder.name)
        (beside / folder.name).rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _fill(draft: Path, title: str, origin: Origin, runs: _Runs) -> tuple[list[str], list[str]]:
    """Write everything; return the names of the descriptors, and the notes."""
    name = draft.name
    source = origin.script or _SCRIPTS / "blank.py"
    program = draft / f"{safe_name(origin.script.stem if origin.script else name)}.py"
    try:
        program.write_bytes(read_limited(source, SCRIPT_BYTES))
    except ValueError as error:
        raise DescriptorError(f"{source} is no script: {error}.") from error
    notes = [*copy_beside(source, program)] if origin.script else []
    try:
        guess = _asked(program, title, origin, runs)
    except DescriptorError as error:  # what it missed may have been left out
        raise DescriptorError(" ".join((error.message, *notes)), hint=error.hint) from error
    notes += guess.notes if origin.script else ()
    write, suffix = _drafter()
    made: list[str] = []
    for sketch in guess.sketches:
        path = draft / f"{sketch.id if len(guess.sketches) > 1 else name}{suffix}"
        sketch = replace(sketch, conda=origin.conda, image=origin.image)
        path.write_text(write(sketch), encoding="utf-8")
        if len(made) < _MOST_TRIED:
            notes += _tested(path, runs)
        else:
            notes.append(
                f"Only the first {_MOST_TRIED} tools were tried; the others have no test."
            )
        made.append(path.name)
    if not any(read_tool(draft / name).tests for name in made):
        shutil.rmtree(draft / "test-data", ignore_errors=True)
    return made, notes


def _drafter() -> tuple[Callable[[Sketch], str], str]:
    """Return what writes descriptors, and how their names end: of the first language that can."""
    for dialect in dialects.values():
        with suppress(DescriptorError):
            dialect.draft(Sketch("probe", "probe", "probe.py"))
            return dialect.draft, dialect.patterns[0].removeprefix("*")
    raise DescriptorError("No language here writes descriptors.")


def _asked(program: Path, name: str, origin: Origin, runs: _Runs) -> Guess:
    """Run a script, as a tool of its own, until it would read its options."""
    write, suffix = _drafter()
    out = SketchedArgument("options", "output", format="json")
    with tempfile.TemporaryDirectory(prefix="asked-", dir=program.parent.parent) as place:
        folder = Path(place)
        shutil.copytree(program.parent, folder, dirs_exist_ok=True)
        probe = folder / "tool_options_probe.py"
        shutil.copyfile(_SCRIPTS / "probe.py", probe)
        words = (f"$__tool_directory__{program.name}",)
        title = f"Options of {program.name}"
        needs = Sketch(
            "options", title, probe.name, "", "", words, (out,), (), origin.conda, origin.image
        )
        descriptor = folder / f"options{suffix}"
        descriptor.write_text(write(needs), encoding="utf-8")
        tool = read_tool(descriptor)
        own = needs_of_script(program.name, folder)
        if own is not None and not tool.requirements:
            tool = replace(tool, requirements=(own.requirement,))
        try:
            job, result = runs.start(tool, {})
            told = read_json(result.outputs["options"].path, limit=_TOLD_BYTES, follow=False)
        except ToolFailedError as error:
            last = [line for line in error.log_tail if line.strip()][-3:]
            raise DescriptorError(
                f"{program.name} could not be asked for its options: {' '.join(last) or error}",
                hint="Name the packages that it needs, or make a blank tool.",
            ) from error
        except (OSError, KeyError, ValueError) as error:
            raise DescriptorError(
                f"{program.name} told nothing of its options: {error}."
            ) from error
        delete_job(job.recorded())
    beside = (origin.script or program).absolute().parent
    return sketches_of(told, name, beside / program.name)


def _tested(path: Path, runs: _Runs) -> Iterator[str]:
    """Give a new tool a test: what it makes of a small sample. Yield why it has none."""
    tool = read_tool(path)
    for note in tool.notes:
        yield f"{path.name}: {note.where}: {note.what}"
    try:
        values, files = sample_values(tool, path.parent / "test-data")
        job, result = runs.start(tool, {**values, **files})
        outputs = [
            TestFile(name, output.path, output.format, result.workspace)
            for name, output in result.outputs.items()
        ]
        inputs = [TestFile(name, file) for name, file in files.items()]
        DraftedTest(tool, values, inputs, outputs).write(runs.config, runs.timeout)
        delete_job(job.recorded())
    except JobCancelledError:
        raise
    except ToolRunnerError as error:
        yield (
            f"{path.name} has no test yet: {error.message} Run it on data of yours, and make a "
            "test of that run."
        )
