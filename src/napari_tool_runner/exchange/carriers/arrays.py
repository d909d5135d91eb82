"""Bare arrays: NumPy's ``.npy``, HDF5, numbers in a CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from napari_tool_runner._lazy import compiled, np
from napari_tool_runner.errors import OutputError, UnsupportedLayerError
from napari_tool_runner.exchange.axes import are_colours, letter, letters
from napari_tool_runner.exchange.blocks import TypePlan, read_blocks, write_blocks
from napari_tool_runner.exchange.carriers.cells import WHOLE, table_text
from napari_tool_runner.exchange.files import check_fits
from napari_tool_runner.exchange.geometry import plain_geometry
from napari_tool_runner.exchange.model import ArrayLike, Content, Pixels, Progress, items
from napari_tool_runner.exchange.units import canonical, conversion
from napari_tool_runner.sealed import open_file
from napari_tool_runner.storage import parse_json

__all__ = [
    "bare_content",
    "described",
    "read_hdf5",
    "read_npy",
    "read_numbers",
    "untaken",
    "write_hdf5",
    "write_matrix",
    "write_npy",
]

_NAMES = ("DIMENSION_LABELS", "_ARRAY_DIMENSIONS", "dimension_names", "axis_names", "axes")
_SIZES = compiled(
    r"^(pixel)?resolution|^(voxel|pixel|element)_?(size|spacing)|^spacing$|^finterval$|^scale$|^transform$",
    re.IGNORECASE,
)
_CELLS = compiled(r"^/t\d{5}/s\d{2}/\d+/cells$")  # BigDataViewer
_IMARIS = compiled(r"^/DataSet/ResolutionLevel \d+/TimePoint \d+/Channel \d+/Data$")


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
        try:
            shape, fortran, dtype = head(file)
        except ValueError as error:  # NumPy's advice would be to trust the file and unpickle it
            raise OutputError(
                f"{path.name} cannot be read as NumPy: its header is damaged, or longer than any "
                "of an image.",
                hint="Let the program write a plain array of numbers.",
            ) from error
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
        notes = [f"It holds {len(found)} arrays; “{best.name}” was opened."] * (len(found) > 1)
        about = [node for node in nodes if node.name == "/DataSetInfo/Image"]
        data, told = np.asarray(best[...]), _attributes([file, *about, best.parent, best])
        steps = _scales(best, told, notes)
        if _CELLS.search(best.name) and data.ndim == 3:
            told["axes"] = "zyx"
            notes.append("How large its pixels are is told in the XML beside it: it is not read.")
        elif _IMARIS.search(best.name) and data.ndim == 3:
            data = _without_padding(data, told)
    content = described(data, told, steps, bare=Content(data, plain_geometry(data.shape)))
    return replace(content, notes=(*notes, *content.notes))


def _attributes(nodes: Sequence[Any]) -> dict[str, object]:
    """Return what groups and an array of HDF5 say; the later ones count more."""
    told = dict[str, object]()
    for node in nodes:
        for name in node.attrs:
            try:
                told[name] = node.attrs[name]
            except (OSError, TypeError, ValueError):  # of a type that h5py does not know
                continue
    return told


def _scales(data: Any, told: dict[str, object], notes: list[str]) -> dict[int, tuple[float, str]]:
    """Return the steps that the scales of an array's axes tell, and add their names to `told`."""
    steps, names = dict[int, tuple[float, str]](), list[str]()
    for i, size in enumerate(data.shape):
        for scale in [*data.dims[i].values()][:1]:
            if scale.shape == (size,) and not (scale.external or scale.is_virtual):
                names.append(scale.name.rsplit("/", 1)[-1])
                apart = np.diff(scale[...].astype(float))
                if apart.size and np.allclose(apart, apart[0], rtol=1e-4, atol=0) and apart[0]:
                    unit = canonical(_text(scale.attrs.get("units")))
                    steps[i] = (float(f"{abs(apart.mean()):.9g}"), unit)
                elif apart.size:
                    notes.append(f"Its axis {names[-1]} is not evenly spaced: it has no step.")
    if len(names) == data.ndim:
        told.setdefault("axes", names)
    return steps


