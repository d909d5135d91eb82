"""The file formats that carry layers: each module writes and reads one family."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from napari_tool_runner._lazy import np
from napari_tool_runner.errors import OutputError, ToolRunnerError, UnsupportedLayerError
from napari_tool_runner.exchange.blocks import reshaped, transposed
from napari_tool_runner.exchange.files import check_plain
from napari_tool_runner.exchange.geometry import for_file
from napari_tool_runner.exchange.model import ShapeList, SurfaceData
from napari_tool_runner.tools.formats import FORMATS, Carrier, Format, Trait
from napari_tool_runner.tools.model import LayerKind

if TYPE_CHECKING:
    from napari_tool_runner.exchange.model import Content, LayerSnapshot, Pixels, Progress

__all__ = [
    "BINARY",
    "ReadFile",
    "import_tifffile",
    "in_file_order",
    "needs_tifffile",
    "read_file",
    "write_geometry",
    "write_pixels",
]


_ARRAYS = (Carrier.NPY, Carrier.HDF5)


class ReadFile(Protocol):
    """Reads a file as `read_file` does, here or elsewhere."""

    def __call__(
        self, path: Path, fmt: Format, *, name: str, writable: bool = ..., root: Path | None = ...
    ) -> Content:
        """Open a file by the carrier of its format."""


def needs_tifffile(carriers: Iterable[Carrier]) -> bool:
    """Whether one of `carriers` is written as TIFF: runs with others do without its library."""
    return not {Carrier.TIFF, Carrier.MOVIE}.isdisjoint(carriers)


def import_tifffile() -> None:
    """Import what reads and writes TIFF, ahead of its use."""
    import_module(f"{__name__}.movie")


BINARY = {Carrier.TIFF: "TIFF", Carrier.ZARR: "Zarr", Carrier.NPY: "NumPy", Carrier.HDF5: "HDF5"}
"""What people call the carriers whose files begin with a mark."""


def read_file(
    path: Path,
    fmt: Format,
    *,
    name: str,
    writable: bool = False,
    root: Path | None = None,
    image: int = 0,
) -> Content:
    """Open a file by the carrier of its format.

    Parameters
    ----------
    name : str
        For the column of a single number or array.
    writable : bool
        The pixels will be edited.
    root : Path, optional
        The folder of the program that made it: nothing is opened through a link, nor
        beside it (see `sealed`). None: a file of the user's.
    image : int
        Which of several images of a TIFF, counted from 1; 0: nobody chose.

    Raises
    ------
    OutputError
        It cannot be read.
    """
    try:
        if root is None:
            check_plain(path)
        if image and fmt.carrier is Carrier.TIFF:
            from napari_tool_runner.exchange.carriers.tiff import read_tiff  # and so tifffile

            return read_tiff(path, writable=writable, root=root, image=image)
        if image:
            raise OutputError(
                f"{path.name}: one of several images is chosen by its number in TIFF only.",
                hint="Of a Zarr, give the path of the image inside.",
            )
        return _read(path, fmt, name=name, writable=writable, root=root)
    except (ToolRunnerError, MemoryError):
        raise
    except Exception as error:  # the libraries of the formats raise anything
        # below its first line a library advises programmers, at worst to trust the file
        why = str(error).strip().partition("\n")[0].rstrip(".")
        what = BINARY.get(fmt.carrier, fmt.name)
        raise OutputError(
            f"{path.name} cannot be read as {what}: {why}.",
            hint="See the log of the job: the tool may have stopped while writing it."
            if root is not None
            else "Save it anew with the program that made it, or choose another file.",
        ) from error


def _read(path: Path, fmt: Format, *, name: str, writable: bool, root: Path | None) -> Content:
    match fmt.carrier:
        case Carrier.TIFF:
            from napari_tool_runner.exchange.carriers.tiff import read_tiff

            return read_tiff(path, writable=writable, root=root)
        case Carrier.ZARR:
            from napari_tool_runner.exchange.carriers.zarr import read_zarr

            return read_zarr(path, writable=writable, root=root)
        case Carrier.PICTURE:
            from napari_tool_runner.exchange.carriers.raster import read_raster  # and so Pillow

            return read_raster(path, root=root)
        case Carrier.NPY:
            from napari_tool_runner.exchange.carriers.arrays import read_npy

            return read_npy(path, writable=writable, root=root)
        case Carrier.HDF5:
            from napari_tool_runner.exchange.carriers.arrays import read_hdf5

            return read_hdf5(path, root=root)
        case Carrier.MOVIE:
            from napari_tool_runner.exchange.carriers.movie import read_movie

            return read_movie(path, root=root)
        case Carrier.TABLE:
            from napari_tool_runner.exchange.carriers.tables import read_table

            return read_table(path, tabs=Trait.TABS in fmt.traits, root=root)
        case Carrier.ARRAY | Carrier.NUMBER:
            from napari_tool_runner.exchange.carriers.arrays import read_numbers

            return read_numbers(path, name, root=root)
        case Carrier.GEOJSON:
            from napari_tool_runner.exchange.carriers.geojson import read_geojson

            return read_geojson(path, root=root)
        case Carrier.MESH:
            from napari_tool_runner.exchange.carriers.mesh import read_mesh

            return read_mesh(path, _plain_name(path, fmt), root=root)
        case Carrier.TRACKMATE:
            from napari_tool_runner.exchange.carriers.trackmate import read_trackmate

            return read_trackmate(path, root=root)
        case Carrier.OPAQUE | Carrier.UNKNOWN:
            raise OutputError(f"{path.name} holds nothing that a layer could show.")


def _plain_name(path: Path, fmt: Format) -> str:
    """Return the built-in format of a file, which a configuration may call otherwise."""
    by_name = [entry.name for entry in FORMATS.of_file(path.name) if entry.carrier is fmt.carrier]
    return next((name for name in (*by_name, fmt.name) if name in FORMATS), "obj")


def in_file_order(pixels: Pixels, fmt: Format) -> Pixels:
    """Return `pixels` with the axes that a file has, see `for_file`; nothing is read.

    Arrays need no rows and columns. OME-Zarr has an order of its own, which its writer tells.
    """
    bare = fmt.carrier in _ARRAYS and not {"Y", "X"} <= {*pixels.axes}
    if bare or fmt.carrier is Carrier.ZARR:
        return pixels
    geometry, order = for_file(pixels.geometry)
    there = [axis for axis in order if axis >= 0]
    samples = [pixels.geometry.ndim] if pixels.rgb else []
    array = transposed(pixels.array, [*there, *samples])
    full = (*geometry.shape, *(array.shape[-1:] if pixels.rgb else ()))
    return replace(pixels, array=reshaped(array, full), geometry=geometry)


def write_pixels(
    pixels: Pixels, fmt: Format, path: Path, *, progress: Progress | None = None
) -> list[str]:
    """Write an image or labels; return notes.

    Raises
    ------
    UnsupportedLayerError, LossyConversionError
    """
    if 0 in pixels.array.shape and fmt.carrier not in (Carrier.ZARR, *_ARRAYS):
        size = " × ".join(map(str, pixels.array.shape))
        raise UnsupportedLayerError(
            f"“{pixels.name}” has no pixels: its size is {size}.", hint="Choose another layer."
        )
    place = pixels.geometry
    if fmt.carrier in (*_ARRAYS, Carrier.PICTURE) and (
        {*place.scale} - {1} or {*place.units} - {"pixel"}
    ):
        bare = _written(pixels, fmt, path, progress)
        return [f"{fmt.extension[1:].upper()} holds no pixel size.", *bare]
    return _written(pixels, fmt, path, progress)


def _written(pixels: Pixels, fmt: Format, path: Path, progress: Progress | None) -> list[str]:
    match fmt.carrier:
        case Carrier.TIFF:
            from napari_tool_runner.exchange.carriers.tiff import write_tiff

            plain = not fmt.extension.startswith(".ome")
            return write_tiff(pixels, path, any_type=plain, progress=progress)
        case Carrier.ZARR:
            version = "0.5" if Trait.ZARR3 in fmt.traits else "0.4"
            from napari_tool_runner.exchange.carriers.zarr import write_zarr

            return write_zarr(pixels, path, version=version, progress=progress)
        case Carrier.PICTURE:
            from napari_tool_runner.exchange.carriers.raster import write_raster

            return write_raster(
                pixels, path, _plain_name(path, fmt).upper(), lossy=Trait.LOSSY in fmt.traits
            )
        case Carrier.NPY:
            from napari_tool_runner.exchange.carriers.arrays import write_npy

            return write_npy(pixels, path, progress=progress)
        case Carrier.HDF5:
            from napari_tool_runner.exchange.carriers.arrays import write_hdf5

            return write_hdf5(pixels, path, progress=progress)
        case Carrier.MOVIE:
            from napari_tool_runner.exchange.carriers.movie import write_movie

            return write_movie(pixels, path, progress=progress)
        case _:
            raise UnsupportedLayerError(f"Pixels cannot be written as {fmt.name}.")


def write_geometry(snap: LayerSnapshot, fmt: Format, path: Path) -> list[str]:
    """Write points or shapes as GeoJSON, a surface as a mesh; return notes.

    Raises
    ------
    UnsupportedLayerError
    """
    if fmt.carrier is Carrier.MESH and snap.kind is LayerKind.SURFACE:
        corners, faces, *rest = snap.parts
        values = rest[0] if rest and rest[0].ndim == 1 else None
        binary = Trait.BINARY in fmt.traits
        from napari_tool_runner.exchange.carriers.mesh import write_mesh

        return write_mesh(
            SurfaceData(corners, faces, values), path, _plain_name(path, fmt), binary=binary
        )
    if fmt.carrier is Carrier.GEOJSON and snap.kind in (LayerKind.POINTS, LayerKind.SHAPES):
        if snap.kind is LayerKind.POINTS:
            vertices = [point[None] for point in np.asarray(snap.data)]
            types = ["point"] * len(vertices)
        else:
            vertices, types = snap.parts, snap.shape_types
        shapes = ShapeList(tuple(vertices), tuple(types), snap.features(len(vertices)))
        from napari_tool_runner.exchange.carriers.geojson import write_geojson

        return write_geojson(shapes, path, axes=snap.geometry.axes)
    raise UnsupportedLayerError(f"A {snap.kind.value} layer cannot be written as {fmt.name}.")
