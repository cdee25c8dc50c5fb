"""The queue of jobs before the one thread that computes."""

from __future__ import annotations

import contextlib
import itertools
import logging
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from ..messages import place_of

log = logging.getLogger(__name__)
T = TypeVar("T")


class WorkQueue(Generic[T]):
    """Works on one item at a time; a thread that takes too long is abandoned and replaced.

    A thread cannot be ended from outside, so its owner ignores what an abandoned one returns.

    Args:
        work: does the work on an item.
        give_up: is called with an item that took too long, and the limit in seconds.
        limit: returns how many seconds the next item may take.
    """

    def __init__(
        self,
        work: Callable[[T], None],
        give_up: Callable[[T, float], None],
        limit: Callable[[], float],
    ) -> None:
        self._work, self._on_timeout, self._limit = work, give_up, limit
        self._items: queue.Queue[T] = queue.Queue()
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._start_thread()

    def put(self, item: T) -> None:
        """Add an item at the end of the queue."""
        self._items.put(item)

    def _start_thread(self) -> None:
        self._current = next(self._numbers)
        name = f"engine-{self._current}"
        threading.Thread(target=self._run, args=(self._current,), name=name, daemon=True).start()

    def _run(self, thread: int) -> None:
        while thread == self._current:
            item = self._items.get()
            try:
                with self._timed(thread, item):
                    self._work(item)
            except Exception as error:  # the queue must go on
                log.error("an item was dropped: %s", place_of(error))

    @contextlib.contextmanager
    def _timed(self, thread: int, item: T) -> Iterator[None]:
        seconds = self._limit()
        timer = threading.Timer(seconds, self._give_up, (thread, item, seconds))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _give_up(self, thread: int, item: T, seconds: float) -> None:
        with self._lock:
            if thread == self._current:
                self._on_timeout(item, seconds)
                self._start_thread()
