"""10,000 objects (quick: 625) in the bundled tools, against the plain call of a library."""

from __future__ import annotations

import contextlib
import io
import runpy
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import tifffile
from scipy import ndimage
from skimage import measure, segmentation

import napari_tool_runner
from benchmarks.measure import Comparison, compare

TOOLS = Path(napari_tool_runner.__file__).parent / "bundled_tools"


def scene(side: int) -> np.ndarray:
    """Return `side` × `side` disks with a hole, somewhere in the squares of a grid."""
    rng = np.random.default_rng(0)
    rows, columns = np.ogrid[-14:15, -14:15]
    disk = (rows**2 + columns**2 <= 200) & (rows**2 + columns**2 > 4)
    labels = np.zeros((side * 41 - 4,) * 2, np.int32)
    for number, (row, column) in enumerate(np.ndindex(side, side), 1):
        y, x = np.array([row, column]) * 40 + rng.integers(0, 10, 2)
        labels[y : y + 29, x : x + 29][disk] = number
    return labels


def run(*, quick: bool) -> Iterator[Comparison]:
    labels = scene(25 if quick else 100)
    light = np.random.default_rng(1).integers(0, 4096, labels.shape).astype(np.uint16)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tifffile.imwrite(folder / "labels.tif", labels, ome=True, metadata={"axes": "YX"})
        tifffile.imwrite(folder / "image.tif", light, ome=True, metadata={"axes": "YX"})

        def script(tool: str, *options: str) -> Callable[[], None]:
            path = TOOLS / tool / f"{tool.removeprefix('galaxy_')}.py"
            argv = [str(path), *(option.replace("@", f"{folder}/") for option in options)]

            def call() -> None:
                with (
                    mock.patch.object(sys, "argv", argv),
                    contextlib.redirect_stdout(io.StringIO()),
                ):
                    runpy.run_path(str(path), run_name="__main__")

            return call

        def properties() -> None:
            more = ("intensity_mean", "intensity_min", "intensity_max", "perimeter", "solidity")
            measure.regionprops_table(labels, light, properties=("label", "area", *more))

        def split() -> None:
            depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(labels), 1.5)
            tops = ndimage.label((depth == ndimage.maximum_filter(depth, 21)) & (labels > 0))[0]
            segmentation.watershed(-depth, tops, mask=labels > 0)

        def distances() -> None:
            ndimage.distance_transform_edt(labels)

        out = "--output=@out.tif"
        rows = {
            "measure_regions (regionprops)": (
                script("measure_regions", "--labels=@labels.tif", "--image=@image.tif",
                       "--table=@t.csv"),
                properties,
            ),
            "compare_labels (regionprops)": (
                script("galaxy_compare_labels", "--reference=@labels.tif", "--candidate",
                       "@labels.tif", "same", "--table=@t.tsv", "--summary=@s.tsv"),
                properties,
            ),
            "label_outlines (regionprops)": (
                script("label_outlines", "--labels=@labels.tif", "--outlines=@o.geojson"),
                properties,
            ),
            "split_touching (distances, watershed)": (
                script("split_touching", "--input=@labels.tif", out), split,
            ),
            "fill_holes (distances)": (
                script("fill_holes", "--input=@labels.tif", out), distances,
            ),
            "morphology open (distances)": (
                script("morphology", "--input=@labels.tif", out), distances,
            ),
        }  # fmt: skip
        for title, (ours, bare) in rows.items():
            yield compare(title, ours, bare, aim=3.0, repeats=1 if quick else 3)
