"""How napari and the process that forks reach each other.

It lies beside ``server.py``: with the standard library of any Python from 3.8 on.
"""

from __future__ import annotations

import os
import signal
import socket

_ASKED_TO_END = (signal.SIGTERM,)  # what everybody in a container is sent


def reach(told: str) -> socket.socket:
    """Return the socket that napari holds the other end of.

    Parameters
    ----------
    told : str
        Its number; or, in a container, its path: then this Python tells first what it is.
    """
    if told.isdigit():
        return socket.socket(fileno=int(told))
    from warm_interpreter import interpreter_of  # type: ignore[import-not-found]

    found = interpreter_of(os.environ)
    if found is None:
        raise SystemExit("no program is this Python")
    words = [os.environ["PATH"], found.path, *map(str, found.state), *found.names]
    link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    link.connect(told)
    link.send(b"I" + b"\0".join(map(os.fsencode, words)))
    # what forks is to outlive what it forked for
    signal.pthread_sigmask(signal.SIG_BLOCK, _ASKED_TO_END)
    return link


def can_be_ended() -> None:
    """Let a program be asked to end, as one that started cold."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ASKED_TO_END)


def was_for_all(number: int) -> bool:
    """Whether a signal that is passed on reached this process, too, and so the program."""
    if number not in signal.sigpending():
        return False
    signal.sigwait([number])
    return True
