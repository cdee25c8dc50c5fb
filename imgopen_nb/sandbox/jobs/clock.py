"""The sandbox's clock: the real time, which tests may advance so that they need not wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Clock:
    """Seconds since the epoch, plus what was added."""

    def __init__(self) -> None:
        self._ahead = 0.0
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], None]] = []

    def now(self) -> float:
        """Return the time."""
        return time.time() + self._ahead

    def advance(self, seconds: float) -> float:
        """Add seconds, call the listeners and return the new time."""
        with self._lock:
            self._ahead += seconds
        for listener in self._listeners:
            listener()
        return self.now()

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call a function after each `advance`."""
        self._listeners.append(listener)
