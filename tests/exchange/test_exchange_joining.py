"""Tables whose rows are objects of a layer."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from napari.layers import Labels, Points

from napari_tool_runner.exchange import features_for


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
