"""Files that we keep: whole or not at all, one writer at a time, named without collisions."""

from __future__ import annotations

import os
import platform
import stat
import subprocess
import sys
import threading
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_tool_runner import seals, storage
from napari_tool_runner.locks import Once, join_lock
from napari_tool_runner.names import really, unique_names
from napari_tool_runner.processes import system_name
from napari_tool_runner.sealed import content_sha256
from napari_tool_runner.storage import (
    locked,
    read_json,
    read_limited,
    replacing,
    sha256_of,
    write_json,
    write_whole,
)


def test_a_file_is_replaced_as_a_whole_and_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.json"
    write_json(path, {"a": Path("/x")})
    assert read_json(path) == {"a": "/x"}
    write_whole(path, b"2", private=True)
    assert path.read_bytes() == b"2"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.json"]
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_failed_write_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_json(path, [1])
    with pytest.raises(ValueError, match="ircular"):
        write_json(path, circular())
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inside").touch()
    with pytest.raises(OSError, match="folder"):
        write_whole(tmp_path / "folder", "text")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file.json", "folder"]
    assert read_json(path) == [1]


def circular() -> list[object]:
    one: list[object] = []
    one.append(one)
    return one


@pytest.mark.skipif(os.name == "nt", reason="there are no such pipes on Windows")
def test_drafts_of_long_names_are_told_apart(tmp_path: Path) -> None:
    first, second = (tmp_path / f"{'L' * 100}{number}" for number in (1, 2))
    with replacing(first, alone=True) as draft:
        draft.write_text("1")
        with replacing(second, alone=True) as other:
            other.write_text("2")
    assert (first.read_text(), second.read_text()) == ("1", "2")


def test_a_pipe_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(OSError, match="no regular file"):  # what we keep is a file
        write_json(pipe, [1])
    write_json(pipe, [1], private=False)
    assert os.read(reader, 100) == b"[\n  1\n]\n"
    os.close(reader)
    assert pipe.is_fifo()
    assert [*tmp_path.iterdir()] == [pipe]


@pytest.mark.skipif(os.name == "nt", reason="nothing is locked there")
def test_a_lock_is_shared_or_held_alone(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first, second = join_lock(path, alone=False), join_lock(path, alone=False)
    assert first is not None
    assert second is not None
    first()
    assert join_lock(path, alone=True) is None
    second()
    alone = join_lock(path, alone=True)
    assert alone is not None
    assert join_lock(path, alone=True) is None
    alone()


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("1")
    (tmp_path / "link.json").symlink_to("real.json")
    write_json(tmp_path / "link.json", 2)
    assert (tmp_path / "link.json").is_symlink()
    assert read_json(tmp_path / "real.json") == 2


@pytest.mark.skipif(os.name == "nt", reason="folders have no owners like that on Windows")
@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_link_that_another_user_made_is_not_written_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Who may rename a job's folder (in a workspace of a group) would choose what is replaced."""
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    for folder in (mine, theirs):
        folder.mkdir()
    (mine / "record.json").write_text("mine")
    if what == "file":
        (theirs / "record.json").symlink_to(mine / "record.json")
    else:
        theirs.rmdir()
        theirs.symlink_to(mine)
    write_json(theirs / "record.json", 1)
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    before = Path.lstat

    def by_another(path: Path) -> os.stat_result:
        facts = before(path)
        other = 1234 if path == theirs else 4321
        return os.stat_result((*facts[:4], other, *facts[5:]))

    monkeypatch.setattr(Path, "lstat", by_another)
    with pytest.raises(PermissionError, match="another user made"):
        write_json(theirs / "record.json", 2)
    assert read_json(mine / "record.json") == 1
    if what == "file":
        (theirs / "record.json").unlink()
        write_json(theirs / "record.json", 3)
        assert read_json(theirs / "record.json") == 3


@pytest.mark.parametrize(
    "text", ["{", "[" * 100_000, "123456789", "\udcff"], ids=["cut", "deep", "large", "odd"]
)
def test_what_is_no_small_json_is_a_value_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match=r"."):
        read_json(path, limit=8 if text.isdigit() else 2**20)


