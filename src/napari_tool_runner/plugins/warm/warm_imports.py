"""Packages that are imported ahead, and what of that does not outlive a fork.

It lies beside ``server.py``: with the standard library of any Python from 3.8 on. A program is to
find what it would have found if it had imported them itself. So what their import did besides is
looked for, and where it cannot be handed on, they are not imported ahead.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import importlib.machinery
import os
import re
import resource
import shutil
import signal
import sys
import time
import types
from collections.abc import Callable, Iterator

from warm_asked import Asked, Words  # type: ignore[import-not-found]
from warm_chance import Seeds, is_constant, kinds_of_chance, shared_memory, usual_chance  # type: ignore[import-not-found]
from warm_steps import take, top_of, unlike  # type: ignore[import-not-found]

_POOLS = re.compile(r"polars|tokio|ts_pool|rayon|grpc")
_DEVICES = ("/dev/nvidia", "/dev/kfd", "/dev/dri/")
_VOLATILE = ("/proc/", "/dev/", "/sys/")
_OF_STREAMS = ("encoding", "errors", "line_buffering", "write_through")
_FIRST = ("threading", "random")  # a thread has noted stderr; its state is looked at
_MARK = "NAPARI_TOOL_RUNNER_RUN"
_DEEPEST = 6


class Refused(Exception):
    """What a package did when it was imported; of no package where none could be told."""

    def __init__(self, package: str, why: str) -> None:
        super().__init__(why)
        self.package = package


class Ahead:
    """What is imported ahead.

    Parameters
    ----------
    root, work : str
        The folder that stands for a job's, and the one below it that it works in.
    begun : frozenset of str
        The modules that Python has by itself.
    """

    def __init__(self, root: str, work: str, begun: frozenset[str]) -> None:
        self._begun = begun
        self.root, self._work = root, work
        # what is looked for: a folder of ours, and a variable of ours, so a copy of all of them
        tokens = [one for one in (os.path.basename(root), os.environ.get(_MARK, "")) if one]
        self._tokens = (*tokens, *map(os.fsencode, tokens))
        self.files: dict[str, tuple[int, ...] | None] = {}
        self.variables: dict[str, str | None] = {}
        """What packages set, or took away (None)."""
        self.moved: list[tuple[dict[object, object], object]] = []
        """Where packages have noted a path below `root`."""
        self.seconds = 0.0
        self.runs = False
        """Whether this is a program by now: forks are its own."""
        self.held = False
        """Whether they have noted a standard stream."""
        self.asked = Asked(root, work)
        self._absent: list[str] = []
        """What packages looked for and did not find."""
        self._names: dict[str, list[str] | None] = {}
        """What lies in the folders that were looked through; None for what is none."""
        self._places: tuple[str, ...] = ()
        self._seeds = Seeds()
        self._taken: list[tuple[str, list[object]]] = []

    def take(
        self, names: list[str], brought: set[str], told: dict[str, str], *, closely: bool
    ) -> None:
        """Import `names`; raises `Refused`.

        Parameters
        ----------
        names : list of str
            The steps of the program's begin.
        brought : set of str
            All modules that this brings.
        told : dict
            All modules that the program had, with their files.
        closely : bool
            Look after each package for what takes long to be found.
        """
        self._clear()
        os.chdir(self._work)
        for number in (1, 2):
            printed = os.memfd_create("printed")
            os.dup2(printed, number)
            os.close(printed)
        forget_others(self._begun)
        for one in _FIRST:
            if one in brought:
                importlib.import_module(one)
        before, variables = self._state(), dict(os.environ)
        holders = [sys.getrefcount(one) for one in (sys.stdin, sys.stdout, sys.stderr)]
        register = os.register_at_fork
        setattr(os, "register_at_fork", self._register)  # noqa: B010 (it is another type)
        self._register_really = register
        gc.collect()
        gc.freeze()
        with self.asked.standing(), self._seeds.standing():
            self._take_each([*names, ""], before, closely=closely)
        if found := unlike(self._taken):
            raise Refused(top_of(found[0]), found[1])
        tried = {top_of(step) for step, _ in self._taken if step[:1] == "?"}
        self.asked.missing |= tried - sys.modules.keys()
        self._look("", before, closely=True)
        setattr(os, "register_at_fork", register)  # noqa: B010
        self._compare(told)
        self._note_variables(variables)
        self.held = holders != [
            sys.getrefcount(one) for one in (sys.stdin, sys.stdout, sys.stderr)
        ]
        self._note_files(self.asked.files)

    def _take_each(self, names: list[str], before: dict[str, object], *, closely: bool) -> None:
        last = ""
        for name in names:
            top = top_of(name)
            if last not in (top, ""):
                self._look(last, before, closely=closely)
            last = top
            if name:
                begun = time.monotonic()
                with self.asked.hearing():
                    self._take_step(name)
                self.seconds += time.monotonic() - begun

    def _take_step(self, step: str) -> None:
        try:
            self._taken.append((step, take(step)))
        except BaseException as error:
            why = f"its import fails without what the program did before ({type(error).__name__})"
            raise Refused(top_of(step), why) from error

    def changed(self) -> str:
        """Return what was read and is not as it was; empty when all is."""
        for one, known in self.files.items():
            if state_of(one) != known and not self._holds_the_same(one):
                return one
        return ""

    def appeared(self, root: str) -> Iterator[str]:
        """Yield what packages would find in a job, and did not."""
        for one in self._absent:
            place = one.replace(self.root, root) if root else one
            if state_of(place) is not None:
                yield place

    def elsewhere(self) -> Iterator[str]:
        """Yield where modules are looked for and others lie than where they were imported."""
        for one in self._places:
            if state_of(one) != self.files.get(one) and not self._holds_the_same(one):
                yield one

    def _holds_the_same(self, folder: str) -> bool:
        """Whether a folder has other times only, as by compiled modules; False for a file."""
        names = _names_in(folder)
        return names is not None and names == self._names[folder]

    def relocate(self, root: str) -> None:
        """Let what packages have noted name a job's own folder."""
        for place, key in self.moved:
            value = place[key]
            if isinstance(value, str):
                place[key] = value.replace(self.root, root)

    def _clear(self) -> None:
        """Empty the folders, which is what a job finds."""
        with os.scandir(self.root) as entries:
            for entry in list(entries):
                shutil.rmtree(entry.path, ignore_errors=True)
        for place in (self._work, *(os.environ.get(n, "") for n in ("HOME", "TMPDIR"))):
            if place.startswith(self.root):
                os.makedirs(place, exist_ok=True)

    def _register(self, **hooks: Callable[[], None]) -> None:
        """Register what a package wants to be done at forks of programs, not at those ahead."""
        place = sys._getframe(1).f_code.co_filename
        if "-packages" in place or not place.startswith((sys.base_prefix, "<frozen")):
            hooks = {when: functools.partial(self._at_fork, hook) for when, hook in hooks.items()}
        self._register_really(**hooks)

    def _at_fork(self, hook: Callable[[], None]) -> None:
        if self.runs:
            hook()

    def _look(self, package: str, before: dict[str, object], *, closely: bool) -> None:
        now = self._state()
        for what, was in before.items():
            if now[what] != was:
                raise Refused(package, f"it leaves or changes {what} when it is imported")
        del now  # it would be found
        if what := self.asked.of_the_program():
            raise Refused(package, f"it {what} when it is imported")
        for one in os.listdir("/proc/self/task"):
            with contextlib.suppress(OSError), open(f"/proc/self/task/{one}/comm", "rb") as file:
                if _POOLS.search(file.read().decode(errors="replace")):
                    raise Refused(package, "it starts a pool of threads when it is imported")
        if self._seeds.changed():
            raise Refused(package, "it seeds or draws random numbers when it is imported")
        if closely:
            for why in self._traces():
                raise Refused(package, why)

    def _state(self) -> dict[str, object]:
        """Return what no package may change."""
        umask = os.umask(0o077)
        os.umask(umask)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        names = [one for one in dir(resource) if one.startswith("RLIMIT_")]
        with open("/proc/thread-self/children", "rb") as file:
            children = file.read()
        return {
            "a umask": umask,
            "limits": [resource.getrlimit(getattr(resource, one)) for one in names],
            "processors": os.sched_getaffinity(0),
            "a priority": os.getpriority(os.PRIO_PROCESS, 0),
            "blocked signals": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
            "the working folder": os.getcwd(),
            "timers": [signal.getitimer(one) for one in range(3)],
            "standard streams": [
                (id(one), *(getattr(one, name, None) for name in _OF_STREAMS))
                for one in (sys.stdin, sys.stdout, sys.stderr)
            ],
            "threads": _count_threads(),
            "processes": children,
            "open files": list(_open_files()),
            "shared memory": shared_memory(),
            "lines to print": [os.fstat(one).st_size for one in (1, 2)],
            "files in its home or among temporary ones": [
                (where, sorted(folders), sorted(files))
                for where, folders, files in os.walk(self.root)
            ],
        }

    def _traces(self) -> Iterator[str]:
        """Say what was made from chance, or from a place that is a job's own."""
        if "tempfile" in sys.modules:
            forget_temporary()
        gc.collect()
        self.moved = []
        chance = tuple(kinds_of_chance())
        own = {id(one) for one in usual_chance()}
        own |= {id(vars(self)), id(self.moved), id(sys.argv), id(self)}
        own |= {id(self.asked), id(vars(self.asked)), id(self.asked.files)}
        for one in gc.get_objects():
            kind = type(one)
            if id(one) in own or kind is Words:
                continue
            if issubclass(kind, chance) and not is_constant(one):
                yield "it draws random numbers when it is imported"
            yield from self._paths(one, 0)

    def _paths(self, one: object, depth: int) -> Iterator[str]:
        """Note where `one` holds a path below the root; say where that cannot be replaced."""
        found = 0
        for held in gc.get_referents(one):
            kind = type(held)
            if kind is str or kind is bytes:
                found += any(token in held for token in self._tokens if type(token) is kind)
            elif kind in (tuple, dict) and not gc.is_tracked(held) and depth < _DEEPEST:
                yield from self._paths(held, depth + 1)
        if found and type(one) is dict:
            for key, value in one.items():
                if type(value) is str and self.root in value:
                    self.moved.append((one, key))
                    found -= 1
        if found and one is not sys.path_importer_cache and not isinstance(one, types.FrameType):
            yield "it notes what is a job's own when it is imported: variables, its home"

    def _compare(self, told: dict[str, str]) -> None:
        """Refuse modules that the program did not have."""
        for name, module in list(sys.modules.items()):
            origin = origin_of(module)
            if name == "__main__":
                continue
            if name in told:
                if told[name] != origin and (name not in self._begun or told[name]):
                    raise Refused("", f"{name} is another module than the program's")
            elif name not in self._begun:
                raise Refused("", f"the program did not import {name}")

    def _note_variables(self, before: dict[str, str]) -> None:
        for name in before.keys() | os.environ.keys():
            now = os.environ.get(name)
            if now != before.get(name):
                if now is not None and self.root in now:
                    raise Refused("", f"a package makes {name} of a job's own folder")
                self.variables[name] = now

    def _note_files(self, read: set[str]) -> None:
        origins = {origin_of(module) for module in list(sys.modules.values())}
        folders = {os.path.dirname(one) for one in origins}
        self._places = tuple(sys.path)
        own = os.path.join(self.root, "")
        for name in {*read, *origins, *folders, *self._places}:
            one = os.path.normpath(os.path.join(self._work, name))
            self._names[name] = self._names[one] = _names_in(one)
            state = state_of(one)
            if state is None and name and "__pycache__" not in one:
                self._absent.append(one)
            if os.path.join(one, "").startswith((*_VOLATILE, own)) or not os.path.isabs(name):
                continue
            if "__pycache__" not in one:  # of a source that is looked at
                self.files[one] = state


