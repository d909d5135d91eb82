"""The ``<tests>`` of a descriptor, as values that `bind` takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from napari_tool_runner.data_classes import dataclass
from napari_tool_runner.tools.dialect import DataCollection, DataFile
from napari_tool_runner.tools.file_types import file_type
from napari_tool_runner.tools.galaxy.options import ComputedOptions
from napari_tool_runner.tools.galaxy.source import native
from napari_tool_runner.tools.model import (
    BooleanParameter,
    DataColumnParameter,
    DataParameter,
    FloatParameter,
    InputItem,
    IntegerParameter,
    Parameter,
    ParameterBase,
    SelectParameter,
    TestOutput,
    ToolTest,
)
from napari_tool_runner.tools.tree import ABSENT, Leaf, find_parameter, groups, places, rebuild

if TYPE_CHECKING:
    from galaxy.tool_util.parameters import ToolParameterT
    from galaxy.tool_util.parser.interface import ToolSourceTest

    from napari_tool_runner.tools.common import Notes
    from napari_tool_runner.tools.galaxy.source import GalaxySource

__all__ = ["read_tests"]

_FETCH = "its data would be fetched from the web ({}), and nothing is fetched here"


def read_tests(
    source: GalaxySource, inputs: tuple[InputItem, ...], notes: Notes
) -> tuple[ToolTest, ...]:
    """Read every ``<test>``; one that cannot run here is kept, with ``extra["skip"]``.

    ``extra`` also holds ``galaxy``, the test as Galaxy parses it, for `verify`.
    """
    if source.root.find("tests") is None:
        return ()
    try:
        raw = source.tool.parse_tests_to_dict()["tests"]
    except Exception as error:  # noqa: BLE001 - Galaxy raises bare exceptions here
        notes.warning("tests", f"They cannot be read: {error}")
        return ()
    models = _models(source, notes)
    tests = []
    for index, test in enumerate(raw):
        tests.append(_Reader(source, inputs, models).read(test, index))
    return tuple(tests)


def _models(source: GalaxySource, notes: Notes) -> list[ToolParameterT] | None:
    from galaxy.tool_util.parameters import input_models_for_tool_source

    try:
        return list(input_models_for_tool_source(source.without_code()).parameters)
    except Exception as error:  # noqa: BLE001 - pydantic and Galaxy raise many kinds
        notes.info(
            "tests",
            f"Galaxy's parameter models do not take these inputs ({_first(error)}); "
            "tests are read by names alone.",
        )
        return None


@dataclass(slots=True)
class _Reader:
    source: GalaxySource
    inputs: tuple[InputItem, ...]
    models: list[ToolParameterT] | None
    skip: str = ""

    def read(self, test: ToolSourceTest, index: int) -> ToolTest:
        values: dict[str, object] = {}
        if any(entry["attributes"].get("composite_data") for entry in test["inputs"]):
            self.skip = "it uploads a composite dataset, which does not exist here"
        try:
            if self.models is None:
                values = self.by_name(test)
            else:
                state = self.state(test, self.models)
                state = _opened(self.inputs, state)
                values = rebuild(self.inputs, state, self.one, complete=True)
                values = rebuild(
                    self.inputs, values, partial(_first_choice, values), complete=True
                )
        except Exception as error:  # noqa: BLE001 - a test that Galaxy refuses is shown, not fatal
            self.skip = self.skip or f"its values cannot be read: {_first(error)}"
        outputs = tuple(
            TestOutput(
                name=output["name"],
                file=str(output["value"] or ""),
                compare=str(output["attributes"].get("compare") or ""),
                attributes=dict(output["attributes"]),
            )
            for output in test["outputs"]
        )
        for output in outputs:
            self.expected(output.file, output.attributes)
        extra: dict[str, object] = {"galaxy": test}
        if self.skip:
            extra["skip"] = self.skip
        return ToolTest(
            index=index,
            values=values,
            outputs=outputs,
            expect_failure=bool(test["expect_failure"]),
            extra=extra,
        )

    def state(self, test: ToolSourceTest, models: list[ToolParameterT]) -> dict[str, object]:
        """Return the nested values of a test, by Galaxy's own reading of its names."""
        from galaxy.tool_util.parameters import test_case_state

        profile = self.source.tool.parse_profile()
        switches = _switches(self.inputs)
        for entry in test["inputs"]:
            # Galaxy's reading takes only true and false for what a conditional asks
            words = switches.get(str(entry["name"]).rpartition("|")[2])
            if words and entry["value"] in words:
                entry["value"] = "true" if entry["value"] == words[0] else "false"
            number = find_parameter(self.inputs, str(entry["name"]))
            if isinstance(number, IntegerParameter | FloatParameter) and entry["value"] == "":
                entry["value"] = None  # as Galaxy takes it, if it may be empty
        found = test_case_state(test, models, profile, validate=False)
        return dict(found.tool_state.input_state)

    def expected(self, file: str, attributes: Mapping[str, object]) -> None:
        """Refuse a test whose expected file is neither here nor fetched."""
        location = attributes.get("location")
        if file and location and self.source.test_file(file) is None:
            self.skip = self.skip or _FETCH.format(location)

    # -- from Galaxy's state to bound values -------------------------------------------

    def one(self, leaf: Leaf) -> object:
        parameter, value = leaf.parameter, leaf.value
        if isinstance(parameter, DataParameter) and value in (None, ABSENT):
            fetched = native(parameter).fetched
            self.skip = self.skip or (_FETCH.format(fetched) if fetched else "")
        if value is ABSENT:
            return ABSENT
        converted = self.leaf(parameter, value)
        empty = isinstance(parameter, BooleanParameter | IntegerParameter | FloatParameter)
        explicit = value is None and empty and parameter.optional
        return converted if converted is not None or explicit else ABSENT

    def by_name(self, test: ToolSourceTest) -> dict[str, object]:
        """Return the values under the names that the test gives, each converted."""
        found: dict[str, object] = {}
        for entry in test["inputs"]:
            name = str(entry["name"])
            parameter = find_parameter(self.inputs, name)
            if parameter is not None:
                value: object = entry["value"]
                told = dict(entry["attributes"])
                if "ftype" in told and isinstance(value, str):
                    value = [
                        {"class": "File", "path": part, "filetype": told["ftype"]}
                        for part in value.split(",")
                    ]
                value = self.leaf(parameter, value)
                if value is not None:
                    found[name] = value
        return found

    def leaf(self, parameter: Parameter, value: object) -> object:
        if isinstance(parameter, DataParameter):
            return self.data(parameter, value)
        if isinstance(parameter, IntegerParameter | FloatParameter) and value == "":
            return None
        if isinstance(parameter, SelectParameter | DataColumnParameter) and isinstance(
            value, list
        ):
            return tuple(str(entry) for entry in value)
        if isinstance(parameter, SelectParameter) and parameter.multiple and value == "":
            return ()
        if isinstance(parameter, SelectParameter) and value is not None:
            return str(value)
        return value

    def data(self, parameter: DataParameter, value: object) -> object:
        if value is None or value == "" or value == []:
            return None
        if isinstance(value, str):
            value = [{"class": "File", "path": part} for part in value.split(",")]
        if isinstance(value, Mapping):
            if value.get("class") == "Collection":
                return self.collection(value, parameter)
            return self.file(value, parameter)
        files = [self.file(entry, parameter) for entry in _mappings(value)]
        kept = [file for file in files if file is not None]
        return kept if parameter.multiple else next(iter(kept), None)

    def collection(self, value: Mapping[str, object], parameter: DataParameter) -> DataCollection:
        elements: list[tuple[str, DataFile | DataCollection]] = []
        for entry in _mappings(value.get("elements")):
            name = str(entry.get("identifier") or entry.get("name") or "")
            if entry.get("class") == "Collection":
                elements.append((name, self.collection(entry, parameter)))
                continue
            file = self.file(entry, parameter)
            if file is not None:
                elements.append((name, file))
        kind = str(value.get("collection_type") or "list")
        return DataCollection(kind, tuple(elements), str(value.get("name") or parameter.name))

    def file(self, value: Mapping[str, object], parameter: DataParameter) -> DataFile | None:
        wanted = str(value.get("path") or "")
        path = self.source.test_file(wanted) if wanted else None
        if path is None:
            location = str(value.get("location") or "")
            self.skip = self.skip or (
                _FETCH.format(location) if location else f"the test file “{wanted}” is missing"
            )
            return None
        declared = str(value.get("filetype") or "")
        kind = declared or file_type(path, parameter.formats, self.source.formats)
        return DataFile(path, kind, path.name)


