"""What the axes of an input are: named on the layer, told by the file behind it, else a guess."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

from napari_tool_runner._lazy import np
from napari_tool_runner.data_classes import dataclass, replace
from napari_tool_runner.errors import OutputError
from napari_tool_runner.exchange.axes import in_words, letter, read_axes
from napari_tool_runner.exchange.blocks import rearranged_pixels, reshaped, transposed
from napari_tool_runner.exchange.carriers import read_file
from napari_tool_runner.exchange.files import file_key
from napari_tool_runner.exchange.geometry import for_file, same_place, select, with_axis
from napari_tool_runner.exchange.model import PIXELS, Content, Geometry, LayerSnapshot, items
from napari_tool_runner.exchange.units import dimension
from napari_tool_runner.tools.file_types import file_type
from napari_tool_runner.tools.formats import FORMATS, Format, Formats
from napari_tool_runner.tools.model import LayerKind

__all__ = [
    "as_recorded",
    "asks_file",
    "grid_of",
    "guess_notes",
    "is_guess",
    "learned",
    "named",
    "sized_as",
    "why_guess",
    "with_known_axes",
    "with_known_sizes",
]

_BARE = (1.0, "pixel")


def is_guess(geometry: Geometry | None) -> bool:
    """Whether nobody says what each axis of an image of more than two is.

    Names say it, and units: a length is space, a second is time. Axes of one step count as
    little as the guess matters.
    """
    if geometry is None:
        return False
    long = [i for i in range(geometry.ndim) if geometry.shape[i : i + 1] != (1,)]
    measures = {"X": "length", "Y": "length", "Z": "length", "T": "time"}
    return len(long) > 2 and not all(
        letter((geometry.labels or geometry.ndim * ("",))[i]) == geometry.axes[i]
        or dimension(geometry.units[i]) == measures.get(geometry.axes[i], "?")
        for i in long
    )


def guess_notes(guessed: Iterable[tuple[str, Geometry | None]], wanted: str = "") -> list[str]:
    """Return a sentence for all whose axes are guessed alike; `wanted`: what the tool takes."""
    names: dict[tuple[str, str], list[str]] = {}
    for name, told in guessed:
        if told is not None and is_guess(told):
            geometry = _as_wanted(told, wanted)
            why = f" ({why_guess(geometry)})" if geometry.labels else ""
            names.setdefault((in_words(geometry.axes), why), []).append(f"“{name}”")
    return [
        f"The axes of {', '.join(who[:2])}{f' and {len(who) - 2} more' * (len(who) > 2)} are not "
        f"known{why}; they were taken for {axes}. Name them in the form, or as axis_labels."
        for (axes, why), who in names.items()
    ]


def why_guess(geometry: Geometry) -> str:
    """Say why axes are a guess: they have no names, or names that mean nothing here."""
    words = ", ".join(f"“{label}”" for label in geometry.labels if label and not letter(label))
    if words:
        return f"nobody knows what {words} is"
    told = [*map(letter, geometry.labels)]
    again = ", ".join(axis for axis in dict.fromkeys(told) if told.count(axis) > 1)
    return f"several are called {again}" if again else "nobody named the axes"


def named(geometry: Geometry, labels: object) -> Geometry:
    """Return `geometry` with the names that a person gave its axes; raises as `read_axes`."""
    told = read_axes(" ".join(map(str, items(labels))), geometry.ndim)
    return replace(geometry, axes="".join(told).upper().replace("?", "Q"), labels=told)


def as_recorded(found: LayerSnapshot, told: LayerSnapshot) -> LayerSnapshot:
    """Return what a file holds as the layer `told` that it was written from, axes as they were.

    A file has an order of its own (`for_file`, or what its tool takes): its letters tell it,
    else what was recorded. Of other data, or other axes, it is what the file says.
    """
    own, there = told.geometry, found.geometry
    written, order = for_file(own)
    letters = [there.axes] if there.labels else []
    letters += [str(told.attributes.get("stored", "")), written.axes, own.axes]
    long = [j for j, size in enumerate(there.shape) if size != 1]  # others come and go
    sources = ((written.axes, order), (own.axes, [*range(own.ndim)]))
    for axes, (known, places) in itertools.product(letters, sources):
        free = [(known[k], i) for k, i in enumerate(places) if i >= 0 and own.shape[i] != 1]
        names = [axes[j] for j in long] if len(axes) == there.ndim else []
        if sorted(names) != sorted(name for name, _ in free):
            continue
        came = [free.pop([name for name, _ in free].index(name))[1] for name in names]
        if [there.shape[j] for j in long] == [own.shape[i] for i in came]:
            kept = [j for _, j in sorted(zip(came, long, strict=True))]
            full = (*own.shape, *found.pixels.shape[there.ndim :])
            return replace(
                found,
                data=reshaped(rearranged_pixels(found.pixels, kept), full),
                geometry=own,
                name=told.name,
                kind=told.kind,
                rgb=told.rgb,
                multiscale=False,
            )
    return found


def with_known_axes(snap: LayerSnapshot, wanted: str = "") -> LayerSnapshot:
    """Return `snap` with what the file behind it tells of its axes, colours and pixel size.

    A layer whose pixels are those of that file goes out as the file would, whatever napari
    took the last axis for; names that a person gave count more. Opens the file, once as long
    as it does not change: not for a GUI thread.

    Parameters
    ----------
    wanted : str
        The letters that the tool takes unnamed axes for; empty: it does not say.
    """
    own = snap.geometry
    if snap.kind not in PIXELS or snap.data is None:
        return snap
    told, other = _behind(snap)
    snap = replace(snap, remarks=(*snap.remarks, *_on_values(snap, told)))
    if own.labels and not _is_bare(own):
        return snap
    snap = replace(snap, remarks=(*snap.remarks, other)) if other else snap
    if told is not None:
        snap = _as_in_file(snap, told)
    return replace(snap, geometry=_as_wanted(snap.geometry, wanted))


def _as_wanted(own: Geometry, wanted: str) -> Geometry:
    """Return axes that nobody named as those that the tool takes them for, if it says any."""
    guess = not own.labels and is_guess(own) and len(wanted) == own.ndim
    return replace(own, axes=wanted.upper()) if guess else own


def learned(snap: LayerSnapshot, others: Iterable[LayerSnapshot]) -> LayerSnapshot:
    """Return an image whose axes nobody named with those of the other inputs of its shape.

    That may be an image without its channels. A remark tells it; where inputs of that shape
    differ in their axes, nothing is learned.
    """
    own = snap.geometry
    if snap.kind not in PIXELS or snap.data is None or own.labels or not is_guess(own):
        return snap
    found: dict[str, tuple[Geometry, str]] = {}
    for other in others:
        theirs = other.geometry
        if other.kind not in PIXELS or not theirs.labels or is_guess(theirs):
            continue
        every = range(theirs.ndim)
        for kept in (every, [i for i in every if theirs.axes[i] != "C"]):
            if tuple(theirs.shape[i] for i in kept) == own.shape:
                part = select(theirs, kept)[0]
                found[part.axes] = (part, other.name)
    if len(found) != 1:
        return snap
    ((axes, (part, name)),) = found.items()
    told = f"The axes of “{snap.name}” were taken to be those of “{name}”: {in_words(axes)}."
    named = replace(own, axes=axes, labels=part.labels)
    return replace(snap, geometry=named, remarks=(*snap.remarks, told))


def with_known_sizes(snap: LayerSnapshot) -> tuple[LayerSnapshot, tuple[str, ...]]:
    """Return a layer without a pixel size with that of the file behind it, and notes.

    Most readers of napari leave it out. `with_known_axes` has asked the file.
    """
    own, told = snap.geometry, snap.behind
    if told is None:
        return snap, snap.remarks
    pairs = zip(told.scale, told.units, strict=True)
    sizes = dict.fromkeys(f"{size:.4g} {unit}" for size, unit in pairs if (size, unit) != _BARE)
    read = snap.path or snap.source not in ("array", "layer")
    whose = Path(snap.source).name if read else "what it was made of or lies on"
    note = f"“{snap.name}” has no pixel size. The tool is given the one of {whose}: "
    geometry = replace(own, scale=told.scale, units=told.units)
    remarks = (*snap.remarks, f"{note}{', '.join(sizes)}.")
    # of what a job of ours made, and nobody changed, it is known and not supposed
    sure = snap.made_by and not read
    return replace(snap, geometry=geometry, behind=None), snap.remarks if sure else remarks


def asks_file(snap: LayerSnapshot) -> bool:
    """Whether only a file knows how large pixels are; `with_known_axes` opens that of a layer."""
    bare = snap.kind in PIXELS and _is_bare(snap.geometry)
    return snap.data is None or (bare and snap.source not in ("array", "layer"))


def sized_as(snap: LayerSnapshot, others: Iterable[LayerSnapshot]) -> LayerSnapshot:
    """Return an image that lies on another, both without a pixel size, with what that knows."""
    own = snap.geometry
    if snap.kind not in PIXELS or snap.data is None or snap.behind or not _is_bare(own):
        return snap
    alike = (
        one.behind
        for one in others
        if one.behind is not None
        and (one.geometry.shape, one.geometry.axes) == (own.shape, own.axes)
        and same_place(one.geometry, own)
    )
    return replace(snap, behind=next(alike, None))


def _is_bare(geometry: Geometry) -> bool:
    """Whether nobody said how large a pixel is."""
    sizes = {*zip(geometry.scale, geometry.units, strict=True)}
    return sizes <= {_BARE} and geometry.affine is None


@dataclass(frozen=True, slots=True)
class _Told:
    """What a file says of an array of `geometry.shape`; `samples`: which axis are colours.

    `content`: the whole of it, without its pixels.
    """

    geometry: Geometry
    samples: int | None
    content: Content


def _on_values(snap: LayerSnapshot, told: _Told | None) -> list[str]:
    """Return what the file says of its values, unless the layer has values of another type."""
    if told is None or np.dtype(snap.pixels.dtype) != np.dtype(told.content.pixels.dtype):
        return []
    from napari_tool_runner.exchange.carriers.tiff_says import OTHER_VALUES  # and so tifffile

    notes = [note for note in told.content.notes if note.startswith(OTHER_VALUES)]
    return [f"“{snap.name}” is of {Path(snap.source).name}. {note}" for note in notes]


def _as_in_file(snap: LayerSnapshot, told: _Told) -> LayerSnapshot:
    """Return a layer as the file that holds its pixels would be handed over."""
    own, array = snap.geometry, snap.pixels
    rgb = told.samples is not None and snap.kind is LayerKind.IMAGE
    axes = [i for i in range(told.geometry.ndim) if not rgb or i != told.samples]
    behind = select(told.geometry, axes)[0]
    if "S" in behind.axes:  # an axis like others, where pixels have no colours
        behind = replace(behind, axes=behind.axes.replace("S", "Q" if "C" in behind.axes else "C"))
    sizes = snap.behind if _is_bare(behind) or not _is_bare(own) else behind
    snap = _with_stored_values(snap, told.content)
    remarks, array = [*snap.remarks], snap.pixels
    if own.labels:  # a person's own names
        return replace(snap, behind=sizes) if behind.ndim == own.ndim else snap
    if rgb is not snap.rgb and told.content.bare:  # nobody says what else it is
        return snap
    own = with_axis(own, "C", array.shape[-1], own.ndim) if snap.rgb else own
    own = select(own, axes)[0]
    if behind.labels or rgb or snap.rgb:
        own = replace(own, axes=behind.axes, labels=behind.labels)
    if rgb is not snap.rgb:
        what = "colours" if rgb else f"the axes {in_words(own.axes)}"
        remarks.append(f"“{snap.name}” goes to the tool as its file has it: {what}.")
    moved = rgb and told.samples != len(axes)
    return replace(
        snap,
        data=transposed(array, [*axes, told.samples or 0]) if moved else snap.data,
        geometry=own,
        rgb=rgb,
        multiscale=snap.multiscale and not moved,
        path=snap.path if rgb is snap.rgb else None,
        behind=sizes,
        remarks=tuple(remarks),
    )


def _with_stored_values(snap: LayerSnapshot, content: Content) -> LayerSnapshot:
    """Return a layer with the values of its file, where napari made others of just those.

    Of 16 bits a colour it reads 8, and 16 bits of other pictures as 32.
    """
    own, stored = np.dtype(snap.pixels.dtype), np.dtype(content.pixels.dtype)
    if own.newbyteorder("=") == stored.newbyteorder("="):
        return snap
    if isinstance(snap.data, np.ndarray) and own.kind + stored.kind in ("uu", "iu"):
        path = _file_of(snap)
        known = _format_of(path)
        assert known is not None  # it was read before
        values = np.asarray(read_file(path, known, name=path.name).pixels)
        shown = values >> 8 * max(0, stored.itemsize - own.itemsize)
        if np.array_equal(shown, snap.data):
            note = f"“{snap.name}” holds {own}; the tool is given the {stored} of its file."
            return replace(snap, data=values, path=None, remarks=(*snap.remarks, note))
    if own.itemsize < stored.itemsize:
        note = f"“{snap.name}” holds {own}, its file {stored}: give the tool the file "
        return replace(snap, remarks=(*snap.remarks, f"{note}for all that is in it."))
    return snap


def _file_of(snap: LayerSnapshot) -> Path:
    """Return the file of a layer; of a level inside of an OME-Zarr the image that it is of."""
    path = Path(snap.source)
    stores = [folder for folder in (path, *path.parents) if folder.suffix == ".zarr"]
    images = [one for one in (path, path.parent) if stores and file_type(one) == "ome_zarr"]
    return next(iter((*images, *stores[::-1])), path)


def _behind(snap: LayerSnapshot) -> tuple[_Told | None, str]:
    """Return what the file of a layer says of an array of its shape, and what is other in it.

    None: nothing.
    """
    path, shape = _file_of(snap), tuple(snap.pixels.shape)
    try:
        told = _told_by(path, file_key(path))
    except (OSError, ValueError):  # a sample, a URL, a file that is gone
        return None, ""
    found = next((one for one in told if one.geometry.shape == shape), None)
    whole = told[0].geometry if told else Geometry("")
    if not told or (found and math.prod(shape) == math.prod(whole.shape)):
        return found, ""
    # channels that a reader made layers of are known to be a part
    apart = found is not None and found.geometry.ndim >= whole.ndim - 1 and "C" in whole.axes
    own, held = (" × ".join(map(str, sizes)) for sizes in (shape, whole.shape))
    axes = in_words(whole.axes).replace("S", "colours")
    note = f"“{snap.name}” is {own}, its file {held} ({axes}): the tool is given the layer."
    return found, "" if apart else note


def _format_of(path: Path) -> Format | None:
    """Return the format of a file by its name; a folder is an image in a Zarr."""
    found = FORMATS.of_file(path.name)
    return found[0] if found else FORMATS["zarr"] if path.is_dir() else None


@lru_cache(maxsize=64)
def _told_by(path: Path, key: str) -> list[_Told]:
    """Return what readers make of an image: all axes, each channel apart, none of one step."""
    known = _format_of(path)
    if known is None or not known.readable:
        return []
    try:
        content = read_file(path, known, name=path.name)
    except OutputError:  # who opened it knew more
        return []
    own = content.geometry
    if own is None:
        return []
    samples = None
    if content.rgb:
        at = content.attributes.get("samples", own.ndim)
        samples = at if isinstance(at, int) else own.ndim
        labels = own.labels
        own = with_axis(own, "S", content.pixels.shape[-1], samples)
        own = own if labels else replace(own, labels=())
    stub = np.broadcast_to(np.zeros((), content.pixels.dtype), content.pixels.shape)
    content = replace(content, data=stub, multiscale=False)  # no pixels are kept
    every = range(own.ndim)
    apart = [i for i in every if own.axes[i] != "C"]
    plane = [every[-2:]] if own.axes.endswith("YX") else []  # one file of several, one frame
    ways = [
        part
        for kept in (every, apart, *plane)
        for part in (kept, [i for i in kept if own.shape[i] != 1])
    ]
    return [
        _Told(
            select(own, way)[0],
            [*way].index(samples) if samples is not None and samples in way else None,
            content,
        )
        for way in ways
    ]


def grid_of(snaps: Sequence[LayerSnapshot], formats: Formats) -> LayerSnapshot | None:
    """Return the input in whose pixels coordinates go out: an image, else a file of one."""
    images = [snap for snap in snaps if snap.kind in PIXELS]
    for snap in snaps:
        known = formats.of_file(snap.path.name) if snap.path and snap.data is None else ()
        images += [snap] if known and set(PIXELS) & set(known[0].kinds) else []
    return images[0] if images else None
