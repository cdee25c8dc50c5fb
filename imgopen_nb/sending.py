"""Sending a task: written down first, then sent once, and what came of it written down again.

A task whose sending was cut short (a lost answer, a killed kernel) is looked for by its own id; the
service gets it again only where it surely does not know it, and from one session only.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .connection import Connection
from .errors import (
    BudgetError,
    ImgOpenError,
    JournalError,
    MalformedAnswerError,
    NetworkError,
    RateLimitError,
    ServerError,
    SubmissionLostError,
    TaskInterrupted,
)
from .ledger import Ledger
from .presence import Presence
from .spec import Operation
from .task import Task
from .wire import UNSENT, Answer, State

# Seconds until a task that another session is sending is looked at again.
ELSEWHERE = 0.25
# Trouble after which the same may go well a little later.
PASSING = (
    MalformedAnswerError, NetworkError, RateLimitError, ServerError, SubmissionLostError,
)  # fmt: skip
NEVER = "it never reached the service, and what was to be sent is not known any more: run it again"


class Sender:
    """Opens tasks in the ledger and sends them through the connection."""

    def __init__(self, connection: Connection, ledger: Ledger, presence: Presence) -> None:
        self._connection = connection
        self._ledger = ledger
        self._presence = presence

    def send(
        self,
        row: Operation,
        shown: Mapping[str, Any],
        body: Callable[[str], dict[str, Any]],
        *,
        request: str | None = None,
        fresh: bool = False,
        patient: bool = False,
        permit: Callable[[], bool] | None = None,
    ) -> Task:
        """Return the task, accepted and asked for in the background.

        Args:
            row: the operation.
            shown: its parameters as the history shows them.
            body: gives the JSON body for a task id.
            request: what is asked, as a fingerprint; None where nothing is the same.
            fresh: send it even if the same was asked before.
            patient: after trouble that may pass, try again in the background and do not raise.
            permit: asked before anything new is written.

        Raises:
            BudgetError: it was not permitted.
            ImgOpenError: it was not accepted, or whether it was cannot be found out.
        """
        if permit and (fresh or not self._ledger.asked(request)) and not permit():
            raise BudgetError(f"{row.name} was not sent: the budget is spent")
        task = self._ledger.open(
            row,
            shown,
            body,
            fresh=fresh,
            request=request,
            backend=self._connection.settings.backend,
            base_url=self._connection.settings.base_url,
            owner=self._presence.id,
        )
        if task.body is not None:
            try:
                self._send(task, lambda: self._submit(task, task.body), patient)
            except PASSING:
                if not patient:
                    raise
        if not task.done:
            task.watch()
        return task

    def take_up(self, task: Task) -> float | None:
        """Have a task sent of which nobody knows whether it was.

        Returns:
            Seconds until it should be looked at again, None where there is nothing left to do.

        Raises:
            ImgOpenError: it cannot be sent, or not now.
        """
        if task.sending:
            return ELSEWHERE
        self._ledger.refresh(task)
        if task.state not in UNSENT:
            return 0.0
        if not self._ledger.claim(task, self._presence.id, self._presence.alive):
            return ELSEWHERE
        self._send(task, lambda: self._recover(task), patient=True)
        return 0.0

    def _send(self, task: Task, exchange: Callable[[], Answer | None], patient: bool) -> None:
        try:
            with _sending(task):
                answer = exchange()
                if answer is None:
                    self._ledger.write(task, State.REFUSED, message=NEVER)
                else:
                    self._ledger.learn(task, answer)
        except JournalError as error:
            error.task = task  # it may have been accepted: the history is left to be taken up
            raise
        except ImgOpenError as error:
            error.task = task
            if isinstance(error, SubmissionLostError):
                self._ledger.write(task, State.LOST, message=error.message)
            elif not (patient and isinstance(error, PASSING)):
                self._ledger.write(task, State.REFUSED, message=error.message)
            raise
        except KeyboardInterrupt:
            self._ledger.write(task, State.LOST, message="interrupted while it was sent")
            raise TaskInterrupted(
                f"interrupted while {task.operation.name} {task.id} was sent; it may have been "
                "accepted\n  → %imgopen resume finds out"
            ) from None

    def _recover(self, task: Task) -> Answer | None:
        found = self._connection.delivery().find(task.operation, task.id)
        body = self._ledger.body(task)
        return found if found is not None or body is None else self._submit(task, body)

    def _submit(self, task: Task, body: Mapping[str, Any] | None) -> Answer:
        assert body is not None, "a new task has its body"
        self._ledger.sending(task)
        return self._connection.delivery().submit(task.operation, body, task.id)


@contextlib.contextmanager
def _sending(task: Task) -> Iterator[None]:
    task.sending = True
    try:
        yield
    finally:
        task.sending = False
        task.body = None
