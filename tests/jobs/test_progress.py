from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_tool_runner.jobs.workspace import parse_progress


@pytest.mark.parametrize(
    ("line", "done", "total", "phase"),
    [
        ("37%", 37, 100, "Running"),
        ("progress: 12.5 %", 12.5, 100, "progress"),
        ("3/10", 3, 10, "Running"),
        ("[[1/5]] Loading the model", 1, 5, "Loading the model"),
        ("plane 3 of 10", 3, 10, "plane"),
        (" 45%|####      | 45/100 [00:01<00:02, 20it/s]", 45, 100, "Running"),
        ("Train:  50%|##   | 1/2 [00:01<?]", 50, 100, "Train"),
        ("<filter-progress>0.4</filter-progress>", 0.4, 1, "Running"),
    ],
)
def test_what_tools_print(line: str, done: float, total: float, phase: str) -> None:
    found = parse_progress(line)
    assert found is not None
    assert (found.done, found.total, found.phase) == (done, total, phase)


@pytest.mark.parametrize(
    "line", ["", "reading /data/3/10.tif", "120%", "11/10", "5/0", "version 1.2/3.4", "a" * 1000]
)
def test_what_is_no_progress(line: str) -> None:
    assert parse_progress(line) is None


@given(st.text())
def test_any_line_is_safe(line: str) -> None:
    found = parse_progress(line)
    assert found is None or (found.total is not None and 0 <= found.done <= found.total)
