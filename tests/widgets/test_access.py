"""For everybody: keyboard order, spoken names, both themes, no style sheets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QPalette
from qtpy.QtWidgets import QAbstractButton, QComboBox, QLineEdit, QWidget
from widget_tools import long_tool, rich_tool

import napari_tool_runner.widgets as room
from napari_tool_runner.names import size_text
from napari_tool_runner.tools.model import SelectOption
from napari_tool_runner.widgets.parts.icons import SHAPES, IconButton, pixmap
from napari_tool_runner.widgets.parts.messages import MessageLabel
from napari_tool_runner.widgets.parts.texts import option_labels, tooltip
from napari_tool_runner.widgets.running.log_view import clean_line
from napari_tool_runner.widgets.running.run_bar import elapsed_text
from napari_tool_runner.widgets.tool_widget import ToolWidget

SOURCES = sorted(Path(room.__file__).parent.rglob("*.py"))


def tab_order(widget: QWidget, count: int) -> list[QWidget]:
    """Press Tab `count` times, as a person does, and return where the focus went."""
    found: list[QWidget] = []
    here = widget.window().focusWidget()
    for _ in range(count):
        widget.window().focusNextPrevChild(True)
        here = widget.window().focusWidget()
        found.append(here)
    return found


def test_tab_goes_through_the_form_in_its_order(form):
    widget = form(rich_tool())
    rows = [row for row in widget.field_rows() if row.isVisible()]
    rows[0].field.focus_widget().setFocus()
    seen: list[str] = [rows[0].node.name]
    for here in tab_order(widget, 60):
        owner = next((row for row in rows if row is here or row.isAncestorOf(here)), None)
        if owner is not None and owner.node.name != seen[-1]:
            seen.append(owner.node.name)
        if len(seen) == len(rows):
            break
    assert seen == [row.node.name for row in rows]


def test_everything_that_takes_the_keyboard_has_a_spoken_name(shown, tmp_path):
    page = shown(ToolWidget(rich_tool()))
    page.form.builder.finish()
    nameless = [
        widget
        for widget in page.findChildren(QWidget)
        if isinstance(widget, QAbstractButton | QComboBox | QLineEdit)
        and widget.focusPolicy() != Qt.FocusPolicy.NoFocus
        and widget.isVisibleTo(page)
        and not widget.accessibleName()
        and not getattr(widget, "text", str)()
        and not widget.objectName().startswith("qt_")
        and not (widget.parentWidget() and widget.parentWidget().accessibleName())
    ]
    assert nameless == []


def test_labels_belong_to_their_fields(form):
    widget = form(rich_tool())
    for row in widget.field_rows():
        if row.label is not None:
            assert row.label.buddy() is not None
            assert row.field.focus_widget().accessibleName().startswith(row.label.text())


def test_a_problem_is_spoken_too(form):
    widget = form(rich_tool())
    widget.model.leaf("count").set(0)
    row = widget.row("count")
    assert "at least 1" in row.field.focus_widget().accessibleDescription()


@pytest.mark.parametrize("kind", ["problem", "failed", "done"])
def test_no_meaning_by_colour_alone(qtbot, kind):
    label = MessageLabel()
    qtbot.addWidget(label)
    label.say("text", kind)
    # a word for ears, a sign of its own for eyes
    assert label.accessibleName() != "text"
    assert label._sign._name not in ("info", "")


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_no_style_sheets_and_scoped_enums(source):
    text = source.read_text(encoding="utf-8")
    assert "setStyleSheet" not in text
    assert not re.search(r"\b(PyQt[56]|PySide[26])\b(?! )", text.replace("PySide6 turns", ""))
    assert not re.search(r"\bQt\.(Align(?!mentFlag)|Key_|Checked\b|LeftButton|UserRole)", text)


def test_threads_are_started_in_one_place():
    """Whoever waits takes a `Task`: its answer comes to the GUI thread, or nowhere."""
    starting = {p.stem for p in SOURCES if "threading" in p.read_text(encoding="utf-8")}
    assert starting <= {"background", "job_bridge"}, "job_bridge names napari.qt.threading"


def test_icons_follow_the_colour_of_the_theme(qtbot):
    button = IconButton("reset", "Reset")
    qtbot.addWidget(button)
    button.show()

    def darkness() -> int:
        image = button.icon().pixmap(14, 14).toImage()
        seen = [image.pixelColor(x, y) for x in range(14) for y in range(14)]
        return min(color.value() for color in seen if color.alpha() > 200)

    palette = QPalette(button.palette())
    palette.setColor(QPalette.ColorRole.ButtonText, QColor("#ffffff"))
    button.setPalette(palette)
    assert darkness() > 200
    palette.setColor(QPalette.ColorRole.ButtonText, QColor("#000000"))
    button.setPalette(palette)
    assert darkness() < 50


@pytest.mark.parametrize("name", SHAPES)
def test_every_icon_draws_something(qapp, name):
    image = pixmap(name, "#ff0000", 16).toImage()
    assert any(image.pixelColor(x, y).alpha() > 100 for x in range(16) for y in range(16))


def test_a_long_form_is_built_as_it_is_needed(qtbot, shown):
    """What is not seen is not built at once; its values are there all the same."""
    page = shown(ToolWidget(long_tool(900)))
    form = page.form
    assert len(form.values()) == 900
    assert form.builder.pending > 0
    row = form.row("p890")
    qtbot.waitUntil(row.isVisible)


@given(st.text())
def test_tooltips_never_lose_text_to_markup(text):
    import html

    made = tooltip(text)
    inside = made.removeprefix("<qt>").removesuffix("</qt>").replace("<br>", " ")
    assert "<" not in inside.replace("&lt;", "")
    assert "".join(html.unescape(inside).split()) == "".join(
        part for line in text.strip().splitlines() for part in line.split()
    )


@given(st.text())
def test_a_log_line_is_one_printable_line(text):
    cleaned = clean_line(text)
    assert "\n" not in cleaned
    assert "\x1b" not in cleaned


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("10%\r20%\r30%", "30%"),
        ("done\r", "done"),
        ("\x1b]0;title\x07text", "text"),
        ("tab\there", "tab\there"),
    ],
)
def test_terminal_tricks_are_taken_out(raw, shown):
    assert clean_line(raw) == shown


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (61.9, "1:01"), (3725, "1:02:05")])
def test_elapsed(seconds, text):
    assert elapsed_text(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (1500, "1.5 kB"), (81e6, "81 MB")])
def test_sizes(count, text):
    assert size_text(count) == text


@given(st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3))))
def test_labels_of_options_are_unique(pairs):
    made = option_labels(pairs)
    assert len({label for label, _ in made}) == len(pairs)
    assert [value for _, value in made] == [value for _, value in pairs]
    assert SelectOption("a", "b").label == "a"


def test_a_form_that_is_dropped_while_it_is_built_is_no_harm(qtbot, qapp):
    import gc

    from napari_tool_runner.widgets.forms.form import FormWidget

    for _ in range(3):
        form = FormWidget(long_tool(2900))
        form.show()
        form.builder.work_a_little()  # however fast this machine is
        assert form.builder.pending > 0
        form.close()
        form.deleteLater()
        del form
        gc.collect()
        for _ in range(5):
            qapp.processEvents()
