"""Writing a snapshot into the file that an input takes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner._lazy import np
from napari_tool_runner.data_classes import dataclass, replace
from napari_tool_runner.errors import ExchangeError, UnsupportedLayerError
from napari_tool_runner.exchange.axes import in_words
from napari_tool_runner.exchange.blocks import rearranged_pixels, transposed
from napari_tool_runner.exchange.carriers import in_file_order, write_geometry
from napari_tool_runner.exchange.carriers.arrays import write_matrix
from napari_tool_runner.exchange.carriers.tables import rewrite_table, write_table
from napari_tool_runner.exchange.coordinates import (
    moved,
    points_table,
    shapes_table,
    tracks_table,
    vectors_table,
)
from napari_tool_runner.exchange.dimensions import refused_axes, taken_dimensions, wanted_axes
from napari_tool_runner.exchange.drawing import grid_along, shapes_as_labels
from napari_tool_runner.exchange.files import lent_original, place_file, whole_file
from napari_tool_runner.exchange.geometry import convert_coordinates, is_sheared, select
from napari_tool_runner.exchange.handover import HandOver, plan
from napari_tool_runner.exchange.knowing import with_known_sizes
from napari_tool_runner.exchange.model import (
    PIXELS,
    ArrayLike,
    Geometry,
    LayerSnapshot,
    Pixels,
    Progress,
    Table,
    items,
)
from napari_tool_runner.exchange.parts import along_image, coordinates_in_file_order
from napari_tool_runner.exchange.placing import located
from napari_tool_runner.exchange.refusing import refused
from napari_tool_runner.exchange.sharing import as_its_file, known_sha256, write_once
from napari_tool_runner.exchange.wanted import (
    is_read,
    lying_apart,
    misfits,
    sizes_in_words,
    with_columns,
)
from napari_tool_runner.sealed import content_sha256
from napari_tool_runner.tools.formats import FORMATS, Carrier, Format, Formats, Trait
from napari_tool_runner.tools.model import DataParameter, LayerKind

if TYPE_CHECKING:
    from napari_tool_runner.tools.dialect import DataFile

__all__ = ["Exported", "export"]

_HASHED = 16 * 2**20
"""Bytes: what is copied is hashed before a program could change it."""
_PLACED = {*LayerKind} - {*PIXELS, LayerKind.TABLE, LayerKind.ANY}


@dataclass(frozen=True, slots=True)
class Exported:
    """A snapshot as a file. `copied` is False when the original file is passed as it is.

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
    lend: Path | None = None,
) -> Exported:
    """Write `snap` into `folder` as `plan` says.

    `formats`: those of the tool. `reference`: the image whose pixel grid coordinates are
    converted to, when the transforms of the two layers differ. `progress`: called with
    the bytes done and in all while pixels are written; what it raises (a cancel) ends the
    writing and leaves no file. `lend`: the program may be shown files read-only, so large
    originals are not copied (`place_file`), and large arrays written once for all jobs: this
    is the folder where the job keeps those, which no program sees.

    Raises
    ------
    UnsupportedLayerError, LossyConversionError, ExchangeError
    """
    _make(folder)
    sized = snap.remarks
    if snap.kind in PIXELS:  # coordinates are laid on their image first
        snap, sized = with_known_sizes(snap)
        snap = snap if lend is None else as_its_file(snap)
    hand = plan(snap, parameter, formats)
    _pass_pixels(snap, hand, parameter)
    file = hand.file(folder)
    notes = [*sized, *hand.remarks, *misfits(snap, hand.held, parameter, formats)]
    metadata = dict[str, object]()
    unseen = reference is not None and not reference.geometry.axes  # a file
    if reference and (is_read(hand.snap) or (unseen and hand.snap.kind in _PLACED)):
        reference = located(with_known_sizes(reference)[0], formats)
    grid = reference.geometry if reference else None
    hand = replace(hand, snap=with_columns(hand.snap, grid, notes))
    if hand.original is not None:
        place_file(hand.original, file.path, lend=lend is not None)
    else:
        with whole_file(file.path, snap.name):
            written = partial(write_once, kept=lend, progress=progress)
            metadata = _write(hand, file.path, parameter, reference, written, notes)
    if reference is not None:
        notes += lying_apart(snap, hand.held, with_known_sizes(reference)[0], formats)
    if snap.kind in PIXELS and is_sheared(snap.geometry):
        notes.append(
            f"“{snap.name}” is sheared: the tool is given its pixels as if they were not."
        )
    if snap.geometry.axes:  # a layer, not a file whose kind nobody knows
        metadata["layer"] = snap.kind.value
    if source := str(hand.original or snap.source):
        metadata["source"] = source
    # The job hashes in the background what takes time.
    small = file.path.is_file() and file.path.stat().st_size <= _HASHED
    sha256 = content_sha256(file.path) if small else known_sha256(lent_original(file.path))
    return Exported(replace(file, metadata=metadata), hand.original is None, tuple(notes), sha256)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExchangeError(
            f"The folder {folder} cannot be made: {error.strerror or error}.",
            hint="Check the rights of the workspace folder.",
        ) from error


