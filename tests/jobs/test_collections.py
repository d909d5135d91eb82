"""Galaxy collections as values: lists and named elements of layers, arrays and files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

import napari_tool_runner as ntr
from napari_tool_runner.jobs import run_tests

Config = dict[str, object]
TOOL = """<tool id="names" name="Names" version="1" profile="23.0">
<command><![CDATA[
#for $e in $c
echo '${e.element_identifier}' `wc -c < '$e'` >> '$o' &&
#end for
true
]]></command>
<inputs><param name="c" type="data_collection" collection_type="%s" format="tiff"/></inputs>
<outputs><data name="o" format="txt"/></outputs>%s</tool>"""


def _tool(folder: Path, kind: str = "list", tests: str = "") -> Path:
    path = folder / "names.xml"
    path.write_text(TOOL % (kind, tests))
    return path


def test_named_elements(tmp_path: Path, config: Config) -> None:
    pair = {"forward": np.zeros((4, 4), np.uint8), "reverse": np.ones((4, 4), np.uint8)}
    result = ntr.run(_tool(tmp_path, "paired"), config=config, runner="LOCAL", c=pair)
    lines = result.outputs["o"].path.read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["forward", "reverse"]
    assert all(int(line.split()[1]) > 100 for line in lines)


def test_a_list_of_files(tmp_path: Path, config: Config) -> None:
    files = [tmp_path / f"{name}.tiff" for name in ("one", "two", "three")]
    for file in files:
        tifffile.imwrite(file, np.zeros((3, 3), np.uint8))
    result = ntr.run(_tool(tmp_path), config=config, runner="LOCAL", c=files)
    lines = result.outputs["o"].path.read_text().splitlines()
    assert [line.split()[0].split(".")[0] for line in lines] == ["one", "two", "three"]


@pytest.mark.parametrize("pattern", ["*.txt", "*.nothing"])
def test_a_collection_in_which_nothing_was_found(
    tmp_path: Path, config: Config, pattern: str
) -> None:
    path = tmp_path / "t.xml"
    found = "touch d/a.txt" if pattern == "*.txt" else "true"
    path.write_text(
        f'<tool id="t" name="T" version="1" profile="23.0"><command>mkdir d &amp;&amp; {found}'
        '</command><inputs/><outputs><collection name="c" type="list">'
        '<discover_datasets pattern="__name_and_ext__" directory="d"/></collection></outputs>'
        '<tests><test expect_num_outputs="1"><output_collection name="c" '
        f'count="{int(pattern == "*.txt")}"/></test></tests></tool>'
    )
    (report,) = run_tests(ntr.read_tool(path), config=config, runner="LOCAL")
    assert (report.status, report.message) == ("pass", "")
