"""Putting an output where its input lies: the geometry of results.

With a reference (the input whose geometry an output takes):

- same axes and sizes: everything is taken over;
- fewer axes: those that remain, matched by their letters when the file names them,
  else by sizes from the last axis;
- another size along a spatial axis: a resized image; the pixel size is scaled by the
  ratio and the first pixel moved by half the difference, so that the outer edges of
  both images coincide. When the file states the input's own pixel size, it is a crop
  at the same pixel size instead, placed at the origin of the input;
- more axes: the new ones start at 0 with step 1.

A file has its axes in another order than some layers: what comes back is put into the order
of the layer.

Without one, what the file itself says counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_tool_runner._lazy import np
from napari_tool_runner.errors import OutputError
from napari_tool_runner.exchange.blocks import middle_plane, transposed
from napari_tool_runner.exchange.carriers import read_file
from napari_tool_runner.exchange.geometry import for_file, plain_geometry, select
from napari_tool_runner.exchange.knowing import with_known_sizes
from napari_tool_runner.exchange.model import (
    PIXEL_SIZE,
    PIXELS,
    ArrayLike,
    Content,
    Geometry,
    LayerSnapshot,
    items,
)
from napari_tool_runner.exchange.parts import (
    along_image,
    counterparts,
    file_axes,
    matched_axes,
    resized,
    spread,
    subsequence,
)
from napari_tool_runner.exchange.units import conversion
from napari_tool_runner.tools.formats import Carrier, Formats
from napari_tool_runner.tools.model import LayerKind

if TYPE_CHECKING:
    from napari_tool_runner.tools.model import DataOutput

__all__ = [
    "along_input",
    "as_stack",
    "carried",
    "dropped_axes",
    "handed",
    "in_layer_order",
    "located",
    "looks_like",
    "place_coordinates",
    "place_pixels",
    "reference_of_coordinates",
    "reference_of_pixels",
    "referred",
]


def as_stack(content: Content, inputs: Mapping[str, LayerSnapshot], formats: Formats) -> Content:
    """Return planes that a TIFF tells as red, green and blue as the stack that went in.

    Plain TIFF writers mark three or four planes so, whatever they are. It is no colour when
    an input that is none has the shape of those planes.
    """
    position = content.attributes.get("samples")
    if not isinstance(position, int):
        return content
    shape = list(content.pixels.shape)
    shape.insert(position, shape.pop())
    long = [size for size in shape if size != 1]  # axes of one step come and go
    if not any(
        not snap.rgb
        and (geometry := _geometry(snap, formats))
        and [size for size in geometry.shape if size != 1] == long
        for snap in inputs.values()
    ):
        return content
    order = list(range(len(shape) - 1))
    order.insert(position, len(order))
    stack = transposed(content.pixels, order)
    return replace(
        content, data=stack, geometry=plain_geometry(shape), rgb=False, multiscale=False
    )


def reference_of_pixels(
    own: Geometry,
    output: DataOutput,
    inputs: Mapping[str, LayerSnapshot],
    notes: list[str],
    *,
    formats: Formats,
    calibrated: bool,
) -> tuple[LayerSnapshot | None, Geometry | None]:
    """Return the input whose geometry an image takes, and that geometry, as of its file."""
    snap, geometry = _declared_reference(output, inputs, notes, formats)
    if snap is not None:
        return snap, geometry
    known = _lenders(inputs, formats)
    ranked = [(_closeness(own, geometry), snap, geometry) for snap, geometry in known]
    best = max((score for score, _, _ in ranked), default=0)
    if best == 0 or (best == 1 and calibrated):
        return None, None
    return next((snap, geometry) for score, snap, geometry in ranked if score == best)


def reference_of_coordinates(
    output: DataOutput, inputs: Mapping[str, LayerSnapshot], notes: list[str], formats: Formats
) -> tuple[LayerSnapshot | None, Geometry | None]:
    """Return the input whose geometry coordinates take: declared, an image, any layer."""
    snap, declared = _declared_reference(output, inputs, notes, formats)
    if declared is not None:
        return snap, declared
    known = _lenders(inputs, formats)
    images = [(snap, geometry) for snap, geometry in known if geometry.shape]
    return next(iter(images or known), (None, None))


def _lenders(
    inputs: Mapping[str, LayerSnapshot], formats: Formats
) -> list[tuple[LayerSnapshot, Geometry]]:
    asked = ((snap, _geometry(snap, formats)) for snap in inputs.values())
    return [(snap, geometry) for snap, geometry in asked if geometry is not None]


def referred(output: DataOutput, inputs: Mapping[str, LayerSnapshot]) -> LayerSnapshot | None:
    """Return the input that an output names as its reference, None when it was not given."""
    names = (name for name in inputs if output.reference in (name, name.split("|")[-1]))
    return next((inputs[name] for name in names if output.reference), None)


def _declared_reference(
    output: DataOutput, inputs: Mapping[str, LayerSnapshot], notes: list[str], formats: Formats
) -> tuple[LayerSnapshot | None, Geometry | None]:
    snap = referred(output, inputs)
    geometry = None if snap is None else _geometry(snap, formats)
    if geometry is None and output.reference:
        what = "was not given" if snap is None else "has no geometry to take"
        notes.append(f"The reference “{output.reference}” {what}.")
    return (None, None) if geometry is None else (snap, geometry)


def _geometry(snap: LayerSnapshot, formats: Formats) -> Geometry | None:
    """Return the geometry of an input as its file has it; of a file it is read from there.

    None when the input has no pixels (a table, a text file), or is no longer there.
    """
    if snap.geometry.axes or snap.path is None:
        return for_file(snap.geometry)[0] if snap.geometry.axes else None
    known = formats.of_file(snap.path.name)
    if not known or not known[0].readable or known[0].carrier is Carrier.TABLE:
        return None
    try:
        return read_file(snap.path, known[0], name=snap.name).geometry
    except OutputError:
        # The tool could read it though we cannot: it lends no geometry.
        return None


def located(snap: LayerSnapshot, formats: Formats) -> LayerSnapshot:
    """Return a snapshot that says where its pixels lie, as its file has them."""
    geometry = _geometry(snap, formats)
    return snap if geometry is None else replace(snap, geometry=geometry)


def _closeness(own: Geometry, reference: Geometry) -> int:
    """Say how well `reference` can lend its geometry to an image like `own`.

    3: same sizes; 2: the sizes of one are among those of the other, in order (a
    projection, an added axis); 1: the same number of axes (resized); 0: not at all.
    """
    if not reference.shape or not own.shape:
        return 0
    if own.shape == reference.shape:
        return 3
    short, long = sorted((own.shape, reference.shape), key=len)
    # Singleton axes come and go in files.
    short = tuple(size for size in short if size != 1) or short
    if len(short) > 1 and subsequence(short, long):
        return 2
    return 1 if own.ndim == reference.ndim else 0


def place_pixels(
    own: Geometry, reference: Geometry | None, *, calibrated: bool, told: Geometry | None = None
) -> tuple[Geometry, list[int | None], list[str]]:
    """Return the geometry of an output image, whose pixels take its shape, and notes.

    Between the two: for each axis that of the reference, None where it is new.

    Parameters
    ----------
    own : Geometry
        What the file says: axes, sizes, and a scale when `calibrated`.
    reference : Geometry or None
        Of the input; its `shape` must be known.
    told : Geometry or None
        As of `handed`: in the pixel sizes of this the tool wrote.
    """
    if reference is None:
        return (own if own.scale else plain_geometry(own.shape, own.axes)), [], []
    own = _with_singletons(own, reference)
    matched = matched_axes(own, reference)
    if told is not None and calibrated:
        own = _in_steps_of(told, own, reference, matched)
    part, lost = select(reference, [index for index in matched if index is not None])
    order = [i for i, index in enumerate(matched) if index is not None]
    part, size_note = resized(part, own, order, calibrated=calibrated)
    if len(order) < own.ndim:
        steps = own if calibrated else plain_geometry(own.shape, own.axes, (), own.labels)
        part = spread(part, steps, order)
    return replace(part, shape=own.shape), matched, [note for note in (lost, size_note) if note]


def handed(source: LayerSnapshot | None, reference: Geometry | None) -> Geometry | None:
    """Return `reference`, of the file of `source`, with the pixel size that the tool was told.

    None: that is its own; see `with_known_sizes`.
    """
    if source is None or reference is None or source.behind is None:
        return None
    told = for_file(with_known_sizes(source)[0].geometry)[0]
    return told if told.axes == reference.axes else None


def _in_steps_of(
    told: Geometry, own: Geometry, reference: Geometry, matched: Sequence[int | None]
) -> Geometry:
    """Return the pixel sizes of a file, in those of `told`, in those of `reference`."""
    scale, units = list(own.scale), list(own.units)
    for i, k in enumerate(matched):
        if k is not None and (factor := conversion(units[i], told.units[k])):
            scale[i] *= factor / told.scale[k] * abs(reference.scale[k])
            units[i] = reference.units[k]
    return replace(own, scale=tuple(scale), units=tuple(units))


def carried(
    geometry: Geometry,
    matched: Sequence[int | None],
    told: Geometry | None,
    reference: Geometry | None,
    order: Sequence[int] = (),
) -> dict[str, object]:
    """Return what a result that lies as `geometry` remembers of the size of its pixels.

    `told`, `reference`: as of `handed`; `matched`: which of their axes each one is, None for
    new ones; `order`: which of these come, empty: all.
    """
    axes = [matched[i] for i in order] if matched and order else matched
    if told is None or reference is None or len(axes) != geometry.ndim:
        return {}
    scale, units = list(geometry.scale), list(geometry.units)
    for i, k in enumerate(axes):
        if k is not None:
            scale[i] *= told.scale[k] / reference.scale[k]
            units[i] = told.units[k]
    return {PIXEL_SIZE: {"shown": [*geometry.scale], "scale": scale, "units": units}}


def in_layer_order(
    geometry: Geometry, matched: Sequence[int | None], source: LayerSnapshot | None
) -> tuple[Geometry, list[int]]:
    """Return the geometry of a result with the axes in the order of `source`, which it stems from.

    Axes that it lacks come first, so that the others lie on its own; an axis of one
    step that only the file had is left out.

    Parameters
    ----------
    matched : sequence of int or None
        For each axis of `geometry`, that of the file of `source`.

    Returns
    -------
    (Geometry, list of int)
        The axis of `geometry` that each comes from.
    """
    if source is None or not source.geometry.axes or len(matched) != geometry.ndim:
        return geometry, list(range(geometry.ndim))
    order = for_file(source.geometry)[1]
    places = [-2 if index is None else order[index] for index in matched]
    extra = [
        place == -1 and geometry.shape[i : i + 1] in ((), (1,)) for i, place in enumerate(places)
    ]
    kept = sorted((i for i in range(geometry.ndim) if not extra[i]), key=lambda i: places[i])
    return select(geometry, kept)[0], kept


def place_coordinates(
    axes: str, ndim: int, reference: Geometry | None
) -> tuple[Geometry, list[int | None], str]:
    """Return the geometry of points, shapes, tracks or vectors in pixels of `reference`.

    Parameters
    ----------
    axes : str
        Letters of the `ndim` coordinates when they are known, else empty.
    """
    own = plain_geometry((0,) * ndim, axes, labels=axes.lower() if len(axes) == ndim else "")
    if reference is None:
        return own, [], ""
    there = counterparts(replace(own, shape=()), reference)
    if own.labels and set(axes) <= set(reference.axes):
        there = [reference.axes.index(axis) for axis in axes]
    paired = [i for i, place in enumerate(there) if place >= 0]
    part, lost = select(reference, [there[i] for i in paired])
    if len(paired) < ndim:
        part = spread(part, own, paired)
    matched = [place if place >= 0 else None for place in there]
    return replace(part, shape=()), matched, lost


def along_input(
    ndim: int, source: LayerSnapshot | None, inputs: Mapping[str, LayerSnapshot]
) -> tuple[LayerSnapshot, Geometry, list[int | None]] | None:
    """Return the input whose axes coordinates have that were given in the pixels of `source`.

    None where all of them are axes of `source`.

    Returns
    -------
    (LayerSnapshot, Geometry, list): the input, where its coordinates lay as they were given, and
    which axis of it in a file each is.
    """
    if source is None or source.kind not in PIXELS or not source.geometry.axes:
        return None
    kinds = (LayerKind.POINTS, LayerKind.SHAPES, LayerKind.VECTORS)
    for snap in inputs.values():
        own = snap.kind in kinds and snap.geometry.axes and snap.geometry.ndim == ndim
        if own and -1 in along_image(snap, source)[1]:
            geometry, order = file_axes(snap, source)
            return snap, geometry, [for_file(snap.geometry)[1].index(i) for i in order]
    return None


def dropped_axes(axes: str, ndim: int, reference: Geometry | None) -> list[int]:
    """Return the axes of size 1 of the input that coordinates lack; all others are there.

    Many programs drop such axes when they read. Parameters as of `place_coordinates`.
    """
    if reference is None or not reference.shape or ndim >= reference.ndim:
        return []
    lacking = [i for i, size in enumerate(reference.shape) if size == 1]
    if axes and len(axes) == ndim and set(axes) <= set(reference.axes):
        named = [i for i, axis in enumerate(reference.axes) if axis not in axes]
        lacking = named if set(named) <= set(lacking) else []
    return lacking if len(lacking) == reference.ndim - ndim else []


def _with_singletons(own: Geometry, reference: Geometry) -> Geometry:
    """Return `own` with the axes of size 1 of the input that a carrier dropped."""
    if own.ndim >= reference.ndim or 1 not in reference.shape:
        return own
    long = [i for i, size in enumerate(reference.shape) if size != 1]
    if tuple(reference.shape[i] for i in long) != own.shape:
        return own
    steps = {i: (own.scale[k], own.units[k]) for k, i in enumerate(long)}
    filled = [steps.get(i, (1.0, "pixel")) for i in range(reference.ndim)]
    return plain_geometry(reference.shape, reference.axes, filled, reference.labels)


def looks_like(array: ArrayLike, source: LayerSnapshot | None, *, rgb: bool) -> dict[str, object]:
    """Return how an image looks that is like its input: as that does."""
    if source is None or source.kind is not LayerKind.IMAGE or rgb or source.rgb:
        return {}
    if source.dtype != array.dtype:
        return {}
    looks = {"colormap": source.attributes.get("colormap")}
    limits = source.attributes.get("contrast_limits")
    if limits is not None and _within(array, [float(str(limit)) for limit in items(limits)]):
        looks["contrast_limits"] = limits
    return {name: value for name, value in looks.items() if value is not None}


def _within(array: ArrayLike, limits: Sequence[float]) -> bool:
    """Whether values of the middle plane would be told apart between `limits`."""
    low, high = limits
    sample = middle_plane(array)
    if sample.size == 0 or sample.dtype.kind == "c" or not np.isfinite(sample).all():
        return False
    span = high - low
    darkest, brightest = float(sample.min()), float(sample.max())
    return darkest >= low - span and low + span / 50 <= brightest <= high + span
