from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from tools_helpers import DESCRIPTORS, HEAD

from napari_tool_runner.config import CONFIG_VARIABLE
from napari_tool_runner.tools.candidate import Candidate
from napari_tool_runner.tools.checker import Report, check_paths
from napari_tool_runner.tools.lines import lines_of
from napari_tool_runner.tools.model import Note, Severity

if TYPE_CHECKING:
    import pytest


def whats(report: Report) -> list[str]:
    return [f"{note.where}: {note.what}" for note in report.notes]


def check_text(folder: Path, body: str, **more: object) -> Report:
    path = folder / "t.xml"
    path.write_text(f"{HEAD}{body}</tool>", encoding="utf-8")
    (report,) = check_paths([path], **more)  # type: ignore[arg-type]
    return report


def test_a_folder_gives_a_report_for_every_descriptor() -> None:
    reports = {report.path.name: report for report in check_paths([DESCRIPTORS])}
    assert reports["count.xml"].usable
    assert reports["count.xml"].notes == ()
    for name in ("bomb.xml", "malformed.xml", "doctype.xml", "external.xml"):
        assert not reports[name].usable
        assert reports[name].tool is None
    assert "other_root.xml" not in reports
    for name in ("shell.xml", "quote.xml", "no_command.xml", "odd.xml", "unknown_type.xml"):
        assert not reports[name].usable
        assert reports[name].tool is not None
    assert json.loads(json.dumps(reports["odd.xml"].as_dict()))["id"] == "odd"


def test_paths_that_are_nothing(tmp_path: Path) -> None:
    absent, empty = check_paths([tmp_path / "absent.xml", tmp_path])
    assert "There is no file" in whats(absent)[0]
    assert "holds no descriptor" in whats(empty)[0]
    assert not absent.usable
    assert not empty.usable


def test_placeholders_need_a_parameter_or_the_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.json"
    monkeypatch.setenv(CONFIG_VARIABLE, str(config))
    config.write_text('{"env": [{"name": "MATLAB_ROOT", "value": "/m"}]}')
    path = DESCRIPTORS / "environment.xml"
    assert check_paths([path])[0].usable
    config.write_text("{}")
    (report,) = check_paths([path])
    assert not report.usable
    assert any("no “env” entry" in text for text in whats(report))
    (report,) = check_paths([path], variables={"MATLAB_ROOT": "/m"})
    assert report.usable
    (report,) = check_paths([DESCRIPTORS / "particles.xml"])
    assert report.usable
    assert any("no “fiji” entry" in text for text in whats(report))


def test_what_the_command_never_uses(tmp_path: Path) -> None:
    report = check_text(
        tmp_path,
        '<command>t</command><inputs><param name="x" type="integer" value="1"/></inputs>'
        '<outputs><data name="o" format="raw"/><data name="w" format="raw" from_work_dir="w"/>'
        "</outputs>",
    )
    assert whats(report) == [
        "inputs/param[x]: The command does not use it.",
        "outputs/data[o]: The command does not say where to write it.",
    ]
    assert report.usable


def test_tests_that_do_not_fit(tmp_path: Path) -> None:
    (tmp_path / "test-data").mkdir()
    (tmp_path / "test-data" / "there.tif").touch()
    test = '<test><param name="i" value="{}"/><param name="n" value="{}"/>{}</test>'
    report = check_text(
        tmp_path,
        '<command>t ${i} ${n} ${o}</command><inputs><param name="i" type="data"/>'
        '<param name="n" type="integer" value="1" max="9"/></inputs>'
        '<outputs><data name="o" format="raw"/></outputs><tests>'
        + test.format("there.tif", 3, "")
        + test.format("there.tif", 10, "")
        + test.format("absent.tif", 3, '<output name="o" file="absent"/>')
        + '<test expect_failure="true"/>'
        + "</tests>",
    )
    assert whats(report) == [
        "tests/test[2]: Its values do not fit: n: “n” must be at most 9, not 10.",
        "tests/test[3]: The reference absent of “o” is missing.",
        "tests/test[3]: The file absent.tif of “i” is missing.",
    ]


def test_rendering_of_tests(tmp_path: Path) -> None:
    (tmp_path / "test-data").mkdir()
    for name in ("a.csv", "b.csv"):
        (tmp_path / "test-data" / name).write_text("none")
    head = '<tool id="m" type="merge">'
    path = tmp_path / "m.xml"
    path.write_text(
        f'{head}<command>t ${{x}}</command><inputs><param name="x" type="data"/></inputs>'
        '<tests><test><param name="x" value="a.csv,b.csv"/></test></tests></tool>'
    )
    (report,) = check_paths([path])
    assert "holds no number" in whats(report)[-1]


def test_notes_tell_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "t.xml"
    path.write_text(
        '<?xml version="1.0"?>\n<tool id="t" name="T" version="1">\n<command>\n  prog\n'
        "  --x ${xx}\n  --in ${in} ${o}</command>\n<inputs>\n"
        '<param argument="--in" type="data" format="imagetiff"/>\n'
        '<param name="y" type="integer" value="1"\n min="2"/>\n'
        '<conditional name="c"><param name="z" type="select"/></conditional>\n</inputs>\n'
        '<outputs><data name="o" format="imagetiff"/></outputs>\n'
        '<tests>\n<test><param name="y" value="3"/></test>\n'
        '<test><param name="y" value="a"/></test></tests>\n</tool>\n'
    )
    (report,) = check_paths([path])
    found = {(note.where, line) for note, line in report.placed()}
    assert {("command", 5), ("inputs/param[y]", 9), ("tests/test[2]", 16)} <= found
    assert ("inputs/conditional[c]", 11) in found
    assert any(text.startswith("warning: line 5: command: ${xx}") for text in report.told())
    told = report.as_dict()["notes"]
    assert isinstance(told, list)
    assert {one["line"] for one in told} >= {5, 9, 16}


def test_what_is_not_even_xml_tells_its_line(tmp_path: Path) -> None:
    path = tmp_path / "t.xml"
    path.write_text("<tool>\n<command>\n</tool>")
    (report,) = check_paths([path])
    assert report.lines == (3,)


def test_what_nobody_can_place_has_no_line(tmp_path: Path) -> None:
    path = tmp_path / "t.xml"
    path.write_text('<tool id="a" name="A"><macros/><command>x $y.z</command></tool>')
    note = Note(Severity.INFO, "inputs/param[x]", "Nothing is known of it.")
    assert lines_of((note,), Candidate(path)) == (0,)
    (tmp_path / "t.json").write_text("{}")
    assert lines_of((note,), Candidate(tmp_path / "t.json")) == (0,)
    assert lines_of((note,), Candidate(tmp_path / "none.xml")) == (0,)
    assert Report(str(path), None, (note,)).told() == [
        "info: inputs/param[x]: Nothing is known of it."
    ]


def test_the_language_that_has_what_is_missing_is_named(tmp_path: Path) -> None:
    report = check_text(
        tmp_path,
        '<requirements><package type="conda">a</package></requirements>'
        "<command>t ${n} ${o} &amp;&amp; ls</command>"
        '<inputs><conditional name="c"/><nonsense/>'
        '<param name="n" type="number"/><param name="d" type="drill_down"/></inputs>'
        '<outputs><data name="o" format="imagetiff"/><collection name="l" type="list"/></outputs>',
    )
    told = whats(report)
    for words in ("<conditional>", "<collection>", "“drill_down”", "“&&”"):
        (text,) = [text for text in told if words in text]
        assert text.endswith("The language of Galaxy has it.")
    assert not any("has it" in text for text in told if "nonsense" in text)
