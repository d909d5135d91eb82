"""Walls that are built and held, until what runs in them is forked from elsewhere."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.plugins.programs.enclosed import Begun
from napari_tool_runner.plugins.programs.enclosure import numbering_enclosure
from napari_tool_runner.plugins.programs.process_tree import watchdog

if TYPE_CHECKING:
    from napari_tool_runner.plugins.programs.around import Around
    from napari_tool_runner.plugins.programs.enclosed import Enclosure

__all__ = ["Ahead", "Held", "Numbering"]

_CAT = "/usr/bin/cat"  # an enclosure shows the system's programs
_WAIT = 10.0  # seconds until walls are built


class Ahead:
    """What is to hold walls, before it is known which ones.

    Parameters
    ----------
    stderr : int
    passed : sequence of int
        What bubblewrap inherits.
    watched : bool
        See `Begun`.
    """

    def __init__(self, stderr: int, passed: Sequence[int], *, watched: bool) -> None:
        self.watched = watched
        self.link, its = socket.socketpair()
        with its:
            streams = (its.fileno(), its.fileno(), stderr)
            self.begun = Begun([_CAT], streams, passed, watched=watched)
        watchdog.add(self.begun.program.pid)

    def give_up(self) -> None:
        """End it: it holds nothing."""
        self.begun.give_up()
        self.link.close()
        watchdog.discard(self.begun.program.pid)


class Held:
    """An enclosure that is there as long as something waits in it.

    Parameters
    ----------
    enclosure : Enclosure
    work_dir : Path
    ahead : Ahead
        What holds it; its own from now on.
    """

    def __init__(self, enclosure: Enclosure, work_dir: Path, ahead: Ahead) -> None:
        self.enclosure, self._link, self._ahead = enclosure, ahead.link, ahead
        try:
            self._program = enclosure.begin(ahead.begun, work_dir, {})
        except BaseException:
            self._link.close()
            watchdog.discard(ahead.begun.program.pid)
            raise
        self.pid = self._program.pid

    def wait(self) -> None:
        """Wait until they are built; raises OSError."""
        self.enclosure.hold()
        if self._ahead.watched:
            self.enclosure.wait_built(_WAIT)
            return
        self._link.settimeout(_WAIT)  # only then something in them answers
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
        watchdog.discard(self.pid)

    def give_up(self) -> None:
        """Take them down before anything has run in them."""
        self.enclosure.end()
        self._program.kill()
        self.close()
        self.enclosure.ran()


class Numbering(Held):
    """A numbering of processes that is there before the walls of the job that will have it.

    Raises
    ------
    OSError
        It could not be made.
    """

    def __init__(self, around: Around) -> None:
        with open(os.devnull, "wb") as nowhere:
            ahead = Ahead(nowhere.fileno(), around.passed, watched=False)
            super().__init__(numbering_enclosure(around), Path(os.sep), ahead)
            try:
                self.wait()
                self.enclosure.keep()
                (self.number,) = self.enclosure.namespaces("pid")
            except OSError:
                super().give_up()
                raise
            self._next: Ahead | None = None
            with suppress(OSError):
                passed = self.given_to(around).passed
                self._next = Ahead(nowhere.fileno(), passed, watched=True)

    def take_next(self) -> Ahead | None:
        """Return what is to hold the walls of its job; once."""
        found, self._next = self._next, None
        return found

    def give_up(self) -> None:
        """End all in it."""
        if (found := self.take_next()) is not None:
            found.give_up()
        super().give_up()
        os.close(self.number)

    def given_to(self, around: Around) -> Around:
        """Return `around` for walls that have this numbering."""
        return replace(around, processes=self.number, numbering=self.enclosure)
