"""Whose objects the rows of a table are, where no descriptor says so: their numbers do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from napari_tool_runner._lazy import np
from napari_tool_runner.exchange.blocks import blocks, nbytes, read
from napari_tool_runner.exchange.columns import object_ids, tells_objects
from napari_tool_runner.exchange.sizing import MANY, Objects, Said, by_sizes, in_order, sizes_in
from napari_tool_runner.exchange.wanted import is_bright
from napari_tool_runner.names import count_text
from napari_tool_runner.tools.model import LayerKind

if TYPE_CHECKING:
    import pandas as pd

    from napari_tool_runner.exchange.model import LayerSnapshot, Table

__all__ = ["Joined", "id_column", "is_whole", "joined_by", "objects_in"]

_BARE = "; a labels layer of it takes them"
_IGNORED = {2**bits - 1 for bits in (7, 8, 15, 16, 31, 32)}  # often pixels to leave out
_MOST = 4 * 2**30  # bytes of an image whose objects are looked for


def id_column(table: pd.DataFrame) -> str | None:
    """Return the column that holds the ids of objects, None when there is none."""
    named = object_ids(table.columns)
    return next((name for name in named if is_whole(table[name].to_numpy())), None)


def is_whole(values: np.ndarray) -> bool:
    """Whether all of `values` are whole numbers."""
    return values.dtype.kind in "iuf" and bool(np.all(values % 1 == 0))


class Joined(NamedTuple):
    """Whose objects the rows of a table are: the `key` of these, by which column; in words.

    `sure`: its name says so, and each object has a row; `numbers`: those of the rows, where no
    column has them; `counted`: 1, 2, 3 … are all that says so.
    """

    key: str = ""
    column: str = ""
    note: str = ""
    sure: bool = False
    numbers: tuple[int, ...] = ()
    counted: bool = False


def objects_in(
    key: str, snap: LayerSnapshot, *, part: bool = False, stop: Callable[[], None] = lambda: None
) -> Objects | None:
    """Return the objects of pixels, None where they hold none: brightness, colours, fractions.

    `stop` is called before each block that is read.
    """
    import pandas as pd

    if not snap.kind.is_pixels or snap.data is None or snap.rgb:
        return None
    array = snap.pixels
    if np.dtype(array.dtype).kind not in "biu" or nbytes(array) > _MOST:
        return None
    if snap.kind is not LayerKind.LABELS and is_bright(array):
        return None
    outer = [i for i, axis in enumerate(snap.geometry.axes) if axis in "TC"]
    frames: dict[tuple[int, ...], set[int]] = {}
    sizes = Counter[int]()
    for place in blocks(array):
        stop()
        block = np.moveaxis(read(array, place), outer, range(len(outer)))
        for index in np.ndindex(block.shape[: len(outer)]):
            at = tuple(place[axis].start + i for axis, i in zip(outer, index, strict=True))
            codes, numbers = pd.factorize(block[index].ravel())
            counts = dict(zip(numbers.tolist(), np.bincount(codes).tolist(), strict=True))
            frames.setdefault(at, set()).update(counts)
            sizes.update(counts)
    for number in [number for number in sizes if number <= 0]:  # −1 are lines, no object
        del sizes[number]
    again = sum(len(found & sizes.keys()) for found in frames.values()) > len(sizes)
    bare = snap.kind is not LayerKind.LABELS
    deep = sum(n > 1 for n in array.shape) - len([i for i in outer if array.shape[i] > 1]) > 2
    made = Objects(snap.name, frozenset(sizes), key, again, part, bare, sizes, deep)
    return made if sizes else None


def joined_by(table: Table, images: Callable[[], Sequence[Objects]]) -> Joined:
    """Say whose objects the rows of `table` are: of the only one whose numbers a column has.

    Names of columns suggest, numbers decide, and sizes most of all. 1, 2, 3 … may be numbers of
    rows as well: they count where each object has one. Where no column has numbers, sizes may
    tell that rows are in their order. `images` is called where some column may hold numbers or
    sizes.
    """
    doubts: list[str] = []
    refused: list[str] = []
    named, sizes = object_ids(table, things=True), sizes_in(table)
    for column in dict.fromkeys([*named, *table] if sizes else []):
        certain = column not in named or tells_objects(column)
        numbers = _numbers(table[column])
        if not isinstance(numbers, set) or (column not in named and len(numbers) < MANY):
            continue
        fitting = _fitting(numbers, images(), certain=certain)
        proven = [one for one in fitting if by_sizes(table, column, one, sizes).proven]
        if len(proven) == 1:
            return _joined(table, column, proven[0], Said(proven=True))
    for column in named:
        numbers = _numbers(table[column])
        if numbers is None or not (found := images()):
            continue
        if isinstance(numbers, str):
            doubts.append(f"the numbers of its column “{column}” are {numbers}")
            continue
        fitting = _fitting(numbers, found, doubts, column, certain=tells_objects(column))
        best = [one for one in fitting if numbers >= one.ids] or fitting
        if len(best) > 1:
            both = " and ".join(f"“{image.name}”" for image in best)
            return Joined(note=f"not joined: its column “{column}” fits both {both}")
        if not best:
            continue
        said = by_sizes(table, column, best[0], sizes, found)
        if said.others or (said.far and not tells_objects(column)):
            of = said.others or f"sizes that are not those of the objects of “{column}”"
            refused.append(f"its column “{said.far}” gives {of}")
        elif other := _another(table, column, best[0], found):
            refused.append(f"its columns “{column}” and “{other}” number the rows differently")
            if not (other in named and _higher(table, other, column)):
                break
        else:
            return _joined(table, column, best[0], said)
    ordered = [one for one in images() if in_order(sizes, one)] if sizes else []
    if len(ordered) == 1:
        told = f"its rows are the objects of “{ordered[0].name}”, as their sizes say"
        told += _BARE * ordered[0].bare
        return Joined(ordered[0].key, "", told, numbers=tuple(sorted(ordered[0].ids)))
    why = [*refused, *doubts]
    return Joined(note=f"not joined: {why[0]}" if why else "")


def _fitting(
    numbers: set[int],
    images: Sequence[Objects],
    doubts: list[str] | None = None,
    column: str = "",
    *,
    certain: bool,
) -> list[Objects]:
    """Return the images whose objects may have these numbers; `doubts` takes why others not."""
    fitting: list[Objects] = []
    for image in images:
        if not (doubt := _unlike(numbers, image, certain=certain)):
            fitting.append(image)
        elif doubts is not None:
            doubts.append(doubt.format(column=column, name=image.name))
    return fitting


def _joined(table: Table, column: str, image: Objects, said: Said) -> Joined:
    numbers = {int(value) for value in table[column].tolist()}
    sure = tells_objects(column) and numbers >= image.ids
    counted = not said.proven and numbers - {0} == set(range(1, len(numbers - {0}) + 1))
    told = _told(numbers, image, column, said, counted=counted)
    bare = [] if said.proven else [name for name in object_ids(table) if not tells_objects(name)]
    for name in bare:  # what pandas counts from 0 says nothing
        rows = _numbers(table[name])
        of_rows = _counts_rows(table[name]) and not (isinstance(rows, set) and rows <= image.ids)
        if isinstance(rows, set) and not of_rows and not _same(table, column, name):
            told += f"; its column “{name}” numbers the rows otherwise: compare some"
    return Joined(image.key, column, told, sure, counted=counted)


def _another(table: Table, column: str, image: Objects, images: Sequence[Objects]) -> str:
    """Return another column that could number the rows of `image`, each otherwise; or none.

    Of two that differ by one in each row the lower counts the same from 0. One that may number
    rows, but does not count them, could number those of any of `images`.
    """
    named = object_ids(table, things=True)
    for name in table:
        numbers = _numbers(table[name])
        if not isinstance(numbers, set) or _same(table, column, name):
            continue
        known, fits = name in named and tells_objects(name), numbers <= image.ids | {0}
        if fits and (known or (len(numbers) >= MANY and _higher(table, name, column))):
            return name
        bare = name in named and not known and not _counts_rows(table[name])
        if bare and any(numbers - {0} <= one.ids for one in images):
            return name
    return ""


def _same(table: Table, column: str, name: str) -> bool:
    """Whether another column has the same numbers, or counts the same from 0."""
    return np.array_equal(table[name], table[column]) or _higher(table, column, name)


def _higher(table: Table, name: str, column: str) -> bool:
    """Whether a column counts one higher than another in each row."""
    return np.array_equal(table[name], table[column] + 1)


def _counts_rows(values: np.ndarray) -> bool:
    """Whether numbers are only 0, 1, 2 … or 1, 2, 3 …, in order."""
    first = values[0] if len(values) else 0
    return first in (0, 1) and np.array_equal(values, np.arange(len(values)) + first)


def _numbers(values: np.ndarray) -> set[int] | str | None:
    """Return the numbers of a column; what is wrong with them; None: it holds none."""
    if values.dtype.kind not in "iuf" or not len(values):
        return None
    # floats do not hold each larger whole number
    if values.dtype.kind == "f" and not (np.isfinite(values) & (np.abs(values) < 2**53)).all():
        return "not whole in each row"
    if not is_whole(values):
        return "not whole in each row"
    numbers = {int(value) for value in values.tolist()}
    return numbers if len(numbers) == len(values) else "the same in several rows"


def _unlike(numbers: set[int], image: Objects, *, certain: bool) -> str:
    """Say why `numbers` are hardly those of the objects of `image`; empty: they are."""
    rows = numbers - {0}
    strange, without = rows - image.ids, image.ids - rows
    if strange:
        of = f"{len(strange)} of its {count_text(len(rows), 'number')}"
        are = "is no object" if len(strange) == 1 else "are no objects"
        return f"{of} {are} of “{{name}}” (column “{{column}}”)"
    counted = rows == set(range(1, len(rows) + 1))
    several = without - _IGNORED if certain and len(without) == 1 else without
    if not rows or (0 in numbers and (without or not certain)) or (several and counted):
        return "its column “{column}” may count rows, not the objects of “{name}”"
    if without and not certain:
        of = f"{len(without)} of the {count_text(len(image.ids), 'object')} of “{{name}}”"
        return f"{of} {'is' if len(without) == 1 else 'are'} not in its column “{{column}}”"
    return ""


def _told(numbers: set[int], image: Objects, column: str, said: Said, *, counted: bool) -> str:
    without = len(image.ids - numbers)
    note = f"its rows are the objects of “{image.name}”, by the column “{column}”"
    if without:
        have = "has" if without == 1 else "have"
        note += f"; {without} of its {count_text(len(image.ids), 'object')} {have} no row"
    if said.proven:
        note += ", as their sizes say too"
    elif counted and not tells_objects(column):
        note += ", which may count rows as well: compare some before you rely on it"
    if said.far:
        note += f"; its column “{said.far}” gives other sizes than their pixels do: compare some"
    if said.near:
        note += f"; {said.near}: compare some before you rely on it"
    if 0 in numbers:
        note += "; its row 0 was taken for the background"
    if image.again:
        note += "; objects are in several frames or channels, where a row stands for all"
    note += _BARE * image.bare
    if image.part:
        note += "; of a part of the layer: what has the same number elsewhere was not measured"
    return note
