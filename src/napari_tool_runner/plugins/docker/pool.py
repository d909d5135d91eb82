"""Warm containers: made ahead of the next job, one job in each, gone when idle.

A warm container runs nothing but a sleeper. With a shell in the image, the sleeper
waits for its standard input to end, and that input is held open by this process: when
this process dies, in whatever way, the engine ends the container and all inside.
The sleeper is the image's program, and any program of a job can take it over; so what a
job's container holds is never used for another job, and ends before results are read.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from napari_tool_runner import settings
from napari_tool_runner.errors import PreparationError, RunnerExecError
from napari_tool_runner.plugins.docker import containers as containers
from napari_tool_runner.plugins.docker.client import ENGINE_ERRORS, Engine
from napari_tool_runner.plugins.docker.kept import SLEEPERS, Sleeper, WarmContainer
from napari_tool_runner.plugins.docker.slot import Slot
from napari_tool_runner.plugins.docker.words import last_words
from napari_tool_runner.plugins.process import Mount
from napari_tool_runner.plugins.warm.interpreter import lay_out_server
from napari_tool_runner.plugins.warm.serving import SHOWN

if TYPE_CHECKING:
    from napari_tool_runner.plugins.docker.ahead import Wanted
    from napari_tool_runner.plugins.docker.spec import Spec

__all__ = ["WarmPool"]


SETTLE = 0.15
SETTLE_PODMAN = 0.5
"""Seconds in which a sleeper that cannot run in an image has ended."""


class WarmPool:
    """All warm containers of this process. Thread-safe."""

    def __init__(self) -> None:
        self.idle_timeout = settings.IDLE_TIMEOUT.default
        """Seconds at which a container that waits is removed."""
        self.limit = settings.MAX_CONTAINERS.default
        """How many may wait; the oldest goes first."""
        self._idle: list[WarmContainer] = []
        self._busy: set[WarmContainer] = set()
        self._doomed: set[WarmContainer] = set()
        self._coming: dict[threading.Thread, tuple[str, Spec | None]] = {}
        self._sleepers: dict[str, tuple[Sleeper, ...]] = {}
        self._without_init: set[str] = set()
        self._changed = threading.Condition()
        self._reaper: threading.Thread | None = None

    def acquire(self, engine: Engine, spec: Spec) -> WarmContainer | None:
        """Return a container for one job; None: the image cannot be kept warm.

        Raises
        ------
        PreparationError
            The engine cannot start one.
        """
        with self._changed:
            doomed, self._doomed = self._doomed, set()
        for warm in doomed:
            self.discard(warm)
        self._await((engine.id, spec))
        while (found := self._take(engine, spec)) is not None:
            if found.running():
                return found
            self.discard(found)
        made = self._start(engine, spec)
        if made is not None:
            with self._changed:
                self._busy.add(made)
        return made

    def release(self, warm: WarmContainer) -> None:
        """Give a container back (unless it was discarded).

        That of a job ends here (see `end`), and with it whatever holds a file of the job; a
        fresh one is made for the next of its kind. That of a process made by hand is kept.
        """
        if not self._is_busy(warm):
            return
        if warm.slot is None:
            self._keep(warm)
            tidy = partial(self._tidy, warm)
            threading.Thread(target=tidy, name="docker-tidy", daemon=True).start()
            return
        self.end(warm)
        if warm.proven:
            self._make_ahead(warm.engine, warm.spec, warm.wanted)

    def end(self, warm: WarmContainer) -> None:
        """End a container, for certain; what is left of it is removed meanwhile.

        Raises
        ------
        RunnerExecError
            The engine does not: what runs inside may still write.
        """
        if warm.kill():
            with self._changed:
                self._busy.discard(warm)
            self._meanwhile(partial(self.discard, warm), (warm.engine.id, None))
        elif not self.discard(warm):
            raise RunnerExecError(
                "The container engine does not end the job's container: what the tool made may "
                "still change, and was not read.",
                hint=f"Restart the engine, or remove the container {warm.id[:12]} by hand.",
            )

    def serves(self, warm: WarmContainer) -> bool:
        """Whether a further program of its job can run in it; if not, it is ended (see `end`)."""
        there = self._is_busy(warm)
        if there and warm.frozen and not warm.is_empty():
            self.end(warm)
            return False
        return there

    def _is_busy(self, warm: WarmContainer) -> bool:
        with self._changed:
            return warm in self._busy

    def _await(self, kind: tuple[str, Spec] | None) -> None:
        """Wait for containers of a kind that are being made (None: for all that goes on)."""
        with self._changed:
            coming = [one for one, made in self._coming.items() if kind in (None, made)]
        for thread in coming:
            thread.join()

    def _make_ahead(self, engine: Engine, spec: Spec, wanted: Wanted | None) -> None:
        def make() -> None:
            # what stands in the way is told by the next job, which meets it, too
            with suppress(PreparationError, *ENGINE_ERRORS):
                if (made := self._start(engine, spec)) is not None:
                    if wanted is not None:
                        made.begin(wanted)
                    self._keep(made)

        self._meanwhile(make, (engine.id, spec))

    def _meanwhile(self, act: Callable[[], object], kind: tuple[str, Spec | None]) -> None:
        """Do something that no job waits for, but one that asks for a container of that `kind`."""

        def do() -> None:
            try:
                act()
            finally:
                with self._changed:
                    del self._coming[thread]

        thread = threading.Thread(target=do, name="docker-meanwhile", daemon=True)
        with self._changed:
            self._coming[thread] = kind
            thread.start()

    def _keep(self, warm: WarmContainer) -> None:
        """Have a container wait for the next job; the oldest go if they are too many."""
        surplus: list[WarmContainer] = []
        with self._changed:
            self._busy.discard(warm)
            warm.since = time.monotonic()
            self._idle.append(warm)
            while len(self._idle) > self.limit:
                surplus.append(self._idle.pop(0))
            if self._reaper is None:
                self._reaper = threading.Thread(target=self._reap, name="docker-idle", daemon=True)
                self._reaper.start()
            self._changed.notify_all()
        for entry in surplus:
            self.discard(entry)

    def discard(self, warm: WarmContainer) -> bool:
        """Remove a container with all that runs inside; False when that failed."""
        removed = warm.remove()
        with self._changed:
            self._busy.discard(warm)
            if not removed:
                # an engine that hangs now may remove it when it is asked again
                self._doomed.add(warm)
        return removed

    def gone(self, warm: WarmContainer) -> None:
        """Take note of a container in which a program could not be started."""
        if not warm.proven:
            # its sleeper ended later than expected, so it is none for this image
            others = tuple(SLEEPERS[SLEEPERS.index(warm.sleeper) + 1 :])
            self._sleepers[warm.spec.image] = others
        self.discard(warm)

    def close(self) -> None:
        """Remove every container."""
        self._await(None)
        with self._changed:
            every = [*self._idle, *self._busy, *self._doomed]
            for kept in (self._idle, self._busy, self._doomed):
                kept.clear()
            self._changed.notify_all()
        for warm in every:
            warm.remove()

    def busy(self) -> set[str]:
        """Ids of the containers in which jobs run."""
        with self._changed:
            return {warm.id for warm in self._busy}

    def _tidy(self, warm: WarmContainer) -> None:
        """Give up a container in which a job left something running."""
        if warm.count_processes() <= warm.processes:
            return
        with self._changed:
            if warm not in self._idle:
                return  # the next job is in it already, or it is gone
            self._idle.remove(warm)
        self.discard(warm)

    def make(self, engine: Engine, make: Callable[[bool], str], program: tuple[str, ...]) -> str:
        """Make and start a container by ``make(init)``; without init where there is none."""
        if engine.id not in self._without_init:
            try:
                container = make(True)
                containers.start(engine, container, program)
                return container
            except PreparationError as error:
                said = str(error)
                if "docker-init" not in said and "container-init" not in said:
                    raise
                self._without_init.add(engine.id)
        container = make(False)
        containers.start(engine, container, program)
        return container

    def _take(self, engine: Engine, spec: Spec) -> WarmContainer | None:
        with self._changed:
            fitting = [
                warm
                for warm in self._idle
                if warm.engine.id == engine.id and warm.spec.covers(spec)
            ]
            if not fitting:
                return None
            # the one that sees least; of those the latest
            best = min(reversed(fitting), key=lambda warm: len(warm.spec.mounts))
            self._idle.remove(best)
            self._busy.add(best)
        best.engine = engine
        return best

    def _start(self, engine: Engine, spec: Spec) -> WarmContainer | None:
        known = self._sleepers.get(spec.image)
        for sleeper in SLEEPERS if known is None else known:
            warm = self._try(engine, spec, sleeper, settle=known is None)
            if warm is not None:
                self._sleepers[spec.image] = (sleeper,)
                return warm
        self._sleepers[spec.image] = ()
        return None

    def _try(
        self, engine: Engine, spec: Spec, sleeper: Sleeper, *, settle: bool
    ) -> WarmContainer | None:
        tie: Any = None
        slot = _slot(engine, spec)
        mounts = slot.mounts(spec.mounts) if slot is not None else ()
        if slot is not None and spec.ahead:
            mounts = (*mounts, Mount(SHOWN, source=slot.ahead))

        def make(init: bool) -> str:
            nonlocal tie
            container = containers.create(
                engine, spec, sleeper.argv, init=init, stdin=sleeper.has_shell, mounts=mounts
            )
            # not over a network, where a hiccup would end a long job
            if sleeper.has_shell and engine.endpoint.local and not engine.podman:
                try:
                    tie = engine.client.api.attach_socket(
                        container, params={"stdin": 1, "stream": 1}
                    )
                except ENGINE_ERRORS as error:
                    containers.remove(engine, container)
                    raise containers.explain_start(engine, error, sleeper.argv) from error
            return container

        try:
            container = self.make(engine, make, sleeper.argv)
        except PreparationError as error:
            if tie is not None:
                containers.close_quietly(tie)
            if slot is not None:
                slot.remove()
            if containers.is_missing_program(error):
                return None
            raise
        warm = WarmContainer(container, engine, spec, sleeper, tie, slot)
        if settle and not self._stays(warm):
            warm.remove()
            return None
        # the sleeper, and the init program above it
        warm.processes = 1 if engine.id in self._without_init else 2
        return warm

    def _stays(self, warm: WarmContainer) -> bool:
        """Whether the sleeper still runs after a moment, in which a wrong one has ended."""
        deadline = time.monotonic() + (SETTLE_PODMAN if warm.engine.podman else SETTLE)
        while time.monotonic() < deadline:
            if not warm.running():
                break
            time.sleep(0.02)
        else:
            return True
        said = last_words(warm.engine, warm.id)
        if "exec format error" in said.lower():
            warm.remove()
            raise containers.explain_start(warm.engine, RuntimeError(said), warm.sleeper.argv)
        return False

    def _reap(self) -> None:
        while True:
            with self._changed:
                if not self._idle:
                    self._reaper = None
                    return
                now = time.monotonic()
                old = [w for w in self._idle if now - w.since >= self.idle_timeout]
                self._idle = [w for w in self._idle if w not in old]
                if not old:
                    oldest = min(w.since for w in self._idle)
                    self._changed.wait(max(0.01, oldest + self.idle_timeout - now))
            for warm in old:
                self.discard(warm)


def _slot(engine: Engine, spec: Spec) -> Slot | None:
    try:
        slot = None if spec.jobs is None else Slot(spec.jobs, engine.endpoint.host)
        if slot is not None and spec.ahead:
            lay_out_server(slot.ahead)
        return slot
    except OSError as error:
        raise PreparationError(
            f"A place for jobs cannot be made beside {spec.jobs}: {error.strerror or error}.",
            hint="Choose another place for the workspace.",
        ) from error
