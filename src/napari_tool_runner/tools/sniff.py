"""Which descriptor language a ``<tool>`` file is written in.

BioImageIT's XML began as a subset of Galaxy's, so both have the same root element.
Each mark counts for the language whose readers understand it. Only structure is
looked at; nothing is evaluated.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from napari_tool_runner.tools.formats import split_formats

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["STRONG", "bioimageit_score", "galaxy_score"]

STRONG = 10
"""Weight of a mark that only one of the languages has."""

_GALAXY_ELEMENTS = {
    "macros": STRONG,
    "expand": STRONG,
    "configfiles": STRONG,
    "conditional": STRONG,
    "repeat": STRONG,
    "section": STRONG,
    "discover_datasets": STRONG,
    "collection": STRONG,
    "environment_variables": STRONG,
    "stdio": 6,
    "requirement": 6,
    "xrefs": 2,
    "sanitizer": 6,
    "validator": 6,
    "change_format": 6,
    "assert_contents": 6,
    "required_files": 6,
    "version_command": 6,
    "edam_topics": 2,
    "edam_operations": 2,
}
# element -> attributes that BioImageIT has no word for
_GALAXY_ATTRIBUTES = {
    "command": {"detect_errors", "interpreter", "strict", "oom_exit_code"},
    "data": {"from_work_dir", "format_source", "auto_format"},
    "output": {"checksum", "md5", "ftype", "lines_diff", "value_json"},
    "test": {"expect_num_outputs", "expect_failure", "expect_exit_code"},
}
_GALAXY_TYPES = {"data_collection", "data_column", "drill_down", "group_tag", "genomebuild"}
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
_GALAXY_FORMATS = {"tabular", "interval", "fasta", "fastqsanger"}
_DIRECTIVE = re.compile(r"^\s*#(if|for|set|else|elif|end|import|def|silent|from|unless)\b", re.M)
_DOTTED = re.compile(r"\$\{?[A-Za-z_]\w*\.[A-Za-z_]")
_BARE = re.compile(r"(?<!\\)\$[A-Za-z_]\w*")
_SHELL = re.compile(r"&&|\|\||\s\|\s|\s\d?>{1,2}\s?|\bln -s\b|\\\$\{?GALAXY")
_OWN_VARIABLES = ("$__tool_directory__", "$__fiji__")
_DASHED = re.compile(r"\$\{-\w")
_JOINED = re.compile(r"\$__tool_directory__\w")


def galaxy_score(root: Element) -> int:
    """Return how much of the parsed file only Galaxy understands; 0: nothing."""
    if root.tag != "tool":
        return 0
    score = STRONG if "profile" in root.attrib else 0
    present = {element.tag for element in root.iter()}
    score += sum(weight for tag, weight in _GALAXY_ELEMENTS.items() if tag in present)
    for tag, names in _GALAXY_ATTRIBUTES.items():
        if any(names & element.attrib.keys() for element in root.iter(tag)):
            score += 6
    command = _command(root)
    if _DIRECTIVE.search(command):
        score += STRONG
    if _DOTTED.search(command):
        score += STRONG
    if _SHELL.search(command):
        score += 4
    for name in _OWN_VARIABLES:
        command = command.replace(name, "")
    if _BARE.search(command):
        score += 2
    for param in root.iter("param"):
        if param.get("type") in _GALAXY_TYPES:
            score += STRONG
        if "truevalue" in param.attrib or "falsevalue" in param.attrib:
            score += 1
        if set(split_formats(param.get("format", ""))) & _GALAXY_FORMATS:
            score += 3
    if root.get("tool_type"):
        score += STRONG
    return score


def bioimageit_score(root: Element) -> int:
    """Return how much of the parsed file only BioImageIT understands; 0: no tool."""
    if root.tag != "tool":
        return 0
    score = 1  # the safe language (an argv, never a shell) wins a tie
    if root.find("requirements/package") is not None:
        score += 2 * STRONG
    if root.get("type") == "merge":
        score += STRONG
    if "python_template_version" in root.attrib:
        score += 3
    for param in root.iter("param"):
        if param.get("type") in _BIOIMAGEIT_TYPES:
            score += STRONG
        if set(split_formats(param.get("format", ""))) & _BIOIMAGEIT_FORMATS:
            score += STRONG
    for data in root.iter("data"):
        if set(split_formats(data.get("format", ""))) & _BIOIMAGEIT_FORMATS:
            score += STRONG
    for output in root.iter("output"):
        if output.get("compare") in {"sim_content", "same_size"}:
            score += STRONG
    command = _command(root)
    if "$__fiji__" in command or _DASHED.search(command) or _JOINED.search(command):
        score += STRONG
    return score


def _command(root: Element) -> str:
    command = root.find("command")
    return "" if command is None else "".join(command.itertext())
