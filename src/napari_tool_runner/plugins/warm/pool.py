"""The processes that answer calls of environments' Pythons, from napari's side.

One for each Python and for what counts when packages are loaded. It is started with the first
job that calls this Python, serves those that follow, and ends with napari, after idle time, when
memory is short, or when what it has imported changes.
"""

from __future__ import annotations

import atexit
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner import settings
from napari_tool_runner.plugins.contract import WARM, Stored
from napari_tool_runner.plugins.programs.enclosure import is_enclosing
from napari_tool_runner.plugins.warm.handing import Handing
from napari_tool_runner.plugins.warm.interpreter import (
    Interpreter,
    by_name,
    calls_python,
    interpreter_of,
)
from napari_tool_runner.plugins.warm.learned import known
from napari_tool_runner.plugins.warm.patience import gave_up, took_cold
from napari_tool_runner.plugins.warm.rooms import sweep
from napari_tool_runner.plugins.warm.serving import JOB, Server

if TYPE_CHECKING:
    from napari_tool_runner.plugins.process import ExecContext
    from napari_tool_runner.tools.model import Tool

__all__ = ["handing", "stored"]

_SOCKET = "NAPARI_TOOL_RUNNER_WARM"
_IDLE = 600.0
_LOOK = 20.0
_LEAST_MEMORY = 0.1  # of the computer's: below it idle processes end
_MOST = 4  # processes that are kept, each for another environment or other variables


class _Pool:
    """The servers of this napari."""

    def __init__(self) -> None:
        self._servers: dict[object, Server] = {}
        self._failed: set[object] = set()
        self._silent: dict[object, Server] = {}
        self._lock, self._owner = threading.Lock(), os.getpid()
        self._looking = False

    @contextmanager
    def lent(
        self,
        found: Interpreter,
        environment: Mapping[str, str],
        work: str,
        shown: Collection[Path],
        context: ExecContext,
        *,
        enclosed: bool,
    ) -> Iterator[Server | None]:
        """Give the server of a Python, started now where there is none; None where it fails."""
        key = (found, tuple(sorted(environment.items())), work, enclosed)
        with self._lock:
            own = os.getpid() == self._owner  # a fork of napari has no servers
            server = self._servers.get(key) if own else None
            if server is not None and server.outdated and not server.users:
                self._end(key)
            if server is not None and server.outdated:
                server = None
            if server is None and own and key not in self._failed | self._servers.keys():
                try:
                    assert context.root is not None
                    jobs = context.root.parents[2]
                    server = Server(
                        *(found, environment, shown, jobs, work, known.refused), enclosed=enclosed
                    )
                except (OSError, ValueError, subprocess.SubprocessError) as error:
                    self._failed.add(key)
                    context.say(f"Programs of {found.path} start without imports ahead: {error}.")
                else:
                    self._servers[key] = server
                    self._keep_few()
                    self._look_after()
            if server is not None:
                server.users += 1
        try:
            yield server
        finally:
            if server is not None:
                with self._lock:
                    server.users -= 1
                    server.used = time.monotonic()

    def lost(self, server: Server) -> str:
        """Say what becomes of a server that answers no more: of the second, nothing follows."""
        with self._lock:
            key = next((key for key, one in self._servers.items() if one is server), None)
            if key is None or self._silent.setdefault(key, server) is server:
                return "it is started anew"
            self._failed.add(key)
        return "from now on programs start without imports ahead"

    def stored(self) -> list[Stored]:
        """Return what could be ended now."""
        sweep()
        with self._lock:
            idle = [(key, one) for key, one in self._servers.items() if not one.users]
        return [
            Stored("process", f"imports of {one.name}", one.memory(), partial(self.end, key))
            for key, one in idle
        ]

    def end(self, key: object) -> None:
        """End a server, unless a job uses it now."""
        with self._lock:
            if key in self._servers and not self._servers[key].users:
                self._end(key)

    def close(self) -> None:
        """End all, and forget what they have learned."""
        known.clear()
        _light.clear()
        with self._lock:
            if os.getpid() == self._owner:
                for key in list(self._servers):
                    self._end(key)

    def _keep_few(self) -> None:
        idle = [(one.used, key) for key, one in self._servers.items() if not one.users]
        new = next(reversed(self._servers))
        for _, key in sorted(idle, key=lambda one: one[0])[: max(0, len(self._servers) - _MOST)]:
            if key != new:
                self._end(key)

    def _end(self, key: object) -> None:
        self._servers.pop(key).close()

    def _look_after(self) -> None:
        if not self._looking:
            self._looking = True
            threading.Thread(target=self._look, name="warm-servers", daemon=True).start()

    def _look(self) -> None:
        import psutil

        while True:
            time.sleep(_LOOK)
            memory = psutil.virtual_memory()
            short = memory.available < memory.total * _LEAST_MEMORY
            now = time.monotonic()
            with self._lock:
                for key, one in list(self._servers.items()):
                    if not one.users and (short or one.outdated or now - one.used > _IDLE):
                        self._end(key)
                if not self._servers:
                    self._looking = False
                    return


