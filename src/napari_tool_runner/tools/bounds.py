"""What a form may be made of: a descriptor of a few lines can ask for millions of fields."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from napari_tool_runner.tools.model import (
    InputItem,
    Note,
    ParameterBase,
    SelectParameter,
    Severity,
    Tool,
)
from napari_tool_runner.tools.tree import remade

__all__ = ["bounded"]

_MOST_FIELDS = 3000
_MOST_OPTIONS = 20_000
_DEEPEST = 20


def bounded(tool: Tool) -> Tool:
    """Return `tool` as a form can be made of it; what is left out is told by its notes."""
    if not any(_beyond(tool.inputs, 0)) and _fields(tool.inputs) <= _MOST_FIELDS:
        return tool
    bounding = _Bounding()
    inputs = bounding.items(tool.inputs, 0)
    if _fields(inputs) > _MOST_FIELDS:
        inputs = bounding.once(inputs)
    if _fields(inputs) > _MOST_FIELDS:
        inputs = bounding.first(inputs)
    return replace(tool, inputs=inputs, notes=(*tool.notes, *bounding.notes))


def _beyond(items: Sequence[InputItem], depth: int) -> Iterator[bool]:
    """Yield True for whatever `_Bounding.items` would change."""
    for item in items:
        if isinstance(item, SelectParameter):
            yield len(item.options) > _MOST_OPTIONS
        elif not isinstance(item, ParameterBase):
            yield depth >= _DEEPEST
            if depth < _DEEPEST:
                for group in item.inside:
                    yield from _beyond(group, depth + 1)


def _fields(items: Sequence[InputItem]) -> int:
    """Return how many fields a form of `items` opens with, and keeps for its cases."""
    count = 0
    for item in items:
        if isinstance(item, ParameterBase):
            count += 1
            continue
        inner = 1 + sum(_fields(group) for group in item.inside)
        count += inner * max(item.opens_with, 1)
    return count


class _Bounding:
    def __init__(self) -> None:
        self.notes: list[Note] = []

    def error(self, where: str, what: str) -> None:
        self.notes.append(Note(Severity.ERROR, f"inputs/{where}", what))

    def items(self, items: Sequence[InputItem], depth: int) -> tuple[InputItem, ...]:
        """Cut lists of choices, and what is nested too deeply."""
        kept: list[InputItem] = []
        for item in items:
            if isinstance(item, SelectParameter) and len(item.options) > _MOST_OPTIONS:
                what = (
                    f"It has {len(item.options):,} choices; the first {_MOST_OPTIONS:,} are shown."
                )
                self.notes.append(Note(Severity.WARNING, f"inputs/{item.name}", what))
                item = replace(item, options=item.options[:_MOST_OPTIONS])
            elif not isinstance(item, ParameterBase) and depth >= _DEEPEST:
                self.error(item.name, f"It is nested more than {_DEEPEST} deep; it is left out.")
                continue
            elif not isinstance(item, ParameterBase):
                item = remade(item, partial(self.items, depth=depth + 1))
            kept.append(item)
        return tuple(kept)

    def once(self, items: Sequence[InputItem]) -> tuple[InputItem, ...]:
        """Give each repeat one entry at most."""
        kept: list[InputItem] = []
        for item in items:
            if isinstance(item, ParameterBase):
                kept.append(item)
                continue
            item, asked = remade(item, self.once), item.opens_with
            if asked > 1:
                self.error(
                    item.name,
                    f"It is to be given {asked:,} times: a form holds {_MOST_FIELDS:,} fields "
                    "at most; it is shown once.",
                )
                item = item.shown_once()
            kept.append(item)
        return tuple(kept)

    def first(self, items: Sequence[InputItem]) -> tuple[InputItem, ...]:
        """Leave out what comes after the most fields."""
        kept: list[InputItem] = []
        left = _MOST_FIELDS
        for item in items:
            left -= _fields([item])
            if left < 0:
                break
            kept.append(item)
        more = len(items) - len(kept)
        what = f"A form holds {_MOST_FIELDS:,} fields at most; {more:,} more are left out."
        self.notes.append(Note(Severity.ERROR, "inputs", what))
        return tuple(kept)
