"""What a stranger says in a record, a layer or a preset lends no file without a question."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import napari_tool_runner as ntr
from napari_tool_runner.config import config_path, load_config
from napari_tool_runner.errors import TrustError
from napari_tool_runner.jobs import (
    JobState,
    as_python,
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
        {"t": "@{home}/taxes.txt"},  # what it holds are arguments
        {"t": "-f{home}/taxes.txt"},
        {"t": "{home}/taxes.txt[0]"},
        {"t": "{home}/taxes.txt?x"},
        {"t": "{home}/taxes.txt*"},
        {"t": "{home}/taxes.txt\0"},
        {"t": "\\{home}/taxes.txt"},
        {"t": "{home}\\/taxes.txt"},
        {"t": "x; cat '{home}/taxes.txt'"},
        {"c": {"how": "a", "x": "a,{home}/taxes.txt"}},
        {"unknown": {"deep": ["{home}/taxes.txt"]}},
        {"t": "{home}" + "/" * 5000 + "taxes.txt#0"},
        {"t": "file://{home}/" + "a/../" * 2000 + "taxes.txt#" + "9" * 5000},
        {"t": "{home}/taxes.txt" + "/0" * 3000},
        {"t": "${HOME}/taxes.txt" + " x" * 50_000},
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


@pytest.mark.parametrize("inside", ["", "#0", "/0"])
@pytest.mark.parametrize("link", ["link", "sent/link"])  # the second lies beside the record
def test_a_file_that_lies_behind_a_link_and_a_step_upwards_is_asked_about(
    home: Path, tmp_path: Path, link: str, inside: str
) -> None:
    """The system goes up from where the link leads to, not from where it lies."""
    told = told_of(ntr.run(say()))
    (home / "deep").mkdir()
    (tmp_path / "sent").mkdir()
    (tmp_path / link).symlink_to(home / "deep")
    for text in (f"{tmp_path}/{link}/../taxes.txt{inside}", f"../{link}/../taxes.txt{inside}"):
        record = sent(tmp_path / "sent", told, parameters={"i": text}, inputs=[])
        assert home / "taxes.txt" in borrowed(record, say()), text


@pytest.mark.parametrize(
    "values",
    [
        {"i": " ".join(["#" * 4000] * 200)},
        {"t": " ".join(["/tmp" + "/.." * 900] * 300)},
        {"t": "a/b " * 50_000},
        {"t": "$PATH" * 100_000},
        {"t": "x" * 2**21},
        {"many": ["a/b"] * 50_000},
        {"r": [{"i": 1}] * 50_000},
        {"|".join(["a"] * number): 1 for number in range(1, 2000)},
        {"a" * 2000: 1},
        {str(number): 1 for number in range(50_000)},
    ],
    ids=range(10),
)
def test_more_than_a_form_holds_is_refused(
    home: Path, tmp_path: Path, values: dict[str, object]
) -> None:
    """A small record would be looked through for minutes: each text is gone over once."""
    record = sent(tmp_path / "sent", told_of(ntr.run(say())), parameters=values, inputs=[])
    for ask in (lambda: borrowed(record, say()), lambda: rerun(record, load_config())):
        with pytest.raises(ntr.errors.ParameterError, match="are not taken: there are"):
            ask()


@pytest.mark.parametrize("what", ["io", "io/inputs", "io/inputs/harmless.txt"])
def test_what_a_program_put_in_the_place_of_its_input_is_not_followed(
    home: Path, tmp_path: Path, what: str
) -> None:
    """A sealed record of ours says where the input lies, and a program may write there."""
    pytest.importorskip("rocrate")
    given = tmp_path / "harmless.txt"
    result = ntr.run(say(), values={"i": given})
    record = read_record(result.workspace / "record.json")
    assert record.ours
    (entry,) = record.inputs
    assert entry.locate(record.root) == result.workspace / "io" / "inputs" / "harmless.txt"
    (home / "inputs").mkdir()
    for name in ("harmless.txt", "inputs/harmless.txt"):
        (home / name).write_text("private")
    place = result.workspace / what
    place.rename(tmp_path / "away")
    place.symlink_to(home / "harmless.txt" if what.endswith("txt") else home)
    assert entry.locate(record.root) == given, "what it was made of then"
    job, _ = rerun(record, load_config())
    assert run_job(job).outputs["o"].path.read_text() == "x"
    given.unlink()
    assert entry.locate(record.root) is None
    for use in (lambda: rerun(record, load_config()), lambda: as_python(record)):
        with pytest.raises(ntr.errors.WorkspaceError, match="a link in its place or in it"):
            use()
    with pytest.raises(ntr.errors.WorkspaceError, match=r"is gone|has changed since"):
        export_crate(record, tmp_path / "crate")


def test_a_job_that_runs_is_not_run_again_on_what_it_can_change(
    home: Path, tmp_path: Path
) -> None:
    result = ntr.run(say(), values={"i": tmp_path / "harmless.txt"})
    record = replace(read_record(result.workspace / "record.json"), state=JobState.RUNNING)
    with pytest.raises(ntr.errors.WorkspaceError, match="still runs"):
        rerun(record, load_config())


@pytest.mark.parametrize("what", ["c", "c/0"])
def test_a_chunk_that_became_a_link_is_not_followed(home: Path, tmp_path: Path, what: str) -> None:
    told = told_of(ntr.run(say()))
    store = tmp_path / "job" / "io" / "inputs" / "i.zarr"
    (store / "c").mkdir(parents=True)
    (store / "c" / "0").write_text("x")
    entry = private_input(home)
    entry[0] |= {"path": "io/inputs/i.zarr", "source": {"kind": "layer"}}
    record = replace(sent(tmp_path / "job", told, inputs=entry), ours=True)
    (one,) = record.inputs
    assert one.locate(record.root) == store
    assert one.remark(record.root) == ""
    (store / what).rename(tmp_path / "away")
    (store / what).symlink_to(home)
    assert one.locate(record.root) is None
    assert "is not followed" in one.remark(record.root)


def test_a_file_with_a_second_name_is_asked_about(home: Path, tmp_path: Path) -> None:
    """A hard link in what was sent is a file of the user's all the same."""
    told = told_of(ntr.run(say(), values={"i": tmp_path / "harmless.txt"}))
    inputs = tmp_path / "sent" / "io" / "inputs"
    inputs.mkdir(parents=True)
    (inputs / "x.txt").hardlink_to(home / "taxes.txt")
    entry = private_input(home)
    entry[0] |= {"path": "io/inputs/x.txt", "source": {"kind": "layer"}}
    record = sent(tmp_path / "sent", told, inputs=entry, parameters={}, outputs=[])
    assert borrowed(record, say()) == [inputs / "x.txt"]
    record = sent(tmp_path / "sent", told, inputs=[], parameters={"t": f"{inputs}"}, outputs=[])
    assert borrowed(record, say()) == [inputs / "x.txt"]
    pytest.importorskip("rocrate")
    with pytest.raises(ntr.errors.WorkspaceError, match="reached by a link"):
        export_crate(sent(tmp_path / "sent", told, inputs=entry, outputs=[]), tmp_path / "crate")


