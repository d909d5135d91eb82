"""What we keep: several writers, damaged and hostile files, texts of others inside ours."""

from __future__ import annotations

import ast
import errno
import gc
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import time
import weakref
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest

import napari_tool_runner as ntr
from jobs.conftest import INVERT
from napari_tool_runner import storage
from napari_tool_runner.config import changed_config, load_config, save_config
from napari_tool_runner.errors import (
    ToolFailedError,
    TrustError,
    UnsafeDescriptorError,
    WorkspaceError,
)
from napari_tool_runner.jobs import as_command, as_python, export_crate, read_record
from napari_tool_runner.jobs.past.history import ended_jobs, history
from napari_tool_runner.jobs.record import JobState, RecordedHost, RunRecord
from napari_tool_runner.jobs.typed_json import to_json
from napari_tool_runner.jobs.workspace import KEPT_BYTES, JobLog, parse_progress
from napari_tool_runner.plugins.process import OutputLine
from napari_tool_runner.plugins.programs import output as program_output
from napari_tool_runner.plugins.programs.output import LineSplitter
from napari_tool_runner.processes import process_mark
from napari_tool_runner.quoting import comment, one_line, python_value, shell_line
from napari_tool_runner.sealed import content_sha256
from napari_tool_runner.storage import (
    JsonLimitError,
    Kept,
    NewerError,
    locked,
    parse_json,
    read_json,
    user_data,
    write_json,
)
from napari_tool_runner.tools.candidate import parse_json as parse_descriptor
from napari_tool_runner.tools.toolbox import approvals
from napari_tool_runner.widgets.finding.favourites import Favourites
from support import REPOSITORY

if TYPE_CHECKING:
    from jobs.conftest import MakeTool

POSIX = pytest.mark.skipif(os.name == "nt", reason="permissions and pipes of POSIX")


# -- the file itself ---------------------------------------------------------------------


@POSIX
def test_what_is_kept_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file.json"
    before = os.umask(0)
    try:
        write_json(path, {"token": "secret"})
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [stat.S_IMODE(p.stat().st_mode) for p in (path.parent, path.parent.parent)] == [
        0o700
    ] * 2


@POSIX
def test_folders_and_locks_of_ours_are_their_owners_alone(user_dirs: Path, tmp_path: Path) -> None:
    """Whoever can open a lock can hold it."""
    home = user_data()
    before = os.umask(0)
    try:
        with locked(tmp_path / "one"):
            lock = next((home / "locks").iterdir())
            assert stat.S_IMODE(lock.stat().st_mode) == 0o600
        for place, mode in ((home, 0o755), (home / "locks", 0o777)):
            assert stat.S_IMODE(place.stat().st_mode) == 0o700
            place.chmod(mode)
        lock.write_text("")  # as an older version left it
        lock.chmod(0o644)
        with locked(tmp_path / "one"):
            found = [stat.S_IMODE(one.stat().st_mode) for one in (home, home / "locks", lock)]
    finally:
        os.umask(before)
    assert found == [0o700, 0o700, 0o600]


@POSIX
def test_a_lock_that_somebody_holds_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user_dirs: Path
) -> None:
    import fcntl

    approvals.remember(tmp_path, None)
    monkeypatch.setattr(storage.locked, "__kwdefaults__", {"timeout": 0.2}, raising=False)
    monkeypatch.setattr(storage.locked.__wrapped__, "__kwdefaults__", {"timeout": 0.2})
    name = f"{storage.short_digest(os.path.realpath(user_data() / 'trust.json'))}.lock"
    with (user_data() / "locks" / name).open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(TrustError) as refused:
            approvals.remember(tmp_path, None)
    told = str(refused.value)
    assert ".." not in told
    assert f"holds the lock {user_data() / 'locks' / name}" in told
    assert "fuser -v" in told
    assert "writable" not in told + refused.value.hint


@POSIX
def test_a_config_that_all_could_read_is_private_once_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.json"
    path.write_text("{}")
    path.chmod(0o666)
    monkeypatch.setenv("NAPARI_TOOL_RUNNER_CONFIG", str(path))
    save_config(changed_config(load_config(), {"user.name": "me"}))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@POSIX
