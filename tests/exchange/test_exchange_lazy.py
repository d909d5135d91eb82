"""Nothing is copied or held that need not be."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from dataclasses import replace
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import tifffile
import zarr
from exchange_helpers import GALAXY, collected, make_tool, parameter
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.layers import Image, Labels, Layer

from napari_tool_runner.errors import ExchangeError, UnsupportedLayerError
from napari_tool_runner.exchange import blocks as exchange_blocks
from napari_tool_runner.exchange import carriers, export, load, snapshot
from napari_tool_runner.exchange.blocks import blocks, read, rearranged_pixels
from napari_tool_runner.exchange.files import reserve
from napari_tool_runner.tools.model import DataOutput, LayerKind

RNG = np.random.default_rng(3)


class Virtual:
    """An array that makes its values on demand and remembers the largest request."""

    def __init__(self, shape: tuple[int, ...], dtype: str = "uint16", chunks: object = None):
        self.shape, self.dtype, self.ndim = shape, np.dtype(dtype), len(shape)
        self.largest, self.requested = 0, 0
        if chunks is not None:
            self.chunks = chunks

    def __getitem__(self, key):
        grids = np.ogrid[tuple(slice(*k.indices(n)) for k, n in zip(key, self.shape, strict=True))]
        block = sum(g * (i + 3) for i, g in enumerate(grids)) % 60_000
        block = block.astype(self.dtype)
        self.largest = max(self.largest, block.nbytes)
        self.requested += block.nbytes
        return block

    def __array__(self, dtype=None, copy=None):
        raise AssertionError("somebody asked for the whole array")


@pytest.mark.parametrize("fmt", ["imagetiff", "zarr", "npy"])
@pytest.mark.parametrize("chunks", [None, (4, 64, 64), (1, 256, 256)])
def test_large_arrays_are_streamed(tmp_path, monkeypatch, fmt, chunks):
    monkeypatch.setattr(exchange_blocks, "MAX_BLOCK", 2**19)
    array = Virtual((40, 256, 256), chunks=chunks)
    written = export(snapshot(array), parameter(fmt), tmp_path)
    assert array.largest <= 2**19
    assert array.requested == 40 * 256 * 256 * 2  # and nothing twice
    path = written.file.path
    again = {
        "imagetiff": lambda: tifffile.imread(path),
        "zarr": lambda: zarr.open(path)["0"][...],
        "npy": lambda: np.load(path),
    }[fmt]()
    np.testing.assert_array_equal(again, read(array, (slice(None),) * 3))


@pytest.mark.parametrize("chunks", [None, (4, 64, 64), (1, 256, 256)])
def test_large_labels_are_streamed_compressed(tmp_path, monkeypatch, chunks):
    monkeypatch.setattr(exchange_blocks, "MAX_BLOCK", 2**19)
    array = Virtual((40, 256, 256), "int32", chunks)
    snap = snapshot((array, {}, "labels"))
    written = export(snap, parameter("imagetiff"), tmp_path)
    assert array.largest <= 2**20
    np.testing.assert_array_equal(
        tifffile.imread(written.file.path), read(array, (slice(None),) * 3)
    )


def test_dask_computes_each_chunk_once(tmp_path):
    calls = []

    def make(block_info=None):
        calls.append(block_info[None]["chunk-location"])
        return np.full(block_info[None]["chunk-shape"], len(calls), "u1")

    array = da.map_blocks(
        make, chunks=((2, 2, 1), (32, 32), (40, 24)), dtype="u1", meta=np.zeros((0, 0, 0), "u1")
    )
    export(snapshot(array), parameter("tiff"), tmp_path, formats=GALAXY)
    assert len(calls) == len(set(calls)) == 12


def test_dask_multiscale_and_zarr_layers(tmp_path):
    data = RNG.integers(0, 999, (6, 64, 64)).astype("u2")
    store = zarr.create_array(tmp_path / "z", data=data, chunks=(2, 32, 32))
    pyramid = [da.from_array(data), da.from_array(data[:, ::2, ::2])]
    for value in (da.from_array(data, chunks=(1, 64, 64)), store, Image(pyramid, multiscale=True)):
        written = export(snapshot(value), parameter("tiff"), tmp_path / "i", formats=GALAXY)
        np.testing.assert_array_equal(tifffile.imread(written.file.path), data)


def test_progress_is_told_and_can_stop(tmp_path, monkeypatch):
    monkeypatch.setattr(exchange_blocks, "MAX_BLOCK", 2**20)

    class StopError(Exception):
        pass

    told = []

    def progress(done: int, total: int) -> None:
        told.append((done, total))
        if len(told) == 2:
            raise StopError

    array = da.zeros((8, 512, 512), chunks=(2, 512, 512), dtype="u2")
    with pytest.raises(StopError):
        export(snapshot(array), parameter("tiff"), tmp_path, formats=GALAXY, progress=progress)
    assert told[0][1] == 8 * 512 * 512 * 2
    assert not list(tmp_path.iterdir())


def test_a_lazy_array_is_turned_and_loses_an_axis_of_one_step():
    array = Virtual((3, 1, 40, 5), chunks=(1, 1, 40, 5))
    turned = rearranged_pixels(array, [2, 0, 3])
    assert turned.shape == (40, 3, 5)
    whole = array[(slice(None),) * 4]
    expected = whole[:, 0].transpose(1, 0, 2)
    np.testing.assert_array_equal(read(turned, (slice(None),) * 3), expected)


@settings(max_examples=80)
@given(
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    chunk=st.lists(st.integers(1, 9), min_size=4, max_size=4),
    limit=st.integers(1, 600),
)
def test_blocks_cover_everything_once(shape, chunk, limit):
    source = np.arange(np.prod(shape)).reshape(shape)
    for array in (
        source,
        da.from_array(source, chunks=tuple(min(c, s) for c, s in zip(chunk, shape, strict=False))),
    ):
        seen = np.zeros(shape, int)
        for key in blocks(array, limit):
            seen[key] += 1
            np.testing.assert_array_equal(read(array, key), source[key])
        assert (seen == 1).all()


@settings(max_examples=30)
@given(data=st.data())
def test_any_layout_in_memory_is_written_right(data, tmp_path_factory):
    shape = tuple(data.draw(st.lists(st.integers(1, 6), min_size=2, max_size=4)))
    base = np.arange(np.prod(shape), dtype="u2").reshape(shape)
    order = data.draw(st.permutations(range(len(shape))))
    array = base.transpose(order)[::-1]
    folder = tmp_path_factory.mktemp("layout")
    written = export(snapshot(array), parameter("tiff"), folder, formats=GALAXY)
    again = tifffile.imread(written.file.path).reshape(array.shape)
    np.testing.assert_array_equal(again, array)


# -- files that are passed as they are ---------------------------------------------


def same_file(one: Path, other: Path) -> bool:
    """Whether it is passed as it is: the same bytes, in a file of its own."""
    assert not os.path.samefile(one, other)
    return one.read_bytes() == other.read_bytes()


def test_a_path_is_passed_as_it_is(tmp_path):
    path = tmp_path / "my image (1).tif"
    tifffile.imwrite(path, np.zeros((4, 5)))
    written = export(snapshot(path), parameter("imagetiff"), tmp_path / "in")
    assert not written.copied
    assert written.file.path == tmp_path / "in" / "my_image_1.tif"
    assert same_file(written.file.path, path)
    assert written.file.name == "my image (1).tif"
    assert written.sha256.startswith("sha256:")


@pytest.mark.parametrize("name", ["x.tif", "x.TIFF", "x.ome.tif", "x.ome.tiff"])
def test_tiff_by_any_name(tmp_path, name):
    path = tmp_path / name
    tifffile.imwrite(path, np.zeros((4, 5)))
    written = export(
        snapshot(str(path)), parameter("png", "tiff"), tmp_path / "in", formats=GALAXY
    )
    assert written.file.format == "tiff"
    assert same_file(written.file.path, path)
    assert written.file.path.name.lower() == name.lower()


def test_a_path_is_converted_where_it_must(tmp_path):
    from PIL import Image as Picture

    data = RNG.integers(0, 255, (5, 6, 3)).astype("u1")
    Picture.fromarray(data).save(tmp_path / "photo.png")
    written = export(snapshot(tmp_path / "photo.png"), parameter("imagetiff"), tmp_path / "in")
    np.testing.assert_array_equal(tifffile.imread(written.file.path), data)
    assert any("converted" in note for note in written.notes)
    assert written.file.path.name == "photo.tif"


def test_unknown_files_are_passed_to_who_takes_them(tmp_path):
    path = tmp_path / "scan.czi"
    path.write_bytes(b"whatever")
    for formats, expected in ((("czi", "tiff"), "czi"), (("raw",), "czi"), ((), "czi")):
        written = export(snapshot(path), parameter(*formats), tmp_path / "in", formats=GALAXY)
        assert written.file.format == expected
    with pytest.raises(UnsupportedLayerError, match=r"scan\.czi.*tiff"):
        export(snapshot(path), parameter("tiff"), tmp_path / "in", formats=GALAXY)


def test_a_zarr_folder_is_linked(tmp_path):
    zarr.create_array(tmp_path / "a.zarr", data=np.zeros((4, 4)), chunks=(2, 2))
    written = export(
        snapshot(tmp_path / "a.zarr"), parameter("zarr"), tmp_path / "in", formats=GALAXY
    )
    assert not written.copied
    ours = sorted(p.relative_to(written.file.path) for p in written.file.path.rglob("*"))
    theirs = sorted(p.relative_to(tmp_path / "a.zarr") for p in (tmp_path / "a.zarr").rglob("*"))
    assert ours == theirs


def test_a_folder_goes_where_a_folder_is_taken(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_text("1")
    folder = snapshot(tmp_path / "model")
    written = export(folder, parameter("zip", "directory"), tmp_path / "in", formats=GALAXY)
    assert (written.file.path / "weights").read_text() == "1"
    with pytest.raises(UnsupportedLayerError, match="which takes zip"):
        export(folder, parameter("zip"), tmp_path / "in2", formats=GALAXY)


def test_a_missing_file_is_told_at_once(tmp_path):
    with pytest.raises(UnsupportedLayerError, match=r"nothing\.tif"):
        snapshot(tmp_path / "nothing.tif")


def test_a_file_that_went_away_is_told(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((4, 5)))
    snap = snapshot(path)
    path.unlink()
    with pytest.raises(ExchangeError, match="no longer there"):
        export(snap, parameter("tiff"), tmp_path / "in", formats=GALAXY)


def output_layer(tmp_path: Path, scale: float) -> tuple[Path, Image]:
    """A result of a tool, as a layer."""
    path = tmp_path / "result.tif"
    metadata = {"axes": "YX", "PhysicalSizeX": scale, "PhysicalSizeY": scale}
    tifffile.imwrite(path, RNG.random((30, 40)), ome=True, metadata=metadata)
    loaded = load(
        collected(path, "tiff"), DataOutput(name="o", kind=LayerKind.IMAGE), make_tool(), inputs={}
    )
    return path, Image(loaded.data, **loaded.attributes)


def test_an_unmodified_result_is_passed_by_its_file(tmp_path):
    path, layer = output_layer(tmp_path, 0.5)
    written = export(snapshot(layer), parameter("tiff"), tmp_path / "in", formats=GALAXY)
    assert same_file(written.file.path, path)
    assert not written.copied


@pytest.mark.parametrize("change", ["data", "scale", "file", "view"])
def test_a_changed_result_is_written_anew(tmp_path, change):
    path, layer = output_layer(tmp_path, 0.5)
    before = np.array(layer.data)
    if change == "data":
        layer.data = layer.data * 2
    elif change == "scale":
        layer.scale = (3, 3)
    elif change == "view":
        layer.data = layer.data[::-1]
    else:
        tifffile.imwrite(path.with_name("new.tif"), np.zeros((30, 40)))
        path.with_name("new.tif").replace(path)
    written = export(snapshot(layer), parameter("tiff"), tmp_path / "in", formats=GALAXY)
    assert not same_file(written.file.path, path)
    expected = {"data": before * 2, "view": before[::-1]}.get(change, before)
    np.testing.assert_array_equal(tifffile.imread(written.file.path), expected)


def test_a_result_that_took_its_place_from_the_input_is_written_with_it(tmp_path):
    path = tmp_path / "result.tif"
    tifffile.imwrite(path, RNG.random((30, 40)))
    inputs = {"i": snapshot(Image(np.zeros((30, 40)), scale=(0.5, 0.5), units="um"))}
    loaded = load(collected(path, "tiff"), DataOutput(name="o"), make_tool(), inputs=inputs)
    layer = Image(loaded.data, **loaded.attributes)
    written = export(snapshot(layer), parameter("tiff"), tmp_path / "in", formats=GALAXY)
    with tifffile.TiffFile(written.file.path) as tif:
        assert 'PhysicalSizeX="0.5"' in tif.ome_metadata


def test_a_read_only_map_of_somebody_else(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RNG.random((6, 30, 40)), metadata={"axes": "ZYX"})
    mapped = tifffile.memmap(path, mode="r")
    passed = export(snapshot(mapped), parameter("tiff"), tmp_path / "in", formats=GALAXY)
    assert same_file(passed.file.path, path)
    for part in (mapped[1:], mapped[:, :, ::-1], mapped[::-1], tifffile.memmap(path, mode="r+")):
        written = export(snapshot(part), parameter("tiff"), tmp_path / "in", formats=GALAXY)
        assert not same_file(written.file.path, path)
        np.testing.assert_array_equal(tifffile.imread(written.file.path), part)


def test_a_zarr_layer_is_passed_by_its_folder(tmp_path):
    folder = tmp_path / "src"
    written = export(
        snapshot(RNG.random((6, 30, 40)), "a"), parameter("zarr"), folder, formats=GALAXY
    )
    layer = Image(zarr.open(written.file.path)["0"])
    passed = export(snapshot(layer), parameter("zarr"), tmp_path / "in", formats=GALAXY)
    assert not passed.copied


def test_edited_labels_are_written_anew(tmp_path):
    path = tmp_path / "l.tif"
    tifffile.imwrite(path, np.zeros((30, 40), "u2"))
    loaded = load(
        collected(path, "tiff"),
        DataOutput(name="o", kind=LayerKind.LABELS),
        make_tool(),
        inputs={},
    )
    layer = Labels(loaded.data, **loaded.attributes)
    layer.data[3, 3] = 7
    written = export(snapshot(layer), parameter("tiff"), tmp_path / "in", formats=GALAXY)
    assert tifffile.imread(written.file.path)[3, 3] == 7
    assert tifffile.imread(path)[3, 3] == 0


def test_big_compressed_results_are_lazy(tmp_path, monkeypatch):
    from napari_tool_runner.exchange.carriers import tiff

    monkeypatch.setattr(tiff, "_EAGER", 1000)
    data = RNG.integers(0, 9, (5, 64, 64)).astype("u2")
    tifffile.imwrite(tmp_path / "c.tif", data, compression="zlib")
    loaded = load(
        collected(tmp_path / "c.tif", "tiff"),
        DataOutput(name="o", kind=LayerKind.IMAGE),
        make_tool(),
        inputs={},
    )
    assert isinstance(loaded.data, da.Array)
    np.testing.assert_array_equal(np.asarray(loaded.data), data)


def test_a_file_without_extension_is_known_by_its_content(tmp_path):
    path = tmp_path / "dataset_17"
    tifffile.imwrite(path, np.zeros((4, 5)))
    written = export(snapshot(path), parameter("tiff"), tmp_path / "in", formats=GALAXY)
    assert same_file(written.file.path, path)
    assert written.file.path.name == "dataset_17.tiff"


@pytest.mark.parametrize("fmt", ["imagetiff", "imagezarr", "npy", "tablecsv", "movietxt"])
def test_no_room_is_told_and_leaves_nothing(tmp_path, fmt):
    """A limit on the size of files stands in for a disk that gets full."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    value = {"a": np.arange(400_000)} if fmt == "tablecsv" else np.ones((4, 512, 512))
    snap = snapshot(value, "big")
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(ExchangeError, match=r"“big” could not be written.*free space"):
            export(snap, parameter(fmt), tmp_path / "in")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list((tmp_path / "in").iterdir())


