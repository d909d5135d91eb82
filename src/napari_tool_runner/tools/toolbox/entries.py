"""Light entries: what search, menus and trees need of a tool, without reading it.

An entry is made of the outline that a tool's language gives; nothing is evaluated.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from napari_tool_runner.errors import DescriptorError
from napari_tool_runner.names import lies_in, real_path, real_place
from napari_tool_runner.quoting import one_line

if TYPE_CHECKING:
    from napari_tool_runner.tools.dialect import Outline
    from napari_tool_runner.tools.model import Tool

__all__ = [
    "LISTS",
    "Made",
    "ToolEntry",
    "bundled_folder",
    "file_stat",
    "made_of",
    "make_entry",
    "picture_in",
    "ships",
]

_HELP_CHARACTERS = 4000
_THUMBNAILS = ("thumbnail.png", "thumbnail.jpg")


def bundled_folder() -> Path:
    """Return the folder of the tools that ship with the package."""
    return Path(__file__).parents[2] / "bundled_tools"


def ships(what: Path | Tool) -> bool:
    """Whether a tool, or the descriptor or folder at a path, is one of the package.

    A tool is what it was when it was read: whatever lies at its path now, it is not that.
    """
    if isinstance(what, Path):
        return lies_in(real_place(what), bundled_folder())
    return lies_in(what.source_path, bundled_folder())


def file_stat(path: str) -> tuple[int, int]:
    """Return size and modification time (ns) of a file; (-1, 0) when there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return (-1, 0)
    return (found.st_size, found.st_mtime_ns)


class ToolEntry(NamedTuple):
    """A tool in an index. A tuple, because thousands are made at start-up.

    Parameters
    ----------
    key : str
        Its key in the `Toolbox`: the id, or more when an id occurs twice.
    uri : str
        Absolute path of the descriptor, with ``#entry`` where it holds several tools.
    digest : str
        ``sha256:…`` of the descriptor file alone.
    toolbox : str
        Name of the toolbox it belongs to.
    requirements : tuple of str
        Kinds of what it requires: ``conda``, ``pip``, ``docker``, ``singularity``.
    thumbnail : str
        Absolute path of a picture; empty when there is none.
    help : str
        The beginning of the help, in one line; for search.
    labels : str
        What its parameters and their options are called; for search, too.
    """

    key: str
    id: str
    name: str
    version: str
    description: str
    categories: tuple[str, ...]
    formats: tuple[str, ...]
    edam: tuple[str, ...]
    uri: str
    digest: str
    toolbox: str
    dialect: str
    requirements: tuple[str, ...]
    thumbnail: str
    help: str
    entry: str = ""
    labels: str = ""

    @property
    def path(self) -> Path:
        """The descriptor as a path."""
        return Path(self.uri.rpartition("#")[0] if self.entry else self.uri)

    @property
    def full_id(self) -> str:
        """``id_vVERSION``, as BioImageIT's registry names tools."""
        return f"{self.id}_v{self.version}"


LISTS = frozenset({"categories", "formats", "edam", "requirements"})
"""Fields of an entry that hold several texts; JSON has lists there."""


class Made(NamedTuple):
    """The entries of a file, what they were made from besides it, or why there are none."""

    entries: tuple[ToolEntry, ...]
    depends: tuple[str, ...]
    problem: str = ""


def made_of(path: Path, root: Path, toolbox: str) -> Made:
    """Return what `make_entry` does; what it raises is the problem."""
    try:
        return make_entry(path, root, toolbox)
    except DescriptorError as error:
        return Made((), (), str(error))
    except Exception as error:  # noqa: BLE001 - a language of others must not hide the other tools
        return Made((), (), f"Its language stumbles over it: {error!r}.")


def make_entry(path: Path, root: Path, toolbox: str) -> Made:
    """Make the entries of one file: one a tool, none when it describes no tool.

    Parameters
    ----------
    path : Path
        Absolute path of the file.
    root : Path
        Folder of the toolbox; imported files outside are not looked at.

    Raises
    ------
    DescriptorError
        The file cannot be read or parsed.
    """
    # imported here: an index that comes from its cache needs none of it
    from napari_tool_runner.tools.candidate import Candidate, join_entry
    from napari_tool_runner.tools.common import SHED_FILES, read_shed
    from napari_tool_runner.tools.reader import choose_dialect, unknown_language

    candidate = Candidate(path)
    dialect, _ = choose_dialect(candidate)
    if dialect is None:
        if candidate.problem is not None:
            raise unknown_language(candidate)
        return Made((), ())
    shed = read_shed(path.parent)
    entries = []
    # a shed file or a picture that is added later is noticed, too
    depends = [path.parent / name for name in (*SHED_FILES, _THUMBNAILS[0])]
    for name in dialect.entries(candidate):
        outline = dialect.outline(candidate, name, root)
        needs, asked = _needs(outline, path.parent)
        depends += *outline.depends, *asked
        entries.append(
            ToolEntry(
                key=outline.id,
                id=outline.id,
                name=one_line(outline.name),
                version=one_line(outline.version),
                description=outline.description,
                categories=outline.categories or shed.categories,
                formats=outline.formats,
                edam=outline.edam,
                uri=join_entry(path, name),
                digest=candidate.digest,
                toolbox=toolbox,
                dialect=dialect.name,
                requirements=needs,
                thumbnail=picture_in(
                    path.parent, outline.thumbnail, *_THUMBNAILS, f"{path.stem}.png"
                ),
                help=re.sub(r"\s+", " ", outline.help[:_HELP_CHARACTERS]).strip(),
                entry=name,
                labels=one_line(outline.labels[:_HELP_CHARACTERS]),
            )
        )
    return Made(tuple(entries), tuple(map(str, dict.fromkeys(depends))))


def _needs(outline: Outline, folder: Path) -> tuple[tuple[str, ...], tuple[Path, ...]]:
    """Return the kinds of what a tool requires, and the files of its script that were asked."""
    from napari_tool_runner.tools.python_needs import files_asked, needs_of_files

    if outline.requirements:
        return outline.requirements, ()
    asked = files_asked(outline.command, folder)
    return ("pip",) if asked and needs_of_files(*asked) else (), asked


def picture_in(folder: Path, *names: str) -> str:
    """Return the first of those pictures that is there, in `folder` also where links lead."""
    for name in names:
        if name and os.path.isfile(folder / name):  # few have one: where it leads is asked then
            found = real_path(folder / name)
            if found.is_relative_to(real_path(folder)) and found.is_file():
                return str(found)
    return ""
