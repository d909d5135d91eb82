"""Values as Galaxy's templates see them.

``str(value)`` is what lands on the command line (sanitised); truth, comparison,
iteration and attributes follow Galaxy's own wrappers, so that ``#if $x``,
``$x == "auto"`` and ``$select.value_label`` decide as there.  Datasets are in
``dataset_values``.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from functools import total_ordering
from typing import TYPE_CHECKING

from napari_tool_runner.tools.galaxy.options import ComputedOptions
from napari_tool_runner.tools.galaxy.source import Native, native
from napari_tool_runner.tools.model import (
    BooleanParameter,
    ColorParameter,
    DrillDownOption,
    DrillDownParameter,
    FloatParameter,
    IntegerParameter,
    Parameter,
    SelectParameter,
    TextParameter,
)
from napari_tool_runner.tools.values import TRUE_WORDS

if TYPE_CHECKING:
    from napari_tool_runner.tools.galaxy.script import Rules

__all__ = ["InputValue", "SelectValue", "Wrapper"]


class Wrapper:
    """Base of all values that know how to appear on a command line."""

    value: object = None

    def __bool__(self) -> bool:
        return bool(self.value)

    def display_text(self) -> str:
        """What a person reads for this value."""
        return str(self)

    def get_display_text(self, quote: bool = True) -> str:
        """Galaxy's method: the text that a person reads, quoted for the shell."""
        text = self.display_text()
        return shlex.quote(text) if quote else text


@total_ordering
class InputValue(Wrapper):
    """An integer, float, boolean, text, colour, hidden or directory value."""

    def __init__(self, parameter: Parameter, value: object, rules: Rules) -> None:
        self.input = parameter
        self._rules = rules
        if value is None and isinstance(parameter, TextParameter):
            inferred = native(parameter).inferred
            value = "" if parameter.optional and inferred and rules.legacy_text else None
        self.value = value

    def __str__(self) -> str:
        parameter, value = self.input, self.value
        if isinstance(parameter, BooleanParameter):
            return parameter.true_value if value else parameter.false_value
        if isinstance(parameter, ColorParameter):
            return _rgb(str(value)) if native(parameter).rgb else str(value)
        if value is None:
            return ""
        return self._rules.clean(parameter, str(value))

    def __iter__(self) -> Iterator[str]:
        return iter([str(self)])

    def __int__(self) -> int:
        return int(float(self))

    def __float__(self) -> float:
        return float(str(self))

    def __hash__(self) -> int:
        return hash(str(self))

    def __eq__(self, other: object) -> bool:
        mine, theirs = self._comparable(other)
        return mine == theirs

    def __gt__(self, other: object) -> bool:
        mine, theirs = self._comparable(other)
        return bool(mine > theirs)  # type: ignore[operator]

    def _comparable(self, other: object) -> tuple[object, object]:
        parameter = self.input
        if isinstance(parameter, BooleanParameter) and isinstance(other, str):
            if other in (parameter.true_value, parameter.false_value):
                return str(self), other
            return bool(self), other.lower() in TRUE_WORDS
        if parameter.optional and self.value is None:
            return (str(self), other) if isinstance(other, str) else (None, other)
        if isinstance(parameter, IntegerParameter):
            return int(self), other
        if isinstance(parameter, FloatParameter):
            return float(self), other
        if isinstance(parameter, BooleanParameter):
            return bool(self), other
        return str(self), other

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.__dict__.get("value"), name)


