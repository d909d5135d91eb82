"""Opening what is compressed or chunked without reading it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import tifffile

if TYPE_CHECKING:
    from napari_tool_runner.exchange.blocks import ArrayLike

__all__ = ["as_lazy", "lazy_tiff"]


def lazy_tiff(path: Path) -> ArrayLike:
    """Return the first image of a compressed TIFF; strips and tiles are read on demand."""
    import zarr

    store = tifffile.imread(path, series=0, level=0, aszarr=True)
    return as_lazy(zarr.open(store, mode="r"))


def as_lazy(array: object) -> ArrayLike:
    """Return a zarr array as dask, which napari slices without computing."""
    import dask.array as da  # 1 s to import

    return cast("ArrayLike", da.from_zarr(array))  # type: ignore[no-untyped-call]
