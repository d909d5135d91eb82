"""The switch “Live”: while values change, what is seen shows what the tool would make of it."""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QVBoxLayout, QWidget

from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.jobs import (
    LivePreview,
    Previewed,
    PreviewLayers,
    RunOptions,
    is_quick,
    note_time,
)
from napari_tool_runner.tools.model import DataParameter, LayerKind
from napari_tool_runner.tools.tree import leaves
from napari_tool_runner.widgets.forms.extents import view_events
from napari_tool_runner.widgets.forms.given import as_list, path_of
from napari_tool_runner.widgets.forms.outputs_box import CONTOURS, REPLACE
from napari_tool_runner.widgets.parts.background import bell, soon
from napari_tool_runner.widgets.parts.layouts import filled
from napari_tool_runner.widgets.parts.messages import MessageLabel
from napari_tool_runner.widgets.parts.texts import tooltip
from napari_tool_runner.widgets.results.first_looks import first_look, show_contours
from napari_tool_runner.widgets.results.previews import PreviewTables
from napari_tool_runner.widgets.running.admission import Admission

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari.components import ViewerModel
    from qtpy.QtGui import QHideEvent

    from napari_tool_runner.jobs import Job, JobManager
    from napari_tool_runner.tools.model import Tool
    from napari_tool_runner.widgets.forms.extents import ExtentBar
    from napari_tool_runner.widgets.forms.form import FormWidget
    from napari_tool_runner.widgets.running.run_bar import RunBar

__all__ = ["LiveBar"]

_BY_ITSELF = (
    "Live is on, as this tool is quick here: what you change is seen at once, and Run keeps it."
)
_REST_MS = 60
"""The view rests so long before what is seen now is previewed."""


