"""Every field, filled in by mouse and keys."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from napari.layers._source import layer_source
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication, QCheckBox, QLabel, QRadioButton
from widget_tools import METHOD, REPEAT, SECTION, SIGMA, options, rich_tool, tool_of

from napari_tool_runner.tools.model import (
    BooleanParameter,
    ColorParameter,
    DataColumnParameter,
    DataParameter,
    DrillDownOption,
    DrillDownParameter,
    FileParameter,
    FloatParameter,
    IntegerParameter,
    LayerKind,
    Repeat,
    SelectOption,
    SelectParameter,
    TextParameter,
)
from napari_tool_runner.tools.toolbox.box import load_toolbox
from napari_tool_runner.widgets.forms.containers import Collapsible, ConditionalBox, RepeatBox
from napari_tool_runner.widgets.forms.field_base import OptionalField
from napari_tool_runner.widgets.forms.form import FormWidget
from napari_tool_runner.widgets.forms.layer_source import LayerSource
from napari_tool_runner.widgets.parts.icons import IconButton
from napari_tool_runner.widgets.parts.inputs import NumberBox


def type_into(qtbot, widget, text: str) -> None:
    """Select what is there and type over it, as a person does."""
    widget.setFocus()
    qtbot.keyClick(widget, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    if not text.isascii():  # QTest types Latin letters only; people paste the others too
        QApplication.clipboard().setText(text)
        qtbot.keyClick(widget, Qt.Key.Key_V, Qt.KeyboardModifier.ControlModifier)
    elif text:
        qtbot.keyClicks(widget, text)
    else:
        qtbot.keyClick(widget, Qt.Key.Key_Delete)


def line_of(row):
    editor = row.field.focus_widget()
    return editor.lineEdit() if hasattr(editor, "lineEdit") else editor


def test_a_tool_with_everything_opens_and_sends_its_defaults(form):
    from napari_tool_runner.tools.values import default_value

    tool = rich_tool()
    widget = form(tool)
    values = widget.values()
    for item in tool.inputs:
        if item.type not in ("section", "conditional", "repeat", "data", "hidden"):
            assert values[item.name] == default_value(item), item.name
    assert widget.problems()[0].name == "image"


@pytest.mark.parametrize(
    ("typed", "value"),
    [("1e-6", 1e-6), ("0.123456789012345", 0.123456789012345), ("3,5", 3.5), ("12", 12.0)],
)
def test_decimals_are_kept(qtbot, form, typed, value):
    widget = form(tool_of(SIGMA))
    type_into(qtbot, line_of(widget.row("sigma")), typed)
    assert widget.values() == {"sigma": value}


def test_a_small_default_is_shown_with_all_digits(form):
    widget = form(tool_of(FloatParameter(name="t", default=1e-6)))
    assert line_of(widget.row("t")).text() == "1e-06"


def test_a_whole_number_beyond_64_bits(qtbot, form):
    widget = form(tool_of(IntegerParameter(name="n", default=1)))
    type_into(qtbot, line_of(widget.row("n")), "123456789012345678901234567890")
    assert widget.values() == {"n": 123456789012345678901234567890}


def test_a_number_out_of_range_is_explained_under_its_field(qtbot, form):
    widget = form(tool_of(SIGMA))
    row = widget.row("sigma")
    type_into(qtbot, line_of(row), "50")
    assert row.message() == "“Sigma” must be at most 20, not 50."
    assert [problem.name for problem in widget.problems()] == ["sigma"]
    type_into(qtbot, line_of(row), "5")
    assert row.message() == ""
    assert widget.problems() == []


@pytest.mark.parametrize("typed", ["abc", "1.5.2", "-", "--3"])
def test_what_is_no_number_stays_and_is_explained(qtbot, form, typed):
    widget = form(tool_of(SIGMA))
    row = widget.row("sigma")
    type_into(qtbot, line_of(row), typed)
    assert line_of(row).text() == typed
    assert "must be a number" in row.message()


def test_an_emptied_number_needs_a_value(qtbot, form):
    widget = form(tool_of(SIGMA))
    row = widget.row("sigma")
    type_into(qtbot, line_of(row), "")
    assert row.message() == "“Sigma” needs a value."


def test_arrow_keys_step_and_stop_at_the_limits(qtbot, form):
    widget = form(tool_of(IntegerParameter(name="n", default=2, minimum=1, maximum=3)))
    editor = widget.row("n").field.focus_widget()
    for _ in range(3):
        qtbot.keyClick(editor, Qt.Key.Key_Up)
    assert widget.values() == {"n": 3}
    for _ in range(5):
        qtbot.keyClick(editor, Qt.Key.Key_Down)
    assert widget.values() == {"n": 1}


@pytest.mark.parametrize(
    ("start", "steps", "end"),
    [
        ("0.3", 1, "0.31"),
        ("1.0", -1, "0.99"),
        ("10.0", 1, "11.0"),
        ("0", 1, "0.1"),
        ("250", 2, "270.0"),
    ],
)
def test_steps_follow_the_size_of_the_number(qtbot, start, steps, end):
    box = NumberBox(whole=False)
    qtbot.addWidget(box)
    box.show_value(float(start))
    box.stepBy(steps)
    assert box.raw_text() == end


def test_a_declared_step_is_used_exactly(qtbot):
    box = NumberBox(whole=False, step=0.1)
    qtbot.addWidget(box)
    box.show_value(0.2)
    box.stepBy(1)
    assert box.raw_text() == "0.3"


def test_the_wheel_over_an_unfocused_field_changes_nothing(form):
    widget = form(tool_of(SIGMA, IntegerParameter(name="n", default=3)))
    box = widget.row("n").field.widget
    widget.row("sigma").field.widget.setFocus()
    event = QWheelEvent(
        QPointF(5, 5),
        QPointF(box.mapToGlobal(QPoint(5, 5))),
        QPoint(0, 0),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(box, event)
    assert widget.values()["n"] == 3


def test_optional_numbers_can_be_not_set(qtbot, form):
    widget = form(tool_of(IntegerParameter(name="seed", label="Seed", optional=True)))
    row = widget.row("seed")
    assert isinstance(row.field, OptionalField)
    assert widget.values() == {"seed": None}
    assert not row.field.inner.widget.isEnabled()
    qtbot.mouseClick(row.field.box, Qt.MouseButton.LeftButton)
    assert widget.values() == {"seed": 0}
    type_into(qtbot, row.field.inner.box.lineEdit(), "42")
    assert widget.values() == {"seed": 42}
    qtbot.mouseClick(row.field.box, Qt.MouseButton.LeftButton)
    assert widget.values() == {"seed": None}
    qtbot.mouseClick(row.field.box, Qt.MouseButton.LeftButton)
    assert widget.values() == {"seed": 42}


@pytest.mark.parametrize(
    ("limits", "first"),
    [
        ({"minimum": 0.001, "step": 1.0}, 10.0),
        ({"minimum": 0.001, "maximum": 9.0, "step": 1.0}, 1.0),
        ({"minimum": 0.001, "maximum": 0.5, "step": 1.0}, 0.001),
        ({"minimum": 5.0, "step": 1.0}, 10.0),
        ({"minimum": 50.0, "step": 1.0}, 50.0),
        ({"minimum": 0.5}, 0.5),
        ({"maximum": -2.0}, -2.0),
    ],
)
def test_an_optional_number_begins_with_steps(qtbot, form, limits, first):
    row = form(tool_of(FloatParameter(name="width", optional=True, **limits))).row("width")
    qtbot.mouseClick(row.field.box, Qt.MouseButton.LeftButton)
    assert row.field.node.value == first


def diameter(form, image, *notes):
    """Return the form of a tool with an image and a diameter, and the row of this."""
    limits = {"minimum": 0.001, "maximum": 90.0, "step": 1.0}
    width = FloatParameter(name="d", label="Diameter", optional=True, unit="µm or px", **limits)
    count = IntegerParameter(name="n", label="Count", optional=True)
    widget = form(tool_of(DataParameter(name="i", kinds=(LayerKind.IMAGE,)), width, count))
    widget.model.leaf("i").set(image)
    widget.model.notes = notes
    return widget, widget.row("d")


def test_the_unit_is_the_one_that_holds_for_the_layer(form, model_viewer):
    known = model_viewer.add_image(np.zeros((4, 4)), units=("um", "um"), scale=(0.5, 0.5))
    unknown = model_viewer.add_image(np.zeros((4, 4)))
    widget, row = diameter(form, unknown)
    focus = row.field.focus_widget()
    assert (row._unit.text(), focus.accessibleName()) == ("px", "Diameter (px)")
    widget.model.leaf("i").set(known)
    assert (row._unit.text(), focus.accessibleName()) == ("µm", "Diameter (µm)")
    widget.model.leaf("i").set(None)
    assert row._unit.text() == "µm or px"


def test_a_number_follows_its_unit(form, model_viewer):
    known = model_viewer.add_image(np.zeros((4, 4)), units=("um", "um"), scale=(0.5, 0.5))
    other = model_viewer.add_image(np.zeros((4, 4)))
    widget, row = diameter(form, known)
    node = widget.model.leaf("d")
    node.set(8.0)
    widget.model.leaf("i").set(other)
    assert (node.value, row._unit.text()) == (16.0, "px")
    assert row.message() == "8 µm before, now 16 px (0.5 µm per px there)."
    other.scale, other.units = (0.25, 0.25), ("um", "um")  # “Pixel size…”
    assert (node.value, row._unit.text()) == (4.0, "µm")
    widget.model.leaf("i").set(known)
    assert node.value == 4.0, "a length is a length in each picture"
    node.set(5.0)
    assert row.message() == ""
    node.set(None)
    widget.model.leaf("i").set(model_viewer.add_image(np.zeros((4, 4))))
    row.field.box.click()
    assert node.value == 10, "not the number of micrometres"


def opened(model_viewer, tmp_path, name="nuclei", pixel=0.325):
    """Open a TIFF that knows its pixel size as napari's own reader does: without it."""
    path = tmp_path / f"{name}.tif"
    sizes = {"axes": "YX", "PhysicalSizeX": pixel, "PhysicalSizeXUnit": "µm"}
    sizes |= {"PhysicalSizeY": pixel, "PhysicalSizeYUnit": "µm"}
    tifffile.imwrite(path, np.zeros((8, 8), np.uint16), ome=True, metadata=sizes)
    with layer_source(path=str(path), reader_plugin="napari"):
        return model_viewer.add_image(tifffile.imread(path), name=name)


