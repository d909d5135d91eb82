"""The columns of a table."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QComboBox
from superqt.utils import signals_blocked

from napari_tool_runner.tools.formats import Formats, LayerKind
from napari_tool_runner.tools.model import DataColumnParameter
from napari_tool_runner.tools.tree import beside
from napari_tool_runner.widgets.forms.field_base import Field, FormContext
from napari_tool_runner.widgets.parts.inputs import NarrowCombo

if TYPE_CHECKING:
    from napari_tool_runner.widgets.forms.node import LeafNode, Node

__all__ = ["ColumnField"]


class ColumnField(Field):
    """Columns of a table: their names where the table is known, numbers otherwise."""

    def __init__(self, node: LeafNode, context: FormContext) -> None:
        super().__init__(node, context)
        assert isinstance(node.parameter, DataColumnParameter)
        self._parameter = node.parameter
        self.combo = NarrowCombo()
        self.combo.setEditable(True)
        self.combo.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.widget = self.combo
        self._columns: list[str] = []
        self._fill()
        self.combo.activated.connect(self._activated)
        line = self.combo.lineEdit()
        assert line is not None
        if self._parameter.multiple:
            line.setPlaceholderText("1,3")
        line.textEdited.connect(self._text_edited)
        self.follow_model()

    def show(self, value: object) -> None:
        """Show column numbers, with the name when there is one column."""
        if isinstance(value, tuple | list):
            text = ",".join(str(entry) for entry in value)
        else:
            text = "" if value is None else str(value)
            if text.isdecimal() and 1 <= int(text) <= len(self._columns):
                text = self._entry(int(text))
        with signals_blocked(self.combo):
            self.combo.setCurrentText(text)

    def hint(self) -> str:
        """Say where the columns come from while the table is not known."""
        if self._columns or not self._parameter.data_ref:
            return ""
        return f"Column numbers of “{self._parameter.data_ref}”, counted from 1."

    def _entry(self, number: int) -> str:
        return f"{number}: {self._columns[number - 1]}"

    def _fill(self) -> None:
        self._columns = self._found()
        with signals_blocked(self.combo):
            self.combo.clear()
            self.combo.addItems([self._entry(n + 1) for n in range(len(self._columns))])
        self.show(self.node.value)

    def _found(self) -> list[str]:
        return _columns(self._table(), self.context.model.tool.formats)

    def _table(self) -> object:
        model, wanted = self.context.model, self._parameter.data_ref.rsplit("|", 1)[-1]
        elsewhere = [leaf.value for leaf in model.leaves() if leaf.parameter.name == wanted]
        scope = beside(model.values(), self.node.name)
        return scope.get(wanted, next(iter(elsewhere), None))

    def _activated(self, index: int) -> None:
        number = str(index + 1)
        if self._parameter.multiple and isinstance(self.node.value, tuple):
            present = [entry for entry in self.node.value if entry != number]
            toggled = present if number in self.node.value else [*present, number]
            self.edited(tuple(toggled))
        else:
            self.edited((number,) if self._parameter.multiple else number)
        self.show(self.node.value)

    def _text_edited(self, text: str) -> None:
        numbers = [part.split(":", 1)[0].strip() for part in text.split(",") if part.strip()]
        if self._parameter.multiple:
            self.edited(tuple(numbers))
        else:
            self.edited(numbers[0] if numbers else None)

    def other_changed(self, node: Node) -> None:
        """Look whether there is something else to choose."""
        if node is not self.node and self._found() != self._columns:
            self._fill()


def _columns(table: object, formats: Formats) -> list[str]:
    """Return the names of the columns of a layer's features or of a text table."""
    if isinstance(table, list) and table:
        table = table[0]
    if isinstance(table, str | Path) and str(table):
        return _header(Path(table), formats)
    features = getattr(table, "features", None)
    columns = getattr(features, "columns", None)
    return [str(name) for name in columns] if columns is not None else []


def _header(path: Path, formats: Formats) -> list[str]:
    known = next(iter(formats.of_file(path.name)), None)
    is_table = known is not None and LayerKind.TABLE in known.kinds
    if known is None or not is_table or not formats.is_of_type(known.name, "txt"):
        return []
    try:
        with path.open(encoding="utf-8", errors="replace", newline="") as stream:
            line = stream.readline(100_000)
    except OSError:
        return []
    return next(csv.reader([line], delimiter=known.delimiter), [])
