"""The modules and packages beside a script that it imports, copied to its tool."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from napari_tool_runner.names import count_text, size_text
from napari_tool_runner.storage import read_limited
from napari_tool_runner.tools.python_needs import SAY_NEEDS
from napari_tool_runner.tools.toolbox.index import is_passed_over

__all__ = ["SCRIPT_BYTES", "copy_beside"]

SCRIPT_BYTES = 2**20
"""Of a script, and of each file that is copied with it."""
_MOST_FILES = 200
_MOST_BYTES = 20 * 10**6
_MOST_SEEN = 10_000
_MOST_NAMED = 3
_TESTS = frozenset({"test", "tests"})
_IMPORTED = re.compile(r"^[ \t]*(?:from[ \t]+(\w+)|import[ \t]+([\w., \t]+))", re.M)


def copy_beside(script: Path, program: Path) -> Iterator[str]:
    """Copy what lies beside `script` and is imported, at any depth, to the folder of `program`.

    So are the files that say which packages it needs.
    A package comes as a whole: its modules and the small files that they may read, but no
    tests and environments. No link is followed. Yields what is left out, and why.
    """
    left: list[str] = []
    count, size = 0, 0
    waiting, seen = [program], {script.stem}
    said = [
        one for one in map(script.with_name, SAY_NEEDS) if one.is_file() and not one.is_symlink()
    ]
    while waiting:
        names = [name for name in _imported(waiting.pop()) if name not in seen]
        seen.update(names)
        beside = (file for name in names for file in _sources(script.parent, name))
        for source in (*beside, *said):
            below = source.relative_to(script.parent)
            if count == _MOST_FILES:
                left.append(below.as_posix())
                continue
            try:  # a link may lead to a key file, which the walls would hide from the script
                data = read_limited(source, SCRIPT_BYTES, follow=False)
            except (OSError, ValueError) as error:
                if below.parent == Path():
                    yield f"The module {below.stem}, which it imports, is left out: {error}."
                else:
                    left.append(below.as_posix())
                continue
            if size + len(data) > _MOST_BYTES:
                left.append(below.as_posix())
                continue
            count, size = count + 1, size + len(data)
            target = program.parent / below
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
            if source.suffix == ".py":
                waiting.append(target)
        said = []
    if left:
        named = ", ".join(left[:_MOST_NAMED]) + (", …" if len(left) > _MOST_NAMED else "")
        yield (
            f"Of what it imports from beside it, {count_text(len(left), 'file')} left out "
            f"({named}): links, files above {size_text(SCRIPT_BYTES)}, and what is more than "
            f"{_MOST_FILES} files or {size_text(_MOST_BYTES)}. Copy what the tool needs yourself."
        )


def _imported(path: Path) -> list[str]:
    """Return what looks like the names of modules that a script imports.

    It is not parsed: what a stranger nests deeply enough ends Python's own parser.
    """
    lines = _IMPORTED.findall(path.read_bytes().decode(errors="replace"))
    names = [one.partition(".")[0].split() for line in lines for one in ",".join(line).split(",")]
    return [*dict.fromkeys(words[0] for words in names if words)]


def _sources(folder: Path, name: str) -> Iterator[Path]:
    """Yield the files of a module or package of that name in `folder`, modules first."""
    package, module = folder / name, folder / f"{name}.py"
    if os.path.lexists(module) and not (package / "__init__.py").is_file():
        yield module
    elif package.is_symlink():
        yield package
    elif package.is_dir():
        files = [*_files(package)]
        modules = [one for one in files if one.suffix == ".py"]
        if modules:  # else it is a folder of something else
            yield from dict.fromkeys((*modules, *files))


def _files(package: Path) -> Iterator[Path]:
    """Yield the files of a package, the upper ones first; folders only that may be its own."""
    waiting, count = [package], 0
    while waiting and count < _MOST_SEEN:
        try:
            with os.scandir(waiting.pop(0)) as entries:
                inside = sorted(entries, key=lambda one: one.name)
        except OSError:
            continue  # nothing of it can be imported either
        count += len(inside)
        for entry in inside:
            path = Path(entry.path)
            if not entry.is_dir(follow_symlinks=False):
                yield path
            elif not (
                is_passed_over(entry.name)
                or entry.name in _TESTS
                or os.path.lexists(path / "pyvenv.cfg")
                or os.path.lexists(path / "conda-meta")
            ):
                waiting.append(path)
