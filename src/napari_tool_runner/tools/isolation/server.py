"""The process of the reader: it has imported what reading needs, and forks for each request.

Nothing that strangers wrote is touched before the fork, so that no request can change what
the next one meets. It ends with the process that started it, and when nothing was asked.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from io import BytesIO
from typing import BinaryIO

from napari_tool_runner import tools
from napari_tool_runner.tools.isolation.operations import WithData, load, operation, preload, warm
from napari_tool_runner.tools.isolation.walls import end_with_parent, wall_in
from napari_tool_runner.tools.isolation.wire import MESSAGE, tell_error, to_line

__all__ = ["serve"]

_IDLE_SECONDS = 900.0
_MOST_FILES = 4096
_MOST_NOTES = 20
_LONGEST_NOTE = 8000


def serve(descriptor: int | None = None) -> None:
    """Fork for each request that comes through the socket `descriptor`, until it is closed.

    None: answer the one request of the standard input, where a process cannot fork.
    """
    if descriptor is None:
        _answer_one()
        return
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _Forks(socket.socket(fileno=descriptor)).serve(woken)


class _Forks:
    """One child waits for the next request, warm; the others answer one each."""

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.busy: dict[int, socket.socket] = {}
        self.spare: tuple[int, socket.socket] | None = None

    def serve(self, woken: int) -> None:
        """Answer until nobody asks any more."""
        watched = select.poll()  # `select.select` takes no number above 1023
        for descriptor in (self.control.fileno(), woken):
            watched.register(descriptor, select.POLLIN)
        try:
            while True:
                patience = None if self.busy else _IDLE_SECONDS * 1000
                ready = {descriptor for descriptor, _ in watched.poll(patience)}
                if not ready:
                    return
                if woken in ready:
                    os.read(woken, 4096)
                self.bury()
                if self.control.fileno() not in ready:
                    continue
                if not self.obey():
                    return
                more = {descriptor for descriptor, _ in watched.poll(0)}
                if self.spare is None and self.control.fileno() not in more:
                    self.spare = self.fork()
        finally:
            self.drop()
            for pid in self.busy:
                _end(pid)

    def obey(self) -> bool:
        """Take one message; False: there will be no more."""
        told, descriptors = b"", []
        while len(told) < MESSAGE:
            more, given, _, _ = socket.recv_fds(self.control, MESSAGE - len(told), 1)
            descriptors += given
            if not more:
                return False
            told += more
        verb, _, subject = told.decode().strip().partition(" ")
        if verb == "end":
            if int(subject) in self.busy:
                _end(int(subject))
            return True
        if verb == "load":
            if load(subject):
                self.drop()
            return True
        connection = socket.socket(fileno=descriptors[0])
        if preload(subject):
            self.drop()
        pid = self.hand(connection)
        self.busy[pid] = connection
        self.control.sendall(str(pid).encode().ljust(MESSAGE))
        return True

    def hand(self, connection: socket.socket) -> int:
        """Give a request to the child that waits; return its number."""
        while True:
            pid, door = self.spare or self.fork()
            self.spare = None
            with door, suppress(OSError):  # it may have been killed meanwhile
                socket.send_fds(door, [b"."], [connection.fileno()])
                return pid

    def fork(self) -> tuple[int, socket.socket]:
        """Make a child that has read what is ours, and waits for what is a stranger's."""
        ours, theirs = socket.socketpair()
        gc.freeze()  # so that no child copies what is shared
        pid = os.fork()
        if pid == 0:
            _work(theirs)
        theirs.close()
        return pid, ours

    def drop(self) -> None:
        """End the child that waits."""
        if self.spare is not None:
            pid, door = self.spare
            door.close()
            _end(pid)
            self.spare = None

    def bury(self) -> None:
        """Tell of each child that ended how it did, in case that it gave no answer."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if self.spare is not None and self.spare[0] == pid:
                self.drop()
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            if pid in self.busy:
                with self.busy.pop(pid) as connection, suppress(OSError):
                    connection.setblocking(False)
                    connection.send(to_line({"ended": os.waitstatus_to_exitcode(status)}))


def _end(pid: int) -> None:
    # what it may have started where the system cannot forbid that belongs to its group
    for end in (os.killpg, os.kill):
        with suppress(ProcessLookupError, PermissionError):
            end(pid, signal.SIGKILL)


def _work(door: socket.socket) -> None:
    """Answer the one request that comes through `door`, as the child; does not return."""
    try:
        gc.disable()
        os.setsid()
        end_with_parent()  # which may be killed before it can end us
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # what others are asked and answered is none of its business
        os.closerange(3, door.fileno())
        os.closerange(door.fileno() + 1, _MOST_FILES)
        warm()
        _, descriptors, _, _ = socket.recv_fds(door, 1, 1)
        os.close(door.detach())
        if not descriptors:
            return
        with (
            open(descriptors[0], "r+b", buffering=0) as stream,
            open(stream.fileno(), "rb", closefd=False) as received,
        ):
            _answer(received, stream)
    finally:
        os._exit(0)


def _answer(received: BinaryIO, stream: BinaryIO) -> None:
    """Answer requests until there are no more, behind walls from the first one on."""
    walled = False
    parts: list[bytes | memoryview]
    notes = _Notes()
    while request := received.readline():
        try:
            told = json.loads(request)
            if not walled:
                places = [*tools.__path__, *told["reads"], *told["writes"]]
                allowed = told["memory"], told["seconds"], told["writes"]
                wall_in(places, *allowed, maps=told["maps"])
                walled = True
            answer = operation(told["do"])(told["of"])
            whole = answer if isinstance(answer, WithData) else WithData(answer, ())
            size = sum(part.nbytes for part in whole.data)
            line = {"answer": whole.told, "bytes": size, "log": notes.taken()}
            parts = [to_line(line), *whole.data]
        except BaseException as error:  # noqa: BLE001 - whatever strangers' code raises is told
            parts = [to_line({**tell_error(error), "log": notes.taken()})]
        for part in parts:
            left = memoryview(part)
            while len(left):
                left = left[stream.write(left) :]
        if not walled:
            return


class _Notes(logging.Handler):
    """Keeps what is logged here, for the log of those who ask: its level and its text."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.kept: list[tuple[int, str]] = []
        ours = logging.getLogger(tools.__name__)
        ours.addHandler(self)
        ours.setLevel(logging.INFO)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one, unless there are many."""
        if len(self.kept) < _MOST_NOTES:
            self.kept.append((record.levelno, self.format(record)[-_LONGEST_NOTE:]))

    def taken(self) -> list[tuple[int, str]]:
        """Return them, and begin anew."""
        kept, self.kept = self.kept, []
        return kept


def _answer_one() -> None:
    """Answer the one request of the standard input: where a process cannot fork."""
    request = sys.stdin.buffer.readline()
    with open(os.dup(1), "wb", buffering=0) as stream:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        preload(json.loads(request)["language"])
        _answer(BytesIO(request), stream)
