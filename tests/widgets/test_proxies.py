"""A viewer and layers as napari gives them to plugins: behind proxies, which are made anew."""

from __future__ import annotations

import numpy as np
import pytest
from napari.utils._proxies import PublicOnlyProxy
from widget_tools import opened

import napari_tool_runner as ntr
from napari_tool_runner.jobs import as_python, prepare, read_record, remembered, run_job
from napari_tool_runner.jobs.past.chain import chain_of
from napari_tool_runner.sample_data import cells_2d
from napari_tool_runner.widgets.dock import ToolRunnerWidget

WAIT = 60_000
CHAIN = ("gaussian_filter", "threshold", "split_touching")
WIDGET = "Tool Runner"


@pytest.mark.viewer
def test_the_chain_in_the_dock_that_napari_opens(qtbot, make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    viewer.open_sample("napari-tool-runner", "cells_2d")
    viewer.layers.selection.active = viewer.layers["Nuclei"]
    _, dock = viewer.window.add_plugin_dock_widget("napari-tool-runner", WIDGET)
    for tool in CHAIN:
        ran(qtbot, dock, tool)
        viewer.layers.selection.active = last = newest(viewer)
    steps = chain_of(read_record(remembered(last).path))
    assert [step.name for step in steps] == [*CHAIN]
    assert [len(step.made) for step in steps] == [0, 1, 1]
    assert as_python(steps[-1].record).count("= run(") == 3


def newest(viewer):
    """Return the layer of the job that ended last."""
    ours = [layer for layer in viewer.layers if remembered(layer) is not None]
    return max(ours, key=lambda layer: remembered(layer).id)


@pytest.fixture
def behind(model_viewer):
    """Return the proxy of a viewer with the nuclei."""
    data, told, _ = next(one for one in cells_2d() if one[1]["name"] == "Nuclei")
    model_viewer.add_image(data, **told)
    return PublicOnlyProxy(model_viewer)


def ran(qtbot, dock, tool):
    page = opened(qtbot, dock, tool)
    qtbot.waitUntil(page.run_bar.run_button.isEnabled)
    with qtbot.waitSignal(page.job_finished, timeout=WAIT):
        page.run_bar.run_button.click()
    return page


def test_a_chain_that_was_run_in_naparis_own_dock_is_known(qtbot, model_viewer, manager, behind):
    dock = ToolRunnerWidget(behind, manager=manager)
    qtbot.addWidget(dock)
    dock.show()
    for tool in CHAIN:
        page = ran(qtbot, dock, tool)
        (leaf,) = [leaf for leaf in page.form.model.leaves() if leaf.is_data]
        assert any(leaf.value is layer for layer in model_viewer.layers), "no proxy"
        model_viewer.layers.selection.active = model_viewer.layers[-1]
    steps = chain_of(read_record(remembered(model_viewer.layers[-1]).path))
    assert [step.name for step in steps] == [*CHAIN]


def test_a_script_of_a_plugin_gives_proxies(model_viewer, behind):
    (smooth,) = ntr.run_in_viewer(behind, "gaussian_filter", input="Nuclei")
    assert model_viewer.layers[-1] is smooth
    job = prepare("threshold", {"input": behind.layers[-1], "method": "li"})
    assert job.request.sources == {"input": smooth}
    run_job(job)
    steps = chain_of(job.recorded())
    assert [step.name for step in steps] == ["gaussian_filter", "threshold"]


def test_many_layers_of_one_input_are_unwrapped(behind, tmp_path):
    from napari_tool_runner.tools.model import DataParameter
    from napari_tool_runner.tools.values import coerce

    many = DataParameter(name="many", multiple=True)
    found = coerce(many, [behind.layers[0], tmp_path])
    assert [type(one).__name__ for one in found] == ["Image", type(tmp_path).__name__]
    assert np.shape(coerce(many, np.zeros(3))) == (3,)
