"""Which toolboxes the user allows to run.

The bundled tools are trusted. Any other toolbox is approved by its content: one hash over
all its files, of which a copy is kept (`napari_tool_runner.tools.toolbox.approved`) that
its tools run from. When a file is added, removed or changed, the toolbox has to be approved
again; what changed is told. Approvals lie in one JSON file in the user's data folder.
"""

from __future__ import annotations

import shlex
import stat
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner import settings
from napari_tool_runner.config import Config, load_config
from napari_tool_runner.data_classes import dataclass
from napari_tool_runner.errors import ConfigError, TrustError
from napari_tool_runner.names import expanded, lies_in, real_path
from napari_tool_runner.tools.toolbox.added import is_fetched
from napari_tool_runner.tools.toolbox.approvals import (
    Approval,
    approval_of,
    changed_meanwhile,
    remember,
    tidy,
)
from napari_tool_runner.tools.toolbox.approved import (
    Entry,
    Listing,
    digest_of,
    intact,
    keep,
    kept_folder,
    left_out,
    look,
)
from napari_tool_runner.tools.toolbox.entries import bundled_folder, ships
from napari_tool_runner.tools.toolbox.own import PUT_RIGHT, not_own, own_copies
from napari_tool_runner.tools.toolbox.weighing import weighed

if TYPE_CHECKING:
    from napari_tool_runner.tools.model import Tool

__all__ = [
    "HOW_TO_APPROVE",
    "Review",
    "Trust",
    "TrustState",
    "approve",
    "discard",
    "names_folder",
    "require_trust",
    "review",
    "revoke",
    "trust_state",
]

HOW_TO_APPROVE = "Approve it in the Tool Runner window, or name the descriptor by its path."
_OLD = "approved by an older version, which kept no copy of it"


class TrustState(StrEnum):
    """Whether the tools of a folder may run.

    ``NAMED``: by its path, for this call. ``CONFIGURED``: by a configuration that was
    itself named, or by the facility's. ``MINE``: its author said that it follows changes.
    ``FORBIDDEN``: the facility's policy names other toolboxes.
    """

    BUNDLED = "bundled"
    NAMED = "named"
    CONFIGURED = "configured"
    APPROVED = "approved"
    MINE = "mine"
    CHANGED = "changed"
    UNKNOWN = "unknown"
    FORBIDDEN = "forbidden"


_NOT_YET = frozenset({TrustState.CHANGED, TrustState.UNKNOWN, TrustState.FORBIDDEN})


@dataclass(frozen=True, slots=True)
class Trust:
    """The state of one toolbox folder.

    Parameters
    ----------
    folder : Path
        What has to be approved.
    changes : tuple of str
        For ``CHANGED``: ``added``, ``removed`` or ``changed`` and a file, one each.
    digest : str
        Of what was approved, or of what the facility allows by its content.
    policy : str
        For ``FORBIDDEN``: the file that says so.
    mine : bool
        For ``CHANGED``: its author's own; `changes` say why what changes there is not followed.
    """

    state: TrustState
    folder: Path
    changes: tuple[str, ...] = ()
    digest: str = ""
    policy: str = ""
    mine: bool = False

    @property
    def ok(self) -> bool:
        """Whether its tools may run."""
        return self.state not in _NOT_YET


@dataclass(frozen=True, slots=True)
class Review:
    """What to show before somebody approves a toolbox.

    Parameters
    ----------
    digest : str
        ``sha256:…`` of the content that would be approved.
    copy : Path
        That content, as it would run.
    files, size : int
        How many files were copied, and their bytes.
    writable_by_others : tuple of str
        Files that other users of this computer can change.
    left_out : tuple of str
        Links that lead out of the folder, and what is no file: tools will not see them.
    """

    folder: Path
    digest: str
    copy: Path
    files: int
    size: int
    trust: Trust
    writable_by_others: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def trust_state(what: Tool | Path, config: Config | None = None, *, quick: bool = False) -> Trust:
    """Return whether a tool, or the tools of a toolbox folder, may run without asking.

    A tool that was not taken from a toolbox was named by its path: that is consent.

    Parameters
    ----------
    config : Config, optional
        Whose consent counts; default: the facility's and the personal configuration.
    quick : bool
        For a form, which the window waits for: no folder is looked through, and what was once
        said of it counts. It is looked through when it is run.
    """
    path = real_path(what) if isinstance(what, Path) else what.lies_at
    if ships(what):
        return Trust(TrustState.BUNDLED, bundled_folder())
    config = config or _configured()
    named = not isinstance(what, Path) and not what.toolbox
    folder = what.absolute() if isinstance(what, Path) else Path(what.toolbox or path.parent)
    if named:
        found = Trust(TrustState.NAMED, folder)
    elif isinstance(what, Path) or lies_in(path, folder):
        found = _answered(folder, config, quick)
    else:  # by a link: what was said of the toolbox is not of what it leads to
        found = Trust(TrustState.UNKNOWN, folder)
    for policy in config.policies:
        allowed = policy.own(settings.TOOLBOXES_ALLOWED)
        if allowed is not None and found.state is not TrustState.FORBIDDEN:  # nobody lifts that
            found = _under(policy, allowed, found, path, quick)
    return found


