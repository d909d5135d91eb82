"""Many files through one tool, and results copied to where a person wants them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

import napari_tool_runner as ntr
from jobs.conftest import INVERT, MakeTool
from napari_tool_runner.cli import main
from napari_tool_runner.config import load_config
from napari_tool_runner.errors import ParameterError, ToolRunnerError
from napari_tool_runner.jobs import (
    BatchItem,
    JobManager,
    batch,
    deliver,
    output_paths,
    plan_batch,
    run_batch,
)
from napari_tool_runner.names import file_name, file_stems

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


@given(st.lists(st.text(max_size=5) | st.text("aA_2é́.: /", max_size=4) | st.just("L" * 300)))
def test_files_of_no_two_calls_begin_alike(names: list[str]) -> None:
    stems = file_stems(names)
    files = [file_name(f"{stem}_output.tif").casefold() for stem in stems]
    assert len(set(files)) == len(names)
    assert all(name.endswith("_output.tif") for name in files)
    assert file_stems(["a1", "b.c", "Zellkern_é 漢"]) == ["a1", "b.c", "Zellkern_é 漢"]


def test_no_result_of_a_batch_takes_the_place_of_another(
    make_tool: MakeTool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # of the last two one output of each is called the same: y + b_c, y_b + c
    tool = make_tool(
        "import shutil, sys\nfor o in sys.argv[2:]: shutil.copy(sys.argv[1], o)",
        outputs='<data name="c" format="imagetiff"/><data name="b_c" format="imagetiff"/>',
        arguments="${i} ${c} ${b_c}",
    )
    long = "L" * 210
    names = ["t=0:1", "t=0_1", "caf\u00e9", "cafe\u0301", "A", "a", f"{long}_1", f"{long}_2"]
    folder = tmp_path / "in"
    folder.mkdir()
    for number, name in enumerate([*names, "y", "y_b"]):
        tifffile.imwrite(folder / f"{name}.tif", np.full((4, 5), number, np.uint8))
    out = str(tmp_path / "out")
    assert main(["batch", tool.uri, f"i={folder}/*.tif", "--output-dir", out, "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)
    *good, bad = rows
    assert (bad["stem"], bad["state"]) == ("y_b", "failed")
    assert "another result of this call" in bad["message"]
    assert [row.get("message") for row in good] == [None] * len(good)
    for source, row in zip(sorted(folder.iterdir()), good, strict=False):
        for output in row["outputs"].values():
            assert np.array_equal(tifffile.imread(output["path"]), tifffile.imread(source))
            assert output["path"].endswith(("_c.tif", "_b_c.tif"))


def test_no_result_of_a_sweep_takes_the_place_of_another(
    make_tool: MakeTool, tmp_path: Path
) -> None:
    options = "".join(f'<option value="{one}">{one}</option>' for one in ("a:b", "a/b", "a_b"))
    tool = make_tool(
        "import sys; open(sys.argv[2], 'w').write(sys.argv[1])",
        inputs=f'<param name="m" type="select">{options}</param>',
        outputs='<data name="o" format="txt"/>',
        arguments="${m} ${o}",
    )
    out = tmp_path / "out"
    assert main(["sweep", tool.uri, "--over", "m=a:b, a/b, a_b", "--output-dir", str(out)]) == 0
    assert sorted(file.read_text() for file in out.iterdir()) == ["a/b", "a:b", "a_b"]


@pytest.mark.parametrize(
    ("first", "second", "pairs", "told"),
    [
        ("lab_*.tif", "img_*.tif", ["1 1", "10 10", "2 2"], False),
        ("lab_?.tif", "img_[12].tif", ["1 1", "2 2"], False),
        ("*/lab.tif", "*/img.tif", ["p p", "q q"], False),
        ("**/lab.tif", "**/img.tif", ["p p", "q q"], False),
        ("*/lab.tif", "q*_of.tif", ["p q3", "q q4"], True),
    ],
)
def test_files_of_two_patterns_belong_together_by_what_wildcards_stand_for(
    make_tool: MakeTool, files: Path, first: str, second: str, pairs: list[str], told: bool
) -> None:
    made = [f"{kind}_{number}" for kind in ("lab", "img") for number in (1, 2, 10)]
    made += ["p/lab", "q/lab", "p/img", "q/img", "q3_of", "q4_of"]
    for name in made:
        (files / f"{name}.tif").parent.mkdir(exist_ok=True)
        (files / f"{name}.tif").touch()
    items = plan_batch(
        make_tool(INVERT, inputs=TWO), {"i": f"{files}/{first}", "j": f"{files}/{second}"}
    )
    names = [[Path(str(item.values[key])).relative_to(files) for key in "ij"] for item in items]
    seen = [
        " ".join(re.sub(r"lab|img|_|of|/|\.tif", "", str(name)) for name in pair) for pair in names
    ]
    assert seen == pairs
    assert {bool(item.notes) for item in items} == {told}


@pytest.mark.parametrize(
    ("patterns", "word"),
    [
        (("none*", "a1.tif"), "no file matches"),
        (("a*.tif", "*1.tif", "*.tif"), "i matches 2, j matches 4, k matches 9"),
        (("lab_*.tif", "img_*.tif"), r"without a partner: lab_0\.tif, img_9\.tif"),
    ],
)
def test_patterns_that_do_not_fit(
    make_tool: MakeTool, files: Path, patterns: tuple[str, ...], word: str
) -> None:
    for name in ("lab_0", "lab_1", "lab_2", "img_1", "img_2", "img_9"):
        (files / f"{name}.tif").touch()
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


def test_few_are_queued_however_many_there_are(
    make_tool: MakeTool, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = make_tool(
        """
        import pathlib, sys, time
        end = time.monotonic() + 30  # the first one lasts until the last one has begun
        while not pathlib.Path(sys.argv[1] + "/7").exists() and time.monotonic() < end:
            if sys.argv[2] != "0":
                pathlib.Path(sys.argv[1] + "/" + sys.argv[2]).touch()
                break
            time.sleep(0.02)
        pathlib.Path(sys.argv[3]).write_text(str(time.monotonic() < end))
        """,
        inputs='<param name="n" type="integer" value="0"/>',
        outputs='<data name="o" format="txt"/>',
        arguments=f"{files} ${{n}} ${{o}}",
    )
    monkeypatch.setattr(batch, "_QUEUED", 1)
    queued: list[object] = []
    submit = JobManager.submit

    def counted(self: JobManager, *args: Any, **more: Any) -> Any:
        queued.append(args)
        return submit(self, *args, **more)

    monkeypatch.setattr(JobManager, "submit", counted)
    items = [BatchItem(str(n), {"n": n}) for n in range(8)]
    config = load_config({"workspace": str(files / "jobs"), "runner": {"enclose": False}})
    ended = run_batch(tool, items, config=config, parallel=2)
    assert not queued
    item, job = next(ended)
    assert item.stem == "0"
    assert not isinstance(job, ToolRunnerError)
    assert job.result().outputs["o"].path.read_text() == "True"
    assert len(queued) == 8, "the others went on"
    assert [item.stem for item, _ in ended] == list("1234567")
    quick = run_batch(tool, items[1:], config=config, parallel=2)
    next(quick)
    assert len(queued) < 8 + 7, "not all at once"
    quick.close()


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
