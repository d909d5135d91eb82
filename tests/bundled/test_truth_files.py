"""The same image gives the same numbers by its path and as a layer that napari opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from napari.layers import Image

import napari_tool_runner as ntr
from bundled.both_ways import TEN, differences, handed, numbers, opened, parameter, same, seen
from napari_tool_runner.exchange import cut, export, snapshot, with_known_axes

STACK = np.zeros((6, 40, 48), np.uint16)
STACK[1:4, 5:20, 8:30] = 900
STACK[3:5, 25:33, 30:44] = 400
UM = ("micrometer",) * 3


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
    "narrow pages": (
        PIXELS[..., 0].repeat(8, 0)[..., :3].copy(),
        {"metadata": None, "photometric": "minisblack"},
    ),
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


def test_a_part_has_the_pixel_size_of_its_file(tmp_path: Path) -> None:
    imagej(tmp_path / "a.tif")
    whole = with_known_axes(snapshot(opened(tmp_path / "a.tif")))
    part = cut(whole, whole.geometry, (2, slice(0, 20), slice(4, 30)))
    file = export(part, parameter("gaussian_filter"), tmp_path / "out").file
    values, axes, sizes = seen(file.path)
    assert (values.shape, axes) == ((20, 26), "YX")
    assert (sizes["PhysicalSizeX"], sizes["PhysicalSizeY"]) == (0.25, 0.25)


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
            assert one[0]
            assert differences(one[0], other[0]) == [], f"{tool}, {how}"


def test_a_chain_from_a_layer_gives_the_numbers_of_the_chain_by_path(tmp_path: Path) -> None:
    import napari_tool_runner as ntr

    image = np.random.default_rng(0).integers(0, 90, (60, 70)).astype(np.uint16)
    image[10:30, 10:40] += 900
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, image, imagej=True, resolution=(4, 4), metadata={"unit": "um"})
    layer = opened(path)
    tables, notes = [], []
    for given in (path, layer):

        def made(tool: str, **values: object) -> dict[str, object]:
            result = ntr.run(tool, runner="LOCAL", values=values)
            notes.extend(result.record["notes"])
            return {k: o.as_layer_data_tuple() for k, o in result.outputs.items()}

        half = made("rescale", input=given, factor=0.5)["output"]
        objects = made("label_components", input=made("threshold", input=half)["output"])
        tables.append(made("measure_regions", labels=objects["output"], image=half)["table"][0])
    for name in tables[0]:
        np.testing.assert_allclose(tables[1][name], tables[0][name], err_msg=name)
    assert "area_um2" in tables[1]
    assert not any("differ in pixel size" in note for note in notes)
    drawn = (image > 500, {}, "labels")  # as a person draws them on that layer
    result = ntr.run("measure_regions", runner="LOCAL", values={"labels": drawn, "image": layer})
    assert result.outputs["table"].data["area_um2"][0] == 600 / 16
    assert any("lies on" in note for note in result.record["notes"])


def test_many_pieces_have_one_note_and_the_size_of_the_pixels_of_the_image(tmp_path: Path) -> None:
    import napari_tool_runner as ntr

    labels = np.zeros((96, 96), np.uint8)
    for number in range(6):
        labels[4 + 15 * number : 10 + 15 * number, 5 : 12 + number] = number + 1
    values = {"image": (labels, {}, "image"), "labels": (labels, {}, "labels")}
    for more in ({}, {"frame|kind": "square", "frame|side": 24}):
        result = ntr.run("cut_out_objects", runner="LOCAL", values=values | more)
        pieces = result.outputs["objects"].elements.values()
        scales = {piece.as_layer_data_tuple()[1]["scale"] for piece in pieces}
        assert (len(pieces), scales) == (6, {(1.0, 1.0)})
        told = [note for note in result.record["notes"] if note.startswith("Objects:")]
        assert len(told) == 1
        assert "where in the input it was is not told" in told[0]
        assert "(6 files)" in told[0]


def test_a_stack_that_says_no_size_at_all_is_told_to_be_taken_as_deep_as_wide() -> None:
    import napari_tool_runner as ntr

    stack = (STACK, {"axis_labels": ("z", "y", "x")}, "image")
    result = ntr.run("threshold", runner="LOCAL", values={"input": stack})
    assert any("how deep a slice is" in note for note in result.record["notes"])


def test_points_of_a_layer_without_a_pixel_size_are_tracked_in_micrometres(tmp_path: Path) -> None:
    import napari_tool_runner as ntr

    grid = np.mgrid[:40, :44]
    noise = np.random.default_rng(0).normal(50, 4, (6, 40, 44))
    spots = [np.exp(-((grid[0] - 10 - 2 * t) ** 2 + (grid[1] - 20) ** 2) / 4.5) for t in range(6)]
    told = {"axes": "TYX", "unit": "um", "finterval": 2.0}
    movie = (noise + 900 * np.array(spots)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", movie, imagej=True, resolution=(4, 4), metadata=told)
    tracks = []
    for given in (tmp_path / "a.tif", opened(tmp_path / "a.tif")):
        found = ntr.run("detect_spots", runner="LOCAL", values={"input": given})
        values = {"points": found.outputs["points"].as_layer_data_tuple()}
        made = ntr.run("track_points", runner="LOCAL", values={**values, "distance": 0.6})
        tracks.append(made.outputs["tracks"].data)
    np.testing.assert_allclose(tracks[1], tracks[0])


@pytest.mark.parametrize(
    "header",
    [
        "LABEL,TRACK_ID,POSITION_X,POSITION_Y,POSITION_Z,POSITION_T,FRAME",
        "label,t,frame,y,x",
        "frame,label,centroid-0,centroid-1",
        "frame,label,centroid-0,centroid-1,centroid-2",
        "label,axis-0,axis-1,frame",
        "x [px],y [µm],frame",
    ],
)
def test_points_of_other_programs_are_counted_in_their_frame(tmp_path: Path, header: str) -> None:
    """A point at (5, 6) in each of six frames of two seconds; z is 3 where there is one."""
    import napari_tool_runner as ntr

    labels = np.zeros((6, 20, 30), np.uint16)
    labels[:, 3:10, 5:8] = 2
    names, path = header.split(","), tmp_path / "points.csv"
    last = {1: "6", 0: "5", -1: "3"}
    values = {"POSITION_X": "6", "POSITION_Y": "5", "x": "6", "y": "5", "x [px]": "6"}
    values |= {"y [µm]": "2.5"}
    numbered = [name for name in names if name[-1].isdigit()]
    values |= {name: last[i + 2 - len(numbered)] for i, name in enumerate(numbered)}
    rows = [
        [
            {"frame": i, "FRAME": i, "t": 2 * i, "POSITION_T": 2 * i, **values}.get(n, 0)
            for n in names
        ]
        for i in range(6)
    ]
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
    told = {"axis_labels": ("t", "y", "x"), "scale": (2, 0.5, 0.5)}
    told |= {"units": ("second", "micrometer", "micrometer")}
    given = {"points": str(path), "labels": (labels, told, "labels")}
    result = ntr.run("count_points", runner="LOCAL", values=given)
    assert list(result.outputs["counts"].data["points"]) == [1] * 6
    assert any("Its coordinates are the columns" in note for note in result.record["notes"])
    found = np.asarray(result.outputs["assigned"].data)
    assert (found[:, [0, -2, -1]] == [[i, 5, 6] for i in range(6)]).all()


def test_features_called_like_axes_are_no_coordinates() -> None:
    import napari_tool_runner as ntr

    labels = np.zeros((40, 50), np.uint16)
    labels[5:20, 5:25] = 4
    features = {"axis-ratio": [1.5, 2.5], "axis-2": [7, 8], "index": [70, 80]}
    points = (np.array([[10.0, 10], [30, 40]]), {"features": features}, "points")
    given = {"points": points, "labels": (labels, {}, "labels")}
    result = ntr.run("count_points", runner="LOCAL", values=given)
    assert list(result.outputs["counts"].data["points"]) == [1]
    assigned = result.outputs["assigned"].as_layer_data_tuple()
    np.testing.assert_array_equal(assigned[0], points[0])
    found = assigned[1]["features"]
    assert {name: list(found[name]) for name in features} == features


def test_features_called_like_axes_come_along_with_tracks() -> None:
    import napari_tool_runner as ntr

    features = {
        name: [1.5, 2.5, 3.5] for name in ("axis-ratio", "axis-3", "T", "Z", "ID", "index")
    }
    data = np.array([[t, 5.0, 7 + t] for t in range(3)])
    told = {"axis_labels": ("t", "y", "x"), "features": features}
    result = ntr.run("track_points", runner="LOCAL", values={"points": (data, told, "points")})
    tracks = result.outputs["tracks"].as_layer_data_tuple()
    np.testing.assert_array_equal(tracks[0][:, 1:], data)
    found = tracks[1]["features"]
    assert {name: list(found[name]) for name in features} == features


def test_numbers_of_a_layer_of_labels_are_kept():
    # an object a pixel: nobody can tell them from brightness by their pixels
    labels = np.random.default_rng(0).permutation(64 * 64).reshape(64, 64).astype(np.int32)
    for factor in (0.5, 2, 1.5):
        values = {"input": (labels, {"name": "cells"}, "labels"), "factor": factor}
        made = ntr.run("rescale", runner="LOCAL", values=values).outputs["output"]
        assert made.layer_type == "labels"
        assert np.isin(made.data, labels).all()
