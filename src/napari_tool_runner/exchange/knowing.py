"""What the axes of an input are: named on the layer, told by the file behind it, else a guess."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from napari_tool_runner.errors import OutputError
from napari_tool_runner.exchange.axes import in_words, letter, read_axes
from napari_tool_runner.exchange.carriers import read_file
from napari_tool_runner.exchange.files import file_key
from napari_tool_runner.exchange.geometry import dimension, select, with_axis
from napari_tool_runner.exchange.model import PIXELS, Geometry, LayerSnapshot, items
from napari_tool_runner.tools.formats import FORMATS

__all__ = ["guess_notes", "is_guess", "named", "with_known_axes", "with_known_sizes"]


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
        letter((geometry.labels or geometry.ndim * ("",))[i])
        or dimension(geometry.units[i]) == measures.get(geometry.axes[i], "?")
        for i in long
    )


def guess_notes(guessed: Iterable[tuple[str, Geometry | None]]) -> list[str]:
    """Return a sentence for the names of all images whose axes are guessed to be the same."""
    names: dict[str, list[str]] = {}
    for name, geometry in guessed:
        if geometry is not None and is_guess(geometry):
            names.setdefault(in_words(geometry.axes), []).append(f"“{name}”")
    return [
        f"The axes of {', '.join(who[:2])}{f' and {len(who) - 2} more' * (len(who) > 2)} are not "
        f"known; they were taken for {axes}. Name them in the form, or as axis_labels."
        for axes, who in names.items()
    ]


def named(geometry: Geometry, labels: object) -> Geometry:
    """Return `geometry` with the names that a person gave its axes; raises as `read_axes`."""
    told = read_axes(" ".join(map(str, items(labels))), geometry.ndim)
    return replace(geometry, axes="".join(told).upper().replace("?", "Q"), labels=told)


def with_known_axes(snap: LayerSnapshot, wanted: str = "") -> LayerSnapshot:
    """Return `snap` with the axes that the file behind it tells, if they were a guess.

    Opens that file, once as long as it does not change: not for a GUI thread.

    Parameters
    ----------
    wanted : str
        The letters that the tool takes unnamed axes for; empty: it does not say.
    """
    own = snap.geometry
    if snap.kind not in PIXELS or snap.data is None or own.labels or not is_guess(own):
        return snap
    told = _behind(snap.source, own.shape)
    if told is not None and told.labels and "Q" not in told.axes:
        own = replace(own, axes=told.axes, labels=told.labels)
    elif len(wanted) == own.ndim:
        own = replace(own, axes=wanted.upper())
    return replace(snap, geometry=own)


def with_known_sizes(snap: LayerSnapshot) -> tuple[LayerSnapshot, tuple[str, ...]]:
    """Return a layer without a pixel size with that of the file behind it, and a note.

    Most readers of napari leave it out. Opens that file, as `with_known_axes`.
    """
    own = snap.geometry
    bare = {*own.scale} <= {1.0} and {*own.units} <= {"pixel"} and own.affine is None
    if snap.kind not in PIXELS or snap.data is None or not bare:
        return snap, ()
    told = _behind(snap.source, own.shape)
    if told is None or {*told.units} <= {"pixel"}:
        return snap, ()
    pairs = zip(told.scale, told.units, strict=True)
    sizes = dict.fromkeys(f"{size:.4g} {unit}" for size, unit in pairs if unit != "pixel")
    note = f"“{snap.name}” has no pixel size; the tool is told that of {Path(snap.source).name}: "
    geometry = replace(own, scale=told.scale, units=told.units)
    return replace(snap, geometry=geometry), (f"{note}{', '.join(sizes)}.",)


def _behind(source: str, shape: tuple[int, ...]) -> Geometry | None:
    """Return what the file `source` says of a layer of that shape; None: nothing."""
    path = Path(source)
    # the built-in reader of napari opens a level inside of an OME-Zarr
    folders = [folder for folder in path.parents if folder.suffix == ".zarr"]
    try:
        path = folders[-1] if folders else path
        return next((one for one in _told_by(path, file_key(path)) if one.shape == shape), None)
    except (OSError, ValueError):  # a sample, a URL, a file that is gone
        return None


@lru_cache(maxsize=64)
def _told_by(path: Path, key: str) -> list[Geometry]:
    """Return what readers make of an image: all axes, each channel apart, none of one step."""
    known = FORMATS.of_file(path.name)
    if not known or not known[0].readable:
        return []
    try:
        content = read_file(path, known[0], name=path.name)
    except OutputError:  # who opened it knew more
        return []
    own = content.geometry
    if own is None:
        return []
    samples = content.attributes.get("samples", own.ndim)
    if content.rgb and isinstance(samples, int) and "C" not in own.axes:  # taken for an axis
        own = with_axis(own, "C", content.pixels.shape[-1], samples)
    whole = range(own.ndim)
    apart = [i for i in whole if own.axes[i] != "C"]
    ways = [
        part for kept in (whole, apart) for part in (kept, [i for i in kept if own.shape[i] != 1])
    ]
    return [select(own, way)[0] for way in ways]
