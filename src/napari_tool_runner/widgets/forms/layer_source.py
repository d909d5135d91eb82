"""The layers of a viewer, followed; the dock begins with it, before it knows of any data."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_tool_runner.proxies import bare

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_tool_runner.exchange import LoadedOutput

__all__ = ["LayerSource", "has_features"]

_log = logging.getLogger(__name__)


def has_features(layer: object) -> bool:
    """Whether a layer has a table."""
    features = getattr(layer, "features", None)
    return features is not None and len(getattr(features, "columns", ())) > 0


class LayerSource(QObject):
    """Follows the layer list of a viewer.

    Parameters
    ----------
    viewer : napari.components.ViewerModel or None
        None: there are no layers (a form alone).
    """

    changed = Signal()
    """The list or a name changed, maybe the selection, too."""
    reselected = Signal()
    """Only the selection changed."""

    def __init__(self, viewer: ViewerModel | None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = bare(viewer)
        self._shown: list[tuple[int, str, bool]] = []
        self._chosen: tuple[int, list[bool]] | None = None
        for event in self._events():
            event.connect(self._tell)

    def layers(self) -> list[Layer]:
        """Return the layers, top of the list first, as napari shows them."""
        return list(reversed(self._viewer.layers)) if self._viewer is not None else []

    def add(self, made: LoadedOutput) -> Layer:
        """Add a layer that was made of others; it is not selected."""
        from napari.layers import Layer

        assert self._viewer is not None  # what it was made of lies there
        chosen = set(self._viewer.layers.selection)
        layer = Layer.create(*made.as_layer_data_tuple())
        self._viewer.add_layer(layer)
        self._viewer.layers.selection = chosen
        return layer

    def active(self) -> Layer | None:
        """Return the layer that is selected alone."""
        return self._viewer.layers.selection.active if self._viewer is not None else None

    def selected(self) -> list[Layer]:
        """Return the selected layers in the order of the list."""
        if self._viewer is None:
            return []
        return [layer for layer in self.layers() if layer in self._viewer.layers.selection]

    def disconnect_layers(self) -> None:
        """Stop following; call before the widgets go (idempotent)."""
        for event in self._events():
            event.disconnect(self._tell)
        self._viewer = None

    def _events(self) -> list[Any]:
        if self._viewer is None:
            return []
        events, selection = self._viewer.layers.events, self._viewer.layers.selection.events
        names = ("inserted", "removed", "reordered", "renamed")  # the last: not in all versions
        found = [getattr(events, name) for name in names if hasattr(events, name)]
        return [*found, selection.active]

    def _tell(self, event: object = None) -> None:
        layers, selected = self.layers(), self.selected()
        shown = [(id(layer), layer.name, has_features(layer)) for layer in layers]
        chosen = (id(self.active()), [layer in selected for layer in layers])
        listed, reselected = shown != self._shown, chosen != self._chosen
        self._shown, self._chosen = shown, chosen
        try:  # napari tells the same state several times
            if listed:
                self.changed.emit()
            elif reselected:
                self.reselected.emit()
        except RuntimeError:  # the window was closed in the middle of an event
            _log.debug("layer list changed after its widget was deleted")
