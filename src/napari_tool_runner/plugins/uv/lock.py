"""The exact files of an environment, as a ``pylock.toml`` names them."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from napari_tool_runner.addresses import public_url
from napari_tool_runner.data_classes import dataclass
from napari_tool_runner.errors import PreparationError

__all__ = ["Wheel", "check_pins", "missing_in", "read_lock", "size_of", "unpacked_in"]


@dataclass(frozen=True, slots=True)
class Wheel:
    """A package of a lock. `size`: bytes, if its index tells them."""

    name: str
    version: str
    file: str
    url: str
    sha256: str
    size: int | None

    def fact(self) -> dict[str, object]:
        """Return it for a record."""
        told = {"name": self.name, "version": self.version, "url": public_url(self.url)}
        return {**told, "sha256": self.sha256}


def read_lock(text: str) -> list[Wheel]:
    """Return the packages of a lock.

    Raises
    ------
    PreparationError
        It is none, or names something else than wheels with their SHA-256.
    """
    try:
        return [_wheel(one) for one in tomllib.loads(text).get("packages", ())]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise PreparationError(
            f"The lock of the environment cannot be used: {error}.",
            hint="A package has no wheel with a SHA-256, or the file was changed.",
        ) from error


def _wheel(told: Mapping[str, object]) -> Wheel:
    wheels = told["wheels"]
    assert isinstance(wheels, list)
    one = wheels[0]
    url = str(one.get("url") or Path(one["path"]).as_uri())
    size, file = one.get("size"), unquote(urlsplit(url).path.rpartition("/")[2])
    if size is None and url.startswith("file:"):
        local = url2pathname(urlsplit(url).path)
        size = os.path.getsize(local) if os.path.isfile(local) else None
    return Wheel(
        str(told["name"]), str(told["version"]), file, url, str(one["hashes"]["sha256"]), size
    )


def size_of(wheels: Sequence[Wheel]) -> int | None:
    """Return the bytes of all, None where one is not known."""
    sizes = [one.size for one in wheels]
    return None if None in sizes else sum(size or 0 for size in sizes)


def missing_in(cache: Path | str, wheels: Sequence[Wheel]) -> list[Wheel]:
    """Return those that uv has not downloaded, as far as names in its cache tell."""
    known = unpacked_in(cache, wheels)
    return [one for one in wheels if one not in known]


def unpacked_in(cache: Path | str, wheels: Sequence[Wheel]) -> dict[Wheel, Path]:
    """Return where wheels lie that uv has downloaded."""
    known: dict[Wheel, Path] = {}
    for place in Path(cache).glob("wheels-v*/*"):
        for folder in (place, *place.glob("*")):
            for one in wheels:
                begun = one.file.removesuffix(".whl").removeprefix(f"{_stem(one.name)}-")
                found = folder / one.name / begun
                if found.is_dir():
                    known[one] = Path(os.path.realpath(found))
    return known


def _stem(name: str) -> str:
    return re.sub(r"[-.]", "_", name)


def check_pins(wheels: Sequence[Wheel], pins: Sequence[str]) -> None:
    """Compare wheels with the hashes that a tool's own lock names.

    Raises
    ------
    PreparationError
        A file of the index is another than that lock says.
    """
    from packaging.utils import canonicalize_name

    known: dict[str, set[str]] = {}
    for pin in pins:
        name, *hashes = pin.replace("==", " ", 1).split()
        found = {one.partition("sha256:")[2] for one in hashes if "sha256:" in one}
        known.setdefault(canonicalize_name(name), set()).update(found)
    for one in wheels:
        if (wanted := known.get(one.name)) and one.sha256 not in wanted:
            raise PreparationError(
                f"The file of {one.name} {one.version} is not among those that the tool's own "
                "lock names (another SHA-256), so nothing was installed.",
                hint="Ask whoever wrote the tool, or runs the index.",
            )
