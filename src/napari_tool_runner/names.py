"""Safe and free names of files, near names, sizes and counts as a person reads them."""

from __future__ import annotations

import errno
import os
import re
import sys
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

__all__ = [
    "count_text",
    "expanded",
    "file_name",
    "file_stems",
    "free_path",
    "held",
    "is_folder",
    "led_to",
    "lies_in",
    "nearest",
    "numbered_image",
    "real_path",
    "real_place",
    "really",
    "safe_name",
    "size_text",
    "unique_name",
    "unique_names",
    "walked",
]

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
# Windows keeps these names for devices, whatever the extension.
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$"}
    | {f"{device}{digit}" for device in ("com", "lpt") for digit in "0123456789¹²³"}
)
_LONGEST = 80
_LOOKED_AT = 1000
"""Characters of a stranger's name: to order accents takes the square of their number."""
_MAX_BYTES = 200  # of a name that strangers gave: file systems end at 255, and drafts are longer
_MAX_STEM = 150  # behind it the name of an output and an extension have room
_INVISIBLE = {"C": "_", "Z": " "}  # by the first letter of the category
_FORBIDDEN = re.compile(r'[<>:"|?*/\\]')


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known word that a misspelt one is nearest to, empty when none is near."""
    from rapidfuzz.distance import OSA
    from rapidfuzz.process import extractOne

    found = extractOne(word, list(known), scorer=OSA.normalized_similarity, score_cutoff=0.7)
    return found[0] if found else ""


def numbered_image(name: str) -> tuple[str, int]:
    """Return the name of a file, and which of its images is meant: ``a.tif#2``; 0: nobody said."""
    file, mark, number = name.rpartition("#")
    return (file, int(number)) if mark and file and number.isdecimal() else (name, 0)


def expanded(path: str) -> Path:
    """Return a path with the home for ``~``; as it is where no user has that name."""
    return Path(os.path.expanduser(path))


def real_path(path: Path) -> Path:
    """Return where links lead; of one that leads to itself, its own place.

    `Path.resolve` raises RuntimeError for such a link, in some versions of Python.
    """
    return Path(really(path))


def really(path: str | os.PathLike[str]) -> str:
    """Return what `os.path.realpath` does, which asks for each folder on the way.

    Linux tells it in one step.
    """
    if sys.platform == "linux":
        try:
            held = os.open(path, os.O_PATH | os.O_CLOEXEC)
            try:
                told = os.readlink(f"/proc/self/fd/{held}")
            finally:
                os.close(held)
            if told.startswith("/") and not told.endswith(" (deleted)"):
                return told
        except OSError:
            pass  # it does not exist, or lies in a folder of somebody else
    return os.path.realpath(path)


