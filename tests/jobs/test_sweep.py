"""Several values of a parameter: what they mean, their runs, what is seen, what stays."""

from __future__ import annotations

import csv
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

import napari_tool_runner as ntr
from napari_tool_runner.cli import main
from napari_tool_runner.config import load_config
from napari_tool_runner.errors import ParameterError, ToolFailedError, WorkspaceError
from napari_tool_runner.exchange import LoadedOutput, figures_of, thumbnail_of
from napari_tool_runner.jobs import (
    JobState,
    Sweep,
    axes_of,
    history,
    sweepable,
    told_values,
    write_table,
)
from napari_tool_runner.jobs.workspace import TRIED
from napari_tool_runner.tools import Tool, bind, read_tool
from napari_tool_runner.tools.effect import Condition
from napari_tool_runner.tools.model import (
    BooleanParameter,
    Case,
    Conditional,
    FloatParameter,
    IntegerParameter,
    LayerKind,
    Repeat,
    SelectOption,
    SelectParameter,
    TextParameter,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.conftest import MakeTool

ABOVE = """
import sys
import numpy as np, tifffile
image, level = tifffile.imread(sys.argv[1]), int(sys.argv[3])
if level == 13:
    sys.exit("an unlucky level")
tifffile.imwrite(sys.argv[2], np.where(image > level, image, 0).astype(np.uint16))
"""
LEVEL = (
    '<param name="i" type="data" format="imagetiff" label="Image"/>'
    '<param name="level" type="integer" value="4" min="0" max="100" label="Level"/>'
)
LABELS = '<data name="o" format="imagetiff" layer="labels" label="Parts"/>'


def parameters() -> Tool:
    method = SelectParameter(
        name="how",
        label="How",
        options=(SelectOption("Otsu", "otsu"), SelectOption("By hand, alone", "hand")),
        default="otsu",
    )
    inner = (FloatParameter(name="level", default=1.0),)
    return Tool(
        id="t",
        name="T",
        inputs=(
            FloatParameter(name="sigma", label="Sigma", default=2.0, minimum=0.5, unit="px"),
            IntegerParameter(name="n", default=0, minimum=-1),
            BooleanParameter(name="dark"),
            TextParameter(name="note", optional=True),
            Conditional(name="cond", test=method, cases=(Case("otsu", ()), Case("hand", inner))),
            Repeat(name="rep", items=(IntegerParameter(name="size", default=3),), default=2),
        ),
    )


@pytest.mark.parametrize(
    ("name", "told", "values"),
    [
        ("sigma", "1, 2,5,2", (1.0, 2.0, 5.0)),
        ("sigma", "0.5:1.5:0.25", (0.5, 0.75, 1.0, 1.25, 1.5)),
        ("sigma", "0.6:0.8:0.1, 9", (0.6, 0.7, 0.8, 9.0)),
        ("sigma", "5:1:-2", (5.0, 3.0, 1.0)),
        ("sigma", "1:100:3 log", (1.0, 10.0, 100.0)),
        ("sigma", "1:2:3lin", (1.0, 1.5, 2.0)),
        ("sigma", [1, "2"], (1.0, 2.0)),
        ("n", "1:3", (1, 2, 3)),
        ("n", "1:10:4 log", (1, 2, 5, 10)),
        ("dark", "no, yes", (False, True)),
        ("how", "Otsu; By hand, alone", ("otsu", "hand")),
        ("cond|how", "hand", ("hand",)),
        ("rep_1|size", "1,2", (1, 2)),
    ],
)
def test_what_a_text_of_values_means(name: str, told: str, values: tuple[object, ...]) -> None:
    tool = parameters()
    (axis,) = axes_of(tool, bind(tool), {name: told})
    assert axis.values == pytest.approx(values) if name == "sigma" else axis.values == values


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"sigma": "0.1, 1"}, "0.1: “Sigma” must"),
        ({"sigma": "1:2:0"}, "1:2:0 is no range"),
        ({"sigma": "2:1:1"}, "is no range"),
        ({"sigma": "0:10:3 log"}, "is no range"),
        ({"sigma": "1:nan"}, "is no range"),
        ({"sigma": "a:b:c"}, "is no range"),
        ({"sigma": "x"}, "must be a number"),
        ({"sigma": " , "}, "needs values"),
        ({"n": "1.5"}, "whole number"),
        ({"how": "triangle"}, "triangle"),
        ({"note": "a, b"}, "cannot be swept"),
        ({"sigmo": "1"}, "Did you mean “sigma”"),
        ({"level": "1"}, "does not apply"),
        ({"size": "1"}, "size"),
        ({"n": "0:1000000000:1"}, "a sweep has 100 at most"),
        ({"n": "1:20", "sigma": "1:10"}, "10 × 20 values are 200 runs"),
    ],
)
def test_values_that_cannot_be_swept_are_refused(over: dict[str, str], said: str) -> None:
    tool = parameters()
    with pytest.raises(ParameterError, match=said.replace("×", ".")):
        axes_of(tool, bind(tool), over)


