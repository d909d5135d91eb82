"""What an enclosed program can ask the kernel for reaches nothing beyond its job."""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import napari_tool_runner as ntr
from napari_tool_runner.errors import RunnerExecError
from napari_tool_runner.plugins import Mount
from napari_tool_runner.plugins.programs.enclosure import enclosure_problem
from napari_tool_runner.plugins.runner_local import LocalRunnerService
from napari_tool_runner.tools.isolation.walls import keep_apart, program_filter
from plugins.runner_helpers import make_process

if TYPE_CHECKING:
    from jobs.conftest import MakeTool

pytestmark = pytest.mark.skipif(bool(enclosure_problem()), reason="no bubblewrap here")
NO_DATA = {"inputs": "", "outputs": '<data name="o" format="txt"/>', "arguments": "${o}"}

# (call, number on x86_64, arguments): all must fail
CALLS = """
("keyctl: the session's keys", 250, 0, -3, 0), ("keyctl: read", 250, 11, -3, 0),
("add_key", 248, b"user", b"name", b"v", 1, -3), ("request_key", 249, b"user", b"name", 0, -3),
("the kernel's log", 103, 10, 0, 0), ("bpf", 321, 0, 0, 0),
("perf_event_open", 298, 0, 0, -1, -1, 0), ("userfaultfd", 323, 0),
("userfaultfd, of the user only", 323, 1), ("io_uring_setup", 425, 8, bytes(120)),
("unshare: a user", 272, 0x10000000), ("unshare: mounts", 272, 0x20000),
("clone: a user", 56, 0x10000011, 0, 0, 0, 0), ("clone3", 435, bytes(88), 88),
("setns", 308, 0, 0), ("mount", 165, b"none", b"/tmp", b"tmpfs", 0, 0),
("umount", 166, b"/etc", 2), ("pivot_root", 155, b"/tmp", b"/tmp"), ("chroot", 161, b"/tmp"),
("fsopen", 430, b"tmpfs", 0), ("open_tree", 428, -100, b"/", 1),
("x32's numbers", 0x40000000 + 39),
("init_module", 175, 0, 0, b""), ("kexec_load", 246, 0, 0, 0, 0), ("reboot", 169, 1, 2, 3, 0),
("swapon", 167, b"/x", 0), ("acct", 163, 0), ("settimeofday", 164, bytes(16), 0),
("TIOCSTI", 16, 0, 0x5412, b"x"),
("TIOCSTI with high bits", 16, 0, 0x100005412, b"x"), ("TIOCLINUX", 16, 0, 0x541C, b"x"),
("open_by_handle_at", 304, 0, bytes(128), 0), ("iopl", 172, 3), ("personality and setuid", 105, 1),
("shmat of others", 30, 0, 0, 0), ("ptrace: seize", 101, 0x4206, 1, 0, 0),
("ptrace: attach, with high bits", 101, 16, 0x100000001, 0, 0), ("kcmp", 312, 1, 1, 0, 0, 0),
("process_vm_readv", 310, 1, 0, 0, 0, 0, 0), ("process_vm_writev", 311, 1, 0, 0, 0, 0, 0),
("pidfd_getfd", 438, os.pidfd_open(os.getpid()) if hasattr(os, "pidfd_open") else 0, 0, 0),
("quotactl", 179, 0x800001, 0, 0, 0),
"""
SPY = f"""
import ctypes, os, pathlib, socket, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
got = []
for name, number, *given in [{CALLS}]:
    if ctypes.sizeof(ctypes.c_void_p) == 8 and os.uname().machine != "x86_64":
        break
    if name.startswith("personality") and os.getuid() == 1:
        continue
    given = [(ctypes.c_char_p if isinstance(one, bytes) else ctypes.c_long)(one) for one in given]
    done = libc.syscall(ctypes.c_long(number), *given)
    if done == 0 and name.startswith("clone"):
        os._exit(0)
    if done != -1:
        got.append(name)
for family in range(46):
    if family in (1, 2, 10, 16):
        continue
    try:
        socket.socket(family, socket.SOCK_DGRAM, 0)
        got.append(f"socket family {{family}}")
    except OSError:
        pass
for protocol in range(1, 22):
    try:
        socket.socket(16, socket.SOCK_RAW, protocol)
        got.append(f"netlink {{protocol}}")
    except OSError:
        pass
for path in ("/etc/shadow", "/etc/gshadow", "/etc/shadow-", "/etc/ssh/ssh_host_ed25519_key",
             "/sys/kernel/debug/x", "/sys/kernel/tracing/trace", "/sys/kernel/security/lsm",
             "/sys/firmware/dmi/tables/DMI", "/proc/kcore", "/proc/kmsg", "/proc/1/environ",
             "/proc/1/root/etc/hostname", "/dev/mem", "/dev/kmsg", "/dev/sda", "/dev/vsock",
             "/dev/fuse", "/dev/kvm", "/dev/tty", "/dev/console", "/dev/net/tun"):
    try:
        with open(path, "rb") as file:
            if path.startswith("/proc/1/") and b"sleeper" not in file.read():
                continue
            got.append("read " + path)
    except OSError:
        pass
for path in ("/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/1/mem",
             "/proc/1/task/1/mem",
             "/sys/fs/cgroup/cgroup.procs", "/sys/class/leds/x", "/etc/passwd", "/usr/x", "/x",
             "/proc/irq/default_smp_affinity", "/proc/acpi/x", "/sys/module/x"):
    try:
        open(path, "r+b" if path.endswith("mem") else "ab", 0).close()
        got.append("write " + path)
    except OSError:
        pass
got += [f"process {{one}}" for one in os.listdir("/proc") if one.isdecimal() and int(one) > 60]
for name in ("sudo", "su", "mount", "passwd", "chsh"):
    path = f"/usr/bin/{{name}}"
    if os.path.exists(path):
        said = subprocess.run([path, "-c", "id"], input=b"", capture_output=True).stdout
        if b"uid=0" in said and os.getuid():
            got.append(name)
status = pathlib.Path("/proc/self/status").read_text()
for line in ("NoNewPrivs:\\t1", "CapEff:\\t0000000000000000", "CapBnd:\\t0000000000000000",
             "Seccomp:\\t2"):
    if line not in status:
        got.append("without " + line)
# who could change the first process of its own walls would outlive its job
got += [f"/proc/1/{{one}}" for one in os.listdir("/proc/1")]
for kind, place in {{places}}:
    try:
        socket.socket(*kind).connect(place)
        got.append(f"connected to {{place!r}}")
    except OSError:
        pass
open(sys.argv[1], "w").write("\\n".join(got))
"""


