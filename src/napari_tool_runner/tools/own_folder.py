"""What a tool is shown of the folder that it lies in."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner._lazy import compiled
from napari_tool_runner.errors import DescriptorError, UnsafeDescriptorError
from napari_tool_runner.names import real_path, real_place, really
from napari_tool_runner.quoting import some_paths
from napari_tool_runner.tools.candidate import holds_macros, read_bytes

if TYPE_CHECKING:
    from napari_tool_runner.tools.model import Tool

__all__ = [
    "folder_is_shared",
    "import_limit",
    "import_places",
    "importable",
    "imported_file",
    "is_private_name",
    "programs_named",
    "tool_places",
]

_MOST_FILES = 2000
_MOST_BYTES = 4 * 2**30
_MOST_NAMES = 400
_MOST_IMPORTS = 50
_TEXT = 2**20
_LONGEST = 1000  # characters of a path
_TESTS = frozenset({"test-data", "test_data"})
# where people keep all sorts of files, as desktops name it; others are told in user-dirs.dirs
_GATHERED = "Desktop Documents Downloads Music Pictures Public Templates Videos Dropbox OneDrive"
_OF_DESKTOP = compiled(r'^XDG_\w+_DIR="\$HOME/([^"/]+)"', re.MULTILINE)
# what lies hidden beside a tool, and is neither shown nor a reason to show nothing
_OF_DEVELOPERS = compiled(
    r"\.(git\w*|gitlab-ci\.yml|editorconfig|pre-commit-config\.yaml|DS_Store|directory|hidden|tox|nox"
    r"|\w+_(cache|checkpoints|skip)(\.yml)?|coverage(rc)?|flake8|pylintrc|lintr|dockerignore|idea"
    r"|(shed|travis|planemo)\.yml|z(group|attrs|array|metadata)|readthedocs\.ya?ml|vscode|venv|R\w+|Rproj\.user|zenodo\.json)"
)
_INSTALLED = frozenset({".local", ".cache", ".conda", ".pixi", ".venv", ".venvs", ".virtualenvs"})
_KEYS = compiled(
    r"id_(rsa|dsa|ecdsa|ed25519)\w*|(?!cacert).*\.(pem|key|kdbx?|p12|pfx|jks|keyrings?|ppk|ovpn|gpg)"
    r"|((credentials?|client_secret.*|tokens?|passwords?|secrets?)(\.(json|txt|csv|ya?ml|ini|toml))?)",
    re.IGNORECASE,
)
_PROGRAMS = compiled(
    r"[\w@+.-]+\.(pyc?|r|sh|bash|p[lm]|rb|jl|lua|js|m|ijm|bsh|groovy|java|jar|class|clj|awk|sed|tcl|so"
    r"|dll|exe|xml|json|ya?ml|toml|cfg|ini|loc|cppipe|cpproj|ilp|ipynb|nf|pth?|onnx|keras|safetensors)",
    re.IGNORECASE,
)
# what stands at the top of a repository, and what a single tool may have as well
_TOPS = (".git", ".hg", ".github", ".gitlab-ci.yml", ".gitignore", ".gitattributes")
_PAPERS = (
    "LICENSE",
    "LICENSE.md",
    "LICENSE.txt",
    "COPYING",
    "README.md",
    "README.rst",
    "README.txt",
)
_MODULE = compiled(r".+\.(pyc?|so|pyd|egg|egg-link|egg-info|dist-info|zip)")
_IMPORT = compiled(r"<import\b[^<>]*>([^<]+)</import")
_OWN = compiled(r"__tool_directory__\}?/?")
_NAME = compiled(r"[\w@+.-]+(?:/[\w@+.-]+)*")


def tool_places(tool: Tool) -> tuple[list[Path], str]:
    """Return what a tool is shown of the folder that it lies in, and why that is not all.

    Of an approved copy and of a folder of its own everything (but hidden files), and what links
    in it lead to in its toolbox. Of one that holds other things of the user's, too: the
    descriptor, and the programs that it names.
    """
    folder = tool.folder
    problem = "" if tool.copy else folder_is_shared(folder)
    if not problem:
        led, note = _led_to(tool)
        entries = [] if tool.copy else sorted(os.listdir(folder))
        if not any(name.startswith(".") for name in entries):
            return [folder, *led], note
        # a link that is mounted is what it leads to
        within = [real_path(one) for one in (folder, *led)]
        for one in (folder / name for name in entries if name[0] != "."):
            real = real_path(one)
            known = real != within[0] and any(real.is_relative_to(place) for place in within)
            if known and one.name != "__pycache__":
                led.append(one)
        return led, note
    shown = _named_programs(tool, folder)
    names = ", ".join(path.name for path in (tool.source_path, *shown))
    note = (
        f"Of the folder {folder} the tool sees {names} only, since {problem}. If it needs more, "
        "put it into a folder of its own, with all that belongs to it."
    )
    return [tool.source_path, *shown], note


def import_limit(path: Path, root: Path | None, *, papers: bool = True) -> Path:
    """Return the folder that what a descriptor imports may not leave.

    The toolbox `root`, else the repository around `path`, else its folder. A repository need not
    be a checkout (a ZIP has no .git): what only stands at the top of one settles it; a licence or
    a readme may be one tool's, so the outermost counts, if `papers` do: people write them into
    folders of their own, too. Folders of all sorts of things are none.
    """
    if root is not None:
        return root
    found = path.parent
    for folder in path.parents:
        if any((folder / name).exists() for name in _TOPS):
            return folder
        if folder_is_shared(folder, installed=True):
            break
        if papers and any((folder / name).exists() for name in _PAPERS):
            found = folder
    return found


def imported_file(file: Path, path: Path, limit: Path) -> Path:
    """Return a file that the descriptor `path` imports, which is in `limit`, or macros by a link.

    A link that became a text (in a ZIP, or on Windows) leads where it says.

    Raises
    ------
    UnsafeDescriptorError
        It lies elsewhere.
    """
    with suppress(DescriptorError, OSError, ValueError):
        short = file.suffix == ".xml" and file.stat().st_size < 4 * _LONGEST
        text = read_bytes(file, _TEXT).decode() if short else ""
        if 0 < len(text) < _LONGEST and "<" not in text and (file.parent / text.strip()).is_file():
            file = file.parent / text.strip()
    if real_path(file).is_relative_to(limit):
        return file
    if file.is_symlink() and real_path(file.parent).is_relative_to(limit) and holds_macros(file):
        return file  # approving copies it
    raise UnsafeDescriptorError(
        f"{path.name} imports “{os.path.relpath(file, path.parent)}”, which lies outside its "
        f"toolbox ({limit}).",
        path=path,
        hint="Copy the file into the toolbox, or add the folder above as a toolbox.",
    )


def import_places(paths: Iterable[Path], root: Path | None) -> set[Path]:
    """Return where lies what descriptors import: also macros that links lead to."""
    limits: dict[Path, Path] = {}
    places = set()
    for path in paths:
        if path.parent not in limits:
            limits[path.parent] = import_limit(path, root)
        limit, todo, met = real_path(limits[path.parent]), [path], set[Path]()
        while todo and len(met) < _MOST_IMPORTS:
            text = ""
            with suppress(OSError, DescriptorError):
                text = read_bytes(todo.pop(), _TEXT).decode("utf-8", "replace")
            for name in map(_unescaped, _IMPORT.findall(text)):
                with suppress(OSError, ValueError, DescriptorError):  # which the reader tells
                    file = real_path(imported_file(path.parent / name.strip(), path, limit))
                    todo += [file] if file not in met else []
                    met.add(file)
        places |= {one for one in met if not one.is_relative_to(limit)}
    return places | {*limits.values()}


def _unescaped(text: str) -> str:
    from html import unescape  # with all names of signs, which few descriptors need

    return unescape(text)


def _led_to(tool: Tool) -> tuple[list[Path], str]:
    """Return what links in a tool's folder lead to elsewhere in its toolbox, and which lead out.

    A copy holds that itself.
    """
    folder = tool.lies_at.parent
    root = Path(tool.toolbox) if tool.toolbox else None
    limit = real_path(import_limit(tool.lies_at, root, papers=False))
    if folder_is_shared(limit, installed=True):
        limit = real_path(folder)
    led: list[Path] = []
    lost: list[str] = []
    todo = [folder]
    while todo and len(led) < _MOST_NAMES:
        for link in _links(todo.pop()):
            real = real_path(link)
            if real.is_relative_to(real_path(folder)):
                continue
            if tool.copy:
                lent = (tool.folder / link.relative_to(folder)).exists()
            elif lent := _is_of_toolbox(real, folder, limit):
                beside = real.is_file() and real.parent != limit and not holds_macros(real)
                if beside and _is_of_toolbox(real.parent, folder, limit):
                    real = real.parent  # where Python looks for what a script imports
                # from link to link: the first one's place shows the last one's file
                first = real_place(link.parent / os.readlink(link))
                named = first.name != os.pardir and _is_of_toolbox(first, folder, limit)
                for one in (real, first) if named else (real,):
                    if not any(one.is_relative_to(shown) for shown in (folder, *led)):
                        led.append(one)
                        todo += [one] if one is real and one.is_dir() else []
            if not lent and not real.is_relative_to("/usr") and not holds_macros(real):
                lost.append(os.path.relpath(link, folder))
    notes = []
    if led and not (root or tool.copy):  # nobody told how far the toolbox goes
        notes.append(
            f"The tool sees {some_paths(led)}, too, where links in its folder lead to: it lies in "
            f"the repository around it ({limit})."
        )
    if lost:
        notes.append(
            f"In the folder {folder} there are links ({some_paths(lost)}) to what the tool does "
            f"not see: it lies outside its toolbox ({limit}), or is hidden. Copy it into the "
            "tool's folder, or add the folder that holds both as a toolbox."
        )
    return led, " ".join(notes)


def _links(folder: Path) -> Iterator[Path]:
    """Yield the links below a folder that lead to something."""
    todo, count = [os.fspath(folder)], 0
    while todo:
        with suppress(OSError), os.scandir(todo.pop()) as entries:
            # thousands may lie beside a tool, and each job asks
            for entry in sorted(entries, key=lambda one: one.name):
                link = entry.is_symlink()
                inside = os.path.isdir(entry.path) if link else entry.is_dir(follow_symlinks=False)
                if entry.name[0] == "." or (inside and entry.name in _TESTS):
                    continue
                count += 1
                if count > _MOST_FILES:
                    return
                if link:
                    if os.path.exists(entry.path):
                        yield Path(entry.path)
                elif inside:
                    todo.append(entry.path)


def _is_of_toolbox(real: Path, folder: Path, limit: Path) -> bool:
    """Whether a file or folder may be shown, as it lies in the toolbox that `folder` lies in."""
    if not real.is_relative_to(limit) or real_path(folder).is_relative_to(real):
        return False
    parts = real.relative_to(limit).parts
    if any(part.startswith(".") or _KEYS.fullmatch(part) for part in parts):
        return False
    return not (real.is_dir() and folder_is_shared(real))


def folder_is_shared(folder: Path, *, installed: bool = False) -> str:
    """Say why a folder is not one tool's, or one toolbox's, own; empty when it may be.

    `installed`: programs that the user has installed there may be many, and in a hidden folder.
    """
    real = really(folder)
    try:
        facts = os.stat(real)
    except OSError:
        return ""
    return _shared(real, os.path.expanduser("~"), facts.st_mtime_ns, facts.st_mode, installed)


def is_private_name(name: str, path: str) -> bool:
    """Whether it is hidden, or called like keys are and no package of that name."""
    key = _KEYS.fullmatch(name) and not os.path.exists(os.path.join(path, "__init__.py"))
    return name.startswith(".") or bool(key)


def importable(folder: Path) -> list[Path]:
    """Return what Python finds in a folder of its path: its modules, or all that is installed."""
    try:
        entries = sorted(folder.iterdir()) if folder.is_dir() else []
        if not entries or folder.name.endswith("-packages"):
            return [folder]
        packed = any(one.suffix == ".dist-info" for one in entries)  # somebody installed it there
        developed = any(_OF_DEVELOPERS.fullmatch(one.name) for one in entries)
        if packed and not developed and not folder_is_shared(folder, installed=True):
            return [folder]
        seen = (one for one in entries if one.name[0] != ".")
        return [
            one for one in seen if _MODULE.fullmatch(one.name) or (one / "__init__.py").exists()
        ]
    except OSError:  # of somebody else
        return [folder]


@lru_cache(maxsize=256)
def _shared(real: str, home: str, _changed: int, mode: int, installed: bool) -> str:
    path, homes = Path(real), [Path(home), Path(os.path.realpath(home))]
    if path.parent in (Path("/home"), Path("/Users"), Path(path.anchor)):
        return "it is a home, or stands at the top of the file system"
    if any(one.is_relative_to(path) for one in homes):
        return "it is your home, or holds it"
    if mode & stat.S_ISVTX or os.path.ismount(real):
        return "it is a place for everybody's files"
    for one in homes:
        if path.is_relative_to(one):
            below = path.relative_to(one).parts
            if len(below) == 1 and below[0] in _gathered(one):
                return "it is a place for all sorts of files"
            hidden = any(part.startswith(".") and part not in _INSTALLED for part in below)
            if hidden and not installed:
                return "it lies among your settings"
    return "" if installed else _holds_more(real)


def _gathered(home: Path) -> set[str]:
    told = ""
    with suppress(OSError, DescriptorError):
        told = read_bytes(home / ".config" / "user-dirs.dirs", _TEXT).decode("utf-8", "replace")
    return {*_GATHERED.split(), *_OF_DESKTOP.findall(told)}


def _holds_more(folder: str) -> str:
    """Say what a folder holds that is no part of a tool; it is looked at as far as need be."""
    todo, count, size = [folder], 0, 0
    while todo:
        here = todo.pop()
        with suppress(OSError), os.scandir(here) as entries:
            for entry in entries:
                name, count = entry.name, count + 1
                if _OF_DEVELOPERS.fullmatch(name) and name != ".git-credentials":
                    continue
                if name.startswith(".") or _KEYS.fullmatch(name):
                    return f"“{name}” lies there"
                if entry.is_dir(follow_symlinks=False):
                    todo.append(entry.path)
                else:
                    size += entry.stat(follow_symlinks=False).st_size
                if count > _MOST_FILES or size > _MOST_BYTES:
                    return "it holds more than a tool needs"
    return ""


def _named_programs(tool: Tool, folder: Path) -> list[Path]:
    """Return the programs and their settings beside a descriptor that it names."""
    texts = [tool.command]
    with suppress(OSError, DescriptorError):
        texts.append(read_bytes(tool.source_path, _TEXT).decode("utf-8", "replace"))
    return [one for one in programs_named(texts, folder) if one != tool.source_path]


def programs_named(texts: Iterable[str], folder: Path) -> list[Path]:
    """Return the files of programs below `folder`, through no link, that texts name."""
    texts = (_OWN.sub(" ", text) for text in texts)  # of BioImageIT no slash follows
    names = dict.fromkeys(name for text in texts for name in _NAME.findall(text) if "." in name)
    found: dict[Path, None] = {}
    for name in list(names)[:_MOST_NAMES]:
        parts = name.split("/")
        for start in range(min(3, len(parts))):  # “/opt/tool/run.py”
            if _is_program(parts[start:], folder):
                found[folder.joinpath(*parts[start:])] = None
                break
    return list(found)


def _is_program(parts: list[str], folder: Path) -> bool:
    """Whether it is a file below `folder`, through no link, that may be part of a tool."""
    if any(part.startswith(".") or _KEYS.fullmatch(part) for part in parts):
        return False
    path = folder.joinpath(*parts)
    if not _PROGRAMS.fullmatch(path.name) or not path.is_file():
        return False
    return Path(os.path.realpath(path)) == Path(os.path.realpath(folder)).joinpath(*parts)
