"""What a runner service gets: a Tool bound to the values of one job, and the job's context.

`Process` offers what bioimageit_core's own ``Tool`` offers (names from its public contract), so
services written for it find what they read. All beyond that travels on ``process.context``.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from napari_tool_runner.data_classes import dataclass, field
from napari_tool_runner.tools.dialect import DataFile, data_files
from napari_tool_runner.tools.model import (
    BooleanParameter,
    ContainerRequirement,
    DataParameter,
    PackageRequirement,
    SelectParameter,
    Tool,
)
from napari_tool_runner.tools.tree import leaves

if TYPE_CHECKING:
    from napari_tool_runner.config_layers import Config
    from napari_tool_runner.tools.dialect import PlannedOutput
    from napari_tool_runner.tools.model import Requirement
    from napari_tool_runner.tools.tree import BoundValues, Leaf

__all__ = [
    "CancelToken",
    "Event",
    "ExecContext",
    "Mount",
    "OutputLine",
    "Process",
    "ProcessParameter",
    "Progress",
    "Resources",
    "SelectInfo",
    "Session",
    "as_process",
    "context_of",
]


@dataclass(frozen=True, slots=True)
class OutputLine:
    """A line that the program (or the preparation) wrote, without its line end.

    `transient`: a state of a progress bar (it ended with a carriage return), which the
    next line of the same stream replaces; a log may leave it out.
    """

    text: str
    stream: Literal["stdout", "stderr", "runner"] = "stdout"
    transient: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a stage stands. `total` is None while the end is not known.

    `unit` is ``bytes`` for downloads (a form shows MB), else empty.
    """

    phase: str
    done: float = 0
    total: float | None = None
    unit: Literal["", "bytes"] = ""


Event: TypeAlias = OutputLine | Progress


