"""The tree of categories: ``toolboxes.json`` and what the tools say themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.data_classes import dataclass, field
from napari_tool_runner.errors import DescriptorError
from napari_tool_runner.tools.candidate import parse_json, read_bytes
from napari_tool_runner.tools.toolbox.entries import picture_in

if TYPE_CHECKING:
    from napari_tool_runner.tools.toolbox.entries import ToolEntry
    from napari_tool_runner.tools.toolbox.index import Problem

__all__ = ["OTHER", "Category", "category_tree"]

OTHER = "Other"
"""Name of the category of tools that have none."""

_ROOT = "root"
_MAX_LEVELS = 20


@dataclass(slots=True)
class Category:
    """A node of the tree.

    Parameters
    ----------
    id : str
        What tools write in ``.shed.yml``.
    thumbnail : str
        Absolute path of a picture, empty when there is none.
    doc : str
        Address of its documentation, empty when there is none.
    children : list of Category
    tools : list of ToolEntry
        Those that name this category, by name.
    """

    id: str
    name: str
    thumbnail: str = ""
    doc: str = ""
    parent: str = _ROOT
    children: list[Category] = field(default_factory=list)
    tools: list[ToolEntry] = field(default_factory=list)

    def __len__(self) -> int:
        """Number of different tools here and below."""
        return len({entry.key for entry in self.all_tools()})

    def __bool__(self) -> bool:
        return True

    def all_tools(self) -> Iterator[ToolEntry]:
        """Yield the tools here and below; one in two categories comes twice."""
        yield from self.tools
        for child in self.children:
            yield from child.all_tools()


def category_tree(
    entries: Iterable[ToolEntry], files: Sequence[Path], problems: list[Problem]
) -> tuple[Category, ...]:
    """Return the categories at the top; empty ones are left out.

    They stand as in `files`, what only tools name comes after them by name, and last those of
    the tools without one.

    Parameters
    ----------
    files : sequence of Path
        ``toolboxes.json`` files; what cannot be read goes to `problems`.
    """
    known: dict[str, Category] = {}
    for file in files:
        for category in _read(file, problems):
            known.setdefault(_key(category.id), category)
    in_files = len(known)
    for entry in sorted(entries, key=lambda entry: entry.name.casefold()):
        for name in entry.categories or (OTHER,):
            known.setdefault(_key(name), Category(name, name)).tools.append(entry)
    top: list[Category] = []
    told, named = list(known.values())[:in_files], list(known.values())[in_files:]
    named.sort(key=lambda category: (category.name == OTHER, category.name.casefold()))
    for category in (*told, *named):
        parent = known.get(_key(category.parent))
        if parent is None or not _may_hold(parent, category, known):
            top.append(category)
        else:
            parent.children.append(category)
    return tuple(category for category in top if _prune(category))


def _key(text: str) -> str:
    return " ".join(text.casefold().split())


def _may_hold(parent: Category, child: Category, known: dict[str, Category]) -> bool:
    """Say whether `parent` is above `child`: no circle in the file, no endless chain."""
    here: Category | None = parent
    for _ in range(_MAX_LEVELS):
        if here is None or here is child:
            break
        here = known.get(_key(here.parent))
    return here is None


def _prune(category: Category) -> bool:
    category.children = [child for child in category.children if _prune(child)]
    return bool(category.tools or category.children)


def _read(file: Path, problems: list[Problem]) -> Iterator[Category]:
    from napari_tool_runner.tools.toolbox.index import Problem

    try:
        data = parse_json(read_bytes(file), file)
    except DescriptorError as error:
        problems.append(Problem(file, f"The categories cannot be read: {error.message}"))
        return
    rows = data.get("categories") if isinstance(data, dict) else None
    for row in rows if isinstance(rows, list) else [None]:
        if not isinstance(row, dict) or not (row.get("name") or row.get("id")):
            problems.append(Problem(file, 'It must be {"categories": [{"id": …, "name": …}]}.'))
            return
        name = str(row.get("name") or row["id"])
        doc = str(row.get("doc") or "")
        picture = str(row.get("thumbnail") or "")
        yield Category(
            id=str(row.get("id") or name),
            name=name,
            thumbnail=picture_in(file.parent, picture),
            doc=doc if doc.startswith(("http://", "https://")) else "",
            parent=str(row.get("parent") or _ROOT),
        )
