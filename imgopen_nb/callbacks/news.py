"""News of a task that the service told by itself: rows of the journal's table `inbox`."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from ..api.envelope import Answer, read_answer
from ..database.task_table import Journal
from ..errors import APIError

# Of one task; whoever holds the address of its callbacks could send without end.
MAX_NEWS = 100


class News:
    """The rows of the inbox.

    Raises:
        JournalError: on every call, where the history cannot be read or written.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def post(self, task_id: str, body: str) -> None:
        """Add news of a task: JSON as `read_news` understands it."""
        sql = "INSERT INTO inbox (task_id, received, body) VALUES (?, ?, ?)"
        self._journal.run(sql, (task_id, time.time(), body))

    def has(self, task_id: str, body: str) -> bool:
        """Whether the same news of a task came before, or so much that no more is taken."""
        sql = "SELECT count(*), sum(body = ?) FROM inbox WHERE task_id = ?"
        (found,) = self._journal.read(sql, (body, task_id), ("count", "same"))
        return bool(found["same"]) or found["count"] >= MAX_NEWS

    def after(self, last: int | None) -> list[dict[str, Any]]:
        """Return news: inbox_id, task_id, message (JSON text), taken (when, or None).

        Args:
            last: the inbox_id of the last known ones; None for those that nobody has taken yet.
        """
        fresh = "taken IS NULL" if last is None else "inbox_id > ?"
        sql = f"SELECT inbox_id, task_id, body, taken FROM inbox WHERE {fresh} ORDER BY inbox_id"
        columns = ("inbox_id", "task_id", "message", "taken")
        return self._journal.read(sql, () if last is None else (last,), columns)

    def latest(self) -> int:
        """Return the inbox_id of the latest news, 0 where there is none."""
        sql = "SELECT coalesce(max(inbox_id), 0) FROM inbox"
        return int(self._journal.read(sql, (), ("latest",))[0]["latest"])

    def take(self, inbox_id: int) -> None:
        """Mark news as taken."""
        sql = "UPDATE inbox SET taken = ? WHERE inbox_id = ?"
        self._journal.run(sql, (time.time(), inbox_id))

    def close(self, seconds: float) -> None:
        """Mark news older than so many seconds as taken where their task has ended."""
        sql = (
            "UPDATE inbox SET taken = ? WHERE taken IS NULL AND received < ? AND task_id IN "
            "(SELECT task_id FROM tasks WHERE status IN ('succeeded', 'failed', 'refused'))"
        )
        self._journal.run(sql, (time.time(), time.time() - seconds))


def read_news(text: str) -> Answer | None:
    """Return what a message says of a task: an envelope or its data alone; None if neither.

    How the vendor's callbacks look is not documented, so both are read.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    if "code" in content and "data" in content:
        return _enveloped(text)
    return Answer(content) if _tells(content) else None


def _enveloped(text: str) -> Answer | None:
    try:
        answer = read_answer(text.encode(), 200, {})
    except APIError:
        return None
    return answer if _tells(answer.data) else None


def _tells(data: Mapping[str, Any]) -> bool:
    return data.get("status") is not None
