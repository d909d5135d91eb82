"""Small data that a new tool is tried on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_tool_runner.errors import ParameterError
from napari_tool_runner.tools.model import (
    BooleanParameter,
    DataParameter,
    DirectoryParameter,
    LayerKind,
)
from napari_tool_runner.tools.values import EMPTY_IS_ABSENT, default_value

if TYPE_CHECKING:
    from napari_tool_runner.tools.model import Parameter, Tool

__all__ = ["sample_values"]

_SHAPE = (48, 64)


def sample_values(tool: Tool, folder: Path) -> tuple[dict[str, str], dict[str, Path]]:
    """Return values that `tool` may be tried on, and files for its data, written to `folder`.

    What has a default, or may be absent, is left as it is.

    Raises
    ------
    ParameterError
        Nobody knows what would fit.
    """
    values, files = dict[str, str](), dict[str, Path]()
    for parameter in tool.parameters():
        if parameter.optional or isinstance(parameter, BooleanParameter):
            continue
        if isinstance(parameter, DataParameter):
            files[parameter.name] = _file(parameter, folder)
        elif default_value(parameter) in (None, "") and parameter.native != EMPTY_IS_ABSENT:
            values[parameter.name] = _value(parameter)
    return values, files


def _value(parameter: Parameter) -> str:
    if isinstance(parameter, DirectoryParameter):
        name = parameter.name
        raise ParameterError(f"Nobody knows a folder for “{name}”.", name=name)
    low = getattr(parameter, "minimum", None)
    return "1" if low is None or low <= 1 else str(low)


def _file(parameter: DataParameter, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    form = parameter.formats[0] if parameter.formats else ""
    if LayerKind.LABELS in parameter.kinds[:1]:
        return _image(folder / "sample_labels.tif", _labels())
    if form == "imagetiff":
        return _image(folder / "sample.tif", _blobs())
    if form == "csv":
        path = folder / "sample.csv"
        path.write_text("index,axis-0,axis-1\n0,12,16\n1,30,40\n", encoding="utf-8")
        return path
    raise ParameterError(f"There is no sample of the format “{form}”.", name=parameter.name)


def _image(path: Path, pixels: np.ndarray) -> Path:
    import tifffile

    tifffile.imwrite(path, pixels)
    return path


def _labels() -> np.ndarray:
    rows, columns = np.indices(_SHAPE)
    found = np.zeros(_SHAPE, np.uint16)
    for number, (row, column) in enumerate(((12, 16), (30, 40)), 1):
        found[(rows - row) ** 2 + (columns - column) ** 2 < 49] = number
    return found


def _blobs() -> np.ndarray:
    """Return two discs on a ground that is not even, the same each time."""
    rows, columns = np.indices(_SHAPE)
    return (20 + (3 * rows + 5 * columns) % 7 + 150 * (_labels() > 0)).astype(np.uint8)
