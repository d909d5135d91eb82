"""What "Copy as …" gives is executed as a person would, and gives the same pixels."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel

import napari_tool_runner as ntr
from napari_tool_runner import cli
from napari_tool_runner.config import load_config
from napari_tool_runner.jobs import (
    Extent,
    add_result,
    as_command,
    as_given,
    as_json,
    as_python,
    named_layers,
    prepare,
    read_record,
    remembered,
    rerun,
    run_job,
)
from napari_tool_runner.tools import find_tool

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.conftest import MakeTool
    from napari_tool_runner.jobs import JobResult, RunRecord

IMAGE = np.arange(60, dtype=np.uint8).reshape(6, 10)
SCALE = """
import sys, tifffile, json
argument = dict(word.split("=", 1) for word in sys.argv[3:])
image = tifffile.imread(sys.argv[1]).astype("float32")
if argument["on"] == "yes":
    image = image * float(argument["factor"]) + len(argument["text"])
tifffile.imwrite(sys.argv[2], image)
"""
INPUTS = """
<param name="i" type="data" format="tiff" label="Image"/>
<param name="factor" type="float" value="1"/>
<param name="offset" type="integer" optional="true"/>
<param name="text" type="text" value="a"/>
<conditional name="cond"><param name="mode" type="select"><option value="no">no</option>
<option value="yes">yes</option></param><when value="no"/><when value="yes">
<param name="deep" type="boolean" truevalue="yes" falsevalue="no"/></when></conditional>
"""
ARGUMENTS = "'$i' '$o' 'factor=$factor' 'text=$text' on=$cond.deep"


def entry_of(result: JobResult) -> RunRecord:
    assert result.record  # waits for the hashes
    return read_record(result.workspace / "record.json")


def environment(tmp_path: Path) -> dict[str, str]:
    """A shell that has nothing of this process but the package, and its own workspace."""
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"workspace": str(tmp_path / "copied")}))
    sources = str(Path(ntr.__file__).parents[1])
    return {
        **os.environ,
        "NAPARI_TOOL_RUNNER_CONFIG": str(config),
        "PYTHONPATH": sources,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }


def printed(command: list[str], tmp_path: Path) -> str:
    """Run a command that goes well, and return what it prints."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=environment(tmp_path),
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def execute(text: str, tmp_path: Path, *, shell: bool) -> np.ndarray:
    """Run what was copied, in another process and folder; return the image it made."""
    printed(["bash", "-c", text] if shell else [sys.executable, "-c", text], tmp_path)
    (path,) = (tmp_path / "copied").glob("*/*/io/outputs/*.tif*")
    return tifffile.imread(path)


@pytest.fixture
def tricky(make_tool: MakeTool, config: dict[str, object]) -> JobResult:
    """Spaces, quotes in names, a conditional, a number that is not set, one of many digits."""
    tool = make_tool(
        SCALE,
        inputs=INPUTS,
        outputs='<data name="o" format="tiff"/>',
        arguments=ARGUMENTS,
        name="scale",
        root='profile="22.05"',
    )
    layer = (IMAGE, {"name": "it's “a” cell", "scale": (0.5, 0.5)}, "image")
    values = {
        "i": layer,
        "factor": 0.1 + 0.2,
        "text": "two words, no more",
        "cond": {"mode": "yes", "deep": True},
    }
    return ntr.run(tool, values=values, config=config)


@pytest.mark.parametrize("how", ["python", "command"])
def test_copied_and_executed(how: str, tricky: JobResult, tmp_path: Path) -> None:
    text = as_python(entry_of(tricky)) if how == "python" else as_command(entry_of(tricky))
    again = execute(text, tmp_path, shell=how == "command")
    before = np.asarray(tricky.outputs["o"].data)
    np.testing.assert_array_equal(again, before)
    assert before[0, 1] == pytest.approx(0.3 + len("two words, no more"))


