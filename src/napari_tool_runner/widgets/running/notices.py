"""A failure that no page can tell: a notification of napari, with buttons that help."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_tool_runner.widgets.parts.texts import copy_text, open_path

if TYPE_CHECKING:
    from napari_tool_runner.jobs import Job

__all__ = ["notify_failure"]


def notify_failure(job: Job, text: str) -> None:
    """Show `text`, and buttons for the log, the workspace and the report of `job`."""
    from napari.utils.notifications import (
        Notification,
        NotificationSeverity,
        notification_manager,
    )

    actions = (
        ("Log", lambda _: open_path(job.log_path)),
        ("Workspace", lambda _: open_path(job.workspace.root)),
        ("Copy report", lambda _: _copy_report(job)),
    )
    notification_manager.dispatch(Notification(text, NotificationSeverity.ERROR, actions))


def _copy_report(job: Job) -> None:
    from napari_tool_runner.widgets.running.report import report_text

    copy_text(report_text(job))
