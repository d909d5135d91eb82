"""Every error that this package raises on purpose, in one tree.

::

    ToolRunnerError
    ├── ConfigError               config.json cannot be read or says something impossible
    ├── DescriptorError           a descriptor cannot be read or used
    │   └── UnsafeDescriptorError     it tries a DTD, an entity, or to leave its toolbox
    ├── UnknownToolError          no tool of that id or path
    ├── ParameterError            a value is missing, of the wrong type, or out of range
    ├── TemplateError             a command or configfile template raised
    ├── TrustError                the toolbox has not been approved by the user
    ├── ToolboxError              a toolbox cannot be added or removed
    ├── ExchangeError             layers <-> files
    │   ├── UnsupportedLayerError     this kind of layer cannot go into that input
    │   ├── LossyConversionError      a conversion would change values
    │   └── OutputError               an output is missing, truncated or of another type
    ├── WorkspaceError            the folder of a job cannot be made, written or read
    ├── RunnerError               a runner service cannot do its work
    │   ├── UnknownRunnerError        no service of that name
    │   ├── RunnerUnavailableError    the service does not work on this computer
    │   ├── PreparationError          set_up failed (environment, image)
    │   └── RunnerExecError           the program could not be started, or exec broke
    ├── JobCancelledError         the user cancelled
    ├── JobTimeoutError           the time limit passed
    └── ToolFailedError           the tool ran and failed (or a stage of its job did)

Messages say what happened, to what, and (in ``hint``) what to do next.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.addresses import without_credentials

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "ConfigError",
    "DescriptorError",
    "ExchangeError",
    "JobCancelledError",
    "JobTimeoutError",
    "LossyConversionError",
    "OutputError",
    "ParameterError",
    "PreparationError",
    "RunnerError",
    "RunnerExecError",
    "RunnerUnavailableError",
    "TemplateError",
    "ToolFailedError",
    "ToolRunnerError",
    "ToolboxError",
    "TrustError",
    "UnknownRunnerError",
    "UnknownToolError",
    "UnsafeDescriptorError",
    "UnsupportedLayerError",
    "WorkspaceError",
    "is_full",
    "words",
]


def words(error: BaseException) -> str:
    """Return kind and message of an error that is not of our tree."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def is_full(error: OSError) -> bool:
    """Whether the disk is full, or what the user may have of it."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


class ToolRunnerError(Exception):
    """Base of all errors of napari-tool-runner.

    Addresses in its words are told without logins and tokens, whoever's words they are.

    Parameters
    ----------
    message : str
        What happened, and to what; one sentence.
    hint : str
        What to do next; one sentence, may be empty.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        self.message = without_credentials(message)
        self.hint = without_credentials(hint)
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class ConfigError(ToolRunnerError):
    """The configuration cannot be read or asks for something impossible."""


class DescriptorError(ToolRunnerError):
    """A tool descriptor cannot be read or used.

    Parameters
    ----------
    path : Path, optional
        The descriptor.
    """

    def __init__(self, message: str, *, path: Path | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.path = path


class UnsafeDescriptorError(DescriptorError):
    """A descriptor tries something that is never allowed (DTD, entity, escape)."""


class UnknownToolError(ToolRunnerError):
    """No tool of that id or path."""


class ParameterError(ToolRunnerError):
    """A value that a tool cannot take.

    Parameters
    ----------
    name : str
        Full name of the parameter, as ``cond|x`` or ``rep_0|x``.
    """

    def __init__(self, message: str, *, name: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.name = name


class TemplateError(ToolRunnerError):
    """A template of a descriptor raised while it was filled.

    Parameters
    ----------
    line : str
        The line of the template, when it is known.
    """

    def __init__(self, message: str, *, line: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.line = line


class TrustError(ToolRunnerError):
    """A toolbox that the user has not approved was asked to run something."""


class ToolboxError(ToolRunnerError):
    """A toolbox cannot be added or removed; what was there is as it was."""


class ExchangeError(ToolRunnerError):
    """A layer could not become a file, or a file a layer."""


class UnsupportedLayerError(ExchangeError):
    """This kind of layer cannot go into that input."""


class LossyConversionError(ExchangeError):
    """A conversion would change values; it was not done."""


class OutputError(ExchangeError):
    """An output of a tool is missing, truncated, or of another type than declared."""


class WorkspaceError(ToolRunnerError):
    """The folder of a job cannot be made, written or read."""


class RunnerError(ToolRunnerError):
    """A runner service cannot do its work."""


class UnknownRunnerError(RunnerError):
    """No runner service is registered under that name."""


class RunnerUnavailableError(RunnerError):
    """The service does not work on this computer as it is."""


class PreparationError(RunnerError):
    """``set_up`` failed: an environment or an image could not be prepared."""


class RunnerExecError(RunnerError):
    """The program could not be started, or its execution broke."""


class JobCancelledError(ToolRunnerError):
    """The user cancelled the job."""


class JobTimeoutError(ToolRunnerError):
    """The job's time limit passed; its program was ended."""


class ToolFailedError(ToolRunnerError):
    """A job failed.

    Parameters
    ----------
    reason : str
        One sentence.
    tool : str
        Id of the tool.
    exit_code : int or None
        Exit code of the program; None when it never ran or was lost.
    argv : sequence of str
        What was executed.
    log_tail : sequence of str
        The last lines of the log.
    workspace : Path or None
        The folder of the job, kept for inspection.
    """

    def __init__(
        self,
        reason: str,
        *,
        tool: str,
        exit_code: int | None = None,
        argv: Sequence[str] = (),
        log_tail: Sequence[str] = (),
        workspace: Path | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(reason, hint=hint)
        self.reason = reason
        self.tool = tool
        self.exit_code = exit_code
        self.argv = tuple(argv)
        self.log_tail = tuple(log_tail)
        self.workspace = workspace
