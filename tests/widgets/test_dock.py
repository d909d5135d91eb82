"""The dock: pages, samples, trust, tools that change or go away."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from qtpy.QtCore import QCoreApplication, QEvent, QObject, QPoint, Qt
from qtpy.QtWidgets import QApplication, QWidget
from run_tools import invert_tool, make_tool, measure_tool, sleep_tool
from widget_tools import begun, opened

from napari_tool_runner.jobs import JobState
from napari_tool_runner.tools.toolbox.approvals import unapproved_copies
from napari_tool_runner.tools.toolbox.box import Toolbox, ToolboxFolder
from napari_tool_runner.tools.toolbox.trust import TrustState, approve, trust_state
from napari_tool_runner.widgets import dock as dock_module
from napari_tool_runner.widgets.dock import ToolRunnerWidget
from napari_tool_runner.widgets.parts.background import Bell, bell
from napari_tool_runner.widgets.running import job_bridge
from napari_tool_runner.widgets.running.job_bridge import ActivityMirror, JobBridge
from napari_tool_runner.widgets.settings.trust import TrustDialog

WAIT = 30_000


@pytest.fixture
def box(tmp_path):
    """A toolbox of two tools, not approved yet, which were read before."""
    invert_tool(tmp_path / "box")
    measure_tool(tmp_path / "box")
    found = Toolbox([ToolboxFolder("mine", tmp_path / "box")], cache_dir=tmp_path / "cache")
    assert len([*found.values()]) == 2
    return found


@pytest.fixture
def dock(shown, model_viewer, manager, box):
    return shown(ToolRunnerWidget(model_viewer, toolbox=box, manager=manager))


def test_a_newcomer_is_offered_a_sample(qtbot, dock, model_viewer):
    assert dock.welcome.isVisible()
    qtbot.mouseClick(dock.welcome.try_button, Qt.MouseButton.LeftButton)
    assert len(model_viewer.layers) > 0
    assert not dock.welcome.isVisible()
    model_viewer.layers.clear()
    assert dock.welcome.isVisible()


def test_the_keyboard_stays_in_the_search_when_a_button_goes(qtbot, dock):
    dock.finder.search.setFocus()
    qtbot.waitUntil(dock.finder.search.hasFocus)
    qtbot.mousePress(dock.welcome.try_button, Qt.MouseButton.LeftButton)
    assert dock.finder.search.hasFocus()
    qtbot.mouseRelease(dock.welcome.try_button, Qt.MouseButton.LeftButton)
    assert not dock.welcome.isVisible()
    assert dock.finder.search.hasFocus()


def test_open_back_and_again(qtbot, dock):
    page = dock.open_tool("invert")
    assert dock.page is page
    page.form.model.leaf("n").set(9)
    qtbot.mouseClick(page.header.back_button, Qt.MouseButton.LeftButton)
    assert dock.page is None
    assert dock.finder.search.hasFocus()
    # what was typed is still there
    assert dock.open_tool("invert") is page
    assert page.form.values()["n"] == 9
    assert dock.favourites.recent == ("invert",)


def test_keys_go_to_the_search_and_back(qtbot, dock):
    page = dock.open_tool("invert")
    qtbot.keyClick(page, Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier)
    assert dock.page is None
    dock.open_tool("invert")
    qtbot.keyClick(page, Qt.Key.Key_Left, Qt.KeyboardModifier.AltModifier)
    qtbot.waitUntil(lambda: dock.page is None)


def test_a_toolbox_must_be_approved_before_its_tools_run(
    qtbot, dock, model_viewer, manager, cells, tmp_path
):
    model_viewer.add_image(cells)
    page = dock.open_tool("invert")
    assert not page.run_bar.run_button.isEnabled()
    assert "not approved" in page.run_bar.message.text()
    assert page.run() is None
    assert manager.jobs == ()
    (button,) = page.run_bar.message.buttons
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    dialog = page.findChild(TrustDialog)
    qtbot.waitUntil(dialog.approve_button.isEnabled, timeout=WAIT)
    with qtbot.waitSignal(dialog.accepted, timeout=WAIT):
        qtbot.mouseClick(dialog.approve_button, Qt.MouseButton.LeftButton)
    assert trust_state(page.tool).ok
    assert page.run_bar.run_button.isEnabled()
    with qtbot.waitSignal(page.job_finished, timeout=WAIT):
        page.run()
    assert len(model_viewer.layers) == 2
    # a change is asked about again
    (tmp_path / "box" / "invert.py").write_text("raise SystemExit(1)")
    assert page.run() is None
    qtbot.waitUntil(lambda: "has changed" in page.run_bar.message.text(), timeout=WAIT)


def test_the_approval_can_be_refused(qtbot, shown, box, tmp_path):
    dialog = shown(TrustDialog(tmp_path / "box", ["Invert", "Measure"], "LOCAL"))
    qtbot.waitUntil(dialog.approve_button.isEnabled, timeout=WAIT)
    assert "files" in dialog._content.text()
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    assert not trust_state(box["invert"]).ok


def test_a_folder_is_marked_as_ones_own_and_no_longer(qtbot, shown, box, tmp_path):
    folder = tmp_path / "box"

    def asked():
        dialog = shown(TrustDialog(folder, ["Invert"]))
        qtbot.waitUntil(dialog.approve_button.isEnabled, timeout=WAIT)
        return dialog

    dialog = asked()
    assert not dialog.revoke_button.isVisible()
    qtbot.mouseClick(dialog.mine_box, Qt.MouseButton.LeftButton, pos=QPoint(8, 8))
    assert "from elsewhere" in dialog._rights.text()
    with qtbot.waitSignal(dialog.accepted, timeout=WAIT):
        dialog.approve_button.click()
    assert trust_state(folder).state is TrustState.MINE
    assert not unapproved_copies()
    (folder / "invert.py").write_text("raise SystemExit(0)")
    assert trust_state(box["invert"]).state is TrustState.MINE
    dialog = asked()
    assert dialog.mine_box.isChecked()
    with qtbot.waitSignal(dialog.accepted, timeout=WAIT):
        qtbot.mouseClick(dialog.revoke_button, Qt.MouseButton.LeftButton)
    assert trust_state(folder).state is TrustState.UNKNOWN


@pytest.mark.skipif(os.name != "posix", reason="rights of files")
def test_what_others_can_change_is_not_offered_as_ones_own(qtbot, shown, box, tmp_path):
    (tmp_path / "box" / "invert.py").chmod(0o666)
    dialog = shown(TrustDialog(tmp_path / "box", ["Invert"]))
    qtbot.waitUntil(dialog.approve_button.isEnabled, timeout=WAIT)
    assert not dialog.mine_box.isEnabled()
    assert "cannot be marked as yours: others can change" in dialog._rights.text()


def test_a_toolbox_that_changes_while_it_is_reviewed_is_not_approved(qtbot, shown, box, tmp_path):
    dialog = shown(TrustDialog(tmp_path / "box", ["Invert"]))
    qtbot.waitUntil(dialog.approve_button.isEnabled, timeout=WAIT)
    (tmp_path / "box" / "invert.py").write_text("import os")
    dialog.approve_button.click()
    qtbot.waitUntil(lambda: "changed while" in dialog._warning.text(), timeout=WAIT)
    assert dialog.isVisible()
    assert dialog.isEnabled()
    assert not trust_state(box["invert"]).ok


def test_a_tool_that_was_never_read_is_read_in_the_background(
    qtbot, shown, model_viewer, manager, box, tmp_path
):
    path = tmp_path / "box" / "invert.xml"
    path.write_text(path.read_text().replace('label="Number"', 'label="How many"'))
    dock = shown(ToolRunnerWidget(model_viewer, toolbox=box, manager=manager))
    filled = []
    assert dock.open_tool("invert", fill=filled.append) is None
    assert "Reading" in dock.message.text()
    qtbot.waitUntil(lambda: dock.page is not None, timeout=WAIT)
    assert filled == [dock.page]
    assert dock.page.form.row("n").label.text() == "How many"
    assert not dock.message.text()
    path.write_text("<tool")
    dock.show_finder()
    assert dock.open_tool("invert") is None
    qtbot.waitUntil(lambda: "Reading" not in dock.message.text(), timeout=WAIT)
    assert "invert.xml" in dock.message.text()


def test_a_tool_that_disappears_from_disk(qtbot, dock, tmp_path):
    dock.open_tool("invert")
    shutil.rmtree(tmp_path / "box")
    assert dock.open_tool("measure") is None
    assert dock.message.isVisible()
    dock.reload()
    assert dock.open_tool("invert") is None
    assert "no longer" in dock.message.text()


def test_a_tool_that_changes_on_disk_is_read_again(qtbot, dock, tmp_path):
    first = dock.open_tool("invert")
    path = tmp_path / "box" / "invert.xml"
    path.write_text(path.read_text().replace('label="Number"', 'label="How many"'))
    dock.reload()
    second = opened(qtbot, dock, "invert")
    assert second is not first
    assert second.form.row("n").label.text() == "How many"


def test_a_broken_configuration_hides_no_shipped_tool(
    qtbot, shown, model_viewer, manager, monkeypatch, tmp_path
):
    config = tmp_path / "config.json"
    config.write_text("{ broken")
    monkeypatch.setenv("NAPARI_TOOL_RUNNER_CONFIG", str(config))
    dock = shown(ToolRunnerWidget(model_viewer, manager=manager))
    qtbot.waitUntil(lambda: "not valid JSON" in dock.message.text(), timeout=WAIT)
    assert "gaussian_filter" in dock.toolbox


def test_a_job_goes_on_when_its_page_is_left(qtbot, dock, model_viewer, manager, cells, tmp_path):
    approve(tmp_path / "box")
    model_viewer.add_image(cells)
    page = dock.open_tool("invert")
    job = begun(qtbot, page)
    dock.show_finder()
    qtbot.waitUntil(lambda: len(model_viewer.layers) == 2, timeout=WAIT)
    assert job.state is JobState.DONE


def test_a_run_outlives_the_dock_and_a_new_dock_finds_it(
    qtbot, shown, model_viewer, manager, cells, tmp_path
):
    make_tool(
        tmp_path / "box",
        "import sys, time, tifffile\n"
        "print('pid 0', flush=True)\n"
        "time.sleep(2)\n"
        "tifffile.imwrite(sys.argv[2], tifffile.imread(sys.argv[1]))\n",
        name="slow",
        inputs='<param name="i" type="data" format="imagetiff" layer="image" label="Image"/>',
        outputs='<data name="o" format="imagetiff" layer="image" label="Copy"/>',
        arguments="${i} ${o}",
    )
    approve(tmp_path / "box")
    box = Toolbox([ToolboxFolder("mine", tmp_path / "box")], cache_dir=tmp_path / "cache")
    model_viewer.add_image(cells)
    first = ToolRunnerWidget(model_viewer, toolbox=box, manager=manager)
    first.show()
    job = begun(qtbot, opened(qtbot, first, "slow"))
    first.close()
    first.deleteLater()
    qtbot.waitUntil(lambda: job.state is JobState.RUNNING, timeout=WAIT)
    second = shown(ToolRunnerWidget(model_viewer, toolbox=box, manager=manager))
    page = second.open_tool("slow")
    assert page.active_jobs == [job]
    assert page.run_bar.cancel_button.isEnabled()
    with qtbot.waitSignal(page.job_finished, timeout=WAIT):
        pass
    assert len(model_viewer.layers) == 2
    assert "Added" in page.run_bar.message.text()


def test_a_result_nobody_watches_is_added_and_told(qtbot, model_viewer, manager, cells, tmp_path):
    from napari.utils.notifications import notification_manager

    invert_tool(tmp_path / "box")
    approve(tmp_path / "box")
    box = Toolbox([ToolboxFolder("mine", tmp_path / "box")], cache_dir=tmp_path / "cache")
    model_viewer.add_image(cells)
    dock = ToolRunnerWidget(model_viewer, toolbox=box, manager=manager)
    dock.show()
    begun(qtbot, opened(qtbot, dock, "invert"))
    dock.close()
    dock.deleteLater()
    before = len(notification_manager.records)
    qtbot.waitUntil(lambda: len(model_viewer.layers) == 2, timeout=WAIT)
    qtbot.waitUntil(lambda: len(notification_manager.records) > before, timeout=WAIT)
    assert "Added" in notification_manager.records[-1].message


def test_old_pages_are_dropped_but_never_one_that_runs(
    qtbot, shown, model_viewer, manager, tmp_path
):
    folder = tmp_path / "box"
    sleep_tool(folder)
    for number in range(8):
        make_tool(folder, "", name=f"tool{number}")
    approve(folder)
    box = Toolbox([ToolboxFolder("mine", folder)], cache_dir=tmp_path / "cache")
    dock = shown(ToolRunnerWidget(model_viewer, toolbox=box, manager=manager))
    sleeper = opened(qtbot, dock, "sleeper")
    sleeper.run()
    for number in range(8):
        opened(qtbot, dock, f"tool{number}")
    assert len(dock._pages) <= 6
    assert dock.open_tool("sleeper") is sleeper
    with qtbot.waitSignal(sleeper.job_finished, timeout=WAIT):
        sleeper.cancel()


def test_naparis_activity_shows_the_job_and_can_cancel_it(qtbot, manager, tmp_path):
    from napari.utils.progress import progress

    before = set(progress._all_instances)
    job = manager.submit(sleep_tool(tmp_path), {})
    bridge = JobBridge(job)
    mirror = ActivityMirror(bridge)
    bridge.start()
    qtbot.waitUntil(lambda: len(set(progress._all_instances) - before) == 1, timeout=WAIT)
    (bar,) = set(progress._all_instances) - before
    qtbot.waitUntil(lambda: "of 600" in bar.desc, timeout=WAIT)
    assert bar.total == 1000
    with qtbot.waitSignal(bridge.finished, timeout=WAIT):
        bar.cancel()
    assert job.state is JobState.CANCELLED
    assert set(progress._all_instances) == before
    assert mirror._bar is None


@pytest.mark.parametrize(("short", "opened"), [(0.0, True), (600.0, False)])
def test_short_jobs_are_not_in_naparis_activity(
    qtbot, manager, tmp_path, monkeypatch, short, opened
):
    monkeypatch.setattr(job_bridge, "_SHORT", short)
    made: list[object] = []
    monkeypatch.setattr(ActivityMirror, "_open", lambda mirror: made.append(mirror))
    job = manager.submit(sleep_tool(tmp_path), {})
    bridge = JobBridge(job)
    ActivityMirror(bridge)
    bridge.start()
    qtbot.waitUntil(lambda: job.progress is not None and bool(bridge._shown[2]), timeout=WAIT)
    with qtbot.waitSignal(bridge.finished, timeout=WAIT):
        job.cancel()
    assert bool(made) is opened


def test_a_bridge_does_not_end_while_it_tells(qtbot, manager, tmp_path):
    job = manager.submit(make_tool(tmp_path, "print()"), {})
    bridge = JobBridge(job)
    ended: list[object] = []
    meanwhile: list[bool] = []
    bridge.finished.connect(ended.append)

    def tell():  # as napari's bars do
        assert job.wait(60)
        for _ in range(20):
            QApplication.processEvents()
        meanwhile.append(bool(ended))

    bridge.progressed.connect(tell)
    bridge.start()
    bridge._seconds.timeout.emit()
    qtbot.waitUntil(lambda: bool(ended), timeout=WAIT)
    assert meanwhile
    assert not any(meanwhile)


def test_between_two_results_the_window_gets_its_turn(qtbot, manager, tmp_path, monkeypatch):
    jobs = [manager.submit(make_tool(tmp_path, "print()", name=name), {}) for name in "ab"]
    assert all(job.wait(60) for job in jobs)
    seen: list[str] = []

    def slow(bridge):
        time.sleep(0.03)
        seen.append("result")
        bell().ring()

    monkeypatch.setattr(JobBridge, "_present", slow)
    bridges = [JobBridge(job) for job in jobs]
    for bridge in bridges:
        bridge.start()
    bell().heard.connect(lambda: seen.append("turn") if seen else None)
    qtbot.waitUntil(lambda: seen.count("result") == 2, timeout=WAIT)
    assert seen[:3] == ["result", "turn", "result"]


def test_a_bell_that_is_gone_is_rung_in_silence(qtbot):
    """At the end of the program a job may still print a flood."""
    gone = Bell()
    gone.deleteLater()
    QCoreApplication.sendPostedEvents(gone, QEvent.Type.DeferredDelete)
    with pytest.raises(RuntimeError):
        gone.objectName()
    gone.ring()


class Windows(QObject):
    """Notes what appears on the screen as a window."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def eventFilter(self, watched, event):
        if event.type() == QEvent.Type.Show and isinstance(watched, QWidget):
            self.seen += [type(watched).__name__] * watched.isWindow()
        return False


