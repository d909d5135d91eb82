"""Files that we keep: written whole, locked, hashed.

Whoever keeps something (settings, records, approvals, caches) writes it here, so that a
crash, a full disk or a second program leaves the old file or the new one, never a half.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import shlex
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import platformdirs

from napari_tool_runner.data_classes import dataclass
from napari_tool_runner.names import free_path, led_to, size_text

__all__ = [
    "APP",
    "JSON_DEPTH",
    "JSON_LIMIT",
    "JsonDepthError",
    "JsonLimitError",
    "Kept",
    "NewerError",
    "check_depth",
    "lock_file",
    "locked",
    "parse_json",
    "private_folder",
    "read_json",
    "read_limited",
    "replacing",
    "sha256_of",
    "short_digest",
    "user_cache",
    "user_data",
    "write_json",
    "write_whole",
]

APP = "napari-tool-runner"
JSON_LIMIT = 64 * 2**20
JSON_DEPTH = 200
JSON_COUNT = 4_000_000
LOCK_SECONDS = 10.0
_DRAFT_END = re.compile("[0-9a-f]{8}")
_BRACKETS = re.compile(r"[\[\]{}]")


def user_data() -> Path:
    """Return the folder where this package keeps a user's things (jobs, environments)."""
    return Path(platformdirs.user_data_dir(APP, appauthor=False))


def user_cache() -> Path:
    """Return the folder of what can be made again."""
    return Path(platformdirs.user_cache_dir(APP, appauthor=False))


# -- writing and reading -------------------------------------------------------------------


def _made(path: Path) -> None:
    if not path.is_dir():
        _made(path.parent)
        path.mkdir(0o700, exist_ok=True)


def private_folder(path: Path) -> None:
    """Make `path`, below the user's data folder, and what is missing above it.

    Both are for their owner alone, also where an older version left them open to others.

    Raises
    ------
    OSError
    """
    _made(path)
    for one in (user_data(), path):
        if os.name == "posix" and one.stat().st_mode & 0o077:
            with suppress(PermissionError):  # of another user, who lends it
                one.chmod(0o700)


