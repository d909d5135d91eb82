"""No block of a stranger's image unpacks to more than its shape holds, in napari's own process."""

from __future__ import annotations

import bz2
import functools
import gzip
import itertools
import json
import lzma
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numcodecs
import numcodecs.abc
import numpy as np
import pytest
import tifffile
import zarr
from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec
from zarr.codecs import numcodecs as zarr3

from napari_tool_runner.errors import OutputError
from napari_tool_runner.exchange.carriers import tiff, tiff_checks
from napari_tool_runner.exchange.carriers.zarr import read_zarr

pytestmark = pytest.mark.filterwarnings("ignore")

PIXELS = np.arange(64, dtype=np.uint16).reshape(8, 8)
ZEROS = bytes(64 * 2**20)
MOST = 10 * 2**20  # bytes in memory, 8 for lzma's dictionary; what is unpacked would take 64
BOMB: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "bz2": bz2.compress,
    "lzma": lzma.compress,
    "zstd": numcodecs.Zstd().encode,
    "lz4": numcodecs.LZ4().encode,
    "blosc": numcodecs.Blosc().encode,
    "streams": lambda data: gzip.compress(data[: 2**15]) * 1024,
    "raw": lambda data: data,
}
OF_2: dict[str, Any] = {
    "gzip": numcodecs.GZip(),
    "zlib": numcodecs.Zlib(),
    "bz2": numcodecs.BZ2(),
    "lzma": numcodecs.LZMA(),
    "zstd": numcodecs.Zstd(),
    "lz4": numcodecs.LZ4(),
    "blosc": numcodecs.Blosc(),
    "streams": numcodecs.GZip(),
    "raw": None,
}
OF_3: dict[str, Any] = {
    "gzip": GzipCodec(),
    "zlib": zarr3.Zlib(),
    "bz2": zarr3.BZ2(),
    "lzma": zarr3.LZMA(),
    "zstd": ZstdCodec(),
    "lz4": zarr3.LZ4(),
    "blosc": BloscCodec(),
    "streams": GzipCodec(),
    "raw": None,
}


@functools.cache
def bomb_of(name: str) -> bytes:
    """Return a block that unpacks to `ZEROS`."""
    return BOMB[name](ZEROS)


class Unbound(numcodecs.abc.Codec):  # type: ignore[misc]
    """A codec of a package that may be installed beside."""

    codec_id = "imagecodecs_png"

    def encode(self, buf: object) -> object:
        """Return what it gets."""
        return buf

    def decode(self, buf: object, out: object = None) -> object:
        """Return what it gets."""
        return buf


def packed(place: Path, name: str, version: int, **more: Any) -> Path:
    """Write an image of 2 x 2 blocks, packed by a codec."""
    codec = (OF_2 if version == 2 else OF_3)[name]
    told: dict[str, Any] = {"zarr_format": version, "compressors": codec, "chunks": (4, 4)}
    array = zarr.create_array(place, shape=(8, 8), dtype="u2", **(told | more))
    array[:] = PIXELS
    return place


def last(place: Path) -> Path:
    """Return the file of the last block."""
    return max(path for path in place.rglob("*") if path.is_file() and path.name[0] in "01")


def peak(read: Callable[[], object]) -> int:
    """Return the bytes that were in memory at once, at most, while it failed with a sentence."""
    tracemalloc.start()
    try:
        with pytest.raises(OutputError, match=r"o\.zarr.* unpacks to more than the \d+ bytes"):
            read()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("name", list(BOMB))
def test_a_block_is_no_larger_than_its_shape(name: str, version: int, tmp_path: Path) -> None:
    place = packed(tmp_path / "o.zarr", name, version)
    content = read_zarr(place, root=tmp_path)
    np.testing.assert_array_equal(np.asarray(content.data), PIXELS)
    last(place).write_bytes(bomb_of(name))
    lazy: Any = read_zarr(place, root=tmp_path).data
    np.testing.assert_array_equal(np.asarray(lazy[:4]), PIXELS[:4])
    assert peak(lambda: np.asarray(lazy[4:, 4:])) < MOST


