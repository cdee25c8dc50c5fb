"""Sends a call on a thread of its own, so that its caller can stop waiting at any moment."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Protocol

from ..catalogue.status import UNSENT
from ..database.interrupts import Uninterrupted
from ..errors import TaskInterrupted, TaskTimeoutError, WaitCancelledError
from .task import Task, TimeLimit

# Seconds for what needs no request: to find a result in the history, however short the limit is.
LEAST_WAIT = 0.25


class Submit(Protocol):
    """Submits a call, as `Submitter.submit` does."""

    def __call__(self, *, permit: Callable[[], bool], written: Callable[[Task], None]) -> Task:
        """Return its task."""


class Sending:
    """A call that is being sent.

    If its caller stops waiting before the task is written, nothing is sent. After that the task is
    in the history, goes on being sent, and is polled.

    Args:
        name: the operation's name.
        submit: submits the call.

    Example:
        >>> task = Sending("describe", submit).task(TimeLimit(25))
    """

    def __init__(self, name: str, submit: Submit) -> None:
        self._name = name
        self._submit = submit
        self._outcome: SimpleQueue[Task | BaseException] = SimpleQueue()
        self._task: Task | None = None
        self._stopping = False
        # "sent": whether it may be written and sent. Whoever is first decides; the rest obey.
        self._decided: dict[str, bool] = {}

    def task(self, limit: TimeLimit | None) -> Task:
        """Return the task once it is sent, or an earlier one of the same call.

        Args:
            limit: how long to wait; None for as long as it takes.

        Raises:
            TaskTimeoutError: it was not sent in time.
            TaskInterrupted: Ctrl-C was pressed.
            ImgOpenError: the same errors as `Submitter.submit`.
        """
        try:
            with Uninterrupted():
                # A daemon: if the process ends first, `resume` sends what was written.
                threading.Thread(target=self._work, name="imgopen-sending", daemon=True).start()
            outcome = self._wait(limit)
        except KeyboardInterrupt:
            with Uninterrupted():
                raise TaskInterrupted("\n  → ".join(self._stopped())) from None
        if outcome is None:
            assert limit is not None
            text, hint = self._given_up(f"not accepted within {limit:g} s")
            raise TaskTimeoutError(text, task=self._task, hint=hint)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def stop(self) -> None:
        """Give the call up from another thread: `task` raises WaitCancelledError."""
        text, hint = self._stopped()
        self._outcome.put(WaitCancelledError(text, task=self._task, hint=hint))

    def _work(self) -> None:
        try:
            self._outcome.put(self._submit(permit=self._permit, written=self._written))
        except BaseException as error:
            self._outcome.put(error)

    def _wait(self, limit: TimeLimit | None) -> Task | BaseException | None:
        end = TimeLimit(math.inf if limit is None else max(limit.left, LEAST_WAIT))
        while end.left:
            with contextlib.suppress(Empty):
                # For a second at most: Windows sees Ctrl-C only between two calls.
                return self._outcome.get(timeout=min(end.left, 1.0))
        return None

    def _permit(self) -> bool:
        return self._decided.setdefault("sent", True)

    def _written(self, task: Task) -> None:
        self._task = task
        if self._stopping:
            task.withdraw()

    def _stopped(self) -> tuple[str, str]:
        self._stopping = True
        if self._task:
            self._task.withdraw()
        return self._given_up("stopped")

    def _given_up(self, what: str) -> tuple[str, str]:
        """Give the call up if nothing was sent yet; return what happened, and what to do."""
        if not self._decided.setdefault("sent", False):
            return f"{what}: {self._name} was not sent", "run it again to send it"
        task = self._task
        if task is None:
            return f"{what}: {self._name} is being sent", "%imgopen history shows it"
        unsent = "may not have been sent" if task.withdrawn else "is being sent"
        where = unsent if task.state in UNSENT else "was sent"
        return f"{what}: {self._name} {task.id} {where}", task.outlook
