"""The question about a toolbox: what its tools would run, as its copy says. Evaluates nothing.

Read from the copy that an approval would name, so that what is shown is what would run.
"""

from __future__ import annotations

import difflib
import os
import re
import tempfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.data_classes import dataclass, field
from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.names import count_text, size_text
from napari_tool_runner.plugins import choose_service, runnerServices
from napari_tool_runner.quoting import one_line, visible_text
from napari_tool_runner.storage import read_limited
from napari_tool_runner.tools import dialect_of
from napari_tool_runner.tools.isolation.walls import missing_walls
from napari_tool_runner.tools.toolbox.approvals import approval_of
from napari_tool_runner.tools.toolbox.approved import kept_folder
from napari_tool_runner.tools.toolbox.box import Toolbox, ToolboxFolder
from napari_tool_runner.tools.toolbox.own import MINE_MEANS

if TYPE_CHECKING:
    from napari_tool_runner.config import Config
    from napari_tool_runner.tools.model import Tool
    from napari_tool_runner.tools.toolbox.entries import ToolEntry
    from napari_tool_runner.tools.toolbox.trust import Review

__all__ = ["Question"]

_BEGINNING = 25
"""Lines of a script that are shown; the rest is in the copy, whose place is told."""
_LONGEST = 200
_TEXT = 2**20
_MOST_SCRIPTS = 6
_MOST_DIFFERENT = 2000
_MOST_COMPARED = 5000
"""Lines of which the time to find those that stayed, quadratic at worst, is seconds at most."""


@dataclass(frozen=True)
class Question:
    """What to show before the tools of a folder may run.

    Parameters
    ----------
    review : Review
    config : Config
        Says where tools would run.
    """

    review: Review
    config: Config = field(repr=False)

    @cached_property
    def _box(self) -> Toolbox:
        with tempfile.TemporaryDirectory() as cache:  # an index of the copy is no index of its own
            folder = ToolboxFolder(self.review.folder.name or "toolbox", self.review.copy)
            return Toolbox([folder], cache_dir=Path(cache))

    @property
    def entries(self) -> tuple[ToolEntry, ...]:
        """The tools in it."""
        return self._box.entries

    def summary(self) -> list[str]:
        """Return what is true of the folder, in lines."""
        seen = self.review
        place = f"copy     {seen.copy}: its tools would run from there"
        if not seen.digest:
            place = f"yours    {MINE_MEANS}"
        elif seen.copy == seen.folder:
            place = (
                "copy     none yet, it is made with the question: its tools would run from there"
            )
        copied = seen.digest or "not copied"
        lines = [
            f"folder   {one_line(str(seen.folder))}",
            f"content  {count_text(seen.files, 'file')}, {size_text(seen.size)}, {copied}",
            place,
        ]
        if missing := missing_walls():
            lines.append(f"reader   weaker on this computer: {missing}")
        lines += [
            f"left out: {one_line(name)} (it leads out of the folder, or is no file)"
            for name in seen.left_out[:20]
        ]
        if seen.writable_by_others:
            names = ", ".join(map(one_line, seen.writable_by_others[:5]))
            lines.append(f"Other users of this computer can change {names}.")
        lines += [f"cannot be read: {one_line(str(one))}" for one in self._box.problems[:20]]
        return lines

    def tool_text(self, key: str) -> str:
        """Return what one tool would run, from what, and with which rights."""
        entry = self._box.entry(key)
        try:
            lines = [*self._tool_lines(self._box[key])]
        except ToolRunnerError as error:
            lines = [f"It cannot be read: {one_line(str(error))}"]
        inner = os.path.relpath(entry.path, self.review.copy)
        title = one_line(f"{entry.name} ({entry.full_id}), in {inner}")
        return visible_text("\n".join([title, *lines]))

    def _tool_lines(self, tool: Tool) -> Iterator[str]:
        for name, text in dialect_of(tool).written(tool).items():
            yield from _block(name, text)
        yield from self._place_lines(tool)
        named = [path for path in self._files if path.name in tool.command]
        for path in named[:_MOST_SCRIPTS]:
            yield from _script(path, self.review.copy)
        for path in named[_MOST_SCRIPTS:]:
            yield f"also named: {one_line(str(path))}"

    def _place_lines(self, tool: Tool) -> Iterator[str]:
        runner = self.config.runner
        try:
            name = self.config.service or choose_service(tool, runner).name
            place = runnerServices.service(name, runner).place(tool)
        except ToolRunnerError as error:
            yield f"runs with: it cannot run here: {one_line(str(error))}"
            for entry in tool.requirements:
                yield one_line(f"requires: {entry}", 2000)
            return
        yield f"runs with: {place.service}"
        words = {"registry": "image", "channel": "packages", "index": "packages"}
        known = dict.fromkeys((origin.kind, origin.what) for origin in place.origins)
        for kind, what in known:
            found = [one.place for one in place.origins if (one.kind, one.what) == (kind, what)]
            yield f"{words[kind]}:"
            yield from (f"    {part}" for part in _lines(visible_text(what)))
            many = {"registry": "registries", "channel": "channels", "index": "indexes"}[kind]
            places = one_line(", ".join(found), 2000)
            yield f"    from the {many if len(found) > 1 else kind} {places}"
        for command in place.commands:
            yield from _block("once, when its environment is made", command)
        yield f"rights: {place.rights}"
        if tool.network:
            when = f", while “{tool.network_if}” is ticked" if tool.network_if else ""
            yield f"network: its descriptor asks for it{when}"

    @cached_property
    def _files(self) -> list[Path]:
        """The files of the copy: those whose name a command holds are shown with it."""
        return sorted(path for path in self.review.copy.rglob("*") if path.is_file())

    def difference(self) -> str:
        """Return what changed since it was approved, as a unified difference of its texts."""
        approval = approval_of(self.review.folder)
        if approval is None or not approval.digest:
            return "\n".join(map(one_line, self.review.trust.changes))
        old, new = kept_folder(approval.digest), self.review.copy
        lines: list[str] = []
        for change in self.review.trust.changes:
            name = change.partition(" ")[2]
            lines += [one_line(change), *_unified(old / name, new / name, name)]
            if len(lines) > _MOST_DIFFERENT:
                lines = [*lines[:_MOST_DIFFERENT], f"… and more: compare {old} with {new}"]
                break
        return visible_text("\n".join(lines))

    def as_text(self, most: int | None = None) -> str:
        """Return all of it for a terminal; of the tools the first `most`."""
        parts = ["\n".join(self.summary())]
        if difference := self.difference():
            parts.append(f"since it was approved:\n{difference}")
        shown = self.entries[:most]
        parts += [self.tool_text(entry.key) for entry in shown]
        if len(shown) < len(self.entries):
            more = len(self.entries) - len(shown)
            parts.append(f"… and {count_text(more, 'more tool')}; --show shows them all")
        return "\n\n".join(parts)


