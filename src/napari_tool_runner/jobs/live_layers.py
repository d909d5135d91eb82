"""The layers of a live preview: replaced in place, and taken away without a trace.

The selection, the camera and the order of the user's layers stay as they are.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from napari_tool_runner.jobs.in_place import call, fits, note_made, renew
from napari_tool_runner.jobs.viewer import add_layer, lift
from napari_tool_runner.tools.model import LayerKind

if TYPE_CHECKING:
    from napari_tool_runner.exchange import LoadedOutput
    from napari_tool_runner.jobs.in_place import Looks
    from napari_tool_runner.jobs.job import Job
    from napari_tool_runner.jobs.outputs import JobOutput, JobResult
    from napari_tool_runner.jobs.viewer_like import ViewerLike

__all__ = ["PreviewLayers", "is_preview"]

_previews: weakref.WeakSet[object] = weakref.WeakSet()


def is_preview(layer: object) -> bool:
    """Whether a layer is a live preview's: no input of a tool, no result."""
    return layer in _previews


class PreviewLayers:
    """What a viewer shows of a live preview.

    Parameters
    ----------
    viewer : ViewerLike
        Only a weak reference is kept. Use it on the thread that owns the viewer.
    looks : Looks, optional
        How its layers look at first; None: as the viewer does.
    """

    def __init__(self, viewer: ViewerLike, looks: Looks | None = None) -> None:
        self._viewer = weakref.ref(viewer)
        self._looks = looks
        self._layers: dict[tuple[str, str], object] = {}
        self.tables: dict[str, Mapping[str, object]] = {}
        """Name -> columns, of the tables of what is shown; they join no layer of the user's."""

    @property
    def layers(self) -> list[object]:
        """The layers that are shown."""
        return [*self._layers.values()]

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
                sources = job.request.sources
                look = self._looks(entry, sources) if self._looks is not None else {}
                layer = before.pop((name, element), None)
                if layer is not None and layer in viewer.layers and fits(layer, made, look):
                    renew(layer, made, look, steady=True)
                    call(layer, _called(entry))
                else:
                    if layer is not None:
                        _remove(viewer, layer)
                    layer = _add(viewer, made, {**look, "name": _called(entry)}, sources)
                note_made(layer, made, look)
                self._layers[name, element] = layer
        for layer in before.values():
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


def _add(
    viewer: ViewerLike,
    made: LoadedOutput,
    more: Mapping[str, object],
    sources: Mapping[str, object],
) -> object:
    with _as_selected(viewer):
        layer = add_layer(viewer, made, more)
        _previews.add(layer)
        lift(viewer, [layer], sources)
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
