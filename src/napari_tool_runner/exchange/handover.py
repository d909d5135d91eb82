"""How a layer goes into an input: as what, in which format, or by the file it came from.

Decided here once. The form asks which kinds fit, the preview which file will be made, and
the run does it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from napari_tool_runner._lazy import np
from napari_tool_runner.data_classes import dataclass, replace
from napari_tool_runner.errors import ExchangeError, OutputError, UnsupportedLayerError
from napari_tool_runner.exchange.carriers import BINARY, read_file
from napari_tool_runner.exchange.dimensions import takes, wanted_axes
from napari_tool_runner.exchange.files import is_whole_map
from napari_tool_runner.exchange.geometry import geometry_of, same_place
from napari_tool_runner.exchange.knowing import as_recorded, guess_notes, named
from napari_tool_runner.exchange.model import (
    PIXELS,
    Content,
    Geometry,
    LayerSnapshot,
    ShapeList,
    SurfaceData,
)
from napari_tool_runner.exchange.wanted import coordinate_kind, in_other_columns
from napari_tool_runner.names import free_path
from napari_tool_runner.tools.dialect import DataFile
from napari_tool_runner.tools.file_types import content_type, has_zarr_attributes, told_by_content
from napari_tool_runner.tools.formats import FORMATS, Carrier, Format, Formats
from napari_tool_runner.tools.model import DataParameter, LayerKind

__all__ = ["HandOver", "fitting_kinds", "open_snapshot", "plan", "takes_features"]

# A layer of these kinds serves as well where the key is asked for.
_ALSO: dict[LayerKind, tuple[LayerKind, ...]] = {
    LayerKind.IMAGE: (LayerKind.LABELS,),
    LayerKind.LABELS: (LayerKind.SHAPES,),
    LayerKind.TABLE: (LayerKind.POINTS, LayerKind.TRACKS, LayerKind.VECTORS),
}


@dataclass(frozen=True, slots=True)
class HandOver:
    """What becomes of a snapshot that goes into an input.

    Parameters
    ----------
    snap : LayerSnapshot
        What is written; of a file that must be converted, its content.
    kind : LayerKind
        As what: a layer of shapes may go as labels, features as a table.
    format : Format
        Of the file.
    name, extension : str
        What the file is called, as far as no other is called so.
    original : Path or None
        The file itself goes, nothing is written.
    remarks : tuple of str
        What a person should know.
    content : Content or None
        What was found in the file that goes.
    """

    snap: LayerSnapshot
    kind: LayerKind
    format: Format
    name: str
    extension: str
    original: Path | None = None
    remarks: tuple[str, ...] = ()
    content: Content | None = None

    @property
    def held(self) -> LayerSnapshot | Content | None:
        """The pixels, columns… that go; None: nobody has looked into the file."""
        return self.content if self.snap.data is None else self.snap

    def file(self, folder: Path) -> DataFile:
        """Return the file that it will be in `folder`, before it is there."""
        path = free_path(folder, self.name, self.extension)
        return DataFile(path, self.format.name, self.snap.name)


def fitting_kinds(parameter: DataParameter, formats: Formats = FORMATS) -> tuple[LayerKind, ...]:
    """Return the kinds of layers that can go into `parameter`, best first.

    `formats`: those of the tool. None fits where only a file can be given.
    """
    declared = _declared(parameter)
    best = formats.best_by_kind(parameter.formats)
    wanted = [*declared, *(also for kind in declared for also in _ALSO.get(kind, ()))]
    if not declared:
        wanted = [*best, LayerKind.SHAPES]  # drawn as labels
    return tuple(k for k in dict.fromkeys(wanted) if _becomes(k, declared, best) is not None)


def takes_features(parameter: DataParameter, formats: Formats = FORMATS) -> bool:
    """Whether the features of any layer can go into `parameter`, as a table."""
    best = formats.best_by_kind(parameter.formats)
    return _becomes(LayerKind.ANY, _declared(parameter), best, has_features=True) is not None


def plan(snap: LayerSnapshot, parameter: DataParameter, formats: Formats = FORMATS) -> HandOver:
    """Decide how `snap` goes into `parameter`. Nothing is written; pixels are not read.

    `formats`: those of the tool.

    Raises
    ------
    UnsupportedLayerError
        It cannot; the sentence says what can.
    ExchangeError
        Its file is gone.
    """
    accepted = _as_it_is(snap, parameter, formats)
    remarks: list[str] = []
    if accepted is not None and snap.path is not None:
        given = replace(formats.resolve(accepted), name=accepted)
        content, written = _looked_at(snap, parameter, given, remarks)
        if content is None or not written:
            name = snap.path.name
            extension = formats.extension_of(name).lower() or snap.path.suffix or given.extension
            told = tuple(remarks)
            return HandOver(snap, snap.kind, given, name, extension, snap.path, told, content)
        snap = _opened(snap, content, parameter, formats)
    elif snap.data is None:
        snap = _open_file(snap, parameter, remarks, formats)
    kind, chosen = _as_what(snap, parameter, formats)
    if kind is LayerKind.TABLE and snap.kind is not kind and not _is_matrix(snap):
        remarks.append(f"The features of “{snap.name}” were passed as a table.")
        snap = replace(snap, data=snap.features(), kind=kind)
    return HandOver(snap, kind, chosen, snap.name, chosen.extension, remarks=tuple(remarks))


def _declared(parameter: DataParameter) -> list[LayerKind]:
    """Return the kinds that the descriptor names; empty: it names none."""
    return [kind for kind in parameter.kinds if kind is not LayerKind.ANY]


def _becomes(
    kind: LayerKind,
    declared: Sequence[LayerKind],
    best: Mapping[LayerKind, Format],
    *,
    has_features: bool = False,
    is_matrix: bool = False,
) -> tuple[LayerKind, Format] | None:
    """Say as what a layer of `kind` goes into an input, None when it does not fit.

    `declared`: what the input takes. `best`: the format for each kind that can be written.
    """
    served = not declared or kind in declared
    served |= kind is not LayerKind.SHAPES and any(kind in _ALSO.get(d, ()) for d in declared)
    drawn = kind is LayerKind.SHAPES and (not declared or LayerKind.LABELS in declared)
    table = best.get(LayerKind.TABLE) if not declared or LayerKind.TABLE in declared else None
    if served and kind in best:
        return kind, best[kind]
    if drawn and LayerKind.LABELS in best:
        return LayerKind.LABELS, best[LayerKind.LABELS]
    if table and (is_matrix or (has_features and table.carrier is Carrier.TABLE)):
        return LayerKind.TABLE, table
    return None


def _as_what(
    snap: LayerSnapshot, parameter: DataParameter, formats: Formats
) -> tuple[LayerKind, Format]:
    """Say as what `snap` goes into `parameter`, and in which format.

    Raises
    ------
    UnsupportedLayerError
    """
    name = parameter.label or parameter.name
    declared = _declared(parameter)
    if snap.kind is LayerKind.IMAGE and declared == [LayerKind.LABELS]:
        if snap.rgb or np.dtype(snap.pixels.dtype).kind not in "biu":
            what = "colours" if snap.rgb else snap.pixels.dtype
            raise UnsupportedLayerError(
                f"“{snap.name}” holds {what}; “{name}” takes labels, which are whole numbers.",
                hint="Choose a Labels layer, or segment the image first.",
            )
        snap = replace(snap, kind=LayerKind.LABELS)
    found = _becomes(
        snap.kind,
        declared,
        formats.best_by_kind(parameter.formats),
        has_features=bool(snap.features()),
        is_matrix=_is_matrix(snap),
    )
    if found is not None:
        return found
    takes = " or ".join(k.value for k in fitting_kinds(parameter, formats)) or "files only"
    article = "an" if snap.kind is LayerKind.IMAGE else "a"
    raise UnsupportedLayerError(
        f"“{snap.name}” is {article} {snap.kind.value} layer; “{name}” takes {takes}"
        f" ({', '.join(parameter.formats) or 'any format'}).",
        hint="Choose another layer, or a tool that turns one into the other.",
    )


def _is_matrix(snap: LayerSnapshot) -> bool:
    """Whether this is a bare array of numbers, no picture that somebody looks at."""
    bare = snap.kind is LayerKind.IMAGE and snap.source == "array"
    return bare and not snap.rgb and snap.geometry.ndim <= 2


# -- files ---------------------------------------------------------------------------


def _as_it_is(snap: LayerSnapshot, parameter: DataParameter, formats: Formats) -> str | None:
    """Return the accepted format of the file that holds `snap`, None: it must be written."""
    path = snap.path
    if path is None or snap.image:
        return None
    accepted = formats.accepted(parameter.formats, path.name)
    if not accepted or formats.of_file(path.name):
        accepted = _by_content(path, parameter, formats) or accepted
    if not accepted or (snap.data is not None and not _file_says_the_same(snap, path, formats)):
        return None
    if not path.exists():
        raise ExchangeError(f"The file {path} is no longer there.", hint="Choose it again.")
    return None if _another_image(path, formats.resolve(accepted), formats) else accepted


def _another_image(path: Path, told: Format, formats: Formats) -> tuple[str, str] | None:
    """Return what an image file is by its first bytes when its name tells another image."""
    images = (Carrier.TIFF, Carrier.PICTURE)
    found = content_type(path) if told.carrier in images and path.is_file() else None
    if found is None or formats[found[0]].carrier not in images:
        return None
    return None if formats.are_alike(told, formats[found[0]]) else found


def _by_content(path: Path, parameter: DataParameter, formats: Formats) -> str | None:
    """Return the accepted format of a file whose name says nothing, or little."""
    if (own := told_by_content(path, formats)) is None:
        return "directory" if "directory" in parameter.formats and path.is_dir() else None
    if own.carrier in (Carrier.TABLE, Carrier.OPAQUE):  # a separator matters
        return own.name if formats.is_of_type(own.name, *parameter.formats) else None
    written = formats.writable(parameter.formats) if own.readable else ()
    return next((one.name for one in written if formats.are_alike(one, own)), None)


def _file_says_the_same(snap: LayerSnapshot, path: Path, formats: Formats) -> bool:
    """Whether a layer's own file also tells where it lies (a placed output may not)."""
    if snap.kind not in PIXELS:
        return True
    try:
        known = formats.of_file(path.name)
        content = read_file(path, known[0], name=snap.name) if known else None
    except OutputError:
        content = None
    if content is None:
        return False
    own = content.geometry
    other = own is None or own.shape != snap.geometry.shape or content.rgb != snap.rgb
    if own is None or other or content.hidden or not is_whole_map(snap.pixels, content.pixels):
        return False
    origin = (0.0,) * own.ndim
    here = replace(snap.geometry, translate=origin, linear=None, affine=None)
    return same_place(own, here) and (not snap.geometry.labels or own.axes == snap.geometry.axes)