@pytest.mark.parametrize("name", list(BOMB))
def test_nor_is_a_block_in_a_shard(name: str, tmp_path: Path) -> None:
    inner = [] if OF_3[name] is None else [OF_3[name]]
    place = packed(tmp_path / "o.zarr", name, 3, chunks=(2, 2), shards=(4, 4), compressors=inner)
    content = read_zarr(place, root=tmp_path)
    np.testing.assert_array_equal(np.asarray(content.data), PIXELS)
    file = last(place)
    bomb, index = bomb_of(name), np.full(9, 2**64 - 1, "<u8")[:8]
    index[:2] = 0, len(bomb)
    file.write_bytes(bomb + numcodecs.CRC32C(location="end").encode(index).tobytes())
    lazy: Any = read_zarr(place, root=tmp_path).data
    assert peak(lambda: np.asarray(lazy[4:6, 4:6])) < MOST
    assert peak(lambda: np.asarray(lazy)) < 4 * MOST  # blocks beside one another


def test_an_index_may_promise_what_it_likes(tmp_path: Path) -> None:
    place = packed(tmp_path / "o.zarr", "raw", 3, chunks=(2, 2), shards=(4, 4))
    index = np.full(8, 2**64 - 1, "<u8")
    index[:2] = 0, 2**40
    last(place).write_bytes(bytes(8) + numcodecs.CRC32C(location="end").encode(index).tobytes())
    lazy: Any = read_zarr(place, root=tmp_path).data
    tracemalloc.start()
    with pytest.raises((OutputError, ValueError)):
        np.asarray(lazy[4:6, 4:6])
    assert tracemalloc.get_traced_memory()[1] < MOST
    tracemalloc.stop()


def test_a_filter_is_bound_as_a_compressor(tmp_path: Path) -> None:
    filters = [numcodecs.Delta("u2"), numcodecs.Zlib()]
    place = packed(tmp_path / "o.zarr", "gzip", 2, filters=filters)
    content = read_zarr(place, root=tmp_path)
    np.testing.assert_array_equal(np.asarray(content.data), PIXELS)
    last(place).write_bytes(gzip.compress(zlib.compress(ZEROS)))
    lazy: Any = read_zarr(place, root=tmp_path).data
    assert peak(lambda: np.asarray(lazy)) < 4 * MOST  # blocks beside one another


@pytest.mark.parametrize(
    "changed",
    [
        {"id": "astype", "encode_dtype": "|u1", "decode_dtype": "|S100000"},
        {"id": "astype", "encode_dtype": "|u1", "decode_dtype": "(100000,)u1"},
        {"id": "delta", "dtype": "|V100000", "astype": "|u1"},
    ],
)
def test_filters_give_numbers(changed: dict[str, object], tmp_path: Path) -> None:
    place = packed(tmp_path / "o.zarr", "gzip", 2)
    told = json.loads((place / ".zarray").read_text())
    (place / ".zarray").write_text(json.dumps(told | {"filters": [changed]}))
    with pytest.raises(OutputError, match=r"o\.zarr.* (something else than numbers|cannot be)"):
        np.asarray(read_zarr(place, root=tmp_path).data)


@pytest.mark.parametrize(
    "widening",
    [
        {"id": "astype", "encode_dtype": "|u1", "decode_dtype": "<c16"},
        {"id": "delta", "dtype": "<f8", "astype": "|u1"},
        {"id": "packbits"},
    ],
)
def test_filters_that_widen_one_after_another_have_a_bound(
    widening: dict[str, object], tmp_path: Path
) -> None:
    place = packed(tmp_path / "o.zarr", "gzip", 2)
    told = json.loads((place / ".zarray").read_text())
    (place / ".zarray").write_text(json.dumps(told | {"filters": [widening] * 9}))
    lazy: Any = read_zarr(place, root=tmp_path).data
    assert peak(lambda: np.asarray(lazy[4:, 4:])) < MOST


