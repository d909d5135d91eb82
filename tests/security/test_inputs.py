"""Originals stay as they are, are not copied when they are large, and have room beside them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

import napari_tool_runner as ntr
from napari_tool_runner import sealed
from napari_tool_runner.config import load_config
from napari_tool_runner.errors import ToolFailedError
from napari_tool_runner.exchange import files
from napari_tool_runner.jobs import delete_job, read_record, rerun, run_job
from napari_tool_runner.plugins.programs.enclosure import enclosure_problem
from napari_tool_runner.sealed import usage

if TYPE_CHECKING:
    from jobs.conftest import MakeTool

pytestmark = pytest.mark.skipif(bool(enclosure_problem()), reason="no bubblewrap here")

LARGE = (5000, 5000)  # 25 MB
ATTACKS = {
    "memory map": "import tifffile; tifffile.memmap(i, mode='r+')[:] = 7",
    "open r+": "open(i, 'r+b').write(b'x' * 99)",
    "append": "open(i, 'ab').write(b'x')",
    "truncate": "os.truncate(i, 0)",
    "unlink": "os.unlink(i); open(i, 'w').write('x')",
    "rename over": "open(i + '.new', 'w').write('x'); os.replace(i + '.new', i)",
    "rename away": "os.rename(i, i + '.old'); open(i, 'w').write('x')",
    "chmod": "os.chmod(i, 0o777)",
    "times": "os.utime(i, (0, 0))",
    "attributes": "os.setxattr(i, 'user.x', b'x')",
    "hard link": "os.link(os.path.realpath(i), 'mine'); open('mine', 'r+b').write(b'x')",
    "hard link of it": "os.link(i, 'm', follow_symlinks=False); open('m', 'r+b').write(b'x')",
    "replaced by a link": "os.unlink(i); os.symlink('/etc/passwd', i)",
    "its target": "t = os.path.realpath(i); os.truncate(t, 0)",
    "its target's folder": "t = os.path.realpath(i); open(t + '.new', 'w').write('x')",
    "through /proc": "open('/proc/self/root' + os.path.realpath(i), 'r+b').write(b'x')",
    "through a descriptor": "d = os.open(i, 0); open(f'/proc/self/fd/{d}', 'r+b').write(b'x')",
    "fallocate": "os.posix_fallocate(os.open(i, os.O_RDWR), 0, 1 << 26)",
    "the folder replaced": "d = os.path.dirname(i); os.rename(d, d + '2'); os.symlink('/etc', d)",
    "a shell": "subprocess.run(['sh', '-c', ': > \"$1\"', 'sh', i], check=True)",
}


def attack_script() -> str:
    """Return a program that tries them all on its input, and writes beside it."""
    tried = "".join(
        f"try:\n    {text}\nexcept Exception as error: print({name!r}, error)\nrestore()\n"
        for name, text in ATTACKS.items()
    )
    return f"""
