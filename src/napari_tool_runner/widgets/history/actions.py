"""What can be done with a job of the past; every failure ends in a sentence."""

from __future__ import annotations

import logging
import weakref
from typing import TYPE_CHECKING, Literal, cast

from qtpy.QtCore import QObject, Signal

from napari_tool_runner.config import load_config
from napari_tool_runner.errors import ToolRunnerError, WorkspaceError
from napari_tool_runner.jobs import (
    HistoryEntry,
    add_result,
    as_command,
    as_json,
    as_python,
    compare_outputs,
    delete_job,
    export_crate,
    read_record,
    recorded_result,
    recorded_tool,
    rerun,
)
from napari_tool_runner.jobs.record import build_record
from napari_tool_runner.storage import size_text
from napari_tool_runner.widgets.history.fill import fill_form
from napari_tool_runner.widgets.parts.background import Task
from napari_tool_runner.widgets.parts.texts import copy_text, elapsed_text, open_path
from napari_tool_runner.widgets.running.activity import ActivityMirror
from napari_tool_runner.widgets.running.job_bridge import (
    JobBridge,
    cancel_jobs_at_quit,
    register_with_napari,
)
from napari_tool_runner.widgets.running.results import Shown, show_result, show_table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from napari.components import ViewerModel

    from napari_tool_runner.jobs import Job, JobManager, JobResult
    from napari_tool_runner.jobs.past.scan import JobRow
    from napari_tool_runner.tools.model import Tool
    from napari_tool_runner.widgets.tool_widget import ToolWidget

__all__ = ["HistoryActions", "entry_of", "told_by"]

_log = logging.getLogger(__name__)
Form = Literal["python", "command", "json"]
_FORMS: dict[Form, tuple[Callable[[HistoryEntry], str], str]] = {
    "python": (as_python, "a Python script"),
    "command": (as_command, "a command line"),
    "json": (as_json, "JSON"),
}
Button = tuple[str, "Callable[[], object]"]


def entry_of(row: JobRow, job: Job | None = None) -> HistoryEntry:
    """Return the record of a row.

    Raises
    ------
    WorkspaceError
        It is gone, or cannot be read.
    """
    path = row.folder / "record.json"
    if job is not None and not path.exists():
        return HistoryEntry(build_record(job), row.folder)
    if not path.exists():
        raise WorkspaceError(
            f"The files of this job of “{row.tool_name}” are gone ({row.folder}).",
            hint="Nothing but this line is left of it.",
        )
    return read_record(path)


def told_by(layer: object) -> dict[str, object]:
    """Return what `layer` remembers of the job that made it; empty if none of ours did."""
    metadata = getattr(layer, "metadata", None)
    told = metadata.get("napari_tool_runner") if isinstance(metadata, dict) else None
    return dict(told) if isinstance(told, dict) and told.get("id") else {}


