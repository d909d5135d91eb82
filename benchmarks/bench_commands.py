"""2,000 tools as commands: what they add to the start, how long the window stands still."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from benchmarks.bench_toolbox import write_tools
from benchmarks.measure import Comparison, Unavailable

# a napari of its own for each measurement: its menus are one per program
SCRIPT = """
import json, sys, time
mode = sys.argv[1]
import napari
from npe2 import PluginManager
from qtpy.QtWidgets import QApplication
if mode == "without":
    PluginManager.instance().disable("napari-tool-runner")
begun = time.process_time()  # a start waits for disks and the display: its wall time tells little
viewer = napari.Viewer(show=True)
QApplication.processEvents()
told = {"start": time.process_time() - begun}
if mode == "commands":
    from napari_tool_runner.widgets import commands
    commands.show_tools()
    session, steps = commands._session, []
    session.timer.stop()
    begun = time.perf_counter()
    commands._take(commands._loaded())
    told["load"] = time.perf_counter() - begun
    begun = time.perf_counter()
    session.timer.start()
    while session.timer.isActive():
        step = time.perf_counter()
        commands._tick()
        steps.append(time.perf_counter() - step)
    told["add"] = time.perf_counter() - begun
    told["longest"] = max(steps)
    told["count"] = len(session.commands.ids)
if mode == "npe2":
    from npe2 import DynamicPlugin, PluginManifest
    entries = json.load(open(sys.argv[2]))
    begun = time.perf_counter()
    manifest = PluginManifest(
        name="many-tools",
        contributions={
            "commands": [
                {"id": f"many-tools.tool{n}", "title": name, "python_name": "json:dumps"}
                for n, (name, menu) in enumerate(entries)
            ],
            "menus": {
                menu: [
                    {"command": f"many-tools.tool{n}"}
                    for n, (_, at) in enumerate(entries)
                    if at == menu
                ]
                for menu in {menu for _, menu in entries}
            },
        },
    )
    DynamicPlugin("many-tools", manifest=manifest).register()
    told["add"] = told["longest"] = time.perf_counter() - begun
print(json.dumps(told))
viewer.close()
"""
CATEGORIES = ("Filtering", "Segmentation", "Measurement", "Registration", "Tracking", "Of our own")


def run(*, quick: bool) -> Iterator[Comparison]:
    if find_spec("napari") is None or not os.environ.get("DISPLAY"):
        raise Unavailable("it needs napari and a display")
    count, repeats = (200, 2) if quick else (2000, 5)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "tools"
        write_tools(folder, count)
        for number, shed in enumerate(sorted(folder.rglob(".shed.yml"))):
            category = CATEGORIES[number % len(CATEGORIES)]
            shed.write_text(f"categories:\n - {category}\n")
        config = Path(place) / "config.json"
        config.write_text(json.dumps({"process": {"xml_dirs": [str(folder)]}}))
        menus = ["filter", "segment", "measure", "register", "track"]
        names = [(f"tool {n}", f"napari/layers/{menus[n % 5]}") for n in range(count)]
        listed = Path(place) / "names.json"
        listed.write_text(json.dumps(names))
        environment = {
            **os.environ,
            "NAPARI_TOOL_RUNNER_CONFIG": str(config),
            "XDG_CACHE_HOME": str(Path(place) / "cache"),
            "XDG_CONFIG_HOME": str(Path(place) / "settings"),
        }

        def once(mode: str) -> dict[str, float]:
            done = subprocess.run(
                [sys.executable, "-c", SCRIPT, mode, str(listed)],
                check=True,
                capture_output=True,
                text=True,
                env=environment,
            )
            return json.loads(done.stdout.splitlines()[-1])

        once("commands")  # makes the index, once
        rounds = [{mode: once(mode) for mode in ("commands", "without")} for _ in range(repeats)]
        manifest = once("npe2")  # takes most of a minute for 2,000

    def median(mode: str, what: str) -> float:
        return statistics.median(found[mode][what] for found in rounds)

    yield Comparison(
        f"start napari with {count} tools configured, CPU (without the plugin)",
        median("commands", "start"),
        median("without", "start"),
        1.05,
        repeats,
    )
    yield Comparison(
        f"add {count} commands and menus after the start (a manifest at run time)",
        median("commands", "add"),
        manifest["add"],
        0.5,
        repeats,
    )
    yield Comparison(
        "the longest standstill of the window meanwhile (a manifest at run time)",
        median("commands", "longest"),
        manifest["longest"],
        0.1,
        repeats,
    )
