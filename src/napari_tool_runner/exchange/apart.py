"""Reading the files of strangers' tools in the reader's process (`tools.isolation`).

There a file is parsed as it would be here, by `read_file`. What is in memory then comes back as
plain numbers and text, and is checked. What is lazy (a mapped TIFF, a Zarr) was opened there
with all its metadata, and its middle was decoded: only then it is opened here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from napari_tool_runner._lazy import np
from napari_tool_runner.errors import OutputError
from napari_tool_runner.exchange.blocks import middle_plane
from napari_tool_runner.exchange.carriers import read_file
from napari_tool_runner.exchange.model import (
    Content,
    ShapeList,
    SurfaceData,
    geometry_from,
    geometry_told,
    items,
)
from napari_tool_runner.processes import half_of_memory
from napari_tool_runner.tools.formats import FORMATS, Carrier
from napari_tool_runner.tools.isolation.asking import Limits
from napari_tool_runner.tools.isolation.client import can_fork, reader
from napari_tool_runner.tools.isolation.operations import WithData
from napari_tool_runner.tools.isolation.wire import format_from, tell_format
from napari_tool_runner.tools.toolbox.entries import bundled_folder

if TYPE_CHECKING:
    from napari_tool_runner.exchange.model import Table
    from napari_tool_runner.tools.dialect import PlannedOutput
    from napari_tool_runner.tools.formats import Format, Formats
    from napari_tool_runner.tools.isolation.client import Talk

__all__ = ["ReadApart", "load_reader"]

_LIMITS = Limits(
    memory=max(2**31, half_of_memory()),  # as `check_fits`
    processor=3600,
    seconds=300.0,
    answer=64 * 2**20,
    data=2**30,
    maps=True,
)
"""Of one file; what is larger than `data` is opened here once it was read there."""

_AT_ONCE = 64  # files of one child: what a library leaves of one file stays for the next
_CARRIERS = "napari_tool_runner.exchange.carriers"
_READS = (
    *(__name__, "numpy"),
    *(f"{_CARRIERS}.{one}" for one in ("arrays", "geojson", "mesh")),
    *(f"{_CARRIERS}.{one}" for one in ("tables", "trackmate", "zarr")),
)
"""What reads files, but for what takes long to import: that is in `_NEEDS`."""
_TIFF = ("imagecodecs._zlib", "imagecodecs._deflate")
_NEEDS = {
    Carrier.ZARR: ("dask.array", f"{_CARRIERS}.zarr_store"),
    Carrier.TIFF: _TIFF,
    Carrier.HDF5: ("h5py",),
    Carrier.MESH: ("trimesh",),
    Carrier.PICTURE: ("imagecodecs._png", f"{_CARRIERS}.raster"),
    Carrier.MOVIE: _TIFF,
    Carrier.TABLE: ("encodings.utf_8_sig", "pandas"),
    Carrier.GEOJSON: ("encodings.utf_8_sig",),
}
_LAZY = ("zarr", "dask.array")
"""What opens files in parts; to import it takes longer than all the rest."""
_LARGE = 32 * 2**20
"""Bytes of an input whose results will be opened in parts."""


class _File(Protocol):
    @property
    def path(self) -> Path: ...


class ReadApart:
    """Reads the files of one job as `read_file` does, but elsewhere. Ends with its `close`.

    Parameters
    ----------
    root : Path
        The folder of the program that made them; nothing else can be read there.
    stop : callable
        Whether nobody wants them any more.
    trusted : bool
        They are read here after all.
    """

    def __init__(
        self, root: Path, stop: Callable[[], bool] = lambda: False, *, trusted: bool = False
    ) -> None:
        self.root, self._stop = root, stop
        self._here = trusted or not can_fork()
        self._opened = ExitStack()
        self._talk: Talk | None = None
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def prepare(
        self, formats: Formats, outputs: Iterable[PlannedOutput], inputs: Iterable[_File]
    ) -> None:
        """Have what reads `outputs`, made of `inputs`, imported there; does not wait for it.

        If all is imported, what will read them is forked, too, and waits behind its walls.
        """
        found = (formats.resolve(one.format) for one in outputs)
        read = [fmt for fmt in found if fmt.carrier is not Carrier.OPAQUE]
        if read and not self._here:
            load_reader(read)
            if any(one.path.stat().st_size > _LARGE for one in inputs):
                reader.load(_LAZY)
            self._talking().begin(f"read {self.root.name}", self.root)

    def close(self) -> None:
        """End the process that read; again does nothing."""
        self._opened.close()
        self._talk = None

    def __call__(
        self,
        path: Path,
        fmt: Format,
        *,
        name: str,
        writable: bool = False,
        root: Path | None = None,
    ) -> Content:
        """Open a file; takes and raises what `read_file` does, and JobCancelledError."""
        if root is None or self._here:
            return read_file(path, fmt, name=name, writable=writable, root=root)
        if self._count >= _AT_ONCE:
            self.close()
        talk = self._talking()
        if self._count == 0:
            load_reader([fmt])
        self._count += 1
        told, data = talk.ask(
            f"{__name__}:_read",
            {"path": str(path), "root": str(root), "name": name, "format": tell_format(fmt)},
            what=f"read {path.name}",
            path=path,
            blame=_blame,
        )
        if told == "lazy":
            reader.load(_LAZY)  # for the next one
        if told in ("lazy", "here"):
            return read_file(path, fmt, name=name, writable=writable, root=root)
        try:
            return _Unpacked(data).content(told)
        except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError) as error:
            raise _blame(f"To read {path.name} gave what is no data: {error}.", path) from error

    def _talking(self) -> Talk:
        if self._talk is None:
            talk = reader.talk(reads=[self.root], stop=self._stop, limits=_LIMITS)
            self._talk, self._count = self._opened.enter_context(talk), 0
        return self._talk


def load_reader(formats: Iterable[Format] = ()) -> None:
    """Have what reads files imported there, ahead of those of `formats`; does not wait for it."""
    needs = {name: None for fmt in formats for name in _NEEDS.get(fmt.carrier, ())}
    reader.load([*_READS, *needs])


def _blame(sentence: str, _: Path) -> OutputError:
    return OutputError(
        sentence,
        hint="The tool wrote a broken file, or one that means harm; it stays in the job's folder.",
    )


# -- there -------------------------------------------------------------------------------


def warm() -> None:
    """Read an image of ours as one of a stranger's is read."""
    path = bundled_folder().with_name("sample_data") / "drifted_pair.ome.tif"
    fmt = tell_format(FORMATS.of_file(path.name)[0])
    _read({"path": path, "root": path.parent, "name": path.name, "format": fmt})


