"""Who hears what happens: functions, and a signal of psygnal for those who want one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from psygnal import SignalInstance

__all__ = ["Listeners"]

_Event = TypeVar("_Event")


class Listeners(Generic[_Event]):
    """Those who hear of events of one kind. Thread-safe.

    psygnal takes a fifth of the imports of a command line that runs a tool, where nobody wants it.

    Parameters
    ----------
    name : str
        Of the signal.
    complain : callable
        Told of the error of a listener that raises; the others hear the event all the same.
    """

    def __init__(self, name: str, complain: Callable[[BaseException], None]) -> None:
        self._name, self._complain = name, complain
        self._lock = threading.Lock()
        self._functions: tuple[Callable[[_Event], object], ...] = ()
        self._signal: SignalInstance | None = None

    def add(self, listener: Callable[[_Event], object]) -> Callable[[], None]:
        """Call `listener` for every event; returns what ends that."""
        with self._lock:
            self._functions = (*self._functions, listener)

        def remove() -> None:
            with self._lock:
                self._functions = tuple(one for one in self._functions if one is not listener)

        return remove

    def signal(self) -> SignalInstance:
        """Return the signal that emits every event."""
        with self._lock:
            if self._signal is None:
                from psygnal import SignalInstance

                self._signal = SignalInstance((object,), name=self._name)
            return self._signal

    def tell(self, event: _Event) -> None:
        """Tell all who listen, in this thread."""
        for listener in self._functions:
            try:
                listener(event)
            except Exception as error:  # noqa: BLE001 (it is told)
                self._complain(error)
        if self._signal is not None:
            from psygnal import EmitLoopError

            try:
                self._signal.emit(event)
            except EmitLoopError as error:
                self._complain(error.__cause__ or error)
