"""`Toolbox`: folders of descriptors as one mapping of tools, searchable, read lazily."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.config import Config, load_config
from napari_tool_runner.data_classes import dataclass, replace
from napari_tool_runner.errors import DescriptorError, UnknownToolError
from napari_tool_runner.names import count_text, lies_in, real_place, unique_name
from napari_tool_runner.quoting import one_line
from napari_tool_runner.tools.toolbox.added import toolbox_places
from napari_tool_runner.tools.toolbox.entries import bundled_folder, file_stat, ships
from napari_tool_runner.tools.toolbox.index import Problem, index_folder

if TYPE_CHECKING:
    from napari_tool_runner.tools.formats import Formats
    from napari_tool_runner.tools.model import Tool
    from napari_tool_runner.tools.toolbox.categories import Category
    from napari_tool_runner.tools.toolbox.entries import ToolEntry
    from napari_tool_runner.tools.toolbox.search import Hits, SearchIndex

__all__ = ["BUNDLED", "Toolbox", "ToolboxFolder", "config_formats", "find_tool", "load_toolbox"]

BUNDLED = "bundled"
"""Name of the toolbox that ships with the package."""

CATEGORIES_FILE = "toolboxes.json"
_QUICK = 0.5


@dataclass(frozen=True, slots=True)
class ToolboxFolder:
    """One folder of a toolbox; `name` is shown and prefixes ids that occur twice."""

    name: str
    path: Path

    @property
    def bundled(self) -> bool:
        """Whether it ships with this package."""
        return self.path == bundled_folder()


class Toolbox(Mapping[str, "Tool"]):
    """A mapping of key -> `Tool`. A tool is read when it is asked for.

    Keys are ids. When two descriptors have one id, the first keeps it; the others are
    found as ``id_vVERSION`` if that is new, and as ``toolbox/id``.

    Parameters
    ----------
    folders : sequence of ToolboxFolder
        In the order of precedence.
    categories_files : sequence of Path
        ``toolboxes.json`` files besides those that lie in the folders.
    cache_dir : Path, optional
        Where the index is kept (default: the user's cache folder).
    formats : Formats, optional
        The formats that descriptors may name (default: the built-in ones).
    look : bool
        False: what is remembered of the folders counts until `refresh`.
    """

    def __init__(
        self,
        folders: Sequence[ToolboxFolder],
        *,
        categories_files: Sequence[Path] = (),
        cache_dir: Path | None = None,
        formats: Formats | None = None,
        look: bool = True,
    ) -> None:
        self.folders = tuple(folders)
        self._categories_files = tuple(categories_files)
        self._cache_dir = cache_dir
        self.formats = formats
        self._entries: dict[str, ToolEntry] = {}
        self._names: dict[str, str] = {}
        self._problems: list[Problem] = []
        self._tools: dict[str, tuple[tuple[int, int], Tool]] = {}
        self._search: SearchIndex | None = None
        self._categories: tuple[Category, ...] | None = None
        self.refresh(look=look)

    def __repr__(self) -> str:
        """Return one line: how many tools of which folders."""
        names = one_line(", ".join(folder.path.name for folder in self.folders), 300)
        told = count_text(len(self._entries), "tool"), count_text(len(self._problems), "problem")
        return f"<Toolbox of {names}: {', '.join(told)}>"

    @property
    def entries(self) -> tuple[ToolEntry, ...]:
        """The light entries of all tools, in the order of the folders."""
        return tuple(self._entries.values())

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Files and folders that could not be used, and ids that occur twice."""
        return tuple(self._problems)

    @property
    def categories(self) -> tuple[Category, ...]:
        """The tree of categories, from ``toolboxes.json`` and ``.shed.yml``."""
        if self._categories is None:
            from napari_tool_runner.tools.toolbox.categories import category_tree

            own = [folder.path / CATEGORIES_FILE for folder in self.folders]
            files = [*self._categories_files, *(file for file in own if file.is_file())]
            self._categories = category_tree(self.entries, files, self._problems)
        return self._categories

    def entry(self, name: str) -> ToolEntry:
        """Return the entry of a key, an ``id_vVERSION`` or a ``toolbox/id``.

        Raises
        ------
        KeyError
        """
        return self._entries[self._names[name]]

    def refresh(self, *, look: bool = True) -> bool:
        """Look at the folders again; return whether anything changed.

        Entries of unchanged files come from the cache; `look` as for a new one.
        """
        before = self._entries
        self._entries, self._names, self._problems = {}, {}, []
        seen: set[str] = set()
        for folder in self.folders:
            entries, problems = index_folder(
                folder.path,
                folder.name,
                cache_dir=self._cache_dir,
                strange=not folder.bundled,
                look=look,
            )
            self._problems += [problem for problem in problems if str(problem.path) not in seen]
            for entry in entries:
                if entry.uri not in seen:  # folders may lie in one another
                    seen.add(entry.uri)
                    self._add(entry)
        if self._entries == before:
            return False
        self._search = None
        self._categories = None
        return True

    def _add(self, entry: ToolEntry) -> None:
        choices = (entry.id, entry.full_id, f"{entry.toolbox}/{entry.id}")
        key = next((name for name in choices if name not in self._entries), entry.uri)
        if key != entry.id:
            first = self._entries.get(entry.id)
            where = f" (the first is {first.uri})" if first else ""
            self._problems.append(
                Problem(
                    entry.path,
                    f"Another tool has the id “{entry.id}” too{where}; "
                    f"this one is reached as “{key}”.",
                )
            )
            entry = entry._replace(key=key)
        self._entries[key] = entry
        self._names[key] = key
        # BioImageIT's records name a tool by its name and version
        for name in (*choices, entry.uri, f"{entry.name}_v{entry.version}"):
            self._names.setdefault(name, key)

    # -- Mapping -----------------------------------------------------------------------

    def __getitem__(self, name: str) -> Tool:
        entry = self.entry(name)
        stat = file_stat(str(entry.path))
        kept = self._tools.get(entry.key)
        if kept is not None and kept[0] == stat:
            return kept[1]
        folder = self.folder_of(entry).path
        tool = _read(entry.uri, folder, self.formats, entry.dialect)
        tool = replace(
            tool,
            toolbox=str(folder),
            categories=tool.categories or entry.categories,
            thumbnail=entry.thumbnail,
        )
        self._tools[entry.key] = (stat, tool)
        return tool

    def is_quick(self, name: str) -> bool:
        """Say whether `self[name]` comes at once: the tool ships, or was read before."""
        entry = self.entry(name)
        kept, folder = self._tools.get(entry.key), self.folder_of(entry)
        if folder.bundled or (kept is not None and kept[0] == file_stat(str(entry.path))):
            return True
        from napari_tool_runner.tools.isolation.looking import came_through

        return came_through(entry.uri, folder.path, within=_QUICK)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def folder_of(self, entry: ToolEntry) -> ToolboxFolder:
        """Return the folder that `entry` was found in."""
        for folder in self.folders:
            if folder.name == entry.toolbox and entry.path.is_relative_to(folder.path):
                return folder
        raise KeyError(entry.key)

    # -- search ------------------------------------------------------------------------

    def prepare(self) -> Toolbox:
        """Make what is shown and searched here, not in the thread of a window; return itself."""
        _ = self.categories, self._index
        return self

    @property
    def _index(self) -> SearchIndex:
        if self._search is None:
            from napari_tool_runner.tools.toolbox.search import SearchIndex

            self._search = SearchIndex(self.entries)
        return self._search

    def search(self, text: str) -> list[Tool]:
        """Return the tools that fit `text`, best first; those unreadable are left out."""
        found = []
        for entry in self.search_entries(text):
            try:
                found.append(self[entry.key])
            except DescriptorError as error:
                problem = Problem(entry.path, str(error))
                if problem not in self._problems:
                    self._problems.append(problem)
        return found

    def search_entries(self, text: str, limit: int | None = None) -> list[ToolEntry]:
        """Return the light entries that fit `text`, best first; reads nothing."""
        return list(self.find(text, limit).entries if text.strip() else self.entries[:limit])

    def find(self, text: str, limit: int | None = None) -> Hits:
        """Return the same, and whether they fit every word of `text`, or only some."""
        return self._index.search(text, limit)

    def alike(self, text: str) -> tuple[tuple[str, ...], tuple[ToolEntry, ...]]:
        """Return words that look like one of `text`, which finds nothing, and their tools."""
        return self._index.alike(text)


def load_toolbox(
    config: Config | Mapping[str, object] | str | os.PathLike[str] | None = None,
    *,
    cache_dir: Path | None = None,
    look: bool = True,
) -> Toolbox:
    """Return the bundled tools, those of the configured folders and of installed packages.

    Parameters
    ----------
    config : Config, mapping, path or None
        As `napari_tool_runner.config.load_config` takes it. Its ``formats.file``
        says which formats its tools know.
    look : bool
        As `Toolbox` takes it.

    Raises
    ------
    ConfigError
        The configuration cannot be used. Folders that are missing are no error; see
        ``problems``.
    """
    settings = load_config(config)
    folders: list[ToolboxFolder] = []
    if bundled_folder().is_dir():
        folders.append(ToolboxFolder(BUNDLED, bundled_folder()))
    for name, path in toolbox_places(settings):
        if path not in [folder.path for folder in folders]:
            free = unique_name(name, [folder.name for folder in folders], "-{}", 2)
            folders.append(ToolboxFolder(free, path))
    return Toolbox(
        folders,
        categories_files=settings.categories_files,
        cache_dir=cache_dir,
        formats=config_formats(settings),
        look=look,
    )


def find_tool(
    ref: str | os.PathLike[str] | Tool,
    toolbox: Toolbox | None = None,
    *,
    config: Config | Mapping[str, object] | str | os.PathLike[str] | None = None,
) -> Tool:
    """Return the tool that `ref` names: a key, an ``id_vVERSION`` or a path.

    What is a path in writing (a `Path`, absolute, or beginning with ``./``, ``../``, ``~``)
    is read as it is, with ``#entry`` where the file holds several tools. Anything else is a
    name of the toolbox first; then a relative path with a separator, or the name of a file
    that is called as descriptors are. No other file that lies where one works is a tool:
    whoever runs ``segment`` did not name it.

    Parameters
    ----------
    ref : str, path or Tool
        A `Tool` is returned as it is, with the formats that `config` names.
    toolbox : Toolbox, optional
        Default: that of `config`; not loaded for paths.
    config : optional
        As `load_toolbox` takes it.

    Raises
    ------
    UnknownToolError
        There is none; the hint names tools with a similar name.
    DescriptorError
        The descriptor cannot be read.
    """
    from napari_tool_runner.tools.candidate import split_entry
    from napari_tool_runner.tools.model import Tool
    from napari_tool_runner.tools.reader import dialect_of, may_be_descriptor

    if isinstance(ref, Tool):
        formats = config_formats(load_config(config))
        traits = dialect_of(ref).traits if formats else {}
        return replace(ref, formats=formats.with_traits(traits)) if formats else ref
    text = os.fspath(ref)
    path = Path(os.path.expanduser(split_entry(text)[0]))
    starts = ("./", "../", f".{os.sep}", f"..{os.sep}")
    written = not isinstance(ref, str) or path.is_absolute() or text.startswith(starts)
    named, there = may_be_descriptor(path.name), os.path.exists(path)  # however long it is
    if written and there:
        loaded = load_config(config)
        return _read(text, _holder(path, loaded), config_formats(loaded))
    box = toolbox if toolbox is not None else load_toolbox(config)
    if text in box:
        return box[text]
    is_path = written or named or os.sep in text or "/" in text
    if is_path and there:
        return _read(text, _holder(path, load_config(config)), box.formats)
    if is_path and named:
        raise UnknownToolError(f"There is no descriptor {text}.", hint="Check the path.")
    near = _near(text, box)
    if there:
        near = f"For what is called so in this folder, write .{os.sep}{text}. {near}"
    raise UnknownToolError(f"There is no tool “{text}”.", hint=near)


def _read(uri: str, root: Path | None, formats: Formats | None, language: str = "") -> Tool:
    """Read a descriptor; nothing of the reader is imported for one that ships."""
    from napari_tool_runner.tools.candidate import split_entry

    if ships(split_entry(uri)[0]):
        from napari_tool_runner.tools.reader import read_tool

        return read_tool(uri, root=root, formats=formats)
    from napari_tool_runner.tools.isolation import looking

    return looking.read_tool(uri, root=root, formats=formats, language=language)


def _holder(path: Path, settings: Config) -> Path | None:
    """Return the configured toolbox that holds a descriptor, the outermost first."""
    boxes = [box for _, box in toolbox_places(settings) if lies_in(real_place(path), box)]
    return min(boxes, key=lambda box: len(box.parts), default=None)


def config_formats(settings: Config) -> Formats | None:
    """Return the formats of a configuration with a ``formats.json``, None without one."""
    if settings.formats_file is None:
        return None
    from napari_tool_runner.tools.formats import FORMATS, read_formats_file

    return FORMATS.extended(read_formats_file(settings.formats_file))


def _near(text: str, box: Toolbox) -> str:
    """Return what may be meant; raises DescriptorError where that cannot be read."""
    from difflib import get_close_matches

    for problem in box.problems:
        if text in (problem.path.stem, problem.path.parent.name):
            raise DescriptorError(problem.message, path=problem.path)
    known = list(box)
    near = get_close_matches(text, known, n=3, cutoff=0.6)
    near += [entry.key for entry in box.search_entries(text, 3) if entry.key not in near]
    if near:
        return f"Did you mean {' or '.join(f'“{name}”' for name in near[:3])}?"
    if not known:
        return "The toolbox is empty; add a folder of tools to the configuration."
    return "“napari-tool-runner list” shows the tools there are."
