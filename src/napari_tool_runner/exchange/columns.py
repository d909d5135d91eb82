"""What the columns of a table say: by their names, coordinates, axes, units and ids.

A name is a place, an axis and a unit, in any order and writing: ``Centroid X µm``, ``x [nm]``,
``AreaShape_Center_X``, ``POSITION_X``, ``X_position``, ``centroid-0``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from napari_tool_runner._lazy import compiled, np
from napari_tool_runner.exchange.axes import letter
from napari_tool_runner.exchange.units import canonical, dimension, is_length

if TYPE_CHECKING:
    from napari_tool_runner.exchange.model import Table

__all__ = [
    "AXIS",
    "Column",
    "coordinate_columns",
    "counting_notes",
    "hints_sizes",
    "is_measured",
    "object_ids",
    "own_layout",
    "tells_objects",
    "tells_sizes",
    "track_columns",
    "units_by_column",
]

AXIS = compiled(r"axis[-_ ]?(\d{1,9})$", re.IGNORECASE)
"""napari's names of coordinates."""
_LONGEST = 100  # a longer name means nothing
_PLACE = (
    r"(?:areashape|weighted|object|centroid|cent(?:er|re)|of|the|mass|coord(?:inate)?s?|loc(?:ation)?"
    r"|pos(?:ition)?|com|spot|peak|point|c)"
)
# of the words for axes those that columns have, best first: a width is a measure
_AXES = (
    "x", "col", "column", "y", "row", "z", "plane", "slice", "t", "frame", "frames",
    "timepoint", "timestep", "time",
)  # fmt: skip
_FRAMES = ("frame", "frames", "timepoint", "timestep")  # are counted, whatever else says a time
_COUNT = compiled(
    r"(frames?|timepoint|timestep|time|plane|slice|^[tz](?=index))(?:number|num|nr|no|index|idx|ix|id)$"
)
# What may be a number of frames, or of something else, as of CellProfiler's images.
_PERHAPS_TIME = compiled(r"time|frame|cycle|metadatat|image(?:number|index|id|no)$")
_MIXED = "several"
_POSITIONS = {"frame": "T", "pos_z": "Z", "pos_y": "Y", "pos_x": "X"}
_NAME = compiled(rf"({_PLACE}*)({'|'.join(sorted(_AXES, key=len)[::-1])})({_PLACE}*)")
_NUMBERED = compiled(rf"(?=.*(?:cent|pos|coord|loc))({_PLACE}+)(\d)")
_BARE_UNIT = r"[nµμumc]m|microns?|(?:micro|nano)met(?:er|re)s?|px|(?:pix|vox)(?:els?)?"
_BARE_TIME = r"m?s|sec(?:onds?)?|h|hrs?|hours?|minutes?|(?<=time.)min"  # x_min is no time
_UNIT_IN_BRACKETS = compiled(r"(.[^(\[]*+)[(\[](.*)[)\]]", re.DOTALL)
_UNIT_AT_END = compiled(
    rf"(.+?)(?:(?<=[\s_.:])({_BARE_UNIT}|{_BARE_TIME})|(?<=^[xyz])({_BARE_UNIT}))",
    re.IGNORECASE | re.DOTALL,
)
# What an id is called, best first: the bare ``id`` of a row with a track's is its own.
_TRACK_IDS = ("trackid", "track", "tracknumber", "trajectory", "trajectoryid", "particle", "id")
_LABELS = ("labelimageoid", "label", "labels", "labelid")
_OBJECTS = ("objectnumber", "numberobjectnumber", "objectid")
_BARE = ("index", "id", "object")  # may number rows
# of a table of points these are the numbers of others
_THINGS = ("object", "cell", "nucleus", "nuclei", "region", "roi", "segment", "mask", "instance")
_THING_IDS = [f"{thing}{word}" for thing in _THINGS for word in ("id", "label", "number", "index")]
_OF = "|".join((*_THINGS, "nuc", "cyto", "particle", "grain", "blob", "colony"))
# the size of an object itself: not of its box, hull, holes or spots, no class, share or width
_SIZE = compiled(
    rf"(?:areashape|physical|total)?(?:{_OF})?(?:area|vol(?:ume)?|size)(?:in)?"
    rf"(?:units?|(?:sq)?(?:{_BARE_UNIT}))?[23²³]?0?"
    rf"|(?:(?:n|nb|num|number|tot|total)(?:of)?)?(?:obj|{_OF})?(?:pix|vox)(?:els?)?(?:count)?0?"
)
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
    """Return the letters and digits of a name; none of one that is too long to mean anything."""
    return re.sub(r"[\W_]", "", name.lower()) if len(name) <= _LONGEST else ""


