"""The enclosure of a program on this computer, built by bubblewrap: what it sees is listed.

Inside there are the system's programs, the folders that the job names, and nothing else: no
home, no other job, no socket of a desktop or an engine. Originals can be read, not written.
Processes have a numbering of their own, so that whatever a program leaves behind ends with it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner import settings
from napari_tool_runner.locks import Once
from napari_tool_runner.names import really
from napari_tool_runner.plugins.programs.binds import binds, masks
from napari_tool_runner.plugins.programs.devices import own_devices
from napari_tool_runner.plugins.programs.enclosed import Enclosure
from napari_tool_runner.plugins.programs.installed import (
    private_beside,
    python_places,
    with_prefixes,
)
from napari_tool_runner.plugins.programs.process_tree import new_mark, watchdog
from napari_tool_runner.plugins.programs.trial import forget, has_passed, remember
from napari_tool_runner.plugins.programs.watchdog import MARK
from napari_tool_runner.tools.own_folder import folder_is_shared
from napari_tool_runner.tools.private import is_below, private_places

if TYPE_CHECKING:
    from napari_tool_runner.plugins.process import ExecContext, Mount
    from napari_tool_runner.plugins.programs.around import Around

__all__ = [
    "SYSTEM",
    "doubt",
    "enclosure_of",
    "enclosure_problem",
    "enclosure_words",
    "is_enclosing",
    "numbering_enclosure",
    "outer_enclosure",
    "seen_places",
]

_LINKED = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
SYSTEM = ("/usr", "/etc", "/opt", *_LINKED)
"""What every program sees of the system's own."""
_DEVICES = re.compile(r"nvidia.*|dri|kfd|dxg|accel")
_APART = ("ipc", "uts", "net")
# what it takes to enter an enclosure that lies within, and to give that up again; not
# CAP_SYS_PTRACE, which would open enclosures that are being built
_TO_ENTER = ("CAP_SYS_ADMIN", "CAP_SYS_CHROOT", "CAP_SETPCAP")
# what the kernel tells of processors and memory, without its doors for administrators; and of
# what GPUs are connected to and driven by
_HARDWARE, _OF_DEVICES = ("devices", "kernel/mm", "fs/cgroup"), ("bus", "class", "dev", "module")


def is_enclosing(config: Mapping[str, object]) -> bool:
    """Whether programs of this computer run enclosed."""
    return settings.ENCLOSE.of(config) and not enclosure_problem()


def enclosure_words(config: Mapping[str, object]) -> str:
    """Say how programs of this computer are kept apart, and what is weaker."""
    if is_enclosing(config):
        return "They run enclosed: they see their job, its inputs and nothing else of yours."
    why = enclosure_problem() if settings.ENCLOSE.of(config) else "“runner.enclose” is off"
    return (
        f"They are not enclosed ({why}): they can read and change whatever you can. Inputs are "
        "copied, and originals are compared after each run."
    )


def enclosure_of(
    context: ExecContext,
    config: Mapping[str, object],
    shown: Collection[Path],
    around: Around | None = None,
) -> Enclosure | None:
    """Return the enclosure of a job's program; None where there can be none.

    It may write to its mounts only, and see `shown`: programs and libraries of this
    computer, folders and files, read-only. It lies within `around`, if that is given.
    """
    if context.root is None or not is_enclosing(config):
        return None
    seen = seen_places(context, config, shown)
    hidden = [really(context.root.parents[2]), *private_beside(shown)]
    options = _options(context.mounts, seen, context.temp_dir, context.network, hidden, around)
    # programs that show windows look for the desktop there first, and nowhere after a refusal
    windows = "DISPLAY" in settings.PASS_ON.of(config)
    apart, passed = context.network and not windows, around.passed if around else ()
    numbering = around.numbering if around else None
    return Enclosure(options, apart=apart, passed=passed, numbering=numbering)


def seen_places(
    context: ExecContext, config: Mapping[str, object], shown: Iterable[Path]
) -> set[Path]:
    """Return what an enclosed program sees besides its mounts and `SYSTEM`: see `enclosure_of`."""
    seen = {*shown}
    for one in context.named:
        folder = one if one.is_dir() else one.parent
        # a program of the configuration's with its installation; of data just what is named
        if one.is_dir() or (
            os.access(one, os.X_OK) and not folder_is_shared(folder, installed=True)
        ):
            seen |= with_prefixes([folder])
        else:
            seen.add(one)
    if "DISPLAY" in settings.PASS_ON.of(config):  # who passes it on wants windows
        seen.add(Path("/tmp/.X11-unix"))  # noqa: S108 (the X server's own place)
        seen.add(Path(os.environ.get("XAUTHORITY") or Path.home() / ".Xauthority"))
    return seen


def outer_enclosure(
    shown: Collection[Path], jobs: Path, temp: Path, mounts: Sequence[str], passed: Sequence[int]
) -> Enclosure:
    """Return the enclosure of what enters those that lie within it; see `Around`.

    Of `jobs`, the folder of all of them, it shows nothing.
    """
    hidden = [really(jobs), *private_beside(shown)]
    options = [*mounts, *_options((), shown, temp, False, hidden), "--uid", "0", "--gid", "0"]
    for one in _TO_ENTER:
        options += ("--cap-add", one)
    return Enclosure(options, passed=passed, allowed=("setns",))


