"""Values of a tool bound to its tree: defaults, conversion, checks, what applies.

Bound values are plain nested mappings that follow the tree of the inputs:
``{"sigma": 2.0, "cond": {"method": "otsu"}, "rep": [{"x": 1}], "sec": {"y": 3}}``.
Only what applies is in them: the test and the chosen case of a conditional, and of
parameters that have an effect with some values of others only those that have one.
Leaves are int, float, bool, str, a tuple of str (several choices), None (absent), or
for data whatever the caller passed (a layer, an array, a path, later a `DataFile`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress

from napari_tool_runner.data_classes import dataclass
from napari_tool_runner.errors import ParameterError
from napari_tool_runner.names import count_text
from napari_tool_runner.tools.effect import without_effect
from napari_tool_runner.tools.model import (
    Conditional,
    DataParameter,
    InputItem,
    Parameter,
    ParameterBase,
    Repeat,
    Section,
    Tool,
)
from napari_tool_runner.tools.tree import BoundValues, places
from napari_tool_runner.tools.values import check_value, coerce, default_value
from napari_tool_runner.tools.wording import label_of, value_words

__all__ = ["MAX_ENTRIES", "bind", "nest"]

_REPEAT_KEY = re.compile(r"(?P<name>.+)_(?P<index>\d{1,9})$")
MAX_ENTRIES = 10_000
"""Entries of one repeat; a larger number is a slip of the pen (``rep_999999999|x``)."""


def bind(
    tool: Tool,
    values: Mapping[str, object] | None = None,
    *,
    idle: bool = False,
    told: Callable[[str], object] = lambda _: None,
) -> BoundValues:
    """Fill defaults into `values`, convert and check each, and return all that apply.

    Parameters
    ----------
    tool : Tool
    values : mapping
        Nested (``{"cond": {"x": 1}}``), flat (``{"cond|x": 1, "rep_0|y": 2}``) or
        mixed. A name that is unique in the tool may stand without its containers.
        Numbers and booleans may be text.
    idle : bool
        Also what has no effect with these values, as far as it has a value: a sweep may
        change what decides.
    told : callable
        Gets a sentence on each value, other than the default, that is given in vain.

    Raises
    ------
    ParameterError
        Unknown name, missing required value, wrong type, out of range, or a
        validator's word.
    """
    return _Binder(idle, told).items(tool.inputs, nest(_qualify(tool, values or {})), "")


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


@dataclass(frozen=True, slots=True)
class _Binder:
    """Binds the groups of a tree; see `bind`."""

    idle: bool
    told: Callable[[str], object]

    def items(
        self, items: Sequence[InputItem], given: Mapping[str, object], prefix: str
    ) -> BoundValues:
        """Bind what stands beside each other."""
        _check_names(items, given, prefix)  # first: a slip in a name explains what is missing
        bound: BoundValues = {}
        vain = _in_vain(items, given, prefix)
        for item in items:
            name = prefix + item.name
            if isinstance(item, Section):
                inner = _mapping(given.get(item.name), name)
                bound[item.name] = self.items(item.items, inner, name + "|")
            elif isinstance(item, Conditional):
                inner = _mapping(given.get(item.name), name)
                bound[item.name] = self._conditional(item, inner, name)
            elif isinstance(item, Repeat):
                bound[item.name] = self._repeat(item, given, name)
            elif item.name not in vain:
                bound[item.name] = _bind_leaf(item, given, name)
            elif self.idle:
                with suppress(ParameterError):  # it is judged where it has an effect
                    bound[item.name] = _bind_leaf(item, given, name)
            elif given.get(item.name) is not None and not _is_default(item, given[item.name]):
                self.told(vain[item.name])
        return bound

    def _conditional(
        self, item: Conditional, given: Mapping[str, object], name: str
    ) -> BoundValues:
        test = _bind_leaf(item.test, given, f"{name}|{item.test.name}")
        case = item.active(test)
        rest = {key: value for key, value in given.items() if key != item.test.name}
        if case is None:
            if rest:
                raise _unknown(f"{name}|{next(iter(rest))}", next(iter(rest)), ())
            return {item.test.name: test}
        try:
            inner = self.items(case.items, rest, name + "|")
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

    def _repeat(self, item: Repeat, given: Mapping[str, object], name: str) -> list[BoundValues]:
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
                f"“{name}” cannot be given {count_text(count, 'time')}.",
                name=name,
                hint=f"Number the entries from {name}_0 on.",
            )
        if item.maximum is not None and count > item.maximum:
            raise ParameterError(
                f"“{name}” may be given {count_text(item.maximum, 'time')} at most, not {count}.",
                name=name,
            )
        return [
            self.items(item.items, entries.get(index, {}), f"{name}_{index}|")
            for index in range(count)
        ]


def _check_names(items: Sequence[InputItem], given: Mapping[str, object], prefix: str) -> None:
    known = {item.name for item in items}
    repeats = {item.name for item in items if item.repeats}
    for key in given:
        if key not in known and not _of_repeat(key, repeats):
            raise _unknown(prefix + key, key, items)


def _of_repeat(key: str, repeats: Set[str]) -> bool:
    match = _REPEAT_KEY.fullmatch(key)
    return match is not None and match["name"] in repeats


def _bind_leaf(parameter: Parameter, given: Mapping[str, object], name: str) -> object:
    value = _given(parameter, given, name)
    problem = check_value(parameter, value)
    if problem:
        raise ParameterError(f"{name}: {problem}", name=name)
    return value


def _given(parameter: Parameter, given: Mapping[str, object], name: str) -> object:
    """Return the value that was given, in its type, else the default."""
    value = coerce(parameter, given.get(parameter.name), name)
    if value is None and not (parameter.optional and parameter.name in given):
        value = default_value(parameter)
    return value


def _in_vain(
    items: Sequence[InputItem], given: Mapping[str, object], prefix: str
) -> dict[str, str]:
    """Return the parameters that have no effect -> a sentence on why not."""
    known = {item.name: item for item in items if isinstance(item, ParameterBase)}
    conditions = {name: item.applies for name, item in known.items() if item.applies}
    deciding = {one.name: known[one.name] for asked in conditions.values() for one in asked}
    values = {name: _given(item, given, prefix + name) for name, item in deciding.items()}
    sentences = {}
    for name, condition in without_effect(conditions, values).items():
        decides, value = deciding[condition.name], values[condition.name]
        if isinstance(decides, DataParameter) or value is None:
            state = "is empty" if value is None else "is given"
        else:
            state = f"is “{value_words(decides, value)}”"
        what = f"“{label_of(known[name])}” has no effect while “{label_of(decides)}” {state}."
        sentences[name] = what
    return sentences


def _is_default(parameter: Parameter, value: object) -> bool:
    try:
        return bool(coerce(parameter, value) == default_value(parameter))
    except (ParameterError, ValueError):  # an array is compared number by number
        return False


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
    from difflib import get_close_matches

    near = get_close_matches(key, known, n=1)
    if key.casefold() in labels:
        near = [labels[key.casefold()]]
    if near:
        hint = f"Did you mean “{near[0]}”?"
    elif known:
        hint = f"It has: {', '.join(known)}."
    else:
        hint = "Nothing can be set there."
    return ParameterError(f"The tool has no parameter “{name}”.", name=name, hint=hint)


def _qualify(tool: Tool, given: Mapping[str, object]) -> dict[str, object]:
    """Give bare names of inner parameters their full name, when it is unique."""
    top = {item.name for item in tool.inputs}
    repeats = {item.name for item in tool.inputs if item.repeats}
    paths: dict[str, set[str]] = {}
    for place in places(tool.inputs):
        if isinstance(place.item, ParameterBase) and not place.repeated:
            paths.setdefault(place.item.name, set()).add(place.name)
    result: dict[str, object] = {}
    for key, value in given.items():
        full = {key} if "|" in key or key in top or _of_repeat(key, repeats) else paths.get(key)
        if full is not None and len(full) > 1:
            raise ParameterError(
                f"“{key}” could be {' or '.join(sorted(full))}.",
                name=key,
                hint="Give the full name.",
            )
        name = next(iter(full or {key}))
        if name != key and name in given:
            raise ParameterError(
                f"“{name}” is given twice, also as “{key}”.", name=name, hint="Give it once."
            )
        result[name] = value
    return result
