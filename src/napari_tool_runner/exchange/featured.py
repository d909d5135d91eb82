"""The objects of a layer: what is known of each (its ``features``), and where each lies.

A table whose rows are objects of a layer becomes a part of that layer's ``features``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

from napari_tool_runner._lazy import np
from napari_tool_runner.exchange.blocks import blocks, first_holding, read, window
from napari_tool_runner.exchange.columns import object_ids, tells_objects
from napari_tool_runner.exchange.joining import id_column, is_whole
from napari_tool_runner.exchange.model import items
from napari_tool_runner.exchange.snapshots import layer_kind, snapshot
from napari_tool_runner.exchange.units import conversion, dimension
from napari_tool_runner.names import unique_name
from napari_tool_runner.tools.model import LayerKind

if TYPE_CHECKING:
    import pandas as pd

    from napari_tool_runner.exchange.model import ArrayLike

__all__ = ["column_names", "features_for", "features_of", "features_without", "whereabouts"]

_ID = "index"  # napari's name for the labels that rows are


@runtime_checkable
class _Layer(Protocol):
    data: object

    @property
    def features(self) -> pd.DataFrame: ...


def column_names(layer: object) -> frozenset[object]:
    """Return the names of the columns of a layer's features."""
    return frozenset(cast("_Layer", layer).features.columns)


def features_without(layer: object, names: frozenset[object]) -> pd.DataFrame:
    """Return the features of a layer without some of their columns."""
    features = cast("_Layer", layer).features
    return features[[name for name in features.columns if name not in names]]


def features_of(layer: object) -> tuple[pd.DataFrame, np.ndarray]:
    """Return what is known of the objects of a layer, and the number of each.

    A row for each object: that of label 0, the background, is left out. Numbers are
    labels, or places among the points (shapes, tracks' positions …); shape (N,), int. Of points
    and tracks in time it says, too, in which frame each is, and when, where that is known.
    Columns are called by texts, and no two by the same.
    """
    features = cast("_Layer", layer).features.reset_index(drop=True)
    features.columns = _texts(list(features.columns))
    numbers = np.arange(len(features))
    if layer_kind(layer) is not LayerKind.LABELS:
        return _with_moments(features, layer), numbers
    key = _number_column(features)
    if key:
        numbers = _labels(features[key])
        if key == _ID and "label" not in features.columns:
            features = features.rename(columns={_ID: "label"})
    else:
        free = "object" if "label" in features.columns else "label"
        features.insert(0, unique_name(free, {*features.columns}, " {}", 2), numbers)
    there = numbers != 0
    kept = features[there].reset_index(drop=True)
    for name in kept.columns:  # the background's empty cell made fractions of counts
        column = kept[name]
        if column.dtype.kind == "f" and len(column):
            values = column.to_numpy(float, na_value=np.nan)
            kept[name] = column.astype(np.int64) if _are_counts(values) else column
    return kept, numbers[there]


def _texts(names: Sequence[object]) -> list[str]:
    """Return names of columns as texts, each another one; a name of several parts is joined."""
    made: list[str] = []
    for name in names:
        text = " ".join(map(str, name)).strip() if isinstance(name, tuple) else str(name)
        made.append(unique_name(text, {*made}, " {}", 2))
    return made


def _number_column(features: pd.DataFrame) -> str:
    """Return which column of a labels layer's features holds labels; empty: rows are counted.

    napari calls it ``index``, scikit-image ``label``; of a class many objects have the same.
    """
    if _ID in features.columns:
        return _ID
    for name in filter(tells_objects, object_ids(features.columns)):
        known = features[name].dropna()
        numeric = known.dtype.kind in "iuf"
        if numeric and len(known) and known.is_unique and is_whole(known.to_numpy()):
            return name
    return ""