def test_what_is_proposed_can_be_swept() -> None:
    tool = parameters()
    values = bind(tool, {"cond|how": "hand"})
    found = sweepable(tool, values)
    names = ["sigma", "n", "dark", "cond|how", "cond|level", "rep_0|size", "rep_1|size"]
    assert [leaf.name for leaf in found] == names
    for leaf in found:
        (axis,) = axes_of(tool, values, {leaf.name: told_values(leaf.parameter, leaf.value)})
        assert len(axis.values) > 1


@pytest.fixture
def image() -> np.ndarray:
    found = np.zeros((40, 60), np.uint16)
    found[2:10, 2:10], found[20:30, 20:30], found[32:38, 40:50] = 5, 15, 60
    return found


def test_each_combination_is_run_and_looked_at(
    make_tool: MakeTool, config: dict[str, object], image: np.ndarray
) -> None:
    tool = make_tool(ABOVE, inputs=LEVEL, outputs=LABELS, arguments="${i} ${o} ${level}")
    told = threading.Event()
    sweep = Sweep(tool, {"level": "0, 10, 13, 50"}, {"i": image}, config=config, told=told.set)
    sweep.finish()
    assert told.is_set()
    states = [cell.state for cell in sweep.cells]
    assert states == [JobState.DONE, JobState.DONE, JobState.FAILED, JobState.DONE]
    assert "an unlucky level" in sweep.cells[2].message
    counts = [cell.figures.get("object count") for cell in sweep.cells]
    assert counts == [3, 2, None, 1]
    first = sweep.cells[0].thumbnails["o"]
    assert first.labels
    np.testing.assert_array_equal(first.pixels, image)
    table = sweep.columns()
    assert table["level"] == [0, 10, 13, 50]
    assert table["object count"] == counts
    assert not any(name.startswith("file of") for name in table)


def test_runs_are_in_no_history_and_go_unless_one_is_kept(
    make_tool: MakeTool, config: dict[str, object], image: np.ndarray
) -> None:
    tool = make_tool(ABOVE, inputs=LEVEL, outputs=LABELS, arguments="${i} ${o} ${level}")
    place = load_config(config).workspaces
    sweep = Sweep(tool, {"level": [0, 10]}, {"i": image}, config=config)
    sweep.finish()
    assert history(place) == []
    thrown, kept = (cell.job for cell in sweep.cells)
    assert thrown is not None
    assert kept is not None
    result = kept.kept_result()
    np.testing.assert_array_equal(result.outputs["o"].data, np.where(image > 10, image, 0))
    (record,) = history(place)
    assert record.id == kept.id
    assert record.state is JobState.DONE
    assert record.parameters["level"] == 10
    sweep.close()
    _until(lambda: not thrown.workspace.root.exists())
    assert kept.workspace.root.is_dir()
    assert not (kept.workspace.root / TRIED).exists()


def test_files_that_take_all_room_go_at_once(
    make_tool: MakeTool, config: dict[str, object], image: np.ndarray
) -> None:
    tool = make_tool(ABOVE, inputs=LEVEL, outputs=LABELS, arguments="${i} ${o} ${level}")
    little = {**config, "jobs": {"disk": 1, "cache": False}}
    sweep = Sweep(tool, {"level": [0, 10]}, {"i": image}, config=little)
    sweep.finish()
    for cell in sweep.cells:
        assert cell.state is JobState.DONE
        assert cell.thumbnails
        assert cell.job is not None
        assert not cell.job.workspace.root.exists()
        with pytest.raises(WorkspaceError):
            cell.job.kept_result()


