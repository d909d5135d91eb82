"""What the list of jobs says of a job, in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from napari_tool_runner.jobs import JobState, taken_back
from napari_tool_runner.widgets.parts.texts import tooltip
from napari_tool_runner.widgets.running.run_bar import elapsed_text

if TYPE_CHECKING:
    from napari_tool_runner.jobs import JobRow

__all__ = ["duration_text", "line_of", "row_tip", "state_text", "when_text"]


def line_of(*parts: str) -> str:
    """Return what there is of `parts` in one line."""
    return " · ".join(filter(None, parts))


def state_text(row: JobRow) -> str:
    """Return what became of a job, in a word or two."""
    return "Taken back" if row.id in taken_back() else row.state.word


def row_tip(row: JobRow) -> str:
    """Return all that a row knows, for a tooltip."""
    when = row.created.astimezone().strftime("%A, %d %B %Y, %H:%M:%S") if row.created else ""
    values = "\n".join(f"{name}: {value}" for name, value in row.parameters)
    data = "\n".join(f"Data: {name}" for name in row.inputs)
    head = f"{row.tool_name} · {state_text(row)}"
    return tooltip(head, when, row.message, row.found, f"{data}\n{values}")


def when_text(created: datetime | None, now: datetime | None = None) -> str:
    """Return ``14:05``, ``Yesterday 14:05``, ``12 Nov 14:05`` or ``12 Nov 2024``."""
    if created is None:
        return ""
    here = created.astimezone()
    today = (now or datetime.now(UTC)).astimezone().date()
    if here.date() == today:
        return f"{here:%H:%M}"
    if here.date() == today - timedelta(days=1):
        return f"Yesterday {here:%H:%M}"
    if here.year == today.year:
        return f"{here.day} {here:%b %H:%M}"
    return f"{here.day} {here:%b %Y}"


def duration_text(row: JobRow) -> str:
    """Return ``0.4 s``, ``12 s`` or ``2:05``; nothing for what has not started."""
    if row.state is JobState.QUEUED:
        return ""
    if row.seconds < 10:
        return f"{row.seconds:.1f} s"
    return f"{row.seconds:.0f} s" if row.seconds < 60 else elapsed_text(row.seconds)
