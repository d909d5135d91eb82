"""What a run would do, without running: pre-flight and the exact command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Unpack

from napari_tool_runner.data_classes import dataclass
from napari_tool_runner.exchange import LayerSnapshot, plan
from napari_tool_runner.jobs.manager import prepare
from napari_tool_runner.jobs.request import each_value
from napari_tool_runner.jobs.typed_json import to_json
from napari_tool_runner.plugins import plan_run
from napari_tool_runner.quoting import comment, shell_line, shell_word

if TYPE_CHECKING:
    from napari_tool_runner.jobs.job import Job
    from napari_tool_runner.jobs.request import RunOptions, ToolLike
    from napari_tool_runner.plugins import Plan
    from napari_tool_runner.tools.dialect import RenderedCommand
    from napari_tool_runner.tools.model import DataParameter

__all__ = ["Preview", "dry_run"]


@dataclass(frozen=True, slots=True)
class Preview:
    """What would be executed, where, and what would be fetched first."""

    runner: str
    reason: str
    plan: Plan
    rendered: RenderedCommand

    def as_text(self) -> str:
        """Return it for a terminal."""
        told = [f"runs with {self.runner}, {self.reason}", *_plan_lines(self.plan)]
        lines = [comment(line) for line in told]
        lines += [comment(f"note: {note}") for note in self.rendered.notes]
        environment = self.rendered.environment.items()
        lines += [f"export {shell_word(k)}={shell_word(v)}" for k, v in environment]
        lines.append(shell_line(self.rendered.argv))
        for path, text in self.rendered.files.items():
            lines += ["", comment(f"file {path}"), text.rstrip("\n")]
        for planned in self.rendered.outputs:
            made = f"output {planned.output.name} ({planned.format}): {planned.path}"
            lines += ["", comment(made)]
        return "\n".join(lines)

    def as_dict(self) -> dict[str, object]:
        """Return it in JSON types."""
        rendered = self.rendered
        return {
            "runner": self.runner,
            "reason": self.reason,
            "plan": to_json(self.plan),
            "argv": list(rendered.argv),
            "script": rendered.script,
            "environment": dict(rendered.environment),
            "files": {str(path): text for path, text in rendered.files.items()},
            "outputs": {
                p.output.name: {"path": str(p.path), "format": p.format} for p in rendered.outputs
            },
            "notes": list(rendered.notes),
        }


def dry_run(
    tool: ToolLike, values: Mapping[str, object], **options: Unpack[RunOptions]
) -> Preview:
    """Render the command of a call and plan it; nothing is written or started.

    Takes and raises what `prepare` does, and TemplateError.
    """
    job = prepare(tool, values, **options)
    job.run.settle()
    request = job.request
    plan = plan_run(job.runner, job.tool, request.permit, request.config)
    return Preview(job.run.choice.name, job.run.choice.reason, plan, _render(job))


def _plan_lines(plan: Plan) -> list[str]:
    """Return a plan in sentences."""
    lines = [f"in the way: {problem}" for problem in plan.problems]
    for fetch in plan.fetches:
        size = "size unknown" if fetch.size is None else f"{fetch.size / 1e6:.0f} MB"
        lines.append(f"will fetch {fetch.what} ({size})")
    return lines + list(plan.remarks)


def _render(job: Job) -> RenderedCommand:
    paths = job.workspace.paths

    def planned(name: str, parameter: DataParameter, value: object) -> object:
        if isinstance(value, LayerSnapshot):
            return plan(value, parameter, job.tool.formats).file(paths.inputs)
        return value

    return job.run.render(each_value(job.tool, job.values, planned), paths)
