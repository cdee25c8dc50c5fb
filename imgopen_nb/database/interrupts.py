"""Ctrl-C in the midst of a change: it waits until the change is whole.

Python raises KeyboardInterrupt between any two steps of the main thread. A lock that was just
taken, a list that was just changed: what was to follow never happens, and other threads wait for
it in vain. Other threads are never interrupted.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class Uninterrupted:
    """Holds Ctrl-C back until the block ends. For short blocks only; they may be nested.

    Example:
        with Uninterrupted(), self._lock:
            self._open.add(task)
            self._queue.put(task)
    """

    def __init__(self) -> None:
        self._handler: Any = None
        self._came = False

    def __enter__(self) -> None:
        if threading.get_ident() != threading.main_thread().ident:
            return
        handler = signal.getsignal(signal.SIGINT)
        # No function of Python's: nothing is raised. Ours: an outer block holds it back.
        if callable(handler) and not isinstance(getattr(handler, "__self__", None), Uninterrupted):
            self._handler = handler
            signal.signal(signal.SIGINT, self._hold)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._handler is None:
            return
        signal.signal(signal.SIGINT, self._handler)
        if self._came:
            try:
                self._handler(signal.SIGINT, None)
            except KeyboardInterrupt:  # pressed twice: the first one leaves the block already
                if kind is None or not issubclass(kind, KeyboardInterrupt):
                    raise

    def _hold(self, number: int, frame: FrameType | None) -> None:
        self._came = True
