"""UV: each tool in an environment from PyPI of its own, made by uv, started directly."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.addresses import public_url
from napari_tool_runner.plugins.contract import Availability, Origin, Place, Plan, Stored
from napari_tool_runner.plugins.environment_service import EnvironmentService, outer_variables
from napari_tool_runner.plugins.process import ExecContext, Process, Session, context_of
from napari_tool_runner.plugins.programs.enclosure import enclosure_words
from napari_tool_runner.plugins.programs.environment import path_with
from napari_tool_runner.plugins.programs.fingerprint import programs_state
from napari_tool_runner.plugins.programs.installed import with_prefixes
from napari_tool_runner.plugins.programs.program import run_here
from napari_tool_runner.plugins.runner_local import LocalRunnerService
from napari_tool_runner.plugins.runners_factory import ServiceBuilder
from napari_tool_runner.plugins.uv.compiling import base_of, programs_of
from napari_tool_runner.plugins.uv.indexes import users_indexes
from napari_tool_runner.plugins.uv.maker import UvMaker
from napari_tool_runner.plugins.uv.spec import read_spec, wanted_environment
from napari_tool_runner.plugins.uv.torch import cuda_remark, torch_build
from napari_tool_runner.tools.model import PythonRequirement

if TYPE_CHECKING:
    from napari_tool_runner.plugins.environments import Environment
    from napari_tool_runner.tools.model import Tool

__all__ = ["UvRunnerService", "UvRunnerServiceBuilder"]

_WHEELS = "Only ready-made packages (wheels) are installed: nothing of them runs meanwhile."


class UvRunnerService(EnvironmentService):
    """Runs tools in environments from PyPI, one for each different set of packages."""

    service_name = "UV"
    recorded = ("specs", "python", "indexes", "packages", "lock")

    def __init__(self, config: Mapping[str, object] | None = None) -> None:
        super().__init__(config)
        self._maker = UvMaker()

    @contextmanager
    def session(self, process: Process) -> Iterator[Session]:
        """Make the environment of the tool, unless it is there; hold it for the job.

        Raises
        ------
        PreparationError, ConfigError, JobCancelledError
        """
        context, tool = context_of(process), process.tool
        wanted = wanted_environment(tool, self.config, self.store)
        if wanted is None:
            context.say(self.supports(tool).message)
            with LocalRunnerService(self.config).session(process) as local:
                yield local
            return
        make = partial(self._maker.make, tool, wanted, context)
        with self._held(wanted, make, context) as found:
            if remark := cuda_remark(_names(found)):
                context.say(remark)
            yield _UvSession(tool, found.prefix, context, self.config)

    def check(self) -> Availability:
        """Say whether environments can be made here."""
        # asked for by windows: nothing heavy is imported
        if find_spec("uv") is None:
            return Availability(False, "uv is missing: install the package uv.")
        if why := self._unwritable():
            return why
        folder = self.store.folder
        told = f"Environments are made in {folder}. {enclosure_words(self.config)} {_WHEELS}"
        return Availability(True, told, {"environments": str(folder), "uv": version("uv")})

    def supports(self, tool: Tool) -> Availability:
        """Say whether `tool` needs nothing else than packages of PyPI."""
        if (spec := read_spec(tool)) is not None:
            own = any(isinstance(one, PythonRequirement) for one in tool.requirements)
            told = "" if own else f"Its conda packages are taken from PyPI: {spec.text}."
            return Availability(True, told)
        return self._as_local(tool, "nothing of PyPI")

    def is_ready(self, tool: Tool) -> bool | None:
        """Say whether its environment was made before."""
        wanted = wanted_environment(tool, self.config, self.store)
        return wanted is None or wanted.store.find(wanted.key) is not None

    def _plan(self, tool: Tool) -> Plan:
        wanted = wanted_environment(tool, self.config, self.store)
        if wanted is None:
            return Plan(remarks=(self.supports(tool).message,))
        plan = self._ready_or(wanted, partial(self._maker.plan, wanted))
        made = wanted.store.find(wanted.key)
        if made is None or not wanted.torch.name:
            return plan
        return replace(plan, remarks=(*plan.remarks, wanted.torch.remark(_names(made))))

    def place(self, tool: Tool) -> Place:
        """The indexes that its packages may come from."""
        spec = read_spec(tool)
        local = LocalRunnerService(self.config).place(tool)
        if spec is None:
            return local
        places = [*users_indexes().before(spec.indexes).places]
        places += filter(None, [torch_build(spec.torch, self.config).place])
        found = tuple(Origin("index", public_url(one), spec.text) for one in places)
        return Place(self.service_name, found, rights=f"{local.rights} {_WHEELS}")

    def stored(self) -> list[Stored]:
        """Return environments that nobody uses now, and what uv downloaded for them."""
        return self._kept("PyPI packages", self.store.uv_cache)

    def fingerprint(
        self, tool: Tool, context: ExecContext, args: Sequence[str]
    ) -> Mapping[str, object] | None:
        """Return what lies in the environment, once it is made, and all else that it sees."""
        wanted = wanted_environment(tool, self.config, self.store)
        if wanted is None:
            return LocalRunnerService(self.config).fingerprint(tool, context, args)
        made = wanted.store.find(wanted.key)
        if made is None:
            return None
        shown, variables = _shown(made.prefix), outer_variables(context, self.config)
        found = programs_state(context, self.config, variables, shown)
        return found and {**found, "key": wanted.key, "lock": made.data.get("lock")}


class _UvSession:
    def __init__(
        self, tool: Tool, prefix: Path, context: ExecContext, config: Mapping[str, object]
    ) -> None:
        self._tool = tool
        self._prefix = prefix
        self._context = context
        self._config = config

    def exec(self, args: list[str]) -> int:
        context, config, prefix = self._context, self._config, self._prefix
        if context.resources.memory_bytes is not None:
            context.say("UV does not enforce the memory limit.")
        variables = outer_variables(context, config)
        variables["PATH"] = path_with([programs_of(prefix)], variables.get("PATH"))
        variables["VIRTUAL_ENV"] = str(prefix)
        return run_here(self._tool, args, context, config, variables, _shown(prefix))


def _names(environment: Environment) -> list[str]:
    listed = environment.data.get("packages")
    return [str(one.get("name")) for one in listed] if isinstance(listed, list) else []


def _shown(prefix: Path) -> set[Path]:
    """Return what an enclosed program sees of its environment and its Python."""
    base, _ = base_of(prefix)
    if base is None:
        return {prefix}
    real = Path(os.path.realpath(programs_of(prefix) / "python")).parent
    return {prefix, *with_prefixes([base, real])}


UvRunnerServiceBuilder = partial(ServiceBuilder, __name__, UvRunnerService.__name__)
"""Makes a builder, which makes one `UvRunnerService` and returns it for ever."""
