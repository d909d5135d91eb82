"""Opening what is compressed or chunked without reading it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import tifffile

if TYPE_CHECKING:
    from napari_tool_runner.exchange.blocks import ArrayLike

__all__ = ["as_lazy", "lazy_tiff", "reshaped"]


def lazy_tiff(path: Path, *, is_ome: bool) -> ArrayLike:
    """Return the first image of a compressed TIFF; strips and tiles are read on demand."""
    import zarr

    tif = tifffile.TiffFile(path, _multifile=False, is_ome=is_ome)
    store = tif.aszarr(series=0, level=0)  # keeps the file open as long as it lives
    return as_lazy(zarr.open(store, mode="r"))


def as_lazy(array: object) -> ArrayLike:
    """Return a zarr array as dask, which napari slices without computing."""
    import dask.array as da  # 1 s to import

    return cast("ArrayLike", da.from_zarr(array))  # type: ignore[no-untyped-call]


def reshaped(array: ArrayLike, shape: tuple[int, ...]) -> ArrayLike:
    """Return `array` in another shape (axes of size 1 more or less), never read."""
    if tuple(array.shape) == shape:
        return array
    if not hasattr(array, "reshape"):
        import dask.array as da  # 1 s to import

        array = da.from_array(array)  # type: ignore[no-untyped-call]
    return cast("ArrayLike", array.reshape(shape))  # type: ignore[attr-defined]
