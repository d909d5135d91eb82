"""The gate: nothing of a tool is evaluated, asked for on the network or started without a permit.

A `Permit` is made here and nowhere else, from what may give one: the question that the user
answered (`napari_tool_runner.tools.toolbox.trust.approve`), a configuration that consents, a
path that was named in a call or on the command line, or that the tool ships with the package.
Stored data (records, layers, presets, crates) never make one: see `unnamed`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.data_classes import dataclass, replace
from napari_tool_runner.errors import DescriptorError, TrustError
from napari_tool_runner.tools.toolbox.approvals import (
    Approval,
    approval_of,
    approved_above,
    tell_image,
    with_image,
)
from napari_tool_runner.tools.toolbox.approved import intact, kept_folder
from napari_tool_runner.tools.toolbox.entries import ships
from napari_tool_runner.tools.toolbox.own import own_copies
from napari_tool_runner.tools.toolbox.trust import (
    HOW_TO_APPROVE,
    Trust,
    TrustState,
    require_trust,
    review,
)

if TYPE_CHECKING:
    from napari_tool_runner.config import Config
    from napari_tool_runner.tools.model import Tool

__all__ = ["Permit", "admit", "looks_through", "pass_gate", "pass_image", "unnamed"]

_ANSWERED = frozenset({TrustState.APPROVED, TrustState.MINE})


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Permit:
    """That a tool may be evaluated, asked for, and run. Made by `admit` only.

    Parameters
    ----------
    digest : str
        Of the approved content; without a copy, of the descriptor.
    scope : TrustState
        Who gave it.
    """

    digest: str
    scope: TrustState


def looks_through(tool: Tool) -> bool:
    """Whether `admit` may look through the toolbox of `tool`, which can take its time."""
    return bool(tool.toolbox) and not ships(tool)


def admit(tool: Tool, config: Config | None = None) -> tuple[Tool, Permit]:
    """Return `tool` as it may run, and its permit: of an approved toolbox, the tool in the copy.

    Raises
    ------
    TrustError
        It may not run, or its approved copy is damaged.
    DescriptorError
        It cannot be read.
    """
    trust = require_trust(tool, config)
    if trust.state is TrustState.MINE:
        return _as_it_is(tool, trust)
    if not trust.digest:
        return tool, Permit(tool.digest, trust.state)
    if trust.state is TrustState.CONFIGURED and not intact(trust.digest):
        review(trust.folder)  # which keeps a copy of what the facility allows by its content
    if not intact(trust.digest):
        raise _damaged(tool, trust.folder)
    return _from_copy(tool, trust), Permit(trust.digest, trust.state)


def _as_it_is(tool: Tool, trust: Trust) -> tuple[Tool, Permit]:
    """Return a tool of an author's own folder in a copy of what that holds now."""
    permit = own_copies.take(
        trust.folder, lambda digest: Permit(digest or tool.digest, trust.state)
    )
    if permit.digest == tool.digest:  # it runs in place
        return tool, permit
    return _from_copy(tool, replace(trust, digest=permit.digest)), permit


def pass_gate(tool: Tool, permit: Permit) -> None:
    """Do nothing when `permit` still lets `tool` through; asked each time, right before.

    Raises
    ------
    TrustError
        It is the permit of something else, was taken back, or the copy was altered.
    """
    folder = Path(tool.toolbox)
    approval = approval_of(folder) if permit.scope in _ANSWERED else None
    if permit.scope is TrustState.APPROVED:
        valid = _holds(approval, permit)
    else:
        valid = permit.scope not in _ANSWERED or (approval is not None and approval.mine)
    if tool.copy:
        right = Path(tool.copy) == kept_folder(permit.digest)
    else:
        right = permit.scope is not TrustState.APPROVED and permit.digest == tool.digest
    if not valid:
        raise _taken_back(tool, folder)
    if right and tool.copy and not intact(permit.digest):
        raise _damaged(tool, folder)
    if not right:
        raise TrustError(
            f"The permit is of another tool; “{tool.name}” was not run.", hint=HOW_TO_APPROVE
        )


