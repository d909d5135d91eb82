"""Which graphics card is here: the driver's files, devices and answers are made up."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from napari_tool_runner.plugins.programs import graphics
from napari_tool_runner.plugins.programs.graphics import Graphics, detect

PROC = (
    "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.144.03  Release Build  (b@h)\n"
    "GCC version:  gcc version 12.3.0 (Ubuntu 12.3.0-1ubuntu1~22.04)\n"
)


@pytest.fixture(autouse=True)
def no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    says(monkeypatch, None)


def says(monkeypatch: pytest.MonkeyPatch, text: str | None) -> None:
    def run(words: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        if text is None:
            raise FileNotFoundError(words[0])
        return subprocess.CompletedProcess(words, 0, text, "")

    monkeypatch.setattr(graphics.subprocess, "run", run)


def files(root: Path, **content: str) -> Path:
    for name, text in content.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_no_card(tmp_path: Path) -> None:
    found = detect(tmp_path, "linux")
    assert (found, found.cuda, found.text) == (
        Graphics(), "", "none: programs run on the processor",
    )  # fmt: skip
    assert detect(tmp_path, "win32") == Graphics()


def test_a_driver_without_a_card_is_none(tmp_path: Path) -> None:
    """A container sees its host's driver."""
    assert not detect(files(tmp_path, proc__driver__nvidia__version=PROC), "linux").kind


@pytest.mark.parametrize("device", ["dev__nvidia0", "dev__nvidia3", "dev__dxg"])
@pytest.mark.parametrize(
    ("place", "text"),
    [("proc__driver__nvidia__version", PROC), ("sys__module__nvidia__version", "550.144.03\n")],
)
def test_the_driver_of_its_files(tmp_path: Path, device: str, place: str, text: str) -> None:
    found = detect(files(tmp_path, **{place: text, device: ""}), "linux")
    assert (found.kind, found.driver, found.cuda) == ("nvidia", "550.144.03", "12.4")
    assert found.text == "NVIDIA card (driver 550.144.03, CUDA 12.4)"


def test_its_name_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    says(monkeypatch, "NVIDIA H100 80GB HBM3, 580.65.06\nNVIDIA T4, 580.65.06\n")
    found = detect(files(tmp_path, dev__nvidia0=""), "linux")
    assert found.text == "NVIDIA H100 80GB HBM3 (driver 580.65.06, CUDA 13.0)"
    assert detect(tmp_path, "win32") == found
    says(monkeypatch, "NVIDIA-SMI has failed because it couldn't communicate with the driver.")
    assert detect(files(tmp_path, sys__module__nvidia__version="470.1"), "linux").cuda == "11.0"


def test_a_device_without_a_driver_is_none(tmp_path: Path) -> None:
    assert detect(files(tmp_path, dev__nvidia0=""), "linux") == Graphics()


def test_others(tmp_path: Path) -> None:
    assert detect(tmp_path, "darwin", "arm64").text == "Apple silicon"
    assert detect(tmp_path, "darwin", "x86_64") == Graphics()
    assert detect(files(tmp_path, dev__kfd=""), "linux").text.startswith("AMD card")


def test_an_old_driver_has_no_cuda() -> None:
    assert Graphics("nvidia", "", "390.157").text == "NVIDIA card (driver 390.157, CUDA too old)"
