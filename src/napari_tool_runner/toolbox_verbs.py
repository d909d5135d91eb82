"""What the command line does with toolboxes: add, list, remove."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from napari_tool_runner import jobs
from napari_tool_runner.arguments import agreed, config_of, echo
from napari_tool_runner.printing import print_json, say, show
from napari_tool_runner.quoting import one_line, seen
from napari_tool_runner.tools.toolbox.added import added_toolboxes

if TYPE_CHECKING:
    from argparse import Namespace

__all__ = ["toolboxes"]


def toolboxes(args: Namespace) -> int:
    """Add a toolbox, list those that were added, or remove one."""
    if args.action == "list":
        return _list(args)
    if not args.what:
        say(f"error: toolbox {args.action} needs WHAT")
        return 2
    if args.action == "remove":
        show(seen(jobs.remove_toolbox(args.what, config_of(args))))
        return 0
    return _add(args)


def _list(args: Namespace) -> int:
    found = added_toolboxes(config_of(args))
    if args.json:
        told = [
            {
                "name": one.name,
                "folder": str(one.folder),
                "kind": one.about.kind,
                "origin": one.about.origin,
                "version": one.about.version,
                "place": one.about.place,
                "shown": one.shown,
            }
            for one in found
        ]
        print_json(told)
        return 0
    width = max((len(one.name) for one in found), default=0)
    for one in found:
        hidden = "" if one.shown else "  (not shown; add it again, or remove it)"
        show(f"{seen(one.name):<{width}}  {one_line(one.about.text)}{hidden}")
    return 0


def _add(args: Namespace) -> int:
    from napari_tool_runner.plugins import Package

    getting = jobs.Getting(args.what, config_of(args), echo)
    found = getting.find()
    if isinstance(found, Package):
        say(found.text)
        if not agreed(args, "Download it and look at it?", "nothing was downloaded; add --yes"):
            return 1
        found = getting.fetch(found)
    name = args.name or ""
    try:
        say("\n".join([one_line(found.about.text), *found.lines()]))
        question = "Add it to your toolboxes?"
        if (before := found.before(name)) is not None:
            was, what = one_line(before.about.text), found.difference(before)
            say(f"“{before.name}” is there already: {was}. {what}")
            question = "Put this in its place?"
        if not agreed(args, question, "nothing was added; add --yes"):
            return 1
        added = found.add(name)
    finally:
        found.drop()
    if args.json:
        print_json({"name": added.name, "folder": str(added.folder)})
    else:
        show(f"{seen(added.name)}: {seen(str(added.folder))}")
    folder = shlex.quote(str(added.folder))
    say(f"Its tools run once it is approved: napari-tool-runner trust {seen(folder)}")
    return 0
