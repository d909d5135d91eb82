"""What verbs share: what their arguments name, a question, and what a program says meanwhile."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner import jobs, tools
from napari_tool_runner.config import Config, load_config
from napari_tool_runner.errors import ParameterError
from napari_tool_runner.printing import say

if TYPE_CHECKING:
    from argparse import Namespace

    from napari_tool_runner.jobs import Job, JobResult, RunRecord
    from napari_tool_runner.tools import Tool

__all__ = ["agreed", "config_of", "delivered", "echo", "record_of", "tool_of", "values_of"]


def config_of(args: Namespace) -> Config:
    """Return the configuration that the arguments name; say once what it says in vain."""
    if not hasattr(args, "settings"):
        config = load_config(args.config)
        if folders := getattr(args, "path", []):
            config = Config({"runner": {"path": folders}}, below=config)
        for note in config.notes:
            say(f"note: {note}")
        args.settings = config
    found: Config = args.settings
    return found


def tool_of(args: Namespace) -> Tool:
    """Return the tool that is named; raises UnknownToolError, DescriptorError."""
    return tools.find_tool(args.tool, config=config_of(args))


def values_of(args: Namespace) -> dict[str, object]:
    """Read ``NAME=VALUE``; a name that comes again makes a list."""
    values: dict[str, list[object]] = {}
    axes = dict(pair.partition("=")[::2] for pair in getattr(args, "axes", ()))
    for pair in args.values:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise ParameterError(
                f"“{pair}” is no NAME=VALUE.", hint="Write it as sigma=2, without spaces."
            )
        told = (value, {"axis_labels": axes[name]}) if name in axes else value
        values.setdefault(name, []).append(told)
    if unknown := axes.keys() - values.keys():
        raise ParameterError(f"--axes names {', '.join(sorted(unknown))}, which is not given.")
    return {name: given if len(given) > 1 else given[0] for name, given in values.items()}


def record_of(args: Namespace) -> RunRecord:
    """Return the job that is named; raises WorkspaceError."""
    return jobs.find_record(args.record, config_of(args).workspaces)


def delivered(
    args: Namespace, job: Job, result: JobResult, prefix: str = "", given: set[str] | None = None
) -> tuple[Mapping[str, Path], dict[str, object]]:
    """Return where the results are, copied if a folder is named, and the facts of the run."""
    to = args.output_dir
    places = jobs.deliver(result, Path(to), prefix, given) if to else jobs.output_paths(result)
    return places, {**jobs.job_json(job), "outputs": jobs.outputs_json(result, places)}


def agreed(args: Namespace, question: str, otherwise: str) -> bool:
    """Whether the user says yes; where nobody can be asked, `otherwise` is said."""
    if getattr(args, "yes", False):
        return True
    if not sys.stdin.isatty():
        say(otherwise)
        return False
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def echo(event: object) -> None:
    """Say what a program writes while it is waited for."""
    from napari_tool_runner.plugins import OutputLine

    if isinstance(event, OutputLine):
        say(event.text)
