"""Nothing outlives napari: a small process that ends our programs when napari is killed.

One watchdog per napari, started with the first program. It holds the read end of a pipe
whose other end only this process has: when this process ends, in whatever way, the
pipe closes, and the watchdog ends what was still running. Run as a script it is the
watchdog itself; it then uses the standard library only.

``PR_SET_PDEATHSIG`` would be simpler, but it exists on Linux only, fires when the
*thread* that started the program ends, and reaches no grandchildren.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

__all__ = ["MARK", "marked_ids", "new_mark", "watchdog"]

MARK = "NAPARI_TOOL_RUNNER_RUN"
"""Variable that every program gets: ``<owner>:<number>:``, unique to its run."""

_OWNER = f"{os.getpid()}-{secrets.token_hex(6)}"

_GRACE = 2.0
_numbers = itertools.count(1)


def new_mark() -> str:
    """Return the mark of a new run; none is the beginning of another."""
    return f"{_OWNER}:{next(_numbers)}:"


class _Watchdog:
    """The parent's side: programs are announced when they start and when they end."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner_pid = os.getpid()
        self.problem = ""

    def ensure(self) -> None:
        """Start the watchdog; it finds what carries our mark where that can be read."""
        self._tell("", start=True)

    def add(self, pid: int) -> None:
        """Announce a program (leader of its own process group)."""
        self._tell(f"+{pid}\n", start=True)

    def discard(self, pid: int) -> None:
        """Announce that a program has ended."""
        self._tell(f"-{pid}\n", start=False)

    def _tell(self, line: str, *, start: bool) -> None:
        with self._lock:
            if os.getpid() != self._owner_pid:  # a fork of napari has no programs of ours
                return
            if self._process is not None and self._process.poll() is not None:
                self._process = None
            if self._process is None and start:
                self.problem = ""
                self._start()
            if self._process is None:
                return
            assert self._process.stdin is not None
            try:
                self._process.stdin.write(line.encode())
                self._process.stdin.flush()
            except OSError as error:
                self.problem = f"The watchdog of running programs is gone ({error})."

    def _start(self) -> None:
        # no site-packages, no user settings: it starts fast and cannot be broken by them
        argv = [sys.executable or "python3", "-I", "-S", __file__, f"{_OWNER}:"]
        try:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                cwd=Path(sys.executable).anchor or None,
            )
        except OSError as error:
            self.problem = (
                f"The watchdog could not be started ({error}): if napari is killed, "
                "running programs go on."
            )


watchdog = _Watchdog()


def _watch(owner: str, descriptor: int) -> None:
    """Follow the pipe until its other end closes, then end what is left."""
    parent = os.getppid()
    programs: set[int] = set()
    pending = b""
    while True:
        if os.name == "posix":
            # a fork of napari may hold the pipe open: so look at the parent, too
            ready, _, _ = select.select([descriptor], [], [], 2.0)
            if not ready:
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
        for program in programs:
            subprocess.run(["taskkill", "/PID", str(program), "/T", "/F"], check=False)
        return
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
