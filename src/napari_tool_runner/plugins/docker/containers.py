"""What a container may see and use, and how one is made, kept, and swept away."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import socket as sockets
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker.errors
import docker.types
import psutil

from napari_tool_runner.errors import PreparationError
from napari_tool_runner.plugins.contract import ExecContext, Mount
from napari_tool_runner.plugins.docker.client import ENGINE_ERRORS, Engine, is_disconnect
from napari_tool_runner.plugins.options import number, text

if TYPE_CHECKING:
    from napari_tool_runner.plugins.docker.images import Image

__all__ = [
    "Leftover",
    "Spec",
    "covering_mounts",
    "create",
    "input_mounts",
    "leftovers",
    "make_spec",
    "remove",
    "sweep",
]

LABEL = "napari-tool-runner"
"""Prefix of the labels by which our containers are known."""

PIDS_LIMIT = 4096
SHARED_MEMORY = 2**30
"""Upper limit of /dev/shm; the engine's 64 MB stops multi-process Python programs."""


_SYSTEM = re.compile(r"/(bin|boot|dev|etc|lib\d*|opt|proc|run|sbin|sys|usr|var)?")
"""An image has its own, which such a mount would hide."""


@dataclass(frozen=True, slots=True)
class Spec:
    """All that makes two containers differ: image, mounts and rights.

    Parameters
    ----------
    image : str
        Id of the image.
    mounts : tuple of Mount
        None inside another of the same rights; sorted.
    user : str
        ``uid:gid``.
    groups : tuple of int
        Further groups of the caller.
    network : str
        ``none``, ``host``, ``bridge`` or the name of a network.
    """

    image: str
    mounts: tuple[Mount, ...]
    user: str
    groups: tuple[int, ...] = ()
    network: str = "none"
    memory: int | None = None
    cpus: float | None = None
    gpus: int = 0
    pids: int = PIDS_LIMIT
    shared_memory: int = SHARED_MEMORY
    tmpfs: tuple[tuple[str, str], ...] = ()
    platform: str = ""

    def covers(self, wanted: Spec) -> bool:
        """Whether a container of this spec can serve a job that wants `wanted`.

        Same rights and same writable mounts; read-only mounts may be more. What those
        hold was given before to a program that writes to the same folders.
        """
        return (
            replace(self, mounts=()) == replace(wanted, mounts=())
            and _writable(self.mounts) == _writable(wanted.mounts)
            and set(self.mounts) >= set(wanted.mounts)
        )


def make_spec(
    engine: Engine,
    image: Image,
    context: ExecContext,
    config: Mapping[str, object],
    inputs: Iterable[Path] = (),
) -> Spec:
    """Return what the container of a job has to be.

    `inputs` that are the user's own files in another place (see `input_mounts`) are
    mounted, besides what the context names.

    Raises
    ------
    PreparationError
        A mount is impossible.
    """
    own = [Mount(path, False) for path in (context.work_dir, context.temp_dir, context.home_dir)]
    user, groups = _caller(engine)
    named = [*context.mounts, *own]
    resources = context.resources
    tmpfs = config.get("tmpfs")
    return Spec(
        image=image.id,
        mounts=covering_mounts(
            [*named, *input_mounts(inputs, named)], check=engine.endpoint.local
        ),
        user=user,
        groups=groups,
        network=_network(context, config),
        memory=resources.memory_bytes,
        cpus=resources.cpus,
        gpus=resources.gpus,
        pids=int(number(config, "pids", PIDS_LIMIT)),
        shared_memory=int(number(config, "shm_size", SHARED_MEMORY)),
        tmpfs=tuple(sorted((str(k), str(v)) for k, v in tmpfs.items()))
        if isinstance(tmpfs, Mapping)
        else (),
        platform=text(config, "platform"),
    )


