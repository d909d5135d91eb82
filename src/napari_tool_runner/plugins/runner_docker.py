"""DOCKER: the tool runs in a container of its image, on Docker or Podman.

A session finds the engine, pulls the image when it is missing and takes a warm container;
its `exec` runs programs in it; its end gives it back.
"""

from __future__ import annotations

import atexit
import getpass
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from napari_tool_runner import settings
from napari_tool_runner.errors import (
    JobCancelledError,
    PreparationError,
    RunnerExecError,
    RunnerUnavailableError,
    ToolRunnerError,
)
from napari_tool_runner.plugins.contract import (
    Availability,
    Origin,
    Place,
    Plan,
    RunnerService,
    Stored,
)
from napari_tool_runner.plugins.docker.biocontainers import (
    biocontainer_image,
    find_biocontainer,
    named_image,
    present_biocontainer,
)
from napari_tool_runner.plugins.docker.client import (
    ENGINE_ERRORS,
    PROBE_TIMEOUT,
    Engine,
    connect,
    endpoints,
)
from napari_tool_runner.plugins.docker.containers import sweep
from napari_tool_runner.plugins.docker.exec import ContainerGoneError, run_alone, run_in
from napari_tool_runner.plugins.docker.handing import handing_in
from napari_tool_runner.plugins.docker.images import Reference, find_image, parse_reference
from napari_tool_runner.plugins.docker.pool import WarmPool
from napari_tool_runner.plugins.docker.pull import ensure_image, plan_image
from napari_tool_runner.plugins.docker.spec import Spec, make_spec
from napari_tool_runner.plugins.docker.storage import stored_things
from napari_tool_runner.plugins.docker.words import not_answered
from napari_tool_runner.plugins.process import ExecContext, Session, context_of
from napari_tool_runner.plugins.programs.environment import program_environment
from napari_tool_runner.plugins.runners_factory import ServiceBuilder

if TYPE_CHECKING:
    from napari_tool_runner.plugins.docker.images import Image
    from napari_tool_runner.plugins.docker.kept import WarmContainer
    from napari_tool_runner.plugins.process import Process
    from napari_tool_runner.tools.model import Tool

__all__ = ["DockerRunnerService", "DockerRunnerServiceBuilder"]


