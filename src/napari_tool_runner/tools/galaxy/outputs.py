"""Outputs: read from the descriptor, and settled for one call.

Which outputs a call has (filters), in which format (``change_format``,
``format_source``, actions) and where the tool is told to write.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from napari_tool_runner.tools.dialect import DataFile, JobPaths, PlannedOutput
from napari_tool_runner.tools.galaxy.datatypes import datatype
from napari_tool_runner.tools.galaxy.kinds import declared_kind, read_ndim
from napari_tool_runner.tools.galaxy.wrappers import (
    CollectionValue,
    DatasetList,
    DatasetValue,
    Wrapper,
)
from napari_tool_runner.tools.model import (
    CollectionOutput,
    DataOutput,
    Discover,
    FormatChange,
    Note,
    Output,
    Severity,
)

if TYPE_CHECKING:
    from galaxy.tool_util.parser.output_collection_def import DatasetCollectionDescription
    from galaxy.tool_util.parser.output_objects import ToolOutput, ToolOutputCollection
    from galaxy.util import Element

    from napari_tool_runner.tools.galaxy.context import Context
    from napari_tool_runner.tools.galaxy.rules import Rules
    from napari_tool_runner.tools.galaxy.source import GalaxySource
    from napari_tool_runner.tools.model import Tool

__all__ = [
    "OutputRule",
    "element_path",
    "extra_files_folder",
    "plan_outputs",
    "raw_values",
    "read_outputs",
]


@dataclass(frozen=True, slots=True, eq=False)
class OutputRule:
    """What decides on one output when the tool runs.

    Parameters
    ----------
    parsed : ToolOutput or ToolOutputCollection
        Galaxy's parsed form.
    element : Element
    collectors : tuple
        Descriptions of the files that are discovered.
    """

    parsed: ToolOutput | ToolOutputCollection
    element: Element
    collectors: tuple[DatasetCollectionDescription, ...] = ()

    @property
    def from_expression(self) -> str:
        """Of expression tools: what of the result this output holds."""
        return str(getattr(self.parsed, "from_expression", None) or self.element.get("name") or "")


# -- reading -------------------------------------------------------------------------


def read_outputs(source: GalaxySource, notes: list[Note]) -> tuple[Output, ...]:
    """Read ``<outputs>``; fills ``source.rules``."""
    parent = source.root.find("outputs")
    if parent is None:
        return ()
    try:
        parsed, collections = source.tool.parse_outputs()
    except Exception as error:  # noqa: BLE001 - Galaxy raises bare exceptions here
        notes.append(Note(Severity.ERROR, "outputs", f"They cannot be read: {error}"))
        return ()
    found: list[Output] = []
    for element in parent:
        if not isinstance(element.tag, str):
            continue
        name = element.get("name") or ""
        where = f"outputs/{element.tag}[{name}]"
        if name not in parsed:
            notes.append(Note(Severity.WARNING, where, "It is no output that is known here."))
            continue
        if name in source.rules:
            notes.append(Note(Severity.WARNING, where, "This name occurs twice; the last counts."))
            continue
        rule = OutputRule(parsed[name], element, tuple(_collectors(parsed[name])))
        source.rules[name] = rule
        if name in collections:
            found.append(_collection(source, rule, where, notes))
        else:
            found.append(_data(source, rule.parsed, element, rule.collectors, where, notes))
    return tuple(found)


def _collectors(parsed: object) -> list[DatasetCollectionDescription]:
    structure = getattr(parsed, "structure", None)
    if structure is not None:
        return list(structure.dataset_collector_descriptions or [])
    return list(getattr(parsed, "dataset_collector_descriptions", None) or [])


def _discover(collectors: tuple[DatasetCollectionDescription, ...]) -> tuple[Discover, ...]:
    return tuple(
        Discover(
            pattern=getattr(entry, "pattern", ""),
            directory=entry.directory or "",
            format=entry.default_ext or "",
            recurse=entry.recurse,
            match_relative_path=entry.match_relative_path,
            sort_by=getattr(entry, "sort_by", ""),
            assign_primary=entry.assign_primary_output,
            visible=bool(entry.default_visible),
        )
        for entry in collectors
        # Galaxy's own default of old profiles names no folder and no place of the tool
        if not getattr(entry, "pattern", "").startswith("primary_DATASET_ID")
    )


def _shared(
    source: GalaxySource, element: Element, where: str, notes: list[Note]
) -> dict[str, object]:
    return {
        "name": element.get("name") or "",
        "label": _label(source, element),
        "kind": declared_kind(element.get("layer"), where, notes),
        "ndim": read_ndim(element.get("ndim"), where, notes),
        "axes": (element.get("axes") or "").upper(),
        "reference": element.get("reference") or "",
        "join": element.get("join") or "",
        "filters": tuple((f.text or "").strip() for f in element.findall("filter")),
    }


def _data(
    source: GalaxySource,
    parsed: object,
    element: Element,
    collectors: tuple[DatasetCollectionDescription, ...],
    where: str,
    notes: list[Note],
) -> DataOutput:
    name = str(getattr(parsed, "format", None) or "data")
    auto = name == "_sniff_"
    changes = [
        FormatChange(
            str(change.get("input") or change.get("input_dataset") or "").lstrip("$"),
            str(change.get("value") or ""),
            str(change.get("format") or ""),
        )
        for change in getattr(parsed, "change_format", None) or []
    ]
    data = DataOutput(
        **_shared(source, element, where, notes),  # type: ignore[arg-type]
        format="auto" if auto else name,
        hidden=bool(getattr(parsed, "hidden", False)),
        from_work_dir=str(getattr(parsed, "from_work_dir", None) or ""),
        change_format=tuple(changes),
        format_source=str(getattr(parsed, "format_source", None) or ""),
        auto_format=auto or name == "auto",
        discover=_discover(collectors),
        default_identifier_source=_text(getattr(parsed, "default_identifier_source", None)),
    )
    actions = element.find("actions")
    if actions is not None and next(actions.iter("option"), None) is not None:
        for option in actions.iter("option"):
            if option.get("type") in ("from_data_table", "from_file"):
                notes.append(
                    Note(
                        Severity.INFO,
                        f"{where}/actions",
                        f"Metadata from reference data “{option.get('name')}” are not set here.",
                    )
                )
    return data


def _collection(
    source: GalaxySource, rule: OutputRule, where: str, notes: list[Note]
) -> CollectionOutput:
    parsed = cast("ToolOutputCollection", rule.parsed)
    structure = parsed.structure
    if structure.collection_type_from_rules:
        notes.append(
            Note(Severity.ERROR, where, "Its structure comes from Galaxy's rule builder.")
        )
    elements = []
    for child in rule.element.findall("data"):
        inner = parsed.outputs.get(child.get("name") or "")
        if inner is not None:
            place = f"{where}/data[{child.get('name')}]"
            collectors = tuple(_collectors(inner))
            elements.append(_data(source, inner, child, collectors, place, notes))
    return CollectionOutput(
        **_shared(source, rule.element, where, notes),  # type: ignore[arg-type]
        format=str(parsed.default_format or "data"),
        hidden=bool(parsed.hidden),
        format_source=str(parsed.format_source or ""),
        discover=_discover(rule.collectors),
        collection_type=structure.collection_type or "list",
        structured_like=structure.structured_like or "",
        inherit_format=bool(parsed.inherit_format),
        elements=tuple(elements),
    )


def _text(value: object) -> str:
    return "" if value in (None, "None") else str(value)


def _label(source: GalaxySource, element: Element) -> str:
    """Galaxy's label without the parts that name a history item."""
    label = element.get("label") or (element.findtext("label") or "")
    label = re.sub(r"\$\{?tool\.name\}?", source.tool.parse_name() or "", label)
    label = re.sub(r"\s*\b(on|of|from|for)\s+\$\{?on_string\}?", "", label)
    label = re.sub(r"\$\{?on_string\}?", "", label)
    label = re.sub(r"\$\{[^}]*\}|\$[A-Za-z_][\w.]*", "…", label)
    return re.sub(r"\s+", " ", label).strip(" :-,") or element.get("name") or ""