def test_the_unit_is_the_one_that_the_file_of_the_layer_gives_the_run(
    qtbot, form, model_viewer, tmp_path
):
    widget, row = diameter(form, opened(model_viewer, tmp_path))
    qtbot.waitUntil(lambda: not widget.units.asking)
    assert (row._unit.text(), row.field.focus_widget().accessibleName()) == ("µm", "Diameter (µm)")
    widget.model.leaf("d").set(8.45)
    widget.model.leaf("i").set(model_viewer.add_image(np.zeros((4, 4))))
    assert (widget.values()["d"], row._unit.text()) == (26.0, "px")


def test_a_number_of_pixels_is_one_of_micrometres_once_the_file_was_read(
    qtbot, form, model_viewer, tmp_path
):
    widget, row = diameter(form, model_viewer.add_image(np.zeros((4, 4))))
    widget.model.leaf("d").set(26.0)
    widget.model.leaf("i").set(opened(model_viewer, tmp_path))
    assert (widget.units.asking, row._unit.text()) == (True, "µm or px")
    done = []
    assert widget.units.waits(lambda: done.append(widget.values()["d"]))
    qtbot.waitUntil(lambda: bool(done))
    assert (done, row._unit.text()) == ([8.45], "µm")
    assert row.message() == "26 px before, now 8.45 µm (0.325 µm per px)."
    assert not widget.units.waits(done.clear)
    widget.model.leaf("i").set(opened(model_viewer, tmp_path, "others"))
    assert widget.units.waits(done.clear)
    widget.model.leaf("i").set(model_viewer.layers[0])
    assert done == [], "what waits is done, too, where another layer needs no file"


