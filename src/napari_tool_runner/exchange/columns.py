"""What the columns of a table say: by their names, coordinates, axes, units and ids; numbers.

A name is a place, an axis and a unit, in any order and writing: ``Centroid X µm``, ``x [nm]``,
``AreaShape_Center_X``, ``POSITION_X``, ``X_position``, ``centroid-0``.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_tool_runner.exchange.axes import letter
from napari_tool_runner.exchange.units import canonical, is_length

if TYPE_CHECKING:
    from napari_tool_runner.exchange.model import Table

__all__ = [
    "AXIS",
    "NOTHING",
    "WHOLE",
    "Column",
    "as_numbers",
    "coordinate_columns",
    "counting_notes",
    "grouped_names",
    "has_decimal_comma",
    "is_measured",
    "is_number",
    "may_be_decimals",
    "object_ids",
    "tells_objects",
    "track_columns",
    "unique_names",
    "units_by_column",
    "units_line",
]

AXIS = re.compile(r"axis[-_ ]?(\d+)$", re.IGNORECASE)
"""napari's names of coordinates."""
_PLACE = (
    r"(?:areashape|object|centroid|cent(?:er|re)|of|the|mass|coord(?:inate)?s?|loc(?:ation)?"
    r"|pos(?:ition)?|com|spot|peak|point|c)"
)
# of the words for axes those that columns have, best first: a width is a measure
_AXES = (
    "x", "col", "column", "y", "row", "z", "plane", "slice", "t", "frame", "frames",
    "timepoint", "time",
)  # fmt: skip
_NAME = re.compile(rf"({_PLACE}*)({'|'.join(sorted(_AXES, key=len)[::-1])})({_PLACE}*)")
_NUMBERED = re.compile(rf"(?=.*(?:cent|pos|coord|loc))({_PLACE}+)(\d)")
_BARE_UNIT = r"[nµμumc]m|microns?|(?:micro|nano)met(?:er|re)s?|px|(?:pix|vox)(?:els?)?"
_WITH_UNIT = re.compile(
    rf"(.+?)[\s_.:]*(?:[(\[](.*?)[)\]]|(?<=[\s_.:])({_BARE_UNIT}|s|sec))", re.IGNORECASE
)
NOTHING = {"", "na", "n/a", "nan", "-nan", "none", "null"}
WHOLE = re.compile(r"[+-]?\d+")
# A number, maybe with groups of thousands; where only the groups say what a comma means.
_PLAIN = r"[+-]?(?:(?:\d+(?:{0}\d*)?|{0}\d+)(?:[eE][+-]?\d+)?|(?i:inf(?:inity)?))"
COMMA = re.compile(_PLAIN.format(",") + r"|[+-]?[1-9]\d{0,2}(?:[.' \u00a0\u202f]\d{3})+(?:,\d+)?")
POINT = re.compile(_PLAIN.format(r"\.") + r"|[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?")
GROUPS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?")
_UNIT = re.compile(r"[(\[].*[)\]]|px|pixels?|[nµμum]m[²³23]?|microns?|s|sec|seconds?|frames?|%")
# What an id is called, best first: the bare ``id`` of a row with a track's is its own.
_TRACK_IDS = ("trackid", "track", "tracknumber", "trajectory", "trajectoryid", "particle", "id")
_LABELS = ("label", "labels", "labelid")
_OBJECTS = ("objectnumber", "numberobjectnumber", "objectid")
_BARE = ("index", "id", "object")  # may number rows
# of a table of points these are the numbers of others
_THINGS = ("object", "cell", "nucleus", "nuclei", "region", "roi", "segment", "mask", "instance")
_THING_IDS = [f"{thing}{word}" for thing in _THINGS for word in ("id", "label", "number", "index")]
_MEASURED = {*_LABELS, *_OBJECTS, "object", "area", "volume", "areashapearea"}


class Column(NamedTuple):
    """A coordinate: `axis` is empty where only the order tells; so is a unit not told.

    `place`: what kind of position it is, of its name; `rank`: of names for the same.
    """

    name: str
    axis: str = ""
    unit: str = "pixel"
    place: str = ""
    rank: int = 0


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower())


def _bare(name: str, units: Mapping[str, str]) -> tuple[str, str]:
    """Return a name without its unit, and the unit; `units`: what stands below the header."""
    found = _WITH_UNIT.fullmatch(name.strip())
    unit = units.get(name, "") if found is None else found[2] or found[3]
    return _plain(name if found is None else found[1]), _unit(unit)


