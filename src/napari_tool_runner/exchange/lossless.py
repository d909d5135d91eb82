"""dtype guards: which type a carrier gets, and that no value changes on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from napari_tool_runner.errors import LossyConversionError

__all__ = ["OME_TYPES", "TypePlan", "as_labels", "cast_exact", "plan_type"]

OME_TYPES = frozenset(
    np.dtype(t) for t in ("u1", "u2", "u4", "i1", "i2", "i4", "f4", "f8", "c8", "c16")
)
"""What OME-TIFF can hold."""


@dataclass(frozen=True, slots=True)
class TypePlan:
    """How values travel: `target` type, and whether each block must be checked."""

    source: np.dtype
    target: np.dtype
    checked: bool
    note: str = ""

    def convert(self, block: np.ndarray, name: str) -> np.ndarray:
        """Return `block` as `target`.

        Raises
        ------
        LossyConversionError
            When a value would change.
        """
        if block.dtype == self.target:
            return block
        if not self.checked:
            return block.astype(self.target)
        return cast_exact(block, self.target, name)


def plan_type(dtype: np.dtype, allowed: Iterable[np.dtype]) -> TypePlan | None:
    """Choose the type for a carrier that holds only the types `allowed`.

    The same type when the carrier has it; else the narrowest that holds every value
    (bool as 0/1, float16 as float32); else, for 64-bit integers, the widest integer
    of the same sign, with each block checked. None: the carrier cannot hold it.
    """
    types = {np.dtype(t) for t in allowed}
    source = np.dtype(dtype)
    native = source.newbyteorder("=")
    if native in types:
        return TypePlan(source, native, checked=False)
    if source.kind == "b":
        target = np.dtype("u1")
        if target in types:
            return TypePlan(source, target, checked=False, note="True/False was written as 1/0.")
        return None
    exact = sorted(
        (
            t
            for t in types
            if t.kind in _compatible(source.kind) and np.can_cast(native, t, "safe")
        ),
        key=lambda t: (t.kind != source.kind, t.itemsize),
    )
    # 64-bit integers "fit" into float64 for numpy, but not exactly.
    exact = [t for t in exact if not (source.kind in "iu" and t.kind in "fc")]
    if exact:
        note = f"{source.name} was written as {exact[0].name}; no value changes."
        return TypePlan(source, exact[0], checked=False, note=note)
    if source.kind in "iu":
        same = sorted((t for t in types if t.kind == source.kind), key=lambda t: t.itemsize)
        other = sorted((t for t in types if t.kind in "iu"), key=lambda t: t.itemsize)
        for candidates in (same, other):
            if candidates:
                target = candidates[-1]
                note = f"{source.name} was written as {target.name}; all values fit."
                return TypePlan(source, target, checked=True, note=note)
    return None


def cast_exact(block: np.ndarray, target: np.dtype, name: str) -> np.ndarray:
    """Cast `block` to the integer type `target`; refuse when a value would change.

    Raises
    ------
    LossyConversionError
    """
    if block.size == 0:
        return block.astype(target)
    low, high = block.min(), block.max()
    info = np.iinfo(target)
    if int(low) < info.min or int(high) > info.max:
        raise LossyConversionError(
            f"“{name}” holds values from {int(low)} to {int(high)} as {block.dtype.name}, "
            f"which {target.name} cannot hold.",
            hint="Convert it to a smaller type yourself (relabel, rescale), then run again.",
        )
    return block.astype(target)


def as_labels(
    data: np.ndarray, what: str, error: Callable[[str], Exception]
) -> tuple[np.ndarray, str]:
    """Return `data` as integers for a Labels layer, with a note (empty: as it was).

    Booleans become 0/1; floats are taken when each value is a whole number.

    Parameters
    ----------
    error : callable
        Makes the exception from one sentence, when the values are no labels.
    """
    if data.dtype.kind in "iu":
        return data, ""
    if data.dtype.kind == "b":
        return data.view(np.uint8) if data.dtype.itemsize == 1 else data.astype(np.uint8), ""
    if data.dtype.kind != "f":
        raise error(f"{what} holds {data.dtype.name} values; labels are whole numbers.")
    low, high = _whole_range(data, what, error)
    for target in ("uint8", "uint16", "uint32", "int32", "uint64", "int64"):
        info = np.iinfo(target)
        if info.min <= low and high <= info.max:
            note = f"whole numbers stored as {data.dtype.name} were taken as {target} labels"
            return np.asarray(data).astype(target), note
    raise error(f"{what} holds numbers from {low:g} to {high:g}, too large for labels.")


def _whole_range(
    data: np.ndarray, what: str, error: Callable[[str], Exception]
) -> tuple[float, float]:
    low, high = 0.0, 0.0
    flat = data if data.ndim > 1 else data.reshape(1, -1)
    for part in flat:
        part = np.asarray(part)
        if not np.isfinite(part).all() or not (part == np.rint(part)).all():
            raise error(f"{what} holds fractions or NaN; labels are whole numbers.")
        if part.size:
            low, high = min(low, float(part.min())), max(high, float(part.max()))
    return low, high


def _compatible(kind: str) -> str:
    return {"i": "i", "u": "ui", "f": "fc", "c": "c"}.get(kind, "")
