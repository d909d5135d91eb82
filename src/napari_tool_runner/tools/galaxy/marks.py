"""What tells a Galaxy tool: marks that only Galaxy's readers understand.

BioImageIT's XML began as a subset of Galaxy's, so both have the same root element. Only
structure is looked at; nothing is evaluated.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from napari_tool_runner.tools.formats import split_formats

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["galaxy_score"]

_STRONG = 10
_GALAXY_ELEMENTS = {
    "macros": _STRONG,
    "expand": _STRONG,
    "configfiles": _STRONG,
    "conditional": _STRONG,
    "repeat": _STRONG,
    "section": _STRONG,
    "discover_datasets": _STRONG,
    "collection": _STRONG,
    "environment_variables": _STRONG,
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
_GALAXY_FORMATS = {"tabular", "interval", "fasta", "fastqsanger"}
_DIRECTIVE = re.compile(r"^\s*#(if|for|set|else|elif|end|import|def|silent|from|unless)\b", re.M)
_DOTTED = re.compile(r"\$\{?[A-Za-z_]\w*\.[A-Za-z_]")
_BARE = re.compile(r"(?<!\\)\$[A-Za-z_]\w*")
_SHELL = re.compile(r"&&|\|\||\s\|\s|\s\d?>{1,2}\s?|\bln -s\b|\\\$\{?GALAXY")
_OWN_VARIABLES = ("$__tool_directory__", "$__fiji__")


def galaxy_score(root: Element) -> int:
    """Return how much of the parsed file only Galaxy understands; 0: nothing."""
    if root.tag != "tool":
        return 0
    score = _STRONG if "profile" in root.attrib else 0
    present = {element.tag for element in root.iter()}
    score += sum(weight for tag, weight in _GALAXY_ELEMENTS.items() if tag in present)
    for tag, names in _GALAXY_ATTRIBUTES.items():
        if any(names & element.attrib.keys() for element in root.iter(tag)):
            score += 6
    command = _command(root)
    if _DIRECTIVE.search(command):
        score += _STRONG
    if _DOTTED.search(command):
        score += _STRONG
    if _SHELL.search(command):
        score += 4
    for name in _OWN_VARIABLES:
        command = command.replace(name, "")
    if _BARE.search(command):
        score += 2
    for param in root.iter("param"):
        if param.get("type") in _GALAXY_TYPES:
            score += _STRONG
        if "truevalue" in param.attrib or "falsevalue" in param.attrib:
            score += 1
        if set(split_formats(param.get("format", ""))) & _GALAXY_FORMATS:
            score += 3
    if root.get("tool_type"):
        score += _STRONG
    return score


def _command(root: Element) -> str:
    command = root.find("command")
    return "" if command is None else "".join(command.itertext())
