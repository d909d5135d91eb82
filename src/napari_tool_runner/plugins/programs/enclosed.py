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
from _thread import start_new_thread
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from napari_tool_runner.plugins.programs.devices import no_input
from napari_tool_runner.plugins.programs.environment import check_program
from napari_tool_runner.plugins.programs.watchdog import MARK
from napari_tool_runner.quoting import check_words
from napari_tool_runner.tools.isolation.walls import end_held, hold, keep_apart, program_filter

__all__ = ["Begun", "Enclosure"]


_NAMESPACES = ("mnt", "pid", "net", "ipc", "uts", "user")


class Begun:
    """Bubblewrap, which waits for its options: it may be begun before they are known.

    Parameters
    ----------
    args : sequence of str
        What it is to start.
    streams : tuple of int
        The standard files of that.
    passed : sequence of int
        Descriptors that bubblewrap, or the program, inherits.
    work_dir : Path
        Where it is started; its program is where the options say.
    mark : str, optional
        The one of a run.
    allowed, apart
        See `Enclosure`.
    watched : bool
        Whether `built`, a pipe that is full, can be written to once the walls are built: then
        bubblewrap reads from it, and gives its rights up before. It starts the program next.
    """

    def __init__(
        self,
        args: Sequence[str],
        streams: tuple[int, int, int],
        passed: Sequence[int] = (),
        *,
        work_dir: Path = Path(os.sep),
        mark: str | None = None,
        allowed: Sequence[str] = (),
        apart: bool = False,
        watched: bool = False,
    ) -> None:
        self.forbidden = program_filter(*allowed)
        with ExitStack() as undo, ExitStack() as done:
            self.status, status = os.pipe()
            undo.callback(os.close, self.status)
            done.callback(os.close, status)
            self.link, its = socket.socketpair()
            undo.callback(self.link.close)
            done.callback(its.close)
            self.kernel = os.memfd_create("kernel")
            undo.callback(os.close, self.kernel)
            program = [shutil.which("bwrap") or "bwrap", "--args", str(its.fileno())]
            program += ["--json-status-fd", str(status)]
            program += ["--seccomp", str(self.kernel)] if self.forbidden else []
            fds, self.built = [its.fileno(), self.kernel, status, *passed], -1
            if watched:
                full, self.built = _full_pipe()
                undo.callback(os.close, self.built)
                done.callback(os.close, full)
                program += ["--block-fd", str(full)]
                fds.append(full)
            program += ["--", *args]

            def start() -> subprocess.Popen[bytes]:
                stdin, stdout, stderr = streams
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

            if not apart or os.stat(program[0]).st_mode & stat.S_ISUID:
                self.program = start()
            else:
                # it lasts as long as the thread, and in what the thread starts
                with ThreadPoolExecutor(1, initializer=keep_apart) as thread:
                    self.program = thread.submit(start).result()
            undo.pop_all()

    def close(self) -> None:
        """Close what only its beginning needs."""
        self.link.close()
        if self.kernel >= 0:
            os.close(self.kernel)
        self.kernel = -1

    def give_up(self) -> None:
        """End it: it has built nothing."""
        with self.program:
            self.program.kill()
        self.close()
        for one in {self.status, self.built} - {-1}:
            os.close(one)


