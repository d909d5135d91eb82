"""Nothing outlives napari: a small process that ends our programs when napari is killed.

One watchdog per napari, started with the first program (`process_tree.watchdog`). It holds
the read end of a pipe whose other end only napari has: when napari ends, in whatever way,
the pipe closes, and the watchdog ends what was still running. It is a script of its own
and uses the standard library only.

``PR_SET_PDEATHSIG`` would be simpler, but it exists on Linux only, fires when the
*thread* that started the program ends, and reaches no grandchildren.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time

__all__ = ["MARK", "marked_ids"]

MARK = "NAPARI_TOOL_RUNNER_RUN"
"""Variable that every program gets: ``<owner>:<number>:``, unique to its run."""

_GRACE = 2.0
_ROUNDS, _PAUSE = 5, 0.2
"""What was being started closes the pipe first, and has its mark once it is executed."""


def _watch(owner: str, descriptor: int) -> None:
    """Follow the pipe until its other end closes, then end what is left."""
    parent = os.getppid()
    programs: set[int] = set()
    pending = b""
    while True:
        if os.name == "posix":
            # a fork of napari may hold the pipe open: so look at the parent, too
            pipe = select.poll()
            pipe.register(descriptor, select.POLLIN)
            if not pipe.poll(2000):
                if os.getppid() != parent:
                    break
                continue
        data = os.read(descriptor, 65536)
        if not data:
            break
        *lines, pending = (pending + data).split(b"\n")
        for line in lines:
            number = int(line[1:])
            if line[:1] == b"+":
                programs.add(number)
            else:
                programs.discard(number)
    if os.name == "nt":
        import subprocess  # elsewhere it is not needed, and takes longer than all the rest

        for program in programs:
            subprocess.run(["taskkill", "/PID", str(program), "/T", "/F"], check=False)
        return
    for _ in range(_ROUNDS):
        _end_all(owner, programs)
        time.sleep(_PAUSE)


def _end_all(owner: str, programs: set[int]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        left = _end(owner, programs, number)
        deadline = time.monotonic() + _GRACE
        while left and number == signal.SIGTERM and time.monotonic() < deadline:
            time.sleep(0.05)
            left = _end(owner, programs, 0)


def _end(owner: str, programs: set[int], number: int) -> bool:
    """Send a signal to what is left; say whether there was anything."""
    met = False
    for program in programs:
        with contextlib.suppress(OSError):
            os.killpg(program, number)
            met = True
    for process in marked_ids(owner):
        with contextlib.suppress(OSError):
            os.kill(process, number)
            met = True
    return met


def marked_ids(mark: str) -> list[int]:
    """Return the processes whose mark begins with `mark`, where ``/proc`` tells."""
    found: list[int] = []
    wanted = f"{MARK}={mark}".encode()
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc"):
            if name.isdecimal():
                with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as file:
                    if wanted in file.read():
                        found.append(int(name))
    return found


if __name__ == "__main__":
    for _number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(_number, signal.SIG_IGN)
    _watch(sys.argv[1], 0)
