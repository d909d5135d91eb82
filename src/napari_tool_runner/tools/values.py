"""The value of one parameter: default, conversion, check."""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Mapping, Sequence, Set

from napari_tool_runner.errors import ParameterError
from napari_tool_runner.proxies import bare
from napari_tool_runner.tools.model import (
    BooleanParameter,
    ColorParameter,
    DataColumnParameter,
    DataParameter,
    DirectoryParameter,
    DrillDownParameter,
    FileParameter,
    FloatParameter,
    HiddenParameter,
    IntegerParameter,
    Parameter,
    SelectParameter,
    TextParameter,
)
from napari_tool_runner.tools.shared_time import together

__all__ = [
    "EMPTY_IS_ABSENT",
    "FALSE_WORDS",
    "TRUE_WORDS",
    "check_value",
    "coerce",
    "datasets",
    "default_value",
]

TRUE_WORDS = frozenset({"true", "yes", "on", "1"})
FALSE_WORDS = frozenset({"false", "no", "off", "0", ""})
EMPTY_IS_ABSENT = "empty"
"""What is native to a parameter whose empty text means that it is absent (``omit="empty"``)."""
_MAX_BITS = 13_000
"""Whole numbers with more bits have more digits than Python writes."""
_COLUMN = re.compile(r"[cC]?[1-9][0-9]{0,8}")


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
        value = [*map(bare, value)] if type(value) is list else bare(value)
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
    if isinstance(number, int):  # of any size: most are no floats
        if number.bit_length() > _MAX_BITS:
            raise ParameterError(f"“{parameter.label or name}” has too many digits.", name=name)
        return number
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
