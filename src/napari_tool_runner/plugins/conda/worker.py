"""The process that makes an environment: solves, downloads, unpacks and links with rattler.

It is asked once, by a line of the standard input, tells events and at the end what came of it,
and ends with all its threads: then, or when nobody listens any more.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from napari_tool_runner.addresses import without_credentials
from napari_tool_runner.errors import PreparationError
from napari_tool_runner.names import size_text
from napari_tool_runner.plugins.conda.bounds import BoundError
from napari_tool_runner.plugins.conda.build import Builder, Records
from napari_tool_runner.plugins.conda.orders import (
    Order,
    Solution,
    packages_text,
    tell_error,
    tell_event,
)
from napari_tool_runner.plugins.conda.package_caches import unchecked
from napari_tool_runner.plugins.process import OutputLine, Progress
from napari_tool_runner.tools.isolation.walls import end_with_parent
from napari_tool_runner.tools.isolation.wire import to_line

__all__ = ["carry_out", "serve"]

_Tell: TypeAlias = Callable[[Mapping[str, object]], None]


def serve() -> None:
    """Carry out the order of the standard input, and end."""
    end_with_parent()
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    lock = threading.Lock()

    def tell(message: Mapping[str, object]) -> None:
        left = memoryview(to_line(message))
        with lock:
            while len(left):
                left = left[answers.write(left) :]

    order = Order.of(json.loads(sys.stdin.buffer.readline()))
    threading.Thread(target=_end_with_asker, daemon=True).start()
    _limit_memory(order.limits.memory)

    async def work() -> None:
        tell(await carry_out(order, tell))
        os._exit(0)  # whatever rattler's threads are at

    asyncio.run(work())


async def carry_out(order: Order, tell: _Tell) -> dict[str, object]:
    """Return what came of an order, in JSON types: a solution or an error."""
    try:
        work = _solve(order) if order.prefix is None else _make(order, order.prefix, tell)
        return {"done": (await work).told()}
    except BaseException as error:  # noqa: BLE001 (rattler's panics are BaseExceptions)
        told = tell_error(error)
        return {k: without_credentials(v) if isinstance(v, str) else v for k, v in told.items()}


async def _solve(order: Order) -> Solution:
    builder = _builder(order)
    found = await builder.from_lock(order.lock) or await builder.solve(order.specs)
    with tempfile.TemporaryDirectory() as folder:
        lock = Path(folder, "lock")
        builder.write_lock(found, lock)
        return _solution(found, lock=lock.read_text(encoding="utf-8"))


async def _make(order: Order, prefix: Path, tell: _Tell) -> Solution:
    """Solve and link; the lock file of an earlier build is followed when possible."""
    builder = _builder(order)

    def say(text: str) -> None:
        tell(tell_event(OutputLine(text, "runner")))

    def report(event: OutputLine | Progress) -> None:
        tell(tell_event(event))

    earlier = await builder.from_lock(order.lock) or await _recent(builder, order.earlier)
    found = earlier or await builder.solve(order.specs, report)
    say(_summary(found))
    try:
        await builder.link(found, prefix, report)
    except BoundError:
        raise
    except PreparationError as error:
        if earlier is None:
            raise
        say(f"The recorded packages cannot be had: {error.message}")
        tell({"stale": True})
        found = await builder.solve(order.specs, report)
        await builder.link(found, prefix, report)
    if told := unchecked(found.records):
        say(told)
    builder.write_lock(found, order.lock)
    return _solution(found, prefix)


async def _recent(builder: Builder, text: str) -> Records | None:
    """Return what a pre-flight has just solved."""
    if not text:
        return None
    with tempfile.TemporaryDirectory() as folder:
        lock = Path(folder, "lock")
        lock.write_text(text, encoding="utf-8")
        return await builder.from_lock(lock)


def _builder(order: Order) -> Builder:
    return Builder(
        order.channels, order.packages, order.repodata, order.platform, order.limits,
        offline=order.offline,
    )  # fmt: skip


def _solution(found: Records, prefix: Path | None = None, lock: str = "") -> Solution:
    scripts = tuple(found.scripts(prefix)) if prefix else ()
    remark = unchecked(found.records)
    packages = found.packages()
    return Solution(packages, found.download_size, found.missing, remark, lock, scripts)


def _summary(found: Records) -> str:
    count = packages_text(len(found.records))
    if not found.missing:
        return f"{count}, downloaded before."
    return f"{count}; {found.missing} to download ({size_text(found.download_size)})."


def _end_with_asker() -> None:
    """End when the one who asked has closed the pipe, or died."""
    with suppress(OSError, ValueError):
        sys.stdin.buffer.read()
    os._exit(1)


def _limit_memory(most: int) -> None:
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
