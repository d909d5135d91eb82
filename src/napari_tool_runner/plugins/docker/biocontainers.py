"""The BioContainers image of a Galaxy tool that only names packages.

Galaxy computes the name of an image from names and versions of the packages; which
builds there are, the engine (what it has already) or the registry says.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from napari_tool_runner import settings
from napari_tool_runner.errors import PreparationError
from napari_tool_runner.plugins.docker.images import Reference, parse_reference
from napari_tool_runner.plugins.docker.registry import RegistryError, ask_tags
from napari_tool_runner.tools.model import ContainerRequirement, PackageRequirement

if TYPE_CHECKING:
    from napari_tool_runner.plugins.docker.client import Engine
    from napari_tool_runner.tools.model import Tool

__all__ = [
    "biocontainer_image",
    "biocontainer_name",
    "find_biocontainer",
    "named_image",
    "present_biocontainer",
]

_CONDA = "Choose CONDA for this tool: it installs the packages themselves."


def _has_biocontainer(tool: Tool) -> bool:
    """Say whether an image may be computed for `tool`: packages by name, no container."""
    packages = _packages(tool)
    return (
        bool(packages)
        and all(entry.name for entry in packages)
        and not any(isinstance(entry, ContainerRequirement) for entry in tool.requirements)
    )


def biocontainer_image(tool: Tool, config: Mapping[str, object]) -> tuple[str, str]:
    """Return repository and version (without build) of the image of `tool`."""
    name, _, version = biocontainer_name(tool).partition(":")
    return f"{_home(config)}/{name}", version


def biocontainer_name(tool: Tool) -> str:
    """Return the name of the BioContainers image that Galaxy computes for `tool`.

    One package gives ``scikit-image:0.22.0``, several ``mulled-v2-<hash>:<hash>``.
    The name has neither registry nor build number: a registry's list of tags of the
    name completes it (``0.22.0--py310h_1``, ``<hash>-0``). Empty without packages.
    """
    from galaxy.tool_util.deps.mulled.util import build_target, v2_image_name

    targets = [
        build_target(entry.name, version=entry.version or None)
        for entry in _packages(tool)
        if entry.name
    ]
    return str(v2_image_name(targets)) if targets else ""


def present_biocontainer(
    engine: Engine, tool: Tool, config: Mapping[str, object]
) -> Reference | None:
    """Return the image of `tool` that the engine has, with its build; None if it has none."""
    repository, version = biocontainer_image(tool, config)
    present = [
        str(tag).rpartition(":")[2]
        for image in engine.client.api.images(name=repository)
        for tag in image.get("RepoTags") or []
    ]
    found = _latest(present, version)
    return parse_reference(f"{repository}:{found}") if found else None


def find_biocontainer(engine: Engine, tool: Tool, config: Mapping[str, object]) -> Reference:
    """Return the image with its build: one that the engine has, else the latest there is.

    Raises
    ------
    PreparationError
        There is none, or the registry does not answer.
    """
    present = present_biocontainer(engine, tool, config)
    if present is not None:
        return present
    repository, version = biocontainer_image(tool, config)
    packages = ", ".join(f"{entry.name} {entry.version}".strip() for entry in _packages(tool))
    wanted = f"{repository}:{version}" if version else repository
    try:
        tags = ask_tags(engine, parse_reference(wanted))
    except RegistryError as error:
        # a registry that hides what it has not says “unauthorized”
        if error.status not in (401, 403, 404):
            raise PreparationError(
                f"{tool.name} names packages only ({packages}), and the registry that may have "
                f"an image of them ({repository}) cannot be asked.",
                hint=f"Try again later. {_CONDA}",
            ) from error
        tags = []
    found = _latest(tags, version)
    if not found:
        raise PreparationError(
            f"{tool.name} names packages only ({packages}), and BioContainers has no image of "
            f"them: it would be {wanted}.",
            hint=_CONDA,
        )
    return parse_reference(f"{repository}:{found}")


def _packages(tool: Tool) -> list[PackageRequirement]:
    return [entry for entry in tool.requirements if isinstance(entry, PackageRequirement)]


def _latest(tags: Iterable[str], version: str) -> str:
    """Return the tag of the highest build (and version, when none is asked for)."""
    from galaxy.tool_util.deps.mulled.util import version_sorted

    fitting = [
        tag
        for tag in tags
        if not version or tag == version or tag.startswith((f"{version}--", f"{version}-"))
    ]
    return str(version_sorted(fitting)[0]) if fitting else ""


def _home(config: Mapping[str, object]) -> str:
    """Where the images are: ``biocontainers`` of the runner section, else their home."""
    named = settings.BIOCONTAINERS.of(config)
    if named:
        return named.rstrip("/")
    from galaxy.tool_util.deps.mulled.mulled_build import DEFAULT_REPOSITORY_TEMPLATE

    template = string.Template(DEFAULT_REPOSITORY_TEMPLATE)
    return template.substitute(namespace="biocontainers", image="").rstrip("/")


def named_image(tool: Tool) -> Reference | None:
    """Return the image that `tool` names; None: one may be found for its packages.

    Raises
    ------
    PreparationError
        It names no docker image, and no packages either.
    """
    others = []
    for entry in tool.requirements:
        if isinstance(entry, ContainerRequirement):
            if entry.type == "docker" or entry.image.startswith("docker://"):
                return parse_reference(entry.image)
            others.append(f"{entry.type} {entry.image}")
    if _has_biocontainer(tool):
        return None
    only = f"docker image, only {', '.join(others)}" if others else "container image"
    raise PreparationError(
        f"{tool.name} names no {only}.",
        hint="Choose another runner service (CONDA for conda packages, UV for those of PyPI, "
        "LOCAL for nothing).",
    )