def test_no_part_appears_as_a_window_before_it_has_its_place(qtbot, qapp, model_viewer):
    windows = Windows()
    qapp.installEventFilter(windows)
    widget = ToolRunnerWidget(model_viewer)
    qtbot.addWidget(widget)
    model_viewer.add_image(np.zeros((5, 8, 8), np.uint8))
    assert opened(qtbot, widget, "gaussian_filter") is not None
    assert not widget.page.extent_bar.isHidden()
    qapp.removeEventFilter(windows)
    assert windows.seen == []


def test_intensities_are_thresholded_from_the_form_that_wants_objects(
    qtbot, shown, model_viewer, manager
):
    from napari_tool_runner import load_toolbox

    values = np.random.default_rng(0).integers(1, 4000, (64, 64)).astype(np.uint16)
    model_viewer.add_image(np.zeros((4, 4)), name="other")
    raw = model_viewer.add_image(values, name="raw")
    dock = shown(ToolRunnerWidget(model_viewer, toolbox=load_toolbox(), manager=manager))
    page = dock.open_tool("label_components")
    page.set_values({"input": raw})
    (button,) = page.form.row("input")._message.buttons
    button.click()
    qtbot.waitUntil(lambda: dock.page is not None and dock.page.tool.id == "threshold")
    assert dock.page.form.values()["input"] is raw


