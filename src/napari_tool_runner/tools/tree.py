"""The one walk over a tool's parameters, with values or without.

Values follow the tree of the inputs: ``{"sigma": 2.0, "cond": {"method": "otsu"},
"rep": [{"x": 1}], "sec": {"y": 3}}``. A full name leads through it as
``rep_0|cond|x``. Whoever has to go over parameters or their values does it here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from itertools import count, takewhile
from pathlib import Path
from typing import Final, TypeAlias

from napari_tool_runner.data_classes import dataclass, replace
from napari_tool_runner.tools.model import (
    Conditional,
    DataParameter,
    DirectoryParameter,
    FileParameter,
    InputItem,
    Parameter,
    ParameterBase,
    Repeat,
    Section,
)

__all__ = [
    "ABSENT",
    "BoundValues",
    "Group",
    "Leaf",
    "Place",
    "beside",
    "chosen_places",
    "find_parameter",
    "groups",
    "leaves",
    "map_data",
    "missing_files",
    "paths_of",
    "places",
    "rebuild",
    "remade",
    "with_lists",
    "with_value",
]

BoundValues: TypeAlias = dict[str, object]


class _Absent(Enum):
    ABSENT = "absent"


ABSENT: Final = _Absent.ABSENT
"""The value of a place that has none, not even None."""


@dataclass(frozen=True, slots=True)
class Place:
    """A parameter or container of the form, whatever the values.

    Parameters
    ----------
    name : str
        Its full name; the entries of a repeat stand as ``rep_0``.
    decides : bool
        It is what a conditional asks.
    repeated : bool
        It lies in a repeat.
    """

    name: str
    item: InputItem
    decides: bool = False
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Items that apply together inside a container, and their values.

    Parameters
    ----------
    name : str
        Full name of the place: ``sec``, ``cond``, ``rep_0``.
    index : int or None
        Number of the entry of a repeat, or of the chosen case of a conditional.
    """

    name: str
    owner: Section | Conditional | Repeat
    items: tuple[InputItem, ...]
    values: Mapping[str, object]
    index: int | None = None


@dataclass(frozen=True, slots=True)
class Leaf:
    """One value and where it lives (`name` as ``rep_0|cond|x``)."""

    name: str
    parameter: Parameter
    value: object


def places(items: Sequence[InputItem], prefix: str = "", *, repeated: bool = False) -> list[Place]:
    """Return every place, also those of cases that are not chosen, depth first."""
    found: list[Place] = []
    for item in items:
        name = prefix + item.name
        found.append(Place(name, item, repeated=repeated))
        if isinstance(item, ParameterBase):
            continue
        inner = f"{name}_0|" if item.repeats else f"{name}|"
        below = repeated or item.repeats
        for number, group in enumerate(item.inside):
            if isinstance(item, Conditional) and number == 0:
                found.append(
                    Place(f"{inner}{item.test.name}", item.test, decides=True, repeated=below)
                )
            else:
                found += places(group, inner, repeated=below)
    return found


def groups(
    item: Section | Conditional | Repeat, value: object, name: str, *, opened: bool = False
) -> list[Group]:
    """Return what applies inside a container: one group, or one each entry of a repeat.

    `opened`: with the entries that a repeat has before it is touched.

    Parameters
    ----------
    value : object
        The container's value; what has another shape counts as empty.
    name : str
        Its full name.
    """
    if isinstance(item, Repeat):
        entries = value if isinstance(value, Sequence) and not isinstance(value, str) else ()
        found = [
            Group(f"{name}_{index}", item, item.items, _mapping(entry), index)
            for index, entry in enumerate(entries)
        ]
        least = range(len(found), item.opens_with if opened else 0)
        return found + [Group(f"{name}_{index}", item, item.items, {}, index) for index in least]
    values = _mapping(value)
    if isinstance(item, Section):
        return [Group(name, item, item.items, values)]
    case = item.active(values.get(item.test.name, item.test.default))
    if case is None:
        return [Group(name, item, (item.test,), values)]
    return [Group(name, item, (item.test, *case.items), values, item.cases.index(case))]


def beside(values: Mapping[str, object], name: str) -> dict[str, object]:
    """Return `values` as the parameter called `name` sees them: what is nearest goes first."""
    scope, place = dict(values), values
    for part in name.split("|")[:-1]:
        repeat, _, index = part.rpartition("_")
        inner = place.get(part)
        if inner is None and isinstance(entries := place.get(repeat), list):
            inner = entries[int(index)]
        if not isinstance(inner, Mapping):
            break
        place = inner
        scope |= place
    return scope


def remade(
    item: Section | Conditional | Repeat,
    change: Callable[[tuple[InputItem, ...]], tuple[InputItem, ...]],
) -> Section | Conditional | Repeat:
    """Return a container in which each group of items is what `change` makes of it."""
    if isinstance(item, Conditional):
        return replace(
            item, cases=tuple(replace(case, items=change(case.items)) for case in item.cases)
        )
    return replace(item, items=change(item.items))


def leaves(
    items: Sequence[InputItem], values: Mapping[str, object], prefix: str = ""
) -> tuple[Leaf, ...]:
    """Return every value that applies, in the order of the form."""
    found: list[Leaf] = []
    for item in items:
        if item.name not in values:
            continue
        name = prefix + item.name
        if isinstance(item, ParameterBase):
            found.append(Leaf(name, item, values[item.name]))
            continue
        for group in groups(item, values[item.name], name):
            found += leaves(group.items, group.values, f"{group.name}|")
    return tuple(found)


