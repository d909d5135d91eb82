"""Digests of files, and of results that a program wrote."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from napari_tool_runner.names import walked
from napari_tool_runner.sealed.opening import check_holes, heard, kind, open_file, refused, walk

__all__ = ["content_sha256"]

_PART = 2**20
_WARY = 2**30


def content_sha256(path: Path, root: Path | None = None, *, wary: bool = False) -> str:
    """Return ``sha256:…`` of a file, or of the names and contents in a folder.

    Reads everything: for large data call it in the background.

    Parameters
    ----------
    root : Path, optional
        The folder of the program that made it: nothing is read through a link.
    wary : bool
        A stranger names it: a file of a gigabyte that is nearly all holes is refused.

    Raises
    ------
    OSError, OutputError
        Something of it cannot be read, or is no plain file.
    """
    digest = hashlib.sha256()
    if path.is_dir() if root is None else kind(path, root) == "folder":
        for entry in sorted(_of_yours(path) if root is None else walk(path, root)):
            digest.update(
                f"{entry.relative_to(path).as_posix()}\0".encode(errors="surrogateescape")
            )
            digest.update(content_sha256(entry, root, wary=wary).encode())
        return f"sha256:{digest.hexdigest()}"
    with open_file(path, root) as file:
        if wary:
            check_holes(os.fstat(file.fileno()), path, _WARY)
        read = 0
        while data := file.read(_PART):
            heard()
            digest.update(data)
            read += len(data)
            if read > os.fstat(file.fileno()).st_size:  # the system writes it as it is read
                raise refused(path, "a file that holds more than it tells", "a plain one")
    return f"sha256:{digest.hexdigest()}"


def _of_yours(folder: Path) -> Iterator[Path]:
    for here, _, names in walked(folder):
        yield from (one for one in (Path(here, name) for name in names) if one.is_file())
