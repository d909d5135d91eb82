"""The values of a sweep: which parameters can have several, and what a text of values means."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from napari_tool_runner.data_classes import dataclass
from napari_tool_runner.errors import ParameterError
from napari_tool_runner.exchange import unit_word
from napari_tool_runner.names import count_text
from napari_tool_runner.quoting import one_line
from napari_tool_runner.tools.binding import bind
from napari_tool_runner.tools.model import (
    BooleanParameter,
    FloatParameter,
    IntegerParameter,
    SelectParameter,
    Tool,
)
from napari_tool_runner.tools.tree import leaves, places
from napari_tool_runner.tools.values import check_value, coerce
from napari_tool_runner.tools.wording import label_of, value_words

if TYPE_CHECKING:
    from napari_tool_runner.tools.model import Parameter
    from napari_tool_runner.tools.tree import Leaf

__all__ = ["MOST_CELLS", "Axis", "axes_of", "is_sweepable", "sweepable", "told_values"]

MOST_CELLS = 100
"""Runs of one sweep: more than can be compared by eye."""
_RANGE = re.compile(
    r"(?P<start>[^:\s]+)\s*:\s*(?P<stop>[^:\s]+?)(?:\s*:\s*(?P<by>[^:\s]+?)\s*(?P<kind>lin|log)?)?"
)
_FACTORS = (Decimal("0.5"), Decimal(1), Decimal(2), Decimal(4))


@dataclass(frozen=True, slots=True)
class Axis:
    """A parameter of a sweep and its values, each once, in the order that was asked for.

    Parameters
    ----------
    name : str
        Full name of the parameter.
    decides : bool
        A conditional asks it: other parameters apply with another value.
    """

    name: str
    parameter: Parameter
    values: tuple[object, ...]
    decides: bool = False

    @property
    def label(self) -> str:
        """What a person reads."""
        return label_of(self.parameter)

    def words(self, value: object) -> str:
        """Return a value as a person reads it, with its unit; one of two the data say."""
        unit = unit_word(str(getattr(self.parameter, "unit", "")))
        unit = "" if " or " in unit else unit
        return value_words(self.parameter, value, unit)

    def sentence(self, value: object) -> str:
        """Return a value and what it is of; a choice speaks for itself."""
        words = self.words(value)
        return words if isinstance(self.parameter, SelectParameter) else f"{self.label} {words}"


def sweepable(tool: Tool, values: Mapping[str, object]) -> list[Leaf]:
    """Return what applies with `values` (nested) and can be swept: numbers, choices, yes or no."""
    return [leaf for leaf in leaves(tool.inputs, values) if is_sweepable(leaf.parameter)]


def axes_of(
    tool: Tool, values: Mapping[str, object], over: Mapping[str, str | Iterable[object]]
) -> list[Axis]:
    """Return the parameters of a sweep, in the order of the form.

    Parameters
    ----------
    values : mapping
        Bound values (`bind`).
    over : mapping
        Name -> a text (`told_values`), or values. A name without its containers will do where
        it is unique.

    Raises
    ------
    ParameterError
        No such parameter applies, it cannot be swept, or a value cannot be used.
    """
    known = {leaf.name: leaf for leaf in leaves(tool.inputs, values)}
    deciding = [place.item for place in places(tool.inputs) if place.decides]
    found: dict[str, Axis] = {}
    for name, told in over.items():
        full = [one for one in known if one == name or one.rsplit("|", 1)[-1] == name]
        full = [name] if name in known else full
        if len(full) != 1:
            bind(tool, {name: None})  # says what is wrong with the name, if it is the name
            raise ParameterError(f"“{name}” does not apply with these values.", name=name)
        leaf = known[full[0]]
        if not is_sweepable(leaf.parameter):
            raise ParameterError(
                f"“{label_of(leaf.parameter)}” cannot be swept.",
                name=leaf.name,
                hint="Numbers, choices, and yes or no can.",
            )
        decides = any(item is leaf.parameter for item in deciding)
        found[leaf.name] = Axis(leaf.name, leaf.parameter, _values(leaf, told), decides)
    axes = [found[name] for name in known if name in found]
    count = math.prod(len(axis.values) for axis in axes)
    if count > MOST_CELLS:
        sizes = " × ".join(str(len(axis.values)) for axis in axes)
        raise ParameterError(
            f"{sizes} values are {count_text(count, 'run')}; a sweep has {MOST_CELLS} at most.",
            hint="Take fewer values; batch works on many files.",
        )
    return axes


def told_values(parameter: Parameter, value: object) -> str:
    """Return a text of values to begin with, around the present `value`."""
    if isinstance(parameter, BooleanParameter):
        return "no, yes"
    if isinstance(parameter, SelectParameter):
        labels = [value_words(parameter, option.value) for option in parameter.options]
        return ("; " if any("," in label for label in labels) else ", ").join(labels)
    present = Decimal(str(value)) if isinstance(value, int | float) else Decimal(1)
    around = [present * one for one in _FACTORS] if present else [*map(Decimal, (0, 1, 2, 4))]
    whole = isinstance(parameter, IntegerParameter)
    numbers = dict.fromkeys(int(one) if whole else float(one) for one in around)
    usable = [one for one in numbers if check_value(parameter, one) is None]
    return ", ".join(value_words(parameter, one) for one in usable)


def is_sweepable(parameter: Parameter) -> bool:
    """Whether a parameter can have several values: a number, a choice of a list, yes or no."""
    if isinstance(parameter, SelectParameter):
        return bool(parameter.options) and not parameter.multiple
    return isinstance(parameter, IntegerParameter | FloatParameter | BooleanParameter)


def _values(leaf: Leaf, told: str | Iterable[object]) -> tuple[object, ...]:
    """Return the values of a parameter, checked."""
    parts = _parts(leaf, told) if isinstance(told, str) else told
    found: list[object] = []
    for part in parts:
        value = coerce(leaf.parameter, part, leaf.name)
        if problem := check_value(leaf.parameter, value):
            raise ParameterError(f"{one_line(str(part))}: {problem}", name=leaf.name)
        if value not in found:
            found.append(value)
        if len(found) > MOST_CELLS:
            break  # said by whoever counts all of them
    if not found:
        raise ParameterError(
            f"“{label_of(leaf.parameter)}” needs values.",
            name=leaf.name,
            hint="Give them as 1, 2, 5 or as 1:10:1.",
        )
    return tuple(found)


def _parts(leaf: Leaf, text: str) -> Iterable[object]:
    """Yield what the parts of a text mean: ``1, 2, 5``, ``1:10:1``, ``1:100:5 log``."""
    number = isinstance(leaf.parameter, IntegerParameter | FloatParameter)
    for part in text.split(";" if ";" in text else ","):
        if not (word := part.strip()):
            continue
        if not number or ":" not in word:
            yield word
            continue
        values = _range(word)
        if values is None:
            raise ParameterError(
                f"“{label_of(leaf.parameter)}”: {one_line(word)} is no range.",
                name=leaf.name,
                hint="Write FROM:TO:STEP, or FROM:TO:COUNT lin (or log).",
            )
        whole = isinstance(leaf.parameter, IntegerParameter)
        yield from (round(one) if whole else one for one in values)


def _range(text: str) -> list[float] | None:
    """Return the numbers of a range, its ends among them; None where it is none."""
    match = _RANGE.fullmatch(text)
    if match is None:
        return None
    try:
        start, stop, by = (Decimal(match[one] or "1") for one in ("start", "stop", "by"))
    except InvalidOperation:
        return None
    if not (start.is_finite() and stop.is_finite() and by.is_finite()):
        return None
    if not match["kind"]:
        if not by or (stop - start) / by < 0:
            return None
        count = min(int((stop - start) / by), MOST_CELLS) + 1
        return [float(start + by * one) for one in range(count)]
    count = int(by)
    if count != by or not 2 <= count <= MOST_CELLS + 1:
        return None
    first, last = float(start), float(stop)
    if match["kind"] == "lin":
        return [first + (last - first) * one / (count - 1) for one in range(count)]
    if first <= 0 or last <= 0:
        return None
    return [first * (last / first) ** (one / (count - 1)) for one in range(count)]
