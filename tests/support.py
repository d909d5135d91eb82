"""What several rooms' tests share and is no fixture (``from support import CORPUS``)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_tool_runner.tools.dialect import JobPaths

REPOSITORY = Path(__file__).resolve().parent.parent


def find_corpus() -> Path | None:
    """Where the descriptor corpus lies, or None: it is no part of this repository.

    ``NAPARI_TOOL_RUNNER_CORPUS`` names it; else it is ``shared/corpus`` beside the
    checkout or beside one of the folders that hold it.
    """
    named = os.environ.get("NAPARI_TOOL_RUNNER_CORPUS")
    if named:
        return Path(named) if Path(named).is_dir() else None
    for folder in REPOSITORY.parents:
        if (folder / "shared" / "corpus").is_dir():
            return folder / "shared" / "corpus"
    return None


CORPUS = find_corpus()

NO_CORPUS = (
    "no descriptor corpus here: set NAPARI_TOOL_RUNNER_CORPUS, "
    "or put shared/corpus beside the checkout"
)


@contextmanager
def short_path(folder: Path) -> Iterator[str]:
    """Give a path of a folder, for this process: a socket's address has 107 bytes at most."""
    number = os.open(folder, os.O_PATH if hasattr(os, "O_PATH") else os.O_RDONLY)
    yield f"/proc/self/fd/{number}" if Path("/proc/self/fd").is_dir() else str(folder)
    os.close(number)


def job_paths(folder: Path) -> JobPaths:
    """Return the places of a job at `folder`, made."""
    # the package may read what the tests set up first
    from napari_tool_runner.tools.dialect import JobPaths

    made = JobPaths(folder)
    for one in (made.inputs, made.outputs, made.work):
        one.mkdir(parents=True)
    return made


def until_kept() -> None:
    """Wait until the results of the jobs that have ended are kept for later runs.

    That happens after a job has ended, and adds and renames folders below its workspace.
    """
    from napari_tool_runner.jobs.answers import _keeping

    for kept in list(_keeping.values()):
        assert kept.done.wait(30)
