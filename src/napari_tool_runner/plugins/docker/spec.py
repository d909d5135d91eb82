"""What a container may see and use."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner import settings
from napari_tool_runner.data_classes import dataclass, replace
from napari_tool_runner.errors import PreparationError
from napari_tool_runner.names import walked
from napari_tool_runner.plugins.process import ExecContext, Mount

if TYPE_CHECKING:
    from napari_tool_runner.plugins.docker.client import Engine
    from napari_tool_runner.plugins.docker.images import Image

__all__ = ["Spec", "make_spec"]

_SYSTEM = re.compile(r"/(bin|boot|dev|etc|lib\d*|opt|proc|run|sbin|sys|usr|var)?")
"""An image has its own, which such a mount would hide."""


@dataclass(frozen=True, slots=True)
class Spec:
    """All that makes two containers differ: image, mounts and rights.

    Parameters
    ----------
    image : str
        Id of the image.
    mounts : tuple of Mount
        None inside another of the same rights; sorted.
    user : str
        ``uid:gid``.
    groups : tuple of int
        Further groups of the caller.
    network : str
        ``none``, ``host``, ``bridge`` or the name of a network.
    """

    image: str
    mounts: tuple[Mount, ...]
    user: str
    groups: tuple[int, ...] = ()
    network: str = "none"
    memory: int | None = None
    cpus: float | None = None
    gpus: int = 0
    pids: int = settings.PIDS.default
    shared_memory: int = settings.SHM_SIZE.default
    """Limit of /dev/shm; the engine's own 64 MB stop multi-process Python programs."""
    tmpfs: tuple[tuple[str, str], ...] = ()
    platform: str = ""
    jobs: Path | None = None
    """The folder that holds the jobs which it serves, one at a time (see `Slot`)."""
    ahead: bool = False
    """Whether programs may start in it with imports done."""

    def covers(self, wanted: Spec) -> bool:
        """Whether a container of this spec can serve a job that wants `wanted`.

        Same rights and same mounts: a job sees no original that another one was given. For
        processes made by hand, which have no folder of a job, read-only mounts may be more.
        """
        if self.jobs is not None:
            return self == wanted
        return (
            replace(self, mounts=()) == replace(wanted, mounts=())
            and _writable(self.mounts) == _writable(wanted.mounts)
            and set(self.mounts) >= set(wanted.mounts)
        )


def make_spec(
    engine: Engine,
    image: Image,
    context: ExecContext,
    config: Mapping[str, object],
    inputs: Iterable[Path] = (),
) -> Spec:
    """Return what the container of a job has to be.

    It sees what the context names; a process made by hand, which names nothing, also its
    `inputs` that are the user's own files in another place (see `_input_mounts`).

    Raises
    ------
    PreparationError
        A mount is impossible.
    """
    user, groups = _caller(engine)
    if context.root is not None:
        # what is below is in the slot; where its links lead was looked up before a program ran
        named = [one for one in context.mounts if not one.path.is_relative_to(context.root)]
    else:
        own = (context.work_dir, context.temp_dir, context.home_dir)
        named = [*context.mounts, *(Mount(path, False) for path in own)]
        named += _input_mounts(inputs, named)
    resources, network = context.resources, _network(context, config)
    ahead = settings.WARM.of(config) and context.root is not None and network == "none"
    return Spec(
        image=image.id,
        mounts=_covering_mounts(named, check=engine.endpoint.local),
        user=user,
        groups=groups,
        network=network,
        memory=resources.memory_bytes,
        cpus=resources.cpus,
        gpus=resources.gpus,
        pids=settings.PIDS.of(config),
        shared_memory=settings.SHM_SIZE.of(config),
        tmpfs=tuple(sorted(settings.TMPFS.of(config).items())),
        platform=settings.PLATFORM.of(config),
        jobs=None if context.root is None else context.root.parents[1],
        ahead=ahead and engine.endpoint.local and sys.platform == "linux",
    )


