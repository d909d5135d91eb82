"""A run that an earlier one may answer: then nothing is executed, and its results are loaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from napari_tool_runner.jobs.answers import Answers, Call, collected_then
from napari_tool_runner.jobs.cache import KeptRun
from napari_tool_runner.jobs.execution import ProgramCall, Run
from napari_tool_runner.tools.toolbox.gate import pass_image

if TYPE_CHECKING:
    from napari_tool_runner.tools.dialect import CollectedOutput, JobPaths, RenderedCommand
    from napari_tool_runner.tools.tree import BoundValues

__all__ = ["AnsweredRun"]


class AnsweredRun(Run):
    """Asks first whether the same was run before; what it makes is kept for later ones."""

    _kept: KeptRun | None = None
    _said: tuple[str, ...] = ()

    @cached_property
    def answers(self) -> Answers:
        """What earlier runs have for it."""
        return Answers(self.request, self.context)

    @contextmanager
    def program(self, values: BoundValues, rendered: RenderedCommand) -> Iterator[ProgramCall]:
        """Prepare the service, unless an earlier run answers: then its files are in place."""
        if self._from_before(values, rendered):
            yield lambda *_: None
            return
        with super().program(values, rendered) as call:
            before = len(self.notes)
            self.answers.begin()
            yield call
            self._said = tuple(self.notes[before:])

    def hash_files(self) -> None:
        """Fill in the content hashes, of all that was written."""
        self.answers.settle()
        super().hash_files()

    def keep(self) -> None:
        """Keep what the job made, once it has ended well and its files are hashed."""
        if self._kept is None and self.exit_code is not None:
            told = self._secrets.hidden(self.context.provenance)
            job = KeptRun(self.id, self.exit_code, notes=self._said, provenance=told)
            self.answers.keep(job, self.digests, self.inputs)

    def _from_before(self, values: BoundValues, rendered: RenderedCommand) -> bool:
        """Bring what an earlier run made of the same; False: the program has to run."""
        paths = self.workspace.paths
        secret = bool(self._secrets.named(rendered, paths))
        call = Call(values, rendered, paths, self.inputs, self._asked.parameters, secret)
        told = self.answers.ask(call, self.service, self.choice.name)
        if told is None:
            return False
        request = self.request
        request.pass_gate(self.choice.name)  # as before a start
        pass_image(request.tool, request.permit, told, self._tell)
        top = paths.top
        kept = self._kept = self.answers.find(top)
        if kept is None:
            return False
        self._asked = replace(self._asked, earlier=kept.job)
        self.exit_code = kept.exit_code
        self.context.provenance.update(kept.provenance)
        files = [file for output in kept.outputs for file in output.files]
        self.digests = {top / file.path: file.sha256 for file in files}
        self.files.prepare(request.tool.formats, rendered.outputs, self.inputs)
        for note in kept.notes:
            self._tell(note)
        # last: what they say of the result is told first
        self._tell(f"{self.record().answered}: nothing has changed, nothing was run.")
        return True

    def _collected(
        self, values: BoundValues, rendered: RenderedCommand, paths: JobPaths
    ) -> Sequence[CollectedOutput]:
        if self._kept is not None:
            return collected_then(self._kept, rendered, paths.top)
        made = super()._collected(values, rendered, paths)
        self.answers.made(made, paths)
        return made