@pytest.mark.parametrize(("depth", "taken"), [(150, True), (250, False), (900, False)])
def test_what_can_be_read_can_be_walked_and_written(
    tmp_path: Path, depth: int, taken: bool
) -> None:
    path = tmp_path / "file.json"
    path.write_text('{"a":[' * (depth // 2) + "1" + "]}" * (depth // 2))
    with nullcontext() if taken else pytest.raises(ValueError, match="nested too deeply"):
        write_json(path, read_json(path))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names")
@pytest.mark.timeout(20)
def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(OSError, match=r"regular file|directory"):
            read_json(path)


def test_writers_come_one_after_the_other(tmp_path: Path) -> None:
    """Threads and programs alike: no increment is lost."""
    path = tmp_path / "count.json"
    write_json(path, 0)
    code = (
        "import sys; from pathlib import Path\n"
        "from napari_tool_runner.storage import locked, read_json, write_json\n"
        "path = Path(sys.argv[1])\n"
        "for _ in range(20):\n"
        "    with locked(path): write_json(path, read_json(path) + 1, durable=False)\n"
    )

    def count() -> None:
        for _ in range(20):
            with locked(path):
                found = read_json(path)
                assert isinstance(found, int)
                write_json(path, found + 1, durable=False)

    program = subprocess.Popen([sys.executable, "-c", code, path])
    threads = [threading.Thread(target=count) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert program.wait(60) == 0
    assert read_json(path) == 80


def test_a_lock_that_is_held_is_an_os_error(tmp_path: Path) -> None:
    held = threading.Event()
    done = threading.Event()

    def hold() -> None:
        with locked(tmp_path / "x"):
            held.set()
            done.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(30)
    with pytest.raises(OSError, match=r"."), locked(tmp_path / "x", timeout=0.05):
        pass
    done.set()
    thread.join()


def test_digests_of_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"text")
    assert content_sha256(tmp_path / "a") == sha256_of(b"text")
    before = content_sha256(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert content_sha256(tmp_path) != before


@given(st.lists(st.sampled_from(["a", "a_2", "a_3", "b", "a_2_2"]), max_size=8))
def test_numbered_names_never_collide(names: list[str]) -> None:
    made = unique_names(names, numbered="_{}", first=2)
    assert len(set(made)) == len(names)
    assert made[:1] == names[:1]


def test_what_is_done_once_is_done_once_among_threads() -> None:
    begun, made = threading.Event(), []

    def slowly() -> int:
        begun.set()
        made.append(len(made))
        threading.Event().wait(0.05)
        return len(made)

    once = Once(slowly)
    others = [threading.Thread(target=once) for _ in range(4)]
    for one in others:
        one.start()
    assert begun.wait(10)
    assert once() == 1
    for one in others:
        one.join()
    assert made == [0]
    once.cache_clear()
    assert once() == 2


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_where_links_lead_is_told_as_python_tells_it(tmp_path: Path) -> None:
    (tmp_path / "a (deleted)" / "b").mkdir(parents=True)
    (tmp_path / "a (deleted)" / "c (deleted)").touch()
    for name, target in (("link", "a (deleted)"), ("loop", "loop"), ("nowhere", "gone/x")):
        (tmp_path / name).symlink_to(target)
    os.mkfifo(tmp_path / "pipe")
    for told in (
        *("", ".", "/", "link", "link/b", "link/b/../c (deleted)", "link/c (deleted)", "loop"),
        *("loop/x", "nowhere", "not/there", "pipe", "link/b/..", "/proc/self/fd/1", "/dev/stdin"),
    ):
        path = told and os.path.join(tmp_path, told)
        assert really(path) == os.path.realpath(path), told


def test_the_system_is_called_as_python_calls_it() -> None:
    assert system_name() == platform.platform()


def test_a_key_that_was_half_written_by_a_killed_program_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    half = storage.user_data() / ".seal.key.0123abcd"
    half.parent.mkdir(parents=True)
    half.write_text("0")
    first = seals.seal_of("x")
    assert first
    assert not half.exists()
    assert seals.is_sealed("x", first)

    def lost(*_: object, **__: object) -> None:
        write_whole(storage.user_data() / "seal.key", "theirs")
        raise FileNotFoundError("another program took the draft away")

    (storage.user_data() / "seal.key").unlink()
    monkeypatch.setattr(seals, "write_whole", lost)
    second = seals.seal_of("x")
    assert seals.is_sealed("x", second)
    assert second != first


@pytest.mark.parametrize("size", [0, 1, 9, 10])
def test_what_grows_while_it_is_read_is_whole_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    path = tmp_path / "file"
    facts = os.fstat

    def before(descriptor: int) -> os.stat_result:
        told = list(facts(descriptor))
        told[stat.ST_SIZE] = size
        return os.stat_result(told)

    monkeypatch.setattr(storage.os, "fstat", before)
    path.write_bytes(b"0123456789")
    assert read_limited(path, 10) == b"0123456789"
    with pytest.raises(ValueError, match="more than 9 B"):
        read_limited(path, 9)


def test_what_has_no_size_until_it_is_read_is_read() -> None:
    path = Path("/proc/self/status")
    if not path.exists():
        pytest.skip("a file that says that it is empty, and is not")
    assert read_limited(path, 2**16).startswith(b"Name:")
    with pytest.raises(ValueError, match="more than 5 B"):
        read_limited(path, 5)
