"""The page of truth says what is: its tools, its tests, its defaults and units."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from bundled.inside import GALAXY, TOOLS, direct

PAGE = Path(__file__).parents[2] / "docs" / "truth.md"


def tables():
    """Return the rows of the tables of the page: lists of cells."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in lines
        if line.startswith("| `")
    ]


def units():
    """Return tool, parameter, default and unit of every number of the descriptors."""
    found = []
    for tool in TOOLS:
        folder = f"galaxy_{tool}" if tool in GALAXY else tool
        root = ElementTree.parse(direct.TOOLS / folder / f"{tool}.xml").getroot()
        for param in root.iter("param"):
            if param.get("type") in {"integer", "float"} and param.get("label"):
                name, value = param.get("name", ""), param.get("value") or "none"
                found.append(
                    [f"`{tool}`", param.get("label", name), value, param.get("unit") or "–"]
                )
    return found


def test_every_tool_is_in_the_table_and_its_tests_exist():
    rows = [row for row in tables() if len(row) == 5]
    assert [row[0].strip("`") for row in rows] == TOOLS
    here = "".join(p.read_text(encoding="utf-8") for p in Path(__file__).parent.glob("test_*.py"))
    for row in rows:
        assert all(row), row
        assert re.search(r"`test_\w+`", row[4]), row
    for test in re.findall(r"`(test_\w+)`", PAGE.read_text(encoding="utf-8")):
        assert f"def {test}(" in here, test


def test_defaults_and_units_are_those_of_the_descriptors():
    assert [row for row in tables() if len(row) == 4] == units()


BARE = {("enhance_contrast", "Limit"), ("enhance_contrast", "Gamma"), ("sort_objects", "Limit")}


def test_numbers_have_units():
    """But for two shares without a name, and a limit that is in what was chosen to sort by."""
    assert {(tool.strip("`"), label) for tool, label, _, unit in units() if unit == "–"} == BARE