def _looked_at(
    snap: LayerSnapshot, parameter: DataParameter, given: Format, remarks: list[str]
) -> tuple[Content | None, bool]:
    """Return what a file holds, None: not looked at; and whether it must be written anew.

    So must an image in which programs may not find what it says, and points and tracks in
    other columns than layers are given with.

    Raises
    ------
    UnsupportedLayerError
        It is damaged, or lacks parts.
    """
    path, tiff = snap.path, given.carrier is Carrier.TIFF
    assert path is not None
    if snap.data is None and (table := in_other_columns(path, given, parameter, remarks)):
        return table, True
    pixels = given.carrier in BINARY and {*PIXELS} & {*fitting_kinds(parameter)}
    if snap.data is not None or not pixels or not path.exists():
        return None, False
    try:
        if not path.stat().st_size:
            raise OutputError(f"{path.name} is empty.", hint="Choose another file.")
        content = read_file(path, given, name=snap.name)
        if content.geometry is not None and 0 in content.geometry.shape:
            raise OutputError(f"{path.name} has no pixels.", hint="Choose another file.")
    except OutputError as error:
        if not tiff or (path.stat().st_size and content_type(path) is None):  # only by its name
            remarks += [error.message] * tiff  # of others the tool may know more
            return None, False
        raise UnsupportedLayerError(error.message, hint=error.hint) from error
    remarks += [f"{path.name}: {note}" for note in content.notes]
    remarks += guess_notes([(path.name, content.geometry)], parameter.axes)
    own = content.geometry or Geometry("")
    other = wanted_axes(parameter, own) not in ("", own.axes) or not takes(parameter, own.ndim)
    told = f"{path.name} was written anew for the tool: {content.hidden}."
    remarks += [told] * bool(content.hidden)
    return content, bool(content.hidden) or (tiff and other)


