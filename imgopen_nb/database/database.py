"""The SQLite file of a home folder, `imgopen.sqlite`. Several kernels may use it at once."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakValueDictionary

from ..errors import JournalError
from ..files import (
    make_private_folder,
    open_private,
    refuse_planted,
    shared_on_purpose,
    tighten_home,
)
from .interrupts import Uninterrupted
from .migrations import JSON_COLUMNS, connect

BUSY_TIMEOUT = 15.0
FILE = "imgopen.sqlite"
FORK_TIMEOUT = 60.0  # seconds that a fork waits for a statement or transaction of another thread


class Database:
    """The file `imgopen.sqlite` in a home folder; safe to use from several threads and processes.

    The file is opened on first use. A fork closes it, and both processes open it again: SQLite
    keeps account of its file locks for the whole process, and a child would inherit the account
    but not the locks.

    Args:
        home: the folder.
        busy_timeout: seconds to wait while another program has the file locked; BUSY_TIMEOUT.

    Attributes:
        path: the file.
        opened: how often it was opened; temporary tables last until it is opened again.

    Raises:
        JournalError: from every method, if the file cannot be read or written.
    """

    # Every open connection of this process: one that was merely dropped would stay open, unseen,
    # until the garbage is collected, perhaps in a child.
    _open_connections: ClassVar[dict[sqlite3.Connection, Path]] = {}

    def __init__(self, home: Path, *, busy_timeout: float | None = None) -> None:
        self.path = home / FILE
        self._busy_timeout = busy_timeout
        self.opened = 0
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._uses = 0  # blocks that use the connection; all are of the thread that has the lock
        _databases[next(_numbers)] = self

    def run(self, sql: str, values: Iterable[Any] = ()) -> int:
        """Execute one statement and return how many rows it changed."""
        with self._open() as connection:
            return connection.execute(sql, tuple(values)).rowcount

    def run_many(self, sql: str, rows: Iterable[Iterable[Any]]) -> int:
        """Execute one statement for each row of values, and return how many rows were changed."""
        with self._open() as connection:
            return connection.executemany(sql, map(tuple, rows)).rowcount

    @contextlib.contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[None]:
        """Run the block as one transaction; others who want to write wait until it ends.

        Args:
            durable: whether it is on the disk when the block has ended, with all that was written
                before, so that a power cut cannot undo it. Others may be undone, the newest first.
        """
        with self._open() as connection, _synchronous(connection, "FULL" if durable else ""):
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                if connection is not self._connection:
                    raise self._forked_error()
                connection.execute("COMMIT")
            except BaseException:
                if connection is self._connection and connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def read(
        self, sql: str, values: Iterable[Any], columns: tuple[str, ...]
    ) -> list[dict[str, Any]]:
        """Return the rows of a query, as dictionaries.

        Args:
            sql: the query.
            values: the values of its question marks.
            columns: names for its columns; those in JSON_COLUMNS are parsed.
        """
        places = [i for i, name in enumerate(columns) if name in JSON_COLUMNS]
        return [_decode(columns, row, places) for row in self.read_rows(sql, values)]

    def read_columns(
        self, sql: str, values: Iterable[Any], columns: Iterable[str]
    ) -> dict[str, tuple[Any, ...]]:
        """Return the rows of a query by column; JSON stays text."""
        found = tuple(zip(*self.read_rows(sql, values), strict=True))
        return {name: found[at] if found else () for at, name in enumerate(columns)}

    def read_rows(self, sql: str, values: Iterable[Any]) -> list[tuple[Any, ...]]:
        """Return the rows of a query as they are."""
        with self._open() as connection:
            return connection.execute(sql, tuple(values)).fetchall()

    def close(self) -> None:
        """Close the file."""
        with Uninterrupted(), self._lock:
            if self._connection in self._open_connections:
                self._connection.close()
                del self._open_connections[self._connection]
            self._connection = None

    def __del__(self) -> None:
        self.close()

    def before_fork(self) -> bool:
        """Close the file and keep other threads away from it; False if it is not open.

        It stays open in the middle of a transaction of this thread, or of one that takes too long.
        """
        if self._connection is None or not self._lock.acquire(timeout=FORK_TIMEOUT):
            return False
        if not self._uses:
            self.close()
        return True

    def after_fork_in_parent(self) -> None:
        """Let other threads open the file again."""
        self._lock.release()

    def after_fork(self) -> None:
        """Make a new lock in a forked child, which opens the file anew."""
        self._lock = threading.RLock()
        if self._connection is None:
            self._uses = 0
        self._connection = None

    @classmethod
    def abandon_open_files(cls) -> None:
        """Leave alone, in a forked child, the files that were open at the fork.

        The child could neither close the inherited connections, not even at its end, nor open
        others to the same files without harm to its parent's.
        """
        for connection, path in cls._open_connections.items():
            _forbidden.add(os.path.realpath(path))
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))  # never collected
        cls._open_connections.clear()

    def __repr__(self) -> str:
        return f"Database({str(self.path)!r})"

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with Uninterrupted(), self._lock:
            if _forbidden and os.path.realpath(self.path) in _forbidden:
                raise self._forked_error()
            self._uses += 1
            try:
                if self._connection is None:
                    with _opening:
                        self._connection = self._connect()
                        self._open_connections[self._connection] = self.path
                    self.opened += 1
                yield self._connection
            except (sqlite3.Error, OSError) as error:
                raise JournalError(
                    f"the history {self.path} cannot be used ({error})", hint=_hint(error)
                ) from None
            finally:
                self._uses -= 1

    def _connect(self) -> sqlite3.Connection:
        make_private_folder(self.path.parent)
        for suffix in ("", "-wal", "-shm", "-journal"):  # SQLite reads the others too
            refuse_planted(self.path.with_name(self.path.name + suffix))
        try:
            # SQLite gives the files beside it the same mode.
            mode = 0o660 if shared_on_purpose(self.path.parent) else 0o600
            os.close(open_private(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode))
        except FileExistsError:
            if not self.path.exists():  # a link to nowhere: SQLite would make a file there
                raise
        tighten_home(self.path.parent)
        timeout = BUSY_TIMEOUT if self._busy_timeout is None else self._busy_timeout
        return connect(self.path, timeout)

    def _forked_error(self) -> JournalError:
        return JournalError(
            f"this process was forked while the history {self.path} was being written, and "
            "cannot use it",
            hint='fork again, or start processes by multiprocessing.get_context("spawn")',
        )


@contextlib.contextmanager
def _synchronous(connection: sqlite3.Connection, level: str) -> Iterator[None]:
    """Have commits wait for the disk; it cannot be set within a transaction.

    In WAL mode, NORMAL waits at checkpoints only, FULL at each commit.
    """
    if level:
        connection.execute(f"PRAGMA synchronous = {level}")
    try:
        yield
    finally:
        if level:
            with contextlib.suppress(sqlite3.Error):  # closed by a fork meanwhile
                connection.execute("PRAGMA synchronous = NORMAL")


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
    ("locked", "another program is using it; try again, or set IMGOPEN_HOME to another folder"),
    ("full", "free some space on the disk"),
    ("not a database", "move the file away; a new one will be made"),
    ("malformed", "move the file away; a new one will be made"),
)


def _hint(error: Exception) -> str:
    text = str(error)
    return next(
        (hint for mark, hint in _HINTS if mark in text),
        "set IMGOPEN_HOME to a folder that you can write to",
    )


# Every database of this process, in the order in which they were made.
_databases: WeakValueDictionary[int, Database] = WeakValueDictionary()
_numbers = itertools.count()
# Held while a file is opened, and during a fork.
_opening = threading.RLock()
# Files that were open when this process was forked.
_forbidden: set[str] = set()


class _Fork(threading.local):
    """The databases that this thread has closed for a fork."""

    closed: tuple[Database, ...] = ()


_fork = _Fork()


def _all_databases() -> list[Database]:
    found = (reference() for reference in _databases.valuerefs())
    return [database for database in found if database is not None]


def _before_fork() -> None:
    _opening.acquire()
    for database in _all_databases():
        if database.before_fork():
            _fork.closed += (database,)


def _after_fork_in_parent() -> None:
    for database in _fork.closed:
        database.after_fork_in_parent()
    _fork.closed = ()
    _opening.release()


def _after_fork_in_child() -> None:
    global _opening
    _opening = threading.RLock()
    for database in _all_databases():
        database.after_fork()
    Database.abandon_open_files()
    _fork.closed = ()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
