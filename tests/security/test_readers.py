"""Files of strangers that no reader gets through: each is refused, soon, and with a sentence."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import struct
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr

from napari_tool_runner.errors import OutputError
from napari_tool_runner.exchange import ReadApart
from napari_tool_runner.exchange.carriers import read_file
from napari_tool_runner.tools.dialect import DataFile
from napari_tool_runner.tools.file_types import check_pages
from napari_tool_runner.tools.formats import FORMATS
from napari_tool_runner.tools.galaxy.metadata import dataset_metadata

pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="links and pipes of POSIX"),
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.timeout(30),
]
RAN = Path(tempfile.mkdtemp()) / "a-pickle-ran"
PIXELS = np.arange(64, dtype=np.uint16).reshape(8, 8)


class Payload:
    """Makes a file when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return (open, (str(RAN), "w"))


def a_zarr(place: Path, **array: object) -> Path:
    """Write a small image as Zarr 2, with other metadata."""
    root = zarr.create_array(
        place, shape=(8, 8), chunks=(4, 4), dtype="u2", zarr_format=2, compressors=None
    )
    root[:] = PIXELS
    told = json.loads((place / ".zarray").read_text())
    (place / ".zarray").write_text(json.dumps({**told, **array}))
    return place


def a_zarr3(place: Path, **array: object) -> Path:
    """Write a small image as Zarr 3, with other metadata."""
    root = zarr.create_array(place, shape=(8, 8), chunks=(4, 4), dtype="u2", compressors=None)
    root[:] = PIXELS
    told = json.loads((place / "zarr.json").read_text())
    (place / "zarr.json").write_text(json.dumps({**told, **array}))
    return place


def zarr_chunk_is_a_pipe(io: Path) -> Path:
    place = a_zarr(io / "o.zarr")
    (place / "0.0").unlink()
    os.mkfifo(place / "0.0")
    return place


def zarr_metadata_are_a_pipe(io: Path) -> Path:
    place = a_zarr(io / "o.zarr")
    (place / ".zarray").unlink()
    os.mkfifo(place / ".zarray")
    return place


def zarr_attributes_are_a_pipe(io: Path) -> Path:
    place = a_zarr(io / "o.zarr")
    (place / ".zattrs").unlink(missing_ok=True)
    os.mkfifo(place / ".zattrs")
    return place


def zarr_chunk_is_a_link(io: Path) -> Path:
    place = a_zarr(io / "o.zarr")
    (place / "0.0").unlink()
    (place / "0.0").symlink_to(io.parent / "secret")
    return place


def zarr_metadata_are_a_link(io: Path) -> Path:
    place = a_zarr(io / "o.zarr")
    (place / ".zarray").rename(io.parent / "zarray")
    (place / ".zarray").symlink_to(io.parent / "zarray")
    return place


def zarr_level_is_elsewhere(io: Path) -> Path:
    a_zarr(io.parent / "theirs.zarr")
    root = zarr.open_group(io / "o.zarr", mode="w", zarr_format=2)
    root.attrs["multiscales"] = [{"datasets": [{"path": "../../theirs.zarr"}]}]
    return io / "o.zarr"


def zarr_level_is_a_link(io: Path) -> Path:
    a_zarr(io.parent / "theirs.zarr")
    root = zarr.open_group(io / "o.zarr", mode="w", zarr_format=2)
    root.attrs["multiscales"] = [{"datasets": [{"path": "0"}]}]
    (io / "o.zarr" / "0").symlink_to(io.parent / "theirs.zarr")
    return io / "o.zarr"


def zarr_pickle(io: Path) -> Path:
    place = a_zarr(io / "o.zarr", dtype="|O", filters=[{"id": "pickle", "protocol": 5}])
    for chunk in ("0.0", "0.1", "1.0", "1.1"):
        (place / chunk).write_bytes(pickle.dumps(Payload()))
    return place


