"""A container that waits for programs, and what keeps it alive."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from napari_tool_runner.data_classes import dataclass, field
from napari_tool_runner.plugins.docker import containers as containers
from napari_tool_runner.plugins.docker.ahead import ContainerServer, Wanted
from napari_tool_runner.plugins.docker.client import CONTROL_TIMEOUT, ENGINE_ERRORS, Engine
from napari_tool_runner.plugins.warm.pool import drop, take

if TYPE_CHECKING:
    from napari_tool_runner.plugins.docker.slot import Slot
    from napari_tool_runner.plugins.docker.spec import Spec

__all__ = ["SLEEPERS", "Sleeper", "WarmContainer"]


@dataclass(frozen=True, slots=True)
class Sleeper:
    """A program that keeps a container alive. `has_shell`: the image has ``sh``."""

    argv: tuple[str, ...]
    has_shell: bool


SLEEPERS = (
    # deaf to SIGTERM, so that a signal to all ends the job but not the container
    Sleeper(("sh", "-c", "trap '' HUP INT TERM; read -r _"), has_shell=True),
    Sleeper(("sleep", "2147483647"), has_shell=False),
)


@dataclass(eq=False, slots=True)
class WarmContainer:
    """A running container that waits for programs."""

    id: str
    engine: Engine
    spec: Spec
    sleeper: Sleeper
    tie: Any = None
    slot: Slot | None = None
    proven: bool = False
    frozen: bool = False
    processes: int = 0
    wanted: Wanted | None = None
    """What is begun in the next one like it."""
    server: ContainerServer | None = None
    since: float = field(default_factory=time.monotonic)

    def running(self) -> bool:
        """Whether a program can be started in it."""
        try:
            state = self.engine.client.api.inspect_container(self.id)["State"]
        except ENGINE_ERRORS:
            return False
        return bool(state.get("Running")) and not state.get("Paused")

    def count_processes(self) -> int:
        """How many processes it has; 0 when the engine cannot say."""
        return containers.count_processes(self.engine, self.id)

    def is_empty(self) -> bool:
        """Whether no process is left of what ran in it, as far as the engine can say."""
        ours = self.processes + (0 if self.server is None else self.server.processes)
        return 0 < self.count_processes() <= ours

    def begin(self, wanted: Wanted) -> str:
        """Start in it what forks for its programs; return why there is none."""
        assert self.slot is not None
        try:
            server = ContainerServer(self.engine, self.id, self.slot.ahead, wanted)
        except (ValueError, *ENGINE_ERRORS) as error:
            return str(error)
        self.server = server
        take(server)
        server.prepare_all()
        return ""

    def freeze(self) -> bool:
        """Stop all inside where it stands, until `thaw`; False when the engine cannot."""
        if not self.frozen:
            try:
                self.engine.control.api.pause(self.id)
            except ENGINE_ERRORS:
                return False
            self.frozen = True
        return True

    def thaw(self) -> None:
        """Let what is inside go on; raises what the engine's client raises."""
        if self.frozen:
            self.engine.control.api.unpause(self.id)
            self.frozen = False

    def kill(self) -> bool:
        """End all inside, for certain; False when the engine cannot, or does not say so."""
        api = self.engine.control.api
        try:
            api.kill(self.id, "SIGKILL")
            api.wait(self.id, timeout=CONTROL_TIMEOUT)
            state = api.inspect_container(self.id)["State"]
        except ENGINE_ERRORS:
            return False
        return not (state["Running"] or state["Paused"])

    def remove(self) -> bool:
        """End it with all inside; False when the engine cannot."""
        if self.server is not None:
            drop(self.server)
        removed = containers.remove(self.engine, self.id)
        if removed and self.slot is not None:
            self.slot.remove()
        if self.tie is not None:
            containers.close_quietly(self.tie)
            self.tie = None
        return removed
