"""BioImageIT's comparisons of a test's outputs with reference files.

==============  ====================================================================
``compare``     two files agree when
==============  ====================================================================
`sim_content`   images: same shape, and mean squared error below 0.001 (BioImageIT's
                own limit) or a millionth of the squared value range (60 dB).
                Labels keep the 0.001. Movies: so in every frame. Tables: same shape, text
                equal, numbers within 1e-6 relative or 1e-9. Other files: equal bytes.
`sim_size`      sizes differ by at most 10000 bytes (Galaxy's limit)
`same_size`     sizes are equal
`diff`          text lines are equal (at most ``lines_diff`` differ); line ends are
                not compared
*(empty)*       as `sim_content`
==============  ====================================================================

``eps`` on the output replaces the 0.001 (in tables the 1e-6), ``delta`` the 10000.
"""

from __future__ import annotations

import csv
import difflib
import math
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.names import count_text
from napari_tool_runner.tools.formats import FORMATS, Carrier, Formats
from napari_tool_runner.tools.model import LayerKind, TestOutput, Tool, ToolTest

if TYPE_CHECKING:
    import numpy as np

    from napari_tool_runner.tools.dialect import TestOutcome

__all__ = ["compare_files", "verify_outcome"]

_EPS = 1e-3
_RELATIVE_EPS = 1e-6
_CELL_EPS = 1e-6
_SIZE_DELTA = 10_000
_IMAGES = (Carrier.TIFF, Carrier.PICTURE, Carrier.NPY)
_TABLES = (Carrier.TABLE, Carrier.ARRAY, Carrier.NUMBER)


def verify_outcome(tool: Tool, test: ToolTest, outcome: TestOutcome) -> list[str]:
    """Return what differs between `outcome` and what `test` expects."""
    problems: list[str] = []
    wanted_code = str(test.extra.get("expect_exit_code", ""))
    if wanted_code and str(outcome.exit_code) != wanted_code:
        problems.append(f"The exit code is {outcome.exit_code}, not {wanted_code}.")
    if test.expect_failure:
        if not outcome.failed:
            problems.append("The tool was expected to fail, but succeeded.")
        return problems
    if outcome.failed:
        return [*problems, f"The tool failed with exit code {outcome.exit_code}."]
    for expected in test.outputs:
        collected = outcome.outputs.get(expected.name)
        if collected is None or not collected.files:
            problems.append(f"The output “{expected.name}” was not written.")
            continue
        if not expected.file:
            continue
        problem = compare_files(
            collected.files[0].path,
            Path(expected.file),
            expected,
            formats=tool.formats,
            labels=collected.output.kind is LayerKind.LABELS,
            movie=collected.output.format == "movietxt",
        )
        if problem:
            problems.append(f"{expected.name}: {problem}")
    return problems


def compare_files(
    made: Path,
    reference: Path,
    expected: TestOutput,
    *,
    formats: Formats = FORMATS,
    labels: bool = False,
    movie: bool = False,
) -> str | None:
    """Return one sentence on how `made` differs from `reference`, None if it agrees.

    Parameters
    ----------
    formats : Formats
        Those of the tool.
    labels : bool
        The pixels are names of objects.
    movie : bool
        Both files are lists of image files, one a frame.
    """
    if not reference.exists():
        return f"The reference {reference.name} is missing from {reference.parent}."
    how = expected.compare or "sim_content"
    if how == "same_size":
        return _sizes(made, reference, 0)
    if how == "sim_size":
        return _sizes(made, reference, _number(expected, "delta", _SIZE_DELTA))
    if how == "diff":
        return _lines(made, reference, _number(expected, "lines_diff", 0))
    if how != "sim_content":
        return f"The comparison “{how}” is not known."
    eps = _number(expected, "eps", _EPS)
    family = _family(reference, formats)
    listed = Carrier.MOVIE in (entry.carrier for entry in formats.of_file(reference.name))
    try:
        if movie and listed:
            return _movies(made, reference, eps, formats, relative=not labels)
        if family in _IMAGES:
            return _images(made, reference, eps, formats, relative=not labels)
        if family in _TABLES:
            return _tables(made, reference, _number(expected, "eps", _CELL_EPS), formats)
    except (OSError, ValueError) as error:
        return f"It cannot be compared: {error}."
    if reference.is_dir() or made.is_dir():
        return _folders(made, reference)
    return None if made.read_bytes() == reference.read_bytes() else "The contents differ."


def _family(path: Path, formats: Formats) -> Carrier:
    known = formats.of_file(path.name)
    return formats.family(known[0].name) if known else Carrier.UNKNOWN


def _sizes(made: Path, reference: Path, delta: float) -> str | None:
    first, second = (
        sum(file.stat().st_size for file in _files(path)) for path in (made, reference)
    )
    if abs(first - second) <= delta:
        return None
    return f"It has {first} bytes, the reference {second} (allowed difference {delta:g})."


