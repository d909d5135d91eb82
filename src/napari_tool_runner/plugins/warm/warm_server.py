"""The process that forks for each call of an environment's Python.

It lies beside ``server.py``, which that Python runs: with the standard library of any from 3.8
on. It never imports a package itself: a fork of it, the template,
imports what a program imported the last time, and forks for each call of that program. Where
there is no template, it forks itself, and the program tells what it imported.

A call comes from napari over the socket `control`: the connection of a hand-over program, and
the namespaces of the enclosure that it was made in. What runs the script is born in there
without rights; what forks it gave up its own first. In a container, all are within its walls.
"""

from __future__ import annotations

import array
import contextlib
import gc
import itertools
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterator

from warm_begin import Begin, standing_before  # type: ignore[import-not-found]
from warm_call import Call, own_limits, receive, run  # type: ignore[import-not-found]
from warm_carrier import carry, close_all, readable, reap  # type: ignore[import-not-found]
from warm_imports import Ahead, Refused  # type: ignore[import-not-found]
from warm_leaving import Leaving  # type: ignore[import-not-found]
from warm_reach import can_be_ended, reach  # type: ignore[import-not-found]
from warm_rights import adopt_orphans, be_readable, end_with_parent, enter, give_up_rights  # type: ignore[import-not-found]
from warm_steps import top_of  # type: ignore[import-not-found]
from warm_template import Template  # type: ignore[import-not-found]

_TRIES = 12
_MOST_TEMPLATES = 6


class _Cold(Exception):
    """Why a program is to start cold."""


class _Forked(Exception):
    """Carries what a fork is to run out of the loops of its parents."""

    def __init__(self, call: Call, root: str, number: int) -> None:
        super().__init__()
        self.call, self.root, self.number = call, root, number


