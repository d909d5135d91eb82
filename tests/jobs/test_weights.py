"""Tools that fetch weights: where they keep them, and when they have a network."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import napari_tool_runner as ntr
from napari_tool_runner.cli import main
from napari_tool_runner.config import load_config
from napari_tool_runner.errors import ParameterError, PreparationError, ToolFailedError
from napari_tool_runner.jobs import Readiness, readiness
from napari_tool_runner.jobs.weights import (
    check_weights,
    fetch_command,
    has_network,
    is_fetched,
    kept_weights,
    weights_folder,
)
from napari_tool_runner.plugins.programs.enclosure import enclosure_problem
from napari_tool_runner.storage import user_data
from napari_tool_runner.tools.checker import check_tool
from napari_tool_runner.tools.dialect import JobPaths
from napari_tool_runner.tools.toolbox.entries import bundled_folder

if TYPE_CHECKING:
    from jobs.conftest import MakeTool
    from napari_tool_runner.tools.model import Tool

Config = dict[str, object]
IMAGE = np.arange(60, dtype=np.uint8).reshape(6, 10)
KEEPS = """
import os, shutil, socket, sys
kept = os.environ["MODELS"]
assert os.environ["OTHER_MODELS"] == kept
names = [name for _, name in socket.if_nameindex()]
print("note: found", sorted(os.listdir(kept)), "network" if names != ["lo"] else "no network")
try:
    open(os.path.join(kept, "weights"), "w").close()
except OSError:
    print("note: written nowhere")
shutil.copy(sys.argv[1], sys.argv[2])
"""
FETCH = (
    '<param name="i" type="data" format="imagetiff"/>'
    '<param name="fetch" type="boolean" value="false"/>'
)
ROOT = 'network="fetch" weights="MODELS OTHER_MODELS"'


@pytest.fixture
def config_file(config: Config, tmp_path: Path) -> Path:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    return path


def readiness_of(tool: Tool, path: Path, **values: str) -> Readiness:
    return readiness(tool, load_config(path), None, values)


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.mark.skipif(bool(enclosure_problem()), reason=enclosure_problem())
def test_weights_are_kept_and_written_only_while_fetched(
    make_tool: MakeTool, config: Config
) -> None:
    tool = make_tool(KEEPS, inputs=FETCH, root=ROOT)
    assert not tool.notes
    assert not weights_folder(tool).exists()
    told = [
        ntr.run(tool, i=IMAGE, fetch=fetch, config=config).record["notes"]
        for fetch in (False, True, False)
    ]
    seen = ["Found []", "Found []", "Found ['weights']"]
    for notes, found, fetched in zip(told, seen, (False, True, False), strict=True):
        text = " ".join(notes)
        assert found in text
        assert ("Written nowhere" in text) is not fetched
        assert ("no network" in text) is not fetched


def test_it_may_have_the_network_only_where_that_is_ticked(make_tool: MakeTool) -> None:
    tool = make_tool(KEEPS, inputs=FETCH, root=ROOT)
    assert [has_network(tool, v) for v in ({}, {"fetch": False}, {"fetch": True})] == [
        *(False, False, True)
    ]
    always = make_tool(KEEPS, inputs=FETCH, root='network="true"')
    assert has_network(always, {"fetch": False})


def test_tools_of_one_id_do_not_share_a_folder(make_tool: MakeTool) -> None:
    shipped = ntr.read_tool(bundled_folder() / "stardist_2d")
    assert weights_folder(shipped) == user_data() / "weights" / "stardist_2d"
    other = make_tool(KEEPS, name="stardist_2d")
    assert weights_folder(other) != weights_folder(shipped)


def test_what_no_descriptor_can_ask_for(make_tool: MakeTool) -> None:
    tool = make_tool(KEEPS, inputs=FETCH, root='network="i" weights="PATH LD_PRELOAD HOME A_1"')
    assert (tool.network, tool.network_if, tool.weights) == (False, "", ("A_1",))
    assert [note.what.partition(" ")[0] for note in tool.notes] == ["network=“i”", "weights:"]


FETCHES = """
import os, socket, sys
if sys.argv[1] == "only":
    name = sys.argv[2]
    if name == "gone":
        sys.exit("The model gone could not be fetched: try again.")
    names = [one for _, one in socket.if_nameindex()]
    print("network" if names != ["lo"] else "no network")
    open(os.path.join(os.environ["MODELS"], name), "w").write("x" * 1000)
    print("100%", flush=True)
    raise SystemExit
