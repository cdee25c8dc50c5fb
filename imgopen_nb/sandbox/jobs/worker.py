"""The line of jobs before the one thread that computes."""

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


class Line(Generic[T]):
    """Works on one item at a time; a thread that takes too long is left behind and replaced.

    A thread cannot be ended from outside, so what it still brings is ignored by its owner.
    """

    def __init__(
        self,
        work: Callable[[T], None],
        late: Callable[[T, float], None],
        limit: Callable[[], float],
    ) -> None:
        self._work = work
        self._late = late
        self._limit = limit
        self._waiting: queue.Queue[T] = queue.Queue()
        self._turns = itertools.count()
        self._lock = threading.Lock()
        self._new_thread()

    def put(self, item: T) -> None:
        """Add an item at the end of the line."""
        self._waiting.put(item)

    def _new_thread(self) -> None:
        self._turn = next(self._turns)
        threading.Thread(
            target=self._run, args=(self._turn,), name=f"engine-{self._turn}", daemon=True
        ).start()

    def _run(self, turn: int) -> None:
        while turn == self._turn:
            item = self._waiting.get()
            try:
                with self._timed(turn, item):
                    self._work(item)
            except Exception as error:  # the line must go on
                log.error("an item was dropped: %s", place_of(error))

    @contextlib.contextmanager
    def _timed(self, turn: int, item: T) -> Iterator[None]:
        seconds = self._limit()
        timer = threading.Timer(seconds, self._give_up, (turn, item, seconds))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _give_up(self, turn: int, item: T, seconds: float) -> None:
        with self._lock:
            if turn != self._turn:
                return
            self._late(item, seconds)
            self._new_thread()
