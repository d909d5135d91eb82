"""Outputs of strangers' tools are read in a process without rights, and are what they were."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from napari_tool_runner.errors import JobCancelledError, OutputError
from napari_tool_runner.exchange import ReadApart, apart
from napari_tool_runner.exchange.carriers import read_file
from napari_tool_runner.exchange.model import Content, ShapeList, SurfaceData
from napari_tool_runner.tools.dialect import DataFile, PlannedOutput
from napari_tool_runner.tools.formats import FORMATS
from napari_tool_runner.tools.isolation import client
from napari_tool_runner.tools.isolation.walls import missing_walls
from napari_tool_runner.tools.model import DataOutput

pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="no process can fork"),
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.timeout(60),
]
PIXELS = np.arange(64, dtype=np.uint16).reshape(8, 8)
SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [4, 0], [4, 4], [0, 0]]]}


@pytest.fixture
def read(tmp_path: Path) -> Iterator[ReadApart]:
    with ReadApart(tmp_path) as reading:
        yield reading


def _text(name: str, text: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_text(text)
        return folder / name

    return make


def _tiff(folder: Path) -> Path:
    options = {"metadata": {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm"}}
    tifffile.imwrite(folder / "o.ome.tif", PIXELS, compression="zlib", **options)
    return folder / "o.ome.tif"


def _mapped(folder: Path) -> Path:
    tifffile.imwrite(folder / "o.tif", PIXELS)
    return folder / "o.tif"


def _zarr(folder: Path) -> Path:
    root = zarr.create_array(folder / "o.zarr", shape=(8, 8), chunks=(4, 4), dtype="u2")
    root[:] = PIXELS
    return folder / "o.zarr"


def _png(folder: Path) -> Path:
    from PIL import Image

    Image.fromarray(np.dstack([PIXELS.astype("u1")] * 3)).save(folder / "o.png")
    return folder / "o.png"


def _npy(folder: Path) -> Path:
    np.save(folder / "o.npy", PIXELS)
    return folder / "o.npy"


def _h5(folder: Path) -> Path:
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "o.h5", "w") as file:
        file["d"] = PIXELS
    return folder / "o.h5"


FEATURES = json.dumps([
    {"type": "Feature", "geometry": SQUARE, "properties": {"a": 1, "b": "x", "c": None}},
    {"type": "Feature", "geometry": SQUARE, "properties": {"a": 2, "b": "ü", "c": [1]}},
])  # fmt: skip
TRACKS = """<Model><AllSpots><SpotsInFrame frame="0">{}</SpotsInFrame></AllSpots><AllTracks><Track>
<Edge SPOT_SOURCE_ID="0" SPOT_TARGET_ID="1"/><Edge SPOT_SOURCE_ID="0" SPOT_TARGET_ID="2"/>
</Track></AllTracks></Model>""".format("".join(
    f'<Spot ID="{n}" FRAME="{n}" POSITION_X="1" POSITION_Y="2" POSITION_Z="0"/>' for n in range(3)
))  # fmt: skip
MADE: list[tuple[Callable[[Path], Path], str]] = [
    (_tiff, "tiff"), (_mapped, "tiff"), (_zarr, "zarr"), (_png, "png"), (_npy, "npy"), (_h5, "h5"),
    (_text("o.csv", "name,size,on\nü,1.5,True\n,nan,False\n\"a,b\",3,True\n"), "csv"),
    (_text("o.csv", ""), "csv"),
    (_text("o.geojson", FEATURES), "geojson"),
    (_text("o.geojson", "[]"), "geojson"),
    (_text("o.obj", "v 0 0 0\nv 0 1 0\nv 1 0 0\nf 1 2 3\n"), "obj"),
    (_text("o.xml", TRACKS), "trackmatemodel"),
    (_text("o.csv", "1\n2\n"), "numbercsv"),
]  # fmt: skip


def plain(content: Content) -> list[object]:
    """Return all of it as what can be compared."""
    told = replace(content, data=None)
    data = content.data
    match data:
        case ShapeList():
            parts = [v.tolist() for v in data.vertices], data.types
            return [told, *parts, *((k, v.dtype, v.tolist()) for k, v in data.features.items())]
        case SurfaceData():
            return [told, data.vertices.tolist(), data.faces.tolist(), data.values]
        case dict():
            return [told, *((k, v.dtype, list(map(repr, v.tolist()))) for k, v in data.items())]
    return [told, content.pixels.dtype, np.asarray(content.pixels).tolist()]


@pytest.mark.parametrize(("make", "fmt"), MADE, ids=lambda one: getattr(one, "__name__", one))
def test_what_is_read_there_is_what_is_read_here(
    make: Callable[[Path], Path], fmt: str, tmp_path: Path, read: ReadApart
) -> None:
    path, row = make(tmp_path), FORMATS.resolve(fmt)
    here = read_file(path, row, name="o", root=tmp_path)
    assert plain(read(path, row, name="o", root=tmp_path)) == plain(here)


def test_one_child_reads_all_files_of_a_job(tmp_path: Path, read: ReadApart) -> None:
    path = _text("o.csv", "a,b\n1,2\n")(tmp_path)
    row, children = FORMATS["csv"], set()
    for _ in range(apart._AT_ONCE + 1):
        read(path, row, name="o", root=tmp_path)
        assert read._talk is not None
        assert read._talk._open is not None
        children.add(read._talk._open[1])
    assert len(children) == 2


def test_what_reads_results_waits_while_the_program_runs(tmp_path: Path, read: ReadApart) -> None:
    path = _text("o.csv", "a,b\n1,2\n")(tmp_path)
    output = PlannedOutput(DataOutput(name="o", format="csv"), path, "csv")
    with ReadApart(tmp_path) as first:
        first(path, FORMATS["csv"], name="o", root=tmp_path)  # nothing is left to import
    read.prepare(FORMATS, [output], [])
    assert read._talk is not None
    waiting = read._talk._open
    assert waiting is not None
    assert read(path, FORMATS["csv"], name="o", root=tmp_path).table is not None
    assert read._talk._open is waiting


def test_small_results_do_not_wait_for_what_opens_large_ones(
    tmp_path: Path, read: ReadApart, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []
    monkeypatch.setattr(apart.reader, "load", loaded.extend)
    row, large = FORMATS["ome.tiff"], tmp_path / "large.tif"
    output = PlannedOutput(DataOutput(name="o", format="ome.tiff"), large, "ome.tiff")
    for path in (_tiff(tmp_path), _mapped(tmp_path)):
        read.prepare(FORMATS, [output], [DataFile(path, "ome.tiff", "o")])
        read(path, row, name="o", root=tmp_path)
    assert not {"zarr", "dask.array"} & {*loaded}
    tifffile.imwrite(large, np.zeros((65, 1024, 1024), np.uint8), compression="zlib")
    assert read(large, row, name="o", root=tmp_path).pixels.shape == (65, 1024, 1024)
    assert {"zarr", "dask.array"} <= {*loaded}
    loaded.clear()
    with large.open("ab") as file:
        file.truncate(33 * 2**20)
    read.prepare(FORMATS, [output], [DataFile(large, "ome.tiff", "o")])  # as they will be needed
    assert {"zarr", "dask.array"} <= {*loaded}


@pytest.fixture
def flaw(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Have the reader's process run something in the place of a library, as a flaw could."""
    own = client.Reader()

    def install(body: str) -> Path:
        module = tmp_path / "lib" / "broken_library.py"
        module.parent.mkdir()
        inner = "\n    ".join(body.splitlines())
        module.write_text(f"def _read(of):\n    path = of['path']\n    {inner}\n")
        monkeypatch.syspath_prepend(str(module.parent))
        monkeypatch.setattr(apart, "__name__", "broken_library")
        monkeypatch.setattr(apart, "reader", own)
        return _text("o.csv", "a,b\n1,2\n")(tmp_path)

    yield install
    own.close()


