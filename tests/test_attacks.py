"""The attack table says what the tests said."""

from __future__ import annotations

import pytest
from benchmarks.attacks import Table


def report(name: str, outcome: str, when: str = "call", why: object = None) -> pytest.TestReport:
    return pytest.TestReport(
        f"tests/security/test_gate.py::{name}",
        ("", 0, ""),
        {},
        outcome,  # type: ignore[arg-type]
        why,  # type: ignore[arg-type]
        when,  # type: ignore[arg-type]
    )


def test_what_got_in_is_not_hidden_by_what_held() -> None:
    table = Table()
    for one in (
        report("test_a_pipe[1]", "passed", "setup"),
        report("test_a_pipe[1]", "passed"),
        report("test_a_pipe[2]", "failed"),
        report("test_a_link", "passed"),
        report("test_a_link", "failed", "teardown"),
        report("test_a_device", "skipped", "setup", ("x.py", 1, "Skipped: root only")),
    ):
        table.pytest_runtest_logreport(one)
    rows = {line.strip().split("  ")[0]: line for line in table.text().splitlines()}
    assert rows["a pipe (2 ways)"].endswith("GOT IN, or the test broke; held")
    assert rows["a link"].endswith("GOT IN, or the test broke")
    assert rows["a device"].endswith("not tried here")
    assert "1 held, 2 got in or broke." in rows
    assert "1 not tried here: root only" in rows
