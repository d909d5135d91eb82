"""The user's own files in a job: what its program is shown, and that they stay as they are."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.jobs.record import SourceKind
from napari_tool_runner.jobs.weights import weights_folder
from napari_tool_runner.names import real_path, walked
from napari_tool_runner.plugins import Mount
from napari_tool_runner.sealed import content_sha256
from napari_tool_runner.tools.tree import chosen_places

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from napari_tool_runner.jobs.record import RecordedInput
    from napari_tool_runner.plugins import Process

__all__ = ["Originals", "mounts_of", "named_places"]


def mounts_of(
    process: Process,
    root: Path,
    own: Iterable[Path],
    inputs: Iterable[RecordedInput],
    known: dict[Path, Path],
) -> list[Mount]:
    """Return all that the command may name: the job's own folder, its tool's, foreign files.

    Inputs are the job's own, or links to what is lent; so a program may write beside them.

    Parameters
    ----------
    root : Path
        The folder of the job that its program may write to.
    own : iterable of Path
        What the tool is shown of the folder that it lies in, as `tool_places` says.
    known : dict
        Where paths led when they were met first, which is kept there: a program that ran since
        (on another slice) may have made links of them.
    """
    mounts, inner = {root: Mount(root, read_only=False)}, root / "inputs"
    if process.tool.weights:  # for other runs, too: written where they are fetched alone
        place, job = weights_folder(process.tool), process.context
        mounts[place] = Mount(place, read_only=job is None or not job.network)
    if inner.is_dir():  # what is mounted by itself cannot be replaced as a whole
        mounts[inner] = Mount(inner, read_only=False)
    foreign = [
        *own,
        *(entry.path for entry in inputs),
        *process.data_paths,
        *chosen_places(process.leaves),
    ]
    for path in foreign:
        if path not in known:  # what is lent is a link in the job's folder
            known[path] = real_path(path) if path.is_symlink() else path
    for path in (*foreign, *(known[one] for one in foreign)):
        if path.is_absolute() and path.exists() and not path.is_relative_to(root):
            mounts.setdefault(path, Mount(path))
    return list(mounts.values())


def named_places(variables: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the programs and data of this computer that the configuration names."""
    paths = map(Path, variables.values())
    return tuple(path for path in paths if path.is_absolute() and path.exists())


class Originals:
    """The user's files that a run was given, as they were before its program started.

    A program that is not enclosed can write to them. Their sizes and times tell; the time of
    change can be set back by nobody, and when only that has moved, the content is compared.
    """

    def __init__(self, process: Process, inputs: Iterable[RecordedInput]) -> None:
        self._digests: dict[Path, str | Path] = {}
        for one in inputs:
            if one.source.kind is SourceKind.FILE and os.path.isabs(one.source.path):
                self._digests[Path(one.source.path)] = one.sha256 or one.path
        for path in chosen_places(process.leaves):
            self._digests.setdefault(path, "")
        self._before = {path: _facts(path) for path in self._digests}

    def changed(self) -> list[Path]:
        """Return the files that are not what they were."""
        found: list[Path] = []
        for path, before in self._before.items():
            after = _facts(path)
            if after == before:
                continue
            other = [
                one
                for one in before.keys() | after.keys()
                if before.get(one, (None,))[:-1] != after.get(one, (None,))[:-1]
            ]
            if other:
                found += sorted(other)
            elif not self._same_content(path):  # its mode may have changed, or a link was made
                found.append(path)
        return found

    def _same_content(self, path: Path) -> bool:
        known = self._digests[path]
        try:
            wanted = content_sha256(known) if isinstance(known, Path) else known
            return not wanted or content_sha256(path) == wanted
        except OSError:
            return False


def _facts(path: Path) -> dict[Path, tuple[int, ...]]:
    """Return what the system tells of a file, or of each file below a folder."""
    found: dict[Path, tuple[int, ...]] = {}
    files = [path]
    if path.is_dir():
        files = [Path(folder, name) for folder, _, names in walked(path) for name in names]
    for file in files:
        with suppress(OSError):  # gone, which is told by its absence
            one = file.stat()
            found[file] = (one.st_dev, one.st_ino, one.st_size, one.st_mtime_ns, one.st_ctime_ns)
    return found
