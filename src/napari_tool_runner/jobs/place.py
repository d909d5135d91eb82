"""What a service says of all that its programs can read: the first time it may take long.

It looks at every file of an environment, which takes a second, or minutes on a busy computer or
another's disk. Nobody waits longer for that than a run takes that it may save.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.plugins import Progress

if TYPE_CHECKING:
    from napari_tool_runner.plugins import ExecContext

__all__ = ["Place", "Told"]

Told = Mapping[str, object]

_LONG = 2.0
"""Seconds of a run after which it is worth its while to look meanwhile."""
_PATIENCE = 5.0
"""Seconds that any run may wait for an earlier one; one that took longer is waited for longer."""
_SILENT = 0.3
"""Seconds until it is told what is waited for."""
_LATER = 0.3
"""Seconds in which whoever has waited for a result is not disturbed."""
_known: set[str] = set()
"""Services that have told of a place in this process."""


class Place:
    """Where the program of a job runs.

    Parameters
    ----------
    service : str
    ask : callable
        Returns what the service says; None: it cannot be told. Raises OSError, ToolRunnerError.
    """

    def __init__(self, service: str, ask: Callable[[], Told | None]) -> None:
        self._service, self._ask = service, ask
        self._soon: threading.Timer | None = None

    def look(self) -> Told | None:
        """Return what the service says, however long that takes."""
        told = self._ask()
        _known.add(self._service)
        return told

    def look_for(self, took: Callable[[], float], context: ExecContext) -> Told | None:
        """Return what the service says within the seconds that an earlier run took; else None.

        Raises
        ------
        OSError, ToolRunnerError
        """
        if self._service in _known:
            return self.look()
        found: list[Told | None] = []
        failed: list[OSError | ToolRunnerError] = []
        ended = threading.Event()

        def look() -> None:
            try:
                found.append(self.look())
            except (OSError, ToolRunnerError) as error:
                failed.append(error)
            finally:
                ended.set()

        forget = context.cancel.on_cancel(ended.set)
        threading.Thread(target=look, name="place", daemon=True).start()
        end = time.monotonic() + max(_PATIENCE, took())
        if not ended.wait(_SILENT):
            context.report(Progress("Looking for an earlier run"))
            ended.wait(end - time.monotonic())
        forget()
        if failed:
            raise failed[0]
        if found:
            return found[0]
        if not context.cancel.requested:
            context.say("To tell whether an earlier run answers takes too long: it is run again.")
        return None

    def look_ahead(self) -> None:
        """Look while the program runs, if it runs for long."""
        if self._service not in _known:
            self._soon = threading.Timer(_LONG, self._ahead)
            self._soon.daemon = True
            self._soon.start()

    def stop_ahead(self) -> None:
        """Do not begin any more: the program has ended."""
        if self._soon is not None:
            self._soon.cancel()

    def look_later(self) -> Told | None:
        """Return what the service says after a run, when nobody waits."""
        if self._service not in _known:
            time.sleep(_LATER)
        return self.look()

    def _ahead(self) -> None:
        with suppress(OSError, ToolRunnerError):  # which is told at the end
            self.look()
