"""On what part of a layer a tool works: what makes sense, in words, and the row to choose it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget
from superqt.utils import signals_blocked

from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.exchange import can_drop, layer_kind, slices_of
from napari_tool_runner.jobs import Extent
from napari_tool_runner.tools.model import DataParameter, LayerKind
from napari_tool_runner.tools.tree import leaves
from napari_tool_runner.widgets.forms.given import as_list
from napari_tool_runner.widgets.forms.known_axes import axes_of
from napari_tool_runner.widgets.parts.background import soon
from napari_tool_runner.widgets.parts.inputs import NarrowCombo, keep_wheel_away
from napari_tool_runner.widgets.parts.layouts import filled
from napari_tool_runner.widgets.parts.messages import MessageLabel
from napari_tool_runner.widgets.parts.texts import tooltip
from napari_tool_runner.widgets.results.scene import camera_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_tool_runner.tools.model import Tool
    from napari_tool_runner.widgets.forms.form import FormWidget

__all__ = ["Choice", "ExtentBar", "Sliced", "sliced", "view_events"]

_AROUND = 32
"""Pixels around what is seen that a preview works on, too: its borders are out of sight."""
_MOST = 2**22
"""Pixels that a live preview works on at most."""


class Choice(StrEnum):
    """How many of the slices the tool gets."""

    WHOLE = "whole"
    EACH = "each"
    CURRENT = "current"


class LivePart(NamedTuple):
    """What a live preview works on, what is to be said of that, and how many pixels it has."""

    extent: Extent | None = None
    said: str = ""
    pixels: int = 0


def sliced(tool: Tool, values: Mapping[str, object], viewer: ViewerModel | None) -> Sliced | None:
    """Return how the first image or labels among `values` can be cut, None without one."""
    if viewer is None:
        return None
    for leaf in leaves(tool.inputs, values):
        parameter = leaf.parameter
        if not isinstance(parameter, DataParameter):
            continue
        if not any(kind.is_pixels or kind is LayerKind.ANY for kind in parameter.kinds):
            continue
        for value in as_list(leaf.value):
            if layer_kind(value).is_pixels:
                return Sliced(value, parameter, viewer)
    return None


class Sliced:
    """A layer, what its tool takes, and the viewer that shows a part of it.

    Parameters
    ----------
    layer : Layer
        Of pixels; the axes of an `Extent` are those of its data.
    parameter : DataParameter
        The input that it goes to.
    """

    def __init__(self, layer: object, parameter: DataParameter, viewer: ViewerModel) -> None:
        self._layer = cast("Layer", layer)
        self._viewer = viewer
        self.outer, self.needed = slices_of(parameter, axes_of(self._layer))
        """Which axes are taken apart; whether the tool takes other ones than the layer has."""
        self.inner = self._layer.ndim - len(self.outer) if self.outer else 0
        """Axes of one slice; 0: the tool takes no slices of this layer."""
        self._fits = not self.needed or can_drop(parameter, self.shape)

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes along the axes of the data (of the finest level)."""
        data = self._layer.data[0] if self._layer.multiscale else self._layer.data
        return tuple(int(size) for size in data.shape[: self._layer.ndim])

    @property
    def count(self) -> int:
        """Number of slices."""
        return prod(self.shape[axis] for axis in self.outer)

    @property
    def choices(self) -> tuple[Choice, ...]:
        """What can be chosen; the usual one first."""
        if not self.outer:
            return (Choice.WHOLE,)
        if self.needed:
            return (Choice.EACH, Choice.CURRENT, *([Choice.WHOLE] if self._fits else []))
        return (Choice.WHOLE, Choice.CURRENT, Choice.EACH)

    def position(self) -> tuple[int, ...]:
        """Return where the sliders stand, in pixels of the layer."""
        point = np.asarray(self._viewer.dims.point, float)[-self._layer.ndim :]
        pixel = np.asarray(self._layer.world_to_data(point))
        return tuple(
            int(np.clip(round(float(at)), 0, size - 1))
            for at, size in zip(pixel, self.shape, strict=True)
        )

    def visible(self) -> tuple[tuple[int, int] | None, ...]:
        """Return first pixel and end along the displayed axes; empty when all is in view.

        Only of a 2-D display: in 3-D nothing says which part is looked at.
        """
        dims, layer = self._viewer.dims, self._layer
        if dims.ndisplay != 2:
            return ()
        corners = np.asarray(layer.corner_pixels, float)
        if layer.multiscale:
            corners = corners * np.asarray(layer.downsample_factors[layer.data_level])
        missing = dims.ndim - layer.ndim
        box: list[tuple[int, int] | None] = [None] * layer.ndim
        for shown in dims.displayed:
            axis = shown - missing
            if axis < 0:
                continue
            size = self.shape[axis]
            low = int(np.clip(np.floor(corners[0][axis]), 0, size))
            high = int(np.clip(np.ceil(corners[1][axis]) + 1, 0, size))
            # before the first drawing the corners are all 0
            if high - low > 1 and (low > 0 or high < size):
                box[axis] = (low, high)
        return tuple(box) if any(box) else ()

    def extent(self, choice: Choice, *, seen: bool) -> Extent | None:
        """Return what goes into the job; None for everything.

        The current slice is a stack of one: its result lies at that slice, and does not
        cover the others.
        """
        box = list(self.visible() if seen else ()) or [None] * len(self.shape)
        if choice is Choice.CURRENT:
            at = self.position()
            for axis in self.outer:
                box[axis] = (at[axis], at[axis] + 1)
        crop = tuple(box) if any(box) else ()
        if choice is Choice.WHOLE and not crop:
            return None
        mode = Choice.WHOLE if choice is Choice.WHOLE else Choice.EACH
        return Extent(mode.value, ndim=self.inner or 2, crop=crop)

    def live(self, choice: Choice) -> LivePart:
        """Return what a live preview of a run on `choice` gets.

        What is seen and a little around it; of a stack the current slice, unless the tool
        gets all slices at once and these are few.
        """
        seen = self.visible() or (None,) * len(self.shape)
        box = [
            (max(0, low - _AROUND), min(size, high + _AROUND))
            for entry, size in zip(seen, self.shape, strict=True)
            for low, high in [entry or (0, size)]
        ]
        inside = [axis for axis in range(len(box)) if axis not in self.outer]
        plane = prod(box[axis][1] - box[axis][0] for axis in inside)
        volume = prod(stop - start for start, stop in box)
        said = []
        whole = not self.outer or (choice is Choice.WHOLE and volume <= _MOST)
        if choice is Choice.WHOLE and not whole:
            said.append(f"Of this {self.noun} alone; a run works on the whole stack.")
        pixels = volume if whole else plane
        if pixels > _MOST:
            said.append("Of the middle of what you see: zoom in to see all of it.")
            share = (_MOST / pixels) ** 0.5
            for axis in inside[-2:]:
                start, stop = box[axis]
                size = max(1, int((stop - start) * share))
                start += (stop - start - size) // 2
                box[axis] = start, start + size
        full = [(0, size) for size in self.shape]
        crop = tuple(None if one == all_ else one for one, all_ in zip(box, full, strict=True))
        extent = Extent(
            "whole" if whole else "current",
            ndim=self.inner or 2,
            position=() if whole else self.position(),
            crop=crop if any(crop) else (),
        )
        part = None if extent.trivial else extent
        return LivePart(part, " ".join(said), min(pixels, _MOST))

    # -- in words --------------------------------------------------------------------------

    @property
    def noun(self) -> str:
        """What a slice is called."""
        return "volume" if self.inner == 3 else "slice"

    def place(self) -> str:
        """Return ``z 12/23``, as the sliders say it."""
        at = self.position()
        return ", ".join(
            f"{self._axis(axis)} {at[axis]}/{self.shape[axis] - 1}".strip() for axis in self.outer
        )

    def label(self, choice: Choice) -> str:
        """Return `choice` for a combo box."""
        if choice is Choice.EACH:
            return f"each {self.noun} ({self.count})"
        if choice is Choice.CURRENT:
            return f"current {self.noun} ({self.place()})"
        return "whole stack" if self.outer else "whole layer"

    def explain(self, choice: Choice, *, seen: bool) -> str:
        """Return what will happen, when it is not what one expects anyway."""
        words: list[str] = []
        if choice is Choice.EACH:
            along = ", ".join(filter(None, map(self._axis, self.outer)))
            which = f"{self.noun} along {along}" if along else self.noun
            words.append(
                "One run" if self.count == 1 else f"{self.count} runs, one for each {which}"
            )
        elif choice is Choice.CURRENT:
            words.append(f"One run, at {self.place()}")
        if seen and (box := self.visible()):
            part = " × ".join(str(entry[1] - entry[0]) for entry in box if entry)
            whole = " × ".join(
                str(size) for entry, size in zip(box, self.shape, strict=True) if entry
            )
            words.append(f"{'on' if words else 'Only'} the {part} of {whole} pixels in view")
        said = ", ".join(words)
        if choice is Choice.EACH:
            return f"{said}; the results become one stack, labels stay distinct."
        return f"{said}; the result lies there." if said else ""

    def _axis(self, axis: int) -> str:
        label = str(self._layer.axis_labels[axis])
        # napari's default labels are negative numbers, which tell nobody anything
        named = label.strip("-").isalpha() and not label.startswith("axis")
        return label if named else ("" if len(self.outer) == 1 else f"axis {axis}")


