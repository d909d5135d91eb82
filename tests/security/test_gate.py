"""What was approved is what runs; stored data are nobody's consent; looking sends nothing."""

from __future__ import annotations

import errno
import gc
import json
import os
import shutil
import stat
import struct
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest

import napari_tool_runner as ntr
from napari_tool_runner import storage
from napari_tool_runner.cli import main
from napari_tool_runner.config import config_path, load_config, user_data
from napari_tool_runner.errors import ToolFailedError, ToolRunnerError, TrustError
from napari_tool_runner.jobs import (
    dry_run,
    find_record,
    prepare,
    read_record,
    reclaim,
    reclaimable,
    recorded_tool,
    rerun,
    run_job,
)
from napari_tool_runner.plugins import runnerServices
from napari_tool_runner.plugins.runner_local import LocalRunnerService
from napari_tool_runner.storage import write_json
from napari_tool_runner.tools import dialect_of, load_toolbox, read_tool
from napari_tool_runner.tools.toolbox import approved, own, weighing
from napari_tool_runner.tools.toolbox.approvals import unapproved_copies
from napari_tool_runner.tools.toolbox.entries import bundled_folder, ships
from napari_tool_runner.tools.toolbox.gate import Permit, admit, pass_gate, pass_image, unnamed
from napari_tool_runner.tools.toolbox.own import own_copies
from napari_tool_runner.tools.toolbox.trust import TrustState, approve, review, revoke, trust_state

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from napari_tool_runner.jobs import JobResult, RunRecord
    from napari_tool_runner.plugins import Process, Session
    from napari_tool_runner.tools import Tool

SAY = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text({text!r})"


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """A stranger's toolbox with one tool, which the user's own configuration names."""
    folder = tmp_path / "box"
    (folder / "say" / "test-data").mkdir(parents=True)
    (folder / "say" / "say.py").write_text(SAY.format(text="approved"))
    (folder / "say" / "test-data" / "more.py").write_text("word = 'approved'")
    (folder / "say" / "say.xml").write_text(
        '<tool id="say" name="Say" version="1"><command>'
        "python '$__tool_directory__/say.py' ${o}</command>"
        '<outputs><data name="o" format="txt"/></outputs></tool>'
    )
    config_path().parent.mkdir(parents=True, exist_ok=True)
    config_path().write_text(json.dumps({"process": {"xml_dirs": [str(folder)]}}))
    return folder


def say() -> Tool:
    return load_toolbox()["say"]


def said(result: JobResult) -> str:
    return result.outputs["o"].path.read_text()


def record_of(result: JobResult) -> RunRecord:
    return read_record(result.workspace / "record.json")


# -- what was approved is what runs -----------------------------------------------------------


