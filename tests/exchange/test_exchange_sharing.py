"""What several jobs are given is written once, and never stale."""

from __future__ import annotations

import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile
from exchange_helpers import parameter
from napari.layers import Image, Labels
from napari.layers._source import layer_source

from napari_tool_runner.exchange import (
    export,
    exporting,
    files,
    sharing,
    snapshot,
    with_known_axes,
)

RNG = np.random.default_rng(7)
TIFF = parameter("imagetiff")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """What is more than a kilobyte is large."""
    for module in (files, sharing):
        monkeypatch.setattr(module, "OWN", 1000)


@pytest.fixture
def written(monkeypatch):
    """The files that are written, not lent."""
    found: list[Path] = []
    write = sharing.write_pixels

    def noted(pixels, fmt, path, *, progress):
        found.append(path)
        return write(pixels, fmt, path, progress=progress)

    monkeypatch.setattr(sharing, "write_pixels", noted)
    return found


@pytest.fixture
def job(tmp_path):
    """Give values to a new job as its program finds them: below ``io``, which it may change."""
    numbers = iter(range(99))

    def given(value, wanted=TIFF, *, lend=True):
        root = tmp_path / f"job{next(numbers)}"
        snap = with_known_axes(snapshot(value, "" if hasattr(value, "name") else "a"))
        kept = root / "inputs" if lend else None
        return export(snap, wanted, root / "io" / "inputs", lend=kept).file.path

    return given


def pixels() -> np.ndarray:
    return RNG.integers(0, 2**16, (3, 40, 50)).astype("u2")


def test_an_unchanged_array_is_written_once(job, written):
    array = pixels()
    paths = [job(array) for _ in range(5)]
    assert len(written) == 1
    for path in paths:
        assert path.is_symlink()
        kept = path.readlink()
        assert kept.parent == path.parents[2] / "inputs"  # of its own job
        assert kept.samefile(paths[0])
        assert not kept.is_symlink()
        assert kept.stat().st_mode & 0o222 == 0
        np.testing.assert_array_equal(tifffile.imread(path), array)


@pytest.mark.parametrize("kind", ["image", "labels"])
@pytest.mark.parametrize("place", [(0, 0, 0), (2, 39, 49), (1, 20, 30)])
def test_a_write_without_a_trace_is_noticed(job, written, kind, place):
    array = pixels()
    layer = Image(array, name="a") if kind == "image" else Labels(array, name="a")
    job(layer)
    before = array.copy()
    layer.data[place] ^= 1  # napari tells nobody
    np.testing.assert_array_equal(tifffile.imread(job(layer)), array)
    layer.data[place] ^= 1
    np.testing.assert_array_equal(tifffile.imread(job(layer)), before)
    assert len(written) == 2


def test_values_that_only_change_places_are_others(job, written):
    array = pixels()
    job(array)
    array[:] = array[::-1].copy()
    np.testing.assert_array_equal(tifffile.imread(job(array)), array)
    assert len(written) == 2


def test_what_changed_while_it_was_written_is_written_anew(job, monkeypatch):
    array = pixels()
    write = sharing.write_pixels

    def painted(*given, progress):
        told = write(*given, progress=progress)
        array[0, 0, 0] ^= 1
        return told

    with monkeypatch.context() as patch:
        patch.setattr(sharing, "write_pixels", painted)
        job(array)
    np.testing.assert_array_equal(tifffile.imread(job(array)), array)


def test_another_place_name_or_type_is_another_file(job, written):
    array = pixels()
    place = {"scale": (1, 2, 2), "units": "um"}
    job(Image(array, name="a", **place))
    job(Image(array, name="a", scale=(1, 3, 3), units="um"))
    job(Image(array, name="b", **place))
    job(Labels(array, name="a", **place))
    job(array.view("i2"))
    job(array, parameter("npy"))
    assert len(written) == 6


def test_it_goes_with_the_last_job_that_has_it(job, written):
    array = pixels()
    first, second = job(array), job(array)
    first.readlink().unlink()
    third = job(array)
    assert len(written) == 1
    np.testing.assert_array_equal(tifffile.imread(third), array)
    kept = third.readlink().stat()
    assert kept.st_nlink == 2
    for path in (second, third):
        path.readlink().unlink()
    np.testing.assert_array_equal(tifffile.imread(job(array)), array)
    assert len(written) == 2


def test_a_file_that_somebody_changed_is_given_to_nobody(job, written):
    array = pixels()
    kept = job(array).readlink()
    kept.chmod(0o644)
    with kept.open("r+b") as file:
        file.seek(-2, os.SEEK_END)
        file.write(b"xx")
    os.utime(kept, ns=(0, kept.stat().st_mtime_ns + 1))
    np.testing.assert_array_equal(tifffile.imread(job(array)), array)
    assert len(written) == 2


def test_a_link_in_its_place_is_not_followed(job, written, tmp_path):
    array = pixels()
    kept = job(array).readlink()
    kept.rename(tmp_path / "moved.tif")
    kept.symlink_to(tmp_path / "moved.tif")
    job(array)
    assert len(written) == 2


