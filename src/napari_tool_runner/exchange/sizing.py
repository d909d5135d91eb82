"""Whose sizes rows tell: those of the objects of an image with their numbers, or of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from napari_tool_runner._lazy import np
from napari_tool_runner.exchange.columns import hints_sizes, tells_sizes

if TYPE_CHECKING:
    from napari_tool_runner.exchange.model import Table

__all__ = ["MANY", "Objects", "Said", "by_sizes", "in_order", "sizes_in"]

MANY = 3
"""So many different sizes or numbers in order are no accident."""
_DIGITS = 1e-3  # sizes are written to some
_LARGE = 100  # pixels; that one object has as many as another is an accident
_OFF = 0.3  # sizes are told in one way or another: with holes, of an outline
_NEAR = 0.1  # so near they are then
_DECIMALS = 6  # as many are written at most where they are rounded
_STEPS = ((1, "higher"), (-1, "lower"))
_OTHER = "the sizes of other objects than its column “{column}” says: "


class Objects(NamedTuple):
    """The objects of an image of a job.

    `ids`: their numbers, without 0; `key`: the input or output, empty where no layer of it can
    take a table; `again`: some are in several frames or channels; `part`: the image is only a
    part of its layer; `bare`: it is no labels layer; `sizes`: pixels of each; `deep`: of volumes.
    """

    name: str
    ids: frozenset[int]
    key: str = ""
    again: bool = False
    part: bool = False
    bare: bool = False
    sizes: Mapping[int, int] = MappingProxyType({})
    deep: bool = False


class Said(NamedTuple):
    """What sizes say of rows as the objects of their numbers.

    `proven`: they are. `others`: whose sizes these are, where they are those of others. `far`:
    the column that says so, or whose sizes are not those of the pixels: with holes, of a surface.
    `near`: the column whose sizes are nearer to those of other numbers, and which these are.
    """

    proven: bool = False
    others: str = ""
    far: str = ""
    near: str = ""


def sizes_in(table: Table) -> dict[str, np.ndarray]:
    """Return the columns that are sizes of objects by their names."""
    return {
        name: values
        for name, values in table.items()
        if values.dtype.kind in "iuf" and tells_sizes(name)
    }


def by_sizes(
    table: Table,
    column: str,
    image: Objects,
    sizes: Mapping[str, np.ndarray],
    images: Sequence[Objects] = (),
) -> Said:
    """Compare sizes with the pixels of the objects of each row.

    `images`: all that there are; with them any column of whole numbers refuses where they are,
    to the pixel, the sizes of objects one higher or lower. Without them only a proof is sought.
    """
    found = Said()
    for name, values in {**sizes, **(table if images else {})}.items():
        if name == column or values.dtype.kind not in "iuf":
            continue
        rows = (table[column] != 0) & np.isfinite(values) & (values > 0)
        ids = [int(i) for i in table[column][rows].tolist()]
        told, counts = values[rows].astype(float), _counts(ids, image)
        if not ids or not counts.all():
            continue
        off, whole = _off(told, counts), len(ids) == np.count_nonzero(table[column])
        if name not in sizes:
            others = _neighbours(told, ids, image)
            near = _nearer(told, ids, image) if hints_sizes(name) else ""
        else:
            others, near = _others(told, ids, image, images), _nearer(told, ids, image)
        if others:
            said = others.format(column=column)
            found = found if found.others else found._replace(others=said, far=name)
        elif name in sizes and off <= _DIGITS and len({*counts.tolist()}) > 1:  # outweighs all
            gaps = np.diff(np.sort(counts)) / counts.max()  # could any two be exchanged?
            return Said(proven=bool(whole and 3 * off < gaps.min()))
        elif near and not found.near:
            found = found._replace(near=f"its column “{name}” is nearer to {near}")
        elif not (name in sizes and whole and off > _OFF and len(ids) >= MANY) or found.far:
            continue
        elif tells_sizes(name, deep=image.deep):
            found = found._replace(far=name)
    return found


def _neighbours(told: np.ndarray, ids: list[int], image: Objects) -> str:
    """Say that whole numbers are, to the pixel, the sizes of objects one higher or lower."""
    if len({*told.tolist()}) < MANY or told.max() < _LARGE:
        return ""
    for step, word in _STEPS:
        if np.array_equal(told, _counts([number + step for number in ids], image)):
            return f"{_OTHER}those with numbers one {word}"
    return ""


def _nearer(told: np.ndarray, ids: list[int], image: Objects) -> str:
    """Say to whose sizes these are much nearer, as of outlines, than to those of their numbers."""
    if len({*told.tolist()}) < MANY:
        return ""
    own = _apart(told, _counts(ids, image))
    for step, word in _STEPS:
        counts = _counts([number + step for number in ids], image)
        if counts.all() and own > _NEAR / 2 and _apart(told, counts) < min(own / 3, _NEAR):
            return f"the sizes of the objects with numbers one {word}"
    return ""


def _apart(told: np.ndarray, counts: np.ndarray) -> float:
    """Return how far sizes, in any unit, are from counts of pixels, but for the worst fifth."""
    shares = told / counts
    return float(np.quantile(np.abs(shares / np.median(shares) - 1), 0.8))


def _others(
    told: np.ndarray, ids: list[int], image: Objects, images: Sequence[Objects] = ()
) -> str:
    """Say whose sizes these are, where they are, to the digit, not those of the objects `ids`.

    Empty: nobody's, as of objects with holes, hulls, surfaces.
    """
    counts, off = _counts(ids, image), _off(told, _counts(ids, image))
    if off < _DIGITS**2:
        return ""
    if _exact(np.sort(told), np.sort(counts), off):
        return f"{_OTHER}in another order"
    for step, word in _STEPS:
        others = _counts([number + step for number in ids], image)
        if _exact(told, others, off) or _rounded(told, others, counts):
            return f"{_OTHER}those with numbers one {word}"
    for one in images:
        if one is not image and _exact(told, _counts(ids, one), off):
            return f"{_OTHER}those of “{one.name}”"
    # to the pixel, each is that of some other object
    present, strange = {*image.sizes.values()}, told != counts
    density = len(present) / (max(present) - min(present) + 1)
    some = np.count_nonzero(strange)
    if {*told.tolist()} <= present and 2 * some >= len(ids) and density**some < _DIGITS:
        return f"{_OTHER}those of other numbers of “{image.name}”"
    return ""


def _rounded(told: np.ndarray, counts: np.ndarray, own: np.ndarray) -> bool:
    """Whether sizes are, by one factor and to their last digit, `counts` and not their `own`."""
    written = next((n for n in range(_DECIMALS) if (told.round(n) == told).all()), None)
    if written is None or not counts.all() or len({*told.tolist()}) < MANY:
        return False
    half = 0.5 / 10**written
    if told.min() <= half or _fits(told, own, half) or not _fits(told, counts, half):
        return False
    spread = np.std(counts) / np.mean(counts)  # so rarely do sizes fit by accident
    return bool((2 * half / told.mean() / spread) ** (len(told) - 1) < _DIGITS)


def _fits(told: np.ndarray, counts: np.ndarray, half: float) -> bool:
    """Whether one factor makes `counts` of all sizes, each of which may be `half` off."""
    return bool((counts / (told + half)).max() <= (counts / (told - half)).min() * (1 + 1e-9))


def _counts(ids: Sequence[int], image: Objects) -> np.ndarray:
    """Return the pixels of objects, 0 of those that are none."""
    return np.array([image.sizes.get(number, 0) for number in ids])


def _off(told: np.ndarray, counts: np.ndarray) -> float:
    """Return how far sizes, in any unit, are at most from counts of pixels, as a fraction."""
    factor = counts.sum() / told.sum() if len(told) > 1 else 1.0
    return float(np.abs(told / counts * factor - 1).max())


def _exact(told: np.ndarray, counts: np.ndarray, off: float) -> bool:
    """Whether sizes are, other than by chance, these counts: to the pixel or by one factor.

    `off`: how far they are from the counts of their own numbers.
    """
    if not counts.all() or _off(told, counts) > min(off / 3, _DIGITS):
        return False
    several = len({*counts.tolist()})
    if np.array_equal(told, counts):  # few small ones are soon the same
        return bool(told.max() ** min(len(told), MANY) >= _LARGE) and several >= min(len(told), 2)
    return several >= MANY or (several == len(told) == 2 and bool(counts.min() >= _LARGE))


def in_order(sizes: Mapping[str, np.ndarray], image: Objects) -> bool:
    """Whether rows are the objects of an image, in the order of their numbers, by their sizes."""
    row = {"": np.array(sorted(image.ids), object)}
    found = {name: values for name, values in sizes.items() if len(values) == len(row[""])}
    return len(row[""]) >= MANY and by_sizes(row, "", image, found).proven
