"""Whether a Python that begins now would look for modules where this one does.

It lies beside ``server.py``: with the standard library of any Python from 3.8 on.
"""

from __future__ import annotations

import contextlib
import os
import sys

from warm_imports import origin_of, state_of  # type: ignore[import-not-found]


class Begin:
    """What decided where modules are looked for when this Python began."""

    def __init__(self) -> None:
        self._folders = {one: state_of(one) for one in sys.path}
        paths = [one for folder in self._folders for one in _path_files(folder)]
        own = [sys.modules.get(one, sys) for one in ("sitecustomize", "usercustomize")]
        paths += [os.path.join(sys.prefix, "pyvenv.cfg"), *filter(None, map(origin_of, own))]
        self._files = {one: state_of(one) for one in paths}

    def changed(self) -> str:
        """Return what is not as it was; empty when all is."""
        for one, known in self._files.items():
            if state_of(one) != known:
                return one
        for folder, known in self._folders.items():
            if state_of(folder) != known:
                for one in _path_files(folder):
                    if one not in self._files:
                        return one
        return ""


def _path_files(folder: str) -> list[str]:
    with contextlib.suppress(OSError):
        names = os.listdir(folder or ".")
        return [os.path.join(folder, one) for one in names if one.endswith(".pth")]
    return []
