"""A process that forks for calls of an environment's Python, from napari's side."""

from __future__ import annotations

import itertools
import logging
import os
import secrets
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.plugins.programs.around import Around
from napari_tool_runner.plugins.programs.enclosure import outer_enclosure
from napari_tool_runner.plugins.programs.process_tree import end_processes, new_mark, watchdog
from napari_tool_runner.plugins.programs.watchdog import MARK
from napari_tool_runner.plugins.warm.interpreter import lay_out
from napari_tool_runner.plugins.warm.rooms import room
from napari_tool_runner.tools.isolation.walls import program_filter

if TYPE_CHECKING:
    from napari_tool_runner.plugins.warm.interpreter import Interpreter
    from napari_tool_runner.plugins.warm.learned import Imports

__all__ = ["JOB", "Server"]

LEAST = 0.02  # seconds
_PATIENCE = 3.0  # seconds, less than a program waits until its call is taken
_LOOKS = 500  # milliseconds
JOB = "\0"
"""Stands for a job's own folder in variables."""
_SHOWN = Path("/run/warm")  # in an enclosure
_START = 20.0  # seconds
_LONGEST_ADDRESS = 107  # bytes of a socket's address: sun_path of unix(7)
_MOST_SAID, _LONGEST_SAID, _MOST_CALLS = 100, 500, 10_000
_log = logging.getLogger(__name__)