def _own_folder(context: ExecContext) -> str:
    """Return the folder in which a job, or a part of it, works and keeps its files."""
    places = (context.work_dir, context.home_dir, context.temp_dir)
    found = os.path.commonpath(places)
    inside = context.root is not None and Path(found).is_relative_to(context.root)
    return found if inside else ""


def _without_job(
    environment: Mapping[str, str], root: str, context: ExecContext
) -> dict[str, str]:
    """Return variables in which `root` is that of any job; none where others are the job's."""
    if not root:
        return {}
    apart = {name: value.replace(root, JOB) for name, value in environment.items()}
    return {} if any(str(context.root) in value for value in apart.values()) else apart


def _kind(tool: Tool, args: Sequence[str]) -> tuple[str, ...]:
    """Return what calls of a tool have in common: not their numbers and paths."""
    return (tool.digest or tool.id, *(re.sub(r"(?<!\S)\S*/\S*|[\d.]+", "", one) for one in args))


_light: set[tuple[str, ...]] = set()  # what starts cold, since it imports next to nothing
_pool = _Pool()
stored, close = _pool.stored, _pool.close
atexit.register(close)


@contextmanager
def handing(
    tool: Tool,
    args: Sequence[str],
    context: ExecContext,
    config: Mapping[str, object],
    environment: Mapping[str, str],
    shown: Collection[Path],
) -> Iterator[Handing]:
    """Give how a job's program is started, so that calls of its Python start warm.

    Parameters
    ----------
    tool : Tool
        What programs tell counts for it alone.
    config : mapping
        The ``runner`` section.
    environment : mapping
        All variables of the program.
    shown : iterable of Path
        What it sees besides its mounts.
    """
    cold = Handing(list(args), environment)
    found = None
    if sys.platform == "linux" and settings.WARM.of(config) and context.root is not None:
        found = interpreter_of(environment) if not context.network else None
    kind = _kind(tool, args)
    kept_cold = gave_up(args) or kind in _light
    if not args or found is None or kept_cold or not calls_python(args, found, environment):
        yield cold
        return
    root, enclosed = _own_folder(context), is_enclosing(config)
    apart = _without_job(environment, root, context)
    if not apart:
        yield cold
        return
    work = str(context.work_dir).removeprefix(root)
    with _pool.lent(found, apart, work, shown, context, enclosed=enclosed) as server:
        if server is None:
            yield cold
            return
        program = by_name(args, found, environment)
        path = f"{server.place / 'bin'}{os.pathsep}{environment['PATH']}"
        warm = Handing(
            program, {**environment, "PATH": path}, server, root, tool.digest or tool.id
        )
        with server.taking(warm.take) as (place, address):
            if warm.around is not None:
                inside = server.place / "socket"
                warm.around, address = warm.around.showing(place, inside), str(inside)
            warm.environment = {**warm.environment, _SOCKET: address}
            begun = time.monotonic()
            try:
                assert warm.watch is not None
                with warm.watch.watching(warm.end_all):
                    yield warm
            finally:
                warm.end()
        _tell(warm, server, context, kind)
    if not warm.starts_warm and not warm.stuck:
        took_cold(args, time.monotonic() - begun)


def _tell(warm: Handing, server: Server, context: ExecContext, kind: tuple[str, ...]) -> None:
    """Write into record and log how programs started, when the job's has ended."""
    if warm.is_light:
        _light.add(kind)
    if server.silent:
        context.say(f"What imports ahead for {server.name} answers no more: {_pool.lost(server)}.")
    for why in server.remarks():
        context.say(f"With {server.name}, {why}.")
    if warm.calls:
        context.provenance[WARM] = warm.starts_warm
    if warm.watch is not None and warm.watch.stuck:
        context.say(
            f"It did nothing for {warm.watch.limit:g} s, so it is started once more, and from now "
            "on, without imports ahead."
        )