def zarr_pickle_of_numbers(io: Path) -> Path:
    place = a_zarr(io / "o.zarr", filters=[{"id": "pickle"}])
    for chunk in ("0.0", "0.1", "1.0", "1.1"):
        (place / chunk).write_bytes(pickle.dumps(Payload()))
    return place


def zarr_pickle_as_compressor(io: Path) -> Path:
    return a_zarr(io / "o.zarr", compressor={"id": "pickle"})


def zarr_pickle_behind_text(io: Path) -> Path:
    """Zarr looks at the first codec only when it decides what the objects are."""
    filters = [{"id": "vlen-utf8"}, {"id": "pickle"}]
    place = a_zarr(io / "o.zarr", dtype="|O", filters=filters, fill_value="")
    for chunk in ("0.0", "0.1", "1.0", "1.1"):
        (place / chunk).write_bytes(pickle.dumps(Payload()))
    return place


def zarr3_pickle(io: Path) -> Path:
    codecs = [{"name": "numcodecs.pickle"}, {"name": "bytes"}]
    return a_zarr3(io / "o.zarr", codecs=codecs)


def zarr3_pickle_in_a_shard(io: Path) -> Path:
    inner = {"chunk_shape": [2, 2], "codecs": [{"name": "numcodecs.pickle"}]}
    return a_zarr3(io / "o.zarr", codecs=[{"name": "sharding_indexed", "configuration": inner}])


def zarr_objects(name: str) -> Callable[[Path], Path]:
    def attack(io: Path) -> Path:
        return a_zarr(io / "o.zarr", dtype="|O", filters=[{"id": name}])

    attack.__name__ = f"zarr_objects_by_{name}"
    return attack


def zarr_objects_of_text(io: Path) -> Path:
    return a_zarr(io / "o.zarr", dtype="|O", filters=[{"id": "vlen-utf8"}], fill_value="")


def zarr_consolidated_pickle(io: Path) -> Path:
    root = zarr.open_group(io / "o.zarr", mode="w", zarr_format=2)
    a_zarr(io / "o.zarr" / "0", filters=[{"id": "pickle"}])
    root.attrs["multiscales"] = [{"datasets": [{"path": "0"}]}]
    told = {"0/.zarray": json.loads((io / "o.zarr" / "0" / ".zarray").read_text()), ".zgroup": {}}
    (io / "o.zarr" / ".zmetadata").write_text(
        json.dumps({"zarr_consolidated_format": 1, "metadata": told})
    )
    return io / "o.zarr"


def zarr_huge_chunk(io: Path) -> Path:
    return a_zarr(io / "o.zarr", shape=[2**23, 2**23], chunks=[2**23, 2**23])


def zarr_too_many_blocks(io: Path) -> Path:
    return a_zarr(io / "o.zarr", shape=[2**40, 8], chunks=[1, 8])


def zarr_deep_metadata(io: Path) -> Path:
    place = a_zarr(io / "o.zarr")
    (place / ".zarray").write_text("[" * 200_000)
    return place


def npy_pickle(io: Path) -> Path:
    np.save(io / "o.npy", np.array([Payload()], dtype=object), allow_pickle=True)
    return io / "o.npy"


def npy_huge(io: Path) -> Path:
    with (io / "o.npy").open("wb") as file:
        head = {"descr": "<u2", "fortran_order": False, "shape": (2**40, 2**10)}
        np.lib.format.write_array_header_1_0(file, head)
    return io / "o.npy"


