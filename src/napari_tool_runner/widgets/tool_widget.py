"""One tool: what it is, its form, Run, its log. Stands in the dock, or in one of its own."""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_tool_runner.errors import ParameterError, ToolRunnerError, TrustError
from napari_tool_runner.jobs import JobState, RunOptions, take_back
from napari_tool_runner.proxies import bare
from napari_tool_runner.widgets.forms.extents import ExtentBar
from napari_tool_runner.widgets.forms.form import FormWidget
from napari_tool_runner.widgets.forms.layer_source import LayerSource
from napari_tool_runner.widgets.forms.preset_menu import PresetMenu
from napari_tool_runner.widgets.forms.presets import PresetStore
from napari_tool_runner.widgets.next_steps import NextSteps, origin_of
from napari_tool_runner.widgets.parts.icons import IconButton
from napari_tool_runner.widgets.parts.inputs import finish_typing
from napari_tool_runner.widgets.parts.layouts import filled, thin_line
from napari_tool_runner.widgets.parts.scrolling import Footed
from napari_tool_runner.widgets.parts.texts import copy_text
from napari_tool_runner.widgets.running.admission import Admission, ToolTrust
from napari_tool_runner.widgets.running.job_bridge import JobBridge, follow_job, running_bridges
from napari_tool_runner.widgets.running.live_bar import LiveBar
from napari_tool_runner.widgets.running.log_view import LogView
from napari_tool_runner.widgets.running.readier import Readier
from napari_tool_runner.widgets.running.report import job_buttons
from napari_tool_runner.widgets.running.run_bar import RunBar, elapsed_text, with_time
from napari_tool_runner.widgets.running.services import ServiceLookup
from napari_tool_runner.widgets.running.sweep import SweepOpener
from napari_tool_runner.widgets.settings.trust import trust_sentence
from napari_tool_runner.widgets.tool_header import ToolHeader
from napari_tool_runner.widgets.tool_page import ToolPage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari.components import ViewerModel

    from napari_tool_runner.jobs import AddedResult, Job, JobManager
    from napari_tool_runner.tools.model import LayerKind, Tool
    from napari_tool_runner.tools.toolbox.box import Toolbox
    from napari_tool_runner.widgets.forms.node import Problem
    from napari_tool_runner.widgets.next_steps import Opens, Origin
    from napari_tool_runner.widgets.parts.messages import Button
    from napari_tool_runner.widgets.running.services import Services

__all__ = ["ToolWidget"]


