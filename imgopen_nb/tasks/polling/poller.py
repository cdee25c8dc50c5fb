"""Polls one task once: saves the answer, and tries again later after a transient error."""

from __future__ import annotations

from collections.abc import Callable

from ...api.backend import Backend
from ...api.retrying_client import backoff
from ...catalogue.status import UNSENT
from ...errors import (
    APIError,
    ImgOpenError,
    MalformedAnswerError,
    NetworkError,
    NotFoundError,
    RateLimitError,
    ServerError,
    SubmissionLostError,
)
from ..callback_trust import CallbackTrust
from ..store import TaskStore
from ..submission import Submitter
from ..task import Task
from .timing import Timing

# How many failed queries in a row end a wait. Any other error ends it at once.
MAX_FAILURES: dict[type[ImgOpenError], int] = {
    MalformedAnswerError: 4,
    NotFoundError: 5,
    NetworkError: 7,
    ServerError: 7,
    RateLimitError: 12,
    SubmissionLostError: 7,
}
NOT_FOUND_HINT = (
    "the service does not know this task, or no longer knows it: --fresh sends it as a new one"
)


class Poller:
    """Polls a task once; the scheduler calls it when a task is due.

    Args:
        reschedule: called with tasks whose next poll should be planned again.
    """

    def __init__(
        self,
        backend: Backend,
        store: TaskStore,
        submitter: Submitter,
        timing: Timing,
        trust: CallbackTrust,
        reschedule: Callable[[list[Task]], None],
    ) -> None:
        self._backend = backend
        self._store = store
        self._submitter = submitter
        self._timing = timing
        self._trust = trust
        self._reschedule = reschedule

    def __call__(self, task: Task) -> float | None:
        """Poll a task once; return the seconds until the next poll, None if there is none."""
        if task.state.final or not task.watched:
            self._timing.forget(task)
            return None
        if task.watch_expired:
            self._timing.forget(task)
            task.time_out()
            return None
        try:
            return self._poll(task)
        except (APIError, SubmissionLostError) as error:
            return self._after_error(task, error)
        except Exception as error:  # this thread polls other tasks too
            if not isinstance(error, ImgOpenError):
                error = ImgOpenError(f"internal error while polling: {type(error).__name__}")
            error.task = task
            task.abort_waits(error)
            return None

    def on_callback(self, task_id: str) -> bool:
        """Update a task after its callback; False if the task is not in use here."""
        task = self._store.loaded(task_id)
        if task is None or task.state.final:
            return task is not None
        self._store.refresh(task)
        self._trust.arrived(task)
        if task.state.final:
            task.pending = task.took or 0.0  # its duration is known exactly
            self._reschedule([*self._timing.ended(task, task.pending), task])
        return True

    def _poll(self, task: Task) -> float | None:
        if task.state in UNSENT:
            again = self._submitter.recover(task)
            return again if again or task.state.final else self._timing.seconds_to_next_poll(task)
        if task.shared:
            self._store.refresh(task)  # another kernel may have seen the end already
        return None if task.state.final else self._query(task)

    def _query(self, task: Task) -> float | None:
        age = task.seconds or 0.0
        answer = self._backend.client().query(task.operation, task.id, task.server_id)
        task.queries += 1
        task.failures_in_a_row = 0
        self._store.apply_answer(task, answer)
        if task.state.final:
            moved = self._timing.ended(task, age)
            # No callback came for this task, so perhaps none comes for the others.
            self._reschedule(self._timing.polled_tasks() if self._trust.missed(task.id) else moved)
            return None
        task.pending = age
        self._timing.fruitless()
        return self._timing.seconds_to_next_poll(task)

    def _after_error(self, task: Task, error: ImgOpenError) -> float | None:
        task.queries += task.state not in UNSENT
        task.failures_in_a_row += 1
        limit = next((n for kind, n in MAX_FAILURES.items() if isinstance(error, kind)), 1)
        if task.failures_in_a_row >= limit:
            task.failures_in_a_row = 0
            self._timing.forget(task)
            if isinstance(error, NotFoundError):
                error.hint = NOT_FOUND_HINT
            error.task = task
            task.abort_waits(error)
            return None
        return backoff(task.failures_in_a_row, error if isinstance(error, APIError) else None)
