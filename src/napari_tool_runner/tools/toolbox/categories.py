"""The tree of categories: ``toolboxes.json`` and what the tools say themselves."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_tool_runner.tools.toolbox.entries import ToolEntry
    from napari_tool_runner.tools.toolbox.index import Problem

__all__ = ["OTHER", "Category", "category_tree"]

OTHER = "Other"
"""Name of the category of tools that have none."""

_ROOT = "root"


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

    Parameters
    ----------
    files : sequence of Path
        ``toolboxes.json`` files; what cannot be read goes to `problems`.
    """
    known: dict[str, Category] = {}
    for file in files:
        for category in _read(file, problems):
            known.setdefault(_key(category.id), category)
    for entry in sorted(entries, key=lambda entry: entry.name.casefold()):
        for name in entry.categories or (OTHER,):
            known.setdefault(_key(name), Category(name, name)).tools.append(entry)
    top: list[Category] = []
    for category in known.values():
        parent = known.get(_key(category.parent))
        if parent is None or _is_below(parent, category, known):
            top.append(category)
        else:
            parent.children.append(category)
    return tuple(category for category in top if _prune(category))


def _key(text: str) -> str:
    return " ".join(text.casefold().split())


def _is_below(node: Category, ancestor: Category, known: dict[str, Category]) -> bool:
    """Say whether `ancestor` is `node` or above it (a circle in the file)."""
    seen: set[int] = set()
    here: Category | None = node
    while here is not None and id(here) not in seen:
        if here is ancestor:
            return True
        seen.add(id(here))
        here = known.get(_key(here.parent))
    return False


def _prune(category: Category) -> bool:
    category.children = [child for child in category.children if _prune(child)]
    return bool(category.tools or category.children)


def _read(file: Path, problems: list[Problem]) -> Iterator[Category]:
    from napari_tool_runner.tools.toolbox.index import Problem

    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        rows = data["categories"]
        for row in rows:
            name = str(row.get("name") or row["id"])
            doc = str(row.get("doc") or "")
            picture = str(row.get("thumbnail") or "")
            thumbnail = file.parent / picture
            yield Category(
                id=str(row.get("id") or name),
                name=name,
                thumbnail=str(thumbnail) if picture and thumbnail.is_file() else "",
                doc=doc if doc.startswith(("http://", "https://")) else "",
                parent=str(row.get("parent") or _ROOT),
            )
    except OSError as error:
        why = error.strerror or str(error)
        problems.append(Problem(file, f"The categories cannot be read: {why}."))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        problems.append(
            Problem(file, f'It must be {{"categories": [{{"id": …, "name": …}}]}}: {error}.')
        )
