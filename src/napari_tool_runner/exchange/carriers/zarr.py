"""OME-Zarr (OME-NGFF 0.4 on Zarr 2, 0.5 on Zarr 3): one level out, any in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_tool_runner._lazy import np
from napari_tool_runner.errors import OutputError
from napari_tool_runner.exchange.axes import default_axes, letters
from napari_tool_runner.exchange.blocks import as_lazy, read_blocks, transposed
from napari_tool_runner.exchange.carriers.arrays import bare_content, described
from napari_tool_runner.exchange.geometry import select, with_axis
from napari_tool_runner.exchange.model import ArrayLike, Content, Geometry, Pixels, Progress
from napari_tool_runner.exchange.units import canonical, dimension, in_ome_unit, ome_symbol

if TYPE_CHECKING:
    import zarr

__all__ = ["read_zarr", "write_zarr"]

_ORDER = "TCZYX"
_TYPES = {"T": "time", "C": "channel", "Z": "space", "Y": "space", "X": "space"}
_CHUNK = 1024
_SMALL = 2**30


def write_zarr(
    pixels: Pixels, path: Path, *, version: str = "0.4", progress: Progress | None = None
) -> list[str]:
    """Write an OME-Zarr folder with one level, in the chunks of the source if it has any.

    Images are not compressed, labels are. Axes are brought into the order that the
    specification wants (time, channel, space); RGB becomes a channel axis.

    Parameters
    ----------
    version : str
        ``0.4`` (Zarr 2, which every reader knows) or ``0.5`` (Zarr 3).
    """
    import zarr  # heavy

    array, geometry, notes = _in_order(pixels)
    chunks = _chunks(array)
    zarr_format: Literal[2, 3] = 2 if version == "0.4" else 3
    names = [axis.lower() for axis in geometry.axes]
    root = zarr.open_group(path, mode="w", zarr_format=zarr_format)
    options: dict[str, Any] = {"compressors": "auto" if pixels.labels else None}
    if zarr_format == 2:
        options["chunk_key_encoding"] = {"name": "v2", "separator": "/"}
    else:
        options["dimension_names"] = names
    level = root.create_array(
        "0",
        shape=tuple(array.shape),
        dtype=np.dtype(np.dtype(array.dtype).str).newbyteorder("="),  # Zarr knows one of two int64
        chunks=chunks,
        fill_value=0,
        **options,
    )
    for key, block in read_blocks(array, progress, grid=chunks):
        level[key] = block
    _describe(root, pixels, geometry, version)
    return notes


def _in_order(pixels: Pixels) -> tuple[ArrayLike, Geometry, list[str]]:
    array, geometry, notes = pixels.array, pixels.geometry, []
    if pixels.rgb:
        array = transposed(array, (geometry.ndim, *range(geometry.ndim)))
        geometry = with_axis(geometry, "C", array.shape[0])
        notes.append("The colours were written as a channel axis.")
    order = sorted(range(geometry.ndim), key=lambda i: (_ORDER + "Q").index(geometry.axes[i]))
    if geometry.axes and "Q" not in geometry.axes and order != list(range(geometry.ndim)):
        before = geometry.axes
        array, geometry = transposed(array, order), select(geometry, order)[0]
        notes.append(f"The axes {before} were written as {geometry.axes}, as OME-Zarr wants.")
    if geometry.linear is not None or geometry.affine is not None:
        notes.append("OME-Zarr was written without the rotation of the layer.")
    return array, geometry, notes


def _chunks(array: ArrayLike) -> tuple[int, ...]:
    known = getattr(array, "chunks", None)
    shape = tuple(array.shape)
    if isinstance(known, tuple) and len(known) == len(shape):
        first = [c[0] if isinstance(c, tuple | list) and c else c for c in known]
        size = int(np.prod([int(c) for c in first], dtype=np.int64))
        if all(int(c) > 0 for c in first) and 2**12 <= size <= 2**26:
            return tuple(int(c) for c in first)
    n = len(shape)
    sizes = [min(size, _CHUNK) if i >= n - 2 else 1 for i, size in enumerate(shape)]
    return tuple(max(1, size) for size in sizes)


def _describe(root: zarr.Group, pixels: Pixels, geometry: Geometry, version: str) -> None:
    told = [*map(in_ome_unit, geometry.scale, geometry.units)]
    places = [p for p, _ in map(in_ome_unit, geometry.translate, geometry.units)]
    axes = []
    for axis, (_, unit) in zip(geometry.axes, told, strict=True):
        entry = {"name": axis.lower()}
        if axis in _TYPES:
            entry["type"] = _TYPES[axis]
        if axis in "TZYX" and ome_symbol(unit) not in (None, "pixel"):
            entry["unit"] = canonical(unit)
        axes.append(entry)
    transforms: list[dict[str, object]] = [
        {"type": "scale", "scale": [abs(s) or 1.0 for s, _ in told]}
    ]
    if any(places):
        transforms.append({"type": "translation", "translation": places})
    image: dict[str, object] = {
        "name": pixels.name,
        "axes": axes,
        "datasets": [{"path": "0", "coordinateTransformations": transforms}],
    }
    metadata: dict[str, Any] = {"multiscales": [image]}
    if pixels.channel_names:
        metadata["omero"] = {
            "channels": [{"label": c, "color": "FFFFFF"} for c in pixels.channel_names]
        }
    if pixels.labels:
        metadata["image-label"] = {"version": version}
    if version == "0.4":
        image["version"] = version
        root.attrs.update(metadata)
    else:
        root.attrs["ome"] = {"version": version, **metadata}


def read_zarr(path: Path, *, writable: bool = False, root: Path | None = None) -> Content:
    """Open an OME-Zarr image lazily, with all its levels, or a bare Zarr array.

    Parameters
    ----------
    writable : bool
        The pixels will be edited: a small image of one level is read into memory.

    Raises
    ------
    OutputError
    """
    import zarr  # heavy

    from napari_tool_runner.exchange.carriers.zarr_store import SealedStore

    node = zarr.open(SealedStore(path, read_only=True, beneath=root), mode="r")
    if isinstance(node, zarr.Array):
        return _bare(node, writable=writable, own=root is None)
    notes: list[str] = []
    node, image, metadata = _image(node, path, notes)
    if image is None:
        arrays = [a for _, a in node.arrays()]
        if len(arrays) == 1:
            around = node.attrs.asdict()
            alone = _bare(arrays[0], writable=writable, own=root is None, around=around)
            return replace(alone, notes=(*notes, *alone.notes))
        raise OutputError(
            f"{path.name} holds {len(arrays)} arrays and says nothing of images.",
            hint="Let the tool write OME-Zarr metadata (multiscales).",
        )
    datasets = image.get("datasets", ())
    found = [node[str(dataset["path"])] for dataset in datasets]
    levels = [level for level in found if isinstance(level, zarr.Array)]
    if not levels or len(levels) < len(datasets):
        raise OutputError(f"{path.name} names levels that are not in it.")
    geometry, calibrated = _geometry(image, datasets, levels[0])
    omero = metadata.get("omero") or {}
    channels = tuple(str(c.get("label", "")) for c in omero.get("channels", ()))
    attributes: dict[str, object] = {"labels": True} if "image-label" in metadata else {}
    if channels and all(channels):
        attributes["channel_names"] = channels
    data = [_opened(level, writable=writable and len(levels) == 1) for level in levels]
    return Content(
        data=data if len(data) > 1 else data[0],
        geometry=geometry,
        calibrated=calibrated,
        multiscale=len(data) > 1,
        attributes=attributes,
        notes=tuple(notes),
    )


def _image(
    node: zarr.Group, path: Path, notes: list[str]
) -> tuple[zarr.Group, Mapping[str, Any] | None, Mapping[str, Any]]:
    """Return the group with the first image, its ``multiscales`` entry, all metadata."""
    inside, many = list[str](), list[int]()
    image: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] = {}
    for _ in range(4):  # a collection of images; row, column and field of a plate
        attributes = node.attrs.asdict()
        told = attributes.get("ome", attributes)
        own: Mapping[str, Any] = told if isinstance(told, Mapping) else {}
        metadata = own
        if own.get("multiscales"):
            if len(own["multiscales"]) > 1:
                notes.append("It holds several images; the first was opened.")
            image = own["multiscales"][0]
            break
        groups = {name: group for name, group in node.groups() if name != "OME"}
        if not groups or any(True for _ in node.arrays()):
            break
        name = min(groups, key=lambda name: (len(name), name) if name.isdigit() else (0, name))
        many += [len(groups)] if len(groups) > 1 else []
        inside, node = [*inside, name], groups[name]
    if many:
        count = "several" if many[1:] else many[0]
        notes.append(f"{path.name} holds {count} images; “{'/'.join(inside)}” was opened.")
    return node, image, metadata


def _bare(
    array: zarr.Array[Any], *, writable: bool, own: bool, around: Mapping[str, Any] | None = None
) -> Content:
    """Return an array that is no OME-Zarr; `around`: what the group says that it lies in."""
    names = getattr(array.metadata, "dimension_names", None)
    told = {**(around or {}), **array.attrs.asdict(), "dimension_names": names}
    data = _opened(array, writable=writable)
    return described(data, told, {}, bare=bare_content(data, own=own))


def _opened(array: zarr.Array[Any], *, writable: bool) -> ArrayLike:
    from napari_tool_runner.exchange.carriers.zarr_store import bound_blocks, check_array

    check_array(array)
    bound_blocks(array)
    if writable and array.nbytes <= _SMALL:
        return np.asarray(array[...])
    return as_lazy(array)


def _geometry(
    image: Mapping[str, Any], datasets: Sequence[Mapping[str, Any]], level: zarr.Array[Any]
) -> tuple[Geometry, bool]:
    n = level.ndim
    entries = image.get("axes") or list(default_axes(n).lower())
    named = [e if isinstance(e, str) else str(e.get("name", "")) for e in entries]
    units = ["" if isinstance(e, str) else str(e.get("unit", "")) for e in entries]
    if len(named) != n:
        named, units = list(default_axes(n).lower()), [""] * n
    scale, translate = np.ones(n), np.zeros(n)
    found = False
    transforms = [
        *datasets[0].get("coordinateTransformations", ()),
        *image.get("coordinateTransformations", ()),
    ]
    for transform in transforms:
        values = np.asarray(transform.get(transform.get("type"), ()), dtype=float)
        if values.shape != (n,) or (transform["type"] == "scale" and not values.all()):
            continue
        if transform["type"] == "scale":
            scale, translate, found = scale * values, translate * values, True
        elif transform["type"] == "translation":
            translate = translate + values
    geometry = Geometry(
        axes=letters(named, [dimension(unit) for unit in units]),
        shape=tuple(level.shape),
        scale=tuple(float(s) for s in scale),
        translate=tuple(float(t) for t in translate),
        units=tuple(canonical(unit) for unit in units),
        labels=tuple(named),
    )
    return geometry, found and (any(units) or not np.allclose(scale, 1))
