"""The exchange's three verbs: snapshot, export, load (DESIGN §5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.exchange.exporting import write_snapshot
from napari_tool_runner.exchange.loading import load_output
from napari_tool_runner.exchange.matching import accepted_kinds
from napari_tool_runner.exchange.snapshots import take_snapshot

if TYPE_CHECKING:
    from napari_tool_runner.exchange.model import LayerSnapshot, LoadedOutput
    from napari_tool_runner.tools.dialect import CollectedFile, DataFile
    from napari_tool_runner.tools.model import DataOutput, DataParameter, LayerKind, Tool

__all__ = ["Exported", "export", "load", "matching_kinds", "snapshot"]


@dataclass(frozen=True, slots=True)
class Exported:
    """A snapshot as a file. `copied` is False when the original file is passed.

    What had to be converted or cast is told in `notes`. `sha256` is empty for what
    takes time to hash; `content_sha256` does it in the background.
    """

    file: DataFile
    copied: bool
    notes: tuple[str, ...] = ()
    sha256: str = ""


def snapshot(value: object, name: str = "") -> LayerSnapshot:
    """Take a snapshot of a layer, an array, a LayerData tuple, a DataFrame or a path.

    Never copies pixels and never blocks: call it on the GUI thread.

    Raises
    ------
    UnsupportedLayerError
    """
    return take_snapshot(value, name)


def export(
    snap: LayerSnapshot,
    parameter: DataParameter,
    folder: Path,
    *,
    dialect: str,
    reference: LayerSnapshot | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Exported:
    """Write `snap` into `folder` in the best carrier that `parameter` accepts.

    `reference`: the image whose pixel grid coordinates are converted to, when the
    transforms of the two layers differ. `progress`: called with the bytes done and in
    all while pixels are written; what it raises (a cancel) ends the writing and
    leaves no file.

    Raises
    ------
    UnsupportedLayerError, LossyConversionError, ExchangeError
    """
    written = write_snapshot(
        snap, parameter, folder, dialect=dialect, reference=reference, progress=progress
    )
    return Exported(written.file, written.copied, written.notes, written.sha256)


def load(
    file: CollectedFile,
    output: DataOutput,
    tool: Tool,
    *,
    inputs: Mapping[str, LayerSnapshot],
    kind: LayerKind | None = None,
) -> LoadedOutput:
    """Open a tool's output as a layer to be; see DESIGN §5 for how the kind is chosen.

    `inputs`: full parameter name -> what went in (the first is the default
    reference). `kind`: the user's override.

    Raises
    ------
    OutputError
        Truncated, unreadable, or of another type than declared.
    """
    return load_output(file, output, tool, inputs=inputs, kind=kind)


def matching_kinds(parameter: DataParameter, dialect: str) -> Sequence[LayerKind]:
    """Return the kinds of layers that can become a file that `parameter` accepts."""
    return accepted_kinds(parameter)