class SelectValue(Wrapper):
    """A select, drill-down, data column or genome build."""

    def __init__(
        self, parameter: Parameter, value: object, rules: Rules, values: Mapping[str, object]
    ) -> None:
        self.input = parameter
        self._rules = rules
        self._values = values
        if getattr(parameter, "multiple", False):
            value = _as_list(value)
        elif isinstance(parameter, DrillDownParameter):
            value = _as_list(value) or None
        self.value = value if value != "" or isinstance(parameter, SelectParameter) else None
        self.fields = _Fields(self)

    def __str__(self) -> str:
        if self.value is None or self.value == []:
            return "None"
        parameter = self.input
        chosen = self.value if isinstance(self.value, list) else [self.value]
        if isinstance(parameter, DrillDownParameter) and parameter.hierarchy == "recurse":
            leaves = [leaf for entry in chosen for leaf in _below(parameter.options, str(entry))]
            chosen = list(dict.fromkeys(leaves))
        separator = native(parameter).separator
        if isinstance(parameter, DrillDownParameter):
            return self._rules.clean(parameter, separator.join(str(entry) for entry in chosen))
        return separator.join(self._rules.clean(parameter, str(entry)) for entry in chosen)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            if other == "" and (self.value is None or self.value == []):
                return True
            return str(self) == other
        if isinstance(other, SelectValue | InputValue):
            return str(self) == str(other)
        return self is other

    def __hash__(self) -> int:
        return hash(str(self))

    def __add__(self, other: object) -> str:
        return f"{self}{other}"

    def __iter__(self) -> Iterator[str]:
        if not isinstance(self.value, list):
            raise TypeError(f"“{self.input.name}” takes one choice; it cannot be iterated")
        return iter([self._told(str(entry)) for entry in self.value])

    def _told(self, text: str) -> str:
        """Return the text of a choice; what a file says is cleaned."""
        computed = isinstance(getattr(self.input, "source", None), ComputedOptions)
        return self._rules.clean(self.input, text) if computed else text

    def __len__(self) -> int:
        return len(self.value) if isinstance(self.value, list) else len(str(self))

    def __bool__(self) -> bool:
        return bool(self.value)

    @property
    def value_label(self) -> str:
        """What a person reads for the chosen value."""
        return self.display_text()

    def display_text(self) -> str:
        """What a person reads for the chosen values, one a line."""
        parameter, chosen = self.input, _as_list(self.value)
        computed = native(parameter).type == "genomebuild" or getattr(parameter, "source", None)
        if isinstance(parameter, SelectParameter) and not computed:
            # an option may stand for nothing, and be called something
            given = self.value if isinstance(self.value, list) else [self.value]
            labels = [option.label for option in parameter.options if option.value in given]
        elif isinstance(parameter, DrillDownParameter):
            found = [(_option(parameter.options, entry), entry) for entry in chosen]
            labels = [(option.label if option else "") or entry for option, entry in found]
        else:
            labels = [self._told(entry) for entry in chosen]
            if not labels and not getattr(parameter, "multiple", False):
                return "None"  # Galaxy's text where the choices are computed
        return "\n".join(labels) or "Nothing selected."

    def __getattr__(self, name: str) -> object:
        if name.startswith("_") or "input" not in self.__dict__:
            raise AttributeError(name)
        info: Native = native(self.input)
        if name == "separator":
            return info.separator
        return getattr(self.input, name)


class _Fields:
    """``$select.fields.column``: what the chosen rows hold in a column."""

    def __init__(self, select: SelectValue) -> None:
        self._select = select

    def __getattr__(self, name: str) -> str:
        select = self.__dict__["_select"]
        source = getattr(select.input, "source", None)
        chosen = _as_list(select.value)
        separator = native(select.input).separator
        if isinstance(source, ComputedOptions):
            cells = [
                cell for entry in chosen for cell in source.fields(select._values, entry, name)
            ]
            return separator.join(select._told(cell) for cell in cells)
        if name == "value":
            return separator.join(select._told(entry) for entry in chosen)
        if name == "name":
            return separator.join(select.display_text().split("\n"))
        raise AttributeError(f"the choices of “{select.input.name}” have no field “{name}”")


def _rgb(text: str) -> str:
    digits = text.lstrip("#")
    return str(tuple(int(digits[index : index + 2], 16) for index in (0, 2, 4)))


def _as_list(value: object) -> list[str]:
    if value is None or value == "":
        return []
    if isinstance(value, list | tuple):
        return [str(entry) for entry in value]
    return str(value).split(",")


def _below(options: tuple[DrillDownOption, ...], value: str) -> list[str]:
    """The leaves below the option `value`; itself when it is a leaf or unknown."""
    found = _option(options, value)
    return [one.value for one in found.walk() if not one.children] if found else [value]


def _option(options: tuple[DrillDownOption, ...], value: str) -> DrillDownOption | None:
    every = (one for option in options for one in option.walk())
    return next((one for one in every if one.value == value), None)
