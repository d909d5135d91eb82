"""Ask a registry what an image weighs, for whom it is made, and which tags there are.

The engine tells none of this before a pull. Everything here is for information: short
time limits, and whoever asks goes on without an answer.
"""

from __future__ import annotations

import contextlib
import io
import ipaddress
import re
import time
import zlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import docker.auth
import docker.errors
import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter

from napari_tool_runner.data_classes import dataclass, field
from napari_tool_runner.errors import JobCancelledError, PreparationError
from napari_tool_runner.plugins.docker.images import is_digest
from napari_tool_runner.plugins.preflight import preflight_cancel
from napari_tool_runner.storage import parse_json

if TYPE_CHECKING:
    from napari_tool_runner.plugins.docker.client import Engine
    from napari_tool_runner.plugins.docker.images import Reference
    from napari_tool_runner.plugins.process import CancelToken

__all__ = ["Manifest", "RegistryError", "ask_manifest", "ask_tags"]

TIMEOUT = 4.0
_LISTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_SINGLE = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_LARGEST = 4 * 2**20  # bytes of an answer, unpacked
_WHOLE = 3 * TIMEOUT  # seconds until all of it is there
_HEAVIEST = 2**44  # bytes of a layer that are believed
_WORD = re.compile(r"[\w.-]{1,40}", re.ASCII)


