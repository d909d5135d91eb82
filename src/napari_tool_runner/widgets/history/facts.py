"""How a job was made, or how two differ: a table of facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from qtpy.QtCore import QModelIndex, QRect, QSize, Qt
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import (
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTreeWidget,
    QTreeWidgetItem,
    QWidget,
)

from napari_tool_runner.jobs.past.comparing import compare_runs
from napari_tool_runner.jobs.past.scan import state_word
from napari_tool_runner.widgets.history.model import when_text
from napari_tool_runner.widgets.parts.texts import copy_text, tooltip

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari_tool_runner.jobs import HistoryEntry

__all__ = ["FactsView", "facts_of"]

_MOST_LINES = 6
Fact = tuple[str, str, str]
"""Section, name, value."""


def facts_of(entry: HistoryEntry) -> list[Fact]:
    """Return what the record says about how its results were made."""
    record = entry.record
    tool, runner, host = (_part(record, key) for key in ("tool", "runner", "host"))
    facts: list[Fact] = [
        ("Run", "State", state_word(entry.state)),
        ("Run", "Message", entry.message),
        ("Run", "Hint", str(_part(record, "error").get("hint") or "")),
    ]
    facts += [("Data", str(one["name"]), str(one["label"])) for one in _list(record, "inputs")]
    facts += [
        ("Parameters", name, "not set" if value is None else str(value))
        for name, value in entry.parameters.items()
    ]
    facts += [
        (
            "Results",
            "/".join(str(one[k]) for k in ("name", "element") if one.get(k)),
            f"{one.get('layer_name')} ({one.get('layer_type')})",
        )
        for one in _list(record, "outputs")
    ]
    notes = record.get("notes")
    facts += [("Notes", "", str(note)) for note in (notes if isinstance(notes, list) else [])]
    created = entry.created
    facts += [
        ("Tool", "Name", entry.tool_name),
        ("Tool", "Version", str(tool.get("version") or "")),
        ("Tool", "Descriptor", str(tool.get("descriptor") or "")),
        ("Where", "Ran on", f"{runner.get('service')} ({runner.get('reason')})"),
    ]
    facts += [
        ("Where", name.replace("_", " "), str(value))
        for name, value in runner.items()
        if name not in ("service", "reason") and isinstance(value, str | int | float)
    ]
    words = _part(record, "command").get("argv")
    facts += [
        ("Where", "Started", f"{created.astimezone():%Y-%m-%d %H:%M:%S}" if created else ""),
        ("Where", "Took", f"{entry.seconds:.2f} s"),
        ("Where", "Computer", str(host.get("name") or "")),
        ("Where", "Command", " ".join(map(str, words)) if isinstance(words, list) else ""),
        ("Where", "Folder", str(entry.folder)),
    ]
    return [fact for fact in facts if fact[2]]


class _Wrapping(QStyledItemDelegate):
    """Gives long values as many lines as they need, up to a few."""

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:
        """Return the size of a value in its column."""
        size = super().sizeHint(option, index)
        view = self.parent()
        if index.column() == 0 or not isinstance(view, FactsView):
            return size
        room = QRect(0, 0, max(40, view.columnWidth(index.column()) - 8), 10_000)
        flags = int(Qt.AlignmentFlag.AlignLeft | Qt.TextFlag.TextWordWrap)
        wanted = option.fontMetrics.boundingRect(room, flags, str(index.data() or "")).height()
        most = _MOST_LINES * option.fontMetrics.lineSpacing()
        return QSize(size.width(), max(size.height(), min(wanted, most) + 2))


class FactsView(QTreeWidget):
    """Sections of facts; long values are in the tooltip, Ctrl+C copies what is selected."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setRootIsDecorated(False)
        self.setIndentation(8)
        self.setWordWrap(True)
        self.setItemDelegate(_Wrapping(self))
        self.setSelectionMode(QTreeWidget.SelectionMode.ExtendedSelection)
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName("How it was made")
        header = self.header()
        assert header is not None
        header.sectionResized.connect(lambda *_: self.scheduleDelayedItemsLayout())
        copy = QShortcut(QKeySequence(QKeySequence.StandardKey.Copy), self)
        copy.setContext(Qt.ShortcutContext.WidgetShortcut)
        copy.activated.connect(self.copy)

    def show_entry(self, entry: HistoryEntry) -> None:
        """Show how `entry` was made."""
        self._columns(["", ""], hidden=True)
        self._fill((section, [name, value]) for section, name, value in facts_of(entry))

    def show_pair(self, first: HistoryEntry, second: HistoryEntry) -> int:
        """Show what differs between two jobs; returns how many facts do."""
        found = compare_runs(first, second)
        titles = [f"{one.tool_name}\n{when_text(one.created)}" for one in (first, second)]
        self._columns(["", *titles], hidden=False)
        self._fill((one.section, [one.what, one.first, one.second]) for one in found)
        return len(found)

    def facts(self) -> list[list[str]]:
        """Return the rows that are shown, without the sections' titles."""
        found: list[list[str]] = []
        for place in range(self.topLevelItemCount()):
            section = self.topLevelItem(place)
            assert section is not None
            for number in range(section.childCount()):
                child = section.child(number)
                assert child is not None
                found.append([child.text(column) for column in range(self.columnCount())])
        return found

    def copy(self) -> None:
        """Copy the selected facts, separated by tabs."""
        lines = [
            "\t".join(item.text(column) for column in range(self.columnCount()))
            for item in self.selectedItems()
        ]
        if lines:
            copy_text("\n".join(lines))

    def _columns(self, titles: Sequence[str], *, hidden: bool) -> None:
        self.clear()
        self.setColumnCount(len(titles))
        self.setHeaderLabels(list(titles))
        self.setHeaderHidden(hidden)
        header = self.header()
        assert header is not None
        header.setMinimumSectionSize(50)
        header.setStretchLastSection(True)
        for column in range(1, len(titles)):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Interactive)
        self.setColumnWidth(0, self.fontMetrics().averageCharWidth() * 14)

    def _fill(self, rows: Iterable[tuple[str, list[str]]]) -> None:
        sections: dict[str, QTreeWidgetItem] = {}
        for title, texts in rows:
            section = sections.get(title)
            if section is None:
                section = sections[title] = QTreeWidgetItem(self, [title])
                font = section.font(0)
                font.setBold(True)
                section.setFont(0, font)
                section.setFlags(Qt.ItemFlag.ItemIsEnabled)
                section.setFirstColumnSpanned(True)
            item = QTreeWidgetItem(section, [" ".join(text.split()) for text in texts])
            for column, text in enumerate(texts):
                item.setTextAlignment(column, Qt.AlignmentFlag.AlignTop)
                item.setToolTip(column, tooltip(text))
            section.setExpanded(True)


def _part(record: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = record.get(key)
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}


def _list(record: Mapping[str, object], key: str) -> list[Mapping[str, object]]:
    value = record.get(key)
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
