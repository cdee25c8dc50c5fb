"""One query for one task: its answer is written down, and a bad network is met with patience."""

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

# How many failures of the query in a row end a wait; any other error ends it at once.
PATIENCE: dict[type[ImgOpenError], int] = {
    MalformedAnswerError: 4,
    NotFoundError: 5,
    NetworkError: 7,
    ServerError: 7,
    RateLimitError: 12,
    SubmissionLostError: 3,
}
FORGOTTEN = "the service does not know the task, or not any more: --fresh sends it as a new one"


class Poller:
    """Asks once for a task; the scheduler calls it whenever a task's time has come.

    Args:
        replan: is given tasks whose next look should be planned again.
    """

    def __init__(
        self,
        backend: Backend,
        store: TaskStore,
        submitter: Submitter,
        timing: Timing,
        trust: CallbackTrust,
        replan: Callable[[list[Task]], None],
    ) -> None:
        self._backend = backend
        self._store = store
        self._submitter = submitter
        self._timing = timing
        self._trust = trust
        self._replan = replan

    def __call__(self, task: Task) -> float | None:
        """Ask once for a task; returns seconds until the next time, None at the end."""
        if task.state.final or not task.watched:
            self._timing.gone(task)
            return None
        if task.overdue:
            self._timing.gone(task)
            task.give_up()
            return None
        try:
            return self._look(task)
        except (APIError, SubmissionLostError) as error:
            return self._after_trouble(task, error)
        except Exception as error:  # this thread serves other tasks too
            if not isinstance(error, ImgOpenError):
                error = ImgOpenError(f"internal error while asking: {type(error).__name__}")
            task.stop(error)
            return None

    def callback_came(self, task_id: str) -> bool:
        """Take over what the server has written of a task; False if nobody here has it."""
        task = self._store.known(task_id)
        if task is None or task.state.final:
            return task is not None
        self._store.refresh(task)
        self._trust.arrived(task)
        if task.state.final:
            task.pending = task.took or 0.0  # its duration is known exactly
            self._replan([*self._timing.ended(task, task.pending), task])
        return True

    def _look(self, task: Task) -> float | None:
        if task.state in UNSENT:
            again = self._submitter.take_up(task)
            return again if again or task.state.final else self._timing.next_look(task)
        if task.shared:
            self._store.refresh(task)  # another kernel may know its end already
        return None if task.state.final else self._ask(task)

    def _ask(self, task: Task) -> float | None:
        asked = task.seconds or 0.0
        answer = self._backend.client().query(task.operation, task.id, task.server_id)
        task.queries += 1
        task.failures_in_a_row = 0
        self._store.learn(task, answer)
        if task.state.final:
            moved = self._timing.ended(task, asked)
            # No callback came for this one: nor may one for the others.
            self._replan(self._timing.waiting() if self._trust.missed(task.id) else moved)
            return None
        task.pending = asked
        return self._timing.next_look(task)

    def _after_trouble(self, task: Task, error: ImgOpenError) -> float | None:
        task.queries += task.state not in UNSENT
        task.failures_in_a_row += 1
        limit = next((n for kind, n in PATIENCE.items() if isinstance(error, kind)), 1)
        if task.failures_in_a_row >= limit:
            task.failures_in_a_row = 0
            self._timing.gone(task)
            if isinstance(error, NotFoundError):
                error.hint = FORGOTTEN
            task.stop(error)
            return None
        return backoff(task.failures_in_a_row, error if isinstance(error, APIError) else None)
