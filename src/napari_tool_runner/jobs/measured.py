"""What was measured of layers: which columns came of which run, and whether they still hold."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

from napari_tool_runner.exchange import (
    column_names,
    content_of,
    features_for,
    features_without,
    is_whole,
    layer_kind,
    snapshot,
    without_rows,
)
from napari_tool_runner.tools.model import LayerKind
from napari_tool_runner.tools.tree import map_data

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import pandas as pd

    from napari_tool_runner.jobs.job import Job

__all__ = [
    "Measured",
    "Origin",
    "has_changed",
    "look_into",
    "measured_of",
    "origin_of",
    "size_changed",
    "without_data",
]

Origin: TypeAlias = "tuple[object, ...]"
"""A tool, one of its outputs, and what went in: measured again it is the same."""


_KEY = "index"
"""napari's column of the labels that rows are."""


class _Layer(Protocol):
    features: object


class Measured:
    """What a run measured of a layer as it is now.

    Attributes
    ----------
    job : str
        Its id.
    names : frozenset
        The columns of the layer's features that came of it.
    instead : Measured or None
        What it took the place of: the same was measured before.
    """

    def __init__(self, layer: object, origin: Origin, job: Job | None) -> None:
        self._origin, self.job = origin, "" if job is None else job.id
        self.names: frozenset[object] = frozenset()
        self.instead: Measured | None = None
        sources = {} if job is None else job.request.sources
        self._others = [weakref.ref(one) for one in sources.values() if one is not layer]
        self._size, self._heard = _size(layer), 0
        self._content, went_on = ("", False) if job is None else _taken(layer, job)
        self._state = self._looked = None if went_on else self.state_of(layer)
        self._differs = False
        if layer_kind(layer) is not LayerKind.LABELS:
            getattr(layer, "events").data.connect(self._hear)  # noqa: B009 (by its attributes)
        self._before: pd.DataFrame | None = None
        self._after: object = None

    def note(self, layer: object) -> None:
        """Remember it as what was measured last of `layer`."""
        known = _measured.setdefault(layer, {})
        self.instead = known.pop(self._origin, self.instead)
        known[self._origin] = self

    def has_changed(self, layer: object) -> bool:
        """Whether `layer` has other objects than those that were measured, as far as was told.

        What is painted and then undone has not changed. `look_into` reads them.
        """
        return self._differs or self.state_of(layer) not in (self._looked, self._state)

    @property
    def is_unsure(self) -> bool:
        """Whether only a look tells what was measured, or whether that has changed."""
        return not self._content or self._state is None

    def compare(self, state: object, content: str) -> None:
        """Take in what was read of its layer, which was in a state."""
        if not self._content and state == self._state:
            self._content = content
        if self._content and content:
            self._looked, self._differs = state, content != self._content

    def state_of(self, layer: object) -> object:
        """Return what changes with the objects of its layer, if somebody tells that they do."""
        return _State(layer) if layer_kind(layer) is LayerKind.LABELS else self._heard

    def _hear(self, _: object) -> None:
        self._heard += 1

    def is_resized(self, layer: object) -> bool:
        """Whether `layer` has another pixel size than when it was measured."""
        return self._size != _size(layer)

    @property
    def within(self) -> str:
        """Names of the other layers that went in, of those that are still there."""
        layers = (reference() for reference in self._others)
        return ", ".join(str(getattr(one, "name", "")) for one in layers if one is not None)

    def join(self, layer: _Layer, columns: Mapping[str, object], key: str, tool: str) -> bool:
        """Give `layer` a table as columns, in the place of those that the same had measured.

        A column that others have, with other values, is called by what it is of, or by the
        `tool`. False: the rows are not of its objects.
        """
        if not hasattr(layer, "features"):
            return False
        there, others = column_names(layer), dict(_measured.get(layer, {}))
        old = others.pop(self._origin, None)
        own = frozenset[object]() if old is None else old.names & there

        def called(name: str) -> str:
            held = [origin for origin, one in others.items() if name in one.names]
            same = any(origin[0] == self._origin[0] for origin in held)
            return f"{name} of {self.within}" if same and self.within else f"{name} by {tool}"

        features = features_for(layer, columns, key, own=own, called=called)
        if features is None:
            return False
        self._before = cast("pd.DataFrame", layer.features)
        layer.features = features
        self._after = layer.features
        self.names = column_names(layer) - (there - own) - {_KEY}
        for other in others.values():  # whose columns went with the objects that they were of
            other.names -= self.names
        self.note(layer)
        return True

    def take_back(self, layer: _Layer) -> bool:
        """Take its columns from `layer`; what they replaced is there again.

        False: it was measured once more since, and those columns stay.
        """
        known = _measured.get(layer, {})
        if known.get(self._origin) is not self:
            return False
        del known[self._origin]
        old, before = self.instead, self._before
        if old is not None:
            known[self._origin] = old
        if before is not None:
            layer.features = before if layer.features is self._after else self._without(layer)
        return True

    def _without(self, layer: _Layer) -> object:
        """Return the features of `layer`, which has got others since, as if it had not come."""
        before, old = self._before, self.instead
        if before is None or old is None:
            return features_without(layer, self.names)
        names = [name for name in before.columns if name == _KEY or name in old.names]
        columns = {str(name): before[name].to_numpy() for name in names}
        return features_for(layer, columns, _KEY * (_KEY in names), own=self.names)


