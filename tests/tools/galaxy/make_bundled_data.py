"""Makes the test-data and thumbnails of the bundled Galaxy tools.

``python tests/tools/galaxy/make_bundled_data.py``. Inputs are a piece of a sample image;
references are what the scripts give. Look at the difference before committing one.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image
from scipy import ndimage
from skimage import filters, measure, segmentation

import napari_tool_runner

PACKAGE = Path(napari_tool_runner.__file__).parent
TOOLS = PACKAGE / "bundled_tools"
SIZES = {"PhysicalSizeX": 0.32, "PhysicalSizeY": 0.32}
COLOURS = np.random.default_rng(3).integers(60, 255, (64, 3)).astype(np.uint8)


def write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    tifffile.imwrite(path, image, ome=True, compression="zlib", metadata={"axes": "YX", **SIZES})


def script(tool: str, *arguments: object) -> None:
    name = tool.removeprefix("galaxy_")
    subprocess.run(
        [sys.executable, str(TOOLS / tool / f"{name}.py"), *map(str, arguments)], check=True
    )


def shown(image: np.ndarray) -> np.ndarray:
    low, high = np.percentile(image, (1, 99.5))
    gray = np.clip((image - low) / max(high - low, 1e-9) * 255, 0, 255).astype(np.uint8)
    return np.stack([gray] * 3, axis=-1)


def coloured(labels: np.ndarray) -> np.ndarray:
    return np.where(labels[..., None] > 0, COLOURS[labels % 64], 0).astype(np.uint8)


def thumbnail(tool: str, above: np.ndarray, below: np.ndarray) -> None:
    """A corner of what goes in, divided from what comes out by the diagonal."""
    rows, columns = np.indices((96, 96))
    pair = np.where((rows + columns < 96)[..., None], above, below).astype(np.uint8)
    Image.fromarray(pair).quantize(64).save(TOOLS / tool / "thumbnail.png", optimize=True)


def main() -> None:
    cells = tifffile.imread(PACKAGE / "sample_data" / "cells_2d.ome.tif")[:, 205:301, 135:231]
    image = cells[0]
    smooth = ndimage.gaussian_filter(image.astype(float), 1.5)
    mask = smooth > filters.threshold_otsu(smooth)
    distance = ndimage.gaussian_filter(ndimage.distance_transform_edt(mask), 2)
    seeds = measure.label((distance == ndimage.maximum_filter(distance, 15)) & (distance > 2))
    labels = segmentation.watershed(-distance, seeds, mask=mask)
    labels, _, _ = segmentation.relabel_sequential(
        np.where(np.isin(labels, np.flatnonzero(np.bincount(labels.ravel()) > 30)), labels, 0)
    )
    labels = labels.astype(np.uint16)
    worse = np.where(labels == labels.max(), 0, ndimage.shift(labels, (0, 2), order=0))
    print(labels.max(), "objects")

    sort = TOOLS / "galaxy_sort_objects" / "test-data"
    cut = TOOLS / "galaxy_cut_out_objects" / "test-data"
    compare = TOOLS / "galaxy_compare_labels" / "test-data"
    enhance = TOOLS / "galaxy_enhance_contrast" / "test-data"
    for folder in (sort, cut, compare):
        write(folder / "labels.tiff", labels)
    for folder in (sort, cut):
        write(folder / "image.tiff", image)
    write(compare / "worse.tiff", worse.astype(np.uint16))
    write(enhance / "cells.tiff", image)

    with tempfile.TemporaryDirectory() as name:
        temp = Path(name)
        settings = temp / "settings.json"
        settings.write_text(json.dumps({"feature": "area", "how": "quantiles", "count": 2}))
        script("galaxy_sort_objects", "--labels", sort / "labels.tiff", "--settings", settings,
               "--classes", temp, "--table", sort / "area.tsv")  # fmt: skip
        for index in (1, 2):
            shutil.copyfile(temp / f"class_{index}.tiff", sort / f"area_{index}.tiff")
        large = tifffile.imread(sort / "area_2.tiff")
        settings.write_text(
            json.dumps({"feature": "intensity_mean", "how": "values", "edges": [220, 235]})
        )
        script("galaxy_sort_objects", "--labels", sort / "labels.tiff", "--image",
               sort / "image.tiff", "--settings", settings, "--classes", temp)  # fmt: skip
        shutil.copyfile(temp / "class_2.tiff", sort / "bright_2.tiff")
        script("galaxy_cut_out_objects", cut / "image.tiff", cut / "labels.tiff", temp,
               "--margin", 2, "--limit", 2, "--blank")  # fmt: skip
        largest = sorted(temp.glob("object_*.tiff"))[0]
        print("largest objects:", [path.stem for path in sorted(temp.glob("object_*.tiff"))])
        shutil.copyfile(largest, cut / "blank.tiff")
        piece = tifffile.imread(largest)
        script("galaxy_enhance_contrast", "--input", enhance / "cells.tiff", "--output",
               enhance / "clahe.tiff", "--method", "clahe")  # fmt: skip
        clahe = tifffile.imread(enhance / "clahe.tiff")
        script("galaxy_compare_labels", "--reference", compare / "labels.tiff",
               "--candidate", compare / "labels.tiff", "same",
               "--candidate", compare / "worse.tiff", "worse",
               "--table", compare / "objects.tsv", "--summary", temp / "s.tsv")  # fmt: skip
        print((temp / "s.tsv").read_text())

    thumbnail("galaxy_sort_objects", coloured(labels), coloured(large))
    zoomed = np.asarray(Image.fromarray(shown(piece)).resize((96, 96), Image.Resampling.NEAREST))
    thumbnail("galaxy_cut_out_objects", shown(image), zoomed)
    thumbnail("galaxy_enhance_contrast", shown(image), shown(clahe))
    thumbnail("galaxy_compare_labels", coloured(labels), coloured(worse.astype(int)))


if __name__ == "__main__":
    main()
