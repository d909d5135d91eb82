"""The process of the reader: it has imported what reading needs, and forks for each request.

Nothing that strangers wrote is touched before the fork, so that no request can change what
the next one meets. It ends with the process that started it, and when nothing was asked.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from typing import BinaryIO

from napari_tool_runner.tools.isolation.operations import OPERATIONS, preload
from napari_tool_runner.tools.isolation.walls import system_places, wall_in
from napari_tool_runner.tools.isolation.wire import MESSAGE, tell_error, to_line

__all__ = ["serve"]

_IDLE_SECONDS = 900.0


def serve(descriptor: int | None = None) -> None:
    """Fork for each request that comes through the socket `descriptor`, until it is closed.

    None: answer the one request of the standard input, where a process cannot fork.
    """
    if descriptor is None:
        _answer_one()
        return
    control = socket.socket(fileno=descriptor)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    children: dict[int, socket.socket] = {}
    try:
        while True:
            watched, patience = [control.fileno(), woken], None if children else _IDLE_SECONDS
            ready, _, _ = select.select(watched, [], [], patience)
            if not ready:
                return
            if woken in ready:
                os.read(woken, 4096)
            _bury(children)
            if control.fileno() in ready and not _obey(control, children):
                return
    finally:
        for pid in children:
            _end(pid)


def _obey(control: socket.socket, children: dict[int, socket.socket]) -> bool:
    """Take one message; False: there will be no more."""
    told, descriptors = b"", []
    while len(told) < MESSAGE:
        more, given, _, _ = socket.recv_fds(control, MESSAGE - len(told), 1)
        descriptors += given
        if not more:
            return False
        told += more
    verb, _, subject = told.decode().strip().partition(" ")
    if verb == "end":
        if int(subject) in children:
            _end(int(subject))
        return True
    connection = socket.socket(fileno=descriptors[0])
    preload(subject)
    gc.freeze()  # so that no child copies what is shared
    pid = os.fork()
    if pid == 0:
        _work(control, connection)
    children[pid] = connection
    control.sendall(str(pid).encode().ljust(MESSAGE))
    return True


def _end(pid: int) -> None:
    # what it may have started where the system cannot forbid that belongs to its group
    for end in (os.killpg, os.kill):
        with suppress(ProcessLookupError, PermissionError):
            end(pid, signal.SIGKILL)


def _bury(children: dict[int, socket.socket]) -> None:
    """Tell of each child that ended how it did, in case that it gave no answer."""
    for pid in list(children):
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            code = os.waitstatus_to_exitcode(status)
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            with children.pop(pid) as connection, suppress(OSError):
                connection.setblocking(False)
                connection.send(to_line({"ended": code}))


def _work(control: socket.socket, connection: socket.socket) -> None:
    """Answer one request, as the child; does not return."""
    try:
        gc.disable()
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        control.close()
        with open(connection.detach(), "r+b", buffering=0) as stream:
            with open(stream.fileno(), "rb", closefd=False) as received:
                request = received.readline()
            _answer(request, stream)
    finally:
        os._exit(0)


def _answer(request: bytes, stream: BinaryIO) -> None:
    try:
        told = json.loads(request)
        wall_in([*system_places(), *told["reads"]], told["memory"], told["seconds"])
        answer = to_line({"answer": OPERATIONS[told["do"]](told["of"])})
    except BaseException as error:  # noqa: BLE001 - whatever strangers' code raises is told
        answer = to_line(tell_error(error))
    while answer:
        answer = answer[stream.write(answer) :]


def _answer_one() -> None:
    """Answer the one request of the standard input: where a process cannot fork."""
    request = sys.stdin.buffer.readline()
    with open(os.dup(1), "wb", buffering=0) as stream:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        preload(json.loads(request)["language"])
        _answer(request, stream)
