"""Choices: one of a list, many of a list, a tree, the columns of a table."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from magicgui.widgets import RadioButtons, create_widget
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QListWidgetItem,
    QTreeWidget,
    QTreeWidgetItem,
    QTreeWidgetItemIterator,
    QVBoxLayout,
    QWidget,
)
from superqt import QSearchableComboBox

from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.widgets.forms.field_base import Field, FormContext, keep_narrow
from napari_tool_runner.widgets.parts.icons import TextIconButton
from napari_tool_runner.widgets.parts.short_list import ShortList
from napari_tool_runner.widgets.parts.texts import option_labels

if TYPE_CHECKING:
    from napari_tool_runner.tools.model import (
        DataColumnParameter,
        DrillDownOption,
        DrillDownParameter,
        SelectOption,
        SelectParameter,
    )
    from napari_tool_runner.widgets.forms.form_model import LeafNode, Node

__all__ = ["ColumnField", "DrillDownField", "ManyField", "RadioField", "SelectField"]

NOT_SET = "(not set)"
_SEARCH_FROM = 15


class _Options:
    """The options of a select, fixed or computed from other values."""

    def __init__(self, field: Field) -> None:
        self.field = field
        self.parameter = cast("SelectParameter", field.node.parameter)
        self.remark = ""

    def pairs(self) -> list[tuple[str, str]]:
        """Return ``(label, value)`` pairs with unique labels."""
        return option_labels(
            [(option.label or option.value, option.value) for option in self._now()]
        )

    def _now(self) -> Sequence[SelectOption]:
        source = self.parameter.source
        self.remark = ""
        if source is None:
            return self.parameter.options
        try:
            found = source.options(self.field.context.model.values())
        except ToolRunnerError as error:
            self.remark = str(error)
            return self.parameter.options
        if not found and source.depends_on:
            self.remark = f"The choices come from “{', '.join(source.depends_on)}”."
        return found or self.parameter.options


class SelectField(Field):
    """A combo box; with many options one can type to find one."""

    def __init__(self, node: LeafNode, context: FormContext) -> None:
        super().__init__(node, context)
        self._options = _Options(self)
        self._pairs: list[tuple[str, str]] = []
        parameter = self._options.parameter
        searchable = len(parameter.options) > _SEARCH_FROM
        self.combo: QComboBox = QSearchableComboBox() if searchable else QComboBox()
        keep_narrow(self.combo)
        self.widget = self.combo
        self._fill()
        self.combo.activated.connect(self._activated)
        if parameter.source is not None:
            self.follow_model(self._other_changed)

    def show(self, value: object) -> None:
        """Select `value`; nothing is selected for None."""
        values = [pair[1] for pair in self._pairs]
        position = values.index(str(value)) if value is not None and str(value) in values else -1
        if self._has_empty():
            position += 1
        self.combo.blockSignals(True)
        self.combo.setCurrentIndex(position)
        self.combo.blockSignals(False)

    def hint(self) -> str:
        """Say where the choices come from while there are none."""
        return self._options.remark

    def _has_empty(self) -> bool:
        return self.node.parameter.optional

    def _fill(self) -> None:
        self._pairs = self._options.pairs()
        self.combo.blockSignals(True)
        self.combo.clear()
        if self._has_empty():
            self.combo.addItem(NOT_SET)
        self.combo.addItems([pair[0] for pair in self._pairs])
        for index, (label, _) in enumerate(self._pairs):
            if len(label) > 30:
                place = index + int(self._has_empty())
                self.combo.setItemData(place, label, Qt.ItemDataRole.ToolTipRole)
        self.combo.setPlaceholderText("choose…")
        self.combo.blockSignals(False)
        self.show(self.node.value)

    def _activated(self, index: int) -> None:
        index -= int(self._has_empty())
        self.edited(self._pairs[index][1] if index >= 0 else None)

    def _other_changed(self, node: Node) -> None:
        if node is self.node:
            return
        if self._options.pairs() != self._pairs:
            self._fill()
            self.node.recheck()


class RadioField(Field):
    """A few options, all visible (magicgui's radio buttons)."""

    def __init__(self, node: LeafNode, context: FormContext) -> None:
        super().__init__(node, context)
        pairs = _Options(self).pairs()
        # "-----" is offered only where nothing is chosen yet
        unknown = node.value not in [pair[1] for pair in pairs]
        made = create_widget(
            widget_type="RadioButtons",
            annotation=str,
            options={"choices": pairs, "nullable": unknown, "orientation": "vertical"},
            value=None if unknown else node.value,
            name=f"parameter_{node.parameter.name}",
        )
        assert isinstance(made, RadioButtons)
        self._made = made
        self.widget = self._made.native
        self._made.changed.connect(self._chosen)

    def show(self, value: object) -> None:
        """Select `value`."""
        with self._made.changed.blocked():
            self._made.value = value

    def _chosen(self, value: object) -> None:
        self.edited(value)


class ManyField(Field):
    """Many of a list: check boxes, with "all" and "none" when the list is long."""

    wide = True

    def __init__(self, node: LeafNode, context: FormContext) -> None:
        super().__init__(node, context)
        self._options = _Options(self)
        self.widget = QWidget()
        layout = QVBoxLayout(self.widget)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        self.list = ShortList()
        layout.addWidget(self.list)
        self.widget.setFocusProxy(self.list)
        self._pairs: list[tuple[str, str]] = []
        self.list.itemChanged.connect(self._item_changed)
        self._fill()
        if len(self._pairs) > 4:
            row = QHBoxLayout()
            self.count = QLabel()
            self.all_button = TextIconButton("", "All")
            self.none_button = TextIconButton("", "None")
            self.all_button.clicked.connect(lambda: self._check_all(True))
            self.none_button.clicked.connect(lambda: self._check_all(False))
            row.addWidget(self.count, 1)
            row.addWidget(self.all_button)
            row.addWidget(self.none_button)
            layout.addLayout(row)
            self._show_count()
        if self._options.parameter.source is not None:
            self.follow_model(self._other_changed)

    def show(self, value: object) -> None:
        """Check the values in `value` (a tuple of str or None)."""
        chosen = set(value) if isinstance(value, tuple | list) else set()
        self.list.blockSignals(True)
        for index, (_, entry) in enumerate(self._pairs):
            item = self.list.item(index)
            if item is not None:
                checked = entry in chosen
                item.setCheckState(Qt.CheckState.Checked if checked else Qt.CheckState.Unchecked)
        self.list.blockSignals(False)
        self._show_count()

    def hint(self) -> str:
        """Say where the choices come from while there are none."""
        return self._options.remark

    def _fill(self) -> None:
        self._pairs = self._options.pairs()
        self.list.blockSignals(True)
        self.list.clear()
        for label, _ in self._pairs:
            item = QListWidgetItem(label)
            item.setFlags(
                Qt.ItemFlag.ItemIsEnabled
                | Qt.ItemFlag.ItemIsUserCheckable
                | Qt.ItemFlag.ItemIsSelectable
            )
            item.setCheckState(Qt.CheckState.Unchecked)
            self.list.addItem(item)
        self.list.blockSignals(False)
        self.list.updateGeometry()
        self.show(self.node.value)

    def _checked(self) -> tuple[str, ...]:
        return tuple(
            value
            for index, (_, value) in enumerate(self._pairs)
            if (item := self.list.item(index)) is not None
            and item.checkState() == Qt.CheckState.Checked
        )

    def _item_changed(self, _: QListWidgetItem) -> None:
        self.edited(self._checked())
        self._show_count()

    def _check_all(self, on: bool) -> None:
        values = tuple(value for _, value in self._pairs) if on else ()
        self.edited(values)
        self.show(values)

    def _show_count(self) -> None:
        if hasattr(self, "count"):
            self.count.setText(f"{len(self._checked())} of {len(self._pairs)}")

    def _other_changed(self, node: Node) -> None:
        if node is not self.node and self._options.pairs() != self._pairs:
            self._fill()
            self.node.recheck()


class DrillDownField(Field):
    """Choices in a tree: check boxes for many, a selected row for one."""

    wide = True

    def __init__(self, node: LeafNode, context: FormContext) -> None:
        super().__init__(node, context)
        self._parameter = cast("DrillDownParameter", node.parameter)
        self.tree = QTreeWidget()
        self.tree.setHeaderHidden(True)
        self.tree.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.widget = self.tree
        for option in self._parameter.options:
            item = self._item(option)
            self.tree.addTopLevelItem(item)
        self.tree.expandToDepth(0)
        self.tree.setFixedHeight(self.tree.fontMetrics().height() * 9)
        self.show(node.value)
        if self._parameter.multiple:
            self.tree.itemChanged.connect(self._changed)
        else:
            self.tree.itemSelectionChanged.connect(self._changed)

    def show(self, value: object) -> None:
        """Check (or select) the values."""
        chosen = set(value) if isinstance(value, tuple | list) else set()
        self.tree.blockSignals(True)
        for item in self._items():
            on = item.data(0, Qt.ItemDataRole.UserRole) in chosen
            if self._parameter.multiple:
                item.setCheckState(0, Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)
            else:
                item.setSelected(on)
        self.tree.blockSignals(False)

    def _item(self, option: DrillDownOption) -> QTreeWidgetItem:
        item = QTreeWidgetItem([option.label])
        item.setData(0, Qt.ItemDataRole.UserRole, option.value)
        if self._parameter.multiple:
            item.setCheckState(0, Qt.CheckState.Unchecked)
        for child in option.children:
            item.addChild(self._item(child))
        return item

    def _items(self) -> list[QTreeWidgetItem]:
        found: list[QTreeWidgetItem] = []
        walker = QTreeWidgetItemIterator(self.tree)
        while (item := walker.value()) is not None:
            found.append(item)
            walker += 1
        return found

    def _changed(self, *_: object) -> None:
        def on(item: QTreeWidgetItem) -> bool:
            if self._parameter.multiple:
                return item.checkState(0) == Qt.CheckState.Checked
            return item.isSelected()

        self.edited(
            tuple(
                str(item.data(0, Qt.ItemDataRole.UserRole)) for item in self._items() if on(item)
            )
        )


class ColumnField(Field):
    """Columns of a table: their names where the table is known, numbers otherwise."""

    def __init__(self, node: LeafNode, context: FormContext) -> None:
        super().__init__(node, context)
        self._parameter = cast("DataColumnParameter", node.parameter)
        self.combo = QComboBox()
        self.combo.setEditable(True)
        keep_narrow(self.combo)
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
        self.follow_model(self._other_changed)

    def show(self, value: object) -> None:
        """Show column numbers, with the name when there is one column."""
        if isinstance(value, tuple | list):
            text = ",".join(str(entry) for entry in value)
        else:
            text = "" if value is None else str(value)
            if text.isdigit() and 1 <= int(text) <= len(self._columns):
                text = self._entry(int(text))
        self.combo.blockSignals(True)
        self.combo.setCurrentText(text)
        self.combo.blockSignals(False)

    def hint(self) -> str:
        """Say where the columns come from while the table is not known."""
        if self._columns or not self._parameter.data_ref:
            return ""
        return f"Column numbers of “{self._parameter.data_ref}”, counted from 1."

    def _entry(self, number: int) -> str:
        return f"{number}: {self._columns[number - 1]}"

    def _fill(self) -> None:
        self._columns = _columns(self._table())
        self.combo.blockSignals(True)
        self.combo.clear()
        self.combo.addItems([self._entry(n + 1) for n in range(len(self._columns))])
        self.combo.blockSignals(False)
        self.show(self.node.value)

    def _table(self) -> object:
        wanted = self._parameter.data_ref.rsplit("|", 1)[-1]
        for leaf in self.context.model.leaves():
            if leaf.parameter.name == wanted:
                return leaf.value
        return None

    def _activated(self, index: int) -> None:
        number = str(index + 1)
        if self._parameter.multiple and isinstance(self.node.value, tuple):
            present = [entry for entry in self.node.value if entry != number]
            toggled = present if number in self.node.value else [*present, number]
            self.edited(tuple(toggled))
            self.show(self.node.value)
        else:
            self.edited((number,) if self._parameter.multiple else number)
            self.show(self.node.value)

    def _text_edited(self, text: str) -> None:
        numbers = [part.split(":", 1)[0].strip() for part in text.split(",") if part.strip()]
        if self._parameter.multiple:
            self.edited(tuple(numbers))
        else:
            self.edited(numbers[0] if numbers else None)

    def _other_changed(self, node: Node) -> None:
        if node is not self.node and _columns(self._table()) != self._columns:
            self._fill()


def _columns(table: object) -> list[str]:
    """Return the names of the columns of a layer's features or of a text table."""
    if isinstance(table, list) and table:
        table = table[0]
    if isinstance(table, str | Path) and str(table):
        return _header(Path(table))
    features = getattr(table, "features", None)
    columns = getattr(features, "columns", None)
    return [str(name) for name in columns] if columns is not None else []


def _header(path: Path) -> list[str]:
    if path.suffix.lower() not in {".csv", ".tsv", ".tab", ".tabular", ".txt"}:
        return []
    try:
        with path.open(encoding="utf-8", errors="replace", newline="") as stream:
            line = stream.readline(100_000)
    except OSError:
        return []
    delimiter = "," if path.suffix.lower() == ".csv" else "\t"
    return next(csv.reader([line], delimiter=delimiter), [])
