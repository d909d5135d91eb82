"""Ending a program with everything that it started: kindly first, then by force.

What belongs to a program: its process group, its descendants, and (where the variables
of a process can be read) every process that carries the mark that the program was
started with. The mark finds what left the group and lost its parents.
"""

from __future__ import annotations

import itertools
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from napari_tool_runner import settings
from napari_tool_runner.errors import JobCancelledError, JobTimeoutError
from napari_tool_runner.plugins.programs.watchdog import MARK, marked_ids

if TYPE_CHECKING:
    import psutil

    from napari_tool_runner.plugins.process import CancelToken

__all__ = [
    "GRACE",
    "Ender",
    "describe_exit",
    "end_processes",
    "exit_code",
    "group_alive",
    "new_mark",
    "watchdog",
]

GRACE = settings.GRACE.default
"""Seconds that a program gets to end by itself after it was asked to."""

# Windows knows one way only
_KILL: int = getattr(signal, "SIGKILL", signal.SIGTERM)
_FORCE_WAIT = 5.0
_POLL = 0.02
_SCRIPT = Path(__file__).with_name("watchdog.py")
_OWNER = f"{os.getpid()}-{secrets.token_hex(6)}"
_numbers = itertools.count(1)


def group_alive(group: int) -> bool:
    """Say whether a process group has members that run."""
    if sys.platform == "win32":
        return False
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    if sys.platform != "linux":
        return True
    # in a container without an init, zombies stay members for ever
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
            state, _, member_of = stat.rpartition(")")[2].split()[:3]
        except (OSError, ValueError):
            continue
        if int(member_of) == group and state not in "ZX":
            return True
    return False


def end_processes(
    pids: Iterable[int], *, grace: float, mark: str = "", group: int | None = None
) -> list[int]:
    """End programs and all that they started; return when they are gone.

    Parameters
    ----------
    pids : iterable of int
        The programs.
    grace : float
        Seconds between the request to end (SIGTERM) and the end by force (SIGKILL).
    mark : str
        Mark of the run, to find what left the tree.
    group : int, optional
        A process group that ends as a whole.

    Returns
    -------
    list of int
        Processes that are still there; empty unless the system refuses.
    """
    import psutil  # few programs have to be ended, and it takes a while

    roots = list(pids)
    known: dict[int, psutil.Process] = {}

    def send(number: int) -> None:
        if group is not None and sys.platform != "win32":
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, number)
        for process in _living(known):
            with suppress(psutil.Error):  # already gone, or not ours
                process.send_signal(number)

    def left() -> bool:
        return bool(_living(known)) or (group is not None and group_alive(group))

    def wait(seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and left():
            time.sleep(_POLL)

    _collect(known, roots, mark)
    send(signal.SIGTERM)
    wait(grace)
    # the dying may have started more, and orphans are found by the mark only
    _collect(known, roots, mark)
    deadline = time.monotonic() + _FORCE_WAIT
    while left() and time.monotonic() < deadline:
        send(_KILL)
        wait(0.2)
        _collect(known, list(known), mark)
    return [process.pid for process in _living(known)]


class Ender:
    """Ends a program from a thread of its own, at most once; the first reason counts.

    ``with Ender(…) as ender:`` ends it on cancel and at the time limit. Leaving the block
    waits for an end that has begun; then `raise_reason` says why.

    Parameters
    ----------
    end : callable
        Ends the program and all that it started; returns when they are gone.
    cancel : CancelToken
    timeout : float or None
        Seconds until the end; None: no limit.
    """

    def __init__(
        self, end: Callable[[], object], cancel: CancelToken, timeout: float | None
    ) -> None:
        self.reason: Literal["", "cancel", "timeout", "broken"] = ""
        self._end = end
        self._cancel = cancel
        self._timeout = timeout
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._leaving = ExitStack()
        self._closed = False
        self._error: Exception | None = None

    def __enter__(self) -> Self:
        if self._timeout is not None:
            limit = min(max(0.0, self._timeout), threading.TIMEOUT_MAX)
            timer = threading.Timer(limit, self.start, ["timeout"])
            timer.daemon = True
            timer.start()
            self._leaving.callback(timer.cancel)
        self._leaving.callback(self._cancel.on_cancel(lambda: self.start("cancel")))
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.close()
        with self._lock:
            self._closed = True
        if self._thread is not None:
            self._thread.join()

    def start(self, reason: Literal["cancel", "timeout", "broken"]) -> None:
        """End the program now; returns at once."""
        with self._lock:
            if self._thread is not None or self._closed:
                return
            self.reason = reason
            self._thread = threading.Thread(target=self._run, name="end-program", daemon=True)
            self._thread.start()

    def raise_reason(self, name: str = "The program") -> None:
        """Raise why the program was ended, or could not be; return when it ended by itself.

        Raises
        ------
        JobCancelledError, JobTimeoutError, RunnerExecError
        """
        if self._error is not None:
            raise self._error
        if self.reason == "cancel":
            raise JobCancelledError(f"{name} was cancelled.")
        if self.reason == "timeout":
            raise JobTimeoutError(
                f"{name} ran longer than the time limit of {self._timeout:g} s and was ended.",
                hint="Raise the time limit, or try a smaller image.",
            )

    def _run(self) -> None:
        try:
            self._end()
        except Exception as error:  # noqa: BLE001 (raised where the program is waited for)
            self._error = error


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
        argv = [sys.executable or "python3", "-I", "-S", str(_SCRIPT), f"{_OWNER}:"]
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


def exit_code(returned: int) -> int:
    """Return what a process gave as shells and containers tell it: 128 + n for signal n."""
    return returned if returned >= 0 else 128 - returned


def describe_exit(code: int) -> str:
    """Say in words what an exit code means; codes above 128 are signals.

    >>> describe_exit(3)
    'exit code 3'
    >>> describe_exit(137)
    'killed by SIGKILL (maybe out of memory)'
    """
    number = -code if code < 0 else code - 128
    if number <= 0 or os.name == "nt":
        return f"exit code {code}"
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"exit code {code}"
    remarks = {
        "SIGKILL": " (maybe out of memory)",
        "SIGSEGV": " (a crash inside the program)",
        "SIGABRT": " (the program gave up by itself)",
        "SIGILL": " (built for another processor)",
        "SIGBUS": " (a crash, or a full disk under a memory-mapped file)",
        "SIGXFSZ": " (a file became too large)",
    }
    return f"killed by {name}{remarks.get(name, '')}"


def _collect(known: dict[int, psutil.Process], roots: list[int], mark: str) -> None:
    """Add `roots`, their descendants, and what carries `mark`."""
    import psutil

    found = _marked(mark) if mark else []
    for pid in roots:
        with suppress(psutil.NoSuchProcess):
            root = psutil.Process(pid)
            found += [root, *root.children(recursive=True)]
    for process in found:
        if process.pid != os.getpid():
            known.setdefault(process.pid, process)


def _marked(mark: str) -> list[psutil.Process]:
    import psutil

    found: list[psutil.Process] = []
    if sys.platform == "linux":
        # much cheaper than parsing all variables of all processes
        for pid in marked_ids(mark):
            with suppress(psutil.Error):
                found.append(psutil.Process(pid))
        return found
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # gone, or of another user: not ours
            if process.environ().get(MARK, "").startswith(mark):
                found.append(process)
    return found


def _living(known: dict[int, psutil.Process]) -> list[psutil.Process]:
    import psutil

    living: list[psutil.Process] = []
    for process in known.values():
        # never psutil's wait(): it would take the exit code away from subprocess
        with suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                living.append(process)
    return living
