"""Which graphics card this computer has that programs can count with, and its driver."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Literal

from napari_tool_runner.data_classes import dataclass

__all__ = ["Graphics", "detect", "graphics"]

_PATIENCE = 20
_DRIVER = re.compile(r"(?<![\d.])\d{3,4}\.\d+(?:\.\d+)?(?![\d.])")
_TOLD = ("sys/module/nvidia/version", "proc/driver/nvidia/version")
_NVIDIAS, _AMDS = ("nvidia[0-9]*", "dxg"), ("kfd",)
# the first driver with each version of CUDA, as NVIDIA's release notes have it
_CUDAS = (
    *((580, "13.0"), (575, "12.9"), (570, "12.8"), (560, "12.6"), (555, "12.5"), (550, "12.4")),
    *((545, "12.3"), (535, "12.2"), (530, "12.1"), (525, "12.0"), (520, "11.8"), (450, "11.0")),
)


@dataclass(frozen=True, slots=True)
class Graphics:
    """A card, or that there is none.

    Parameters
    ----------
    kind : str
        ``nvidia``, ``apple``, ``amd``; empty: none that programs here could use.
    name : str
        As its driver calls it, where that tells.
    driver : str
        The version of NVIDIA's driver.
    """

    kind: Literal["nvidia", "apple", "amd", ""] = ""
    name: str = ""
    driver: str = ""

    @property
    def cuda(self) -> str:
        """The newest version of CUDA that the driver knows; empty: none."""
        major = int(self.driver.partition(".")[0] or 0)
        return next((cuda for first, cuda in _CUDAS if major >= first), "")

    @property
    def text(self) -> str:
        """All of it in one line."""
        if self.kind == "nvidia":
            told = f"driver {self.driver}, CUDA {self.cuda or 'too old'}"
            return f"{self.name or 'NVIDIA card'} ({told if self.driver else 'without driver'})"
        if self.kind == "apple":
            return self.name
        if self.kind == "amd":
            return "AMD card (no build of PyTorch is chosen for it)"
        return "none: programs run on the processor"


def detect(root: Path = Path("/"), system: str = sys.platform, machine: str = "") -> Graphics:
    """Look for a card; it may ask a program of the driver, which takes seconds at most.

    Parameters
    ----------
    root : Path
        Under which the files of the driver and of devices lie.
    """
    if system == "darwin":
        arm = (machine or platform.machine()) == "arm64"
        return Graphics("apple", "Apple silicon") if arm else Graphics()
    if system != "win32":
        devices = root / "dev"  # a container sees its host's driver without a card
        if not any(found for one in _NVIDIAS for found in devices.glob(one)):
            return Graphics("amd" if any((devices / one).exists() for one in _AMDS) else "")
    name, _, driver = _asked().rpartition(",")
    driver = driver.strip() or _read(root)
    return Graphics("nvidia", name.strip(), driver) if driver else Graphics()


def _asked() -> str:
    """Return ``name, driver`` of the first card, as NVIDIA's own program says."""
    program = shutil.which("nvidia-smi") or "/usr/lib/wsl/lib/nvidia-smi"
    words = [program, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=_PATIENCE, check=True,
            stdin=subprocess.DEVNULL, errors="replace",
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    line = done.stdout.strip().partition("\n")[0]
    return line if _DRIVER.search(line.rpartition(",")[2]) else ""


def _read(root: Path) -> str:
    """Return the driver's version as the system's files tell it."""
    for name in _TOLD:
        try:
            text = (root / name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if found := _DRIVER.search(text):
            return found[0]
    return ""


@cache
def graphics() -> Graphics:
    """Return what `detect` found the first time."""
    return detect()
