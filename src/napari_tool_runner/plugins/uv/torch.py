"""Which build of PyTorch an environment gets: for the card that is here, or for the processor."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner import settings
from napari_tool_runner.addresses import public_url
from napari_tool_runner.data_classes import dataclass, field
from napari_tool_runner.plugins.programs.graphics import Graphics, graphics

if TYPE_CHECKING:
    from napari_tool_runner.plugins.uv.lock import Wheel

__all__ = ["TorchBuild", "cuda_remark", "torch_build"]

_OWN_INDEX = "https://download.pytorch.org/whl"
_FAMILY = ("torch", "torchvision", "torchaudio")
_SIZES = {"cpu": 200_000_000, "cuda": 900_000_000}
"""About what a wheel of torch has; PyTorch's own index tells no sizes."""


@dataclass(frozen=True, slots=True)
class TorchBuild:
    """A build of PyTorch.

    Parameters
    ----------
    name : str
        ``cpu``, ``cuda12`` (whatever the driver of the card takes), ``cu128`` of the user's
        own choice, ``index`` for what an index of the configuration has; empty: that of the
        usual index.
    place : str
        Where it is asked for, perhaps with a login: not to be told.
    options : tuple of str
        What tells uv.
    variables : mapping
        Variables that tell uv.
    """

    name: str = ""
    place: str = field(default="", repr=False)
    options: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """Which build it is and why, in one sentence; empty where nothing is chosen."""
        card = graphics()
        if self.name == "index":
            return f"PyTorch is taken from {public_url(self.place)}, as the settings say."
        if self.name == "cpu":
            why = "no NVIDIA card was found" if card.kind != "nvidia" else "the tool asks for it"
            return f"PyTorch is the build for the processor: {why}."
        return f"PyTorch is the build {self.name}, for {card.text}." if self.name else ""

    def remark(self, names: Sequence[str]) -> str:
        """Say which build an environment with these packages has; empty where none was chosen."""
        return cuda_remark(names) or self.text

    @property
    def may_fall_back(self) -> bool:
        """Whether the build of the usual index does, too, where this one cannot be had."""
        return self.name not in ("", "index")

    def size(self, wheel: Wheel) -> int | None:
        """Return about how large a wheel is that its index does not tell the size of."""
        if wheel.name in _FAMILY[1:]:
            return 10_000_000
        return (
            _SIZES["cpu" if "+cpu" in wheel.version else "cuda"] * (wheel.name == "torch") or None
        )

    def taken(self, requirements: Sequence[str]) -> list[str]:
        """Return which packages are taken from the place of the configuration, and no other."""
        if self.name != "index":
            return []
        return [one for one in _FAMILY if one in _names(requirements) or one == "torch"]

    def project(self, requirements: Sequence[str]) -> str:
        """Return a ``pyproject.toml`` that takes PyTorch from its own place, all else as usual."""
        taken = self.taken(requirements)
        asked = [*requirements, *(["torch"] if "torch" not in _names(requirements) else [])]
        flat = '\nformat = "flat"' * (not self.place.startswith(("http:", "https:")))
        return "\n".join(
            [
                *("[project]", 'name = "wanted"', 'version = "0"'),
                f"dependencies = {json.dumps(asked)}",
                *("[[tool.uv.index]]", 'name = "torch"', f"url = {json.dumps(self.place)}{flat}"),
                *("explicit = true", "[tool.uv.sources]"),
                *(f'{one} = {{ index = "torch" }}' for one in taken),
            ]
        )


def torch_build(wish: str, config: Mapping[str, object]) -> TorchBuild:
    """Return the build for a tool.

    Parameters
    ----------
    wish : str
        ``auto``, ``cpu``; empty: the tool does not say.
    config : mapping
        The ``runner`` section.
    """
    if not wish:
        return TorchBuild()
    if place := settings.TORCH_INDEX.of(config):
        local = "://" not in place
        return TorchBuild("index", str(Path(place).expanduser().absolute()) if local else place)
    users = os.environ.get("UV_TORCH_BACKEND", "")
    if re.fullmatch(r"cpu|xpu|cu\d+|rocm[\d.]+", users):
        return _own(users)
    card = graphics() if wish == "auto" else Graphics()
    if card.kind == "nvidia" and card.cuda:
        driver = {"UV_CUDA_DRIVER_VERSION": card.driver}
        options = ("--torch-backend", "auto")
        return TorchBuild(f"cuda{card.cuda.partition('.')[0]}", _OWN_INDEX, options, driver)
    # the usual index has the build without CUDA for the other systems
    return _own("cpu") if sys.platform.startswith("linux") else TorchBuild()


def _names(requirements: Sequence[str]) -> set[str]:
    return {re.split(r"[^A-Za-z0-9._-]", one)[0].lower() for one in requirements}


def _own(name: str) -> TorchBuild:
    return TorchBuild(name, f"{_OWN_INDEX}/{name}", ("--torch-backend", name))


def cuda_remark(names: Sequence[str]) -> str:
    """Say of an environment with these packages that it is for a card that is not here."""
    if graphics().kind == "nvidia" or not any(one.startswith("nvidia-c") for one in names):
        return ""
    return (
        "PyTorch for NVIDIA cards is what the index has, and larger than its build for the "
        "processor; no such card was found, so it runs on the processor."
    )
