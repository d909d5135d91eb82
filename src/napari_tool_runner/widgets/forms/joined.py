"""Inputs that belong together: another layer in one of them brings its own into the others."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Protocol

from napari_tool_runner.jobs import relatives
from napari_tool_runner.tools.model import DataParameter
from napari_tool_runner.widgets.forms.given import path_of

if TYPE_CHECKING:
    from napari_tool_runner.widgets.forms.form_model import FormModel
    from napari_tool_runner.widgets.forms.node import LeafNode

__all__ = ["Joined"]


class _Chooser(Protocol):
    @property
    def model(self) -> FormModel: ...

    def candidates(self, parameter: DataParameter) -> list[object]: ...

    def original(self, layer: object) -> object | None: ...

    def suits(self, parameter: DataParameter, layer: object) -> bool: ...

    def wrong(self, leaf: LeafNode, value: object) -> str | None: ...


class Joined:
    """The inputs of a form of which a run has kept the layers, and nobody's hand.

    Else objects of one image would be measured in another one, of the run before.

    Parameters
    ----------
    chooser : LayerChooser
        Of the form.
    """

    def __init__(self, chooser: _Chooser) -> None:
        self._chooser = chooser
        self._kept: dict[str, weakref.ref[object]] = {}

    def keep(self, leaf: LeafNode) -> None:
        """Remember that no hand chose the layer that an input has from now on."""
        if _is_layer(leaf.value):
            self._kept[leaf.name] = weakref.ref(leaf.value)

    def rejoin(self, leaf: LeafNode) -> None:
        """Choose what belongs to the new layer of an input, where no hand chose another one."""
        given = leaf.value
        if not _is_layer(given):
            return
        chooser, first = self._chooser, self._chooser.original(given)
        for other in list(chooser.model.leaves()):
            parameter = other.parameter
            if other is leaf or self._by_hand(other) or not isinstance(parameter, DataParameter):
                continue
            if parameter.multiple or (parameter.optional and other.value is None):
                continue
            kin = relatives(given, chooser.candidates(parameter))
            fitting = [one for one in kin if one is not given and chooser.suits(parameter, one)]
            if not fitting or any(other.value is one for one in kin if one is not given):
                continue
            best = first if any(first is one for one in fitting) else fitting[-1]
            other.take(best, chosen=True, extra_problem=chooser.wrong(other, best))
            self.keep(other)

    def _by_hand(self, leaf: LeafNode) -> bool:
        kept = self._kept.get(leaf.name)
        return leaf.chosen and not (kept is not None and kept() is leaf.value)


def _is_layer(value: object) -> bool:
    """Whether it is one layer of any kind."""
    return value is not None and path_of(value) is None and not isinstance(value, list | tuple)
