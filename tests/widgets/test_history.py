"""The list of jobs, with real jobs: found, repeated, edited, shown, compared, deleted."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from napari.layers import Image
from napari.layers._source import layer_source
from qtpy.QtCore import QItemSelectionModel, Qt
from qtpy.QtGui import QGuiApplication
from run_tools import fail_tool, invert_tool, sleep_tool

from napari_tool_runner.jobs import (
    AddedResult,
    Extent,
    JobManager,
    RunRecord,
    prepare,
    read_record,
    remembered,
    run_job,
    take_back,
)
from napari_tool_runner.jobs.record import RecordedTool
from napari_tool_runner.widgets.forms.extents import Choice
from napari_tool_runner.widgets.forms.presets import PresetStore
from napari_tool_runner.widgets.history.facts import FactsView
from napari_tool_runner.widgets.history.fill import fill_form
from napari_tool_runner.widgets.history.model import Column
from napari_tool_runner.widgets.history.panel import HistoryPanel
from napari_tool_runner.widgets.history.words import when_text
from napari_tool_runner.widgets.tool_widget import ToolWidget

if TYPE_CHECKING:
    from collections.abc import Callable

WAIT = 30_000


class Place:
    """A workspace with jobs, and the panel on it."""

    def __init__(self, tmp_path: Path, viewer, qtbot, shown) -> None:
        self.jobs = tmp_path / "jobs"
        self.config = {"workspace": str(self.jobs)}
        self.manager = JobManager()
        self.viewer = viewer
        self.pages: list[ToolWidget] = []
        self._folder = tmp_path
        self._qtbot = qtbot
        self._shown = shown

    def run(self, tool, **values):
        """Run a job of an earlier session."""
        job = prepare(tool, values, config=self.config)
        try:
            run_job(job)
        finally:
            job.record()
        return job

    def panel(self, width: int = 350) -> HistoryPanel:
        """The panel, all records read."""
        panel = HistoryPanel(
            self.viewer,
            manager=self.manager,
            workspaces=lambda: self.jobs,
            open_tool=self.open_tool,
        )
        with self._qtbot.waitSignal(panel.model.loaded, timeout=WAIT):
            self._shown(panel, width=width)
        return panel

    def open_tool(self, tool) -> ToolWidget:
        page = ToolWidget(
            tool, self.viewer, manager=self.manager, presets=PresetStore(self._folder / "presets")
        )
        self.pages.append(page)
        return self._shown(page)

    def told(self, panel: HistoryPanel, words: str) -> str:
        self._qtbot.waitUntil(lambda: words in panel.message.text(), timeout=WAIT)
        return panel.message.text()


@pytest.fixture
def place(tmp_path, model_viewer, qtbot, shown, monkeypatch):
    """An empty workspace, which the configuration names too."""
    config = tmp_path / "config.json"
    dirs = {"xml_dirs": [str(tmp_path / "tools")]}
    config.write_text(json.dumps({"workspace": str(tmp_path / "jobs"), "process": dirs}))
    monkeypatch.setenv("NAPARI_TOOL_RUNNER_CONFIG", str(config))
    place = Place(tmp_path, model_viewer, qtbot, shown)
    yield place
    place.manager.shutdown()


@pytest.fixture
def tools(tmp_path):
    return tmp_path / "tools"


def choose(panel: HistoryPanel, *rows: int) -> None:
    """Select rows of the list."""
    selection = panel.view.selectionModel()
    selection.clear()
    selection.setCurrentIndex(
        panel.filter.index(rows[0], 0), QItemSelectionModel.SelectionFlag.NoUpdate
    )
    flags = QItemSelectionModel.SelectionFlag
    for row in rows:
        selection.select(panel.filter.index(row, 0), flags.Select | flags.Rows)


def clipboard() -> str:
    return QGuiApplication.clipboard().text()


def layer(cells, name: str = "cells"):
    return (cells, {"name": name, "scale": (0.5, 0.25)}, "image")


def test_jobs_of_earlier_sessions_are_listed(place, tools, cells):
    tool = invert_tool(tools)
    first = place.run(tool, i=layer(cells), n=1)
    second = place.run(tool, i=layer(cells), n=2)
    with pytest.raises(Exception, match="Fail"):
        place.run(fail_tool(tools))
    panel = place.panel()
    assert [row.id for row in panel.model.rows][1:] == [second.id, first.id]
    assert [row.state for row in panel.model.rows] == ["failed", "done", "done"]
    assert panel.count.text() == "3 jobs"
    assert panel.facts.isHeaderHidden(), "no job is chosen"
    index = panel.filter.index(1, 0)
    assert index.data() == "Done", "a word, not only an icon"
    assert "Number: 2" in index.data(Qt.ItemDataRole.ToolTipRole)
    assert "Number 2" in index.data(Qt.ItemDataRole.AccessibleTextRole)
    assert panel.filter.index(1, Column.TOOL).data() == tool.name
    assert "cells" in panel.filter.index(1, Column.PARAMETERS).data()


def test_rows_say_first_what_differs_from_the_run_before(qtbot, place, tools, cells):
    tool = invert_tool(tools)
    place.run(tool, i=layer(cells, name="others"), n=1)
    place.run(tool, i=layer(cells), n=1)
    with pytest.raises(Exception, match="Fail"):
        place.run(fail_tool(tools))
    last = place.run(tool, i=layer(cells), n=2)
    panel = place.panel()
    said = [panel.filter.index(row, Column.PARAMETERS).data() for row in (0, 2, 3)]
    assert said == ["Number 1 → 2 · cells", "cells · Number 1", "others · Number 1"]
    assert panel.filter.index(0, 0).data() == "Done"
    take_back(place.viewer, AddedResult(job=last.id))
    with qtbot.waitSignal(panel.model.dataChanged, timeout=WAIT):
        panel.model.follow()
    assert panel.filter.index(0, 0).data() == "Taken back"
    assert not panel.grab().isNull()


def test_search_and_state(qtbot, place, tools, cells):
    tool = invert_tool(tools)
    place.run(tool, i=layer(cells, "nuclei"), n=7)
    place.run(tool, i=layer(cells, "actin"), n=8)
    with pytest.raises(Exception, match="Fail"):
        place.run(fail_tool(tools))
    panel = place.panel()

    def shown() -> list[str]:
        return [
            panel.filter.index(row, Column.PARAMETERS).data()
            for row in range(panel.filter.rowCount())
        ]

    qtbot.keyClicks(panel.search, "nuclei n=7")
    qtbot.waitUntil(lambda: len(shown()) == 1, timeout=WAIT)
    assert shown()[0].startswith("nuclei")
    assert panel.count.text() == "1 of 3 jobs"
    panel.search.clear()
    panel.states.setFocus()
    qtbot.keyClicks(panel.states, "Failed")
    qtbot.waitUntil(lambda: panel.filter.rowCount() == 1, timeout=WAIT)
    assert panel.filter.index(0, 0).data() == "Failed"


def test_columns_when_there_is_room(place, tools, cells):
    tool = invert_tool(tools)
    place.run(tool, i=layer(cells), n=1)
    place.run(tool, i=layer(cells), n=9)
    narrow = place.panel(350)
    assert narrow.view.compact
    assert narrow.view.isColumnHidden(Column.TOOL)
    wide = place.panel(800)
    assert not wide.view.compact
    assert not wide.view.isColumnHidden(Column.PARAMETERS)
    wide.view.sortByColumn(Column.PARAMETERS, Qt.SortOrder.AscendingOrder)
    assert "Number 1" in wide.filter.index(0, Column.PARAMETERS).data()
    wide.view.sortByColumn(Column.WHEN, Qt.SortOrder.DescendingOrder)
    assert "Number 1 → 9" in wide.filter.index(0, Column.PARAMETERS).data()


def test_run_again_by_button(qtbot, place, tools, cells):
    place.run(invert_tool(tools), i=layer(cells), n=3)
    panel = place.panel()
    choose(panel, 0)
    with qtbot.waitSignal(panel.actions_.finished, timeout=WAIT):
        qtbot.mouseClick(panel.again_button, Qt.MouseButton.LeftButton)
    place.told(panel, "The same result as then.")
    (result,) = place.viewer.layers
    np.testing.assert_array_equal(np.asarray(result.data), 255 - cells)
    assert tuple(result.scale) == (0.5, 0.25)
    (job,) = place.manager.jobs
    assert job.values["n"] == 3
    qtbot.waitUntil(lambda: len(panel.model.rows) == 2, timeout=WAIT)
    assert panel.model.rows[0].id == job.id == remembered(result).id


def test_a_repeated_run_outlives_the_panel(qtbot, place, tools, cells):
    place.run(invert_tool(tools), i=layer(cells))
    panel = place.panel()
    choose(panel, 0)
    panel.again_action.trigger()
    qtbot.waitUntil(lambda: len(place.manager.jobs) == 1, timeout=WAIT)
    panel.actions_.deleteLater()
    qtbot.waitUntil(lambda: len(place.viewer.layers) == 1, timeout=WAIT)


def test_run_again_of_what_is_gone(qtbot, place, tools, cells):
    job = place.run(invert_tool(tools), i=layer(cells))
    panel = place.panel()
    choose(panel, 0)
    shutil.rmtree(job.workspace.paths.inputs)
    panel.again_action.trigger()
    assert "gone" in place.told(panel, "cannot be run again")
    assert [button.text() for button in panel.message.buttons] == ["Edit and run again…"]
    shutil.rmtree(job.workspace.root)
    for action in (panel.again_action, panel.edit_action, panel.layers_action, panel.json_action):
        panel.message.say("")
        action.trigger()
        assert "are gone" in panel.message.text()
    assert place.manager.jobs == ()
    assert len(place.viewer.layers) == 0


@pytest.mark.parametrize("source", ["layer", "file", "nothing", "unrelated"])
def test_edit_and_run_again(qtbot, place, tools, cells, source, tmp_path, monkeypatch):
    job = place.run(invert_tool(tools), i=layer(cells), n=42)
    place.viewer.add_image(cells[::2], name="another")
    if source == "layer":
        place.viewer.add_image(cells, name="cells")
    if source in ("nothing", "unrelated"):
        shutil.rmtree(job.workspace.paths.inputs)
    if source == "unrelated":  # what the data was ("array") is no name of a file
        (tmp_path / "array").write_bytes(b"unrelated")
        monkeypatch.chdir(tmp_path)
    panel = place.panel()
    choose(panel, 0)
    qtbot.mouseClick(panel.edit_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(place.pages), timeout=WAIT)
    (page,) = place.pages
    qtbot.waitUntil(lambda: "filled" in page.run_bar.message.text(), timeout=WAIT)
    values = page.form.values()
    assert values["n"] == 42
    if source == "layer":
        assert values["i"] is place.viewer.layers["cells"]
    elif source == "file":
        assert Path(values["i"]).is_relative_to(job.workspace.root)
        with qtbot.waitSignal(page.job_finished, timeout=WAIT):
            page.run()
        np.testing.assert_array_equal(np.asarray(place.viewer.layers[-1].data), 255 - cells)
    else:
        assert "neither an open layer nor a file" in page.run_bar.message.text()


SIZED = {"scale": (0.5, 0.5), "units": ("um", "um")}


@pytest.mark.parametrize(
    ("went_in", "gone", "here", "wanted"),
    [
        ("sized", False, {}, (84, "42 µm before, now 84 px (0.5 µm per px there).")),
        ("sized", True, {}, (84, "42 µm before, now 84 px (0.5 µm per px there).")),
        ("sized", False, SIZED, (42, "")),
        ("plain", False, SIZED, (21, "42 px before, now 21 µm (0.5 µm per px).")),
        ("plain", True, SIZED, (42, "Given without a unit: taken as 42 µm.")),
        ("file", False, {}, (84, "42 µm before, now 84 px (0.5 µm per px there).")),
        ("opened", False, {}, (84, "42 µm before, now 84 px (0.5 µm per px there).")),
        ("file", False, SIZED, (42, "")),
    ],
)
def test_a_length_of_a_past_job_is_what_it_was(
    qtbot, place, tools, cells, tmp_path, went_in, gone, here, wanted
):
    """Run again on another picture, and the same name with another pixel size."""
    number = '<param name="d" type="float" value="10" unit="µm or px"/>'
    tool = invert_tool(tools, more=number)
    path = tmp_path / "cells.tif"
    sizes = {f"PhysicalSize{axis}": 0.5 for axis in "XY"}
    tifffile.imwrite(path, cells, ome=True, metadata={"axes": "YX", **sizes})
    with layer_source(path=str(path), reader_plugin="napari"):
        opened = Image(cells, name="cells")
    given = {
        "sized": (cells, {"name": "cells", **SIZED}, "image"),
        "plain": (cells, {"name": "cells"}, "image"),
        "file": path,
        "opened": opened,
    }
    job = place.run(tool, i=given[went_in], d=42)
    if gone:
        shutil.rmtree(job.workspace.paths.inputs)
    there = place.viewer.add_image(cells, name="cells", **here)
    record = read_record(job.workspace.root / "record.json")
    for data in (False, True):
        page = place.open_tool(tool)
        fill_form(page, record, "said", data=data)
        qtbot.waitUntil(lambda page=page: "said" in page.run_bar.message.text(), timeout=WAIT)
        page.set_values({"i": there})
        qtbot.waitUntil(lambda page=page: not page.form.units.asking, timeout=WAIT)
        assert (page.form.values()["d"], page.form.row("d").message()) == wanted


def test_what_changed_since_is_told(qtbot, place, tools, cells):
    """In the form that is filled again, and beside what was copied."""
    job = place.run(invert_tool(tools), i=layer(cells))
    assert job.record()
    (copied,) = job.workspace.paths.inputs.iterdir()
    copied.write_bytes(copied.read_bytes() + b"more")
    panel = place.panel()
    choose(panel, 0)
    qtbot.mouseClick(panel.edit_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(place.pages), timeout=WAIT)
    (page,) = place.pages
    qtbot.waitUntil(lambda: "has changed since" in page.run_bar.message.text(), timeout=WAIT)
    assert "is filled as it was then" in page.run_bar.message.text()
    panel.actions_.copy([read_record(job.workspace.record_path)], "command")
    place.told(panel, "has changed since")


@pytest.mark.parametrize("mode", ["each", "current"])
def test_edit_restores_what_of_the_layer_went_in(qtbot, place, tools, cells, mode):
    stack = np.stack([cells, cells // 2])
    layer = place.viewer.add_image(stack, name="stack")
    extent = Extent(mode, position=(1, 0, 0))
    job = prepare(invert_tool(tools), {"i": layer}, config=place.config, extent=extent)
    run_job(job)
    job.record()
    panel = place.panel()
    choose(panel, 0)
    panel.edit_action.trigger()
    qtbot.waitUntil(lambda: bool(place.pages), timeout=WAIT)
    (page,) = place.pages
    qtbot.waitUntil(lambda: "filled" in page.run_bar.message.text(), timeout=WAIT)
    if mode == "each":
        assert page.form.values()["i"] is layer
        assert page.extent_bar.choice is Choice.EACH
    else:
        assert Path(page.form.values()["i"]).is_relative_to(job.workspace.root)
        assert "a part of the layer" in page.run_bar.message.text()


def test_show_the_layers_it_made(qtbot, place, tools, cells):
    job = place.run(invert_tool(tools), i=layer(cells))
    mine = place.viewer.add_image(cells, name="mine")
    panel = place.panel()
    choose(panel, 0)
    qtbot.keyClick(panel.view, Qt.Key.Key_Return)
    place.told(panel, "Added")
    assert place.viewer.layers[0] is mine
    made = place.viewer.layers[1]
    np.testing.assert_array_equal(np.asarray(made.data), 255 - cells)
    assert tuple(made.scale) == (0.5, 0.25)
    assert remembered(made).id == job.id


def test_layers_that_are_open_are_shown_and_not_added_again(qtbot, place, tools, cells):
    tool = invert_tool(tools)
    place.run(tool, i=layer(cells))
    mine = place.viewer.add_image(cells, name="mine")
    panel = place.panel()
    choose(panel, 0)
    panel.layers_action.trigger()
    place.told(panel, "Added")
    made = place.viewer.layers[1]
    made.visible, made.name = False, "renamed"
    place.viewer.layers.selection = {mine}
    panel.layers_action.trigger()
    place.told(panel, "“renamed” is open already.")
    assert [*place.viewer.layers] == [mine, made]
    assert made.visible
    assert place.viewer.layers.selection.active is made
    made.data = cells  # changed by hand: it is not what the job made
    panel.layers_action.trigger()
    place.told(panel, "Added")
    np.testing.assert_array_equal(np.asarray(place.viewer.layers[2].data), 255 - cells)


def test_what_covers_an_open_result_is_hidden_and_comes_back(qtbot, place, tools, cells):
    tool = invert_tool(tools)
    first = place.run(tool, i=layer(cells))
    second = place.run(tool, i=layer(cells + 1))
    mine = place.viewer.add_image(cells, name="mine")
    panel = place.panel()
    for job in (first, second):
        panel.message.say("")
        qtbot.waitUntil(lambda job=job: panel.select(job.id), timeout=WAIT)
        panel.layers_action.trigger()
        place.told(panel, "Added")
    old, new = place.viewer.layers[1:]
    place.viewer.layers.move(0, 2)
    assert panel.select(first.id)
    panel.layers_action.trigger()
    place.told(panel, f"“{old.name}” is open already. “{new.name}” above is hidden.")
    assert [one.visible for one in (old, new, mine)] == [True, False, True]
    (again,) = panel.message.buttons
    assert again.text() == "Show it again"
    again.click()
    assert new.visible
    old.visible, new.blending = False, "additive"
    panel.layers_action.trigger()
    place.told(panel, f"“{old.name}” is open already.")
    assert new.visible, "it is seen through"


def test_grey_buttons_say_why(place, tools, cells):
    tool = invert_tool(tools)
    place.run(tool, i=layer(cells), n=1)
    with pytest.raises(Exception, match="Fail"):
        place.run(fail_tool(tools))
    panel = place.panel()
    again, layers = panel.again_button, panel.layers_button
    assert "Choose a job" in again.toolTip()
    choose(panel, 0, 1)
    assert not again.isEnabled()
    assert "one job" in again.toolTip().replace("<br>", " ")
    assert "Copy as" in again.toolTip()
    choose(panel, 0)
    assert "<br>" not in again.toolTip()
    assert "made no layers" in layers.toolTip()
    choose(panel, 1)
    assert "no layers" not in layers.toolTip()


def test_compare_two_runs(place, tools, cells):
    tool = invert_tool(tools)
    place.run(tool, i=layer(cells), n=1)
    place.run(tool, i=layer(cells), n=2)
    panel = place.panel()
    assert not panel.compare_action.isEnabled()
    choose(panel, 0, 1)
    assert panel.compare_action.isEnabled()
    assert panel.tabs.tabText(0) == "What differs"
    facts = {row[0]: row[1:] for row in panel.facts.facts()}
    assert facts["Number"] == ["1", "2"], "the older run first"
    assert "Image" not in facts, "the same pixels"
    choose(panel, 0)
    assert ["Number", "2"] in panel.facts.facts()


def test_a_record_that_tells_without_end_is_shown_in_part(qtbot, tmp_path):
    parameters = {"long": "word " * 10_000, **{f"p{number}": "x" for number in range(5000)}}
    record = RunRecord(folder=tmp_path, id="x", tool=RecordedTool("t"), parameters=parameters)
    view = FactsView()
    qtbot.addWidget(view)
    view.show_record(record)
    rows = view.facts()
    assert len(rows) < 600
    assert all(len(text) <= 5001 for row in rows for text in row)
    assert ["…", "There is more, in the record itself."] in rows


def test_names_of_facts_have_the_room_that_they_need(qtbot, shown, tmp_path):
    name = "One threshold for all of it, or for each time point and channel"
    record = RunRecord(folder=tmp_path, id="x", tool=RecordedTool("t"), parameters={name: "all"})
    view = shown(FactsView(), 320, 300)
    view.show_record(record)
    assert view.columnWidth(0) <= 160, "the values have the larger part"
    (at,) = view.findItems(name, Qt.MatchFlag.MatchExactly | Qt.MatchFlag.MatchRecursive)
    line = view.fontMetrics().lineSpacing()
    qtbot.waitUntil(lambda: view.visualItemRect(at).height() >= 3 * line, timeout=WAIT)
    view.resize(900, 300)
    view.show_record(record)
    needed = view.fontMetrics().horizontalAdvance(name)
    qtbot.waitUntil(lambda: view.columnWidth(0) > needed, timeout=WAIT)


def test_copy(qtbot, place, tools, cells):
    job = place.run(invert_tool(tools), i=layer(cells), n=5)
    panel = place.panel()
    choose(panel, 0)
    panel.python_action.trigger()
    place.told(panel, "as a Python script")
    compile(clipboard(), "copied", "exec")
    assert "'n': 5" in clipboard()
    panel.command_action.trigger()
    place.told(panel, "as a command line")
    assert clipboard().startswith("napari-tool-runner run ")
    panel.json_action.trigger()
    place.told(panel, "as JSON")
    assert json.loads(clipboard())["id"] == job.id
    assert panel.message.kind() == "done"


def test_export(qtbot, place, tools, cells, tmp_path, monkeypatch):
    pytest.importorskip("rocrate")
    place.run(invert_tool(tools), i=layer(cells))
    panel = place.panel()
    choose(panel, 0)
    target = tmp_path / "out.zip"
    monkeypatch.setattr(
        "napari_tool_runner.widgets.history.panel.QFileDialog.getSaveFileName",
        lambda *_: (str(target), ""),
    )
    panel.export_action.trigger()
    place.told(panel, "Written to")
    assert "ro-crate-metadata.json" in zipfile.ZipFile(target).namelist()
    panel.export_action.trigger()
    place.told(panel, "exists already")


def test_delete_asks_and_spares_what_layers_use(qtbot, place, tools, cells):
    job = place.run(invert_tool(tools), i=layer(cells))
    panel = place.panel()
    choose(panel, 0)
    panel.layers_action.trigger()
    place.told(panel, "Added")
    panel.delete_action.trigger()
    assert "Nothing was deleted" in panel.message.text()
    place.viewer.layers.clear()
    panel.delete_action.trigger()
    place.told(panel, "Delete this job")
    _, keep = panel.message.buttons
    assert job.workspace.root.exists()
    keep.click()
    assert job.workspace.root.exists()
    panel.delete_action.trigger()
    place.told(panel, "Delete this job")
    panel.message.buttons[0].click()
    qtbot.waitUntil(lambda: panel.model.rowCount() == 0, timeout=WAIT)
    assert not job.workspace.root.exists()


def test_a_running_job_is_followed_and_cancelled(qtbot, place, tools):
    panel = place.panel()
    assert "run a tool" in panel.count.text()
    job = place.manager.submit(sleep_tool(tools), {}, config=place.config)
    qtbot.waitUntil(lambda: panel.model.rowCount() == 1, timeout=WAIT)
    choose(panel, 0)
    qtbot.waitUntil(lambda: panel.filter.index(0, 0).data() == "Running", timeout=WAIT)
    assert not panel.again_action.isEnabled()
    assert not panel.delete_action.isEnabled()
    panel.tabs.show_log()
    panel.cancel_action.trigger()
    qtbot.waitUntil(lambda: panel.filter.index(0, 0).data() == "Cancelled", timeout=WAIT)
    assert job.state.value == "cancelled"
    qtbot.waitUntil(panel.again_action.isEnabled, timeout=WAIT)
    qtbot.waitUntil(lambda: "pid" in panel.log.toPlainText(), timeout=WAIT)


def test_the_log_of_a_past_job(qtbot, place, tools):
    with pytest.raises(Exception, match="Fail"):
        place.run(fail_tool(tools))
    panel = place.panel()
    choose(panel, 0)
    panel.log_action.trigger()
    qtbot.waitUntil(lambda: "no such threshold method" in panel.log.toPlainText(), timeout=WAIT)
    assert any(fact[0] == "Message" for fact in panel.facts.facts())


def test_select_by_id_despite_the_filter(qtbot, place, tools, cells):
    tool = invert_tool(tools)
    first = place.run(tool, i=layer(cells), n=1)
    place.run(tool, i=layer(cells), n=2)
    panel = place.panel()
    panel.search.setText("nothing has this")
    panel._search()
    assert panel.filter.rowCount() == 0
    assert panel.select(first.id)
    assert [row.id for row in panel.rows()] == [first.id]
    panel.select("20000101-000000-abcdef")
    place.told(panel, "is gone")


def test_what_others_delete_leaves_the_list(qtbot, place, tools, cells):
    job = place.run(invert_tool(tools), i=layer(cells))
    broken = job.workspace.root.parent / "20990101-000000-aaaaaa"
    broken.mkdir()
    (broken / "record.json").write_text('{"tool": 3, "times": []}')
    panel = place.panel()
    shutil.rmtree(job.workspace.root)
    with qtbot.waitSignal(panel.model.loaded, timeout=WAIT):
        panel.reload_button.click()
    assert job.id not in [row.id for row in panel.model.rows]


@pytest.fixture
def many(tmp_path) -> Callable[[int], Path]:
    """Makes a workspace with that many records."""

    def make(count: int) -> Path:
        folder = tmp_path / "many"
        for number in range(count):
            job_id = (
                f"20260101-{number // 3600:02d}{number // 60 % 60:02d}{number % 60:02d}-aaaaaa"
            )
            job = folder / f"tool{number % 7}" / job_id
            job.mkdir(parents=True)
            created = f"2026-01-01T{number // 3600:02d}:{number // 60 % 60:02d}:{number % 60:02d}"
            record = {
                "id": job_id,
                "state": "done",
                "tool": {"id": f"tool{number % 7}", "name": f"Tool {number % 7}"},
                "parameters": {"sigma": number / 10, "method": "otsu"},
                "inputs": [],
                "outputs": [],
                "times": {"created": created + "+00:00", "seconds": 1.5},
            }
            (job / "record.json").write_text(json.dumps(record))
        return folder

    return make


def test_thousands_of_records_never_block(qtbot, shown, many):
    folder = many(3000)
    panel = HistoryPanel(None, manager=JobManager(), workspaces=lambda: folder)
    laid_out: list[int] = []
    panel.model.rowsInserted.connect(lambda _, first, last: laid_out.append(last - first))
    shown(panel)
    turns = 0
    while panel.model.busy:  # the event loop turns meanwhile, however long all takes
        qtbot.wait(1)
        turns += 1
    assert turns > 3
    assert panel.model.rowCount() == 3000
    assert len(laid_out) <= 7, "each time the view asks for every row"
    ids = [row.id for row in panel.model.rows]
    assert ids == sorted(ids, reverse=True)
    panel.search.setText("tool3 sigma=100.4")
    panel._search()
    assert panel.filter.rowCount() == 1
    # unchanged records are not read again
    with qtbot.waitSignal(panel.model.loaded, timeout=WAIT):
        panel.model.refresh()
        scan = panel.model._scan
        scan.ended.wait(10)
        assert scan.batch() == []


def test_when():
    from datetime import datetime, timedelta

    now = datetime(2026, 7, 15, 12, 0).astimezone()
    assert when_text(now - timedelta(hours=1), now) == "11:00"
    assert when_text(now - timedelta(days=1), now) == "Yesterday 12:00"
    assert when_text(now.replace(month=3, day=2), now) == "2 Mar 12:00"
    assert when_text(now.replace(year=2024), now) == "15 Jul 2024"
    assert when_text(None) == ""
