"""What a benchmark module uses: measure two ways of doing one thing, and compare.

Times differ from machine to machine and from minute to minute; their ratio much less,
when both ways are measured in turns in the same run. So that is all that is reported.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Comparison", "Unavailable", "compare"]


class Unavailable(Exception):
    """What a benchmark needs is not here; the message is the reason that is shown."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Ours against the bare thing.

    Parameters
    ----------
    name : str
        What is done, and in brackets what it is compared with.
    ours, bare : float
        Median seconds of one call.
    aim : float
        The ratio ours / bare that is aimed at, at most.
    repeats : int
        How many calls each median comes from.
    more : float
        Seconds on top of that, where what is ours does not grow with the bare thing.
    """

    name: str
    ours: float
    bare: float
    aim: float
    repeats: int
    more: float = 0.0

    @property
    def ratio(self) -> float:
        """Ours / bare."""
        return self.ours / self.bare

    @property
    def reached(self) -> bool:
        """Whether the aim is reached."""
        return self.ours <= self.aim * self.bare + self.more


def compare(
    name: str,
    ours: Callable[[], object],
    bare: Callable[[], object],
    *,
    aim: float,
    repeats: int,
    more: float = 0.0,
    ready: Callable[[], object] | None = None,
) -> Comparison:
    """Call both in turns, `repeats` times after one unmeasured round.

    `ready` waits, before each call and unmeasured, for what is made ahead while nobody asks.
    """
    wait = ready or (lambda: None)
    ours()
    bare()
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(repeats):
        # who goes first changes, so that neither always finds warm caches
        order = (0, 1) if turn % 2 == 0 else (1, 0)
        for which in order:
            wait()
            begun = time.perf_counter()
            (ours, bare)[which]()
            times[which].append(time.perf_counter() - begun)
    medians = statistics.median(times[0]), statistics.median(times[1])
    return Comparison(name, *medians, aim, repeats, more)
