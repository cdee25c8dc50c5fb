"""When to poll which task: a plan for each kind of task, learned from the history."""

from __future__ import annotations

import contextlib
import itertools
import statistics
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from ...catalogue.operation import Operation
from ...catalogue.status import State
from ...database.task_table import TaskTable
from ...errors import JournalError
from ..task import Task
from .plan import NEWEST, Crowd, Durations, Plan, probe_count

# With fewer durations we do not say what is usual.
MIN_DURATIONS = 5
# How many tasks that were held back are polled at once when a task has ended.
RELEASED = 4
Kind = tuple[str, str | None, str]


@dataclass
class _KindState:
    """The durations and the plan of one kind of task, and its open tasks."""

    durations: Durations
    plan: Plan
    open: WeakValueDictionary[str, Task] = field(default_factory=WeakValueDictionary)
    probes: set[str] = field(default_factory=set)


class Timing:
    """Says when to poll a task, and learns from how long each one took. Thread-safe.

    Args:
        table: the history; the durations of earlier tasks are read from it once.
        hold: returns the age in seconds before which a task is not polled because a callback is
            expected. Called with the task and the 90 % quantile of the durations, if known.
    """

    def __init__(
        self, table: TaskTable, hold: Callable[[Task, float | None], float] = lambda *_: 0.0
    ) -> None:
        self._table = table
        self._hold = hold
        self.after_fork()

    def after_fork(self) -> None:
        """Make the lock, and begin with the history's durations; a forked child does so again."""
        self._kinds: dict[Kind, _KindState] = {}
        self._guard = threading.Lock()
        self._crowd = Crowd()
        self._newest: dict[str, None] = {}  # tasks that are never held back, in their order
        self._held: WeakValueDictionary[str, Task] = WeakValueDictionary()  # the first first
        self._released: set[str] = set()

    def seconds_to_next_poll(self, task: Task) -> float:
        """Return the seconds until the next poll of a task."""
        with self._guard:
            kind = self._kind(kind_of(task))
            if kind.open.setdefault(task.id, task) is task and task.pending == 0:
                self._note_newest(task)
            probe = kind.durations.count == 0 and _is_probe(kind, task)
            step = kind.plan.next_poll(task.pending, task.progress, probe)
            longest = kind.durations.quantile(0.9) if kind.durations.count else None
            when = max(task.pending + step, self._hold(task, longest))
            seconds = max(0.0, when - (task.seconds or 0.0))
            return max(seconds, self._held_for(task, step))

    def fruitless(self) -> None:
        """Learn that a poll found a task unfinished."""
        with self._guard:
            self._crowd.polled(ended=False)

    def ended(self, task: Task, age: float) -> list[Task]:
        """Learn from a task that a poll found finished at the age of `age` seconds.

        Returns:
            The tasks whose next poll should be planned again.
        """
        with self._guard:
            self._remove(task)
            self._crowd.polled(ended=True)
            kind = self._kind(kind_of(task))
            moved = self._release()
            if task.state is not State.SUCCEEDED or task.submitted is None:
                return moved
            kind.durations.add(min(task.pending, age), age, task.submitted)
            if not kind.durations.outdated:
                return moved
            if not kind.durations.settled:
                moved = list(kind.open.values())
            running = [(t.pending, t.submitted or 0.0) for t in kind.open.values()]
            kind.plan = kind.durations.plan(running)
            return moved

    def polled_tasks(self) -> list[Task]:
        """Return the tasks that are being polled."""
        with self._guard:
            return [task for kind in self._kinds.values() for task in kind.open.values()]

    def usual_seconds(self, task: Task) -> tuple[float, float] | None:
        """Return the median and 90 % quantile of such tasks' seconds, None if too few are known."""
        known = [seconds for _, seconds in self._table.durations(*kind_of(task))]
        if len(known) < MIN_DURATIONS:
            return None
        return statistics.median(known), statistics.quantiles(known, n=10)[-1]

    def median_seconds(self, operation: Operation, model: str | None, backend: str) -> float | None:
        """Return the median of the seconds that such tasks took, None if there were none."""
        model = model or operation.default_model
        known = self._table.durations(operation.name, model, backend)
        return statistics.median(seconds for _, seconds in known) if known else None

    def forget(self, task: Task) -> None:
        """Forget a task that is no longer polled."""
        with self._guard:
            self._remove(task)

    def _remove(self, task: Task) -> None:
        kind = self._kinds.get(kind_of(task))
        if kind:
            kind.open.pop(task.id, None)
            kind.probes.discard(task.id)
        self._newest.pop(task.id, None)
        self._held.pop(task.id, None)
        self._released.discard(task.id)

    def _note_newest(self, task: Task) -> None:
        self._newest[task.id] = None
        if len(self._newest) > NEWEST:
            del self._newest[next(iter(self._newest))]

    def _held_for(self, task: Task, step: float) -> float:
        """Return for how many seconds a task is not polled because so many others are open."""
        self._held.pop(task.id, None)
        free = task.id in self._newest or task.id in self._released or task.waited_for
        if free or task.pending == 0:
            self._released.discard(task.id)
            return 0.0
        least = self._crowd.least_step(sum(len(kind.open) for kind in self._kinds.values()))
        if least <= step:
            return 0.0
        self._held[task.id] = task
        left = task.pending + least - (task.seconds or 0.0)
        return min(left, task.watch_left)  # whoever waits for it hears in time that it did not end

    def _release(self) -> list[Task]:
        """Return a few tasks that were held back: where one has ended, others may have."""
        first = list(itertools.islice(self._held.values(), RELEASED))
        for task in first:
            del self._held[task.id]
            self._released.add(task.id)
        return first

    def _kind(self, kind: Kind) -> _KindState:
        if kind not in self._kinds:
            durations, earlier = Durations(), []
            with contextlib.suppress(JournalError):  # polls can be planned without the history
                earlier = self._table.durations(*kind)
            for place, (pending, seconds) in enumerate(earlier):
                # In their order, and before all tasks of this session.
                durations.add(pending, seconds, place - 1e6)
            self._kinds[kind] = _KindState(durations, durations.plan())
        return self._kinds[kind]


def _is_probe(kind: _KindState, task: Task) -> bool:
    """Whether a task is one of the few that are polled often while no duration is known."""
    if len(kind.probes) < probe_count(len(kind.open)):
        kind.probes.add(task.id)
    return task.id in kind.probes


def kind_of(task: Task) -> Kind:
    """Return what the duration of a task depends on most: operation, model and backend."""
    return task.operation.name, task.model, task.backend
