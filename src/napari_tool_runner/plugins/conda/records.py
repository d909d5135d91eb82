"""What an environment tells of its packages, without the credentials of their channels."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from napari_tool_runner import sealed
from napari_tool_runner.addresses import public_url, without_credentials
from napari_tool_runner.errors import PreparationError
from napari_tool_runner.storage import read_json, write_json

__all__ = ["clean_records", "facts", "installed_packages"]

_MOST_RECORD = 2**28  # bytes of what is told of an installed package: each file, twice


def installed_packages(prefix: Path) -> list[dict[str, object]]:
    """Return name, version, build, url and sha256 of the conda packages in `prefix`.

    Whoever made it: a package of which too much is told, or nothing that can be read, has what
    its file is called.
    """
    found: list[dict[str, object]] = []
    for path in sorted((prefix / "conda-meta").glob("*-*-*.json")):
        name, version, build = path.stem.rsplit("-", 2)
        try:
            told = read_json(path, follow=False)
        except FileNotFoundError:  # removed meanwhile
            continue
        except (OSError, ValueError):
            told = None
        more = told if isinstance(told, dict) else {}
        url, digest = more.get("url"), more.get("sha256")
        found.append({
            "name": name, "version": version, "build": build,
            "url": public_url(str(url)) if url else None,
            "sha256": str(digest) if digest else None,
        })  # fmt: skip
    return found


def facts(records: Iterable[Any]) -> list[dict[str, object]]:
    """Return the packages for a record: no credentials in the addresses."""
    return [
        {
            "name": record.name.normalized,
            "version": str(record.version),
            "build": str(record.build),
            "url": public_url(record.url),
            "sha256": record.sha256.hex() if record.sha256 else None,
        }
        for record in sorted(records, key=lambda record: record.name.normalized)
    ]


def clean_records(prefix: Path) -> None:
    """Take the credentials of channels from what rattler wrote of the packages in `prefix`.

    Raises
    ------
    PreparationError, OutputError, OSError
        What is told of a package cannot be read.
    """
    for path in (prefix / "conda-meta").glob("*.json"):
        text = sealed.read_bytes(path, prefix, limit=_MOST_RECORD).decode("utf-8", "replace")
        if without_credentials(text) == text:
            continue
        try:
            clean = _clean(json.loads(text))
        except (ValueError, RecursionError) as error:
            raise PreparationError(
                f"{path.name}, in which an environment tells of a package, cannot be read: "
                f"{error}.",
                hint="A package brought it: use another.",
            ) from error
        write_json(path, clean, private=False, durable=False)


def _clean(value: object) -> object:
    """Return a value of JSON with no credentials in its texts, however deep."""
    if isinstance(value, str):
        return without_credentials(value)
    if isinstance(value, list):
        return [_clean(one) for one in value]
    if isinstance(value, dict):
        return {without_credentials(key): _clean(one) for key, one in value.items()}
    return value