def test_numbers_that_come_with_their_layer_stay(qtbot, form, model_viewer, tmp_path):
    layer = opened(model_viewer, tmp_path)
    known = model_viewer.add_image(np.zeros((4, 4)), units=("um", "um"), scale=(0.5, 0.5))
    widget, row = diameter(form, model_viewer.add_image(np.zeros((4, 4))))
    for values in ({"d": 5.0, "i": layer}, {"i": layer, "d": 6.0}, {"d": 7.0, "i": known}):
        widget.model.leaf("i").set(model_viewer.layers[-1])
        widget.set_values(values)
        qtbot.waitUntil(lambda: not widget.units.asking)
        assert (widget.values()["d"], row._unit.text()) == (values["d"], "µm")


def test_the_unit_of_a_file_and_of_what_lies_on_one(qtbot, form, model_viewer, tmp_path):
    layer = opened(model_viewer, tmp_path)
    widget, row = diameter(form, tmp_path / "nuclei.tif")
    qtbot.waitUntil(lambda: row._unit.text() == "µm")
    both = DataParameter(name="b", kinds=(LayerKind.LABELS,)), *widget.tool.inputs
    widget = form(tool_of(*both))
    widget.model.leaf("b").set(model_viewer.add_labels(np.zeros((8, 8), int)))
    widget.model.leaf("i").set(model_viewer.add_image(np.zeros((8, 8))))
    assert widget.row("d")._unit.text() == "px"
    widget.model.leaf("i").set(layer)  # a job takes drawn labels for as large
    qtbot.waitUntil(lambda: widget.row("d")._unit.text() == "µm")


