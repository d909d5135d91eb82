"""Tables of a live preview, in the dock of all tables."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from napari_tool_runner.widgets.results.rows import rows_of_columns
from napari_tool_runner.widgets.results.showing import tables_dock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari.components import ViewerModel

__all__ = ["PreviewTables"]


class PreviewTables:
    """The tables of a live preview: shown once, then filled anew, and gone with it."""

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = weakref.ref(viewer)
        self._titles: dict[str, str] = {}

    def show(self, tables: Mapping[str, Mapping[str, object]]) -> None:
        """Show title -> columns in the place of what is shown."""
        viewer = self._viewer()
        dock = None if viewer is None or not (tables or self._titles) else tables_dock(viewer)
        if dock is None:
            return
        for title in self._titles.keys() - tables.keys():
            dock.remove_table(self._titles.pop(title))
        for title, columns in tables.items():
            rows = rows_of_columns(title, columns)
            if title in self._titles:
                dock.fill(self._titles[title], rows)
            else:
                self._titles[title] = dock.add_table(rows)
