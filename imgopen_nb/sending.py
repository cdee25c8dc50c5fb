"""Sending a task: written down first, then sent once, and what came of it written down again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .connection import Connection
from .errors import ImgOpenError, SubmissionLostError, TaskInterrupted
from .ledger import Ledger
from .spec import Operation
from .task import Task
from .wire import State


class Sender:
    """Opens tasks in the ledger and sends them through the connection."""

    def __init__(self, connection: Connection, ledger: Ledger) -> None:
        self._connection = connection
        self._ledger = ledger

    def send(
        self, row: Operation, shown: Mapping[str, Any], body: Callable[[str], dict[str, Any]]
    ) -> Task:
        """Return the task, accepted and asked for in the background.

        Args:
            row: the operation.
            shown: its parameters as the history shows them.
            body: gives the JSON body for a task id.
        """
        url = self._connection.client.base_url
        backend = self._connection.settings.backend
        task = self._ledger.open(row, shown, backend=backend, base_url=url)
        self._send(task, body(task.id))
        task.watch()
        return task

    def _send(self, task: Task, body: dict[str, Any]) -> None:
        self._ledger.sending(task)
        try:
            answer = self._connection.delivery().submit(task.operation, body, task.id)
        except ImgOpenError as error:
            error.task = task
            lost = isinstance(error, SubmissionLostError)
            self._ledger.write(task, State.LOST if lost else State.REFUSED, message=error.message)
            raise
        except KeyboardInterrupt:
            self._ledger.write(task, State.LOST, message="interrupted while it was sent")
            raise TaskInterrupted(
                f"interrupted while {task.operation.name} {task.id} was sent; it may have been "
                "accepted\n  → %imgopen resume finds out"
            ) from None
        self._ledger.learn(task, answer)
