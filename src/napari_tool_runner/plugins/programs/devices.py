"""Devices that enclosed programs of root are shown: files of our own.

Who owns a device's file may change its mode, through every mount of it; what root starts would
take ``/dev/null`` from everybody. A mount that is read-only opens no devices in bubblewrap.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

from napari_tool_runner.storage import user_data

__all__ = ["no_input", "own_devices"]

_EVERYBODYS = ("null", "zero", "full", "random", "urandom", "tty")  # bubblewrap's ``--dev``


def own_devices(more: tuple[str, ...] = (), devices: Path = Path("/dev")) -> Iterator[str]:
    """Yield bubblewrap's options that show files of our own for devices; nothing but for root.

    Where none can be made (a container that may not, a file system without devices), those of
    the system stay.

    Parameters
    ----------
    more : tuple of str
        Names in ``/dev``, beside those that every program has; of a folder, what lies in it.
    """
    if os.geteuid() != 0:
        return
    folder = _folder()
    for path in (*(f"{devices}/{name}" for name in _EVERYBODYS), *_in(devices, more)):
        ours = _ours(path, folder)
        if ours != path:
            yield from ("--dev-bind", ours, path)


def no_input() -> Path:
    """Return what an enclosed program reads nothing from; it may change the mode of that, too."""
    return Path(_ours(os.devnull, _folder()) if os.geteuid() == 0 else os.devnull)


def _folder() -> str:
    return os.fspath(user_data() / "devices")


def _in(devices: Path, names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        place = devices / name
        yield from map(str, sorted(place.iterdir()) if place.is_dir() else (place,))


def _ours(path: str, folder: str) -> str:
    """Return a file of our own for the same device; `path` where there is, and can be, none."""
    try:
        told = os.stat(path)
        return _made(told, folder) if stat.S_ISCHR(told.st_mode) else path
    except OSError:  # this root may make no devices
        return path


def _made(told: os.stat_result, folder: str) -> str:
    ours = f"{folder}/{os.major(told.st_rdev)}-{os.minor(told.st_rdev)}"
    mode = stat.S_IMODE(told.st_mode)
    try:
        known = os.lstat(ours)
    except FileNotFoundError:
        Path(folder).mkdir(parents=True, exist_ok=True, mode=0o700)
        if os.statvfs(folder).f_flag & os.ST_NODEV:
            raise
        made = f"{ours}.{os.getpid()}.{threading.get_ident()}"
        os.mknod(made, stat.S_IFCHR | mode, told.st_rdev)
        os.replace(made, ours)
        known = os.lstat(ours)
    if not stat.S_ISCHR(known.st_mode) or known.st_rdev != told.st_rdev:
        raise FileExistsError(f"{ours} is another file")
    if stat.S_IMODE(known.st_mode) != mode:  # a program changed it, or our umask
        os.chmod(ours, mode)
    return ours
