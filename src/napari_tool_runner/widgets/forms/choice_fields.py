"""Choices: one of a list, many of a list, a tree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from magicgui.widgets import RadioButtons, create_widget
from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QSizePolicy,
    QTreeWidget,
    QTreeWidgetItem,
    QTreeWidgetItemIterator,
    QVBoxLayout,
    QWidget,
)
from superqt import QSearchableComboBox

from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.tools.model import (
    DrillDownParameter,
    SelectParameter,
)
from napari_tool_runner.widgets.forms.field_base import Field, FormContext, keep_narrow
from napari_tool_runner.widgets.parts.icons import TextIconButton
from napari_tool_runner.widgets.parts.texts import option_labels

if TYPE_CHECKING:
    from napari_tool_runner.tools.model import (
        DrillDownOption,
        SelectOption,
    )
    from napari_tool_runner.widgets.forms.node import LeafNode, Node

__all__ = ["DrillDownField", "ManyField", "RadioField", "SelectField", "ShortList"]

NOT_SET = "(not set)"
_SEARCH_FROM = 15


class ShortList(QListWidget):
    """Grows with its entries up to `most`, then scrolls; long names are elided."""

    def __init__(self, most: int = 7, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._most = most
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        """Return the height of the entries."""
        row = self.sizeHintForRow(0) if self.count() else self.fontMetrics().height() + 2
        rows = min(max(self.count(), 1), self._most)
        return QSize(120, rows * row + 2 * self.frameWidth() + 4)

    def minimumSizeHint(self) -> QSize:
        """Return the same: a list that shows half an entry is of no use."""
        return QSize(60, self.sizeHint().height())


class _Options:
    """The options of a select, fixed or computed from other values."""

    def __init__(self, field: Field) -> None:
        self.field = field
        assert isinstance(field.node.parameter, SelectParameter)
        self.parameter = field.node.parameter
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
        assert isinstance(node.parameter, DrillDownParameter)
        self._parameter = node.parameter
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
