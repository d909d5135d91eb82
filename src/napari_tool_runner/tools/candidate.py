"""A file that may be a descriptor: read once, parsed safely when somebody asks.

How it is read is told in `napari_tool_runner.tools.notations`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from napari_tool_runner.errors import DescriptorError, UnsafeDescriptorError
from napari_tool_runner.storage import sha256_of
from napari_tool_runner.tools.notations import parse_json, parse_xml, parse_yaml, read_bytes

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from napari_tool_runner.tools.formats import Formats

__all__ = ["Candidate", "split_entry"]

_HEAD_BYTES = 4096
_MAX_ALIASES = 100_000

_T = TypeVar("_T")


class Candidate:
    """One file that may be a descriptor; read once, parsed when somebody asks.

    A program that describes itself is one, too: it is never started here, and what can
    be told about it are its path, its `head` and whether it is `executable`.

    Parameters
    ----------
    path : path
    data : bytes, optional
        Its content, where it is known already.
    """

    def __init__(self, path: str | os.PathLike[str], data: bytes | None = None) -> None:
        self.path = Path(path)
        if data is not None:
            self.data = data

    @cached_property
    def data(self) -> bytes:
        """The content.

        Raises
        ------
        UnsafeDescriptorError, DescriptorError
            It is too large, or cannot be read.
        """
        return read_bytes(self.path)

    @cached_property
    def head(self) -> bytes:
        """The first 4 kB; nothing when the file cannot be read."""
        try:
            return self.data[:_HEAD_BYTES]
        except UnsafeDescriptorError:  # far too large for a descriptor: perhaps a program
            with self.path.open("rb") as stream:
                return stream.read(_HEAD_BYTES)
        except DescriptorError:
            return b""

    @cached_property
    def executable(self) -> bool:
        """Whether the file may be started as a program."""
        return self.path.is_file() and os.access(self.path, os.X_OK)

    @cached_property
    def formats(self) -> Formats:
        """The formats that it may name; `read_tool` sets those of a configuration."""
        from napari_tool_runner.tools.formats import FORMATS

        return FORMATS

    @cached_property
    def digest(self) -> str:
        """``sha256:…`` of the content."""
        return sha256_of(self.data)

    @cached_property
    def xml(self) -> Element | None:
        """The root element; None when the file is no (safe) XML."""
        return self._view(parse_xml, _looks_like_xml)

    def root(self, tag: str) -> Element:
        """Return the root element of an XML file, which must be `tag`.

        Raises
        ------
        DescriptorError
            It is no XML, or has another root.
        """
        root = parse_xml(self.data, self.path) if self.xml is None else self.xml
        if root.tag != tag:
            raise DescriptorError(
                f"{self.path} describes no tool: its root is <{root.tag}>.",
                path=self.path,
                hint=f"A descriptor starts with <{tag}>.",
            )
        return root

    @cached_property
    def json(self) -> object:
        """The parsed JSON; None when the file is none."""
        return self._view(parse_json, _looks_like_json)

    @cached_property
    def yaml(self) -> object:
        """The parsed YAML (JSON is YAML, too); None when the file is none."""
        return self._view(_yaml_with_aliases, lambda head: b"\0" not in head)

    @cached_property
    def problem(self) -> DescriptorError | None:
        """Why the file is not even well-formed in the notation that its name promises."""
        try:
            parsers: dict[str, Callable[[bytes, Path], object]] = {
                ".xml": parse_xml,
                ".json": parse_json,
                ".yml": _yaml_with_aliases,
                ".yaml": _yaml_with_aliases,
            }
            parser = parsers.get(self.path.suffix.lower())
            if parser is not None:
                parser(self.data, self.path)
            elif not self.head:
                read_bytes(self.path)
        except DescriptorError as error:
            return error
        return None

    def _view(
        self, parse: Callable[[bytes, Path], _T], likely: Callable[[bytes], bool]
    ) -> _T | None:
        if not likely(self.head):
            return None  # also what is far too large for a descriptor is only looked at
        try:
            return parse(self.data, self.path)
        except DescriptorError:
            return None


def split_entry(ref: str | os.PathLike[str]) -> tuple[Path, str]:
    """Split ``path#entry``, one of several tools of a file; the entry may be empty.

    A file whose own name holds the mark is taken as it is.
    """
    text = os.fspath(ref)
    path, mark, entry = text.rpartition("#")
    if not mark or not entry or "/" in entry or os.sep in entry or Path(text).exists():
        return Path(text), ""
    return Path(path), entry


def _yaml_with_aliases(data: bytes, path: Path) -> object:
    return parse_yaml(data, path, aliases=_MAX_ALIASES)


def _looks_like_xml(head: bytes) -> bool:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return text.startswith(b"<") or head.startswith((b"\xff\xfe", b"\xfe\xff"))


def _looks_like_json(head: bytes) -> bool:
    return head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[")
