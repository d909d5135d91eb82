"""Every fuzz target a moment: what it once broke on, its seeds, and a few changes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from benchmarks.fuzz import HERE, Target, broken, tried
from benchmarks.fuzz_targets import TARGETS

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("name", TARGETS)
def test_no_reader_breaks(name: str) -> None:
    *found, (_, count) = tried(name, TARGETS[name], seconds=1.0, most=200)
    assert not found, "\n".join(f"{data[:200]!r}: {told}" for data, told in found)
    assert int(count) > 1


def test_everything_kept_has_a_target() -> None:
    assert {path.name for path in (HERE / "tests" / "fuzz").iterdir()} <= set(TARGETS)


def test_a_reader_that_breaks_is_told_once_a_place() -> None:
    def reader(data: bytes, folder: Path) -> None:
        (folder / "x").write_bytes(data)
        if len(data) != 3:
            raise KeyError(len(data))

    assert broken(reader, b"abc") == ""
    assert broken(reader, b"ab").startswith("KeyError at test_fuzz.py:")
    *found, _ = tried("none", Target(lambda: [b"abc"], reader), seconds=5, most=50)
    assert len(found) == 1
