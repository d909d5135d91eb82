"""From a row to its object in the viewer, and back: chosen, in sight, and standing out."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_tool_runner.exchange import layer_kind, whereabouts
from napari_tool_runner.tools.model import LayerKind
from napari_tool_runner.widgets.parts.background import Task, soon
from napari_tool_runner.widgets.parts.texts import notify, short
from napari_tool_runner.widgets.results.looks import Highlight, compile_ahead
from napari_tool_runner.widgets.results.scene import look_at, look_at_all, reveal

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_tool_runner.widgets.results.rows import Rows

__all__ = ["ObjectLink", "forget", "is_click"]


AT_ONCE = 2000
"""Of so many rows objects stand out while the window waits."""
TOGETHER = 50
"""So many objects are looked for to be seen together: each is looked for in all pixels."""


class ObjectLink(QObject):
    """Keeps the chosen rows of a table and the objects in a viewer alike."""

    picked = Signal(object, bool)
    """Objects were chosen in the viewer; carries their rows, and whether they come to others."""

    def __init__(self, viewer: ViewerModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._rows: Rows | None = None
        self._highlight = Highlight()
        self._events: list[tuple[Any, Callable[..., None]]] = []
        self._label: weakref.WeakKeyDictionary[Layer, int] = weakref.WeakKeyDictionary()
        self._task: Task | None = None
        self._wanted: tuple[np.ndarray, int, bool] | None = None
        self._later = soon(self._do_wanted, 0, self)
        self._quiet = False
        viewer.mouse_drag_callbacks.append(self._mouse)

    def follow(self, rows: Rows | None) -> None:
        """Take another table; what stood out before does so no more."""
        self._quiet = True
        try:
            self._highlight.clear()
        finally:
            self._quiet = False
        forget(self._events)
        self._rows, self._wanted = rows, None
        for layer in rows.layers if rows is not None else ():
            compile_ahead(layer)
            if hasattr(layer, "selected_label"):
                self._label[layer] = layer.selected_label
            event = _choice(layer)
            if event is not None:
                heard = partial(self._chosen_in, layer)
                event.connect(heard)
                self._events.append((event, heard))

    def release(self) -> None:
        """Let go of the viewer."""
        self.follow(None)
        if self._mouse in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._mouse)

    def choose(
        self, chosen: np.ndarray, current: int = -1, *, middle: bool = True, now: bool = True
    ) -> None:
        """Let the objects of the `chosen` rows stand out, and bring that of `current` in sight.

        `middle`: into the middle of the view, also where it is in sight already. Unless `now`,
        very many do so once the window shows what was pressed: napari takes its time.
        """
        rows = self._rows
        self._wanted = None
        if rows is None or not rows.layers:
            return
        if not now and len(rows) > AT_ONCE:
            self._wanted = chosen, current, middle
            self._later.start()
            return
        with self._silent():
            for place, layer in enumerate(rows.layers):
                numbers = rows.numbers[chosen[rows.owners[chosen] == place]]
                self._highlight.show(layer, numbers, rows.numbers[rows.owners == place])
        if current >= 0:
            self._show(rows, current, middle)

    def _do_wanted(self) -> None:
        if self._wanted is not None:
            chosen, current, middle = self._wanted
            self.choose(chosen, current, middle=middle)

    def _show(self, rows: Rows, row: int, middle: bool) -> None:
        layer, number = rows.layers[rows.owners[row]], int(rows.numbers[row])
        reveal(self._viewer, layer)
        frame = None if rows.frames is None else int(rows.frames[row])
        if layer_kind(layer) is LayerKind.LABELS:
            with self._silent():
                layer.selected_label = self._label[layer] = number
        if self._task is not None:
            self._task.drop()
        # a label is looked for in all pixels, which may be many
        self._task = Task(partial(whereabouts(layer), number, frame), self)
        self._task.done.connect(partial(self._found, layer, number, middle))
        self._task.failed.connect(self._lost)
        self._task.start()

    def bring(self, rows: np.ndarray) -> None:
        """Bring the objects of several rows into sight together, as far as one slice has them."""
        table = self._rows
        if table is None or not table.layers or not len(rows):
            return
        layer = table.layers[table.owners[rows[0]]]
        reveal(self._viewer, layer)
        own = rows[table.owners[rows] == table.owners[rows[0]]][:TOGETHER]
        frames = [None] * len(own) if table.frames is None else table.frames[own].tolist()
        if self._task is not None:
            self._task.drop()
        wanted = list(zip(table.numbers[own].tolist(), frames, strict=True))
        self._task = Task(partial(_places, layer, wanted), self)
        self._task.done.connect(partial(self._found_all, layer, len(rows)))
        self._task.failed.connect(self._lost)
        self._task.start()

    def _found_all(self, layer: Layer, count: int, places: list[Sequence[float]]) -> None:
        self._task = None
        if not places or layer not in self._viewer.layers:
            return
        away = look_at_all(self._viewer, layer, places) + count - len(places)
        if away:
            notify(f"{away:,} of {count:,} may be out of sight: choose their rows one by one.")

    def _lost(self, _: object) -> None:
        self._task = None

    def _found(
        self, layer: Layer, number: int, middle: bool, place: Sequence[float] | None
    ) -> None:
        self._task = None
        if layer not in self._viewer.layers:
            return
        if place is None:  # painted over since it was measured
            notify(f"“{short(layer.name)}” has no object {number} any more.")
        else:
            look_at(self._viewer, layer, place, middle=middle)

    # -- from the viewer -----------------------------------------------------------

    def _chosen_in(self, layer: Layer, _: object = None) -> None:
        if self._quiet or self._rows is None:
            return
        if layer_kind(layer) is LayerKind.LABELS:
            if self._label.get(layer) == layer.selected_label:
                return  # napari tells it also when colours change
            self._label[layer] = layer.selected_label
            numbers = [int(layer.selected_label)]
        else:
            numbers = sorted(int(number) for number in layer.selected_data)
        rows = self._rows.of(layer, numbers, self._frame(layer))
        if len(rows) or layer_kind(layer) is not LayerKind.LABELS:
            self.picked.emit(rows, False)

    def _mouse(self, viewer: ViewerModel, event: Any) -> Iterator[None]:
        """Tell which object was clicked on; a drag moves the view and chooses none."""
        if not (yield from is_click(event)) or self._rows is None:
            return
        for layer in reversed(viewer.layers):
            of_ours = any(one is layer for one in self._rows.layers)
            if (
                not of_ours
                or not layer.visible
                or str(layer.mode) not in ("pan_zoom", "transform")
            ):
                continue
            number = self._at(layer, event)
            rows = self._rows.of(layer, [] if number is None else [number], self._frame(layer))
            if len(rows):
                break
        else:
            rows = np.zeros(0, int)
        more = bool({"Control", "Shift"} & {str(getattr(m, "name", m)) for m in event.modifiers})
        if len(rows) or not more:  # beside all objects: none is chosen
            self.picked.emit(rows, more)

    def _at(self, layer: Layer, event: Any) -> int | None:
        value = layer.get_value(
            event.position,
            view_direction=event.view_direction,
            dims_displayed=event.dims_displayed,
            world=True,
        )
        if isinstance(value, tuple):  # of a multiscale layer its level, of a shape the corner
            value = value[1] if layer_kind(layer) is LayerKind.LABELS else value[0]
        return None if value is None else int(value)

    def _frame(self, layer: Layer) -> int | None:
        """Return which place along the first axis of `layer` is shown."""
        dims = self._viewer.dims
        axis = dims.ndim - layer.ndim
        if axis in dims.displayed:
            return None
        return round(float(layer.world_to_data(dims.point[axis:])[0]))

    @contextmanager
    def _silent(self) -> Iterator[None]:
        before, self._quiet = self._quiet, True
        try:
            yield
        finally:
            self._quiet = before


def is_click(event: Any) -> Generator[None, None, bool]:
    """Wait, in a callback of the mouse, until its button is let go: whether it stayed in place."""
    start = np.array(event.pos, float) if event.button == 1 else None
    yield
    while event.type == "mouse_move":
        yield
    return start is not None and bool(np.abs(np.array(event.pos) - start).max() <= 3)


def forget(heard: list[tuple[Any, Callable[..., None]]]) -> None:
    """Listen no more: disconnect what is connected to events, and empty the list."""
    while heard:
        event, act = heard.pop()
        event.disconnect(act)


def _places(layer: Layer, wanted: list[tuple[int, int | None]]) -> list[Sequence[float]]:
    find = whereabouts(layer)
    places = (find(number, frame) for number, frame in wanted)
    return [place for place in places if place is not None]


def _choice(layer: object) -> Any:
    """Return the event that tells which objects of a layer are chosen, None: there is none."""
    if hasattr(layer, "selected_label"):
        return layer.events.selected_label  # type: ignore[attr-defined]
    chosen = getattr(layer, "selected_data", None)
    if chosen is None:
        return None
    if hasattr(chosen, "events"):
        return chosen.events
    return getattr(getattr(layer, "events", None), "highlight", None)
