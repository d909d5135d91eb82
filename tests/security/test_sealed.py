"""Nothing that a program leaves in its folder leads anywhere else: tried / got.

Each row is something a tool of a stranger does. What it must get is nothing, and the
person gets a sentence that names the file.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

import napari_tool_runner as ntr
from napari_tool_runner import sealed
from napari_tool_runner.config import load_config
from napari_tool_runner.errors import (
    JobCancelledError,
    OutputError,
    ToolFailedError,
    ToolRunnerError,
)
from napari_tool_runner.jobs import Extent, JobManager, reclaim, reclaimable
from napari_tool_runner.jobs.delivery import deliver
from napari_tool_runner.names import file_name
from napari_tool_runner.sealed import content_sha256
from napari_tool_runner.tools import read_tool
from support import until_kept

if TYPE_CHECKING:
    from jobs.conftest import MakeTool

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links and pipes of POSIX")
SECRET = "the key of a stranger's victim"


@pytest.fixture
def io(tmp_path: Path) -> Path:
    """The folder of a program; beside it lies what it must not get."""
    (tmp_path / "secret.txt").write_text(SECRET)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "key").write_text(SECRET)
    folder = tmp_path / "job" / "io"
    (folder / "outputs").mkdir(parents=True)
    (folder / "work").mkdir()
    return folder


def to_the_secret(out: Path, io: Path) -> None:
    out.symlink_to(io.parent.parent / "secret.txt")


def up_to_the_secret(out: Path, io: Path) -> None:
    out.symlink_to("../../../secret.txt")


def by_two_links(out: Path, io: Path) -> None:
    (io / "work" / "one").symlink_to(io.parent.parent / "secret.txt")
    out.symlink_to("../work/one")


def through_a_folder(out: Path, io: Path) -> None:
    (io / "work" / "d").symlink_to(io.parent.parent / "home")
    out.symlink_to("../work/d/key")


def to_the_process(out: Path, io: Path) -> None:
    out.symlink_to("/proc/self/environ")


def in_a_circle(out: Path, io: Path) -> None:
    (io / "work" / "a").symlink_to(out)
    out.symlink_to(io / "work" / "a")


def a_pipe(out: Path, io: Path) -> None:
    os.mkfifo(out)


def a_socket(out: Path, io: Path) -> None:
    here = os.getcwd()
    os.chdir(out.parent)  # paths of sockets are short
    try:
        socket.socket(socket.AF_UNIX).bind(out.name)
    finally:
        os.chdir(here)


def a_device(out: Path, io: Path) -> None:
    try:
        os.mknod(out, 0o666 | stat.S_IFCHR, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("only root makes devices")


def in_a_folder(attack: Callable[[Path, Path], None]) -> Callable[[Path, Path], None]:
    def inside(out: Path, io: Path) -> None:
        (out / "0").mkdir(parents=True)
        (out / "fine.txt").write_text("x")
        attack(out / "0" / "chunk", io)

    inside.__name__ = f"{attack.__name__}_in_a_folder"
    return inside


def a_folder_of_ours(out: Path, io: Path) -> None:
    out.symlink_to(io.parent.parent / "home")


def too_deep(out: Path, io: Path) -> None:
    here = out
    for _ in range(sealed.MAX_DEPTH + 5):
        here = here / "d"
    here.mkdir(parents=True)


ATTACKS = [to_the_secret, up_to_the_secret, through_a_folder, to_the_process, in_a_circle]
ATTACKS += [a_pipe, a_socket, a_device, by_two_links]
ALL = [*ATTACKS, *(in_a_folder(attack) for attack in ATTACKS), a_folder_of_ours, too_deep]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("attack", ALL, ids=lambda attack: attack.__name__)
def test_what_is_no_plain_file_is_refused_with_a_sentence(
    attack: Callable[[Path, Path], None], io: Path, tmp_path: Path
) -> None:
    out = io / "outputs" / "o"
    attack(out, io)
    with pytest.raises(OutputError, match="cannot be opened") as refused:
        sealed.settled(out, io)
    named = str(refused.value)
    assert "outputs/o" in named or "work/" in named
    assert SECRET not in named
    # and by none of the other doors
    for door in (
        lambda: content_sha256(out, io),
        lambda: sealed.read_bytes(out, io),
        lambda: sealed.copy(out, tmp_path / "copy", io),
    ):
        with pytest.raises((OutputError, OSError)):
            door()
    got = [path for path in (tmp_path / "copy").rglob("*") if path.is_file()]
    assert all(path.read_text() == "x" for path in got)


def test_a_link_to_a_file_of_the_job_becomes_that_file(io: Path) -> None:
    made = io / "work" / "made.txt"
    made.write_text("mine")
    out = io / "outputs" / "o"
    for target in (made, Path("../work/made.txt"), Path("../work/../work/made.txt")):
        out.symlink_to(target)
        assert sealed.settled(out, io) == out
        assert not out.is_symlink()
        assert out.read_text() == "mine"
        out.unlink()
    out.mkdir()
    (out / "latest").symlink_to("../../work/made.txt")
    assert sealed.settled(out, io) == out
    assert sealed.read_bytes(out / "latest", io) == b"mine"


def test_a_link_to_a_lent_file_becomes_a_copy(io: Path, tmp_path: Path) -> None:
    original = tmp_path / "mine.tif"
    original.write_text("pixels")
    out = io / "outputs" / "o"
    out.symlink_to(original)
    assert sealed.settled(out, io, {original}) == out
    out.write_text("changed")
    assert original.read_text() == "pixels"


def test_a_link_made_while_we_look_is_refused(io: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program lives on, and wins every race against `stat`."""
    out = io / "outputs" / "o"
    out.write_text("fine")
    facts = os.stat(out)
    out.unlink()
    out.symlink_to(io.parent.parent / "secret.txt")
    real = os.stat

    def stale(path: object, **options: object) -> os.stat_result:
        return facts if path == "o" else real(path, **options)  # type: ignore[arg-type, call-overload, no-any-return]

    monkeypatch.setattr(os, "stat", stale)
    with pytest.raises(OutputError, match="a link"):
        sealed.open_file(out, io)