@pytest.mark.parametrize(("number", "told"), [(errno.ENOSPC, True), (errno.EOPNOTSUPP, False)])
def test_room_for_large_arrays_is_found_before_they_are_written(
    tmp_path, monkeypatch, number, told
):
    class Disk:
        def __init__(self, *_, **__) -> None:
            pass

        def fallocate(self, *_) -> int:
            ctypes.set_errno(number)
            return -1

    asked = []
    monkeypatch.setattr(ctypes, "CDLL", Disk)
    monkeypatch.setattr(sys, "platform", "linux")
    array = np.arange(5 * 2**20, dtype="u4").reshape(5, 1024, 1024)
    snap = snapshot(array, "big")

    def progress(done: int, total: int) -> None:
        asked.append(done)

    if told:
        with pytest.raises(ExchangeError, match=r"“big” could not be written.*free space"):
            export(snap, parameter("imagetiff"), tmp_path / "in", progress=progress)
        assert not list((tmp_path / "in").iterdir())
        assert not asked
    else:  # a disk that cannot say so
        written = export(snap, parameter("imagetiff"), tmp_path / "in", progress=progress)
        np.testing.assert_array_equal(tifffile.imread(written.file.path), array)
        assert len(asked) == 5  # what is in memory goes in parts that a cache holds


