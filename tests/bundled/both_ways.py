"""One image both ways, by its path and as a layer that napari opened: what tools get and make."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from napari.layers import Layer
from napari.layers._source import layer_source
from napari_builtins.io import napari_get_reader

from bundled import direct, inside
from napari_tool_runner.exchange import export, snapshot, with_known_axes
from napari_tool_runner.tools.model import DataParameter
from napari_tool_runner.tools.reader import read_tool
from napari_tool_runner.tools.tree import find_parameter

TEN = {
    "gaussian_filter": "input", "median_filter": "input", "threshold": "input",
    "unsharp_mask": "input", "denoise_tv": "input", "detect_spots": "input",
    "rescale": "input", "distance_transform": "input", "label_components": "input",
    "morphology": "input", "measure_regions": "labels",
}  # fmt: skip


def parameter(tool: str) -> DataParameter:
    found = find_parameter(read_tool(direct.descriptor(tool)).inputs, TEN[tool])
    assert isinstance(found, DataParameter)
    return found


def opened(path: Path) -> Layer:
    """Return the layer that napari's own reader makes of a file, or of the first level of a Zarr.

    It opens no Zarr with labels or wells.
    """
    deeper = path / "A" / "1" / "0" if (path / "A").exists() else path
    path = deeper / "0" if deeper is not path or (path / "labels").exists() else path
    (data, *more), *_ = napari_get_reader(str(path))(str(path))
    with layer_source(path=str(path), reader_plugin="napari"):
        return Layer.create(data, *more)


def handed(value: object, folder: Path, tool: str = "gaussian_filter") -> Path:
    return export(with_known_axes(snapshot(value)), parameter(tool), folder).file.path


def seen(path: Path) -> tuple[np.ndarray, str, dict[str, object]]:
    """Return what every script reads; an axis without a name serves as depth."""
    values, axes, sizes = inside.script("gaussian_filter").read_image(str(path))
    kept = [i for i, axis in enumerate(axes) if values.shape[i] != 1 or axis == "S"]
    values = values.reshape([values.shape[i] for i in kept])  # axes of one step do not count
    axes = "".join(axes[i] for i in kept)
    unit = sizes.get("PhysicalSizeXUnit", "µm")
    lengths = {key: value for key, value in sizes.items() if key[-1] in axes and unit == "µm"}
    return values, axes.replace("Q", "Z") if "Z" not in axes else axes, lengths


def same(path: Path, folder: Path) -> str:
    """Say how a file and its layer differ for a tool; an empty text: they do not."""
    one, other = (
        seen(handed(value, folder / name))
        for name, value in (("file", path), ("layer", opened(path)))
    )
    if one[1:] != other[1:]:
        return f"{path.name}: {one[1:]} is not {other[1:]}"
    fits = one[0].shape == other[0].shape and np.array_equal(one[0], other[0])
    return "" if fits else f"{path.name}: the pixels differ"


def cropped(path: Path, side: int) -> inside.Image:
    """Return what a tool was handed, at most `side` pixels wide and high from its middle."""
    values, axes, sizes = inside.script("gaussian_filter").read_image(str(path))
    ends = [size if axis not in "XY" else min(size, side)
            for size, axis in zip(values.shape, axes, strict=True)]  # fmt: skip
    box = [
        slice((n - end) // 2, (n + end) // 2) for n, end in zip(values.shape, ends, strict=True)
    ]
    return inside.Image(np.ascontiguousarray(values[tuple(box)]), axes, sizes)


def numbers(tool: str, image: Path | inside.Image, folder: Path) -> tuple[dict[str, object], str]:
    """Return what a tool makes of an image, in numbers, and what it says (a refusal, too)."""
    values: dict[str, object] = {TEN[tool]: image}
    if tool == "measure_regions":
        values["image"] = image
    folder.mkdir(parents=True)
    made = inside.run(tool, folder, **values)
    assert made.refused or made.outputs
    said = [made.refused.replace(str(folder), ""), *made.notes]
    # of widths in pixels a file tells more than a layer does: the same numbers
    return made.outputs, "\n".join(line for line in said if "how deep a slice" not in line)


def differences(one: dict[str, object], other: dict[str, object]) -> list[str]:
    """Return the names of the outputs that are not the same numbers."""
    return [
        name
        for name in {**one, **other}
        if not (
            np.array_equal(mine, theirs, equal_nan=mine.dtype.kind == "f")
            if isinstance(mine := one.get(name), np.ndarray)
            and isinstance(theirs := other.get(name), np.ndarray)
            else mine is not None and mine == other.get(name)
        )
    ]
