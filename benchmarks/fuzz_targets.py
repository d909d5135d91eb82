"""What is fuzzed: every reader of something that strangers write (see `fuzz`)."""

from __future__ import annotations

import ast
import io
import json
import re
import shlex
import struct
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tifffile

from benchmarks.fuzz import HERE, Target
from napari_tool_runner.config import load_config
from napari_tool_runner.errors import (
    DescriptorError,
    ParameterError,
    TemplateError,
    ToolRunnerError,
    WorkspaceError,
)
from napari_tool_runner.exchange.blocks import middle_plane
from napari_tool_runner.exchange.carriers import read_file
from napari_tool_runner.jobs.past.history import history, read_record
from napari_tool_runner.jobs.past.scan import row_of
from napari_tool_runner.jobs.past.snippets import as_command, as_python
from napari_tool_runner.jobs.record import RunRecord
from napari_tool_runner.jobs.workspace import parse_progress
from napari_tool_runner.names import file_name, safe_name
from napari_tool_runner.plugins.contract import Event, OutputLine
from napari_tool_runner.plugins.programs.output import LineSplitter
from napari_tool_runner.quoting import comment, one_line, python_value, shell_line
from napari_tool_runner.storage import NewerError, parse_json
from napari_tool_runner.tools import bind
from napari_tool_runner.tools.bioimageit.rendering import parse_template
from napari_tool_runner.tools.checker import check_tool
from napari_tool_runner.tools.common import Notes, read_shed
from napari_tool_runner.tools.dialect import DataFile, JobPaths
from napari_tool_runner.tools.formats import FORMATS, read_formats_file
from napari_tool_runner.tools.isolation.operations import command_from
from napari_tool_runner.tools.isolation.rendering import render
from napari_tool_runner.tools.isolation.wire import decode, encode, error_from, formats_from
from napari_tool_runner.tools.reader import read_tool
from napari_tool_runner.tools.toolbox.categories import category_tree
from napari_tool_runner.tools.toolbox.entries import make_entry
from napari_tool_runner.tools.tree import map_data

if TYPE_CHECKING:
    from napari_tool_runner.tools.model import DataParameter, InputItem, Tool

__all__ = ["TARGETS"]

SHIPPED = HERE / "src" / "napari_tool_runner" / "bundled_tools"
PIXELS = np.arange(64, dtype=np.uint16).reshape(8, 8)
_LARGE = 1 << 26


# -- descriptors -------------------------------------------------------------------------


def _descriptors(galaxy: bool) -> list[bytes]:
    paths = sorted(SHIPPED.glob("*/*.xml"))
    return [p.read_bytes() for p in paths if p.parent.name.startswith("galaxy_") is galaxy]


def _descriptor(data: bytes, folder: Path) -> None:
    path = folder / "t.xml"
    path.write_bytes(data)
    with suppress(ToolRunnerError):
        make_entry(path, folder, "box")
    with suppress(ToolRunnerError):
        tool = read_tool(path)
        assert tool.id
        _told_apart(tool.inputs)
        check_tool(tool)
        _render(tool, folder)


def _told_apart(items: Sequence[InputItem]) -> None:
    """What stands in one form side by side has names of its own; cases may have the same."""
    names = [item.name for item in items]
    assert len(names) == len(set(names)), names
    for item in items:
        for group in getattr(item, "inside", ()):
            _told_apart(group)


def _render(tool: Tool, folder: Path) -> None:
    def some(name: str, parameter: DataParameter, value: object) -> object:
        if isinstance(value, list | tuple):
            return [some(name, parameter, entry) for entry in value]
        return DataFile(folder / "inputs" / "i.tif", "imagetiff", "i")

    try:
        values = map_data(tool.inputs, bind(tool, {}), some)
        rendered = render(tool, values, JobPaths(folder), {})  # Galaxy: in the reader's process
    except (ParameterError, TemplateError, DescriptorError):
        return
    assert all(isinstance(argument, str) for argument in rendered.argv)
    assert all(planned.path.parent == folder / "outputs" for planned in rendered.outputs)
    assert len({planned.path for planned in rendered.outputs}) == len(rendered.outputs)


# -- tables and records ------------------------------------------------------------------


def _formats(data: bytes, folder: Path) -> None:
    (folder / "f.json").write_bytes(data)
    with suppress(ToolRunnerError):
        FORMATS.extended(read_formats_file(folder / "f.json"))


