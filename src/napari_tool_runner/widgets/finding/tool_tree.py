"""The toolbox as a tree for Qt: groups, tools, and the hits of a search.

A plain model over tuples: 2,000 tools are shown in milliseconds, and nothing of a tool
is read before it is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from qtpy.QtCore import QAbstractItemModel, QModelIndex, QObject, Qt

from napari_tool_runner.data_classes import dataclass, field
from napari_tool_runner.widgets.finding.badges import needs_of
from napari_tool_runner.widgets.parts.texts import tooltip

if TYPE_CHECKING:
    from napari_tool_runner.tools.toolbox.box import Toolbox
    from napari_tool_runner.tools.toolbox.categories import Category
    from napari_tool_runner.tools.toolbox.entries import ToolEntry

__all__ = ["Grouping", "Role", "ToolTreeModel"]


class Grouping(StrEnum):
    """How the tree is arranged."""

    CATEGORY = "category"
    TOOLBOX = "toolbox"


class Role:
    """Data roles of the tree beyond Qt's own."""

    BADGES = Qt.ItemDataRole.UserRole + 1
    STARRED = Qt.ItemDataRole.UserRole + 2


@dataclass(slots=True, eq=False)
class _Item:
    """A group (no entry) or a tool."""

    text: str
    entry: ToolEntry | None = None
    children: list[_Item] = field(default_factory=list)
    parent: _Item | None = None
    row: int = 0

    def add(self, child: _Item) -> _Item:
        child.parent = self
        child.row = len(self.children)
        self.children.append(child)
        return child

    def count(self) -> int:
        return sum(1 if child.entry else child.count() for child in self.children)


class ToolTreeModel(QAbstractItemModel):
    """Groups of tools, or the hits of a search, best first.

    Parameters
    ----------
    badges : callable, optional
        Entry -> short words shown at the right of a tool.
    words : callable, optional
        Entry -> the same in a sentence.
    """

    def __init__(
        self,
        badges: Callable[[ToolEntry], tuple[str, ...]] = needs_of,
        words: Callable[[ToolEntry], str] = lambda entry: " ".join(needs_of(entry)),
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._root = _Item("")
        self._badges = badges
        self._words = words
        self._starred: frozenset[str] = frozenset()

    # -- filling -----------------------------------------------------------------------

    def show_groups(
        self,
        toolbox: Toolbox,
        grouping: Grouping = Grouping.CATEGORY,
        starred: Sequence[str] = (),
        recent: Sequence[str] = (),
        alike: tuple[Sequence[str], Sequence[ToolEntry]] = ((), ()),
    ) -> None:
        """Show starred and recent tools, then all by category or by toolbox.

        `alike`: words that look like what was searched in vain, and their tools, stand first.
        """
        root = _Item("")
        words, tools = alike
        if tools:
            meant = " or ".join(f"“{word}”" for word in words)
            _add_tools(root.add(_Item(f"Did you mean {meant}?")), tools)
        self._starred = frozenset(starred)
        for title, keys in (("Starred", starred), ("Recent", recent)):
            entries = [toolbox.entry(key) for key in keys if key in toolbox]
            if entries:
                _add_tools(root.add(_Item(title)), entries)
        if grouping is Grouping.TOOLBOX:
            for folder in toolbox.folders:
                entries = [entry for entry in toolbox.entries if entry.toolbox == folder.name]
                title = "Shipped with the plugin" if folder.bundled else folder.name
                entries.sort(key=lambda entry: entry.name.casefold())
                _add_tools(root.add(_Item(title)), entries)
        else:
            for category in toolbox.categories:
                _add_category(root, category)
        self._take(root)

    def show_hits(self, entries: Iterable[ToolEntry], starred: Sequence[str] = ()) -> None:
        """Show a flat list, in the order given."""
        root = _Item("")
        self._starred = frozenset(starred)
        _add_tools(root, entries)
        self._take(root)

    def _take(self, root: _Item) -> None:
        self.beginResetModel()
        self._root = root
        self.endResetModel()

    # -- looking up --------------------------------------------------------------------

    def entry(self, index: QModelIndex) -> ToolEntry | None:
        """Return the tool at `index`, None for a group."""
        return self._item(index).entry if index.isValid() else None

    def first_tool(self) -> QModelIndex:
        """Return the index of the first tool, invalid when there is none."""
        item = self._root
        index = QModelIndex()
        while item.entry is None:
            if not item.children:
                return QModelIndex()
            index = self.index(0, 0, index)
            item = item.children[0]
        return index

    def tools(self) -> list[ToolEntry]:
        """Return the tools shown, in their order; one in two groups comes twice."""
        found: list[ToolEntry] = []

        def walk(item: _Item) -> None:
            if item.entry is not None:
                found.append(item.entry)
            for child in item.children:
                walk(child)

        walk(self._root)
        return found

    # -- QAbstractItemModel --------------------------------------------------------------

    def index(self, row: int, column: int, parent: QModelIndex | None = None) -> QModelIndex:
        """Return the index of a child."""
        item = self._item(parent)
        if column != 0 or not 0 <= row < len(item.children):
            return QModelIndex()
        return self.createIndex(row, 0, item.children[row])

    def parent(self, index: QModelIndex | None = None) -> QModelIndex:  # type: ignore[override]
        """Return the index of the group above."""
        if index is None or not index.isValid():
            return QModelIndex()
        above = self._item(index).parent
        if above is None or above is self._root:
            return QModelIndex()
        return self.createIndex(above.row, 0, above)

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of children."""
        return len(self._item(parent).children)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Return 1."""
        return 1

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Return names, descriptions and badges."""
        if not index.isValid():
            return None
        item = self._item(index)
        entry = item.entry
        if role == Qt.ItemDataRole.DisplayRole:
            return item.text if entry else f"{item.text} ({item.count()})"
        if entry is None:
            return None
        if role == Role.BADGES:
            return self._badges(entry)
        if role == Role.STARRED:
            return entry.key in self._starred
        if role == Qt.ItemDataRole.ToolTipRole:
            return tooltip(
                f"{entry.name} {entry.version}",
                entry.description,
                self._words(entry),
                f"{entry.toolbox}: {entry.id}",
            )
        if role == Qt.ItemDataRole.AccessibleTextRole:
            star = "starred, " if entry.key in self._starred else ""
            return f"{entry.name}, {star}{entry.description} {self._words(entry)}"
        return None

    def _item(self, index: QModelIndex | None) -> _Item:
        if index is None or not index.isValid():
            return self._root
        item = index.internalPointer()
        assert isinstance(item, _Item)
        return item


def _add_tools(group: _Item, entries: Iterable[ToolEntry]) -> None:
    for entry in entries:
        group.add(_Item(entry.name, entry))


def _add_category(parent: _Item, category: Category) -> None:
    group = parent.add(_Item(category.name))
    for child in category.children:
        _add_category(group, child)
    _add_tools(group, category.tools)