@pytest.mark.skipif(bool(missing_walls()), reason="no walls here")
@pytest.mark.parametrize(
    "body",
    [
        "open(path, 'w')",
        "open('/etc/hostname').read()",
        "__import__('socket').socket()",
        "s = __import__('socket'); s.socketpair(s.AF_UNIX, s.SOCK_DGRAM)",
        "__import__('os').kill(__import__('os').getppid(), 9)",
        "__import__('subprocess').run(['true'])",
        "bytearray(2**45)",
        "__import__('os').abort()",
        "__import__('os')._exit(0)",
    ],
)
def test_a_flaw_of_a_library_gets_nothing(
    body: str, tmp_path: Path, flaw: Callable[[str], Path], read: ReadApart
) -> None:
    path = flaw(body)
    with pytest.raises(OutputError, match=r"o\.csv") as refused:
        read(path, FORMATS["csv"], name="o", root=tmp_path)
    assert "job's folder" in str(refused.value)
    assert path.read_text() == "a,b\n1,2\n"


@pytest.mark.timeout(90)
def test_what_never_ends_is_ended(
    tmp_path: Path, flaw: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, stop = flaw("while True: pass"), threading.Event()
    with ReadApart(tmp_path, stop.is_set) as read:
        threading.Timer(1.0, stop.set).start()
        with pytest.raises(JobCancelledError, match=r"o\.csv"):
            read(path, FORMATS["csv"], name="o", root=tmp_path)
        stop.clear()
        monkeypatch.setattr(apart, "_LIMITS", replace(apart._LIMITS, seconds=0.5))
        read.close()
        with pytest.raises(OutputError, match=r"read o\.csv took longer than 0\.5 s"):
            read(path, FORMATS["csv"], name="o", root=tmp_path)


GOOD: dict[str, object] = {
    "calibrated": False, "rgb": False, "header": True, "notes": [], "attributes": {},
    "geometry": None, "table": [["a", ["<i8", [1], 0, 8]]],
}  # fmt: skip
AXES = ["YX", [2, 2], [1, 1], [0, 0], ["px", "px"], []]
IMAGE = {"table": None, "pixels": ["|u1", [2, 2], 0, 4], "geometry": AXES}


@pytest.mark.parametrize(
    "change",
    [
        {"table": [["a", ["<i8", [2**40], 0, 2**43]]]},
        {"table": [["a", ["<i8", [2], 0, 8]]]},
        {"table": [["a", ["<i8", [1], 8, 8]]]},
        {"table": [["a", ["<i8", [1], -8, 8]]]},
        {"table": [["a", ["<i8", [-1], 0, -8]]]},
        {"table": [["a", ["|O", [1], 0, 8]]]},
        {"table": [["a", ["<i8", [1], 0, 8]], ["b", ["|u1", [2], 0, 2]]]},
        {"table": [["a", ["", [1], 0, 8]]]},
        {"table": 3},
        {"table": None},
        {"notes": 3},
        {"rgb": 1},
        {"attributes": {"graph": [1]}},
        {**IMAGE, "geometry": None},
        {**IMAGE, "geometry": [*AXES[:1], [3, 2], *AXES[2:]]},
        {**IMAGE, "geometry": ["YX", [2, 2], [1], [0, 0], ["px", "px"], []]},
        {"mesh": [["<f8", [0, 3], 0, 0], ["<i8", [0, 3], 0, 0], None, 1], "table": None},
        {"corners": ["<f8", [0, 2], 0, 0], "counts": ["<i8", [1], 0, 8], "types": ["", [0], 0, 0]},
    ],
)
def test_an_answer_is_not_believed(
    change: dict[str, object], tmp_path: Path, flaw: Callable[[str], Path], read: ReadApart
) -> None:
    body = "from napari_tool_runner.tools.isolation.operations import WithData\n"
    path = flaw(f"{body}return WithData({GOOD | change!r}, [memoryview(bytes(8))])")
    with pytest.raises(OutputError, match=r"o\.csv gave what is no data"):
        read(path, FORMATS["csv"], name="o", root=tmp_path)


def test_more_data_than_there_may_be(
    tmp_path: Path, flaw: Callable[[str], Path], read: ReadApart
) -> None:
    line = b'{"answer": 1, "bytes": 99999999999}\n'
    code = f"for n in range(3, 60):\n try: __import__('os').write(n, {line!r})\n except OSError: 0"
    path = flaw(code)
    with pytest.raises(OutputError, match="more than"):
        read(path, FORMATS["csv"], name="o", root=tmp_path)