@pytest.mark.parametrize("name", ["gzip", "zlib", "bz2", "lzma"])
def test_a_block_of_endless_empty_streams_is_refused(name: str, tmp_path: Path) -> None:
    """Each is soon unpacked; what lies behind it was copied for each."""
    place = packed(tmp_path / "o.zarr", name, 2)
    last(place).write_bytes(BOMB[name](b"") * 2000)
    lazy: Any = read_zarr(place, root=tmp_path).data
    with pytest.raises(OutputError, match=r"o\.zarr.* consists of too many streams"):
        np.asarray(lazy[4:, 4:])


@pytest.mark.parametrize(
    ("shape", "cut"),
    [
        ((3, 128, 128), {"chunks": (1, 1, 1)}),
        ((3, 128, 128), {"chunks": (1, 1, 1), "shards": (1, 128, 128)}),
        ((128, 128, 3), {"chunks": (1, 1, 3)}),
        ((128, 128, 60), {"chunks": (1, 1, 60)}),
    ],
)
def test_a_plane_of_tiny_blocks_is_refused(
    shape: tuple[int, ...], cut: dict[str, Any], tmp_path: Path
) -> None:
    """Each takes a millisecond to find, whatever it holds."""
    zarr.create_array(tmp_path / "o.zarr", shape=shape, dtype="u1", **cut)
    with pytest.raises(OutputError, match=r"is cut into .* blocks, too many"):
        read_zarr(tmp_path / "o.zarr", root=tmp_path)


def test_a_movie_of_small_frames_is_read(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "o.zarr", shape=(9000, 32, 32), dtype="u1", chunks=(1, 32, 32))
    assert read_zarr(tmp_path / "o.zarr", root=tmp_path).data.shape == (9000, 32, 32)


def test_streams_of_any_length_are_read(tmp_path: Path) -> None:
    place = packed(tmp_path / "o.zarr", "gzip", 2, chunks=(400, 400))
    rng = np.random.default_rng(1)
    data = rng.integers(0, 2**16, 160_000, dtype=np.uint16).tobytes()
    ends = [0, 1, 5000, 5001, 70_000, 200_000, 320_000]
    parts = [gzip.compress(data[a:b]) for a, b in itertools.pairwise(ends)]
    last(place).write_bytes(b"".join(parts) + b"\0" * 50)
    lazy: Any = read_zarr(place, root=tmp_path).data
    whole = np.frombuffer(data, np.uint16).reshape(400, 400)
    np.testing.assert_array_equal(np.asarray(lazy), whole[:8, :8])


def test_a_codec_without_a_bound_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(numcodecs.registry.codec_registry, "imagecodecs_png", Unbound)
    place = packed(tmp_path / "o.zarr", "gzip", 2)
    told = (place / ".zarray").read_text()
    (place / ".zarray").write_text(
        told.replace('"filters": null', '"filters": [{"id": "imagecodecs_png"}]')
    )
    with pytest.raises(OutputError, match=r"imagecodecs_png.*may fill the memory"):
        read_zarr(place, root=tmp_path)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(
    ("flags", "claimed", "follows"),
    [(2, 32 + 16, b"A" * 8), (0x20, 2**31 - 1, b"\xf0\xff\xff\x6f" * 9), (None, 0, b"\2\1")],
    ids=["as it is", "packed", "no header"],
)
def test_no_block_of_blosc_is_read_beyond_its_end(
    flags: int | None, claimed: int, follows: bytes, version: int, tmp_path: Path
) -> None:
    """It says of itself how long it is; what lies behind it in memory would become pixels."""
    place = packed(tmp_path / "o.zarr", "blosc", version)
    head = b"" if flags is None else struct.pack("<4B3I", 2, 1, flags, 1, 32, 32, claimed)
    last(place).write_bytes(head + follows)
    lazy: Any = read_zarr(place, root=tmp_path).data
    with pytest.raises(OutputError, match=r"o\.zarr.* a block of it is cut off"):
        np.asarray(lazy[4:, 4:])


