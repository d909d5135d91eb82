"""Pre-flight of a tool on DOCKER: what would be fetched, and what is in the way."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING

from napari_tool_runner import settings
from napari_tool_runner.plugins.contract import Fetch, Plan
from napari_tool_runner.plugins.docker.images import find_image
from napari_tool_runner.plugins.docker.registry import RegistryError, ask_manifest
from napari_tool_runner.storage import size_text

if TYPE_CHECKING:
    from napari_tool_runner.plugins.docker.client import Engine
    from napari_tool_runner.plugins.docker.images import Reference

__all__ = ["plan_image"]

UNPACKED = 2.5
"""How many times larger layers become, about, when they are unpacked."""


def plan_image(engine: Engine, reference: Reference, config: Mapping[str, object]) -> Plan:
    """Return what a run of the image `reference` would need on `engine`."""
    platform = settings.PLATFORM.of(config) or engine.platform
    problems: list[str] = []
    remarks: list[str] = []
    fetches: tuple[Fetch, ...] = ()
    image = find_image(engine, reference)
    if image is None:
        size: int | None = None
        try:
            manifest = ask_manifest(engine, reference, platform)
        except RegistryError as error:
            if error.status == 404:
                problems.append(f"{error.message} Check the name and the tag.")
            else:
                remarks.append(f"{error.message} So the size of the image is unknown.")
        else:
            size = manifest.size or None
            if not manifest.chosen:
                problems.append(
                    f"The image {reference} is made for {', '.join(manifest.platforms)}, this "
                    f"computer is {platform}. Ask its authors, or set “platform” of the runner "
                    "to have it emulated."
                )
        fetches = (Fetch(f"container image {reference}", size),)
        _judge_disk(engine, size, problems, remarks)
    else:
        remarks.append(f"The image {reference} is here ({size_text(image.size)}).")
        if remark := image.emulation_remark(platform):
            remarks.append(remark)
    if settings.GPUS.of(config) and not has_gpu(engine):
        problems.append(
            f"A GPU is asked for, but {engine.name} here cannot give one. "
            "Install the NVIDIA Container Toolkit, or ask for no GPU."
        )
    return Plan(fetches, tuple(problems), tuple(remarks))


def has_gpu(engine: Engine) -> bool:
    """Say whether the engine knows how to give a GPU to a container."""
    runtimes = engine.info.get("Runtimes") or {}
    return bool(
        "nvidia" in runtimes
        or engine.info.get("DiscoveredDevices")
        or (engine.endpoint.local and shutil.which("nvidia-container-runtime-hook"))
    )


def _judge_disk(engine: Engine, size: int | None, problems: list[str], remarks: list[str]) -> None:
    place = engine.root_dir
    virtual = "desktop" in str(engine.info.get("OperatingSystem", "")).lower()
    if not engine.endpoint.local or virtual or not place.is_dir():
        return
    free = shutil.disk_usage(place).free
    if size is not None and size * UNPACKED > free:
        problems.append(
            f"The image needs about {size_text(size * UNPACKED)} in {place}, where only "
            f"{size_text(free)} are free. Free some space first (`napari-tool-runner clean`)."
        )
    else:
        remarks.append(f"{size_text(free)} are free for images.")
