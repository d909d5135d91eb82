"""Walls that the kernel puts up: around the reader of what strangers wrote, and programs.

On Linux the kernel keeps the reader from opening files besides those that are named (Landlock),
and from calls that reach out: sockets, other programs, signals, rights of files (seccomp). On
every POSIX system memory, time and the size of files are limited. Nothing here can be undone
by the process itself. An enclosed program, which may do much more, is kept from what reaches
beyond its namespaces: `program_filter`, `keep_apart`.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import platform
import signal
import struct
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from napari_tool_runner.tools.own_folder import importable
from napari_tool_runner.tools.private import is_below, private_places, spared

__all__ = [
    "end_held",
    "end_with_parent",
    "hold",
    "keep_apart",
    "missing_walls",
    "program_filter",
    "reader_words",
    "system_places",
    "wall_in",
]

_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
# write, remove a folder, a file, make a folder, a file, truncate
_WRITE = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 14
# how many kinds of access each version of Landlock knows
_ACCESSES = {1: 13, 2: 14, 3: 15, 4: 15}
_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER, _END_WITH_PARENT = 38, 22, 2, 1
_THREAD = 0x10000
_READ_OF_OTHERS = 1 << 1  # CAP_DAC_OVERRIDE
_FILES = 256

# calls that reach beyond the process: number on x86_64, on aarch64 (-1: has none)
_FORBIDDEN = {
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200),
    "listen": (50, 201), "accept": (43, 202), "accept4": (288, 242), "sendmsg": (46, 211),
    "sendmmsg": (307, 269), "fork": (57, -1), "vfork": (58, -1), "execve": (59, 221),
    "execveat": (322, 281), "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424), "pidfd_open": (434, 434), "pidfd_getfd": (438, 438),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "ptrace": (101, 117),
    "process_madvise": (440, 440), "prlimit64": (302, 261), "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119), "sched_setattr": (314, 274), "setpriority": (141, 140),
    "chmod": (90, -1), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
    "chown": (92, -1), "fchown": (93, 55), "lchown": (94, -1), "fchownat": (260, 54),
    "utime": (132, -1), "utimes": (235, -1), "futimesat": (261, -1), "utimensat": (280, 88),
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "setxattrat": (463, 463),
    "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
    "removexattrat": (466, 466), "truncate": (76, 45), "mount": (165, 40), "umount2": (166, 39),
    "pivot_root": (155, 41), "chroot": (161, 51), "unshare": (272, 97), "setns": (308, 268),
    "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsmount": (432, 432), "mount_setattr": (442, 442), "bpf": (321, 280),
    "perf_event_open": (298, 241), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "init_module": (175, 105), "finit_module": (313, 273), "kexec_load": (246, 104),
    "reboot": (169, 142), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "msgget": (68, 186),
    "semget": (64, 190), "mq_open": (240, 180), "kcmp": (312, 272),
}  # fmt: skip
# of these an enclosed program is kept, too: the kernel's keys and its log know no namespaces,
# and what else there is for those who administer a system only makes the kernel's face larger
_ADMINISTRATION = (
    "mount", "umount2", "pivot_root", "chroot", "setns", "open_tree", "move_mount", "fsopen",
    "fsmount", "mount_setattr", "bpf", "perf_event_open", "userfaultfd", "add_key",
    "request_key", "keyctl", "init_module", "finit_module", "kexec_load", "reboot",
    "open_by_handle_at", "pidfd_getfd", "kcmp",
)  # fmt: skip
# what reaches into a process, and which argument tells into which one
_REACHING = {"ptrace": 24, "process_vm_readv": 16, "process_vm_writev": 16}
_LOG, _IO_URING = (103, 116), (425, 425)
_CLONE, _CLONE3, _UNSHARE = (56, 220), (435, 435), (272, 97)
_SOCKET, _IOCTL = (41, 198), (16, 29)
_NAMESPACES = 0x7E020000
_TERMINAL = (0x5412, 0x541C)  # TIOCSTI and TIOCLINUX: type into a terminal
_FAMILIES, _NETLINK = (1, 2, 10), 16  # AF_UNIX, AF_INET, AF_INET6
_LOAD, _EQUAL, _LEAST, _BITS, _KIND, _LEAVE = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x50000
_REFUSE = (_LEAVE, 0, 0, _ERRNO | errno.EPERM)
_FIRST, _SECOND, _THIRD = 16, 24, 32  # where the filter finds the arguments of a call
_Step: TypeAlias = "tuple[int, int, int, int]"
_PAIR = (53, 199)  # of streams: a loop of events wakes itself by one, and it leads nowhere else
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}


def missing_walls() -> str:
    """Say which walls cannot be had on this system; empty when all can."""
    if sys.platform != "linux":
        return "files and the network cannot be closed on this system"
    if _landlock_version() < 1:
        return "this kernel cannot close files (it has no Landlock)"
    if platform.machine() not in _MACHINES:
        return "calls to the system cannot be closed on this kind of processor"
    return ""


def reader_words() -> str:
    """Say how templates, filters and validators of others are evaluated here."""
    told = "in a process of its own, whose memory and time are limited"
    missing = missing_walls()
    if missing:
        return f"{told}; weaker here: {missing}."
    return f"{told}; it sees its job and the tool's folder, writes nothing, has no network."


def system_places() -> list[str]:
    """Return what Python reads while it runs: itself, its packages, the system's libraries.

    Nothing of the user's own that lies in there, or around modules on Python's path.
    """
    prefixes = sys.prefix, sys.base_prefix
    return _system_places(tuple(private_places()), prefixes, tuple(filter(None, sys.path)))


@functools.lru_cache(maxsize=4)
def _system_places(
    hidden: tuple[str, ...], prefixes: tuple[str, ...], given: tuple[str, ...]
) -> list[str]:
    told = ["/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/etc/mime.types"]
    told += [os.path.join(one, part) for one in prefixes for part in ("lib", "lib64", "share")]
    others = (Path(one) for one in given if not any(is_below(one, place) for place in told))
    told += [str(part) for one in others for part in importable(one)]
    opened = [part for one in told for part in spared(os.path.realpath(one), hidden)]
    # these are links, or no files
    opened += ["/dev/null", "/dev/urandom", "/dev/zero"]
    return [*opened, "/proc/self", "/proc/cpuinfo", "/proc/meminfo"]


def wall_in(
    places: Iterable[str],
    memory: int,
    seconds: int,
    writes: Sequence[str] = (),
    *,
    maps: bool = False,
) -> None:
    """Close this process in: it reads below `places` only, and reaches nothing else.

    Parameters
    ----------
    memory : int
        Bytes that it may take besides what it has.
    seconds : int
        Of a processor.
    writes : sequence of str
        Folders for what it puts away meanwhile.
    maps : bool
        Files that are only mapped do not count as memory.
    """
    _limit(memory, seconds, memory if writes else 0, maps=maps)
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    _close_files(libc, places, frozenset(writes))
    # rights of the super-user, if it has them; one is kept: to read in `places` what is of others
    header, rights = struct.pack("Ii", 0x20080522, 0), ctypes.create_string_buffer(24)
    libc.capget(header, rights)
    kept = struct.unpack("6I", rights.raw)[1] & _READ_OF_OTHERS
    libc.capset(header, struct.pack("6I", kept, kept, 0, 0, 0, 0))
    _forbid(libc)


def end_with_parent() -> None:
    """Let the system end this process when the one that forked it dies, however it dies.

    Of Linux, and for a parent of one thread: the signal comes when the forking thread ends.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_END_WITH_PARENT, signal.SIGKILL, 0, 0, 0)