@pytest.mark.timeout(20)
def test_a_pipe_or_a_link_in_place_of_a_record_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("{}")
    (tmp_path / "link.json").symlink_to("real.json")
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(OSError, match="link"):
        read_json(tmp_path / "link.json", follow=False)
    with pytest.raises(OSError, match="regular"):
        read_json(tmp_path / "pipe.json")
    with pytest.raises(OSError, match="regular"):
        write_json(tmp_path / "pipe.json", {})


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    [
        "[" * 3_000_000,
        "[" * 201 + "]" * 201,
        '{"a":' * 100_000,
        "[" + "{}," * 5_000_000 + "{}]",
        "9" * 100_000,
        '"' + '\\"' * 1_000_000,
        '["' + "\\\\" * 999_999 + '"' + "[" * 300,
        "\0" * 1000,
        "",
    ],
    ids=lambda text: f"{text[:6]!r}…{len(text)}",
)
@pytest.mark.timeout(30)
def test_absurd_json_is_a_sentence_soon(text: str) -> None:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(10**6)  # as some packages do: a parser would end the process
    try:
        with pytest.raises(ValueError, match=r"\w"):
            parse_json(text.encode())
    finally:
        sys.setrecursionlimit(limit)


@pytest.mark.parametrize("code", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_json_is_bounded_in_whatever_letters_it_is_written(code: str) -> None:
    told = {"a": ["[" * 300, "ü嬀", 1.5, None]}  # U+5B00: a bracket in one of its two bytes
    assert parse_json(json.dumps(told, ensure_ascii=False).encode(code)) == told
    for text in ("[" * 300 + "]" * 300, "[" + "1," * 5_000_000 + "1]"):
        with pytest.raises(JsonLimitError):
            parse_json(text.encode(code))
    with pytest.raises(UnsafeDescriptorError, match="more than 500,000 values"):
        parse_descriptor(("[" + "1," * 600_000 + "1]").encode(code), Path("x.json"))


def test_brackets_inside_text_are_no_levels() -> None:
    told = {"a": "[" * 1000 + '"\\' + "{" * 1000, "b": [[]]}
    assert parse_json(json.dumps(told).encode()) == told


def test_drafts_of_killed_programs_go_with_the_next_write(tmp_path: Path) -> None:
    old, new, other = (
        tmp_path / name for name in (".f.json.0123abcd", ".f.json.4567abcd", ".f.json.notours")
    )
    for path in (old, new, other):
        path.write_text("half")
    os.utime(old, (0, 0))
    os.utime(other, (0, 0))
    write_json(tmp_path / "f.json", 1)
    assert sorted(p.name for p in tmp_path.iterdir()) == [new.name, other.name, "f.json"]


def test_a_killed_writer_of_the_config_leaves_a_draft_until_the_next_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.json"
    path.write_text("{}")
    (tmp_path / ".config.json.0123abcd").write_text('{"secret": 1')
    monkeypatch.setenv("NAPARI_TOOL_RUNNER_CONFIG", str(path))
    save_config(changed_config(load_config(), {"user.name": "me"}))
    assert [entry.name for entry in tmp_path.iterdir()] == ["config.json"]


# -- several writers ---------------------------------------------------------------------

CHANGE = """
import sys
from napari_tool_runner.config import changed_config, load_config, save_config
who = sys.argv[1]
opened = load_config()  # a dialog that stays open
print("ready", flush=True)
sys.stdin.readline()
for number in range(5):
    boxes = [*opened.said("process.xml_dirs"), f"/boxes/{who}/{number}"]
    env = [*opened.said("env"), {"name": f"v_{who}_{number}", "value": "1"}]
    opened = changed_config(opened, {"process.xml_dirs": boxes, "env": env})
    save_config(opened)
"""


def variable(name: str) -> dict[str, str]:
    return {"name": name, "value": "1"}


def test_writers_that_opened_the_same_config_lose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.json"
    write_json(path, {"process": {"xml_dirs": ["/first"]}, "env": [variable("kept")]})
    monkeypatch.setenv("NAPARI_TOOL_RUNNER_CONFIG", str(path))
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", CHANGE, str(who)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for who in range(3)
    ]
    for one in writers:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in writers:
        one.communicate("go\n", timeout=60)
        assert one.returncode == 0
    found = json.loads(path.read_text())
    names = [f"/boxes/{who}/{number}" for who in range(3) for number in range(5)]
    assert sorted(found["process"]["xml_dirs"]) == sorted(["/first", *names])
    assert len(found["env"]) == 16


