"""The one dock widget: find a tool, fill its form, run it."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QKeySequence, QShortcut, QShowEvent
from qtpy.QtWidgets import QSizePolicy, QStackedWidget, QVBoxLayout, QWidget

from napari_tool_runner.config import Config
from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.proxies import bare
from napari_tool_runner.widgets.authoring.authors import Authors, holding
from napari_tool_runner.widgets.commands import expect_tools, known_toolbox, show_tools
from napari_tool_runner.widgets.docks import why_no_tool
from napari_tool_runner.widgets.finding.favourites import Favourites
from napari_tool_runner.widgets.finding.finder import ToolFinder
from napari_tool_runner.widgets.finding.samples import Welcome, add_sample, sample_button
from napari_tool_runner.widgets.forms.layer_source import LayerSource
from napari_tool_runner.widgets.forms.presets import PresetStore
from napari_tool_runner.widgets.history.made_by import MadeByBar
from napari_tool_runner.widgets.opening import import_ahead, read_toolboxes
from napari_tool_runner.widgets.parts.background import Task, soon
from napari_tool_runner.widgets.parts.docking import column_in_sight, dock_of
from napari_tool_runner.widgets.parts.icons import IconButton
from napari_tool_runner.widgets.parts.layouts import filled
from napari_tool_runner.widgets.parts.messages import MessageLabel
from napari_tool_runner.widgets.results.scene import Fitting
from napari_tool_runner.widgets.settings.config_hub import config_hub
from napari_tool_runner.widgets.settings.preferences import connect_preferences

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari.components import ViewerModel

    from napari_tool_runner.jobs import JobManager
    from napari_tool_runner.tools.model import Tool
    from napari_tool_runner.tools.toolbox.box import Toolbox
    from napari_tool_runner.widgets.history.panel import HistoryPanel
    from napari_tool_runner.widgets.opening import ReadToolboxes
    from napari_tool_runner.widgets.settings.settings_dialog import SettingsDialog
    from napari_tool_runner.widgets.tool_widget import ToolWidget

__all__ = ["ToolRunnerWidget", "history_dock", "open_in_dock", "runner_dock", "show_panel"]

_KEPT_PAGES = 6
_SPACING = 4


class ToolRunnerWidget(QWidget):
    """Find and run tools.

    Parameters
    ----------
    napari_viewer : napari.Viewer or ViewerModel
    toolbox : Toolbox, optional
        Default: the bundled tools and those of the configuration.
    manager : JobManager, optional
        Default: the session's; jobs outlive this widget.
    """

    tool_opened = Signal(object)
    """A tool's page is shown; carries the `ToolWidget`."""

    def __init__(
        self,
        napari_viewer: ViewerModel,
        parent: QWidget | None = None,
        *,
        toolbox: Toolbox | None = None,
        manager: JobManager | None = None,
        favourites: Favourites | None = None,
        presets: PresetStore | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer = napari_viewer = bare(napari_viewer)
        self._presets = presets if presets is not None else PresetStore()
        self.favourites = favourites if favourites is not None else Favourites()
        self._pages: OrderedDict[str, ToolWidget] = OrderedDict()
        # napari gives half of the height to nothing when a docked widget does not ask for it
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self.message = MessageLabel(lines=4)
        self.stack = QStackedWidget()
        self.made_by = MadeByBar(napari_viewer, self.show_history, self.show_tool)
        parts = self.message, (self.stack, 1), self.made_by
        column_in_sight(self, *parts, margins=(0, _SPACING, 0, 0), spacing=_SPACING)
        self._manager, self._session_toolbox = manager, toolbox is None
        self._wanted = ""
        self._fill: Callable[[ToolWidget], object] | None = None
        self._loading: Task | None = None
        self.toolbox = toolbox if toolbox is not None else self._first_toolbox()
        self.finder = ToolFinder(self.toolbox, self.favourites)
        self.finder.chosen.connect(self.open_tool)
        self.sample_button = sample_button(self, self.open_sample)
        self.finder.buttons.addWidget(self.sample_button)
        self.authors = Authors(napari_viewer, self, self.toolbox)
        self._follow(self.authors)
        self.reload_button = self._add_button(
            "reset", "Look for new and changed tools", self.reload
        )
        self._add_button("clock", "Jobs of this and earlier sessions", self.show_history)
        self.settings_button = self._add_button(
            "settings", "Settings: toolboxes, runner, limits", self.show_settings
        )
        config_hub().changed.connect(self._config_changed)
        connect_preferences()
        self.welcome = Welcome(self.open_sample)
        self.home = QWidget()
        page = filled(QVBoxLayout(self.home), margins=(6, 0, 6, 4), spacing=4)
        page.addWidget(self.finder, 1)
        page.addWidget(self.welcome)
        self.stack.addWidget(self.home)
        self.setFocusProxy(self.finder.search)
        self.layer_source = LayerSource(napari_viewer, self)
        self.layer_source.changed.connect(self._layers_changed)
        self.destroyed.connect(self.layer_source.disconnect_layers)
        self._layers_changed()
        Fitting(napari_viewer, self).when_shown(self)
        self._opened = soon(self._begin_search, 0, self)
        find = QShortcut(QKeySequence(QKeySequence.StandardKey.Find), self)
        find.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        find.activated.connect(self.show_finder)

    def _follow(self, authors: Authors) -> None:
        authors.saved.connect(self.reload)
        authors.renewed.connect(self._renew)
        authors.made.connect(self.show_tool)
        authors.told.connect(self.message.say)
        self.finder.problems_asked.connect(authors.show_problems)
        self.finder.toolboxes_asked.connect(authors.get_more)
        self.finder.buttons.addWidget(authors.button)

    def _add_button(self, icon: str, text: str, slot: Callable[[], object]) -> IconButton:
        button = IconButton(icon, text)
        button.clicked.connect(slot)
        self.finder.buttons.addWidget(button)
        return button

    def showEvent(self, event: QShowEvent | None) -> None:
        """Let typing search at once, when the panel is opened or raised."""
        super().showEvent(event)
        if event is not None and not event.spontaneous():
            self._opened.start()  # napari gives the keyboard to its canvas after docking

    def _begin_search(self) -> None:
        if self.stack.currentWidget() is self.home:
            self.finder.search.setFocus(Qt.FocusReason.OtherFocusReason)

    # -- pages ---------------------------------------------------------------------------

    def open_tool(
        self, key: str, *, fill: Callable[[ToolWidget], object] | None = None
    ) -> ToolWidget | None:
        """Show the page of the tool called `key`, filled in by `fill`.

        None (and a sentence) if it cannot be read, or as long as it is: toolboxes, and a
        descriptor that was never read, are read in the background; then it is shown.
        """
        self._wanted, self._fill = "", fill
        if self._loading is not None and key not in self.toolbox:
            self._wanted = key
            self.message.say("Reading the toolboxes…")
            return None
        try:
            if not self.toolbox.is_quick(key):
                self._read_first(key)
                return None
            tool = self.toolbox[key]
        except (KeyError, ToolRunnerError) as error:
            self.message.say(why_no_tool(key, error), "problem")
            return None
        self.favourites.used(key)
        page = self._show_page(key, tool)
        if fill is not None:
            fill(page)
        return page

    def _read_first(self, key: str) -> None:
        def done(_: object) -> None:
            if self._wanted == key:
                self.open_tool(key, fill=self._fill)

        def failed(error: ToolRunnerError) -> None:
            if self._wanted == key:
                self._wanted = ""
                self.message.say(why_no_tool(key, error), "problem")

        self._wanted = key
        self.message.say(f"Reading “{self.toolbox.entry(key).name}”…")
        task = Task(partial(self.toolbox.__getitem__, key), self)
        task.done.connect(done)
        task.failed.connect(failed)
        task.start()

    def show_tool(self, tool: Tool) -> ToolWidget | None:
        """Show the page of `tool`, which need not be in the toolbox."""
        key = self.toolbox.entry(tool.uri).key if tool.uri in self.toolbox else tool.uri
        if key in self.toolbox and self.toolbox.is_quick(key):
            return self.open_tool(key)
        self._wanted = ""  # who shows it fills its page in: that does not wait
        return self._show_page(key, tool)

    def _show_page(self, key: str, tool: Tool) -> ToolWidget:
        from napari_tool_runner.widgets.tool_widget import ToolWidget

        page = self._pages.get(key)
        self.message.say("")
        values: dict[str, object] = {}
        if page is not None and page.tool is not tool and not page.is_busy:
            values = page.form.values()
            self._drop(key)
            page = None
        if page is not None:
            page.service_lookup.refresh()  # another tool may have made what both need
        else:
            page = ToolWidget(
                tool,
                self._viewer,
                manager=self._manager,
                presets=self._presets,
                toolbox=self.toolbox,
                open_sample=self.open_sample,
                open_tool=self.open_tool,
            )
            page.header.back_button.show()
            page.header.back.connect(self.show_finder)
            self._pages[key] = page
            self.stack.addWidget(page)
            if values:  # what was typed stays where its parameter still is
                page.set_values(values)
            self._forget_old()
        self._pages.move_to_end(key)
        self.stack.setCurrentWidget(page)
        page.form.focus_first()
        self.tool_opened.emit(page)
        return page

    def _renew(self, tools: Mapping[str, Tool]) -> None:
        """Show forms anew whose descriptors changed; the page that is seen stays seen."""
        seen, shown = self.stack.currentWidget(), self.page
        for key, tool in tools.items():
            page = self._pages.get(key)
            if page is None or holding(page):
                continue
            made = self._show_page(key, tool)
            seen = made if page is shown else seen
            self.authors.tell_followed(page.tool, tool)
        if seen is not None and seen is not self.stack.currentWidget():
            self.stack.setCurrentWidget(seen)

    @property
    def page(self) -> ToolWidget | None:
        """The page that is shown, None while the finder is."""
        current = self.stack.currentWidget()
        return next((page for page in self._pages.values() if page is current), None)

    def show_finder(self) -> None:
        """Go back to the search, with the text marked, so that typing starts anew."""
        if self.message.text() == self.authors.said:
            self.message.say("")  # it was of a form
        self.finder.badges.forget(self.toolbox)
        self.finder.refresh()
        self.stack.setCurrentWidget(self.home)
        self.finder.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.finder.search.selectAll()

    def show_settings(self) -> SettingsDialog:
        """Open the settings."""
        from napari_tool_runner.widgets.settings.settings_dialog import SettingsDialog

        dialog = SettingsDialog(self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()
        return dialog

    def _config_changed(self) -> None:
        """Follow config.json: other toolboxes, another runner."""
        if not self._session_toolbox:
            return
        self.message.say("")
        self._load_toolbox()
        for page in self._pages.values():
            page.service_lookup.start()

    def show_history(self) -> HistoryPanel | None:
        """Open the dock with all jobs; None (and a sentence) without a window."""
        panel = history_dock(self._viewer)
        if panel is None:
            self.message.say("There is no window to show the jobs in.", "problem")
        return panel

    def reload(self) -> None:
        """Look at the toolboxes again."""
        if self._session_toolbox:
            self._load_toolbox()
            return
        self.toolbox.refresh()
        self.finder.refresh()
        self.authors.follow(self.toolbox, self._pages)

    def _forget_old(self) -> None:
        """Keep the last few pages; one with a running job stays."""
        for key in list(self._pages)[:-1]:
            if len(self._pages) <= _KEPT_PAGES:
                return
            if not self._pages[key].is_busy:
                self._drop(key)

    def _drop(self, key: str) -> None:
        page = self._pages.pop(key)
        page.layer_source.disconnect_layers()
        self.stack.removeWidget(page)
        page.deleteLater()

    def _layers_changed(self) -> None:
        self.welcome.setVisible(len(self._viewer.layers) == 0)

    # -- toolbox and samples ---------------------------------------------------------------

    def _first_toolbox(self) -> Toolbox:
        """Return what is known already; all is read in the background."""
        from napari_tool_runner.tools.toolbox.box import load_toolbox

        if hasattr(self._viewer, "window"):
            expect_tools()
        self._load_toolbox()
        return known_toolbox() or load_toolbox(Config(), look=False)

    def _load_toolbox(self) -> None:
        if self._loading is not None:
            self._loading.drop()
        self._loading = Task(read_toolboxes, self)
        self._loading.done.connect(self._take)
        self._loading.start()

    def _take(self, read: ReadToolboxes) -> None:
        self._loading = None
        if read.said or self._wanted:
            self.message.say(read.said, read.kind)
        self.toolbox = read.toolbox
        self.finder.set_toolbox(read.toolbox)
        self.authors.follow(read.toolbox, self._pages)
        # the commands of napari's window follow the toolbox of the session
        if hasattr(self._viewer, "window"):
            show_tools(read.toolbox)
        if self._wanted:
            self.open_tool(self._wanted, fill=self._fill)
        import_ahead(self)

    def open_sample(self, key: str = "") -> None:
        """Add the layers of a sample to the viewer, as a rule the first."""
        add_sample(self._viewer, key)

    def sizeHint(self) -> QSize:
        """Return a modest size; the dock decides."""
        return QSize(340, 600)

    def minimumSizeHint(self) -> QSize:
        """Return room for what never scrolls, also beside other docks."""
        page = self.page
        if page is None:
            return QSize(280, 200)
        around = [self.made_by, *([] if self.message.isHidden() else [self.message])]
        rest = sum(part.minimumSizeHint().height() + _SPACING for part in around)
        return QSize(280, page.minimumSizeHint().height() + rest)


def runner_dock(viewer: ViewerModel) -> ToolRunnerWidget | None:
    """Return the dock "Tool Runner" of the viewer's window; None without a window."""
    return dock_of(viewer, ToolRunnerWidget, "Tool Runner", lambda: ToolRunnerWidget(viewer))


def show_panel() -> None:
    """Show the search of the dock "Tool Runner" of the window in front, ready for typing."""
    from napari import current_viewer

    viewer = current_viewer()
    dock = runner_dock(viewer) if viewer is not None else None
    if dock is not None:
        dock.show_finder()


def history_dock(viewer: ViewerModel) -> HistoryPanel | None:
    """Return the dock "Tool History" of the viewer's window; None without a window."""
    from napari_tool_runner.widgets.history.panel import HistoryPanel

    opened = partial(open_in_dock, viewer)
    return dock_of(
        viewer, HistoryPanel, "Tool History", lambda: HistoryPanel(viewer, open_tool=opened)
    )


def open_in_dock(viewer: ViewerModel, tool: Tool) -> ToolWidget | None:
    """Show the page of `tool` in the dock "Tool Runner"; None without a window."""
    dock = runner_dock(viewer)
    return dock.show_tool(tool) if dock is not None else None
