"""Making an environment: solve, link, activate once, run the tool's own commands."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from napari_tool_runner import settings
from napari_tool_runner.errors import JobCancelledError, PreparationError
from napari_tool_runner.names import size_text
from napari_tool_runner.plugins.conda.activation import Activation, activate, run_in_prefix
from napari_tool_runner.plugins.conda.channels import Channels, resolve_channels
from napari_tool_runner.plugins.conda.spec import (
    CondaSpec,
    conda_platform,
    environment_key,
    read_spec,
)
from napari_tool_runner.plugins.conda.store import existing_parent
from napari_tool_runner.plugins.contract import Fetch, Plan
from napari_tool_runner.plugins.process import CancelToken, ExecContext, Progress
from napari_tool_runner.plugins.programs.environment import host_environment, program_environment

if TYPE_CHECKING:
    from napari_tool_runner.plugins.conda.build import Builder, Solution
    from napari_tool_runner.plugins.conda.store import Environment, EnvironmentStore
    from napari_tool_runner.tools.model import Tool

__all__ = ["EnvironmentMaker", "Wanted", "wanted_environment"]

_T = TypeVar("_T")

# how long a solution of the pre-flight may serve the run after it
_SOLUTION_AGE = 600.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """The environment of a tool, with the configuration applied."""

    spec: CondaSpec
    channels: Channels
    platform: str
    key: str
    store: EnvironmentStore
    offline: bool = False


def wanted_environment(
    tool: Tool, config: Mapping[str, object], store: EnvironmentStore
) -> Wanted | None:
    """Return the environment that `tool` needs, None when it requires no packages.

    Raises
    ------
    PreparationError, ConfigError
        The requirement, or a key of the configuration, is wrong.
    """
    spec = read_spec(tool)
    if spec is None:
        return None
    channels = resolve_channels(spec, config)
    platform = conda_platform(settings.PLATFORM.of(config))
    key = environment_key(spec, channels.identity, platform)
    return Wanted(spec, channels, platform, key, store, offline=settings.OFFLINE.of(config))


class EnvironmentMaker:
    """Makes environments; remembers for a while what a pre-flight has solved."""

    def __init__(self) -> None:
        self._solutions: dict[tuple[str, Path], tuple[float, Solution]] = {}
        self._lock = threading.Lock()

    def make(self, tool: Tool, wanted: Wanted, context: ExecContext) -> Environment:
        """Return the environment, made now unless somebody else was faster.

        Raises
        ------
        PreparationError, JobCancelledError
        """
        store, key = wanted.store, wanted.key

        def waiting() -> None:
            context.say("Another job is making the same environment; waiting for it.")
            context.report(Progress("Waiting for the environment"))

        with store.building(key, context.cancel, waiting):
            found = store.find(key)
            if found is not None:
                return found
            context.say(f"Making the environment {key} for {tool.name}.")
            prefix = store.new_prefix(key)
            try:
                solution = _run_cancellable(
                    lambda: self._link(wanted, prefix, context), context.cancel
                )
                return self._finish(wanted, prefix, solution, context)
            except OSError as error:
                raise store.unwritable(error) from error

    def plan(self, wanted: Wanted) -> Plan:
        """Solve the environment and say what would be downloaded; it may take a while.

        Raises
        ------
        PreparationError
        """
        recent = self._recent(wanted)
        if recent is not None:
            return _plan(wanted, recent)

        async def work() -> Solution:
            builder = _builder(wanted)
            lock = wanted.store.lock_file(wanted.key)
            return await builder.from_lock(lock) or await builder.solve(wanted.spec.specs)

        solution = _run_cancellable(work, CancelToken())
        with self._lock:
            self._solutions[wanted.key, wanted.store.folder] = (time.monotonic(), solution)
        return _plan(wanted, solution)

    async def _link(self, wanted: Wanted, prefix: Path, context: ExecContext) -> Solution:
        """Solve and link; the lock file of an earlier build is followed when possible."""
        builder = _builder(wanted)
        specs = wanted.spec.specs
        lock = wanted.store.lock_file(wanted.key)
        earlier = await builder.from_lock(lock) or self._recent(wanted)
        solution = earlier or await builder.solve(specs, context.report)
        context.say(_summary(solution))
        try:
            await builder.link(solution, prefix, context.report)
        except PreparationError as error:
            if earlier is None:
                raise
            context.say(f"The recorded packages cannot be had: {error.message}")
            with self._lock:
                self._solutions.pop((wanted.key, wanted.store.folder), None)
            solution = await builder.solve(specs, context.report)
            await builder.link(solution, prefix, context.report)
        builder.write_lock(solution, lock)
        return solution

    def _finish(
        self, wanted: Wanted, prefix: Path, solution: Solution, context: ExecContext
    ) -> Environment:
        """Activate, run the tool's commands, and declare the environment complete."""
        context.report(Progress("Activating the environment"))
        activation = activate(prefix, context)
        for line in wanted.spec.commands:
            _run_command(line, activation, prefix, context)
        if wanted.spec.commands:
            activation = activate(prefix, context)  # they may have added scripts
        if context.cancel.requested:
            raise JobCancelledError("The job was cancelled while its environment was made.")
        return wanted.store.complete(
            wanted.key,
            prefix,
            {
                "specs": wanted.spec.specs,
                "channels": wanted.channels.identity,
                "platform": wanted.platform,
                "commands": wanted.spec.commands,
                "packages": solution.packages(),
                "pip": _pip_packages(prefix) if wanted.spec.commands else [],
                "activation": activation.changes,
            },
        )

    def _recent(self, wanted: Wanted) -> Solution | None:
        """Return what the pre-flight has just solved."""
        with self._lock:
            found = self._solutions.get((wanted.key, wanted.store.folder))
        if found is None or time.monotonic() - found[0] > _SOLUTION_AGE:
            return None
        return found[1]