def _meaning(name: str, units: Mapping[str, str]) -> Column | None:
    """Return what a column means by its name, None when it is no coordinate."""
    bare, unit = _bare(name, units)
    found = _NAME.fullmatch(bare)
    if found is None or found[0] in ("ct", "tc"):
        return None
    place = found[1] + found[3]
    if found[2] in ("row", "col", "column"):
        place = f"grid {place}"
    return Column(name, letter(found[2]), unit, place, _AXES.index(found[2]))


def _unit(text: str) -> str:
    pixels = re.fullmatch(r"px|(?:pix|vox)(?:els?)?", text.strip(), re.IGNORECASE)
    return "pixel" if pixels else canonical(text) if text.strip() else ""


def object_ids(names: Iterable[object], *, things: bool = False) -> list[str]:
    """Return those of `names` that number objects, best first; `things`: also ``cell_id``."""
    by_name = {_plain(str(name)): str(name) for name in reversed(list(names))}
    wanted = [*_LABELS, *_OBJECTS, *(_THING_IDS if things else ()), *_BARE]
    return [by_name[name] for name in dict.fromkeys(wanted) if name in by_name]


def tells_objects(name: str) -> bool:
    """Whether a column's name says that it numbers objects; a bare ``id`` may number rows."""
    return _plain(name) not in _BARE


def units_by_column(table: Table, told: object, notes: list[str]) -> dict[str, str]:
    """Return the units of columns: `told` beside their names, or in a column of units.

    Imaris writes ``Position X,Position Y,Unit`` with ``um`` in every row.
    """
    units = {str(k): str(v) for k, v in told.items()} if isinstance(told, Mapping) else {}
    name = next((n for n in table if _plain(n) in ("unit", "units")), None)
    if name is None or table[name].dtype.kind != "O" or not len(table[name]):
        return units
    found = sorted({str(cell).strip() for cell in table[name]})
    if len(found) > 1:
        notes.append(
            f"The column “{name}” says several units, none is used: {', '.join(found[:3])}."
        )
    elif _unit(found[0]) == "pixel" or is_length(_unit(found[0])):
        for column in table:
            known = _meaning(column, units)
            if known and known.axis in "XYZ" and not known.unit and known.place:
                units[column] = found[0]
    return units


def is_measured(names: Iterable[str]) -> bool:
    """Whether columns are those of measured objects: with their number, area or volume."""
    return not _MEASURED.isdisjoint(_bare(name, {})[0] for name in names)


def coordinate_columns(table: Table, units: Mapping[str, str] = {}) -> list[Column]:
    """Return the columns that are coordinates, in the order of axes; empty: none.

    Known are ``axis-0…``, ``x y z`` with ``t``/``frame`` and ``row col``, bare or as a
    position or centre, with a unit or without, and scikit-image's ``centroid-0…``.

    Parameters
    ----------
    units : mapping
        What the table says of its columns beside their names.
    """
    if list(table)[:2] != ["pos_x", "pos_y"]:  # what `points_table` doubles
        found = {int(m[1]): name for name in table if (m := AXIS.match(name))}
        if len(found) >= 2 and sorted(found) == list(range(len(found))):
            return [Column(found[i]) for i in sorted(found)]
        if numbered := _numbered(table, units):
            return numbered
    time = _time(table, units)
    space = _space(table, units)
    return [time, *space] if time and space else space


def counting_notes(table: Table, columns: Sequence[Column]) -> list[str]:
    """Return what is known of where `columns` count from, when it is not as here.

    Here 0 is the middle of the first pixel, as in scikit-image, CellProfiler, TrackMate and
    napari. In QuPath, ImageJ's results and ThunderSTORM it is its corner; MATLAB begins with 1.
    """
    names, notes = [column.name for column in columns], list[str]()
    if any(name.lower() == "slice" for name in names):
        notes.append("The column “Slice” was taken as z, counted from 0.")
    space = [column.name for column in columns if column.axis in ("X", "Y")]
    centroid = any(re.match(r"Centroid [XY] (?:µm|px)$", name) for name in space)
    nanometres = any(re.match(r"[xy] \[nm\]$", name) for name in space)
    results = {*space} == {"X", "Y"} and not {"Area", "Mean", "%Area"}.isdisjoint(table)
    if centroid or nanometres or results:
        notes.append(
            f"{', '.join(space)} may count from the corner of the first pixel (QuPath, ImageJ, "
            "ThunderSTORM): taken from its middle, places are half a pixel too large then."
        )
    own = list(table)[:2] == ["ID", "T"]  # as `tracks_table` writes them
    for name, axis, unit, *_ in () if own else columns:
        values = np.asarray(table[name])
        whole = values.size and np.array_equal(values, np.rint(values)) and values.min() >= 1
        if axis in ("T", "Z") and unit in ("", "pixel") and whole:
            notes.append(
                f"The column “{name}” begins with {values.min():g} and may count from 1 (ImageJ, "
                "ThunderSTORM, Imaris): it was taken as counted from 0."
            )
    if names and all(re.fullmatch(r"(?i)centroid_[123]", name) for name in names):
        notes.append(
            f"{', '.join(names)} may count pixels from 1 (MATLAB): they were taken as counted "
            "from 0, places are one pixel too large then."
        )
    return notes


