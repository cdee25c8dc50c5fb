"""The task history: one SQLite file, written before a request goes out. The only user of sqlite3.

Several kernels may use it at once (WAL, busy time-out). `schema.py` has the tables.
"""

from __future__ import annotations

import contextlib
import heapq
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import JournalError, UnknownNameError
from ..text import near_match
from .task_queries import (
    COLUMNS,
    HISTORY_COLUMNS,
    JSON_COLUMNS,
    KIND,
    connect,
    kinds,
    newest_of_kind,
    select,
    selected,
)

BUSY_SECONDS = 15.0
# Of one task; whoever holds the address of its callbacks could send without end.
MAX_EVENTS = 100
# JPEG, its width and height, and (width, height) of the picture it was made from.
Small = tuple[bytes, int, int, tuple[int, int]]


class Journal:
    """The tasks of one user, in `imgopen.sqlite` in the home folder.

    Raises:
        JournalError: on every call, where the file cannot be read or written.
    """

    def __init__(self, home: Path) -> None:
        self.path = home / "imgopen.sqlite"
        self._lock = threading.RLock()
        self._db: sqlite3.Connection | None = None
        self._pid = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """Write a new task."""
        self.run(*_insert(row))

    def open(self, row: Mapping[str, Any], *, fresh: bool = False) -> dict[str, Any] | None:
        """Write a new task, unless the same was asked before: then return that task, unwritten.

        Looking and writing are one step: of two kernels that ask the same at once, one writes.

        Args:
            row: the new task; "request" tells what is asked (None: nothing is the same as this).
            fresh: write it in any case.
        """
        with self.transaction():
            found = None if fresh or not row["request"] else self.same(row["request"])
            if found is None:
                self.add(row)
            return found

    def same(self, request: str) -> dict[str, Any] | None:
        """Return a task that asked the same and has succeeded, else one that has not ended."""
        sql = (
            f"SELECT {', '.join(COLUMNS)} FROM tasks WHERE request = ? "
            "AND status NOT IN ('failed', 'refused') "
            "ORDER BY status = 'succeeded' DESC, rowid DESC LIMIT 1"
        )
        return next(iter(self.read(sql, (request,), COLUMNS)), None)

    def open_tasks(self, backend: str, base_url: str) -> list[dict[str, Any]]:
        """Return the tasks of a backend that have not ended, oldest first.

        Args:
            backend: "real" or "sandbox".
            base_url: its address, "" for the sandbox of this home folder.
        """
        # Before there was a column for it, the sandbox's address of that day was written down.
        place = "(base_url = ? OR owner IS NULL AND ? = '' AND base_url LIKE 'http://127.0.0.1:%')"
        sql = (
            f"SELECT {', '.join(COLUMNS)} FROM tasks "
            f"WHERE status IN ('created', 'lost', 'submitted', 'running') "
            f"AND backend = ? AND {place} ORDER BY created, rowid"
        )
        return self.read(sql, (backend, base_url, base_url), COLUMNS)

    def by_ids(self, ids: Iterable[str]) -> list[dict[str, Any]]:
        """Return the tasks of these ids, in any order."""
        sql = (
            f"SELECT {', '.join(COLUMNS)} FROM tasks "
            "WHERE task_id IN (SELECT value FROM json_each(?))"
        )
        return self.read(sql, (json.dumps(sorted(ids)),), COLUMNS)

    def update(self, task_id: str, **changes: Any) -> bool:
        """Write what has become known of a task; False where it had ended before.

        The end that was written first stays, whoever wrote it.
        """
        names = ", ".join(f"{name} = ?" for name in changes)
        return bool(
            self.run(
                f"UPDATE tasks SET {names} "
                f"WHERE task_id = ? AND status NOT IN ('succeeded', 'failed', 'refused')",
                (*_encode(changes), task_id),
            )
        )

    def claim(self, task_id: str, old: str | None, new: str) -> bool:
        """Make a task that was not sent this owner's; False where another was quicker."""
        sql = (
            "UPDATE tasks SET owner = ? WHERE task_id = ? AND owner IS ? "
            "AND status IN ('created', 'lost')"
        )
        return bool(self.run(sql, (new, task_id, old)))

    def note(self, task_id: str, state: str, detail: str) -> None:
        """Append to the life of a task something that does not change it."""
        sql = (
            "INSERT INTO events (task_id, at, state, detail) SELECT ?, ?, ?, ? "
            "WHERE (SELECT count(*) FROM events WHERE task_id = ?) < ?"
        )
        self.run(sql, (task_id, time.time(), state, detail, task_id, MAX_EVENTS))

    def events(self, task_id: str) -> list[dict[str, Any]]:
        """Return the life of a task: when (seconds since the epoch), state, detail of each step."""
        columns = ("at", "state", "detail")
        sql = "SELECT at, state, detail FROM events WHERE task_id = ? ORDER BY event_id"
        return self.read(sql, (task_id,), columns)

    def get(self, task_id: str) -> dict[str, Any]:
        """Return a task by our id, the service's id, or the unique beginning of ours.

        Raises:
            UnknownNameError: no task, or several, answer to it.
        """
        names = ", ".join(COLUMNS)
        sql = f"SELECT {names} FROM tasks WHERE task_id = ? OR server_id = ? LIMIT 1"
        rows = self.read(sql, (task_id, task_id), COLUMNS)
        if not rows and len(task_id) >= 4:
            like = task_id.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
            sql = f"SELECT {names} FROM tasks WHERE task_id LIKE ? ESCAPE '\\' LIMIT 2"
            rows = self.read(sql, (like,), COLUMNS)
        if len(rows) == 1:
            return rows[0]
        if rows:
            raise UnknownNameError("single task", task_id, [], hint="give more of its id")
        recent = [r["task_id"] for r in self.rows(limit=50)]
        raise UnknownNameError(
            "task", task_id, [], hint=near_match(task_id, recent) or "see %imgopen history"
        )

    def rows(
        self, *, columns: tuple[str, ...] = HISTORY_COLUMNS, raw: bool = False, **filters: Any
    ) -> list[dict[str, Any]]:
        """Return tasks, oldest first; the filters are those of `schema.select`."""
        if filters.get("limit") is not None:
            return self._newest(filters, columns, raw)
        return self.read(*select(filters, columns), columns, raw=raw)[::-1]

    def _newest(
        self, filters: Mapping[str, Any], columns: tuple[str, ...], raw: bool
    ) -> list[dict[str, Any]]:
        """Return the newest tasks that pass: each kind's newest are found by the index alone."""
        found: list[tuple[float, int]] = []
        for row in self.read(*kinds(filters), ("kind",)):
            sql, values = newest_of_kind(row["kind"], filters)
            with self._open() as db:
                found += db.execute(sql, values).fetchall()
        found = heapq.nlargest(filters["limit"], found)
        rowids = json.dumps([rowid for _, rowid in found])
        return self.read(selected(columns), (rowids,), columns, raw=raw)[::-1]

    def durations(
        self, operation: str, model: str | None, backend: str
    ) -> list[tuple[float, float]]:
        """Return how long the last 200 such tasks took, in the order of their submission.

        Each is (age at the last answer "not yet", age at the noticed end), in seconds.
        """
        sql = (
            "SELECT coalesce(pending, 0.9 * (finished - submitted)), "
            "coalesce(seconds, finished - submitted) FROM tasks "
            f"WHERE {KIND} = json_array(?, ?, 'succeeded', ?) ORDER BY created DESC LIMIT 200"
        )
        rows = self.read(sql, (operation, model, backend), ("pending", "seconds"))
        known = [(row["pending"], row["seconds"]) for row in rows[::-1] if row["seconds"]]
        return [(pending, seconds) for pending, seconds in known if 0 <= pending <= seconds]

    def put_thumbnail(self, image: str, small: Small) -> None:
        """Keep a small version of a picture."""
        jpeg, width, height, original = small
        self.run(
            "INSERT OR REPLACE INTO thumbnails VALUES (?, ?, ?, ?, ?, ?, ?)",
            (image, jpeg, width, height, *original, time.time()),
        )

    def thumbnail(self, image: str) -> Small | None:
        """Return the small version of a picture, None where none is kept."""
        sql = "SELECT jpeg, width, height, original_width, original_height FROM thumbnails"
        with self._open() as db:
            row = db.execute(f"{sql} WHERE image = ?", (image,)).fetchone()
        return (*row[:3], row[3:]) if row else None

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._db is not None and self._pid == os.getpid():
                self._db.close()
            self._db = None

    def __repr__(self) -> str:
        return f"Journal({str(self.path)!r})"

    def run(self, sql: str, values: Iterable[Any]) -> int:
        """Execute a statement that is whole in itself, and return how many rows it changed."""
        with self._open() as db:
            return db.execute(sql, tuple(values)).rowcount

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Have everything that is done inside happen together or not at all."""
        with self._open() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    def read(
        self, sql: str, values: Iterable[Any], columns: tuple[str, ...], *, raw: bool = False
    ) -> list[dict[str, Any]]:
        """Return what a query finds, by these names for its columns; `raw`: JSON as texts."""
        with self._open() as db:
            rows = db.execute(sql, tuple(values)).fetchall()
        places = [i for i, name in enumerate(columns) if name in JSON_COLUMNS and not raw]
        return [_decode(columns, row, places) for row in rows]

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                # After a fork the connection belongs to the parent.
                if self._db is None or self._pid != os.getpid():
                    self._db, self._pid = self._connect(), os.getpid()
                yield self._db
            except (sqlite3.Error, OSError) as error:
                raise JournalError(
                    f"the history {self.path} cannot be used ({error})", hint=_hint(error)
                ) from None

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path.touch(mode=0o600)
        return connect(self.path, BUSY_SECONDS)


def _insert(row: Mapping[str, Any]) -> tuple[str, list[Any]]:
    marks = ", ".join("?" * len(row))
    return f"INSERT INTO tasks ({', '.join(row)}) VALUES ({marks})", _encode(row)


def _encode(row: Mapping[str, Any]) -> list[Any]:
    return [
        json.dumps(value, ensure_ascii=False, default=str)
        if name in JSON_COLUMNS and value is not None
        else value
        for name, value in row.items()
    ]


def _decode(columns: tuple[str, ...], row: tuple[Any, ...], places: list[int]) -> dict[str, Any]:
    values = list(row)
    for place in places:
        if values[place] is not None:
            values[place] = json.loads(values[place])
    return dict(zip(columns, values, strict=True))


_HINTS = (
    ("newer", "update imgopen_nb, or set IMGOPEN_HOME to another folder"),
    ("locked", "another program holds it; try again, or set IMGOPEN_HOME to another folder"),
    ("full", "free some space on the disk"),
    ("not a database", "move the file away; a new one is made"),
    ("malformed", "move the file away; a new one is made"),
)


def _hint(error: Exception) -> str:
    text = str(error)
    return next(
        (hint for mark, hint in _HINTS if mark in text),
        "set IMGOPEN_HOME to a folder that can be written",
    )
