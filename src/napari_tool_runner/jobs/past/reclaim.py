"""House keeping: what jobs, environments and containers use, and giving it back."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from napari_tool_runner import sealed
from napari_tool_runner.data_classes import dataclass, field
from napari_tool_runner.errors import RunnerError, ToolRunnerError, WorkspaceError
from napari_tool_runner.jobs.cache import result_cache
from napari_tool_runner.jobs.past.history import ended_jobs, left_previews
from napari_tool_runner.jobs.past.room import remove_job
from napari_tool_runner.jobs.weights import forget_weights, kept_weights
from napari_tool_runner.plugins import recover, runnerServices
from napari_tool_runner.tools.toolbox.approvals import unapproved_copies
from napari_tool_runner.tools.toolbox.approved import forget, kept_folder

if TYPE_CHECKING:
    from pathlib import Path

    from napari_tool_runner.config import Config
    from napari_tool_runner.jobs.record import RunRecord

_logger = logging.getLogger(__name__)

__all__ = ["Reclaimable", "delete_job", "reclaim", "reclaimable"]


@dataclass(frozen=True, slots=True)
class Reclaimable:
    """Something that can be deleted without loss of anything but time.

    Parameters
    ----------
    kind : str
        ``job``, ``results`` (of earlier runs, kept for later ones), ``environment``,
        ``container``, ``image``, ``weights`` (that a tool fetched), ``toolbox``.
    size : int
        Bytes on disk.
    """

    kind: str
    name: str
    size: int
    remove: Callable[[], object] = field(repr=False, compare=False)


def reclaimable(config: Config, *, older_than_days: float = 0) -> list[Reclaimable]:
    """Return what could be deleted: ended jobs, kept results, what services keep, toolboxes.

    Of the copies, those that no approval names. What a killed session left elsewhere of a
    job goes back into the job's folder first.
    """
    recover(config.workspaces)
    found = [
        Reclaimable("job", f"{job.tool.id} {job.id}", job.size(), partial(remove_job, job.folder))
        for job in ended_jobs(config.workspaces, older_than_days)
        if not job.folder.parent.is_symlink()  # what lies elsewhere was put there by somebody
    ]
    found += map(_of_preview, left_previews(config.workspaces))
    kept = result_cache(config)
    if size := kept.size():
        found.append(Reclaimable("results", "of earlier runs", size, kept.clear))
    known: set[tuple[str, str]] = set()
    for name in runnerServices.names():
        try:
            service = runnerServices.service(name, config.runner)
            stored = service.stored()
        except RunnerError as error:  # without its engine a service keeps nothing to show
            _logger.info("%s cannot say what it keeps: %s", name, error)
            continue
        for item in stored:
            if (item.kind, item.name) not in known:  # CONDA_DOCKER shows the others' again
                known.add((item.kind, item.name))
                found.append(Reclaimable(item.kind, item.name, item.size, item.remove))
    found += [
        Reclaimable("weights", name, size, partial(forget_weights, name))
        for name, size in kept_weights()
    ]
    return found + [
        Reclaimable("toolbox", digest.removeprefix("sha256:")[:12], size, partial(forget, digest))
        for digest in unapproved_copies()
        for size in [sealed.usage(kept_folder(digest)).freed]
    ]


def _of_preview(folder: Path) -> Reclaimable:
    name, size = f"{folder.parent.name} {folder.name}", sealed.usage(folder).freed
    return Reclaimable("job", name, size, partial(remove_job, folder))


def reclaim(items: list[Reclaimable]) -> list[str]:
    """Delete `items`; returns a sentence for each that could not be deleted."""
    problems: list[str] = []
    for item in items:
        try:
            item.remove()
        except (OSError, ToolRunnerError) as error:
            problems.append(f"{item.kind} {item.name} was not deleted: {error}")
    return problems


def delete_job(record: RunRecord) -> None:
    """Delete the folder of a job that has ended: inputs, results, log, record.

    Layers that were loaded from it lose their data: ask first.

    Raises
    ------
    WorkspaceError
        It still runs, or the disk refuses.
    """
    if not record.state.is_finished:
        raise WorkspaceError(
            f"The job of “{record.tool_name}” is still {record.state}.", hint="Cancel it first."
        )
    try:
        remove_job(record.folder)
    except FileNotFoundError:
        return  # what was asked for is so
    except OSError as error:
        raise WorkspaceError(
            f"{record.folder} was not deleted: {error.strerror or error}.",
            hint="Close what uses its files, then try again.",
        ) from error
