"""A table whose rows are objects of a layer becomes that layer's ``features``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from napari_tool_runner.exchange.blocks import first_holding
from napari_tool_runner.exchange.columns import object_ids
from napari_tool_runner.exchange.model import items
from napari_tool_runner.exchange.snapshots import layer_kind
from napari_tool_runner.names import unique_name
from napari_tool_runner.tools.model import LayerKind

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["features_for", "id_column"]


@runtime_checkable
class _Featured(Protocol):
    data: object

    @property
    def features(self) -> pd.DataFrame: ...


def features_for(layer: object, columns: Mapping[str, object]) -> pd.DataFrame | None:
    """Return `layer`'s features with the columns of a table added.

    Parameters
    ----------
    layer : Labels or Points layer
        For labels, rows are matched by a column of label ids (``label``, ``index``,
        ``id``…), which becomes napari's column ``index``; label 0, the background, gets
        an empty row. For points, by such a column where there is one, else by order.
    columns : mapping
        Column name -> values, each of shape (N,).

    Returns
    -------
    DataFrame or None
        None when the rows cannot be told to belong to the layer's objects. Columns
        that the layer had stay as they are; a new one of the same name with other
        values gets a number.
    """
    import pandas as pd

    table = pd.DataFrame({name: np.asarray(values) for name, values in columns.items()})
    for name in table.columns:  # rows without a value would make floats of them
        if table[name].dtype.kind in "iu" and (table[name].abs() > 2**53).any():
            signed = table[name].dtype.kind == "i"
            table[name] = table[name].astype(pd.Int64Dtype() if signed else pd.UInt64Dtype())
    if not isinstance(layer, _Featured):
        return None
    if layer_kind(layer) is LayerKind.LABELS:
        return _for_labels(layer.features, table)
    return _for_rows(layer.features, table, len(items(layer.data)))


def _for_labels(present: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame | None:
    import pandas as pd

    key = id_column(table)
    if key is None or table[key].duplicated().any():
        return None
    known = not present.empty and "index" in present.columns
    kind = _holding([table[key], present["index"]] if known else [table[key]])
    if kind is None:
        return None
    table = table.rename(columns={key: "index"}).astype({"index": kind})
    if 0 not in set(table["index"]):
        table = pd.concat([pd.DataFrame({"index": np.zeros(1, kind)}), table], ignore_index=True)
    if not known:
        return table
    merged = present.astype({"index": kind}).merge(
        _renamed(table.set_index("index"), present.set_index("index")).reset_index(),
        on="index",
        how="outer",
    )
    return merged.sort_values("index", ignore_index=True)


def _holding(columns: Sequence[pd.Series[int]]) -> np.dtype | None:
    """Return the type that holds the ids of all `columns`; None: none does."""
    low = min(int(column.min()) for column in columns if len(column))
    high = max(int(column.max()) for column in columns if len(column))
    return first_holding(low, high, ("int64", "uint64"))


def _for_rows(present: pd.DataFrame, table: pd.DataFrame, count: int) -> pd.DataFrame | None:
    import pandas as pd

    key = id_column(table)
    if len(table) != count or (key is not None and table[key].duplicated().any()):
        return None
    if key is not None:
        table = table.sort_values(key, ignore_index=True)
    if present.empty:
        return table
    return pd.concat([present.reset_index(drop=True), _renamed(table, present)], axis=1)


def id_column(table: pd.DataFrame) -> str | None:
    """Return the column that holds the ids of objects, None when there is none."""
    named = object_ids(table.columns)
    return next((name for name in named if _whole(table[name].to_numpy())), None)


def _whole(values: np.ndarray) -> bool:
    return values.dtype.kind in "iuf" and bool(np.all(values % 1 == 0))


def _renamed(table: pd.DataFrame, present: pd.DataFrame) -> pd.DataFrame:
    """Give columns that exist with other values a new name; drop those that are equal."""
    names: dict[object, str] = {}
    equal: list[object] = []
    for name in table.columns:
        if name not in present.columns:
            continue
        aligned = present[name].reindex(table.index)
        if aligned.equals(table[name]) or np.array_equal(
            aligned.to_numpy(), table[name].to_numpy(), equal_nan=False
        ):
            equal.append(name)
            continue
        taken = {str(other) for other in (*present.columns, *table.columns)}
        names[name] = unique_name(str(name), taken, " {}", 2)
    return table.drop(columns=equal).rename(columns=names)
