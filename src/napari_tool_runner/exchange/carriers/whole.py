"""A file is written whole or not at all."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_tool_runner.errors import ExchangeError

__all__ = ["whole_file"]


@contextmanager
def whole_file(path: Path, name: str) -> Iterator[None]:
    """Remove `path` (a file or folder, with the frames of a movie) when writing fails.

    Raises
    ------
    ExchangeError
        For what the operating system refused; other exceptions pass.
    """
    try:
        yield
    except BaseException as error:
        _remove(path)
        if not isinstance(error, OSError):
            raise
        raise ExchangeError(
            f"“{name}” could not be written to {path}: {error.strerror or error}.",
            hint="Check the free space and the rights of the workspace folder.",
        ) from error


def _remove(path: Path) -> None:
    if path.is_dir():
        # Zarr writes chunks at the same time; those under way may still arrive.
        for _ in range(40):
            shutil.rmtree(path, ignore_errors=True)
            time.sleep(0.05)
            if not path.exists():
                break
        return
    for part in (path, *path.parent.glob(f"{path.stem}_t*.tif")):
        part.unlink(missing_ok=True)
