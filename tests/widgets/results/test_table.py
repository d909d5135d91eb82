"""The table itself: sorted, filtered, copied, saved."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from napari.layers import Labels
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractButton, QFileDialog, QMenu

from napari_tool_runner.errors import ParameterError
from napari_tool_runner.widgets.results import saving
from napari_tool_runner.widgets.results.filtering import matching
from napari_tool_runner.widgets.results.looks import FADED, color_by, scale_over
from napari_tool_runner.widgets.results.measures import cut_in
from napari_tool_runner.widgets.results.model import TableModel, cell_text, sorted_rows
from napari_tool_runner.widgets.results.rows import Rows, rows_of_columns, rows_of_layers
from napari_tool_runner.widgets.results.saving import save_table
from napari_tool_runner.widgets.results.view import TableView

CELLS = pd.DataFrame(
    {
        "label": [1, 2, 3, 4],
        "area_um2": [12.5, np.nan, 3.25, 40.0],
        "class": ["round", "long", "Round", None],
    }
)


@pytest.fixture
def view(shown):
    return shown(TableView(Rows("Cells", CELLS)), 700)


def column(view, at):
    model = view.model
    return [model.data(model.index(line, at)) for line in range(model.rowCount())]


def test_the_model_keeps_qts_rules(qtmodeltester):
    qtmodeltester.check(TableModel(Rows("Cells", CELLS)), force_py=True)


def test_headers_say_units(view):
    assert view.model.headerData(1, Qt.Orientation.Horizontal) == "area (µm²)"


def test_the_corner_says_that_it_chooses_all(view):
    corner = view.table.findChild(QAbstractButton)
    assert "all rows" in corner.accessibleName()
    assert "all rows" in corner.toolTip()
    QTest.mouseClick(corner, Qt.MouseButton.LeftButton)
    assert view.chosen.tolist() == [0, 1, 2, 3]


def test_a_click_on_a_header_sorts_and_what_is_empty_comes_last(view):
    header = view.table.horizontalHeader()
    at = header.sectionViewportPosition(1) + 20

    def click():
        QTest.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(at, 8))

    click()
    assert column(view, 0) == ["4", "1", "3", "2"], "the largest first"
    click()
    assert column(view, 0) == ["3", "1", "4", "2"]
    click()
    assert column(view, 0) == ["4", "1", "3", "2"], "never unsorted without a word"


def test_each_order_of_rows_has_a_name_in_the_header(view, model_viewer):
    def entries(column):
        return {action.text(): action for action in view.order_menu(column).actions()}

    entries(1)["Smallest first"].trigger()
    assert column(view, 0) == ["3", "1", "4", "2"]
    entries(2)["Z–A"].trigger()
    assert column(view, 2) == ["round", "long", "Round", ""]
    entries(1)["As it came"].trigger()
    assert column(view, 0) == ["1", "2", "3", "4"]
    header = view.table.horizontalHeader()
    assert header.sortIndicatorSection() == -1
    layer = model_viewer.add_points([[0, 0]], features={"size": [1]})
    view.show_rows(rows_of_layers([layer]))
    assert "As in the layer" in entries(0)
    header.customContextMenuRequested.emit(QPoint(5, 5))
    menus = [one for one in view.findChildren(QMenu) if one.isVisible()]
    assert len(menus) == 1
    menus[0].close()


@pytest.mark.parametrize(("at", "down"), [(0, False), (1, True), (2, False), (9, False)])
def test_measures_are_sorted_largest_first_and_names_and_numbers_of_objects_are_not(
    view, at, down
):
    orders = Qt.SortOrder
    first = view.model.headerData(
        at, Qt.Orientation.Horizontal, Qt.ItemDataRole.InitialSortOrderRole
    )
    assert first == (orders.DescendingOrder if down else orders.AscendingOrder).value


def test_what_is_sorted_is_seen_from_its_begin(view):
    view.show_rows(Rows("Many", pd.DataFrame({"area": np.arange(500)})))
    view.table.scrollToBottom()
    assert view.table.indexAt(QPoint(5, 5)).row() > 100
    view.table.sortByColumn(0, Qt.SortOrder.DescendingOrder)
    assert view.table.indexAt(QPoint(5, 5)).row() == 0


@pytest.fixture
def told(monkeypatch):
    """What notifications say."""
    said: list[str] = []
    monkeypatch.setattr(
        "napari_tool_runner.widgets.results.view.notify", lambda text, *_: said.append(text)
    )
    return said


def test_copying_says_what_was_copied(view, told):
    view.copy_button.click()
    view.choose(np.array([2]))
    view.copy_button.click()
    view.choose(np.array([2, 3]))
    view.copy_button.click()
    assert told == [
        "Copied all 4 rows that are shown.",
        "Copied the 1 row that is chosen.",
        "Copied the 2 rows that are chosen.",
    ]


def test_saving_names_the_file(view, told, tmp_path, monkeypatch):
    answer = str(tmp_path / "Cells.csv"), "CSV (*.csv)"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: answer)
    view.save_button.click()
    assert told == [f"Saved Cells.csv: 4 rows, in {tmp_path}."]


def test_equal_rows_stay_in_their_order():
    same = pd.Series([2, 1, 2, 1])
    assert sorted_rows(same, up=True).tolist() == [1, 3, 0, 2]
    assert sorted_rows(same, up=False).tolist() == [0, 2, 1, 3]


def test_numbers_beside_words_are_sorted_as_words():
    assert sorted_rows(pd.Series(["b", 3, "a"], dtype=object), up=True).tolist() == [1, 2, 0]


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("area > 10", [1, 4]),
        ("area (µm²) ≤ 12.5", [1, 3]),
        ("area_um2 > 1 and label != 4", [1, 3]),
        ("class = round", [1, 3]),
        ("round", [1, 3]),
        ("3", [3]),
        ("area >", [1, 2, 3, 4]),
        ("", [1, 2, 3, 4]),
    ],
)
def test_filters(text, labels):
    mask = matching(CELLS, text)
    found = CELLS if mask is None else CELLS[mask]
    assert found["label"].tolist() == labels


def test_a_filter_that_means_nothing_says_what_there_is(view):
    with pytest.raises(ParameterError, match="no column “width”"):
        matching(CELLS, "width > 3")
    with pytest.raises(ParameterError, match="no number"):
        matching(CELLS, "label > big")
    view.filter.setText("width > 3")
    view._apply_filter()
    assert "area_um2" in view.problem.text()
    assert view.model.rowCount() == 4
    view.filter.setText("area > 10")
    view._apply_filter()
    assert view.problem.isHidden()
    assert view.remarks.count.text() == "2 of 4 rows"


def test_a_filter_that_means_nothing_hides_nothing_that_was_shown_before(view):
    view.filter.setText("area > 10")
    view._apply_filter()
    view.filter.setText("width > 3")
    view._apply_filter()
    assert view.remarks.count.text() == "4 rows"


def test_who_writes_a_filter_gives_up_the_one_that_is_set_aside(view):
    view.filter.setText("area > 10")
    view.show_rows(Rows("Counts", pd.DataFrame({"n": [1, 2]})))
    assert view.filter.text() == ""
    QTest.keyClicks(view.filter, "2")
    view.show_rows(Rows("Cells", CELLS))
    assert view.filter.text() == "2"


@pytest.mark.parametrize(
    ("columns", "proposed"),
    [
        ({"label": [1, 2, 3], "volume_um3": [3.0, 417, 500]}, "volume > 400"),
        ({"label": [1, 2, 3], "pixels": [10, 20, 30]}, "pixels > 20"),
        ({"n": [np.nan]}, "a word"),
        ({"class": ["round"]}, "a word"),
        ({}, "a word"),
    ],
)
def test_the_example_of_a_filter_names_a_column_that_is_there(view, columns, proposed):
    frame = pd.DataFrame(columns)
    view.show_rows(Rows("Cells", frame))
    assert proposed in view.filter.placeholderText()
    if ">" in proposed:
        assert 0 < matching(frame, proposed).sum() < len(frame)


SIZES = [1, 1, 2, 700]


@pytest.mark.parametrize(
    ("name", "sizes", "told"),
    [
        ("voxels", SIZES, 3),
        ("area_px", SIZES, 3),
        ("pixels", pd.array([1, None, 2, 700], "Int64"), 2),
        ("pixels", [40, 41, 700, 800], 0),
        ("area_um2", [0.5, 0.5, 0.5, 40.0], 0),
        ("mean", SIZES, 0),
    ],
)
def test_specks_are_told_and_left_out_on_request(view, name, sizes, told):
    frame = pd.DataFrame({"label": [1, 2, 3, 4], name: sizes})
    view.show_rows(Rows("Cells", frame, (object(),), np.zeros(4, int), np.arange(4)))
    assert view.remarks.specks.isVisible() is bool(told)
    if told:
        assert view.remarks.specks.text().startswith(
            f"{told} of them are specks of less than 35 pixels."
        )
        view.filter.setText("label < 9")
        QTest.mouseClick(view.remarks.specks.button, Qt.MouseButton.LeftButton)
        view._apply_filter()
        assert view.remarks.count.text() == "1 of 4 objects"
        assert view.remarks.specks.text().startswith(
            f"Left out: {told} specks of less than 35 pixels."
        )
        QTest.mouseClick(view.remarks.specks.button, Qt.MouseButton.LeftButton)
        view._apply_filter()
        assert (view.remarks.count.text(), view.filter.text()) == ("4 objects", "label < 9")


def test_giants_and_what_the_edge_cuts_are_told_and_shown(view, qtbot, model_viewer):
    sizes = np.array([20, 70, 20, 20, 20, 20, 20, 20, 90])
    labels = model_viewer.add_labels(np.diag(np.arange(1, 10)))
    frame = pd.DataFrame({"label": np.arange(1, 10), "pixels": sizes})
    rows = Rows("Cells", frame, (labels,), np.zeros(9, int), np.arange(1, 10))
    view.show_rows(rows)
    said = "2 of them have up to 90 pixels, the middle one 20: several in one?"
    assert (view.remarks.giants.text(), view.remarks.giants.button.text()) == (said, "Show them")
    assert view.remarks.cut.text() == "2 of them touch the edge: their sizes are too small."
    with qtbot.waitSignals([view.chosen_changed, view.together]) as told:
        view.remarks.giants.button.click()
    assert [one.args[0].tolist() for one in told.all_signals_and_args] == [[8, 1]] * 2
    assert view.chosen.tolist() == [8, 1]
    view.remarks.cut.button.click()
    assert view.chosen.tolist() == [0, 8]
    view.filter.setText("pixels < 90")
    view._apply_filter()
    assert view.remarks.giants.text().startswith("1 of them has 70 pixels")
    assert view.remarks.giants.button.text() == "Show it"
    assert view.remarks.cut.text() == "1 of them touches the edge: its size is too small."
    view.show_rows(Rows("Cells", frame.rename(columns={"pixels": "mean"}), *rows_end(rows)))
    assert view.remarks.giants.isHidden()
    assert view.remarks.cut.isHidden()
    view.show_rows(Rows("Cells", frame))
    assert view.remarks.giants.isHidden(), "they are no objects"


def test_what_the_edge_cuts_is_left_out_by_a_filter_that_the_file_tells(
    view, qtbot, model_viewer, told, tmp_path, monkeypatch
):
    pixels = np.zeros((30, 30), int)
    pixels[:5, :5], pixels[10:15, 10:15], pixels[20:25, 26:] = 1, 2, 3
    layer = model_viewer.add_labels(pixels, name="Cells")
    layer.features = {"index": [1, 2, 3], "pixels": [25, 25, 20]}
    view.show_rows(rows_of_layers([layer]))
    assert [button.text() for button in view.remarks.cut.buttons] == [
        "Show them",
        "Leave them out",
    ]
    view.filter.setText("label > 1")
    view.remarks.cut.buttons[1].click()
    assert view.filter.text() == "label > 1 and not at edge"
    qtbot.waitUntil(lambda: column(view, 0) == ["2"])
    assert view.remarks.cut.text() == "Left out: 2 objects that touch the edge."
    proposed = []

    def answer(_, title, start, kinds):
        proposed.append(start)
        return str(tmp_path / start), kinds.split(";;")[0]

    monkeypatch.setattr(QFileDialog, "getSaveFileName", answer)
    view.save_button.click()
    assert proposed == ["Cells_label_1_and_not_at_edge.csv"]
    assert (tmp_path / proposed[0]).read_text() == "label,pixels,touches_edge\n2,25,False\n"
    view.remarks.cut.button.click()
    qtbot.waitUntil(lambda: len(column(view, 0)) == 2)
    view.filter.setText("at edge")
    qtbot.waitUntil(lambda: column(view, 0) == ["1", "3"])
    view.show_rows(rows_of_columns("Words", {"n": [1, 2]}))
    assert "is set aside" in view.problem.text(), "of what is no object nobody knows"
    with pytest.raises(ParameterError, match="known of labels only"):
        matching(CELLS, "not at edge")


def test_of_a_label_that_comes_again_in_each_frame_nobody_says_where_it_is_cut(model_viewer):
    layer = model_viewer.add_labels(np.ones((3, 4, 4), int))
    again = rows_of_columns("T", {"label": [1, 1, 1], "frame": [0, 1, 2]}, layer)
    assert cut_in(again) is None
    assert cut_in(rows_of_columns("T", {"label": [1], "n": [2]}, layer)).tolist() == [True]
    points = model_viewer.add_points([[0, 0]], features={"size": [1]})
    assert cut_in(rows_of_layers([points])) is None


def test_what_is_told_of_a_table_is_never_cut_off(view, qtbot, model_viewer):
    pixels = np.zeros((30, 30), int)
    pixels[:5, :5], pixels[10:15, 10:15] = 1, 2
    layer = model_viewer.add_labels(pixels, name="Cells")
    layer.features = {"index": [1, 2], "pixels": [25, 25]}
    view.show_rows(rows_of_layers([layer]))
    view.remarks.unsized.say("No pixel size: sizes are in pixels.", "", ("Pixel size…", print))

    def is_whole(remark):
        label = remark._label
        return (
            label.height() >= label.heightForWidth(label.width())
            and view.remarks.rect().contains(remark.geometry())
            and remark.rect().contains(remark.button.geometry())
        )

    for wide in (1000, 700, 420, 260):
        view.resize(wide, 400)
        qtbot.waitUntil(lambda: is_whole(view.remarks.cut) and is_whole(view.remarks.unsized))


def rows_end(rows):
    """Return whose objects rows are."""
    return rows.layers, rows.owners, rows.numbers


def test_specks_that_another_filter_leaves_out_are_not_told(view):
    frame = pd.DataFrame({"label": [1, 2, 3, 4], "pixels": SIZES})
    view.show_rows(Rows("Cells", frame, (object(),), np.zeros(4, int), np.arange(4)))
    view.filter.setText("label = 4")
    view._apply_filter()
    assert view.remarks.specks.isHidden()


def test_rows_that_are_no_objects_have_no_specks(view):
    view.show_rows(Rows("Counts", pd.DataFrame({"pixels": [1, 1, 1]})))
    assert view.remarks.specks.isHidden()


def test_chosen_rows_stay_chosen_when_the_order_changes(view):
    view.choose(np.array([0, 3]))
    view.table.sortByColumn(1, Qt.SortOrder.DescendingOrder)
    lines = {index.row() for index in view.table.selectionModel().selectedRows()}
    assert lines == {0, 1}
    assert view.chosen.tolist() == [0, 3]
    assert view.remarks.count.text() == "4 rows, 2 chosen"


def test_a_click_tells_which_row_was_chosen(view, qtbot):
    view.table.sortByColumn(1, Qt.SortOrder.DescendingOrder)
    at = view.table.visualRect(view.model.index(0, 0)).center()
    with qtbot.waitSignal(view.chosen_changed) as told:
        QTest.mouseClick(view.table.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert told.args[0].tolist() == [3]
    assert told.args[1] == 3


def test_chosen_lines_are_copied_for_a_spreadsheet(view):
    view.table.sortByColumn(0, Qt.SortOrder.DescendingOrder)
    view.choose(np.array([0, 2]))
    view.table.setFocus()
    QTest.keyClick(view.table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    text = QGuiApplication.clipboard().text()
    assert text == "label\tarea (µm²)\tclass\n3\t3.25\tRound\n1\t12.5\tround\n"


def test_cells_show_six_digits_and_nothing_for_nothing():
    assert cell_text(np.float64(1 / 3)) == "0.333333"
    assert cell_text(40.0) == "40"
    assert cell_text(np.nan) == cell_text(None) == cell_text(pd.NA) == ""
    assert cell_text(2**60 + 1) == "1152921504606846977"


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([219, 122.948, 54.75], ["219.0", "122.9", "54.8"]),
        ([54.75, 54, 55.25], ["54.75", "54.00", "55.25"]),
        ([8.41395, 8.3136, 8.36], ["8.414", "8.314", "8.360"]),
        ([1000.01, 1000.02, 1000.03], ["1000.01", "1000.02", "1000.03"]),
        ([3.0, 4.0, np.nan], ["3", "4", ""]),
        ([1e-4, 50.3, 60.123], ["0.0001", "50.30", "60.12"]),
        ([122948.23, 150000.7], ["122948", "150001"]),
        ([1e-9, 2e-9], ["1e-09", "2e-09"]),
        ([1, 20, 300], ["1", "20", "300"]),
    ],
)
def test_numbers_of_a_column_have_the_digits_that_a_person_needs(values, texts):
    model = TableModel(Rows("t", pd.DataFrame({"a": values})))
    cells = [model.index(line, 0) for line in range(len(values))]
    assert [model.data(cell) for cell in cells] == texts
    whole = [model.data(cell, Qt.ItemDataRole.ToolTipRole) for cell in cells]
    for value, text, tip in zip(values, texts, whole, strict=True):
        assert tip is None or str(value) in tip
        assert tip is not None or text == "" or float(text) == value


def test_a_number_that_is_read_in_the_table_is_found():
    frame = pd.DataFrame({"area": [219, 122.948, 54.75]})
    assert matching(frame, "area = 122.9").tolist() == [False, True, False]
    assert matching(frame, "122.9").tolist() == [False, True, False]
    assert matching(frame, "area != 122.9").tolist() == [True, False, True]
    assert matching(frame, "area = 122.948").tolist() == [False, True, False]


def test_a_table_is_saved_with_all_digits(tmp_path):
    frame = pd.DataFrame({"id": [1, 2], "x": [1 / 3, 2.0], "name": ["b, c", 'd"']})
    path = save_table(frame, tmp_path / "cells")
    assert path.name == "cells.csv"
    assert pd.read_csv(path)["x"][0] == 1 / 3
    assert path.read_text().splitlines()[1].endswith(',"b, c"')


def test_a_table_that_cannot_be_written_leaves_the_old_file(tmp_path):
    class Breaks:
        def __str__(self):
            raise ValueError("no text")

    (tmp_path / "t.csv").write_text("old")
    with pytest.raises(ParameterError, match=r"no \.csv file holds this table: no text"):
        save_table(pd.DataFrame({"id": [1, Breaks()]}), tmp_path / "t.csv")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("t.csv", "old")]


@pytest.mark.parametrize(("name", "library"), [("t.parquet", "pyarrow"), ("t.xlsx", "openpyxl")])
def test_a_missing_library_is_named(tmp_path, monkeypatch, name, library):
    monkeypatch.setattr(saving.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ParameterError, match=f"pip install {library}"):
        save_table(CELLS, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_texts_are_no_formulas_in_excel(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    texts = ['=HYPERLINK("http://x","y")', "=1+1", "#N/A", "+1", "@SUM(1)", "plain"]
    frame = pd.DataFrame({"=2+2": texts, "area": [1.5] * 6})
    path = save_table(frame, tmp_path / "t.xlsx")
    rows = list(openpyxl.load_workbook(path).active.iter_rows())
    assert [row[0].value for row in rows] == ["=2+2", *texts]
    assert {row[0].data_type for row in rows} == {"s"}
    assert rows[2][0].quotePrefix, "it stays a text when somebody edits it"
    assert [row[1].value for row in rows] == ["area", *[1.5] * 6]
    pd.testing.assert_frame_equal(pd.read_excel(path, keep_default_na=False), frame)


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (pd.DataFrame({"a": ["x\x02"]}), "no .xlsx file holds this table"),
        (pd.DataFrame({"a": ["\udc80"]}), "no .xlsx file holds this table"),
        (pd.DataFrame({"a": pd.to_datetime(["2020-01-01"]).tz_localize("UTC")}), "timezone"),
        (pd.DataFrame({"a": ["y" * 40_000]}), "cells of 32,767 signs"),
        (pd.DataFrame([[1] * 17_000]), "16,384 columns, and the table has 17,000"),
        (pd.DataFrame({"a": range(1_048_576)}), "1,048,575 rows, and the table has 1,048,576"),
    ],
    ids=["control", "surrogate", "zone", "long", "wide", "tall"],
)
def test_what_excel_does_not_hold_is_told(tmp_path, frame, said):
    pytest.importorskip("openpyxl")
    (tmp_path / "t.xlsx").write_text("old")
    with pytest.raises(ParameterError) as told:
        save_table(frame, tmp_path / "t.xlsx")
    assert said in str(told.value)
    assert "CSV" in str(told.value)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("t.xlsx", "old")]


def test_columns_of_any_kind_become_rows():
    rows = rows_of_columns("t", {"id": np.arange(3), "name": ["a", "b", "c"]})
    assert len(rows) == 3
    assert rows.layers == ()


def test_one_table_takes_the_place_of_another_with_its_order(view):
    view.table.sortByColumn(0, Qt.SortOrder.DescendingOrder)
    view.show_rows(Rows("Cells", CELLS.head(2)))
    assert column(view, 0) == ["2", "1"]
    view.show_rows(Rows("Others", pd.DataFrame({"x": [1, 3, 2]})))
    assert column(view, 0) == ["1", "3", "2"]


def test_no_title_leads_out_of_the_folder_that_is_proposed(shown, monkeypatch):
    proposed = []
    monkeypatch.setattr(
        QFileDialog, "getSaveFileName", lambda _, title, start, kinds: (proposed.append(start), "")
    )
    view = shown(TableView(Rows("../../.config/autostart/x\n", CELLS)), 700)
    view.save_button.click()
    assert proposed == ["config_autostart_x.csv"]


@pytest.mark.parametrize(
    ("cells", "text", "rows"),
    [
        (pd.to_datetime(pd.Series(["2020-01-01", None])), "cell > 2019", [True, False]),
        (pd.to_datetime(pd.Series(["2020-01-01", None])), "cell != 2019", [True, True]),
        (pd.Series(["ann", None]), "cell > aa", [True, False]),
        (pd.Series([b"\xff", None]), "cell = x", [False, False]),
        (pd.Series([b"\xffab", None]), "AB", [True, False]),
    ],
)
def test_cells_of_any_kind_are_filtered(cells, text, rows):
    assert matching(pd.DataFrame({"cell": cells}), text).tolist() == rows


@pytest.mark.parametrize("wide", [[1.5, np.inf, 2.0], [1e308, -1e308, 0.0], [-np.inf] * 3])
def test_objects_are_coloured_by_numbers_of_any_size(wide):
    layer = Labels(np.array([[1, 2], [3, 3]]))
    color_by(layer, np.arange(1, 4), np.array(wide), scale_over("n", np.array(wide)))
    finite = np.isfinite(wide)
    faded = [np.allclose(layer.get_color(number), FADED) for number in (1, 2, 3)]
    assert faded == [not one for one in finite]
