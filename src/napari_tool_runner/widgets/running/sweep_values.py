"""Which parameters a sweep is over, and the texts of their values."""

from __future__ import annotations

from functools import partial
from math import prod
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QLineEdit, QWidget
from superqt.utils import signals_blocked

from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.jobs import axes_of, sweepable, told_values
from napari_tool_runner.tools import bind
from napari_tool_runner.widgets.parts.inputs import NarrowCombo
from napari_tool_runner.widgets.parts.texts import tooltip

if TYPE_CHECKING:
    from napari_tool_runner.tools.tree import Leaf
    from napari_tool_runner.widgets.forms.form import FormWidget

__all__ = ["SweptValues"]

_NONE = "(no second parameter)"
_HELP = (
    "Values: 1, 2, 5",
    "From, to, step: 1:10:1",
    "So many with equal steps or ratios: 0:1:5 lin, 1:100:5 log",
)


class _Row:
    """A parameter and the text of its values."""

    def __init__(self, name: str) -> None:
        self.parameter = NarrowCombo()
        self.parameter.setMinimumContentsLength(22)
        self.parameter.setAccessibleName(name)
        self.values = QLineEdit()
        self.values.setAccessibleName(f"Values of the {name.lower()}")
        self.values.setToolTip(tooltip(*_HELP))
        self.values.setPlaceholderText("1, 2, 5 or 1:10:1")

    def offer(self, found: list[Leaf], first: str = "") -> None:
        """Offer these; `first` stands for none of them."""
        present = self.name
        with signals_blocked(self.parameter):
            self.parameter.clear()
            if first:
                self.parameter.addItem(first, "")
            for leaf in found:
                self.parameter.addItem(leaf.parameter.label or leaf.name, leaf.name)
            self.parameter.setCurrentIndex(max(0, self.parameter.findData(present)))

    @property
    def name(self) -> str:
        """Full name of the chosen parameter; empty: none."""
        return str(self.parameter.currentData() or "")


class SweptValues(QWidget):
    """Two rows: a parameter of a form, and a text of its values."""

    changed = Signal()
    """Another parameter or other values."""

    def __init__(self, form: FormWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._form = form
        self._leaves: dict[str, Leaf] = {}
        self.rows = (_Row("First parameter"), _Row("Second parameter"))
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setColumnStretch(1, 1)
        for number, row in enumerate(self.rows):
            grid.addWidget(row.parameter, number, 0)
            grid.addWidget(row.values, number, 1)
            row.parameter.activated.connect(partial(self._propose, row))
            row.values.textEdited.connect(lambda _: self.changed.emit())

    def offer(self) -> None:
        """Offer what can be swept with the present values of the form."""
        found = sweepable(self._form.tool, self._form.values())
        self._leaves = {leaf.name: leaf for leaf in found}
        for row, first in zip(self.rows, ("", _NONE), strict=True):
            row.offer(found, first)
            row.values.setEnabled(bool(row.name))
        if self.rows[0].values.text():
            self.changed.emit()
        else:
            self._propose(self.rows[0])

    def over(self) -> dict[str, str]:
        """Return the chosen parameters and the texts of their values."""
        return {row.name: row.values.text() for row in self.rows if row.name}

    def judged(self) -> tuple[int, str]:
        """Return how many runs these values are, and what is wrong with them."""
        over, tool = self.over(), self._form.tool
        if len(over) < sum(bool(row.name) for row in self.rows):
            return 0, "Choose another parameter in one of the two rows."
        try:
            axes = axes_of(tool, bind(tool, self._form.values()), over)
        except ToolRunnerError as error:
            return 0, str(error)
        return prod(len(axis.values) for axis in axes), ""

    def _propose(self, row: _Row, _: int = 0) -> None:
        """Begin with values around the present one."""
        leaf = self._leaves.get(row.name)
        row.values.setText("" if leaf is None else told_values(leaf.parameter, leaf.value))
        row.values.setEnabled(leaf is not None)
        self.changed.emit()