def _shed(data: bytes, folder: Path) -> None:
    (folder / ".shed.yml").write_bytes(data)
    read_shed(folder, Notes())


def _toolboxes(data: bytes, folder: Path) -> None:
    (folder / "toolboxes.json").write_bytes(data)
    category_tree([], [folder / "toolboxes.json"], [])


def _config(data: bytes, folder: Path) -> None:
    (folder / "c.json").write_bytes(data)
    with suppress(ToolRunnerError):
        config = load_config(folder / "c.json")
        assert isinstance(config.notes, tuple)
        config.cpus, config.memory_bytes, config.keep_days, config.toolbox_dirs  # noqa: B018
        assert config.workspaces.is_absolute()


def _one_record() -> list[bytes]:
    when = datetime(2026, 1, 2, tzinfo=UTC).isoformat()
    told = {
        "version": 2, "id": "20260102-000000-abcdef", "state": "done",
        "tool": {"id": "copy", "name": "Copy", "version": "1", "descriptor": "copy.xml"},
        "parameters": {"sigma": 2.0, "name": "x", "many": [1, 2], "none": None},
        "inputs": [{"name": "input", "label": "i", "path": "io/inputs/i.tif", "sha256": "0" * 64,
                    "format": "imagetiff", "source": {"kind": "file", "path": "/data/i.tif"}}],
        "outputs": [{"name": "output", "element": "", "path": "io/outputs/o.tif",
                     "format": "imagetiff"}],
        "command": {"argv": ["cp", "a", "b"]}, "runner": {"service": "LOCAL"},
        "times": {"created": when, "started": when, "finished": when},
        "host": {"name": "here", "pid": 1}, "exit_code": 0,
    }  # fmt: skip
    part = {"mode": "each", "ndim": 2, "crop": [[0, 4], [0, 4]]}
    found = [told, {**told, "version": 1, "inputs": []}, {**told, "extent": part}]
    for one in found:
        RunRecord.from_json(one, Path("/x"))  # what is no record is changed to no purpose
    return [json.dumps(one).encode() for one in found]


def _record(data: bytes, folder: Path) -> None:
    job = folder / "copy" / "20260102-000000-abcdef"
    job.mkdir(parents=True)
    (job / "record.json").write_bytes(data)
    listed = len(history(folder))
    try:
        read_record(job / "record.json")
    except WorkspaceError as error:
        newer = isinstance(error.__cause__, NewerError)
    else:
        newer = False
    assert listed == (not newer), "a bad one is told, too, unless a newer version wrote it"
    with suppress(ToolRunnerError):
        record = read_record(job / "record.json")
        row_of(record)
        again = RunRecord.from_json(record.to_json(), job)
        again = replace(again, times=record.times)  # they are kept to the millisecond
        assert again == record, "a record is not what it was when written again"
        shlex.split(as_command(record), comments=True)
        _runs_only_one_call(as_python(record))


def _runs_only_one_call(script: str) -> None:
    """Nothing of a record is code."""
    kinds = (ast.Import, ast.ImportFrom, ast.Assign, ast.Expr, ast.For)
    body = ast.parse(script).body
    assert all(isinstance(node, kinds) for node in body), script
    called = [ast.unparse(n.func) for n in ast.walk(ast.parse(script)) if isinstance(n, ast.Call)]
    allowed = {"run", "prepare", "run_job", "Extent", "float", "print"}
    left = [call for call in {*called} - allowed if not re.fullmatch(r"\w+\.outputs\.items", call)]
    assert not left, called


# -- between processes -------------------------------------------------------------------


def _answers() -> list[bytes]:
    output = ["output", "/job/outputs/o.tif", "imagetiff", "", []]
    answer = {"argv": ["cp", "a"], "files": [["/job/x.txt", "text"]], "environment": {"A": "b"},
              "script": "", "notes": ["one"], "outputs": [output]}  # fmt: skip
    error = {"error": "TemplateError", "message": "m", "hint": "h", "name": "", "line": "$x"}
    return [json.dumps(one).encode() for one in ({"answer": answer}, error, {"ended": -9})]


