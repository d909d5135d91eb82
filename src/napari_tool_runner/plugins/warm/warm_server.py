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

from warm_answering import CALLS, Answering, Forked  # type: ignore[import-not-found]
from warm_call import Call, receive, run  # type: ignore[import-not-found]
from warm_carrier import close_all, readable, reap  # type: ignore[import-not-found]
from warm_imports import Ahead, Refused  # type: ignore[import-not-found]
from warm_leaving import Leaving  # type: ignore[import-not-found]
from warm_reach import reach  # type: ignore[import-not-found]
from warm_rights import end_with_parent  # type: ignore[import-not-found]
from warm_spare import Spare, numbering_of, sent  # type: ignore[import-not-found]
from warm_steps import top_of  # type: ignore[import-not-found]
from warm_template import Template  # type: ignore[import-not-found]

_TRIES = 12
_MOST_TEMPLATES = 6


class Server(Answering):  # type: ignore[misc]  # found where it runs
    """What answers calls.

    Parameters
    ----------
    control : socket
        Of packets; napari holds the other end, and when that ends, this does.
    begun : frozenset of str
        The modules that this Python has by itself.
    """

    def __init__(self, control: socket.socket, begun: frozenset[str]) -> None:
        super().__init__(control, begun)
        self._begun, self.leaving = begun, Leaving(begun)
        self.places = tuple({os.path.join(one, "") for one in _installed()})
        self._work = ""
        self._serving: dict[int, Template] = {}
        self._wanted: list[Template] = []
        self._coming: Template | None = None
        self._spare: Spare | None = None

    def serve(self) -> None:
        """Answer until napari is gone; in a fork raises `Forked`."""
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
        elif kind in CALLS:
            (number,) = struct.unpack_from("=Q", rest)
            fork = self._serving.get(number)
            if fork is not None and fork.link is not None and sent(fork.link, data, files):
                self._serving[number] = self._serving.pop(number)  # the last used
            elif coming := self._coming_for(number):
                self._told.send(b"H" + data[9:17])
                coming.keep(data, files)
            else:
                self._fork_for(data, files)
        elif kind == b"A":
            fork = self._serving.get(*struct.unpack_from("=Q", rest))
            if fork is None or fork.link is None or not sent(fork.link, data, files):
                close_all(files)

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
        self._control, self._is_told = its, False
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
            if data[:1] == b"A":
                self._make_spare(files, data[9:].decode("ascii"))
            elif self._spare is None or not self._spare.takes(data, files):
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
            self._is_told = True  # by the first one, if at all
            close_all(files)
            return
        self._end_spare()
        self._answer(data, files, self._carry)

    def _end_spare(self) -> None:
        if self._spare is not None:
            self._spare.end()
        self._spare = None

    def _make_spare(self, places: list[int], written: str) -> None:
        """Fork what waits for the next call, in the numbering of processes that it will have."""
        self._is_told = bool(written)
        self._end_spare()
        mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.fork():
            its.close()
            self._spare = Spare(mine, numbering_of(places))
            close_all(places)
            return
        try:
            mine.close()
            self._wait_ahead(its, places, written)
        except Forked:
            raise
        except BaseException:  # noqa: BLE001
            os._exit(1)  # calls are forked for, as where there is none


def _installed() -> Iterator[str]:
    yield from (sys.prefix, sys.base_prefix)
    yield from (one for one in sys.path if os.path.isabs(one))


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
    except Forked as fork:
        work = fork.call, server.ahead, fork.root, server.places, fork.number
    server.let_go()
    try:
        run(*work, begun)
        server.leaving.ends(None)
    except SystemExit as end:
        server.leaving.ends(end.code)
        raise
