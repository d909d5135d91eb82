"""What a Galaxy tool needs: conda packages and containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_tool_runner.tools.model import (
    ContainerRequirement,
    PackageRequirement,
    Requirement,
)

if TYPE_CHECKING:
    from napari_tool_runner.tools.common import Notes
    from napari_tool_runner.tools.galaxy.source import GalaxySource

__all__ = ["read_requirements"]

_NODE = PackageRequirement(name="nodejs")


def read_requirements(source: GalaxySource, notes: Notes) -> tuple[Requirement, ...]:
    """Read ``<requirements>`` in the descriptor's order: packages, then containers."""
    packages, containers, resources, *rest = source.tool.parse_requirements()
    found: list[Requirement] = []
    for entry in packages:
        if entry.type == "package" and entry.name:
            found.append(PackageRequirement(name=entry.name, version=entry.version or ""))
            continue
        notes.warning(
            f"requirements/requirement[{entry.name}]",
            f"A requirement of the type “{entry.type}” is not provided here.",
        )
    for container in containers:
        kind = str(container.type)
        if kind in ("docker", "singularity") and container.identifier:
            found.append(ContainerRequirement(type=kind, image=str(container.identifier).strip()))
            continue
        notes.warning(
            f"requirements/container[{container.identifier}]",
            f"Containers of the type “{kind}” are not run here.",
        )
    for resource in resources:
        notes.info(
            f"requirements/resource[{resource.resource_type}]",
            f"It asks for {resource.resource_type} = {resource.value_or_expression}; "
            "set such limits in the configuration.",
        )
    if rest and rest[-1]:
        notes.error(
            "requirements/credentials",
            "It needs credentials that a Galaxy server keeps.",
        )
    if source.tool.parse_tool_type() == "expression" and not found:
        found.append(_NODE)
    return tuple(found)