def origin_of(module: types.ModuleType) -> str:
    """Return the file of a module; empty for one that has none."""
    origin = getattr(getattr(module, "__spec__", None), "origin", None)
    return origin if isinstance(origin, str) and os.path.isabs(origin) else ""


def state_of(path: str) -> tuple[int, ...] | None:
    """Return what changes when a file or folder does; None where there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


def _names_in(folder: str) -> list[str] | None:
    try:
        return sorted(one for one in os.listdir(folder) if one != "__pycache__")
    except (OSError, ValueError):
        return None


def forget_others(begun: frozenset[str]) -> None:
    """Take modules away that only this process needed; those that are built in have a state."""
    names = sys.modules.keys() - begun - {"__main__", *sys.builtin_module_names}
    modules = {name: sys.modules.pop(name) for name in names}
    for name, module in modules.items():
        place, _, last = name.rpartition(".")
        parent = sys.modules.get(place)  # of those that go, this process goes on with what it has
        if getattr(parent, last, None) is module:
            delattr(parent, last)


def _count_threads() -> int:
    found = sys.modules.get("threading")
    count: int = found.active_count() if found is not None else 1
    return count


def forget_temporary() -> None:
    """Let ``tempfile`` look for its folder anew."""
    sys.modules["tempfile"].__dict__.update(tempdir=None, _name_sequence=None)


def _open_files() -> Iterator[str]:
    for one in sorted(os.listdir("/proc/self/fd")):
        with contextlib.suppress(OSError):
            yield f"{one} {os.readlink(f'/proc/self/fd/{one}')}"
