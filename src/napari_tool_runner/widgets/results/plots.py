"""Plots of a table: histogram, scatter, line; what is clicked or circled in them is chosen."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QSize, Signal
from qtpy.QtGui import QPalette
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_tool_runner.names import count_text
from napari_tool_runner.widgets.parts.background import Task, soon
from napari_tool_runner.widgets.parts.icons import Themed, text_color
from napari_tool_runner.widgets.parts.layouts import filled, plain_label
from napari_tool_runner.widgets.parts.texts import short
from napari_tool_runner.widgets.results.axes import (
    bins,
    name_up,
    number_across,
    paint,
    plain_numbers,
    space_across,
)
from napari_tool_runner.widgets.results.chosen import chosen_words, group_words
from napari_tool_runner.widgets.results.looks import CHOSEN, scale_of
from napari_tool_runner.widgets.results.measures import Plotted, chosen_of, means_by, plotted
from napari_tool_runner.widgets.results.plot_bar import HISTOGRAM, LINE, SCATTER, PlotBar
from napari_tool_runner.widgets.results.scale import ColorScale

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from matplotlib.backend_bases import MouseEvent
    from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
    from matplotlib.widgets import LassoSelector, SpanSelector

    from napari_tool_runner.widgets.parts.inputs import NarrowCombo
    from napari_tool_runner.widgets.results.rows import Rows

__all__ = ["PlotPanel"]

HINTS = {
    HISTOGRAM: "Click on a bar, or drag across several.",
    SCATTER: "Click on a point, or circle several.",
    LINE: "Click, or drag across a part.",
}
LOWEST, TITLED = 56, 140
"""So low a plot becomes before its words give way; a lower one does not name what is across."""
MOST_KINDS = 40
"""So many bars of words can be told apart."""


class PlotPanel(Themed, QWidget):
    """One plot of the rows of a table that are shown."""

    chosen = Signal(object)
    """A person chose rows in the plot; carries them."""
    color_wanted = Signal(str)
    """Objects are to be coloured by a column; carries its name."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows: Rows | None = None
        self._shown = self._chosen = np.zeros(0, int)
        self._filtered = ""
        self.canvas: FigureCanvasQTAgg | None = None
        self.axes: Axes | None = None
        self._selector: LassoSelector | SpanSelector | None = None
        self._edges = np.zeros(0)
        self._start, self._dragged = (0.0, 0.0), False
        self.bar = bar = PlotBar()
        self.kind, self.across, self.up = bar.kind, bar.across, bar.up
        self.largest, self.smallest = bar.largest, bar.smallest
        self.color_button = bar.color_button
        self.color_button.clicked.connect(self._want_color)
        bar.changed.connect(self._draw)
        self.scale = ColorScale()
        self.scale.taken_off.connect(lambda: self.color_wanted.emit(""))
        self.hint = plain_label("Loading plots…", wrap=True)
        # a plot that moves when its words do would be clicked beside
        self.hint.setMinimumHeight(2 * self.hint.fontMetrics().lineSpacing())
        for button, pick in ((self.largest, np.nanargmax), (self.smallest, np.nanargmin)):
            button.clicked.connect(lambda _=False, pick=pick: self._choose_one(pick))
        self._column = filled(QVBoxLayout(self), bar, self.scale, self.hint, spacing=4)
        self._soon = soon(self._draw, 30, self)
        self._loading: Task | None = None
        self.setMinimumSize(260, 196)

    def sizeHint(self) -> QSize:
        """Return a size beside a table."""
        return QSize(360, 260)

    def show_rows(
        self, rows: Rows, shown: np.ndarray, chosen: np.ndarray, filtered: str = ""
    ) -> None:
        """Plot those rows that are shown, which a filter leaves; the chosen ones stand out."""
        if self._rows is None or list(rows.frame.columns) != list(self._rows.frame.columns):
            self.bar.offer(rows)
        self._rows, self._shown, self._chosen = rows, shown, chosen
        self._filtered = filtered.strip()
        self.tell_scale()
        if self.isVisible():
            self.load()
            self._soon.start()

    def utmost(self, rows: np.ndarray) -> int:
        """Return which of `rows` has the largest value; −1: there is none."""
        values = self._values(self.bar.judged)[rows] if len(rows) else rows
        known = np.isfinite(values)
        return int(rows[known][np.argmax(values[known])]) if known.any() else -1

    def _choose_one(self, pick: Callable[[np.ndarray], np.intp]) -> None:
        """Choose the row that `pick` takes by its value; in a line those of which the mean is."""
        values, groups = self._compared(self._values(self.bar.judged))
        if np.isfinite(values).any():
            self.chosen.emit(self._shown[groups == pick(values)])

    def _compared(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what the largest is sought in, and which is that of each shown row.

        In a line the means of `values`, else those of the rows themselves.
        """
        values = values[self._shown]
        if self.kind.currentText() != LINE:
            return values, np.arange(len(values))
        return means_by(self._values(self.across)[self._shown], values)[1:]

    def load(self) -> None:
        """Import what draws, in the background, once."""
        if self.canvas is None and self._loading is None:
            self._loading = Task(_imported, self)
            self._loading.done.connect(self._ready)
            self._loading.failed.connect(lambda error: self.hint.setText(str(error)))
            self._loading.start()

    def _want_color(self) -> None:
        if self.bar.judged.currentIndex() >= 0:
            self.color_wanted.emit(self.bar.judged.currentData())

    def follow_theme(self) -> None:
        """Draw in other colours."""
        self._soon.start()

    def tell_scale(self, _: object = None) -> None:
        """Tell what the colours of the objects mean, where they are by a column."""
        if self._rows is not None:
            scales = {scale_of(layer) for layer in self._rows.layers}
            one = scales.pop() if len(scales) == 1 else None
            self.scale.tell(self._rows, one)

    def _ready(self, _: object) -> None:
        from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
        from matplotlib.figure import Figure

        self.canvas = FigureCanvasQTAgg(Figure(layout="constrained"))
        self.canvas.mpl_connect("button_press_event", self._pressed)
        self.canvas.mpl_connect("motion_notify_event", self._moved)
        self.canvas.mpl_connect("button_release_event", self._released)
        self.canvas.mpl_connect("resize_event", self._name_axes)
        self.canvas.setMinimumHeight(LOWEST)
        self._column.insertWidget(1, self.canvas, 1)
        self._draw()

    def _plotted(self, box: NarrowCombo) -> Plotted:
        assert self._rows is not None
        return plotted(self._rows.frame[box.currentData()])

    def _values(self, box: NarrowCombo) -> np.ndarray:
        return self._plotted(box).values

    def _why_none(self, kind: str) -> str:
        """Return why nothing can be plotted; empty: it can."""
        boxes = (self.across,) if kind == HISTOGRAM else (self.across, self.up)
        if not len(self._shown) or any(box.currentIndex() < 0 for box in boxes):
            return "There are no numbers to plot."
        for box in boxes:
            values, kinds, _ = self._plotted(box)
            if len(kinds) > MOST_KINDS:
                return f"“{box.currentText()}” has {len(kinds):,} words: too many to plot."
            if not np.isfinite(values[self._shown]).any():
                return f"“{box.currentText()}” has no values to plot."
        return ""

    def _draw(self, *_: object) -> None:
        kind = self.kind.currentText()
        self.bar.arrange()
        if self.canvas is None or self._rows is None or not self.isVisible():
            return
        figure = self.canvas.figure
        if self._selector is not None:
            self._selector.disconnect_events()
        figure.clear()
        self._selector = None
        why_none = self._why_none(kind)
        if why_none:
            self.axes = None
            self.bar.offer_utmost(False, all_same=False)
            self.hint.setText(why_none)
            self.canvas.draw_idle()
            return
        self._offer_utmost()
        self.hint.setText(self._said() or HINTS[kind])
        self.axes = figure.add_subplot()
        plain_numbers(self.axes)
        {HISTOGRAM: self._histogram, SCATTER: self._scatter, LINE: self._line}[kind](self.axes)
        number_across(self.axes, self._plotted(self.across))
        if len(self._shown) < len(self._rows):
            of = count_text(len(self._rows), "object" if self._rows.layers else "row")
            told = f"{len(self._shown):,} of {of}: {short(self._filtered)}"
            self.axes.set_title(told, fontsize="small")
        paint(self.axes, text_color(self), self.palette().color(QPalette.ColorRole.Window))
        self._name_axes()
        self.canvas.draw_idle()

    def _said(self) -> str:
        """Return what the chosen rows are."""
        assert self._rows is not None
        rows, across, name = self._rows, self.across.currentData(), self.bar.judged.currentData()
        line = self.kind.currentText() == LINE
        told = group_words(rows, self._shown, self._chosen, across, name) if line else ""
        return told or chosen_words(rows, self._shown, self._chosen, name)

    def _offer_utmost(self) -> None:
        """Let the largest and the smallest be chosen where there is one."""
        column = self._plotted(self.bar.judged)
        values, _ = self._compared(column.values)
        values = values[np.isfinite(values)]
        differ = column.measures and len(values) > 0 and bool(values.min() < values.max())
        self.bar.offer_utmost(differ, all_same=column.measures and not differ)

    def _name_axes(self, _: object = None) -> None:
        """Name what is across below the plot, where that is high enough: the list names it too."""
        if self.axes is not None and self.canvas is not None:
            room = self.canvas.height() >= TITLED
            self.axes.set_xlabel(self.across.currentText() if room else "")
            space_across(self.axes, self.canvas.width())
            name_up(self.axes, self._up_words(), self.canvas, self.canvas.height())

    def _up_words(self) -> str:
        kind = self.kind.currentText()
        if kind == HISTOGRAM:
            return "objects" if self._rows is not None and self._rows.layers else "rows"
        return f"mean {self.up.currentText()}" if kind == LINE else self.up.currentText()

    def _histogram(self, axes: Axes) -> None:
        from matplotlib.ticker import MaxNLocator

        values, kinds, _ = self._plotted(self.across)
        shown = values[self._shown]
        shown = shown[np.isfinite(shown)]
        self._edges = bins(shown, len(kinds))
        color, part = text_color(self).name(), 0.8 if kinds else None
        axes.hist(shown, self._edges.tolist(), color=color, alpha=0.6, rwidth=part)
        if len(self._chosen):
            chosen = values[self._chosen]
            axes.hist(chosen, self._edges.tolist(), color=CHOSEN, rwidth=part)
            # of a high bar one object is less than a pixel
            axes.plot(chosen, np.zeros(len(chosen)), "^", color=CHOSEN, ms=7, clip_on=False)
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        self._span(axes)

    def _scatter(self, axes: Axes) -> None:
        from matplotlib.widgets import LassoSelector

        x, y = self._values(self.across), self._values(self.up)
        for rows, color in ((self._shown, text_color(self).name()), (self._chosen, CHOSEN)):
            alpha = 1.0 if color == CHOSEN else 0.6
            axes.plot(x[rows], y[rows], "o", color=color, alpha=alpha, mew=0, ms=4)
        self._selector = LassoSelector(axes, self._circled, props={"color": CHOSEN})

    def _line(self, axes: Axes) -> None:
        x, y = self._values(self.across)[self._shown], self._values(self.up)[self._shown]
        places, means, groups = means_by(x, y)
        axes.plot(places, means, color=text_color(self).name(), marker="o", markersize=3)
        held, every = chosen_of(groups, np.isin(self._shown, self._chosen))
        whole = held == every
        axes.plot(places[whole], means[whole], "o", color=CHOSEN, ms=7, clip_on=False)
        # of one of which not all is chosen the mean is another
        base, ends = axes.get_xaxis_transform(), places[(held > 0) & ~whole]
        zeros = np.zeros(len(ends))
        axes.plot(ends, zeros, "^", color=CHOSEN, ms=7, clip_on=False, transform=base)
        self._edges = np.append(places - np.append(0, np.diff(places)) / 2, places[-1:])
        self._span(axes)

    def _span(self, axes: Axes) -> None:
        from matplotlib.widgets import SpanSelector

        axes.set_xlim(axes.get_xlim())  # the selector begins at 0, which may lie far away
        props = {"color": CHOSEN, "alpha": 0.3}
        self._selector = SpanSelector(axes, self._crossed, "horizontal", props=props, minspan=0)

    # -- chosen in the plot ----------------------------------------------------------

    def _within(self, low: float, high: float) -> np.ndarray:
        """Return the shown rows of the bars from `low` to `high`."""
        first = max(0, int(np.searchsorted(self._edges, low, "right")) - 1)
        last = min(len(self._edges) - 1, int(np.searchsorted(self._edges, high, "right")))
        if last <= first:
            return np.zeros(0, int)
        values = self._values(self.across)[self._shown]
        upper = self._edges[last]
        end = last == len(self._edges) - 1
        inside = (values >= self._edges[first]) & ((values <= upper) if end else (values < upper))
        found: np.ndarray = self._shown[inside]
        return found

    def _pressed(self, event: MouseEvent) -> None:
        self._start, self._dragged = (event.x, event.y), False

    def _moved(self, event: MouseEvent) -> None:
        far = max(abs(event.x - self._start[0]), abs(event.y - self._start[1]))
        self._dragged = self._dragged or far > 3

    def _crossed(self, low: float, high: float) -> None:
        if self._dragged:
            self.chosen.emit(self._within(low, high))

    def _circled(self, corners: list[tuple[float, float]]) -> None:
        from matplotlib.path import Path

        if self._dragged and len(corners) > 2:
            self.chosen.emit(self._shown[Path(corners).contains_points(self._points())])

    def _released(self, event: MouseEvent) -> None:
        """Choose what was clicked on: a bar, or the nearest point."""
        if self._dragged or self.axes is None or event.inaxes is not self.axes:
            return
        if self.kind.currentText() != SCATTER:
            if event.xdata is not None:
                self.chosen.emit(self._within(event.xdata, event.xdata))
            return
        places = self.axes.transData.transform(self._points())
        far = np.hypot(places[:, 0] - event.x, places[:, 1] - event.y)
        near = int(np.nanargmin(far)) if np.isfinite(far).any() else -1
        hit = near >= 0 and far[near] < 8
        self.chosen.emit(self._shown[near : near + 1] if hit else np.zeros(0, int))

    def _points(self) -> np.ndarray:
        points = np.column_stack([self._values(self.across), self._values(self.up)])
        shown: np.ndarray = points[self._shown]
        return shown


def _imported() -> object:
    for name in ("figure", "widgets", "path"):
        importlib.import_module(f"matplotlib.{name}")
    return importlib.import_module("matplotlib.backends.backend_agg")
