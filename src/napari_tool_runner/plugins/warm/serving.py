"""A process that forks for calls of an environment's Python, from napari's side."""

from __future__ import annotations

import itertools
import logging
import os
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from napari_tool_runner.plugins.warm.learned import known
from napari_tool_runner.tools.isolation.walls import program_filter

if TYPE_CHECKING:
    from napari_tool_runner.plugins.programs.around import Around
    from napari_tool_runner.plugins.warm.held import Numbering
    from napari_tool_runner.plugins.warm.learned import Imports

__all__ = ["JOB", "SHOWN", "Server", "Taking", "Walls", "listening"]

LEAST = 0.02  # seconds
_PATIENCE = 3.0  # seconds, less than a program waits until its call is taken
_LOOKS = 500  # milliseconds
JOB = "\0"
"""Stands for a job's own folder in variables."""
SHOWN = Path("/run/warm")
"""Where a program sees, within walls, what stands for its own programs."""
_START = 20.0  # seconds
_LONGEST_ADDRESS = 107  # bytes of a socket's address: sun_path of unix(7)
_MOST_SAID, _LONGEST_SAID, _MOST_CALLS = 100, 500, 10_000
_RANGE = "[0-9a-f]{1,16}-[0-9a-f]{1,16}"
_PAGES = re.compile(f"{_RANGE}(?: {_RANGE}){{0,4000}}")
_log = logging.getLogger(__name__)

Taking: TypeAlias = "tuple[Path, str, Callable[[], None]]"


class Walls(IntEnum):
    """What keeps programs apart that a server forks."""

    NONE = 0
    OF_CALLS = 1
    """Each call brings those that its fork enters."""
    ITS_OWN = 2
    """It is within them already, in the container of one job."""


class Server:
    """A process that forks for calls; one for each Python.

    Parameters
    ----------
    name : str
        Of the Python.
    kind : object
        Equal for those that take each other's place.
    """

    around: Around | None = None
    pid = 0
    """The process that leads it."""
    place: Path
    """Where programs find what stands for theirs."""
    _folder: Path

    def __init__(self, name: str, kind: object) -> None:
        self.name, self.kind = name, kind
        self.users, self.used = 0, time.monotonic()
        self.ready: set[int] = set()
        self.light: set[int] = set()
        """Imports that take less than a call costs that is handed over."""
        self.waited: set[int] = set()
        """Which imports are asked for and not yet done."""
        self._written: dict[int, bytes] = {}
        self.indirect = set[tuple[str, ...]]()
        """Kinds of commands whose calls napari cannot hand over itself."""
        self.outdated = False
        self._serials, self._warm = itertools.count(1), set[int]()
        self._expected, self.is_preparing = 0, False
        self.silent = False
        """Whether it did not answer in time."""
        self._unheard: dict[int, tuple[float, socket.socket]] = {}
        """Calls that nothing was forked for yet: since when, and their connections."""
        self._said_once: dict[str, bool] = {}
        self._lock, self._numbers = threading.Lock(), 0
        self._end = ExitStack()

    def _begin(self, control: socket.socket, walls: Walls, folders: Sequence[str]) -> str:
        """Let it begin; return why it does not.

        Parameters
        ----------
        folders : sequence of str
            What stands for a job's own folder, and for the one below it that it works in.
        """
        self._control = control
        control.settimeout(_START)
        told = b"".join(os.fsencode(one) + b"\0" for one in folders)
        control.send(
            b"F%d" % walls + told + (program_filter() if walls is Walls.OF_CALLS else b"")
        )
        if control.recv(1 << 16) != b"S":
            return "it ended at once"
        control.settimeout(None)
        threading.Thread(target=self._listen, name="warm-server", daemon=True).start()
        return ""

    @contextmanager
    def taking(self, take: Callable[[socket.socket], None]) -> Iterator[Taking]:
        """Let `take` accept the calls of a job.

        Gives where the socket for them lies, its address for who shares our processes, and what
        starts `take`.
        """
        with self._lock:
            self._numbers += 1
            path = self._folder / f"{self._numbers}"
        with listening(path) as (listener, address):
            thread = threading.Thread(target=take, args=[listener], name="warm-calls", daemon=True)
            try:
                yield path, address, thread.start
            finally:
                listener.shutdown(socket.SHUT_RDWR)
                if thread.ident is not None:
                    thread.join()

    def hand_over(
        self, imports: Imports | None, root: str, files: Sequence[int], *, later: bool = False
    ) -> int:
        """Let it fork for a call of a job in `root`; return a number for `was_warm`.

        `later`: the walls come by the first of `files`; after that comes their numbering.

        Raises
        ------
        OSError
            It has ended.
        """
        number, serial = 0, next(self._serials)
        if imports is not None:
            self.prepare(imports)
            number = 0 if imports.is_given_up else imports.number
        data = (b"D" if later else b"R") + struct.pack("=QQ", number, serial) + os.fsencode(root)
        with self._lock:
            self._unheard[serial] = time.monotonic(), socket.socket(fileno=os.dup(files[0]))
        try:
            socket.send_fds(self._control, [data], files)
        except OSError:
            self._let_go(serial)
            raise
        return serial

    def hear_written(self, number: int, pages: str) -> None:
        """Take which pages a program wrote to, so that the next one has them."""
        if number in self.ready and _PAGES.fullmatch(pages):
            self._written[number] = pages.encode()

    def expect(self, number: int) -> None:
        """Have a fork wait for the next call of those imports, once they are done."""
        self._expected = number

    def take_numbering(self) -> Numbering | None:
        """Return what walls may be given, in which a fork may wait."""
        return None

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
        """Return the bytes that its processes use while no job runs."""
        import psutil

        used = 0
        with suppress(psutil.Error):
            leader = psutil.Process(self.pid)
            for one in (leader, *leader.children(recursive=True)):
                with suppress(psutil.Error):
                    used += one.memory_full_info().pss  # what waits shares most
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
        elif kind == b"N" and len(rest) > 8:
            (number,) = struct.unpack_from("=Q", rest)
            known.leave_out(number, rest[8:].decode("utf-8", "replace"))
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
                self._written.pop(number, None)
                if kind == b"P" and asked:
                    self.ready.add(number)
                    if len(rest) == 16 and struct.unpack_from("=d", rest, 8)[0] < LEAST:
                        self.light.add(number)
                else:
                    self.ready.discard(number)
            if kind == b"P" and number == self._expected:
                self.expect(number)
            with self._lock:
                self.waited.discard(number)
            if kind == b"B":
                known.refused(number)


@contextmanager
def listening(path: Path, kind: int = socket.SOCK_STREAM) -> Iterator[tuple[socket.socket, str]]:
    """Give a socket at `path`, which may be of any length, and its address for our processes."""
    with ExitStack() as stack:
        address = str(path)
        if len(os.fsencode(address)) > _LONGEST_ADDRESS:
            folder = os.open(path.parent, os.O_PATH)
            stack.callback(os.close, folder)
            address = f"/proc/{os.getpid()}/fd/{folder}/{path.name}"
        listener = stack.enter_context(socket.socket(socket.AF_UNIX, kind))
        listener.bind(address)
        stack.callback(path.unlink, missing_ok=True)
        listener.listen(64)
        yield listener, address
