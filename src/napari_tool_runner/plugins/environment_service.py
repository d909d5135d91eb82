"""What the services have in common that make environments."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Generic, Protocol, TypeVar

from napari_tool_runner import settings
from napari_tool_runner.errors import JobCancelledError, PreparationError, ToolRunnerError, is_full
from napari_tool_runner.names import size_text
from napari_tool_runner.plugins.contract import Availability, Plan, RunnerService, Stored
from napari_tool_runner.plugins.environments import EnvironmentStore
from napari_tool_runner.plugins.process import ExecContext, Progress
from napari_tool_runner.plugins.programs.enclosure import is_enclosing
from napari_tool_runner.plugins.programs.environment import host_environment
from napari_tool_runner.plugins.programs.program import gpu_remark
from napari_tool_runner.plugins.runner_local import LocalRunnerService
from napari_tool_runner.storage import user_data

if TYPE_CHECKING:
    from napari_tool_runner.plugins.environments import Environment
    from napari_tool_runner.tools.model import Tool

__all__ = ["EnvironmentService", "Solved", "made", "outer_variables", "room_for", "room_hint"]

_SOLUTION_AGE = 600.0
"""Seconds that a solution of the pre-flight may serve the run after it."""
_S = TypeVar("_S")


class _Wanted(Protocol):
    """The environment that a tool needs."""

    @property
    def key(self) -> str: ...

    @property
    def store(self) -> EnvironmentStore: ...


class Solved(Generic[_S]):
    """What pre-flights have just solved, for the runs after them."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, Path], tuple[float, _S]] = {}
        self._lock = threading.Lock()

    def note(self, wanted: _Wanted, solution: _S) -> None:
        """Remember the solution of an environment for a while."""
        with self._lock:
            self._found[wanted.key, wanted.store.folder] = (time.monotonic(), solution)

    def of(self, wanted: _Wanted) -> _S | None:
        """Return the solution of an environment, None when it is too old."""
        with self._lock:
            found = self._found.get((wanted.key, wanted.store.folder))
        if found is None or time.monotonic() - found[0] > _SOLUTION_AGE:
            return None
        return found[1]

    def forget(self, wanted: _Wanted) -> None:
        """Have it solved anew."""
        with self._lock:
            self._found.pop((wanted.key, wanted.store.folder), None)


class EnvironmentService(RunnerService):
    """A service whose tools have environments of their own, in one folder for all of them."""

    recorded: ClassVar[tuple[str, ...]] = ()
    """Which facts of an environment a record has."""

    def __init__(self, config: Mapping[str, object] | None = None) -> None:
        super().__init__(config)
        self._stores: dict[Path, EnvironmentStore] = {}
        self._lock = threading.Lock()

    @property
    def store(self) -> EnvironmentStore:
        """The environments that are made here."""
        folder = settings.ENVIRONMENTS_DIR.of(self.config) or user_data() / "environments"
        with self._lock:
            return self._stores.setdefault(folder, EnvironmentStore(folder))

    @property
    def lends(self) -> bool:
        """Whether its programs are enclosed."""
        return is_enclosing(self.config)

    def plan(self, tool: Tool) -> Plan:
        """Pre-flight: what would be downloaded, and whether it fits on the disk.

        Solves the environment when it is not there, so call it off the GUI's thread.
        """
        try:
            return self._plan(tool)
        except JobCancelledError:
            raise
        except ToolRunnerError as error:
            return Plan(problems=(str(error),))

    def _plan(self, tool: Tool) -> Plan:
        raise NotImplementedError

    def _ready_or(self, wanted: _Wanted, solve: Callable[[], Plan]) -> Plan:
        """Return that an environment is ready, else what `solve` says it takes to make it."""
        if wanted.store.find(wanted.key) is not None:
            remarks = (f"The environment {wanted.key} is ready.", gpu_remark(self.config))
            return Plan(remarks=tuple(text for text in remarks if text))
        works = self.check()
        return solve() if works.ok else Plan(problems=(works.message,))

    @contextmanager
    def _held(
        self, wanted: _Wanted, make: Callable[[], Environment], context: ExecContext
    ) -> Iterator[Environment]:
        """Hold an environment, made now when it is missing, and record it."""
        with wanted.store.held(wanted.key, make) as found:
            context.provenance["environment"] = {
                "key": wanted.key,
                "prefix": str(found.prefix),
                **{name: found.data.get(name) for name in self.recorded},
            }
            yield found

    def _unwritable(self) -> Availability | None:
        """Say that environments cannot be made in their folder, if so."""
        folder = self.store.folder
        if os.access(_existing_parent(folder), os.W_OK | os.X_OK):
            return None
        return Availability(
            False,
            f"Environments cannot be made in {folder}: set 'environments_dir' in the runner "
            "section to a folder that can be written.",
        )

    def _as_local(self, tool: Tool, lacking: str) -> Availability:
        """Say that a tool without an environment runs as with LOCAL, and what that means."""
        told = LocalRunnerService(self.config).supports(tool).message
        plain = f"The tool requires {lacking}: its program runs as with LOCAL."
        return Availability(True, f"{plain} {told}".strip())

    def _kept(self, what: str, *caches: Path) -> list[Stored]:
        """Return environments that nobody uses now, and the caches."""
        store = self.store
        found = [
            Stored("environment", info.key, info.size, partial(store.remove, info.key))
            for info in store.environments()
            if not info.in_use
        ]
        if size := store.cache_size(*caches):
            clean = partial(store.clean_caches, *caches)
            found.append(Stored("cache", f"{what} in {store.folder}", size, clean))
        return found


def outer_variables(context: ExecContext, config: Mapping[str, object]) -> dict[str, str]:
    """Return the variables of a program, before its environment adds its own."""
    passed = settings.PASS_ON.of(config)
    return host_environment(isolated=True, network=context.network, passed=passed)


def made(
    tool: Tool, wanted: _Wanted, context: ExecContext, fill: Callable[[Path], Environment]
) -> Environment:
    """Return an environment that `fill` makes in its folder, unless somebody else was faster.

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
            return fill(prefix)
        except OSError as error:
            if not is_full(error):
                raise store.unwritable(error) from error
            raise PreparationError(
                "The environment could not be made: the disk is full.",
                hint=room_hint(store.folder, error.filename),
            ) from error


def room_hint(folder: Path, file: object = "", *, settable: bool = True) -> str:
    """Return what to do where a disk is full: that of `file`, or of environments in `folder`."""
    place = Path(file) if isinstance(file, str) and file else folder
    if not place.is_relative_to(folder):
        return f"The disk of {place.parent} is full: free some room."
    elsewhere = ", or set 'environments_dir'" if settable else ""
    return f"The disk of {folder} is full: free some room{elsewhere}."


def room_for(
    needed: int, folder: Path, setting: str = "'environments_dir'"
) -> tuple[tuple[str, ...], str]:
    """Say what is in the way of `needed` bytes, and how much room the disk of `folder` has.

    `setting` is what names another folder.
    """
    free = shutil.disk_usage(_existing_parent(folder)).free
    told = f"{size_text(free)} are free on the disk of {folder}."
    if needed <= free:
        return (), told
    problem = (
        f"The disk of {folder} has {size_text(free)} free, about {size_text(needed)} are "
        f"needed: free some room, or set {setting}."
    )
    return (problem,), told


def _existing_parent(folder: Path) -> Path:
    """Return `folder`, or the nearest folder above it that is there (and can be seen)."""
    return next(
        (entry for entry in (folder, *folder.parents) if os.path.exists(entry)),
        Path(folder.anchor),
    )
