from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from napari_tool_runner import storage
from napari_tool_runner.config import load_config, user_data
from napari_tool_runner.errors import TrustError
from napari_tool_runner.tools import Toolbox, find_tool, read_tool
from napari_tool_runner.tools.toolbox import approvals as approvals_file
from napari_tool_runner.tools.toolbox.approvals import (
    approval_of,
    approvals,
    unapproved_copies,
    with_image,
)
from napari_tool_runner.tools.toolbox.box import ToolboxFolder
from napari_tool_runner.tools.toolbox.entries import bundled_folder
from napari_tool_runner.tools.toolbox.trust import (
    TrustState,
    approve,
    require_trust,
    review,
    revoke,
    trust_state,
)


@pytest.fixture(autouse=True)
def _own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "box" / "a"
    (place / "test-data").mkdir(parents=True)
    (place / "a.xml").write_text('<tool id="a" name="A"><command>python a.py</command></tool>')
    (place / "a.py").write_text("print(1)\n")
    (place / "test-data" / "in.txt").write_text("1")
    return tmp_path / "box"


def box_of(folder: Path) -> Toolbox:
    return Toolbox([ToolboxFolder("box", folder)], cache_dir=folder.parent / "cache")


def test_a_new_toolbox_has_to_be_approved(folder: Path) -> None:
    box = box_of(folder)
    trust = trust_state(box["a"])
    assert (trust.state, trust.folder, trust.ok) == (TrustState.UNKNOWN, folder, False)
    with pytest.raises(TrustError, match=r"has not been approved; “A” was not run.*by its path"):
        require_trust(box["a"])
    assert approve(folder).ok
    assert trust_state(box["a"]).state is TrustState.APPROVED
    require_trust(box["a"])
    assert revoke(folder) is True
    assert revoke(folder) is False
    assert not trust_state(box["a"]).ok


def test_naming_a_descriptor_by_its_path_is_consent(folder: Path) -> None:
    for tool in (read_tool(folder / "a"), find_tool(folder / "a" / "a.xml", box_of(folder))):
        assert trust_state(tool).state is TrustState.NAMED
        require_trust(tool)
    with pytest.raises(TrustError):
        require_trust(find_tool("a", box_of(folder)))


def test_any_change_asks_again(folder: Path) -> None:
    box = box_of(folder)
    tool = box["a"]
    approve(folder)
    (folder / "a" / "test-data" / "in.txt").write_text("2")
    assert trust_state(tool).changes == ("changed a/test-data/in.txt",)
    (folder / "a" / "test-data" / "in.txt").write_text("1")
    (folder / "a" / "__pycache__").mkdir()
    (folder / "a" / "__pycache__" / "a.pyc").touch()
    assert trust_state(tool).ok
    (folder / "a" / "a.py").write_text("print(2)\n")
    (folder / "new.txt").touch()
    trust = trust_state(tool)
    assert trust.state is TrustState.CHANGED
    assert trust.changes == ("changed a/a.py", "added new.txt")
    with pytest.raises(TrustError, match=r"changed since you approved it \(changed a/a\.py"):
        require_trust(tool)
    (folder / "a" / "a.py").write_text("print(1)\n")  # as it was: only the time differs
    (folder / "new.txt").unlink()
    assert trust_state(tool).ok
    (folder / "a" / "a.py").unlink()
    assert trust_state(tool).changes == ("removed a/a.py",)


def test_a_toolbox_that_is_gone(folder: Path) -> None:
    approve(folder)
    folder.rename(folder.with_name("elsewhere"))
    assert trust_state(folder).changes == (
        "removed a/a.py",
        "removed a/a.xml",
        "removed a/test-data/in.txt",
    )
    assert not trust_state(folder.with_name("elsewhere")).ok


