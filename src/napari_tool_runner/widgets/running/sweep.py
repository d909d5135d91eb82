"""The window of a sweep: which values, the pictures of all runs, a plot, the chosen cell."""

from __future__ import annotations

import weakref
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject
from qtpy.QtWidgets import QDialog, QFileDialog, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.jobs import JobState, RunOptions, Sweep, is_sweepable, write_table
from napari_tool_runner.names import count_text, safe_name
from napari_tool_runner.widgets.parts.background import Task, bell, soon, when_destroyed
from napari_tool_runner.widgets.parts.icons import TextIconButton
from napari_tool_runner.widgets.parts.inputs import NarrowCombo
from napari_tool_runner.widgets.parts.layouts import filled, plain_label
from napari_tool_runner.widgets.parts.messages import MessageBar
from napari_tool_runner.widgets.running.admission import Admission
from napari_tool_runner.widgets.running.job_bridge import show_result
from napari_tool_runner.widgets.running.sweep_values import SweptValues
from napari_tool_runner.widgets.running.sweep_view import CellGrid, FigurePlot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari.components import ViewerModel

    from napari_tool_runner.jobs import Cell, JobResult
    from napari_tool_runner.widgets.forms.extents import ExtentBar
    from napari_tool_runner.widgets.forms.form import FormWidget
    from napari_tool_runner.widgets.running.run_bar import RunBar

__all__ = ["SweepDialog", "SweepOpener"]

_REST_MS = 80


