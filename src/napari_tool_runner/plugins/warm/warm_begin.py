"""Whether a Python that begins now would look for modules where this one does.

It lies beside ``server.py``: with the standard library of any Python from 3.8 on.
"""

from __future__ import annotations

import contextlib
import importlib.machinery
import os
import sys

from warm_imports import origin_of, state_of  # type: ignore[import-not-found]

_CUSTOM = ("sitecustomize", "usercustomize")
_TELLING = (".dist-info", ".egg-info")  # of what is installed


class Begin:
    """What decided where modules are looked for when this Python began."""

    def __init__(self) -> None:
        self._folders = {one: state_of(one) for one in sys.path}
        paths = [one for folder in self._folders for one in _read_at_begin(folder)]
        own = [sys.modules.get(one, sys) for one in _CUSTOM]
        paths += [os.path.join(sys.prefix, "pyvenv.cfg"), *filter(None, map(origin_of, own))]
        self._files = {one: state_of(one) for one in paths}
        site = sys.modules.get("site")
        used = getattr(site, "ENABLE_USER_SITE", None)
        self._user = str(getattr(site, "USER_SITE", None) or "") if used else ""

    def changed(self) -> str:
        """Return what is not as it was; empty when all is."""
        for one, known in self._files.items():
            if state_of(one) != known:
                return one
        for folder, known in self._folders.items():
            if state_of(folder) != known:
                for one in _read_at_begin(folder):
                    if one not in self._files:
                        return one
        return ""

    def user_site(self, root: str, stands_for: str) -> str:
        """Return the folder of the user's own packages in a job, if there is one now only."""
        place = self._user.replace(stands_for, root)
        new = self._user not in self._folders and state_of(place) is not None
        return place if new and place else ""


def standing_before(place: str, missing: set[str]) -> str:
    """Return what `place` has before a module that was imported, or tried, or tells of one."""
    tops = {one.partition(".")[0] for one in sys.modules} | missing
    suffixes = tuple(importlib.machinery.all_suffixes())
    with contextlib.suppress(FileNotFoundError), os.scandir(place) as entries:
        for one in entries:
            if one.name.endswith(_TELLING):
                return one.name
            ends = [end for end in suffixes if one.name.endswith(end)]
            for name in [one.name[: -len(end)] for end in ends] or [one.name]:
                if name in tops and (ends or one.is_dir()):
                    return one.name
    return ""


def _read_at_begin(folder: str) -> list[str]:
    with contextlib.suppress(OSError):
        names = os.listdir(folder or ".")
        wanted = [one for one in names if one.endswith(".pth") or one.startswith(_CUSTOM)]
        return [os.path.join(folder, one) for one in wanted]
    return []
