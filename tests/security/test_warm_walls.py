"""A program that is forked lies in the walls of its job, and so does what forks it."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from napari_tool_runner.plugins.programs.enclosure import enclosure_problem
from napari_tool_runner.plugins.warm.learned import known
from plugins.runner_helpers import wait_until
from plugins.warm_programs import Programs

pytestmark = [
    pytest.mark.usefixtures("warm"),
    pytest.mark.skipif(bool(enclosure_problem()), reason=enclosure_problem()),
]

# what it may and sees; a cold program is the measure
LOOK = """
import ctypes, os, re, socket, sys
status = open("/proc/self/status").read()
print(re.findall(r"(?:Cap|NoNew|Seccomp:|Uid|Gid).*", status))
seen = sorted(line.split()[4] for line in open("/proc/self/mountinfo"))
print([one for one in seen if not one.startswith("/run/warm")])
print(sorted(os.listdir("/")), os.path.exists(os.path.expanduser("~root/.profile")))
others = [one for one in os.listdir("/proc") if one.isdigit() and int(one) not in (1, os.getpid())]
# what holds the numbering is in walls of its own, and shows no more: see test_warm_next
others = [one for one in others if open("/proc/" + one + "/comm").read().strip() != "cat"]
print(max(([os.readlink("/proc/self/ns/" + n) == os.readlink("/proc/%s/ns/%s" % (pid, n))
    for n in ("mnt", "pid", "net", "ipc", "uts", "user")] for pid in others), default=[True] * 6))
print([os.readlink("/proc/self/ns/pid_for_children") == os.readlink("/proc/self/ns/pid")])
libc = ctypes.CDLL(None, use_errno=True)
for name, args in dict(
    setns=(0, 0), unshare=(0x20000,), mount=(b"none", b"/tmp", b"tmpfs", 0, 0),
    umount2=(b"/proc", 0), chroot=(b"/tmp",), sethostname=(b"x", 1), ptrace=(16, 1, 0, 0),
).items():
    print(name, getattr(libc, name)(*args), ctypes.get_errno())
for path in (sys.argv[1], "/etc/passwd", sys.executable, "/new"):
    try:
        open(path, "a").close()
    except OSError as error:
        print(path, error.errno)
with socket.socket() as link:
    print(link.connect_ex(("127.0.0.1", 9)))