@dataclass(slots=True, eq=False)
class CancelToken:
    """A request to stop, shared by the job and its service. Thread-safe.

    A service either polls `requested`, or registers a callback that ends its work;
    callbacks run once, in the thread that cancels, and must not block.
    """

    requested: bool = field(default=False, init=False)
    _event: threading.Event = field(default_factory=threading.Event, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    # no signal: this happens once, and who comes after it is called all the same
    _callbacks: list[Callable[[], None]] = field(default_factory=list, init=False)

    def cancel(self) -> None:
        """Request the stop; idempotent."""
        with self._lock:
            if self.requested:
                return
            self._event.set()
            self.requested, callbacks, self._callbacks = True, self._callbacks, []
        for callback in callbacks:
            callback()

    def on_cancel(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` at cancel (at once if it was); returns what removes it."""
        with self._lock:
            if not self.requested:
                self._callbacks.append(callback)
                return lambda: self._remove(callback)
        callback()
        return lambda: None

    def wait(self, timeout: float) -> bool:
        """Sleep up to `timeout` seconds; True as soon as cancel was requested."""
        return self._event.wait(timeout)

    def _remove(self, callback: Callable[[], None]) -> None:
        with self._lock:
            if callback in self._callbacks:
                self._callbacks.remove(callback)


@dataclass(frozen=True, slots=True)
class Mount:
    """A host path that the program may see; `source`: what is shown there, if another."""

    path: Path
    read_only: bool = True
    source: Path | None = None


@dataclass(frozen=True, slots=True)
class Resources:
    """What a job asks for; None: no limit asked. `gpus`: -1 means all."""

    cpus: float | None = None
    memory_bytes: int | None = None
    gpus: int = 0


@dataclass(slots=True)
class ExecContext:
    """How to run this job's program; hangs on ``process.context``.

    Parameters
    ----------
    work_dir : Path
        Working directory of the program.
    environment : mapping
        Variables added to the service's own environment.
    mounts : sequence of Mount
        Everything that the command names on the host.
    report : callable
        Gets every `Event`; may be called from any thread, returns quickly.
    timeout : float or None
        Seconds for one `exec`; then the program is ended and JobTimeoutError raised.
    temp_dir, home_dir : Path
        ``TMPDIR`` and ``HOME`` of the program.
    root : Path or None
        The folder that holds all of the job that its program may see and write to. None for
        a process made by hand, which names no mounts and is not enclosed.
    named : sequence of Path
        Programs and data of this computer that the configuration names.
    config : Config or None
        The configuration of the job, for services of others.
    """

    work_dir: Path
    temp_dir: Path
    home_dir: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    mounts: Sequence[Mount] = ()
    resources: Resources = field(default_factory=Resources)
    network: bool = False
    timeout: float | None = None
    root: Path | None = None
    named: Sequence[Path] = ()
    cancel: CancelToken = field(default_factory=CancelToken)
    report: Callable[[Event], None] = lambda event: None
    config: Config | None = None
    provenance: dict[str, object] = field(default_factory=dict)
    """Filled by the service for the record: image digest, environment lock, …"""
    before_start: Callable[[], None] = lambda: None
    """A service calls it once `provenance` says what will run, and before any of that starts."""
    begun: Callable[[], None] = lambda: None
    """This when a program has been started: what reads its results is made ready meanwhile."""

    def say(self, text: str) -> None:
        """Write a line of ours into the log."""
        self.report(OutputLine(text, "runner"))


class Session(Protocol):
    """One job on a service, from when it is ready to its release."""

    def exec(self, args: list[str]) -> int:
        """Run `args` and return the exit code; lines go to the context's ``report``.

        Raises
        ------
        RunnerExecError
            The program could not be started, or was lost.
        JobCancelledError, JobTimeoutError
            After the whole process tree (or the process in the container) has ended.
        """


@dataclass(slots=True)
class SelectInfo:
    """Choices as two parallel lists: what a person reads, what the program gets."""

    names: list[str]
    values: list[str]

    def size(self) -> int:
        """Number of choices."""
        return len(self.names)


@dataclass(slots=True)
class ProcessParameter:
    """One input, parameter or output. Data values are absolute paths, as text."""

    name: str
    description: str
    value: str
    type: str
    is_data: bool
    io: Literal["param", "input", "output"]
    default_value: str = ""
    select_info: SelectInfo | None = None
    is_advanced: bool = False
    help: str = ""


class Process:
    """A `Tool` with the values of one job.

    Parameters
    ----------
    tool : Tool
    values : mapping, optional
        Bound values whose data leaves are `DataFile`s.
    outputs : sequence of PlannedOutput
    context : ExecContext, optional
        What our own services read; foreign services may ignore it.
    job_id : int
        Number of the job in this session, as bioimageit_core gives it.
    """

    def __init__(
        self,
        tool: Tool,
        values: BoundValues | None = None,
        outputs: Sequence[PlannedOutput] = (),
        context: ExecContext | None = None,
        job_id: int = 0,
    ) -> None:
        self.tool = tool
        self.context = context
        self.job_id = job_id
        self.id = tool.id
        self.name = tool.name
        self.version = tool.version
        self.description = tool.description
        self.command = tool.command
        self.help = tool.help
        self.categories = list(tool.categories)
        self.uri = tool.uri
        self.type = tool.type
        self.requirements = [_requirement(entry) for entry in tool.requirements]
        self.tests = list(tool.tests)
        self.sessions: dict[object, tuple[Session, ExitStack]] = {}
        """By service, what `RunnerService.set_up` holds until `tear_down`."""
        self.bind(values or {}, outputs)

    def bind(self, values: BoundValues, outputs: Sequence[PlannedOutput]) -> None:
        """Take other values and outputs: the next slice of the same job."""
        self.leaves = leaves(self.tool.inputs, values)
        self._planned = outputs
        for stale in ("inputs", "outputs", "data_paths"):
            self.__dict__.pop(stale, None)

    @cached_property
    def inputs(self) -> list[ProcessParameter]:
        """Inputs and parameters."""
        return [_input(leaf) for leaf in self.leaves]

    @cached_property
    def outputs(self) -> list[ProcessParameter]:
        """Outputs, with the paths to write."""
        return [
            ProcessParameter(
                name=planned.output.name,
                description=planned.output.label,
                value=str(planned.path),
                type=planned.format,
                is_data=True,
                io="output",
            )
            for planned in self._planned
        ]

    @cached_property
    def data_paths(self) -> tuple[Path, ...]:
        """Files and folders of all data inputs, those of lists and collections, too."""
        return tuple(file.path for leaf in self.leaves for file in data_files(leaf.value))

    def fullname(self) -> str:
        """Return ``name_vVERSION``."""
        return f"{self.name}_v{self.version}"

    def is_param(self, name: str) -> bool:
        """Say whether an input or parameter is called `name`."""
        return any(entry.name == name for entry in self.inputs)

    def container(self) -> dict[str, str] | None:
        """Return the first container requirement, None if there is none."""
        return next((one for one in self.requirements if one["origin"] == "container"), None)

    def param_size(self) -> int:
        """Number of parameters that are no data."""
        return sum(entry.io == "param" for entry in self.inputs)

    def inputs_size(self) -> int:
        """Number of data inputs."""
        return sum(entry.io == "input" for entry in self.inputs)

    def outputs_size(self) -> int:
        """Number of outputs."""
        return len(self.outputs)


def as_process(process: Process | Tool) -> Process:
    """Return `process`; a bare tool, as the tutorial's annotations name it, is wrapped."""
    return Process(process) if isinstance(process, Tool) else process


def context_of(process: Process) -> ExecContext:
    """Return the job's context; a process made by hand gets one.

    Its program works in the current folder, with temporary folders of its own, and its
    lines go where this program's go.
    """
    if process.context is None:
        folder = Path(tempfile.mkdtemp(prefix="napari-tool-runner-"))
        temp, home = folder / "tmp", folder / "home"
        process.context = ExecContext(Path.cwd(), temp, home, report=_write_line)
    return process.context


def _write_line(event: Event) -> None:
    if isinstance(event, OutputLine) and not event.transient:
        stream = sys.stdout if event.stream == "stdout" else sys.stderr
        stream.write(f"{event.text}\n")


def _requirement(entry: Requirement) -> dict[str, str]:
    if isinstance(entry, ContainerRequirement):
        return {"origin": "container", "type": entry.type, "uri": entry.image}
    found = {"origin": "package", "type": entry.type, "package": entry.asked, "init": ""}
    if isinstance(entry, PackageRequirement):
        found |= {"init": entry.init} | ({"env": entry.env} if entry.env else {})
    return found


def _input(leaf: Leaf) -> ProcessParameter:
    parameter, value = leaf.parameter, leaf.value
    is_data = isinstance(parameter, DataParameter)
    info = None
    if isinstance(parameter, SelectParameter):
        options = parameter.options
        info = SelectInfo([one.label for one in options], [one.value for one in options])
    file = value if isinstance(value, DataFile) else None
    return ProcessParameter(
        name=leaf.name,
        description=parameter.label,
        value=str(file.path) if file else _text(parameter, value),
        type=file.format if file else parameter.type,
        is_data=is_data,
        io="input" if is_data else "param",
        default_value=_text(parameter, getattr(parameter, "default", None)),
        select_info=info,
        is_advanced=parameter.advanced,
        help=parameter.help,
    )


def _text(parameter: object, value: object) -> str:
    if value is None:
        return ""
    if isinstance(parameter, BooleanParameter) and isinstance(value, bool):
        return parameter.true_value if value else parameter.false_value
    if isinstance(value, tuple | list):
        return ",".join(str(getattr(entry, "path", entry)) for entry in value)
    if isinstance(value, Mapping):
        return ",".join(f"{key}={entry}" for key, entry in value.items())
    return str(value)