def npy_code_in_the_header(io: Path) -> Path:
    head = (
        f"{{'descr': open({str(RAN)!r}, 'w'), 'fortran_order': False, 'shape': (1,)}}\n".encode()
    )
    (io / "o.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head)
    return io / "o.npy"


def h5_external(io: Path) -> Path:
    h5py = pytest.importorskip("h5py")
    with h5py.File(io / "o.h5", "w") as file:
        secret = str(io.parent / "secret")
        file.create_dataset("d", (16,), "u1", external=[(secret, 0, 16)])
    return io / "o.h5"


def h5_virtual(io: Path) -> Path:
    h5py = pytest.importorskip("h5py")
    with h5py.File(io.parent / "theirs.h5", "w") as file:
        file["d"] = PIXELS
    layout = h5py.VirtualLayout((8, 8), "u2")
    layout[:] = h5py.VirtualSource(str(io.parent / "theirs.h5"), "d", (8, 8))
    with h5py.File(io / "o.h5", "w") as file:
        file.create_virtual_dataset("d", layout)
    return io / "o.h5"


def h5_link(io: Path) -> Path:
    h5py = pytest.importorskip("h5py")
    with h5py.File(io.parent / "theirs.h5", "w") as file:
        file["d"] = PIXELS
    with h5py.File(io / "o.h5", "w") as file:
        file["d"] = h5py.ExternalLink(str(io.parent / "theirs.h5"), "d")
    return io / "o.h5"


def h5_huge(io: Path) -> Path:
    h5py = pytest.importorskip("h5py")
    with h5py.File(io / "o.h5", "w") as file:
        file.create_dataset("d", (2**20, 2**20), "u1", chunks=(64, 64))
    return io / "o.h5"


def text(name: str, content: str | bytes) -> Callable[[Path], Path]:
    def attack(io: Path) -> Path:
        data = content if isinstance(content, bytes) else content.encode()
        (io / name).write_bytes(data)
        return io / name

    return attack


def a_pipe(name: str) -> Callable[[Path], Path]:
    def attack(io: Path) -> Path:
        os.mkfifo(io / name)
        return io / name

    attack.__name__ = f"pipe_{name}"
    return attack


def tiff_loop(io: Path) -> Path:
    path = io / "o.tif"
    tifffile.imwrite(path, np.stack([PIXELS] * 3), photometric="minisblack", metadata=None)
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tif:
        first, last = tif.pages[0].offset, tif.pages[2].offset
    count = struct.unpack_from("<H", data, last)[0]
    struct.pack_into("<I", data, last + 2 + 12 * count, first)
    path.write_bytes(data)
    return path


def tiff_of_one_page_that_follows_itself(io: Path) -> Path:
    path = io / "o.tif"
    tifffile.imwrite(path, PIXELS, metadata=None)
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tif:
        first = tif.pages[0].offset
    count = struct.unpack_from("<H", data, first)[0]
    struct.pack_into("<I", data, first + 2 + 12 * count, first)
    path.write_bytes(data)
    return path


def tiff_huge(io: Path) -> Path:
    path = io / "o.tif"
    tifffile.imwrite(path, PIXELS, metadata=None)
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tif:
        for name in ("ImageWidth", "ImageLength", "StripByteCounts", "RowsPerStrip"):
            tag = tif.pages[0].tags[name]
            code = "<I" if tag.dtype == 4 else "<H"
            struct.pack_into(code, data, tag.valueoffset, 2**31 if code == "<I" else 60000)
    path.write_bytes(data)
    return path


def png(width: int, height: int, depth: int, colour: int) -> bytes:
    """Return a PNG that says how large it is and ends."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + pixels + chunk(b"IEND", b"")


def movie(line: str) -> Callable[[Path], Path]:
    def attack(io: Path) -> Path:
        tifffile.imwrite(io.parent / "secret.tif", PIXELS)
        (io / "link.tif").symlink_to(io.parent / "secret.tif")
        os.mkfifo(io / "pipe.tif")
        (io / "o.txt").write_text(line.replace("HERE", str(io.parent)))
        return io / "o.txt"

    attack.__name__ = f"movie_{line}"
    return attack


def glb(told: dict[str, object]) -> bytes:
    """Return a GLB file with that JSON and 64 bytes of data."""
    head = json.dumps(told).encode()
    head += b" " * (-len(head) % 4)
    body = struct.pack("<I4s", len(head), b"JSON") + head
    body += struct.pack("<I4s", 64, b"BIN\0") + bytes(64)
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


MESH = {"primitives": [{"attributes": {"POSITION": 0}, "mode": 4}]}
PLY = "ply\nformat {}\nelement vertex {}\n{}end_header\n"
ENDLESS = "ply\nformat ascii 1.0\n" + "comment x\n" * 5000
COLLECTION = '{"type":"GeometryCollection","geometries":['
POSTSCRIPT = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"
XYZ = "property float x\nproperty float y\nproperty float z\n"
LAUGHS = '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><l>&b;</l>'
DEEP = 200_000
ATTACKS: list[tuple[str, Callable[[Path], Path], str]] = [
    *(
        (attack.__name__, attack, "ome_zarr")
        for attack in (
            zarr_chunk_is_a_pipe, zarr_metadata_are_a_pipe, zarr_attributes_are_a_pipe,
            zarr_chunk_is_a_link, zarr_metadata_are_a_link, zarr_level_is_elsewhere,
            zarr_level_is_a_link, zarr_pickle, zarr_pickle_behind_text,
            zarr_pickle_of_numbers, zarr_pickle_as_compressor,
            zarr3_pickle, zarr3_pickle_in_a_shard, zarr_consolidated_pickle, zarr_huge_chunk,
            zarr_too_many_blocks, zarr_deep_metadata, zarr_objects_of_text,
            *(zarr_objects(n) for n in ("json2", "msgpack2", "vlen-array", "categorize", "none")),
        )
    ),
    *((a.__name__, a, "npy") for a in (npy_pickle, npy_huge, npy_code_in_the_header)),
    *((a.__name__, a, "h5") for a in (h5_external, h5_virtual, h5_link, h5_huge)),
    *((a.__name__, a, "tiff") for a in (tiff_huge,)),
    *(
        (f"pipe_{name}", a_pipe(f"o{FORMATS[name].extension}"), name)
        for name in ("tiff", "png", "npy", "csv", "geojson", "ply", "obj", "xml", "movietxt")
        if name in FORMATS
    ),
    ("ply_without_properties", text("o.ply", PLY.format("ascii 1.0", 2**40, "")), "ply"),
    ("ply_binary_without", text("o.ply", PLY.format("binary_little_endian 1.0", 9**9, "")), "ply"),
    ("ply_huge", text("o.ply", PLY.format("binary_little_endian 1.0", 2**40, XYZ)), "ply"),
    ("ply_negative", text("o.ply", PLY.format("ascii 1.0", -5, XYZ)), "ply"),
    ("ply_header_without_end", text("o.ply", ENDLESS), "ply"),
    ("ply_one_long_line", text("o.ply", "ply\nformat ascii 1.0 " + "x" * 10**7), "ply"),
    ("stl_huge", text("o.stl", bytes(80) + struct.pack("<I", 2**32 - 1) + bytes(50)), "stl"),
    ("off_huge", text("o.off", f"OFF\n{10**12} {10**12} 0\n0 0 0\n"), "off"),
    ("obj_far_corner", text("o.obj", "v 0 0 0\nf 1 2 999999999999\n"), "obj"),
    ("glb_huge", text("o.glb", glb({
        "asset": {"version": "2.0"}, "meshes": [MESH], "nodes": [{"mesh": 0}],
        "accessors": [{"componentType": 5126, "count": 2**40, "type": "VEC3"}],
    })), "glb"),
    ("glb_elsewhere", text("o.glb", glb({
        "asset": {"version": "2.0"}, "buffers": [{"uri": "../secret", "byteLength": 9}],
    })), "glb"),
    ("geojson_deep", text("o.geojson", "[" * DEEP), "geojson"),
    ("geojson_deep_closed", text("o.geojson", "[" * DEEP + "]" * DEEP), "geojson"),
    ("geojson_deep_geometry", text("o.geojson", COLLECTION * 5000 + "]}" * 5000), "geojson"),
    ("geojson_long_number", text("o.geojson", '{"type":"Point","coordinates":[' + "9" * 10**6
                                 + ",1]}"), "geojson"),
    ("trackmate_laughs", text("o.xml", LAUGHS), "trackmatemodel"),
    ("trackmate_deep", text("o.xml", "<a>" * DEEP), "trackmatemodel"),
    ("png_huge", text("o.png", png(2**31 - 1, 2**31 - 1, 8, 0)), "png"),
    ("png_deep_huge", text("o.png", png(2**20, 2**20, 16, 2)), "png"),
    ("png_is_postscript", text("o.png", POSTSCRIPT), "png"),
    ("csv_of_nul", text("o.csv", bytes(1000)), "csv"),
    *(
        (f"movie_{line}", movie(line), "movietxt")
        for line in ("../secret.tif", "HERE/secret.tif", "link.tif", "pipe.tif", "o.txt")
    ),
]  # fmt: skip


LAUGHING = (
    '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
    '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image><Pixels Type="uint16" '
    'SizeX="8" SizeY="8" SizeZ="1" SizeC="1" SizeT="1">&b;</Pixels></Image></OME>'
)


def tiff_with(
    offset: int | None = None, pages: int = 1, **options: object
) -> Callable[[Path], Path]:
    """Return what writes a TIFF, its pixels at another place."""

    def attack(io: Path) -> Path:
        path = io / "o.tif"
        with tifffile.TiffWriter(path) as writer:
            for _ in range(pages):
                writer.write(PIXELS, contiguous=False, metadata=None, **options)  # type: ignore[arg-type]
        if offset is not None:
            data = bytearray(path.read_bytes())
            with tifffile.TiffFile(path) as tif:
                tag = tif.pages[0].tags["StripOffsets"]
                struct.pack_into("<I", data, tag.valueoffset, offset)
            path.write_bytes(data)
        return path

    return attack


def sparse(io: Path) -> Path:
    path = io / "o.tif"
    with path.open("wb") as file:
        tifffile.imwrite(file, shape=(2**15, 2**15, 2**9), dtype="u2", bigtiff=True)
    return path


def zarr_of_addresses(io: Path) -> Path:
    root = zarr.open_group(io / "o.zarr", mode="w", zarr_format=2)
    root.attrs["multiscales"] = [{"datasets": [{"path": "http://127.0.0.1:9/x"}]}]
    return io / "o.zarr"


def zarr_keys_lead_out(io: Path) -> Path:
    a_zarr(io.parent / "theirs.zarr")
    image = {"multiscales": [{"datasets": [{"path": "0"}]}]}
    told: dict[str, object] = {".zgroup": {"zarr_format": 2}, ".zattrs": image}
    inner = json.loads((io.parent / "theirs.zarr" / ".zarray").read_text())
    told["../theirs.zarr/.zarray"] = told["0/../../theirs.zarr/.zarray"] = inner
    (io / "o.zarr").mkdir()
    (io / "o.zarr" / ".zgroup").write_text('{"zarr_format": 2}')
    (io / "o.zarr" / ".zmetadata").write_text(
        json.dumps({"zarr_consolidated_format": 1, "metadata": told})
    )
    return io / "o.zarr"


MORE: list[tuple[str, Callable[[Path], Path], str]] = [
    ("tiff_strips_beyond", tiff_with(2**31), "tiff"),
    ("tiff_strips_beyond_packed", tiff_with(2**31, compression="zlib"), "tiff"),
    ("tiff_thousands_of_pages", tiff_with(pages=3000), "tiff"),
    ("tiff_laughs", tiff_with(description=LAUGHING), "tiff"),
    ("tiff_sparse", sparse, "tiff"),
    ("zarr_of_addresses", zarr_of_addresses, "ome_zarr"),
    ("zarr_keys_lead_out", zarr_keys_lead_out, "ome_zarr"),
    ("csv_wide", text("o.csv", "c," * 10**6 + "\n" + "1," * 10**6), "csv"),
    ("csv_one_cell", text("o.csv", "a\n" + "x" * 10**7), "csv"),
    ("csv_quote_without_end", text("o.csv", 'a,b\n"' + "x,\n" * 10**6), "csv"),
    (
        "obj_mtllib",
        text("o.obj", "mtllib /etc/passwd\nusemtl x\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"),
        "obj",
    ),
    (
        "geojson_wide",
        text("o.geojson", '{"type":"Point","coordinates":[' + "1," * 10**6 + "1]}"),
        "geojson",
    ),
    ("png_truncated", text("o.png", png(8, 8, 8, 0)[:60]), "png"),
]


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("name", "attack", "fmt"), MORE, ids=[row[0] for row in MORE])
def test_a_sentence_or_what_is_there(
    name: str, attack: Callable[[Path], Path], fmt: str, tmp_path: Path
) -> None:
    io = tmp_path / "io"
    io.mkdir()
    path = attack(io)
    with ReadApart(io) as read, contextlib.suppress(OutputError):
        assert read(path, FORMATS.resolve(fmt), name="o", root=io).data is not None


@pytest.mark.parametrize(("name", "attack", "fmt"), ATTACKS, ids=[row[0] for row in ATTACKS])
def test_the_reader_is_not_caught_either(
    name: str, attack: Callable[[Path], Path], fmt: str, tmp_path: Path
) -> None:
    RAN.unlink(missing_ok=True)
    io = tmp_path / "io"
    io.mkdir()
    (tmp_path / "secret").write_bytes(bytes(range(32)))
    path = attack(io)
    with ReadApart(io) as read, pytest.raises(OutputError):
        np.asarray(read(path, FORMATS.resolve(fmt), name="o", root=io).data)
    assert not RAN.exists()


def look(path: Path, fmt: str, io: Path) -> None:
    """Open a file and compute what is lazy."""
    np.asarray(read_file(path, FORMATS.resolve(fmt), name="o", root=io).data)


@pytest.mark.parametrize(("name", "attack", "fmt"), ATTACKS, ids=[row[0] for row in ATTACKS])
def test_no_reader_is_caught(
    name: str, attack: Callable[[Path], Path], fmt: str, tmp_path: Path
) -> None:
    RAN.unlink(missing_ok=True)
    io = tmp_path / "io"
    io.mkdir()
    (tmp_path / "secret").write_bytes(bytes(range(32)))
    path = attack(io)
    with pytest.raises(OutputError) as refused:
        look(path, fmt, io)
    assert len(str(refused.value)) < 1000
    assert not RAN.exists()


@pytest.mark.parametrize(
    "attack", [tiff_loop, tiff_of_one_page_that_follows_itself], ids=lambda a: a.__name__
)
def test_a_chain_of_pages_ends(attack: Callable[[Path], Path], tmp_path: Path) -> None:
    """What is on the pages is shown, or refused."""
    try:
        content = read_file(attack(tmp_path), FORMATS["tiff"], name="o", root=tmp_path)
    except OutputError:
        return
    assert np.asarray(content.data).size <= 3 * PIXELS.size


def tiff_of(pages: int, after: int, tags: int = 1) -> bytes:
    """A TIFF of so many pages, the last of which leads back to that of number `after`."""
    number = struct.Struct("<HHII")
    told = [(256, 3, 1, 8), (257, 3, 1, 8), (258, 3, 1, 8), (273, 4, 1, 8), (279, 4, 1, 64)]
    first = b"".join(number.pack(*one) for one in told)
    places = [72, *(78 + len(first) + (6 + 12 * tags) * n for n in range(pages))]
    data = b"II*\0" + struct.pack("<I", 72) + bytes(64)
    data += struct.pack("<H", len(told)) + first + struct.pack("<I", places[1])
    for following in (*places[2:], places[after]):
        data += struct.pack("<H", tags) + number.pack(256, 3, 1, 8) * tags
        data += struct.pack("<I", following)
    return data


def tiff_over_itself() -> bytes:
    """A TIFF whose pages begin four bytes after one another, each in the tags of the last."""
    data = bytearray(tiff_of(1, 0)[:72])
    data += struct.pack("<H", 40) * 1000
    for place in range(72, 540, 4):
        data[place + 482 : place + 486] = struct.pack("<I", place + 4)
    return bytes(data)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "data",
    [
        tiff_of(150, 120),
        tiff_of(150, 150),
        tiff_of(3, 0),
        tiff_of(3, 3),
        tiff_of(95, 95),
        tiff_of(1000, 500),
        tiff_over_itself(),
    ],
    ids=["circle", "itself", "three", "short", "before-a-hundred", "long", "overlapping"],
)
@pytest.mark.parametrize("said", [False, True], ids=["read", "metadata"])
def test_pages_without_end_are_a_sentence(data: bytes, said: bool, tmp_path: Path) -> None:
    path = tmp_path / "o.tif"
    path.write_bytes(data)
    assert len(data) < 20_000
    if said:
        found = dataset_metadata(DataFile(path, "tiff", "o"), FORMATS)
        assert {name for name, value in found.items() if value is not None} == {"dbkey"}
        return
    with pytest.raises(OutputError, match="lie over one another, or follow in a circle") as told:
        read_file(path, FORMATS["tiff"], name="o", root=tmp_path)
    assert told.value.hint


@pytest.mark.parametrize("how", [{}, {"bigtiff": True}, {"byteorder": ">"}, {"imagej": True}])
def test_many_pages_are_read(how: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "o.tif"
    pixels = np.arange(300 * 6, dtype=np.uint8).reshape(300, 2, 3)
    tifffile.imwrite(path, pixels, **how)
    content = read_file(path, FORMATS["tiff"], name="o", root=tmp_path)
    np.testing.assert_array_equal(content.data, pixels)
    with path.open("r+b") as file:
        check_pages(file, path.name)
        assert file.tell() == 0


@pytest.mark.parametrize(
    "description",
    [
        (
            f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
            f'<Pixels ID="P:0" DimensionOrder="XYZCT" Type="uint16" SizeX="8" SizeY="8" '
            f'SizeZ="{10**6}" SizeC="{10**6}" SizeT="{10**6}"><TiffData/></Pixels></Image></OME>'
        ),
        "ImageJ=1.11a\nimages=1000000000\nslices=1000000000\nhyperstack=true\n",
        '{"shape": [1000000000, 1000000000, 8, 8]}',
    ],
    ids=["ome", "imagej", "shaped"],
)
def test_metadata_that_promise_more_than_there_is(description: str, tmp_path: Path) -> None:
    path = tmp_path / "o.tif"
    tifffile.imwrite(path, PIXELS, description=description, metadata=None)
    try:
        content = read_file(path, FORMATS["tiff"], name="o", root=tmp_path)
    except OutputError:
        return
    assert np.asarray(content.data).size == PIXELS.size


@pytest.mark.parametrize("make", [a_zarr, a_zarr3])
@pytest.mark.parametrize("sealed", [True, False])
def test_a_zarr_of_somebody_is_read(
    make: Callable[[Path], Path], sealed: bool, tmp_path: Path
) -> None:
    place = make(tmp_path / "o.zarr")
    content = read_file(
        place, FORMATS.resolve("ome_zarr"), name="o", root=tmp_path if sealed else None
    )
    assert np.array_equal(np.asarray(content.data), PIXELS)


def test_a_million_pages_without_pixels_are_a_sentence(tmp_path: Path) -> None:
    count, length = 200_000, 2 + 12 + 4
    pages = (
        struct.pack("<HHHIII", 1, 256, 3, 1, 4, 8 + number * length if number < count else 0)
        for number in range(1, count + 1)
    )
    path = tmp_path / "pages.tif"
    path.write_bytes(struct.pack("<2sHI", b"II", 42, 8) + b"".join(pages))
    with (
        path.open("rb") as file,
        pytest.raises(OutputError, match="200,000 pages with hardly any"),
    ):
        check_pages(file, path.name)
    tifffile.imwrite(path, np.zeros((12_000, 4, 4), np.uint16), photometric="minisblack")
    with tifffile.TiffWriter(path) as many:
        for _ in range(11_000):
            many.write(np.zeros((4, 4), np.uint8), photometric="minisblack", metadata=None)
    with path.open("rb") as file:
        check_pages(file, path.name)
