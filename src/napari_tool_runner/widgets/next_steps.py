"""What comes next on the way from an image to measured objects, and what mends it, as buttons."""

from __future__ import annotations

import weakref
from functools import partial
from itertools import cycle
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from napari_tool_runner.exchange import (
    column_title,
    doubtful_in,
    features_of,
    is_noisy,
    layer_kind,
    snapshot,
    uneven_in,
    whereabouts,
)
from napari_tool_runner.jobs import made_of
from napari_tool_runner.tools.model import LayerKind
from napari_tool_runner.widgets.forms.form_model import without_data
from napari_tool_runner.widgets.forms.layers import has_colours
from napari_tool_runner.widgets.parts.texts import short
from napari_tool_runner.widgets.results.again import again_buttons, note_act
from napari_tool_runner.widgets.results.mark import Mark
from napari_tool_runner.widgets.results.measures import best_size, is_measured
from napari_tool_runner.widgets.results.scene import look_at, reveal
from napari_tool_runner.widgets.results.showing import plot_features, show_features

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

    from napari.components import ViewerModel
    from napari.layers import Labels, Layer

    from napari_tool_runner.exchange import Counted
    from napari_tool_runner.jobs import AddedResult
    from napari_tool_runner.tools.model import Tool
    from napari_tool_runner.tools.toolbox.box import Toolbox
    from napari_tool_runner.widgets.parts.messages import Button

__all__ = ["NextSteps", "Opens", "Origin", "origin_of"]


class _Given(Protocol):
    @property
    def tool(self) -> Tool: ...

    @property
    def values(self) -> Mapping[str, object]: ...

    @property
    def sources(self) -> Mapping[str, object]: ...

    @property
    def pieces(self) -> Sequence[object]: ...


class Origin(NamedTuple):
    """The page whose button led to another one: what is made there goes back into it.

    Parameters
    ----------
    key, title : str
        Of its tool.
    place : str
        Full name of the input that was to be given something else; empty: the first.
    """

    key: str
    title: str
    place: str = ""


def origin_of(tool: Tool, toolbox: Toolbox | None) -> Origin:
    """Return the page of a tool, by the key that it has in a toolbox."""
    listed = toolbox.entry(tool.uri) if toolbox and tool.uri in toolbox else None
    return Origin(tool.uri if listed is None else listed.key, tool.name)


class _Page(Protocol):
    def take(
        self, layer: object, more: Mapping[str, object], place: str, origin: Origin | None
    ) -> object: ...

    def set_values(self, values: Mapping[str, object]) -> object: ...

    def run(self) -> object: ...


class Opens(Protocol):
    """Shows the page of a tool, at once or once it is read, and fills it in."""

    def __call__(self, key: str, *, fill: Callable[[_Page], object]) -> object:
        """Show the page of the tool `key`; `fill` is called with it."""
        ...


_SEGMENT, _SPLIT, _CLEAN = "threshold", "split_touching", "remove_small_objects"
_MEASURE, _SMOOTH, _GREY = "measure_regions", "gaussian_filter", "colour_to_grey"
_FIND, _TRACK, _EVEN = "find_objects", "track_points", "subtract_background"
_BETTER = frozenset((_SMOOTH, _GREY, _EVEN, "median_filter", "denoise_tv"))
"""Their results are images to make objects of."""
_NUMBER = frozenset((_FIND, _SPLIT, _CLEAN, "label_components"))
"""Their results are objects to be measured; outlines are not."""
_LISTED = frozenset((LayerKind.POINTS, LayerKind.TRACKS))
"""Kinds of results that come with what is known of each of them."""
_IN_VAIN = "A finer split leaves it so: paint a part by hand, or smooth less."


