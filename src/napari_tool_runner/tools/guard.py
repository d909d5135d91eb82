"""Calls into a descriptor language, whose code may be of others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import wraps
from typing import TYPE_CHECKING, Protocol

from napari_tool_runner.errors import DescriptorError, ToolRunnerError, words

if TYPE_CHECKING:
    from napari_tool_runner.tools.candidate import Candidate
    from napari_tool_runner.tools.model import Tool

__all__ = ["guarded"]

_log = logging.getLogger(__name__)


class _Language(Protocol):
    label: str


def guarded(method: Callable[..., object], expected: type) -> Callable[..., object]:
    """Let what a language did not expect be a DescriptorError: its code may be of others."""
    name = method.__name__

    @wraps(method)
    def call(self: _Language, subject: Candidate | Tool, *more: object, **named: object) -> object:
        try:
            found = method(self, subject, *more, **named)
            found = list(found) if isinstance(found, Iterator) else found
            if not isinstance(found, expected):
                raise TypeError(f"“{name}” gave {found!r}")
        except ToolRunnerError:
            raise
        except Exception as error:
            if isinstance(error, OSError) and name == "collect":
                raise  # the job's folder: its disk may be full
            _log.info("%s, %s of %s", self.label, name, subject.path, exc_info=True)
            message = f"The language {self.label} stumbles over {subject.path}: {words(error)}."
            hint = "Correct the file, or tell the makers of the language."
            if isinstance(error, ImportError):
                message = f"{subject.path} needs {self.label}, which cannot be loaded: {error}."
                hint = "Install napari-tool-runner with all its dependencies."
            raise DescriptorError(message, path=subject.path, hint=hint) from error
        return found

    return call
