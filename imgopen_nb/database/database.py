"""The SQLite file of a home folder, `imgopen.sqlite`. Several kernels may use it at once."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import JournalError
from .migrations import JSON_COLUMNS, connect

BUSY_TIMEOUT = 15.0


class Database:
    """The file `imgopen.sqlite` in a home folder; safe to use from several threads and processes.

    The file is opened on first use, and again after a fork: a connection belongs to one process.

    Raises:
        JournalError: from every method, if the file cannot be read or written.
    """

    def __init__(self, home: Path) -> None:
        self.path = home / "imgopen.sqlite"
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._pid = 0

    def run(self, sql: str, values: Iterable[Any] = ()) -> int:
        """Execute one statement and return how many rows it changed."""
        with self._open() as connection:
            return connection.execute(sql, tuple(values)).rowcount

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Run the block as one transaction; others who want to write wait until it ends."""
        with self._open() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def read(
        self, sql: str, values: Iterable[Any], columns: tuple[str, ...], *, raw: bool = False
    ) -> list[dict[str, Any]]:
        """Return the rows of a query, as dictionaries.

        Args:
            sql: the query.
            values: the values of its question marks.
            columns: names for its columns; those in JSON_COLUMNS are parsed.
            raw: whether to leave JSON as text.
        """
        with self._open() as connection:
            rows = connection.execute(sql, tuple(values)).fetchall()
        places = [i for i, name in enumerate(columns) if name in JSON_COLUMNS and not raw]
        return [_decode(columns, row, places) for row in rows]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None and self._pid == os.getpid():
                self._connection.close()
            self._connection = None

    def __repr__(self) -> str:
        return f"Database({str(self.path)!r})"

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                if self._connection is None or self._pid != os.getpid():
                    self._connection, self._pid = self._connect(), os.getpid()
                yield self._connection
            except (sqlite3.Error, OSError) as error:
                raise JournalError(
                    f"the history {self.path} cannot be used ({error})", hint=_hint(error)
                ) from None

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path.touch(mode=0o600)
        return connect(self.path, BUSY_TIMEOUT)


def encode(row: Mapping[str, Any]) -> list[Any]:
    """Return the values of a row for SQLite: those of JSON_COLUMNS become text."""
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
