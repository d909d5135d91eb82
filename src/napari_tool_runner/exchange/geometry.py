"""Axes, units, and where data lie in the world: of layers, between layers, onto outputs.

Axes are letters, units have napari's and OME's names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from napari_tool_runner._lazy import np
from napari_tool_runner.exchange.axes import chosen_labels, default_axes, letters, rank
from napari_tool_runner.exchange.model import Geometry, items
from napari_tool_runner.exchange.units import canonical, conversion, dimension, is_shown

__all__ = [
    "PLACE",
    "attributes_of",
    "convert_coordinates",
    "crop",
    "data_to_world",
    "embedded",
    "for_file",
    "geometry_of",
    "is_sheared",
    "pixels_to_pixels",
    "plain_geometry",
    "same_place",
    "select",
    "with_axis",
]

PLACE = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
"""Attributes of a layer that say where it lies."""
_T = TypeVar("_T")


def plain_geometry(
    shape: Sequence[int],
    axes: str = "",
    steps: Sequence[tuple[float, str]] = (),
    labels: Sequence[str] = (),
) -> Geometry:
    """Return the geometry of pixels at the origin.

    `steps`: size and unit of a step along each axis; else one pixel.
    """
    n = len(shape)
    told = steps or [(1.0, "pixel")] * n
    return Geometry(
        axes=axes or default_axes(n),
        shape=tuple(int(s) for s in shape),
        scale=tuple(size for size, _ in told),
        translate=(0.0,) * n,
        units=tuple(unit for _, unit in told),
        labels=tuple(labels),
    )


def with_axis(geometry: Geometry, axis: str, size: int = 1, at: int = 0) -> Geometry:
    """Return `geometry` with one more axis before the axis `at`, in steps of one pixel."""

    def grown(row: tuple[_T, ...], value: _T) -> tuple[_T, ...]:
        return (*row[:at], value, *row[at:]) if row else row

    others, n = geometry.axes.replace(axis, "Q"), geometry.ndim + 1
    order = [i for i in range(n) if i != at]
    return Geometry(
        axes=others[:at] + axis + others[at:],
        shape=grown(geometry.shape, size),
        scale=grown(geometry.scale, 1.0),
        translate=grown(geometry.translate, 0.0),
        linear=embedded(geometry.linear, n, order),
        affine=embedded(geometry.affine, n + 1, [*order, n]),
        units=grown(geometry.units, "pixel"),
        labels=grown(geometry.labels, axis.lower()),
    )


def geometry_of(
    ndim: int,
    shape: Sequence[int] = (),
    *,
    scale: object = None,
    translate: object = None,
    rotate: object = None,
    shear: object = None,
    affine: object = None,
    units: object = None,
    axis_labels: object = None,
) -> Geometry:
    """Build a `Geometry` from napari's constructor keywords or layer attributes.

    Each may be None, shorter than `ndim` (napari fills leading axes), and in any
    form that napari takes: `rotate` an angle in degrees, yaw-pitch-roll or a matrix;
    `shear` upper triangular values or a matrix; `affine` an (n, n), (n + 1, n + 1)
    matrix or an object with ``affine_matrix``.
    """
    linear = _embed(_matrix(rotate, _rotation), ndim) @ _embed(_matrix(shear, _shear), ndim)
    matrix = _affine(affine, ndim)
    axis_labels = [*axis_labels] if isinstance(axis_labels, str) else axis_labels
    labels = chosen_labels(_last(_texts(axis_labels, ndim), ndim, ""))
    unit_names = _last(_texts(units, ndim), ndim, "pixel")
    made = Geometry(
        axes=letters(labels, [dimension(unit) for unit in unit_names]),
        shape=tuple(int(s) for s in shape),
        scale=_last(_numbers(scale, ndim), ndim, 1.0),
        translate=_last(_numbers(translate, ndim), ndim, 0.0),
        linear=None if np.allclose(linear, np.eye(ndim), atol=1e-12) else linear,
        affine=None if np.allclose(matrix, np.eye(ndim + 1), atol=1e-12) else matrix,
        units=tuple(canonical(unit) for unit in unit_names),
        labels=labels,
    )
    return made if made.affine is None else _with_its_size(made)


def _with_its_size(geometry: Geometry) -> Geometry:
    """Return `geometry` with the pixel size that its affine holds as `scale`, in the same place.

    The size of a pixel along an axis is the length of one step along it in the world.
    """
    n = geometry.ndim
    whole = data_to_world(geometry)
    steps = np.linalg.norm(whole[:n, :n], axis=0)
    if not steps.all() or np.allclose(steps, np.abs(geometry.scale), rtol=1e-9):
        return geometry
    straight = np.diag(whole)[:n]
    if np.allclose(whole[:n, :n], np.diag(straight), atol=1e-12 * steps.max()):
        scale, place, rest = straight, whole[:n, n], None
    else:
        scale, place, rest = steps, np.zeros(n), whole / [*steps, 1.0]
    return replace(
        geometry,
        scale=tuple(scale.tolist()),
        translate=tuple(place.tolist()),
        linear=None,
        affine=rest,
    )


def is_sheared(geometry: Geometry) -> bool:
    """Whether the axes of pixels are not at right angles in the world."""
    inner = data_to_world(geometry)[:-1, :-1]
    steps = inner / np.where((size := np.linalg.norm(inner, axis=0)) > 0, size, 1.0)
    angles = steps.T @ steps
    return not np.allclose(angles, np.diag(np.diag(angles)), atol=1e-6)


def attributes_of(geometry: Geometry, notes: list[str]) -> dict[str, object]:
    """Return the keywords of a napari layer that put it at `geometry`; `notes`: what it cannot."""
    n = len(geometry.axes)
    if unknown := sorted({unit for unit in geometry.units if not is_shown(unit)}):
        notes.append(f"Layers have no unit “{', '.join(unknown)}”; its numbers were kept.")
        units = tuple("pixel" if unit in unknown else unit for unit in geometry.units)
        geometry = replace(geometry, units=units)
    attributes: dict[str, object] = {
        "scale": tuple(geometry.scale) or (1.0,) * n,
        "translate": tuple(geometry.translate) or (0.0,) * n,
        "units": tuple(geometry.units) or ("pixel",) * n,
    }
    if geometry.linear is not None:
        rotation, upper = np.linalg.qr(geometry.linear)
        signs = np.where(np.diag(upper) < 0, -1.0, 1.0)
        attributes["rotate"] = rotation * signs
        shear = signs[:, None] * upper
        if not np.allclose(shear, np.eye(n), atol=1e-12):
            attributes["shear"] = shear[np.triu_indices(n, 1)]
    if geometry.affine is not None:
        attributes["affine"] = np.array(geometry.affine)
    if geometry.labels:
        attributes["axis_labels"] = geometry.labels
    return attributes


def data_to_world(geometry: Geometry) -> np.ndarray:
    """Return the homogeneous matrix, (n + 1, n + 1), from data pixels to the world."""
    n = len(geometry.axes)
    matrix = np.eye(n + 1)
    linear = np.eye(n) if geometry.linear is None else geometry.linear
    matrix[:n, :n] = linear * (geometry.scale or 1.0)
    matrix[:n, n] = geometry.translate or 0.0
    return matrix if geometry.affine is None else geometry.affine @ matrix


def same_place(one: Geometry, other: Geometry, *, within: float = 1e-6) -> bool:
    """Whether the pixels of both have the same place in the world, axis by axis.

    `within`: to this part of a pixel, over as many as `other` has.
    """
    if one.ndim != other.ndim:
        return False
    n, there = one.ndim, data_to_world(other)
    apart = np.abs(_unit_factors(one, other, n) @ data_to_world(one) - there)
    reach = np.maximum([*(other.shape or (1,) * n), 1], 1)
    steps = np.abs(there[:n, :n]).max(axis=1, initial=0)
    return bool((apart[:n] * reach <= within * steps[:, None]).all())


def pixels_to_pixels(source: Geometry, target: Geometry) -> np.ndarray:
    """Return the homogeneous matrix, (n + 1, n + 1), from pixels of `source` to those of `target`.

    Both have n axes.
    """
    world = _unit_factors(source, target, source.ndim) @ data_to_world(source)
    return np.asarray(np.linalg.inv(data_to_world(target)) @ world)


def convert_coordinates(points: np.ndarray, source: Geometry, target: Geometry) -> np.ndarray:
    """Convert data coordinates of `source` into data coordinates of `target`.

    Parameters
    ----------
    points : ndarray of shape (N, D)
        D is ``source.ndim``. Axes are matched from the last one, as napari does.

    Returns
    -------
    ndarray of shape (N, D)
        Leading axes that `target` lacks keep their world position in the unit of
        `source`; where `target` has more axes, the point lies at world 0 of them.
    """
    points = np.asarray(points, dtype=float)
    n = max(source.ndim, target.ndim)
    forward = _embed(data_to_world(source), n + 1)
    back = np.linalg.inv(_embed(data_to_world(target), n + 1))
    full = np.zeros((len(points), n + 1))
    full[:, n] = 1.0
    full[:, n - source.ndim : n] = points
    matrix = back @ _unit_factors(source, target, n) @ forward
    return np.asarray((full @ matrix.T)[:, n - source.ndim : n])


def select(geometry: Geometry, axes: Sequence[int]) -> tuple[Geometry, str]:
    """Keep only `axes` (indices, in this order), with a note when a transform is lost.

    A rotation, shear or affine is kept as long as it does not mix kept axes with
    dropped ones.
    """
    keep, n = list(axes), len(geometry.axes)
    drop = [i for i in range(n) if i not in keep]

    def block(matrix: np.ndarray | None) -> np.ndarray | None:
        if matrix is None:
            return None
        mixed = (matrix[np.ix_(keep, drop)], matrix[np.ix_(drop, keep)])
        if not all(np.allclose(part, 0, atol=1e-9) for part in mixed):
            return None
        kept = [*keep, *range(n, len(matrix))]
        return matrix[np.ix_(kept, kept)]

    lost, linear, affine = "", block(geometry.linear), block(geometry.affine)
    if geometry.linear is not None and linear is None:
        lost = "the rotation mixes axes that the output does not have and was left out"
    if geometry.affine is not None and affine is None:
        lost = "the affine transform mixes axes that the output does not have and was left out"
    return (
        Geometry(
            axes="".join(geometry.axes[i] for i in keep),
            shape=tuple(geometry.shape[i] for i in keep) if geometry.shape else (),
            scale=tuple(geometry.scale[i] for i in keep),
            translate=tuple(geometry.translate[i] for i in keep),
            linear=linear,
            affine=affine,
            units=tuple(geometry.units[i] for i in keep),
            labels=tuple(geometry.labels[i] for i in keep) if geometry.labels else (),
        ),
        lost,
    )


def for_file(geometry: Geometry) -> tuple[Geometry, list[int]]:
    """Return `geometry` with the axes that files of pixels have, and where each comes from.

    Rows and columns are the last two. While they are, others keep their order, else they are
    sorted. Two axes of space are rows and columns; what still lacks is an axis of one step.

    Returns
    -------
    (Geometry, list of int): the index in `geometry` of each axis; -1: it has none.
    """
    order = list(range(geometry.ndim))
    if geometry.axes.endswith("YX"):
        return geometry, order
    order.sort(key=lambda i: rank(geometry.axes[i]))
    told = select(geometry, order)[0]
    first = next((i for i, axis in enumerate(told.axes) if axis in "ZYX"), told.ndim)
    told = replace(told, axes=told.axes[:first] + "ZYX"[3 - told.ndim + first :])
    for axis in "XY"[told.ndim - first :]:
        told = with_axis(told, axis, at=first)
        order.insert(first, -1)
    return told, order


def crop(
    geometry: Geometry,
    start: Sequence[float],
    shape: Sequence[int],
    step: Sequence[float] | None = None,
) -> Geometry:
    """Return the geometry of a part that begins at data coordinate `start`.

    `step`: data units of `geometry` per pixel of the part (a resized part).
    """
    scale = np.asarray(geometry.scale, dtype=float)
    translate = (data_to_world(replace(geometry, affine=None)) @ [*start, 1.0])[:-1]
    steps = scale if step is None else scale * np.asarray(step)
    return replace(
        geometry,
        shape=tuple(int(s) for s in shape),
        scale=tuple(steps.tolist()),
        translate=tuple(translate.tolist()),
    )


def _matrix(value: object, of_numbers: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return a matrix as it is, the identity for None, else what `of_numbers` makes."""
    given = np.eye(1) if value is None else np.asarray(value, dtype=float)
    return given if given.ndim == 2 else of_numbers(given)