def test_the_default_and_whole_numbers_follow_the_unit(form, model_viewer):
    known = model_viewer.add_image(np.zeros((4, 4)), units=("um", "um"), scale=(0.5, 0.5))
    other = model_viewer.add_image(np.zeros((4, 4)))
    tool = tool_of(
        DataParameter(name="i", kinds=(LayerKind.IMAGE,)),
        FloatParameter(name="d", default=10.0, unit="µm or px"),
        IntegerParameter(name="n", default=10, unit="µm or px"),
    )
    widget = form(tool)
    widget.model.leaf("i").set(known)
    widget.model.leaf("n").set(7)
    widget.model.leaf("i").set(other)
    assert widget.values() == {"i": other, "d": 10.0, "n": 14}, "a default is meant in both"


@pytest.mark.parametrize(
    ("there", "here", "value", "said"),
    [
        ({"X": (0.5, "um")}, 0, 16, "8 µm before, now 16 px (0.5 µm per px there)."),
        ({"X": (500, "nm")}, 0, 16, "8 µm before, now 16 px (0.5 µm per px there)."),
        ({"X": (0.5, "um")}, 0.25, 8, ""),
        ({}, 0.25, 2, "8 px before, now 2 µm (0.25 µm per px)."),
        ({}, 1, 8, "8 px before, now 8 µm (1 µm per px)."),
        ({}, 0, 8, ""),
        (None, 0.25, 8, "Given without a unit: taken as 8 µm."),
        (None, 0, 8, "Given without a unit: taken as 8 px."),
    ],
)
@pytest.mark.parametrize("typed", [None, 8.0])
def test_what_was_given_for_another_picture_is_what_it_was_there(
    form, model_viewer, there, here, value, said, typed
):
    sized = {"units": ("um", "um"), "scale": (here, here)} if here else {}
    widget, row = diameter(form, model_viewer.add_image(np.zeros((4, 4)), **sized))
    widget.model.leaf("d").set(typed)
    widget.bring({"d": 8.0}, there)
    assert (widget.values()["d"], row.message()) == (value, said)
    widget.model.leaf("d").set(5.0)
    assert row.message() == ""