def _read(of: dict[str, object]) -> object:
    path, root = Path(str(of["path"])), Path(str(of["root"]))
    content = read_file(path, format_from(of["format"]), name=str(of["name"]), root=root)
    packed = _Packed()
    told = packed.content(content)
    if told is None or packed.size > _LIMITS.data:
        return "here" if isinstance(content.data, np.ndarray) else "lazy"
    return WithData(told, packed.parts)


class _Packed:
    """Arrays and texts, one after another, and where each lies."""

    def __init__(self) -> None:
        self.parts: list[memoryview] = []
        self.size = 0

    def content(self, content: Content) -> dict[str, object] | None:
        """Return it in JSON types; None when it is lazy, and was looked at."""
        told: dict[str, object] = {
            "calibrated": content.calibrated, "rgb": content.rgb, "header": content.header,
            "notes": list(content.notes), "hidden": content.hidden,
            "geometry": content.geometry and geometry_told(content.geometry),
            "attributes": _tell_attributes(content.attributes),
        }  # fmt: skip
        match content.data:
            case dict():
                return told | {"table": self.table(content.table)}
            case ShapeList() as shapes:
                rows = shapes.vertices or (np.empty((0, 2)),)
                corners = np.concatenate(rows).astype(float)
                counts = np.array([len(one) for one in shapes.vertices], dtype=np.int64)
                return told | {
                    "corners": self.array(corners), "counts": self.array(counts),
                    "types": self.texts(shapes.types), "table": self.table(shapes.features),
                }  # fmt: skip
            case SurfaceData() as mesh:
                arrays = [mesh.vertices, mesh.faces, mesh.values]
                return told | {"mesh": [a if a is None else self.array(a) for a in arrays]}
            case np.ndarray() as pixels if not _is_mapped(pixels):
                return told | {"pixels": self.array(pixels)}
        for level in content.levels:
            middle_plane(level)
        return None

    def table(self, table: Table) -> list[object]:
        """Return the columns: numbers as an array, texts as texts."""
        return [
            [name, self.texts(c.tolist()) if c.dtype.kind == "O" else self.array(c)]
            for name, c in table.items()
        ]

    def array(self, values: np.ndarray) -> list[object]:
        """Return type, shape and place of an array."""
        whole = np.ascontiguousarray(values)
        data = whole.reshape(-1).view(np.uint8).data if whole.size else memoryview(b"")
        return [values.dtype.str, list(values.shape), *self._add(data)]

    def texts(self, values: Sequence[object]) -> list[object]:
        """Return the place of texts, numbers and gaps."""
        return ["", [len(values)], *self._add(memoryview(json.dumps(list(values)).encode()))]

    def _add(self, data: memoryview) -> tuple[int, int]:
        place = self.size
        gap = memoryview(bytes(-len(data) % 16))  # so that the next one is aligned
        self.parts += [data, gap]
        self.size += len(data) + len(gap)
        return place, len(data)


def _is_mapped(array: np.ndarray) -> bool:
    base: object = array
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap):
            return True
        base = base.base
    return False