def _with_moments(features: pd.DataFrame, layer: object) -> pd.DataFrame:
    """Return the features of points or tracks after the frame and the time of each."""
    kind = layer_kind(layer)
    if kind not in (LayerKind.POINTS, LayerKind.TRACKS) or features.empty:
        return features
    geometry, at = snapshot(layer).geometry, 0  # tracks have time first, whatever it is called
    if kind is LayerKind.POINTS:
        at = geometry.axes.find("T")
    if at < 0:
        return features
    frames = np.asarray(cast("_Layer", layer).data, float)[:, at + (kind is LayerKind.TRACKS)]
    unit = geometry.units[at]
    first = "track_id" in features.columns
    if first:
        features.insert(0, "track_id", features.pop("track_id"))
    found = {"frame": frames.astype(np.int64) if is_whole(frames) else frames}
    if dimension(unit) == "time":
        times = geometry.translate[at] + frames * geometry.scale[at]
        found["time_s"] = times * conversion(unit, "second")
    for place, name in enumerate((name for name in found if name not in features.columns), first):
        features.insert(place, name, found[name])
    return features


def features_for(
    layer: object,
    columns: Mapping[str, object],
    column: str = "",
    *,
    own: frozenset[object] = frozenset(),
    called: Callable[[str], str] = str,
) -> pd.DataFrame | None:
    """Return `layer`'s features with the columns of a table added.

    Parameters
    ----------
    layer : Labels or Points layer
        For labels, rows are matched by a column of label ids (``label``, ``index``,
        ``id``…), which becomes napari's column ``index``; label 0, the background, gets
        an empty row. For points, by such a column where there is one, else by order.
    columns : mapping
        Column name -> values, each of shape (N,).
    column : str
        Which of them holds the numbers of the objects; empty: its name tells.
    own : frozenset of str
        Columns in whose place the table comes; labels that had values there and are not in it
        have no row any more.
    called : callable
        What a column is called whose name another one has, with other values.

    Returns
    -------
    DataFrame or None
        None when the rows cannot be told to belong to the layer's objects. All other columns
        that the layer had stay as they are; no two have one name.
    """
    import pandas as pd

    table = pd.DataFrame({name: np.asarray(values) for name, values in columns.items()})
    for name in table.columns:  # rows without a value would make floats of them
        if table[name].dtype.kind in "iu" and (table[name].abs() > 2**53).any():
            signed = table[name].dtype.kind == "i"
            table[name] = table[name].astype(pd.Int64Dtype() if signed else pd.UInt64Dtype())
    if not isinstance(layer, _Layer):
        return None
    present = layer.features.reset_index(drop=True)
    own = own & frozenset(present.columns)
    if layer_kind(layer) is LayerKind.LABELS:
        own -= {_ID}
        made = _for_labels(present, table, column or id_column(table), own, called)
    else:
        made = _for_rows(present.drop(columns=[*own]), table, len(items(layer.data)), called)
    if made is None or not own:
        return made
    stay = [name for name in present.columns if name in made.columns and name not in own]
    fresh = [name for name in made.columns if name not in stay]
    first = next(at for at, name in enumerate(present.columns) if name in own)
    before = [name for name in present.columns[:first] if name in stay]
    return made[[*before, *fresh, *stay[len(before) :]]]


def _for_labels(
    present: pd.DataFrame,
    table: pd.DataFrame,
    key: str | None,
    own: frozenset[object],
    called: Callable[[str], str],
) -> pd.DataFrame | None:
    import pandas as pd

    if key is None or table[key].duplicated().any():
        return None
    if _ID not in present.columns:
        named = _number_column(present)  # else rows are those of label 0, 1, 2 …
        present.insert(0, _ID, _labels(present[named]) if named else np.arange(len(present)))
    known = not present.empty
    kind = _holding([table[key], present[_ID]] if known else [table[key]])
    if kind is None:
        return None
    # a column of the same name numbers rows, as pandas writes it
    free = unique_name(_ID, {str(name) for name in table.columns}, " {}", 2)
    table = table.rename(columns={_ID: free, key: _ID} if key != _ID else {})
    table = table.astype({_ID: kind})
    if 0 not in set(table[_ID]):
        table = pd.concat([pd.DataFrame({_ID: np.zeros(1, kind)}), table], ignore_index=True)
    if not known:
        return table
    present = present.astype({_ID: kind})
    gone = present[[*own]].notna().any(axis=1) & ~present[_ID].isin(table[_ID])
    present = present[~gone].drop(columns=[*own])
    merged = present.merge(
        _renamed(table.set_index(_ID), present.set_index(_ID), called).reset_index(),
        on=_ID,
        how="outer",
    )
    return merged.sort_values(_ID, ignore_index=True)


