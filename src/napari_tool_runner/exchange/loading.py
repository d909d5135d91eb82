"""Opening the outputs of a tool as layers to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_tool_runner.errors import OutputError
from napari_tool_runner.exchange.blocks import middle_plane, reshaped
from napari_tool_runner.exchange.carriers import read_file
from napari_tool_runner.exchange.coordinates import coordinate_data
from napari_tool_runner.exchange.files import remember_origin
from napari_tool_runner.exchange.geometry import attributes_of
from napari_tool_runner.exchange.kinds import Choice, choose_kind
from napari_tool_runner.exchange.model import (
    PIXELS,
    ArrayLike,
    Geometry,
    LayerSnapshot,
    LoadedOutput,
    items,
)
from napari_tool_runner.exchange.placing import closeness, place_coordinates, place_pixels
from napari_tool_runner.tools.file_types import content_type
from napari_tool_runner.tools.formats import FORMATS, Carrier, Format, Formats, Trait
from napari_tool_runner.tools.model import DataOutput, LayerKind, Tool

if TYPE_CHECKING:
    from napari_tool_runner.exchange.model import Content, Table
    from napari_tool_runner.tools.dialect import CollectedFile

__all__ = ["load", "reference_geometry"]

_BINARY = {
    Carrier.TIFF: "TIFF",
    Carrier.ZARR: "Zarr",
    Carrier.NPY: "NumPy",
    Carrier.HDF5: "HDF5",
}


def load(
    file: CollectedFile,
    output: DataOutput,
    tool: Tool,
    *,
    inputs: Mapping[str, LayerSnapshot],
    kind: LayerKind | None = None,
) -> LoadedOutput:
    """Open a tool's output as a layer to be; `choose_kind` says how its kind is chosen.

    `inputs`: full parameter name -> what went in (the first is the default
    reference). `kind`: the user's override.

    Raises
    ------
    OutputError
        Truncated, unreadable, or of another type than declared.
    """
    what = f"The output “{output.label or output.name}” of {tool.name}"
    path = file.path
    declared = tool.formats.resolve(file.format or output.format)
    _check_there(path, what, may_be_empty=declared.carrier is Carrier.OPAQUE)
    fmt = _format(path, declared, what, tool.formats)
    if fmt.carrier in (Carrier.OPAQUE, Carrier.UNKNOWN):
        return LoadedOutput(path, LayerKind.ANY, {"name": _name(file, output, tool)})
    editable = (kind or output.kind) is LayerKind.LABELS
    content = _read(path, fmt, output.name, what, writable=editable)
    choice = choose_kind(content, output, tool, override=kind, name=file.name)
    if choice.kind is LayerKind.LABELS and not editable:
        # Labels are edited by hand: their pixels must not be read-only.
        content = _read(path, fmt, output.name, what, writable=True)
    notes = list(content.notes)
    if choice.kind in PIXELS:
        loaded = _pixels(content, choice, output, inputs, path, what, notes)
    elif choice.kind is LayerKind.TABLE:
        table = _headed(content, what)
        return LoadedOutput(table, LayerKind.TABLE, {}, tuple(notes))
    else:
        loaded = _coordinates(content, choice, output, fmt, inputs, notes)
    data, attributes = loaded
    attributes["name"] = _name(file, output, tool)
    return LoadedOutput(data, choice.kind, attributes, tuple(notes))


def reference_geometry(snap: LayerSnapshot) -> Geometry | None:
    """Return the geometry of an input; of a file it is read from its header.

    None when the input has no pixels (a table, a text file), or is no longer there.
    """
    if snap.geometry.axes or snap.path is None:
        return snap.geometry if snap.geometry.axes else None
    known = FORMATS.of_file(snap.path.name)
    if not known or known[0].carrier in (Carrier.TABLE, Carrier.OPAQUE):
        return None
    try:
        return read_file(snap.path, known[0], name=snap.name).geometry
    except OutputError:
        # The tool could read it though we cannot: it lends no geometry.
        return None


def _check_there(path: Path, what: str, *, may_be_empty: bool) -> None:
    if not path.exists():
        raise OutputError(
            f"{what} was not written (expected at {path}).",
            hint="The log of the job says what the tool did instead.",
        )
    empty = not any(path.iterdir()) if path.is_dir() else path.stat().st_size == 0
    if empty and not may_be_empty:
        raise OutputError(
            f"{what} is empty ({path.name} has no content).",
            hint="The tool opened the file but wrote nothing; see the log of the job.",
        )


def _format(path: Path, declared: Format, what: str, formats: Formats) -> Format:
    """Return the format that is declared, checked against the first bytes; else theirs."""
    found = content_type(path)
    if declared.carrier is Carrier.OPAQUE:
        return declared
    if declared.carrier is Carrier.UNKNOWN:
        by_name = formats.of_file(path.name)
        return formats[found[0]] if found else by_name[0] if by_name else declared
    if found is not None:
        own = formats[found[0]]
        differs = own.carrier is not declared.carrier
        if own.carrier is Carrier.PICTURE:
            differs |= formats.canonical(declared.name) != own
        if differs:
            raise OutputError(
                f"{what} is declared as {declared.name}, but {path.name} is {found[1]}.",
                hint="Correct the format of this output in the descriptor, or the tool's options.",
            )
    expected = _BINARY.get(declared.carrier)
    if declared.carrier is Carrier.PICTURE:
        expected = declared.name.upper()
    if found is None and expected:
        raise OutputError(
            f"{what} is declared as {declared.name}, but {path.name} is no {expected} file.",
            hint="The tool stopped while writing it, or writes another format.",
        )
    return declared


def _read(path: Path, fmt: Format, name: str, what: str, *, writable: bool) -> Content:
    try:
        return read_file(path, fmt, name=name, writable=writable)
    except OutputError as error:
        raise OutputError(f"{what}: {error.message}", hint=error.hint) from error
    except MemoryError as error:
        raise OutputError(
            f"{what} does not fit into memory.", hint="Let the tool write Zarr or plain TIFF."
        ) from error


def _pixels(
    content: Content,
    choice: Choice,
    output: DataOutput,
    inputs: Mapping[str, LayerSnapshot],
    path: Path,
    what: str,
    notes: list[str],
) -> tuple[object, dict[str, object]]:
    own = content.geometry
    levels = content.levels
    if own is None:
        raise OutputError(f"{what} has no axes.")
    if output.axes and len(output.axes) == own.ndim:
        own = _renamed(own, output.axes)
    source = _reference(own, output, inputs, notes, calibrated=content.calibrated)
    reference = None if source is None else reference_geometry(source)
    placement = place_pixels(own, reference, calibrated=content.calibrated)
    notes.extend(placement.notes)
    shape = placement.shape
    full = (*shape, levels[0].shape[-1]) if content.rgb else shape
    data: object = levels if content.multiscale else reshaped(levels[0], full)
    attributes = attributes_of(placement.geometry)
    if choice.kind is LayerKind.LABELS:
        if content.multiscale:
            if any(np.dtype(level.dtype).kind not in "iu" for level in levels):
                raise OutputError(f"{what} is a pyramid of {levels[0].dtype}, not of labels.")
        else:
            data, note = _labels(data, what)
            if note:
                notes.append(f"{what}: {note}.")
    else:
        attributes["rgb"] = content.rgb
        attributes |= _looks(levels[0], source, rgb=content.rgb)
        first = levels[0] if content.multiscale else data
        if not (isinstance(first, np.ndarray) and first.flags.writeable):
            remember_origin(first, path)
    if content.multiscale:
        attributes["multiscale"] = True
    if "channel_names" in content.attributes:
        attributes["metadata"] = {"channel_names": list(content.attributes["channel_names"])}  # type: ignore[call-overload]
    return data, attributes


def _labels(data: object, what: str) -> tuple[object, str]:
    """Return pixels as integers for a Labels layer, with a note (empty: as they were).

    Booleans become 0/1; floats are taken when each value is a whole number.

    Raises
    ------
    OutputError
    """
    dtype = np.dtype(data.dtype)  # type: ignore[attr-defined]
    if dtype.kind in "iu":
        return data, ""
    if dtype.kind == "b":
        return data.view(np.uint8) if isinstance(data, np.ndarray) else data.astype(np.uint8), ""  # type: ignore[attr-defined]
    hint = "Load it as an image, or correct layer=."
    if dtype.kind != "f" or not isinstance(data, np.ndarray):
        raise OutputError(
            f"{what} holds {dtype.name} values; labels are whole numbers.", hint=hint
        )
    low, high = 0.0, 0.0
    for part in data if data.ndim > 1 else data.reshape(1, -1):
        if not np.isfinite(part).all() or not (part == np.rint(part)).all():
            raise OutputError(
                f"{what} holds fractions or NaN; labels are whole numbers.", hint=hint
            )
        if part.size:
            low, high = min(low, float(part.min())), max(high, float(part.max()))
    for target in ("uint8", "uint16", "uint32", "int32", "uint64", "int64"):
        info = np.iinfo(target)
        if info.min <= low and high <= info.max:
            note = f"whole numbers stored as {dtype.name} were taken as {target} labels"
            return np.asarray(data).astype(target), note
    raise OutputError(
        f"{what} holds numbers from {low:g} to {high:g}, too large for labels.", hint=hint
    )


def _reference(
    own: Geometry,
    output: DataOutput,
    inputs: Mapping[str, LayerSnapshot],
    notes: list[str],
    *,
    calibrated: bool,
) -> LayerSnapshot | None:
    """Return the input whose geometry an image takes."""
    declared = _declared_reference(output, inputs, notes)
    if declared is not None:
        return declared
    ranked = [
        (closeness(own, geometry), snap)
        for snap in inputs.values()
        if (geometry := reference_geometry(snap)) is not None
    ]
    best = max((score for score, _ in ranked), default=0)
    if best == 0 or (best == 1 and calibrated):
        return None
    return next(snap for score, snap in ranked if score == best)


def _declared_reference(
    output: DataOutput, inputs: Mapping[str, LayerSnapshot], notes: list[str]
) -> LayerSnapshot | None:
    if not output.reference:
        return None
    for name, snap in inputs.items():
        if output.reference in (name, name.split("|")[-1]):
            if reference_geometry(snap) is not None:
                return snap
            notes.append(f"The reference “{output.reference}” has no geometry to take.")
            return None
    notes.append(f"The reference “{output.reference}” was not given.")
    return None


def _renamed(own: Geometry, axes: str) -> Geometry:
    return replace(own, axes=axes, labels=tuple(axes.lower()))


def _looks(array: ArrayLike, source: LayerSnapshot | None, *, rgb: bool) -> dict[str, object]:
    """An image that is like its input looks like it."""
    if source is None or source.kind is not LayerKind.IMAGE or rgb or source.rgb:
        return {}
    if source.data is None or source.pixels.dtype != array.dtype:
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


def _headed(content: Content, what: str) -> Table:
    if not isinstance(content.data, dict):
        raise OutputError(f"{what} is no table.")
    return content.data


def _coordinates(
    content: Content,
    choice: Choice,
    output: DataOutput,
    fmt: Format,
    inputs: Mapping[str, LayerSnapshot],
    notes: list[str],
) -> tuple[object, dict[str, object]]:
    data, features, extra, axes, ndim = coordinate_data(
        content, choice.kind, notes, xyz=Trait.XYZ in fmt.traits
    )
    if output.axes and len(output.axes) == ndim:
        axes = output.axes
    source = _declared_reference(output, inputs, notes) or _first_pixels(inputs)
    reference = None if source is None else reference_geometry(source)
    geometry, lost = place_coordinates(axes, ndim, reference)
    if lost:
        notes.append(lost)
    attributes = attributes_of(geometry) | extra
    if features:
        attributes["features"] = features
    return data, attributes


def _first_pixels(inputs: Mapping[str, LayerSnapshot]) -> LayerSnapshot | None:
    """Return the first image; without one, the first layer of any sort."""
    geometries = [(snap, reference_geometry(snap)) for snap in inputs.values()]
    images = [snap for snap, geometry in geometries if geometry is not None and geometry.shape]
    others = [snap for snap, geometry in geometries if geometry is not None]
    return next(iter(images or others), None)


def _name(file: CollectedFile, output: DataOutput, tool: Tool) -> str:
    """Return what the layer is called: the element or the output, and the tool."""
    label = file.name or output.label
    if not label or "$" in label:
        label = output.name
    return f"{label} [{tool.name}]"
