"""Reading and writing arrays of any kind block by block, never the whole of a lazy one.

An array is anything with ``shape``, ``dtype`` and slicing: numpy, dask, zarr,
tensorstore, or what a plugin made up.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner._lazy import np
from napari_tool_runner.data_classes import dataclass
from napari_tool_runner.errors import ExchangeError, LossyConversionError, ToolRunnerError
from napari_tool_runner.exchange.files import reserve

if TYPE_CHECKING:
    from napari_tool_runner.exchange.model import ArrayLike, Pixels, Progress

__all__ = [
    "MAX_BLOCK",
    "OME_TYPES",
    "TypePlan",
    "as_lazy",
    "blocks",
    "chunk_sizes",
    "first_holding",
    "middle_plane",
    "nbytes",
    "plan_type",
    "read",
    "read_blocks",
    "rearranged_pixels",
    "reshaped",
    "reshaped_levels",
    "spaced",
    "transposed",
    "window",
    "write_blocks",
]

_SAMPLE = 512
MAX_BLOCK = 32 * 2**20
"""Bytes that one block may take (a chunk of the source, if that is larger)."""
_IN_CACHE = 4 * 2**20  # of what is in memory: converted and written while a cache holds it


def transposed(array: ArrayLike, order: Sequence[int]) -> ArrayLike:
    """Return `array` with its axes in another order, never read."""
    if [*order] == list(range(len(array.shape))):
        return array
    if isinstance(array, np.ndarray) or hasattr(array, "compute"):  # dask
        moved: ArrayLike = array.transpose(order)  # type: ignore[union-attr]
        return moved
    return _View(array, [*map(range, array.shape)], order)


def rearranged_pixels(array: ArrayLike, order: Sequence[int]) -> ArrayLike:
    """Return `array` with the axes `order`; those of one step that are not in it go.

    Samples of a colour, the last axis, stay where they are when `order` leaves them out.
    """
    shape = array.shape
    order = [*order, *(i for i in range(len(shape)) if i not in order and shape[i] != 1)]
    gone = [i for i in range(len(shape)) if i not in order]
    sizes = tuple(shape[i] for i in order)
    return reshaped(transposed(array, [*gone, *order]), sizes)


class _View:
    """Some of an array in another order of its axes, read when it is asked for."""

    def __init__(self, array: ArrayLike, ranges: Sequence[range], order: Sequence[int]) -> None:
        self._array, self._ranges, self._order = array, ranges, order
        self.ndim = len(order)  # asked for by dask

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(self._ranges[axis]) for axis in self._order)

    @property
    def dtype(self) -> np.dtype:
        return self._array.dtype

    @property
    def chunks(self) -> tuple[tuple[int, ...], ...] | None:
        sizes = chunk_sizes(self._array)
        if sizes is None:
            return None
        # the borders do not matter for reading in turn, only how much fits at once
        return _regular(self.shape, [max(1, sizes[axis][0]) for axis in self._order])

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
        parts = [*self._ranges]
        for part, axis in zip(key, self._order, strict=True):
            parts[axis] = parts[axis][part]
        block = read(self._array, tuple(slice(part.start, part.stop) for part in parts))
        gone = [axis for axis in range(len(parts)) if axis not in self._order]
        moved = block.transpose([*gone, *self._order])
        return moved.reshape(moved.shape[len(gone) :])


def window(array: ArrayLike, ranges: Sequence[range], kept: Sequence[int]) -> ArrayLike:
    """Return a part of `array`, not read: `ranges` along its axes, of which only `kept` stay.

    The others have a single step.
    """
    view = _View(array, ranges, kept)
    return view[(slice(None),) * len(kept)] if isinstance(array, np.ndarray) else view


def nbytes(array: ArrayLike) -> int:
    """Return the size of the values in bytes."""
    return int(np.prod(array.shape, dtype=np.int64)) * np.dtype(array.dtype).itemsize


def read(array: ArrayLike, key: tuple[slice, ...]) -> np.ndarray:
    """Return one block as numpy; dask, tensorstore and the like compute just that.

    Raises
    ------
    ExchangeError
        The file or the computation behind it fails.
    """
    try:
        part = array[key]
        while not isinstance(part, np.ndarray):
            if hasattr(part, "compute"):
                part = part.compute()
            elif hasattr(part, "read") and hasattr(part, "domain"):  # tensorstore
                part = part.read().result()
            else:
                part = np.asarray(part)
    except (ToolRunnerError, MemoryError):
        raise
    except Exception as error:  # a damaged chunk, a computation of somebody's own
        raise ExchangeError(
            f"The pixels cannot be read: {error}", hint="Check the file that they come from."
        ) from error
    block: np.ndarray = part
    return block


def blocks(
    array: ArrayLike, limit: int | None = None, *, grid: Sequence[int] | None = None
) -> Iterator[tuple[slice, ...]]:
    """Yield slices that cover `array` once, each about `limit` bytes at most.

    Blocks are whole chunks of the source, so that no chunk is computed twice; a
    single chunk larger than `limit` is one block, as nothing smaller can be had.
    `grid`: sizes of chunks to use where the source has none.
    """
    shape = tuple(array.shape)
    if 0 in shape:
        return
    if limit is None:
        limit = _IN_CACHE if isinstance(array, np.ndarray) and grid is None else MAX_BLOCK
    chunks = chunk_sizes(array)
    if chunks is None:
        chunks = _regular(shape, grid) if grid is not None else _rows(array, limit)
    edges = [[0, *itertools.accumulate(sizes)] for sizes in chunks]
    steps = _group(array, edges, limit)
    grouped = [[*(edge[:-1][::step]), edge[-1]] for edge, step in zip(edges, steps, strict=True)]
    spans = [list(itertools.pairwise(edge)) for edge in grouped]
    for corner in itertools.product(*spans):
        yield tuple(slice(start, stop) for start, stop in corner)


def read_blocks(
    array: ArrayLike, progress: Progress | None, *, grid: Sequence[int] | None = None
) -> Iterator[tuple[tuple[slice, ...], np.ndarray]]:
    """Yield each of the `blocks` with its values, and tell `progress` when it is dealt with."""
    total, done = nbytes(array), 0
    for key in blocks(array, grid=grid):
        block = read(array, key)
        yield key, block
        done += block.nbytes
        if progress:
            progress(done, total)


def first_holding(low: float, high: float, names: Sequence[str]) -> np.dtype | None:
    """Return the first of the integer types `names` that holds `low` to `high`; None: none."""
    infos = {name: np.iinfo(name) for name in names}
    found = next((n for n, i in infos.items() if i.min <= low and high <= i.max), None)
    return None if found is None else np.dtype(found)


def middle_plane(array: ArrayLike, at: float = 0.5) -> np.ndarray:
    """Return the middle of an array, at most 512 × 512 of its last two axes.

    `at`: which part of the way along each axis, for others than the middle.
    """
    shape = tuple(array.shape)
    key = []
    for axis, size in enumerate(shape):
        width = min(size, _SAMPLE if axis >= len(shape) - 2 else 1)
        start = int((size - width) * at)
        key.append(slice(start, start + width))
    return np.squeeze(read(array, tuple(key)))


def chunk_sizes(array: ArrayLike) -> tuple[tuple[int, ...], ...] | None:
    """Return dask-like chunks (sizes along each axis); None when there are none."""
    chunks = getattr(array, "shards", None) or getattr(array, "chunks", None)
    shape = tuple(array.shape)
    if not isinstance(chunks, tuple | list) or len(chunks) != len(shape):
        return None
    result = []
    for size, chunk in zip(shape, chunks, strict=True):
        if isinstance(chunk, tuple | list):
            sizes = tuple(int(c) for c in chunk)
        elif isinstance(chunk, int | np.integer) and chunk > 0:
            sizes = _regular((size,), (int(chunk),))[0]
        else:
            return None
        if sum(sizes) != size:
            return None
        result.append(sizes or (0,))
    return tuple(result)


def _rows(array: ArrayLike, limit: int) -> tuple[tuple[int, ...], ...]:
    """Return chunks of as many whole trailing axes as fit into `limit` bytes."""
    shape = tuple(array.shape)
    item = np.dtype(array.dtype).itemsize
    sizes = list(shape)
    for axis in range(len(shape)):
        if item * int(np.prod(sizes, dtype=np.int64)) <= limit:
            break
        rest = item * int(np.prod(sizes[axis + 1 :], dtype=np.int64))
        sizes[axis] = max(1, limit // max(1, rest))
    return _regular(shape, sizes)


def _regular(shape: Sequence[int], sizes: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    return tuple(
        (chunk,) * (size // chunk) + ((size % chunk,) if size % chunk else ())
        for size, chunk in zip(shape, sizes, strict=True)
    )


def _group(array: ArrayLike, edges: Sequence[Sequence[int]], limit: int) -> list[int]:
    """Return how many chunks to take at once along each axis, last axes first."""
    item = np.dtype(array.dtype).itemsize
    widest = [max((b - a for a, b in itertools.pairwise(e)), default=1) for e in edges]
    steps = [1] * len(edges)
    size = item * int(np.prod(widest, dtype=np.int64))
    for axis in reversed(range(len(edges))):
        count = len(edges[axis]) - 1
        fit = max(1, min(count, limit // max(1, size)))
        steps[axis] = fit
        size *= fit
        if fit < count:
            break
    return steps


def as_lazy(array: object) -> ArrayLike:
    """Return a zarr array as dask, which napari slices without computing."""
    import dask.array as da  # 1 s to import

    lazy: ArrayLike = da.from_zarr(array)  # type: ignore[no-untyped-call]
    return lazy


def reshaped(array: ArrayLike, shape: tuple[int, ...]) -> ArrayLike:
    """Return `array` in another shape (axes of size 1 more or less), never read."""
    if tuple(array.shape) == shape:
        return array
    if not hasattr(array, "reshape"):
        import dask.array as da  # 1 s to import

        array = da.from_array(array)  # type: ignore[no-untyped-call]
    result: ArrayLike = array.reshape(shape)  # type: ignore[attr-defined]
    return result


def reshaped_levels(levels: Sequence[ArrayLike], shape: Sequence[int]) -> list[ArrayLike]:
    """Return the levels of an image, of which the first is to have `shape`: see `reshaped`."""
    found = []
    for level in levels:
        pairs = zip(level.shape, levels[0].shape, strict=True)
        long = iter([size for size, whole in pairs if whole != 1])
        found.append(reshaped(level, tuple(1 if size == 1 else next(long) for size in shape)))
    return found


def spaced(array: ArrayLike, places: tuple[int, ...]) -> ArrayLike:
    """Return `array` with axes of one step at `places` among its axes then, never read."""
    stub = np.broadcast_to(np.uint8(0), array.shape)
    return reshaped(array, np.expand_dims(stub, places).shape)


def write_blocks(
    pixels: Pixels, path: Path, offset: int, plan: TypePlan, progress: Progress | None
) -> None:
    """Write an array in C order, little endian, into `path` from byte `offset` on.

    In the order of the source's chunks, so that none is read twice. Plain writes, not
    a memory map: on a full disk they raise, where a map would end the process.
    """
    target = plan.target.newbyteorder("<")
    size = int(np.prod(pixels.array.shape, dtype=np.int64)) * target.itemsize
    with path.open("r+b", buffering=0) as file:
        if size > _IN_CACHE:
            reserve(file.fileno(), offset, size)
        for key, block in read_blocks(pixels.array, progress):
            values = plan.convert(block, pixels.name).astype(target, copy=False)
            for start, run in _runs(values, key, tuple(pixels.array.shape)):
                file.seek(offset + start * target.itemsize)
                data = run.data.cast("B")
                while len(data):  # an unbuffered file may take a part only
                    data = data[file.write(data) :]


def _runs(
    values: np.ndarray, key: tuple[slice, ...], shape: tuple[int, ...]
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (index in the whole array, values) of the stretches without a gap."""
    whole = len(shape)
    while whole > 0 and values.shape[whole - 1] == shape[whole - 1]:
        whole -= 1
    lead = max(0, whole - 1)
    strides = [int(np.prod(shape[i + 1 :], dtype=np.int64)) for i in range(len(shape))]
    starts = [part.start or 0 for part in key]
    for index in np.ndindex(*values.shape[:lead]):
        position = [s + i for s, i in zip(starts, index, strict=False)] + starts[lead:]
        start = sum(p * stride for p, stride in zip(position, strides, strict=True))
        yield start, np.ascontiguousarray(values[index]).reshape(-1)


