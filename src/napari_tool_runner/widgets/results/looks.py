"""How objects look: those that are chosen stand out, a column colours them; and back again.

What was there before is put back, unless somebody changed it meanwhile.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_tool_runner.exchange import layer_kind
from napari_tool_runner.tools.model import LayerKind

if TYPE_CHECKING:
    from napari.layers import Labels, Layer
    from napari.utils.colormaps import Colormap, DirectLabelColormap

__all__ = ["Highlight", "color_by"]

FADED = (0.5, 0.5, 0.5, 0.35)
MOST = 5000
"""Of so many labels each keeps its own colour; of more only that they are chosen is shown."""


class Highlight:
    """Lets chosen objects of layers stand out: labels by their colour, others as napari does."""

    def __init__(self) -> None:
        self._labels: dict[weakref.ref[Layer], tuple[Colormap, Colormap]] = {}

    def show(self, layer: Layer, numbers: Sequence[int]) -> None:
        """Let these objects of `layer` stand out; none: all look as before."""
        if layer_kind(layer) is LayerKind.LABELS:
            self._show_labels(layer, numbers)
        elif hasattr(layer, "selected_data"):
            layer.selected_data = set(numbers)

    def clear(self) -> None:
        """Give every layer the look back that it had."""
        for reference in list(self._labels):
            layer = reference()
            if layer is not None:
                self._restore(layer)
        self._labels.clear()

    def _show_labels(self, layer: Labels, numbers: Sequence[int]) -> None:
        base = self._restore(layer)
        if not len(numbers):
            return
        own = base.map(np.array(numbers)) if len(numbers) <= MOST else [base.map(1)] * len(numbers)
        layer.colormap = _colored(numbers, own)
        self._labels[weakref.ref(layer)] = (base, layer.colormap)

    def _restore(self, layer: Labels) -> Colormap:
        """Give a layer its look back; returns it."""
        before = self._labels.pop(weakref.ref(layer), None)
        if before is not None and layer.colormap is before[1]:
            layer.colormap = before[0]
        return layer.colormap


def color_by(layer: Layer, numbers: np.ndarray, values: np.ndarray) -> None:
    """Colour the objects of a layer by a value of each, from low (blue) to high (yellow)."""
    from napari.utils.colormaps import ensure_colormap

    known = values[np.isfinite(values)]
    low, high = (known.min(), known.max()) if len(known) else (0.0, 1.0)
    share = (values - low) / ((high - low) or 1.0)
    palette = ensure_colormap("viridis").map(np.linspace(0, 1, 256))
    colors = palette[np.nan_to_num(share * 255).astype(int)]
    colors[~np.isfinite(values)] = FADED
    if layer_kind(layer) is LayerKind.LABELS:
        layer.colormap = _colored(numbers, colors)
    elif hasattr(layer, "face_color"):
        layer.face_color = colors


def _colored(numbers: Iterable[int], colors: Iterable[np.ndarray]) -> DirectLabelColormap:
    """Return the colours of some labels; the others are faded, the background is not seen."""
    from napari.utils.colormaps import DirectLabelColormap

    told: dict[int | None, np.ndarray] = {
        None: np.array(FADED, np.float32),
        0: np.zeros(4, np.float32),
    }
    told.update(zip(map(int, numbers), colors, strict=True))
    return DirectLabelColormap(color_dict=told)