def covering_mounts(mounts: Iterable[Mount], *, check: bool = True) -> tuple[Mount, ...]:
    """Return the fewest mounts that show the same: sorted, none inside its like.

    Writable folders that do not exist are made (an engine would make them as root).

    Raises
    ------
    PreparationError
        A path does not exist, or is the root of the file system.
    """
    rights: dict[Path, bool] = {}
    for mount in mounts:
        path = Path(os.path.abspath(mount.path))
        if path == Path(path.anchor) or _SYSTEM.fullmatch(str(path)):
            raise PreparationError(
                f"A container was asked to see the system’s folder {path}.",
                hint="Put the workspace, the toolbox and the data into folders of their own.",
            )
        rights[path] = rights.get(path, True) and mount.read_only
    kept: list[Mount] = []
    for path in sorted(rights):
        around = [mount for mount in kept if path.is_relative_to(mount.path)]
        if around and around[-1].read_only == rights[path]:
            continue
        if check:
            _exists(path, rights[path])
        kept.append(Mount(path, rights[path]))
    return tuple(kept)


def input_mounts(inputs: Iterable[Path], mounts: Iterable[Mount]) -> list[Mount]:
    """Return what keeps originals safe, and makes them seen, that a job only links to.

    An input may be a hard link to the user's file, inside a folder that the program may
    write to: it is mounted over itself, read-only. Or it is a symbolic link: then what
    it leads to is mounted.

    Parameters
    ----------
    inputs : iterable of Path
        Files and folders that the job reads.
    mounts : iterable of Mount
        What is mounted already.
    """
    known = [(Path(os.path.realpath(mount.path)), mount.read_only) for mount in mounts]

    def writable(path: Path) -> bool:
        around = [(len(at.parts), only) for at, only in known if path.is_relative_to(at)]
        return bool(around) and not max(around)[1]

    def seen(path: Path) -> bool:
        return any(path.is_relative_to(at) for at, _ in known)

    found: list[Mount] = []
    for path in inputs:
        links, targets = _links(path)
        real = Path(os.path.realpath(path))
        if links and writable(real):
            found.append(Mount(real))
        found += [Mount(target) for target in targets if not seen(target)]
    return found


def _links(path: Path) -> tuple[bool, set[Path]]:
    """Whether `path` holds hard links, and where its symbolic links lead."""
    if not path.is_dir():
        target = {Path(os.path.realpath(path))} if path.is_symlink() else set()
        return path.is_file() and path.stat().st_nlink > 1, target
    hard, targets = False, set()
    if path.is_symlink():
        targets.add(Path(os.path.realpath(path)))
    for folder, _, names in os.walk(path):
        for name in names:
            entry = Path(folder, name)
            if entry.is_symlink():
                targets.add(Path(os.path.realpath(entry)).parent)
            elif not hard:
                hard = entry.stat().st_nlink > 1
    return hard, targets


def create(
    engine: Engine,
    spec: Spec,
    entrypoint: Sequence[str],
    command: Sequence[str] = (),
    *,
    init: bool = True,
    stdin: bool = False,
    work_dir: str = "/",
    environment: Mapping[str, str] | None = None,
) -> str:
    """Make a container, not started; returns its id.

    Raises
    ------
    PreparationError
        The engine refuses; says why in plain words.
    """
    options: dict[str, Any] = {
        "image": spec.image,
        "entrypoint": list(entrypoint),
        "command": list(command),
        "name": f"{LABEL}-{uuid.uuid4().hex[:12]}",
        "user": spec.user,
        "working_dir": work_dir,
        "environment": dict(environment or {}),
        "labels": _labels(),
        "network_mode": spec.network,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "mounts": [
            docker.types.Mount(str(m.path), str(m.path), type="bind", read_only=m.read_only)
            for m in spec.mounts
        ],
        "pids_limit": spec.pids,
        "shm_size": spec.shared_memory,
        "init": init,
        "stdin_open": stdin,
        # else an engine that is shut down waits ten seconds for what does not listen
        "stop_signal": "SIGKILL",
    }
    if not engine.podman:
        # an image's own health check would run beside the tool (Podman's images have none)
        options["healthcheck"] = {"test": ["NONE"]}
    if engine.selinux:
        options["security_opt"].append("label=disable")
    if engine.user_namespace and not engine.podman:
        # else outputs would belong to nobody the caller knows
        options["userns_mode"] = "host"
    if spec.groups:
        options["group_add"] = [str(group) for group in spec.groups]
    if spec.memory:
        # no swap on top, so that the limit is one
        options["mem_limit"] = options["memswap_limit"] = spec.memory
    if spec.cpus:
        options["nano_cpus"] = int(spec.cpus * 1e9)
    if spec.tmpfs:
        options["tmpfs"] = dict(spec.tmpfs)
    if spec.platform:
        options["platform"] = spec.platform
    if spec.gpus:
        options["device_requests"] = [
            docker.types.DeviceRequest(count=spec.gpus, capabilities=[["gpu"]])
        ]
    try:
        return str(engine.client.containers.create(**options).id)
    except ENGINE_ERRORS as error:
        raise explain_start(engine, error, entrypoint) from error