def _lines(made: Path, reference: Path, allowed: float) -> str | None:
    try:
        first, second = (path.read_text("utf-8").splitlines() for path in (made, reference))
    except (OSError, UnicodeDecodeError) as error:
        return f"It cannot be compared as text: {error}."
    changed = [
        line
        for line in difflib.unified_diff(second, first, n=0, lineterm="")
        if line[:1] in "+-" and not line.startswith(("+++", "---"))
    ]
    if len(changed) <= allowed:
        return None
    return f"{count_text(len(changed), 'line differs', 'lines differ')}, first “{changed[0]}”."


def _movies(
    made: Path, reference: Path, eps: float, formats: Formats, *, relative: bool
) -> str | None:
    first, second = (
        [
            path.parent / line.strip()
            for line in path.read_text("utf-8").splitlines()
            if line.strip()
        ]
        for path in (made, reference)
    )
    if len(first) != len(second):
        return f"It has {count_text(len(first), 'frame')}, the reference {len(second)}."
    for number, (frame, wanted) in enumerate(zip(first, second, strict=True), start=1):
        problem = _images(frame, wanted, eps, formats, relative=relative)
        if problem:
            return f"Frame {number}: {problem}"
    return None


def _images(
    made: Path, reference: Path, eps: float, formats: Formats, *, relative: bool
) -> str | None:
    import numpy as np

    first, second = _pixels(made, formats), _pixels(reference, formats)
    if first.shape != second.shape:
        return f"Its shape is {first.shape}, the reference's {second.shape}."
    if not first.size:
        return None
    a, b = first.astype(np.float64), second.astype(np.float64)
    unlike = np.isnan(a) != np.isnan(b)
    if unlike.any():
        return f"Pixels that are not a number in only one of the two: {int(unlike.sum())}."
    same = (a == b) | np.isnan(a)  # equal infinities must not become inf - inf
    difference = np.where(same, 0.0, np.subtract(a, b, where=~same, out=np.zeros_like(a)))
    mse = float(np.mean(difference**2))
    limit = eps
    if relative:
        finite = b[np.isfinite(b)]
        span = float(finite.max() - finite.min()) if finite.size else 0.0
        limit = max(eps, _RELATIVE_EPS * span**2)
    if mse < limit:
        return None
    return f"The mean squared error is {mse:.4g}, not below {limit:.4g}."


def _pixels(path: Path, formats: Formats) -> np.ndarray:
    import numpy as np

    family = _family(path, formats)
    if family is Carrier.NPY:
        loaded: np.ndarray = np.load(path, allow_pickle=False)
        return loaded
    if family is Carrier.TIFF:
        import tifffile

        return np.asarray(tifffile.imread(path))
    from skimage import io

    return np.asarray(io.imread(path))


def _tables(made: Path, reference: Path, eps: float, formats: Formats) -> str | None:
    first, second = _rows(made, formats), _rows(reference, formats)
    if len(first) != len(second):
        return f"It has {count_text(len(first), 'row')}, the reference {len(second)}."
    for number, (row, wanted) in enumerate(zip(first, second, strict=True), start=1):
        if len(row) != len(wanted):
            return (
                f"Row {number} has {count_text(len(row), 'column')}, the reference {len(wanted)}."
            )
        for cell, other in zip(row, wanted, strict=True):
            if not _same_cell(cell, other, eps):
                return f"Row {number} has “{cell}”, the reference “{other}”."
    return None


def _rows(path: Path, formats: Formats) -> list[list[str]]:
    delimiter = next((entry.delimiter for entry in formats.of_file(path.name)), "\t")
    with path.open(newline="", encoding="utf-8-sig") as stream:
        return [row for row in csv.reader(stream, delimiter=delimiter) if row]


def _same_cell(cell: str, other: str, eps: float) -> bool:
    if cell.strip() == other.strip():
        return True
    try:
        return math.isclose(float(cell), float(other), rel_tol=eps, abs_tol=1e-9)
    except ValueError:
        return False


def _folders(made: Path, reference: Path) -> str | None:
    first, second = (
        {file.relative_to(folder): file.read_bytes() for file in _files(folder)}
        for folder in (made, reference)
    )
    names = first.keys() | second.keys()
    unlike = sorted(name.as_posix() for name in names if first.get(name) != second.get(name))
    return (
        f"{count_text(len(unlike), 'file differs', 'files differ')}, first {unlike[0]}."
        if unlike
        else None
    )


def _files(path: Path) -> list[Path]:
    return [entry for entry in path.rglob("*") if entry.is_file()] if path.is_dir() else [path]


def _number(expected: TestOutput, name: str, default: float) -> float:
    try:
        return float(str(expected.attributes[name]))
    except (KeyError, ValueError):
        return default
