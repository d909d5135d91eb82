"""The attack table: what was tried against each mechanism, and what it got.

``python -m benchmarks.attacks [PYTEST ARGUMENTS]`` (or ``./dev attacks``) runs the tests of
``tests/security`` and prints a row for each: its file's first sentence is the mechanism, its
name what was tried. Nothing here is a list by hand. Exit 1 when something got in, and when
nothing was tried.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from pathlib import Path

import pytest

__all__ = ["Table"]

HERE = Path(__file__).resolve().parent.parent
ATTACKS = HERE / "tests" / "security"
GOT = {"failed": "GOT IN, or the test broke", "skipped": "not tried here", "passed": "held"}


class Table:
    """Gathers what became of each test (a plugin of pytest)."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, dict[str, str]]] = {}
        self.reasons: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take one part (set-up, call, tear-down) of a test; the worst of them counts."""
        if report.when != "call" and report.outcome == "passed":
            return
        path, _, name = report.nodeid.partition("::")
        tried = name.partition("[")[0].removeprefix("test_").replace("_", " ")
        ways = self.rows.setdefault(path, {}).setdefault(tried, {})
        if ways.get(name) != "failed":
            ways[name] = report.outcome
        if report.outcome == "skipped" and isinstance(report.longrepr, tuple):
            self.reasons[report.longrepr[2].removeprefix("Skipped: ")] += 1

    def text(self) -> str:
        """Return the table."""
        lines: list[str] = []
        outcomes: Counter[str] = Counter()
        for path, tests in sorted(self.rows.items()):
            doc = ast.get_docstring(ast.parse((HERE / path).read_text(encoding="utf-8"))) or path
            lines += ["", doc.splitlines()[0], f"  ({path})"]
            for tried, ways in tests.items():
                got = "; ".join(GOT[one] for one in GOT if one in ways.values())
                count = f" ({len(ways)} ways)" if len(ways) > 1 else ""
                lines.append(f"  {tried + count:76} {got}")
                outcomes += Counter(ways.values())
        lines += ["", f"{outcomes['passed']} held, {outcomes['failed']} got in or broke."]
        lines += [f"{count} not tried here: {why}" for why, count in self.reasons.items()]
        return "\n".join(lines)


def main() -> int:
    """Run them; the arguments go to pytest."""
    table = Table()
    status = pytest.main(["-q", "-p", "no:cacheprovider", str(ATTACKS), *sys.argv[1:]], [table])
    print(table.text())
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
