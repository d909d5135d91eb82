"""What crosses between napari and the process that makes environments: plain facts, in JSON."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_tool_runner.data_classes import asdict, dataclass, field
from napari_tool_runner.errors import PreparationError, ToolRunnerError, words
from napari_tool_runner.names import count_text
from napari_tool_runner.plugins.conda.channels import Channels
from napari_tool_runner.plugins.process import Event, OutputLine, Progress
from napari_tool_runner.processes import half_of_memory

__all__ = [
    "Limits",
    "LinkScript",
    "Order",
    "Solution",
    "error_from",
    "event_from",
    "is_panic",
    "packages_text",
    "tell_error",
    "tell_event",
]


def _most_memory() -> int:
    """Return half of this computer's memory, 4 GiB at least and 8 GiB at most."""
    return min(max(half_of_memory(), 2**32), 2**33)


@dataclass(frozen=True, slots=True)
class Limits:
    """What making an environment may take; sound channels and packages stay far below.

    Parameters
    ----------
    memory : int
        Bytes of the process, where the system can limit them. The solver takes some 7 kB for
        each version of each package that may be needed.
    index : int
        Bytes of an unpacked index.
    written : int
        Bytes written besides what the archives of the packages may become.
    times : int
        How many times the size of its archive a package may become.
    """

    memory: int = field(default_factory=_most_memory)
    index: int = 2**30
    written: int = 2**30
    times: int = 100


@dataclass(frozen=True, slots=True)
class Order:
    """An environment that is to be solved, and made.

    Parameters
    ----------
    channels : Channels
    packages, repodata : Path
        The caches.
    platform : str
        conda's name of the platform.
    offline : bool
        True: what was fetched earlier must do.
    specs : tuple of str
    lock : Path
        The exact packages of an earlier build; written when the environment is made.
    limits : Limits
    earlier : str
        The lock of what was solved a moment ago, if it was.
    prefix : Path or None
        Where the packages go; None: they are only solved.
    """

    channels: Channels = field(repr=False)
    packages: Path
    repodata: Path
    platform: str
    offline: bool
    specs: tuple[str, ...]
    lock: Path
    limits: Limits = field(default_factory=Limits)
    earlier: str = ""
    prefix: Path | None = None

    def told(self) -> dict[str, object]:
        """Return it in JSON types; it holds credentials."""
        channels = asdict(self.channels) | {"own": sorted(self.channels.own)}
        told = {**asdict(self), "channels": channels}
        return {k: str(v) if isinstance(v, Path) else v for k, v in told.items()}

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Order:
        """Return the one that `told` was called of."""
        channels = told["channels"]
        mirrors = {url: tuple(others) for url, others in channels["mirrors"].items()}
        channels |= {"sources": tuple(channels["sources"]), "own": frozenset(channels["own"])}
        paths = {key: Path(told[key]) for key in ("packages", "repodata", "lock")}
        return cls(**{
            **told, **paths, "channels": Channels(**channels | {"mirrors": mirrors}),
            "specs": tuple(told["specs"]), "limits": Limits(**told["limits"]),
            "prefix": Path(told["prefix"]) if told["prefix"] else None,
        })  # fmt: skip


@dataclass(frozen=True, slots=True)
class LinkScript:
    """What a package wants to be run once: its name, the script, and variables for it."""

    package: str
    path: Path
    variables: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Solution:
    """The exact packages of an environment.

    Parameters
    ----------
    packages : list of dict
        Their facts for the record: no credentials in the addresses.
    download_size, missing : int
        Bytes and number of those that are not in the package cache yet.
    remark : str
        What a person should know of them.
    lock : str
        The same as a lock, to be made from it a moment later.
    scripts : tuple of LinkScript
        What those in the prefix want to be run once, first things first.
    """

    packages: list[dict[str, object]]
    download_size: int
    missing: int
    remark: str = ""
    lock: str = ""
    scripts: tuple[LinkScript, ...] = ()

    def told(self) -> dict[str, object]:
        """Return it in JSON types."""
        scripts = [[one.package, str(one.path), dict(one.variables)] for one in self.scripts]
        return asdict(self) | {"scripts": scripts}

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Solution:
        """Return the one that `told` was called of."""
        scripts = tuple(
            LinkScript(package, Path(path), variables)
            for package, path, variables in told["scripts"]
        )
        return cls(**{**told, "scripts": scripts})


def packages_text(count: int, kind: str = "") -> str:
    """Return a number of packages as a person says it."""
    return count_text(count, f"{kind}package")


def tell_event(event: Event) -> dict[str, object]:
    """Return an event in JSON types."""
    return {type(event).__name__: asdict(event)}


def event_from(told: Mapping[str, Any]) -> Event | None:
    """Return the event that `tell_event` was given; None for another message."""
    for kind in (OutputLine, Progress):
        if kind.__name__ in told:
            return kind(**told[kind.__name__])
    return None


def tell_error(error: BaseException) -> dict[str, object]:
    """Return an error in JSON types."""
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return {"memory": "too much"}
    if isinstance(error, ToolRunnerError):
        return {"error": error.message, "hint": error.hint}
    if isinstance(error, OSError) and error.errno is not None:
        return {"error": error.strerror or str(error), "code": error.errno}
    if is_panic(error):
        hint = "Try again; if it happens again, tell whoever runs the channels of the tool."
        return {
            "error": f"The environment could not be made: rattler broke ({error}).",
            "hint": hint,
        }
    return {"error": f"The environment could not be made: {words(error)}."}


def is_panic(error: BaseException) -> bool:
    """Whether rattler itself broke: its panics are of classes that nothing names."""
    return type(error).__name__ in ("PanicException", "RustPanic")


def error_from(told: Mapping[str, Any]) -> PreparationError | OSError:
    """Return the error that `tell_error` was given; one of ours comes as a PreparationError."""
    if "code" in told:
        return OSError(int(told["code"]), str(told["error"]))
    return PreparationError(str(told["error"]), hint=str(told.get("hint") or ""))
