"""Results for other programs: copied where somebody wants them, and told as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_tool_runner import sealed
from napari_tool_runner.jobs.typed_json import to_json
from napari_tool_runner.names import file_name
from napari_tool_runner.storage import replacing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_tool_runner.jobs.job import Job
    from napari_tool_runner.jobs.outputs import JobOutput, JobResult

__all__ = ["deliver", "job_json", "output_paths", "outputs_json"]


def output_paths(result: JobResult) -> dict[str, Path]:
    """Return output name (``name/element`` in collections) -> file."""
    return {
        f"{name}/{element}" if element else name: part.path
        for name, output in result.outputs.items()
        for element, part in output.files().items()
    }


def deliver(result: JobResult, folder: Path, prefix: str = "") -> dict[str, Path]:
    """Copy the outputs into `folder`, as ``PREFIX + output name + extension``.

    Elements of a collection get a folder of their own. Returns the copies, named as by
    `output_paths`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    root, taken = result.workspace, set[str]()
    delivered: dict[str, Path] = {}
    for output, made in result.outputs.items():
        for element, part in made.files().items():
            path = part.path
            place = folder / file_name(f"{prefix}{output}") if element else folder
            place.mkdir(parents=True, exist_ok=True)
            suffix = result.formats.split(path.name)[1]
            target = place / _free(element or f"{prefix}{output}", suffix, place, taken)
            if sealed.kind(path, root) == "folder":
                sealed.copy(path, target, root)
            else:
                with replacing(target) as draft:
                    sealed.copy(path, draft, root)
            delivered[f"{output}/{element}" if element else output] = target
    return delivered


def _free(label: str, suffix: str, place: Path, taken: set[str]) -> str:
    """Return the name of a copy, which no other copy has, also regardless of case.

    Names of outputs and of elements come from descriptors and programs: they are no paths.
    """
    stem = file_name(label)
    stem = stem.removesuffix(suffix) if suffix and stem != suffix else stem
    name, number = file_name(stem + suffix), 2
    while f"{place}/{name}".casefold() in taken:
        name, number = file_name(f"{stem}_{number}{suffix}"), number + 1
    taken.add(f"{place}/{name}".casefold())
    return name


def job_json(job: Job) -> dict[str, object]:
    """Return how a job ended, in JSON types."""
    return {
        "job": job.id,
        "tool": job.tool.id,
        "state": job.state.value,
        "runner": job.runner,
        "exit_code": job.run.exit_code,
        "seconds": round(job.elapsed, 3),
        "workspace": str(job.workspace.root),
        "record": str(job.workspace.record_path),
        "log": str(job.log_path),
        "error": to_json(job.recorded_error()),
        "notes": list(job.run.notes),
    }


def outputs_json(result: JobResult, places: Mapping[str, Path]) -> dict[str, object]:
    """Return the outputs in JSON types; `places`: where their files are now."""

    def told(name: str, part: JobOutput) -> dict[str, object]:
        place = str(places[name])
        return {"path": place, "format": part.format, "layer_type": part.layer_type}

    return {
        name: {
            "layer_type": "collection",
            "elements": {
                key: told(f"{name}/{key}", part) for key, part in output.elements.items()
            },
        }
        if output.elements
        else told(name, output)
        for name, output in result.outputs.items()
    }
