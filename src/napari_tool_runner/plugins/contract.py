"""What a runner service is, and what our own services get beyond the tutorial.

The tutorial's contract (three methods, a builder, a factory) is kept word for word:
a service needs no base class. `RunnerService` adds in one place what the tutorial
lacks. The additions travel on ``process.context``, so the signatures stay the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, ClassVar, Literal

from napari_tool_runner.data_classes import dataclass, field
from napari_tool_runner.names import size_text
from napari_tool_runner.plugins.process import (
    CancelToken,
    Event,
    ExecContext,
    Mount,
    OutputLine,
    Process,
    Progress,
    Resources,
    Session,
    as_process,
)
from napari_tool_runner.tools.model import ContainerRequirement

if TYPE_CHECKING:
    from napari_tool_runner.tools.model import Tool

# what travels on the context is part of the contract: services of others take it from here
__all__ = [
    "CHANGED",
    "OF_PLUGIN",
    "WARM",
    "Availability",
    "CancelToken",
    "Event",
    "ExecContext",
    "Fetch",
    "Mount",
    "Origin",
    "OutputLine",
    "Place",
    "Plan",
    "Progress",
    "Resources",
    "RunnerService",
    "Session",
    "Stored",
]


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

    @property
    def text(self) -> str:
        """What it is, with its size where that is known."""
        return self.what if self.size is None else f"{self.what} ({size_text(self.size)})"


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
class Origin:
    """Where something comes from that a tool needs.

    Parameters
    ----------
    kind : str
        ``registry`` (of images), ``channel`` (of conda packages), ``index`` (of others).
    place : str
        Registry and namespace, address or name.
    what : str
        The image, or the packages.
    """

    kind: Literal["registry", "channel", "index"]
    place: str
    what: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tool would run, as far as can be told without asking anybody.

    Parameters
    ----------
    service : str
        The service that runs it in the end.
    origins : tuple of Origin
    commands : tuple of str
        Lines that the descriptor wants to be run once, when its environment is made.
    rights : str
        What its programs see and may do, in sentences.
    """

    service: str
    origins: tuple[Origin, ...] = ()
    commands: tuple[str, ...] = ()
    rights: str = "What its programs may do is up to this service, which is of others."


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
    remove: Callable[[], object] = field(repr=False, compare=False)


class RunnerService:
    """Base of the services that ship with this package.

    A service implements `session`, or the tutorial's three methods (at least `exec`): each
    way is made of the other, so every service can be called in both. One instance serves
    all jobs, from several threads at once; what is one job's belongs to its session.

    Parameters
    ----------
    config : mapping
        The ``runner`` section of config.json.
    """

    service_name = ""
    _own_session: ClassVar[
        Callable[[RunnerService, Process], AbstractContextManager[Session]] | None
    ] = None

    def __init__(self, config: Mapping[str, object] | None = None) -> None:
        self.config: Mapping[str, object] = dict(config or {})

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "session" in vars(cls):
            cls._own_session = vars(cls)["session"]
        elif {"set_up", "exec", "tear_down"} & vars(cls).keys():
            # the sessions of a class below must not go past these
            cls.session = RunnerService.session  # type: ignore[method-assign]

    def configure(self, config: Mapping[str, object]) -> None:
        """Take a new ``runner`` section; called by the builder on every `get`."""
        self.config = dict(config)

    def session(self, process: Process) -> AbstractContextManager[Session]:
        """Return the session of a job: entering it prepares what `process` needs.

        Leaving it, and failing to enter it, releases what was taken (the environment, the
        container).

        Raises
        ------
        PreparationError, RunnerUnavailableError, JobCancelledError
            When it is entered.
        """
        from napari_tool_runner.plugins.foreign.sessions import three_calls

        return three_calls(self, process)

    def set_up(self, process: Process | Tool) -> None:
        """Enter a session, which `process` keeps until `tear_down`; raises as `session`.

        A bare tool, as the tutorial's annotations name it, keeps nothing: what it needs is
        made ready, and each `exec` has a session of its own.
        """
        enter = type(self)._own_session
        if enter is None:
            return
        RunnerService.tear_down(self, process)
        with ExitStack() as stack:
            session = stack.enter_context(enter(self, as_process(process)))
            if isinstance(process, Process):
                process.sessions[self] = session, stack.pop_all()

    def exec(self, process: Process | Tool, args: list[str]) -> int:
        """Run `args` in the session that `set_up` entered, else in one of its own.

        Raises as `Session.exec`.
        """
        enter = type(self)._own_session
        if enter is None:
            raise NotImplementedError(f"{type(self).__name__} has neither session nor exec.")
        if isinstance(process, Process) and self in process.sessions:
            return process.sessions[self][0].exec(args)
        with enter(self, as_process(process)) as session:
            return session.exec(args)

    def tear_down(self, process: Process | Tool) -> None:
        """Leave the session that `set_up` entered, if there is one."""
        if isinstance(process, Process) and self in process.sessions:
            process.sessions.pop(self)[1].close()

    @property
    def lends(self) -> bool:
        """Whether its programs see the originals of inputs as read-only mounts.

        Where not, they get copies, and the originals are compared after the run.
        """
        return False

    def check(self) -> Availability:
        """Say whether the service works on this computer. Quick; no side effects."""
        return Availability(True)

    def supports(self, tool: Tool) -> Availability:
        """Say whether this service can run `tool` (its requirements), with why not."""
        return Availability(True)

    def plan(self, tool: Tool) -> Plan:
        """Pre-flight: what a run of `tool` would fetch, and what is in the way."""
        return Plan()

    def is_ready(self, tool: Tool) -> bool | None:
        """Say whether all that `tool` needs is here; None: it is not known.

        For whoever only looks at a list of tools: it solves nothing and asks no network.
        """
        return None

    def place(self, tool: Tool) -> Place:
        """Say where and from what `tool` would run. Asks nobody; raises ToolRunnerError."""
        images = [e.image for e in tool.requirements if isinstance(e, ContainerRequirement)]
        origins = (
            Origin("registry", image.removeprefix("docker://").removeprefix("oras://"), image)
            for image in images
        )
        return Place(self.service_name or type(self).__name__, tuple(origins))

    def fingerprint(
        self, tool: Tool, context: ExecContext, args: Sequence[str]
    ) -> Mapping[str, object] | None:
        """Return what decides the results of a command here besides the command itself.

        In JSON types. None: that is not known, or not yet; then no earlier run answers for this
        one. What `provenance` tells, too, is in it by the same name: so that the gate can be
        asked of an image, and what ran be compared. Asked before a run where an earlier one may
        answer, and after each that may answer later ones; it may take a second, once.

        Parameters
        ----------
        args : sequence of str
            The words of the command.

        Returns
        -------
        mapping or None
            `CHANGED`, if it is in it, is when something of that last changed, in ns since 1970:
            a run that was begun before answers nobody.
        """
        return None

    def stored(self) -> Sequence[Stored]:
        """Return what the service keeps on disk between jobs, for `clean`."""
        return ()

    def close(self) -> None:
        """End everything that outlives a job (warm containers); called at exit."""


OF_PLUGIN = " of a plugin"
"""What follows the name of a service that ships, where a plugin has taken it."""

CHANGED = "changed"
"""What a fingerprint calls the time of its last change."""

WARM = "warm"
"""What provenance calls whether a program was forked from a process that had imported."""
