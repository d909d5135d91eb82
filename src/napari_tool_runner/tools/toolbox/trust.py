"""Which toolboxes the user allows to run.

The bundled tools are trusted. Any other toolbox is approved by its content: one hash
over all its files except test data. When a file is added, removed or changed, the
toolbox has to be approved again; what changed is told. Approvals lie in one JSON file
in the user's data folder.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.config import Config, load_config
from napari_tool_runner.errors import ConfigError, TrustError
from napari_tool_runner.storage import (
    content_sha256,
    locked,
    read_json,
    sha256_of,
    user_data,
    write_json,
)
from napari_tool_runner.tools.toolbox.box import bundled_folder

if TYPE_CHECKING:
    from napari_tool_runner.tools.model import Tool

__all__ = [
    "Review",
    "Trust",
    "TrustState",
    "approve",
    "require_trust",
    "review",
    "revoke",
    "trust_state",
]

# made by running tools, or never run
_SKIPPED = frozenset({"test-data", "__pycache__", ".git", ".hg", ".svn"})

_File = tuple[str, int, int]
"""Hash, size and modification time (ns) of one file."""


class TrustState(StrEnum):
    """Whether the tools of a folder may run.

    ``NAMED``: by its path, for this call. ``CONFIGURED``: by a configuration that was
    itself named, or by the facility's.
    """

    BUNDLED = "bundled"
    NAMED = "named"
    CONFIGURED = "configured"
    APPROVED = "approved"
    CHANGED = "changed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Trust:
    """The state of one toolbox folder.

    Parameters
    ----------
    folder : Path
        What has to be approved.
    changes : tuple of str
        For ``CHANGED``: ``added``, ``removed`` or ``changed`` and a file, one each.
    """

    state: TrustState
    folder: Path
    changes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether its tools may run."""
        return self.state not in {TrustState.CHANGED, TrustState.UNKNOWN}


@dataclass(frozen=True, slots=True)
class Review:
    """What to show before somebody approves a toolbox.

    Parameters
    ----------
    digest : str
        ``sha256:…`` of the content that would be approved.
    files, size : int
        How many files were hashed, and their bytes.
    writable_by_others : tuple of str
        Files that other users of this computer can change.
    """

    folder: Path
    digest: str
    files: int
    size: int
    trust: Trust
    writable_by_others: tuple[str, ...] = ()


def trust_state(what: Tool | Path, config: Config | None = None) -> Trust:
    """Return whether a tool, or the tools of a toolbox folder, may run without asking.

    A tool that was not taken from a toolbox was named by its path: that is consent.

    Parameters
    ----------
    config : Config, optional
        Whose consent counts; default: the facility's and the personal configuration.
    """
    bundled = bundled_folder()
    path = what.absolute() if isinstance(what, Path) else what.path
    if path.is_relative_to(bundled):
        return Trust(TrustState.BUNDLED, bundled)
    if not isinstance(what, Path) and not what.toolbox:
        return Trust(TrustState.NAMED, path.parent)
    folder = path if isinstance(what, Path) else Path(what.toolbox)
    if folder in (config or _configured()).consented_dirs:
        return Trust(TrustState.CONFIGURED, folder)
    approved = _load().get(str(folder))
    if approved is None:
        return Trust(TrustState.UNKNOWN, folder)
    changes = tuple(_changes(approved, _listing(folder, approved)))
    return Trust(TrustState.CHANGED if changes else TrustState.APPROVED, folder, changes)


def review(folder: Path) -> Review:
    """Look at a toolbox folder before it is approved. Runs and evaluates nothing."""
    folder = folder.absolute()
    listing = _listing(folder, {})
    open_to_others = tuple(name for name in listing if _others_may_write(folder / name))
    return Review(
        folder=folder,
        digest=_digest(listing),
        files=len(listing),
        size=sum(entry[1] for entry in listing.values()),
        trust=trust_state(folder),
        writable_by_others=open_to_others,
    )


def approve(folder: Path, *, digest: str | None = None) -> Trust:
    """Let the tools of `folder` run, as its files are now.

    Parameters
    ----------
    digest : str, optional
        The digest that the user saw in a `Review`; nothing is approved when the
        folder has changed since.

    Raises
    ------
    TrustError
        The folder is none, or has changed since `digest`, or cannot be remembered.
    """
    folder = folder.absolute()
    if not folder.is_dir():
        raise TrustError(f"{folder} is no folder.", hint="Name the folder of a toolbox.")
    listing = _listing(folder, {})
    if digest is not None and digest != _digest(listing):
        raise TrustError(
            f"The toolbox {folder} changed while it was being looked at.",
            hint="Look at it again before you approve it.",
        )
    _change(str(folder), listing)
    return Trust(TrustState.APPROVED, folder)


