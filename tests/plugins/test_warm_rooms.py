"""What a napari that was killed leaves of its warm programs is deleted by the next one."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest

from napari_tool_runner.locks import join_lock
from napari_tool_runner.plugins.runner_local import LocalRunnerService
from napari_tool_runner.plugins.warm.rooms import room

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="programs start cold elsewhere")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def left(place: Path, name: str) -> Path:
    folder = place / f"napari-tool-runner-warm-{name}"
    (folder / "shown").mkdir(parents=True)
    (folder / "held").touch()
    os.utime(folder, (0, 0))
    return folder


@pytest.mark.parametrize("stored", [True, False])
def test_what_nobody_holds_is_deleted(place: Path, stored: bool) -> None:
    gone, held = left(place, "gone"), left(place, "held")
    (place / "napari-tool-runner-warm-link").symlink_to(place / "else")
    (place / "else").mkdir()
    free = join_lock(held / "held", alone=False)
    assert free is not None
    if stored:
        LocalRunnerService().stored()
    else:
        with room() as mine:
            assert (mine / "held").exists()
        assert not mine.exists()
    assert not gone.exists()
    assert held.exists()
    assert (place / "else").exists()
    free()


def test_one_that_is_being_made_is_left_alone(place: Path) -> None:
    folder = left(place, "new")
    os.utime(folder)
    with room():
        assert folder.exists()


def test_what_cannot_be_deleted_is_told(
    place: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("no")

    monkeypatch.setattr("napari_tool_runner.plugins.warm.rooms.remove", refuse)
    with room() as folder:
        pass
    assert f"{folder} could not be deleted: no" in caplog.text
