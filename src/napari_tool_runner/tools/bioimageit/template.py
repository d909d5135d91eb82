"""The command template of BioImageIT: tokens first, then values inside tokens.

The template is split as a POSIX shell would split it, while it still holds the
placeholders. A value is put inside the token where its placeholder stands, so it can
neither become two arguments nor reach a shell, whatever characters it has.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from napari_tool_runner.errors import TemplateError

__all__ = [
    "FIJI",
    "TOOL_DIRECTORY",
    "Placeholder",
    "Source",
    "Token",
    "parse_template",
    "resolve",
    "shell_syntax",
]

TOOL_DIRECTORY = "__tool_directory__"
FIJI = "__fiji__"

# the two special names end where their own text ends: $__tool_directory__script.py
_PLACEHOLDER = re.compile(
    rf"\$(?:(?P<special>{TOOL_DIRECTORY}|{FIJI})"
    r"|\{(?P<braced>[^{}$]*)\}"
    r"|(?P<bare>[A-Za-z_]\w*))"
)
_ESCAPED = re.compile(r"\\\$(?=[{A-Za-z_])")
_CONTINUATION = re.compile(r"\\\r?\n")
_QUOTED = re.compile(r"'[^']*'|\"(?:[^\"\\]|\\.)*\"|\\.", re.S)
_OPERATOR = re.compile(
    r"(?:^|\s)(&&|\|\|?|;|&|\d?>{1,2}(?:&\d)?|<{1,2}|&>)(?=\s|$)|(\$\(|`)|(;)(?=\s)"
)


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A place for a value. `name` is what stands inside, `text` the whole of it."""

    name: str
    text: str
    braced: bool = True


@dataclass(frozen=True, slots=True)
class Source:
    """What the dialect keeps with a tool.

    `aliases`: what a placeholder may say -> the name of the input or output.
    """

    aliases: Mapping[str, str] = field(default_factory=dict)


Token: TypeAlias = tuple[str | Placeholder, ...]


def parse_template(text: str) -> tuple[Token, ...]:
    r"""Split a command template into tokens of literal text and placeholders.

    ``${x}``, ``$x``, ``${-x}``, also inside quotes, are placeholders; ``\${x}`` is
    the text ``${x}``. Line ends separate tokens.

    Raises
    ------
    TemplateError
        A quotation is not closed.
    """
    mark = next(chr(code) for code in range(0xE000, 0xF8FF) if chr(code) not in text)
    plain = _ESCAPED.sub(mark, _CONTINUATION.sub(" ", text))
    try:
        words = shlex.split(plain)
    except ValueError as error:
        raise TemplateError(
            f"The command of the tool cannot be split into arguments: {error}.",
            line=text.strip(),
            hint="Close the quotation in <command>.",
        ) from error
    return tuple(tuple(_pieces(word, mark)) for word in words)


def resolve(
    tokens: tuple[Token, ...], aliases: Mapping[str, str]
) -> dict[Placeholder, str | None]:
    """Return every placeholder of `tokens`, in order, and the input or output that it means."""
    found: dict[Placeholder, str | None] = {}
    for place in (piece for token in tokens for piece in token if isinstance(piece, Placeholder)):
        forms = (place.name, place.name.lstrip("-"), place.name.replace("-", ""))
        found[place] = next((aliases[form] for form in forms if form in aliases), None)
    return found


def shell_syntax(text: str) -> str:
    """Return the first piece of shell syntax outside quotes (``&&``, ``|``), or ``''``."""
    bare = _QUOTED.sub("q", _CONTINUATION.sub(" ", text))
    found = _OPERATOR.search(bare)
    return next((group for group in found.groups() if group), "") if found else ""


def _pieces(word: str, mark: str) -> Iterator[str | Placeholder]:
    end = 0
    for match in _PLACEHOLDER.finditer(word):
        if match.start() > end:
            yield word[end : match.start()].replace(mark, "$")
        name = match["special"] or match["bare"]
        braced = name is None
        yield Placeholder(
            (match["braced"] if name is None else name).strip(), match[0], braced=braced
        )
        end = match.end()
    if end < len(word) or not word:
        yield word[end:].replace(mark, "$")
