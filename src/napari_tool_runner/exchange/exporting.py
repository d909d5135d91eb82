"""Writing a snapshot into the file that an input takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_tool_runner.errors import ExchangeError, UnsupportedLayerError
from napari_tool_runner.exchange.carriers import write_geometry, write_pixels
from napari_tool_runner.exchange.carriers.tables import write_matrix, write_table
from napari_tool_runner.exchange.conversion import (
    as_pixels,
    check_ndim,
    in_pixels_of,
    shapes_as_labels,
)
from napari_tool_runner.exchange.coordinates import (
    points_table,
    shapes_table,
    tracks_table,
    vectors_table,
)
from napari_tool_runner.exchange.files import place_file, whole_file
from napari_tool_runner.exchange.handover import HandOver, plan
from napari_tool_runner.exchange.model import PIXELS, LayerSnapshot, Progress, Table
from napari_tool_runner.storage import content_sha256
from napari_tool_runner.tools.formats import FORMATS, Carrier, Format, Formats, Trait
from napari_tool_runner.tools.model import DataParameter, LayerKind

if TYPE_CHECKING:
    from napari_tool_runner.tools.dialect import DataFile

__all__ = ["Exported", "export"]

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
    formats: Formats = FORMATS,
    reference: LayerSnapshot | None = None,
    progress: Progress | None = None,
) -> Exported:
    """Write `snap` into `folder` as `plan` says.

    `formats`: those of the tool. `reference`: the image whose pixel grid coordinates are
    converted to, when the transforms of the two layers differ. `progress`: called with
    the bytes done and in all while pixels are written; what it raises (a cancel) ends the
    writing and leaves no file.

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
    hand = plan(snap, parameter, formats)
    file = hand.file(folder)
    if hand.original is not None:
        copied = place_file(hand.original, file.path)
        file = replace(file, metadata={"source": str(hand.original)})
        return Exported(file, copied, hand.remarks, _hash_if_small(file.path))
    notes = list(hand.remarks)
    with whole_file(file.path, snap.name):
        metadata = _write(hand, file.path, parameter, reference, progress, notes)
    if snap.source:
        metadata["source"] = snap.source
    file = replace(file, metadata=metadata)
    return Exported(file, True, tuple(notes), _hash_if_small(file.path))


def _write(
    hand: HandOver,
    path: Path,
    parameter: DataParameter,
    reference: LayerSnapshot | None,
    progress: Progress | None,
    notes: list[str],
) -> dict[str, object]:
    """Write what was planned; return what the program may be told of the file."""
    snap, chosen = hand.snap, hand.format
    if snap.kind is LayerKind.SHAPES and hand.kind is LayerKind.LABELS:
        snap = shapes_as_labels(snap, reference, notes)
    check_ndim(snap, parameter, hand.kind)
    snap = replace(snap, kind=hand.kind)
    if snap.kind in PIXELS:
        pixels = as_pixels(snap, parameter)
        notes += write_pixels(pixels, chosen, path, progress=progress)
        return {
            "axes": pixels.axes,
            "shape": [int(s) for s in pixels.array.shape],
            "dtype": str(pixels.array.dtype),
        }
    if snap.kind is LayerKind.TABLE:
        return _write_rows(snap.table, chosen, path)
    snap = in_pixels_of(snap, reference, notes)
    if chosen.carrier is Carrier.TABLE:
        return _write_rows(_rows(snap, positions=Trait.POSITIONS in chosen.traits), chosen, path)
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
            return shapes_table(snap.parts, snap.shape_types, features)


def _write_rows(table: Table | np.ndarray, chosen: Format, path: Path) -> dict[str, object]:
    """Write columns, or a bare array that somebody gave for a table."""
    tabs = Trait.TABS in chosen.traits
    if isinstance(table, dict) and chosen.carrier is Carrier.TABLE:
        write_table(table, path, tabs=tabs)
        return {"columns": len(table), "column_names": list(table)}
    values = _numbers(table, chosen) if isinstance(table, dict) else np.asarray(table)
    if chosen.carrier is Carrier.NUMBER and values.size != 1:
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
