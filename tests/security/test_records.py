"""What a stranger says in a record, a layer or a preset lends no file without a question."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import napari_tool_runner as ntr
from napari_tool_runner.config import config_path, load_config
from napari_tool_runner.errors import TrustError
from napari_tool_runner.jobs import (
    borrowed,
    export_crate,
    find_record,
    read_record,
    remembered,
    rerun,
    run_job,
)
from napari_tool_runner.tools import load_toolbox
from napari_tool_runner.tools.toolbox.trust import approve

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari_tool_runner.jobs import JobResult, RunRecord
    from napari_tool_runner.tools import Tool

FILE = '<param name="i" type="data" format="txt" optional="true"/>'
INPUTS = (
    f'{FILE}<param name="t" type="text" value=""/>'
    f'<section name="s" title="S">{FILE.replace(chr(34) + "i", chr(34) + "j")}</section>'
    f'<repeat name="r" title="R">{FILE}</repeat>'
    '<param name="many" type="data" format="txt" multiple="true" optional="true"/>'
    '<conditional name="c"><param name="how" type="select"><option value="a">a</option>'
    '<option value="b">b</option></param><when value="a"><param name="x" type="text" value=""/>'
    f'</when><when value="b">{FILE.replace(chr(34) + "i", chr(34) + "x")}</when></conditional>'
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with private files, where the person stands, and an approved tool elsewhere."""
    home = tmp_path / "home"
    (home / "Downloads").mkdir(parents=True)
    (home / "taxes.txt").write_text("private")
    (home / "red").write_text("private")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)
    (tmp_path / "harmless.txt").write_text("x")
    box = tmp_path / "box"
    box.mkdir()
    (box / "say.xml").write_text(
        '<tool id="say" name="Say" version="1" profile="21.05"><command>cat '
        "#if $i# '$i' #end if#  /dev/null &gt; '$o'</command>"
        f'<inputs>{INPUTS}</inputs><outputs><data name="o" format="txt"/></outputs></tool>'
    )
    config_path().parent.mkdir(parents=True, exist_ok=True)
    config_path().write_text(json.dumps({"process": {"xml_dirs": [str(box)]}}))
    approve(box)
    return home


def say() -> Tool:
    return load_toolbox()["say"]


def told_of(result: JobResult) -> dict[str, object]:
    return json.loads((result.workspace / "record.json").read_text())


