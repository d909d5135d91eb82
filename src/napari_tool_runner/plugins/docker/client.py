"""Find the container engine as the docker command finds it, and say plainly why not.

Order: ``host`` of the config, ``DOCKER_HOST``, ``DOCKER_CONTEXT``, the current context
of the docker configuration; none of them: the usual sockets of Docker and Podman.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import socket
import ssl
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import docker
import docker.errors
import docker.tls
import requests
from docker.context.config import METAFILE, get_context_id, get_current_context_name

from napari_tool_runner import settings
from napari_tool_runner.addresses import without_credentials
from napari_tool_runner.data_classes import dataclass, field
from napari_tool_runner.errors import RunnerUnavailableError

__all__ = [
    "CONTROL_TIMEOUT",
    "ENGINE_ERRORS",
    "PROBE_TIMEOUT",
    "Endpoint",
    "Engine",
    "connect",
    "endpoints",
    "is_disconnect",
]

PROBE_TIMEOUT = 3.0
"""Seconds that an engine has to answer its first question."""

CONTROL_TIMEOUT = 20.0
"""Seconds for calls that end something or ask how it stands."""

CALL_TIMEOUT = 120.0
"""Seconds for ordinary calls; streams have none."""

ENGINE_ERRORS = (docker.errors.DockerException, requests.exceptions.RequestException, OSError)
"""What a call to the engine raises."""

_START = "Start Docker (or Docker Desktop), then try again."


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address where an engine may listen.

    Parameters
    ----------
    host : str
        As in DOCKER_HOST: ``unix://…``, ``tcp://…``, ``ssh://…``.
    source : str
        What named it, for messages.
    tls_dir : Path or None
        Folder with ``ca.pem``, ``cert.pem``, ``key.pem``.
    tls_verify : bool
    """

    host: str
    source: str
    tls_dir: Path | None = None
    tls_verify: bool = True

    @property
    def place(self) -> str:
        """The address as it is told: without a login."""
        return without_credentials(self.host)

    @property
    def local(self) -> bool:
        """Whether the engine's socket is on this computer."""
        return self.host.startswith("unix://")

    def tls(self) -> docker.tls.TLSConfig | bool:
        """What the SDK takes as ``tls``."""
        if self.tls_dir is None:
            return False
        cert, key, authority = (self.tls_dir / name for name in ("cert.pem", "key.pem", "ca.pem"))
        return docker.tls.TLSConfig(
            client_cert=(str(cert), str(key)) if cert.exists() else None,
            ca_cert=str(authority) if authority.exists() else None,
            verify=self.tls_verify,
        )


@dataclass(eq=False)
class Engine:
    """A connected engine and what it said about itself."""

    client: Any
    endpoint: Endpoint
    info: Mapping[str, Any] = field(default_factory=dict)
    podman: bool = False

    @property
    def id(self) -> str:
        """Identity of the engine, the same over restarts."""
        return str(self.info.get("ID") or self.endpoint.place)

    @property
    def name(self) -> str:
        """``Docker 26.1.5`` or ``Podman 5.4.2``."""
        kind = "Podman" if self.podman else "Docker"
        return f"{kind} {self.info.get('ServerVersion', '')}".strip()

    @property
    def platform(self) -> str:
        """As images say it: ``linux/amd64``."""
        return f"{self.info.get('OSType', 'linux')}/{architecture(self.info.get('Architecture'))}"

    @property
    def root_dir(self) -> Path:
        """Where the engine keeps images."""
        return Path(str(self.info.get("DockerRootDir") or "/"))

    @property
    def rootless(self) -> bool:
        """Whether root inside is the caller outside."""
        return self._security("rootless")

    @property
    def user_namespace(self) -> bool:
        """Whether the engine maps users of containers to others."""
        return self._security("userns")

    @property
    def selinux(self) -> bool:
        """Whether SELinux guards what containers may read."""
        return self._security("selinux")

    @functools.cached_property
    def control(self) -> Any:
        """A client for calls that must come back soon, as those that end something."""
        return _client(self.endpoint, self.client.api.api_version, CONTROL_TIMEOUT)

    def alive(self, timeout: float | None = None) -> bool:
        """Whether the engine answers within `timeout` seconds."""
        api = self.control.api
        try:
            answer = api.get(f"{api.base_url}/_ping", timeout=timeout or CONTROL_TIMEOUT)
        except ENGINE_ERRORS:
            return False
        return bool(answer.ok)

    def close(self) -> None:
        """Close the connections."""
        self.client.close()
        if "control" in self.__dict__:
            self.control.close()

    def _security(self, name: str) -> bool:
        options = self.info.get("SecurityOptions") or []
        return any(str(option).split(",")[0] == f"name={name}" for option in options)


