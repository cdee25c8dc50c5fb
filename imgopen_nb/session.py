"""The session, the object that a notebook works with: a facade over `tasks/manager.py`."""

from __future__ import annotations

import contextlib
import math
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .batch.batch import Batch, main_param, refuse_options
from .batch.plan import Plan
from .batch.rows import Limits, Watch
from .batch.sources import source_of
from .batch.stream import run_all
from .callbacks.public_urls import PublicUrls
from .captions.comparison import Comparison
from .config.credentials import NotPickled, Secret, hidden
from .config.settings import Backend, load
from .datasets.selection import identities, select
from .errors import ParameterError, PictureError
from .history.history import History, flag
from .images.thumbnail import Thumbnail
from .tasks.manager import TaskManager
from .tasks.result import Result
from .tasks.sending import Sending
from .tasks.submission import runnable
from .tasks.task import Task, TimeLimit, is_time, time_limit
from .text import in_words

if TYPE_CHECKING:
    from .datasets.dataset import Dataset


class Session(NotPickled):
    """The real service (with keys) or the sandbox (without keys), and one history of tasks.

    Args:
        base_url: address of the service; also from IMGOPEN_BASE_URL or the settings file.
        access_key_id: also from the environment, `%imgopen login` or Colab's secrets.
        access_key_secret: likewise.
        home: folder that holds the history; also from IMGOPEN_HOME.
        backend: "sandbox" uses the sandbox even if there are keys; also from IMGOPEN_BACKEND.

    Attributes:
        settings: the settings it was created with.
        history: the tasks so far; `history()` returns them as a DataFrame.
        last_batch: the last batch that `map` ran; boards and galleries show it by default.
        manager: the parts behind the session; not for direct use.

    Raises:
        SettingsError: only half of a key pair or no key is given, or the address cannot be used.

    Example:
        >>> with Session(backend="sandbox") as session:
        ...     session.run("describe", image="sample:coffee").caption
    """

    def __init__(
        self,
        base_url: str | None = None,
        access_key_id: str | Secret | None = None,
        access_key_secret: str | Secret | None = None,
        home: str | Path | None = None,
        backend: str | None = None,
    ) -> None:
        access_key_id, access_key_secret = hidden(access_key_id), hidden(access_key_secret)
        self.settings = load(
            base_url=base_url,
            access_key_id=access_key_id,
            access_key_secret=access_key_secret,
            home=home,
            backend=backend,
        )
        self.manager = TaskManager(self.settings)
        self.history = History(self.manager.table, partial(identities, self.manager))
        self.last_batch: Batch | None = None

    @property
    def backend(self) -> Backend:
        """Which backend it uses: "real" or "sandbox"."""
        return self.settings.backend

    @property
    def links(self) -> PublicUrls:
        """The addresses that the service uses for callbacks and for local images."""
        return self.manager.urls

    def submit(
        self,
        operation: str,
        /,
        *unnamed: Any,
        fresh: bool = False,
        timeout: float | None = None,
        **params: Any,
    ) -> Task:
        """Check the parameters, write the task to the history, send it, and return it.

        Args:
            operation: the name of an operation in the catalogue, e.g. "describe".
            *unnamed: nothing; an error names the parameters of what was given without a name.
            fresh: send it even if the same call was made before. Otherwise the earlier task is
                returned, still running or with its result (`task.cached`).
            timeout: seconds until the service must accept it; by default there is no limit.
            **params: its parameters; an image is a URL, path, bytes, PIL image or array.

        Raises:
            UsageError: nothing was sent; the message says what is wrong.
            PictureError: an image cannot be read, or the real service cannot reach it.
            JournalError: the history cannot be written; nothing was sent.
            SubmissionLostError: the task may have been accepted, and there is no way to tell. If
                there is one, the task is returned with the state LOST instead; waiting for it asks
                the service, and sends it again if the service does not know it for `settle`
                seconds.
            APIError: the service did not accept it.
            TaskTimeoutError, TaskInterrupted: it is still being sent, or nothing was sent; the
                message says which.

        Example:
            >>> task = session.submit("describe", image="sample:coffee")
            >>> task.result().caption
        """
        _refuse_unnamed(operation, unnamed)
        limit = _acceptance(timeout)
        return self.sending(operation, fresh=fresh, **params).task(limit)

    def sending(self, operation: str, /, *, fresh: bool = False, **params: Any) -> Sending:
        """Return a call that another thread can stop; its method `task` sends it like `submit`.

        Args:
            operation: the name of an operation in the catalogue.
            fresh: as for `submit`.
            **params: its parameters, as for `submit`.
        """
        since = math.inf if fresh else None  # no earlier task counts
        row, submit = runnable(operation), self.manager.submitter.submit
        refuse_options(row, params)
        return Sending(row.name, partial(submit, row, params, since=since))

    def call(self, path: str, body: Mapping[str, Any], *, timeout: float | None = None) -> Task:
        """Send any JSON body to any path, with keys, history and polling as usual.

        Args:
            path: e.g. "/tool/video/expand"; the vendor's prefix may be left out.
            body: the JSON object; a task id is added if paths of this family take one.
            timeout: seconds until the service must accept it, as for `submit`.

        Raises:
            ImgOpenError: the same errors as `submit`.
        """
        limit, submit = _acceptance(timeout), self.manager.submitter.submit_raw
        return Sending(path, partial(submit, path, body)).task(limit)

    def run(
        self,
        operation: str,
        /,
        *unnamed: Any,
        timeout: float | None = None,
        fresh: bool = False,
        **params: Any,
    ) -> Result:
        """Submit an operation, wait until it finishes, and return the result.

        Args:
            operation: the name of an operation in the catalogue, e.g. "describe".
            *unnamed: nothing but the timeout; parameters have their names.
            timeout: the longest time to wait, in seconds; by default the session's setting (600).
            fresh: send it even if the same call was made before.
            **params: its parameters, as for `submit`.

        Raises:
            TaskError: it failed, or did not finish in time.
            ImgOpenError: the same errors as `submit`.

        Example:
            >>> result = session.run("upscale", image="sample:coffee")
            >>> result.images[0].pil()
        """
        if unnamed and timeout is None and is_time(unnamed[0]):
            timeout, unnamed = unnamed[0], unnamed[1:]
        _refuse_unnamed(operation, unnamed)
        limit = time_limit(timeout, self.settings.timeout)
        return self.submit(operation, fresh=fresh, timeout=limit, **params).result(limit)

    def run_all(
        self,
        operation: str,
        calls: Iterable[dict[str, Any]],
        timeout: float | None = None,
        *,
        fresh: bool = False,
        watch: Watch | None = None,
    ) -> list[Result]:
        """Run several calls of one operation and return a result for each, in the given order.

        A call that fails gives a result with `status` and `error`; the others continue. All calls
        are checked first: if one has a mistake, an error is raised and nothing is sent.

        Args:
            operation: the name of an operation in the catalogue.
            calls: the parameters of each call.
            timeout: seconds for each call; by default the session's setting (600).
            fresh: send them even if the same calls were made before.
            watch: called with each outcome as it arrives, and with None at regular intervals.

        Raises:
            UsageError: a call has a mistake; nothing was sent.
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
        """Run an operation on many images (or prompts), with every combination of a grid.

        A row that fails keeps its place in the batch, and the others continue. Rows that are
        already done come from the cache: after Ctrl-C or a kernel crash, run the same call again.

        Args:
            operation: the name of an operation in the catalogue.
            images: a list or generator; a column or frame of pandas, polars, Arrow or another
                library; a Hugging Face dataset; a folder or glob; a .csv, .tsv, .jsonl, .json,
                .parquet or .txt file; images in a .zip file. Prompts for operations that take
                no image.
            column: the column of a table to use; without it one is chosen, and the plan says which.
            concurrency: how many tasks run at a time.
            timeout: seconds for each row, or a timedelta; by default the session's setting (600).
            most: how many tasks may be sent at most; rows from the cache do not count.
            fresh: send them even if the same calls were made before; an image that is in the input
                twice is sent once. If such a batch is interrupted, or `most` ends it, the same call
                within 24 hours continues it without sending anything again. This needs an input
                that can be recognized: paths, URLs, texts or bytes.
            dry_run: send nothing and return the plan.
            progress: whether to show a progress bar.
            **grid: the other parameters. A list, an array, a column or another collection runs each
                of its values (`models=` means `model=`).

        Returns:
            The batch (`.wide()`, `.frame()`, `.results()`, `.errors()`), or its plan.

        Raises:
            UsageError: a parameter or the input is wrong; nothing was sent.
            TaskInterrupted: Ctrl-C was pressed.

        Example:
            >>> batch = session.map("describe", "photos/*.jpg", models=["clip", "deepdanbooru"])
            >>> batch.wide()  # one row for each image, one column for each model
        """
        row = runnable(operation)
        limits = Limits(concurrency, timeout, most, fresh or self.settings.cache == "off")
        batch = Batch(self.manager, row, source_of(images, column, main_param(row)), grid, limits)
        if dry_run:
            return batch.plan()
        self.last_batch = batch
        return batch.run(progress)

    def dataset(self, source: Any = None, name: str | None = None) -> Dataset:
        """Return images with their captions, to be cleaned and written for a trainer.

        Caption files beside the images are read. All steps are kept in the history, so the same
        call has them again tomorrow.

        Args:
            source: a folder, a glob, a list of images, a DataFrame or a batch; by default the last
                batch of the session, or else the whole history.
            name: the name under which its steps are kept; by default the folder of the images.

        Raises:
            UsageError: there are no images.

        Example:
            >>> ds = session.dataset("photos")
            >>> ds.describe()
        """
        from .datasets.dataset import Dataset

        return Dataset(self.manager, self.last_batch if source is None else source, name)

    def task(self, task_id: str | Task | Result) -> Task:
        """Return a task from the history, by its id or the beginning of its id.

        A task or a result can be given instead of its id.

        Raises:
            UnknownNameError: the history has no such task.
        """
        wanted: Any = getattr(task_id, "task_id", task_id)
        task = self.manager.store.find(wanted)
        self.manager.saver.ended(task)
        return task

    def resume(self, *, send_lost: bool = False) -> list[Task]:
        """Poll every unfinished task of this backend, and return the tasks.

        If it is unknown whether a task was sent, the service is asked. The task is sent only if the
        service does not know it, and the time in the setting `settle` (120 s) has passed since.

        Args:
            send_lost: skip that wait, if you know that it did not arrive.

        Example:
            >>> [task.result() for task in session.resume()]  # after a restart of the kernel
        """
        send_lost = flag("send_lost", send_lost)
        tasks = self.manager.open_tasks()
        self.manager.save_recent()
        for task in tasks:
            if send_lost:
                self.manager.submitter.send_lost(task)
            task.watch()
        if send_lost:
            self.manager.scheduler.bring_forward((task, 0.0) for task in tasks)
        return tasks

    def rows(self, **filters: Any) -> list[dict[str, Any]]:
        """Return the history as dictionaries; takes the same filters as `history()`."""
        return self.history.rows(**filters)

    def reach(self) -> float:
        """Return how many seconds the service takes to answer; any answer counts.

        Raises:
            NetworkError: there is no answer.
        """
        return self.manager.backend.http.ping()

    def download(self, url: str) -> bytes:
        """Return the bytes of the image at a URL.

        Raises:
            PictureError: it cannot be fetched, or is too large.
        """
        return self.manager.thumbnails.download(url, trusted=True)

    def small(self, label: str, size: int = 192) -> Thumbnail:
        """Return a thumbnail of an image, by its URL, path, sample or name in the history.

        Args:
            label: the URL, path, "sample:..." or name.
            size: longest side in pixels.

        Raises:
            PictureError: it cannot be read, or is not an image.
        """
        return self.manager.thumbnails.thumbnail(label, size)

    def thumbnail(self, label: str, size: int = 192) -> Thumbnail | None:
        """Return a thumbnail of an image like `small`, or None if it cannot be read."""
        with contextlib.suppress(PictureError):
            return self.small(label, size)
        return None

    def close(self) -> None:
        """Stop waiting, close the connections and the history, and stop the sandbox.

        Tasks that were sent keep running at the service; `resume` in a new session waits for them.
        """
        self.manager.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        if not hasattr(self, "settings"):  # in the traceback of its own constructor
            return "Session(not made)"
        where = self.settings.base_url or "on this machine"
        return f"Session({self.backend}: {where}, history in {str(self.settings.home)!r})"


def _refuse_unnamed(operation: str, values: Sequence[Any]) -> None:
    """Refuse parameters without their names: only the operation has none.

    Raises:
        ParameterError: the hint names them.
    """
    if values:
        row = runnable(operation)
        params = [p.name for p in row.positional] or [p.name for p in row.user_params] or ["NAME"]
        told = (in_words(v) if isinstance(v, (str, int, float)) else "..." for v in values)
        named = (f"{name}={value}" for name, value in zip(params, told, strict=False))
        raise ParameterError(
            f"{row.name} takes its parameters by name",
            hint=f"name the parameter: {', '.join(named)}",
        )


def checked_session(session: Any) -> Session:
    """Return a session that was given, the current one for None.

    Raises:
        ParameterError: it is something else.
    """
    if session is None:
        return current()
    if not isinstance(session, Session):
        raise ParameterError(
            f"session must be a Session, not {in_words(session)}",
            hint="leave it out to use the current one: imgopen.current()",
        )
    return session


def _acceptance(timeout: float | None) -> TimeLimit | None:
    """Return how long a call may take to be accepted; None for as long as the service takes."""
    return None if timeout is None else time_limit(timeout, timeout)


_current: Session | None = None
_current_lock = threading.Lock()


def _after_fork_in_child() -> None:
    global _current_lock
    _current_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def current() -> Session:
    """Return the session that magics and forms use; it is created on first use."""
    global _current
    with _current_lock:
        if _current is None:
            _current = Session()
        return _current


def set_current(session: Session | None) -> None:
    """Make a session the current one; with None, the next use makes a new one.

    Raises:
        ParameterError: it is no session.
    """
    global _current
    session = None if session is None else checked_session(session)
    with _current_lock:
        _current = session


def compare(source: Any = None, **unknown: Any) -> Comparison:
    """Compare the captions that several models gave the same images.

    Args:
        source: a history DataFrame (`session.history()`), a batch, or results of describe: their
            captions are compared. Or images (a folder, a glob, a list of paths and URLs, a
            DataFrame with a column of images): all their captions in the history are compared. By
            default the last batch of the session, or else the whole history.
        **unknown: nothing; an error says how images are described first.

    Returns:
        The comparison, shown as a table; `wide()`, `tidy()` and `agreement()` return DataFrames.
        `comparison.compare` explains how a sentence is compared with a list of tags.

    Raises:
        UsageError: there is nothing to compare.

    Example:
        >>> session.map("describe", "photos", models=["clip", "deepdanbooru"])
        >>> imgopen.compare("photos")
    """
    if unknown:
        raise ParameterError(
            f"compare takes no {next(iter(unknown))}: it compares captions that there are, and "
            "sends nothing",
            hint="to describe and compare at once: %imgopen compare IMAGES --models clip; in "
            'Python: session.map("describe", images, models=[...]), then compare(images)',
        )
    session = current()
    return select(session.manager, source, session.last_batch).comparison()


def dataset(source: Any = None, name: str | None = None, session: Session | None = None) -> Dataset:
    """Return images with their captions, to be cleaned and written for a trainer.

    Args:
        source: a folder, a glob, a list of images, a DataFrame or a batch; by default the last
            batch, or else the whole history.
        name: the name under which its steps are kept; by default the folder of the images.
        session: the session to use; by default the current one.

    Raises:
        UsageError: there are no images, or `session` is no session.

    Example:
        >>> ds = imgopen.dataset("photos")
        >>> ds.describe()  # cached results cost nothing
        >>> ds.merge()
        >>> ds.write(trainer="kohya")
    """
    return checked_session(session).dataset(source, name)
