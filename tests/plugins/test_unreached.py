"""Why a server was not reached, by what conda, uv and engines say of it."""

from __future__ import annotations

import pytest

from napari_tool_runner.plugins.unreached import proxy_hint, set_proxy, why_unreached

PROXY = "the proxy 192.0.2.9:3128, which is set here,"
BEGUN = "error sending request for url (https://conda.example.org/ca-certificates-eof.zst): "


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("tunnel error: proxy authorization required", "wants a name and a password"),
        ("tunnel error: unsuccessful", "does not let it through"),
        ("tunnel error: unexpected end of file", "closes the connection"),
        ("received corrupt message of type InvalidContentType", "answers as no proxy does"),
        ("operation timed out", "does not answer in time"),
        ("Connection refused (os error 111)", "takes no connections"),
    ],
)
def test_a_proxy_is_named_and_what_it_does(said: str, why: str) -> None:
    told, by_proxy = why_unreached(BEGUN + said, PROXY)
    assert by_proxy
    assert told.startswith(f"cannot be reached: {PROXY} {why}")


def test_what_no_proxy_says_is_of_the_server() -> None:
    assert why_unreached(BEGUN + "invalid peer certificate: UnknownIssuer", PROXY) == (
        "shows a certificate that is not accepted here",
        False,
    )
    assert why_unreached(BEGUN + "404 Not Found", PROXY) == ("", False)
    told, by_proxy = why_unreached(BEGUN + "InvalidContentType", "")
    assert "something else answers in its place" in told
    assert not by_proxy
    told, by_proxy = why_unreached(BEGUN + "tunnel error: unsuccessful", "")
    assert told == "cannot be reached: the proxy of this network does not let it through"


def test_where_a_proxy_is_set_is_told_without_its_login(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ALL_PROXY", "http://bob:hush@192.0.2.9:3128")
    assert set_proxy("https://conda.example.org") == PROXY
    hint = proxy_hint("https://conda.example.org")
    assert hint.startswith("The proxy is set by the variable ALL_PROXY: correct it there")
    assert "hush" not in hint