def test_lazy_layers_and_files_are_looked_at_off_the_gui_thread(
    qtbot, shown, model_viewer, manager, tmp_path
):
    import threading

    import dask.array
    import tifffile

    from napari_tool_runner import load_toolbox

    values = np.random.default_rng(0).integers(1, 4000, (64, 64)).astype(np.uint16)
    threads = set()

    def computed(block):
        threads.add(threading.current_thread())
        return block

    chunks = dask.array.from_array(values, chunks=32)
    lazy = chunks.map_blocks(computed, dtype=values.dtype, meta=values[:0, :0])
    raw = model_viewer.add_image(lazy, name="raw", contrast_limits=(0, 4000))
    path = tmp_path / "raw.tif"
    tifffile.imwrite(path, values)
    dock = shown(ToolRunnerWidget(model_viewer, toolbox=load_toolbox(), manager=manager))
    page = dock.open_tool("label_components")
    threads.clear()
    for given in (raw, path):
        page.set_values({"input": given})
        row = page.form.row("input")
        qtbot.waitUntil(lambda row=row: "looks like intensities" in row.message())
        assert len(row._message.buttons) == 1
    assert threading.main_thread() not in threads
    row._message.buttons[0].click()
    qtbot.waitUntil(lambda: dock.page is not None and dock.page.tool.id == "threshold")
    assert str(dock.page.form.values()["input"]) == str(path)


