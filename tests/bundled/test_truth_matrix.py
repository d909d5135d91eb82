"""Every bundled tool on every kind of data: what must hold whatever is computed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from bundled.inside import TOOLS, Image, run

# tool: its pictures, its objects, and values that suit small arrays
PICTURES = {
    "calculate_images": ("first", "second"), "colocalize": ("first", "second"),
    "correct_bleaching": ("input",), "correct_drift": ("input",), "deconvolve": ("input",),
    "denoise_tv": ("input",), "detect_spots": ("input",), "enhance_contrast": ("input",),
    "gaussian_filter": ("input",), "median_filter": ("input",), "project": ("input",),
    "register_images": ("fixed", "moving"), "rescale": ("input",),
    "subtract_background": ("input",), "threshold": ("input",), "unsharp_mask": ("input",),
    "find_objects": ("input",),
    "measure_regions": ("image",), "cut_out_objects": ("image",), "colour_to_grey": ("input",),
}  # fmt: skip
OBJECTS = {
    "compare_labels": ("reference", "candidate"), "count_points": ("labels",),
    "cut_out_objects": ("labels",), "distance_transform": ("input",), "fill_holes": ("input",),
    "label_components": ("input",), "label_outlines": ("labels",), "label_surfaces": ("labels",),
    "measure_regions": ("labels",), "morphology": ("input",), "remove_small_objects": ("input",),
    "sort_objects": ("labels",), "split_touching": ("input",),
}  # fmt: skip
VALUES = {
    "deconvolve": {"rounds": 3}, "register_images": {"allow": "shift"},
    "subtract_background": {"radius": 4}, "remove_small_objects": {"smallest": 6},
    "split_touching": {"spacing": 4}, "detect_spots": {"strength": 3},
    "enhance_contrast": {"method": "percentiles"}, "sort_objects": {"how": "values", "edges": [9]},
}  # fmt: skip
POINTS = np.random.default_rng(8).uniform(0, 20, (30, 5))
KINDS = {"plane": "YX", "stack": "ZYX", "movie": "TYX", "channels": "CYX", "all": "TCZYX"}
LENGTHS = {"T": 3, "C": 2, "Z": 4, "Y": 20, "X": 22}


def picture(axes, dtype="uint16", seed=0):
    shape = [LENGTHS[axis] for axis in axes]
    rough = np.random.default_rng(seed).random(shape)
    soft = ndimage.gaussian_filter(rough, [1.5 if axis in "YX" else 0 for axis in axes])
    values = 20 + 150 * (soft - soft.min()) / np.ptp(soft) + 20 * rough
    return values.astype(dtype)


def objects(axes, dtype="uint16", seed=0):
    inside = picture(axes, "float64", seed) > 115
    near = np.ones((3,) * len(axes), int)
    for dimension, axis in enumerate(axes):
        if axis in "TC":
            near[(slice(None),) * dimension + ([0, 2],)] = 0
    return (ndimage.label(inside, near)[0] * 3 % 250).astype(dtype)


def use(tool, folder, image, labels, axes, **sizes):
    values = dict(VALUES.get(tool, {}))
    values |= {name: Image(image, axes, sizes) for name in PICTURES.get(tool, ())}
    values |= {name: Image(labels, axes, sizes) for name in OBJECTS.get(tool, ())}
    if tool in {"count_points", "track_points"}:
        values["points"] = POINTS[:, -len(axes) :] if tool == "count_points" else POINTS[:, -3:]
    return run(tool, folder, **values)


def told(made):
    """Whether a refusal is a sentence."""
    return len(made.refused.split()) > 4 and "Error" not in made.refused


def same(one, other):
    if isinstance(one, np.ndarray):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4 * max(np.abs(one).max(), 1))
    else:
        assert one == other


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("kind", KINDS)
def test_results_are_finite_and_of_the_shape_and_type(tmp_path, tool, kind):
    axes = KINDS[kind]
    image, labels = picture(axes), objects(axes)
    made = use(tool, tmp_path, image, labels, axes, PhysicalSizeX=0.5, PhysicalSizeY=0.5)
    if made.refused:
        assert told(made), made.refused
        return
    for name, output in made.outputs.items():
        if isinstance(output, np.ndarray):
            assert np.isfinite(output).all(), name
            if tool not in {"project", "rescale", "cut_out_objects"}:
                assert output.shape == image.shape
    keep = {
        "gaussian_filter",
        "median_filter",
        "subtract_background",
        "denoise_tv",
        "unsharp_mask",
        "morphology",
        "fill_holes",
        "remove_small_objects",
        "correct_drift",
        "correct_bleaching",
    }
    if tool in keep:
        assert made.image().dtype == np.uint16


ALONE = sorted(
    set(TOOLS)
    - {"correct_bleaching", "correct_drift", "project", "register_images", "track_points"}
    - {"sort_objects", "compare_labels", "colocalize", "count_points", "measure_regions"}
    - {"cut_out_objects", "label_outlines", "label_surfaces"}  # tables and files: elsewhere
)


@pytest.mark.parametrize("tool", ALONE)
def test_frames_and_channels_are_as_if_they_were_alone(tmp_path, tool):
    image, labels = picture("TCZYX"), objects("TCZYX")
    image[1], labels[2, 0] = image[1] // 3, 0
    whole = use(tool, tmp_path, image, labels, "TCZYX")
    assert not whole.refused
    rows = iter(whole.rows("points")) if tool == "detect_spots" else iter(())
    for index in np.ndindex(3, 2):
        alone = use(tool, tmp_path, image[index], labels[index], "ZYX")
        for name, output in alone.outputs.items():
            if tool in {"label_components", "split_touching", "find_objects"}:  # the numbers go on
                part = whole.image()[index]
                same(np.where(part, part - part[part > 0].min(initial=1_000_000) + 1, 0), output)
            elif isinstance(output, np.ndarray):
                same(whole.image(name)[index], output)
            else:
                for row in alone.rows("points"):
                    other = next(rows)
                    assert (int(other["axis-0"]), int(other["axis-1"])) == index
                    assert [other[f"axis-{i + 2}"] for i in range(3)] == [
                        row[f"axis-{i}"] for i in range(3)
                    ]
                    assert other["strength"] == row["strength"]


@pytest.mark.parametrize("tool", ALONE)
def test_an_axis_that_nobody_knows_is_no_space(tmp_path, tool):
    image, labels = picture("CYX"), objects("CYX")
    known, unknown = (use(tool, tmp_path, image, labels, axes) for axes in ("CYX", "QYX"))
    for name, output in known.outputs.items():
        same(output, unknown.outputs[name])
    assert any("is not known" in note for note in unknown.notes)


@pytest.mark.parametrize("tool", [*ALONE, "correct_drift", "correct_bleaching", "project"])
def test_more_axes_than_ome_has_room_for(tmp_path, tool):
    image, labels = picture("TCZYX")[:2, :, :2], objects("TCZYX")[:2, :, :2]
    many = use(tool, tmp_path, np.stack([image] * 2, 3), np.stack([labels] * 2, 3), "TCZQYX")
    assert not many.refused
    for output in many.outputs.values():
        if isinstance(output, np.ndarray) and tool not in {"project", "rescale"}:
            assert output.shape == (2, 2, 2, 2, 20, 22)


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize(
    "dtype",
    [
        "uint8",
        "int8",
        "int16",
        "uint32",
        "int32",
        "int64",
        "uint64",
        "float16",
        "float32",
        "float64",
    ],
)
def test_every_type_of_numbers(tmp_path, tool, dtype):
    axes = "TYX" if tool in {"correct_bleaching", "correct_drift", "project"} else "YX"
    axes = "ZYX" if tool == "label_surfaces" else axes
    image = picture(axes).astype(float) / 2
    labels = objects(axes, "uint16") % 120
    plain = use(tool, tmp_path, image.astype("uint8"), labels.astype("uint8"), axes)
    number = np.dtype(dtype).kind != "f"
    made = use(
        tool,
        tmp_path,
        image.astype("uint8").astype(dtype),
        labels.astype(dtype if number else "uint8"),
        axes,
    )
    assert not plain.refused
    assert not made.refused
    for name, output in plain.outputs.items():
        other = made.outputs[name]
        if isinstance(output, np.ndarray) and number:
            np.testing.assert_allclose(
                np.clip(other.astype(float), 0, None),
                output,
                atol=1.01 if tool == "subtract_background" else 1e-3,
            )
        elif isinstance(output, np.ndarray) and tool == "find_objects":
            # what is smoothed is not rounded, and the threshold lies elsewhere
            assert np.mean((output > 0) == (other > 0)) > 0.9
        elif isinstance(output, np.ndarray):
            inside = output < 255  # fractions are not cut off where a type ends
            np.testing.assert_allclose(
                np.clip(other, 0, None)[inside], output[inside], atol=1.01, rtol=1e-3
            )


@pytest.mark.parametrize("tool", sorted(set(PICTURES) - {"cut_out_objects", "colour_to_grey"}))
@pytest.mark.parametrize("fault", ["nan", "inf", "all"])
def test_missing_pixels_stay_where_they_are_and_are_told(tmp_path, tool, fault):
    """But for pieces and channels: they are as they are."""
    axes = "TYX" if tool in {"correct_bleaching", "correct_drift", "project"} else "YX"
    image, labels = picture(axes, "float32"), objects(axes)
    image[..., 0, 0] = np.inf if fault == "inf" else np.nan
    if fault == "all":
        image[:] = np.nan
    made = use(tool, tmp_path, image, labels, axes)
    assert (
        "pixels without a value" in made.text
        or "No pixel of the image has a value" in made.refused
    )
    if fault != "all":
        assert not made.refused
        for output in made.outputs.values():
            if isinstance(output, np.ndarray):
                assert np.isfinite(output).mean() > 0.75


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("fault", ["black", "flat", "saturated", "one pixel", "full"])
def test_empty_flat_and_full_data(tmp_path, tool, fault):
    axes = "TYX" if tool in {"correct_bleaching", "correct_drift", "project"} else "YX"
    axes = "ZYX" if tool == "label_surfaces" else axes
    value = {"black": 0, "flat": 77, "saturated": 255, "one pixel": 0, "full": 255}[fault]
    image, labels = (np.full([LENGTHS[axis] for axis in axes], value, np.uint8) for _ in range(2))
    labels[:] = fault == "full"
    if fault == "one pixel":
        image[..., 7, 8], labels[..., 7, 8] = 255, 1
    made = use(tool, tmp_path, image, labels, axes)
    if made.refused:
        assert told(made), made.refused
    for output in made.outputs.values():
        assert not isinstance(output, np.ndarray) or np.isfinite(output).all()


def corners():
    """Return name -> image, labels and axes that stand at the edge of what is usual."""
    image, labels, stack = picture("YX"), objects("YX"), picture("ZYX")
    gap = np.where(np.arange(3)[:, None, None] == 0, np.nan, picture("TYX")).astype("f4")
    return {
        "1x1": (np.full((1, 1), 7, "u1"), np.full((1, 1), 3, "u1"), "YX"),
        "nothing": (np.zeros((1, 1), "u1"), np.zeros((1, 1), "u1"), "YX"),
        "line": (image[:, :1], labels[:, 5:6], "YX"),
        "slice": (stack[:1], objects("ZYX")[:1], "ZYX"),
        "frame": (picture("TYX")[:1], objects("TYX")[:1], "TYX"),
        "frames of a slice": (picture("TZYX")[:, :1], objects("TZYX")[:, :1], "TZYX"),
        "channels": (picture("TCYX"), objects("TCYX"), "TCYX"),
        "unknown axis": (stack, objects("ZYX"), "QYX"),
        "bool": (image > 100, labels > 0, "YX"),
        "negative": (-image.astype("i2"), -(labels % 120).astype("i2"), "YX"),
        "alone": (image.astype("u4") * 2**24, (labels > 0).astype("u4") * 4_000_000_000, "YX"),
        "64 bits": (image, labels.astype("u8") * 2**50, "YX"),
        "fractions": (image, labels.astype("f4"), "YX"),
        "first frame missing": (gap, objects("TYX"), "TYX"),
        "filled": (np.full((4, 20, 22), 65535, "u2"), np.ones((4, 20, 22), "u2"), "ZYX"),
        "tiny": (image.astype("f4") * 1e-38, labels, "YX"),
        "colour": (np.stack([image] * 3, -1).astype("u1"), np.stack([labels] * 3, -1), "YXS"),
        "complex": (image.astype("c8"), labels, "YX"),
    }


CORNERS = corners()


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("corner", CORNERS)
def test_a_result_or_a_sentence(tmp_path, tool, corner):
    """Never a traceback, and nothing becomes 0 everywhere without a word."""
    image, labels, axes = CORNERS[corner]
    oblong = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 1.0, "PhysicalSizeZ": 3.0}
    made = use(tool, tmp_path, image, labels, axes, **oblong)
    if made.refused:
        assert told(made), made.refused
        return
    same_twice = {
        "calculate_images",
        "sort_objects",
        "remove_small_objects",
    }  # 0 is right, or told
    for name, output in made.outputs.items():
        if isinstance(output, np.ndarray) and image.any() and labels.any():
            assert output.any() or made.notes or tool in same_twice, name


@pytest.mark.parametrize("compression", ["zlib", "lzw"])
def test_files_that_are_damaged_are_told(tmp_path, compression):
    path = tmp_path / "damaged.tif"
    tifffile.imwrite(path, picture("YX"), compression=compression)
    with tifffile.TiffFile(path) as file:
        start = file.pages[0].dataoffsets[0]
    content = bytearray(path.read_bytes())
    content[start : start + 40] = b"\xff" * 40
    path.write_bytes(content)
    made = run("gaussian_filter", tmp_path, input=path)
    assert "cannot be read as a TIFF image" in made.refused


@pytest.mark.parametrize("tool", ["measure_regions", "distance_transform", "count_points"])
@pytest.mark.parametrize("factor", [2, 1000])
def test_lengths_grow_with_the_pixels(tmp_path, tool, factor):
    labels = objects("ZYX")
    sizes = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 1.5}
    large = {key: value * factor for key, value in sizes.items()}
    more = {"unit": "micrometres"} if tool == "distance_transform" else {}
    name = OBJECTS[tool][0]
    if tool == "measure_regions":
        more = {}
    made = []
    for steps in (sizes, large):
        given = {name: Image(labels, "ZYX", steps)} | more
        if tool == "measure_regions":
            given["image"] = given["labels"]
        if tool == "count_points":
            given["points"] = POINTS[:, -3:]
        made.append(run(tool, tmp_path, **given))
    if tool == "distance_transform":
        np.testing.assert_allclose(made[1].image(), made[0].image() * factor, rtol=1e-5)
        return
    table = "counts" if tool == "count_points" else "table"
    power = {
        "length_um": 1,
        "width_um": 1,
        "surface_um2": 2,
        "volume_um3": 3,
        "points_per_um3": -3,
    }
    for column in made[0].rows(table)[0]:
        before, after = (m.column(column, table) for m in made)
        np.testing.assert_allclose(
            after, before * float(factor) ** power.get(column, 0), rtol=1e-9
        )


@pytest.mark.parametrize("tool", sorted(set(OBJECTS) - {"label_surfaces"}))
def test_other_numbers_for_the_objects_change_nothing_else(tmp_path, tool):
    labels, image = objects("YX"), picture("YX")
    names = np.unique(labels)[1:]
    fresh = np.random.default_rng(1).permutation(60_000)[: len(names)] + 1
    table = np.zeros(names.max() + 1, int)
    table[names] = fresh
    one, two = (
        use(tool, tmp_path, image, some, "YX") for some in (labels, table[labels].astype("uint16"))
    )
    for name, output in one.outputs.items():
        if isinstance(output, np.ndarray) and tool != "cut_out_objects":
            kept = tool in {"morphology", "fill_holes", "remove_small_objects", "sort_objects"}
            np.testing.assert_array_equal(two.image(name), table[output] if kept else output)
        elif isinstance(output, list) and output and "label" in output[0]:
            renamed = [{**row, "label": str(table[int(row["label"])])} for row in output]
            assert sorted(map(str, renamed)) == sorted(map(str, two.rows(name)))
        elif isinstance(output, Path):
            lines = [
                json.loads(path.read_text())["features"] for path in (output, two.outputs[name])
            ]
            shapes = [sorted(str(f["geometry"]) for f in some) for some in lines]
            assert shapes[0] == shapes[1]


MOVED = sorted(
    (
        set(OBJECTS)
        | {"gaussian_filter", "median_filter", "unsharp_mask", "threshold", "detect_spots"}
    )
    - {"label_surfaces", "count_points", "measure_regions", "sort_objects", "compare_labels"}
    - {"cut_out_objects", "label_outlines"}
)


@pytest.mark.parametrize("tool", MOVED)
def test_what_is_moved_gives_what_is_moved(tmp_path, tool):
    def pad(array, y, x, value):
        return np.pad(array, ((10 + y, 14 - y), (10 + x, 14 - x)), constant_values=value)

    image, labels = picture("YX"), objects("YX")
    one, two = (
        use(tool, tmp_path, pad(image, *by, 20), pad(labels, *by, 0), "YX")
        for by in ((0, 0), (3, 2))
    )
    if tool == "detect_spots":
        places = [
            np.array([[float(row["axis-0"]), float(row["axis-1"])] for row in made.rows("points")])
            for made in (one, two)
        ]
        np.testing.assert_allclose(places[1], places[0] + [3, 2], atol=1e-6)
        return
    before, after = one.image()[2:-6, 2:-6], two.image()[5:-3, 4:-4]
    np.testing.assert_allclose(after, before, atol=1e-4)
