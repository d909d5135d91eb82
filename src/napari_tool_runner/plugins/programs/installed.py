"""Where installations of programs lie: this Python, and what else a program is shown of them."""

from __future__ import annotations

import functools
import os
import site
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from napari_tool_runner.names import really
from napari_tool_runner.tools.own_folder import importable, is_private_name
from napari_tool_runner.tools.private import holds_home, is_below

__all__ = ["private_beside", "python_places", "with_prefixes"]

# what programs consist of, in a folder that may hold other things of the user's, too
_PARTS = frozenset(
    ["bin", "sbin", "lib", "lib32", "lib64", "libexec", "share", "include", "etc", "opt", "ssl"]
) | {"Cellar", "conda-meta", "pyvenv.cfg", "CACHEDIR.TAG"}
_WHOLE = ("conda-meta", "lib/jrt-fs.jar")  # of conda, and a Java: nothing else lies there
_FEW = 2  # what a maker of environments leaves there: a lock, a list of what to ignore
_CHECKOUTS = frozenset(
    (".git", ".hg", ".svn", "pyproject.toml", "setup.py", "Makefile", "CMakeLists.txt")
)


def python_places() -> frozenset[Path]:
    """Return what this Python and its packages consist of."""
    told = os.environ.get("PYTHONPATH", ""), os.path.expanduser("~"), os.getcwd()
    looked = sys.prefix, sys.base_prefix, sys.exec_prefix, *sys.path
    return _python_places(sys.executable, *told, *looked, *map(_changed, looked))


def _changed(folder: str) -> str:
    with suppress(OSError):
        return str(os.stat(folder).st_mtime_ns)
    return ""


@functools.lru_cache(maxsize=8)
def _python_places(*_known_by: str) -> frozenset[Path]:
    prefixes = {Path(one) for one in (sys.prefix, sys.base_prefix, sys.exec_prefix)}
    places: set[Path] = set()
    step = Path(sys.executable or os.sep)
    for _ in range(40):  # an interpreter may be a link to a link
        if step.parent.name == "bin":
            prefixes.add(step.parent.parent)
        else:
            places.add(step)
        if not step.is_symlink():
            break
        step = Path(os.path.normpath(step.parent / step.readlink()))
    places |= {part for prefix in prefixes for part in _installation(prefix)}
    # where the script lies that runs here, or where it was started, is none of a program's
    script = str(getattr(sys.modules.get("__main__"), "__file__", None) or "")
    own = {"", os.getcwd(), os.path.dirname(os.path.abspath(script))}
    own -= set(os.environ.get("PYTHONPATH", "").split(os.pathsep)) - {""}
    given = {Path(one) for one in sys.path if one not in own and os.path.exists(one)}
    given -= {one for one in given if any(is_below(one, place) for place in places)}
    places |= {part for one in given for part in importable(one)}
    if site.ENABLE_USER_SITE and site.USER_BASE:
        places |= {Path(site.USER_BASE) / one for one in ("bin", "lib")}
    return frozenset(one for one in places if not holds_home(one))


def with_prefixes(folders: Iterable[str | Path]) -> set[Path]:
    """Return folders of programs with the installations that they belong to.

    Without those of the system, which are shown anyway.
    """
    places: set[Path] = set()
    for one in dict.fromkeys(map(os.path.expanduser, folders)):
        if is_below(one, "/usr") and is_below(really(one), "/usr"):
            continue
        # os.path, since Path.exists raises for what lies in a folder of somebody else
        if not os.path.isabs(one) or not os.path.exists(one) or holds_home(one):
            continue
        folder = Path(one)
        places.add(folder)
        prefix = os.path.dirname(folder)
        marks = (os.path.join(prefix, name) for name in ("lib", "pyvenv.cfg", "conda-meta"))
        if folder.name in ("bin", "sbin") and any(map(os.path.exists, marks)):
            places |= _installation(folder.parent)
    return places


def _installation(prefix: Path) -> set[Path]:
    """Return what is shown of a folder that programs are installed in, beside other things."""
    if holds_home(prefix):
        return set()
    # .local holds keyrings and the like, too
    parts = {"lib", "opt"} if prefix.name == ".local" else _PARTS
    with suppress(OSError):
        found = frozenset(os.listdir(prefix))
        hidden = {name for name in found if name.startswith(".")}
        # one mount costs less than six; what is hidden is covered, by a mount each
        if found - hidden <= parts and len(hidden) <= _FEW and not hidden & _CHECKOUTS:
            return {prefix}
        if not found & _CHECKOUTS and any(os.path.exists(prefix / name) for name in _WHOLE):
            return {prefix}
    return {prefix / name for name in parts if os.path.exists(prefix / name)}


def private_beside(folders: Iterable[Path]) -> Iterator[str]:
    """Yield hidden files and keys that lie in folders of programs, by where they really lie."""
    for folder in map(really, folders):
        if not is_below(folder, "/usr") and not folder.endswith("-packages"):
            with suppress(OSError):
                yield from _private_in(folder, os.stat(folder).st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _private_in(folder: str, _changed: int) -> tuple[str, ...]:
    with suppress(NotADirectoryError), os.scandir(folder) as entries:
        return tuple(one.path for one in entries if is_private_name(one.name, one.path))
    return ()
