"""One object that a button shows stands out in the picture, also without a table."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_tool_runner.widgets.results.looks import Highlight
from napari_tool_runner.widgets.results.objects import forget, is_click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari.components import ViewerModel
    from napari.layers import Labels

__all__ = ["Mark"]


class Mark:
    """Lets one object stand out until a click in the picture, or until its layer is left."""

    def __init__(self) -> None:
        self._highlight = Highlight()
        self._heard: list[tuple[Any, Callable[..., None]]] = []
        self._viewer: Callable[[], ViewerModel | None] = lambda: None

    def show(self, viewer: ViewerModel, layer: Labels, number: int, known: np.ndarray) -> None:
        """Let the object `number` of a layer stand out among the `known` ones."""
        self.end()
        self._viewer = weakref.ref(viewer)
        self._highlight.show(layer, np.array([number]), known)
        viewer.mouse_drag_callbacks.append(self._mouse)
        # measured, its objects are chosen in the table
        for event in (viewer.layers.selection.events.active, layer.events.features):
            event.connect(self.end)
            self._heard.append((event, self.end))

    def end(self, _: object = None) -> None:
        """Let the layer look as before."""
        forget(self._heard)
        viewer = self._viewer()
        if viewer is not None and self._mouse in viewer.mouse_drag_callbacks:
            viewer.mouse_drag_callbacks.remove(self._mouse)
        self._highlight.clear()

    def _mouse(self, _: ViewerModel, event: Any) -> Iterator[None]:
        if (yield from is_click(event)):
            self.end()
