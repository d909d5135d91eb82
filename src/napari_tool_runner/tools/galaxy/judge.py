"""Whether a program's end counts as success: ``<stdio>`` and ``detect_errors``."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from copy import copy
from typing import TYPE_CHECKING

from napari_tool_runner.tools.dialect import Verdict
from napari_tool_runner.tools.patterns import Match, PatternError, expanded, find
from napari_tool_runner.tools.shared_time import together

if TYPE_CHECKING:
    from galaxy.tool_util.parser.stdio import ToolStdioRegex

    from napari_tool_runner.tools.galaxy.source import GalaxySource

__all__ = ["judge", "messages"]

_NEVER = r"(?!)"
_SECONDS = 4.0
_ALL = 10.0  # each rule has a moment, even when one before it took them all

logging.getLogger("galaxy.tool_util.output_checker").setLevel(logging.WARNING)


def judge(source: GalaxySource, exit_code: int | None, stdout: str, stderr: str) -> Verdict:
    """Apply Galaxy's own rules to an exit code and two streams.

    Without rules (old profiles) anything on stderr counts as failure, as in Galaxy.
    `exit_code` None: the program was lost, which is a failure.
    """
    if exit_code is None:
        return Verdict(False, "The program ended without an exit code.")
    from galaxy.tool_util.output_checker import DETECTED_JOB_STATE
    from galaxy.tool_util.parser.stdio import StdioErrorLevel

    state, found = _check(source, exit_code, stdout, stderr)
    said = [(str(entry["desc"] or ""), float(str(entry["error_level"]))) for entry in found]
    warnings = tuple(text for text, level in said if level < StdioErrorLevel.FATAL)
    if state == DETECTED_JOB_STATE.OK:
        return Verdict(True, warnings=warnings)
    fatal = [text for text, level in said if level >= StdioErrorLevel.FATAL]
    if state == DETECTED_JOB_STATE.OUT_OF_MEMORY_ERROR:
        reason = "The program ran out of memory"
    elif fatal and exit_code:
        reason = f"The program failed (exit code {exit_code})"
    elif fatal:
        reason = "The program reported an error"
    else:
        reason = "The program wrote to its error stream, which this descriptor counts as failure"
    detail = fatal[0] if fatal else _last_line(stderr)
    return Verdict(False, f"{reason}: {detail}" if detail else f"{reason}.", warnings)


def messages(
    source: GalaxySource, exit_code: int | None, stdout: str, stderr: str
) -> list[dict[str, object]]:
    """Return what Galaxy would have said about the run (it stands before the streams)."""
    if exit_code is None:
        return []
    return [dict(entry) for entry in _check(source, exit_code, stdout, stderr)[1]]


def _check(
    source: GalaxySource, exit_code: int, stdout: str, stderr: str
) -> tuple[object, list[dict[str, object]]]:
    from galaxy.tool_util.output_checker import check_output

    try:
        codes, regexes = source.tool.parse_stdio()
    except ValueError:
        # an unknown detect_errors (the reader noted it): the exit code decides
        from galaxy.tool_util.parser.stdio import error_on_exit_code

        codes, regexes = error_on_exit_code()
    with together(_ALL):
        rules, slow = _looked_for(regexes, stdout, stderr)
    state, _, _, found = check_output(rules, codes, stdout, stderr, exit_code)
    return state, [dict(entry) for entry in found] + slow


def _looked_for(
    regexes: Sequence[ToolStdioRegex], stdout: str, stderr: str
) -> tuple[list[ToolStdioRegex], list[dict[str, object]]]:
    """Return the rules with what each of them finds in place of its pattern.

    Also what to say of those that take too long: they are not checked.
    """
    rules, slow, left = [], [], _SECONDS
    for rule in regexes:
        for name, stream in (("stderr_match", stderr), ("stdout_match", stdout)):
            if not getattr(rule, name):
                continue
            begun, pattern, said = time.monotonic(), _NEVER, rule.desc
            try:
                hit = find(rule.match, stream, flags=re.IGNORECASE, seconds=left)
                if hit:
                    pattern, said = re.escape(hit.group()), _described(rule.desc, hit)
            except PatternError as error:
                what = f"A rule for what the program says was left out: {error}."
                slow.append({"desc": what, "error_level": 0})
            left = max(left - (time.monotonic() - begun), 0.1)
            one = copy(rule)
            one.match, one.stderr_match, one.stdout_match = pattern, False, False
            setattr(one, name, True)
            one.desc = said
            rules.append(one)
    return rules, slow


def _described(text: str | None, hit: Match) -> str | None:
    """Return a description with its groups filled in, as Galaxy will take it once more."""
    if text is None:
        return None
    with suppress(PatternError):  # a group that does not exist
        text = expanded(hit, text)
    return text.replace("\\", r"\\")


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
