from __future__ import annotations

import subprocess
import sys

import pytest

import napari_tool_runner.tools as room


def test_every_public_name_is_there() -> None:
    for name in room.__all__:
        assert getattr(room, name) is not None
    assert dir(room) == sorted(room.__all__)
    with pytest.raises(AttributeError, match="no attribute 'cook'"):
        _ = room.cook


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import napari_tool_runner.tools", "dataclasses platformdirs"),
        ("from napari_tool_runner.cli import main", "email yaml lxml numpy"),
        ("from napari_tool_runner.tools import Tool, bind", "platformdirs defusedxml numpy"),
        (
            "from napari_tool_runner.tools import load_toolbox, find_tool, read_tool",
            "defusedxml yaml lxml galaxy numpy pandas skimage tifffile filelock",
        ),
    ],
)
def test_importing_stays_cheap(statement: str, absent: str) -> None:
    code = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert not loaded & set(absent.split())