def test_what_one_takes_away_does_not_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.json"
    write_json(path, {"process": {"xml_dirs": ["/a", "/b"]}, "env": [variable("x")]})
    monkeypatch.setenv("NAPARI_TOOL_RUNNER_CONFIG", str(path))
    first, second = load_config(), load_config()
    save_config(changed_config(first, {"process.xml_dirs": ["/b"], "env": [variable("y")]}))
    save_config(changed_config(second, {"process.xml_dirs": ["/a", "/b", "/c"]}))
    found = json.loads(path.read_text())
    assert found == {"process": {"xml_dirs": ["/b", "/c"]}, "env": [variable("y")]}
    both = load_config()
    save_config(changed_config(second, {"process.xml_dirs": ["/d"]}))
    save_config(changed_config(both, {"process.xml_dirs": None}))
    assert json.loads(path.read_text())["process"]["xml_dirs"] == ["/d"]


def test_stars_of_two_windows_stay_and_a_damaged_file_is_put_aside() -> None:
    first, second = Favourites(), Favourites()
    first.toggle_star("a")
    second.toggle_star("b")
    first.used("c")
    assert Favourites().starred == ("a", "b")
    assert Favourites().recent == ("c",)
    path = user_data() / "favourites.json"
    path.write_text("[" * 100_000)
    assert Favourites().starred == ()
    second.toggle_star("d")
    assert Favourites().starred == ("d",)
    assert (user_data() / "favourites-damaged.json").read_text() == "[" * 100_000


def test_what_a_newer_version_wrote_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    path.write_text('{"version": 9, "future": true}')
    with pytest.raises(NewerError), Kept(path).changing() as told:
        told["lost"] = True
    assert json.loads(path.read_text()) == {"version": 9, "future": True}


# -- whose process it is -------------------------------------------------------------------


def running(
    workspaces: Path, host: dict[str, object], job_id: str = "20261126-000000-aaaaaa"
) -> Path:
    folder = workspaces / "tool" / job_id
    folder.mkdir(parents=True)
    times = {"created": "2026-11-26T00:00:00+00:00"}
    told = {"version": 2, "state": "running", "tool": {"id": "t"}, "host": host, "times": times}
    (folder / "record.json").write_text(json.dumps(told))
    return folder


def here() -> dict[str, object]:
    told = to_json(RecordedHost.here())
    assert isinstance(told, dict)
    return told


def test_a_job_of_this_process_runs(tmp_path: Path) -> None:
    assert read_record(running(tmp_path, here()) / "record.json").state is JobState.RUNNING


@pytest.mark.parametrize(
    "change",
    [
        {"pid": 1},  # older than any job
        {"process": "another-start-of-the-computer 1"},
        {"process": process_mark(1)},
        {"pid": 1, "process": ""},  # of an older version
        {"pid": None},
        {"pid": -1},
        {"pid": 2**40},
    ],
)
def test_a_reused_number_of_a_process_is_no_running_job(
    tmp_path: Path, change: dict[str, object]
) -> None:
    folder = running(tmp_path, {**here(), **change})
    assert read_record(folder / "record.json").state is JobState.INTERRUPTED


def test_a_job_of_another_computer_is_let_be_for_a_day(tmp_path: Path) -> None:
    other = {"name": "elsewhere", "pid": 1, "process": "other-boot 12"}
    folder = running(tmp_path, other)
    assert read_record(folder / "record.json").state is JobState.RUNNING
    assert ended_jobs(tmp_path) == []
    then = time.time() - 2 * 24 * 3600
    os.utime(folder / "record.json", (then, then))
    assert [one.state for one in ended_jobs(tmp_path)] == [JobState.INTERRUPTED]


