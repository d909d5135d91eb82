"""Results for other programs: copied where somebody wants them, and told as JSON."""

from __future__ import annotations

import csv
import logging
import os
import re
import sys
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path, PurePosixPath
from secrets import token_hex
from typing import TYPE_CHECKING

from napari_tool_runner import sealed
from napari_tool_runner.errors import OutputError, WorkspaceError
from napari_tool_runner.jobs.typed_json import to_json
from napari_tool_runner.names import file_name
from napari_tool_runner.storage import (
    locked,
    read_json,
    replacing,
    short_digest,
    user_data,
    write_json,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from napari_tool_runner.jobs.job import Job
    from napari_tool_runner.jobs.outputs import JobOutput, JobResult

__all__ = [
    "deliver",
    "job_json",
    "output_paths",
    "outputs_json",
    "parts_of",
    "real_text",
    "write_table",
]

_logger = logging.getLogger(__name__)
_DRAFT_END = re.compile(r"[0-9a-f]{8}(\.old)?")
_LONGEST = 190  # bytes of a name: behind it is room for a number
_WAIT = 600.0  # seconds for another delivery into the same folder


def output_paths(result: JobResult) -> dict[str, Path]:
    """Return output name (``name/element`` in collections) -> file."""
    return {name: part.path for name, part in parts_of(result.outputs).items()}


def parts_of(outputs: Mapping[str, JobOutput]) -> dict[str, JobOutput]:
    """Return output name (``name/element`` in collections) -> what is in one file."""
    return {
        f"{name}/{element}" if element else name: part
        for name, output in outputs.items()
        for element, part in output.files().items()
    }


def deliver(
    result: JobResult, folder: Path, prefix: str = "", given: set[str] | None = None
) -> dict[str, Path]:
    """Copy the outputs into `folder`, as ``PREFIX + output name + extension``.

    Elements of a collection get a folder of their own. What an earlier delivery left there is
    replaced whole, in the end, when all copies are complete. Returns the copies, named as by
    `output_paths`.

    Parameters
    ----------
    given : set of str
        Files that are not replaced, besides the job's own inputs, as `real_text` tells them: a
        batch asks where thousands lie once, not with each result. The copies are added.

    Raises
    ------
    WorkspaceError
        Something else lies there, or the disk refuses; nothing is replaced then.
    """
    root, taken = result.workspace, set[str]()
    delivered: dict[str, Path] = {}
    collections = set[Path]()
    kept = {*(given or ()), *(real_text(path) for path in result.originals if os.path.isabs(path))}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # one delivery at a time: drafts that lie there already are of one that was killed
        with locked(folder, timeout=_WAIT), ExitStack() as drafts:
            for output, made in result.outputs.items():
                for element, part in made.files().items():
                    path = part.path
                    place = folder / file_name(f"{prefix}{output}") if element else folder
                    place.mkdir(parents=True, exist_ok=True)
                    suffix = result.formats.split(path.name)[1]
                    target = place / _free(element or f"{prefix}{output}", suffix, place, taken)
                    whole = sealed.kind(path, root) == "folder"
                    if whole:
                        _tidy(target)
                    if other := _foreign(target, whole, kept):
                        raise _in_the_way(target, other, root)
                    swap = _replacing_folder(target) if whole else replacing(target, alone=True)
                    sealed.copy(path, drafts.enter_context(swap), root)
                    delivered[f"{output}/{element}" if element else output] = target
                    collections |= {place} if element else set()
            names = {target.name for target in delivered.values()}
            for place in collections:
                others = (name for name in sorted(os.listdir(place)) if name[0] != ".")
                if other := next((name for name in others if name not in names), ""):
                    raise _in_the_way(place, f"holds {other}, which is not of this result", root)
            for target in delivered.values():  # copying takes its time
                if target.is_dir() and (other := _foreign(target, True, kept)):
                    raise _in_the_way(target, other, root)
    except OSError as error:
        raise WorkspaceError(
            f"The results cannot be copied to {folder}: {error.strerror or error}.",
            hint=f"The results lie in {root}; copy them from there, or name another folder.",
        ) from error
    if given is not None:
        given |= {real_text(path) for path in delivered.values()}
    return delivered


def real_text(path: str | os.PathLike[str]) -> str:
    """Return where a path leads, as a text that is the same for all names of that place."""
    text = os.path.realpath(path)
    return text.casefold() if sys.platform in ("win32", "darwin") else text


def _in_the_way(place: Path, what: str, root: Path) -> WorkspaceError:
    return WorkspaceError(
        f"{place} {what}; it was left as it is.",
        hint=f"Move that away, or name another folder. The results lie in {root}.",
    )


def _foreign(target: Path, folder: bool, kept: Collection[str]) -> str:
    """Say what stands at `target` that a new file, or `folder`, must not take the place of.

    That is what the job was given (`kept`), what is of the other kind, and a folder with
    anything in it that the last delivery did not leave there.
    """
    if not os.path.lexists(target):
        return ""
    real = real_text(target)
    above = {real, *map(str, Path(real).parents)}
    if not above.isdisjoint(kept) or any(one.startswith(real + os.sep) for one in kept):
        return "is, or holds, or lies in what the tool was given, or another result of this call"
    if target.is_symlink():
        return ""  # the link itself is replaced, not what it leads to
    if target.is_dir() != folder:
        held = next((entry.name for entry in sealed.below(target)), "") if not folder else ""
        is_folder = f"is a folder{held and f' (with {held})'}, and the result is a file"
        return "is a file, and the result is a folder" if folder else is_folder
    if not folder:
        return ""
    files = _left_at(target)
    folders = {str(above) for name in files for above in PurePosixPath(name).parents}
    others: list[str] = []
    for entry in sealed.below(target):
        path, inner = Path(entry.path).relative_to(target).as_posix(), entry.is_dir()
        if entry.is_symlink() or path not in (folders if inner else files):
            others.append(path)
            if entry.is_symlink() or not inner:  # which tells more than a folder
                break
    return f"holds {others[-1]}, which no delivery of yours left there" if others else ""


def _list_of(target: Path) -> Path:
    """Return the file of ours that says which files the last delivery left in a folder."""
    place = os.path.join(os.path.realpath(target.parent), target.name)
    return user_data() / "delivered" / f"{short_digest(place)}.json"


def _left_at(target: Path) -> set[str]:
    """Return the files that the last delivery left in a folder; without a list, none is ours."""
    try:
        told = read_json(_list_of(target))
    except FileNotFoundError:
        return set()
    except (OSError, ValueError) as error:
        _logger.warning("What was delivered to %s is not known any more: %s", target, error)
        return set()
    return {name for name in told if isinstance(name, str)} if isinstance(told, list) else set()


@contextmanager
def _replacing_folder(target: Path) -> Iterator[Path]:
    """Give a folder to fill, which takes the place of `target` in the end (of a link itself)."""
    parent = Path(os.path.realpath(target.parent))
    draft = parent / f"{_draft_start(target)}{token_hex(4)}"
    old = draft.with_name(f"{draft.name}.old")
    try:
        yield draft
        inside = (entry for entry in sealed.below(draft) if not entry.is_dir())
        names = {Path(entry.path).relative_to(draft).as_posix() for entry in inside}
        # whichever of the two lies there when we are killed, it is ours
        write_json(_list_of(target), sorted(names | _left_at(target)), indent=None)
        if os.path.lexists(target):
            target.rename(old)
        try:
            draft.rename(target)
        except BaseException:  # also an interrupt
            if os.path.lexists(old):
                old.rename(target)
            raise
    except BaseException:
        with suppress(OSError, OutputError):
            sealed.remove(draft, parent)
        raise
    try:
        sealed.remove(old, parent)
        write_json(_list_of(target), sorted(names), indent=None)
    except (OSError, OutputError) as error:
        _logger.warning("What lay at %s before is left in %s: %s", target, old, error)


def _draft_start(target: Path) -> str:
    long = len(target.name) > 80  # a draft tells whose it is, also of a name that is cut
    return f".{target.name[:60] + short_digest(target.name) if long else target.name}."


def _tidy(target: Path) -> None:
    """Put back what a delivery that was killed had moved away, and delete its drafts."""
    parent = Path(os.path.realpath(target.parent))
    start = _draft_start(target)
    for name in sorted(os.listdir(parent), reverse=True):
        if not name.startswith(start) or not _DRAFT_END.fullmatch(name, len(start)):
            continue
        if name.endswith(".old") and not os.path.lexists(target):
            (parent / name).rename(target)
            _logger.warning("%s was put back: the delivery before was cut off.", target)
        else:
            sealed.remove(parent / name, parent)


def _free(label: str, suffix: str, place: Path, taken: set[str]) -> str:
    """Return the name of a copy, which no other copy has, also regardless of case.

    Names of outputs and of elements come from descriptors and programs: they are no paths.
    """
    stem = file_name(label, most=_LONGEST - len(suffix.encode()))
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
        "earlier": job.recorded().earlier,
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


def write_table(path: Path, columns: Mapping[str, Sequence[object]]) -> None:
    """Write columns of one length as CSV, with all digits; raises OSError."""
    with replacing(path) as draft, draft.open("w", encoding="utf-8", newline="") as stream:
        rows = zip(*columns.values(), strict=True)
        csv.writer(stream).writerows([[*columns], *rows])
