"""The layers of a viewer: named, and chosen for the inputs of a form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeGuard, cast

import numpy as np

from napari_tool_runner.exchange import (
    any_of,
    fitting_kinds,
    is_unnumbered,
    layer_kind,
    misfit,
    refused,
    refused_axes,
    snapshot,
    taken_dimensions,
    takes_features,
    wants_objects,
)
from napari_tool_runner.jobs import is_preview, made_of
from napari_tool_runner.tools.model import DataParameter, LayerKind
from napari_tool_runner.widgets.forms.followed import Followed
from napari_tool_runner.widgets.forms.known_axes import axes_of
from napari_tool_runner.widgets.forms.layer_source import has_features
from napari_tool_runner.widgets.forms.sentences import kinds_text, undrawn
from napari_tool_runner.widgets.parts.texts import tooltip

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_tool_runner.widgets.forms.form_model import FormModel
    from napari_tool_runner.widgets.forms.layer_source import LayerSource
    from napari_tool_runner.widgets.forms.node import LeafNode

__all__ = [
    "LayerChooser",
    "as_list",
    "axes_told",
    "has_colours",
    "path_of",
    "takes_time",
    "told",
    "with_axes",
    "wrong_dimensions",
]


def as_list(value: object) -> list[object]:
    """Return the data values of a node as a list.

    A file of which something is told, ``(path, {"axis_labels": …})``, is one of them.
    """
    if value is None:
        return []
    if _is_told(value):
        return [value if isinstance(value, tuple) else tuple(value)]
    return list(value) if isinstance(value, list | tuple) else [value]


def _is_told(value: object) -> TypeGuard[Sequence[object]]:
    return (
        isinstance(value, list | tuple)
        and len(value) == 2
        and isinstance(value[0], str | Path)
        and isinstance(value[1], Mapping)
    )


def path_of(value: object) -> Path | None:
    """Return the path of a file, whether or not something is told of it; None of a layer."""
    path = value[0] if _is_told(value) else value
    return Path(path) if isinstance(path, str | Path) else None


def axes_told(value: object) -> tuple[str, ...]:
    """Return the names of axes that are told of a file, if any."""
    more = value[1] if _is_told(value) else None
    return tuple(map(str, more.get("axis_labels", ()))) if isinstance(more, Mapping) else ()


def with_axes(value: object, labels: Sequence[str]) -> object:
    """Return a file with other names of its axes; without any: the file itself."""
    path = path_of(value)
    return (path, {"axis_labels": tuple(labels)}) if labels else path


def told(value: object) -> tuple[str, str]:
    """Return the name of a layer or file, and a tooltip on it."""
    if not isinstance(value, str) and (path := path_of(value)) is not None:
        return path.name, tooltip(path.name, str(path))
    name = str(getattr(value, "name", value))
    return name, tooltip(name, _described(value))


def _described(value: object) -> str:
    """Return kind, size and data type of a layer."""
    kind = layer_kind(value).value
    data = getattr(value, "data", None)
    if getattr(value, "multiscale", False) and data is not None:
        data = data[0]
    shape, dtype = getattr(data, "shape", None), getattr(data, "dtype", None)
    if shape is None:
        return kind
    return f"{kind}, {' × '.join(map(str, shape))}, {dtype}"


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
    if path_of(value) is not None or not (kind := layer_kind(value)).is_pixels:
        return ""
    data = getattr(value, "data", None)
    array = data[0] if getattr(value, "multiscale", False) and data is not None else data
    return refused(parameter, kind, array, told(value)[0], rgb=has_colours(value))


def _lacking(parameter: DataParameter, value: object) -> str:
    """Return which axes a layer lacks that an input needs, else an empty text."""
    bounded = taken_dimensions(parameter) or parameter.needs
    if not bounded or layer_kind(value) is LayerKind.ANY:  # a file: the run looks at it
        return ""
    pixels, own = layer_kind(value).is_pixels, snapshot(value).geometry
    own = replace(own, axes=axes_of(cast("Layer", value))) if pixels else own
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
        self._known: dict[int, Takes] = {}
        self._followed = Followed(self)

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
        return (f"Measured in the original, not in “{images[0]}”." if images else ""), None

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
            present = [] if parameter.optional else self._best(parameter, fitting, taken)
        value = (present or None) if parameter.multiple else (present[0] if present else None)
        leaf.take(value, chosen=chosen, extra_problem=self._wrong(parameter, value))

    def suits(self, parameter: DataParameter, layer: object) -> bool:
        """Whether a layer can be chosen, and is not objects for intensities or the other way."""
        wrong = self._unlike(parameter, layer) or bool(_lacking(parameter, layer))
        return not wrong and any(layer is one for one in self.candidates(parameter))

    def give(self, layer: object, place: str) -> None:
        """Choose a layer for the input `place`, else for the first; nobody's hand did."""
        data = [leaf for leaf in self.model.leaves() if leaf.is_data]
        for leaf in ([one for one in data if one.name == place] or data)[:1]:
            leaf.set(layer)
            self._followed.stay(leaf)

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
                leaf.set_extra_problem(self._wrong(leaf.parameter, leaf.value))

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

    def _wrong(self, parameter: DataParameter, value: object) -> str | None:
        """Return why what is chosen cannot go in, or that a required input has nothing."""
        chosen = as_list(value)
        said = (_refused(parameter, one) or self._undrawn(parameter, one) for one in chosen)
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
            leaf.chosen = leaf.chosen or not unlike
            if len(data) == 1:
                self._followed.stay(None if by_hand else leaf)

    def _best(
        self, parameter: DataParameter, fitting: list[object], taken: list[object]
    ) -> list[object]:
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
            return place, self._unlike(parameter, layer) or bool(_refused(parameter, layer))

        best = min(pool, key=rank, default=None)
        if best is None:
            return []
        # objects are preferred to intensities, and stacks to planes, even to selected ones
        if meant and any(active is one for one in pool) and (not rank(active)[1] or rank(best)[1]):
            return [active]
        wanted = [self.original(one) for one in taken if layer_kind(one) is LayerKind.LABELS]
        originals = [one for one in pool if any(one is other for other in wanted)]
        return originals[:1] or [best]
