"""Makes an environment from PyPI: solve to a lock, download, install, compile."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.addresses import public_url
from napari_tool_runner.errors import JobCancelledError, PreparationError
from napari_tool_runner.names import count_text, size_text
from napari_tool_runner.plugins.contract import Fetch, Plan
from napari_tool_runner.plugins.environment_service import Solved, made, room_for
from napari_tool_runner.plugins.environments import PYLOCK
from napari_tool_runner.plugins.preflight import preflight_cancel
from napari_tool_runner.plugins.process import ExecContext, Progress
from napari_tool_runner.plugins.uv.calling import cache_folder, call_uv, is_missing_file
from napari_tool_runner.plugins.uv.compiling import base_of, compile_modules, programs_of
from napari_tool_runner.plugins.uv.lock import Wheel, check_pins, missing_in, read_lock, size_of
from napari_tool_runner.storage import write_whole

if TYPE_CHECKING:
    from napari_tool_runner.plugins.environments import Environment
    from napari_tool_runner.plugins.uv.spec import Wanted
    from napari_tool_runner.tools.model import Tool

__all__ = ["UvMaker"]

_UNPACKED = 5
"""How much room a wheel and its files take together, at most, for each byte of it."""

_NOTHING = 'lock-version = "1.0"\ncreated-by = "napari-tool-runner"\npackages = []\n'


class UvMaker:
    """Makes environments; remembers for a while what a pre-flight has solved."""

    def __init__(self) -> None:
        self._solved: Solved[str] = Solved()

    def make(self, tool: Tool, wanted: Wanted, context: ExecContext) -> Environment:
        """Return the environment, made now unless somebody else was faster.

        Raises
        ------
        PreparationError, JobCancelledError
        """

        def fill(prefix: Path) -> Environment:
            try:
                with wanted.store.filling(), _apart(context) as inner:
                    return self._make(wanted, prefix, inner)
            except BaseException:
                with suppress(PreparationError):  # the next attempt does it
                    wanted.store.new_prefix(wanted.key)
                raise

        return made(tool, wanted, context, fill)

    def plan(self, wanted: Wanted) -> Plan:
        """Solve the environment and say what would be downloaded; it may take a while.

        Raises
        ------
        PreparationError, JobCancelledError
        """
        with tempfile.TemporaryDirectory() as folder:
            context = ExecContext(Path(folder), Path(folder), Path(folder))
            context.cancel = preflight_cancel()
            with wanted.store.filling():
                text = self._known(wanted) or self._solve(wanted, context)
        return _plan(wanted, read_lock(text))

    def _make(self, wanted: Wanted, prefix: Path, context: ExecContext) -> Environment:
        store, key = wanted.store, wanted.key
        known = self._known(wanted)
        text = known or self._solve(wanted, context)
        try:
            wheels = _install(wanted, prefix, context, text)
        except PreparationError as error:
            self._solved.forget(wanted)
            if not known or not is_missing_file(error):
                raise
            context.say(f"The recorded packages cannot be had: {error.message}")
            text = self._solve(wanted, context)
            wheels = _install(wanted, prefix, context, text)
        compile_modules(wanted, prefix, wheels, context)
        if context.cancel.requested:
            raise JobCancelledError("The job was cancelled while its environment was made.")
        write_whole(store.lock_file(key, PYLOCK), text.encode(), private=False)
        return store.complete(
            key,
            prefix,
            {
                "specs": wanted.spec.requirements,
                "python": base_of(prefix)[1] or wanted.python.version,
                "indexes": [public_url(one) for one in wanted.indexes.places],
                "packages": [one.fact() for one in wheels],
                "lock": f"sha256:{hashlib.sha256(text.encode()).hexdigest()}",
            },
        )

    def _known(self, wanted: Wanted) -> str:
        """Return the lock of an environment that was complete, or what has just been solved."""
        with suppress(OSError, UnicodeDecodeError):
            if text := wanted.store.lock_file(wanted.key, PYLOCK).read_text(encoding="utf-8"):
                return text
        return self._solved.of(wanted) or ""

    def _solve(self, wanted: Wanted, context: ExecContext) -> str:
        """Return the text of a lock."""
        context.report(Progress("Solving the environment"))
        spec, folder = wanted.spec, context.temp_dir
        if not spec.requirements:
            return _NOTHING
        torch = wanted.torch
        pins, lock = folder / "pins.txt", folder / PYLOCK
        if torch.name == "index":
            asked, text = folder / "pyproject.toml", torch.project(spec.requirements)
        else:
            asked, text = folder / "wanted.in", "\n".join(spec.requirements)
        asked.write_text(text, encoding="utf-8")
        pins.write_text("\n".join(one.split()[0] for one in spec.pins), encoding="utf-8")
        lock.unlink(missing_ok=True)
        words = [
            *("pip", "compile", str(asked), "--no-header"),
            *(["--constraint", str(pins)] if spec.pins else []),
            *("--format", "pylock.toml", "--output-file", str(lock), "--no-build"),
            *("--python", wanted.python.path),
            # what an index had minutes ago may be what made the last try fail
            *([] if wanted.offline else ["--refresh"]),
            *(["--no-index"] if "UV_NO_INDEX" in wanted.indexes.variables else []),
        ]
        try:
            # where the usual index will do, PyTorch's own is not waited for long
            more = {"UV_HTTP_RETRIES": "1"} if torch.may_fall_back else {}
            call_uv(wanted, context, [*words, *torch.options], more={**more, **torch.variables})
        except PreparationError as error:
            if not torch.may_fall_back:
                raise
            context.say(f"The usual index is asked for PyTorch: {error.message}")
            call_uv(wanted, context, words)
        text = lock.read_text(encoding="utf-8")
        check_pins(read_lock(text), spec.pins)
        self._solved.note(wanted, text)
        return text


def _install(wanted: Wanted, prefix: Path, context: ExecContext, text: str) -> list[Wheel]:
    """Install what a lock names into a new environment."""
    wheels = read_lock(text)
    missing = missing_in(cache_folder(wanted), wheels)
    context.say(_summary(wheels, missing))
    call_uv(
        wanted, context,
        ["venv", str(prefix), "--python", wanted.python.path, "--no-project", "--clear"],
    )  # fmt: skip
    if not wheels:
        return wheels
    lock = context.temp_dir / PYLOCK
    lock.write_text(text, encoding="utf-8")
    python = programs_of(prefix) / ("python.exe" if os.name == "nt" else "python")
    words = ["pip", "sync", str(lock), "--python", str(python), "--no-build", "--strict"]
    heard = _progress(missing, context)
    if not missing:  # the index is not asked; what is half downloaded is asked for again
        with suppress(PreparationError):
            call_uv(wanted, context, words, heard, offline=True)
            return wheels
    call_uv(wanted, context, words, heard)
    return wheels


def _progress(missing: list[Wheel], context: ExecContext) -> Callable[[str], None]:
    """Return what makes the bytes of all downloads of the lines of uv."""
    sizes = {one.name: one.size or 0 for one in missing}
    total, arrived = sum(sizes.values()), set[str]()
    if total:
        context.report(Progress("Downloading packages", 0, total, "bytes"))

    def heard(line: str) -> None:
        if met := re.match(r"\s*Downloaded (\S+)", line):
            arrived.add(met[1])
            done = sum(sizes.get(name, 0) for name in arrived)
            context.report(Progress("Downloading packages", done, total or None, "bytes"))
        elif line.startswith("Prepared"):
            if total:
                context.report(Progress("Downloading packages", total, total, "bytes"))
            context.report(Progress("Linking packages"))

    return heard


@contextmanager
def _apart(context: ExecContext) -> Iterator[ExecContext]:
    """Give the context with a folder for files that the job need not see."""
    with tempfile.TemporaryDirectory() as folder:
        yield replace(context, temp_dir=Path(folder), work_dir=Path(folder))


def _summary(wheels: list[Wheel], missing: list[Wheel]) -> str:
    count = count_text(len(wheels), "package")
    if not missing:
        return f"{count}, downloaded before."
    size = size_of(missing)
    told = "" if size is None else f" ({size_text(size)})"
    return f"{count}; {len(missing)} to download{told}."


def _plan(wanted: Wanted, wheels: list[Wheel]) -> Plan:
    torch = wanted.torch
    missing = missing_in(cache_folder(wanted), wheels)
    guessed = [
        one if one.size is not None else replace(one, size=torch.size(one)) for one in missing
    ]
    count = count_text(len(wheels), "PyPI package")
    what = f"{count} into the environment {wanted.key}"
    if not missing:
        what += ", downloaded before"
    elif guessed != missing:
        what += ", PyTorch's size guessed"
    size, folder = size_of(guessed), wanted.store.folder
    problems, room = room_for(_UNPACKED * (size or 0), folder)
    users = wanted.indexes.variables.get("UV_CACHE_DIR")
    if users and not problems:
        problems = room_for(_UNPACKED * (size or 0), Path(users), "UV_CACHE_DIR")[0]
    remark = torch.remark([one.name for one in wheels])
    made_with = f"It is made with Python {wanted.python.version}."
    return Plan((Fetch(what, size),), problems, tuple(filter(None, (remark, made_with, room))))
