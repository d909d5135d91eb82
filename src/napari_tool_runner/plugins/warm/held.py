"""Walls that are built and held, until what runs in them is forked from elsewhere."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.plugins.programs.enclosure import numbering_enclosure
from napari_tool_runner.plugins.programs.process_tree import watchdog

if TYPE_CHECKING:
    from napari_tool_runner.plugins.programs.around import Around
    from napari_tool_runner.plugins.programs.enclosed import Enclosure

__all__ = ["Held", "Numbering"]

_CAT = "/usr/bin/cat"  # an enclosure shows the system's programs
_WAIT = 10.0  # seconds until walls are built


class Held:
    """An enclosure that is there as long as something waits in it."""

    def __init__(self, enclosure: Enclosure, work_dir: Path, stderr: int) -> None:
        self.enclosure = enclosure
        self._link, its = socket.socketpair()
        with its:
            streams = (its.fileno(), its.fileno(), stderr)
            self._program = enclosure.start([_CAT], work_dir, {}, streams)
        self.pid = self._program.pid
        watchdog.add(self.pid)

    def wait(self) -> None:
        """Wait until they are built: only then something in them answers; raises OSError."""
        self._link.settimeout(_WAIT)
        self._link.sendall(b"x")
        if not self._link.recv(1):
            raise OSError("the enclosure could not be built")

    def let_go(self) -> None:
        """Let them go down, once nothing runs in them."""
        self._link.close()

    def close(self) -> None:
        """Take them down."""
        self.let_go()
        self._program.wait()

    def give_up(self) -> None:
        """Take them down before anything has run in them."""
        self.enclosure.end()
        self._program.kill()
        self.close()
        self.enclosure.ran()
        watchdog.discard(self.pid)


class Numbering(Held):
    """A numbering of processes that is there before the walls of the job that will have it.

    Raises
    ------
    OSError
        It could not be made.
    """

    def __init__(self, around: Around) -> None:
        with open(os.devnull, "wb") as nowhere:
            super().__init__(numbering_enclosure(around), Path(os.sep), nowhere.fileno())
        try:
            self.wait()
            (self.number,) = self.enclosure.namespaces("pid")
        except OSError:
            super().give_up()
            raise

    def give_up(self) -> None:
        """End all in it."""
        super().give_up()
        os.close(self.number)

    def given_to(self, around: Around) -> Around:
        """Return `around` for walls that have this numbering."""
        return replace(around, processes=self.number, numbering=self.enclosure)
