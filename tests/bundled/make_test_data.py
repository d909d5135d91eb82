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
from scipy import ndimage

from bundled import direct

SAMPLES = direct.TOOLS.parent / "sample_data"
CELLS = {"PhysicalSizeX": 0.32, "PhysicalSizeY": 0.32}
NUCLEI = {"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25, "PhysicalSizeZ": 1.0}
RNA = np.s_[90:186, 90:186]
SPOTS = {"PhysicalSizeX": 0.108, "PhysicalSizeY": 0.108}


def sample(key: str) -> np.ndarray:
    return tifffile.imread(SAMPLES / f"{key}.ome.tif")


def write(path: Path, image: np.ndarray, axes: str, **metadata: object) -> None:
    path.parent.mkdir(exist_ok=True)
    tifffile.imwrite(
        path,
        image,
        ome=True,
        photometric="rgb" if axes.endswith("S") else "minisblack",
        compression="zlib",
        metadata={"axes": axes, **metadata},
    )


def labels_of(mask: np.ndarray) -> np.ndarray:
    """Return numbered objects without the smallest."""
    labels, _ = ndimage.label(ndimage.binary_opening(mask, iterations=2))
    return labels.astype(np.int32)


def make_inputs(tool: str, folder: Path) -> None:
    """Write the pieces of the sample images that the tests of `tool` name."""
    cells = sample("cells_2d")[:, 205:301, 135:231]
    nuclei = sample("nuclei_3d")[6:14, 20:84, 60:124]
    movie = sample("moving_spots")
    smooth = ndimage.gaussian_filter(cells[0].astype(float), 1.5)
    deep = ndimage.gaussian_filter(nuclei.astype(float), (0.5, 2, 2))
    rng = np.random.default_rng(7)
    drift = np.cumsum(rng.uniform(-2.5, 2.5, (5, 2)), axis=0)
    drifting = [ndimage.shift(cells[0].astype(float), s, mode="reflect") for s in drift]
    bead = np.zeros((7, 9, 9))
    bead[3, 4, 4] = 40000
    files = {
        "after.tif": (sample("drifted_pair")[1, 60:188, 60:188], "YX", CELLS),
        "bead.tif": ((ndimage.gaussian_filter(bead, 1.2) + 100).astype(np.uint16), "ZYX", NUCLEI),
        "before.tif": (sample("drifted_pair")[0, 60:188, 60:188], "YX", CELLS),
        "cells.tif": (cells[0], "YX", CELLS),
        "cytoplasm.tif": (cells[1], "YX", CELLS),
        "drifting.tif": (np.clip(drifting, 0, None).astype(np.uint16), "TYX", CELLS),
        "labels.tif": (labels_of(smooth > 190), "YX", CELLS),
        "labels_3d.tif": (labels_of(deep > 160), "ZYX", NUCLEI),
        "mask.tif": ((smooth > 190).astype(np.uint8), "YX", CELLS),
        "mask_3d.tif": ((deep > 150).astype(np.uint8), "ZYX", NUCLEI),
        "movie.tif": (movie[::4, :80, :80], "TYX", SPOTS),
        "nuclei.tif": (nuclei, "ZYX", NUCLEI),
        "rna.tif": (sample("spots_2d")[RNA], "YX", SPOTS),
    }
    special = {
        "calculate_images": {
            "nuclei.tif": files["cells.tif"],
            "stack.tif": (nuclei[2:5], "ZYX", NUCLEI),
            "mask.tif": ((deep[3] > 150).astype(np.uint8), "YX", NUCLEI),
        },
        "colour_to_grey": {"colour.tif": (colours(cells), "YXS", CELLS)},
        "colocalize": {"nuclei.tif": files["cells.tif"]},
        "count_points": {"cells.tif": (rna_cells(), "YX", SPOTS)},
        "detect_spots": {"movie.tif": (movie[:4, :80, :80], "TYX", SPOTS)},
        "distance_transform": {"mask.tif": files["mask_3d.tif"]},
        "fill_holes": {"mask.tif": ((cells[0] > 195).astype(np.uint8), "YX", CELLS)},
        "label_components": {"mask.tif": ((nuclei > 150).astype(np.uint8), "ZYX", NUCLEI)},
    }
    special["rescale"] = {"labels.tif": files["labels_3d.tif"]}
    files |= special.get(tool, {})
    spots = {"track_points": movie, "count_points": sample("spots_2d")[RNA]}
    if tool in spots:
        axes = "TYX" if spots[tool].ndim == 3 else "YX"
        write(folder / "image.tif", spots[tool], axes, **SPOTS)
        found = direct.run(
            direct.descriptor("detect_spots"), {"input": folder / "image.tif"}, folder
        )
        found.outputs["points"].replace(folder / "spots.csv")
        (folder / "image.tif").unlink()
    path = direct.descriptor(tool)
    wanted = {p.get("value", "") for t in direct.tests_of(path) for p in t.findall("param")}
    for name in sorted(wanted & set(files)):
        image, axes, sizes = files[name]
        write(folder / name, image, axes, **{k: v for k, v in sizes.items() if k[-1] in axes})


def colours(cells: np.ndarray) -> np.ndarray:
    """Return cytoplasm in magenta and nuclei in blue, as a picture that somebody exported."""
    first, second = (np.clip((one - 100.0) * 0.6, 0, 255) for one in cells)
    return np.stack([second, second * 0, np.maximum(first, second)], -1).astype(np.uint8)


def rna_cells() -> np.ndarray:
    """Return the two cells of the RNA sample as labels."""
    cells = ndimage.gaussian_filter(sample("spots_2d")[RNA].astype(float), 5) > 114
    rows, columns = np.indices(cells.shape)
    return (cells * np.where(rows + columns > 90, 2, 1)).astype(np.int32)


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
