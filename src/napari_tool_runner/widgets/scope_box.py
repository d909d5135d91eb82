"""The choice of what part of the layers a run gets, above the Run button."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QWidget

from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.widgets.field_base import keep_narrow, keep_wheel_away
from napari_tool_runner.widgets.scope import (
    Scope,
    available_scopes,
    default_scope,
    extent_of,
)
from napari_tool_runner.widgets.texts import tooltip

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari.components import ViewerModel

    from napari_tool_runner.jobs import Extent
    from napari_tool_runner.tools.model import Tool
    from napari_tool_runner.widgets.form import FormWidget

__all__ = ["ScopeBox"]


class _Combo(QComboBox):
    """Asks what can be chosen each time it opens: zoom and sliders move."""

    def __init__(self, refresh: Callable[[], None]) -> None:
        super().__init__()
        self._refresh = refresh

    def showPopup(self) -> None:
        self._refresh()
        super().showPopup()


class ScopeBox(QWidget):
    """A row "Apply to": whole layer, current slice, each slice, only what I see.

    Hidden while there is nothing to choose.
    """

    def __init__(
        self,
        tool: Tool,
        form: FormWidget,
        viewer: ViewerModel | None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._tool = tool
        self._form = form
        self._viewer = viewer
        self._chosen: Scope | None = None
        row = QHBoxLayout(self)
        row.setContentsMargins(6, 2, 6, 0)
        label = QLabel("Apply to")
        self.combo = _Combo(self.refresh)
        keep_narrow(self.combo)
        keep_wheel_away(self.combo)
        self.combo.setAccessibleName("Apply to")
        self.combo.setToolTip(
            tooltip(
                "What the tool gets.",
                "Each slice: the tool runs on every slice; the results become one stack, "
                "and labels stay distinct.",
                "Only what I see: the visible part, for trying out; "
                "the result lies where it belongs.",
            )
        )
        label.setBuddy(self.combo)
        row.addWidget(label)
        row.addWidget(self.combo, 1)
        self.combo.activated.connect(self._activated)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(50)
        self._soon.timeout.connect(self.refresh)
        form.changed.connect(self.refresh)
        if viewer is not None:
            for event in (
                viewer.dims.events.current_step,
                viewer.dims.events.order,
                viewer.dims.events.ndisplay,
            ):
                event.connect(self._view_moved)
        self.refresh()

    def scope(self) -> Scope:
        """Return what is chosen."""
        data = self.combo.currentData()
        return Scope(data) if data is not None else Scope.WHOLE

    def extent(self, values: Mapping[str, object]) -> Extent | None:
        """Return what is chosen, for the engine; None for whole layers."""
        if self._viewer is None:
            return None
        return extent_of(self.scope(), self._tool, values, self._viewer)

    def set_scope(self, scope: Scope) -> None:
        """Choose `scope`, if it is offered."""
        self._chosen = scope
        self.refresh()

    def release(self) -> None:
        """Stop following the viewer."""
        if self._viewer is not None:
            for event in (
                self._viewer.dims.events.current_step,
                self._viewer.dims.events.order,
                self._viewer.dims.events.ndisplay,
            ):
                event.disconnect(self._view_moved)
            self._viewer = None

    def refresh(self) -> None:
        """Offer what makes sense now; a choice stays as long as it does."""
        try:
            values = self._form.values()
            scopes = available_scopes(self._tool, values, self._viewer)
            usual = default_scope(self._tool, values)
        except ToolRunnerError:  # half-typed values; the form tells them
            return
        wanted = self._chosen if self._chosen in scopes else usual
        self.combo.blockSignals(True)
        self.combo.clear()
        for scope, text in scopes.items():
            self.combo.addItem(text, scope.value)
        self.combo.setCurrentIndex(max(0, self.combo.findData(wanted.value)))
        self.combo.blockSignals(False)
        self.setVisible(len(scopes) > 1)

    def _activated(self, _: int) -> None:
        self._chosen = self.scope()

    def _view_moved(self, event: object = None) -> None:
        if not self.isHidden():
            self._soon.start()
