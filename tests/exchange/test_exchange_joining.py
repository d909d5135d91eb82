"""Tables whose rows are objects of a layer."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from napari.layers import Labels, Points

from napari_tool_runner import exchange
from napari_tool_runner.exchange import Objects, features_for, objects_in, snapshot


def labels(**more: object) -> Labels:
    data = np.zeros((6, 6), int)
    data[0, 0], data[3, 3] = 2, 7
    return Labels(data, **more)


@pytest.mark.parametrize("column", ["label", "Label", "index", "id", "label_id"])
def test_rows_are_matched_by_the_id(column):
    layer = labels()
    layer.features = features_for(layer, {column: [7, 2], "area": [70.0, 20.0]})
    features = layer.features.set_index("index")
    assert features.loc[7, "area"] == 70
    assert features.loc[2, "area"] == 20
    assert layer._label_index[7] is not None


def test_numbers_of_rows_beside_those_of_objects():
    table = {"index": [0, 1], "label": [7, 2], "area": [70, 20]}
    layer = labels(features=features_for(labels(), table, "label"))
    features = layer.features.set_index("index")
    assert features["area"].dropna().to_dict() == {2: 20, 7: 70}
    assert features["index 2"].dropna().to_dict() == {2: 1, 7: 0}


def test_float_ids_that_are_whole():
    layer = labels()
    joined = features_for(layer, {"label": np.array([2.0, 7.0]), "area": [1, 2]})
    assert joined["index"].dtype.kind == "i"


@pytest.mark.parametrize(
    "table",
    [
        {"area": [1, 2]},
        {"label": [2, 2], "area": [1, 2]},
        {"label": ["a", "b"], "area": [1, 2]},
        {"label": [1.5, 2], "area": [1, 2]},
    ],
)
def test_tables_of_something_else_are_not_joined(table):
    assert features_for(labels(), table) is None


def test_present_columns_are_kept():
    layer = labels(features={"index": [0, 2, 7], "area": [0, 1, 2]})
    joined = features_for(layer, {"label": [2, 7], "area": [5, 6], "mean": [8, 9]})
    joined = joined.set_index("index")
    assert joined.loc[2, "area"] == 1
    assert joined.loc[2, "area 2"] == 5
    assert joined.loc[7, "mean"] == 9


def test_points_join_by_row_or_id():
    layer = Points([[0, 0], [1, 1]])
    assert list(features_for(layer, {"q": [3, 4]})["q"]) == [3, 4]
    assert list(features_for(layer, {"index": [1, 0], "q": [4, 3]})["q"]) == [3, 4]
    assert features_for(layer, {"q": [1, 2, 3]}) is None


def test_large_numbers_of_objects_are_joined_in_full():
    big = 2**53 + 1
    layer = Labels(np.array([[0, 1], [2, 2]]))
    table = features_for(layer, {"label": np.array([1, 2]), "parent": np.array([big, big + 2])})
    rows = table.set_index("index")["parent"]
    assert [int(rows[1]), int(rows[2])] == [big, big + 2]
    assert pd.isna(rows[0])


def joined_by(table, images):
    return exchange.joined_by(table, lambda: images)


CELLS = Objects("cells", frozenset({1, 2, 3}), "cells")


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ({"label": [3, 1, 2], "area": [1, 2, 3]}, "label"),
        ({"Label": [1.0, 2.0, 3.0]}, "Label"),
        ({"labels": [0, 1, 2, 3]}, "labels"),  # with the background
        ({"CellID": [1, 2, 3]}, "CellID"),
        ({"Object Number": [1, 2, 3], "id": [7, 8, 9]}, "Object Number"),
        ({"label": ["a", "b", "a"], "id": [2, 3, 1]}, "id"),  # a class, and the number
        ({"label": [1, 1, 2], "index": [3, 2, 1]}, "index"),
        ({"index": [0, 1, 2], "label": [1, 2, 3]}, "label"),  # what pandas writes first
    ],
)
def test_rows_are_known_by_the_numbers_of_objects(table, column):
    columns = {name: np.asarray(values) for name, values in table.items()}
    found = joined_by(columns, [CELLS])
    assert (found.key, found.column) == ("cells", column)
    assert f"“{column}”" in found.note
    assert "“cells”" in found.note


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({"index": [0, 1, 2]}, "count rows"),
        ({"id": [0, 1, 2, 3]}, "count rows"),
        ({"label": [1, 2]}, "count rows"),  # the first of them, or two of another image
        ({"id": [2, 3]}, "1 of the 3 objects"),
        ({"label": [1, 2, 4]}, "1 of its 3 numbers is no object"),
        ({"label": [1, 2, 2, 3]}, "several rows"),
        ({"label": [1.0, 2.0, np.nan]}, "not whole in each row"),
        ({"label": [1.5, 2.0, 3.0]}, "not whole in each row"),
        ({"label": [1.0, 2.0, 2.0**60]}, "not whole in each row"),
        ({"area": [1, 2, 3]}, ""),
        ({"label": ["a", "b", "c"]}, ""),
        ({"label": []}, ""),
        ({"objects": [3]}, ""),  # how many there are
    ],
)
def test_numbers_that_are_not_certain_join_nothing(table, why):
    columns = {name: np.asarray(values) for name, values in table.items()}
    found = joined_by(columns, [CELLS])
    assert found.key == ""
    assert why in found.note
    assert bool(why) == bool(found.note)


def test_objects_without_a_row_and_doubts_are_told():
    some = joined_by({"label": np.array([2, 9])}, [Objects("a", frozenset({2, 5, 9, 11}), "a")])
    assert some.key == "a"
    assert "2 of its 4 objects have no row" in some.note
    rows = joined_by({"id": np.array([1, 2, 3])}, [CELLS])
    assert rows.key == "cells"
    assert "may count rows" in rows.note
    again = joined_by({"label": np.array([1, 2, 3])}, [CELLS._replace(again=True)])
    assert "in several frames" in again.note
    part = joined_by({"label": np.array([1, 2, 3])}, [CELLS._replace(part=True)])
    assert "a part" in part.note


def test_the_image_that_fits_best_is_joined_and_of_two_none():
    table = {"label": np.array([1, 2, 3])}
    more = Objects("more", frozenset({1, 2, 3, 4}), "more")
    assert joined_by(table, [more, CELLS]).key == "cells"
    both = joined_by(table, [CELLS, CELLS._replace(key="mask", name="mask")])
    assert both.key == ""
    assert "both “cells” and “mask”" in both.note


def test_numbers_of_objects_are_compared_in_full():
    big = 2**63 + 5
    wide = Objects("wide", frozenset({3, big}), "wide")
    assert joined_by({"label": np.array([big, 3], np.uint64)}, [wide]).key == "wide"
    assert joined_by({"label": np.array([big + 1, 3], np.uint64)}, [wide]).key == ""


def test_objects_are_those_of_all_blocks_and_frames():
    stack = np.zeros((2, 600, 600), np.uint16)
    stack[0, :9, :9], stack[1, :9, :9], stack[1, 590:, 590:] = 4, 4, 70
    found = objects_in("s", snapshot((stack, {"axis_labels": ("t", "y", "x")}, "labels"), "s"))
    assert found == Objects("s", frozenset({4, 70}), "s", again=True, sizes={4: 162, 70: 100})
    deep = objects_in("s", snapshot((stack, {"axis_labels": ("z", "y", "x")}, "labels"), "s"))
    assert not deep.again
    noise = np.random.default_rng(0).integers(0, 99, (64, 64)).astype(np.uint8)
    assert objects_in("n", snapshot(noise, "n")) is None
    assert objects_in("n", snapshot(stack.astype(float), "n")) is None


def test_lines_and_pixels_to_leave_out_are_no_objects():
    data = np.zeros((9, 9), np.int16)
    data[:2, :2], data[:4, 6], data[8, :3], data[5] = 1, 2, 3, -1
    found = objects_in("s", snapshot(Labels(data, name="s")))
    assert found.ids == {1, 2, 3}
    data[5] = 255
    found = objects_in("s", snapshot(Labels(data, name="s")))
    rows = joined_by({"label": np.array([1, 2, 3])}, [found])
    assert rows.key == "s"
    assert "1 of its 4 objects has no row" in rows.note
    assert joined_by({"id": np.array([1, 2, 3])}, [found]).key == ""


@pytest.mark.parametrize("unit", [1, 0.25])
@pytest.mark.parametrize("column", ["id", "label"])
def test_sizes_tell_numbers_of_objects_from_numbers_of_rows(column, unit):
    sizes = np.array([40, 7, 19])
    cells = CELLS._replace(sizes=dict(zip((1, 2, 3), sizes.tolist(), strict=True)))
    numbers = np.array([1, 2, 3])
    right = joined_by({column: numbers, "Area": sizes * unit}, [cells])
    assert right.key == "cells"
    assert "as their sizes say too" in right.note
    assert "count rows" not in right.note
    largest_first = joined_by({column: numbers, "Area": np.sort(sizes)[::-1] * unit}, [cells])
    assert largest_first.key == ""
    assert "the sizes of other objects" in largest_first.note
    other = joined_by({column: numbers, "Area": np.array([3.0, np.nan, 5.0])}, [cells])
    assert other.key == "cells"
    assert "sizes" not in other.note


def numbered(name: str, *sizes: int) -> Objects:
    counted = dict(enumerate(sizes, start=1))
    return Objects(name, frozenset(counted), name, sizes=counted)


@pytest.mark.parametrize(
    ("table", "images"),
    [
        ({"area": [50, 40, 40, 30, 30]}, [numbered("a", 50, 40, 40, 30, 30)]),  # which of two
        (
            {"index": [1, 2, 3], "area": [10002, 10000, 10001]},
            [numbered("a", 10000, 10001, 10002)],
        ),
        (
            {"label": [1, 2, 3], "area": [10002, 10000, 10001]},
            [numbered("a", 10000, 10001, 10002)],
        ),
        (
            {"label": [1, 2, 3, 4], "area": [90, 30, 55, 20]},  # of the first four cells
            [numbered("nuclei", 20, 21, 30, 40), numbered("cells", 90, 30, 55, 20, 70)],
        ),
        ({"id": [1, 2, 3, 4], "area": [100, 55, 300, 10]}, [numbered("a", 20, 21, 30, 40)]),
        ({"cell_id": [1, 2, 3], "nucleus_id": [3, 2, 1]}, [numbered("a", 5, 6, 7)]),
        ({"nucleus_id": [3, 2, 1], "cell_id": [1, 2, 3]}, [numbered("a", 5, 6, 7)]),
        ({"Label": [3, 2, 1], "Object Number": [1, 2, 3]}, [numbered("a", 5, 6, 7)]),
    ],
)
def test_what_may_be_other_objects_is_not_joined(table, images):
    columns = {name: np.asarray(values) for name, values in table.items()}
    found = joined_by(columns, images)
    assert found.key == ""
    assert "not joined" in found.note or list(table) == ["area"]


def test_sizes_that_are_alike_prove_nothing():
    table = {"index": np.array([1, 2, 3, 4]), "area": np.array([50, 40, 40, 30])}
    found = joined_by(table, [numbered("a", 50, 40, 40, 30)])
    assert "may count rows" in found.note
    table["area"] = np.array([50.02, 40.98, 39.0, 30.0])
    assert "as their sizes say" in joined_by(table, [numbered("a", 50, 41, 39, 30)]).note


def test_rows_without_numbers_are_known_by_their_sizes():
    sizes = {4: 40, 9: 7, 12: 19}
    cells = Objects("cells", frozenset(sizes), "cells", sizes=sizes)
    found = joined_by({"index": np.arange(3), "area": np.array([10.0, 1.75, 4.75])}, [cells])
    assert (found.key, found.column, found.numbers) == ("cells", "", (4, 9, 12))
    assert "as their sizes say" in found.note
    for areas in ([40, 19, 7], [40, 7, 20], [40, 7], [40, 7, np.nan]):
        assert joined_by({"area": np.array(areas)}, [cells]).key == ""
    alike = Objects("alike", frozenset({1, 2}), "alike", sizes={1: 3, 2: 5})  # too few to tell
    assert joined_by({"area": np.array([3, 5])}, [alike]).key == ""
    assert joined_by({"area": np.array([40, 7, 19])}, [cells, cells]).key == ""


def test_the_surface_of_objects_of_a_volume_is_no_contradiction():
    volume = np.zeros((12, 12, 12), np.uint8)
    for number, size in enumerate((6, 4, 2), start=1):
        volume[(number - 1) * 4 :][:4, :size, :size] = number * 2
    table = {"label": np.array([2, 4, 6]), "area": np.array([9.0, 90.0, 12.0])}
    deep = objects_in("o", snapshot(Labels(volume, name="o")))
    flat = objects_in("o", snapshot(Labels(volume.reshape(12, 144), name="o")))
    assert joined_by(table, [deep]).key == "o"
    assert "compare some" not in joined_by(table, [deep]).note
    assert "gives other sizes" in joined_by(table, [flat]).note
    told = {"label": table["label"], "volume": table["area"]}
    assert "gives other sizes" in joined_by(told, [deep]).note
    assert joined_by({"id": told["label"], "volume": told["volume"]}, [deep]).key == ""


EIGHT = numbered("eight", 412, 1667, 1776, 1233, 1251, 873, 655, 991)
AREA = np.array([*EIGHT.sizes.values()])
N = np.arange(1, 9)
SOME = np.array([3, 5, 7, 8])
OF_SOME = AREA[SOME - 1]
UM2 = 0.325**2
NAMES = np.array(["coins.tif"] * 8)
SMOOTH = AREA + np.array([0.5, -0.5, 1.5, -2.0, 0.5, 3.0, 1.0, -4.5])
HULL, BOX, NOISE = (
    AREA * np.linspace(1, 4, 8),
    AREA * np.linspace(3, 1.2, 8),
    (N * 37 % 11 + 1) * 9,
)
GROWN = numbered("grown", *(AREA + np.sqrt(AREA).astype(int)).tolist())


@pytest.mark.parametrize(
    ("table", "column"),
    [  # as they are published: right, by their own numbers
        ({"label": N, "area": AREA, "area_convex": HULL, "perimeter": NOISE}, "label"),
        ({"label": N, "area_bbox": BOX, "area_convex": HULL, "area_filled": AREA + N**3}, "label"),
        ({"label": N, "num_pixels": AREA, "equivalent_diameter_area": AREA**0.5}, "label"),
        ({"label": SOME, "area_bbox": NOISE[:4], "extent": NOISE[:4] / 100}, "label"),
        ({"index": N - 1, "label": N, "area": AREA}, "label"),
        ({"Label": N, "Area": AREA, "ConvexArea": HULL, "FilledArea": AREA + N}, "Label"),
        ({" ": N, "Label": NAMES, "Area": AREA * UM2, "%Area": N * 0 + 100, "Mean": N}, " "),
        ({"Label": N, "Area": AREA * UM2, "Perimeter": NOISE, "Convexity": N / 8}, "Label"),
        ({"Label": N, "Volume": AREA * UM2, "SurfaceArea": NOISE}, "Label"),
        (
            {"ImageNumber": N * 0 + 1, "ObjectNumber": N, "AreaShape_Area": AREA}
            | {"AreaShape_BoundingBoxArea": BOX, "AreaShape_ConvexArea": HULL},
            "ObjectNumber",
        ),
        (
            {"object_id": N - 1, "timestep": N * 0, "labelimage_oid": N, "Size in pixels": AREA},
            "labelimage_oid",
        ),
        (
            {"object_id": SOME - 1, "labelimage_oid": SOME, "Predicted Class": SOME},
            "labelimage_oid",
        ),
        (
            {"object_id": SOME - 1, "labelimage_oid": SOME, "Size in pixels_0": OF_SOME},
            "labelimage_oid",
        ),
        ({"Nb": N - 1, "Label": N - 1, "Value": N, "Vol (pix)": AREA}, "Value"),
        ({"Label": SOME - 1, "Value": SOME, "Vol (unit)": OF_SOME * UM2}, "Value"),
        (
            {"IDENTIFIER": N, "PIXEL_COUNT": AREA.astype(float), "MEAN_INTENSITY": NOISE},
            "IDENTIFIER",
        ),
        ({"label": N, "PhysicalSize": AREA * UM2, "NumberOfPixelsOnBorder": N - 1}, "label"),
        ({"label": N, "NumberOfPixels": AREA, "FeretDiameter": NOISE}, "label"),
        ({"cell_id": N, "cell_area": AREA * UM2, "nucleus_area": AREA[::-1] * UM2}, "cell_id"),
        ({"CellID": N, "Area": AREA, "X_centroid": NOISE, "Extent": N / 8}, "CellID"),
        ({"label": N, "cell_size": AREA, "nucleus_size": NOISE}, "label"),
        ({"nucleus_id": N, "n_spots": N % 3, "area_spots": NOISE}, "nucleus_id"),
        ({"cell_id": N, "area_frac": NOISE / 100, "size_class": 1 + N % 3}, "cell_id"),
        ({"label": N, "size_x": N % 7 + 3, "size_y": N % 5 + 3, "Volume_CV": N / 8}, "label"),
        ({"label": SOME, "area": SMOOTH[SOME - 1]}, "label"),  # of an outline
        ({"label": SOME, "area": OF_SOME + np.array([0, 40, 0, 9])}, "label"),  # with holes
        ({"label": SOME, "area": OF_SOME * UM2, "area_std": NOISE[:4]}, "label"),
        ({"label": N, "area": np.append(AREA[:-1], np.nan), "q": N}, "label"),
        # in the order of the numbers, by their sizes alone
        ({"ID": N - 1, "TRACK_ID": N * 0, "QUALITY": NOISE, "AREA": AREA * UM2}, ""),
        ({"Object ID": NAMES, "Nucleus: Area µm^2": AREA * UM2, "Centroid X µm": NOISE}, ""),
        ({"Volume": AREA * UM2, "Unit": NAMES, "Time": N * 0 + 1, "ID": N - 1}, ""),
        ({"Nb of obj. voxels": AREA, "Surface (micron^2)": NOISE}, ""),
        ({"Row ID": NAMES, "Num Pix": NOISE, "Area in px": AREA}, ""),
    ],
)
def test_tables_as_programs_publish_them_join(table, column):
    found = joined_by({name: np.asarray(values) for name, values in table.items()}, [EIGHT])
    assert (found.key, found.column) == ("eight", column), found.note
    assert found.numbers == (() if column else tuple(N.tolist()))
    assert "compare some" not in found.note


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({"cell_id": SOME - 1, "area": OF_SOME}, "“area” gives the sizes of other objects"),
        ({"cell_id": SOME - 1, "area": OF_SOME}, "those with numbers one higher"),
        ({"cell_id": SOME - 1, "Area µm²": OF_SOME * UM2}, "those with numbers one higher"),
        ({"cell_id": SOME - 1, "area": np.append(OF_SOME[:3], np.nan)}, "one higher"),
        ({"object_id": SOME[:1] - 1, "Size in pixels": OF_SOME[:1]}, "one higher"),
        ({"object_id": SOME[:2] - 1, "size": OF_SOME[:2]}, "one higher"),
        ({"object_id": SOME[:2] - 1, "size": OF_SOME[:2] * UM2}, "one higher"),
        ({"label": N, "area": np.sort(AREA)[::-1], "area_convex": HULL}, "in another order"),
        ({"label": N, "area": np.sort(AREA) * UM2}, "in another order"),
        ({"label": [2, 4, 5, 6], "area": OF_SOME}, "those of other numbers of “eight”"),
        ({"label": [2, 4, 6], "Value": [3, 5, 7]}, "“Label” and “Value”"),
        ({"cell_id": [2, 4, 6], "nucleus_id": [6, 2, 4]}, "number the rows differently"),
        # rounded to tenths; under names that say no size; outlines are not exact
        (
            {"cell_id": SOME - 1, "area": np.round(OF_SOME * 0.01, 1)},
            "those with numbers one higher",
        ),
        ({"cell_id": SOME - 1, "npix": OF_SOME}, "those with numbers one higher"),
        ({"cell_id": SOME - 1, "m00": OF_SOME.astype(float)}, "“m00” gives the sizes of other"),
        ({"cell_id": SOME - 1, "Count": OF_SOME}, "those with numbers one higher"),
        ({"cell_id": SOME - 1, "grain_area": OF_SOME * UM2}, "those with numbers one higher"),
        # what may number rows, but does not count them
        ({"label": [2, 3, 4], "Object": [3, 5, 8]}, "“label” and “Object” number"),
        ({"id": [8, 3, 5], "label": [2, 3, 4]}, "“label” and “id” number"),
        ({"index": N, "id": N[::-1]}, "“index” and “id” number"),
    ],
)
def test_sizes_and_other_columns_refuse_wrong_numbers_with_a_true_reason(table, why):
    found = joined_by({name: np.asarray(values) for name, values in table.items()}, [EIGHT])
    assert found.key == "", found.note
    assert why.lower() in found.note.lower()


def test_sizes_nearer_to_those_of_other_numbers_are_told():
    outline = OF_SOME - 2 * np.sqrt(OF_SOME)
    for name in ("ContourArea", "area", "area_filled"):
        found = joined_by({"cell_id": SOME - 1, name: outline}, [EIGHT])
        assert f"“{name}” is nearer to the sizes of the objects with numbers one h" in found.note
        assert "nearer" not in joined_by({"cell_id": SOME, name: outline}, [EIGHT]).note
    rounded = {"cell_id": SOME, "area": np.round(OF_SOME * 0.01, 1)}
    assert "compare" not in joined_by(rounded, [EIGHT]).note


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"index": [0, 1, 2, 3], "label": [8, 3, 5, 6]}, False),  # of pandas
        ({"id": [1, 2, 3, 4], "label": [8, 3, 5, 6]}, True),
        ({"id": [71, 93, 85, 94], "label": [8, 3, 5, 6]}, True),  # of a data base
        ({"id": [7, 2, 4, 5], "label": [8, 3, 5, 6]}, False),
    ],
)
def test_a_column_that_may_number_rows_is_told_beside_one_of_objects(table, told):
    found = joined_by({name: np.asarray(values) for name, values in table.items()}, [EIGHT])
    assert found.column == "label"
    assert ("“id” numbers the rows otherwise" in found.note) == told


def test_a_column_that_may_number_rows_may_number_those_of_another_image():
    table = {"label": np.array([1, 2, 3]), "object": np.array([30, 50, 90])}
    other = Objects("other", frozenset({30, 50, 70, 90}), "other")
    assert "number the rows differently" in joined_by(table, [CELLS, other]).note


def test_of_two_images_with_the_same_numbers_sizes_tell_which():
    found = joined_by({"ObjectNumber": N, "AreaShape_Area": AREA}, [GROWN, EIGHT])
    assert (found.key, found.column) == ("eight", "ObjectNumber")
    assert (
        "fits both" in joined_by({"ObjectNumber": N, "AreaShape_Area": NOISE}, [GROWN, EIGHT]).note
    )
    some = joined_by({"label": SOME, "area": OF_SOME}, [EIGHT, numbered("few", *range(300, 309))])
    assert some.key == "eight"


def test_sizes_equal_to_the_pixel_outweigh_what_is_called_a_size():
    rods = numbered("rods", 29, 29, 25, 27, 29, 25, 26, 29)
    area = np.array([*rods.sizes.values()])
    found = joined_by({"label": N, "size": NOISE, "area": area}, [rods])
    assert found.key == "rods"
    assert "other sizes" not in found.note


def test_sizes_that_are_no_pixels_and_a_row_of_the_background_are_told():
    found = joined_by({"label": N, "area": NOISE}, [EIGHT])  # of a surface, of spots
    assert found.key == "eight"
    assert "its column “area” gives other sizes than their pixels do: compare some" in found.note
    assert "row 0" in joined_by({"labels": np.arange(9)}, [EIGHT]).note


@pytest.mark.parametrize("told", [["a", "b"], [1.0, np.inf], [1.0, np.nan], [1.5, 2.0]])
def test_a_table_is_not_joined_to_rows_of_no_labels(told: list[object]) -> None:
    layer = Labels(np.array([[1, 2]]), features={"index": told, "size": [1, 2]})
    assert features_for(layer, {"label": [1, 2], "area": [70.0, 20.0]}) is None
