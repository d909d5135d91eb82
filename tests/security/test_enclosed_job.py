"""A program sees its own ``io`` folder and its inputs, and nothing else can be changed by it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

import napari_tool_runner as ntr
from napari_tool_runner.config import load_config
from napari_tool_runner.jobs import reclaim, reclaimable
from napari_tool_runner.jobs.past.history import ended_jobs, history
from napari_tool_runner.jobs.past.scan import Scan

if TYPE_CHECKING:
    from jobs.conftest import MakeTool

NO_DATA: dict[str, str] = {
    "inputs": "",
    "outputs": '<data name="o" format="txt"/>',
    "arguments": "${o}",
}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An original of the user's."""
    path = tmp_path / "mine" / "raw.tif"
    path.parent.mkdir()
    tifffile.imwrite(path, np.arange(64, dtype=np.uint8).reshape(8, 8))
    return path


def modes(folder: Path) -> set[int]:
    """The permissions of a folder and of what lies directly in it."""
    return {stat.S_IMODE(one.stat().st_mode) for one in (folder, *folder.iterdir())}


def test_a_job_is_private(make_tool: MakeTool, config: dict[str, object]) -> None:
    previous = os.umask(0o022)
    try:
        script = "import sys; print('said'); open(sys.argv[1], 'w').write('x')"
        done = ntr.run(make_tool(script, **NO_DATA), config=config)
    finally:
        os.umask(previous)
    assert modes(done.workspace) <= {0o700, 0o600}
    tool = done.workspace.parent
    assert {stat.S_IMODE(one.stat().st_mode) for one in (tool, tool.parent)} == {0o700}
    assert {one.name for one in done.workspace.iterdir()} >= {"io", "record.json", "log.txt"}


def test_the_workspace_of_a_group_stays_open(
    make_tool: MakeTool, config: dict[str, object], tmp_path: Path
) -> None:
    shared = tmp_path / "jobs"
    shared.mkdir()
    shared.chmod(0o775)
    done = ntr.run(make_tool("import sys; open(sys.argv[1], 'w')", **NO_DATA), config=config)
    assert stat.S_IMODE(shared.stat().st_mode) == 0o775
    assert stat.S_IMODE(done.workspace.parent.stat().st_mode) & 0o055 == 0o055
    assert stat.S_IMODE(done.workspace.stat().st_mode) == 0o700


def test_what_a_program_leaves_beside_its_folder_is_not_written_through(
    make_tool: MakeTool, config: dict[str, object], tmp_path: Path
) -> None:
    victim = tmp_path / "victim.txt"
    victim.write_text("mine")
    script = f"""
        import os, sys
        for name in ("stdout.txt", "stderr.txt", "log.txt", "record.json"):
            os.symlink({str(victim)!r}, os.path.join("..", name))
        print("echo owned")
        open(sys.argv[1], "w").write("x")
    """
    done = ntr.run(make_tool(script, **NO_DATA), config=config)
    assert victim.read_text() == "mine"
    assert "owned" in (done.workspace / "stdout.txt").read_text()
    assert not (done.workspace / "stdout.txt").is_symlink()


KILLED = """
import os, sys
from napari_tool_runner.jobs.{module} import {owner}
def die(*_, **__): os._exit(9)
{owner}.{method} = die
import napari_tool_runner as ntr
ntr.run(sys.argv[1], config={{"workspace": sys.argv[2]}})
"""


@pytest.mark.parametrize(
    ("module", "owner", "method"),
    [("job", "Job", "write_record"), ("workspace", "Workspace", "create")],
)
def test_a_folder_of_an_early_kill_is_listed_and_cleaned(
    make_tool: MakeTool,
    config: dict[str, object],
    tmp_path: Path,
    module: str,
    owner: str,
    method: str,
) -> None:
    tool = make_tool("", **NO_DATA)
    code = KILLED.format(module=module, owner=owner, method=method)
    words = [sys.executable, "-c", textwrap.dedent(code), str(tool.path), str(config["workspace"])]
    assert subprocess.run(words, check=False, cwd=tmp_path).returncode == 9
    (folder,) = (tmp_path / "jobs").glob("*/*")
    (found,) = history(tmp_path / "jobs")
    assert (found.state, found.folder, found.tool.id) == ("interrupted", folder, "invert")
    scan = Scan(tmp_path / "jobs", {})
    scan.run()
    assert [row.id for _, _, row in scan.batch(9)] == [folder.name]
    if not found.path.exists():  # it might begin just now
        assert ended_jobs(tmp_path / "jobs") == []
        earlier = time.strftime("%Y%m%d-%H%M%S", time.localtime(time.time() - 120))
        folder.rename(folder.with_name(earlier + folder.name[15:]))
    items = [one for one in reclaimable(load_config(config)) if one.kind == "job"]
    assert reclaim(items) == []
    assert history(tmp_path / "jobs") == []


def test_jobs_of_the_former_layout_are_read(
    make_tool: MakeTool, config: dict[str, object], image: Path
) -> None:
    script = """
        import sys, tifffile
        tifffile.imwrite(sys.argv[2], tifffile.imread(sys.argv[1]))
    """
    done = ntr.run(make_tool(script), i=image, config=config)
    record = done.workspace / "record.json"
    for name in ("inputs", "outputs"):
        shutil.move(done.workspace / "io" / name, done.workspace / name)
    record.write_text(record.read_text().replace('"io/', '"'))
    (found,) = history(done.workspace.parent.parent)
    assert all(one.locate() for one in (*found.inputs, *found.outputs))
