"""The objects of a layer: what is known of each (its ``features``), and where each lies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, cast

from napari_tool_runner._lazy import np
from napari_tool_runner.exchange.blocks import blocks, read, window
from napari_tool_runner.exchange.model import items
from napari_tool_runner.exchange.snapshots import layer_kind
from napari_tool_runner.tools.model import LayerKind

if TYPE_CHECKING:
    import pandas as pd

    from napari_tool_runner.exchange.model import ArrayLike

__all__ = ["column_names", "features_of", "features_without", "whereabouts"]

_ID = "index"  # napari's name for the labels that rows are


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
    labels, or places among the points (shapes, tracks' positions …); shape (N,), int.
    """
    features = cast("_Layer", layer).features.reset_index(drop=True)
    numbers = np.arange(len(features))
    if layer_kind(layer) is not LayerKind.LABELS:
        return features, numbers
    if _ID in features.columns:
        numbers = _labels(features[_ID])
        if "label" not in features.columns:
            features = features.rename(columns={_ID: "label"})
    else:
        features.insert(0, "label", numbers)
    there = numbers != 0
    kept = features[there].reset_index(drop=True)
    for name in kept.columns:  # the background's empty cell made fractions of counts
        column = kept[name]
        if column.dtype.kind == "f" and len(column) and _are_counts(column.to_numpy()):
            kept[name] = column.astype(np.int64)
    return kept, numbers[there]


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
