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
from napari_tool_runner.exchange import cut, export, snapshot, with_known_axes
from napari_tool_runner.tools.model import DataParameter
from napari_tool_runner.tools.reader import read_tool
from napari_tool_runner.tools.tree import find_parameter
from support import CORPUS, NO_CORPUS

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


READ_OTHERWISE = {"chessboard_RGB.png": "napari reads 8 of its 16 bits",
                  "no_time_for_that_tiny.gif": "napari takes its colours for an axis"}  # fmt: skip


def test_what_scikit_image_ships(tmp_path: Path) -> None:
    paths = [p for p in sorted(SHIPPED.iterdir()) if p.suffix in ENDINGS]
    assert len(paths) > 20
    wrong = [
        said
        for path in paths
        if path.name not in READ_OTHERWISE and (said := same(path, tmp_path / path.name))
    ]
    assert wrong == []


PIXELS = np.random.default_rng(0).integers(0, 255, (5, 44, 48, 4), np.uint8)
COLOURS = PIXELS[0, ..., :3]
PLANES = np.moveaxis(COLOURS, -1, 0)
ODD: dict[str, tuple[np.ndarray, dict[str, object]]] = {
    "planes of colours": (PLANES.copy(), {"photometric": "rgb", "planarconfig": "separate"}),
    "tiny planes": (PLANES[:, :8, :9].copy(), {"photometric": "rgb", "planarconfig": "separate"}),
    "tiny": (COLOURS[:8, :9], {"photometric": "rgb"}),
    "stack of planes": (
        np.moveaxis(PIXELS[..., :3], -1, 1).copy(),
        {"photometric": "rgb", "planarconfig": "separate"},
    ),
    "inks": (PIXELS[0], {"photometric": "separated"}),
    "L*a*b*": (COLOURS, {"photometric": "cielab"}),
    "colours called channels": (COLOURS, {"photometric": "rgb", "metadata": {"axes": "YXC"}}),
    "depth marked as colours": (COLOURS, {"photometric": "rgb", "metadata": {"axes": "YXZ"}}),
} | {
    f"{axes} {shape}": (
        np.random.default_rng(1).integers(0, 900, shape).astype(np.uint16),
        {"photometric": "minisblack", "metadata": {"axes": axes}},
    )
    for axes, shape in {
        "YXT": (40, 44, 4), "XYT": (40, 44, 3), "XY": (20, 24), "YXC": (40, 44, 1),
        "YXCZ": (20, 24, 1, 1), "ZYXC": (1, 40, 44, 3), "TZYX": (3, 1, 20, 24),
        "QTZYXC": (1, 1, 1, 16, 20, 1), "RCYX": (2, 3, 20, 24), "CYX": (1, 40, 44),
    }.items()
}  # fmt: skip


@pytest.mark.parametrize("kind", ODD)
def test_what_napari_shows_otherwise_goes_out_as_its_file(tmp_path: Path, kind: str) -> None:
    values, options = ODD[kind]
    tifffile.imwrite(tmp_path / "a.tif", values, **options)
    assert same(tmp_path / "a.tif", tmp_path / "out") == ""


def test_values_that_napari_changed_are_told(tmp_path: Path) -> None:
    path = SHIPPED / "chessboard_RGB.png"
    snap = with_known_axes(snapshot(opened(path)))
    notes = export(snap, parameter("gaussian_filter"), tmp_path).notes
    assert any("holds uint8, its file uint16" in note for note in notes)


def test_a_part_has_the_pixel_size_of_its_file(tmp_path: Path) -> None:
    imagej(tmp_path / "a.tif")
    whole = with_known_axes(snapshot(opened(tmp_path / "a.tif")))
    part = cut(whole, whole.geometry, (2, slice(0, 20), slice(4, 30)))
    file = export(part, parameter("gaussian_filter"), tmp_path / "out").file
    values, axes, sizes = seen(file.path)
    assert (values.shape, axes) == ((20, 26), "YX")
    assert (sizes["PhysicalSizeX"], sizes["PhysicalSizeY"]) == (0.25, 0.25)


@pytest.mark.skipif(CORPUS is None, reason=NO_CORPUS)
def test_every_image_of_a_folder(tmp_path: Path) -> None:
    assert CORPUS is not None
    paths = [p for p in sorted(CORPUS.rglob("*")) if p.suffix in ENDINGS and p.is_file()]
    paths = [p for p in paths if p.stat().st_size < 20e6]
    wrong = [said for i, p in enumerate(paths) if (said := same(p, tmp_path / str(i)))]
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
