"""The sandbox's clock: the real time, which an admin may move on so that nobody has to wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Clock:
    """Seconds since the epoch plus what was added; what waits for a moment is told of a move."""

    def __init__(self) -> None:
        self._ahead = 0.0
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], None]] = []

    def now(self) -> float:
        """Return the time."""
        return time.time() + self._ahead

    def advance(self, seconds: float) -> float:
        """Move the clock on and return the new time."""
        with self._lock:
            self._ahead += seconds
        for listener in self._listeners:
            listener()
        return self.now()

    def on_move(self, listener: Callable[[], None]) -> None:
        """Have a function called after each move."""
        self._listeners.append(listener)