def _bare(name: str, units: Mapping[str, str]) -> tuple[str, str]:
    """Return a name without its unit, and the unit; `units`: what stands below the header."""
    short = name.strip() if len(name) <= _LONGEST else ""
    # which ends with a bracket is looked at first: one pattern for both would try each bracket
    bracket = short.endswith((")", "]"))
    found = (_UNIT_IN_BRACKETS if bracket else _UNIT_AT_END).fullmatch(short)
    unit = units.get(name, "") if found is None else found[found.lastindex or 0]
    return _plain(name if found is None else found[1]), _unit(unit)


def _meaning(name: str, units: Mapping[str, str]) -> Column | None:
    """Return what a column means by its name, None when it is no coordinate."""
    bare, unit = _bare(name, units)
    word = _COUNT.sub(r"\1", bare)
    found = _NAME.fullmatch(word.removeprefix("metadata"))
    if found is None or found[0] in ("ct", "tc"):
        return None
    axis, place = letter(found[2]), found[1] + found[3]
    if bare.startswith("metadata") and axis != "T":
        return None  # of a plate
    if dimension(unit) and (dimension(unit) == "time") != (axis == "T"):
        return None
    if found[2] in _FRAMES or (axis == "T" and word != bare):
        unit = unit or "pixel"
    if found[2] in ("row", "col", "column"):
        place = f"grid {place}"
    return Column(name, axis, unit, place, _AXES.index(found[2]))


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


def tells_sizes(name: str, *, deep: bool = False) -> bool:
    """Whether a column's name says that it holds how large objects are, in whatever unit.

    `deep`: objects of a volume, whose area may be that of their surface.
    """
    plain = _plain(name)
    surface = deep and "area" in plain.removeprefix("areashape")
    return "%" not in name and bool(_SIZE.fullmatch(plain)) and not surface


def hints_sizes(name: str) -> bool:
    """Whether a column's name hints that it grows with the size: of an outline, a hull, a box."""
    return bool(re.search(r"area|vol|size|pix|vox|count", _plain(name)))


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


def own_layout(names: Sequence[str]) -> list[Column]:
    """Return the coordinates of a table as layers are written, the order of its columns tells.

    Those of points and vectors are ``(index,) axis-0, axis-1…``, of tracks ``ID, T, (C,) (Z,)
    Y, X`` (without the ID), of points of some formats ``pos_x, pos_y, (pos_z,) (frame,) index``.
    All others are features, whatever they are called. Empty: it is a table of others.
    """
    names = list(names)
    before = names[: names.index("index")] if "index" in names else []
    if before[:2] == ["pos_x", "pos_y"] and set(before) <= set(_POSITIONS):
        return [Column(name, axis) for name, axis in _POSITIONS.items() if name in before]
    if names[:2] == ["ID", "T"]:
        space = re.match(r"(?:C,)?(?:Z,)?Y,X(?=,|$)", ",".join(names[2:]))
        return [Column(axis, axis) for axis in ["T", *space[0].split(",")]] if space else []
    rest = names[names[:1] == ["index"] :]
    count = next((i for i, name in enumerate(rest) if name != f"axis-{i}"), len(rest))
    if count < 2 or f"axis-{count}" in rest:
        return []
    return [Column(name) for name in rest[:count]]


