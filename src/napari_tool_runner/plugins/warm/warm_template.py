"""A fork that imports what a program imported the last time, as what has forked it sees it.

It lies beside ``server.py``: with the standard library of any Python from 3.8 on.
"""

from __future__ import annotations

import socket
import time

_LIMIT = 90.0  # seconds that imports may take
_HELD = 3.0  # seconds that a call waits for them


class Template:
    """A fork that imports.

    Parameters
    ----------
    told : str
        The steps of a program's begin, and the modules that it had.
    """

    def __init__(self, told: str) -> None:
        lines = [one.split("\t") for one in told.split("\n") if one.count("\t") == 2]
        self.told = {name: origin for mark, name, origin in lines if mark in "=-"}
        steps = {"+": "", "?": "?"}
        self.names = [steps[mark] + name for mark, name, _ in lines if mark in steps]
        self.brought = {name for mark, name, _ in lines if mark == "="}
        self.pid = 0
        self.link: socket.socket | None = None
        self.ready, self.closely, self.begun, self.tries = False, False, 0.0, 0
        self.numbers: list[int] = []
        self.bad: set[str] = set()
        """Packages that cannot be imported ahead of this program."""
        self.took = b""
        """The seconds of its imports, packed."""
        self.calls: list[tuple[bytes, list[int]]] = []
        """What waits until it is ready, and since when."""
        self.since = 0.0

    def is_late(self) -> bool:
        """Whether its imports take too long."""
        return not self.ready and time.monotonic() - self.begun > _LIMIT

    def keep(self, data: bytes, files: list[int]) -> None:
        """Let a call wait."""
        self.since = self.since if self.calls else time.monotonic()
        self.calls.append((data, files))

    def keeps_too_long(self) -> bool:
        """Whether calls should rather start by themselves."""
        return bool(self.calls) and time.monotonic() - self.since > _HELD

    def let_go(self) -> list[tuple[bytes, list[int]]]:
        """Return the calls that waited."""
        calls, self.calls = self.calls, []
        return calls
