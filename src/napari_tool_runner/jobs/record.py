"""The run record: what is kept of a job, enough to repeat it elsewhere (DESIGN §6).

Paths inside the job's folder are written relative to it, so that a record can move
with its folder.
"""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import napari_tool_runner
from napari_tool_runner.tools.model import DataParameter, HiddenParameter
from napari_tool_runner.tools.tree import leaves

if TYPE_CHECKING:
    from napari_tool_runner.jobs.job import Job
    from napari_tool_runner.jobs.model import JobOutput

__all__ = ["RECORD_VERSION", "build_record", "jsonable"]

RECORD_VERSION = 1


def build_record(job: Job) -> dict[str, object]:
    """Return the record of `job` as it stands now; JSON types only."""
    tool = job.tool
    root = job.workspace.root
    rendered = job.rendered
    return {
        "version": RECORD_VERSION,
        "id": job.id,
        "state": job.state.value,
        "tool": {
            "id": tool.id,
            "name": tool.name,
            "version": tool.version,
            "dialect": tool.dialect,
            "descriptor": tool.uri,
            "digest": tool.digest,
        },
        "runner": {
            "service": job.runner,
            "reason": job.runner_reason,
            **{k: jsonable(v) for k, v in job.context.provenance.items()},
        },
        "parameters": {
            leaf.name: jsonable(leaf.value)
            for leaf in leaves(tool.inputs, job.values)
            if not isinstance(leaf.parameter, DataParameter)
        },
        "hidden": [
            leaf.name
            for leaf in leaves(tool.inputs, job.values)
            if isinstance(leaf.parameter, HiddenParameter)
        ],
        "extent": job.extent.as_record() if job.extent else None,
        "inputs": [entry.as_record(root) for entry in job.inputs],
        "outputs": _outputs(job.outputs, root, job.output_digests),
        "command": {
            "argv": list(rendered.argv) if rendered else [],
            "script": rendered.script if rendered else "",
            "environment": dict(rendered.environment) if rendered else {},
            "files": {_relative(p, root): text for p, text in rendered.files.items()}
            if rendered
            else {},
        },
        "times": {
            "created": _time(job.created),
            "started": _time(job.started),
            "finished": _time(job.finished),
            "seconds": round(job.elapsed, 3),
        },
        "exit_code": job.exit_code,
        "error": job.error_record(),
        "notes": list(job.notes),
        "user": job.config.user,
        "host": {
            "name": socket.gethostname(),
            "platform": platform.platform(),
            "python": platform.python_version(),
            "napari_tool_runner": napari_tool_runner.__version__,
            "pid": os.getpid(),
        },
        "log": _relative(job.workspace.log, root),
    }


def jsonable(value: object) -> object:
    """Return `value` in JSON types; what JSON has no word for becomes text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): jsonable(entry) for key, entry in value.items()}
    if isinstance(value, Sequence):
        return [jsonable(entry) for entry in value]
    return str(value)


def _outputs(
    outputs: Mapping[str, JobOutput], root: Path, digests: Mapping[Path, str]
) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for name, output in outputs.items():
        for element, entry in (output.elements or {"": output}).items():
            found.append(
                {
                    "name": name,
                    "element": element,
                    "path": _relative(entry.path, root),
                    "format": entry.format,
                    "layer_type": entry.layer_type,
                    "layer_name": entry.layer_name,
                    "sha256": digests.get(entry.path),
                }
            )
    return found


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _time(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
