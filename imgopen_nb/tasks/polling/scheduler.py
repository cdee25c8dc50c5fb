"""One scheduler for all open tasks: a heap ordered by due time, and a few worker threads."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
import traceback
from collections.abc import Callable, Iterable

from ...database.interrupts import Uninterrupted
from ..task import Task

MAX_THREADS = 8
RETRY_SECONDS = 1.0
Job = Callable[[], None]


class Scheduler:
    """Polls tasks when they are due, and runs other short jobs.

    Args:
        poll: polls a task once and returns the seconds until its next poll, or None if there is
            none. After an exception the task is polled again a little later.
    """

    def __init__(self, poll: Callable[[Task], float | None]) -> None:
        self._poll = poll
        self._closed = False
        self.after_fork()

    def after_fork(self) -> None:
        """Make the locks, and begin without threads, tasks and jobs; a forked child does so again.

        What was scheduled before the fork stays with the parent.
        """
        self._heap: list[tuple[float, int, Task | Job]] = []
        self._order = itertools.count()
        self._lock = threading.Lock()
        # One idle thread sleeps until the next item is due; the others until there is work.
        self._timer = threading.Condition(self._lock)
        self._work_ready = threading.Condition(self._lock)
        self._timer_running = False
        self._idle = 0
        self._threads: list[threading.Thread] = []
        self._scheduled: set[str] = set()
        self._due: dict[str, float] = {}

    @property
    def busy(self) -> bool:
        """Whether any task is open."""
        return bool(self._scheduled)

    def add(self, task: Task, seconds: float = 0.0) -> bool:
        """Poll a task, first after this many seconds; False if it is scheduled already."""
        with Uninterrupted(), self._lock:
            new = task.id not in self._scheduled
            if new:
                self._scheduled.add(task.id)
                self._put(task, seconds)
            else:
                self._wake_worker()
            return new

    def call(self, job: Job, seconds: float = 0.0) -> None:
        """Run a job after this many seconds."""
        with Uninterrupted(), self._lock:
            self._put(job, seconds)

    def bring_forward(self, times: Iterable[tuple[Task, float]]) -> None:
        """Make tasks due in this many seconds, if they are due later than that."""
        with Uninterrupted(), self._lock:
            now = time.monotonic()
            for task, seconds in times:
                if self._due.get(task.id, 0.0) > now + seconds:
                    self._put(task, seconds)

    def close(self) -> None:
        """Stop polling."""
        with Uninterrupted(), self._lock:
            self._closed = True
            self._heap.clear()
            self._timer.notify_all()
            self._work_ready.notify_all()

    def _put(self, item: Task | Job, seconds: float) -> None:
        due = time.monotonic() + seconds
        if isinstance(item, Task):
            self._due[item.id] = due  # an older entry of the same task no longer counts
        heapq.heappush(self._heap, (due, next(self._order), item))
        if self._heap[0][0] == due:
            self._timer.notify()
        self._wake_worker()

    def _wake_worker(self) -> None:
        """Wake or start a thread to wait for the next item, unless all threads are busy."""
        if self._timer_running or self._closed:
            return
        if self._idle:
            self._work_ready.notify()
        elif len(self._threads) < MAX_THREADS:
            # Daemon threads: an open task never keeps a kernel alive.
            name = f"imgopen-scheduler-{len(self._threads)}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def _work(self) -> None:
        while (item := self._next()) is not None:
            seconds = self._run(item)
            if not isinstance(item, Task):
                continue
            with self._lock:
                if seconds is not None:
                    self._put(item, seconds)
                    continue
                self._scheduled.discard(item.id)
            # A new wait may have begun just before the task was removed.
            if item.watched and not item.done:
                self.add(item)

    def _run(self, item: Task | Job) -> float | None:
        try:
            return self._poll(item) if isinstance(item, Task) else item()
        except BaseException:  # of a callback: this thread serves other tasks too
            traceback.print_exc()
            return RETRY_SECONDS

    def _next(self) -> Task | Job | None:
        with self._lock:
            while not self._closed:
                item = self._pop()
                if item is not None:
                    if self._heap:
                        self._wake_worker()
                    return item
                if self._timer_running or not self._heap:
                    self._idle += 1
                    self._work_ready.wait()
                    self._idle -= 1
                    continue
                self._timer_running = True
                self._timer.wait(max(0.0, self._heap[0][0] - time.monotonic()))
                self._timer_running = False
            return None

    def _pop(self) -> Task | Job | None:
        """Return the next item that is due now, or None."""
        while self._heap and self._heap[0][0] <= time.monotonic():
            due, _, item = heapq.heappop(self._heap)
            if not isinstance(item, Task):
                return item
            if self._due.get(item.id) == due:
                del self._due[item.id]
                return item
        return None
