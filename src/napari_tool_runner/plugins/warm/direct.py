"""A program whose call napari hands over itself: the job's command is the Python, with no shell.

So nothing is started that stands for the Python. A fork enters the walls of a process that runs
in them: here it is one that only waits, and with its end all in them ends.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from napari_tool_runner.plugins.programs.devices import no_input
from napari_tool_runner.plugins.programs.process_tree import end_processes
from napari_tool_runner.plugins.warm.handover import is_plain, kind_of, send
from napari_tool_runner.plugins.warm.held import Ahead, Held
from napari_tool_runner.quoting import check_words

if TYPE_CHECKING:
    from napari_tool_runner.plugins.programs.enclosed import Enclosure
    from napari_tool_runner.plugins.warm.handing import Handing

__all__ = ["Direct", "NotTaken", "call"]

_WAIT = 10.0  # seconds until a call is taken
_FORCE = 5.0  # seconds that an end by force may take


class NotTaken(Exception):
    """Nobody took the call: nothing of the program has begun."""


class Direct:
    """A fork that runs a program; followed as a `Popen` is.

    Parameters
    ----------
    link : socket
        Signals go out by it, and the end comes in.
    walls : sequence of Held
        Those that it lies in, and after them what gave them their numbering.
    """

    def __init__(
        self, link: socket.socket, streams: tuple[IO[bytes], IO[bytes]], walls: Sequence[Held]
    ) -> None:
        self._link, self._walls = link, walls
        self.stdout, self.stderr = streams
        self.pid = walls[-1].pid if walls else 0
        """The process that leads its walls, or those that gave them their numbering."""
        self._told, self._over = b"", threading.Event()

    def wait(self) -> int:
        """Return its exit code, or the negative number of the signal that ended it."""
        if not self._over.is_set():
            with suppress(OSError):
                while len(self._told) < 5 and (more := self._link.recv(5 - len(self._told))):
                    self._told += more
            self._over.set()
            for one in self._walls:
                one.let_go()
            for one in self._walls[:1]:
                one.close()
        # without a word, what ran it was killed
        status = struct.unpack("=ci", self._told)[1] if len(self._told) == 5 else signal.SIGKILL
        return os.waitstatus_to_exitcode(status)

    def ended(self, seconds: float) -> bool:
        """Wait until all that it has started has ended, once it has, where it has no walls."""
        ready = select.poll()
        ready.register(self._link, select.POLLIN)
        return bool(ready.poll(max(0.0, seconds) * 1000))

    def end(self, grace: float, mark: str) -> list[int]:
        """Ask it to end, then force it; return what carries its mark and is still there."""
        deadline = time.monotonic() + grace
        with suppress(OSError):
            self._link.send(bytes([signal.SIGTERM]))
        left = end_processes([], grace=grace, mark=mark)
        self._over.wait(max(0.0, deadline - time.monotonic()))
        self.kill()
        return left

    def kill(self) -> None:
        """End it with all that it has started."""
        for one in self._walls[:1]:
            one.enclosure.end()
        for how in (socket.SHUT_WR, socket.SHUT_RDWR):  # the second if it does not answer
            with suppress(OSError):
                self._link.shutdown(how)
            if self._over.wait(_FORCE):
                return


def call(
    how: Handing, work_dir: Path, environment: Mapping[str, str], enclosure: Enclosure | None
) -> Direct:
    """Hand the call of a job's program over.

    Raises
    ------
    NotTaken
    """
    words, told = how.args[1:], dict(environment)
    try:
        check_words(how.args, environment)
        if not is_plain(words, str(work_dir)) or os.path.realpath(work_dir) != str(work_dir):
            raise NotTaken("it is no script that napari sees as the program does")
        with ExitStack() as undo, ExitStack() as done:
            (stdout, out), (stderr, err) = _pipe(undo, done), _pipe(undo, done)
            walls = None
            if enclosure is not None:
                ahead = how.numbering[0].take_next() if how.numbering else None
                passed = how.around.passed if how.around is not None else ()
                walls = Held(enclosure, work_dir, ahead or Ahead(err, passed, watched=False))
                undo.callback(walls.give_up)
                told["PWD"] = str(work_dir)  # bubblewrap tells it
            link, its = socket.socketpair()
            undo.callback(link.close)
            done.callback(its.close)
            place = no_input() if walls is not None else os.devnull
            nothing = done.enter_context(open(place, "rb")).fileno()
            kind = kind_of(words, str(work_dir))
            how.hand_over(its, kind, later=walls is not None)
            link.settimeout(_WAIT)
            send(
                link,
                (kind, how.python, os.fsencode(work_dir), os.fsencode(how.told_at)),
                {0: nothing, 1: out, 2: err},
                _umask(),
                words,
                [os.fsencode(f"{name}={value}") for name, value in told.items()],
            )
            how.listen()
            if walls is not None:  # they are built meanwhile
                walls.wait()
                how.send_walls(link)
            if not kind or not how.is_taken(link):
                raise NotTaken("it is not taken")
            if walls is not None and how.numbering:
                walls.enclosure.leave()
            link.sendall(b"g")
            link.settimeout(None)
            undo.pop_all()
    except (OSError, ValueError) as error:
        raise NotTaken(str(error)) from error
    held = [] if walls is None else [walls, *how.numbering]
    return Direct(link, (stdout, stderr), held)


def _pipe(undo: ExitStack, done: ExitStack) -> tuple[IO[bytes], int]:
    mine, its = os.pipe()
    done.callback(os.close, its)
    return undo.enter_context(open(mine, "rb", buffering=0)), its


def _umask() -> int:
    """Return that of this process, which is not to be changed for that."""
    with open("/proc/self/status", encoding="utf-8", errors="replace") as file:
        return next(int(line.split()[1], 8) for line in file if line.startswith("Umask:"))
