"""The pre-flight: what a run would fetch, asked ahead, and given up when nobody waits for it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

from napari_tool_runner.errors import JobCancelledError, ToolRunnerError, words
from napari_tool_runner.plugins.contract import Plan
from napari_tool_runner.plugins.policy import obey_policy
from napari_tool_runner.plugins.process import CancelToken
from napari_tool_runner.plugins.runners_factory import runnerServices
from napari_tool_runner.tools.toolbox.gate import pass_gate

if TYPE_CHECKING:
    from napari_tool_runner.config import Config
    from napari_tool_runner.tools.model import Tool
    from napari_tool_runner.tools.toolbox.gate import Permit

__all__ = ["plan_run", "preflight_cancel"]

# not an argument of `RunnerService.plan`: services of others have it without
_cancel: ContextVar[CancelToken] = ContextVar("cancel")


def preflight_cancel() -> CancelToken:
    """Return what ends the pre-flight that is under way in this thread."""
    return _cancel.get(None) or CancelToken()


def plan_run(
    name: str, tool: Tool, permit: Permit, config: Config, cancel: CancelToken | None = None
) -> Plan:
    """Return the pre-flight of `tool` on a service; what goes wrong in it is a problem of it.

    It asks the registries and channels that the tool names, so it wants a permit.

    Parameters
    ----------
    cancel : CancelToken, optional
        Ends what takes long in it.

    Raises
    ------
    JobCancelledError
        It was ended.
    """
    cancel = cancel or CancelToken()
    before = _cancel.set(cancel)
    try:
        if cancel.requested:
            raise JobCancelledError(f"Cancelled before {name} was asked about “{tool.name}”.")
        pass_gate(tool, permit)
        service = runnerServices.service(name, config.runner)
        obey_policy(name, service, tool, permit, config)
        return service.plan(tool)
    except JobCancelledError:
        raise
    except ToolRunnerError as error:
        return Plan(problems=(str(error),))
    except Exception as error:  # noqa: BLE001 (a form asks; the service may be a plugin's)
        return Plan(problems=(f"{name} cannot plan the run: {words(error)}.",))
    finally:
        _cancel.reset(before)