def _tell_attributes(attributes: Mapping[str, object]) -> dict[str, object]:
    told = dict(attributes)
    if isinstance(graph := told.get("graph"), Mapping):
        told["graph"] = [[key, items(parents)] for key, parents in graph.items()]
    return told


# -- here --------------------------------------------------------------------------------


class _Unpacked:
    """What `_Packed` made, out of the hands of a stranger."""

    def __init__(self, data: bytearray) -> None:
        self.data = data

    def content(self, told: object) -> Content:
        """Return it; raises ValueError, TypeError or LookupError for what is none."""
        match told:
            case {
                "calibrated": bool(calibrated), "rgb": bool(rgb), "header": bool(header),
                "notes": list(notes), "hidden": str(hidden), "attributes": dict(attributes),
                "geometry": (dict() | None) as geometry, **rest,
            }:  # fmt: skip
                data = self._held(rest)
                own = None if geometry is None else geometry_from(geometry)
                if isinstance(data, np.ndarray) and (
                    own is None or own.shape != data.shape[: data.ndim - rgb]
                ):
                    raise ValueError("its axes are not those of its pixels")
                return Content(
                    data,
                    own,
                    calibrated=calibrated,
                    rgb=rgb,
                    header=header,
                    attributes=_attributes(attributes),
                    notes=tuple(map(str, notes)),
                    hidden=hidden,
                )
        raise ValueError("it is of another shape")

    def _held(self, rest: Mapping[object, object]) -> object:
        match rest:
            case {"pixels": where}:
                return self.array(where, "biufc")
            case {"mesh": [vertices, faces, values]}:
                corners, triangles = self.array(vertices, "f", 2), self.array(faces, "iu", 2)
                at = None if values is None else self.array(values, "f", 1)
                if triangles.size and not 0 <= triangles.min() <= triangles.max() < len(corners):
                    raise ValueError("it names vertices that it does not have")
                return SurfaceData(corners, triangles, at)
            case {"corners": corners, "counts": counts, "types": types, "table": table}:
                rows = self.array(corners, "f", 2)
                ends = [0, *np.cumsum(self.array(counts, "i", 1)).tolist()]
                kinds = tuple(map(str, self.texts(types)))
                if ends != sorted(ends) or ends[-1] != len(rows) or len(kinds) != len(ends) - 1:
                    raise ValueError("its shapes do not add up")
                parts = tuple(rows[start:end] for start, end in pairwise(ends))
                return ShapeList(parts, kinds, self.table(table, len(kinds)))
            case {"table": table}:
                return self.table(table)
        raise ValueError("it holds nothing")

    def table(self, told: object, count: int | None = None) -> Table:
        """Return columns of one length."""
        columns: Table = {}
        for entry in items(told):
            name, where = items(entry)
            if items(where)[0]:
                columns[str(name)] = self.array(where, "biuf", 1)
            else:
                words = self.texts(where)
                columns[str(name)] = column = np.empty(len(words), dtype=object)
                column[:] = words
        if len({len(column) for column in columns.values()} | ({count} - {None})) > 1:
            raise ValueError("its columns differ in length")
        return columns

    def array(self, told: object, kinds: str, ndim: int | None = None) -> np.ndarray:
        """Return an array, which may be written to."""
        match told:
            case [str(dtype), list(shape), int(place), int(size)]:
                kind = np.dtype(dtype)
                sizes = [int(str(one)) for one in shape]
                if kind.kind not in kinds or min(sizes, default=0) < 0 or place < 0:
                    raise ValueError(f"an array of {kind} in it is none")
                if ndim not in (None, len(sizes)) or math.prod(sizes) * kind.itemsize != size:
                    raise ValueError("an array of it has another size than it says")
                # a view of the bytes; checked against their number by numpy
                return np.ndarray(tuple(sizes), kind, self.data, place)
        raise ValueError("an array of it is none")

    def texts(self, told: object) -> list[object]:
        """Return texts, numbers and gaps."""
        match told:
            case ["", [int(count)], int(place), int(size)] if place >= 0 <= size:
                found = json.loads(self.data[place : place + size])
                plain = str | int | float | None
                if len(found) == count and all(isinstance(one, plain) for one in found):
                    return list(found)
        raise ValueError("a text of it is none")


def _attributes(told: Mapping[str, object]) -> dict[str, object]:
    found: dict[str, object] = {}
    if told.get("labels"):
        found["labels"] = True
    if "channel_names" in told:
        found["channel_names"] = tuple(map(str, items(told["channel_names"])))
    if isinstance(units := told.get("units"), Mapping):
        found["units"] = {str(name): str(unit) for name, unit in units.items()}
    if isinstance(separator := told.get("separator"), str) and len(separator) == 1:
        found["separator"] = separator
    if isinstance(told.get("samples"), int):
        found["samples"] = told["samples"]
    if "graph" in told:
        pairs = (items(entry) for entry in items(told["graph"]))
        found["graph"] = {
            int(str(key)): [int(str(one)) for one in items(parents)] for key, parents in pairs
        }
    return found
