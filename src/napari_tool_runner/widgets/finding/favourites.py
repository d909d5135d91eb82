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
        self._starred: list[str] = []
        self._recent: list[str] = []
        try:
            self._take(self._kept.read())
        except (OSError, ValueError) as error:
            _log.warning("%s cannot be read: %s", self.path, error)

    @property
    def starred(self) -> tuple[str, ...]:
        """Keys of the starred tools, in the order of starring."""
        return tuple(self._starred)

    @property
    def recent(self) -> tuple[str, ...]:
        """Keys of the tools opened last, newest first."""
        return tuple(self._recent)

    def toggle_star(self, key: str) -> bool:
        """Star or unstar a tool; returns whether it is starred now."""
        wanted = key not in self._starred
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
                told.update(starred=self._starred, recent=self._recent)
        except (OSError, ValueError) as error:
            _log.warning("%s cannot be written: %s", self.path, error)
            self._move(key, starred)

    def _move(self, key: str, starred: bool | None) -> None:
        if starred is None:
            self._recent = [key, *(one for one in self._recent if one != key)][:_MOST_RECENT]
        else:
            others = [one for one in self._starred if one != key]
            self._starred = [*others, key] if starred else others

    def _take(self, told: dict[str, object]) -> None:
        """Take over what the file says; what is no name of a tool is passed over."""
        self._starred, recent = (_keys(told.get(name)) for name in ("starred", "recent"))
        self._recent = recent[:_MOST_RECENT]


def _keys(value: object) -> list[str]:
    keys = value if isinstance(value, list) else []
    return list(dict.fromkeys(key for key in keys if isinstance(key, str)))