def _without_padding(data: np.ndarray, told: dict[str, object]) -> np.ndarray:
    """Return the volume of an Imaris file, and add its axes and pixel size to `told`."""
    sizes = [
        _numbers(_text(told.get(f"ImageSize{axis}"))) or [n]
        for axis, n in zip("ZYX", data.shape, strict=True)
    ]
    data = data[tuple(slice(max(1, int(size[0]))) for size in sizes)]
    ends = [
        [_numbers(_text(told.get(f"Ext{end}{i}"))) for end in ("Max", "Min")] for i in (2, 1, 0)
    ]
    factor = conversion(_text(told.get("Unit")) or "um", "micrometer")
    told["axes"] = "zyx"
    if all(high and low for high, low in ends):
        told["element_size_um"] = [
            abs(high[0] - low[0]) * factor / size
            for (high, low), size in zip(ends, data.shape, strict=True)
        ]
    return data


def described(
    data: ArrayLike,
    told: Mapping[str, object],
    steps: Mapping[int, tuple[float, str]],
    *,
    bare: Content,
) -> Content:
    """Return an array with what its attributes say of its axes; nothing: it is `bare`.

    In the words of ilastik (``axistags``, ``element_size_um``), HDF5, xarray and ourselves. Sizes
    whose order or unit nobody tells are not taken, and a note tells them. `steps`: size and unit
    of steps along axes that are known.
    """
    names, n = _names(told, len(data.shape)), len(data.shape)
    rgb = bool(names) and names[-1].lower() == "s" and data.shape[-1] in (3, 4)
    names, n = names[: n - rgb], n - rgb
    axes = letters(names, [""] * n)
    space = [i for i, axis in enumerate(axes) if axis in "ZYX"]
    sizes = _numbers(told.get("element_size_um"))
    used = sizes[-len(space) :] if space and len(sizes) in (len(space), 3) else []
    ordered = "".join(axes[i] for i in space) in "ZYX" or len({*used}) == 1
    if len(used) == len(space) and ordered and min(used, default=0) > 0:
        steps = {**steps, **{i: (s, "micrometer") for i, s in zip(space, used, strict=True)}}
        told = {**told, "element_size_um": None}
    notes = tuple(untaken(told))
    if not names and not steps:
        return replace(bare, notes=(*bare.notes, *notes))
    every = [steps.get(i, (1.0, "pixel")) for i in range(n)]
    geometry = plain_geometry(data.shape[:n], axes, every, names)
    calibrated = any(unit != "pixel" for _, unit in every)
    return Content(data, geometry, calibrated=calibrated, rgb=rgb, notes=notes)


def _names(told: Mapping[str, object], n: int) -> list[str]:
    """Return the names of `n` axes, of which one at least means something; else none."""
    for value in (_tags(told), *(told.get(key) for key in _NAMES)):
        if isinstance(value, str | bytes):
            words = re.findall(r"[^\s,;]+", _text(value))
            words = [*words[0]] if len(words) == 1 else words
        else:
            parts = items(value) if isinstance(value, list | tuple | np.ndarray) else []
            words = [
                _text(one.get("key", one.get("name")) if isinstance(one, Mapping) else one)
                for one in parts
            ]
        if len(words) == n and any(map(letter, words)):
            return words
    return []


def _tags(told: Mapping[str, object]) -> list[object]:
    """Return what vigra and ilastik say of each axis."""
    try:
        found = parse_json(_text(told.get("axistags")).encode())
    except ValueError:
        return []
    axes = found.get("axes") if isinstance(found, dict) else []
    return axes if isinstance(axes, list) else []


def untaken(told: Mapping[str, object]) -> Iterator[str]:
    """Say what may tell the size of pixels and is not taken for it, where it is not 1."""
    tags = [one.get("resolution") for one in _tags(told) if isinstance(one, Mapping)]
    for name, value in (*told.items(), ("axistags", tags)):
        if name == "axistags" or _SIZES.search(name):
            numbers = ", ".join(f"{number:g}" for number in _numbers(value))
            if isinstance(value, Mapping) or {*_numbers(value)} - {0.0, 1.0}:
                said = numbers or f"{value}"[:60]
                yield f"It says {name}: {said}; that was not taken for the size of its pixels."


def _text(value: object) -> str:
    """Return a text of HDF5, also one of bytes or of one letter a cell."""
    if isinstance(value, np.ndarray):
        return "".join(map(_text, value.ravel()[:1000]))
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")


def _numbers(value: object) -> list[float]:
    """Return the few finite numbers that a value is, else none."""
    try:
        found = np.asarray(value, dtype=float).ravel()
    except (TypeError, ValueError):
        return []
    return found.tolist() if found.size < 10 and np.isfinite(found).all() else []


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
    import pandas as pd

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
