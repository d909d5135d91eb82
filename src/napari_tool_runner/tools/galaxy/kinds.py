"""Which kinds of layers an input makes sense for: declared, else from its words."""

from __future__ import annotations

import re
from collections.abc import Iterable

from napari_tool_runner.tools.galaxy.datatypes import kinds_of
from napari_tool_runner.tools.model import LayerKind

__all__ = ["input_kinds"]

_LABEL_WORDS = re.compile(
    r"label[\s_-]*(map|image|mask)|labell?ed|labels\b|\bmasks?\b|segmentation|segmented|"
    r"binary image|instance|\brois?\b|regions? of interest|annotation",
    re.IGNORECASE,
)
_POINT_WORDS = re.compile(
    r"\bpoints?\b|coordinate|landmark|\bspots?\b|centroid|\bseeds?\b|position|detection",
    re.IGNORECASE,
)
_TRACK_WORDS = re.compile(r"\btracks?\b|trajector", re.IGNORECASE)


def input_kinds(formats: Iterable[str], words: str) -> tuple[LayerKind, ...]:
    """Return the kinds of layers for an input, best first.

    Parameters
    ----------
    formats : iterable of str
        Accepted datatypes; none: anything.
    words : str
        Name, label and help of the input.
    """
    kinds: list[LayerKind] = []
    for name in formats:
        kinds += [kind for kind in kinds_of(name) if kind is not LayerKind.ANY]
    found = list(dict.fromkeys(kinds))
    if not found:
        return (LayerKind.ANY,)
    for pattern, kind in (
        (_LABEL_WORDS, LayerKind.LABELS),
        (_POINT_WORDS, LayerKind.POINTS),
        (_TRACK_WORDS, LayerKind.TRACKS),
    ):
        if kind in found and pattern.search(words):
            found.remove(kind)
            found.insert(0, kind)
            break
    return tuple(found)
