"""What each axis of a chosen image is taken for, and the choice of something else."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import TYPE_CHECKING, cast

from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QVBoxLayout, QWidget
from superqt.utils import signals_blocked

from napari_tool_runner.errors import ParameterError, ToolRunnerError
from napari_tool_runner.exchange import (
    LayerSnapshot,
    in_words,
    is_guess,
    open_snapshot,
    read_axes,
    snapshot,
    with_known_axes,
)
from napari_tool_runner.tools.model import LayerKind
from napari_tool_runner.widgets.forms.layers import kind_of
from napari_tool_runner.widgets.parts.background import Task
from napari_tool_runner.widgets.parts.inputs import keep_narrow, keep_wheel_away
from napari_tool_runner.widgets.parts.layouts import filled, plain_label
from napari_tool_runner.widgets.parts.messages import MessageLabel
from napari_tool_runner.widgets.parts.texts import tooltip

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari.layers import Layer

__all__ = ["AxesRow", "axes_of"]

_PIXELS = (LayerKind.IMAGE, LayerKind.LABELS)
_USUAL = {
    3: ("ZYX", "TYX", "CYX"),
    4: ("TZYX", "CZYX", "ZCYX", "TCYX"),
    5: ("TCZYX", "TZCYX", "CTZYX"),
}
_GUESSED = "A guess: nobody named the axes."
# layer -> the names that it had before somebody chose others here
_before: weakref.WeakKeyDictionary[Layer, tuple[str, ...]] = weakref.WeakKeyDictionary()
# layer without names -> the letters that the file behind it told
_told: weakref.WeakKeyDictionary[Layer, str] = weakref.WeakKeyDictionary()


def axes_of(layer: Layer) -> str:
    """Return the letters of a layer's axes, as the form shows them; opens no file."""
    own = snapshot(layer).geometry
    return own.axes if own.labels else _told.get(layer, own.axes)


class AxesRow(QWidget):
    """Shows and changes the names of the axes of layers, which keep them (`axis_labels`).

    Hidden while there is nothing to say: of planes, and of what is no image. Of a file it only
    shows what it tells.
    """

    def __init__(self, name: str, label_width: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._layers: list[Layer] = []
        self._ndim, self._edited = 0, False
        self._task: Task | None = None
        self.combo = QComboBox()
        self.combo.setEditable(True)
        self.combo.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        keep_narrow(self.combo)
        keep_wheel_away(self.combo)
        self.combo.setAccessibleName(f"Axes of {name}")
        self.combo.setToolTip(
            tooltip(
                "What each axis is: T time, C channel, Z depth, Y rows, X columns, "
                "? if you do not know.",
                "Choose, or type the letters. The layer keeps them as its axis labels.",
            )
        )
        label = plain_label("Axes")
        label.setBuddy(self.combo)
        label.setFixedWidth(label_width)
        self.words = MessageLabel()
        row = filled(QHBoxLayout(), label, (self.combo, 1), spacing=6)
        filled(QVBoxLayout(self), row, self.words, spacing=2)
        self.combo.activated.connect(self._chosen)
        line = self.combo.lineEdit()
        assert line is not None
        self._line = line
        line.textEdited.connect(self._editing)
        line.returnPressed.connect(self._confirmed)
        line.editingFinished.connect(self._typed)
        self._there = False
        self.setVisible(False)

    def _reveal(self, there: bool) -> None:
        """Show or hide the row; one that has no place yet would be a window of its own."""
        self._there = there
        if self.parent() is not None:
            self.setVisible(there)

    def changeEvent(self, event: QEvent | None) -> None:
        """Appear in the place that it was given."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.ParentChange:
            self._reveal(self._there)

    def show_values(self, values: Sequence[object]) -> None:
        """Show the axes of layers, or of one file."""
        self.release()
        if len(values) == 1 and isinstance(values[0], str | Path):
            path = Path(values[0])
            self._ask(lambda: open_snapshot(snapshot(path)))
            return
        images = [cast("Layer", one) for one in values if kind_of(one) in _PIXELS]
        snaps = [snapshot(layer) for layer in images]
        ndims = {snap.geometry.ndim for snap in snaps}
        self._layers = images if len(ndims) == 1 else []
        for layer in self._layers:
            layer.events.axis_labels.connect(self._renamed)
        if not self._layers:
            self._reveal(False)
            return
        self._tell(snaps[0])
        if is_guess(snaps[0].geometry):
            self._ask(lambda: with_known_axes(snaps[0]))

    def release(self) -> None:
        """Stop following the layers."""
        for layer in self._layers:
            layer.events.axis_labels.disconnect(self._renamed)
        self._layers = []
        if self._task is not None:
            self._task.drop()
            self._task = None

    def _ask(self, work: Callable[[], LayerSnapshot]) -> None:
        """Show what a file tells once it was read."""
        self._task = Task(work, self)
        self._task.done.connect(self._answered)
        self._task.failed.connect(self._unread)
        self._task.start()

    def _answered(self, snap: LayerSnapshot) -> None:
        self._task = None
        for layer in self._layers:
            if snap.geometry.ndim == layer.ndim:
                _told[layer] = snap.geometry.axes
        self._tell(snap)

    def _unread(self, error: ToolRunnerError) -> None:
        self._task = None  # the run says what is wrong with the file
        self._reveal(bool(self._layers))

    def _tell(self, snap: LayerSnapshot) -> None:
        """Show the axes of `snap`."""
        geometry = snap.geometry
        self._ndim = geometry.ndim
        shown = in_words(geometry.axes, " · ")
        with signals_blocked(self.combo):
            self.combo.clear()
            self.combo.addItem("automatic", "")
            for axes in _USUAL.get(geometry.ndim, ()):
                self.combo.addItem(in_words(axes, " · "), axes)
            self.combo.setCurrentIndex(self.combo.findText(shown))
            self.combo.setEditText(shown)
            self._line.setCursorPosition(0)  # what does not fit is cut at the end
        self.combo.setEnabled(bool(self._layers))
        guessed = is_guess(geometry)
        self.words.say(_GUESSED if guessed else "", "info")
        pixels = snap.kind in _PIXELS and snap.data is not None
        self._reveal(pixels and (guessed or geometry.ndim > 2))

    def _renamed(self, event: object = None) -> None:
        self.show_values([*self._layers])

    def _editing(self, text: str) -> None:
        self._edited = True

    def _chosen(self, index: int) -> None:
        self._name(str(self.combo.itemData(index) or ""))

    def _typed(self) -> None:
        if self._edited:  # to leave the field is no choice
            self._confirmed()

    def _confirmed(self) -> None:
        if self._layers and self.combo.isEnabled():
            self._name(self.combo.currentText())

    def _name(self, text: str) -> None:
        """Name the axes of the layers; an empty text gives them back the names they had."""
        self._edited = False
        try:
            labels = read_axes(text, self._ndim) if text else None
        except ParameterError as error:
            self.words.say(str(error), "problem")
            return
        layers = [*self._layers]
        for layer in layers:
            if labels is not None:
                _before.setdefault(layer, tuple(layer.axis_labels))
                layer.axis_labels = labels
            elif layer in _before:
                layer.axis_labels = _before.pop(layer)
        self.show_values(layers)
