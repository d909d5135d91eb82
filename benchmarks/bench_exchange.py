"""A layer to a file and back, against tifffile writing the array and mapping the file."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import dask.array as da
import numpy as np
import tifffile
import zarr

from benchmarks.measure import Comparison, compare
from napari_tool_runner.exchange import export, load, snapshot
from napari_tool_runner.tools.dialect import CollectedFile
from napari_tool_runner.tools.model import DataOutput, DataParameter, LayerKind, Tool

PARAMETER = DataParameter(name="input", formats=("imagetiff",))
IMAGE = DataOutput(name="output", format="imagetiff", kind=LayerKind.IMAGE)
LABELS = DataOutput(name="output", format="imagetiff", kind=LayerKind.LABELS)
TOOL = Tool(id="copy", name="Copy")


def run(*, quick: bool) -> Iterator[Comparison]:
    repeats = 3 if quick else 15
    rng = np.random.default_rng(0)
    shape = (16, 2048, 2048)
    image = rng.integers(0, 4096, shape).astype(np.uint16)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        numbers = itertools.count()

        def there_and_back(value: object, output: DataOutput = IMAGE) -> None:
            snap = snapshot(value, "image")
            written = export(snap, PARAMETER, folder / str(next(numbers)))
            file = CollectedFile(written.file.path, "imagetiff")
            loaded = load(file, output, TOOL, inputs={"input": snap})
            assert loaded.data.shape == shape  # type: ignore[attr-defined]
            written.file.path.unlink()

        def bare(array: np.ndarray = image, **how: object) -> None:
            path = folder / f"bare{next(numbers)}.tif"
            tifffile.imwrite(path, array, photometric="minisblack", **how)
            assert tifffile.memmap(path, mode="r").shape == shape
            path.unlink()

        size = f"{image.nbytes / 1e6:.0f} MB"
        yield compare(
            f"{size} image (imwrite + memmap)",
            lambda: there_and_back(image),
            bare,
            aim=1.3,
            repeats=repeats,
        )
        lazy = da.from_array(image, chunks=(4, 512, 512))
        yield compare(
            f"{size} dask image, block by block (compute all, imwrite + memmap)",
            lambda: there_and_back(lazy),
            lambda: bare(lazy.compute()),
            aim=1.3,
            repeats=repeats,
        )
        store = zarr.create_array(folder / "z", data=image, chunks=(1, 1024, 1024))
        yield compare(
            f"{size} zarr image, block by block (read all, imwrite + memmap)",
            lambda: there_and_back(store),
            lambda: bare(store[...]),
            aim=1.3,
            repeats=repeats,
        )
        labels = rng.integers(0, 60_000, shape) * rng.integers(0, 2, shape)  # no pattern

        def bare_labels() -> None:
            path = folder / f"bare{next(numbers)}.tif"
            tifffile.imwrite(path, labels.astype(np.int32), photometric="minisblack")
            assert tifffile.memmap(path, mode="c").shape == shape
            path.unlink()

        yield compare(
            f"{labels.nbytes / 1e6:.0f} MB int64 labels (astype, imwrite + memmap)",
            lambda: there_and_back((labels, {}, "labels"), LABELS),
            bare_labels,
            aim=1.3,
            repeats=repeats,
        )
        small = image[0, :512, :512]

        def small_there_and_back() -> None:
            snap = snapshot(small, "image")
            written = export(snap, PARAMETER, folder / str(next(numbers)))
            load(CollectedFile(written.file.path, "imagetiff"), IMAGE, TOOL, inputs={"i": snap})
            written.file.path.unlink()

        def small_bare() -> None:
            path = folder / f"bare{next(numbers)}.tif"
            tifffile.imwrite(path, small, ome=True, metadata={"axes": "YX"})
            tifffile.memmap(path, mode="r")
            path.unlink()

        yield compare(
            "0.5 MB image (OME imwrite + memmap)",
            small_there_and_back,
            small_bare,
            aim=3.0,
            repeats=repeats * 5,
        )
