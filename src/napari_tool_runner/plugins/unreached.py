"""Why a server was not reached, in our words, whoever asked it: conda, uv, a container engine."""

from __future__ import annotations

import os
import re

from napari_tool_runner.addresses import proxy_for

__all__ = ["proxy_hint", "set_proxy", "why_unreached"]

# what Go says of a proxy's answer: its words, and nothing else, behind the address
_ANSWERED = r"(?:get|head|post) \"url\": (?:{})\W*$"
_PROXY = {
    "proxy auth(?:orization|entication) required": "wants a name and a password",
    "tunnel error: unsuccessful|"
    + _ANSWERED.format("forbidden|bad gateway|service unavailable|gateway time-?out"): (
        "does not let it through"
    ),
    "tunnel error|proxyconnect tcp: (?:unexpected )?eof": "closes the connection",
}
"""What is only said where a proxy stands between."""
_PAGE = "corrupt message|invalidcontenttype|not look like a tls|http response to https client"
_CERTIFICATE = "certificate|x509"
_SERVER = {
    "dns error|failed to lookup|no such host|server misbehaving|name resolution": (
        "is not known to the network here"
    ),
    "connection refused": "takes no connections",
    "unreachable|no route to host": "cannot be reached from this network",
    _CERTIFICATE: "shows a certificate that is not accepted here",
    "timed out|timeout|deadline": "does not answer in time",
    r"connection (?:closed|reset)|broken pipe": "closes the connection",
    r"dial tcp|\beof\b": "cannot be reached",
}
"""What rattler, uv (Rust) and engines (Go) say, in this order, and what it means."""


def why_unreached(
    said: str, proxy: str, unnamed: str = "the proxy of this network"
) -> tuple[str, bool]:
    """Return what is to be said of a server behind its name, and whether of the proxy.

    Parameters
    ----------
    said : str
        By the program that asked it.
    proxy : str
        As in *the proxy 192.0.2.9:3128, which is set here,*; empty: none is known.
    unnamed : str
        What one is called then, where it has spoken all the same.

    Returns
    -------
    tuple of str and bool
        Nothing, where something else has failed.
    """
    low = re.sub(r"https?://[^\s)`'\"]+", "url", said.lower())  # which may name “certificates”
    for signs, why in _PROXY.items():
        if re.search(signs, low):
            return f"cannot be reached: {proxy or unnamed} {why}", True
    if re.search(_PAGE, low):
        if proxy:
            why = "answers as no proxy does, perhaps with a page where one logs in"
            return f"cannot be reached: {proxy} {why}", True
        return (
            "cannot be reached: something else answers in its place, perhaps a page where one "
            "logs in to this network"
        ), False
    for signs, why in _SERVER.items():
        if re.search(signs, low):
            if proxy and signs != _CERTIFICATE:  # which came from behind it
                return f"cannot be reached: {proxy} {why}", True
            return why, False
    return "", False


def set_proxy(url: str) -> str:
    """Return the proxy by which `url` is asked here, as `why_unreached` takes it."""
    proxy = proxy_for(url)
    return f"the proxy {proxy}, which is set here," if proxy else ""


def proxy_hint(url: str) -> str:
    """Return what to do about that proxy; it says where it is set, and no login of it."""
    names = (f"{url.partition('://')[0].lower()}_proxy", "all_proxy")
    known = {name.lower(): name for name, value in os.environ.items() if value}
    place = next((known[name] for name in names if name in known), "")
    where = f"by the variable {place}" if place else "in the settings of the network"
    return (
        f"The proxy is set {where}: correct it there (if it wants a login: "
        "NAME:PASSWORD@HOST:PORT), name in NO_PROXY what is to be asked without it, or ask "
        "whoever runs it."
    )
