"""Finding a tool: a search box and a tree, by keyboard all the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QModelIndex, QObject, QPoint, Qt, Signal
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QTreeView,
    QVBoxLayout,
    QWidget,
)

from napari_tool_runner.names import count_text
from napari_tool_runner.widgets.finding.badges import BadgeLookup
from napari_tool_runner.widgets.finding.tool_delegate import ToolDelegate
from napari_tool_runner.widgets.finding.tool_tree import Grouping, ToolTreeModel
from napari_tool_runner.widgets.parts.background import keyboard
from napari_tool_runner.widgets.parts.inputs import NarrowCombo
from napari_tool_runner.widgets.parts.layouts import filled, menu_entry, plain_label
from napari_tool_runner.widgets.parts.messages import MessageBar
from napari_tool_runner.widgets.parts.texts import GET_MORE, open_path

if TYPE_CHECKING:
    from napari_tool_runner.tools.toolbox.box import Toolbox
    from napari_tool_runner.tools.toolbox.entries import ToolEntry
    from napari_tool_runner.widgets.finding.favourites import Favourites

__all__ = ["ToolFinder"]

MOST_HITS = 200


class ToolFinder(QWidget):
    """Search box, arrangement and tree.

    Parameters
    ----------
    toolbox : Toolbox
    favourites : Favourites
        Starred and recent tools.
    """

    chosen = Signal(str)
    """A tool was opened; carries its key in the toolbox."""
    problems_asked = Signal()
    """Somebody wants to see what is wrong with files of the toolboxes."""
    toolboxes_asked = Signal()
    """Somebody wants more tools."""

    def __init__(
        self, toolbox: Toolbox, favourites: Favourites, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._toolbox = toolbox
        self._favourites = favourites
        self.search = QLineEdit()
        self.search.setClearButtonEnabled(True)
        self.search.setAccessibleName("Search tools")
        self.search.textChanged.connect(self._search)
        self.search.installEventFilter(self)
        self.buttons = filled(QHBoxLayout(), spacing=0)
        self.count = plain_label()
        self.grouping = NarrowCombo()
        self.grouping.setMinimumContentsLength(len("by category"))
        self.grouping.addItem("by category", Grouping.CATEGORY)
        self.grouping.addItem("by toolbox", Grouping.TOOLBOX)
        self.grouping.setAccessibleName("Arrange the tools")
        self.grouping.activated.connect(lambda _: self.refresh())
        self.badges = BadgeLookup(toolbox, self)
        self.model = ToolTreeModel(self.badges.badges, self.badges.words, parent=self)
        self.tree = QTreeView()
        self.badges.changed.connect(self._redraw)
        self.destroyed.connect(self.badges.stop)
        self.tree.setModel(self.model)
        self.tree.setHeaderHidden(True)
        self.tree.setItemDelegate(ToolDelegate(self.tree))
        self.tree.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.tree.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.tree.setIndentation(14)
        self.tree.setExpandsOnDoubleClick(False)
        self.tree.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.tree.setAccessibleName("Tools")
        self.tree.setTabKeyNavigation(False)
        self.tree.customContextMenuRequested.connect(self._menu)
        self.tree.clicked.connect(self.choose)
        self.tree.installEventFilter(self)
        self.message = MessageBar(stays=True)
        top = filled(QHBoxLayout(), (self.search, 1), self.buttons, spacing=2)
        row = filled(QHBoxLayout(), (self.count, 1), self.grouping)
        filled(QVBoxLayout(self), top, row, (self.tree, 1), self.message, spacing=4)
        self.setFocusProxy(self.search)
        self.refresh()

    def set_toolbox(self, toolbox: Toolbox) -> None:
        """Show another toolbox."""
        self._toolbox = toolbox
        self.badges.forget(toolbox)
        self.refresh()

    def refresh(self) -> None:
        """Show the toolbox again: it, the stars or the arrangement changed."""
        number = len(self._toolbox)  # none: they are being read
        self.search.setPlaceholderText(
            f"Search {count_text(number, 'tool') if number else 'tools'}"
        )
        self._search(self.search.text())

    def _tell_problems(self) -> None:
        problems = len(self._toolbox.problems)
        files = count_text(problems, "file")
        self.message.say(
            f"{files} of the toolboxes could not be used." if problems else "",
            "problem",
            [("Show", self.problems_asked.emit)],
        )

    def _search(self, text: str) -> None:
        searching = bool(text.strip())
        if searching:
            keyboard().used()
        self.grouping.setVisible(not searching)
        self._tell_problems()
        if searching and (hits := self._toolbox.find(text, MOST_HITS)).entries:
            self.model.show_hits(hits.entries, self._favourites.starred)
            more = "+" if len(hits.entries) == MOST_HITS else ""
            if hits.whole:
                said = f"{len(hits.entries)}{more} found, best first"
            else:
                missing = "does just that" if hits.lacks else "fits all the words"
                said = f"No tool {missing}. Nearest:"
            self.count.setText(said)
            if hits.elsewhere:
                self.message.say(hits.elsewhere, "info")
            self.tree.setCurrentIndex(self.model.first_tool())
            return
        if searching:
            self._show_nearest(text, hits.elsewhere)
            return
        self.count.setText("")
        grouping = Grouping(self.grouping.currentData() or Grouping.CATEGORY)
        self.model.show_groups(
            self._toolbox, grouping, self._favourites.starred, self._favourites.recent
        )
        special = sum(
            any(key in self._toolbox for key in keys)
            for keys in (self._favourites.starred, self._favourites.recent)
        )
        for row in range(self.model.rowCount() if len(self._toolbox) <= 60 else special):
            self.tree.setExpanded(self.model.index(row, 0), True)
        self.tree.scrollToTop()

    def _show_nearest(self, text: str, elsewhere: str) -> None:
        """Show what is spelt nearly so, the categories to choose from, and the way to more.

        `elsewhere`: where it is done, if napari does it; then no word of it is a slip.
        """
        alike = self._toolbox.alike("" if elsewhere else text)
        self.model.show_groups(self._toolbox, starred=self._favourites.starred, alike=alike)
        self.tree.scrollToTop()
        if elsewhere:
            self.count.setText("No tool is needed for this.")
            self.message.say(elsewhere, "info")
            return
        self.count.setText("No tool has these words. Choose:")
        boxes = [folder.name for folder in self._toolbox.folders if not folder.bundled]
        where = f"what ships and {', '.join(boxes)}" if boxes else "what ships with the plugin"
        self.message.say(
            f"Searched: {where}. Other toolboxes are searched once they are added.",
            "info",
            [(GET_MORE, self.toolboxes_asked.emit)],
        )
        if alike[1]:
            self.tree.setExpanded(self.model.index(0, 0), True)
            self.tree.setCurrentIndex(self.model.first_tool())

    def _redraw(self) -> None:
        viewport = self.tree.viewport()
        assert viewport is not None
        viewport.update()

    # -- choosing ------------------------------------------------------------------------

    def choose(self, index: QModelIndex) -> None:
        """Open the tool at `index`, or open or close the group there."""
        entry = self.model.entry(index)
        if entry is not None:
            self.chosen.emit(entry.key)
        elif index.isValid():
            self.tree.setExpanded(index, not self.tree.isExpanded(index))

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Down goes from the search box into the tree, Enter opens, Up comes back."""
        if event is None or event.type() != QEvent.Type.KeyPress:
            return False
        assert isinstance(event, QKeyEvent)
        key = event.key()
        enter = key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not event.modifiers() & (
            Qt.KeyboardModifier.ControlModifier
        )
        if watched is self.search:
            if key == Qt.Key.Key_Down:
                self.tree.setFocus(Qt.FocusReason.OtherFocusReason)
                if not self.tree.currentIndex().isValid():
                    self.tree.setCurrentIndex(self.model.index(0, 0))
                return True
            if enter:
                current = self.tree.currentIndex()
                if not current.isValid() and self.search.text().strip():
                    current = self.model.first_tool()
                self.choose(current)
                return True
            if key == Qt.Key.Key_Escape and self.search.text():
                self.search.clear()
                return True
        elif watched is self.tree:
            if enter:
                self.choose(self.tree.currentIndex())
                return True
            at_top = self.tree.currentIndex() == self.model.index(0, 0)
            if key == Qt.Key.Key_Up and at_top:
                self.search.setFocus(Qt.FocusReason.OtherFocusReason)
                return True
        return False

    # -- menu ----------------------------------------------------------------------------

    def _menu(self, position: QPoint) -> None:
        entry = self.model.entry(self.tree.indexAt(position))
        if entry is not None:
            menu = self.menu_for(entry)
            viewport = self.tree.viewport()
            assert viewport is not None
            menu.popup(viewport.mapToGlobal(position))

    def menu_for(self, entry: ToolEntry) -> QMenu:
        """Return the context menu of a tool; others may add to it."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        starred = entry.key in self._favourites.starred
        menu_entry(menu, "Open", lambda: self.chosen.emit(entry.key))
        menu_entry(menu, "Remove star" if starred else "Star", lambda: self._star(entry.key))
        menu_entry(menu, "Show descriptor", lambda: open_path(entry.path))
        menu_entry(menu, "Open folder", lambda: open_path(entry.path.parent))
        return menu

    def _star(self, key: str) -> None:
        self._favourites.toggle_star(key)
        self.refresh()