def _write(
    hand: HandOver,
    path: Path,
    parameter: DataParameter,
    reference: LayerSnapshot | None,
    written: Callable[[Pixels, Format, Path], list[str]],
    notes: list[str],
) -> dict[str, object]:
    """Write what was planned; return what the program may be told of the file."""
    snap, chosen = hand.snap, hand.format
    if snap.kind is LayerKind.SHAPES and hand.kind is LayerKind.LABELS:
        snap = shapes_as_labels(snap, reference, notes)
    is_image, own = snap.kind in PIXELS, snap.geometry
    refused = refused_axes(parameter, snap.name, own, pixels=is_image)
    if refused and hand.kind is not LayerKind.TABLE:
        many = is_image and own.ndim > min(taken_dimensions(parameter), default=own.ndim)
        raise UnsupportedLayerError(
            refused, hint="Run it on a slice, or on each slice." if many else ""
        )
    snap = replace(snap, kind=hand.kind)
    if snap.kind in PIXELS:
        pixels = in_file_order(_as_pixels(snap, parameter), chosen)
        notes += written(pixels, chosen, path)
        return {
            "axes": pixels.axes,
            "shape": [int(s) for s in pixels.array.shape],
            "dtype": str(pixels.array.dtype),
        }
    if snap.kind is LayerKind.TABLE:
        separator = snap.attributes.get("separator")
        if not isinstance(separator, str) or chosen.carrier is not Carrier.TABLE:
            return _write_rows(snap.table, chosen, path, notes)
        tabs, source = Trait.TABS in chosen.traits, Path(snap.source)
        notes += rewrite_table(source, separator, path, tabs=tabs)
        return {"columns": len(snap.table), "column_names": list(snap.table)}
    snap, said = with_known_sizes(_in_pixels_of(snap, reference, notes))
    notes += said[len(snap.remarks) :]
    snap, axes = coordinates_in_file_order(snap, reference)
    told: dict[str, object] = {"sizes": sizes_in_words(snap.geometry), "axes": axes}
    if chosen.carrier is Carrier.TABLE:
        rows = _rows(snap, positions=Trait.POSITIONS in chosen.traits)
        return told | _write_rows(rows, chosen, path, notes)
    notes += write_geometry(snap, chosen, path)
    return told


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


def _pass_pixels(snap: LayerSnapshot, hand: HandOver, parameter: DataParameter) -> None:
    """Refuse pixels that the tool cannot work on.

    Raises
    ------
    UnsupportedLayerError
    """
    if snap.kind not in (*PIXELS, LayerKind.ANY):
        return
    held = hand.held
    data = None if held is None else held.data
    first = data[0] if isinstance(data, list) and data else data
    array = first if isinstance(first, ArrayLike) else None
    kind = LayerKind.IMAGE if snap.kind is LayerKind.ANY else snap.kind  # of a file
    rgb = held is not None and held.rgb
    if text := refused(parameter, kind, array, snap.name, rgb=rgb, whole=True):
        raise UnsupportedLayerError(text, hint="“Colour to grey” makes it." if rgb else "")


def _write_rows(
    table: Table | np.ndarray, chosen: Format, path: Path, notes: list[str]
) -> dict[str, object]:
    """Write columns, or a bare array that was given for a table."""
    tabs = Trait.TABS in chosen.traits
    if isinstance(table, dict) and chosen.carrier is Carrier.TABLE:
        notes += [f"{path.name}: {n}" for n in write_table(table, path, tabs=tabs)]
        return {"columns": len(table), "column_names": list(table)}
    if isinstance(table, dict) and len(table) != 1:
        told = f"{chosen.name} takes one row of numbers; the table has {len(table)} columns."
        raise UnsupportedLayerError(told, hint="Give the one column that is meant.")
    values = np.asarray(next(iter(table.values())) if isinstance(table, dict) else table)
    if chosen.carrier is Carrier.NUMBER and values.size != 1:
        raise UnsupportedLayerError(f"{chosen.name} takes one number; there are {values.size}.")
    write_matrix(values, path, tabs=tabs)
    return {"columns": int(np.atleast_2d(values).shape[1])}