import os, shutil, subprocess, sys
i = sys.argv[1]
link = os.path.islink(i) and os.readlink(i)
def restore():
    if os.path.isdir(os.path.dirname(i) + "2"):
        os.unlink(os.path.dirname(i)); os.rename(os.path.dirname(i) + "2", os.path.dirname(i))
    if link and not os.path.islink(i):
        os.unlink(i); os.symlink(link, i)
{tried}
open(i + ".fai", "w").write("beside")
open(sys.argv[2], "w").write(open(i + ".fai").read())
"""


@pytest.fixture
def raw(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / "mine" / "raw.tif"
    path.parent.mkdir()
    tifffile.imwrite(path, np.ones(request.param, np.uint8), photometric="minisblack")
    return path


@pytest.mark.parametrize("raw", [(8, 8), LARGE], indirect=True, ids=["small", "large"])
def test_an_original_stays_as_it_is(
    make_tool: MakeTool, config: dict[str, object], raw: Path
) -> None:
    before, facts = raw.read_bytes(), raw.stat()
    outputs = '<data name="o" format="txt"/>'
    done = ntr.run(make_tool(attack_script(), outputs=outputs), i=raw, config=config)
    after = raw.stat()
    assert raw.read_bytes() == before
    assert (after.st_mode, after.st_mtime_ns, after.st_nlink, after.st_ino) == (
        facts.st_mode, facts.st_mtime_ns, 1, facts.st_ino,
    )  # fmt: skip
    assert [one.name for one in raw.parent.iterdir()] == ["raw.tif"]
    assert done.outputs["o"].path.read_text() == "beside"


def test_what_two_jobs_share_neither_can_change(
    make_tool: MakeTool, config: dict[str, object]
) -> None:
    array = np.ones(LARGE, np.uint8)
    tool = make_tool(attack_script(), outputs='<data name="o" format="txt"/>')
    done = [ntr.run(tool, i=array, config=config, cache=False) for _ in range(2)]
    first, second = (one.workspace / "inputs" / "i.tif" for one in done)
    assert first.samefile(second)
    facts = first.stat()
    assert (facts.st_mode & 0o777, facts.st_nlink) == (0o444, 2)
    np.testing.assert_array_equal(tifffile.imread(first), array)
    for one in done:
        assert one.outputs["o"].path.read_text() == "beside"
        assert one.record["inputs"][0]["path"] == "inputs/i.tif"
        assert one.record["inputs"][0]["sha256"] == sealed.content_sha256(first)
    delete_job(read_record(done[0].workspace / "record.json"))
    assert second.stat().st_nlink == 1
    assert repeated(done[1], config) == b"beside"


@pytest.mark.parametrize("raw", [(8, 8), LARGE], indirect=True, ids=["small", "large"])
def test_side_files_may_be_written_beside_an_input(
    make_tool: MakeTool, config: dict[str, object], raw: Path
) -> None:
    script = """
    import os, sys
    i = sys.argv[1]
    for name in (i + ".ome.xml", i + ".fai", os.path.dirname(i) + "/.memo.bfmemo"):
        with open(name, "w") as file:
            file.write("beside")
    os.makedirs(i + ".cache")
    with open(i, "rb") as file, open(sys.argv[2], "w") as out:
        out.write(str(len(file.read())))
    """
    outputs = '<data name="o" format="txt"/>'
    done = ntr.run(make_tool(script, outputs=outputs), i=raw, config=config)
    assert done.outputs["o"].path.read_text() == str(raw.stat().st_size)
    assert set(done.outputs) == {"o"}
    assert [one.name for one in raw.parent.iterdir()] == ["raw.tif"]
    assert repeated(done, config) == str(raw.stat().st_size).encode()


@pytest.mark.parametrize("raw", [(8, 8)], indirect=True)
def test_an_input_that_became_a_link_is_no_input_any_more(
    make_tool: MakeTool, config: dict[str, object], raw: Path, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_text("secret")
    script = f"""
    import os, sys
    said = open(sys.argv[1], "rb").read()
    os.unlink(sys.argv[1])
    os.symlink({str(key)!r}, sys.argv[1])
    open(sys.argv[2], "wb").write(said)
    """
    outputs = '<data name="o" format="txt"/>'
    done = ntr.run(make_tool(script, outputs=outputs), i=raw, config=config)
    assert repeated(done, config) == raw.read_bytes()


def repeated(done: ntr.JobResult, config: dict[str, object]) -> bytes:
    """What the tool makes of what the record calls its input."""
    record = read_record(done.workspace / "record.json")
    job, _ = rerun(record, load_config(config), tool=record.tool.descriptor)
    return run_job(job).outputs["o"].path.read_bytes()


def large_zarr(folder: Path) -> Path:
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(folder, mode="w", zarr_format=2)
    data = np.random.default_rng(0).integers(0, 255, (24, 1000, 1000), np.uint8)
    group.create_array("0", data=data, chunks=(1, 1000, 1000), compressors=None)
    axes = [{"name": one, "type": "space"} for one in "zyx"]
    scale = [{"type": "scale", "scale": [1, 1, 1]}]
    sets = [{"path": "0", "coordinateTransformations": scale}]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": sets}]
    return folder


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("service", ["LOCAL", "CONDA"])
def test_what_is_large_is_not_copied(
    make_tool: MakeTool, config: dict[str, object], tmp_path: Path, service: str, kind: str
) -> None:
    given = tmp_path / "mine" / ("raw.tif" if kind == "file" else "raw.ome.zarr")
    given.parent.mkdir()
    if kind == "file":
        tifffile.imwrite(given, np.ones(LARGE, np.uint8))
    else:
        large_zarr(given)
    script = """
    import os, sys
    size = 0
    for path in sys.argv[1:2]:
        names = [path] if os.path.isfile(path) else [
            os.path.join(folder, one) for folder, _, all in os.walk(path) for one in all]
        size += sum(len(open(one, "rb").read()) for one in names)
    open(sys.argv[2], "w").write(str(size))
    """
    format_ = "imagetiff" if kind == "file" else "ome.zarr"
    requirements = ""
    config["runner"] = {"service": service}
    if service == "CONDA":  # an environment that is there already
        prefix = tmp_path / "conda" / "envs" / "there"
        (prefix / "conda-meta").mkdir(parents=True)
        (prefix / "bin").mkdir()
        (prefix / "bin" / "python").symlink_to("/usr/bin/python3")
        requirements = '<package env="there">python=3</package>'
        config["runner"] = {"service": "CONDA", "conda_dir": str(tmp_path / "conda")}
    tool = make_tool(
        script,
        inputs=f'<param name="i" type="data" format="{format_}"/>',
        outputs='<data name="o" format="txt"/>',
        requirements=requirements,
    )
    written = 0
    for result in (ntr.run(tool, i=given, config=config), ntr.run(tool, i=given, config=config)):
        assert int(result.outputs["o"].path.read_text()) == usage(given).content > 16 * 2**20
        written += blocks(result.workspace)
    assert written < 2**20, "bytes that the jobs wrote"


CAT = """
import os, sys
with open(sys.argv[2], "w") as out:
    for at, _, names in os.walk(sys.argv[1]):
        out.writelines(open(os.path.join(at, one), errors="replace").read() for one in names)
