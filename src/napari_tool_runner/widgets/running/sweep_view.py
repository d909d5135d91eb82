"""What is seen of a sweep: a picture for each cell, and a figure over the first parameter."""

from __future__ import annotations

import math
from collections import deque
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QIcon, QImage, QPainter, QPalette, QPen, QPixmap, QPolygonF
from qtpy.QtWidgets import (
    QButtonGroup,
    QGridLayout,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QWidget,
)

from napari_tool_runner.jobs import MOST_CELLS, JobState
from napari_tool_runner.widgets.parts.background import IdleWork
from napari_tool_runner.widgets.parts.icons import pixmap, text_color
from napari_tool_runner.widgets.parts.layouts import plain_label
from napari_tool_runner.widgets.parts.texts import tooltip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.utils.colormaps import CyclicLabelColormap
    from qtpy.QtGui import QPaintEvent, QResizeEvent

    from napari_tool_runner.jobs import Cell, Sweep

__all__ = ["CellGrid", "FigurePlot", "figure_text", "picture_of"]

_EMPTY = (
    "The tool runs once for each value, on what the form says, and the results stand here side by "
    "side. Click on one to fill the form with its values."
)
SIDE = 150
_AT_ONCE = 0.03
"""Seconds that are drawn at once; the rest while the window is idle."""
_TOLD = 12
"""Figures in a tooltip."""
_SIGNS = {JobState.FAILED: "failed", JobState.CANCELLED: "stop", JobState.QUEUED: "clock"}


def picture_of(cell: Cell, output: str, limits: tuple[float, float]) -> QImage | None:
    """Return the picture of one output of a cell; None while there is none.

    `limits`: what is black and what is white, the same for all cells.
    """
    made = cell.thumbnails.get(output)
    if made is None:
        return None
    if made.labels:
        return _image(_label_colours(made.pixels))
    low, high = limits
    scaled = (made.pixels - low) * (255 / (high - low) if high > low else 0)
    return _image(np.nan_to_num(scaled).clip(0, 255).astype(np.uint8))


def _label_colours(labels: np.ndarray) -> np.ndarray:
    """Return labels in the colours that a new layer gives them, on black, shape (y, x, 3)."""
    colormap = _label_colormap()
    if colormap is None:
        return np.where(labels != 0, 255, 0).astype(np.uint8)
    colours: np.ndarray = np.asarray(colormap.map(labels), np.float32)
    return np.asarray(colours[..., :3] * colours[..., 3:] * 255, np.uint8)


@cache
def _label_colormap() -> CyclicLabelColormap | None:
    try:
        from napari.utils.colormaps import label_colormap
    except ImportError:  # without it nobody sees layers, either
        return None
    return label_colormap(49, 0.5, background_value=0)


def _image(pixels: np.ndarray) -> QImage:
    height, width = pixels.shape[:2]
    if pixels.ndim == 2:
        kind, channels = QImage.Format.Format_Grayscale8, 1
    else:
        channels = pixels.shape[2]
        rgb = QImage.Format.Format_RGB888
        kind = rgb if channels == 3 else QImage.Format.Format_RGBA8888
    data = np.ascontiguousarray(pixels).tobytes()
    return QImage(data, width, height, width * channels, kind).copy()


def figure_text(value: float | None) -> str:
    """Return a figure in few digits."""
    if value is None or math.isnan(value):
        return "–"
    whole = value == int(value) and abs(value) < 1e7
    return f"{value:.0f}" if whole else f"{value:.4g}"