def test_a_shipped_tool_is_called_by_its_id(config: dict[str, object], tmp_path: Path) -> None:
    result = ntr.run("gaussian_filter", input=IMAGE.astype(float), sigma=1.5, config=config)
    text = as_python(entry_of(result))
    assert "'gaussian_filter'" in text
    (output,) = result.outputs.values()
    np.testing.assert_array_equal(execute(text, tmp_path, shell=False), np.asarray(output.data))


@pytest.mark.parametrize("how", ["python", "command"])
def test_slices_are_taken_apart_again(
    how: str, make_tool: MakeTool, config: dict[str, object], tmp_path: Path
) -> None:
    tool = make_tool(
        "import sys, tifffile\nimage = tifffile.imread(sys.argv[1])\nassert image.ndim == 2\n"
        "tifffile.imwrite(sys.argv[2], image.max() - image)\n"
    )
    stack = np.stack([IMAGE, IMAGE // 2, IMAGE // 3])
    job = prepare(tool, {"i": stack}, config=config, extent=Extent("each"))
    first = run_job(job)
    entry = entry_of(first)
    text = as_python(entry) if how == "python" else as_command(entry)
    again = execute(text, tmp_path, shell=how == "command")
    assert again.shape == stack.shape
    np.testing.assert_array_equal(again, np.asarray(first.outputs["o"].data))


def test_json_is_the_record(tricky: JobResult) -> None:
    entry = entry_of(tricky)
    told = json.loads((tricky.workspace / "record.json").read_text(encoding="utf-8"))
    assert told.pop("seal")  # of this installation and that place alone
    assert json.loads(as_json(entry)) == told


def test_several_files_and_odd_numbers(tmp_path: Path) -> None:
    from napari_tool_runner.jobs import RunRecord

    inputs = [
        {"name": "i", "label": "a", "path": "inputs/a.tif", "source": ""},
        {"name": "i", "label": "b", "path": "inputs/b b.tif", "source": ""},
    ]
    record = {
        "id": "1",
        "tool": {"id": "t", "name": "T", "version": "1", "descriptor": "gone.xml"},
        "runner": {"service": "LOCAL"},
        "inputs": inputs,
        "parameters": {"x": float("inf"), "m": ["a", "b"], "empty": None, "secret": 1},
        "hidden": ["secret"],
    }
    entry = RunRecord.from_json(record, tmp_path)
    seen: dict[str, object] = {}
    text = as_python(entry).split("for name, output")[0].replace("import run", "import run as _")
    exec(text, {"run": lambda tool, **more: seen.update(tool=tool, **more)})
    assert seen["tool"] == "t"
    assert seen["values"] == {
        "i": [str(tmp_path / "inputs/a.tif"), str(tmp_path / "inputs/b b.tif")],
        "x": float("inf"),
        "m": ["a", "b"],
        "empty": None,
    }
    command = as_command(entry)
    assert f"'i={tmp_path}/inputs/b b.tif'" in command
    assert "m=a m=b" in command
    assert "empty" not in command


def test_the_original_is_named_when_the_copy_is_gone(
    make_tool: MakeTool, config: dict[str, object], tmp_path: Path
) -> None:
    source = tmp_path / "mine.tif"
    tifffile.imwrite(source, IMAGE)
    result = ntr.run(
        make_tool("import sys, shutil\nshutil.copy(*sys.argv[1:3])"), i=source, config=config
    )
    entry = entry_of(result)
    assert str(source) not in as_command(entry)
    shutil.rmtree(entry.folder / "io" / "inputs")
    assert str(source) in as_command(entry)


@pytest.mark.parametrize("option", ["--config", "--output-dir", "--path", "-v", "--runner"])
@pytest.mark.parametrize("place", ["parameter", "tool", "service", "input"])
def test_a_strangers_record_gives_a_command_no_option(
    option: str, place: str, tmp_path: Path
) -> None:
    """Who pastes the command of a record consents to its tool, to nothing else."""
    record = {
        "id": "1",
        "tool": {"id": "t", "name": "T", "version": "1", "descriptor": "gone.xml"},
        "runner": {"service": "LOCAL"},
        "inputs": [],
        "parameters": {"x": 1},
    }
    evil = f"{option}=/evil/c.json"
    record |= {
        "parameter": {"parameters": {option: "/evil/c.json"}},
        "tool": {"tool": {"id": evil, "name": "T", "version": "1", "descriptor": "gone.xml"}},
        "service": {"runner": {"service": evil}},
        "input": {"inputs": [{"name": option, "label": "a", "path": "a.tif", "source": ""}]},
    }[place]
    from napari_tool_runner.jobs import RunRecord

    words = shlex.split(as_command(RunRecord.from_json(record, tmp_path)))
    assert words[:2] == ["napari-tool-runner", "run"]
    plain = vars(cli._arguments(["run", "t"]))
    told = vars(cli._arguments(words[1:]))
    harmless = {"tool", "values", "runner"}
    assert {k: v for k, v in told.items() if k not in harmless} == {
        k: v for k, v in plain.items() if k not in harmless
    }
    assert told["runner"] == (evil if place == "service" else "LOCAL")


@pytest.mark.parametrize("multiple", [False, True])
def test_axes_that_a_file_cannot_tell_are_copied_too(
    multiple: bool, make_tool: MakeTool, config: dict[str, object], tmp_path: Path
) -> None:
    tool = make_tool(
        "import sys, numpy\nnumpy.save(open(sys.argv[2], 'wb'), numpy.load(sys.argv[1]) + 1)\n",
        inputs=f'<param name="i" type="data" format="npy" multiple="{str(multiple).lower()}"/>',
        outputs='<data name="o" format="npy" layer="image"/>',
    )
    np.save(tmp_path / "a.npy", np.zeros((2, 3, 4)))
    value = (tmp_path / "a.npy", {"axis_labels": "tyx"})
    result = ntr.run(tool, i=value, config=config)
    entry = entry_of(result)
    (given,) = entry.inputs
    assert as_given(given) == (str(given.path), {"axis_labels": "tyx"})
    assert f"'i': ('{given.path}', {{'axis_labels': 'tyx'}})" in as_python(entry)
    line = shlex.split(as_command(entry))
    assert {f"i={given.path}", "--axes=i=tyx"} <= {*line}
    again, _ = rerun(entry, load_config(config))
    assert run_job(again).outputs["o"].as_layer_data_tuple()[1]["axis_labels"] == ("t", "y", "x")


# -- the chain that led to a result ---------------------------------------------------------


def blobs() -> np.ndarray:
    image = np.zeros((40, 44), np.uint16)
    for row, column, size in ((4, 5, 6), (20, 9, 9), (12, 30, 5), (30, 28, 8)):
        image[row : row + size, column : column + size] = 1000 * size
    return image


@pytest.fixture
def viewer() -> ViewerModel:
    viewer = ViewerModel()
    viewer.add_image(blobs(), name="cells", scale=(0.5, 0.5), units=("um", "um"))
    return viewer


def record_of(layer: object) -> RunRecord:
    told = remembered(layer)
    assert told is not None
    return read_record(told.path)


def last_files(text: str, tmp_path: Path) -> dict[str, Path]:
    """Run what was copied, in another process; return the files that it prints."""
    told = printed([sys.executable, "-c", text], tmp_path)
    lines = [line.partition(" ") for line in told.splitlines()]
    return {name: Path(path) for name, _, path in lines}


def called(text: str) -> list[str]:
    return [line.split(" = ")[0] for line in text.splitlines() if line.endswith(" = run(")]


def test_all_that_led_to_a_result_is_copied(
    viewer: ViewerModel, config: dict[str, object], tmp_path: Path
) -> None:
    run = ntr.run_in_viewer
    (smooth,) = run(viewer, "gaussian_filter", input="cells", sigma=1, config=config)
    (mask,) = run(viewer, "threshold", input=smooth, objects="bright", config=config)
    (sharp,) = run(viewer, "gaussian_filter", input=smooth, sigma=0.5, config=config)
    (labels,) = run(viewer, "label_components", input=mask, config=config)
    run(viewer, "measure_regions", labels=labels, image=sharp, config=config)
    (folder,) = (tmp_path / "jobs" / "measure_regions").iterdir()
    entry = read_record(folder / "record.json")
    text = as_python(entry)
    assert called(text) == [
        "gaussian_filter", "threshold", "label_components", "gaussian_filter_2", "measure_regions",
    ]  # fmt: skip
    assert "'image': gaussian_filter_2.outputs['output']," in text
    assert text.count("/io/inputs/") == 1  # that of the layer that was there first
    assert text.count("“cells” is a layer that no tool made") == 1
    (table,) = last_files(text, tmp_path).values()
    assert table.read_text() == entry.output_paths()["table"].read_text()
    assert len(table.read_text().splitlines()) == 5


def test_what_was_changed_by_hand_is_told_and_read_from_its_file(
    viewer: ViewerModel, config: dict[str, object], tmp_path: Path
) -> None:
    (mask,) = ntr.run_in_viewer(viewer, "threshold", input="cells", config=config)
    mask.data_setitem((np.array([0, 1]), np.array([40, 40])), 1)
    (labels,) = ntr.run_in_viewer(viewer, "label_components", input=mask, config=config)
    text = as_python(record_of(labels))
    assert called(text) == ["label_components"]
    assert f"# “{mask.name}” is a layer that no tool made, or that was changed since." in text
    (path,) = last_files(text, tmp_path).values()
    np.testing.assert_array_equal(tifffile.imread(path), labels.data)
    assert labels.data.max() == 5


@pytest.mark.parametrize(
    ("first", "written"), [("threshold", True), ("threshold", False), ("detect_spots", True)]
)
def test_what_was_written_to_without_an_event_is_not_what_the_tool_made(
    first: str, written: bool, viewer: ViewerModel, config: dict[str, object]
) -> None:
    (made,) = ntr.run_in_viewer(viewer, first, input="cells", config=config)
    made.data[0:2] = made.data[0:2] + written
    made.refresh()
    (second, given) = {
        "threshold": ("label_components", "input"),
        "detect_spots": ("count_points", "points"),
    }[first]
    more = {"labels": np.ones((40, 44), np.uint8)} if given == "points" else {}
    (last, *_) = ntr.run_in_viewer(viewer, second, values={given: made, **more}, config=config)
    text = as_python(record_of(last))
    assert called(text) == ([second] if written else [first, second])
    told = f"# “{made.name}” is a layer that no tool made, or that was changed since."
    assert (told in text) is written


def test_points_and_their_features_are_followed_until_they_change(
    viewer: ViewerModel, config: dict[str, object]
) -> None:
    movie = np.stack([blobs(), np.roll(blobs(), 1, 0), np.roll(blobs(), 2, 0)])
    viewer.add_image(movie, name="movie", axis_labels=("t", "y", "x"))
    run = ntr.run_in_viewer
    (spots,) = run(viewer, "detect_spots", input="movie", sigma=3, config=config)
    given = {"distance": 4, "min_length": 2, "config": config}
    (tracks,) = run(viewer, "track_points", points=spots, **given)
    assert called(as_python(record_of(tracks))) == ["detect_spots", "track_points"]
    spots.features = spots.features.assign(kind="mine")
    (tracks,) = run(viewer, "track_points", points=spots, **given)
    assert called(as_python(record_of(tracks))) == ["track_points"]


def test_what_is_gone_is_told_and_the_job_has_its_own_copy(
    viewer: ViewerModel, config: dict[str, object], tmp_path: Path
) -> None:
    (smooth,) = ntr.run_in_viewer(viewer, "gaussian_filter", input="cells", config=config)
    (mask,) = ntr.run_in_viewer(viewer, "threshold", input=smooth, config=config)
    (labels,) = ntr.run_in_viewer(viewer, "label_components", input=mask, config=config)
    entry, first = record_of(labels), record_of(smooth)
    shutil.rmtree(first.folder / "io" / "inputs")
    text = as_python(entry)
    assert called(text) == ["threshold", "label_components"]
    assert "was made by another job: what that began with is gone." in text
    shutil.rmtree(record_of(mask).folder)
    text = as_python(entry)
    assert called(text) == ["label_components"]
    assert "was made by another job: its record is gone." in text
    (path,) = last_files(text, tmp_path).values()
    np.testing.assert_array_equal(tifffile.imread(path), labels.data)


def test_an_element_of_a_collection_and_a_path_are_followed(
    config: dict[str, object], tmp_path: Path
) -> None:
    labels = np.zeros((20, 20), np.int32)
    labels[2:6, 2:6], labels[10:18, 10:18] = 1, 2
    sorted_ = ntr.run("sort_objects", labels=labels, config=config, count=2)
    large = sorted_.outputs["classes"].elements["class_2"]
    filled = ntr.run("fill_holes", input=large.path, config=config)
    text = as_python(entry_of(filled))
    assert called(text) == ["sort_objects", "fill_holes"]
    assert "sort_objects.outputs['classes'].elements['class_2'].path" in text
    (path,) = last_files(text, tmp_path).values()
    np.testing.assert_array_equal(tifffile.imread(path), filled.outputs["output"].data)


@pytest.mark.parametrize("name", ["import os", "1st", "class", "run", "Ünï-ß", "a\nimport os"])
def test_a_variable_is_a_name_whatever_the_tool_is_called(name: str, tmp_path: Path) -> None:
    from napari_tool_runner.jobs import RunRecord

    told = {
        "id": "1",
        "tool": {"id": name, "name": name, "version": name, "descriptor": "gone.xml"},
        "runner": {"service": "LOCAL"},
        "inputs": [],
        "parameters": {},
    }
    text = as_python(RunRecord.from_json(told, tmp_path))
    (variable,) = called(text)
    assert variable.isidentifier()
    assert variable.isascii()
    compile(text, "copied", "exec")
    assert not any(line.startswith("import ") for line in text.splitlines())


def test_records_of_others_are_not_followed(
    viewer: ViewerModel, config: dict[str, object]
) -> None:
    (smooth,) = ntr.run_in_viewer(viewer, "gaussian_filter", input="cells", config=config)
    (mask,) = ntr.run_in_viewer(viewer, "threshold", input=smooth, config=config)
    path = record_of(smooth).path
    told = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**told, "seal": "forged"}), encoding="utf-8")
    text = as_python(record_of(mask))
    assert called(text) == ["threshold"]
    assert "its record is gone" in text


