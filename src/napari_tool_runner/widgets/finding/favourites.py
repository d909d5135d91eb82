"""Starred and recently used tools, remembered between sessions."""

from __future__ import annotations

import logging
from pathlib import Path

from napari_tool_runner.storage import read_json, user_data, write_json

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
        self._starred: list[str] = []
        self._recent: list[str] = []
        self._read()

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
        if key in self._starred:
            self._starred.remove(key)
        else:
            self._starred.append(key)
        self._write()
        return key in self._starred

    def used(self, key: str) -> None:
        """Put a tool at the head of the recent ones."""
        self._recent = [key, *(other for other in self._recent if other != key)][:_MOST_RECENT]
        self._write()

    def _read(self) -> None:
        try:
            data = read_json(self.path)
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            _log.warning("%s cannot be read: %s", self.path, error)
            return
        if isinstance(data, dict):
            self._starred = [str(key) for key in data.get("starred", [])]
            self._recent = [str(key) for key in data.get("recent", [])][:_MOST_RECENT]

    def _write(self) -> None:
        try:
            write_json(self.path, {"starred": self._starred, "recent": self._recent})
        except OSError as error:
            _log.warning("%s cannot be written: %s", self.path, error)