def test_a_number_comes_back_as_it_was_given_through_other_pictures(form, model_viewer):
    def picture(scale):
        sized = {"units": ("um", "um"), "scale": (scale, scale)} if scale else {}
        return model_viewer.add_image(np.zeros((4, 4)), **sized)

    cal, plain, fine = picture(0.5), picture(0), picture(0.065)
    widget, row = diameter(form, cal)
    widget.model.leaf("d").set(8.0)
    seen = []
    for image in (plain, fine, cal, plain, cal):
        widget.model.leaf("i").set(image)
        seen.append((widget.values()["d"], row.message()))
    told = "8 µm before, now 16 px (0.5 µm per px there)."
    assert seen == [(16, told), (8, ""), (8, ""), (16, told), (8, "")]
    widget.model.leaf("i").set(plain)
    widget.model.leaf("d").set(20.0)  # given here: of this picture
    widget.model.leaf("i").set(fine)
    assert widget.values()["d"] == 1.3


def test_both_units_are_seen_whole_while_there_is_no_picture(form, model_viewer):
    widget, row = diameter(form, model_viewer.add_image(np.zeros((4, 4))))
    widget.model.leaf("d").set(26.0)
    widget.resize(320, 400)
    widget.show()
    widget.model.leaf("i").set(None)
    QApplication.processEvents()
    wide = row._unit.fontMetrics().horizontalAdvance("µm or px")
    assert row._unit.width() >= wide
    assert row._reset.geometry().right() <= row.width()


def test_a_number_that_was_typed_before_its_picture_tells_how_it_is_taken(form, model_viewer):
    widget, row = diameter(form, None)
    widget.model.leaf("d").set(26.0)
    assert (row._unit.text(), row.message()) == ("µm or px", "")
    known = model_viewer.add_image(np.zeros((4, 4)), units=("um", "um"), scale=(0.5, 0.5))
    widget.model.leaf("i").set(known)
    assert row.message() == "Given without a unit: taken as 26 µm."
    widget.model.leaf("i").set(model_viewer.add_image(np.zeros((4, 4))))
    assert (widget.values()["d"], row._unit.text()) == (52, "px")


def test_areas_and_times_follow_their_units_as_lengths_do(form, model_viewer):
    tool = tool_of(
        DataParameter(name="i", kinds=(LayerKind.IMAGE,)),
        *(FloatParameter(name=u, unit=u) for u in ("um^2 or pixels", "s or frames", "pixel")),
    )
    sized = {"axis_labels": ("t", "y", "x"), "units": ("min", "um", "um"), "scale": (2, 0.5, 0.5)}
    widget = form(tool)
    widget.model.leaf("i").set(model_viewer.add_image(np.zeros((3, 4, 4)), **sized))
    widget.set_values({"um^2 or pixels": 100.0, "s or frames": 240.0})
    plain = model_viewer.add_image(np.zeros((3, 4, 4)), axis_labels=("t", "y", "x"))
    widget.model.leaf("i").set(plain)
    told = [(row.node.value, row._unit.text()) for row in widget.field_rows()[1:]]
    assert told == [(400, "px"), (2, "frames"), (None, "px")]


def test_the_unit_of_places_is_that_of_their_layer(form, model_viewer):
    widget = form(
        tool_of(
            DataParameter(name="p", kinds=(LayerKind.POINTS,)),
            FloatParameter(name="d", unit="µm or px"),
        )
    )
    spots = model_viewer.add_points(np.zeros((2, 2)), units=("um", "um"), scale=(0.5, 0.5))
    widget.model.leaf("p").set(spots)
    assert widget.row("d")._unit.text() == "µm"
    widget.model.leaf("d").set(3.0)
    widget.model.leaf("p").set(model_viewer.add_points(np.zeros((2, 2))))
    assert (widget.values()["d"], widget.row("d")._unit.text()) == (6, "px")


