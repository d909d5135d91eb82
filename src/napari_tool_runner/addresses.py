"""Addresses as they may be told: without the logins and tokens that stand in them."""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

from napari_tool_runner._lazy import compiled

__all__ = ["proxy_for", "public_url", "without_credentials"]

# a password may hold what ends an address elsewhere; one with slashes is looked for 300 signs far
_ADDRESS = compiled(
    r"[a-z][a-z0-9+.-]{0,20}://(?:[^\s\"/]*@|[^\s\"]{2,300}@)?[^\s)`'\"]*", re.IGNORECASE
)
_LOGIN_WITH_SLASH = compiled(r"^([^/]*//)[^/@:]*:(?!\d{0,5}(?:[/?#]|$)).*@")


def public_url(url: str) -> str:
    """Return `url` without user names, passwords and tokens."""
    try:
        parts = urlsplit(url.replace("\\", "/") if "://" in url else url)  # as clients read it
    except ValueError:  # it is no address
        before, mark, rest = url.partition("//")
        return before + mark + rest.rpartition("@")[2]
    if not parts.netloc:
        return url
    path = re.sub(r"^/t/[^/]+", "", parts.path)
    # conda takes it for a token anywhere; the channel is not the one that lies there without
    path = re.sub(r"/t/[^/]+", "/t/***", path)
    netloc = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, netloc, path, "", ""))


def without_credentials(text: str) -> str:
    """Return `text` with addresses that hold no credentials.

    A login that is badly written, with a slash in its password, is none of an address: clients
    refuse it, and say it in their errors.
    """
    return _ADDRESS.sub(lambda found: public_url(_LOGIN_WITH_SLASH.sub(r"\1", found[0])), text)


def proxy_for(url: str) -> str:
    """Return host and port of the proxy by which `url` is asked here; empty: by none."""
    from urllib.request import getproxies, proxy_bypass  # slow to import

    scheme, _, rest = url.partition("://")
    found = getproxies()
    proxy = found.get(scheme.lower(), "") or found.get("all", "")
    if not proxy or proxy_bypass(rest.partition("/")[0].rpartition("@")[2]):
        return ""
    return proxy.partition("://")[2].rpartition("@")[2].strip("/") or proxy.rpartition("@")[2]
