"""Podman's service on a private socket: the same interface, another engine."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time

import docker.errors
import psutil
import requests
from docker_engine import Engine, which

CONTAINERS_CONF = """
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
"""


def why_not() -> str:
    """Why Podman cannot start here; empty when it can."""
    if os.name != "posix" or os.geteuid() != 0:
        return "a test engine needs root on Linux"
    missing = [name for name in ("podman", "runc", "conmon") if which(name) is None]
    return f"{', '.join(missing)} not installed (apt: podman catatonit)" if missing else ""


class Podman(Engine):
    """``podman system service`` with everything in its own folder.

    `user`: run it rootless, as the user of this number.
    """

    def __init__(self, insecure_registry: str = "", user: int | None = None) -> None:
        super().__init__()
        self.insecure_registry = insecure_registry
        self.user = user
        if user is not None:
            (self.root / "run").mkdir(mode=0o700)
            for place in (self.root, self.root / "run"):
                os.chown(place, user, user)

    def start(self) -> None:
        """Start the service."""
        configuration = self.root / "containers.conf"
        configuration.write_text(CONTAINERS_CONF)
        registries = self.root / "registries.conf"
        registries.write_text(
            f'[[registry]]\nlocation = "{self.insecure_registry}"\ninsecure = true\n'
            if self.insecure_registry
            else ""
        )
        self.socket.unlink(missing_ok=True)
        with (self.root / "podman.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    str(which("podman")),
                    f"--root={self.root / 'root'}",
                    f"--runroot={self.root / 'run'}",
                    f"--tmpdir={self.root / 'tmp'}",
                    f"--storage-driver={'overlay' if self.user is None else 'vfs'}",
                    "--cgroup-manager=cgroupfs",
                    "--events-backend=file",
                    "system",
                    "service",
                    "--time=0",
                    self.host,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self.root,
                user=self.user,
                group=self.user,
                extra_groups=None if self.user is None else [],
                env={
                    **os.environ,
                    "HOME": str(self.root),
                    **{f"XDG_{name}_HOME": str(self.root) for name in ("CONFIG", "DATA", "CACHE")},
                    "XDG_RUNTIME_DIR": str(self.root / "run"),
                    "CONTAINERS_CONF": str(configuration),
                    "CONTAINERS_REGISTRIES_CONF": str(registries),
                },
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
        tail = (self.root / "podman.log").read_text(errors="replace")[-2000:]
        raise RuntimeError(f"podman did not start:\n{tail}")

    def _end_orphans(self) -> None:
        # what keeps the user namespace of a rootless Podman outlives its service
        for file in self.root.rglob("pause.pid"):
            with contextlib.suppress(psutil.Error, ValueError):
                psutil.Process(int(file.read_text())).kill()
        super()._end_orphans()
