"""Get more tools: found, shown, added, asked about and removed with the mouse."""

from __future__ import annotations

import os
import threading
import time

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

import napari_tool_runner as ntr
from jobs.test_getting import TOOL, installed, package, toolbox, zipped
from napari_tool_runner.config import load_config
from napari_tool_runner.storage import user_data
from napari_tool_runner.tools.toolbox import unpacking
from napari_tool_runner.tools.toolbox.added import added_toolboxes
from napari_tool_runner.tools.toolbox.trust import TrustState, trust_state
from napari_tool_runner.widgets.dock import ToolRunnerWidget
from napari_tool_runner.widgets.settings.more_tools import MoreToolsDialog
from napari_tool_runner.widgets.settings.settings_dialog import SettingsDialog
from plugins.pypi_index import Index

__all__ = ["installed"]

WAIT = 60_000
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def dialog(shown):
    def make() -> MoreToolsDialog:
        return shown(MoreToolsDialog(), width=560, height=420)

    return make


@pytest.fixture
def index(monkeypatch):
    served = Index()
    for name in [one for one in os.environ if one.startswith(("UV_", "PIP_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("UV_DEFAULT_INDEX", served.url)
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    yield served
    served.stop()


def left() -> list[str]:
    home = user_data() / "toolboxes"
    return sorted(one.name for one in home.iterdir()) if home.is_dir() else []


def press(qtbot, box, text):
    qtbot.waitUntil(lambda: text in [b.text() for b in box.message.buttons], timeout=WAIT)
    qtbot.mouseClick(next(b for b in box.message.buttons if b.text() == text), LEFT)


def look(qtbot, box, what):
    box.what.clear()
    qtbot.keyClicks(box.what, str(what))
    qtbot.mouseClick(box.look_button, LEFT)


def answer(qtbot, *, approve: bool):
    def asked():
        return [w for w in QApplication.topLevelWidgets() if type(w).__name__ == "TrustDialog"]

    qtbot.waitUntil(lambda: bool(asked()) and asked()[0].approve_button.isEnabled(), timeout=WAIT)
    (review,) = asked()
    if approve:
        review.approve_button.click()
    else:
        review.reject()
    qtbot.waitUntil(lambda: not asked(), timeout=WAIT)


def row(box, number=0) -> str:
    item = box.added.rows.item(number)
    return item.text() if item is not None else ""


def test_a_package_from_its_name_to_a_tool_that_may_run(qtbot, dialog, index, shown, model_viewer):
    index.add("cell-tools", package("cell-tools", "1.0", "count_cells", "b"))
    dock = shown(ToolRunnerWidget(model_viewer))
    box = dock.authors.get_more()
    look(qtbot, box, "cell-tools")
    qtbot.waitUntil(lambda: "Download it" in box.message.text(), timeout=WAIT)
    assert "cell-tools 1.0 (" in box.message.text()
    assert not [one for one in index.requests if one.endswith(".whl")]
    press(qtbot, box, "Download")
    qtbot.waitUntil(lambda: box.offered.isVisible(), timeout=WAIT)
    assert [box.tools.item(n).text() for n in range(box.tools.count())] == ["b", "count_cells"]
    assert "2 tools" in box.facts.text()
    assert added_toolboxes(load_config()) == []
    press(qtbot, box, "Add")
    answer(qtbot, approve=True)
    qtbot.waitUntil(lambda: row(box).endswith(f"from {index.url}: approved"), timeout=WAIT)
    qtbot.waitUntil(lambda: "count_cells" in dock.toolbox, timeout=WAIT)
    box.added.rows.setCurrentRow(0)
    qtbot.mouseClick(box.added.remove_button, LEFT)
    press(qtbot, box, "Remove")
    qtbot.waitUntil(lambda: "was removed" in box.message.text(), timeout=WAIT)
    qtbot.waitUntil(lambda: "count_cells" not in dock.toolbox, timeout=WAIT)
    assert left() == []
    box.reject()


def test_what_takes_the_place_of_another_is_asked(qtbot, dialog, tmp_path):
    box = dialog()
    files = {"spots-1/spots.xml": TOOL.format("spots")}
    look(qtbot, box, zipped(tmp_path / "a.zip", files))
    press(qtbot, box, "Add")
    answer(qtbot, approve=False)
    qtbot.waitUntil(lambda: "not approved yet" in row(box), timeout=WAIT)
    look(qtbot, box, zipped(tmp_path / "b.zip", {**files, "spots-1/more": "x"}))
    qtbot.waitUntil(lambda: "1 file new" in box.message.text(), timeout=WAIT)
    assert "“spots” is there already (a.zip, 1)" in box.message.text()
    assert "Replace" in [one.text() for one in box.message.buttons]
    qtbot.keyClicks(box.name, "2")
    qtbot.waitUntil(
        lambda: [one.text() for one in box.message.buttons][:1] == ["Add"], timeout=WAIT
    )
    press(qtbot, box, "Not now")
    assert not box.offered.isVisible()
    qtbot.waitUntil(lambda: left() == ["spots"], timeout=WAIT)


def test_a_name_that_nobody_has_judged_replaces_nothing(qtbot, dialog, tmp_path):
    box = dialog()
    toolbox(tmp_path / "box")
    look(qtbot, box, zipped(tmp_path / "a.zip", {"spots-1/spots.xml": TOOL.format("spots")}))
    qtbot.waitUntil(lambda: bool(box.message.buttons), timeout=WAIT)
    box.name.setText("other")
    box.add("spots")
    assert left() != ["spots"]
    assert added_toolboxes(load_config()) == []
    box.reject()


def test_what_is_unpacked_can_be_cancelled_and_closed(qtbot, dialog, tmp_path, monkeypatch):
    begun, go = threading.Event(), threading.Event()
    real = unpacking._copy

    def slow(source, target, stop):
        begun.set()
        go.wait(30)
        real(source, target, stop)

    monkeypatch.setattr(unpacking, "_copy", slow)
    path = zipped(tmp_path / "a.zip", {"spots-1/spots.xml": TOOL.format("spots")})
    box = dialog()
    at = time.monotonic()
    look(qtbot, box, path)
    assert time.monotonic() - at < 5
    assert begun.wait(30)
    assert box.working.isVisible()
    assert not box.look_button.isEnabled()
    qtbot.mouseClick(box.cancel_button, LEFT)
    go.set()
    qtbot.waitUntil(lambda: "Cancelled" in box.message.text(), timeout=WAIT)
    assert left() == []
    begun.clear(), go.clear()
    look(qtbot, box, path)
    assert begun.wait(30)
    box.reject()
    go.set()
    qtbot.waitUntil(lambda: left() == [], timeout=WAIT)


def test_what_cannot_be_had_is_a_sentence(qtbot, dialog, tmp_path):
    box = dialog()
    look(qtbot, box, tmp_path / "absent.zip")
    qtbot.waitUntil(lambda: box.message.kind() == "failed", timeout=WAIT)
    assert "There is no folder and no zip" in box.message.text()
    look(qtbot, box, tmp_path)
    qtbot.waitUntil(lambda: "holds no descriptor" in box.message.text(), timeout=WAIT)


def test_settings_open_it_and_follow_it(qtbot, shown, tmp_path):
    settings = shown(SettingsDialog(), width=460, height=560)
    qtbot.mouseClick(settings.more_button, LEFT)
    (box,) = settings.findChildren(MoreToolsDialog)
    folder = toolbox(tmp_path / "box")
    look(qtbot, box, folder)
    press(qtbot, box, "Add")
    answer(qtbot, approve=True)
    assert trust_state(folder).state is TrustState.APPROVED
    qtbot.waitUntil(lambda: settings.folder_paths() == [str(folder)], timeout=WAIT)
    assert settings.values() == {}
    box.added.rows.setCurrentRow(0)
    qtbot.waitUntil(lambda: box.added.rows.count() == 1, timeout=WAIT)
    box.added.rows.setCurrentRow(0)
    qtbot.mouseClick(box.added.remove_button, LEFT)
    press(qtbot, box, "Remove")
    qtbot.waitUntil(lambda: settings.folder_paths() == [], timeout=WAIT)
    assert (folder / "spots" / "spots.xml").is_file()
    box.reject()


def test_what_is_hidden_leaves_the_list_of_every_window(qtbot, shown, installed, model_viewer):
    """The configuration says nothing of it."""
    dock = shown(ToolRunnerWidget(model_viewer))
    settings = shown(SettingsDialog(), width=460, height=560)
    for box in (settings.get_more(), dock.authors.get_more()):
        qtbot.waitUntil(lambda: "count_cells" in dock.toolbox, timeout=WAIT)
        qtbot.waitUntil(lambda box=box: box.added.rows.count() == 1, timeout=WAIT)
        box.added.rows.setCurrentRow(0)
        qtbot.mouseClick(box.added.remove_button, LEFT)
        press(qtbot, box, "Remove")
        qtbot.waitUntil(lambda: "count_cells" not in dock.toolbox, timeout=WAIT)
        box.reject()
        ntr.add_toolbox("cell-tools")
        dock.reload()
