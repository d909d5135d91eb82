"""Authors in the window: saves are followed, problems have lines, tools are made, runs tested."""

from __future__ import annotations

import json
import os
from pathlib import Path
from threading import current_thread, main_thread
from time import perf_counter

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QWidget
from run_tools import invert_tool, sleep_tool
from widget_tools import opened

from napari_tool_runner.config import config_path, load_config
from napari_tool_runner.errors import DescriptorError, JobCancelledError
from napari_tool_runner.jobs import JobState, history, prepare, run_job
from napari_tool_runner.tools import read_tool
from napari_tool_runner.tools.toolbox.box import Toolbox, ToolboxFolder
from napari_tool_runner.tools.toolbox.trust import TrustState, approve, trust_state
from napari_tool_runner.widgets.authoring import new_tool as new_tool_dialog
from napari_tool_runner.widgets.authoring import problems, watching
from napari_tool_runner.widgets.authoring.authors import Authors
from napari_tool_runner.widgets.authoring.new_tool import NewToolDialog
from napari_tool_runner.widgets.authoring.problems import ProblemsPanel, found_problems
from napari_tool_runner.widgets.dock import ToolRunnerWidget
from napari_tool_runner.widgets.history.panel import HistoryPanel
from napari_tool_runner.widgets.running import admission
from napari_tool_runner.widgets.settings.trust import TrustDialog

