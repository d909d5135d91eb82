"""Runs uv, as a program that ends with the job and with napari, and says what it failed at."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.addresses import public_url, without_credentials
from napari_tool_runner.errors import PreparationError
from napari_tool_runner.plugins.environment_service import room_hint
from napari_tool_runner.plugins.process import Event, OutputLine
from napari_tool_runner.plugins.programs.environment import host_environment
from napari_tool_runner.plugins.programs.process_tree import describe_exit
from napari_tool_runner.plugins.programs.program import run_program
from napari_tool_runner.plugins.unreached import proxy_hint, set_proxy, why_unreached
from napari_tool_runner.plugins.uv.pythons import uv_program

if TYPE_CHECKING:
    from napari_tool_runner.plugins.process import ExecContext
    from napari_tool_runner.plugins.uv.spec import Wanted

__all__ = ["cache_folder", "call_uv", "is_missing_file"]

_MOST_LINES = 200
_LONGEST = 400
_NETWORK = (
    "Check the network, and which index is asked: the settings of uv (UV_DEFAULT_INDEX, uv.toml), "
    "or of pip (pip.conf)."
)
_FULL = r"os error 28|os error 122|no space left|quota exceeded"
_UNREACHED = (
    r"error sending request|dns error|failed to lookup|connection refused|timed out|tcp connect"
    r"|network is unreachable|certificate|connection (closed|reset)|error decoding response"
    r"|tunnel error|corrupt message"
)


def cache_folder(wanted: Wanted) -> Path | str:
    """Return where uv keeps what it downloaded: of the user's choice, or beside environments."""
    return wanted.indexes.variables.get("UV_CACHE_DIR") or wanted.store.uv_cache


def call_uv(
    wanted: Wanted,
    context: ExecContext,
    words: Sequence[str],
    heard: Callable[[str], None] = lambda line: None,
    *,
    offline: bool = False,
    more: Mapping[str, str] | None = None,
) -> None:
    """Run uv; what it warns of is told.

    Parameters
    ----------
    words : sequence of str
        Its arguments.
    heard : callable
        Gets each line that it writes, in another thread.
    offline : bool
        Whether it must do without the network.
    more : mapping, optional
        More variables.

    Raises
    ------
    PreparationError
        With what uv said, in short.
    JobCancelledError
        After it has ended.
    """
    lines: list[str] = []

    def report(event: Event) -> None:
        if not isinstance(event, OutputLine):
            return
        if event.stream == "runner" or event.text.startswith("warning: "):
            context.report(OutputLine(without_credentials(event.text), "runner"))
            return
        lines.append(event.text)
        del lines[:-_MOST_LINES]
        heard(event.text)

    store, indexes = wanted.store, wanted.indexes
    given = dict(indexes.variables)
    given.setdefault("UV_CACHE_DIR", str(store.uv_cache))
    if "UV_CACHE_DIR" not in indexes.variables:
        store.private(store.uv_cache)
    variables = {
        **host_environment(isolated=True, network=True), **given,
        "NO_COLOR": "1", "UV_NO_PROGRESS": "1", "UV_PYTHON_DOWNLOADS": "never",
        "UV_PREVIEW_FEATURES": "pylock", "PYTHONDONTWRITEBYTECODE": "1", **(more or {}),
    }  # fmt: skip
    config = ["--config-file", str(indexes.file)] if indexes.file else ["--no-config"]
    quiet = replace(context, work_dir=store.uv_cache.parent, report=report, timeout=None)
    quiet.work_dir.mkdir(parents=True, exist_ok=True)
    last = ["--offline"] if offline or wanted.offline else []
    code = run_program([uv_program(), *words, *config, *last], quiet, variables)
    if code:
        raise _failure("\n".join(lines), code, wanted)


def is_missing_file(error: PreparationError) -> bool:
    """Whether a file that a lock names is not there any more."""
    return "404" in error.message or "No such file" in error.message


