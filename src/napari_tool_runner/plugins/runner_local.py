"""LOCAL: the program runs on this computer as it is, with no environment of its own."""

from __future__ import annotations

import os
import shutil
import site
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner import settings
from napari_tool_runner._lazy import compiled
from napari_tool_runner.plugins.contract import Availability, Place, Plan, RunnerService, Stored
from napari_tool_runner.plugins.process import ExecContext, Process, Session, context_of
from napari_tool_runner.plugins.programs.enclosure import enclosure_words, is_enclosing
from napari_tool_runner.plugins.programs.environment import host_environment, path_with
from napari_tool_runner.plugins.programs.fingerprint import programs_state
from napari_tool_runner.plugins.programs.installed import python_places, with_prefixes
from napari_tool_runner.plugins.programs.local_path import local_path
from napari_tool_runner.plugins.programs.program import gpu_remark, run_here
from napari_tool_runner.plugins.runners_factory import ServiceBuilder
from napari_tool_runner.plugins.warm.pool import stored
from napari_tool_runner.tools.model import ContainerRequirement, PythonRequirement
from napari_tool_runner.tools.own_folder import folder_is_shared

if TYPE_CHECKING:
    from napari_tool_runner.tools.model import Requirement, Tool

__all__ = ["LocalRunnerService", "LocalRunnerServiceBuilder"]


class LocalRunnerService(RunnerService):
    """Runs programs of this computer.

    A tool without requirements finds this Python first. A tool with requirements, which
    LOCAL does not provide, finds this Python first, too (napari's packages are a better
    guess than those of the system's Python), unless a virtual or conda environment is
    active: then that comes first, since somebody has chosen it.
    """

    service_name = "LOCAL"

    def session(self, process: Process) -> AbstractContextManager[Session]:
        """Return a session; there is nothing to prepare."""
        return nullcontext(_LocalSession(self, process))

    def check(self) -> Availability:
        """LOCAL works everywhere."""
        told = enclosure_words(self.config)
        return Availability(True, f"Programs of this computer. {told}", {"python": sys.executable})

    @property
    def lends(self) -> bool:
        """Whether its programs are enclosed."""
        return is_enclosing(self.config)

    def supports(self, tool: Tool) -> Availability:
        """Say whether `tool` can run: always, but what it requires is not provided."""
        if not tool.requirements:
            return Availability(True)
        wanted = ", ".join(_words(entry) for entry in tool.requirements)
        return Availability(
            True,
            f"LOCAL does not provide what the tool requires ({wanted}); "
            "it works only if that is installed on this computer.",
        )

    def plan(self, tool: Tool) -> Plan:
        """Pre-flight: nothing is fetched; what is ignored is told."""
        remarks = [text for text in (self.supports(tool).message, gpu_remark(self.config)) if text]
        missing = self._missing_program(tool)
        if missing and not tool.scripted:
            return Plan(problems=(missing,), remarks=tuple(remarks))
        # in a script what comes first may be anything
        return Plan(remarks=(*remarks, missing) if missing else tuple(remarks))

    def place(self, tool: Tool) -> Place:
        """Programs of this computer, with what keeps them apart."""
        network = tool.network or settings.NETWORK.of(self.config) or not self.lends
        told = "have the network, with servers of this computer" if network else "have no network"
        return Place(
            self.service_name, rights=f"{self.check().message} They run as you, and {told}."
        )

    def fingerprint(
        self, tool: Tool, context: ExecContext, args: Sequence[str]
    ) -> Mapping[str, object] | None:
        """Return all that its walls show, if it has some."""
        variables = _variables(tool, context, self.config)
        return programs_state(context, self.config, variables, _shown(args, variables))

    def stored(self) -> list[Stored]:
        """Return processes that have imported what programs import, and that no job uses."""
        return stored()

    def _missing_program(self, tool: Tool) -> str:
        """Say which program of the command is not on this computer, if it names one."""
        met = _PROGRAM.match(tool.command)
        if met is None or _FOUND_ANYWAY.fullmatch(met.group(1)):
            return ""
        name = met.group(1)
        folders = [*settings.LOCAL_PATH.of(self.config), Path(sys.executable or os.sep).parent]
        if shutil.which(name, path=path_with(folders, os.environ.get("PATH"))):
            return ""
        return (
            f"The program {name!r} was not found on this computer: install it, or add its folder "
            "to 'path' in the runner section of the configuration."
        )


class _LocalSession:
    def __init__(self, service: LocalRunnerService, process: Process) -> None:
        self._config = service.config
        self._tool = process.tool
        self._context = context_of(process)
        self._ignored = service.supports(process.tool).message

    def exec(self, args: list[str]) -> int:
        context, config = self._context, self._config
        if self._tool.requirements:
            context.say(self._ignored)
        if context.resources.memory_bytes is not None:
            context.say("LOCAL does not enforce the memory limit.")
        variables = _variables(self._tool, context, config)
        shown = _shown(args, variables)
        return run_here(self._tool, args, context, config, variables, shown)


def _variables(tool: Tool, context: ExecContext, config: Mapping[str, object]) -> dict[str, str]:
    """Return the variables of a program, before what belongs to the job."""
    variables = host_environment(network=context.network, passed=settings.PASS_ON.of(config))
    if site.ENABLE_USER_SITE and site.USER_BASE:  # packages of a home that it does not see
        variables.setdefault("PYTHONUSERBASE", site.USER_BASE)
    variables["PATH"] = local_path(tool, context, config, variables)
    return variables


LocalRunnerServiceBuilder = partial(ServiceBuilder, __name__, LocalRunnerService.__name__)
"""Makes a builder, which makes one `LocalRunnerService` and returns it for ever."""


# the first word of a command, when it is a name and nothing else
_PROGRAM = compiled(r"\s*([A-Za-z_][\w.+-]*)(?=\s|$)")
# words that a shell knows without any program; LOCAL sees to Python
_FOUND_ANYWAY = compiled(
    r"python3?"
    r"|alias|case|cd|command|echo|eval|exec|export|for|function|if|printf|read|set|shopt|source"
    r"|test|time|trap|true|type|ulimit|umask|unset|until|wait|while"
)


def _shown(args: Sequence[str], variables: Mapping[str, str]) -> set[Path]:
    """Return what an enclosed program sees of what is installed on this computer."""
    libraries = variables.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    return {
        *python_places(),
        *with_prefixes([*variables["PATH"].split(os.pathsep), *libraries]),
        *_program_places(args, variables["PATH"]),
    }


def _program_places(args: Sequence[str], path: str) -> set[Path]:
    """Return where the program lies, and really lies: a link on the path leads to an installation.

    Of what a command names by its path it is the file itself, unless a Python is installed there.
    """
    found = shutil.which(args[0], path=path) if args else None
    if found is None:
        return set()
    # that of a virtual environment is a link to the Python of another installation
    files = {Path(found), Path(os.path.realpath(found))}
    prefixes = {one.parent.parent for one in files}
    marks = (one / name for one in prefixes for name in ("pyvenv.cfg", "conda-meta"))
    installed = os.sep not in args[0] or any(map(os.path.exists, marks))
    places: set[Path] = set()
    for one in files:
        if installed and not folder_is_shared(one.parent, installed=True):
            places |= with_prefixes([one.parent])
        else:
            places.add(one)
    return places


def _words(entry: Requirement) -> str:
    if isinstance(entry, ContainerRequirement):
        return f"container {entry.image}"
    if isinstance(entry, PythonRequirement):
        return f"from PyPI {entry.asked}"
    if entry.text:
        return f"packages {entry.text}"
    return f"package {entry.name} {entry.version}".strip()
