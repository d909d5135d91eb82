"""Which Python a PATH leads to, and which programs beside it are it, or scripts for it.

Asked by napari of its own computer, and in a container by the Python there: with the standard
library of any from 3.8 on.
"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Iterable, Mapping
from typing import NamedTuple

__all__ = ["LONGEST", "Interpreter", "interpreter_of"]

LONGEST = 120  # characters of a first line that every kernel reads
_PYTHONS = ("python", "python3")


class Interpreter(NamedTuple):
    """A Python as a job's PATH leads to it.

    Parameters
    ----------
    path : str
    state : tuple
        The file that it really is, and which one.
    names : tuple of str
        Programs of its folder that are it, or are scripts for it, and that the PATH leads to.
    """

    path: str
    state: tuple[str, int, int]
    names: tuple[str, ...]


def interpreter_of(environment: Mapping[str, str]) -> Interpreter | None:
    """Return the Python that comes first on ``PATH``; None where there is none to stand for."""
    path = environment.get("PATH", os.defpath)
    found = shutil.which("python", path=path) or shutil.which("python3", path=path)
    if found is None or not os.path.isabs(found):
        return None
    if len(found) > LONGEST or any(one.isspace() for one in found):
        return None
    real = os.path.realpath(found)
    status = os.stat(real)
    folder = os.path.dirname(found)
    names = _names(folder, real, os.stat(folder).st_mtime_ns)
    before = path.split(os.pathsep)
    before = before[: before.index(folder)] if folder in before else []
    names = tuple(
        one for one in names if not any(os.path.exists(os.path.join(p, one)) for p in before)
    )
    return Interpreter(found, (real, status.st_ino, status.st_mtime_ns), names) if names else None


@functools.lru_cache(maxsize=32)
def _names(folder: str, real: str, _changed: int) -> tuple[str, ...]:
    """Return the programs of a folder that are the Python `real`, or are scripts for it."""
    return tuple(sorted(_standing_names(folder, real)))


def _standing_names(folder: str, real: str) -> Iterable[str]:
    firsts = {b"#!" + os.fsencode(os.path.join(folder, one)) for one in (*_PYTHONS, "python3.x")}
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if os.path.realpath(path) == real:
            firsts.add(b"#!" + os.fsencode(path))
            if _is_program(real):
                yield name
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            with open(path, "rb") as file:
                if file.readline(LONGEST + 8).strip() in firsts:
                    yield name


def _is_program(path: str) -> bool:
    with open(path, "rb") as file:
        return file.read(4) == b"\x7fELF"