def _full_pipe() -> tuple[int, int]:
    """Return a pipe that nothing more goes into until somebody reads."""
    import fcntl  # which other systems lack

    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, os.sysconf("SC_PAGE_SIZE"))
    os.write(write, b"x")
    return read, write


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
        self._status = self._built = self._first = self._own = self._number = -1
        self._places: dict[str, int] = {}
        self._told, self._is_left = b"", False
        self._program: subprocess.Popen[bytes] | None = None
        self.held = threading.Event()
        """Whether its first process is known."""

    def start(
        self, args: Sequence[str], work_dir: Path, environment: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        """Start `args`; raises OSError for what could not be executed, ValueError for a nul."""
        check_program(args[0], work_dir, environment)
        with no_input().open("rb") as nothing:
            begun = Begun(
                args,
                (nothing.fileno(), subprocess.PIPE, subprocess.PIPE),
                self._passed,
                work_dir=work_dir,
                mark=environment.get(MARK),
                allowed=self._allowed,
                apart=self._apart,
            )
        started = self.begin(begun, work_dir, environment)
        self.hold()
        return started

    def begin(
        self, begun: Begun, work_dir: Path, environment: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        """Have what was begun build these walls; does not wait for the process inside."""
        self._program, self._status, self._built = begun.program, begun.status, begun.built
        with self._ending(begun):
            self._tell(begun.link, work_dir, environment)
            # with an empty filter it starts nothing: so nothing runs within a part of its
            # walls, if we are killed while we tell them
            os.pwrite(begun.kernel, begun.forbidden, 0)
            begun.link.shutdown(socket.SHUT_WR)
            begun.close()
        return begun.program

    @contextmanager
    def _ending(self, begun: Begun | None = None) -> Iterator[None]:
        """End bubblewrap when something fails: before it takes what it was told for all."""
        try:
            yield
        except BaseException:
            assert self._program is not None
            with self._program:
                self._program.kill()
            if begun is not None:
                begun.close()
            self._close()
            raise

    def _tell(self, to: socket.socket, work_dir: Path, environment: Mapping[str, str]) -> None:
        """Tell bubblewrap its options; what they are is asked while it is being loaded."""
        given = [*self._options, "--chdir", str(work_dir)]
        for name, value in environment.items():
            given += ["--setenv", name, value]
        check_words(given, environment)  # of values no option may be made
        with suppress(ConnectionError):  # it has ended, and says why
            to.sendall(b"".join(os.fsencode(one) + b"\0" for one in given))

    def hold(self) -> None:
        """Take hold of the first process inside: all in there ends with it, whatever they do."""
        with self._ending():
            while b"\n" not in self._told and (more := os.read(self._status, 65536)):
                self._told += more  # told before anything of the program's runs
            # without it, bubblewrap has not come so far, and says why
            if found := re.search(rb'"child-pid": (\d+)', self._told):
                with suppress(ProcessLookupError):
                    self._own, self._number = hold(int(found[1])), int(found[1])
                    self._first = self._numbering.first() if self._numbering else os.dup(self._own)
        self.held.set()

    def wait_built(self, seconds: float) -> None:
        """Wait until the walls of what was begun so are built; raises OSError."""
        look = select.poll()
        look.register(self._built, select.POLLOUT)
        if not any(found & select.POLLOUT for _, found in look.poll(seconds * 1000)):
            raise OSError("the enclosure could not be built")

    def keep(self) -> None:
        """Keep its namespaces, which are taken down when it is asked whether it `ran`."""
        self._places = dict(zip(_NAMESPACES, self.namespaces(*_NAMESPACES), strict=True))

    def leave(self) -> None:
        """End what bubblewrap has started: something else runs within its walls."""
        self.keep()
        self._is_left = True
        end_held(self._own)

    def namespaces(self, *names: str) -> list[int]:
        """Return descriptors of the program's namespaces: ``mnt``, ``user`` and the like.

        The program must run, or the walls be built as told by `wait_built`: until then, what is
        inside has the view of who built it.

        Raises
        ------
        OSError
            It has ended.
        """
        if self._places:
            if _ended(self._first, 0.0):
                raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
            return [os.dup(self._places[name]) for name in names]
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
        with suppress(OSError):
            os.set_blocking(self._status, False)
            while more := os.read(self._status, 65536):
                self._told += more
        self._close()
        return self._is_left or b'"exit-code"' in self._told

    def _close(self) -> None:
        _close({self._status, self._built, self._first, self._own} - {-1})
        self._status = self._built = self._first = self._own = -1
        places, self._places = list(self._places.values()), {}
        if places:
            try:  # to take down some fifty mounts takes milliseconds
                start_new_thread(_close, (places,))
            except RuntimeError:  # Python ends
                _close(places)


def _close(files: Iterable[int]) -> None:
    for one in files:
        os.close(one)


def _ended(held: int, seconds: float) -> bool:
    if held < 0:
        return True
    look = select.poll()  # `select.select` takes no number above 1023
    look.register(held, select.POLLIN)
    return bool(look.poll(max(0.0, seconds) * 1000))
