"""What environment a tool asks of PyPI, and what it is called."""

from __future__ import annotations

import json
import platform
import re
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_tool_runner import settings
from napari_tool_runner.addresses import public_url
from napari_tool_runner.data_classes import dataclass, field
from napari_tool_runner.plugins.uv.indexes import Indexes, users_indexes
from napari_tool_runner.plugins.uv.pythons import Interpreter, find_python
from napari_tool_runner.plugins.uv.same_names import from_pypi
from napari_tool_runner.plugins.uv.torch import TorchBuild, torch_build
from napari_tool_runner.storage import short_digest
from napari_tool_runner.tools.model import PackageRequirement, PythonRequirement

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_tool_runner.plugins.environments import Environment, EnvironmentStore
    from napari_tool_runner.tools.model import Tool

__all__ = ["UvSpec", "Wanted", "read_spec", "wanted_environment"]

# a change here builds every environment anew
_LAYOUT = 1


@dataclass(frozen=True, slots=True)
class UvSpec:
    """An environment as a tool asks for it; its fields are those of `PythonRequirement`."""

    requirements: tuple[str, ...]
    python: str = ""
    indexes: tuple[str, ...] = ()
    pins: tuple[str, ...] = ()
    source: str = ""
    torch: str = ""

    @property
    def text(self) -> str:
        """The packages in one line."""
        return ", ".join(self.requirements) or "no packages, nothing but Python"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The environment of a tool, with what this computer has."""

    spec: UvSpec
    indexes: Indexes
    python: Interpreter
    key: str
    store: EnvironmentStore
    config: Mapping[str, object] = field(repr=False)
    """The ``runner`` section."""
    torch: TorchBuild = field(default_factory=TorchBuild)

    @property
    def offline(self) -> str:
        """Which setting keeps uv from the network; empty: none."""
        return "'offline'" if settings.OFFLINE.of(self.config) else self.indexes.offline


def read_spec(tool: Tool) -> UvSpec | None:
    """Return the environment that `tool` asks for, None when it requires nothing of PyPI.

    Of a tool that names conda packages alone it is that of the same ones, if PyPI has all of them:
    it is used by who chooses UV for it.
    """
    found = [entry for entry in tool.requirements if isinstance(entry, PythonRequirement)]
    if not found:
        packages = [one for one in tool.requirements if isinstance(one, PackageRequirement)]
        found = [one for one in (from_pypi(packages),) if one is not None]
    if not found:
        return None
    return UvSpec(
        requirements=tuple(dict.fromkeys(one for entry in found for one in entry.requirements)),
        python=",".join(dict.fromkeys(entry.python for entry in found if entry.python)),
        indexes=tuple(dict.fromkeys(one for entry in found for one in entry.indexes)),
        pins=tuple(dict.fromkeys(one for entry in found for one in entry.pins)),
        source=next((entry.source for entry in found if entry.source), ""),
        torch=next((entry.torch for entry in found if entry.torch), ""),
    )


def wanted_environment(
    tool: Tool, config: Mapping[str, object], store: EnvironmentStore
) -> Wanted | None:
    """Return the environment that `tool` needs, None when it requires nothing of PyPI.

    Raises
    ------
    PreparationError, ConfigError
        No Python fits, or a key of the configuration is wrong.
    """
    spec = read_spec(tool)
    if spec is None:
        return None
    indexes = users_indexes().before(spec.indexes)
    python = find_python(spec.python, tool.name)
    torch = torch_build(spec.torch, config)
    key = _key(spec, python, indexes, torch)
    if spec.pins:  # what was made without them, and has those versions, serves as well
        free = _key(replace(spec, pins=()), python, indexes, torch)
        found = store.find(free)
        key = free if found is not None and _has(found, spec.pins) else key
    return Wanted(spec, indexes, python, key, store, config, torch)


def _has(environment: Environment, pins: tuple[str, ...]) -> bool:
    """Whether each package of an environment is one that the pins name, with its file."""
    told = environment.data.get("packages")
    known = {one.split()[0]: one.split()[1:] for one in pins}
    for one in told if isinstance(told, list) else [{}]:
        hashes = known.get(f"{one.get('name')}=={one.get('version')}")
        if hashes is None or (hashes and f"--hash=sha256:{one.get('sha256')}" not in hashes):
            return False
    return True


def _key(spec: UvSpec, python: Interpreter, indexes: Indexes, torch: TorchBuild) -> str:
    """Return the name of the environment's folder: a word, and a hash of what is in it."""
    places = [public_url(one) for one in indexes.places]
    content = json.dumps(
        [
            *(_LAYOUT, sorted(spec.requirements), sorted(spec.pins), python.series, places),
            *(sys.platform, platform.machine().lower()),
            *([torch.name, public_url(torch.place)] if torch.name else []),
        ]
    )
    name = re.split(r"[^A-Za-z0-9._-]", spec.requirements[0] if spec.requirements else "python")[0]
    word = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return f"{word[:20] or 'env'}-{short_digest(content)[:12]}"