def _covering_mounts(mounts: Iterable[Mount], *, check: bool = True) -> tuple[Mount, ...]:
    """Return the fewest mounts that show the same: sorted, none inside its like.

    Writable folders that do not exist are made (an engine would make them as root).

    Raises
    ------
    PreparationError
        A path does not exist, or is the root of the file system.
    """
    rights: dict[Path, bool] = {}
    for mount in mounts:
        path = Path(os.path.abspath(mount.path))
        if path == Path(path.anchor) or _SYSTEM.fullmatch(str(path)):
            raise PreparationError(
                f"A container was asked to see the system’s folder {path}.",
                hint="Put the workspace, the toolbox and the data into folders of their own.",
            )
        rights[path] = rights.get(path, True) and mount.read_only
    kept: list[Mount] = []
    for path in sorted(rights):
        around = [mount for mount in kept if path.is_relative_to(mount.path)]
        if around and around[-1].read_only == rights[path]:
            continue
        if check:
            _exists(path, rights[path])
        kept.append(Mount(path, rights[path]))
    return tuple(kept)


def _input_mounts(inputs: Iterable[Path], mounts: Iterable[Mount]) -> list[Mount]:
    """Return what keeps originals safe, and makes them seen, that a job only links to.

    An input may be a hard link to the user's file, inside a folder that the program may
    write to: it is mounted over itself, read-only. Or it is a symbolic link: then what
    it leads to is mounted. `mounts`: what is mounted already.
    """
    known = [(Path(os.path.realpath(mount.path)), mount.read_only) for mount in mounts]

    def writable(path: Path) -> bool:
        around = [(len(at.parts), only) for at, only in known if path.is_relative_to(at)]
        return bool(around) and not max(around)[1]

    def seen(path: Path) -> bool:
        return any(path.is_relative_to(at) for at, _ in known)

    found: list[Mount] = []
    for path in inputs:
        links, targets = _links(path)
        real = Path(os.path.realpath(path))
        if links and writable(real):
            found.append(Mount(real))
        found += [Mount(target) for target in targets if not seen(target)]
    return found


def _links(path: Path) -> tuple[bool, set[Path]]:
    """Whether `path` holds hard links, and where its symbolic links lead."""
    if not path.is_dir():
        target = {Path(os.path.realpath(path))} if path.is_symlink() else set()
        return path.is_file() and path.stat().st_nlink > 1, target
    hard, targets = False, set()
    if path.is_symlink():
        targets.add(Path(os.path.realpath(path)))
    for folder, _, names in walked(path):
        for name in names:
            entry = Path(folder, name)
            if entry.is_symlink():
                targets.add(Path(os.path.realpath(entry)).parent)
            elif not hard:
                hard = entry.stat().st_nlink > 1
    return hard, targets


def _writable(mounts: Iterable[Mount]) -> set[Path]:
    return {mount.path for mount in mounts if not mount.read_only}


def _exists(path: Path, read_only: bool) -> None:
    if path.exists():
        return
    if read_only:
        raise PreparationError(
            f"{path} does not exist, so the container cannot see it.",
            hint="Check whether the file was moved or deleted.",
        )
    try:
        path.mkdir(parents=True)
    except OSError as error:
        raise PreparationError(
            f"The folder {path} cannot be made: {error.strerror or error}.",
            hint="Choose another place for the workspace.",
        ) from error


def _caller(engine: Engine) -> tuple[str, tuple[int, ...]]:
    """User and further groups inside, such that files belong to the caller outside."""
    if engine.rootless:
        # there, root inside is the caller outside
        return "0:0", ()
    groups = () if os.getuid() == 0 else tuple(sorted(set(os.getgroups()) - {os.getgid()}))
    return f"{os.getuid()}:{os.getgid()}", groups


def _network(context: ExecContext, config: Mapping[str, object]) -> str:
    if not (context.network or settings.NETWORK.of(config)):
        return "none"
    return settings.NETWORK_MODE.of(config) or "default"
