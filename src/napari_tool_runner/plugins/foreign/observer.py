"""Hearing what services of bioimageit_core notify.

They are observable: whoever calls ``add_observer`` is told of messages, warnings,
errors and progress, with the number of the job.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from napari_tool_runner.plugins.contract import Event, OutputLine, Progress

__all__ = ["observed"]


class _Observer:
    """What services of bioimageit_core notify; passes it on to the job it belongs to."""

    def __init__(self) -> None:
        self.reports: dict[int, Callable[[Event], object]] = {}
        self.lock = threading.Lock()

    def notify(self, message: object, job_id: int = 0) -> None:
        """Pass a message on."""
        self._pass(OutputLine(str(message), "stdout"), job_id)

    def notify_warning(self, message: object, job_id: int = 0) -> None:
        """Pass a warning on."""
        self._pass(OutputLine(f"Warning: {message}", "stderr"), job_id)

    def notify_error(self, message: object, job_id: int = 0) -> None:
        """Pass an error on."""
        self._pass(OutputLine(f"Error: {message}", "stderr"), job_id)

    def notify_progress(self, progress: float, message: object = "", job_id: int = 0) -> None:
        """Pass a percentage on."""
        self._pass(Progress(str(message), float(progress), 100.0), job_id)

    def new_job(self, job_id: int = 0) -> None:
        """Nothing to open: the job has its log already."""

    def _pass(self, event: Event, job_id: int) -> None:
        with self.lock:
            report = self.reports.get(job_id)
            # services without job numbers notify job 0: then all that run are meant
            reports = [report] if report is not None else list(self.reports.values())
        for report in reports:
            report(event)


# services are made once and live for ever: an observer per run would pile up
_observers: weakref.WeakKeyDictionary[Any, _Observer] = weakref.WeakKeyDictionary()
_observers_lock = threading.Lock()


@contextmanager
def observed(service: object, job_id: int, report: Callable[[Event], object]) -> Iterator[None]:
    """Pass what `service` notifies on to `report`, for the time of the block."""
    add = getattr(service, "add_observer", None)
    if not callable(add):
        yield
        return
    with _observers_lock:
        observer = _observers.get(service)
        if observer is None:
            observer = _observers[service] = _Observer()
            add(observer)
    with observer.lock:
        observer.reports[job_id] = report
    try:
        yield
    finally:
        with observer.lock:
            observer.reports.pop(job_id, None)
