"""A process in a container that has imported what a job's programs import, and forks for them.

It is started by an ``exec``, so it is within the container's walls, and ends with it. Napari
reaches it over a socket in a folder that the container sees read-only, and where napari puts the
programs that stand for those of the Python there, once that has told what it is.
"""

from __future__ import annotations

import os
import secrets
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.data_classes import dataclass
from napari_tool_runner.plugins.docker.client import ENGINE_ERRORS, Engine
from napari_tool_runner.plugins.programs.watchdog import MARK
from napari_tool_runner.plugins.warm.interpreter import lay_out_programs, told_by
from napari_tool_runner.plugins.warm.learned import known
from napari_tool_runner.plugins.warm.serving import JOB, SHOWN, Server, Taking, Walls, listening

if TYPE_CHECKING:
    from napari_tool_runner.plugins.docker.images import Image
    from napari_tool_runner.plugins.warm.asked import Asked

__all__ = ["ContainerServer", "Wanted"]

_BEGIN = f"""found=$(command -v python || command -v python3) || exit
PATH={SHOWN / "bin"}:$PATH
export PATH
exec "$found" {SHOWN / "server.py"} {SHOWN / "control"}"""
_LOOKS, _START = 0.02, 20.0  # seconds
_SAID = 20
_said: dict[str, dict[str, bool]] = {}
"""Why programs started cold: told once, not in each container."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be begun in a container: for a job like the one that `asked`."""

    image: Image
    asked: Asked

    @property
    def kind(self) -> object:
        """What is the same for jobs that one process can fork for."""
        return self.image.id, tuple(sorted(self.asked.apart.items())), self.asked.work


class ContainerServer(Server):
    """A process in a container that waits, or in which a job runs.

    Parameters
    ----------
    container : str
    folder : Path
        What the container sees at `SHOWN`; what a Python runs there lies in it.

    Raises
    ------
    OSError, ValueError, or what the engine's client raises
        It could not be started.
    """

    place = SHOWN

    def __init__(self, engine: Engine, container: str, folder: Path, wanted: Wanted) -> None:
        super().__init__(f"Python in {wanted.image.reference}", wanted.kind)
        self._folder, self._tool = folder, wanted.asked.tool
        root = f"/tmp/warm-{secrets.token_hex(8)}"  # noqa: S108 (in the container)
        kept = {name: value.replace(JOB, root) for name, value in wanted.asked.apart.items()}
        kept[MARK] = f"warm-{secrets.token_hex(8)}"
        with ExitStack() as stack:
            with listening(folder / "control", socket.SOCK_SEQPACKET) as (listener, _):
                said = _Said(engine, container, kept)
                control = said.answer(listener)
                stack.callback(control.close)
                stack.callback(_shut, control)
            self.pid = _pid_of(control)
            control.settimeout(_START)
            words = control.recv(1 << 18).removeprefix(b"I").split(b"\0")
            self.path, *told = map(os.fsdecode, words)
            self.found = told_by(told)
            self.name = f"{self.found.path} in {wanted.image.reference} ({wanted.image.id[7:19]})"
            self._said_once = _said.setdefault(self.name, {})
            lay_out_programs(folder, self.found)
            if failed := self._begin(control, Walls.ITS_OWN, (root, root + wanted.asked.work)):
                raise OSError(said.last or failed)
            self._end = stack.pop_all()

    @property
    def processes(self) -> int:
        """How many processes it may have while no call runs."""
        return 1 + len(self.ready | self.waited)

    def prepare_all(self) -> None:
        """Have imported what programs of the tool imported the last times."""
        for one in known.last(self.name, self._tool):
            self.prepare(one)

    @contextmanager
    def taking(self, take: Callable[[socket.socket], None]) -> Iterator[Taking]:
        """Give where the socket for calls lies, its address in the container, what starts it."""
        with super().taking(take) as (path, _, start):
            yield path, str(SHOWN / path.name), start


class _Said:
    """Starts it, and hears what it says until it begins to serve, which is why it does not."""

    def __init__(self, engine: Engine, container: str, environment: dict[str, str]) -> None:
        api = engine.client.api
        words = ["sh", "-c", _BEGIN]
        made = api.exec_create(container, words, environment=environment, workdir="/")
        stream = api.exec_start(made["Id"], stream=True)
        self._lines: deque[bytes] = deque(maxlen=_SAID)
        self._ended = threading.Event()
        threading.Thread(target=self._hear, args=[stream], name="docker-warm", daemon=True).start()

    def answer(self, listener: socket.socket) -> socket.socket:
        """Return its connection; raises OSError when it ends before, or takes too long."""
        deadline = time.monotonic() + _START
        listener.settimeout(_LOOKS)
        while True:
            with suppress(TimeoutError):
                return listener.accept()[0]
            if self._ended.is_set():
                raise OSError(self.last or "no Python is in it")
            if time.monotonic() > deadline:
                raise OSError("its Python does not begin")

    @property
    def last(self) -> str:
        """Its last line."""
        return b"".join(self._lines).decode(errors="replace").strip().rpartition("\n")[2][:200]

    def _hear(self, stream: Iterable[bytes]) -> None:
        with suppress(*ENGINE_ERRORS):
            for one in stream:
                self._lines.append(one)
        self._ended.set()


def _pid_of(control: socket.socket) -> int:
    """Return the number that its process has here."""
    size = struct.calcsize("3i")
    told = control.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    pid = int(struct.unpack("3i", told)[0])
    if not pid:
        raise OSError("processes of the container engine are not seen from here")
    return pid


def _shut(control: socket.socket) -> None:
    """Let both ends know, whoever waits for a message."""
    with suppress(OSError):
        control.shutdown(socket.SHUT_RDWR)
