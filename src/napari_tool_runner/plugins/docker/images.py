"""Images: their names, as people and registries write them, and those that an engine has."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import docker.auth
import docker.errors

from napari_tool_runner.data_classes import dataclass, field
from napari_tool_runner.errors import PreparationError

if TYPE_CHECKING:
    from napari_tool_runner.plugins.docker.client import Engine

__all__ = ["Image", "Reference", "find_image", "is_digest", "parse_reference"]


@dataclass(frozen=True, slots=True)
class Reference:
    """The name of an image: ``registry/repository:tag`` or ``…@sha256:…``.

    `name` is what the engine calls the repository; `registry` is ``docker.io`` when the
    name has none; `path` is the repository as that registry knows it.
    """

    name: str
    registry: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def version(self) -> str:
        """The digest when there is one, else the tag."""
        return self.digest or self.tag

    def __str__(self) -> str:
        if self.digest:
            return f"{self.name}@{self.digest}"
        return f"{self.name}:{self.tag}"


# as engines read it: so no “..” and nothing empty leads to another registry
_PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_HOST = r"(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::\d+)?"
_REPOSITORY = re.compile(rf"(?:{_HOST}/)?{_PART}(?:/{_PART})*")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LONGEST = 255
_IDS = frozenset({"sha256", "sha384", "sha512"})
"""What engines read, with what is like a tag, as the number of any image that they have."""


def is_digest(text: object) -> bool:
    """Whether it is the digest of something in a registry."""
    return isinstance(text, str) and bool(_DIGEST.fullmatch(text))


def parse_reference(text: str) -> Reference:
    """Read the name of an image; a ``docker://`` in front is dropped.

    Raises
    ------
    PreparationError
        It is no name of an image.
    """
    given = text.strip().removeprefix("docker://")
    name, at, digest = given.partition("@")
    head, _, last = name.rpartition("/")
    last, colon, tag = last.partition(":")
    repository = f"{head}/{last}" if head else last
    wrong = (at and not is_digest(digest)) or (colon and not _TAG.fullmatch(tag))
    wrong = wrong or repository in _IDS or len(repository) > _LONGEST
    if not wrong and _REPOSITORY.fullmatch(repository):
        with contextlib.suppress(docker.errors.DockerException):
            registry, path = docker.auth.resolve_repository_name(repository)
            if registry == docker.auth.INDEX_NAME and "/" not in path:
                path = f"library/{path}"
            return Reference(
                repository, registry, path, tag or ("" if digest else "latest"), digest
            )
    raise PreparationError(
        f"“{text}” is no name of a container image.",
        hint="It should look like name:tag or registry/name@sha256:…, in small letters.",
    )


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

    def emulation_remark(self, platform: str) -> str:
        """Say that it is made for another platform than the wanted one; empty if it is not."""
        if not self.platform or platform.startswith(self.platform):
            return ""
        return (
            f"The image is made for {self.platform}, this computer is {platform}: "
            "it may be slow (emulated), or not run at all."
        )


def find_image(engine: Engine, reference: Reference) -> Image | None:
    """Return the image if the engine has it, None if not."""
    try:
        found: dict[str, Any] = engine.client.api.inspect_image(str(reference))
    except docker.errors.ImageNotFound:
        return None
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
