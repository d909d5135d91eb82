"""The names that a template finds: inputs, outputs, and Galaxy's own."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.version import Version

from napari_tool_runner.errors import ParameterError
from napari_tool_runner.tools.dialect import DataCollection, DataFile, data_files
from napari_tool_runner.tools.file_types import file_type
from napari_tool_runner.tools.galaxy.collection_values import (
    EITHER,
    CollectionValue,
    DatasetList,
    misfit,
    promoted,
)
from napari_tool_runner.tools.galaxy.dataset_values import DatasetValue, safe_identifier
from napari_tool_runner.tools.galaxy.metadata import dataset_metadata
from napari_tool_runner.tools.galaxy.option_filters import find
from napari_tool_runner.tools.galaxy.options import MAX_COLUMN, ComputedOptions, column_number
from napari_tool_runner.tools.galaxy.sanitize import safe_name
from napari_tool_runner.tools.galaxy.source import ANY_COLLECTION, native
from napari_tool_runner.tools.galaxy.validators import DataRule, ValueRule
from napari_tool_runner.tools.galaxy.wrappers import InputValue, SelectValue
from napari_tool_runner.tools.model import (
    BooleanParameter,
    DataColumnParameter,
    DataParameter,
    DrillDownParameter,
    FloatParameter,
    IntegerParameter,
    Parameter,
    SelectParameter,
)
from napari_tool_runner.tools.tree import ABSENT, Group, Leaf, beside, rebuild

if TYPE_CHECKING:
    from napari_tool_runner.tools.formats import Formats
    from napari_tool_runner.tools.galaxy.script import Rules
    from napari_tool_runner.tools.model import Tool
    from napari_tool_runner.tools.tree import BoundValues

__all__ = ["Context", "inputs_json", "lookup", "wrap_inputs"]

Context = dict[str, object]

_NUMBERS = ("int", "float")


def wrap_inputs(tool: Tool, values: BoundValues, rules: Rules) -> Context:
    """Return the nested names and wrappers of a tool's inputs.

    Raises
    ------
    ParameterError
        A dataset, or a value that only a run may judge, breaks a validator.
    """
    wrapping = _Wrapping(values, rules)
    return rebuild(tool.inputs, values, wrapping.leaf, marks=_marks, complete=True)


def _marks(group: Group) -> Context:
    """Galaxy's own names inside a repeat's entry and a conditional."""
    names = {"repeat": "__index__", "conditional": "__current_case__"}
    name = names.get(group.owner.type)
    return {name: group.index} if name and group.index is not None else {}


class _Wrapping:
    def __init__(self, values: BoundValues, rules: Rules) -> None:
        self.values = values
        self.rules = rules
        self.formats = rules.source.formats
        self.count = 0

    def leaf(self, leaf: Leaf) -> object:
        name, parameter = leaf.name, leaf.parameter
        value = None if leaf.value is ABSENT else leaf.value
        if isinstance(parameter, DataParameter):
            return self.data(parameter, value, name)
        for rule in parameter.validators:
            empty = value is None or value == ""
            if isinstance(rule, ValueRule) and not (empty and parameter.optional):
                problem = rule.problem(value, final=True)
                if problem:
                    raise ParameterError(problem, name=name)
        source = getattr(parameter, "source", None)
        if isinstance(parameter, SelectParameter) and isinstance(source, ComputedOptions):
            # the tool may have been read with other formats
            parameter = replace(parameter, source=replace(source, formats=self.formats))
        if isinstance(parameter, SelectParameter | DataColumnParameter | DrillDownParameter):
            if isinstance(parameter, DataColumnParameter):
                value = self.columns(parameter, value, name)
            if isinstance(parameter, SelectParameter):
                value = self.legal(parameter, value, name)
            return SelectValue(parameter, value, self.rules, beside(self.values, name))
        return InputValue(parameter, value, self.rules)

    def legal(self, parameter: SelectParameter, value: object, name: str) -> object:
        """Computed choices may be given by what a person reads, and no other is, as in Galaxy."""
        source = parameter.source
        if not isinstance(source, ComputedOptions) or not value:
            return value
        try:
            found = source.legal(beside(self.values, name), _texts(value))
        except ValueError as error:
            raise ParameterError(f"“{parameter.label or name}”: {error}", name=name) from error
        return found if parameter.multiple else found[0]

    def columns(self, parameter: DataColumnParameter, value: object, name: str) -> object:
        """Return the numbers of columns, which their table has."""
        if value in (None, "", ()):
            return None
        found = tuple(column_number(text) for text in _texts(value))
        for file in data_files(find(beside(self.values, name), parameter.data_ref)):
            told = dataset_metadata(file, self.formats)
            count, kinds = told.get("columns"), told.get("column_types")
            most = count if isinstance(count, int) and count else MAX_COLUMN
            there = [str(number + 1) for number in range(most)]
            if wrong := [entry for entry in found if entry not in there]:
                raise ParameterError(
                    f"“{parameter.label or name}”: “{file.name}” has no column {wrong[0]}, "
                    f"it has {most}.",
                    name=name,
                )
            if native(parameter).numerical and isinstance(kinds, list) and kinds:
                fit = [n for n, kind in zip(there, kinds, strict=False) if kind in _NUMBERS]
                if wrong := [entry for entry in found if entry not in fit]:
                    raise ParameterError(
                        f"“{parameter.label or name}” takes a column of numbers; "
                        f"column {wrong[0]} of “{file.name}” holds other things.",
                        name=name,
                    )
        return found if parameter.multiple else found[0]

    # -- datasets --------------------------------------------------------------------

    def data(self, parameter: DataParameter, value: object, name: str) -> object:
        value = _as_files(value, self.formats)
        if parameter.collection:
            return self.collection(_as_collection(parameter, value), parameter, name)
        if parameter.multiple:
            entries = _flat(value)
            if not entries:
                return DatasetList([DatasetValue(None, self.formats)], self.rules)
            return DatasetList(self.several(entries, parameter, name), self.rules)
        if isinstance(value, DataCollection | list):
            entries = _flat(value)
            if len(entries) != 1:
                raise ParameterError(
                    f"“{parameter.label or name}” takes one dataset, not {len(entries)}.",
                    name=name,
                )
            value = entries[0][1]
        if value is None:
            return DatasetValue(None, self.formats)
        return self.dataset(value, parameter, name)

    def several(
        self, entries: Sequence[tuple[str, DataFile]], parameter: DataParameter, name: str
    ) -> list[DatasetValue]:
        """Templates name files after names and identifiers: no two have the same."""
        clean = [safe_identifier(key) or safe_name(file.name) for key, file in entries]
        names = self.rules.apart(
            parameter, [key or name for (key, _), name in zip(entries, clean, strict=True)], clean
        )
        found = []
        for (key, file), old, new in zip(entries, clean, names, strict=True):
            named = file if key or old == new else replace(file, name=new)
            found.append(self.dataset(named, parameter, name, new if key else ""))
        return found

    def dataset(
        self, file: DataFile, parameter: DataParameter, name: str, identifier: str = ""
    ) -> DatasetValue:
        self.count += 1
        shown = self.rules.shown(file.path)
        dataset = DatasetValue(
            file,
            self.formats,
            shown=shown,
            identifier=identifier,
            number=self.count,
            keep=self.rules.write,
        )
        for rule in parameter.validators:
            if isinstance(rule, DataRule):
                problem = rule.data_problem(dataset)
                if problem:
                    raise ParameterError(
                        f"“{parameter.label or name}” cannot take “{file.name}”: {problem}",
                        name=name,
                        hint="Choose another layer or file.",
                    )
        return dataset

    def collection(
        self,
        collection: DataCollection | None,
        parameter: DataParameter,
        name: str,
        identifier: str = "",
    ) -> CollectionValue:
        elements: dict[str, DatasetValue | CollectionValue] = {}
        if collection is not None and not identifier:
            collection = promoted(collection, parameter.collection)
            kinds = [re.sub(EITHER, f"(paired|{EITHER})", kind) for kind in parameter.collection]
            fits = any(re.fullmatch(kind, collection.type) for kind in kinds)
            if not fits and parameter.collection != ANY_COLLECTION:
                raise ParameterError(
                    f"“{parameter.label or name}” takes a collection of the type "
                    f"{' or '.join(parameter.collection)}, not {collection.type}.",
                    name=name,
                )
            if problem := misfit(collection):
                raise ParameterError(
                    f"“{parameter.label or name}” cannot take this collection: {problem}",
                    name=name,
                    hint="Give it the elements that its type asks for.",
                )
        given = collection.elements if collection else ()
        clean = [safe_identifier(key) or safe_name(entry.name) for key, entry in given]
        keys = self.rules.apart(parameter, [key for key, _ in given], clean)
        for key, (_, entry) in zip(keys, given, strict=True):
            if isinstance(entry, DataCollection):
                elements[key] = self.collection(entry, parameter, name, key)
            else:
                elements[key] = self.dataset(entry, parameter, name, key)
        return CollectionValue(collection, elements, self.rules, identifier)


def _texts(value: object) -> list[str]:
    return [str(entry) for entry in (value if isinstance(value, list | tuple) else [value])]


def _as_files(
    value: object, formats: Formats
) -> DataFile | DataCollection | list[DataFile] | None:
    """Paths are taken for files; what is neither is a mistake of the caller."""
    if value is None or isinstance(value, DataFile | DataCollection):
        return value
    if isinstance(value, str | Path):
        path = Path(value)
        return DataFile(path, file_type(path, formats=formats), path.name)
    if isinstance(value, list | tuple):
        return [file for entry in value for _, file in _flat(_as_files(entry, formats))]
    raise TypeError(f"{value!r} is no dataset; it must be exported first")


def _flat(value: DataFile | DataCollection | list[DataFile] | None) -> list[tuple[str, DataFile]]:
    if value is None:
        return []
    if isinstance(value, DataFile):
        return [("", value)]
    if isinstance(value, list):
        return [("", file) for file in value]
    found: list[tuple[str, DataFile]] = []
    for identifier, entry in value.elements:
        if isinstance(entry, DataFile):
            found.append((identifier, entry))
        else:
            found += _flat(entry)
    return found


def _as_collection(
    parameter: DataParameter, value: DataFile | DataCollection | list[DataFile] | None
) -> DataCollection | None:
    """Several layers become a list; two become a pair where only a pair is taken."""
    if value is None or isinstance(value, DataCollection):
        return value
    files = [value] if isinstance(value, DataFile) else value
    kind = "list" if "list" in parameter.collection else parameter.collection[0]
    label = parameter.label or parameter.name
    if kind in ("paired", EITHER) and len(files) == 2:
        names = ["forward", "reverse"]
    elif kind == EITHER and len(files) == 1:
        names = ["unpaired"]
    elif kind in ("paired", EITHER):
        raise ParameterError(
            f"“{label}” takes a pair, the forward one first, not {len(files)} datasets.",
            name=parameter.name,
            hint="Choose two layers or files.",
        )
    elif ":" in kind:
        raise ParameterError(
            f"“{label}” takes collections in a collection ({kind}), not single datasets.",
            name=parameter.name,
            hint="A script can give one: DataCollection.",
        )
    else:
        names = [file.name for file in files]
    elements = tuple(zip(names, files, strict=True))
    return DataCollection(kind, elements, label)


def lookup(context: Mapping[str, object], name: str) -> object:
    """Find a template's value by ``cond|name``, ``cond.name``, or the last part alone."""
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


