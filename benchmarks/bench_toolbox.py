"""2,000 tools: opening their index, making it, and one keystroke of a search."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from benchmarks.measure import Comparison, compare

WORDS = [
    "gaussian",
    "median",
    "blur",
    "filter",
    "threshold",
    "segment",
    "label",
    "nuclei",
    "cell",
    "spot",
    "detect",
    "track",
    "register",
    "deconvolve",
    "project",
    "denoise",
    "watershed",
    "skeleton",
    "distance",
    "transform",
    "texture",
    "measure",
    "intensity",
    "morphology",
    "closing",
    "opening",
    "background",
    "subtract",
    "bleach",
    "drift",
    "stitch",
    "fuse",
    "merge",
    "split",
    "crop",
    "scale",
    "rotate",
    "mask",
    "binary",
    "edge",
    "ridge",
    "vessel",
    "membrane",
]


def run(*, quick: bool) -> Iterator[Comparison]:
    from napari_tool_runner.tools import Toolbox
    from napari_tool_runner.tools.toolbox.box import ToolboxFolder

    count = 200 if quick else 2000
    repeats = 3 if quick else 15
    with tempfile.TemporaryDirectory() as place:
        folder, cache = Path(place) / "tools", Path(place) / "cache"
        texts = write_tools(folder, count)

        def opened() -> Toolbox:
            return Toolbox([ToolboxFolder("tools", folder)], cache_dir=cache)

        def made() -> Toolbox:
            shutil.rmtree(cache, ignore_errors=True)
            return opened()

        yield compare(
            f"make the index of {count} tools (parsing their XML)",
            made,
            lambda: [ElementTree.parse(path) for path in folder.rglob("*.xml")],
            aim=12,
            repeats=3,
        )
        yield compare(
            f"open the index of {count} tools (walking their folders)",
            opened,
            lambda: list(walk(str(folder))),
            aim=2,
            repeats=repeats,
        )
        box = opened()
        box.search_entries("warm")
        for text in ("gau", "treshold nuclei"):
            yield compare(
                f"search {count} tools for “{text}” (looking for it in all texts)",
                lambda text=text: box.search_entries(text),
                lambda text=text: [found for found in texts if text in found.lower()],
                aim=3,
                repeats=repeats,
            )


def write_tools(folder: Path, count: int) -> list[str]:
    """Write `count` descriptors of a common size; return their texts."""
    choose = random.Random(1)
    texts = []
    for number in range(count):
        place = folder / f"group{number % 40}" / f"tool{number}"
        place.mkdir(parents=True)
        name = " ".join(choose.sample(WORDS, 3))
        texts.append(
            f'<tool id="tool{number}" name="{name} {number}" version="1.0">'
            f"<description>{' '.join(choose.sample(WORDS, 6))}</description>"
            '<requirements><package type="conda" env="e">numpy</package></requirements>'
            "<command>prog -i ${i} -s ${s} -o ${o}</command>"
            '<inputs><param type="data" name="i" format="imagetiff"/>'
            '<param type="float" name="s" value="1"/></inputs>'
            '<outputs><data name="o" format="imagetiff"/></outputs>'
            f"<help>{' '.join(choose.choices(WORDS, k=60))}</help></tool>"
        )
        (place / "tool.xml").write_text(texts[-1])
        (place / ".shed.yml").write_text(f"categories:\n - Category {number % 12}\n")
    return texts


def walk(folder: str) -> Iterator[os.stat_result]:
    """Yield the stat of every file below `folder`."""
    for place, _, names in os.walk(folder):
        for name in names:
            yield os.stat(os.path.join(place, name))
