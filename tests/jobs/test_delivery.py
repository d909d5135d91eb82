"""Results that are delivered stand alone: whole, or not at all, and nothing else is deleted."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from napari_tool_runner import sealed
from napari_tool_runner.cli import main
from napari_tool_runner.errors import WorkspaceError
from napari_tool_runner.jobs import JobResult, deliver, prepare, run_job
from napari_tool_runner.jobs import delivery as module
from napari_tool_runner.storage import user_data
from support import until_kept

MAKE = """import pathlib, sys
k, zarr, folder, parts, file = sys.argv[1:]
zarr, folder = pathlib.Path(zarr), pathlib.Path(folder)
(zarr / "c").mkdir(parents=True)
(zarr / "zarr.json").write_text("{}")
(zarr / "c" / k).write_text(k)
folder.mkdir()
(folder / f"{k}.txt").write_text(k)
pathlib.Path("parts").mkdir()
for name in parts.split(","):
    pathlib.Path("parts", f"{name}.txt").write_text(k)
pathlib.Path(file).write_text(k)
"""
TOOL = """<tool id="m" name="M" version="1" profile="23.0"><command>
python '$__tool_directory__/make.py' '$k' '$z' '$d' '$parts' '$f'</command><inputs>
<param name="k" type="text" value="1"/><param name="parts" type="text" value="a,b"/></inputs>
<outputs><data name="z" format="zarr"/><data name="d" format="directory"/>
<data name="f" format="txt"/><collection name="c" type="list">
<discover_datasets pattern="__name_and_ext__" directory="parts"/></collection></outputs></tool>"""


@pytest.fixture
def tool(tmp_path: Path) -> Path:
    folder = tmp_path / "tool"
    folder.mkdir()
    (folder / "make.py").write_text(MAKE)
    (folder / "m.xml").write_text(TOOL)
    return folder / "m.xml"


def made(tool: Path, k: int, parts: str = "a,b") -> JobResult:
    return run_job(prepare(tool, {"k": str(k), "parts": parts}, must_load=False))


def held(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_where_the_files_of_a_batch_lie_is_not_asked_with_each_result(
    tool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {str(tmp_path / f"{number}.tif") for number in range(50)}
    asked: set[str] = set()

    def ask(path: str | os.PathLike[str]) -> str:
        asked.add(str(path))
        return os.path.realpath(path)

    monkeypatch.setattr(module, "real_text", ask)
    deliver(made(tool, 1), tmp_path / "out", given={*given})
    assert not asked & given


def test_nothing_of_an_earlier_result_stays_inside(tool: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    out = tmp_path / "out"
    out.symlink_to(tmp_path / "real")
    places = deliver(made(tool, 1), out)
    (places["d"] / "1.txt").unlink()  # the user took it
    assert (places["z"] / "c" / "1").exists()
    deliver(made(tool, 2), out)
    assert held(places["z"]) == {"c/2": "2", "zarr.json": "{}"}
    assert held(places["d"]) == {"2.txt": "2"}
    assert places["f"].read_text() == "2"
    assert not [name for name in os.listdir(out) if name.startswith(".")]


@pytest.mark.parametrize("what", ["folder", "zarr", "collection", "file", "a file's place"])
def test_what_we_did_not_write_is_not_deleted(tool: Path, tmp_path: Path, what: str) -> None:
    out = tmp_path / "out"
    places = deliver(made(tool, 1), out)
    place = {
        "folder": places["d"] / "mine.txt",
        "zarr": places["z"] / "c" / "notes.txt",
        "collection": places["c/a"].parent / "mine.txt",
    }.get(what)
    if place is None:
        place = places["d"] if what == "file" else places["f"]
        sealed.remove(place, out)
        if what != "file":
            place.mkdir()
            place = place / "mine.txt"
    place.write_text("mine")
    before = held(out)
    with pytest.raises(WorkspaceError, match=r"(mine|notes)\.txt|d\.?\w* is a file") as refused:
        deliver(made(tool, 1), out)
    assert "another folder" in str(refused.value)
    assert held(out) == before
    assert not list(out.rglob(".*"))


@pytest.mark.parametrize("mine", ["labels/mine/0", "1/0", ".zshrc", "c/9", "empty/", "2.zarr@"])
@pytest.mark.parametrize("output", ["z", "d"])
def test_what_was_added_to_a_result_stays(
    tool: Path, tmp_path: Path, mine: str, output: str
) -> None:
    out = tmp_path / "out"
    place = deliver(made(tool, 1), out)[output] / mine.rstrip("/@")
    (place if mine.endswith("/") else place.parent).mkdir(parents=True, exist_ok=True)
    if mine.endswith("@"):
        place.symlink_to(tool)
    elif not mine.endswith("/"):
        place.write_text("mine")
    before = held(out)
    with pytest.raises(WorkspaceError, match=f"holds {re.escape(mine.split('/')[0].rstrip('@'))}"):
        deliver(made(tool, 2), out)
    assert held(out) == before
    assert os.path.lexists(place)


@pytest.mark.parametrize("when", ["never delivered", "the list is damaged", "added meanwhile"])
def test_a_folder_that_is_not_known_stays(
    tool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    out = tmp_path / "out"
    target = tmp_path / "out" / "d.dir"
    result, copy = made(tool, 1), sealed.copy
    if when == "never delivered":  # the same names, but another's
        target = out / deliver(result, tmp_path / "other")["d"].name
        target.mkdir(parents=True)
        (target / "1.txt").write_text("mine")
    else:
        target = deliver(result, out)["d"]
        (list_of,) = (
            path
            for path in (user_data() / "delivered").iterdir()
            if path.read_text().strip() == '["1.txt"]'
        )
        if when == "the list is damaged":
            list_of.write_text('["1.t')

    def slow(source: Path, place: Path, root: Path | None) -> None:
        copy(source, place, root)
        if when == "added meanwhile":
            (target / "mine.txt").write_text("mine")

    monkeypatch.setattr(module.sealed, "copy", slow)
    before = {**held(out)}
    with pytest.raises(WorkspaceError, match=r"d\.?\w* holds (1|mine)\.txt"):
        deliver(result, out)
    assert before.items() <= held(out).items()


@pytest.mark.parametrize("to", ["file", "link", "folder", "inside", "batch"])
def test_what_the_job_was_given_is_not_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], to: str
) -> None:
    tool, out = tmp_path / "up.xml", tmp_path / "out"
    made = (
        "mkdir '$o' &amp;&amp; echo new > '$o/x.txt'"
        if to in ("folder", "inside")
        else "cp '$i' '$o'"
    )
    kind = "directory" if to in ("folder", "inside") else "txt"
    given = "directory" if to == "folder" else "txt"
    tool.write_text(
        f"""<tool id="up" name="U" version="1" profile="23.0"><command>{made}</command>
        <inputs><param name="i" type="data" format="{given}"/></inputs>
        <outputs><data name="o" format="{kind}"/></outputs></tool>"""
    )
    (first := tmp_path / "first.txt").write_text("first")
    source = first
    if to == "folder":
        source = tmp_path / "first.dir"
        source.mkdir()
        (source / "x.txt").write_text("first")
    call = ["run", str(tool), f"i={source}", "--output-dir", str(out), "--json"]
    assert main(call) == 0
    place = Path(json.loads(capsys.readouterr().out)["outputs"]["o"]["path"])
    source, expected = place, "is, or holds, or lies in what the tool was given"
    if to == "link":
        place.rename(tmp_path / "real.txt")
        place.symlink_to(tmp_path / "real.txt")
    elif to == "inside":
        source = place / "x.txt"
    call = ["run", str(tool), f"i={source}", "--output-dir", str(out)]
    if to == "batch":  # what one call makes is what another is given
        (out / "a.txt").write_text("a")
        (out / "a_o.txt").write_text("a_o")
        call = ["batch", str(tool), f"i={out}/a*.txt", "--output-dir", str(out)]
    before = held(out)
    assert main(call) == 1
    assert expected in capsys.readouterr().err
    assert before.items() <= held(out).items()
    assert place.is_symlink() == (to == "link")


def test_a_rerun_does_not_replace_what_its_record_was_made_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tool, out = tmp_path / "up.xml", tmp_path / "out"
    tool.write_text(
        """<tool id="up" name="U" version="1" profile="23.0"><command>echo new > '$o'</command>
        <inputs><param name="i" type="data" format="txt"/></inputs>
        <outputs><data name="o" format="txt"/></outputs></tool>"""
    )
    out.mkdir()
    (out / "o.txt").write_text("mine")
    assert main(["run", str(tool), f"i={out}/o.txt", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)["record"]
    assert main(["rerun", record, "--tool", str(tool), "--output-dir", str(out)]) == 1
    assert "what the tool was given" in capsys.readouterr().err
    assert (out / "o.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["z", "a" * 100])
@pytest.mark.parametrize("at", ["copied", "moved away", "in place"])
def test_a_delivery_that_was_killed_is_put_right(
    tool: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
    at: str,
) -> None:
    text = tool.read_text().replace("$z", f"${name}").replace('"z"', f'"{name}"')
    tool.write_text(text)
    out = tmp_path / "out"
    place = deliver(made(tool, 1), out)[name]
    result = made(tool, 2)
    until_kept()  # that removes, too
    with monkeypatch.context() as killed:  # a kill cleans nothing
        rename, remove = Path.rename, sealed.remove

        def renamed(path: Path, target: Path) -> Path:
            if at == "copied" or (at == "moved away" and target == place):
                raise KeyboardInterrupt
            return rename(path, target)

        def removed(path: Path, root: Path) -> None:
            if path.name.startswith(f".{name[:9]}") or at == "copied":
                raise KeyboardInterrupt
            remove(path, root)

        killed.setattr(module.sealed, "remove", removed)
        killed.setattr(Path, "rename", renamed)
        with pytest.raises(KeyboardInterrupt):
            deliver(result, out)
    assert [one for one in os.listdir(out) if one[0] == "."]
    assert place.exists() == (at != "moved away")

    def full(*_: object) -> None:
        raise OSError(28, "full")

    if at == "moved away":
        with monkeypatch.context() as broken:
            broken.setattr(module.sealed, "copy", full)
            with pytest.raises(WorkspaceError, match="full"):
                deliver(result, out)
        assert held(place) == {"c/1": "1", "zarr.json": "{}"}
        assert "was put back" in caplog.text
    deliver(made(tool, 3), out)
    assert held(place) == {"c/3": "3", "zarr.json": "{}"}
    assert not [one for one in os.listdir(out) if one[0] == "."]


def test_a_delivery_that_fails_changes_nothing(
    tool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    deliver(made(tool, 1), out)["f"].write_text("older")
    before, copied = held(out), list[Path]()
    copy, result = sealed.copy, made(tool, 1)

    def full(source: Path, target: Path, root: Path | None) -> None:
        copied.append(source)
        if len(copied) == 3:
            raise OSError(28, "No space left on device")
        copy(source, target, root)

    monkeypatch.setattr(module.sealed, "copy", full)
    with pytest.raises(WorkspaceError, match=r"No space left on device.*results lie in"):
        deliver(result, out)
    assert held(out) == before
    assert not list(out.rglob(".*"))


def test_fewer_elements_than_before_are_told(tool: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    deliver(made(tool, 1), out)
    with pytest.raises(WorkspaceError, match=r"holds b\.txt, which is not of this result"):
        deliver(made(tool, 1, "a"), out)


def test_a_batch_tells_a_delivery_that_was_refused(
    tool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = TOOL.replace("<inputs>", '<inputs><param name="i" type="data" format="txt"/>')
    tool.write_text(text.replace('"zarr"', '"directory"'))
    (tool.parent / "make.py").write_text(MAKE.replace("zarr.json", "x.json"))
    for name in ("one", "two"):
        (tmp_path / f"{name}.txt").touch()
    out = tmp_path / "out"
    (out / "one_d.dir" / "mine").mkdir(parents=True)
    (out / "one_d.dir" / "mine" / "x.txt").touch()
    call = ["batch", str(tool), f"i={tmp_path}/[ot]*.txt", "--output-dir", str(out), "--json"]
    assert main(call) == 1
    said = capsys.readouterr()
    states = {row["stem"]: row["state"] for row in json.loads(said.out)}
    assert states == {"one": "failed", "two": "done"}
    assert "x.txt" in said.err
