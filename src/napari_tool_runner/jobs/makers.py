"""Which job made a layer, for as long as nobody changes it."""

from __future__ import annotations

import weakref
from collections.abc import Mapping

from napari_tool_runner.errors import UnsupportedLayerError
from napari_tool_runner.exchange import content_of, snapshot, without_rows
from napari_tool_runner.jobs.record import METADATA_KEY

__all__ = ["maker_of", "note_maker", "told_maker"]

_ROWS = 10_000
"""So many rows of features are read within a press."""
_makers: weakref.WeakKeyDictionary[object, tuple[object, str]] = weakref.WeakKeyDictionary()


def note_maker(layer: object) -> None:
    """Remember that a layer is as a job made it, which its metadata name."""
    if maker := told_maker(layer):
        _makers[layer] = _state(layer), maker


def told_maker(layer: object) -> str:
    """Return the job and the output that the metadata of a layer name, whatever became of it."""
    told = getattr(layer, "metadata", {}).get(METADATA_KEY)
    if not isinstance(told, Mapping) or not told.get("id") or not told.get("output"):
        return ""
    element = f"/{told['element']}" if told.get("element") else ""
    return f"{told['id']}/{told['output']}{element}"


def maker_of(layer: object) -> str:
    """Return the id of the job, and the title of its output, that a layer is; else empty."""
    try:
        state, maker = _makers.get(layer, (None, ""))
    except TypeError:  # an array is no key
        return ""
    return maker if maker and state == _state(layer) else ""


def _state(layer: object) -> tuple[str, int, str]:
    """Return what changes with the data of a layer, and with its features where they go out.

    Pixels can be written to without a trace: who reads them all looks (`was_written_to`).
    """
    try:
        taken = snapshot(layer)
    except UnsupportedLayerError:
        return "", 0, ""
    if taken.kind.is_pixels:  # what is measured of objects changes none of them
        return without_rows(taken.key), 0, ""
    told = taken.attributes.get("features")
    rows = told.head(_ROWS).to_csv() if hasattr(told, "head") else ""
    return taken.key, id(getattr(layer, "features", None)), content_of(taken) + rows
