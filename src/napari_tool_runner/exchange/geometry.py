"""Where data lie in the world: of layers, between layers, and back onto outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from napari_tool_runner.exchange.axes import (
    conversion,
    default_axes,
    named_axes,
)
from napari_tool_runner.exchange.model import Geometry, items

__all__ = [
    "attributes_of",
    "convert_coordinates",
    "crop",
    "data_to_world",
    "ellipse_outline",
    "geometry_of",
    "plain_geometry",
    "same_place",
    "select",
    "transpose",
]


def plain_geometry(shape: Sequence[int], axes: str = "") -> Geometry:
    """Return the geometry of pixels without metadata: scale 1 at the origin."""
    n = len(shape)
    return Geometry(
        axes=axes or default_axes(n),
        shape=tuple(int(s) for s in shape),
        scale=(1.0,) * n,
        translate=(0.0,) * n,
        units=("pixel",) * n,
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
    linear = _embed(_rotation(rotate), ndim) @ _embed(_shear(shear), ndim)
    matrix = _affine(affine, ndim)
    letters, unit_names, labels = named_axes(
        _texts(axis_labels, ndim, ""), _texts(units, ndim, "pixel"), ndim
    )
    return Geometry(
        axes=letters,
        shape=tuple(int(s) for s in shape),
        scale=_numbers(scale, ndim, 1.0),
        translate=_numbers(translate, ndim, 0.0),
        linear=None if np.allclose(linear, np.eye(ndim), atol=1e-12) else linear,
        affine=None if np.allclose(matrix, np.eye(ndim + 1), atol=1e-12) else matrix,
        units=unit_names,
        labels=labels,
    )


def attributes_of(geometry: Geometry) -> dict[str, object]:
    """Return the keywords of a napari layer that put it at `geometry`."""
    n = geometry.ndim
    attributes: dict[str, object] = {
        "scale": tuple(geometry.scale) or (1.0,) * n,
        "translate": tuple(geometry.translate) or (0.0,) * n,
        "units": tuple(geometry.units) or ("pixel",) * n,
    }
    if geometry.linear is not None:
        rotation, shear = _rotation_and_shear(geometry.linear)
        attributes["rotate"] = rotation
        if not np.allclose(shear, np.eye(n), atol=1e-12):
            attributes["shear"] = shear[np.triu_indices(n, 1)]
    if geometry.affine is not None:
        attributes["affine"] = np.array(geometry.affine)
    if geometry.labels:
        attributes["axis_labels"] = geometry.labels
    return attributes


def data_to_world(geometry: Geometry) -> np.ndarray:
    """Return the homogeneous matrix, (n + 1, n + 1), from data pixels to the world."""
    n = geometry.ndim
    matrix = np.eye(n + 1)
    linear = np.eye(n) if geometry.linear is None else np.asarray(geometry.linear)
    matrix[:n, :n] = linear @ np.diag(geometry.scale or (1.0,) * n)
    matrix[:n, n] = geometry.translate or (0.0,) * n
    return matrix if geometry.affine is None else np.asarray(geometry.affine) @ matrix


def same_place(one: Geometry, other: Geometry) -> bool:
    """Whether the pixels of both have the same place in the world, axis by axis."""
    if one.ndim != other.ndim:
        return False
    factors = _unit_factors(one.units, other.units, one.ndim)
    return bool(np.allclose(factors @ data_to_world(one), data_to_world(other), rtol=1e-9))


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
    forward = _pad(data_to_world(source), n)
    back = np.linalg.inv(_pad(data_to_world(target), n))
    units = _unit_factors(_pad_units(source, n), _pad_units(target, n), n)
    full = np.zeros((len(points), n + 1))
    full[:, n] = 1.0
    full[:, n - source.ndim : n] = points
    matrix = back @ units @ forward
    converted: np.ndarray = (full @ matrix.T)[:, n - source.ndim : n]
    return converted


def ellipse_outline(corners: np.ndarray, count: int = 64) -> np.ndarray:
    """Return an ellipse, given by the four corners of its box, as a polygon."""
    center = corners.mean(axis=0)
    first = (corners[1] - corners[0]) / 2
    second = (corners[3] - corners[0]) / 2
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)[:, None]
    outline: np.ndarray = center + np.cos(angles) * first + np.sin(angles) * second
    return outline


def select(geometry: Geometry, axes: Sequence[int]) -> tuple[Geometry, str]:
    """Keep only `axes` (indices) of a geometry, with a note when a transform is lost.

    A rotation, shear or affine is kept as long as it does not mix kept axes with
    dropped ones.
    """
    keep = list(axes)
    lost = ""
    linear = _submatrix(geometry.linear, keep)
    if geometry.linear is not None and linear is None:
        lost = "the rotation mixes axes that the output does not have and was left out"
    affine = _affine_submatrix(geometry.affine, keep)
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


def transpose(geometry: Geometry, order: Sequence[int]) -> Geometry:
    """Return `geometry` with its axes in another order (a permutation)."""
    if sorted(order) != list(range(geometry.ndim)):
        raise ValueError(f"{tuple(order)} is no permutation of {geometry.ndim} axes")
    return select(geometry, order)[0]


def crop(
    geometry: Geometry,
    start: Sequence[float],
    shape: Sequence[int],
    step: Sequence[float] | None = None,
) -> Geometry:
    """Return the geometry of a part that begins at data coordinate `start`.

    `step`: data units of `geometry` per pixel of the part (a resized part).
    """
    n = geometry.ndim
    steps = np.ones(n) if step is None else np.asarray(step, dtype=float)
    linear = np.eye(n) if geometry.linear is None else geometry.linear
    scale = np.asarray(geometry.scale, dtype=float)
    translate = np.asarray(geometry.translate) + linear @ (scale * np.asarray(start, dtype=float))
    return replace(
        geometry,
        shape=tuple(int(s) for s in shape),
        scale=tuple(float(s) for s in scale * steps),
        translate=tuple(float(t) for t in translate),
    )


def _rotation_and_shear(linear: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rotation, upper = np.linalg.qr(np.asarray(linear, dtype=float))
    signs = np.sign(np.diag(upper))
    signs[signs == 0] = 1.0
    return rotation * signs, signs[:, None] * upper


def _rotation(rotate: object) -> np.ndarray:
    """Return napari's rotation argument as a matrix."""
    if rotate is None:
        return np.eye(1)
    value = np.asarray(rotate, dtype=float)
    if value.ndim == 2:
        return value
    if value.ndim == 0 or value.size == 1:
        angle = np.deg2rad(float(value.reshape(-1)[0]))
        cos, sin = np.cos(angle), np.sin(angle)
        return np.array([[cos, -sin], [sin, cos]])
    # Yaw, pitch, roll in degrees: Rz(yaw) Ry(pitch) Rx(roll).
    a, b, c = np.deg2rad(value.reshape(-1)[:3])
    cos, sin = np.cos, np.sin
    yaw = np.array([[cos(a), -sin(a), 0], [sin(a), cos(a), 0], [0, 0, 1]])
    pitch = np.array([[cos(b), 0, sin(b)], [0, 1, 0], [-sin(b), 0, cos(b)]])
    roll = np.array([[1, 0, 0], [0, cos(c), -sin(c)], [0, sin(c), cos(c)]])
    turned: np.ndarray = yaw @ pitch @ roll
    return turned


