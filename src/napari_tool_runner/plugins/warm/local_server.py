"""A process of this computer that forks for calls of one of its Pythons."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.plugins.programs.around import Around
from napari_tool_runner.plugins.programs.enclosure import outer_enclosure
from napari_tool_runner.plugins.programs.process_tree import end_processes, new_mark, watchdog
from napari_tool_runner.plugins.programs.watchdog import MARK
from napari_tool_runner.plugins.warm.held import Numbering
from napari_tool_runner.plugins.warm.interpreter import lay_out_programs, lay_out_server
from napari_tool_runner.plugins.warm.rooms import room
from napari_tool_runner.plugins.warm.serving import JOB, SHOWN, Server, Walls

if TYPE_CHECKING:
    from napari_tool_runner.plugins.warm.warm_interpreter import Interpreter

__all__ = ["LocalServer"]

_PAUSE = 0.05  # seconds in which a next job of a batch begins
_log = logging.getLogger(__name__)


class LocalServer(Server):
    """A process of this computer, which is enclosed where its programs are.

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
        kind: object,
        *,
        enclosed: bool,
    ) -> None:
        super().__init__(found.path, kind)
        self._numbering: Numbering | None = None
        with ExitStack() as stack:
            self._folder = stack.enter_context(room())
            # it is looked for in what packages note, so it is like nothing else
            token = f"warm-{secrets.token_hex(8)}"
            self._seen, self._scratch = self._folder / "shown", self._folder / token
            self._scratch.mkdir()
            lay_out_server(self._seen)
            lay_out_programs(self._seen, found)
            (self._seen / "socket").touch()
            self.place = SHOWN if enclosed else self._seen
            self._root = f"/run/{token}" if enclosed else str(self._scratch)
            kept = {name: value.replace(JOB, self._root) for name, value in environment.items()}
            kept["PATH"] = f"{self.place / 'bin'}{os.pathsep}{kept['PATH']}"
            control, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            stack.callback(control.close)
            with its:
                self._start(found, kept, shown, jobs, its.fileno(), stack, enclosed=enclosed)
            walls = Walls.OF_CALLS if enclosed else Walls.NONE
            if failed := self._begin(control, walls, (self._root, self._root + work)):
                raise OSError(self._said() or failed)
            if enclosed:
                self.around = self._around(stack)
                stack.callback(self._end_numbering)
            self._end = stack.pop_all()

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
        self.pid = self._process.pid
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

    def expect(self, number: int) -> None:
        """Have a fork wait for the next call, unless that comes at once, as in a batch."""
        super().expect(number)
        with self._lock:
            if self.is_preparing or number not in self.ready:
                return
            self.is_preparing = True
        threading.Thread(target=self._expect, args=[number], name="warm-next", daemon=True).start()

    def take_numbering(self) -> Numbering | None:
        """Return what was made ahead."""
        with self._lock:
            found, self._numbering = self._numbering, None
            return found

    def _expect(self, number: int) -> None:
        time.sleep(_PAUSE)
        made = self.take_numbering()
        with suppress(OSError):
            if made is None and self.around is not None and not self.users:
                made = Numbering(self.around)
        with self._lock:
            self.is_preparing = False
            if not (self.users or self.outdated):
                told = b"A" + struct.pack("=Q", number) + self._written.get(number, b"")
                with suppress(OSError):
                    if made is not None:
                        socket.send_fds(self._control, [told], [made.number])
                    elif self.around is None:
                        self._control.send(told)
                self._numbering, made = made, None
        if made is not None:
            made.give_up()

    def _end_numbering(self) -> None:
        if made := self.take_numbering():
            made.give_up()

    def _said(self) -> str:
        assert self._process.stderr is not None
        os.set_blocking(self._process.stderr.fileno(), False)
        said = self._process.stderr.read() or b""
        return said.decode(errors="replace").strip().rpartition("\n")[2]

    def _mounts(self, *more: str) -> tuple[str, ...]:
        return ("--ro-bind", str(self._seen), str(SHOWN), *more)

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
