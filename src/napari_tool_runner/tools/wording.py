"""What a person reads of a parameter and its value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_tool_runner.tools.model import SelectParameter

if TYPE_CHECKING:
    from napari_tool_runner.tools.model import InputItem, Parameter

__all__ = ["label_of", "value_words"]


def label_of(item: InputItem) -> str:
    """Return what a person reads of a place in a form."""
    return item.label or item.name


def value_words(parameter: Parameter, value: object) -> str:
    """Return a value as a person reads it: the label of a choice, yes or no."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(parameter, SelectParameter):
        labels = {option.value: option.label for option in parameter.options}
        chosen = value if isinstance(value, list | tuple) else (value,)
        return ", ".join(labels.get(str(one), str(one)) for one in chosen)
    return f"{value:.6g}" if isinstance(value, float) else str(value)
