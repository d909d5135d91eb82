"""From a layer back to the job that made it: a line in the dock, commands in the menus."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget
from superqt import QElidingLabel

from napari_tool_runner.config import load_config
from napari_tool_runner.errors import ToolRunnerError, WorkspaceError
from napari_tool_runner.quoting import one_line
from napari_tool_runner.widgets.forms.layer_source import LayerSource
from napari_tool_runner.widgets.parts.layouts import filled
from napari_tool_runner.widgets.parts.messages import Sign
from napari_tool_runner.widgets.parts.texts import tooltip

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel

    from napari_tool_runner.jobs import RunRecord
    from napari_tool_runner.tools.model import Tool
    from napari_tool_runner.widgets.history.panel import HistoryPanel
    from napari_tool_runner.widgets.tool_widget import ToolWidget

__all__ = ["MadeByBar", "record_of_layer", "run_again_on", "show_how_made"]


def record_of_layer(layer: object) -> RunRecord:
    """Return the record of the job that made `layer`; what the layer remembers if it is gone.

    Raises
    ------
    WorkspaceError
        No job of ours made it.
    """
    from napari_tool_runner.jobs import read_record, remembered

    record = remembered(layer)
    if record is None:
        name = getattr(layer, "name", None)
        what = f"The layer “{name}” was" if name else "This layer was"
        raise WorkspaceError(
            f"{what} not made by a tool of the Tool Runner.",
            hint="Select a layer that a tool made.",
        )
    return read_record(record.path) if os.path.isfile(record.path) else record


def show_how_made(layer: object, open_history: Callable[[], HistoryPanel | None]) -> None:
    """Show the job that made `layer` in the dock that `open_history` opens.

    Raises
    ------
    WorkspaceError
        No job of ours made it, or there is no window.
    """
    record = record_of_layer(layer)
    panel = open_history()
    if panel is None:
        raise WorkspaceError("There is no window to show the job in.")
    if os.path.exists(record.folder):
        panel.select(record.id)
    else:
        panel.show_remembered(record)


def run_again_on(layer: object, open_tool: Callable[[Tool], ToolWidget | None]) -> None:
    """Open the form of the tool that made `layer`, with its parameters, on other data.

    Raises
    ------
    ToolRunnerError
        No job of ours made it, or the tool is gone.
    """
    from napari_tool_runner.jobs import recorded_tool
    from napari_tool_runner.widgets.history.fill import fill_form

    record = record_of_layer(layer)
    tool = recorded_tool(record, load_config())
    page = open_tool(tool)
    if page is not None:
        name = getattr(layer, "name", "")
        said = f"The parameters that made “{name}”. Choose what to run on."
        fill_form(page, record, said, data=False)


def _remembered(layer: object) -> RunRecord | None:
    # what it needs is not imported before a layer may have it
    from napari_tool_runner.jobs import remembered

    return remembered(layer)


class MadeByBar(QWidget):
    """Tells which tool made the selected layer; hidden for layers that no tool made.

    Parameters
    ----------
    viewer : napari viewer
    open_history : callable
        Shows the dock with all jobs; returns None where there is no window.
    open_tool : callable
        Shows the form of a tool.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        open_history: Callable[[], HistoryPanel | None],
        open_tool: Callable[[Tool], ToolWidget | None],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._open_history = open_history
        self._open_tool = open_tool
        self.text = QElidingLabel()
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.text.setMinimumWidth(40)
        self.how_button = QPushButton("How?")
        self.how_button.setToolTip("Show how this layer was made")
        self.how_button.setAccessibleName("Show how this layer was made")
        self.how_button.clicked.connect(self.show_how)
        self.again_button = QPushButton("Run again on…")
        self.again_button.setToolTip("The same tool and parameters on another layer")
        self.again_button.clicked.connect(self.run_again)
        parts = Sign("clock", 12), (self.text, 1), self.how_button, self.again_button
        filled(QHBoxLayout(self), *parts, margins=(6, 0, 6, 2), spacing=4)
        policy = self.sizePolicy()
        policy.setRetainSizeWhenHidden(True)  # what stands above it does not move
        self.setSizePolicy(policy)
        self.hide()
        self._layers = LayerSource(viewer, self)
        self._layers.changed.connect(self.update_layer)
        self._layers.reselected.connect(self.update_layer)
        self.destroyed.connect(self._layers.disconnect_layers)
        self.update_layer()

    def update_layer(self) -> None:
        """Follow the selection."""
        layer = self._layers.active()
        record = _remembered(layer) if getattr(layer, "metadata", None) else None
        if record is None:
            self.hide()
            return
        tool = one_line(record.tool_name)
        self.text.setText(f"Made by {tool}")
        self.text.setToolTip(tooltip(f"“{getattr(layer, 'name', '')}” was made by {tool}"))
        self.show()

    def show_how(self) -> None:
        """Show the job."""
        self._try(lambda layer: show_how_made(layer, self._open_history))

    def run_again(self) -> None:
        """Open the form with the parameters."""
        self._try(lambda layer: run_again_on(layer, self._open_tool))

    def _try(self, act: Callable[[object], None]) -> None:
        layer = self._layers.active()
        if layer is None:
            return
        try:
            act(layer)
        except ToolRunnerError as error:
            self.text.setText(error.message)
            self.text.setToolTip(tooltip(str(error)))
