"""A form that was run goes on with the picture that a person opens next."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Protocol

from napari_tool_runner.exchange import layer_kind
from napari_tool_runner.jobs import is_preview, told_maker
from napari_tool_runner.tools.model import DataParameter

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_tool_runner.widgets.forms.form_model import FormModel
    from napari_tool_runner.widgets.forms.layer_source import LayerSource
    from napari_tool_runner.widgets.forms.node import LeafNode

__all__ = ["Followed"]


class _Chooser(Protocol):
    @property
    def model(self) -> FormModel: ...

    @property
    def source(self) -> LayerSource: ...

    def suits(self, parameter: DataParameter, layer: object) -> bool: ...

    def judge(self) -> None: ...


class Followed:
    """The only input of a form, as long as nobody's hand chose its layer.

    Parameters
    ----------
    chooser : LayerChooser
        Of the form.
    """

    def __init__(self, chooser: _Chooser) -> None:
        self._chooser = chooser
        self._leaf: LeafNode | None = None
        self._layer: Callable[[], object | None] = _nothing
        self._before: Callable[[], object | None] = _nothing
        self._there: weakref.WeakSet[object] = weakref.WeakSet()

    def stay(self, leaf: LeafNode | None) -> None:
        """Remember that the layer of `leaf` was not chosen by hand, and which others are open."""
        layers = self._chooser.source.layers()
        told, self._before = self._before() is not None, _nothing
        chosen = next((one for one in layers if leaf is not None and one is leaf.value), None)
        self._leaf = leaf
        self._layer = _nothing if chosen is None else weakref.ref(chosen)
        self._there = weakref.WeakSet(layers)
        if told and leaf is not None:
            leaf.recheck()  # what was told of it holds no more

    def holds(self, leaf: LeafNode) -> bool:
        """Whether the layer of `leaf` is still the one that was chosen for it."""
        return leaf is self._leaf and leaf.value is not None and leaf.value is self._layer()

    def look(self) -> None:
        """Choose the selected picture, if it was opened since."""
        leaf, opened = self._leaf, self._chooser.source.active()
        if leaf is None or opened is None or not self.holds(leaf) or opened in self._there:
            return
        self._there.add(opened)
        if not self._suits(leaf, opened):
            return
        if self._before() is None:
            self._before = self._layer
        self._layer = weakref.ref(opened)
        leaf.set(opened)
        self._chooser.judge()

    def _suits(self, leaf: LeafNode, layer: object) -> bool:
        """Whether a person may mean a layer, and it can take the place of the present one."""
        parameter, chooser = leaf.parameter, self._chooser
        assert isinstance(parameter, DataParameter)
        ours = is_preview(layer) or bool(told_maker(layer))
        others = [one for one in chooser.model.leaves() if one.is_data and one.value is not None]
        if ours or others != [leaf] or layer_kind(layer) is not layer_kind(leaf.value):
            return False
        return chooser.suits(parameter, layer)

    def told(self, leaf: LeafNode) -> tuple[str, object | None]:
        """Say that the layer of `leaf` was opened since the last run; return that run's layer."""
        before = self._before()
        is_open = any(one is before for one in self._chooser.source.layers())
        if not is_open or not self.holds(leaf):
            return "", None
        name, old = (getattr(one, "name", "") for one in (leaf.value, before))
        return f"“{name}” was opened since; the last run was on “{old}”.", before


def _nothing() -> object | None:
    return None