def test_a_result_of_a_sized_file_is_in_its_unit(form, model_viewer):
    told = {"shown": (1, 1), "scale": (0.325, 0.325), "units": ("micrometer", "micrometer")}
    layer = model_viewer.add_image(np.zeros((4, 4)), metadata={"pixel_size": told})
    assert diameter(form, layer)[1]._unit.text() == "µm"


def test_an_optional_number_begins_with_what_the_tool_took(qtbot, form, model_viewer):
    image = model_viewer.add_image(np.zeros((4, 4)), units=("um", "um"), scale=(0.5, 0.5))
    note = "1 of them touches the edge; typical diameter 9.68 µm; up to ±18% of a size"

    def begun(*notes, name="d"):
        widget, _ = diameter(form, image, *notes)
        widget.row(name).field.box.click()
        return widget.values()[name]

    assert begun("Another", note) == 9.68
    assert begun(note.replace("µm", "px")) == 10, "in another unit"
    assert begun(note.replace("9.68", "968")) == 10, "beyond its limits"
    assert begun("Count 4.0.", name="n") == 4


def test_a_click_on_the_words_toggles_a_check_box(qtbot, form):
    widget = form(tool_of(BooleanParameter(name="fill", label="Fill holes")))
    row = widget.row("fill")
    label = row.findChild(QLabel)
    qtbot.mouseClick(label, Qt.MouseButton.LeftButton)
    assert widget.values() == {"fill": True}
    qtbot.mouseClick(row.findChild(QCheckBox), Qt.MouseButton.LeftButton)
    assert widget.values() == {"fill": False}


@pytest.mark.parametrize("text", ["", "a b", "'; rm -rf / #", "naïve 日本", "$HOME `x`"])
def test_text_is_sent_as_typed(qtbot, form, text):
    widget = form(tool_of(TextParameter(name="t", default="x")))
    type_into(qtbot, line_of(widget.row("t")), text)
    assert widget.values() == {"t": text}


def test_an_empty_optional_text_is_not_set(qtbot, form):
    widget = form(tool_of(TextParameter(name="t", default="x", optional=True)))
    type_into(qtbot, line_of(widget.row("t")), "")
    assert widget.values() == {"t": None}


def test_several_lines_of_text(qtbot, form):
    widget = form(tool_of(TextParameter(name="t", multiline=True)))
    area = widget.row("t").field.area
    qtbot.keyClicks(area, "one")
    qtbot.keyClick(area, Qt.Key.Key_Return)
    qtbot.keyClicks(area, "two")
    assert widget.values() == {"t": "one\ntwo"}


def test_a_combo_box_by_keyboard(qtbot, form):
    widget = form(
        tool_of(
            SelectParameter(
                name="m",
                options=options(("Fast", "f"), ("Slow", "s"), ("Slower", "x")),
                default="f",
            )
        )
    )
    combo = widget.row("m").field.combo
    combo.setFocus()
    qtbot.keyClick(combo, Qt.Key.Key_Down)
    assert widget.values() == {"m": "s"}


def test_two_options_with_one_label_are_two_options(form):
    pair = (SelectOption("Same", "a"), SelectOption("Same", "b"))
    widget = form(tool_of(SelectParameter(name="m", options=pair, default="a")))
    combo = widget.row("m").field.combo
    assert [combo.itemText(i) for i in range(combo.count())] == ["Same (a)", "Same (b)"]


def test_a_select_without_default_must_be_chosen(form):
    widget = form(tool_of(SelectParameter(name="m", label="Mode", options=options(("A", "a")))))
    assert widget.row("m").field.combo.currentIndex() == -1
    assert widget.problems()[0].sentence == "“Mode” needs a value."


def test_an_optional_select_can_be_not_set(qtbot, form):
    widget = form(
        tool_of(SelectParameter(name="m", options=options(("A", "a")), optional=True, default="a"))
    )
    combo = widget.row("m").field.combo
    combo.setFocus()
    qtbot.keyClick(combo, Qt.Key.Key_Up)
    assert widget.values() == {"m": None}