def _answer(data: bytes, folder: Path) -> None:
    tool = read_tool(_a_tool())
    try:
        told = parse_json(data)
    except ValueError:
        return
    if not isinstance(told, dict):
        return
    error = error_from(told, "fill the template", Path("t.xml"))
    assert isinstance(error, ToolRunnerError)
    with suppress(ValueError):
        found = command_from(told.get("answer"), tool, JobPaths(Path("/job")))
        places = [*found.files, *(planned.path for planned in found.outputs)]
        assert all(Path("/job") in p.parents and ".." not in p.parts for p in places), places
        assert all(isinstance(one, str) for one in (*found.argv, *found.environment.values()))


def _a_tool() -> Path:
    path = Path(tempfile.gettempdir()) / "ntr-fuzz-copy.xml"
    if not path.exists():
        from benchmarks.soak import DESCRIPTOR

        path.write_text(DESCRIPTOR, encoding="utf-8")
    return path


def _requests() -> list[bytes]:
    file = DataFile(Path("/a/b.tif"), "imagetiff", "b", {"dbkey": "x"})
    values = {"i": file, "n": 1, "t": (1, 2.5), "m": {"x": [None, True]}}
    rows = [["x", ".x", ["image"], "tiff", [], [], []]]
    return [json.dumps(one).encode() for one in (encode(values), rows)]


def _request(data: bytes, folder: Path) -> None:
    try:
        told = parse_json(data)
    except ValueError:
        return
    with suppress(ValueError):
        value = decode(told)
        assert decode(encode(value)) == value or b"NaN" in data
    if isinstance(told, list) and all(isinstance(row, list) for row in told):
        with suppress(ValueError):
            formats_from(told)


# -- results -----------------------------------------------------------------------------


def _result(name: str, fmt: str, data: bytes, folder: Path) -> None:
    path = folder / name
    path.write_bytes(data)
    _read(path, fmt, folder)


def _read(path: Path, fmt: str, folder: Path) -> None:
    with suppress(ToolRunnerError):
        found = read_file(path, FORMATS.resolve(fmt), name="o", root=folder).data
        size = int(np.prod([float(n) for n in getattr(found, "shape", ())]))
        if getattr(found, "ndim", 0):
            middle_plane(found)  # what we look at ourselves
        if size < _LARGE:
            with suppress(Exception):  # told by the viewer, when it comes to the damaged part
                np.asarray(found)


def _tiffs() -> list[bytes]:
    found = []
    for options in ({}, {"ome": True}, {"imagej": True}, {"compression": "zlib"},
                    {"tile": (16, 16)}):  # fmt: skip
        file = io.BytesIO()
        tifffile.imwrite(file, np.stack([PIXELS, PIXELS]), **options)
        found.append(file.getvalue())
    return found


def _pngs() -> list[bytes]:
    from PIL import Image

    found = []
    for pixels in (PIXELS.astype(np.uint8), np.zeros((8, 8, 3), np.uint8), PIXELS):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        found.append(file.getvalue())
    return found


def _npys() -> list[bytes]:
    file = io.BytesIO()
    np.save(file, PIXELS)
    return [file.getvalue()]


def _hdf5s() -> list[bytes]:
    import h5py

    file = io.BytesIO()
    with h5py.File(file, "w") as store:
        store["data"] = PIXELS
    return [file.getvalue()]


def _zarrs() -> list[bytes]:
    """Stores as one text, so that a change is one of their files."""
    import zarr

    found = []
    for version in (2, 3):
        with tempfile.TemporaryDirectory() as name:
            place = Path(name)
            group = zarr.open_group(place, mode="w", zarr_format=version)
            array = group.create_array("0", shape=(8, 8), chunks=(4, 4), dtype="u2")
            array[:] = PIXELS
            axes = [{"name": one, "type": "space"} for one in "yx"]
            scale = [{"type": "scale", "scale": [1.0, 1.0]}]
            levels = [{"path": "0", "coordinateTransformations": scale}]
            group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": levels}]
            parts = [(p.relative_to(place), p) for p in sorted(place.rglob("*")) if p.is_file()]
            rows = [f"{inside}\n".encode() + p.read_bytes() for inside, p in parts]
            found.append(_MARK.join(rows))
    return found


_MARK = b"\n=====\n"


def _zarr(data: bytes, folder: Path) -> None:
    place = folder / "o.zarr"
    place.mkdir()
    for part in data.split(_MARK):
        name, _, content = part.partition(b"\n")
        path = place / name.decode("utf-8", "replace").replace("\0", "_")
        if ".." in path.parts or not path.is_relative_to(place) or len(str(path)) > 1000:
            continue
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    _read(place, "ome_zarr", folder)


