"""Images that an engine has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import docker.errors

if TYPE_CHECKING:
    from napari_tool_runner.plugins.docker.client import Engine
    from napari_tool_runner.plugins.docker.reference import Reference

__all__ = ["Image", "find_image"]


@dataclass(frozen=True, slots=True)
class Image:
    """An image that the engine has."""

    id: str
    reference: Reference
    digest: str = ""
    size: int = 0
    platform: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def entrypoint(self) -> list[str]:
        """Program and arguments that the image runs by itself, without its defaults."""
        return [str(part) for part in self.config.get("Entrypoint") or []]

    @property
    def command(self) -> list[str]:
        """Default arguments of the entry point."""
        return [str(part) for part in self.config.get("Cmd") or []]

    @property
    def environment(self) -> dict[str, str]:
        """Variables that the image sets."""
        pairs = (str(entry).partition("=") for entry in self.config.get("Env") or [])
        return {name: value for name, _, value in pairs}


def find_image(engine: Engine, reference: Reference) -> Image | None:
    """Return the image if the engine has it, None if not."""
    try:
        found: dict[str, Any] = engine.client.api.inspect_image(str(reference))
    except docker.errors.ImageNotFound:
        return None
    return _image(reference, found)


def _image(reference: Reference, found: Mapping[str, Any]) -> Image:
    digests = [str(entry) for entry in found.get("RepoDigests") or []]
    wanted = {reference.name, f"{reference.registry}/{reference.path}"}
    digest = next((entry for entry in digests if entry.partition("@")[0] in wanted), "")
    return Image(
        id=str(found["Id"]),
        reference=reference,
        digest=digest.partition("@")[2],
        size=int(found.get("Size") or 0),
        platform=f"{found.get('Os', 'linux')}/{found.get('Architecture', '')}",
        config=found.get("Config") or {},
    )
