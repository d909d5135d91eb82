"""Progress that a tool prints: percent, ``i/n``, tqdm, Slicer's tags."""

from __future__ import annotations

import re

from napari_tool_runner.plugins.contract import Progress

__all__ = ["parse_progress"]

_TQDM = re.compile(r"(?P<text>[^|%]*?)\s*(?P<percent>\d{1,3})%\|.*\|\s*\d+/\d+")
_PERCENT = re.compile(r"(?P<percent>\d{1,3}(?:\.\d+)?)\s*%")
_COUNT = re.compile(r"(?:^|[\s\[(])(?P<done>\d+)\s*(?:/|of)\s*(?P<total>\d+)(?=$|[\s\]):,.;])")
_SLICER = re.compile(r"<filter-progress>\s*(?P<part>[01](?:\.\d+)?)\s*</filter-progress>")
_LONGEST = 300


def parse_progress(line: str) -> Progress | None:
    """Return the progress that `line` tells, None if it tells none.

    Understood: ``37%``, ``12.5 %``, ``3/10``, ``[[3/10]] text``, ``3 of 10``, tqdm
    bars, and ``<filter-progress>0.4</filter-progress>``. A percentage above 100 or a
    count above its total is no progress.
    """
    if len(line) > _LONGEST:
        return None
    if found := _SLICER.search(line):
        return Progress("Running", float(found["part"]), 1.0)
    if found := _TQDM.search(line):
        return Progress(found["text"].strip(" :") or "Running", float(found["percent"]), 100.0)
    if found := _COUNT.search(line):
        done, total = int(found["done"]), int(found["total"])
        if total > 0 and done <= total:
            rest = (line[: found.start()] + " " + line[found.end() :]).strip(" []():,.;-")
            return Progress(" ".join(rest.split())[:60] or "Running", done, total)
        return None
    if found := _PERCENT.search(line):
        percent = float(found["percent"])
        if percent <= 100:
            rest = line[: found.start()].strip(" []():,.;-")
            return Progress(" ".join(rest.split())[:60] or "Running", percent, 100.0)
    return None