# -- <inputs> as JSON ----------------------------------------------------------------


def inputs_json(
    tool: Tool, values: BoundValues, context: Context, profile: Version, style: str | None
) -> str:
    """Return the text of a ``<configfiles><inputs/>`` file.

    `style`: ``data_style`` of the descriptor; without it datasets are left out.
    """

    def one(leaf: Leaf) -> object:
        return _json_leaf(leaf.parameter, lookup(context, leaf.name), profile, style)

    return json.dumps(rebuild(tool.inputs, values, one, marks=_case_first))


def _case_first(group: Group) -> dict[str, object]:
    """Return the places of a conditional's case: what was asked stands behind them."""
    if group.index is None or group.owner.repeats:
        return {}
    return {item.name: None for item in group.items[1:] if item.name in group.values}


def _json_leaf(parameter: Parameter, value: object, profile: Version, style: str | None) -> object:
    if isinstance(value, DatasetValue | DatasetList | CollectionValue):
        return _json_data(value, style)
    plain = getattr(value, "value", None)
    if isinstance(parameter, FloatParameter | IntegerParameter):
        return plain
    if isinstance(parameter, BooleanParameter):
        return None if plain is None and native(parameter).nullable else bool(plain)
    if isinstance(parameter, SelectParameter):
        if profile < Version("20.05"):
            return str(value)
        if parameter.multiple:
            return [str(entry) for entry in plain or ()]
        return None if plain is None else str(plain)
    if isinstance(parameter, DataColumnParameter):
        entries = plain if isinstance(plain, list) else [plain]
        return [int(str(entry)) for entry in entries if str(entry or "").isdecimal()]
    if isinstance(parameter, DrillDownParameter):
        return list(plain or ())
    return None if plain is None and parameter.optional else str(value)


def _json_data(value: DatasetValue | DatasetList | CollectionValue, style: str | None) -> object:
    if style == "staging_path_and_source_path":
        return value.serialize()
    if style != "paths":
        return ABSENT
    if isinstance(value, CollectionValue):
        return value.all_paths
    files = value if isinstance(value, DatasetList) else [value]
    paths = [str(file) if file else None for file in files]
    return paths if isinstance(value, DatasetList) else paths[0]
