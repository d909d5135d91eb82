"""`run_in_viewer`: the window goes on while it waits; it can be awaited, or call back."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from qtpy.QtCore import QTimer

import napari_tool_runner as ntr
from napari_tool_runner.errors import JobCancelledError, ParameterError, ToolFailedError
from napari_tool_runner.tools import Tool, read_tool

if TYPE_CHECKING:
    from napari.components import ViewerModel

WAITS = """
import os, sys, time, tifffile
end = time.monotonic() + 120
while not os.path.exists(sys.argv[3]):
    if time.monotonic() > end:
        sys.exit("the window stood still")
    time.sleep(0.01)
tifffile.imwrite(sys.argv[2], tifffile.imread(sys.argv[1]) + 1)
"""


@pytest.fixture
def config(tmp_path: Path) -> dict[str, object]:
    (tmp_path / "tools").mkdir()
    return {
        "workspace": str(tmp_path / "jobs"),
        "process": {"xml_dirs": [str(tmp_path / "tools")]},
        "runner": {"service": "LOCAL"},
    }


@pytest.fixture
def tool(tmp_path: Path, config: dict[str, object]) -> Tool:
    """A tool that waits for a file, which somebody has to make meanwhile."""
    folder = tmp_path / "tools"
    (folder / "waits.py").write_text(WAITS)
    (folder / "waits.xml").write_text(
        '<tool id="waits" name="Wait" version="1">'
        "<command>python '$__tool_directory__/waits.py' ${i} ${o} ${sign}</command>"
        '<inputs><param name="i" type="data" format="imagetiff" label="Image"/>'
        '<param name="sign" type="file" value="" label="Sign"/></inputs>'
        '<outputs><data name="o" format="imagetiff" label="Brighter"/></outputs></tool>'
    )
    return read_tool(folder / "waits.xml")


@pytest.fixture
def start(
    model_viewer: ViewerModel, tool: Tool, config: dict[str, object], tmp_path: Path
) -> Callable[..., list[object]]:
    model_viewer.add_image(np.zeros((4, 5), np.uint8), name="cells")
    (tmp_path / "sign").mkdir()

    def run(**more: object) -> list[object]:
        sign = tmp_path / "sign" / "file"
        return ntr.run_in_viewer(
            model_viewer, tool, config=config, i="cells", sign=str(sign), **more
        )

    return run


@pytest.fixture
def sign(tmp_path: Path) -> Callable[[], object]:
    return lambda: (tmp_path / "sign" / "file").write_text("go on")


def test_the_window_goes_on_while_it_waits(qtbot, start, sign, model_viewer):
    QTimer.singleShot(0, sign)
    layers = start()
    assert layers == [model_viewer.layers["cells · Brighter"]]
    assert layers[0].data.tolist() == np.ones((4, 5)).tolist()
    assert layers.job.state.is_finished


def test_it_calls_back(qtbot, start, sign, model_viewer):
    heard = []
    layers = start(callback=heard.append)
    assert (layers, heard) == ([], [])
    sign()
    qtbot.waitUntil(lambda: bool(heard), timeout=60_000)
    assert heard[0] is layers
    assert layers == [model_viewer.layers["cells · Brighter"]]
    assert layers.error is None
    assert layers.wait() is layers
    assert len(heard) == 1


def test_layers_appear_by_themselves(qtbot, start, sign, model_viewer):
    layers = start(wait=False)
    sign()
    qtbot.waitUntil(lambda: len(layers) == 1, timeout=60_000)
    assert layers[0] in model_viewer.layers


def test_it_is_awaited_while_others_go_on(start, sign, model_viewer):
    async def both() -> list[object]:
        async def give() -> None:
            sign()

        layers, _ = await asyncio.gather(awaited(), give())
        return layers

    async def awaited() -> list[object]:
        return await start(wait=False)

    assert asyncio.run(both()) == [model_viewer.layers["cells · Brighter"]]


def test_a_failure_is_told_to_whoever_asks(qtbot, start, tool, model_viewer):
    (tool.folder / "waits.py").write_text("import sys; sys.exit('no more paper')")
    with pytest.raises(ToolFailedError, match="no more paper"):
        start()
    with pytest.raises(ToolFailedError, match="no more paper"):
        asyncio.run(_awaited(start(wait=False)))
    heard = []
    start(callback=heard.append)
    qtbot.waitUntil(lambda: bool(heard), timeout=60_000)
    assert isinstance(heard[0].error, ToolFailedError)
    layers = start(wait=False)
    with pytest.warns(UserWarning, match="no more paper"):
        qtbot.waitUntil(lambda: layers.error is not None, timeout=60_000)
    assert len(model_viewer.layers) == 1


def test_it_can_be_cancelled_from_the_window(qtbot, start):
    jobs = ntr.jobs.job_manager()
    jobs.submitted.connect(cancel := lambda job: QTimer.singleShot(0, job.cancel))
    with pytest.raises(JobCancelledError):
        start()
    jobs.submitted.disconnect(cancel)


def test_a_closed_window_ends_the_run(qtbot, qapp, start):
    QTimer.singleShot(0, qapp.exit)
    with pytest.raises(JobCancelledError):
        start()
    # else Qt lets no loop of later tests begin, since it was told to end
    QTimer.singleShot(0, qapp.exit)
    qapp.exec()


def test_what_is_wrong_before_the_start_is_told_at_once(start):
    with pytest.raises(ParameterError, match="twice"):
        start(wait=False, values={"i": "cells"})


def in_the_window(loop: asyncio.AbstractEventLoop, work: Coroutine[object, object, object]):
    """Run a task as consoles inside a window do: Qt's loop goes on and lets asyncio take steps."""
    task, timer = loop.create_task(work), QTimer()

    def step() -> None:
        loop.call_soon(loop.stop)
        loop.run_forever()

    timer.timeout.connect(step)
    timer.start(5)
    return task, timer