def _answered(folder: Path, config: Config, quick: bool) -> Trust:
    """Return what the configuration or the user said of a toolbox folder."""
    if folder in config.consented_dirs and not is_fetched(folder):
        return Trust(TrustState.CONFIGURED, folder)
    approval = approval_of(folder)
    if approval is None:
        return Trust(TrustState.UNKNOWN, folder)
    if approval.mine:
        why = "" if quick else not_own(folder, config)  # rights and links may have changed, too
        state = TrustState.CHANGED if why else TrustState.MINE
        return Trust(state, folder, (why,) if why else (), mine=bool(why))
    if approval.old:
        return Trust(TrustState.CHANGED, folder, (_OLD,), approval.digest)
    if quick:
        return Trust(TrustState.APPROVED, folder, digest=approval.digest)
    try:
        changes = (*approval.other, *_changes(approval.files, look(folder, approval.files)))
    except (OSError, TrustError) as error:  # what cannot be seen is not what was approved
        changes = (*approval.other, f"it cannot be looked at: {error}")
    state = TrustState.CHANGED if changes else TrustState.APPROVED
    return Trust(state, folder, changes, approval.digest)


def _under(
    policy: Config, allowed: tuple[str, ...], found: Trust, path: Path, quick: bool
) -> Trust:
    """Return the state of a toolbox under a facility's policy, which names those that may run."""
    digest = ""
    if not names_folder(policy, allowed, path):
        if found.state is not TrustState.NAMED and any(e.startswith("sha256:") for e in allowed):
            if quick:
                return found
            digest = _digest_now(found.folder)
        if not digest or digest not in allowed:
            return Trust(TrustState.FORBIDDEN, found.folder, policy=policy.place)
    if policy.explicit and (not found.ok or (digest and found.state is not TrustState.APPROVED)):
        return Trust(TrustState.CONFIGURED, found.folder, digest=digest)
    return found


def names_folder(policy: Config, allowed: tuple[str, ...], path: Path) -> bool:
    """Whether one of the folders that a policy allows is `path`, or holds it as `lies_in` says."""
    base = policy.base or Path()
    named = [one for one in allowed if one and not one.startswith("sha256:")]
    return any(lies_in(path, base / expanded(one)) for one in named)


_looked: dict[Path, Listing] = {}


def _digest_now(folder: Path) -> str:
    """Return the digest of what `folder` holds; in a session only what changed is read again."""
    try:
        _looked[folder] = look(folder, _looked.get(folder))
    except (OSError, TrustError):
        return ""  # what cannot be seen is nothing that is allowed
    return digest_of(_looked[folder])


def require_trust(tool: Tool, config: Config | None = None) -> Trust:
    """Return why `tool` may run; see `trust_state`.

    Raises
    ------
    TrustError
        Its toolbox has not been approved, or has changed since.
    """
    trust = trust_state(tool, config)
    if trust.ok:
        return trust
    not_run, hint = f"“{tool.name}” was not run", HOW_TO_APPROVE
    if trust.state is TrustState.FORBIDDEN:
        hint = "Ask those who look after that file."
        none = f"{trust.folder} is none of them ({trust.policy})"
        why = f"{not_run}: your facility allows the toolboxes that it names, and {none}."
    elif trust.mine:
        hint = PUT_RIGHT
        why = f"The toolbox {trust.folder} is yours, but {trust.changes[0]}; {not_run}."
    elif trust.state is TrustState.CHANGED:
        first = ", ".join(trust.changes[:3]) + ("…" if len(trust.changes) > 3 else "")
        why = f"The toolbox {trust.folder} has changed since you approved it ({first}); {not_run}."
    elif not lies_in(tool.lies_at, trust.folder):
        hint = "Put the descriptor itself into the toolbox, or name it by its path."
        led = f"a link that leads out of its toolbox {trust.folder}"
        why = f"{not_run}: {tool.path} is, or lies in, {led}."
    else:
        why = f"The toolbox {trust.folder} has not been approved; {not_run}."
    raise TrustError(why, hint=hint)


