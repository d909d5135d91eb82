"""Texts of strangers are shown as they are: rich text would open the files that they name."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt
from widget_tools import options, tool_of

from napari_tool_runner.tools.model import SelectParameter
from napari_tool_runner.widgets.parts.texts import notice, tooltip

QtGui = pytest.importorskip("qtpy.QtGui")
BAD = '<img src="/dev/zero"> is what a stranger wrote as its name'


@pytest.mark.parametrize(
    "text", [BAD, f"Blur: {BAD}", "&lt;b&gt;", "<b>x</b>", "<!DOCTYPE html><p>", "x < y & z"]
)
def test_a_notice_is_no_rich_text(text):
    might_be_rich = getattr(Qt, "mightBeRichText", None) or QtGui.Qt.mightBeRichText
    assert not might_be_rich(notice(text))
    assert notice(text).replace("\N{WORD JOINER}", "") == text


def test_a_long_option_has_a_plain_tooltip(form):
    choice = SelectParameter(name="way", options=options((BAD, "a"), ("B", "b")))
    combo = form(tool_of(choice)).row("way").field.combo
    assert combo.itemData(0, Qt.ItemDataRole.ToolTipRole) == tooltip(BAD)
    assert "<img" not in tooltip(BAD)
