"""Makes the test-data of the bundled tools.

In the folder ``tests``: ``python -m bundled.make_test_data [TOOL]…``.

Inputs are pieces of the sample images; references are what the scripts give. Look at the
difference before you commit a reference that changed: it means that results changed.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile

from bundled import direct

SAMPLES = direct.TOOLS.parent / "sample_data"
CELLS = {"PhysicalSizeX": 0.32, "PhysicalSizeY": 0.32}
NUCLEI = {"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25, "PhysicalSizeZ": 1.0}
SPOTS = {"PhysicalSizeX": 0.108, "PhysicalSizeY": 0.108}


def sample(key: str) -> np.ndarray:
    return tifffile.imread(SAMPLES / f"{key}.ome.tif")


def write(path: Path, image: np.ndarray, axes: str, **metadata: object) -> None:
    path.parent.mkdir(exist_ok=True)
    tifffile.imwrite(
        path,
        image,
        ome=True,
        photometric="minisblack",
        compression="zlib",
        metadata={"axes": axes, **metadata},
    )


def make_inputs(tool: str, folder: Path) -> None:
    cells, nuclei = (
        sample("cells_2d")[:, 205:301, 135:231],
        sample("nuclei_3d")[6:14, 20:84, 60:124],
    )
    if tool == "gaussian_filter":
        write(folder / "nuclei.tif", nuclei, "ZYX", **NUCLEI)
    elif tool == "threshold":
        write(folder / "cells.tif", cells[0], "YX", **CELLS)
    elif tool == "label_components":
        write(folder / "mask.tif", (nuclei > 150).astype(np.uint8), "ZYX", **NUCLEI)
    elif tool == "detect_spots":
        write(folder / "rna.tif", sample("spots_2d")[60:156, 30:126], "YX", **SPOTS)
        write(folder / "movie.tif", sample("moving_spots")[:4, :80, :80], "TYX", **SPOTS)
    elif tool == "track_points":
        write(folder / "movie.tif", sample("moving_spots"), "TYX", **SPOTS)
        made = direct.run(
            direct.descriptor("detect_spots"), {"input": folder / "movie.tif"}, folder
        )
        made.outputs["points"].replace(folder / "spots.csv")
        (folder / "movie.tif").unlink()
    else:
        raise SystemExit(f"No inputs are described here for {tool}.")


def make_references(tool: str, folder: Path) -> None:
    path = direct.descriptor(tool)
    for number, test in enumerate(direct.tests_of(path), 1):
        with tempfile.TemporaryDirectory() as place:
            made = direct.run_test(path, test, Path(place))
            if made.process.returncode:
                raise SystemExit(f"{tool}, test {number}: {made.process.stderr}")
            for output in test.findall("output"):
                target = folder / output.get("file", "")
                source = made.outputs[output.get("name", "")]
                if target.suffix == ".tif":  # a reference may be compressed, an output is not
                    with tifffile.TiffFile(source) as file:
                        write(target, file.series[0].asarray(), file.series[0].axes)
                else:
                    shutil.copyfile(source, target)
            said = made.process.stdout.strip()[-60:]
            print(f"{tool}, test {number}: {made.seconds:.2f} s; {said!r}")


if __name__ == "__main__":
    for name in sys.argv[1:] or [path.stem for path in direct.descriptors()]:
        data = direct.TOOLS / name / "test-data"
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir(parents=True)
        make_inputs(name, data)
        make_references(name, data)
