"""What a configuration says in vain is seen, and what a facility says counts, in a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import napari_tool_runner as ntr
from napari_tool_runner.cli import main
from napari_tool_runner.config import FACILITY_VARIABLE, config_path, load_config
from napari_tool_runner.errors import ConfigError, TrustError
from napari_tool_runner.jobs import prepare
from napari_tool_runner.jobs.api import run_job
from napari_tool_runner.tools import find_tool, load_toolbox, trust_state

WRITER = """<tool id="writer" name="Writer" version="1">
  <command>python -c "import sys; open(sys.argv[1], 'w').write('done')" ${out}</command>
  <inputs><param name="n" type="integer" value="1" label="N"/></inputs>
  <outputs><data name="out" format="txt" label="Out"/></outputs>
</tool>"""


@pytest.fixture
def box(tmp_path: Path) -> Path:
    folder = tmp_path / "share" / "box"
    folder.mkdir(parents=True)
    (folder / "writer.xml").write_text(WRITER)
    return folder


@pytest.fixture
def facility(box: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = box.parent / "facility.json"
    data = {
        "process": {"xml_dirs": ["box"]},
        "runner": {"service": "LOCAL"},
        "jobs": {"timeout": 100},
        "locked": ["runner.service", "jobs.timeout"],
    }
    path.write_text(json.dumps(data))
    monkeypatch.setenv(FACILITY_VARIABLE, str(path))
    return path


def personal(data: object) -> None:
    config_path().parent.mkdir(parents=True, exist_ok=True)
    config_path().write_text(json.dumps(data))


def test_an_unknown_key_is_seen_in_script_log_and_record(box: Path) -> None:
    personal({"runner": {"service": "LOCAL", "memroy": "8G"}})
    with pytest.warns(UserWarning, match=r"did you mean “runner\.memory”"):
        result = ntr.run(box / "writer.xml")
    record = json.loads((Path(result.workspace) / "record.json").read_text())
    assert any("memroy" in note for note in record["notes"])
    assert "memroy" in (Path(result.workspace) / "log.txt").read_text()


def test_an_unknown_key_is_seen_once_on_the_command_line(
    box: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    personal({"runner": {"service": "LOCAL", "memroy": "8G"}})
    for verb in (["run", str(box / "writer.xml")], ["list"], ["check", str(box)], ["runners"]):
        assert main(verb) == 0
        told = capsys.readouterr()
        assert told.err.count("did you mean “runner.memory”") == 1, verb
        assert "memroy" not in told.out


def test_runners_tells_the_layers(facility: Path, capsys: pytest.CaptureFixture[str]) -> None:
    personal({"runner": {"service": "CONDA", "mirrors": {"a": "https://me:secret@host/x"}}})
    assert main(["runners"]) == 0
    told = capsys.readouterr().out
    assert f"facility: {facility}\n" in told
    assert f"personal: {config_path()}\n" in told
    assert '  runner.service = "LOCAL"\n' in told
    assert '  runner.service = "CONDA"  (not used: facility counts)\n' in told
    assert "secret" not in told


def test_check_hears_the_named_configuration(
    box: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (box / "writer.xml").write_text(WRITER.replace("${out}", "${out} ${MODELS}"))
    assert main(["check", str(box)]) == 1
    config = tmp_path / "c.json"
    config.write_text(json.dumps({"env": [{"name": "MODELS", "value": "/m"}]}))
    assert main(["check", "--config", str(config), str(box)]) == 0
    capsys.readouterr()


def test_the_facilitys_consent_holds_everywhere(facility: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "mine.xml").write_text(WRITER.replace('id="writer"', 'id="mine"'))
    personal({"process": {"xml_dirs": [str(mine)]}})
    tools = load_toolbox()
    assert trust_state(tools["writer"]).ok, "as the window asks"
    assert ntr.run("writer").outputs["out"].path.read_text() == "done"
    assert not trust_state(tools["mine"]).ok
    with pytest.raises(TrustError):
        ntr.run("mine")
    with pytest.raises(TrustError):  # consent is given to the folders that a layer names
        prepare(find_tool("mine"), {}, config={"runner": {"cpus": 1}})
    assert prepare("mine", {}, config={"process": {"xml_dirs": [str(mine)]}}).tool.id == "mine"


def test_a_call_does_not_unlock(facility: Path, box: Path) -> None:
    job = prepare(box / "writer.xml", {}, runner="DOCKER", timeout=1)
    assert job.runner == "LOCAL"
    assert len(job.request.notes) == 2
    run_job(job)
    assert set(job.request.notes) <= set(job.run.notes)
    log = job.log_path.read_text()
    assert "runner DOCKER is not used" in log
    assert "time limit of the call is not used" in log
    assert load_config({"runner": {"service": "DOCKER"}}).service == "LOCAL"


@pytest.mark.parametrize("seconds", [float("nan"), 1e308, -1])
def test_the_time_limit_of_a_call_is_one_that_the_setting_may_have(
    box: Path, seconds: float
) -> None:
    with pytest.raises(ConfigError, match=r"“jobs\.timeout” in this call"):
        prepare(box / "writer.xml", {}, runner="LOCAL", timeout=seconds)
