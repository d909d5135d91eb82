"""The name of an image, as people and registries write it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import docker.auth
import docker.errors

from napari_tool_runner.errors import PreparationError

__all__ = ["Reference", "parse_reference"]


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
    wrong = (at and not digest.startswith("sha256:")) or (colon and not tag) or not last
    if (
        not wrong
        and not any(sign.isspace() for sign in given)
        and repository.lower() == repository
    ):
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
