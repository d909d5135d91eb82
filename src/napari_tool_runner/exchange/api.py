"""The exchange's three verbs: snapshot, export, load (DESIGN §5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_tool_runner.exchange.model import LayerSnapshot, LoadedOutput
    from napari_tool_runner.tools.dialect import CollectedFile, DataFile
    from napari_tool_runner.tools.model import DataOutput, DataParameter, LayerKind, Tool

__all__ = ["Exported", "export", "load", "matching_kinds", "snapshot"]


@dataclass(frozen=True, slots=True)
class Exported:
    """A snapshot as a file. `copied` is False when the original file is passed.

    `format` of the file is told in `notes` when the layer had to be converted.
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
    raise NotImplementedError


def export(
    snap: LayerSnapshot,
    parameter: DataParameter,
    folder: Path,
    *,
    dialect: str,
    reference: LayerSnapshot | None = None,
) -> Exported:
    """Write `snap` into `folder` in the best carrier that `parameter` accepts.

    `reference`: the image whose pixel grid coordinates are converted to, when the
    transforms of the two layers differ.

    Raises
    ------
    UnsupportedLayerError, LossyConversionError, ExchangeError
    """
    raise NotImplementedError


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
    raise NotImplementedError


def matching_kinds(parameter: DataParameter, dialect: str) -> Sequence[LayerKind]:
    """Return the kinds of layers that can become a file that `parameter` accepts."""
    raise NotImplementedError