def test_what_we_write_goes_through_no_link(io: Path, tmp_path: Path) -> None:
    victim = tmp_path / "secret.txt"
    (io / "work" / "script.sh").symlink_to(victim)
    (io / "pieces").symlink_to(tmp_path / "home")
    sealed.write(io / "work" / "script.sh", "ours", io)
    assert victim.read_text() == SECRET
    assert (io / "work" / "script.sh").read_text() == "ours"
    with pytest.raises(OutputError, match="a link"):
        sealed.make_folder(io / "pieces" / "0" / "inputs", io)
    with pytest.raises(OutputError, match="a link"):
        sealed.remove(io / "pieces" / "key", io)
    sealed.remove(io / "pieces", io)
    assert (tmp_path / "home" / "key").exists()


def test_a_folder_of_any_depth_is_deleted_and_nothing_that_links_lead_to(
    io: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(lambda: subprocess.run(["rm", "-rf", io], check=False))
    here = os.open(io / "work", os.O_RDONLY)
    for _ in range(2500):
        os.mkdir("d", dir_fd=here)
        os.symlink(str(tmp_path / "home"), "link", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    os.chmod(io / "outputs", 0)
    sealed.remove(io, io.parent)
    assert not io.exists()
    assert (tmp_path / "home" / "key").read_text() == SECRET


@contextlib.contextmanager
def as_anybody() -> Iterator[Path]:
    """Be a user without rights of root, with a folder."""
    root = os.geteuid() == 0
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        if root:
            os.chown(name, 65534, 65534)
            os.seteuid(65534)
        try:
            yield Path(name)
        finally:
            if root:
                os.seteuid(0)


@pytest.mark.parametrize("mode", [0, 0o500, 0o300])
def test_a_user_deletes_folders_without_rights_and_half_of_none(mode: int) -> None:
    with as_anybody() as top:
        for inner in ("a/b/c", "a/b/d", "a/e"):
            (top / "job" / inner).mkdir(parents=True)
            (top / "job" / inner / "file").write_text("x")
        for inner in ("a/b/c", "a/b/d", "a/b", "a/e", "a", ""):
            (top / "job" / inner).chmod(mode)
        sealed.remove(top / "job", top)
        assert not any(top.iterdir())


def test_what_cannot_be_deleted_keeps_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a" / "b" / "c" / "d").mkdir(parents=True)
    rmdir = os.rmdir

    def held(name: str, *, dir_fd: int | None = None) -> None:
        if name == "c":
            raise PermissionError(1, "Operation not permitted", name)
        rmdir(name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "rmdir", held)
    with pytest.raises(PermissionError):
        sealed.remove(tmp_path / "a", tmp_path)
    assert [one.name for one in tmp_path.rglob("*")] == ["a", "b", "c"]


def test_a_folder_that_moves_while_it_is_deleted_costs_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "job" / "a" / "b").mkdir(parents=True)
    (tmp_path / "job" / "a" / "b" / "file").write_text("x")
    (tmp_path / "mine" / "b").mkdir(parents=True)
    unlink = os.unlink

    def moves(name: str, *, dir_fd: int | None = None) -> None:
        unlink(name, dir_fd=dir_fd)
        (tmp_path / "mine" / "b").rmdir()
        (tmp_path / "job" / "a" / "b").rename(tmp_path / "mine" / "b")

    monkeypatch.setattr(os, "unlink", moves)
    with pytest.raises(OutputError, match="moved"):
        sealed.remove(tmp_path / "job", tmp_path)
    assert (tmp_path / "mine" / "b").exists()


# -- patterns of results ---------------------------------------------------------------------


def test_a_pattern_costs_one_walk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_tool_runner.sealed import finding

    folders = [tmp_path / tree / "/".join(["d"] * 40) for tree in "ab"]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "x").write_text("")
    opened: list[Path] = []

    def counted(path: Path, root: Path) -> contextlib.AbstractContextManager[object]:
        opened.append(path)
        return folder_of(path, root)

    folder_of = finding.folder_of
    monkeypatch.setattr(finding, "folder_of", counted)
    found = sealed.found(tmp_path, "**/" * 8 + "x", tmp_path)
    assert found == [folder / "x" for folder in folders]
    assert len(opened) == len(set(opened)) == 83