def coordinate_columns(table: Table, units: Mapping[str, str] = {}) -> list[Column]:
    """Return the columns that are coordinates, in the order of axes; empty: none.

    Known are those of `own_layout`, else ``axis-0…``, ``x y z`` and ``row col``, bare or as a
    position or centre, with a unit or without, and scikit-image's ``centroid-0…``, all of them
    with ``t`` or ``frame``.

    Parameters
    ----------
    units : mapping
        What the table says of its columns beside their names.
    """
    numeric = {name: column for name, column in table.items() if column.dtype.kind in "biuf"}
    if (own := own_layout(list(table))) and {column.name for column in own} <= set(numeric):
        return own
    table = numeric
    time, space = _time(table, units), _in_order(table) or _numbered(table, units)
    if not space:
        space = _space(table, units)
        return [time, *space] if time and space else space
    if time and len(space) in (3, 4) and _is_same(table, time, space[0]):
        time, space = space[0]._replace(axis="T", unit="pixel"), space[1:]
    if time is None or len(space) > 3:
        return space
    named = zip(space, "ZYX"[-len(space) :], strict=True)
    return [time, *(column._replace(axis=column.axis or axis) for column, axis in named)]


def counting_notes(
    table: Table, columns: Sequence[Column], units: Mapping[str, str] = {}
) -> list[str]:
    """Return what is doubtful of `columns`: where they count from, which of them is the time.

    Here 0 is the middle of the first pixel, as in scikit-image, CellProfiler, TrackMate and
    napari. In QuPath, ImageJ's results and ThunderSTORM it is its corner; MATLAB begins with 1.
    """
    if own_layout(list(table)):
        return []
    names, notes = [column.name for column in columns], list(_time_notes(table, columns, units))
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
    for name, axis, unit, *_ in columns:
        values = np.asarray(table[name])
        whole = values.size and np.array_equal(values, np.rint(values)) and values.min() >= 1
        if axis in ("T", "Z") and unit in ("", "pixel") and whole and not name[-1:].isdigit():
            notes.append(
                f"The column “{name}” begins with {values.min():g} and may count from 1 (ImageJ, "
                "ThunderSTORM, Imaris): it was taken as counted from 0."
            )
    space = [column.name for column in columns if column.axis != "T"]
    if space and all(re.fullmatch(r"(?i)centroid_[123]", name) for name in space):
        notes.append(
            f"{', '.join(space)} may count pixels from 1 (MATLAB): they were taken as counted "
            "from 0, places are one pixel too large then."
        )
    return notes


def _time_notes(
    table: Table, columns: Sequence[Column], units: Mapping[str, str]
) -> Iterator[str]:
    """Yield what may be wrong with the column that was taken for time, or for none."""
    time = next((column for column in columns if column.axis == "T"), None)
    if time and time.name not in [column.name for column in _known(table, units)]:
        yield f"“{time.name}” is the same as the column of frames: it was taken for the time."
    for other in _known(table, units):
        if other.axis != "T" or other.name == getattr(time, "name", ""):
            continue
        if time is None:
            yield f"The column “{other.name}” says a time and was not taken for a coordinate."
        elif other.unit in ("", "pixel") and not _is_same(table, time, other):
            yield f"“{time.name}” was taken for the time, not “{other.name}”."
    if time is None:
        known = [column.name for column in _known(table, units) if column.axis == "T"]
        perhaps = [n for n in table if _PERHAPS_TIME.match(_plain(n)) and n not in known]
        yield from (
            f"The column “{name}” was not taken for time: call it “frame” if it counts from 0."
            for name in perhaps
            if len({*table[name]}) > 1
        )
        return
    steps = np.diff(np.unique(table[time.name][np.isfinite(table[time.name])]))
    if not time.unit and len(steps) and (steps.min() > 1 or (steps % 1).any()):
        yield (
            f"The column “{time.name}” has steps of {steps.min():g} and says no unit: it was "
            f"taken for the number of the frame. Call it “{time.name} [s]” if it is in seconds."
        )


