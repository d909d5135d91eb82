"""Surfaces as PLY, OBJ, OFF, STL and GLB.

Columns of vertices keep the order of the layer's axes, as napari's own OBJ reader
has it. Only PLY holds a value at each vertex. Text and PLY keep every digit of the
vertices, which trimesh does not, so those are written here; all are read by trimesh.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from napari_tool_runner._lazy import np
from napari_tool_runner.errors import OutputError, UnsupportedLayerError
from napari_tool_runner.exchange.model import Content, SurfaceData
from napari_tool_runner.names import size_text
from napari_tool_runner.sealed import MAX_PARSED, open_file

if TYPE_CHECKING:
    import trimesh

__all__ = ["read_mesh", "write_mesh"]

_VALUE_NAMES = ("value", "quality", "scalar", "intensity", "scalar_value")
_LINES, _LINE = 1000, 10_000  # of the header of a PLY; they have 10 lines
_SINGLE = ("stl", "glb")  # of single precision, by definition


def write_mesh(mesh: SurfaceData, path: Path, name: str, *, binary: bool = False) -> list[str]:
    """Write a mesh of three dimensions in the format `name`; return notes.

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
    notes = []
    if name.startswith("ply"):
        _write_ply(mesh, path, binary=binary)
    elif name in _SINGLE:
        import trimesh

        surface = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
        surface.export(path, file_type=name)
    elif name == "off":
        head = ["OFF", f"{len(mesh.vertices)} {len(mesh.faces)} 0"]
        rows = [_texts(vertex) for vertex in mesh.vertices.tolist()]
        rows += [f"3 {a} {b} {c}" for a, b, c in mesh.faces.tolist()]
        path.write_text("\n".join([*head, *rows, ""]), encoding="ascii")
    else:
        rows = [f"v {_texts(vertex)}" for vertex in mesh.vertices.tolist()]
        rows += [f"f {a + 1} {b + 1} {c + 1}" for a, b, c in mesh.faces.tolist()]
        path.write_text("\n".join([*rows, ""]), encoding="ascii")
    if not name.startswith("ply") and mesh.values is not None and not np.all(mesh.values == 1):
        notes.append(f"{name.upper()} holds no values at vertices; they were left out.")
    return notes


def _texts(values: Sequence[float]) -> str:
    return " ".join(repr(float(value)) for value in values)


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


def read_mesh(path: Path, name: str, root: Path | None = None) -> Content:
    """Read a mesh of the format `name`; polygons are cut into triangles.

    Other files that it may name (materials, textures) are never opened.

    Raises
    ------
    OutputError
    """
    import trimesh

    options = {"skip_materials": True} if name == "obj" else {}
    with open_file(path, root) as file:  # a stream, so that nothing beside it is looked for
        short = name[:3]  # plyascii: ply
        _check(file, short, path)
        found = trimesh.load_mesh(file, file_type=short, process=False, **options)
    vertices = np.asarray(found.vertices, dtype=float)
    faces = np.asarray(found.faces, dtype=np.int64).reshape(-1, 3)
    if name == "stl":  # each triangle has corners of its own
        vertices, index = np.unique(vertices[faces.ravel()], axis=0, return_inverse=True)
        faces = index.reshape(-1, 3)
    mesh = SurfaceData(vertices, faces, _values(found))
    if len(mesh.vertices) == 0:
        raise OutputError(f"{path.name} holds no vertex, or no triangle.")
    if faces.size and (faces.min() < 0 or faces.max() >= len(mesh.vertices)):
        raise OutputError(f"{path.name} names vertices that it does not have.")
    return Content(mesh)


def _check(file: IO[bytes], name: str, path: Path) -> None:
    """Refuse a mesh whose beginning promises what the file cannot hold.

    Raises
    ------
    OutputError
    """
    size = os.fstat(file.fileno()).st_size
    if size > MAX_PARSED:
        raise OutputError(
            f"{path.name} has {size_text(size)}; a mesh may have {size_text(MAX_PARSED)}.",
            hint="Let the tool write fewer triangles.",
        )
    counts: list[int] = []
    if name == "ply":
        counts = _ply_counts(file, path)
    elif name == "glb":
        head = file.read(20)
        length = int.from_bytes(head[12:16], "little")
        told = json.loads(file.read(min(length, size)))
        counts = [int(one.get("count", 0)) for one in told.get("accessors", ())]
        if any("uri" in one for one in told.get("buffers", ())):
            raise OutputError(f"{path.name} keeps its data in other files, which are not opened.")
    file.seek(0)
    if any(not 0 <= count <= size for count in counts):
        raise OutputError(
            f"{path.name} has {size} bytes and says that it holds {max(counts)} parts.",
            hint="The tool stopped while writing it, or the disk is full.",
        )


def _ply_counts(file: IO[bytes], path: Path) -> list[int]:
    """Return how many of each kind a PLY says it has; one without a property never ends."""
    counts: list[int] = []
    bare = False
    for _ in range(_LINES):
        line = file.readline(_LINE).decode("utf-8", "replace").split()
        if line[:1] == ["end_header"]:
            break
        if line[:1] == ["element"]:
            if bare:
                break
            counts.append(int(line[2]))
            bare = True
        elif line[:1] == ["property"]:
            bare = False
    else:
        bare = True
    if bare or not counts:
        raise OutputError(
            f"{path.name} is no proper PLY: its header does not end, or names parts without a "
            "property.",
            hint="The tool stopped while writing it.",
        )
    return counts


def _values(mesh: trimesh.Trimesh) -> np.ndarray | None:
    """Return the values at the vertices of a PLY, shape (V,)."""
    columns = mesh.metadata.get("_ply_raw", {}).get("vertex", {}).get("data")
    names = () if columns is None else getattr(columns, "dtype", np.dtype("f8")).names or columns
    found = next((name for name in _VALUE_NAMES if name in names), None)
    return None if found is None else np.asarray(columns[found], dtype=float).reshape(-1)