def _as_pixels(snap: LayerSnapshot, parameter: DataParameter) -> Pixels:
    """Return the full-resolution pixels with the axes that `parameter` wants.

    Raises
    ------
    UnsupportedLayerError
        Other axes than the tool takes.
    """
    array = snap.pixels
    geometry = snap.geometry
    name = parameter.label or parameter.name
    if parameter.ndim and geometry.ndim not in parameter.ndim:
        array, geometry = _without_singletons(array, geometry, max(parameter.ndim))
    wanted = wanted_axes(parameter, geometry)
    if wanted and wanted != geometry.axes:
        if not geometry.labels and len(wanted) == geometry.ndim:
            # Nobody named the axes: they are what the tool takes them for.
            geometry = replace(geometry, axes=wanted)
        elif sorted(wanted) == sorted(geometry.axes):
            order = [geometry.axes.index(axis) for axis in wanted]
            geometry = select(geometry, order)[0]
            array = transposed(array, [*order, len(order)] if snap.rgb else order)
        else:
            raise UnsupportedLayerError(
                f"“{snap.name}” has the axes {geometry.axes}; “{name}” takes {wanted}.",
                hint="Run it on a slice, or name the layer's axes.",
            )
    channels = snap.attributes.get("channel_names", ())
    metadata = snap.attributes.get("metadata")
    if not channels and isinstance(metadata, dict):
        channels = metadata.get("channel_names", ())
    names = tuple(str(c) for c in items(channels or ()))
    fits = "C" in geometry.axes and len(names) == geometry.shape[geometry.axes.index("C")]
    return Pixels(
        array,
        geometry,
        snap.name,
        rgb=snap.rgb,
        labels=snap.kind is LayerKind.LABELS,
        channel_names=names if fits else (),
    )


def _without_singletons(
    array: ArrayLike, geometry: Geometry, ndim: int
) -> tuple[ArrayLike, Geometry]:
    """Drop leading axes of size 1 until there are `ndim`; results get them back."""
    surplus = geometry.ndim - ndim
    single = [i for i, size in enumerate(geometry.shape) if size == 1][:surplus]
    keep = [i for i in range(geometry.ndim) if i not in single]
    return rearranged_pixels(array, keep), select(geometry, keep)[0]


def _in_pixels_of(
    snap: LayerSnapshot, reference: LayerSnapshot | None, notes: list[str]
) -> LayerSnapshot:
    """Convert coordinates to the pixel grid of the image that goes with them."""
    free = reference is snap or snap.kind not in _PLACED
    if reference is None or free or not reference.geometry.axes:
        return snap
    source, (target, there) = snap.geometry, along_image(snap, reference)
    grid = grid_along(snap, reference, notes)
    if apart := [source.axes[i] for i, place in enumerate(there) if place < 0]:
        notes.append(
            f"“{snap.name}” has {in_words(source.axes)}, “{reference.name}” has "
            f"{in_words(reference.geometry.axes)}: {in_words(apart)} of the first is none of "
            "the other's."
        )
    if reference.behind is not None:
        known = along_image(snap, with_known_sizes(reference)[0])[0]
        snap = replace(snap, behind=replace(known, shape=()))
    trial = np.vstack([np.zeros(source.ndim), np.eye(source.ndim) * 100])
    if np.allclose(convert_coordinates(trial, source, grid), trial, atol=1e-6):
        return snap

    def rows(points: np.ndarray) -> np.ndarray:
        if points.ndim == 2:
            return convert_coordinates(points, source, grid)
        starts, ends = rows(points[:, 0]), rows(points[:, 0] + points[:, 1])  # vectors
        return np.stack([starts, ends - starts], axis=1)

    data = moved(snap.data, snap.kind, rows)
    notes.append(f"“{snap.name}” was converted to the pixels of “{reference.name}”.")
    return replace(snap, data=data, geometry=replace(target, shape=()))
