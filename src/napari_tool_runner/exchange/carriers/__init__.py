"""The file formats that carry layers: each module writes and reads one family."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.errors import OutputError, UnsupportedLayerError
from napari_tool_runner.exchange.carriers.tables import read_numbers, read_table
from napari_tool_runner.exchange.carriers.tiff import read_tiff, write_tiff
from napari_tool_runner.exchange.formats import CarrierName, Format

if TYPE_CHECKING:
    from napari_tool_runner.exchange.carriers.content import Content, Pixels, Progress
    from napari_tool_runner.exchange.model import LayerSnapshot

__all__ = ["read_file", "write_geometry", "write_pixels"]


def read_file(
    path: Path, carrier: CarrierName, *, name: str, fmt: str = "", writable: bool = False
) -> Content:
    """Open a file by its carrier.

    Parameters
    ----------
    name : str
        For the column of a single number or array.
    fmt : str
        Name of the format in the dialect.
    writable : bool
        The pixels will be edited.

    Raises
    ------
    OutputError
        It cannot be read.
    """
    match carrier:
        case CarrierName.TIFF:
            return read_tiff(path, writable=writable)
        case CarrierName.TABLE:
            return read_table(path, tabs=fmt in ("tsv", "tabular") or path.suffix == ".tsv")
        case CarrierName.ARRAY | CarrierName.NUMBER:
            return read_numbers(path, name)
        case _:
            raise OutputError(f"{path.name} cannot be opened as a layer ({carrier.value}).")


def write_pixels(
    pixels: Pixels, fmt: Format, path: Path, *, dialect: str, progress: Progress | None = None
) -> list[str]:
    """Write an image or labels; return notes.

    Raises
    ------
    UnsupportedLayerError, LossyConversionError
    """
    match fmt.carrier:
        case CarrierName.TIFF:
            any_type = dialect == "galaxy" and not fmt.name.startswith("ome")
            return write_tiff(pixels, path, any_type=any_type, progress=progress)
        case _:
            raise UnsupportedLayerError(f"Pixels cannot be written as {fmt.name}.")


def write_geometry(snap: LayerSnapshot, fmt: Format, path: Path) -> list[str]:
    """Write points or shapes as GeoJSON, a surface as a mesh; return notes."""
    raise UnsupportedLayerError(f"A {snap.kind.value} layer cannot be written as {fmt.name}.")
