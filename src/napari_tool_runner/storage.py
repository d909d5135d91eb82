"""Files that we keep: written whole, locked, hashed, with safe and free names.

Whoever keeps something (settings, records, approvals, caches) writes it here, so that a
crash, a full disk or a second program leaves the old file or the new one, never a half.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import stat
import sys
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import platformdirs

__all__ = [
    "APP",
    "check_depth",
    "content_sha256",
    "free_path",
    "join_lock",
    "joint_sha256",
    "lock_file",
    "locked",
    "read_json",
    "replacing",
    "safe_name",
    "sha256_of",
    "short_digest",
    "size_text",
    "unique_name",
    "unique_names",
    "user_cache",
    "user_data",
    "write_json",
    "write_whole",
]

APP = "napari-tool-runner"
JSON_LIMIT = 64 * 2**20
JSON_DEPTH = 200
LOCK_SECONDS = 10.0


def user_data() -> Path:
    """Return the folder where this package keeps a user's things (jobs, environments)."""
    return Path(platformdirs.user_data_dir(APP, appauthor=False))


def user_cache() -> Path:
    """Return the folder of what can be made again."""
    return Path(platformdirs.user_cache_dir(APP, appauthor=False))


# -- writing and reading -------------------------------------------------------------------


def write_whole(
    path: Path, content: str | bytes, *, mode: int | None = None, durable: bool = True
) -> None:
    """Replace `path` by a file with `content`, as a whole; its folder is made if need be.

    Parameters
    ----------
    mode : int, optional
        Permissions from the first byte on (0o600: nobody else reads it).
    durable : bool
        Wait until the disk has it. False for what can be made again.

    Raises
    ------
    OSError
        It cannot be written; the old file is as it was, and no draft is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode("utf-8") if isinstance(content, str) else content
    if path.exists() and not path.is_file():  # a pipe or a device, which stays one
        path.write_bytes(data)
        return
    # what is written is the file that a link leads to; the link stays
    with replacing(Path(os.path.realpath(path))) as draft:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with open(os.open(draft, flags, 0o666 if mode is None else mode), "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a draft to write, which takes the place of `path` in the end (of a link itself).

    Nothing is replaced, and no draft is left, when an exception comes.
    """
    draft = path.with_name(f".{path.name[:80]}.{secrets.token_hex(4)}")
    try:
        yield draft
        draft.replace(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise


def write_json(
    path: Path,
    value: object,
    *,
    indent: int | None = 2,
    mode: int | None = None,
    durable: bool = True,
) -> None:
    """Write `value` as JSON, as `write_whole` does; what JSON has no word for becomes text."""
    text = json.dumps(value, indent=indent, default=str) + "\n"
    write_whole(path, text, mode=mode, durable=durable)


def read_json(path: Path, *, limit: int = JSON_LIMIT) -> object:
    """Return what the JSON file `path` holds.

    Raises
    ------
    OSError
        It cannot be read, or is no regular file: a pipe would be waited for without end.
    ValueError
        It is no JSON, has more than `limit` bytes, or is nested too deeply.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(f"{path} is no regular file")
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"it has more than {size_text(limit)}")
    try:
        found: object = json.loads(data)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    check_depth(found)
    return found


def check_depth(value: object) -> None:
    """Raise ValueError when JSON is nested so deeply that whoever walks or writes it fails."""
    level = [value]
    for _ in range(JSON_DEPTH):
        lists = [list(v.values()) if isinstance(v, dict) else v for v in level]
        level = [inner for outer in lists if isinstance(outer, list) for inner in outer]
        if not level:
            return
    raise ValueError("it is nested too deeply")


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
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path, timeout=timeout, thread_local=False):
        yield


def join_lock(path: Path, *, alone: bool) -> Callable[[], None] | None:
    """Join those who hold the lock `path`, or (`alone`) take it when nobody does.

    Returns what gives it free, None when it is not to be had. A killed program holds nothing.
    On Windows, and where the file cannot be opened, nothing is locked.
    """
    if sys.platform == "win32":
        return lambda: None
    import fcntl

    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | (0 if alone else os.O_CREAT), 0o666)
    except OSError:
        return lambda: None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB if alone else fcntl.LOCK_SH)
    except OSError:
        os.close(descriptor)
        return None
    return lambda: os.close(descriptor)


# -- digests -------------------------------------------------------------------------------


def sha256_of(data: bytes) -> str:
    """Return ``sha256:…`` of bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def short_digest(content: str | bytes) -> str:
    """Return 16 characters that stand for `content` in a name."""
    data = content.encode() if isinstance(content, str) else content
    return hashlib.sha256(data).hexdigest()[:16]


def content_sha256(path: Path) -> str:
    """Return ``sha256:…`` of a file, or of the names and contents in a folder.

    Reads everything: for large data call it in the background.

    Raises
    ------
    OSError
        Something of it cannot be read.
    """
    if path.is_dir():
        digest = hashlib.sha256()
        for entry in sorted(p for p in path.rglob("*") if p.is_file()):
            digest.update(f"{entry.relative_to(path).as_posix()}\0".encode())
            digest.update(content_sha256(entry).encode())
        return f"sha256:{digest.hexdigest()}"
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def joint_sha256(paths: Iterable[Path]) -> str:
    """Return ``sha256:…`` that stands for the contents of several files, in order.

    Raises
    ------
    OSError
        One of them cannot be read.
    """
    digests = (hashlib.sha256(path.read_bytes()).digest() for path in paths)
    return sha256_of(b"".join(digests))


# -- names and sizes -----------------------------------------------------------------------

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
# Windows keeps these names for devices, whatever the extension.
_RESERVED = frozenset(
    {"con", "prn", "aux", "nul"} | {f"{d}{i}" for d in ("com", "lpt") for i in range(1, 10)}
)
_LONGEST = 80


def safe_name(name: str, *, fallback: str = "data") -> str:
    """Return `name` with only ASCII letters, digits, ``.``, ``_`` and ``-``.

    Never empty, never hidden (no leading dot or dash), never a reserved name, at most
    80 characters; accents are dropped from letters, anything else becomes ``_``.
    """
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    safe = _UNSAFE.sub("_", ascii_name)
    safe = safe.strip("._-")[:_LONGEST].rstrip("._-")
    if not safe:
        return fallback
    if safe.split(".")[0].lower() in _RESERVED:
        safe = f"_{safe}"
    return safe


def free_path(folder: Path, name: str, extension: str) -> Path:
    """Return a path in `folder` that does not exist yet, also regardless of case.

    Parameters
    ----------
    name : str
        Any text; made safe. An extension equal to `extension` is not doubled.
    extension : str
        With its dot (``.ome.tiff``), or empty.
    """
    if extension and name.lower().endswith(extension.lower()):
        name = name[: -len(extension)]
    stem = safe_name(name)
    taken = {entry.name.lower() for entry in folder.iterdir()} if folder.is_dir() else set()
    candidate, number = f"{stem}{extension}", 1
    while candidate.lower() in taken:
        number += 1
        candidate = f"{stem}_{number}{extension}"
    return folder / candidate


def unique_name(name: str, taken: Collection[str], numbered: str = " [{}]", first: int = 1) -> str:
    """Return `name`, with a number (``name [1]``) when it is in `taken`.

    Parameters
    ----------
    numbered : str
        What is put behind the name; a name that ends so already counts on from there.
    first : int
        The first number.
    """
    if name not in taken:
        return name
    before, after = (re.escape(part) for part in numbered.split("{}"))
    match = re.fullmatch(rf"(?P<stem>.*?){before}(?P<number>\d+){after}", name, re.DOTALL)
    stem, number = (match["stem"], int(match["number"]) + 1) if match else (name, first)
    while (candidate := stem + numbered.format(number)) in taken:
        number += 1
    return candidate


def unique_names(
    wanted: Iterable[str], existing: Iterable[str] = (), numbered: str = " [{}]", first: int = 1
) -> list[str]:
    """Return unique names in the order of `wanted`, none of them in `existing`."""
    taken = set(existing)
    names = []
    for name in wanted:
        names.append(unique_name(name, taken, numbered, first))
        taken.add(names[-1])
    return names


def size_text(count: float) -> str:
    """Return a number of bytes as ``812 MB``."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