class DockerRunnerService(RunnerService):
    """Run tools in containers, one warm container a job at a time."""

    service_name = "DOCKER"

    def __init__(self, config: Mapping[str, object] | None = None) -> None:
        super().__init__(config)
        self._lock = threading.Lock()
        self._owner = os.getpid()
        self._engine: Engine | None = None
        self.pool = WarmPool()
        self._swept: set[str] = set()
        self._biocontainers: dict[tuple[str, str, str], Reference] = {}
        self.configure(self.config)

    def configure(self, config: Mapping[str, object]) -> None:
        """Take a new ``runner`` section."""
        super().configure(config)
        self.pool.idle_timeout = settings.IDLE_TIMEOUT.of(self.config)
        self.pool.limit = settings.MAX_CONTAINERS.of(self.config)

    @contextmanager
    def session(self, process: Process) -> Iterator[Session]:
        """Pull the image if it is missing and take a warm container for the job.

        It ends with the session; RunnerExecError is raised where the engine does not end it.

        Raises
        ------
        PreparationError, RunnerUnavailableError, JobCancelledError
        """
        try:
            session = self._prepare(process)
        except ENGINE_ERRORS as error:
            raise not_answered(error) from error
        try:
            yield session
        except BaseException:
            with suppress(RunnerExecError):  # what ended the job says more
                session.release()
            raise
        session.release()

    def _prepare(self, process: Process) -> _DockerSession:
        context, config = context_of(process), self.config
        engine = self.connect()
        reference = self._reference(process.tool, engine, config)
        context.provenance["engine"] = engine.name
        context.provenance["image"] = str(reference)
        platform = settings.PLATFORM.of(config) or None
        image = ensure_image(engine, reference, context, platform)
        context.provenance.update(_image_told(image))
        if remark := image.emulation_remark(platform or engine.platform):
            context.say(remark)
        context.before_start()
        return _DockerSession(self, engine, image, process)

    @property
    def lends(self) -> bool:
        """Originals are mounted read-only."""
        return True

    def check(self) -> Availability:
        """Say whether an engine answers; takes some seconds at most."""
        try:
            engine = self._connected(PROBE_TIMEOUT)
        except RunnerUnavailableError as error:
            return Availability(False, str(error))
        return Availability(
            True,
            f"{engine.name} at {engine.endpoint.place} ({engine.endpoint.source}).",
            {"engine": engine.name, "host": engine.endpoint.place},
        )

    def supports(self, tool: Tool) -> Availability:
        """Say whether `tool` names an image, or packages for which there may be one."""
        try:
            named = named_image(tool)
            if named is not None:
                return Availability(True, f"Image {named}.")
            repository, version = biocontainer_image(tool, self.config)
        except ToolRunnerError as error:
            return Availability(False, str(error))
        return Availability(
            True,
            f"The tool names packages only; their BioContainers image {repository}"
            f"{':' if version else ''}{version} is used, if there is one.",
        )

    def is_ready(self, tool: Tool) -> bool | None:
        """Say whether the engine has the image."""
        engine = self.connect()
        image = named_image(tool) or present_biocontainer(engine, tool, self.config)
        return image is not None and find_image(engine, image) is not None

    def plan(self, tool: Tool) -> Plan:
        """Pre-flight: the image and its size, free disk, platform, GPU."""
        try:
            named = named_image(tool)
            engine = self.connect()
            reference = named or self._reference(tool, engine, self.config)
            return plan_image(engine, reference, self.config)
        except JobCancelledError:
            raise
        except ToolRunnerError as error:
            return Plan(problems=(str(error),))
        except ENGINE_ERRORS as error:
            return Plan(problems=(str(not_answered(error)),))

    def place(self, tool: Tool) -> Place:
        """The image and its registry, and what a container is allowed."""
        named = named_image(tool)
        if named is None:
            repository, version = biocontainer_image(tool, self.config)
            named = parse_reference(f"{repository}:{version}" if version else repository)
        network = tool.network or settings.NETWORK.of(self.config)
        return Place(
            self.service_name,
            (Origin("registry", f"{named.registry}/{named.path}", str(named)),),
            rights="In a container: it sees its own job, the inputs and the tool's folder (both "
            f"read-only), has {'the network' if network else 'no network'}, no capabilities, and "
            "your user's number.",
        )

    def stored(self) -> list[Stored]:
        """Return images that were pulled for tools, and containers that nobody uses.

        Raises
        ------
        RunnerUnavailableError
        """
        engine = self.connect()
        return stored_things(engine, self.pool.busy())

    def fingerprint(
        self, tool: Tool, context: ExecContext, args: Sequence[str]
    ) -> Mapping[str, object] | None:
        """Return the image, if the engine has it: all that a container holds."""
        engine, platform = self.connect(), settings.PLATFORM.of(self.config)
        image = find_image(engine, self._reference(tool, engine, self.config))
        if image is None or (platform and not platform.startswith(image.platform)):
            return None
        return {
            **_image_told(image),
            "engine": engine.name,
            "through": settings.ENTRYPOINT.of(self.config),
        }

    def close(self) -> None:
        """Remove every container of this session."""
        if os.getpid() != self._owner:
            # a fork has no containers of its own
            return
        self.pool.close()
        with self._lock:
            engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()

    def connect(self) -> Engine:
        """Return a connected engine, rid of what dead sessions left on it."""
        engine = self._connected()
        with self._lock:
            first = engine.id not in self._swept
            if not self._swept:
                atexit.register(self.close)
            self._swept.add(engine.id)
        if first:
            sweep(engine)
        return engine

    def _connected(self, timeout: float | None = None) -> Engine:
        """Return a connected engine; connected anew after a restart."""
        with self._lock:
            engine = self._engine
        # the environment and the docker context may name another one meanwhile
        wanted = engine is not None and engine.endpoint in endpoints(self.config)
        if engine is not None and wanted and engine.alive(timeout):
            return engine
        fresh = connect(self.config)
        with self._lock:
            self._engine = fresh
        return fresh

    def _reference(self, tool: Tool, engine: Engine, config: Mapping[str, object]) -> Reference:
        named = named_image(tool)
        if named is not None:
            return named
        key = (engine.id, *biocontainer_image(tool, config))
        if key not in self._biocontainers:
            self._biocontainers[key] = find_biocontainer(engine, tool, config)
        return self._biocontainers[key]


def _image_told(image: Image) -> dict[str, object]:
    return {"image": str(image.reference), "image_id": image.id, "image_digest": image.digest}


