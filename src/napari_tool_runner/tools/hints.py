"""What the words of a descriptor say of its data: one list for all languages."""

from __future__ import annotations

import re
from collections.abc import Iterable

from napari_tool_runner._lazy import compiled
from napari_tool_runner.tools.formats import FORMATS, Formats, LayerKind

__all__ = ["are_numbered", "hinted", "input_kinds", "is_picture"]

_WORDS = {
    LayerKind.LABELS: r"labels?|label(maps?|images?|masks?)|labell?ed|masks?|segmentations?"
    r"|segmented|segments|instances?|objects|regions|binary|binari[sz]ed|rois?|annotations?|watershed"
    r"|connected components",
    LayerKind.TRACKS: r"tracks?|tracked|tracking|trajector(y|ies)|lineages?",
    LayerKind.POINTS: r"points?|spots?|detections?|coordinates?|centroids?|cent(er|re)s|peaks?"
    r"|maxima|landmarks?|seeds?|markers?|locali[sz]ations?|positions?|locations?|particles?"
    r"|keypoints",
    LayerKind.SHAPES: r"shapes?|rois?|regions?|polygons?|outlines?|contours?",
    LayerKind.TABLE: r"tables?|measurements?|properties|statistics|features|counts?|results?"
    r"|summary|report|scores?|metrics",
}
_HINTS = {kind: compiled(rf"\b({words})\b") for kind, words in _WORDS.items()}
_PICTURES = compiled(
    r"\b(overlays?|overlaid|colou?ri[sz]ed|probabilit(y|ies)|heat ?maps?|denoised|filtered"
    r"|smoothed|blurred|deconvolved|background|distances?|render(ed|ing)?|projections?|masked"
    r"|registered|aligned|sharpened|corrected|normali[sz]ed)\b"
)


def _plain(texts: Iterable[str]) -> str:
    """Return texts as lower-case words: ``labelImage_out`` -> ``label image out``."""
    split = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", " ".join(texts))
    return re.sub(r"[^a-z0-9]+", " ", split.lower())


def hinted(*texts: str) -> frozenset[LayerKind]:
    """Return the kinds of data that names, labels or descriptions speak of."""
    words = _plain(texts)
    return frozenset(kind for kind, pattern in _HINTS.items() if pattern.search(words))


def are_numbered(label: str) -> bool:
    """Whether the label of a result says no more than that it is objects: each has a number.

    What is told of them (“Remaining objects”) may be a mask as well, where that went in.
    """
    return bool(re.fullmatch(r"\s*((numbered|labell?ed) )?(objects|instances)\s*", label.lower()))


def is_picture(*texts: str) -> bool:
    """Whether texts speak of a picture to look at, whatever else they speak of."""
    return bool(_PICTURES.search(_plain(texts)))


def input_kinds(
    names: Iterable[str], *texts: str, formats: Formats = FORMATS
) -> tuple[LayerKind, ...]:
    """Guess the kinds of layers for an input from its formats and what it is called.

    A word moves a kind to the front, nothing more. ``(ANY,)`` when no format tells.
    """
    kinds = dict.fromkeys(kind for name in names for kind in formats.resolve(name).kinds)
    if len(kinds) > 1:
        kinds.pop(LayerKind.ANY, None)
    found = hinted(*texts)
    first = [kind for kind in _WORDS if kind in kinds and kind in found]
    return tuple(dict.fromkeys([*first, *kinds])) or (LayerKind.ANY,)
