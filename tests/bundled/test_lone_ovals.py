"""“Split touching objects” and “Find objects” cut at necks, not through ovals."""

from __future__ import annotations

import numpy as np
import pytest

from bundled.inside import script


def oval(length: float, width: float, turn: float, at: tuple[float, float]) -> np.ndarray:
    """Return where an ellipse lies, of which half the length and the width are given."""
    rows, columns = np.mgrid[:61, :91].astype(float)
    rows, columns = rows - at[0], columns - at[1]
    along = columns * np.cos(turn) + rows * np.sin(turn)
    across = rows * np.cos(turn) - columns * np.sin(turn)
    return (along / length) ** 2 + (across / width) ** 2 <= 1


def count(mask: np.ndarray, width: float, *, deep: float | None = None) -> int:
    """Return how many objects a mask is split into, with the values that “Find objects” finds."""
    steps = [deep] * (deep is not None) + [1.0, 1.0]
    labels, told = script("split_touching").split(mask, width / 2, steps, width / 10)
    assert labels.max() == told
    assert set(np.unique(labels)) == {*range(told + 1)}
    np.testing.assert_array_equal(labels > 0, mask)
    return told


def test_a_lone_oval_is_one_object():
    for length in (23.5, 24, 25, 26.5):  # with two tops each, as rough as pixels are
        assert count(oval(length, 12, 0.7, (30, 30)), 12) == 1
    rng = np.random.default_rng(1)
    for _ in range(150):
        width = rng.uniform(8, 14)
        lone = oval(width * rng.uniform(1, 2.2), width, rng.uniform(0, np.pi), (30, 45))
        assert count(lone, width) == 1


@pytest.mark.parametrize("apart", [1.3, 1.5, 1.7, 1.9])
def test_a_pair_that_touches_is_two(apart):
    rng = np.random.default_rng(2)
    for _ in range(30):
        one, other = rng.uniform(9, 13, 2)
        turn, far = rng.uniform(-0.5, 0.5), apart * (one + other) / 2
        at = 30 + far * np.sin(turn), 30 + far * np.cos(turn)
        both = oval(one, one, 0, (30, 30)) | oval(other, other, 0, at)
        assert count(both, min(one, other)) == 2


def test_balls_of_a_stack_are_whole_and_apart():
    planes = np.arange(-6, 7)[:, None, None] * 2.0
    rows, columns = np.mgrid[-14:15, -14:40]
    one, other = (np.sqrt(planes**2 + rows**2 + (columns - x) ** 2) <= 11 for x in (0, 19))
    assert count(one, 11, deep=2.0) == 1
    assert count(one | other, 11, deep=2.0) == 2


def test_parts_come_together_where_they_are_convex_and_no_neck_divides_them():
    joined = script("split_touching").joined
    labels = np.zeros((9, 20), np.int32)
    labels[1:8, 1:7], labels[1:8, 7:13], labels[1:8, 13:19] = 1, 2, 3
    level = np.where(labels, 5.0, 0.0)
    assert joined(labels, level)[1] == 1
    necked = level.copy()
    necked[:, 6:8] = 4.0  # less than nine tenths of the depth on both sides
    found, number = joined(labels, necked)
    assert number == 2
    assert (found[2, 2], found[2, 8], found[2, 15]) == (1, 2, 2)
    hooked = labels.copy()
    hooked[1:5, 7:13] = 0  # together no longer convex
    assert joined(hooked, level)[1] == 3
