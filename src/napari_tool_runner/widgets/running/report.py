"""A failed job as text for somebody who may help, and as a notification of napari."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from napari_tool_runner.processes import system_name
from napari_tool_runner.widgets.parts.texts import copy_text, notice, open_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_tool_runner.jobs import Job
    from napari_tool_runner.widgets.parts.messages import Button

__all__ = ["job_buttons", "notify_failure"]

_TAIL = 40


def _report_text(job: Job) -> str:
    """Return what happened, with what, where, and the last lines of the log."""
    from napari_tool_runner import __version__

    tool = job.tool
    command = getattr(job.error, "argv", ()) or ()
    lines = [
        f"Tool: {tool.name} ({tool.id} {tool.version})",
        f"Descriptor: {tool.uri}",
        f"State: {job.state.value} after {job.elapsed:.1f} s",
        f"Reason: {job.error or '-'}",
        f"Runner: {job.runner} ({job.run.choice.reason})",
        f"Exit code: {getattr(job.error, 'exit_code', None)}",
        f"Command: {' '.join(command) or '-'}",
        f"Workspace: {job.workspace.root}",
        f"napari-tool-runner {__version__}, Python {sys.version.split()[0]}, {system_name()}",
        "",
        "Last lines of the log:",
        *job.log.tail(_TAIL),
    ]
    return "\n".join(lines) + "\n"


def job_buttons(job: Job, show_log: Callable[[Job], None]) -> list[Button]:
    """Return what can be looked at of a job: its log, its workspace, its report."""
    return [
        ("Show log", lambda: show_log(job)),
        ("Open workspace", lambda: open_path(job.workspace.root)),
        ("Copy report", lambda: copy_text(_report_text(job))),
    ]


def notify_failure(job: Job, text: str) -> None:
    """Show `text`, and buttons for the log, the workspace and the report of `job`."""
    from napari.utils.notifications import Notification, NotificationSeverity, notification_manager

    actions = (
        ("Log", lambda _: open_path(job.log_path)),
        ("Workspace", lambda _: open_path(job.workspace.root)),
        ("Copy report", lambda _: copy_text(_report_text(job))),
    )
    notification_manager.dispatch(Notification(notice(text), NotificationSeverity.ERROR, actions))
