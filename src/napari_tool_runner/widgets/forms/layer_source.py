"""The layers of a viewer, as the data fields see them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_tool_runner.tools.model import LayerKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from napari.layers import Layer

__all__ = ["LayerSource", "fits", "kind_of", "kinds_text"]

_log = logging.getLogger(__name__)
_KINDS = {
    "Image": LayerKind.IMAGE,
    "Labels": LayerKind.LABELS,
    "Points": LayerKind.POINTS,
    "Shapes": LayerKind.SHAPES,
    "Tracks": LayerKind.TRACKS,
    "Vectors": LayerKind.VECTORS,
    "Surface": LayerKind.SURFACE,
}


def kind_of(layer: object) -> LayerKind:
    """Return the kind of a napari layer, also of a subclass; ANY for anything else."""
    for cls in type(layer).__mro__:
        if cls.__name__ in _KINDS and cls.__module__.startswith("napari."):
            return _KINDS[cls.__name__]
    return LayerKind.ANY


def fits(layer: object, kinds: Sequence[LayerKind]) -> bool:
    """Whether `layer` is of one of `kinds`; a layer with features counts as a table."""
    if LayerKind.ANY in kinds:
        return True
    if kind_of(layer) in kinds:
        return True
    return LayerKind.TABLE in kinds and _has_features(layer)


def kinds_text(kinds: Sequence[LayerKind]) -> str:
    """Return ``an image or labels layer`` for a sentence (the best two kinds)."""
    if LayerKind.ANY in kinds:
        return "a layer"
    words = [kind.value for kind in kinds[:2] if kind is not LayerKind.TABLE]
    table = "a layer with a table of features"
    if not words:
        return table
    article = "an" if words[0][0] in "aeiou" else "a"
    text = f"{article} {' or '.join(words)} layer"
    return f"{text} or {table}" if LayerKind.TABLE in kinds[:2] else text


def _has_features(layer: object) -> bool:
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
    """The list, a name or the selection changed."""

    def __init__(self, viewer: ViewerModel | None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._connected = False
        self.connect_layers()

    @property
    def viewer(self) -> ViewerModel | None:
        """The viewer, None in a form alone."""
        return self._viewer

    def layers(self) -> list[Layer]:
        """Return the layers, top of the list first, as napari shows them."""
        return list(reversed(self._viewer.layers)) if self._viewer is not None else []

    def active(self) -> Layer | None:
        """Return the layer that is selected alone."""
        return self._viewer.layers.selection.active if self._viewer is not None else None

    def selected(self) -> list[Layer]:
        """Return the selected layers in the order of the list."""
        if self._viewer is None:
            return []
        return [layer for layer in self.layers() if layer in self._viewer.layers.selection]

    def connect_layers(self) -> None:
        """Start to follow the viewer (idempotent)."""
        if self._viewer is None or self._connected:
            return
        events = self._viewer.layers.events
        for event in (events.inserted, events.removed, events.reordered):
            event.connect(self._tell)
        renamed = getattr(events, "renamed", None)
        if renamed is not None:
            renamed.connect(self._tell)
        self._viewer.layers.selection.events.active.connect(self._tell)
        self._connected = True

    def disconnect_layers(self) -> None:
        """Stop following; call before the widgets go."""
        if self._viewer is None or not self._connected:
            return
        events = self._viewer.layers.events
        sources = [events.inserted, events.removed, events.reordered]
        renamed = getattr(events, "renamed", None)
        if renamed is not None:
            sources.append(renamed)
        for event in sources:
            event.disconnect(self._tell)
        self._viewer.layers.selection.events.active.disconnect(self._tell)
        self._connected = False

    def _tell(self, event: object = None) -> None:
        try:
            self.changed.emit()
        except RuntimeError:  # the window was closed in the middle of an event
            _log.debug("layer list changed after its widget was deleted")
