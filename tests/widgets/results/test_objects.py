"""Rows and objects, both ways; several layers, frames."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from napari.layers import Labels
from qtpy.QtWidgets import QFileDialog

from napari_tool_runner.jobs import Measured
from napari_tool_runner.tools.toolbox.box import Toolbox
from napari_tool_runner.widgets.dock import ToolRunnerWidget
from napari_tool_runner.widgets.parts.background import to_the_end
from napari_tool_runner.widgets.results import looks, objects, pixel_size, scene, showing, view
from napari_tool_runner.widgets.results.again import note_act
from napari_tool_runner.widgets.results.dock import ToolTablesWidget
from napari_tool_runner.widgets.results.looks import CHOSEN, DIMMED, VEIL, Highlight
from napari_tool_runner.widgets.results.rows import rows_of_columns
from napari_tool_runner.widgets.results.saving import KINDS
from napari_tool_runner.widgets.results.showing import open_measured, plot_features
from napari_tool_runner.widgets.results.view import STALE


@pytest.fixture
def labels(model_viewer):
    pixels = np.zeros((3, 20, 20), int)
    pixels[0, 2:5, 2:5] = 1
    pixels[2, 10:16, 10:16] = 2
    layer = model_viewer.add_labels(pixels, name="Nuclei", scale=(2, 0.5, 0.5))
    layer.features = pd.DataFrame({"index": [0, 1, 2], "area": [np.nan, 9, 36]})
    return layer


@pytest.fixture
def dock(shown, model_viewer, labels):
    return shown(ToolTablesWidget(model_viewer), 700, 300)


def click_row(dock, line):
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    at = dock.view.table.visualRect(dock.view.model.index(line, 0)).center()
    QTest.mouseClick(dock.view.table.viewport(), Qt.MouseButton.LeftButton, pos=at)


def click_canvas(dock, viewer, position, *, modifiers=(), drag=0):
    event = SimpleNamespace(
        pos=(5, 5),
        button=1,
        type="mouse_press",
        modifiers=modifiers,
        position=position,
        view_direction=None,
        dims_displayed=list(viewer.dims.displayed),
    )
    assert dock.link._mouse in viewer.mouse_drag_callbacks
    going = dock.link._mouse(viewer, event)
    next(going)
    event.type, event.pos = "mouse_release", (5 + drag, 5)
    assert next(going, None) is None


def shown_rows(dock):
    return dock.view.model.rowCount()


def test_there_is_one_row_for_each_object(dock):
    assert dock.chooser.currentText() == "Nuclei"
    assert dock.view.remarks.count.text() == "2 objects"


def test_a_row_brings_its_object_into_sight_and_lets_it_stand_out(
    qtbot, dock, labels, model_viewer
):
    camera = getattr(model_viewer, "scene", model_viewer).camera
    camera.zoom = 400
    before = labels.colormap
    click_row(dock, 1)
    qtbot.waitUntil(lambda: model_viewer.dims.current_step[0] == 2, timeout=20_000)
    assert labels.selected_label == 2
    assert np.allclose(camera.center[-2:], 6.25, atol=0.5)
    assert np.allclose(labels.colormap.map(2)[:3], to_rgb(CHOSEN))
    assert np.allclose(labels.colormap.map(1)[:3], DIMMED * before.map(1)[:3])
    assert labels.opacity == 1
    dock.view.table.clearSelection()
    assert labels.colormap == before
    assert labels.opacity == 0.7


def test_what_a_plot_chooses_moves_the_view_only_where_it_is_out_of_sight(
    qtbot, dock, labels, model_viewer
):
    camera = getattr(model_viewer, "scene", model_viewer).camera
    camera.center, camera.zoom = (0, 3, 3), 400
    labels.corner_pixels = np.array([[0, 0, 0], [2, 19, 19]])
    dock._picked_in_plot(np.array([0, 1]))
    qtbot.waitUntil(lambda: model_viewer.dims.current_step[0] == 2)
    assert tuple(camera.center[-2:]) == (3, 3)
    labels.corner_pixels = np.array([[0, 0, 0], [2, 6, 6]])
    dock._picked_in_plot(np.array([1]))
    qtbot.waitUntil(lambda: np.allclose(camera.center[-2:], 6.25, atol=0.5))


@pytest.mark.parametrize(("zoom", "center"), [(20, (4.75, 4.75)), (100, (5.5, 6.25))])
def test_a_row_never_moves_the_picture_out_of_the_canvas(
    qtbot, dock, labels, model_viewer, zoom, center
):
    camera = getattr(model_viewer, "scene", model_viewer).camera
    camera.center, camera.zoom = (0, 3, 3), zoom
    size = "viewbox_size", lambda *_: (800, 600)
    if hasattr(model_viewer, "canvas"):
        object.__setattr__(model_viewer.canvas, *size)
    else:
        model_viewer._canvas_size = size[1]()
    click_row(dock, 1)
    qtbot.waitUntil(lambda: np.allclose(camera.center[-2:], center, atol=0.3))
    assert camera.zoom == zoom


def test_a_look_that_somebody_changed_stays(dock, labels):
    click_row(dock, 1)
    labels.colormap = {None: "red", 1: "blue"}
    kept, labels.opacity = labels.colormap, 0.4
    dock.view.table.clearSelection()
    assert labels.colormap is kept
    assert labels.opacity == 0.4


def test_the_first_choice_waits_for_no_compiler(qtbot, shown, model_viewer):
    event = pytest.importorskip("numba.core.event")
    # of a kind that no other test has: what is compiled once is there for all
    layer = model_viewer.add_labels(np.arange(9, dtype=np.uint32).reshape(3, 3))
    layer.features = pd.DataFrame({"index": np.arange(9), "area": np.ones(9)})
    dock = shown(ToolTablesWidget(model_viewer), 700, 300)
    ended: list[bool] = []
    to_the_end(partial(ended.append, True), "what comes after the compiler")
    qtbot.waitUntil(lambda: bool(ended), timeout=60_000)
    with event.install_recorder("numba:compile") as heard:
        dock.view.table.selectAll()
    assert len(dock.view.chosen) == 8
    compiled = {told.data["dispatcher"].py_func.__module__ for _, told in heard.buffer}
    assert "numba.typed.typeddict" not in compiled


def test_chosen_neighbours_differ_and_of_very_many_the_others_are_grey(model_viewer):
    layer = model_viewer.add_labels(np.arange(2000).reshape(40, 50))
    highlight = Highlight()
    highlight.show(layer, np.array([3, 4]), np.arange(1, 2000))
    colors = layer.colormap.map(np.array([3, 4, 5, 6, 0]))
    assert not np.allclose(colors[0], colors[1])
    assert np.allclose(colors[2:4], [[DIMMED] * 3 + [VEIL]] * 2)
    assert colors[4, 3] == 0
    highlight.clear()
    assert layer.opacity == 0.7


def test_a_click_on_an_object_chooses_its_row(dock, labels, model_viewer):
    model_viewer.dims.set_point(0, 4)
    click_canvas(dock, model_viewer, (4, 6, 6))
    assert dock.view.chosen.tolist() == [1]
    model_viewer.dims.set_point(0, 0)
    click_canvas(dock, model_viewer, (0, 1.5, 1.5), modifiers=("Control",))
    assert dock.view.chosen.tolist() == [0, 1]
    click_canvas(dock, model_viewer, (0, 9, 9), drag=30)
    assert dock.view.chosen.tolist() == [0, 1]
    click_canvas(dock, model_viewer, (0, 9, 9))
    assert dock.view.chosen.tolist() == []


def test_a_label_that_is_selected_chooses_its_row(dock, labels):
    labels.selected_label = 2
    assert dock.view.chosen.tolist() == [1]
    dock.view.choose(np.array([0, 1]))
    labels.colormap = {None: "red", 1: "blue"}  # napari tells of the label again
    assert dock.view.chosen.tolist() == [0, 1]


def test_points_are_chosen_both_ways(dock, model_viewer, qtbot):
    points = model_viewer.add_points(
        [[1, 1], [5, 5], [9, 9]], features={"brightness": [3, 1, 2]}, name="Spots"
    )
    qtbot.waitUntil(lambda: dock.chooser.currentText() == "Spots")
    click_row(dock, 2)
    assert set(points.selected_data) == {2}
    points.selected_data = {0, 1}
    assert dock.view.chosen.tolist() == [0, 1]


def test_several_selected_layers_are_one_table(dock, labels, model_viewer, qtbot):
    other = model_viewer.add_labels(np.eye(4, dtype=int) * 7, name="Cells")
    other.features = pd.DataFrame({"index": [7], "length": [4.0]})
    model_viewer.layers.selection = {labels, other}
    qtbot.waitUntil(lambda: shown_rows(dock) == 3)
    assert dock.view.model.names == ["layer", "label", "area", "length"]
    click_row(dock, 2)
    assert other.selected_label == 7
    assert labels.selected_label == 1


def test_the_same_label_in_each_frame_is_another_row(dock, labels, model_viewer, qtbot):
    movie = model_viewer.add_labels(np.ones((3, 6, 6), int), name="Movie")
    table = {"label": [1, 1, 1], "frame": [0, 1, 2], "area": [36, 36, 36]}
    dock.add_table(rows_of_columns("Measurements", table, movie))
    click_row(dock, 2)
    qtbot.waitUntil(lambda: model_viewer.dims.current_step[0] == 2, timeout=20_000)
    model_viewer.dims.set_point(0, 1)
    click_canvas(dock, model_viewer, (1, 3, 3))
    assert dock.view.chosen.tolist() == [1]


def test_tables_of_no_layer_stand_in_the_same_place(dock):
    first = dock.add_table(rows_of_columns("Counts", {"n": [1, 2, 3]}))
    second = dock.add_table(rows_of_columns("Counts", {"n": [1]}))
    assert first != second
    assert dock.view.remarks.count.text() == "1 row"
    dock.remove_table(second)
    dock.remove_table(first)
    assert dock.chooser.currentText() == "Nuclei"


class Measuring:
    def __init__(self):
        self.done = []

    def measure(self, *given):
        self.done.append(given)


def test_what_was_measured_of_other_objects_is_measured_again(qtbot, dock, labels, model_viewer):
    owners = [Measuring()]
    Measured(labels, (), None).note(labels)
    note_act(labels, owners[0].measure, "tool", {"more": 1})
    features = labels.features.copy()
    labels.features = {}
    dock.refresh()
    assert dock.nothing.isVisible(), "taken back: the objects are those that were measured"
    labels.features = features
    dock.refresh()
    points = model_viewer.add_points([[0, 1, 1]], features={"size": [1.0]})
    model_viewer.layers.selection.active = labels
    dock.refresh()
    labels.data = labels.data * 2  # as a result that replaces it
    labels.features = {}
    qtbot.waitUntil(dock.view.changed.isVisible)
    assert dock.chooser.currentText() == "Nuclei"
    assert "“Nuclei” have changed" in dock.view.changed.text()
    assert not dock.view.body.isVisible()
    dock.view.changed.button.click()
    assert owners[0].done == [("tool", {"more": 1})]
    model_viewer.layers.selection.active = points
    qtbot.waitUntil(dock.view.body.isVisible)
    model_viewer.layers.selection.active = labels
    dock.show_layers(labels)
    owners.clear()
    dock.refresh()
    assert dock.view.changed.isVisible()
    assert not dock.view.changed.button.isVisible(), "nobody is there who measures"
    labels.features = features
    qtbot.waitUntil(dock.view.body.isVisible)


def test_painting_after_measuring_is_told_beside_the_table_and_in_its_file(
    qtbot, dock, labels, tmp_path, monkeypatch
):
    said: list[tuple[str, str]] = []
    monkeypatch.setattr(view, "notify", lambda *told: said.append(told))
    owner = Measuring()
    Measured(labels, (), None).note(labels)
    note_act(labels, owner.measure)
    changed = dock.view.changed
    assert changed.isHidden()
    labels.fill((0, 3, 3), 0)  # the eraser
    qtbot.waitUntil(changed.isVisible)
    assert "“Nuclei” have changed since they were measured." in changed.text()
    for kind, read in ((".csv", pd.read_csv), (".xlsx", pd.read_excel)):
        place = tmp_path / f"stale{kind}"
        monkeypatch.setattr(
            QFileDialog, "getSaveFileName", lambda *_, p=place: (str(p), next(iter(KINDS)))
        )
        dock.view.save_button.click()
        assert read(place)[STALE].all(), "the file says so, too"
        assert said[-1][1] == "warning"
        assert "before the last change" in said[-1][0]
    assert dock.view.body.isVisible()
    assert shown_rows(dock) == 2
    labels.undo()
    qtbot.waitUntil(changed.isHidden)
    dock.view.save_button.click()
    assert STALE not in read(place), "it is as it was measured"
    assert said[-1][1] == "info"
    labels.paint((0, 9, 9), 3)
    qtbot.waitUntil(changed.isVisible)
    changed.button.click()
    assert owner.done == [()]
    Measured(labels, (), None).note(labels)
    labels.features = labels.features.assign(mean=1.0)
    qtbot.waitUntil(changed.isHidden)


def test_what_is_written_to_the_pixels_is_told_when_they_are_drawn_and_when_it_is_saved(
    qtbot, dock, labels, model_viewer, tmp_path, monkeypatch
):
    place, said, read = tmp_path / "t.csv", [], []
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(place), next(iter(KINDS))))
    monkeypatch.setattr(view, "notify", lambda *told: said.append(told))
    Measured(labels, (), None).note(labels)
    note_act(labels, Measuring().measure)
    changed, compare = dock.view.changed, Measured.compare
    monkeypatch.setattr(Measured, "compare", lambda *given: read.append(compare(*given)))
    dock.refresh()
    qtbot.waitUntil(lambda: len(read) == 1)
    model_viewer.dims.set_point(0, 4)
    model_viewer.dims.set_point(0, 2)
    qtbot.wait(dock.looking._soon.interval() + 50)
    assert len(read) == 1, "another slice is drawn: nothing is read"
    labels.data[0, :3, :3] = 9
    labels.refresh()
    qtbot.waitUntil(changed.isVisible)
    labels.data[0, :3, :3] = 0
    labels.data[0, 2, 2] = 1
    labels.refresh()
    qtbot.waitUntil(changed.isHidden)
    labels.data[0, :3, :3] = 9  # and nobody draws it
    dock.view.save_button.click()
    assert pd.read_csv(place)[STALE].all()
    assert said[-1][1] == "warning"
    assert changed.isVisible()


def test_what_is_chosen_stays_when_it_is_measured_again_and_what_is_gone_is_told(
    qtbot, dock, labels, monkeypatch
):
    said: list[str] = []
    monkeypatch.setattr(objects, "notify", said.append)
    click_row(dock, 1)
    assert dock.view.chosen.tolist() == [1]
    labels.features = pd.DataFrame({"index": [0, 2, 3], "area": [np.nan, 36, 4], "mean": 1.0})
    qtbot.waitUntil(lambda: "mean" in dock.view.model.names)
    assert dock.view.chosen.tolist() == [0], "the same object, in another row"
    assert not said
    labels.data[labels.data == 2] = 0
    labels.refresh()
    click_row(dock, 1)
    click_row(dock, 0)
    qtbot.waitUntil(lambda: bool(said))
    assert said[-1] == "“Nuclei” has no object 2 any more."


def test_a_table_of_no_layer_that_is_made_again_takes_the_place_of_the_last(
    dock, labels, model_viewer, monkeypatch
):
    monkeypatch.setattr(showing, "tables_dock", lambda _: dock)
    monkeypatch.setattr(showing, "_open_dock", lambda _: dock)
    show = partial(showing.show_table, model_viewer, "Counts")
    first = show({"n": [1]}, None, "counted so")
    again = show({"n": [1, 2]}, None, "counted so")
    other = show({"n": [1, 2, 3]}, None, "counted otherwise")
    assert [dock.chooser.itemText(i) for i in range(dock.chooser.count())] == [
        "Nuclei",
        "Counts",
        "Counts [1]",
    ]
    first()
    assert len(dock.table("Counts")) == 2, "it is another one by now"
    again()
    assert len(dock.table("Counts")) == 1
    other()
    assert dock.table("Counts [1]") is None


@pytest.mark.parametrize("ask", ["row", "together"])
def test_a_hidden_layer_is_shown_when_its_objects_are_asked_for(dock, labels, monkeypatch, ask):
    told: list[str] = []
    monkeypatch.setattr(scene, "notify", told.append)
    labels.visible = False
    dock.view.choose(np.array([0]))
    dock.link.choose(np.array([0]))
    assert not labels.visible, "nobody asked to see it"
    if ask == "row":
        click_row(dock, 1)
    else:
        dock.view._pick(np.array([0, 1]))
    assert labels.visible
    assert told == ["“Nuclei” is shown again."]


def test_the_table_opens_once_by_itself_when_something_was_measured(
    qtbot, dock, labels, model_viewer
):
    open_measured(model_viewer, labels)  # without a window
    docked = {"tables": dock}
    added = []

    def add(widget, **_):
        added.append(widget)
        docked["tables"] = widget
        qtbot.addWidget(widget)

    window = SimpleNamespace(dock_widgets=docked, add_dock_widget=add)
    object.__setattr__(model_viewer, "window", window)
    open_measured(model_viewer, labels)
    assert not added, "it is open already"
    docked.clear()
    open_measured(model_viewer, labels)
    (made,) = added
    assert made._shown == (labels,)
    docked.clear()  # a person closes it
    open_measured(model_viewer, labels)
    assert len(added) == 1
    plot_features(model_viewer, labels)
    assert added[-1].plot_button.isChecked()


def test_a_layer_that_goes_takes_its_table_along(dock, labels, model_viewer, qtbot):
    model_viewer.layers.remove(labels)
    qtbot.waitUntil(lambda: dock.is_empty)
    assert not dock.nothing.isHidden()


def test_new_measurements_are_shown(dock, labels, qtbot):
    labels.features = pd.DataFrame({"index": [1, 2, 3], "area": [9, 36, 4], "mean": [1, 2, 3]})
    qtbot.waitUntil(lambda: shown_rows(dock) == 3)
    assert "mean" in dock.view.model.names


def test_the_table_follows_what_was_measured_last(dock, labels, model_viewer, qtbot):
    other = model_viewer.add_labels(np.eye(4, dtype=int) * 7, name="Cells")
    model_viewer.layers.selection = {labels}
    other.features = pd.DataFrame({"index": [7], "length": [4.0]})
    qtbot.waitUntil(lambda: dock.chooser.currentText() == "Cells")
    assert dock.view.remarks.count.text() == "1 object"
    model_viewer.layers.selection = {other}
    model_viewer.layers.selection = {labels}
    qtbot.waitUntil(lambda: dock.chooser.currentText() == "Nuclei")


@pytest.mark.parametrize("features", [{"label": [1, 2]}, {}])
def test_objects_of_which_only_numbers_are_known_do_not_take_its_place(
    dock, model_viewer, qtbot, features
):
    square = [[0, 0], [0, 3], [3, 3]]
    model_viewer.add_shapes([square] * 2, shape_type="polygon", features=features, name="Outlines")
    known = 1 + bool(features)
    qtbot.waitUntil(lambda: dock.chooser.count() == known)
    assert dock.chooser.currentText() == "Nuclei"


def test_a_pinned_table_stays_until_a_person_takes_another(dock, labels, model_viewer, qtbot):
    other = model_viewer.add_labels(np.eye(4, dtype=int) * 7, name="Cells")
    other.features = pd.DataFrame({"index": [7], "length": [4.0]})
    model_viewer.layers.selection = {labels, other}
    qtbot.waitUntil(lambda: shown_rows(dock) == 3)
    dock.pin.click()
    model_viewer.layers.selection = {other}
    labels.features = pd.DataFrame({"index": [1, 2, 3, 4], "area": [9, 36, 4, 5]})
    dock.add_table(rows_of_columns("Counts", {"n": [1, 2, 3]}))
    qtbot.waitUntil(lambda: shown_rows(dock) == 5)
    assert dock.chooser.currentText() == "2 selected layers"
    dock.show_layers(other)
    assert shown_rows(dock) == 1
    model_viewer.layers.remove(other)
    qtbot.waitUntil(lambda: dock.chooser.currentText() == "Counts")


def test_title_count_filter_and_plot_are_of_the_same_table(dock, labels, model_viewer, qtbot):
    dock.view.filter.setText("area > 10")
    qtbot.waitUntil(lambda: shown_rows(dock) == 1)
    dock.plot_button.click()
    spots = model_viewer.add_points([[1, 1], [5, 5]], features={"strength": [3, 1]}, name="Spots")
    qtbot.waitUntil(lambda: dock.chooser.currentText() == "Spots")
    assert dock.view.remarks.count.text() == "2 objects"
    assert dock.view.filter.text() == ""
    assert "“area > 10” is set aside" in dock.view.problem.text()
    assert dock.plots._rows.layers == (spots,)
    assert dock.plots._shown.tolist() == [0, 1]
    model_viewer.layers.selection = {labels}
    qtbot.waitUntil(lambda: dock.view.filter.text() == "area > 10")
    assert dock.view.problem.isHidden()
    assert dock.view.remarks.count.text() == "1 of 2 objects"


def test_what_a_filter_leaves_out_is_neither_chosen_nor_drawn(dock, labels, model_viewer, qtbot):
    before = labels.colormap
    dock.plot_button.click()
    dock._picked_in_plot(np.array([0, 1]))
    dock.view.filter.setText("area > 10")
    qtbot.waitUntil(lambda: dock.view.chosen.tolist() == [1])
    assert dock.plots._chosen.tolist() == [1]
    assert dock.view.remarks.count.text() == "1 of 2 objects, 1 chosen"
    np.testing.assert_allclose(labels.colormap.map(2)[:3], to_rgb(CHOSEN), atol=0.01)
    click_canvas(dock, model_viewer, labels.data_to_world((0, 3, 3)))
    assert dock.view.chosen.tolist() == dock.plots._chosen.tolist() == []
    assert labels.colormap == before


@pytest.fixture
def spread(model_viewer):
    """Four objects far apart in a picture, a fifth in another slice."""
    pixels = np.zeros((2, 400, 400), np.uint8)
    for number, (slice_, y, x) in enumerate(
        [(0, 2, 2), (0, 2, 390), (0, 390, 200), (0, 20, 30), (1, 200, 200)], 1
    ):
        pixels[slice_, y : y + 5, x : x + 5] = number
    layer = model_viewer.add_labels(pixels, name="Spread")
    sizes = [100, 100, 100, 100, 25]
    layer.features = pd.DataFrame({"index": np.arange(1, 6), "area": sizes})
    return layer


@pytest.mark.parametrize(
    ("rows", "zoomed", "away"), [([0, 3], False, 0), ([0, 1, 2, 3], True, 0), ([0, 1, 4], True, 1)]
)
def test_objects_that_are_shown_together_are_all_in_sight(
    qtbot, dock, spread, model_viewer, monkeypatch, rows, zoomed, away
):
    told: list[str] = []
    monkeypatch.setattr("napari_tool_runner.widgets.results.objects.notify", told.append)
    camera = getattr(model_viewer, "scene", model_viewer).camera
    qtbot.waitUntil(lambda: dock.view.rows.layers == (spread,))
    model_viewer.dims.set_point(0, 0)
    camera.center, camera.zoom = (0, 300, 100), 4
    dock.view._pick(np.array(rows))
    qtbot.waitUntil(lambda: dock.link._task is None)
    half = scene._half(model_viewer)
    for y, x in [((4, 4), (4, 392), (392, 202), (22, 32), (202, 202))[row] for row in rows]:
        assert (np.abs(np.subtract((y, x), camera.center[-2:])) <= half).all()
    assert (camera.zoom < 4) is zoomed
    said = [f"{away} of {len(rows)} may be out of sight: choose their rows one by one."]
    assert told == (said if away else [])
    before = tuple(camera.center), camera.zoom
    dock.view._pick(np.array(rows))
    qtbot.waitUntil(lambda: dock.link._task is None)
    assert (tuple(camera.center), camera.zoom) == before, "they are in sight"


def test_in_three_dimensions_all_is_in_sight(qtbot, dock, spread, model_viewer):
    qtbot.waitUntil(lambda: dock.view.rows.layers == (spread,))
    model_viewer.dims.ndisplay = 3
    assert scene.look_at_all(model_viewer, spread, [(0, 4, 4), (1, 202, 202)]) == 0


def test_the_dock_lets_go_of_the_viewer(qtbot, labels, model_viewer):
    before, kept = labels.colormap, list(model_viewer.mouse_drag_callbacks)
    dock = ToolTablesWidget(model_viewer)
    dock.link.choose(np.array([1]))
    assert labels.colormap != before
    dock.deleteLater()
    qtbot.waitUntil(lambda: list(model_viewer.mouse_drag_callbacks) == kept, timeout=20_000)
    assert labels.colormap == before
    labels.features = pd.DataFrame({"index": [1], "area": [9]})


def test_sizes_without_a_unit_say_how_they_get_one(qtbot, dock, labels):
    assert dock.view.remarks.unsized.isHidden()
    labels.features = pd.DataFrame({"index": [1, 2], "pixels": [9, 36]})
    qtbot.waitUntil(lambda: dock.view.remarks.unsized.text() == pixel_size.NO_SIZE)
    assert dock.view.remarks.unsized.isVisible()
    labels.features = pd.DataFrame({"index": [1, 2], "pixels": [9, 36], "area_um2": [1.5, 6]})
    qtbot.waitUntil(dock.view.remarks.unsized.isHidden)


@pytest.fixture
def canvas(model_viewer, monkeypatch):
    """Half a canvas, as a table leaves it, when it is set."""
    half: list[bool] = []
    whole = model_viewer._get_scale_factor
    monkeypatch.setattr(
        type(model_viewer), "_get_scale_factor", lambda _, margin: whole(margin) / (1 + len(half))
    )
    model_viewer.reset_view()
    return half


def test_a_picture_that_nobody_moved_is_fitted_when_the_table_takes_room(
    qtbot, dock, model_viewer, canvas
):
    camera = getattr(model_viewer, "scene", model_viewer).camera
    fitted = camera.zoom
    dock._fitting.look()
    assert camera.zoom == fitted
    canvas.append(True)
    dock._fitting.again()
    qtbot.waitUntil(lambda: np.isclose(camera.zoom, fitted / 2))


def test_a_picture_that_somebody_moved_stays_as_it_is(dock, model_viewer, canvas):
    camera = getattr(model_viewer, "scene", model_viewer).camera
    dock._fitting.look()
    camera.zoom *= 1.5
    zoom = camera.zoom
    dock._fitting._fit()
    dock._fitting.look()
    dock._fitting._fit()
    assert camera.zoom == zoom
    model_viewer.layers.clear()
    camera.zoom = zoom
    dock._fitting.look()
    dock._fitting._fit()
    assert camera.zoom == zoom


def test_the_table_that_opens_fits_the_picture(qtbot, shown, model_viewer, labels, canvas):
    camera = getattr(model_viewer, "scene", model_viewer).camera
    fitted = camera.zoom
    opening = ToolTablesWidget(model_viewer)
    canvas.append(True)  # a window has given way before it shows a dock
    shown(opening, 700, 300)
    qtbot.waitUntil(lambda: np.isclose(camera.zoom, fitted / 2))


def test_the_panel_that_opens_fits_the_picture(qtbot, shown, model_viewer, labels, canvas):
    camera = getattr(model_viewer, "scene", model_viewer).camera
    fitted = camera.zoom
    panel = ToolRunnerWidget(model_viewer, toolbox=Toolbox([]))
    canvas.append(True)
    shown(panel)
    qtbot.waitUntil(lambda: np.isclose(camera.zoom, fitted / 2))
    camera.zoom *= 3
    panel.hide()
    panel.show()
    assert np.isclose(camera.zoom, fitted * 1.5)


def test_of_very_many_that_are_chosen_those_that_are_not_are_listed(monkeypatch):
    monkeypatch.setattr(looks, "MOST", 3)
    layer = Labels(np.arange(7)[None])
    before, highlight = layer.colormap, Highlight()
    highlight.show(layer, np.array([1, 2, 3, 4, 5]), np.arange(1, 7))
    assert np.allclose(layer.colormap.map(5)[:3], to_rgb(CHOSEN))
    assert np.allclose(layer.colormap.map(6), (DIMMED, DIMMED, DIMMED, VEIL))
    assert np.allclose(layer.colormap.map(0)[3], 0)
    assert set(layer.colormap.color_dict) == {None, 0, 6}
    highlight.show(layer, np.zeros(0, int), np.arange(1, 7))
    assert layer.colormap == before
