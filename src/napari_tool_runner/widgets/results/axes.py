"""The axes of a plot: bars, numbers, words and dates along them, names, colours of the theme."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_tool_runner.quoting import one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from qtpy.QtGui import QColor

    from napari_tool_runner.widgets.results.measures import Plotted

__all__ = ["bins", "name_up", "number_across", "paint", "plain_numbers", "space_across"]

BINS = 50
ACROSS = 50
"""Of the height of a plot what is across takes so much."""
APART = 75
"""So wide is a number below a plot, and what parts it from the next."""
FEW = 8
"""Less of a name says nothing; the list above the plot has it too."""
LARGE = 7
"""Numbers of so many digits have a power of ten."""


def bins(values: np.ndarray, kinds: int = 0) -> np.ndarray:
    """Return the edges of bars: one for each word, one for numbers that no digits tell apart."""
    if kinds:
        return np.arange(kinds + 1) - 0.5
    try:
        return np.histogram_bin_edges(values, min(BINS, max(5, int(len(values) ** 0.5))))
    except ValueError:
        ends = np.nextafter(values.min(), -np.inf), np.nextafter(values.max(), np.inf)
        return np.array(ends)


def plain_numbers(axes: Axes) -> None:
    """Write the numbers of axes as they are: none is to be added to them."""
    axes.ticklabel_format(useOffset=False, useMathText=True, scilimits=(-4, LARGE))


def number_across(axes: Axes, across: Plotted) -> None:
    """Write whole numbers, words or dates below the plot, where those are across."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.ticker import MaxNLocator

    known = across.values[np.isfinite(across.values)]
    if across.dates:
        locator = AutoDateLocator(minticks=3)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    elif across.kinds:
        words = [one_line(kind, 20) for kind in across.kinds]
        axes.set_xticks(range(len(words)), words, parse_math=False)
        if sum(map(len, words)) > 30:
            axes.tick_params("x", rotation=40, labelsize="small")
    else:
        whole = bool((known == np.round(known)).all())
        steps = [1, 2, 5, 10] if whole else [1, 2, 2.5, 5, 10]
        axes.xaxis.set_major_locator(MaxNLocator(integer=whole, steps=steps))


def space_across(axes: Axes, width: int) -> None:
    """Write as many numbers below a plot of so many pixels as are told apart."""
    from matplotlib.ticker import MaxNLocator

    locator = axes.xaxis.get_major_locator()
    if isinstance(locator, MaxNLocator):
        locator.set_params(nbins=int(np.clip(width // APART, 2, 9)))


def name_up(axes: Axes, name: str, canvas: FigureCanvasAgg, height: int) -> None:
    """Name what is upwards beside a plot of so many pixels: in two lines, cut where it must be."""
    label, room = axes.yaxis.label, max(1, height - ACROSS)
    for told in (name, name.replace("mean ", "mean\n", 1)):
        label.set_text(told)
        long = float(label.get_window_extent(canvas.get_renderer()).height)
        if long <= room:
            return
    lines = label.get_text().split("\n")
    fits = int(max(map(len, lines)) * room / long) - 1
    label.set_text("\n".join(one_line(line, fits) for line in lines) if fits >= FEW else "")


def paint(axes: Axes, color: QColor, back: QColor) -> None:
    """Draw axes in the colours of the theme."""
    axes.figure.set_facecolor(back.name())
    axes.set_facecolor(back.name())
    axes.tick_params(colors=color.name())
    for label in (axes.xaxis.label, axes.yaxis.label, axes.title):
        label.set_color(color.name())
        label.set_parse_math(False)  # names of strangers
    for side, line in axes.spines.items():
        line.set_edgecolor(color.name())
        line.set_visible(side in ("left", "bottom"))
