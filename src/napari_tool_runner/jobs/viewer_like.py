"""What is asked of a viewer (napari.Viewer, ViewerModel), its layers and their selection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

__all__ = ["LayerLike", "ViewerLike"]


class LayerLike(Protocol):
    """What is asked of a layer."""

    name: str
    visible: bool
    metadata: dict[str, object]
    features: object


class SelectionLike(Protocol):
    """What is asked of the selected layers."""

    def __iter__(self) -> Iterator[object]: ...

    def clear(self) -> object:
        """Select none."""
        ...

    def update(self, layers: Iterable[object]) -> object:
        """Select these, too."""
        ...

    @property
    def events(self) -> SelectionEvents:
        """Who hears of it."""
        ...


class SelectionEvents(Protocol):
    """What is asked of the events of a selection."""

    def blocker_all(self) -> AbstractContextManager[object]:
        """Let nobody hear of anything inside."""
        ...


class LayerListLike(Protocol):
    """What is asked of a layer list."""

    def __iter__(self) -> Iterator[LayerLike]: ...

    def __contains__(self, layer: object) -> bool: ...

    def __getitem__(self, name: str) -> LayerLike: ...

    def __len__(self) -> int: ...

    def index(self, layer: object) -> int:
        """Place of a layer, 0 at the bottom."""
        ...

    def move(self, source: int, target: int) -> object:
        """Move a layer."""
        ...

    def insert(self, index: int, layer: object) -> object:
        """Put a layer at a place."""
        ...

    def remove(self, layer: object) -> object:
        """Take a layer away."""
        ...

    @property
    def selection(self) -> SelectionLike:
        """The selected layers."""
        ...


class ViewerLike(Protocol):
    """What is asked of a viewer (napari.Viewer, napari.components.ViewerModel)."""

    @property
    def layers(self) -> LayerListLike:
        """The layer list."""
        ...
