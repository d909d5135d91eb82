"""Widgets that are shown, used with mouse and keys, and gone after the test."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
from qtpy.QtCore import QEvent

from napari_tool_runner.jobs import JobManager
from napari_tool_runner.widgets.forms.form import FormWidget
from napari_tool_runner.widgets.forms.layer_source import LayerSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari.components import ViewerModel
    from pytestqt.qtbot import QtBot
    from qtpy.QtWidgets import QApplication, QWidget

    from napari_tool_runner.tools.model import Tool


@pytest.fixture
def qtbot(qtbot: QtBot) -> QtBot:
    """Waits six times as long as its own: a loaded machine is no failure."""
    qtbot.waitUntil = partial(qtbot.waitUntil, timeout=30_000)
    return qtbot


@pytest.fixture
def model_viewer() -> ViewerModel:
    """A viewer without a window."""
    from napari.components import ViewerModel

    return ViewerModel()


@pytest.fixture
def manager() -> Iterator[JobManager]:
    """A manager of its own, which ends with the test."""
    manager = JobManager()
    yield manager
    manager.shutdown()


@pytest.fixture
def shown(qtbot) -> Callable[[QWidget], QWidget]:
    """Shows a widget, 350 px wide as in a dock, and closes it after the test."""

    kept: list[QWidget] = []  # as a window keeps its docks

    def show(widget: QWidget, width: int = 350, height: int = 700) -> QWidget:
        kept.append(widget)
        qtbot.addWidget(widget)
        widget.resize(width, height)
        with qtbot.waitActive(widget):  # shortcuts and focus need an active window
            widget.show()
            widget.activateWindow()
        return widget

    return show


@pytest.fixture
def form(shown, model_viewer) -> Callable[..., FormWidget]:
    """Shows the form of a tool, all rows built, on the layers of `model_viewer`."""

    def make(tool: Tool, **more: object) -> FormWidget:
        widget = FormWidget(tool, LayerSource(model_viewer), **more)
        shown(widget)
        widget.builder.finish()
        return widget

    return make


@pytest.fixture(autouse=True)
def no_window_left(qapp: QApplication) -> Iterator[None]:
    """Fail the test that leaves a window of its own."""
    before = set(qapp.topLevelWidgets())
    yield
    for _ in range(3):
        qapp.processEvents()
        qapp.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    left = [
        widget
        for widget in set(qapp.topLevelWidgets()) - before
        if widget.isVisible() and type(widget).__module__.startswith("napari_tool_runner")
    ]
    assert not left


@pytest.fixture
def cells() -> np.ndarray:
    """Bright discs on a dark, noisy ground, 64 x 64, uint8."""
    generator = np.random.default_rng(1)
    image = generator.integers(0, 30, (64, 64)).astype(np.uint8)
    y, x = np.mgrid[:64, :64]
    for cy, cx in ((16, 16), (16, 46), (46, 30)):
        image[(y - cy) ** 2 + (x - cx) ** 2 < 64] += 150
    return image
