"""In which unit a number is given, and which value the tool took by itself."""

from __future__ import annotations

import re
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

from qtpy.QtCore import QObject

from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.exchange import (
    asks_file,
    layer_kind,
    open_snapshot,
    share_here,
    snapshot,
    steps_told,
    unit_here,
    unit_word,
    with_known_axes,
)
from napari_tool_runner.jobs import told_first
from napari_tool_runner.tools.model import FloatParameter, IntegerParameter, LayerKind
from napari_tool_runner.widgets.forms.given import as_list, path_of
from napari_tool_runner.widgets.forms.node import LeafNode
from napari_tool_runner.widgets.parts.background import Latest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from napari_tool_runner.exchange import Geometry, LayerSnapshot
    from napari_tool_runner.tools.model import ParameterBase
    from napari_tool_runner.widgets.forms.form_model import FormModel
    from napari_tool_runner.widgets.forms.node import Node

__all__ = ["Sizes", "Units", "first_number", "has_two_units", "sizes_of", "unit_of"]

Sizes: TypeAlias = "Mapping[str, tuple[float, str]]"
"""Axis -> size of a pixel (frame, slice) along it and its unit, where a picture says it."""

_NUMBER = r"\d+(?:\.\d+)?(?:e[+-]?\d+)?"
_PLACELESS = (LayerKind.TABLE, LayerKind.ANY)
_STEPS = 10
"""Of so many steps a size is that nobody told yet: a limit is no value to begin with."""


def has_two_units(parameter: ParameterBase) -> bool:
    """Whether the unit of a number depends on the layers that go in (``µm or px``)."""
    return " or " in _unit(parameter)


def unit_of(parameter: ParameterBase, model: FormModel) -> str:
    """Return the unit of a parameter, of two the one that holds for the chosen layer.

    Both while none is chosen, or its file is still read.
    """
    unit = _unit(parameter)
    return unit if model.geometry is None else unit_here(unit, model.geometry)


class Units(QObject):
    """Keeps numbers what they mean while the unit of a form's data changes.

    The unit is that in which the tool will read them: of the pixel size that the layer has,
    else of the one that its file tells, which is read in the background.
    """

    def __init__(self, model: FormModel, parent: QObject) -> None:
        super().__init__(parent)
        self._model = model
        # how wide a pixel was when a number was given; None: the number is of what comes
        self._widths: weakref.WeakKeyDictionary[LeafNode, float | None] = (
            weakref.WeakKeyDictionary()
        )
        # what a number was before it was brought into the other unit, and how wide a pixel then
        self._given: weakref.WeakKeyDictionary[LeafNode, tuple[float, float]] = (
            weakref.WeakKeyDictionary()
        )
        self._unsure: weakref.WeakSet[LeafNode] = weakref.WeakSet()  # given without a unit
        self._of: list[object] = []
        self._pictures: list[int] = []
        self._own: Geometry | None = None
        self._then: list[Callable[[], object]] = []
        self._held = False
        self.asking = False
        """Whether a file is still read."""
        self._looks = Latest(self)
        self._looks.done.connect(self._answered)
        self._looks.failed.connect(lambda _: self._answered((self._of, self._own)))
        model.changed.connect(self.look)

    def waits(self, then: Callable[[], object]) -> bool:
        """Whether a file is still read: if so, `then` is done after it, once."""
        if self.asking and then not in self._then:
            self._then.append(then)
        return self.asking

    @contextmanager
    def given(self) -> Iterator[None]:
        """Take numbers that are set inside as they are, for the data that are chosen then."""
        held, self._held = self._held, True
        try:
            yield
        finally:
            self._held = held
            self._tell()

    @contextmanager
    def brought(self, sizes: Sizes | None) -> Iterator[None]:
        """Take numbers that are set inside as what they were for another picture.

        `sizes`: what that picture says (`Units.sizes`); None: it is not known.
        """
        with self.given():
            yield
            for leaf in self._leaves():
                if self._widths.get(leaf) is None and sizes is None:
                    self._unsure.add(leaf)
                elif self._widths.get(leaf) is None and sizes is not None:
                    self._widths[leaf] = share_here(_unit(leaf.parameter), sizes)

    @property
    def sizes(self) -> Sizes | None:
        """What the picture says that numbers are given for; None: not known (yet)."""
        geometry = self._model.geometry
        return None if geometry is None else steps_told(geometry)

    def look(self, node: Node | None = None) -> None:
        """Look which unit holds now; `node` was given a value."""
        leaves = self._leaves()
        if isinstance(node, LeafNode) and any(node is leaf for leaf in leaves):
            self._widths[node] = None
            self._given.pop(node, None)
            self._unsure.discard(node)
            if self._model.geometry is None and not self._held:
                self._unsure.add(node)
        if leaves and not self._held:
            self._ask()
            self._settle(leaves)
        waiting, self._then = ([], self._then) if self.asking else (self._then, [])
        for then in waiting:
            then()

    def _leaves(self) -> list[LeafNode]:
        return [leaf for leaf in self._model.leaves() if has_two_units(leaf.parameter)]

    def _ask(self) -> None:
        data = [leaf for leaf in self._model.leaves() if leaf.is_data]
        given = [(one, leaf) for leaf in data for one in as_list(leaf.value)]
        try:
            snaps = [
                (snapshot(one), getattr(leaf.parameter, "axes", ""))
                for one, leaf in given
                if path_of(one) is not None or layer_kind(one) not in _PLACELESS
            ]
        except ToolRunnerError:  # gone: the run says so
            snaps = []
        of: list[object] = [
            (snap.source, one.shape, one.axes, one.scale, one.units)
            for snap, _ in snaps
            for one in (snap.geometry, snap.behind)
            if one is not None
        ]
        if of == self._of:
            return
        pictures = [id(one) for one, _ in given]
        if pictures == self._pictures:  # the same, which says more: its own number stays
            self._given.clear()
        self._pictures = pictures
        self._of, self._own = of, told_first(snap for snap, _ in snaps)
        self.asking = any(asks_file(snap) for snap, _ in snaps)
        self._model.geometry = None if self.asking else self._own
        if self.asking:
            self._looks.ask(lambda: (of, told_first(_known(*one) for one in snaps)))

    def _answered(self, found: tuple[list[object], Geometry | None]) -> None:
        of, geometry = found
        if of != self._of or not self.asking:
            return
        self.asking, self._model.geometry = False, geometry
        self._tell()

    def _tell(self) -> None:
        """Look again, and let rows show what holds now."""
        data = next((leaf for leaf in self._model.leaves() if leaf.is_data), None)
        if data is not None and not self._held:
            self._model.changed.emit(data)

    def _settle(self, leaves: Sequence[LeafNode]) -> None:
        """Give the numbers in the unit that holds now, and say so."""
        geometry = self._model.geometry
        if geometry is None:
            return
        for leaf in leaves:
            two = _unit(leaf.parameter)
            width, before = share_here(two, steps_told(geometry)), self._widths.get(leaf)
            self._widths[leaf] = width
            unsure = leaf in self._unsure
            self._unsure.discard(leaf)
            if leaf.is_default or not isinstance(leaf.value, int | float):
                continue
            if before is None and unsure:
                leaf.say(
                    f"Given without a unit: taken as {leaf.value:g} {unit_here(two, geometry)}."
                )
            elif before is not None and bool(before) is not bool(width):
                value, own = self._given.get(leaf, (leaf.value, before))
                if bool(own) is bool(width):  # as it was given, however many pictures ago
                    leaf.set(value, chosen=leaf.chosen)
                    leaf.say("")
                else:
                    _convert(leaf, value, width, own)
                    self._given[leaf] = value, own
            elif before is not None and before != width:
                leaf.say("")  # what was said is of another picture