# -- what a copied script gives is what the window gave -------------------------------------

PLACED = """
import json
def told(layer):
    data, attributes, kind = layer
    rows = {name: list(map(str, column)) for name, column in data.items()} \\
        if kind == "table" else data.tolist()
    names = ("scale", "translate", "units")
    place = {name: list(map(str, attributes.get(name, ()))) for name in names}
    return {"kind": kind, "data": rows, **place}
"""
Told = dict[str, object]


def told_here(result: JobResult) -> list[Told]:
    space: dict[str, Callable[[object], Told]] = {}
    exec(PLACED, {}, space)
    return [json.loads(json.dumps(space["told"](layer))) for layer in result.layers()]


def told_there(text: str, tmp_path: Path) -> list[Told]:
    """Run what was copied, in another process; return what its last step made."""
    (last,) = re.findall(r"^for name, output in (\w+)\.outputs", text, re.MULTILINE)
    more = f"{PLACED}print(json.dumps([told(one) for one in {last}.layers()]))"
    found: list[Told] = json.loads(
        printed([sys.executable, "-c", text + more], tmp_path).split("\n")[-2]
    )
    return found


@pytest.fixture
def step(viewer: ViewerModel, config: dict[str, object]) -> Callable[..., JobResult]:
    """A step of the window: its result is shown in the viewer, and returned."""

    def go(tool: str, extent: Extent | None = None, **values: object) -> JobResult:
        given = named_layers(viewer, find_tool(tool), values)
        job = prepare(tool, given, config=config, extent=extent)
        result = run_job(job)
        add_result(viewer, result, job)
        return result

    return go