@pytest.mark.parametrize("path", ["/" + "a" * 5000, "a\0b", "/tmp/\udcff\ud800"])
def test_a_path_that_no_system_has_is_a_sentence(home: Path, tmp_path: Path, path: str) -> None:
    pytest.importorskip("rocrate")
    told = told_of(ntr.run(say(), values={"i": tmp_path / "harmless.txt"}))
    entry = private_input(home)
    entry[0] |= {"path": path, "source": {"kind": "file", "path": path}}
    record = sent(tmp_path / "sent", told, inputs=entry)
    with pytest.raises(ntr.errors.WorkspaceError, match="gone"):
        export_crate(record, tmp_path / "crate")
    with pytest.raises(ntr.errors.WorkspaceError, match="gone"):
        rerun(record, load_config())
    with pytest.raises(ntr.errors.ToolRunnerError, match=r"cannot be read|gone|takes txt"):
        ntr.run(say(), values={"i": path})


@pytest.mark.parametrize(
    "place", ["{tmp}/gone", "io/../../../gone", "inputs/gone", "/" + "a" * 5000]
)
@pytest.mark.parametrize("known", [True, False])
def test_what_is_gone_has_no_place_outside_of_a_crate(
    home: Path, tmp_path: Path, place: str, known: bool
) -> None:
    """What it was made of goes in, and not where the record says."""
    pytest.importorskip("rocrate")
    told = told_of(ntr.run(say(), values={"i": tmp_path / "harmless.txt"}))
    told["inputs"][0]["path"] = place.replace("{tmp}", str(tmp_path))  # type: ignore[index]
    folder = tmp_path / "sent"
    record = sent(folder, told, outputs=[])
    if not known:
        (folder / "thesis.odt").touch()
    crate = export_crate(record, tmp_path / "to" / "crate")
    assert [path.read_text() for path in crate.glob("inputs/*")] == ["x"]
    assert {path.name for path in (tmp_path / "to").iterdir()} == {"crate"}
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize("what", ["without end", "holes"])
def test_a_file_that_a_record_names_is_not_read_for_hours(
    home: Path, tmp_path: Path, what: str
) -> None:
    """One of the system has no size and no end; one of holes says that it is large."""
    pytest.importorskip("rocrate")
    path = Path("/proc/self/pagemap")
    if what == "holes":
        path = tmp_path / "holes"
        with path.open("wb") as file:
            file.truncate(2**36)
    if not path.is_file():
        pytest.skip("this system has none")
    told = told_of(ntr.run(say(), values={"i": tmp_path / "harmless.txt"}))
    entry = private_input(home)
    entry[0] |= {"path": str(path), "sha256": "sha256:0", "source": {"kind": "layer"}}
    record = sent(tmp_path / "sent", told, inputs=entry)
    assert "cannot be compared with what it was" in record.inputs[0].remark(record.root)
    with pytest.raises(ntr.errors.WorkspaceError, match="cannot be compared with what it was"):
        export_crate(record, tmp_path / "crate")