class LiveBar(QWidget):
    """Shows a preview of the form's values in the viewer while its switch is on.

    Hidden where nothing can be previewed: without a viewer, or of a tool without results.

    Parameters
    ----------
    extents : ExtentBar
        Says what part is seen.
    run_bar : RunBar
        Says where the tool runs, and whether it can.
    """

    previewed = Signal(object)
    """Another preview is shown, or none can be; carries what it is of, a `Previewed`."""

    def __init__(
        self,
        tool: Tool,
        form: FormWidget,
        extents: ExtentBar,
        run_bar: RunBar,
        viewer: ViewerModel | None,
        parent: QWidget,
        *,
        manager: JobManager | None = None,
    ) -> None:
        super().__init__(parent)
        self._tool, self._form, self._extents, self._run_bar = tool, form, extents, run_bar
        self._viewer = weakref.ref(viewer) if viewer is not None else lambda: None
        self._layers = PreviewLayers(viewer, first_look) if viewer is not None else None
        self._tables = PreviewTables(viewer) if viewer is not None else None
        self._live = LivePreview(tool, self._show, bell().ring, manager)
        self._admission = Admission(tool, self)
        self._admission.refused.connect(lambda error: self._show(Previewed(error=error)))
        self._seen = form.values()
        self._asked: object = None
        self._said = ""
        self._by_hand = False
        self.switch = QCheckBox("Live")
        self.switch.setToolTip(
            tooltip(
                "Shows what the tool makes of what you see, while you change values.",
                "Run works on all of it, and keeps the result.",
                "On by itself where a run takes less than half a second.",
            )
        )
        self.replace = QCheckBox("Replace the last result")
        self.replace.setToolTip(
            tooltip(
                "The next result comes in the place of the last one of the same layers.",
                "What you changed by hand is kept. The history has all results.",
            )
        )
        self.words = MessageLabel()
        row = filled(QHBoxLayout(), self.switch, self.replace, spacing=12)
        row.addStretch(1)
        filled(QVBoxLayout(self), row, self.words, margins=(6, 2, 6, 0), spacing=2)
        self._moved = soon(self._follow_view, _REST_MS, self)
        self.switch.clicked.connect(self._switched)
        self.replace.clicked.connect(lambda on: form.outputs.switch(REPLACE, on))
        form.outputs.changed.connect(self._follow_switches)
        form.changed.connect(self._follow_form)
        bell().heard.connect(self._look)
        for event in view_events(viewer):
            event.connect(self._view_moved)
        if viewer is not None:
            viewer.layers.events.removed.connect(self._layer_removed)
        seen = [one.kind for one in tool.outputs if not one.hidden]
        self.setVisible(viewer is not None and bool(seen))
        self.replace.setVisible(any(kind is not LayerKind.TABLE for kind in seen))
        self._offer()

    @property
    def on(self) -> bool:
        """Whether changes of values are previewed."""
        return self.switch.isChecked() and self.switch.isEnabled()

    def learn(self, job: Job) -> None:
        """Take into account how long a job of the tool took."""
        note_time(job)
        self._offer()

    def rest(self) -> None:
        """Take the preview away until a value changes."""
        self._admission.drop()
        self._live.stop()
        self._asked = None
        self._seen = self._form.values()  # a change that is told later is no new one
        self._clear()
        self._say("")

    def release(self) -> None:
        """Stop following the viewer."""
        self._live.stop()
        viewer = self._viewer()
        for event in view_events(viewer):
            event.disconnect(self._view_moved)
        if viewer is not None:
            viewer.layers.events.removed.disconnect(self._layer_removed)

    def hideEvent(self, event: QHideEvent | None) -> None:
        """Take the preview away with the form; it stays while a window is an icon."""
        super().hideEvent(event)
        if event is not None and not event.spontaneous():
            self.rest()

    # -- what is previewed ------------------------------------------------------------------

    def _switched(self, on: bool) -> None:
        self._by_hand = True
        if on:
            self._preview()
        else:
            self.rest()

    def _offer(self) -> None:
        """Switch on where that is known to be quick, unless somebody chose; say why not at all."""
        values = self._form.values()
        why = self._refuses(values)
        self.switch.setEnabled(not why)
        self.switch.setAccessibleDescription(why)
        if not self._by_hand and not self._tool.network:
            pixels = self._extents.live(values).pixels
            before, quick = self.switch.isChecked(), is_quick(self._tool, pixels)
            self.switch.setChecked(quick)
            if quick and not before:
                self._say(_BY_ITSELF)
            elif not quick and self.words.text() == _BY_ITSELF:
                self._say("")

    def _follow_switches(self) -> None:
        self.replace.setChecked(REPLACE in self._form.outputs.switches())

    def _refuses(self, values: Mapping[str, object]) -> str:
        data = [leaf for leaf in leaves(self._tool.inputs, values) if _is_data(leaf.parameter)]
        files = [leaf for leaf in data if any(path_of(one) for one in as_list(leaf.value))]
        if files:
            return "Files are worked on as a whole: open them as layers to see a preview."
        return "" if data else "There is nothing to be seen of a tool without data."

    def _follow_form(self) -> None:
        values = self._form.values()
        if values == self._seen:
            return
        before, self._seen = self._seen, values
        self._offer()
        # another layer alone is no reason to begin
        plain = self._form.without_data
        if self._asked is not None or plain(values) != plain(before):
            self._preview()

    def _follow_view(self) -> None:
        if self._asked is not None:
            self._preview()

    def _view_moved(self, event: object = None) -> None:
        if self._asked is not None:
            self._moved.start()

    def _layer_removed(self, event: object) -> None:
        """Take it as a wish to see no more when somebody deletes the preview."""
        if self._layers is not None and self._layers.removed_by_hand():
            self.switch.setChecked(False)
            self._switched(False)

    def _preview(self) -> None:
        """Want a preview of the present values on what is seen."""
        if not self.on or not self.isVisible() or self._form.units.waits(self._preview):
            return
        if not self._run_bar.run_button.isEnabled():
            if self._asked is not None:  # what is seen was of other values
                self._live.stop()
                self._asked = ()
                self._clear()
                self._say("")
            return
        values = self._seen = self._form.values()
        extent, self._said, _ = self._extents.live(values)
        kinds, runner = self._form.outputs.kinds(), self._run_bar.runner()
        wanted = values, extent, kinds, runner
        if wanted != self._asked:
            self._asked = wanted
            options = RunOptions(extent=extent, kinds=kinds, runner=runner, must_write=False)
            self._admission.ask(options, partial(self._begin, values), instead=True)

    def _begin(self, values: Mapping[str, object], options: RunOptions) -> None:
        self._live.ask(values, **options)

    def _look(self) -> None:
        self._live.look()

    def _show(self, made: Previewed) -> None:
        if self._layers is None or self._tables is None:
            return
        error = made.error
        if made.job is not None and made.job.shown is not None:
            try:
                self._layers.show(made.job.shown, made.job)
                if CONTOURS in self._form.outputs.switches():
                    show_contours(self._layers.layers)
                self._tables.show(self._layers.tables)
                self._run_bar.show_live(True, part=self._extents.whole)
            except (ToolRunnerError, ValueError, TypeError) as problem:
                error = ToolRunnerError(f"The result cannot be shown: {problem}")
        if error is None:
            names = ", ".join(f"“{getattr(one, 'name', '')}”" for one in self._layers.layers)
            shown = f"Live: {names or 'the table'}; Run keeps it."
            self._say(" ".join(filter(None, (shown, self._said, *made.notes))))
        else:
            self._clear()
            self._say(f"No preview: {error}", failed=True)
        self.previewed.emit(made)

    def _clear(self) -> None:
        if self._layers is not None and self._tables is not None:
            self._layers.remove()
            self._tables.show({})
        self._run_bar.show_live(False)

    def _say(self, text: str, *, failed: bool = False) -> None:
        self.words.say(text, "failed" if failed else "info")


def _is_data(parameter: object) -> bool:
    return isinstance(parameter, DataParameter)