def track_columns(table: Table, units: Mapping[str, str] = {}) -> list[Column]:
    """Return the columns of tracks: id, time, then space; empty when there are none."""
    by_name = {_plain(name): name for name in reversed(list(table))}
    identity = next((by_name[name] for name in _TRACK_IDS if name in by_name), None)
    columns, time = coordinate_columns(table, units), _time(table, units)
    if time and len(columns) == 2 and own_layout(list(table)):
        columns = [time, *columns]
    return [Column(identity), *columns] if identity and len(columns) >= 3 else []


def _known(table: Table, units: Mapping[str, str]) -> list[Column]:
    """Return the columns of numbers (not of NaN alone) whose names say an axis."""
    return [
        meaning
        for name, column in table.items()
        if column.dtype.kind in "biu"
        or (column.dtype.kind == "f" and not (len(column) and np.isnan(column).all()))
        if (meaning := _meaning(name, units))
    ]


def _is_same(table: Table, one: Column, other: Column) -> bool:
    """Whether two columns hold the same numbers, of which there are several."""
    first, second = (np.asarray(table[column.name], float) for column in (one, other))
    return len({*first}) > 1 and np.array_equal(first, second, equal_nan=True)


def _time(table: Table, units: Mapping[str, str]) -> Column | None:
    found = [column for column in _known(table, units) if column.axis == "T"]
    # Frames are the axis of the image; seconds are what they mean.
    return min(found, key=lambda c: (_sureness(c.unit), c.rank), default=None)


def _sureness(unit: str) -> int:
    """Return how sure a column is the axis of an image: pixels and frames first, lengths last."""
    return {"pixel": 0, "": 1}.get(unit, 2)


def _space(table: Table, units: Mapping[str, str]) -> list[Column]:
    """Return the columns (z,) y, x of the best kind of position.

    Pixels are certain; a centre or position is more than a bare x, and this more than row
    and column, which may be those of a plate of wells. Axes of one kind in several units are
    better than none: each of them says its own.
    """
    known = sorted(_known(table, units), key=lambda column: _sureness(column.unit))
    kinds: dict[tuple[str, str], dict[str, Column]] = {}
    for column in known:
        for unit in (column.unit, _MIXED):
            kinds.setdefault((column.place, unit), {}).setdefault(column.axis, column)

    def order(key: tuple[str, str]) -> tuple[bool, bool, int, int]:
        place, unit = key
        least = 3 if unit == _MIXED else _sureness(unit)
        return place.startswith("grid"), "weighted" in place, least, -len(place)

    flat = min(
        (k for k, found in kinds.items() if {"X", "Y"} <= set(found)), key=order, default=None
    )
    if flat is None:
        return []
    depths = [column for column in known if column.axis == "Z" and column.place in (flat[0], "")]
    depth = min(depths, key=lambda c: (c.place != flat[0], c.unit != flat[1]), default=None)
    return [column for column in (depth, kinds[flat]["Y"], kinds[flat]["X"]) if column]


def _in_order(table: Table) -> list[Column]:
    """Return ``axis-0…`` of a table in another layout than ours."""
    found = {int(m[1]): name for name in table if (m := AXIS.match(name))}
    whole = len(found) >= 2 and sorted(found) == list(range(len(found)))
    return [Column(found[i]) for i in sorted(found)] if whole else []


def _numbered(table: Table, units: Mapping[str, str]) -> list[Column]:
    """Return ``centroid-0…`` in the order of axes; x comes first where they begin with 1.

    So they do in MATLAB's tables; ilastik's centres of objects have x first, too.
    """
    groups: dict[str, dict[int, Column]] = {}
    for name in table:
        bare, unit = _bare(name, units)
        if found := _NUMBERED.fullmatch(bare):
            groups.setdefault(found[1], {})[int(found[2])] = Column(name, unit=unit)
    for place, group in sorted(groups.items(), key=lambda found: "weighted" in found[0]):
        columns = [group[i] for i in sorted(group)]
        if len(group) < 2 or max(group) - min(group) != len(group) - 1:
            continue
        if len(group) <= 3 and (min(group) == 1 or "object" in place):
            return [c._replace(axis=a) for c, a in zip(columns, "XYZ", strict=False)][::-1]
        if min(group) == 0:
            return columns
    return []