def _open_file(
    snap: LayerSnapshot, parameter: DataParameter, remarks: list[str], formats: Formats = FORMATS
) -> LayerSnapshot:
    """Return the content of a file that must be converted, lazy where that can be.

    Raises
    ------
    UnsupportedLayerError
    """
    path = snap.path
    assert path is not None
    accepted = ", ".join(parameter.formats)
    told = told_by_content(path, formats)
    own = told or next(iter(formats.of_file(path.name)), None)
    own = own or (formats["zarr"] if has_zarr_attributes(path) else None)
    refusal = UnsupportedLayerError(
        f"{path.name} cannot be given to “{parameter.label or parameter.name}”, which takes "
        f"{accepted}" + (f"; by its content it is {told.name}." if told else "."),
        hint="Open it in napari and choose the layer, or convert it yourself.",
    )
    if parameter.formats and not fitting_kinds(parameter, formats):
        refusal.hint, own = "Choose a file of that format, or convert it yourself.", None
    if own is not None and (found := _another_image(path, own, formats)):
        own = formats[found[0]]
        remarks.append(f"{path.name} is {found[1]}, whatever its name says.")
    if own is None or not own.readable:
        raise refusal
    try:
        content = read_file(path, own, name=snap.name, image=snap.image)
    except OutputError as error:
        raise UnsupportedLayerError(error.message, hint=error.hint) from error
    if not coordinate_kind(content, parameter) and "separator" not in content.attributes:
        remarks += [f"{path.name}: {note}" for note in content.notes]
    remarks += guess_notes([(path.name, content.geometry)], parameter.axes)
    remarks.append(f"{path.name} was converted, as the tool takes {accepted}.")
    return _opened(snap, content, parameter, formats)