def _first_choice(values: Mapping[str, object], leaf: Leaf) -> object:
    """Return the value of a leaf; the first of computed choices where one has to be made.

    `values`: all of the test, which say what the choices are.
    """
    parameter = leaf.parameter
    if leaf.value not in (ABSENT, None) or not isinstance(parameter, SelectParameter):
        return leaf.value
    free = parameter.optional or parameter.multiple or parameter.default is not None
    if free or not isinstance(parameter.source, ComputedOptions):
        return leaf.value
    return next((one.value for one in parameter.source.options(values)), leaf.value)


def _opened(items: Sequence[InputItem], state: Mapping[str, object]) -> dict[str, object]:
    """Return the values of a test with the entries that repeats have before they are touched."""
    found = dict(state)
    for item in items:
        if isinstance(item, ParameterBase):
            continue
        entries = groups(item, state.get(item.name), item.name, opened=True)
        inner = [_opened(one.items, one.values) for one in entries]
        found[item.name] = inner if item.repeats else inner[0]
    return found


def _switches(items: Sequence[InputItem]) -> dict[str, tuple[str, str]]:
    """Return the booleans that conditionals ask, with their texts for true and false.

    A name that also belongs to a parameter of another type is left out.
    """
    found: dict[str, tuple[str, str]] = {}
    others: set[str] = set()
    for place in places(items):
        if isinstance(place.item, BooleanParameter):
            if place.decides:
                found[place.item.name] = (place.item.true_value, place.item.false_value)
        elif isinstance(place.item, ParameterBase):
            others.add(place.item.name)
    return {name: words for name, words in found.items() if name not in others}


def _mappings(value: object) -> list[Mapping[str, object]]:
    entries = value if isinstance(value, list | tuple) else ()
    return [entry for entry in entries if isinstance(entry, Mapping)]


def _first(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
