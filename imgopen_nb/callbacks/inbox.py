"""The table `inbox`: which tasks the service has reported on by a callback.

The notebook server writes what a callback says into the task's row and adds a row here. A kernel
that waits for a task looks here, and reads the task's row again.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from ..database.database import Database
from ..errors import ImgOpenError

# Rows of one task: whoever has the address of its callbacks could send without end.
MAX_ROWS = 100
# Seconds between two looks, which cost some 20 microseconds each.
POLL_INTERVAL = 0.03
# Seconds after which a row of a task that has ended is of no use to anybody who waits.
MARK_AFTER = 60.0
# Rows that are read again when a wait begins: another kernel may just have marked them as read.
RECENT = 200
_COLUMNS = ("inbox_id", "task_id", "taken")


class InboxTable:
    """The rows of the inbox.

    Raises:
        JournalError: on every call, where the history cannot be read or written.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, task_id: str, body: str) -> None:
        """Add a callback of a task: the text of its body."""
        sql = "INSERT INTO inbox (task_id, received, body) VALUES (?, ?, ?)"
        self._database.run(sql, (task_id, time.time(), body))

    def has(self, task_id: str, body: str) -> bool:
        """Whether the same callback of a task came before, or so many that no more is taken."""
        sql = "SELECT count(*), sum(body = ?) FROM inbox WHERE task_id = ?"
        (found,) = self._database.read(sql, (body, task_id), ("count", "same"))
        return bool(found["same"]) or found["count"] >= MAX_ROWS

    def after(self, last: int | None) -> list[dict[str, Any]]:
        """Return rows: inbox_id, task_id, taken (when it was marked as read, or None).

        Args:
            last: the inbox_id of the last known row; None for those that nobody has read yet.
        """
        new = "taken IS NULL" if last is None else "inbox_id > ?"
        sql = f"SELECT inbox_id, task_id, taken FROM inbox WHERE {new} ORDER BY inbox_id"
        return self._database.read(sql, () if last is None else (last,), _COLUMNS)

    def latest(self) -> int:
        """Return the highest inbox_id, 0 where there is none."""
        sql = "SELECT coalesce(max(inbox_id), 0) FROM inbox"
        return int(self._database.read(sql, (), ("latest",))[0]["latest"])

    def mark(self, inbox_id: int) -> None:
        """Mark a row as read."""
        sql = "UPDATE inbox SET taken = ? WHERE inbox_id = ?"
        self._database.run(sql, (time.time(), inbox_id))

    def mark_old(self, seconds: float) -> None:
        """Mark rows older than so many seconds as read where their task has ended."""
        sql = (
            "UPDATE inbox SET taken = ? WHERE taken IS NULL AND received < ? AND task_id IN "
            "(SELECT task_id FROM tasks WHERE status IN ('succeeded', 'failed', 'refused'))"
        )
        self._database.run(sql, (time.time(), time.time() - seconds))


class Inbox:
    """Watches the table while somebody waits for a task.

    Args:
        database: the history's file.
        on_callback: reads a task's row again; returns False for a task that nobody here has.
        wanted: whether anybody waits.
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
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()
        self._last: int | None = None

    def watch(self) -> None:
        """Look at the table from now on, until nobody waits any more."""
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

    def poll(self) -> None:
        """Read the rows that have come in.

        Several kernels may wait for one task: each reads all rows, whichever marks them.

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
                continue  # the history cannot be read now: queries tell the same
            with self._guard:
                if not self._wanted():
                    self._thread = None
                    return

    def _read(self, row: Mapping[str, Any]) -> None:
        if self._on_callback(row["task_id"]) and row["taken"] is None:
            self._table.mark(row["inbox_id"])
