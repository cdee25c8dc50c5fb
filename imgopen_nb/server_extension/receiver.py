"""What a notebook server does for outsiders: takes callbacks in, hands published pictures out.

Plain Python without HTTP, which `handlers.py` speaks. Safe to use from several threads, beside
other servers and kernels of the same history.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..api.envelope import Answer, parse_answer
from ..callbacks.inbox import InboxTable
from ..callbacks.published_pictures import Published, Publisher
from ..callbacks.signing import CALLBACK, HELLO, Signer
from ..catalogue.status import State
from ..database.database import Database
from ..database.task_table import TaskTable
from ..errors import APIError
from ..tasks.store import TaskStore

# What a callback may call the task by our own id.
OWN_IDS = ("businessTaskId", "business_task_id", "id_task")


class Verdict(enum.Enum):
    """What came of a callback."""

    ACCEPTED = "accepted"
    REPEATED = "known already"
    UNKNOWN = "the history has no such task"
    UNREADABLE = "it tells no state of a task"
    FOREIGN = "it tells of another task"


class Receiver:
    """Receives for the history in a home folder."""

    def __init__(self, home: Path) -> None:
        self.signer = Signer(home)
        self.publisher = Publisher(home, self.signer)
        self._database = Database(home)
        self._table = TaskTable(self._database)
        self._inbox = InboxTable(self._database)

    def authentic(self, task_id: str, signature: str) -> bool:
        """Whether the address of a callback is one that we gave away for this task."""
        return self.signer.check(signature, CALLBACK, task_id)

    def hello(self, nonce: str) -> str:
        """Return what proves to a kernel of the same home folder that it has reached us."""
        return self.signer.sign(HELLO, nonce)

    def receive(self, task_id: str, body: bytes) -> Verdict:
        """Write what a callback tells into the history; on return it is on disk.

        An end goes into the task's row at once, so that it is there even if no kernel runs any
        more. The first end stays; what comes after it is noted with the task and shown to nobody.

        Args:
            task_id: from an address that is authentic.
            body: JSON, the envelope of an answer or its data alone.

        Raises:
            JournalError: the history cannot be used; nothing was taken.
        """
        text = _text(body)
        answer = read_callback(text) if text is not None else None
        if text is None or answer is None:
            return Verdict.UNREADABLE
        # A kernel asks again for what a power cut took; nobody calls back again for us.
        self._database.run("PRAGMA synchronous = FULL")
        try:
            with self._database.transaction():
                verdict, ended = self._judge(task_id, text, answer)
        except (ValueError, TypeError, RecursionError):  # such as half a surrogate pair
            return Verdict.UNREADABLE
        if ended:
            self.publisher.withdraw(task_id)
        return verdict

    def picture(self, name: str) -> Published | None:
        """Return the picture at a published address, None where there is none (any more).

        Raises:
            JournalError, SettingsError: the history or the key cannot be read.
        """
        found = self.publisher.find(name)
        row = self._row(found.task_id) if found else None
        return found if row and not State(row["status"]).final else None

    def sweep(self) -> None:
        """Remove pictures that nobody can fetch any more."""
        self.publisher.sweep()

    def check(self) -> None:
        """Look whether what there is by now can be used; nothing is made.

        Raises:
            JournalError, SettingsError: it cannot.
        """
        self.signer.check("", CALLBACK)
        if self._database.path.exists():
            self._table.by_ids(())

    def close(self) -> None:
        """Close the history."""
        self._database.close()

    def _judge(self, task_id: str, text: str, answer: Answer) -> tuple[Verdict, bool]:
        row = self._row(task_id)
        if row is None:
            return Verdict.UNKNOWN, False
        if _foreign(row, answer):
            return Verdict.FOREIGN, False
        return self._take(row, text, answer)

    def _take(self, row: Mapping[str, Any], text: str, answer: Answer) -> tuple[Verdict, bool]:
        """Return the verdict, and whether the task has ended by it."""
        task_id, state = row["task_id"], State(row["status"])
        if self._inbox.has(task_id, text):
            self._table.add_event(task_id, "noted", "a callback came again")
            return Verdict.REPEATED, False
        store = TaskStore(self._table)
        task = store.take(row)
        if state.final:
            told = answer.state(task.operation) or State.SUBMITTED
            said = "the same" if told is state else f"another state ({told.value})"
            self._table.add_event(task_id, "noted", f"a callback after the end told {said}")
            return Verdict.REPEATED, False
        self._inbox.add(task_id, text)
        task.pending = task.seconds or 0.0  # when it ended is known exactly
        store.learn(task, answer, always=True)
        return Verdict.ACCEPTED, task.state.final

    def _row(self, task_id: str) -> dict[str, Any] | None:
        return next(iter(self._table.by_ids([task_id])), None)


def _text(body: bytes) -> str | None:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _foreign(row: Mapping[str, Any], answer: Answer) -> bool:
    """Whether an answer names another task; the service's own id counts once it is known."""
    own = {str(answer.data[name]) for name in OWN_IDS if answer.data.get(name)}
    known = {row["task_id"], row["server_id"] or ""} - {""}
    if row["server_id"] and answer.server_id:
        own.add(answer.server_id)
    return bool(own) and not own & known


def read_callback(text: str) -> Answer | None:
    """Return what a callback says of its task: an envelope or its data alone; None if neither.

    How the vendor's callbacks look is not documented, so both are read.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    answer = Answer(content)
    if "code" in content and "data" in content:
        try:
            answer = parse_answer(text.encode(), 200, {})
        except APIError:
            return None
    return answer if answer.data.get("status") is not None else None