def track_columns(table: Table, units: Mapping[str, str] = {}) -> list[Column]:
    """Return the columns of tracks: id, time, then space; empty when there are none."""
    by_name = {_plain(name): name for name in reversed(list(table))}
    identity = next((by_name[name] for name in _TRACK_IDS if name in by_name), None)
    time = _time(table, units)
    columns = [column for column in coordinate_columns(table, units) if column != time]
    if list(table)[:3] == ["ID", "T", "C"]:  # a channel has no depth: tracks have three axes
        columns = [Column("C", "C", "pixel"), *columns]
    columns = [time, *columns] if time else columns
    return [Column(identity), *columns] if identity and len(columns) >= 3 else []


def _known(table: Table, units: Mapping[str, str]) -> list[Column]:
    """Return the columns of numbers (not of NaN alone) whose names say an axis."""
    numeric = [
        name
        for name, column in table.items()
        if column.dtype.kind in "biu"
        or (column.dtype.kind == "f" and not (len(column) and np.isnan(column).all()))
    ]
    found = [meaning for name in numeric if (meaning := _meaning(name, units))]
    if list(table)[:2] == ["ID", "T"]:  # as `tracks_table` writes them
        found = [c._replace(unit="pixel") for c in found if c.name in ("T", "Z", "Y", "X")]
    return found


def _time(table: Table, units: Mapping[str, str]) -> Column | None:
    found = [column for column in _known(table, units) if column.axis == "T"]
    # Frames are the axis of the image; seconds are what they mean.
    return min(found, key=lambda c: (c.unit not in ("", "pixel"), c.rank), default=None)


def _space(table: Table, units: Mapping[str, str]) -> list[Column]:
    """Return the columns (z,) y, x of the best kind of position.

    Pixels are certain; a centre or position is more than a bare x, and this more than row
    and column, which may be those of a plate of wells.
    """
    kinds: dict[tuple[str, str], dict[str, Column]] = {}
    for column in _known(table, units):
        kinds.setdefault((column.place, column.unit), {}).setdefault(column.axis, column)

    def order(key: tuple[str, str]) -> tuple[bool, int, int]:
        place, unit = key
        return place.startswith("grid"), {"pixel": 0, "": 1}.get(unit, 2), -len(place)

    flat = min(
        (k for k, found in kinds.items() if {"X", "Y"} <= set(found)), key=order, default=None
    )
    if flat is None:
        return []
    depths = [
        found["Z"]
        for key, found in kinds.items()
        if "Z" in found and key in (flat, ("", flat[1]), ("", ""))
    ]
    depth = min(depths, key=lambda c: (c.place != flat[0], c.unit != flat[1]), default=None)
    return [column for column in (depth, kinds[flat]["Y"], kinds[flat]["X"]) if column]


def _numbered(table: Table, units: Mapping[str, str]) -> list[Column]:
    """Return ``centroid-0…`` in the order of axes; x comes first where they begin with 1.

    So they do in MATLAB's tables; ilastik's centres of objects have x first, too.
    """
    groups: dict[str, dict[int, Column]] = {}
    for name in table:
        bare, unit = _bare(name, units)
        if found := _NUMBERED.fullmatch(bare):
            groups.setdefault(found[1], {})[int(found[2])] = Column(name, unit=unit)
    for place, group in groups.items():
        columns = [group[i] for i in sorted(group)]
        if len(group) < 2 or max(group) - min(group) != len(group) - 1:
            continue
        if len(group) <= 3 and (min(group) == 1 or "object" in place):
            return [c._replace(axis=a) for c, a in zip(columns, "XYZ", strict=False)][::-1]
        if min(group) == 0:
            return columns
    return []


