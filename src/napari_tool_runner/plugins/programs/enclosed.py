"""An enclosed program: how bubblewrap is started, held and ended with all in it."""

from __future__ import annotations

import errno
import os
import re
import select
import shutil
import socket
import stat
import subprocess
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from napari_tool_runner.plugins.programs.devices import no_input
from napari_tool_runner.plugins.programs.environment import check_program
from napari_tool_runner.plugins.programs.watchdog import MARK
from napari_tool_runner.quoting import check_words
from napari_tool_runner.tools.isolation.walls import end_held, hold, keep_apart, program_filter

__all__ = ["Enclosure"]


class Enclosure:
    """A program in its walls: how it is started, and whether it ran.

    Parameters
    ----------
    options : iterable of str
        Of bubblewrap, iterated once: they reach it through a socket, not its command line.
    apart : bool
        Keep it from abstract sockets of others, which it meets in a network that is not its own.
    passed : sequence of int
        Descriptors that bubblewrap, or the program, inherits.
    allowed : sequence of str
        Calls that its filter leaves, see `program_filter`.
    numbering : Enclosure, optional
        The one whose processes are numbered with those of this one: all end together.
    """

    def __init__(
        self,
        options: Iterable[str],
        *,
        apart: bool = False,
        passed: Sequence[int] = (),
        allowed: Sequence[str] = (),
        numbering: Enclosure | None = None,
    ) -> None:
        self._options, self._apart = options, apart
        self._passed, self._allowed, self._numbering = passed, allowed, numbering
        self._status = self._first = self._own = self._number = -1
        self._told = b""
        self._program: subprocess.Popen[bytes] | None = None
        self.held = threading.Event()
        """Whether its first process is known."""

    def start(
        self,
        args: Sequence[str],
        work_dir: Path,
        environment: Mapping[str, str],
        streams: Sequence[int] = (),
    ) -> subprocess.Popen[bytes]:
        """Start `args`; raises OSError for what could not be executed, ValueError for a nul.

        `streams`: its standard files; by default nothing to read, and pipes.
        """
        check_program(args[0], work_dir, environment)
        self._status, status = os.pipe()
        kernel, (ours, its) = os.memfd_create("kernel"), socket.socketpair()
        try:
            forbidden = program_filter(*self._allowed)
            program = [shutil.which("bwrap") or "bwrap", "--args", str(its.fileno())]
            program += ["--json-status-fd", str(status)]
            program += ["--seccomp", str(kernel)] if forbidden else []
            program += ["--", *args]
            fds = (its.fileno(), kernel, status, *self._passed)
            started = self._begin(program, work_dir, environment.get(MARK), fds, streams)
            self._program = started
            try:
                its.close()
                self._tell(ours, work_dir, environment)
                # with an empty filter it starts nothing: so nothing runs within a part of its
                # walls, if we are killed while we tell them
                os.pwrite(kernel, forbidden, 0)
                ours.shutdown(socket.SHUT_WR)
                os.close(status)
                status = -1
                self._hold()
            except BaseException:
                with started:
                    started.kill()  # before it takes what it was told for all
                raise
        except BaseException:
            os.close(self._status)
            raise
        finally:
            ours.close()
            its.close()
            os.close(kernel)
            if status >= 0:
                os.close(status)
        return started

    def _begin(
        self,
        program: list[str],
        work_dir: Path,
        mark: str | None,
        fds: Collection[int],
        streams: Sequence[int],
    ) -> subprocess.Popen[bytes]:
        """Start bubblewrap, which waits for its options."""

        def start() -> subprocess.Popen[bytes]:
            with no_input().open("rb") as nothing:
                pipe = subprocess.PIPE
                stdin, stdout, stderr = streams or (nothing.fileno(), pipe, pipe)
                return subprocess.Popen(
                    program,
                    cwd=work_dir,
                    # a descriptor's variables (LD_PRELOAD) are the program's
                    env={} if mark is None else {MARK: mark},
                    stdin=stdin,
                    stdout=stdout,
                    stderr=stderr,
                    bufsize=0,
                    # no terminal to write to; and the group that is ended as a whole
                    start_new_session=True,
                    pass_fds=fds,
                )

        if not self._apart or os.stat(program[0]).st_mode & stat.S_ISUID:
            return start()
        # it lasts as long as the thread, and in what the thread starts
        with ThreadPoolExecutor(1, initializer=keep_apart) as thread:
            return thread.submit(start).result()

    def _tell(self, to: socket.socket, work_dir: Path, environment: Mapping[str, str]) -> None:
        """Tell bubblewrap its options; what they are is asked while it is being loaded."""
        given = [*self._options, "--chdir", str(work_dir)]
        for name, value in environment.items():
            given += ["--setenv", name, value]
        check_words(given, environment)  # of values no option may be made
        with suppress(ConnectionError):  # it has ended, and says why
            to.sendall(b"".join(os.fsencode(one) + b"\0" for one in given))

    def _hold(self) -> None:
        """Take hold of the first process inside: all in there ends with it, whatever they do."""
        while b"\n" not in self._told and (more := os.read(self._status, 65536)):
            self._told += more  # told before anything of the program's runs
        # without it, bubblewrap has not come so far, and says why
        if found := re.search(rb'"child-pid": (\d+)', self._told):
            with suppress(ProcessLookupError):
                self._own, self._number = hold(int(found[1])), int(found[1])
                self._first = self._numbering.first() if self._numbering else os.dup(self._own)
        self.held.set()

    def namespaces(self, *names: str) -> list[int]:
        """Return descriptors of the program's namespaces: ``mnt``, ``user`` and the like.

        The program must run: until then, what is inside has the view of who built it.

        Raises
        ------
        OSError
            It has ended.
        """
        found: list[int] = []
        try:
            for name in names:
                found.append(os.open(f"/proc/{self._number}/ns/{name}", os.O_RDONLY))
            if _ended(self._own, 0.0):  # its number may be another's
                raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
        except OSError:
            for one in found:
                os.close(one)
            raise
        return found

    def first(self) -> int:
        """Return another descriptor of the first process inside, which is readable at its end."""
        return os.dup(self._first)

    def end_bubblewrap(self) -> None:
        """End what waits for the first process: in another enclosure it does not see its end."""
        if self._program is not None:
            self._program.kill()

    def ended(self, seconds: float) -> bool:
        """Wait until nothing runs inside; False when something still does."""
        return _ended(self._first, seconds)

    def end(self) -> bool:
        """End all that runs inside; False when the kernel could not, in time."""
        if self.ended(0.0):
            return True
        end_held(self._first)
        return self.ended(10.0)  # that the kernel may need to end what runs inside

    def ran(self) -> bool:
        """Whether the program was executed; asked once, when all has ended."""
        os.set_blocking(self._status, False)
        with suppress(OSError):
            while more := os.read(self._status, 65536):
                self._told += more
        os.close(self._status)
        for one in {self._first, self._own} - {-1}:
            os.close(one)
        return b'"exit-code"' in self._told


def _ended(held: int, seconds: float) -> bool:
    if held < 0:
        return True
    look = select.poll()  # `select.select` takes no number above 1023
    look.register(held, select.POLLIN)
    return bool(look.poll(max(0.0, seconds) * 1000))
