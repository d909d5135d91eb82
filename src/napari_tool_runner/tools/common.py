"""What every reader of descriptors needs: notes, and the files beside a descriptor."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from napari_tool_runner.tools.model import Link, Note, Severity

__all__ = ["SHED_FILES", "Notes", "Shed", "read_shed"]

SHED_FILES = (".shed.yml", ".shed.yaml")
_MAX_BYTES = 2**20


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


@dataclass(frozen=True, slots=True)
class Shed:
    """The parts of a ``.shed.yml`` that matter here."""

    categories: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()


def read_shed(folder: Path, notes: Notes | None = None) -> Shed:
    """Return what ``.shed.yml`` in `folder` says; nothing when there is none.

    A broken file is told to `notes` and otherwise ignored.
    """
    path = next((p for name in SHED_FILES if (p := folder / name).exists()), None)
    if path is None:
        return Shed()
    try:
        with path.open("rb") as stream:
            text = stream.read(_MAX_BYTES).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        _tell(notes, f"It cannot be read: {error}.")
        return Shed()
    import yaml

    loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, loader)):
            _tell(notes, "It uses aliases, which can grow without end; it is left out.")
            return Shed()
        data = yaml.load(text, loader)  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        _tell(notes, f"It is no valid YAML: {' '.join(str(error).split())}.")
        return Shed()
    if not isinstance(data, dict):
        _tell(notes, "It holds no names and values.")
        return Shed()
    given = data.get("categories") or []
    if isinstance(given, str):
        given = [given]
    if not isinstance(given, list):
        _tell(notes, "“categories” is no list.")
        given = []
    links = []
    labels = (("homepage_url", "Home page"), ("remote_repository_url", "Source"))
    for key, label in labels:
        address = data.get(key)
        if isinstance(address, str) and address.startswith(("http://", "https://")):
            links.append(Link(label, address))
    return Shed(tuple(str(entry).strip() for entry in given if entry), tuple(links))


def _tell(notes: Notes | None, what: str) -> None:
    if notes is not None:
        notes.warning(SHED_FILES[0], what)
