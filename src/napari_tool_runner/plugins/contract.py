"""What a runner service is, and what our own services get beyond the tutorial.

The tutorial's contract (three methods, a builder, a factory) is kept word for word:
a service needs no base class. `RunnerService` adds in one place what the tutorial
lacks. The additions travel on ``process.context``, so the signatures stay the same.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from napari_tool_runner.plugins.process import Process
    from napari_tool_runner.tools.model import Tool

__all__ = [
    "Availability",
    "CancelToken",
    "Event",
    "ExecContext",
    "Fetch",
    "Mount",
    "OutputLine",
    "Plan",
    "Progress",
    "Resources",
    "RunnerService",
    "Stored",
    "TutorialService",
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


class CancelToken:
    """A request to stop, shared by the job and its service. Thread-safe.

    A service either polls `requested`, or registers a callback that ends its work;
    callbacks run once, in the thread that cancels, and must not block.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []

    @property
    def requested(self) -> bool:
        """Whether cancel was called."""
        return self._event.is_set()

    def cancel(self) -> None:
        """Request the stop; idempotent."""
        with self._lock:
            if self._event.is_set():
                return
            self._event.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def on_cancel(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` at cancel (at once if it was); returns what removes it."""
        with self._lock:
            if not self._event.is_set():
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
    """A host folder or file that the program may see, at the same path."""

    path: Path
    read_only: bool = True


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
        ``TMPDIR`` and ``HOME`` for services that give the program its own.
    """

    work_dir: Path
    temp_dir: Path
    home_dir: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    mounts: Sequence[Mount] = ()
    resources: Resources = field(default_factory=Resources)
    network: bool = False
    timeout: float | None = None
    cancel: CancelToken = field(default_factory=CancelToken)
    report: Callable[[Event], None] = lambda event: None
    provenance: dict[str, object] = field(default_factory=dict)
    """Filled by the service for the record: image digest, environment lock, …"""


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether a service works here. `message`: one plain sentence, with what to do."""

    ok: bool
    message: str = ""
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fetch:
    """Something that a run would download or build first. `size`: bytes, if known."""

    what: str
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Pre-flight of a tool on a service, in plain words.

    Parameters
    ----------
    fetches : tuple of Fetch
        What is missing and would be fetched; empty: ready.
    problems : tuple of str
        What keeps the run from starting; each says what to do.
    remarks : tuple of str
        What is good to know (free disk, platform, GPU).
    """

    fetches: tuple[Fetch, ...] = ()
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether a run could start at once."""
        return not self.fetches and not self.problems


@dataclass(frozen=True, slots=True)
class Stored:
    """Something that a service keeps on disk and that can be had again.

    Parameters
    ----------
    kind : str
        ``environment``, ``container``, ``image``, ``cache``.
    name : str
    size : int
        Bytes.
    remove : callable
        Deletes it; raises RunnerError when that is not possible (it is in use).
    """

    kind: str
    name: str
    size: int
    remove: Callable[[], None] = field(repr=False, compare=False)


class TutorialService(Protocol):
    """A service exactly as the tutorial writes it (no base class, no context)."""

    def set_up(self, process: Process) -> object:
        """Initialise the runner."""

    def exec(self, process: Process, args: list[str]) -> object:
        """Execute a process."""

    def tear_down(self, process: Process) -> object:
        """Clean the runner."""


class RunnerService:
    """Base of the services that ship with this package.

    ``set_up`` is called once per job, ``exec`` once or many times, ``tear_down``
    always. Subclasses override what they need. One instance serves all jobs, from
    several threads at once.

    Parameters
    ----------
    config : mapping
        The ``runner`` section of config.json.
    """

    service_name = ""
    copies_below = 0
    """Input files of fewer bytes are copied into the job's folder, not linked: a link to
    an original may need a container of its own."""

    def __init__(self, config: Mapping[str, object] | None = None) -> None:
        self.config: Mapping[str, object] = dict(config or {})

    def configure(self, config: Mapping[str, object]) -> None:
        """Take a new ``runner`` section; called by the builder on every `get`."""
        self.config = dict(config)

    def set_up(self, process: Process) -> None:
        """Prepare what `process` needs (environment, image, container).

        Raises
        ------
        PreparationError, RunnerUnavailableError, JobCancelledError
        """

    def exec(self, process: Process, args: list[str]) -> int:
        """Run `args` and return the exit code; lines go to ``process.context.report``.

        Raises
        ------
        RunnerExecError
            The program could not be started, or was lost.
        JobCancelledError, JobTimeoutError
            After the whole process tree (or the process in the container) has ended.
        """
        raise NotImplementedError

    def tear_down(self, process: Process) -> None:
        """Release what `set_up` took for this job; never raises."""

    def check(self) -> Availability:
        """Say whether the service works on this computer. Quick; no side effects."""
        return Availability(True)

    def supports(self, tool: Tool) -> Availability:
        """Say whether this service can run `tool` (its requirements), with why not."""
        return Availability(True)

    def plan(self, tool: Tool) -> Plan:
        """Pre-flight: what a run of `tool` would fetch, and what is in the way."""
        return Plan()

    def stored(self) -> Sequence[Stored]:
        """Return what the service keeps on disk between jobs, for `clean`."""
        return ()

    def close(self) -> None:
        """End everything that outlives a job (warm containers); called at exit."""