def test_radio_buttons(qtbot, form):
    widget = form(
        tool_of(
            SelectParameter(
                name="m", display="radio", options=options(("A", "a"), ("B", "b")), default="a"
            )
        )
    )
    buttons = widget.row("m").findChildren(QRadioButton)
    assert [button.text() for button in buttons] == ["A", "B"]
    buttons[1].click()
    assert widget.values() == {"m": "b"}


def test_many_choices_are_check_boxes(form):
    widget = form(
        tool_of(
            SelectParameter(
                name="m",
                multiple=True,
                options=options(*[(f"Option {n}", str(n)) for n in range(8)]),
                default=("1",),
            )
        )
    )
    field = widget.row("m").field
    field.list.item(3).setCheckState(Qt.CheckState.Checked)
    assert widget.values() == {"m": ("1", "3")}
    field.none_button.click()
    assert widget.values() == {"m": ()}
    field.all_button.click()
    assert len(widget.values()["m"]) == 8
    assert field.count.text() == "8 of 8"


def test_a_drill_down_tree(form):
    tree = (
        DrillDownOption("Shape", "shape", children=(DrillDownOption("Area", "area"),)),
        DrillDownOption("Colour", "colour"),
    )
    widget = form(tool_of(DrillDownParameter(name="d", multiple=True, options=tree)))
    field = widget.row("d").field
    field.tree.topLevelItem(0).child(0).setCheckState(0, Qt.CheckState.Checked)
    assert widget.values() == {"d": ("area",)}


def test_a_colour_is_checked(qtbot, form):
    widget = form(tool_of(ColorParameter(name="c", label="Colour", default="#ff0000")))
    row = widget.row("c")
    type_into(qtbot, row.field.line, "#00ff0")
    assert "#rrggbb" in row.message()
    type_into(qtbot, row.field.line, "#00ff00")
    assert widget.values() == {"c": "#00ff00"}


def test_an_empty_path_is_empty(form, tmp_path):
    widget = form(tool_of(FileParameter(name="f", optional=True)))
    assert widget.values() == {"f": None}


def test_a_path_may_hold_commas_and_says_when_nothing_is_there(qtbot, form, tmp_path, monkeypatch):
    from napari_tool_runner.widgets.forms import fields

    file = tmp_path / "a, b.txt"
    file.write_text("x")
    widget = form(tool_of(FileParameter(name="f")))
    row = widget.row("f")
    monkeypatch.setattr(fields, "ask_for_files", lambda *_, **__: [file])
    qtbot.mouseClick(row.field.browse, Qt.MouseButton.LeftButton)
    assert widget.values() == {"f": str(file)}
    assert row.message() == ""
    type_into(qtbot, row.field.line, str(tmp_path / "nothing"))
    assert row.message() == "There is no such file."


def test_help_is_a_tooltip_that_survives_angle_brackets(form):
    row = form(tool_of(SIGMA)).row("sigma")
    assert "Blur &lt;first&gt;" in row.toolTip()
    assert row.field.focus_widget().accessibleName() == "Sigma (px)"
    assert "px" in [label.text() for label in row.findChildren(QLabel)]


def test_what_sets_a_value_back_is_never_cut_off(shown, model_viewer):
    """In a panel as narrow as napari makes it, beside a scroll bar, for all tools that ship."""
    wide = 322
    for tool in load_toolbox().values():
        widget = shown(FormWidget(tool, LayerSource(model_viewer)), wide, 400)
        widget.builder.finish()
        for row in widget.field_rows():
            row._offer_reset(True)
        found = widget.widget().minimumSizeHint().width()
        widget.close()
        assert found <= wide, tool.id


def test_reset_of_one_field(qtbot, form):
    widget = form(tool_of(SIGMA))
    row = widget.row("sigma")
    assert row.findChild(IconButton) is None
    type_into(qtbot, line_of(row), "7")
    qtbot.mouseClick(row.findChild(IconButton), Qt.MouseButton.LeftButton)
    assert widget.values() == {"sigma": 2.0}
    assert line_of(row).text() == "2.0"
    assert row.findChild(IconButton).isHidden()


