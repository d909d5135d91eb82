"""How many digits of the numbers of a column a person needs."""

from __future__ import annotations

import numpy as np

__all__ = ["as_shown", "decimals_of", "number_text"]

_TOLD = 4
"""So many digits of the middle value are told."""
_APART = 2
"""So many digits of what most values differ by."""
_MOST = 6
"""So many places after the point are read; smaller numbers have a power of ten."""
_LARGE = 1e15
_LOOKED = 20_000
"""So many values tell of a column."""


def decimals_of(values: np.ndarray) -> int:
    """Return how many places after the point the numbers of a column have, as a person reads it.

    Those that tell four digits of the middle one and two of what most differ by; none that all
    values would fill with zeros.
    """
    some = values[:: max(1, len(values) // _LOOKED)]
    known = np.abs(some[np.isfinite(some) & (some != 0)].astype(float))
    if not len(known):
        return 0
    low, high = np.quantile(some[np.isfinite(some)], (0.1, 0.9))
    wanted = _TOLD - 1 - np.floor(np.log10(np.median(known)))
    if high > low:
        wanted = max(wanted, _APART - 1 - np.floor(np.log10(high - low)))
    most = int(np.clip(wanted, 0, _MOST))
    for fewer in range(most):
        if np.allclose(np.round(known, fewer), known, rtol=1e-12, atol=0):
            return fewer
    return most


def number_text(value: float, decimals: int) -> str:
    """Return a number with so many places; of one that would lose all its digits two are told."""
    size = abs(value)
    if size >= _LARGE:
        return f"{value:.{_TOLD}g}"
    small = 0 < size < 10.0 ** (_APART - 1 - decimals) and round(value, decimals) != value
    return f"{value:.{_APART}g}" if small else f"{value:.{decimals}f}"


def as_shown(values: np.ndarray) -> np.ndarray:
    """Return the numbers of a column rounded as `number_text` shows nearly all of them."""
    return np.round(values, decimals_of(values)) if values.dtype.kind == "f" else values
