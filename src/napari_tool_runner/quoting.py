"""Texts of others inside text of ours: Python, command lines, comments, HTML, one line.

A tool's name, a value or a path may hold anything; what it becomes part of is read, pasted
and executed. Each way of writing it has its one function here.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from napari_tool_runner._lazy import compiled

__all__ = [
    "check_words",
    "comment",
    "html_text",
    "obeyed_by_none",
    "one_line",
    "python_value",
    "seen",
    "shell_line",
    "shell_word",
    "some_paths",
    "variable_problem",
    "visible_text",
]

# what a terminal obeys, or a reader does not see: all but the line break and the tab
_CONTROL = compiled(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


def seen(text: str) -> str:
    """Return a name as it is; what cannot be seen, line breaks too, is written out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def one_line(text: str, most: int = 300) -> str:
    """Return `text` as one line of characters that can be seen, not longer than `most`."""
    # what is cut off is not looked at: a name of a stranger may be as long as a file
    flat = seen(" ".join(text.split())[: most + 1])
    return flat if len(flat) <= most else flat[: most - 1] + "…"


def some_paths(paths: Sequence[Path | str], most: int = 5) -> str:
    """Return paths, or names, for a sentence: the first of them, and how many more there are."""
    names = ", ".join(one_line(str(path), 500) for path in paths[:most])
    return names + (f" and {len(paths) - most} more" if len(paths) > most else "")


def visible_text(text: str) -> str:
    """Return `text` with its lines and tabs; whatever else cannot be seen is written out."""
    return "".join(
        c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode()
        for c in text.encode("utf-8", "backslashreplace").decode()
    )


def obeyed_by_none(text: str) -> str:
    """Return a line in which what a terminal obeys, or turns around, is written out."""
    if not _CONTROL.search(text):
        return text
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def comment(text: str) -> str:
    """Return `text` as one comment line of Python and of a shell."""
    return f"# {one_line(text)}"


def python_value(value: object) -> str:
    """Return Python for a JSON value; what Python has no literal for is made from text."""
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        return f"float({str(value)!r})"
    if isinstance(value, list | tuple):
        return f"[{', '.join(python_value(one) for one in value)}]"
    if isinstance(value, dict):
        pairs = (f"{str(key)!r}: {python_value(one)}" for key, one in value.items())
        return f"{{{', '.join(pairs)}}}"
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    return ascii(str(value)) if _CONTROL.search(str(value)) else repr(str(value))


def shell_word(text: str) -> str:
    """Return `text` as one word of a POSIX shell.

    What a terminal would obey (escape sequences that end a paste) is written as octal
    numbers, which the shell alone turns back.

    Raises
    ------
    ValueError
        It holds a nul, which no program can be given.
    """
    if "\0" in text:
        raise ValueError("a nul character is no part of any command line")
    if not _CONTROL.search(text):
        return shlex.quote(text)
    parts, last = [], 0
    for found in _CONTROL.finditer(text):
        octal = "".join(f"\\{byte:03o}" for byte in found[0].encode("utf-8", "surrogateescape"))
        before = text[last : found.start()]
        parts += [shlex.quote(before) if before else "", f"\"$(printf '{octal}')\""]
        last = found.end()
    return "".join(parts) + (shlex.quote(text[last:]) if text[last:] else "")


def shell_line(words: Iterable[str]) -> str:
    """Return words as a command line of a POSIX shell; raises ValueError as `shell_word`."""
    return " ".join(map(shell_word, words))


def html_text(text: str) -> str:
    """Return `text` so that rich text shows it as it is, also between quotes."""
    from html import escape

    return escape(text, quote=True)


def check_words(words: Iterable[str], variables: Mapping[str, str]) -> None:
    """Raise ValueError when no program can be given these words, or such variables.

    What a nul ends for a program is the next option for whoever joins words by it.
    """
    for word in words:
        if "\0" in word:
            shown = one_line(word, 80)
            raise ValueError(f"“{shown}” holds a nul character, which no program can be given")
    for name, value in variables.items():
        if problem := variable_problem(name, value):
            raise ValueError(problem)


def variable_problem(name: str, value: str) -> str:
    """Say why no program can be given a variable; empty when it can."""
    if not name or "=" in name or not name.isprintable():
        return f"“{one_line(name, 80)}” is no name of a variable"
    if "\0" in value:
        return f"the variable {name} holds a nul character, which no program can be given"
    return ""