def test_a_conditional_shows_the_chosen_case_and_keeps_the_other(qtbot, form):
    widget = form(tool_of(METHOD))
    box = widget.findChild(ConditionalBox)
    type_into(qtbot, line_of(widget.row("cond|bins")), "64")
    combo = widget.row("cond|method").field.combo
    combo.setFocus()
    qtbot.keyClick(combo, Qt.Key.Key_Down)
    widget.builder.finish()
    assert not box.case_view().isHidden()
    type_into(qtbot, line_of(widget.row("cond|value")), "0.5")
    assert widget.values() == {"cond": {"method": "manual", "value": 0.5}}
    qtbot.keyClick(combo, Qt.Key.Key_Up)
    assert widget.values() == {"cond": {"method": "otsu", "bins": 64}}
    assert line_of(widget.row("cond|bins")).text() == "64"


def test_a_section_opens_with_a_click(qtbot, form):
    widget = form(tool_of(SECTION))
    box = widget.findChild(Collapsible)
    assert widget.field_rows() == []
    assert widget.values() == {"post": {"smallest": 20}}
    qtbot.mouseClick(box.button, Qt.MouseButton.LeftButton)
    assert [row.node.name for row in widget.field_rows()] == ["post|smallest"]
    assert widget.field_rows()[0].isVisible()
    qtbot.mouseClick(box.button, Qt.MouseButton.LeftButton)
    assert not widget.field_rows()[0].isVisible()


def test_advanced_parameters_are_closed_at_the_end(form):
    advanced = IntegerParameter(name="threads", label="Threads", default=1, advanced=True)
    widget = form(tool_of(advanced, SIGMA))
    assert [row.node.name for row in widget.field_rows()] == ["sigma"]
    assert widget.values() == {"threads": 1, "sigma": 2.0}
    assert widget.row("threads").isVisible()


def test_repeats_by_mouse(qtbot, form):
    widget = form(tool_of(REPEAT))
    box = widget.findChild(RepeatBox)
    assert not box.boxes()[0].remove_button.isEnabled()
    qtbot.mouseClick(box.add_button, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(box.add_button, Qt.MouseButton.LeftButton)
    widget.builder.finish()
    assert not box.add_button.isEnabled()
    type_into(qtbot, line_of(widget.row("filters_1|low")), "9")
    qtbot.mouseClick(box.boxes()[0].remove_button, Qt.MouseButton.LeftButton)
    assert [entry["low"] for entry in widget.values()["filters"]] == [9.0, 0.0]
    assert line_of(widget.row("filters_0|low")).text() == "9"


def test_problems_are_shown_on_demand_and_opened(form):
    hidden = IntegerParameter(name="n", label="Number", advanced=True)
    widget = form(tool_of(SIGMA, hidden))
    widget.show_problems()
    row = widget.row("n")
    assert row.isVisible()
    assert row.message() == "“Number” needs a value."
    assert widget.window().focusWidget() is row.field.focus_widget()


def test_columns_are_those_of_the_table_beside_them_and_numbers(form, tmp_path):
    for name in ("one", "two"):
        (tmp_path / f"{name}.csv").write_text(f"{name},b\n1,2\n")
    inner = (FileParameter(name="t"), DataColumnParameter(name="k", data_ref="t"))
    widget = form(tool_of(Repeat(name="r", label="R", items=inner)))
    entries = [{"t": str(tmp_path / f"{name}.csv"), "k": "1"} for name in ("one", "two")]
    widget.set_values({"r": entries})
    widget.builder.finish()
    boxes = [widget.row(f"r_{index}|k").field.combo for index in range(2)]
    assert [box.currentText() for box in boxes] == ["1: one", "1: two"]
    widget.set_values({"r": [{**entries[0], "k": "-1"}]})
    assert "counted from 1" in str(widget.problems()[0])