def _shear(shear: object) -> np.ndarray:
    if shear is None:
        return np.eye(1)
    value = np.asarray(shear, dtype=float)
    if value.ndim == 2:
        return value
    n = int((np.sqrt(8 * value.size + 1) + 1) / 2)
    matrix = np.eye(n)
    matrix[np.triu_indices(n, 1)] = value.reshape(-1)
    return matrix


def _affine(affine: object, ndim: int) -> np.ndarray:
    if affine is None:
        return np.eye(ndim + 1)
    value = np.asarray(getattr(affine, "affine_matrix", affine), dtype=float)
    if value.shape == (ndim, ndim):  # a linear part only
        matrix = np.eye(ndim + 1)
        matrix[:ndim, :ndim] = value
        return matrix
    return _pad(value, ndim)


def _embed(matrix: np.ndarray, n: int) -> np.ndarray:
    """Put a square matrix into the last axes of an identity."""
    size = len(matrix)
    full = np.eye(n)
    if size <= n:
        full[n - size :, n - size :] = matrix
    return full if size <= n else matrix[size - n :, size - n :]


def _pad(matrix: np.ndarray, n: int) -> np.ndarray:
    """Add leading identity axes to a homogeneous matrix up to `n` axes."""
    size = len(matrix) - 1
    full = np.eye(n + 1)
    full[n - size :, n - size :] = matrix
    return full


def _pad_units(geometry: Geometry, n: int) -> tuple[str, ...]:
    units = geometry.units or ("pixel",) * geometry.ndim
    return ("pixel",) * (n - len(units)) + tuple(units)


def _unit_factors(units: Sequence[str], others: Sequence[str], n: int) -> np.ndarray:
    factors = np.eye(n + 1)
    for i, (unit, other) in enumerate(zip(units, others, strict=False)):
        factors[i, i] = conversion(unit, other)
    return factors


def _submatrix(matrix: np.ndarray | None, keep: list[int]) -> np.ndarray | None:
    """Return the block of `keep`; None when it is the identity or is mixed with others."""
    if matrix is None:
        return None
    part = np.asarray(matrix)[np.ix_(keep, keep)]
    return part if _apart(np.asarray(matrix), keep) else None


def _affine_submatrix(matrix: np.ndarray | None, keep: list[int]) -> np.ndarray | None:
    if matrix is None:
        return None
    n = len(matrix) - 1
    if not _apart(np.asarray(matrix)[:n, :n], keep):
        return None
    return np.asarray(matrix)[np.ix_([*keep, n], [*keep, n])]


def _apart(matrix: np.ndarray, keep: list[int]) -> bool:
    drop = [i for i in range(len(matrix)) if i not in keep]
    if not drop:
        return True
    mixed = [matrix[np.ix_(keep, drop)], matrix[np.ix_(drop, keep)]]
    return all(np.allclose(part, 0, atol=1e-9) for part in mixed)


def _numbers(value: object, n: int, filler: float) -> tuple[float, ...]:
    if value is None:
        return (filler,) * n
    given = np.asarray(value, dtype=float)
    numbers = [float(v) for v in given.reshape(-1)] * (n if given.ndim == 0 else 1)
    return tuple([filler] * (n - len(numbers)) + numbers[max(0, len(numbers) - n) :])


def _texts(value: object, n: int, filler: str) -> tuple[str, ...]:
    if value is None:
        return (filler,) * n
    if isinstance(value, str):
        return (value,) * n
    texts = [str(item) for item in items(value)]
    return tuple([filler] * (n - len(texts)) + texts[max(0, len(texts) - n) :])
