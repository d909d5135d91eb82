"""What a form says of layers that it lacks or cannot give."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_tool_runner.tools.model import LayerKind

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["kinds_text", "undrawn"]


def kinds_text(kinds: Sequence[LayerKind]) -> str:
    """Return ``an image or labels layer`` for a sentence (the best two kinds)."""
    if LayerKind.ANY in kinds:
        return "a layer"
    words = [kind.value for kind in kinds[:2] if kind is not LayerKind.TABLE]
    table = "a layer with a table of features"
    if not words:
        return table
    article = "an" if words[0][0] in "aeiou" else "a"
    text = f"{article} {' or '.join(words)} layer"
    return f"{text} or {table}" if LayerKind.TABLE in kinds[:2] else text


def undrawn(name: str) -> str:
    """Return what to say of shapes that no picture tells how large to draw."""
    return (
        f"“{name}” are shapes, and no input has the size of the picture: turn them into labels "
        "(right-click the layer, “Convert to Labels”)."
    )