def test_where_no_second_name_can_be_it_is_written(job, written, monkeypatch):
    def refused(*_, **__):
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refused)
    array = pixels()
    for _ in range(2):
        np.testing.assert_array_equal(tifffile.imread(job(array)), array)
    assert len(written) == 2


def test_where_nothing_is_lent_each_job_has_its_own(job, written):
    array = pixels()
    first, second = job(array, lend=False), job(array, lend=False)
    assert len(written) == 2
    assert not first.is_symlink()
    assert not first.samefile(second)
    assert not (first.parents[2] / "inputs").exists()


def test_half_a_file_leaves_no_trace(job, monkeypatch):
    def broken(pixels, fmt, path, *, progress):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(sharing, "write_pixels", broken)
    with pytest.raises(KeyboardInterrupt):
        job(pixels())


def test_the_content_hash_is_remembered(job, tmp_path, monkeypatch):
    array = pixels()
    assert sharing.sha256_once(job(array).readlink(), lambda _: "sha256:1") == "sha256:1"
    kept = tmp_path / "next" / "inputs"
    kept.parent.mkdir()
    monkeypatch.setattr(exporting, "_HASHED", 0)
    again = export(with_known_axes(snapshot(array, "a")), TIFF, kept.parent / "io", lend=kept)
    assert again.sha256 == "sha256:1"


def test_two_jobs_at_once_read_it_once(job):
    array = pixels()
    paths = [job(array).readlink() for _ in range(4)]
    read: list[Path] = []
    begun = threading.Barrier(4)

    def taken(path: Path) -> str:
        read.append(path)
        time.sleep(0.2)  # the others ask meanwhile
        return "sha256:1"

    def asked(path: Path) -> str:
        begun.wait()
        return sharing.sha256_once(path, taken)

    with ThreadPoolExecutor(4) as threads:
        assert [*threads.map(asked, paths)] == ["sha256:1"] * 4
    assert len(read) == 1


# -- a layer and its file ----------------------------------------------------------


def opened(path: Path, array: np.ndarray | None = None) -> Image:
    """Return a layer as napari's reader makes it: in memory."""
    with layer_source(path=str(path)):
        return Image(tifffile.imread(path) if array is None else array, name="a")


@pytest.fixture
def stack(tmp_path) -> Path:
    path = tmp_path / "stack.ome.tif"
    sizes = {f"PhysicalSize{axis}": 0.5 for axis in "XYZ"}
    units = {f"PhysicalSize{axis}Unit": "µm" for axis in "XYZ"}
    tifffile.imwrite(path, pixels(), ome=True, metadata={"axes": "ZYX", **sizes, **units})
    return path


def test_a_layer_that_is_its_file_is_not_written(job, written, stack):
    layer = opened(stack)
    assert [job(layer).readlink() for _ in range(3)] == [stack] * 3
    assert not written


def test_a_layer_that_was_edited_is_written(job, written, stack):
    layer = opened(stack)
    job(layer)
    layer.data[1, 2, 3] ^= 1
    np.testing.assert_array_equal(tifffile.imread(job(layer)), layer.data)
    assert len(written) == 1


def test_a_file_that_was_overwritten_is_not_the_layer(job, written, stack):
    layer = opened(stack)
    job(layer)
    other = tifffile.memmap(stack, mode="r+")
    other[0, 0, 0] ^= 1
    other.flush()
    os.utime(stack, ns=(0, stack.stat().st_mtime_ns + 1))
    np.testing.assert_array_equal(tifffile.imread(job(layer)), layer.data)
    assert len(written) == 1


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_of_the_same_size_and_time_is_not_the_layer(job, written, stack, replaced):
    layer = opened(stack)
    job(layer)
    before, place = stack.stat(), stack
    if replaced:
        place = stack.with_name("other.tif")
        shutil.copy(stack, place)
    other = tifffile.memmap(place, mode="r+")
    other[0, 0, 0] ^= 1
    other.flush()
    place.replace(stack)
    os.utime(stack, ns=(before.st_atime_ns, before.st_mtime_ns))
    np.testing.assert_array_equal(tifffile.imread(job(layer)), layer.data)


def test_a_layer_that_lies_elsewhere_than_its_file_says_is_written(job, written, stack):
    layer = opened(stack)
    layer.scale = (1, 3, 3)
    layer.units = "um"
    job(layer)
    assert len(written) == 1


def test_what_a_file_does_not_say_so_that_tools_find_it_is_written(job, written, tmp_path):
    path = tmp_path / "plain.tif"
    tifffile.imwrite(path, pixels(), photometric="minisblack")  # its axes have no names
    job(opened(path))
    assert len(written) == 1


def test_a_compressed_file_is_not_unpacked_to_be_compared(job, written, tmp_path, monkeypatch):
    path = tmp_path / "z.ome.tif"
    tifffile.imwrite(path, pixels() % 9, ome=True, compression="zlib", metadata={"axes": "ZYX"})
    layer = opened(path)

    def unpacked(*_):
        raise AssertionError("it was unpacked to be compared")

    monkeypatch.setattr(sharing, "_mapped", unpacked)
    job(layer)
    job(layer)
    assert len(written) == 1