class NextSteps:
    """Opens the tools that others need before them, with a layer chosen.

    Parameters
    ----------
    viewer : napari viewer or None
    toolbox : container of str, or None
        Keys of the tools that there are; what it lacks is not offered.
    open_tool : Opens or None
        Shows the page of a tool.
    here : Origin, optional
        The page that it serves: from others one returns to it.
    """

    origin: Origin | None = None
    """The page that led here last, for something to put into it."""

    def __init__(
        self,
        viewer: ViewerModel | None,
        toolbox: Container[str] | None,
        open_tool: Opens | None,
        here: Origin = Origin("", ""),  # noqa: B008 (it never changes)
    ) -> None:
        self._viewer = weakref.ref(viewer) if viewer is not None else lambda: None
        self._toolbox = toolbox if toolbox is not None and open_tool is not None else ()
        self._open_tool = open_tool
        self._here = here
        self._mark = Mark()
        self._noisy: dict[str, bool] = {}
        self._left: tuple[str, float, int, int] = "", 0.0, 0, 0
        """Which mask was split last, how finely, and the giants that were left."""

    def before(self, tool: str, layer: object) -> tuple[str, tuple[Button, ...]]:
        """Say what is better done before `tool` takes a layer, and offer it; else nothing."""
        if tool != _SEGMENT or not self._is_noisy(layer):
            return "", ()
        text = "The image is noisy: smoothed first, its objects stay whole, and no specks come."
        return text, self.smooth(layer, "")

    def _is_noisy(self, layer: object) -> bool:
        """Whether an image is noisy; of what must be computed, nobody knows."""
        pixels = getattr(layer, "data", None)
        is_image = layer_kind(layer) is LayerKind.IMAGE and not has_colours(layer)
        if not is_image or not isinstance(pixels, np.ndarray):
            return False
        key = snapshot(layer).key
        if key not in self._noisy:
            self._noisy = {key: is_noisy(pixels)}
        return self._noisy[key]

    def smooth(self, layer: object, back: str | None = None) -> tuple[Button, ...]:
        """Offer to take noise out of an image, for the input `back` of this page."""
        return self._offer("Smooth it first…", _SMOOTH, layer, back=back)

    def mend(self, layer: object, back: str) -> tuple[Button, ...]:
        """Offer what makes of a layer one that goes into the input `back` of this page."""
        if has_colours(layer):
            return self._offer("Choose a channel…", _GREY, layer, back=back)
        empty = 0 in getattr(getattr(layer, "data", None), "shape", ())
        return () if empty else self.segment(layer)

    def onward(self, layer: object, tool: str) -> tuple[Button, ...]:
        """Offer to return with what `tool` made to the page that led here, else make objects."""
        origin = self.origin
        if origin is not None and origin.key in self._toolbox:
            return self._offer(f"{origin.title}…", origin.key, layer, place=origin.place)
        return self.find(layer) if tool == _GREY else self.segment(layer)

    def find(self, layer: object) -> tuple[Button, ...]:
        """Offer to make objects of a layer of intensities, in one step where a tool does it."""
        return self._offer("Find objects…", _FIND, layer) or self.segment(layer)

    def segment(self, layer: object) -> tuple[Button, ...]:
        """Offer to make a mask of a layer of intensities."""
        return self._offer("Threshold it…", _SEGMENT, layer)

    def split(self, layer: object) -> tuple[Button, ...]:
        """Offer to make an object of each piece of a mask."""
        return self._offer("Split it into objects…", _SPLIT, layer)

    def after(
        self, shown: AddedResult, tool: str = "", given: _Given | None = None
    ) -> tuple[Button, ...]:
        """Offer what comes after a result of `tool`, and before that what mends it.

        `given` is what the tool was run on.
        """
        buttons: list[Button] = []
        viewer = self._viewer()
        for layer in viewer.layers if viewer is not None else ():
            if layer in (*shown.joined.values(), *shown.owners.values()):
                self._remember(layer, tool, given)
            if layer in shown.joined.values():
                buttons += self._measured(viewer, layer)
        for layer in shown.layers if tool in _BETTER else ():
            buttons += self.onward(layer, tool)
        if given is not None and uneven_in(shown.notes):
            for name, one in [*given.sources.items()][:1]:
                buttons += self._offer("Subtract background…", _EVEN, one, back=name)
        for layer, found in shown.counted:
            images = self._images_behind(layer) if found.noisy and viewer is not None else ()
            went_in = given.sources.items() if given is not None else ()
            for image in images[:1]:
                buttons += self.smooth(
                    image, next((n for n, one in went_in if one is image), None)
                )
            if found.unnumbered:
                buttons += self.split(layer)
            elif found.specks:
                more = {"smallest": found.least}
                buttons += self._offer("Remove specks…", _CLEAN, layer, more)
            elif found.count and viewer is not None and layer_kind(layer) in _LISTED:
                buttons += self._listed(viewer, layer)
            elif found.count and tool in _NUMBER:
                if found.giants:
                    buttons += self._mend(shown, layer, found, tool, given)
                buttons += self._doubtful(shown, layer, found, given)
                buttons += again_buttons(layer) or self._offer("Measure them…", _MEASURE, layer)
        return tuple(buttons)

    def _remember(self, layer: Layer, tool: str, given: _Given | None) -> None:
        """Remember how `tool` measured a layer."""
        if given is not None and tool in self._toolbox:
            more = without_data(given.tool, given.values)
            sources = {name: weakref.ref(one) for name, one in given.sources.items()}
            note_act(layer, self._measure_again, tool, more, sources)

    def _measured(self, viewer: ViewerModel, layer: Layer) -> list[Button]:
        """Offer a plot and a table of what was measured."""
        table: Button = "Table", partial(show_features, viewer, layer)
        size = best_size(features_of(layer)[0]) if is_measured(layer) else ""
        if not size:
            return [table]
        called = short(column_title(size, of_objects=True).partition(" (")[0])
        return [(f"Plot {called}…", partial(plot_features, viewer, layer)), table]

    def _listed(self, viewer: ViewerModel, layer: object) -> list[Button]:
        """Offer the table of points or tracks, and to track points that are in time."""
        moving = layer_kind(layer) is LayerKind.POINTS and "T" in snapshot(layer).geometry.axes
        track = self._offer("Track them…", _TRACK, layer) if moving else ()
        table: Button = "Table", partial(show_features, viewer, layer)
        return [*track, *[table] * is_measured(layer)]

    def _measure_again(
        self, tool: str, more: Mapping[str, object], sources: Mapping[str, weakref.ref[object]]
    ) -> None:
        """Run a tool on the layers that it measured, with the values that it had."""
        values = {**more, **{name: layer() for name, layer in sources.items()}}
        if self._open_tool is not None:
            self._open_tool(tool, fill=partial(_run_on, values))

    def _images_behind(self, layer: object) -> list[object]:
        """Return the images that a layer was made of, the last one first."""
        viewer = self._viewer()
        layers = viewer.layers if viewer is not None else ()
        return [one for one in made_of(layer, layers) if layer_kind(one) is LayerKind.IMAGE]

    def _mend(
        self, shown: AddedResult, layer: object, found: Counted, tool: str, given: _Given | None
    ) -> tuple[Button, ...]:
        """Offer to look at the largest object, and to split objects in which there are several."""
        label = "Show it" if found.giants == 1 else "Show the largest"
        show: Button = label, partial(self._show, layer, found.giant, found.count)
        if tool == _FIND:  # its diameter decides, and together they would be one mask again
            return (show,)
        if tool != _SPLIT or given is None:
            return show, *self._offer("Split them…", _SPLIT, layer)
        spacing, mask = given.values.get("spacing"), given.sources.get("input")
        if not isinstance(spacing, int | float) or mask is None:
            return (show,)
        left = snapshot(mask).key, spacing, found.giants, found.largest
        before, self._left = self._left, left
        in_vain = (left[0], *left[2:]) == (before[0], *before[2:]) and spacing < before[1]
        if spacing >= 2 and not in_vain:
            return show, *self._offer("Split finer…", _SPLIT, mask, {"spacing": spacing / 2})
        shown.advice = _IN_VAIN if in_vain else ""
        paint: Button = "Paint", partial(self._paint, layer, found.giant)
        smoothing = given.values.get("smoothing")
        if not isinstance(smoothing, int | float) or smoothing < 0.5:
            return (paint,)
        more = {"spacing": spacing, "smoothing": smoothing / 2}
        return paint, *self._offer("Smooth less…", _SPLIT, mask, more)

    def _doubtful(
        self, shown: AddedResult, layer: object, found: Counted, given: _Given | None
    ) -> tuple[Button, ...]:
        """Offer to look at the objects that may be none; each press goes to the next one."""
        numbers = doubtful_in(shown.notes)
        # one and the same number may be of an object in each of the pieces
        if not numbers or given is None or given.pieces:
            return ()
        turn = cycle(numbers)
        label = f"Show number {numbers[0]}" if len(numbers) == 1 else "Show the doubtful"
        return ((label, lambda: self._show(layer, next(turn), found.count)),)

    def _show(self, layer: object, number: int, among: int = 0) -> Labels | None:
        """Select an object and bring it into the middle of the view; None: its layer is gone.

        It stands out `among` so many; none: it looks as it did, to be painted on.
        """
        viewer = self._viewer()
        layers = viewer.layers if viewer is not None else ()
        found: Labels | None = next((one for one in layers if one is layer), None)
        if viewer is None or found is None:
            return None
        reveal(viewer, found)
        viewer.layers.selection.active = found
        found.selected_label = number
        place = whereabouts(found)(number, None)
        if place is not None:
            look_at(viewer, found, place)
        if among:
            self._mark.show(viewer, found, number, np.arange(1, among + 1))
        return found

    def _paint(self, layer: object, number: int) -> None:
        """Let a person paint a part of an object with a number of its own."""
        found = self._show(layer, number)
        if found is not None:
            found.selected_label = int(np.max(found.data)) + 1
            found.mode = "paint"

    def _offer(
        self,
        label: str,
        key: str,
        layer: object,
        more: Mapping[str, object] | None = None,
        *,
        place: str = "",
        back: str | None = None,
    ) -> tuple[Button, ...]:
        """Offer a tool: `place` is its input for `layer`, `back` the input here for its result.

        `back`: empty means the first one; None: what it makes does not come back here.
        """
        if key not in self._toolbox:
            return ()
        origin = self._here._replace(place=back) if back is not None else None
        return ((label, partial(self._open, key, layer, more or {}, place, origin)),)

    def _open(
        self,
        key: str,
        layer: object,
        more: Mapping[str, object],
        place: str,
        origin: Origin | None,
    ) -> None:
        viewer = self._viewer()
        if viewer is not None:
            viewer.layers.selection.active = next(
                (one for one in viewer.layers if one is layer), None
            )
        if self._open_tool is not None:
            self._open_tool(key, fill=lambda page: page.take(layer, more, place, origin))


def _run_on(values: Mapping[str, object], page: _Page) -> None:
    page.set_values(values)
    page.run()
