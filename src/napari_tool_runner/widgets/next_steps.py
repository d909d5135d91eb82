"""What comes next on the way from an image to measured objects, as buttons."""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING, Protocol

from napari_tool_runner.widgets.results.dock import show_features

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

    from napari.components import ViewerModel

    from napari_tool_runner.jobs import AddedResult
    from napari_tool_runner.widgets.parts.messages import Button

__all__ = ["NextSteps"]


class _Page(Protocol):
    def take(self, layer: object, more: Mapping[str, object]) -> object: ...


_SEGMENT, _SPLIT, _CLEAN = "threshold", "split_touching", "remove_small_objects"
_MEASURE = "measure_regions"
_NUMBER = frozenset((_SPLIT, _CLEAN, "label_components"))
"""Their results are objects to be measured; outlines are not."""


class NextSteps:
    """Opens the tools that others need before them, with a layer chosen.

    Parameters
    ----------
    viewer : napari viewer or None
    toolbox : container of str, or None
        Keys of the tools that there are; what it lacks is not offered.
    open_tool : callable or None
        Shows the page of a tool by its key.
    """

    def __init__(
        self,
        viewer: ViewerModel | None,
        toolbox: Container[str] | None,
        open_tool: Callable[[str], _Page | None] | None,
    ) -> None:
        self._viewer = weakref.ref(viewer) if viewer is not None else lambda: None
        self._toolbox = toolbox if toolbox is not None and open_tool is not None else ()
        self._open_tool = open_tool

    def segment(self, layer: object) -> tuple[Button, ...]:
        """Offer to make objects of a layer of intensities."""
        return self._offer("Threshold it…", _SEGMENT, layer)

    def split(self, layer: object) -> tuple[Button, ...]:
        """Offer to make an object of each piece of a mask."""
        return self._offer("Split it into objects…", _SPLIT, layer)

    def after(self, shown: AddedResult, tool: str = "") -> tuple[Button, ...]:
        """Offer what comes after a result of `tool`: objects of a mask, no specks, measuring."""
        buttons: list[Button] = []
        viewer = self._viewer()
        for layer in shown.joined.values() if viewer is not None else ():
            buttons.append(("Table", partial(show_features, viewer, layer)))
        for layer, found in shown.counted:
            if found.unnumbered:
                buttons += self.split(layer)
            elif found.specks:
                more = {"smallest": found.least}
                buttons += self._offer("Remove specks…", _CLEAN, layer, more)
            elif found.count and tool in _NUMBER:
                buttons += self._offer("Measure them…", _MEASURE, layer)
        return tuple(buttons)

    def _offer(
        self, label: str, key: str, layer: object, more: Mapping[str, object] | None = None
    ) -> tuple[Button, ...]:
        if key not in self._toolbox:
            return ()
        return ((label, partial(self._open, key, layer, more or {})),)

    def _open(self, key: str, layer: object, more: Mapping[str, object]) -> None:
        viewer = self._viewer()
        if viewer is not None:  # what is selected is chosen, also when the page comes later
            viewer.layers.selection.active = next(
                (one for one in viewer.layers if one is layer), None
            )
        page = self._open_tool(key) if self._open_tool is not None else None
        if page is not None:
            page.take(layer, more)
