"""Which layers fit an input, and which one to take when the user chose none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.exchange import matching_kinds
from napari_tool_runner.tools.model import DataParameter, LayerKind
from napari_tool_runner.widgets.forms.layer_source import fits, kind_of, kinds_text

if TYPE_CHECKING:
    from napari_tool_runner.widgets.forms.form_model import FormModel
    from napari_tool_runner.widgets.forms.layer_source import LayerSource
    from napari_tool_runner.widgets.forms.node import LeafNode

__all__ = ["LayerChooser", "accepted_kinds", "as_list"]


def accepted_kinds(parameter: DataParameter, dialect: str) -> tuple[LayerKind, ...]:
    """Return the kinds of layers that may go into `parameter`, best first."""
    return tuple(matching_kinds(parameter))


def as_list(value: object) -> list[object]:
    """Return the data values of a node as a list."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


class LayerChooser:
    """Keeps the data inputs of a form in step with the layer list.

    A choice of the user stays as long as its layer does. Where nobody chose, the
    selected layer is taken if it fits, then the best kind that no other input has.
    """

    def __init__(self, model: FormModel, source: LayerSource) -> None:
        self.model = model
        self.source = source
        self._kinds: dict[int, tuple[LayerKind, ...]] = {}

    def kinds(self, parameter: DataParameter) -> tuple[LayerKind, ...]:
        """Return the kinds that `parameter` accepts (remembered)."""
        key = id(parameter)
        if key not in self._kinds:
            self._kinds[key] = accepted_kinds(parameter, self.model.tool.dialect)
        return self._kinds[key]

    def candidates(self, parameter: DataParameter) -> list[object]:
        """Return the layers that fit, in the order of the layer list."""
        kinds = self.kinds(parameter)
        return [layer for layer in self.source.layers() if fits(layer, kinds)]

    def missing_text(self, parameter: DataParameter) -> str:
        """Return a sentence when no open layer fits, else an empty text."""
        if self.candidates(parameter):
            return ""
        label = parameter.label or parameter.name
        if not self.kinds(parameter):
            formats = " or ".join(parameter.formats[:4])
            return f"“{label}” needs a file ({formats})."
        return f"“{label}” needs {kinds_text(self.kinds(parameter))}; none is open."

    def update(self) -> None:
        """Choose for every data input of the form that applies now."""
        taken: list[object] = []
        for leaf in list(self.model.leaves()):
            if isinstance(leaf.parameter, DataParameter):
                self.update_leaf(leaf, taken)
                taken += as_list(leaf.value)

    def update_leaf(self, leaf: LeafNode, taken: list[object]) -> None:
        """Choose for one input; `taken` are the layers of the inputs before it."""
        parameter = leaf.parameter
        assert isinstance(parameter, DataParameter)
        fitting = self.candidates(parameter)
        present = [
            entry
            for entry in as_list(leaf.value)
            if isinstance(entry, str | Path) or any(entry is layer for layer in fitting)
        ]
        lost = len(present) < len(as_list(leaf.value))
        chosen = leaf.chosen and not (lost and not present)
        if not chosen:
            present = [] if parameter.optional else self._best(parameter, fitting, taken)
        if parameter.multiple:
            leaf.set(present or None, chosen=chosen)
        else:
            leaf.set(present[0] if present else None, chosen=chosen)
        self.judge(leaf)

    def judge(self, leaf: LeafNode) -> None:
        """Say at the input when no open layer fits it."""
        parameter = leaf.parameter
        assert isinstance(parameter, DataParameter)
        empty = not as_list(leaf.value) and not parameter.optional
        leaf.set_extra_problem((self.missing_text(parameter) or None) if empty else None)

    def named(self, parameter: DataParameter, name: str) -> object | None:
        """Return the fitting layer called `name`."""
        return next(
            (
                layer
                for layer in self.candidates(parameter)
                if getattr(layer, "name", None) == name
            ),
            None,
        )

    def pin(self) -> None:
        """Make the present automatic choices the user's own.

        Called at Run: the result becomes the selected layer, and a second run must not
        take it for its input.
        """
        for leaf in self.model.leaves():
            if isinstance(leaf.parameter, DataParameter) and leaf.value is not None:
                leaf.chosen = True

    def _best(
        self, parameter: DataParameter, fitting: list[object], taken: list[object]
    ) -> list[object]:
        if parameter.multiple:
            selected = [
                layer
                for layer in self.source.selected()
                if any(layer is other for other in fitting)
            ]
            if selected:
                return list(selected)
        free = [layer for layer in fitting if not any(layer is other for other in taken)]
        pool = free or fitting
        active = self.source.active()
        meant = LayerKind.ANY in parameter.kinds or kind_of(active) in parameter.kinds
        if active is not None and meant and any(active is layer for layer in pool):
            return [active]
        kinds = self.kinds(parameter)

        def rank(layer: object) -> int:
            kind = kind_of(layer)
            return kinds.index(kind) if kind in kinds else len(kinds)

        return [min(pool, key=rank)] if pool else []