def test_it_is_awaited_in_the_loop_of_the_window(qtbot, start, sign, model_viewer):
    loop, turns = asyncio.new_event_loop(), []
    task, timer = in_the_window(loop, _awaited(layers := start(wait=False)))
    beat = QTimer()
    beat.timeout.connect(lambda: turns.append(1))
    beat.start(1)
    sign()
    qtbot.waitUntil(task.done, timeout=60_000)
    assert len(turns) > 5
    assert task.result() is layers
    assert layers == [model_viewer.layers["cells · Brighter"]]
    timer.stop()
    loop.close()


def test_who_awaits_a_failure_is_told_it_once(qtbot, start, tool, recwarn):
    (tool.folder / "waits.py").write_text("import sys; sys.exit('no more paper')")
    loop = asyncio.new_event_loop()
    task, timer = in_the_window(loop, _awaited(layers := start(wait=False)))
    qtbot.waitUntil(task.done, timeout=60_000)
    qtbot.waitUntil(lambda: layers._timer is None, timeout=60_000)
    assert isinstance(task.exception(), ToolFailedError)
    assert not [one for one in recwarn if "no more paper" in str(one.message)]
    timer.stop()
    loop.close()


def test_a_time_limit_of_who_awaits_ends_the_run(start, model_viewer):
    layers = start(wait=False)
    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(_within(0.2, layers))
    assert layers.job.wait(30)
    assert layers.job.state.value == "cancelled"
    assert len(model_viewer.layers) == 1


def test_who_is_called_back_hears_of_a_cancelled_run(qtbot, start):
    heard = []
    start(callback=heard.append).job.cancel()
    qtbot.waitUntil(lambda: bool(heard), timeout=60_000)
    assert isinstance(heard[0].error, JobCancelledError)
    assert heard == [[]]


def test_a_callback_that_fails_ends_nothing_else(qtbot, start, sign, monkeypatch):
    told = []
    monkeypatch.setattr(sys, "excepthook", lambda *error: told.append(error[1]))

    def fails(layers: object) -> None:
        raise ValueError("no such plot")

    layers = start(callback=fails)
    sign()
    qtbot.waitUntil(lambda: bool(told), timeout=60_000)
    assert str(told[0]) == "no such plot"
    assert len(layers) == 1


def test_several_are_awaited_at_once(start, sign):
    async def both() -> list[list[object]]:
        return await asyncio.gather(start(wait=False), start(wait=False))

    sign()
    assert [len(layers) for layers in asyncio.run(both())] == [1, 1]


def test_it_says_what_it_made(qtbot, start, sign):
    layers = start(wait=False)
    assert repr(layers) == "<NewLayers []: Wait goes on>"
    assert layers.result is None
    sign()
    made = layers.wait()
    assert repr(made).endswith("Added “cells · Brighter”.>")
    assert made.result.outputs["o"].data.tolist() == made[0].data.tolist()


@pytest.mark.viewer
@pytest.mark.parametrize("by", ["code", "mouse"])
def test_a_viewer_that_was_closed_meanwhile(
    qtbot, make_napari_viewer, tool, config, sign, tmp_path, by
):
    make_napari_viewer(show=True)  # else the application ends with the other
    viewer = make_napari_viewer(show=True)
    viewer.add_image(np.zeros((4, 5), np.uint8), name="cells")
    (tmp_path / "sign").mkdir()
    sign()
    layers = ntr.run_in_viewer(
        viewer, tool, config=config, i="cells", sign=str(tmp_path / "sign" / "file"), wait=False
    )
    if by == "code":
        viewer.close()
    else:
        viewer.window._qt_window.close()
    with pytest.warns(UserWarning, match="was closed before the run had ended"):
        qtbot.waitUntil(lambda: layers.error is not None, timeout=60_000)
    assert layers == []
    if by == "mouse":
        del viewer.window._qt_window  # the fixture closes what still has one


async def _within(seconds: float, layers: object) -> object:
    return await asyncio.wait_for(_awaited(layers), seconds)


async def _awaited(layers: object) -> object:
    return await layers