class CellButton(QToolButton):
    """One cell: its picture, its values, a figure. Of one size from the beginning.

    Parameters
    ----------
    words : sequence of str
        Its values, a line for each.
    """

    def __init__(self, cell: Cell, words: Sequence[str], parent: QWidget) -> None:
        super().__init__(parent)
        self.cell = cell
        self._words = [*words]
        self._drawn: object = None
        self.setCheckable(True)
        self.setAutoRaise(True)
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
        self.setIconSize(QSize(SIDE, SIDE))
        lines = len(words) + 1
        self.setFixedSize(SIDE + 14, SIDE + lines * self.fontMetrics().lineSpacing() + 18)
        self.setAccessibleName(", ".join(words))

    def show_cell(self, output: str, limits: tuple[float, float], figure: str) -> None:
        """Show the cell as it is now."""
        cell = self.cell
        last = "" if cell.state is JobState.DONE else cell.state.word
        if figure in cell.figures:
            last = f"{figure}: {figure_text(cell.figures[figure])}"
        cut, width = Qt.TextElideMode.ElideRight, self.width() - 8
        lines = [self.fontMetrics().elidedText(t, cut, width) for t in (*self._words, last)]
        self.setText("\n".join(lines))
        self.setToolTip(tooltip(", ".join(self._words), cell.message, _all_figures(cell)))
        self.setAccessibleDescription(cell.message or last)
        drawn = (cell.state, output, limits)
        if drawn == self._drawn:
            return
        self._drawn = drawn
        picture = picture_of(cell, output, limits)
        self.setIcon(QIcon(self._sign() if picture is None else _fitted(picture, self)))

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw a frame around the one that is chosen: styles show that of no flat button."""
        super().paintEvent(event)
        if self.isChecked():
            painter = QPainter(self)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(text_color(self, QPalette.ColorRole.WindowText), 2))
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 3, 3)
            painter.end()

    def _sign(self) -> QPixmap:
        """Return a sign in the middle of nothing."""
        ratio = self.devicePixelRatioF()
        canvas = QPixmap(round(SIDE * ratio), round(SIDE * ratio))
        canvas.setDevicePixelRatio(ratio)
        canvas.fill(Qt.GlobalColor.transparent)
        done = "check" if self.cell.state is JobState.DONE else "play"
        name = _SIGNS.get(self.cell.state, done)
        sign = pixmap(name, text_color(self).name(), 28, ratio, 0.5)
        painter = QPainter(canvas)
        painter.drawPixmap(QPointF((SIDE - 28) / 2, (SIDE - 28) / 2), sign)
        painter.end()
        return canvas


def _all_figures(cell: Cell) -> str:
    told = [f"{name}: {figure_text(value)}" for name, value in cell.figures.items()]
    return "\n".join(told[:_TOLD])


def _fitted(picture: QImage, widget: QWidget) -> QPixmap:
    ratio = widget.devicePixelRatioF()
    keep, smooth = Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
    side = round(SIDE * ratio)
    made = QPixmap.fromImage(picture.scaled(side, side, keep, smooth))
    made.setDevicePixelRatio(ratio)
    return made


class CellGrid(QScrollArea):
    """The cells of a sweep, each in its place from the beginning."""

    clicked = Signal(object)
    """A cell was clicked; carries it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._sweep: Sweep | None = None
        self._columns = 0
        self._wanted: tuple[str, tuple[float, float], str] = ("", (0.0, 0.0), "")
        self._left: deque[CellButton] = deque()
        self._drawing = IdleWork(self)
        self._group = QButtonGroup(self)
        self._group.buttonClicked.connect(lambda _: self.clicked.emit(self.chosen))
        self.setWidgetResizable(True)
        self.setAccessibleName("Results")
        self._body = QWidget()
        self._grid = QGridLayout(self._body)
        self._grid.setSpacing(4)
        self._empty = plain_label(_EMPTY, wrap=True)
        self._grid.addWidget(self._empty, 0, 0)
        self.setWidget(self._body)

    @property
    def buttons(self) -> list[CellButton]:
        """The cells, in their order."""
        return [one for one in self._group.buttons() if isinstance(one, CellButton)]

    @property
    def chosen(self) -> Cell | None:
        """The cell that was clicked last."""
        button = self._group.checkedButton()
        return button.cell if isinstance(button, CellButton) else None

    def set_sweep(self, sweep: Sweep) -> None:
        """Make a place for each cell."""
        self._left.clear()
        for button in self.buttons:
            self._group.removeButton(button)
            button.hide()
            button.deleteLater()
        for cell in sweep.cells:
            self._group.addButton(CellButton(cell, cell.words, self._body))
        self._empty.hide()
        self._sweep, self._columns = sweep, 0
        self._arrange()

    def show_cells(self, output: str, figure: str) -> None:
        """Show the cells as they are now: a picture of `output`, and a figure."""
        limits = (0.0, 0.0) if self._sweep is None else self._sweep.limits(output)
        self._wanted, self._left = (output, limits, figure), deque(self.buttons)
        if not self._drawing.pending:
            self._drawing.add([self._draw])
        self._drawing.work(_AT_ONCE)

    def _draw(self) -> None:
        """Draw one cell; a hundred take longer than a window may stand still."""
        if self._left:
            self._left.popleft().show_cell(*self._wanted)
            self._drawing.add([self._draw])

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Use the width."""
        super().resizeEvent(event)
        self._arrange()

    def _arrange(self) -> None:
        """Place the cells: a row for each value of the first of two; else by the width."""
        buttons, viewport = self.buttons, self.viewport()
        if self._sweep is None or viewport is None:
            return
        axes = self._sweep.axes
        fitting = viewport.width() // (buttons[0].width() + self._grid.spacing())
        columns = len(axes[1].values) if len(axes) > 1 else max(1, fitting)
        if columns == self._columns:
            return
        self._columns = columns
        for number, button in enumerate(buttons):
            self._grid.addWidget(button, *divmod(number, columns))
        self._grid.setRowStretch(MOST_CELLS, 1)
        self._grid.setColumnStretch(MOST_CELLS, 1)


class FigurePlot(QWidget):
    """A figure over the values of the first parameter; a line for each value of the second."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._sweep: Sweep | None = None
        self._figure = ""
        self._chosen: Cell | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(130)

    def show_figure(self, sweep: Sweep | None, figure: str, chosen: Cell | None = None) -> None:
        """Plot a figure; hidden without one."""
        self._sweep, self._figure, self._chosen = sweep, figure, chosen
        self.setVisible(bool(figure))
        self.setAccessibleName(f"{figure} over {sweep.axes[0].label}" if sweep else "")
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw lines, points and the ends of both axes."""
        super().paintEvent(event)
        sweep = self._sweep
        if sweep is None or not self._figure:
            return
        first = sweep.axes[0]
        places = _places(first.values)
        found = [
            (cell, places[cell.values[first.name]], cell.figures.get(self._figure))
            for cell in sweep.cells
        ]
        known = [(cell, x, y) for cell, x, y in found if y is not None and math.isfinite(y)]
        if not known:
            return
        low, high = min(y for _, _, y in known), max(y for _, _, y in known)
        color = text_color(self, QPalette.ColorRole.WindowText)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        metrics = self.fontMetrics()
        ends = figure_text(high), figure_text(low)
        left = max(metrics.horizontalAdvance(text) for text in ends) + 10
        second = sweep.axes[1] if len(sweep.axes) > 1 else None
        names = {one: second.words(one) for one in second.values} if second else {}
        right = max([30, *(metrics.horizontalAdvance(text) + 8 for text in names.values())])
        height = self.height() - 2 * metrics.height() - 15
        box = QRectF(left, 8, self.width() - left - right, height)

        def at(x: float, y: float) -> QPointF:
            part = (y - low) / (high - low) if high > low else 0.5
            return QPointF(box.left() + x * box.width(), box.bottom() - part * box.height())

        faint = QPen(color, 1)
        painter.setPen(faint)
        painter.setOpacity(0.35)
        painter.drawLine(box.bottomLeft(), box.bottomRight())
        painter.drawLine(box.bottomLeft(), box.topLeft())
        painter.setOpacity(1)
        painter.drawText(QPointF(2, box.top() + metrics.ascent() / 2), ends[0])
        if high > low:
            painter.drawText(QPointF(2, box.bottom() + metrics.ascent() / 2), ends[1])
        self._label_values(painter, box, places)
        lines: dict[object, list[tuple[Cell, QPointF]]] = {}
        key = second.name if second else ""
        for cell, x, y in known:
            lines.setdefault(cell.values.get(key), []).append((cell, at(x, y)))
        for number, (value, points) in enumerate(lines.items()):
            shade = 1 - 0.7 * number / max(1, len(lines) - 1) if len(lines) > 1 else 1
            painter.setOpacity(shade)
            painter.setPen(QPen(color, 1.5))
            painter.drawPolyline(QPolygonF([point for _, point in points]))
            painter.setBrush(color)
            for cell, point in points:
                size = 5 if cell is self._chosen else 2.5
                painter.drawEllipse(point, size, size)
            end = QPointF(box.right() + 8, points[-1][1].y() + metrics.ascent() / 2)
            painter.drawText(end, names.get(value, ""))
        painter.end()

    def _label_values(self, painter: QPainter, box: QRectF, places: dict[object, float]) -> None:
        """Write the values under the axis, as many as have room, and what they are of."""
        assert self._sweep is not None
        axis, metrics = self._sweep.axes[0], self.fontMetrics()
        free = 0.0
        baseline = box.bottom() + metrics.ascent() + 7
        for value, place in places.items():
            text = axis.words(value)
            x = box.left() + place * box.width() - metrics.horizontalAdvance(text) / 2
            if x >= free:
                painter.drawText(QPointF(x, baseline), text)
                free = x + metrics.horizontalAdvance(text) + 12
        title = f"{self._figure} over {axis.label}"
        middle = box.center().x() - metrics.horizontalAdvance(title) / 2
        painter.setOpacity(0.7)
        painter.drawText(QPointF(max(2.0, middle), baseline + metrics.height()), title)
        painter.setOpacity(1)


def _places(values: Sequence[object]) -> dict[object, float]:
    """Return where each value lies between 0 and 1: numbers by their size, others in order."""
    numbers = [value for value in values if isinstance(value, int | float)]
    if len(numbers) == len(values) and max(numbers) > min(numbers):
        low, high = min(numbers), max(numbers)
        if low > 0 and high / low >= 50:  # of a range of ratios
            low, high = math.log(low), math.log(high)
            return {one: (math.log(one) - low) / (high - low) for one in sorted(numbers)}
        return {one: (one - low) / (high - low) for one in sorted(numbers)}
    count = max(1, len(values) - 1)
    return {value: number / count for number, value in enumerate(values)}
