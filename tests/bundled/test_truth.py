"""The bundled tools against what was really drawn, and against independent code."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import tifffile
from scipy import ndimage, spatial

from bundled import direct
from bundled import make_samples as generate

pytestmark = pytest.mark.slow

PIXEL = {"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25, "PhysicalSizeZ": 1.0}


@pytest.fixture
def call(tmp_path):
    """Run a tool on arrays (``(array, axes)``), values and files; return its outputs."""
    count = 0

    def run(tool, fails=False, **values):
        nonlocal count
        count += 1
        folder = tmp_path / f"{count}-{tool}"
        folder.mkdir()
        for name, value in values.items():
            if isinstance(value, tuple):
                array, axes = value
                sizes = {k: v for k, v in PIXEL.items() if k[-1] in axes}
                values[name] = folder / f"{name}.tif"
                tifffile.imwrite(
                    values[name],
                    array,
                    ome=True,
                    photometric="rgb" if axes.endswith("S") else "minisblack",
                    metadata={"axes": axes, **sizes},
                )
        made = direct.run(direct.descriptor(tool), values, folder)
        if fails:
            assert made.process.returncode == 1
            assert "Traceback" not in made.process.stderr
            return made.process.stderr
        assert made.process.returncode == 0, made.process.stderr
        return {
            name: tifffile.imread(path) if path.suffix == ".tif" else path
            for name, path in made.outputs.items()
        }

    return run


def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def found(truth, labels):
    """Count the drawn objects that a label covers by more than half (of the union)."""
    hits = 0
    for number in np.unique(truth[truth != 0]):
        inside = truth == number
        values, counts = np.unique(labels[inside], return_counts=True)
        best = values[counts.argmax()]
        hits += bool(best) and 2 * counts.max() > np.count_nonzero(inside | (labels == best))
    return hits


# -- a person's way through the sample images ------------------------------------------


def test_nuclei_are_found_split_measured_and_filtered(call):
    image, truth = generate.cells_2d()
    flat = call("subtract_background", input=(image[0], "YX"))["output"]
    smooth = call("gaussian_filter", input=(flat, "YX"), sigma=1.5)["output"]
    mask = call("threshold", input=(smooth, "YX"), method="li")["output"]
    mask = call("fill_holes", input=(mask, "YX"))["output"]
    labels = call("split_touching", input=(mask, "YX"))["output"]
    drawn = len(np.unique(truth)) - 1
    assert abs(labels.max() - drawn) <= 2
    assert found(truth, labels) >= drawn - 2

    together = call("label_components", input=(mask, "YX"))["output"]
    assert together.max() < 0.85 * drawn, "nuclei that touch are one piece"

    table = rows(call("measure_regions", labels=(labels, "YX"), image=(image[0], "YX"))["table"])
    assert [int(row["label"]) for row in table] == list(range(1, labels.max() + 1))
    areas = np.array([float(row["area_um2"]) for row in table])
    np.testing.assert_allclose(areas, np.bincount(labels.ravel())[1:] * 0.0625, rtol=1e-4)
    means = [float(row["intensity_mean"]) for row in table]
    np.testing.assert_allclose(
        means, ndimage.mean(image[0], labels, range(1, len(table) + 1)), 1e-4
    )
    round_ones = np.array([float(row["circularity"]) for row in table])
    assert np.median(round_ones) > 0.85

    whole = call("remove_small_objects", input=(labels, "YX"), smallest=100, border="true")[
        "output"
    ]
    rim = np.concatenate([whole[0], whole[-1], whole[:, 0], whole[:, -1]])
    assert not rim.any()
    assert set(np.unique(whole)) <= set(np.unique(labels))


def test_nuclei_of_a_stack(call):
    image, truth = generate.nuclei_3d()
    smooth = call("gaussian_filter", input=(image, "ZYX"), sigma=3)["output"]
    mask = call("threshold", input=(smooth, "ZYX"), method="li")["output"]
    labels = call("split_touching", input=(mask, "ZYX"), spacing=14)["output"]
    drawn = len(np.unique(truth)) - 1
    assert abs(labels.max() - drawn) <= 4
    table = rows(call("measure_regions", labels=(labels, "ZYX"), image=(labels, "ZYX"))["table"])
    volumes = [float(row["volume_um3"]) for row in table]
    np.testing.assert_allclose(volumes, np.bincount(labels.ravel())[1:] / 16, rtol=1e-4)


def test_single_molecules(call):
    image, truth = generate.spots_2d()
    points = rows(call("detect_spots", input=(image, "YX"))["points"])
    places = np.array([[float(row["axis-0"]), float(row["axis-1"])] for row in points])
    apart = spatial.distance.cdist(truth, places)
    assert np.mean(apart.min(axis=1) < 1.0) > 0.97, "misses"
    assert np.mean(apart.min(axis=0) > 2.0) < 0.03, "false ones"
    assert np.median(apart.min(axis=1)) < 0.3, "a fraction of a pixel"


def test_vesicles_are_followed(call):
    movie, truth = generate.moving_spots()
    points = call("detect_spots", input=(movie, "TYX"))["points"]
    tracks = rows(call("track_points", points=points)["tracks"])
    assert {"ID", "T", "Y", "X", "intensity", "strength"} == set(tracks[0])
    made = np.array([[float(row[name]) for name in ("ID", "T", "Y", "X")] for row in tracks])
    followed = 0
    for number in np.unique(truth[:, 0]):
        path = truth[truth[:, 0] == number]
        owners = set()
        for _, frame, y, x in path:
            now = made[made[:, 1] == frame]
            distance = np.hypot(now[:, 2] - y, now[:, 3] - x)
            owners.add(now[distance.argmin(), 0] if distance.min() < 2 else None)
        followed += len(owners - {None}) == 1
    assert followed >= 21
    assert len(np.unique(made[:, 0])) <= 24


def test_motion_of_the_stage(call):
    fixed, moving, (y, x, degrees) = generate.drifted_pair()
    made = call("register_images", fixed=(fixed, "YX"), moving=(moving, "YX"))
    (motion,) = rows(made["motion"])
    assert float(motion["shift_y"]) == pytest.approx(y, abs=0.5)
    assert float(motion["shift_x"]) == pytest.approx(x, abs=0.5)
    assert float(motion["angle"]) == pytest.approx(degrees, abs=0.3)
    inside = np.s_[40:-40, 40:-40]
    before = np.corrcoef(fixed[inside].ravel(), moving[inside].ravel())[0, 1]
    after = np.corrcoef(fixed[inside].ravel(), made["registered"][inside].ravel())[0, 1]
    assert before < 0.5 < 0.9 < after


@pytest.mark.parametrize("against", ["first", "previous"])
def test_drift_of_a_movie(call, against):
    scene = generate.cells_2d()[0][0][100:228, 100:228].astype(float)
    drift = np.array([[0, 0], [1.5, -2.25], [3, -4], [5.25, -3.5]])
    movie = np.stack([ndimage.shift(scene, s, mode="reflect") for s in drift])
    made = call("correct_drift", input=(movie.astype(np.uint16), "TYX"), against=against)
    told = np.array(
        [[float(row["drift_y"]), float(row["drift_x"])] for row in rows(made["drift"])]
    )
    np.testing.assert_allclose(told, drift, atol=0.3)
    steady = made["output"][:, 20:-20, 20:-20].astype(float)
    assert np.corrcoef(steady[0].ravel(), steady[3].ravel())[0, 1] > 0.97


def test_deconvolution_comes_nearer_to_the_object(call):
    rng = np.random.default_rng(3)
    thing = np.zeros((9, 48, 48))
    thing[4, 10:38:4, 8:40] = 400
    blurred = rng.poisson(ndimage.gaussian_filter(thing, (1.2, 1.8, 1.8)) + 5).astype(np.uint16)
    sharp = call(
        "deconvolve", input=(blurred, "ZYX"), sigma=1.8, sigma_z=1.2, rounds=40, background=5
    )["output"]
    likeness = [np.corrcoef(thing.ravel(), i.ravel())[0, 1] for i in (blurred, sharp)]
    assert likeness[1] > likeness[0] + 0.15
    assert sharp.sum() == pytest.approx((blurred - 5.0).clip(0).sum(), rel=0.05), (
        "no light is lost"
    )

    bead = np.zeros((7, 11, 11))
    bead[3, 5, 5] = 60000
    bead = ndimage.gaussian_filter(bead, (1.2, 1.8, 1.8)).astype(np.uint16)
    same = call("deconvolve", input=(blurred, "ZYX"), psf=(bead, "ZYX"), rounds=40, background=5)[
        "output"
    ]
    assert np.corrcoef(same.ravel(), sharp.ravel())[0, 1] > 0.95


def test_bleaching(call):
    scene = generate.cells_2d()[0][0][:64, :64].astype(float) - 100
    fading = [scene * np.exp(-frame / 4) + 100 for frame in range(6)]
    movie = np.rint(fading).astype(np.uint16)
    made = call("correct_bleaching", input=(movie, "TYX"), background=100)["output"]
    means = made.mean(axis=(1, 2))
    np.testing.assert_allclose(means, means[0], rtol=0.01)


# -- single tools against independent code ---------------------------------------------


def small(seed=0, shape=(4, 20, 24)):
    return np.random.default_rng(seed).integers(0, 4000, shape).astype(np.uint16)


def test_gaussian_reaches_equally_far_in_micrometres(call):
    image = small()
    made = call("gaussian_filter", input=(image, "ZYX"), sigma=2)["output"]
    expected = ndimage.gaussian_filter(image.astype(float), (0.5, 2, 2))
    np.testing.assert_allclose(made, expected, atol=0.51)


FRAME_BY_FRAME = {
    "gaussian_filter": {"input": "image"},
    "median_filter": {"input": "image"},
    "subtract_background": {"input": "image", "radius": 8},
    "denoise_tv": {"input": "image"},
    "unsharp_mask": {"input": "image"},
    "deconvolve": {"input": "image", "rounds": 3, "background": 10},
    "distance_transform": {"input": "mask"},
    "morphology": {"input": "mask", "operation": "close"},
    "fill_holes": {"input": "mask"},
    "rescale": {"input": "image"},
}


@pytest.mark.parametrize("tool", FRAME_BY_FRAME)
def test_time_points_and_channels_stay_apart(call, tool):
    image = small(1, (2, 2, 20, 24))
    image[1, 0] *= 3
    inputs = {"image": image, "mask": (image > 1500).astype(np.uint8)}
    values = dict(FRAME_BY_FRAME[tool])
    data = inputs[values.pop("input")]
    whole = call(tool, input=(data, "TCYX"), **values)["output"]
    for index in ((0, 0), (1, 1)):
        alone = call(tool, input=(data[index], "YX"), **values)["output"]
        np.testing.assert_array_equal(whole[index], alone)


def test_labels_are_never_used_twice(call):
    mask = np.zeros((3, 20, 20), np.uint8)
    mask[:, 2:6, 2:6] = mask[:, 10:16, 10:16] = 1
    for tool in ("label_components", "split_touching"):
        labels = call(tool, input=(mask, "TYX"))["output"]
        assert len(np.unique(labels)) == 7, tool
        in_space = call(tool, input=(mask, "ZYX"))["output"]
        assert len(np.unique(in_space)) == 3, tool


@pytest.mark.parametrize("method", ["otsu", "triangle", "li", "yen", "isodata", "mean"])
def test_histogram_methods_find_two_classes(call, method):
    rng = np.random.default_rng(5)
    image = rng.normal(200, 15, (60, 60))
    image[15:30, 20:45] += 600
    mask = call("threshold", input=(image.astype(np.uint16), "YX"), method=method)["output"]
    inside = np.zeros((60, 60), bool)
    inside[15:30, 20:45] = True
    assert mask[inside].all()
    assert mask[~inside].mean() < (0.02 if method != "triangle" else 0.1)


@pytest.mark.parametrize("method", ["max", "min", "median", "mean", "sum", "std"])
def test_projection(call, method):
    image = small(2, (3, 4, 10, 12))
    made = call("project", input=(image, "TZYX"), method=method)["output"]
    np.testing.assert_allclose(made, getattr(np, method)(image, axis=1), rtol=1e-5, atol=0.6)
    in_time = call("project", input=(image, "TZYX"), method=method, axis="T")["output"]
    assert in_time.shape == (4, 10, 12)


def test_pair_of_images(call):
    first, second = small(3, (20, 24)), small(4, (20, 24))
    a, b = first.astype(float), second.astype(float)
    expected = {
        "add": a + b,
        "subtract": a - b,
        "difference": abs(a - b),
        "multiply": a * b,
        "divide": np.divide(a, b, out=np.zeros_like(a), where=b != 0),
        "mean": (a + b) / 2,
        "min": np.minimum(a, b),
        "max": np.maximum(a, b),
        "mask": np.where(b > 0, a, 0),
        "outside": np.where(b == 0, a, 0),
    }
    for operation, result in expected.items():
        made = call(
            "calculate_images", first=(first, "YX"), second=(second, "YX"), operation=operation
        )["output"]
        np.testing.assert_allclose(made, result, rtol=1e-6, err_msg=operation)
    stack = small(5, (3, 20, 24))
    made = call("calculate_images", first=(stack, "TYX"), second=(second, "YX"))["output"]
    np.testing.assert_allclose(made, stack.astype(float) - b)


def test_growing_neighbours_meet_and_shrinking_undoes_it(call):
    labels = np.zeros((30, 40), np.int32)
    labels[10:20, 5:15], labels[10:20, 18:28] = 1, 2
    grown = call("morphology", input=(labels, "YX"), operation="grow", radius=4)["output"]
    assert set(np.unique(grown)) == {0, 1, 2}
    assert (grown[15, :16] != 2).all()
    assert (grown[15, 17:] != 1).all()
    assert (grown[15, 1:31] > 0).all()
    shrunk = call("morphology", input=(labels, "YX"), operation="shrink", radius=2)["output"]
    assert np.count_nonzero(shrunk == 1) == 36
    assert not shrunk[labels == 0].any()


def test_numbers_of_any_size(call):
    # tracing programs number their objects up to the limit of the type
    labels = np.zeros((12, 20, 20), np.uint32)
    labels[3:8, 3:9, 3:9], labels[3:8, 12:17, 12:17] = 7, 4_000_000_000
    labels[5, 5, 5] = 0
    names = {7, 4_000_000_000}
    table = rows(call("measure_regions", labels=(labels, "ZYX"), image=(labels, "ZYX"))["table"])
    assert {int(row["label"]): int(row["voxels"]) for row in table} == {7: 179, 4_000_000_000: 125}
    filled = call("fill_holes", input=(labels, "ZYX"), space="volumes")["output"]
    assert filled[5, 5, 5] == 7
    assert filled.dtype == np.uint32
    assert set(np.unique(filled)) == names | {0}
    lines = call("label_outlines", labels=(labels, "ZYX"))["outlines"].read_text()
    assert {f["properties"]["label"] for f in json.loads(lines)["features"]} == names
    surface = call("label_surfaces", labels=(labels, "ZYX"))["surface"].read_text()
    assert " 4000000000\n" in surface
    kept = call("remove_small_objects", input=(labels, "ZYX"), smallest=150)["output"]
    assert set(np.unique(kept)) == {0, 7}


def test_colocalization(call):
    rng = np.random.default_rng(9)
    signal = ndimage.gaussian_filter(rng.random((64, 64)), 3)
    signal = (1000 * (signal - signal.min()) / np.ptp(signal)).astype(np.uint16)
    (same,) = rows(call("colocalize", first=(signal, "YX"), second=(signal, "YX"))["table"])
    assert [float(same[k]) for k in ("pearson", "manders_m1", "manders_m2", "overlap")] == [
        1.0
    ] * 4
    negative = signal.max() - signal
    (never,) = rows(call("colocalize", first=(signal, "YX"), second=(negative, "YX"))["table"])
    assert float(never["pearson"]) == pytest.approx(-1)
    assert float(never["overlap"]) < 0.05


def test_points_in_objects(call, tmp_path):
    labels = np.zeros((20, 20), np.uint16)
    labels[2:8, 2:8], labels[12:18, 12:18] = 4, 9
    points = tmp_path / "points.csv"
    points.write_text(
        "index,axis-0,axis-1,axis-2,strength\n0,0,3,3,a\n1,1,4.2,5,b\n2,1,15,15,c\n3,0,10,10,d\n"
        "4,0,-3,99,e\n"
    )
    made = call("count_points", points=points, labels=(labels, "YX"))
    assert [(row["label"], row["points"]) for row in rows(made["counts"])] == [
        ("4", "2"),
        ("9", "1"),
    ]
    assert [row["object"] for row in rows(made["assigned"])] == ["4", "4", "9", "0", "0"]
    assert [row["strength"] for row in rows(made["assigned"])] == list("abcde")


def test_a_surface_closes_around_its_object(call):
    labels = np.zeros((12, 16, 20), np.uint8)
    labels[3:9, 4:12, 5:17] = 7
    path = call("label_surfaces", labels=(labels, "ZYX"), smoothing=0)["surface"]
    lines = path.read_text().splitlines()
    start = lines.index("end_header") + 1
    count = int(next(line for line in lines if line.startswith("element vertex")).split()[-1])
    vertices = np.array([line.split() for line in lines[start : start + count]], float)
    assert set(vertices[:, 3]) == {7.0}
    np.testing.assert_allclose(vertices[:, :3].min(axis=0), [2.5, 3.5, 4.5])
    np.testing.assert_allclose(vertices[:, :3].max(axis=0), [8.5, 11.5, 16.5])
    faces = np.array([line.split()[1:] for line in lines[start + count :]], int)
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]))
    _, used = np.unique(edges, axis=0, return_counts=True)
    assert (used == 2).all(), "a closed surface has two triangles at every edge"


def test_rescaling_tells_the_new_pixel_size(call, tmp_path):
    call("rescale", input=(small(6, (6, 20, 24)), "ZYX"), factor=0.5, cubic_voxels="true")
    (path,) = tmp_path.rglob("output.tif")
    with tifffile.TiffFile(path) as file:
        assert file.series[0].shape == (12, 10, 12)
        pixels = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Pixels"]
    assert pixels["PhysicalSizeX"] == pixels["PhysicalSizeZ"] == 0.5


def test_colour_images_are_filtered_colour_by_colour(call):
    colour = small(7, (20, 24, 3)).astype(np.uint8)
    made = call("gaussian_filter", input=(colour, "YXS"), sigma=1)["output"]
    assert made.shape == colour.shape
    for channel in range(3):
        alone = call("gaussian_filter", input=(colour[..., channel], "YX"), sigma=1)["output"]
        np.testing.assert_array_equal(made[..., channel], alone)
    assert "Colour to grey" in call("threshold", fails=True, input=(colour, "YXS"))
    assert "RGB" in call("detect_spots", fails=True, input=(colour, "YXS"))


def test_sentences_for_what_cannot_work(call):
    plane, stack = (small(8, (20, 24)), "YX"), (small(8), "ZYX")
    fraction = (plane[0] + np.float32(0.5), "YX")
    even = (np.full((9, 9), 5, np.uint8), "YX")
    assert "to project along" in call("project", fails=True, input=plane)
    assert "0 to 3" in call("project", fails=True, input=stack, first=7)
    assert "do not fit together" in call("calculate_images", fails=True, first=plane, second=even)
    assert "needs time" in call("correct_bleaching", fails=True, input=plane)
    assert "needs time" in call("correct_drift", fails=True, input=plane)
    assert "whole numbers" in call("measure_regions", fails=True, labels=fraction, image=fraction)
    assert "differ in size" in call("measure_regions", fails=True, labels=even, image=plane)
    for axes in ("TYX", "QYX"):  # no depth
        assert "one stack" in call("label_surfaces", fails=True, labels=(stack[0], axes))
    assert "no objects" in call(
        "label_surfaces", fails=True, labels=(np.zeros((4, 5, 6), np.uint8), "ZYX")
    )
    assert "no bright spot" in call(
        "deconvolve", fails=True, input=plane, psf=(np.zeros((5, 5), np.uint8), "YX")
    )
    assert "one size" in call("colocalize", fails=True, first=plane, second=even)


def test_empty_results_are_results(call, tmp_path):
    empty = (np.zeros((20, 24), np.uint8), "YX")
    assert call("threshold", input=empty)["output"].max() == 0
    assert call("label_components", input=empty)["output"].max() == 0
    assert call("split_touching", input=empty)["output"].max() == 0
    assert call("fill_holes", input=empty)["output"].max() == 0
    assert not call("distance_transform", input=empty, side="both")["output"].any()
    assert rows(call("measure_regions", labels=empty, image=empty)["table"]) == []
    assert rows(call("detect_spots", input=empty)["points"]) == []
    points = tmp_path / "none.csv"
    points.write_text("index,axis-0,axis-1,axis-2\n")
    assert rows(call("track_points", points=points)["tracks"]) == []