def test_marks_tell_processes_apart() -> None:
    assert process_mark(os.getpid()) == process_mark(os.getpid()) != process_mark(os.getppid())
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with suppress(psutil.NoSuchProcess):
        pytest.skip(f"taken again at once: {psutil.Process(gone.pid)}")
    assert process_mark(gone.pid) == ""


# -- texts of others inside ours ---------------------------------------------------------

EVIL = "x\nimport os; os.system('id')\n\r\x1b[201~\u202e\"'''\\"


def evil_record(folder: Path, value: object) -> RunRecord:
    told = {
        "version": 2,
        "id": EVIL,
        "state": "done",
        "tool": {"id": EVIL, "name": EVIL, "version": EVIL, "descriptor": EVIL},
        "runner": {"service": EVIL},
        "parameters": {EVIL: value},
        "inputs": [{"name": EVIL, "label": EVIL, "path": EVIL}],
    }
    return RunRecord.from_json(told, folder)


@pytest.mark.parametrize("value", [EVIL, [EVIL], {EVIL: EVIL}, "\0", float("nan"), None])
def test_a_script_of_a_record_runs_nothing_but_the_call(tmp_path: Path, value: object) -> None:
    script = as_python(evil_record(tmp_path, value))
    body = ast.parse(script).body
    assert [type(node) for node in body] == [ast.ImportFrom, ast.Assign, ast.For]
    calls = [
        n.func.id for n in ast.walk(body[1]) if isinstance(n, ast.Call) and hasattr(n.func, "id")
    ]
    assert set(calls) <= {"run", "float"}
    ours = "…“”’"  # in comments
    assert not re.search(rf"[^\n\x20-\x7e{ours}]", script)


@POSIX
@pytest.mark.parametrize("value", [EVIL, [EVIL, "b"], "\0", "-x", "$(id)`id`"])
def test_a_command_line_of_a_record_is_one_program_with_words(
    tmp_path: Path, value: object
) -> None:
    line = as_command(evil_record(tmp_path, value))
    assert "\x1b" not in line
    assert "\r" not in line
    shown = "napari-tool-runner() { printf '%s\\0' \"$@\"; }\n"
    shell = subprocess.run(
        ["bash", "-c", shown + line], capture_output=True, check=True, timeout=20
    )
    words = shell.stdout.decode().split("\0")[:-1]
    assert words[0] in ("run", "rerun")
    if words[0] == "run":
        assert words[1] == EVIL
        for one in value if isinstance(value, list) else [value]:
            assert f"{EVIL}={one}" in words


def test_every_text_has_its_way_of_writing() -> None:
    assert comment(EVIL).count("\n") == 0
    assert one_line("a\n b\x1b\u202e") == "a b\\x1b\\u202e"
    assert len(one_line("x" * 10**6)) == 300
    assert ast.literal_eval(python_value({"a": [EVIL, 1, None, True]})) == {
        "a": [EVIL, 1, None, True]
    }
    with pytest.raises(ValueError, match="nul"):
        shell_line(["\0"])


# -- crates of strangers -----------------------------------------------------------------


@pytest.fixture
def told(make_tool: MakeTool, config: dict[str, object]) -> dict[str, object]:
    """The record of a job, to be changed and written over."""
    pytest.importorskip("rocrate")
    image = np.eye(4, dtype=np.uint8)
    result = ntr.run(make_tool(INVERT), i=image, config=config, cache=False)
    return {**result.record, "where": str(result.workspace)}


def beside_the_crate(folder: Path) -> set[Path]:
    """Return all files but those of the crate, and what notes the room on the disk meanwhile."""
    found = (path for path in folder.rglob("*") if "crate" not in path.parts)
    return {path for path in found if ".taken" not in path.name}


def crate_of(told: dict[str, object], tmp_path: Path) -> dict[str, bytes]:
    """Export the changed record; return name -> content of the crate's files."""
    folder = Path(str(told["where"]))
    (folder / "record.json").write_text(json.dumps(told))
    before = beside_the_crate(tmp_path)
    target = export_crate(read_record(folder / "record.json"), tmp_path / "crate")
    assert beside_the_crate(tmp_path) == before
    assert not any(path.is_symlink() for path in target.rglob("*"))
    found = {p.relative_to(target).as_posix(): p for p in target.rglob("*") if p.is_file()}
    return {name: path.read_bytes() for name, path in found.items()}


