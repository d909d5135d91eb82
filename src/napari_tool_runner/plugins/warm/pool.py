"""The processes that answer calls of environments' Pythons, from napari's side.

One for each Python and for what counts when packages are loaded. It is started with the first
job that calls this Python, serves those that follow, and ends with napari, after idle time, when
memory is short, or when what it has imported changes.
"""

from __future__ import annotations

import atexit
import logging
import os
import re
import select
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner import settings
from napari_tool_runner.plugins.contract import WARM, Stored
from napari_tool_runner.plugins.programs.enclosure import is_enclosing
from napari_tool_runner.plugins.warm.interpreter import (
    Interpreter,
    by_name,
    calls_python,
    interpreter_of,
)
from napari_tool_runner.plugins.warm.learned import Learned, kind_of_call, receive_told
from napari_tool_runner.plugins.warm.patience import Watch, gave_up, took_cold
from napari_tool_runner.plugins.warm.serving import JOB, Server

if TYPE_CHECKING:
    from napari_tool_runner.plugins.process import ExecContext
    from napari_tool_runner.plugins.programs.enclosure import Enclosure
    from napari_tool_runner.tools.model import Tool

__all__ = ["handing", "stored"]

_SOCKET = "NAPARI_TOOL_RUNNER_WARM"
_IDLE = 600.0
_LOOK = 20.0
_AFTER = 1.0  # seconds that bubblewrap may outlive what it started
_LEAST_MEMORY = 0.1  # of the computer's: below it idle processes end
_MOST = 4  # processes that are kept, each for another environment or other variables
_SLOW = 10.0  # seconds in which a program has to say what it wants
_log = logging.getLogger(__name__)


class Handing:
    """How a job's program is started, and who takes the calls that it hands over.

    Parameters
    ----------
    args : list of str
    environment : mapping
    server : Server, optional
        Without it the program starts cold.
    """

    def __init__(
        self,
        args: list[str],
        environment: Mapping[str, str],
        server: Server | None = None,
        root: str = "",
        tool: str = "",
    ) -> None:
        self.args, self.environment = args, environment
        self.around = server.around if server else None
        self._server, self._root, self._tool = server, root, tool
        self._enclosure: Enclosure | None = None
        self._started, self._ended = threading.Event(), threading.Event()
        self.calls: list[int] = []
        self._numbers: list[int] = []
        self.watch = Watch(args, server.worked) if server else None

    @property
    def stuck(self) -> bool:
        """Whether it was ended since it did nothing any more; it starts cold from now on."""
        return self.watch is not None and self.watch.stuck

    @cached_property
    def starts_warm(self) -> bool:
        """Whether a program started with imports ahead; asked when the job's has ended."""
        server = self._server
        return server is not None and sum(map(server.was_warm, self.calls)) > 0

    @property
    def is_light(self) -> bool:
        """Whether all that its programs import takes less than to hand their calls over."""
        server = self._server
        return server is not None and bool(self.calls) and server.light >= {*self._numbers}

    def heard(self, context: ExecContext) -> ExecContext:
        """Return `context`, by whose reports it is known that the program goes on."""
        if self.watch is None:
            return context
        return replace(context, report=self.watch.heard(context.report))

    def end_all(self) -> None:
        """End what runs in the enclosure; without one, what was handed over goes on."""
        if self._enclosure is not None and self.calls:
            self._enclosure.end()

    def begin(self, enclosure: Enclosure | None) -> None:
        """Say in which enclosure the program is about to be started."""
        self._enclosure = enclosure
        self._started.set()

    def end(self) -> None:
        """Take no more calls: what comes now has no walls any more."""
        self.begin(None)
        self._ended.set()

    def take(self, listener: socket.socket) -> None:
        """Pass on the calls that come, until `listener` is shut down or the enclosure ends."""
        self._started.wait()
        ready = select.poll()
        ready.register(listener, select.POLLIN)
        with ExitStack() as stack:
            walls = self._enclosure
            first = -1
            if walls is not None and walls.held.wait(_LOOK):
                with suppress(OSError):  # bubblewrap did not come so far
                    first = walls.first()
                    stack.callback(os.close, first)
                    ready.register(first, select.POLLIN)
            while first not in [one for one, _ in ready.poll()]:
                if not self._take_one(listener):
                    return
            if walls is not None and not self._ended.wait(_AFTER):
                walls.end_bubblewrap()

    def _take_one(self, listener: socket.socket) -> bool:
        """Pass a call on; False when no more come."""
        try:
            connection = listener.accept()[0]
        except OSError:
            return False
        with connection, ExitStack() as stack:
            assert self._server is not None
            server = self._server
            try:
                connection.settimeout(_SLOW)
                kind = kind_of_call(connection)
                if kind is None:
                    new = learned.hear(self._tool, *receive_told(connection))
                    if new is not None:
                        server.prepare(new)
                    return True
                files = self._namespaces()
                for one in files:
                    stack.callback(os.close, one)
                imports = learned.of(server.name, self._tool, kind) if kind else None
                connection.settimeout(None)  # as it is handed over
                passed = [connection.fileno(), *files]
                self._numbers.append(imports.number if imports is not None else 0)
                self.calls.append(server.hand_over(imports, self._root, passed))
            except (OSError, ValueError, struct.error) as error:  # the program starts cold
                _log.info("A call was not handed over: %s", error)
        return True

    def _namespaces(self) -> list[int]:
        """Return what a fork enters; its own number of the user the last."""
        if self._enclosure is None or self._server is None or self._server.around is None:
            return []
        inner = self._server.around.inner
        names = ("mnt", "pid", "net", "ipc", "uts", *(("user",) if inner is not None else ()))
        return self._enclosure.namespaces(*names)


class _Pool:
    """The servers of this napari."""

    def __init__(self) -> None:
        self._servers: dict[object, Server] = {}
        self._failed: set[object] = set()
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
                        *(found, environment, shown, jobs, work, learned.refused),
                        enclosed=enclosed,
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

    def stored(self) -> list[Stored]:
        """Return what could be ended now."""
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
        learned.clear()
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
    return (tool.digest or tool.id, *(re.sub(r"[\d.]+|\S*/\S*", "", one) for one in args))


learned = Learned()
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
        with server.taking(warm.take) as place:
            inside = server.place / "socket" if enclosed else place
            warm.environment = {**warm.environment, _SOCKET: str(inside)}
            if warm.around is not None:
                warm.around = warm.around.showing(place, inside)
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
    for why in server.remarks():
        context.say(f"With {server.name}, {why}.")
    if warm.calls:
        context.provenance[WARM] = warm.starts_warm
    if warm.watch is not None and warm.watch.stuck:
        context.say(
            f"It did nothing for {warm.watch.limit:g} s, so it is started once more, and from now "
            "on, without imports ahead."
        )