@pytest.mark.parametrize(
    "pattern",
    ["*", "**", "**/x", "a/*", "a/**/x", "**/b/*", "**/**/b/**/x", "?/b", "**/.h/x", "a/b/x"],
)
def test_patterns_find_what_they_did(tmp_path: Path, pattern: str) -> None:
    for name in ("x", "a/x", "a/b/x", "a/b/c/b/x", "a/.h/x", "b"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    told = [] if pattern.endswith("**") else tmp_path.glob(pattern)
    wanted = {one for one in told if one.name[0] != "."}
    assert set(sealed.found(tmp_path, pattern, tmp_path)) == wanted


# -- names ----------------------------------------------------------------------------------

NASTY = st.one_of(
    st.text(max_size=300),
    st.lists(
        st.sampled_from(
            (
                *("..", ".", "/", "\\", "\0", "a", "é", "CON", "nul", "com¹", ":", "|", " ", "\n"),
                *("~", "\u202e", "\uff0f", "\u2025", "\u2215", "\ud800", "x" * 120, "🧬" * 40),
                ".tif",
            )
        ),
        max_size=12,
    ).map("".join),
)


@given(NASTY)
def test_a_name_is_one_file_on_every_system(name: str) -> None:
    made = file_name(name)
    assert Path(made).name == made == PureWindowsPath(made).name
    assert made not in (".", "..")
    assert made.isprintable()
    assert 0 < len(made.encode()) <= 255
    assert not made.startswith(".")
    assert not made.endswith((".", " "))
    assert made.split(".")[0].lower() not in {"con", "nul", "aux", "prn", "com1", "com¹"}
    assert file_name(made) == made


@pytest.mark.parametrize("name", ["result", "Größe 3.ome.tif", "a-b_c.csv", "細胞", "x.y.z"])
def test_harmless_names_stay(name: str) -> None:
    assert file_name(name) == name


@given(NASTY)
def test_a_path_beneath_is_beneath(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    root = tmp_path_factory.getbasetemp() / "no such job"
    try:
        kind = sealed.kind(root / name, root) if name else ""
    except (OutputError, FileNotFoundError):
        return
    assert kind in ("", "folder")


GALAXY = """<tool id="t" name="T" version="1" profile="23.0"><command>{command}</command>
<inputs/><outputs>{outputs}</outputs></tool>"""
SAFE = "echo f > f; echo f > '{out}' || true"


@pytest.mark.parametrize(
    ("command", "outputs"),
    [
        ("echo f > f", '<data name="../../x" format="txt" from_work_dir="f"/>'),
        ("echo f > f", '<data name="/tmp/ntr-x" format="txt" from_work_dir="f"/>'),
        ("echo f > f", '<data name="a/../../../x" format="txt" from_work_dir="f"/>'),
        ("echo f > f", '<data name="x" format="../../y" from_work_dir="f"/>'),
        ("echo f > f", '<data name="x" format="txt" from_work_dir="../../record.json"/>'),
        ("ln -s ../.. d", '<data name="x" format="txt" from_work_dir="d/record.json"/>'),
        ("ln -s / d", '<data name="x" format="txt" from_work_dir="d/**/passwd"/>'),
        ("ln -s /etc d", '<data name="x" format="txt" from_work_dir="d/pass*"/>'),
        (
            "mkdir d; echo f > d/f",
            ('<collection name="../../x" type="list"><discover_datasets pattern="__name__" '
            'directory="d" format="txt"/></collection>'),
        ),
        (
            "ln -s /etc d",
            ('<collection name="x" type="list"><discover_datasets '
            'pattern="(?P&lt;name&gt;passwd)" directory="d" format="txt"/></collection>'),
        ),
        (
            "true",
            ('<collection name="x" type="list"><discover_datasets '
            'pattern="(?P&lt;name&gt;.*json)" directory="../.." format="txt"/></collection>'),
        ),
        (
            "ln -s / e; true",
            ('<collection name="x" type="list"><discover_datasets recurse="true" '
            'pattern="(?P&lt;name&gt;passwd)" directory="." format="txt"/></collection>'),
        ),
        *(
            (
                (f"""echo '{{"x": {{"elements": [{{"name": "{name}", """
                f""""filename": "{place}"}}]}}}}' > galaxy.json; echo f > f; ln -s /etc e"""),
                ('<collection name="x" type="list">'
                '<discover_datasets from_provided_metadata="true"/></collection>'),
            )
            for name, place in (
                ("a", "/etc/passwd"),
                ("a", "../../../record.json"),
                ("a", "e/passwd"),
                ("../../../x", "f"),
            )
        ),
        (
            ("""echo '{"x": {"name": "/etc/cron.d/x", "ext": "../../../x"}}' > galaxy.json; """
            "echo f > f"),
            '<data name="x" format="txt" from_work_dir="f"/>',
        ),
        (
            ("""echo '{"x": {"datasets": [{"filename": "f", "extra_files": "../../.."}]}}' """
            "> galaxy.json; echo f > f"),
            ('<data name="x" format="txt" from_work_dir="f"><discover_datasets '
            'pattern="(?P&lt;name&gt;f)" format="txt"/></data>'),
        ),
        ("ln -s /etc/passwd galaxy.json", '<data name="x" format="txt" from_work_dir="f"/>'),
        ("mkfifo galaxy.json", '<data name="x" format="txt" from_work_dir="f"/>'),
        ("rm -r ../outputs; ln -s /tmp ../outputs; echo f > f",
         '<data name="x" format="txt" from_work_dir="f"/>'),
        ("ln -s /etc ../outputs/x_files", '<data name="x" format="txt"/>'),
    ],
)  # fmt: skip
@pytest.mark.timeout(60)
def test_galaxy_outputs_stay_in_the_job(
    command: str, outputs: str, tmp_path: Path, config: dict[str, object]
) -> None:
    path = tmp_path / "tool" / "t.xml"
    path.parent.mkdir()
    path.write_text(GALAXY.format(command=f"<![CDATA[{command}]]>", outputs=outputs))
    before = snapshot(tmp_path)
    try:
        result = ntr.run(read_tool(path), config=config, runner="LOCAL")
    except ToolRunnerError as error:
        said = str(error)
        assert "root:" not in said
    else:
        for output in result.outputs.values():
            for part in output.files().values():
                assert part.path.resolve().is_relative_to(result.workspace / "io")
                if part.path.is_file():
                    assert part.path.read_text() == "f\n"
        target = tmp_path / "there" / "deeper"
        for place in deliver(result, target).values():
            assert place.resolve().is_relative_to(target)
        for extra in (tmp_path / "there").iterdir():
            assert extra == target
    until_kept()
    changed = {p for p in snapshot(tmp_path) ^ before if (tmp_path / "jobs") not in p.parents}
    assert {p for p in changed if (tmp_path / "there") not in (p, *p.parents)} <= {
        tmp_path / "jobs"
    }
    assert not Path("/tmp/ntr-x").exists()
    assert not Path("/tmp/ntr-x.txt").exists()
    # nothing beside record, logs and io
    for job in (tmp_path / "jobs").glob("[!.]*/*"):
        names = {"io", "record.json", "log.txt", "stdout.txt", "stderr.txt"}
        assert {entry.name for entry in job.iterdir()} <= names


def snapshot(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


# -- whole jobs -----------------------------------------------------------------------------

SLICES = {
    "script_in_a_link": """
        (io / "pieces" / "00001").mkdir(exist_ok=True)
        link(io / "pieces" / "00001" / "work", victim)
    """,
    "next_slice_is_a_link": 'link(io / "pieces" / "00001", victim)',
    "inputs_are_a_link": """
        (io / "pieces" / "00001").mkdir(exist_ok=True)
        link(io / "pieces" / "00001" / "inputs", victim)
    """,
    "merged_output_is_a_link": 'link(io / "outputs" / "o.tif", victim / "merged.tif")',
    "scratch_is_a_link": """
        shutil.rmtree(io / "pieces" / "00000" / "tmp", ignore_errors=True)
        link(io / "pieces" / "00000" / "tmp", victim)
    """,
}


@pytest.mark.parametrize("attack", SLICES)
def test_slices_write_nothing_through_links(
    attack: str, make_tool: MakeTool, config: dict[str, object], tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "kept").write_text(SECRET)
    body = "\n        ".join(line.strip() for line in SLICES[attack].strip().splitlines())
    script = f"""
        import os, shutil, sys, tifffile
        from pathlib import Path
        def link(place, target):
            if place.is_dir() and not place.is_symlink(): shutil.rmtree(place)
            place.parent.mkdir(parents=True, exist_ok=True)
            if not place.is_symlink(): os.symlink(target, place)
        victim = Path({str(victim)!r})
        io = Path(sys.argv[2]).parents[3]
        {body}
        tifffile.imwrite(sys.argv[2], tifffile.imread(sys.argv[1]) + 1)
    """
    image = np.arange(48, dtype=np.uint8).reshape(3, 4, 4)
    job = JobManager().submit(
        make_tool(script), {"i": image}, config=config, extent=Extent("each")
    )
    with contextlib.suppress(ToolFailedError, OutputError):
        assert len(job.result().outputs) == 1
    assert job.run.rendered is not None
    assert [path.name for path in victim.rglob("*")] == ["kept"]
    assert (victim / "kept").read_text() == SECRET


def test_a_job_full_of_traps_is_cleaned(
    make_tool: MakeTool, config: dict[str, object], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    from napari_tool_runner.config import load_config

    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "kept").write_text(SECRET)
    script = f"""
        import os, sys
        from pathlib import Path
        here = Path.cwd()
        os.symlink({str(victim)!r}, here / "a")
        os.mkfifo(here / "b")
        os.chdir(here)
        for _ in range(1500):
            os.mkdir("d"); os.chdir("d")
        Path(sys.argv[2]).write_bytes(Path(sys.argv[1]).read_bytes())
    """
    image = np.zeros((4, 4), np.uint8)
    request.addfinalizer(lambda: subprocess.run(["rm", "-rf", tmp_path / "jobs"], check=False))
    result = ntr.run(make_tool(script), i=image, config=config)
    items = [item for item in reclaimable(load_config(config)) if item.kind == "job"]
    assert items
    assert reclaim(items) == []
    assert not result.workspace.exists()
    assert (victim / "kept").read_text() == SECRET


def test_outputs_named_by_strangers_are_delivered_in_their_folder(
    make_tool: MakeTool, config: dict[str, object], tmp_path: Path
) -> None:
    copy = "import shutil, sys; [shutil.copy(sys.argv[1], p) for p in sys.argv[2:]]"
    names = ["../x", "/abs", "a/../../b", "CON", "same", "SAME"]
    outputs = "".join(f'<data name="{n}" format="imagetiff"/>' for n in names)
    places = " ".join(f"${{{n}}}" for n in names)
    tool = make_tool(copy, outputs=outputs, arguments=f"${{i}} {places}")
    path = tmp_path / "i.tif"
    tifffile.imwrite(path, np.zeros((4, 4), np.uint8))
    try:
        result = ntr.run(tool, i=path, config=config)
    except ToolRunnerError:
        pytest.skip("the language refuses such names before")
    target = tmp_path / "there" / "deeper"
    placed = deliver(result, target)
    assert len({str(p).casefold() for p in placed.values()}) == len(placed) == len(names)
    assert all(place.parent == target for place in placed.values())


LEADING_OUT = {
    "a link": ("os.symlink(victim, out)", "leads out"),
    "a pipe": ("os.mkfifo(out)", "a pipe"),
    "a folder of a link": ("out.mkdir(); os.symlink(victim, out / 'x')", "leads out"),
    "a folder of a pipe": ("out.mkdir(); os.mkfifo(out / 'x')", "a pipe"),
    "outputs is a link": (
        "shutil.rmtree(out.parent); os.symlink(victim.parent, out.parent)",
        "leads out|did not write",
    ),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("attack", LEADING_OUT)
@pytest.mark.parametrize("fmt", ["imagetiff", "imagezarr", "txt"])
def test_a_job_whose_result_leads_out_fails_with_a_sentence(
    attack: str, fmt: str, make_tool: MakeTool, config: dict[str, object], tmp_path: Path
) -> None:
    victim = tmp_path / "theirs" / "key"
    victim.parent.mkdir()
    victim.write_text(SECRET)
    deed, said = LEADING_OUT[attack]
    script = f"""
        import os, shutil, sys
        from pathlib import Path
        out, victim = Path(sys.argv[1]), Path({str(victim)!r})
        {deed}
    """
    tool = make_tool(
        script, inputs="", outputs=f'<data name="o" format="{fmt}"/>', arguments="${o}"
    )
    with pytest.raises(ToolFailedError, match=said) as failed:
        ntr.run(tool, config=config)
    assert SECRET not in str(failed.value)
    assert victim.read_text() == SECRET


# -- too much, and nobody wants it any more -------------------------------------------------


def _many(folder: Path, count: int) -> None:
    folder.mkdir(exist_ok=True)
    for number in range(count):
        (folder / f"f{number}").touch()


@pytest.mark.parametrize("work", ["walk", "listed", "found", "hash", "copy", "remove"])
def test_what_nobody_wants_any_more_ends_soon(
    work: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_tool_runner.sealed.opening._PAUSE", 0)
    io = tmp_path / "io"
    _many(io, 10)
    _many(io / "d", 3000)
    with (io / "large").open("wb") as file:
        file.truncate(2**32)
    calls: list[int] = []

    def stop() -> None:
        calls.append(1)
        if len(calls) > 4:
            raise JobCancelledError("enough")

    act: dict[str, Callable[[], object]] = {
        "walk": lambda: [sealed.open_file(path, io).close() for path in sealed.walk(io, io)],
        "listed": lambda: [sealed.listed(io / "d", io) for _ in range(5)],
        "found": lambda: sealed.found(io, "**/**/f*", io),
        "hash": lambda: sealed.content_sha256(io / "large", io),
        "copy": lambda: sealed.copy(io / "d", tmp_path / "copy", io),
        "remove": lambda: [sealed.remove(io / "d" / f"f{number}", io) for number in range(9)],
    }
    with sealed.listening(stop), pytest.raises(JobCancelledError):
        act[work]()
    assert len(calls) == 5
    sealed.remove(io / "d", io)  # nobody listens here
    assert not (io / "d").exists()


def test_a_folder_of_more_files_than_are_taken_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_tool_runner.sealed import opening

    monkeypatch.setattr(opening, "MAX_ENTRIES", 5)
    _many(tmp_path / "a", 20)
    _many(tmp_path / "a" / "b", 20)
    (tmp_path / "a" / "b" / "c" / "d").mkdir(parents=True)
    with pytest.raises(OutputError, match="more than 5 files"):
        list(sealed.walk(tmp_path / "a", tmp_path))
    sealed.remove(tmp_path / "a", tmp_path)
    assert not any(tmp_path.iterdir())


@pytest.mark.skipif(not hasattr(os, "SEEK_DATA"), reason="holes are not told here")
def test_a_file_of_holes_is_copied_as_one(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(2**37)
        file.seek(2**36)
        file.write(b"here")
    sealed.copy(tmp_path / "large", tmp_path / "copy", tmp_path)
    facts = os.stat(tmp_path / "copy")
    assert facts.st_size == 2**37
    assert facts.st_blocks < 10_000
    with (tmp_path / "copy").open("rb") as file:
        file.seek(2**36 - 1)
        assert file.read(6) == b"\0here\0"


# -- names that we read ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["x", "-", "a-b-c-d", "host-9-zz-1", "host-999999999999-ab-1", "...---", "h-٣-ab-cd"]
)
def test_a_stray_name_among_the_slots_is_left_alone(name: str, tmp_path: Path) -> None:
    from napari_tool_runner.plugins import recover

    (tmp_path / ".slots" / name).mkdir(parents=True)
    (tmp_path / ".slots" / f"{name}.txt").touch()
    recover(tmp_path)
    assert (tmp_path / ".slots" / name).is_dir()


@pytest.mark.skipif(os.name != "posix", reason="slots are of containers")
@pytest.mark.parametrize("what", ["link", "pipe", "nothing"])
def test_a_killed_job_whose_program_moved_its_folder_keeps_no_link(
    what: str, tmp_path: Path
) -> None:
    """The folder itself is lost, as when the job ends; the others are put back."""
    from napari_tool_runner.plugins import recover
    from napari_tool_runner.plugins.docker.slot import _host

    root = tmp_path / ".slots" / f"{_host()}-1-abcd-ef"
    for job in ("20240101-000000-abcdef", "20240102-000000-abcdef"):
        (tmp_path / "tool" / job).mkdir(parents=True)
    bad = tmp_path / "tool" / "20240101-000000-abcdef" / "io"
    place = root / "job" / "io"
    (root / "links" / bad.parent.name).mkdir(parents=True)
    (root / "links" / bad.parent.name / "io").symlink_to(place)
    (root / "job").mkdir()
    bad.symlink_to(place)
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "key").write_text("key")
    if what == "link":
        place.symlink_to(tmp_path / "private")
    elif what == "pipe":
        os.mkfifo(place)
    recover(tmp_path)
    assert not root.exists()
    assert bad.is_dir()
    assert not bad.is_symlink()
    assert not any(bad.iterdir())
    assert (tmp_path / "private" / "key").read_text() == "key"


@pytest.mark.skipif(os.name != "posix", reason="slots are of containers")
def test_a_slot_that_was_being_deleted_keeps_no_other(tmp_path: Path) -> None:
    from napari_tool_runner.plugins import recover
    from napari_tool_runner.plugins.docker.slot import _host

    for number in range(3):
        (tmp_path / ".slots" / f"{_host()}-1-abcd-e{number}" / "job").mkdir(parents=True)
    (tmp_path / ".slots" / f"{_host()}-1-abcd-e2" / "links").mkdir()
    recover(tmp_path)
    assert not any((tmp_path / ".slots").iterdir())


@pytest.mark.parametrize(
    "name", ["00010101-000000-abcdef", "99991231-235959-abcdef", "٢٠٢٤0101-000000-abcdef", "x"]
)
def test_a_stray_name_among_the_jobs_hides_none(name: str, tmp_path: Path) -> None:
    from napari_tool_runner.jobs.past.history import ended_jobs, history

    (tmp_path / "tool" / name).mkdir(parents=True)
    (tmp_path / "tool" / "20240101-000000-abcdef").mkdir(parents=True)
    assert "20240101-000000-abcdef" in [one.id for one in history(tmp_path)]
    assert ended_jobs(tmp_path)


def test_a_file_of_holes_is_not_read_for_hours(io: Path, tmp_path: Path) -> None:
    out = io / "outputs" / "holes.txt"
    with out.open("wb") as file:
        try:
            file.truncate(2**42)
        except OSError:
            pytest.skip("this disk takes no such file")
    for use in (
        lambda: content_sha256(out, io.parent),
        lambda: sealed.copy(out, tmp_path / "copy", io.parent),
        lambda: sealed.open_file(out, io.parent).read(1),
    ):
        with pytest.raises(OutputError, match=r"says that it has 4.* holes"):
            use()
    assert not (tmp_path / "copy").exists() or not (tmp_path / "copy").stat().st_size


def test_clean_deletes_nothing_through_a_link(
    make_tool: MakeTool, config: dict[str, object], tmp_path: Path
) -> None:
    script = "import sys; open(sys.argv[1], 'w').write('x')"
    options = {"inputs": "", "outputs": '<data name="o" format="txt"/>', "arguments": "${o}"}
    done = ntr.run(make_tool(script, **options), config=config)
    elsewhere = done.workspace.parent.rename(tmp_path / "elsewhere")
    (tmp_path / "jobs" / "linked").symlink_to(elsewhere)
    items = [item for item in reclaimable(load_config(config)) if item.kind == "job"]
    assert reclaim(items) == []
    assert (elsewhere / done.workspace.name / "record.json").exists()
