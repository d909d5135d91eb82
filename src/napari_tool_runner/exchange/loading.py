"""Opening the outputs of a tool as layers to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner._lazy import np
from napari_tool_runner.errors import OutputError, UnsupportedLayerError
from napari_tool_runner.exchange.blocks import (
    first_holding,
    middle_plane,
    rearranged_pixels,
    reshaped_levels,
)
from napari_tool_runner.exchange.carriers import BINARY, ReadFile, read_file
from napari_tool_runner.exchange.columns import coordinate_columns, is_measured, track_columns
from napari_tool_runner.exchange.coordinates import (
    coordinate_data,
    in_pixels,
    on_the_grid,
    rearranged,
    table_kinds,
)
from napari_tool_runner.exchange.files import remember_origin
from napari_tool_runner.exchange.geometry import attributes_of
from napari_tool_runner.exchange.model import (
    PIXELS,
    LayerSnapshot,
    LoadedOutput,
    ShapeList,
    SurfaceData,
    items,
)
from napari_tool_runner.exchange.placing import (
    along_input,
    as_stack,
    carried,
    dropped_axes,
    handed,
    in_layer_order,
    looks_like,
    place_coordinates,
    place_pixels,
    reference_of_coordinates,
    reference_of_pixels,
)
from napari_tool_runner.exchange.sharing import note_values
from napari_tool_runner.exchange.wanted import as_its_reference, is_patchy
from napari_tool_runner.sealed import kind as kind_of
from napari_tool_runner.tools.file_types import content_type
from napari_tool_runner.tools.formats import Carrier, Format, Formats, Trait
from napari_tool_runner.tools.hints import hinted, is_picture
from napari_tool_runner.tools.model import DataOutput, LayerKind, Tool

if TYPE_CHECKING:
    from napari_tool_runner.exchange.model import Content, Table
    from napari_tool_runner.tools.dialect import CollectedFile

__all__ = ["load"]


def load(
    file: CollectedFile,
    output: DataOutput,
    tool: Tool,
    *,
    inputs: Mapping[str, LayerSnapshot],
    kind: LayerKind | None = None,
    root: Path | None = None,
    read: ReadFile = read_file,
) -> LoadedOutput:
    """Open a tool's output as a layer to be.

    `inputs`: full parameter name -> what went in (the first is the default
    reference). `kind`: the user's override. `root`: the folder of the program that made
    it, see `sealed`; None: it is a file of the user's. `read`: reads the file, see `ReadApart`.

    Raises
    ------
    OutputError
        Truncated, unreadable, or of another type than declared.
    """
    what = f"The output “{output.label or output.name}” of {tool.name}"
    path = file.path
    fmt = _format(path, file.format or output.format, what, tool.formats, root)
    if not fmt.readable:
        return LoadedOutput(path, LayerKind.ANY, {"name": _name(file, output, tool)})
    editable = (kind or output.kind) is LayerKind.LABELS

    def opened(*, writable: bool) -> Content:
        content = _read(read, path, fmt, output.name, what, writable=writable, root=root)
        return as_stack(content, inputs, tool.formats)

    content = opened(writable=editable)
    asked = kind or as_its_reference(content, output, inputs)
    chosen = _choose_kind(content, output, tool, asked, file.name)
    if chosen is LayerKind.LABELS and not (editable or _may_be_edited(content.data)):
        # Labels are edited by hand: their pixels must not be read-only.
        content = opened(writable=True)
    notes = list(content.notes)
    if chosen is LayerKind.TABLE:
        return LoadedOutput(content.table, chosen, {}, tuple(notes))
    if chosen in PIXELS:
        data, attributes = _pixels(
            content, chosen, output, inputs, path, what, notes, tool.formats
        )
        note_values(data)
    else:
        data, attributes = _coordinates(content, chosen, output, fmt, inputs, notes, tool.formats)
    attributes["name"] = _name(file, output, tool)
    return LoadedOutput(data, chosen, attributes, tuple(notes))


def _format(path: Path, name: str, what: str, formats: Formats, root: Path | None) -> Format:
    """Return the format `name`, checked against the first bytes; where it is none, theirs."""
    declared = formats.resolve(name)
    if not (path.exists() if root is None else kind_of(path, root)):
        raise OutputError(
            f"{what} was not written (expected at {path}).",
            hint="The log of the job says what the tool did instead.",
        )
    empty = not any(path.iterdir()) if path.is_dir() else path.stat().st_size == 0
    if empty and declared.carrier is not Carrier.OPAQUE:
        raise OutputError(
            f"{what} is empty ({path.name} has no content).",
            hint="The tool opened the file but wrote nothing; see the log of the job.",
        )
    found = content_type(path, root)
    if declared.carrier is Carrier.OPAQUE:
        return declared
    if declared.carrier is Carrier.UNKNOWN:
        by_name = formats.of_file(path.name)
        return formats[found[0]] if found else by_name[0] if by_name else declared
    if found is not None and not formats.are_alike(declared, formats[found[0]]):
        raise OutputError(
            f"{what} is declared as {declared.name}, but {path.name} is {found[1]}.",
            hint="Correct the format of this output in the descriptor, or the tool's options.",
        )
    expected = BINARY.get(declared.carrier)
    if declared.carrier is Carrier.PICTURE:
        expected = declared.name.upper()
    if found is None and expected:
        raise OutputError(
            f"{what} is declared as {declared.name}, but {path.name} is no {expected} file.",
            hint="The tool stopped while writing it, or writes another format.",
        )
    return declared


def _may_be_edited(data: object) -> bool:
    return isinstance(data, np.ndarray) and data.flags.writeable


def _read(
    read: ReadFile,
    path: Path,
    fmt: Format,
    name: str,
    what: str,
    *,
    writable: bool,
    root: Path | None,
) -> Content:
    try:
        return read(path, fmt, name=name, writable=writable, root=root)
    except OutputError as error:
        raise OutputError(f"{what}: {error.message}", hint=error.hint) from error
    except MemoryError as error:
        raise OutputError(
            f"{what} does not fit into memory.", hint="Let the tool write Zarr or plain TIFF."
        ) from error


def _pixels(
    content: Content,
    kind: LayerKind,
    output: DataOutput,
    inputs: Mapping[str, LayerSnapshot],
    path: Path,
    what: str,
    notes: list[str],
    formats: Formats,
) -> tuple[object, dict[str, object]]:
    own = content.geometry
    levels = content.levels
    if own is None:
        raise OutputError(f"{what} has no axes.")
    if output.axes and len(output.axes) == own.ndim:
        own = replace(own, axes=output.axes, labels=tuple(output.axes.lower()))
    calibrated = content.calibrated
    source, reference = reference_of_pixels(
        own, output, inputs, notes, formats=formats, calibrated=calibrated
    )
    told = handed(source, reference)
    geometry, matched, more = place_pixels(own, reference, calibrated=calibrated, told=told)
    notes += more
    full = (*geometry.shape, levels[0].shape[-1]) if content.rgb else geometry.shape
    geometry, order = in_layer_order(geometry, matched, source)
    metadata = carried(geometry, matched, told, reference, order)
    levels = [rearranged_pixels(one, order) for one in reshaped_levels(levels, full)]
    data: object = levels if content.multiscale else levels[0]
    attributes = attributes_of(geometry, notes)
    if kind is LayerKind.LABELS:
        if content.multiscale:
            if any(np.dtype(level.dtype).kind not in "iu" for level in levels):
                raise OutputError(f"{what} is a pyramid of {levels[0].dtype}, not of labels.")
        else:
            data, note = _labels(data, what)
            if note:
                notes.append(f"{what}: {note}.")
    else:
        attributes["rgb"] = content.rgb
        attributes |= looks_like(levels[0], source, rgb=content.rgb)
        if order == sorted(order) and not _may_be_edited(levels[0]):
            remember_origin(levels[0], path)
    if content.multiscale:
        attributes["multiscale"] = True
    if "channel_names" in content.attributes:
        metadata["channel_names"] = items(content.attributes["channel_names"])
    return data, attributes | ({"metadata": metadata} if metadata else {})


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
    target = first_holding(low, high, ("uint8", "uint16", "uint32", "int32", "uint64", "int64"))
    if target is None:
        raise OutputError(
            f"{what} holds numbers from {low:g} to {high:g}, too large for labels.", hint=hint
        )
    note = f"whole numbers stored as {dtype.name} were taken as {target.name} labels"
    if max(high, -low) >= 2 ** (np.finfo(dtype).nmant + 1):
        note += "; the largest may have been rounded by the tool"
    return np.asarray(data).astype(target), note


def _coordinates(
    content: Content,
    kind: LayerKind,
    output: DataOutput,
    fmt: Format,
    inputs: Mapping[str, LayerSnapshot],
    notes: list[str],
    formats: Formats,
) -> tuple[object, dict[str, object]]:
    source, reference = reference_of_coordinates(output, inputs, notes, formats)
    flat = reference is not None and reference.flat
    found = coordinate_data(content, kind, notes, xyz=Trait.XYZ in fmt.traits, flat=flat)
    if kind in (LayerKind.TRACKS, LayerKind.SURFACE) and not any(
        map(np.size, map(np.asarray, items(found.data)[:1]))
    ):
        what = f"“{output.label or output.name}” holds no {kind.value} to show"
        raise UnsupportedLayerError(f"{what}: a layer of {kind.value} cannot be empty.")
    axes, ndim = output.axes if len(output.axes) == found.ndim else found.axes, found.ndim
    told = handed(source, reference)
    geometry, matched, lost = place_coordinates(axes, ndim, told or reference)
    data, placed = in_pixels(found, geometry, notes, placed=reference is not None)
    geometry = placed if told is None else place_coordinates(axes, ndim, reference)[0]
    if not axes and (given := along_input(ndim, source, inputs)):
        (source, geometry, matched), told = given, None
    if (lacking := dropped_axes(axes, ndim, reference)) and kind is not LayerKind.SURFACE:
        own, axes, ndim = iter(range(ndim)), "", ndim + len(lacking)
        data = rearranged(data, kind, [-1 if i in lacking else next(own) for i in range(ndim)])
        geometry, matched, lost = place_coordinates(axes, ndim, reference)
    notes += [lost] if lost else []
    ordered, order = in_layer_order(geometry, matched, source)
    if kind is LayerKind.TRACKS and order[:1] != [0]:
        notes.append("Tracks have time first, other than the layer: they may not lie on it.")
    else:
        data, geometry = rearranged(data, kind, order), ordered
        matched = [matched[i] for i in order] if matched else []
    data = on_the_grid(data) if kind is LayerKind.SURFACE and reference is not None else data
    sizes = carried(geometry, matched, told, reference)
    more = {"features": found.features, "metadata": sizes}
    named = {name: value for name, value in more.items() if value}
    return data, attributes_of(geometry, notes) | found.attributes | named


def _name(file: CollectedFile, output: DataOutput, tool: Tool) -> str:
    """Return what the layer is called: the element or the output, and the tool."""
    label = file.name or output.label
    return f"{output.name if not label or '$' in label else label} [{tool.name}]"


def _possible_kinds(content: Content) -> tuple[LayerKind, ...]:
    """Return what `content` can become, the plainest first."""
    if isinstance(content.data, SurfaceData):
        return (LayerKind.SURFACE,)
    if isinstance(content.data, ShapeList):
        types = set(content.data.types)
        if not types:
            return (LayerKind.SHAPES, LayerKind.POINTS)
        return (LayerKind.POINTS, LayerKind.SHAPES) if types == {"point"} else (LayerKind.SHAPES,)
    if isinstance(content.data, dict):
        return table_kinds(content.data, header=content.header)
    return (LayerKind.IMAGE,) if content.rgb else (LayerKind.IMAGE, LayerKind.LABELS)


def _choose_kind(
    content: Content, output: DataOutput, tool: Tool, override: LayerKind | None, name: str
) -> LayerKind:
    """Decide what an output becomes: what the user says, then the descriptor, then hints.

    Nobody knows better than the user; names and values only guess, so they come last.

    Raises
    ------
    OutputError
        When what was declared or chosen cannot be made of this content.
    """
    possible = _possible_kinds(content)
    for asked, why in ((override, "chosen"), (output.kind, "declared")):
        if asked is None or asked is LayerKind.ANY:
            continue
        if asked not in possible:
            words = " or ".join(kind.value for kind in possible)
            raise OutputError(
                f"The output “{output.label or output.name}” is {why} as {asked.value}, "
                f"but the file can only become {words}.",
                hint="Choose another type for it, or correct layer= in the descriptor.",
            )
        return asked
    if len(possible) == 1 or isinstance(content.data, ShapeList):
        return possible[0]
    if isinstance(content.data, dict):
        return _choose_table(content.data, possible, output, name)
    return _choose_pixels(content, output, tool, name)


def _choose_table(
    table: Table, possible: Sequence[LayerKind], output: DataOutput, name: str
) -> LayerKind:
    hints = hinted(output.name, output.label, name)
    own_layout = next((k for k in (LayerKind.SHAPES, LayerKind.VECTORS) if k in possible), None)
    if own_layout:
        return own_layout
    if output.join or not coordinate_columns(table):
        return LayerKind.TABLE
    if LayerKind.TRACKS in possible:
        named = track_columns(table)[0].name.lower() != "id" or "T" in table
        if named or LayerKind.TRACKS in hints:
            return LayerKind.TRACKS
    if LayerKind.POINTS in possible:
        bare = "axis-0" in table or not (is_measured(table) or LayerKind.TABLE in hints)
        if LayerKind.POINTS in hints or bare:
            return LayerKind.POINTS
    return LayerKind.TABLE


def _choose_pixels(content: Content, output: DataOutput, tool: Tool, name: str) -> LayerKind:
    """Say whether pixels are labels: a small sample of them is looked at, never all."""
    array = content.pixels
    kind = np.dtype(array.dtype).kind
    own = (output.name, output.label, name)
    if kind == "b" or (kind in "iu" and content.attributes.get("labels")):
        return LayerKind.LABELS
    if kind not in "iuf" or is_picture(*own):
        return LayerKind.IMAGE
    strong = LayerKind.LABELS in hinted(*own)
    if strong and kind != "f":
        return LayerKind.LABELS
    if kind == "f" and not strong:
        return LayerKind.IMAGE
    sample = middle_plane(array)
    if kind == "f":
        whole = np.isfinite(sample) & (sample == np.rint(sample)) & (sample >= 0)
        return LayerKind.LABELS if whole.all() else LayerKind.IMAGE
    values = np.unique(sample)
    mask = len(values) == 2 and values[0] == 0
    weak = LayerKind.LABELS in hinted(tool.name, tool.id, *tool.categories, *tool.edam)
    wide = np.dtype(array.dtype).itemsize >= 4
    patchy = (weak or wide) and is_patchy(sample) and values[:1].tolist() == [0]
    return LayerKind.LABELS if mask or patchy else LayerKind.IMAGE