def test_room_does_not_make_a_file_longer(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    with path.open("r+b") as file:
        reserve(file.fileno(), 3, 2**20)
    assert path.read_bytes() == b"abc"


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ExchangeError, match="cannot be made"):
        export(
            snapshot(np.zeros((3, 3))), parameter("tiff"), tmp_path / "file" / "in", formats=GALAXY
        )


# -- smaller levels ----------------------------------------------------------------


def pyramid(path: Path, base: np.ndarray, *levels: np.ndarray, axes: str = "YX", **more) -> Path:
    with tifffile.TiffWriter(path) as writer:
        writer.write(base, subifds=len(levels), tile=(16, 16), metadata={"axes": axes}, **more)
        for level in levels:
            writer.write(level, tile=(16, 16), subfiletype=1, **more)
    return path


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("root", [True, False])
def test_a_large_tiff_comes_with_its_smaller_levels(tmp_path, monkeypatch, compression, root):
    monkeypatch.setattr(carriers.tiff, "_EAGER", 100)
    base = RNG.integers(0, 255, (64, 96)).astype("u1")
    path = pyramid(
        tmp_path / "o.ome.tif", base, base[::2, ::2], base[::4, ::4], compression=compression
    )
    image = DataOutput(name="o", kind=LayerKind.IMAGE)
    where = tmp_path if root else None
    result = load(collected(path, "tiff"), image, make_tool(), inputs={}, root=where)
    assert result.attributes["multiscale"] is True
    assert [level.shape for level in result.levels] == [(64, 96), (32, 48), (16, 24)]
    for step, level in zip((1, 2, 4), result.levels, strict=True):
        np.testing.assert_array_equal(np.asarray(level), base[::step, ::step])
    Layer.create(*result.as_layer_data_tuple())
    labels = replace(image, kind=LayerKind.LABELS)
    edited = load(collected(path, "tiff"), labels, make_tool(), inputs={}, root=where)
    assert "multiscale" not in edited.attributes
    assert edited.data.flags.writeable


