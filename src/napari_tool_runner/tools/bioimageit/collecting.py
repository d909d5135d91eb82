"""Finds the files that a bioimageit tool wrote, inside the job's folder only."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.errors import OutputError
from napari_tool_runner.tools.dialect import (
    CollectedFile,
    CollectedOutput,
    JobPaths,
    PlannedOutput,
    RenderedCommand,
)

if TYPE_CHECKING:
    from napari_tool_runner.tools.formats import Formats

__all__ = ["collect_outputs"]


def collect_outputs(
    rendered: RenderedCommand, paths: JobPaths, formats: Formats
) -> list[CollectedOutput]:
    """Return the outputs that exist; see `Dialect.collect`.

    Raises
    ------
    OutputError
        An output is a link out of the job's folder, or its ``from_work_dir`` is.
    """
    found = []
    for planned in rendered.outputs:
        path = _find(planned, paths, formats)
        if path is not None:
            file = CollectedFile(path, planned.format, planned.output.name)
            found.append(CollectedOutput(planned.output, (file,)))
    return found


def _find(planned: PlannedOutput, paths: JobPaths, formats: Formats) -> Path | None:
    candidates = []
    if planned.output.from_work_dir:
        candidates.append(paths.work / planned.output.from_work_dir)
    candidates.append(planned.path)
    # tools that choose the extension themselves: o.tiff for o.tif, o.png for raw o
    if planned.format:
        entry = formats.resolve(planned.format)
        stem = planned.path.name.removesuffix(entry.extension)
        others = [formats[parent] for parent in entry.parents]
        aliases = [*entry.aliases, *(e for other in others for e in other.extensions)]
        candidates += [planned.path.with_name(stem + alias) for alias in aliases]
    for candidate in candidates:
        if candidate.exists() or candidate.is_symlink():
            return _inside(candidate, planned, paths)
    if not planned.path.suffix and planned.path.parent.is_dir():
        named = sorted(
            entry
            for entry in planned.path.parent.iterdir()
            if entry.name.startswith(planned.path.name + ".")
        )
        if len(named) == 1:
            return _inside(named[0], planned, paths)
    return None


def _inside(path: Path, planned: PlannedOutput, paths: JobPaths) -> Path | None:
    """Return `path` when it exists and really lies in the job's folder."""
    try:
        real = path.resolve(strict=True)
    except FileNotFoundError:
        return None  # a link to nothing: the output is missing
    except (OSError, RuntimeError) as error:  # a circle of links
        raise OutputError(
            f"The output “{planned.output.name}” cannot be opened: {error}.",
            hint="The tool must write a plain file there.",
        ) from error
    if not real.is_relative_to(paths.root.resolve()):
        raise OutputError(
            f"The output “{planned.output.name}” is a link to {real}, outside the job's folder.",
            hint="It was not opened; the tool must write its own file.",
        )
    return path