def _run_cancellable(work: Callable[[], Coroutine[Any, Any, _T]], cancel: CancelToken) -> _T:
    """Run asynchronous work in a thread of its own and wait for it.

    A thread, since the caller's may have a running loop already (notebooks).

    Raises
    ------
    JobCancelledError
        As soon as `cancel` is requested; threads of rattler may finish what they have
        begun, so nothing may be used that the work was writing.
    """
    outcome: Future[_T] = Future()

    async def main() -> _T:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(work())

        def stop() -> None:
            # the loop may have ended in the same moment
            if not loop.is_closed():
                loop.call_soon_threadsafe(task.cancel)

        forget = cancel.on_cancel(stop)
        try:
            return await task
        finally:
            forget()

    def run() -> None:
        try:
            outcome.set_result(asyncio.run(main()))
        except BaseException as error:  # noqa: BLE001 (rattler's panics are BaseExceptions)
            outcome.set_exception(error)

    thread = threading.Thread(target=run, name="conda", daemon=True)
    thread.start()
    try:
        thread.join()
    except KeyboardInterrupt:
        cancel.cancel()
        thread.join()
        raise
    try:
        return outcome.result()
    except asyncio.CancelledError:
        text = "The job was cancelled while its environment was made."
        raise JobCancelledError(text) from None
    except Exception:
        raise
    except BaseException as error:
        raise PreparationError(f"The environment could not be made: {error}.") from error


def _builder(wanted: Wanted) -> Builder:
    from napari_tool_runner.plugins.conda.build import Builder

    store = wanted.store
    return Builder(
        wanted.channels, store.packages, store.repodata, wanted.platform, offline=wanted.offline
    )


def _run_command(line: str, activation: Activation, prefix: Path, context: ExecContext) -> None:
    """Run a command of the descriptor inside the new environment."""
    context.report(Progress("Running the tool's set-up command"))
    context.say(f"$ {line}")
    # it makes the environment for all jobs: the variables of this one are not for it
    pip = [name for name in os.environ if name.startswith("PIP_")]  # which index it may ask
    variables = program_environment(
        activation.apply(host_environment(isolated=True, network=True, passed=pip)),
        replace(context, environment={}),
    )
    variables.update(PIP_USER="0", PIP_REQUIRE_VIRTUALENV="0", PIP_DISABLE_PIP_VERSION_CHECK="1")
    code = run_in_prefix(line, variables, context, prefix)
    if code:
        raise PreparationError(
            f"The set-up command of the tool failed with exit code {code}: {line}.",
            hint="The log says why; it is run again at the next try.",
        )


def _pip_packages(prefix: Path) -> list[str]:
    """Return ``name==version`` of what was added with pip; conda knows nothing of it."""
    found: set[str] = set()
    for folder in [*prefix.glob("lib/python3*/site-packages"), prefix / "Lib" / "site-packages"]:
        if folder.is_dir():
            for entry in distributions(path=[str(folder)]):
                if (entry.read_text("INSTALLER") or "").strip() == "pip":
                    found.add(f"{entry.name}=={entry.version}")
    return sorted(found)


def _summary(solution: Solution) -> str:
    count = _packages(len(solution.records))
    if not solution.missing:
        return f"{count}, downloaded before."
    return f"{count}; {solution.missing} to download ({size_text(solution.download_size)})."


def _plan(wanted: Wanted, solution: Solution) -> Plan:
    count = _packages(len(solution.records), "conda ")
    what = f"{count} into the environment {wanted.key}"
    if not solution.missing:
        what += ", downloaded before"
    folder = wanted.store.folder
    free = shutil.disk_usage(existing_parent(folder)).free
    # archive and unpacked files together take about five times the archive
    needed = 5 * solution.download_size
    problems: list[str] = []
    if needed > free:
        problems.append(
            f"The disk of {folder} has {size_text(free)} free, about {size_text(needed)} are "
            "needed: free some room, or set 'environments_dir'."
        )
    remark = f"{size_text(free)} are free on the disk of {folder}."
    return Plan((Fetch(what, solution.download_size),), tuple(problems), (remark,))


def _packages(count: int, kind: str = "") -> str:
    return f"{count} {kind}package" if count == 1 else f"{count} {kind}packages"
