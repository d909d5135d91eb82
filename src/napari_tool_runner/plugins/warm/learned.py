"""What programs imported the last time, by what starts them: told by strangers, so hints only."""

from __future__ import annotations

import itertools
import re
import socket
import struct
import threading

from napari_tool_runner.data_classes import dataclass, field

__all__ = ["WRITTEN", "Imports", "kind_of_call", "known", "receive_told"]

LEARNED, WRITTEN = b"learned", b"written"
"""What programs tell: what they imported, and which pages of their memory they wrote to."""
_MODULE = re.compile(r"[^\W\d]\w*(\.\w+)*(::?\w+(,\w+)*|::\*)?")  # or names in one
_MOST = 1 << 20  # bytes that a program may tell
_KINDS = 256  # that are known
_LINES = 20_000
_SEEN = 1 << 15
_LAST = 3
_TIMES = 3  # that a program is listened to anew
_numbers = itertools.count(1)


@dataclass(eq=False)
class Imports:
    """What a program of a tool imports, as it told; None until it did.

    Parameters
    ----------
    number : int
        Which calls and templates belong to it; another one once something else is told.
    """

    tool: str
    number: int = field(default_factory=lambda: next(_numbers))
    told: str | None = None
    times: int = 0

    def forget(self) -> None:
        """Listen anew, a few times; then it is left alone."""
        self.told, self.number, self.times = None, next(_numbers), self.times + 1

    @property
    def is_given_up(self) -> bool:
        """Whether it is not listened to any more."""
        return self.times >= _TIMES


class Learned:
    """What the programs of this session imported."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, bytes], Imports] = {}
        self._lock = threading.Lock()

    def of(self, python: str, tool: str, kind: bytes) -> Imports:
        """Return what calls of `kind` import."""
        key = (python, tool, kind)
        with self._lock:
            found = self._found.pop(key) if key in self._found else Imports(tool)
            self._found[key] = found  # the last used
            while len(self._found) > _KINDS:
                del self._found[next(iter(self._found))]
            return found

    def last(self, python: str, tool: str) -> list[Imports]:
        """Return what the programs of a tool imported the last times, a few of them."""
        with self._lock:
            found = [one for key, one in self._found.items() if key[:2] == (python, tool)]
        return [one for one in found if one.told is not None][-_LAST:]

    def hear(self, tool: str, number: int, text: str) -> Imports | None:
        """Take what a program of `tool` told; return it when that is new."""
        with self._lock:
            for one in self._found.values():
                if one.number == number and one.tool == tool and one.told is None:
                    one.told = _checked(text)
                    return one
        return None

    def leave_out(self, number: int, package: str) -> None:
        """Take no step of a package any more that cannot be imported ahead, and none after it."""
        its = re.compile(rf"[+?]\t{re.escape(package)}[.:\t]")
        with self._lock:
            for one in self._found.values():
                if one.number == number and one.told is not None:
                    lines = one.told.split("\n")
                    first = next(
                        (n for n, line in enumerate(lines) if its.match(line)), len(lines)
                    )
                    left = [line for line in lines[first:] if line[:1] not in ("+", "?")]
                    one.told = "\n".join([*lines[:first], *left])

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._found.clear()

    def refused(self, number: int) -> None:
        """Forget what cannot be imported ahead as it was told."""
        with self._lock:
            for one in self._found.values():
                if one.number == number:
                    one.forget()


known = Learned()


def kind_of_call(connection: socket.socket) -> bytes | None:
    """Look at a call that stays to be read; None when a program tells something."""
    data = connection.recv(_SEEN, socket.MSG_PEEK)
    if data[16:23] in (LEARNED, WRITTEN):
        return None
    if len(data) < 27 or data[16:19] != b"run":
        return b""
    (size,) = struct.unpack_from("=Q", data, 19)
    return data[27 : 27 + size] if size <= len(data) - 27 else b""


def receive_told(connection: socket.socket) -> tuple[bytes, int, str]:
    """Read what a program tells; raises OSError or ValueError for what is none."""
    with connection.makefile("rb") as file:
        (size,) = struct.unpack("=Q", file.read(8).ljust(8, b"\xff"))
        if size > _MOST:
            raise OSError("a program tells too much")
        data = file.read(size)
    sections = []
    while data:
        (length,) = struct.unpack_from("=Q", data.ljust(8, b"\xff"))
        sections.append(data[8 : 8 + length])
        data = data[8 + length :]
    if len(sections) != 3:
        raise OSError("a program tells something else")
    return sections[0], int(sections[1]), sections[2].decode("utf-8", "replace")


def _checked(text: str) -> str:
    """Return the lines that name modules; only names can be imported ahead."""
    found = []
    for line in text.split("\n")[:_LINES]:
        mark, _, rest = line.partition("\t")
        name, is_told, _ = rest.partition("\t")
        if is_told and mark in "+?=-":
            found.append(f"{mark if _MODULE.fullmatch(name) else '-'}\t{rest}")
    return "\n".join(found)