class Server:
    """What answers calls.

    Parameters
    ----------
    control : socket
        Of packets; napari holds the other end, and when that ends, this does.
    begun : frozenset of str
        The modules that this Python has by itself.
    """

    def __init__(self, control: socket.socket, begun: frozenset[str]) -> None:
        self._begun, self.leaving = begun, Leaving(begun)
        self._control, self._told = control, control
        self._walls, self._enclosed, self._within = b"", True, False
        self.places = tuple({os.path.join(one, "") for one in _installed()})
        self._root = self._work = ""
        self.ahead, self._begin = Ahead("", "", begun), Begin()
        self._variables = dict(os.environ)
        self._limits = own_limits()
        self._serving: dict[int, Template] = {}
        self._wanted: list[Template] = []
        self._coming: Template | None = None

    def serve(self) -> None:
        """Answer until napari is gone; in a fork raises `_Forked`."""
        while True:
            forks = {one.link: one for one in self._forks() if one.link is not None}
            found = readable([self._control, *forks], 1000)
            reap()
            for link, fork in forks.items():
                if link in found:
                    self._hear(fork)
                elif fork.is_late():
                    self._refuse(fork, "", "its import takes too long, or no fork of it ends")
            for fork in (*self._forks(), *self._wanted):
                if fork.keeps_too_long():
                    self._go_on(fork)
            if self._control in found:
                self._obey(*receive(self._control))

    def let_go(self) -> None:
        """Leave the sockets to their numbers, which a fork gives to other files."""
        links = {one.link for one in self._forks() if one.link is not None}
        for link in {self._control, self._told, *links}:
            link.detach()

    def _forks(self) -> set[Template]:
        return {*self._serving.values(), *([self._coming] if self._coming else [])}

    def _obey(self, data: bytes, files: list[int]) -> None:
        kind, rest = data[:1], data[1:]
        if not data:
            os._exit(0)
        if kind == b"F":
            root, work, self._walls = rest[1:].split(b"\0", 2)
            self._enclosed, self._within = rest[:1] == b"1", rest[:1] == b"2"
            self._root, self._work = os.fsdecode(root), os.fsdecode(work)
            os.makedirs(self._root, 0o700, exist_ok=True)
            self._variables = Call.lasting(os.environ)
            self._control.send(b"S")
        elif kind == b"L":
            (number,) = struct.unpack("=Q", rest)
            self._want(number, files)
        elif kind == b"R":
            (number,) = struct.unpack_from("=Q", rest)
            fork = self._serving.get(number)
            if fork is not None and fork.link is not None and _sent(fork.link, data, files):
                self._serving[number] = self._serving.pop(number)  # the last used
                close_all(files)
            elif coming := self._coming_for(number):
                self._told.send(b"H" + data[9:17])
                coming.keep(data, files)
            else:
                self._fork_for(data, files)

    def _coming_for(self, number: int) -> Template | None:
        """Return the template that a call does better to wait for, in the container of its job."""
        if not self._within:
            return None
        coming = [one for one in (self._coming, *self._wanted) if one is not None]
        return next((one for one in coming if number in one.numbers), None)

    def _go_on(self, fork: Template) -> None:
        """Fork for the calls that waited for a template, whatever became of that."""
        for data, files in fork.let_go():
            self._fork_for(data, files)

    def _want(self, number: int, files: list[int]) -> None:
        """Have a template for what a program had; one serves all that had the same."""
        with open(files[0], "rb") as file:
            wanted = Template(file.read().decode("utf-8", "surrogateescape"))
        for one in (*self._forks(), *self._wanted):
            if one.told == wanted.told and one.names == wanted.names:
                wanted = one
                break
        else:
            self._wanted.append(wanted)
        wanted.numbers.append(number)
        if wanted.ready:
            self._announce(wanted, number)
        self._prepare()

    def _prepare(self) -> None:
        """Fork the next template; one at a time, since they share a folder."""
        if self._coming is not None or not self._wanted:
            return
        fork = self._coming = self._wanted.pop(0)
        mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        fork.begun, fork.tries = time.monotonic(), fork.tries + 1
        fork.pid = os.fork()
        if fork.pid:
            its.close()
            fork.link = mine
            return
        mine.close()
        if sys.platform == "linux":
            end_with_parent()
        for one in self._forks():
            if one.link is not None:
                one.link.close()  # its end is another's to see
        for one in (fork, *self._wanted):
            for _, files in one.let_go():
                close_all(files)
        self._serving, self._coming, self._wanted = {}, None, []
        self._control = its
        try:
            self._import(fork)
        except Refused as refused:
            its.send(f"B{refused.package}\n{refused}".encode("utf-8", "replace"))
            os._exit(0)
        its.send(b"P" + struct.pack("=d", self.ahead.seconds))
        while True:
            data, files = receive(its)
            if not data:
                os._exit(0)
            self._fork_for(data, files)
            reap()

    def _import(self, fork: Template) -> None:
        # what comes after one that is left out could see what that does
        names = list(itertools.takewhile(lambda one: top_of(one) not in fork.bad, fork.names))
        ahead = Ahead(self._root, self._work, self._begun)
        ahead.take(names, fork.brought, fork.told, closely=fork.closely)
        self.ahead = ahead
        gc.collect()
        self.leaving.keep()
        gc.freeze()
        pid = os.fork()  # one that hangs keeps this from being ready
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)

    def _hear(self, fork: Template) -> None:
        try:
            data = fork.link.recv(1 << 16) if fork.link is not None else b""
        except OSError:
            data = b""
        if data[:1] == b"P":
            fork.ready, self._coming, fork.took = True, None, data[1:]
            for number in fork.numbers:
                self._announce(fork, number)
            for call in fork.let_go():
                self._obey(*call)
            self._prepare()
        elif data[:1] == b"B":
            package, _, why = data[1:].decode("utf-8", "replace").partition("\n")
            self._refuse(fork, package, why)
        else:
            self._refuse(fork, "", "its import ends the process")

    def _announce(self, fork: Template, number: int) -> None:
        self._serving[number] = fork
        self._told.send(b"P" + struct.pack("=Q", number) + fork.took)
        while len(set(self._serving.values())) > _MOST_TEMPLATES:
            self._end(next(iter(self._serving.values())))

    def _refuse(self, fork: Template, package: str, why: str) -> None:
        """Try without a package, or give up what a program had; never that again."""
        numbers = fork.numbers
        again = fork.tries < _TRIES and fork is self._coming
        self._end(fork)
        if again and not fork.closely and not package and why:
            fork.closely = True
        elif again and package and package not in fork.bad:
            fork.bad.add(package)
            its = package.encode("utf-8", "replace")
            for number in numbers if self._within else ():  # another begins in each container
                self._told.send(b"N" + struct.pack("=Q", number) + its)
        else:
            again = False
        if again:
            fork.numbers = numbers
            self._wanted.insert(0, fork)
        else:
            for number in numbers:
                self._told.send(b"B" + struct.pack("=Q", number))
            self._go_on(fork)
        if package or not again:
            what = package or "what a program imports"
            self._told.send(f"W{what} is not imported ahead: {why}".encode())
        self._prepare()

    def _end(self, fork: Template) -> None:
        for number in [one for one, known in self._serving.items() if known is fork]:
            del self._serving[number]
            self._told.send(b"E" + struct.pack("=Q", number))
        if fork is self._coming:
            self._coming = None
        fork.numbers, fork.ready = [], False
        if fork.link is not None:
            fork.link.close()
            fork.link = None
        with contextlib.suppress(ProcessLookupError):
            os.kill(fork.pid, signal.SIGKILL)

    def _fork_for(self, data: bytes, files: list[int]) -> None:
        """Fork what carries a call."""
        if os.fork():
            close_all(files)
            return
        try:
            number, serial = struct.unpack_from("=QQ", data, 1)
            self._told.send(b"H" + struct.pack("=Q", serial))
            root = os.fsdecode(data[17:])
            connection = socket.socket(fileno=files[0])
            connection.settimeout(30)
            call = Call(connection)
            self._check(call, root)
            self._enter(files[1:])
            self._check_inside(call, root)
            if self.ahead.files:
                self._told.send(b"T" + struct.pack("=Q", serial))
            connection.sendall(b"s")
            if connection.recv(1) != b"g":  # it has waited too long, and started itself
                os._exit(1)
            self._carry(call, connection, root, number)
        except _Forked:
            raise
        except _Cold as cold:
            told = f"Wa program started without imports ahead: {cold}"
            self._told.send(told.encode("utf-8", "replace"))
            os._exit(1)
        except BaseException:  # noqa: BLE001
            os._exit(1)  # the hand-over program is left alone, and starts cold

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
        elif not self._within:
            adopt_orphans()

    def _carry(self, call: Call, connection: socket.socket, root: str, number: int) -> None:
        """Start what runs the script; pass signals to it, and its end back."""
        wake, woken = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.setsid()
            can_be_ended()
            if sys.platform == "linux":
                be_readable(True)
            raise _Forked(call, root, number)
        close_all(call.files)
        carry(pid, connection, (wake, woken), alone=not (self._enclosed or self._within))


def _installed() -> Iterator[str]:
    yield from (sys.prefix, sys.base_prefix)
    yield from (one for one in sys.path if os.path.isabs(one))


def _sent(link: socket.socket, data: bytes, files: list[int]) -> bool:
    told = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))]
    try:
        return link.sendmsg([data], told) > 0
    except OSError:
        return False


def serve(begun: frozenset[str]) -> None:
    """Serve; in a fork, run its script.

    Parameters
    ----------
    begun : frozenset of str
        The modules that this Python has by itself.
    """
    control = reach(sys.argv[1])
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [one for one in sys.path if os.path.abspath(one) != here]
    quiet = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(quiet, number)
    os.close(quiet)
    os.chdir("/")
    server = Server(control, begun)
    try:
        server.serve()
    except _Forked as fork:
        work = fork.call, server.ahead, fork.root, server.places, fork.number
    server.let_go()
    try:
        run(*work, begun)
        server.leaving.ends(None)
    except SystemExit as end:
        server.leaving.ends(end.code)
        raise
