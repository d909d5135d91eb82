"""Placing a file of the user where a tool can see it, without copying its bytes."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from pathlib import Path

from napari_tool_runner.errors import ExchangeError

__all__ = ["content_sha256", "place_file"]

_SMALL = 64 * 2**20
_FICLONE = 0x40049409  # Linux: share the blocks of a file, copied only when written to


def place_file(source: Path, target: Path) -> bool:
    """Make `source` appear at `target`; return whether its bytes were copied.

    In this order: a clone that shares blocks (where the file system can), a hard
    link, a copy when small, a symbolic link (a container must then see the original
    as well). Folders become folders of such files.

    Raises
    ------
    ExchangeError
    """
    try:
        if source.is_dir():
            target.mkdir()
            copied = False
            for entry in sorted(source.iterdir()):
                copied |= place_file(entry, target / entry.name)
            return copied
        return _place(source, target)
    except OSError as error:
        raise ExchangeError(
            f"{source} cannot be handed to the tool: {error.strerror or error}.",
            hint="Check that the file can be read and that the disk has room.",
        ) from error


def _place(source: Path, target: Path) -> bool:
    if _clone(source, target):
        return False
    real = source.resolve(strict=True)
    try:
        os.link(real, target)
    except OSError:
        if real.stat().st_size <= _SMALL:
            shutil.copyfile(real, target)
            return True
        target.symlink_to(real)
    return False


def _clone(source: Path, target: Path) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    import fcntl

    try:
        with source.open("rb") as original, target.open("xb") as copy:
            fcntl.ioctl(copy.fileno(), _FICLONE, original.fileno())
    except OSError:
        target.unlink(missing_ok=True)
        return False
    return True


def content_sha256(path: Path) -> str:
    """Return ``sha256:…`` of a file, or of the names and contents in a folder.

    Reads everything: for large data call it in the background.
    """
    digest = hashlib.sha256()
    if path.is_dir():
        for entry in sorted(p for p in path.rglob("*") if p.is_file()):
            digest.update(f"{entry.relative_to(path).as_posix()}\0".encode())
            digest.update(content_sha256(entry).encode())
        return f"sha256:{digest.hexdigest()}"
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