def review(folder: Path, *, mine: bool = False, copied: bool = True) -> Review:
    """Look at a copy of a toolbox folder before it is approved. Evaluates nothing.

    `mine`: at the folder itself, whose changes would be followed; not `copied`: at it, too.

    Raises
    ------
    TrustError
        It holds too much, or no copy can be kept.
    """
    folder = folder.absolute()
    digest, found = _weighed(folder) if mine else _keep(folder, copied=copied)
    return Review(
        folder=folder,
        digest=digest,
        copy=kept_folder(digest) if copied and not mine else folder,
        files=sum(entry.kept for entry in found.values()),
        size=sum(entry.size for entry in found.values()),
        trust=trust_state(folder),
        writable_by_others=tuple(name for name in found if _others_may_write(folder / name)),
        left_out=left_out(found),
    )


def approve(folder: Path, *, seen: Review | None = None, mine: bool = False) -> Trust:
    """Let the tools of `folder` run, as its files are now.

    Parameters
    ----------
    seen : Review, optional
        What the user saw; nothing is approved when anything has changed since.
    mine : bool
        The user writes these tools: changes are followed without a question.

    Raises
    ------
    TrustError
        The folder is none, or has changed since `seen`, or cannot be remembered, or
        (`mine`) others can write in it, or something in it leads elsewhere.
    """
    folder = folder.absolute()
    if not folder.is_dir():
        raise TrustError(f"{folder} is no folder.", hint="Name the folder of a toolbox.")
    found = ("", Listing()) if mine else _keep(folder)
    if not mine and seen is not None and seen.digest != found[0]:
        tidy(found[0])
        raise changed_meanwhile(folder)
    if mine:
        _refuse_foreign(folder)
    remember(folder, Approval(*found, mine), seen.trust.changes if seen else None)
    tidy(found[0])
    state = TrustState.MINE if mine else TrustState.APPROVED
    return Trust(state, folder, digest=found[0])


def revoke(folder: Path) -> bool:
    """Forget the approval of `folder`; return whether there was one."""
    folder = folder.absolute()
    approval = approval_of(folder)
    if approval is None:
        return False
    remember(folder, None)
    own_copies.leave(folder)
    tidy(approval.digest)
    return True


def discard(seen: Review) -> None:
    """Delete the copy of a review that ended without an answer, unless it is approved."""
    tidy(seen.digest)


def _configured() -> Config:
    try:
        return load_config()
    except ConfigError:  # told where it is used; here, it is nobody's consent
        return Config()


# -- content -----------------------------------------------------------------------------


def _keep(folder: Path, *, copied: bool = True) -> tuple[str, Listing]:
    """Return the digest and the files of a copy of `folder`, made now unless it is there."""
    try:
        approval = approval_of(folder)
        if approval is not None or not copied:
            found = look(folder, approval.files if approval else None)
            if not copied or intact(digest_of(found)):
                return digest_of(found), found
        return keep(folder)
    except OSError as error:
        raise TrustError(
            f"A copy of {folder} cannot be kept: {error}.",
            hint="Approving copies the toolbox to the user's data folder; make it writable.",
        ) from error


def _weighed(folder: Path) -> tuple[str, Listing]:
    """Return the files of a folder that is not copied, unread."""
    rows = weighed(folder, mine=True)
    return "", {name: Entry(mark, info.st_size, 0, 0) for name, _, mark, info in rows}


def _others_may_write(path: Path) -> bool:
    try:
        mode = path.lstat().st_mode  # the mode of a link itself says nothing
    except OSError:
        return False  # it is gone since: approving tells
    return not stat.S_ISLNK(mode) and bool(mode & stat.S_IWOTH)


def _refuse_foreign(folder: Path) -> None:
    """Raise TrustError when what runs from `folder` is not its author's alone."""
    _weighed(folder)  # which tells of a folder that is no toolbox
    if why := not_own(folder, _configured()):
        raise TrustError(
            f"{folder} cannot be marked as yours: {why}.",
            hint=f"Take others the right to write (chmod -R go-w {shlex.quote(str(folder))}), put "
            "files in the place of links, or approve it as it is: then a change is asked about.",
        )


def _changes(before: Listing, now: Listing) -> Iterator[str]:
    for name in sorted(before.keys() | now.keys()):
        if name not in before:
            yield f"added {name}"
        elif name not in now:
            yield f"removed {name}"
        elif before[name].mark != now[name].mark:
            yield f"changed {name}"
