"""The form of a tool: what a person fills in before pressing Run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import QFrame, QLabel, QScrollArea, QVBoxLayout, QWidget

from napari_tool_runner.tools.model import DataParameter
from napari_tool_runner.widgets.forms.containers import RowsView
from napari_tool_runner.widgets.forms.field_base import FieldRow, FormContext, Steps
from napari_tool_runner.widgets.forms.form_model import FormModel, RepeatNode, without_data
from napari_tool_runner.widgets.forms.layer_source import LayerSource
from napari_tool_runner.widgets.forms.layers import LayerChooser
from napari_tool_runner.widgets.forms.outputs_box import OutputsBox
from napari_tool_runner.widgets.forms.quantities import Units
from napari_tool_runner.widgets.parts.background import IdleWork, soon
from napari_tool_runner.widgets.parts.layouts import filled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_tool_runner.tools.model import Tool
    from napari_tool_runner.widgets.forms.node import Node, Problem
    from napari_tool_runner.widgets.forms.quantities import Sizes

__all__ = ["FormWidget"]


class FormWidget(QScrollArea):
    """All parameters of a tool, in a scroll area of its own.

    Parameters
    ----------
    tool : Tool
    layers : LayerSource, optional
        Where the data inputs find layers; without it only files can be given.
    steps : Steps, optional
        Opens the tools that make what an input needs.
    """

    changed = Signal()
    """A value, or what is wrong with it, changed."""

    def __init__(
        self,
        tool: Tool,
        layers: LayerSource | None = None,
        parent: QWidget | None = None,
        *,
        steps: Steps | None = None,
    ) -> None:
        super().__init__(parent)
        self.tool = tool
        self.model = FormModel(tool)
        self.units = Units(self.model, self)  # before rows, which show what it found
        self._layers = layers if layers is not None else LayerSource(None, self)
        self.chooser = LayerChooser(self.model, self._layers)
        self._choosing = False
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.chooser.update()
        self.context = FormContext(
            model=self.model,
            chooser=self.chooser,
            label_width=self.fontMetrics().averageCharWidth() * 17,
            steps=steps,
        )
        self.builder = IdleWork(self)
        body = QWidget()
        self.rows = RowsView(self.model.children, self.context, self.builder, data_first=True)
        layout = filled(QVBoxLayout(body), self.rows, margins=(6, 4, 6, 8), spacing=3)
        if not tool.inputs:
            layout.addWidget(QLabel("This tool has nothing to fill in."))
        self.outputs = OutputsBox(tool)
        layout.addWidget(self.outputs)
        layout.addStretch(1)
        self.setWidget(body)
        self.builder.work()
        self._soon = soon(self._tell, 0, self)
        self._target: FieldRow | None = None
        self._scroll = soon(self._go_to_target, 30, self)
        self.model.changed.connect(self._model_changed)
        self._layers.changed.connect(self.refresh_layers)
        self._layers.reselected.connect(self.chooser.update)
        # a result is known for one only after it was added and selected
        self._opened = soon(self.chooser.follow, 0, self)
        for event in (self._layers.changed, self._layers.reselected):
            event.connect(self._opened.start)

    def values(self, *, idle: bool = False) -> dict[str, object]:
        """Return nested values of everything that applies (see `Items.values`)."""
        return self.model.values(idle=idle)

    def set_values(self, values: Mapping[str, object]) -> list[str]:
        """Fill the form; names that found no place are returned."""
        with self.units.given():
            unknown = self.model.set_values(values)
            self.chooser.update()
        return unknown

    def bring(self, values: Mapping[str, object], sizes: Sizes | None) -> list[str]:
        """Fill the form with values that were given for another picture; see `Units.brought`."""
        with self.units.brought(sizes):
            return self.set_values(values)

    def reset(self) -> None:
        """Set every field back to its default; layers are chosen afresh."""
        self.model.reset()
        self.outputs.set_kinds({})
        self.chooser.update()

    def problems(self) -> list[Problem]:
        """Return what keeps the tool from running, in the order of the form."""
        return self.model.problems()

    def missing_layers(self) -> list[str]:
        """Return a sentence for every required input that a layer would fit, but none is open."""
        return [
            text
            for leaf in self.model.leaves()
            if isinstance(leaf.parameter, DataParameter)
            and leaf.value is None
            and not leaf.parameter.optional
            and self.chooser.takes(leaf.parameter).kinds
            and (text := self.chooser.missing_text(leaf.parameter))
        ]

    def unsegmented(self) -> list[object]:
        """Return the open images of which objects can be made that an input lacks."""
        data = (leaf for leaf in self.model.leaves() if leaf.is_data)
        return [layer for leaf in data for layer in self.chooser.unsegmented(leaf)]

    def without_data(self, values: Mapping[str, object]) -> dict[str, object]:
        """Return `values` without data inputs: layers are chosen afresh."""
        return without_data(self.tool, values)

    def refresh_layers(self) -> None:
        """Follow the layer list."""
        self.chooser.update()
        for row in self.field_rows():
            if isinstance(row.node.parameter, DataParameter):
                row.field.layers_changed()

    def field_rows(self) -> list[FieldRow]:
        """Return the rows that are built, in the order of the form."""
        return self.rows.findChildren(FieldRow)

    def row(self, name: str) -> FieldRow:
        """Return the row of the parameter with that full name, opened if need be.

        Raises
        ------
        KeyError
            No parameter of that name applies now.
        """
        row = self.rows.reveal(self.model.leaf(name))
        if row is None:
            raise KeyError(name)
        return row

    def focus_first(self) -> None:
        """Give the keyboard to the first field."""
        rows = self.field_rows()
        if rows:
            rows[0].field.focus_widget().setFocus(Qt.FocusReason.OtherFocusReason)

    def show_problems(self) -> None:
        """Show every problem under its field and go to the first."""
        self.context.show_all_problems = True
        for row in self.field_rows():
            row.context.show_all_problems = True
            row.refresh()
        found = self.problems()
        if found:
            row = self.row(found[0].name)
            row.refresh()
            row.field.focus_widget().setFocus(Qt.FocusReason.OtherFocusReason)
            self._target = row
            self._scroll.start()

    def sizeHint(self) -> QSize:
        """Return a modest size: the dock decides, the content scrolls."""
        return QSize(300, 320)

    def minimumSizeHint(self) -> QSize:
        """Return a size that never pushes the window."""
        return QSize(200, 44)

    def _tell(self) -> None:
        self.changed.emit()

    def _go_to_target(self) -> None:
        """Scroll to a row; a row that was just built has its place only now."""
        if self._target is not None:
            self.ensureWidgetVisible(self._target)
            self._target = None

    def _model_changed(self, node: Node) -> None:
        if (node.decides or isinstance(node, RepeatNode)) and not self._choosing:
            # inputs that appear need a layer too
            self._choosing = True
            try:
                self.chooser.update()
            finally:
                self._choosing = False
        if not self._soon.isActive():
            self._soon.start()
