"""A slot: the one place of this computer that a warm container can write to, for a job at a time.

Mounts are fixed when a container is made, but every job has a folder of its own. So a container
is given a slot; a job's folder is moved into it while a program runs, and moved back when
nothing in the container runs (it is frozen, or has ended). Its path stays what it was, outside
and inside: there it is a link meanwhile. No container sees the folder of another job.
"""

from __future__ import annotations

import ctypes
import logging
import os
import platform
import re
import secrets
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from napari_tool_runner import sealed
from napari_tool_runner.addresses import without_credentials
from napari_tool_runner.errors import OutputError, RunnerExecError, RunnerUnavailableError
from napari_tool_runner.locks import join_lock
from napari_tool_runner.names import safe_name
from napari_tool_runner.plugins.process import Mount
from napari_tool_runner.processes import process_mark
from napari_tool_runner.storage import read_limited, short_digest

__all__ = ["Slot", "recover"]

_log = logging.getLogger(__name__)
_SLOTS = ".slots"
_ENGINE = "engine"
_NAME = re.compile(r"((?P<host>.+)-(?P<pid>[0-9]{1,10})-[0-9a-f]+)-[0-9a-f]+")
_HERE = -100  # AT_FDCWD
_EXCHANGE = 2  # RENAME_EXCHANGE


class Slot:
    """A slot for jobs whose folders lie in `jobs` (those of one tool).

    `host` is the address of the engine whose container it is for; empty: there is none.

    Raises
    ------
    OSError
        It cannot be made.
    """

    def __init__(self, jobs: Path, host: str = "") -> None:
        self._jobs = jobs
        recover(jobs.parent)
        self.root = jobs.parent / _SLOTS / f"{_owner(os.getpid())}-{secrets.token_hex(4)}"
        self.ahead = self.root / "ahead"
        """Where what imports ahead lies, if something does (see `ContainerServer`)."""
        self._links = self.root / "links"
        self._given = self.root / "job"
        self._lock = threading.Lock()
        self._held = self._doomed = False
        for folder in (self.root.parent, self.root, self._links, self._given):
            folder.mkdir(mode=0o700, exist_ok=True)
        if host:
            (self.root / _ENGINE).write_text(host)

    def mounts(self, others: Iterable[Mount]) -> tuple[Mount, ...]:
        """Return what a container mounts for it, besides `others`."""
        for mount in others:
            if mount.path.is_relative_to(self._jobs):  # an engine makes no place inside a mount
                place = self._links / mount.path.relative_to(self._jobs)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.mkdir(exist_ok=True) if mount.path.is_dir() else place.touch()
        return Mount(self._jobs, source=self._links), Mount(self._given, read_only=False)

    @contextmanager
    def holding(self, folder: Path) -> Iterator[None]:
        """Have the folder of a job in the slot; nothing may run in the container around that.

        Raises
        ------
        RunnerExecError
            The program has put something else in its place.
        """
        place, link = self._given / folder.name, self._links / folder.relative_to(self._jobs)
        link.parent.mkdir(parents=True, exist_ok=True)
        self._clear()  # the image's sleeper may have waited here
        link.symlink_to(place)
        was = folder.stat()
        _move_in(folder, place)
        self._held = True
        try:
            yield
        finally:
            try:
                self._move_back(folder, place, (was.st_dev, was.st_ino))
            finally:
                with suppress(OSError):
                    sealed.remove(link.parent, self._links)
                with self._lock:
                    self._held, doomed = False, self._doomed
                if doomed:
                    self.remove()

    def remove(self) -> None:
        """Delete it, once no job is in it."""
        with self._lock:
            self._doomed = True
            if self._held:
                return
        _delete(self.root)

    def _move_back(self, folder: Path, place: Path, was: tuple[int, int]) -> None:
        try:  # a program may have taken all rights from them
            sealed.regain(self._given, self.root)
            sealed.regain(place, self._given)
            found = os.lstat(place)
        except (OSError, OutputError):
            found = None
        folder.unlink()  # the link
        if found is None or (found.st_dev, found.st_ino) != was:
            folder.mkdir(mode=0o700)
            raise RunnerExecError(
                "The program has moved the folder of its job away; what it made is lost.",
                hint="Such a tool cannot be run here.",
            )
        place.rename(folder)
        self._clear()

    def _clear(self) -> None:
        try:
            sealed.regain(self._given, self.root)
            for left in self._given.iterdir():
                sealed.remove(left, self._given)
        except (OSError, OutputError) as error:
            raise RunnerExecError(
                f"What the program left beside its job's folder cannot be deleted: {error}.",
                hint=f"Delete {self.root}, then run the tool again.",
            ) from error


