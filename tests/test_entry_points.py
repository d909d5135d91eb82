"""Entry points of installed packages are found as `importlib.metadata` finds them."""

from __future__ import annotations

import importlib.metadata
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from napari_tool_runner.entry_points import entry_points_of

GROUP = "napari_tool_runner.of_a_test"
TEXT = f"[{GROUP}]\nname = some.module:VALUE\n"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The groups that `importlib.metadata` was asked for."""
    groups: list[str] = []
    real = importlib.metadata.entry_points

    def listed(*, group: str) -> importlib.metadata.EntryPoints:
        groups.append(group)
        return real(group=group)

    monkeypatch.setattr(importlib.metadata, "entry_points", listed)
    return groups


def _folder(place: Path) -> Path:
    (place / "some-1.0.dist-info").mkdir(parents=True)
    (place / "some-1.0.dist-info" / "entry_points.txt").write_text(TEXT)
    (place / "some-1.0.dist-info" / "METADATA").write_text("Name: some\nVersion: 1.0\n")
    return place


def _archive(place: Path) -> Path:
    with zipfile.ZipFile(place / "some.zip", "w") as file:
        for path in _folder(place / "inside").rglob("*"):
            file.write(path, path.relative_to(place / "inside"))
    return place / "some.zip"


def _egg(place: Path) -> Path:
    info = place / "some-1.0-py3.egg" / "EGG-INFO"
    info.mkdir(parents=True)
    (info / "entry_points.txt").write_text(TEXT)
    (info / "PKG-INFO").write_text("Name: some\nVersion: 1.0\n")
    return info.parent


@pytest.mark.parametrize("made", [_folder, _archive, _egg])
def test_what_a_package_names_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Callable[[Path], Path]
) -> None:
    monkeypatch.setattr(sys, "path", [str(made(tmp_path))])
    (found,) = entry_points_of(GROUP)
    assert (found.name, found.value) == ("name", "some.module:VALUE")


def test_packages_that_name_none_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[str]
) -> None:
    (tmp_path / "old-1.0.egg-info").write_text("a file")
    (tmp_path / "bare-1.0.dist-info").mkdir()
    places = [str(_folder(tmp_path)), str(tmp_path / "not-there")]
    monkeypatch.setattr(sys, "path", places)
    # a library of others may have put its own finder in the place of Python's
    usual = [one for one in sys.meta_path if not hasattr(one, "find_distributions")]
    monkeypatch.setattr(sys, "meta_path", usual)
    assert [*entry_points_of("napari_tool_runner.another")] == []
    assert asked == []


def test_a_finder_that_knows_other_places_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[str]
) -> None:
    class Finder(importlib.metadata.DistributionFinder):
        def find_spec(self, *_: object) -> None:
            return None

        def find_distributions(
            self, context: object = None
        ) -> list[importlib.metadata.Distribution]:
            return [importlib.metadata.PathDistribution(_folder(tmp_path) / "some-1.0.dist-info")]

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder()])
    assert [one.value for one in entry_points_of(GROUP)] == ["some.module:VALUE"]
    assert asked == [GROUP]
