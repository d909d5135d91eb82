"""Many files through one tool, and results copied to where a person wants them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

import napari_tool_runner as ntr
from jobs.conftest import INVERT, MakeTool
from napari_tool_runner.config import load_config
from napari_tool_runner.errors import ParameterError, ToolRunnerError
from napari_tool_runner.jobs import deliver, output_paths, plan_batch, run_batch

TWO = '<param name="i" type="data" format="imagetiff"/><param name="j" type="data"/>'


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name in ("a1", "a2", "b1"):
        tifffile.imwrite(tmp_path / f"{name}.tif", np.full((4, 5), ord(name[0]), np.uint8))
    return tmp_path


def test_patterns_are_walked_together(make_tool: MakeTool, files: Path) -> None:
    tool = make_tool(INVERT, inputs=TWO)
    items = plan_batch(tool, {"i": f"{files}/a*.tif", "j": f"{files}/b1.tif"})
    assert [item.stem for item in items] == ["a1", "a2"]
    assert [item.values["i"] for item in items] == [f"{files}/a1.tif", f"{files}/a2.tif"]
    assert {item.values["j"] for item in items} == {f"{files}/b1.tif"}
    told = {"axis_labels": "TYX"}
    both = plan_batch(tool, {"i": (f"{files}/a*.tif", told), "j": files / "b1.tif"})
    assert [item.values["i"] for item in both] == [(f"{files}/a{n}.tif", told) for n in (1, 2)]
    numbered = plan_batch(tool, {"i": f"{files}/a*.tif#2", "j": files / "b1.tif"})
    assert [str(item.values["i"]) for item in numbered] == [
        f"{item.values['i']}#2" for item in items
    ]
    (single,) = plan_batch(tool, {"n": 3})
    assert (single.stem, single.values) == ("run", {"n": 3})


@pytest.mark.parametrize(
    ("patterns", "word"),
    [
        (("none*", "a1.tif"), "no file matches"),
        (("a*.tif", "*1.tif", "*.tif"), "numbers of files"),
    ],
)
def test_patterns_that_do_not_fit(
    make_tool: MakeTool, files: Path, patterns: tuple[str, ...], word: str
) -> None:
    inputs = TWO + '<param name="k" type="data"/>'
    values = {name: f"{files}/{text}" for name, text in zip("ijk", patterns, strict=False)}
    with pytest.raises(ParameterError, match=word):
        plan_batch(make_tool(INVERT, inputs=inputs), values)


def test_one_that_fails_stops_no_other(make_tool: MakeTool, files: Path) -> None:
    tool = make_tool(
        INVERT,
        inputs='<param name="i" type="data" format="imagetiff"/>'
        '<param name="n" type="integer" value="1" min="0"/>',
    )
    (files / "a3.tif").write_text("no image")
    items = plan_batch(tool, {"i": f"{files}/a*.tif"})
    wrong = plan_batch(tool, {"i": f"{files}/b1.tif", "n": -5})
    config = load_config({"workspace": str(files / "jobs")})
    ended = list(run_batch(tool, [*items, *wrong], config=config, parallel=2))
    assert [item.stem for item, _ in ended] == ["a1", "a2", "a3", "b1"]
    states = [job if isinstance(job, ToolRunnerError) else job.state.value for _, job in ended]
    assert states[:3] == ["done", "done", "failed"]
    assert isinstance(states[3], ParameterError)


COLLECT = """
import sys, pathlib, shutil
folder = pathlib.Path(sys.argv[1])
folder.mkdir(exist_ok=True)
(folder / "inner.txt").write_text("deep")
pathlib.Path("parts").mkdir()
for name in "xy":
    pathlib.Path("parts", name + ".txt").write_text(name)
"""


def test_results_are_copied(
    make_tool: MakeTool, config: dict[str, object], tmp_path: Path
) -> None:
    tool = make_tool(
        COLLECT,
        inputs="",
        outputs='<data name="f" format="directory"/><collection name="c" type="list">'
        '<discover_datasets pattern="__name__" directory="parts" format="txt"/></collection>',
        arguments="${f}",
        root='profile="23.0"',
    )
    result = ntr.run(tool, config=config)
    folder = tmp_path / "wanted"
    for _ in range(2):  # again, over what is there
        places = deliver(result, folder, prefix="p_")
    assert places.keys() == output_paths(result).keys()
    found = {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*.txt")}
    assert found == {"p_f.dir/inner.txt": "deep", "p_c/x.txt": "x", "p_c/y.txt": "y"}
