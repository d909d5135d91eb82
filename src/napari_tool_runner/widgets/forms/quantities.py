"""In which unit a number is given, and which value the tool took by itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from napari_tool_runner.exchange import conversion, is_length, layer_kind, snapshot, unit_here
from napari_tool_runner.tools.model import FloatParameter, IntegerParameter
from napari_tool_runner.widgets.forms.layers import as_list

if TYPE_CHECKING:
    from napari_tool_runner.exchange import Geometry
    from napari_tool_runner.tools.model import ParameterBase
    from napari_tool_runner.widgets.forms.form_model import FormModel

__all__ = ["first_number", "has_two_units", "pixel_width", "unit_of"]

_NUMBER = r"\d+(?:\.\d+)?(?:e[+-]?\d+)?"
_STEPS = 10
"""Of so many steps a size is that nobody told yet: a limit is no value to begin with."""


def has_two_units(parameter: ParameterBase) -> bool:
    """Whether the unit of a number depends on the layers that go in (``µm or px``)."""
    return " or " in _unit(parameter)


def unit_of(parameter: ParameterBase, model: FormModel) -> str:
    """Return the unit of a parameter, of two the one that holds for the chosen layer.

    Both while no layer is chosen, or only a file.
    """
    unit = _unit(parameter)
    geometry = _first_geometry(model) if has_two_units(parameter) else None
    return unit if geometry is None else unit_here(unit, geometry)


def pixel_width(parameter: ParameterBase, model: FormModel) -> float | None:
    """Return how wide a pixel of the chosen layer is, in the first of two units.

    0 where the layer does not say it; None without a layer.
    """
    geometry = _first_geometry(model)
    if geometry is None or "X" not in geometry.axes:
        return None
    first, at = _unit(parameter).partition(" or ")[0], geometry.axes.index("X")
    along = geometry.units[at]
    lengths = is_length(first) and is_length(along)
    return abs(geometry.scale[at]) * conversion(along, first) if lengths else 0


def _first_geometry(model: FormModel) -> Geometry | None:
    given = [one for leaf in model.leaves() if leaf.is_data for one in as_list(leaf.value)]
    layers = [one for one in given if hasattr(one, "data") and layer_kind(one).is_pixels]
    return snapshot(layers[0]).geometry if layers else None


def first_number(parameter: IntegerParameter | FloatParameter, model: FormModel) -> float:
    """Return the value that an optional number begins with when a person gives one.

    That which the tool told that it took by itself (``typical diameter 9.68 µm`` for
    “Diameter”), else the smallest amount that is one.
    """
    low, high = parameter.minimum, parameter.maximum
    told = _told(parameter, model)
    if told is not None and _within(told, low, high):
        return told
    if low is None or low <= 0:
        return high if high is not None and high < 0 else 0
    step = parameter.step or 0
    return next((n for n in (_STEPS * step, step) if _within(n, low, high)), low)


def _within(value: float, low: float | None, high: float | None) -> bool:
    return (low is None or low <= value) and (high is None or value <= high)


def _told(parameter: IntegerParameter | FloatParameter, model: FormModel) -> float | None:
    """Return the value that follows the label in a note of the last run, in the same unit."""
    label, unit = parameter.label or parameter.name, unit_of(parameter, model)
    words = re.escape(f"{label} "), re.escape(f" {unit}" if unit else "")
    number = re.compile(rf"\b{words[0]}({_NUMBER}){words[1]}(?=[;,.]|$)", re.IGNORECASE)
    found = next((match for note in model.notes if (match := number.search(note))), None)
    if found is None:
        return None
    value = float(found[1])
    return round(value) if isinstance(parameter, IntegerParameter) else value


def _unit(parameter: ParameterBase) -> str:
    return str(getattr(parameter, "unit", "") or "")
