"""What layers of results are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from napari_tool_runner.jobs.record import METADATA_KEY

if TYPE_CHECKING:
    from napari_tool_runner.exchange.model import LayerSnapshot
    from napari_tool_runner.jobs.job import Job, JobInput
    from napari_tool_runner.tools.model import DataOutput

__all__ = ["layer_name"]

SEPARATOR = " · "
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

    Of an input that is itself a result only the beginning counts: names do not pile up.

    A label that says nothing (“Output image”) gives way to the tool's name; a label
    that is still a template (``${tool.name} on ${on_string}``) to the output's name.
    """
    label = output.label if output.label and "$" not in output.label else output.name
    plain = "".join(c for c in label.lower() if c.isalnum())
    if plain in _GENERIC:
        label = job.tool.name
    first = _origin(job.inputs[0]) if job.inputs else ""
    parts = [first, label, element]
    return SEPARATOR.join(part for part in parts if part)


def _origin(entry: JobInput) -> str:
    name = entry.file.name
    made_by_us = entry.snapshot is not None and is_result(entry.snapshot)
    return name.split(SEPARATOR)[0] if made_by_us else name


def is_result(snap: LayerSnapshot) -> bool:
    """Whether a layer is a result of this plugin (its metadata says so)."""
    metadata = snap.attributes.get("metadata")
    return isinstance(metadata, Mapping) and METADATA_KEY in metadata
