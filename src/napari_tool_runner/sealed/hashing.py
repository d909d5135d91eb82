"""Digests of files, and of results that a program wrote."""

from __future__ import annotations

import hashlib
from pathlib import Path

from napari_tool_runner.sealed.opening import heard, kind, open_file, walk

__all__ = ["content_sha256"]

_PART = 2**20


def content_sha256(path: Path, root: Path | None = None) -> str:
    """Return ``sha256:…`` of a file, or of the names and contents in a folder.

    Reads everything: for large data call it in the background.

    Parameters
    ----------
    root : Path, optional
        The folder of the program that made it: nothing is read through a link.

    Raises
    ------
    OSError, OutputError
        Something of it cannot be read, or is no plain file.
    """
    if path.is_dir() if root is None else kind(path, root) == "folder":
        digest = hashlib.sha256()
        files = path.rglob("*") if root is None else walk(path, root)
        for entry in sorted(p for p in files if root is not None or p.is_file()):
            digest.update(
                f"{entry.relative_to(path).as_posix()}\0".encode(errors="surrogateescape")
            )
            digest.update(content_sha256(entry, root).encode())
        return f"sha256:{digest.hexdigest()}"
    digest = hashlib.sha256()
    with open_file(path, root) as file:
        while data := file.read(_PART):
            heard()
            digest.update(data)
    return f"sha256:{digest.hexdigest()}"
