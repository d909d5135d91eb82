"""What a person reads of a parameter and its value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_tool_runner.tools.model import DrillDownOption, DrillDownParameter, SelectParameter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from napari_tool_runner.tools.model import InputItem, Output, Parameter, SelectOption
    from napari_tool_runner.tools.tree import Leaf

__all__ = ["in_words", "label_of", "plain_words", "value_words"]


def label_of(item: InputItem | Output) -> str:
    """Return what a person reads of a place in a form, or of an output."""
    return item.label if item.label and "$" not in item.label else item.name


def in_words(
    found: Iterable[Leaf], values: Mapping[str, object], unit_of: Callable[[str], str]
) -> dict[str, tuple[str, str]]:
    """Return full name -> label, and the value where it alone does not tell what the form shows.

    `values`: those of parameters that are no data, in JSON types. `unit_of`: which of the two
    units that a parameter names (``µm or px``) holds.
    """
    told: dict[str, tuple[str, str]] = {}
    for leaf in found:
        parameter, value = leaf.parameter, values.get(leaf.name)
        words = value_words(parameter, value, unit_of(getattr(parameter, "unit", "")))
        told[leaf.name] = label_of(parameter), words if words != plain_words(value) else ""
    return told


def value_words(parameter: Parameter, value: object, unit: str = "") -> str:
    """Return a value as a person reads it: the label of a choice, yes or no, a number's unit."""
    if value is not None and isinstance(parameter, SelectParameter | DrillDownParameter):
        options = [one for option in parameter.options for one in _all_of(option)]
        labels = {option.value: option.label for option in options}
        chosen = value if isinstance(value, list | tuple) else (value,)
        return plain_words([labels.get(str(one), one) for one in chosen])
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{plain_words(value)} {unit}".rstrip() if number else plain_words(value)


def plain_words(value: object) -> str:
    """Return a value whose parameter is not known as a person reads it."""
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(plain_words, value)) or "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value) or "empty"


def _all_of(option: SelectOption | DrillDownOption) -> Iterable[SelectOption | DrillDownOption]:
    return option.walk() if isinstance(option, DrillDownOption) else (option,)
