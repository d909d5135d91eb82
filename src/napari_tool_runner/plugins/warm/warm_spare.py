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

from warm_carrier import close_all  # type: ignore[import-not-found]

_MOST = 64 << 20  # bytes that are taken
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


def take_memory() -> None:
    """Take what is shared by now: later each page that is written to would cost by itself."""
    found = []
    begin = end = 0
    with open("/proc/self/smaps", encoding="utf-8", errors="replace") as file:
        for line in file:
            word, told = line.split()[:2]
            if word[-1] != ":":
                begin, end = (int(one, 16) for one in word.split("-"))
                end = end if told == "rw-p" else begin
            elif word == "Rss:" and int(told) << 11 > end - begin > 0:  # most of it is used
                found.append((begin, end - begin))
    left = _MOST
    for begin, size in found:
        _madvise(begin, min(size, left), _WRITE)
        left -= min(size, left)
