"""How far an installation is: all downloads and all packages together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from typing import Any

import rattler

from napari_tool_runner.plugins.conda.bounds import Silence, written
from napari_tool_runner.plugins.process import Event, Progress

__all__ = ["InstallReporter"]


class InstallReporter(rattler.InstallerReporter):
    """Adds up what rattler tells of single packages; called from its threads.

    Parameters
    ----------
    records : collection
        rattler's records of all packages.
    download_size : int
        Bytes of those that are not in the cache.
    look : callable
        Gets the name of each package once it is unpacked, before anything of it is linked.
    report : callable
        Gets `Progress` with the bytes of all downloads, and with the packages linked.
    """

    _PAUSE = 0.05

    def __init__(
        self,
        records: Collection[Any],
        download_size: int,
        look: Callable[[str], None],
        report: Callable[[Event], None],
    ) -> None:
        self._look, self._report = look, report
        self._sizes = {record.name.normalized: int(record.size or 0) for record in records}
        self._urls = {record.name.normalized: str(record.url) for record in records}
        self._asked = ""
        self._silence = Silence(lambda: self.arrived + written())
        self._names: dict[int, str] = {}
        self._fetched: dict[int, int] = {}  # or what the index says, once it is there
        self._came: dict[int, int] = {}
        self._total = download_size
        self._links = len(self._sizes)
        self._linked = 0
        self._last: dict[str, float] = {}
        self._lock = threading.Lock()

    @property
    def arrived(self) -> int:
        """Bytes that were downloaded until now."""
        with self._lock:
            return sum(self._came.values())

    def hear(self) -> None:
        """Raise TimeoutError when packages are still to come, and nothing does."""
        with self._lock:
            waits = sum(self._fetched.values()) < self._total
        if waits:
            self._silence.look(f"{self._asked}: timed out")

    def on_transaction_start(self, total_operations: int) -> None:
        """Show the whole size before the first byte."""
        with self._lock:
            self._tell_bytes(now=True)

    def on_populate_cache_start(self, operation: int, package_name: str) -> int:
        """Remember which package a cache entry is."""
        with self._lock:
            token = len(self._names)
            self._names[token] = package_name
        return token

    def on_download_start(self, cache_entry: int) -> int:
        """Give the download the number of its cache entry."""
        with self._lock:
            self._asked = self._urls.get(self._names.get(cache_entry, ""), "")
        return cache_entry

    def on_download_progress(self, download_idx: int, progress: int, total: int | None) -> None:
        """Add bytes."""
        with self._lock:
            self._came[download_idx] = progress
            self._fetched[download_idx] = progress
            self._tell_bytes()

    def on_populate_cache_complete(self, cache_entry: int) -> None:
        """Count a package whole, also when it came from a folder or the cache."""
        self._look(self._names.get(cache_entry, ""))
        with self._lock:
            name = self._names.get(cache_entry, "")
            self._fetched[cache_entry] = self._sizes.get(name, 0)
            self._tell_bytes()

    def on_link_complete(self, index: int) -> None:
        """Count a linked package."""
        with self._lock:
            self._linked += 1
            self._tell(
                Progress("Linking packages", self._linked, self._links),
                now=self._linked == self._links,
            )

    def _tell_bytes(self, *, now: bool = False) -> None:
        if self._total:
            done = min(self._total, sum(self._fetched.values()))
            self._tell(
                Progress("Downloading packages", done, self._total, "bytes"),
                now=now or done == self._total,
            )

    def _tell(self, event: Progress, *, now: bool) -> None:
        """Report, with the lock held: so the numbers only grow."""
        moment = time.monotonic()
        if now or moment - self._last.get(event.phase, 0.0) >= self._PAUSE:
            self._last[event.phase] = moment
            self._report(event)
