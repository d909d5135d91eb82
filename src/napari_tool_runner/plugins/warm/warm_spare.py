"""A fork that waits for its call: it was made while nobody waits, so nothing is forked then.

It lies beside ``server.py``: with the standard library of any Python from 3.8 on. It serves one
call, and is made after the last one: so it has seen no job. Of the memory that it shares with
what forked it, it takes what programs write to first.
"""

from __future__ import annotations

import array
import ctypes
import os
import socket
from mmap import PAGESIZE

from warm_carrier import close_all  # type: ignore[import-not-found]

_MOST = 64 << 20  # bytes that are taken
_OWN = 1 << 56  # in /proc/PID/pagemap: nobody else has the page
_GAP = 4  # pages between others that are taken, too
_WRITE = 23  # MADV_POPULATE_WRITE, from Linux 5.14 on
_madvise = ctypes.CDLL(None).madvise
_madvise.argtypes = [ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int]


class Spare:
    """What waits, as what forked it sees it.

    Parameters
    ----------
    link : socket
    numbering : int
        The namespace of processes that it lies in; 0 where it has none of its own.
    """

    def __init__(self, link: socket.socket, numbering: int) -> None:
        self._link, self._numbering = link, numbering

    def takes(self, data: bytes, files: list[int]) -> bool:
        """Whether it takes a call: the files are its own then."""
        found = {os.fstat(one).st_ino for one in files[1:]}
        fits = self._numbering in found if found else not self._numbering
        return fits and sent(self._link, data, files)

    def end(self) -> None:
        """Let it end, if it has no call."""
        self._link.close()


def numbering_of(places: list[int]) -> int:
    """Return what tells namespaces of processes apart."""
    return os.fstat(places[0]).st_ino if places else 0


def sent(link: socket.socket, data: bytes, files: list[int]) -> bool:
    """Send a packet with files, which are closed here then; whether somebody is there."""
    told = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))]
    try:
        link.sendmsg([data], told if files else [])
    except OSError:
        return False
    close_all(files)
    return True


def take_memory(written: str) -> None:
    """Take what is shared by now: later each page that is written to would cost by itself.

    Parameters
    ----------
    written : str
        What a program of the same imports has told, see `written_pages`.
    """
    left = _MOST
    for one in written.split():
        begin, end = (int(number, 16) for number in one.split("-"))
        size = max(0, min(end - begin, left))
        _madvise(begin, size, _WRITE)  # nothing is taken where nothing is
        left -= size


def written_pages() -> str:
    """Return which pages of its memory a fork has for itself: it has written to them."""
    found: list[list[int]] = []
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        regions = [one.split()[0].split("-") for one in file if one.split()[1] == "rw-p"]
    with open("/proc/self/pagemap", "rb", buffering=0) as pages:
        for begin, end in regions:
            first, last = int(begin, 16) // PAGESIZE, int(end, 16) // PAGESIZE
            pages.seek(first * 8)
            told = array.array("Q", pages.read((last - first) * 8))
            for number, one in enumerate(told, first):
                if one & _OWN:
                    if not found or number - found[-1][1] > _GAP:
                        found.append([number, number])
                    found[-1][1] = number + 1
    return " ".join(f"{begin * PAGESIZE:x}-{end * PAGESIZE:x}" for begin, end in found)