@pytest.fixture
def image(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the engine says of the image ``some/tool:1``; here LOCAL says it."""
    told = {"image": "some/tool:1", "image_id": "sha256:aa", "image_digest": ""}
    real = LocalRunnerService.session

    def session(self: LocalRunnerService, process: Process) -> AbstractContextManager[Session]:
        process.context.provenance.update(told)
        return real(self, process)

    monkeypatch.setattr(LocalRunnerService, "session", session)
    # what LOCAL knows of its programs does not tell the two images apart: each run is one
    monkeypatch.setattr(LocalRunnerService, "fingerprint", lambda *_: None)
    return told


def test_another_image_of_the_same_name_is_asked_about(
    box: Path, image: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    approve(box)
    assert said(ntr.run(say())) == said(ntr.run(say())) == "approved"
    waiting = prepare(say(), {})
    image["image_id"] = "sha256:bb"
    words = r"approved with another image; .* was not run: .* it was sha256:aa, and is sha256:bb"
    with pytest.raises(ToolFailedError, match=words):
        ntr.run(say())
    image["image_id"] = "sha256:aa"  # asked is asked
    assert trust_state(say()).changes == (
        "the image some/tool:1 is another one: it was sha256:aa, and is sha256:bb",
    )
    for act in (lambda: ntr.run(say()), lambda: run_job(waiting)):
        with pytest.raises((TrustError, ToolFailedError)):
            act()
    assert main(["trust", str(box), "--show"]) == 0
    assert "the image some/tool:1 is another one" in capsys.readouterr().out
    approve(box)
    image["image_id"] = "sha256:bb"
    assert said(ntr.run(say())) == "approved"


@pytest.mark.parametrize("scope", ["mine", "named"])
def test_another_image_of_ones_own_tool_is_told(
    box: Path, image: dict[str, str], scope: str
) -> None:
    approve(box, mine=True)
    tool = say() if scope == "mine" else read_tool(box / "say")
    assert record_of(ntr.run(tool)).notes == ()
    image["image_id"] = "sha256:bb"
    done = ntr.run(tool)
    (note,) = record_of(done).notes
    assert note.startswith("Warning: the image some/tool:1 is another one")
    assert note in (done.workspace / "log.txt").read_text()
    assert record_of(ntr.run(tool)).notes == ()


def test_a_run_by_path_changes_no_approval(box: Path, image: dict[str, str]) -> None:
    for name in ("say.xml", "say.py"):
        shutil.move(box / "say" / name, box / name)
    approve(box)
    ntr.run(say())
    ntr.run(read_tool(box / "say.xml"))
    image["image_id"] = "sha256:bb"
    (note,) = record_of(ntr.run(read_tool(box / "say.xml"))).notes
    assert "another one" in note
    with pytest.raises(ToolFailedError, match="approved with another image"):
        ntr.run(say())


def test_another_image_is_remembered_once_it_is_answered(
    box: Path, image: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    approve(box)
    ntr.run(say())
    image["image_id"] = "sha256:bb"
    real = storage.write_json

    def fails(path: Path, data: object, **options: bool) -> None:
        if path.name in {"trust.json", "images.json"}:
            raise OSError(28, "No space left on device")
        real(path, data, **options)

    with monkeypatch.context() as patch:
        patch.setattr(storage, "write_json", fails)
        with pytest.raises(ToolFailedError, match="cannot be kept"):
            ntr.run(say())
    with pytest.raises(ToolFailedError, match="approved with another image"):
        ntr.run(say())
    approve(box)  # the answer
    assert said(ntr.run(say())) == "approved"
    image["image_id"] = "sha256:aa"
    with pytest.raises(ToolFailedError, match="it was sha256:bb, and is sha256:aa"):
        ntr.run(say())


def test_another_image_hides_no_change_of_a_file(box: Path, image: dict[str, str]) -> None:
    approve(box)
    ntr.run(say())
    image["image_id"] = "sha256:bb"
    with pytest.raises(ToolFailedError):
        ntr.run(say())
    alter(box)
    assert trust_state(say()).changes == (
        "the image some/tool:1 is another one: it was sha256:aa, and is sha256:bb",
        "changed say/say.py",
    )
    alter(box, "approved")  # an image is not lost from the question by that
    assert trust_state(say()).state is TrustState.CHANGED


def test_an_approval_that_was_taken_back_meanwhile_remembers_no_image(
    box: Path, image: dict[str, str]
) -> None:
    approve(box)
    tool, permit = admit(say())
    revoke(box)
    with pytest.raises(TrustError, match="taken back or renewed meanwhile"):
        pass_image(tool, permit, image, pytest.fail)
    assert trust_state(box).state is TrustState.UNKNOWN


@pytest.mark.parametrize("damage", [None, [], {"some/tool:1": "x"}, {"some/tool:1": ["a"]}])
def test_damaged_images_of_an_approval_are_asked_about(
    box: Path, image: dict[str, str], damage: object
) -> None:
    approve(box)
    ntr.run(say())
    (user_data() / "images.json").write_text("{")  # of tools that ask nothing
    kept = user_data() / "trust.json"
    told = json.loads(kept.read_text())
    told["toolboxes"][str(box)]["images"] = damage
    kept.write_text(json.dumps(told))
    for _ in range(2):
        (why,) = trust_state(say()).changes
        assert why == "what was remembered of its images is damaged"
        approve(box.parent / "box" / "say")  # others are written anew: it stays
    approve(box)
    assert said(ntr.run(say())) == "approved"


@pytest.mark.parametrize("damage", ["{", "[]", '{"%s": 3}', '{"%s": ["a", 1]}'])
def test_damaged_images_of_tools_by_path_are_told(
    box: Path, image: dict[str, str], damage: str
) -> None:
    tool, kept = read_tool(box / "say"), user_data() / "images.json"
    assert record_of(ntr.run(tool)).notes == ()
    (key,) = json.loads(kept.read_text()).keys() - {"version"}
    kept.write_text(damage.replace("%s", json.dumps(key)[1:-1]))
    image["image_id"] = "sha256:bb"
    (note,) = record_of(ntr.run(tool)).notes
    assert all(word in note for word in ("damaged", "some/tool:1", "sha256:bb"))
    assert record_of(ntr.run(tool)).notes == ()
    image["image"] = "some/other:1"  # whether it ran before, nobody knows
    lost = "%s" not in damage
    assert len(record_of(ntr.run(tool)).notes) == lost


@pytest.mark.parametrize(
    "same",
    [
        {"image_id": "sha256:cc", "image_digest": "sha256:dd"},
        {"image": "some/tool@sha256:dd", "image_id": "sha256:ee"},
        {"image": "some/other:1", "image_id": "sha256:ee"},
    ],
)
def test_the_same_image_is_not_asked_about(
    box: Path, image: dict[str, str], same: dict[str, str]
) -> None:
    image["image_digest"] = "sha256:dd"
    approve(box)
    ntr.run(say())
    image |= same
    assert record_of(ntr.run(say())).notes == ()


def alter(box: Path, text: str = "evil") -> None:
    """Change the script, with the size and the time that it had."""
    script = box / "say" / "say.py"
    before = script.stat()
    changed = SAY.format(text=text)
    script.write_text(changed.ljust(before.st_size)[: before.st_size])
    os.utime(script, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_same_size_and_time_do_not_pass(box: Path) -> None:
    approve(box)
    alter(box)
    assert trust_state(say()).state is TrustState.CHANGED
    with pytest.raises(TrustError, match=r"has changed since you approved it \(changed say/say"):
        ntr.run(say())


def test_the_copy_runs_not_the_disk(box: Path) -> None:
    approve(box)
    job = prepare(say(), {})
    alter(box)  # in the queue
    assert said(run_job(job)) == "approved"
    assert job.tool.uri == str(box / "say" / "say.xml")


@pytest.mark.parametrize("place", ["__pycache__/more.pyc", ".git/hooks/x.py", "more.pyc"])
def test_what_is_not_hashed_is_not_there(box: Path, place: str) -> None:
    approve(box)
    (box / "say" / place).parent.mkdir(parents=True, exist_ok=True)
    (box / "say" / place).write_text("evil")
    assert trust_state(say()).ok
    tool, _ = admit(say())
    assert not (tool.folder / place).exists()


def test_test_data_are_part_of_what_is_approved(box: Path) -> None:
    approve(box)
    (box / "say" / "test-data" / "more.py").write_text("word = 'evil'")
    assert trust_state(say()).changes == ("changed say/test-data/more.py",)


def test_what_a_link_leads_to_is_approved_with_it(box: Path, tmp_path: Path) -> None:
    inside, outside = box / "lib.py", tmp_path / "outside.py"
    inside.write_text("one")
    outside.write_text("one")
    (box / "say" / "in.py").symlink_to("../lib.py")
    (box / "say" / "out.py").symlink_to(outside)
    (box / "loop").symlink_to(box)
    approve(box)
    copy = admit(say())[0].folder
    assert (copy / "in.py").read_text() == "one"
    assert not (copy / "in.py").is_symlink()
    assert not (copy / "out.py").exists(), "what lies outside was not looked at"
    inside.write_text("two")
    assert "changed say/in.py" in trust_state(say()).changes


SHIPPED = bundled_folder() / "gaussian_filter" / "gaussian_filter.xml"


def test_a_link_to_a_shipped_descriptor_is_not_shipped(box: Path) -> None:
    """Its script is whatever lies beside the link."""
    link = box / "say" / SHIPPED.name
    link.symlink_to(SHIPPED)
    (box / "say" / "gaussian_filter.py").write_text("raise SystemExit('STRANGER')")
    tool = read_tool(link)
    assert (trust_state(tool).state, tool.folder) == (TrustState.NAMED, box / "say")
    assert not ships(tool)
    assert not ships(link)
    assert trust_state(replace(tool, toolbox=str(box))).state is TrustState.UNKNOWN
    assert trust_state(read_tool(SHIPPED)).state is TrustState.BUNDLED


def test_a_descriptor_that_becomes_a_link_to_a_shipped_one_is_not_shipped(box: Path) -> None:
    for tool, folder in ((say(), False), (say(), True)):
        shutil.move(box / "say", box / "away")
        if folder:
            (box / "say").symlink_to(SHIPPED.parent)
        else:
            (box / "say").mkdir()
            (box / "say" / "say.xml").symlink_to(SHIPPED)
        assert not ships(tool)
        with pytest.raises(TrustError, match="leads out of its toolbox"):
            admit(tool)
        (box / "say").unlink() if folder else shutil.rmtree(box / "say")
        shutil.move(box / "away", box / "say")


@pytest.mark.parametrize("scope", ["approved", "mine"])
def test_what_was_said_of_a_toolbox_is_not_of_what_its_links_lead_to(
    box: Path, tmp_path: Path, scope: str
) -> None:
    tool = say()
    approve(box, mine=scope == "mine")
    assert trust_state(tool).ok
    shutil.move(box / "say", tmp_path / "elsewhere")
    (box / "say").symlink_to(tmp_path / "elsewhere")
    assert not trust_state(unnamed(read_tool(box / "say" / "say.xml"))).ok
    assert not trust_state(replace(read_tool(box / "say" / "say.xml"), toolbox=str(box))).ok


def test_a_toolbox_that_is_reached_by_a_link_is_that_toolbox(box: Path) -> None:
    link = box.parent / "link"
    link.symlink_to(box)
    config_path().write_text(json.dumps({"process": {"xml_dirs": [str(link)]}}))
    approve(link)
    assert trust_state(say()).state is TrustState.APPROVED
    assert said(ntr.run(say(), {})) == "approved"


def test_the_copy_is_read_only_and_private(box: Path) -> None:
    (box / "say" / "run.sh").write_text("#!/bin/sh\n")
    (box / "say" / "run.sh").chmod(0o777)
    approve(box)
    copy = Path(admit(say())[0].copy)
    assert copy.parent == user_data() / "approved"
    modes = {p: stat.S_IMODE(p.stat().st_mode) for p in [copy, *copy.rglob("*")]}
    assert all(m == 0o500 for p, m in modes.items() if p.is_dir() or p.name == "run.sh")
    assert all(m == 0o400 for p, m in modes.items() if p.is_file() and p.name != "run.sh")
    assert stat.S_IMODE(copy.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("how", ["alter", "add", "remove"])
def test_an_altered_copy_does_not_run(box: Path, how: str) -> None:
    approve(box)
    job = prepare(say(), {})
    script = job.tool.folder / "say.py"
    before = script.stat()
    script.parent.chmod(0o700)
    if how == "alter":
        script.chmod(0o600)
        script.write_text(SAY.format(text="evil").ljust(before.st_size))
        script.chmod(0o400)
        os.utime(script, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif how == "add":
        (script.parent / "sys.py").write_text("evil")
    else:
        script.unlink()
    with pytest.raises(ToolFailedError, match=r"approved copy .* is gone or was altered"):
        run_job(job)
    with pytest.raises(TrustError, match="is gone or was altered"):
        ntr.run(say())
    approve(box)
    assert said(ntr.run(say())) == "approved"


def test_revoked_while_it_waited(box: Path) -> None:
    approve(box)
    job = prepare(say(), {})
    revoke(box)
    with pytest.raises(ToolFailedError, match="was taken back or renewed meanwhile"):
        run_job(job)
    assert not Path(job.tool.copy).exists()


def test_clean_reclaims_what_no_approval_names(box: Path) -> None:
    approve(box)
    old = trust_state(box).digest
    (box / "new.txt").write_text("new")
    approve(box)  # a job may still run from the old copy
    (box / "new.txt").write_text("newer")
    seen = review(box)
    items = [item for item in reclaimable(load_config()) if item.kind == "toolbox"]
    names = {digest.removeprefix("sha256:")[:12] for digest in (old, seen.digest)}
    assert {item.name for item in items} == names
    assert reclaim(items) == []
    assert not seen.copy.exists()
    (box / "new.txt").write_text("new")
    assert said(ntr.run(say())) == "approved"
    assert revoke(box)
    assert approved.kept_copies() == []


def test_approvals_of_older_versions_ask_again(box: Path) -> None:
    approve(box)
    store = user_data() / "trust.json"
    old = {"files": {"say/say.py": ["0" * 64, 1, 1]}, "digest": "sha256:x"}
    store.write_text(json.dumps({"toolboxes": {str(box): old}, "written": ""}))
    trust = trust_state(say())
    assert trust.state is TrustState.CHANGED
    assert "older version" in trust.changes[0]
    other = box.with_name("other")
    other.mkdir()
    approve(other)
    assert trust_state(say()).changes == trust.changes, "it is not lost with the next one"
    approve(box)
    assert said(ntr.run(say())) == "approved"


def test_what_cannot_be_looked_at_is_not_approved(
    box: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    approve(box)

    def refuse(_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(approved.os, "scandir", refuse)
    assert "it cannot be looked at" in trust_state(box).changes[0]


def test_a_folder_with_everything_is_no_toolbox(user_dirs: Path) -> None:
    user_data().mkdir(parents=True, exist_ok=True)  # what an earlier test began may write there
    for folder in (user_dirs, user_data(), Path("/")):
        with pytest.raises(TrustError, match="that is no toolbox"):
            review(folder)
    assert approved.kept_copies() == []


def test_a_folder_with_too_much_is_no_toolbox(box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weighing, "MOST_FILES", 2)
    with pytest.raises(TrustError, match="holds more than 2 files"):
        approve(box)
    assert list((user_data() / "approved").iterdir()) == []


def test_a_pipe_in_a_toolbox_is_not_waited_for(box: Path) -> None:
    os.mkfifo(box / "say" / "pipe")
    assert review(box).left_out == ("say/pipe",)


def test_one_damaged_approval_hides_no_other(box: Path) -> None:
    approve(box)
    store = user_data() / "trust.json"
    data = json.loads(store.read_text())
    data["toolboxes"] = {"/x": {"files": {"a": 1}}, "/y": 3, **data["toolboxes"]}
    store.write_text(json.dumps(data))
    assert trust_state(say()).ok


def test_what_is_mine_follows_its_changes(box: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trust", str(box), "--mine", "--yes"]) == 0
    alter(box, "changed ")
    assert said(ntr.run(say())) == "changed "
    assert trust_state(say()).state is TrustState.MINE
    (box / "say" / "say.py").chmod(0o666)
    assert main(["trust", str(box), "--mine", "--yes"]) == 1
    assert "others can change" in capsys.readouterr().err
    revoke(box)
    assert not trust_state(say()).ok


def test_what_is_mine_runs_as_it_was_when_it_was_asked_for(box: Path) -> None:
    """A queued run has what lay there then; its copy goes when nobody needs it any more."""
    approve(box, mine=True)
    waiting = prepare(say(), {})
    (first,) = approved.kept_copies()
    alter(box, "changed ")
    assert said(ntr.run(say())) == "changed "
    assert len(approved.kept_copies()) == 2
    assert unapproved_copies() == []  # `clean` would take it from a run that goes on
    assert said(run_job(waiting)) == "approved"
    del waiting
    alter(box, "again ")
    until = time.monotonic() + 60
    while first in approved.kept_copies() and time.monotonic() < until:  # what ends in threads
        gc.collect()
        assert said(ntr.run(say(), cache=False)) == "again "
    assert first not in approved.kept_copies()
    revoke(box)
    own_copies.leave()
    assert approved.kept_copies() == []


def test_what_is_mine_and_large_runs_in_place(box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own, "_MOST_BYTES", 10)
    approve(box, mine=True)
    assert said(ntr.run(say())) == "approved"
    assert approved.kept_copies() == []


def test_a_copy_of_what_is_mine_that_cannot_be_made_is_told(
    box: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    approve(box, mine=True)
    monkeypatch.setattr(own, "intact", lambda _: False)
    with pytest.raises(TrustError, match="changed while it was copied"):
        ntr.run(say())

    def full(_: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(own, "keep", full)
    with pytest.raises(TrustError, match=r"cannot be kept: .*No space left"):
        ntr.run(say())


@pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")
@pytest.mark.parametrize("kind", ["file", "folder", "nothing"])
def test_a_link_that_leads_out_is_nobodys_own(box: Path, tmp_path: Path, kind: str) -> None:
    """What lies elsewhere is changed by whoever may write there."""
    target = tmp_path / "elsewhere"
    if kind == "folder":
        target.mkdir()
    elif kind == "file":
        target.write_text("word = 1")
    approve(box, mine=True)
    (box / "say" / "more").symlink_to(target)
    (change,) = trust_state(say()).changes
    assert change.endswith("more is a link that leads out of it")
    with pytest.raises(TrustError, match=r"is yours, but .* leads out of it.* Move that out"):
        ntr.run(say())
    with pytest.raises(TrustError, match=r"cannot be marked as yours: .* leads out of it"):
        approve(box, mine=True)


@pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")
def test_an_environment_of_python_in_what_is_mine_is_named(box: Path) -> None:
    approve(box, mine=True)
    (box / "say" / ".venv" / "bin").mkdir(parents=True)
    (box / "say" / ".venv" / "pyvenv.cfg").touch()
    (box / "say" / ".venv" / "bin" / "python").symlink_to("/usr/bin/env")
    (change,) = trust_state(say()).changes
    there = box / "say" / ".venv"
    assert change == f"{there} is an environment of Python, whose links lead out of it"


def test_nothing_that_is_stored_marks_a_folder(box: Path, tmp_path: Path) -> None:
    """Neither a configuration that lies about, nor a record, a preset or a file in the folder."""
    told = {"toolboxes": {str(box): {"mine": True}}, "version": 2}
    (box / "trust.json").write_text(json.dumps(told))
    write_json(tmp_path / "config.json", {"process": {"xml_dirs": [str(box)]}, "trust": told})
    record = tmp_path / "job" / "record.json"
    record.parent.mkdir()
    write_json(record, {"version": 2, "tool": {"id": "say", "descriptor": str(box)}, **told})
    with pytest.raises(ToolRunnerError):
        rerun(find_record(str(record), tmp_path), load_config())
    assert trust_state(say()).state is TrustState.UNKNOWN
    with pytest.raises(TrustError):
        ntr.run(say())


def give_list(path: Path) -> None:
    """Let user 12345 write by an access list; as `setfacl -m u:12345:rw` does."""
    entries = [(1, 6, -1), (2, 6, 12345), (4, 4, -1), (16, 6, -1), (32, 4, -1)]
    rows = b"".join(struct.pack("<HHi", *entry) for entry in entries)
    try:
        os.setxattr(path, "system.posix_acl_access", struct.pack("<I", 2) + rows)
    except (AttributeError, OSError) as error:
        pytest.skip(f"access lists: {error}")
    assert path.stat().st_mode & 0o060 == 0o060


def open_up(how: str, box: Path) -> None:
    """Let others write in a place that matters."""
    script, parent = box / "say" / "say.py", box.parent
    modes = {
        "folder, group": (box, 0o775),
        "file, group": (script, 0o664),
        "inner folder, others": (script.parent, 0o757),
        "byte code": (script.parent / "__pycache__", 0o777),
        "parent": (parent, 0o777),
        "grandparent, group": (parent.parent, 0o770),
        "sticky folder itself": (box, 0o1777),
    }
    if how == "byte code":
        (script.parent / "__pycache__").mkdir()
    if how in modes:
        modes[how][0].chmod(modes[how][1])
    elif how.endswith("of another"):
        os.chown(script if how.startswith("file") else parent, 12345, -1)
    elif how.startswith("link"):
        library = parent / "shared" / "lib"
        library.mkdir(parents=True)
        (library / "x.py").write_text("word = 1")
        open_place, mode = (library / "x.py", 0o666) if "open" in how else (library.parent, 0o777)
        open_place.chmod(mode)
        target = library / "x.py" if how.endswith("file") else library
        (script.parent / "more").symlink_to(target)
    else:
        give_list(script)


@pytest.mark.skipif(os.name != "posix", reason="rights of files")
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    "how",
    [
        "folder, group", "file, group", "inner folder, others", "byte code", "parent",
        "grandparent, group", "sticky folder itself", "file of another", "parent of another",
        "link to a file", "link to a folder", "link to an open folder", "access list",
    ],
)  # fmt: skip
def test_what_others_can_change_is_nobodys_own(
    box: Path, how: str, when: str, capsys: pytest.CaptureFixture[str], request, monkeypatch
) -> None:
    request.addfinalizer(partial(box.parent.parent.chmod, 0o700))  # of all tests
    if how.endswith("group"):
        monkeypatch.setattr(own, "_own_group", lambda: -1)
    if how.endswith("of another") and os.getuid():
        pytest.skip("needs the super-user")
    if when == "after":
        approve(box, mine=True)
    open_up(how, box)
    if when == "before":
        assert main(["trust", str(box), "--mine", "--yes"]) == 1
        told = capsys.readouterr().err
        assert "cannot be marked as yours" in told
        assert "others can change" in told
    with pytest.raises(TrustError):
        ntr.run(say())
    if when == "after":
        assert "others can change" in trust_state(say()).changes[0]


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="access lists are told on Linux")
def test_a_group_of_the_user_alone_is_nobody_else(
    box: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With umask 002, the default of some systems, all that is written is so."""
    monkeypatch.setattr(own, "_own_group", lambda: os.stat(box).st_gid)
    box.chmod(0o775)
    script = box / "say" / "say.py"
    script.chmod(0o664)
    assert approve(box, mine=True).state is TrustState.MINE
    assert said(ntr.run(say())) == "approved"
    give_list(script)
    assert not trust_state(say()).ok
    os.removexattr(script, "system.posix_acl_access")
    script.chmod(0o664)
    assert trust_state(say()).ok
    box.chmod(0o777)
    assert not trust_state(say()).ok


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="access lists are told on Linux")
@pytest.mark.parametrize(
    ("name", "members", "alone"),
    [("me", [], True), ("me", ["me"], True), ("me", ["you"], False), ("staff", [], False)],
)
def test_whose_group_it_is(
    monkeypatch: pytest.MonkeyPatch, name: str, members: list[str], alone: bool
) -> None:
    import grp
    import pwd

    user = SimpleNamespace(pw_name="me", pw_gid=7)
    monkeypatch.setattr(pwd, "getpwuid", lambda _: user)
    group = SimpleNamespace(gr_name=name, gr_mem=members, gr_gid=7)
    monkeypatch.setattr(grp, "getgrgid", lambda _: group)
    assert own._own_group() == (7 if alone else -1)

    def unknown(_: int) -> None:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert own._own_group() == -1


