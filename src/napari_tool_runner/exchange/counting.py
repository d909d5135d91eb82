"""How many objects there are, which are specks, giants or cut, and what is still in one piece."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from napari_tool_runner._lazy import np
from napari_tool_runner.data_classes import dataclass
from napari_tool_runner.exchange.blocks import middle_plane
from napari_tool_runner.exchange.geometry import geometry_of
from napari_tool_runner.exchange.noise import MEDIAN_OF_NORMAL
from napari_tool_runner.exchange.snapshots import layer_kind, snapshot
from napari_tool_runner.tools.model import LayerKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from napari_tool_runner.exchange.model import LoadedOutput

__all__ = [
    "SIZES",
    "Counted",
    "at_edge",
    "counted",
    "doubtful_in",
    "edge_words",
    "giant_words",
    "giants_among",
    "is_unnumbered",
    "least_size",
    "pixel_column",
    "soft_words",
    "speck_words",
    "uneven_in",
    "warns",
]

SIZES = ("area", "volume", "size", "pixels", "voxels")
"""How the names of columns of sizes begin; those first that say most."""
_MOST = 2**26
"""Of so many pixels objects are counted: a second at most."""
_LOOKED_AT = 2**22
"""Pixels of a layer that are looked at while a person waits."""
_SPECK = 20
"""A speck is so many times smaller than the objects that most pixels belong to."""
_CHANNELS = 8
_FEW = 3
"""Of fewer objects none is a speck: nobody knows how large they are usually."""
_GIANT, _SOME = 2, 8
"""A giant is so many times larger than the middle one, of so many objects or more."""
_DOUBTFUL = re.compile(r"may be none \(number ([\d, ]+)")
_UNEVEN = re.compile(r"^Warning:.*\buneven\b")
_SOFT = re.compile(r"up to ±(\d+)% of a size by where its soft edge is set")


@dataclass(frozen=True, slots=True)
class Counted:
    """How many objects there are.

    Parameters
    ----------
    specks : int
        How many of them are much smaller than those that most pixels belong to.
    least : int
        Pixels that an object has at least that is no speck.
    giants : int
        How many of them are so large that they may be several in one.
    giant, largest, middle : int
        The number and the pixels of the largest giant, the pixels of the middle object.
    unnumbered : bool
        They are pieces of a mask that lie apart and have one number; of a stack or a movie those
        of the middle plane.
    channels : tuple of int
        How many there are in each of several channels; empty: there are no channels.
    """

    count: int
    specks: int = 0
    least: int = 0
    giants: int = 0
    giant: int = 0
    largest: int = 0
    middle: int = 0
    unnumbered: bool = False
    channels: tuple[int, ...] = ()

    @property
    def noisy(self) -> bool:
        """Whether more of them are specks than not, as an image full of noise makes them."""
        return 2 * self.specks > self.count


def counted(loaded: LoadedOutput, *, numbered: bool = False) -> Counted | None:
    """Return how many objects a result has; None: it has none, or too many pixels to be looked at.

    Labels and tracks are counted by their numbers, points and shapes one by one. `numbered`: the
    tool numbers objects, so that what has one number is one, and no mask.
    """
    if loaded.kind in (LayerKind.POINTS, LayerKind.SHAPES):
        return Counted(len(loaded.parts))
    if loaded.kind is LayerKind.TRACKS:
        return Counted(len(np.unique(np.asarray(loaded.data)[:, 0])) if len(loaded.parts) else 0)
    if loaded.kind is not LayerKind.LABELS:
        return None
    pixels = loaded.pixels
    if not isinstance(pixels, np.ndarray) or not 0 < pixels.size <= _MOST:
        return None
    pieces = None if numbered else _pieces(pixels)
    pixels = pixels if pieces is None else pieces
    numbers, sizes = _sizes(pixels)
    if not len(sizes):
        return Counted(0)
    channels, least = _in_channels(loaded, pixels), least_size(sizes)
    specks = int((sizes < least).sum()) if len(sizes) >= _FEW else 0
    found = len(sizes), specks, least
    if pieces is not None:
        return Counted(*found, unnumbered=True, channels=channels)
    giants, middle = giants_among(sizes)
    if not giants.any():
        return Counted(*found, channels=channels)
    at = int(sizes.argmax())
    largest = int(numbers[at]), int(sizes[at])
    return Counted(*found, int(giants.sum()), *largest, middle, channels=channels)


def _in_channels(loaded: LoadedOutput, pixels: np.ndarray) -> tuple[int, ...]:
    """Return how many objects there are in each channel, where there are some."""
    labels = loaded.attributes.get("axis_labels")
    at = geometry_of(pixels.ndim, pixels.shape, axis_labels=labels).axes.find("C")
    if at < 0 or not 1 < pixels.shape[at] <= _CHANNELS:
        return ()
    return tuple(len(_sizes(one)[0]) for one in np.moveaxis(pixels, at, 0))


def least_size(sizes: np.ndarray) -> int:
    """Return how many pixels an object has at least that is no speck; `sizes` has one or more."""
    ordered = np.sort(sizes)
    summed = np.cumsum(ordered)
    typical = int(ordered[np.searchsorted(summed, summed[-1] / 2)])
    return -(-typical // _SPECK)


def giants_among(sizes: np.ndarray) -> tuple[np.ndarray, int]:
    """Return which objects may be several in one, and how many pixels the middle one has.

    They have more than twice as many, and more where sizes differ much; specks do not count. No
    one is, and 0, where there are too few of the others. `sizes` has one or more.
    """
    whole = sizes[sizes >= least_size(sizes)]
    if len(whole) < _SOME:
        return np.zeros(len(sizes), bool), 0
    middle = np.median(whole)
    spread = np.median(np.abs(np.log(whole / middle))) / MEDIAN_OF_NORMAL
    return sizes > int(middle * max(_GIANT, np.exp(3 * spread))), int(middle)


def giant_words(count: int, largest: int, middle: int) -> str:
    """Return how many objects are giants, for a person who was told how many objects there are."""
    verb = "has" if count == 1 else "have up to"
    return (
        f"{count:,} of them {verb} {largest:,} pixels, the middle one {middle:,}: several in one?"
    )


def doubtful_in(notes: Iterable[str]) -> tuple[int, ...]:
    """Return the numbers of the objects that may be none, as the notes of a tool tell them.

    They are told as `may be none (number 3, 8)`.
    """
    told = (found for note in notes for found in _DOUBTFUL.findall(note))
    return tuple(int(number) for numbers in told for number in re.findall(r"\d+", numbers))


def warns(note: str) -> bool:
    """Whether a note says that a result is doubtful."""
    return note.startswith("Warning")


def uneven_in(notes: Iterable[str]) -> bool:
    """Whether a tool warns that light may be uneven, as in `the light is uneven`."""
    return any(_UNEVEN.search(note) for note in notes)


def pixel_column(frame: pd.DataFrame) -> str:
    """Return the column that counts the pixels of objects, empty without one."""
    for name, column in frame.items():
        bare = str(name).lower().removesuffix("_px")
        # whole numbers are counted pixels; areas in µm² are hardly ever whole in every row
        if bare in SIZES and column.dtype.kind in "iu" and column.notna().any():
            return str(name)
    return ""


def at_edge(layer: object) -> np.ndarray:
    """Return the numbers of the labels of a layer that touch an edge of its planes or volumes.

    None of other layers, and of too many pixels.
    """
    pixels = getattr(layer, "data", None)
    if not isinstance(pixels, np.ndarray) or layer_kind(layer) is not LayerKind.LABELS:
        return np.zeros(0, int)
    axes = snapshot(layer).geometry.axes if pixels.size <= _MOST else ""
    ends = [
        pixels.take([0, -1], axis).ravel()
        for axis, (name, size) in enumerate(zip(axes, pixels.shape, strict=False))
        if name in "ZYX" and size > 1
    ]
    numbers: np.ndarray = np.unique(np.concatenate(ends)) if ends else np.zeros(0, int)
    there: np.ndarray = numbers[numbers != 0]
    return there


def edge_words(count: int) -> str:
    """Return how many objects are cut, for a person who was told how many objects there are."""
    if count == 1:
        return "1 of them touches the edge: its size is too small."
    return f"{count:,} of them touch the edge: their sizes are too small."


def speck_words(count: int, least: int) -> str:
    """Return how many objects are specks, for a person who was told how many objects there are."""
    words = "is a speck" if count == 1 else "are specks"
    return f"{count:,} of them {words} of less than {least:,} pixels."


def soft_words(notes: Iterable[str]) -> str:
    """Return what sizes are worth, by the notes of the tool that found the objects; else nothing.

    It is told as `up to ±18% of a size by where its soft edge is set`.
    """
    shares = [int(share) for note in notes for share in _SOFT.findall(note)]
    return f"Up to ±{max(shares)}% of a size by where its soft edge is set." if shares else ""


def _sizes(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of the objects, and how many pixels each has."""
    low, high = int(pixels.min()), int(pixels.max())
    if low >= 0 and high <= max(2**16, pixels.size):
        sizes = np.bincount(pixels.ravel().astype(np.intp, copy=False))
        sizes[0] = 0
        numbers = np.flatnonzero(sizes)
        return numbers, sizes[numbers]
    numbers, found = np.unique(pixels, return_counts=True)
    return numbers[numbers != 0], found[numbers != 0]


def is_unnumbered(pixels: np.ndarray) -> bool:
    """Whether labels are a mask: one number, and pieces of it lie apart in the middle plane."""
    return _pieces(pixels) is not None


def _pieces(pixels: np.ndarray) -> np.ndarray | None:
    """Return the middle plane of a mask with a number for each piece; None: it is no mask."""
    plane = np.atleast_2d(middle_plane(pixels))
    values = plane[plane != 0]
    if not values.size or (values != values[0]).any():
        return None
    sample = pixels[:: -(-pixels.size // _LOOKED_AT)] if pixels.ndim else pixels
    if ((sample != 0) & (sample != values[0])).any():
        return None
    from scipy import ndimage  # most labels are numbered and need it not

    numbered: np.ndarray
    numbered, pieces = ndimage.label(plane != 0, np.ones((3,) * plane.ndim))
    return numbered if pieces > 1 else None
