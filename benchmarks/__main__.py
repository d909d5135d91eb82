"""Run the benchmarks: ``python -m benchmarks [--quick] [--json FILE] [NAME...]``."""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import sys
import time
from dataclasses import asdict
from pathlib import Path

from benchmarks.measure import Comparison, Unavailable

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Run the chosen modules and print one line for each comparison."""
    names = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="few repeats: does it still run?")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument(
        "--strict", action="store_true", help="exit 1 when an aim is missed (never with --quick)"
    )
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(names))
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(names)}")

    results: list[Comparison] = []
    print(f"Python {platform.python_version()}, {platform.machine()}, {platform.system()}")
    for name in options.names or names:
        begun = time.monotonic()
        module = importlib.import_module(f"benchmarks.bench_{name}")
        print(f"\n{name}: {(module.__doc__ or '').splitlines()[0]}")
        try:
            for found in module.run(quick=options.quick):
                results.append(found)
                print(_line(found), flush=True)
        except Unavailable as reason:
            print(f"  skipped: {reason}")
        print(f"  ({time.monotonic() - begun:.0f} s)")
    if options.json:
        rows = [{**asdict(found), "ratio": found.ratio} for found in results]
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    missed = [found for found in results if not found.reached]
    if missed and not options.quick:
        print(f"\n{len(missed)} of {len(results)} aims missed.")
    return 1 if missed and options.strict and not options.quick else 0


def _line(found: Comparison) -> str:
    sign = "ok " if found.reached else "-- "
    return (
        f"  {sign}{found.ratio:6.2f} x (aim {found.aim:g} x)  {found.name}: "
        f"{found.ours * 1e3:.1f} ms against {found.bare * 1e3:.1f} ms"
    )


if __name__ == "__main__":
    sys.exit(main())