def test_what_a_killed_session_left_is_known(
    make_tool: MakeTool, config: dict[str, object], image: np.ndarray
) -> None:
    tool = make_tool(ABOVE, inputs=LEVEL, outputs=LABELS, arguments="${i} ${o} ${level}")
    sweep = Sweep(tool, {"level": [0]}, {"i": image}, config=config)
    sweep.finish()
    job = sweep.cells[0].job
    assert job is not None
    mark = job.workspace.root / TRIED
    boot, pid, began = mark.read_text().split(" ")
    mark.write_text(f"{boot} {pid} {int(began) + 1}")  # a process that had the number before
    (record,) = history(load_config(config).workspaces)
    assert record.state is JobState.INTERRUPTED
    sweep.close()
    _until(lambda: not job.workspace.root.exists())


def test_all_runs_are_cancelled_as_one(
    make_tool: MakeTool, config: dict[str, object], image: np.ndarray
) -> None:
    slow = "import time\ntime.sleep(60)"
    tool = make_tool(slow, inputs=LEVEL, outputs=LABELS)
    sweep = Sweep(tool, {"level": "1:6"}, {"i": image}, config=config)
    sweep.start()
    _until(lambda: any(cell.state is JobState.RUNNING for cell in sweep.cells))
    sweep.cancel()
    _until(lambda: not sweep.working)
    assert {cell.state for cell in sweep.cells} == {JobState.CANCELLED}
    sweep.close()
    roots = [cell.job.workspace.root for cell in sweep.cells if cell.job is not None]
    _until(lambda: not any(root.exists() for root in roots))


GALAXY = """<tool id="copies" name="Copies" version="1" profile="23.0">
<command>cp '$i' '$o'</command>
<inputs><param name="i" type="data" format="tiff"/>
<conditional name="c"><param name="how" type="select">
<option value="a" selected="true">A</option><option value="b">B</option></param>
<when value="a"><param name="level" type="integer" value="1"/></when>
<when value="b"><param name="other" type="integer" value="2"/></when></conditional></inputs>
<outputs><data name="o" format="tiff"/></outputs></tool>"""


def test_a_choice_takes_what_belongs_to_another_case_away(
    tmp_path: Path, config: dict[str, object], image: np.ndarray
) -> None:
    descriptor = tmp_path / "tools" / "copies.xml"
    descriptor.write_text(GALAXY)
    tool = read_tool(descriptor)
    sweep = Sweep(tool, {"how": ["a", "b"]}, {"i": image, "c|level": 7}, config=config)
    sweep.finish()
    given = [cell.job.request.values["c"] for cell in sweep.cells if cell.job is not None]
    assert given == [{"how": "a", "level": 7}, {"how": "b", "other": 2}]
    both = Sweep(tool, {"how": ["a", "b"], "level": [1]}, {"i": image}, config=config)
    both.finish()
    assert [cell.state for cell in both.cells] == [JobState.DONE, JobState.FAILED]
    assert "does not apply" in both.cells[1].message
    for one in (sweep, both):
        one.close()


EFFECT = (
    '<param name="i" type="data" format="imagetiff" label="Image"/>'
    '<param name="level" type="integer" value="4" applies="how=above" label="Level"/>'
    '<param name="how" type="select" label="How"><option value="all">All</option>'
    '<option value="above">Above</option></param>'
)
ALL_OR_ABOVE = """
import sys
import numpy as np, tifffile
image = tifffile.imread(sys.argv[1])
level = int(sys.argv[3]) if sys.argv[4] == "above" else -1
tifffile.imwrite(sys.argv[2], np.where(image > level, image, 0).astype(np.uint16))
"""


