"""Whether a program's end counts as success: ``<stdio>`` and ``detect_errors``."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from napari_tool_runner.tools.dialect import Verdict

if TYPE_CHECKING:
    from napari_tool_runner.tools.galaxy.source import GalaxySource

__all__ = ["judge", "messages"]

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
    state, _, _, found = check_output(regexes, codes, stdout, stderr, exit_code)
    return state, [dict(entry) for entry in found]


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