# -- settling ------------------------------------------------------------------------


def plan_outputs(
    tool: Tool, source: GalaxySource, context: Context, paths: JobPaths, rules: Rules
) -> tuple[PlannedOutput, ...]:
    """Settle the outputs of this call and put them into `context`.

    Folders that must exist before the tool writes are named in `rules`.
    """
    planned: list[PlannedOutput] = []
    raw = raw_values(context)
    template_context: Context = dict(context)
    for number, output in enumerate(tool.outputs, 1):
        rule = source.rules[output.name]
        name = _format(output, rule, template_context, raw, source)
        if not _wanted(output, raw):
            # a template may still ask for it
            context[output.name] = DatasetValue(None, fallback=name)
            continue
        if isinstance(output, CollectionOutput):
            folder = paths.outputs / output.name
            output = _with_elements(output, rule, template_context, raw, source, name)
            context[output.name] = _elements_value(output, folder, context, rules)
            planned.append(PlannedOutput(output, folder, name))
            rules.folders.append(folder)
            continue
        path = paths.outputs / f"{output.name}{datatype(name).extension}"
        if rule.element.get("precreate_directory", "").lower() == "true":
            rules.folders.append(path)
        context[output.name] = _output_value(output.name, output.label, path, name, number, rules)
        planned.append(PlannedOutput(output, path, name))
    return tuple(planned)