class HistoryActions(QObject):
    """Repeats, edits, shows, copies, exports and deletes jobs.

    Parameters
    ----------
    viewer : napari viewer or None
        Where layers go.
    open_tool : callable
        Shows the page of a tool and returns it (None: there is no place for it).
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
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer = weakref.ref(viewer) if viewer is not None else lambda: None
        self.manager = manager
        self._open_tool = open_tool

    def say(self, text: str, kind: str = "info", buttons: Sequence[Button] = ()) -> None:
        """Tell a sentence."""
        self.told.emit(text, kind, list(buttons))

    # -- again -------------------------------------------------------------------------

    def run_again(self, entry: HistoryEntry) -> None:
        """Repeat a job as it was; its results are added, compared with those of then."""
        self.say(f"Preparing “{entry.tool_name}” once more…", "busy")
        task = Task(lambda: rerun(entry, load_config()), self)
        task.done.connect(lambda found: self._submit(entry, *found))
        task.failed.connect(lambda error: self._not_repeated(entry, error))
        task.start()

    def _not_repeated(self, entry: HistoryEntry, error: ToolRunnerError) -> None:
        edit = [("Edit and run again…", lambda: self.edit(entry))]
        self.say(f"It cannot be run again as it was. {error}", "failed", edit)

    def _submit(self, entry: HistoryEntry, job: Job, remarks: list[str]) -> None:
        try:
            self.manager.add(job)
        except ToolRunnerError as error:
            self.say(str(error), "failed")
            return
        cancel_jobs_at_quit(self.manager)
        register_with_napari(job)
        bridge = JobBridge(job, self)
        ActivityMirror(bridge)
        bridge.finished.connect(lambda job: self._ended(entry, job, remarks))
        bridge.finished.connect(bridge.deleteLater)
        bridge.start()
        text = " ".join([f"“{entry.tool_name}” runs again.", *remarks])
        self.say(text, "busy", [("Cancel", job.cancel)])

    def _ended(self, entry: HistoryEntry, job: Job, remarks: list[str]) -> None:
        viewer = self._viewer()
        if job.state.value == "cancelled":
            self.say(f"Cancelled after {elapsed_text(job.elapsed)}.", "info")
        elif job.error is not None:
            self.say(str(job.error), "failed", [("Open folder", lambda: self.open_folder(job))])
        elif viewer is None:
            self.say("Done, but the viewer is closed.", "info")
        else:
            try:
                shown = show_result(viewer, job)
            except (ToolRunnerError, ValueError, TypeError) as error:
                _log.exception("The result of job %s could not be shown", job.id)
                self.say(f"It worked, but its result could not be shown: {error}", "failed")
            else:
                self._compare(entry, job.result(), " ".join([shown.sentence(), *remarks]))
        self.finished.emit(job)

    def _compare(self, entry: HistoryEntry, result: JobResult, sentence: str) -> None:
        self.say(sentence, "done")
        if entry.state != "done":
            return

        def tell(differences: object) -> None:
            found = cast("list[str]", differences)
            same = "The same result as then." if not found else " ".join(found)
            self.say(f"{sentence} {same}", "done" if not found else "problem")

        task = Task(lambda: compare_outputs(entry, result), self)
        task.done.connect(tell)
        task.failed.connect(
            lambda error: self.say(f"{sentence} It cannot be compared with then: {error}", "done")
        )
        task.start()

    def edit(self, entry: HistoryEntry) -> ToolWidget | None:
        """Open the tool's form, filled as it was then."""
        try:
            tool = recorded_tool(entry, load_config())
            page = self._open_tool(tool)
        except ToolRunnerError as error:
            self.say(str(error), "failed")
            return None
        if page is None:
            self.say("There is no window to open the form in.", "problem")
            return None
        remarks = fill_form(page, entry)
        said = f"The form of “{tool.name}” is filled as it was then."
        page.run_bar.say(" ".join([said, *remarks]), "problem" if remarks else "info")
        self.say("")
        return page

    # -- results -----------------------------------------------------------------------

    def show_layers(self, entry: HistoryEntry) -> None:
        """Add the layers that a job made, from its files."""
        viewer = self._viewer()
        if viewer is None:
            self.say("The viewer is closed.", "problem")
            return
        task = Task(lambda: recorded_result(entry, load_config()), self)
        task.done.connect(lambda found: self._add(*found))
        task.failed.connect(
            lambda error: self.say(
                str(error), "failed", [("Run again", lambda: self.run_again(entry))]
            )
        )
        task.start()

    def _add(self, result: JobResult, remarks: list[str]) -> None:
        viewer = self._viewer()
        if viewer is None:
            return
        added = add_result(viewer, result)
        for title, columns in added.tables.items():
            show_table(viewer, title, columns)
        files = [
            one.layer_name
            for output in result.outputs.values()
            for one in (output.elements.values() or [output])
            if one.loaded is None
        ]
        shown = Shown(added.layers, list(added.joined.values()), added.tables, files)
        self.say(" ".join([shown.sentence(), *remarks]), "problem" if remarks else "done")

    # -- out of here -------------------------------------------------------------------

    def copy(self, entries: Sequence[HistoryEntry], form: Form) -> None:
        """Put jobs into the clipboard as Python, a command line or JSON."""
        make, words = _FORMS[form]
        if not entries:
            return
        texts = [make(entry) for entry in entries]
        if form == "json" and len(texts) > 1:
            copy_text("[\n" + ",\n".join(texts) + "\n]\n")
        else:
            copy_text("\n".join(texts))
        what = f"“{entries[0].tool_name}”" if len(entries) == 1 else f"{len(entries)} jobs"
        self.say(f"Copied {what} as {words}.", "done")

    def export(self, entry: HistoryEntry, target: Path) -> None:
        """Write a job as a Process Run Crate."""
        self.say(f"Writing {target.name}…", "busy")
        task = Task(lambda: export_crate(entry, target), self)
        show = [("Open folder", lambda: open_path(target.parent))]
        task.done.connect(lambda path: self.say(f"Written to {path}.", "done", show))
        task.failed.connect(lambda error: self.say(str(error), "failed"))
        task.start()

    def open_folder(self, what: HistoryEntry | Job) -> None:
        """Show the folder of a job in the system's file manager."""
        folder = what.folder if isinstance(what, HistoryEntry) else what.workspace.root
        if not folder.exists():
            self.say(f"The folder of this job is gone ({folder}).", "failed")
        elif not open_path(folder):
            self.say(f"The system has no program for folders. It is {folder}.", "problem")

    # -- away --------------------------------------------------------------------------

    def ask_delete(self, entries: Sequence[HistoryEntry]) -> None:
        """Ask before jobs are deleted; refuse what layers still read from."""
        used = self._layers_of({entry.id for entry in entries})
        if used:
            names = ", ".join(f"“{name}”" for name in used[:3])
            what = "layers read" if len(used) > 1 else "layer reads"
            self.say(
                f"Nothing was deleted: the {what} data from this job's files: {names}.",
                "problem",
                [],
            )
            return
        running = [entry for entry in entries if entry.state not in _ENDED]
        if running:
            self.say(f"“{running[0].tool_name}” still runs. Cancel it first.", "problem")
            return
        task = Task(lambda: sum(entry.size() for entry in entries), self)
        task.done.connect(lambda size: self._ask(entries, cast("int", size)))
        task.start()

    def _ask(self, entries: Sequence[HistoryEntry], size: int) -> None:
        if len(entries) == 1:
            what = f"this job of “{entries[0].tool_name}”"
        else:
            what = f"these {len(entries)} jobs"
        self.say(
            f"Delete {what} with all its files ({size_text(size)})?".replace(
                "all its", "all their" if len(entries) > 1 else "all its"
            ),
            "problem",
            [("Delete", lambda: self.delete(entries)), ("Keep", lambda: self.say(""))],
        )

    def delete(self, entries: Sequence[HistoryEntry]) -> None:
        """Delete jobs with their files."""

        def work() -> tuple[list[str], list[str]]:
            gone: list[str] = []
            problems: list[str] = []
            for entry in entries:
                try:
                    delete_job(entry)
                    gone.append(entry.id)
                except WorkspaceError as error:
                    problems.append(str(error))
            return gone, problems

        task = Task(work, self)
        task.done.connect(lambda found: self._deleted(*found))
        task.start()

    def _deleted(self, gone: list[str], problems: list[str]) -> None:
        self.deleted.emit(gone)
        jobs = f"{len(gone)} job{'s' * (len(gone) != 1)}"
        self.say(" ".join([f"Deleted {jobs}.", *problems]), "problem" if problems else "done")

    def _layers_of(self, ids: set[str]) -> list[str]:
        viewer = self._viewer()
        layers = viewer.layers if viewer is not None else []
        return [layer.name for layer in layers if told_by(layer).get("id") in ids]


_ENDED = ("done", "failed", "cancelled", "interrupted")