def test_a_link_is_its_target_name_and_is_not_followed(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.py"
    outside.write_text("print(1)")
    (folder / "a" / "link.py").symlink_to(outside)
    approve(folder)
    tool = box_of(folder)["a"]
    assert trust_state(tool).ok
    (folder / "a" / "link.py").unlink()
    (folder / "a" / "link.py").symlink_to(tmp_path / "another.py")
    assert trust_state(tool).changes == ("changed a/link.py",)


def test_macros_that_links_share_belong_to_a_toolbox(tmp_path: Path) -> None:
    """The folder ``tools`` of a repository, whose tools have links to ``../../macros``."""
    shared = tmp_path / "repository" / "macros" / "m.xml"
    tools = tmp_path / "repository" / "tools"
    (tools / "a").mkdir(parents=True)
    shared.parent.mkdir()
    shared.write_text('<macros><token name="@A@">shared</token></macros>')
    (tools / "a" / "m.xml").symlink_to("../../macros/m.xml")
    (tools / "a" / "a.xml").write_text(
        '<tool id="a" name="A" profile="23.0"><description>@A@</description>'
        "<macros><import>m.xml</import></macros><command>echo</command></tool>"
    )
    box = box_of(tools)
    assert [entry.key for entry in box.entries] == ["a"]
    assert box["a"].description == "shared"
    assert approve(tools).ok
    require_trust(box["a"])
    assert trust_state(box["a"]).ok
    shared.write_text('<macros><token name="@A@">changed</token></macros>')
    assert trust_state(box["a"]).changes == ("changed a/m.xml",)
    shared.write_text("my keys")
    assert trust_state(box["a"]).changes == ("changed a/m.xml",)
    assert review(tools).left_out == ("a/m.xml",)
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"process": {"xml_dirs": [str(tmp_path / "repository")]}}))
    shared.write_text("<macros/>")
    (tools / "a" / "m.xml").unlink()
    text = (tools / "a" / "a.xml").read_text().replace(">m.xml", ">../../macros/m.xml")
    (tools / "a" / "a.xml").write_text(text)
    assert find_tool(tools / "a" / "a.xml", config=config).name == "A"


def test_what_a_neighbours_link_leads_to_is_listed_and_shown(tmp_path: Path) -> None:
    """One tool imports what is a link in the folder of another; no word of links that work."""
    tools = tmp_path / "repository" / "tools"
    for name, wanted in {"a": "m.xml", "b": "../a/m.xml", "c": "../b/n&amp;.xml"}.items():
        (tools / name).mkdir(parents=True)
        (tools / name / f"{name}.xml").write_text(
            f'<tool id="{name}" name="{name}" profile="23.0"><description>@A@</description>'
            f"<macros><import>{wanted}</import></macros><command>echo</command></tool>"
        )
    shared = tmp_path / "repository" / "macros"
    shared.mkdir()
    (shared / "m.xml").write_text("<macros><import>../b/n&amp;.xml</import></macros>")
    (shared / "n.xml").write_text('<macros><token name="@A@">shared</token></macros>')
    (tools / "a" / "m.xml").symlink_to("../../macros/m.xml")
    (tools / "b" / "n&.xml").symlink_to("../../macros/n.xml")
    (tools / "b" / "out.xml").symlink_to("/etc/passwd")
    box = box_of(tools)
    assert [entry.key for entry in box.entries] == ["a", "b", "c"]
    assert [(one.path.name, one.message) for one in box.problems] == [
        ("out.xml", "It is a link out of the toolbox; left out.")
    ]
    config = {"process": {"xml_dirs": [str(tools)]}}
    for name in ("a", "b", "c"):
        assert find_tool(name, config=load_config(config)).description == "shared"


