"""Which indexes are asked: those that the user's settings name, uv's own or else pip's."""

from __future__ import annotations

import configparser
import os
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from posixpath import commonpath
from urllib.parse import urlsplit
from urllib.request import url2pathname

from napari_tool_runner.data_classes import dataclass, field, replace

__all__ = ["Indexes", "pip_files", "place_of", "users_indexes"]

_PYPI = "https://pypi.org/simple"
_PYPIS = "files.pythonhosted.org"  # where the files lie that it names

# what decides what uv fetches, and from where; nothing of projects, Pythons and places
_NAMING = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS")
_UVS = frozenset(
    {*_NAMING, "UV_NO_INDEX", "UV_INDEX_STRATEGY", "UV_KEYRING_PROVIDER", "UV_INSECURE_HOST"}
    | {"UV_NATIVE_TLS", "UV_SYSTEM_CERTS", "UV_HTTP_TIMEOUT", "UV_REQUEST_TIMEOUT"}
    | {"UV_HTTP_RETRIES", "UV_CONCURRENT_DOWNLOADS", "UV_CACHE_DIR", "NETRC"}
    | {"SSL_CERT_FILE", "SSL_CERT_DIR", "SSL_CLIENT_CERT"}
)

_TRUE = ("1", "true", "yes", "on", "y", "t")


@dataclass(frozen=True, slots=True)
class Indexes:
    """The indexes that are asked.

    Parameters
    ----------
    places : tuple of str
        Their addresses, perhaps with logins: not to be told.
    variables : mapping
        What tells uv of them.
    file : Path or None
        The user's ``uv.toml``.
    offline : str
        Which of the user's settings of uv keeps it from the network; empty: none.
    """

    places: tuple[str, ...] = (_PYPI,)
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    file: Path | None = None
    offline: str = ""

    def before(self, places: Iterable[str]) -> Indexes:
        """Return these with others that are asked first."""
        first = [one for one in places if one not in self.places]
        if not first:
            return self
        told = " ".join([*first, *self.variables.get("UV_INDEX", "").split()])
        return replace(
            self, places=(*first, *self.places), variables={**self.variables, "UV_INDEX": told}
        )


def users_indexes() -> Indexes:
    """Return the indexes of the user's settings: of uv, else of pip, else PyPI."""
    variables = {
        name: value
        for name, value in os.environ.items()
        if value and (name in _UVS or (name.startswith("UV_INDEX_") and name.count("_") > 2))
    }
    file = next((one for one in _uv_files() if one.is_file()), None)
    settings = _read_toml(file) if file is not None else {}
    if not any(name in variables for name in _NAMING) and not _named_in(settings):
        variables |= _pips()
    default = variables.get("UV_DEFAULT_INDEX") or variables.get("UV_INDEX_URL")
    more = [
        *variables.get("UV_INDEX", "").split(),
        *variables.get("UV_EXTRA_INDEX_URL", "").split(),
        *variables.get("UV_FIND_LINKS", "").replace(",", " ").split(),
    ]
    own, own_default = _named_in(settings), _default_in(settings)
    # an index of the variables may have a name, as in NAME=https://…
    plain = [one.partition("=")[2] if "=" in one.partition("://")[0] else one for one in more]
    last = [] if "UV_NO_INDEX" in variables else [default or own_default or _PYPI]
    offline = f"'offline' of {file}" if settings.get("offline") is True else ""
    if os.environ.get("UV_OFFLINE", "").lower() in _TRUE:
        offline = "UV_OFFLINE"
    return Indexes(tuple(dict.fromkeys([*plain, *own, *last])), variables, file, offline)