def test_half_a_zip_never_has_its_name(
    told: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rocrate = pytest.importorskip("rocrate.rocrate")
    target = tmp_path / "sent" / "job.zip"
    target.parent.mkdir()
    record = read_record(Path(str(told["where"])) / "record.json")

    def interrupted(crate: object, **_: object) -> Iterator[bytes]:
        yield b"half"
        assert not target.exists()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(rocrate.ROCrate, "_stream_zip", interrupted)
        with pytest.raises(KeyboardInterrupt):
            export_crate(record, target)
    assert not list(target.parent.iterdir())
    export_crate(record, target)
    assert zipfile.is_zipfile(target)
    assert [path.name for path in target.parent.iterdir()] == ["job.zip"]


@POSIX
@pytest.mark.parametrize("field", ["log", "descriptor"])
def test_no_file_of_the_host_goes_into_a_crate_by_its_name(
    told: dict[str, object], tmp_path: Path, field: str
) -> None:
    secret = tmp_path / "secret.xml"
    secret.write_text("the key")
    if field == "log":
        told["log"] = str(secret)
    else:
        told["tool"]["descriptor"] = str(secret)  # type: ignore[index]
    found = crate_of(told, tmp_path)
    assert b"the key" not in found.values()
    assert {"record.json", "ro-crate-metadata.json"} <= found.keys()


@POSIX
@pytest.mark.parametrize("where", ["inputs", "outputs"])
@pytest.mark.parametrize("how", ["elsewhere", "link", "folder", "way"])
def test_no_data_of_the_host_go_into_a_crate_without_their_digest(
    told: dict[str, object], tmp_path: Path, where: str, how: str
) -> None:
    folder = Path(str(told["where"]))
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "key").write_text("the key")
    inner = folder / "io" / "outputs"
    path = {"elsewhere": str(keys / "key"), "link": "io/outputs/l"}.get(how, "io/outputs/f")
    if how == "link":
        (inner / "l").symlink_to(keys / "key")
    elif how == "folder":
        (inner / "f").mkdir()
        (inner / "f" / "key").symlink_to(keys / "key")
    elif how == "way":
        (inner / "f").symlink_to(keys)
        path = "io/outputs/f/key"
    told[where][0] |= {"path": path, "sha256": None}  # type: ignore[index]
    with pytest.raises(WorkspaceError, match="outside the job's folder"):
        crate_of(told, tmp_path)
    told[where][0]["sha256"] = content_sha256(folder / path)  # type: ignore[index]
    assert b"the key" in crate_of(told, tmp_path).values()  # who states it knows it


def test_nothing_is_written_outside_a_crate_nor_over_its_own_files(
    told: dict[str, object], tmp_path: Path
) -> None:
    folder = Path(str(told["where"]))
    digest = content_sha256(folder / "record.json")
    for path in ("record.json", "io/../record.json", "/record.json", "io/outputs/../../log.txt"):
        out = dict(told["outputs"][0])  # type: ignore[index]
        out |= {"path": str(folder / path.lstrip("/")), "sha256": None}
        if ".." not in path:
            told["outputs"].append(out)  # type: ignore[attr-defined]
        else:
            with pytest.raises(WorkspaceError, match="outside"):
                crate_of({**told, "outputs": [out]}, tmp_path)
    (folder / "io" / "%2e%2e%2f%2e%2e%2fx").write_text("out")
    out = {**told["outputs"][0], "path": "io/%2e%2e%2f%2e%2e%2fx", "sha256": None}  # type: ignore[index]
    told["outputs"].append(out)  # type: ignore[attr-defined]
    found = crate_of(told, tmp_path)
    assert found["outputs/2e_2e_2f_2e_2e_2fx"] == b"out"
    assert "outputs/record.json" in found
    assert "outputs/1_record.json" in found
    assert digest
    assert json.loads(found["record.json"])["id"] == told["id"]


