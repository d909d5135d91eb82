"""Tables brought into sight for the other parts: of layers, of no layer, with a plot."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

# napari hands it in by the annotation, so the name must be there
from napari.viewer import Viewer  # noqa: TC002

from napari_tool_runner.widgets.parts.docking import dock_of
from napari_tool_runner.widgets.parts.texts import notify
from napari_tool_runner.widgets.results.dock import ToolTablesWidget
from napari_tool_runner.widgets.results.rows import has_table, rows_of_columns

if TYPE_CHECKING:
    from napari.components import ViewerModel

__all__ = [
    "open_measured",
    "own_looks",
    "plot_features",
    "show_features",
    "show_layer_table",
    "show_table",
    "tables_dock",
]

DOCK = "Tool Tables"
_opened: weakref.WeakSet[ViewerModel] = weakref.WeakSet()
"""Viewers in which the dock opened by itself: who closes it then has it closed."""


def tables_dock(viewer: ViewerModel) -> ToolTablesWidget | None:
    """Return the dock "Tool Tables" of the viewer's window, raised; None without a window."""
    return dock_of(viewer, ToolTablesWidget, DOCK, lambda: ToolTablesWidget(viewer), area="bottom")


def show_table(
    viewer: ViewerModel,
    title: str,
    columns: Mapping[str, object],
    owner: object = None,
    origin: object = None,
) -> Callable[[], None]:
    """Show a table of no layer; returns what takes it back.

    Parameters
    ----------
    owner : layer, optional
        Whose objects its rows are.
    origin : object
        What one has that is the same made before: it comes in the place of that.
    """
    dock = tables_dock(viewer)
    if dock is None:
        return lambda: None
    before = dock.table(dock.made_before(origin))
    taken = dock.add_table(rows_of_columns(title, columns, owner), origin)
    shown = dock.table(taken)

    def take_back() -> None:
        there = _open_dock(viewer)
        if there is None or there.table(taken) is not shown:
            return
        if before is None:
            there.remove_table(taken)
        else:
            there.fill(taken, before)

    return take_back


def show_features(viewer: ViewerModel, layer: object) -> ToolTablesWidget | None:
    """Show the objects of a layer as a table; None where there is no window."""
    dock = tables_dock(viewer)
    if dock is not None:
        dock.show_layers(layer)
    return dock


def plot_features(viewer: ViewerModel, layer: object) -> None:
    """Show the objects of a layer as a table, beside it a plot of what says most."""
    dock = show_features(viewer, layer)
    if dock is not None:
        dock.plot_button.setChecked(True)


def open_measured(viewer: ViewerModel, layer: object) -> None:
    """Show the objects of a layer that was just measured, once: a closed dock stays closed.

    A dock that is open follows by itself, unless a person keeps another table in it.
    """
    if viewer in _opened or _open_dock(viewer) is not None:
        return
    if show_features(viewer, layer) is not None:
        _opened.add(viewer)


def _open_dock(viewer: ViewerModel) -> ToolTablesWidget | None:
    docks: Mapping[str, object] = getattr(getattr(viewer, "window", None), "dock_widgets", {})
    return next((one for one in docks.values() if isinstance(one, ToolTablesWidget)), None)


def show_layer_table(viewer: Viewer) -> None:
    """Show the objects of the selected layers as a table."""
    layers = [layer for layer in viewer.layers if layer in viewer.layers.selection]
    measured = tuple(layer for layer in layers if has_table(layer))
    dock = tables_dock(viewer)
    if dock is not None and measured:
        dock.show_layers(*measured)
    else:
        names = ", ".join(f"“{layer.name}”" for layer in layers) or "No layer"
        notify(f"{names}: nothing was measured of its objects. “Measure objects” does it.")


@contextmanager
def own_looks(viewer: ViewerModel) -> Iterator[None]:
    """Let layers have their own colours meanwhile, whatever is chosen: what is made takes them."""
    dock = _open_dock(viewer)
    if dock is not None:
        dock.link.choose(np.zeros(0, int))
    try:
        yield
    finally:
        if dock is not None:
            dock.link.choose(dock.view.chosen)