def test_a_value_counts_in_the_cells_where_it_has_an_effect(
    make_tool: MakeTool, config: dict[str, object], image: np.ndarray
) -> None:
    arguments = "${i} ${o} ${level} ${how}"
    tool = make_tool(ALL_OR_ABOVE, inputs=EFFECT, outputs=LABELS, arguments=arguments)
    sweep = ntr.sweep(tool, {"how": ["all", "above"]}, config=config, i=image, level=10)
    found = [cell.result().outputs["o"].data for cell in sweep.cells]
    np.testing.assert_array_equal(found[0], image)
    np.testing.assert_array_equal(found[1], np.where(image > 10, image, 0))
    records = [cell.result().record["parameters"] for cell in sweep.cells]
    assert records == [{"how": "all"}, {"level": 10, "how": "above"}]
    both = ntr.sweep(tool, {"how": "all, above", "level": "3, 10"}, config=config, i=image)
    assert [len(np.unique(cell.result().outputs["o"].data)) for cell in both.cells] == [
        len(np.unique(np.where(image > level, image, 0))) for level in (-1, 3, -1, 10)
    ]
    with pytest.raises(ParameterError, match="“Level” has no effect with these values"):
        ntr.sweep(tool, {"level": [1, 2]}, config=config, i=image)


def test_a_cell_whose_values_do_not_go_together_ends_no_sweep(
    tmp_path: Path, config: dict[str, object], image: np.ndarray
) -> None:
    descriptor = tmp_path / "tools" / "copies.xml"
    more = '<param name="deep" type="boolean"/><param name="far" type="boolean"/></inputs>'
    descriptor.write_text(GALAXY.replace("</inputs>", more))
    tool = read_tool(descriptor)
    *others, far = tool.inputs
    assert isinstance(far, BooleanParameter)
    far = replace(far, applies=(Condition("deep", (True,)),))
    tool = replace(tool, inputs=(*others, far))
    over = {"how": ["a", "b"], "level": [1], "far": [True]}
    sweep = Sweep(tool, over, {"i": image, "deep": True}, config=config)
    sweep.finish()
    assert [cell.state for cell in sweep.cells] == [JobState.DONE, JobState.FAILED]
    sweep.close()


def test_a_value_in_vain_is_told_and_leaves_no_trace(
    make_tool: MakeTool, config: dict[str, object], image: np.ndarray
) -> None:
    arguments = "${i} ${o} ${level} ${how}"
    tool = make_tool(ALL_OR_ABOVE, inputs=EFFECT, outputs=LABELS, arguments=arguments)
    with pytest.warns(UserWarning, match="“Level” has no effect while “How” is “All”"):
        result = ntr.run(tool, config=config, i=image, level=10)
    assert result.record["parameters"] == {"how": "all"}
    assert result.record["command"]["argv"][-2:] == ["4", "all"]
    told = "“Level” has no effect while “How” is “All”."
    assert told in result.log.read_text()


def test_from_a_script(make_tool: MakeTool, config: dict[str, object], image: np.ndarray) -> None:
    tool = make_tool(ABOVE, inputs=LEVEL, outputs=LABELS, arguments="${i} ${o} ${level}")
    sweep = ntr.sweep(tool, {"level": [0, 10]}, config=config, i=image)
    table = sweep.table()
    assert list(table.columns)[:3] == ["level", "state", "seconds"]
    assert len(table) == 2
    assert [Path(str(path)).is_file() for path in table["file of o"]] == [True, True]
    assert len(history(load_config(config).workspaces)) == 2
    found = sweep.cells[1].result().outputs["o"].data
    np.testing.assert_array_equal(found, np.where(image > 10, image, 0))
    with pytest.raises(ParameterError, match="Level"):
        ntr.sweep(tool, {"level": [101]}, config=config, i=image)


def test_all_that_is_public_fits_a_screen(
    make_tool: MakeTool, config: dict[str, object], image: np.ndarray
) -> None:
    many = "".join(
        f'<param name="{"n" * 50}{number}" value="1" type="integer"/>' for number in range(60)
    )
    tool = make_tool(ABOVE, inputs=LEVEL + many, outputs=LABELS, arguments="${i} ${o} ${level}")
    sweep = ntr.sweep(tool, {"level": [0, 10]}, config=config, i=image)
    job = sweep.cells[0].job
    assert job is not None
    given = [tool, sweep, job, job.result(), ntr.load_toolbox(), ntr.ToolRunnerError("No.")]
    given += [ToolFailedError("No.", tool="t", argv=["x" * 900] * 90, log_tail="y\n" * 900)]
    public = [one for name in ntr.__all__ if isinstance(one := getattr(ntr, name), type)]
    assert {*public} <= {base for one in given for base in type(one).__mro__}
    for one in [*given, sweep.cells[0], *sweep.table().head()]:
        told = repr(one)
        assert " object at 0x" not in told
        assert len(told) <= 2000
        assert told.count("\n") < 30
    assert repr(sweep) == f"<Sweep of {tool.id}: 2 level, 2 of 2 have ended>"


