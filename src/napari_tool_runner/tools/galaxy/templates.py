"""Filling a Cheetah template, and saying where it broke."""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping
from typing import TYPE_CHECKING

from napari_tool_runner.errors import TemplateError

if TYPE_CHECKING:
    from packaging.version import Version

__all__ = ["fill"]

_PLACE = re.compile(r"(?:on|from) line (\d+), col \d+")
_ASSIGNMENT = re.compile(r"\s*(?:VFFSL\(.*?\)|(\w+)).*?=")
_NAME = re.compile(r"cannot find '([^']+)'")


def fill(text: str, context: Mapping[str, object], version: Version, where: str) -> str:
    """Fill the template `text` with Galaxy's own function.

    Parameters
    ----------
    text : str
    context : mapping
        Names and values.
    version : Version
        Python that the template is written for (old ones are translated).
    where : str
        What the template is, for messages (``command``, ``configfile params``).

    Raises
    ------
    TemplateError
        Whatever the template raised, with its line.
    """
    from galaxy.util.template import fill_template

    try:
        return str(fill_template(text, context=dict(context), python_template_version=version))
    except Exception as error:
        raise _explain(text, error, where) from error


def _explain(text: str, error: Exception, where: str) -> TemplateError:
    line, number = _line(text, error)
    missing = _NAME.search(str(error))
    if missing:
        what = f"it uses “${missing[1]}”, which has no value here"
    elif type(error).__name__ == "ParseError":
        what = f"it is no valid template: {_first(str(error))}"
    else:
        what = f"{type(error).__name__}: {_first(str(error))}"
    place = f", line {number}: {line}" if line else ""
    return TemplateError(
        f"The template of the {where} failed{place} — {what}.".replace("..", "."),
        line=line,
        hint="Check the values that this line uses; if they are right, the descriptor is wrong.",
    )


def _first(message: str) -> str:
    return next((line.strip() for line in message.splitlines() if line.strip()), "no message")


def _line(text: str, error: Exception) -> tuple[str, int]:
    """Find the template's line: the compiled code names it beside what it evaluates."""
    lines = text.splitlines()
    parse_line = getattr(error, "lineno", None)
    if isinstance(parse_line, int) and type(error).__name__ == "ParseError":
        number = parse_line
    else:
        number = 0
        for frame, lineno in traceback.walk_tb(error.__traceback__):
            template = frame.f_locals.get("self")
            code = getattr(template, "_CHEETAH_generatedModuleCode", None)
            if frame.f_code.co_name != "respond" or not isinstance(code, str):
                continue
            code_lines = code.splitlines()[:lineno]
            places = (_PLACE.search(compiled) for compiled in reversed(code_lines))
            number = next((int(place[1]) for place in places if place), 0)
            # the code of a #set carries no place of its own
            assignment = _ASSIGNMENT.match(code_lines[-1]) if code_lines else None
            if assignment and not _PLACE.search(code_lines[-1]):
                directive = re.compile(rf"\s*#set\s+(?:global\s+)?\$?{assignment[1]}\b")
                rest = enumerate(lines[max(number - 1, 0) :], max(number, 1))
                number = next((n for n, text_line in rest if directive.match(text_line)), number)
    if 0 < number <= len(lines):
        return lines[number - 1].strip(), number
    name = _NAME.search(str(error))
    if name:
        for index, candidate in enumerate(lines, 1):
            if re.search(rf"\$\{{?{re.escape(name[1])}\b", candidate):
                return candidate.strip(), index
    return "", 0
