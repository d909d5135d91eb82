"""The folder of one job: ``inputs/ outputs/ work/ tmp/ home/ log.txt record.json``."""

from __future__ import annotations

import errno
import secrets
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.errors import WorkspaceError
from napari_tool_runner.storage import replacing, safe_name
from napari_tool_runner.tools.dialect import JobPaths

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "RECORD",
    "Workspace",
    "copy_if_small",
    "disk_size",
    "new_job_id",
    "tool_folder",
    "workspace_problem",
]

RECORD = "record.json"


def new_job_id() -> str:
    """Return a name that sorts by time and is unique on this computer."""
    return time.strftime("%Y%m%d-%H%M%S-") + secrets.token_hex(3)


def tool_folder(root: Path, tool_id: str) -> Path:
    """Return the folder that holds the jobs of one tool (one mount for containers)."""
    return root / safe_name(tool_id, fallback="tool")


class Workspace:
    """The files of one job.

    Parameters
    ----------
    root : Path
        The job's own folder; made by `create`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.paths = JobPaths(root)
        self.log = root / "log.txt"
        self.record_path = root / RECORD

    def create(self) -> None:
        """Make the folders; raises OSError."""
        paths = self.paths
        for folder in (paths.inputs, paths.outputs, paths.work, paths.temp, paths.home):
            folder.mkdir(parents=True, exist_ok=True)

    def remove_scratch(self) -> None:
        """Delete ``tmp`` and ``home``, which nobody needs after the run."""
        for folder in (self.paths.temp, self.paths.home):
            shutil.rmtree(folder, ignore_errors=True)


def workspace_problem(error: OSError, place: Path) -> WorkspaceError:
    """Say in plain words why a job's folder cannot be used."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return WorkspaceError(
            f"The disk that holds {place} is full.",
            hint="Free some space (napari-tool-runner clean), or set “workspace” in the "
            "configuration to another disk.",
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return WorkspaceError(
            f"The folder {place} may not be written.",
            hint="Set “workspace” in the configuration to a folder that you may write.",
        )
    return WorkspaceError(
        f"The job's folder {place} cannot be used: {error.strerror or error}.",
        hint="Set “workspace” in the configuration to another folder.",
    )


def disk_size(path: Path) -> int:
    """Return the bytes of a file, or of all below a folder; links in it are not followed."""
    return sum(_sizes(path))


def _sizes(path: Path) -> Iterator[int]:
    try:
        if not path.is_dir():
            yield path.stat().st_size
            return
        entries = [entry for entry in path.iterdir() if not entry.is_symlink()]
    except OSError:
        return
    for entry in entries:
        yield from _sizes(entry)


def copy_if_small(path: Path, below: int) -> None:
    """Replace a link to an original by a copy, when it is smaller than `below` bytes."""
    if not path.is_file() or path.stat().st_size >= below:
        return
    if not path.is_symlink() and path.stat().st_nlink < 2:
        return
    with replacing(path) as draft:
        shutil.copyfile(path, draft)
