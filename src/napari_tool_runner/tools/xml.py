"""Safe loading of XML: no DTD, no entities, no network, no giant files.

A descriptor comes from anywhere. Entity expansion can fill the memory and external
entities read files, so both are refused before anything is built.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.errors import DescriptorError, UnsafeDescriptorError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["MAX_BYTES", "load_xml", "parse_xml", "read_bytes"]

MAX_BYTES = 8 * 2**20
"""Largest descriptor that is read. The largest published one has 0.4 MB."""

MAX_DEPTH = 200
"""Deepest nesting of elements; deeper files are made to exhaust a reader."""


def load_xml(path: Path) -> Element:
    """Read and parse one XML file.

    Returns
    -------
    Element
        The root.

    Raises
    ------
    UnsafeDescriptorError
        It declares a document type or an entity, nests without end, or is too large.
    DescriptorError
        It cannot be read, or is not well-formed; the message names line and column.
    """
    return parse_xml(read_bytes(path), path)


def read_bytes(path: Path) -> bytes:
    """Return the content of the regular file `path`, at most `MAX_BYTES`.

    Raises
    ------
    UnsafeDescriptorError, DescriptorError
    """
    try:
        if path.exists() and not path.is_file():
            raise DescriptorError(
                f"{path} is not a file.", path=path, hint="Name the XML file of a tool."
            )
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise DescriptorError(
            f"There is no file {path}.", path=path, hint="Check the path."
        ) from error
    except OSError as error:
        raise DescriptorError(
            f"{path} cannot be read: {error.strerror or error}.",
            path=path,
            hint="Check its permissions.",
        ) from error
    if len(data) > MAX_BYTES:
        raise UnsafeDescriptorError(
            f"{path} is larger than {MAX_BYTES // 2**20} MB.",
            path=path,
            hint="No tool descriptor is so large; it was not read.",
        )
    return data


def parse_xml(data: bytes, path: Path) -> Element:
    """Parse the content of `path`; see `load_xml`."""
    from xml.etree.ElementTree import ParseError, TreeBuilder

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import DefusedXMLParser

    class Limited(TreeBuilder):
        depth = 0

        def start(self, tag: str, attrs: dict[str, str], /) -> Element:
            self.depth += 1
            if self.depth > MAX_DEPTH:
                raise UnsafeDescriptorError(
                    f"{path} nests elements more than {MAX_DEPTH} deep.",
                    path=path,
                    hint="No tool descriptor does; it was not read.",
                )
            return super().start(tag, attrs)

        def end(self, tag: str, /) -> Element:
            self.depth -= 1
            return super().end(tag)

    parser = DefusedXMLParser(
        target=Limited(), forbid_dtd=True, forbid_entities=True, forbid_external=True
    )
    try:
        parser.feed(data)
        root: Element = parser.close()
    except DefusedXmlException as error:
        raise UnsafeDescriptorError(
            f"{path} declares a document type or an entity ({type(error).__name__}).",
            path=path,
            hint="Remove the DOCTYPE; descriptors with one are never read.",
        ) from error
    except ParseError as error:
        line, column = error.position
        reason = str(error).split(":", maxsplit=1)[0]
        raise DescriptorError(
            f"{path}, line {line}, column {column + 1}: {reason}.",
            path=path,
            hint="Correct the XML there.",
        ) from error
    except (ValueError, LookupError) as error:  # an encoding that Python does not know
        raise DescriptorError(
            f"{path} cannot be decoded: {error}.", path=path, hint="Save it as UTF-8."
        ) from error
    return root
