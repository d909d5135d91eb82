"""What a fork does with a call: it looks whether that may start warm, enters its walls, runs it.

It lies beside ``server.py``: with the standard library of any Python from 3.8 on.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Callable

from warm_begin import Begin, standing_before  # type: ignore[import-not-found]
from warm_call import Call, own_limits, receive  # type: ignore[import-not-found]
from warm_carrier import carry, close_all  # type: ignore[import-not-found]
from warm_imports import Ahead  # type: ignore[import-not-found]
from warm_reach import can_be_ended  # type: ignore[import-not-found]
from warm_rights import adopt_orphans, be_readable, end_with_parent, enter, give_up_rights  # type: ignore[import-not-found]
from warm_spare import sent, take_memory  # type: ignore[import-not-found]

_LATER = b"D"
CALLS = (b"R", _LATER)
"""Calls that come with their walls, and those whose walls napari sends when they are built."""


class _Cold(Exception):
    """Why a program is to start cold."""


class Forked(Exception):
    """Carries what a fork is to run out of the loops of its parents."""

    def __init__(self, call: Call, root: str, number: int) -> None:
        super().__init__()
        self.call, self.root, self.number = call, root, number


class Answering:
    """What answers a call, in a fork for it.

    Parameters
    ----------
    control : socket
        Of packets, from what forks.
    begun : frozenset of str
        The modules that this Python has by itself.
    """

    def __init__(self, control: socket.socket, begun: frozenset[str]) -> None:
        self._control, self._told = control, control
        self._walls, self._enclosed, self._within = b"", True, False
        self._root = ""
        self.ahead, self._begin = Ahead("", "", begun), Begin()
        self._variables = dict(os.environ)
        self._limits = own_limits()
        self._is_told = False
        """Whether a program tells, or has told, which pages it writes to."""

    def _answer(
        self, data: bytes, files: list[int], carried: Callable[[Call, socket.socket], object]
    ) -> None:
        """Answer a call: raises `Forked` in what runs its script, and ends everywhere else."""
        try:
            number, serial = struct.unpack_from("=QQ", data, 1)
            self._told.send(b"H" + struct.pack("=Q", serial))
            root = os.fsdecode(data[17:])
            connection = socket.socket(fileno=files[0])
            connection.settimeout(30)
            call = Call(connection)
            self._check(call, root)
            walls = files[1:]
            if data[:1] == _LATER:  # that was their numbering; they were built meanwhile
                close_all(walls)
                _, walls = receive(connection, 1)
            self._enter(walls)
            self._check_inside(call, root)
            if self.ahead.files:
                self._told.send(b"T" + struct.pack("=Q", serial))
            connection.sendall(b"s")
            if connection.recv(1) != b"g":  # it has waited too long, and started itself
                os._exit(1)
            carried(call, connection)
            os.setsid()
            can_be_ended()
            if sys.platform == "linux":
                be_readable(True)
            told = self.ahead.files and self._is_told
            raise Forked(call, root, 0 if told else number)
        except Forked:
            raise
        except _Cold as cold:
            told = f"Wa program started without imports ahead: {cold}"
            self._told.send(told.encode("utf-8", "replace"))
            os._exit(1)
        except BaseException:  # noqa: BLE001
            os._exit(1)  # the hand-over program is left alone, and starts cold

    def _wait_ahead(self, its: socket.socket, places: list[int], written: str) -> None:
        """Fork what waits, and wait for what it runs; in that raises `Forked`."""
        self._control.close()
        if sys.platform == "linux":
            end_with_parent()
            be_readable(False)
        for one in places:
            enter(one)
        close_all(places)
        mine, link = socket.socketpair()
        pid = self._fork()
        if pid == 0:
            mine.close()
            take_memory(written)
            data, files = receive(its)
            if not data:
                os._exit(0)
            self._answer(data, files, lambda _, its: sent(link, b"c", [its.detach()]))
        its.close()
        link.close()
        if self._enclosed:
            give_up_rights(self._walls)
        _, files = receive(mine)
        if not files:
            os._exit(0)
        carry(pid, socket.socket(fileno=files[0]), os.pipe(), alone=self._alone)

    def _check(self, call: Call, root: str) -> None:
        """Raise where packages would have been imported otherwise than here."""
        if changed := self.ahead.changed() or self._begin.changed():
            self._told.send(b"C")
            raise _Cold(f"{changed} has changed")
        its = call.at_import(root, self._root)
        if its != self._variables:
            names = sorted(
                n for n in its.keys() | self._variables if its.get(n) != self._variables.get(n)
            )
            raise _Cold(f"{', '.join(names)} changed since the job was started")
        if call.limits != self._limits:
            raise _Cold("its limits are others than when the job was started")
        if self.ahead.held and not call.has_usual_streams():
            raise _Cold("a package has noted where lines go to")

    def _check_inside(self, call: Call, root: str) -> None:
        """Raise where the program would find other modules than this process did."""
        if not call.is_as_told():
            raise _Cold(f"{call.words[0]} is another file there")
        for one in self.ahead.appeared(root):
            raise _Cold(f"a package would find {one}")
        if found := self._begin.user_site(root, self._root):
            raise _Cold(f"{found} has packages of the job's own")
        for one in self.ahead.elsewhere():
            raise _Cold(f"other modules lie in {one}")
        place = call.first_place()
        if any((one and not os.path.isabs(one)) or one.startswith(self._root) for one in sys.path):
            raise _Cold("modules are looked for in a folder of the job")
        if place and (name := standing_before(place, self.ahead.asked.missing)):
            raise _Cold(f"{name} in {place} is called like a module that was imported, or tried")

    def _enter(self, namespaces: list[int]) -> None:
        """Enter the caller's enclosure and give up all rights; raises when a step fails."""
        if self._enclosed != bool(namespaces):
            raise OSError("a call runs within its caller's walls, or not at all")
        if sys.platform != "linux":
            return
        be_readable(False)
        for one in namespaces:
            enter(one)
        close_all(namespaces)
        if self._enclosed:
            give_up_rights(self._walls)

    def _carry(self, call: Call, connection: socket.socket) -> None:
        """Fork, and go on in what runs the script; pass signals to it, and its end back."""
        bell = os.pipe()
        pid = self._fork()
        if pid:
            close_all(call.files)
            carry(pid, connection, bell, alone=self._alone)

    def _fork(self) -> int:
        """Fork what is to run a script: what has lost its parent below is a child of this."""
        if self._alone:
            adopt_orphans()
        return os.fork()

    @property
    def _alone(self) -> bool:
        """Whether there are no walls, with which all ends that a program started."""
        return not (self._enclosed or self._within)
