"""Choices: one of a list, many of a list, a tree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import compress
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
    QVBoxLayout,
    QWidget,
)
from superqt import QSearchableComboBox
from superqt.utils import signals_blocked

from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.tools.model import DrillDownParameter, SelectParameter
from napari_tool_runner.tools.tree import beside
from napari_tool_runner.widgets.forms.field_base import Field, FormContext
from napari_tool_runner.widgets.parts.icons import TextIconButton
from napari_tool_runner.widgets.parts.inputs import NarrowCombo, keep_narrow
from napari_tool_runner.widgets.parts.layouts import filled
from napari_tool_runner.widgets.parts.texts import option_labels, tooltip

if TYPE_CHECKING:
    from napari_tool_runner.tools.model import DrillDownOption, SelectOption
    from napari_tool_runner.widgets.forms.node import LeafNode, Node

__all__ = ["CheckList", "DrillDownField", "ManyField", "RadioField", "SelectField"]

NOT_SET = "(not set)"
_SEARCH_FROM = 15


class CheckList(QListWidget):
    """Check boxes; grows with its entries up to `most`, then scrolls; long names are elided."""

    def __init__(self, most: int = 7, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._most = most
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def fill(self, entries: Iterable[tuple[str, str]]) -> None:
        """Show (title, tooltip) pairs, none of them checked."""
        with signals_blocked(self):
            self.clear()
            for title, tip in entries:
                item = QListWidgetItem(title, self)
                item.setToolTip(tip)
                item.setCheckState(Qt.CheckState.Unchecked)
        self.updateGeometry()

    def check(self, flags: Iterable[bool]) -> None:
        """Check and uncheck all entries, without `itemChanged`."""
        with signals_blocked(self):
            for item, on in zip(self._all(), flags, strict=True):
                item.setCheckState(Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)

    def checked(self) -> list[bool]:
        """Return for each entry whether it is checked."""
        return [item.checkState() == Qt.CheckState.Checked for item in self._all()]

    def _all(self) -> list[QListWidgetItem]:
        found = (self.item(row) for row in range(self.count()))
        return [item for item in found if item is not None]

    def sizeHint(self) -> QSize:
        """Return the height of the entries."""
        row = self.sizeHintForRow(0) if self.count() else self.fontMetrics().height() + 2
        rows = min(max(self.count(), 1), self._most)
        return QSize(120, rows * row + 2 * self.frameWidth() + 4)

    def minimumSizeHint(self) -> QSize:
        """Return the same: a list that shows half an entry is of no use."""
        return QSize(60, self.sizeHint().height())


class _OptionsField(Field):
    """A field for the options of a select, fixed or computed from other values."""

    def __init__(self, node: LeafNode, context: FormContext) -> None:
        super().__init__(node, context)
        assert isinstance(node.parameter, SelectParameter)
        self.parameter = node.parameter
        self._pairs: list[tuple[str, str]] = []
        self._remark = ""
        if self.parameter.source is not None:
            self.follow_model()

    def hint(self) -> str:
        """Say where the choices come from while there are none."""
        return self._remark

    def _fill(self) -> None:
        """Show the options of now."""
        raise NotImplementedError

    def _options(self) -> list[tuple[str, str]]:
        """Return ``(label, value)`` pairs with unique labels."""
        return option_labels([(one.label or one.value, one.value) for one in self._now()])

    def _now(self) -> Sequence[SelectOption]:
        source = self.parameter.source
        self._remark = ""
        if source is None or not source.depends_on:
            return self.parameter.options
        if self.context.is_waiting():
            self._remark = "The choices of this form take too long to be told."
            return self.parameter.options
        try:
            with self.context.waits():
                found = source.options(beside(self.context.model.values(), self.node.name))
        except ToolRunnerError as error:
            self._remark = str(error)
            return self.parameter.options
        if not found and source.depends_on:
            self._remark = f"The choices come from “{', '.join(source.depends_on)}”."
        return found or self.parameter.options

    def other_changed(self, node: Node) -> None:
        """Look whether there is something else to choose."""
        if node is not self.node and self._options() != self._pairs:
            self._fill()
            self.node.recheck()


class SelectField(_OptionsField):
    """A combo box; with many options one can type to find one."""

    def __init__(self, node: LeafNode, context: FormContext) -> None:
        super().__init__(node, context)
        searchable = len(self.parameter.options) > _SEARCH_FROM
        self.combo: QComboBox = QSearchableComboBox() if searchable else NarrowCombo()
        keep_narrow(self.combo)
        self.widget = self.combo
        self._before = int(node.parameter.optional)
        """Entries before the first option."""
        self._fill()
        self.combo.activated.connect(self._activated)

    def show(self, value: object) -> None:
        """Select `value`; nothing is selected for None."""
        values = [pair[1] for pair in self._pairs]
        position = values.index(str(value)) if value is not None and str(value) in values else -1
        with signals_blocked(self.combo):
            self.combo.setCurrentIndex(position + self._before)

    def _fill(self) -> None:
        self._pairs = self._options()
        with signals_blocked(self.combo):
            self.combo.clear()
            if self._before:
                self.combo.addItem(NOT_SET)
            self.combo.addItems([pair[0] for pair in self._pairs])
            for place, (label, _) in enumerate(self._pairs, start=self._before):
                if len(label) > 30:
                    self.combo.setItemData(place, tooltip(label), Qt.ItemDataRole.ToolTipRole)
            self.combo.setPlaceholderText("choose…")
        self.show(self.node.value)

    def _activated(self, index: int) -> None:
        index -= self._before
        self.edited(self._pairs[index][1] if index >= 0 else None)


class RadioField(_OptionsField):
    """A few options, all visible (magicgui's radio buttons)."""

    def __init__(self, node: LeafNode, context: FormContext) -> None:
        super().__init__(node, context)
        pairs = self._options()
        # "-----" is offered only where nothing is chosen yet
        unknown = node.value not in [pair[1] for pair in pairs]
        made = create_widget(
            widget_type="RadioButtons",
            options={"choices": pairs, "nullable": unknown, "orientation": "vertical"},
            value=None if unknown else node.value,
            name=f"parameter_{node.parameter.name}",
        )
        assert isinstance(made, RadioButtons)
        self._made = made
        self.widget = self._made.native
        self._made.changed.connect(self.edited)

    def show(self, value: object) -> None:
        """Select `value`."""
        with self._made.changed.blocked():
            self._made.value = value


class ManyField(_OptionsField):
    """Many of a list: check boxes, with "all" and "none" when the list is long."""

    wide = True

    def __init__(self, node: LeafNode, context: FormContext) -> None:
        super().__init__(node, context)
        self.widget = QWidget()
        self.list = CheckList()
        self.count = QLabel()
        column = filled(QVBoxLayout(self.widget), self.list, spacing=2)
        self.widget.setFocusProxy(self.list)
        self.list.itemChanged.connect(self._item_changed)
        self._fill()
        if len(self._pairs) > 4:
            self.all_button = TextIconButton("", "All")
            self.none_button = TextIconButton("", "None")
            self.all_button.clicked.connect(lambda: self._check_all(True))
            self.none_button.clicked.connect(lambda: self._check_all(False))
            buttons = (self.count, 1), self.all_button, self.none_button
            column.addLayout(filled(QHBoxLayout(), *buttons))

    def show(self, value: object) -> None:
        """Check the values in `value` (a tuple of str or None)."""
        chosen = set(value) if isinstance(value, tuple | list) else set()
        self.list.check(entry in chosen for _, entry in self._pairs)
        self._show_count()

    def _fill(self) -> None:
        self._pairs = self._options()
        self.list.fill((label, "") for label, _ in self._pairs)
        self.show(self.node.value)

    def _item_changed(self, _: QListWidgetItem) -> None:
        self.edited(tuple(compress((value for _, value in self._pairs), self.list.checked())))
        self._show_count()

    def _check_all(self, on: bool) -> None:
        values = tuple(value for _, value in self._pairs) if on else ()
        self.edited(values)
        self.show(values)

    def _show_count(self) -> None:
        self.count.setText(f"{sum(self.list.checked())} of {len(self._pairs)}")


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
            self.tree.addTopLevelItem(self._item(option))
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
        with signals_blocked(self.tree):
            for item in self._items():
                on = item.data(0, Qt.ItemDataRole.UserRole) in chosen
                if self._parameter.multiple:
                    item.setCheckState(0, Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)
                else:
                    item.setSelected(on)

    def _item(self, option: DrillDownOption) -> QTreeWidgetItem:
        item = QTreeWidgetItem([option.label])
        item.setData(0, Qt.ItemDataRole.UserRole, option.value)
        if self._parameter.multiple:
            item.setCheckState(0, Qt.CheckState.Unchecked)
        for child in option.children:
            item.addChild(self._item(child))
        return item

    def _items(self) -> list[QTreeWidgetItem]:
        flags = Qt.MatchFlag
        return self.tree.findItems("", flags.MatchContains | flags.MatchRecursive)

    def _changed(self, *_: object) -> None:
        if self._parameter.multiple:
            chosen = [i for i in self._items() if i.checkState(0) == Qt.CheckState.Checked]
        else:
            chosen = self.tree.selectedItems()
        self.edited(tuple(str(item.data(0, Qt.ItemDataRole.UserRole)) for item in chosen))
