"""What a job asks of a process that forks for its calls, whoever has started that."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner import settings
from napari_tool_runner.data_classes import dataclass
from napari_tool_runner.plugins.warm.handing import Handing
from napari_tool_runner.plugins.warm.handover import SOCKET
from napari_tool_runner.plugins.warm.patience import gave_up, took_cold
from napari_tool_runner.plugins.warm.serving import JOB

if TYPE_CHECKING:
    from napari_tool_runner.plugins.process import ExecContext
    from napari_tool_runner.plugins.warm.serving import Server
    from napari_tool_runner.tools.model import Tool

__all__ = ["Asked", "asked_by", "forget_light", "handed"]

_light: set[tuple[str, ...]] = set()  # what starts cold, since it imports next to nothing


@dataclass(frozen=True, slots=True)
class Asked:
    """A job's command, as far as another process may have begun it.

    Parameters
    ----------
    args : tuple of str
    tool : str
        What programs tell counts for it alone.
    root : str
        The folder in which the job works and keeps its files.
    work : str
        The one below it that it works in.
    apart : mapping
        The variables of the program, with `JOB` for that folder.
    kind : tuple of str
        What calls of a tool have in common.
    """

    args: tuple[str, ...]
    tool: str
    root: str
    work: str
    apart: Mapping[str, str]
    kind: tuple[str, ...]


def asked_by(
    tool: Tool,
    args: Sequence[str],
    context: ExecContext,
    config: Mapping[str, object],
    environment: Mapping[str, str],
) -> Asked | None:
    """Return what a job asks for; None where its programs start cold."""
    if sys.platform != "linux" or not settings.WARM.of(config) or context.root is None:
        return None
    kind, root = _kind(tool, args), _own_folder(context)
    apart = _without_job(environment, root, context)
    if not args or context.network or gave_up(args) or kind in _light or not apart:
        return None
    work = str(context.work_dir).removeprefix(root)
    return Asked(tuple(args), tool.digest or tool.id, root, work, apart, kind)


@contextmanager
def handed(
    server: Server,
    args: list[str],
    environment: Mapping[str, str],
    asked: Asked,
    end: Callable[[], object] | None = None,
) -> Iterator[Handing]:
    """Give how a program is started whose calls `server` takes.

    Parameters
    ----------
    args : list of str
        Its program is looked for on the PATH, if it is stood for.
    environment : mapping
        All variables of the program; the PATH leads to what stands for others.
    end : callable, optional
        Ends a program that does nothing any more; by default, its enclosure is ended.
    """
    how = Handing(args, environment, server, asked.root, asked.tool)
    assert how.watch is not None
    with server.taking(how.take) as (place, address, listen):
        if how.around is not None:
            inside = server.place / "socket"
            how.around, address = how.around.showing(place, inside), str(inside)
        how.environment = {**how.environment, SOCKET: address}
        begun = time.monotonic()
        try:
            with how.watch.watching(end or how.end_all) as watch:
                how.listening = (listen, watch)
                yield how
        finally:
            how.end()
    if how.is_light:
        _light.add(asked.kind)
    if not how.starts_warm and not how.stuck:
        took_cold(asked.args, time.monotonic() - begun)


def forget_light() -> None:
    """Forget what imports next to nothing."""
    _light.clear()


def _own_folder(context: ExecContext) -> str:
    """Return the folder in which a job, or a part of it, works and keeps its files."""
    places = (context.work_dir, context.home_dir, context.temp_dir)
    found = os.path.commonpath(places)
    inside = context.root is not None and Path(found).is_relative_to(context.root)
    return found if inside else ""


def _without_job(
    environment: Mapping[str, str], root: str, context: ExecContext
) -> dict[str, str]:
    """Return variables in which `root` is that of any job; none where others are the job's."""
    if not root:
        return {}
    apart = {name: value.replace(root, JOB) for name, value in environment.items()}
    return {} if any(str(context.root) in value for value in apart.values()) else apart


def _kind(tool: Tool, args: Sequence[str]) -> tuple[str, ...]:
    """Return what calls of a tool have in common: not their numbers and paths."""
    return (tool.digest or tool.id, *(re.sub(r"(?<!\S)\S*/\S*|[\d.]+", "", one) for one in args))