def _limit(memory: int, seconds: int, written: int, *, maps: bool) -> None:
    with suppress(ImportError):
        import resource

        limits = [
            (resource.RLIMIT_FSIZE, written, 0),
            (resource.RLIMIT_CORE, 0, 0),
            (resource.RLIMIT_NOFILE, _FILES, 0),
            (resource.RLIMIT_DATA if maps else resource.RLIMIT_AS, _size(maps) + memory, 0),
            # first a signal that says why, then one that cannot be ignored
            (resource.RLIMIT_CPU, seconds, 5),
        ]
        for which, most, more in limits:
            hard = resource.getrlimit(which)[1]
            known = hard != resource.RLIM_INFINITY
            soft = min(most, hard) if known else most
            last = min(most + more, hard) if known else most + more
            # a system may know a limit and refuse it
            with suppress(OSError, ValueError):
                resource.setrlimit(which, (soft, last))


def _size(data: bool) -> int:
    try:
        pages = int(Path("/proc/self/statm").read_bytes().split()[5 if data else 0])
    except (OSError, ValueError):
        return 1 << 40  # not told: the address space of another system means little
    return pages * os.sysconf("SC_PAGE_SIZE")


def _landlock_version() -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    return int(libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1))


def _close_files(libc: ctypes.CDLL, places: Iterable[str], writes: frozenset[str]) -> None:
    version = _landlock_version()
    if version < 1:
        return
    handled = (1 << _ACCESSES.get(version, 16)) - 1
    # files; TCP; signals and abstract sockets: each newer kernel knows more
    told = struct.pack("QQQ", handled, 3, 3)[: 24 if version >= 6 else 16 if version >= 4 else 8]
    rules = libc.syscall(_LANDLOCK_CREATE, told, ctypes.c_size_t(len(told)), 0)
    if rules < 0:
        raise OSError(ctypes.get_errno(), "the files cannot be closed")
    for place in dict.fromkeys(places):
        try:
            found = os.open(place, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue  # it is not there
        allowed = _READ_FILE | (_READ_DIR if os.path.isdir(place) else 0)
        if place in writes:
            allowed |= _WRITE & handled
        rule = struct.pack("=Qi", allowed, found)
        failed = libc.syscall(_LANDLOCK_ADD, rules, 1, rule, 0)
        os.close(found)
        if failed:
            raise OSError(ctypes.get_errno(), f"{place} cannot be opened to the reader")
    if libc.syscall(_LANDLOCK_RESTRICT, rules, 0):
        raise OSError(ctypes.get_errno(), "the files cannot be closed")
    os.close(rules)


def _forbid(libc: ctypes.CDLL) -> None:
    known = _MACHINES.get(platform.machine())
    if known is None:
        return
    column, machine = known
    steps = _beginning(machine)
    for numbers in _FORBIDDEN.values():
        steps += _call(numbers[column], _REFUSE)
    steps += _call(_CLONE3[column], (_LEAVE, 0, 0, _ERRNO | errno.ENOSYS))
    allow = (_LEAVE, 0, 0, _ALLOW)
    pair = (_LOAD, 0, 0, _SECOND), (_KIND, 0, 0, 0xF), (_EQUAL, 0, 1, 1), allow, _REFUSE
    steps += _call(_PAIR[column], *pair)
    # a thread may be started, a process not
    steps += _call(_CLONE[column], (_LOAD, 0, 0, _FIRST), (_BITS, 1, 0, _THREAD), _REFUSE, allow)
    packed = _packed([*steps, allow])
    code = ctypes.create_string_buffer(packed)
    program = struct.pack("HxxxxxxP", len(packed) // 8, ctypes.addressof(code))
    if libc.prctl(_SECCOMP, _FILTER, program, 0, 0):
        raise OSError(ctypes.get_errno(), "the calls to the system cannot be closed")


# -- programs ------------------------------------------------------------------------------


@functools.cache
def program_filter(*allowed: str) -> bytes:
    """Return what an enclosed program may not ask the kernel for; empty where there is none.

    `allowed`: calls of administrators that it needs all the same.

    Keys, the kernel's log, further namespaces, sockets of other kinds than local ones and
    the internet's (those to hypervisors pass namespaces by), typing into terminals, and what
    reaches into the first process of the enclosure, which is no program's.
    """
    known = _MACHINES.get(platform.machine())
    if sys.platform != "linux" or known is None:
        return b""
    column, machine = known
    allow, unknown = (_LEAVE, 0, 0, _ALLOW), (_LEAVE, 0, 0, _ERRNO | errno.ENOSYS)
    steps = _beginning(machine)
    refused = (_FORBIDDEN[name] for name in _ADMINISTRATION if name not in allowed)
    for numbers in (_LOG, *refused):
        steps += _call(numbers[column], _REFUSE)
    # who finds neither uses their forerunners, whose arguments can be looked at
    for numbers in (_CLONE3, _IO_URING):
        steps += _call(numbers[column], unknown)
    for numbers in (_CLONE, _UNSHARE):
        looked = (_LOAD, 0, 0, _FIRST), (_BITS, 0, 1, _NAMESPACES)
        steps += _call(numbers[column], *looked, _REFUSE, allow)
    for name, place in _REACHING.items():
        looked = (_LOAD, 0, 0, place), (_EQUAL, 0, 1, 1)
        steps += _call(_FORBIDDEN[name][column], *looked, _REFUSE, allow)
    typed = [(_EQUAL, 2 - n, 0, one) for n, one in enumerate(_TERMINAL)]
    steps += _call(_IOCTL[column], (_LOAD, 0, 0, _SECOND), *typed, allow, _REFUSE)
    # of netlink the routes, which tell a program its own addresses
    netlink = (_EQUAL, 0, 2, _NETLINK), (_LOAD, 0, 0, _THIRD), (_EQUAL, 1, 0, 0)
    families = [(_EQUAL, 6 - n, 0, one) for n, one in enumerate(_FAMILIES)]
    refuse = (_LEAVE, 0, 0, _ERRNO | errno.EAFNOSUPPORT)
    steps += _call(_SOCKET[column], (_LOAD, 0, 0, _FIRST), *families, *netlink, refuse, allow)
    return _packed([*steps, allow])


def hold(pid: int) -> int:
    """Return a descriptor of a process that is readable once it ended, and never another's.

    Not by ``os``, which lacks it in a Python that was built for older systems.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    held = int(libc.syscall(_FORBIDDEN["pidfd_open"][0], pid, 0))
    if held < 0:
        raise OSError(ctypes.get_errno(), "the process cannot be held")
    return held


def end_held(held: int) -> None:
    """Kill the process of a descriptor of `hold`, if it has not ended."""
    number = _FORBIDDEN["pidfd_send_signal"][0]
    ctypes.CDLL(None).syscall(number, held, int(signal.SIGKILL), None, 0)


def keep_apart() -> bool:
    """Keep this thread, and what it starts, from abstract sockets and processes of others.

    Whether the kernel can (from version 6 of Landlock on). It does nothing else: what is
    started may mount and open what it likes.
    """
    if sys.platform != "linux" or _landlock_version() < 6:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    told = struct.pack("QQQ", 0, 0, 3)
    rules = libc.syscall(_LANDLOCK_CREATE, told, ctypes.c_size_t(len(told)), 0)
    if rules < 0:
        return False
    try:
        libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        return not libc.syscall(_LANDLOCK_RESTRICT, rules, 0)
    finally:
        os.close(rules)


def _beginning(machine: int) -> list[_Step]:
    """Return the steps that refuse other numberings of calls than this processor's own."""
    steps = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, machine), _REFUSE, (_LOAD, 0, 0, 0)]
    return [*steps, (_LEAST, 0, 1, 0x40000000), _REFUSE]


def _call(number: int, *body: _Step) -> list[_Step]:
    """Return the steps for one call; `body` ends with a verdict, or leaves what was loaded."""
    return [] if number < 0 else [(_EQUAL, 0, len(body), number), *body]


def _packed(steps: Iterable[_Step]) -> bytes:
    return b"".join(struct.pack("HBBI", *step) for step in steps)
