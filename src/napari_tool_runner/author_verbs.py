"""What the verbs of the command line do that are for the authors of tools."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner import jobs
from napari_tool_runner.arguments import agreed, config_of, record_of
from napari_tool_runner.printing import print_json, say, show
from napari_tool_runner.quoting import seen

if TYPE_CHECKING:
    from argparse import Namespace

__all__ = ["make_test", "new_tool"]


def new_tool(args: Namespace) -> int:
    """Make the folder of a new tool, blank or of a script, which is run for it."""
    script = Path(os.path.expanduser(args.script)) if args.script else None
    if script is not None:
        say(jobs.RUNS_IT)
        otherwise = "nothing was made; add --yes to start the script"
        if not agreed(args, f"Start {script}?", otherwise):
            return 1
    made = jobs.new_tool(
        Path(os.path.expanduser(args.folder)),
        jobs.Origin(script, args.conda or "", args.image or ""),
        config=config_of(args),
    )
    for note in made.notes:
        say(f"note: {note}")
    if args.json:
        print_json({"descriptors": [str(path) for path in made.paths], "notes": made.notes})
    else:
        show("\n".join(seen(str(path)) for path in made.paths))
    return 0


def make_test(args: Namespace) -> int:
    """Add a test to a tool, made of a run; where its files are many bytes, after a question."""
    config = config_of(args)
    draft = jobs.drafted_test(record_of(args), config)
    say(draft.told())
    much = draft.size > jobs.MUCH
    if much and not agreed(args, "Copy all that?", "nothing was written; add --yes to copy it"):
        return 1
    draft.write(config)
    show(seen(str(draft.tool.path)))
    return 0
