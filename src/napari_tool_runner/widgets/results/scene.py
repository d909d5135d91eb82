"""What a table has to do with the scene: how it is seen, how large its pixels are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QObject

from napari_tool_runner.widgets.parts.background import soon

if TYPE_CHECKING:
    from napari.components import Camera, ViewerModel

__all__ = ["GIVE_SIZE", "NO_SIZE", "Fitting", "can_give_size", "give_size"]

_View = tuple[tuple[float, ...], float]
"""Centre and zoom of a camera."""
_SETTLED_MS = 100
"""So long the canvas takes until it has given way."""
NO_SIZE = "No pixel size: sizes are in pixels."
GIVE_SIZE = (
    "Give the image and its objects their scale and units (napari’s “Layer metadata” does it), "
    "then measure again."
)
_PLUGIN, _WIDGET = "napari-metadata", "Layer metadata"
"""napari's own place for scale and units; it comes with most installations."""


class Fitting(QObject):
    """Fits the layers into the canvas again when that gets another size, unless somebody moved."""

    def __init__(self, viewer: ViewerModel, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._seen: _View | None = None
        self._later = soon(self._fit, _SETTLED_MS, self)

    def look(self) -> None:
        """Look whether the layers are seen as when they were opened: nobody moved or zoomed."""
        self._seen = None
        if not len(self._viewer.layers):
            return
        camera, seen = _camera(self._viewer), _view(self._viewer)
        self._viewer.fit_to_view()
        center, zoom = _view(self._viewer)
        camera.center, camera.zoom = seen
        if np.allclose(center, seen[0]) and np.isclose(zoom, seen[1], rtol=0.01):
            self._seen = _view(self._viewer)

    def again(self) -> None:
        """Fit them, as soon as the canvas has given way."""
        self._later.start()

    def _fit(self) -> None:
        if self._seen is not None and _view(self._viewer) == self._seen:
            self._viewer.fit_to_view()


def _camera(viewer: ViewerModel) -> Camera:
    camera: Camera = getattr(viewer, "scene", viewer).camera
    return camera


def _view(viewer: ViewerModel) -> _View:
    camera = _camera(viewer)
    return tuple(camera.center), float(camera.zoom)


def can_give_size(viewer: ViewerModel) -> bool:
    """Whether napari has a place where the scale and the units of a layer are written."""
    from npe2 import PluginManager

    return hasattr(viewer, "window") and _PLUGIN in PluginManager.instance()


def give_size(viewer: ViewerModel, layer: object) -> None:
    """Open that place for `layer`."""
    chosen = next((one for one in viewer.layers if one is layer), None)
    if chosen is not None:
        viewer.layers.selection.active = chosen
    window = getattr(viewer, "window", None)
    if window is not None:
        window.add_plugin_dock_widget(_PLUGIN, _WIDGET)
