"""The layers of a viewer: named, and chosen for the inputs of a form."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_tool_runner.exchange import (
    any_of,
    fitting_kinds,
    is_unnumbered,
    layer_kind,
    misfit,
    refused,
    refused_axes,
    refused_beside,
    snapshot,
    taken_dimensions,
    takes_features,
    wants_objects,
)
from napari_tool_runner.jobs import is_preview, made_of, relatives
from napari_tool_runner.tools.model import DataParameter, LayerKind
from napari_tool_runner.tools.tree import beside
from napari_tool_runner.widgets.forms.followed import Followed
from napari_tool_runner.widgets.forms.given import as_list, path_of, told
from napari_tool_runner.widgets.forms.joined import Joined
from napari_tool_runner.widgets.forms.known_axes import geometry_of
from napari_tool_runner.widgets.forms.layer_source import has_features
from napari_tool_runner.widgets.forms.sentences import kinds_text, undrawn

if TYPE_CHECKING:
    from napari_tool_runner.widgets.forms.form_model import FormModel
    from napari_tool_runner.widgets.forms.layer_source import LayerSource
    from napari_tool_runner.widgets.forms.node import LeafNode

__all__ = ["LayerChooser", "has_colours", "takes_time", "wrong_dimensions"]


def wrong_dimensions(parameter: DataParameter, layer: object) -> str:
    """Say which axes a layer lacks, or that it has more than a tool takes; else nothing."""
    if lacking := _lacking(parameter, layer):
        return lacking
    ndim, taken = getattr(layer, "ndim", None), taken_dimensions(parameter)
    if not taken or not isinstance(ndim, int) or ndim in taken:
        return ""
    return f"The tool works on {any_of(taken)} dimensions; “{told(layer)[0]}” has {ndim}."


def has_colours(layer: object) -> bool:
    """Whether pixels are colours: red, green and blue."""
    return bool(getattr(layer, "rgb", False))


def _unfit(parameter: DataParameter, value: object) -> str:
    """Return why the pixels of a layer cannot go in; a file is looked at by the run."""
    if not _is_picture(value):
        return ""
    data, kind = getattr(value, "data", None), layer_kind(value)
    array = data[0] if getattr(value, "multiscale", False) and data is not None else data
    return refused(parameter, kind, array, told(value)[0], rgb=has_colours(value))


def _is_picture(value: object) -> bool:
    """Whether it is a layer of pixels, not a file."""
    return path_of(value) is None and layer_kind(value).is_pixels


def _lacking(parameter: DataParameter, value: object) -> str:
    """Return which axes a layer lacks that an input needs, else an empty text."""
    bounded = taken_dimensions(parameter) or parameter.needs
    if not bounded or layer_kind(value) is LayerKind.ANY:  # a file: the run looks at it
        return ""
    pixels = layer_kind(value).is_pixels
    own = geometry_of(value) if pixels else snapshot(value).geometry
    return refused_axes(parameter, told(value)[0], own, pixels=pixels, cut=True)


def _refused(parameter: DataParameter, value: object) -> str:
    """Return why a layer cannot go into an input: its pixels, its axes; else an empty text."""
    return _unfit(parameter, value) or _lacking(parameter, value)


def takes_time(value: object) -> bool:
    """Whether pixels must be read or computed to say whether a value hardly fits."""
    if path_of(value) is not None:
        return True
    lazy = layer_kind(value) is LayerKind.IMAGE and not has_colours(value)
    return lazy and not isinstance(getattr(value, "data", None), np.ndarray)


class Takes(NamedTuple):
    """What an input takes of a viewer."""

    kinds: tuple[LayerKind, ...]
    draws: bool
    features: bool
    folders: bool


class LayerChooser:
    """Keeps the data inputs of a form in step with the layer list.

    A choice of the user stays as long as its layer does. Where nobody chose, the
    selected layer is taken if it fits, then the best kind that no other input has.
    """

    def __init__(self, model: FormModel, source: LayerSource) -> None:
        self.model = model
        self.source = source
        self.cut = False
        """Whether the tool will get slices; `judge` after a change."""
        self._known: dict[int, Takes] = {}
        self._followed = Followed(self)
        self._joined = Joined(self)

    def takes(self, parameter: DataParameter) -> Takes:
        """Return what `parameter` takes (remembered: it never changes)."""
        key = id(parameter)
        if key not in self._known:
            formats = self.model.tool.formats
            self._known[key] = Takes(
                fitting_kinds(parameter, formats),
                LayerKind.SHAPES not in formats.best_by_kind(parameter.formats),
                takes_features(parameter, formats),
                any(formats.resolve(name).directory for name in parameter.formats),
            )
        return self._known[key]

    def candidates(self, parameter: DataParameter) -> list[object]:
        """Return the layers that fit, in the order of the layer list; no live previews."""
        takes = self.takes(parameter)
        return [
            layer
            for layer in self.source.layers()
            if not is_preview(layer)
            and (layer_kind(layer) in takes.kinds or (takes.features and has_features(layer)))
        ]

    def hardly_fits(self, parameter: DataParameter, layer: object) -> str:
        """Return a sentence when a layer is hardly what an input is for, else an empty text.

        Of pixels only those in memory are looked at: nothing is computed for a form.
        """
        data = getattr(layer, "data", None)
        pixels = data if isinstance(data, np.ndarray) and data.ndim else None
        rgb, kind = has_colours(layer), layer_kind(layer)
        told_of_each = any(one.join == parameter.name for one in self.model.tool.outputs)
        of_each = told_of_each and kind is LayerKind.LABELS
        if of_each and pixels is not None and is_unnumbered(pixels):
            return f"“{told(layer)[0]}” is a mask: all its pieces count as one object."
        return misfit(parameter, kind, pixels, told(layer)[0], rgb=rgb)

    def refused(self, leaf: LeafNode) -> list[object]:
        """Return the layers that are chosen for an input and whose pixels cannot go in."""
        parameter = leaf.parameter
        assert isinstance(parameter, DataParameter)
        return [one for one in as_list(leaf.value) if _unfit(parameter, one)]

    def original(self, layer: object) -> object | None:
        """Return the open image that a layer comes from, also through others; None without one.

        Of a colour image it is the channel that was made of it.
        """
        behind = [one for one in made_of(layer, self.source.layers()) if not has_colours(one)]
        return next((one for one in behind[::-1] if layer_kind(one) is LayerKind.IMAGE), None)

    def whence(self, parameter: DataParameter, layer: object) -> tuple[str, object | None]:
        """Say which of an image and what was made of it is measured; the other one, if better."""
        measures = any(one.join not in ("", parameter.name) for one in self.model.tool.outputs)
        if not measures or layer_kind(layer) is not LayerKind.IMAGE:
            return "", None
        if (original := self.original(layer)) is not None:
            name, first = told(layer)[0], told(original)[0]
            return (
                f"“{name}” was made of “{first}”: its brightness is not the original's.",
                original,
            )
        made = [one for one in self.candidates(parameter) if self.original(one) is layer]
        images = [told(one)[0] for one in made if layer_kind(one) is LayerKind.IMAGE]
        if images:
            return f"Measured in the original, not in “{images[0]}”.", None
        joined = {one.join for one in self.model.tool.outputs}
        into = [leaf.value for leaf in self.model.leaves() if leaf.parameter.name in joined]
        for one in [each for value in into for each in as_list(value) if _is_picture(each)]:
            source = self.original(one)
            if source is not None and not relatives(layer, [source]):
                name, own = told(layer)[0], told(source)[0]
                return f"“{told(one)[0]}” was made of “{own}”, not of “{name}”.", source
        return "", None

    def unsegmented(self, leaf: LeafNode) -> list[object]:
        """Return the open images, the top first, where objects are wanted and none are open."""
        parameter = leaf.parameter
        assert isinstance(parameter, DataParameter)
        if as_list(leaf.value) or not wants_objects(parameter) or self.candidates(parameter):
            return []
        return [one for one in self.source.layers() if layer_kind(one) is LayerKind.IMAGE]

    def missing_text(self, parameter: DataParameter) -> str:
        """Return a sentence when no open layer fits, else an empty text."""
        if self.candidates(parameter):
            return ""
        label = parameter.label or parameter.name
        kinds = self.takes(parameter).kinds
        if not kinds:
            formats = " or ".join(parameter.formats[:4])
            return f"“{label}” needs a file ({formats})."
        return f"“{label}” needs {kinds_text(kinds)}; none is open."

    def update(self) -> None:
        """Choose for every data input of the form that applies now."""
        taken: list[object] = []
        for leaf in list(self.model.leaves()):
            if isinstance(leaf.parameter, DataParameter):
                self.update_leaf(leaf, taken)
                taken += as_list(leaf.value)
        self.judge()  # of shapes the others decide

    def update_leaf(self, leaf: LeafNode, taken: list[object]) -> None:
        """Choose for one input; `taken` are the layers of the inputs before it."""
        parameter = leaf.parameter
        assert isinstance(parameter, DataParameter)
        fitting = self.candidates(parameter)
        present = [
            entry
            for entry in as_list(leaf.value)
            if path_of(entry) is not None or any(entry is layer for layer in fitting)
        ]
        lost = len(present) < len(as_list(leaf.value))
        chosen = leaf.chosen and not (lost and not present)
        if not chosen:
            present = [] if parameter.optional else self._best(leaf, fitting, taken)
        value = (present or None) if parameter.multiple else (present[0] if present else None)
        leaf.take(value, chosen=chosen, extra_problem=self.wrong(leaf, value))

    def suits(self, parameter: DataParameter, layer: object) -> bool:
        """Whether a layer can be chosen, and is not objects for intensities or the other way."""
        wrong = self._unlike(parameter, layer) or bool(_lacking(parameter, layer))
        return not wrong and any(layer is one for one in self.candidates(parameter))

    def give(self, layer: object, place: str) -> None:
        """Choose a layer for the input `place`, else for the first; nobody's hand did."""
        data = [leaf for leaf in self.model.leaves() if leaf.is_data]
        for leaf in ([one for one in data if one.name == place] or data)[:1]:
            leaf.set(layer)
            self.rejoin(leaf)
            self._followed.stay(leaf)

    def rejoin(self, leaf: LeafNode) -> None:
        """Choose what belongs to the new layer of an input, where no hand chose another one."""
        self._joined.rejoin(leaf)

    def follow(self) -> None:
        """Choose a picture that was opened since, in the place of one that nobody's hand chose."""
        self._followed.look()

    def since(self, leaf: LeafNode) -> tuple[str, object | None]:
        """Say that the chosen layer was opened since the last run; return that run's layer."""
        return self._followed.told(leaf)

    def judge(self) -> None:
        """Say at each input when no open layer fits it, or what is chosen cannot go in."""
        for leaf in list(self.model.leaves()):
            if isinstance(leaf.parameter, DataParameter):
                leaf.set_extra_problem(self.wrong(leaf, leaf.value))

    def _undrawn(self, parameter: DataParameter, layer: object) -> str:
        """Return a sentence when shapes are to be drawn, and no input tells how large."""
        if path_of(layer) is not None or layer_kind(layer) is not LayerKind.SHAPES:
            return ""
        given = [
            one for leaf in self.model.leaves() if leaf.is_data for one in as_list(leaf.value)
        ]
        sized = any(path_of(one) is not None or layer_kind(one).is_pixels for one in given)
        if sized or not self.takes(parameter).draws:
            return ""
        return undrawn(told(layer)[0])

    def _unlike_other(self, leaf: LeafNode, layer: object) -> str:
        """Return why a layer cannot go in beside that of another input; the run looks at files."""
        parameter = leaf.parameter
        assert isinstance(parameter, DataParameter)
        if not parameter.like or not _is_picture(layer):
            return ""
        others = as_list(beside(self.model.values(), leaf.name).get(parameter.like))
        mine = told(layer)[0], geometry_of(layer)
        said = (
            refused_beside(parameter, *mine, told(one)[0], geometry_of(one), cut=self.cut)
            for one in others
            if one is not layer and _is_picture(one)
        )
        return next(filter(None, said), "")

    def wrong(self, leaf: LeafNode, value: object) -> str | None:
        """Return why what is chosen cannot go in, or that a required input has nothing."""
        parameter, chosen = leaf.parameter, as_list(value)
        assert isinstance(parameter, DataParameter)
        said = (
            _refused(parameter, one)
            or self._undrawn(parameter, one)
            or self._unlike_other(leaf, one)
            for one in chosen
        )
        if refused := next(filter(None, said), ""):
            return refused
        if chosen or parameter.optional:
            return None
        return self.missing_text(parameter) or None

    def named(self, parameter: DataParameter, name: str) -> object | None:
        """Return the fitting layer called `name`."""
        found = self.candidates(parameter)
        return next((layer for layer in found if getattr(layer, "name", None) == name), None)

    def _unlike(self, parameter: DataParameter, layer: object) -> bool:
        """Whether a layer is colours or intensities where objects are wanted."""
        if not wants_objects(parameter):
            return False
        return bool(self.hardly_fits(parameter, layer) or _unfit(parameter, layer))

    def pin(self) -> None:
        """Make the present automatic choices the user's own, unless they hardly fit.

        Called at Run: the result becomes the selected layer, and a second run must not
        take it for its input.
        """
        data = [leaf for leaf in self.model.leaves() if leaf.is_data and leaf.value is not None]
        for leaf in data:
            parameter = leaf.parameter
            assert isinstance(parameter, DataParameter)
            unlike = any(self.hardly_fits(parameter, one) for one in as_list(leaf.value))
            by_hand = leaf.chosen and not self._followed.holds(leaf)
            if not leaf.chosen:
                self._joined.keep(leaf)
            leaf.chosen = leaf.chosen or not unlike
            if len(data) == 1:
                self._followed.stay(None if by_hand else leaf)

    def _best(self, leaf: LeafNode, fitting: list[object], taken: list[object]) -> list[object]:
        parameter = leaf.parameter
        assert isinstance(parameter, DataParameter)
        if parameter.multiple:
            chosen = self.source.selected()
            selected = [layer for layer in fitting if any(layer is one for one in chosen)]
            if selected:
                return selected
        free = [layer for layer in fitting if not any(layer is other for other in taken)]
        pool = free or fitting
        active = self.source.active()
        meant = LayerKind.ANY in parameter.kinds or layer_kind(active) in parameter.kinds
        kinds = self.takes(parameter).kinds

        def rank(layer: object) -> tuple[int, bool]:
            kind = layer_kind(layer)
            place = kinds.index(kind) if kind in kinds else len(kinds)
            wrong = _refused(parameter, layer) or self._unlike_other(leaf, layer)
            return place, self._unlike(parameter, layer) or bool(wrong)

        best = min(pool, key=rank, default=None)
        if best is None:
            return []
        # objects are preferred to intensities, and stacks to planes, even to selected ones
        if meant and any(active is one for one in pool) and (not rank(active)[1] or rank(best)[1]):
            return [active]
        wanted = [self.original(one) for one in taken if layer_kind(one) is LayerKind.LABELS]
        originals = [one for one in pool if any(one is other for other in wanted)]
        return originals[:1] or [best]
