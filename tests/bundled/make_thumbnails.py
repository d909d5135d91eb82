"""Makes the small picture of each bundled tool: what goes in above, what comes out below.

In the folder ``tests``: ``python -m bundled.make_thumbnails [TOOL]…``. The tools run on
pieces of the sample images.
"""

from __future__ import annotations

import csv
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image, ImageDraw
from scipy import ndimage

from bundled import direct
from bundled import make_samples as generate

SIDE = 96
PIXEL = {"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25, "PhysicalSizeZ": 1.0}
COLOURS = np.array(
    [
        *[(0, 0, 0), (86, 180, 233), (230, 159, 0), (0, 158, 115), (240, 228, 66)],
        *[(204, 121, 167), (213, 94, 0), (0, 114, 178), (150, 220, 150), (250, 170, 160)],
    ],
    np.uint8,
)


class Tools:
    """Runs tools on arrays, in a folder that goes away."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, name: str, **values: object) -> dict[str, Path]:
        given: dict[str, object] = {}
        for key, value in values.items():
            if isinstance(value, tuple):
                array, axes = value
                given[key] = self.folder / f"{name}-{key}.tif"
                sizes = {k: v for k, v in PIXEL.items() if k[-1] in axes}
                tifffile.imwrite(given[key], array, ome=True, metadata={"axes": axes, **sizes})
            else:
                given[key] = value
        made = direct.run(direct.descriptor(name), given, self.folder)
        if made.process.returncode:
            raise SystemExit(made.process.stderr)
        return made.outputs

    def image(self, name: str, **values: object) -> np.ndarray:
        return tifffile.imread(next(iter(self(name, **values).values())))


def gray(image: np.ndarray, low: float | None = None, high: float | None = None) -> Image.Image:
    """Return a plane as a picture; without limits it fills the range."""
    image = image.astype(float)
    low = np.percentile(image, 1) if low is None else low
    high = np.percentile(image, 99.7) if high is None else high
    plane = (255 * np.clip((image - low) / max(high - low, 1e-9), 0, 1)).astype(np.uint8)
    return Image.fromarray(plane).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def two(first: np.ndarray, second: np.ndarray) -> Image.Image:
    """Return two channels as green and magenta."""
    green, magenta = (gray(channel).convert("L") for channel in (first, second))
    return Image.merge("RGB", (magenta, green, magenta))


def coloured(labels: np.ndarray) -> Image.Image:
    """Return labels, each in a colour."""
    index = np.where(labels == 0, 0, (labels - 1) % (len(COLOURS) - 1) + 1)
    return Image.fromarray(COLOURS[index]).resize((SIDE, SIDE), Image.Resampling.NEAREST)


def heat(values: np.ndarray) -> Image.Image:
    """Return a plane from black over red and yellow to white."""
    x = np.clip(values / max(values.max(), 1e-9), 0, 1)
    parts = [np.clip(3 * x - shift, 0, 1) for shift in (0, 1, 2)]
    plane = (255 * np.stack(parts, -1)).astype(np.uint8)
    return Image.fromarray(plane).resize((SIDE, SIDE), Image.Resampling.NEAREST)


def rows(path: Path) -> list[dict[str, float]]:
    with open(path, newline="", encoding="utf-8") as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def per_object(labels: np.ndarray, table: Path, column: str) -> Image.Image:
    """Return objects as bright as a column of their table."""
    values = np.zeros(labels.max() + 1)
    for row in rows(table):
        values[int(row["label"])] = row[column]
    values[1:] = 0.25 + 0.75 * (values[1:] - values[1:].min()) / max(np.ptp(values[1:]), 1e-9)
    return heat(values[labels])


def dots(picture: Image.Image, points: np.ndarray, scale: float) -> Image.Image:
    """Return a picture with rings at (y, x)."""
    picture = picture.copy()
    draw = ImageDraw.Draw(picture)
    for y, x in (np.asarray(points) + 0.5) * scale:
        draw.ellipse([x - 5, y - 5, x + 5, y + 5], outline=(255, 170, 0), width=2)
    return picture


def shaded(labels: np.ndarray) -> Image.Image:
    """Return objects of a stack seen from above, with light from the left."""
    hit = labels > 0
    depth = np.where(hit.any(axis=0), hit.argmax(axis=0), len(labels)).astype(float)
    first = np.take_along_axis(labels, hit.argmax(axis=0)[None], axis=0)[0]
    smooth = ndimage.gaussian_filter(depth * 4, 2)
    slope_y, slope_x = np.gradient(smooth)
    light = (1 + 0.5 * slope_x + 0.5 * slope_y) / np.sqrt(1.5 * (1 + slope_x**2 + slope_y**2))
    colours = COLOURS[np.where(first == 0, 0, (first - 1) % (len(COLOURS) - 1) + 1)]
    plane = (colours * np.clip(light, 0.15, 1.0)[..., None]).astype(np.uint8)
    return Image.fromarray(plane).resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def pictures(name: str, tool: Tools) -> tuple[Image.Image, Image.Image]:
    """Return what goes into a tool and what comes out."""
    cells, _ = generate.cells_2d()
    cells = cells[:, 225:289, 172:236]
    plane = (cells[0], "YX")
    clean = ndimage.gaussian_filter(cells[0].astype(float), 1.5)
    mask = ndimage.binary_fill_holes(clean > 175).astype(np.uint8)
    labels = tool.image("split_touching", input=(mask, "YX"))
    noisy = (
        np.random.default_rng(0).poisson(np.clip(cells[0] - 90.0, 0, None) / 5).astype(np.uint16)
    )
    before = gray(cells[0])
    if name in {"cellpose_3", "cellpose_sam"}:  # what was drawn: the weights are not here
        return before, coloured(generate.cells_2d()[1][225:289, 172:236])
    if name == "spotiflow_spots":
        data = direct.descriptor(name).parent / "test-data"
        with open(data / "spots.csv", newline="", encoding="utf-8") as file:
            places = np.array([row[1:3] for row in csv.reader(file)][1:], float)
        picture = gray(tifffile.imread(data / "spots.tif"))
        return picture, dots(picture, places, 1)
    if name == "stardist_3d":
        data = direct.descriptor(name).parent / "test-data"
        stack, found = (tifffile.imread(data / f"{one}.tif") for one in ("balls", "objects"))
        return gray(stack.max(axis=0)), shaded(found)
    if name == "instanseg_cells":
        data = direct.descriptor(name).parent / "test-data"
        first, last = (tifffile.imread(data / f"{one}.tif") for one in ("cells", "objects"))
        return two(*first), coloured(last)
    if name == "bioimageio_model":
        data = direct.descriptor(name).parent / "test-data"
        first, last = (tifffile.imread(data / f"{one}.tif") for one in ("discs", "bright"))
        return gray(first), coloured(ndimage.label(last)[0])
    if name == "sam2_prompts":
        data = direct.descriptor(name).parent / "test-data"
        first, last = (tifffile.imread(data / f"{one}.tif") for one in ("discs", "objects"))
        with open(data / "points.csv", newline="", encoding="utf-8") as file:
            places = np.array([row[1:3] for row in csv.reader(file)][1:], float)
        return dots(gray(first), places, SIDE / len(first)), coloured(last)
    if name == "noise2void":
        data = direct.descriptor(name).parent / "test-data"
        first, last = (tifffile.imread(data / f"{one}.tif") for one in ("noisy", "denoised"))
        return gray(first), gray(last)
    if name == "trackastra_tracks":
        data = direct.descriptor(name).parent / "test-data"
        first, last = (tifffile.imread(data / f"{one}.tif") for one in ("movie", "linked"))
        return gray(first[3]), coloured(last[3])
    if name in {"stardist_2d", "link_objects"}:  # what its own test has
        data = direct.descriptor(name).parent / "test-data"
        shown = (
            ["discs.tif", "objects.tif"]
            if name == "stardist_2d"
            else ["moving.tif", "divided.tif"]
        )
        first, last = (tifffile.imread(data / one) for one in shown)
        return (
            (gray(first), coloured(last))
            if first.ndim == 2
            else (coloured(first[3]), coloured(last[3]))
        )
    if name in {"gaussian_filter", "median_filter", "denoise_tv"}:
        values = {"gaussian_filter": {"sigma": 1.5}, "median_filter": {"radius": 2}}.get(name, {})
        if name == "median_filter":
            noisy[np.random.default_rng(1).random(noisy.shape) < 0.03] = noisy.max()
        return gray(noisy), gray(tool.image(name, input=(noisy, "YX"), **values))
    if name == "subtract_background":
        whole = generate.cells_2d()[0][0][::2, ::2].astype(float)
        ramp = (
            np.linspace(220, 0, whole.shape[1])[None, :] + np.linspace(0, 120, len(whole))[:, None]
        )
        uneven = (whole + ramp).astype(np.uint16)
        return gray(uneven), gray(tool.image(name, input=(uneven, "YX"), radius=15))
    if name == "unsharp_mask":
        return before, gray(tool.image(name, input=plane, radius=2, amount=2))
    if name == "threshold":
        return before, gray(tool.image(name, input=(clean.astype(np.uint16), "YX")), 0, 1)
    if name == "colour_to_grey":
        light = np.stack([np.array(gray(one)).mean(-1) for one in cells])
        blue = np.stack([light[1], light[1] * 0, np.maximum(*light)], -1).astype(np.uint8)
        made = tool.image(name, input=(blue, "YXS"), channel="blue")
        return Image.fromarray(blue), gray(made, 0, 255)
    if name == "label_components":
        return gray(mask, 0, 1), coloured(tool.image(name, input=(mask, "YX")))
    if name == "split_touching":
        return gray(mask, 0, 1), coloured(labels)
    if name == "find_objects":
        return before, coloured(tool.image(name, input=plane))
    if name == "remove_small_objects":
        dusty = labels.copy()
        for number, (y, x) in enumerate([(6, 30), (30, 3), (44, 60), (20, 58), (59, 38), (52, 8)]):
            dusty[y : y + 3, x : x + 3] = labels.max() + 1 + number
        return coloured(dusty), coloured(tool.image(name, input=(dusty, "YX"), border="true"))
    if name == "morphology":
        return coloured(labels), coloured(
            tool.image(name, input=(labels, "YX"), operation="shrink", radius=3)
        )
    if name == "fill_holes":
        holes = (cells[0] > 205).astype(np.uint8)
        return gray(holes, 0, 1), gray(tool.image(name, input=(holes, "YX")), 0, 1)
    if name == "distance_transform":
        return gray(mask, 0, 1), heat(tool.image(name, input=(mask, "YX")))
    if name == "measure_regions":
        table = tool(name, labels=(labels, "YX"), image=plane)["table"]
        return coloured(labels), per_object(labels, table, "intensity_mean")
    if name == "label_outlines":
        found = json.loads(tool(name, labels=(labels, "YX"))["outlines"].read_text())
        picture = before.copy()
        for feature in found["features"]:
            line = (np.array(feature["geometry"]["coordinates"][0]) + 0.5) * SIDE / 64
            ImageDraw.Draw(picture).line([tuple(p) for p in line], fill=(255, 170, 0), width=2)
        return coloured(labels), picture
    if name == "colocalize":
        bins = np.histogram2d(cells[0].ravel(), cells[1].ravel(), 32)[0][:, ::-1].T
        return two(*cells), heat(np.log1p(bins))
    if name == "calculate_images":
        result = tool.image(name, first=plane, second=(mask, "YX"), operation="mask")
        return before, gray(result, *np.percentile(cells[0], (1, 99.7)))
    if name == "rescale":
        small = tool.image(name, input=plane, factor=0.2)
        pixels = gray(small).resize(small.shape[::-1], Image.Resampling.BOX)
        limits = np.percentile(cells[0], (1, 99.7))
        plain = np.clip((small - limits[0]) / np.ptp(limits), 0, 1) * 255
        pixels = Image.fromarray(plain.astype(np.uint8)).convert("RGB")
        return before, pixels.resize((SIDE, SIDE), Image.Resampling.NEAREST)
    if name in {"project", "deconvolve", "label_surfaces"}:
        stack, truth = generate.nuclei_3d()
        part = np.s_[:, 20:116, 40:136]
        if name == "label_surfaces":
            tool(name, labels=(truth[part], "ZYX"))
            return coloured(truth[part][10]), shaded(truth[part])
        made = tool.image(name, input=(stack[part], "ZYX"))
        return gray(stack[part][10]), gray(made if name == "project" else made[10])
    if name in {"detect_spots", "count_points"}:
        image = generate.spots_2d()[0][100:164, 90:154]
        points = tool("detect_spots", input=(image, "YX"))["points"]
        places = np.array([[row["axis-0"], row["axis-1"]] for row in rows(points)])
        if name == "detect_spots":
            return gray(image), dots(gray(image), places, SIDE / 64)
        owner = np.zeros((64, 64), np.int32)
        owner[2:30, 2:30], owner[2:30, 34:62], owner[34:62, 2:30], owner[34:62, 34:62] = 1, 2, 3, 4
        table = tool(name, points=points, labels=(owner, "YX"))["counts"]
        return dots(gray(image), places, SIDE / 64), per_object(owner, table, "points")
    movie, _ = generate.moving_spots()
    if name == "track_points":
        picture = gray(movie.max(axis=0)).point(lambda value: value // 2)
        points = tool("detect_spots", input=(movie, "TYX"))["points"]
        found = rows(tool(name, points=points)["tracks"])
        for number in {int(row["ID"]) for row in found}:
            line = [(row["X"], row["Y"]) for row in found if row["ID"] == number]
            line = [tuple((np.array(p) + 0.5) * SIDE / 128) for p in line]
            colour = tuple(COLOURS[1 + number % (len(COLOURS) - 1)].tolist())
            ImageDraw.Draw(picture).line(line, fill=colour, width=2)
        return gray(movie[7]), picture
    if name == "correct_bleaching":
        fading = np.stack([(cells[0] - 100.0) * 0.45**k + 100 for k in range(3)]).astype(np.uint16)
        made = tool.image(name, input=(fading, "TYX"), background=100)
        strips = [np.hstack([f[:, 21 * k : 21 * (k + 1)] for k, f in enumerate(m)])
                  for m in (fading, made)]  # fmt: skip
        limits = np.percentile(cells[0], (1, 99.7))
        return gray(strips[0], *limits), gray(strips[1], *limits)
    if name == "correct_drift":
        scene = generate.cells_2d()[0][0][200:296, 140:236].astype(float)
        drifting = np.stack(
            [ndimage.shift(scene, (3 * k, -4 * k), mode="reflect") for k in range(4)]
        )
        made = tool.image(name, input=(drifting.astype(np.uint16), "TYX"))
        return gray(drifting.mean(axis=0)), gray(made.mean(axis=0))
    if name == "register_images":
        fixed, moving, _ = generate.drifted_pair()
        made = tool.image(name, fixed=(fixed, "YX"), moving=(moving, "YX"))
        part = np.s_[20:150, 20:150]
        return two(fixed[part], moving[part]), two(fixed[part], made[part])
    raise SystemExit(f"No picture is described here for {name}.")


def compose(first: Image.Image, second: Image.Image) -> Image.Image:
    """Return the first picture above the diagonal, the second below it."""
    big = 4 * SIDE
    cut = Image.new("L", (big, big), 0)
    ImageDraw.Draw(cut).polygon([(big, 0), (big, big), (0, big)], fill=255)
    picture = Image.composite(second, first, cut.resize((SIDE, SIDE), Image.Resampling.LANCZOS))
    line = Image.new("L", (big, big), 0)
    ImageDraw.Draw(line).line([(big, 0), (0, big)], fill=255, width=8)
    picture.paste((255, 255, 255), mask=line.resize((SIDE, SIDE), Image.Resampling.LANCZOS))
    return picture


if __name__ == "__main__":
    for tool_name in sys.argv[1:] or [path.stem for path in direct.descriptors()]:
        with tempfile.TemporaryDirectory() as place:
            made_of = pictures(tool_name, Tools(Path(place)))
        target = direct.TOOLS / tool_name / "thumbnail.png"
        # 64 colours are enough at this size, and a third of the bytes
        compose(*made_of).quantize(64).save(target, optimize=True)
        print(target.name, tool_name, target.stat().st_size)
