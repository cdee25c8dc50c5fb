"""Asking for a task: one query, what it tells written down, and patience with a bad network."""

from __future__ import annotations

from collections.abc import Callable

from ...api.backend import Connection
from ...api.envelope import Answer
from ...api.retrying_client import pause
from ...callbacks.public_urls import Links
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
from ..store import Ledger
from ..submission import Sender
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


class Inquiry:
    """Asks once for a task; the waiter calls it whenever a task's time has come.

    Args:
        replan: is told of tasks whose next look should be thought over.
    """

    def __init__(
        self,
        connection: Connection,
        ledger: Ledger,
        sender: Sender,
        timing: Timing,
        links: Links,
        replan: Callable[[list[Task]], None],
    ) -> None:
        self._connection = connection
        self._ledger = ledger
        self._sender = sender
        self._timing = timing
        self._links = links
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

    def told(self, task_id: str, answer: Answer) -> bool:
        """Take over what the service told by itself of a task; False if nobody here has it."""
        task = self._ledger.known(task_id)
        if task is None or task.state.final:
            return task is not None
        self._ledger.learn(task, answer)
        self._links.arrived(task)
        if task.state.final:
            task.pending = task.took or 0.0  # its duration is known exactly
            self._replan([*self._timing.ended(task, task.pending), task])
        return True

    def _look(self, task: Task) -> float | None:
        if task.state in UNSENT:
            again = self._sender.take_up(task)
            return again if again or task.state.final else self._timing.next_look(task)
        if task.shared:
            self._ledger.refresh(task)  # another kernel may know its end already
        return None if task.state.final else self._ask(task)

    def _ask(self, task: Task) -> float | None:
        asked = task.seconds or 0.0
        answer = self._connection.delivery().ask(task.operation, task.id, task.server_id)
        task.queries += 1
        task.failures_in_a_row = 0
        self._ledger.learn(task, answer)
        if task.state.final:
            moved = self._timing.ended(task, asked)
            # No callback came for this one: nor may one for the others.
            self._replan(self._timing.waiting() if self._links.ended(task.id) else moved)
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
        return pause(task.failures_in_a_row, error if isinstance(error, APIError) else None)