def architecture(name: object) -> str:
    """Return Go's name of a processor for uname's (``x86_64`` -> ``amd64``)."""
    known = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
    return known.get(str(name), str(name or "amd64"))


def endpoints(config: Mapping[str, object]) -> list[Endpoint]:
    """Return where an engine may be; a single one when something names it.

    Raises
    ------
    RunnerUnavailableError
        A context is named that does not exist.
    """
    named = settings.HOST.of(config)
    if named:
        return [_from_environment(named, "“host” of the configuration")]
    named = os.environ.get("DOCKER_HOST", "")
    if named:
        return [_from_environment(named, "DOCKER_HOST")]
    context = os.environ.get("DOCKER_CONTEXT") or get_current_context_name()
    if context and context != "default":
        return [_from_context(context)]
    sockets = _usual_sockets(os.environ)
    return [Endpoint(f"unix://{path}", f"{kind}’s usual socket") for kind, path in sockets]


def _config_dir() -> Path:
    named = os.environ.get("DOCKER_CONFIG")
    return Path(named) if named else Path.home() / ".docker"


def connect(config: Mapping[str, object]) -> Engine:
    """Connect to the first engine that answers.

    Raises
    ------
    RunnerUnavailableError
        No engine answers within some seconds; says why and what to do.
    """
    if sys.platform == "win32":
        raise RunnerUnavailableError(
            "DOCKER shows files to a tool at the paths they have here, which Windows’ paths "
            "do not allow.",
            hint="Run napari inside WSL 2, or choose CONDA.",
        )
    candidates = endpoints(config)
    failures: list[tuple[Endpoint, Exception]] = []
    for endpoint in candidates:
        if len(candidates) > 1 and not _may_exist(Path(endpoint.host.removeprefix("unix://"))):
            continue
        try:
            return _open(endpoint)
        except (*ENGINE_ERRORS, ValueError) as error:  # the SDK's, of what is no address
            failures.append((endpoint, error))
    if not failures:
        raise RunnerUnavailableError("No container engine was found here.", hint=_install())
    # the most telling failure first: an engine that refuses is nearer than one that is absent
    where, why = min(failures, key=lambda failure: _rank(failure[1]))
    raise _explain(where, why) from why


def is_disconnect(error: BaseException) -> bool:
    """Say whether `error` means that the engine is gone or hangs, not that it refused."""
    if isinstance(error, docker.errors.APIError):
        return False
    return _has(error, requests.exceptions.RequestException, OSError)


def _client(endpoint: Endpoint, version: str, timeout: float) -> Any:
    return docker.DockerClient(
        base_url=endpoint.host,
        version=version,
        timeout=timeout,
        tls=endpoint.tls(),
        max_pool_size=32,
        use_ssh_client=endpoint.host.startswith("ssh://"),
    )


def _open(endpoint: Endpoint) -> Engine:
    client = _client(endpoint, "auto", PROBE_TIMEOUT)
    client.api.timeout = CONTROL_TIMEOUT
    try:
        info: dict[str, Any] = client.info()
        version: dict[str, Any] = client.version()
    except ENGINE_ERRORS:
        client.close()
        raise
    if info.get("OSType") == "windows":
        client.close()
        raise RunnerUnavailableError(
            "The container engine here runs Windows containers; tools need Linux ones.",
            hint="Switch Docker Desktop to Linux containers.",
        )
    client.api.timeout = CALL_TIMEOUT
    parts = version.get("Components") or [{}]
    podman = any("podman" in str(part.get("Name", "")).lower() for part in parts)
    if podman:
        info = {**info, "SecurityOptions": _podman_security(client)}
    return Engine(client, endpoint, info, podman)


def _podman_security(client: Any) -> list[str]:
    """Return what Podman tells in its own interface only, in Docker's words."""
    try:
        answer = client.api.get(f"{client.api.base_url}/v4.0.0/libpod/info")
        security = answer.json()["host"]["security"]
    except (*ENGINE_ERRORS, ValueError, KeyError, TypeError):
        return []
    words = {"rootless": "name=rootless", "selinuxEnabled": "name=selinux"}
    return [word for key, word in words.items() if security.get(key)]


