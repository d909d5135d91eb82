"""Bare arrays: NumPy's ``.npy``, HDF5, numbers in a CSV."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from napari_tool_runner.errors import OutputError, UnsupportedLayerError
from napari_tool_runner.exchange.axes import are_colours
from napari_tool_runner.exchange.blocks import TypePlan, read_blocks, write_blocks
from napari_tool_runner.exchange.carriers.cells import WHOLE
from napari_tool_runner.exchange.carriers.tables import table_text
from napari_tool_runner.exchange.files import check_fits
from napari_tool_runner.exchange.geometry import plain_geometry
from napari_tool_runner.exchange.model import ArrayLike, Content, Pixels, Progress
from napari_tool_runner.sealed import open_file

__all__ = [
    "bare_content",
    "read_hdf5",
    "read_npy",
    "read_numbers",
    "write_hdf5",
    "write_matrix",
    "write_npy",
]


def write_npy(pixels: Pixels, path: Path, *, progress: Progress | None = None) -> list[str]:
    """Write any type, block by block."""
    native = np.dtype(pixels.array.dtype).newbyteorder("<")
    header = {
        "descr": np.lib.format.dtype_to_descr(native),
        "fortran_order": False,
        "shape": tuple(int(s) for s in pixels.array.shape),
    }
    with path.open("wb") as file:
        np.lib.format.write_array_header_2_0(file, header)
        offset = file.tell()
    plan = TypePlan(native)
    write_blocks(pixels, path, offset, plan, progress)
    return []


def bare_content(data: ArrayLike, *, own: bool) -> Content:
    """Return an array of which nobody says what its axes are.

    `own`: it is the user's, who sees its last axis as colours where napari takes it for those.
    """
    rgb = own and are_colours(data.shape)
    shape = data.shape[:-1] if rgb else data.shape
    note = f"Its last axis, of {data.shape[-1]} steps, was taken for colours, as napari takes it."
    return Content(data, plain_geometry(shape), rgb=rgb, bare=True, notes=(note,) * rgb)


def read_npy(path: Path, *, writable: bool = False, root: Path | None = None) -> Content:
    """Open an array memory-mapped; never unpickles.

    Raises
    ------
    OutputError
    """
    with open_file(path, root) as file:
        version = np.lib.format.read_magic(file)
        head = np.lib.format.read_array_header_1_0
        if version[0] > 1:
            head = np.lib.format.read_array_header_2_0
        shape, fortran, dtype = head(file)
        if dtype.kind not in "biufc":
            raise OutputError(f"{path.name} holds {dtype}, which is no image.")
        order: Literal["C", "F"] = "F" if fortran else "C"
        mode: Literal["c", "r"] = "c" if writable else "r"
        data = np.memmap(file, dtype, mode, file.tell(), shape, order)
    return bare_content(data, own=root is None)


def write_hdf5(pixels: Pixels, path: Path, *, progress: Progress | None = None) -> list[str]:
    """Write one dataset, ``data``, with the letters of its axes as ``axes``.

    Raises
    ------
    UnsupportedLayerError
        h5py is not installed.
    """
    h5py = _h5py()
    with h5py.File(path, "w") as file:
        data = file.create_dataset("data", shape=pixels.array.shape, dtype=pixels.array.dtype)
        data.attrs["axes"] = pixels.axes
        for key, block in read_blocks(pixels.array, progress):
            data[key] = block
    return []


def read_hdf5(path: Path, root: Path | None = None) -> Content:
    """Read the largest dataset into memory.

    Raises
    ------
    OutputError
    """
    try:
        h5py = _h5py()
    except UnsupportedLayerError as error:
        raise OutputError(
            f"{path.name} cannot be opened: {error.message}", hint=error.hint
        ) from error
    nodes: list[Any] = []
    with open_file(path, root) as opened, h5py.File(opened, "r") as file:
        file.visititems(lambda _, node: nodes.append(node))
        sets = [node for node in nodes if isinstance(node, h5py.Dataset) and node.ndim]
        found = [node for node in sets if node.dtype.kind in "biuf"]
        if not found:
            raise OutputError(f"{path.name} holds no array.")
        best = max(found, key=lambda node: node.size)
        if best.external or best.is_virtual:
            raise OutputError(
                f"{path.name} keeps “{best.name}” in other files, which are not opened.",
                hint="Let the tool write them into the file itself.",
            )
        check_fits(best.size * best.dtype.itemsize, path)
        data, name = np.asarray(best[...]), best.name
    notes = (f"It holds {len(found)} arrays; “{name}” was opened.",) if len(found) > 1 else ()
    return Content(data, plain_geometry(data.shape), notes=notes)


def read_numbers(path: Path, name: str, root: Path | None = None) -> Content:
    """Read BioImageIT's ``numbercsv`` and ``arraycsv``: every cell is a value.

    Raises
    ------
    OutputError
        When there is something that is no number.
    """
    cells = [
        cell.strip() for line in csv.reader(io.StringIO(table_text(path, root))) for cell in line
    ]
    try:
        values = np.array([float(cell) for cell in cells if cell])
    except ValueError as error:
        raise OutputError(
            f"{path.name} should hold numbers only: {error}",
            hint="Declare the output as tablecsv when it is a table.",
        ) from error
    whole = [cell for cell in cells if cell]
    if values.size and all(map(WHOLE.fullmatch, whole)):
        values = np.array([int(cell) for cell in whole])  # they keep every digit
    return Content(data={name: values}, header=False)


def write_matrix(values: np.ndarray, path: Path, *, tabs: bool = False) -> None:
    """Write a number, a row or a matrix (ndim <= 2) without a header."""
    frame = pd.DataFrame(np.atleast_2d(values))
    frame.to_csv(path, index=False, header=False, sep="\t" if tabs else ",", lineterminator="\n")


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise UnsupportedLayerError(
            "HDF5 files need the package h5py.",
            hint="Install h5py beside napari, or give the tool a TIFF.",
        ) from error
    return h5py