def start(engine: Engine, container: str, program: Sequence[str]) -> None:
    """Start a container; one that cannot start is removed.

    Raises
    ------
    PreparationError
        Says why in plain words.
    """
    try:
        engine.client.api.start(container)
    except ENGINE_ERRORS as error:
        remove(engine, container)
        raise explain_start(engine, error, program) from error


def remove(engine: Engine, container: str) -> bool:
    """End and remove a container with its volumes; False when the engine cannot."""
    try:
        engine.control.api.remove_container(container, v=True, force=True)
    except docker.errors.NotFound:
        return True
    except docker.errors.APIError as error:
        # 409: another thread or session removes it already
        return bool(error.status_code == 409)
    except ENGINE_ERRORS:
        return False
    return True


# -- leftovers -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Leftover:
    """A container of ours: of this session, of another that lives, or left behind."""

    id: str
    name: str
    image: str
    running: bool
    state: str
    size: int | None = None


def leftovers(engine: Engine, *, sizes: bool = False) -> list[Leftover]:
    """Return all containers that napari-tool-runner made on this engine.

    `state`: ``own``, ``in use`` (a session that lives, or of another computer or
    person), ``left behind``.
    """
    found = engine.client.api.containers(all=True, size=sizes, filters={"label": f"{LABEL}.pid"})
    return [
        Leftover(
            id=str(entry["Id"]),
            name=str((entry.get("Names") or ["/"])[0]).lstrip("/"),
            image=str(entry.get("Image", "")),
            running=entry.get("State") == "running",
            state=_owner(entry.get("Labels") or {}),
            size=entry.get("SizeRw"),
        )
        for entry in found
    ]


def sweep(engine: Engine) -> int:
    """Remove what dead sessions of this person on this computer left behind."""
    dead = [entry for entry in leftovers(engine) if entry.state == "left behind"]
    return sum(remove(engine, entry.id) for entry in dead)


def _labels() -> dict[str, str]:
    return {
        f"{LABEL}.host": _host(),
        f"{LABEL}.pid": str(os.getpid()),
        f"{LABEL}.started": _started(os.getpid()),
        f"{LABEL}.user": str(os.getuid()),
    }


def _owner(labels: Mapping[str, str]) -> str:
    if labels.get(f"{LABEL}.host") != _host() or labels.get(f"{LABEL}.user") != str(os.getuid()):
        return "in use"
    pid = int(labels.get(f"{LABEL}.pid", "0"))
    if pid == os.getpid() and labels.get(f"{LABEL}.started") == _started(pid):
        return "own"
    try:
        alive = labels.get(f"{LABEL}.started") == _started(pid)
    except psutil.NoSuchProcess:
        alive = False
    except psutil.AccessDenied:
        alive = True
    return "in use" if alive else "left behind"


