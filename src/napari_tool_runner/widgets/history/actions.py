"""What can be done with a job of the past; every failure ends in a sentence."""

from __future__ import annotations

import os
import weakref
from functools import partial
from typing import TYPE_CHECKING, Literal

from qtpy.QtCore import QObject, Signal

from napari_tool_runner.config import load_config
from napari_tool_runner.errors import ToolRunnerError, WorkspaceError
from napari_tool_runner.exchange import layer_kind
from napari_tool_runner.jobs import (
    JobState,
    RunRecord,
    as_command,
    as_json,
    as_python,
    borrowed,
    borrowed_words,
    compare_outputs,
    delete_job,
    drafted_test,
    export_crate,
    is_ours,
    known_record,
    other_packages,
    recorded_result,
    recorded_tool,
    remembered,
    rerun,
)
from napari_tool_runner.names import count_text, size_text
from napari_tool_runner.widgets.history.fill import changes, fill_form
from napari_tool_runner.widgets.parts.background import Task
from napari_tool_runner.widgets.parts.texts import copy_text, open_path
from napari_tool_runner.widgets.running.job_bridge import JobBridge, follow_job, show_result
from napari_tool_runner.widgets.running.run_bar import elapsed_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from napari.components import ViewerModel
    from napari.layers import Layer
    from qtpy.QtWidgets import QWidget

    from napari_tool_runner.jobs import DraftedTest, Job, JobManager, JobResult, JobRow
    from napari_tool_runner.tools.model import Tool
    from napari_tool_runner.widgets.parts.messages import Button
    from napari_tool_runner.widgets.tool_widget import ToolWidget

__all__ = ["Form", "HistoryActions", "record_of"]

Form = Literal["python", "command", "json"]
_FORMS: dict[Form, tuple[Callable[[RunRecord], str], str]] = {
    "python": (as_python, "a Python script"),
    "command": (as_command, "a command line"),
    "json": (as_json, "JSON"),
}


def record_of(row: JobRow, job: Job | None = None) -> RunRecord:
    """Return the record of a row.

    Raises
    ------
    WorkspaceError
        It is gone, or cannot be read.
    """
    if os.path.exists(row.path):
        return known_record(row.path)
    if job is not None:
        return job.recorded()
    raise WorkspaceError(
        f"The files of this job of “{row.tool_name}” are gone ({row.folder}).",
        hint="Nothing but this line is left of it.",
    )


