"""Whose objects the rows of a table are: asked of the numbers, where no descriptor says it."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

from napari_tool_runner import exchange
from napari_tool_runner.errors import ExchangeError, WorkspaceError
from napari_tool_runner.tools.model import LayerKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from napari_tool_runner.exchange import LayerSnapshot, Objects
    from napari_tool_runner.jobs.execution import Run
    from napari_tool_runner.jobs.outputs import JobOutput

__all__ = ["Joins", "join_tables", "joined_as_then"]


def join_tables(run: Run) -> None:
    """Let the tables among the outputs of `run` know what they join; its notes say it."""
    request, top = run.request, run.workspace.paths.top

    def as_labels(entry: JobOutput) -> JobOutput:
        if entry.output.name in request.kinds:  # a person knows better
            return entry
        labels = replace(entry, loaded=None, kind=LayerKind.LABELS)
        try:
            labels = labels.opened(request.tool, top, run.files)
        except WorkspaceError as reason:  # it is an image still
            run.notes.append(str(reason))
            return entry
        run.notes.append(f"{entry.layer_name}: labels, as a table has their numbers.")
        return labels

    snaps, part = request.snapshots(request.values), bool(request.grid and not request.pieces)
    joins = Joins(run.outputs, snaps, run.stop_if_cancelled, part=part)
    run.outputs = joins.settled(run.notes.append, as_labels)


def joined_as_then(outputs: Mapping[str, JobOutput]) -> dict[str, JobOutput]:
    """Return the outputs of a past job; tables join what they did, if their numbers still say so.

    A record may be a stranger's: alone it joins nothing. What was an input then is not looked at.
    """
    again = Joins(outputs, (), lambda: None).settled()

    def kept(entry: JobOutput, name: str, element: str) -> JobOutput:
        then = outputs[name].files().get(element, entry)
        same = (entry.join, entry.column) == (then.join, then.column)
        return entry if same else replace(entry, join="", column="", numbers=())

    return {name: _each(one, name, kept) for name, one in again.items()}


class Joins:
    """Whose objects the rows of tables are, where the descriptor says nothing.

    Parameters
    ----------
    inputs : iterable of (full name, LayerSnapshot)
        What went in; of files the content is looked at, if a table may be of their objects.
    stop : callable
        Raises to stop the looking.
    part : bool
        The inputs are only parts of the layers.
    """

    def __init__(
        self,
        outputs: Mapping[str, JobOutput],
        inputs: Iterable[tuple[str, LayerSnapshot]],
        stop: Callable[[], None],
        *,
        part: bool = False,
    ) -> None:
        self._outputs, self._inputs = dict(outputs), list(inputs)
        self._stop = stop
        self._part = part
        self._made: dict[tuple[str, str], Objects | None] = {}
        self._extents: set[tuple[int, ...]] = set()

    def settled(
        self,
        note: Callable[[str], None] = lambda _: None,
        as_labels: Callable[[JobOutput], JobOutput] = lambda entry: entry,
    ) -> dict[str, JobOutput]:
        """Return the outputs; tables know what they join.

        `note` takes a sentence on each table with numbers of objects, joined or not;
        `as_labels` opens an image again, when a table says that it holds objects.
        """
        labels: set[tuple[str, str]] = set()

        def joined(entry: JobOutput, name: str, element: str) -> JobOutput:
            table = entry.loaded
            if table is None or table.kind is not LayerKind.TABLE or entry.output.join:
                return entry
            found = exchange.joined_by(table.table, partial(self._images, element))
            if found.note:
                other = self._uncounted(element) if found.counted else ""
                may = f"; they may be of “{other}”, whose objects cannot be counted: compare some"
                same = not other or found.key in self._outputs
                note(f"{entry.layer_name}: {found.note}{'' if same else may}.")
            if found.sure:
                labels.update({(found.key, element), (found.key, "")})
            return replace(entry, join=found.key, column=found.column, numbers=found.numbers)

        def relabelled(entry: JobOutput, name: str, element: str) -> JobOutput:
            image = entry.loaded is not None and entry.loaded.kind is LayerKind.IMAGE
            told = (name, element) not in labels or not image or entry.output.kind is not None
            return entry if told else as_labels(entry)

        outputs = {name: _each(one, name, joined) for name, one in self._outputs.items()}
        return {name: _each(one, name, relabelled) for name, one in outputs.items()}

    def _images(self, element: str) -> list[Objects]:
        """Return the objects of all images that a table of `element` may be of."""
        made = [self._of_output(n, element) or self._of_output(n, "") for n in self._outputs]
        return [one for one in (*self._given, *made) if one]

    @cached_property
    def _given(self) -> list[Objects | None]:
        found, several = [], Counter(name for name, _ in self._inputs)
        one_each = {snap.path or id(snap.data): (name, snap) for name, snap in self._inputs[::-1]}
        for name, snap in one_each.values():  # an image may go into several inputs
            with suppress(ExchangeError):  # what cannot be read says nothing
                opened = replace(exchange.open_snapshot(snap), name=snap.name)
                self._extents.add(_extent(opened))
                key = name * (several[name] == 1)
                found.append(exchange.objects_in(key, opened, part=self._part, stop=self._stop))
        return found

    def _of_output(self, name: str, element: str) -> Objects | None:
        if (name, element) not in self._made:
            self._made[name, element] = None
            entry = self._outputs[name].files().get(element)
            if entry and entry.loaded and entry.loaded.kind.is_pixels:
                with suppress(ExchangeError):
                    snap = exchange.snapshot(entry)
                    self._made[name, element] = exchange.objects_in(name, snap, stop=self._stop)
        return self._made[name, element]

    def _uncounted(self, element: str) -> str:
        """Return an output as large as an input, whose objects nobody can count; or none.

        In colours or fractions objects may have got other numbers than those of the input.
        """
        for name, output in self._outputs.items():
            entry = output.files().get(element) or output.files().get("")
            if entry is None or entry.loaded is None or not entry.loaded.kind.is_pixels:
                continue
            with suppress(ExchangeError):
                counted = self._of_output(name, element) or self._of_output(name, "")
                if counted is None and _extent(exchange.snapshot(entry)) in self._extents:
                    return entry.layer_name
        return ""


def _extent(snap: LayerSnapshot) -> tuple[int, ...]:
    """Return how large an image is along its axes, without that of colours."""
    if not snap.kind.is_pixels or snap.data is None:
        return ()
    shape = snap.pixels.shape
    return tuple(n for n in shape[: len(shape) - snap.rgb] if n > 1)


def _each(
    output: JobOutput, name: str, convert: Callable[[JobOutput, str, str], JobOutput]
) -> JobOutput:
    """Convert an output, or each element of a collection."""
    if not output.elements:
        return convert(output, name, "")
    parts = {key: convert(part, name, key) for key, part in output.elements.items()}
    return replace(output, elements=parts)
