"""`Run`: one execution of a request, stage by stage, and what it gathers for the record."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from napari_tool_runner import exchange, sealed
from napari_tool_runner.errors import JobCancelledError, OutputError, ToolFailedError
from napari_tool_runner.exchange import LayerSnapshot, geometry_record, lent_original, sha256_once
from napari_tool_runner.jobs.originals import Originals, mounts_of, named_places
from napari_tool_runner.jobs.outputs import JobOutput, OutputLoader, named_after
from napari_tool_runner.jobs.record import (
    JobState,
    RecordedCommand,
    RecordedError,
    RecordedHost,
    RecordedInput,
    RecordedRunner,
    RecordedSource,
    RecordedTimes,
    RecordedTool,
    RunRecord,
)
from napari_tool_runner.jobs.request import each_value
from napari_tool_runner.jobs.secrets import Secrets
from napari_tool_runner.jobs.weights import has_network, with_weights
from napari_tool_runner.jobs.workspace import (
    JobLog,
    Workspace,
    ask_version,
    parse_notes,
    tool_folder,
    workspace_problem,
)
from napari_tool_runner.plugins import (
    ExecContext,
    Process,
    Progress,
    Resources,
    choose_service,
    runnerServices,
)
from napari_tool_runner.tools import dialect_of
from napari_tool_runner.tools.dialect import DataFile
from napari_tool_runner.tools.isolation.rendering import is_shipped, render
from napari_tool_runner.tools.model import CollectionOutput, DataParameter, HiddenParameter
from napari_tool_runner.tools.own_folder import tool_places
from napari_tool_runner.tools.toolbox.gate import pass_image
from napari_tool_runner.tools.tree import leaves
from napari_tool_runner.tools.wording import label_of

if TYPE_CHECKING:
    from napari_tool_runner.jobs.request import Request
    from napari_tool_runner.plugins import Event, Mount, RunnerService, Session
    from napari_tool_runner.tools.dialect import CollectedOutput, JobPaths, RenderedCommand
    from napari_tool_runner.tools.tree import BoundValues

__all__ = ["ProgramCall", "Run"]

ProgramCall: TypeAlias = "Callable[[BoundValues, RenderedCommand, JobPaths], None]"


class Run:
    """One execution of `request`, in one thread.

    Parameters
    ----------
    number : int
        Of the job in this session, which a service may want to know.
    enter : callable
        Told of each state and its phase; raises JobCancelledError to stop.
    report : callable
        Takes the events; from any thread.
    """

    def __init__(
        self,
        request: Request,
        run_id: str,
        number: int,
        enter: Callable[[JobState, str], None],
        report: Callable[[Event], None],
    ) -> None:
        config, self.request = request.config, request
        self.id, self.choice = run_id, request.choice
        self._secrets, self._user = Secrets(config.variables), config.user
        timeout = request.timeout if request.timeout is not None else config.timeout
        self.workspace = Workspace(tool_folder(config.workspaces, request.tool.id) / run_id)
        self.log = JobLog(self.workspace.root)
        paths = self.workspace.paths
        self.context = ExecContext(
            *(paths.work, paths.temp, paths.home),
            resources=Resources(config.cpus, config.memory_bytes, config.gpus),
            network=config.network or has_network(request.tool, request.values),
            timeout=timeout,
            root=paths.root,
            named=named_places(config.variables),
            config=config,
            report=self._secrets.hiding(report),
        )
        trusted, self._cancelled = is_shipped(request.tool), partial(self.context.cancel.wait, 0)
        self.files = exchange.ReadApart(paths.top, self._cancelled, trusted=trusted)
        self.inputs: list[RecordedInput] = []
        self.outputs: dict[str, JobOutput] = {}
        self.digests: dict[Path, str] = {}
        self.contents: dict[str, str] = {}
        self.rendered: RenderedCommand | None = None
        self.notes: list[str] = []
        self.exit_code: int | None = None
        self._dialect, self._hashing = dialect_of(request.tool), threading.Lock()
        self._known: dict[Path, Path] = {}
        self._lenders: dict[str, LayerSnapshot] = {}
        self._number, self._enter, self._named_after, self._unseen = number, enter, "", ""

    def execute(self) -> None:
        """Write the inputs, run the program, load its outputs; raises ToolRunnerError, OSError."""
        paths = self.workspace.paths
        values = self.write_inputs(self.request.values, paths.inputs)
        rendered = self.render(values, paths)
        with self.program(values, rendered) as call:
            call(values, rendered, paths)
        self._enter(JobState.LOADING, "Loading results")
        self.outputs = self.collect(values, rendered, paths)

    def write_inputs(
        self, values: BoundValues, folder: Path, *, record: bool = True, whole: bool = False
    ) -> BoundValues:
        """Write the snapshots of `values` below `folder`; return the values with files.

        `record`: they are what the record names as the job's inputs. `whole`: the tool
        never sees these files, so any carrier will do.
        """
        tool = self.request.tool
        snaps = list(self.request.snapshots(values))
        self._lenders = {name: snap.placed_only() for name, snap in snaps}
        grid = exchange.grid_of([snap for _, snap in snaps], tool.formats)

        def written(done: int, total: int) -> None:
            self.stop_if_cancelled()
            self.context.report(Progress("Writing inputs", done, total, "bytes"))

        def one(name: str, parameter: DataParameter, value: object) -> object:
            snap, digest = value if isinstance(value, LayerSnapshot) else None, ""
            if snap is not None:
                self.stop_if_cancelled()
                if record and self.request.may_measure:  # first: who writes meanwhile is told
                    self.contents.setdefault(name, exchange.content_of(snap))
                exported = exchange.export(
                    snap,
                    DataParameter(name=parameter.name) if whole else parameter,
                    folder,
                    formats=tool.formats,
                    reference=grid if snap is not grid else None,
                    progress=written,
                    lend=self.workspace.kept if self.service.lends else None,
                )
                for note in [note for note in exported.notes if note not in self.notes]:
                    self._tell(note)
                value, digest = exported.file, exported.sha256
            if record and isinstance(value, DataFile):
                self._keep(name, value, snap, digest)
            return value

        return each_value(tool, values, one)

    def _keep(self, name: str, file: DataFile, snap: LayerSnapshot | None, digest: str) -> None:
        """Note an input for the record; results are named after the first."""
        self._named_after = self._named_after or named_after(file, snap)
        source = RecordedSource.of_input(snap, file.path)
        layer = geometry_record(snap, file.metadata.get("axes")) if snap else None
        path = lent_original(file.path)
        self.inputs.append(
            RecordedInput(name, file.name, path, file.format, digest or None, source, layer)
        )

    def render(self, values: BoundValues, paths: JobPaths) -> RenderedCommand:
        """Return the command; the record tells the first one."""
        variables = self._secrets.variables(paths)
        rendered = render(self.request.tool, values, paths, variables, self._cancelled)
        self._secrets.check(rendered)
        if self.rendered is None:
            self.rendered = rendered
            self.notes += rendered.notes
        return rendered

    @contextmanager
    def program(self, values: BoundValues, rendered: RenderedCommand) -> Iterator[ProgramCall]:
        """Prepare the service; gives what runs the program, once or for every slice."""
        self.request.pass_gate(self.choice.name)  # once more: writing inputs took its time
        self.context.environment = with_weights(self.request.tool, rendered.environment)
        process = Process(self.request.tool, values, rendered.outputs, self.context, self._number)
        self._shown, unseen = tool_places(self.request.tool)
        self.context.mounts = self._mounts(process)
        self._unseen = unseen if self.service.lends else ""
        if self._unseen:
            self.context.say(self._unseen)
        self._enter(JobState.PREPARING, f"Preparing {self.choice.name}")
        request, told = self.request, self.context.provenance
        made = request.tool.formats, rendered.outputs, self.inputs
        self.context.begun = partial(self.files.prepare, *made)
        ask = partial(pass_image, request.tool, request.permit, told, self._tell)
        self.context.before_start = ask  # a service that does not is asked afterwards
        with self.service.session(process) as session:
            ask()
            if not all(entry.sha256 for entry in self.inputs):
                threading.Thread(target=self.hash_files, daemon=True).start()
            yield partial(self._call, session, process)

    def _tell(self, note: str) -> None:
        self.context.say(note)
        self.notes.append(note)

    def _call(
        self,
        session: Session,
        process: Process,
        values: BoundValues,
        rendered: RenderedCommand,
        paths: JobPaths,
    ) -> None:
        """Write the files of `rendered`, run its command, and judge how it ended."""
        context = self.context
        for path, text in rendered.files.items():  # a slice before may have left links
            sealed.write(path, text, paths.top)
        self._secrets.write(rendered, paths)
        context.work_dir, context.temp_dir, context.home_dir = paths.work, paths.temp, paths.home
        context.environment = with_weights(self.request.tool, rendered.environment)
        if rendered is not self.rendered:  # another slice
            process.bind(values, rendered.outputs)
            context.mounts = self._mounts(process)
        elif rendered.version:
            self.notes += ask_version(session, context, rendered, paths, self.request.tool.digest)
        originals = None if self.service.lends else Originals(process, self.inputs)
        begun = {stream: self.log.size(stream) for stream in ("stdout", "stderr")}
        self._enter(JobState.RUNNING, "Running")
        self.exit_code = session.exec(list(rendered.argv))
        if self.log.problem is not None:
            raise workspace_problem(self.log.problem, paths.root) from self.log.problem
        if originals is not None and (changed := originals.changed()):
            raise self.failure(
                f"{', '.join(map(str, changed[:3]))} changed while the tool ran: it wrote to "
                "your file, or somebody else did.",
                "Restore it from a copy. Enclosed programs cannot do that: see “runners”.",
            )
        stdout, stderr = (self.log.text(stream, start) for stream, start in begun.items())
        verdict = self._dialect.judge(self.request.tool, self.exit_code, stdout, stderr)
        told = (*verdict.warnings, *parse_notes(f"{stdout}\n{stderr}"))
        self.notes += [note for note in told if note not in self.notes]  # of each slice
        if not verdict.ok:
            raise self.failure(verdict.reason, self._unseen or "The log says more.")

    def collect(
        self, values: BoundValues, rendered: RenderedCommand, paths: JobPaths
    ) -> dict[str, JobOutput]:
        """Load what the program made of the inputs that were written last."""
        collected = self._collected(values, rendered, paths)
        found = {entry.output.name for entry in collected}
        wanted: list[str] = []
        for planned in (one for one in rendered.outputs if one.output.name not in found):
            output, may_lack = planned.output, not self.request.must_write
            if may_lack or isinstance(output, CollectionOutput) or output.discovers:
                self.notes.append(f"“{label_of(output)}” is empty: nothing was found for it.")
            else:
                place = output.from_work_dir or planned.path.name
                wanted.append(f"“{label_of(output)}” ({place})")
        if wanted:
            raise self.failure(
                f"The tool ended without an error but did not write {', '.join(wanted)}.",
                "The log may say why; the job's folder is kept.",
            )
        load = self.loader().load
        return {one.output.name: load(one, self._lenders, paths.outputs) for one in collected}

    def _collected(
        self, values: BoundValues, rendered: RenderedCommand, paths: JobPaths
    ) -> Sequence[CollectedOutput]:
        return self._dialect.collect(self.request.tool, rendered, values, paths)

    def loader(self) -> OutputLoader:
        """Return what opens outputs as layers, which are named after the first input."""
        told, top, note = self.record().summary(), self.workspace.paths.top, self.notes.append
        return OutputLoader(self.request, self._named_after, told, note, top, self.files)

    def settle(self) -> None:
        """Learn the axes, choose the service, pass the gate: not for a GUI thread."""
        request = self.request = self.request.with_known_axes().with_likeness()
        self._asked = replace(self._asked, words=request.words(self._asked.parameters))
        self.notes += request.notes
        if not self.choice.name:
            self.choice = choose_service(request.tool, request.config.runner)
        request.pass_gate(self.choice.name)

    @cached_property
    def service(self) -> RunnerService:
        """The service that runs the program; `settle` has chosen it."""
        return runnerServices.service(self.choice.name, self.request.config.runner)

    def _mounts(self, process: Process) -> list[Mount]:
        return mounts_of(process, self.workspace.paths.root, self._shown, self.inputs, self._known)

    def stop_if_cancelled(self) -> None:
        """Raise JobCancelledError when somebody asked for that."""
        if self.context.cancel.requested:
            raise JobCancelledError(f"“{self.request.tool.name}” was cancelled.")

    def failure(
        self, reason: str, hint: str, cause: BaseException | None = None
    ) -> ToolFailedError:
        """Return the error of a run that failed, with what is known of it."""
        said = self.log.last_words()
        if said and cause is None and said not in reason:
            reason = f"{reason.rstrip('.')}: {said}"
        reason += "." if reason[-1:].isalnum() else ""  # the hint follows
        error = ToolFailedError(
            self._secrets.hide(reason),
            tool=self.request.tool.id,
            exit_code=self.exit_code,
            argv=self.rendered.argv if self.rendered else (),
            log_tail=self.log.tail(),
            workspace=self.workspace.root,
            hint=self._secrets.hide(hint),
        )
        error.__cause__ = cause
        return error

    def hash_files(self) -> None:
        """Fill in the content hashes that writing did not give; the run does not wait."""
        with self._hashing, sealed.listening(self.stop_if_cancelled):
            try:
                self.inputs = [
                    replace(one, sha256=one.sha256 or sha256_once(one.path, self.workspace.sha256))
                    for one in self.inputs
                ]
                for output in self.outputs.values():
                    for part in output.files().values():
                        if part.path not in self.digests:
                            self.digests[part.path] = self.workspace.sha256(part.path)
            except (OSError, OutputError, JobCancelledError) as error:
                self.notes.append(f"A content hash is missing from the record: {error}.")

    def record(
        self,
        state: JobState = JobState.LOADING,
        times: RecordedTimes | None = None,
        error: RecordedError | None = None,
    ) -> RunRecord:
        """Return the record as it stands now."""
        rendered, choice = self.rendered, self.choice
        return replace(
            self._asked,
            state=state,
            runner=RecordedRunner(
                choice.name, choice.reason, self._secrets.hidden(self.context.provenance)
            ),
            inputs=tuple(self.inputs),
            outputs=tuple(
                part.recorded(name, element, self.digests.get(part.path))
                for name, output in self.outputs.items()
                for element, part in output.files().items()
            ),
            command=RecordedCommand(
                rendered.argv,
                rendered.script,
                rendered.environment,
                {self._asked.inside(path): text for path, text in rendered.files.items()},
            )
            if rendered
            else RecordedCommand(),
            times=times or RecordedTimes(),
            exit_code=self.exit_code,
            error=error,
            notes=tuple(self.notes),
        )

    @cached_property
    def _asked(self) -> RunRecord:
        """The part of the record that is known from the beginning."""
        request, tool = self.request, self.request.tool
        values, plain = leaves(tool.inputs, request.values), self._secrets.hidden(request.settings)
        return RunRecord(
            folder=self.workspace.root,
            ours=True,
            id=self.id,
            tool=RecordedTool(
                tool.id, tool.name, tool.version, tool.dialect, tool.uri, tool.digest
            ),
            parameters=plain,
            words=request.words(plain),
            hidden=tuple(v.name for v in values if isinstance(v.parameter, HiddenParameter)),
            extent=request.extent,
            user=self._user,
            host=RecordedHost.here(),
            log=self.workspace.log,
        )
