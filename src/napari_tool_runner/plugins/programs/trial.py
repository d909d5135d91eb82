"""That bubblewrap was tried here and works, remembered while nothing that decides it changes.

Only that it works is remembered. Where it is wrong, the next program cannot be started, which is
told; none runs outside of its walls.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from napari_tool_runner import __version__
from napari_tool_runner.processes import boot_mark
from napari_tool_runner.storage import read_json, short_digest, user_cache, write_json

__all__ = ["forget", "has_passed", "remember"]

_SPACES = ("user", "mnt", "pid", "net")
_RIGHTS = re.compile(r"^(?:[UG]id|Cap\w+|NoNewPrivs|Seccomp):.*$", re.MULTILINE)
_SAYS = (
    "/proc/self/attr/current",
    "/proc/sys/user/max_user_namespaces",
    "/proc/sys/kernel/unprivileged_userns_clone",
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
)


def has_passed() -> bool:
    """Whether bubblewrap was tried by this user on this system as it is, and worked."""
    try:
        return read_json(_place()) == {"passed": _here()}
    except (OSError, ValueError):
        return False


def remember() -> None:
    """Remember that it works; where that cannot be kept, it is tried again."""
    with suppress(OSError, ValueError):
        write_json(_place(), {"passed": _here()}, durable=False)


def forget() -> None:
    """Have it tried again."""
    with suppress(OSError):
        _place().unlink()


def _place() -> Path:
    return user_cache() / "enclosure.json"


def _here() -> str:
    """Return what stands for all that decides whether it works."""
    return short_digest("\n".join(_facts()))


def _facts() -> Iterator[str]:
    program = shutil.which("bwrap") or ""
    told = os.stat(program)
    yield f"{program} {told.st_ino} {told.st_size} {told.st_mtime_ns} {told.st_mode}"
    yield f"{sys.executable} {sys.prefix} {__version__} {boot_mark()}"
    for space in _SPACES:  # a container has others
        yield os.readlink(f"/proc/self/ns/{space}")
    yield from _RIGHTS.findall(Path("/proc/self/status").read_text(encoding="utf-8"))
    for one in _SAYS:
        with suppress(OSError):  # not every kernel has it
            yield f"{one} {Path(one).read_text(encoding='utf-8')}"
