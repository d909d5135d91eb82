"""Whether an earlier run answers a call, and what is kept of a run for later ones.

What decides a result: the tool with its folder, the command that was rendered (the folder of the
job told apart), the content of each input, and what the service says of all else that the program
can read. A run of which some of that cannot be told is not answered, and nothing is kept of it.

What the service says may take it a second, once. So it is asked before a run only where something
is kept for the same question, and after it else: what changed since the run began spoils it then.
"""

from __future__ import annotations

import atexit
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import napari_tool_runner
from napari_tool_runner import sealed, settings
from napari_tool_runner.data_classes import dataclass, field, replace
from napari_tool_runner.errors import OutputError, ToolRunnerError
from napari_tool_runner.jobs.cache import SMALL, KeptFile, KeptOutput, KeptRun, result_cache
from napari_tool_runner.jobs.digests import known_digest, remember_digest, stamp_of
from napari_tool_runner.jobs.place import Place, Told
from napari_tool_runner.jobs.typed_json import to_json
from napari_tool_runner.names import real_path
from napari_tool_runner.plugins import CHANGED, WARM
from napari_tool_runner.tools import dialect_of
from napari_tool_runner.tools.dialect import CollectedFile, CollectedOutput, data_files
from napari_tool_runner.tools.own_folder import tool_places
from napari_tool_runner.tools.tree import chosen_places, leaves

if TYPE_CHECKING:
    from napari_tool_runner.jobs.record import RecordedInput
    from napari_tool_runner.jobs.request import Request
    from napari_tool_runner.plugins import ExecContext, RunnerService
    from napari_tool_runner.tools.dialect import JobPaths, RenderedCommand
    from napari_tool_runner.tools.tree import BoundValues

__all__ = ["Answers", "Call", "collected_then", "wants_answers"]

_logger = logging.getLogger(__name__)
_SEED = re.compile(r"(?:^|[|_-])(?:random_?)?(?:seed|state)$", re.IGNORECASE)
_IRRELEVANT = frozenset({"grace", "idle_timeout", "max_containers", "token"})
"""Of ``runner`` in the configuration: no result depends on it, or it is none of ours."""
_MADE = ("outputs", "work")
"""The folders of a job whose files are results: what lies elsewhere may be somebody's own."""
_JOB = "‹job›"
_LONGEST = 2**20
"""Characters of a command that are looked through."""
_WAIT, _MOMENT = 10.0, 0.05
_SETTLED = 60.0
"""Seconds after which a disk has what was written to a file, also through a map."""
_CLOCK_OF_FILES = 5
"""CLOCK_REALTIME_COARSE of Linux: what the times of files are taken from."""


