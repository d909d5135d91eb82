"""Sealed results: the one way to files that a program wrote.

A program leaves in its folder what it likes: a link to a key, a pipe that nobody fills, a
million folders in one another; and one that still runs changes it while we look. So nothing
there is opened by its name alone. Every folder on the way is opened from the one above it,
never through a link; what was opened must be a regular file, or a folder of such; and there
are limits. Whatever is refused is an `OutputError` that names the file and the reason.

`root` is the folder that a program may write to. A path without a root is the user's own
file: links on the way are the user's business, only pipes and devices are refused; those `below` a
folder may be anybody's.

Windows cannot open below a folder: there each step is looked at first, which a program that
still runs could outrun.
"""

from __future__ import annotations

from napari_tool_runner.sealed.changing import (
    cloned,
    copy,
    copy_below,
    copy_bytes,
    make_folder,
    move,
    put,
    regain,
    remove,
    write,
)
from napari_tool_runner.sealed.finding import facts_below, found, listed, usage
from napari_tool_runner.sealed.hashing import content_sha256
from napari_tool_runner.sealed.links import below, is_own, link_free, settled
from napari_tool_runner.sealed.opening import (
    MAX_DEPTH,
    MAX_PARSED,
    heard,
    kind,
    listening,
    open_file,
    read_bytes,
    walk,
)
from napari_tool_runner.sealed.states import facts_of, settle_writes, state_of, tells_changes

__all__ = [
    "MAX_DEPTH",
    "MAX_PARSED",
    "below",
    "cloned",
    "content_sha256",
    "copy",
    "copy_below",
    "copy_bytes",
    "facts_below",
    "facts_of",
    "found",
    "heard",
    "is_own",
    "kind",
    "link_free",
    "listed",
    "listening",
    "make_folder",
    "move",
    "open_file",
    "put",
    "read_bytes",
    "regain",
    "remove",
    "settle_writes",
    "settled",
    "state_of",
    "tells_changes",
    "usage",
    "walk",
    "write",
]
