"""Every tool as a command of napari: in the palette, the plugin's submenu, the Layers menus.

The manifest names the tools that ship; those of other toolboxes come at run time, when
something of the plugin is used first (npe2 calls `on_activate`), or when a start-up
script calls `show_tools`. They are added in small steps while the window is idle.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from napari_tool_runner.config import Config
from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.widgets.menu_plan import (
    GROUP,
    PLUGIN,
    PREFIX,
    Command,
    MenuPlan,
    plan_menus,
)
from napari_tool_runner.widgets.parts.background import keyboard
from napari_tool_runner.widgets.parts.texts import notify

if TYPE_CHECKING:
    from app_model import Application
    from napari import Viewer
    from npe2 import PluginContext
    from qtpy.QtCore import QTimer

    from napari_tool_runner.tools.toolbox.box import Toolbox
    from napari_tool_runner.widgets.parts.background import Task
    from napari_tool_runner.widgets.tool_widget import ToolWidget

__all__ = [
    "ToolCommands",
    "expect_tools",
    "hide_tools",
    "known_toolbox",
    "on_activate",
    "open_tool",
    "show_tools",
]

_log = logging.getLogger(__name__)

Dispose = Callable[[], None]
_Key = tuple[str, str]
"""``command``, ``submenus`` or ``entries``, and the id of the command or menu."""
_Content = tuple[tuple[str, str] | Command, ...]
"""A command, or of a menu: its submenus (id, title), or its commands."""
SLICE_SECONDS = 0.008
"""For so long the window may stand still while entries are added."""
_TICK_MS = 15
_AT_ONCE = 50
"""Commands of one step; the palette looks at all its commands after each."""


class ToolCommands:
    """The commands of the tools in one application (app-model).

    Parameters
    ----------
    app : Application
        napari's; its menus are shared by all windows.
    """

    def __init__(self, app: Application) -> None:
        self._app = app
        self._made: dict[_Key, tuple[_Content, list[Dispose]]] = {}
        self._steps: deque[Callable[[], None]] = deque()

    @property
    def ids(self) -> frozenset[str]:
        """Ids of the commands that were added."""
        return frozenset(id_ for kind, id_ in self._made if kind == "command")

    @property
    def pending(self) -> bool:
        """Whether there is something left to do."""
        return bool(self._steps)

    def follow(self, toolbox: Toolbox) -> None:
        """Plan what makes the entries those of `toolbox`: only what differs is touched."""
        self._steps.clear()
        static = frozenset(
            id_ for id_, _ in self._app.commands if id_.startswith(f"{PLUGIN}.{PREFIX}")
        )
        static -= self.ids
        plan = plan_menus(toolbox.entries, parent=self._parent(), static=static)
        self._steps.extend(self._plan(plan, static))

    def clear(self) -> None:
        """Take everything back."""
        self._steps.clear()
        self._remove(list(self._made))

    def work(self, seconds: float | None = None) -> bool:
        """Do what is planned, for about `seconds`; return whether something is left."""
        end = None if seconds is None else time.perf_counter() + seconds
        while self._steps:
            self._steps.popleft()()
            if end is not None and time.perf_counter() >= end:
                break
        return self.pending

    def _parent(self) -> str:
        """Return the menu of the plugin: napari makes one for plugins of several widgets."""
        own = f"napari/plugins/{PLUGIN}"
        return own if own in self._app.menus else "napari/plugins"

    def _plan(self, plan: MenuPlan, static: frozenset[str]) -> Iterator[Callable[[], None]]:
        wanted: dict[_Key, _Content] = {}
        for id_, command in plan.commands.items():
            if id_ not in static:
                wanted["command", id_] = (command,)
        for menu, inner in plan.submenus.items():
            wanted["submenus", menu] = inner
        for menu, ids in plan.entries.items():
            wanted["entries", menu] = tuple(plan.commands[id_] for id_ in ids)
        gone = [key for key, (made, _) in self._made.items() if wanted.get(key) != made]
        if gone:
            yield partial(self._remove, gone)
        old = set(gone)
        new = [key for key in wanted if key in old or key not in self._made]
        commands = [plan.commands[id_] for kind, id_ in new if kind == "command"]
        for start in range(0, len(commands), _AT_ONCE):
            yield partial(self._add_commands, commands[start : start + _AT_ONCE])
        # first the empty menus, from the top: filled before, all would be built in one go
        for key in new:
            if key[0] != "command":
                yield partial(self._add_menu, key, wanted[key])

    def _remove(self, keys: list[_Key]) -> None:
        # one message for all: who listens looks at every command each time
        with self._app.menus.menus_changed.paused(_united):
            for key in keys:
                for dispose in self._made.pop(key)[1]:
                    dispose()

    def _add_commands(self, commands: list[Command]) -> None:
        from app_model.types import CommandRule, MenuItem

        menus = self._app.menus
        with menus.menus_changed.paused(_united):
            for command in commands:
                id_, title = command.id, command.title
                item = MenuItem(command=CommandRule(id=id_, title=title))
                self._made["command", id_] = (
                    (command,),
                    [
                        self._app.commands.register_command(id_, trigger(command.key), title),
                        menus.append_menu_items([(menus.COMMAND_PALETTE_ID, item)]),
                    ],
                )

    def _add_menu(self, key: _Key, content: _Content) -> None:
        from app_model.types import CommandRule, MenuItem, SubmenuItem

        menu = key[1]
        own = menu.startswith(PLUGIN)
        items: list[tuple[str, MenuItem | SubmenuItem]] = []
        for entry in content:
            if isinstance(entry, Command):
                title = entry.name if own else entry.title
                rule = CommandRule(id=entry.id, title=_shown(title))
                items.append((menu, MenuItem(command=rule, group=GROUP)))
            else:
                inner, title = entry
                items.append((menu, SubmenuItem(submenu=inner, title=_shown(title), group=GROUP)))
        self._made[key] = (content, [self._app.menus.append_menu_items(items)])


def _united(first: tuple[set[str]], second: tuple[set[str]]) -> tuple[set[str]]:
    return (first[0] | second[0],)


def _shown(text: str) -> str:
    return text.replace("&", "&&")  # else Qt underlines the next letter


# -- the commands of this session -----------------------------------------------------------


class _Session:
    """What the windows of this program share."""

    def __init__(self) -> None:
        self.toolbox: Toolbox | None = None
        self.commands: ToolCommands | None = None
        self.timer: QTimer | None = None
        self.loading: Task | None = None
        self.wanted: Callable[[], object] | None = None


_session = _Session()


def on_activate(context: PluginContext) -> None:
    """Show the tools once something of the plugin is used; npe2 calls it."""
    from qtpy.QtCore import QCoreApplication, QTimer

    context.register_disposable(hide_tools)
    if QCoreApplication.instance() is not None:
        # after what is being opened, which may bring its toolbox along
        QTimer.singleShot(0, _show_first)


def _show_first() -> None:
    if _session.commands is None:
        show_tools()


def show_tools(toolbox: Toolbox | None = None) -> None:
    """Make the commands of napari those of `toolbox`, in small steps from now on.

    Call it again when the toolbox was refreshed: only what changed is touched. Without a
    napari window it does nothing.

    Parameters
    ----------
    toolbox : Toolbox, optional
        Default: that of the session, which is loaded in the background if need be.
    """
    from qtpy.QtCore import QCoreApplication, QTimer

    from napari_tool_runner.widgets.parts.background import Task

    app, qt = _napari(), QCoreApplication.instance()
    if app is None or qt is None:
        return
    if _session.commands is None:
        _session.commands = ToolCommands(app)
    if toolbox is not None:
        _session.toolbox = toolbox
    if _session.toolbox is not None:
        _session.commands.follow(_session.toolbox)
        wanted, _session.wanted = _session.wanted, None
        if wanted is not None:
            wanted()
    elif _session.loading is None:
        _session.loading = Task(_loaded, qt)
        _session.loading.done.connect(_take)
        _session.loading.start()
    if _session.timer is None:
        _session.timer = QTimer(qt)
        _session.timer.timeout.connect(_tick)
    _session.timer.start(_TICK_MS)


def expect_tools() -> None:
    """Leave the toolbox of the session to the caller, who is loading it for `show_tools`."""
    app = _napari()
    if app is not None and _session.commands is None:
        _session.commands = ToolCommands(app)


def known_toolbox() -> Toolbox | None:
    """Return the toolbox of the session, None as long as none was loaded."""
    return _session.toolbox


def hide_tools() -> None:
    """Take all commands away (npe2 calls it when the plugin is disabled)."""
    _session.wanted = None
    if _session.timer is not None:
        _session.timer.stop()
        _session.timer.deleteLater()
        _session.timer = None
    if _session.commands is not None:
        _session.commands.clear()
        _session.commands = None


def open_tool(key: str, viewer: Viewer | None = None) -> ToolWidget | None:
    """Open a tool in a dock of its own, or raise that dock; None as long as it is looked for.

    Parameters
    ----------
    key : str
        Key of the tool in the session's toolbox.
    viewer : Viewer, optional
        Default: the one whose window is in front.
    """
    import napari

    from napari_tool_runner.tools.toolbox.box import load_toolbox
    from napari_tool_runner.widgets.docks import open_tool_dock

    viewer = viewer or napari.current_viewer()
    if viewer is None:
        notify("A tool opens in a napari window, and there is none.", "error")
        return None
    toolbox = _session.toolbox or load_toolbox(Config(), look=False)
    if _session.toolbox is None and key not in toolbox:
        _session.wanted = partial(open_tool, key, viewer)  # as soon as it is known
        show_tools()
        return None
    _show_first()
    return open_tool_dock(key, toolbox, viewer)


def trigger(key: str) -> Callable[[], None]:
    """Return what a menu entry calls; without parameters, so nothing is injected."""

    def open_it() -> None:
        open_tool(key)

    return open_it


def __getattr__(name: str) -> Callable[[], None]:
    # the manifest's commands: napari looks their functions up by name
    if name.startswith(PREFIX):
        return trigger(name.removeprefix(PREFIX))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _napari() -> Application | None:
    try:
        from napari._app_model import get_app_model
    except ImportError:  # it has no public home; its name has been the same in all versions
        from app_model import Application

        return Application.get_app("napari")
    app: Application = get_app_model()
    return app


def _take(toolbox: Toolbox) -> None:
    _session.loading = None
    if _session.toolbox is None:
        show_tools(toolbox)


def _loaded() -> Toolbox:
    from napari_tool_runner.tools.toolbox.box import load_toolbox

    try:
        return load_toolbox().prepare()
    except ToolRunnerError as error:
        # the dock widget says it where it can be mended
        _log.warning("Only the bundled tools become commands: %s", error)
        return load_toolbox(Config()).prepare()


def _tick() -> None:
    commands, timer = _session.commands, _session.timer
    if commands is None or timer is None or keyboard().is_busy:
        return
    if not commands.work(SLICE_SECONDS) and _session.loading is None:
        timer.stop()