def walked(
    top: str | os.PathLike[str], onerror: Callable[[OSError], object] | None = None
) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield what `os.walk` does from the top down, however deep: that of Python 3.11 recurses.

    Of the folders that are told, those that are left in the list are entered, unless by a link.
    """
    todo = [os.fspath(top)]
    while todo:
        here, folders, names = todo.pop(), list[str](), list[str]()
        try:
            with os.scandir(here) as entries:
                for entry in entries:
                    (folders if is_folder(entry) else names).append(entry.name)
        except OSError as error:
            if onerror is not None:
                onerror(error)
            continue
        yield here, folders, names
        inner = (os.path.join(here, name) for name in reversed(folders))
        todo += [one for one in inner if not os.path.islink(one)]


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder, or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def led_to(path: Path) -> Path:
    """Return where a file of ours lies, in a folder that is there: of a link, what it leads to.

    Raises
    ------
    PermissionError
        It is a link in a folder of somebody else, or its folder is a link of theirs: who chose
        what would be written over.
    """
    folder = path.parent
    if os.name != "posix" or folder.lstat().st_uid in (0, os.geteuid()):
        return real_path(path)
    for one in (path, folder):
        if one.is_symlink():
            raise PermissionError(errno.EPERM, "It is a link that another user made", str(one))
    return path  # and not what is put there meanwhile


def real_place(path: Path) -> Path:
    """Return where `path` itself lies, in no folder by a link: of a link, not where it leads."""
    return real_path(path.parent) / path.name


def lies_in(path: Path, folder: Path) -> bool:
    """Whether a file is one of `folder`: it lies there, and what it holds does, too.

    A tool runs from where its descriptor lies and is what the descriptor leads to. `path` is
    taken as it is written: it goes through no link in a folder (`real_place`), so that none
    that is changed later makes it another.
    """
    real = real_path(folder)
    return path.is_relative_to(real) and real_path(path).is_relative_to(real)


def safe_name(name: str, *, fallback: str = "data") -> str:
    """Return `name` with only ASCII letters, digits, ``.``, ``_`` and ``-``.

    Never empty, never hidden (no leading dot or dash), never a reserved name, at most
    80 characters; accents are dropped from letters, anything else becomes ``_``.
    """
    ascii_name = (
        unicodedata.normalize("NFKD", name[:_LOOKED_AT]).encode("ascii", "ignore").decode()
    )
    safe = _UNSAFE.sub("_", ascii_name)
    safe = safe.strip("._-")[:_LONGEST].rstrip("._-")
    if not safe:
        return fallback
    return f"_{safe}" if _is_device(safe) else safe


def file_name(name: str, *, fallback: str = "output", most: int = _MAX_BYTES) -> str:
    """Return `name`, which a stranger gave, as the name of one file; the same where harmless.

    No separators, no invisible or unassigned characters, no dots at its ends, no name that
    Windows keeps for devices, and of `most` bytes. Letters of any language stay.
    """
    text = name[:_LOOKED_AT].encode("utf-8", "replace").decode("utf-8")
    text = unicodedata.normalize("NFC", text)
    # invisible ones: controls, joiners, directions, surrogates, private, unassigned
    text = "".join(_INVISIBLE.get(unicodedata.category(c)[0], c) for c in text)
    # also what normalises to a separator or a dot (fullwidth ／, ‥)
    plain = unicodedata.normalize("NFKC", text)
    if _FORBIDDEN.search(plain) or plain.strip(". ") == "":
        text = plain
    text = _FORBIDDEN.sub("_", text).strip(". ")
    text = f"_{text}" if _is_device(text) else text
    text = text.encode()[:most].decode("utf-8", "ignore").strip(". ")
    return text if text.strip("_") else fallback


def file_stems(wanted: Iterable[str]) -> list[str]:
    """Return how the names of files of each of `wanted` begin, no two alike on any disk."""
    taken, numbers = set[str](), dict[str, int]()
    stems: list[str] = []
    for name in wanted:
        stem = free = file_name(name, fallback="run", most=_MAX_STEM)
        same = stem.casefold()
        while free.casefold() in taken:
            numbers[same] = numbers.get(same, 1) + 1
            free = f"{stem}_{numbers[same]}"
        taken.add(free.casefold())
        stems.append(free)
    return stems


def _is_device(name: str) -> bool:
    return unicodedata.normalize("NFKC", name.split(".")[0]).strip().casefold() in _DEVICES


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
    match = re.fullmatch(rf"(?P<stem>.*?){before}(?P<number>\d{{1,9}}){after}", name, re.DOTALL)
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


def held(facts: os.stat_result) -> int:
    """Return the bytes of the disk that a file has; holes in it have none."""
    blocks: int | None = getattr(facts, "st_blocks", None)  # not told by every system
    return facts.st_size if blocks is None else blocks * 512


def count_text(count: int, one: str, many: str = "") -> str:
    """Return ``1 object`` or ``2,000 objects``; `many`: where it is not `one` with an s."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def size_text(count: float) -> str:
    """Return a number of bytes as ``812 MB``."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
