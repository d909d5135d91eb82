"""The same image gives the same numbers by its path and as a layer that napari opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import skimage
import tifffile
import zarr
from napari.layers import Image, Layer
from napari.layers._source import layer_source
from napari_builtins.io import napari_get_reader

from bundled import direct, inside
from napari_tool_runner.exchange import export, snapshot, with_known_axes
from napari_tool_runner.tools.model import DataParameter
from napari_tool_runner.tools.reader import read_tool
from napari_tool_runner.tools.tree import find_parameter

SHIPPED = Path(skimage.__file__).parent / "data"
ENDINGS = (".tif", ".tiff", ".png", ".jpg", ".gif", ".bmp")
TEN = {
    "gaussian_filter": "input", "median_filter": "input", "threshold": "input",
    "unsharp_mask": "input", "denoise_tv": "input", "detect_spots": "input",
    "rescale": "input", "distance_transform": "input", "label_components": "input",
    "morphology": "input", "measure_regions": "labels",
}  # fmt: skip
STACK = np.zeros((6, 40, 48), np.uint16)
STACK[1:4, 5:20, 8:30] = 900
STACK[3:5, 25:33, 30:44] = 400
UM = ("micrometer",) * 3


def parameter(tool: str) -> DataParameter:
    found = find_parameter(read_tool(direct.descriptor(tool)).inputs, TEN[tool])
    assert isinstance(found, DataParameter)
    return found


def opened(path: Path) -> Layer:
    """Return the layer that napari's own reader makes of a file."""
    (data, *more), *_ = napari_get_reader(str(path))(str(path))
    with layer_source(path=str(path), reader_plugin="napari"):
        return Layer.create(data, *more)


def handed(value: object, folder: Path, tool: str = "gaussian_filter") -> Path:
    return export(with_known_axes(snapshot(value)), parameter(tool), folder).file.path


def seen(path: Path) -> tuple[np.ndarray, str, dict[str, object]]:
    """Return what every script reads; an axis without a name serves as depth."""
    values, axes, sizes = inside.script("gaussian_filter").read_image(str(path))
    unit = sizes.get("PhysicalSizeXUnit", "µm")
    lengths = {key: value for key, value in sizes.items() if key[-1] in "XYZ" and unit == "µm"}
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


READ_OTHERWISE = {
    "chessboard_RGB.png": "napari reads 8 of its 16 bits",
    "multipage_rgb.tif": "napari shows the planes of its colours one by one",
    "no_time_for_that_tiny.gif": "napari takes the colours of what is so small for an axis",
}


def test_what_scikit_image_ships(tmp_path: Path) -> None:
    paths = [p for p in sorted(SHIPPED.iterdir()) if p.suffix in ENDINGS]
    assert len(paths) > 20
    wrong = [
        said
        for path in paths
        if path.name not in READ_OTHERWISE and (said := same(path, tmp_path / path.name))
    ]
    assert wrong == []


def imagej(path: Path) -> None:
    told = {"axes": "ZYX", "spacing": 1000.0, "unit": "nm"}
    tifffile.imwrite(path, STACK, imagej=True, resolution=(1 / 250, 1 / 250), metadata=told)


def ome(path: Path) -> None:
    told = {"axes": "ZYX", "PhysicalSizeX": 2.5e-4, "PhysicalSizeXUnit": "mm",
            "PhysicalSizeY": 250, "PhysicalSizeYUnit": "nm", "PhysicalSizeZ": 1}  # fmt: skip
    tifffile.imwrite(path, STACK, metadata=told, compression="lzw", predictor=True)


def ome_zarr(path: Path) -> None:
    group = zarr.open_group(path, mode="w", zarr_format=2)
    group.create_array("0", data=STACK, chunks=(2, 40, 48))
    axes = [{"name": axis, "type": "space", "unit": "nanometer"} for axis in "zyx"]
    scale = [{"type": "scale", "scale": [1000, 250, 250]}]
    levels = [{"path": "0", "coordinateTransformations": scale}]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": levels}]


def several(path: Path) -> None:
    """Write an OME-TIFF with a file for each plane."""
    names = [path.name, *(f"z{i}.ome.tif" for i in range(1, len(STACK)))]
    planes = "".join(
        f'<TiffData FirstZ="{i}" IFD="0" PlaneCount="1"><UUID FileName="{name}">urn:uuid:{i}'
        "</UUID></TiffData>"
        for i, name in enumerate(names)
    )
    for i, name in enumerate(names):
        text = (
            '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:'
            f'{i}"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" '
            'SizeX="48" SizeY="40" SizeZ="6" SizeC="1" SizeT="1" PhysicalSizeX="0.25" '
            'PhysicalSizeY="0.25" PhysicalSizeZ="1"><Channel ID="Channel:0:0" '
            f'SamplesPerPixel="1"/>{planes}</Pixels></Image></OME>'
        )
        tifffile.imwrite(path.with_name(name), STACK[i], description=text, metadata=None)


FILES: dict[str, Callable[[Path], None]] = {
    "imagej.tif": imagej, "mixed.ome.tif": ome, "levels.ome.zarr": ome_zarr,
    "several.ome.tif": several,
    "pages.tif": lambda path: tifffile.imwrite(path, STACK, photometric="minisblack"),
}  # fmt: skip


def numbers(tool: str, path: Path, folder: Path) -> dict[str, object]:
    """Return what a tool makes of a file, in numbers."""
    values: dict[str, object] = {TEN[tool]: path}
    if tool == "measure_regions":
        values["image"] = path
    folder.mkdir()
    made = inside.run(tool, folder, **values)
    assert not made.refused
    assert made.outputs
    return made.outputs


@pytest.mark.parametrize("name", FILES)
def test_tools_give_the_same_numbers(tmp_path: Path, name: str) -> None:
    FILES[name](tmp_path / name)
    layers = {}
    if name != "pages.tif":
        place = {"scale": (1, 0.25, 0.25), "units": UM, "axis_labels": ("z", "y", "x")}
        layers["placed"] = Image(STACK, **place)
    if not name.endswith("zarr"):
        layers["opened"] = opened(tmp_path / name)
    for tool in TEN:
        one = numbers(tool, handed(tmp_path / name, tmp_path / tool, tool), tmp_path / f"{tool}-f")
        for how, layer in layers.items():
            given = handed(layer, tmp_path / f"{tool}-{how}", tool)
            other = numbers(tool, given, tmp_path / f"{tool}-{how}-made")
            assert one.keys() == other.keys()
            for key, value in one.items():
                if isinstance(value, np.ndarray):
                    np.testing.assert_array_equal(value, other[key], f"{tool}, {how}")
                else:
                    assert value == other[key], f"{tool}, {how}"
