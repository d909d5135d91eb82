"""Writing a snapshot into the best file that a parameter accepts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from napari_tool_runner.errors import ExchangeError, OutputError, UnsupportedLayerError
from napari_tool_runner.exchange.carriers import read_file, write_geometry, write_pixels
from napari_tool_runner.exchange.carriers.tables import write_matrix, write_table
from napari_tool_runner.exchange.conversion import (
    as_accepted,
    as_pixels,
    becomes,
    in_pixels_of,
    opened,
)
from napari_tool_runner.exchange.coordinates import (
    points_table,
    shapes_table,
    tracks_table,
    vectors_table,
)
from napari_tool_runner.exchange.files import (
    is_whole_map,
    place_file,
    whole_file,
)
from napari_tool_runner.exchange.formats import (
    CarrierName,
    Format,
    accepts,
    carrier_of,
    format_of,
    sniff,
)
from napari_tool_runner.exchange.geometry import (
    same_place,
)
from napari_tool_runner.exchange.handover import choose_format, formats_for
from napari_tool_runner.storage import content_sha256, free_path
from napari_tool_runner.tools.dialect import DataFile
from napari_tool_runner.tools.model import DataParameter, LayerKind

if TYPE_CHECKING:
    from napari_tool_runner.exchange.model import (
        LayerSnapshot,
        Progress,
        Table,
    )

from napari_tool_runner.exchange.model import PIXELS

__all__ = ["Exported", "export", "planned_file"]

_HASHED = 8 * 2**20


@dataclass(frozen=True, slots=True)
class Exported:
    """A snapshot as a file. `copied` is False when the original file is passed.

    What had to be converted or cast is told in `notes`. `sha256` is empty for what
    takes time to hash; `content_sha256` does it in the background.
    """

    file: DataFile
    copied: bool
    notes: tuple[str, ...] = ()
    sha256: str = ""


def export(
    snap: LayerSnapshot,
    parameter: DataParameter,
    folder: Path,
    *,
    dialect: str,
    reference: LayerSnapshot | None = None,
    progress: Progress | None = None,
) -> Exported:
    """Write `snap` into `folder` in the best carrier that `parameter` accepts.

    `reference`: the image whose pixel grid coordinates are converted to, when the
    transforms of the two layers differ. `progress`: called with the bytes done and in
    all while pixels are written; what it raises (a cancel) ends the writing and
    leaves no file.

    Raises
    ------
    UnsupportedLayerError, LossyConversionError, ExchangeError
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExchangeError(
            f"The folder {folder} cannot be made: {error.strerror or error}.",
            hint="Check the rights of the workspace folder.",
        ) from error
    placed = _pass_file(snap, parameter, folder)
    if placed is not None:
        return placed
    notes: list[str] = []
    if snap.data is None:
        snap = opened(snap, parameter, notes)
    snap = as_accepted(snap, parameter, reference, notes)
    chosen = choose_format(snap.kind, parameter)
    path = free_path(folder, snap.name, chosen.extension)
    with whole_file(path, snap.name):
        metadata = _write(snap, chosen, path, parameter, dialect, reference, progress, notes)
    if snap.source:
        metadata["source"] = snap.source
    file = DataFile(path, chosen.name, snap.name, metadata)
    return Exported(file, True, tuple(notes), _hash_if_small(path))


def planned_file(snap: LayerSnapshot, parameter: DataParameter, folder: Path) -> DataFile:
    """Return the file that `export` would make, as far as one can say unwritten.

    Raises
    ------
    UnsupportedLayerError
        This layer cannot go into that parameter.
    """
    if snap.path is not None:
        fmt = accepts(parameter.formats, snap.path)
        if fmt is not None:
            return DataFile(folder / snap.path.name, fmt, snap.name)
        if snap.data is None:
            snap = opened(snap, parameter, [])
    chosen = choose_format(becomes(snap, parameter), parameter)
    return DataFile(free_path(folder, snap.name, chosen.extension), chosen.name, snap.name)


def _pass_file(snap: LayerSnapshot, parameter: DataParameter, folder: Path) -> Exported | None:
    """Hand over the file itself, when it is what the tool accepts."""
    path = snap.path
    if path is None:
        return None
    fmt = accepts(parameter.formats, path) or _by_content(path, parameter)
    if fmt is None or (snap.data is not None and not _file_says_the_same(snap, path)):
        return None
    if not path.exists():
        raise ExchangeError(f"The file {path} is no longer there.", hint="Choose it again.")
    known = carrier_of(path)
    own = format_of(fmt)
    extension = path.suffix or (own.extension if own else "")
    if known is not None:
        extension = next(e for e in known.extensions if path.name.lower().endswith(e))
    target = free_path(folder, path.name, extension)
    copied = place_file(path, target)
    file = DataFile(target, fmt, snap.name, {"source": str(path)})
    return Exported(file, copied, (), _hash_if_small(target))


