"""The inbox of the journal: what the service told of a task by itself ends the wait for it.

Whoever receives such news (in another process) adds a row; here it is read within a moment, taken
over like the answer to a query, and marked as taken.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from typing import Any

from ..api.envelope import Answer
from ..database.task_table import Journal
from ..errors import ImgOpenError
from .news import News, read_news

# Seconds between two looks, which cost some 20 microseconds each.
INTERVAL = 0.03
# Seconds after which news of a task that has ended is of no use to anybody who waits.
OLD = 60.0
# News that are read again when a wait begins: another kernel may just have taken them.
RECENT = 200


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
        self._rows = News(journal)
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
        latest = max(0, self._rows.latest() - RECENT) if last is None else last
        rows = self._rows.after(last)
        for row in rows:
            self._take(row)
        with self._guard:
            if last is self._last:
                self._last = max((row["inbox_id"] for row in rows), default=latest)

    def _work(self) -> None:
        with contextlib.suppress(ImgOpenError):
            self._rows.close(OLD)
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
        if answer is None and row["taken"] is None:
            self._journal.note(row["task_id"], "noted", "news that cannot be read")
        if (answer is None or self._news(row["task_id"], answer)) and row["taken"] is None:
            self._rows.take(row["inbox_id"])
