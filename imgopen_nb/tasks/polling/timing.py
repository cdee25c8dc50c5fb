"""When to look at which task: the plans of each kind of task, learned from the history."""

from __future__ import annotations

import contextlib
import statistics
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from ...catalogue.operation import Operation
from ...catalogue.status import State
from ...database.task_table import Journal
from ...errors import JournalError
from ..task import Task
from .plan import Durations, Plan, scouts

# Shortest seconds between two looks at a task.
FLOOR = 0.1
# Durations below this number say nothing of what is usual.
FEW = 5
Kind = tuple[str, str | None, str]


@dataclass
class _Known:
    """What is known of one kind of task, and its tasks that are open now."""

    durations: Durations
    plan: Plan
    open: WeakValueDictionary[str, Task] = field(default_factory=WeakValueDictionary)
    scouts: set[str] = field(default_factory=set)


class Timing:
    """Tells when to look at a task, and learns from every end; safe to use from several threads.

    Args:
        journal: the history, from which the durations of earlier tasks are read once.
        hold: tells the age in seconds before which a task is not looked at, as its end will be
            told; is given the seconds that nine of ten such tasks take, if they are known.
    """

    def __init__(
        self, journal: Journal, hold: Callable[[Task, float | None], float] = lambda *_: 0.0
    ) -> None:
        self._journal = journal
        self._hold = hold
        self._kinds: dict[Kind, _Known] = {}
        self._guard = threading.Lock()

    def next_look(self, task: Task) -> float:
        """Return the seconds until the next look at a task, planned from its last "not yet"."""
        with self._guard:
            known = self._known(kind_of(task))
            known.open.setdefault(task.id, task)
            scout = known.durations.known == 0 and _is_scout(known, task)
            step = known.plan.next_look(task.pending, task.progress, scout)
            longest = known.durations.quantile(0.9) if known.durations.known else None
            when = max(task.pending + step, self._hold(task, longest))
            return max(0.0, when - (task.seconds or 0.0))

    def ended(self, task: Task, asked: float) -> list[Task]:
        """Learn from an end that was seen by a look at the age of `asked` seconds.

        Returns:
            The tasks that should be looked at sooner if the plan that is known now says so.
        """
        with self._guard:
            self._forget(task)
            known = self._known(kind_of(task))
            if task.state is not State.SUCCEEDED or task.submitted is None:
                return []
            known.durations.add(min(task.pending, asked), asked, task.submitted)
            if not known.durations.outdated:
                return []
            moved = [] if known.durations.settled else list(known.open.values())
            running = [(t.pending, t.submitted or 0.0) for t in known.open.values()]
            known.plan = known.durations.plan(running, FLOOR)
            return moved

    def waiting(self) -> list[Task]:
        """Return the tasks that are looked at."""
        with self._guard:
            return [task for known in self._kinds.values() for task in known.open.values()]

    def usual(self, task: Task) -> tuple[float, float] | None:
        """Return median and 90 % quantile of the seconds such tasks took, None for too few."""
        known = [seconds for _, seconds in self._journal.durations(*kind_of(task))]
        if len(known) < FEW:
            return None
        return statistics.median(known), statistics.quantiles(known, n=10)[-1]

    def median(self, operation: Operation, model: str | None, backend: str) -> float | None:
        """Return the median of the seconds that such tasks took, None where none is known."""
        default = next((p.default for p in operation.user_params if p.name == "model"), None)
        known = self._journal.durations(operation.name, model or default, backend)
        return statistics.median(seconds for _, seconds in known) if known else None

    def gone(self, task: Task) -> None:
        """Forget a task that is no longer asked for."""
        with self._guard:
            self._forget(task)

    def _forget(self, task: Task) -> None:
        known = self._kinds.get(kind_of(task))
        if known:
            known.open.pop(task.id, None)
            known.scouts.discard(task.id)

    def _known(self, kind: Kind) -> _Known:
        if kind not in self._kinds:
            durations, earlier = Durations(), []
            with contextlib.suppress(JournalError):  # a look can be planned without it
                earlier = self._journal.durations(*kind)
            for place, (pending, seconds) in enumerate(earlier):
                # Before any of this session, in their order.
                durations.add(pending, seconds, place - 1e6)
            self._kinds[kind] = _Known(durations, durations.plan(floor=FLOOR))
        return self._kinds[kind]


def _is_scout(known: _Known, task: Task) -> bool:
    """Whether a task is one of the few that look often while nothing is known of its kind."""
    if len(known.scouts) < scouts(len(known.open)):
        known.scouts.add(task.id)
    return task.id in known.scouts


def kind_of(task: Task) -> Kind:
    """Return what a task's duration depends on most: operation, model and backend."""
    return task.operation.name, task.model, task.backend