def same_when_copied(result: JobResult, tmp_path: Path, calls: list[str]) -> None:
    text = as_python(entry_of(result))
    assert re.findall(r"^(\w+) = run(?:_job)?\(", text, re.MULTILINE) == calls
    assert told_there(text, tmp_path) == told_here(result)


def test_a_result_with_another_pixel_size_is_read_with_it(
    viewer: ViewerModel, step: Callable[..., JobResult], tmp_path: Path
) -> None:
    """It is no more what its job made, though its pixels are those of that job's file."""
    step("gaussian_filter", input="cells", sigma=1)
    smooth = viewer.layers[-1]
    smooth.scale, smooth.translate = (0.3, 0.3), (5, 7)
    result = step("threshold", input=smooth)
    text = as_python(entry_of(result))
    assert f"“{smooth.name}” is a layer that no tool made, or that was changed since." in text
    same_when_copied(result, tmp_path, ["threshold"])
    assert told_here(result)[0]["translate"] == ["5.0", "7.0"]


def test_points_that_were_added_by_hand_are_points_in_the_script(
    viewer: ViewerModel, step: Callable[..., JobResult], tmp_path: Path
) -> None:
    step("threshold", input="cells")
    mask = viewer.layers[-1]
    viewer.add_image(blobs(), name="named", axis_labels=("y", "x"))
    step("detect_spots", input="named", sigma=3)
    viewer.layers[-1].add((12, 32))
    result = step("count_points", points=viewer.layers[-1], labels=mask)
    same_when_copied(result, tmp_path, ["threshold", "count_points"])


