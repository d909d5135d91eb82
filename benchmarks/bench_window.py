"""The real window: the first things somebody does, and how long it ever stands still."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.bench_toolbox import write_tools
from benchmarks.measure import Comparison, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

LONG = 0.05
"""A standstill that a person notices, in seconds."""
_GOALS = {"opening the dock": 0.2, "first keystroke": 0.05}
_ROOT = Path(__file__).resolve().parent.parent


def run(*, quick: bool) -> Iterator[Comparison]:
    if sys.platform == "linux" and not os.environ.get("DISPLAY"):
        raise Unavailable("there is no screen (try xvfb-run -a)")
    repeats = 1 if quick else 5
    with tempfile.TemporaryDirectory() as place:
        home, full = Path(place) / "home", Path(place) / "full"
        configured(home)
        session(home, "dock", 1)  # the second start of a session counts: the index is there
        # of root, devices lie there: one of them can be read for ever
        shutil.copytree(home, full, ignore=shutil.ignore_patterns("devices"))
        past = 500 if quick else 10_000
        write_past(full, past)
        turns = [(session(home, "dock", 3), session(full, "dock", 3)) for _ in range(repeats)]
        empty = {name: statistics.median(t[0][name] for t in turns) for name in turns[0][0]}
        for name, goal in _GOALS.items():
            yield Comparison(f"{name} (its goal)", empty[name], goal, 1, repeats)
        first, later = empty["first job of a session"], empty["a later job"]
        yield Comparison(
            "click to layer, the first of a session (a later one)", first, later, 1.2, repeats
        )
        for name, seconds in empty.items():
            with_past = statistics.median(t[1][name] for t in turns)
            yield Comparison(
                f"{name}, after {past} jobs (after some)", with_past, seconds, 1.1, repeats
            )
        for warm in (False, True):
            configured(home, warm=warm)
            seen = session(home, "preview", 3 if quick else 15)["preview"]
            how = "warm" if warm else "cold"
            name = f"a value to the preview's pixels, 512 × 512, {how} (its goal)"
            yield Comparison(name, seen, 0.12, 1, 3 if quick else 15)
        for enclose in (True, False):
            configured(home, warm=True, enclose=enclose)
            clicks = 3 if quick else 15
            seen = session(home, "second", clicks)
            how = "enclosed" if enclose else "not enclosed"
            name = f"second click to layer, warm, {how} (napari's adding, and 60 ms)"
            yield Comparison(name, seen["click"], seen["adding"], 1, clicks, 0.06)
        configured(home)
        count = 10 if quick else 100
        with_jobs, alone = session(home, "jobs", count), session(home, "layers", count)
        for what in ("longest standstill", "noticed standstills"):
            yield Comparison(
                f"{what}, {count} jobs (their layers, by napari alone)",
                with_jobs[what],
                max(alone[what], LONG),
                1,
                1,
            )
        pressed = session(full, "buttons", past)
        slowest = max(pressed, key=lambda name: pressed[name])
        yield Comparison(
            f"“{slowest}”, the slowest of {len(pressed)} buttons (0.1 s)",
            pressed[slowest],
            0.1,
            1,
            1,
        )
        read = session(full, "history", past)
        many = 200 if quick else 2000
        write_tools(home / "tools", many)
        configured(home, toolbox=home / "tools")
        for what, found in (
            (f"{past} jobs are read for the list", read),
            (f"{many} new tools are read", session(home, "tools", many)),
        ):
            longest = found["longest standstill"]
            yield Comparison(f"longest standstill while {what} (50 ms)", longest, LONG, 1, 1)


def session(home: Path, part: str, count: int) -> dict[str, float]:
    """Return the figures of a session of its own, of somebody whose files are in `home`."""
    variables = {name: v for name, v in os.environ.items() if not name.startswith("XDG_")}
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    folders = {"CONFIG": ".config", "CACHE": ".cache", "DATA": ".local/share"}
    variables |= {f"XDG_{name}_HOME": str(home / place) for name, place in folders.items()}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.window", part, str(count)],
        env={**variables, "HOME": str(home)},
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
        timeout=1800,
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def configured(
    home: Path, toolbox: Path | None = None, *, warm: bool = False, enclose: bool = True
) -> None:
    """Write config.json: no answer is one of an earlier run."""
    config = {
        "jobs": {"cache": False},
        "runner": {"service": "LOCAL", "warm": True, "enclose": enclose} if warm else {},
        "process": {"xml_dirs": [str(toolbox)] if toolbox else []},
    }
    place = home / ".config" / "napari-tool-runner"
    place.mkdir(parents=True, exist_ok=True)
    (place / "config.json").write_text(json.dumps(config))


def write_past(home: Path, count: int) -> None:
    """Write records as that of the job that ran in `home`."""
    jobs = home / ".local" / "share" / "napari-tool-runner" / "jobs"
    told = json.loads(next(jobs.glob("*/*/record.json")).read_text(encoding="utf-8"))
    for number in range(count):
        made = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number)
        told["id"] = f"{made:%Y%m%d-%H%M%S}-{number:06x}"
        told["times"]["created"] = made.isoformat(timespec="milliseconds")
        folder = jobs / f"tool{number % 20}" / told["id"]
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(json.dumps(told), encoding="utf-8")
