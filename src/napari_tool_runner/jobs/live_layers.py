"""The layers of a live preview: replaced in place, and taken away without a trace.

The selection, the camera and the order of the user's layers stay as they are.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np

from napari_tool_runner.exchange import PLACE
from napari_tool_runner.jobs.viewer import ViewerLike, lift
from napari_tool_runner.tools.model import LayerKind

if TYPE_CHECKING:
    from napari_tool_runner.exchange import LoadedOutput
    from napari_tool_runner.jobs.job import Job
    from napari_tool_runner.jobs.outputs import JobOutput, JobResult

__all__ = ["PreviewLayers", "is_preview"]

_previews: weakref.WeakSet[object] = weakref.WeakSet()
_LIMITS = "contrast_limits"
_LOOKS = ("colormap", "gamma", "metadata", "name", _LIMITS)
"""Attributes of a layer that stay the user's when it takes another result."""


def is_preview(layer: object) -> bool:
    """Whether a layer is a live preview's: no input of a tool, no result."""
    return layer in _previews


class PreviewLayers:
    """What a viewer shows of a live preview.

    Parameters
    ----------
    viewer : ViewerLike
        Only a weak reference is kept. Use it on the thread that owns the viewer.
    """

    def __init__(self, viewer: ViewerLike) -> None:
        self._viewer = weakref.ref(viewer)
        self._layers: dict[tuple[str, str], tuple[object, LoadedOutput]] = {}
        self.tables: dict[str, Mapping[str, object]] = {}
        """Name -> columns, of the tables of what is shown; they join no layer of the user's."""

    @property
    def layers(self) -> list[object]:
        """The layers that are shown."""
        return [layer for layer, _ in self._layers.values()]

    def removed_by_hand(self) -> bool:
        """Whether somebody deleted a layer of the preview."""
        viewer = self._viewer()
        return viewer is None or any(layer not in viewer.layers for layer in self.layers)

    def show(self, result: JobResult, job: Job) -> None:
        """Show `result` in the place of what is shown."""
        viewer = self._viewer()
        if viewer is None:
            return
        before, self._layers, self.tables = self._layers, {}, {}
        for name, output in result.outputs.items():
            if output.output.hidden:
                continue
            for element, entry in output.files().items():
                made = entry.loaded
                if made is None:
                    continue
                if made.kind is LayerKind.TABLE:
                    self.tables[_called(entry)] = made.table
                    continue
                old = before.pop((name, element), None)
                if old is not None and _fits(old[1], made) and old[0] in viewer.layers:
                    layer = old[0]
                    _replace(layer, old[1], made)
                else:
                    if old is not None:
                        _remove(viewer, old[0])
                    layer = _add(viewer, made, _called(entry), job)
                self._layers[name, element] = layer, made
        for layer, _ in before.values():
            _remove(viewer, layer)

    def remove(self) -> None:
        """Take the preview away."""
        viewer, layers = self._viewer(), self.layers
        self._layers, self.tables = {}, {}  # whoever hears of it sees that it was not by hand
        for layer in layers:
            if viewer is not None:
                _remove(viewer, layer)


def _called(output: JobOutput) -> str:
    return f"{output.layer_name} (preview)"


def _add(viewer: ViewerLike, made: LoadedOutput, name: str, job: Job) -> object:
    data, attributes, kind = made.as_layer_data_tuple()
    add = cast("Callable[..., object]", getattr(viewer, f"add_{kind}"))
    with _as_selected(viewer):
        layer = add(data, **{**attributes, "name": name})
        _previews.add(layer)
        lift(viewer, [layer], job.request.sources)
    return layer


def _remove(viewer: ViewerLike, layer: object) -> None:
    if layer in viewer.layers:
        viewer.layers.remove(layer)


@contextmanager
def _as_selected(viewer: ViewerLike) -> Iterator[None]:
    """Leave the selection as it is; nobody hears of another one."""
    selection = viewer.layers.selection
    chosen = [*selection]
    with selection.events.blocker_all():
        yield
        selection.clear()
        selection.update(chosen)


def _fits(old: LoadedOutput, new: LoadedOutput) -> bool:
    """Whether the layer of `old` can take the data of `new`."""
    if old.kind is not new.kind or old.kind is LayerKind.SHAPES:
        return False
    if old.kind.is_pixels and len(old.pixels.shape) != len(new.pixels.shape):
        return False
    one, other = ({*made.attributes} - {*_LOOKS} for made in (old, new))
    fixed = one - {"features", *PLACE}
    return one == other and all(_same(old.attributes[n], new.attributes[n]) for n in fixed)


def _replace(layer: object, old: LoadedOutput, new: LoadedOutput) -> None:
    """Give `layer` the data of `new`, and what else is other than in `old`."""
    setattr(layer, "data", new.data)  # noqa: B010 (layers are known by their attributes)
    for name in ("features", *PLACE):
        if name in new.attributes and not _same(old.attributes[name], new.attributes[name]):
            setattr(layer, name, new.attributes[name])
    limits = new.attributes.get(_LIMITS)
    if (limits is None) != (
        old.attributes.get(_LIMITS) is None
    ):  # the input's hide it, or no more
        if limits is None:
            cast("_HasLimits", layer).reset_contrast_limits()
        else:
            setattr(layer, _LIMITS, limits)


class _HasLimits(Protocol):
    def reset_contrast_limits(self) -> object: ...


def _same(one: object, other: object) -> bool:
    if one is other:
        return True
    if isinstance(one, Mapping) or isinstance(
        other, Mapping
    ):  # columns, which are as long as data
        return False
    return np.array_equal(np.asarray(one), np.asarray(other))
