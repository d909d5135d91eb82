"""Results of slices put back together: stacks, coordinates with their slice, one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np

if TYPE_CHECKING:
    from napari_tool_runner.jobs import JobOutput, JobResult
    from napari_tool_runner.widgets.scope import Scoping

__all__ = ["Assembled", "assemble"]

_PIXELS = ("image", "labels")


@dataclass(slots=True)
class Assembled:
    """What the parts became together.

    Parameters
    ----------
    layers : list of (data, attributes, type)
    tables : dict
        Title -> columns, tables of all slices with a column for the slice.
    joins : dict
        Title of a table -> place of the layer in `layers` whose objects its rows are.
    """

    layers: list[tuple[object, dict[str, object], str]] = field(default_factory=list)
    tables: dict[str, dict[str, object]] = field(default_factory=dict)
    joins: dict[str, int] = field(default_factory=dict)


def assemble(results: Sequence[JobResult], scoping: Scoping) -> Assembled:
    """Put the results of `scoping`'s parts together; may read pixels (labels)."""
    made = Assembled()
    indices = [part.index for part in scoping.parts]
    offsets: dict[str, list[int]] = {}
    places: dict[str, int] = {}
    per_output = _by_output(results)
    for name, outputs in per_output.items():
        kind = outputs[0].layer_type
        if kind == "table":
            continue
        tuples = [output.as_layer_data_tuple() for output in outputs]
        same = len({getattr(entry[0], "shape", None) for entry in tuples}) == 1
        if kind in _PIXELS and same:
            places[name] = len(made.layers)
            data, offsets[name] = _stack(kind, [entry[0] for entry in tuples], scoping, indices)
            made.layers.append((data, _attributes(tuples[0][1], scoping, indices[0]), kind))
        elif kind in ("points", "shapes"):
            places[name] = len(made.layers)
            made.layers.append(_coordinates(tuples, scoping, indices, kind))
        else:
            for entry, index in zip(tuples, indices, strict=True):
                made.layers.append(_alone(entry, scoping, index))
    for outputs in per_output.values():
        if outputs[0].layer_type == "table":
            join = outputs[0].output.join
            title = outputs[0].layer_name
            made.tables[title] = _table(outputs, scoping, indices, offsets.get(join))
            if join in places:
                made.joins[title] = places[join]
    return made


def _by_output(results: Sequence[JobResult]) -> dict[str, list[JobOutput]]:
    """Return the outputs that every part made and that can be shown."""
    found: dict[str, list[JobOutput]] = {}
    for result in results:
        for name, output in result.outputs.items():
            for key, entry in output.elements.items() or [("", output)]:
                if entry.loaded is not None and not entry.output.hidden:
                    found.setdefault(f"{name}|{key}" if key else name, []).append(entry)
    return {name: outputs for name, outputs in found.items() if len(outputs) == len(results)}


def _stack(
    kind: str, pieces: Sequence[object], scoping: Scoping, indices: Sequence[tuple[int, ...]]
) -> tuple[object, list[int]]:
    """Return one array with the cut axes put back, and what was added to each slice's ids."""
    arrays = [np.asarray(piece) for piece in pieces]
    offsets = [0] * len(arrays)
    if kind == "labels" and len(arrays) > 1:
        # a mask (0 and 1 everywhere) stays a mask; objects get ids of their own
        tops = [int(array.max(initial=0)) for array in arrays]
        if max(tops) > 1:
            total = 0
            for place, top in enumerate(tops):
                offsets[place] = total
                total += top
            wide = np.uint32 if total < 2**32 else np.uint64
            arrays = [
                np.where(array > 0, array.astype(wide) + np.array(offset, wide), 0).astype(wide)
                for array, offset in zip(arrays, offsets, strict=True)
            ]
    sizes = scoping.sizes if scoping.whole else (1,) * len(scoping.axes)
    shape = arrays[0].shape
    stacked = np.stack(arrays).reshape((*sizes, *shape))
    return np.moveaxis(stacked, range(len(sizes)), scoping.axes), offsets