def _opened(
    snap: LayerSnapshot, content: Content, parameter: DataParameter, formats: Formats
) -> LayerSnapshot:
    """Return the snapshot of what the file of `snap` holds."""
    path, geometry = snap.path, content.geometry
    assert path is not None
    data: object = content.data
    attributes = dict(content.attributes)
    if isinstance(data, dict):
        kind, geometry = LayerKind.TABLE, geometry or Geometry(axes="")
        if coordinates := coordinate_kind(content, parameter):
            kind, attributes = coordinates, {"content": content}  # read when it is written
    elif isinstance(data, SurfaceData):
        kind = LayerKind.SURFACE
        data = tuple(part for part in (data.vertices, data.faces, data.values) if part is not None)
    elif isinstance(data, ShapeList):
        if not data.vertices:
            raise UnsupportedLayerError(f"{path.name} holds no shape.", hint="Choose another.")
        kind = LayerKind.POINTS if set(data.types) == {"point"} else LayerKind.SHAPES
        attributes |= {"shape_type": list(data.types), "features": data.features}
        data = np.concatenate(data.vertices) if kind is LayerKind.POINTS else list(data.vertices)
    else:
        only = LayerKind.IMAGE not in parameter.kinds and LayerKind.LABELS in parameter.kinds
        kind = LayerKind.LABELS if only or attributes.get("labels") else LayerKind.IMAGE
    first = data[0] if isinstance(data, list | tuple) else data
    return replace(
        snap,
        data=data,
        kind=kind,
        name=formats.split(path.name)[0],
        geometry=geometry or geometry_of(int(np.asarray(first).shape[-1])),
        rgb=content.rgb,
        multiscale=content.multiscale,
        path=None,
        attributes=attributes,
    )


def open_snapshot(snap: LayerSnapshot) -> LayerSnapshot:
    """Return a snapshot of a file with its data, lazy where the format allows.

    A geometry that the snapshot had (from a record) counts more than the file's, unless
    it is of another shape: of other data. What no carrier can read stays a file.
    """
    if snap.data is not None or snap.path is None:
        return snap
    notes: list[str] = []
    try:
        found = _open_file(snap, DataParameter(name="", kinds=(snap.kind,)), notes)
    except UnsupportedLayerError:
        return snap
    found = replace(found, remarks=tuple(notes[:-1]) if snap.image else ())
    if found.kind in PIXELS and "axis_labels" in snap.attributes:
        found = replace(found, geometry=named(found.geometry, snap.attributes["axis_labels"]))
    return as_recorded(found, snap) if snap.geometry.axes else found
