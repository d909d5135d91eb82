"""From the names of channels to their addresses.

Where the settings name none, ``channel_alias`` and ``custom_channels`` of the user's
``.condarc`` count.
Credentials come from the places where conda tools of the rattler family keep them
(keyring, ``~/.rattler/credentials.json``, ``RATTLER_AUTH_FILE``, ``~/.netrc``) or from the
address itself; they are never written to records.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_tool_runner import settings
from napari_tool_runner.addresses import public_url
from napari_tool_runner.data_classes import dataclass
from napari_tool_runner.errors import DescriptorError
from napari_tool_runner.tools.candidate import parse_yaml, read_bytes

if TYPE_CHECKING:
    from napari_tool_runner.plugins.conda.spec import CondaSpec

__all__ = ["Channels", "origins", "resolve_channels"]

# the channel that conda calls so is a set of channels
_SETS = {"defaults": ("main", "r")}

_PLATFORM = re.compile(r"/(?:noarch|(?:linux|osx|win)-\w+)$")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Channels:
    """The channels of one environment, in the order of their priority.

    Parameters
    ----------
    sources : tuple of str
        Names (below `alias`) or URLs; these may hold credentials.
    alias : str
        Where channels live that are names; empty: the usual place.
    mirrors : mapping
        Other places for URLs, for the client.
    renamed : mapping
        Names that have another address now, for specs such as ``conda-forge::numpy``.
    own : set of str
        Those of `sources` that the configuration names, not just the tool.
    """

    sources: tuple[str, ...]
    alias: str
    mirrors: Mapping[str, tuple[str, ...]]
    renamed: Mapping[str, str]
    own: frozenset[str] = frozenset()

    @property
    def identity(self) -> tuple[str, ...]:
        """What makes two lists of channels the same: no credentials in it."""
        return self._told(public_url)

    @property
    def addresses(self) -> tuple[str, ...]:
        """The same as `identity`, with credentials; never to be written or told."""
        return self._told(str)

    def _told(self, shown: Callable[[str], str]) -> tuple[str, ...]:
        alias = shown(self.alias.rstrip("/"))
        return tuple(
            shown(source) if _is_url(source) or not alias else f"{alias}/{source}"
            for source in self.sources
        )

    @property
    def private(self) -> bool:
        """Whether an address holds credentials."""
        return self.addresses != self.identity

    def spec(self, spec: str) -> str:
        """Return a match spec with the channel in it, if any, as an address."""
        name, mark, rest = spec.rpartition("::")
        if not mark:
            return spec
        return f"{self.renamed.get(name, name)}::{rest}"


def resolve_channels(spec: CondaSpec, config: Mapping[str, object]) -> Channels:
    """Return the channels in which the packages of `spec` are searched.

    Raises
    ------
    ConfigError
        A key of the ``runner`` section is wrong.
    """
    conda = _condarc(config)
    mirrors = settings.CHANNEL_MIRRORS.of(config)
    custom = {**_custom_channels(conda), **{k: v[0] for k, v in mirrors.items() if not _is_url(k)}}
    names = [*spec.channels]
    names += [_PLATFORM.sub("", one.rpartition("::")[0]) for one in spec.specs if "::" in one]
    own = settings.CHANNELS.of(config) or settings.CHANNELS.default
    if not (spec.override_channels and names):
        names += own
    expanded, configured = (
        [part for name in some for part in _SETS.get(name, (name,))] for some in (names, own)
    )
    renamed = {name: _address(custom.get(name, name)) for name in expanded}
    return Channels(
        sources=tuple(dict.fromkeys(renamed[name] for name in expanded)),
        alias=settings.CHANNEL_ALIAS.of(config) or str(conda.get("channel_alias") or ""),
        mirrors={k: v for k, v in mirrors.items() if _is_url(k)},
        renamed={name: address for name, address in renamed.items() if name != address},
        own=frozenset(_address(custom.get(name, name)) for name in configured),
    )


def origins(spec: CondaSpec, config: Mapping[str, object]) -> list[str]:
    """Return every place that the packages of `spec` may come from: for eyes and policies.

    Channels, what a package names by itself, mirrors (of the runner section, and of the
    user's own rattler configuration). What cannot be understood is returned as it is.

    Raises
    ------
    ConfigError
        A key of the ``runner`` section is wrong.
    """
    channels = resolve_channels(spec, config)
    mirrors = [place for places in channels.mirrors.values() for place in places]
    found = [*channels.identity, *(own for one in spec.specs for own in _named_by(one))]
    # an address that goes on behind its path is not the channel that it begins with
    raw = [*channels.sources, channels.alias, *found, *mirrors]
    found += [f"{public_url(one)}?…" for one in raw if _is_url(one) and {*one} & {*"?#"}]
    found += [public_url(one) for one in (*mirrors, *_rattler_mirrors())]
    return [*dict.fromkeys(found)]


def _named_by(spec: str) -> list[str]:
    """Return the channels and addresses that a package names by itself.

    What is no name with a version is taken for an address, so that nobody reads it otherwise.
    """
    met = re.fullmatch(r"([^\[\]]*)(?:\[([^\[\]]*)\])?", spec)
    if met is None or len(spec) > _LONGEST:
        return [spec]
    head, inner = met[1].strip(), met[2] or ""
    found: list[str] = []
    channel, mark, name = head.rpartition("::")
    if mark:
        found.append(public_url(_PLATFORM.sub("", channel)))
    if not _PACKAGE.fullmatch(name):
        found.append(_channel_of(name))
    rest = _PAIR.sub("", inner)
    if rest.strip():
        return [*found, spec]
    for key, value in _PAIR.findall(inner):
        plain = value.strip().strip("'\"")
        if key in ("channel", "url"):
            found.append(_channel_of(plain) if key == "url" else public_url(plain))
        elif key not in _HARMLESS:
            found.append(spec)
    return found


_PACKAGE = re.compile(r"[\w.*-][\s=<>!~,|^$*()\w.+-]*", re.ASCII)
_PAIR = re.compile(r"\b(\w++)\s*+=\s*+('[^']*'|\"[^\"]*\"|[^,'\"]*+)\s*+(?:,|$)")
_LONGEST = 1000
"""Characters of what may be a name with a version."""
_HARMLESS = {"version", "build", "build_number", "md5", "sha256", "subdir", "license"}


def _channel_of(address: str) -> str:
    """Return the channel that the address of a package lies in."""
    met = re.fullmatch(r"(.+)/[\w-]+/[\w.+!-]+\.(?:conda|tar\.bz2)", address, re.ASCII)
    return public_url(met[1] if met else address)


def _rattler_mirrors() -> list[str]:
    """Return the mirrors of the user's rattler configuration, which the client reads."""
    import rattler
    from rattler import exceptions as rattler_errors

    try:
        mirrors = rattler.Config.load_from_default_locations("rattler").mirrors or {}
    except rattler_errors.ConfigError:
        return []  # making an environment says so
    return [str(place) for places in mirrors.values() for place in places]


def _address(channel: str) -> str:
    """Return a folder as a URL; names and URLs as they are."""
    if _is_url(channel):
        return channel.rstrip("/")
    if channel.startswith(("/", "~", "./", "../", ".\\")) or re.match(r"^[A-Za-z]:[\\/]", channel):
        return Path(os.path.expanduser(channel)).absolute().as_uri()
    return channel.strip("/")


def _is_url(channel: str) -> bool:
    return "://" in channel or channel.startswith("file:")


def _condarc(config: Mapping[str, object]) -> dict[str, Any]:
    """Return the user's conda configuration; empty when there is none."""
    places = [
        (settings.CONDA_DIR.of(config) or Path("/nowhere")) / ".condarc",
        Path("~/.config/conda/.condarc"),
        Path("~/.conda/.condarc"),
        Path("~/.condarc"),
        Path(os.environ.get("CONDARC") or "/nowhere"),
    ]
    merged: dict[str, Any] = {}
    for place in places:
        try:
            path = Path(os.path.expanduser(place))
            found = parse_yaml(read_bytes(path), path) if os.path.exists(path) else None
        except DescriptorError as error:
            _log.warning("%s It is left out.", error.message)
            continue
        if isinstance(found, dict):
            merged.update(found)
    return merged


def _custom_channels(conda: Mapping[str, Any]) -> dict[str, str]:
    """Return ``custom_channels``: conda adds the channel's name to each address."""
    custom = conda.get("custom_channels")
    if not isinstance(custom, Mapping):
        return {}
    return {str(name): f"{str(url).rstrip('/')}/{name}" for name, url in custom.items()}
