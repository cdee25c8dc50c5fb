"""The session: what a notebook works with. A facade over `tasks/manager.py`."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .batch.batch import Batch, main_param
from .batch.plan import Plan
from .batch.rows import Limits, Watch
from .batch.sources import source_of
from .batch.stream import run_all
from .callbacks.public_urls import PublicUrls
from .captions.comparison import Comparison
from .captions.comparison import compare as compare_captions
from .config.settings import Backend, load
from .errors import PictureError
from .history.history import History
from .images.thumbnail import Thumbnail
from .tasks.manager import TaskManager
from .tasks.result import Result
from .tasks.submission import runnable
from .tasks.task import Task

if TYPE_CHECKING:
    import pandas as pd


class Session:
    """The service (with keys) or the sandbox (without), and one history.

    Args:
        base_url: address of the service; also from IMGOPEN_BASE_URL or the settings.
        access_key_id: also from the environment, `%imgopen login` or Colab's secrets.
        access_key_secret: likewise.
        home: folder of the history; also from IMGOPEN_HOME.
        backend: "sandbox" uses the sandbox even where there are keys; also from IMGOPEN_BACKEND.

    Attributes:
        settings: what it was made with.
        history: the tasks so far; called, it returns them as a DataFrame.
        manager: the parts behind it, joined.

    Raises:
        SettingsError: half a key pair or an unusable address.

    Example:
        >>> with Session(backend="sandbox") as session:
        ...     session.run("describe", image="sample:coffee").caption
    """

    def __init__(
        self,
        base_url: str | None = None,
        access_key_id: str | None = None,
        access_key_secret: str | None = None,
        home: str | Path | None = None,
        backend: str | None = None,
    ) -> None:
        self.settings = load(
            base_url=base_url,
            access_key_id=access_key_id,
            access_key_secret=access_key_secret,
            home=home,
            backend=backend,
        )
        self.manager = TaskManager(self.settings)
        self.history = History(self.manager.table)

    @property
    def backend(self) -> Backend:
        """Real or sandbox."""
        return self.settings.backend

    @property
    def links(self) -> PublicUrls:
        """The addresses that the service gets: for callbacks, and for pictures of this machine."""
        return self.manager.urls

    def submit(self, operation: str, /, *, fresh: bool = False, **params: Any) -> Task:
        """Check the parameters, write the task into the history, send it, and return its handle.

        Args:
            operation: a name of the catalogue, e.g. "describe".
            fresh: send it even if the same was asked before; else that task is returned, with its
                result (`task.cached`) or under way.
            **params: its parameters; pictures as URL, path, bytes, PIL image or array.

        Raises:
            UsageError: nothing was sent; the message says what is wrong.
            PictureError: a picture cannot be read, or the real service cannot reach it.
            JournalError: the history cannot be written; nothing was sent.
            SubmissionLostError: whether the task was accepted cannot be found out now.
            APIError: the service did not accept it.
        """
        return self.manager.submitter.submit(runnable(operation), params, fresh=fresh)

    def call(self, path: str, body: Mapping[str, Any]) -> Task:
        """Send any JSON body to any path, with keys, history and polling as usual.

        Args:
            path: e.g. "/tool/video/expand"; the vendor's prefix may be left out.
            body: the JSON object; our task id is put in where the path's family has one.

        Raises:
            ImgOpenError: as `submit` raises.
        """
        return self.manager.submitter.submit_raw(path, body)

    def run(
        self,
        operation: str,
        /,
        timeout: float | None = None,
        *,
        fresh: bool = False,
        **params: Any,
    ) -> Result:
        """Submit an operation, wait for its end and return the result.

        Args:
            operation: a name of the catalogue, e.g. "describe".
            timeout: seconds to wait at most; the session's setting (600) if not given.
            fresh: send it even if the same was asked before.
            **params: its parameters.

        Raises:
            TaskError: it failed, or did not end in time.
            ImgOpenError: as `submit` raises.
        """
        return self.submit(operation, fresh=fresh, **params).result(timeout)

    def run_all(
        self,
        operation: str,
        calls: Iterable[dict[str, Any]],
        timeout: float | None = None,
        *,
        fresh: bool = False,
        watch: Watch | None = None,
    ) -> list[Result]:
        """Run several calls of one operation and return a result for each, in their order.

        A call that fails gives a result with `status` and `error` and loses no other one. Calls
        that could not even be sent, because of a slip, raise before the first is sent.

        Args:
            operation: a name of the catalogue.
            calls: the parameters of each call.
            timeout: seconds for each call; the session's setting (600) if not given.
            fresh: send them even if the same was asked before.
            watch: is told of each outcome as it comes, and with None that time passes.
        """
        row = runnable(operation)
        return run_all(self.manager, row, list(calls), timeout, fresh=fresh, watch=watch)

    def map(
        self,
        operation: str,
        images: Any,
        /,
        *,
        column: str | None = None,
        concurrency: int = 16,
        timeout: float | None = None,
        most: int | None = None,
        fresh: bool = False,
        dry_run: bool = False,
        progress: bool = True,
        **grid: Any,
    ) -> Batch | Plan:
        """Run an operation on many pictures (or prompts), with every combination of a grid.

        A row that fails is a row of the outcome and stops no other one. What was done before comes
        from the history: after Ctrl-C or the death of the kernel, run the same again.

        Args:
            operation: a name of the catalogue.
            images: a list, Series, DataFrame, generator, folder, glob, or .csv, .jsonl or .parquet
                file; prompts for operations that take no picture.
            column: which column of a table.
            concurrency: tasks under way at a time.
            timeout: seconds for each row; the session's setting (600) if not given.
            most: the most tasks that may be sent (what the history has is not counted).
            fresh: send them even if the same was asked before.
            dry_run: send nothing and return the plan.
            progress: whether a bar is shown.
            **grid: the other parameters; of a list each value is run (`models=`: `model=`).

        Returns:
            The batch: `.wide()`, `.frame()`, `.results()`, `.errors()`; or its plan.

        Raises:
            UsageError: a parameter or the input does not fit; nothing was sent.
            TaskInterrupted: Ctrl-C.
        """
        row = runnable(operation)
        limits = Limits(concurrency, timeout, most, fresh or self.settings.cache == "off")
        batch = Batch(self.manager, row, source_of(images, column, main_param(row)), grid, limits)
        return batch.plan() if dry_run else batch.run(progress)

    def task(self, task_id: str) -> Task:
        """Return the handle of a task of the history, by its id or the beginning of it.

        Raises:
            UnknownNameError: the history has no such task.
        """
        return self.manager.store.find(task_id)

    def resume(self) -> list[Task]:
        """Take up every task of this backend that has not ended, and return their handles."""
        tasks = self.manager.open_tasks()
        for task in tasks:
            task.watch()
        return tasks

    def rows(self, **filters: Any) -> list[dict[str, Any]]:
        """Return the task history as dictionaries; the filters are those of `history`."""
        return self.history.rows(**filters)

    def reach(self) -> float:
        """Return the seconds that an answer of the service takes, whatever it is.

        Raises:
            NetworkError: no answer comes.
        """
        return self.manager.backend.http.ping()

    def download(self, url: str) -> bytes:
        """Return the bytes of a picture whose address the user gave.

        Raises:
            PictureError: it cannot be had, or is too large.
        """
        return self.manager.thumbnails.download(url, trusted=True)

    def small(self, label: str, size: int = 192) -> Thumbnail:
        """Return a small version of a picture, by its URL, path, sample or name in the history.

        Raises:
            PictureError: it cannot be had, or is no picture.
        """
        return self.manager.thumbnails.thumbnail(label, size)

    def thumbnail(self, label: str, size: int = 192) -> Thumbnail | None:
        """Return a small version of a picture of the history, or None if it cannot be had."""
        with contextlib.suppress(PictureError):
            return self.small(label, size)
        return None

    def close(self) -> None:
        """Stop asking, close the connections and the history, end the sandbox."""
        self.manager.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        where = self.settings.base_url or "on this machine"
        return f"Session({self.backend}: {where}, history in {str(self.settings.home)!r})"


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
    session = current()

    def small(label: str) -> bytes | None:
        found = session.thumbnail(label)
        return found.jpeg if found else None

    return compare_captions(source, thumbnail=small)