"""


@pytest.mark.parametrize("large", [True, False])
@pytest.mark.parametrize(
    ("name", "leads", "words"),
    [
        ("leak", "../secret.txt", r"the link leak in it leads out of .*, to .*secret\.txt"),
        ("0/leak", "/proc/self/environ", "the link 0/leak in it leads out"),
        ("0/leak", "../../mine", "the link 0/leak in it leads out"),
        ("0/again", ".", "the link 0/again in it leads to a folder with such links in it"),
        ("more", "0/back", "the link (more|0/back) in it leads to a folder with such links in it"),
        ("more", "0", ""),
        ("more", "0/plain", ""),
    ],
)
def test_a_link_inside_a_folder_leads_nowhere_else(
    make_tool: MakeTool, config: dict[str, object], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, name: str, leads: str, words: str, large: bool,
) -> None:  # fmt: skip
    """Of a Zarr that was downloaded, whoever packed it chose the links."""
    given = tmp_path / "image.zarr"
    (given / "0").mkdir(parents=True)
    (given / ".zgroup").write_text('{"zarr_format": 2}')
    (given / "0" / "plain").write_text("plain")
    (tmp_path / "mine").mkdir()
    (tmp_path / "secret.txt").write_text("TOPSECRET")
    (given / name).symlink_to(leads)
    if leads == "0/back":
        (given / "0" / "back").symlink_to("..")
    if large:
        monkeypatch.setattr(files, "OWN", 1)
    tool = make_tool(
        CAT,
        inputs='<param name="i" type="data" format="zarr"/>',
        outputs='<data name="o" format="txt"/>',
    )
    if words:
        with pytest.raises(ToolFailedError, match=words) as refused:
            ntr.run(tool, i=given, config=config)
        assert ("cp -rL" in refused.value.hint) is ("out" in words)
        return
    result = ntr.run(tool, i=given, config=config)
    assert result.outputs["o"].path.read_text().count("plain") == 2, "a copy, not a link"


def test_a_link_that_leads_to_the_folder_may_be_given(tmp_path: Path) -> None:
    """What the user names is the user's: only what lies in it is somebody else's."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "one").write_text("1")
    (tmp_path / "disk" / "two").symlink_to(tmp_path / "disk" / "one")
    (tmp_path / "mine").symlink_to(tmp_path / "disk")
    files.place_file(tmp_path / "mine", tmp_path / "placed")
    assert (tmp_path / "placed" / "two").read_text() == "1"


def test_a_million_chunks_are_not_asked_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(600):
        (tmp_path / "many.zarr" / f"{number % 3}").mkdir(parents=True, exist_ok=True)
        (tmp_path / "many.zarr" / f"{number % 3}" / f"{number}").touch()
    asked: list[object] = []
    real = os.path.realpath
    monkeypatch.setattr(os.path, "realpath", lambda *a, **k: asked.append(a) or real(*a, **k))
    files.place_file(tmp_path / "many.zarr", tmp_path / "placed", lend=True)
    assert (tmp_path / "placed").is_symlink()
    assert len(asked) < 5

    class Stopped(Exception):
        pass

    def stop() -> None:
        raise Stopped

    with sealed.listening(stop):
        time.sleep(0.03)
        with pytest.raises(Stopped):
            files.place_file(tmp_path / "many.zarr", tmp_path / "again", lend=True)


def blocks(folder: Path) -> int:
    """Bytes on the disk below a folder, links not followed."""
    found = [os.lstat(os.path.join(at, one)) for at, _, names in os.walk(folder) for one in names]
    return sum(one.st_blocks * 512 for one in found)
