"""What the services have in common that make environments."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner import settings
from napari_tool_runner.names import size_text
from napari_tool_runner.plugins.contract import Availability, RunnerService, Stored
from napari_tool_runner.plugins.environments import EnvironmentStore
from napari_tool_runner.plugins.process import ExecContext, Progress
from napari_tool_runner.plugins.programs.enclosure import is_enclosing
from napari_tool_runner.plugins.programs.environment import host_environment
from napari_tool_runner.plugins.runner_local import LocalRunnerService
from napari_tool_runner.storage import user_data

if TYPE_CHECKING:
    from napari_tool_runner.tools.model import Tool

__all__ = ["EnvironmentService", "outer_variables", "room_for", "waiting"]


class EnvironmentService(RunnerService):
    """A service whose tools have environments of their own, in one folder for all of them."""

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


def waiting(context: ExecContext) -> Callable[[], None]:
    """Return what tells that somebody else makes the environment."""

    def tell() -> None:
        context.say("Another job is making the same environment; waiting for it.")
        context.report(Progress("Waiting for the environment"))

    return tell


def room_for(needed: int, folder: Path) -> tuple[tuple[str, ...], str]:
    """Say what is in the way of `needed` bytes, and how much room the disk of `folder` has."""
    free = shutil.disk_usage(_existing_parent(folder)).free
    told = f"{size_text(free)} are free on the disk of {folder}."
    if needed <= free:
        return (), told
    problem = (
        f"The disk of {folder} has {size_text(free)} free, about {size_text(needed)} are "
        "needed: free some room, or set 'environments_dir'."
    )
    return (problem,), told


def _existing_parent(folder: Path) -> Path:
    """Return `folder`, or the nearest folder above it that is there (and can be seen)."""
    return next(
        (entry for entry in (folder, *folder.parents) if os.path.exists(entry)),
        Path(folder.anchor),
    )