@pytest.mark.slow
@pytest.mark.parametrize("chain", ["crop", "slices", "movie", "colour", "sorted"])
def test_chains_give_what_the_window_gave(
    chain: str, viewer: ViewerModel, step: Callable[..., JobResult], tmp_path: Path
) -> None:
    def last() -> object:
        return viewer.layers[-1]

    movie = np.stack([np.roll(blobs(), shift, 0) for shift in range(4)])
    match chain:
        case "crop":
            viewer.layers["cells"].translate = (3, 4)
            part = Extent(crop=((2, 30), (3, 40)))
            step("gaussian_filter", input="cells", sigma=1)
            step("threshold", input=last(), extent=part)
            result = step("label_components", input=last())
            calls = ["threshold", "label_components"]  # no part is what the job made
        case "slices":
            viewer.add_image(movie, name="stack", axis_labels=("z", "y", "x"), scale=(2, 1, 1))
            step("gaussian_filter", input="stack", extent=Extent("each"), sigma=1)
            smooth = last()
            step("threshold", input=smooth, extent=Extent("each"))
            step("label_components", input=last())
            result = step("measure_regions", labels=last(), image=smooth)
            calls = ["gaussian_filter", "threshold", "label_components", "measure_regions"]
        case "movie":
            units = {"scale": (2, 0.5, 0.5), "units": ("s", "um", "um")}
            viewer.add_image(movie, name="movie", axis_labels=("t", "y", "x"), **units)
            step("gaussian_filter", input="movie", sigma=1)
            step("detect_spots", input=last(), sigma=3)
            result = step("track_points", points=last(), distance=2, min_length=2)
            calls = ["gaussian_filter", "detect_spots", "track_points"]
        case "colour":
            colours = np.stack([blobs() // 40, blobs() // 80, blobs() // 50], -1).astype(np.uint8)
            viewer.add_image(colours, name="colour", rgb=True, scale=(0.5, 0.5))
            step("colour_to_grey", input="colour", channel="brightest")
            grey = last()
            step("find_objects", input=grey)
            result = step("measure_regions", labels=last(), image=grey)
            calls = ["colour_to_grey", "find_objects", "measure_regions"]
        case _:
            step("subtract_background", input="cells", method="opening", radius=15)
            flat = last()
            step("threshold", input=flat)
            step("split_touching", input=last(), spacing=3)
            step("remove_small_objects", input=last(), smallest=30)
            step("sort_objects", labels=last(), count=2)
            result = step("measure_regions", labels=last(), image=flat)
            calls = ["subtract_background", "threshold", "split_touching"]
            calls += ["remove_small_objects", "sort_objects", "measure_regions"]
    same_when_copied(result, tmp_path, calls)