OME_TYPES = ("u1", "u2", "u4", "i1", "i2", "i4", "f4", "f8", "c8", "c16")
"""What OME-TIFF can hold."""
# 64-bit integers "fit" into float64 for numpy, but not exactly.
_COMPATIBLE = {"i": "i", "u": "ui", "f": "fc", "c": "c"}


@dataclass(frozen=True, slots=True)
class TypePlan:
    """How values travel: `target` type, and whether each block must be checked."""

    target: np.dtype
    checked: bool = False
    note: str = ""

    def convert(self, block: np.ndarray, name: str) -> np.ndarray:
        """Return `block` as `target`.

        Raises
        ------
        LossyConversionError
            When a value would change.
        """
        if block.dtype == self.target:
            return block
        if self.checked and block.size:
            low, high = int(block.min()), int(block.max())
            info = np.iinfo(self.target)
            if low < info.min or high > info.max:
                raise LossyConversionError(
                    f"“{name}” holds values from {low} to {high} as {block.dtype.name}, "
                    f"which {self.target.name} cannot hold.",
                    hint="Convert it to a smaller type yourself (relabel, rescale), then run "
                    "again.",
                )
        return block.astype(self.target)


def plan_type(dtype: np.dtype, allowed: Iterable[np.dtype | str]) -> TypePlan | None:
    """Choose the type for a carrier that holds only the types `allowed`.

    The same type when the carrier has it; else the narrowest that holds every value
    (bool as 0/1, float16 as float32); else, for 64-bit integers, the widest integer
    of the same sign, with each block checked. None: the carrier cannot hold it.
    """
    types, native = {np.dtype(t) for t in allowed}, np.dtype(dtype).newbyteorder("=")
    if native in types:
        return TypePlan(native)
    if native.kind == "b":
        byte = np.dtype("u1")
        return TypePlan(byte, note="True/False was written as 1/0.") if byte in types else None
    kinds = _COMPATIBLE.get(native.kind, "")
    exact = [t for t in types if t.kind in kinds and np.can_cast(native, t, "safe")]
    if exact:
        target = min(exact, key=lambda t: (t.kind != native.kind, t.itemsize))
        return TypePlan(target, note=f"{native} was written as {target}; no value changes.")
    whole = [t for t in types if t.kind in "iu"] if native.kind in "iu" else []
    if not whole:
        return None
    target = max(whole, key=lambda t: (t.kind == native.kind, t.itemsize))
    return TypePlan(target, True, f"{native} was written as {target}; all values fit.")
