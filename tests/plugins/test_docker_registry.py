"""What a registry is asked before a pull, by a small one of our own (no engine is needed)."""

from __future__ import annotations

import gzip
import json
import threading
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from napari_tool_runner.errors import JobCancelledError
from napari_tool_runner.plugins import CancelToken
from napari_tool_runner.plugins.docker import registry as asked
from napari_tool_runner.plugins.docker.client import Endpoint, Engine
from napari_tool_runner.plugins.docker.images import Reference, parse_reference
from napari_tool_runner.plugins.docker.registry import RegistryError, ask_manifest, ask_tags

C, ARM = "sha256:" + "c" * 64, "sha256:" + "a" * 64
LAYERS = {"layers": [{"digest": "sha256:a", "size": 10}, {"digest": "sha256:b", "size": 5}]}


class Registry(ThreadingHTTPServer):
    """Answers a path with a JSON value, text, or ``(status, value)``."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, object] = {}
        self.token = ""
        self.challenge = ""
        self.headers: dict[str, str] = {}
        self.asked: list[str] = []
        self.heard: Callable[[], object] = lambda: None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def reference(self, name: str = "lab/tool:1") -> Reference:
        return parse_reference(f"{self.address}/{name}")


class _Handler(BaseHTTPRequestHandler):
    server: Registry

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append(path)
        self.server.heard()
        found = self.server.answers.get(path, (404, {}))
        status, told = found if isinstance(found, tuple) else (200, found)
        given = self.headers.get("Authorization", "")
        guarded = path.startswith("/v2/") and self.server.challenge
        if guarded and given != f"Bearer {self.server.token}":
            status, told = 401, {}
        text = told if isinstance(told, str | bytes) else json.dumps(told)
        body = text.encode() if isinstance(text, str) else text
        self.send_response(status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        if status == 401:
            self.send_header("WWW-Authenticate", self.server.challenge)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def registry() -> Iterator[Registry]:
    server = Registry()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def engine() -> Engine:
    return Engine(None, Endpoint("unix:///s", "test"), {})


def entry(digest: str, **platform: str) -> dict[str, object]:
    return {"digest": digest, "platform": platform}


def test_an_image_for_several_platforms(registry: Registry, engine: Engine) -> None:
    registry.answers["/v2/lab/tool/manifests/1"] = {
        "manifests": [
            entry("sha256:amd", os="linux", architecture="amd64"),
            entry(ARM, os="linux", architecture="arm64", variant="v8"),
            entry("sha256:proof", os="unknown", architecture="unknown"),
        ]
    }
    registry.answers[f"/v2/lab/tool/manifests/{ARM}"] = LAYERS
    found = ask_manifest(engine, registry.reference(), "linux/arm64")
    assert (found.size, found.chosen) == (15, "linux/arm64/v8")
    assert found.platforms == ("linux/amd64", "linux/arm64/v8")
    other = ask_manifest(engine, registry.reference(), "linux/s390x")
    assert (other.size, other.chosen) == (0, "")
    assert other.platforms == found.platforms


def test_an_image_for_one_platform(registry: Registry, engine: Engine) -> None:
    registry.answers |= {
        "/v2/lab/tool/manifests/1": LAYERS | {"config": {"digest": C}},
        f"/v2/lab/tool/blobs/{C}": {"os": "linux", "architecture": "amd64"},
        "/v2/lab/tool/manifests/old": {"schemaVersion": 1},
    }
    for platform, chosen in (("linux/amd64", "linux/amd64"), ("linux/arm64", "")):
        found = ask_manifest(engine, registry.reference(), platform)
        assert (found.size, found.platforms, found.chosen) == (15, ("linux/amd64",), chosen)
    old = ask_manifest(engine, registry.reference("lab/tool:old"), "linux/amd64")
    assert (old.size, old.chosen) == (0, "linux/amd64")


@pytest.mark.parametrize("word", ["token", "access_token"])
def test_a_registry_that_wants_a_token(registry: Registry, engine: Engine, word: str) -> None:
    registry.token = "secret"
    registry.challenge = f'Bearer realm="http://{registry.address}/token",service="s"'
    registry.answers |= {
        "/v2/lab/tool/tags/list": {"tags": ["1", "2"]},
        "/token": {word: "secret"},
    }
    assert ask_tags(engine, registry.reference()) == ["1", "2"]


@pytest.mark.parametrize(
    "challenge", ["Digest x", 'Bearer service="s"', 'Basic realm="x"', "Bearer"]
)
def test_a_registry_that_cannot_be_satisfied(
    registry: Registry, engine: Engine, challenge: str
) -> None:
    registry.challenge = challenge
    with pytest.raises(RegistryError, match=r"does not tell about .*lab/tool:1 \(401") as error:
        ask_tags(engine, registry.reference())
    assert error.value.status == 401


def test_a_token_that_cannot_be_had(registry: Registry, engine: Engine) -> None:
    registry.challenge = f'Bearer realm="http://{registry.address}/token"'
    for answer in ((500, {}), "no json", {}):
        registry.answers["/token"] = answer
        with pytest.raises(RegistryError):
            ask_tags(engine, registry.reference())


@pytest.mark.parametrize(
    ("answer", "word", "status"),
    [
        ((404, {}), "has no .*lab/tool:1", 404),
        ((503, {}), "does not tell about", 503),
        ("no json", "cannot be asked about", 0),
        ([1, 2], "answered with something else", 0),
        (f'{{"tags": ["{"x" * (4 * 2**20)}"]}}', "is too large", 0),
        ({"tags": 5, "manifests": [5]}, "answered with something else", 0),
        ({"tags": 5, "manifests": [{"platform": 5}]}, "answered with something else", 0),
        (
            {"tags": 5, "manifests": [{"platform": {"architecture": "amd64"}}]},
            "answered with something else",
            0,
        ),
        ({"tags": 5, "config": {}}, "answered with something else", 0),
    ],
    ids=lambda value: str(value)[:40],
)
def test_answers_that_help_nobody(
    registry: Registry, engine: Engine, answer: object, word: str, status: int
) -> None:
    registry.answers["/v2/lab/tool/manifests/1"] = answer
    registry.answers["/v2/lab/tool/tags/list"] = answer
    for ask in (
        lambda: ask_manifest(engine, registry.reference(), "linux/amd64"),
        lambda: ask_tags(engine, registry.reference()),
    ):
        with pytest.raises(RegistryError, match=word) as error:
            ask()
        assert error.value.status == status


@pytest.mark.parametrize("status", [200, 307, 404])
@pytest.mark.parametrize("packed", ["gzip", "deflate", "gzip, gzip", "br", ""])
def test_an_answer_is_not_unpacked_beyond_measure(
    registry: Registry, engine: Engine, status: int, packed: str
) -> None:
    """Not even of an answer that only leads elsewhere."""
    told = zlib.compress(bytes(2**26)) if packed == "deflate" else gzip.compress(bytes(2**26))
    body = bytes(2**23) if not packed else gzip.compress(told) if ", " in packed else told
    registry.headers = {"Content-Encoding": packed, "Location": "/v2/elsewhere"}
    registry.answers["/v2/lab/tool/tags/list"] = (status, body)
    registry.answers["/v2/elsewhere"] = {"tags": ["1"]}
    tracemalloc.start()
    try:
        with pytest.raises(RegistryError, match=r"too large|cannot be asked") as error:
            ask_tags(engine, registry.reference())
        assert tracemalloc.get_traced_memory()[1] < 2**25
    finally:
        tracemalloc.stop()
    assert error.value.status == 0


def test_packed_answers_and_those_that_lead_elsewhere_are_read(
    registry: Registry, engine: Engine
) -> None:
    registry.headers = {"Content-Encoding": "gzip"}
    registry.answers["/v2/lab/tool/tags/list"] = gzip.compress(b'{"tags": ["1"]}')
    assert ask_tags(engine, registry.reference()) == ["1"]
    registry.headers = {"Location": "/v2/elsewhere"}
    registry.answers["/v2/lab/tool/tags/list"] = (307, {})
    registry.answers["/v2/elsewhere"] = {"tags": ["2"]}
    assert ask_tags(engine, registry.reference()) == ["2"]


def test_an_answer_in_drops_is_not_waited_for(
    registry: Registry, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asked, "_WHOLE", -1.0)
    registry.answers["/v2/lab/tool/tags/list"] = {"tags": ["1"]}
    with pytest.raises(RegistryError, match="cannot be asked"):
        ask_tags(engine, registry.reference())


def test_layers_that_are_none(registry: Registry, engine: Engine) -> None:
    registry.answers[f"/v2/lab/tool/blobs/{C}"] = {"architecture": "amd64"}
    for layers in (5, [5], [{"size": 1}], [{"digest": "x", "size": "many"}]):
        registry.answers["/v2/lab/tool/manifests/1"] = {"config": {"digest": C}, "layers": layers}
        with pytest.raises(RegistryError, match="something else"):
            ask_manifest(engine, registry.reference(), "linux/amd64")


@pytest.mark.parametrize("size", [10**400, float("inf"), float("nan"), 1e308, -(10**18)], ids=str)
def test_sizes_that_cannot_be(registry: Registry, engine: Engine, size: float) -> None:
    registry.answers |= {
        "/v2/lab/tool/manifests/1": {
            "config": {"digest": C},
            "layers": [{"digest": "sha256:a", "size": size}],
        },
        f"/v2/lab/tool/blobs/{C}": {"os": "linux", "architecture": "amd64"},
    }
    with suppress(RegistryError):
        assert ask_manifest(engine, registry.reference(), "linux/amd64").size == 0


def test_platforms_are_told_in_words(registry: Registry, engine: Engine) -> None:
    registry.answers |= {
        "/v2/lab/tool/manifests/1": LAYERS | {"config": {"digest": C}},
        f"/v2/lab/tool/blobs/{C}": {
            "os": "\x1b[31m",
            "architecture": "x" * 41,
            "variant": {"a": 1},
        },
    }
    found = ask_manifest(engine, registry.reference(), "linux/amd64")
    assert found.platforms == ("unknown/unknown/unknown",)


@pytest.mark.parametrize("digest", ["../../../v2/secret/other", "x?y#", "sha256:c", 5])
def test_a_digest_leads_nowhere_else(registry: Registry, engine: Engine, digest: object) -> None:
    asked_for = registry.asked
    for told in (
        {"config": {"digest": digest}},
        {"manifests": [{"digest": digest, "platform": {"architecture": "amd64"}}]},
    ):
        registry.answers["/v2/lab/tool/manifests/1"] = told
        with pytest.raises(RegistryError, match="something else"):
            ask_manifest(engine, registry.reference(), "linux/amd64")
    assert asked_for == ["/v2/lab/tool/manifests/1"] * 2


def test_a_preflight_that_was_ended_asks_no_further(
    registry: Registry, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    cancel = CancelToken()
    monkeypatch.setattr(asked, "preflight_cancel", lambda: cancel)
    registry.answers["/v2/lab/tool/manifests/1"] = LAYERS | {"config": {"digest": C}}
    registry.heard = cancel.cancel  # while it answers
    with pytest.raises(JobCancelledError):
        ask_manifest(engine, registry.reference(), "linux/amd64")
    with pytest.raises(JobCancelledError):
        ask_tags(engine, registry.reference())
    assert registry.asked == ["/v2/lab/tool/manifests/1"]


def test_a_registry_that_is_not_there(engine: Engine) -> None:
    with pytest.raises(RegistryError, match="cannot be asked"):
        ask_tags(engine, parse_reference("127.0.0.1:9/lab/tool:1"))