def extra_files_folder(path: Path) -> Path:
    """Return the folder of the extra files of an output that is written to `path`."""
    return path.with_name(f"{path.name}_files")


def _output_value(
    name: str, label: str, path: Path, kind: str, number: int, rules: Rules
) -> DatasetValue:
    return DatasetValue(
        DataFile(path, kind, label or name),
        shown=rules.shown(path),
        extra_files=rules.shown(extra_files_folder(path)),
        number=number,
    )


def _wanted(output: Output, raw: Mapping[str, object]) -> bool:
    for expression in output.filters:
        try:
            # the descriptor's own code, as in Galaxy; a run needs consent (DESIGN §8)
            if not eval(expression, {"re": re, "json": json}, dict(raw)):  # noqa: S307
                return False
        except Exception:  # noqa: BLE001, S112 - as in Galaxy, a filter that fails filters nothing
            continue
    return True


def _format(
    output: Output,
    rule: OutputRule,
    context: Context,
    raw: Mapping[str, object],
    source: GalaxySource,
) -> str:
    name = output.format or "data"
    if name == "input":
        first = next((dataset for _, dataset in _flat(context) if dataset), None)
        name = first.ext if first else "data"
    name = _source_format(output.format_source, context) or name
    changed = _changed_format(rule, context, source, name)
    return _action_format(rule, raw) or changed or name


def _source_format(spec: str, context: Context) -> str:
    if not spec:
        return ""
    match = re.fullmatch(r"([^\[\]]*)\[([^\[\]]*)\]", spec)
    name, element = (match[1], match[2]) if match else (spec, "")
    value = _lookup(context, name)
    if isinstance(value, DatasetList):
        value = next(iter(value), None)
    if isinstance(value, CollectionValue):
        flat = [dataset for _, dataset in value.flat()]
        key: object = None
        with contextlib.suppress(ValueError):
            key = json.loads(element.replace("'", '"')) if element else None
        chosen: object = None
        with contextlib.suppress(KeyError, IndexError):
            chosen = value[key] if key is not None else None
        value = chosen if isinstance(chosen, DatasetValue) else next(iter(flat), None)
    return value.ext if isinstance(value, DatasetValue) and value else ""


def _changed_format(rule: OutputRule, context: Context, source: GalaxySource, name: str) -> str:
    from napari_tool_runner.errors import TemplateError
    from napari_tool_runner.tools.galaxy.templates import fill

    for change in getattr(rule.parsed, "change_format", None) or []:
        wanted, check = change.get("value"), change.get("input")
        if check is not None:
            text = str(check).replace("|", ".")
            try:
                found = fill(text, context, source.template_version, "output format")
            except TemplateError:
                # it names a parameter of another case; then it does not apply
                continue
            if found == wanted and change.get("format"):
                return str(change["format"])
            continue
        dataset = _lookup(context, str(change.get("input_dataset") or ""))
        attribute = str(change.get("check_attribute") or "")
        if isinstance(dataset, DatasetValue) and dataset and attribute:
            value = getattr(dataset, attribute, None)
            if value is None:
                value = dataset.metadata.get(attribute)
            if value is not None and str(value) == str(wanted):
                return str(change.get("format") or name)
    return ""


def _action_format(rule: OutputRule, raw: Mapping[str, object]) -> str:
    """Run Galaxy's own output actions; return the format that they set."""
    actions = rule.element.find("actions")
    if actions is None:
        return ""
    from galaxy.tool_util.parser.output_actions import ToolOutputActionGroup

    dataset = SimpleNamespace(metadata=SimpleNamespace(), extension="", change_datatype=None)
    dataset.change_datatype = lambda name: setattr(dataset, "extension", name)
    app = SimpleNamespace(
        tool_data_tables={},
        config=SimpleNamespace(tool_data_path="tool-data"),
        datatypes_registry=SimpleNamespace(
            get_datatype_by_extension=datatype,
            change_datatype=lambda data, name: dataset.change_datatype(name),
        ),
    )
    try:
        ToolOutputActionGroup(app, actions).apply_action(dataset, dict(raw))
    except Exception:  # noqa: BLE001 - actions that need a server set nothing (the reader noted it)
        return ""
    return str(dataset.extension or "")


