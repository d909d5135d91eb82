"""A real Docker engine, a registry and small images, for tests and benchmarks.

Nothing is downloaded: images are made of this computer's busybox and Python. The
engine listens on a private socket and touches no network of the host. Needs Debian's
``docker.io``, ``runc``, ``docker-registry`` and ``busybox-static``, and root.
``NAPARI_TOOL_RUNNER_TEST_DOCKER_HOST`` names an engine to use instead.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib.metadata
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import docker
import docker.errors
import psutil
import requests

from napari_tool_runner.plugins import Event, ExecContext, Mount, OutputLine, Progress
from napari_tool_runner.plugins.process import Process
from napari_tool_runner.tools.model import ContainerRequirement, Tool

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari_tool_runner.plugins.contract import RunnerService

HOST_VARIABLE = "NAPARI_TOOL_RUNNER_TEST_DOCKER_HOST"
BUSYBOX = "test/busybox:1"
PASSWD = b"root:x:0:0:root:/root:/bin/sh\n"


def why_not() -> str:
    """Why no engine can start here; empty when one can."""
    if os.environ.get(HOST_VARIABLE):
        return ""
    if sys.platform != "linux":
        return f"a test engine needs Linux (or set {HOST_VARIABLE})"
    if os.geteuid() != 0:
        return f"a test engine needs root (or set {HOST_VARIABLE})"
    missing = [name for name in ("dockerd", "runc", "containerd") if which(name) is None]
    if missing:
        return f"{', '.join(missing)} not installed (apt: docker.io runc)"
    return ""


def busybox() -> Path | None:
    """A static busybox, None when there is none."""
    found = which("busybox")
    return Path(found) if found else None


def which(name: str) -> str | None:
    """Path of a program, also of those that only an administrator has on the path."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/bin:/bin")


