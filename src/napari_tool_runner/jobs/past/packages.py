"""The packages of a past job: taken again, and compared with those of another run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_tool_runner.names import count_text
from napari_tool_runner.quoting import one_line
from napari_tool_runner.tools.model import PythonRequirement

if TYPE_CHECKING:
    from napari_tool_runner.jobs.record import RunRecord
    from napari_tool_runner.tools.model import Tool

__all__ = ["other_packages", "packages_of", "with_packages_of"]

_MOST_TOLD = 3


def with_packages_of(tool: Tool, record: RunRecord) -> Tool:
    """Return `tool` with the packages from PyPI that a past job had, as a lock of its own.

    So it is unless it asks for others now, or has a lock.
    """
    pins = tuple(
        f"{one['name']}=={one['version']} --hash=sha256:{one['sha256']}"
        for one in packages_of(record)
        if re.fullmatch("[0-9a-f]{64}", str(one.get("sha256")))
    )
    asked = [one for one in tool.requirements if isinstance(one, PythonRequirement)]
    specs = _environment(record).get("specs")
    now = sorted({text for one in asked for text in one.requirements})
    if (
        not pins
        or any(one.pins for one in asked)
        or not isinstance(specs, list)
        or now != sorted(map(str, specs))
    ):
        return tool
    requirements = (
        replace(one, pins=pins) if isinstance(one, PythonRequirement) else one
        for one in tool.requirements
    )
    return replace(tool, requirements=tuple(requirements))


def other_packages(then: RunRecord, now: RunRecord) -> str:
    """Say in a sentence which packages, or which image, a job had that another has not."""
    one, two = then.runner.provenance, now.runner.provenance
    images = one.get("image_id"), two.get("image_id")
    if all(images) and images[0] != images[1]:
        return f"It ran in another image of {one_line(str(two.get('image')))} than then."
    old, new = (
        {str(p["name"]): str(p["version"]) for p in packages_of(record)} for record in (then, now)
    )
    if not (old and new) or old == new:
        return ""
    changed = [
        f"{name} {old.get(name, 'none')} → {new.get(name, 'none')}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]
    told = one_line(", ".join(changed[:_MOST_TOLD]))
    more = f" and {len(changed) - _MOST_TOLD} more" if len(changed) > _MOST_TOLD else ""
    return f"{count_text(len(changed), 'package')} not as then: {told}{more}."


def packages_of(record: RunRecord) -> list[Mapping[str, object]]:
    """Return what a record tells of packages, those that have name and version."""
    found = _environment(record).get("packages")
    told = [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []
    return [
        one
        for one in told
        if all(re.fullmatch(r"[\w.+!-]+", str(one.get(key))) for key in ("name", "version"))
    ]


def _environment(record: RunRecord) -> Mapping[str, object]:
    told = record.runner.provenance.get("environment")
    return told if isinstance(told, Mapping) else {}