def _attributes(
    given: Mapping[str, object], scoping: Scoping, first: tuple[int, ...]
) -> dict[str, object]:
    """Return the attributes of a slice's result with the cut axes put back."""
    reference: Any = scoping.reference
    axes = scoping.axes
    ndim = reference.ndim
    kept = [axis for axis in range(ndim) if axis not in axes]
    attributes = dict(given)
    count = len(cast("Sequence[float]", given.get("scale", ()))) or len(kept)
    if count != len(kept):  # the result has other axes than its slice
        return attributes
    scale = np.asarray(reference.scale, float).copy()
    translate = np.asarray(reference.translate, float).copy()
    if not scoping.whole:
        for axis, number in zip(axes, first, strict=True):
            translate[axis] += number * scale[axis]
    scale[kept] = cast("Sequence[float]", given.get("scale", scale[kept]))
    translate[kept] = cast("Sequence[float]", given.get("translate", translate[kept]))
    attributes.update(
        scale=scale,
        translate=translate,
        rotate=reference.rotate,
        shear=reference.shear,
        affine=reference.affine.affine_matrix,
        units=tuple(str(unit) for unit in reference.units),
        axis_labels=tuple(reference.axis_labels),
    )
    return attributes


def _coordinates(
    tuples: Sequence[tuple[object, dict[str, object], str]],
    scoping: Scoping,
    indices: Sequence[tuple[int, ...]],
    kind: str,
) -> tuple[object, dict[str, object], str]:
    """Return points or shapes of all slices, with the slice among their coordinates."""
    attributes = _attributes(tuples[0][1], scoping, (0,) * len(scoping.axes))
    pieces: list[np.ndarray] = []
    for (data, _, _), index in zip(tuples, indices, strict=True):
        for piece in [data] if kind == "points" else cast("Sequence[object]", data):
            pieces.append(_insert(np.asarray(piece, float), scoping.axes, index))
    if "features" in attributes:
        attributes["features"] = _concat([entry[1].get("features") for entry in tuples])
    if kind == "points":
        empty = np.zeros((0, scoping.reference.ndim))
        return np.concatenate(pieces) if pieces else empty, attributes, kind
    types = [entry[1].get("shape_type") for entry in tuples]
    if types[0] is not None:
        attributes["shape_type"] = [
            name
            for (data, given, _) in tuples
            for name in _each(given.get("shape_type"), len(cast("Sequence[object]", data)))
        ]
    for name in ("z_index", "edge_width", "edge_color", "face_color"):
        attributes.pop(name, None)
    return pieces, attributes, kind


def _insert(piece: np.ndarray, axes: Sequence[int], index: Sequence[int]) -> np.ndarray:
    for axis, number in zip(axes, index, strict=True):
        piece = np.insert(piece, axis, number, axis=1)
    return piece


def _each(value: object, count: int) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else [value] * count


def _alone(
    entry: tuple[object, dict[str, object], str], scoping: Scoping, index: tuple[int, ...]
) -> tuple[object, dict[str, object], str]:
    """Return a result that cannot be stacked, named after its slice."""
    data, attributes, kind = entry
    names = ", ".join(
        f"{scoping.reference.axis_labels[axis]} {number}"
        for axis, number in zip(scoping.axes, index, strict=True)
    )
    return data, {**attributes, "name": f"{attributes.get('name', kind)} [{names}]"}, kind


def _table(
    outputs: Sequence[JobOutput],
    scoping: Scoping,
    indices: Sequence[tuple[int, ...]],
    offsets: Sequence[int] | None,
) -> dict[str, object]:
    """Return the rows of all slices with the slice they come from."""
    import pandas as pd

    frames = []
    for place, (output, index) in enumerate(zip(outputs, indices, strict=True)):
        columns = cast("Mapping[str, object]", output.data)
        frame = pd.DataFrame({name: np.asarray(values) for name, values in columns.items()})
        if offsets is not None:
            key = next((c for c in frame if str(c).lower() in ("label", "index", "id")), None)
            if key is not None:
                frame[key] = frame[key] + offsets[place]
        for axis, number in zip(scoping.axes, index, strict=True):
            name = f"slice {scoping.reference.axis_labels[axis]}"
            frame.insert(len(frame.columns), name, number)
        frames.append(frame)
    # a slice without objects has columns of no type, which would spoil those of others
    filled = [frame for frame in frames if len(frame)] or frames[:1]
    whole = pd.concat(filled, ignore_index=True)
    return {str(name): whole[name].to_numpy() for name in whole.columns}


def _concat(features: Sequence[object]) -> object:
    import pandas as pd

    frames = [pd.DataFrame(cast("Any", entry)) for entry in features if entry is not None]
    return pd.concat(frames, ignore_index=True) if frames else None