print(socket.if_nameindex())
print(all(int(p) < 60 for p in os.listdir("/proc") if p.isdigit()))
"""


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    return Programs(tmp_path / "jobs" / "tool" / "job" / "io", enclose=True)


def test_it_has_the_walls_of_a_cold_program(programs: Programs, tmp_path: Path) -> None:
    original = tmp_path / "original"
    original.write_text("mine")
    name = programs.script(LOOK)
    programs.both("python", name, str(original))
    code, lines, errors = programs.both("bash", "-c", f"python {name} {original}; echo")
    assert (code, errors) == (0, [])
    assert len(lines) > 15
    assert original.read_text() == "mine"


def test_what_forks_sees_no_more_than_installations(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code of packages runs in there, ahead of any job, and looks into those that come."""
    secret = tmp_path / "jobs" / "secret"
    secret.parent.mkdir()
    secret.write_text("of another job")
    place = tmp_path / "installed"
    place.mkdir()
    code = f"""
        import os, sys, ctypes, socket, threading
        libc = ctypes.CDLL(None, use_errno=True)
        def spy():
            found = open(os.environ["HOME"] + "/../found", "a", buffering=1)
            print("at work", file=found)
            if libc.mount(b"x", b"/tmp", b"tmpfs", 0, 0) == 0 or libc.unshare(0x20000) == 0:
                print("namespaces", file=found)
            if [name for _, name in socket.if_nameindex()] != ["lo"]:
                print("network", file=found)
            for path in ({str(secret)!r}, {os.path.expanduser("~/.profile")!r}):
                if os.path.exists(path):
                    print(path, file=found)
            turns = 0
            while True:
                turns += 1
                if turns == 1000:
                    print("a thousand turns", file=found)
                for one in os.listdir("/proc"):
                    if not one.isdigit():
                        continue
                    for path in ("root{secret}", "cwd/../../../secret", "root/oldroot{secret}"):
                        if os.path.exists(f"/proc/{{one}}/{{path}}"):
                            print(one, path, file=found)
                    try:
                        namespace = os.open(f"/proc/{{one}}/ns/mnt", os.O_RDONLY)
                    except OSError:
                        continue
                    if os.fork() == 0:
                        if libc.setns(namespace, 0) == 0 and os.path.exists({str(secret)!r}):
                            print(one, "entered", file=found)
                        os._exit(0)
                    os.wait()
                    os.close(namespace)
        if type(sys.argv) is not list and os.fork() == 0:  # where it is imported ahead
            if os.fork() == 0:
                os.setsid()
                spy()
            os._exit(0)
    """
    (place / "hostile.py").write_text(textwrap.dedent(code))
    monkeypatch.syspath_prepend(place)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    name = programs.script(
        "import hostile, os\nprint([n for n in os.listdir('/run') if '-' in n])"
    )
    for _ in range(3):  # where a busy computer lets a program wait too long, nothing is learned
        programs.learn("python", name)
        (server,) = programs.servers
        found = server._scratch / "found"
        if wait_until(found.exists, 20.0):
            break
    assert found.exists(), server._said_once
    for _ in range(10):
        assert programs.run("python", name)[1] == ["[]"]
    assert wait_until(lambda: "thousand" in found.read_text(), 60.0)
    # it is imported once more where it was at work too late to be told from the next package
    assert set(found.read_text().split("\n")) == {"at work", "a thousand turns", ""}


ABUSE = """
import os, socket, struct, sys
path = os.environ["NAPARI_TOOL_RUNNER_WARM"]
def ask(data, files=(), wait=True):
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(10)
        link.connect(path)
        try:
            if files:
                socket.send_fds(link, [data[:8]], files)
            link.sendall(data[8 if files else 0:])
            if wait:
                link.shutdown(socket.SHUT_WR)
                return link.recv(1)
        except OSError as error:
            return repr(error)
def packed(*sections):
    data = b"".join(struct.pack("=Q", len(one)) + one for one in sections)
    return struct.pack("=Q", len(data)) + data
run = [b"run", b"kind", b"/bin/sh", b"/", b"", b"0 1 2", b"18\\n\\n", b"-c\\0print(1)\\0"]
run.append(b"A=1\\0")
for data in (b"", b"x", b"12345678", struct.pack("=Q", 1 << 62), packed(), packed(b"?"),
        packed(b"run"), packed(*run), struct.pack("=QQ", 16, 1 << 62) + b"12345678"):
    assert ask(data) in (b"", "ConnectionResetError(104, 'Connection reset by peer')"), data
null = os.open("/dev/null", os.O_RDWR)
assert ask(packed(*run), [null]) in (b"", "ConnectionResetError(104, 'Connection reset by peer')")
ask(packed(b"learned", b"os\\n../../x\\n-c\\nimport os\\n" + b"a" * 90_000))
ask(packed(b"learned", b"\\0\\xff\\n\\n" * 30_000))
for _ in range(20):
    ask(b"", wait=False)
print("done")
"""


def test_what_a_program_writes_into_the_socket_is_not_believed(programs: Programs) -> None:
    assert programs.run("python", programs.script(ABUSE))[1:] == (["done"], [])
    (server,) = programs.servers
    for one in known._found.values():
        told = [line.split("\t") for line in (one.told or "").split("\n")]
        assert not {line[1] for line in told if line[0] == "+"} & {"../../x", "-c", "import os"}
    assert programs.both("python", programs.script("print(1)"))[1] == ["1"]
    assert programs.servers == [server]


