"""A past job once more, from its record: run again, edit and run again, compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from napari_tool_runner.errors import ToolRunnerError, UnknownToolError, WorkspaceError
from napari_tool_runner.exchange import same_data, snapshot_from_record
from napari_tool_runner.jobs.extent import Extent
from napari_tool_runner.jobs.manager import prepare
from napari_tool_runner.storage import content_sha256
from napari_tool_runner.tools import find_tool, load_toolbox
from napari_tool_runner.tools.model import Conditional, Repeat, Section
from napari_tool_runner.tools.values import nest

if TYPE_CHECKING:
    from napari_tool_runner.config import Config
    from napari_tool_runner.jobs.job import Job
    from napari_tool_runner.jobs.model import JobOutput, JobResult
    from napari_tool_runner.jobs.past.history import HistoryEntry
    from napari_tool_runner.tools.model import InputItem, Tool

__all__ = ["compare_outputs", "recorded_form", "recorded_tool", "recorded_values", "rerun"]


def rerun(
    entry: HistoryEntry, config: Config, *, runner: str | None = None
) -> tuple[Job, list[str]]:
    """Prepare `entry`'s job again.

    Returns
    -------
    job : Job
        Not started.
    remarks : list of str
        Why the result may differ: another version of the tool, changed inputs.

    Raises
    ------
    UnknownToolError
        The tool is gone.
    WorkspaceError
        An input is gone.
    """
    tool = recorded_tool(entry, config)
    remarks: list[str] = []
    then = cast("Mapping[str, str]", entry.record["tool"])
    if tool.digest != then.get("digest"):
        remarks.append(
            f"The descriptor of “{tool.name}” has changed since (version "
            f"{then.get('version')} then, {tool.version} now); the result may differ."
        )
    values = {**entry.parameters, **recorded_values(entry, remarks)}
    hidden = entry.record.get("hidden", [])
    values = {k: v for k, v in values.items() if k not in cast("list[str]", hidden)}
    service = runner or str(cast("Mapping[str, object]", entry.record["runner"])["service"])
    job = prepare(tool, values, runner=service, config=config, extent=_extent(entry))
    return job, remarks


def _extent(entry: HistoryEntry) -> Extent | None:
    """Return how the job took its layers apart; a single part was recorded as it was."""
    told = cast("Mapping[str, object] | None", entry.record.get("extent"))
    extent = Extent.from_record(told) if told else None
    return extent if extent is not None and extent.mode == "each" else None


def recorded_tool(entry: HistoryEntry, config: Config) -> Tool:
    """Return the tool of a record: from its descriptor, else by id from the toolboxes.

    Raises
    ------
    UnknownToolError
    """
    told = cast("Mapping[str, str]", entry.record["tool"])
    box = load_toolbox(config)
    if told["id"] in box and box[told["id"]].uri == told["descriptor"]:
        return box[told["id"]]
    if Path(told["descriptor"]).exists():
        return find_tool(told["descriptor"], None)
    if told["id"] in box:
        return box[told["id"]]
    raise UnknownToolError(
        f"The tool “{told['name']}” of this job is gone: {told['descriptor']} does not "
        "exist, and no toolbox has it.",
        hint="Add its toolbox again, then repeat.",
    )


def recorded_values(entry: HistoryEntry, remarks: list[str] | None = None) -> dict[str, object]:
    """Return the data values of a record as snapshots (lists where several went in).

    The job's own copy is used; where it is gone, the file it came from.

    Raises
    ------
    WorkspaceError
        Neither exists any more.
    """
    found: dict[str, list[object]] = {}
    for told in cast("list[dict[str, object]]", entry.record.get("inputs", [])):
        path = entry.locate(told)
        if path is None:
            raise WorkspaceError(
                f"The input “{told['label']}” of job {entry.id} is gone "
                f"({entry.folder / str(told['path'])}).",
                hint="The job cannot be repeated as it was; run the tool on the data again.",
            )
        digest = told.get("sha256")
        if remarks is not None and digest and content_sha256(path) != digest:
            remarks.append(f"The input “{told['label']}” ({path}) has changed since.")
        layer = cast("Mapping[str, object] | None", told.get("layer"))
        snap = snapshot_from_record(path, str(told["label"]), layer)
        found.setdefault(str(told["name"]), []).append(snap)
    return {name: many if len(many) > 1 else many[0] for name, many in found.items()}


def recorded_form(entry: HistoryEntry, tool: Tool) -> dict[str, object]:
    """Return the parameters that are no data as a form takes them: nested, repeats as lists.

    Names that `tool` no longer has are kept: the form tells about them.
    """
    hidden = cast("list[str]", entry.record.get("hidden", []))
    flat = {name: value for name, value in entry.parameters.items() if name not in hidden}
    return _with_lists(tool.inputs, nest(flat))


def _with_lists(items: Sequence[InputItem], values: Mapping[str, object]) -> dict[str, object]:
    left = dict(values)
    found: dict[str, object] = {}
    for item in items:
        if isinstance(item, Repeat):
            entries: list[object] = []
            while f"{item.name}_{len(entries)}" in left:
                one = left.pop(f"{item.name}_{len(entries)}")
                entries.append(_with_lists(item.items, cast("Mapping[str, object]", one)))
            found[item.name] = entries
        elif item.name not in left:
            continue
        elif isinstance(item, Section):
            inner = cast("Mapping[str, object]", left.pop(item.name))
            found[item.name] = _with_lists(item.items, inner)
        elif isinstance(item, Conditional):
            inner = cast("Mapping[str, object]", left.pop(item.name))
            case = item.active(inner.get(item.test.name))
            found[item.name] = _with_lists(case.items if case else (), inner)
        else:
            found[item.name] = left.pop(item.name)
    return found | left


def compare_outputs(entry: HistoryEntry, result: JobResult) -> list[str]:
    """Say in sentences how `result` differs from what `entry` recorded; empty: equal.

    Equal bytes are equal; otherwise pixels and table cells are compared.
    """
    old = {
        (str(told["name"]), str(told["element"])): told
        for told in cast("list[dict[str, object]]", entry.record.get("outputs", []))
    }
    new: dict[tuple[str, str], JobOutput] = {}
    for name, output in result.outputs.items():
        for element, part in (output.elements or {"": output}).items():
            new[(name, element)] = part
    differences = [f"“{_title(key)}” was made then, but not now." for key in old if key not in new]
    differences += [f"“{_title(key)}” is new." for key in new if key not in old]
    for key in old.keys() & new.keys():
        if content_sha256(new[key].path) != old[key].get("sha256"):
            sentence = _difference(_title(key), entry.folder / str(old[key]["path"]), new[key])
            if sentence:
                differences.append(sentence)
    return differences


def _title(key: tuple[str, str]) -> str:
    return "/".join(part for part in key if part)


def _difference(title: str, before: Path, now: JobOutput) -> str:
    if not before.exists():
        return f"“{title}” has other bytes than then, and the old file is gone."
    if now.loaded is None:
        return f"“{title}” has other bytes than then."
    try:
        problem = same_data(before, now.path, now.format)
    except (ToolRunnerError, OSError, ValueError) as error:
        return f"“{title}” cannot be compared: {error}"
    return f"“{title}”: {problem}" if problem else ""
