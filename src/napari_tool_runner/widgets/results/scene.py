"""What docks and tables have to do with the scene: how it is seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QEvent, QObject

from napari_tool_runner.widgets.parts.background import soon
from napari_tool_runner.widgets.parts.texts import notify, short

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import Camera, ViewerModel
    from napari.layers import Layer
    from qtpy.QtWidgets import QWidget

__all__ = ["Fitting", "camera_of", "look_at", "look_at_all", "reveal"]

_View = tuple[tuple[float, ...], float]
"""Centre and zoom of a camera."""
_SPARE = 0.05
"""So much of the canvas a picture that is fitted leaves free: while less was lost since, it is
whole."""
_SETTLED_MS = 100
"""So long the canvas takes until it has given way."""


class Fitting(QObject):
    """Keeps what is seen whole in the canvas when that gets another size, unless somebody moved.

    What was fitted is fitted again; else the view moves, and shrinks, no more than it must.
    """

    def __init__(self, viewer: ViewerModel, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._seen: _View | None = None
        self._fitted = False
        self._later = soon(self._fit, _SETTLED_MS, self)

    def when_shown(self, panel: QWidget) -> None:
        """Fit them when `panel` is shown for the first time, as the canvas gives way to it."""
        self.look()
        panel.installEventFilter(self)

    def eventFilter(self, panel: QObject | None, event: QEvent | None) -> bool:
        """Hear that it is shown."""
        if panel is not None and event is not None and event.type() == QEvent.Type.Show:
            panel.removeEventFilter(self)
            self.again()
        return False

    def look(self) -> None:
        """Look whether the layers that are shown are seen whole."""
        self._seen = None
        if not len(self._viewer.layers):
            return
        camera, seen = camera_of(self._viewer), _view(self._viewer)
        self._viewer.fit_to_view()
        center, zoom = _view(self._viewer)
        camera.center, camera.zoom = seen
        same = np.allclose(center, seen[0]) and np.isclose(zoom, seen[1], rtol=_SPARE)
        self._fitted = bool(same)
        if same or _is_whole(self._viewer):
            self._seen = _view(self._viewer)

    def again(self) -> None:
        """Fit them, as soon as the canvas has given way."""
        self._later.start()

    def _fit(self) -> None:
        if self._seen is None or _view(self._viewer) != self._seen:
            return
        if self._fitted:
            self._viewer.fit_to_view()
        elif not _is_whole(self._viewer):
            _see_whole(self._viewer)


def camera_of(viewer: ViewerModel) -> Camera:
    """Return the camera of a viewer, wherever this napari keeps it."""
    camera: Camera = getattr(viewer, "scene", viewer).camera
    return camera


def _view(viewer: ViewerModel) -> _View:
    camera = camera_of(viewer)
    return tuple(camera.center), float(camera.zoom)


def look_at(
    viewer: ViewerModel, layer: Layer, place: Sequence[float], *, middle: bool = True
) -> None:
    """Bring a place of `layer`, in its data, into the right slice and into sight.

    The zoom stays, and so does the picture: the place comes as near to the middle of the canvas
    as no part of that gets empty for it.

    `middle`: also where it is in sight already.
    """
    dims = viewer.dims
    world = np.asarray(layer.data_to_world(place), float)
    first = dims.ndim - len(world)
    for axis in range(first, dims.ndim):
        if axis not in dims.displayed:
            dims.set_point(axis, world[axis - first])
    shown = [axis for axis in dims.displayed if axis >= first]
    if not middle and _in_sight(layer, place, [axis - first for axis in shown]):
        return
    camera = camera_of(viewer)
    center = np.array(camera.center, float)
    for offset, axis in enumerate(reversed(shown), 1):
        center[-offset] = world[axis - first]
    if len(dims.displayed) == 2:
        center[-2:] = _filled(viewer, center[-2:])
    camera.center = tuple(center)


def reveal(viewer: ViewerModel, layer: Layer) -> None:
    """Show a layer that was hidden, whose objects are asked for, and tell it."""
    if layer in viewer.layers and not layer.visible:
        layer.visible = True
        notify(f"“{short(layer.name)}” is shown again.")


def look_at_all(viewer: ViewerModel, layer: Layer, places: Sequence[Sequence[float]]) -> int:
    """Bring places of `layer` into sight together; returns how many lie in other slices.

    The slice is that of the first. The view moves where they fit in at this zoom; else all
    layers are fitted in.
    """
    look_at(viewer, layer, places[0], middle=False)
    dims = viewer.dims
    world = np.array([layer.data_to_world(place) for place in places], float)
    first = dims.ndim - world.shape[1]
    here = np.ones(len(world), bool)
    for axis in range(first, dims.ndim):
        if axis not in dims.displayed:
            apart = np.abs(world[:, axis - first] - dims.point[axis])
            here &= apart <= dims.range[axis].step / 2
    seen = world[here][:, [axis - first for axis in dims.displayed if axis >= first]]
    camera = camera_of(viewer)
    if len(dims.displayed) != 2 or seen.shape[1] != 2:
        viewer.fit_to_view()
        return int((~here).sum())
    center, low, high = np.array(camera.center, float), seen.min(axis=0), seen.max(axis=0)
    if not _has(viewer, center, (low, high)):
        center[-2:] = _filled(viewer, (low + high) / 2)
        if _has(viewer, center, (low, high)):
            camera.center = tuple(center)
        else:
            viewer.fit_to_view()
    return int((~here).sum())


def _bounds(viewer: ViewerModel) -> tuple[np.ndarray, np.ndarray] | None:
    """Return from where to where the shown layers lie in the world; None where they lie in 3-D."""
    shown = [layer for layer in viewer.layers if layer.visible]
    grid = getattr(viewer, "canvas", viewer).grid  # since napari 0.9
    if not shown or len(viewer.dims.displayed) != 2 or grid.enabled:
        return None
    extent = viewer.layers.get_extent(shown)
    world = extent.world
    first = viewer.dims.ndim - world.shape[1]
    axes = [axis - first for axis in viewer.dims.displayed]
    half = np.asarray(extent.step)[axes] / 2  # pixels lie around their middles
    return world[0, axes] - half, world[1, axes] + half


def _is_whole(viewer: ViewerModel) -> bool:
    """Whether all of the shown layers lies in the canvas."""
    bounds = _bounds(viewer)
    return bounds is not None and _has(viewer, np.array(camera_of(viewer).center), bounds)


def _has(viewer: ViewerModel, center: np.ndarray, bounds: tuple[np.ndarray, np.ndarray]) -> bool:
    """Whether all from the lower to the upper of `bounds` is in the canvas, around `center`."""
    low, high, half = *bounds, _half(viewer)
    return bool((low >= center[-2:] - half).all() and (high <= center[-2:] + half).all())


def _see_whole(viewer: ViewerModel) -> None:
    """Bring all of the shown layers into the canvas: zoom out if need be, move if need be."""
    bounds, camera = _bounds(viewer), camera_of(viewer)
    if bounds is None:
        return
    low, high = bounds
    share = float((2 * _half(viewer) / np.maximum(high - low, 1e-300)).min())
    if share < 1:
        camera.zoom *= share * (1 - _SPARE)
    center, half = np.array(camera.center, float), _half(viewer)
    half -= np.minimum(half - (high - low) / 2, _SPARE / 2 * (high - low))  # some air around it
    center[-2:] = np.clip(center[-2:], high - half, low + half)
    camera.center = tuple(center)


def _half(viewer: ViewerModel) -> np.ndarray:
    """Return half of what the canvas shows, in the world."""
    canvas = getattr(viewer, "canvas", None)  # since napari 0.9
    size = viewer._canvas_size if canvas is None else canvas.viewbox_size(viewer.layers)
    half: np.ndarray = np.asarray(size, float) / camera_of(viewer).zoom / 2
    return half


def _filled(viewer: ViewerModel, center: np.ndarray) -> np.ndarray:
    """Return the centre nearest to `center` around which the layers fill the canvas."""
    low, high = viewer.layers.extent.world[:, list(viewer.dims.displayed)]
    half = _half(viewer)
    whole = high - low <= 2 * half
    inside: np.ndarray = np.clip(center, low + half, np.maximum(high - half, low + half))
    return np.where(whole, (low + high) / 2, inside)


def _in_sight(layer: Layer, place: Sequence[float], axes: Sequence[int]) -> bool:
    """Whether a place lies within what the canvas shows of a layer."""
    if layer.multiscale:  # what is shown is told in pixels of another level
        return False
    low, high = np.asarray(layer.corner_pixels)[:, list(axes)]
    at = np.asarray(place, float)[list(axes)]
    return bool(((low <= at) & (at <= high)).all())
