"""Fetches a package of PyPI to be read: its wheel is unpacked, nothing of it is run."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.addresses import public_url
from napari_tool_runner.data_classes import dataclass, field, replace
from napari_tool_runner.errors import JobCancelledError, PreparationError
from napari_tool_runner.names import size_text
from napari_tool_runner.plugins.contract import Origin
from napari_tool_runner.plugins.environment_service import room_for
from napari_tool_runner.plugins.environments import PYLOCK, EnvironmentStore
from napari_tool_runner.plugins.policy import obey_origins
from napari_tool_runner.plugins.process import CancelToken, ExecContext, Progress
from napari_tool_runner.plugins.uv.calling import call_uv
from napari_tool_runner.plugins.uv.indexes import place_of, users_indexes
from napari_tool_runner.plugins.uv.lock import read_lock
from napari_tool_runner.plugins.uv.pythons import find_python
from napari_tool_runner.plugins.uv.spec import UvSpec, Wanted
from napari_tool_runner.tools.toolbox.unpacking import holds_too_much, too_much

if TYPE_CHECKING:
    from napari_tool_runner.config import Config

__all__ = ["Package", "fetch_package", "find_package"]

_LOOK = 0.1  # seconds between two looks at what was unpacked
_UNPACKED = 5


@dataclass(frozen=True, slots=True)
class Package:
    """A package as an index offers it.

    Parameters
    ----------
    place : str
        From where its file comes (an index, a folder), without logins.
    size : int or None
        Bytes of its wheel, where the index tells them.
    """

    name: str
    version: str
    place: str
    size: int | None
    lock: str = field(repr=False)

    @property
    def text(self) -> str:
        """The package, and what is downloaded, in words."""
        size = size_text(self.size) if self.size is not None else "of unknown size"
        return f"{self.name} {self.version} ({size}) from {self.place}"


def find_package(asked: str, config: Config, folder: Path, cancel: CancelToken) -> Package:
    """Return what the user's index has of a package: ``name``, or ``name==1.2``.

    Only what the index tells of it is read.

    Parameters
    ----------
    folder : Path
        For the files of uv.

    Raises
    ------
    PreparationError, TrustError, JobCancelledError
        It is no name of a package, the index has none, or may not be asked.
    """
    wanted = _wanted(asked, config, folder)
    found = [Origin("index", public_url(one), asked) for one in wanted.indexes.places]
    obey_origins(found, config, f"“{asked}” was not looked for")
    listed, lock = folder / "wanted.in", folder / PYLOCK
    listed.write_text(asked, encoding="utf-8")
    words = [
        *("pip", "compile", str(listed), "--no-header", "--no-deps", "--no-build"),
        *("--format", "pylock.toml", "--output-file", str(lock)),
        *([] if wanted.offline else ["--refresh"]),
        *("--python", wanted.python.path),
        *(["--no-index"] if "UV_NO_INDEX" in wanted.indexes.variables else []),
    ]
    _call(wanted, ExecContext(folder, folder, folder, cancel=cancel), words)
    text = lock.read_text(encoding="utf-8")
    (wheel,) = read_lock(text)
    if wheel.size is not None and (why := too_much(1, wheel.size)):
        raise PreparationError(f"{wheel.name} was not downloaded: {why}.")
    if problems := room_for(_UNPACKED * (wheel.size or 0), folder)[0]:
        raise PreparationError(f"{wheel.name} was not downloaded. {problems[0]}")
    place = public_url(place_of(wheel.url, wanted.indexes.places))
    return Package(wheel.name, wheel.version, place, wheel.size, text)


def fetch_package(package: Package, config: Config, context: ExecContext) -> Path:
    """Download a package into the folder of `context`; return where its files lie.

    Raises
    ------
    PreparationError, JobCancelledError
        The index cannot be reached, has another file than it told, or it holds too much.
    """
    folder = context.work_dir
    wanted = _wanted(package.name, config, folder)
    target, lock = folder / "package", folder / PYLOCK
    lock.write_text(package.lock, encoding="utf-8")
    words = ["pip", "sync", str(lock), "--target", str(target), "--no-build"]
    words += ["--link-mode", "copy", "--python", wanted.python.path]
    size = f" ({size_text(package.size)})" if package.size is not None else ""
    context.report(Progress(f"Downloading {package.name}{size}"))  # uv tells no more
    with _bounded(folder, package.name, context) as inner:
        _call(wanted, inner, words)
    return target


def _wanted(asked: str, config: Config, folder: Path) -> Wanted:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        given = Requirement(asked)
    except InvalidRequirement:
        given = None
    if given is None or given.url or given.marker or given.extras:
        raise PreparationError(
            f"“{asked[:80]}” is no name of a package.",
            hint="Write a name as on PyPI, perhaps with a version (name==1.2), or choose "
            "a folder or a zip.",
        )
    runner: Mapping[str, object] = config.runner
    store = EnvironmentStore(folder)
    return Wanted(UvSpec((asked,)), users_indexes(), find_python(""), "", store, runner)


def _call(wanted: Wanted, context: ExecContext, words: list[str]) -> None:
    # a cache for itself: what is unpacked there is bounded, and goes with the rest
    call_uv(wanted, context, words, more={"UV_CACHE_DIR": str(wanted.store.uv_cache)})


@contextmanager
def _bounded(folder: Path, name: str, context: ExecContext) -> Iterator[ExecContext]:
    """Give a context that ends when uv, which unpacks all that comes, writes too much."""
    inner, over, why = CancelToken(), threading.Event(), list[str]()
    forget = context.cancel.on_cancel(inner.cancel)

    def watch() -> None:
        while not over.wait(_LOOK):
            if found := holds_too_much(folder):
                why.append(found)
                inner.cancel()
                return

    watching = threading.Thread(target=watch, name="bounds", daemon=True)
    watching.start()
    try:
        yield replace(context, cancel=inner)
    except JobCancelledError:
        if why:
            raise PreparationError(f"{name} is no toolbox: {why[0]}.") from None
        raise
    finally:
        over.set()
        watching.join()
        forget()
    if found := holds_too_much(folder):
        raise PreparationError(f"{name} is no toolbox: {found}.")
