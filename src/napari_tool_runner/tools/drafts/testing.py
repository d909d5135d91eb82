"""A test that is added to the text of an XML descriptor, which otherwise stays as it is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import quoteattr

from napari_tool_runner.data_classes import dataclass, field
from napari_tool_runner.errors import DescriptorError

__all__ = ["NewOutput", "NewTest", "with_test"]

_INDENT = r"(?<![ \t])[ \t]*"  # a search begins once in a row of blanks, however long it is
_END = re.compile(rf"{_INDENT}</tests\s*>")
_EMPTY = re.compile(rf"{_INDENT}<tests\s*/>")
_BEHIND = re.compile(rf"{_INDENT}<(?:help|citations|/tool)[\s>/]")


@dataclass(frozen=True, slots=True)
class NewOutput:
    """An output that a test expects. `file`: its name in ``test-data``."""

    name: str
    file: str
    format: str = ""


@dataclass(frozen=True, slots=True)
class NewTest:
    """A test to be written. `values`: full name -> text; of data, names in ``test-data``."""

    values: Mapping[str, str] = field(default_factory=dict)
    outputs: Sequence[NewOutput] = ()


def with_test(text: str, test: NewTest, compare: Mapping[str, Mapping[str, str]]) -> str:
    """Return the text of a descriptor with one more ``<test>``, the last.

    Parameters
    ----------
    compare : mapping
        Name of an output -> attributes that say how it is compared.

    Raises
    ------
    DescriptorError
        There is no place for it.
    """
    lines = ["    <test>"]
    lines += [f"      <param {_written(name=n, value=v)}/>" for n, v in test.values.items()]
    lines += [
        f"      <output {_written(name=one.name, file=one.file, **compare.get(one.name, {}))}/>"
        for one in test.outputs
    ]
    added = "\n".join([*lines, "    </test>"]) + "\n"
    if ends := [*_END.finditer(text)]:
        at = ends[-1].start()
        return text[:at] + added + text[at:]
    whole = f"  <tests>\n{added}  </tests>\n"
    if empty := _EMPTY.search(text):
        return text[: empty.start()] + whole.rstrip("\n") + text[empty.end() :]
    if behind := _BEHIND.search(text):
        return text[: behind.start()] + whole + text[behind.start() :]
    raise DescriptorError("The descriptor has no place for a test.", hint="Close its <tool>.")


def _written(**attributes: str) -> str:
    return " ".join(f"{name}={quoteattr(value)}" for name, value in attributes.items())
