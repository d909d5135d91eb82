"""The enclosure in which another one lies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.data_classes import dataclass, replace

if TYPE_CHECKING:
    from napari_tool_runner.plugins.programs.enclosed import Enclosure

__all__ = ["Around"]


@dataclass(frozen=True, slots=True)
class Around:
    """An enclosure in which another one lies, and what that one shows of it.

    Parameters
    ----------
    users, processes : int
        Descriptors of its namespaces.
    inner : int or None
        Of the namespace of users, within `users`, in which programs have their own number.
    mounts : tuple of str
        Options of bubblewrap.
    numbering : Enclosure, optional
        An enclosure within it, whose numbering of processes it has then: `processes` is of that.
    """

    users: int
    processes: int
    inner: int | None
    mounts: tuple[str, ...]
    numbering: Enclosure | None = None

    @property
    def options(self) -> tuple[str, ...]:
        """What takes the place of a namespace of users of its own."""
        users, processes = str(self.users), str(self.processes)
        inner = () if self.inner is None else ("--userns2", str(self.inner))
        # bubblewrap leaves them open to the program; what is to be read or kept open it closes.
        # Where the numbering is there, nothing is left that was started with them
        new = ("--sync-fd", users, "--block-fd", processes, "--unshare-pid")
        closed = new if self.numbering is None else ()
        return ("--userns", users, "--pidns", processes, *inner, *closed)

    @property
    def passed(self) -> tuple[int, ...]:
        """What bubblewrap inherits."""
        return (self.users, self.processes, *(() if self.inner is None else (self.inner,)))

    def showing(self, path: Path, place: Path) -> Around:
        """Return it with `path` of this computer seen at `place`."""
        return replace(self, mounts=(*self.mounts, "--ro-bind", str(path), str(place)))