class _State:
    """Which pixels labels have, and what was painted last and is not undone."""

    def __init__(self, layer: object) -> None:
        self._pixels = _reference(getattr(layer, "data", None))
        history = getattr(layer, "_undo_history", ())  # an undo is told by nothing else
        self._stroke = history[-1] if history else ()  # kept: its number is given again

    def __eq__(self, other: object) -> bool:
        """Whether both are the same; the parts of a stroke come in any order."""
        if not isinstance(other, _State) or self._pixels() is not other._pixels():
            return False
        return {*map(id, self._stroke)} == {*map(id, other._stroke)}

    __hash__ = None  # type: ignore[assignment]  # by what may be gone


_measured: weakref.WeakKeyDictionary[object, dict[Origin, Measured]] = weakref.WeakKeyDictionary()


def measured_of(layer: object) -> list[Measured]:
    """Return what was measured of a layer, the last one last."""
    return [*_measured.get(layer, {}).values()]


def has_changed(layer: object) -> bool:
    """Whether something was measured of a layer that has other objects now."""
    return any(one.has_changed(layer) for one in measured_of(layer))


def look_into(layers: Iterable[object]) -> Callable[[], Callable[[], None]]:
    """Return what reads, in any thread, whether layers have the objects that were measured.

    What it returns is called where layers are changed: `has_changed` knows it then. Pixels are
    read at the speed of memory; those that nobody can write to are not.
    """
    taken = [
        ([(one, one.state_of(layer)) for one in measured_of(layer)], snapshot(layer))
        for layer in layers
        if measured_of(layer)
    ]

    def read() -> Callable[[], None]:
        contents = [content_of(snap) for _, snap in taken]

        def note() -> None:
            for (states, _), content in zip(taken, contents, strict=True):
                for one, state in states:
                    one.compare(state, content)

        return note

    return read


def size_changed(layer: object) -> bool:
    """Whether something was measured of a layer that has another pixel size now."""
    return any(one.is_resized(layer) for one in measured_of(layer))


def origin_of(job: Job, output: str, element: str) -> Origin:
    """Return what an output of `job` has in common with one that is made of the same again."""
    sources = job.request.sources
    layers = [(name, weakref.ref(layer)) for name, layer in sources.items()]
    snaps = job.request.snapshots(job.request.values)
    files = [(name, snap.source) for name, snap in snaps if name not in sources]
    return job.tool.uri, output, element, *layers, *files


def without_data(job: Job) -> object:
    """Return the values of the parameters of a job that are no data."""
    return map_data(job.tool.inputs, job.request.values, lambda *_: None)


def _taken(layer: object, job: Job) -> tuple[str, bool]:
    """Return the content of a layer that `job` took, if all, and whether it was changed since."""
    sources, now = job.request.sources, f"{without_rows(snapshot(layer).key)}:"
    snaps = job.request.snapshots(job.request.values)
    given = [(snap.key, name) for name, snap in snaps if sources.get(name) is layer]
    went_on = any(key.startswith("layer:") and not key.startswith(now) for key, _ in given)
    whole = (job.run.contents.get(name, "") for key, name in given if is_whole(key))
    return next(whole, ""), went_on


def _reference(data: object) -> Callable[[], object]:
    try:
        return weakref.ref(data)
    except TypeError:  # what cannot be let go is kept
        return lambda: data


def _size(layer: object) -> tuple[object, ...]:
    return (*getattr(layer, "scale", ()), *map(str, getattr(layer, "units", ())))