class ExtentBar(QWidget):
    """The choice between the whole stack, each slice and the current one, or what is seen.

    Hidden while there is nothing to choose: the chosen layer is no stack to this tool,
    and all of it is in view.
    """

    def __init__(
        self, tool: Tool, form: FormWidget, viewer: ViewerModel | None, parent: QWidget
    ) -> None:
        super().__init__(parent)
        self._tool = tool
        self._form = form
        self._viewer = viewer
        self._chosen: Choice | None = None
        self._found: Sliced | None = None
        self._label = QLabel("Work on")
        self.combo = NarrowCombo()
        keep_wheel_away(self.combo)
        self.combo.setAccessibleName("Work on")
        self.combo.setToolTip(
            tooltip(
                "What the tool gets of the layers.",
                "Each slice: one run for each; the results become one stack again, "
                "and labels stay distinct.",
                "The current slice: where the sliders stand when you press Run.",
            )
        )
        self._label.setBuddy(self.combo)
        self.seen = QCheckBox("only what I see")
        self.seen.setToolTip(
            tooltip(
                "Work on the visible part alone, to try things out: zoom in first.",
                "The result lies where it belongs. Other images are cut alike when they "
                "are of the same size, else they go in whole.",
            )
        )
        self.words = MessageLabel()
        row = filled(QHBoxLayout(), self._label, (self.combo, 1), spacing=6)
        parts = row, self.seen, self.words
        filled(QVBoxLayout(self), *parts, margins=(6, 2, 6, 0), spacing=2)
        self.combo.activated.connect(self._activated)
        self.seen.toggled.connect(self._explain)
        self._soon = soon(self.refresh, 60, self)
        form.changed.connect(self.refresh)
        for event in view_events(viewer):
            event.connect(self._view_moved)
        self.refresh()

    @property
    def choice(self) -> Choice:
        """What is chosen."""
        data = self.combo.currentData()
        return Choice(data) if data is not None else Choice.WHOLE

    @property
    def whole(self) -> bool:
        """Whether a run works on all of the data."""
        return self.choice is not Choice.CURRENT and not self.seen.isChecked()

    def choose(self, choice: Choice) -> None:
        """Choose, if it is offered."""
        self._chosen = choice
        self.refresh()

    def extent(self, values: Mapping[str, object]) -> Extent | None:
        """Return the part that a run on `values` of the form gets; None for everything."""
        self._offer(values)
        if self._found is None or self.isHidden():
            return None
        return self._found.extent(self.choice, seen=self.seen.isChecked())

    def live(self, values: Mapping[str, object]) -> LivePart:
        """Return what a live preview of `values` gets."""
        self._offer(values)
        return LivePart() if self._found is None else self._found.live(self.choice)

    def release(self) -> None:
        """Stop following the viewer."""
        for event in view_events(self._viewer):
            event.disconnect(self._view_moved)
        self._viewer = None

    def refresh(self) -> None:
        """Offer what makes sense now; a choice stays as long as it does."""
        self._offer(self._form.values())

    def _offer(self, values: Mapping[str, object]) -> None:
        try:
            self._found = sliced(self._tool, values, self._viewer)
        except ToolRunnerError:  # half-typed values; the form tells them
            return
        found = self._found
        choices = found.choices if found is not None else ()
        wanted = self._chosen if self._chosen in choices else next(iter(choices), None)
        with signals_blocked(self.combo):
            self.combo.clear()
            if found is not None:
                for choice in sorted(choices, key=list(Choice).index):
                    self.combo.addItem(found.label(choice), choice.value)
            if wanted is not None:
                self.combo.setCurrentIndex(self.combo.findData(wanted.value))
        several = len(choices) > 1
        self._label.setVisible(several)
        self.combo.setVisible(several)
        part = found is not None and bool(found.visible())
        self.seen.setEnabled(part or self.seen.isChecked())
        self.setVisible(several or part or (found is not None and self.seen.isChecked()))
        self._explain()
        self._tell_form()

    def _explain(self, *_: object) -> None:
        found = self._found
        text = found.explain(self.choice, seen=self.seen.isChecked()) if found is not None else ""
        self.words.say(text, "info")

    def _activated(self, _: int) -> None:
        self._chosen = self.choice
        self._explain()
        self._tell_form()

    def _tell_form(self) -> None:
        """Let the form judge whether layers fit together where they are cut."""
        chooser, cut = self._form.chooser, self.choice is not Choice.WHOLE
        if chooser.cut is not cut:
            chooser.cut = cut
            chooser.judge()

    def _view_moved(self, event: object = None) -> None:
        self._soon.start()


def view_events(viewer: ViewerModel | None) -> list[Any]:
    """Return the events that tell that another part is seen."""
    if viewer is None:
        return []
    dims, camera = viewer.dims.events, camera_of(viewer).events
    return [dims.current_step, dims.order, dims.ndisplay, camera.zoom, camera.center]