def test_a_call_from_no_enclosure_is_refused_where_there_should_be_one(programs: Programs) -> None:
    programs.learn("python", programs.script("import numpy"))
    (server,) = programs.servers
    mine, its = socket.socketpair()
    with mine, its:
        server.hand_over(None, "/none", [its.fileno()])
        its.close()
        sections = [b"run", b"", b"/bin/sh", b"/", b"", b"", b"18\n\n", b"-c\0print(1)\0", b""]
        data = b"".join(struct.pack("=Q", len(one)) + one for one in sections)
        mine.sendall(struct.pack("=Q", len(data)) + data)
        assert mine.recv(1) == b""


def test_what_programs_tell_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "_found", {})
    for number in range(400):
        known.of("python", "one", b"%d" % number)
        known.of("python", "one", b"0")
    assert 100 < len(known._found) < 300
    assert ("python", "one", b"0") in known._found


def test_a_tool_tells_nothing_of_another(programs: Programs) -> None:
    imports = known.of("python", "one", b"its script")
    assert known.hear("another", imports.number, "+\tnumpy\t/x") is None
    assert imports.told is None
    assert known.hear("one", imports.number, "+\tnumpy\t/x") is imports


def test_a_job_does_not_find_the_calls_of_another(programs: Programs, tmp_path: Path) -> None:
    text = """
        import os
        print(os.environ["NAPARI_TOOL_RUNNER_WARM"], sorted(os.listdir("/run/warm")))
        print([one for one in os.listdir("/proc") if one.isdigit() and int(one) > 60])
    """
    lines = programs.run("python", programs.script(text))[1]
    assert lines[0].startswith("/run/warm/socket ['bin', 'handover', 'real', 's")
    assert lines[1] == "[]"


@pytest.mark.skipif(os.geteuid() != 0, reason="root becomes somebody else")
def test_it_holds_for_an_ordinary_user() -> None:
    """Namespaces of a user without rights are others than root's."""
    if shutil.which("setpriv") is None:
        pytest.skip("no setpriv")
    home = Path("/var/tmp") / f"napari-tool-runner-warm-{os.getpid()}"
    try:
        (home / "bin").mkdir(mode=0o755, parents=True)
        for name in ("python", "python3"):  # a system may have no `python`
            (home / "bin" / name).symlink_to("/usr/bin/python3")
        os.chown(home, 12345, 12345)
        code = f"""
            import os, sys
            sys.path += {[one for one in sys.path if one]!r}
            from pathlib import Path
            from plugins.warm_programs import Programs, pool
            from napari_tool_runner.plugins.warm import serving
            serving.LEAST = 0.0  # what imports little is handed over, too
            programs = Programs(Path({str(home)!r}) / "jobs" / "tool" / "job" / "io", enclose=True)
            process, events = programs.process()
            name = programs.script({LOOK!r})
            command = f"python3 {{name}} {home}/none; id -u; echo"
            code, lines, errors = programs.both("bash", "-c", command)
            print(len(lines), errors)
            text = "import os; print(os.getuid(), sorted(os.listdir('/proc/self/fd')))"
            print(programs.both("python3", programs.script(text)))
            pool.close()
        """
        words = ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", "env", "-i"]
        words += [
            "HOME=/nowhere",
            f"TMPDIR={home}",
            "PATH=/usr/bin:/bin",
            f"{home}/bin/python",
            "-c",
        ]
        done = subprocess.run(
            [*words, textwrap.dedent(code)], capture_output=True, text=True, cwd="/", check=False
        )
        if "Error: No module" in done.stderr or "Permission denied" in done.stderr:
            pytest.skip("no Python here is for everybody")
        assert done.stderr == ""
        told = done.stdout.splitlines()
        assert int(told[0].partition(" ")[0]) > 15
        assert told[0].endswith(" []")
        assert told[1].startswith("(0, [\"12345 ['0', '1', '2', '3']\"]")
    finally:
        shutil.rmtree(home)