def is_number(cell: str) -> bool:
    """Whether a cell says a number, or that there is none."""
    try:
        float(cell or "nan")
    except ValueError:
        return bool(COMMA.fullmatch(cell))
    return True


def may_be_decimals(row: Sequence[str]) -> bool:
    """Whether a comma between two cells may be one within a number."""
    pairs = [f"{a},{b}" for a, b in itertools.pairwise(row) if a and b]
    return any(COMMA.fullmatch(pair) or POINT.fullmatch(pair) for pair in pairs)


def units_line(rows: Sequence[Sequence[str]]) -> int:
    """Return which row below the header holds units, with words above it; 0: none does.

    Columns whose next rows are numbers say their unit there, as in TrackMate's tables.
    """
    for i, row in enumerate(rows[1:4], start=1):
        if any(cell and is_number(cell) for cell in row):
            return 0
        below = rows[i + 1 : i + 6]
        of_numbers = [
            cell
            for cell, *others in zip(row, *below, strict=False)
            if cell and any(o and is_number(o) for o in others)
        ]
        if 2 * sum(bool(_UNIT.fullmatch(cell)) for cell in of_numbers) > len(of_numbers):
            return i
    return 0


def grouped_names(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the names in the second of two lines; empty where there is one.

    The first says the group of each, as CellProfiler's object (``Image,Nuclei,Nuclei``); it
    is put before a name that is in several groups.
    """
    if len(rows) < 3 or len({*rows[0]}) == len(rows[0]) or len(rows[0]) != len(rows[1]):
        return []
    if any(cell and is_number(cell) for cell in rows[1]) or not any(map(is_number, rows[2])):
        return []
    if units_line(rows) or len({*rows[1]}) == 1:
        return []
    groups = list(rows[0])
    for i in range(1, len(groups)):
        groups[i] = groups[i] or groups[i - 1]
    return [
        f"{group}_{name}".strip("_") if rows[1].count(name) > 1 else name
        for group, name in zip(groups, rows[1], strict=True)
    ]


def unique_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return names of columns, each once; what pandas writes for its index has no name."""
    found: list[str] = []
    for i, name in enumerate(names):
        plain = name or ("index" if i == 0 else f"column-{i + 1}")
        number = sum(plain == other or other.startswith(f"{plain}.") for other in found)
        found.append(f"{plain}.{number}" if plain in found else plain)
    return tuple(found)


def has_decimal_comma(texts: Sequence[Sequence[str]], separator: str) -> bool:
    """Whether the columns that are no plain numbers are some with a decimal comma.

    ``1,234`` may be either: where commas separate cells it has a group of thousands.
    """
    found = False
    for column in texts:
        cells = [cell for cell in column if cell.lower() not in NOTHING]
        if any("," in cell and "." in cell and GROUPS.fullmatch(cell) for cell in cells):
            return False
        commas = [cell for cell in cells if "," in cell]
        if commas and all(map(COMMA.fullmatch, cells)):
            found |= separator != "," or not all(map(GROUPS.fullmatch, commas))
    return found


def as_numbers(
    cells: Sequence[str], name: str, notes: list[str], *, comma: bool
) -> np.ndarray | None:
    """Return cells as numbers, None when they are none; whole ones keep every digit."""
    given = [cell for cell in cells if cell.lower() not in NOTHING]
    if not given or not all(map((COMMA if comma else POINT).fullmatch, given)):
        return None
    group = r"[.' \u00a0\u202f]" if comma else ","
    plain = [re.sub(group, "", cell).replace(",", ".") for cell in cells]
    grouped = next((i for i, cell in enumerate(cells) if re.search(group, cell)), None)
    if grouped is not None:
        notes.append(f"“{cells[grouped]}” in the column “{name}” was read as {plain[grouped]}.")
    missing = [cell.lower() in NOTHING for cell in cells]
    if all(WHOLE.fullmatch(p) for p, none in zip(plain, missing, strict=True) if not none):
        whole = [int(p) for p, none in zip(plain, missing, strict=True) if not none]
        low, high = min(whole), max(whole)
        if not any(missing) and (high < 2**63 or low >= 0) and -(2**63) <= low <= high < 2**64:
            return np.array(whole, np.int64 if high < 2**63 else np.uint64)
        if max(high, -low) > 2**53:
            rest = iter(whole)
            return np.array([None if none else next(rest) for none in missing], dtype=object)
    return np.array([np.nan if n else float(p) for p, n in zip(plain, missing, strict=True)])