def _by_content(path: Path, parameter: DataParameter) -> str | None:
    """Return the accepted format of a file whose name says nothing."""
    if carrier_of(path) is not None or not path.is_file():
        return None
    found = sniff(path)
    if found is None or found[0] in (CarrierName.OPAQUE, CarrierName.RASTER):
        return None
    return next((f.name for f in formats_for(parameter) if f.carrier is found[0]), None)


def _file_says_the_same(snap: LayerSnapshot, path: Path) -> bool:
    """Whether a layer's own file also tells where it lies (a placed output may not)."""
    if snap.kind not in PIXELS:
        return True
    known = carrier_of(path)
    if known is None:
        return False
    try:
        content = read_file(path, known.carrier, name=snap.name)
    except OutputError:
        return False
    own = content.geometry
    first = cast("list[object]", snap.data)[0] if snap.multiscale else snap.data
    opened_first = cast("list[object]", content.data)[0] if content.multiscale else content.data
    if own is None or own.shape != snap.geometry.shape or content.rgb != snap.rgb:
        return False
    if not is_whole_map(first, opened_first):
        return False
    origin = (0.0,) * own.ndim
    here = replace(snap.geometry, translate=origin, linear=None, affine=None)
    return same_place(own, here) and (not snap.geometry.labels or own.axes == snap.geometry.axes)


def _write(
    snap: LayerSnapshot,
    chosen: Format,
    path: Path,
    parameter: DataParameter,
    dialect: str,
    reference: LayerSnapshot | None,
    progress: Progress | None,
    notes: list[str],
) -> dict[str, object]:
    tabs = chosen.name in ("tsv", "tabular")
    if snap.kind in PIXELS:
        pixels = as_pixels(snap, parameter)
        notes += write_pixels(pixels, chosen, path, dialect=dialect, progress=progress)
        return {
            "axes": pixels.axes,
            "shape": [int(s) for s in pixels.array.shape],
            "dtype": str(pixels.array.dtype),
        }
    if snap.kind is LayerKind.TABLE:
        table = cast("Table | np.ndarray", snap.data)
        return _write_rows(table, chosen, path, tabs=tabs)
    snap = in_pixels_of(snap, reference, notes)
    if chosen.carrier is CarrierName.TABLE:
        positions = dialect == "galaxy" and tabs
        return _write_rows(_rows(snap, positions=positions), chosen, path, tabs=tabs)
    notes += write_geometry(snap, chosen, path)
    return {}


def _rows(snap: LayerSnapshot, *, positions: bool) -> Table:
    features = snap.attributes.get("features")
    match snap.kind:
        case LayerKind.POINTS:
            points = np.asarray(snap.data)
            return points_table(points, features, axes=snap.geometry.axes, positions=positions)
        case LayerKind.TRACKS:
            return tracks_table(np.asarray(snap.data), features)
        case LayerKind.VECTORS:
            return vectors_table(np.asarray(snap.data), features)
        case _:
            shapes = [np.asarray(shape) for shape in cast("Sequence[object]", snap.data)]
            types = snap.attributes.get("shape_type", "polygon")
            names = [types] * len(shapes) if isinstance(types, str) else types
            return shapes_table(shapes, cast("Sequence[str]", names), features)


def _write_rows(
    table: Table | np.ndarray, chosen: Format, path: Path, *, tabs: bool
) -> dict[str, object]:
    if isinstance(table, dict) and chosen.carrier is CarrierName.TABLE:
        write_table(table, path, tabs=tabs)
        return {"columns": len(table), "column_names": list(table)}
    values = np.asarray(table) if not isinstance(table, dict) else _numbers(table, chosen)
    if chosen.carrier is CarrierName.NUMBER and values.size != 1:
        raise UnsupportedLayerError(f"{chosen.name} takes one number; there are {values.size}.")
    write_matrix(values, path, tabs=tabs)
    return {"columns": int(np.atleast_2d(values).shape[1])}


def _numbers(table: Table, chosen: Format) -> np.ndarray:
    if len(table) != 1:
        raise UnsupportedLayerError(
            f"{chosen.name} takes one row of numbers; the table has {len(table)} columns.",
            hint="Give the one column that is meant.",
        )
    return next(iter(table.values()))


def _hash_if_small(path: Path) -> str:
    """Hash what is hashed in no time; the job hashes the rest in the background."""
    if path.is_dir() or path.stat().st_size > _HASHED:
        return ""
    return content_sha256(path)