def _block(name: str, text: str, most: int | None = None) -> Iterator[str]:
    yield f"{one_line(name)}:"
    yield from (f"    {line}" for line in _lines(text)[:most])


def _lines(text: str) -> list[str]:
    """Return the lines of `text`, so that nothing can stand far to the right, or far below."""
    # no pattern that looks at a row of spaces from each of its places: that takes for ever
    stripped = map(str.rstrip, text.strip("\n").replace("\r", "\n").split("\n"))
    shorter = re.sub(r"\n{4,}", _count_lines, "\n".join(stripped))
    shorter = re.sub(r"[^\S\n]{40,}", lambda found: f" […{len(found[0])} spaces…] ", shorter)
    return [
        line[start : start + _LONGEST]
        for line in shorter.split("\n")
        for start in range(0, max(len(line), 1), _LONGEST)
    ]


def _count_lines(found: re.Match[str]) -> str:
    return f"\n[…{found[0].count(chr(10)) - 1} empty lines…]\n"


def _script(path: Path, copy: Path) -> Iterator[str]:
    name = one_line(path.relative_to(copy).as_posix())
    text = _text(path)
    if text is None:
        yield f"{name}: no text, {size_text(path.stat().st_size)}"
        return
    yield from _block(name, text, _BEGINNING)
    more = len(_lines(text)) - _BEGINNING
    if more > 0:
        yield f"    … {count_text(more, 'more line')}: {path}"


def _text(path: Path) -> str | None:
    """Return the content of a text file, None for what is none or is long."""
    try:
        data = read_limited(path, _TEXT, follow=False)
        return None if b"\0" in data else data.decode()
    except (OSError, ValueError):
        return None


def _unified(old: Path, new: Path, name: str) -> Iterator[str]:
    before, after = (_text(path) if path.is_file() else "" for path in (old, new))
    if before is None or after is None:
        yield "    (no text)"
        return
    found = _differences(before.splitlines(), after.splitlines(), name)
    yield from (f"    {part}" for line in found for part in _lines(line))


def _differences(old: list[str], new: list[str], name: str) -> Iterator[str]:
    """Yield a unified difference; of what is long, all between its first and last change."""
    names = f"approved/{name}", f"now/{name}"
    if max(len(old), len(new)) <= _MOST_COMPARED:
        yield from difflib.unified_diff(old, new, *names, lineterm="")
        return
    first = _alike(old, new)
    old, new = old[first:], new[first:]
    last = _alike(old[::-1], new[::-1])
    old, new = old[: len(old) - last], new[: len(new) - last]
    yield from (f"--- {names[0]}", f"+++ {names[1]}")
    yield f"@@ -{first + 1},{len(old)} +{first + 1},{len(new)} @@"
    yield from (f"-{line}" for line in old)
    yield from (f"+{line}" for line in new)


def _alike(one: list[str], other: list[str]) -> int:
    """Return how many lines at the beginning are the same."""
    pairs = zip(one, other, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
