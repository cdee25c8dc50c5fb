"""How long to rely on callbacks before a task is polled.

This depends on the callbacks so far: an address that works from here may not work for the service.
"""

from __future__ import annotations

import enum

from ..catalogue.operation import Operation
from ..catalogue.parameter import Param
from ..config.settings import Settings
from .task import Task

# Most tasks for which a callback is expected; the oldest are forgotten first.
MAX_EXPECTED = 100_000


class Trust(enum.Enum):
    """What is known about callbacks."""

    UNPROVEN = "none has arrived yet"
    WORKING = "the last expected one arrived"
    FAILING = "the last expected one did not arrive"


# How long a task is not polled: at least so many seconds, or a factor of the usual longest time.
HOLD = {Trust.UNPROVEN: (20.0, 2.0), Trust.WORKING: (60.0, 3.0), Trust.FAILING: (0.0, 0.0)}


class CallbackTrust:
    """Remembers for which tasks a callback is expected, and whether callbacks arrive.

    Attributes:
        state: what is known now.
    """

    def __init__(self) -> None:
        self.state = Trust.UNPROVEN
        self._expected: dict[str, None] = {}

    def expect(self, task_id: str) -> None:
        """Record that the service was given a callback address for a task."""
        self._expected[task_id] = None
        while len(self._expected) > MAX_EXPECTED:
            self._expected.pop(next(iter(self._expected)), None)

    def forget(self, task_id: str | None = None) -> None:
        """Stop expecting a callback for a task, or for all tasks."""
        if task_id is None:
            self._expected.clear()
        else:
            self._expected.pop(task_id, None)

    def hold(self, task: Task, usual: float | None) -> float:
        """Return the age in seconds before which a task is not polled.

        Args:
            task: any task.
            usual: 90 % quantile of such tasks' durations in seconds, None if not known.
        """
        if task.id not in self._expected:
            return 0.0
        least, factor = HOLD[self.state]
        return min(max(least, factor * (usual or 0.0)), 0.8 * task.timeout)

    def arrived(self, task: Task) -> None:
        """Record that a callback has come for a task."""
        if task.id in self._expected:
            self.state = Trust.WORKING
        if task.state.final:
            self._expected.pop(task.id, None)

    def missed(self, task_id: str) -> bool:
        """Record that a poll found a task finished; True if callbacks turn out to fail."""
        if task_id not in self._expected:
            return False
        self.forget(task_id)
        failing, self.state = self.state is Trust.FAILING, Trust.FAILING
        return not failing


def callback_param(operation: Operation, settings: Settings) -> Param | None:
    """Return the parameter for a callback address, unless its name is only assumed."""
    found = next((p for p in operation.user_params if p.name == "callback_url"), None)
    if found is None or settings.backend == "sandbox" or found.known != "assumed":
        return found
    return found if found.name in settings.fields.get(operation.name, {}) else None
