"""What an input wants beside a format: objects, not intensities; the columns of a layer.

Objects and intensities are both whole numbers. Objects are told by their neighbours: within
one, all are the same, and no other has its number.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_tool_runner._lazy import np
from napari_tool_runner.errors import OutputError
from napari_tool_runner.exchange.blocks import middle_plane
from napari_tool_runner.exchange.carriers import read_file
from napari_tool_runner.exchange.carriers.tables import own_columns
from napari_tool_runner.exchange.coordinates import coordinate_data, in_pixels, table_kinds
from napari_tool_runner.exchange.geometry import (
    data_to_world,
    pixels_to_pixels,
    plain_geometry,
    same_place,
    select,
)
from napari_tool_runner.exchange.model import ArrayLike, Content, ShapeList, SurfaceData
from napari_tool_runner.exchange.placing import located, place_coordinates, referred
from napari_tool_runner.exchange.units import conversion, dimension
from napari_tool_runner.tools.formats import Carrier, Format
from napari_tool_runner.tools.hints import is_picture
from napari_tool_runner.tools.model import LayerKind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_tool_runner.exchange.model import Geometry, LayerSnapshot
    from napari_tool_runner.tools.formats import Formats
    from napari_tool_runner.tools.model import DataOutput, DataParameter

__all__ = [
    "as_its_reference",
    "coordinate_kind",
    "in_other_columns",
    "is_bright",
    "is_patchy",
    "is_read",
    "lying_apart",
    "misfit",
    "misfits",
    "moments",
    "shared_axes",
    "sized_as",
    "sizes_in_words",
    "wants_objects",
    "with_columns",
]

_NEAR = 0.05  # of a frame
_STEP = "differ in the time from frame to frame"
_FEW, _ENOUGH = 100, 1000  # pixels of a sample that are not 0


def in_other_columns(
    path: Path, given: Format, parameter: DataParameter, remarks: list[str]
) -> Content | None:
    """Return a table of coordinates whose columns are not those that layers are given with.

    None where the input takes more than points and tracks, or where no column says where
    something lies: then the file goes as it is; `remarks` say so where it cannot be read.
    """
    if given.carrier is not Carrier.TABLE or not _only_coordinates(parameter):
        return None
    if not path.is_file():
        return None
    if own := own_columns(path):
        kind = LayerKind.TRACKS if own[0].name == "T" else LayerKind.POINTS
        if kind in parameter.kinds:
            return None
    try:
        content = read_file(path, given, name=path.name)
    except OutputError as error:
        remarks.append(f"{path.name} was given to the tool as it is: {error.message}")
        return None
    if not coordinate_kind(content, parameter):
        return None
    remarks.append(f"{path.name} was written with the columns that layers are given with.")
    return content


def coordinate_kind(content: Content, parameter: DataParameter) -> LayerKind | None:
    """Return as what coordinates a table goes into an input that takes only those."""
    if not isinstance(content.data, dict) or not _only_coordinates(parameter):
        return None
    possible = table_kinds(content.table, header=content.header)
    return next((kind for kind in parameter.kinds if kind in possible), None)


def _only_coordinates(parameter: DataParameter) -> bool:
    return set() < set(parameter.kinds) <= {LayerKind.POINTS, LayerKind.TRACKS}


def is_read(snap: LayerSnapshot) -> bool:
    """Whether this is a table whose columns become a layer when it is written."""
    return isinstance(snap.attributes.get("content"), Content)


def with_columns(snap: LayerSnapshot, grid: Geometry | None, notes: list[str]) -> LayerSnapshot:
    """Return points or tracks of a table of others in the pixels of `grid`; others as is."""
    content = snap.attributes.get("content")
    if not isinstance(content, Content):
        return snap
    grid = grid if grid is not None and grid.axes else None
    notes += content.notes
    found = coordinate_data(content, snap.kind, notes, flat=grid is not None and grid.flat)
    geometry = place_coordinates(found.axes, found.ndim, grid)[0]
    data, geometry = in_pixels(found, geometry, notes, placed=grid is not None)
    if found.names:
        notes.append(f"Its coordinates are the columns {', '.join(found.names)}.")
    lengths = sorted({unit for unit in geometry.units if dimension(unit)})
    if grid is None and lengths:
        notes.append(
            f"“{snap.name}” is in {', '.join(lengths)}, and no image says how large a pixel or "
            "how long a frame is: the tool was given its numbers as they are."
        )
    return replace(snap, data=data, geometry=geometry, attributes={"features": found.features})


def wants_objects(parameter: DataParameter) -> bool:
    """Whether an input takes objects before anything else."""
    return parameter.kinds[:1] == (LayerKind.LABELS,)


def misfit(
    parameter: DataParameter, kind: LayerKind, array: ArrayLike | None, name: str, *, rgb: bool
) -> str:
    """Return a sentence when a layer of `kind` is hardly what `parameter` is for, else none.

    Parameters
    ----------
    array : ArrayLike or None
        The pixels, of which a sample is looked at; None: they are not looked at.
    """
    if kind is LayerKind.IMAGE and wants_objects(parameter) and array is not None and not rgb:
        if is_bright(array):
            return f"“{name}” looks like intensities, not objects: threshold it first."
    elif kind is LayerKind.LABELS and parameter.kinds == (LayerKind.IMAGE,):
        return f"“{name}” holds objects: their numbers are taken for intensities."
    return ""


def misfits(
    snap: LayerSnapshot,
    held: LayerSnapshot | Content | None,
    parameter: DataParameter,
    formats: Formats,
) -> list[str]:
    """Return what `misfit` says of an input, of a file by what it holds.

    `held`: what the file of `snap` was found to hold; None: nobody has looked.
    """
    path, kind, found = snap.path, snap.kind, snap if snap.data is not None else held
    known = formats.of_file(path.name) if path is not None and snap.data is None else ()
    if path is not None and known and LayerKind.IMAGE in known[0].kinds:
        if not wants_objects(parameter):
            return []
        kind = LayerKind.IMAGE
        try:
            found = found or read_file(path, known[0], name=snap.name)
        except OutputError:
            return []  # the tool may read it, or says what is wrong
    data = None if found is None else found.data
    pixels = data[0] if isinstance(data, list) and data else data
    array = pixels if isinstance(pixels, ArrayLike) else None
    text = misfit(parameter, kind, array, snap.name, rgb=found is not None and found.rgb)
    return [text] if text else []


def lying_apart(
    snap: LayerSnapshot,
    held: LayerSnapshot | Content | None,
    reference: LayerSnapshot,
    formats: Formats,
    *,
    advice: bool = True,
) -> list[str]:
    """Return a sentence when the pixels of two images do not lie on each other, else none.

    A file that says no pixel size is taken to have that of the other, and one that says no time
    to have its moments: then only what else is told of the place counts. `held`: as of `misfits`;
    `advice`: what to do follows.
    """
    found = snap if snap.data is not None or held is None else held
    if found.geometry is None or not found.geometry.axes:
        found = located(snap, formats)
    other = located(reference, formats)
    if found.geometry is None or not (found.geometry.shape and other.geometry.shape):
        return []
    both = (found.geometry, other.geometry)
    if snap.data is None or reference.data is None:
        both = (sized_as(*both), sized_as(*both[::-1]))
    how = [*_how_apart(*both), *_apart_in_time(*both)]
    if not how:
        return []
    told = (
        f"“{snap.name}” and “{reference.name}” {' and '.join(how)}; the tool is given the pixels"
    )
    hint = (
        " Unless the tool brings them together itself (as “Register two images” does), “Resample "
        "onto” in the form, or `resample_onto`, brings one onto those of the other."
    )
    return [f"{told} of both as they are.{hint if advice else ''}"]


def sized_as(own: Geometry, other: Geometry) -> Geometry:
    """Return `own` with the steps of `other` in space or time where it says nothing of them."""
    scale, units = list(own.scale), list(own.units)
    for letters in ("ZYX", "T"):
        axes = [i for i, axis in enumerate(own.axes) if axis in letters]
        flat = replace(select(own, axes)[0], translate=(0.0,) * len(axes))
        silent = {*flat.units} == {"pixel"} and same_place(
            flat, plain_geometry((0,) * len(axes), flat.axes)
        )
        for i in axes if silent else ():
            if (k := other.axes.find(own.axes[i])) >= 0:
                scale[i], units[i] = abs(other.scale[k]), other.units[k]
    return replace(own, scale=tuple(scale), units=tuple(units))


def shared_axes(one: Geometry, other: Geometry) -> tuple[list[int], list[int]]:
    """Return which axes of two images are the same axes of space, in the order of the first.

    By their letters; axes of unknown meaning from the last one.
    """
    shared = [axis for axis in one.axes if axis in other.axes and axis in "ZYX"]
    if "Q" in one.axes + other.axes or not {*shared} & {*"YX"}:
        count = min(one.ndim, other.ndim)
        return [*range(one.ndim - count, one.ndim)], [*range(other.ndim - count, other.ndim)]
    return [one.axes.index(axis) for axis in shared], [other.axes.index(axis) for axis in shared]


def moments(one: Geometry, other: Geometry) -> np.ndarray | None:
    """Return at which frame of `one` each frame of `other` is, as (N,) fractions.

    None where they share no axis of time, or one of them is a single frame for all of the other.
    """
    if "T" not in one.axes or "T" not in other.axes:
        return None
    if one.axes.index("T") in shared_axes(one, other)[0]:
        return None
    mine, theirs = (select(g, [g.axes.index("T")])[0] for g in (one, other))
    if not mine.scale[0]:
        return None
    (step, start), _ = pixels_to_pixels(theirs, mine)
    at: np.ndarray = np.round(start + step * np.arange(theirs.shape[0]), 2)
    return None if 1 in mine.shape + theirs.shape and not at[:1].any() else at


def _apart_in_time(one: Geometry, other: Geometry) -> list[str]:
    """Say how the frames of two movies do not belong to each other, nothing when they do."""
    at = moments(one, other)
    if at is None or not at.size:
        return []
    counts = one.shape[one.axes.index("T")], other.shape[other.axes.index("T")]
    if 1 not in counts and abs(at[-1] - at[0] - at.size + 1) > _NEAR:
        return [_STEP]
    apart, how = abs(float(at[0])), list[str]()
    if apart:
        how.append(f"begin {apart:.4g} frame{'s' * (apart != 1)} apart")
    if counts[0] != counts[1] and 1 not in counts:
        how.append(f"have {counts[0]} and {counts[1]} frames")
    return how


def _how_apart(one: Geometry, other: Geometry) -> list[str]:
    """Say how the pixels of two images do not lie on each other, nothing when they do."""
    axes = shared_axes(one, other)
    mine, theirs = (select(g, kept)[0] for g, kept in zip((one, other), axes, strict=True))
    if same_place(mine, theirs, within=0.01):
        return []
    units = map(conversion, mine.units, theirs.units)
    sizes = [abs(size * factor) for size, factor in zip(mine.scale, units, strict=True)]
    if not np.allclose(sizes, np.abs(theirs.scale), atol=0):
        return ["differ in pixel size"]
    turns = (np.linalg.det(data_to_world(g)[:-1, :-1]) for g in (mine, theirs))
    return ["are mirrored" if np.prod([*turns]) < 0 else "lie at different places"]


def sizes_in_words(geometry: Geometry) -> str:
    """Return how large a pixel is along each axis: ``1s,2um,0.5um,0.5um``; empty: nobody says.

    Lengths are in micrometres, times in seconds, others in ``px`` of unknown size.
    """
    usual = {"length": ("micrometer", "um"), "time": ("second", "s")}
    told = [
        (abs(size) * conversion(unit, usual.get(dimension(unit), (unit, ""))[0]), dimension(unit))
        for size, unit in zip(geometry.scale, geometry.units, strict=False)
    ]
    if all(size == 1 and not what for size, what in told):
        return ""
    return ",".join(f"{size:.12g}{usual.get(what, ('', 'px'))[1]}" for size, what in told)


def as_its_reference(
    content: Content, output: DataOutput, inputs: Mapping[str, LayerSnapshot]
) -> LayerKind | None:
    """Return labels for whole numbers of which nobody says more than that objects went in."""
    if output.kind is not None or is_picture(output.name, output.label):
        return None
    source = referred(output, inputs)
    if source is None or source.kind is not LayerKind.LABELS:
        return None
    if isinstance(content.data, SurfaceData | ShapeList | dict) or content.rgb:
        return None
    array = content.pixels
    if array.dtype.kind not in "iu":
        return None
    # many small objects look like brightness, but that hardly comes in 32 bits
    return LayerKind.LABELS if array.dtype.itemsize >= 4 or not is_bright(array) else None


def is_bright(array: ArrayLike) -> bool:
    """Whether pixels look like brightness, in at most five parts of 512 × 512.

    The middle is looked at, and other places where it is nearly empty.
    """
    for at in (0.5, 0.25, 0.75, 0.0, 1.0):
        plane = np.atleast_2d(middle_plane(array, at))
        if plane.dtype.kind not in "iuf" or plane.ndim > 2:
            return False
        if _bright_plane(plane):
            return True
        if np.count_nonzero(plane) > _ENOUGH:
            break
    return False


def _bright_plane(plane: np.ndarray) -> bool:
    """Whether neighbours differ, or values come again in bits all over, as in no objects.

    The bundled scripts do the same.
    """
    there = (plane != 0) & np.isfinite(plane)
    values, count = np.unique(plane[there]), np.count_nonzero(there)
    if count <= _FEW or values.size < 2:
        return False
    across, down = there[:, 1:] & there[:, :-1], there[1:] & there[:-1]
    same_x, same_y = across & (plane[:, 1:] == plane[:, :-1]), down & (plane[1:] == plane[:-1])
    squares = same_x[1:] & same_x[:-1] & same_y[:, 1:]
    # pieces of one value, by Euler's formula: an object is one, a grey value many small ones
    pieces = max(1, int(count - same_x.sum() - same_y.sum() + squares.sum()))
    again, size, few = pieces / values.size, count / pieces, values.size < 10
    differ = 1 - same_x.sum() / max(1, across.sum())
    bits = (again > 8 and size < (4 if few else 50)) or (again > 1.5 and size < 2)
    fractions = plane.dtype.kind == "f" and values.size > 2 and (values % 1).any()
    # where a smooth picture changes, it is by one, and each value lies beside the next one
    sides = (
        (plane[:, 1:], plane[:, :-1], across & ~same_x),
        (plane[1:], plane[:-1], down & ~same_y),
    )
    lower, upper = (
        np.concatenate([pick(one, two)[where] for one, two, where in sides])
        for pick in (np.minimum, np.maximum)
    )
    steps = lower[upper - lower == 1]
    smooth = values.size > 15 and len(steps) > max(_FEW, 0.95 * len(lower))
    smooth = smooth and np.unique(steps).size > 0.95 * (values.size - 1)
    return bool(
        (differ > 0.5 and across.sum() > _FEW)
        or (bits and (differ > 0.01 or few))
        or fractions
        or smooth
    )


def is_patchy(sample: np.ndarray) -> bool:
    """Whether nearly every pixel equals its neighbour and there are several values."""
    if sample.ndim < 2 or min(sample.shape[-2:]) < 4:
        return False
    same = sample[..., 1:] == sample[..., :-1]
    return bool(same.mean() > 0.8 and sample.min() != sample.max())
