"""What a result became in a viewer, and the sentence that tells it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

from napari_tool_runner._lazy import np
from napari_tool_runner.data_classes import dataclass, field
from napari_tool_runner.exchange import (
    at_edge,
    edge_words,
    features_of,
    giant_words,
    giants_among,
    layer_kind,
    pixel_column,
    soft_words,
    speck_words,
    warns,
)
from napari_tool_runner.jobs.in_place import is_ours
from napari_tool_runner.jobs.record import METADATA_KEY
from napari_tool_runner.names import count_text
from napari_tool_runner.tools.model import LayerKind

if TYPE_CHECKING:
    import pandas as pd

    from napari_tool_runner.exchange import Counted
    from napari_tool_runner.jobs.measured import Measured
    from napari_tool_runner.jobs.viewer_like import LayerLike

__all__ = ["AddedResult"]

_NOISY = "So many come of noise: smooth the image first."
_SHORT = 160
"""Letters of a note that are told; the log has the whole."""


@dataclass(slots=True)
class AddedResult:
    """What a result became in a viewer.

    Parameters
    ----------
    layers : list
        The layers that show the result, bottom first.
    replaced : list
        Those of them that came in the place of the last result.
    open : list
        Layers that showed the result already.
    tables : dict
        Output name -> columns, of the tables that belong to no layer.
    owners : dict
        Title of one of `tables` -> the layer whose objects its rows are nevertheless.
    joined : dict
        Output name -> the layer whose ``features`` took the table.
    counted : list of tuple
        Layers of objects, and how many these are.
    files : list of str
        Labels of the outputs that are no layer; they are in the workspace.
    origins : dict
        Title of one of `tables` -> what another one has that comes in its place.
    measures : list of tuple
        Layers that were joined, and what was measured of them.
    hidden : list
        Results that it was made of, or made anew, which would be seen through it.
    restores : list of callable
        What gives the layers in `replaced` back what they showed before.
    notes : tuple of str
        What a person should know of it.
    advice : str
        What else helps, where what was tried did not.
    job : str
        The id of the job whose result it is.
    """

    layers: list[object] = field(default_factory=list)
    replaced: list[object] = field(default_factory=list)
    open: list[object] = field(default_factory=list)
    tables: dict[str, Mapping[str, object]] = field(default_factory=dict)
    owners: dict[str, object] = field(default_factory=dict)
    joined: dict[str, object] = field(default_factory=dict)
    counted: list[tuple[object, Counted]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    origins: dict[str, object] = field(default_factory=dict)
    measures: list[tuple[LayerLike, Measured]] = field(default_factory=list)
    hidden: list[LayerLike] = field(default_factory=list)
    restores: list[Callable[[], None]] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    advice: str = ""
    job: str = ""

    @property
    def sign(self) -> Literal["done", "problem"]:
        """What stands before the sentence: no tick where the objects look wrong."""
        wrong = any(found.noisy or found.giants for _, found in self.counted)
        wrong = wrong or any(map(warns, self.notes))
        wrong = wrong or any(_giants(features_of(layer)[0]) for layer in self.joined.values())
        return "problem" if wrong else "done"

    def sentence(self) -> str:
        """Return what happened, for a person."""
        parts: list[str] = []
        if fresh := [layer for layer in self.layers if layer not in self.replaced]:
            parts.append(f"Added {self._with_numbers(fresh)}.")
        if self.replaced:
            parts.append(f"Replaced {self._with_numbers(self.replaced)}.")
        if self.open:
            is_open = "is open already" if len(self.open) == 1 else "are open already"
            parts.append(f"{self._with_numbers(self.open)} {is_open}.")
        for _, found in self.counted:
            parts += [speck_words(found.specks, found.least)] * bool(found.specks)
            parts += [_NOISY] * found.noisy
            parts += [giant_words(found.giants, found.largest, found.middle)] * bool(found.giants)
        parts += [self.advice] * bool(self.advice)
        if self.hidden:
            names = ", ".join(f"“{_name(layer)}”" for layer in self.hidden)
            parts.append(f"{names} below {'is' if len(self.hidden) == 1 else 'are'} hidden.")
        if self.joined:
            measured = [_Objects(layer, *features_of(layer)) for layer in self.joined.values()]
            again = any(one.instead is not None for _, one in self.measures)
            parts.append(f"Measured {', '.join(map(_named, measured))}{' again' * again}.")
            for one in measured:
                parts += [*_giants(one.features), *_cut(one), *_soft(one)]
        if self.tables:
            parts.append(f"Opened {count_text(len(self.tables), 'table')}.")
        if self.files:
            parts.append(f"{', '.join(self.files)}: a file in the workspace.")
        parts = parts or ["Done; the tool made nothing to show."]
        if self.notes:
            first = self.notes[0]
            told = first if len(first) <= _SHORT else f"{first[:_SHORT].rsplit(' ', 1)[0]} …"
            parts.append(told if told[-1:] in ".!?…" else f"{told}.")
            more = len(self.notes) - 1
            parts += [f"{count_text(more, 'more note')} in the log."] if more else []
        return " ".join(parts)

    def _with_numbers(self, layers: Iterable[object]) -> str:
        """Return names of layers, with the number of their objects where it is known."""
        told = {id(layer): _number(layer, found) for layer, found in self.counted}
        return ", ".join(f"“{_name(layer)}”{told.get(id(layer), '')}" for layer in layers)


def _name(layer: object) -> str:
    return str(getattr(layer, "name", layer))


def _number(layer: object, found: Counted) -> str:
    if found.unnumbered:
        return f": a mask of {count_text(found.count, 'piece')}"
    noun = "object" if layer_kind(layer) is LayerKind.LABELS else layer_kind(layer).value[:-1]
    each = [f"{count} in channel {number}" for number, count in enumerate(found.channels)]
    # several channels show the same things more often than not: the sum is no number of them
    return f": {count_text(found.count, noun)}" + (f" ({', '.join(each)})" if each else "")


class _Objects(NamedTuple):
    """A layer, what is known of its objects, and their numbers (see `features_of`)."""

    layer: object
    features: pd.DataFrame
    numbers: np.ndarray


def _named(one: _Objects) -> str:
    return f"{count_text(len(one.numbers), 'object')} of “{_name(one.layer)}”"


def _giants(features: pd.DataFrame) -> list[str]:
    """Say how many objects are giants, by their measured sizes."""
    name = pixel_column(features)
    if not name:
        return []
    sizes = features[name].dropna().to_numpy(int)
    giants, middle = giants_among(sizes)
    return [giant_words(int(giants.sum()), int(sizes.max()), middle)] if giants.any() else []


def _cut(one: _Objects) -> list[str]:
    """Say how many objects touch the edge of their layer, where their sizes were measured."""
    sized = bool(pixel_column(one.features))
    cut = int(np.isin(one.numbers, at_edge(one.layer)).sum()) if sized else 0
    return [edge_words(cut)] if cut else []


def _soft(one: _Objects) -> list[str]:
    """Say what sizes are worth, where they were measured, by the tool that found the objects."""
    told = getattr(one.layer, "metadata", {}).get(METADATA_KEY)
    if not is_ours(one.layer) or not isinstance(told, Mapping) or not pixel_column(one.features):
        return []
    words = soft_words(map(str, told.get("notes", ())))
    return [words] if words else []
