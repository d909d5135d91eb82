"""The comparison with real Galaxy tells what differs (``./dev galaxy`` asks Galaxy itself)."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.galaxy_oracle import descriptors, ours, verdict

TOOL = """<tool id="t" name="T" version="1" profile="23.0">
<command><![CDATA[run '$n' '$c' '$out']]></command>
<environment_variables>
<environment_variable name="A">$n</environment_variable></environment_variables>
<configfiles><configfile name="c" filename="c.txt">n=$n</configfile></configfiles>
<inputs><param name="n" type="integer" value="3" min="0"/></inputs>
<outputs><data name="out" format="tiff"/></outputs>
<tests><test><param name="n" value="4"/></test><test><param name="n" value="-4"/></test></tests>
</tool>"""

GALAXY = {
    "root": "/galaxy/job",
    "command": "run '4' '/galaxy/job/configs/tmp1' '/galaxy/job/outputs/7.dat'; ",
    "strict": True,
    "configs": {"c": "n=4"},
    "linked": ["c.txt"],
    "env": {"A": "4"},
    "outputs": {"out": "tiff"},
    "names": {"/galaxy/job/configs/tmp1": "config c", "/galaxy/job/outputs/7.dat": "out"},
}
REFUSED = {"refused": "must be at least 0"}


@pytest.fixture
def rows(tmp_path: Path) -> list[dict[str, object]]:
    path = tmp_path / "tool.xml"
    path.write_text(TOOL)
    (tmp_path / "macros.xml").write_text("<macros/>")
    assert descriptors([str(tmp_path)]) == [str(path)]
    return list(ours(path, tmp_path / "job", ""))


def test_paths_of_each_side_do_not_count(rows):
    assert verdict(GALAXY, rows[0]) == ("agree", "")
    assert verdict(REFUSED, rows[1]) == ("agree", "")


@pytest.mark.parametrize("part", ["command", "strict", "configs", "linked", "env", "outputs"])
def test_each_part_counts(rows, part):
    planted = {"command": "run '4'", "strict": False, "linked": []}.get(part, {})
    said, why = verdict({**GALAXY, part: planted}, rows[0])
    assert said == "differ"
    assert why.startswith(part)


def test_who_refuses_and_what_cannot_be_asked(rows):
    assert verdict(GALAXY, rows[1])[1].startswith("only we refuse")
    assert verdict(REFUSED, rows[0])[1].startswith("only Galaxy")
    assert verdict({"unasked": "no such table"}, rows[0]) == ("cannot be asked", "no such table")
