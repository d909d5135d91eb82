"""From a layer back to the job that made it."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication
from run_tools import invert_tool

from napari_tool_runner.errors import WorkspaceError
from napari_tool_runner.jobs import JobManager, add_result, prepare, run_job
from napari_tool_runner.tools.toolbox.box import Toolbox
from napari_tool_runner.widgets.dock import ToolRunnerWidget, history_dock, runner_dock
from napari_tool_runner.widgets.history.made_by import MadeByBar, record_of_layer, show_how_made
from napari_tool_runner.widgets.history.panel import HistoryPanel

WAIT = 30_000


@pytest.fixture
def result(tmp_path, cells, monkeypatch):
    """A job that ran, in the workspace of the configuration; `add` puts its layer anywhere."""
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"workspace": str(tmp_path / "jobs")}))
    monkeypatch.setenv("NAPARI_TOOL_RUNNER_CONFIG", str(config))
    job = prepare(
        invert_tool(tmp_path / "tools"), {"i": (cells, {"name": "cells"}, "image"), "n": 9}
    )
    made = run_job(job)
    job.record()
    return job, lambda viewer: add_result(viewer, made, job).layers[0]


def test_the_bar_follows_the_selection(shown, model_viewer, cells, result):
    bar = shown(MadeByBar(model_viewer, lambda: None, lambda tool: None), height=40)
    layers = model_viewer.layers
    plain = layers.selection.active = model_viewer.add_image(cells, name="plain")
    assert bar.isHidden()
    made = result[1](model_viewer)
    layers.selection.active = made
    assert not bar.isHidden()
    assert bar.text.text() == "Made by Invert"
    layers.selection.active = plain
    assert bar.isHidden()
    layers.clear()
    assert bar.isHidden()


def test_without_a_window_it_is_a_sentence(shown, model_viewer, result):
    bar = shown(MadeByBar(model_viewer, lambda: None, lambda tool: None), height=40)
    model_viewer.layers.selection.active = result[1](model_viewer)
    bar.how_button.click()
    assert "no window" in bar.text.text()
    with pytest.raises(WorkspaceError, match="not made by a tool"):
        show_how_made(model_viewer.add_points(np.zeros((1, 2)), name="p"), lambda: None)


def test_what_a_layer_remembers_when_the_files_are_gone(model_viewer, result):
    job, add = result
    layer = add(model_viewer)
    assert record_of_layer(layer).state == "done"
    shutil.rmtree(job.workspace.root)
    entry = record_of_layer(layer)
    assert entry.id == job.id
    assert entry.parameters["n"] == 9


@pytest.mark.viewer
def test_in_the_window(qtbot, make_napari_viewer, cells, result, tmp_path):
    job, add = result
    viewer = make_napari_viewer(show=True)
    manager = JobManager()
    dock = ToolRunnerWidget(
        viewer, toolbox=Toolbox([], cache_dir=tmp_path / "cache"), manager=manager
    )
    viewer.window.add_dock_widget(dock, name="Tool Runner")
    viewer.add_image(cells[::-1], name="other")
    layer = add(viewer)
    viewer.layers.selection.active = layer
    assert not dock.made_by.isHidden()
    dock.made_by.how_button.click()
    panel = history_dock(viewer)
    assert isinstance(panel, HistoryPanel)
    assert history_dock(viewer) is panel, "not a second one"
    assert runner_dock(viewer) is dock
    qtbot.waitUntil(lambda: [row.id for row in panel.rows()] == [job.id], timeout=WAIT)
    assert not panel.isHidden()
    dock.made_by.again_button.click()
    page = dock.page
    assert page is not None
    assert page.tool.id == "invert"
    qtbot.waitUntil(lambda: page.form.values()["n"] == 9, timeout=WAIT)
    shutil.rmtree(job.workspace.root)
    viewer.layers.selection.active = layer
    dock.made_by.how_button.click()
    assert "remembers" in panel.message.text()
    assert ["n", "9"] in panel.facts.facts()
    QApplication.processEvents()
    manager.shutdown()


@pytest.mark.viewer
def test_as_commands_of_the_menu(qtbot, make_napari_viewer, result):
    from napari._app_model import get_app_model

    from napari_tool_runner.widgets.history import layer_commands

    viewer = make_napari_viewer(show=True)
    layer_commands.show_how_made(viewer)  # a notification, no error
    layer = result[1](viewer)
    viewer.layers.selection.active = layer
    app = get_app_model()
    inject = app.injection_store.inject(layer_commands.show_how_made)
    inject()  # as the menu does: the viewer is handed in
    panel = history_dock(viewer)
    qtbot.waitUntil(lambda: [row.id for row in panel.rows()] == [result[0].id], timeout=WAIT)