TRIANGLE = b"0 0 0\n1 0 0\n0 1 0\n"
PLY = b"""ply
format ascii 1.0
element vertex 3
property float x
property float y
property float z
element face 1
property list uchar int vertex_indices
end_header
"""
PLY_BINARY = PLY.replace(b"ascii", b"binary_little_endian") + struct.pack(
    "<9fB3i", 0, 0, 0, 1, 0, 0, 0, 1, 0, 3, 0, 1, 2
)
STL = b"""solid o
facet normal 0 0 1
outer loop
vertex 0 0 0
vertex 1 0 0
vertex 0 1 0
endloop
endfacet
endsolid o
"""
STL_BINARY = bytes(80) + struct.pack("<I12fH", 1, *([0.0] * 3), 0, 0, 0, 1, 0, 0, 0, 1, 0, 0)
GEOJSON = json.dumps({"type": "FeatureCollection", "features": [
    {"type": "Feature", "properties": {"name": "a", "area": 2.5}, "geometry": one} for one in (
        {"type": "Point", "coordinates": [1, 2]},
        {"type": "LineString", "coordinates": [[1, 2], [3, 4]]},
        {"type": "Polygon", "coordinates": [[[0, 0], [4, 0], [4, 4], [0, 0]]]},
        {"type": "MultiPolygon", "coordinates": [[[[0, 0], [4, 0], [4, 4], [0, 0]]]]},
    )
]}).encode()  # fmt: skip
TRACKMATE = b"""<?xml version="1.0"?><TrackMate version="7"><Model spatialunits="pixel">
<AllSpots><SpotsInFrame frame="0"><Spot ID="1" name="a" POSITION_X="1" POSITION_Y="2"
POSITION_Z="0" FRAME="0"/></SpotsInFrame><SpotsInFrame frame="1"><Spot ID="2" POSITION_X="2"
POSITION_Y="2" POSITION_Z="0" FRAME="1"/></SpotsInFrame></AllSpots><AllTracks>
<Track name="t" TRACK_ID="0"><Edge SPOT_SOURCE_ID="1" SPOT_TARGET_ID="2"/></Track></AllTracks>
<FilteredTracks><TrackID TRACK_ID="0"/></FilteredTracks></Model></TrackMate>"""
GLTF = {
    "asset": {"version": "2.0"}, "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
    "nodes": [{"mesh": 0}], "scenes": [{"nodes": [0]}], "buffers": [{"byteLength": 36}],
    "bufferViews": [{"buffer": 0, "byteLength": 36}],
    "accessors": [{"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"}],
}  # fmt: skip


def _glb() -> list[bytes]:
    told = json.dumps(GLTF).encode()
    told += b" " * (-len(told) % 4)
    body = struct.pack("<9f", 0, 0, 0, 1, 0, 0, 0, 1, 0)
    size = 12 + 8 + len(told) + 8 + len(body)
    return [struct.pack("<4sIII4s", b"glTF", 2, size, len(told), b"JSON") + told
            + struct.pack("<I4s", len(body), b"BIN\0") + body]  # fmt: skip


# -- texts -------------------------------------------------------------------------------

LINES = [
    b"37%\n12.5 %\r 3/10 x\r[[3/10]] text\n3 of 10\n",
    b" 45%|####5     | 45/100 [00:10<00:12, 4.5it/s]\r\n",
    b"<filter-progress>0.4</filter-progress>\n<filter-comment>x</filter-comment>\n",
    "\x1b[31mé\x1b[0m 5 %\n".encode(),
]


def _progress(data: bytes, folder: Path) -> None:
    whole, parts = _lines([data]), _lines([data[at : at + 7] for at in range(0, len(data), 7)])
    assert whole == parts, "lines depend on the pieces in which they come"
    for line in whole:
        found = parse_progress(line)
        assert found is None or 0 <= found.done <= found.total, found


def _lines(pieces: Sequence[bytes]) -> list[str]:
    events: list[Event] = []
    splitter = LineSplitter(events.append, "stdout", clock=lambda: 0.0)
    for piece in pieces:
        splitter.feed(piece)
    splitter.close()
    return [e.text for e in events if isinstance(e, OutputLine) and not e.transient]


