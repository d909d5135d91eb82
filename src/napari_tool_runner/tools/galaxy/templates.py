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
_ASSIGNED = re.compile(
    r"""\s*(?:self\._CHEETAH__globalSetVars\["(\w+)"\]|VFFSL\(SL,"(\w++)[^)\n]*+\)|(\w++))[^=\n]*+="""
)
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
            number = _of_code(code.splitlines()[:lineno], lines)
    if 0 < number <= len(lines):
        return lines[number - 1].strip(), number
    name = _NAME.search(str(error))
    if name:
        for index, candidate in enumerate(lines, 1):
            if re.search(rf"\$\{{?{re.escape(name[1])}\b", candidate):
                return candidate.strip(), index
    return "", 0


def _of_code(code: list[str], lines: list[str]) -> int:
    """Return the line of the template that the last line of this code is of; 0: none."""
    places = [(at, place) for at, told in enumerate(code) if (place := _PLACE.search(told))]
    at, number = (places[-1][0], int(places[-1][1][1])) if places else (-1, 0)
    # the code of a #set carries no place of its own: it is the so-and-so-many of its name since
    since = [_assigned(told) for told in code[at + 1 :]]
    if not since or not since[-1]:
        return number
    directive = re.compile(rf"\s*#set\s+(?:global\s+|local\s+)?\$?{since[-1]}\b")
    first = max(number, 1)
    sets = [n for n, told in enumerate(lines[first - 1 :], first) if directive.match(told)]
    return sets[since.count(since[-1]) - 1] if len(sets) >= since.count(since[-1]) else number


def _assigned(code: str) -> str:
    met = _ASSIGNED.match(code)
    return next(filter(None, met.groups()), "") if met else ""