def recover(workspaces: Path) -> None:
    """Put back the folders of jobs that dead sessions of this computer left in slots.

    Their containers are ended first; where the engine does not say that they are gone, a slot
    stays until the next look. Where another session does it already, nothing is done.
    """
    lock = workspaces / f"{_SLOTS}.lock"
    with suppress(OSError):
        dead = [root for root in (workspaces / _SLOTS).iterdir() if _is_left(root.name)]
        if not dead:
            return
        lock.touch(0o600)
        release = join_lock(lock, alone=True)
        if release is None:
            return
        try:
            for root in dead:
                with suppress(OSError):  # one that resists keeps no other
                    if _is_free(root) and _put_back(root, workspaces):
                        _delete(root)
        finally:
            release()


def _is_left(name: str) -> bool:
    told = _NAME.fullmatch(name)  # what is called otherwise is not ours
    return bool(told and told["host"] == _host() and _owner(int(told["pid"])) != told[1])


def _is_free(root: Path) -> bool:
    """Whether no container has a slot of a dead session any more.

    A program can stop what would end its container with the session.
    """
    from napari_tool_runner.plugins.docker import client, containers  # heavy, for rare cases

    try:
        host = read_limited(root / _ENGINE, 1000, follow=False).decode()
    except FileNotFoundError:
        return True  # there was none yet
    except (OSError, ValueError):
        return False
    try:
        engine = client.connect({"host": host})
        free = containers.sweep(engine, patient=True)
        engine.close()
    except (RunnerUnavailableError, *client.ENGINE_ERRORS):
        free = False
    if not free:
        _log.warning(
            "%s stays: the engine at %s may run its container.", root, without_credentials(host)
        )
    return free


def _put_back(root: Path, workspaces: Path) -> bool:
    """Put back what is left in a slot; whether nothing of a job is in it any more."""
    done = True
    if not (root / "links").is_dir():
        return done  # it was being deleted
    for link in [job / "io" for job in (root / "links").iterdir()]:
        place = root / "job" / link.name
        for tool in workspaces.iterdir():
            folder = tool / link.parent.name / link.name
            if not folder.is_symlink() or folder.readlink() != place:
                continue
            try:  # a program may have taken all rights from them
                sealed.regain(place.parent, root)
                sealed.regain(place, root)
                folder.unlink()
                place.rename(folder)
            except (OSError, OutputError):
                if os.path.isdir(place) and not os.path.islink(place):
                    done = False  # it resists, and hides no other: tried again
                    continue
                with suppress(OSError):  # the program may have put anything there
                    folder.unlink(missing_ok=True)
                    folder.mkdir(mode=0o700)
                _log.warning("%s is empty: its program had moved it away.", folder)
    return done


def _delete(root: Path) -> None:
    with suppress(OSError, OutputError):  # tried again with the next slot
        sealed.remove(root, root.parent)


def _move_in(folder: Path, place: Path) -> None:
    """Move `folder` to `place` and leave a link; at once where the system can do both.

    The files in it are read by others meanwhile.
    """
    place.symlink_to(place)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        names = os.fsencode(folder), os.fsencode(place)
        if libc.renameat2(_HERE, names[0], _HERE, names[1], _EXCHANGE) == 0:
            return
    except (AttributeError, OSError):  # another system
        pass
    place.unlink()
    folder.rename(place)
    folder.symlink_to(place)


def _owner(pid: int) -> str:
    return f"{_host()}-{pid}-{short_digest(process_mark(pid))}"


def _host() -> str:
    return safe_name(platform.node(), fallback="host")