class Server:
    """A process that forks for calls; one for each Python.

    Raises
    ------
    OSError
        It could not be started.
    """

    def __init__(
        self,
        found: Interpreter,
        environment: Mapping[str, str],
        shown: Collection[Path],
        jobs: Path,
        work: str,
        refused: Callable[[int], None],
        *,
        enclosed: bool,
    ) -> None:
        self._refused = refused
        self.name, self.users, self.used = found.path, 0, time.monotonic()
        self.ready: set[int] = set()
        self.light: set[int] = set()
        """Imports that take less than a call costs that is handed over."""
        self.waited: set[int] = set()
        """Which imports are asked for and not yet done."""
        self.outdated = False
        self._serials, self._warm = itertools.count(1), set[int]()
        self.silent = False
        """Whether it did not answer in time."""
        self._unheard: dict[int, tuple[float, socket.socket]] = {}
        """Calls that nothing was forked for yet: since when, and their connections."""
        self._said_once: dict[str, bool] = {}
        self.around: Around | None = None
        self._lock, self._numbers = threading.Lock(), 0
        self._end = ExitStack()
        with ExitStack() as stack:
            self._folder = stack.enter_context(room())
            # it is looked for in what packages note, so it is like nothing else
            token = f"warm-{secrets.token_hex(8)}"
            self._seen, self._scratch = self._folder / "shown", self._folder / token
            self._scratch.mkdir()
            lay_out(self._seen, found)
            (self._seen / "socket").touch()
            self.place = _SHOWN if enclosed else self._seen
            self._root = f"/run/{token}" if enclosed else str(self._scratch)
            kept = {name: value.replace(JOB, self._root) for name, value in environment.items()}
            kept["PATH"] = f"{self.place / 'bin'}{os.pathsep}{kept['PATH']}"
            self._control, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            stack.callback(self._control.close)
            with its:
                self._start(found, kept, shown, jobs, its.fileno(), stack, enclosed=enclosed)
            self._control.settimeout(_START)
            told = b"".join(os.fsencode(one) + b"\0" for one in (self._root, self._root + work))
            walls = program_filter() if enclosed else b""
            self._control.send(b"F%d" % enclosed + told + walls)
            if self._control.recv(1 << 16) != b"S":
                raise OSError(self._said() or "it ended at once")
            self._control.settimeout(None)
            if enclosed:
                self.around = self._around(stack)
            self._end = stack.pop_all()
        threading.Thread(target=self._listen, name="warm-server", daemon=True).start()

    @property
    def pid(self) -> int:
        """The process that leads it."""
        return self._process.pid

    @contextmanager
    def taking(self, take: Callable[[socket.socket], None]) -> Iterator[tuple[Path, str]]:
        """Let `take` accept the calls of a job.

        Gives where the socket for them lies, and its address for who shares our processes.
        """
        with self._lock:
            self._numbers += 1
            path = self._folder / f"{self._numbers}"
        with ExitStack() as stack:
            address = str(path)
            if len(os.fsencode(address)) > _LONGEST_ADDRESS:
                folder = os.open(self._folder, os.O_PATH)
                stack.callback(os.close, folder)
                address = f"/proc/{os.getpid()}/fd/{folder}/{path.name}"
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(address)
            listener.listen(64)
            thread = threading.Thread(target=take, args=[listener], name="warm-calls", daemon=True)
            thread.start()
            try:
                yield path, address
            finally:
                listener.shutdown(socket.SHUT_RDWR)
                thread.join()
                path.unlink(missing_ok=True)

    def hand_over(self, imports: Imports | None, root: str, files: Sequence[int]) -> int:
        """Let it fork for a call of a job in `root`; return a number for `was_warm`.

        Raises
        ------
        OSError
            It has ended.
        """
        number, serial = 0, next(self._serials)
        if imports is not None:
            self.prepare(imports)
            number = 0 if imports.is_given_up else imports.number
        data = b"R" + struct.pack("=QQ", number, serial) + os.fsencode(root)
        with self._lock:
            self._unheard[serial] = time.monotonic(), socket.socket(fileno=os.dup(files[0]))
        try:
            socket.send_fds(self._control, [data], files)
        except OSError:
            self._let_go(serial)
            raise
        return serial

    def waits(self) -> int | None:
        """Return after how many milliseconds `take_back` is to be called; None for never."""
        with self._lock:
            return _LOOKS if self._unheard else None

    def take_back(self) -> None:
        """Let calls start cold that nothing is forked for, and do not let it hold their files."""
        now = time.monotonic()
        with self._lock:
            late = [one for one, (begun, _) in self._unheard.items() if now - begun > _PATIENCE]
            links = [self._unheard.pop(one)[1] for one in late]
        for link in links:
            self.silent = self.outdated = True
            with link, suppress(OSError):
                link.setblocking(False)
                _, files, _, _ = socket.recv_fds(link, 1 << 16, 253)
                for one in files:
                    os.close(one)
                link.send(b"c")

    def was_warm(self, serial: int) -> bool:
        """Whether a call started with imports ahead; asked once, when its program has ended."""
        with self._lock:
            found = serial in self._warm
            self._warm.discard(serial)
            return found

    def prepare(self, imports: Imports) -> None:
        """Have imported what a program imports, if that is known and not yet done."""
        with self._lock:
            number, told = imports.number, imports.told
            if told is None or number in self.ready | self.waited:
                return
            self.waited.add(number)
        file = os.memfd_create("told")
        try:
            os.write(file, told.encode("utf-8", "replace"))
            os.lseek(file, 0, os.SEEK_SET)
            with suppress(OSError):
                socket.send_fds(self._control, [b"L" + struct.pack("=Q", number)], [file])
        finally:
            os.close(file)

    def remarks(self) -> list[str]:
        """Return why programs started cold, or packages are not imported ahead; each once."""
        with self._lock:
            new = [one for one, said in self._said_once.items() if not said]
            self._said_once |= dict.fromkeys(new, True)
        return new

    def memory(self) -> int:
        """Return the bytes that its processes use while no job runs; they share little."""
        import psutil

        used = 0
        with suppress(psutil.Error):
            leader = psutil.Process(self.pid)
            for one in (leader, *leader.children(recursive=True)):
                with suppress(psutil.Error):
                    used += one.memory_info().rss
        return used

    def worked(self) -> float:
        """Return the seconds of processors that its forks have used."""
        import psutil

        found = 0.0
        with suppress(psutil.Error):
            for one in psutil.Process(self.pid).children(recursive=True):
                with suppress(psutil.Error):
                    times = one.cpu_times()
                    found += times.user + times.system
        return found

    def close(self) -> None:
        """End it with all that runs in it."""
        self.outdated = True
        self._end.close()

    def _start(
        self,
        found: Interpreter,
        environment: Mapping[str, str],
        shown: Collection[Path],
        jobs: Path,
        control: int,
        stack: ExitStack,
        *,
        enclosed: bool,
    ) -> None:
        mark = new_mark()
        kept = {**environment, MARK: mark}
        args = [found.path, str(self.place / "server.py"), str(control)]
        if enclosed:
            mounts = self._mounts("--bind", str(self._scratch), self._root)
            enclosure = outer_enclosure(shown, jobs, self._scratch, mounts, [control])
            self._enclosure = enclosure
            self._process = enclosure.start(args, self._scratch, kept)
            stack.callback(enclosure.ran)
            stack.callback(enclosure.end)
        else:
            self._process = subprocess.Popen(
                args, cwd=self._scratch, env=kept, pass_fds=[control], start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
        watchdog.add(self.pid)
        stack.callback(self._end_process, mark)

    def _end_process(self, mark: str) -> None:
        if left := end_processes([self.pid], grace=0.0, mark=mark, group=self.pid):
            _log.warning("These processes could not be ended: %s", left)
        for one in (self._process.stdout, self._process.stderr):
            if one is not None:
                one.close()
        self._process.wait()
        watchdog.discard(self.pid)

    def _said(self) -> str:
        assert self._process.stderr is not None
        os.set_blocking(self._process.stderr.fileno(), False)
        said = self._process.stderr.read() or b""
        return said.decode(errors="replace").strip().rpartition("\n")[2]

    def _mounts(self, *more: str) -> tuple[str, ...]:
        return ("--ro-bind", str(self._seen), str(_SHOWN), *more)

    def _around(self, stack: ExitStack) -> Around:
        """Return what enclosures of jobs lie in."""
        users, processes = self._enclosure.namespaces("user", "pid")
        stack.callback(os.close, users)
        stack.callback(os.close, processes)
        inner = None
        if os.getuid() or os.getgid():
            inner = _inner_users(users)
            stack.callback(os.close, inner)
        return Around(users, processes, inner, self._mounts())

    def _listen(self) -> None:
        """Hear what it tells, until it ends."""
        while True:
            try:
                data = self._control.recv(1 << 18)
            except OSError:
                data = b""
            if not data:
                with self._lock:
                    self.ready, self.waited, self.outdated = set(), set(), True
                    serials = list(self._unheard)
                for one in serials:
                    self._let_go(one)
                return
            self._hear(data[:1], data[1:])

    def _let_go(self, serial: int) -> None:
        """Leave the connection of a call to the fork."""
        with self._lock:
            found = self._unheard.pop(serial, None)
        if found is not None:
            found[1].close()

    def _hear(self, kind: bytes, rest: bytes) -> None:
        if kind == b"C":
            self.outdated = True
        elif kind == b"W":
            with self._lock:
                if len(self._said_once) < _MOST_SAID:  # packages could tell more
                    said = rest[:_LONGEST_SAID].decode("utf-8", "replace")
                    self._said_once.setdefault(said, False)
        elif kind == b"H" and len(rest) == 8:
            self._let_go(*struct.unpack("=Q", rest))
        elif kind == b"T" and len(rest) == 8:
            with self._lock:
                if len(self._warm) < _MOST_CALLS:
                    self._warm.add(*struct.unpack("=Q", rest))
        elif kind in (b"P", b"E", b"B") and len(rest) >= 8:
            (number,) = struct.unpack_from("=Q", rest)
            with self._lock:
                asked = number in self.waited
                self.waited.discard(number)
                if kind == b"P" and asked:
                    self.ready.add(number)
                    if len(rest) == 16 and struct.unpack_from("=d", rest, 8)[0] < LEAST:
                        self.light.add(number)
                else:
                    self.ready.discard(number)
            if kind == b"B":
                self._refused(number)


def _inner_users(users: int) -> int:
    """Return a descriptor of a namespace in which programs have the user's own number."""
    script = Path(__file__).with_name("inner_users.py")
    told = [str(one) for one in (users, os.getuid(), os.getgid())]
    words = [sys.executable, "-IS", str(script), *told]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        pass_fds=[users], env={}, cwd="/",
    ) as made:  # fmt: skip
        assert made.stdout is not None
        assert made.stderr is not None
        number = made.stdout.readline().strip()
        if not number:
            raise OSError(made.stderr.read().decode(errors="replace").strip().rpartition("\n")[2])
        return os.open(f"/proc/{int(number)}/ns/user", os.O_RDONLY)
