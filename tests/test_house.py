"""The walls of the house: figures that may get better, never worse."""

from __future__ import annotations

import ast
import re
from functools import cache

from benchmarks.house import PACKAGE, SOURCE, read_modules, static_figures


@cache
def figures() -> dict[str, object]:
    return static_figures(read_modules(SOURCE / PACKAGE))


def test_nothing_imports_in_circles() -> None:
    assert figures()["import circles"] == {}


def test_only_its_own_folder_knows_a_language_by_name() -> None:
    assert figures()["dialects by name, modules"] == {}


def test_the_tree_of_parameters_is_walked_in_one_place() -> None:
    assert figures()["switches on groups"] <= 12


def test_types_are_said_not_claimed() -> None:
    assert figures()["casts"] < 100


def test_a_module_is_readable_in_one_sitting() -> None:
    assert len(figures()["modules > 400 lines"]) <= 6
    assert figures()["functions > 60 lines"] <= 6


THINGS = "files frames jobs lines notes objects points results rows runs spots tools"
COUNT = re.compile(r"(len\(\w[\w.]*\)|count|total|number|more|lost|missed|found\.count)$")
SEVERAL = {"len(names)", "len(records)"}
"""Counts that are told where there are several; of others `count_text` says “1 object”."""


def test_one_thing_is_no_things() -> None:
    things = re.compile(rf" (more )?({THINGS.replace(' ', '|')})\b")
    told = [
        f"{path.name}, line {text.lineno}: {ast.unparse(text)}"
        for path in (SOURCE / PACKAGE).rglob("*.py")
        for text in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(text, ast.JoinedStr)
        for count, noun in zip(text.values, text.values[1:], strict=False)
        if isinstance(count, ast.FormattedValue) and isinstance(noun, ast.Constant)
        if COUNT.match(said := ast.unparse(count.value)) and said not in SEVERAL
        if things.match(str(noun.value))
    ]
    assert told == []
