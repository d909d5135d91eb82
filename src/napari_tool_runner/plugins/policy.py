"""What a facility's policy lets a tool need: its service, its origins. Nobody can override it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from napari_tool_runner import settings
from napari_tool_runner.errors import TrustError
from napari_tool_runner.tools.toolbox.trust import TrustState

if TYPE_CHECKING:
    from napari_tool_runner.config import Config
    from napari_tool_runner.plugins.contract import Origin, Place, RunnerService
    from napari_tool_runner.settings import Setting
    from napari_tool_runner.tools.model import Tool
    from napari_tool_runner.tools.toolbox.gate import Permit

__all__ = ["obey_policy"]

_OF_THE_HOUSE = frozenset({TrustState.BUNDLED, TrustState.CONFIGURED})
_ALLOWED: dict[str, Setting[tuple[str, ...] | None]] = {
    "registry": settings.REGISTRIES_ALLOWED,
    "channel": settings.CHANNELS_ALLOWED,
    "index": settings.INDEXES_ALLOWED,
}
_ANACONDA = "https://conda.anaconda.org/"


def obey_policy(
    name: str, service: RunnerService, tool: Tool, permit: Permit, config: Config
) -> None:
    """Do nothing when every facility's policy lets `tool` run with `service`.

    Asks nobody on the network.

    Parameters
    ----------
    name : str
        What the service is called where it was chosen.

    Raises
    ------
    TrustError
        Names what is not allowed, and the file of the policy.
    ToolRunnerError
        What the tool requires cannot be read.
    """
    policies = [layer for layer in config.policies if layer.section("policy")]
    if not policies:
        return
    place = service.place(tool)
    for policy in policies:
        for why in _refusals(policy, name, place, permit):
            raise TrustError(
                f"“{tool.name}” was not run: {why} ({policy.place}).",
                hint="Ask those who look after that file.",
            )


def _refusals(policy: Config, service: str, place: Place, permit: Permit) -> Iterator[str]:
    services = policy.own(settings.SERVICES_ALLOWED)
    if services is not None and not {service, place.service} & {*services}:
        yield f"your facility does not allow the runner {service}"
    local = policy.own(settings.LOCAL_FOR_OTHERS)
    if place.service == "LOCAL" and not local and permit.scope not in _OF_THE_HOUSE:
        yield "your facility does not allow tools of others to run with LOCAL"
    for origin in place.origins:
        allowed = policy.own(_ALLOWED[origin.kind])
        if allowed is not None and not any(_covers(one, origin) for one in allowed):
            yield (
                f"your facility does not allow the {origin.kind} {origin.place}, from which "
                f"{origin.what} would come"
            )
    if place.commands and policy.own(settings.INDEXES_ALLOWED) is not None:
        yield (
            "its environment would be made with a line that may fetch from anywhere: "
            f"{place.commands[0]}"
        )


def _covers(allowed: str, origin: Origin) -> bool:
    """Whether `allowed` is the origin, or (of a registry) what it lies in."""
    wanted, found = (text.rstrip("/").removeprefix(_ANACONDA) for text in (allowed, origin.place))
    return found == wanted or (origin.kind == "registry" and found.startswith(f"{wanted}/"))
