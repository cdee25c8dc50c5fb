"""Asking for a task: one query, what it tells written down, and patience with a bad network."""

from __future__ import annotations

from .connection import Connection
from .delivery import pause
from .errors import (
    APIError,
    ImgOpenError,
    MalformedAnswerError,
    NetworkError,
    NotFoundError,
    RateLimitError,
    ServerError,
)
from .ledger import Ledger
from .task import Task
from .waiting import next_look

# How many failures of the query in a row end a wait; any other error ends it at once.
PATIENCE: dict[type[APIError], int] = {
    MalformedAnswerError: 4,
    NotFoundError: 5,
    NetworkError: 7,
    ServerError: 7,
    RateLimitError: 12,
}


class Inquiry:
    """Asks once for a task; the waiter calls it whenever a task's time has come."""

    def __init__(self, connection: Connection, ledger: Ledger) -> None:
        self._connection = connection
        self._ledger = ledger

    def __call__(self, task: Task) -> float | None:
        """Ask once for a task; returns seconds until the next time, None at the end."""
        if task.state.final or not task.watched:
            return None
        if task.overdue:
            task.give_up()
            return None
        try:
            answer = self._connection.delivery().ask(task.operation, task.id, task.server_id)
            task.queries += 1
            task.failures_in_a_row = 0
            self._ledger.learn(task, answer)
        except APIError as error:
            return self._after_trouble(task, error)
        except Exception as error:  # this thread serves other tasks too
            if not isinstance(error, ImgOpenError):
                error = ImgOpenError(f"internal error while asking: {type(error).__name__}")
            task.stop(error)
            return None
        age = task.seconds or 0.0
        return None if task.state.final else next_look(age, local=self._connection.local)

    def _after_trouble(self, task: Task, error: APIError) -> float | None:
        task.queries += 1
        task.failures_in_a_row += 1
        limit = next((n for kind, n in PATIENCE.items() if isinstance(error, kind)), 1)
        if task.failures_in_a_row >= limit:
            task.failures_in_a_row = 0
            task.stop(error)
            return None
        return pause(task.failures_in_a_row, error)