def wants_answers(request: Request) -> bool:
    """Whether earlier runs may answer a request: it and the configuration say so."""
    return request.cache and result_cache(request.config).limit > 0


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a program, before it: what goes in, and what would be executed.

    `secret`: its command names a secret of the configuration.
    """

    values: BoundValues
    rendered: RenderedCommand
    paths: JobPaths
    inputs: Sequence[RecordedInput]
    parameters: Mapping[str, object]
    secret: bool


@dataclass(slots=True)
class _Input:
    """A file that goes in: what it is called, where it lies, its content if that is known.

    `stamp`: what stood for it before the program started, where the system tells changes.
    """

    name: tuple[str, str, str]
    path: Path
    sha256: str
    stamp: str = ""
    settled: bool = False


class Answers:
    """What earlier runs have for one job, and what they get from it."""

    def __init__(self, request: Request, context: ExecContext) -> None:
        config = request.config
        self._tool, self._config, self._context = request.tool, config, context
        self._cache = result_cache(config)
        self._asked: dict[str, object] | None = None
        self._inputs: list[_Input] = []
        self._made: tuple[Sequence[CollectedOutput], JobPaths] | None = None
        self._keeping, self._known_as, self._begun = _Keeping(), "", 0
        self._again: Callable[[], dict[str, object] | None] = lambda: None
        self._place = Place("", lambda: None)
        self._found: Told | None = None
        self._started = self._took = 0.0

    def ask(self, call: Call, service: RunnerService, name: str) -> Told | None:
        """Learn what decides the result of `call`; return what the service says of its place.

        None: that cannot be told, or not soon enough, or nothing is kept for such a call.
        """
        if not self._may_be_told(call):
            return None
        self._again = partial(self._question, call, name)
        argv = [*call.rendered.argv]
        told = partial(service.fingerprint, self._tool, self._context, argv)
        self._place = Place(name, told)
        try:
            self._asked = self._again()
            self._inputs = [*self._contents(call)] if self._asked else []
            key = self._key()
            if kept := _keeping.get(key):  # it ended this very moment
                kept.done.wait(_WAIT)
            if key and self._cache.holds(key):
                took = partial(self._cache.seconds, key)
                self._found = self._place.look_for(took, self._context)
        except (OSError, OutputError, ToolRunnerError):
            return None  # what is wrong is told by the run
        return self._found

    def find(self, top: Path) -> KeptRun | None:
        """Return the earlier run that answers, with its files below `top`; None: run it."""
        if self._found is None:
            return None
        return self._cache.find(self._key(), top, self._name_of(self._found))

    def begin(self) -> None:
        """Say that the program will start now: what changes later may not have been read."""
        if sys.platform == "linux":
            self._begun = time.clock_gettime_ns(_CLOCK_OF_FILES)
        self._started = time.monotonic()
        if self._asked is not None:
            self._place.look_ahead()

    def settle(self) -> None:
        """Before inputs are hashed: let the disk have all that was written to them."""
        for one in self._inputs:
            if one.stamp and not one.sha256 and one.path.is_file():
                sealed.settle_writes(one.path)

    def made(self, outputs: Sequence[CollectedOutput], paths: JobPaths) -> None:
        """Take what the program made, to be kept when the job has come to its end."""
        self._made, self._took = (outputs, paths), time.monotonic() - self._started
        self._place.stop_ahead()

    def end(self) -> None:
        """Say that the job is done and will be kept now: whoever asks the same waits for it."""
        if self._made is not None and self._asked is not None:
            _wait_at_exit()
            # of what is still hashed nobody knows the key
            self._known_as = self._key() or f"{id(self)}"
            _keeping[self._known_as] = self._keeping

    def keep(
        self, job: KeptRun, digests: Mapping[Path, str], inputs: Iterable[RecordedInput]
    ) -> None:
        """Keep what the job made, if all that decides it is known and stayed as it was.

        Parameters
        ----------
        job : KeptRun
            The job without its outputs.
        digests : mapping
            File of an output -> its content.
        inputs : iterable of RecordedInput
            As recorded, with the contents that were hashed meanwhile.
        """
        try:
            self._learn({real_path(one.path): one.sha256 or "" for one in inputs})
            warm = bool(job.provenance.get(WARM))  # imported earlier, of what lay there then
            same = not warm and self._made is not None and self._again() == self._asked
            if same and self._made is not None and (key := self._key()):
                place = self._place.look_later()
                if place is None or not self._is_where_it_ran(place, job):
                    return
                self._keeping.near.set()
                collected, paths = self._made
                outputs = _kept_outputs(collected, paths.top, digests)
                if outputs is not None:
                    whole = replace(
                        job, place=self._name_of(place), outputs=outputs, seconds=self._took
                    )
                    self._cache.keep(key, whole, paths.top)
        except (OSError, OutputError, ToolRunnerError) as error:
            _logger.warning("The results of job %s are not kept for later: %s", job.job, error)
        finally:
            self._keeping.near.set()
            self._keeping.done.set()
            if _keeping.get(self._known_as) is self._keeping:
                del _keeping[self._known_as]

    # -- what decides a result ---------------------------------------------------------------

    def _key(self) -> str:
        if self._asked is None or not all(one.sha256 for one in self._inputs):
            return ""
        contents = [[*one.name, one.sha256] for one in self._inputs]
        return self._cache.key({**self._asked, "inputs": contents})

    def _name_of(self, place: Told) -> str:
        told = {name: value for name, value in place.items() if name != CHANGED}
        return self._cache.key({"place": told})

    def _is_where_it_ran(self, place: Told, job: KeptRun) -> bool:
        """Whether nothing of a place, as it is told now, is newer than a run."""
        changed, ran = place.get(CHANGED, 0), job.provenance
        old = isinstance(changed, int) and (not changed or changed < self._begun)
        return old and all(place[name] == ran[name] for name in place.keys() & ran.keys())

    def _may_be_told(self, call: Call) -> bool:
        """Whether the same call makes the same result, and is nobody's secret.

        The network changes, so do weights that were fetched, and random numbers whose seed
        nobody chose.
        """
        tool = self._tool
        if not tool.repeatable or tool.weights or tool.id in self._config.value(settings.UNCACHED):
            return False
        chosen = not any(
            _SEED.search(name) and value in (None, "", -1)
            for name, value in call.parameters.items()
        )
        return chosen and not self._context.network and not call.secret

    def _question(self, call: Call, name: str) -> dict[str, object] | None:
        tool, rendered, config = self._tool, call.rendered, self._config
        top = str(call.paths.top)

        def plain(text: str) -> str:
            return text.replace(top, _JOB)

        files = {plain(str(path)): plain(text) for path, text in rendered.files.items()}
        argv, script = [*map(plain, rendered.argv)], plain(rendered.script)
        variables = {key: plain(value) for key, value in rendered.environment.items()}
        texts = [*argv, script, *files.values()]
        if sum(map(len, texts)) > _LONGEST:
            return None
        # an approved copy is called by its content, which the gate has looked at
        copy = Path(tool.copy).name if tool.copy else ""
        own = [*tool_places(tool)[0], *dialect_of(tool).files(tool)]
        chosen = chosen_places(leaves(tool.inputs, call.values))
        places = {str(path): sealed.state_of(path) for path in (*(() if copy else own), *chosen)}
        if not all(places.values()):
            return None
        resources = self._context.resources
        return {
            "by": napari_tool_runner.__version__,
            "tool": [tool.id, tool.version, tool.dialect, tool.digest, copy],
            "service": name,
            "runner": {key: v for key, v in config.runner.items() if key not in _IRRELEVANT},
            "resources": [resources.cpus, resources.memory_bytes, resources.gpus],
            "command": [argv, script, files, variables],
            "outputs": [
                [one.output.name, plain(str(one.path)), one.format] for one in rendered.outputs
            ],
            "parameters": call.parameters,
            "places": places,
        }

    def _contents(self, call: Call) -> Iterable[_Input]:
        """Yield the files that go in; a large one whose content is not known has none."""
        told = {one.path: one.sha256 or "" for one in call.inputs}
        values = [leaf.value for leaf in leaves(self._tool.inputs, call.values)]
        for file in data_files(values):
            path = real_path(file.path)
            name = (os.path.relpath(file.path, call.paths.top), file.name, file.format)
            digest = told.get(path) or told.get(file.path, "")
            if not digest and sealed.usage(path).content <= SMALL:
                digest = sealed.content_sha256(path)
            own = path.is_relative_to(call.paths.top)  # it is written anew each time
            ours = path.is_relative_to(call.paths.top.parent)  # and nobody else writes to it
            stamp = "" if digest or own else stamp_of(path)
            digest = digest or known_digest(path, stamp)
            settled = ours or path.stat().st_mtime < time.time() - _SETTLED
            yield _Input(name, path, digest, stamp, settled)

    def _learn(self, digests: Mapping[Path, str]) -> None:
        """Remember the contents of large inputs that were hashed while the program ran.

        The program had what was hashed, where nobody could have written through a map meanwhile
        without being seen; else only the next run knows what it is given.
        """
        for one in self._inputs:
            digest = digests.get(one.path, "")
            if one.sha256 or not digest or not one.stamp:
                continue
            with suppress(OSError):
                if stamp_of(one.path) == one.stamp:
                    remember_digest(one.path, one.stamp, digest)
                    one.sha256 = digest if one.settled else ""


@dataclass(frozen=True, slots=True)
class _Keeping:
    """Of a job that is kept: `near` when all that decides it is known, `done` at the end."""

    near: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)


_keeping: dict[str, _Keeping] = {}
"""Key, or another name -> a job that has ended, until it is kept."""


@cache
def _wait_at_exit() -> None:
    """Let what is being kept be whole: a command line ends as soon as its job has.

    It does not wait until a service knows its place: that may take longer than the run.
    """

    def wait() -> None:
        for kept in list(_keeping.values()):
            if kept.near.wait(_MOMENT):
                kept.done.wait(_WAIT)

    getattr(threading, "_register_atexit", atexit.register)(wait)


def _kept_outputs(
    collected: Sequence[CollectedOutput], top: Path, digests: Mapping[Path, str]
) -> tuple[KeptOutput, ...] | None:
    """Return what is kept of outputs; None where one is an input, or has files beside it."""
    outputs: list[KeptOutput] = []
    for one in collected:
        files: list[KeptFile] = []
        for file in one.files:
            digest = digests.get(file.path, "")
            made = any(file.path.is_relative_to(top / one) for one in _MADE)
            if not digest or not made or "extra_files_path" in file.metadata:
                return None
            path = file.path.relative_to(top).as_posix()
            told = to_json(file.metadata)
            assert isinstance(told, dict)
            files.append(KeptFile(path, file.format, file.name, told, digest))
        outputs.append(KeptOutput(one.output.name, tuple(files)))
    return tuple(outputs)


def collected_then(kept: KeptRun, rendered: RenderedCommand, top: Path) -> list[CollectedOutput]:
    """Return the outputs of an earlier run as `Dialect.collect` returned them then."""
    planned = {one.output.name: one.output for one in rendered.outputs}
    return [
        CollectedOutput(
            planned[one.name],
            tuple(
                CollectedFile(top / file.path, file.format, file.name, _told(file.metadata))
                for file in one.files
            ),
        )
        for one in kept.outputs
    ]


def _told(metadata: Mapping[str, object]) -> dict[str, object]:
    """Return what JSON made lists of as the tuples that they were."""
    return {name: tuple(v) if isinstance(v, list) else v for name, v in metadata.items()}
