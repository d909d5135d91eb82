"""The results of a past job as they were: layers to be, from its record and its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from napari_tool_runner.errors import (
    DescriptorError,
    ExchangeError,
    UnknownToolError,
    WorkspaceError,
)
from napari_tool_runner.exchange import load, snapshot_from_record
from napari_tool_runner.jobs.model import JobOutput, JobResult
from napari_tool_runner.jobs.past.repeat import recorded_tool
from napari_tool_runner.tools.dialect import CollectedFile
from napari_tool_runner.tools.model import DataOutput, LayerKind, Tool

if TYPE_CHECKING:
    from napari_tool_runner.config import Config
    from napari_tool_runner.exchange.model import LayerData, LayerSnapshot
    from napari_tool_runner.jobs.past.history import HistoryEntry

__all__ = ["recorded_outputs", "recorded_result"]

_SUMMARY = ("version", "id", "tool", "runner", "parameters", "inputs", "command")
_NO_LAYER = ("file", "collection", "any")


def recorded_outputs(entry: HistoryEntry, config: Config) -> list[LayerData]:
    """Return the layers (and tables) that `entry` made, from its files.

    Raises
    ------
    WorkspaceError
        Its files are gone, or it made none.
    """
    return recorded_result(entry, config)[0].layers()


def recorded_result(entry: HistoryEntry, config: Config) -> tuple[JobResult, list[str]]:
    """Return the result of a past job, as its own `Job.result` did.

    The tool need not exist any more: the record knows format, kind and name of every
    output and where the inputs lay.

    Returns
    -------
    result : JobResult
    remarks : list of str
        A sentence for every output that is gone or cannot be read.

    Raises
    ------
    WorkspaceError
        Nothing is left, or the job made nothing.
    """
    tool = _tool(entry, config)
    inputs = _inputs(entry)
    told_outputs = cast("list[dict[str, object]]", entry.record.get("outputs", []))
    if not told_outputs:
        raise WorkspaceError(
            f"The job of “{entry.tool_name}” made no results (it is {entry.state}).",
            hint="Its log says what happened.",
        )
    remarks: list[str] = []
    outputs: dict[str, JobOutput] = {}
    for told in told_outputs:
        name, element = str(told["name"]), str(told.get("element") or "")
        made = _output(entry, told, tool, inputs, remarks)
        if made is None:
            continue
        if not element:
            outputs[name] = made
            continue
        whole = outputs.get(name)
        elements = {**(whole.elements if whole else {}), element: made}
        outputs[name] = replace(
            made,
            name=name,
            path=made.path.parent,
            loaded=None,
            elements=elements,
            metadata=_summary(entry, name),
        )
    if not outputs:
        raise WorkspaceError(
            f"The results of this job of “{entry.tool_name}” are gone: {remarks[0]}",
            hint="Run it again to make them anew.",
        )
    log = entry.folder / "log.txt"
    return JobResult(outputs, log, entry.folder, entry.id, lambda: dict(entry.record)), remarks


def _output(
    entry: HistoryEntry,
    told: Mapping[str, object],
    tool: Tool,
    inputs: Mapping[str, LayerSnapshot],
    remarks: list[str],
) -> JobOutput | None:
    name, element = str(told["name"]), str(told.get("element") or "")
    path = entry.folder / str(told["path"])
    layer_name = str(told.get("layer_name") or name)
    if not path.exists():
        remarks.append(f"“{layer_name}” is no longer there ({path}).")
        return None
    form, layer_type = str(told.get("format") or ""), str(told.get("layer_type") or "file")
    kind = None if layer_type in _NO_LAYER else LayerKind(layer_type)
    output = replace(_declared(tool, name), format=form, kind=kind)
    loaded = None
    if kind is not None:
        try:
            file = CollectedFile(path, form, name=element)
            loaded = load(file, output, tool, inputs=inputs, kind=kind)
        except ExchangeError as error:
            remarks.append(f"“{layer_name}” cannot be opened: {error}")
    return JobOutput(
        element or name,
        path,
        form,
        layer_name,
        output,
        loaded=loaded,
        metadata=_summary(entry, name, element),
    )


def _tool(entry: HistoryEntry, config: Config) -> Tool:
    """Return the tool, or as much of it as the record has."""
    try:
        return recorded_tool(entry, config)
    except (UnknownToolError, DescriptorError):
        told = cast("Mapping[str, str]", entry.record["tool"])
        return Tool(id=told["id"], name=entry.tool_name, version=told.get("version", ""))


def _declared(tool: Tool, name: str) -> DataOutput:
    try:
        return tool.output(name)
    except KeyError:
        return DataOutput(name=name)


def _inputs(entry: HistoryEntry) -> dict[str, LayerSnapshot]:
    """Return where the inputs lay; their files need not exist any more."""
    found: dict[str, LayerSnapshot] = {}
    for told in cast("list[dict[str, object]]", entry.record.get("inputs", [])):
        path = entry.locate(told) or entry.folder / str(told["path"])
        layer = cast("Mapping[str, object] | None", told.get("layer"))
        found[str(told["name"])] = snapshot_from_record(path, str(told["label"]), layer)
    return found


def _summary(entry: HistoryEntry, output: str, element: str = "") -> dict[str, object]:
    """Return what a layer carries in its metadata, as it did when the job ended."""
    kept = {key: entry.record[key] for key in _SUMMARY if key in entry.record}
    record = str(entry.folder / "record.json")
    return {**kept, "output": output, "element": element, "record": record}
