"""What each axis of a chosen image is taken for, and the choice of something else."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, cast

from qtpy.QtCore import QEvent, Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QVBoxLayout, QWidget
from superqt.utils import signals_blocked

from napari_tool_runner.errors import ParameterError, ToolRunnerError
from napari_tool_runner.exchange import (
    LayerSnapshot,
    in_words,
    is_guess,
    layer_kind,
    learned,
    open_snapshot,
    read_axes,
    snapshot,
    why_guess,
    with_known_axes,
)
from napari_tool_runner.widgets.forms.given import axes_told, path_of
from napari_tool_runner.widgets.forms.known_axes import axes_of, learn_axes
from napari_tool_runner.widgets.parts.background import Task
from napari_tool_runner.widgets.parts.inputs import NarrowCombo, keep_wheel_away
from napari_tool_runner.widgets.parts.layouts import filled, plain_label
from napari_tool_runner.widgets.parts.messages import MessageLabel
from napari_tool_runner.widgets.parts.texts import tooltip

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari.layers import Layer

__all__ = ["AxesRow"]

_USUAL = {
    3: ("ZYX", "TYX", "CYX"),
    4: ("TZYX", "CZYX", "ZCYX", "TCYX"),
    5: ("TCZYX", "TZCYX", "CTZYX"),
}
# layer -> the names that it had before somebody chose others here
_HEARD = ("axis_labels", "units", "scale")
_before: weakref.WeakKeyDictionary[Layer, tuple[str, ...]] = weakref.WeakKeyDictionary()


class AxesRow(QWidget):
    """Shows and changes the names of the axes of layers and files.

    Layers keep them (`axis_labels`). Hidden while there is nothing to say: of planes, and of
    what is no image. `wanted`: the axes that the tool takes unnamed ones for.
    """

    named = Signal(object)
    """Carries the names that a person chose; empty: automatic; None: a layer was renamed."""

    def __init__(
        self, name: str, label_width: int, wanted: str = "", parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._wanted = wanted
        self._others: list[LayerSnapshot] = []
        self._layers: list[Layer] = []
        self._ndim, self._edited, self._told = 0, False, False
        self._task: Task | None = None
        self.combo = NarrowCombo()
        self.combo.setEditable(True)
        self.combo.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        keep_wheel_away(self.combo)
        self.combo.setAccessibleName(f"Axes of {name}")
        self.combo.setToolTip(
            tooltip(
                "What each axis is: T time, C channel, Z depth, Y rows, X columns, "
                "? if you do not know.",
                "Choose, or type the letters. A layer keeps them as its axis labels; of a file "
                "they are told with it.",
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

    def show_values(self, values: Sequence[object], others: Sequence[object] = ()) -> None:
        """Show the axes of layers and files, which `others` may tell; files are opened for it."""
        self.release()
        images = [] if self._wanted else [one for one in others if layer_kind(one).is_pixels]
        self._others = [snapshot(one) for one in images]
        self._layers = [cast("Layer", one) for one in values if layer_kind(one).is_pixels]
        for layer in self._layers:
            for name in _HEARD:
                getattr(layer.events, name).connect(self._renamed)
        files = [one for one in values if path_of(one) is not None]
        self._told = any(map(axes_told, files))
        snaps = [snapshot(layer) for layer in self._layers]
        self._tell(snaps)
        if files or any(is_guess(snap.geometry) for snap in snaps):
            wanted = self._wanted
            self._ask(
                lambda: [
                    *(with_known_axes(snap, wanted) for snap in snaps),
                    *(with_known_axes(open_snapshot(snapshot(file)), wanted) for file in files),
                ]
            )

    def release(self) -> None:
        """Stop following the layers."""
        for layer in self._layers:
            for name in _HEARD:
                getattr(layer.events, name).disconnect(self._renamed)
        self._layers = []
        if self._task is not None:
            self._task.drop()
            self._task = None

    def _ask(self, work: Callable[[], list[LayerSnapshot]]) -> None:
        """Show what files tell once they were read."""
        self._task = Task(work, self)
        self._task.done.connect(self._answered)
        self._task.failed.connect(self._unread)
        self._task.start()

    def _answered(self, snaps: list[LayerSnapshot]) -> None:
        self._task = None
        before = [axes_of(layer) for layer in self._layers]
        read = [snap for snap in snaps if snap.kind.is_pixels and snap.data is not None]
        self._tell(read, read=True)
        if before != [axes_of(layer) for layer in self._layers]:
            self.named.emit(None)

    def _unread(self, error: ToolRunnerError) -> None:
        self._task = None  # the run says what is wrong with a file
        if self._told:  # unless it is what was told of it
            self.words.say(str(error), "problem")
        self._reveal(bool(self._layers) or self._told)

    def _tell(self, snaps: Sequence[LayerSnapshot], *, read: bool = False) -> None:
        """Show the axes of images, if they have equally many; `read`: their files were asked."""
        if len({snap.geometry.ndim for snap in snaps}) != 1:
            self._reveal(False)
            return
        snaps = [learned(snap, self._others) for snap in snaps]
        for layer, snap in zip(self._layers, snaps, strict=False):
            if snap.geometry.ndim == layer.ndim:  # else its file has colours
                guess = not read and is_guess(snap.geometry)
                learn_axes(layer, snap.geometry.axes, guess=guess)
        geometry = snaps[0].geometry
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
        guesses = [snap.geometry for snap in snaps if is_guess(snap.geometry)]
        other = next((snap for snap in snaps if snap.geometry.axes != geometry.axes), None)
        words = [f"A guess: {why_guess(guesses[0])}."] if guesses else [*snaps[0].remarks[-1:]]
        if other is not None:
            words.append(f"“{other.name}” has {in_words(other.geometry.axes)}.")
        self.words.say(" ".join(words), "info")
        self._reveal(bool(words) or geometry.ndim > 2)

    def _renamed(self, event: object = None) -> None:
        self.named.emit(None)

    def _editing(self, text: str) -> None:
        self._edited = True

    def _chosen(self, index: int) -> None:
        self._name(str(self.combo.itemData(index) or ""))

    def _typed(self) -> None:
        if self._edited:  # to leave the field is no choice
            self._confirmed()

    def _confirmed(self) -> None:
        if not self.isHidden():
            self._name(self.combo.currentText())

    def _name(self, text: str) -> None:
        """Name the axes of the layers; an empty text gives them back the names they had."""
        self._edited = False
        try:
            labels = read_axes(text, self._ndim) if text else None
        except ParameterError as error:
            self.words.say(str(error), "problem")
            return
        for layer in [*self._layers]:
            if labels is not None:
                _before.setdefault(layer, tuple(layer.axis_labels))
                layer.axis_labels = labels
            elif layer in _before:
                layer.axis_labels = _before.pop(layer)
        self.named.emit(labels or ())