def sent(folder: Path, told: Mapping[str, object], **changes: object) -> RunRecord:
    """The record of a job as a stranger sends it, alone in its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "record.json").write_text(json.dumps({**told, **changes}))
    return read_record(folder / "record.json")


HOME = "{home}"


@pytest.mark.parametrize(
    "parameters",
    [
        {"i": "taxes.txt"},  # from where one stands
        {"i": "{home}/taxes.txt"},
        {"i": "taxes.txt#0"},  # one of the images of a file
        {"i": "taxes.txt#٣"},
        {"s": {"j": "{home}/taxes.txt#00"}},
        {"r": [{"i": "taxes.txt#1#2"}]},
        {"i": "{home}/taxes.txt/0"},  # inside of a store
        {"s": {"j": "{home}/taxes.txt"}},
        {"s|j": "taxes.txt"},
        {"j": "taxes.txt"},  # a name may stand without its containers
        {"s": {"j": "taxes.txt"}},
        {"r": [{"i": "{home}/taxes.txt"}]},
        {"r": {"i": "taxes.txt"}},
        {"r_0": {"i": "taxes.txt"}},
        {"r_0|i": "taxes.txt"},
        {"r": [{}, {"i": "taxes.txt"}]},
        {"many": ["taxes.txt"]},
        {"many": [["{home}/taxes.txt"]]},
        {"i": {"path": "{home}/taxes.txt"}},
        {"i": {"{home}/taxes.txt": 1}},
        {"i": ["taxes.txt", {"axis_labels": "x"}]},
        {"c": {"how": "b", "x": "taxes.txt"}},  # a text in the other case
        {"c|how": "b", "c|x": "taxes.txt"},
        {"i": "file://{home}/taxes.txt"},
        {"i": "file://localhost{home}/taxes.txt"},
        {"i": "file:{home}/taxes%2Etxt"},
        {"t": "~/taxes.txt"},
        {"t": "$HOME/taxes.txt"},
        {"t": "../home/taxes.txt"},
        {"t": "--in={home}/taxes.txt"},
        {"t": "x; cat '{home}/taxes.txt'"},
        {"c": {"how": "a", "x": "a,{home}/taxes.txt"}},
        {"unknown": {"deep": ["{home}/taxes.txt"]}},
    ],
    ids=lambda told: json.dumps(told)[:40],
)
def test_however_a_file_is_named_it_is_asked_about(
    home: Path, tmp_path: Path, parameters: dict[str, object]
) -> None:
    told = told_of(ntr.run(say()))
    written = json.loads(json.dumps(parameters).replace(HOME, str(home)))
    record = sent(tmp_path / "sent", told, parameters=written, inputs=[])
    assert home / "taxes.txt" in borrowed(record, say())
    with pytest.raises(TrustError, match=r"not written by this installation.*taxes\.txt"):
        rerun(record, load_config())


def test_what_names_no_file_is_not_asked_about(home: Path, tmp_path: Path) -> None:
    """“red” is a colour, whatever lies where one stands; a division is none of the root."""
    told = told_of(ntr.run(say()))
    values = {"t": "red", "c": {"how": "a", "x": "a / b, 1/2, http://example.org/x"}}
    record = sent(tmp_path / "sent", told, parameters=values, inputs=[])
    assert borrowed(record, say()) == []


def layer_that_says(told: Mapping[str, object]) -> object:
    class Layer:
        name = "x"
        metadata = {"napari_tool_runner": dict(told)}  # noqa: RUF012

    return Layer()


def private_input(home: Path) -> list[dict[str, object]]:
    source = {"kind": "file", "path": str(home / "taxes.txt"), "sample": ""}
    return [{"name": "i", "label": "x.txt", "path": str(home / "taxes.txt"), "format": "txt",
             "sha256": None, "source": source, "layer": None}]  # fmt: skip


@pytest.mark.parametrize("where", ["/record.json", "{home}/record.json", "x.json", "", "real"])
def test_a_layer_owns_no_folder(home: Path, tmp_path: Path, where: str) -> None:
    """Its metadata say where its record lies: that makes nothing there a part of it."""
    result = ntr.run(say(), values={"i": tmp_path / "harmless.txt"})
    told = told_of(result)
    place = where.replace(HOME, str(home))
    if where == "real":  # of a job that is there, and says something else
        place = str(result.workspace / "record.json")
        shutil.copy(home / "taxes.txt", result.workspace / "io" / "inputs")
        (home / "taxes.txt").unlink()
        home = result.workspace / "io" / "inputs"
    record = remembered(layer_that_says({**told, "record": place, "inputs": private_input(home)}))
    assert record is not None
    assert home / "taxes.txt" in borrowed(record, say())
    with pytest.raises(TrustError, match=r"taxes\.txt"):
        rerun(record, load_config())


@pytest.mark.parametrize("where", ["home", "Downloads", "project", "others"])
def test_a_record_owns_no_folder_of_other_things(home: Path, tmp_path: Path, where: str) -> None:
    told = told_of(ntr.run(say()))
    place = {"home": home, "Downloads": home / "Downloads"}.get(where, tmp_path / "work" / where)
    (place / "io" / "inputs").mkdir(parents=True)
    (place / "io" / "inputs" / "taxes.txt").write_text("private")
    if where == "project":
        (place / "thesis.odt").touch()
    if where == "others":
        place.chmod(0o777)  # who may write there may put another file in its place
    record = sent(place, told, inputs=private_input(place / "io" / "inputs"))
    assert borrowed(record, say()) == [place / "io" / "inputs" / "taxes.txt"]


def test_a_whole_job_that_was_sent_needs_no_word(home: Path, tmp_path: Path) -> None:
    """What lies in the folder came with the record: it is the sender's own."""
    result = ntr.run(say(), values={"i": tmp_path / "harmless.txt"})
    shutil.copytree(result.workspace, tmp_path / "job")
    record = find_record(tmp_path / "job", tmp_path)
    assert not record.ours
    # the copy of what went in lies in it; the original is not asked for
    shutil.copy(tmp_path / "harmless.txt", tmp_path / "job" / "io" / "inputs" / "harmless.txt")
    told = told_of(result)
    told["inputs"][0]["path"] = "io/inputs/harmless.txt"  # type: ignore[index]
    record = sent(tmp_path / "job", told)
    assert borrowed(record, say()) == []
    job, _ = rerun(record, load_config())
    assert run_job(job).outputs["o"].path.read_text() == "x"


def test_a_crate_is_a_whole_job(home: Path, tmp_path: Path) -> None:
    pytest.importorskip("rocrate")
    result = ntr.run(say(), values={"i": tmp_path / "harmless.txt"})
    crate = export_crate(read_record(result.workspace / "record.json"), tmp_path / "crate")
    told = json.loads((crate / "record.json").read_text())
    told["inputs"][0]["path"] = "inputs/harmless.txt"
    (crate / "inputs").mkdir(exist_ok=True)
    shutil.copy(tmp_path / "harmless.txt", crate / "inputs" / "harmless.txt")
    assert borrowed(sent(crate, told), say()) == []


