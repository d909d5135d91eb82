"""CONDA: each tool in an environment of its own, made with py-rattler, started directly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner import settings
from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.plugins.conda.activation import Activation, activate
from napari_tool_runner.plugins.conda.channels import origins
from napari_tool_runner.plugins.conda.maker import EnvironmentMaker, Wanted, wanted_environment
from napari_tool_runner.plugins.conda.spec import CondaSpec, read_spec
from napari_tool_runner.plugins.contract import Availability, Origin, Place, Plan, Stored
from napari_tool_runner.plugins.environment_service import EnvironmentService, outer_variables
from napari_tool_runner.plugins.process import ExecContext, Process, Session, context_of
from napari_tool_runner.plugins.programs.enclosure import enclosure_words, is_enclosing
from napari_tool_runner.plugins.programs.fingerprint import programs_state
from napari_tool_runner.plugins.programs.program import run_here
from napari_tool_runner.plugins.runner_local import LocalRunnerService
from napari_tool_runner.plugins.runners_factory import ServiceBuilder

if TYPE_CHECKING:
    from napari_tool_runner.tools.model import Tool

__all__ = ["CondaRunnerService", "CondaRunnerServiceBuilder"]


class CondaRunnerService(EnvironmentService):
    """Runs tools in conda environments, one for each different set of packages."""

    service_name = "CONDA"
    recorded = ("specs", "channels", "platform", "commands", "packages", "pip")

    def __init__(self, config: Mapping[str, object] | None = None) -> None:
        super().__init__(config)
        # and its packages
        self._existing: dict[tuple[Path, float], tuple[Activation, list[dict[str, object]]]] = {}
        self._maker = EnvironmentMaker()

    @contextmanager
    def session(self, process: Process) -> Iterator[Session]:
        """Make the environment of the tool, unless it is there; hold it for the job.

        Raises
        ------
        PreparationError, ConfigError, JobCancelledError
        """
        context = context_of(process)
        wanted = wanted_environment(process.tool, self.config, self.store)
        if wanted is None:
            context.say(self.supports(process.tool).message)
            with LocalRunnerService(self.config).session(process) as local:
                yield local
            return
        for note in wanted.spec.notes:
            context.say(note)
        existing = self._existing_prefix(wanted.spec)
        with (
            nullcontext(self._activate_existing(existing, context))
            if existing is not None
            else self._environment(process.tool, wanted, context)
        ) as activation:
            yield _CondaSession(process.tool, activation, context, self.config)

    def check(self) -> Availability:
        """Say whether environments can be made here."""
        # asked for by windows: nothing heavy is imported
        if find_spec("rattler") is None:
            return Availability(False, "py-rattler is missing: install the package py-rattler.")
        if why := self._unwritable():
            return why
        folder = self.store.folder
        walls = f"{enclosure_words(self.config)} {_making(self.config)}"
        return Availability(
            True,
            f"Environments are made in {folder}. {walls}",
            {"environments": str(folder), "py-rattler": version("py-rattler")},
        )

    def supports(self, tool: Tool) -> Availability:
        """Say whether `tool` names packages that can be read."""
        try:
            spec = read_spec(tool)
        except ToolRunnerError as error:
            return Availability(False, str(error))
        return Availability(True) if spec else self._as_local(tool, "no conda packages")

    def is_ready(self, tool: Tool) -> bool | None:
        """Say whether its environment was made before."""
        wanted = wanted_environment(tool, self.config, self.store)
        if wanted is None or self._existing_prefix(wanted.spec) is not None:
            return True
        return wanted.store.find(wanted.key) is not None

    def _plan(self, tool: Tool) -> Plan:
        wanted = wanted_environment(tool, self.config, self.store)
        if wanted is None:
            return Plan(remarks=(self.supports(tool).message,))
        existing = self._existing_prefix(wanted.spec)
        if existing is not None:
            return Plan(remarks=(f"The existing environment {existing} is used.",))
        return self._ready_or(wanted, partial(self._maker.plan, wanted))

    def place(self, tool: Tool) -> Place:
        """Where its packages may come from, and the lines that are run in the new environment."""
        spec = read_spec(tool)
        local = LocalRunnerService(self.config).place(tool)
        if spec is None:
            return local
        packages = ", ".join(spec.specs)
        found = [Origin("channel", one, packages) for one in origins(spec, self.config)]
        folder = settings.CONDA_DIR.of(self.config)
        if folder is not None and self._existing_prefix(spec) is not None:
            # nobody knows from which channels it was made
            what = f"the environment {spec.env}, as it is"
            found.append(Origin("channel", str(folder.absolute()), what))
        rights = f"{local.rights} {_making(self.config, spec)}"
        return Place(self.service_name, tuple(found), spec.commands, rights)

    def stored(self) -> list[Stored]:
        """Return environments that nobody uses now, and the cache of packages."""
        return self._kept("conda packages", *self.store.conda_caches)

    def fingerprint(
        self, tool: Tool, context: ExecContext, args: Sequence[str]
    ) -> Mapping[str, object] | None:
        """Return what lies in the environment, once it is made, and all else that it sees."""
        wanted = wanted_environment(tool, self.config, self.store)
        if wanted is None:
            return LocalRunnerService(self.config).fingerprint(tool, context, args)
        prefix = self._existing_prefix(wanted.spec)
        if prefix is None:
            made = wanted.store.find(wanted.key)
            if made is None:
                return None
            prefix = made.prefix
        variables = outer_variables(context, self.config)
        found = programs_state(context, self.config, variables, [prefix])
        return found and {**found, "key": wanted.key}

    @contextmanager
    def _environment(
        self, tool: Tool, wanted: Wanted, context: ExecContext
    ) -> Iterator[Activation]:
        """Hold an environment that we make, made now when it is missing."""
        make = partial(self._maker.make, tool, wanted, context)
        with self._held(wanted, make, context) as found:
            yield Activation(found.prefix, found.data.get("activation", {}))

    def _existing_prefix(self, spec: CondaSpec) -> Path | None:
        folder = settings.CONDA_DIR.of(self.config)
        if not folder or Path(spec.env).name != spec.env:
            return None
        prefix = folder / "envs" / spec.env
        return prefix if (prefix / "conda-meta").is_dir() else None

    def _activate_existing(self, prefix: Path, context: ExecContext) -> Activation:
        from napari_tool_runner.plugins.conda.records import installed_packages

        # every change of an environment writes into this folder
        watched = (prefix / "conda-meta", prefix / "etc" / "conda" / "activate.d")
        stamp = max((entry.stat().st_mtime for entry in watched if entry.exists()), default=0.0)
        with self._lock:
            found = self._existing.get((prefix, stamp))
        if found is None:
            found = activate(prefix, context, self.config), installed_packages(prefix)
            with self._lock:
                self._existing[prefix, stamp] = found
        activation, packages = found
        context.provenance["environment"] = {"prefix": str(prefix), "packages": packages}
        return activation


def _making(config: Mapping[str, object], spec: CondaSpec | None = None) -> str:
    """Say what may be done by scripts that packages bring, and by lines of set-up."""
    if not is_enclosing(config):
        return (
            "Scripts of packages, and lines that make an environment, are not enclosed either: "
            "they run as you, when it is made."
        )
    told = "Scripts of packages run enclosed, too, when an environment is made"
    if spec is not None and not spec.commands:
        return f"{told}."
    return f"{told}, and so do lines that make one, with the network and your pip.conf."


class _CondaSession:
    def __init__(
        self,
        tool: Tool,
        activation: Activation,
        context: ExecContext,
        config: Mapping[str, object],
    ) -> None:
        self._tool = tool
        self._activation = activation
        self._context = context
        self._config = config

    def exec(self, args: list[str]) -> int:
        context, config = self._context, self._config
        if context.resources.memory_bytes is not None:
            context.say("CONDA does not enforce the memory limit.")
        variables = self._activation.apply(outer_variables(context, config))
        return run_here(self._tool, args, context, config, variables, [self._activation.prefix])


CondaRunnerServiceBuilder = partial(ServiceBuilder, __name__, CondaRunnerService.__name__)
"""Makes a builder, which makes one `CondaRunnerService` and returns it for ever."""
