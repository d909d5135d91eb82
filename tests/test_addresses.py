"""No login and no token stands in an address that is told."""

from __future__ import annotations

import pytest

from napari_tool_runner.addresses import public_url, without_credentials
from napari_tool_runner.errors import ConfigError, ToolRunnerError


def test_credentials_stay_out_of_public_addresses() -> None:
    assert public_url("https://u:p@h.example/t/tk-123/chan/a.conda?x#y") == (
        "https://h.example/chan/a.conda"
    )
    # what lies there without the token is another channel
    assert public_url("https://h.example/get/t/tk-123/chan") == "https://h.example/get/t/***/chan"
    assert public_url("file:///a/t/b/c") == "file:///a/t/b/c"
    assert public_url("file:///a/b") == "file:///a/b"
    assert public_url("conda-forge") == "conda-forge"
    assert public_url("http://[u:p@//host") == "http:////host"


@pytest.mark.parametrize(
    ("told", "public"),
    [
        ("at tcp://me:SECRET@h:2375 (DOCKER_HOST)", "at tcp://h:2375 (DOCKER_HOST)"),
        ("HTTPS://me:SECRET@h/a", "https://h/a"),
        (
            "for url: http://me:SE)CR'ET@h:1/version: refused",
            "for url: http://h:1/version: refused",
        ),
        ("tcp://me:SECR/SECRET==@h:1", "tcp://h:1"),
        (
            "(git+https://SECRET@h/r.git), http://me@SECRET@h/x)",
            "(git+https://h/r.git), http://h/x)",
        ),
        ('["ssh://me:SECRET@h", "b@c"]', '["ssh://h", "b@c"]'),
        ("see https://h/a?token=SECRET", "see https://h/a"),
        ("https://h:8080/@scope/a, me@h.org", "https://h:8080/@scope/a, me@h.org"),
        ("file:///a@b/c?d, a://b", "file:///a@b/c?d, a://b"),
    ],
)
def test_a_text_tells_addresses_without_credentials(told: str, public: str) -> None:
    assert without_credentials(told) == public


@pytest.mark.parametrize("kind", [ToolRunnerError, ConfigError])
def test_no_error_of_ours_tells_credentials(kind: type[ToolRunnerError]) -> None:
    error = kind("“http://a:SECRET@h” is none.", hint="Not http://b:SECRET@h.")
    assert "SECRET" not in repr(error) + str(error) + error.hint + error.message
    assert "http://h" in error.message
