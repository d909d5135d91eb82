"""Data of a past job: its inputs as snapshots again, its results compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_tool_runner.errors import UnsupportedLayerError
from napari_tool_runner.exchange.carriers import read_file
from napari_tool_runner.exchange.handover import open_file
from napari_tool_runner.exchange.model import Geometry, LayerSnapshot, items
from napari_tool_runner.tools.formats import FORMATS, Carrier, Format
from napari_tool_runner.tools.model import DataParameter, LayerKind

if TYPE_CHECKING:
    from napari_tool_runner.exchange.model import ArrayLike

__all__ = ["geometry_record", "open_snapshot", "same_data", "snapshot_from_record"]

_BLOCK = 2**24  # values compared at a time


def geometry_record(snap: LayerSnapshot) -> dict[str, object]:
    """Return, in JSON types, what a file may not carry of a layer."""
    geometry = snap.geometry
    return {
        "kind": snap.kind.value,
        "rgb": snap.rgb,
        "axes": geometry.axes,
        "shape": list(geometry.shape),
        "scale": list(geometry.scale),
        "translate": list(geometry.translate),
        "linear": None if geometry.linear is None else geometry.linear.tolist(),
        "affine": None if geometry.affine is None else geometry.affine.tolist(),
        "units": list(geometry.units),
        "labels": list(geometry.labels),
    }


def snapshot_from_record(
    path: Path, name: str, told: Mapping[str, object] | None
) -> LayerSnapshot:
    """Return the snapshot of a recorded input: the file, and where the layer lay.

    Parameters
    ----------
    path : Path
        The job's own copy of the input, in the format that the tool took.
    told : mapping or None
        What `geometry_record` returned then.
    """
    if told is None:
        return LayerSnapshot(None, LayerKind.ANY, name, Geometry(""), path=path, source=str(path))

    def matrix(key: str) -> np.ndarray | None:
        return None if told.get(key) is None else np.asarray(told[key], dtype=float)

    def row(key: str) -> tuple[float, ...]:
        return tuple(float(str(v)) for v in items(told.get(key, ())))

    geometry = Geometry(
        axes=str(told.get("axes", "")),
        shape=tuple(int(v) for v in row("shape")),
        scale=row("scale"),
        translate=row("translate"),
        linear=matrix("linear"),
        affine=matrix("affine"),
        units=tuple(str(v) for v in items(told.get("units", ()))),
        labels=tuple(str(v) for v in items(told.get("labels", ()))),
    )
    return LayerSnapshot(
        data=None,
        kind=LayerKind(str(told.get("kind", "any"))),
        name=name,
        geometry=geometry,
        rgb=bool(told.get("rgb", False)),
        path=path,
        source=str(path),
    )


def open_snapshot(snap: LayerSnapshot) -> LayerSnapshot:
    """Return a snapshot of a file with its data, lazy where the format allows.

    A geometry that the snapshot had (from a record) counts more than the file's. What
    no carrier can read stays a file.
    """
    if snap.data is not None or snap.path is None:
        return snap
    try:
        found = open_file(snap, DataParameter(name="", kinds=(snap.kind,)), [])
    except UnsupportedLayerError:
        return snap
    if not snap.geometry.axes:
        return found
    return replace(found, geometry=snap.geometry, name=snap.name, kind=snap.kind, rgb=snap.rgb)


def same_data(before: Path, now: Path, fmt: str) -> str:
    """Say how the pixels or cells of two files differ; empty when they are equal.

    Raises
    ------
    OutputError
        One of them cannot be read.
    """
    named = FORMATS.get(fmt)
    known = named if named is not None and _is_read(named) else _by_name(now)
    if known is None or not _is_read(known):
        return "the bytes differ, and this format cannot be looked into"
    old, new = (read_file(path, known, name=path.stem) for path in (before, now))
    if isinstance(old.data, dict) and isinstance(new.data, dict):
        return _table_difference(old.table, new.table)
    if hasattr(old.data, "shape") and hasattr(new.data, "shape"):
        return _pixel_difference(old.pixels, new.pixels)
    return "the bytes differ"


def _is_read(known: Format) -> bool:
    return known.carrier not in (Carrier.OPAQUE, Carrier.UNKNOWN)


def _by_name(path: Path) -> Format | None:
    return next(iter(FORMATS.of_file(path.name)), None)


def _table_difference(old: dict[str, np.ndarray], new: dict[str, np.ndarray]) -> str:
    if list(old) != list(new):
        return f"the columns were {', '.join(old)} and are {', '.join(new)}"
    for name, column in old.items():
        if len(column) != len(new[name]):
            return f"there were {len(column)} rows, now {len(new[name])}"
        same = (
            np.array_equal(column, new[name], equal_nan=True)
            if column.dtype.kind == "f"
            else np.array_equal(column, new[name])
        )
        if not same:
            return f"the column “{name}” has other values"
    return ""


def _pixel_difference(old: ArrayLike, new: ArrayLike) -> str:
    if tuple(old.shape) != tuple(new.shape):
        return f"the shape was {tuple(old.shape)} and is {tuple(new.shape)}"
    if old.dtype != new.dtype:
        return f"the type was {old.dtype} and is {new.dtype}"
    different, total = 0, int(np.prod(old.shape))
    thick = 1 if len(old.shape) > 2 and total > _BLOCK else max(old.shape[0], 1)
    for start in range(0, old.shape[0], thick):
        place = (slice(start, start + thick),)
        a, b = np.asarray(old[place]), np.asarray(new[place])
        equal = (a == b) | ((a != a) & (b != b))  # NaN is equal to NaN here
        different += int(a.size - np.count_nonzero(equal))
    return f"{different} of {total} pixels differ" if different else ""
