"""What stays with the program of a call: it passes signals on, and the end back.

It lies beside ``server.py``: with the standard library of any Python from 3.8 on.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import time

from warm_reach import was_for_all  # type: ignore[import-not-found]

_LEFT = 2.5  # seconds that children may outlive their program


def carry(pid: int, connection: socket.socket, bell: tuple[int, int], *, alone: bool) -> None:
    """Stay until the program ends or its caller is gone; never returns.

    Parameters
    ----------
    bell : tuple of int
        A pipe.
    alone : bool
        There is no enclosure, with which all ends that the program started.
    """
    wake, woken = bell
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            connection.sendall(struct.pack("=ci", b"e", status))
            if alone:
                _end_below(_LEFT)
            connection.close()  # before the memory of all imports is given back
            os._exit(0)
        found = readable([connection, wake], -1)
        if wake in found:
            os.read(wake, 4096)
        if connection in found:
            numbers = connection.recv(64)
            for number in numbers:
                if not was_for_all(number):
                    _signal_group(pid, number)
            if not numbers:
                break
    _signal_group(pid, signal.SIGKILL)
    if alone:
        _end_below(0)
    os._exit(0)


def readable(links: list[socket.socket | int], milliseconds: int) -> list[socket.socket | int]:
    """Return those that can be read, or have ended."""
    numbers = {one if isinstance(one, int) else one.fileno(): one for one in links}
    poll = select.poll()
    for number in numbers:
        poll.register(number, select.POLLIN)
    return [numbers[number] for number, _ in poll.poll(milliseconds)]


def reap() -> None:
    """Forget children that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _end_below(seconds: float) -> None:
    """End what the script left: this process has become the parent of all that lost theirs."""
    deadline = time.monotonic() + seconds
    with contextlib.suppress(OSError, ChildProcessError):
        while True:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
            if time.monotonic() >= deadline:
                with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
                    for one in file.read().split():
                        os.kill(int(one), signal.SIGKILL)
            time.sleep(0.02)


def close_all(files: list[int]) -> None:
    """Close descriptors."""
    for one in files:
        os.close(one)


def _signal_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except OSError:
        with contextlib.suppress(OSError):
            os.kill(pid, number)
