"""A script, and so napari, ends within seconds, whatever a job of it does."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")

SCRIPT = """
import sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import numpy as np
import napari_tool_runner as ntr
from napari_tool_runner.jobs import JobState, execution, job, manager
from napari_tool_runner.tools import read_tool
manager.JobManager.shutdown.__defaults__ = (1.0,)
manager._LEFT_SECONDS = 1.0
manager._HANGS_SECONDS = 0.5
here = Path(sys.argv[1])
tool = read_tool(here / "tools" / "t.xml")
config = {"workspace": str(here / "jobs"), "process": {"xml_dirs": [str(here / "tools")]}}
begun = threading.Event()

def hang(*_, **__):
    begun.set()
    while True:
        time.sleep(1)

def pool(*_, **__):
    with ThreadPoolExecutor(1) as one:
        one.submit(hang).result()

STATE
made = [ntr.submit(tool, i=np.zeros((2, 2), np.uint8), config=config) for _ in range(COUNT)]
begun.wait(60)
print("ends")
"""


@pytest.mark.parametrize(
    ("state", "count"),
    [
        ("execution.Run.write_inputs = hang", 1),
        ("execution.Run.write_inputs = hang", 4),
        ("execution.Run.settle = hang", 1),
        ("execution.Run.program = hang", 1),
        ("execution.Run.collect = hang", 1),
        ("execution.Run.collect = pool", 1),
        ("job.Job.write_record = hang", 1),
        ("threading.Timer(4, begun.set).start()", 1),
    ],
)
def test_a_script_ends(state: str, count: int, tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    seconds = 1000 if "Timer" in state else 0
    program = f"import shutil, sys, time; time.sleep({seconds}); shutil.copy(*sys.argv[1:])"
    (tmp_path / "tools" / "t.py").write_text(program)
    (tmp_path / "tools" / "t.xml").write_text(
        '<tool id="t" name="T" version="1"><description>d</description><requirements/>'
        "<command>python '$__tool_directory__/t.py' ${i} ${o}</command>"
        '<inputs><param name="i" type="data" format="imagetiff" label="I"/></inputs>'
        '<outputs><data name="o" format="imagetiff" label="O"/></outputs></tool>'
    )
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT.replace("STATE", state).replace("COUNT", str(count))))
    with subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ends\n"
            process.wait(25)
        finally:
            process.kill()
