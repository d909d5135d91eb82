"""What “Find objects” finds is what was drawn, and what its single steps find one by one."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy import ndimage

from bundled import make_samples as generate
from bundled.inside import Image, run, script
from napari_tool_runner.exchange.counting import doubtful_in, least_size
from napari_tool_runner.exchange.noise import noise_share

PLANE = {"PhysicalSizeX": 0.32, "PhysicalSizeY": 0.32}
STACK = {"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25, "PhysicalSizeZ": 1.0}
TOLD = re.compile(
    r"(sigma|threshold|radius|value|holes|spacing|smoothing|smallest|diameter) ([\d.]+)"
)


def nuclei() -> tuple[Image, np.ndarray]:
    pixels, drawn = generate.cells_2d()
    return Image(pixels[0], "YX", PLANE), drawn


def found(drawn: np.ndarray, labels: np.ndarray) -> tuple[int, np.ndarray]:
    """Return how many drawn objects are matched (IoU over a half), and the areas they came to."""
    matched, shares = 0, []
    for number in range(1, drawn.max() + 1):
        inside = drawn == number
        hit = np.bincount(labels[inside], minlength=1)
        hit[0] = 0
        best = labels == hit.argmax() if hit.any() else np.zeros_like(inside)
        matched += 2 * hit.max(initial=0) > np.count_nonzero(inside | best)
        shares.append(best.sum() / inside.sum())
    return matched, np.array(shares)


def told(text: str) -> dict[str, float]:
    return {name: float(value) for name, value in TOLD.findall(text.partition("note:")[0])}


def test_the_nuclei_that_were_drawn_are_found(tmp_path):
    image, drawn = nuclei()
    made = run("find_objects", tmp_path, input=image)
    labels = made.image()
    assert labels.max() == 78
    assert set(np.unique(labels)) == set(range(labels.max() + 1))
    matched, shares = found(drawn, labels)
    assert matched == 78
    # they fade towards the drawn edge, where half the height lies inside, of bright and dim ones
    assert np.median(shares) == pytest.approx(0.91, abs=0.03)
    assert np.subtract(*np.quantile(shares, [0.9, 0.1])) < 0.12
    (note,) = made.notes
    assert re.search(r"^note: \d of them touch the edge and may be cut off; typical dia", note)
    assert re.search(
        r"typical diameter (9|10)\.\d+ µm, the narrow way; "
        r"up to ±1\d% of a size by where its soft edge is set$",
        note,
    )
    assert told(made.text)["diameter"] == pytest.approx(2 * 17 * 0.91**0.5, rel=0.1)


def ovals(brightness: list[float], blur: float) -> tuple[Image, np.ndarray]:
    """Return ovals beside each other, of these brightnesses, blurred and with noise; and them."""
    rows, columns = np.mgrid[:64, : 64 * len(brightness)]
    drawn = np.zeros(rows.shape, int)
    for number in range(len(brightness)):
        away = ((rows - 32) / 14) ** 2 + ((columns - 64 * number - 32) / (17 + number % 3)) ** 2
        drawn[away < 1] = number + 1
    light = ndimage.gaussian_filter(np.array([0, *brightness])[drawn].astype(float), blur)
    noise = np.random.default_rng(3).normal(0, 40, light.shape)
    return Image((light + noise + 500).astype(np.uint16), "YX", {}), drawn


@pytest.mark.parametrize("blur", [0.5, 1, 2, 3])
@pytest.mark.parametrize("method", ["li", "local"])
def test_areas_of_bright_and_dim_objects_are_right(tmp_path, blur, method):
    image, drawn = ovals([4000, 1000, 2000, 800, 3000], blur)
    made = run("find_objects", tmp_path, input=image, method=method)
    matched, shares = found(drawn, made.image())
    assert (matched, made.image().max()) == (5, 5)
    assert np.abs(shares - 1).max() < 0.05
    by_threshold = run("find_objects", tmp_path, input=image, method=method, border="threshold")
    other = found(drawn, by_threshold.image())[1]
    assert np.abs(other - 1).max() > 2 * np.abs(shares - 1).max()
    soft = re.findall(r"up to ±(\d+)% of a size by where its soft edge is set$", made.notes[0])
    assert bool(soft) == (blur > 1) or blur == 1, "less than a tenth is not worth a word"
    assert [int(share) for share in soft] == pytest.approx([8.5 * blur] * len(soft), abs=3)
    assert "soft" not in by_threshold.text


def test_areas_of_dark_objects_are_those_of_bright_ones(tmp_path):
    image, _ = ovals([4000, 1000, 2000], 1)
    dark = Image((6000 - image.pixels.astype(int)).astype(np.uint16), "YX", {})
    one, other = (
        run("find_objects", tmp_path, input=each, objects=objects, method="isodata").image()
        for each, objects in ((image, "bright"), (dark, "dark"))
    )
    assert np.mean((one > 0) != (other > 0)) < 0.002


def test_objects_that_hardly_stand_out_are_told_with_their_numbers(tmp_path):
    image, drawn = ovals([4000, 3000, 350, 2000], 2)
    made = run("find_objects", tmp_path, input=image, method="local")
    (number,) = np.unique(made.image()[drawn == 3][made.image()[drawn == 3] > 0])
    said = f"1 of them hardly stands out and may be none (number {number})"
    assert any(said in note for note in made.notes)
    assert doubtful_in(made.notes) == (number,)
    assert made.notes[0].endswith("soft edge is set")


def test_objects_that_fill_an_image_have_no_surroundings(tmp_path):
    half_height = script("find_objects").at_half
    labels = np.ones((12, 12), np.int32)
    labels[:, 6:] = 2
    mask, soft = half_height(np.where(labels == 1, 5.0, 9.0), labels, [1, 1], 6)
    assert (mask == (labels == 2)).all()
    assert soft >= 0


def test_the_nuclei_of_a_stack_are_found(tmp_path):
    pixels, drawn = generate.nuclei_3d()
    made = run("find_objects", tmp_path, input=Image(pixels, "ZYX", STACK))
    labels = made.image()
    assert abs(labels.max() - 30) <= 1
    assert not any("hardly" in note for note in made.notes)
    matched, shares = found(drawn, labels)
    assert matched >= 29
    assert abs(np.median(shares) - 1) < 0.25


@pytest.mark.parametrize("method", ["li", "local"])
@pytest.mark.parametrize("kind", ["plane", "stack", "dark"])
def test_it_is_what_the_single_steps_make(tmp_path, kind, method):
    image = Image(generate.nuclei_3d()[0], "ZYX", STACK) if kind == "stack" else nuclei()[0]
    objects = "dark" if kind == "dark" else "bright"
    if objects == "dark":
        image = Image(image.pixels.max() - image.pixels, "YX", PLANE)
    one = {"method": method, "objects": objects}
    made = run("find_objects", tmp_path, input=image, border="threshold", **one)
    values = told(made.text)
    chosen = {"radius": values["radius"], "value": values["value"]} if method == "local" else {}

    def step(tool: str, pixels: np.ndarray, **given: object) -> np.ndarray:
        after = Image(pixels, image.axes, image.sizes)
        return run(tool, tmp_path, input=after, **given).image()

    smooth = step("gaussian_filter", image.pixels, sigma=values["sigma"])
    mask = step("threshold", smooth, method=method, objects=objects, **chosen)
    mask = step("fill_holes", mask, largest=int(values["holes"]))
    both = {key: values[key] for key in ("spacing", "smoothing")}
    labels = step("split_touching", mask, **both)
    labels = step("remove_small_objects", labels, smallest=int(values["smallest"]))
    numbers = np.unique(labels)
    np.testing.assert_array_equal(made.image(), np.searchsorted(numbers, labels))


def test_noise_and_specks_are_what_forms_take_for_them():
    image, _ = nuclei()
    everywhere = np.zeros(image.pixels.shape, bool)
    noise, contrast = script("find_objects").noise(image.pixels, everywhere)
    assert noise / contrast == pytest.approx(noise_share(image.pixels))
    sizes = np.array([3, 900, 40, 1000, 1100])
    assert script("find_objects").least_size(sizes) == least_size(sizes)


def discs(*radii: int) -> np.ndarray:
    """Return bright discs in a row on an even ground, the first one at the edge."""
    rows, columns = np.indices((64, 64 * len(radii)))
    pixels = np.full(rows.shape, 100, np.uint16)
    for number, radius in enumerate(radii):
        centre = 64 * number + (0 if number == 0 else 32)
        pixels[np.hypot(rows - 32, columns - centre) <= radius] = 900
    return pixels


def test_sizes_are_in_micrometres_where_pixels_have_a_size(tmp_path):
    pixels = discs(12, 12, 12, 5)
    for size, sizes in ((1.0, {}), (0.5, {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5})):
        image = Image(pixels, "YX", sizes)
        for limit, count in ((9, 4), (12, 3), (30, 0)):
            made = run("find_objects", tmp_path, input=image, smallest=limit * size)
            assert made.image().max() == count
        made = run("find_objects", tmp_path, input=image, diameter=20 * size)
        assert told(made.text)["spacing"] == 5


def test_objects_at_the_edge_are_told_or_left_out(tmp_path):
    image = Image(discs(12, 12, 12), "YX", {})
    made = run("find_objects", tmp_path, input=image)
    (note,) = made.notes
    assert note.startswith("note: 1 of them touches the edge and may be cut off; typical")
    assert " px" in note
    made = run("find_objects", tmp_path, input=image, edge="true")
    assert made.image().max() == 2
    assert "note: none touches the edge, 1 was left out; typical" in made.notes[0]


def test_holes_are_filled_and_the_ground_between_objects_is_not(tmp_path):
    pixels = discs(1, 20)
    pixels[30:35, 94:99] = 100
    assert run("find_objects", tmp_path, input=Image(pixels, "YX", {})).image()[32, 96] > 0
    rows, columns = np.indices((96, 96))
    ring = np.full((96, 96), 100, np.uint16)
    for angle in np.arange(8) * np.pi / 4:
        at = np.hypot(rows - 48 - 28 * np.sin(angle), columns - 48 - 28 * np.cos(angle))
        ring[at <= 12] = 900
    labels = run("find_objects", tmp_path, input=Image(ring, "YX", {})).image()
    assert (labels.max(), labels[48, 48]) == (8, 0)


def test_what_holds_no_objects_is_told(tmp_path):
    even = np.full((3, 20, 20), 7, np.uint16)
    made = run("find_objects", tmp_path, input=Image(even, "TYX", {}))
    assert (made.image().any(), made.refused) == (False, "")
    assert "warning: all pixels have the value 7: there is nothing to separate" in made.text
    even[1, 5:12, 5:12] = 90
    made = run("find_objects", tmp_path, input=Image(even, "TYX", {}))
    assert made.image().max() == 1
    assert "note: planes or volumes of one value have no objects: 2" in made.notes
    colour = run("find_objects", tmp_path, input=Image(np.zeros((9, 9, 3), np.uint8), "YXS", {}))
    assert "Colour to grey" in colour.refused
    most = ndimage.binary_dilation(even[1] > 7, iterations=6)
    made = run("find_objects", tmp_path, input=Image(most.astype(np.uint8) * 90, "YX", {}))
    assert any(note.startswith("warning") and "darker" in note for note in made.notes)
    assert "\n1 object\n" in made.text


def test_missing_values_are_no_objects(tmp_path):
    pixels = discs(1, 20).astype(np.float32)
    pixels[30:40, 90:92] = np.nan
    labels = run("find_objects", tmp_path, input=Image(pixels, "YX", {})).image()
    assert labels[32, 100] > 0 == labels[32, 10]


LIGHTS = {
    "even": lambda down, across: 0 * across,
    "slope": lambda down, across: across,
    "glow": lambda down, across: np.exp(-12 * ((across - 0.7) ** 2 + (down - 0.3) ** 2)),
    "corners": lambda down, across: np.exp(-4 * ((across - 0.5) ** 2 + (down - 0.5) ** 2)),
    "two": lambda down, across: across + np.exp(-8 * ((across - 0.7) ** 2 + (down - 0.3) ** 2)),
}


def lit(
    count: int, radius: float, light: str, *, noise: float = 400, dark: bool = False
) -> tuple[Image, np.ndarray]:
    """Return ovals of many brightnesses in a light, none touching another; and them."""
    rng = np.random.default_rng(count)
    rows, columns = np.mgrid[:360, :400]
    drawn, bright, number = np.zeros(rows.shape, int), [0.0], 0
    while number < count:
        down, across = rng.uniform(radius, 360 - radius), rng.uniform(radius, 400 - radius)
        high, wide = radius * rng.uniform(0.7, 1.3, 2)
        away = np.hypot((rows - down) / high, (columns - across) / wide)
        if not drawn[away < 1 + 5 / min(high, wide)].any():
            number += 1
            drawn[away < 1] = number
            bright.append(rng.uniform(6000, 14000))
    objects = ndimage.gaussian_filter(np.array(bright)[drawn] * (-1 if dark else 1), 1.2)
    shine = 9000 * LIGHTS[light](rows / 360, columns / 400)
    pixels = objects + shine + (20000 if dark else 3000) + rng.normal(0, noise, rows.shape)
    return Image(pixels.astype(np.uint16), "YX", {}), drawn


@pytest.mark.parametrize(
    ("light", "count", "dark"),
    [
        *[(light, 40, False) for light in LIGHTS],
        ("slope", 4, False),
        ("glow", 90, False),
        ("even", 40, True),
        ("slope", 40, True),
        ("glow", 40, True),
    ],
)
def test_objects_in_uneven_light_are_found(tmp_path, light, count, dark):
    image, drawn = lit(count, 9, light, dark=dark)
    objects = "dark" if dark else "bright"
    made = run("find_objects", tmp_path, input=image, objects=objects)
    matched, _ = found(drawn, made.image())
    assert (matched, made.image().max()) == (count, count)
    taken = any("was taken away before the threshold" in note for note in made.notes)
    assert taken is (light != "even")
    assert not any(note.startswith("warning") for note in made.notes)
    left = run("find_objects", tmp_path, input=image, objects=objects, light="left")
    assert (found(drawn, left.image())[0] < count) == taken


def test_a_part_of_large_objects_is_not_taken_for_light(tmp_path):
    for light in ("even", "slope", "glow"):
        image, _ = lit(3, 60, light)
        made = run("find_objects", tmp_path, input=image)
        left = run("find_objects", tmp_path, input=image, light="left")
        assert (made.image() == left.image()).all()


def test_light_that_is_not_sure_is_warned_of(tmp_path):
    image, _ = lit(3, 60, "glow")
    rows, columns = np.mgrid[:360, :400]
    image.pixels += (20000 * LIGHTS["glow"](rows / 360, columns / 400)).astype(np.uint16)
    made = run("find_objects", tmp_path, input=image)
    assert made.notes[0].startswith("warning: the light is uneven, and parts of what was found")
