"""What of this computer no stranger is shown, wherever it lies: the home, and what we keep."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress

from napari_tool_runner.config import config_path, user_config
from napari_tool_runner.names import really
from napari_tool_runner.storage import user_cache, user_data

__all__ = ["holds_home", "is_below", "outermost", "private_places", "spared"]


def private_places() -> list[str]:
    """Return the home, our own folders and the configuration, by where they really lie."""
    ours = (str(one()) for one in (user_config, config_path, user_data, user_cache))
    return [*dict.fromkeys(map(really, (os.path.expanduser("~"), *ours)))]


def holds_home(path: str | os.PathLike[str]) -> bool:
    """Whether it is the home, or holds it, also by links and steps upwards."""
    return is_below(really(os.path.expanduser("~")), really(path))


def is_below(path: str | os.PathLike[str], folder: str | os.PathLike[str]) -> bool:
    """Whether it is `folder` or lies in it, by their names; asked for often, so without paths."""
    return f"{os.fspath(path)}/".startswith(os.fspath(folder).rstrip("/") + "/")


def outermost(paths: Iterable[str], folder: str) -> list[str]:
    """Return which of `paths` lie in `folder`, but not in one another."""
    around = folder.rstrip("/") + "/"  # asked for often: `is_below`, in one step for each
    inside = [one for one in paths if one != folder and one.startswith(around)]
    return [one for one in inside if not any(one != o and is_below(one, o) for o in inside)]


def spared(place: str, hidden: Iterable[str]) -> Iterator[str]:
    """Yield what to open of `place` so that `hidden` stays closed: it, or what lies in it.

    Parameters
    ----------
    hidden : iterable of str
        By where they really lie, as `place` does.
    """
    inside = outermost(hidden, place)
    if not inside:
        yield from () if place in hidden else (place,)
        return
    with suppress(OSError), os.scandir(place) as entries:
        for entry in entries:
            if not any(entry.path == one for one in inside):
                yield from spared(entry.path, inside)
