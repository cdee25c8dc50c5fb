"""The table `inbox`: which tasks the service has reported on by a callback.

The notebook server writes what a callback says into the task's row and adds a row here. A kernel
that waits for a task polls this table, and then reads the task's row again.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from ..database.database import Database
from ..errors import ImgOpenError

# Rows of one task: anyone who has its callback address could send any number.
MAX_ROWS = 100
# Seconds between two polls of the table; each takes some 20 microseconds.
POLL_INTERVAL = 0.03
# Seconds after which nobody needs a row of a task that has ended.
MARK_AFTER = 60.0
# Rows that are read again when a wait begins: another kernel may have just marked them as read.
RECENT = 200
_COLUMNS = ("inbox_id", "task_id", "taken")


class InboxTable:
    """The rows of the inbox.

    Raises:
        JournalError: from every method, if the history cannot be read or written.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, task_id: str, body: str) -> None:
        """Add a callback of a task, with the text of its body."""
        sql = "INSERT INTO inbox (task_id, received, body) VALUES (?, ?, ?)"
        self._database.run(sql, (task_id, time.time(), body))

    def seen(self, task_id: str, body: str) -> tuple[bool, bool]:
        """Return whether the task has the same callback already, and whether it has too many."""
        sql = "SELECT count(*), sum(body = ?) FROM inbox WHERE task_id = ?"
        (found,) = self._database.read(sql, (body, task_id), ("count", "same"))
        return bool(found["same"]), found["count"] >= MAX_ROWS

    def after(self, last: int | None) -> list[dict[str, Any]]:
        """Return rows: inbox_id, task_id, taken (when it was marked as read, or None).

        Args:
            last: return the rows after this inbox_id; None returns those that nobody has read.
        """
        new = "taken IS NULL" if last is None else "inbox_id > ?"
        sql = f"SELECT inbox_id, task_id, taken FROM inbox WHERE {new} ORDER BY inbox_id"
        return self._database.read(sql, () if last is None else (last,), _COLUMNS)

    def latest(self) -> int:
        """Return the highest inbox_id, 0 if there is none."""
        sql = "SELECT coalesce(max(inbox_id), 0) FROM inbox"
        return int(self._database.read(sql, (), ("latest",))[0]["latest"])

    def mark(self, inbox_id: int) -> None:
        """Mark a row as read."""
        sql = "UPDATE inbox SET taken = ? WHERE inbox_id = ?"
        self._database.run(sql, (time.time(), inbox_id))

    def mark_old(self, seconds: float) -> None:
        """Mark rows older than this many seconds as read, if their task has ended."""
        sql = (
            "UPDATE inbox SET taken = ? WHERE taken IS NULL AND received < ? AND task_id IN "
            "(SELECT task_id FROM tasks WHERE status IN ('succeeded', 'failed', 'refused'))"
        )
        self._database.run(sql, (time.time(), time.time() - seconds))


class Inbox:
    """Polls the table in a thread while any task is waited for.

    Args:
        database: the history's file.
        on_callback: called with the id of a task; returns False if it is not in use here.
        wanted: returns whether any task is waited for.
    """

    def __init__(
        self,
        database: Database,
        on_callback: Callable[[str], bool],
        wanted: Callable[[], bool],
    ) -> None:
        self._table = InboxTable(database)
        self._on_callback = on_callback
        self._wanted = wanted
        self._closed = threading.Event()
        self.after_fork()

    def after_fork(self) -> None:
        """Make the lock, and begin without a thread; a forked child does so again."""
        closed, self._closed = self._closed.is_set(), threading.Event()
        if closed:
            self._closed.set()
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._last: int | None = None

    def watch(self) -> None:
        """Poll the table from now on, until no task is waited for."""
        with self._guard:
            self._last = None  # a callback may have come before this wait began
            if self._closed.is_set() or (self._thread and self._thread.is_alive()):
                return
            # A daemon thread: an open task never keeps a kernel alive.
            self._thread = threading.Thread(target=self._work, name="imgopen-inbox", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop polling."""
        self._closed.set()

    def poll(self) -> None:
        """Read the new rows.

        Several kernels may wait for one task, so each reads all rows, marked or not.

        Raises:
            JournalError: the history cannot be read or written.
        """
        with self._guard:
            last = self._last
        latest = max(0, self._table.latest() - RECENT) if last is None else last
        rows = self._table.after(last)
        for row in rows:
            self._read(row)
        with self._guard:
            if last is self._last:
                self._last = max((row["inbox_id"] for row in rows), default=latest)

    def _work(self) -> None:
        with contextlib.suppress(ImgOpenError):
            self._table.mark_old(MARK_AFTER)
        while not self._closed.wait(POLL_INTERVAL):
            try:
                self.poll()
            except ImgOpenError:
                continue  # the history cannot be read now: polling the service finds the same
            with self._guard:
                if not self._wanted():
                    self._thread = None
                    return

    def _read(self, row: Mapping[str, Any]) -> None:
        if self._on_callback(row["task_id"]) and row["taken"] is None:
            self._table.mark(row["inbox_id"])