def revoke(folder: Path) -> bool:
    """Forget the approval of `folder`; return whether there was one."""
    key = str(folder.absolute())
    if key not in _load():
        return False
    _change(key, None)
    return True


def require_trust(tool: Tool, config: Config | None = None) -> None:
    """Do nothing when `tool` may run; see `trust_state`.

    Raises
    ------
    TrustError
        Its toolbox has not been approved, or has changed since.
    """
    trust = trust_state(tool, config)
    if trust.ok:
        return
    hint = "Approve it in the Tool Runner window, or name the descriptor by its path."
    if trust.state is TrustState.CHANGED:
        first = ", ".join(trust.changes[:3]) + ("…" if len(trust.changes) > 3 else "")
        raise TrustError(
            f"The toolbox {trust.folder} has changed since you approved it ({first}); "
            f"“{tool.name}” was not run.",
            hint=hint,
        )
    raise TrustError(
        f"The toolbox {trust.folder} has not been approved; “{tool.name}” was not run.", hint=hint
    )


def _configured() -> Config:
    try:
        return load_config()
    except ConfigError:  # told where it is used; here, it is nobody's consent
        return Config()


# -- content -----------------------------------------------------------------------------


def _others_may_write(path: Path) -> bool:
    mode = path.lstat().st_mode  # the mode of a link itself says nothing
    return not stat.S_ISLNK(mode) and bool(mode & stat.S_IWOTH)


def _listing(folder: Path, known: Mapping[str, _File]) -> dict[str, _File]:
    """Return the files of `folder`; those whose stat is as in `known` keep their hash."""
    found: dict[str, _File] = {}
    base = str(folder)
    for path in _files(base):
        name = path[len(base) :].lstrip(os.sep).replace(os.sep, "/")
        info = os.lstat(path)
        size, mtime = info.st_size, info.st_mtime_ns
        before = known.get(name)
        if before is not None and before[1:] == (size, mtime):
            found[name] = before
        elif stat.S_ISLNK(info.st_mode):
            found[name] = (f"link:{os.readlink(path)}", size, mtime)
        elif stat.S_ISREG(info.st_mode):
            found[name] = (_hash(path), size, mtime)
        else:
            found[name] = (f"special:{stat.S_IFMT(info.st_mode):o}", 0, mtime)
    return found


def _hash(path: str) -> str:
    try:
        return content_sha256(Path(path)).removeprefix("sha256:")
    except OSError:
        return "unreadable"  # when it can be read, it counts as changed


def _files(folder: str) -> Iterator[str]:
    if not os.path.isdir(folder):
        return  # a toolbox that is gone: all its files were removed
    with os.scandir(folder) as entries:  # what cannot be listed cannot be approved: it raises
        for entry in entries:
            if entry.name in _SKIPPED:
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path)
            else:
                yield entry.path


def _changes(before: Mapping[str, _File], now: Mapping[str, _File]) -> Iterator[str]:
    for name in sorted(before.keys() | now.keys()):
        if name not in before:
            yield f"added {name}"
        elif name not in now:
            yield f"removed {name}"
        elif before[name][0] != now[name][0]:
            yield f"changed {name}"


def _digest(listing: Mapping[str, _File]) -> str:
    lines = (f"{name}\0{listing[name][0]}\n" for name in sorted(listing))
    return sha256_of("".join(lines).encode())


# -- the store ---------------------------------------------------------------------------


def _store() -> Path:
    return user_data() / "trust.json"


def _load() -> dict[str, dict[str, _File]]:
    try:
        data = read_json(_store())
        if not isinstance(data, dict):
            return {}
        return {
            folder: {name: (str(a), int(b), int(c)) for name, (a, b, c) in kept["files"].items()}
            for folder, kept in data["toolboxes"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}  # absent or damaged: nothing is approved, which is the safe side


def _change(folder: str, listing: dict[str, _File] | None) -> None:
    store = _store()
    try:
        with locked(store):
            kept = _load()
            kept.pop(folder, None)
            if listing is not None:
                kept[folder] = listing
            data = {
                "toolboxes": {
                    name: {"digest": _digest(files), "files": files}
                    for name, files in kept.items()
                },
                "written": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            }
            write_json(store, data, indent=1)
    except OSError as error:
        raise TrustError(
            f"The approval cannot be kept in {store}: {error.strerror or error}.",
            hint="Make that folder writable.",
        ) from error