def rebuild(
    items: Sequence[InputItem],
    values: Mapping[str, object],
    leaf: Callable[[Leaf], object],
    *,
    prefix: str = "",
    marks: Callable[[Group], Mapping[str, object]] | None = None,
    complete: bool = False,
) -> dict[str, object]:
    """Return values of the same shape in which each leaf is what `leaf` makes of it.

    Parameters
    ----------
    leaf : callable
        What it returns takes the value's place; `ABSENT` leaves it out.
    marks : callable, optional
        Further names for the values of a group.
    complete : bool
        Places that `values` lack are visited, too: parameters with `ABSENT`,
        containers as empty ones.
    """
    result: dict[str, object] = {}
    for item in items:
        value = values.get(item.name, ABSENT)
        if value is ABSENT and not complete:
            continue
        name = prefix + item.name
        if isinstance(item, ParameterBase):
            made = leaf(Leaf(name, item, value))
            if made is not ABSENT:
                result[item.name] = made
            continue
        entries: list[dict[str, object]] = []
        for group in groups(item, value, name):
            below = f"{group.name}|"
            inner = rebuild(
                group.items, group.values, leaf, prefix=below, marks=marks, complete=complete
            )
            entries.append({**(marks(group) if marks else {}), **inner})
        result[item.name] = entries if item.repeats else entries[0]
    return result


def map_data(
    items: Sequence[InputItem],
    values: Mapping[str, object],
    convert: Callable[[str, DataParameter, object], object],
) -> BoundValues:
    """Return a copy of bound `values` in which each given data value is converted.

    `convert` gets the full name, the parameter and the value (never None).
    """

    def one(leaf: Leaf) -> object:
        if isinstance(leaf.parameter, DataParameter) and leaf.value is not None:
            return convert(leaf.name, leaf.parameter, leaf.value)
        return leaf.value

    return rebuild(items, values, one)


def with_lists(items: Sequence[InputItem], values: Mapping[str, object]) -> dict[str, object]:
    """Return nested `values` with the entries ``rep_0``, ``rep_1``… of repeats as lists.

    Names that the tree does not have are kept.
    """
    left = dict(values)
    found: dict[str, object] = {}
    for item in items:
        if item.repeats:
            names = (f"{item.name}_{number}" for number in count())
            keys = list(takewhile(left.__contains__, names))
            left.setdefault(item.name, [left.pop(key) for key in keys])
        if item.name not in left:
            continue
        value = left.pop(item.name)
        if not isinstance(item, ParameterBase):
            inner = groups(item, value, item.name)
            entries = [with_lists(one.items, one.values) for one in inner]
            value = entries if item.repeats else entries[0]
        found[item.name] = value
    return found | left


def with_value(values: BoundValues, name: str, value: object, decides: bool) -> BoundValues:
    """Return bound `values` in which the place called `name` has another value.

    `decides`: it is what a conditional asks, so what belongs to another case goes.

    Raises
    ------
    KeyError, IndexError
        There is no such place among `values`.
    """
    first, _, rest = name.partition("|")
    if not rest:
        same = not decides or values[first] == value
        return {**values, first: value} if same else {first: value}
    if first in values:
        inner = with_value(_bound(values[first]), rest, value, decides)
        return {**values, first: inner}
    repeat, _, index = first.rpartition("_")
    found = values[repeat]
    entries = [*found] if isinstance(found, list) else []
    entries[int(index)] = with_value(_bound(entries[int(index)]), rest, value, decides)
    return {**values, repeat: entries}


def find_parameter(items: Sequence[InputItem], name: str) -> Parameter | None:
    """Return the parameter with the full name `name` (``rep_2|cond|x``), None if none."""
    wanted = name.split("|")

    def walk(below: Sequence[InputItem], parts: Sequence[str]) -> Parameter | None:
        for item in below:
            entry = item.repeats and re.fullmatch(rf"{re.escape(item.name)}_\d+", parts[0])
            if item.name != parts[0] and not entry:
                continue
            if isinstance(item, ParameterBase):
                return item
            inner = [each for group in item.inside for each in group]
            return walk(inner, parts[1:]) if len(parts) > 1 else None
        return None

    return walk(items, wanted)


def missing_files(
    items: Sequence[InputItem], values: Mapping[str, object]
) -> list[tuple[str, Path]]:
    """Return full name and path of each file that data values name and that is not there."""
    return [
        (leaf.name, path)
        for leaf in leaves(items, values)
        if isinstance(leaf.parameter, DataParameter)
        for path in paths_of(leaf.value)
        if not os.path.exists(path)
    ]


def paths_of(value: object) -> list[Path]:
    """Return the paths that a data value of a test or a call names: one, several or none."""
    if isinstance(value, str | Path):
        return [Path(value)]
    if isinstance(value, list | tuple):
        return [path for entry in value for path in paths_of(entry)]
    return []


def chosen_places(found: Iterable[Leaf]) -> list[Path]:
    """Return the files and folders that somebody chose as values that are no data.

    What the descriptor itself proposes is nobody's choice (it could name a person's keys), and
    a home, with all that lies around it, is more than a tool is given.
    """
    from napari_tool_runner.tools.private import holds_home  # knows where the settings lie

    chosen = [
        Path(str(leaf.value)).absolute()
        for leaf in found
        if isinstance(leaf.parameter, FileParameter | DirectoryParameter)
        and leaf.value
        and str(leaf.value) != leaf.parameter.default
    ]
    return [path for path in chosen if not holds_home(path)]


def _bound(value: object) -> BoundValues:
    return dict(_mapping(value))


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
