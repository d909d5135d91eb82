"""A layer takes another result, in its place: all that is the user's of it stays."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

import numpy as np

from napari_tool_runner.exchange import PLACE, was_written_to
from napari_tool_runner.tools.model import LayerKind

if TYPE_CHECKING:
    from napari_tool_runner.exchange import LoadedOutput
    from napari_tool_runner.jobs.outputs import JobOutput

__all__ = [
    "Looks",
    "Made",
    "call",
    "fits",
    "is_ours",
    "kept",
    "newest",
    "note_made",
    "renew",
    "was_edited",
]

Looks: TypeAlias = "Callable[[JobOutput, Mapping[str, object]], Mapping[str, object]]"
"""Says how a layer of an output looks at first, given the layers that went in."""

_LIMITS, _SIZE, _COLORS = "contrast_limits", "size", "vertex_colors"
_USERS = ("colormap", "gamma", "metadata", "name", _LIMITS)
"""Attributes of an output that a layer keeps as the user has them."""
_EDITS = "data", "paint", "labels_update"
"""Events of a layer whose content is changed."""


class Made:
    """As what a layer was made, and whether somebody changed it since.

    Attributes
    ----------
    output : LoadedOutput
        Without its data, which the layer has.
    look : mapping
        How it was told to look, by its kind.
    limits : object
        The contrast that it got with its data; None: it has none.
    origin : object
        What results are of one kind: the newest of them is replaced.
    name : str
        What it was called, unless a person called it otherwise.
    edited : bool
        Whether somebody changed its content.
    """

    def __init__(self) -> None:
        self.output: LoadedOutput
        self.look: Mapping[str, object] = {}
        self.limits: object = None
        self.origin: object = None
        self.name = ""
        self.edited = False

    def heard(self, event: object = None) -> None:
        """Note that the content was changed."""
        self.edited = True


_made: weakref.WeakKeyDictionary[object, Made] = weakref.WeakKeyDictionary()
"""Layers in the order in which they took their present results."""


def note_made(
    layer: object, output: LoadedOutput, look: Mapping[str, object], origin: object = None
) -> Made:
    """Remember as what `layer` was made; what changes it from now on is an edit."""
    made = _made.pop(layer, None)
    if made is None:
        made = Made()
        made.name = str(getattr(layer, "name", ""))
        for name in _EDITS:
            event = getattr(getattr(layer, "events", None), name, None)
            if event is not None:
                event.connect(made.heard)
    made.output, made.look, made.origin = replace(output, data=None), look, origin
    made.limits, made.edited = getattr(layer, _LIMITS, None), False
    _made[layer] = made
    return made


def is_ours(layer: object) -> bool:
    """Whether a layer shows a result as it was made."""
    return layer in _made and not _made[layer].edited


def was_edited(layer: object) -> bool:
    """Whether somebody changed the content of a layer of ours since it was made; reads all.

    Pixels that are written to in place are told by no event.
    """
    if layer not in _made:
        return False
    made = _made[layer]
    made.edited = made.edited or was_written_to(getattr(layer, "data", None))
    return made.edited


def newest(layers: _Layers, origin: object) -> object | None:
    """Return the one of `layers` that was last made with that origin, None without one."""
    found = reversed([layer for layer, made in _made.items() if made.origin == origin])
    return next((layer for layer in found if layer in layers), None)


def fits(layer: object, new: LoadedOutput, look: Mapping[str, object]) -> bool:
    """Whether `layer`, which was made of such an output, can take the data of `new`."""
    made = _made[layer]
    old = made.output
    if old.kind is not new.kind or old.kind is LayerKind.SHAPES:
        return False
    if _COLORS in {*made.look, *look}:  # as many as there are vertices, at any time
        return False
    one, other = ({*output.attributes} - {*_USERS} for output in (old, new))
    fixed = one - {"features", *PLACE}
    if one != other or not all(_same(old.attributes[n], new.attributes[n]) for n in fixed):
        return False
    rgb = bool(new.attributes.get("rgb"))
    return not new.kind.is_pixels or _layer(layer).ndim == len(new.pixels.shape) - rgb


def renew(
    layer: object, new: LoadedOutput, look: Mapping[str, object], *, steady: bool = False
) -> None:
    """Give `layer` the data of `new`, and what else is other than in what it was made of.

    `steady`: its contrast stays, unless the input gives one now or no more.
    """
    made = _made[layer]
    old, given = made.output, new.attributes.get(_LIMITS)
    sizes = _sizes(layer, made.look, look) if old.kind is LayerKind.POINTS else None
    seen = getattr(layer, _LIMITS, None)
    setattr(layer, "data", new.data)  # noqa: B010 (layers are known by their attributes)
    for name in ("features", *PLACE):
        if name in new.attributes and not _same(old.attributes[name], new.attributes[name]):
            setattr(layer, name, new.attributes[name])
    if old.kind is LayerKind.LABELS and not steady and "features" not in new.attributes:
        setattr(layer, "features", {})  # noqa: B010 (they were of other objects)
    if sizes is not None:
        setattr(layer, _SIZE, sizes)
    if steady:
        fresh = (given is None) != (old.attributes.get(_LIMITS) is None)
    else:
        fresh = seen is not None and _same(seen, made.limits)  # nobody chose another
    if fresh and given is None:
        _layer(layer).reset_contrast_limits()
    elif fresh:
        setattr(layer, _LIMITS, given)


def call(layer: object, name: str) -> None:
    """Call a layer after another result, unless it has that name or a person gave it one."""
    made = _made[layer]
    if made.name == getattr(layer, "name", "") and not made.name.startswith(name):
        setattr(layer, "name", name)  # noqa: B010 (layers are known by their attributes)
        made.name = str(getattr(layer, "name", ""))


def kept(layer: object) -> Callable[[], None]:
    """Return what gives a layer back the result that it shows now, with columns and contrast."""
    made, own = _made[layer], _layer(layer)
    output, look, origin = replace(made.output, data=own.data), made.look, made.origin
    names = [name for name in ("metadata", "features", _LIMITS) if hasattr(layer, name)]
    present = {name: copy(getattr(layer, name)) for name in names}  # layers change their own
    called = str(getattr(layer, "name", ""))

    def restore() -> None:
        renew(layer, output, look)
        call(layer, called)
        for name, value in present.items():
            setattr(layer, name, value)
        note_made(layer, output, look, origin)

    return restore


def _sizes(layer: object, told: Mapping[str, object], look: Mapping[str, object]) -> object:
    """Return the sizes for other points: of `look`, unless somebody chose one for all."""
    present = np.asarray(getattr(layer, _SIZE))
    first = np.asarray(told.get(_SIZE))
    as_told = first.dtype != object and first.shape in ((), present.shape)
    if as_told and bool(np.all(present == first)):
        return look.get(_SIZE)
    return present[0] if len(np.unique(present)) == 1 else None


def _layer(layer: object) -> _Layer:
    return cast("_Layer", layer)


class _Layers(Protocol):
    def __contains__(self, layer: object, /) -> bool: ...


class _Layer(Protocol):
    ndim: int
    data: object

    def reset_contrast_limits(self) -> object: ...


def _same(one: object, other: object) -> bool:
    if one is other:
        return True
    if isinstance(one, Mapping) or isinstance(
        other, Mapping
    ):  # columns, which are as long as data
        return False
    return np.array_equal(np.asarray(one), np.asarray(other))
