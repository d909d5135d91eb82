"""A failure while no page is to be seen: told by napari, with buttons that work."""

from __future__ import annotations

import pytest
from qtpy.QtWidgets import QApplication, QPushButton
from run_tools import fail_tool

from napari_tool_runner.jobs import JobManager
from napari_tool_runner.widgets.running import report
from napari_tool_runner.widgets.tool_widget import ToolWidget

pytestmark = pytest.mark.viewer


def test_a_failure_out_of_sight_is_told_with_buttons(
    qtbot, make_napari_viewer, tmp_path, monkeypatch
):
    from napari._qt.dialogs.qt_notification import NapariQtNotification
    from napari.utils.notifications import notification_manager

    viewer = make_napari_viewer(show=True)
    manager = JobManager()
    page = ToolWidget(fail_tool(tmp_path), viewer, manager=manager)
    dock = viewer.window.add_dock_widget(page, name="Failer")
    before = len(notification_manager.records)
    with qtbot.waitSignal(page.job_finished, timeout=30_000):
        job = page.run()
        dock.hide()
    qtbot.waitUntil(lambda: len(notification_manager.records) > before, timeout=30_000)
    notification = notification_manager.records[-1]
    assert job.tool.name in notification.message
    opened: list[object] = []
    monkeypatch.setattr(report, "open_path", opened.append)
    shown = NapariQtNotification.from_notification(notification)
    qtbot.addWidget(shown)
    buttons = {button.text(): button for button in shown.findChildren(QPushButton)}
    buttons["Log"].click()
    buttons["Workspace"].click()
    buttons["Copy report"].click()
    assert opened == [job.log_path, job.workspace.root]
    assert job.tool.name in QApplication.clipboard().text()
    manager.shutdown()
