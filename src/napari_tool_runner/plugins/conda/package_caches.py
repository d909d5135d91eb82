"""Which environments share unpacked packages, and whether archives are what their index says.

rattler takes a package from its cache by name, version and build, also where the channel of
today tells no SHA-256 of it, or told none then; and it compares downloads only.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from napari_tool_runner import sealed
from napari_tool_runner.addresses import public_url
from napari_tool_runner.errors import PreparationError
from napari_tool_runner.quoting import one_line
from napari_tool_runner.storage import short_digest

__all__ = ["archive_of", "cache_of", "check_archives", "unchecked"]


def cache_of(records: Iterable[Any], packages: Path) -> Path:
    """Return the folder below `packages` in which those of one environment are unpacked.

    What was compared with its SHA-256 when it was downloaded is everybody's. Where one package
    was not, all are shared only by environments from the same channels.
    """
    found = list(records)
    if all(record.sha256 and _scheme(record) in ("http", "https") for record in found):
        return packages / "checked"
    channels = sorted({public_url(record.url).rpartition("/")[0] for record in found})
    return packages / short_digest("\n".join(channels))


def unchecked(records: Iterable[Any]) -> str:
    """Say which packages cannot be compared with the index of their channel; empty for none."""
    names = [record.name.normalized for record in records if not record.sha256]
    if not names:
        return ""
    return (
        "The index of their channel tells no SHA-256 of these packages, so nobody knows whether "
        f"they came as they were made: {one_line(', '.join(names))}."
    )


def check_archives(records: Iterable[Any]) -> None:
    """Compare archives in folders of this computer with their index; others, rattler does.

    Raises
    ------
    PreparationError
        One is another than its index says.
    """
    for record in records:
        path = archive_of(record)
        if not record.sha256 or path is None:
            continue
        if sealed.content_sha256(path) != f"sha256:{record.sha256.hex()}":
            raise PreparationError(
                f"The package {record.name.normalized} is not the one that its channel's index "
                f"tells of: {one_line(str(path))} has another SHA-256.",
                hint="The archive is damaged, or was exchanged: ask whoever runs the channel.",
            )


def archive_of(record: Any) -> Path | None:
    """Return the archive of a package in a folder of this computer; None for others."""
    path = Path(url2pathname(urlsplit(record.url).path))
    return path if _scheme(record) == "file" and path.is_file() else None


def _scheme(record: Any) -> str:
    return str(urlsplit(record.url).scheme)
