"""How a job's program is started, and its calls handed over, from napari's side."""

from __future__ import annotations

import logging
import os
import select
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from napari_tool_runner.plugins.warm.handover import SOCKET
from napari_tool_runner.plugins.warm.learned import WRITTEN, kind_of_call, known, receive_told
from napari_tool_runner.plugins.warm.patience import Watch

if TYPE_CHECKING:
    from napari_tool_runner.plugins.process import ExecContext
    from napari_tool_runner.plugins.programs.enclosed import Enclosure
    from napari_tool_runner.plugins.warm.held import Numbering
    from napari_tool_runner.plugins.warm.serving import Server

__all__ = ["Handing"]

_LOOK = 20.0  # seconds until bubblewrap has made its walls
_AFTER = 1.0  # seconds that bubblewrap may outlive what it started
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
        self._ended = threading.Event()
        self.listening: tuple[Callable[[], None], ...] = ()
        """Start what takes calls, and what looks whether the program goes on."""
        self.calls: list[int] = []
        self._numbers: list[int] = []
        self.watch = Watch(args, server.worked) if server else None
        self.python = ""
        """What `direct.call` calls; empty where the program is to be started."""
        self.end_direct: Callable[[], object] | None = None
        """Ends that."""
        self.numbering: list[Numbering] = []
        """What was made ahead of its walls; at most one."""

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

    @property
    def told_at(self) -> str:
        """Where its programs tell what they have imported."""
        return self.environment[SOCKET]

    def end_all(self) -> None:
        """End what runs in the enclosure; without one, what a program handed over goes on."""
        if self.end_direct is not None:
            self.end_direct()
        elif self._enclosure is not None and self.calls:
            self._enclosure.end()

    def begin(self, enclosure: Enclosure | None) -> None:
        """Say in which enclosure the program is about to be started."""
        self._enclosure = enclosure
        if not self.python:
            self.listen()

    def listen(self) -> None:
        """Begin to take calls: where napari hands the first one over, when that is sent."""
        for one in self.listening:
            one()

    def end(self) -> None:
        """Take no more calls: what comes now has no walls any more."""
        self._enclosure = None
        self._ended.set()
        while self.numbering:
            self.numbering.pop().give_up()

    def call_directly(self, python: str) -> None:
        """Have its call handed over, within walls for which a fork may wait already."""
        assert self._server is not None
        self.python = python
        if self.around is not None and (made := self._server.take_numbering()):
            self.numbering.append(made)
            self.around = made.given_to(self.around)

    def expect(self) -> None:
        """Have a fork wait for the next such call."""
        if self.python and self._numbers and self._server is not None:
            self._server.expect(self._numbers[-1])

    def take(self, listener: socket.socket) -> None:
        """Pass on the calls that come, until `listener` is shut down or the enclosure ends."""
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
            assert self._server is not None
            while first not in (found := [one for one, _ in ready.poll(self._server.waits())]):
                self._server.take_back()
                if found and not self._take_one(listener):
                    return
            if walls is not None and not self._ended.wait(_AFTER):
                walls.end_bubblewrap()

    def _take_one(self, listener: socket.socket) -> bool:
        """Pass a call on; False when no more come."""
        try:
            connection = listener.accept()[0]
        except OSError:
            return False
        with connection:
            assert self._server is not None
            server = self._server
            try:
                connection.settimeout(_SLOW)
                kind = kind_of_call(connection)
                if kind is None:
                    what, number, text = receive_told(connection)
                    if what == WRITTEN:
                        server.hear_written(number, text)
                    elif (new := known.hear(self._tool, number, text)) is not None:
                        server.prepare(new)
                    return True
                self.hand_over(connection, kind)
            except (OSError, ValueError, struct.error) as error:  # the program starts cold
                _log.info("A call was not handed over: %s", error)
        return True

    def hand_over(self, connection: socket.socket, kind: bytes, *, later: bool = False) -> None:
        """Let the server fork for the call that comes by `connection`; raises OSError.

        `later`: its walls come by `connection`, too, which is napari's own.
        """
        assert self._server is not None
        server = self._server
        with ExitStack() as stack:
            files = [] if later else self._namespaces()
            for one in files:
                stack.callback(os.close, one)
            files += [one.number for one in self.numbering if later]
            imports = known.of(server.name, self._tool, kind) if kind else None
            connection.settimeout(None)  # as it is handed over
            passed = [connection.fileno(), *files]
            self._numbers.append(imports.number if imports is not None else 0)
            self.calls.append(server.hand_over(imports, self._root, passed, later=later))

    def is_taken(self, link: socket.socket) -> bool:
        """Whether the call that was sent by `link` is taken; it goes on when it is told to."""
        assert self._server is not None
        ready = select.poll()
        ready.register(link, select.POLLIN)
        while not ready.poll(waits := self._server.waits() or _SLOW * 1000):
            if waits == _SLOW * 1000:
                return False
            self._server.take_back()
        return link.recv(1) == b"s"

    def send_walls(self, link: socket.socket) -> None:
        """Send what a fork enters that was handed its call before; raises OSError."""
        files = self._namespaces()
        try:
            socket.send_fds(link, [b"w"], files)
        finally:
            for one in files:
                os.close(one)

    def _namespaces(self) -> list[int]:
        """Return what a fork enters; its own number of the user the last."""
        if self._enclosure is None or self._server is None or self._server.around is None:
            return []
        inner = self._server.around.inner
        names = ("mnt", "pid", "net", "ipc", "uts", *(("user",) if inner is not None else ()))
        return self._enclosure.namespaces(*names)