def test_from_the_command_line(
    tmp_path: Path, image: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", image)
    line = ["sweep", "threshold", f"input={tmp_path / 'a.tif'}", "method=manual"]
    table = ["--table", str(tmp_path / "out.csv"), "--output-dir", str(tmp_path / "out")]
    assert main([*line, "--over", "value=0,10", "--over", "objects=bright", *table]) == 0
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["value"] for row in rows] == ["0.0", "10.0"]
    assert [row["objects"] for row in rows] == ["bright", "bright"]
    assert float(rows[0]["covered %"]) > float(rows[1]["covered %"]) > 0
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [f"value_{n}_objects_bright_output.tif" for n in ("0.0", "10.0")]
    assert rows[0]["file of output"] == str(tmp_path / "out" / names[0])
    assert "2 of 2 done" in capsys.readouterr().err
    assert main(line) == 2


def test_small_pictures_are_means_and_labels_keep_their_numbers() -> None:
    image = np.zeros((3, 600, 1100), np.float32)
    image[1, ::2] = 2
    small = thumbnail_of(LoadedOutput(image, LayerKind.IMAGE, {}))
    assert small is not None
    assert max(small.pixels.shape) <= 256
    assert small.pixels.mean() == pytest.approx(1, abs=0.3)
    labels = np.zeros((2000, 30), np.int32)
    labels[:, 5:25] = 70_000
    marked = thumbnail_of(LoadedOutput(labels, LayerKind.LABELS, {}))
    assert marked is not None
    assert set(np.unique(marked.pixels)) == {0, 70_000}
    colours = np.zeros((5, 40, 40, 3), np.uint8)
    rgb = thumbnail_of(LoadedOutput(colours, LayerKind.IMAGE, {"rgb": True}))
    assert rgb is not None
    assert rgb.pixels.shape == (40, 40, 3)
    assert thumbnail_of(LoadedOutput(np.zeros((0, 4)), LayerKind.IMAGE, {})) is None
    empty = thumbnail_of(LoadedOutput(np.full((4, 4), np.nan), LayerKind.IMAGE, {}))
    assert empty is not None
    assert (empty.low, empty.high) == (0, 0)
    assert thumbnail_of(LoadedOutput(np.zeros((4, 2)), LayerKind.POINTS, {})) is None


def test_figures_of_each_kind() -> None:
    table = {"area": np.array([1.0, 3, np.nan, 8]), "name": np.array(["a", "b", "c", "d"])}
    assert figures_of(LoadedOutput(table, LayerKind.TABLE, {})) == {
        "rows": 4,
        "mean area": 4,
        "median area": 3,
        "sum area": 12,
    }
    assert figures_of(LoadedOutput(np.zeros((7, 2)), LayerKind.POINTS, {})) == {"object count": 7}
    labels = np.array([[0, 0, 3], [9, 9, 3]])
    assert figures_of(LoadedOutput(labels, LayerKind.LABELS, {})) == {
        "object count": 2,
        "covered %": pytest.approx(200 / 3),
    }
    mask = figures_of(LoadedOutput(labels > 3, LayerKind.LABELS, {}))
    assert next(iter(mask)) == "covered %"


def test_a_table_is_written_whole(tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv", {"a": [1, 2], "b": ["x, y", None]})
    assert (tmp_path / "t.csv").read_text() == 'a,b\n1,"x, y"\n2,\n'


def _until(condition: Callable[[], bool]) -> None:
    done = threading.Event()
    for _ in range(1000):
        if condition():
            return
        done.wait(0.02)
    raise AssertionError("it did not come to that")
