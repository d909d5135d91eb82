"""What a person reads of a parameter and its value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_tool_runner.tools.model import SelectParameter

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from napari_tool_runner.tools.model import InputItem, Output, Parameter
    from napari_tool_runner.tools.tree import Leaf

__all__ = ["in_words", "label_of", "value_words"]


def label_of(item: InputItem | Output) -> str:
    """Return what a person reads of a place in a form, or of an output."""
    return item.label if item.label and "$" not in item.label else item.name


def in_words(found: Iterable[Leaf], values: Mapping[str, object]) -> dict[str, tuple[str, str]]:
    """Return full name -> label, and the labels of what was chosen (else empty).

    `values`: the others, of parameters that are no data, in JSON types.
    """
    told: dict[str, tuple[str, str]] = {}
    for leaf in found:
        parameter, value = leaf.parameter, values.get(leaf.name)
        chosen = isinstance(parameter, SelectParameter) and value is not None
        told[leaf.name] = label_of(parameter), value_words(parameter, value) if chosen else ""
    return told


def value_words(parameter: Parameter, value: object) -> str:
    """Return a value as a person reads it: the label of a choice, yes or no."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(parameter, SelectParameter):
        labels = {option.value: option.label for option in parameter.options}
        chosen = value if isinstance(value, list | tuple) else (value,)
        return ", ".join(labels.get(str(one), str(one)) for one in chosen)
    return f"{value:.6g}" if isinstance(value, float) else str(value)
