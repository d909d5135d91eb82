"""Outputs as the descriptor declares them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from napari_tool_runner.tools.common import Notes, layer_kinds, ndims
from napari_tool_runner.tools.galaxy.source import OutputRule
from napari_tool_runner.tools.model import CollectionOutput, DataOutput, Output

if TYPE_CHECKING:
    from galaxy.tool_util.parser.output_collection_def import DatasetCollectionDescription
    from galaxy.util import Element

    from napari_tool_runner.tools.galaxy.source import GalaxySource

__all__ = ["read_outputs"]


def read_outputs(source: GalaxySource, notes: Notes) -> tuple[Output, ...]:
    """Read ``<outputs>``; fills ``source.rules``."""
    parent = source.root.find("outputs")
    if parent is None:
        return ()
    try:
        parsed, collections = source.tool.parse_outputs()
    except Exception as error:  # noqa: BLE001 - Galaxy raises bare exceptions here
        notes.error("outputs", f"They cannot be read: {error}")
        return ()
    found: list[Output] = []
    for element in parent:
        if not isinstance(element.tag, str):
            continue
        name = element.get("name") or ""
        where = f"outputs/{element.tag}[{name}]"
        if name not in parsed:
            notes.warning(where, "It is no output that is known here.")
            continue
        if name in source.rules:
            notes.warning(where, "This name occurs twice; the last counts.")
            continue
        rule = OutputRule(parsed[name], element, tuple(_collectors(parsed[name])))
        source.rules[name] = rule
        if name in collections:
            found.append(_collection(source, rule, where, notes))
        else:
            found.append(_data(source, rule, where, notes))
    return tuple(found)


def _collectors(parsed: object) -> list[DatasetCollectionDescription]:
    place = getattr(parsed, "structure", None) or parsed
    return list(getattr(place, "dataset_collector_descriptions", None) or [])


def _discovered(collectors: tuple[DatasetCollectionDescription, ...]) -> list[dict[str, object]]:
    """What is said of files whose names are not known before the tool ran."""
    return [
        {
            "pattern": getattr(entry, "pattern", ""),
            "directory": entry.directory or "",
            "format": entry.default_ext or "",
            "recurse": entry.recurse,
            "match_relative_path": entry.match_relative_path,
            "sort_by": getattr(entry, "sort_by", ""),
            "assign_primary": entry.assign_primary_output,
            "visible": bool(entry.default_visible),
        }
        for entry in collectors
        # Galaxy's own default of old profiles names no folder and no place of the tool
        if not getattr(entry, "pattern", "").startswith("primary_DATASET_ID")
    ]


def _shared(source: GalaxySource, element: Element, where: str, notes: Notes) -> dict[str, object]:
    return {
        "name": element.get("name") or "",
        "label": _label(source, element),
        "kind": next(iter(layer_kinds(element.get("layer") or "", notes.at(where))), None),
        "ndim": ndims(element.get("ndim") or "", notes.at(where)),
        "axes": (element.get("axes") or "").upper(),
        "reference": element.get("reference") or "",
        "join": element.get("join") or "",
        "size": element.get("size") or "",
        "filters": tuple((f.text or "").strip() for f in element.findall("filter")),
    }


def _data(source: GalaxySource, rule: OutputRule, where: str, notes: Notes) -> DataOutput:
    parsed, element = rule.parsed, rule.element
    name = str(getattr(parsed, "format", None) or "data")
    auto = name == "_sniff_"
    discovered = _discovered(rule.collectors)
    identified = getattr(parsed, "default_identifier_source", None)
    changes = [
        {
            "input": str(change.get("input") or change.get("input_dataset") or "").lstrip("$"),
            "value": str(change.get("value") or ""),
            "format": str(change.get("format") or ""),
        }
        for change in getattr(parsed, "change_format", None) or []
    ]
    data = DataOutput(
        **_shared(source, element, where, notes),  # type: ignore[arg-type]
        format="auto" if auto else name,
        hidden=bool(getattr(parsed, "hidden", False)),
        from_work_dir=str(getattr(parsed, "from_work_dir", None) or ""),
        format_source=str(getattr(parsed, "format_source", None) or ""),
        discovers=bool(discovered),
        facts={
            "change_format": changes,
            "auto_format": auto or name == "auto",
            "discover": discovered,
            "default_identifier_source": "" if identified in (None, "None") else str(identified),
        },
    )
    for option in element.iterfind("actions//option"):
        if option.get("type") in ("from_data_table", "from_file"):
            what = f"Metadata from reference data “{option.get('name')}” are not set here."
            notes.info(f"{where}/actions", what)
    set_here = [
        str(action.get("name"))
        for action in element.iterfind("actions//action")
        if action.get("type") == "metadata" and action.find("option") is None
    ]
    if set_here:
        notes.info(
            f"{where}/actions",
            f"Metadata that it sets for Galaxy ({', '.join(set_here)}) are not kept here.",
        )
    return data


def _collection(
    source: GalaxySource, rule: OutputRule, where: str, notes: Notes
) -> CollectionOutput:
    parsed = rule.collection
    structure = parsed.structure
    if structure.collection_type_from_rules:
        notes.error(where, "Its structure comes from Galaxy's rule builder.")
    elements, discovered = [], _discovered(rule.collectors)
    for child in rule.element.findall("data"):
        inner = parsed.outputs.get(child.get("name") or "")
        if inner is not None:
            place = f"{where}/data[{child.get('name')}]"
            own = OutputRule(inner, child, tuple(_collectors(inner)))
            elements.append(_data(source, own, place, notes))
    return CollectionOutput(
        **_shared(source, rule.element, where, notes),  # type: ignore[arg-type]
        format=str(parsed.default_format or "data"),
        hidden=bool(parsed.hidden),
        format_source=str(parsed.format_source or ""),
        discovers=bool(discovered),
        facts={"discover": discovered},
        collection_type=structure.collection_type or "list",
        structured_like=structure.structured_like or "",
        inherit_format=bool(parsed.inherit_format),
        elements=tuple(elements),
    )


def _label(source: GalaxySource, element: Element) -> str:
    """Galaxy's label without the parts that name a history item."""
    label = element.get("label") or (element.findtext("label") or "")
    name = source.tool.parse_name() or ""  # no template: it may hold backslashes
    label = re.sub(r"\$\{?tool\.name\}?", lambda _: name, label)
    label = re.sub(r"(?<!\s)\s*\b(on|of|from|for)\s+\$\{?on_string\}?", "", label)
    label = re.sub(r"\$\{?on_string\}?", "", label)
    label = re.sub(r"\$\{[^}]*(?:\}|\Z)|\$[A-Za-z_][\w.]*", "…", label)
    return re.sub(r"\s+", " ", label).strip(" :-,") or element.get("name") or ""
