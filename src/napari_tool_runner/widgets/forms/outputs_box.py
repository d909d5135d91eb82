"""What becomes of the results of a form: which kinds of layers, and how they are shown."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QGridLayout, QWidget

from napari_tool_runner.tools.model import LayerKind
from napari_tool_runner.tools.wording import label_of
from napari_tool_runner.widgets.parts.folding import Folding
from napari_tool_runner.widgets.parts.inputs import NarrowCombo, keep_wheel_away
from napari_tool_runner.widgets.parts.layouts import plain_label

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from napari_tool_runner.tools.model import Tool

__all__ = ["CONTOURS", "REPLACE", "OutputsBox"]

_KINDS = {kind.value: kind for kind in LayerKind if kind is not LayerKind.ANY}


REPLACE, CONTOURS = "replace", "contours"
"""Switches of how results are shown: in the place of the last one; labels as lines."""


class OutputsBox(Folding):
    """A closed part "Results" with the kind of layer that each output becomes."""

    changed = Signal()

    def __init__(self, tool: Tool, parent: QWidget | None = None) -> None:
        self._outputs = [output for output in tool.outputs if not output.hidden]
        self._kinds: dict[str, LayerKind] = {}
        self._combos: dict[str, QComboBox] = {}
        self._switches: frozenset[str] = frozenset()
        self._contours: QCheckBox | None = None
        super().__init__("Results", "Which kind of layer each result becomes.", parent)
        if not self._outputs:
            self.hide()

    def kinds(self) -> dict[str, LayerKind]:
        """Return output name -> kind, of the outputs that are not automatic."""
        return dict(self._kinds)

    def set_kinds(self, kinds: Mapping[str, str]) -> None:
        """Choose kinds by name; what is not known is left automatic."""
        names = {output.name for output in self._outputs}
        self._kinds = {
            name: _KINDS[kind] for name, kind in kinds.items() if name in names and kind in _KINDS
        }
        self._show()
        if self._kinds:
            self.set_expanded(True)

    def switches(self) -> frozenset[str]:
        """Return which of `REPLACE` and `CONTOURS` are on."""
        return self._switches

    def set_switches(self, on: Iterable[str]) -> None:
        """Switch these on and the others off; what is not known is left out."""
        self._switches = frozenset(on) & {REPLACE, CONTOURS}
        self._show()
        self.changed.emit()

    def switch(self, name: str, on: bool) -> None:
        """Switch one on or off."""
        self.set_switches(self._switches | {name} if on else self._switches - {name})

    def make_content(self) -> QWidget:
        """Return a row for each output."""
        content = QWidget()
        grid = QGridLayout(content)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setColumnStretch(1, 1)
        for row, output in enumerate(self._outputs):
            label = plain_label(label_of(output), wrap=True)
            combo = NarrowCombo()
            usual = f"automatic ({output.kind.value})" if output.kind else "automatic"
            combo.addItem(usual, "")
            for kind in _KINDS:
                combo.addItem(kind, kind)
            keep_wheel_away(combo)
            combo.setAccessibleName(f"{label.text()} becomes")
            combo.activated.connect(lambda _, name=output.name: self._chosen(name))
            label.setBuddy(combo)
            label.setFixedWidth(label.fontMetrics().averageCharWidth() * 16)
            grid.addWidget(label, row, 0)
            grid.addWidget(combo, row, 1)
            self._combos[output.name] = combo
        if any(output.kind in (None, LayerKind.LABELS) for output in self._outputs):
            self._contours = QCheckBox("Labels as contours")
            self._contours.setToolTip("Lines around the objects in place of filled areas")
            self._contours.clicked.connect(partial(self.switch, CONTOURS))
            grid.addWidget(self._contours, len(self._outputs), 0, 1, 2)
        self._show()
        return content

    def _chosen(self, name: str) -> None:
        kind = self._combos[name].currentData()
        if kind:
            self._kinds[name] = LayerKind(kind)
        else:
            self._kinds.pop(name, None)
        self.changed.emit()

    def _show(self) -> None:
        for name, combo in self._combos.items():
            kind = self._kinds.get(name)
            combo.setCurrentIndex(combo.findData(kind.value) if kind is not None else 0)
        if self._contours is not None:
            self._contours.setChecked(CONTOURS in self._switches)
