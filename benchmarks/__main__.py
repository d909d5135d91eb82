"""Run the benchmarks: ``python -m benchmarks [--quick] [--json FILE] [NAME...]``."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from benchmarks.measure import Comparison, Unavailable

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Run the chosen modules, each in a process of its own; exit 1 when one breaks."""
    names = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="few repeats: does it still run?")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument(
        "--strict", action="store_true", help="exit 1 when an aim is missed (never with --quick)"
    )
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(names))
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(names)}")
    if options.here:
        (name,) = options.names
        rows = [_row(found) for found in _run(name, quick=options.quick)]
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
        return 0

    print(f"Python {platform.python_version()}, {platform.machine()}, {platform.system()}")
    results: list[dict[str, object]] = []
    broken: list[str] = []
    for name in options.names or names:
        with tempfile.TemporaryDirectory() as folder:
            figures = Path(folder) / "figures.json"
            command = [sys.executable, "-m", "benchmarks", "--here", name, "--json", str(figures)]
            if options.quick:
                command.append("--quick")
            kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
            status = subprocess.run(command, check=False, env=kept).returncode
            if status == 0:
                results += json.loads(figures.read_text(encoding="utf-8"))
            else:
                print(f"  broken: exit status {status}", flush=True)
                broken.append(name)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    missed = [row for row in results if not row["reached"]]
    if missed and not options.quick:
        print(f"\n{len(missed)} of {len(results)} aims missed.")
    if broken:
        print(f"\nBroken: {', '.join(broken)}.")
    return 1 if broken or (missed and options.strict and not options.quick) else 0


def _run(name: str, *, quick: bool) -> list[Comparison]:
    begun = time.monotonic()
    module = importlib.import_module(f"benchmarks.bench_{name}")
    print(f"\n{name}: {(module.__doc__ or '').splitlines()[0]}", flush=True)
    results: list[Comparison] = []
    try:
        for found in module.run(quick=quick):
            results.append(found)
            print(_line(found), flush=True)
    except Unavailable as reason:
        print(f"  skipped: {reason}")
    print(f"  ({time.monotonic() - begun:.0f} s)", flush=True)
    return results


def _row(found: Comparison) -> dict[str, object]:
    return {**asdict(found), "ratio": found.ratio, "reached": found.reached}


def _line(found: Comparison) -> str:
    sign = "ok " if found.reached else "-- "
    more = f" + {found.more * 1e3:.0f} ms" if found.more else ""
    return (
        f"  {sign}{found.ratio:6.2f} x (aim {found.aim:.2g} x{more})  {found.name}: "
        f"{found.ours * 1e3:.1f} ms against {found.bare * 1e3:.1f} ms "
        f"({(found.ours - found.bare) * 1e3:+.1f} ms)"
    )


if __name__ == "__main__":
    sys.exit(main())