def _holding(columns: Sequence[pd.Series[int]]) -> np.dtype | None:
    """Return the type that holds the ids of all `columns`; None: none does, or one has others."""
    if not all(column.dtype.kind in "iuf" and is_whole(column.to_numpy()) for column in columns):
        return None
    low = min(int(column.min()) for column in columns if len(column))
    high = max(int(column.max()) for column in columns if len(column))
    return first_holding(low, high, ("int64", "uint64"))


def _for_rows(
    present: pd.DataFrame, table: pd.DataFrame, count: int, called: Callable[[str], str]
) -> pd.DataFrame | None:
    import pandas as pd

    key = id_column(table)
    if len(table) != count or (key is not None and table[key].duplicated().any()):
        return None
    if key is not None:
        table = table.sort_values(key, ignore_index=True)
    if present.empty:
        return table
    return pd.concat([present, _renamed(table, present, called)], axis=1)


def _renamed(
    table: pd.DataFrame, present: pd.DataFrame, called: Callable[[str], str]
) -> pd.DataFrame:
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
        names[name] = unique_name(called(str(name)), taken, " {}", 2)
    return table.drop(columns=equal).rename(columns=names)


def _are_counts(values: np.ndarray) -> bool:
    """Whether fractions are whole numbers, each of which a float tells apart from the next."""
    return not (values % 1).any() and bool((np.abs(values) <= 2**53).all())


def _labels(column: pd.Series) -> np.ndarray:
    """Return the labels that rows are of; 0, the background, where a cell is no label."""
    if column.dtype.kind in "iu":
        return column.to_numpy(np.int64, na_value=0)
    return np.fromiter(map(_label, column), np.int64, len(column))


def _label(cell: object) -> int:
    try:
        number = int(cell)  # type: ignore[call-overload]  # whatever somebody put there
    except (TypeError, ValueError, OverflowError):
        return 0
    return number if abs(number) < 2**63 else 0


def whereabouts(layer: object) -> Callable[[int, int | None], Sequence[float] | None]:
    """Return what tells where an object of `layer` lies; it may be asked in any thread.

    It takes the number of the object and, of labels that come again in each frame, a place
    along the first axis; it gives the coordinates of the object in the layer's data (those
    of the pixel of a label that is nearest to its middle), None where there is none.
    """
    kind, data = layer_kind(layer), cast("_Layer", layer).data
    if kind is LayerKind.LABELS:
        finest = items(data)[0] if getattr(layer, "multiscale", False) else data
        pixels = cast("ArrayLike", finest)
        return lambda number, frame: _of_label(pixels, number, frame)
    if kind is LayerKind.SURFACE:
        data = items(data)[0]
    things = data if isinstance(data, np.ndarray) else items(data)

    def place(number: int, _: int | None) -> Sequence[float] | None:
        if not 0 <= number < len(things):
            return None
        thing = np.asarray(things[number], float)
        if kind is LayerKind.TRACKS:
            thing = thing[1:]
        elif kind is LayerKind.SHAPES:
            thing = thing.mean(axis=0)
        elif kind is LayerKind.VECTORS:
            thing = thing[0]
        return thing.tolist() if thing.ndim == 1 else None

    return place


def _of_label(array: ArrayLike, number: int, frame: int | None) -> Sequence[float] | None:
    """Return the pixel of a label nearest to its middle, in the first frame that has it."""
    first, ndim = frame or 0, len(array.shape)
    parts = [range(size) for size in array.shape]
    if frame is not None:
        parts[0] = range(frame, frame + 1)
    whole = window(array, parts, range(ndim))
    found: list[np.ndarray] = []
    for place in blocks(whole):
        pixels = np.argwhere(read(whole, place) == number)
        if len(pixels):
            found.append(pixels + [part.start for part in place])
        elif found and ndim > 3:
            break
    if not found:
        return None
    pixels = np.concatenate(found)
    if ndim > 3:  # the same label elsewhere along time is the same object, moved
        pixels = pixels[pixels[:, 0] == pixels[0, 0]]
    nearest = np.abs(pixels - pixels.mean(axis=0)).sum(axis=1).argmin()
    place_of: list[float] = (pixels[nearest] + [first, *[0] * (pixels.shape[1] - 1)]).tolist()
    return place_of