class ToolWidget(Footed):
    """A tool's page.

    Parameters
    ----------
    tool : Tool
    viewer : napari viewer or None
        Where layers come from and results go.
    manager : JobManager, optional
        Default: that of the session.
    presets : PresetStore, optional
        Default: the user's.
    toolbox : Toolbox, optional
        Where the tool comes from, to name its tools when it has to be approved.
    open_sample : callable, optional
        Called by the button that is offered when no open layer fits.
    open_tool : Opens, optional
        Shows the page of a tool of the toolbox.
    """

    job_started = Signal(object)
    """A job was put in the queue; carries the job."""
    job_finished = Signal(object)
    """A job of this page ended and its layers (if any) are in the viewer."""

    def __init__(
        self,
        tool: Tool,
        viewer: ViewerModel | None = None,
        *,
        manager: JobManager | None = None,
        presets: PresetStore | None = None,
        toolbox: Toolbox | None = None,
        open_sample: Callable[[], None] | None = None,
        open_tool: Opens | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.tool, viewer = tool, bare(viewer)
        # the viewer may be closed while a job of ours still runs
        self._viewer = weakref.ref(viewer) if viewer is not None else lambda: None
        self._manager = manager
        self._presets = presets if presets is not None else PresetStore()
        self._open_sample = open_sample
        self.trust = ToolTrust(tool, toolbox, self)
        self.trust.changed.connect(self._judge)
        self.admission = Admission(tool, self)
        self.admission.refused.connect(self._refused)
        self._why = ""
        self._bridges: dict[Job, JobBridge] = {}

        self.layer_source = LayerSource(viewer, self)
        self.header = ToolHeader(tool)
        self.steps = NextSteps(viewer, toolbox, open_tool, origin_of(tool, toolbox))
        self.form = FormWidget(tool, self.layer_source, steps=self.steps)
        self.log = LogView()
        self.run_bar = RunBar(self.log.head)
        self._column = self.column_above(self.run_bar)
        for part, stretch in ((self.header, 0), (self.form, 1), (thin_line(), 0)):
            self._column.addWidget(part, stretch)
        # it may show itself at once: with its parent, behind the form for the Tab key
        self.extent_bar = ExtentBar(tool, self.form, viewer, self.above)
        self._column.addWidget(self.extent_bar)
        self.form.changed.connect(self._judge)  # before previews, which ask whether it can run
        self.live_bar = LiveBar(
            tool, self.form, self.extent_bar, self.run_bar, viewer, self, manager=manager
        )
        self._column.addWidget(self.live_bar)
        self._column.addLayout(filled(QVBoxLayout(), self.log, margins=(6, 0, 6, 0)))
        self.log.opened.connect(partial(self.reveal, self.log))
        self.sweeps = SweepOpener(self.form, self.extent_bar, self.run_bar, viewer, self)

        self.preset_menu = PresetMenu(tool, self.form, self._presets, self)
        self.header.menu_button.set_menu(self.preset_menu)
        self.preset_menu.told.connect(
            lambda text, buttons: self.run_bar.say(text, "problem" if buttons else "info", buttons)
        )
        self.service_lookup = ServiceLookup(tool, self)
        self.service_lookup.found.connect(self._show_services)
        self.readier = Readier(tool, self.form, self.run_bar, self.service_lookup, self)
        self.readier.changed.connect(self._show_progress)
        self.run_bar.runner_changed.connect(self._judge)
        self.run_bar.run_requested.connect(self.run)
        self.run_bar.cancel_requested.connect(self.cancel)
        self.help_button = IconButton("help", "About this tool: help, citations, command line")
        self.help_button.setCheckable(True)
        self.help_button.toggled.connect(self.show_about)
        self.header.add_button(self.help_button)
        self.about: ToolPage | None = None
        self._shortcuts()
        self.preset_menu.restore_last()
        self._judge()
        self.service_lookup.start()
        for bridge in running_bridges(tool.uri, viewer):
            self._attach(bridge)
        self.destroyed.connect(self.layer_source.disconnect_layers)
        self.destroyed.connect(self.extent_bar.release)
        self.destroyed.connect(self.live_bar.release)

    # -- running -------------------------------------------------------------------

    @property
    def viewer(self) -> ViewerModel | None:
        """The viewer, None when there is none or it is gone."""
        return self._viewer()

    @property
    def services(self) -> Services:
        """What is known of the services that may run the tool."""
        return self.service_lookup.services

    def manager(self) -> JobManager:
        """Return the job manager."""
        if self._manager is None:
            from napari_tool_runner.jobs import job_manager

            self._manager = job_manager()
        return self._manager

    @property
    def active_jobs(self) -> list[Job]:
        """The jobs of this page that have not ended, oldest first."""
        return [job for job in self._bridges if job.finished is None]

    @property
    def is_busy(self) -> bool:
        """Whether a job of this page has not ended, or is about to begin."""
        return bool(self.active_jobs) or self.admission.asking or self.readier.is_busy

    def run(self) -> Job | None:
        """Run the tool on the form's values.

        Returns the job; None when it cannot run, or first the folder of the tool is looked
        through: then `job_started` tells.
        """
        return self._ask(cache=True)

    def _ask(self, *, cache: bool) -> Job | None:
        blocked = self.services.blocked(self.run_bar.runner())  # the key obeys as the button
        if self.form.problems() or self.tool.problems or blocked:
            self.form.show_problems()
            self._judge()
            return None
        if self.form.units.waits(partial(self._ask, cache=cache)):
            self.run_bar.say("The pixel size is being read…", "busy")
            return None
        values, kinds = self.form.values(), self.form.outputs.kinds()
        self.run_bar.show_starting(values)
        extent, runner = self.extent_bar.extent(values), self.run_bar.runner()
        options = RunOptions(runner=runner, kinds=kinds, extent=extent, cache=cache)
        act = partial(self._submit, values, kinds, self.form.outputs.switches())
        job = self.admission.ask(options, act)
        self._show_progress()
        return job

    def _submit(
        self,
        values: Mapping[str, object],
        kinds: Mapping[str, LayerKind],
        switches: frozenset[str],
        options: RunOptions,
    ) -> Job | None:
        """Put a job in the queue: values and all else are as they were when Run was pressed."""
        try:
            job = self.manager().submit(self.tool, values, **options)
        except ToolRunnerError as error:
            self._refused(error)
            return None
        self.form.chooser.pin()
        self.preset_menu.keep_last(values, kinds)
        self.run_bar.say("")
        self._attach(follow_job(job, self.viewer, self.manager(), switches))
        for part in (self.live_bar, self.log):
            part.rest()
        self.job_started.emit(job)
        return job

    def show_about(self, on: bool) -> None:
        """Show all about the tool in the place of the form, or the form again."""
        if on and self.about is None:
            self.about = ToolPage(self.tool, self.form, self.viewer, self.readier, self)
            self.about.sample_loaded.connect(lambda: self.help_button.setChecked(False))
            self._column.insertWidget(self._column.indexOf(self.form), self.about, 1)
        if self.about is not None:
            self.about.setVisible(on)
        self.form.setVisible(not on)
        self.help_button.setChecked(on)

    def cancel(self) -> None:
        """Cancel the jobs of this page."""
        self.admission.drop()
        self._show_progress()
        for job in self.active_jobs:
            self.run_bar.show_cancelling()
            job.cancel()

    def _attach(self, bridge: JobBridge) -> None:
        """Show how far a run is, whoever started it."""
        bridge.attach(self)
        bridge.progressed.connect(self._show_progress)
        bridge.finished.connect(self._finished)
        self._bridges[bridge.job] = bridge
        self._show_progress()

    def _show_progress(self) -> None:
        """Show the oldest job that has not ended, and how many wait behind it."""
        active = self.active_jobs
        self.run_bar.set_busy(self.is_busy, max(0, len(active) - 1))
        if not active:
            self.readier.show()
            if self.admission.asking:
                self.run_bar.show_progress("Looking through its folder", None, 0)
            return
        job = active[0]
        self.log.follow(job)
        self.run_bar.show_progress(job.phase, job.progress, job.elapsed)

    def _finished(self, job: Job) -> None:
        self.log.flush()
        bridge = self._bridges.pop(job)
        if job.state is JobState.DONE:
            self.live_bar.learn(job)
            self._loaded(bridge)
        elif job.state is JobState.CANCELLED:
            self.run_bar.say(f"Cancelled after {elapsed_text(job.elapsed)}.", "info")
        else:
            self.log.show_failure(job)
            text = str(job.error) if job.error is not None else "The tool failed."
            self.run_bar.say(text, "failed", job_buttons(job, self._show_log))
        self._show_progress()
        self.service_lookup.refresh()
        self.job_finished.emit(job)

    def _loaded(self, bridge: JobBridge) -> None:
        job, shown = bridge.job, bridge.shown
        if shown is None:
            self.run_bar.say(bridge.problem, "failed", job_buttons(job, self._show_log))
            self.log.show_failure(job)
            return
        self.form.model.notes = shown.notes
        show_log, open_folder, _ = job_buttons(job, self._show_log)
        buttons: list[Button] = [*self.steps.after(shown, self.tool.id, job.request)]
        if shown.joined or shown.layers or shown.tables:
            buttons.append(("Undo", partial(self._undo, shown)))
        buttons += [show_log] * bool(shown.notes) + [open_folder] * bool(shown.files)
        if job.recorded().earlier:
            buttons.append(("Run it anyway", partial(self._ask, cache=False)))
        self.run_bar.say(with_time(shown.sentence(), job), shown.sign, buttons)

    def _undo(self, shown: AddedResult) -> None:
        stays = take_back(self.viewer, shown) if self.viewer is not None else []
        told = ["Taken back.", *stays, "The history still has the run and its results."]
        self.run_bar.say(" ".join(told), "info")

    def _show_log(self, job: Job) -> None:
        self.log.follow(job)
        self.log.set_open(True)

    # -- what can be run -------------------------------------------------------------

    def _judge(self) -> None:
        """Enable Run, or disable it and say why, with a button that helps."""
        runner, problems, why = self.run_bar.runner(), self.form.problems(), ""
        buttons: list[Button] = []
        if self.tool.problems:
            why = f"This tool cannot be run: {self.tool.problems[0].what}"
        elif not self.trust.now.ok:
            why = trust_sentence(self.trust.now)
            buttons = [("Review…", self.review_toolbox)]
        elif blocked := self.services.blocked(runner):
            why, buttons = blocked, [("Check again", self.service_lookup.start)]
        elif problems:
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            why, buttons = problems[0].sentence + more, self._problem_buttons(problems[0])
        self.run_bar.set_ready(not why, why)
        if why and not self.readier.holds():
            self.run_bar.say(why, "problem", buttons)
        elif self.run_bar.is_free(self._why, self.form.values()):  # what others told stays
            self.run_bar.say(self.services.remark(runner), "info", self.readier.buttons())
        self._why = why

    def review_toolbox(self) -> None:
        """Show what the toolbox holds and ask whether its tools may run."""
        self.trust.review(self.run_bar.runner() or self.services.choice)

    def _problem_buttons(self, first: Problem) -> list[Button]:
        leaf = self.form.model.leaf(first.name)
        if leaf.is_data and (refused := self.form.chooser.refused(leaf)):
            return [*self.steps.mend(refused[0], leaf.name)]
        if not self.form.missing_layers():
            return [("Show", self.form.show_problems)]
        if self.form.unsegmented():  # the input itself offers to make objects
            return []
        return [("Open sample", self._open_sample)] if self._open_sample is not None else []

    def _refused(self, error: ToolRunnerError) -> None:
        """Say why it does not run, where that can be mended."""
        self._show_progress()
        text = str(error)
        if isinstance(error, TrustError):
            self.run_bar.say(text, "problem")
            self.trust.look()  # what was approved has changed: say what can be done
        elif not isinstance(error, ParameterError):
            self.run_bar.say(text, "failed", [("Copy", lambda: copy_text(text))])
        elif error.name in {leaf.name for leaf in self.form.model.leaves()}:
            self.form.model.leaf(error.name).set_extra_problem(error.message)
            self.form.show_problems()
        else:
            self.run_bar.say(text, "problem")

    # -- where -----------------------------------------------------------------------

    def _show_services(self) -> None:
        found = self.services
        self.run_bar.set_runners(found.names, found.configured, found.tips)
        self.run_bar.show_choice(f"{found.choice} (auto)" if found.choice else "", found.reason)
        self._judge()

    # -- values ----------------------------------------------------------------------

    def set_values(self, values: Mapping[str, object]) -> list[str]:
        """Fill the form; names without a place are returned."""
        return self.form.set_values(values)

    def take(
        self, layer: object, more: Mapping[str, object], place: str, origin: Origin | None
    ) -> None:
        """Choose `layer` for the input `place`, else for the first; fill in what `more` says."""
        self.steps.origin = origin
        self.form.chooser.give(layer, place)
        self.set_values(more)

    def _shortcuts(self) -> None:
        for keys in ("Ctrl+Return", "Ctrl+Enter"):
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(self._run_by_key)

    def _run_by_key(self) -> None:
        finish_typing(self)
        self._judge()
        if self.run_bar.run_button.isEnabled():
            self.run()
        else:
            self.form.show_problems()
