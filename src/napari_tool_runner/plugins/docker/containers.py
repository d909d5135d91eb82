"""How a container is made, removed, and swept away when it was left behind."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import secrets
import socket as sockets
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import docker.errors
import docker.types
import psutil

from napari_tool_runner.data_classes import dataclass
from napari_tool_runner.errors import PreparationError
from napari_tool_runner.plugins.docker.client import ENGINE_ERRORS, Engine, is_disconnect
from napari_tool_runner.plugins.docker.words import lacks_another_file, said_by
from napari_tool_runner.seals import is_sealed, seal_of

if TYPE_CHECKING:
    from napari_tool_runner.plugins.docker.spec import Spec
    from napari_tool_runner.plugins.process import Mount

__all__ = [
    "Leftover",
    "close_quietly",
    "count_processes",
    "create",
    "leftovers",
    "remove",
    "sweep",
]

LABEL = "napari-tool-runner"
"""Prefix of the labels of our containers; images have labels, too, so a seal proves which are."""

_PATIENCE_S = 5.0
"""An engine may still be making, or removing, what a session asked for when it was killed."""

_SESSION = secrets.token_hex(32)
"""The seal where no key can be kept: this session knows its own containers."""


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
    mounts: Sequence[Mount] = (),
) -> str:
    """Make a container, not started; returns its id. `mounts`: besides those of `spec`.

    Raises
    ------
    PreparationError
        The engine refuses; says why in plain words.
    """
    name = f"{LABEL}-{uuid.uuid4().hex[:12]}"
    options: dict[str, Any] = {
        "image": spec.image,
        "entrypoint": list(entrypoint),
        "command": list(command),
        "name": name,
        "user": spec.user,
        "working_dir": work_dir,
        "environment": dict(environment or {}),
        "labels": _labels(name),
        "network_mode": spec.network,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "mounts": [
            docker.types.Mount(
                str(m.path), str(m.source or m.path), type="bind", read_only=m.read_only
            )
            for m in (*spec.mounts, *mounts)
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
    if tmpfs := {**dict(spec.tmpfs), **_hidden(spec)}:
        options["tmpfs"] = tmpfs
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


def _hidden(spec: Spec) -> dict[str, str]:
    """Return what covers the folders of other jobs, where a mount would show them."""
    jobs = spec.jobs
    if jobs is None or not any(jobs.is_relative_to(mount.path) for mount in spec.mounts):
        return {}
    return {str(jobs.parent): "mode=755"}


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


def count_processes(engine: Engine, container: str) -> int:
    """Return how many processes a container has; 0 when the engine cannot say."""
    # else Podman runs the image's own ps
    asked = "pid" if engine.podman else None
    try:
        return len(engine.control.api.top(container, asked).get("Processes") or ())
    except ENGINE_ERRORS:
        return 0


# -- leftovers -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Leftover:
    """A container of ours: of this session, of another that lives, or left behind."""

    id: str
    name: str
    state: str
    size: int | None = None


def leftovers(engine: Engine, *, sizes: bool = False) -> list[Leftover]:
    """Return all containers that this installation made on this engine.

    `state`: ``own``, ``in use`` (a session that lives, or is on another computer),
    ``left behind``.
    """
    listed = engine.client.api.containers(all=True, size=sizes, filters={"label": f"{LABEL}.seal"})
    found: list[Leftover] = []
    for entry in listed:
        name = str((entry.get("Names") or ["/"])[0]).lstrip("/")
        labels: Mapping[str, str] = entry.get("Labels") or {}
        seal = labels.get(f"{LABEL}.seal")
        if seal == _SESSION or is_sealed(_sealed(name, labels), seal):
            found.append(
                Leftover(str(entry["Id"]), name, _owner(labels), size=entry.get("SizeRw"))
            )
    return found


def sweep(engine: Engine, *, patient: bool = False) -> bool:
    """Remove what dead sessions of this person on this computer left behind.

    Return whether nothing of it is there any more; only who is `patient` waits for that.
    """
    end = time.monotonic() + (_PATIENCE_S if patient else 0)
    while left := [one for one in leftovers(engine) if one.state == "left behind"]:
        for entry in left:
            remove(engine, entry.id)
        if time.monotonic() >= end:
            return False
        time.sleep(0.05)
    return True


def _labels(name: str) -> dict[str, str]:
    told = {
        f"{LABEL}.host": _host(),
        f"{LABEL}.pid": str(os.getpid()),
        f"{LABEL}.started": _started(os.getpid()),
        f"{LABEL}.user": str(os.getuid()),
    }
    return {**told, f"{LABEL}.seal": seal_of(_sealed(name, told)) or _SESSION}


def _sealed(name: str, labels: Mapping[str, str]) -> str:
    """What the seal of a container is for: an image that carries it makes none of that name."""
    told = [labels.get(f"{LABEL}.{key}") for key in ("host", "pid", "started", "user")]
    return json.dumps(["container", name, *told])


def _owner(labels: Mapping[str, str]) -> str:
    """Say whose a container is, by sealed labels."""
    if labels[f"{LABEL}.host"] != _host() or labels[f"{LABEL}.user"] != str(os.getuid()):
        return "in use"
    pid = int(labels[f"{LABEL}.pid"])
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


def explain_start(
    engine: Engine, error: BaseException, program: Sequence[str]
) -> PreparationError:
    """Return the error for an engine that could not make or start a container."""
    if is_disconnect(error):
        return PreparationError(
            "The container engine does not answer.", hint="Start it again, then try again."
        )
    said = said_by(error)
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
    said = said_by(cause).lower()
    return not lacks_another_file(said) and any(
        sign in said
        for sign in ("executable file not found", "no such file or directory", "permission denied")
    )


def close_quietly(resource: Any) -> None:
    """Close a stream or socket whose other end may be gone."""
    with contextlib.suppress(*ENGINE_ERRORS, AttributeError, ValueError):
        resource.close()
