"""Viewers and layers as plugins get them from napari: behind proxies."""

from __future__ import annotations

from typing import TypeVar

__all__ = ["bare"]

_T = TypeVar("_T")


def bare(value: _T) -> _T:
    """Return the viewer or layer behind a proxy of napari; anything else as it is.

    napari makes a proxy anew each time it is asked: it neither is the layer nor lives as long.
    """
    if type(value).__module__ != "napari.utils._proxies":
        return value
    behind: _T = getattr(value, "__wrapped__", value)
    return behind