def test_review_shows_what_would_be_approved(folder: Path) -> None:
    (folder / "a" / "a.py").chmod(0o666)
    (folder / "link").symlink_to("nowhere")
    seen = review(folder)
    assert seen.files == 3
    assert seen.left_out == ("link",)
    assert seen.size > 0
    assert seen.writable_by_others == ("a/a.py",)
    assert seen.trust.state is TrustState.UNKNOWN
    (folder / "a" / "a.py").write_text("print('evil')\n")
    with pytest.raises(TrustError, match="changed while it was being looked at"):
        approve(folder, seen=seen)
    assert not trust_state(folder).ok
    assert approve(folder, seen=review(folder)).ok


def test_an_answer_is_of_no_image_that_came_after_the_question(folder: Path) -> None:
    digest = approve(folder).digest
    with_image(folder, digest, "lab/a:1", ("sha256:1", ""))
    (folder / "a" / "more.txt").write_text("new")
    seen = review(folder)
    with_image(folder, digest, "lab/a:1", ("sha256:2", ""))  # a job that was permitted before
    with pytest.raises(TrustError, match="changed while it was being looked at"):
        approve(folder, seen=seen)
    assert not trust_state(folder).ok
    assert any("sha256:2" in line for line in review(folder).trust.changes)
    approve(folder, seen=review(folder))
    kept = approval_of(folder)
    assert kept is not None
    assert kept.images == {"lab/a:1": ("sha256:2", "")}


def test_bundled_tools_are_trusted(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    assert trust_state(bundled_folder() / "median" / "median.xml").state is TrustState.BUNDLED


def test_a_damaged_store_approves_nothing(folder: Path) -> None:
    approve(folder)
    store = user_data() / "trust.json"
    assert store.stat().st_mode & 0o077 == 0
    deep = "[" * 100_000
    for damage in ("", "[]", '{"toolboxes": {"x": 1}}', deep, store.read_text()[:50]):
        store.write_text(damage)
        assert not trust_state(folder).ok
    assert approve(folder).ok
    assert trust_state(folder).ok


def test_other_approvals_stay(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    approve(folder)
    approve(other)
    revoke(other)
    assert trust_state(folder).ok


def test_what_cannot_be_kept_is_told(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(TrustError, match="is no folder"):
        approve(folder / "absent")
    (tmp_path / "data").touch()
    with pytest.raises(TrustError, match="cannot be kept"):
        approve(folder)


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_an_approval_is_taken_back_where_the_disk_is_full(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    approve(folder)
    approve(tmp_path / "other", mine=True)
    store = user_data() / "trust.json"
    inode = store.stat().st_ino
    monkeypatch.setattr(storage, "replacing", full)
    assert revoke(folder)
    assert store.stat().st_ino == inode
    assert [*approvals()] == [str(tmp_path / "other")]
    assert trust_state(folder).state is TrustState.UNKNOWN
    assert not unapproved_copies()
    with pytest.raises(TrustError, match=r"cannot be kept.*No space left") as refused:
        approve(folder, mine=True)
    assert "Free some space" in refused.value.hint
    assert not revoke(folder)


@pytest.mark.parametrize("reason", ["no room even so", "read-only", "no file to open"])
def test_what_becomes_of_an_approval_that_cannot_be_taken_out_is_told(
    reason: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    approve(folder)
    other = tmp_path / "other"
    other.mkdir()
    approve(other, mine=True)
    number = errno.EROFS if reason == "read-only" else errno.ENOSPC

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(storage, "replacing", refuse)
    if reason == "no room even so":
        monkeypatch.setattr(approvals_file, "_written", lambda _: "a" * 100_000)
    elif reason == "no file to open":
        monkeypatch.setattr(approvals_file, "_take_out", refuse)
    with pytest.raises(TrustError, match="cannot be taken out of") as refused:
        revoke(folder)
    emptied = reason == "no room even so"
    assert ("still holds" in refused.value.message) is not emptied
    assert ("with all others" in refused.value.message) is emptied
    assert trust_state(folder).ok is trust_state(other).ok is not emptied
    assert ("Free some space" in refused.value.hint) is (number == errno.ENOSPC)
