"""Tooltips that hang over a button take no click from it."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from qtpy.QtCore import QPoint, QRect, Qt
from qtpy.QtWidgets import QApplication, QPushButton, QToolTip, QVBoxLayout, QWidget

from napari_tool_runner.widgets.parts.icons import IconButton
from napari_tool_runner.widgets.parts.layouts import filled


def _pointer(*words: object) -> None:
    subprocess.run(["xdotool", *map(str, words)], check=True, timeout=30)


@pytest.mark.skipif(shutil.which("xdotool") is None, reason="no xdotool: no real mouse")
def test_a_click_on_what_a_tip_hangs_over_is_heard(qtbot, shown):
    """A new user pressed Run while the tip of Sweep hung over it, and nothing happened."""
    if QApplication.platformName() != "xcb":
        pytest.skip("a real mouse needs an X server")
    page = QWidget()
    hinted, below = IconButton("grid", "Sweep: try several values and compare"), QPushButton("Run")
    pressed: list[bool] = []
    below.clicked.connect(pressed.append)
    filled(QVBoxLayout(page), hinted, below, spacing=0)
    shown(page, 350, 60)
    QToolTip.showText(hinted.mapToGlobal(QPoint(4, 4)), hinted.toolTip(), hinted)
    tips = [one for one in QApplication.topLevelWidgets() if one.inherits("QTipLabel")]
    (tip,) = (one for one in tips if one.isVisible())
    place = QRect(below.mapToGlobal(QPoint()), below.size()).intersected(tip.geometry()).center()
    through = Qt.WindowType.WindowTransparentForInput
    qtbot.waitUntil(lambda: bool(tip.windowHandle().flags() & through))
    try:
        _pointer("mousemove", place.x(), place.y(), "click", 1)
        qtbot.waitUntil(lambda: bool(pressed))
    finally:
        QToolTip.hideText()
        _pointer("mousemove", 0, 0)