def test_levels_get_the_axes_of_one_step_that_went_in(tmp_path, monkeypatch):
    monkeypatch.setattr(carriers.tiff, "_EAGER", 100)
    base = RNG.integers(0, 255, (64, 96)).astype("u1")
    path = pyramid(tmp_path / "o.ome.tif", base, base[::2, ::2])
    went_in = snapshot((base[None], {"axis_labels": ("z", "y", "x")}, "image"))
    image = DataOutput(name="o", kind=LayerKind.IMAGE)
    result = load(collected(path, "tiff"), image, make_tool(), inputs={"i": went_in})
    assert [level.shape for level in result.levels] == [(1, 64, 96), (1, 32, 48)]
    Layer.create(*result.as_layer_data_tuple())


@pytest.mark.parametrize(
    "level",
    [
        RNG.integers(0, 255, (32, 48)).astype("u2"),  # of other values
        RNG.integers(0, 255, (64, 96)).astype("u1"),  # no smaller
        RNG.integers(0, 255, (80, 48)).astype("u1"),  # larger in part
    ],
)
def test_what_is_no_smaller_copy_is_no_level(tmp_path, monkeypatch, level):
    monkeypatch.setattr(carriers.tiff, "_EAGER", 100)
    base = RNG.integers(0, 255, (64, 96)).astype("u1")
    path = pyramid(tmp_path / "o.ome.tif", base, level)
    image = DataOutput(name="o", kind=LayerKind.IMAGE)
    result = load(collected(path, "tiff"), image, make_tool(), inputs={}, root=tmp_path)
    assert "multiscale" not in result.attributes
    np.testing.assert_array_equal(np.asarray(result.data), base)


def test_planes_of_colours_are_levels_in_colour(tmp_path, monkeypatch):
    monkeypatch.setattr(carriers.tiff, "_EAGER", 100)
    base = RNG.integers(0, 255, (3, 64, 96)).astype("u1")
    how = {"photometric": "rgb", "planarconfig": "separate"}
    path = pyramid(tmp_path / "o.tif", base, base[:, ::2, ::2], axes="SYX", **how)
    image = DataOutput(name="o", kind=LayerKind.IMAGE)
    result = load(collected(path, "tiff"), image, make_tool(), inputs={}, root=tmp_path)
    assert result.attributes["rgb"] is True
    assert [level.shape for level in result.levels] == [(64, 96, 3), (32, 48, 3)]


def test_labels_go_out_as_they_can_be_mapped(tmp_path):
    labels = (RNG.integers(0, 9, (3, 20, 30)), {}, "labels")
    written = export(snapshot(labels), parameter("tiff"), tmp_path, formats=GALAXY)
    np.testing.assert_array_equal(tifffile.memmap(written.file.path, mode="r"), labels[0])
