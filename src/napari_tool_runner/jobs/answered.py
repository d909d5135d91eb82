"""A run that an earlier one may answer: then nothing is executed, and its results are loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_tool_runner.jobs.answers import Answers, Call, collected_then
from napari_tool_runner.jobs.cache import KeptRun
from napari_tool_runner.jobs.execution import ProgramCall, Run
from napari_tool_runner.jobs.record import JobState, RecordedError, RecordedTimes
from napari_tool_runner.tools.toolbox.gate import pass_image

if TYPE_CHECKING:
    from napari_tool_runner.jobs.record import RunRecord
    from napari_tool_runner.jobs.request import Request
    from napari_tool_runner.plugins import Event, Process, Session
    from napari_tool_runner.tools.dialect import CollectedOutput, JobPaths, RenderedCommand
    from napari_tool_runner.tools.tree import BoundValues

__all__ = ["AnsweredRun"]


class AnsweredRun(Run):
    """Asks first whether the same was run before; what it makes is kept for later ones."""

    def __init__(
        self,
        request: Request,
        run_id: str,
        number: int,
        enter: Callable[[JobState, str], None],
        report: Callable[[Event], None],
    ) -> None:
        super().__init__(request, run_id, number, enter, report)
        self.answers = Answers(request, self.context)
        self._kept: KeptRun | None = None
        self._said: tuple[str, ...] = ()

    @contextmanager
    def program(self, values: BoundValues, rendered: RenderedCommand) -> Iterator[ProgramCall]:
        """Prepare the service, unless an earlier run answers: then its files are in place."""
        if self._from_before(values, rendered):
            yield lambda *_: None
            return
        with super().program(values, rendered) as call:
            self._ask(values, rendered)  # the environment may have been made just now
            yield call

    def hash_files(self) -> None:
        """Fill in the content hashes, of all that was written."""
        self.answers.settle()
        super().hash_files()

    def record(
        self,
        state: JobState = JobState.LOADING,
        times: RecordedTimes | None = None,
        error: RecordedError | None = None,
    ) -> RunRecord:
        """Return the record as it stands now."""
        made = super().record(state, times, error)
        return made if self._kept is None else replace(made, earlier=self._kept.job)

    def keep(self) -> None:
        """Keep what the job made, once it has ended well and its files are hashed."""
        if self._kept is None and self.exit_code is not None:
            told = self._secrets.hidden(self.context.provenance)
            job = KeptRun(self.id, self.exit_code, notes=self._said, provenance=told)
            self.answers.keep(job, self.digests, self.inputs)

    def _ask(self, values: BoundValues, rendered: RenderedCommand) -> Mapping[str, object] | None:
        paths = self.workspace.paths
        secret = bool(self._secrets.named(rendered, paths))
        call = Call(values, rendered, paths, self.inputs, self._asked.parameters, secret)
        return self.answers.ask(call, self.service, self.choice.name)

    def _from_before(self, values: BoundValues, rendered: RenderedCommand) -> bool:
        """Bring what an earlier run made of the same; False: the program has to run."""
        told = self._ask(values, rendered)
        if told is None:
            return False
        request = self.request
        request.pass_gate(self.choice.name)  # as before a start
        pass_image(request.tool, request.permit, told, self._tell)
        top = self.workspace.paths.top
        kept = self._kept = self.answers.find(top)
        if kept is None:
            return False
        self.exit_code = kept.exit_code
        self.context.provenance.update(kept.provenance)
        files = [file for output in kept.outputs for file in output.files]
        self.digests = {top / file.path: file.sha256 for file in files}
        self.files.prepare(request.tool.formats, rendered.outputs, self.inputs)
        self._tell(f"{self.record().answered}: nothing has changed, nothing was run.")
        for note in kept.notes:
            self._tell(note)
        return True

    def _call(
        self,
        session: Session,
        process: Process,
        values: BoundValues,
        rendered: RenderedCommand,
        paths: JobPaths,
    ) -> None:
        before = len(self.notes)
        super()._call(session, process, values, rendered, paths)
        self._said = tuple(self.notes[before:])

    def _collected(
        self, values: BoundValues, rendered: RenderedCommand, paths: JobPaths
    ) -> Sequence[CollectedOutput]:
        if self._kept is not None:
            return collected_then(self._kept, rendered, paths.top)
        made = super()._collected(values, rendered, paths)
        self.answers.made(made, paths)
        return made
