"""What changed guards showed to be untested (``python -m benchmarks.mutation``)."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import time
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from napari_tool_runner import sealed
from napari_tool_runner.errors import OutputError, TrustError
from napari_tool_runner.locks import join_lock
from napari_tool_runner.sealed import opening
from napari_tool_runner.tools import read_tool
from napari_tool_runner.tools.toolbox import approved, weighing
from napari_tool_runner.tools.toolbox.gate import admit, unnamed
from napari_tool_runner.tools.toolbox.trust import approve

posix = pytest.mark.skipif(os.name == "nt", reason="rights and special files")


@pytest.fixture
def box(tmp_path: Path) -> Path:
    folder = tmp_path / "box"
    folder.mkdir()
    (folder / "say.xml").write_text(
        '<tool id="say" name="Say" version="1"><command>echo ${o}</command>'
        '<outputs><data name="o" format="txt"/></outputs></tool>'
    )
    return folder


# -- the approved copy -------------------------------------------------------------------------


@pytest.mark.parametrize("name", [".git", ".hg", ".svn", ".bzr", "CVS", "__pycache__"])
def test_nothing_of_these_folders_is_taken(box: Path, name: str) -> None:
    (box / name).mkdir()
    (box / name / "x").write_text("evil")
    (box / "link").symlink_to(Path(name, "x"))
    found = approved.look(box)
    assert set(found) == {"say.xml", "link"}
    assert approved.left_out(found) == ("link",), "not by a link either"


def test_two_toolboxes_never_have_one_digest() -> None:
    """A name, and where a link leads, may hold what would end a row of the listing."""

    def digest(*rows: tuple[str, str]) -> str:
        return approved.digest_of({name: approved.Entry(mark, 0, 0, 0) for name, mark in rows})

    same = [
        (("n", "link:/x"), ("b\nc", "M")),
        (("n", "link:/x\nb"), ("c", "M")),
        (("n", "link:/x\nb\0M\nc"), ("c", "M")),
        (("n", "link:/x"), ("b", "M"), ("c", "M")),
        (("n\0link:/x\nb\nc", "M"),),
        (("n", "link:/x\nb\nc\0M"),),
    ]
    assert len({digest(*rows) for rows in same}) == len(same)
    # what was approved before goes on, where no name holds such a thing
    plain = hashlib.sha256(b"a\0link:/x\nb\0M\n").hexdigest()
    assert digest(("b", "M"), ("a", "link:/x")) == f"sha256:{plain}"


@posix
def test_the_right_to_be_executed_is_content(box: Path) -> None:
    before = approved.digest_of(approved.look(box))
    (box / "say.xml").chmod(0o755)
    found = approved.look(box)
    assert found["say.xml"].mark.endswith("+x")
    assert approved.digest_of(found) != before


@posix
def test_the_copy_is_for_one_person_and_for_reading(box: Path) -> None:
    (box / "run").write_text("#!/bin/sh\n")
    (box / "run").chmod(0o755)
    digest, _ = approved.keep(box)
    copy = approved.kept_folder(digest)
    modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in (copy, *copy.iterdir())}
    assert modes == {copy.name: 0o500, "run": 0o500, "say.xml": 0o400}
    assert stat.S_IMODE(copy.parent.stat().st_mode) == 0o700
    assert not [one for one in copy.parent.iterdir() if one.name.startswith(".draft")]


@posix
@pytest.mark.timeout(20)
def test_what_takes_the_place_of_a_file_is_not_opened(tmp_path: Path) -> None:
    """Between the listing and the reading, a file may become a pipe or a link."""
    os.mkfifo(tmp_path / "pipe")
    assert approved._entry(tmp_path / "pipe", tmp_path, None).mark.startswith("special:")
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "link").symlink_to("secret")
    assert approved._entry(tmp_path / "link", tmp_path, None).mark == "unreadable"


@pytest.mark.parametrize("limit", ["MOST_FILES", "MOST_BYTES"])
def test_a_folder_that_holds_too_much(
    box: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    (box / "more").write_text("x" * 100)
    most = 2 if limit == "MOST_FILES" else sum(one.stat().st_size for one in box.iterdir())
    monkeypatch.setattr(weighing, limit, most)
    assert len(approved.look(box)) == 2
    monkeypatch.setattr(weighing, limit, most - 1)
    with pytest.raises(TrustError, match="that is no toolbox"):
        approved.look(box)


def test_a_folder_that_is_too_deep(box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weighing, "DEEPEST", 3)
    (box / "1" / "2" / "3").mkdir(parents=True)
    approved.look(box)
    (box / "1" / "2" / "3" / "4").mkdir()
    with pytest.raises(TrustError, match=r"nested too deeply \(1/2/3/4\)"):
        approved.look(box)


def rewritten(path: Path, text: str) -> None:
    path.chmod(0o600)
    path.write_text(text)


def test_a_manifest_that_was_forged_with_the_copy(box: Path) -> None:
    digest, _ = approved.keep(box)
    assert approved.intact(digest)
    file, manifest = approved.kept_folder(digest) / "say.xml", approved._manifest(digest)
    rewritten(file, "evil")
    assert not approved.intact(digest)
    honest = approved.look(file.parent)
    rewritten(manifest, json.dumps(honest))
    assert not approved.intact(digest), "it tells of another content than its name"
    approved.keep(box)
    assert approved.intact(digest), "approving again makes it anew"


@pytest.mark.parametrize("text", ["[]", "{", '{"say.xml": 7}', '{"say.xml": ["x", 1]}',
                                  '{"say.xml": ["x", null, 1, 1]}'])  # fmt: skip
def test_a_manifest_that_is_none(box: Path, text: str) -> None:
    digest, _ = approved.keep(box)
    rewritten(approved._manifest(digest), text)
    assert approved.intact(digest) is False
    with pytest.raises(ValueError, match="no "):
        approved.listing_from([] if text == "[]" else {"a": [1]})


def test_what_is_forgotten_is_gone(box: Path) -> None:
    assert approved.kept_copies() == []
    digest, _ = approved.keep(box)
    assert approved.kept_copies() == [digest]
    approved.forget(digest)
    assert approved.kept_copies() == []
    assert not approved._manifest(digest).exists()
    approved.forget(digest)


def test_drafts_of_the_dead_are_found_and_those_of_the_living_left(box: Path) -> None:
    home = approved.kept_folder(approved.keep(box)[0]).parent
    for name, age in ((".draft-old", 4000), (".draft-new", 10)):
        (home / name).mkdir()
        os.utime(home / name, (time.time() - age,) * 2)
    release = join_lock(approved._copying(), alone=False)
    assert release is not None
    assert [one for one in approved.kept_copies() if one.startswith(".")] == [".draft-old"]
    release()
    told = [one for one in approved.kept_copies() if one.startswith(".")]
    assert told == ([".draft-old"] if os.name == "nt" else [".draft-new", ".draft-old"])


# -- the gate ----------------------------------------------------------------------------------


def test_a_tool_that_has_a_toolbox_keeps_it(box: Path) -> None:
    tool = replace(read_tool(box / "say.xml"), toolbox=str(box))
    assert unnamed(tool) is tool


def test_a_path_that_climbs_out_is_not_read_from_the_copy(box: Path) -> None:
    (box.parent / "say.xml").write_text((box / "say.xml").read_text())
    approve(box)
    tool = replace(read_tool(box / "say.xml"), toolbox=str(box))
    assert admit(tool)[0].copy
    with pytest.raises(TrustError):
        admit(replace(tool, uri=str(box / ".." / "say.xml")))


# -- sealed access -----------------------------------------------------------------------------


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """The folder of a job, and another beside it whose name begins alike."""
    for name in ("job", "job2"):
        (tmp_path / name / "deep" / "er").mkdir(parents=True)
        (tmp_path / name / "deep" / "er" / "x.txt").write_text(name)
        (tmp_path / name / ".hidden").write_text("")
    return tmp_path / "job"


BOTH = pytest.mark.parametrize("by_descriptor", [True, False])


def by(monkeypatch: pytest.MonkeyPatch, by_descriptor: bool) -> None:
    """Let folders be opened, or not: some systems have no descriptors of folders."""
    monkeypatch.setattr(opening, "_BY_DESCRIPTOR", by_descriptor)


@posix
@BOTH
@pytest.mark.parametrize(
    "way",
    ["../job2/deep/er/x.txt", "../secret", "deep/../../job2/.hidden", "a\0b", "/etc/hostname"],
)
def test_no_way_leaves_the_folder(
    job: Path, monkeypatch: pytest.MonkeyPatch, by_descriptor: bool, way: str
) -> None:
    by(monkeypatch, by_descriptor)
    for path in (job / way, Path(os.path.normpath(job / way)) if "\0" not in way else job / way):
        for look in (sealed.open_file, sealed.kind, sealed.listed):
            with pytest.raises(OutputError, match="outside the job's folder"):
                look(path, job)


@posix
@BOTH
def test_what_is_there_is_seen_as_it_is(
    job: Path, monkeypatch: pytest.MonkeyPatch, by_descriptor: bool
) -> None:
    by(monkeypatch, by_descriptor)
    (job / "link").symlink_to("deep")
    os.mkfifo(job / "pipe")
    kinds = {".hidden": "file", "deep": "folder", "link": "link", "pipe": "other"}
    assert sealed.listed(job, job) == {job / name: kind for name, kind in kinds.items()}
    assert {name: sealed.kind(job / name, job) for name in kinds} == kinds
    assert (sealed.kind(job, job), sealed.kind(job / "none" / "x", job)) == ("folder", "")
    assert sealed.kind(job / ("x" * 300), job) == ""
    with sealed.open_file(job / "deep" / "er" / "x.txt", job) as file:
        assert file.read() == b"job"
    for name, words in (("link", "a link"), ("pipe", "a pipe"), ("deep", "a folder")):
        with pytest.raises(OutputError, match=f"{name} is {words}, not a file"):
            sealed.open_file(job / name, job)
    with pytest.raises(OutputError, match="link is a link, not a folder"):
        sealed.open_file(job / "link" / "er" / "x.txt", job)
    with pytest.raises(OutputError, match=r"\.hidden is a file, not a folder"):
        sealed.kind(job / ".hidden" / "x", job)
    with pytest.raises(FileNotFoundError):
        sealed.open_file(job / "none", job)


@posix
@BOTH
def test_patterns_find_what_lies_inside(
    job: Path, monkeypatch: pytest.MonkeyPatch, by_descriptor: bool
) -> None:
    by(monkeypatch, by_descriptor)
    (job / "link").symlink_to(job.parent / "job2")
    inner = job / "deep" / "er" / "x.txt"
    for pattern, found in {
        "deep/er/*.txt": [inner], "**/*.txt": [inner], "*/*/*": [inner], "deep/**/x*": [inner],
        "*": [job / "deep", job / "link"], ".*": [job / ".hidden"], "link/*": [],
        "../job2/*": [], "/etc/*": [], "none/*": [], "": [],
    }.items():  # fmt: skip
        assert sealed.found(job, pattern, job) == found, pattern


@posix
def test_limits_of_a_walk(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = job / "deep" / "er" / "x.txt"
    assert list(sealed.walk(job, job)) == [job / ".hidden", inner]
    (job / "link").symlink_to("deep")
    with pytest.raises(OutputError, match="link is a link, not a file or a folder"):
        list(sealed.walk(job, job))
    assert list(sealed.walk(job, job, links=True)) == [job / "link"]
    (job / "link").unlink()
    monkeypatch.setattr(opening, "MAX_DEPTH", 3)
    assert len(list(sealed.walk(job, job))) == 2
    monkeypatch.setattr(opening, "MAX_DEPTH", 2)
    with pytest.raises(OutputError, match="more than 2 folders in one another"):
        list(sealed.walk(job, job))
    monkeypatch.setattr(opening, "MAX_DEPTH", 64)
    for most, fine in ((4, True), (3, False)):
        monkeypatch.setattr(opening, "MAX_ENTRIES", most)
        if fine:
            assert len(list(sealed.walk(job, job))) == 2
        else:
            with pytest.raises(OutputError, match="more than 3 files"):
                list(sealed.walk(job, job))


@posix
def test_content_is_read_up_to_a_limit(job: Path) -> None:
    path = job / "deep" / "er" / "x.txt"
    assert sealed.read_bytes(path, job, limit=3) == b"job"
    with pytest.raises(OutputError, match="too much to be read at once"):
        sealed.read_bytes(path, job, limit=2)


@posix
@pytest.mark.timeout(20)
def test_a_pipe_is_not_waited_for(job: Path) -> None:
    os.mkfifo(job / "pipe")
    for root in (None, job):
        with pytest.raises(OutputError, match="pipe is a pipe, not a file"):
            sealed.open_file(job / "pipe", root)
    descriptors = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with pytest.raises(OutputError):
            sealed.open_file(job / "pipe")
    assert len(os.listdir("/proc/self/fd")) == descriptors, "nothing stays open"


@posix
def test_what_becomes_a_link_while_we_look(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked at as a file or folder, opened as a link: the system refuses, and it is told."""
    honest = os.open

    def swapped(path: object, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if str(path) in ("x.txt", "er") and dir_fd is not None:
            raise OSError(errno.ELOOP, "Too many levels of symbolic links")
        return honest(path, flags, mode, dir_fd=dir_fd)  # type: ignore[arg-type]

    monkeypatch.setattr(opening.os, "open", swapped)
    with pytest.raises(OutputError, match="er is a link, not a folder"):
        sealed.listed(job / "deep" / "er", job)
    (job / "x.txt").write_text("")
    with pytest.raises(OutputError, match=r"x\.txt is a link, not a file"):
        sealed.open_file(job / "x.txt", job)


# -- links in results --------------------------------------------------------------------------


def test_a_link_to_a_file_of_the_job_is_that_file(job: Path) -> None:
    (job / "real.txt").write_text("mine")
    (job / "link.txt").symlink_to("real.txt")
    assert sealed.settled(job / "link.txt", job) == job / "link.txt"
    assert (job / "link.txt").lstat().st_ino == (job / "real.txt").stat().st_ino, "no copy"
    (job / "inner").mkdir()
    (job / "inner" / "f.txt").write_text("inner")
    (job / "alias").symlink_to("inner")
    assert sealed.settled(job / "alias" / "f.txt", job) == job / "inner" / "f.txt"
    assert (job / "alias").is_symlink()


def test_a_link_to_what_was_lent_becomes_a_copy(job: Path, tmp_path: Path) -> None:
    lent = tmp_path / "raw.tif"
    lent.write_bytes(b"raw")
    (job / "o.tif").symlink_to(lent)
    assert sealed.settled(job / "o.tif", job, [lent]) == job / "o.tif"
    (job / "o.tif").write_bytes(b"changed")
    assert lent.read_bytes() == b"raw"
    (job / "p.tif").symlink_to(lent)
    with pytest.raises(OutputError, match="leads out"):
        sealed.settled(job / "p.tif", job)


@pytest.mark.parametrize("links", [8, 9])
def test_links_to_links_end(job: Path, links: int) -> None:
    (job / "0").write_text("x")
    for number in range(1, links + 1):
        (job / str(number)).symlink_to(str(number - 1))
    if links == 8:
        assert sealed.link_free(job / "8", job) == job / "0"
        return
    with pytest.raises(OutputError, match="without end"):
        sealed.link_free(job / "9", job)


@posix
def test_what_is_neither_file_nor_folder_is_no_result(job: Path) -> None:
    (job / "folder").mkdir()
    (job / "other").mkdir()
    (job / "folder" / "link").symlink_to("../other")
    with pytest.raises(OutputError, match="a link to a folder"):
        sealed.settled(job / "folder", job)
    os.mkfifo(job / "pipe")
    with pytest.raises(OutputError, match="pipe"):
        sealed.settled(job / "pipe", job)


# -- digests -----------------------------------------------------------------------------------


def test_a_digest_is_of_names_and_contents(job: Path) -> None:
    (job / "f").write_bytes(b"x" * 3_000_000)
    told = f"sha256:{sha256(b'x' * 3_000_000).hexdigest()}"
    assert sealed.content_sha256(job / "f", job) == sealed.content_sha256(job / "f") == told
    (job / "box").mkdir()
    (job / "box" / "a").write_text("1")
    (job / "box" / "b").write_text("2")
    (job / "box" / "inner").mkdir()
    (job / "box" / "inner" / "d").write_text("4")
    found = [sealed.content_sha256(job / "box", job)]
    assert found == [sealed.content_sha256(job / "box")]
    (job / "box" / "a").write_text("3")
    found.append(sealed.content_sha256(job / "box", job))
    (job / "box" / "b").rename(job / "box" / "c")
    found.append(sealed.content_sha256(job / "box", job))
    assert len({*found}) == 3
    assert all(one.startswith("sha256:") for one in found)
    (job / "box" / "link").symlink_to(job / "f")
    with pytest.raises(OutputError):
        sealed.content_sha256(job / "box", job)


# -- copies and moves below a job --------------------------------------------------------------


def test_what_is_put_lies_there_and_nowhere_else(job: Path, tmp_path: Path) -> None:
    (tmp_path / "ours").write_text("new")
    sealed.put(tmp_path / "ours", job / "deep" / "er", job)
    assert (job / "deep" / "er").read_text() == "new", "what lay there is gone"
    assert not (tmp_path / "ours").exists()


def test_copies_below_a_job(job: Path, tmp_path: Path) -> None:
    (tmp_path / "lent").write_text("lent")
    sealed.copy_below(tmp_path / "lent", job / "a" / "b", job)
    assert (job / "a" / "b").read_text() == "lent"
    sealed.copy_below(job / "deep", job / "a", job)
    assert [path.relative_to(job).as_posix() for path in sealed.walk(job / "a", job)] == [
        "a/er/x.txt"
    ]
    assert (job / "deep" / "er" / "x.txt").exists()
    (job / "empty").mkdir()
    sealed.copy_below(job / "empty", job / "c", job)
    assert (job / "c").is_dir()
    sealed.copy_below(job / ".hidden", job / "c", job)
    assert (job / "c").read_text() == ""


@posix
def test_what_is_deleted_leaves_nothing_open(job: Path) -> None:
    (job / "deep" / "er" / "est").mkdir()
    descriptors = len(os.listdir("/proc/self/fd"))
    sealed.remove(job / "deep", job)
    assert not (job / "deep").exists()
    assert len(os.listdir("/proc/self/fd")) == descriptors
