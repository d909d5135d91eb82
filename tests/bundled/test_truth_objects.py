"""Objects measured, counted, sorted, compared: against definitions, and other libraries' ways."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import ndimage, special
from skimage import measure, segmentation

from bundled.inside import Image, run, script

MICRONS = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 2.0}


def cells(seed=0, shape=(40, 44), count=9, top=60_000):
    """Return touching objects of all shapes, at borders too, with numbers that leave gaps."""
    rng = np.random.default_rng(seed)
    seeds = np.zeros(shape, int)
    numbers = rng.choice(np.arange(1, top), count, replace=False)
    places = rng.choice(int(np.prod(shape)), count, replace=False)
    seeds.flat[places] = numbers
    soft = ndimage.gaussian_filter(rng.random(shape), 2)
    return segmentation.watershed(soft, seeds, mask=soft > np.quantile(soft, 0.4)).astype(
        np.uint16
    )


def movie(frames=3, **how):
    return np.stack([cells(frame, **how) for frame in range(frames)])


def light(shape, seed=5):
    return np.random.default_rng(seed).integers(0, 65535, shape).astype(np.uint16)


# -- Measure objects ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "sizes"), [((40, 44), MICRONS), ((7, 20, 22), MICRONS), ((40, 44), {})]
)
def test_measurements_are_those_of_scikit_image(tmp_path, shape, sizes):
    labels, image = cells(3, shape), light(shape)
    axes = "ZYX"[-len(shape) :]
    sizes = {key: value for key, value in sizes.items() if key[-1] in axes}
    made = run(
        "measure_regions",
        tmp_path,
        labels=Image(labels, axes, sizes),
        image=Image(image, axes, sizes),
    )
    wide = sizes.get("PhysicalSizeX", 1.0)
    steps = [sizes.get(f"PhysicalSize{axis}", 1.0) for axis in axes]
    regions = measure.regionprops(labels, image.astype(float), spacing=steps)
    unit = "um" if sizes else "px"
    wanted = {
        "label": [r.label for r in regions],
        "voxels" if len(shape) == 3 else "pixels": [r.num_pixels for r in regions],
        f"length_{unit}": [r.axis_major_length for r in regions],
        f"width_{unit}": [r.axis_minor_length for r in regions],
        "intensity_mean": [r.intensity_mean for r in regions],
        "intensity_std": [r.image_intensity[r.image].std() for r in regions],
        "intensity_min": [r.intensity_min for r in regions],
        "intensity_max": [r.intensity_max for r in regions],
        "intensity_sum": [image[labels == r.label].astype(int).sum() for r in regions],
    }
    wanted |= {
        f"centroid_{axis.lower()}": [r.centroid[i] / steps[i] for r in regions]
        for i, axis in enumerate(axes)
    }
    if sizes:
        wanted["volume_um3" if len(shape) == 3 else "area_um2"] = [r.area for r in regions]
    if len(shape) == 2:
        flat = measure.regionprops(labels)
        wanted |= {
            f"perimeter_{unit}": [r.perimeter * wide for r in flat],
            "eccentricity": [r.eccentricity for r in flat],
            "solidity": [r.solidity for r in flat],
            "circularity": [
                min(4 * np.pi * r.num_pixels / r.perimeter**2, 1) if r.perimeter else 0
                for r in flat
            ],
        }
    more = {f"surface_{unit}2"} if len(shape) == 3 else set()
    assert set(wanted) | more == set(made.rows()[0])
    for name, values in wanted.items():
        np.testing.assert_allclose(made.column(name), values, rtol=1e-7, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(("high", "most"), [(1.011, 0.02), (1.5, 0.02), (2, 0.02), (4, 0.06)])
@pytest.mark.parametrize("turn", [0, 0.4, 1.1])
def test_pixels_that_are_no_squares(tmp_path, high, most, turn):
    """Ellipses, of an outline that SciPy knows, in pixels `high` times as high as wide."""
    rows, columns = np.mgrid[: 2 * round(60 / high) + 1, :121].astype(float)
    rows, columns = (rows - round(60 / high)) * high, columns - 60.3
    along = rows * np.sin(turn) + columns * np.cos(turn)
    across = rows * np.cos(turn) - columns * np.sin(turn)
    inside = ((along / 50) ** 2 + (across / 30) ** 2 <= 1).astype(np.uint8)
    sizes = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5 * high}
    labels = Image(inside, "YX", sizes)
    (row,) = run("measure_regions", tmp_path, labels=labels, image=labels).rows()
    around = 4 * 25 * special.ellipe(1 - 0.6**2)
    assert float(row["area_um2"]) == pytest.approx(np.pi * 25 * 15, rel=0.01)
    assert float(row["length_um"]) == pytest.approx(50, rel=0.02)
    assert float(row["width_um"]) == pytest.approx(30, rel=0.02)
    assert float(row["eccentricity"]) == pytest.approx(0.8, abs=0.01)
    assert float(row["perimeter_um"]) == pytest.approx(around, rel=most)


@pytest.mark.parametrize("high", [1, float(np.float32(0.1083333)) / 0.1083333, 1 + 1e-6, 1.001])
def test_rounded_sizes_are_no_other_shape(tmp_path, high):
    """An upright square has the perimeter of square pixels where sizes differ by rounding."""
    inside = np.pad(np.ones((200, 200), np.uint16), 30)
    labels = Image(inside, "YX", {"PhysicalSizeX": 0.1083333, "PhysicalSizeY": 0.1083333 * high})
    (row,) = run("measure_regions", tmp_path, labels=labels, image=labels).rows()
    assert float(row["perimeter_um"]) == pytest.approx(796 * 0.1083333, rel=1e-3)


@pytest.mark.parametrize("high", [1, 1.0001, 1.009, 1.011])
def test_another_way_to_measure_outlines_is_told(tmp_path, high):
    rows, columns = np.mgrid[:250, :250] - 124.3
    disc = Image(
        (rows**2 + columns**2 < 120**2).astype("u1"), "YX", {**MICRONS, "PhysicalSizeY": high / 2}
    )
    made = run("measure_regions", tmp_path, labels=disc, image=disc)
    told = high > 1.01
    assert ("counted by crossings" in made.text) is told
    around = np.pi * 120 * (1.0 if told else 1.048)
    assert float(made.rows()[0]["perimeter_um"]) == pytest.approx(around, rel=0.01)


@pytest.mark.parametrize(("deep", "most"), [(1, 0.03), (2, 0.04), (4, 0.05)])
def test_surfaces_are_those_of_balls(tmp_path, deep, most):
    away = np.mgrid[: 2 * (16 // deep) + 3, :35, :35].astype(float)
    away = (away - np.array(away.shape[1:])[:, None, None, None] / 2 + 0.3) * [
        [[[deep]]],
        [[[1]]],
        [[[1]]],
    ]
    labels = ((away**2).sum(axis=0) <= 15**2).astype(np.uint16)
    sizes = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 0.5 * deep}
    image = Image(labels * 7, "ZYX", sizes)
    (row,) = run("measure_regions", tmp_path, labels=image, image=image).rows()
    assert float(row["surface_um2"]) == pytest.approx(4 * np.pi * 7.5**2, rel=most)
    assert float(row["volume_um3"]) == pytest.approx(4 / 3 * np.pi * 7.5**3, rel=0.03)


def test_crossings_of_squares_are_those_of_scikit_image():
    labels = cells(4).astype(int) % 50
    made = script("measure_regions").borders(labels, 50, [1.0, 1.0])
    for number in np.unique(labels[labels > 0]):
        wanted = measure.perimeter_crofton(labels == number, directions=4)
        assert made[number] == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ("nm", 1000),
        ("mm", 1e-3),
        ("cm", 1e-4),
        ("µm", 1),
        ("m", 1e-6),
        ("in", 1 / 25400),
        ("Å", 1e4),
    ],
)
def test_lengths_of_every_unit(tmp_path, unit, factor):
    sizes = {f"PhysicalSize{axis}": 0.5 * factor for axis in "XY"}
    sizes |= {f"PhysicalSize{axis}Unit": unit for axis in "XY"}
    labels = Image(cells(), "YX", sizes)
    made = run("measure_regions", tmp_path, labels=labels, image=labels)
    np.testing.assert_allclose(made.column("area_um2"), made.column("pixels") / 4)
    points = np.array([[20.0, 20.0]])
    counts = run("count_points", tmp_path, points=points, labels=labels)
    assert "points_per_um2" in counts.rows("counts")[0]


def test_units_that_are_no_length_make_no_micrometres(tmp_path):
    sizes = {"PhysicalSizeX": 2.0, "PhysicalSizeXUnit": "pixel"}
    sizes |= {"PhysicalSizeY": 2.0, "PhysicalSizeYUnit": "reference frame"}
    for given in (sizes, {}):
        labels = Image(cells(), "YX", given)
        names = set(run("measure_regions", tmp_path, labels=labels, image=labels).rows()[0])
        assert {"length_px", "perimeter_px"} <= names
        assert not [name for name in names if "um" in name]
    flat = {key: value for key, value in MICRONS.items() if key[-1] != "Z"}
    labels = Image(cells(0, (5, 20, 20)), "ZYX", flat)
    made = run("measure_regions", tmp_path, labels=labels, image=labels)
    assert "volume_um3" not in made.rows()[0]
    assert "how deep a slice is" in made.text


def test_brightness_is_measured_where_there_is_some(tmp_path):
    labels, image = cells(1), light((40, 44)).astype(np.float32)
    first, second = np.unique(labels[labels > 0])[:2]
    image[(labels == first) & (np.indices(image.shape)[1] % 2 == 0)] = np.nan
    image[labels == second] = np.inf
    made = run("measure_regions", tmp_path, labels=Image(labels, "YX"), image=Image(image, "YX"))
    known = image[(labels == first) & np.isfinite(image)].astype(float)
    row = next(row for row in made.rows() if int(row["label"]) == first)
    assert float(row["intensity_mean"]) == pytest.approx(known.mean())
    assert float(row["intensity_sum"]) == pytest.approx(known.sum())
    assert int(row["pixels"]) == (labels == first).sum()
    row = next(row for row in made.rows() if int(row["label"]) == second)
    assert row["intensity_mean"] == row["intensity_max"] == "nan"
    assert "without a value (NaN or infinite) are left out: " in made.text


# -- time is not space -------------------------------------------------------------------


TABLES = {
    "measure_regions": ("table", lambda a: {"labels": a, "image": a}),
    "sort_objects": ("table", lambda a: {"labels": a, "how": "values", "edges": [50]}),
    "compare_labels": ("table", lambda a: {"reference": a, "candidate": a}),
    "colocalize": (
        "table",
        lambda a: {
            "first": Image(light(a.pixels.shape[-2:]) + np.zeros_like(a.pixels), a.axes),
            "second": Image(light(a.pixels.shape[-2:], 8) + np.zeros_like(a.pixels), a.axes),
            "labels": a,
        },
    ),
}


@pytest.mark.parametrize("tool", TABLES)
def test_tables_are_frame_by_frame_and_channel_by_channel(tmp_path, tool):
    name, values = TABLES[tool]
    labels = np.stack([movie(top=12), movie(top=12)[::-1]], axis=1)
    made = run(tool, tmp_path, **values(Image(labels, "TCYX"))).rows(name)
    wanted = []
    for frame, channel in np.ndindex(labels.shape[:2]):
        alone = run(tool, tmp_path, **values(Image(labels[frame, channel], "YX"))).rows(name)
        wanted += [{"frame": str(frame), "c": str(channel), **row} for row in alone]
    assert [sorted(row.items()) for row in made] == [sorted(row.items()) for row in wanted]


def test_points_outside_belong_to_no_object_where_nothing_is_background(tmp_path):
    labels = np.repeat([[1, 2]], 2, axis=0).astype(np.uint8)
    points = np.array([[0, 0], [0, np.nan], [9, 9]])
    made = run("count_points", tmp_path, points=points, labels=Image(labels, "YX", {}))
    assert [int(row["points"]) for row in made.rows("counts")] == [1, 0]


def test_points_are_counted_in_their_frame(tmp_path):
    labels = movie(top=12)
    rng = np.random.default_rng(4)
    points = np.column_stack([rng.integers(0, 3, 400), rng.uniform(-3, 45, (400, 2))])
    points[7] = np.nan
    sizes = {key: value for key, value in MICRONS.items() if key[-1] in "XY"}
    made = run("count_points", tmp_path, points=points, labels=Image(labels, "TYX", sizes))
    wanted, owners = {}, []
    for point in points:
        place = tuple(np.floor(np.nan_to_num(point, nan=-9) + 0.5).astype(int))
        known = all(0 <= p < n for p, n in zip(place, labels.shape, strict=True))
        owners.append(int(labels[place]) if known else 0)
        wanted[place[0], owners[-1]] = wanted.get((place[0], owners[-1]), 0) + 1
    assert [int(row["object"]) for row in made.rows("assigned")] == owners
    rows = {(int(r["frame"]), int(r["label"])): r for r in made.rows("counts")}
    assert set(rows) == {(f, int(n)) for f in range(3) for n in np.unique(labels[f]) if n}
    for (frame, number), row in rows.items():
        count, area = wanted.get((frame, number), 0), (labels[frame] == number).sum() / 4
        assert int(row["points"]) == count
        assert float(row["points_per_um2"]) == pytest.approx(count / area)
    assert "without a place" in made.text


@pytest.mark.parametrize("axes", ["TZYX", "ZTYX", "CTYX", "XYTC"])
def test_points_belong_to_axes_by_their_names(tmp_path, axes):
    labels = movie()
    rng = np.random.default_rng(4)
    points = np.column_stack([rng.integers(0, 3, (99, 2)), rng.uniform(0, 39.4, (99, 2))])
    own = dict(zip("TZYX", points.T, strict=True))
    own["C"] = own["Z"]
    given = np.column_stack([own[axis] for axis in axes])
    made = run("count_points", tmp_path, points=given, labels=Image(labels, "TYX"), axes=axes)
    places = np.floor(points + 0.5).astype(int)
    owners = [labels[t, y, x] for t, _, y, x in places]
    assert [int(row["object"]) for row in made.rows("assigned")] == owners
    assert f"the objects have no {(set(axes) - set('TYX')).pop()}" in made.text


@pytest.mark.parametrize("axes", ["CYX", "ZYX"])
def test_channels_and_slices_are_no_frames(tmp_path, axes):
    points, labels = np.array([[0.0, 5, 5], [1, 5, 5]]), Image(movie(), "TYX")
    made = run("count_points", tmp_path, points=points, labels=labels, axes=axes)
    assert "which T a point is at is not known" in made.refused
    made = run("track_points", tmp_path, points=points, axes=axes)
    assert "no time" in made.refused
    single = Image(movie()[:1], "TYX")
    made = run("count_points", tmp_path, points=points, labels=single, axes=axes)
    assert not made.refused


def test_frames_of_points_with_depth_are_those_of_flat_labels(tmp_path):
    """A movie of stacks of one slice: readers drop that axis, and time stays time."""
    labels = movie()[:, None]
    rng = np.random.default_rng(4)
    points = np.column_stack(
        [rng.integers(0, 3, 99), rng.integers(0, 3, 99), rng.uniform(0, 40, (99, 2))]
    )
    made = run("count_points", tmp_path, points=points, labels=Image(labels, "TZYX"))
    places = np.floor(points + 0.5).astype(int)
    owners = [labels[t, 0, y, x] if y < 40 else 0 for t, _, y, x in places]
    assert [int(row["object"]) for row in made.rows("assigned")] == owners
    assert "the objects are flat" in made.text


@pytest.mark.parametrize("mask", [False, True])
def test_sizes_and_borders_are_those_of_each_frame(tmp_path, mask):
    labels = (movie() > 0).astype(np.uint8) if mask else movie()
    how = {"smallest": 60, "largest": 200, "border": "true"}
    made = run("remove_small_objects", tmp_path, input=Image(labels, "TYX"), **how).image()
    for before, after in zip(labels, made, strict=True):
        objects = ndimage.label(before)[0] if mask else before
        for number in np.unique(objects[objects > 0]):
            inside = objects == number
            rim = inside[[0, -1]].any() or inside[:, [0, -1]].any()
            stays = 60 <= inside.sum() <= 200 and not rim
            np.testing.assert_array_equal(after[inside], before[inside] * stays)


def test_pieces_are_cut_out_of_each_frame(tmp_path):
    labels, image = movie(top=12), light((3, 40, 44))
    given = {"image": Image(image, "TYX"), "labels": Image(labels, "TYX")}
    made = run("cut_out_objects", tmp_path, **given, margin=0, blank=True)
    assert len(made.outputs) == sum(len(np.unique(frame)) - 1 for frame in labels)
    for frame in range(3):
        for number, box in enumerate(ndimage.find_objects(labels[frame]), 1):
            if box is not None:
                inside = labels[frame][box] == number
                piece = made.image(f"object_{number:04}_t{frame:03}")
                np.testing.assert_array_equal(piece, image[frame][box] * inside)


# -- numbers of any size, types, counts ----------------------------------------------------

BIG = {"uint32": 2**31, "int64": 2**53 + 1, "uint64": 2**63 + 5, "int32": 2**31 - 1}


@pytest.mark.parametrize("dtype", BIG)
def test_memory_and_numbers_do_not_depend_on_the_largest_label(tmp_path, dtype):
    big = BIG[dtype]
    labels = np.zeros((4, 24, 24), dtype)
    labels[1:3, 2:9, 2:9], labels[1:3, 9:16, 2:9] = big, big - 1
    labels[1:3, 4:6, 4:6] = 0
    names, given = {big, big - 1}, Image(labels, "ZYX")
    for tool, values in {
        "morphology": {"operation": "close"},
        "fill_holes": {},
        "remove_small_objects": {},
    }.items():
        made = run(tool, tmp_path, input=given, **values).image()
        assert made.dtype == labels.dtype
        assert set(made.ravel().tolist()) - {0} == names, tool
    made = run("sort_objects", tmp_path, labels=given)
    assert {int(row["label"]) for row in made.rows()} == names
    assert set(made.image("class_1").ravel().tolist()) - {0} <= names
    shapes = run("measure_regions", tmp_path, labels=given, image=given).rows()
    assert {int(row["label"]) for row in shapes} == names
    same = run("compare_labels", tmp_path, reference=given, candidate=given)
    assert {int(row["label"]) for row in same.rows()} == names
    points = run("count_points", tmp_path, points=np.array([[1.0, 3, 3]]), labels=given)
    assert {int(row["label"]) for row in points.rows("counts")} == names
    assert int(points.rows("assigned")[0]["object"]) == big
    image = Image(light(labels.shape), "ZYX")
    both = run("colocalize", tmp_path, first=image, second=image, labels=given).rows()
    assert {int(row["label"]) for row in both} == names
    pieces = run("cut_out_objects", tmp_path, image=image, labels=given)
    assert set(pieces.outputs) == {f"object_{number}" for number in names}
    lines = run("label_outlines", tmp_path, labels=given).outputs["outlines"].read_text()
    assert {f["properties"]["label"] for f in json.loads(lines)["features"]} == names
    assert run("label_surfaces", tmp_path, labels=given).outputs["surface"].exists()


def test_counts_are_written_in_full(tmp_path):
    labels = Image(np.ones((1203, 1301), np.uint8), "YX")
    (row,) = run("measure_regions", tmp_path, labels=labels, image=labels).rows()
    assert row["pixels"] == str(1203 * 1301)
    (row,) = run("sort_objects", tmp_path, labels=labels, count=1).rows()
    assert row["area"] == str(1203 * 1301)
    image = Image(np.full((1203, 1301), 65_535, np.uint16), "YX")
    (row,) = run("measure_regions", tmp_path, labels=labels, image=image).rows()
    assert float(row["intensity_sum"]) == pytest.approx(1203 * 1301 * 65_535, rel=1e-9)


# -- the others --------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [False, True])
def test_overlaps_by_counting_pixels(tmp_path, depth):
    shape = (5, 20, 22) if depth else (40, 44)
    truth, labels = cells(1, shape), cells(2, shape, 12)
    axes = "ZYX"[-len(shape) :]
    made = run(
        "compare_labels",
        tmp_path,
        reference=Image(truth, axes),
        candidate=Image(labels, axes),
        overlap=0.5,
    )
    for row in made.rows():
        inside = truth == int(row["label"])
        scores = [
            (inside & (labels == n)).sum() / (inside | (labels == n)).sum()
            for n in np.unique(labels[labels > 0])
        ]
        assert float(row["overlap_result"]) == pytest.approx(max(scores))
    (told,) = made.rows("summary")
    matched = int(told["matched"])
    assert matched == sum(float(row["overlap_result"]) > 0.5 for row in made.rows())
    assert float(told["precision"]) == pytest.approx(matched / 12)
    assert float(told["recall"]) == pytest.approx(matched / 9)
    assert float(told["f1"]) == pytest.approx(2 * matched / 21)


@pytest.mark.parametrize(
    ("reference", "candidate", "scores"),
    [(0, 0, ("nan", "nan", "nan")), (0, 1, ("0", "nan", "0")), (1, 0, ("nan", "0", "0"))],
)
def test_shares_of_no_objects_have_no_value(tmp_path, reference, candidate, scores):
    flat = {"reference": reference, "candidate": candidate}
    given = {name: Image(np.full((8, 8), one, np.uint8), "YX") for name, one in flat.items()}
    made = run("compare_labels", tmp_path, **given)
    (told,) = made.rows("summary")
    names = ("precision", "recall", "f1")
    assert tuple(told[name] for name in names) == scores
    (note,) = [note for note in made.notes if "no objects" in note]
    assert [name in note for name in names] == [score == "nan" for score in scores]


def test_one_object_matches_one_other(tmp_path):
    halves = np.zeros((8, 8), np.uint8)
    halves[:4], halves[4:] = 1, 2
    halves[0] = halves[7] = 0
    whole = (halves > 0).astype(np.uint8)
    (told,) = run(
        "compare_labels", tmp_path, reference=Image(halves, "YX"), candidate=Image(whole, "YX")
    ).rows("summary")
    assert (told["matched"], told["precision"], told["recall"]) == ("1", "1", "0.5")


@pytest.mark.parametrize("feature", ["area", "intensity_mean", "eccentricity", "solidity"])
def test_objects_are_sorted_by_what_is_measured(tmp_path, feature):
    labels, image = cells(4), light((40, 44))
    given = {"labels": Image(labels, "YX"), "image": Image(image, "YX"), "feature": feature}
    made = run("sort_objects", tmp_path, **given, count=3)
    wanted = {r.label: float(r[feature]) for r in measure.regionprops(labels, image)}
    got = {int(row["label"]): float(row[feature]) for row in made.rows()}
    assert got == pytest.approx(wanted)
    ranked = sorted(wanted, key=wanted.get)
    for index in range(3):
        chosen = [n for rank, n in enumerate(ranked) if rank * 3 // len(ranked) == index]
        expected = np.where(np.isin(labels, chosen), labels, 0)
        np.testing.assert_array_equal(made.image(f"class_{index + 1}"), expected)


def test_hulls_of_volumes_are_those_of_scikit_image():
    labels = ndimage.label(ndimage.gaussian_filter(light((30, 40, 50)), 2.0) > 33_500)[0]
    objects = measure.regionprops(labels)
    solid = [r.label for r in objects if min(r.image.shape) > 1]
    assert len(solid) > 5
    wanted = [objects[number - 1].area_convex for number in solid]
    assert script("sort_objects").hulls(labels)[np.array(solid) - 1].tolist() == wanted


def test_flat_objects_of_volumes_have_a_hull():
    flat = np.zeros((3, 5, 6), int)
    flat[1, 1:4, 1:5] = 1
    flat[1, 1, 2:4] = 0  # a dent
    flat[0, 0, 0], flat[2, 0, 1:5] = 2, 3
    for turned in (flat, flat.transpose(1, 2, 0), flat.transpose(2, 0, 1)):
        hulls = script("sort_objects").hulls(np.ascontiguousarray(turned))
        assert hulls.tolist() == [12, 1, 4]


def test_objects_without_a_value_take_no_rank(capsys):
    classes, count = script("sort_objects").classify(
        np.array([5, np.nan, 1, np.nan]), {"how": "quantiles", "count": 2}
    )
    assert (classes.tolist(), count) == ([2, 0, 1, 0], 2)
    assert "objects without a value are in no class: 2" in capsys.readouterr().out


@pytest.mark.parametrize("with_labels", [False, True])
def test_colocalization_is_its_formulas(tmp_path, with_labels):
    from skimage.filters import threshold_otsu

    labels = cells(6)
    one = ndimage.gaussian_filter(light((40, 44), 1).astype(np.float32), 1)
    two = one + ndimage.gaussian_filter(light((40, 44), 2).astype(np.float32), 1)
    one[3, 3] = np.nan
    given = {"labels": Image(labels, "YX")} if with_labels else {}
    made = run("colocalize", tmp_path, first=Image(one, "YX"), second=Image(two, "YX"), **given)
    known = np.isfinite(one) & ((labels > 0) | (not with_labels))
    levels = threshold_otsu(one[known]), threshold_otsu(two[known])
    for row in made.rows():
        inside = known & ((labels == int(row["label"])) | (not with_labels))
        a, b = one[inside].astype(float), two[inside].astype(float)
        if len(a) < 9:  # too small for all of the formulas
            continue
        high_a, high_b = a > levels[0], b > levels[1]
        centred = ((a - a.mean()) * (b - b.mean())).mean()
        wanted = {
            "pearson": centred / (a.std() * b.std()),
            "manders_m1": a[high_a & high_b].sum() / a[high_a].sum(),
            "manders_m2": b[high_a & high_b].sum() / b[high_b].sum(),
            "overlap": (high_a & high_b).sum() / (high_a | high_b).sum(),
        }
        assert {k: float(row[k]) for k in wanted} == pytest.approx(wanted, rel=1e-6, nan_ok=True)


def brute_holes(inside, background):
    """Return background that cannot walk to the border of the image through what is outside."""
    open_ = ~np.pad(inside, 1)
    reached = np.zeros(open_.shape, bool)
    reached[0] = True
    while True:
        more = ndimage.binary_dilation(reached) & open_
        if (more == reached).all():
            return ~reached[(slice(1, -1),) * inside.ndim] & ~inside & background
        reached = more


@pytest.mark.parametrize(("space", "shape"), [("planes", (3, 24, 26)), ("volumes", (7, 14, 14))])
def test_holes_are_what_cannot_be_reached_from_outside(tmp_path, space, shape):
    rng = np.random.default_rng(2)
    labels = cells(2, shape, 5)
    labels[rng.random(shape) < 0.25] = 0
    made = run("fill_holes", tmp_path, input=Image(labels, "ZYX"), space=space).image()
    wanted = labels.copy()
    for part in range(shape[0]) if space == "planes" else [slice(None)]:
        for number in np.unique(labels[part][labels[part] > 0]):
            holes = brute_holes(labels[part] == number, labels[part] == 0)
            wanted[part][holes] = number
    np.testing.assert_array_equal(made, wanted)


@pytest.mark.parametrize("diagonal", [False, True])
def test_pieces_of_a_mask(tmp_path, diagonal):
    mask = (light((3, 2, 5, 20, 22)) > 45_000).astype(np.uint8)
    made = run(
        "label_components", tmp_path, input=Image(mask, "TCZYX"), diagonal=str(diagonal).lower()
    ).image()
    seen = set()
    for index in np.ndindex(3, 2):
        wanted = measure.label(mask[index], connectivity=3 if diagonal else 1)
        pairs = {(int(a), int(b)) for a, b in zip(wanted.flat, made[index].flat, strict=True)}
        assert len(pairs) == wanted.max() + 1, "the same pieces, under other numbers"
        own = set(np.unique(made[index])) - {0}
        assert not own & seen
        seen |= own
    assert seen == set(range(1, len(seen) + 1))


@pytest.mark.parametrize("tool", ["label_components", "split_touching", "distance_transform"])
def test_numbers_that_touch_are_told_where_they_are_not_looked_at(tmp_path, tool):
    apart, frames = np.zeros((2, 20, 30), np.uint16), np.zeros((2, 20, 30), np.uint16)
    apart[:, 5:15, 5:12], apart[:, 5:15, 14:22] = 1, 2
    frames[0, 5:15, 5:12], frames[1, 5:15, 5:12] = 1, 2
    touching = apart.copy()
    touching[:, 5:15, 12:14] = 3
    for labels, told in ((apart, False), (frames, False), (touching, True), (touching > 0, False)):
        made = run(tool, tmp_path, input=Image(labels.astype(np.uint16), "TYX"))
        assert any("different numbers touch" in note for note in made.notes) is told


def test_objects_are_split_alike_wherever_they_lie(tmp_path):
    rows, columns = np.mgrid[:40, :60]
    pair = ((rows - 20) ** 2 + (columns - 20) ** 2 < 100) | (
        (rows - 20) ** 2 + (columns - 36) ** 2 < 100
    )
    first = run("split_touching", tmp_path, input=Image(pair.astype(np.uint8), "YX")).image()
    assert first.max() == 2
    np.testing.assert_array_equal(first > 0, pair)
    moved = np.roll(pair, (5, 3), (0, 1)).astype(np.uint8)
    again = run("split_touching", tmp_path, input=Image(moved, "YX")).image()
    np.testing.assert_array_equal(again, np.roll(first, (5, 3), (0, 1)))
    double = np.stack([pair, pair]).astype(np.uint8)
    frames = run("split_touching", tmp_path, input=Image(double, "TYX")).image()
    np.testing.assert_array_equal(frames[0], first)
    np.testing.assert_array_equal(frames[1], np.where(first, first + 2, 0))
    full = run("split_touching", tmp_path, input=Image(np.ones((9, 9), np.uint8), "YX")).image()
    assert (full == 1).all()


@pytest.mark.parametrize("tolerance", [0, 0.5, 2, 5, 100])
def test_every_object_has_an_outline_around_it(tmp_path, tolerance):
    labels = np.zeros((24, 30), np.uint16)
    labels[3, 3], labels[8, 8:12], labels[12:15, 3:7] = 1, 2, 3
    labels[10:20, 15:25], labels[0:4, 26:] = 4, 5
    labels[20, 2], labels[21, 3] = 6, 6
    made = run("label_outlines", tmp_path, labels=Image(labels, "YX"), tolerance=tolerance)
    found = json.loads(made.outputs["outlines"].read_text())["features"]
    assert [f["properties"]["label"] for f in found] == [1, 2, 3, 4, 5, 6]
    for feature in found:
        x, y = np.array(feature["geometry"]["coordinates"][0]).T[:2]
        assert abs(np.sum(x[1:] * y[:-1] - x[:-1] * y[1:])) > 0.4, "it has an area"
        if tolerance == 0 and feature["properties"]["label"] < 6:
            inside = labels == feature["properties"]["label"]
            polygon = measure.grid_points_in_poly(labels.shape, np.column_stack([y, x]))
            np.testing.assert_array_equal(polygon & inside, polygon)
            np.testing.assert_array_equal(polygon, inside)


@pytest.mark.parametrize("limit", [0.6, 1.5])
def test_simplified_outlines_stay_near(limit):
    """Every corner lies within the limit of what is left, which are fewer corners."""
    rng = np.random.default_rng(2)
    ways = [np.sort(rng.uniform(0, 2 * np.pi, count)) for count in (40, 3, 200)]
    lines = [np.column_stack([9 * np.sin(w), 20 * np.cos(w)]) for w in ways]
    lines = [np.round(2 * line[[*range(len(line)), 0]]) / 2 for line in lines]
    made = script("label_outlines").simplified(lines, [limit] * len(lines))
    for before, after in zip(lines, made, strict=True):
        np.testing.assert_array_equal(after[[0, -1]], before[[0, 0]])
        starts, ways = after[:-1], np.diff(after, axis=0)
        away = before[:, None] - starts
        share = np.clip((away * ways).sum(2) / np.maximum((ways**2).sum(1), 1e-9), 0, 1)
        near = np.linalg.norm(away - share[..., None] * ways, axis=2).min(axis=1)
        assert near.max() <= limit + 1e-9
    assert len(made[2]) < len(lines[2]) / 4


def volumes(made):
    """Return the volume inside the surface of each object, in voxels."""
    lines = made.outputs["surface"].read_text().splitlines()
    start = lines.index("end_header") + 1
    count = int(next(line for line in lines if line.startswith("element vertex")).split()[-1])
    points = np.array([line.split() for line in lines[start : start + count]], float)
    faces = np.array([line.split()[1:] for line in lines[start + count :]], int)
    owners = points[faces[:, 0], 3]
    return {
        int(number): abs(np.linalg.det(points[faces[owners == number], :3]).sum()) / 6
        for number in np.unique(owners)
    }


def test_surfaces_have_the_volume_of_their_objects(tmp_path):
    labels = np.zeros((14, 24, 40), np.uint32)
    labels[2:12, 4:20, 4:18], labels[0:5, 4:20, 20:36] = 7, 4_000_000_001
    sizes = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 1.0}
    for smoothing, within in ((0, 0.06), (1, 0.12)):
        made = run(
            "label_surfaces", tmp_path, labels=Image(labels, "ZYX", sizes), smoothing=smoothing
        )
        assert not made.notes
        true = {number: (labels == number).sum() for number in (7, 4_000_000_001)}
        assert volumes(made) == pytest.approx(true, rel=within)
    refused = run("label_surfaces", tmp_path, labels=Image(labels, "TYX"))
    assert "one stack" in refused.refused


@pytest.mark.parametrize("smoothing", [0, 0.5, 1, 1.5, 2, 2.5, 3, 5])
def test_what_smoothing_takes_from_surfaces_is_told(tmp_path, smoothing):
    labels = np.zeros((12, 30, 60), np.uint16)
    labels[4:6, 5:25, 5:25] = labels[2:9, 12:18, 12:18] = 7  # a sheet around a body
    labels[1:11, 8:22, 36:50] = 9
    made = run("label_surfaces", tmp_path, labels=Image(labels, "ZYX"), smoothing=smoothing)
    found, notes = volumes(made), " ".join(made.notes)
    for number in (7, 9):
        share = found[number] / (labels == number).sum()
        assert (f"{number}: {share:.0%} of its volume" in notes) == (abs(share - 1) > 0.12)
    assert ("of 2 (7" in notes) == (smoothing >= 3)


def test_a_thin_part_of_a_large_object_that_smoothing_takes_is_told(tmp_path):
    labels = np.zeros((30, 30, 50), np.uint16)
    labels[4:26, 4:26, 4:26] = labels[14, 14, 26:46] = 5  # a body with a hair
    labels[:, 0], labels[4, 4, 44] = 0, 8
    made = run("label_surfaces", tmp_path, labels=Image(labels, "ZYX"))
    assert volumes(made)[5] == pytest.approx((labels == 5).sum(), rel=0.05)
    assert any("are not smoothed: 1 of 2" in note for note in made.notes)
    assert "5: 9" in " ".join(made.notes)
    exact = run("label_surfaces", tmp_path, labels=Image(labels, "ZYX"), smoothing=0)
    assert "; 8: 17% of its volume" in exact.notes[-1]  # and nothing of 5


OBJECTS = {
    "morphology": "input", "fill_holes": "input", "remove_small_objects": "input",
    "label_components": "input", "split_touching": "input", "measure_regions": "labels",
    "label_outlines": "labels", "sort_objects": "labels", "cut_out_objects": "labels",
}  # fmt: skip


@pytest.mark.parametrize("tool", OBJECTS)
def test_brightness_given_for_objects_is_told(tmp_path, tool):
    raw = Image(light((30, 30)) % 900 + 100, "YX")
    given = {"image": raw} if tool in {"measure_regions", "cut_out_objects"} else {}
    assert "looks like brightness" in run(tool, tmp_path, **{OBJECTS[tool]: raw}, **given).text
    for good in (cells(), (cells() > 0).astype(np.uint8)):
        given = {name: Image(good, "YX") for name in given}
        text = run(tool, tmp_path, **{OBJECTS[tool]: Image(good, "YX")}, **given).text
        assert "warning:" not in text


@pytest.mark.parametrize("tool", ["compare_labels", "cut_out_objects", "sort_objects"])
def test_images_of_other_axes_or_pixels_are_told(tmp_path, tool):
    stack = np.stack([cells()] * 3).astype(np.uint16)
    names = {
        "compare_labels": ("reference", "candidate"),
        "cut_out_objects": ("labels", "image"),
        "sort_objects": ("labels", "image"),
    }[tool]

    def text(other, **sizes):
        given = (Image(stack, "ZYX", {"PhysicalSizeX": 1.0}), Image(stack, other, sizes))
        return run(tool, tmp_path, **dict(zip(names, given, strict=True))).text

    assert "the axes are ZYX in the one and TYX in the other" in text("TYX")
    assert "pixels of different size" in text("ZYX", PhysicalSizeX=2.0)
    assert "warning" not in text("ZYX", PhysicalSizeX=1.0)


def test_scripts_and_forms_tell_brightness_alike():
    from skimage import data, measure

    from napari_tool_runner.exchange.wanted import is_bright

    rng = np.random.default_rng(0)
    for image in (
        data.moon(), data.cell(), data.coins(), rng.poisson(0.05, (300, 300)),
        rng.random((64, 64)),
        measure.label(data.coins() > 110), measure.label(rng.random((300, 300)) > 0.6), cells(),
        cells().astype(float), (cells() > 0) * 255, cells().astype(np.int64) + 2**40,
    ):  # fmt: skip
        assert script("label_components").is_bright(image) == is_bright(image)


def test_the_script_is_found_under_its_name():
    assert script("measure_regions").ellipses


def test_colocalization_of_whole_numbers_has_their_threshold(tmp_path):
    from skimage.filters import threshold_otsu

    one, two = (np.random.default_rng(n).integers(40, 70, (40, 44), np.uint16) for n in (1, 2))
    made = run("colocalize", tmp_path, first=Image(one, "YX"), second=Image(two, "YX"))
    bright = (one > threshold_otsu(one)) & (two > threshold_otsu(two))
    for column, own in (("manders_m1", one), ("manders_m2", two)):
        wanted = own[bright].sum() / own[own > threshold_otsu(own)].sum()
        np.testing.assert_allclose(made.column(column), wanted, rtol=1e-12)


def test_a_lone_object_like_a_mask_is_told(tmp_path):
    labels = np.zeros((20, 20), np.uint16)
    labels[2:8, 2:8] = labels[12:18, 12:18] = 1
    made = run("remove_small_objects", tmp_path, input=Image(labels, "YX"))
    assert "each piece counts alone" in made.text
    assert not made.image().any()


def test_an_empty_cell_is_no_place(tmp_path):
    labels, points = Image(np.ones((5, 5), np.uint8), "YX"), tmp_path / "points.csv"
    points.write_text("index,axis-0,axis-1\n0,1,\n1,1,1\n")
    made = run("count_points", tmp_path, points=points, labels=labels)
    assert made.rows("counts")[0]["points"] == "1"
    assert "without a place (NaN) lie in no object: 1 of 2" in made.text


def test_points_outside_of_the_image_are_told(tmp_path):
    labels = Image(np.ones((5, 5), np.uint8), "YX")
    made = run("count_points", tmp_path, points=np.array([[1.0, 1], [9, 1]]), labels=labels)
    assert "outside of the image of objects: 1 of 2" in made.text
