"""Results for other programs: copied where somebody wants them, and told as JSON."""

from __future__ import annotations

import logging
import os
import re
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from napari_tool_runner import sealed
from napari_tool_runner.errors import OutputError, WorkspaceError
from napari_tool_runner.jobs.typed_json import to_json
from napari_tool_runner.names import file_name
from napari_tool_runner.storage import replacing
from napari_tool_runner.tools.file_types import content_type

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from napari_tool_runner.jobs.job import Job
    from napari_tool_runner.jobs.outputs import JobOutput, JobResult

__all__ = ["deliver", "job_json", "output_paths", "outputs_json"]

_logger = logging.getLogger(__name__)
_OF_ZARR = re.compile(r"\.z\w+|zarr\.json|c|(c\.)?\d+(\.\d+)*")  # metadata and chunks


def output_paths(result: JobResult) -> dict[str, Path]:
    """Return output name (``name/element`` in collections) -> file."""
    return {
        f"{name}/{element}" if element else name: part.path
        for name, output in result.outputs.items()
        for element, part in output.files().items()
    }


def deliver(result: JobResult, folder: Path, prefix: str = "") -> dict[str, Path]:
    """Copy the outputs into `folder`, as ``PREFIX + output name + extension``.

    Elements of a collection get a folder of their own. What an earlier delivery left there is
    replaced whole, in the end, when all copies are complete. Returns the copies, named as by
    `output_paths`.

    Raises
    ------
    WorkspaceError
        Something else lies there, or the disk refuses; nothing is replaced then.
    """
    root, taken = result.workspace, set[str]()
    delivered: dict[str, Path] = {}
    collections = set[Path]()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as drafts:
            for output, made in result.outputs.items():
                for element, part in made.files().items():
                    path = part.path
                    place = folder / file_name(f"{prefix}{output}") if element else folder
                    place.mkdir(parents=True, exist_ok=True)
                    suffix = result.formats.split(path.name)[1]
                    target = place / _free(element or f"{prefix}{output}", suffix, place, taken)
                    if other := _foreign(path, target, root):
                        raise _in_the_way(target, other, root)
                    whole = sealed.kind(path, root) == "folder"
                    swap = _replacing_folder(target) if whole else replacing(target)
                    sealed.copy(path, drafts.enter_context(swap), root)
                    delivered[f"{output}/{element}" if element else output] = target
                    collections |= {place} if element else set()
            names = {target.name for target in delivered.values()}
            for place in collections:
                others = (name for name in sorted(os.listdir(place)) if name[0] != ".")
                if other := next((name for name in others if name not in names), ""):
                    raise _in_the_way(place, f"holds {other}, which is not of this result", root)
    except OSError as error:
        raise WorkspaceError(
            f"The results cannot be copied to {folder}: {error.strerror or error}.",
            hint=f"The results lie in {root}; copy them from there, or name another folder.",
        ) from error
    return delivered


def _in_the_way(place: Path, what: str, root: Path) -> WorkspaceError:
    return WorkspaceError(
        f"{place} {what}; it was left as it is.",
        hint=f"Move that away, or name another folder. The results lie in {root}.",
    )


def _foreign(source: Path, target: Path, root: Path) -> str:
    """Say what stands at `target` that is not plainly an earlier result like `source`.

    That is a file for a file; for a folder one that holds no more files than the new one, or a
    Zarr for a Zarr: which chunks there are follows from the data.
    """
    folder = sealed.kind(source, root) == "folder"
    if not os.path.lexists(target) or target.is_symlink():
        return ""  # a link itself is replaced, not what it leads to
    if target.is_dir() != folder:
        held = next((entry.name for entry in sealed.below(target)), "") if not folder else ""
        is_folder = f"is a folder{held and f' (with {held})'}, and the result is a file"
        return "is a file, and the result is a folder" if folder else is_folder
    if not folder:
        return ""
    new = {str(path.relative_to(source)) for path in sealed.walk(source, root)}
    both = content_type(source, root) and content_type(source, root) == content_type(target)
    for entry in sealed.below(target):
        known = os.path.relpath(entry.path, target) in new
        chunk = bool(both and _OF_ZARR.fullmatch(entry.name))
        if not (known or chunk or entry.is_dir(follow_symlinks=False)):
            return f"holds {entry.name}, which is not of this result"
    return ""


@contextmanager
def _replacing_folder(target: Path) -> Iterator[Path]:
    """Give a folder to fill, which takes the place of `target` in the end (of a link itself)."""
    parent = Path(os.path.realpath(target.parent))
    draft = parent / f".{target.name[:80]}.{token_hex(4)}"
    old = draft.with_name(f"{draft.name}.old")
    try:
        yield draft
        if os.path.lexists(target):
            target.rename(old)
        try:
            draft.rename(target)
        except OSError:
            if os.path.lexists(old):
                old.rename(target)
            raise
    except BaseException:
        with suppress(OSError, OutputError):
            sealed.remove(draft, parent)
        raise
    try:
        sealed.remove(old, parent)
    except (OSError, OutputError) as error:
        _logger.warning("What lay at %s before is left in %s: %s", target, old, error)


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
