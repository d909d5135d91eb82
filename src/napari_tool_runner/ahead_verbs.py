"""What the command line makes ready ahead of a run."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner import jobs, tools
from napari_tool_runner.arguments import agreed, config_of, echo
from napari_tool_runner.errors import ToolRunnerError, UnknownToolError
from napari_tool_runner.names import size_text
from napari_tool_runner.printing import print_json, say, show
from napari_tool_runner.quoting import seen

if TYPE_CHECKING:
    from argparse import Namespace

    from napari_tool_runner.tools.toolbox.categories import Category

__all__ = ["make_ready"]

_VALUE = re.compile(r"[A-Za-z_][\w-]*=")


def make_ready(args: Namespace) -> int:
    """List what tools would fetch, with its size; fetch it after a question."""
    config = config_of(args)
    found: list[jobs.Readiness] = []
    failed = 0
    box = tools.load_toolbox(config)
    words = [word for word in args.tools if not _VALUE.match(word)]
    values = dict(word.split("=", 1) for word in args.tools if word not in words)
    unknown = set(values)
    for key in dict.fromkeys(_named(words, box)):
        try:
            tool = tools.find_tool(key, box, config=config)
            unknown -= {one.name for one in tool.parameters()}
            one = jobs.readiness(tool, config, args.runner, values)
        except UnknownToolError as error:
            say(f"error: {error}")
            return 2
        except ToolRunnerError as error:
            say(f"error: {seen(key)}: {error}")
            failed += 1
            continue
        found.append(one)
        for problem in one.plan.problems:
            say(f"error: {seen(one.tool.id)}: {problem}")
        failed += bool(one.plan.problems)
    if unknown:
        say(f"error: none of these tools has a parameter {seen(', '.join(sorted(unknown)))}")
        return 2
    todo = [one for one in found if one.plan.fetches and not one.plan.problems]
    sizes = [fetch.size for one in todo for fetch in one.plan.fetches]
    if args.json:
        print_json([_told(one) for one in found])
    else:
        for one in found:
            parts = [fetch.text for fetch in one.plan.fetches] or ["ready"]
            state = "cannot run" if one.plan.problems else "; ".join(parts)
            show(f"{seen(one.tool.id)}  {one.service}  {seen(state)}")
        more = " and what is not known" if None in sizes else ""
        show(f"{size_text(sum(size or 0 for size in sizes))}{more} in all")
    if not todo or not agreed(args, "Fetch all of this?", "nothing was fetched; add --yes"):
        return 1 if failed else 0
    ready, nearly = sum(one.plan.ready for one in found), 0
    for one in todo:
        try:
            one.make(echo)
            ready += 1
        except (ToolRunnerError, OSError) as error:
            say(f"error: {seen(one.tool.id)}: {error}")
            failed += 1
            with suppress(ToolRunnerError):
                nearly += one.lacks_model
    say(f"{ready} of {len(found)} ready{f', {nearly} but for the model' if nearly else ''}")
    return 1 if failed else 0


def _named(names: Iterable[str], box: tools.Toolbox) -> Iterator[str]:
    """Yield the keys of tools: those that are named, and those of toolboxes and categories."""
    folders = [(one.key, box.folder_of(one)) for one in box.entries]
    for name in names:
        place = Path(os.path.expanduser(name)).absolute()
        inside = [key for key, of in folders if of.name == name or of.path == place]
        if not inside and name not in box:
            written = {"/", os.sep} & {*name} or name.startswith((".", "~"))
            inside = _below(place) if written else _of_category(name, box.categories)
        yield from inside or [name]


def _below(folder: Path) -> list[str]:
    """Return the tools of a folder that is none of the toolboxes."""
    from napari_tool_runner.tools.toolbox.box import Toolbox, ToolboxFolder

    if not folder.is_dir():
        return []
    with tempfile.TemporaryDirectory() as cache:
        found = Toolbox([ToolboxFolder(folder.name, folder)], cache_dir=Path(cache))
    for problem in found.problems:
        say(f"note: {problem}")
    return [entry.uri for entry in found.entries]


def _of_category(name: str, categories: Iterable[Category]) -> list[str]:
    """Return the keys of the tools of a category, and of those below it."""
    found: list[str] = []
    for one in categories:
        if name.casefold() in (one.name.casefold(), one.id.casefold()):
            found += [entry.key for entry in one.all_tools()]
        else:
            found += _of_category(name, one.children)
    return found


def _told(one: jobs.Readiness) -> dict[str, object]:
    fetches = [{"what": fetch.what, "size": fetch.size} for fetch in one.plan.fetches]
    told = {"tool": one.tool.id, "service": one.service, "fetches": fetches}
    return {**told, "problems": list(one.plan.problems), "ready": one.plan.ready}
