"""Which Python a job would start, and the programs that stand for it on the job's PATH."""

from __future__ import annotations

import functools
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Interpreter", "by_name", "calls_python", "interpreter_of", "lay_out"]

_HERE = Path(__file__).parent
_LONGEST = 120  # characters of a first line that every kernel reads
_LOOKED_AT = 1 << 18
_PYTHONS = ("python", "python3")


@dataclass(frozen=True, slots=True)
class Interpreter:
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
    if len(found) > _LONGEST or any(one.isspace() for one in found):
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


def calls_python(args: Sequence[str], found: Interpreter, environment: Mapping[str, str]) -> bool:
    """Whether a command is the Python or a script for it, or is a shell's that names one."""
    if _name_of(args[0], found, environment):
        return True
    if os.path.basename(args[0]) not in ("bash", "sh", "dash"):
        return False
    word = re.compile(rf"(?<![\w.-])({'|'.join(map(re.escape, found.names))})(?![\w-])")
    return any(word.search(_text(one)) for one in args[1:])


def by_name(args: Sequence[str], found: Interpreter, environment: Mapping[str, str]) -> list[str]:
    """Return `args` so that their program is looked for on the PATH, if it is stood for."""
    return [_name_of(args[0], found, environment) or args[0], *args[1:]]


def lay_out(folder: Path, found: Interpreter) -> None:
    """Write the programs that stand for `found`, and what they hand their calls to."""
    for name in ("bin", "real"):
        (folder / name).mkdir(parents=True)
    text = (_HERE / "handover.py").read_text(encoding="utf-8")
    (folder / "handover").write_text(f"#!{found.path} -IS\n{text}", encoding="utf-8")
    (folder / "handover").chmod(0o755)
    for name in found.names:
        (folder / "bin" / name).symlink_to("../handover")
        (folder / "real" / name).symlink_to(os.path.join(os.path.dirname(found.path), name))
    for path in (_HERE / "server.py", *_HERE.glob("warm_*.py")):
        shutil.copyfile(path, folder / path.name)


def _name_of(program: str, found: Interpreter, environment: Mapping[str, str]) -> str:
    """Return under which name a program is stood for; empty when it is not."""
    where = shutil.which(program, path=environment.get("PATH", os.defpath))
    if where is None or os.path.dirname(where) != os.path.dirname(found.path):
        return ""
    name = os.path.basename(where)
    return name if name in found.names else ""


def _text(word: str) -> str:
    """Return what a shell is given to do: a script's text, or the word itself."""
    try:
        with open(word, "rb") as file:
            return file.read(_LOOKED_AT).decode(errors="replace")
    except (OSError, ValueError):
        return word


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
                if file.readline(_LONGEST + 8).strip() in firsts:
                    yield name


def _is_program(path: str) -> bool:
    with open(path, "rb") as file:
        return file.read(4) == b"\x7fELF"
