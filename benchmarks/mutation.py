"""Change the guarding modules one place at a time: do their tests notice?

``python -m benchmarks.mutation [TARGET...]`` works in a clone of the tree: a place is changed on
disk, so that the reader's process meets the change too, and a forked child runs the quickest
tests that pass through its line; where none does, all tests of the target. Tests that take
far longer than most come last, and only a few of them.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

TESTS = {  # which tests guard the modules whose names begin so
    "quoting": ["test_quoting"],
    "plugins/policy": ["security/test_policy"],
    "tools/bioimageit/rendering": [f"tools/test_bioimageit_{x}" for x in ("render", "results")],
    "tools/galaxy/": [
        f"tools/galaxy/test_galaxy_{x}" for x in ("templates", "values", "semantics")
    ],
    "tools/toolbox/": [
        "tools/test_trust", "security/test_noticed", "security/test_gate", "security/test_policy"
    ],
    "sealed/": ["security/test_sealed", "security/test_noticed"],
}  # fmt: skip
PARTS = {
    "tools/galaxy/": "templates script render sanitize",
    "tools/toolbox/": "gate trust approved",
    "sealed/": "opening changing links hashing",
}
TARGETS = [f"{start}{part}" for start in TESTS for part in PARTS.get(start, "").split() or [""]]
WARM = ("hypothesis", "coverage", "zarr", "pandas", "tifffile", "docker", "galaxy.tool_util")
QUIET = ["-q", "-x", "-p", "no:cacheprovider", "-p", "pytest_timeout"]
PAIRS = [
    (ast.Eq, ast.NotEq),
    (ast.Lt, ast.LtE),
    (ast.Gt, ast.GtE),
    (ast.In, ast.NotIn),
    (ast.Is, ast.IsNot),
    (ast.And, ast.Or),
    (ast.Add, ast.Sub),
    (ast.BitOr, ast.BitAnd),
]
OTHER = {one: other for pair in PAIRS for one, other in (pair, pair[::-1])}  # fmt: skip


def changes(node: ast.AST) -> Iterator[tuple[str, object, str]]:
    """Yield (field, new value, in words) for what may be changed in `node` itself."""
    match node:
        case ast.If() | ast.IfExp():
            yield from (("test", ast.Constant(to), f"if {to}") for to in (True, False))
        case ast.BoolOp() | ast.BinOp() if type(node.op) in OTHER:
            yield "op", OTHER[type(node.op)](), OTHER[type(node.op)].__name__
        case ast.Compare():
            new = OTHER[type(node.ops[0])]
            yield "ops", [new(), *node.ops[1:]], new.__name__
        case ast.UnaryOp(op=ast.Not()):
            yield "op", ast.UAdd(), "without not"
        case ast.Constant(value=bool() | int() as value):
            yield "value", value + 1 if value is not True else False, "another number"
        case ast.Constant(value=str() as text) if len(text) < 12 and " " not in text.strip():
            yield "value", f"{text}X", repr(f"{text}X")
        case ast.Return(value=ast.expr()):
            yield "value", None, "return nothing"
    for name in ("body", "orelse", "finalbody"):
        block = getattr(node, name, None)
        for place, line in enumerate(block if isinstance(block, list) else []):
            if isinstance(line, ast.Raise | ast.AugAssign | ast.Continue) or (
                isinstance(line, ast.Expr) and not isinstance(line.value, ast.Constant)
            ):
                rest = [*block[:place], ast.Pass(), *block[place + 1 :]]
                yield name, rest, f"without {ast.unparse(line).splitlines()[0][:70]}"


def mutants(source: str) -> Iterator[tuple[int, str, str]]:
    """Yield (line, what is changed, changed source) for each change of `source`."""
    tree = ast.parse(source)
    skipped: set[int] = set()  # what no test can meet, or is text for people
    for node in ast.walk(tree):
        match node:
            case ast.If(test=ast.Name("TYPE_CHECKING")) | ast.Assign([ast.Name("__all__")]):
                skipped |= {id(part) for part in ast.walk(node)}
            case ast.JoinedStr():
                skipped |= {id(part) for part in node.values}
            case ast.AnnAssign(annotation=told) | ast.arg(annotation=ast.expr() as told):
                skipped |= {id(part) for part in ast.walk(told)}
            case ast.FunctionDef(returns=ast.expr() as told):
                skipped |= {id(part) for part in ast.walk(told)}
    for number, node in enumerate(ast.walk(tree)):
        for field, value, words in changes(node) if id(node) not in skipped else ():
            other = copy.deepcopy(tree)
            changed = list(ast.walk(other))[number]
            before = ast.unparse(changed).splitlines()[0][:70]
            setattr(changed, field, value)
            text = ast.unparse(ast.fix_missing_locations(other))
            yield getattr(node, "lineno", 1), f"{before} → {words}", text


class Watch:
    """Notes which lines of the watched file each test passes through, and how long it takes."""

    def __init__(self, path: Path) -> None:
        from coverage import Coverage

        self.coverage, self.path = Coverage(data_file=None, include=[str(path)]), path
        self.seconds: dict[str, float] = {}
        self.coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[object]:
        """Name the test to coverage."""
        self.coverage.switch_context(item.nodeid)
        began = time.monotonic()
        yield
        self.seconds[item.nodeid] = time.monotonic() - began
        self.coverage.switch_context("")
        return True

    def told(self) -> tuple[object, object]:
        """Return line -> tests, and test -> seconds."""
        self.coverage.stop()
        return self.coverage.get_data().contexts_by_lineno(str(self.path)), self.seconds


def run(tests: list[str], limit: float, watched: Path | None = None) -> tuple[int, list]:
    """Run pytest in a forked child; (exit status, -1 when it took too long; what it told)."""
    with tempfile.TemporaryDirectory() as folder:
        pid, told = os.fork(), Path(folder, "told")
        if pid == 0:
            os.setsid()
            os.environ["PYTEST_DEBUG_TEMPROOT"] = folder
            for descriptor in (0, 1, 2):
                os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
            watch = [Watch(watched)] if watched else []
            status = pytest.main([*QUIET, *tests], plugins=watch)
            told.write_text(json.dumps([one.told() for one in watch]))
            os._exit(int(status))
        end, found = time.monotonic() + limit, 0
        while not found and time.monotonic() < end:
            found, status = os.waitpid(pid, os.WNOHANG)
            time.sleep(0.02)
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        if not found:
            os.waitpid(pid, 0)
            return -1, []
        return os.waitstatus_to_exitcode(status), json.loads(told.read_text())


def judge(target: str, every: int, tree: Path) -> None:
    """Change each `every`-th place of a module; print the changes that nobody noticed."""
    path = tree / "src/napari_tool_runner" / f"{target}.py"
    names = next(names for start, names in TESTS.items() if target.startswith(start))
    tests = [f"tests/{name}.py" for name in names]
    source, tried, missed = path.read_text(encoding="utf-8"), 0, 0
    status, told = run(tests, 900, path)
    if status:
        raise SystemExit(f"{target}: its tests fail before anything was changed ({status}).")
    lines, seconds = told[0]
    slow = 10 * statistics.median(seconds.values())
    quick = [test for test in seconds if seconds[test] < slow]
    for line, words, changed in list(mutants(source))[::every]:
        path.write_text(changed, encoding="utf-8")
        os.utime(path, (tried, tried))  # else what was compiled a moment ago passes for it
        near = sorted(filter(None, lines.get(str(line), [])), key=seconds.get)
        rounds = [[test for test in near if (test in quick) is soon] for soon in (True, False)]
        rounds = [some for some in (rounds[0][:40], rounds[1][:5]) if some] or [quick]
        tried += 1
        if all(run(some, 60 + 8 * sum(map(seconds.get, some)))[0] == 0 for some in rounds):
            missed += 1
            print(f"{target}:{line}: {words}", flush=True)
    path.write_text(source, encoding="utf-8")
    print(f"== {target}: {tried} tried, {tried - missed} noticed", flush=True)


def main() -> None:
    """Judge the chosen targets in a clone of this tree, as it was committed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutation", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of: {', '.join(TARGETS)}")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="each N-th change only")
    options, here = parser.parse_args(), os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        subprocess.run(["git", "clone", "-q", ".", tree], check=True)
        for module in WARM:
            importlib.import_module(module)
        os.environ |= {"PYTHONPATH": str(tree / "src"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        sys.path[:] = [
            str(tree / "src"),
            *(one for one in sys.path if here not in (one, one[:-4])),
        ]
        os.chdir(tree)
        for target in options.targets or TARGETS:
            judge(target, options.every, tree)


if __name__ == "__main__":
    main()
