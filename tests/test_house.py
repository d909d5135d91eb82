"""The walls of the house: figures that may get better, never worse."""

from __future__ import annotations

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
