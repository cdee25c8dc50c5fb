"""What a notebook server does for the service: takes callbacks and serves published images.

Plain Python; the HTTP part is in `handlers.py`. Safe to use from several threads, together with
other servers and kernels that use the same history.
"""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Any

from ..api.envelope import Answer, parse_answer
from ..callbacks.inbox import InboxTable
from ..callbacks.published_pictures import Published, Publisher
from ..callbacks.signing import CALLBACK, HELLO, Signer
from ..catalogue.status import State
from ..config.credentials import find_keys, frameless, hide
from ..database.database import Database
from ..database.task_table import TaskTable
from ..errors import APIError, ImgOpenError
from ..tasks.store import TaskStore
from ..text import decode_json, decode_text, hide_signatures

# Seconds to wait for a locked history; other requests wait meanwhile. The service calls again.
BUSY_TIMEOUT = 1.0
# In this order; a task that has had too many callbacks takes only those that lead further.
_STEPS = (State.CREATED, State.LOST, State.SUBMITTED, State.RUNNING)


class CallbackOutcome(enum.Enum):
    """What happened to a callback."""

    ACCEPTED = "accepted"
    REPEATED = "known already"
    UNKNOWN = "the history has no such task"
    UNREADABLE = "it has no state of a task"
    FOREIGN = "it is about another task"
    NOTED = "not all of it is usable: the service is polled instead"


class Receiver:
    """Takes callbacks and serves images for the history in a home folder."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.signer = Signer(home)
        self.publisher = Publisher(home, self.signer)
        self._database = Database(home, busy_timeout=BUSY_TIMEOUT)
        # A connection of its own: requests for images do not wait for callbacks.
        self._pictures = TaskTable(Database(home, busy_timeout=BUSY_TIMEOUT))
        self._table = TaskTable(self._database)
        self._inbox = InboxTable(self._database)

    def authentic(self, task_id: str, signature: str) -> bool:
        """Whether a callback's address is one that we made for this task."""
        return self.signer.check(signature, CALLBACK, task_id)

    def hello(self, nonce: str) -> str:
        """Return the proof, for a kernel with the same home folder, that it has reached us."""
        return self.signer.sign(HELLO, nonce)

    def receive(self, task_id: str, body: bytes) -> CallbackOutcome:
        """Write a callback to the history; on return it is on disk.

        A final state goes into the task's row at once, even if no kernel is running. The first
        final state stays; a later callback is only recorded as an event of the task.

        Args:
            task_id: the task id from an authentic address.
            body: JSON, the envelope of an answer or its data alone.

        Raises:
            JournalError: the history cannot be used; nothing was written.
        """
        text = self._without_keys(decode_text(body))
        answer = read_callback(text)
        if answer is None:
            return CallbackOutcome.UNREADABLE
        try:
            # A kernel polls again for what a power cut lost; a callback is not repeated for us.
            with self._database.transaction(durable=True):
                outcome, ended = self._record(task_id, text, answer)
        except ImgOpenError:
            raise
        except Exception:  # whatever it holds, it must not come again: the service is asked
            return self._note(task_id, text)
        if ended:
            self.publisher.withdraw(task_id)
        return outcome

    def picture(self, name: str) -> Published | None:
        """Return the image with this name in its address, None if there is none (any more).

        Raises:
            JournalError, SettingsError: the history or the key cannot be read.
        """
        found = self.publisher.find(name)
        row = next(iter(self._pictures.by_ids([found.task_id])), None) if found else None
        return found if row and not State(row["status"]).final else None

    def sweep(self) -> None:
        """Remove the images whose addresses have expired."""
        self.publisher.sweep()

    def check(self) -> None:
        """Check that the key and the history can be used, if they exist. Creates nothing.

        Raises:
            JournalError, SettingsError: one cannot be used.
        """
        self.signer.check("", CALLBACK)
        if self._database.path.exists():
            self._pictures.by_ids(())

    def close(self) -> None:
        """Close the history."""
        self._database.close()
        self._pictures.database.close()

    def _record(self, task_id: str, text: str, answer: Answer) -> tuple[CallbackOutcome, bool]:
        """Return the outcome, and whether the callback has ended the task."""
        row = self._row(task_id)
        if row is None:
            return CallbackOutcome.UNKNOWN, False
        if answer.foreign([row["task_id"]], row["server_id"] or ""):
            return CallbackOutcome.FOREIGN, False
        same, full = self._inbox.seen(task_id, text)
        if same:
            self._table.add_event(task_id, "noted", "a callback came again")
            return CallbackOutcome.REPEATED, False
        store = TaskStore(self._table)
        task = store.load(row)
        reported = answer.state(task.operation) or State.SUBMITTED
        if task.state.final:
            said = "the same" if reported is task.state else f"another state ({reported.value})"
            self._table.add_event(task_id, "noted", f"a callback after the end told {said}")
            return CallbackOutcome.REPEATED, False
        # Anybody who has the address could send any number; but no step forward is ever dropped.
        later = reported.final or _STEPS.index(reported) > _STEPS.index(task.state)
        if full and not later:
            return CallbackOutcome.REPEATED, False
        self._inbox.add(task_id, text)
        task.pending = task.seconds or 0.0  # its end is known exactly
        store.apply_answer(task, answer, always=True)
        return CallbackOutcome.ACCEPTED, task.state.final

    def _without_keys(self, text: str) -> str:
        """Return a text with *** where it repeats a signed address, or the access key.

        That is, if this process knows the key.
        """
        text = hide_signatures(text)
        try:
            keys = frameless(lambda: find_keys(None, None, self._home))
        except ImgOpenError:  # the kernel that uses it says what is wrong with it
            return text
        return frameless(lambda: hide((keys.id, keys.secret), text)) if keys else text

    def _note(self, task_id: str, text: str) -> CallbackOutcome:
        """Note a callback that cannot be taken in; were it refused, it would come again."""
        with self._database.transaction():
            if self._row(task_id) is None:
                return CallbackOutcome.UNKNOWN
            self._table.add_event(task_id, "noted", "a callback that is not fully usable")
        return CallbackOutcome.NOTED

    def _row(self, task_id: str) -> dict[str, Any] | None:
        return next(iter(self._table.by_ids([task_id])), None)


def read_callback(text: str) -> Answer | None:
    """Return the answer in a callback, None if there is none.

    The vendor does not document its callbacks, so both an envelope and its data alone are read.
    """
    try:
        content = decode_json(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    answer = Answer(content)
    if "code" in content and "data" in content:
        try:
            answer = parse_answer(text)
        except APIError:
            return None
    return answer if answer.data.get("status") is not None else None