def test_a_crate_takes_nothing_for_what_a_layer_says(home: Path, tmp_path: Path) -> None:
    pytest.importorskip("rocrate")
    told = told_of(ntr.run(say(), values={"i": tmp_path / "harmless.txt"}))
    layer = layer_that_says({**told, "record": "/record.json", "inputs": private_input(home)})
    record = remembered(layer)
    assert record is not None
    with pytest.raises(ntr.errors.WorkspaceError, match="lies outside"):
        export_crate(record, tmp_path / "crate")
    assert not (tmp_path / "crate").exists()


def test_a_link_that_is_swapped_after_the_question_leads_where_it_led(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = told_of(ntr.run(say()))
    folder = tmp_path / "sent" / "data"
    folder.mkdir(parents=True)
    (tmp_path / "shown.txt").write_text("shown")
    link = folder / "x"
    link.symlink_to(tmp_path)
    entry = private_input(home)
    entry[0] |= {"path": str(link / "shown.txt"), "source": {"kind": "layer"}}
    record = sent(tmp_path / "sent", told, inputs=entry)
    lend = borrowed(record, say())
    assert lend == [tmp_path / "shown.txt"]
    job, _ = rerun(record, load_config(), lend=lend)
    link.unlink()
    link.symlink_to(home)
    (home / "shown.txt").write_text("private")
    assert run_job(job).outputs["o"].path.read_text() == "shown"


@pytest.fixture
def page(home: Path, qtbot, tmp_path: Path) -> Callable[[Tool], object]:  # type: ignore[no-untyped-def]
    """Opens the form of a tool."""
    components = pytest.importorskip("napari.components")
    from napari_tool_runner.widgets.forms.presets import PresetStore
    from napari_tool_runner.widgets.tool_widget import ToolWidget

    viewer, pages = components.ViewerModel(), list[object]()

    def opened(tool: Tool) -> ToolWidget:
        made = ToolWidget(tool, viewer, presets=PresetStore(tmp_path / "presets"))
        qtbot.addWidget(made)
        pages.append(made)
        return made

    return opened


def test_a_form_is_filled_with_no_file_before_a_word(home: Path, tmp_path: Path, page) -> None:
    """“Run again on…” and “Edit and run again…” leave out what was not asked about."""
    from napari_tool_runner.widgets.history.fill import fill_form

    told = told_of(ntr.run(say()))
    values = {"t": f"{home}/taxes.txt", "s": {"j": "taxes.txt"}, "c": {"how": "a", "x": "blue"}}
    record = sent(tmp_path / "sent", told, parameters=values, inputs=private_input(home))
    opened = page(say())
    fill_form(opened, record, "Filled.")
    shown = opened.form.values()
    assert not shown["t"]
    assert not shown["s"]["j"]
    assert not shown["i"]
    assert shown["c"]["x"] == "blue"
    message = opened.run_bar.message
    assert message.text().startswith("Filled.")
    assert "taxes.txt" in message.text()
    (button,) = message.buttons
    button.click()
    shown = opened.form.values()
    assert shown["t"] == f"{home}/taxes.txt"
    assert Path(str(shown["i"])) == home / "taxes.txt"


def test_a_preset_of_others_fills_in_no_file_before_a_word(
    home: Path, tmp_path: Path, page
) -> None:
    opened = page(say())
    preset = {"format": "napari-tool-runner preset", "name": "x", "tool": "say", "version": "1",
              "values": {"t": "~/taxes.txt", "i": "taxes.txt", "r": [{"i": str(home / "red")}],
                         "c": {"how": "a", "x": "blue"}}}  # fmt: skip
    (tmp_path / "x.json").write_text(json.dumps(preset))
    opened.preset_menu.import_file(tmp_path / "x.json")
    shown = opened.form.values()
    assert not shown["t"]
    assert not shown["i"]
    assert shown["c"]["x"] == "blue"
    assert not any(entry["i"] for entry in shown["r"])
    message = opened.run_bar.message
    assert "taxes.txt" in message.text()
    assert "red" in message.text()
    (button,) = message.buttons
    button.click()
    assert opened.form.values()["t"] == "~/taxes.txt"


def test_ones_own_presets_come_back_whole(home: Path, page) -> None:
    opened = page(say())
    opened.form.set_values({"t": "~/taxes.txt"})
    opened.preset_menu.save("mine")
    opened.form.reset()
    opened.preset_menu._load("mine")
    assert opened.form.values()["t"] == "~/taxes.txt"
    assert not opened.run_bar.message.buttons
