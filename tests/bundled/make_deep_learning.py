"""Makes the test-data and thumbnails of the tools that need an environment.

In the folder ``tests``: ``python -m bundled.make_deep_learning TOOL``, with the Python of the
tool's environment and a Pillow in it; `ntr.run` says where that lies (the record's ``prefix``).
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import tifffile
from scipy import ndimage

TOOLS = Path(__file__).parents[2] / "src" / "napari_tool_runner" / "bundled_tools"
SIZES = {"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}


def disc(shape: tuple[int, int], place: tuple[float, float], radius: float) -> np.ndarray:
    rows, columns = np.indices(shape)
    return np.hypot(rows - place[0], columns - place[1]) <= radius


def moving() -> np.ndarray:
    """Three discs over five frames: one is missed once, one divides; their numbers change."""
    labels = np.zeros((5, 64, 64), np.uint16)
    for frame in range(5):
        order = np.random.default_rng(frame).permutation(5) + 1
        places = [(12, 10 + 4 * frame)]
        places += [(30, 50 - 4 * frame)] if frame != 2 else []
        places += [(50, 30)] if frame < 2 else [(50 - 4, 30), (50 + 4, 30)]
        for number, place in zip(order, places, strict=False):
            labels[frame][disc((64, 64), place, 3)] = number
    return labels


def discs() -> np.ndarray:
    """A plane of bright discs, two of which touch, with noise."""
    rng = np.random.default_rng(5)
    image = np.zeros((96, 96))
    for place in [(20, 20), (20, 37), (24, 74), (60, 24), (72, 60), (48, 60)]:
        image[disc(image.shape, place, 8)] = rng.uniform(0.6, 1)
    image = ndimage.gaussian_filter(image, 1) + 0.05 * rng.standard_normal(image.shape)
    return (2000 * np.clip(image + 0.2, 0, 2)).astype(np.uint16)


def train_stardist(place: Path) -> None:
    """Train a very small StarDist on drawn discs, and zip it: a few minutes."""
    from csbdeep.utils import normalize
    from stardist.models import Config2D, StarDist2D

    rng = np.random.default_rng(0)
    images, labels = [], []
    for _ in range(24):
        image, numbers = np.zeros((96, 96)), np.zeros((96, 96), np.int32)
        for number in range(1, 10):
            radius = rng.integers(6, 10)
            where = disc(image.shape, rng.integers(radius, 96 - radius, 2), radius)
            if not numbers[where].any():
                numbers[where], image[where] = number, rng.uniform(0.6, 1)
        image = ndimage.gaussian_filter(image, 1) + 0.05 * rng.standard_normal(image.shape)
        images.append(normalize(image.astype(np.float32), 1, 99.8))
        labels.append(numbers)
    config = Config2D(
        n_rays=16, grid=(2, 2), unet_n_depth=1, unet_n_filter_base=8, net_conv_after_unet=16,
        train_patch_size=(64, 64), train_batch_size=4, train_epochs=30,
        train_steps_per_epoch=20, train_tensorboard=False,
    )  # fmt: skip
    model = StarDist2D(config, name="discs", basedir=str(place.parent / "models"))
    held = (images[20:], labels[20:])
    model.train(images[:20], labels[:20], validation_data=held)
    model.optimize_thresholds(*held)
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as file:
        for name in ("config.json", "thresholds.json", "weights_best.h5"):
            file.write(place.parent / "models" / "discs" / name, f"discs/{name}")


def run(tool: str, *options: str) -> None:
    subprocess.run([sys.executable, str(TOOLS / tool / f"{tool}.py"), *options], check=True)


def main() -> None:
    (tool,) = sys.argv[1:]
    data = TOOLS / tool / "test-data"
    if tool == "link_objects":
        axes = {"axes": "TYX", **SIZES}
        tifffile.imwrite(
            data / "moving.tif", moving(), metadata=axes, compression="zlib", ome=True
        )
        for name, table, more in (
            ("linked", "tracks", []),
            ("divided", "divided", ["--gap=1", "--divide=true"]),
        ):
            outputs = [f"--linked={data / name}.tif", f"--tracks={data / table}.csv"]
            run(tool, f"--labels={data / 'moving.tif'}", "--distance=2.5", *more, *outputs)
    elif tool == "stardist_2d":
        axes = {"axes": "YX", **SIZES}
        tifffile.imwrite(data / "discs.tif", discs(), metadata=axes, compression="zlib", ome=True)
        if not (data / "discs.zip").exists():
            train_stardist(data / "discs.zip")
        given = [f"--input={data / 'discs.tif'}", f"--file={data / 'discs.zip'}"]
        run(tool, *given, f"--output={data / 'objects.tif'}")


if __name__ == "__main__":
    main()