class Engine:
    """dockerd on a private socket in its own folder.

    Parameters
    ----------
    data_root : Path, optional
        Where images are kept; default inside the engine's folder.
    """

    def __init__(self, data_root: Path | None = None) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="ntr-"))
        self.data_root = data_root or self.root / "data"
        self.socket = self.root / "docker.sock"
        self.external = False
        self._process: subprocess.Popen[bytes] | None = None
        assert len(str(self.socket)) < 108, "the path of a socket must stay short"

    @property
    def host(self) -> str:
        """What goes into DOCKER_HOST."""
        return f"unix://{self.socket}"

    @functools.cached_property
    def client(self) -> docker.DockerClient:
        """A client of the tests' own, apart from the service's."""
        return docker.DockerClient(self.host, timeout=30, version="auto")

    def start(self) -> None:
        """Start, or start again after `stop` or `kill`."""
        for attempts_left in (2, 1, 0):
            try:
                return self._start()
            except RuntimeError:
                # on a busy computer, dockerd gives up on its containerd
                self._end(signal.SIGKILL)
                self._end_orphans()
                if not attempts_left:
                    raise

    def _start(self) -> None:
        (self.root / "exec" / "containerd" / "containerd.pid").unlink(missing_ok=True)
        (self.root / "dockerd.pid").unlink(missing_ok=True)
        self.socket.unlink(missing_ok=True)
        # should these tests be killed, the engine must not stay
        setpriv = shutil.which("setpriv")
        tie = [setpriv, "--pdeathsig", "TERM"] if setpriv else []
        with (self.root / "dockerd.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *tie,
                    str(which("dockerd")),
                    f"--host={self.host}",
                    f"--data-root={self.data_root}",
                    f"--exec-root={self.root / 'exec'}",
                    f"--pidfile={self.root / 'dockerd.pid'}",
                    "--bridge=none",
                    "--iptables=false",
                    "--ip6tables=false",
                    "--max-download-attempts=1",
                    "--shutdown-timeout=3",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
            )
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                if self.client.ping():
                    return
            except (docker.errors.DockerException, requests.exceptions.RequestException):
                self.__dict__.pop("client", None)
                time.sleep(0.05)
        tail = (self.root / "dockerd.log").read_text(errors="replace")[-2000:]
        raise RuntimeError(f"dockerd did not start:\n{tail}")

    def stop(self) -> None:
        """End the daemon as an administrator would; its containers end too."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """``kill -9`` of the daemon; containers go on until the next start."""
        self._end(signal.SIGKILL)
        # its containerd dies with it, but a new daemon would take the old pid file for one
        # that lives
        pid_file = self.root / "exec" / "containerd" / "containerd.pid"
        if pid_file.exists():
            pid = int(pid_file.read_text())
            with contextlib.suppress(psutil.NoSuchProcess):
                containerd = psutil.Process(pid)
                if str(self.root) in " ".join(containerd.cmdline()):
                    containerd.kill()
                    containerd.wait(10)
            pid_file.unlink()

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Make the daemon hang."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """End `pause`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def remove(self) -> None:
        """Remove every container, end the daemon, unmount and delete everything."""
        try:
            for container in self.client.api.containers(all=True, quiet=True):
                self.client.api.remove_container(container["Id"], force=True, v=True)
        except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
            print(f"containers not removed: {error}", file=sys.stderr)
        self.stop()
        self._end_orphans()
        mounts = Path("/proc/mounts").read_text().splitlines()
        mine = [line.split()[1] for line in mounts if line.split()[1].startswith(f"{self.root}/")]
        for mount in sorted(mine, reverse=True):
            subprocess.run(["umount", "-l", mount], check=False, capture_output=True)
        shutil.rmtree(self.root, ignore_errors=True)

    def _end_orphans(self) -> None:
        """End the keepers (and with them the containers) that an engine left."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                command = process.cmdline() or [""]
                keeper = Path(command[0]).name.startswith(("containerd", "conmon", "podman"))
                if keeper and str(self.root) in " ".join(command):
                    for child in process.children(recursive=True):
                        child.kill()
                    process.kill()

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        self._process.wait(20)
        self._process = None
        client = self.__dict__.pop("client", None)
        if client is not None:
            client.close()


class ExternalEngine(Engine):
    """An engine that somebody else runs; it cannot be stopped from here."""

    def __init__(self, host: str) -> None:
        self._host = host
        self.external = True

    @property
    def host(self) -> str:
        """What goes into DOCKER_HOST."""
        return self._host

    def start(self) -> None:
        """Nothing to do."""

    def remove(self) -> None:
        """Leave it as it is."""


def start_engine() -> Engine:
    """Start an engine, or take the one that the environment names."""
    named = os.environ.get(HOST_VARIABLE)
    if named:
        return ExternalEngine(named)
    engine = Engine()
    try:
        engine.start()
    except RuntimeError:
        engine.remove()
        raise
    return engine


class Registry:
    """Debian's docker-registry on loopback, without TLS and without passwords."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="ntr-reg-"))
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """``host:port``, as image names carry it."""
        return f"localhost:{self.port}"

    def start(self) -> None:
        """Start serving."""
        config = self.root / "config.yml"
        config.write_text(
            "version: 0.1\n"
            "log: {level: error}\n"
            f"storage: {{filesystem: {{rootdirectory: {self.root / 'data'}}},"
            " delete: {enabled: true}}\n"
            f"http: {{addr: '127.0.0.1:{self.port}'}}\n"
        )
        with (self.root / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(which("docker-registry")), "serve", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                if requests.get(f"http://127.0.0.1:{self.port}/v2/", timeout=2).ok:
                    return
            except requests.exceptions.RequestException:
                time.sleep(0.05)
        raise RuntimeError((self.root / "log").read_text(errors="replace")[-2000:])

    def stop(self) -> None:
        """Stop serving; what was pushed stays."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def remove(self) -> None:
        """Stop and delete."""
        self.stop()
        shutil.rmtree(self.root, ignore_errors=True)

    def push(self, client: docker.DockerClient, image: str, name: str, tag: str = "1") -> str:
        """Push a local image; returns its name here."""
        target = f"{self.address}/{name}"
        assert client.images.get(image).tag(target, tag)
        for event in client.api.push(target, tag, stream=True, decode=True):
            assert "error" not in event, event
        client.images.remove(f"{target}:{tag}", noprune=True)
        return f"{target}:{tag}"


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# -- images --------------------------------------------------------------------------


class Tree:
    """A root file system in the making, as a tar."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self._tar = tarfile.TarFile(fileobj=self._buffer, mode="w")
        self._seen: set[str] = set()

    def file(self, path: str, data: bytes, mode: int = 0o644) -> Tree:
        """Add a file."""
        entry = tarfile.TarInfo(path.lstrip("/"))
        entry.size, entry.mode = len(data), mode
        return self._add(entry, data)

    def copy(self, source: Path, path: str) -> Tree:
        """Add a copy of a host file, links followed, as old as that."""
        status = source.stat()
        entry = tarfile.TarInfo(path.lstrip("/"))
        data = source.read_bytes()
        entry.size, entry.mode, entry.mtime = len(data), status.st_mode & 0o777, status.st_mtime
        return self._add(entry, data)

    def link(self, path: str, target: str) -> Tree:
        """Add a symbolic link."""
        entry = tarfile.TarInfo(path.lstrip("/"))
        entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, target, 0o777
        return self._add(entry)

    def folder(self, path: str, mode: int = 0o755) -> Tree:
        """Add a folder."""
        entry = tarfile.TarInfo(path.lstrip("/"))
        entry.type, entry.mode = tarfile.DIRTYPE, mode
        return self._add(entry)

    def programs(self, names: Iterable[str]) -> Tree:
        """Add busybox under these names only."""
        binary = busybox()
        assert binary is not None
        first, *others = [name for name in names if name != "busybox"]
        self.file(f"bin/{first}", binary.read_bytes(), 0o755)
        for name in others:
            self.link(f"bin/{name}", first)
        return self

    def tar(self) -> bytes:
        """The finished tar."""
        self._tar.close()
        return self._buffer.getvalue()

    def _add(self, entry: tarfile.TarInfo, data: bytes | None = None) -> Tree:
        if entry.name not in self._seen:
            self._seen.add(entry.name)
            self._tar.addfile(entry, io.BytesIO(data) if data is not None else None)
        return self


def import_image(
    client: docker.DockerClient, tree: Tree, tag: str, changes: Sequence[str] = ()
) -> str:
    """Make an image of `tree`; `changes` are lines of a Dockerfile."""
    repository, _, version = tag.rpartition(":")
    with tempfile.NamedTemporaryFile(suffix=".tar") as file:
        file.write(tree.tar())
        file.flush()
        said = client.api.import_image(src=file.name, changes=list(changes))
    image = str(json.loads(said.splitlines()[-1])["status"])
    # Podman's import takes no tag
    assert client.api.tag(image, repository, version)
    client.images.get(tag)
    return tag


def base_tree() -> Tree:
    """Folders and accounts that any image should have."""
    tree = Tree().folder("tmp", 0o1777).folder("root").folder("etc")
    for name in ("proc", "sys", "dev", "bin"):
        tree.folder(name)
    return tree.file("etc/passwd", PASSWD).file("etc/group", b"root:x:0:\n")


def all_programs() -> list[str]:
    """Every name that this busybox answers to."""
    listing = subprocess.run(
        [str(busybox()), "--list"], capture_output=True, check=True, text=True
    )
    return ["sh", *(name for name in listing.stdout.split() if name != "sh")]


def busybox_image(
    client: docker.DockerClient, tag: str = BUSYBOX, changes: Sequence[str] = ()
) -> str:
    """An image with a shell and the usual small programs."""
    changes = ["ENV PATH=/bin", 'CMD ["/bin/sh"]', *changes]
    return import_image(client, base_tree().programs(all_programs()), tag, changes)


def python_image(client: docker.DockerClient, tag: str, distributions: Sequence[str] = ()) -> str:
    """An image with this interpreter, installed `distributions`, and busybox."""
    tree = base_tree().programs(all_programs())
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    prefix = Path(sys.base_prefix).resolve()
    home = "opt/python"
    wanted = [(prefix / "bin" / version, f"{home}/bin/{version}")]
    wanted += [
        (library, f"{home}/lib/{library.name}") for library in prefix.glob("lib/libpython*.so*")
    ]
    unwanted = re.compile(rf"{version}/(site-packages|test|idlelib|tkinter|ensurepip|config-)")
    standard = Path(sysconfig.get_path("stdlib"))
    for path in standard.rglob("*"):
        inside = f"{version}/{path.relative_to(standard).as_posix()}"
        if path.is_file() and not unwanted.search(inside):
            wanted.append((path, f"{home}/lib/{inside}"))
    for name in distributions:
        distribution = importlib.metadata.distribution(name)
        for entry in distribution.files or ():
            source = Path(str(distribution.locate_file(entry)))
            if ".." not in entry.parts and source.is_file():
                wanted.append((source, f"{home}/lib/{version}/site-packages/{entry.as_posix()}"))
    for source, target in wanted:
        tree.copy(source, target)
    binaries = [s for s, _ in wanted if ".so" in s.name or s.name == version]
    for library in _libraries(binaries, prefix):
        tree.copy(library, str(library))
    for alias in ("python", "python3"):
        tree.link(f"{home}/bin/{alias}", version)
    changes = [
        "ENV PATH=/opt/python/bin:/bin",
        "ENV LD_LIBRARY_PATH=/opt/python/lib",
        "ENV PYTHONDONTWRITEBYTECODE=1",
    ]
    return import_image(client, tree, tag, changes)


def _libraries(binaries: Sequence[Path], prefix: Path) -> list[Path]:
    """System libraries that `binaries` load."""
    found: set[Path] = set()
    for start in range(0, len(binaries), 100):
        listing = subprocess.run(
            ["ldd", *map(str, binaries[start : start + 100])],
            capture_output=True,
            text=True,
            check=False,
        )
        for match in re.finditer(r"(?:=> |^\s+)(/\S+)", listing.stdout, re.MULTILINE):
            path = Path(match.group(1))
            inside_wheel = any("site-packages" in part or ".libs" in part for part in path.parts)
            if path.is_file() and not path.is_relative_to(prefix) and not inside_wheel:
                found.add(path)
    return sorted(found)


# -- a job, as the jobs engine would make it --------------------------------------------


@dataclasses.dataclass
class Job:
    """A process with a workspace, and what was reported of it."""

    process: Process
    folder: Path
    events: list[Event] = dataclasses.field(default_factory=list)

    @property
    def context(self) -> ExecContext:
        """The context of the process."""
        assert self.process.context is not None
        return self.process.context

    @property
    def out(self) -> list[str]:
        """Lines of stdout."""
        return self._lines("stdout")

    @property
    def err(self) -> list[str]:
        """Lines of stderr."""
        return self._lines("stderr")

    @property
    def told(self) -> list[str]:
        """Lines of the service itself."""
        return self._lines("runner")

    @property
    def progress(self) -> list[Progress]:
        """All progress."""
        return [event for event in self.events if isinstance(event, Progress)]

    def _lines(self, stream: str) -> list[str]:
        return [e.text for e in self.events if isinstance(e, OutputLine) and e.stream == stream]


def make_job(root: Path, image: str | None = BUSYBOX, **context: object) -> Job:
    """Return a job in ``root/<number>``, with `root` as the folder of all its like."""
    root.mkdir(parents=True, exist_ok=True)
    folder = root / f"job {len(list(root.iterdir()))}"
    places = {name: folder / name for name in ("inputs", "outputs", "work", "tmp", "home")}
    for place in places.values():
        place.mkdir(parents=True)
    requirements = () if image is None else (ContainerRequirement(image=image),)
    tool = Tool(id="test", name="Test", version="1", requirements=requirements)
    context.setdefault("mounts", [Mount(root, read_only=False)])
    job = Job(Process(tool), folder)
    job.process.context = ExecContext(
        work_dir=places["work"],
        temp_dir=places["tmp"],
        home_dir=places["home"],
        report=job.events.append,
        **context,  # type: ignore[arg-type]
    )
    return job


def run_job(service: RunnerService, job: Job, *argv: str) -> int:
    """Set up, run and tear down, as the jobs engine does."""
    try:
        service.set_up(job.process)
        return service.exec(job.process, list(argv))
    finally:
        service.tear_down(job.process)
