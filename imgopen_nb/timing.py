"""When to look at which task: the plans of each kind of task, learned from the history."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from .journal import Journal
from .schedule import ENOUGH, Durations, Plan, scouts
from .task import Task
from .wire import State

# Shortest seconds between two looks at a task.
FLOOR = 0.1
Kind = tuple[str, str | None, str]


@dataclass
class _Known:
    """What is known of one kind of task, and its tasks that are open now, oldest first."""

    durations: Durations
    plan: Plan
    open: WeakValueDictionary[str, Task] = field(default_factory=WeakValueDictionary)


class Timing:
    """Tells when to look at a task, and learns from every end; safe to use from several threads.

    Args:
        journal: the history, from which the durations of earlier tasks are read once.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._kinds: dict[Kind, _Known] = {}
        self._guard = threading.Lock()

    def next_look(self, task: Task) -> float:
        """Return the seconds until the next look at a task, from its last "not yet" on.

        Raises:
            JournalError: the history cannot be read.
        """
        with self._guard:
            known = self._known(kind_of(task))
            known.open.setdefault(task.id, task)
            if known.durations.outdated:
                self._plan(known)
            age = task.seconds or 0.0
            wait = known.plan.next_look(task.pending, task.progress, self._scout(known, task))
            return max(0.0, task.pending + wait - age)

    def ended(self, task: Task, asked: float) -> list[Task]:
        """Learn from an end that was seen by a look at the age of `asked` seconds.

        Returns:
            The tasks that should be given a new time, where a plan has just become possible.
        """
        with self._guard:
            known = self._known(kind_of(task))
            known.open.pop(task.id, None)
            if task.state is not State.SUCCEEDED or task.submitted is None:
                return []
            known.durations.add(min(task.pending, asked), asked, task.submitted)
            if known.durations.known != ENOUGH:
                return []
            self._plan(known)
            return list(known.open.values())

    def gone(self, task: Task) -> None:
        """Forget a task that is no longer asked for."""
        with self._guard:
            self._known(kind_of(task)).open.pop(task.id, None)

    def _known(self, kind: Kind) -> _Known:
        if kind not in self._kinds:
            durations = Durations()
            for place, (pending, seconds) in enumerate(self._journal.durations(*kind)):
                # Before any of this session, in their order.
                durations.add(pending, seconds, place - 1e6)
            self._kinds[kind] = _Known(durations, durations.plan(floor=FLOOR))
        return self._kinds[kind]

    def _plan(self, known: _Known) -> None:
        now = time.time()
        running = [
            (task.pending, task.submitted or now) for task in known.open.values() if task.pending
        ]
        known.plan = known.durations.plan(running, FLOOR)

    def _scout(self, known: _Known, task: Task) -> bool:
        if known.durations.known >= ENOUGH:
            return False
        few = scouts(len(known.open))
        return any(name == task.id for name, _ in zip(known.open.keys(), range(few), strict=False))


def kind_of(task: Task) -> Kind:
    """Return what a task's duration depends on most: operation, model and backend."""
    return task.operation.name, task.model, task.backend
