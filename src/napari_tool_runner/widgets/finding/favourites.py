"""Starred and recently used tools, remembered between sessions."""

from __future__ import annotations

import logging
from pathlib import Path

from napari_tool_runner.storage import Kept, user_data

__all__ = ["Favourites"]

_log = logging.getLogger(__name__)
_MOST_RECENT = 5


class Favourites:
    """Two short lists of tool keys in a JSON file.

    A file that cannot be read or written loses the lists, never the window.

    Parameters
    ----------
    path : Path, optional
        Default: ``favourites.json`` in the user's data folder.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path if path is not None else user_data() / "favourites.json"
        self._kept = Kept(self.path)
        self.starred: tuple[str, ...] = ()
        """Keys of the starred tools, in the order of starring."""
        self.recent: tuple[str, ...] = ()
        """Keys of the tools opened last, newest first."""
        try:
            self._take(self._kept.read())
        except (OSError, ValueError) as error:
            _log.warning("%s cannot be read: %s", self.path, error)

    def toggle_star(self, key: str) -> bool:
        """Star or unstar a tool; returns whether it is starred now."""
        wanted = key not in self.starred
        self._change(key, starred=wanted)
        return wanted

    def used(self, key: str) -> None:
        """Put a tool at the head of the recent ones."""
        self._change(key, starred=None)

    def _change(self, key: str, *, starred: bool | None) -> None:
        """Change the lists as they are on disk now: other windows change them, too."""
        try:
            with self._kept.changing() as told:
                self._take(told)
                self._move(key, starred)
                told.update(starred=list(self.starred), recent=list(self.recent))
        except (OSError, ValueError) as error:
            _log.warning("%s cannot be written: %s", self.path, error)
            self._move(key, starred)

    def _move(self, key: str, starred: bool | None) -> None:
        if starred is None:
            self.recent = (key, *(one for one in self.recent if one != key))[:_MOST_RECENT]
        else:
            others = tuple(one for one in self.starred if one != key)
            self.starred = (*others, key) if starred else others

    def _take(self, told: dict[str, object]) -> None:
        """Take over what the file says; what is no name of a tool is passed over."""
        self.starred = _keys(told.get("starred"))
        self.recent = _keys(told.get("recent"))[:_MOST_RECENT]


def _keys(value: object) -> tuple[str, ...]:
    keys = value if isinstance(value, list) else []
    return tuple(dict.fromkeys(key for key in keys if isinstance(key, str)))
