"""A row above Run: on what part of the layers to work, and what that means in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QVBoxLayout,
    QWidget,
)

from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.widgets.forms.extents import Choice, Sliced, sliced
from napari_tool_runner.widgets.forms.field_base import keep_narrow, keep_wheel_away
from napari_tool_runner.widgets.parts.messages import MessageLabel
from napari_tool_runner.widgets.parts.texts import tooltip

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_tool_runner.jobs import Extent
    from napari_tool_runner.tools.model import Tool
    from napari_tool_runner.widgets.forms.form import FormWidget

__all__ = ["ExtentBar"]


class ExtentBar(QWidget):
    """The choice between the whole stack, each slice and the current one, or what is seen.

    Hidden while there is nothing to choose: the chosen layer is no stack to this tool,
    and all of it is in view.
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
        self._chosen: Choice | None = None
        self._found: Sliced | None = None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 2, 6, 0)
        layout.setSpacing(2)
        row = QHBoxLayout()
        row.setSpacing(6)
        self._label = QLabel("Work on")
        self.combo = QComboBox()
        keep_narrow(self.combo)
        keep_wheel_away(self.combo)
        self.combo.setAccessibleName("Work on")
        self.combo.setToolTip(
            tooltip(
                "What the tool gets of the layers.",
                "Each slice: one run for each; the results become one stack again, "
                "and labels stay distinct.",
                "The current slice: where the sliders stand when you press Run.",
            )
        )
        self._label.setBuddy(self.combo)
        self.seen = QCheckBox("only what I see")
        self.seen.setToolTip(
            tooltip(
                "Work on the visible part alone, to try things out: zoom in first.",
                "The result lies where it belongs. Other images are cut alike when they "
                "are of the same size, else they go in whole.",
            )
        )
        row.addWidget(self._label)
        row.addWidget(self.combo, 1)
        layout.addLayout(row)
        layout.addWidget(self.seen)
        self.words = MessageLabel()
        layout.addWidget(self.words)
        self.combo.activated.connect(self._activated)
        self.seen.toggled.connect(self._explain)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(60)
        self._soon.timeout.connect(self.refresh)
        form.changed.connect(self.refresh)
        if viewer is not None:
            for event in _events(viewer):
                event.connect(self._view_moved)
        self.refresh()

    @property
    def choice(self) -> Choice:
        """What is chosen."""
        data = self.combo.currentData()
        return Choice(data) if data is not None else Choice.WHOLE

    def choose(self, choice: Choice) -> None:
        """Choose, if it is offered."""
        self._chosen = choice
        self.refresh()

    def extent(self) -> Extent | None:
        """Return the part that a run gets now; None for everything."""
        self.refresh()
        if self._found is None or self.isHidden():
            return None
        return self._found.extent(self.choice, seen=self.seen.isChecked())

    def release(self) -> None:
        """Stop following the viewer."""
        if self._viewer is not None:
            for event in _events(self._viewer):
                event.disconnect(self._view_moved)
            self._viewer = None

    def refresh(self) -> None:
        """Offer what makes sense now; a choice stays as long as it does."""
        try:
            self._found = sliced(self._tool, self._form.values(), self._viewer)
        except ToolRunnerError:  # half-typed values; the form tells them
            return
        found = self._found
        choices = found.choices if found is not None else ()
        wanted = self._chosen if self._chosen in choices else next(iter(choices), None)
        self.combo.blockSignals(True)
        self.combo.clear()
        if found is not None:
            for choice in sorted(choices, key=list(Choice).index):
                self.combo.addItem(found.label(choice), choice.value)
        if wanted is not None:
            self.combo.setCurrentIndex(self.combo.findData(wanted.value))
        self.combo.blockSignals(False)
        several = len(choices) > 1
        self._label.setVisible(several)
        self.combo.setVisible(several)
        part = found is not None and bool(found.visible())
        self.seen.setEnabled(part or self.seen.isChecked())
        self.setVisible(several or part or (found is not None and self.seen.isChecked()))
        self._explain()

    def _explain(self, *_: object) -> None:
        found = self._found
        text = found.explain(self.choice, seen=self.seen.isChecked()) if found is not None else ""
        self.words.say(text, "info")

    def _activated(self, _: int) -> None:
        self._chosen = self.choice
        self._explain()

    def _view_moved(self, event: object = None) -> None:
        self._soon.start()


def _events(viewer: ViewerModel) -> list[Any]:
    # napari 0.9 moved the camera into the scene
    dims, camera = viewer.dims.events, getattr(viewer, "scene", viewer).camera.events
    return [dims.current_step, dims.order, dims.ndisplay, camera.zoom, camera.center]
