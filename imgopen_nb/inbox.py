"""The inbox of the journal: what the service told of a task by itself ends the wait for it.

Whoever receives such news (in another process) adds a row; here it is read within a moment, taken
over like the answer to a query, and marked as taken.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

from .errors import APIError, ImgOpenError
from .journal import Journal
from .wire import Answer, read_answer

# Seconds between two looks, which cost some 20 microseconds each.
INTERVAL = 0.05


class Inbox:
    """Looks for news while somebody waits for a task.

    Args:
        journal: the history.
        news: takes over what an answer says of a task; returns False for one that it does not know.
        wanted: whether anybody waits.
    """

    def __init__(
        self, journal: Journal, news: Callable[[str, Answer], bool], wanted: Callable[[], bool]
    ) -> None:
        self._journal = journal
        self._news = news
        self._wanted = wanted
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()
        self._last: int | None = None

    def watch(self) -> None:
        """Look for news from now on, until nobody waits any more."""
        with self._guard:
            self._last = None  # what came before for a task that is waited for only now counts too
            if self._closed.is_set() or (self._thread and self._thread.is_alive()):
                return
            # A daemon: an open task never keeps a kernel from ending.
            self._thread = threading.Thread(target=self._work, name="imgopen-inbox", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._closed.set()

    def look(self) -> None:
        """Take over what has come in.

        Several kernels may wait for one task: each reads all news, whoever marks them as taken.

        Raises:
            JournalError: the history cannot be read or written.
        """
        with self._guard:
            last = self._last
        rows = self._journal.inbox(last)
        for row in rows:
            self._take(row)
        with self._guard:
            if last is self._last:
                self._last = max((row["inbox_id"] for row in rows), default=last or 0)

    def _work(self) -> None:
        while not self._closed.wait(INTERVAL):
            try:
                self.look()
            except ImgOpenError:
                continue  # the history is out of reach: queries tell the same
            with self._guard:
                if not self._wanted():
                    self._thread = None
                    return

    def _take(self, row: Mapping[str, Any]) -> None:
        answer = read_news(row["message"])
        if answer is None:
            self._journal.note(row["task_id"], "noted", "news that cannot be read")
        if answer is None or self._news(row["task_id"], answer):
            self._journal.take_news(row["inbox_id"])


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
