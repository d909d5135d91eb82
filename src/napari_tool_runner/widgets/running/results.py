"""Tables in docks of their own: those that belong to no layer, and features of layers."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, SupportsFloat, cast

from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from napari_tool_runner.jobs import write_table
from napari_tool_runner.widgets.parts.background import when_destroyed
from napari_tool_runner.widgets.parts.icons import TextIconButton
from napari_tool_runner.widgets.parts.layouts import filled

if TYPE_CHECKING:
    from napari.components import ViewerModel

__all__ = ["PreviewTables", "TableModel", "TableView", "show_features", "show_table"]


def show_table(viewer: ViewerModel, title: str, columns: Mapping[str, object]) -> TableView | None:
    """Dock a table under the canvas; None where the viewer has no window."""
    window = getattr(viewer, "window", None)
    if window is None:
        return None
    view = TableView(title, columns)
    window.add_dock_widget(view, name=title, area="bottom", tabify=True)
    return view


def show_features(viewer: ViewerModel, layer: object) -> TableView | None:
    """Dock the features of a layer as a table."""
    features = getattr(layer, "features", None)
    if features is None:
        return None
    columns = {str(name): features[name].to_numpy() for name in features.columns}
    return show_table(viewer, str(getattr(layer, "name", layer)), columns)


class TableModel(QAbstractTableModel):
    """Columns as a table; nothing is copied.

    Parameters
    ----------
    columns : mapping
        Name -> 1-D array or sequence, all of one length.
    """

    def __init__(self, columns: Mapping[str, object]) -> None:
        super().__init__()
        self._names = list(columns)
        self._columns = [cast("Sequence[object]", column) for column in columns.values()]

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of rows."""
        if parent is not None and parent.isValid():
            return 0
        return len(self._columns[0]) if self._columns else 0

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of columns."""
        return 0 if parent is not None and parent.isValid() else len(self._columns)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Return a cell as text, numbers right-aligned."""
        if not index.isValid():
            return None
        value = self._columns[index.column()][index.row()]
        if isinstance(value, SupportsFloat) and not isinstance(value, str | bool):
            if role == Qt.ItemDataRole.TextAlignmentRole:
                return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            value = _number_text(value)
        return str(value) if role == Qt.ItemDataRole.DisplayRole else None

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> object:
        """Return the name of a column, the number of a row."""
        if role != Qt.ItemDataRole.DisplayRole:
            return None
        return self._names[section] if orientation == Qt.Orientation.Horizontal else section + 1

    def write(self, path: str) -> None:
        """Write the whole table as CSV, with all digits."""
        write_table(Path(path), dict(zip(self._names, self._columns, strict=True)))


class TableView(QWidget):
    """A table that belongs to no layer, with its number of rows and "Save as CSV…"."""

    def __init__(self, title: str, columns: Mapping[str, object]) -> None:
        super().__init__()
        self._title = title
        self.table = QTableView()
        self.table.setAlternatingRowColors(True)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.ContiguousSelection)
        self.table.setAccessibleName(title)
        self.save = TextIconButton("file", "Save as CSV…")
        self.save.clicked.connect(self._save)
        self._count = QLabel()
        row = filled(QHBoxLayout(), (self._count, 1), self.save)
        filled(QVBoxLayout(self), self.table, row, margins=(4, 4, 4, 4))
        self.show_columns(columns)

    def show_columns(self, columns: Mapping[str, object]) -> None:
        """Show other columns in the place of those that are shown."""
        self.model = TableModel(columns)
        self.table.setModel(self.model)
        count = self.model.rowCount()
        self._count.setText(f"{count} row{'s' * (count != 1)}")

    def _save(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Save table", f"{self._title}.csv")
        if name:
            self.model.write(name)


class PreviewTables:
    """The tables of a live preview: docked once, then filled anew, and gone with it."""

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = weakref.ref(viewer)
        self._views: dict[str, TableView] = {}

    def show(self, tables: Mapping[str, Mapping[str, object]]) -> None:
        """Show title -> columns in the place of what is shown."""
        viewer = self._viewer()
        for title in self._views.keys() - tables.keys():
            self._close(title)
        for title, columns in tables.items():
            if title in self._views:
                self._views[title].show_columns(columns)
            elif viewer is not None and (view := show_table(viewer, title, columns)):
                self._views[title] = view
                when_destroyed(view, partial(self._views.pop, title, None))

    def _close(self, title: str) -> None:
        view, viewer = self._views.pop(title), self._viewer()
        if viewer is not None:
            viewer.window.remove_dock_widget(view)
            view.deleteLater()


def _number_text(value: SupportsFloat) -> str:
    """Return six digits of a number, a whole one as it is."""
    number = float(value)
    whole = number == number and abs(number) < 1e15 and number == int(number)
    return str(value) if whole else f"{value:.6g}"