def write_whole(
    path: Path,
    content: str | bytes,
    *,
    private: bool = True,
    durable: bool = True,
    alone: bool = False,
) -> None:
    """Replace `path` by a file with `content`, as a whole; its folder is made if need be.

    Parameters
    ----------
    private : bool
        Nobody else reads it, from the first byte on, and only a regular file is replaced.
        False for a place that a person names: permissions are as usual there, and a pipe
        or a device is written to.
    durable : bool
        Wait until the disk has it and its name. False for what can be made again.
    alone : bool
        Nobody else writes it now (`locked`).

    Raises
    ------
    OSError
        It cannot be written; the old file is as it was, and no draft is left.
    """
    _made(path.parent)
    data = content.encode() if isinstance(content, str) else content
    if path.exists() and not path.is_file():
        if private:
            raise OSError(f"{path} is no regular file")
        path.write_bytes(data)  # a pipe or a device, which stays one
        return
    # what is written is the file that a link leads to; the link stays
    target = led_to(path) if private else Path(os.path.realpath(path))
    with replacing(target, alone=alone) as draft:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with open(os.open(draft, flags, 0o600 if private else 0o666), "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
    if durable:
        _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Wait until the disk has the names in `folder`, where the system can do that."""
    if sys.platform == "win32":
        return
    with suppress(OSError):  # some file systems refuse; the file itself is there
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def replacing(path: Path, *, alone: bool = False) -> Iterator[Path]:
    """Give a draft to write, which takes the place of `path` in the end (of a link itself).

    Nothing is replaced, and no draft is left, when an exception comes. The drafts of a
    program that was killed are removed by the next that writes `path`: at once where it
    is `alone`, else when they are an hour old.
    """
    start = f".{path.name if len(path.name) <= 80 else path.name[:60] + short_digest(path.name)}."
    draft = path.with_name(start + secrets.token_hex(4))
    try:
        yield draft
        draft.replace(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise
    with suppress(OSError):
        # thousands of results may lie there: of others not even the pattern is tried
        names = [name for name in os.listdir(path.parent) if name.startswith(start)]
        for left in [path.with_name(n) for n in names if _DRAFT_END.fullmatch(n, len(start))]:
            if alone or left.stat().st_mtime < time.time() - 3600:
                left.unlink()


def write_json(
    path: Path,
    value: object,
    *,
    indent: int | None = 2,
    private: bool = True,
    durable: bool = True,
    alone: bool = False,
) -> None:
    """Write `value` as JSON, as `write_whole` does; what JSON has no word for becomes text."""
    text = json.dumps(value, indent=indent, default=str) + "\n"
    write_whole(path, text, private=private, durable=durable, alone=alone)


def read_json(path: Path, *, limit: int = JSON_LIMIT, follow: bool = True) -> object:
    """Return what the JSON file `path` holds.

    Parameters
    ----------
    limit : int
        Bytes that it has at most.
    follow : bool
        Whether it may be a link.

    Raises
    ------
    OSError
        It cannot be read, or is no regular file: a pipe would be waited for without end.
    ValueError
        It is no JSON, or has more bytes, values or levels than anything of ours.
    """
    return parse_json(read_limited(path, limit, follow=follow))


def read_limited(path: Path, limit: int, *, follow: bool = True) -> bytes:
    """Return the bytes of a regular file; raises OSError, ValueError as `read_json` does."""
    names = ("O_BINARY", "O_NONBLOCK", "O_CLOEXEC", "" if follow else "O_NOFOLLOW")
    flags = sum(getattr(os, name, 0) for name in names)
    if not follow and path.is_symlink():  # said in words; the flag holds what is swapped
        raise OSError(f"{path} is a link")
    with open(path, "rb", opener=lambda name, mode: os.open(name, mode | flags)) as file:
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(f"{path} is no regular file")
        # what is larger is not even begun; what grows meanwhile is cut
        size = facts.st_size
        data = file.read(size + 1) if size <= limit else b""  # no room for more than there is
        data += file.read(limit - size) if len(data) > size else b""
    if size > limit or len(data) > limit:
        raise ValueError(f"it has more than {size_text(limit)}")
    return data


class JsonLimitError(ValueError):
    """JSON that has more values than it may."""


class JsonDepthError(JsonLimitError):
    """JSON that has more levels than it may."""


def parse_json(data: bytes, *, most: int = JSON_COUNT) -> object:
    """Return what JSON text says, in UTF-8, 16 or 32: the one reader of JSON of strangers.

    Raises
    ------
    JsonLimitError, JsonDepthError
        It has more than `most` values, or more than `JSON_DEPTH` levels; none was made.
    ValueError
        It is no JSON.
    """
    text = data.decode(json.detect_encoding(data), "surrogatepass")
    opened = text.count("[") + text.count("{")
    if opened + text.count(",") > most:
        raise JsonLimitError(f"it has more than {most:,} values")
    if opened > JSON_DEPTH and _is_deep(text):
        raise JsonDepthError("it is nested too deeply")
    try:
        found: object = json.loads(text.removeprefix("\ufeff"))
    except RecursionError:  # the caller's own stack is nearly full
        raise JsonDepthError("it is nested too deeply") from None
    return found


def _is_deep(text: str) -> bool:
    """Whether JSON text has more levels than it may; no value is made for it."""
    bare = text.replace("\\\\", "").replace('\\"', "")
    level = 0
    for mark in _BRACKETS.finditer("".join(bare.split('"')[::2])):  # none inside text
        level += 1 if mark[0] in "[{" else -1
        if level > JSON_DEPTH:
            return True
    return False


def check_depth(value: object) -> None:
    """Raise ValueError when JSON is nested so deeply that whoever walks or writes it fails."""
    level = [value]
    for _ in range(JSON_DEPTH):
        lists = [list(v.values()) if isinstance(v, dict) else v for v in level]
        level = [inner for outer in lists if isinstance(outer, list) for inner in outer]
        if not level:
            return
    raise ValueError("it is nested too deeply")


@dataclass(frozen=True, slots=True)
class Kept:
    """One JSON object of the user's that we keep: several programs change it in turns.

    What was damaged is put aside under another name when it is changed, not lost; what a
    newer version wrote is left as it is.

    Parameters
    ----------
    version : int
        Of what it says; files without one are of version 1.
    """

    path: Path
    version: int = 1

    def read(self) -> dict[str, object]:
        """Return what it says, nothing when it is absent; raises OSError, ValueError."""
        try:
            found = read_json(self.path)
        except FileNotFoundError:
            return {}
        if not isinstance(found, dict):
            raise ValueError("it is no JSON object")
        version = found.get("version", 1)
        if not isinstance(version, int) or isinstance(version, bool) or version < 1:
            raise ValueError(f"{version!r:.60} is no version")
        if version > self.version:
            raise NewerError("a newer napari-tool-runner wrote it; update this one")
        return found

    @contextmanager
    def changing(self) -> Iterator[dict[str, object]]:
        """Hold it alone, give what it says to be changed, and write it at the end.

        Raises
        ------
        OSError
            It cannot be locked, read or written.
        NewerError
            A newer version wrote it.
        """
        with locked(self.path):
            try:
                told = self.read()
            except ValueError:
                aside = free_path(self.path.parent, f"{self.path.stem}-damaged", ".json")
                os.replace(self.path, aside)
                told = {}
            yield told
            write_json(self.path, {**told, "version": self.version}, alone=True)


class NewerError(OSError):
    """A newer version of this package wrote it."""


@contextmanager
def locked(path: Path, *, timeout: float = LOCK_SECONDS) -> Iterator[None]:
    """Hold the right to change `path`, alone among threads and programs of this user.

    The lock lies in the user's data folder, so that nothing appears beside `path`.

    Raises
    ------
    OSError
        Somebody else holds it for `timeout` seconds, or it cannot be made.
    """
    name = f"{short_digest(os.path.realpath(path))}.lock"
    with lock_file(user_data() / "locks" / name, timeout=timeout):
        yield


@contextmanager
def lock_file(path: Path, *, timeout: float = LOCK_SECONDS) -> Iterator[None]:
    """Hold the lock that `path` is, alone among threads and programs.

    Raises
    ------
    TimeoutError
        Somebody else holds it for `timeout` seconds.
    OSError
        It cannot be made.
    """
    from filelock import FileLock, Timeout

    ours = path.is_relative_to(user_data())
    if ours:
        private_folder(path.parent)
        if path.exists() and os.name == "posix":
            path.chmod(0o600)  # an older version left it open: whoever opens it can hold it
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=timeout, thread_local=False, mode=0o600 if ours else 0o644)
    with ExitStack() as held:
        try:
            held.enter_context(lock)
        except Timeout as error:
            who = f"a window or job of yours, or who opened it: fuser -v {shlex.quote(str(path))}"
            raise TimeoutError(
                errno.EAGAIN, f"a program holds the lock {path} for {timeout:g} s ({who})"
            ) from error
        yield


# -- digests -------------------------------------------------------------------------------


def sha256_of(data: bytes) -> str:
    """Return ``sha256:…`` of bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def short_digest(content: str | bytes) -> str:
    """Return 16 characters that stand for `content` in a name."""
    data = content.encode() if isinstance(content, str) else content
    return hashlib.sha256(data).hexdigest()[:16]
