"""No pattern of ours takes more than linear time: a stranger may write what it reads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("linear_patterns.py")


def tried(*patterns: str) -> list[str]:
    """Return what the search prints, in a process that can be ended while a pattern holds it."""
    done = subprocess.run(
        [sys.executable, SCRIPT, *patterns], capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout[-300:] + done.stderr
    return done.stdout.splitlines()


def test_all_expressions_take_linear_time() -> None:
    lines = tried()
    assert len(lines) > 200
    assert not [line for line in lines if line.startswith("SLOW")]


@pytest.mark.parametrize(
    "pattern",
    [
        r"\s+$", "x[^;]*y", r"a*b", r"<a[^>]*>", r"(?:a+)+b", "(?:ab|a|b)*c", ".*?x.*?y",
        r"(?:<\?.*?\?>\s*|<!--.*?-->\s*)*<macros",
    ],
)  # fmt: skip
def test_those_that_do_not_are_found(pattern: str) -> None:
    assert tried(pattern)[-1].startswith("SLOW")


@pytest.mark.parametrize("pattern", [r"\S+", r"(?<!\s)\s+$", "^a*b", "x[^;]{0,50}y", "[^/]+$"])
def test_those_that_do_are_not(pattern: str) -> None:
    assert tried(pattern) == ["given search"]
