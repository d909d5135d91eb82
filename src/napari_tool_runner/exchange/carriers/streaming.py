"""Writing pixels block by block into a flat file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_tool_runner.exchange.blocks import blocks, nbytes, read

if TYPE_CHECKING:
    from napari_tool_runner.exchange.carriers.content import Pixels, Progress
    from napari_tool_runner.exchange.lossless import TypePlan

__all__ = ["write_blocks"]


def write_blocks(
    pixels: Pixels, path: Path, offset: int, plan: TypePlan, progress: Progress | None
) -> None:
    """Write an array in C order, little endian, into `path` from byte `offset` on.

    In the order of the source's chunks, so that none is read twice. Plain writes, not
    a memory map: on a full disk they raise, where a map would end the process.
    """
    array = pixels.array
    total, done = nbytes(array), 0
    target = plan.target.newbyteorder("<")
    with path.open("r+b", buffering=0) as file:
        for key in blocks(array):
            block = read(array, key)
            done += block.nbytes
            values = plan.convert(block, pixels.name).astype(target, copy=False)
            for start, run in _runs(values, key, tuple(array.shape)):
                file.seek(offset + start * target.itemsize)
                _write_all(file.write, run.data.cast("B"))
            if progress:
                progress(done, total)


def _write_all(write: object, data: memoryview) -> None:
    while len(data):
        written = write(data)  # type: ignore[operator]
        data = data[written:]


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
