"""What the results become: the automatic choice, or the user's, which is remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QGridLayout, QLabel, QWidget

from napari_tool_runner.tools.model import LayerKind
from napari_tool_runner.widgets.forms.field_base import keep_narrow, keep_wheel_away
from napari_tool_runner.widgets.parts.folding import Folding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_tool_runner.tools.model import Tool

__all__ = ["OutputsBox"]

_KINDS = (
    LayerKind.IMAGE,
    LayerKind.LABELS,
    LayerKind.POINTS,
    LayerKind.SHAPES,
    LayerKind.TRACKS,
    LayerKind.VECTORS,
    LayerKind.SURFACE,
    LayerKind.TABLE,
)


class OutputsBox(Folding):
    """A closed part "Results" with the kind of layer that each output becomes."""

    changed = Signal()

    def __init__(self, tool: Tool, parent: QWidget | None = None) -> None:
        self._outputs = [output for output in tool.outputs if not output.hidden]
        self._kinds: dict[str, LayerKind] = {}
        self._combos: dict[str, QComboBox] = {}
        super().__init__("Results", "Which kind of layer each result becomes.", parent)
        self.setVisible(bool(self._outputs))

    def kinds(self) -> dict[str, LayerKind]:
        """Return output name -> kind, of the outputs that are not automatic."""
        return dict(self._kinds)

    def set_kinds(self, kinds: Mapping[str, str]) -> None:
        """Choose kinds by name; what is not known is left automatic."""
        names = {output.name for output in self._outputs}
        known = {kind.value for kind in _KINDS}
        self._kinds = {
            name: LayerKind(kind)
            for name, kind in kinds.items()
            if name in names and kind in known
        }
        self._show()
        if self._kinds:
            self.set_expanded(True)

    def make_content(self) -> QWidget:
        """Return a row for each output."""
        content = QWidget()
        grid = QGridLayout(content)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setColumnStretch(1, 1)
        for row, output in enumerate(self._outputs):
            label = QLabel(output.label if "$" not in output.label else output.name)
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setWordWrap(True)
            combo = QComboBox()
            keep_narrow(combo)
            usual = f"automatic ({output.kind.value})" if output.kind else "automatic"
            combo.addItem(usual, "")
            for kind in _KINDS:
                combo.addItem(kind.value, kind.value)
            keep_wheel_away(combo)
            combo.setAccessibleName(f"{label.text()} becomes")
            combo.activated.connect(lambda _, name=output.name: self._chosen(name))
            label.setBuddy(combo)
            label.setFixedWidth(label.fontMetrics().averageCharWidth() * 16)
            grid.addWidget(label, row, 0)
            grid.addWidget(combo, row, 1)
            self._combos[output.name] = combo
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
