"""Rows for Qt: sorted and filtered as a whole by NumPy and pandas, never row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt

from napari_tool_runner.exchange import column_title, id_column
from napari_tool_runner.widgets.parts.texts import short, tooltip
from napari_tool_runner.widgets.results.digits import decimals_of, number_text

if TYPE_CHECKING:
    import pandas as pd

    from napari_tool_runner.widgets.results.rows import Rows

__all__ = ["TableModel", "cell_text"]

_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class TableModel(QAbstractTableModel):
    """Those rows of a table that are shown, in the order in which they are shown.

    A row of the model is a *line*; `row_at` says which row of the table stands in it.
    """

    def __init__(self, rows: Rows) -> None:
        super().__init__()
        self.rows = rows
        self.names = [str(name) for name in rows.frame.columns]
        of_objects = bool(rows.layers)
        self.titles = [column_title(name, of_objects=of_objects) for name in self.names]
        self._columns = [_values(rows.frame.iloc[:, at]) for at in range(len(self.names))]
        self._decimals: dict[int, int] = {}
        self._order = np.arange(len(rows))
        self._mask: np.ndarray | None = None
        self._shown = self._order

    @property
    def shown(self) -> np.ndarray:
        """The rows that are shown, from top to bottom."""
        return self._shown

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column, −1: as the table was; what has no value comes last."""
        self._order = np.arange(len(self.rows))
        if 0 <= column < len(self.names):
            up = order == Qt.SortOrder.AscendingOrder
            self._order = sorted_rows(self.rows.frame.iloc[:, column], up=up)
        self._show()

    def filter(self, mask: np.ndarray | None) -> None:
        """Show the rows for which `mask` holds; None: all."""
        self._mask = mask
        self._show()

    def _show(self) -> None:
        self.beginResetModel()
        self._shown = self._order if self._mask is None else self._order[self._mask[self._order]]
        self.endResetModel()

    def lines(self, rows: np.ndarray) -> np.ndarray:
        """Return the lines in which `rows` stand, ascending, of those that are shown."""
        chosen = np.zeros(len(self.rows), bool)
        chosen[rows] = True
        return np.flatnonzero(chosen[self._shown])

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of lines."""
        return 0 if parent is not None and parent.isValid() else len(self._shown)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of columns."""
        return 0 if parent is not None and parent.isValid() else len(self.names)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Return a cell as text, numbers right-aligned; its tooltip has all digits."""
        if not index.isValid():
            return None
        column = self._columns[index.column()]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _RIGHT if column.dtype.kind in "iuf" else None
        value = column[self._shown[index.row()]]
        if role == Qt.ItemDataRole.DisplayRole:
            return cell_text(value, self._places(index.column()))
        if role == Qt.ItemDataRole.ToolTipRole and column.dtype.kind == "f":
            whole = str(value).removesuffix(".0")
            return (
                tooltip(whole) if cell_text(value, self._places(index.column())) != whole else None
            )
        return None

    def _places(self, section: int) -> int | None:
        """Return how many places after the point a column of fractions has; looked at once."""
        column = self._columns[section]
        if column.dtype.kind == "f" and section not in self._decimals:
            self._decimals[section] = decimals_of(column)
        return self._decimals.get(section)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> object:
        """Return the title of a column, a tooltip where it is cut; the number of a line.

        Qt asks, too, in which order a column is sorted first.
        """
        if role == Qt.ItemDataRole.InitialSortOrderRole:
            return self._first_order(section)
        if orientation == Qt.Orientation.Vertical:
            return section + 1 if role == Qt.ItemDataRole.DisplayRole else None
        # a view that has just lost columns still asks for them
        title = self.titles[section] if 0 <= section < len(self.titles) else ""
        if role == Qt.ItemDataRole.ToolTipRole and short(title) != title:
            return tooltip(title)
        return short(title) if role == Qt.ItemDataRole.DisplayRole else None

    def order_words(self, section: int) -> tuple[str, str]:
        """Return what the two orders of a column are called, downwards and upwards."""
        return ("Largest first", "Smallest first") if self._is_number(section) else ("Z–A", "A–Z")

    def _is_number(self, section: int) -> bool:
        inside = 0 <= section < len(self.names)
        return inside and self._columns[section].dtype.kind in "iuf"

    def _first_order(self, section: int) -> int:
        """Return what is looked for first: the largest of measures, the first of names and ids."""
        orders = Qt.SortOrder
        down = self._is_number(section) and self.names[section] != id_column(self.rows.frame)
        order: int = (orders.DescendingOrder if down else orders.AscendingOrder).value
        return order


def sorted_rows(column: pd.Series[float], *, up: bool) -> np.ndarray:
    """Return the rows in the order of a column, equal ones as they were, empty ones last."""
    bare = column.reset_index(drop=True)
    try:
        return bare.sort_values(ascending=up, kind="stable", na_position="last").index.to_numpy()
    except TypeError:  # numbers beside words
        return bare.astype(str).sort_values(ascending=up, kind="stable").index.to_numpy()


def _values(column: pd.Series[float]) -> np.ndarray:
    """Return the cells of a column; fractions as such, whatever pandas keeps them in."""
    if column.dtype.kind == "f":
        return column.to_numpy(getattr(column.dtype, "numpy_dtype", None), na_value=np.nan)
    return column.to_numpy()


def cell_text(value: object, decimals: int | None = None) -> str:
    """Return a value for a cell: nothing where nothing is known.

    `decimals`: places of a fraction after the point; without them it has six digits.
    """
    if isinstance(value, float | np.floating):
        number = float(value)
        if number != number:
            return ""
        if decimals is not None:
            return number_text(number, decimals)
        whole = abs(number) < 1e15 and number == int(number)
        return f"{number:.0f}" if whole else f"{number:.6g}"
    return "" if value is None or type(value).__name__ in ("NAType", "NaTType") else str(value)
