"""Each bundled tool writes the same bytes and lines, whether its program starts cold or warm."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import napari_tool_runner as ntr
from bundled import direct
from napari_tool_runner.jobs.api import run_job
from napari_tool_runner.jobs.manager import prepare
from napari_tool_runner.plugins.warm import pool
from plugins.runner_helpers import wait_until

if TYPE_CHECKING:
    from napari_tool_runner.tools.model import ToolTest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("warm"),
    pytest.mark.skipif(sys.platform != "linux", reason="programs start cold elsewhere"),
]


TOOLS = sorted(one for one in direct.TOOLS.glob("*/*.xml") if one.stem != "macros")
TOOLS = [one for one in TOOLS if not direct.needs_environment(one)]
_DRAWN = re.compile(rb"urn:uuid:[0-9a-f-]{36}")  # by tifffile, for each file


@pytest.mark.parametrize("path", TOOLS, ids=lambda path: path.stem)
def test_it_makes_the_same(path: Path) -> None:
    tool = ntr.read_tool(path)
    for test in tool.tests:
        if test.expect_failure:  # some of values that are refused
            continue
        cold, _ = _made(tool, test, warm=False)
        learning, _ = _made(tool, test, warm=True)
        made, was_warm = _made(tool, test, warm=True)
        assert made == learning == cold
        assert was_warm is True


def _made(tool: ntr.Tool, test: ToolTest, *, warm: bool) -> tuple[object, object]:
    """Return what a test of a tool gives, and whether its program started warm."""
    config = {"runner": {"service": "LOCAL", "warm": warm}}
    job = prepare(tool, test.values, config=config, cache=False)
    run_job(job)
    servers = list(pool._pool._servers.values())
    assert wait_until(lambda: not any(one.waited for one in servers), 60.0)
    files = {
        (name, element): _DRAWN.sub(b"", entry.path.read_bytes())
        for name, output in job.run.outputs.items()
        for element, entry in output.files().items()
    }
    texts = (
        job.log.text(one).replace(str(job.workspace.root), "") for one in ("stdout", "stderr")
    )
    return (job.run.exit_code, files, *texts), job.run.context.provenance.get("warm")