def _with_elements(
    output: CollectionOutput,
    rule: OutputRule,
    context: Context,
    raw: Mapping[str, object],
    source: GalaxySource,
    name: str,
) -> CollectionOutput:
    """Give the collection the elements that this call will have, where that is known."""
    parsed = cast("ToolOutputCollection", rule.parsed)
    kind = output.collection_type
    type_source = parsed.structure.collection_type_source
    if type_source:
        like = _lookup(context, type_source)
        if isinstance(like, CollectionValue) and like.collection_type:
            kind = like.collection_type
    elements: list[DataOutput] = []
    if output.elements:
        for element in output.elements:
            inner = OutputRule(parsed.outputs[element.name], rule.element)
            found = _format(element, inner, context, raw, source)
            elements.append(replace(element, format=found))
    elif output.structured_like:
        like = _lookup(context, output.structured_like)
        if isinstance(like, CollectionValue):
            kind = like.collection_type or kind
            for identifiers, dataset in like.flat():
                ext = dataset.ext if output.inherit_format else name
                elements.append(DataOutput(name="/".join(identifiers), format=ext))
        elif isinstance(like, DatasetList):
            for dataset in like:
                ext = dataset.ext if output.inherit_format else name
                elements.append(DataOutput(name=dataset.element_identifier, format=ext))
    return replace(output, elements=tuple(elements), collection_type=kind, format=name)


def element_path(folder: Path, element: DataOutput) -> Path:
    """Return where the tool is told to write an element of a collection."""
    safe = re.sub(r"[^A-Za-z0-9_.+=-]", "_", element.name).lstrip(".") or "element"
    suffix = datatype(element.format).extension
    return folder / (safe if safe.endswith(suffix) else f"{safe}{suffix}")


def _elements_value(
    output: CollectionOutput, folder: Path, context: Context, rules: Rules
) -> CollectionValue:
    from napari_tool_runner.tools.dialect import DataCollection

    flat: dict[str, DatasetValue] = {}
    for number, element in enumerate(output.elements, 1):
        path = element_path(folder, element)
        value = _output_value(element.name, element.label, path, element.format, number, rules)
        flat[element.name] = value
        if not output.structured_like:
            context[element.name] = value
    tree: dict[str, object] = {}
    for name, value in flat.items():
        place = tree
        *parents, last = name.split("/") if output.structured_like else [name]
        for parent in parents:
            place = cast("dict[str, object]", place.setdefault(parent, {}))
        place[last] = value

    def build(level: Mapping[str, object], kind: str) -> CollectionValue:
        elements: dict[str, DatasetValue | CollectionValue] = {}
        inner = kind.partition(":")[2] or "list"
        for key, entry in level.items():
            elements[key] = (
                entry
                if isinstance(entry, DatasetValue)
                else build(cast("Mapping[str, object]", entry), inner)
            )
        return CollectionValue(DataCollection(kind, (), output.label), elements, rules)

    return build(tree, output.collection_type)


# -- names ---------------------------------------------------------------------------


def raw_values(context: Mapping[str, object]) -> dict[str, object]:
    """Return the plain values behind the wrappers, as filters see them."""

    def raw(value: object) -> object:
        if isinstance(value, DatasetValue):
            return value if value else None
        if isinstance(value, DatasetList | CollectionValue):
            return value
        if isinstance(value, Wrapper):
            return value.value
        if isinstance(value, dict):
            return {key: raw(entry) for key, entry in value.items()}
        if isinstance(value, list):
            return [raw(entry) for entry in value]
        return value

    return {key: raw(value) for key, value in context.items()}


def _flat(context: object, prefix: str = "") -> Iterator[tuple[str, DatasetValue]]:
    """Yield the full name and every single dataset among the inputs."""
    if isinstance(context, DatasetValue):
        yield prefix, context
    elif isinstance(context, CollectionValue):
        for _, dataset in context.flat():
            yield prefix, dataset
    elif isinstance(context, DatasetList):
        for dataset in context:
            yield prefix, dataset
    elif isinstance(context, dict):
        for key, value in context.items():
            yield from _flat(value, f"{prefix}|{key}" if prefix else str(key))
    elif isinstance(context, list):
        for index, value in enumerate(context):
            yield from _flat(value, f"{prefix}_{index}")


def _lookup(context: Mapping[str, object], name: str) -> object:
    """Find a value by ``cond|name``, ``cond.name``, or its last part alone."""
    parts = re.split(r"[|.]", name)

    def walk(place: object, rest: list[str]) -> object:
        if not rest:
            return place
        if isinstance(place, dict):
            if rest[0] in place:
                return walk(place[rest[0]], rest[1:])
            match = re.fullmatch(r"(.+)_(\d+)", rest[0])
            if match and isinstance(place.get(match[1]), list):
                entries = place[match[1]]
                index = int(match[2])
                return walk(entries[index], rest[1:]) if index < len(entries) else None
        return None

    found = walk(context, parts)
    if found is not None or len(parts) > 1:
        return found

    def search(place: object) -> object:
        if isinstance(place, dict):
            if name in place:
                return place[name]
            children = list(place.values())
        elif isinstance(place, list) and not isinstance(place, DatasetList):
            children = place
        else:
            return None
        return next((hit for hit in map(search, children) if hit is not None), None)

    return search(context)
