"""How objects look: those that are chosen stand out, a column colours them; and back again.

What was there before is put back, unless somebody changed it meanwhile.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from functools import cache, partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_tool_runner.exchange import layer_kind
from napari_tool_runner.tools.model import LayerKind
from napari_tool_runner.widgets.parts.background import to_the_end

if TYPE_CHECKING:
    from napari.layers import Labels, Layer
    from napari.utils.colormaps import Colormap, DirectLabelColormap

__all__ = [
    "CHOSEN",
    "Highlight",
    "Scale",
    "color_by",
    "compile_ahead",
    "own_colors",
    "scale_colors",
    "scale_of",
    "scale_over",
]

CHOSEN = "#ff9f1c"
"""The colour of what is chosen, in plots and images."""
TINTS = (CHOSEN, "#ffd966", "#ff7333", "#fff2bf")
"""It, and what tells chosen neighbours apart."""
FADED = (0.5, 0.5, 0.5, 0.35)
DIMMED, VEIL = 0.35, 0.85
"""So bright is what is not chosen, of itself; so opaque is all: little shines through."""
MOST = 1000
"""Of so many objects each keeps its own hue when it is dimmed; more are all of one grey."""


class Look(NamedTuple):
    """How labels look."""

    colormap: Colormap
    opacity: float


_LOOKS: weakref.WeakKeyDictionary[Layer, tuple[Look, Look]] = weakref.WeakKeyDictionary()
"""How a layer looked before its objects stood out, and how it does now: whoever chose them."""


class Highlight:
    """Lets chosen objects of layers stand out: labels by their colour, others as napari does."""

    def __init__(self) -> None:
        self._own: weakref.WeakKeyDictionary[Layer, Look] = weakref.WeakKeyDictionary()

    def show(self, layer: Layer, chosen: np.ndarray, known: np.ndarray) -> None:
        """Let some of the `known` objects of `layer` stand out; none: all look as before."""
        if layer_kind(layer) is LayerKind.LABELS:
            self._show_labels(layer, _distinct(chosen), _distinct(known))
        elif hasattr(layer, "selected_data"):
            layer.selected_data = set(chosen.tolist())

    def clear(self) -> None:
        """Give every layer the look back that it had, unless others stand out in it meanwhile."""
        for layer, own in list(self._own.items()):
            if _LOOKS.get(layer, (None, None))[1] is own:
                _restore(layer)
        self._own.clear()

    def _show_labels(self, layer: Labels, chosen: np.ndarray, known: np.ndarray) -> None:
        from napari.utils.colormaps.standardize_color import transform_color

        before = _restore(layer)
        if not len(chosen):
            return
        rest = np.setdiff1d(known, chosen, assume_unique=True)
        if len(chosen) > MOST and len(rest) < len(chosen):
            # napari takes its time for each that is listed: those are listed that are fewer
            grey, veiled = np.full(3, DIMMED), transform_color(CHOSEN)[0] * (1, 1, 1, VEIL)
            colors = np.tile(np.append(grey, VEIL), (len(rest), 1))
            self._put(layer, _colored(rest, colors, tuple(veiled)), before)
            return
        known = known if len(known) <= MOST else chosen[:0]
        dimmed = np.array(before.colormap.map(known), float).reshape(-1, 4)
        dimmed[:, :3] *= DIMMED
        tints = np.resize(transform_color(list(TINTS)), (len(chosen), 4))
        colors = np.concatenate([dimmed, tints]) * (1, 1, 1, VEIL)
        others = (DIMMED,) * 3 + (VEIL,)
        self._put(layer, _colored(np.append(known, chosen), colors, others), before)

    def _put(self, layer: Labels, colormap: DirectLabelColormap, before: Look) -> None:
        layer.colormap = colormap
        layer.opacity = 1.0  # what lies beneath would shine through
        self._own[layer] = Look(layer.colormap, layer.opacity)
        _LOOKS[layer] = before, self._own[layer]


def _restore(layer: Labels) -> Look:
    """Give a layer its look back; returns it."""
    looks = _LOOKS.pop(layer, None)
    if looks is not None:
        before, ours = looks
        if layer.colormap is ours.colormap:
            layer.colormap = before.colormap
        if layer.opacity == ours.opacity:
            layer.opacity = before.opacity
    return Look(layer.colormap, layer.opacity)


def _distinct(numbers: np.ndarray) -> np.ndarray:
    """Return sorted numbers, each once; to hash them, as NumPy does, takes longer."""
    ordered = np.sort(numbers)
    distinct: np.ndarray = ordered[np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)]]
    return distinct


class Scale(NamedTuple):
    """Of which column the colours of objects are, and the values of its first and last."""

    column: str
    low: float
    high: float


_SCALES: weakref.WeakKeyDictionary[Layer, tuple[Scale, object, object]] = (
    weakref.WeakKeyDictionary()
)
"""What the colours of a layer tell, what these are, and what was there before."""


def scale_over(column: str, values: np.ndarray) -> Scale:
    """Return the scale on which the `values` of a column lie."""
    known = values[np.isfinite(values)]
    low, high = (known.min(), known.max()) if len(known) else (np.nan, np.nan)
    return Scale(column, float(low), float(high))


def scale_colors(share: np.ndarray) -> np.ndarray:
    """Return the colours of shares of a scale, from low (blue, 0) to high (yellow, 1)."""
    from napari.utils.colormaps import ensure_colormap

    palette = ensure_colormap("viridis").map(np.linspace(0, 1, 256))
    colors: np.ndarray = palette[(share * 255).astype(int)]
    return colors


def color_by(layer: Layer, numbers: np.ndarray, values: np.ndarray, scale: Scale) -> None:
    """Colour the objects of a layer by a value of each; all the same: by the middle of it."""
    there = np.isfinite(values)
    # halves: the largest numbers there are may lie further apart than one of them
    wide = scale.high / 2 - scale.low / 2
    share = (values[there] / 2 - scale.low / 2) / wide if wide else np.full(there.sum(), 0.5)
    colors = np.full((len(values), 4), FADED, np.float32)
    colors[there] = scale_colors(share)
    before = own if (own := _own_colors(layer)) is not None else _colors(layer)
    if layer_kind(layer) is LayerKind.LABELS:
        layer.colormap = _colored(numbers, colors)
    elif hasattr(layer, "face_color"):
        layer.face_color = colors
    _SCALES[layer] = scale, _colors(layer), before


def scale_of(layer: Layer) -> Scale | None:
    """Return what the colours of a layer tell; None: they are not by a column, or not any more."""
    if layer not in _SCALES:  # the colours of many points are not read for nothing
        return None
    scale, ours, _ = _SCALES[layer]
    now = _colors(layer)
    if isinstance(now, np.ndarray) and isinstance(ours, np.ndarray):
        return scale if np.array_equal(now, ours) else None
    return scale if now is ours else None


def own_colors(layer: Layer) -> None:
    """Give a layer the colours back that it had before it was coloured by a column."""
    before = _own_colors(layer)
    if before is None:
        return
    if layer_kind(layer) is LayerKind.LABELS:
        layer.colormap = before
    else:
        layer.face_color = before
    _SCALES.pop(layer)


def _own_colors(layer: Layer) -> object:
    return _SCALES[layer][2] if scale_of(layer) is not None else None


def _colors(layer: Layer) -> object:
    """Return the colours of a layer, as they are when nothing stands out in it."""
    if layer_kind(layer) is LayerKind.LABELS:
        looks = _LOOKS.get(layer)
        out = looks is not None and layer.colormap is looks[1].colormap
        return looks[0].colormap if looks is not None and out else layer.colormap
    return np.array(getattr(layer, "face_color", None))


def compile_ahead(layer: Layer) -> None:
    """Begin what napari otherwise compiles when the first object is chosen: a second."""
    if layer_kind(layer) is LayerKind.LABELS and layer.dtype.itemsize > 2:
        _compile_once(str(layer.dtype))


@cache
def _compile_once(pixels: str) -> None:
    # a compiler that is cut off could crash the program
    to_the_end(partial(_compile, pixels), "colours of labels")


def _compile(pixels: str) -> None:
    """Compile the table from labels to colours; it runs in one thread, napari's loops in many."""
    try:
        from numba import typed, types
    except ImportError:  # then napari does it with NumPy
        return
    table = typed.Dict.empty(getattr(types, pixels), types.uint8)
    table[np.dtype(pixels).type(1)] = np.uint8(1)


def _colored(
    numbers: Iterable[int], colors: Iterable[np.ndarray], others: tuple[float, ...] = FADED
) -> DirectLabelColormap:
    """Return the colours of some labels; of the `others`; the background is not seen."""
    from napari.utils.colormaps import DirectLabelColormap

    told: dict[int | None, np.ndarray] = {
        None: np.array(others, np.float32),
        0: np.zeros(4, np.float32),
    }
    told.update(zip(map(int, numbers), colors, strict=True))
    return DirectLabelColormap(color_dict=told)
