"""Where results lie: compared with what napari itself computes."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import tifffile
from exchange_helpers import GALAXY, collected, make_tool, parameter
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.layers import Image, Labels, Layer, Points, Shapes, Tracks, Vectors

from napari_tool_runner.exchange import export, load, snapshot
from napari_tool_runner.exchange.carriers import read_file
from napari_tool_runner.exchange.geometry import (
    attributes_of,
    convert_coordinates,
    data_to_world,
    geometry_of,
)
from napari_tool_runner.exchange.model import Geometry
from napari_tool_runner.exchange.parts import counterparts
from napari_tool_runner.exchange.units import (
    canonical,
    conversion,
    dimension,
    is_shown,
    ome_symbol,
    unit_here,
)
from napari_tool_runner.tools.formats import FORMATS
from napari_tool_runner.tools.model import DataOutput, LayerKind

small = st.floats(-3, 3, allow_nan=False)
positive = st.floats(0.1, 4)


def loaded_image(path: Path, array: np.ndarray, layer: Layer, **output: object):
    written: dict[str, object] = dict(output.pop("tiff", {}))  # type: ignore[call-overload]
    tifffile.imwrite(path, array, photometric="minisblack", **written)
    declared = DataOutput(name="o", format="imagetiff", kind=LayerKind.IMAGE, **output)
    return load(
        collected(path, "imagetiff"), declared, make_tool(), inputs={"image": snapshot(layer)}
    )


@st.composite
def layers(draw: st.DrawFn, ndim: int | None = None) -> Image:
    n = ndim or draw(st.integers(2, 4))
    affine = np.eye(n + 1)
    affine[:-1, -1] = draw(st.lists(small, min_size=n, max_size=n))
    affine[0, n - 1] = draw(small)
    return Image(
        np.zeros((2,) * n, "u1"),
        scale=draw(st.lists(positive, min_size=n, max_size=n)),
        translate=draw(st.lists(small, min_size=n, max_size=n)),
        rotate=draw(st.floats(-180, 180)),
        shear=draw(st.lists(small, min_size=n * (n - 1) // 2, max_size=n * (n - 1) // 2)),
        affine=affine,
    )


@settings(max_examples=50)
@given(layer=layers(), point=st.lists(small, min_size=4, max_size=4))
def test_data_to_world_is_naparis(layer, point):
    point = point[: layer.ndim]
    geometry = snapshot(layer).geometry
    ours = data_to_world(geometry) @ [*point, 1]
    np.testing.assert_allclose(ours[:-1], layer.data_to_world(point), atol=1e-8)
    again = Image(layer.data, **attributes_of(geometry, []))
    np.testing.assert_allclose(again.data_to_world(point), layer.data_to_world(point), atol=1e-8)


@settings(max_examples=50)
@given(one=layers(3), other=layers(3), points=st.lists(st.tuples(small, small, small), min_size=1))
def test_coordinates_convert_as_napari_does_and_back(one, other, points):
    source, target = snapshot(one).geometry, snapshot(other).geometry
    converted = convert_coordinates(np.array(points), source, target)
    expected = [other.world_to_data(one.data_to_world(p)) for p in points]
    np.testing.assert_allclose(converted, expected, atol=1e-6)
    back = convert_coordinates(converted, target, source)
    np.testing.assert_allclose(back, points, atol=1e-6)


@pytest.mark.parametrize("rotate", [25.0, (10, 20, 30)])
@pytest.mark.parametrize("ndim", [3, 4])
def test_rotations_in_any_form(rotate, ndim):
    layer = Image(np.zeros((2,) * ndim), rotate=rotate)
    given_form = geometry_of(ndim, rotate=rotate)
    np.testing.assert_allclose(data_to_world(given_form), data_to_world(snapshot(layer).geometry))


@pytest.mark.parametrize("angle", [0.0, 30.0])
def test_the_pixel_size_of_an_affine_is_the_layers(tmp_path, angle):
    turn = np.eye(4)
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    turn[1:3, 1:3] = [[c, -s], [s, c]]
    affine = turn @ np.diag([1, 0.2, 0.4, 1])
    affine[:3, 3] = 5, 6, 7
    layer = Image(np.zeros((3, 8, 9), "u1"), affine=affine, units=("um",) * 3, name="a")
    geometry = snapshot(layer).geometry
    np.testing.assert_allclose(geometry.scale, [1, 0.2, 0.4])
    assert (geometry.affine is None) == (angle == 0)
    hand = export(snapshot(layer), parameter("imagetiff"), tmp_path)
    with tifffile.TiffFile(hand.file.path) as file:
        assert 'PhysicalSizeX="0.4"' in file.ome_metadata
        assert 'PhysicalSizeY="0.2"' in file.ome_metadata
    again = Image(layer.data, **attributes_of(geometry, []))
    np.testing.assert_allclose(again.data_to_world((1, 2, 3)), layer.data_to_world((1, 2, 3)))


def test_a_sheared_image_is_told(tmp_path):
    affine = np.eye(3)
    affine[0, 1] = 0.5
    for layer, told in (
        (Image(np.zeros((8, 9), "u1"), affine=affine, name="a"), True),
        (Image(np.zeros((8, 9), "u1"), shear=[0.5], name="a"), True),
        (Image(np.zeros((8, 9), "u1"), rotate=30, scale=(2, 3), name="a"), False),
    ):
        notes = export(snapshot(layer), parameter("imagetiff"), tmp_path).notes
        assert any("sheared" in note for note in notes) is told


def test_units_are_converted_between_layers():
    image = geometry_of(2, (9, 9), scale=(500, 500), units="nm")
    points = geometry_of(2, scale=(1, 1), units="um")
    np.testing.assert_allclose(convert_coordinates(np.array([[2.0, 3]]), points, image), [[4, 6]])


def test_points_and_image_of_different_ndim():
    image = geometry_of(3, (4, 9, 9), scale=(2, 0.5, 0.5), translate=(10, 0, 1))
    flat = geometry_of(2, scale=(1, 1))
    np.testing.assert_allclose(convert_coordinates(np.array([[2.0, 3]]), flat, image), [[4, 4]])
    deep = geometry_of(4, scale=(1, 1, 1, 1))
    converted = convert_coordinates(np.array([[7.0, 12, 2, 3]]), deep, image)
    np.testing.assert_allclose(converted, [[7, 1, 4, 4]])


@pytest.mark.parametrize(
    ("own", "theirs", "there"),
    [
        ("tzyx", "tyx", [0, -1, 1, 2]),
        ("ctyx", "tyx", [-1, 0, 1, 2]),
        ("cyx", "tyx", [-1, 1, 2]),
        ("xyt", "tzyx", [3, 2, 0]),
        ("", "tyx", [-1, 0, 1, 2]),
    ],
)
def test_axes_belong_together_by_their_names(own, theirs, there):
    one = geometry_of(len(own) or 4, axis_labels=own or None)
    other = geometry_of(len(theirs), (3,) * len(theirs), axis_labels=theirs)
    assert counterparts(one, other) == there


@pytest.mark.parametrize("order", ["tzyx", "ztyx", "ctyx", "xyzt"])
def test_points_with_an_axis_more_keep_it(tmp_path, order):
    """They are given in the pixels of the labels along what both have, and told which axes."""
    sizes = {"t": 2, "c": 1, "z": 1, "y": 0.5, "x": 0.5}
    units = {"t": "s", "c": "pixel"}
    place = {"t": 3.0, "z": 1.0, "c": 1.0, "y": 30.0, "x": 20.0}
    labels = snapshot(
        Labels(
            np.zeros((5, 64, 64), int),
            axis_labels=("t", "y", "x"),
            scale=(2, 0.25, 0.5),
            units=("s", "um", "um"),
        )
    )
    points = snapshot(
        Points(
            [[place[axis] for axis in order]],
            axis_labels=[*order],
            scale=[sizes[axis] for axis in order],
            units=[units.get(axis, "um") for axis in order],
        )
    )
    hand = export(points, parameter("tablecsv"), tmp_path, reference=labels)
    axes = hand.file.metadata["axes"]
    header, row = hand.file.path.read_text().splitlines()
    found = dict(zip(header.split(","), row.split(","), strict=True))
    here = {axis: float(found[f"axis-{i}"]) for i, axis in enumerate(axes)}
    assert here == {axis.upper(): place[axis] * (2 if axis == "y" else 1) for axis in order}
    assert any("is none of the other's" in note for note in hand.notes)


# -- outputs -----------------------------------------------------------------------

ROTATED = np.array([[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]])


def stack(shape: tuple[int, ...] = (4, 12, 16), **more: object) -> Image:
    keywords: dict[str, object] = {
        "scale": (2, 0.5, 0.25),
        "translate": (7, 8, 9),
        "units": ("um",) * 3,
        "axis_labels": ("z", "y", "x"),
    }
    return Image(np.zeros(shape, "u2"), **(keywords | more))


def test_a_projection_keeps_the_axes_that_remain(tmp_path):
    layer = stack()
    loaded = loaded_image(tmp_path / "o.tif", np.zeros((12, 16), "u2"), layer)
    again = Layer.create(*loaded.as_layer_data_tuple())
    np.testing.assert_allclose(again.scale, (0.5, 0.25))
    np.testing.assert_allclose(again.translate, (8, 9))
    assert again.axis_labels == ("y", "x")
    assert again.units == layer.units[1:]


def test_a_projection_along_y_is_told_by_the_sizes(tmp_path):
    loaded = loaded_image(tmp_path / "o.tif", np.zeros((4, 16), "u2"), stack())
    assert loaded.attributes["scale"] == (2, 0.25)


def test_a_projection_is_told_by_letters_where_sizes_do_not(tmp_path):
    layer = stack((8, 8, 8))
    tiff = {"ome": True, "metadata": {"axes": "ZX"}}
    loaded = loaded_image(tmp_path / "o.tif", np.zeros((8, 8), "u2"), layer, axes="ZX", tiff={})
    assert loaded.attributes["scale"] == (2, 0.25), tiff


def test_rotation_in_the_plane_survives_a_projection(tmp_path):
    layer = stack(rotate=ROTATED)
    loaded = loaded_image(tmp_path / "o.tif", np.zeros((12, 16), "u2"), layer)
    np.testing.assert_allclose(loaded.attributes["rotate"], ROTATED[1:, 1:])
    assert not loaded.notes


def test_a_rotation_that_mixes_axes_is_left_out_and_told(tmp_path):
    layer = stack(rotate=(0, 30, 0))
    loaded = loaded_image(tmp_path / "o.tif", np.zeros((12, 16), "u2"), layer)
    assert "rotate" not in loaded.attributes
    assert any("rotation" in note for note in loaded.notes)


@pytest.mark.parametrize("rotate", [0, 40])
@pytest.mark.parametrize("size", [(4, 6, 8), (4, 24, 32), (2, 5, 7)])
def test_a_resized_image_covers_the_same_place(tmp_path, size, rotate):
    layer = stack(rotate=rotate)
    loaded = loaded_image(tmp_path / "o.tif", np.zeros(size, "u2"), layer)
    again = Layer.create(*loaded.as_layer_data_tuple())
    for corner in itertools.product((0, 1), repeat=3):
        # The outer edges of the first and the last pixels.
        before = [-0.5 + c * s for c, s in zip(corner, layer.data.shape, strict=True)]
        after = [-0.5 + c * s for c, s in zip(corner, size, strict=True)]
        np.testing.assert_allclose(again.data_to_world(after), layer.data_to_world(before))
    assert any("Resized" in note for note in loaded.notes)


def test_a_crop_with_its_own_pixel_size_is_no_resize(tmp_path):
    metadata = {"axes": "ZYX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 2}
    tiff = {"ome": True, "metadata": metadata}
    layer = stack()
    loaded = loaded_image(
        tmp_path / "o.tif", np.zeros((4, 6, 8), "u2"), layer, reference="image", tiff=tiff
    )
    assert loaded.attributes["scale"] == (2, 0.5, 0.25)
    assert loaded.attributes["translate"] == (7, 8, 9)


@pytest.mark.parametrize("size", [(4, 5, 12), (4, 12, 10)])
def test_a_piece_of_other_proportions_is_not_stretched(tmp_path, size):
    loaded = loaded_image(tmp_path / "o.tif", np.zeros(size, "u2"), stack(), reference="image")
    assert loaded.attributes["scale"] == (2, 0.5, 0.25)
    assert any("in other proportions" in note for note in loaded.notes)


def test_a_resized_image_without_a_pixel_size_is_said_to_be_unsure(tmp_path):
    loaded = loaded_image(tmp_path / "o.tif", np.zeros((4, 6, 8), "u2"), stack())
    assert any("if it is a piece, set its scale" in note for note in loaded.notes)


def test_time_is_never_stretched(tmp_path):
    layer = stack((10, 12, 16), axis_labels=("t", "y", "x"), units=("s", "um", "um"))
    loaded = loaded_image(tmp_path / "o.tif", np.zeros((5, 12, 16), "u2"), layer)
    assert loaded.attributes["scale"] == (2, 0.5, 0.25)


def test_a_new_channel_axis(tmp_path):
    tiff = {"ome": True, "metadata": {"axes": "CZYX"}}
    loaded = loaded_image(tmp_path / "o.tif", np.zeros((3, 4, 12, 16), "u2"), stack(), tiff=tiff)
    assert loaded.attributes["scale"] == (1, 2, 0.5, 0.25)
    assert loaded.attributes["translate"] == (0, 7, 8, 9)
    assert loaded.attributes["axis_labels"] == ("c", "z", "y", "x")


def test_without_a_reference_the_file_decides(tmp_path):
    path = tmp_path / "o.tif"
    metadata = {
        "axes": "ZYX",
        "PhysicalSizeX": 3,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeY": 3,
        "PhysicalSizeYUnit": "nm",
        "PhysicalSizeZ": 5,
        "PhysicalSizeZUnit": "nm",
    }
    tifffile.imwrite(path, np.zeros((2, 8, 9), "u1"), ome=True, metadata=metadata)
    loaded = load(
        collected(path, "tiff"), DataOutput(name="o", kind=LayerKind.IMAGE), make_tool(), inputs={}
    )
    assert loaded.attributes["scale"] == (5, 3, 3)
    assert loaded.attributes["units"] == ("nanometer",) * 3
    assert loaded.attributes["axis_labels"] == ("z", "y", "x")


def test_imagej_metadata(tmp_path):
    path = tmp_path / "o.tif"
    tifffile.imwrite(
        path,
        np.zeros((3, 2, 8, 9), "u2"),
        imagej=True,
        resolution=(4.0, 2.0),
        metadata={"axes": "TZYX", "unit": "um", "spacing": 1.5, "finterval": 30.0},
    )
    loaded = load(
        collected(path, "tiff"), DataOutput(name="o", kind=LayerKind.IMAGE), make_tool(), inputs={}
    )
    assert loaded.attributes["scale"] == pytest.approx((30, 1.5, 0.5, 0.25))
    assert loaded.attributes["units"] == ("second", *["micrometer"] * 3)


def test_declared_reference_wins_over_the_first(tmp_path):
    tifffile.imwrite(tmp_path / "o.tif", np.zeros((12, 16), "u2"))
    inputs = {
        "a": snapshot(Image(np.zeros((12, 16)), scale=(2, 2))),
        "cond|b": snapshot(Image(np.zeros((12, 16)), scale=(3, 3))),
    }
    for reference, scale in (("", (2, 2)), ("b", (3, 3)), ("cond|b", (3, 3))):
        output = DataOutput(name="o", format="tiff", reference=reference)
        loaded = load(collected(tmp_path / "o.tif", "tiff"), output, make_tool(), inputs=inputs)
        assert loaded.attributes["scale"] == scale


def test_the_input_that_fits_lends_its_place(tmp_path):
    tifffile.imwrite(tmp_path / "o.tif", np.zeros((12, 16), "u2"))
    inputs = {
        "template": snapshot(Image(np.zeros((5, 5)), scale=(2, 2))),
        "image": snapshot(Image(np.zeros((12, 16)), scale=(3, 3))),
    }
    output = DataOutput(name="o", format="tiff")
    loaded = load(collected(tmp_path / "o.tif", "tiff"), output, make_tool(), inputs=inputs)
    assert loaded.attributes["scale"] == (3, 3)


def test_a_file_lends_its_pixel_size(tmp_path):
    path = tmp_path / "in.tif"
    metadata = {"axes": "YX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5}
    tifffile.imwrite(path, np.zeros((12, 16), "u2"), ome=True, metadata=metadata)
    tifffile.imwrite(tmp_path / "o.tif", np.zeros((12, 16), "f4"))
    loaded = load(
        collected(tmp_path / "o.tif", "tiff"),
        DataOutput(name="o"),
        make_tool(),
        inputs={"image": snapshot(path)},
    )
    assert loaded.attributes["scale"] == (0.5, 0.25)
    assert loaded.attributes["units"] == ("micrometer",) * 2


def test_an_image_like_its_input_looks_like_it(tmp_path):
    layer = Image(np.zeros((12, 16), "u2"), colormap="green", contrast_limits=(3, 999))
    values = np.arange(192, dtype="u2").reshape(12, 16)
    loaded = loaded_image(tmp_path / "o.tif", values, layer)
    again = Layer.create(*loaded.as_layer_data_tuple())
    assert again.colormap.name == "green"
    assert again.contrast_limits == [3, 999]


@pytest.mark.parametrize("values", [np.full((12, 16), 60_000, "u2"), np.ones((12, 16), "f4")])
def test_limits_that_would_hide_the_result_are_not_taken(tmp_path, values):
    layer = Image(np.zeros((12, 16), "u2"), contrast_limits=(3, 999))
    loaded = loaded_image(tmp_path / "o.tif", values, layer)
    assert "contrast_limits" not in loaded.attributes


# -- coordinates into the pixels of an image ---------------------------------------


@pytest.mark.parametrize("kind", ["points", "tracks", "vectors", "shapes"])
def test_coordinates_go_out_in_pixels_of_the_image(tmp_path, kind):
    image = snapshot(Image(np.zeros((8, 20, 20)), scale=(1, 0.5, 0.25), translate=(0, 1, 0)))
    data = np.array([[1.0, 2, 3], [2, 3, 4]])
    layer = {
        "points": lambda: Points(data),
        "tracks": lambda: Tracks(np.column_stack([[1, 1], data])),
        "vectors": lambda: Vectors(np.stack([data, np.ones((2, 3))], axis=1)),
        "shapes": lambda: Shapes([data * [0, 1, 1]], shape_type="line"),
    }[kind]()
    written = export(snapshot(layer), parameter("csv"), tmp_path, formats=GALAXY, reference=image)
    rows = np.genfromtxt(written.file.path, delimiter=",", skip_header=1, dtype=float)
    coordinates = rows[:, {"points": 1, "tracks": 1, "vectors": 1, "shapes": 3}[kind] :]
    expected = (data * ([0, 1, 1] if kind == "shapes" else 1) - [0, 1, 0]) / [1, 0.5, 0.25]
    np.testing.assert_allclose(coordinates[:, :3], expected)
    if kind == "vectors":
        np.testing.assert_allclose(coordinates[:, 3:], np.tile([1, 2, 4], (2, 1)))
    assert any("pixels of" in note for note in written.notes)


def test_same_place_no_conversion(tmp_path):
    image = snapshot(Labels(np.zeros((8, 20, 20), int), scale=(1, 0.5, 0.25)))
    layer = Points([[1, 2, 3]], scale=(1, 0.5, 0.25))
    written = export(snapshot(layer), parameter("csv"), tmp_path, formats=GALAXY, reference=image)
    assert written.notes == ()


@pytest.mark.parametrize(
    ("shape", "axes", "names", "expected"),
    [
        ((1, 20, 20), "zyx", "axis-0,axis-1", [[0, 2, 3], [0, 5, 6]]),
        ((4, 1, 20, 20), "tzyx", "axis-0,axis-1,axis-2", [[1, 0, 2, 3], [2, 0, 5, 6]]),
        ((4, 1, 20, 20), "tzyx", "frame,y,x", [[1, 0, 2, 3], [2, 0, 5, 6]]),
        ((1, 4, 20, 20), "tzyx", "axis-0,axis-1", None),  # of a plane of several: as before
    ],
)
def test_coordinates_get_the_axes_of_size_one_that_a_program_dropped(
    tmp_path, shape, axes, names, expected
):
    layer = Image(np.zeros(shape, "u1"), axis_labels=tuple(axes), scale=[2] * len(axes))
    path = tmp_path / "spots.csv"
    rows = [[1, 2, 3], [2, 5, 6]]
    lines = [",".join(map(str, row[3 - len(names.split(",")) :])) for row in rows]
    path.write_text("\n".join([names, *lines]) + "\n")
    output = DataOutput(name="o", format="tablecsv", kind=LayerKind.POINTS, reference="image")
    loaded = load(
        collected(path, "tablecsv"), output, make_tool(), inputs={"image": snapshot(layer)}
    )
    data, attributes, _ = loaded.as_layer_data_tuple()
    if expected is None:
        assert data.shape[1] == 2
        return
    np.testing.assert_array_equal(data, expected)
    assert attributes["axis_labels"] == tuple(axes)
    assert tuple(attributes["scale"]) == (2.0,) * len(axes)


def test_points_found_in_an_image_lie_on_it(tmp_path):
    layer = stack(rotate=ROTATED)
    path = tmp_path / "spots.csv"
    path.write_text("z,y,x\n1,2,3\n")
    loaded = load(
        collected(path, "tablecsv"),
        DataOutput(name="spots", format="tablecsv"),
        make_tool(),
        inputs={"image": snapshot(layer)},
    )
    again = Layer.create(*loaded.as_layer_data_tuple())
    np.testing.assert_allclose(again.data_to_world([1, 2, 3]), layer.data_to_world([1, 2, 3]))
    assert again.units == layer.units


@pytest.mark.parametrize("kind", ["points", "shapes"])
def test_coordinates_go_out_in_the_pixels_of_a_file(tmp_path, kind):
    told = {"axes": "YX", "PhysicalSizeX": 0.2, "PhysicalSizeY": 0.2}
    tifffile.imwrite(tmp_path / "a.ome.tif", np.zeros((60, 50), "u2"), metadata=told)
    corners = np.array([[2, 2], [2, 4], [4, 4], [4, 2.0]])
    data = corners if kind == "points" else [corners]
    wanted = parameter("tablecsv", kinds=(LayerKind.POINTS,))
    if kind == "shapes":
        wanted = parameter("imagetiff", kinds=(LayerKind.LABELS,))
    exported = export(
        snapshot((data, {"units": ("um", "um")}, kind)),
        wanted,
        tmp_path / "inputs",
        reference=snapshot(str(tmp_path / "a.ome.tif")),
    )
    if kind == "points":
        assert exported.file.path.read_text().split()[1] == "0,10.0,10.0"
    else:
        mask = tifffile.imread(exported.file.path)
        assert mask.shape == (60, 50)
        assert mask[15, 15] == 1
        assert mask[3, 3] == 0


OME_LENGTHS = (
    "Ym Zm Em Pm Tm Gm Mm km hm dam m dm cm mm µm nm pm fm am zm ym Å thou li in ft yd mi ua ly "
    "pc pt pixel"
)
OME_TIMES = "Ys Zs Es Ps Ts Gs Ms ks hs das s ds cs ms µs ns ps fs as zs ys min h d"


def test_all_units_of_ome_are_known():
    for symbol in f"{OME_LENGTHS} {OME_TIMES}".split():
        assert ome_symbol(symbol) == symbol
        assert symbol == "pixel" or dimension(symbol)
    assert canonical("reference frame") == "pixel"


@pytest.mark.parametrize("unit", [u for u in OME_LENGTHS.split() if u not in ("pixel", "li")])
def test_units_are_as_large_as_napari_takes_them(unit):
    pint = pytest.importorskip("pint")
    size = pint.get_application_registry().Quantity(1, canonical(unit)).to("meter").magnitude
    assert conversion(unit, "m") == pytest.approx(size, rel=1e-9)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("µm|μm|um|UM|\\u00B5m|\\u00b5m|µm.", "micrometer"),
        ("micron|Microns|Mikrometer|Mikron|micromètres|micrómetros|micrometri", "micrometer"),
        ("Å|\u212b|A\u030a|Angstroms|ångström", "angstrom"),
        ("mil|thou", "thou"),
        ("yards|yd", "yard"),
        ("Pm", "petameter"),
        ("pm|PM|picometres", "picometer"),
        ("Mm", "megameter"),
        ("mm|MM|Millimeter|millimètre", "millimeter"),
        ("px|Pixels|voxel|reference frame||pixel", "pixel"),
        ("seconds|sec|secs|Sekunden|secondes|s", "second"),
        ("wavelengths", "wavelengths"),
    ],
)
def test_units_in_any_writing(written, meant):
    assert {canonical(unit) for unit in written.split("|")} == {meant}


@given(st.text() | st.sampled_from(["nan", "inf", "_", "/x", "2*m", "{}", "1" + "0" * 300]))
def test_a_unit_of_any_text_is_one_that_a_layer_takes_or_none(unit):
    if is_shown(unit):
        Image(np.zeros((2, 2)), units=(canonical(unit) or "pixel",) * 2)


@pytest.mark.parametrize("unit", ["cells", "line"])
def test_a_unit_that_napari_does_not_know_is_told(unit, tmp_path):
    path = tmp_path / "o.tif"
    told = {"unit": unit}
    tifffile.imwrite(
        path, np.eye(8, dtype=np.uint8), imagej=True, resolution=(4, 4), metadata=told
    )
    output = DataOutput(name="o", format="imagetiff", kind=LayerKind.IMAGE)
    loaded = load(collected(path, "imagetiff"), output, make_tool(), inputs={})
    layer = Layer.create(*loaded.as_layer_data_tuple())
    assert tuple(layer.scale) == (0.25, 0.25)
    assert any(f"no unit “{unit}”" in note for note in loaded.notes)


@pytest.mark.parametrize(
    ("unit", "size"),
    [
        ("fathom", 1828803.6576),
        ("bohr", 5.29177210544e-5),
        ("scaled_point", 25400 / 72.27 / 2**16),
    ],
)
@pytest.mark.parametrize("kind", ["imagetiff", "ome_zarr"])
def test_lengths_that_only_pint_knows_reach_the_tool(tmp_path, unit, size, kind) -> None:
    layer = Image(np.eye(8), scale=(0.5, 0.25), translate=(1, 2), units=(unit, unit))
    done = export(snapshot(layer), parameter(kind), tmp_path)
    told = read_file(done.file.path, FORMATS[kind], name="a").geometry
    assert told is not None
    assert told.units == ("micrometer",) * 2
    np.testing.assert_allclose(told.scale, (size / 2, size / 4), rtol=1e-6)
    assert not [note for note in done.notes if "unit" in note]
    sizes = {"PhysicalSizeX": size / 4, "PhysicalSizeY": size / 2}
    made = loaded_image(
        tmp_path / "o.ome.tif", np.eye(8), layer, tiff={"metadata": sizes}, reference="image"
    )
    back = Layer.create(*made.as_layer_data_tuple())
    assert str(back.units[0]) == unit
    np.testing.assert_allclose(back.scale, layer.scale, rtol=1e-6)
    np.testing.assert_allclose(back.translate, layer.translate, rtol=1e-6)


def test_symbols_of_pint_mean_other_things_in_files() -> None:
    for unit in ("a", "px", "pp", "li", "th", "rd", "hand_made", "volt", "kelvin", "pixel"):
        assert dimension(unit) == ("length" if unit == "li" else "")
    assert (dimension("week"), conversion("week", "day")) == ("time", 7)


@pytest.mark.parametrize("kind", ["points", "shapes"])
@pytest.mark.parametrize("units", [("um", "um"), ("pixel", "pixel")])
def test_a_file_without_a_pixel_size_has_that_of_coordinates(tmp_path, kind, units) -> None:
    path = tmp_path / "silent.tif"
    tifffile.imwrite(path, np.zeros((40, 50), np.uint8))
    place = {"scale": (0.5, 0.5), "units": units, "translate": (0, 2)}
    square = np.array([[10, 20], [10, 30], [20, 30], [20, 20]], float)
    data = square if kind == "points" else [square]
    wanted = LayerKind.POINTS if kind == "points" else LayerKind.LABELS
    taken = parameter("tablecsv" if kind == "points" else "imagetiff", kinds=(wanted,))
    written = export(
        snapshot((data, place, kind), "p"), taken, tmp_path / "in", reference=snapshot(path)
    )
    assert any("taken to be as in “p”" in note for note in written.notes)
    if kind == "points":
        rows = np.loadtxt(written.file.path, delimiter=",", skiprows=1)
        assert rows[0, -2:].tolist() == [10, 24]
    else:
        drawn = tifffile.imread(written.file.path)
        assert (drawn[12:18, 26:32] == 1).all()
        assert not drawn[:, :23].any()


def test_coordinates_between_frames_are_told(tmp_path) -> None:
    place = {"scale": (2, 1, 1), "axis_labels": ("t", "y", "x")}
    movie = snapshot((np.zeros((4, 8, 8), np.uint8), place, "image"), "movie")
    wanted, cases = parameter("tablecsv"), ((0, 2), (1, 2), (4, 2), (0, 4), (0, 3))
    for (start, step), told in zip(cases, (False, True, False, False, True), strict=True):
        own = place | {"translate": (start, 0, 0), "scale": (step, 1, 1)}
        points = snapshot((np.zeros((3, 3)), own, "points"), "p")
        notes = export(points, wanted, tmp_path, reference=movie).notes
        assert any("between those of" in note for note in notes) is told, (start, step)


@pytest.mark.parametrize(
    ("told", "along", "here"),
    [
        ("µm or px", "millimeter", "µm"),
        ("µm or px", "pixel", "px"),
        ("µm or px", "", "px"),
        ("µm or widths", "second", "widths"),
        ("px or µm", "micrometer", "px or µm"),  # another parameter decides
        ("px", "micrometer", "px"),
    ],
)
def test_of_two_units_the_one_holds_that_the_data_have(told: str, along: str, here: str) -> None:
    units = ("second", along) if along else ()
    assert unit_here(told, Geometry("TX", units=units)) == here
