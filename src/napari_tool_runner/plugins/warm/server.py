"""The process that forks for each call of an environment's Python: a script that stands alone.

It is run by that Python (3.8 or newer), with the standard library and ``warm_call.py`` beside
it. It never imports a package itself: a fork of it, the template, imports what the programs
before imported, and forks for each call. Where there is no template, it forks itself.

A call comes from napari over the socket `control`: the connection of a hand-over program, and
the namespaces of the enclosure that it was made in. What runs the script is born in there
without rights; what forks it gave up its own first.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import gc
import importlib
import os
import re
import select
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator

from warm_call import Call, at_load, origin_of, receive, run  # type: ignore[import-not-found]

_LIMIT = 300.0  # seconds that imports may take
_LEFT = 2.5  # seconds that children may outlive their program
_POOLS = re.compile(r"polars|tokio|ts_pool|rayon|grpc")
_DEVICES = ("/dev/nvidia", "/dev/kfd", "/dev/dri/")
_END_WITH_PARENT, _DUMPABLE, _SECCOMP, _HAS, _DROP = 1, 4, 22, 23, 24
_REAPER, _NO_NEW_PRIVILEGES, _AMBIENT = 36, 38, 47
_FILTER, _CLEAR = 2, 4
_libc = ctypes.CDLL(None, use_errno=True)


class _Forked(Exception):
    """Carries the call that a fork is to run out of the loops of its parents."""

    def __init__(self, call: Call) -> None:
        super().__init__()
        self.call = call


class _Template:
    """The fork that imports, as the first process sees it."""

    def __init__(self, pid: int, link: socket.socket, names: list[str]) -> None:
        self.pid, self.link, self.names = pid, link, names
        self.ready, self._begun = False, time.monotonic()

    def is_late(self) -> bool:
        return not self.ready and time.monotonic() - self._begun > _LIMIT


class Server:
    """What answers calls.

    Parameters
    ----------
    control : socket
        Of packets; napari holds the other end, and when that ends, this does.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control, self._told = control, control
        self._walls, self._enclosed = b"", True
        self.places = tuple({os.path.join(one, "") for one in _installed()})
        self.loaded = frozenset(sys.modules)
        self._variables = at_load(os.environ)
        self._files: dict[str, tuple[int, int, int]] = {}
        self._serving: _Template | None = None
        self._coming: _Template | None = None
        self._bad: set[str] = set()

    def serve(self) -> None:
        """Answer until napari is gone; in a fork raises `_Forked`."""
        while True:
            forks = {one.link: one for one in (self._serving, self._coming) if one is not None}
            found = _readable([self._control, *forks], 1000)
            _reap()
            for link, fork in forks.items():
                if link in found:
                    self._hear(fork)
                elif fork.is_late():
                    self._end(fork)
            if self._control in found:
                self._obey(*receive(self._control))

    def let_go(self) -> None:
        """Leave the sockets to their numbers, which a fork gives to other files."""
        links = {one.link for one in (self._serving, self._coming) if one is not None}
        for link in {self._control, self._told, *links}:
            link.detach()

    def _obey(self, data: bytes, files: list[int]) -> None:
        kind, rest = data[:1], data[1:]
        if not data:
            os._exit(0)
        if kind == b"F":
            self._enclosed, self._walls = rest[:1] == b"1", rest[1:]
            self._control.send(b"S")
        elif kind == b"L":
            self._prepare(rest.decode("utf-8", "replace").split("\n"))
        elif kind == b"R":
            if self._serving is not None and _sent(self._serving.link, files):
                _close(files)
            else:
                self._fork_for(files)

    def _prepare(self, names: list[str]) -> None:
        """Fork the template that imports `names`."""
        names = [one for one in names if one.partition(".")[0] not in self._bad]
        mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid:
            its.close()
            self._end(self._coming)
            self._coming = _Template(pid, mine, names)
            return
        mine.close()
        if sys.platform == "linux":
            _libc.prctl(_END_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
        for one in (self._serving, self._coming):
            if one is not None:
                one.link.close()  # its end is another's to see
        self._serving = self._coming = None
        self._control = its
        self._import(names)
        while True:
            data, files = receive(its)
            if not data:
                os._exit(0)
            self._fork_for(files)
            _reap()

    def _import(self, names: list[str]) -> None:
        last = ""
        for name in [*names, ""]:
            top = name.partition(".")[0]
            if top != last and last:
                self._look_at(last)
            last = top
            if name:
                with contextlib.suppress(BaseException):  # it will fail in the script, too
                    importlib.import_module(name)
        origins = [origin_of(module) for module in list(sys.modules.values())]
        for one in (*origins, *self.places):
            with contextlib.suppress(OSError):
                if one:
                    self._files[one] = _state(one)
        self.loaded = frozenset(sys.modules)
        gc.collect()
        gc.freeze()
        self._control.send(b"P")

    def _look_at(self, top: str) -> None:
        """End this template when a package does what does not outlive a fork."""
        why = "it starts threads when it is imported" if threading.active_count() > 1 else ""
        for one in os.listdir("/proc/self/task"):
            with open(f"/proc/self/task/{one}/comm", encoding="utf-8", errors="replace") as file:
                if _POOLS.search(file.read()):
                    why = "it starts a pool of threads when it is imported"
        for one in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/self/fd/{one}").startswith(_DEVICES):
                    why = "it opens a GPU when it is imported"
        if why:
            self._control.send(f"B{top}\n{why}".encode())
            os._exit(0)

    def _hear(self, fork: _Template) -> None:
        try:
            data = fork.link.recv(1 << 16)
        except OSError:
            data = b""
        if data[:1] == b"P":
            fork.ready = True
            self._end(self._serving)
            self._serving, self._coming = fork, None
            self._told.send(b"P")
            return
        self._end(fork)
        if data[:1] == b"B":
            self._told.send(data)
            self._bad.add(data[1:].decode("utf-8", "replace").partition("\n")[0])
            self._prepare(fork.names)

    def _end(self, fork: _Template | None) -> None:
        if fork is None:
            return
        if fork is self._serving:
            self._serving = None
        else:
            self._coming = None
        fork.link.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(fork.pid, signal.SIGKILL)

    def _fork_for(self, files: list[int]) -> None:
        """Fork what carries a call."""
        if os.fork():
            _close(files)
            return
        try:
            connection = socket.socket(fileno=files[0])
            connection.settimeout(30)
            call = Call(connection)
            if call.kind == b"learned":
                self._told.send(b"M" + call.told)
                os._exit(0)
            self._check(call)
            self._enter(files[1:])
            connection.sendall(b"s")
            if connection.recv(1) != b"g":  # it has waited too long, and started itself
                os._exit(1)
            self._carry(call, connection)
        except _Forked:
            raise
        except BaseException:  # noqa: BLE001
            os._exit(1)  # the hand-over program is left alone, and starts cold

    def _check(self, call: Call) -> None:
        """Raise where the program would start otherwise than this process did."""
        if at_load(call.variables) != self._variables:
            raise OSError("variables differ that count when packages are loaded")
        if any(_state(one) != known for one, known in self._files.items()):
            self._told.send(b"C")
            raise OSError("what is installed has changed")

    def _enter(self, namespaces: list[int]) -> None:
        """Enter the caller's enclosure and give up all rights; raises when a step fails."""
        if self._enclosed != bool(namespaces):
            raise OSError("a call runs within its caller's walls, or not at all")
        if sys.platform != "linux":
            return
        _checked(_libc.prctl(_DUMPABLE, 0, 0, 0, 0))
        for one in namespaces:
            _checked(_libc.setns(one, 0))
        _close(namespaces)
        if self._enclosed:
            give_up_rights(self._walls)
        else:
            _checked(_libc.prctl(_REAPER, 1, 0, 0, 0))

    def _carry(self, call: Call, connection: socket.socket) -> None:
        """Start what runs the script; pass signals to it, and its end back."""
        wake, woken = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.setsid()
            if sys.platform == "linux":
                _checked(_libc.prctl(_DUMPABLE, 1, 0, 0, 0))
            raise _Forked(call)
        _close(call.files)
        os.set_blocking(woken, False)
        signal.set_wakeup_fd(woken)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        while True:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                connection.sendall(struct.pack("=ci", b"e", status))
                if not self._enclosed:
                    _end_below(_LEFT)
                os._exit(0)
            found = _readable([connection, wake], -1)
            if wake in found:
                os.read(wake, 4096)
            if connection in found:
                numbers = connection.recv(64)
                for number in numbers:
                    _signal_group(pid, number)
                if not numbers:
                    break
        _signal_group(pid, signal.SIGKILL)
        if not self._enclosed:
            _end_below(0)
        os._exit(0)


def give_up_rights(walls: bytes) -> None:
    """Drop all capabilities and close the calls of administrators; raises OSError."""
    _checked(_libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
    one = 0
    while _libc.prctl(_HAS, one, 0, 0, 0) >= 0:
        _checked(_libc.prctl(_DROP, one, 0, 0, 0))
        one += 1
    _checked(_libc.prctl(_AMBIENT, _CLEAR, 0, 0, 0))
    header, rights = struct.pack("Ii", 0x20080522, 0), ctypes.create_string_buffer(24)
    _checked(_libc.capset(header, bytes(24)))
    _checked(_libc.capget(header, rights))
    if any(rights.raw):
        raise OSError("rights are left")
    if walls:
        code = ctypes.create_string_buffer(walls)
        program = struct.pack("HxxxxxxP", len(walls) // 8, ctypes.addressof(code))
        _checked(_libc.prctl(_SECCOMP, _FILTER, program, 0, 0))


def _installed() -> Iterator[str]:
    yield from (sys.prefix, sys.base_prefix)
    yield from (one for one in sys.path if os.path.isabs(one))


def _sent(link: socket.socket, files: list[int]) -> bool:
    told = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))]
    try:
        return link.sendmsg([b"R"], told) > 0
    except OSError:
        return False


def _readable(links: list[socket.socket | int], milliseconds: int) -> list[socket.socket | int]:
    """Return those that can be read, or have ended."""
    numbers = {one if isinstance(one, int) else one.fileno(): one for one in links}
    poll = select.poll()
    for number in numbers:
        poll.register(number, select.POLLIN)
    return [numbers[number] for number, _ in poll.poll(milliseconds)]


def _reap() -> None:
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


def _state(path: str) -> tuple[int, int, int]:
    found = os.stat(path)
    return found.st_mtime_ns, found.st_size, found.st_ino


def _close(files: list[int]) -> None:
    for one in files:
        os.close(one)


def _checked(failed: int) -> None:
    if failed:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _signal_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except OSError:
        with contextlib.suppress(OSError):
            os.kill(pid, number)


def main() -> None:
    """Serve; in a fork, run its script."""
    control = socket.socket(fileno=int(sys.argv[1]))
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [one for one in sys.path if os.path.abspath(one) != here]
    quiet = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(quiet, number)
    os.close(quiet)
    os.chdir("/")
    server = Server(control)
    try:
        server.serve()
    except _Forked as fork:
        call = fork.call
    server.let_go()
    run(call, server.loaded, server.places)


if __name__ == "__main__":
    main()
