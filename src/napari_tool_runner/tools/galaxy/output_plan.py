"""Which outputs one call has (filters), in which format, and where they go."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

from napari_tool_runner.data_classes import dataclass, replace
from napari_tool_runner.names import file_name, unique_name
from napari_tool_runner.tools.dialect import DataFile, PlannedOutput
from napari_tool_runner.tools.galaxy.collection_values import CollectionValue, DatasetList
from napari_tool_runner.tools.galaxy.context import Context, lookup
from napari_tool_runner.tools.galaxy.dataset_values import DatasetValue
from napari_tool_runner.tools.galaxy.source import OutputRule
from napari_tool_runner.tools.galaxy.wrappers import Wrapper
from napari_tool_runner.tools.model import CollectionOutput, DataOutput, Output

if TYPE_CHECKING:
    from napari_tool_runner.tools.formats import Formats
    from napari_tool_runner.tools.galaxy.script import Rules
    from napari_tool_runner.tools.model import Tool

__all__ = ["element_path", "extra_files_folder", "plan_outputs"]


def plan_outputs(tool: Tool, context: Context, rules: Rules) -> tuple[PlannedOutput, ...]:
    """Settle the outputs of this call and put them into `context`.

    Folders that must exist before the tool writes are named in `rules`.
    """
    planned: list[PlannedOutput] = []
    taken: set[str] = set()
    source, folder = rules.source, rules.paths.outputs
    plan = _Plan(rules, dict(context), _raw_values(context))
    for number, output in enumerate(tool.outputs, 1):
        rule = source.rules[output.name]
        name = plan.format(output, rule)
        if not plan.wanted(output):
            # a template may still ask for it
            context[output.name] = DatasetValue(None, source.formats, fallback=name)
            continue
        stem = file_stem(output.name, taken)
        if isinstance(output, CollectionOutput):
            path = folder / stem
            output = plan.with_elements(output, rule, name)
            context[output.name] = _elements_value(output, path, context, rules)
            rules.folders.append(path)
        else:
            path = folder / f"{stem}{source.formats.canonical(name).extension}"
            if rule.element.get("precreate_directory", "").lower() == "true":
                rules.folders.append(path)
            context[output.name] = _output_value(output, path, name, number, rules)
        planned.append(PlannedOutput(output, path, name))
    return tuple(planned)


def extra_files_folder(path: Path) -> Path:
    """Return the folder of the extra files of an output that is written to `path`."""
    return path.with_name(f"{path.name}_files")


def _output_value(
    output: Output, path: Path, kind: str, number: int, rules: Rules
) -> DatasetValue:
    return DatasetValue(
        DataFile(path, kind, output.label or output.name),
        rules.source.formats,
        shown=rules.shown(path),
        extra_files=rules.shown(extra_files_folder(path)),
        number=number,
    )


@dataclass(frozen=True, slots=True)
class _Plan:
    """What decides on the outputs of one call.

    `context`: the inputs as templates see them; `raw`: as filters do.
    """

    rules: Rules
    context: Context
    raw: Mapping[str, object]

    def wanted(self, output: Output) -> bool:
        for expression in output.filters:
            try:
                # the descriptor's own code, as in Galaxy; a run needs consent
                if not eval(expression, {"re": re, "json": json}, dict(self.raw)):  # noqa: S307
                    return False
            except Exception:  # noqa: BLE001, S112 - as in Galaxy, a filter that fails filters nothing
                continue
        return True

    def format(self, output: Output, rule: OutputRule) -> str:
        name = output.format or "data"
        if name == "input":
            first = next(filter(None, _flat(self.context)), None)
            name = first.ext if first else "data"
        name = self.source_format(output.format_source) or name
        changed = self.changed_format(rule, name)
        return self.action_format(output, rule) or changed or name

    def source_format(self, spec: str) -> str:
        if not spec:
            return ""
        match = re.fullmatch(r"([^\[\]]*)\[([^\[\]]*)\]", spec)
        name, element = (match[1], match[2]) if match else (spec, "")
        value = lookup(self.context, name)
        if isinstance(value, DatasetList):
            value = next(iter(value), None)
        if isinstance(value, CollectionValue):
            flat = [dataset for _, dataset in value.flat()]
            key: object = None
            with contextlib.suppress(ValueError, RecursionError):
                key = json.loads(element.replace("'", '"')) if element else None
            chosen: object = None
            with contextlib.suppress(KeyError, IndexError):
                chosen = value[key] if key is not None else None
            value = chosen if isinstance(chosen, DatasetValue) else next(iter(flat), None)
        return value.ext if isinstance(value, DatasetValue) and value else ""

    def changed_format(self, rule: OutputRule, name: str) -> str:
        from napari_tool_runner.errors import TemplateError
        from napari_tool_runner.tools.galaxy.templates import fill

        version = self.rules.source.template_version
        for change in getattr(rule.parsed, "change_format", None) or []:
            wanted, check = change.get("value"), change.get("input")
            if check is not None:
                text = str(check).replace("|", ".")
                try:
                    found = fill(text, self.context, version, "output format")
                except TemplateError:
                    # it names a parameter of another case; then it does not apply
                    continue
                if found == wanted and change.get("format"):
                    return str(change["format"])
                continue
            dataset = lookup(self.context, str(change.get("input_dataset") or ""))
            attribute = str(change.get("check_attribute") or "")
            if isinstance(dataset, DatasetValue) and dataset and attribute:
                value = getattr(dataset, attribute, None)
                if value is None:
                    value = dataset.metadata.get(attribute)
                if value is not None and str(value) == str(wanted):
                    return str(change.get("format") or name)
        return ""

    def action_format(self, output: Output, rule: OutputRule) -> str:
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
                get_datatype_by_extension=self.rules.source.formats.canonical,
                change_datatype=lambda data, name: dataset.change_datatype(name),
            ),
        )
        try:
            ToolOutputActionGroup(app, actions).apply_action(dataset, _for_actions(dict(self.raw)))
        except Exception as error:  # noqa: BLE001 - actions that need a server set nothing
            self.rules.notes.append(
                f"The actions on the output “{output.name}” are left out: {error}"
            )
            return ""
        return str(dataset.extension or "")

    def with_elements(
        self, output: CollectionOutput, rule: OutputRule, name: str
    ) -> CollectionOutput:
        """Give the collection the elements that this call will have, where that is known."""
        parsed = rule.collection
        kind = output.collection_type
        type_source = parsed.structure.collection_type_source
        if type_source:
            like = lookup(self.context, type_source)
            if isinstance(like, CollectionValue) and like.collection_type:
                kind = like.collection_type
        elements: list[DataOutput] = []
        if output.elements:
            places = {child.get("name"): child for child in rule.element.findall("data")}
            for element in output.elements:
                if not self.wanted(element):
                    continue
                inner = OutputRule(parsed.outputs[element.name], places[element.name])
                elements.append(replace(element, format=self.format(element, inner)))
        elif output.structured_like:
            like = lookup(self.context, output.structured_like)
            if isinstance(like, CollectionValue):
                kind = like.collection_type or kind
                named = [("/".join(identifiers), dataset) for identifiers, dataset in like.flat()]
            else:
                files = like if isinstance(like, DatasetList) else ()
                named = [(dataset.element_identifier, dataset) for dataset in files]
            for identifier, dataset in named:
                ext = dataset.ext if output.inherit_format else name
                elements.append(DataOutput(name=identifier, format=ext))
        return replace(output, elements=tuple(elements), collection_type=kind, format=name)


def _for_actions(value: object) -> object:
    """Give collections the shape that Galaxy's output actions look into."""
    if isinstance(value, CollectionValue):
        names = value.keys()  # a collection iterates over its elements
        elements = {
            name: SimpleNamespace(element_object=_for_actions(value[name])) for name in names
        }
        return SimpleNamespace(collection=elements)
    if isinstance(value, dict):
        return {key: _for_actions(entry) for key, entry in value.items()}
    if isinstance(value, list) and not isinstance(value, DatasetList):
        return [_for_actions(entry) for entry in value]
    return value