COMMANDS = [
    b"prog -i ${x} --o=${o} 'a b' \"c d\" e\\ f",
    b"cp '$x' \"${y}\" --n=${z} ; rm",
    "é ‮ a\x1b[201~\n$(id) `id` 'q\"".encode(),
]


def _command(data: bytes, folder: Path) -> None:
    text = data.decode("utf-8", "replace")
    with suppress(ToolRunnerError):
        parse_template(text)
    words = text.replace("\0", "").split("|")
    assert not set(shell_line(words)) & set("\x1b\r\x07\x9b")
    seen = [word for word in words if word.isprintable()]
    assert shlex.split(shell_line(seen)) == seen
    assert ast.literal_eval(python_value([words, {text: text}])) == [words, {text: text}]
    for flat in (one_line(text), comment(text)):
        assert len(flat.splitlines()) <= 1
        assert flat.isprintable()


def _name(data: bytes, folder: Path) -> None:
    text = data.decode("utf-8", "surrogatepass" if b"\xed" not in data else "replace")
    for name in (safe_name(text), file_name(text)):
        assert name not in ("", ".", "..")
        assert not set(name) & set('/\\\0<>:"|?*\n')
        assert len(name.encode()) <= 200
        (folder / name).write_bytes(b"x")


def _texts(data: bytes, folder: Path) -> None:
    _name(data.decode("utf-8", "replace").encode(), folder)


def _of(*seeds: bytes) -> Callable[[], list[bytes]]:
    return lambda: [*seeds]


def _file(name: str, fmt: str, seeds: Callable[[], list[bytes]]) -> Target:
    return Target(seeds, partial(_result, name, fmt))


TARGETS = {
    "bioimageit": Target(partial(_descriptors, False), _descriptor),
    "galaxy": Target(partial(_descriptors, True), _descriptor),
    "formats": Target(
        _of(b'{"formats": [{"name": "x", "extension": "tif", "viewer": "napari"}]}'), _formats
    ),
    "shed": Target(
        _of(b"categories: [A, B]\nhomepage_url: https://example.org\ntype: unrestricted\n"), _shed
    ),
    "toolboxes": Target(
        _of(b'{"categories": [{"id": "a", "name": "A", "parent": "b", "doc": "https://x"}]}'),
        _toolboxes,
    ),
    "config": Target(
        _of(b'{"workspace": "/x", "runner": {"service": "LOCAL", "memory": "4 GB", "cpus": 2},'
            b' "process": {"xml_dirs": ["/t"]}, "jobs": {"timeout": 60}, "formats": {}}'),
        _config,
    ),
    "record": Target(_one_record, _record),
    "answer": Target(_answers, _answer),
    "request": Target(_requests, _request),
    "tiff": _file("o.tif", "imagetiff", _tiffs),
    "png": _file("o.png", "png", _pngs),
    "npy": _file("o.npy", "npy", _npys),
    "hdf5": _file("o.h5", "h5", _hdf5s),
    "zarr": Target(_zarrs, _zarr),
    "ply": _file("o.ply", "ply", _of(PLY + TRIANGLE + b"3 0 1 2\n", PLY_BINARY)),
    "obj": _file("o.obj", "obj", _of(b"v 0 0 0\nv 1 0 0\nv 0 1 0\nvn 0 0 1\nf 1//1 2//1 3//1\n")),
    "stl": _file("o.stl", "stl", _of(STL, STL_BINARY)),
    "off": _file("o.off", "off", _of(b"OFF\n3 1 0\n" + TRIANGLE + b"3 0 1 2\n")),
    "glb": _file("o.glb", "glb", _glb),
    "csv": _file("o.csv", "csv", _of(b"index,axis-0,axis-1,name\n0,1.5,2,a\n1,2,3,\"b,c\"\n",
                                     b"a;b\n1,5;2\n")),
    "geojson": _file("o.geojson", "geojson", _of(GEOJSON)),
    "json": _file("o.json", "json", _of(b'{"a": [1, 2, {"b": null}]}')),
    "trackmate": _file("o.xml", "trackmatemodel", _of(TRACKMATE)),
    "progress": Target(_of(*LINES), _progress),
    "command": Target(_of(*COMMANDS), _command),
    "name": Target(_of(b"../a/b.tif", "CON.é‮／x.".encode(), b"aux .txt"), _texts),
}  # fmt: skip
