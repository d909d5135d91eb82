"""The dialog "Get more tools": toolboxes by folder, zip or package; those added, and Remove."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_tool_runner.config import load_config
from napari_tool_runner.data_classes import dataclass, field
from napari_tool_runner.errors import JobCancelledError, ToolRunnerError
from napari_tool_runner.jobs import Getting, Offer
from napari_tool_runner.plugins import Package, Progress
from napari_tool_runner.quoting import one_line
from napari_tool_runner.widgets.parts.background import Latest, Task, to_the_end
from napari_tool_runner.widgets.parts.layouts import filled, plain_label, thin_line
from napari_tool_runner.widgets.parts.messages import MessageBar
from napari_tool_runner.widgets.parts.texts import GET_MORE, tooltip
from napari_tool_runner.widgets.settings.added_list import AddedList
from napari_tool_runner.widgets.settings.config_hub import config_hub

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_tool_runner.plugins import Event
    from napari_tool_runner.tools.toolbox.added import AddedToolbox
    from napari_tool_runner.widgets.parts.messages import Button

__all__ = ["MoreToolsDialog"]

_BEAT = 100  # milliseconds
_ASK = (
    "Name a package of PyPI that carries tools, or choose a folder (or git checkout) or a zip. "
    "Nothing of it runs before you approve it."
)


@dataclass(slots=True)
class _Work:
    """What is being looked for or fetched, as its thread tells it."""

    progress: Progress = field(default_factory=lambda: Progress("Looking"))

    def hear(self, event: Event) -> None:
        if isinstance(event, Progress):
            self.progress = event


class MoreToolsDialog(QDialog):
    """Finds a toolbox, shows what it holds, adds it, and asks whether it may run."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(GET_MORE.rstrip("…"))
        self._getting: Getting | None = None
        self._offer: Offer | None = None
        self._work = _Work()
        self._busy = False
        self.what = QLineEdit()
        self.what.setPlaceholderText("name of a package, or a path")
        self.what.setClearButtonEnabled(True)
        self.what.setAccessibleName("A package, a folder or a zip")
        self.look_button = QPushButton("Look")
        self.look_button.setToolTip("See what it holds; nothing is added")
        self.folder_button = QPushButton("Folder…")
        self.zip_button = QPushButton("Zip…")
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setRange(0, 0)  # nothing here tells how far it is
        self.phase = plain_label(shrinks=True)
        self.cancel_button = QPushButton("Cancel")
        self.working = QWidget()
        row = (self.phase, 1), (self.progress, 1), self.cancel_button
        filled(QHBoxLayout(self.working), *row)
        self.facts = plain_label(wrap=True, shrinks=True)
        self.tools = QListWidget()
        self.tools.setAccessibleName("Tools in it")
        self.name = QLineEdit()
        self.name.setAccessibleName("Name of the toolbox")
        self.name_row = QWidget()
        filled(QHBoxLayout(self.name_row), plain_label("Add it as"), (self.name, 1))
        self.message = MessageBar(lines=4)
        self.offered = QWidget()
        filled(QVBoxLayout(self.offered), self.facts, (self.tools, 1), self.name_row)
        self.added = AddedList(self.message)
        self._fill()
        self._timer = QTimer(self)
        self._timer.setInterval(_BEAT)
        self._timer.timeout.connect(self._show_progress)
        self._judged = Latest(self)
        self._judged.done.connect(self._ask)
        self._connect()
        self._end()
        self.resize(560, 420)

    def _fill(self) -> None:
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout = filled(
            QVBoxLayout(self),
            plain_label(_ASK, wrap=True, shrinks=True),
            filled(
                QHBoxLayout(),
                (self.what, 1), self.folder_button, self.zip_button, self.look_button,
            ),
            self.working, (self.offered, 2), self.message, thin_line(), (self.added, 1), buttons,
            margins=(9, 9, 9, 9),
            spacing=6,
        )  # fmt: skip
        layout.insertStretch(layout.count() - 1)  # what room is left where no list is shown

    def _connect(self) -> None:
        self.look_button.clicked.connect(self.look)
        self.folder_button.clicked.connect(self._ask_folder)
        self.zip_button.clicked.connect(self._ask_zip)
        self.cancel_button.clicked.connect(self.cancel)
        self.name.textEdited.connect(self._judge)
        self.what.textChanged.connect(self._typed)
        self.added.changed.connect(self._tell)
        self.added.newer_wanted.connect(self._take)
        self.added.kept.connect(self._judge)
        for button in self.findChildren(QPushButton):
            button.setAutoDefault(False)
        self.look_button.setDefault(True)

    # -- looking -------------------------------------------------------------------------------

    def look(self) -> None:
        """Find what is named, and show what it holds."""
        what = self.what.text().strip()
        if not what or self._busy:
            return
        self._drop()
        self._work = _Work()
        try:
            self._getting = Getting(what, load_config(), self._work.hear)
        except ToolRunnerError as error:
            self._failed(error)
            return
        self._begin("Looking")
        self._run(self._getting, self._getting.find)

    def cancel(self) -> None:
        """End what is going on; nothing of it is kept."""
        if self._getting is not None:
            self._getting.cancel.cancel()
            self.phase.setText("Cancelling…")
            self.cancel_button.setEnabled(False)
            self._timer.stop()

    def reject(self) -> None:
        """Close; what is being fetched is not."""
        self.cancel()
        self._drop()
        super().reject()

    def _run(self, getting: Getting, work: Callable[[], Offer | Package]) -> None:
        def done(found: Offer | Package) -> None:
            self._end()
            if isinstance(found, Package):
                self._ask_download(getting, found)
            else:
                self._show(found)

        task = Task(work, self)
        task.done.connect(done)
        task.failed.connect(self._failed)
        task.start()

    def _ask_download(self, getting: Getting, package: Package) -> None:
        self.message.say(
            f"{package.text}. Download it, to see what it holds?",
            "info",
            [("Download", partial(self._download, getting, package)), ("Not now", self._drop)],
        )

    def _download(self, getting: Getting, package: Package) -> None:
        self._getting = getting  # which tells its progress to the same work
        self._begin(f"Downloading {package.name}")
        self._run(getting, partial(getting.fetch, package))

    def _show(self, offer: Offer) -> None:
        """Show what could be added."""
        self._offer = offer
        self.facts.setText("\n".join([one_line(offer.about.text), *offer.lines()]))
        self.tools.clear()
        for entry in offer.entries:
            item = QListWidgetItem(one_line(entry.name))
            item.setToolTip(tooltip(one_line(entry.description)))
            self.tools.addItem(item)
        self.name.setText(offer.name)
        self.name_row.setVisible(offer.draft is not None)
        self.offered.show()
        self._grow()
        self._judge()

    def _judge(self) -> None:
        """Look whether it would take the place of another."""
        if self._offer is not None:
            self._judged.ask(partial(_clash, self._offer, self.name.text().strip()))

    def _ask(self, found: tuple[str, str]) -> None:
        name, clash = found
        if self._offer is None:
            return
        text = f"{clash} Replace it?" if clash else "Add it to your toolboxes?"
        act = "Replace" if clash else "Add"
        buttons: list[Button] = [(act, partial(self.add, name)), ("Not now", self._drop)]
        self.message.say(text, "problem" if clash else "info", buttons)

    def add(self, name: str) -> None:
        """Add what is shown under a name, of which was told whose place it takes."""
        if name != self.name.text().strip():
            self._judge()
            return
        offer, self._offer = self._offer, None  # also where the dialog is closed meanwhile
        if offer is None:
            return
        self._begin("Adding it")
        self.cancel_button.setEnabled(False)  # a moment, which is not broken off
        task = Task(partial(_add, offer, name), self)
        task.done.connect(self._added)
        task.failed.connect(self._failed)
        task.start()

    def _added(self, toolbox: AddedToolbox) -> None:
        self._end()
        self.what.clear()
        self.message.say(f"“{toolbox.name}” is added.", "done")
        self._tell()
        self.added.ask_trust(toolbox)

    def _failed(self, error: ToolRunnerError) -> None:
        self._end()
        if isinstance(error, JobCancelledError):
            self.message.say("Cancelled; nothing was added.", "info")
        else:
            self.message.say(str(error), "failed")

    def _begin(self, phase: str) -> None:
        self._busy = True
        self.message.say("")
        self._work.progress = Progress(phase)
        self.cancel_button.setEnabled(True)
        self.working.show()
        self._show_progress()
        self._timer.start()
        self._typed()

    def _end(self) -> None:
        self._timer.stop()
        self._busy, self._getting = False, None
        self.working.hide()
        self.offered.setVisible(self._offer is not None)
        self._typed()

    def _drop(self) -> None:
        """Let go what was found."""
        offer, self._offer = self._offer, None
        self.message.say("")
        self.offered.hide()
        if offer is not None:
            to_the_end(offer.drop, "an offer")

    def _show_progress(self) -> None:
        self.phase.setText(f"{self._work.progress.phase}…")

    def _typed(self) -> None:
        free = not self._busy
        self.look_button.setEnabled(free and bool(self.what.text().strip()))
        for one in (self.folder_button, self.zip_button, self.what, self.added):
            one.setEnabled(free)

    def _ask_folder(self) -> None:
        self._take(QFileDialog.getExistingDirectory(self, "A folder with tools"))

    def _ask_zip(self) -> None:
        self._take(QFileDialog.getOpenFileName(self, "A zip with tools", "", "Zip (*.zip)")[0])

    def _take(self, path: str) -> None:
        if path:
            self.what.setText(path)
            self.look()

    def _grow(self) -> None:
        layout = self.layout()
        assert layout is not None
        layout.activate()
        self.resize(self.width(), max(self.height(), layout.totalSizeHint().height()))

    def _tell(self) -> None:
        config_hub().tell()
        self.added.look()


def _add(offer: Offer, name: str) -> AddedToolbox:
    try:
        return offer.add(name)
    finally:
        offer.drop()


def _clash(offer: Offer, name: str) -> tuple[str, str]:
    """Return a name, and in words whose place it would take; nothing where it is free."""
    before = offer.before(name)
    if before is None:
        return name, ""
    was = one_line(before.about.text)
    return name, f"“{before.name}” is there already ({was}). {offer.difference(before)}"