@Once
def enclosure_problem() -> str:
    """Say why programs of this computer cannot be enclosed; empty when they can.

    Tried once, with every option: some systems forbid a part of it. See `trial`.
    """
    if sys.platform != "linux":
        return "there is no bubblewrap for this system"
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed (package bubblewrap)"
    if has_passed():
        return ""
    with tempfile.TemporaryDirectory(prefix="napari-tool-runner-") as name:
        enclosure = Enclosure(_options((), python_places(), Path(name), network=False))
        try:
            program = [sys.executable, "-I", "-S", "-c", "pass"]
            watchdog.ensure()  # it finds by its mark what has just begun when we are killed
            with enclosure.start(program, Path(name), {MARK: new_mark()}) as tried:
                try:
                    said = tried.communicate(timeout=20)[1].decode(errors="replace").strip()
                finally:
                    tried.kill()
                    enclosure.end()
                    enclosure.ran()
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"bubblewrap does not work here: {error}"
    if tried.returncode == 0:
        remember()
        return ""
    return f"bubblewrap does not work here: {said or f'exit code {tried.returncode}'}"


def doubt() -> None:
    """Have it tried again whether programs can be enclosed: one could not be started."""
    forget()
    enclosure_problem.cache_clear()


def numbering_enclosure(around: Around) -> Enclosure:
    """Return an enclosure of the system's programs only, whose numbering others may have."""
    options = [*_system(), "--remount-ro", "/", *_kept_apart(around, _APART)]
    return Enclosure(options, passed=around.passed)


def _system() -> Iterator[str]:
    yield from ("--ro-bind", "/usr", "/usr")
    for place in _LINKED:
        if os.path.islink(place):
            yield from ("--symlink", os.readlink(place), place)
        elif os.path.isdir(place):
            yield from ("--ro-bind", place, place)


def _options(
    mounts: Collection[Mount],
    shown: Iterable[Path],
    temp: Path,
    network: bool,
    hidden: Iterable[str] = (),
    around: Around | None = None,
) -> Iterator[str]:
    links = [place for place in _LINKED if os.path.islink(place)]
    yield from ("--ro-bind", "/etc", "/etc", *_system())
    yield from masks("/etc")
    yield from ("--ro-bind-try", "/opt", "/opt")
    yield from ("--proc", "/proc", "--dev", "/dev", "--dir", "/run")
    # the kernel's settings, which root may write
    yield from ("--ro-bind", "/proc/sys", "/proc/sys")
    # the memory and descriptors of the first process, which is bubblewrap's own; what a program
    # writes there instead is as much its own as in /dev, and to forbid it costs another mount
    yield from ("--tmpfs", "/proc/1")
    devices = [*filter(_DEVICES.fullmatch, sorted(os.listdir("/dev")))]
    for device in devices:
        yield from ("--dev-bind-try", f"/dev/{device}", f"/dev/{device}")
    yield from own_devices(tuple(devices))
    if network:
        # where the system's file of name servers leads to
        real = really("/etc/resolv.conf")
        if not real.startswith("/etc/"):
            yield from ("--ro-bind-try", real, real)
    seen = {*map(Path, SYSTEM)}
    wanted = dict.fromkeys(shown, True)
    wanted |= {mount.path: mount.read_only for mount in mounts}
    below_tmp = any(is_below(path, "/tmp") for path in (*wanted, temp))  # noqa: S108
    # temporary files of programs that know one place only lie in the job's folder, too
    yield from ("--tmpfs", "/tmp") if below_tmp else ("--bind", str(temp), "/tmp")  # noqa: S108
    # a link would show the files of one as those of the other
    both = any(is_below(path, "/var/tmp") for path in (*wanted, temp))  # noqa: S108
    yield from ("--tmpfs", "/var/tmp") if both else ("--symlink", "../tmp", "/var/tmp")  # noqa: S108
    if temp not in wanted and not mounts:
        wanted[temp] = False
    private = private_places()
    if any(is_below(private[0], really(mount.path)) for mount in mounts):
        del private[0]  # who gives a tool a folder around the home gives that, too
    yield from binds(wanted, seen, {*hidden, *private}, links)
    # with each mount bubblewrap reads those before: what consists of many comes last
    for name in (*(_OF_DEVICES if devices else ()), *_HARDWARE):
        yield from ("--ro-bind-try", f"/sys/{name}", f"/sys/{name}")
    yield from around.mounts if around else ()
    yield from ("--remount-ro", "/")
    yield from _kept_apart(around, _APART[:-1] if network else _APART)


def _kept_apart(around: Around | None, names: Iterable[str]) -> Iterator[str]:
    yield from around.options if around else ("--unshare-user", "--unshare-pid")
    yield from (f"--unshare-{name}" for name in names)
    yield from ("--cap-drop", "ALL", "--clearenv")