@pytest.mark.parametrize("name", ["gzip", "zlib", "bz2", "lzma", "zstd", "lz4", "blosc"])
def test_a_block_that_is_cut_off_is_a_sentence(name: str, tmp_path: Path) -> None:
    place = packed(tmp_path / "o.zarr", name, 2)
    last(place).write_bytes(last(place).read_bytes()[:-9])
    lazy: Any = read_zarr(place, root=tmp_path).data
    with pytest.raises((OutputError, RuntimeError)):
        np.asarray(lazy)


def with_second_header(picture: bytes) -> bytes:
    """Return a JP2 with a header of 64 x 64 behind its own: some believe the last one."""
    made, at, box = bytearray(picture), picture.index(b"ihdr"), picture.index(b"jp2h") - 4
    second, size = bytearray(made[at - 4 : at + 18]), int.from_bytes(made[box : box + 4], "big")
    second[8:16] = (64).to_bytes(4, "big") * 2
    made[box : box + 4] = (size + len(second)).to_bytes(4, "big")
    made[box + size : box + size] = second
    return bytes(made)


def encoded(name: str, pixels: np.ndarray) -> bytes:
    """Return a picture."""
    match name:
        case "jpeg2000 with two headers":
            picture = imagecodecs.jpeg2k_encode(pixels, codecformat="jp2", level=0)
            return with_second_header(bytes(picture))
        case "jpeg":
            return bytes(imagecodecs.jpeg_encode(pixels))
        case "jpeg2000":
            return bytes(imagecodecs.jpeg2k_encode(pixels))
    return bytes(imagecodecs.png_encode(pixels))


@pytest.mark.parametrize("name", ["jpeg", "jpeg2000", "jpeg2000 with two headers", "png"])
@pytest.mark.parametrize("tile", [None, (64, 64)])
def test_a_tile_is_no_larger_than_it_says(
    name: str, tile: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiff, "_EAGER", 0)
    path, pixels = tmp_path / "o.tif", np.full((128, 128, 3), 7, np.uint8)
    how: dict[str, Any] = {"tile": tile} if tile else {"rowsperstrip": 64}
    tifffile.imwrite(path, pixels, compression=name.split()[0], photometric="rgb", **how)
    content: Any = tiff.read_tiff(path, root=tmp_path)
    assert np.ptp(np.asarray(content.data)) <= 2
    with tifffile.TiffFile(path) as file, path.open("r+b") as raw:
        bomb = encoded(name, np.zeros((4000, 4000, 3), np.uint8))
        page = file.pages[0]
        at = raw.seek(0, 2)
        raw.write(bomb)
        for tag, value in ((324 if tile else 273, at), (325 if tile else 279, len(bomb))):
            entry = page.tags[tag]
            raw.seek(entry.valueoffset)
            raw.write(value.to_bytes({3: 2, 4: 4, 16: 8}[int(entry.dtype)], "little"))
    lazy: Any = tiff.read_tiff(path, root=tmp_path).data
    tracemalloc.start()
    with pytest.raises(OutputError, match=r"A tile of o\.tif unpacks to 16000000 pixels"):
        np.asarray(lazy[:10])
    assert tracemalloc.get_traced_memory()[1] < MOST
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("at", "value", "words"),
    [
        (40, b"\x00\x05", "has 5 channels"),  # more than the file says, of which each takes room
        (24, b"\x00\x00\x00\x01\x00\x00\x00\x01", "more parts than pixels need"),
        (24, bytes(8), "more parts than pixels need"),
        (None, b"", "no plain JPEG 2000"),
    ],
)
def test_a_stream_of_jpeg_2000_that_is_odd_is_not_decoded(
    at: int | None, value: bytes, words: str
) -> None:
    made = bytearray(imagecodecs.jpeg2k_encode(np.zeros((64, 64, 3), np.uint8), codecformat="j2k"))
    if at is None:
        made[:4] = b"none"
    else:
        made[at : at + len(value)] = value
    with pytest.raises(ValueError, match=words):
        tiff_checks._stream_size(bytes(made), 3)
    with pytest.raises(ValueError, match="ends too soon"):
        tiff_checks._stream_size(b"\xff\x4f\xff\x51\x00", 3)
