"""Layer combo boxes: what they offer, what they prefer, what they follow."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from napari.layers._source import Source
from qtpy.QtCore import Qt
from widget_tools import IMAGE, LABELS, METHOD, tool_of

from napari_tool_runner.jobs.lineage import note_made_of
from napari_tool_runner.tools.model import (
    Case,
    Conditional,
    DataOutput,
    DataParameter,
    LayerKind,
    Section,
)
from napari_tool_runner.widgets.forms import layers_field
from napari_tool_runner.widgets.forms.given import as_list
from napari_tool_runner.widgets.forms.presets import plain_values
from napari_tool_runner.widgets.tool_page import command_line

PAIR = (replace(IMAGE, name="first", label="First"), replace(IMAGE, name="second", label="Second"))


@pytest.fixture
def add(model_viewer):
    """Adds small layers by kind."""

    def make(kind: str, name: str, ndim: int = 2):
        shape = (4,) * ndim
        if kind == "image":
            return model_viewer.add_image(np.zeros(shape, np.uint8), name=name)
        if kind == "labels":
            return model_viewer.add_labels(np.ones(shape, np.uint8), name=name)
        return model_viewer.add_points(np.zeros((2, ndim)), name=name)

    return make


def entries(combo) -> list[str]:
    return [combo.itemText(i) for i in range(combo.count()) if combo.itemText(i)]


def test_only_layers_that_fit_are_offered(form, add):
    add("image", "photo")
    add("labels", "objects")
    add("points", "dots")
    widget = form(tool_of(replace(LABELS, formats=("imagetiff",))))
    assert entries(widget.row("labels").field.combo) == ["objects", "Load from file…"]


def test_the_selected_layer_is_preferred(form, model_viewer, add):
    first, second = add("image", "a"), add("image", "b")
    model_viewer.layers.selection.active = first
    widget = form(tool_of(IMAGE))
    assert widget.values()["image"] is first
    model_viewer.layers.selection.active = second
    assert widget.values()["image"] is second


def test_two_inputs_take_two_layers(form, model_viewer, add):
    one, two = add("image", "a"), add("image", "b")
    model_viewer.layers.selection.active = one
    values = form(tool_of(*PAIR)).values()
    assert values["first"] is one
    assert values["second"] is two


def test_the_type_that_fits_wins_over_the_selected_layer(form, model_viewer, add):
    image, labels = add("image", "photo"), add("labels", "objects")
    model_viewer.layers.selection.active = image
    values = form(tool_of(IMAGE, LABELS)).values()
    assert values["image"] is image
    assert values["labels"] is labels


def test_a_choice_stays_until_its_layer_goes(qtbot, form, model_viewer, add):
    add("image", "a")
    other = add("image", "b")
    widget = form(tool_of(IMAGE))
    combo = widget.row("image").field.combo
    combo.setFocus()
    assert combo.currentText() == "b"
    qtbot.keyClick(combo, Qt.Key.Key_Down)
    assert combo.currentText() == "a"
    newest = add("image", "c")
    assert combo.currentText() == "a"
    model_viewer.layers.remove("a")
    assert widget.values()["image"] in (other, newest)
    model_viewer.layers.clear()
    assert widget.values()["image"] is None
    assert "none is open" in widget.problems()[0].sentence


def test_renaming_is_followed(form, add):
    layer = add("image", "a")
    combo = form(tool_of(IMAGE)).row("image").field.combo
    layer.name = "new name"
    assert combo.currentText() == "new name"


def test_a_long_name_never_widens_the_form(form, add):
    add("image", "a very long name of a file from a microscope " * 5)
    widget = form(tool_of(IMAGE))
    assert widget.widget().minimumSizeHint().width() < 300
    assert widget.widget().width() <= widget.viewport().width()


def test_load_from_file(form, tmp_path, monkeypatch):
    path = tmp_path / "picture, one.tif"
    path.write_bytes(b"II*\x00")
    monkeypatch.setattr(layers_field, "ask_for_files", lambda *_, **__: [path])
    widget = form(tool_of(IMAGE))
    combo = widget.row("image").field.combo
    combo.activated.emit(combo.findText("Load from file…"))
    assert widget.values()["image"] == path
    assert combo.currentText() == "picture, one.tif"
    assert widget.problems() == []


def test_a_cancelled_dialog_changes_nothing(form, add, monkeypatch):
    layer = add("image", "a")
    monkeypatch.setattr(layers_field, "ask_for_files", lambda *_, **__: [])
    widget = form(tool_of(IMAGE))
    combo = widget.row("image").field.combo
    combo.activated.emit(combo.findText("Load from file…"))
    assert widget.values()["image"] is layer
    assert combo.currentText() == "a"


def test_an_optional_input_is_empty_until_chosen(qtbot, form, add):
    layer = add("image", "a")
    widget = form(tool_of(replace(IMAGE, optional=True)))
    combo = widget.row("image").field.combo
    assert combo.currentText() == "(none)"
    assert widget.problems() == []
    combo.setFocus()
    qtbot.keyClick(combo, Qt.Key.Key_Down)
    assert widget.values()["image"] is layer


def test_several_layers(form, model_viewer, add):
    layers = [add("image", name) for name in "abc"]
    model_viewer.layers.selection = set(layers[:2])
    many = replace(IMAGE, multiple=True, minimum=2)
    widget = form(tool_of(many))
    field = widget.row("image").field
    assert set(widget.values()["image"]) == set(layers[:2])
    field.list.item(0).setCheckState(Qt.CheckState.Checked)
    assert len(widget.values()["image"]) == 3
    field.none.click()
    assert widget.problems()
    field.list.item(0).setCheckState(Qt.CheckState.Checked)
    assert "at least 2" in widget.row("image").message()


def test_an_input_inside_a_closed_section_gets_a_layer_too(form, add):
    layer = add("image", "a")
    widget = form(tool_of(Section(name="s", label="Inside", items=(IMAGE,))))
    assert widget.values()["s"]["image"] is layer
    assert widget.problems() == []


def test_an_input_of_a_case_gets_a_layer_when_the_case_is_chosen(form, add):
    layer = add("image", "a")
    case = Conditional(name="c", test=METHOD.test, cases=(Case("otsu"), Case("manual", (IMAGE,))))
    widget = form(tool_of(case))
    widget.model.leaf("c|method").set("manual")
    assert widget.values()["c"]["image"] is layer


def test_other_dimensions_are_told_not_refused(form, add):
    add("image", "stack", ndim=3)
    widget = form(tool_of(replace(IMAGE, ndim=(2,))))
    assert "works on 2 dimensions; “stack” has 3" in widget.row("image").message()
    assert widget.problems() == []


def test_a_plane_for_a_tool_of_stacks_is_told_why_and_what_to_do(form, add):
    plane = add("image", "plane")
    tool = tool_of(replace(IMAGE, ndim=(3, 4, 5)))
    row = form(tool).row("image")
    assert row.node.value is plane
    assert row.message() == "“plane” is one plane, and the tool needs a stack or a movie."
    assert form(tool).problems()  # Run is shut
    stack = add("image", "stack", ndim=3)
    add("image", "another plane")  # the selected one
    row = form(tool).row("image")
    assert row.node.value is stack
    assert row.message() == ""
    row = form(tool_of(replace(IMAGE, ndim=(4,)))).row("image")
    row.node.set(stack)
    assert row.message() == "“stack” has 3 dimensions, and the tool needs 4."


def test_a_tool_of_movies_asks_for_time_before_run(form, add):
    movie = add("image", "a movie", ndim=3)
    movie.axis_labels = ("t", "y", "x")
    stack = add("image", "stack", ndim=3)  # the selected one
    stack.axis_labels = ("z", "y", "x")
    widget = form(tool_of(replace(IMAGE, ndim=(3, 4), needs="T")))
    row = widget.row("image")
    assert row.node.value is movie
    assert widget.problems() == []
    row.node.set(stack)
    widget.refresh_layers()
    told = "“stack” has the axes Z, Y, X and no time, which the tool needs: take another, or name"
    assert row.message().startswith(told)
    assert widget.problems()
    stack.axis_labels = ("t", "y", "x")
    assert row.message() == ""
    assert widget.problems() == []


def test_what_a_plane_lacks_is_called_by_its_name(form, add):
    add("image", "plane")
    for needs, what in (("T", "a movie"), ("Z", "a stack")):
        row = form(tool_of(replace(IMAGE, ndim=(3, 4, 5), needs=needs))).row("image")
        assert row.message() == f"“plane” is one plane, and the tool needs {what}."


def test_declared_axes_are_compared_before_run(form, add):
    stack = add("image", "stack", ndim=3)
    stack.axis_labels = ("z", "y", "x")
    widget = form(tool_of(replace(IMAGE, axes="TYX")))
    assert "the tool takes T, Y, X" in widget.row("image").message()
    assert widget.problems()
    assert form(tool_of(replace(IMAGE, axes="XYZ"))).problems() == []


def test_what_takes_no_layer_asks_for_a_file(form, add):
    add("image", "a")
    only_files = DataParameter(name="z", label="Archive", formats=("zip",), kinds=(LayerKind.ANY,))
    widget = form(tool_of(only_files, dialect="galaxy"))
    (problem,) = widget.problems()
    assert problem.sentence == "“Archive” needs a file (zip)."


OBJECTS = replace(LABELS, name="mask", kinds=(LayerKind.LABELS, LayerKind.IMAGE))
KINDS = (LayerKind.IMAGE, LayerKind.LABELS)
OBJECTS_ONLY = replace(OBJECTS, kinds=(LayerKind.LABELS,))
RAW = np.random.default_rng(0).integers(1, 4000, (64, 64)).astype(np.uint16)


class Opened:
    """Notes what would be opened."""

    def __init__(self):
        self.found = []

    def segment(self, layer):
        return (("Threshold it…", lambda: self.found.append(("threshold", layer))),)

    def find(self, layer):
        return (("Find objects…", lambda: self.found.append(("find", layer))),)

    def split(self, layer):
        return (("Split it…", lambda: self.found.append(("split", layer))),)

    def before(self, tool, layer):
        return "", ()


def measuring(*parameters):
    table = DataOutput(name="t", kind=LayerKind.TABLE, join="mask")
    return replace(tool_of(*parameters), outputs=(table,))


MASK = np.zeros((64, 64), np.uint8)
MASK[4:9, 4:9] = MASK[20:30, 20:30] = 1


def test_a_mask_is_no_object_to_be_measured(form, model_viewer):
    mask = model_viewer.add_labels(MASK, name="mask")
    opened = Opened()
    widget = form(measuring(OBJECTS), steps=opened)
    row = widget.row("mask")
    assert row.message() == "“mask” is a mask: all its pieces count as one object."
    row._message.buttons[0].click()
    assert opened.found == [("split", mask)]
    widget.chooser.pin()  # it was run all the same
    objects = model_viewer.add_labels(MASK * np.arange(64, dtype=np.uint8), name="objects")
    assert widget.values()["mask"] is objects
    assert row.message() == ""
    other = form(tool_of(OBJECTS), steps=opened)  # a tool that works on masks
    other.set_values({"mask": mask})
    assert other.row("mask").message() == ""


def test_one_object_is_no_mask(form, model_viewer):
    model_viewer.add_labels(MASK[:15], name="one")
    assert form(measuring(OBJECTS), steps=Opened()).row("mask").message() == ""


def test_open_images_can_become_objects(form, model_viewer):
    widget = form(measuring(OBJECTS_ONLY), steps=Opened())
    assert widget.unsegmented() == []
    raw = model_viewer.add_image(RAW, name="raw")
    assert widget.unsegmented() == [raw]


def test_intensities_in_the_place_of_objects_are_told(form, model_viewer):
    raw = model_viewer.add_image(RAW, name="raw")
    opened = Opened()
    widget = form(tool_of(OBJECTS), steps=opened)
    row = widget.row("mask")
    assert row.message() == "“raw” looks like intensities, not objects: threshold it first."
    row._message.buttons[0].click()
    assert opened.found == [("threshold", raw)]
    assert row.message()
    mask = model_viewer.add_image((RAW > 2000).astype(np.uint8), name="mask")
    widget.set_values({"mask": mask})
    assert (row.message(), row._message.buttons) == ("", ())


def test_brightness_is_measured_in_the_original(form, model_viewer):
    names = "cells", "smooth", "other"
    cells, smooth, _ = (model_viewer.add_image(RAW, name=name) for name in names)
    note_made_of(smooth, [cells])
    objects = model_viewer.add_labels(MASK * np.arange(64, dtype=np.uint8), name="objects")
    note_made_of(objects, [smooth])
    widget = form(measuring(OBJECTS_ONLY, replace(IMAGE, kinds=KINDS)))
    row = widget.row(IMAGE.name)
    assert (widget.values()[IMAGE.name], row.message()) == (
        cells,
        "Measured in the original, not in “smooth”.",
    )
    widget.set_values({IMAGE.name: smooth})
    assert row.message() == ("“smooth” was made of “cells”: its brightness is not the original's.")
    (take,) = row._message.buttons
    assert take.text() == "Take “cells”"
    take.click()
    assert widget.values()[IMAGE.name] is cells
    plain = form(tool_of(OBJECTS_ONLY, IMAGE))
    plain.set_values({IMAGE.name: smooth})
    assert plain.row(IMAGE.name).message() == "", "nothing is measured"


@pytest.fixture
def measure(form, model_viewer):
    """A form that measured objects of one of two images, which know their objects."""
    images, objects = [], []
    for name in ("control", "treated"):
        images.append(model_viewer.add_image(RAW, name=name))
        numbers = MASK * np.arange(64, dtype=np.uint8)
        objects.append(model_viewer.add_labels(numbers, name=f"{name} · Objects"))
        note_made_of(objects[-1], images[-1:])
    widget = form(measuring(OBJECTS_ONLY, replace(IMAGE, kinds=KINDS)))
    widget.set_values({"mask": objects[0]})
    widget.chooser.give(objects[0], "mask")
    widget.chooser.pin()
    return widget, images, objects


@pytest.mark.parametrize("by", ["button", "hand"])
def test_other_objects_are_measured_in_their_own_image(measure, by):
    widget, (control, treated), objects = measure
    assert widget.values()[IMAGE.name] is control
    if by == "button":
        widget.chooser.give(objects[1], "mask")
    else:
        combo = widget.row("mask").field.combo
        combo.setCurrentIndex(combo.findText("treated · Objects"))
        combo.activated.emit(combo.currentIndex())
    assert widget.values() == {"mask": objects[1], IMAGE.name: treated}
    assert widget.row(IMAGE.name).field.combo.currentText() == "treated"
    assert widget.row(IMAGE.name).message() == ""


def test_without_objects_nothing_is_told_of_them(form, model_viewer, tmp_path):
    raw = model_viewer.add_image(RAW, name="raw")
    widget = form(measuring(OBJECTS_ONLY, replace(IMAGE, kinds=KINDS)))
    row = widget.row(IMAGE.name)
    assert (widget.values()["mask"], widget.values()[IMAGE.name]) == (None, raw)
    assert row.message() == ""
    tifffile.imwrite(tmp_path / "mask.tif", MASK)
    widget.set_values({"mask": tmp_path / "mask.tif"})
    assert row.message() == ""


def test_an_image_that_a_hand_chose_stays_and_is_told(measure, model_viewer):
    widget, (control, treated), objects = measure
    other = model_viewer.add_image(RAW, name="channel 2")
    widget.set_values({IMAGE.name: other})
    widget.chooser.pin()
    widget.chooser.give(objects[1], "mask")
    assert widget.values()[IMAGE.name] is other
    row = widget.row(IMAGE.name)
    assert row.message() == "“treated · Objects” was made of “treated”, not of “channel 2”."
    (take,) = row._message.buttons
    assert take.text() == "Take “treated”"
    take.click()
    assert widget.values()[IMAGE.name] is treated
    assert control is not treated


RESULT = {"napari_tool_runner": {"id": "1", "output": "o"}}


def test_a_form_goes_on_with_the_picture_that_is_opened_next(qtbot, form, model_viewer, add):
    first = add("image", "first")
    widget = form(tool_of(IMAGE, replace(LABELS, optional=True)))
    row, name = widget.row(IMAGE.name), IMAGE.name
    widget.chooser.pin()
    model_viewer.add_image(np.zeros((4, 4)), name="made", metadata=RESULT)
    add("points", "spots")
    widget.chooser.follow()
    assert widget.values()[name] is first, "neither a result nor what does not fit"
    second = add("image", "second")
    qtbot.waitUntil(lambda: widget.values()[name] is second)
    assert row.message() == "“second” was opened since; the last run was on “first”."
    third = add("image", "third")
    qtbot.waitUntil(lambda: widget.values()[name] is third)
    assert row.message() == "“third” was opened since; the last run was on “first”."
    model_viewer.layers.selection.active = second
    widget.chooser.follow()
    assert widget.values()[name] is third, "it is looked at, not opened"
    (take,) = row._message.buttons
    take.click()
    assert (take.text(), widget.values()[name], row.message()) == ("Take “first”", first, "")
    add("image", "fourth")
    widget.chooser.follow()
    assert widget.values()[name] is first, "a hand chose it"
    widget.chooser.pin()
    add("image", "fifth")
    widget.chooser.follow()
    assert widget.values()[name] is first, "a hand had chosen it before the run"


def test_what_was_put_into_a_form_gives_way_to_a_picture_that_is_opened(form, model_viewer, add):
    first, blue = add("image", "first"), add("image", "blue")
    widget = form(tool_of(replace(IMAGE, rgb=False)))
    widget.chooser.give(first, "no such input")
    assert widget.values() == {IMAGE.name: first}
    colours = model_viewer.add_image(np.zeros((9, 9, 3), np.uint8), name="photo", rgb=True)
    widget.chooser.follow()
    assert widget.values() == {IMAGE.name: colours}
    (problem,) = widget.problems()
    assert "choose one" in problem.sentence
    widget.chooser.give(blue, IMAGE.name)
    widget.chooser.pin()
    row = widget.row(IMAGE.name)
    assert (widget.values(), row.message(), widget.problems()) == ({IMAGE.name: blue}, "", [])
    second = add("image", "second")
    widget.chooser.follow()
    assert "was opened since" in row.message()
    widget.chooser.pin()
    assert (widget.values(), row.message()) == ({IMAGE.name: second}, ""), "it was run on it"
    model_viewer.layers.remove(second)
    add("image", "third")
    widget.chooser.follow()
    assert row.message() == ""


def test_a_form_with_several_inputs_keeps_them_together(form, add):
    first, second = add("image", "first"), add("image", "second")
    widget = form(tool_of(*PAIR))
    widget.chooser.pin()
    before = widget.values()
    add("image", "third")
    widget.chooser.follow()
    assert widget.values() == before
    assert {id(one) for one in before.values()} == {id(first), id(second)}


def test_colours_keep_a_tool_of_one_channel_from_running(form, model_viewer):
    colours = model_viewer.add_image(np.zeros((9, 9, 3), np.uint8), name="photo", rgb=True)
    opened = Opened()
    widget = form(tool_of(replace(IMAGE, rgb=False)), steps=opened)
    (problem,) = widget.problems()
    assert problem.sentence.startswith("“photo” is a colour picture, and the tool takes one")
    assert widget.chooser.refused(widget.model.leaf(IMAGE.name)) == [colours]
    row = widget.row(IMAGE.name)
    assert (row.message(), widget.missing_layers()) == ("", []), "nobody chose it"
    grey = model_viewer.add_image(np.zeros((9, 9), np.uint8), name="grey")
    assert (widget.values()[IMAGE.name], widget.problems()) == (grey, [])
    row.field.combo.activated.emit(1)
    assert (widget.values()[IMAGE.name], row.message()) == (colours, problem.sentence)
    row.field.combo.activated.emit(0)
    assert (row.message(), widget.problems()) == ("", [])
    many = form(tool_of(replace(IMAGE, rgb=False, multiple=True, optional=True)))
    assert many.problems() == []
    many.set_values({IMAGE.name: [grey, colours]})
    assert [one.sentence for one in many.problems()] == [problem.sentence]
    assert form(tool_of(IMAGE)).problems() == [], "tools of others may take colours"
    masks = form(tool_of(OBJECTS), steps=opened)
    masks.set_values({"mask": colours})
    assert masks.row("mask").message().startswith("“photo” is a colour picture, not objects")
    assert masks.row("mask").message() == masks.problems()[0].sentence
    whole = form(tool_of(OBJECTS_ONLY), steps=opened)
    assert [b.text() for b in whole.row("mask")._message.buttons] == ["Find objects…"]


def test_what_cannot_be_objects_keeps_run_shut(form, model_viewer):
    fractions = model_viewer.add_image(RAW / 7, name="raw")
    widget = form(tool_of(OBJECTS), steps=Opened())
    assert widget.problems()[0].sentence.startswith("“raw” has fractions")
    assert widget.chooser.refused(widget.model.leaf("mask")) == [fractions]
    fractions.data = (RAW > 2000).astype(float)
    widget.refresh_layers()
    assert widget.problems() == [], "a mask, whatever its numbers are written as"


def test_shapes_are_drawn_on_the_picture_of_another_input(form, model_viewer, add):
    shapes = model_viewer.add_shapes([np.array([[1, 1], [1, 5], [5, 5], [5, 1]])], name="drawn")
    alone = form(tool_of(OBJECTS))
    assert alone.values()["mask"] is shapes
    assert "Convert to Labels" in alone.problems()[0].sentence
    two = form(tool_of(OBJECTS, replace(IMAGE, optional=True)))
    assert "Convert to Labels" in two.problems()[0].sentence
    add("image", "photo")
    two.set_values({"mask": shapes, "image": model_viewer.layers["photo"]})
    assert two.problems() == []
    row = two.row("image")
    row.field.combo.activated.emit(0)
    assert [one.name for one in two.problems()] == ["mask"]


def test_objects_are_chosen_before_selected_intensities(form, model_viewer):
    raw = model_viewer.add_image(RAW, name="raw")
    labels = model_viewer.add_labels(np.ones((64, 64), np.uint8), name="objects")
    mask = model_viewer.add_image((RAW > 2000).astype(np.uint8), name="mask")
    model_viewer.layers.selection.active = raw
    widget = form(tool_of(OBJECTS))
    assert widget.values()["mask"] is labels
    model_viewer.layers.selection.active = mask  # a mask may be an image
    assert widget.values()["mask"] is mask
    model_viewer.layers.remove(labels)
    model_viewer.layers.selection.active = raw
    assert widget.values()["mask"] is mask


def test_objects_in_the_place_of_intensities_are_told(form, model_viewer, add):
    add("labels", "objects")
    widget = form(tool_of(IMAGE))
    assert "“objects” holds objects" in widget.row("image").message()


# -- what the axes are taken for ---------------------------------------------------------------


def axes_of(widget, name: str = "image"):
    return widget.row(name).field.axes


def test_a_guess_is_said_and_can_be_changed_and_undone(form, add, qtbot):
    layer = add("image", "movie", ndim=3)
    row = axes_of(form(tool_of(IMAGE)))
    assert row.isVisible()
    assert row.combo.currentText() == "Z · Y · X"
    assert "guess" in row.words.text()
    qtbot.keyClick(row.combo, Qt.Key.Key_Tab)
    assert layer._has_default_axis_labels(), "to pass by is no choice"
    index = row.combo.findData("TYX")
    row.combo.setCurrentIndex(index)
    row.combo.activated.emit(index)
    assert layer.axis_labels == ("t", "y", "x")
    assert row.combo.currentText() == "T · Y · X"
    assert row.words.isHidden()
    line = row.combo.lineEdit()
    line.selectAll()
    qtbot.keyClicks(line, "cyy")
    qtbot.keyClick(line, Qt.Key.Key_Return)
    assert "does not name 3 axes" in row.words.text()
    assert layer.axis_labels == ("t", "y", "x")
    line.selectAll()
    qtbot.keyClicks(line, "x y c")
    qtbot.keyClick(line, Qt.Key.Key_Return)
    assert layer.axis_labels == ("x", "y", "c")
    row.combo.setCurrentIndex(0)
    row.combo.activated.emit(0)
    assert layer._has_default_axis_labels()
    assert row.combo.currentText() == "Z · Y · X"


def test_the_file_behind_a_layer_is_asked(form, add, qtbot, tmp_path):
    path = tmp_path / "a.tif"
    data = np.zeros((4, 4, 4), np.uint8)
    tifffile.imwrite(path, data, imagej=True, metadata={"axes": "TYX"})
    layer = add("image", "movie", ndim=3)
    layer._source = Source(path=str(path))
    widget = form(tool_of(IMAGE))
    row = axes_of(widget)
    qtbot.waitUntil(lambda: row.combo.currentText() == "T · Y · X")
    assert row.words.isHidden()
    layer._source = Source()
    widget.row("image").field.show(path)
    qtbot.waitUntil(lambda: row.combo.currentText() == "T · Y · X" and row.isVisible())


@pytest.fixture
def bare(tmp_path):
    """A stack whose file names no axes."""
    path = tmp_path / "bare.npy"
    np.save(path, np.zeros((3, 4, 5), np.uint8))
    return path


def name_axes(qtbot, row, text: str) -> None:
    line = row.combo.lineEdit()
    line.selectAll()
    qtbot.keyClicks(line, text)
    qtbot.keyClick(line, Qt.Key.Key_Return)


@pytest.mark.parametrize("multiple", [False, True])
def test_axes_of_a_file_are_told_with_it_and_undone(qtbot, form, bare, multiple):
    tool = tool_of(replace(IMAGE, multiple=multiple))
    widget = form(tool)
    field, row = widget.row("image").field, axes_of(widget)
    field.edited([bare] if multiple else bare)
    field.show(field.node.value)
    qtbot.waitUntil(row.isVisible)
    assert "nobody named the axes" in row.words.text()
    name_axes(qtbot, row, "tyx")
    told = (bare, {"axis_labels": ("t", "y", "x")})
    assert widget.values()["image"] == ([told] if multiple else told)
    qtbot.waitUntil(lambda: row.isVisible() and row.words.isHidden())
    assert row.combo.currentText() == "T · Y · X"
    widget.refresh_layers()
    assert as_list(widget.values()["image"]) == [told], "layers that come and go change nothing"
    line = command_line(tool, widget.values())
    assert f"image={bare} --axes=image=t,y,x" in line
    preset = json.loads(json.dumps(plain_values(widget.values())))
    widget.reset()
    assert not widget.values()["image"]
    widget.set_values(preset)
    assert as_list(widget.values()["image"]) == [told]
    qtbot.waitUntil(lambda: row.combo.currentText() == "T · Y · X")
    row.combo.setCurrentIndex(0)
    row.combo.activated.emit(0)
    assert as_list(widget.values()["image"]) == [bare]
    qtbot.waitUntil(lambda: row.combo.currentText() == "Z · Y · X")


def test_axes_that_do_not_fit_a_file_are_said(qtbot, form, bare):
    widget = form(tool_of(IMAGE))
    widget.set_values({"image": [str(bare), {"axis_labels": ["t", "z", "y", "x"]}]})
    row = axes_of(widget)
    qtbot.waitUntil(lambda: "does not name 3 axes" in row.words.text())
    assert row.isVisible()
    name_axes(qtbot, row, "")
    qtbot.waitUntil(lambda: row.combo.currentText() == "Z · Y · X")
    assert widget.values()["image"] == bare


def test_what_is_unknown_is_said_and_files_that_differ(qtbot, form, add, bare, tmp_path):
    layer = add("image", "spectrum", ndim=3)
    layer.axis_labels = ("wavelength", "y", "x")
    row = axes_of(form(tool_of(IMAGE)))
    assert row.words.text() == "A guess: nobody knows what “wavelength” is."
    other = tmp_path / "named.tif"
    tifffile.imwrite(other, np.zeros((3, 4, 5), np.uint8), ome=True, metadata={"axes": "TYX"})
    widget = form(tool_of(replace(IMAGE, multiple=True)))
    widget.set_values({"image": [bare, other]})
    row = axes_of(widget)
    qtbot.waitUntil(lambda: "“named” has T, Y, X." in row.words.text())


def test_a_guess_learns_from_another_input_in_the_form(qtbot, form, add):
    movie, mask = add("image", "movie", ndim=3), add("image", "mask", ndim=3)
    widget = form(tool_of(*PAIR))
    widget.set_values({"first": movie, "second": mask})
    row = axes_of(widget, "second")
    qtbot.waitUntil(lambda: "guess" in row.words.text())
    movie.axis_labels = ("t", "y", "x")
    assert row.combo.currentText() == "T · Y · X"
    assert "those of “movie”: T, Y, X" in row.words.text()
    movie.axis_labels = ("c", "y", "x")
    assert row.combo.currentText() == "C · Y · X"


def test_planes_and_named_axes_say_no_more_than_needed(form, add, model_viewer):
    flat = add("image", "flat")
    widget = form(tool_of(IMAGE))
    row = axes_of(widget)
    assert row.isHidden()
    deep = add("image", "deep", ndim=3)
    deep.axis_labels = ("time", "row", "column")
    widget.row("image").field.edited(deep)
    widget.row("image").refresh()
    widget.row("image").field.show(deep)
    assert row.combo.currentText() == "T · Y · X"
    assert row.words.isHidden()
    deep.axis_labels = ("c", "y", "x")
    assert row.combo.currentText() == "C · Y · X", "it follows the layer"
    assert flat.ndim == 2


def test_images_that_differ_are_brought_together_on_request(form, model_viewer, qtbot):
    fine = model_viewer.add_image(np.arange(64.0).reshape(8, 8), name="fine", scale=(1, 1))
    coarse = model_viewer.add_image(np.ones((4, 4), np.uint8), name="coarse", scale=(2, 2))
    widget = form(tool_of(*PAIR))
    widget.set_values({"first": fine, "second": fine})
    row = widget.row("second")
    assert row.message() == ""
    widget.set_values({"second": coarse})
    assert "“coarse” and “fine” differ in pixel size" in row.message()
    assert widget.row("first").message() == ""  # the tool works in its pixels
    (button,) = row._message.buttons
    assert button.text() == "Resample onto “fine”"
    model_viewer.layers.selection = {fine}
    button.click()
    qtbot.waitUntil(lambda: len(model_viewer.layers) == 3)
    made = model_viewer.layers[-1]
    assert (made.name, made.data.shape, tuple(made.scale)) == ("coarse on fine", (8, 8), (1, 1))
    assert widget.values() == {"first": fine, "second": made}
    assert row.field.combo.currentText() == "coarse on fine"
    assert model_viewer.layers.selection == {fine}
    assert (row.message(), row._message.buttons) == ("", ())
    widget.set_values({"first": made, "second": coarse})
    fine.scale = made.scale = (3, 3)
    widget.set_values({"first": made, "second": fine})
    assert row.message() == ""


def test_images_that_nowhere_meet_are_told_why(form, model_viewer, qtbot):
    here = model_viewer.add_image(np.ones((4, 4)), name="here")
    there = model_viewer.add_image(np.ones((4, 4)), name="there", translate=(50, 0))
    widget = form(tool_of(*PAIR))
    widget.set_values({"first": here, "second": there})
    row = widget.row("second")
    assert "lie at different places" in row.message()
    row._message.buttons[0].click()
    qtbot.waitUntil(lambda: "lie nowhere over each other" in row.message())
    assert row._message.buttons == ()
    assert len(model_viewer.layers) == 2
