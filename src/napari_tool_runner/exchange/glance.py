"""What is seen of a result at a glance: a small picture of its pixels, and a few figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_tool_runner._lazy import np
from napari_tool_runner.data_classes import dataclass
from napari_tool_runner.exchange.blocks import blocks, read
from napari_tool_runner.tools.model import LayerKind

if TYPE_CHECKING:
    from napari_tool_runner.exchange.model import ArrayLike, LoadedOutput, Table

__all__ = ["Thumbnail", "figures_of", "thumbnail_of"]

SIDE = 256
"""Pixels of the longer side of a small picture, at most."""
_FINER = 4
"""So many times more pixels are read along each side, for means."""
_DARK, _BRIGHT = 0.2, 99.8
"""Percentiles of an image that are shown black and white."""


@dataclass(frozen=True, slots=True, eq=False)
class Thumbnail:
    """A small picture of an image or of labels.

    Parameters
    ----------
    pixels : ndarray of shape (y, x), of colours (y, x, 3 or 4)
        Of labels their numbers.
    low, high : float
        What is dark and what is bright in an image; of labels 0.
    """

    pixels: np.ndarray
    labels: bool
    low: float = 0.0
    high: float = 0.0


def thumbnail_of(loaded: LoadedOutput) -> Thumbnail | None:
    """Return a small picture of pixels: of a stack its middle slice; None for anything else."""
    if not loaded.kind.is_pixels:
        return None
    colours = bool(loaded.attributes.get("rgb"))
    inner = 3 if colours else 2
    least = SIDE * (inner + 1)
    sized = (one for one in reversed(loaded.levels) if sum(one.shape[-inner:]) >= least)
    array = next(sized, loaded.levels[0])
    shape = tuple(array.shape)
    if len(shape) < inner or 0 in shape:
        return None
    sides = shape[-inner:][:2]
    step = max(1, max(sides) // (SIDE * _FINER))
    key = [slice(size // 2, size // 2 + 1) for size in shape[:-inner]]
    key += [slice(0, size, step) for size in sides] + [slice(None)] * (inner - 2)
    plane = read(array, tuple(key)).reshape(
        *(-(-size // step) for size in sides), *shape[-1:][: inner - 2]
    )
    size = -(-max(plane.shape[:2]) // SIDE)
    if loaded.kind is LayerKind.LABELS:
        return Thumbnail(
            np.ascontiguousarray(plane[size // 2 :: size, size // 2 :: size]), labels=True
        )
    small = _means(plane, size)
    real = small[np.isfinite(small)]
    low, high = np.percentile(real, (_DARK, _BRIGHT)) if real.size else (0.0, 0.0)
    return Thumbnail(small, labels=False, low=float(low), high=float(high))


def figures_of(loaded: LoadedOutput) -> dict[str, float]:
    """Return how many objects a result has; of a table mean, median and sum of each column.

    Of labels (read block by block) also how much of the pixels they cover.
    """
    if loaded.kind is LayerKind.LABELS:
        return _of_labels(loaded.pixels)
    if loaded.kind is LayerKind.TABLE:
        return _of_columns(loaded.table)
    if loaded.kind in (LayerKind.POINTS, LayerKind.SHAPES):
        return {"object count": len(loaded.parts)}
    return {}


def _of_labels(array: ArrayLike) -> dict[str, float]:
    numbers: set[int] = set()
    covered = pixels = 0
    for place in blocks(array):
        block = read(array, place)
        numbers.update(np.unique(block).tolist())
        covered, pixels = covered + int(np.count_nonzero(block)), pixels + block.size
    found = {"object count": len(numbers - {0}), "covered %": 100 * covered / max(1, pixels)}
    # of a mask it is not the number that counts
    return found if found["object count"] > 1 else dict(reversed(found.items()))


def _of_columns(table: Table) -> dict[str, float]:
    found: dict[str, float] = {"rows": max(map(len, table.values()), default=0)}
    for name, column in table.items():
        if column.dtype.kind not in "iuf":
            continue
        values = column[np.isfinite(column)]
        for word, take in (("mean", np.mean), ("median", np.median), ("sum", np.sum)):
            found[f"{word} {name}"] = float(take(values)) if values.size else float("nan")
    return found


def _means(plane: np.ndarray, size: int) -> np.ndarray:
    """Return the means of `size` × `size` pixels each; what is left over at the end goes."""
    if plane.dtype == np.bool_:
        plane = plane.astype(np.uint8)
    if size == 1:
        return np.array(plane, np.float32)
    height, width = (max(1, n // size) for n in plane.shape[:2])
    size_y, size_x = min(size, plane.shape[0]), min(size, plane.shape[1])
    cut = plane[: height * size_y, : width * size_x].astype(np.float32)
    means: np.ndarray = cut.reshape(height, size_y, width, size_x, *plane.shape[2:]).mean((1, 3))
    return means
