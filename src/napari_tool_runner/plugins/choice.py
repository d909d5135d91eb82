"""Which service runs a tool when the configuration names none, and what works here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.plugins.adapter import AdaptedService, as_service
from napari_tool_runner.plugins.contract import Availability
from napari_tool_runner.plugins.discovery import load_plugin_dirs, plugin_problems
from napari_tool_runner.plugins.runners_factory import RunnerServiceProvider, runnerServices
from napari_tool_runner.tools.model import PackageRequirement

if TYPE_CHECKING:
    from napari_tool_runner.tools.model import Tool

__all__ = ["Choice", "check_all", "choose_service", "fitting_services"]


@dataclass(frozen=True, slots=True)
class Choice:
    """The service that was chosen for a tool.

    Parameters
    ----------
    name : str
        Its name in ``runnerServices``.
    reason : str
        Why, in words that follow the name (“LOCAL, since the tool requires nothing”).
    available : bool
        False: it is what the tool requires, but it does not work on this computer (the
        reason says what to do).
    """

    name: str
    reason: str
    available: bool = True


def choose_service(
    tool: Tool,
    config: Mapping[str, object] | None = None,
    provider: RunnerServiceProvider = runnerServices,
) -> Choice:
    """Choose by what `tool` requires and what this computer has.

    A tool without requirements runs with LOCAL. Otherwise its requirements are tried in
    the order of the descriptor, packages with CONDA and containers with DOCKER; when
    none of their services works here, the first is returned with ``available=False``.

    Parameters
    ----------
    tool : Tool
    config : mapping, optional
        The ``runner`` section of the configuration.
    """
    problems: list[str] = []
    first = ""
    for name, what in fitting_services(tool):
        found = _availability(name, config, provider, tool)
        if found.ok:
            others = f" ({' '.join(problems)})" if problems else ""
            return Choice(name, f"since {what}{others}")
        first = first or name
        problems.append(f"{name} cannot: {found.message}")
    if not first and not tool.requirements:
        return Choice("LOCAL", "since the tool requires nothing")
    if not first:
        kinds = ", ".join(sorted({entry.type for entry in tool.requirements}))
        return Choice(
            "LOCAL",
            f"since no service provides what the tool requires ({kinds}); "
            "it works only if that is installed on this computer",
        )
    reason = f"which the tool needs, but which does not work here. {' '.join(problems)}"
    return Choice(first, reason, available=False)


def fitting_services(tool: Tool) -> Iterator[tuple[str, str]]:
    """Yield the services that provide what `tool` requires, with the requirement in words.

    In the order of the descriptor, each once; nothing for a tool without requirements.
    """
    met: set[str] = set()
    for entry in tool.requirements:
        if isinstance(entry, PackageRequirement):
            name, what = "CONDA", "the tool requires conda packages"
        elif entry.type == "docker":
            name, what = "DOCKER", f"the tool requires the container {entry.image}"
        else:
            continue
        if name not in met:
            met.add(name)
            yield name, what


def check_all(
    config: Mapping[str, object] | None = None,
    provider: RunnerServiceProvider = runnerServices,
) -> list[tuple[str, Availability]]:
    """Say for every registered service whether it works on this computer.

    The services of ``plugin_dirs`` in `config` are among them. A plugin that cannot be
    loaded is listed under the name of its file, with what is wrong.
    """
    load_plugin_dirs((config or {}).get("plugin_dirs"), provider)
    found = [(name, _availability(name, config, provider)) for name in provider.names()]
    for problem in plugin_problems():
        name = Path(problem.where.partition(" = ")[0]).name
        found.append((name, Availability(False, str(problem))))
    return found


def _availability(
    name: str,
    config: Mapping[str, object] | None,
    provider: RunnerServiceProvider,
    tool: Tool | None = None,
) -> Availability:
    try:
        service: AdaptedService = as_service(provider.get(name, **(config or {})), name)
        found = service.check()
        if tool is not None and found.ok:
            found = service.supports(tool)
    except ToolRunnerError as error:
        return Availability(False, str(error))
    except Exception as error:  # noqa: BLE001 (a plugin may raise anything; the others count)
        return Availability(False, f"{type(error).__name__}: {error}.")
    return found
