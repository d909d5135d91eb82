"""The programs that stand for a Python on a job's PATH, and which commands come to them."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from napari_tool_runner.plugins.warm.warm_interpreter import LONGEST, Interpreter

__all__ = ["by_name", "calls_python", "lay_out_programs", "lay_out_server", "python_of", "told_by"]

_HERE = Path(__file__).parent
_LOOKED_AT = 1 << 18
_NAME = re.compile(r"\w[\w.+-]*", re.ASCII)
_MOST = 10_000


def calls_python(args: Sequence[str], found: Interpreter) -> bool:
    """Whether a command is the Python or a script for it, or is a shell's that names one."""
    if _name_of(args[0], found):
        return True
    if os.path.basename(args[0]) not in ("bash", "sh", "dash"):
        return False
    word = re.compile(rf"(?<![\w.-])({'|'.join(map(re.escape, found.names))})(?![\w-])")
    return any(word.search(_text(one)) for one in args[1:])


def by_name(args: Sequence[str], found: Interpreter) -> list[str]:
    """Return `args` so that their program is looked for on the PATH, if it is stood for."""
    return [_name_of(args[0], found) or args[0], *args[1:]]


def python_of(args: Sequence[str], found: Interpreter) -> str:
    """Return which name of the Python a command calls; empty when it is another program."""
    name = _name_of(args[0], found)
    return os.path.join(os.path.dirname(found.path), name) if name.startswith("python") else ""


def lay_out_server(folder: Path) -> None:
    """Write what a Python runs that calls are handed to."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in (_HERE / "server.py", *_HERE.glob("warm_*.py")):
        shutil.copyfile(path, folder / path.name)


def lay_out_programs(folder: Path, found: Interpreter) -> None:
    """Write the programs that stand for `found`."""
    for name in ("bin", "real"):
        (folder / name).mkdir(parents=True)
    text = (_HERE / "handover.py").read_text(encoding="utf-8")
    (folder / "handover").write_text(f"#!{found.path} -IS\n{text}", encoding="utf-8")
    (folder / "handover").chmod(0o755)
    for name in found.names:
        (folder / "bin" / name).symlink_to("../handover")
        (folder / "real" / name).symlink_to(os.path.join(os.path.dirname(found.path), name))


def told_by(words: Sequence[str]) -> Interpreter:
    """Return the Python that one in a container tells of itself.

    Raises
    ------
    ValueError
        It tells something else: whoever made the image may have put anything in its place.
    """
    path, real, number, changed, *names = words
    plain = os.path.isabs(path) and len(path) <= LONGEST and path.isprintable() and " " not in path
    if not plain or not 0 < len(names) <= _MOST or not all(map(_NAME.fullmatch, names)):
        raise ValueError("the Python in the image tells nothing that can be used")
    return Interpreter(path, (real, int(number), int(changed)), tuple(dict.fromkeys(names)))


def _name_of(program: str, found: Interpreter) -> str:
    """Return under which name a program is stood for; empty when it is not."""
    folder, name = os.path.split(program)
    stands = folder in ("", os.path.dirname(found.path))
    return name if stands and name in found.names else ""


def _text(word: str) -> str:
    """Return what a shell is given to do: a script's text, or the word itself."""
    try:
        with open(word, "rb") as file:
            return file.read(_LOOKED_AT).decode(errors="replace")
    except (OSError, ValueError):
        return word
