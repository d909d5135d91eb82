"""Values of a tool's parameters: names, defaults, types, checks.

Bound values are plain nested mappings that follow the tree of the inputs:
``{"sigma": 2.0, "cond": {"method": "otsu"}, "rep": [{"x": 1}], "sec": {"y": 3}}``.
Only what applies is in them: the test and the chosen case of a conditional.
Leaves are int, float, bool, str, a tuple of str (several choices), None (absent), or
for data whatever the caller passed (a layer, an array, a path, later a `DataFile`).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence

from napari_tool_runner.errors import ParameterError
from napari_tool_runner.tools.coercion import check_value, coerce, default_value
from napari_tool_runner.tools.model import (
    Conditional,
    InputItem,
    Parameter,
    ParameterBase,
    Repeat,
    Section,
    Tool,
)
from napari_tool_runner.tools.tree import BoundValues, places

__all__ = ["MAX_ENTRIES", "bind", "check_value", "coerce", "default_value", "nest"]

_REPEAT_KEY = re.compile(r"(?P<name>.+)_(?P<index>\d{1,9})$")


MAX_ENTRIES = 10_000
"""Entries of one repeat; a larger number is a slip of the pen (``rep_999999999|x``)."""


def bind(tool: Tool, values: Mapping[str, object] | None = None) -> BoundValues:
    """Fill defaults into `values`, convert and check each, and return all that apply.

    Parameters
    ----------
    tool : Tool
    values : mapping
        Nested (``{"cond": {"x": 1}}``), flat (``{"cond|x": 1, "rep_0|y": 2}``) or
        mixed. A name that is unique in the tool may stand without its containers.
        Numbers and booleans may be text.

    Raises
    ------
    ParameterError
        Unknown name, missing required value, wrong type, out of range, or a
        validator's word.
    """
    given = _qualify(tool, dict(values or {}))
    nested = nest(given)
    return _bind_items(tool.inputs, nested, "")


def nest(flat: Mapping[str, object]) -> dict[str, object]:
    """Turn ``{"cond|x": 1}`` into ``{"cond": {"x": 1}}``; nested mappings are merged.

    Keys of repeats (``rep_0``) stay as they are here: only the tool's tree knows
    whether ``a_0`` is a repeat or a name.
    """
    nested: dict[str, object] = {}
    for key, value in flat.items():
        *containers, last = key.split("|")
        if isinstance(value, Mapping):
            value = nest(value)
        for part in reversed(containers):
            value, last = {last: value}, part
        _merge(nested, {last: value}, "")
    return nested


def _merge(into: dict[str, object], given: Mapping[str, object], prefix: str) -> None:
    """Add `given` to `into`, mapping by mapping."""
    for key, value in given.items():
        present = into.get(key)
        if isinstance(present, dict) and isinstance(value, Mapping):
            _merge(present, value, f"{prefix}{key}|")
        elif key in into:
            raise ParameterError(
                f"“{prefix}{key}” is given twice, in different ways.",
                name=prefix + key,
                hint="Give it once.",
            )
        else:
            into[key] = value


# -- binding -----------------------------------------------------------------------


def _bind_items(
    items: Sequence[InputItem], given: Mapping[str, object], prefix: str
) -> BoundValues:
    _check_names(items, given, prefix)  # first: a slip in a name explains what is missing
    bound: BoundValues = {}
    for item in items:
        name = prefix + item.name
        if isinstance(item, Section):
            bound[item.name] = _bind_items(
                item.items, _mapping(given.get(item.name), name), name + "|"
            )
        elif isinstance(item, Conditional):
            bound[item.name] = _bind_conditional(item, _mapping(given.get(item.name), name), name)
        elif isinstance(item, Repeat):
            bound[item.name] = _bind_repeat(item, given, name)
        else:
            bound[item.name] = _bind_leaf(item, given, name)
    return bound


def _check_names(items: Sequence[InputItem], given: Mapping[str, object], prefix: str) -> None:
    known = {item.name for item in items}
    repeats = {item.name for item in items if item.repeats}
    for key in given:
        match = _REPEAT_KEY.fullmatch(key)
        if key not in known and not (match and match["name"] in repeats):
            raise _unknown(prefix + key, key, items)


def _bind_leaf(parameter: Parameter, given: Mapping[str, object], name: str) -> object:
    if parameter.name in given:
        value = coerce(parameter, given[parameter.name], name)
        if value is None and not parameter.optional:
            value = default_value(parameter)
    else:
        value = default_value(parameter)
    problem = check_value(parameter, value)
    if problem:
        raise ParameterError(f"{name}: {problem}", name=name)
    return value


def _bind_conditional(item: Conditional, given: Mapping[str, object], name: str) -> BoundValues:
    test = _bind_leaf(item.test, given, f"{name}|{item.test.name}")
    case = item.active(test)
    rest = {key: value for key, value in given.items() if key != item.test.name}
    if case is None:
        if rest:
            raise _unknown(f"{name}|{next(iter(rest))}", next(iter(rest)), ())
        return {item.test.name: test}
    try:
        inner = _bind_items(case.items, rest, name + "|")
    except ParameterError as error:
        elsewhere = [
            other.value
            for other in item.cases
            if other is not case
            and any(f"{name}|{entry.name}" == error.name for entry in other.items)
        ]
        if elsewhere and error.name.rsplit("|", 1)[-1] in rest:
            raise ParameterError(
                f"“{error.name}” does not apply while “{item.test.name}” is “{case.value}”.",
                name=error.name,
                hint=f"It belongs to {item.test.name} = {' or '.join(elsewhere)}.",
            ) from error
        raise
    return {item.test.name: test, **inner}


def _bind_repeat(item: Repeat, given: Mapping[str, object], name: str) -> list[BoundValues]:
    entries: dict[int, dict[str, object]] = {}
    whole = given.get(item.name)
    if isinstance(whole, Mapping):
        whole = [whole]
    if whole is not None:
        if not isinstance(whole, Sequence) or isinstance(whole, str):
            raise ParameterError(
                f"“{name}” is repeated, but its value is {whole!r}.",
                name=name,
                hint=f"Give a list of mappings, or {name}_0|…, {name}_1|….",
            )
        for index, entry in enumerate(whole):
            entries[index] = dict(_mapping(entry, f"{name}_{index}"))
    for key, value in given.items():
        match = _REPEAT_KEY.fullmatch(key)
        if match and match["name"] == item.name:
            index = int(match["index"])
            _merge(entries.setdefault(index, {}), _mapping(value, key), f"{name}_{index}|")
    count = max(entries, default=-1) + 1
    if not entries:
        count = max(item.default, item.minimum)
    count = max(count, item.minimum)
    if count > MAX_ENTRIES:
        raise ParameterError(
            f"“{name}” cannot be given {count} times.",
            name=name,
            hint=f"Number the entries from {name}_0 on.",
        )
    if item.maximum is not None and count > item.maximum:
        raise ParameterError(
            f"“{name}” may be given at most {item.maximum} times, not {count}.", name=name
        )
    return [
        _bind_items(item.items, entries.get(index, {}), f"{name}_{index}|")
        for index in range(count)
    ]


def _mapping(value: object, name: str) -> Mapping[str, object]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ParameterError(
            f"“{name}” holds other parameters; it cannot be {value!r}.",
            name=name,
            hint=f"Name what is inside it, as {name}|NAME=VALUE.",
        )
    return nest(value)


def _unknown(name: str, key: str, items: Sequence[InputItem]) -> ParameterError:
    known = [item.name for item in items]
    labels = {item.label.casefold(): item.name for item in items if item.label}
    near = difflib.get_close_matches(key, known, n=1)
    if key.casefold() in labels:
        near = [labels[key.casefold()]]
    if near:
        hint = f"Did you mean “{near[0]}”?"
    elif known:
        hint = f"It has: {', '.join(known)}."
    else:
        hint = "Nothing can be set there."
    return ParameterError(f"The tool has no parameter “{name}”.", name=name, hint=hint)


def _qualify(tool: Tool, given: dict[str, object]) -> dict[str, object]:
    """Give bare names of inner parameters their full name, when it is unique."""
    top = {item.name for item in tool.inputs}
    repeats = {item.name for item in tool.inputs if item.repeats}
    paths: dict[str, set[str]] = {}
    for place in places(tool.inputs):
        if isinstance(place.item, ParameterBase) and not place.repeated:
            paths.setdefault(place.item.name, set()).add(place.name)
    result: dict[str, object] = {}
    for key, value in given.items():
        match = _REPEAT_KEY.fullmatch(key)
        if "|" in key or key in top or (match and match["name"] in repeats):
            result[key] = value
            continue
        candidates = paths.get(key, set())
        if len(candidates) == 1:
            full = next(iter(candidates))
            if full in given:
                raise ParameterError(
                    f"“{full}” is given twice, also as “{key}”.", name=full, hint="Give it once."
                )
            result[full] = value
        elif candidates:
            raise ParameterError(
                f"“{key}” could be {' or '.join(sorted(candidates))}.",
                name=key,
                hint="Give the full name.",
            )
        else:
            result[key] = value
    return result