def pass_image(
    tool: Tool, permit: Permit, told: Mapping[str, object], say: Callable[[str], None]
) -> None:
    """Say when the image that a tool named is another one than before, or what is unsure of it.

    The name of an image says little: whoever looks after it can put another one in its place.

    Parameters
    ----------
    told : mapping
        What the service says of its preparation: ``image``, ``image_id``, ``image_digest``.

    Raises
    ------
    TrustError
        The tool is a stranger's: its toolbox is asked about again.
    """
    name, image, digest = (
        str(told.get(one) or "") for one in ("image", "image_id", "image_digest")
    )
    if not image or "@" in name:  # none, or named by its content
        return
    folder = Path(tool.toolbox or tool.path.parent)
    if permit.scope is not TrustState.APPROVED:
        place = tool.toolbox or tool.path
        tell_image(f"{permit.scope}\n{place}", name, (image, digest), say)
        return
    approval = with_image(folder, permit.digest, name, (image, digest))
    if approval is not None and name in approval.asked:
        raise TrustError(
            f"The toolbox {folder} was approved with another image; “{tool.name}” was not run: "
            f"{approval.other[0]}.",
            hint=HOW_TO_APPROVE,
        )
    if not _holds(approval, permit):
        raise _taken_back(tool, folder)


def _holds(approval: Approval | None, permit: Permit) -> bool:
    return approval is not None and approval.digest == permit.digest and not approval.other


def _taken_back(tool: Tool, folder: Path) -> TrustError:
    return TrustError(
        f"The approval of {folder} was taken back or renewed meanwhile; "
        f"“{tool.name}” was not run.",
        hint=HOW_TO_APPROVE,
    )


def unnamed(tool: Tool) -> Tool:
    """Return a tool that stored data named: its path is nobody's consent.

    It belongs to the approved folder that it lies in, else to its own, which is asked about.
    """
    from napari_tool_runner.tools.candidate import join_entry

    if tool.toolbox:
        return tool
    path = tool.lies_at  # “approved/../other” lies in “other”, a link where it was put
    folder = approved_above(path) or path.parent
    return replace(tool, uri=join_entry(path, tool.entry), toolbox=str(folder))


def _damaged(tool: Tool, folder: Path) -> TrustError:
    return TrustError(
        f"The approved copy of {folder} is gone or was altered; “{tool.name}” was not run.",
        hint="Review the toolbox and approve it again.",
    )


# -- reading from the copy -----------------------------------------------------------------

_read: dict[tuple[str, str], Tool] = {}
_reading = threading.Lock()
_MOST = 200


def _from_copy(tool: Tool, trust: Trust) -> Tool:
    """Return `tool` as it is read from the approved copy."""
    from napari_tool_runner.tools.candidate import join_entry
    from napari_tool_runner.tools.reader import read_tool

    copy = kept_folder(trust.digest)
    key = (trust.digest, tool.uri)
    with _reading:
        found = _read.get(key)
    if found is None or found.formats is not tool.formats:
        inner = tool.path.relative_to(trust.folder)
        if os.pardir in inner.parts:
            raise _damaged(tool, trust.folder)
        try:
            read = read_tool(join_entry(copy / inner, tool.entry), root=copy, formats=tool.formats)
        except DescriptorError as error:  # what is mended is the file, not its copy
            why = error.message.replace(str(copy), str(trust.folder))
            raise type(error)(why, path=tool.path, hint=error.hint) from error
        found = replace(
            read,
            uri=tool.uri,
            toolbox=tool.toolbox,
            copy=str(copy),
            place=tool.place,
            categories=tool.categories,
            thumbnail=tool.thumbnail,
            formats=tool.formats,
        )
        with _reading:
            while len(_read) >= _MOST:
                del _read[next(iter(_read))]
            _read[key] = found
    return found
