"""Surfaces as OBJ, PLY and STL.

Columns of vertices keep the order of the layer's axes, as napari's own OBJ reader
has it. Only PLY holds a value at each vertex.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np

from napari_tool_runner.errors import OutputError, UnsupportedLayerError
from napari_tool_runner.exchange.model import Content, SurfaceData

__all__ = ["read_mesh", "write_mesh"]

_VALUE_NAMES = ("value", "quality", "scalar", "intensity", "scalar_value")
_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2",
    "ushort": "u2", "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4",
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip


def write_mesh(mesh: SurfaceData, path: Path, *, binary: bool = False) -> list[str]:
    """Write a mesh of three dimensions by the extension of `path`.

    Raises
    ------
    UnsupportedLayerError
        Vertices that do not have three coordinates.
    """
    if mesh.vertices.ndim != 2 or mesh.vertices.shape[1] != 3:
        raise UnsupportedLayerError(
            f"A mesh file holds points of 3 coordinates, not {mesh.vertices.shape[-1]}.",
            hint="Choose a surface of three dimensions.",
        )
    extension = path.suffix.lower()
    has_values = mesh.values is not None and not np.all(mesh.values == 1)
    notes = []
    if extension == ".ply":
        _write_ply(mesh, path, binary=binary)
    elif extension == ".stl":
        _write_stl(mesh, path)
    else:
        lines = [f"v {_texts(vertex)}" for vertex in mesh.vertices.tolist()]
        lines += [f"f {a + 1} {b + 1} {c + 1}" for a, b, c in mesh.faces.tolist()]
        path.write_text("\n".join(lines) + "\n", encoding="ascii")
    if has_values and extension != ".ply":
        notes.append(f"{extension[1:].upper()} holds no values at vertices; they were left out.")
    return notes


def read_mesh(path: Path) -> Content:
    """Read a mesh by its extension; polygons are cut into triangles.

    Raises
    ------
    OutputError
    """
    readers = {".ply": _read_ply, ".stl": _read_stl}
    try:
        mesh = readers.get(path.suffix.lower(), _read_obj)(path)
    except (ValueError, IndexError, KeyError, OSError, struct.error, OverflowError) as error:
        raise OutputError(
            f"{path.name} cannot be read as a mesh: {error}",
            hint="See the log of the job: the tool may have stopped while writing it.",
        ) from error
    if len(mesh.vertices) == 0:
        raise OutputError(f"{path.name} holds no vertex.")
    if mesh.faces.size and (mesh.faces.min() < 0 or mesh.faces.max() >= len(mesh.vertices)):
        raise OutputError(f"{path.name} names vertices that it does not have.")
    return Content(mesh)


def _texts(values: Sequence[float]) -> str:
    return " ".join(repr(float(value)) for value in values)


def _read_obj(path: Path) -> SurfaceData:
    vertices: list[list[float]] = []
    faces: list[list[int]] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        parts = line.split()
        if parts[:1] == ["v"]:
            vertices.append([float(part) for part in parts[1:4]])
        elif parts[:1] == ["f"]:
            numbers = [int(part.split("/")[0]) for part in parts[1:]]
            # Negative numbers count back from the last vertex so far.
            corners = [n - 1 if n > 0 else len(vertices) + n for n in numbers]
            faces += _triangles(corners)
    return SurfaceData(_vertices(vertices), _faces(faces))


def _write_ply(mesh: SurfaceData, path: Path, *, binary: bool) -> None:
    order = "binary_little_endian" if binary else "ascii"
    values = mesh.values
    if values is not None and values.shape != (len(mesh.vertices),):
        values = None
    header = ["ply", f"format {order} 1.0", f"element vertex {len(mesh.vertices)}"]
    header += [f"property double {axis}" for axis in "xyz"]
    if values is not None:
        header.append("property double value")
    header += [f"element face {len(mesh.faces)}", "property list uchar int vertex_indices"]
    header += ["end_header", ""]
    table = mesh.vertices if values is None else np.column_stack([mesh.vertices, values])
    with path.open("wb") as file:
        file.write("\n".join(header).encode())
        if binary:
            file.write(np.ascontiguousarray(table, "<f8").tobytes())
            records = np.empty(len(mesh.faces), [("n", "u1"), ("v", "<i4", 3)])
            records["n"], records["v"] = 3, mesh.faces
            file.write(records.tobytes())
            return
        rows = [_texts(row) for row in table.tolist()]
        rows += [f"3 {a} {b} {c}" for a, b, c in mesh.faces.tolist()]
        file.write("\n".join([*rows, ""]).encode())


def _read_ply(path: Path) -> SurfaceData:
    raw = path.read_bytes()
    end = raw.find(b"end_header")
    if end < 0:
        raise ValueError("its header has no end")
    start = raw.index(b"\n", end) + 1
    order = ""
    elements: list[tuple[str, int, list[list[str]]]] = []
    for line in raw[:end].decode("ascii", "replace").splitlines():
        parts = line.split()
        if parts[:1] == ["format"]:
            order = parts[1]
        elif parts[:1] == ["element"]:
            elements.append((parts[1], int(parts[2]), []))
        elif parts[:1] == ["property"]:
            elements[-1][2].append(parts[1:])
    if order == "ascii":
        tables = _ply_text(raw[start:].split(), elements)
    else:
        tables = _ply_binary(raw, start, elements, "<" if "little" in order else ">")
    vertex = tables["vertex"]
    vertices = np.column_stack([np.asarray(vertex[axis], dtype=float) for axis in "xyz"])
    values = next((np.asarray(vertex[n], float) for n in _VALUE_NAMES if n in vertex), None)
    corners = tables.get("face", {})
    lists = corners.get("vertex_indices", corners.get("vertex_index", []))
    rows = cast("list[list[int]]", lists)
    faces = [t for corner in rows for t in _triangles([int(i) for i in corner])]
    return SurfaceData(vertices, _faces(faces), values)


def _ply_text(
    words: list[bytes], elements: Sequence[tuple[str, int, list[list[str]]]]
) -> dict[str, dict[str, list[object]]]:
    position = 0
    tables: dict[str, dict[str, list[object]]] = {}
    for name, count, properties in elements:
        columns: dict[str, list[object]] = {p[-1]: [] for p in properties}
        for _ in range(count):
            for p in properties:
                if p[0] == "list":
                    n = int(words[position])
                    columns[p[-1]].append([int(w) for w in words[position + 1 : position + 1 + n]])
                    position += n + 1
                else:
                    columns[p[-1]].append(float(words[position]))
                    position += 1
        tables[name] = columns
    return tables


def _ply_binary(
    raw: bytes, start: int, elements: Sequence[tuple[str, int, list[list[str]]]], order: str
) -> dict[str, dict[str, list[object]]]:
    tables: dict[str, dict[str, list[object]]] = {}
    for name, count, properties in elements:
        if all(p[0] != "list" for p in properties):
            dtype = np.dtype([(p[1], order + _TYPES[p[0]]) for p in properties])
            table = np.frombuffer(raw, dtype, count, start)
            start += table.nbytes
            tables[name] = {p[1]: cast("list[object]", table[p[1]]) for p in properties}
            continue
        columns: dict[str, list[object]] = {p[-1]: [] for p in properties}
        for _ in range(count):
            for p in properties:
                size = 1
                if p[0] == "list":
                    counter = np.dtype(order + _TYPES[p[1]])
                    size = int(np.frombuffer(raw, counter, 1, start)[0])
                    start += counter.itemsize
                item = np.dtype(order + _TYPES[p[-2]])
                values = np.frombuffer(raw, item, size, start)
                start += values.nbytes
                columns[p[-1]].append(values.tolist() if p[0] == "list" else values[0])
        tables[name] = columns
    return tables


_STL = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])


def _write_stl(mesh: SurfaceData, path: Path) -> None:
    corners = mesh.vertices[mesh.faces].astype(np.float32)
    records = np.zeros(len(corners), _STL)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    records["normal"] = np.divide(normals, length, out=np.zeros_like(normals), where=length > 0)
    records["corners"] = corners
    with path.open("wb") as file:
        file.write(b"napari-tool-runner".ljust(80, b" ") + struct.pack("<I", len(corners)))
        file.write(records.tobytes())


def _read_stl(path: Path) -> SurfaceData:
    raw = path.read_bytes()
    (count,) = struct.unpack("<I", raw[80:84]) if len(raw) >= 84 else (-1,)
    if len(raw) == 84 + count * _STL.itemsize:
        corners = np.frombuffer(raw, _STL, count, 84)["corners"].reshape(-1, 3)
    elif raw.lstrip().startswith(b"solid"):
        words = raw.split()
        at = [i for i, word in enumerate(words) if word == b"vertex"]
        corners = np.array([[float(w) for w in words[i + 1 : i + 4]] for i in at])
    else:
        raise ValueError("it is truncated")
    vertices, index = np.unique(corners.reshape(-1, 3), axis=0, return_inverse=True)
    return SurfaceData(vertices.astype(float), index.reshape(-1, 3).astype(np.int64))


def _triangles(corners: Sequence[int]) -> list[list[int]]:
    """Cut a polygon into a fan of triangles."""
    return [[corners[0], corners[i], corners[i + 1]] for i in range(1, len(corners) - 1)]


def _vertices(rows: list[list[float]]) -> np.ndarray:
    return np.array(rows, dtype=float).reshape(-1, 3)


def _faces(rows: Sequence[Sequence[int]]) -> np.ndarray:
    return np.array(rows, dtype=np.int64).reshape(-1, 3)
