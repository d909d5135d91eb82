"""What the dock has for authors: one menu, and that open forms follow a save."""

from __future__ import annotations

import os
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtWidgets import QDialog, QMenu, QWidget

from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.tools.isolation.looking import read_tool
from napari_tool_runner.widgets.authoring.watching import ToolboxWatcher
from napari_tool_runner.widgets.parts.background import Latest, Task
from napari_tool_runner.widgets.parts.docking import dock_of
from napari_tool_runner.widgets.parts.icons import MenuButton
from napari_tool_runner.widgets.parts.layouts import menu_entry
from napari_tool_runner.widgets.parts.texts import GET_MORE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari.components import ViewerModel
    from qtpy.QtCore import SignalInstance

    from napari_tool_runner.tools.model import Tool
    from napari_tool_runner.tools.toolbox.box import Toolbox
    from napari_tool_runner.widgets.authoring.new_tool import NewToolDialog
    from napari_tool_runner.widgets.authoring.problems import ProblemsPanel
    from napari_tool_runner.widgets.settings.more_tools import MoreToolsDialog
    from napari_tool_runner.widgets.tool_widget import ToolWidget

__all__ = ["Authors", "holding"]


class Authors(QObject):
    """Follows the files of the toolboxes; makes tools and shows problems.

    Parameters
    ----------
    panel : QWidget
        The dock of tools.
    toolbox : Toolbox
        Followed at first.
    """

    saved = Signal()
    """A file of a toolbox changed."""
    renewed = Signal(object)
    """Tools of open forms changed: carries a mapping of key -> `Tool`."""
    made = Signal(object)
    """A new tool is there; carries the `Tool`."""
    told = Signal(str, str)
    """Something worth saying, and its kind."""

    def __init__(self, viewer: ViewerModel, panel: QWidget, toolbox: Toolbox) -> None:
        super().__init__(panel)
        self._viewer, self._panel = viewer, panel
        self._toolbox = toolbox
        self._problems: ProblemsPanel | None = None
        self._watcher = ToolboxWatcher(self)
        self._watcher.changed.connect(self.saved)
        self._opened = Latest(self)
        self._opened.done.connect(self._looked)
        self.said = ""
        """What was told last."""
        self._unread = False
        self.button = MenuButton("plus", "More tools: get some, make one")
        self.menu = QMenu(panel)
        menu_entry(self.menu, GET_MORE, self.get_more)
        menu_entry(self.menu, "New tool…", self.new_tool)
        menu_entry(self.menu, "Problems of tools", self.show_problems)
        self.button.set_menu(self.menu)
        self.follow(toolbox)

    def follow(
        self, toolbox: Toolbox, pages: Mapping[str, ToolWidget] = MappingProxyType({})
    ) -> None:
        """Watch the files of `toolbox`; read the tools again that have a page."""
        self._toolbox = toolbox
        self._watcher.follow(toolbox)
        if self._problems is not None:
            self._problems.look(toolbox)
        tools: dict[str, Tool] = {}
        for key, page in pages.items():
            if key not in toolbox:
                tools[key] = page.tool
                continue
            if toolbox.folder_of(toolbox.entry(key)).bundled:
                continue
            page.trust.look()  # what beside the tool decides whether it may run
            if holders := holding(page):
                for ended in holders:
                    ended.connect(self._watcher.touch)  # which has the form looked at again
            else:
                tools[key] = page.tool
        if tools:
            self._opened.ask(partial(_read, toolbox, tools))

    def tell(self, text: str, kind: str = "info") -> None:
        """Say something of the forms that are open."""
        self.said = text
        self.told.emit(text, kind)

    def tell_followed(self, before: Tool, tool: Tool) -> None:
        """Say that the form of a tool is that of now, and why."""
        moved = before.path != tool.path
        what = f"lies in {tool.path.parent} now" if moved else "was saved"
        self.tell(f"“{tool.name}” {what}: its form follows.")

    def _looked(self, found: Mapping[str, Tool | str]) -> None:
        """Tell which tools are others now, and of which the form is that of before."""
        unread = [why for why in found.values() if isinstance(why, str)]
        if unread:
            self.tell(unread[0], "problem")
        elif self._unread:
            self.tell("")  # all can be read again
        self._unread = bool(unread)
        self.renewed.emit({key: one for key, one in found.items() if not isinstance(one, str)})

    def show_problems(self) -> ProblemsPanel:
        """Show what is wrong with the tools that somebody added, in a dock or a window."""
        from napari_tool_runner.widgets.authoring.problems import ProblemsPanel

        name = "Tool Problems"
        panel = dock_of(self._viewer, ProblemsPanel, name, ProblemsPanel, area="bottom")
        if panel is None:
            panel = self._problems or ProblemsPanel()
            panel.setWindowTitle(name)
            panel.show()
        if panel is not self._problems:
            self._problems = panel
            panel.destroyed.connect(self._forget)
        panel.look(self._toolbox)
        return panel

    def _forget(self) -> None:
        self._problems = None

    def get_more(self) -> MoreToolsDialog:
        """Ask from where more tools are to come."""
        from napari_tool_runner.widgets.settings.more_tools import MoreToolsDialog

        dialog = MoreToolsDialog(self._panel)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()
        return dialog

    def new_tool(self) -> NewToolDialog:
        """Ask what a new tool is to be made of."""
        from napari_tool_runner.widgets.authoring.new_tool import NewToolDialog

        dialog = NewToolDialog(self._panel)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.made.connect(self._open)
        dialog.open()
        return dialog

    def _open(self, path: object) -> None:
        task = Task(partial(read_tool, str(path)), self)
        task.done.connect(self.made)
        task.failed.connect(lambda error: self.told.emit(str(error), "problem"))
        task.start()


def holding(page: ToolWidget) -> list[SignalInstance]:
    """Return what tells that a page may be replaced: its job or an open dialog ended."""
    jobs = [page.job_finished] if page.active_jobs else []
    if page.admission.asking:
        jobs.append(page.admission.answered)
    return jobs + [one.finished for one in page.findChildren(QDialog) if one.isVisible()]


def _read(toolbox: Toolbox, opened: Mapping[str, Tool]) -> dict[str, Tool | str]:
    """Return the tools that are others now, and why those that keep their forms are not read."""
    found: dict[str, Tool | str] = {}
    told = {one.path: one.message for one in toolbox.problems}
    for key, before in opened.items():
        try:
            tool = toolbox[key]
        except KeyError:
            if before.path in told or _is_gone(before):  # else it was never of this toolbox
                found[key] = _unread(before, told.get(before.path, ""))
            continue
        except ToolRunnerError as error:
            found[key] = _unread(before, str(error))
            continue
        if _form(before) != _form(tool) or _is_gone(before):  # it lies in another place now
            found[key] = tool
    return found


def _is_gone(tool: Tool) -> bool:
    return not os.path.lexists(tool.path)


def _unread(tool: Tool, why: str) -> str:
    if _is_gone(tool):
        return f"“{tool.name}” is gone: put {tool.path} back, or open the tool where it is now."
    return f"“{tool.name}” cannot be read, its form is that of before: {why}"


def _form(tool: Tool) -> tuple[object, ...]:
    return tool.digest, tool.inputs, tool.outputs, tool.command, tool.notes, tool.requirements
