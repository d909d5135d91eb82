from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_tool_runner.jobs.workspace import parse_notes, parse_progress


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


@pytest.mark.parametrize(
    ("said", "notes"),
    [
        ("note: the image has no pixel size", ("The image has no pixel size",)),
        ("a\nwarning: 3 pixels are left out\nnote: b", ("Warning: 3 pixels are left out", "B")),
        ("note: twice\nnote: twice\r\n", ("Twice",)),
        ("Note: of others\nx.c:1: warning: unused\nnote:\nnotes: no", ()),
        ("note: \x1b[31mred", ("\\x1b[31mred",)),
        ("note: " + "x" * 5000, ("X" + "x" * 292 + "…",)),
    ],
)
def test_what_a_program_wants_to_be_known(said: str, notes: tuple[str, ...]) -> None:
    assert parse_notes(said) == notes


def test_a_program_does_not_want_much_to_be_known() -> None:
    assert len(parse_notes("\n".join(f"note: {number}" for number in range(10**5)))) == 10
