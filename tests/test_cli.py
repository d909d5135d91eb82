"""The command line as other programs call it."""

from __future__ import annotations

import gc
import json
import shlex
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import tifffile

from jobs.conftest import INVERT, MakeTool, make_tool
from napari_tool_runner.cli import main
from napari_tool_runner.config import config_path
from napari_tool_runner.exchange import ReadApart, apart
from napari_tool_runner.jobs import JobResult, ahead, deliver
from napari_tool_runner.jobs.outputs import JobOutput
from napari_tool_runner.tools.model import DataOutput

__all__ = ["make_tool"]

INPUTS = (
    '<param name="i" type="data" format="imagetiff"/>'
    '<param name="n" type="integer" value="3" min="0" label="Count"/>'
)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "an image.tif"
    tifffile.imwrite(path, np.arange(60, dtype=np.uint8).reshape(6, 10))
    return path


@pytest.fixture(autouse=True)
def _config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"workspace": str(tmp_path / "jobs")}))
    monkeypatch.setenv("NAPARI_TOOL_RUNNER_CONFIG", str(path))


def test_list_and_show(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json"]) == 0
    ids = {entry["id"] for entry in json.loads(capsys.readouterr().out)}
    assert {"gaussian_filter", "threshold"} <= ids
    assert main(["list", "--search", "blur"]) == 0
    assert "gaussian_filter" in capsys.readouterr().out
    assert main(["show", "gaussian_filter", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["inputs"][0]["type"] == "data"
    assert main(["show", "gaussian_filter"]) == 0
    assert "sigma" in capsys.readouterr().out


def test_check(make_tool: MakeTool, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    good = make_tool(INVERT)
    bad = tmp_path / "bad.xml"
    bad.write_text("<tool><")
    assert main(["check", str(good.path)]) == 0
    capsys.readouterr()
    assert main(["check", str(good.path), str(bad), "--json"]) == 1
    reports = json.loads(capsys.readouterr().out)
    assert len(reports) == 2


def test_run(
    make_tool: MakeTool, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tool = make_tool(INVERT + "print('hello')", inputs=INPUTS)
    out = tmp_path / "out put"
    call = ["run", str(tool.path), f"i={image}", "n=5", "--output-dir", str(out), "--json"]
    assert main(call) == 0
    captured = capsys.readouterr()
    assert "hello" in captured.err
    told = json.loads(captured.out)
    assert told["state"] == "done"
    place = Path(told["outputs"]["o"]["path"])
    assert place.parent == out
    np.testing.assert_array_equal(tifffile.imread(place), 59 - tifffile.imread(image))
    record = json.loads(Path(told["record"]).read_text())
    assert record["parameters"] == {"n": 5}


def test_results_are_opened_once(
    make_tool: MakeTool, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what reads them, and the enclosure, are made ready before the job begins."""
    opened: list[Path] = []
    begun: list[str] = []

    def counted(self: ReadApart, path: Path, *args: object, **more: object) -> object:
        opened.append(path)
        return read(self, path, *args, **more)

    read = ReadApart.__call__
    monkeypatch.setattr(ReadApart, "__call__", counted)
    monkeypatch.setattr(ahead, "_begun", set())
    monkeypatch.setattr(apart.reader, "load", begun.extend)
    tool = make_tool(INVERT)
    assert main(["run", str(tool.path), f"i={image}", "--output-dir", str(tmp_path)]) == 0
    assert len(opened) == 1
    assert ahead._begun == {(True, True)}
    assert begun[0] == apart.__name__


def test_where_no_output_is_read_nothing_is_made_ready_to_read(
    make_tool: MakeTool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(ahead, "_begun", set())
    monkeypatch.setattr(apart.reader, "load", asked.extend)
    output = '<data name="o" format="txt"/>'
    script = "import sys; open(sys.argv[1], 'w').write('x')"
    tool = make_tool(script, inputs="", outputs=output, arguments="${o}")
    usual = gc.get_threshold()
    assert main(["run", str(tool.path), "--output-dir", str(tmp_path / "made")]) == 0
    assert [one.read_text() for one in (tmp_path / "made").iterdir()] == ["x"]
    assert ahead._begun == {(False, False)}
    assert asked == []
    assert gc.get_threshold() == usual


@pytest.mark.parametrize("ending", [".ome.tif", ".ome.tiff", ".tar.gz", ".TIF", ".odd", ""])
def test_copies_keep_the_whole_extension(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"v1.2{ending}"
    file.write_bytes(b"1")
    name = f"o{ending or '.2'}"
    output = JobOutput("o", file, "data", "o", DataOutput(name="o"))
    result = JobResult({"o": output}, tmp_path / "log", tmp_path, "1", dict)
    assert deliver(result, tmp_path / "out", "a_") == {"o": tmp_path / "out" / f"a_{name}"}
    assert [path.name for path in (tmp_path / "out").iterdir()] == [f"a_{name}"]


def test_failures_have_an_exit_status(
    make_tool: MakeTool, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tool = make_tool("raise SystemExit(4)")
    assert main(["run", str(tool.path), f"i={image}", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["state"], told["exit_code"]) == ("failed", 4)
    assert main(["run", str(tool.path), "--json"]) == 1
    assert "needs a value" in json.loads(capsys.readouterr().out)["error"]["message"]
    assert main(["run", "no-such-tool"]) == 1
    assert main(["run", str(tool.path), "--runner", "LOCAL", f"i={image}"]) == 1
    assert "code 4" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["run", str(tool.path), "--no-such-option"])
    assert main(["run", str(tool.path), "i"]) == 1
    assert "NAME=VALUE" in capsys.readouterr().err


def test_render(
    make_tool: MakeTool, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tool = make_tool(INVERT, inputs=INPUTS, arguments="${i} ${o} -n ${n}")
    assert main(["render", str(tool.path), f"i={image}", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["argv"][0] == "python"
    assert told["argv"][-2:] == ["-n", "3"]
    assert not (tmp_path / "jobs").exists()
    assert main(["run", str(tool.path), f"i={image}", "--dry-run"]) == 0
    assert "-n 3" in capsys.readouterr().out


def test_test(make_tool: MakeTool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases = (
        '<test><param name="i" value="a.tif"/>'
        '<output name="o" file="b.tif" compare="sim_content"/></test>'
        '<test><param name="i" value="a.tif"/>'
        '<output name="o" file="a.tif" compare="sim_content"/></test>'
    )
    tool = make_tool(INVERT, tests=cases)
    data = tool.folder / "test-data"
    data.mkdir()
    tifffile.imwrite(data / "a.tif", np.arange(60, dtype=np.uint8).reshape(6, 10))
    tifffile.imwrite(data / "b.tif", 59 - np.arange(60, dtype=np.uint8).reshape(6, 10))
    report = tmp_path / "report.json"
    assert main(["test", str(tool.path), "--json", str(report)]) == 1
    assert [entry["status"] for entry in json.loads(report.read_text())] == ["pass", "fail"]
    assert "1 pass, 1 fail" in capsys.readouterr().out
    assert main(["test", "no-such-tool", str(tool.path), "--json", str(report)]) == 1
    found = [(entry["tool"], entry["status"]) for entry in json.loads(report.read_text())]
    assert found == [("no-such-tool", "error"), ("invert", "pass"), ("invert", "fail")]


def test_batch(
    make_tool: MakeTool, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for index in range(4):
        tifffile.imwrite(folder / f"im{index}.tif", np.eye(4, dtype=np.uint8) * (index + 1))
    (folder / "im9.tif").write_text("no image")
    tool = make_tool(INVERT)
    out = tmp_path / "out"
    call = ["batch", str(tool.path), f"i={folder}/*.tif", "--jobs", "2", "--output-dir", str(out)]
    assert main([*call, "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)
    assert [row["state"] for row in rows] == ["done"] * 4 + ["failed"]
    assert sorted(path.name.split(".")[0] for path in out.iterdir()) == [
        f"im{index}_o" for index in range(4)
    ]
    (folder / "again").mkdir()
    tifffile.imwrite(folder / "again" / "im1.tif", np.eye(4, dtype=np.uint8))
    assert main(["batch", str(tool.path), f"i={folder}/**/im1.tif", "--output-dir", str(out)]) == 0
    assert (out / "im1_2_o.tif").exists()
    assert main(["batch", str(tool.path), f"i={folder}/*.png"]) == 1
    assert "no file matches" in capsys.readouterr().err


def test_a_batch_tells_each_kind_of_note_once(
    make_tool: MakeTool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for index in range(3):
        tifffile.imwrite(tmp_path / f"im{index}.tif", np.eye(4, dtype=np.uint8) * index)
    said = 'print("note: im1" if "im1" in sys.argv[1] else f"note: {len(sys.argv[1])} of 7.5")\n'
    tool = make_tool(INVERT + "import sys\n" + said)
    assert main(["batch", str(tool.path), f"i={tmp_path}/*.tif", "--json"]) == 0
    out, err = capsys.readouterr()
    told = [line for line in err.splitlines() if line.startswith("note: ")]
    assert len([line for line in told if "of 7.5 (2 items)" in line]) == 1
    assert "note: im1: Im1" in told
    assert all(row["notes"] for row in json.loads(out))


def test_axes_of_a_file(
    make_tool: MakeTool, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path, tool = tmp_path / "stack.tif", str(make_tool(INVERT).path)
    tifffile.imwrite(path, np.zeros((4, 5, 6), np.uint8), photometric="minisblack")
    given = ["run", tool, f"i={path}", "--runner", "LOCAL", "--quiet", "--json"]
    assert main(given) == 0
    assert "not known" in capsys.readouterr().out
    assert main([*given, "--axes", "i=TYX"]) == 0
    assert "not known" not in capsys.readouterr().out
    many = ["batch", tool, f"i={tmp_path}/*.tif", "--json", "--axes", "i=TYX"]
    assert main(many) == 0
    assert "not known" not in capsys.readouterr().out
    assert main([*given, "--axes", "j=TYX"]) == 1
    assert "--axes names j" in capsys.readouterr().err


def test_history_rerun_export_clean(
    make_tool: MakeTool, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tool = make_tool(INVERT)
    assert main(["run", str(tool.path), f"i={image}", "--json"]) == 0
    job = json.loads(capsys.readouterr().out)["job"]
    assert main(["history", "--json"]) == 0
    assert [entry["id"] for entry in json.loads(capsys.readouterr().out)] == [job]
    assert main(["history", job, "--as", "command"]) == 0
    again = capsys.readouterr().out
    assert again.startswith("napari-tool-runner run ")
    assert main([*shlex.split(again)[1:], "--quiet"]) == 0
    assert main(["history", job, "--as", "python"]) == 0
    compile("#" + capsys.readouterr().out.partition("\n#")[2], "script", "exec")
    assert main(["history", job, "--as", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == job
    assert main(["history", "--as", "json"]) == 2
    assert main(["rerun", job]) == 1, "what was named once is not named for ever"
    assert "a record is no permission" in capsys.readouterr().err
    assert main(["rerun", job, "--tool", str(tool.path)]) == 0
    assert "same as before" in capsys.readouterr().out
    assert main(["export", job, "--to", str(tmp_path / "c.zip")]) == 0
    assert (tmp_path / "c.zip").exists()
    assert main(["clean", "--only", "job", "--yes"]) == 0
    assert main(["clean", "--only", "job", "--older-than", "0"]) == 0
    assert len(list((tmp_path / "jobs").glob("[!.]*/*"))) == 3
    assert main(["clean", "--only", "job", "--older-than", "0", "--yes"]) == 0
    assert list((tmp_path / "jobs").glob("[!.]*/*")) == []


@pytest.mark.parametrize("days", ["nan", "inf", "1e308", "-1"])
def test_an_age_that_is_none(days: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["clean", "--only", "job", f"--older-than={days}"])
    assert f"{days!r} is not a number from 0 to" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["show", "~nosuchuser/x.xml"],
        ["run", "~nosuchuser/x.xml"],
        ["run", "gaussian_filter", "input=~nosuchuser/x.tif"],
        ["batch", "gaussian_filter", "input=~nosuchuser/*.tif"],
        ["check", "~nosuchuser/x.xml"],
        ["trust", "~nosuchuser/x"],
        ["history", "~nosuchuser/x"],
        ["list", "--config", "~nosuchuser/c.json"],
    ],
)
def test_a_home_that_nobody_has(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with suppress(SystemExit):
        assert main(words) in (1, 2)
    told = capsys.readouterr()
    assert "~nosuchuser" in told.err + told.out


def test_a_job_of_which_an_input_changed(
    make_tool: MakeTool, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tool = make_tool(INVERT)
    assert main(["run", str(tool.path), f"i={image}", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)["record"]
    (copied,) = (Path(record).parent / "io" / "inputs").iterdir()
    tifffile.imwrite(copied, np.eye(3))
    for form, count in (("command", 1), ("python", 1), ("json", 0)):
        assert main(["history", record, "--as", form]) == 0
        assert capsys.readouterr().err.count("has changed since") == count


def test_a_toolbox_of_the_user_is_asked_about(
    make_tool: MakeTool,
    image: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tool = make_tool(INVERT)
    folder = tool.folder.parent
    settings = {"workspace": str(tmp_path / "jobs"), "process": {"xml_dirs": [str(folder)]}}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    assert main(["run", "invert", f"i={image}"]) == 0  # the variable names the file: consent
    monkeypatch.delenv("NAPARI_TOOL_RUNNER_CONFIG")
    own = config_path()
    own.parent.mkdir(parents=True, exist_ok=True)
    own.write_text(json.dumps(settings))
    assert main(["run", "invert", f"i={image}"]) == 1
    assert "approve" in capsys.readouterr().err.lower()
    assert main(["run", str(tool.path), f"i={image}"]) == 0
    assert main(["trust", str(folder)]) == 1
    assert main(["run", "invert", f"i={image}"]) == 1
    assert main(["trust", str(folder), "--yes"]) == 0
    assert main(["run", "invert", f"i={image}"]) == 0
    (tool.folder / "invert.py").write_text("raise SystemExit(1)")
    assert main(["run", "invert", f"i={image}"]) == 1
    assert "changed" in capsys.readouterr().err
    assert main(["trust", str(folder), "--revoke"]) == 0


def test_runners(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runners", "--json"]) == 0
    states = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert states["LOCAL"]["ok"] is True
    assert {"CONDA", "DOCKER", "CONDA_DOCKER"} <= states.keys()
    assert states["LOCAL"]["graphics"]["kind"] in ("", "nvidia", "apple", "amd")
    assert main(["runners"]) == 0
    assert "\nGraphics card: " in capsys.readouterr().out


def test_a_folder_on_the_path(
    make_tool: MakeTool, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    program = programs / "my-copy"
    program.write_text('#!/bin/sh\ncp "$1" "$2"\n')
    program.chmod(0o755)
    tool = make_tool("")
    tool.path.write_text(
        '<tool id="copy" name="Copy"><command>my-copy ${i} ${o}</command>'
        '<inputs><param name="i" type="data" format="imagetiff"/></inputs>'
        '<outputs><data name="o" format="imagetiff"/></outputs></tool>'
    )
    assert main(["run", str(tool.path), f"i={image}"]) == 1
    assert main(["run", str(tool.path), f"i={image}", "--path", str(programs)]) == 0


def test_the_program_starts_without_qt_and_napari() -> None:
    code = (
        "import sys; from napari_tool_runner.cli import main; main(['list']); "
        "heavy = {'qtpy', 'napari', 'magicgui', 'docker'}; print(heavy & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "set()"


def test_what_cannot_be_seen_is_written_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.xml").write_text(
        '<tool id="x" name="A\u202egnp.exe" version="1"><command>echo</command></tool>'
    )
    for words in (["show"], ["check"], ["render"]):
        main([*words, str(tmp_path / "x.xml")])
        out, err = capsys.readouterr()
        assert "\u202e" not in out + err
        assert words[0] != "show" or "A\\u202egnp" in out


def test_a_terminal_obeys_no_name_of_a_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = "\x1b[2J\u202egnp\n\x9bforged: x"
    (tmp_path / "t.xml").write_text(
        '<tool id="t" name="T" version="1"><command>mkdir d &amp;&amp; python '
        "'$__tool_directory__/t.py'</command><outputs><collection name='c' type='list'>"
        "<discover_datasets pattern='(?P&lt;designation&gt;[\\s\\S]+)' "
        "directory='d' format='txt'/>"
        "</collection></outputs></tool>"
    )
    (tmp_path / "t.py").write_text(f"open('d/' + {odd!r}, 'w').close()")
    assert main(["run", str(tmp_path / "t.xml"), "--quiet"]) == 0
    said = capsys.readouterr()
    assert not {*"\x1b\u202e\x9b"} & {*(said.out + said.err)}
    assert len(said.out.splitlines()) == 1
    (record,) = (tmp_path / "jobs").rglob("record.json")
    assert main(["history", "--as", "json", str(record.parent)]) == 0
    told = capsys.readouterr().out
    assert not {*"\x1b\u202e\x9b"} & {*told}
    assert json.loads(told)["tool"]["id"] == "t"


def test_prepare_knows_folders_and_categories(
    make_tool: MakeTool, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def prepared(*names: str) -> set[str]:
        assert main(["prepare", "--runner", "LOCAL", "--json", *names]) == 0
        return {one["tool"] for one in json.loads(capsys.readouterr().out)}

    make_tool(INVERT)
    make_tool(INVERT, name="again")
    assert prepared(str(tmp_path / "tools")) == {"invert", "again"}
    assert prepared(str(tmp_path / "tools" / "again")) == {"again"}
    found = prepared("deep Learning", "threshold")
    assert {"cellpose_3", "stardist_2d", "threshold"} <= found
    assert "gaussian_filter" not in found
    assert prepared("bundled") > found


@pytest.mark.parametrize("name", ["nothing_such", "./nothing", "threshold x"])
def test_prepare_of_what_is_not_there_is_wrong_use(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prepare", "gaussian_filter", name, "--yes"]) == 2
    told = capsys.readouterr()
    assert "There is no" in told.err
    assert "ready" not in told.out + told.err


def test_prepare_says_of_a_folder_what_cannot_be_read(
    make_tool: MakeTool, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    make_tool(INVERT)
    (tmp_path / "tools" / "broken.xml").write_text("<tool id='b'><inputs>")
    assert main(["prepare", "--json", str(tmp_path / "tools")]) == 0
    assert "broken.xml" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["prepare", str(tmp_path / "empty")]) == 1
    assert "holds no descriptor" in capsys.readouterr().err
