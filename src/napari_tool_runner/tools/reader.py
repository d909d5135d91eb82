"""Reads a descriptor of any language: chooses the dialect, then lets it read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.errors import DescriptorError
from napari_tool_runner.tools.model import Note, Severity, Tool
from napari_tool_runner.tools.sniff import STRONG, bioimageit_score, galaxy_score
from napari_tool_runner.tools.xml import load_xml

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from napari_tool_runner.tools.dialect import Dialect

__all__ = ["choose_dialect", "dialect_of", "dialects", "find_descriptor", "read_tool"]


class _Dialects(Mapping[str, "Dialect"]):
    """The languages by name; each is imported when it is first asked for."""

    def __init__(self) -> None:
        self._homes: dict[str, tuple[str, str]] = {}
        self._scores: dict[str, Callable[[Element], int]] = {}
        self._loaded: dict[str, Dialect] = {}

    def register(
        self, name: str, module: str, attribute: str, score: Callable[[Element], int]
    ) -> None:
        """Add a language: where its class is, and what tells its files (cheaply)."""
        self._homes[name] = (module, attribute)
        self._scores[name] = score
        self._loaded.pop(name, None)

    def scores(self, root: Element) -> dict[str, int]:
        """Return how surely `root` is of each language, without importing any."""
        return {name: score(root) for name, score in self._scores.items()}

    def __getitem__(self, name: str) -> Dialect:
        if name not in self._loaded:
            module, attribute = self._homes[name]
            self._loaded[name] = getattr(import_module(module), attribute)()
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._homes)

    def __len__(self) -> int:
        return len(self._homes)


dialects = _Dialects()
dialects.register(
    "bioimageit", "napari_tool_runner.tools.bioimageit", "BioImageItDialect", bioimageit_score
)
dialects.register("galaxy", "napari_tool_runner.tools.galaxy", "GalaxyDialect", galaxy_score)


def read_tool(path: str | os.PathLike[str], *, root: Path | None = None) -> Tool:
    """Read the descriptor at `path`.

    Parameters
    ----------
    path : path
        An XML file, or a folder that holds exactly one descriptor.
    root : Path, optional
        The folder that imports may not leave (default: the descriptor's own).

    Returns
    -------
    Tool
        Its ``notes`` tell what could not be honoured.

    Raises
    ------
    DescriptorError
        There is no descriptor, or nothing can be shown of it.
    """
    descriptor = find_descriptor(Path(path).expanduser().absolute())
    element = load_xml(descriptor)
    if element.tag != "tool":
        raise DescriptorError(
            f"{descriptor} describes no tool: its root is <{element.tag}>.",
            path=descriptor,
            hint="A descriptor starts with <tool>.",
        )
    name, sure = choose_dialect(element)
    try:
        dialect = dialects[name]
    except ImportError as error:
        raise DescriptorError(
            f"{descriptor} is written for {name}, whose reader cannot be loaded: {error}.",
            path=descriptor,
            hint="Install napari-tool-runner with all its dependencies.",
        ) from error
    tool = dialect.read(descriptor, root=root)
    if not sure:
        note = Note(
            Severity.INFO, "tool", f"The language of this file was guessed: it is read as {name}."
        )
        tool = replace(tool, notes=(*tool.notes, note))
    return tool


def choose_dialect(element: Element) -> tuple[str, bool]:
    """Return the name of the language of a parsed file, and whether that is sure.

    In doubt it is ``bioimageit``, whose commands are never run by a shell.
    """
    scores = dialects.scores(element)
    best = max(scores, key=lambda name: scores[name])
    second = max((score for name, score in scores.items() if name != best), default=0)
    # hardly a mark of any other language is sure enough: the file is plain
    sure = second <= 2 or scores[best] - second >= STRONG // 2
    return best, sure


def dialect_of(tool: Tool) -> Dialect:
    """Return the dialect that read `tool`."""
    return dialects[tool.dialect]


def find_descriptor(path: Path) -> Path:
    """Return `path` itself, or the one descriptor that the folder `path` holds.

    Raises
    ------
    DescriptorError
        The folder holds none, or several.
    """
    if not path.is_dir():
        return path
    found = []
    problems: list[DescriptorError] = []
    for candidate in sorted(path.glob("*.xml")):
        try:
            if load_xml(candidate).tag == "tool":
                found.append(candidate)
        except DescriptorError as error:
            problems.append(error)
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(candidate.name for candidate in found)
        raise DescriptorError(
            f"{path} holds several descriptors: {names}.", path=path, hint="Name one of them."
        )
    if problems:
        raise problems[0]
    raise DescriptorError(
        f"{path} holds no descriptor.",
        path=path,
        hint="Name an XML file whose root is <tool>, or the folder it lies in.",
    )
