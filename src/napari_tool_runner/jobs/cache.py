"""Results of earlier runs, kept by what decides them: a repeated run is answered at once.

They lie beside the jobs, for this user only, where no program sees them. What an entry says is
sealed, and what its files hold is compared before anything is answered: an entry that was altered
is deleted. The folder of the job that made them may be changed or deleted meanwhile.
"""

from __future__ import annotations

import logging
import os
import stat
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from napari_tool_runner import sealed, settings
from napari_tool_runner.data_classes import dataclass, field, replace
from napari_tool_runner.errors import OutputError
from napari_tool_runner.jobs.secrets import is_ours, with_seal
from napari_tool_runner.jobs.typed_json import as_object, from_json, to_json
from napari_tool_runner.storage import read_json, write_json

if TYPE_CHECKING:
    from napari_tool_runner.config import Config

__all__ = ["SMALL", "KeptFile", "KeptOutput", "KeptRun", "ResultCache", "result_cache"]

_logger = logging.getLogger(__name__)
VERSION = 2
_ENTRY, _FILES = "entry.json", "files"
_LIMIT = 4 * 2**20  # bytes of an entry
SMALL = 16 * 2**20
"""Bytes of a file that is copied and hashed each time, as that takes hundredths of a second."""
_LARGE_FOLDER = 64 * 2**20
_EACH = 32
"""After so many entries more, all are counted again: other sessions keep some, too."""
_LEFT = 3600.0
"""Seconds after which a draft is one that a killed session left."""


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file or folder of an output: `path` below the folder that the program saw.

    `facts`: what the system told of a large file when its content was last compared.
    """

    path: str
    format: str
    name: str = ""
    metadata: Mapping[str, object] = field(default_factory=dict)
    sha256: str = ""
    facts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class KeptOutput:
    """An output of an earlier run, by the name that the tool has for it."""

    name: str
    files: tuple[KeptFile, ...] = ()


@dataclass(frozen=True, slots=True)
class KeptRun:
    """What is kept of an earlier run: `job` is its id, `notes` is what its program told.

    `place`: the name of what its program found besides what the question tells; there is one
    entry for each question, that of the newest place. `seconds`: how long the run took.
    """

    job: str
    exit_code: int
    outputs: tuple[KeptOutput, ...] = ()
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, object] = field(default_factory=dict)
    place: str = ""
    seconds: float = 0.0
    version: int = VERSION


class ResultCache:
    """What is kept beside the jobs of one folder of workspaces.

    Parameters
    ----------
    workspaces : Path
        The folder of jobs.
    limit : int
        Bytes that it may take; what was not used for longest goes first.
    """

    def __init__(self, workspaces: Path, limit: int) -> None:
        self.folder = workspaces / ".cache" / "results"
        self.limit = limit

    def key(self, question: Mapping[str, object]) -> str:
        """Return the name of what decides a result; empty where none can be made.

        It is made with the key of this installation: nobody learns from it what was asked.
        """
        seal = with_seal({"question": question}, self.folder).get("seal")
        return seal if isinstance(seal, str) else ""

    def holds(self, key: str) -> bool:
        """Whether there is an entry of `key`, of whatever place."""
        return os.path.exists(self.folder / key / _ENTRY)

    def seconds(self, key: str) -> float:
        """Return how long the run of `key` took, in whatever place; 0: there is no entry."""
        entry = self._read(self.folder / key)
        return 0.0 if entry is None else entry.seconds

    def find(self, key: str, target: Path, place: str = "") -> KeptRun | None:
        """Return the earlier run of `key`, with its files brought below `target`; None without.

        Nothing of it is left below `target` when something of it is not as it was.
        """
        folder = self.folder / key
        entry = self._read(folder)
        if entry is None or entry.place != place:
            return None
        brought: list[Path] = []
        try:
            for output in entry.outputs:
                for file in output.files:
                    if os.path.lexists(target / file.path):  # never written through a link
                        raise FileExistsError(f"{file.path} is there already")
                    brought.append(target / file.path)
                    _bring(folder / _FILES / file.path, brought[-1], file, target)
            if any(file.facts for output in entry.outputs for file in output.files):
                self._write(folder, folder, _refreshed(entry, folder))  # a new name changes facts
            os.utime(folder / _ENTRY)
        except FileNotFoundError:  # another session made room
            _take_back(brought, target)
            return None
        except _AlteredError as error:
            _logger.warning("The kept results of job %s are not used: %s", entry.job, error)
            _take_back(brought, target)
            _delete(folder)
            return None
        except (OSError, OutputError) as error:
            _logger.warning("The kept results of job %s cannot be used: %s", entry.job, error)
            _take_back(brought, target)
            return None
        return entry

    def keep(self, key: str, run: KeptRun, top: Path) -> bool:
        """Keep the outputs of `run`, which lie below `top`; whether they are kept.

        The content of each must be what its `sha256` says, else nothing is kept.
        """
        if not self._is_private():
            return False
        place, draft = self.folder / key, self.folder / f".{token_hex(8)}"
        try:
            (draft / _FILES).mkdir(mode=0o700, parents=True)
            size = 0
            for file in (file for output in run.outputs for file in output.files):
                size += _take(top / file.path, draft / _FILES / file.path, file, top)
            if size > self.limit:
                return False
            self._write(draft, place, _refreshed(run, draft))
            with suppress(OSError):  # there is one that was altered, or of another session
                _delete(place)
            draft.rename(place)
        except (OSError, OutputError, _AlteredError) as error:
            _logger.warning("The results of job %s are not kept for later: %s", run.job, error)
            return False
        finally:
            if draft.exists():
                _delete(draft)
        self._bound(size)
        return True

    def size(self) -> int:
        """Return the bytes that the disk has free without it."""
        return sealed.usage(self.folder).freed if self.folder.is_dir() else 0

    def clear(self) -> None:
        """Delete all that is kept; raises OSError, OutputError."""
        with suppress(FileNotFoundError):
            sealed.remove(self.folder, self.folder.parent)

    def _is_private(self) -> bool:
        """Make the folder, unless it is there; whether nobody else can put something into it."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            facts = self.folder.lstat()
        except OSError as error:
            _logger.warning("Results cannot be kept in %s: %s", self.folder, error)
            return False
        if os.name != "posix":
            return True
        own = stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.geteuid()
        if own and not facts.st_mode & 0o077:
            return True
        _logger.warning("Results are not kept: %s is open to others.", self.folder)
        return False

    def _read(self, place: Path) -> KeptRun | None:
        try:
            told = read_json(place / _ENTRY, limit=_LIMIT, follow=False)
            if not is_ours(as_object(told), place):
                raise ValueError("it was not written by this installation")
            entry = from_json(KeptRun, told, Path())
        except FileNotFoundError:
            return None
        except (OSError, TypeError, ValueError) as error:
            _logger.warning("The kept results in %s cannot be used: %s", place, error)
            _delete(place)
            return None
        assert isinstance(entry, KeptRun)
        return entry if entry.version == VERSION else None

    def _write(self, folder: Path, place: Path, entry: KeptRun) -> None:
        """Write `entry` into `folder`, which is, or will be, `place`."""
        told = with_seal(as_object(to_json(entry)), place)
        write_json(folder / _ENTRY, told, indent=None, durable=False)

    def _bound(self, added: int) -> None:
        """Make room, when there is more than there may be: what is only counted now and then."""
        total, fresh = _counted.get(self.folder, (0, _EACH))
        if fresh < _EACH and total + added <= self.limit:
            _counted[self.folder] = total + added, fresh + 1
            return
        try:
            entries = sorted(_last_use(Path(one)) for one in os.scandir(self.folder))
        except OSError:
            return
        sizes = {place: sealed.usage(place).content for _, place in entries}
        total = sum(sizes.values())
        for used, place in entries:
            draft = place.name.startswith(".")
            if draft and time.time() - used < _LEFT:
                continue
            if draft or total > self.limit:
                _delete(place)
                total -= sizes[place]
        _counted[self.folder] = total, 0


