"""Collects the notes of one reading."""

from __future__ import annotations

from dataclasses import dataclass, field

from napari_tool_runner.tools.model import Note, Severity

__all__ = ["Notes"]


@dataclass(slots=True)
class Notes:
    """Notes in the order of the descriptor; `place` goes before each ``where``."""

    place: str = ""
    found: list[Note] = field(default_factory=list)

    def at(self, place: str) -> Notes:
        """Return a view that writes into the same list, at `place` below this one."""
        return Notes("/".join(part for part in (self.place, place) if part), self.found)

    def info(self, where: str, what: str) -> None:
        """Add something worth knowing."""
        self._add(Severity.INFO, where, what)

    def warning(self, where: str, what: str) -> None:
        """Add something that is not honoured."""
        self._add(Severity.WARNING, where, what)

    def error(self, where: str, what: str) -> None:
        """Add something that keeps the tool from running."""
        self._add(Severity.ERROR, where, what)

    def _add(self, severity: Severity, where: str, what: str) -> None:
        place = "/".join(part for part in (self.place, where) if part)
        self.found.append(Note(severity, place or "tool", what))
