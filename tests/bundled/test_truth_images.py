"""Images filtered, corrected, thresholded, searched: against definitions and other libraries."""

from __future__ import annotations

import csv
from fractions import Fraction

import numpy as np
import pytest
from scipy import ndimage, optimize, signal
from skimage import exposure, filters, morphology, restoration

from bundled.inside import Image, run

STACK = {"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25, "PhysicalSizeZ": 1.0}
OBLONG = {
    "PhysicalSizeX": 0.25,
    "PhysicalSizeY": 0.5,
    "PhysicalSizeZ": 1000.0,
    "PhysicalSizeZUnit": "nm",
}


def noise(shape=(5, 22, 24), top=4000, seed=0):
    return np.random.default_rng(seed).integers(0, top, shape).astype(np.uint16)


def windows(image, size):
    """Return what lies around every pixel, mirrored at the border: the last axis."""
    wide = np.pad(image, [(n // 2, n // 2) for n in size], mode="symmetric")
    return np.lib.stride_tricks.sliding_window_view(wide, size).reshape(*image.shape, -1)


def gauss(image, sigmas):
    """Return an image times the weights of the Gaussian, one axis after the other."""
    result = image.astype(float)
    for axis, sigma in enumerate(sigmas):
        if sigma == 0:
            continue
        reach = int(4 * sigma + 0.5)
        weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
        size = [2 * reach + 1 if a == axis else 1 for a in range(image.ndim)]
        result = windows(result, size) @ (weights / weights.sum())
    return result


@pytest.mark.parametrize(
    "dtype", ["uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"]
)
@pytest.mark.parametrize(
    ("axes", "sizes", "sigmas"),
    [
        ("ZYX", STACK, (0.5, 2, 2)),
        ("ZYX", OBLONG, (0.5, 1, 2)),
        ("TYX", {}, (0, 2, 2)),
        ("ZYX", {}, (2, 2, 2)),
    ],
)
def test_gaussian_is_its_weights(tmp_path, dtype, axes, sizes, sigmas):
    image = (noise(top=200) * (1 if dtype == "uint8" else 80)).astype(dtype)
    sizes = {key: value for key, value in sizes.items() if axes == "ZYX" or "Z" not in key}
    made = run("gaussian_filter", tmp_path, input=Image(image, axes, sizes), sigma=2).image()
    assert made.dtype == image.dtype
    np.testing.assert_allclose(
        made, gauss(image, sigmas), atol=0.51 if made.dtype.kind in "iu" else 0.02
    )


def test_gaussian_leaves_out_what_is_missing(tmp_path):
    image = noise().astype(np.float32)
    image[2, 5:7, 5:7], image[0, 0, 0] = np.nan, np.inf
    made = run("gaussian_filter", tmp_path, input=Image(image, "ZYX"), sigma=1.5)
    known = np.isfinite(image)
    wanted = gauss(np.where(known, image, 0), (1.5,) * 3) / gauss(known, (1.5,) * 3)
    np.testing.assert_allclose(made.image()[known], wanted[known], rtol=1e-4)
    np.testing.assert_array_equal(made.image()[~known], image[~known])
    assert "are left out: 5" in made.text


@pytest.mark.parametrize(("axes", "size"), [("ZYX", (1, 5, 5)), ("TYX", (1, 5, 5))])
@pytest.mark.parametrize("missing", [False, True])
def test_median_is_the_middle_value(tmp_path, axes, size, missing):
    image = noise().astype(np.float32)
    if missing:
        image[np.random.default_rng(1).random(image.shape) < 0.05] = np.nan
    sizes = {**STACK, "PhysicalSizeZ": 1.1} if axes == "ZYX" else {}
    made = run("median_filter", tmp_path, input=Image(image, axes, sizes), radius=2).image()
    wanted = np.nanmedian(windows(image, size), axis=-1)
    np.testing.assert_array_equal(made, np.where(np.isnan(image), image, wanted))


@pytest.mark.parametrize("axes", ["YXS", "ZYXS"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_grey_is_one_number_of_three(tmp_path, axes, dtype):
    given = noise((3, 12, 14, 4), 256)[0 if axes == "YXS" else slice(None)].astype(dtype)
    red, green, blue, _ = np.moveaxis(given, -1, 0)
    seen = red * 0.2126 + green * 0.7152 + blue * 0.0722
    expected = {
        "brightest": np.maximum(np.maximum(red, green), blue),
        "luminance": seen if dtype is np.float32 else np.rint(seen),
        "red": red,
        "green": green,
        "blue": blue,
    }
    for channel, wanted in expected.items():
        made = run("colour_to_grey", tmp_path, input=Image(given, axes), channel=channel)
        assert made.image().dtype == dtype
        np.testing.assert_allclose(made.image(), wanted, rtol=1e-6, atol=0.01)


def stains(cells=150, nuclei=150, size=200):
    """Return whole cells, no light, and the nuclei inside them, with some noise: (Y, X) each."""
    random = np.random.default_rng(4)
    places = np.zeros((size, size))
    places[20::40, 20::40] = 1
    wide, small = (ndimage.distance_transform_edt(1 - places) < radius for radius in (16, 8))
    wide = np.where(wide & ~small, cells, 0) + np.where(small, cells / 3, 0)
    drawn = wide, 0 * wide, np.where(small, nuclei, 0)
    return [gauss(one.astype(float), (1, 1)) + random.normal(20, 5, one.shape) for one in drawn]


CHOSEN = {
    "nuclei": (stains(), 2, "blue separates objects best (0."),
    "dim nuclei": (stains(nuclei=40), 2, "blue"),
    "cells alone": (stains(nuclei=0), 0, "red separates objects best (0."),
    "nuclei in green": ([*stains()[:1], *stains()[:0:-1]], 1, "green separates objects best"),
    "stack": ([np.stack([np.zeros_like(one), one, one]) for one in stains()], 2, "blue"),
    "large": ([np.kron(one, np.ones((1, 11))) for one in stains()], 2, "blue"),
    "grey": (stains()[:1] * 3, 0, "red, green and blue are the same"),
    "one pixel": ([np.full((1, 1), n) for n in (1, 2, 3)], 0, "red"),
    "tissue": ([240 - one for one in stains(40, 200)], 2, "blue separates best (0."),
}


@pytest.mark.parametrize("case", CHOSEN)
def test_the_colour_that_shows_objects_is_chosen_and_told(tmp_path, case):
    colours, wanted, told = CHOSEN[case]
    given = np.clip(np.stack(colours, -1), 0, 255).astype(np.uint8)
    made = run("colour_to_grey", tmp_path, input=Image(given, "ZYXS"[4 - given.ndim :]))
    np.testing.assert_array_equal(made.image(), given[..., wanted])
    note = made.notes[-1]
    assert told in note
    assert ("choose “dark”" in note) == (case == "tissue")


def test_a_colour_that_separates_better_than_that_of_nuclei_is_told(tmp_path):
    cells, none, nuclei = stains(nuclei=60)
    cells = gauss(np.where(cells > 60, 200.0, 0.0), (1, 1))
    given = np.clip(np.stack([cells, none, nuclei], -1), 0, 255).astype(np.float32)
    made = run("colour_to_grey", tmp_path, input=Image(given, "YXS"))
    np.testing.assert_array_equal(made.image(), given[..., 2])
    assert "nuclei are blue by custom" in made.notes[0]
    assert "red separates better (0.9" in made.notes[0]


def test_a_colour_that_separates_nearly_as_well_is_told(tmp_path):
    cells, none, _ = stains()
    cells = gauss(np.where(cells > 60, 170.0, 20.0), (1, 1))
    noise = np.random.default_rng(5).normal(0, 1, (3, *cells.shape))
    alike = [cells + 8 * noise[0], none, cells + 4 * noise[1]]
    for one in (*alike, none):
        one[:, :80] = 20  # not most of it is bright
    for colours, told in (
        (alike, "), red nearly as well: look at both"),
        ([alike[0], alike[0] + 4 * noise[2], alike[2]], " nearly as well: look at all three"),
        ([alike[2], none, alike[2]], ""),  # one and the same
        (stains(), ""),
    ):
        given = np.clip(np.stack(colours, -1), 0, 255).astype(np.uint8)
        made = run("colour_to_grey", tmp_path, input=Image(given, "YXS"))
        assert made.notes[0].endswith(told or ")"), made.notes
        assert "separates objects best" in made.notes[0]


def test_what_is_grey_is_used_as_it_is(tmp_path):
    made = run("colour_to_grey", tmp_path, input=Image(noise((9, 9)), "YX"))
    np.testing.assert_array_equal(made.image(), noise((9, 9)))
    assert "stays as it is" in made.notes[0]


def test_unsharp_mask_adds_the_difference(tmp_path):
    image = noise((22, 24)).astype(np.float32)
    made = run("unsharp_mask", tmp_path, input=Image(image, "YX"), radius=1.5, amount=0.7).image()
    np.testing.assert_allclose(
        made, image + 0.7 * (image - gauss(image, (1.5, 1.5))), rtol=1e-4, atol=0.1
    )


def test_background_is_that_of_scikit_image(tmp_path):
    image = gauss(noise((40, 44)), (2, 2)).astype(np.float32)
    smooth = gauss(image, (1, 1))
    wanted = {
        "rolling_ball": restoration.rolling_ball(smooth, radius=6),
        "opening": ndimage.uniform_filter(
            morphology.opening(smooth, morphology.footprint_rectangle((13, 13))), 13
        ),
        "gaussian": gauss(image, (6, 6)),
    }
    for method, below in wanted.items():
        made = run(
            "subtract_background", tmp_path, input=Image(image, "YX"), method=method, radius=6
        )
        np.testing.assert_allclose(made.image(), image - below, atol=0.5)
    flat = Image(np.full((20, 22), 777, np.uint16), "YX")
    for method in wanted:
        assert not run("subtract_background", tmp_path, input=flat, method=method).image().any()


@pytest.mark.parametrize("method", ["otsu", "triangle", "li", "yen", "isodata", "mean"])
@pytest.mark.parametrize("missing", [False, True])
def test_thresholds_of_frames_and_channels(tmp_path, method, missing):
    image = (noise((3, 2, 30, 32)) + 3000 * (noise((3, 2, 30, 32), 9, 3) == 0)).astype(np.float32)
    image *= np.array([1, 0.5, 2])[:, None, None, None]
    if missing:
        image[:, :, 3, 4:9] = np.nan
    made = run("threshold", tmp_path, input=Image(image, "TCYX"), method=method).image()
    for index in np.ndindex(3, 2):
        known = np.isfinite(image[index])
        level = getattr(filters, f"threshold_{method}")(image[index][known])
        np.testing.assert_array_equal(made[index], (image[index] > level) & known)
    whole = run(
        "threshold", tmp_path, input=Image(image, "TCYX"), method=method, scope="whole"
    ).image()
    for channel in range(2):
        own = image[:, channel]
        level = getattr(filters, f"threshold_{method}")(own[np.isfinite(own)])
        np.testing.assert_array_equal(whole[:, channel], own > level)


def test_thresholds_of_large_numbers_and_flat_frames(tmp_path):
    image = (noise((20, 22)).astype(np.uint32) * 1_000_000).astype(np.uint32)
    made = run("threshold", tmp_path, input=Image(image, "YX"), method="otsu")
    np.testing.assert_array_equal(
        made.image(), image > filters.threshold_otsu(image.astype(float))
    )
    frames = np.stack([noise((20, 22)), np.full((20, 22), 9, np.uint16)])
    made = run("threshold", tmp_path, input=Image(frames, "TYX"))
    assert made.image()[0].any()
    assert not made.image()[1].any()
    assert "of one value" in made.text


@pytest.mark.parametrize("side", ["inside", "outside", "both"])
@pytest.mark.parametrize("unit", ["pixels", "micrometres"])
def test_distances_to_every_pixel_of_the_other_side(tmp_path, side, unit):
    mask = noise((4, 9, 10)) > 3500
    mask |= ndimage.binary_dilation(mask)
    made = run(
        "distance_transform",
        tmp_path,
        input=Image(mask.astype(np.uint8), "ZYX", OBLONG),
        side=side,
        unit=unit,
    ).image()
    steps = np.array([1.0, 0.5, 0.25]) / (0.25 if unit == "pixels" else 1)
    wanted = np.zeros(mask.shape)
    for place in np.ndindex(*mask.shape):
        others = np.argwhere(mask != mask[place])
        if side == "both" or mask[place] == (side == "inside"):
            nearest = np.sqrt((((others - place) * steps) ** 2).sum(axis=1)).min()
            wanted[place] = nearest if mask[place] or side == "outside" else -nearest
    np.testing.assert_allclose(made, wanted, rtol=1e-6)


def test_distances_without_a_border_are_told(tmp_path):
    for value in (0, 1):
        mask = Image(np.full((8, 9), value, np.uint8), "YX")
        made = run("distance_transform", tmp_path, input=mask, side="both")
        assert not made.image().any()
        assert "without a border" in made.text


def test_denoising_is_that_of_scikit_image(tmp_path):
    image = (gauss(noise((30, 32)), (3, 3)) + noise((30, 32), 100, 2)).astype(np.float32)
    made = run("denoise_tv", tmp_path, input=Image(image, "YX"), weight=1.5).image()
    kernel = np.outer([1, -2, 1], [1, -2, 1])
    detail = signal.convolve2d(image, kernel, "valid")
    sigma = np.median(np.abs(detail)) / (0.6745 * 6)
    wanted = restoration.denoise_tv_chambolle(image / sigma, 1.5, max_num_iter=100) * sigma
    np.testing.assert_allclose(made, wanted, rtol=1e-3)
    flat = Image(np.full((9, 9), 5, np.uint8), "YX")
    assert "without noise" in run("denoise_tv", tmp_path, input=flat).text


@pytest.mark.parametrize("scale", [1e-4, 1, 1e4])
def test_deconvolution_is_richardson_lucy(tmp_path, scale):
    thing = np.zeros((40, 42))
    thing[10:30:7, 8:36:5] = 900
    image = ((gauss(thing, (1.5, 1.5)) + 2) * scale).astype(np.float32)
    made = run(
        "deconvolve", tmp_path, input=Image(image, "YX"), rounds=12, background=scale
    ).image()
    line = np.exp(-0.5 * (np.arange(-6, 7) / 1.5) ** 2)
    psf = np.outer(line, line) / line.sum() ** 2
    light = np.pad((image - scale).astype(float), 12, mode="symmetric")
    estimate = np.full(light.shape, light.mean())
    for _ in range(12):
        ratio = light / signal.fftconvolve(np.pad(estimate, 6, mode="symmetric"), psf, "valid")
        estimate *= signal.fftconvolve(np.pad(ratio, 6, mode="symmetric"), psf, "valid")
    inner = estimate[12:-12, 12:-12][6:-6, 6:-6]
    np.testing.assert_allclose(made[6:-6, 6:-6], inner, rtol=0.02, atol=1e-3 * inner.max())


@pytest.mark.parametrize("scale", [1, 1e-5, 1e6])
def test_spots_are_found_where_they_are(tmp_path, scale):
    places = np.array([(12.3, 14.7), (30.0, 40.5), (45.8, 20.1), (20.5, 50.5)])
    rows, columns = np.mgrid[:64, :64]
    image = sum(300 * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 4.5) for y, x in places)
    clean, noisy = image + 20, np.random.default_rng(0).poisson(image + 20)
    for picture in (clean, noisy):
        for missing in (False, True):
            given = (picture * scale).astype(np.float32)
            if missing:
                given[0, :5], given[63, 63] = np.nan, np.inf
            made = run("detect_spots", tmp_path, input=Image(given, "YX")).rows("points")
            found = np.array([[float(row["axis-0"]), float(row["axis-1"])] for row in made])
            assert len(found) == len(places)
            apart = np.linalg.norm(found[:, None] - places[None], axis=2)
            assert apart.min(axis=0).max() < 0.25
    empty = Image(np.full((20, 20), 7.0, np.float32), "YX")
    assert run("detect_spots", tmp_path, input=empty).rows("points") == []


def test_spots_at_borders_are_where_they_are(tmp_path):
    """In rows, columns and slices; none outside the image, where no object could hold it."""
    places = np.array(
        [(0, 10, 12.4), (8, 40, 20), (4, 62.8, 40), (4, 20, 63), (4, 0.3, 30), (7.4, 1.2, 50)]
    )
    grid = np.indices((9, 64, 64)).transpose(1, 2, 3, 0)
    squares = ((grid[..., None, :] - places) ** 2).sum(axis=-1)
    image = np.random.default_rng(0).poisson(50 + (900 * np.exp(-squares / 4.5)).sum(axis=-1))
    made = run("detect_spots", tmp_path, input=Image(image.astype(np.uint16), "ZYX"))
    found = np.array([[float(row[f"axis-{i}"]) for i in range(3)] for row in made.rows("points")])
    assert len(found) == len(places)
    assert np.linalg.norm(found[:, None] - places, axis=2).min(axis=0).max() < 0.25
    pixels = np.rint(found)
    assert np.array_equal(pixels, np.clip(pixels, 0, np.array(image.shape) - 1))
    made = run("detect_spots", tmp_path, input=Image(image[4].astype(np.uint16), "YX"))
    flat = np.array([[float(row[f"axis-{i}"]) for i in range(2)] for row in made.rows("points")])
    assert np.linalg.norm(flat[:, None] - places[2:5, 1:], axis=2).min(axis=0).max() < 0.25


def test_a_saturated_spot_is_one_spot(tmp_path):
    rows, columns = np.mgrid[:40, :40]
    for y, x in ((20, 20), (20.5, 20), (20.5, 20.5)):
        image = np.clip(5000 * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 4.5), 10, 255)
        made = run("detect_spots", tmp_path, input=Image(image.astype(np.uint8), "YX"), sigma=2.5)
        (spot,) = made.rows("points")
        assert (float(spot["axis-0"]), float(spot["axis-1"])) == pytest.approx((y, x), abs=0.1)


@pytest.mark.parametrize("bright", [800, 3000, 30_000])
def test_a_spot_that_is_far_beyond_what_a_pixel_holds_is_one_in_its_middle(tmp_path, bright):
    rows, columns = np.mgrid[:64, :64]
    for number, (y, x) in enumerate(((31.3, 40.8), (25.5, 22.1), (40.0, 33.3))):
        image = np.random.default_rng(number).normal(100, 5, (64, 64))
        image += bright * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 4.5)
        image += 150 * np.exp(-((rows - 10) ** 2 + (columns - 50) ** 2) / 4.5)  # a usual one
        place = tmp_path / str(number)
        place.mkdir()
        given = Image(np.clip(image, 0, 255).astype(np.uint8), "YX")
        made = run("detect_spots", place, input=given).rows("points")
        found = np.array([[float(spot[f"axis-{axis}"]) for axis in (0, 1)] for spot in made])
        np.testing.assert_allclose(found, [(10, 50), (y, x)], atol=0.4)


@pytest.mark.parametrize("bright", [300, 800, 3000])
@pytest.mark.parametrize(
    "sigma", [(1.5, 1.5), (2.5, 2.5), (2, 1.5), (1.5, 1.5, 1.5), (3, 1.5, 1.5)]
)
def test_a_saturated_spot_that_the_border_cuts_is_where_it_is(tmp_path, bright, sigma):
    """Cut at one border or at two, as wide along all axes or not."""
    flat = [
        (0.4, 40),
        (1, 80.3),
        (2, 120.6),
        (40, 0.2),
        (126.6, 40.2),
        (80.5, 126),
        (126.3, 125.6),
    ]
    shape, places = (128, 128), np.array(flat, float)
    if len(sigma) == 3:
        shape = (17, 128, 128)
        depths = [0.3, 8, 16, 1, 2.4, 14.7, 15.5]
        places = np.array([(z, *place) for z, place in zip(depths, flat, strict=True)])
    grid = np.indices(shape).astype(float)
    image = np.random.default_rng(0).normal(20, 4, shape)
    for place in places:
        apart = sum(((g - p) / s) ** 2 for g, p, s in zip(grid, place, sigma, strict=True))
        image += bright * np.exp(-apart / 2)
    given = Image(np.clip(image, 0, 255).astype(np.uint8), "ZYX"[-len(shape) :])
    made = run("detect_spots", tmp_path, input=given, sigma=sigma[-1]).rows("points")
    found = np.array([[float(row[f"axis-{i}"]) for i in range(len(shape))] for row in made])
    assert len(found) == len(places)
    assert np.abs(found[:, None] - places).max(axis=2).min(axis=0).max() < 0.3


@pytest.mark.parametrize("method", ["max", "mean", "min", "median", "sum", "std"])
@pytest.mark.parametrize("axis", ["Z", "T", "C"])
def test_projections_are_those_of_numpy(tmp_path, method, axis):
    image = noise((3, 4, 2, 10, 11), 65_535)
    made = run("project", tmp_path, input=Image(image, "TZCYX"), axis=axis, method=method).image()
    wanted = getattr(np, method)(image.astype(float), axis="TZC".index(axis))
    if method == "median":
        wanted = np.rint(wanted)
    np.testing.assert_allclose(made, wanted, rtol=1e-6)
    holes = image.astype(np.float32)
    holes[0, 0, 0, 0, 0], holes[:, :, :, 1, 1] = np.nan, np.nan
    made = run("project", tmp_path, input=Image(holes, "TZCYX"), axis=axis, method=method).image()
    with pytest.warns(RuntimeWarning) if method != "sum" else np.errstate():
        wanted = getattr(np, f"nan{method}")(holes.astype(float), axis="TZC".index(axis))
    wanted[..., 1, 1] = np.nan
    np.testing.assert_allclose(made, wanted, rtol=1e-5)


def test_sums_are_whole(tmp_path):
    image = np.full((700, 3, 4), 65_535, np.uint16)
    made = run("project", tmp_path, input=Image(image, "ZYX"), method="sum").image()
    assert (made == 700 * 65_535).all()
    for value, told in ((2**50, False), (2**61, True)):
        image = np.full((3, 3, 4), value, np.uint64)
        found = run("project", tmp_path, input=Image(image, "ZYX"), method="sum")
        assert ("16 digits" in found.text) is told


@pytest.mark.parametrize("shape", [(41, 40), (7, 20, 22)])
@pytest.mark.parametrize("factor", [0.5, 0.3, 2, 1.7, 1])
def test_labels_rescaled_are_labels(tmp_path, shape, factor):
    labels = np.zeros(shape, np.uint16)
    labels[..., 4:16, 4:12], labels[..., 4:16, 12:20] = 1, 60_000
    axes = "ZYX"[-len(shape) :]
    for given in (labels, labels.astype(np.uint32) * 70_000, (labels > 0).astype(np.uint8) * 255):
        made = run("rescale", tmp_path, input=Image(given, axes), factor=factor).image()
        assert set(made.ravel().tolist()) == set(given.ravel().tolist())
        sizes = [max(1, round(n * factor)) for n in shape[-2:]]
        assert made.shape == (*shape[:-2], *sizes)
        rows = np.minimum(
            ((np.arange(sizes[0]) + 0.5) * shape[-2] / sizes[0]).astype(int), shape[-2]
        )
        columns = ((np.arange(sizes[1]) + 0.5) * shape[-1] / sizes[1]).astype(int)
        np.testing.assert_array_equal(made, given[..., rows[:, None], columns])


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("power", [-300, 300])
def test_values_without_squares_are_told(tmp_path, power):
    values = noise((20, 20), 9) * float(f"1e{power}")
    told = run("threshold", tmp_path, input=Image(values, "YX")).text
    assert "results may be wrong" in told
    usual = run("threshold", tmp_path, input=Image(values / float(f"1e{power}"), "YX"))
    assert "warning" not in usual.text


def test_pictures_rescaled_keep_their_brightness_and_place(tmp_path):
    rows, columns = np.mgrid[:40, :60]
    ramp = (3 * rows + 2 * columns + 100 + noise((40, 60), 3)).astype(np.float32)
    for way in ("auto", "linear", "cubic"):
        half = run("rescale", tmp_path, input=Image(ramp, "YX"), interpolation=way).image()
        wanted = ramp.reshape(20, 2, 30, 2).mean(axis=(1, 3))
        np.testing.assert_allclose(half[2:-2, 2:-2], wanted[2:-2, 2:-2], atol=3)
        assert half.mean() == pytest.approx(ramp.mean(), rel=0.01)
    ramp[5, 5] = np.nan
    made = run("rescale", tmp_path, input=Image(ramp, "YX")).image()
    assert np.isnan(made).sum() == 1


EXACT = {
    "add": lambda a, b: a + b, "subtract": lambda a, b: a - b,
    "difference": lambda a, b: abs(a - b), "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b if b else 0, "mean": lambda a, b: (a + b) / 2,
    "min": min, "max": max, "mask": lambda a, b: a if b else 0,
    "outside": lambda a, b: 0 if b else a,
}  # fmt: skip


@pytest.mark.parametrize(
    "dtypes",
    [
        ("uint8", "uint16"),
        ("uint16", "uint16"),
        ("int16", "uint8"),
        ("uint32", "uint32"),
        ("int32", "float32"),
        ("float32", "uint8"),
    ],
)
@pytest.mark.parametrize("operation", EXACT)
def test_arithmetic_by_hand(tmp_path, dtypes, operation):
    rng = np.random.default_rng(3)
    first, second = (
        (
            rng.integers(0, min(np.iinfo(d).max, 2**31) if d[0] != "f" else 9999, (6, 7))
            * (rng.random((6, 7)) > 0.3)
        ).astype(d)
        for d in dtypes
    )
    made = run(
        "calculate_images",
        tmp_path,
        first=Image(first, "YX"),
        second=Image(second, "YX"),
        operation=operation,
    ).image()
    wanted = np.array(
        [
            EXACT[operation](a, b)
            for a, b in zip(first.ravel().tolist(), second.ravel().tolist(), strict=True)
        ]
    )
    if operation in {"min", "max", "mask", "outside"}:
        assert made.dtype == first.dtype
        if first.dtype.kind == "u":
            wanted = np.clip(wanted, 0, np.iinfo(first.dtype).max)
    np.testing.assert_allclose(
        made.ravel(), wanted, rtol=1e-7 if operation not in {"divide", "mean"} else 1e-6
    )


@pytest.mark.parametrize("operation", ["add", "subtract", "difference", "mean", "min", "max"])
@pytest.mark.parametrize("dtypes", ["int64 int64", "uint64 uint8", "int64 uint64"])
def test_whole_numbers_beyond_fractions_are_exact(tmp_path, dtypes, operation):
    one, other = dtypes.split()
    first = np.array([[2**53 + 1, 2**60, 2**62 - 1, 7]], one)
    second = np.array([[1, 2, 5, 4]], other)
    made = run(
        "calculate_images",
        tmp_path,
        first=Image(first, "YX"),
        second=Image(second, "YX"),
        operation=operation,
        keep_type="true",
    ).image()
    pairs = zip(first.ravel().tolist(), second.ravel().tolist(), strict=True)
    wanted = {
        "add": lambda a, b: a + b,
        "subtract": lambda a, b: a - b,
        "difference": lambda a, b: abs(a - b),
        "mean": lambda a, b: round(Fraction(a + b, 2)),
        "min": min,
        "max": max,
    }[operation]
    assert made.ravel().tolist() == [wanted(a, b) for a, b in pairs]


def test_bleaching_is_undone_in_each_channel(tmp_path):
    scene = noise((2, 20, 22), 1000).astype(float)
    fading = np.exp(-np.arange(5)[:, None] / [3, 8])[:, :, None, None]
    movie = (scene * fading + np.array([100, 300])[:, None, None]).astype(np.float32)
    movie[2, 1, 3, 3] = np.nan
    made = run("correct_bleaching", tmp_path, input=Image(movie, "TCYX")).image()
    assert np.isnan(made[2, 1, 3, 3])
    level = np.nanpercentile(movie, 1, axis=(0, 2, 3))
    light = movie - level[None, :, None, None]
    means = np.nanmean(light, axis=(2, 3))
    wanted = light * (means[0] / means)[:, :, None, None] + level[None, :, None, None]
    np.testing.assert_allclose(made, wanted, rtol=1e-4, atol=0.1)


@pytest.mark.parametrize("first", [100.0, 0.0, np.nan, "noise"])
def test_frames_become_as_bright_as_the_first_that_has_light(tmp_path, first):
    scene = np.zeros((2, 30, 30))
    scene[:, 8:22, 8:22] = np.array([1000, 400])[:, None, None]
    movie = scene * np.exp(-0.2 * np.arange(6))[:, None, None, None] + 100
    movie[0, 1] = 99 + noise((30, 30), 2) if first == "noise" else first  # one channel is dark
    made = run("correct_bleaching", tmp_path, input=Image(movie.astype("f4"), "TCYX"))
    np.testing.assert_allclose(made.image()[:, 0], np.stack([movie[0, 0]] * 6), rtol=1e-3)
    np.testing.assert_allclose(made.image()[1:, 1], np.stack([movie[1, 1]] * 5), rtol=0.02)
    assert any("first frame has no light" in note for note in made.notes)


def test_frames_without_values_or_light_stay_as_they_are(tmp_path):
    scene = noise((20, 22), 1000) * (np.arange(22) > 6)
    movie = np.stack([scene * 0.7**frame + 100 for frame in range(5)]).astype("f4")
    movie[2], movie[3] = np.nan, 50
    made = run("correct_bleaching", tmp_path, input=Image(movie, "TYX"))
    np.testing.assert_allclose(made.image()[[1, 4]], movie[[0, 0]], rtol=1e-3)
    np.testing.assert_array_equal(made.image()[2:4], movie[2:4])
    assert any(
        note.startswith("note: frames that are no brighter") and note.endswith(": 2")
        for note in made.notes
    )


@pytest.mark.parametrize("offset", [0, 300])
def test_light_all_over_is_no_background(tmp_path, offset):
    scene = 1000 + 200 * np.random.default_rng(1).standard_normal((40, 40))
    movie = np.stack([scene * np.exp(-0.2 * frame) + offset for frame in range(6)])
    movie = Image(movie.astype(np.float32), "TYX")
    guessed = run("correct_bleaching", tmp_path, input=movie)
    told = run("correct_bleaching", tmp_path, input=movie, background=offset)
    for made in (guessed, told):
        np.testing.assert_allclose(made.image(), np.stack([scene + offset] * 6), rtol=1e-3)
    assert f"guessed to be {offset}." in guessed.notes[0]
    assert not told.notes


def test_what_fades_too_evenly_or_hardly_is_told_or_left(tmp_path):
    even = np.stack([noise((20, 22), 10, seed=3) * f + 1000 * f for f in (1, 0.8, 0.6, 0.5)])
    assert "guessed" in run("correct_bleaching", tmp_path, input=Image(even, "TYX")).notes[0]
    steady = np.stack([noise((20, 22), 1000, seed=s) + 100.0 for s in range(5)])
    assert not run("correct_bleaching", tmp_path, input=Image(steady, "TYX")).notes


@pytest.mark.parametrize("missing", [False, True])
def test_drift_is_the_shift_that_was_made(tmp_path, missing):
    scene = gauss(noise((90, 94), seed=4), (2.5, 2.5))
    drift = [(0, 0), (3, -4), (-2, 5), (6, 1)]
    movie = np.stack([scene[20 - y : 70 - y, 20 - x : 74 - x] for y, x in drift]).astype(
        np.float32
    )
    if missing:
        movie[:, 0, :3] = np.nan
    made = run("correct_drift", tmp_path, input=Image(movie, "TYX"))
    told = [[float(r["drift_y"]), float(r["drift_x"])] for r in made.rows("drift")]
    np.testing.assert_allclose(told, drift, atol=0.15)
    inside = np.s_[10:-10, 10:-10]
    np.testing.assert_allclose(made.image()[3][inside], movie[0][inside], atol=0.1 * scene.std())


def test_registration_across_pixel_sizes(tmp_path):
    scene = gauss(noise((128, 128), seed=6), (3, 3))
    fixed = Image(
        scene[20:100, 20:100].astype(np.float32),
        "YX",
        {"PhysicalSizeX": 0.1, "PhysicalSizeY": 0.1},
    )
    coarse = scene[24:104, 14:94].reshape(40, 2, 40, 2).mean(axis=(1, 3)).astype(np.float32)
    moving = Image(
        coarse,
        "YX",
        {
            "PhysicalSizeX": 200.0,
            "PhysicalSizeXUnit": "nm",
            "PhysicalSizeY": 200.0,
            "PhysicalSizeYUnit": "nm",
        },
    )
    made = run("register_images", tmp_path, fixed=fixed, moving=moving, allow="shift")
    (motion,) = made.rows("motion")
    assert (float(motion["shift_y"]), float(motion["shift_x"])) == pytest.approx((-4, 6), abs=0.2)
    assert "differ in size" in made.text
    inside = np.s_[12:-12, 12:-12]
    likeness = np.corrcoef(made.image("registered")[inside].ravel(), fixed.pixels[inside].ravel())
    assert likeness[0, 1] > 0.99


@pytest.mark.parametrize(("high", "wide"), [(1, 1), (2, 1), (1, 2), (4, 1)])
def test_turns_are_those_of_space(tmp_path, high, wide):
    """One scene, turned where it was imaged, in pixels that are no squares."""
    scene, angle, away = gauss(noise((240, 240), seed=8), (4, 4)), np.deg2rad(8), np.array([4, -8])
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    middle = np.full(2, 119.5)
    later = ndimage.affine_transform(scene, turn, middle - turn @ (middle + away), order=3)
    sizes = {"PhysicalSizeY": 0.25 * high, "PhysicalSizeX": 0.25 * wide}
    blocks = (240 // high, high, 240 // wide, wide)
    still, moved = (i.reshape(blocks).mean((1, 3)).astype(np.float32) for i in (scene, later))
    # one of the images may know the sizes alone
    fixed, moving = Image(still, "YX", sizes if high > wide else {}), Image(moved, "YX", sizes)
    made = run("register_images", tmp_path, fixed=fixed, moving=moving)
    (motion,) = made.rows("motion")
    assert float(motion["angle"]) == pytest.approx(8, abs=0.2)
    found = (float(motion["shift_y"]) * high, float(motion["shift_x"]) * wide)
    assert found == pytest.approx(tuple(away), abs=0.2)
    inside = np.s_[60 // high : 180 // high, 60 // wide : 180 // wide]
    likeness = np.corrcoef(made.image("registered")[inside].ravel(), fixed.pixels[inside].ravel())
    assert likeness[0, 1] > 0.98


@pytest.mark.parametrize("which", ["fixed", "moving"])
def test_a_flat_image_cannot_be_registered(tmp_path, which):
    scene = {name: Image(noise((64, 64)), "YX") for name in ("fixed", "moving")}
    scene[which] = Image(np.full((64, 64), 7, np.uint16), "YX")
    notes = run("register_images", tmp_path, **scene, allow="shift").notes
    assert [f"the {which} image has one value" in note for note in notes] == [True]


@pytest.mark.parametrize("flat", [0, 2])
@pytest.mark.parametrize("against", ["previous", "first"])
def test_the_drift_goes_on_after_a_flat_frame(tmp_path, flat, against):
    scene = gauss(noise((100, 110), seed=6), (3, 3))
    movie = np.stack([scene[10:74, 10 + 2 * k : 84 + 2 * k] for k in range(4)])
    movie[flat] = 100
    made = run("correct_drift", tmp_path, input=Image(movie, "TYX"), against=against)
    assert [f"frame {flat} has one value" in note for note in made.notes] == [True]
    found = np.array(
        [[float(row["drift_y"]), float(row["drift_x"])] for row in made.rows("drift")]
    )
    moved = np.zeros((4, 2))
    moved[:, 1] = [-2 * max(0, k - (flat == 0)) for k in range(4)]
    moved[flat] = moved[max(0, flat - 1)]
    np.testing.assert_allclose(found, moved, atol=0.2)


def test_other_tools_tell_that_pixels_differ_in_size(tmp_path):
    one = Image(noise((20, 22)), "YX", {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5})
    two = Image(noise((20, 22), seed=1), "YX", {"PhysicalSizeX": 1.0, "PhysicalSizeY": 1.0})
    for tool in ("calculate_images", "colocalize"):
        assert "pixels of different size" in run(tool, tmp_path, first=one, second=two).text
        assert not run(tool, tmp_path, first=one, second=one).notes


def test_contrast_is_that_of_scikit_image(tmp_path):
    image = noise((3, 40, 44)).astype(np.float32)
    image[1, 4, 4] = np.nan
    for method, more in (("clahe", {}), ("percentiles", {}), ("gamma", {"gamma": 0.5})):
        made = run(
            "enhance_contrast", tmp_path, input=Image(image, "TYX"), method=method, **more
        ).image()
        for plane, before in ((made[0], image[0]), (made[2], image[2])):
            unit = (before.astype(float) - before.min()) / np.ptp(before)
            low, high = np.percentile(before, (1, 99.5))
            wanted = {
                "clahe": lambda u=unit: exposure.equalize_adapthist(u, 32, 0.01),
                "percentiles": lambda b=before, lo=low, hi=high: exposure.rescale_intensity(
                    b.astype(float), (lo, hi), (0, 1)
                ),
                "gamma": lambda u=unit: exposure.adjust_gamma(u, 0.5),
            }[method]()
            np.testing.assert_allclose(plane, wanted, atol=1e-5)
        assert np.isnan(made[1]).sum() == 1


@pytest.mark.parametrize("depth", [False, True])
def test_steps_of_tracks_have_the_least_squares(tmp_path, depth):
    rng = np.random.default_rng(2)
    start = rng.uniform(0, 60, (25, 3 if depth else 2))
    points = np.concatenate(
        [
            np.column_stack([np.full(25, frame), start + rng.normal(0, 1.5, start.shape)])
            for frame in (0, 1)
        ]
    )
    points = np.concatenate([points, np.full((1, points.shape[1]), np.nan)])
    made = run("track_points", tmp_path, points=points, min_length=1, distance=6, gap=0)
    assert "without a place (NaN) are left out: 1 of 51" in made.text
    rows = made.rows("tracks")
    axes = ["Z", "Y", "X"][-start.shape[1] :]
    tracks = {}
    for row in rows:
        tracks.setdefault(row["ID"], []).append([float(row[a]) for a in axes])
    got = sum(
        ((np.array(t[0]) - t[1]) ** 2).sum() if len(t) == 2 else 37.8 for t in tracks.values()
    )
    squares = ((points[:25, None, 1:] - points[None, 25:50, 1:]) ** 2).sum(axis=2)
    cost = np.full((50, 50), 37.8 / 2)
    cost[:25, :25], cost[25:, 25:] = np.where(squares <= 36, squares, 1e9), 0
    rows_, columns = optimize.linear_sum_assignment(cost)
    linked = (rows_ < 25) & (columns < 25)
    alone = sum(len(t) == 1 for t in tracks.values())
    assert sum(len(t) == 2 for t in tracks.values()) == linked.sum()
    wanted = squares[rows_[linked], columns[linked]].sum()
    assert got - 37.8 * alone == pytest.approx(wanted)


def linked(points, reach):
    """Pairs of the points of two frames with the least sum of squares, in units of `reach`."""
    one, two = (points[points[:, 0] == frame, 1:] / reach for frame in (0, 1))
    squares = ((one[:, None] - two[None]) ** 2).sum(axis=2)
    size = len(one) + len(two)
    cost = np.full((size, size), 1.05 / 2)
    cost[: len(one), : len(two)] = np.where(squares <= 1, squares, 1e9)
    cost[len(one) :, len(two) :] = 0
    pairs = zip(*optimize.linear_sum_assignment(cost), strict=True)
    return {(i, j) for i, j in pairs if i < len(one) and j < len(two)}


@pytest.mark.parametrize(
    ("sizes", "given", "reach"),
    [
        ("1s,2um,0.5um,0.5um", {}, (1.5, 6, 6)),
        ("1px,4px,1px,1px", {"distance": 6}, (1.5, 6, 6)),
        ("1s,2um,0.5um,0.5um", {"distance": 3}, (1.5, 6, 6)),
        ("1px,2um,0.25um,0.5um", {"distance": 3}, (1.5, 12, 6)),
        ("1s,2um,0.25um,0.5um", {}, (1.5, 12, 6)),
        ("1s,2um,0.5um,0.5um", {"distance": 3, "depth": 1}, (6, 6, 6)),
        ("", {"distance": 6, "depth": 4}, (1.5, 6, 6)),
        ("", {"distance": 6}, (6, 6, 6)),
        ("1s,4px,0.5um,0.5um", {"distance": 3}, (6, 6, 6)),
    ],
)
def test_steps_of_tracks_are_those_of_the_world(tmp_path, sizes, given, reach):
    rng = np.random.default_rng(5)
    start = rng.uniform(0, 30, (40, 3)) * [0.5, 2, 1]
    points = np.concatenate(
        [np.column_stack([np.full(40, t), start + rng.normal(0, 2, start.shape)]) for t in (0, 1)]
    )
    made = run("track_points", tmp_path, points=points, min_length=2, gap=0, sizes=sizes, **given)
    assert not made.refused
    place = {tuple(row): i % 40 for i, row in enumerate(points[:, 1:].round(9).tolist())}
    tracks = {}
    for row in made.rows("tracks"):
        tracks.setdefault(row["ID"], []).append(
            place[tuple(round(float(row[a]), 9) for a in "ZYX")]
        )
    assert {tuple(pair) for pair in tracks.values()} == linked(points, np.array(reach))
    assert ("Depth of a slice" in made.text) == (reach[0] == 6 and "depth" not in given)


@pytest.mark.parametrize("step", [1, 0.4, 0.5])
@pytest.mark.parametrize("start", [0, 0.5])
def test_tracks_keep_their_moments(tmp_path, step, start):
    times = start + step * np.arange(6)
    points = np.column_stack([times, 10 + np.arange(6), np.full(6, 20)])[[0, 1, 3, 4, 5]]
    made = run("track_points", tmp_path, points=points, gap=1, axes="TYX")
    rows = made.rows("tracks")
    assert {row["ID"] for row in rows} == {"0"}
    assert [float(row["T"]) for row in rows] == pytest.approx(points[:, 0].tolist())
    assert ("no whole frames" in made.text) == (step != 1 or start != 0)
    assert (
        run("track_points", tmp_path, points=points, gap=0, axes="TYX", min_length=1).rows(
            "tracks"
        )[2]["ID"]
        == "1"
    )


@pytest.mark.parametrize(
    ("times", "gap", "tracks", "note"),
    [
        ([0, 1, 2, 3], 1, 1, ""),
        ([0, 2, 4, 6], 1, 1, "frames between them count as missed"),
        ([0, 2, 4, 6], 0, 1, "a frame is taken every 2"),
        ([0, 30, 60, 120], 1, 1, "a frame is taken every 30"),
        ([0, 30, 60, 120], 0, 0, "a frame is taken every 30"),
        ([0, 30, 61, 95], 1, 1, "each is taken for a frame"),
    ],
)
def test_whole_times_that_are_no_frames_are_told(tmp_path, times, gap, tracks, note):
    points = np.array([[t, 10 + i, 20] for i, t in enumerate(times)], float)
    made = run("track_points", tmp_path, points=points, gap=gap, axes="TYX", min_length=4)
    assert len({row["ID"] for row in made.rows("tracks")}) == tracks
    assert note in made.text
    assert ("note: times" in made.text) == bool(note)


@pytest.mark.parametrize("axes", ["TCYX", "CTYX"])
def test_channels_are_linked_apart(tmp_path, axes):
    """A spot that comes up in another channel where one went out is another one."""
    points = np.array([[t, int(t > 2), 30, 20 + t] for t in range(6)], float)
    given = points if axes == "TCYX" else points[:, [1, 0, 2, 3]]
    sizes = "1s,1px,0.5um,0.5um" if axes == "TCYX" else "1px,1s,0.5um,0.5um"
    made = run("track_points", tmp_path, points=given, axes=axes, sizes=sizes)
    rows = made.rows("tracks")
    assert [(row["ID"], row["C"]) for row in rows] == [("0", "0")] * 3 + [("1", "1")] * 3
    assert [float(row["T"]) for row in rows] == [*range(6)]
    assert "channels are linked apart" in made.text


@pytest.mark.parametrize(
    ("sizes", "given", "told"),
    [
        ("1s,0.2um,0.2um", {}, "note: largest step 1.2 µm\n"),
        ("1s,1px,1px", {}, "note: largest step 6 px\n"),
        ("1s,1px,1px", {"distance": 3}, "the largest step is in pixels\n"),
        ("1s,0.2um,0.2um", {"distance": 3}, ""),
    ],
)
def test_the_unit_of_the_largest_step_is_told(tmp_path, sizes, given, told):
    points = np.array([[0, 1, 1], [1, 1, 2], [2, 1, 3.0]])
    made = run("track_points", tmp_path, points=points, sizes=sizes, **given)
    assert told in made.text
    assert ("largest step" in made.text) == bool(told)


def test_places_are_read_back_as_they_were(tmp_path):
    points = np.array([[0, 12345.678901, 0.1], [1, 12345.678902, 0.2], [2, 12345.678903, 1e-7]])
    rows = run("track_points", tmp_path, points=points).rows("tracks")
    assert [float(row["Y"]) for row in rows] == pytest.approx(points[:, 1].tolist(), rel=1e-10)
    labels = Image(np.ones((5, 5), np.uint8), "YX")
    made = run("count_points", tmp_path, points=points, labels=labels).rows("assigned")
    assert [float(row["axis-1"]) for row in made] == pytest.approx(
        points[:, 1].tolist(), rel=1e-10
    )
    assert csv.list_dialects()


@pytest.mark.parametrize("method", ["otsu", "yen", "manual"])
def test_dark_objects_are_what_is_not_bright(tmp_path, method):
    image = np.full((40, 40), 180, np.uint8)
    image[10:20, 10:20] = 0
    given = {"input": Image(image, "YX"), "method": method, "value": 0}
    dark = run("threshold", tmp_path, objects="dark", **given).image()
    np.testing.assert_array_equal(dark, image == 0)
    bright = run("threshold", tmp_path, objects="bright", **given).image()
    np.testing.assert_array_equal(bright, 1 - dark)


def test_the_margin_of_a_local_threshold_lies_on_the_side_of_the_objects(tmp_path):
    image = noise((64, 64), 6, 3).astype(np.float32) + 100
    image[20:30, 20:30] -= 40
    given = {"input": Image(image, "YX"), "method": "local", "value": 15}
    dark = run("threshold", tmp_path, objects="dark", **given).image()
    turned = {**given, "input": Image(-image, "YX")}
    np.testing.assert_array_equal(dark, run("threshold", tmp_path, **turned).image())
    assert dark[20:30, 20:30].all()
    assert dark.sum() == 100


@pytest.mark.parametrize("method", ["max", "mean", "min", "median", "sum", "std"])
def test_infinite_pixels_are_left_out_of_projections(tmp_path, method):
    image = noise((4, 10, 11)).astype(np.float32)
    image[1, 2, 3], image[2, 4, 5] = np.inf, -np.inf
    made = run("project", tmp_path, input=Image(image, "ZYX"), method=method).image()
    known = np.where(np.isfinite(image), image, np.nan).astype(float)
    np.testing.assert_allclose(made, getattr(np, f"nan{method}")(known, axis=0), rtol=1e-5)


def test_pixels_that_are_limited_are_told(tmp_path):
    image = np.full((40, 40), 250, np.uint8)
    image[10:20, 10:20] = 5
    assert "limited to 0 … 255" in run("unsharp_mask", tmp_path, input=Image(image, "YX")).text


def test_labels_without_a_background_are_no_picture(tmp_path):
    labels = np.repeat(np.repeat(np.array([[1000, 3], [70000, 12]], np.int32), 30, 0), 30, 1)
    made = run("rescale", tmp_path, input=Image(labels, "YX"), factor=0.5)
    assert set(np.unique(made.image())) == {3, 12, 1000, 70000}


def test_images_of_other_axes_are_told(tmp_path):
    one = noise((4, 10, 11))
    given = {"first": Image(one, "ZYX"), "second": Image(one, "TYX")}
    for tool in ("calculate_images", "colocalize"):
        made = run(tool, tmp_path, **given)
        assert made.refused or "the axes are ZYX in the one and TYX" in made.text
    labels = (one > 20).astype(np.uint16)
    given = {"labels": Image(labels, "ZYX"), "image": Image(one, "TYX")}
    assert "the axes are ZYX" in run("measure_regions", tmp_path, **given).text