WAIT = 60_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A toolbox of the configuration that its author marked."""
    invert_tool(tmp_path / "box")
    approve(tmp_path / "box", mine=True)
    config_path().parent.mkdir(parents=True, exist_ok=True)
    told = {"process": {"xml_dirs": [str(tmp_path / "box")]}, "workspace": str(tmp_path / "jobs")}
    config_path().write_text(json.dumps(told))
    return tmp_path / "box"


@pytest.fixture
def dock(shown, model_viewer, manager, folder):
    return shown(ToolRunnerWidget(model_viewer, manager=manager))


def change(path: Path, before: str, after: str) -> None:
    """Save a file as many editors do: another one takes its place."""
    text = path.read_text()
    assert before in text
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(text.replace(before, after))
    draft.replace(path)


def test_form_and_list_follow_a_save(qtbot, dock, folder, model_viewer, manager):
    model_viewer.add_image(np.zeros((8, 8), np.uint8), name="cells")
    page = opened(qtbot, dock, "invert")
    page.form.model.leaf("n").set(9)
    path = folder / "invert.xml"
    more = '<param name="m" type="integer" value="4" label="More"/></inputs>'
    for name, before, after in (("Count", '"Number"', '"Count"'), ("Sum", '"Count"', '"Sum"')):
        change(path, before, after)
        change(path, "</inputs>", more) if name == "Count" else None
        qtbot.waitUntil(
            lambda name=name: dock.page.form.row("n").label.text() == name, timeout=WAIT
        )
    assert dock.page is not page
    values = dock.page.form.values()
    assert (values["n"], values["m"]) == (9, 4)
    assert values["i"] is model_viewer.layers[0]
    assert "form follows" in dock.message.text()
    assert dock.page.run_bar.run_button.isEnabled()
    # in its own place, too, and what the tool is called
    text = path.read_text()
    path.write_text(text.replace('name="Invert"', 'name="Upside down"'))
    qtbot.waitUntil(lambda: dock.toolbox.entry("invert").name == "Upside down", timeout=WAIT)
    qtbot.waitUntil(lambda: dock.page.tool.name == "Upside down", timeout=WAIT)
    # a parameter that is gone takes its value with it
    path.write_text(path.read_text().replace('name="n"', 'name="other"'))
    qtbot.waitUntil(lambda: "other" in dock.page.form.values(), timeout=WAIT)
    assert dock.page.form.values()["m"] == 4


def test_what_is_half_written_keeps_its_form(qtbot, dock, folder):
    page = opened(qtbot, dock, "invert")
    page.form.model.leaf("n").set(9)
    path = folder / "invert.xml"
    text = path.read_text()
    path.write_text(text.replace("</inputs>", "</input>"))
    qtbot.waitUntil(lambda: len(dock.toolbox.problems) == 1, timeout=WAIT)
    assert dock.page is page
    line = text[: text.index("</inputs>")].count("\n") + 1
    told = dock.message.text
    qtbot.waitUntil(lambda: f"{path}, line {line}" in told(), timeout=WAIT)
    assert "“Invert” cannot be read, its form is that of before" in told()
    path.write_text(text.replace('"Number"', '"Count"'))
    qtbot.waitUntil(lambda: dock.page.form.row("n").label.text() == "Count", timeout=WAIT)
    assert dock.page.form.values()["n"] == 9
    assert "form follows" in told()


def test_what_is_as_it_was_is_told_as_broken_no_longer(qtbot, dock, folder):
    page = opened(qtbot, dock, "invert")
    path = folder / "invert.xml"
    text = path.read_text()
    path.write_text(text.replace("</inputs>", "</input>"))
    qtbot.waitUntil(lambda: "cannot be read" in dock.message.text(), timeout=WAIT)
    path.write_text(text)
    qtbot.waitUntil(lambda: not dock.message.text(), timeout=WAIT)
    assert dock.page is page
    change(path, '"Number"', '"Count"')
    qtbot.waitUntil(lambda: "form follows" in dock.message.text(), timeout=WAIT)
    dock.show_finder()
    assert not dock.message.text(), "no form is there"


def test_a_form_follows_its_tool_to_another_place(qtbot, shown, model_viewer, manager, folder):
    model_viewer.add_image(np.zeros((8, 8), np.uint8))
    inner = folder / "inner"
    inner.mkdir()
    for path in [one for one in folder.iterdir() if one != inner]:
        path.rename(inner / path.name)
    dock = shown(ToolRunnerWidget(model_viewer, manager=manager))
    page = opened(qtbot, dock, "invert")
    page.form.model.leaf("n").set(9)
    inner.rename(folder / "moved")
    qtbot.waitUntil(lambda: dock.page.tool.path.parent.name == "moved", timeout=WAIT)
    assert f"“Invert” lies in {folder / 'moved'} now: its form follows." in dock.message.text()
    assert dock.page.form.values()["n"] == 9
    qtbot.waitUntil(dock.page.run_bar.run_button.isEnabled, timeout=WAIT)
    with qtbot.waitSignal(dock.page.job_finished, timeout=WAIT):
        dock.page.run()
    assert len(model_viewer.layers) == 2


@pytest.mark.parametrize("whole", [False, True])
def test_a_tool_that_is_gone_is_told_until_it_is_back(qtbot, dock, folder, tmp_path, whole):
    page = opened(qtbot, dock, "invert")
    path = folder / "invert.xml"
    place = folder if whole else path
    qtbot.waitUntil(lambda: str(folder) in dock.authors._watcher.watched, timeout=WAIT)
    place.rename(tmp_path / "away")
    told = dock.message.text
    qtbot.waitUntil(lambda: "“Invert” is gone" in told(), timeout=WAIT)
    assert f"put {path} back" in told()
    assert dock.page is page
    (tmp_path / "away").rename(place)
    qtbot.waitUntil(lambda: not told(), timeout=WAIT)
    assert dock.page is page


def test_run_names_the_file_of_the_author_and_not_its_copy(qtbot, dock, folder, model_viewer):
    model_viewer.add_image(np.zeros((8, 8), np.uint8))
    page = opened(qtbot, dock, "invert")
    qtbot.waitUntil(page.run_bar.run_button.isEnabled, timeout=WAIT)
    path = folder / "invert.xml"
    path.write_text(path.read_text().replace("</inputs>", "</input>"))
    page.run()
    told = page.run_bar.message.text
    qtbot.waitUntil(lambda: f"{path}, line " in told(), timeout=WAIT)
    assert "approved" not in told()


def test_a_form_whose_job_runs_stays(qtbot, dock, folder):
    sleep_tool(folder)
    qtbot.waitUntil(lambda: "sleeper" in dock.toolbox, timeout=WAIT)  # a new file is followed
    page = opened(qtbot, dock, "sleeper")
    dock.show_finder()
    other = opened(qtbot, dock, "invert")
    with qtbot.waitSignal(page.job_started, timeout=WAIT):
        page.run()
    change(folder / "sleeper.xml", 'name="Sleeper"', 'name="Longer"')
    change(folder / "invert.xml", '"Number"', '"Count"')
    qtbot.waitUntil(lambda: dock.page is not other, timeout=WAIT)
    assert dock.page.form.row("n").label.text() == "Count"
    assert dock._pages["sleeper"] is page
    with qtbot.waitSignal(page.job_finished, timeout=WAIT):
        page.cancel()
    qtbot.waitUntil(lambda: dock._pages["sleeper"].tool.name == "Longer", timeout=WAIT)
    assert dock.page.tool.name == "Invert"  # what is seen stays seen


def test_a_form_follows_what_the_script_says_that_it_needs(qtbot, dock, folder, model_viewer):
    """Run fetched it at once: the form was of the script before."""
    (folder / "own.py").write_text("import this\n")
    text = (folder / "invert.xml").read_text().replace('id="invert"', 'id="own"')
    begin, end = text.index("<command>"), text.index("</command>")
    command = "<command>python '$__tool_directory__own.py'"
    (folder / "own.xml").write_text(text[:begin] + command + text[end:])
    qtbot.waitUntil(lambda: "own" in dock.toolbox, timeout=WAIT)
    page = opened(qtbot, dock, "own")
    assert page.tool.requirements == ()
    for needs in ("numpy", "scipy"):
        (folder / "own.py").write_text(f"# /// script\n# dependencies = ['{needs}']\n# ///\n")
        qtbot.waitUntil(lambda needs=needs: _needs(dock.page.tool) == [needs], timeout=20_000)


def _needs(tool):
    return [name for one in tool.requirements for name in one.requirements]


@pytest.mark.skipif(os.name != "posix", reason="rights of files")
def test_the_window_never_waits_for_a_look_at_rights(
    qtbot, dock, folder, model_viewer, monkeypatch
):
    """A folder of 100,000 files stood in the way of the window at each save."""
    looked: list[bool] = []

    def noted(*args, quick: bool = False):
        if not quick:
            looked.append(current_thread() is main_thread())
        return trust_state(*args, quick=quick)

    monkeypatch.setattr(admission, "trust_state", noted)
    model_viewer.add_image(np.zeros((8, 8), np.uint8))
    page = opened(qtbot, dock, "invert")
    qtbot.waitUntil(page.run_bar.run_button.isEnabled, timeout=WAIT)
    (folder / "more.txt").write_text("")
    (folder / "more.txt").chmod(0o666)
    change(folder / "invert.xml", '"Number"', '"Count"')  # rights alone are not followed
    told = page.run_bar.message.text
    qtbot.waitUntil(lambda: "Move that out of the folder" in told(), timeout=WAIT)
    assert not page.run_bar.run_button.isEnabled()
    assert looked
    assert not any(looked)


def test_what_kept_a_folder_from_running_is_gone(qtbot, dock, folder, model_viewer, tmp_path):
    """An environment in it, whose links lead out: its author moves it away."""
    model_viewer.add_image(np.zeros((8, 8), np.uint8), name="cells")
    page = opened(qtbot, dock, "invert")
    button = page.run_bar.run_button
    qtbot.waitUntil(button.isEnabled, timeout=WAIT)
    venv = folder / ".venv"
    venv.mkdir()
    (venv / "pyvenv.cfg").write_text("home = /usr/bin")
    (venv / "bin").mkdir()
    (venv / "bin" / "python").symlink_to("/usr/bin/env")
    qtbot.waitUntil(lambda: not button.isEnabled(), timeout=WAIT)
    assert "environment of Python" in page.run_bar.message.text()
    venv.rename(tmp_path / "moved")
    qtbot.waitUntil(button.isEnabled, timeout=WAIT)


def test_a_form_with_an_open_question_stays(qtbot, dock, folder):
    page = opened(qtbot, dock, "invert")
    page.review_toolbox()
    (dialog,) = page.findChildren(TrustDialog)
    change(folder / "invert.xml", 'name="Invert"', 'name="Upside down"')
    qtbot.waitUntil(lambda: dock.toolbox.entry("invert").name == "Upside down", timeout=WAIT)
    with qtbot.waitSignal(dock.authors._watcher.followed, timeout=WAIT):
        dock.reload()
    assert dock.page is page
    dialog.reject()
    qtbot.waitUntil(lambda: dock.page.tool.name == "Upside down", timeout=WAIT)


def test_a_tool_in_a_new_folder_is_seen(qtbot, dock, folder):
    """The folder was seen before a tool lay in it, and was not watched then."""
    inner = folder / "new" / "deeper"
    inner.mkdir(parents=True)
    qtbot.waitUntil(lambda: str(inner) in dock.authors._watcher.watched, timeout=WAIT)
    sleep_tool(inner)
    qtbot.waitUntil(lambda: "sleeper" in dock.toolbox, timeout=WAIT)


def test_changes_without_end_are_told(qtbot, shown):
    watcher = watching.ToolboxWatcher(shown(QWidget()))
    told = []
    watcher.changed.connect(lambda: told.append(watcher._pause))

    def touched() -> bool:
        watcher.touch()
        return len(told) > 2

    qtbot.waitUntil(touched, timeout=WAIT)
    watcher._told = perf_counter()
    watcher._soon.stop()
    watcher._pause = watching._SLOWEST_MS
    watcher.touch()
    assert watcher._pause == watching._SLOWEST_MS  # not rarer
    watcher._soon.stop()
    watcher._told = float("-inf")
    watcher.touch()
    assert watcher._pause == watching._SETTLE_MS


def test_what_changed_before_it_was_watched_is_looked_at(qtbot, shown, folder):
    """A save between the reading of a toolbox and the watch on it was never seen."""
    watcher = watching.ToolboxWatcher(shown(QWidget()))
    box = Toolbox([ToolboxFolder("box", folder)])
    (folder / "invert.xml").write_text("<tool>")
    with qtbot.waitSignal(watcher.changed, timeout=WAIT):
        watcher.follow(box)
    with qtbot.assertNotEmitted(watcher.changed, wait=500):
        watcher.follow(box)


def test_only_so_much_is_watched(qtbot, dock, folder, monkeypatch):
    for number in range(5):
        (folder / f"more{number}").mkdir()
        (folder / f"more{number}" / "m.xml").write_text("<macros/>")
    monkeypatch.setattr(watching, "_MOST", 3)
    watcher = watching.ToolboxWatcher(dock)
    box = Toolbox([ToolboxFolder("box", folder)])
    with qtbot.waitSignal(watcher.followed, timeout=WAIT):
        watcher.follow(box)
    assert str(folder) in watcher.watched
    assert len(watcher.watched) <= 3
    with qtbot.waitSignal(watcher.followed, timeout=WAIT):
        watcher.follow(Toolbox([ToolboxFolder("none", folder / "none")]))
    assert watcher.watched == [str(folder)]  # where it would appear


# -- problems ------------------------------------------------------------------------------


def test_problems_stand_beside_their_lines(qtbot, shown, dock, folder, monkeypatch):
    change(folder / "invert.xml", "</inputs>", '\n<param name="x" type="oops"/></inputs>')
    told = []
    monkeypatch.setattr(problems, "open_path", lambda path: told.append(path) or len(told) < 3)
    panel = shown(dock.authors.show_problems(), width=700)
    qtbot.waitUntil(lambda: panel.rows.topLevelItemCount() > 0, timeout=WAIT)
    rows = [panel.rows.topLevelItem(i) for i in range(panel.rows.topLevelItemCount())]
    first = rows[0]
    assert (first.text(0), first.text(1)) == ("invert.xml", "5")
    assert first.text(2).startswith("Cannot run: inputs/param[x]: The parameter type “oops”")
    place = panel.rows.visualItemRect(first).center()
    qtbot.mouseClick(panel.rows.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert told == [folder / "invert.xml"]
    panel.rows.setFocus()
    qtbot.keyClick(panel.rows, Qt.Key.Key_Return)
    assert len(told) == 2
    panel._open(None)
    panel._open(first)
    assert "no program" in panel.message.text()
    # it follows a save
    change(folder / "invert.xml", '<param name="x" type="oops"/>', "")
    qtbot.waitUntil(lambda: panel.message.text().startswith("1 remark;"), timeout=WAIT)
    change(folder / "invert.xml", "${o}", "${o} ${n}")
    qtbot.waitUntil(lambda: "Nothing is wrong" in panel.message.text(), timeout=WAIT)
    assert dock.authors.show_problems() is panel
    panel.close()


def test_files_that_cannot_be_used_lead_to_the_problems(qtbot, dock, folder):
    (folder / "broken.xml").write_text("<tool>\n<a>\n</tool>")
    qtbot.waitUntil(lambda: dock.toolbox.problems != (), timeout=WAIT)
    (button,) = dock.finder.message.buttons
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    panel = dock.authors._problems
    qtbot.waitUntil(lambda: panel.rows.topLevelItemCount() > 0, timeout=WAIT)
    assert panel.rows.topLevelItem(0).text(1) == "3"
    panel.close()


def test_of_large_toolboxes_only_what_cannot_be_used_is_told(folder, monkeypatch):
    (folder / "broken.xml").write_text("<tool>\n<a>\n</tool>")
    monkeypatch.setattr(problems, "_MOST_CHECKED", 0)
    (one,) = found_problems(
        Toolbox([ToolboxFolder("box", folder), ToolboxFolder("no", folder.parent / "n")])
    )
    assert (one.path.name, one.line) == ("broken.xml", 0)
    assert "line 3" in one.sentence


def test_problems_are_looked_at_again_after_a_failure(qtbot, shown, folder, monkeypatch):
    def fail(_: Toolbox) -> list[problems.Problem]:
        raise DescriptorError("No look.")

    box = Toolbox([ToolboxFolder("box", folder)])
    panel = shown(ProblemsPanel())
    with monkeypatch.context() as context:
        context.setattr(problems, "found_problems", fail)
        panel.look(box)
        qtbot.waitUntil(lambda: "No look." in panel.message.text(), timeout=WAIT)
    with qtbot.waitSignal(panel.shown, timeout=WAIT):
        panel.look(box)


def test_only_the_first_problems_are_listed(qtbot, shown, folder, monkeypatch):
    for name in "abc":
        (folder / f"{name}.xml").write_text("<tool>\n<a>\n</tool>")
    monkeypatch.setattr(problems, "_MOST_SHOWN", 2)
    panel = shown(ProblemsPanel())
    with qtbot.waitSignal(panel.shown, timeout=WAIT):
        panel.look(Toolbox([ToolboxFolder("box", folder)]))
    assert panel.rows.topLevelItemCount() == 2
    assert "the first 2 are shown" in panel.message.text()


# -- new tools -----------------------------------------------------------------------------


def test_a_blank_tool_is_made_and_opened(qtbot, dock, folder, model_viewer):
    model_viewer.add_image(np.ones((8, 8), np.uint8))
    dialog = dock.authors.new_tool()
    assert dialog.folder.text() == str(folder)
    assert not dialog.mine.isVisible()
    assert not dialog.make_button.isEnabled()
    qtbot.keyClicks(dialog.name, "My filter")
    assert not dialog.consent.isVisible()
    with qtbot.waitSignal(dialog.accepted, timeout=WAIT):
        qtbot.mouseClick(dialog.make_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dock.page is not None, timeout=WAIT)
    assert dock.page.tool.path == folder / "my_filter" / "my_filter.xml"
    qtbot.waitUntil(dock.page.run_bar.run_button.isEnabled, timeout=WAIT)
    with qtbot.waitSignal(dock.page.job_finished, timeout=WAIT):
        dock.page.run()
    assert len(model_viewer.layers) == 2
    qtbot.waitUntil(lambda: "my_filter" in dock.toolbox, timeout=WAIT)


def test_a_script_is_started_with_consent_only(qtbot, shown, tmp_path):
    script = tmp_path / "do.py"
    script.write_text(
        "import argparse\np = argparse.ArgumentParser()\n"
        "p.add_argument('--count', type=int, default=3)\np.parse_args()\n"
    )
    dialog = shown(NewToolDialog(), width=560)
    dialog.folder.setText(str(tmp_path / "own"))
    dialog.script.setText(str(tmp_path / "none.py"))
    dialog.name.setText("It")
    assert "no file" in dialog.message.text()
    dialog.script.setText(str(script))
    assert not dialog.make_button.isEnabled()
    assert "Start only what you trust" in dialog.means.text()
    qtbot.mouseClick(dialog.consent, Qt.MouseButton.LeftButton, pos=QPoint(8, 8))
    assert dialog.mine.isVisible()
    assert "from elsewhere" in dialog.mine_means.text()
    qtbot.mouseClick(dialog.make_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(dialog.notes.isVisible, timeout=WAIT)
    assert "add the outputs by hand" in dialog.notes.toPlainText()
    assert trust_state(tmp_path / "own").state is TrustState.MINE
    assert tmp_path / "own" in load_config().toolbox_dirs
    with qtbot.waitSignal(dialog.made, timeout=WAIT) as made:
        qtbot.mouseClick(dialog.make_button, Qt.MouseButton.LeftButton)
    assert read_tool(made.args[0]).name == "It"
    again = shown(NewToolDialog(), width=560)
    again.folder.setText(str(tmp_path / "own"))
    again.name.setText("It")
    assert "there already" in again.message.text()


def test_what_cannot_be_made_is_told(qtbot, shown, tmp_path, monkeypatch):
    script = tmp_path / "do.py"
    script.write_text("1/0")
    monkeypatch.setattr(
        new_tool_dialog.QFileDialog, "getOpenFileName", lambda *_: (str(script), "")
    )
    monkeypatch.setattr(
        new_tool_dialog.QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "box")
    )
    dialog = shown(NewToolDialog(), width=560)
    dialog._ask_script()
    dialog._ask_folder()
    assert dialog.name.text() == "do"
    dialog.consent.setChecked(True)
    dialog.make_button.click()
    qtbot.waitUntil(lambda: "ZeroDivisionError" in dialog.message.text(), timeout=WAIT)
    assert dialog.make_button.isEnabled()


def test_who_closes_the_dialog_ends_the_script(qtbot, dock, tmp_path, manager):
    script, other = tmp_path / "do.py", tmp_path / "other.py"
    script.write_text("import time\ntime.sleep(600)")
    other.write_text("1/0")
    dialog = dock.authors.new_tool()
    dialog.folder.setText(str(tmp_path / "own"))
    dialog.name.setText("It")
    dialog.script.setText(str(other))
    dialog.consent.setChecked(True)
    dialog.script.setText(str(script))
    assert not dialog.consent.isChecked()  # that was for another
    assert not dialog.make_button.isEnabled()
    dialog.consent.setChecked(True)
    dialog.make_button.click()
    making = dialog._making
    running = JobState.RUNNING
    qtbot.waitUntil(lambda: making._job is not None and making._job.state is running, timeout=WAIT)
    with qtbot.waitSignal(dialog.destroyed, timeout=WAIT):
        qtbot.mouseClick(dialog.cancel_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: making._job.state.is_finished, timeout=WAIT)
    assert making._job.state is JobState.CANCELLED
    with pytest.raises(JobCancelledError, match="given up"):
        making.goes_on()  # nor does anything begin, or appear, after that
    assert not (tmp_path / "own").exists()


def test_a_tool_that_vanished_is_told(qtbot, model_viewer, shown, tmp_path):
    panel = shown(ToolRunnerWidget(model_viewer, toolbox=Toolbox([])))
    authors = Authors(model_viewer, panel, Toolbox([]))
    with qtbot.waitSignal(authors.told, timeout=WAIT) as told:
        authors._open(tmp_path / "none.xml")
    assert "no file" in told.args[0]


# -- a test of a run -----------------------------------------------------------------------


def test_a_run_becomes_a_test(qtbot, shown, folder, manager):
    tool = read_tool(folder / "invert.xml")
    run_job(prepare(tool, {"i": np.ones((8, 8), np.uint8)}, config=load_config()))
    panel = shown(HistoryPanel(None, manager=manager), width=500)
    qtbot.waitUntil(lambda: panel.filter.rowCount() == 1, timeout=WAIT)
    panel.select(history(load_config().workspaces)[0].id)
    qtbot.waitUntil(panel.test_action.isEnabled, timeout=WAIT)
    panel.test_action.trigger()
    qtbot.waitUntil(lambda: len(panel.message.buttons) == 2, timeout=WAIT)
    assert "2 files" in panel.message.text()
    assert not (folder / "test-data").exists()
    qtbot.mouseClick(panel.message.buttons[0], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "which passes" in panel.message.text(), timeout=WAIT)
    assert len(read_tool(folder / "invert.xml").tests) == 1
