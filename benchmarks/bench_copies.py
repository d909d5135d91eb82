"""What is copied of large data, against NumPy writing (and reading) the same bytes."""

from __future__ import annotations

import dataclasses
import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import dask.array as da
import numpy as np
import tifffile
import zarr

from benchmarks.measure import Comparison, compare
from napari_tool_runner.exchange import LayerSnapshot, export, load, snapshot, with_known_axes
from napari_tool_runner.tools.dialect import CollectedFile
from napari_tool_runner.tools.model import DataOutput, DataParameter, LayerKind, Tool

PARAMETER = DataParameter(name="input", formats=("imagetiff",))
IMAGE = DataOutput(name="output", format="imagetiff", kind=LayerKind.IMAGE)
LABELS = DataOutput(name="output", format="imagetiff", kind=LayerKind.LABELS)
TOOL = Tool(id="copy", name="Copy")
LEVELS = 5
AXES = {"axis_labels": ("z", "y", "x"), "scale": (2, 0.5, 0.5), "units": ("um", "um", "um")}
SIZES = {"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 2}


class Jobs:
    """Hands values over as jobs do whose programs are enclosed; deletes what was written."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._numbers = folder, itertools.count()

    def give(self, snap: LayerSnapshot) -> tuple[Path, Path]:
        """Return the file as a program sees it, and the folder of the job."""
        job = self._folder / str(next(self._numbers))
        known = with_known_axes(snap)
        written = export(known, PARAMETER, job / "io" / "inputs", lend=job / "inputs")
        return written.file.path, job

    def there_and_back(self, array: np.ndarray, output: DataOutput) -> None:
        """Write an array that is another each time, open it as a result, read all of it."""
        array[0, 0, 0] += 1
        snap = snapshot((array, AXES, str(output.kind)), "a")
        path, job = self.give(snap)
        found = load(CollectedFile(path, "imagetiff"), output, TOOL, inputs={"input": snap})
        assert np.array(found.data)[0, 0, 0] == array[0, 0, 0]
        shutil.rmtree(job)

    def again(self, snap: LayerSnapshot) -> Callable[[], None]:
        """Return what hands over what was handed over before: nothing is written."""
        first = self.give(snap)[0].stat()

        def given() -> None:
            path, job = self.give(snap)
            assert path.stat().st_ino == first.st_ino
            shutil.rmtree(job)

        return given


def run(*, quick: bool) -> Iterator[Comparison]:
    repeats = 3 if quick else 9
    rng = np.random.default_rng(0)
    planes = 16 if quick else 128
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        jobs, raw = Jobs(folder / "jobs"), folder / "raw"

        def bare(array: np.ndarray, *, read: bool = False) -> None:
            array.tofile(raw)
            if read:
                np.fromfile(raw, array.dtype)
            raw.unlink()

        small = rng.integers(0, 4096, (16, 2048, 2048)).astype(np.uint16)
        labels = (rng.integers(0, 60_000, (8, 2048, 2048)) * (small[:8] > 2000)).astype(np.int32)
        for what, array, output in (("image", small, IMAGE), ("labels", labels, LABELS)):
            yield compare(
                f"{array.nbytes / 1e6:.0f} MB {what}, in and out (tofile + fromfile)",
                lambda array=array, output=output: jobs.there_and_back(array, output),
                lambda array=array: bare(array, read=True),
                aim=1.3,
                repeats=repeats,
            )
        large = rng.integers(0, 4096, (planes, 2048, 2048)).astype(np.uint16)
        size = f"{large.nbytes / 1e9:.1f} GB"
        file = folder / "large.ome.tif"
        tifffile.imwrite(file, large, ome=True, metadata=SIZES)
        mapped = tifffile.memmap(file, mode="r")
        layer = (large, {**AXES, "name": "a"}, "image")
        for what, snap, aim in (
            ("path", snapshot(file), 0.05),
            ("memory map", snapshot((mapped, AXES, "image")), 0.05),
            ("array that did not change", snapshot(layer), 0.5),
            ("layer in memory that is its file", _opened(layer, file), 0.5),
        ):
            yield compare(
                f"{size} {what}, once more (tofile)",
                jobs.again(snap),
                lambda: bare(large),
                aim=aim,
                repeats=repeats,
            )
        store = zarr.create_array(
            folder / "z", data=large, chunks=(4, 1024, 1024), compressors=None
        )
        lazy = da.from_zarr(store)

        def streamed() -> None:
            shutil.rmtree(jobs.give(snapshot((lazy, AXES, "image"), "a"))[1])

        def plain() -> None:
            with raw.open("wb") as stream:
                for start in range(0, planes, 4):
                    stream.write(np.ascontiguousarray(lazy[start : start + 4].compute()).data)
            raw.unlink()

        yield compare(
            f"{size} dask image (a loop over its chunks)", streamed, plain, aim=1.3, repeats=3
        )
        yield _pyramid(folder, rng, 8192 if quick else 16384, repeats)


def _opened(layer: tuple[np.ndarray, dict[str, object], str], file: Path) -> LayerSnapshot:
    """Return a layer that was read into memory, as napari's own reader does."""
    return dataclasses.replace(snapshot(layer), source=str(file))


def _pyramid(folder: Path, rng: np.random.Generator, side: int, repeats: int) -> Comparison:
    """Compare the layer of a large result with one that is made by hand of the same file."""
    from napari.layers import Image

    path = folder / "pyramid.ome.tif"
    whole = rng.integers(0, 4096, (side, side)).astype(np.uint16)
    how = {"tile": (512, 512), "compression": "zlib", "compressionargs": {"level": 1}}
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        writer.write(whole, subifds=LEVELS, metadata={"axes": "YX"}, **how)
        for level in range(1, LEVELS + 1):
            step = 2**level
            writer.write(whole[::step, ::step], subfiletype=1, **how)

    def picture() -> None:
        found = load(CollectedFile(path, "imagetiff"), IMAGE, TOOL, inputs={})
        data, attributes, _ = found.as_layer_data_tuple()
        assert Image(data, **attributes).multiscale

    def by_hand() -> None:
        levels = range(LEVELS + 1)
        with tifffile.TiffFile(path) as file:
            stores = [zarr.open_array(file.aszarr(level=one), mode="r") for one in levels]
            Image([da.from_zarr(one) for one in stores], multiscale=True)

    name = f"first picture of a pyramid of {side} × {side} (aszarr, napari's Image)"
    return compare(name, picture, by_hand, aim=2.0, repeats=repeats)