# -- floods ------------------------------------------------------------------------------


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "line",
    [" " * 299, "1" * 299, "1/" * 149, "1 of " * 59, "1 %" * 99, "5%|" * 99, "a" * 299,
     "<filter-progress>" * 17, "1" + " " * 298, " " * 200 + "5%|" + "|" * 90],
)  # fmt: skip
def test_no_line_takes_long_to_look_for_progress(line: str) -> None:
    for _ in range(20_000):  # a line that takes milliseconds does not come to an end
        parse_progress(line)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "piece",
    [b"x" * 65536, b"ab\n" * 20000, b"\r" * 65536, b"\0" * 65536, b"\x1b[" * 30000,
     b"\n" * 65536, b"12%\r" * 16000],
    ids=["no end", "lines", "returns", "nul", "escapes", "empty lines", "bar"],
)  # fmt: skip
def test_a_flood_takes_no_memory_and_keeps_its_end(
    piece: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program_output, "MAX_BYTES", 2**20)
    monkeypatch.setattr(program_output, "MAX_LINES", 10_000)
    lines: list[str] = []

    def take(event: object) -> None:
        assert isinstance(event, OutputLine)
        if not event.transient:
            lines.append(event.text)

    splitter = LineSplitter(take, "stdout")
    for _ in range(300):
        splitter.feed(piece)
    splitter.feed(b"\nthe reason\n")
    splitter.close()
    assert lines[-1] == "the reason"
    assert any("left out" in line for line in lines)
    assert sum(map(len, lines)) < 8 * 2**20
    assert len(lines) < 150_000


def test_what_is_short_enough_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program_output, "MAX_BYTES", 1000)
    lines: list[str] = []
    splitter = LineSplitter(lambda event: lines.append(getattr(event, "text", "")), "stderr")
    for number in range(400):
        splitter.feed(f"line {number}\n".encode())
    splitter.close()
    final = [line for line in lines if line]
    assert all(f"line {number}" in final for number in range(400))
    assert not any("left out" in line for line in lines)


def test_a_log_file_is_bounded_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_tool_runner.jobs.workspace.LOG_BYTES", 2000)
    log = JobLog(tmp_path)
    for number in range(1000):
        log.add(OutputLine(f"line {number}", "stdout"))
    log.close()
    for name in ("log.txt", "stdout.txt"):
        text = (tmp_path / name).read_text()
        assert len(text) < 2200
        assert "left out" in text.splitlines()[-1]
    assert log.tail(1) == ("line 999",)


def test_long_lines_fill_no_memory(tmp_path: Path) -> None:
    log = JobLog(tmp_path)
    for number in range(1000):
        log.add(OutputLine(f"{number}" + "\U0001f600" * 2000, "stdout"))
    log.close()
    count, kept = log.since(0)
    assert count == 1000
    assert kept[-1].text.startswith("999")
    assert len(kept) > 200
    assert sum(sys.getsizeof(line.text) for line in kept) <= KEPT_BYTES
    assert log.since(998)[1] == kept[-2:]


# -- history -----------------------------------------------------------------------------


def test_a_bad_record_is_a_note_beside_the_good_ones(tmp_path: Path) -> None:
    good = running(tmp_path, {**here(), "pid": None})
    for number, text in enumerate(["[" * 10**6, '{"version": 9}', "", "null", '{"tool": 1}']):
        folder = tmp_path / "tool" / f"20261126-00000{number}-bbbbbb"
        folder.mkdir()
        (folder / "record.json").write_text(text)
    found = {one.folder.name: one for one in history(tmp_path)}
    assert len(found) == 5  # what a newer version wrote is nobody's to judge
    bad = [one for one in found.values() if one.folder != good]
    assert all(one.state is JobState.INTERRUPTED and one.message for one in bad)
    assert len(ended_jobs(tmp_path)) == 5
    with pytest.raises(WorkspaceError):
        read_record(bad[0].path)


@POSIX
def test_a_link_to_itself_hides_no_job(tmp_path: Path) -> None:
    folder = running(tmp_path, {**here(), "pid": None})
    (tmp_path / "loop").symlink_to("loop")
    (folder.parent / "loop").symlink_to("loop")
    assert [one.folder for one in history(tmp_path)] == [folder]
    assert [one.folder for one in ended_jobs(tmp_path)] == [folder]


