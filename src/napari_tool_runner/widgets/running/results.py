"""A finished job's outputs into the viewer: layers, features, tables.

The engine adds layers and joins tables (`napari_tool_runner.jobs.add_result`); tables
that belong to no layer are shown in a dock of their own.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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

from napari_tool_runner.widgets.parts.icons import TextIconButton

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_tool_runner.jobs import Job

__all__ = ["Shown", "TableModel", "TableView", "show_features", "show_result", "show_table"]


@dataclass(slots=True)
class Shown:
    """What a result became in a viewer.

    Parameters
    ----------
    layers : list
        The new layers.
    joined : list
        The layers that got a table as features.
    tables : mapping
        Title -> columns, of the tables that belong to no layer.
    files : list of str
        Names of the outputs that are no layer; they are in the workspace.
    """

    layers: list[object] = field(default_factory=list)
    joined: list[object] = field(default_factory=list)
    tables: dict[str, Mapping[str, object]] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)

    def sentence(self) -> str:
        """Return what happened, for a person."""
        parts: list[str] = []
        if self.layers:
            names = ", ".join(f"“{getattr(layer, 'name', layer)}”" for layer in self.layers)
            parts.append(f"Added {names}.")
        if self.joined:
            names = ", ".join(f"“{getattr(layer, 'name', layer)}”" for layer in self.joined)
            parts.append(f"Measurements are in the features of {names}.")
        if self.tables:
            parts.append(f"Opened {len(self.tables)} table{'s' * (len(self.tables) > 1)}.")
        if self.files:
            parts.append(f"{', '.join(self.files)}: a file in the workspace.")
        return " ".join(parts) or "Done; the tool made nothing to show."


def show_result(viewer: ViewerModel, job: Job) -> Shown:
    """Add the outputs of a successful `job` to `viewer`; call it on the GUI thread.

    Raises
    ------
    ToolRunnerError
        The job did not succeed.
    """
    from napari_tool_runner.jobs import add_result, placed_result

    result = placed_result(job, job.result())
    added = add_result(viewer, result, job)
    shown = Shown(
        layers=list(added.layers),
        joined=list(added.joined.values()),
        tables=dict(added.tables),
        files=[
            entry.output.label or name
            for name, entry in result.outputs.items()
            if entry.layer_type == "file" and not entry.output.hidden
        ],
    )
    for title, columns in shown.tables.items():
        show_table(viewer, title, columns)
    return shown


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
        number = isinstance(value, SupportsFloat) and not isinstance(value, str | bool)
        if role == Qt.ItemDataRole.DisplayRole:
            if isinstance(value, SupportsFloat) and not isinstance(value, str | bool):
                return _number_text(value)
            return str(value)
        if role == Qt.ItemDataRole.TextAlignmentRole and number:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None

    def headerData(
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> object:
        """Return the name of a column, the number of a row."""
        if role != Qt.ItemDataRole.DisplayRole:
            return None
        return self._names[section] if orientation == Qt.Orientation.Horizontal else section + 1

    def write(self, path: str) -> None:
        """Write the whole table as CSV, with all digits."""
        with open(path, "w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(self._names)
            writer.writerows(
                [column[row] for column in self._columns] for row in range(self.rowCount())
            )


class TableView(QWidget):
    """A table that belongs to no layer, with its number of rows and "Save as CSV…"."""

    def __init__(self, title: str, columns: Mapping[str, object]) -> None:
        super().__init__()
        self.model = TableModel(columns)
        self._title = title
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        self.table = QTableView()
        self.table.setModel(self.model)
        self.table.setAlternatingRowColors(True)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.ContiguousSelection)
        self.table.setAccessibleName(title)
        layout.addWidget(self.table)
        row = QHBoxLayout()
        count = self.model.rowCount()
        row.addWidget(QLabel(f"{count} row{'s' * (count != 1)}"), 1)
        self.save = TextIconButton("file", "Save as CSV…")
        self.save.clicked.connect(self._save)
        row.addWidget(self.save)
        layout.addLayout(row)

    def _save(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Save table", f"{self._title}.csv")
        if name:
            self.model.write(name)


def _number_text(value: SupportsFloat) -> str:
    """Return six digits of a number, a whole one as it is."""
    number = float(value)
    whole = number == number and abs(number) < 1e15 and number == int(number)
    return str(value) if whole else f"{value:.6g}"