def file_stem(name: str, taken: set[str]) -> str:
    """Return the name of an output as that of a file, free regardless of case, and take it.

    The name comes from the descriptor: it is no path, and never leads anywhere.
    """
    safe = re.sub(r"[^\w.+=-]", "_", file_name(name))
    stem = safe
    while stem.casefold() in taken:
        stem = unique_name(stem, {stem}, "_{}", 2)
    taken.add(stem.casefold())
    return stem


def element_path(folder: Path, element: DataOutput, formats: Formats) -> Path:
    """Return where the tool is told to write an element of a collection."""
    safe = re.sub(r"[^A-Za-z0-9_.+=-]", "_", element.name).lstrip(".")[:100] or "element"
    suffix = formats.canonical(element.format).extension
    return folder / (safe if safe.endswith(suffix) else f"{safe}{suffix}")


def _elements_value(
    output: CollectionOutput, folder: Path, context: Context, rules: Rules
) -> CollectionValue:
    from napari_tool_runner.tools.dialect import DataCollection

    flat: dict[str, DatasetValue] = {}
    for number, element in enumerate(output.elements, 1):
        path = element_path(folder, element, rules.source.formats)
        value = _output_value(element, path, element.format, number, rules)
        flat[element.name] = value
        if not output.structured_like:
            context[element.name] = value
    paths = {
        tuple(name.split("/")) if output.structured_like else (name,): value
        for name, value in flat.items()
    }

    def build(level: Mapping[tuple[str, ...], DatasetValue], kind: str) -> CollectionValue:
        elements: dict[str, DatasetValue | CollectionValue] = {}
        inner = kind.partition(":")[2] or "list"
        for first in dict.fromkeys(names[0] for names in level):
            below = {names[1:]: value for names, value in level.items() if names[0] == first}
            elements[first] = below[()] if () in below else build(below, inner)
        return CollectionValue(DataCollection(kind, (), output.label), elements, rules)

    return build(paths, output.collection_type)


# -- names ---------------------------------------------------------------------------


def _raw_values(context: Mapping[str, object]) -> dict[str, object]:
    """Return the plain values behind the wrappers, as filters see them."""

    def raw(value: object) -> object:
        if isinstance(value, DatasetValue):
            return value.plain() if value else None
        if isinstance(value, DatasetList | CollectionValue):
            return value
        if isinstance(value, Wrapper):
            return None if value.value == [] else value.value  # several choices, and none made
        if isinstance(value, dict):
            return {key: raw(entry) for key, entry in value.items()}
        if isinstance(value, list):
            return [raw(entry) for entry in value]
        return value

    return {key: raw(value) for key, value in context.items()}


def _flat(context: object) -> Iterator[DatasetValue]:
    """Yield every single dataset among the inputs."""
    if isinstance(context, DatasetValue):
        yield context
    elif isinstance(context, CollectionValue):
        yield from (dataset for _, dataset in context.flat())
    elif isinstance(context, dict | list):
        for value in context.values() if isinstance(context, dict) else context:
            yield from _flat(value)