def told(tool: ntr.Tool, config: dict[str, object], **runner: object) -> str:
    config["runner"] = {"service": "LOCAL", **runner}
    return ntr.run(tool, config=config).outputs["o"].path.read_text()


@pytest.mark.parametrize("network", [False, True])
def test_nothing_is_got_from_the_kernel(
    make_tool: MakeTool, config: dict[str, object], tmp_path: Path, network: bool
) -> None:
    name = f"\0napari-tool-runner-{os.getpid()}"
    with (
        socket.socket(socket.AF_UNIX) as abstract,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as letters,
        socket.socket(socket.AF_UNIX) as named,
    ):
        abstract.bind(name)
        letters.bind(f"{name}-letters")
        named.bind(str(tmp_path / "agent"))
        abstract.listen()
        named.listen()
        places = [((1, 1), name), ((1, 2), f"{name}-letters"), ((1, 1), str(tmp_path / "agent"))]
        script = SPY.replace("{places}", repr(places))
        assert not told(make_tool(script, name="spy", **NO_DATA), config, network=network)


def test_what_programs_need_of_the_kernel_is_there(
    make_tool: MakeTool, config: dict[str, object]
) -> None:
    """Threads, processes, pools, shared memory, sockets among themselves, addresses, timers."""
    script = """
        import asyncio, concurrent.futures as cf, mmap, multiprocessing as mp, os, select, signal
        import socket, subprocess, sys, threading
        from multiprocessing import shared_memory
        def double(x): return 2 * x
        if __name__ == "__main__":
            got = []
            for way in ("fork", "spawn"):
                with mp.get_context(way).Pool(2) as pool:
                    got.append(pool.map(double, [1, 2]) == [2, 4])
            with cf.ThreadPoolExecutor(4) as pool:
                got.append(list(pool.map(double, range(9)))[-1] == 16)
            memory = shared_memory.SharedMemory(create=True, size=1 << 20)
            memory.buf[0] = 7
            again = shared_memory.SharedMemory(memory.name)
            got.append(again.buf[0] == 7)
            memory.unlink()
            for family, place in ((socket.AF_UNIX, "\\0own"), (socket.AF_UNIX, "own"),
                                  (socket.AF_INET, ("127.0.0.1", 0))):
                server = socket.socket(family)
                server.bind(place)
                server.listen()
                client = socket.socket(family)
                client.connect(server.getsockname())
                got.append(True)
            got.append(bool(socket.if_nameindex()))
            got.append(asyncio.run(asyncio.sleep(0, True)))
            got.append(subprocess.check_output("echo x | cat", shell=True) == b"x\\n")
            got.append(os.cpu_count() > 0 and os.sched_getaffinity(0) != set())
            os.posix_spawn("/bin/true", ["true"], {})
            a, b = os.openpty()
            got.append(os.isatty(b))
            reader, writer = os.pipe()
            poll = select.epoll(); poll.register(reader)
            signal.setitimer(signal.ITIMER_REAL, 100)
            with open("/proc/self/status") as file:
                got.append("Seccomp" in file.read())
            import ctypes, psutil
            libc, child = ctypes.CDLL(None), subprocess.Popen(["sleep", "9"])
            if os.uname().machine == "x86_64":  # debuggers, and messages of parallel programs
                got.append(libc.syscall(101, 0x4206, child.pid, None, None) == 0)
                got.append(libc.syscall(310, child.pid, None, 0, None, 0, 0) == 0)
            got.append(child.pid in [one.pid for one in psutil.process_iter(["name"])])
            child.kill()
            got.append("sleep" in subprocess.check_output(["ps", "-A"], text=True))
            open(sys.argv[1], "w").write(repr(all(got)) + repr(got))
    """
    for network in (False, True):
        assert told(make_tool(script, **NO_DATA), config, network=network).startswith("True")


