"""Names: safe ones for files, unique ones for layers."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable
from pathlib import Path

__all__ = ["free_path", "layer_names", "safe_name", "unique_name"]

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_NUMBERED = re.compile(r"(?P<stem>.*?) \[(?P<number>\d+)\]$", re.DOTALL)
# Windows keeps these names for devices, whatever the extension.
_RESERVED = frozenset(
    {"con", "prn", "aux", "nul"} | {f"{d}{i}" for d in ("com", "lpt") for i in range(1, 10)}
)
_LONGEST = 80


def safe_name(name: str, *, fallback: str = "data") -> str:
    """Return `name` with only ASCII letters, digits, ``.``, ``_`` and ``-``.

    Never empty, never hidden (no leading dot or dash), never a reserved name, at most
    80 characters; accents are dropped from letters, anything else becomes ``_``.
    """
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    safe = _UNSAFE.sub("_", ascii_name)
    safe = safe.strip("._-")[:_LONGEST].rstrip("._-")
    if not safe:
        return fallback
    if safe.split(".")[0].lower() in _RESERVED:
        safe = f"_{safe}"
    return safe


def free_path(folder: Path, name: str, extension: str) -> Path:
    """Return a path in `folder` that does not exist yet, also regardless of case.

    Parameters
    ----------
    name : str
        Any text; made safe. An extension equal to `extension` is not doubled.
    extension : str
        With its dot (``.ome.tiff``), or empty.
    """
    if extension and name.lower().endswith(extension.lower()):
        name = name[: -len(extension)]
    stem = safe_name(name)
    taken = {entry.name.lower() for entry in folder.iterdir()} if folder.is_dir() else set()
    candidate, number = f"{stem}{extension}", 1
    while candidate.lower() in taken:
        number += 1
        candidate = f"{stem}_{number}{extension}"
    return folder / candidate


def unique_name(name: str, taken: Collection[str]) -> str:
    """Return `name`, numbered as ``name [1]`` when it is in `taken`."""
    if name not in taken:
        return name
    match = _NUMBERED.match(name)
    stem, number = (match["stem"], int(match["number"])) if match else (name, 0)
    while True:
        number += 1
        candidate = f"{stem} [{number}]"
        if candidate not in taken:
            return candidate


def layer_names(wanted: Iterable[str], existing: Iterable[str] = ()) -> list[str]:
    """Return unique names for new layers, in order, none of them in `existing`."""
    taken = set(existing)
    names = []
    for name in wanted:
        unique = unique_name(name, taken)
        taken.add(unique)
        names.append(unique)
    return names
