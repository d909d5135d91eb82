"""The log of a job: a bounded buffer for the window, files on disk for everything."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from pathlib import Path

    from napari_tool_runner.jobs.workspace import Workspace
    from napari_tool_runner.plugins.contract import OutputLine

__all__ = ["JobLog"]

KEPT_LINES = 5000
MAX_WORDS = 300
JUDGED_BYTES = 32 * 2**20


class JobLog:
    """Lines of a job. Thread-safe; files are opened with the first line."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._lock = threading.Lock()
        self._lines: deque[OutputLine] = deque(maxlen=KEPT_LINES)
        self._count = 0
        self._files: dict[str, TextIO] = {}
        self.problem: OSError | None = None

    def add(self, line: OutputLine) -> None:
        """Keep `line`; a disk that is full is remembered in `problem`."""
        with self._lock:
            self._lines.append(line)
            self._count += 1
            if line.transient:  # a progress bar, which the next line replaces
                return
            try:
                self._write("log", f"{line.text}\n")
                if line.stream != "runner":
                    self._write(line.stream, f"{line.text}\n")
            except OSError as error:
                self.problem = self.problem or error

    def since(self, count: int) -> tuple[int, list[OutputLine]]:
        """Return (new count, lines after the first `count` that are still kept)."""
        with self._lock:
            new = self._count - count
            return self._count, list(self._lines)[-new:] if new > 0 else []

    def tail(self, number: int = 20) -> tuple[str, ...]:
        """Return the last lines as text."""
        with self._lock:
            lines = [line.text for line in self._lines if not line.transient]
        return tuple(lines[-number:])

    def last_words(self) -> str:
        """Return the last line that the program wrote on stderr, empty if there is none.

        Programs say there why they stop; of a Python traceback it is the error itself.
        """
        with self._lock:
            lines = [line.text.strip() for line in self._lines if line.stream == "stderr"]
        return next((line[:MAX_WORDS] for line in reversed(lines) if line), "")

    def size(self, stream: str) -> int:
        """Return how many bytes the program has written on ``stdout`` or ``stderr``."""
        path = self._path(stream)
        return path.stat().st_size if path.exists() else 0

    def text(self, stream: str, start: int = 0) -> str:
        """Return what the program wrote on ``stdout`` or ``stderr`` from byte `start` on."""
        path = self._path(stream)
        if not path.exists():
            return ""
        with path.open("rb") as file:
            file.seek(start)
            return file.read(JUDGED_BYTES).decode("utf-8", "replace")

    def close(self) -> None:
        """Close the files."""
        with self._lock:
            for file in self._files.values():
                try:
                    file.close()
                except OSError as error:
                    self.problem = self.problem or error
            self._files.clear()

    def _write(self, name: str, text: str) -> None:
        file = self._files.get(name)
        if file is None:
            # a line at a time: the file can be read while the tool runs (3 µs a line)
            file = self._path(name).open("a", buffering=1, encoding="utf-8", errors="replace")
            self._files[name] = file
        file.write(text)

    def _path(self, name: str) -> Path:
        return {
            "log": self._workspace.log,
            "stdout": self._workspace.stdout,
            "stderr": self._workspace.stderr,
        }[name]