def test_apart_is_a_matter_of_one_start(tmp_path: Path) -> None:
    """Neither this process nor what it starts later is kept from anything."""
    if not program_filter():
        pytest.skip("this processor has no filter")
    process, _ = make_process(tmp_path / "job")
    process.context.root = tmp_path / "job"
    process.context.network = True
    process.context.mounts = [Mount(tmp_path / "job", read_only=False)]
    own = partial(ctypes.CDLL(None).prctl, 39, 0, 0, 0, 0)  # whether it may get no new privileges
    before = own()
    assert LocalRunnerService().exec(process, ["true"]) == 0
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0napari-tool-runner-{os.getpid()}")
        server.listen()
        code = f"import socket; socket.socket(1).connect({server.getsockname()!r})"
        subprocess.run([sys.executable, "-c", code], check=True)
    assert own() == before


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "script of a pipe"])
def test_a_program_that_is_no_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    process, _ = make_process(tmp_path / "job", timeout=20)
    process.context.root = tmp_path / "job"
    process.context.mounts = [Mount(tmp_path / "job", read_only=False)]
    pipe, program = tmp_path / "pipe", tmp_path / "job" / "work" / "program"
    os.mkfifo(pipe, 0o777)
    if kind == "folder":
        program.mkdir()
    elif kind == "script of a pipe":
        program.write_text(f"#!{pipe}\n")
        program.chmod(0o755)
    else:
        program.symlink_to(pipe if kind == "pipe" else "/dev/zero")
    if kind == "device" and not os.access(program, os.X_OK):
        pytest.skip("nobody may execute the device")
    for name in ("./program", str(program)):
        with pytest.raises(RunnerExecError, match=r"may not be executed|was not found|is missing"):
            LocalRunnerService().exec(process, [name])