DockerRunnerServiceBuilder = partial(ServiceBuilder, __name__, DockerRunnerService.__name__)
"""Makes a builder, which makes one `DockerRunnerService` and returns it for ever."""


class _DockerSession:
    """What one job holds: an image, and a warm container (None: the image cannot be kept so)."""

    def __init__(
        self, service: DockerRunnerService, engine: Engine, image: Image, process: Process
    ) -> None:
        self._service = service
        self._engine = engine
        self._image = image
        self._process = process
        self._context = context_of(process)
        self._config = service.config
        self._inputs = process.data_paths
        self._spec = self._wanted()
        self._warm = service.pool.acquire(engine, self._spec)

    def exec(self, args: list[str]) -> int:
        pool, context = self._service.pool, self._context
        argv = self._argv([str(arg) for arg in args])
        environment = self._environment()
        grace = settings.GRACE.of(self._config)
        if context.cancel.requested:
            text = "The job was cancelled while it was made ready; its program had not begun."
            raise JobCancelledError(text)
        try:
            self._follow_inputs()
            for attempts_left in (2, 1, 0):
                if self._warm is not None and not pool.serves(self._warm):
                    self._warm = pool.acquire(self._engine, self._spec)
                if self._warm is None:
                    break
                try:
                    code = self._run_in(self._warm, argv, environment)
                except ContainerGoneError:
                    # nothing ran yet, so a new container may take its place
                    pool.gone(self._warm)
                    if not attempts_left:
                        raise
                    self._engine = self._service.connect()
                    self._warm = pool.acquire(self._engine, self._spec)
                else:
                    if code is not None:
                        return code
        except PreparationError as error:
            raise RunnerExecError(error.message, hint=error.hint) from error
        return run_alone(pool, self._engine, self._spec, argv, context, environment, grace=grace)

    def _run_in(
        self, warm: WarmContainer, argv: list[str], environment: dict[str, str]
    ) -> int | None:
        """Run a program in a container; None: it did nothing any more, and is to start cold."""
        pool, context, grace = self._service.pool, self._context, settings.GRACE.of(self._config)
        stuck = False
        handing = handing_in(
            warm,
            self._image,
            self._process.tool,
            argv,
            context,
            self._config,
            environment,
            partial(pool.discard, warm),
        )
        try:
            with handing as how:
                try:
                    heard = how.heard(context)
                    return run_in(pool, warm, how.args, heard, how.environment, grace=grace)
                finally:
                    stuck = how.stuck
        except RunnerExecError:
            if not stuck:
                raise
            pool.end(warm)
            return None

    def release(self) -> None:
        """Give the container back: that of a job ends.

        Raises
        ------
        RunnerExecError
            The engine does not end it.
        """
        warm, self._warm = self._warm, None
        if warm is not None:
            self._service.pool.release(warm)

    def _wanted(self) -> Spec:
        return make_spec(self._engine, self._image, self._context, self._config, self._inputs)

    def _follow_inputs(self) -> None:
        """Change the container when the inputs have changed (next slice)."""
        if self._process.data_paths == self._inputs:
            return
        self._inputs = self._process.data_paths
        spec = self._wanted()
        if not self._spec.covers(spec):
            self.release()
            self._spec = spec
            self._warm = self._service.pool.acquire(self._engine, spec)

    def _argv(self, args: list[str]) -> list[str]:
        """Put the image's entry point in front where the command names no program."""
        image = self._image
        through = settings.ENTRYPOINT.of(self._config)
        if args and not args[0].startswith("-") and not through:
            return args
        argv = [*image.entrypoint, *(args or image.command)]
        if not image.entrypoint and (not argv or argv[0].startswith("-")):
            raise RunnerExecError(
                f"The command names no program, and the image {image.reference} has no entry "
                "point to run.",
                hint="Put the program first in the command of the tool’s descriptor.",
            )
        return argv

    def _environment(self) -> dict[str, str]:
        base = {"HOME": str(self._context.home_dir)}
        try:
            # programs ask who they are, and the image does not know the caller
            base["USER"] = base["LOGNAME"] = getpass.getuser()
        except (KeyError, OSError, ImportError):
            base["USER"] = base["LOGNAME"] = "user"
        if not {"LANG", "LC_ALL"} & set(self._image.environment):
            # else names of files beyond ASCII break in some programs
            base["LANG"] = "C.UTF-8"
        return program_environment(base, self._context)