class HistoryActions(QObject):
    """Repeats, edits, shows, copies, exports and deletes jobs.

    Parameters
    ----------
    viewer : napari viewer or None
        Where layers go.
    open_tool : callable
        Shows the page of a tool and returns it (None: there is no place for it).
    panel : QWidget
        Where its sentences stand.
    """

    told = Signal(str, str, object)
    """A sentence, its `MessageKind`, and a list of (label, action) for buttons."""
    deleted = Signal(object)
    """The ids of jobs that are no more."""
    finished = Signal(object)
    """A repeated job ended and its layers are there; carries the job."""

    def __init__(
        self,
        viewer: ViewerModel | None,
        manager: JobManager,
        open_tool: Callable[[Tool], ToolWidget | None],
        panel: QWidget,
    ) -> None:
        super().__init__(panel)
        self._panel = panel
        self._repeated: dict[Job, tuple[JobBridge, RunRecord, list[str]]] = {}
        self._viewer = weakref.ref(viewer) if viewer is not None else lambda: None
        self.manager = manager
        self._open_tool = open_tool

    def say(self, text: str, kind: str = "info", buttons: Sequence[Button] = ()) -> None:
        """Tell a sentence."""
        self.told.emit(text, kind, list(buttons))

    def _later(
        self,
        work: Callable[[], object],
        done: Callable[..., object],
        failed: Callable[[ToolRunnerError], object] | None = None,
    ) -> None:
        """Do `work` in the background; what fails is told, unless `failed` does."""
        task = Task(work, self)
        task.done.connect(done)
        task.failed.connect(failed or (lambda error: self.say(str(error), "failed")))
        task.start()

    # -- again -------------------------------------------------------------------------

    def run_again(self, record: RunRecord, lend: Sequence[Path] = ()) -> None:
        """Repeat a job as it was; its results are added, compared with those of then.

        What a record of others names outside of its folder is asked about, unless it is in `lend`.
        """
        self.say(f"Preparing “{record.tool_name}” once more…", "busy")
        edit = [("Edit and run again…", lambda: self.edit(record))]

        def found(done: tuple[Job, list[str]] | list[Path]) -> None:
            if isinstance(done, tuple):
                self._submit(record, *done)
                return
            again = ("Give them and run again", lambda: self.run_again(record, done))
            words = f"“{record.tool_name}” was not run again: {borrowed_words(done)}"
            self.say(words, "problem", [again, *edit])

        def work() -> tuple[Job, list[str]] | list[Path]:
            config = load_config()
            asked = borrowed(record, recorded_tool(record, config))
            if [path for path in asked if path not in lend]:
                return asked
            return rerun(record, config, lend=lend)

        self._later(
            work,
            found,
            lambda error: self.say(f"It cannot be run again as it was. {error}", "failed", edit),
        )

    def _submit(self, record: RunRecord, job: Job, remarks: list[str]) -> None:
        try:
            self.manager.add(job)
        except ToolRunnerError as error:
            self.say(str(error), "failed")
            return
        bridge = follow_job(job, self._viewer(), self.manager)
        bridge.attach(self._panel)
        self._repeated[job] = (bridge, record, remarks)
        bridge.finished.connect(self._ended)
        text = " ".join([f"“{record.tool_name}” runs again.", *remarks])
        self.say(text, "busy", [("Cancel", job.cancel)])

    def _ended(self, job: Job) -> None:
        bridge, record, remarks = self._repeated.pop(job)
        if job.state is JobState.CANCELLED:
            self.say(f"Cancelled after {elapsed_text(job.elapsed)}.", "info")
        elif job.error is not None:
            self.say(str(job.error), "failed", [("Open folder", lambda: self.open_folder(job))])
        elif bridge.shown is None:
            self.say(bridge.problem, "failed")
        else:
            said = [bridge.shown.sentence(), *remarks, other_packages(record, job.recorded())]
            self._compare(record, job.result(), " ".join(filter(None, said)))
        self.finished.emit(job)

    def _compare(self, record: RunRecord, result: JobResult, sentence: str) -> None:
        self.say(sentence, "done")
        if record.state is not JobState.DONE:
            return

        def tell(found: list[str]) -> None:
            same = "The same result as then." if not found else " ".join(found)
            self.say(f"{sentence} {same}", "done" if not found else "problem")

        self._later(
            lambda: compare_outputs(record, result),
            tell,
            lambda error: self.say(f"{sentence} It cannot be compared with then: {error}", "done"),
        )

    def edit(self, record: RunRecord) -> None:
        """Open the tool's form, filled as it was then, once its descriptor is read."""
        self.say(f"The form of “{record.tool_name}” opens…", "busy")
        self._later(lambda: recorded_tool(record, load_config()), partial(self._fill, record))

    def _fill(self, record: RunRecord, tool: Tool) -> None:
        try:
            page = self._open_tool(tool)
            if page is None:
                self.say("There is no window to open the form in.", "problem")
                return
            fill_form(page, record, f"The form of “{tool.name}” is filled as it was then.")
        except ToolRunnerError as error:
            self.say(str(error), "failed")
            return
        self.say("")

    # -- results -----------------------------------------------------------------------

    def show_layers(self, record: RunRecord) -> None:
        """Add the layers that a job made, from its files; what is open is brought into sight."""
        viewer = self._viewer()
        if viewer is None:
            self.say("The viewer is closed.", "problem")
            return
        again = [("Run again", lambda: self.run_again(record))]
        self._later(
            lambda: recorded_result(record, load_config()),
            lambda found: self._add(record, *found),
            lambda error: self.say(str(error), "failed", again),
        )

    def _add(self, record: RunRecord, result: JobResult, remarks: list[str]) -> None:
        viewer = self._viewer()
        if viewer is None:
            return
        shown = show_result(viewer, result, inputs=record.inputs)
        for layer in viewer.layers if shown.open else ():
            if layer in shown.open:
                layer.visible = True
                viewer.layers.selection.add(layer)
            elif layer not in shown.layers:
                viewer.layers.selection.discard(layer)
        covers = _covering(list(viewer.layers), shown.open)
        for layer in covers:
            layer.visible = False
        again: list[Button] = []
        if covers:
            one = len(covers) == 1
            names = ", ".join(f"“{layer.name}”" for layer in covers)
            remarks = [f"{names} above {'is' if one else 'are'} hidden.", *remarks]
            again = [("Show it again" if one else "Show them again", partial(_show, covers))]
        kind = "problem" if len(remarks) > bool(covers) else "done"
        self.say(" ".join([shown.sentence(), *remarks]), kind, again)

    # -- out of here -------------------------------------------------------------------

    def copy(self, records: Sequence[RunRecord], form: Form) -> None:
        """Put jobs into the clipboard as Python, a command line or JSON."""
        make, _ = _FORMS[form]
        if not records:
            return
        self.say("Copying…", "busy")
        self._later(lambda: [make(one) for one in records], partial(self._copied, records, form))

    def _copied(self, records: Sequence[RunRecord], form: Form, texts: list[str]) -> None:
        if form == "json" and len(texts) > 1:
            copy_text("[\n" + ",\n".join(texts) + "\n]\n")
        else:
            copy_text("\n".join(texts))
        words = _FORMS[form][1]
        what = f"“{records[0].tool_name}”" if len(records) == 1 else f"{len(records)} jobs"
        said = f"Copied {what} as {words}."
        self.say(said, "done")
        if form != "json":
            self._later(
                lambda: " ".join(filter(None, (changes(one.inputs, one.root) for one in records))),
                lambda found: self.say(f"{said} {found}") if found else None,
            )

    def export(self, record: RunRecord, target: Path) -> None:
        """Write a job as a Process Run Crate."""
        self.say(f"Writing {target.name}…", "busy")
        show = [("Open folder", lambda: open_path(target.parent))]
        self._later(
            lambda: export_crate(record, target),
            lambda path: self.say(f"Written to {path}.", "done", show),
        )

    def make_test(self, record: RunRecord) -> None:
        """Offer to make a test of a job, in the folder of its tool."""
        self.say("Looking what it needs…", "busy")

        def ask(draft: DraftedTest) -> None:
            make = ("Make the test", lambda: self._write_test(draft))
            self.say(draft.told(), "problem", [make, ("Not now", lambda: self.say(""))])

        self._later(lambda: drafted_test(record, load_config()), ask)

    def _write_test(self, draft: DraftedTest) -> None:
        self.say("The test is written and run…", "busy")
        show = [("Open folder", lambda: open_path(draft.tool.path.parent))]
        said = f"“{draft.tool.name}” has a new test, which passes."
        self._later(draft.write, lambda _: self.say(said, "done", show))

    def open_folder(self, what: RunRecord | Job) -> None:
        """Show the folder of a job in the system's file manager."""
        folder = what.folder if isinstance(what, RunRecord) else what.workspace.root
        if not os.path.exists(folder):
            self.say(f"The folder of this job is gone ({folder}).", "failed")
        elif not open_path(folder):
            self.say(f"The system has no program for folders. It is {folder}.", "problem")

    # -- away --------------------------------------------------------------------------

    def ask_delete(self, records: Sequence[RunRecord]) -> None:
        """Ask before jobs are deleted; refuse what layers still read from."""
        used = self._layers_of({record.id for record in records})
        if used:
            names = ", ".join(f"“{name}”" for name in used[:3])
            what = "layers read" if len(used) > 1 else "layer reads"
            text = f"Nothing was deleted: the {what} data from this job's files: {names}."
            self.say(text, "problem")
            return
        running = [record for record in records if not record.state.is_finished]
        if running:
            self.say(f"“{running[0].tool_name}” still runs. Cancel it first.", "problem")
            return
        self._later(
            lambda: sum(record.size() for record in records), lambda size: self._ask(records, size)
        )

    def _ask(self, records: Sequence[RunRecord], size: int) -> None:
        one = len(records) == 1
        what = f"this job of “{records[0].tool_name}”" if one else f"these {len(records)} jobs"
        text = f"Delete {what} with all {'its' if one else 'their'} files ({size_text(size)})?"
        buttons = [("Delete", lambda: self.delete(records)), ("Keep", lambda: self.say(""))]
        self.say(text, "problem", buttons)

    def delete(self, records: Sequence[RunRecord]) -> None:
        """Delete jobs with their files."""

        def work() -> tuple[list[str], list[str]]:
            gone, problems = list[str](), list[str]()
            for record in records:
                try:
                    delete_job(record)
                    gone.append(record.id)
                except WorkspaceError as error:
                    problems.append(str(error))
            return gone, problems

        self._later(work, lambda found: self._deleted(*found))

    def _deleted(self, gone: list[str], problems: list[str]) -> None:
        self.deleted.emit(gone)
        jobs = count_text(len(gone), "job")
        self.say(" ".join([f"Deleted {jobs}.", *problems]), "problem" if problems else "done")

    def _layers_of(self, ids: set[str]) -> list[str]:
        viewer = self._viewer()
        layers = viewer.layers if viewer is not None else []
        made = ((layer.name, remembered(layer)) for layer in layers)
        return [name for name, record in made if record is not None and record.id in ids]


def _covering(layers: list[Layer], shown: Sequence[object]) -> list[Layer]:
    """Return results that lie above one that is `shown`, and are so like it that they cover it."""
    below, found = set[object](), []
    for layer in layers:
        kind = layer_kind(layer)
        if layer in shown:
            below.add(kind)
        elif kind in below and layer.visible and layer.blending != "additive" and is_ours(layer):
            found.append(layer)
    return found


def _show(layers: Sequence[Layer]) -> None:
    for layer in layers:
        layer.visible = True
