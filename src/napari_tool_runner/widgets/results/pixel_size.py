"""The size of a pixel, given to a measured layer and to all that lies on its picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from napari_tool_runner.exchange import counted_only, is_length, layer_kind, snapshot
from napari_tool_runner.jobs import made_of, relatives, size_changed
from napari_tool_runner.widgets.parts.inputs import NarrowCombo
from napari_tool_runner.widgets.parts.layouts import filled, plain_label
from napari_tool_runner.widgets.parts.texts import short
from napari_tool_runner.widgets.results.again import again_buttons
from napari_tool_runner.widgets.results.scene import camera_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_tool_runner.widgets.results.remark import Remark
    from napari_tool_runner.widgets.results.rows import Rows

__all__ = ["NO_SIZE", "RESIZED", "PixelSize", "SizeDialog", "Sizing", "give_size", "on_grid"]

NO_SIZE = "No pixel size: sizes are in pixels."
_ASK = "Pixel size…"
RESIZED = "The pixel size has changed since they were measured."
_UNITS = {"nm": "nanometer", "µm": "micrometer", "mm": "millimeter"}
_SYMBOLS = {name: symbol for symbol, name in _UNITS.items()}
_HOW = "Give the image and its objects the size of a pixel, then measure again."
_ALL = "It is given to the objects, to their picture, and to all that was made of that."


class PixelSize(NamedTuple):
    """How wide a pixel is, how far apart slices are (0: there are none), in which unit."""

    wide: float
    deep: float = 0
    unit: str = "micrometer"


def on_grid(viewer: ViewerModel, layer: Layer) -> list[Layer]:
    """Return the layers that have their places in the pixels of the same picture as `layer`.

    They are those that share an origin with it, other pictures of its size, and what was drawn
    by hand; none that has a pixel size.
    """
    layers = [one for one in viewer.layers if not _has_size(one)]
    near, extent = relatives(layer, layers), _extent(layer)
    return [
        one
        for one in layers
        if one in near
        or (_extent(one) == extent if layer_kind(one).is_pixels else not made_of(one, layers))
    ]


def give_size(viewer: ViewerModel, layer: Layer, size: PixelSize) -> Callable[[], None]:
    """Give `layer` and what lies on its picture a pixel size; returns what takes it back.

    What is seen stays where it is on the canvas.
    """
    axes, scale = snapshot(layer).geometry.axes, layer.scale
    own = {"Y": size.wide, "X": size.wide, "Z": size.deep or size.wide}
    factors = {
        axis: own[axis] / float(step)
        for axis, step in zip(axes, scale, strict=True)
        if axis in own
    }
    given = on_grid(viewer, layer)
    before = [
        (one, one.scale, one.translate, one.affine.affine_matrix, one.units) for one in given
    ]
    with _as_seen(viewer, factors["X"]):
        for one in given:
            letters = snapshot(one).geometry.axes
            by = np.array([factors.get(axis, 1.0) for axis in letters])
            matrix = one.affine.affine_matrix.copy()
            matrix[:-1, -1] *= by
            one.scale, one.translate, one.affine = one.scale * by, one.translate * by, matrix
            one.units = tuple(
                size.unit if axis in own else str(unit)
                for axis, unit in zip(letters, one.units, strict=True)
            )

    def take_back() -> None:
        with _as_seen(viewer, 1 / factors["X"]):
            for one, *place in before:
                one.scale, one.translate, one.affine, one.units = place

    return take_back


@contextmanager
def _as_seen(viewer: ViewerModel, factor: float) -> Iterator[None]:
    """Keep what is seen where it is while the world becomes `factor` times as large."""
    camera, step = camera_of(viewer), viewer.dims.current_step
    center, zoom = np.array(camera.center, float) * factor, camera.zoom / factor
    yield
    viewer.dims.current_step = step
    camera.center, camera.zoom = tuple(center), zoom


def _has_size(layer: object) -> bool:
    return any(is_length(str(unit)) for unit in getattr(layer, "units", ()))


def _extent(layer: Layer) -> list[list[float]]:
    found: list[list[float]] = layer.extent.world[:, -2:].tolist()
    return found


class SizeDialog(QDialog):
    """Asks for one number and its unit; of a volume also for the distance of its slices."""

    given = Signal(object)
    """Carries the size."""

    def __init__(self, deep: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Pixel size")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.wide, self.deep, self.unit = QLineEdit(), QLineEdit(), NarrowCombo()
        for symbol, name in _UNITS.items():
            self.unit.addItem(symbol, name)
        self.unit.setCurrentText("µm")
        self.unit.setAccessibleName("Unit")
        form = QFormLayout()
        form.addRow(
            "Width of a pixel", filled(QHBoxLayout(), (self.wide, 1), self.unit, spacing=4)
        )
        self.wide.setAccessibleName("Width of a pixel")
        self.wide.setPlaceholderText("as in 0.65")
        if deep:
            form.addRow("Distance of slices", self.deep)
            self.deep.setPlaceholderText("in the same unit")
        kinds = QDialogButtonBox.StandardButton
        self.buttons = QDialogButtonBox(kinds.Ok | kinds.Cancel)
        self._lines = (self.wide, self.deep) if deep else (self.wide,)
        told = plain_label(_ALL, wrap=True)
        filled(QVBoxLayout(self), form, told, self.buttons, margins=(9, 9, 9, 9), spacing=6)
        for line in self._lines:
            line.textChanged.connect(self._judge)
        self.buttons.accepted.connect(self._give)
        self.buttons.rejected.connect(self.reject)
        self._judge()

    def _judge(self) -> None:
        go = self.buttons.button(QDialogButtonBox.StandardButton.Ok)
        assert go is not None
        go.setEnabled(all(_number(line.text()) for line in self._lines))

    def _give(self) -> None:
        wide, deep = _number(self.wide.text()), _number(self.deep.text())
        self.given.emit(PixelSize(wide, deep, str(self.unit.currentData())))
        self.accept()


def _number(text: str) -> float:
    """Return a size; 0: it is none."""
    try:
        size = float(text.replace(",", "."))
    except ValueError:
        return 0
    return size if 0 < size < math.inf else 0


class Sizing(QObject):
    """Tells beside a table that sizes have no unit or an old one, and does something about it."""

    def __init__(self, viewer: ViewerModel, remark: Remark, parent: QWidget) -> None:
        super().__init__(parent)
        self._viewer, self._remark, self._window = viewer, remark, parent
        self._rows: Rows | None = None
        self._told = ""
        self._undo: Callable[[], None] | None = None
        self.dialog: SizeDialog | None = None

    def tell(self, rows: Rows) -> None:
        """Say what is known of the pixel size of these rows."""
        if self._rows is None or rows.layers != self._rows.layers:
            self._told, self._undo = "", None
        self._rows = rows
        self.look()

    def look(self, _: object = None) -> None:
        """Say it again: a layer got another size."""
        layers = self._rows.layers if self._rows is not None else ()
        bare = self._rows is not None and counted_only(map(str, self._rows.frame.columns))
        if any(map(size_changed, layers)) or (bare and any(map(_has_size, layers))):
            buttons = [*again_buttons(*layers)]
            if self._undo is not None:
                buttons.append(("Undo", self._take_back))
            self._remark.say(f"{self._told} {RESIZED}".strip(), _HOW, *buttons)
            return
        self._told, self._undo = "", None  # measured since: another size is another story
        if layers and bare:
            self._remark.say(NO_SIZE, _HOW, (_ASK, self._ask))
        else:
            self._remark.say("")

    def _ask(self) -> None:
        layer = self._measured()
        if layer is None:
            return
        dialog = SizeDialog("Z" in snapshot(layer).geometry.axes, self._window)
        dialog.given.connect(partial(self._give, layer))
        self.dialog = dialog
        dialog.open()

    def _measured(self) -> Layer | None:
        layers = self._rows.layers if self._rows is not None else ()
        return next((one for one in self._viewer.layers if one in layers), None)

    def _give(self, layer: Layer, size: PixelSize) -> None:
        names = [short(one.name) for one in on_grid(self._viewer, layer)]
        self._undo = give_size(self._viewer, layer, size)
        self._told = f"{_listed(names)} now: {size.wide:g} {_SYMBOLS[size.unit]} a pixel."
        self.look()

    def _take_back(self) -> None:
        undo, self._undo, self._told = self._undo, None, ""
        if undo is not None:
            undo()
        self.look()


def _listed(names: Sequence[str]) -> str:
    told = ", ".join(f"“{name}”" for name in names[:2])
    return f"{told} and {len(names) - 2} more" if len(names) > 2 else told
