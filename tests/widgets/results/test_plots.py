"""Plots: what is clicked on or circled is chosen; a column colours the objects."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.backend_bases import MouseEvent
from napari.utils.colormaps import ensure_colormap
from qtpy.QtCore import Qt

from napari_tool_runner.widgets.results.chosen import chosen_words, group_words
from napari_tool_runner.widgets.results.dock import ToolTablesWidget
from napari_tool_runner.widgets.results.plots import HISTOGRAM, LINE, LOWEST, SCATTER
from napari_tool_runner.widgets.results.rows import rows_of_columns, rows_of_layers

AREAS = [1.0, 2, 2, 3, 10, np.nan]


@pytest.fixture
def labels(model_viewer):
    layer = model_viewer.add_labels(np.arange(49).reshape(7, 7) % 7, name="Nuclei")
    layer.features = pd.DataFrame(
        {
            "index": range(1, 7),
            "area_um2": AREAS,
            "mean": [5.0, 1, 2, 3, 4, 6],
            "frame": [0, 0, 1, 1, 2, 2],
        }
    )
    return layer


@pytest.fixture
def dock(shown, qtbot, model_viewer, labels):
    dock = shown(ToolTablesWidget(model_viewer), 900, 400)
    dock.plot_button.click()
    qtbot.waitUntil(lambda: dock.plots.axes is not None, timeout=20_000)
    return dock


def draw(dock, kind):
    dock.plots.kind.setCurrentText(kind)
    dock.plots._draw()
    dock.plots.canvas.draw()


def mouse(dock, *points):
    """Press at the first of some places in the data, move, and let go at the last."""
    canvas = dock.plots.canvas
    pixels = dock.plots.axes.transData.transform(points)
    names = [
        "button_press_event",
        *["motion_notify_event"] * (len(points) - 1),
        "button_release_event",
    ]
    for name, (x, y) in zip(names, [*pixels, pixels[-1]], strict=True):
        held = [1] if name == "motion_notify_event" else None
        canvas.callbacks.process(name, MouseEvent(name, canvas, x, y, 1, buttons=held))


def test_the_size_is_plotted_first(dock):
    assert dock.plots.across.currentText() == "area (µm²)"
    assert dock.plots.axes.get_xlabel() == "area (µm²)"
    assert dock.plots.up.isHidden()


def test_a_click_on_the_last_bar_chooses_the_largest(dock, labels):
    draw(dock, HISTOGRAM)
    mouse(dock, (9.5, 0.2))
    assert dock.view.chosen.tolist() == [4]
    assert labels.selected_label == 5
    mouse(dock, (6, 0.2))
    assert dock.view.chosen.tolist() == []


@pytest.mark.parametrize(
    ("chosen", "name", "said"),
    [
        ([0, 1, 2, 3], "area_um2", "4 objects, area 1–3 µm²; the largest is label 4."),
        ([1, 2], "area_um2", "2 objects, area 2 µm²."),
        ([4], "area_um2", "Label 5: area 10 µm², the largest of 5."),
        ([0], "area_um2", "Label 1: area 1 µm², the smallest of 5."),
        ([1], "mean", "Label 2: mean 1, the smallest of 5."),
        ([3], "mean", "Label 4: mean 3."),
        ([5], "area_um2", ""),
        ([0], "all", "Label 1: all 0; all 5 have the same."),
        ([0, 1], "all", "2 objects, all 0."),
        ([3], "two", "Label 4: two 7, the largest of 5, as large as label 5."),
        ([0], "two", "Label 1: two 1, the smallest of 5; 2 others are as small."),
        ([0, 3, 4], "two", "3 objects, two 1–7; the largest are label 4 and label 5."),
        ([0, 1, 2, 3], "three", "4 objects, three 1–7; 3 have the largest."),
        (
            [4],
            "near",
            "Label 5: near 100.0, the largest of 5 (label 4 has nearly the same: 99.9).",
        ),
    ],
)
def test_what_is_chosen_is_told(labels, chosen, name, said):
    more = {"all": 0, "two": [1, 1, 1, 7, 7, 0], "three": [1, 7, 7, 7, 1, 0]}
    labels.features = labels.features.assign(**more, near=[1.5, 2, 3, 99.9, 100, 0])
    rows = rows_of_layers([labels])
    assert chosen_words(rows, np.arange(5), np.array(chosen), name) == said


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ([4, 5], "Frame 2 (2 objects): mean mean 5.0, the largest of 3."),
        ([2, 3], "Frame 1 (2 objects): mean mean 2.5, the smallest of 3."),
        ([0, 1], "Frame 0 (2 objects): mean mean 3.0."),
        ([0, 1, 2, 3], "4 objects, frame 0–1, mean mean 2.5–3.0; the largest is frame 0."),
        ([0], ""),
        ([0, 1, 2], ""),
        ([], ""),
    ],
)
def test_what_is_chosen_in_a_line_is_told_by_its_means(labels, chosen, said):
    rows = rows_of_layers([labels])
    told = group_words(rows, np.arange(6), np.array(chosen, int), "frame", "mean")
    assert told == said


def test_days_and_words_of_a_line_are_told_as_such(strange):
    rows = rows_of_layers([strange])
    told = group_words(rows, np.arange(6), np.array([3, 4, 5]), "day", "area")
    assert told == "Day 2024-02-01 (3 objects): mean area 5, the largest of 3."
    told = group_words(rows, np.arange(6), np.array([1]), "class", "area")
    assert told == "Class long (1 object): mean area 2, the smallest of 3."


def test_the_names_of_chosen_rows(labels, model_viewer):
    other = model_viewer.add_points(
        [[1, 1], [2, 2]], features={"size": [1.0, 2500.0]}, name="Spots"
    )
    both = np.arange(2)
    assert chosen_words(rows_of_layers([other]), both, both, "size") == (
        "2 objects, size 1–2500; the largest is object 1."
    )
    many = rows_of_layers([labels, other])
    told = chosen_words(many, np.arange(len(many)), np.array([4]), "area_um2")
    assert told.startswith("Object 5 of “Nuclei”: area 10 µm²")
    loose = rows_of_columns("T", {"n": [3.0, 2.0], "what": ["a", "b"]})
    assert chosen_words(loose, both, both[:1], "n") == "Row 1: n 3, the largest of 2."
    known = rows_of_columns("T", {"id": [7, 8], "n": [3.0, 2.0]})
    assert chosen_words(known, both, both, "n") == "2 rows, n 2–3; the largest is id 7."


def test_the_largest_and_the_smallest_are_chosen_with_a_button(dock, labels):
    dock.plots.largest.click()
    assert dock.view.chosen.tolist() == [4]
    assert labels.selected_label == 5
    dock.plots._draw()
    assert dock.plots.hint.text() == "Label 5: area 10 µm², the largest of 5."
    dock.view.filter.setText("area > 1")
    dock.view._apply_filter()
    dock.plots.smallest.click()
    assert dock.view.chosen.tolist() == [1], "of the rows that are shown"
    dock.view.filter.setText("mean > 5")  # its area is not known
    dock.view._apply_filter()
    dock.plots.largest.click()
    assert dock.view.chosen.tolist() == [], "the one that was chosen is left out"
    dock.view.filter.setText("mean > 500")
    dock.view._apply_filter()
    dock.plots._draw()
    assert not dock.plots.largest.isEnabled()


def test_what_is_chosen_is_in_sight_below_three_notes_on_a_small_screen(
    shown, qtbot, model_viewer
):
    pixels = np.zeros((60, 400), int)
    for number in range(1, 53):  # one at the edge, one a giant, two as large as each other
        pixels[number > 1 : 9 + 40 * (number >= 51), number * 6 : number * 6 + 5] = number
    layer = model_viewer.add_labels(pixels, name="cells · Objects")
    areas = np.bincount(pixels.ravel())[1:]
    layer.features = pd.DataFrame({"index": range(1, 53), "label": range(1, 53), "pixels": areas})
    dock = shown(ToolTablesWidget(model_viewer), 672, 250)  # as wide as at 1366 × 768
    dock.plot_button.click()
    plots, remarks = dock.plots, dock.view.remarks
    qtbot.waitUntil(lambda: plots.axes is not None, timeout=20_000)
    told = (remarks.giants, remarks.cut, remarks.unsized)
    assert all(part.isVisible() for part in told)
    top = dock.view.body.y()
    plots.largest.click()
    qtbot.waitUntil(lambda: "as large as" in plots.hint.text(), timeout=20_000)

    def is_whole():
        hint, canvas = plots.hint, plots.canvas.geometry()
        return (
            all(plots.rect().contains(part.geometry()) for part in (hint, plots.bar))
            and hint.height() >= hint.heightForWidth(hint.width())
            and plots.bar.geometry().bottom() < canvas.top()
            and canvas.bottom() < hint.y()
        )

    qtbot.waitUntil(is_whole, timeout=20_000)
    assert plots.canvas.height() >= LOWEST
    assert dock.rect().contains(dock.view.geometry())
    assert dock.view.body.y() == top, "what is pressed again stays where it is"


def test_a_drag_across_bars_chooses_their_objects_and_shows_the_largest(dock, labels):
    draw(dock, HISTOGRAM)
    mouse(dock, (1, 0.2), (2, 0.2), (3, 0.2))
    assert dock.view.chosen.tolist() == [0, 1, 2, 3]
    assert labels.selected_label == 4


def test_one_object_of_a_high_bar_is_marked_below_it(dock):
    dock.view.choose(np.array([4]))
    dock._chosen(np.array([4]))
    draw(dock, HISTOGRAM)
    assert [line.get_xdata().tolist() for line in dock.plots.axes.lines[:1]] == [[10]]


def test_points_are_clicked_on_and_circled(dock):
    draw(dock, SCATTER)
    mouse(dock, (10, 4))
    assert dock.view.chosen.tolist() == [4]
    draw(dock, SCATTER)
    mouse(dock, (1.5, 0.9), (3.5, 0.9), (3.5, 3.3), (1.5, 3.3), (1.5, 0.9))
    assert dock.view.chosen.tolist() == [1, 2, 3]


def test_a_line_shows_the_mean_of_each_frame(dock):
    dock.plots.across.setCurrentIndex(dock.plots.across.findData("frame"))
    dock.plots.up.setCurrentIndex(dock.plots.up.findData("mean"))
    draw(dock, LINE)
    (line,) = dock.plots.axes.lines[:1]
    assert line.get_xydata().tolist() == [[0, 3], [1, 2.5], [2, 5]]
    mouse(dock, (1, 3))
    assert dock.view.chosen.tolist() == [2, 3]


def test_a_line_begins_with_frames_whatever_was_across(dock):
    plots = dock.plots
    plots.across.setCurrentIndex(plots.across.findData("mean"))
    for kind in (SCATTER, LINE):
        plots.kind.setCurrentText(kind)
        plots.kind.activated.emit(plots.kind.currentIndex())
    assert (plots.across.currentData(), plots.up.currentData()) == ("frame", "mean")
    plots.kind.setCurrentText(HISTOGRAM)
    plots.kind.activated.emit(0)
    assert plots.across.currentData() == "mean"
    draw(dock, LINE)
    dock.add_table(rows_of_columns("Next", {"frame": [0, 1], "area": [3.0, 2.0]}))
    assert (plots.across.currentData(), plots.up.currentData()) == ("frame", "area")


def test_the_largest_goes_by_what_is_upwards(dock):
    plots = dock.plots
    plots.up.setCurrentIndex(plots.up.findData("mean"))
    draw(dock, SCATTER)
    plots.largest.click()
    assert dock.view.chosen.tolist() == [5]
    plots._draw()
    assert plots.hint.text().startswith("Label 6: mean 6, the largest of 6")
    plots.across.setCurrentIndex(plots.across.findData("frame"))
    draw(dock, LINE)
    plots.smallest.click()
    assert dock.view.chosen.tolist() == [2, 3]
    plots._draw()
    assert plots.hint.text() == "Frame 1 (2 objects): mean mean 2.5, the smallest of 3."
    assert [line.get_xydata().tolist() for line in plots.axes.lines[1:2]] == [[[1, 2.5]]]
    assert "mean “mean”" in plots.smallest.toolTip()
    dock.view.choose(np.array([4]))
    dock._chosen(np.array([4]))
    plots._draw()
    assert plots.hint.text().startswith("Label 5: mean 4")


def test_where_all_are_the_same_none_is_the_largest(dock, labels, qtbot):
    labels.features = labels.features.assign(same=0)
    qtbot.waitUntil(lambda: dock.plots.across.findData("same") >= 0)
    plots = across(dock, labels, "same")
    assert not plots.largest.isEnabled()
    assert "All are the same" in plots.largest.toolTip()
    plots.color_button.click()
    colors = labels.colormap.map(np.arange(1, 7))
    assert np.allclose(colors, ensure_colormap("viridis").map(0.5), atol=0.02)
    assert plots.scale.isVisible()
    assert plots.scale.high.text() == "all the same, 0"


def test_numbers_along_a_plot_are_whole_and_nothing_is_added_to_them(dock):
    table = {"frame": [0, 1, 2], "mean": [180.01, 180.05, 180.02]}
    dock.add_table(rows_of_columns("Means", table))
    dock.plots.across.setCurrentIndex(0)
    dock.plots.up.setCurrentIndex(1)
    draw(dock, LINE)
    axes = dock.plots.axes
    assert axes.yaxis.get_offset_text().get_text() == ""
    assert all("180.0" in one.get_text() for one in axes.get_yticklabels()[1:-1])
    ticks = [tick for tick in axes.get_xticks() if 0 <= tick <= 2]
    assert ticks == [0, 1, 2]


def test_what_is_pressed_above_a_plot_stands_still_and_names_are_whole(
    shown, qtbot, model_viewer, labels
):
    names = {"intensity_mean": 0.5, "centroid_y (µm)": 1.5}
    labels.features = labels.features.assign(**names)
    dock = shown(ToolTablesWidget(model_viewer), 780, 400)
    dock.plot_button.click()
    plots = dock.plots
    qtbot.waitUntil(lambda: plots.axes is not None, timeout=20_000)
    plots.kind.setCurrentText(LINE)
    plots.kind.activated.emit(2)
    for box, name in ((plots.across, "frame"), (plots.up, "intensity_mean")):
        box.setCurrentIndex(box.findData(name))
        box.activated.emit(box.currentIndex())
    boxes = (plots.kind, plots.across, plots.up)
    qtbot.waitUntil(lambda: all(b._shortened() == b.currentText() for b in boxes))
    places = [one.mapTo(dock, one.rect().topLeft()) for one in (plots.largest, plots.smallest)]
    plots.hint.setText("Some words that are told. " * 20)
    qtbot.waitUntil(lambda: plots.hint.height() > 60)
    after = [one.mapTo(dock, one.rect().topLeft()) for one in (plots.largest, plots.smallest)]
    assert after == places


def test_a_long_name_beside_a_low_plot_is_not_cut_by_its_edge(dock):
    dock.plots.across.setCurrentIndex(dock.plots.across.findData("frame"))
    dock.add_table(rows_of_columns("Long", {"frame": [0, 1], "x" * 55: [1.0, 2]}))
    dock.plots.up.setCurrentIndex(1)
    draw(dock, LINE)
    label, canvas = dock.plots.axes.yaxis.label, dock.plots.canvas
    assert label.get_text().startswith("mean\nxx")
    assert label.get_window_extent(canvas.get_renderer()).height <= canvas.height()


def test_only_what_the_filter_leaves_is_plotted_and_chosen(dock):
    dock.view.filter.setText("area < 5")
    dock.view._apply_filter()
    draw(dock, SCATTER)
    assert len(dock.plots.axes.lines[0].get_xdata()) == 4
    mouse(dock, (1.9, 0.9), (2.1, 0.9), (2.1, 2.1), (1.9, 2.1))
    assert dock.view.chosen.tolist() == [1, 2]


def test_what_is_left_out_of_a_plot_is_told_in_it(dock):
    assert dock.plots.axes.get_title() == ""
    dock.view.filter.setText("area < 3 and at edge")
    dock.view._apply_filter()
    dock.plots._draw()
    assert dock.plots.axes.get_title() == "3 of 6 objects: area < 3 and at edge"


def test_sizes_without_a_unit_are_called_what_they_are(dock, labels, qtbot):
    labels.features = {"index": [1, 2], "pixels": [10, 20], "circularity": [0.5, 0.7]}
    qtbot.waitUntil(lambda: dock.plots.across.currentText() == "area (px)")
    assert "area (px)" in dock.view.model.titles
    assert dock.view.filter.placeholderText() == "Filter: area > 20, or a word"
    dock.view.filter.setText("area > 10")
    dock.view._apply_filter()
    assert dock.view.model.rowCount() == 1
    loose = rows_of_columns("Bins", {"pixels": [10, 20]})
    dock.view.show_rows(loose)
    assert dock.view.model.titles == ["pixels"], "of no object it is no area"


def test_a_column_colours_the_objects(dock, labels):
    dock.plots.color_button.click()
    low, high, none = labels.colormap.map(np.array([1, 5, 6]))
    assert low[2] > low[0]
    assert high[0] > high[2]
    assert none[3] < 1


def test_what_the_colours_mean_is_told_and_they_are_taken_off(dock, labels, model_viewer):
    scale, before = dock.plots.scale, labels.colormap
    assert scale.isHidden()
    dock.plots.color_button.click()
    assert scale.isVisible()
    told = [part.text() for part in (scale.column, scale.low, scale.high)]
    assert told == ["area (µm²):", "1", "10"]
    dock.view.choose(np.array([4]))
    dock._chosen(np.array([4]))
    assert labels.colormap is not before
    assert scale.isVisible(), "they are there below what stands out"
    scale.off.click()
    assert scale.isHidden()
    dock.link.choose(np.zeros(0, int))
    assert labels.colormap is before
    dock.plots.color_button.click()
    labels.colormap = before
    assert scale.isHidden(), "somebody else coloured them"


def test_several_layers_have_one_scale(dock, labels, model_viewer):
    spots = model_viewer.add_points([[1, 1], [2, 2]], features={"area_um2": [1.0, 28.0]})
    model_viewer.layers.selection = {labels, spots}
    dock.show_layers(labels, spots)
    assert dock.plots._rows.layers == (labels, spots)
    own = spots.face_color.copy()
    dock.plots.color_button.click()
    assert dock.plots.scale.high.text() == "28"
    assert np.allclose(labels.colormap.map(1), spots.face_color[0])
    assert not np.allclose(labels.colormap.map(5), spots.face_color[1])
    dock.plots.scale.off.click()
    assert np.allclose(spots.face_color, own)


def test_a_table_of_words_has_bars_and_no_scatter(dock):
    dock.add_table(rows_of_columns("Names", {"name": ["a", "b"]}))
    draw(dock, HISTOGRAM)
    assert dock.plots.hint.text() == "Click on a bar, or drag across several."
    draw(dock, SCATTER)
    assert "no numbers" in dock.plots.hint.text()
    dock.plots.color_button.click()


@pytest.mark.parametrize("name", ["price $5 to $", r"$\nope$", "$" + r"\sqrt{" * 40 + "$"])
@pytest.mark.parametrize("kind", [HISTOGRAM, SCATTER, LINE])
def test_names_of_columns_are_no_formulas(dock, name, kind):
    from napari_tool_runner.widgets.results.rows import rows_of_columns

    dock.add_table(rows_of_columns("Strange", {name: [1.0, 2, 3]}))
    draw(dock, kind)
    for label in (dock.plots.axes.xaxis.label, dock.plots.axes.yaxis.label):
        assert not label.get_parse_math()
    assert dock.plots.axes.get_xlabel().startswith(name[:50])


@pytest.mark.parametrize("kind", [HISTOGRAM, SCATTER, LINE])
@pytest.mark.parametrize(
    "values", [[1e16, 1e16 + 2, 1e16 + 4], [1e16] * 3, [1.7e308, -1.7e308, 1.0], [0.0]]
)
def test_any_numbers_are_drawn(dock, values, kind):
    from napari_tool_runner.widgets.results.rows import rows_of_columns

    dock.add_table(rows_of_columns("Numbers", {"n": values}))
    draw(dock, kind)
    assert dock.plots.axes.get_xlabel() == "n"


def test_long_names_are_cut_and_whole_in_their_tooltips(dock):
    from napari_tool_runner.widgets.results.rows import rows_of_columns

    name = "x" * 3000 + "\n" * 20
    dock.add_table(rows_of_columns("Long", {name: [1.0, 2, 3]}))
    draw(dock, SCATTER)
    shown = dock.plots.across.currentText()
    assert len(shown) == 60
    assert shown == dock.plots.axes.get_xlabel()
    assert shown.startswith(dock.plots.axes.get_ylabel().removesuffix("…"))
    assert dock.view.model.headerData(0, Qt.Orientation.Horizontal) == shown
    whole = dock.view.model.headerData(0, Qt.Orientation.Horizontal, Qt.ItemDataRole.ToolTipRole)
    assert whole == dock.plots.across.toolTip()
    assert whole.count("x") == 3000


@pytest.fixture
def strange(model_viewer):
    layer = model_viewer.add_labels(np.arange(49).reshape(7, 7) % 7, name="Strange")
    layer.features = pd.DataFrame(
        {
            "index": range(1, 7),
            "none": [np.nan] * 6,
            "class": ["round", "long", "round", None, "round", "$x$"],
            "kept": [True, False, True, True, True, True],
            "day": pd.to_datetime(["2024-01-01", "2024-01-03", None, *["2024-02-01"] * 3]),
            "area": [1.0, 2, 3, 4, 5, 6],
        }
    )
    return layer


def across(dock, layer, name, kind=HISTOGRAM):
    dock.show_layers(layer)
    dock.plots.across.setCurrentIndex(dock.plots.across.findData(name))
    draw(dock, kind)
    return dock.plots


@pytest.mark.parametrize("kind", [HISTOGRAM, SCATTER, LINE])
def test_numbers_without_an_end_are_no_values_to_plot(dock, kind):
    dock.add_table(rows_of_columns("Numbers", {"n": [np.inf] * 2}))
    draw(dock, kind)
    assert dock.plots.hint.text() == "“n” has no values to plot."


@pytest.mark.parametrize("kind", [HISTOGRAM, SCATTER, LINE])
def test_a_column_without_a_value_says_so_in_the_place_of_a_plot(dock, strange, kind):
    plots = across(dock, strange, "none", kind)
    assert plots.hint.text() == "“none” has no values to plot."
    assert not plots.canvas.figure.axes
    assert not plots.largest.isEnabled()


def test_words_are_counted_by_bars_and_a_click_on_one_chooses_its_objects(dock, strange):
    plots = across(dock, strange, "class")
    assert [one.get_text() for one in plots.axes.get_xticklabels()] == ["$x$", "long", "round"]
    assert [bar.get_height() for bar in plots.axes.containers[0]] == [1, 1, 3]
    assert not plots.largest.isEnabled(), "no word is larger than another"
    mouse(dock, (2, 0.5))
    assert dock.view.chosen.tolist() == [0, 2, 4]
    draw(dock, HISTOGRAM)
    assert plots.hint.text() == "3 objects are chosen."
    plots.color_button.click()


@pytest.mark.parametrize("kind", [HISTOGRAM, SCATTER, LINE])
@pytest.mark.parametrize("name", ["class", "kept", "day"])
def test_words_and_dates_are_plotted_as_they_are(dock, strange, name, kind):
    plots = across(dock, strange, name, kind)
    told = [one.get_text() for one in plots.axes.get_xticklabels()]
    wanted = {"class": "round", "kept": "True", "day": "Feb"}[name]
    assert any(wanted in text for text in told), told


def test_more_words_than_bars_are_told(dock, model_viewer):
    many = model_viewer.add_labels(np.arange(100).reshape(10, 10), name="Many")
    many.features = pd.DataFrame({"index": range(100), "name": [f"n{i}" for i in range(100)]})
    plots = across(dock, many, "name")
    assert plots.hint.text() == "“name” has 99 words: too many to plot."


STRANGE_TABLES = {
    "a float label": {"label": [1.0, 2.0], "area": [3.0, 4.0]},
    "a label twice": {"label": [1, 1], "area": [3.0, 4.0]},
    "a label in words": {"label": ["a", "b"], "object": ["c", "d"], "object 2": [1, 2]},
    "our columns": {"layer": ["a", "b"], "frame": [1, 2], "time_s": [0.1, 0.2], "label": [1, 2]},
    "numbers as names": {0: [1, 2], 1: [3.0, 4.0]},
    "names in parts": {("area", "mean"): [1.0, 2.0], ("area", "std"): [3.0, 4.0]},
    "objects": {"a": [{1}, None], "b": [[1, 2], "x"]},
    "dates": {"a": pd.to_datetime(["2024-01-01", None]), "b": pd.to_timedelta(["1s", None])},
    "zones": {"a": pd.date_range("2024", periods=2, tz="Europe/Paris")},
    "periods": {"a": pd.period_range("2024", periods=2, freq="M")},
    "kinds": {"a": pd.Categorical(["x", None]), "b": pd.Categorical([1, 2])},
    "types of pandas": {"a": pd.array([1, None], "Int64"), "b": pd.array([True, None], "boolean")},
    "strings": {"a": pd.array(["x", None], "string"), "b": pd.array([1.5, None], "Float64")},
    "complex": {"a": [1j, 2.0]},
    "empty": {"index": [np.nan, np.nan], "area": [1.0, 2.0]},
    "no row": {"label": [], "area": []},
}


@pytest.mark.parametrize("told", STRANGE_TABLES)
def test_whatever_features_hold_the_table_below_a_name_is_that_of_the_layer(
    dock, model_viewer, told
):
    layer = model_viewer.add_labels(np.array([[0, 1], [2, 2]]), name="Odd")
    layer.features = pd.DataFrame(STRANGE_TABLES[told])
    dock.show_layers(layer)
    if len(layer.features):
        assert dock.chooser.currentText() == "Odd"
        assert dock.view.rows.layers == (layer,)
        assert not dock.view.changed.isVisible()
    for at in range(dock.plots.across.count()):
        dock.plots.across.setCurrentIndex(at)
        draw(dock, HISTOGRAM)
        draw(dock, SCATTER)
        dock.view.model.sort(at)
    dock.show_layers(layer, model_viewer.layers["Nuclei"])


def test_a_table_that_cannot_be_made_is_empty_and_says_why(dock, model_viewer, monkeypatch):
    def fails(layers):
        if layers[0].name == "Odd":
            raise TypeError("columns of somebody's own")
        return rows_of_layers(layers)

    monkeypatch.setattr("napari_tool_runner.widgets.results.dock.rows_of_layers", fails)
    layer = model_viewer.add_labels(np.array([[0, 1], [2, 2]]), name="Odd")
    layer.features = pd.DataFrame({"area": [0, 1, 2]})
    dock.show_layers(layer)
    assert dock.chooser.currentText() == "Odd"
    assert len(dock.view.rows) == 0
    assert "columns of somebody's own" in dock.view.changed.text()
    dock.show_layers(model_viewer.layers["Nuclei"])
    assert len(dock.view.rows) == 6
    assert not dock.view.changed.isVisible()
