"""One value of one parameter: its default, its conversion, its check."""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Iterator, Mapping, Sequence

from napari_tool_runner.errors import ParameterError
from napari_tool_runner.tools.model import (
    BooleanParameter,
    ColorParameter,
    DataColumnParameter,
    DataParameter,
    DirectoryParameter,
    DrillDownOption,
    DrillDownParameter,
    FileParameter,
    FloatParameter,
    HiddenParameter,
    IntegerParameter,
    Parameter,
    SelectParameter,
    TextParameter,
)

__all__ = ["FALSE_WORDS", "TRUE_WORDS", "check_value", "coerce", "default_value"]

TRUE_WORDS = frozenset({"true", "yes", "on", "1"})
FALSE_WORDS = frozenset({"false", "no", "off", "0", ""})
_MAX_BITS = 13_000
"""Whole numbers with more bits have more digits than Python writes."""


def default_value(parameter: Parameter) -> object:
    """Return what `parameter` has when nobody chose (None: nothing)."""
    if isinstance(parameter, DataParameter):
        return None
    if isinstance(parameter, TextParameter | FileParameter | DirectoryParameter):
        return None if parameter.optional and not parameter.default else parameter.default
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
        return tuple(_many(value)) if parameter.multiple else str(value)
    if isinstance(parameter, DataParameter):
        return None if isinstance(value, str) and value == "" else value
    return str(value)


def check_value(parameter: Parameter, value: object) -> str | None:
    """Return one sentence when `value` (already coerced) cannot be used, else None."""
    label = parameter.label or parameter.name
    # an array is never compared: that gives an array
    if value is None or (isinstance(value, list | tuple) and not value):
        if parameter.optional or isinstance(parameter, HiddenParameter | DrillDownParameter):
            return None
        if isinstance(parameter, SelectParameter) and parameter.multiple:
            return None
        return f"“{label}” needs a value."
    problem = (
        _check_range(parameter, value)
        or _check_choice(parameter, value)
        or _check_text(parameter, value)
    )
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


# -- conversion of one value ---------------------------------------------------------


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
    # the strings of the descriptor win: falsevalue may be "true" of something else
    if parameter.true_value != parameter.false_value:
        if text == parameter.true_value:
            return True
        if text == parameter.false_value:
            return False
    low = text.strip().lower()
    if low in TRUE_WORDS:
        return True
    if low in FALSE_WORDS:
        return False
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
    if not isinstance(value, int | float):
        return None
    label = parameter.label or parameter.name
    if value != value:
        return f"“{label}” is not a number."
    low, high = parameter.minimum, parameter.maximum
    if low is not None and value < low:
        return f"“{label}” must be at least {_plain(low)}, not {_plain(value)}."
    if high is not None and value > high:
        return f"“{label}” must be at most {_plain(high)}, not {_plain(value)}."
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
        for entry in value if isinstance(value, tuple) else ():
            if entry not in known:
                return f"“{label}” has no choice {entry!r}."
    if isinstance(parameter, ColorParameter) and not re.fullmatch(r"#?[0-9a-fA-F]{6}", str(value)):
        return f"“{label}” must be a colour as #rrggbb, not {_short(value)}."
    return None


def _check_text(parameter: Parameter, value: object) -> str | None:
    if isinstance(parameter, TextParameter | FileParameter | DirectoryParameter):
        text = str(value)
        if "\0" in text:
            return f"“{parameter.label or parameter.name}” holds a NUL character."
        if not text.isprintable() and any("\ud800" <= char <= "\udfff" for char in text):
            return f"“{parameter.label or parameter.name}” holds half a character."
    return None


def _check_count(parameter: DataParameter, value: object) -> str | None:
    count = len(value) if isinstance(value, list) else 1
    if isinstance(value, tuple) and not _is_layer(value):
        count = len(value)
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


def _is_layer(value: tuple[object, ...]) -> bool:
    """Say whether `value` is napari's ``(data, attributes, type)``."""
    return 2 <= len(value) <= 3 and isinstance(value[1], Mapping)


def _short(value: object) -> str:
    """Return `value` for a message; an array or a long text is cut."""
    try:
        return reprlib.repr(value)
    except ValueError:  # a whole number with too many digits
        return type(value).__name__
