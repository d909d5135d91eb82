"""What a process asks of Linux's kernel to enter the walls of a job, and to stay within them.

It lies beside ``server.py``: with the standard library of any Python from 3.8 on. All raise
OSError where the kernel refuses.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct

_END_WITH_PARENT, _DUMPABLE, _SECCOMP, _HAS, _DROP = 1, 4, 22, 23, 24
_REAPER, _NO_NEW_PRIVILEGES, _AMBIENT = 36, 38, 47
_FILTER, _CLEAR = 2, 4
_libc = ctypes.CDLL(None, use_errno=True)
# made here, once, since a fork that makes types of its own does not end quickly
_prctl, _setns, _capset, _capget = _libc.prctl, _libc.setns, _libc.capset, _libc.capget
_Rights = ctypes.c_char * 24


def end_with_parent() -> None:
    """Be killed when the process ends that started this one."""
    _checked(_prctl(_END_WITH_PARENT, signal.SIGKILL, 0, 0, 0))


def be_readable(readable: bool) -> None:
    """Let processes of the same user look into this one, or not."""
    _checked(_prctl(_DUMPABLE, int(readable), 0, 0, 0))


def enter(namespace: int) -> None:
    """Go on in the namespace of a descriptor."""
    _checked(_setns(namespace, 0))


def adopt_orphans() -> None:
    """Become the parent of all below that lose theirs."""
    _checked(_prctl(_REAPER, 1, 0, 0, 0))


def give_up_rights(walls: bytes) -> None:
    """Drop all capabilities and close the calls of administrators; raises OSError."""
    _checked(_prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
    one = 0
    while _prctl(_HAS, one, 0, 0, 0) >= 0:
        _checked(_prctl(_DROP, one, 0, 0, 0))
        one += 1
    _checked(_prctl(_AMBIENT, _CLEAR, 0, 0, 0))
    header, rights = struct.pack("Ii", 0x20080522, 0), _Rights()
    _checked(_capset(header, bytes(24)))
    _checked(_capget(header, rights))
    if any(rights.raw):
        raise OSError("rights are left")
    if walls:
        code = ctypes.c_char_p(walls)
        place = ctypes.c_void_p.from_buffer(code).value
        program = struct.pack("HxxxxxxP", len(walls) // 8, place)
        _checked(_prctl(_SECCOMP, _FILTER, program, 0, 0))


def _checked(failed: int) -> None:
    if failed:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
