"""A session joins settings, connection, waiter and history: what a notebook works with."""

from __future__ import annotations

import contextlib
import statistics
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import settings as settings_module
from .album import Album
from .catalogue import OPERATIONS
from .connection import Connection
from .errors import (
    PictureError,
    UsageError,
)
from .guesses import confirmed
from .inquiry import Inquiry
from .journal import Journal
from .ledger import Ledger
from .raw import raw_body, raw_operation
from .result import Result
from .sending import Sender
from .spec import Operation
from .task import Task
from .waiting import Waiter
from .wire import State

if TYPE_CHECKING:
    import pandas as pd

    from .comparison import Comparison
    from .images import Thumbnail


class Session:
    """The service (with keys) or the sandbox (without), one history, one waiter.

    Args:
        base_url: address of the service; also from IMGOPEN_BASE_URL or the settings.
        access_key_id: also from the environment, `%imgopen login` or Colab's secrets.
        access_key_secret: likewise.
        home: folder of the history; also from IMGOPEN_HOME.
        backend: "sandbox" uses the sandbox even where there are keys; also from IMGOPEN_BACKEND.

    Raises:
        SettingsError: half a key pair or an unusable address.
    """

    def __init__(
        self,
        base_url: str | None = None,
        access_key_id: str | None = None,
        access_key_secret: str | None = None,
        home: str | Path | None = None,
        backend: str | None = None,
    ) -> None:
        self.settings = settings_module.load(
            base_url=base_url,
            access_key_id=access_key_id,
            access_key_secret=access_key_secret,
            home=home,
            backend=backend,
        )
        self.journal = Journal(self.settings.home)
        self._connection = Connection(self.settings)
        self._album = Album(self._connection, self.journal)
        self._ledger = Ledger(
            self.journal,
            watch=lambda task: self._waiter.add(task),
            fetch=self._album.thumbnail,
            download=lambda url: self._connection.client.download(url),
            timeout=self.settings.timeout,
        )
        self._sender = Sender(self._connection, self._ledger)
        self._waiter = Waiter(Inquiry(self._connection, self._ledger))

    @property
    def ledger(self) -> Ledger:
        """The tasks that this session knows."""
        return self._ledger

    @property
    def backend(self) -> settings_module.Backend:
        """Real or sandbox."""
        return self.settings.backend

    def submit(self, operation: str, /, **params: Any) -> Task:
        """Check the parameters, write the task into the history, send it, and return its handle.

        Args:
            operation: a name of the catalogue, e.g. "describe".
            **params: its parameters; pictures as URL, path, bytes, PIL image or array.

        Raises:
            UsageError: nothing was sent; the message says what is off.
            PictureError: a picture cannot be read, or the real service cannot reach it.
            JournalError: the history cannot be written; nothing was sent.
            SubmissionLostError: whether the task was accepted cannot be found out now.
            APIError: the service did not accept it.
        """
        row = _runnable(operation)
        values = self.check(row, params)
        delivery = self._connection.delivery()
        delivery.path(row)  # refuses a path that is only a guess before anything is read or sent
        if self.backend == "real":
            row, values = confirmed(row, values, params, self.settings.fields.get(row.name, {}))
        shown, sent = self._album.resolve(row, values)
        return self._sender.send(row, shown, lambda task_id: row.body(sent, task_id))

    def call(self, path: str, body: Mapping[str, Any]) -> Task:
        """Send any JSON body to any path, with keys, history and polling as usual.

        Args:
            path: e.g. "/tool/video/expand"; the vendor's prefix may be left out.
            body: the JSON object; our task id is put in where the path's family has one.

        Raises:
            ImgOpenError: as `submit` raises.
        """
        row = raw_operation(path)
        shown = {"path": row.path, "body": dict(body)}
        return self._sender.send(row, shown, lambda task_id: raw_body(row, body, task_id))

    def run(self, operation: str, /, timeout: float | None = None, **params: Any) -> Result:
        """Submit an operation, wait for its end and return the result.

        Args:
            operation: a name of the catalogue, e.g. "describe".
            timeout: seconds to wait at most; the session's setting (600) if not given.
            **params: its parameters.

        Raises:
            TaskError: it failed, or did not end in time.
            ImgOpenError: as `submit` raises.
        """
        return self.submit(operation, **params).result(timeout)

    def run_all(
        self,
        operation: str,
        calls: Iterable[dict[str, Any]],
        timeout: float | None = None,
        *,
        follow: Callable[[list[Task]], None] | None = None,
    ) -> list[Result]:
        """Submit several calls of one operation, wait for all, and return a result for each.

        `follow` is called with the tasks once all are sent, to show how they get on.

        A call that fails gives a result with `status` and `error` and loses no other one. Calls
        that could not even be sent, because of a slip, raise before the first is sent.
        """
        from .batch import run_all

        return run_all(self, _runnable(operation), list(calls), timeout, follow)

    def check(self, row: Operation, params: dict[str, Any]) -> dict[str, Any]:
        """Return the parameters of a call checked, with presets and the user's preferences."""
        return row.check({**self._preferences(row), **params})

    def usual(self, task: Task) -> tuple[float, float] | None:
        """Return median and 90 % quantile of the seconds such tasks took, None for too few."""
        known = self.journal.durations(task.operation.name, task.model, task.backend)
        if len(known) < 5:
            return None
        tenths = statistics.quantiles(known, n=10)
        return statistics.median(known), tenths[-1]

    def task(self, task_id: str) -> Task:
        """Return the handle of a task of the history, by its id or the beginning of it.

        Raises:
            UnknownNameError: the history has no such task.
        """
        return self._ledger.find(task_id)

    def resume(self) -> list[Task]:
        """Take up every task of this backend that has not ended, and return their handles."""
        open_states = [state.value for state in State if not state.final]
        rows = self.journal.rows(status=open_states, backend=self.backend, columns=("task_id",))
        tasks = [self.task(row["task_id"]) for row in rows]
        for task in tasks:
            task.watch()
        return tasks

    def history(
        self,
        *,
        operation: str | None = None,
        model: str | None = None,
        status: str | Iterable[str] | None = None,
        since: Any = None,
        backend: str | None = None,
        limit: int | None = None,
    ) -> pd.DataFrame:
        """Return the task history as a DataFrame, one row per task, oldest first.

        Args:
            operation: keep only this operation.
            model: keep only this model.
            status: one status or several: succeeded, failed, refused, running, submitted ...
            since: a datetime, an ISO date, a timedelta, or "30min", "12h", "7d" back from now.
            backend: "real" or "sandbox".
            limit: keep only the newest so many.
        """
        from .frames import history_frame

        rows = self.rows(
            operation=operation,
            model=model,
            status=status,
            since=since,
            backend=backend,
            limit=limit,
        )
        return history_frame(rows)

    def rows(self, **filters: Any) -> list[dict[str, Any]]:
        """Return the task history as dictionaries; the filters are those of `history`."""
        if filters.get("operation"):
            _runnable(filters["operation"])
        if filters.get("since") is not None:
            from .frames import since

            filters["since"] = since(filters["since"])
        return self.journal.rows(**filters)

    def reach(self) -> float:
        """Return the seconds that an answer of the service takes, whatever it is.

        Raises:
            NetworkError: no answer comes.
        """
        return self._connection.client.reach()

    def download(self, url: str) -> bytes:
        """Return the bytes of a picture whose address the user gave.

        Raises:
            PictureError: it cannot be had, or is too large.
        """
        return self._connection.client.download(url, trusted=True)

    def small(self, label: str, size: int = 192) -> Thumbnail:
        """Return a small version of a picture, by its URL, path, sample or name in the history.

        Raises:
            PictureError: it cannot be had, or is no picture.
        """
        return self._album.thumbnail(label, size)

    def thumbnail(self, label: str, size: int = 192) -> Thumbnail | None:
        """Return a small version of a picture of the history, or None if it cannot be had."""
        with contextlib.suppress(PictureError):
            return self.small(label, size)
        return None

    def close(self) -> None:
        """Stop asking, close the connections and the history, end the sandbox."""
        self._waiter.close()
        self._connection.close()
        self.journal.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        where = self.settings.base_url or "on this machine"
        return f"Session({self.backend}: {where}, history in {str(self.settings.home)!r})"

    def _preferences(self, row: Operation) -> dict[str, Any]:
        model = self.settings.model if row.name == "describe" else ""
        return {"model": model} if model else {}


_current: Session | None = None
_current_lock = threading.Lock()


def current() -> Session:
    """Return the session that magics and forms use; made on first use."""
    global _current
    with _current_lock:
        if _current is None:
            _current = Session()
        return _current


def set_current(session: Session | None) -> None:
    """Make a session the current one; None has the next use make a new one."""
    global _current
    with _current_lock:
        _current = session


def compare(source: pd.DataFrame | Iterable[Result]) -> Comparison:
    """Compare the captions that several models gave to the same pictures.

    Args:
        source: a history DataFrame (`session.history()`) or results of describe.

    Returns:
        The comparison, shown as a table; its `wide()`, `tidy()` and `agreement()` are DataFrames.
        `comparison.compare` tells how a sentence and a list of tags are made comparable.
    """
    from . import comparison

    session = current()

    def small(label: str) -> bytes | None:
        found = session.thumbnail(label)
        return found.jpeg if found else None

    return comparison.compare(source, thumbnail=small)


def _runnable(name: str) -> Operation:
    row = OPERATIONS[name]
    if row.kind == "status":
        raise UsageError(
            f"{name} is not run by itself: tasks ask it", hint="use task.wait(), or %imgopen wait"
        )
    return row