class RegistryError(PreparationError):
    """A registry does not answer, or not with what was asked for.

    Parameters
    ----------
    status : int
        The HTTP status; 0 when there was no answer.
    """

    def __init__(self, message: str, *, status: int = 0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an image consists of.

    Parameters
    ----------
    layers : mapping
        Digest -> compressed bytes, each once.
    platforms : tuple of str
        For whom there is an image, as ``linux/amd64``.
    chosen : str
        The platform that `layers` are of; empty: there is none for the one asked for.
    """

    layers: Mapping[str, int] = field(default_factory=dict)
    platforms: tuple[str, ...] = ()
    chosen: str = ""

    @property
    def size(self) -> int:
        """Bytes of a download from nothing."""
        return sum(self.layers.values())


def ask_manifest(engine: Engine, reference: Reference, platform: str) -> Manifest:
    """Return the manifest of an image for `platform`.

    Raises
    ------
    RegistryError
    JobCancelledError
        The pre-flight that asks was ended.
    """
    with _understood(reference):
        return _manifest(_Session(engine, reference), reference, platform)


def _manifest(session: _Session, reference: Reference, platform: str) -> Manifest:
    data = session.json(f"manifests/{reference.version}", accept=(*_LISTS, *_SINGLE))
    entries = data.get("manifests")
    if isinstance(entries, list):
        found = {_platform(entry.get("platform") or {}): entry for entry in entries}
        found.pop("unknown/unknown", None)
        fitting = [name for name in found if name == platform or name.startswith(f"{platform}/")]
        if not fitting:
            return Manifest(platforms=tuple(found))
        data = session.json(f"manifests/{_digest(found[fitting[0]])}", accept=_SINGLE)
        return Manifest(_layers(data), tuple(found), fitting[0])
    config = data.get("config")
    if not isinstance(config, Mapping):
        # a manifest of the first schema knows no sizes
        return Manifest(chosen=platform)
    made_for = _platform(session.json(f"blobs/{_digest(config)}"))
    fits = platform.startswith(made_for)
    return Manifest(_layers(data), (made_for,), made_for if fits else "")


def ask_tags(engine: Engine, reference: Reference) -> list[str]:
    """Return the tags of a repository, in the registry's order.

    Raises
    ------
    RegistryError
    JobCancelledError
        The pre-flight that asks was ended.
    """
    with _understood(reference):
        return [
            str(tag) for tag in _Session(engine, reference).json("tags/list").get("tags") or []
        ]


@contextlib.contextmanager
def _understood(reference: Reference) -> Iterator[None]:
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise _something_else(reference.registry) from error


def _something_else(registry: str) -> RegistryError:
    return RegistryError(f"The registry {registry} answered with something else.")


class _Bounded(HTTPAdapter):
    """Reads answers whole, within limits: also those that only lead to another one."""

    def __init__(self, registry: str, cancel: CancelToken) -> None:
        super().__init__()
        self._registry, self._cancel = registry, cancel

    def send(
        self, request: requests.PreparedRequest, *args: Any, **more: Any
    ) -> requests.Response:
        """Return the answer, which is read: nobody meets more of it, packed or unpacked."""
        self._go_on()
        response = super().send(request, *args, **more)
        try:
            told = self._read(response)
        finally:
            response.close()
        response.raw = io.BytesIO(told)
        return response

    def _read(self, response: requests.Response) -> bytes:
        packed = response.headers.get("Content-Encoding", "identity").lower()
        if packed not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise requests.exceptions.ContentDecodingError(f"packed as {packed}")
        unpack = zlib.decompressobj(47) if packed not in ("", "identity") else None
        found, until = bytearray(), time.monotonic() + _WHOLE
        try:
            for part in response.raw.stream(2**16, decode_content=False):
                self._go_on()
                # so much at most is made of it
                found += unpack.decompress(part, _LARGEST + 1) if unpack else part
                if len(found) > _LARGEST:
                    raise RegistryError(
                        f"The answer of the registry {self._registry} is too large."
                    )
                if time.monotonic() > until:
                    raise requests.exceptions.ReadTimeout("it tells too little at a time")
        except (urllib3.exceptions.HTTPError, zlib.error) as error:
            raise requests.exceptions.ContentDecodingError(str(error)) from error
        return bytes(found)

    def _go_on(self) -> None:
        if self._cancel.requested:
            raise JobCancelledError(f"Cancelled while the registry {self._registry} was asked.")


class _Session:
    """Requests to one repository, with its kind of authentication."""

    def __init__(self, engine: Engine, reference: Reference) -> None:
        self.reference = reference
        self.root = f"{_address(engine, reference.registry)}/v2/{reference.path}"
        self.http = requests.Session()
        for scheme in ("http://", "https://"):
            self.http.mount(scheme, _Bounded(reference.registry, preflight_cancel()))
        self.authorization = ""
        self.credentials = _credentials(reference.registry)

    def json(self, what: str, accept: tuple[str, ...] = ()) -> dict[str, Any]:
        registry = self.reference.registry
        try:
            response = self._get(what, accept)
            if response.status_code == 401:
                self._authorize(response.headers.get("WWW-Authenticate", ""))
                response = self._get(what, accept)
            if response.status_code >= 400:
                raise RegistryError(
                    f"The registry {registry} has no {self.reference}."
                    if response.status_code == 404
                    else f"The registry {registry} does not tell about {self.reference} "
                    f"({response.status_code} {response.reason}).",
                    status=response.status_code,
                )
            found = parse_json(response.content)
        except (requests.exceptions.RequestException, ValueError) as error:
            raise RegistryError(
                f"The registry {registry} cannot be asked about {self.reference}."
            ) from error
        if not isinstance(found, dict):
            raise _something_else(registry)
        return found

    def _get(self, what: str, accept: tuple[str, ...]) -> requests.Response:
        headers = {"Accept": ", ".join(accept) or "application/json"}
        if self.authorization:
            headers["Authorization"] = self.authorization
        return self.http.get(f"{self.root}/{what}", headers=headers, timeout=TIMEOUT)

    def _authorize(self, challenge: str) -> None:
        kind, _, rest = challenge.partition(" ")
        if kind.lower() == "basic" and self.credentials is not None:
            self.http.auth = self.credentials
            return
        fields = dict(re.findall(r'\b(\w+)="([^"]*)"', rest))
        if kind.lower() != "bearer" or "realm" not in fields:
            return
        if not fields["realm"].startswith("https://") and self.root.startswith("https://"):
            # a secure registry has no reason to send credentials over the open network
            return
        response = self.http.get(
            fields["realm"],
            params={key: fields[key] for key in ("service", "scope") if key in fields},
            auth=self.credentials,
            timeout=TIMEOUT,
        )
        response.raise_for_status()
        found = parse_json(response.content)
        if not isinstance(found, dict):
            raise _something_else(self.reference.registry)
        token = found.get("token") or found.get("access_token")
        if token:
            self.authorization = f"Bearer {token}"


def _address(engine: Engine, registry: str) -> str:
    if registry == docker.auth.INDEX_NAME:
        # the engine knows where that is
        index = urlsplit(str(engine.info.get("IndexServerAddress") or docker.auth.INDEX_URL))
        return f"{index.scheme}://{index.netloc}"
    known = (engine.info.get("RegistryConfig") or {}).get("IndexConfigs") or {}
    host = registry.partition(":")[0]
    plain = known.get(registry, {}).get("Secure") is False or host == "localhost"
    with contextlib.suppress(ValueError):
        plain = plain or ipaddress.ip_address(host).is_loopback
    return f"{'http' if plain else 'https'}://{registry}"


def _credentials(registry: str) -> tuple[str, str] | None:
    try:
        found = docker.auth.load_config().resolve_authconfig(registry)
    except (docker.errors.DockerException, OSError, ValueError):
        # a pull tells about it; public images need none
        return None
    if not found:
        return None
    name = found.get("Username") or found.get("username")
    password = found.get("Password") or found.get("password")
    return (str(name), str(password)) if name and password else None


def _platform(found: Mapping[str, Any]) -> str:
    """Return a platform in words that can be shown: a registry tells what it likes."""
    told = found.get("os", "linux"), found.get("architecture", "unknown"), found.get("variant")
    words = [str(word) for word in told if word]
    return "/".join(word if _WORD.fullmatch(word) else "unknown" for word in words)


def _digest(found: Mapping[str, Any]) -> str:
    """Return the digest that a manifest names: no other text becomes a part of an address."""
    digest = found["digest"]
    if not is_digest(digest):
        raise ValueError("no digest")
    return str(digest)


def _layers(data: Mapping[str, Any]) -> dict[str, int]:
    """Return the sizes of the layers; those that cannot be are not known."""
    told = {str(layer["digest"]): int(layer.get("size") or 0) for layer in data.get("layers", [])}
    return {digest: size if 0 <= size < _HEAVIEST else 0 for digest, size in told.items()}