def place_of(url: str, places: Sequence[str]) -> str:
    """Return from which of the places that were asked a file comes, else which server has it.

    That of the usual index is called “PyPI”.

    Parameters
    ----------
    url : str
        Of the file.
    """
    file = urlsplit(url)
    if file.scheme == "file":
        path = Path(url2pathname(file.path))
        folders = (url2pathname(one.removeprefix("file://")) for one in places if _is_local(one))
        return next((one for one in folders if path.is_relative_to(one)), str(path.parent))
    servers = [one for one in places if not _is_local(one)]
    near = [one for one in servers if urlsplit(one).hostname == file.hostname]
    if not near and file.hostname == _PYPIS:
        near = [one for one in servers if one.startswith(_PYPI)]
    if not near and len(servers) == 1:  # it names files of others
        near = servers
    if not near:
        return f"{file.scheme}://{file.netloc}"
    found = max(near, key=lambda one: len(commonpath([urlsplit(one).path or "/", file.path])))
    return "PyPI" if found.rstrip("/") == _PYPI else found


def _is_local(place: str) -> bool:
    return place.startswith("file:") or "://" not in place


def _uv_files() -> Iterator[Path]:
    """Yield where the settings of uv may lie that are not of a project."""
    if told := os.environ.get("UV_CONFIG_FILE"):
        yield Path(told).absolute()
    folder = os.environ.get("APPDATA") if sys.platform == "win32" else None
    yield (
        Path(folder or os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
        / "uv/uv.toml"
    )
    yield Path("/etc/uv/uv.toml")


def _read_toml(file: Path) -> Mapping[str, object]:
    with suppress(OSError, ValueError, RecursionError):
        return tomllib.loads(file.read_text(encoding="utf-8"))
    return {}


def _named_in(settings: Mapping[str, object]) -> list[str]:
    """Return the indexes that a ``uv.toml`` names, in its order; a default one comes last."""
    found: list[tuple[bool, str]] = []
    for table in (settings, settings.get("pip")):
        if not isinstance(table, Mapping):
            continue
        listed = table.get("index")
        for one in listed if isinstance(listed, list) else ():
            if isinstance(one, Mapping) and isinstance(url := one.get("url"), str):
                found.append((bool(one.get("default")), url))
        for name in ("extra-index-url", "find-links"):
            values = table.get(name)
            found += [(False, one) for one in (values if isinstance(values, list) else ())]
        if isinstance(url := table.get("index-url"), str):
            found.append((True, url))
    return [url for _, url in sorted(found, key=lambda one: one[0])]


def _default_in(settings: Mapping[str, object]) -> str:
    """Return the default index of a ``uv.toml``."""
    listed = settings.get("index")
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, Mapping) and one.get("default"):
            return str(one.get("url", ""))
    return str(settings.get("index-url", ""))


def pip_files() -> Iterator[Path]:
    """Yield where the user's own file for pip may lie, which names the index to ask."""
    if told := os.environ.get("PIP_CONFIG_FILE"):
        yield Path(told).absolute()
    folder = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    for name in (f"{folder}/pip/pip.conf", "~/.pip/pip.conf"):
        yield Path(name).expanduser()


def _pips() -> dict[str, str]:
    """Return the indexes of pip's settings as uv hears them."""
    told: dict[str, str] = {}
    for file in (
        *(Path("/etc/pip.conf"), Path(sys.prefix, "pip.conf")),
        *reversed([*pip_files()]),
    ):
        parser = configparser.RawConfigParser()
        with suppress(OSError, configparser.Error, UnicodeDecodeError):
            parser.read(file, encoding="utf-8")
            for section in ("global", "install"):
                told |= dict(parser[section]) if parser.has_section(section) else {}
    for name, value in os.environ.items():
        if name.startswith("PIP_") and value:
            told[name[4:].lower().replace("_", "-")] = value
    names = {
        "index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX",
        "find-links": "UV_FIND_LINKS", "trusted-host": "UV_INSECURE_HOST",
    }  # fmt: skip
    found = {ours: " ".join(told[name].split()) for name, ours in names.items() if told.get(name)}
    if "UV_FIND_LINKS" in found:
        found["UV_FIND_LINKS"] = found["UV_FIND_LINKS"].replace(" ", ",")
    if told.get("no-index", "").lower() in _TRUE:
        found["UV_NO_INDEX"] = "1"
    if cert := told.get("cert"):
        found["SSL_CERT_FILE"] = cert
    return found