class SweepDialog(QDialog):
    """Tries several values of one or two parameters on the data of a form.

    Parameters
    ----------
    form : FormWidget
        Says everything else; a click on a cell fills it.
    extents : ExtentBar
        Says what part of the data the runs get.
    run_bar : RunBar
        Says where the tool runs.
    viewer : napari viewer or None
        Where results go that are kept.
    """

    def __init__(
        self,
        form: FormWidget,
        extents: ExtentBar,
        run_bar: RunBar,
        viewer: ViewerModel | None,
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self._form, self._extents, self._run_bar = form, extents, run_bar
        self._viewer = weakref.ref(viewer) if viewer is not None else lambda: None
        self.sweep: Sweep | None = None
        self._running: Sweep | None = None
        self._admission = Admission(form.tool, self)
        self._admission.refused.connect(self._refused)
        self._begun: list[Sweep] = []
        self.setWindowTitle(f"Sweep: {self._form.tool.name}")
        self.values = SweptValues(form)
        self.run_button = TextIconButton("play", "Run")
        self.run_button.setDefault(True)
        self.run_button.clicked.connect(self.run)
        self.cancel_button = TextIconButton("stop", "Cancel")
        self.cancel_button.clicked.connect(self.cancel)
        self.cancel_button.hide()
        self.cancel_button.setAutoDefault(False)
        self.export_button = TextIconButton("file", "Save table…")
        self.export_button.setAutoDefault(False)
        self.export_button.clicked.connect(self._ask_export)
        self.keep_button = TextIconButton("check", "Keep result")
        self.keep_button.setToolTip(
            "Adds the layers of the chosen cell, and its run to the history"
        )
        self.keep_button.setAutoDefault(False)
        self.keep_button.clicked.connect(self.keep)
        self.output, self.figure = NarrowCombo(), NarrowCombo()
        self.message = MessageBar(stays=True)
        self.plot = FigurePlot()
        self.grid = CellGrid()
        self.grid.clicked.connect(self.fill)
        self._soon = soon(self._show, _REST_MS, self)
        self._lay_out()
        bell().heard.connect(self._heard)
        self.finished.connect(self.release)
        when_destroyed(self, partial(_close, self._begun))  # with its page
        self.resize(740, 640)

    def offer(self) -> None:
        """Offer what can be swept with the present values of the form."""
        self.values.offer()

    def _lay_out(self) -> None:
        self.values.changed.connect(self._judge)
        self.count = plain_label(shrinks=True)
        go = filled(QHBoxLayout(), self.run_button, self.cancel_button, (self.count, 1), spacing=6)
        self._shown = QWidget()
        self._what = QLabel("Show"), QLabel("Figure")
        for label, combo in zip(self._what, (self.output, self.figure), strict=True):
            label.setBuddy(combo)
            combo.activated.connect(self._show)
        filled(
            QHBoxLayout(self._shown),
            self._what[0],
            (self.output, 1),
            self._what[1],
            (self.figure, 1),
            (QWidget(), 1),
            self.keep_button,
            self.export_button,
            spacing=6,
        )
        self._shown.hide()
        self.plot.hide()
        parts = self.values, go, self._shown, (self.grid, 1), self.plot, self.message
        filled(QVBoxLayout(self), *parts, margins=(8, 8, 8, 8), spacing=6)

    def _judge(self) -> None:
        """Say how many runs these values are, or what is wrong with them."""
        count, problem = self.values.judged()
        idle = self._running is None and not self._admission.asking
        self.run_button.setEnabled(idle and not problem)
        if self._running is None:
            self.count.setText(count_text(count, "run") if count else "")
        self.message.say(problem, "problem")

    # -- running ------------------------------------------------------------------------------

    def run(self) -> None:
        """Run the tool with all values."""
        if self._form.units.waits(self.run):
            return
        values = self._form.values(idle=True)  # it may have one in some cells
        options = RunOptions(
            runner=self._run_bar.runner(),
            kinds=self._form.outputs.kinds(),
            extent=self._extents.extent(values),
        )
        self._admission.ask(options, partial(self._begin, self.values.over(), values))
        if self._admission.asking:
            self.message.say("Looking through the folder of the tool…", "busy")
            self._show_running(True)

    def _begin(
        self, over: Mapping[str, str], values: Mapping[str, object], options: RunOptions
    ) -> None:
        try:
            sweep = Sweep(self._form.tool, over, values, told=bell().ring, **options)
        except ToolRunnerError as error:
            self._refused(error)
            return
        self._end()
        self.sweep = self._running = sweep
        self._begun.append(sweep)
        self.message.say("")
        self.grid.set_sweep(sweep)
        for combo in (self.output, self.figure):
            combo.clear()
        self._shown.show()
        sweep.start()
        self._show_running(True)
        self._show()

    def _refused(self, error: ToolRunnerError) -> None:
        self._show_running(self._running is not None)
        self.message.say(str(error), "problem")

    def _show_running(self, on: bool) -> None:
        self.run_button.setEnabled(not on)
        self.cancel_button.setEnabled(on)
        self.cancel_button.setVisible(on)

    def cancel(self) -> None:
        """End the runs that have not ended."""
        if self._admission.asking:
            self._admission.drop()
            self._show_running(False)
            self.message.say("")
        if self._running is not None:
            self.cancel_button.setEnabled(False)
            self._running.cancel()

    def release(self) -> None:
        """End the runs, and let the files of what was not kept go."""
        self._end()
        self._admission.drop()
        bell().heard.disconnect(self._heard)
        self.deleteLater()

    def _end(self) -> None:
        _close(self._begun)
        self.sweep = self._running = None

    def _heard(self) -> None:
        if self.sweep is not None and not self._soon.isActive():
            self._soon.start()

    # -- what is seen -------------------------------------------------------------------------

    def _show(self) -> None:
        """Show what has come."""
        sweep = self.sweep
        if sweep is None:
            return
        _offer(self.output, [name for cell in sweep.cells for name in cell.thumbnails])
        _offer(self.figure, [name for cell in sweep.cells for name in cell.figures])
        self._what[0].setVisible(self.output.count() > 1)
        self.output.setVisible(self.output.count() > 1)
        for part in (self._what[1], self.figure):
            part.setVisible(self.figure.count() > 0)
        output, figure = self.output.currentText(), self.figure.currentText()
        self.grid.show_cells(output, figure)
        self.plot.show_figure(sweep, figure, self.grid.chosen)
        self._tell(sweep)

    def _tell(self, sweep: Sweep) -> None:
        """Say how far it is."""
        ended = sum(cell.state.is_finished for cell in sweep.cells)
        failed = sum(cell.state is JobState.FAILED for cell in sweep.cells)
        text = f"{ended} of {len(sweep.cells)}"
        if failed:
            text += f", {failed} failed"
        if self._running is not None and ended == len(sweep.cells):
            self._running = None
            self._show_running(False)
        elif self._running is not None and (left := sweep.seconds_left) is not None:
            text += f", about {_seconds_text(left)} left"
        self.count.setText(text)
        self.export_button.setEnabled(self._running is None)
        chosen = self.grid.chosen
        self.keep_button.setEnabled(chosen is not None and chosen.state is JobState.DONE)

    # -- the chosen cell ----------------------------------------------------------------------

    def fill(self, cell: Cell) -> None:
        """Fill the form with the values of a cell; a button takes that back."""
        form = self._form
        before = {
            leaf.name: leaf.value for leaf in form.model.leaves() if leaf.name in cell.values
        }
        left = self._set(cell.values)
        said = f"The form has {', '.join(cell.words)} now."
        if left:
            said += f" Not in the form: {', '.join(left)}."
        if cell.message:
            said = f"{cell.message} {said}"
        self.message.say(
            said, "failed" if cell.message else "info", [("Undo", partial(self._undo, before))]
        )
        self._show()

    def _set(self, values: Mapping[str, object]) -> list[str]:
        """Set leaves of the form; return the names that it has not."""
        left = []
        for name, value in values.items():
            try:
                self._form.model.leaf(name).set(value)
            except KeyError:
                left.append(name)
        return left

    def _undo(self, before: Mapping[str, object]) -> None:
        self._set(before)
        self.message.say("The form is as it was before.")

    def keep(self) -> None:
        """Make the run of the chosen cell one like any other, and its results layers."""
        cell = self.grid.chosen
        if cell is None or (job := cell.job) is None:
            return
        self.keep_button.setEnabled(False)
        task = Task(job.kept_result, self)
        task.done.connect(partial(self._kept, cell))
        task.failed.connect(lambda error: self.message.say(str(error), "failed"))
        task.start()

    def _kept(self, cell: Cell, result: JobResult) -> None:
        viewer = self._viewer()
        if viewer is None:
            self.message.say("The viewer is closed; the run is in the history.", "info")
            return
        try:
            shown = show_result(viewer, result, cell.job)
        except (ToolRunnerError, ValueError, TypeError) as error:
            self.message.say(f"The result could not be shown: {error}", "failed")
            return
        self.message.say(shown.sentence(), "done")

    # -- the table ----------------------------------------------------------------------------

    def _ask_export(self) -> None:
        start = f"{safe_name(self._form.tool.name)}-sweep.csv"
        name, _ = QFileDialog.getSaveFileName(self, "Save table", start, "Tables (*.csv)")
        if name:
            self.export(Path(name))

    def export(self, path: Path) -> None:
        """Write a row for each cell as CSV."""
        if self.sweep is None:
            return
        try:
            write_table(path, self.sweep.columns())
        except OSError as error:
            self.message.say(f"{path} was not written: {error.strerror or error}.", "failed")
        else:
            self.message.say(f"Written to {path.name}.", "done")


def _close(begun: list[Sweep]) -> None:
    while begun:
        begun.pop().close()


def _offer(combo: NarrowCombo, names: list[str]) -> None:
    """Add what is not offered yet."""
    for name in dict.fromkeys(names):
        if combo.findText(name) < 0:
            combo.addItem(name)


def _seconds_text(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


class SweepOpener(QObject):
    """Opens the window of a page, one at a time; takes what `SweepDialog` does."""

    def __init__(
        self,
        form: FormWidget,
        extents: ExtentBar,
        run_bar: RunBar,
        viewer: ViewerModel | None,
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self._parts = form, extents, run_bar
        self._page = parent
        self._viewer = weakref.ref(viewer) if viewer is not None else lambda: None
        self._window: SweepDialog | None = None
        run_bar.sweep_button.setVisible(any(map(is_sweepable, form.tool.parameters())))
        run_bar.sweep_requested.connect(self.open)

    def open(self) -> SweepDialog:
        """Show the window."""
        if self._window is None:
            self._window = SweepDialog(*self._parts, self._viewer(), self._page)
            self._window.finished.connect(self._forget)
        self._window.offer()
        self._window.show()
        self._window.raise_()
        return self._window

    def _forget(self) -> None:
        self._window = None