@pytest.mark.parametrize("pattern", ["*", "tax?s.txt", "[t]axes.txt"])
def test_a_pattern_is_asked_about_by_its_folder(home: Path, tmp_path: Path, pattern: str) -> None:
    told = told_of(ntr.run(say()))
    record = sent(tmp_path / "sent", told, parameters={"t": f"{home}/{pattern}"}, inputs=[])
    assert borrowed(record, say()) == [home]


def test_what_names_no_file_is_not_asked_about(home: Path, tmp_path: Path) -> None:
    """“red” is a colour, whatever lies where one stands; a division is none of the root."""
    told = told_of(ntr.run(say()))
    values = {"t": "red", "c": {"how": "a", "x": "a / b, 1/2, @/ /*, http://example.org/x?y"}}
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


@pytest.mark.skipif(os.name == "nt", reason="POSIX's rights")
def test_a_crate_gives_nobody_rights_that_a_program_gave(home: Path, tmp_path: Path) -> None:
    pytest.importorskip("rocrate")
    result = ntr.run(say())
    output = next(iter(result.outputs.values())).path
    output.chmod(0o6777)
    crate = export_crate(read_record(result.workspace / "record.json"), tmp_path / "crate")
    modes = {path: path.stat().st_mode & 0o7777 for path in crate.rglob("*")}
    assert modes[next(crate.rglob(output.name))] == 0o644
    assert not any(mode & 0o7022 for mode in modes.values())
    (plain := tmp_path / "plain").mkdir()
    assert crate.stat().st_mode == plain.stat().st_mode
    assert not list(tmp_path.glob(".crate-*"))


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


def test_a_form_is_filled_with_no_file_before_a_word(
    home: Path, tmp_path: Path, page, qtbot
) -> None:
    """“Run again on…” and “Edit and run again…” leave out what was not asked about."""
    from napari_tool_runner.widgets.history.fill import fill_form

    told = told_of(ntr.run(say()))
    values = {"t": f"{home}/taxes.txt", "s": {"j": "taxes.txt"}, "c": {"how": "a", "x": "blue"}}
    record = sent(tmp_path / "sent", told, parameters=values, inputs=private_input(home))
    opened = page(say())
    fill_form(opened, record, "Filled.")
    message = opened.run_bar.message
    qtbot.waitUntil(lambda: message.text().startswith("Filled."))
    shown = opened.form.values()
    assert not shown["t"]
    assert not shown["s"]["j"]
    assert not shown["i"]
    assert shown["c"]["x"] == "blue"
    assert "taxes.txt" in message.text()
    (button,) = message.buttons
    button.click()
    qtbot.waitUntil(lambda: opened.form.values()["t"] != "")
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


def test_a_preset_that_no_form_made_is_refused(home: Path, tmp_path: Path, page) -> None:
    opened = page(say())
    preset = {"tool": "say", "version": "1", "values": {"t": "a/b " * 50_000}}
    (tmp_path / "x.json").write_text(json.dumps(preset))
    opened.preset_menu.import_file(tmp_path / "x.json")
    assert "are not taken" in opened.run_bar.message.text()
    assert not opened.form.values()["t"]


def test_ones_own_presets_come_back_whole(home: Path, page) -> None:
    opened = page(say())
    opened.form.set_values({"t": "~/taxes.txt"})
    opened.preset_menu.save("mine")
    opened.form.reset()
    opened.preset_menu._load("mine")
    assert opened.form.values()["t"] == "~/taxes.txt"
    assert not opened.run_bar.message.buttons