def sizes_of(snaps: Iterable[LayerSnapshot]) -> Sizes | None:
    """Return what data say that went into a run; None: nobody knows it. Reads their files."""
    told = told_first(_known(one) for one in snaps)
    return None if told is None else steps_told(told)


def _known(snap: LayerSnapshot, wanted: str = "") -> LayerSnapshot:
    """Return what a job will know of an input: see `Request.with_known_axes`."""
    try:
        opened = open_snapshot(snap)
        return opened if snap.image else with_known_axes(opened, wanted)
    except ToolRunnerError:  # the run says so
        return snap


def _convert(leaf: LeafNode, value: float, width: float, before: float) -> None:
    """Give `value` in the other unit, and say so; a pixel is `width` wide, or was `before`."""
    parameter = leaf.parameter
    if not isinstance(parameter, IntegerParameter | FloatParameter):
        return
    low, high = parameter.minimum, parameter.maximum
    new = float(f"{value * width if width else value / before:.3g}")
    new = max(new, low) if low is not None else new
    new = min(new, high) if high is not None else new
    new = round(new) if isinstance(parameter, IntegerParameter) else new
    wide, one = _unit(parameter).split(" or ", 1)
    share = f"{width or before:.3g} {wide} per {one.removesuffix('s')}"
    told = (
        f"{value:g} {one} before, now {new:g} {wide} ({share})."
        if width
        else f"{value:g} {wide} before, now {new:g} {one} ({share} there)."
    )
    leaf.set(new, chosen=leaf.chosen)
    leaf.say(told)


def first_number(parameter: IntegerParameter | FloatParameter, model: FormModel) -> float:
    """Return the value that an optional number begins with when a person gives one.

    That which the tool told that it took by itself (``typical diameter 9.68 µm`` for
    “Diameter”), else the smallest amount that is one.
    """
    low, high = parameter.minimum, parameter.maximum
    told = _told(parameter, model)
    if told is not None and _within(told, low, high):
        return told
    if low is None or low <= 0:
        return high if high is not None and high < 0 else 0
    step = parameter.step or 0
    return next((n for n in (_STEPS * step, step) if _within(n, low, high)), low)


def _within(value: float, low: float | None, high: float | None) -> bool:
    return (low is None or low <= value) and (high is None or value <= high)


def _told(parameter: IntegerParameter | FloatParameter, model: FormModel) -> float | None:
    """Return the value that follows the label in a note of the last run, in the same unit."""
    label, unit = parameter.label or parameter.name, unit_of(parameter, model)
    after = " (?:px|pixels)" if unit == "px" else re.escape(f" {unit}" if unit else "")
    words = re.escape(f"{label} "), after
    number = re.compile(rf"\b{words[0]}({_NUMBER}){words[1]}(?=[;,.]|$)", re.IGNORECASE)
    found = next((match for note in model.notes if (match := number.search(note))), None)
    if found is None:
        return None
    value = float(found[1])
    return round(value) if isinstance(parameter, IntegerParameter) else value


def _unit(parameter: ParameterBase) -> str:
    return unit_word(str(getattr(parameter, "unit", "") or ""))
