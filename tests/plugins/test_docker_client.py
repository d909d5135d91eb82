"""The engine is found as the docker command finds it (no engine is needed)."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from docker.errors import APIError
from requests import Response

from napari_tool_runner.errors import RunnerUnavailableError
from napari_tool_runner.plugins.docker import client as docker_client
from napari_tool_runner.plugins.docker.client import Endpoint, Engine, connect, endpoints
from napari_tool_runner.plugins.docker.containers import explain_start
from napari_tool_runner.plugins.docker.words import said_by
from napari_tool_runner.plugins.runner_docker import DockerRunnerService
from support import short_path

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def nothing_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "DOCKER_HOST",
        "DOCKER_CONTEXT",
        "DOCKER_TLS_VERIFY",
        "DOCKER_CERT_PATH",
        "XDG_RUNTIME_DIR",
        "CONTAINER_HOST",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))


@pytest.fixture
def context(tmp_path: Path) -> str:
    """A docker context called ``lab``, chosen in the docker configuration."""
    folder = tmp_path / "docker"
    meta = folder / "contexts" / "meta" / hashlib.sha256(b"lab").hexdigest()
    meta.mkdir(parents=True)
    endpoint = {"Host": "ssh://somebody@server", "SkipTLSVerify": False}
    (meta / "meta.json").write_text(json.dumps({"Name": "lab", "Endpoints": {"docker": endpoint}}))
    (folder / "config.json").write_text(json.dumps({"currentContext": "lab"}))
    return "ssh://somebody@server"


def hosts(config: dict[str, object] | None = None) -> list[str]:
    return [endpoint.host for endpoint in endpoints(config or {})]


def test_the_usual_sockets_when_nothing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    monkeypatch.setenv("CONTAINER_HOST", "unix:///somewhere/podman.sock")
    found = hosts()
    assert found[0] == "unix:///var/run/docker.sock"
    assert found.index("unix:///run/user/7/docker.sock") == 1
    assert f"unix://{tmp_path}/.docker/desktop/docker.sock" in found
    assert found[-3:] == [
        "unix:///somewhere/podman.sock",
        "unix:///run/user/7/podman/podman.sock",
        "unix:///run/podman/podman.sock",
    ]


def test_the_order_of_what_names_it(context: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hosts() == [context]
    monkeypatch.setenv("DOCKER_CONTEXT", "default")
    assert hosts()[0] == "unix:///var/run/docker.sock"
    monkeypatch.setenv("DOCKER_CONTEXT", "lab")
    assert hosts() == [context]
    monkeypatch.setenv("DOCKER_HOST", "tcp://other:2375")
    assert hosts() == ["tcp://other:2375"]
    assert hosts({"host": "unix:///mine.sock"}) == ["unix:///mine.sock"]


def test_a_context_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONTEXT", "gone")
    with pytest.raises(RunnerUnavailableError, match="“gone” is chosen, but it is not defined"):
        endpoints({})


@pytest.mark.parametrize("broken", ["", "[]", "{", '{"currentContext": null}'])
def test_a_broken_docker_configuration_is_as_none(tmp_path: Path, broken: str) -> None:
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker" / "config.json").write_text(broken)
    assert hosts()[0] == "unix:///var/run/docker.sock"


def test_tls_of_the_environment_and_of_a_context(
    tmp_path: Path, context: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://server:2376")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
    (endpoint,) = endpoints({})
    assert (endpoint.tls_dir, endpoint.tls_verify) == (tmp_path, True)
    monkeypatch.delenv("DOCKER_HOST")
    tls = tmp_path / "docker" / "contexts" / "tls" / hashlib.sha256(b"lab").hexdigest() / "docker"
    tls.mkdir(parents=True)
    (endpoint,) = endpoints({})
    assert endpoint.host == context
    assert endpoint.tls_dir == tls


@pytest.fixture
def short(tmp_path: Path) -> Iterator[Path]:
    with short_path(tmp_path) as place:
        yield Path(place)


def test_no_engine_at_all(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        docker_client, "_usual_sockets", lambda environ: iter([("Docker", f"{short}/a.sock")])
    )
    monkeypatch.setattr(docker_client.shutil, "which", lambda name: None)
    with pytest.raises(RunnerUnavailableError) as raised:
        connect({})
    assert "Install Docker or Podman" in str(raised.value)


def test_a_socket_where_nobody_listens(short: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(short / "s"))
    left.close()
    with pytest.raises(RunnerUnavailableError, match="Nothing listens at unix://") as raised:
        connect({"host": f"unix://{short}/s"})
    assert raised.value.hint


def test_the_most_telling_failure_is_told(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(short / "s"))
    left.close()
    monkeypatch.setattr(
        docker_client,
        "_usual_sockets",
        lambda environ: iter([("Docker", f"{short}/absent"), ("Podman", f"{short}/s")]),
    )
    with pytest.raises(RunnerUnavailableError, match="Podman’s usual socket"):
        connect({})


@pytest.fixture
def silent(short: Path) -> Iterator[str]:
    """Something that accepts and never answers."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(short / "s"))
    server.listen()
    accepted: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                accepted.append(server.accept()[0])
            except OSError:
                return

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield f"unix://{short}/s"
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()
    for each in accepted:
        each.close()


