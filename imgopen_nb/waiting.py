"""One waiter for all open tasks: a heap of when to ask next, and a few threads that ask."""

from __future__ import annotations

import heapq
import itertools
import random
import threading
import time
from collections.abc import Callable

from .task import Task

THREADS = 8


class Waiter:
    """Asks for tasks when their time has come.

    Args:
        ask: asks once for a task and returns the seconds until it should be asked for again, or
            None to let go of it. It must not raise.
    """

    def __init__(self, ask: Callable[[Task], float | None]) -> None:
        self._ask = ask
        self._heap: list[tuple[float, int, Task]] = []
        self._order = itertools.count()
        self._ready = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._known: set[str] = set()
        self._closed = False

    def add(self, task: Task, seconds: float = 0.0) -> None:
        """Have a task asked for after so many seconds."""
        with self._ready:
            if task.id in self._known:
                return
            self._known.add(task.id)
            self._push(task, seconds)
            if len(self._threads) < min(THREADS, len(self._known)) and not self._closed:
                self._start()

    def close(self) -> None:
        """Ask for nothing any more."""
        with self._ready:
            self._closed = True
            self._heap.clear()
            self._ready.notify_all()

    def _start(self) -> None:
        # Daemons: an open task never keeps a kernel from ending.
        name = f"imgopen-waiter-{len(self._threads)}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        while (task := self._due()) is not None:
            seconds = self._ask(task)
            with self._ready:
                if seconds is not None:
                    self._push(task, seconds)
                    continue
                self._known.discard(task.id)
            # Somebody may have begun to wait again just when it was let go of.
            if task.watched and not task.done:
                self.add(task)

    def _push(self, task: Task, seconds: float) -> None:
        heapq.heappush(self._heap, (time.monotonic() + seconds, next(self._order), task))
        self._ready.notify()

    def _due(self) -> Task | None:
        with self._ready:
            while not self._closed:
                left = self._heap[0][0] - time.monotonic() if self._heap else None
                if left is not None and left <= 0:
                    return heapq.heappop(self._heap)[2]
                self._ready.wait(left)
            return None


def next_look(age: float, *, local: bool) -> float:
    """Return seconds until the next query of a task that is `age` seconds old.

    15 % of the age, so that the lag stays in proportion, but no tighter than 0.08 s against the
    sandbox and 0.5 s against the real service, and no longer than 10 s.
    """
    shortest = 0.08 if local else 0.5
    return min(10.0, max(shortest, 0.15 * age)) * random.uniform(0.9, 1.1)
