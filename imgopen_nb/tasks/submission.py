"""Sending a task: written down first, then sent once, and what came of it written down again.

A task whose sending was cut short (a lost answer, a killed kernel) is looked for by its own id; the
service gets it again only where it surely does not know it, and from one session only.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from typing import Any

from ..api.backend import Connection
from ..api.envelope import Answer
from ..catalogue.operation import Operation
from ..catalogue.status import UNSENT, State
from ..errors import (
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
from .session_lock import Presence
from .store import Ledger
from .task import Task

# Seconds until a task that another session is sending is looked at again.
ELSEWHERE = 0.25
# Trouble after which the same may go well a little later.
PASSING = (
    MalformedAnswerError, NetworkError, RateLimitError, ServerError, SubmissionLostError,
)  # fmt: skip
NEVER = "it never reached the service, and what was to be sent is not known any more: run it again"
UNKNOWABLE = (
    "its session ended while it was sent, and this path cannot be asked whether it was accepted: "
    "it is not sent again by itself"
)


class Sender:
    """Opens tasks in the ledger and sends them through the connection."""

    def __init__(self, connection: Connection, ledger: Ledger, presence: Presence) -> None:
        self._connection = connection
        self._ledger = ledger
        self._presence = presence
        # Of two rows that ask the same at once, only the one that is new takes of the budget.
        self._opening = threading.Lock()

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
        with self._presence.needed():
            with self._opening if permit else contextlib.nullcontext():
                if permit and (fresh or not self._ledger.asked(request)) and not permit():
                    raise BudgetError(f"{row.name} was not sent: the budget is spent")
                task, whole = self._ledger.open(
                    row,
                    shown,
                    body,
                    fresh=fresh,
                    request=request,
                    backend=self._connection.settings.backend,
                    base_url=self._connection.settings.base_url,
                    owner=self._presence.id,
                )
            if whole is not None:
                try:
                    self._send(task, lambda: self._submit(task, whole), patient)
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
        with self._presence.needed():
            if not self._ledger.claim(task, self._presence.id, self._presence.alive):
                return ELSEWHERE
            self._send(task, lambda: self._recover(task), patient=True)
        return 0.0

    def _send(self, task: Task, exchange: Callable[[], Answer | None], patient: bool) -> None:
        task.sending = True
        try:
            self._exchanged(task, exchange, patient)
        finally:
            if task.state in UNSENT:
                self._ledger.release(task, self._presence.id)
            task.sending = False

    def _exchanged(self, task: Task, exchange: Callable[[], Answer | None], patient: bool) -> None:
        try:
            answer = exchange()
            if answer is None:
                self._ledger.write(task, State.REFUSED, message=_unsendable(task))
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
        if _untraceable(task):
            return None
        found = self._connection.delivery().find(task.operation, task.id)
        body = self._ledger.body(task)
        return found if found is not None or body is None else self._submit(task, body)

    def _submit(self, task: Task, body: Mapping[str, Any]) -> Answer:
        self._ledger.sending(task)
        return self._connection.delivery().submit(task.operation, body, task.id)


def _untraceable(task: Task) -> bool:
    """Whether nothing can tell that a task arrived; a list may be asked for again all the same."""
    return not task.operation.query and task.operation.kind != "rows"


def _unsendable(task: Task) -> str:
    return UNKNOWABLE if _untraceable(task) else NEVER
