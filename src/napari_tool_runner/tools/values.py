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
import reprlib
from collections.abc import Mapping, Sequence, Set

from napari_tool_runner.errors import ParameterError
from napari_tool_runner.tools.model import (
    BooleanParameter,
    ColorParameter,
    Conditional,
    DataColumnParameter,
    DataParameter,
    DirectoryParameter,
    DrillDownParameter,
    FileParameter,
    FloatParameter,
    HiddenParameter,
    InputItem,
    IntegerParameter,
    Parameter,
    ParameterBase,
    Repeat,
    Section,
    SelectParameter,
    TextParameter,
    Tool,
)
from napari_tool_runner.tools.patterns import together
from napari_tool_runner.tools.tree import BoundValues, places

__all__ = [
    "FALSE_WORDS",
    "MAX_ENTRIES",
    "TRUE_WORDS",
    "bind",
    "check_value",
    "coerce",
    "datasets",
    "default_value",
    "nest",
]

TRUE_WORDS = frozenset({"true", "yes", "on", "1"})
FALSE_WORDS = frozenset({"false", "no", "off", "0", ""})
_MAX_BITS = 13_000
"""Whole numbers with more bits have more digits than Python writes."""
_COLUMN = re.compile(r"[cC]?[1-9][0-9]{0,8}")
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
    return _bind_items(tool.inputs, nest(_qualify(tool, values or {})), "")


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
        if key not in known and not _of_repeat(key, repeats):
            raise _unknown(prefix + key, key, items)


def _of_repeat(key: str, repeats: Set[str]) -> bool:
    match = _REPEAT_KEY.fullmatch(key)
    return match is not None and match["name"] in repeats


def _bind_leaf(parameter: Parameter, given: Mapping[str, object], name: str) -> object:
    value = coerce(parameter, given.get(parameter.name), name)
    if value is None and not (parameter.optional and parameter.name in given):
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


# -- one value ---------------------------------------------------------------------


def default_value(parameter: Parameter) -> object:
    """Return what `parameter` has when nobody chose (None: nothing)."""
    if isinstance(parameter, DataParameter):
        return None
    if isinstance(parameter, TextParameter | FileParameter | DirectoryParameter):
        nothing = not parameter.default and not getattr(parameter, "empty", False)
        return None if parameter.optional and nothing else parameter.default
    if isinstance(parameter, DataColumnParameter):
        return _columns(parameter, parameter.default)
    return parameter.default


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
        return _columns(parameter, value)
    if isinstance(parameter, DataParameter):
        return None if isinstance(value, str) and value == "" else value
    return str(value)


def _integer(parameter: IntegerParameter, value: object, name: str) -> int | None:
    if isinstance(value, str):
        text = value.strip()
        if not text:
            return None
        if re.fullmatch(r"[+-]?\d+(_\d+)*", text) and len(text) < _MAX_BITS // 4:
            return int(text)
    index = getattr(value, "__index__", None)
    try:
        number = index() if callable(index) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if isinstance(number, int) and number.bit_length() > _MAX_BITS:
        raise ParameterError(f"“{parameter.label or name}” has too many digits.", name=name)
    if math.isfinite(number) and number == int(number):
        return int(number)
    raise ParameterError(
        f"“{parameter.label or name}” must be a whole number, not {_short(value)}.", name=name
    )


def _float(parameter: FloatParameter, value: object, name: str) -> float | None:
    if isinstance(value, str) and not value.strip():
        return None
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError) as error:
        raise ParameterError(
            f"“{parameter.label or name}” must be a number, not {_short(value)}.", name=name
        ) from error


def _boolean(parameter: BooleanParameter, value: object, name: str) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value)
    word = text.strip().lower()
    # the strings of the descriptor win: falsevalue may be "true" of something else
    if parameter.true_value != parameter.false_value and text in (
        parameter.true_value,
        parameter.false_value,
    ):
        return text == parameter.true_value
    if word in TRUE_WORDS or word in FALSE_WORDS:
        return word in TRUE_WORDS
    raise ParameterError(
        f"“{parameter.label or name}” must be true or false, not {_short(value)}.", name=name
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
    if isinstance(value, bool) and text not in values:  # True for an option “true”
        same = [known for known in values if known.casefold() == text.casefold()]
        text = same[0] if len(same) == 1 else text
    return one(text)


def _columns(parameter: DataColumnParameter, value: object) -> str | tuple[str, ...] | None:
    if parameter.multiple:
        return tuple(part for entry in _many(value) for part in _many(entry))
    return str(value).strip() or None


def _many(value: object) -> list[str]:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, Sequence | Set):
        return [str(part) for part in value]
    return [str(value)]