def test_where_jobs_write_is_nobodys_own(box: Path) -> None:
    """Another's tool, approved or not walled in, would put a descriptor there."""
    approve(box, mine=True)
    for place in (box / "jobs", box.parent):
        found = trust_state(say(), load_config({"workspace": str(place)}))
        assert "jobs write into" in found.changes[0]
    write_json(config_path(), {"workspace": str(box / "say")})
    with pytest.raises(TrustError, match="jobs write into"):
        approve(box, mine=True)


def test_a_folder_that_holds_our_own_data_cannot_be_marked() -> None:
    user_data().mkdir(parents=True)
    with pytest.raises(TrustError, match="holds this program's own data"):
        approve(user_data().parent, mine=True)


def test_a_folder_that_grew_is_copied_no_more(box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    approve(box, mine=True)
    assert said(ntr.run(say())) == "approved"
    monkeypatch.setattr(own, "_MOST_BYTES", 10)
    alter(box, "changed ")
    assert said(ntr.run(say())) == "changed "
    gc.collect()
    assert said(ntr.run(say(), cache=False)) == "changed "
    assert approved.kept_copies() == []


def test_a_folder_in_tmp_may_be_mine(box: Path) -> None:
    box.parent.chmod(0o1777)
    (box / "say" / ".git").mkdir()
    (box / "say" / ".git").chmod(0o777)  # nothing runs from there
    (box / "say" / "again.py").symlink_to("say.py")
    assert approve(box, mine=True).state is TrustState.MINE
    assert said(ntr.run(say())) == "approved"


# -- a path is consent when somebody wrote it --------------------------------------------------


@pytest.mark.parametrize("name", ["segment", "say", "box/say", "say_v1"])
@pytest.mark.parametrize("call", [ntr.run, lambda name: main(["run", name])])
def test_a_file_that_lies_here_was_not_named(
    box: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str,
    call: Callable[[str], object], capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """A planted file that is called as the tool that somebody runs."""
    planted = tmp_path / "here" / name
    planted.parent.mkdir(parents=True)
    planted.write_text((box / "say" / "say.xml").read_text().replace('"say"', '"evil"'))
    monkeypatch.chdir(tmp_path / "here")
    told = ""
    try:
        assert call(name) == 1
    except ToolRunnerError as error:
        told = str(error)
    told += capsys.readouterr().err
    assert ("There is no tool" if name == "segment" else "has not been approved") in told
    if name == "segment":
        assert f"write .{os.sep}segment" in told
    else:
        approve(box)
        assert ntr.run(name).record["tool"]["id"] == "say"


@pytest.mark.parametrize("ref", ["./x.xml", "x.xml", "stranger/../x.xml", "path", "absolute"])
def test_a_path_in_writing_is_consent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ref: str
) -> None:
    descriptor = stranger(tmp_path)
    (descriptor.parent / "stranger").mkdir()
    monkeypatch.chdir(descriptor.parent)
    given = {"path": Path("x.xml"), "absolute": str(descriptor)}.get(ref, ref)
    assert ntr.run(given).outputs["o"].path.exists()
    assert ntr.read_tool("x.xml").id == "x"


# -- stored data are no consent ---------------------------------------------------------------


def test_rerun_of_an_approved_tool_needs_nothing(box: Path) -> None:
    approve(box)
    first = ntr.run(say())
    job, remarks = rerun(record_of(first), load_config())
    assert (said(run_job(job)), remarks) == ("approved", [])


def stranger(tmp_path: Path) -> Path:
    """A descriptor that nobody has looked at."""
    folder = tmp_path / "stranger"
    folder.mkdir()
    (folder / "x.xml").write_text(
        '<tool id="x" name="X" version="1"><command>touch ${o}</command>'
        '<outputs><data name="o" format="txt"/></outputs></tool>'
    )
    return folder / "x.xml"


def forged(tmp_path: Path, descriptor: str) -> RunRecord:
    """A record that names a descriptor."""
    from napari_tool_runner.jobs.record import RecordedRunner, RecordedTool, RunRecord

    folder = tmp_path / "jobs" / "x" / "1"
    folder.mkdir(parents=True, exist_ok=True)
    return RunRecord(
        folder=folder,
        id="1",
        tool=RecordedTool("x", "X", "1", "bioimageit", descriptor, ""),
        runner=RecordedRunner("LOCAL", "", {}),
    )


@pytest.mark.parametrize("how", ["absolute", "relative", "through the shipped tools"])
def test_a_record_is_no_consent(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    descriptor = stranger(tmp_path)
    name = str(descriptor)
    if how == "relative":
        monkeypatch.chdir(descriptor.parent)
        name = "x.xml"
    elif how != "absolute":
        name = str(bundled_folder() / os.path.relpath(descriptor, bundled_folder()))
    record = forged(tmp_path, name)
    with pytest.raises(TrustError, match=r"“X” was not run again: a record is no .*--tool"):
        rerun(record, load_config())
    assert not trust_state(recorded_tool(record, load_config())).ok, "as “Run again on…” opens it"


def test_an_explicit_path_is_consent_for_a_rerun(tmp_path: Path) -> None:
    descriptor = stranger(tmp_path)
    record = forged(tmp_path, str(descriptor))
    job, _ = rerun(record, load_config(), tool=descriptor)
    assert run_job(job).outputs["o"].path.exists()


def test_a_rerun_after_it_was_revoked(box: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from napari_tool_runner.config import config_path

    approve(box)
    first = ntr.run(say())
    revoke(box)
    config_path().unlink()  # and it is in no toolbox any more
    assert main(["rerun", str(first.workspace)]) == 1
    assert "a record is no permission" in capsys.readouterr().err
    assert main(["rerun", str(first.workspace), "--tool", str(box / "say" / "say.xml")]) == 0


def test_a_tool_of_an_approved_folder_lies_in_it(box: Path, tmp_path: Path) -> None:
    approve(box)
    descriptor = stranger(tmp_path)
    led_out = unnamed(read_tool(box / ".." / "stranger" / "x.xml"))
    assert trust_state(led_out).state is TrustState.UNKNOWN
    assert descriptor.parent == Path(led_out.toolbox)
    assert trust_state(unnamed(read_tool(box / "say" / "say.xml"))).state is TrustState.APPROVED


@pytest.fixture
def reader_box(box: Path) -> Path:
    """An approved tool that reads what it is given: a folder, a file, a text, data."""
    (box / "say" / "say.xml").write_text(
        '<tool id="say" name="Say" version="1.0" profile="21.05"><command>'
        "cat '$d'/id_rsa '$t' '$i' &gt; '$o' 2&gt;/dev/null || true</command><inputs>"
        '<param name="d" type="directory_uri" value="/none"/>'
        '<param name="t" type="text" value=""/>'
        '<param name="i" type="data" format="txt" optional="true"/></inputs>'
        '<outputs><data name="o" format="txt"/></outputs></tool>'
    )
    approve(box)
    return box


def as_a_strangers(
    result: JobResult, tmp_path: Path, change: Callable[[dict[str, object]], object]
) -> Path:
    """Return a folder with the record of a job, changed, as a stranger would send it."""
    folder = tmp_path / "sent"
    shutil.copytree(result.workspace, folder, symlinks=True)
    told = json.loads((folder / "record.json").read_text())
    change(told)
    (folder / "record.json").write_text(json.dumps(told))
    return folder


@pytest.mark.parametrize(
    "how", ["d", "t", "home", "relative", "input", "source", "link", "inner", "ours"]
)
def test_a_strangers_record_lends_nothing(
    reader_box: Path, tmp_path: Path, how: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    keys = tmp_path / "keys"
    keys.mkdir()
    secret = keys / "id_rsa"
    secret.write_text("private")
    monkeypatch.setenv("HOME", str(tmp_path))
    harmless = tmp_path / "harmless.txt"
    harmless.write_text("x")
    first = ntr.run(say(), values={"i": harmless, "t": "x"})
    values = {"home": "~/keys/id_rsa", "d": str(keys), "ours": str(keys)}

    def change(told) -> None:
        one = told["inputs"][0]
        if how in ("input", "relative"):
            one["path"] = str(secret) if how == "input" else "../keys/id_rsa"
        elif how in ("link", "inner"):
            one["path"] = "io/planted.txt"
        elif how == "source":
            one |= {"path": "gone", "source": {"kind": "file", "path": str(secret)}}
        elif how in ("d", "ours"):
            told["parameters"]["d"] = values[how]
        else:
            told["parameters"]["t"] = values.get(how, str(secret))
        if how == "ours":
            told["ours"] = True

    sent = as_a_strangers(first, tmp_path, change)
    if how == "link":
        (sent / "io" / "planted.txt").symlink_to(secret)
    if how == "inner":  # of a Zarr: the folder lies in the record, what it holds does not
        (sent / "io" / "planted.txt" / "0").mkdir(parents=True)
        (sent / "io" / "planted.txt" / "0" / "leak").symlink_to(secret)
    record = read_record(sent / "record.json")
    assert not record.ours
    with pytest.raises(TrustError, match=r"not written by this installation.*/(keys|harmless)"):
        rerun(record, load_config())
    assert main(["rerun", str(sent)]) == 1
    told = capsys.readouterr()
    assert any(word in told.err for word in ("keys", "id_rsa", "harmless"))
    assert "private" not in told.out + told.err
    main(["rerun", str(sent), "--lend"])
    assert "was not written by" not in capsys.readouterr().err, "consent in a word"


def test_a_record_of_ours_repeats_without_a_word(reader_box: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "id_rsa").write_text("pixels")
    first = ntr.run(say(), values={"d": str(data), "t": "x"})
    record = record_of(first)
    assert record.ours
    assert said(run_job(rerun(record, load_config())[0])) == said(first) == "pixels"
    told = json.loads(record.path.read_text())
    for change in ({"notes": ["x"]}, {"seal": "0" * 64}, {"seal": None}, {"seal": 3}):
        record.path.write_text(json.dumps({**told, **change}))
        assert not read_record(record.path).ours
    record.path.write_text(json.dumps(told))
    assert read_record(record.path).ours
    copied = tmp_path / "copied"
    shutil.copytree(record.folder, copied)
    assert not read_record(copied / "record.json").ours, "its links may lead elsewhere"
    assert "seal" not in record.to_json(), "telling it anew signs nothing"
    (user_data() / "seal.key").unlink()
    assert not read_record(record.path).ours


def test_a_strangers_record_chooses_no_service(reader_box: Path, tmp_path: Path) -> None:
    first = ntr.run(say(), values={"t": "x"}, runner="LOCAL")
    sent = as_a_strangers(first, tmp_path, lambda told: told["notes"].append("x"))
    boxes = {"process": {"xml_dirs": [str(reader_box)]}}
    config = load_config({"runner": {"service": "DOCKER"}, **boxes})
    job, remarks = rerun(read_record(sent / "record.json"), config)
    assert job.runner == "DOCKER"
    assert remarks == ["It ran with LOCAL then; here DOCKER is chosen."]
    assert rerun(record_of(first), config)[0].runner == "LOCAL"
    assert rerun(read_record(sent / "record.json"), config, runner="LOCAL")[0].runner == "LOCAL"


# -- what the gate costs ------------------------------------------------------------------------


def test_a_run_reads_no_file_of_the_copy_again(box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(300):
        (box / "say" / f"{number}.txt").write_text(str(number))
    approve(box)
    assert said(ntr.run(say())) == "approved"
    read, looked = [], []
    real_entry, real_listing = approved._entry, approved._listing
    monkeypatch.setattr(approved, "_entry", lambda *a: read.append(a) or real_entry(*a))
    monkeypatch.setattr(
        approved, "_listing", lambda *a, **k: looked.append(a[0]) or real_listing(*a, **k)
    )
    monkeypatch.setattr(approved, "read_json", lambda *_: pytest.fail("the manifest is known"))
    assert said(ntr.run(say())) == "approved"
    assert read == []
    copies = [place for place in looked if place != box]
    assert len(copies) <= 3, "when it is asked for, when its turn comes, before its program"


def test_a_copy_whose_times_moved_is_read_once(box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    approve(box)
    digest = trust_state(box).digest
    for path in approved.kept_folder(digest).rglob("*"):
        os.utime(path)
    read = []
    real = approved._entry
    monkeypatch.setattr(approved, "_entry", lambda *a: read.append(a) or real(*a))
    assert approved.intact(digest)
    assert len(read) == 3
    assert approved.intact(digest)
    assert len(read) == 3


@pytest.mark.parametrize("name", ["__pycache__/say.pyc", "sys.pyc", ".git/x", "__pycache__/x.py"])
def test_nothing_beside_the_copy_runs(box: Path, name: str) -> None:
    approve(box)
    copy = admit(say())[0].folder
    copy.chmod(0o700)
    (copy / name).parent.mkdir(exist_ok=True)
    (copy / name).write_bytes(b"evil")
    digest = trust_state(box).digest
    if name.endswith(".pyc"):
        assert approved.intact(digest)
        assert not (copy / name).exists()
    else:
        assert not approved.intact(digest)


def test_a_manifest_does_not_vouch_for_what_is_not_there(box: Path) -> None:
    approve(box)
    digest = trust_state(box).digest
    assert approved.intact(digest)
    manifest = approved._manifest(digest)
    told = json.loads(manifest.read_text())
    told["say/more.py"] = ["0" * 64, 1, 1, 1]
    manifest.write_text(json.dumps(told))
    assert not approved.intact(digest)


# -- one gate --------------------------------------------------------------------------------


def test_a_permit_is_of_one_thing(box: Path, tmp_path: Path) -> None:
    approve(box)
    tool, permit = admit(say())
    pass_gate(tool, permit)
    other = read_tool(stranger(tmp_path))
    for false in (permit, Permit("", TrustState.NAMED), Permit(say().digest, TrustState.MINE)):
        with pytest.raises(TrustError):
            pass_gate(other, false)
    with pytest.raises(TrustError, match="permit is of another"):
        pass_gate(say(), permit)  # not from the copy


def test_only_the_gate_makes_permits() -> None:
    source = Path(ntr.__file__).parent
    makers = {p.name for p in source.rglob("*.py") if "Permit(" in p.read_text(encoding="utf-8")}
    assert makers == {"gate.py"}


@pytest.mark.parametrize("call", ["run", "preview"])
def test_no_template_is_evaluated_once_it_is_revoked(
    box: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    approve(box)
    job = prepare(say(), {})
    rendered: list[object] = []
    dialect = type(dialect_of(job.tool))
    monkeypatch.setattr(dialect, "render", lambda *given: rendered.append(given))
    revoke(box)
    with pytest.raises((ToolFailedError, TrustError)):
        run_job(job) if call == "run" else dry_run(say(), {})
    assert rendered == []


def test_layer_metadata_are_no_consent(tmp_path: Path) -> None:
    """“Run again on…” of a layer that a stranger saved opens a form that does not run."""
    layers = pytest.importorskip("napari.layers")
    record = forged(tmp_path, str(stranger(tmp_path)))
    layer = layers.Image(np.zeros((2, 2)), metadata={"napari_tool_runner": record.summary()})
    opened: list[Tool] = []
    from napari_tool_runner.widgets.history.made_by import record_of_layer

    opened.append(recorded_tool(record_of_layer(layer), load_config()))
    assert trust_state(opened[0]).state is TrustState.UNKNOWN
    with pytest.raises(TrustError, match="has not been approved"):
        ntr.run(opened[0])


def test_looking_asks_nobody(box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    for name in runnerServices.names():
        service = type(runnerServices.service(name, {}))
        monkeypatch.setattr(service, "plan", lambda self, tool: asked.append(tool.id))
    descriptor = box / "say" / "say.xml"
    text = descriptor.read_text()
    needs = '<requirements><container type="docker">evil.example/x:1</container></requirements>'
    descriptor.write_text(text.replace("<command>", needs + "<command>"))
    from napari_tool_runner.widgets.finding.badges import _sign
    from napari_tool_runner.widgets.running.services import _ask

    toolbox = load_toolbox()
    assert _ask(toolbox["say"]).plans == {}
    _sign(toolbox, toolbox.entry("say"))
    with pytest.raises(TrustError):
        ntr.jobs.dry_run("say", {})
    assert asked == []
    approve(box)
    _ask(load_toolbox()["say"])
    assert asked, "what is approved is asked for"