"""
CHOOSES = FETCH + (
    '<param name="model" type="select"><option value="cyto" selected="true">c</option>'
    '<option value="nuclei">n</option><option value="gone">g</option></param>'
)
PREPARE = "<prepare megabytes='1.5'>python '$__tool_directory__/SCRIPT' only ${model}</prepare>"


@pytest.fixture
def fetcher(make_tool: MakeTool, tmp_path: Path) -> Tool:
    used = "${i} ${o} ${fetch} ${model}"
    tool = make_tool(FETCHES, inputs=CHOOSES, root=ROOT, arguments=used)
    script = next(tool.folder.glob("*.py")).name
    text = tool.path.read_text().replace(
        "<inputs>", PREPARE.replace("SCRIPT", script) + "<inputs>"
    )
    tool.path.write_text(text)
    return ntr.read_tool(tool.path)


def test_prepare_fetches_the_chosen_model_with_a_network_and_knows_it(
    fetcher: Tool, config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not fetcher.notes
    assert fetcher.prepare_size == 1_500_000
    assert not check_tool(fetcher).notes
    line = ["prepare", str(fetcher.path), "--config", str(config_file), "--runner", "LOCAL"]
    assert main(line) == 0
    said = capsys.readouterr()
    assert "the model (1.5 MB)" in said.out
    assert "nothing was fetched; add --yes" in said.err
    assert not any(weights_folder(fetcher).glob("*"))
    assert main([*line, "--yes"]) == 0
    said = capsys.readouterr()
    assert [one.name for one in weights_folder(fetcher).iterdir()] == ["cyto"]
    assert "no network" not in said.err
    assert "1 of 1 ready" in said.err
    assert main([*line, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["ready"] is True
    assert main([*line, "model=nuclei", "--yes"]) == 0
    assert {one.name for one in weights_folder(fetcher).iterdir()} == {"cyto", "nuclei"}
    for model in ("cyto", "nuclei"):
        assert not any(readiness_of(fetcher, config_file, model=model).plan.fetches)
    capsys.readouterr()
    assert main([*line, "modell=nuclei"]) == 2
    assert "none of these tools has a parameter modell" in capsys.readouterr().err
    assert main([*line, "model=what", "--yes"]) == 1


def test_what_could_not_be_fetched_is_told_and_asked_for_again(
    fetcher: Tool, config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["prepare", str(fetcher.path), "--config", str(config_file), "--runner", "LOCAL"]
    assert main([*line, "model=gone", "--yes"]) == 1
    said = capsys.readouterr().err
    assert "was not fetched: The model gone could not be fetched: try again." in said
    assert "0 of 1 ready, 1 but for the model" in said
    assert readiness_of(fetcher, config_file, model="gone").plan.fetches


def test_weights_are_listed_and_cleaned(
    fetcher: Tool, config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prepare", str(fetcher.path), "--config", str(config_file), "--yes"]) == 0
    assert not readiness_of(fetcher, config_file).plan.fetches
    clean = ["clean", "--only", "weights", "--config", str(config_file)]
    assert main(clean) == 0
    assert f"weights      {weights_folder(fetcher).name}" in capsys.readouterr().out
    assert main([*clean, "--yes"]) == 0
    assert not any((user_data() / "weights").iterdir())
    assert readiness_of(fetcher, config_file).plan.fetches


def test_a_folder_that_somebody_emptied_is_filled_again(fetcher: Tool, config_file: Path) -> None:
    readiness_of(fetcher, config_file).make(lambda event: None)
    assert not readiness_of(fetcher, config_file).plan.fetches
    for one in weights_folder(fetcher).iterdir():
        one.unlink()
    assert readiness_of(fetcher, config_file).plan.fetches


def test_what_a_prepare_cannot_say(fetcher: Tool) -> None:
    text = fetcher.path.read_text()
    fetcher.path.write_text(text.replace("${model}</prepare>", "${i} ${what}</prepare>"))
    told = [note.what for note in check_tool(ntr.read_tool(fetcher.path)).notes]
    assert [("${i}" in one, "${what}" in one) for one in told] == [(True, False), (False, True)]
    fetcher.path.write_text(text.replace("network=", "other="))
    tool = ntr.read_tool(fetcher.path)
    assert not tool.prepare
    assert "needs a command, network= and weights=" in tool.notes[0].what
    fetcher.path.write_text(text.replace("megabytes='1.5'", "megabytes='x'"))
    tool = ntr.read_tool(fetcher.path)
    assert tool.prepare
    assert (tool.prepare_size, "is no number" in tool.notes[0].what) == (None, True)


def test_tools_that_ship_fetch_their_model_by_their_own_script() -> None:
    """So that what cannot be had is told in the words of a run."""
    files = [one for one in bundled_folder().glob("*/*.xml") if "<prepare" in one.read_text()]
    shipped = [*map(ntr.read_tool, files)]
    assert len(shipped) > 5
    for tool in shipped:
        assert not check_tool(tool).notes
        command = fetch_command(tool, {}, JobPaths(Path("job")))
        script = tool.folder / f"{tool.path.stem}.py"
        assert (Path(command[1]), command[2]) == (script, "--only-fetch")
        assert len(command) == 4


def test_what_was_fetched_is_known_wherever_the_tool_lies(
    fetcher: Tool, config_file: Path, tmp_path: Path
) -> None:
    readiness_of(fetcher, config_file).make(lambda event: None)
    moved = replace(fetcher, copy=str(tmp_path / "copy"), toolbox=str(fetcher.path.parent))
    command = fetch_command(moved, {}, JobPaths(Path("job")))
    assert str(tmp_path / "copy") in " ".join(command)
    assert is_fetched(moved, command)


def test_folders_without_a_file_are_no_weights(fetcher: Tool, config: Config) -> None:
    (weights_folder(fetcher) / "models" / "a").mkdir(parents=True)
    assert not [*kept_weights()]
    with pytest.raises(ParameterError, match="The model is not on this computer"):
        ntr.run(fetcher, i=IMAGE, config=config)


def test_a_fetch_that_is_killed_is_asked_for_again(fetcher: Tool, config_file: Path) -> None:
    script = next(fetcher.folder.glob("*.py"))
    whole = script.read_text()
    half = 'open(os.path.join(os.environ["MODELS"], "half"), "w").close(); os.kill(os.getpid(), 9)'
    script.write_text(f"import os\n{half}\n")
    with pytest.raises(PreparationError, match="The model of “Invert” was not fetched"):
        readiness_of(fetcher, config_file).make(lambda event: None)
    script.write_text(whole)
    again = readiness_of(fetcher, config_file)
    assert again.plan.fetches
    again.make(lambda event: None)
    assert not readiness_of(fetcher, config_file).plan.fetches


def test_a_run_without_its_model_is_refused_before_anything_is_made(
    fetcher: Tool, config: Config
) -> None:
    with pytest.raises(ParameterError) as told:
        ntr.run(fetcher, i=IMAGE, config=config)
    assert told.value.name == "fetch"
    assert "The model is not on this computer: tick “fetch”" in str(told.value)
    assert not list(Path(str(config["workspace"])).rglob("record.json"))
    with pytest.raises(ToolFailedError):  # it is the program's own turn now
        ntr.run(fetcher, i=IMAGE, fetch=True, config=config)
    weights_folder(fetcher).mkdir(parents=True, exist_ok=True)
    (weights_folder(fetcher) / "cyto").write_text("weights")
    with pytest.raises(ToolFailedError):
        ntr.run(fetcher, i=IMAGE, config=config)


def test_a_model_that_is_given_needs_no_other(tmp_path: Path) -> None:
    shipped = ntr.read_tool(bundled_folder() / "stardist_2d")
    with pytest.raises(ParameterError, match="or give “Model file”"):
        check_weights(shipped, {"fetch": False, "file": None})
    check_weights(shipped, {"fetch": False, "file": tmp_path / "model.zip"})
    check_weights(shipped, {"fetch": True, "file": None})