def _from_environment(host: str, source: str) -> Endpoint:
    if "://" not in host:
        host = f"unix://{host}" if host.startswith("/") else f"tcp://{host}"
    verify = bool(os.environ.get("DOCKER_TLS_VERIFY"))
    folder = os.environ.get("DOCKER_CERT_PATH")
    if host.startswith("tcp://") and (verify or folder):
        return Endpoint(host, source, Path(folder) if folder else _config_dir(), verify)
    return Endpoint(host, source)


def _from_context(name: str) -> Endpoint:
    # not by the SDK's Context: it looks for contexts only where a config.json is, and raises
    # bare Exceptions
    folder = _config_dir() / "contexts"
    identity = get_context_id(name)
    try:
        meta = (folder / "meta" / identity / METAFILE).read_text(encoding="utf-8")
        endpoint = json.loads(meta)["Endpoints"]["docker"]
        host = str(endpoint["Host"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunnerUnavailableError(
            f"The docker context “{name}” is chosen, but it is not defined in {folder}.",
            hint="Choose another with `docker context use`, or set DOCKER_HOST.",
        ) from error
    tls_dir = folder / "tls" / identity / "docker"
    verify = not endpoint.get("SkipTLSVerify", False)
    return Endpoint(
        host, f"docker context “{name}”", tls_dir if tls_dir.is_dir() else None, verify
    )


def _usual_sockets(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    home = Path.home()
    runtime = environ.get("XDG_RUNTIME_DIR")
    yield "Docker", "/var/run/docker.sock"
    if runtime:
        yield "rootless Docker", f"{runtime}/docker.sock"
    for place in (".docker/run", ".docker/desktop", ".colima/default", ".rd", ".orbstack/run"):
        yield "Docker", str(home / place / "docker.sock")
    named = environ.get("CONTAINER_HOST", "")
    if named.startswith("unix://"):
        yield "Podman", named.removeprefix("unix://")
    if runtime:
        yield "Podman", f"{runtime}/podman/podman.sock"
    yield "Podman", "/run/podman/podman.sock"


def _may_exist(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:
        return True


def _parts(error: object, depth: int = 0) -> Iterator[BaseException]:
    """Every exception inside `error`: causes, contexts, arguments, reasons."""
    if not isinstance(error, BaseException) or depth > 12:
        return
    yield error
    inner = [error.__cause__, error.__context__, getattr(error, "reason", None), *error.args]
    for part in inner:
        yield from _parts(part, depth + 1)


def _has(error: BaseException, *kinds: type[BaseException]) -> bool:
    return any(isinstance(part, kinds) for part in _parts(error))


def _rank(error: BaseException) -> int:
    if _has(error, PermissionError):
        return 0
    return 2 if _has(error, FileNotFoundError) else 1


def _explain(endpoint: Endpoint, error: BaseException) -> RunnerUnavailableError:
    place = f"{endpoint.place} ({endpoint.source})"
    if _has(error, PermissionError):
        return RunnerUnavailableError(
            f"You may not use the container engine at {place}: permission denied.",
            hint="Ask an administrator to add you to the group “docker” and log in again, "
            "or use rootless Docker or Podman.",
        )
    if _has(error, FileNotFoundError):
        return RunnerUnavailableError(
            f"No container engine is running at {place}: there is no such socket.",
            hint=_START if shutil.which("docker") else _install(),
        )
    if _has(error, requests.exceptions.Timeout, TimeoutError):
        return RunnerUnavailableError(
            f"The container engine at {place} does not answer.", hint="Restart it, then try again."
        )
    if _has(error, ConnectionRefusedError):
        return RunnerUnavailableError(
            f"Nothing listens at {place}: the container engine is not running.", hint=_START
        )
    if _has(error, socket.gaierror):
        return RunnerUnavailableError(
            f"The computer of the container engine at {place} is not known.",
            hint="Check the name, or the network.",
        )
    if _has(error, ssl.SSLError, docker.errors.TLSParameterError):
        return RunnerUnavailableError(
            f"The container engine at {place} and this computer do not trust each other: {error}.",
            hint="Check the certificates (DOCKER_CERT_PATH).",
        )
    return RunnerUnavailableError(
        f"The container engine at {place} cannot be used: {error}.",
        hint="Check it with `docker info`.",
    )


def _install() -> str:
    if shutil.which("podman"):
        return "Start Podman’s socket with `systemctl --user start podman.socket`."
    if shutil.which("dockerd") or shutil.which("docker"):
        return _START
    return "Install Docker or Podman and start it, or set DOCKER_HOST to an engine elsewhere."
