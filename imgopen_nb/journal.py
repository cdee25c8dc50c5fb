"""The task history: one SQLite file, written before a request goes out. The only user of sqlite3.

Several kernels may use it at once (WAL, busy time-out). The schema grows by numbered migrations.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .errors import JournalError, UnknownNameError, near_match

BUSY_SECONDS = 15.0
# JPEG, its width and height, and (width, height) of the picture it was made from.
Small = tuple[bytes, int, int, tuple[int, int]]
MIGRATIONS = (
    """
    CREATE TABLE tasks (
        task_id TEXT PRIMARY KEY,
        server_id TEXT,
        operation TEXT NOT NULL,
        model TEXT,
        image TEXT,
        params TEXT NOT NULL,
        status TEXT NOT NULL,
        caption TEXT,
        tags TEXT,
        image_urls TEXT,
        created REAL NOT NULL,
        submitted REAL,
        finished REAL,
        queries INTEGER NOT NULL DEFAULT 0,
        attempts INTEGER NOT NULL DEFAULT 0,
        backend TEXT NOT NULL,
        base_url TEXT,
        engine TEXT,
        error TEXT,
        data TEXT
    );
    CREATE INDEX tasks_created ON tasks (created);
    CREATE INDEX tasks_status ON tasks (status, created);
    CREATE INDEX tasks_operation ON tasks (operation, model, created);
    CREATE TABLE thumbnails (
        image TEXT PRIMARY KEY,
        jpeg BLOB NOT NULL,
        width INTEGER NOT NULL,
        height INTEGER NOT NULL,
        original_width INTEGER NOT NULL,
        original_height INTEGER NOT NULL,
        created REAL NOT NULL
    );
    """,
    """
    CREATE TABLE edits (
        edit_id INTEGER PRIMARY KEY,
        image TEXT NOT NULL,
        caption TEXT NOT NULL,
        tags TEXT,
        origin TEXT NOT NULL,
        kind TEXT NOT NULL,
        source TEXT NOT NULL,
        replaces INTEGER,
        created REAL NOT NULL,
        undone REAL
    );
    CREATE INDEX edits_image ON edits (image, undone, edit_id);
    """,
)
COLUMNS = (
    "task_id", "server_id", "operation", "model", "image", "params", "status", "caption", "tags",
    "image_urls", "created", "submitted", "finished", "queries", "attempts", "backend", "base_url",
    "engine", "error", "data",
)  # fmt: skip
JSON_COLUMNS = frozenset({"params", "tags", "image_urls", "data", "origin"})
# What history() reads: everything but the raw answer.
HISTORY_COLUMNS = tuple(c for c in COLUMNS if c not in ("data", "created", "base_url"))


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
        names = ", ".join(row)
        marks = ", ".join("?" * len(row))
        self.run(f"INSERT INTO tasks ({names}) VALUES ({marks})", _encode(row))

    def update(self, task_id: str, **changes: Any) -> None:
        """Write what has become known of a task; an end that is there is never overwritten."""
        names = ", ".join(f"{name} = ?" for name in changes)
        self.run(
            f"UPDATE tasks SET {names} WHERE task_id = ? AND status NOT IN ('succeeded', 'failed')",
            (*_encode(changes), task_id),
        )

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
        self,
        *,
        operation: str | None = None,
        model: str | None = None,
        status: str | Iterable[str] | None = None,
        backend: str | None = None,
        since: float | None = None,
        limit: int | None = None,
        columns: tuple[str, ...] = HISTORY_COLUMNS,
    ) -> list[dict[str, Any]]:
        """Return tasks, oldest first; `limit` keeps the newest ones."""
        statuses = [status] if isinstance(status, str) else list(status or ())
        filters: list[tuple[str, list[Any]]] = [
            ("operation = ?", [operation] if operation else []),
            ("model = ?", [model] if model else []),
            ("backend = ?", [backend] if backend else []),
            ("created >= ?", [since] if since is not None else []),
            (f"status IN ({', '.join('?' * len(statuses))})", statuses),
        ]
        used = [(sql, values) for sql, values in filters if values]
        where = " WHERE " + " AND ".join(sql for sql, _ in used) if used else ""
        values = [v for _, part in used for v in part]
        sql = f"SELECT {', '.join(columns)} FROM tasks{where} ORDER BY created DESC, rowid DESC"
        if limit is not None:
            sql, values = sql + " LIMIT ?", [*values, limit]
        return self.read(sql, values, columns)[::-1]

    def durations(self, operation: str, model: str | None, backend: str) -> list[float]:
        """Return the seconds that the last 200 such tasks took, in the order of submission."""
        sql = (
            "SELECT finished - submitted FROM tasks WHERE operation = ? AND model IS ? "
            "AND backend = ? AND status = 'succeeded' ORDER BY created DESC LIMIT 200"
        )
        with self._open() as db:
            rows = db.execute(sql, (operation, model, backend)).fetchall()
        return [row[0] for row in rows[::-1] if row[0] is not None]

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

    def read(
        self, sql: str, values: Iterable[Any], columns: tuple[str, ...]
    ) -> list[dict[str, Any]]:
        """Return what a query finds, by these names for its columns."""
        with self._open() as db:
            rows = db.execute(sql, tuple(values)).fetchall()
        places = [i for i, name in enumerate(columns) if name in JSON_COLUMNS]
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
        db = sqlite3.connect(
            self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        _migrate(db)
        return db


def _migrate(db: sqlite3.Connection) -> None:
    """Bring the file to the newest schema; several kernels may try at once."""
    if db.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS):
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            raise sqlite3.DatabaseError(f"it was written by a newer imgopen_nb (schema {version})")
        for script in MIGRATIONS[version:]:
            for statement in filter(str.strip, script.split(";")):
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise


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
