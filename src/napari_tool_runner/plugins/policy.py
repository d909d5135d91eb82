"""What a facility's policy lets a tool need: its service, its origins. Nobody can override it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from napari_tool_runner import settings
from napari_tool_runner._lazy import compiled
from napari_tool_runner.errors import TrustError
from napari_tool_runner.names import real_path
from napari_tool_runner.plugins.contract import OF_PLUGIN
from napari_tool_runner.tools.toolbox.trust import TrustState, names_folder

if TYPE_CHECKING:
    from napari_tool_runner.config import Config
    from napari_tool_runner.plugins.contract import Origin, Place, RunnerService
    from napari_tool_runner.settings import Setting
    from napari_tool_runner.tools.model import Tool
    from napari_tool_runner.tools.toolbox.gate import Permit

__all__ = ["obey_origins", "obey_policy"]

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
        own = _is_its_own(tool, permit, policy)
        _obey(policy, _refusals(policy, name, place, own=own), f"“{tool.name}” was not run")


def obey_origins(origins: Iterable[Origin], config: Config, not_done: str) -> None:
    """Do nothing when every facility's policy lets something come from `origins`.

    Raises
    ------
    TrustError
        Names what is not allowed, and the file of the policy.
    """
    for policy in config.policies:
        _obey(policy, _forbidden(policy, origins), not_done)


def _obey(policy: Config, reasons: Iterable[str], not_done: str) -> None:
    """Raise the first of the `reasons`; a slip in the policy is one before them."""
    for why in chain(_slips(policy), reasons):
        raise TrustError(
            f"{not_done}: {why} ({policy.place}).", hint="Ask those who look after that file."
        )


def _is_its_own(tool: Tool, permit: Permit, policy: Config) -> bool:
    """Whether `tool` ships, or the file of a `policy`, or one below it, names its toolbox.

    Who configured it otherwise may be anybody: also a file above is named by the environment.
    """
    if permit.scope is not TrustState.CONFIGURED:
        return permit.scope is TrustState.BUNDLED
    for layer in policy.layers:
        allowed = layer.own(settings.TOOLBOXES_ALLOWED) or ()
        folder = Path(tool.toolbox or tool.path)
        named = folder in layer.own(settings.TOOLBOXES) or permit.digest in {*allowed} - {""}
        if layer.explicit and (named or names_folder(layer, allowed, real_path(folder))):
            return True
    return False


def _slips(policy: Config) -> Iterator[str]:
    for key in policy.section("policy"):
        if f"policy.{key}" not in settings.TABLE:  # a slip would forbid nothing
            near = settings.did_you_mean(f"policy.{key}").removeprefix("policy.")
            yield f"your facility's policy says “{key}”, which is not known" + (
                f" (did they mean “{near}”?)" if near else ""
            )


def _refusals(policy: Config, service: str, place: Place, *, own: bool) -> Iterator[str]:
    services = policy.own(settings.SERVICES_ALLOWED)
    # a plugin may have taken the name of a service of ours, which is not what was allowed; nor is
    # LOCAL, to which others leave a tool that needs nothing
    another = place.service.endswith(OF_PLUGIN) or place.service == "LOCAL"
    named = place.service if another else service
    if services is not None and not {named, place.service} & {*services}:
        yield f"your facility does not allow the runner {named}"
    local = policy.own(settings.LOCAL_FOR_OTHERS)
    if place.service.removesuffix(OF_PLUGIN) == "LOCAL" and not local and not own:
        yield "your facility does not allow tools of others to run with LOCAL"
    yield from _forbidden(policy, place.origins)
    fetched = (settings.INDEXES_ALLOWED, settings.CHANNELS_ALLOWED)
    if place.commands and any(policy.own(one) is not None for one in fetched):
        yield (
            "its environment would be made with a line that may fetch from anywhere: "
            f"{place.commands[0]}"
        )


def _forbidden(policy: Config, origins: Iterable[Origin]) -> Iterator[str]:
    for origin in origins:
        allowed = policy.own(_ALLOWED[origin.kind])
        if allowed is not None and origin.kind == "channel":  # what it names itself is its choice
            allowed = (*allowed, *chain(*policy.own(settings.CHANNEL_MIRRORS).values()))
            if (folder := policy.own(settings.CONDA_DIR)) is not None:
                allowed = (*allowed, str(folder.absolute()))
        if allowed is not None and not any(_covers(one, origin) for one in allowed):
            yield (
                f"your facility does not allow the {origin.kind} {origin.place}, from which "
                f"{origin.what} would come"
            )


def _covers(allowed: str, origin: Origin) -> bool:
    """Whether `allowed` is the origin, or (of a registry) what it lies in."""
    wanted, found = (_plain(text, origin.kind) for text in (allowed, origin.place))
    inside = origin.kind == "registry" and found.startswith(f"{wanted}/")
    return bool(wanted and found) and (found == wanted or inside)


_SEGMENTS = r"(?:/[\w+~-](?:[\w.+~-]*[\w+~-])?)*"
_HOST = r"(?:[a-z0-9](?:[\w.-]*[a-z0-9])?|\[[0-9a-f:.]+\])"
_URL = compiled(rf"(\w[\w+.-]*://)({_HOST})\.?(:\d+)?({_SEGMENTS})/?", re.ASCII | re.I)
_NAME = compiled(rf"[\w-][\w.-]*{_SEGMENTS}/?", re.ASCII)
_IMAGE = compiled(
    rf"({_HOST}(?::\d+)?{_SEGMENTS})/?(?::\w[\w.-]*)?(?:@sha256:[0-9a-f]{{64}})?", re.ASCII
)


def _plain(text: str, kind: str) -> str:
    """Return the one writing of a place; empty for what is not understood to the last letter.

    So nothing with a user's name, percent signs, backslashes, `..` or letters that look like
    others is taken for what it looks like.
    """
    if kind == "registry":
        met = _IMAGE.fullmatch(text)
        return met[1] if met else ""
    if text.startswith(("file:", "/")):
        path = unquote(re.sub(r"^file:(//(localhost)?(?=/))?", "", text)).rstrip("/")
        whole = path.startswith("/") and not {*path} & {*"%\\?#"} and path.isprintable()
        return f"file://{path}" if whole and path == os.path.normpath(path) else ""
    met = _URL.fullmatch(text)
    if met is not None:
        port = (
            "" if met[3] == {"https://": ":443", "http://": ":80"}.get(met[1].lower()) else met[3]
        )
        return f"{met[1].lower()}{met[2].lower()}{port or ''}{met[4]}"
    name = _NAME.fullmatch(text)
    return f"{_ANACONDA}{text.rstrip('/')}" if name else ""
