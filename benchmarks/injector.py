"""The fault of `benchmarks.faults`, also in the process that makes conda environments."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import sys
import threading

__all__ = ["Fault"]

_MAKES = frozenset({"open", "os.mkdir", "os.link", "os.symlink", "os.truncate"})
_CHANGES = _MAKES | {"os.rename", "os.remove", "os.rmdir", "subprocess.Popen", "os.posix_spawn"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Fault:
    """Counts what is done below `folder` by all processes that have it, and breaks it.

    Parameters
    ----------
    counter : str
        A file, not below `folder`, that holds the number.
    folder : str
    kind : str
        ``kill``: who does the thing of number `at` is killed. ``full``: from there on nothing
        is made any more. All else: nothing happens.
    at : int
    """

    def __init__(self, counter: str, folder: str, kind: str, at: int) -> None:
        self._told = (counter, folder, kind, at)
        self._folder, self._kind, self._at = folder, kind, at
        self._counter = os.open(counter, os.O_RDWR)
        self._lock = threading.Lock()
        sys.addaudithook(self)

    def boot(self, code: str) -> str:
        """Return the first lines of a process, with the fault before them."""
        root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        return (
            f"import sys\nsys.path.insert(0, {root!r})\n"
            f"from benchmarks.injector import Fault\nFault(*{self._told!r})\n{code}"
        )

    @property
    def count(self) -> int:
        """How many things were done."""
        return int.from_bytes(os.pread(self._counter, 8, 0), "little")

    def _counted(self) -> int:
        """Count one more; of threads, and processes, each gets a number of its own."""
        with self._lock:
            fcntl.lockf(self._counter, fcntl.LOCK_EX)
            count = self.count + 1
            os.pwrite(self._counter, count.to_bytes(8, "little"), 0)
            fcntl.lockf(self._counter, fcntl.LOCK_UN)
        return count

    def __call__(self, event: str, args: tuple[object, ...]) -> None:
        """Look at what is about to be done."""
        if event not in _CHANGES or not self._is_ours(event, args):
            return
        count = self._counted()
        if self._kind == "kill" and count == self._at:
            os.kill(os.getpid(), signal.SIGKILL)
        if self._kind == "full" and count >= self._at and event in _MAKES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _is_ours(self, event: str, args: tuple[object, ...]) -> bool:
        if event == "open" and not (isinstance(args[2], int) and args[2] & _WRITES):
            return False
        if event in ("subprocess.Popen", "os.posix_spawn"):
            return True
        path = args[0]
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        name = os.fsdecode(path)
        return name.startswith(self._folder) or not name.startswith("/")