def test_only_folders_of_jobs_are_offered_for_deletion(tmp_path: Path) -> None:
    folder = running(tmp_path, {**here(), "pid": None})
    own = tmp_path / "mine" / "photos"
    own.mkdir(parents=True)
    (own / "summer.tif").write_bytes(b"")
    shutil.copy(folder / "record.json", own)
    assert {one.folder for one in history(tmp_path)} == {folder, own}
    assert [one.folder for one in ended_jobs(tmp_path)] == [folder]


def test_a_job_of_the_future_can_be_cleaned(tmp_path: Path) -> None:
    folder = running(tmp_path, {**here(), "pid": None})
    told = json.loads((folder / "record.json").read_text())
    told["times"]["created"] = "9998-01-01T00:00:00+00:00"
    (folder / "record.json").write_text(json.dumps(told))
    assert [one.folder for one in ended_jobs(tmp_path)] == [folder]
    assert ended_jobs(tmp_path, older_than_days=1) == []


# -- long sessions -----------------------------------------------------------------------


@POSIX
@pytest.mark.parametrize("more", [[], ["--leave"]], ids=["taken", "left"])
def test_a_session_of_many_jobs_holds_no_more_than_one_of_few(more: list[str]) -> None:
    command = [sys.executable, "-m", "benchmarks.soak", "--jobs=60", "--descriptors=64", *more]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Nothing grew." in done.stdout


def test_a_job_that_ended_holds_no_data(
    make_tool: MakeTool, config: dict[str, object], tmp_path: Path
) -> None:
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    layer = (image.copy(), {"scale": (2, 3), "name": "cells"}, "image")
    there = weakref.ref(layer[0])  # type: ignore[arg-type]
    job = ntr.submit(make_tool(INVERT), i=layer, config=config)
    result = job.result()
    data = weakref.ref(result.outputs["o"].data)
    before = result.outputs["o"].as_layer_data_tuple()
    assert job.result() is result
    told = job.record()
    del result, layer, before
    gc.collect()
    assert data() is None
    assert there() is None
    again = job.result()
    made, attributes, kind = again.outputs["o"].as_layer_data_tuple()
    np.testing.assert_array_equal(np.asarray(made), 11 - image)
    assert (tuple(attributes["scale"]), attributes["name"], kind) == (  # type: ignore[arg-type]
        (2, 3),
        "cells · Invert",
        "image",
    )
    assert job.record() == told == json.loads(job.workspace.record_path.read_text())
    del again, made, attributes
    shutil.rmtree(job.workspace.root)
    with pytest.raises(WorkspaceError, match="cannot be opened again"):
        job.result()


def test_a_last_record_that_finds_no_space_leaves_no_job_that_runs(
    make_tool: MakeTool, config: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    full = {"times": 1}

    def write(path: Path, value: dict[str, object], **how: bool) -> None:
        if value["state"] == "done" and full["times"]:
            full["times"] -= 1
            raise OSError(errno.ENOSPC, "No space left on device")
        write_json(path, value, **how)  # type: ignore[arg-type]

    monkeypatch.setattr("napari_tool_runner.jobs.job.write_json", write)
    for times, state in ((1, JobState.DONE), (2, JobState.INTERRUPTED)):
        full["times"] = times
        job = ntr.submit(make_tool(INVERT), i=np.eye(3, dtype=np.uint8), config=config)
        assert job.wait(60)
        assert job.state is JobState.DONE
        assert read_record(job.workspace.record_path).state is state


def test_a_job_that_failed_holds_no_data(make_tool: MakeTool, config: dict[str, object]) -> None:
    image = np.zeros((3, 4), np.uint8)
    there = weakref.ref(image)
    job = ntr.submit(make_tool("raise SystemExit(3)"), i=image, config=config)
    for _ in range(2):
        with pytest.raises(ToolFailedError):
            job.result()
    del image
    gc.collect()
    assert there() is None


@POSIX
def test_a_job_that_is_killed_or_finds_the_disk_full_loses_and_leaves_nothing() -> None:
    command = [sys.executable, "-m", "benchmarks.faults", "--every=3"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Nothing was lost" in done.stdout
