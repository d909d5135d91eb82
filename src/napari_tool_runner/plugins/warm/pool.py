"""The processes that answer calls of environments' Pythons, from napari's side.

One for each Python and for what counts when packages are loaded. It is started with the first
job that calls this Python, serves those that follow, and ends with napari, after idle time, when
memory is short, or when what it has imported changes. One in a container ends with that, too.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.plugins.contract import WARM, Stored
from napari_tool_runner.plugins.programs.enclosure import is_enclosing
from napari_tool_runner.plugins.warm.asked import Asked, asked_by, forget_light, handed
from napari_tool_runner.plugins.warm.direct import NotTaken
from napari_tool_runner.plugins.warm.handing import Handing
from napari_tool_runner.plugins.warm.interpreter import by_name, calls_python, python_of
from napari_tool_runner.plugins.warm.learned import known
from napari_tool_runner.plugins.warm.local_server import LocalServer
from napari_tool_runner.plugins.warm.rooms import sweep
from napari_tool_runner.plugins.warm.warm_interpreter import Interpreter, interpreter_of

if TYPE_CHECKING:
    from napari_tool_runner.plugins.process import ExecContext
    from napari_tool_runner.plugins.warm.serving import Server
    from napari_tool_runner.tools.model import Tool

__all__ = ["drop", "fail", "fails", "handing", "stored", "take", "tell", "using"]

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
        asked: Asked,
        shown: Collection[Path],
        context: ExecContext,
        *,
        enclosed: bool,
    ) -> Iterator[Server | None]:
        """Give the server of a Python, started now where there is none; None where it fails."""
        key = (found, tuple(sorted(asked.apart.items())), asked.work, enclosed)
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
                    server = LocalServer(
                        *(found, asked.apart, shown, jobs, asked.work, key), enclosed=enclosed
                    )
                except (OSError, ValueError, subprocess.SubprocessError) as error:
                    self._failed.add(key)
                    context.say(f"Programs of {found.path} start without imports ahead: {error}.")
                else:
                    self._take(key, server)
            if server is not None:
                server.users += 1
        try:
            yield server
        finally:
            if server is not None:
                self._give_back(server)

    def take(self, server: Server) -> None:
        """Look after a server that somebody else has started, and ends with `drop`."""
        with self._lock:
            self._take(server, server)

    def drop(self, server: Server) -> None:
        """End a server that was taken."""
        with self._lock:
            self._servers.pop(server, None)
        server.close()

    @contextmanager
    def using(self, server: Server) -> Iterator[None]:
        """Keep a server that was taken while a job uses it."""
        with self._lock:
            server.users += 1
        try:
            yield
        finally:
            self._give_back(server)

    def fails(self, kind: object) -> bool:
        """Whether servers of a kind are not started any more."""
        with self._lock:
            return kind in self._failed

    def fail(self, kind: object) -> None:
        """Start no more servers of a kind."""
        with self._lock:
            self._failed.add(kind)

    def lost(self, server: Server) -> str:
        """Say what becomes of a server that answers no more: of the second, nothing follows."""
        with self._lock:
            if self._silent.setdefault(server.kind, server) is server:
                return "it is started anew"
            self._failed.add(server.kind)
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
        forget_light()
        with self._lock:
            if os.getpid() == self._owner:
                for key in list(self._servers):
                    self._end(key)

    def _take(self, key: object, server: Server) -> None:
        self._servers[key] = server
        self._keep_few()
        self._look_after()

    def _give_back(self, server: Server) -> None:
        with self._lock:
            server.users -= 1
            server.used = time.monotonic()

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


_pool = _Pool()
stored, close = _pool.stored, _pool.close
take, drop, using, fails, fail = _pool.take, _pool.drop, _pool.using, _pool.fails, _pool.fail
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
    asked = asked_by(tool, args, context, config, environment)
    found = interpreter_of(environment) if asked is not None else None
    if asked is None or found is None or not calls_python(args, found):
        yield Handing(list(args), environment)
        return
    with _pool.lent(found, asked, shown, context, enclosed=is_enclosing(config)) as server:
        if server is None:
            yield Handing(list(args), environment)
            return
        path = f"{server.place / 'bin'}{os.pathsep}{environment['PATH']}"
        with handed(server, by_name(args, found), {**environment, "PATH": path}, asked) as how:
            python = python_of(args, found)
            if python and asked.kind not in server.indirect:
                how.call_directly(python)
            try:
                yield how
            except NotTaken:
                server.indirect.add(asked.kind)
                tell(how, server, context)
                raise
        tell(how, server, context)
    how.expect()


def tell(how: Handing, server: Server, context: ExecContext) -> None:
    """Write into record and log how programs started, when the job's has ended."""
    if server.silent:
        context.say(f"What imports ahead for {server.name} answers no more: {_pool.lost(server)}.")
    for why in server.remarks():
        context.say(f"With {server.name}, {why}.")
    if how.calls:
        context.provenance[WARM] = how.starts_warm
    if how.watch is not None and how.watch.stuck:
        context.say(
            f"It did nothing for {how.watch.limit:g} s, so it is started once more, and from now "
            "on, without imports ahead."
        )