def test_something_that_never_answers(silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_client, "PROBE_TIMEOUT", 0.3)
    with pytest.raises(RunnerUnavailableError, match="does not answer"):
        connect({"host": silent})


def test_tcp_where_nobody_listens() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(RunnerUnavailableError, match="Nothing listens at tcp://"):
        connect({"host": f"127.0.0.1:{port}"})


@pytest.fixture
def refusing() -> Iterator[str]:
    """An engine that answers every question with an error."""

    class Refusal(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(500)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Refusal)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("where", ["configuration", "DOCKER_HOST", "context"])
@pytest.mark.parametrize("address", ["", "127.0.0.1:1", "127.0.0.1", "[::1"])
def test_a_login_of_an_engine_is_not_told(
    where: str, address: str, refusing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = f"tcp://me:SECRET@{address or refusing}"
    if where == "DOCKER_HOST":
        monkeypatch.setenv("DOCKER_HOST", host)
    if where == "context":
        meta = tmp_path / "docker" / "contexts" / "meta" / hashlib.sha256(b"lab").hexdigest()
        meta.mkdir(parents=True)
        (meta / "meta.json").write_text(json.dumps({"Endpoints": {"docker": {"Host": host}}}))
        monkeypatch.setenv("DOCKER_CONTEXT", "lab")
    available = DockerRunnerService({"host": host} if where == "configuration" else {}).check()
    assert not available.ok
    assert "SECRET" not in repr(available)
    assert "tcp://" in available.message


def test_an_engine_is_told_and_known_without_its_login() -> None:
    engine = Engine(None, Endpoint("tcp://me:SECRET@h:1", "test"))
    assert engine.id == engine.endpoint.place == "tcp://h:1"
    asked = Response()
    asked.status_code, asked.url, asked.reason = 409, "http://me:SECRET@h:1/v1/x", "Conflict"
    assert said_by(APIError("", asked)) == "409 Client Error for http://h:1/v1/x: Conflict"


def test_an_address_that_is_none() -> None:
    with pytest.raises(RunnerUnavailableError, match="cannot be used"):
        connect({"host": "nonsense://x"})


def test_what_an_engine_says_about_itself() -> None:
    info = {
        "ID": "x",
        "Architecture": "aarch64",
        "OSType": "linux",
        "SecurityOptions": ["name=seccomp,profile=default", "name=rootless", "name=selinux"],
    }
    engine = Engine(None, Endpoint("unix:///s", "test"), info)
    assert engine.platform == "linux/arm64"
    assert engine.rootless
    assert engine.selinux
    assert not engine.user_namespace


@pytest.mark.parametrize(
    ("said", "word", "hint"),
    [
        ("could not select device driver", "A GPU is asked for", "NVIDIA"),
        ("write /x: no space left on device", "disk of the container engine (/data) is full", ""),
        ("exec /bin/sh: exec format error", "another kind of processor", "linux/amd64"),
        (
            "invalid mount config: bind source path does not exist: /a b",
            "cannot see /a b.",
            "share that folder",
        ),
        ("Mounts denied: /x is outside", "cannot see Mounts denied", "share that folder"),
        ("network lab not found", "has no such network", "network_mode"),
        ("something else", "A container for sh cannot be started", ""),
    ],
)
def test_why_a_container_cannot_start(said: str, word: str, hint: str) -> None:
    info = {"DockerRootDir": "/data", "Architecture": "x86_64"}
    engine = Engine(None, Endpoint("unix:///s", "test"), info)
    error = explain_start(engine, APIError("refused", explanation=said), ["sh"])
    assert word in error.message
    assert hint in f"{error.message} {error.hint}"
    assert error.hint


def test_a_container_of_an_image_without_a_program() -> None:
    engine = Engine(None, Endpoint("unix:///s", "test"), {})
    assert "the image’s own program" in explain_start(engine, ValueError("x"), []).message
    gone = explain_start(engine, ConnectionError("closed"), ["sh"])
    assert gone.message == "The container engine does not answer."


def test_a_computer_that_nobody_knows() -> None:
    with pytest.raises(RunnerUnavailableError, match="is not known"):
        connect({"host": "tcp://no-such-computer.invalid:2375"})
