"""How a result looks when it comes: by what it is, until a person gives it another look.

Spots are thin rings as large as what was detected, outlines are not filled, every object has the
colour that it has elsewhere, tracks that of what was measured. (An image has the colours of its
input: that the exchange knows.)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from napari_tool_runner.exchange import id_column, layer_kind
from napari_tool_runner.tools.model import LayerKind

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_tool_runner.exchange import LoadedOutput
    from napari_tool_runner.jobs import JobOutput

__all__ = ["CONTOUR", "first_look", "show_contours"]

CONTOUR = 1
"""Width of the lines around labels, in pixels of the image."""

_Columns = Mapping[str, np.ndarray]
_RADIUS = {"radius": 1.0, "diameter": 0.5, "sigma": 2**0.5}
"""Word of a column or parameter -> what a radius is of its values (of a Gaussian: where its second
derivative is steepest, as detectors that look for blobs measure them)."""
_UNIT = re.compile(r"(?<![\s_(\[])[\s_(\[]+(?:px|pixels?)[)\]]?$")
_QUALITY = ("strength", "quality", "score", "snr", "probability", "intensity", "mean_intensity")
"""Columns that tell spots apart best come first."""
_RING = {"face_color": "transparent", "border_width": 0.12, "border_width_is_relative": True}
_PLAIN = "orange"
_PALETTE = "spring"
"""From one bright colour to another: every ring is seen on a dark image."""


def first_look(output: JobOutput, sources: Mapping[str, object]) -> dict[str, object]:
    """Return napari's keywords for how a layer of `output` looks at first.

    What its file says of the look stays.

    Parameters
    ----------
    sources : mapping
        Full parameter name -> the layer that went in.
    """
    made = output.loaded
    if made is None:
        return {}
    if made.kind is LayerKind.POINTS:
        look = _spots(output, made)
    elif made.kind is LayerKind.SHAPES:
        look = _outlines(made, sources)
    elif made.kind is LayerKind.SURFACE:
        look = _surfaces(made, sources)
    elif made.kind is LayerKind.TRACKS:
        look = _tracks(made)
    elif made.kind is LayerKind.IMAGE:
        look = _images(made, sources)
    else:
        return {}
    return {name: value for name, value in look.items() if name not in made.attributes}


def show_contours(layers: Iterable[object]) -> None:
    """Show those of `layers` that are labels as lines around their objects."""
    for layer in layers:
        if layer_kind(layer) is LayerKind.LABELS:
            cast("Labels", layer).contour = CONTOUR


def _columns(made: LoadedOutput) -> _Columns:
    features = made.attributes.get("features")
    if not isinstance(features, Mapping):
        return {}
    return {str(name): np.asarray(column) for name, column in features.items()}


# -- spots ------------------------------------------------------------------------------------


def _spots(output: JobOutput, made: LoadedOutput) -> dict[str, object]:
    columns = _columns(made)
    look: dict[str, object] = {**_RING, "border_color": _PLAIN}
    if (radius := _radius(output, columns)) is not None:
        look["size"] = 2 * radius
    if told := _telling(columns):
        look |= {"border_color": told, "border_colormap": _PALETTE}
    return look


def _tracks(made: LoadedOutput) -> dict[str, object]:
    told = _telling(_columns(made))
    return {"color_by": told} if told else {}


def _telling(columns: _Columns) -> str:
    """Return the column to colour by; of those that nobody knows the first that was measured."""
    measured = [
        name
        for name, column in columns.items()
        # numbers of objects and frames are whole
        if _UNIT.sub("", name.lower()) not in _RADIUS and _is_number(column) and (column % 1).any()
    ]
    found = (name for name in (*_QUALITY, *measured) if _tells_apart(columns.get(name)))
    return next(found, "")


def _radius(output: JobOutput, columns: _Columns) -> np.ndarray | float | None:
    """Return the radius of each spot, or of all, in pixels; None where nothing says it."""
    for name, column in columns.items():
        share = _RADIUS.get(_UNIT.sub("", name.lower()))
        if share and _is_number(column) and (column > 0).all():
            return share * column
    parameters = output.metadata.get("parameters")
    named = output.output.size
    if not named or not isinstance(parameters, Mapping):
        return None
    value = parameters.get(named)
    word = next((word for word in _RADIUS if word in named.lower()), "radius")
    return _RADIUS[word] * value if isinstance(value, int | float) and value > 0 else None


def _is_number(column: np.ndarray | None) -> bool:
    return column is not None and column.dtype.kind in "iuf" and bool(np.isfinite(column).all())


def _tells_apart(column: np.ndarray | None) -> bool:
    return _is_number(column) and column is not None and len(np.unique(column)) > 1


# -- intensities ------------------------------------------------------------------------------


def _images(made: LoadedOutput, sources: Mapping[str, object]) -> dict[str, object]:
    """Add an image to the other channels as its input is added, once that is hidden.

    Over an input that is seen it would show the sum of both.
    """
    given = [one for one in sources.values() if layer_kind(one) is LayerKind.IMAGE]
    added = [one for one in given if str(getattr(one, "blending", "")) == "additive"]
    if not added or "colormap" not in made.attributes:
        return {}
    return {} if any(getattr(one, "visible", True) for one in given) else {"blending": "additive"}


# -- objects ----------------------------------------------------------------------------------


def _outlines(made: LoadedOutput, sources: Mapping[str, object]) -> dict[str, object]:
    import pandas as pd

    columns = _columns(made)
    key = id_column(pd.DataFrame(columns))
    look: dict[str, object] = {"face_color": "transparent", "edge_color": _PLAIN, "opacity": 1.0}
    if key is not None and len(columns[key]) == len(cast("Sequence[object]", made.data)) > 0:
        look["edge_color"] = _object_colors(columns[key], sources)
    return look


def _surfaces(made: LoadedOutput, sources: Mapping[str, object]) -> dict[str, object]:
    """Give every object its colour, where the values of the vertices are numbers of objects."""
    _, faces, *rest = (np.asarray(part) for part in cast("Sequence[object]", made.data))
    values = rest[0] if rest else np.zeros(0)
    whole = values.ndim == 1 and len(values) and bool((values == np.rint(values)).all())
    if not whole or not len(faces) or values.min() < 1:
        return {}
    corners = values[faces.astype(int)]
    if (corners != corners[:, :1]).any():  # values that change within a face are no objects
        return {}
    return {"vertex_colors": _object_colors(values, sources)}


def _object_colors(numbers: np.ndarray, sources: Mapping[str, object]) -> np.ndarray:
    """Return the colour of each object: that of the labels that went in, else napari's own."""
    from napari.utils.colormaps import label_colormap

    numbers = np.asarray(numbers).astype(np.int64)
    given = next((one for one in sources.values() if layer_kind(one) is LayerKind.LABELS), None)
    palette = label_colormap(49, 0.5) if given is None else cast("Labels", given).colormap
    unique, places = np.unique(numbers, return_inverse=True)
    colors: Sequence[Sequence[float]] = palette.map(unique)
    return np.asarray(colors, np.float32)[places]