def _started(pid: int) -> str:
    # a process id alone is given again to others
    return f"{psutil.Process(pid).create_time():.0f}"


def _host() -> str:
    """This computer and its numbering of processes (containers have their own)."""
    name = platform.node() or sockets.gethostname()
    try:
        return f"{name} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return name


# -- details -------------------------------------------------------------------------


def _writable(mounts: Iterable[Mount]) -> set[Path]:
    return {mount.path for mount in mounts if not mount.read_only}


def _exists(path: Path, read_only: bool) -> None:
    if path.exists():
        return
    if read_only:
        raise PreparationError(
            f"{path} does not exist, so the container cannot see it.",
            hint="Check whether the file was moved or deleted.",
        )
    try:
        path.mkdir(parents=True)
    except OSError as error:
        raise PreparationError(
            f"The folder {path} cannot be made: {error.strerror or error}.",
            hint="Choose another place for the workspace.",
        ) from error


def _caller(engine: Engine) -> tuple[str, tuple[int, ...]]:
    """User and further groups inside, such that files belong to the caller outside."""
    if engine.rootless:
        # there, root inside is the caller outside
        return "0:0", ()
    groups = () if os.getuid() == 0 else tuple(sorted(set(os.getgroups()) - {os.getgid()}))
    return f"{os.getuid()}:{os.getgid()}", groups


def _network(context: ExecContext, config: Mapping[str, object]) -> str:
    if not (context.network or config.get("network", False)):
        return "none"
    return text(config, "network_mode") or "default"


def explain_start(
    engine: Engine, error: BaseException, program: Sequence[str]
) -> PreparationError:
    """Return the error for an engine that could not make or start a container."""
    if is_disconnect(error):
        return PreparationError(
            "The container engine does not answer.", hint="Start it again, then try again."
        )
    said = str(getattr(error, "explanation", None) or error).strip()
    lowered = said.lower()
    if "device driver" in lowered or "nvidia" in lowered or "cdi" in lowered.split():
        return PreparationError(
            f"A GPU is asked for, but {engine.name} here cannot give one. It said: {said}",
            hint="Install the NVIDIA Container Toolkit, or ask for no GPU.",
        )
    if "no space left on device" in lowered:
        return PreparationError(
            f"The disk of the container engine ({engine.root_dir}) is full.",
            hint="Free some space (`napari-tool-runner clean`, `docker system prune`).",
        )
    if "exec format error" in lowered:
        return PreparationError(
            f"The image is made for another kind of processor than this computer’s "
            f"({engine.platform}).",
            hint="Ask its authors for an image for this computer.",
        )
    missing = re.search(r"bind source path does not exist: (.+)", said)
    if missing or "mounts denied" in lowered or "not shared" in lowered:
        path = missing.group(1) if missing else said
        return PreparationError(
            f"The container engine cannot see {path}.",
            hint="It runs on another computer or in a virtual machine: share that folder with "
            "it (Docker Desktop: Settings, Resources, File sharing).",
        )
    if "network" in lowered and "not found" in lowered:
        return PreparationError(
            f"The container engine has no such network. It said: {said}",
            hint="Set “network_mode” of the runner to one that `docker network ls` shows.",
        )
    name = program[0] if program else "the image’s own program"
    return PreparationError(
        f"A container for {name} cannot be started. The engine said: {said}",
        hint="Check the image and the options of the runner.",
    )


def is_missing_program(error: BaseException) -> bool:
    """Say whether a start failed because the image lacks the program."""
    cause = error.__cause__ or error
    said = str(getattr(cause, "explanation", None) or cause).lower()
    return any(
        sign in said
        for sign in ("executable file not found", "no such file or directory", "permission denied")
    )


def close_quietly(resource: Any) -> None:
    """Close a stream or socket whose other end may be gone."""
    with contextlib.suppress(*ENGINE_ERRORS, AttributeError, ValueError):
        resource.close()
