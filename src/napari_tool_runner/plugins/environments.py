"""Where environments live: complete, or not there at all.

::

    environments_dir/
        demo-tool-1a2b3c4d5e6f/        one environment: a word and a hash of its content
            environment.json           written last: without it, nothing here counts
            environment.lock           the exact packages; kept when the rest is removed
            pylock.toml                the same of packages from PyPI
            p4f1c9/                    the prefix; another one for each attempt to build it
        .locks/                        one program at a time builds; those that run hold it
        .packages/  .repodata/  .uv/   caches, on the same disk: packages are hard-linked

An attempt that was killed leaves a prefix that nothing names, and packages that are unpacked
in part: they are never used, and removed by the next attempt.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_tool_runner import sealed
from napari_tool_runner.data_classes import dataclass, field
from napari_tool_runner.errors import JobCancelledError, PreparationError
from napari_tool_runner.locks import join_lock
from napari_tool_runner.storage import lock_file, read_json, write_json

if TYPE_CHECKING:
    from napari_tool_runner.plugins.process import CancelToken

__all__ = ["PYLOCK", "Environment", "EnvironmentInfo", "EnvironmentStore"]

MARKER = "environment.json"
LOCK = "environment.lock"
PYLOCK = "pylock.toml"
_PROOFS = ("conda-meta", "pyvenv.cfg")  # one of them lies in each prefix
_CACHES = "caches"
_WAIT = "Wait for the jobs that run in it, or make it."


@dataclass(frozen=True, slots=True)
class Environment:
    """A complete environment. `data`: what its marker holds."""

    key: str
    prefix: Path
    data: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class EnvironmentInfo:
    """What `clean` shows of an environment.

    Parameters
    ----------
    key : str
        Its name, for `EnvironmentStore.remove`.
    path : Path
    size : int
        Bytes that its files take; those shared with the package cache included.
    complete : bool
        False: left over from an attempt that was broken off.
    in_use : bool
        Whether a program runs in it, or it is being built.
    specs : tuple of str
    """

    key: str
    path: Path
    size: int
    complete: bool
    in_use: bool
    specs: tuple[str, ...] = ()


class EnvironmentStore:
    """The environments below one folder. Thread-safe, and safe between programs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: dict[str, tuple[tuple[int, int], Environment]] = {}
        self._mutex = threading.Lock()

    @property
    def packages(self) -> Path:
        """The caches of unpacked packages: see `package_caches`."""
        return self.folder / ".packages"

    @property
    def repodata(self) -> Path:
        """The cache of the channels' indexes."""
        return self.folder / ".repodata"

    def private_repodata(self) -> Path:
        """Return the cache of indexes that is this user's alone; it is made.

        Raises
        ------
        PreparationError
        """
        return self.private(self.repodata / _of_user())

    def private(self, folder: Path) -> Path:
        """Make a folder that is this user's alone, and return it; raises PreparationError."""
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise self.unwritable(error) from error
        return folder

    @property
    def conda_caches(self) -> tuple[Path, ...]:
        """What conda downloaded."""
        return self.packages, self.repodata

    @property
    def uv_cache(self) -> Path:
        """The cache of uv that is this user's alone: what lies in it is not looked at again."""
        return self.folder / ".uv" / _of_user()

    def lock_file(self, key: str, name: str = LOCK) -> Path:
        """Return the file with the exact packages of an environment."""
        return self.folder / key / name

    def find(self, key: str) -> Environment | None:
        """Return the environment `key`, None when it is not there or not complete."""
        marker = self.folder / key / MARKER
        try:
            status = marker.stat()
            stamp = (status.st_mtime_ns, status.st_ino)
            with self._mutex:
                known = self._read.get(key)
            if known is None or known[0] != stamp:
                data = read_json(marker)
                if not isinstance(data, dict):
                    return None
                found = Environment(key, marker.parent / data["prefix"], data)
                known = (stamp, found)
                with self._mutex:
                    self._read[key] = known
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if not any(os.path.exists(known[1].prefix / proof) for proof in _PROOFS):
            return None
        return known[1]

    def new_prefix(self, key: str) -> Path:
        """Remove what earlier attempts left, and return the folder of a new one.

        Call it only inside `building`.
        """
        home = self.folder / key
        try:
            home.mkdir(parents=True, exist_ok=True)  # who waited before may find it gone
            with suppress(FileNotFoundError):
                (home / MARKER).unlink()
            for entry in home.iterdir():
                if entry.name not in (LOCK, PYLOCK):
                    _remove_tree(entry)
            self._remove_partial()
        except OSError as error:
            raise self.unwritable(error) from error
        return home / f"p{secrets.token_hex(3)}"

    @contextmanager
    def filling(self) -> Iterator[None]:
        """Hold the caches: what is half written in them stays."""
        with suppress(OSError):
            self._users(_CACHES).parent.mkdir(parents=True, exist_ok=True)
        release = self.hold(_CACHES)
        try:
            yield
        finally:
            release()

    def _remove_partial(self) -> None:
        """Remove what is half written in the caches, by nobody any more.

        rattler unpacks packages into folders, and indexes into files, that begin with a point.
        """
        if os.name == "nt":
            return  # nobody can tell whether they are held
        release = join_lock(self._users(_CACHES), alone=True)
        if release is None:
            return
        try:
            folders = [one for one in self.packages.glob("*/.*") if one.is_dir()]
            for entry in (*folders, *self.repodata.rglob(".tmp*")):
                if os.access(entry, os.W_OK):  # else it is another user's
                    with suppress(OSError):
                        _remove_tree(entry)
        finally:
            release()

    def complete(self, key: str, prefix: Path, data: Mapping[str, Any]) -> Environment:
        """Write the marker: from now on the environment counts."""
        home = self.folder / key
        content = {**data, "prefix": prefix.name, "created": time.time()}
        write_json(home / MARKER, content, indent=1, private=False)
        return Environment(key, prefix, content)

    @contextmanager
    def building(
        self, key: str, cancel: CancelToken, waiting: Callable[[], None] = lambda: None
    ) -> Iterator[None]:
        """Hold the right to build `key`, alone among all programs.

        Parameters
        ----------
        cancel : CancelToken
            Ends the waiting.
        waiting : callable
            Called once when somebody else holds it.

        Raises
        ------
        JobCancelledError
        PreparationError
            The folder cannot be written.
        """
        told = False
        with ExitStack() as held:
            while True:
                try:
                    held.enter_context(self._lock(key, 0.1 if told else 0))
                    break
                except TimeoutError:
                    if not told:
                        told = True
                        waiting()
                    if cancel.requested:
                        raise JobCancelledError(
                            "The job was cancelled while another program built its environment."
                        ) from None
            yield

    @contextmanager
    def held(self, key: str, make: Callable[[], object]) -> Iterator[Environment]:
        """Hold the environment `key`, made by `make` when it is missing."""
        while True:
            # first held, then looked at: so nobody removes what was found
            release = self.hold(key)
            found = self.find(key)
            if found is not None:
                break
            release()
            make()
        try:
            yield found
        finally:
            release()

    def hold(self, key: str) -> Callable[[], None]:
        """Hold the environment; return what gives it free. A killed program holds nothing."""
        return join_lock(self._users(key), alone=False) or (lambda: None)

    def environments(self) -> list[EnvironmentInfo]:
        """Return all environments, also those that were broken off, largest first."""
        if not self.folder.is_dir():
            return []
        found: list[EnvironmentInfo] = []
        for home in self.folder.iterdir():
            if home.name.startswith(".") or not home.is_dir():
                continue
            environment = self.find(home.name)
            data = environment.data if environment is not None else {}
            size = sealed.usage(home).used
            complete, in_use = environment is not None, self._in_use(home.name)
            specs = tuple(data.get("specs", ()))
            found.append(EnvironmentInfo(home.name, home, size, complete, in_use, specs))
        return sorted(found, key=lambda info: -info.size)

    def cache_size(self, *folders: Path) -> int:
        """Return the bytes of caches; without `folders`, of conda's."""
        return sum(sealed.usage(one).used for one in folders or self.conda_caches)

    def remove(self, key: str) -> int:
        """Remove an environment; return the bytes that became free.

        Raises
        ------
        PreparationError
            A program runs in it, it is being built, or it cannot be removed.
        """
        home = self.folder / key
        if Path(key).name != key or key.startswith(".") or not home.is_dir():
            raise PreparationError(f"There is no environment {key} in {self.folder}.")
        with self._alone(key):
            freed = sealed.usage(home).freed
            with suppress(FileNotFoundError):
                (home / MARKER).unlink()
            try:
                _remove_tree(home)
            except OSError as error:
                raise PreparationError(
                    f"{home} could not be removed: {error.strerror or error}."
                ) from error
        return freed

    def clean_caches(self, *folders: Path) -> int:
        """Remove downloaded packages that no environment needs; return the freed bytes.

        Without `folders`, those of conda.

        Environments go on: what they share with the cache by hard links stays theirs.

        Raises
        ------
        PreparationError
            An environment is being made of them.
        """
        freed = 0
        with self._held_alone(_CACHES, "An environment is being made of these packages."):
            for folder in folders or self.conda_caches:
                freed += sealed.usage(folder).freed
                _remove_tree(folder)
        return freed

    def unwritable(self, error: OSError) -> PreparationError:
        """Return the sentence for a folder that cannot be written."""
        return PreparationError(
            f"Environments cannot be made in {self.folder}: {error.strerror or error}.",
            hint="Name a folder on a disk with room that you may write to, as "
            "'environments_dir' in the runner section of the configuration.",
        )

    @contextmanager
    def _lock(self, key: str, timeout: float) -> Iterator[None]:
        """Be the one who builds or removes an environment; its folder is made."""
        with ExitStack() as held:
            try:
                (self.folder / key).mkdir(parents=True, exist_ok=True)
                lock = lock_file(self.folder / ".locks" / f"{key}.lock", timeout=timeout)
                held.enter_context(lock)
            except TimeoutError:
                raise
            except OSError as error:
                raise self.unwritable(error) from error
            try:
                yield
            finally:
                with suppress(OSError):  # it is kept where something was made
                    (self.folder / key).rmdir()

    @contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        """Hold an environment against everybody."""
        busy = f"The environment {key} is in use."
        try:
            with self._lock(key, 0), self._held_alone(key, busy):
                yield
        except TimeoutError as error:
            raise PreparationError(busy, hint=_WAIT) from error

    @contextmanager
    def _held_alone(self, key: str, busy: str) -> Iterator[None]:
        """Hold what others `hold` against them; raises PreparationError when somebody does."""
        release = join_lock(self._users(key), alone=True)
        if release is None:
            raise PreparationError(busy, hint=_WAIT)
        try:
            yield
        finally:
            release()

    def _in_use(self, key: str) -> bool:
        release = join_lock(self._users(key), alone=True)
        if release is not None:
            release()
        return release is None

    def _users(self, key: str) -> Path:
        """Return the lock of those who use an environment, which are never waited for."""
        return self.folder / ".locks" / f"{key}.use"


def _of_user() -> str:
    return f"of-{os.getuid() if os.name == 'posix' else 'user'}"


def _remove_tree(path: Path) -> None:
    """Remove a file or a folder, also what is write-protected in it."""
    # background threads of a cancelled attempt may add files meanwhile
    for attempt in range(3):
        try:
            return sealed.remove(path, path.parent)
        except OSError:
            if attempt == 2:
                raise
            time.sleep(0.1)
