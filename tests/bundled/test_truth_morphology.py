"""“Grow, shrink, smooth objects” against the definition, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundled.inside import Image, run, script

FLAT, DEEP = (1.0, 1.0), (5.0, 1.0, 1.0)
SHEARED = (0.75, 1.0)


def ball(radius, steps):
    """Return the offsets that are no further than `radius`."""
    reach = [int(radius / step) + 1 for step in steps]
    offsets = np.stack(np.meshgrid(*[np.arange(-n, n + 1) for n in reach], indexing="ij"), -1)
    offsets = offsets.reshape(-1, len(steps))
    return offsets[((offsets * steps) ** 2).sum(axis=1) <= radius**2 + 1e-9]


def moved(inside, offset, outside):
    """Return which pixels have a pixel of the object at `offset`."""
    result = np.full(inside.shape, outside)
    here = tuple(
        slice(max(0, -o), n - max(0, o)) for o, n in zip(offset, inside.shape, strict=True)
    )
    there = tuple(
        slice(max(0, o), n + min(0, o)) for o, n in zip(offset, inside.shape, strict=True)
    )
    result[here] = inside[there]
    return result


def eroded(inside, radius, steps):
    return np.all([moved(inside, o, True) for o in ball(radius, steps)], axis=0)


def dilated(inside, radius, steps):
    return np.any([moved(inside, o, False) for o in ball(radius, steps)], axis=0)


def closed(inside, radius, steps):
    room = int(radius / min(steps)) + 2
    full = eroded(dilated(np.pad(inside, room), radius, steps), radius, steps)
    return full[(slice(room, -room),) * inside.ndim]


def blobs(seed, shape, count=5):
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.uint16)
    for number in range(1, count + 1):
        start = [rng.integers(0, n) for n in shape]
        box = tuple(slice(s, s + rng.integers(1, 6)) for s in start)
        labels[box] = number * 7
    return labels


CASES = [
    ((18, 20), FLAT),
    ((18, 20), SHEARED),
    ((5, 12, 13), DEEP),
    ((6, 10, 11), (1.0, 1.0, 1.0)),
]


@settings(max_examples=25)
@given(st.integers(0, 2**31), st.sampled_from(CASES), st.sampled_from([0.5, 1, 1.5, 2, 3]))
def test_each_operation_is_its_definition(seed, case, radius):
    shape, steps = case
    labels, tool = blobs(seed, shape), script("morphology")
    opened, shrunk = (f(labels, radius, steps) for f in (tool.opened, tool.shrink))
    full, grown = tool.closed(labels, radius, steps), tool.grow(labels, radius, steps)
    spread = np.zeros(shape, bool)
    for number in np.unique(labels[labels != 0]):
        inside = labels == number
        core = eroded(inside, radius, steps)
        np.testing.assert_array_equal(shrunk == number, core)
        np.testing.assert_array_equal(opened == number, dilated(core, radius, steps))
        wanted = closed(inside, radius, steps)
        assert (full[inside] == number).all(), "closing never takes away"
        assert not ((full == number) & ~wanted).any()
        spread |= wanted
        assert (grown[inside] == number).all()
        assert not ((grown == number) & ~dilated(inside, radius, steps)).any()
    np.testing.assert_array_equal(full != 0, (labels != 0) | spread)
    np.testing.assert_array_equal(grown != 0, dilated(labels != 0, radius, steps))


@settings(max_examples=8)
@given(st.integers(0, 2**31), st.sampled_from(CASES), st.sampled_from([1, 2]))
def test_opening_and_closing_change_nothing_the_second_time(seed, case, radius):
    shape, steps = case
    tool = script("morphology")
    for work in (tool.opened, tool.closed):
        once = work(blobs(seed, shape, 1), radius, steps)
        np.testing.assert_array_equal(work(once, radius, steps), once)


def test_the_radius_is_a_number_of_pixel_widths(tmp_path):
    labels = np.zeros((9, 31, 31), np.uint16)
    labels[4, 15, 15] = 1
    sizes = {"PhysicalSizeX": 0.1, "PhysicalSizeY": 0.2, "PhysicalSizeZ": 300.0}
    sizes |= {"PhysicalSizeZUnit": "nm"}
    made = run(
        "morphology", tmp_path, input=Image(labels, "ZYX", sizes), operation="grow", radius=6
    )
    reach = [np.ptp(found) // 2 for found in np.nonzero(made.image())]
    assert reach == [2, 3, 6]


def test_frames_and_channels_are_changed_alone(tmp_path):
    movie = np.stack([np.stack([blobs(f + 10 * c, (16, 18)) for c in range(2)]) for f in range(3)])
    for operation in ("open", "close", "grow", "shrink"):
        made = run("morphology", tmp_path, input=Image(movie, "TCYX"), operation=operation).image()
        for index in np.ndindex(3, 2):
            alone = run(
                "morphology", tmp_path, input=Image(movie[index], "YX"), operation=operation
            )
            np.testing.assert_array_equal(made[index], alone.image())


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "uint32", "int32", "int64", "uint64"])
def test_numbers_of_every_type_stay(tmp_path, dtype):
    top = np.iinfo(dtype).max
    labels = np.zeros((16, 16), dtype)
    labels[1:7, 1:7], labels[8:15, 8:15] = top, top - 1
    for operation in ("open", "close", "grow", "shrink"):
        made = run("morphology", tmp_path, input=Image(labels, "YX"), operation=operation).image()
        assert made.dtype == labels.dtype
        assert set(made.ravel().tolist()) == {0, top, top - 1}


def test_what_disappears_is_told(tmp_path):
    labels = np.zeros((16, 16), np.uint8)
    labels[3, 3], labels[6:14, 6:14] = 1, 2
    made = run("morphology", tmp_path, input=Image(labels, "YX"), operation="open", radius=2)
    assert "objects smaller than the radius disappeared: 1" in made.text
    everywhere = Image(np.ones((6, 6), np.uint8), "YX")
    for operation in ("open", "close", "grow", "shrink"):
        assert run("morphology", tmp_path, input=everywhere, operation=operation).image().all()
