"""The dock "Tool Tables": the objects of the selected layers, and tables of no layer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_tool_runner.jobs import has_changed
from napari_tool_runner.names import unique_name
from napari_tool_runner.proxies import bare
from napari_tool_runner.widgets.parts.background import soon, when_destroyed
from napari_tool_runner.widgets.parts.docking import float_low, heighten, stand_below
from napari_tool_runner.widgets.parts.icons import IconButton, TextIconButton
from napari_tool_runner.widgets.parts.inputs import NarrowCombo
from napari_tool_runner.widgets.parts.layouts import filled, plain_label
from napari_tool_runner.widgets.parts.texts import short, tooltip
from napari_tool_runner.widgets.results.again import Looking, again_buttons, what_changed
from napari_tool_runner.widgets.results.measures import is_measured
from napari_tool_runner.widgets.results.objects import ObjectLink, forget
from napari_tool_runner.widgets.results.pixel_size import Sizing
from napari_tool_runner.widgets.results.plots import PlotPanel
from napari_tool_runner.widgets.results.rows import Rows, has_table, rows_of_layers
from napari_tool_runner.widgets.results.scale import color_rows
from napari_tool_runner.widgets.results.scene import Fitting
from napari_tool_runner.widgets.results.view import TableView
from napari_tool_runner.widgets.running.run_bar import RunBar

if TYPE_CHECKING:
    import pandas as pd
    from napari.components import ViewerModel
    from qtpy.QtGui import QResizeEvent, QShowEvent

__all__ = ["ToolTablesWidget"]

log = logging.getLogger(__name__)

NOTHING = (
    "No table yet. Run a tool that measures (“Measure objects”), or select a layer whose "
    "objects were measured."
)
WIDE = 520
"""A dock that is so wide has its plot beside the table."""
PLOTTED = 350
"""So high a dock below the canvas becomes when it shows a plot."""
FLOATING = QSize(760, 380)
RULE = "Without it the table is that of what was measured or selected last."


_EDITED = ("data", "paint", "set_data")
"""Events of a layer whose objects may have changed; an undo, and what was written to its data
before it was drawn again, are told by the last one only."""


class ToolTablesWidget(QWidget):
    """Shows one table: of the selected layers, or one that is chosen from the list."""

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = napari_viewer = bare(napari_viewer)
        self._loose: dict[str, Rows] = {}
        self._origins: dict[str, object] = {}
        self._shown: object = None
        """Title of a table of no layer, or the layers whose objects are shown."""
        self._unshown = ""
        """Why there is no table of them."""
        self._choices: list[object] = []
        self._heard: list[tuple[Any, Callable[..., None]]] = []
        self._heard_layers: list[tuple[Any, Callable[..., None]]] = []
        self.chooser = NarrowCombo()
        self.chooser.setAccessibleName("Table")
        self.pin = IconButton("pin", "Keep this table")
        self.pin.setToolTip(tooltip("Keep this table.", RULE))
        self.pin.setCheckable(True)
        self.view = TableView(Rows("", _empty()))
        self.view.bar.insertWidget(0, self.chooser, 1)
        self.view.bar.insertWidget(1, self.pin)
        self.plot_button = TextIconButton("plot", "Plot")
        self.plot_button.setToolTip(tooltip("Histogram, scatter and line of any columns"))
        self.plot_button.setCheckable(True)
        self.view.bar.insertWidget(3, self.plot_button)
        self.plots = PlotPanel()
        self.plots.hide()
        self.plot_button.toggled.connect(self._show_plots)
        self.plots.chosen.connect(self._picked_in_plot)
        self.plots.color_wanted.connect(self._color)
        self.view.body.addWidget(self.plots)
        for place, share in enumerate((4, 3)):
            self.view.body.setStretchFactor(place, share)
        self.view.rows_changed.connect(self._plot)
        self.nothing = plain_label(NOTHING, wrap=True)
        self.link = ObjectLink(napari_viewer, self)
        filled(QVBoxLayout(self), self.nothing, (self.view, 1), margins=(4, 4, 4, 4))
        self.chooser.activated.connect(self._picked)
        self.view.chosen_changed.connect(self._chosen)
        self.link.picked.connect(self._picked_in_viewer)
        self.view.together.connect(self.link.bring)
        self.view.looked.connect(self._tell_changed)
        self._soon = soon(self.refresh, 0, self)
        self._look = soon(self._tell_changed, 0, self)
        self.looking = Looking(napari_viewer, self)
        self.looking.looked.connect(self._tell_changed)
        self._float = soon(self._float_low, 0, self)
        self._settle = soon(self._take_room, 0, self)
        self.sizing = Sizing(napari_viewer, self.view.remarks.unsized, self)
        self._fitting = Fitting(napari_viewer, self)
        self._fitting.look()  # before the canvas gives way: when this is shown it has
        self._stands = False
        layers = napari_viewer.layers
        self._hear(layers.events.inserted, self._layer_came)
        for event in (layers.events.removed, layers.events.reordered):
            self._hear(event, self._layers_changed)
        self._hear(layers.selection.events.changed, self._selection_changed)
        when_destroyed(self, partial(_let_go, self._heard, self._heard_layers, self.link))
        self.refresh()

    def sizeHint(self) -> QSize:
        """Return a size for a place under the canvas."""
        return QSize(900, 240)

    def minimumSizeHint(self) -> QSize:
        """Return a size that never widens the window, and shows a plot that can be read."""
        return QSize(80, super().minimumSizeHint().height())

    def showEvent(self, event: QShowEvent | None) -> None:
        """Take the room that the dock may have."""
        super().showEvent(event)
        if not self._stands:
            self._stands = True
            stand_below(self, self._floated)
            self._settle.start()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Put the plot beside the table, or below it where there is no room beside it."""
        super().resizeEvent(event)
        ways = Qt.Orientation
        self.view.body.setOrientation(ways.Horizontal if self.width() >= WIDE else ways.Vertical)

    def _take_room(self) -> None:
        heighten(self, PLOTTED if self.plot_button.isChecked() else self.sizeHint().height())
        self._fitting.again()

    def _floated(self, on: bool) -> None:
        if on:
            self._float.start()

    def _float_low(self) -> None:
        float_low(self, FLOATING, RunBar)

    # -- what there is -------------------------------------------------------------

    def add_table(self, rows: Rows, origin: object = None) -> str:
        """Show a table that is no layer's; returns its title, which no other has.

        It comes in the place of one of the same `origin`, which is the same made again.
        """
        title = self.made_before(origin)
        title = title or unique_name(rows.title, set(self._loose), " [{}]", 1)
        if origin is not None:
            self._origins[title] = origin
        self.fill(title, rows)
        return title

    def made_before(self, origin: object) -> str:
        """Return the title of the table of no layer that has an `origin`; empty: none has."""
        titles = (title for title, known in self._origins.items() if known == origin)
        return next(titles, "")

    def table(self, title: str) -> Rows | None:
        """Return the table of no layer that has this title now."""
        return self._loose.get(title)

    def fill(self, title: str, rows: Rows) -> None:
        """Show `rows` as the table `title`, in the place of what it was."""
        self._loose[title] = replace(rows, title=title)
        if not self.pin.isChecked():
            self._shown = title
        self.refresh()

    def remove_table(self, title: str) -> None:
        """Take a table of no layer away."""
        self._loose.pop(title, None)
        self._origins.pop(title, None)
        self.refresh()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return not self.chooser.count()

    def show_layers(self, *layers: object) -> None:
        """Show the objects of layers."""
        self._shown = layers
        self.refresh()

    def refresh(self) -> None:
        """Look again which tables there are, and what the one that is shown has now."""
        left = self._shown  # its objects were replaced: what was known of them is gone
        layers = [
            layer
            for layer in self._viewer.layers
            if has_table(layer) or (left == (layer,) and has_changed(layer))
        ]
        choices: list[tuple[str, object]] = [(layer.name, (layer,)) for layer in layers]
        several = self._several(layers)
        if several:
            choices.insert(0, (f"{len(several)} selected layers", several))
        choices += [(title, title) for title in self._loose]
        known = [choice for _, choice in choices]
        if self._shown not in known:
            measured = [(layer,) for layer in layers if is_measured(layer)]
            selected = [one for one in measured if one[0] in self._viewer.layers.selection]
            loose = list(self._loose)
            self._shown = several or next(reversed([*known, *measured, *loose, *selected]), None)
        self.chooser.clear()
        for text, choice in choices:
            self.chooser.addItem(text, choice if isinstance(choice, str) else None)
        self._choices = known
        if self._shown in known:
            self.chooser.setCurrentIndex(known.index(self._shown))
        self._show()

    def _several(self, layers: Sequence[object]) -> tuple[object, ...]:
        """Return the selected layers, or those that are kept, that are shown as one table."""
        shown = self._shown if self.pin.isChecked() and isinstance(self._shown, tuple) else ()
        kept = tuple(layer for layer in shown if layer in layers)
        selected = self._viewer.layers.selection
        picked = tuple(one for one in layers if one in selected and is_measured(one))
        several = kept if len(kept) > 1 else picked
        return several if len(several) > 1 else ()

    # -- what is shown -------------------------------------------------------------

    def _show(self) -> None:
        shown = self._shown
        self.nothing.setVisible(shown is None)
        self.view.setVisible(shown is not None)
        self._unshown = ""
        try:
            self._fill_in(self._rows_of(shown))
        except Exception as error:
            log.exception("No table of %s", shown)
            title = self.chooser.currentText()
            self._unshown = f"“{short(title)}” cannot be shown as a table: {error}"
            self._fill_in(Rows(title, _empty()))
        self._hear_layers()

    def _rows_of(self, shown: object) -> Rows:
        if isinstance(shown, str):
            return self._loose[shown]
        return rows_of_layers(shown) if isinstance(shown, tuple) else Rows("", _empty())

    def _fill_in(self, rows: Rows) -> None:
        old, chosen = self.view.rows, self.view.chosen
        self.link.follow(rows)
        self.view.show_rows(rows)
        self._choose_again(rows, old, chosen)
        self._tell_changed()
        self.looking.follow(rows.layers)
        self.sizing.tell(rows)

    def _choose_again(self, rows: Rows, old: Rows, chosen: np.ndarray) -> None:
        """Let objects that were chosen in `old` stay so, as when they are measured again."""
        if rows.frames is not None or old.frames is not None:
            return
        numbers = [old.numbers[chosen[old.owners[chosen] == at]] for at in range(len(old.layers))]
        kept = [rows.of(layer, of.tolist()) for layer, of in zip(old.layers, numbers, strict=True)]
        if sum(map(len, kept)):
            self.view.choose(np.concatenate(kept), scroll=False)
            self.link.choose(self.view.chosen, now=False)
            self._plot()

    def _tell_changed(self) -> None:
        """Offer to measure again what has changed: objects were painted, moved or replaced."""
        rows = self.view.rows
        text = self._unshown or what_changed(rows.layers)
        buttons = again_buttons(*rows.layers) if text else ()
        self.view.say_changed(text, *buttons, alone=bool(text) and not rows.frame.size)

    def _picked(self, at: int) -> None:
        self._shown = self._choices[at]
        self._show()

    def _layers_changed(self, _: object = None) -> None:
        self._soon.start()

    def _layer_came(self, _: object = None) -> None:
        self._hear_layers()  # at once: it may be measured before the table is looked at again
        self._soon.start()

    def _hear_layers(self) -> None:
        """Listen to all that may become this table, and to what it is of."""
        forget(self._heard_layers)
        for layer in {*self._viewer.layers, *self.view.rows.layers}:
            self.looking.know(layer)
            events = getattr(layer, "events", None)
            heard: dict[str, Callable[..., None]] = {
                "features": partial(self._features_changed, layer),
                "name": self._layers_changed,
                **dict.fromkeys(("colormap", "face_color"), self.plots.tell_scale),
                "scale": self.sizing.look,
                "units": self.sizing.look,
                **dict.fromkeys(_EDITED, partial(self._edited, layer)),
            }
            for name, act in heard.items():
                event = getattr(events, name, None)
                if event is not None:
                    event.connect(act)
                    self._heard_layers.append((event, act))

    def _edited(self, layer: object, _: object = None) -> None:
        self._look.start()  # each stroke tells it
        self.looking.drawn(layer)

    def _features_changed(self, layer: object, _: object = None) -> None:
        shown = self._shown if isinstance(self._shown, tuple) else ()
        if layer not in shown and is_measured(layer):
            self._turn_to((layer,))
        self._soon.start()

    def _selection_changed(self, _: object = None) -> None:
        selected = self._viewer.layers.selection
        picked = tuple(layer for layer in self._viewer.layers if layer in selected)
        self._turn_to(tuple(filter(is_measured, picked)))

    def _turn_to(self, layers: tuple[object, ...]) -> None:
        """Show the objects of `layers`, unless a person keeps what is shown."""
        if layers and layers != self._shown and not self.pin.isChecked():
            self._shown = layers
            self._soon.start()

    def _picked_in_viewer(self, rows: np.ndarray, more: bool) -> None:
        chosen = np.union1d(self.view.chosen, rows) if more else rows
        self.view.choose(chosen)
        self._chosen(self.view.chosen)

    def _picked_in_plot(self, rows: np.ndarray) -> None:
        self.view.choose(rows)
        self.link.choose(rows, self.plots.utmost(rows), middle=len(rows) == 1, now=False)
        self._plot()

    def _chosen(self, rows: np.ndarray, current: int = -1) -> None:
        self.link.choose(rows, current, now=False)
        self._plot()

    def _show_plots(self, on: bool) -> None:
        self.plots.setVisible(on)
        if on:
            self._fitting.look()
            self._settle.start()
        self._plot()

    def _plot(self) -> None:
        view = self.view
        self.plots.show_rows(view.rows, view.model.shown, view.chosen, view.filter.text())

    def _color(self, name: str) -> None:
        self.link.choose(np.zeros(0, int))
        color_rows(self.view.rows, name)
        self.link.choose(self.view.chosen)
        self.plots.tell_scale()

    def _hear(self, event: Any, heard: Callable[..., None]) -> None:
        event.connect(heard)
        self._heard.append((event, heard))


def _empty() -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame()


def _let_go(
    heard: list[tuple[Any, Callable[..., None]]],
    heard_layers: list[tuple[Any, Callable[..., None]]],
    link: ObjectLink,
) -> None:
    forget(heard)
    forget(heard_layers)
    link.release()
