"""Has an environment solved and made by a process of its own, which can be ended at any time.

rattler works in threads that nothing can stop, and what it makes of an index or a package of
a stranger takes memory: of that process, not of napari.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import IO, TYPE_CHECKING

from napari_tool_runner.errors import JobCancelledError, PreparationError
from napari_tool_runner.names import size_text
from napari_tool_runner.plugins.conda.orders import Order, Solution, error_from, event_from
from napari_tool_runner.tools.isolation.wire import to_line

if TYPE_CHECKING:
    from napari_tool_runner.plugins.process import CancelToken, Event

__all__ = ["carry_out"]

_BOOT = """\
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from napari_tool_runner.plugins.conda import worker
worker.serve()
"""
_LONGEST = 2**26  # bytes of a message


def carry_out(
    order: Order,
    cancel: CancelToken,
    report: Callable[[Event], None] = lambda event: None,
    stale: Callable[[], None] = lambda: None,
) -> Solution:
    """Return what came of an order.

    Parameters
    ----------
    cancel : CancelToken
    report : callable
        Gets events, in this thread.
    stale : callable
        Called when `Order.earlier` could not be used.

    Raises
    ------
    PreparationError, OSError
    JobCancelledError
        As soon as `cancel` is requested: nothing works at it any more.
    """
    process = _start()
    forget = cancel.on_cancel(process.kill)
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(BrokenPipeError, ConnectionResetError):  # its end says why
            process.stdin.write(to_line(order.told()))
            process.stdin.flush()
        return _answer(process.stdout, order, process, report, stale)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            cancel.cancel()
        elif cancel.requested:
            text = "The job was cancelled while its environment was made."
            raise JobCancelledError(text) from None
        raise
    finally:
        forget()
        _end(process)


def _answer(
    answers: IO[bytes],
    order: Order,
    process: subprocess.Popen[bytes],
    report: Callable[[Event], None],
    stale: Callable[[], None],
) -> Solution:
    """Return the solution that comes at the end of events."""
    while True:
        line = answers.readline(_LONGEST)
        if len(line) == _LONGEST:
            raise PreparationError(
                "The environment could not be made: its channel tells more than "
                f"{size_text(_LONGEST)} of its packages.",
                hint="No sound channel does so: use another.",
            )
        if not line.endswith(b"\n"):
            raise _lost(process, order)
        told = json.loads(line)
        if "done" in told:
            return Solution.of(told["done"])
        if "memory" in told:
            raise _too_large(order)
        if "error" in told:
            raise error_from(told)
        if "stale" in told:
            stale()
        elif event := event_from(told):
            report(event)


def _start() -> subprocess.Popen[bytes]:
    paths = json.dumps([one for one in sys.path if os.path.isabs(one)])
    return subprocess.Popen(
        # its variables are ours: proxies, certificates, where the credentials of conda lie
        [sys.executable, "-I", "-X", "utf8", "-c", _BOOT, paths],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with suppress(OSError):  # an order that nobody read
                stream.close()


def _lost(process: subprocess.Popen[bytes], order: Order) -> PreparationError:
    """Return the error of a process that ended before it answered."""
    process.kill()
    code = process.wait()
    why = f"ended with code {code}" if code >= 0 else f"was ended by signal {-code}"
    why = f"the process that makes it {why}"
    if code in (-signal.SIGABRT, -getattr(signal, "SIGKILL", 9)):
        return _too_large(order, f"{why}, most likely since ")
    return PreparationError(
        f"The environment could not be made: {why}.",
        hint="Try again; if it happens again, tell whoever wrote the tool which channels it uses.",
    )


def _too_large(order: Order, why: str = "") -> PreparationError:
    return PreparationError(
        f"The environment could not be made: {why}it takes more memory than "
        f"{size_text(order.limits.memory)}, or than there is.",
        hint="No sound channel needs so much: look at the channels and packages that the tool "
        "requires, or free memory of this computer.",
    )
