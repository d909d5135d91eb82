"""What layers of results are called, and what they remember."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_tool_runner.jobs.job import Job
    from napari_tool_runner.tools.model import DataOutput

__all__ = ["layer_name", "record_summary"]

_GENERIC = frozenset(
    [
        "o",
        "out",
        "output",
        "result",
        "image",
        "img",
        "outputimage",
        "ouputimage",
        "outputfile",
        "outputdata",
    ]
)


def layer_name(job: Job, output: DataOutput, element: str = "") -> str:
    """Return ``<first input> · <what it is>``, or the tool's name without inputs.

    A label that says nothing (“Output image”) gives way to the tool's name; a label
    that is still a template (``${tool.name} on ${on_string}``) to the output's name.
    """
    label = output.label if output.label and "$" not in output.label else output.name
    plain = "".join(c for c in label.lower() if c.isalnum())
    if plain in _GENERIC:
        label = job.tool.name
    first = job.inputs[0].file.name if job.inputs else ""
    parts = [first, label, element]
    return " · ".join(part for part in parts if part)


def record_summary(job: Job, output: str, element: str = "") -> dict[str, object]:
    """Return what a layer carries in its metadata: JSON types, and where the rest is."""
    from napari_tool_runner.jobs.record import build_record

    record = build_record(job)
    kept = ("version", "id", "tool", "runner", "parameters", "inputs", "command")
    summary = {key: record[key] for key in kept}
    return {
        **summary,
        "output": output,
        "element": element,
        "record": str(job.workspace.record_path),
    }
