"""What the walls ask of the kernel, also of kernels and processors that are not here."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from napari_tool_runner.tools.isolation import walls
from napari_tool_runner.tools.isolation.walls import missing_walls, program_filter, reader_words

if sys.platform != "linux":
    pytest.skip("the walls of Linux", allow_module_level=True)

ALLOWED = 0x7FFF0000
EPERM, ENOSYS, EAFNOSUPPORT = (
    0x50000 | one for one in (errno.EPERM, errno.ENOSYS, errno.EAFNOSUPPORT)
)
# the numbering of each processor, and calls by the names of its kernel's headers
MACHINES = {
    "x86_64": (0xC000003E, {
        "read": 0, "write": 1, "ioctl": 16, "socket": 41, "socketpair": 53, "sendto": 44,
        "clone": 56, "clone3": 435, "unshare": 272, "execve": 59, "kill": 62, "ptrace": 101,
        "process_vm_readv": 310, "openat": 257, "keyctl": 250, "syslog": 103, "io_uring": 425,
        "mount": 165,
    }),
    "aarch64": (0xC00000B7, {
        "read": 63, "write": 64, "ioctl": 29, "socket": 198, "socketpair": 199, "sendto": 206,
        "clone": 220, "clone3": 435, "unshare": 97, "execve": 221, "kill": 129, "ptrace": 117,
        "process_vm_readv": 270, "openat": 56, "keyctl": 219, "syslog": 116, "io_uring": 425,
        "mount": 40,
    }),
}  # fmt: skip


class Kernel:
    """Stands for the C library: notes what it is asked, as a kernel of this Landlock."""

    def __init__(self, landlock: int = 6, refuses: int = -1) -> None:
        self.landlock, self.refuses = landlock, refuses
        self.filter = b""
        self.rights: tuple[int, ...] = ()
        self.rules: dict[int, int] = {}
        self.handled = b""

    def prctl(self, what: int, *given: object) -> int:
        if what == 22:
            count, address = struct.unpack("HxxxxxxP", given[1])
            self.filter = ctypes.string_at(address, 8 * count)
        return -1 if what == self.refuses else 0

    def syscall(self, number: int, *given: object) -> int:
        if number == 444 and given[0] is None:
            return self.landlock
        if number == 444:
            assert isinstance(given[0], bytes)
            self.handled = given[0]
            return -1 if number == self.refuses else 9999
        if number == 445:
            allowed, _ = struct.unpack("=Qi", given[2])
            self.rules[allowed] = self.rules.get(allowed, 0) + 1
        return -1 if number == self.refuses else 0

    def capget(self, _: object, rights: ctypes.Array[ctypes.c_char]) -> int:
        rights.raw = struct.pack("6I", 0, 0xFFFFFFFF, 0, 0, 0xFFFFFFFF, 0)
        return 0

    def capset(self, _: object, rights: bytes) -> int:
        self.rights = struct.unpack("6I", rights)
        return 0


@pytest.fixture
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """Such a kernel takes the place of this one; its rules have no descriptor."""
    made, close = Kernel(**getattr(request, "param", {})), os.close
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: made)
    monkeypatch.setattr(walls, "_limit", lambda *_, **__: None)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(os, "close", lambda one: None if one == 9999 else close(one))
    return made


def verdict(steps: bytes, machine: int, number: int, *arguments: int) -> int:
    """Run a filter as the kernel does; the answer to one call."""
    given = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("IIQ6Q", number & 0xFFFFFFFF, machine, 0, *given)
    code = list(struct.iter_unpack("HBBI", steps))
    at = held = 0
    while True:
        kind, yes, no, value = code[at]
        at += 1
        match kind:
            case 0x20:
                (held,) = struct.unpack_from("I", data, value)
            case 0x54:
                held &= value
            case 0x15:
                at += yes if held == value else no
            case 0x35:
                at += yes if held >= value else no
            case 0x45:
                at += yes if held & value else no
            case 0x06:
                return value
            case _:
                raise AssertionError(f"a step of kind {kind:#x}")


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(platform, "machine", lambda: request.param)
    program_filter.cache_clear()
    yield request.param
    program_filter.cache_clear()


def test_calls_that_the_reader_is_refused(machine: str) -> None:
    kernel = Kernel()
    walls._forbid(kernel)  # type: ignore[arg-type]
    steps, (known, number) = kernel.filter, MACHINES[machine]
    column = list(MACHINES).index(machine)
    for name, numbers in walls._FORBIDDEN.items():
        if numbers[column] >= 0:
            assert verdict(steps, known, numbers[column]) == EPERM, name
    for name in ("read", "write", "openat", "sendto"):
        assert verdict(steps, known, number[name]) == ALLOWED, name
    for name in ("socket", "execve", "kill", "keyctl", "mount", "ptrace"):
        assert verdict(steps, known, number[name]) == EPERM, name
    assert verdict(steps, known, number["clone3"]) == ENOSYS
    assert verdict(steps, known, number["clone"], 0x11) == EPERM
    assert verdict(steps, known, number["clone"], 0x10000) == ALLOWED  # a thread
    assert verdict(steps, known, number["socketpair"], 1, 1 | 0o2000000) == ALLOWED
    assert verdict(steps, known, number["socketpair"], 1, 2) == EPERM  # carries descriptors' names
    assert verdict(steps, known ^ 1, number["read"]) == EPERM  # the numbers of another processor
    assert verdict(steps, known, 0x40000000 | number["read"]) == EPERM


def test_calls_that_a_program_is_refused(machine: str) -> None:
    steps, (known, number) = program_filter(), MACHINES[machine]

    def asked(name: str, *arguments: int) -> int:
        return verdict(steps, known, number[name], *arguments)

    for name in ("read", "openat", "execve", "kill"):
        assert asked(name) == ALLOWED, name
    for name in ("keyctl", "syslog", "mount"):
        assert asked(name) == EPERM, name
    assert {asked("clone3"), asked("io_uring")} == {ENOSYS}
    for name in ("clone", "unshare"):
        assert asked(name, 0x11) == ALLOWED
        for bit in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
            assert asked(name, bit | 0x11) == EPERM, hex(bit)
    assert asked("ptrace", 16, 1) == asked("process_vm_readv", 1) == EPERM
    assert asked("ptrace", 16, 1 << 32 | 1) == EPERM  # the kernel looks at half of it
    assert asked("ptrace", 16, 7) == asked("process_vm_readv", 7) == ALLOWED
    assert asked("ioctl", 0, 0x5412) == asked("ioctl", 0, 1 << 32 | 0x541C) == EPERM
    assert asked("ioctl", 0, 0x5413) == ALLOWED
    for family in range(64):
        inside = family in (1, 2, 10)
        assert asked("socket", family, 1, 0) == (
            ALLOWED if inside or family == 16 else EAFNOSUPPORT
        )
    assert asked("socket", 16, 3, 9) == EAFNOSUPPORT  # of netlink the routes only
    assert verdict(steps, known ^ 1, number["read"]) == EPERM
    assert verdict(steps, known, 0x40000000) == EPERM


@pytest.mark.parametrize(
    ("kernel", "size", "kinds"),
    [({"landlock": one}, *told) for one, *told in (
        (1, 8, 13), (2, 8, 14), (3, 8, 15), (4, 16, 15), (6, 24, 16))],
    indirect=["kernel"],
)  # fmt: skip
def test_each_kernel_is_asked_for_what_it_knows(
    kernel: Kernel, size: int, kinds: int, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    places = [str(tmp_path), str(tmp_path / "file"), str(tmp_path / "absent"), str(tmp_path)]
    walls.wall_in(places, 1 << 30, 5, [str(tmp_path)])
    assert len(kernel.handled) == size
    (handled,) = struct.unpack_from("Q", kernel.handled)
    assert handled == (1 << kinds) - 1
    reads, enters, truncates = 1 << 2, 1 << 3, 1 << 14
    assert sorted(kernel.rules.values()) == [1, 1]  # each place once
    folder, file = sorted(kernel.rules, reverse=True)
    assert file == reads
    assert folder & reads
    assert folder & enters
    assert not folder & ~handled
    assert bool(folder & truncates) is (kinds > 14)
    # of the super-user's rights one is left: to read what is of others, where files are open
    assert kernel.rights == (2, 2, 0, 0, 0, 0)


@pytest.mark.parametrize("kernel", [{"landlock": 0}], indirect=True)
def test_without_landlock_no_rule_is_made(kernel: Kernel) -> None:
    walls.wall_in(walls.system_places(), 1 << 30, 5)
    assert not kernel.handled
    assert kernel.filter


REFUSALS = {444: "the files", 445: "/usr cannot be opened", 446: "the files", 22: "the calls"}


@pytest.mark.parametrize(
    ("kernel", "told"), [({"refuses": one}, told) for one, told in REFUSALS.items()],
    indirect=["kernel"],
)  # fmt: skip
def test_a_wall_that_the_kernel_refuses_is_an_error(kernel: Kernel, told: str) -> None:
    with pytest.raises(OSError, match=told):
        walls.wall_in(["/usr"], 1 << 30, 5)


@pytest.mark.parametrize("maps", [False, True])
@pytest.mark.parametrize("hard", [resource.RLIM_INFINITY, 1000])
def test_limits_are_those_asked_for_and_never_raised(
    hard: int, maps: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: dict[int, tuple[int, int]] = {}
    monkeypatch.setattr(resource, "getrlimit", lambda _: (0, hard))
    monkeypatch.setattr(resource, "setrlimit", limits.__setitem__)
    walls._limit(1 << 30, 7, 0, maps=maps)
    assert limits[resource.RLIMIT_FSIZE] == limits[resource.RLIMIT_CORE] == (0, 0)
    assert limits[resource.RLIMIT_CPU] == (7, 12)
    soft, most = limits[resource.RLIMIT_DATA if maps else resource.RLIMIT_AS]
    assert soft == most
    assert soft == hard if hard == 1000 else soft > 1 << 30
    other = resource.RLIMIT_AS if maps else resource.RLIMIT_DATA
    assert other not in limits


def test_a_limit_that_the_system_refuses_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ValueError

    monkeypatch.setattr(resource, "setrlimit", refuse)
    monkeypatch.setattr(walls.Path, "read_bytes", lambda _: b"odd")
    walls._limit(1 << 30, 7, 0, maps=False)


def test_what_is_weaker_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walls, "_landlock_version", lambda: 6)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert not missing_walls()
    assert "writes nothing" in reader_words()
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert "this kind of processor" in reader_words()
    program_filter.cache_clear()
    assert program_filter() == b""
    program_filter.cache_clear()
    walls._forbid(Kernel())  # type: ignore[arg-type]
    monkeypatch.setattr(walls, "_landlock_version", lambda: 0)
    assert "no Landlock" in reader_words()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "on this system" in reader_words()
    assert walls.keep_apart() is False


@pytest.mark.parametrize(
    ("kernel", "apart"),
    [({}, True), ({"refuses": 444}, False), ({"refuses": 446}, False), ({"landlock": 5}, False)],
    indirect=["kernel"],
)
def test_who_cannot_be_kept_apart_is_told(kernel: Kernel, apart: bool) -> None:
    assert walls.keep_apart() is apart
    if kernel.landlock > 5:
        assert struct.unpack("QQQ", kernel.handled) == (0, 0, 3)  # no file is closed


def test_a_process_that_is_none_cannot_be_held() -> None:
    with pytest.raises(OSError, match="cannot be held"):
        walls.hold(2**22 + 1)
