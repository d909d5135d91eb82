"""What decides the results of a program of this computer besides its command and its data.

An enclosed program can read what its walls show and nothing else. So all of that counts: every
file, by what the system tells of it; of the system's own folders, the lists of its packages.
Of a program that is not enclosed nothing is known.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING

from napari_tool_runner import settings
from napari_tool_runner.names import really
from napari_tool_runner.plugins.contract import CHANGED
from napari_tool_runner.plugins.programs.enclosure import SYSTEM, is_enclosing, seen_places
from napari_tool_runner.plugins.programs.trees import Trees
from napari_tool_runner.tools.private import is_below, outermost

if TYPE_CHECKING:
    from pathlib import Path

    from napari_tool_runner.plugins.process import ExecContext

__all__ = ["programs_state"]

_LISTS = (
    *("/var/lib/dpkg/status", "/usr/lib/sysimage/rpm/rpmdb.sqlite", "/var/lib/rpm/rpmdb.sqlite"),
    *("/var/lib/rpm/Packages", "/var/lib/pacman/local", "/lib/apk/db/installed"),
    *("/var/db/xbps", "/var/db/pkg"),
)
"""What the package managers of systems write whenever they change something."""
_LISTED = "/usr"
_UNLISTED = (
    *("/usr/local", "/usr/lib*/python3*/*-packages", "/usr/lib*/R/*library"),
    "/usr/share/fonts",
)
"""Where other things are put, too."""


def programs_state(
    context: ExecContext,
    config: Mapping[str, object],
    variables: Mapping[str, str],
    shown: Iterable[Path],
) -> dict[str, object] | None:
    """Return, in JSON types, what a program of this computer can read besides its mounts.

    Parameters
    ----------
    config : mapping
        The ``runner`` section.
    variables : mapping
        What the program gets besides what belongs to the job.
    shown : iterable of Path
        As `enclosure_of` is told.

    Returns
    -------
    dict or None
        None: it cannot be told, as it is not enclosed, shows windows, sees folders whose changes
        the system does not tell, or more than can be watched.

    Raises
    ------
    OSError
    """
    if context.root is None or not is_enclosing(config):
        return None
    if "DISPLAY" in settings.PASS_ON.of(config):  # whoever sits before it may decide
        return None
    job, jobs = really(context.root), really(context.root.parents[2])
    seen = {os.fspath(one): really(one) for one in seen_places(context, config, shown)}
    seen = {name: real for name, real in seen.items() if not is_below(real, job)}
    reals = {*map(really, SYSTEM), *seen.values(), *_LISTS}
    if any(map(os.path.exists, _LISTS)):
        reals = {one for one in reals if not is_below(one, _LISTED)}
        reals |= {one for pattern in _UNLISTED for one in map(really, glob.glob(pattern))}
    places: dict[str, str] = {}
    changed = 0
    for real in _tops(reals):
        state = _trees().state(real, outermost([jobs], real))
        if state is None:
            return None
        places[real], changed = state.digest, max(changed, state.changed)
    own = {name: value.replace(str(context.root), "") for name, value in variables.items()}
    return {
        "places": places,
        "seen": dict(sorted(seen.items())),
        "variables": dict(sorted(own.items())),
        CHANGED: changed,
    }


def _tops(places: Iterable[str]) -> Iterator[str]:
    """Yield those that are there and do not lie in one another."""
    last = ""
    for one in sorted(places, key=lambda place: place.split(os.sep)):
        if os.path.exists(one) and not (last and is_below(one, last)):
            last = one
            yield one


@cache
def _trees() -> Trees:
    return Trees()