@pytest.mark.skipif(os.geteuid() != 0, reason="root becomes somebody else")
def test_it_holds_for_an_ordinary_user(tmp_path: Path) -> None:
    """The walls of a user without rights; the kernel treats root's differently."""
    if shutil.which("setpriv") is None:
        pytest.skip("no setpriv")
    home = Path("/var/tmp") / f"napari-tool-runner-{os.getpid()}"
    try:
        (home / "work").mkdir(parents=True)
        script = SPY.replace("{places}", "[]")
        (home / "spy.py").write_text(textwrap.dedent(script))
        os.chmod(home, 0o755)
        os.chown(home / "work", 12345, 12345)
        code = f"""
            import sys
            sys.path += {[one for one in sys.path if one]!r}
            from pathlib import Path
            from napari_tool_runner.plugins.programs import enclosure as e
            home = Path({str(home)!r})
            options = e._options((), [*e.python_places(), home], home / "work", False)
            with e.Enclosure(options).start(
                [PYTHON, str(home / "spy.py"), str(home / "work" / "o")],
                home / "work", {{"PATH": "/usr/bin"}},
            ) as program:
                print(program.communicate()[1].decode())
        """
        words = ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", "env", "-i"]
        # this Python may lie where nobody else may look
        for python in (sys.executable, "/usr/bin/python3"):
            told = [*words, "HOME=/nowhere", "PATH=/usr/bin:/bin", python, "-c"]
            told.append(textwrap.dedent(code).replace("PYTHON", repr(python)))
            done = subprocess.run(told, capture_output=True, text=True, cwd="/", check=False)
            if done.returncode == 0:
                break
        if "Error: No module" in done.stderr or "Permission denied" in done.stderr:
            pytest.skip("no Python here is for everybody")
        assert (home / "work" / "o").read_text() == "", done.stderr
    finally:
        shutil.rmtree(home)


def test_the_kernel_keeps_apart_or_says_that_it_cannot() -> None:
    code = "from napari_tool_runner.tools.isolation.walls import keep_apart; print(keep_apart())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in ("True", "False")
    assert callable(keep_apart)


@pytest.mark.skipif(os.geteuid() != 0, reason="devices belong to root")
def test_no_program_of_root_changes_the_devices_of_everybody(
    make_tool: MakeTool, config: dict[str, object]
) -> None:
    names = ("null", "zero", "full", "random", "urandom", "tty")
    before = {name: os.stat(f"/dev/{name}").st_mode for name in names}
    script = f"""
    import os, sys
    open("/dev/null", "w").write("x")
    got = [os.path.getsize("/dev/null"), len(open("/dev/zero", "rb").read(4))]
    got.append(len(open("/dev/urandom", "rb").read(4)))
    for name in {names}:
        os.chmod("/dev/" + name, 0o600)
    for one in range(3):
        os.fchmod(one, 0o600)
    open(sys.argv[1], "w").write(str(got))
    """
    tool = make_tool(textwrap.dedent(script), **NO_DATA)
    try:
        for _ in range(2):  # what the first does to its devices is no matter of the second
            assert told(tool, config) == "[0, 4, 4]"
        assert {name: os.stat(f"/dev/{name}").st_mode for name in names} == before
    finally:
        for name, mode in before.items():
            os.chmod(f"/dev/{name}", mode & 0o777)