def _rotation(value: np.ndarray) -> np.ndarray:
    """Return the matrix of an angle in degrees, or of yaw, pitch and roll."""
    if value.size == 1:
        angle = np.deg2rad(value.item())
        cos, sin = np.cos(angle), np.sin(angle)
        return np.array([[cos, -sin], [sin, cos]])
    from scipy.spatial.transform import Rotation  # 0.1 s to import

    return np.asarray(Rotation.from_euler("ZYX", value[:3], degrees=True).as_matrix())


def _shear(value: np.ndarray) -> np.ndarray:
    n = int((np.sqrt(8 * value.size + 1) + 1) / 2)
    matrix = np.eye(n)
    matrix[np.triu_indices(n, 1)] = value.reshape(-1)
    return matrix


def _affine(affine: object, ndim: int) -> np.ndarray:
    value = _matrix(getattr(affine, "affine_matrix", affine), np.atleast_2d)
    if value.shape == (ndim, ndim):  # a linear part only
        value = np.pad(value, (0, 1))
        value[ndim, ndim] = 1.0
    return _embed(value, ndim + 1)


def embedded(matrix: np.ndarray | None, n: int, axes: Sequence[int]) -> np.ndarray | None:
    """Return a square matrix put into `axes` of an identity of `n`; None as it is."""
    if matrix is None:
        return None
    full = np.eye(n)
    full[np.ix_(axes, axes)] = matrix
    return full


def _embed(matrix: np.ndarray, n: int) -> np.ndarray:
    """Put a square matrix into the last axes of an identity, or take its last ones."""
    full, size = np.eye(n), min(len(matrix), n)
    full[n - size :, n - size :] = matrix[len(matrix) - size :, len(matrix) - size :]
    return full


def _unit_factors(source: Geometry, target: Geometry, n: int) -> np.ndarray:
    """Return the homogeneous matrix from the units of `source` to those of `target`."""
    units = (_last(list(geometry.units), n, "pixel") for geometry in (source, target))
    return np.diag([*map(conversion, *units), 1.0])


def _numbers(value: object, n: int) -> list[float]:
    if value is None:
        return []
    given = np.asarray(value, dtype=float)
    return [float(given)] * n if given.ndim == 0 else given.reshape(-1).tolist()


def _texts(value: object, n: int) -> list[str]:
    given = items(() if value is None else value)
    return [value] * n if isinstance(value, str) else [str(item) for item in given]


def _last(given: list[_T], n: int, filler: _T) -> tuple[_T, ...]:
    """Return the last `n` of what is given, with `filler` before it where that is less."""
    return tuple([filler] * (n - len(given)) + given[max(0, len(given) - n) :])