def _failure(said: str, code: int, wanted: Wanted) -> PreparationError:
    """Return what a failure of uv means for a person."""
    said = without_credentials(said)
    low = said.lower()
    words = _causes(said) or f"uv was {describe_exit(code)}"
    if re.search(_FULL, low):
        return PreparationError(
            "The packages could not be installed: the disk is full.", hint=_full(said, wanted)
        )
    if "hash mismatch" in low or "size mismatch" in low:
        name = re.search(r"(?:Hash|Size) mismatch for `([^`]*)`", said)
        return PreparationError(
            f"The file of {name[1] if name else 'a package'} is not the one that the lock names "
            "(another size or SHA-256), so nothing of it was installed.",
            hint="It is damaged, or was exchanged: try again, or ask whoever runs the index.",
        )
    if missing := re.search(r"Because (\S+) was not found in the package registry", said):
        if missing[1] in wanted.torch.taken(wanted.spec.requirements):
            return PreparationError(
                f"{public_url(wanted.torch.place)} has no {missing[1]} that fits here, and the "
                "setting 'torch_index' says that it is taken from there.",
                hint="Put it there, or change the setting.",
            )
        return PreparationError(
            f"There is no package {missing[1]} on {_asked(wanted)}.",
            hint="Look for a slip in its name, or name the index that has it.",
        )
    if re.search(r"no usable wheels|no wheels|building is disabled|--no-build", low):
        return PreparationError(
            f"A package has no ready-made file (wheel) for Python {wanted.python.series} on this "
            f"computer: {words}",
            hint="It would have to be built, which runs code of its authors: choose another "
            "version of it, or of Python.",
        )
    if "network connectivity is disabled" in low or "network was disabled" in low:
        return PreparationError(
            f"The packages were not downloaded before, and {wanted.offline or 'offline'} is set: "
            f"{words}",
            hint="Run it once with the network.",
        )
    if re.search(_UNREACHED, low):
        asked = re.search(r"https?://([^\s/)`'\"]+)", said)
        server = asked[1] if asked else _asked(wanted)
        url = asked[0] if asked else server
        why, by_proxy = why_unreached(said, set_proxy(url))
        hint = proxy_hint(url) if by_proxy else _NETWORK
        why = why or f"could not be reached: {words.rstrip('.')}"
        return PreparationError(f"{server} {why}.", hint=hint)
    if "no solution found" in low:
        return PreparationError(f"The packages cannot be solved: {words}")
    return PreparationError(f"The packages could not be installed: {words}")


def _full(said: str, wanted: Wanted) -> str:
    """Return which disk is full, and what to do: that of the file which uv names last."""
    named = re.findall(r"`((?:/|[A-Za-z]:\\)[^`]+)`", said)
    cache, store = Path(cache_folder(wanted)), wanted.store
    if named and Path(named[-1]).is_relative_to(cache) and not cache.is_relative_to(store.folder):
        return (
            f"The disk of {cache} is full, where uv keeps what it downloads: free some room, or "
            "name another folder in the variable UV_CACHE_DIR."
        )
    return room_hint(store.folder, named[-1] if named else "", settable=bool(wanted.key))


def _causes(said: str) -> str:
    """Return uv's own words in one line: the last cause, or the error."""
    flat = [line.strip() for line in said.splitlines()]
    causes = [line.removeprefix("cause: ") for line in flat if line.startswith("cause: ")]
    errors = [line.removeprefix("error: ") for line in flat if line.startswith("error: ")]
    last = (causes or errors)[-1:]
    if not last:
        return ""
    if errors and causes and not errors[-1].startswith("No solution"):
        return f"{errors[-1].rstrip('.:')}: {causes[-1]}"[:_LONGEST]
    begun = next(i for i, line in enumerate(flat) if line.endswith(last[0]))
    tail = [last[0]]
    for line in flat[begun + 1 :]:
        if not line or line.startswith(("hint:", "error:", "cause:", "[")):
            break
        tail.append(line)
    text = " ".join(tail)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _asked(wanted: Wanted) -> str:
    return without_credentials(", ".join(wanted.indexes.places))
