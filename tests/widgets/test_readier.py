"""Get it ready: what is fetched is asked with its size, made in the background, and told."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt
from run_tools import make_tool

from napari_tool_runner.jobs.weights import weights_folder
from napari_tool_runner.tools import read_tool
from napari_tool_runner.widgets.running.readier import GET_READY
from napari_tool_runner.widgets.tool_widget import ToolWidget

WAIT = 40_000
LEFT = Qt.MouseButton.LeftButton
FETCHES = """
import os, sys, time
if sys.argv[1] == "only":
    if sys.argv[2] == "gone":
        sys.exit("The model gone could not be fetched: try again.")
    for step in range(3000 if sys.argv[2] == "large" else 3):
        print(f"{step}/3000", flush=True)
        time.sleep(0.02)
    open(os.path.join(os.environ["MODELS"], sys.argv[2]), "w").write("x")
"""
CHOICE = (
    '<param name="fetch" type="boolean"/><param name="model" type="select">'
    '<option value="small" selected="true">small</option><option value="large">large</option>'
    '<option value="gone">gone</option></param>'
    '<param name="i" type="data" format="imagetiff" label="Image"/>'
)


@pytest.fixture
def tool(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    made = make_tool(tmp_path, FETCHES, inputs=CHOICE, arguments="${fetch} ${model}")
    script = next(made.folder.glob("*.py")).name
    text = made.path.read_text()
    prepare = f"python '$__tool_directory__/{script}' only ${{model}}"
    text = text.replace("<inputs>", f'<prepare megabytes="26">{prepare}</prepare><inputs>', 1)
    made.path.write_text(text.replace("<tool ", '<tool network="fetch" weights="MODELS" ', 1))
    return read_tool(made.path)


@pytest.fixture
def page(tool, shown, model_viewer, manager, qtbot):
    page = shown(ToolWidget(tool, model_viewer, manager=manager))
    qtbot.waitUntil(lambda: bool(page.services.plans), timeout=WAIT)
    return page


def told(page):
    return page.run_bar.message.text()


def press(qtbot, page, label):
    button = next(one for one in page.run_bar.message.buttons if one.text() == label)
    qtbot.mouseClick(button, LEFT)


def asked(qtbot, page):
    """Press the button of the tool's page and wait for the question."""
    qtbot.mouseClick(page.help_button, LEFT)
    assert page.about.ready_button.text() == GET_READY
    assert page.about.ready_button.isVisible()
    qtbot.mouseClick(page.about.ready_button, LEFT)
    qtbot.waitUntil(lambda: not told(page).startswith("Looking"), timeout=WAIT)


def test_it_is_asked_with_the_size_and_then_fetched(qtbot, page, tool):
    asked(qtbot, page)
    assert told(page).startswith("Fetch the model (26 MB)? 26 MB in all.")
    assert not any(weights_folder(tool).glob("*"))
    press(qtbot, page, "Fetch")
    assert page.is_busy
    assert page.run_bar.progress.isVisible()
    assert not page.about.ready_button.isEnabled()
    qtbot.waitUntil(lambda: told(page).startswith("Ready: "), timeout=WAIT)
    assert [one.name for one in weights_folder(tool).iterdir()] == ["small"]
    page._judge()
    assert told(page).startswith("Ready: "), "though no image is open"
    assert not page.is_busy
    assert not page.run_bar.progress.isVisible()
    qtbot.mouseClick(page.about.ready_button, LEFT)
    qtbot.waitUntil(lambda: told(page).startswith("Everything is here"), timeout=WAIT)
    page.set_values({"model": "large"})
    qtbot.mouseClick(page.about.ready_button, LEFT)
    qtbot.waitUntil(lambda: told(page).startswith("Fetch the model"), timeout=WAIT)
    press(qtbot, page, "Not now")
    assert not told(page)


def test_cancel_ends_it_and_it_can_be_tried_again(qtbot, page, tool):
    page.set_values({"model": "large"})
    asked(qtbot, page)
    press(qtbot, page, "Fetch")
    qtbot.waitUntil(lambda: "3000" in page.run_bar.phase.text(), timeout=WAIT)
    assert page.run_bar.phase.text().startswith("Fetching the model · ")
    qtbot.mouseClick(page.run_bar.cancel_button, LEFT)
    assert page.run_bar.phase.text() == "Cancelling…"
    qtbot.waitUntil(lambda: told(page).startswith("Cancelled;"), timeout=WAIT)
    assert not page.is_busy
    page._judge()
    assert told(page).startswith("Cancelled;")
    assert not any(weights_folder(tool).glob("*"))
    press(qtbot, page, "Try again")
    qtbot.waitUntil(lambda: told(page).startswith("Fetch the model"), timeout=WAIT)


def test_a_failure_is_one_sentence(qtbot, page):
    page.set_values({"model": "gone"})
    asked(qtbot, page)
    press(qtbot, page, "Fetch")
    qtbot.waitUntil(lambda: "was not fetched" in told(page), timeout=WAIT)
    assert told(page).endswith("The model gone could not be fetched: try again.")
    assert not page.is_busy


def test_a_page_that_goes_ends_it(qtbot, page, tool):
    page.set_values({"model": "large"})
    asked(qtbot, page)
    press(qtbot, page, "Fetch")
    qtbot.waitUntil(lambda: "3000" in page.run_bar.phase.text(), timeout=WAIT)
    cancel = page.readier._work.cancel
    page.readier.deleteLater()
    qtbot.waitUntil(lambda: cancel.requested, timeout=WAIT)