def test_where_no_objects_are_open_an_image_is_offered_for_them(
    qtbot, shown, model_viewer, manager
):
    from napari_tool_runner import load_toolbox

    raw = model_viewer.add_image(np.random.default_rng(0).random((64, 64)), name="raw")
    dock = shown(ToolRunnerWidget(model_viewer, toolbox=load_toolbox(), manager=manager))
    page = dock.open_tool("measure_regions")
    assert "No objects are open yet" in page.form.row("labels").message()
    (button,) = page.form.row("labels")._message.buttons
    button.click()
    qtbot.waitUntil(lambda: dock.page is not None and dock.page.tool.id == "find_objects")
    assert dock.page.form.values()["input"] is raw
    model_viewer.add_labels(np.eye(64, dtype=int), name="cells")
    page = dock.open_tool("measure_regions")
    assert "No objects" not in page.form.row("labels").message()


def test_a_tool_that_is_asked_for_while_toolboxes_are_read_opens_then(
    qtbot, shown, model_viewer, monkeypatch
):
    go = threading.Event()
    reading = dock_module.read_toolboxes
    monkeypatch.setattr(dock_module, "read_toolboxes", lambda: (go.wait(60), reading())[1])
    dock = shown(ToolRunnerWidget(model_viewer))
    assert dock.open_tool("gaussian_filter") is None, "nothing is remembered of it yet"
    assert "Reading" in dock.message.text()
    go.set()
    qtbot.waitUntil(lambda: dock.page is not None, timeout=WAIT)
    assert dock.page.tool.id == "gaussian_filter"
    # the next dock knows what ships, and looks for changes in the background
    assert shown(ToolRunnerWidget(model_viewer)).open_tool("threshold") is not None


def test_the_dock_opens_before_what_data_need_is_imported():
    done = subprocess.run(
        [sys.executable, "-c", _OPENED], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split() == ["0"]


_OPENED = """
import os, sys
from qtpy.QtWidgets import QApplication
from napari.components import ViewerModel
app, viewer = QApplication([]), ViewerModel()
before = set(sys.modules)
from napari_tool_runner.widgets import dock as dock_module
from napari_tool_runner.widgets.dock import ToolRunnerWidget
dock = ToolRunnerWidget(viewer)
new = set(sys.modules) - before
heavy = {"pandas", "tifffile", "napari_tool_runner.exchange", "napari_tool_runner.jobs"}
print(len(new & heavy), flush=True)
os._exit(0)  # without a loop of events Qt's objects are not taken down in order (seen: SIGSEGV)
"""
