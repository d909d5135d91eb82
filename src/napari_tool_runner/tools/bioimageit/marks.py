"""What tells a BioImageIT tool: marks that only its readers understand.

Its XML began as a subset of Galaxy's, so both have the same root element. Only structure
is looked at; nothing is evaluated.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from napari_tool_runner.tools.formats import split_formats

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["bioimageit_score"]

_STRONG = 10
_BIOIMAGEIT_TYPES = {"number", "string", "bool", "file", "directory"}
_BIOIMAGEIT_FORMATS = {
    "imagetiff",
    "movietxt",
    "tablecsv",
    "arraycsv",
    "numbercsv",
    "trackmatemodel",
    "imagezarr",
    "stracks",
    "raw",
}
_DASHED = re.compile(r"\$\{-\w")
_JOINED = re.compile(r"\$__tool_directory__\w")


def bioimageit_score(root: Element) -> int:
    """Return how much of the parsed file only BioImageIT understands; 0: no tool."""
    if root.tag != "tool":
        return 0
    score = 1  # the safe language (an argv, never a shell) wins a tie
    if root.find("requirements/package") is not None:
        score += 2 * _STRONG
    if root.get("type") == "merge":
        score += _STRONG
    if "python_template_version" in root.attrib:
        score += 3
    for param in root.iter("param"):
        if param.get("type") in _BIOIMAGEIT_TYPES:
            score += _STRONG
        if set(split_formats(param.get("format", ""))) & _BIOIMAGEIT_FORMATS:
            score += _STRONG
    for data in root.iter("data"):
        if set(split_formats(data.get("format", ""))) & _BIOIMAGEIT_FORMATS:
            score += _STRONG
    for output in root.iter("output"):
        if output.get("compare") in {"sim_content", "same_size"}:
            score += _STRONG
    command = _command(root)
    if "$__fiji__" in command or _DASHED.search(command) or _JOINED.search(command):
        score += _STRONG
    return score


def _command(root: Element) -> str:
    command = root.find("command")
    return "" if command is None else "".join(command.itertext())