def result_cache(config: Config) -> ResultCache:
    """Return where the results of jobs are kept; its limit is 0 where nobody wants that."""
    wanted = config.value(settings.CACHE_SIZE) if config.value(settings.CACHE) else None
    return ResultCache(config.workspaces, wanted or 0)


_counted: dict[Path, tuple[int, int]] = {}
"""Folder -> bytes that were counted there last, and how many entries came since."""


class _AlteredError(Exception):
    """What is kept is not what it was."""


def _last_use(place: Path) -> tuple[float, Path]:
    try:
        return (place / _ENTRY).stat().st_mtime, place
    except OSError:
        return place.lstat().st_mtime if os.path.lexists(place) else 0.0, place


def _delete(place: Path) -> None:
    try:
        sealed.remove(place, place.parent)
    except FileNotFoundError:
        return
    except (OSError, OutputError) as error:
        _logger.warning("The kept results in %s are not deleted: %s", place, error)


def _take_back(brought: Iterable[Path], target: Path) -> None:
    for path in brought:
        with suppress(OSError, OutputError):
            sealed.remove(path, target)


def _refreshed(run: KeptRun, place: Path) -> KeptRun:
    """Return `run` with what the system tells now of its large files."""

    def one(file: KeptFile) -> KeptFile:
        path = place / _FILES / file.path
        large = path.is_file() and path.stat().st_size > SMALL
        told = large and sealed.tells_changes(path)
        return replace(file, facts=sealed.facts_of(path) if told else ())

    outputs = (replace(each, files=tuple(map(one, each.files))) for each in run.outputs)
    return replace(run, outputs=tuple(outputs))


def _take(source: Path, target: Path, file: KeptFile, top: Path) -> int:
    """Bring an output of a job that has ended to its place here; return its bytes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    size = sealed.usage(source).content
    if sealed.kind(source, top) == "folder":
        if size > _LARGE_FOLDER:
            raise _AlteredError("a folder of results is too large to be copied")
        sealed.copy(source, target, top)
    elif size <= SMALL or not _linked_below(source, target, top):
        sealed.copy(source, target, top)
    if size > SMALL:
        sealed.settle_writes(target)
    if sealed.content_sha256(target, target.parent) != file.sha256:
        raise _AlteredError(f"{file.path} was changed after the run")
    return size


def _linked_below(source: Path, target: Path, top: Path) -> bool:
    """Give a result of a program a second name; whether that is possible here."""
    with sealed.open_file(source, top) as opened:
        try:
            os.link(f"/proc/self/fd/{opened.fileno()}", target, follow_symlinks=True)
        except OSError:  # another system, or another disk
            return False
        wanted = os.fstat(opened.fileno())
    return (wanted.st_dev, wanted.st_ino) == sealed.facts_of(target)[:2]


def _bring(source: Path, target: Path, file: KeptFile, top: Path) -> None:
    """Give a job that begins what is kept, when it is as it was; raises _AlteredError, OSError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    known = bool(file.facts) and sealed.facts_of(source) == file.facts  # a new name changes them
    linked = bool(file.facts) and _shared(source, target)
    if not linked:
        sealed.copy(source, target, source.parent)
    if not (known and linked) and sealed.content_sha256(target, top) != file.sha256:
        raise _AlteredError(f"{file.path} has another content")


def _shared(source: Path, target: Path) -> bool:
    try:
        os.link(source, target, follow_symlinks=False)
    except FileNotFoundError:
        raise
    except OSError:
        return False
    return True