def check_value(parameter: Parameter, value: object) -> str | None:
    """Return one sentence when `value` (already coerced) cannot be used, else None."""
    label = f"“{parameter.label or parameter.name}”"
    # an array is never compared: that gives an array
    if value is None or (isinstance(value, list | tuple) and not value):
        many = isinstance(parameter, SelectParameter) and parameter.multiple
        never = isinstance(parameter, HiddenParameter | DrillDownParameter)
        return None if parameter.optional or many or never else f"{label} needs a value."
    if isinstance(parameter, DataParameter):
        return _check_count(parameter, value, label) if parameter.multiple else None
    problem = _check_kind(parameter, value, label)
    if isinstance(value, str) and not value and parameter.optional:
        return problem or None  # nothing was given: there is nothing to judge
    with together():
        for validator in () if problem else parameter.validators:
            problem = problem or validator.problem(value)
    return problem or None


def _check_kind(parameter: Parameter, value: object, label: str) -> str | None:
    """Check what follows from the type of a parameter: limits, choices, characters."""
    chosen = value if isinstance(value, tuple) else (value,)
    if isinstance(parameter, IntegerParameter | FloatParameter):
        return _check_range(parameter, value, label) if isinstance(value, int | float) else None
    if isinstance(parameter, SelectParameter) and parameter.source is None:
        known = [option.value for option in parameter.options]
        for entry in chosen:
            if entry not in known:
                return f"{label} must be one of {', '.join(known)}; {entry!r} is not."
    elif isinstance(parameter, DataColumnParameter):
        for entry in chosen:
            if not _COLUMN.fullmatch(str(entry)):
                return (
                    f"{label} must be the number of a column, counted from 1, not {_short(entry)}."
                )
    elif isinstance(parameter, DrillDownParameter):
        below = {one.value for option in parameter.options for one in option.walk()}
        for entry in value if isinstance(value, tuple) else ():
            if entry not in below:
                return f"{label} has no choice {entry!r}."
    elif isinstance(parameter, ColorParameter):
        if not re.fullmatch(r"#?[0-9a-fA-F]{6}", str(value)):
            return f"{label} must be a colour as #rrggbb, not {_short(value)}."
    elif isinstance(parameter, TextParameter | FileParameter | DirectoryParameter):
        text = str(value)
        if "\0" in text:
            return f"{label} holds a NUL character."
        if not text.isprintable() and any("\ud800" <= char <= "\udfff" for char in text):
            return f"{label} holds half a character."
    return None


def _check_range(
    parameter: IntegerParameter | FloatParameter, value: float, label: str
) -> str | None:
    low, high = parameter.minimum, parameter.maximum
    if value != value:
        return f"{label} is not a number."
    if low is not None and value < low:
        return f"{label} must be at least {_plain(low)}, not {_plain(value)}."
    if high is not None and value > high:
        return f"{label} must be at most {_plain(high)}, not {_plain(value)}."
    return None


def _plain(number: float) -> str:
    return str(number).removesuffix(".0")


def datasets(value: object) -> list[object]:
    """Return what is given to an input that takes several, one by one.

    A tuple may also be one: napari's ``(data, attributes, type)``, a file and what is told of it.
    """
    one = isinstance(value, tuple) and 2 <= len(value) <= 3 and isinstance(value[1], Mapping)
    return [*value] if isinstance(value, list | tuple) and not one else [value]


def _check_count(parameter: DataParameter, value: object, label: str) -> str | None:
    count = len(datasets(value))
    if parameter.minimum is not None and count < parameter.minimum:
        return f"{label} needs at least {parameter.minimum} datasets, not {count}."
    if parameter.maximum is not None and count > parameter.maximum:
        return f"{label} takes at most {parameter.maximum} datasets, not {count}."
    return None


def _short(value: object) -> str:
    """Return `value` for a message; an array or a long text is cut."""
    try:
        return reprlib.repr(value)
    except ValueError:  # a whole number with too many digits
        return type(value).__name__
