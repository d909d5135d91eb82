"""Values of a tool's parameters: names, defaults, types, checks.

Bound values are plain nested mappings that follow the tree of the inputs:
``{"sigma": 2.0, "cond": {"method": "otsu"}, "rep": [{"x": 1}], "sec": {"y": 3}}``.
Only what applies is in them: the test and the chosen case of a conditional.
Leaves are int, float, bool, str, a tuple of str (several choices), None (absent), or
for data whatever the caller passed (a layer, an array, a path, later a `DataFile`).
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

from napari_tool_runner.errors import ParameterError
from napari_tool_runner.tools.model import (
    BooleanParameter,
    ColorParameter,
    Conditional,
    DataColumnParameter,
    DataParameter,
    DirectoryParameter,
    DrillDownOption,
    DrillDownParameter,
    FileParameter,
    FloatParameter,
    HiddenParameter,
    InputItem,
    IntegerParameter,
    Parameter,
    Repeat,
    Section,
    SelectParameter,
    TextParameter,
    Tool,
)

__all__ = [
    "BoundValues",
    "Leaf",
    "bind",
    "check_value",
    "coerce",
    "default_value",
    "flatten",
    "leaves",
    "map_data",
    "nest",
]

BoundValues: TypeAlias = dict[str, object]

_REPEAT_KEY = re.compile(r"(?P<name>.+)_(?P<index>\d+)$")
_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0", ""})


@dataclass(frozen=True, slots=True)
class Leaf:
    """One bound value and where it lives (`name` as ``rep_0|cond|x``)."""

    name: str
    parameter: Parameter
    value: object


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


def default_value(parameter: Parameter) -> object:
    """Return what `parameter` has when nobody chose (None: nothing)."""
    if isinstance(parameter, DataParameter):
        return None
    if isinstance(parameter, TextParameter | FileParameter | DirectoryParameter):
        return None if parameter.optional and not parameter.default else parameter.default
    return cast("object", parameter.default)


def coerce(parameter: Parameter, value: object, name: str = "") -> object:
    """Convert `value` (often text) to the type of `parameter`; data pass unchanged.

    Raises
    ------
    ParameterError
        When it cannot be converted.
    """
    name = name or parameter.name
    if value is None:
        return None
    if isinstance(parameter, IntegerParameter):
        return _integer(parameter, value, name)
    if isinstance(parameter, FloatParameter):
        return _float(parameter, value, name)
    if isinstance(parameter, BooleanParameter):
        return _boolean(parameter, value, name)
    if isinstance(parameter, SelectParameter):
        return _select(parameter, value)
    if isinstance(parameter, DrillDownParameter):
        return tuple(_many(value))
    if isinstance(parameter, DataColumnParameter):
        return tuple(_many(value)) if parameter.multiple else str(value)
    if isinstance(parameter, DataParameter):
        return None if isinstance(value, str) and value == "" else value
    return str(value)


def check_value(parameter: Parameter, value: object) -> str | None:
    """Return one sentence when `value` (already coerced) cannot be used, else None."""
    label = parameter.label or parameter.name
    if value is None or (isinstance(value, tuple) and not value):
        if parameter.optional or isinstance(parameter, HiddenParameter | DrillDownParameter):
            return None
        if isinstance(parameter, SelectParameter) and parameter.multiple:
            return None
        return f"“{label}” needs a value."
    problem = _check_range(parameter, value) or _check_choice(parameter, value)
    if problem:
        return problem
    if isinstance(parameter, DataParameter) and parameter.multiple:
        problem = _check_count(parameter, value)
        if problem:
            return problem
    if isinstance(parameter, DataParameter):
        return None
    for validator in parameter.validators:
        problem = validator.problem(value)
        if problem:
            return problem
    return None


def leaves(items: Sequence[InputItem], values: Mapping[str, object]) -> Iterator[Leaf]:
    """Yield every bound leaf in the order of the form."""
    yield from _leaves(items, values, "")


def map_data(
    items: Sequence[InputItem],
    values: Mapping[str, object],
    convert: Callable[[str, DataParameter, object], object],
) -> BoundValues:
    """Return a copy of bound `values` in which each given data value is converted.

    `convert` gets the full name, the parameter and the value (never None).
    """
    result: BoundValues = {}
    _map_into(items, values, convert, "", result)
    return result


def flatten(items: Sequence[InputItem], values: Mapping[str, object]) -> dict[str, object]:
    """Return bound values as ``{"cond|x": 1, "rep_0|y": 2}``."""
    return {leaf.name: leaf.value for leaf in leaves(items, values)}


def nest(flat: Mapping[str, object]) -> dict[str, object]:
    """Turn ``{"cond|x": 1}`` into ``{"cond": {"x": 1}}``; nested mappings are merged.

    Keys of repeats (``rep_0``) stay as they are here: only the tool's tree knows
    whether ``a_0`` is a repeat or a name.
    """
    nested: dict[str, object] = {}
    for key, value in flat.items():
        parts = key.split("|")
        place = nested
        for part in parts[:-1]:
            inner = place.setdefault(part, {})
            if not isinstance(inner, dict):
                raise ParameterError(
                    f"“{key}” is given inside “{part}”, which also has a value of its own.",
                    name=key,
                    hint="Give one of the two.",
                )
            place = inner
        last = parts[-1]
        present = place.get(last)
        if isinstance(value, Mapping):
            value = nest(cast("Mapping[str, object]", value))
            if isinstance(present, dict):
                value = {**present, **value}
        place[last] = value
    return nested


# -- binding -----------------------------------------------------------------------


def _bind_items(
    items: Sequence[InputItem], given: Mapping[str, object], prefix: str
) -> BoundValues:
    bound: BoundValues = {}
    used: set[str] = set()
    for item in items:
        name = prefix + item.name
        if isinstance(item, Section):
            used.add(item.name)
            bound[item.name] = _bind_items(
                item.items, _mapping(given.get(item.name), name), name + "|"
            )
        elif isinstance(item, Conditional):
            used.add(item.name)
            bound[item.name] = _bind_conditional(item, _mapping(given.get(item.name), name), name)
        elif isinstance(item, Repeat):
            bound[item.name] = _bind_repeat(item, given, name, used)
        else:
            used.add(item.name)
            bound[item.name] = _bind_leaf(item, given, name)
    unknown = [key for key in given if key not in used]
    if unknown:
        known = [item.name for item in items]
        raise _unknown(prefix + unknown[0], unknown[0], known)
    return bound


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
            raise _unknown(f"{name}|{next(iter(rest))}", next(iter(rest)), [])
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


def _bind_repeat(
    item: Repeat, given: Mapping[str, object], name: str, used: set[str]
) -> list[BoundValues]:
    used.add(item.name)
    entries: dict[int, Mapping[str, object]] = {}
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
            entries[index] = _mapping(entry, f"{name}_{index}")
    for key, value in given.items():
        match = _REPEAT_KEY.fullmatch(key)
        if match and match["name"] == item.name:
            used.add(key)
            entries[int(match["index"])] = _mapping(value, key)
    count = max(entries, default=-1) + 1
    if not entries:
        count = max(item.default, item.minimum)
    count = max(count, item.minimum)
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
    return nest(cast("Mapping[str, object]", value))


def _unknown(name: str, key: str, known: Sequence[str]) -> ParameterError:
    near = difflib.get_close_matches(key, known, n=1)
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
    repeats = {item.name for item in tool.inputs if isinstance(item, Repeat)}
    paths: dict[str, set[str]] = {}
    for path in _static_paths(tool.inputs, ""):
        paths.setdefault(path.rsplit("|", 1)[-1], set()).add(path)
    result: dict[str, object] = {}
    for key, value in given.items():
        match = _REPEAT_KEY.fullmatch(key)
        if "|" in key or key in top or (match and match["name"] in repeats):
            result[key] = value
            continue
        candidates = paths.get(key, set())
        if len(candidates) == 1:
            result[next(iter(candidates))] = value
        elif candidates:
            raise ParameterError(
                f"“{key}” could be {' or '.join(sorted(candidates))}.",
                name=key,
                hint="Give the full name.",
            )
        else:
            result[key] = value
    return result


def _static_paths(items: Sequence[InputItem], prefix: str) -> Iterator[str]:
    for item in items:
        if isinstance(item, Section):
            yield from _static_paths(item.items, f"{prefix}{item.name}|")
        elif isinstance(item, Conditional):
            yield f"{prefix}{item.name}|{item.test.name}"
            for case in item.cases:
                yield from _static_paths(case.items, f"{prefix}{item.name}|")
        elif not isinstance(item, Repeat):
            yield prefix + item.name


# -- conversion of one value ---------------------------------------------------------


def _integer(parameter: IntegerParameter, value: object, name: str) -> int | None:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        text = value.strip()
        if not text:
            return None
        if re.fullmatch(r"[+-]?\d{1,4000}", text):  # Python reads no longer ones
            return int(text)
    index = getattr(value, "__index__", None)
    if callable(index):
        return int(index())
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if math.isfinite(number) and number == int(number):
        return int(number)
    raise ParameterError(
        f"“{parameter.label or name}” must be a whole number, not {value!r}.", name=name
    )


def _float(parameter: FloatParameter, value: object, name: str) -> float | None:
    if isinstance(value, str) and not value.strip():
        return None
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError) as error:
        raise ParameterError(
            f"“{parameter.label or name}” must be a number, not {value!r}.", name=name
        ) from error


def _boolean(parameter: BooleanParameter, value: object, name: str) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value)
    # the strings of the descriptor win: falsevalue may be "true" of something else
    if parameter.true_value != parameter.false_value:
        if text == parameter.true_value:
            return True
        if text == parameter.false_value:
            return False
    low = text.strip().lower()
    if low in _TRUE:
        return True
    if low in _FALSE:
        return False
    raise ParameterError(
        f"“{parameter.label or name}” must be true or false, not {value!r}.", name=name
    )


def _select(parameter: SelectParameter, value: object) -> str | tuple[str, ...] | None:
    values = {option.value for option in parameter.options}
    by_label = {option.label: option.value for option in parameter.options}

    def one(text: str) -> str:
        return text if text in values else by_label.get(text, text)

    if parameter.multiple:
        if isinstance(value, str) and value in values:
            return (value,)
        return tuple(one(text) for text in _many(value))
    text = str(value)
    if text == "" and "" not in values:
        return None
    return one(text)


def _many(value: object) -> list[str]:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, Sequence | set | frozenset):
        return [str(part) for part in value]
    return [str(value)]


# -- checks --------------------------------------------------------------------------


def _check_range(parameter: Parameter, value: object) -> str | None:
    if not isinstance(parameter, IntegerParameter | FloatParameter):
        return None
    number = cast("int | float", value)
    label = parameter.label or parameter.name
    if number != number:
        return f"“{label}” is not a number."
    low, high = parameter.minimum, parameter.maximum
    if low is not None and number < low:
        return f"“{label}” must be at least {_plain(low)}, not {_plain(number)}."
    if high is not None and number > high:
        return f"“{label}” must be at most {_plain(high)}, not {_plain(number)}."
    return None


def _plain(number: float) -> str:
    return str(number).removesuffix(".0")


def _check_choice(parameter: Parameter, value: object) -> str | None:
    label = parameter.label or parameter.name
    if isinstance(parameter, SelectParameter) and parameter.source is None:
        known = [option.value for option in parameter.options]
        chosen = value if isinstance(value, tuple) else (value,)
        for entry in chosen:
            if entry not in known:
                return f"“{label}” must be one of {', '.join(known)}; {entry!r} is not."
    if isinstance(parameter, DrillDownParameter):
        known = [option.value for option in _tree(parameter.options)]
        for entry in cast("tuple[str, ...]", value):
            if entry not in known:
                return f"“{label}” has no choice {entry!r}."
    if isinstance(parameter, ColorParameter) and not re.fullmatch(r"#[0-9a-fA-F]{6}", str(value)):
        return f"“{label}” must be a colour as #rrggbb, not {value!r}."
    return None


def _check_count(parameter: DataParameter, value: object) -> str | None:
    count = len(value) if isinstance(value, list | tuple) else 1
    label = parameter.label or parameter.name
    if parameter.minimum is not None and count < parameter.minimum:
        return f"“{label}” needs at least {parameter.minimum} datasets, not {count}."
    if parameter.maximum is not None and count > parameter.maximum:
        return f"“{label}” takes at most {parameter.maximum} datasets, not {count}."
    return None


def _tree(options: Sequence[DrillDownOption]) -> Iterator[DrillDownOption]:
    for option in options:
        yield option
        yield from _tree(option.children)


# -- walking -------------------------------------------------------------------------


def _leaves(
    items: Sequence[InputItem], values: Mapping[str, object], prefix: str
) -> Iterator[Leaf]:
    for item in items:
        if item.name not in values:
            continue
        value = values[item.name]
        name = prefix + item.name
        if isinstance(item, Section):
            yield from _leaves(item.items, cast("BoundValues", value), name + "|")
        elif isinstance(item, Conditional):
            inner = cast("BoundValues", value)
            test = inner.get(item.test.name)
            yield Leaf(f"{name}|{item.test.name}", item.test, test)
            case = item.active(test)
            if case is not None:
                yield from _leaves(case.items, inner, name + "|")
        elif isinstance(item, Repeat):
            for index, entry in enumerate(cast("list[BoundValues]", value)):
                yield from _leaves(item.items, entry, f"{name}_{index}|")
        else:
            yield Leaf(name, item, value)


def _map_into(
    items: Sequence[InputItem],
    values: Mapping[str, object],
    convert: Callable[[str, DataParameter, object], object],
    prefix: str,
    result: BoundValues,
) -> None:
    for item in items:
        if item.name not in values:
            continue
        value = values[item.name]
        name = prefix + item.name
        if isinstance(item, Section):
            inner: BoundValues = {}
            result[item.name] = inner
            _map_into(item.items, cast("BoundValues", value), convert, name + "|", inner)
        elif isinstance(item, Conditional):
            given = cast("BoundValues", value)
            test = given.get(item.test.name)
            inner = {item.test.name: test}
            case = item.active(test)
            if case is not None:
                _map_into(case.items, given, convert, name + "|", inner)
            result[item.name] = inner
        elif isinstance(item, Repeat):
            entries: list[BoundValues] = []
            for index, entry in enumerate(cast("list[BoundValues]", value)):
                entries.append({})
                _map_into(item.items, entry, convert, f"{name}_{index}|", entries[-1])
            result[item.name] = entries
        elif isinstance(item, DataParameter) and value is not None:
            result[item.name] = convert(name, item, value)
        else:
            result[item.name] = value
