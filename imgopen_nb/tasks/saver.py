"""The setting `save`: images that the service made are kept in a folder when their task ends.

How long the service keeps them is not known. A task whose end this process does not live to save is
saved when it is next seen: by `resume`, by its id, or when the same call is made again.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import json
import queue
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from weakref import WeakSet

from ..catalogue.status import State
from ..database.task_table import TaskTable
from ..errors import ImgOpenError, JournalError
from ..text import decode_json
from .result import Result
from .task import Task

SAVED = "saved"  # the event of a task that says which files were written
MAX_THREADS = 4
PAUSE = 1.0  # seconds before the second attempt, which is the last
MOST_WAIT = 30.0  # seconds for which a result waits for its files
LEAVING = 15.0  # seconds for which a process that ends waits for all of them
RECENT = 7 * 86400.0  # seconds; what is older and was not saved is not looked for


class Saver:
    """Saves the images of tasks in threads of its own, and knows the files that it wrote.

    Args:
        folder: where to; "" saves nothing.
        table: the history, in which the files are noted as an event of the task.
        build: returns the result of a task that has succeeded.
    """

    def __init__(self, folder: str, table: TaskTable, build: Callable[[Task], Result]) -> None:
        self.folder = folder
        self._table = table
        self._build = build
        self._closed = threading.Event()
        self.after_fork()
        _savers.add(self)

    def after_fork(self) -> None:
        """Begin without threads and tasks; a forked child does so again."""
        self._lock = threading.RLock()
        self._queue: queue.SimpleQueue[Task] = queue.SimpleQueue()
        self._open: dict[str, threading.Event] = {}
        self._threads = 0
        closed, self._closed = self._closed.is_set(), threading.Event()
        if closed:
            self._closed.set()

    def ended(self, task: Task) -> None:
        """Save the images of a task that has ended, if there are any; returns at once."""
        makes = task.operation.kind == "images" and task.state is State.SUCCEEDED
        if not (self.folder and makes) or self._closed.is_set():
            return
        with self._lock:
            if task.id in self._open:
                return
            self._open[task.id] = threading.Event()
            self._queue.put(task)
            if self._threads < MAX_THREADS:
                with contextlib.suppress(RuntimeError):  # Python is ending: see `resume`
                    thread = threading.Thread(target=self._work, name="imgopen-saver", daemon=True)
                    thread.start()
                    self._threads += 1

    def wait(self, task_id: str, seconds: float) -> None:
        """Wait until the images of a task are saved, if that is under way."""
        with self._lock:
            saving = self._open.get(task_id)
        if saving and seconds > 0:
            saving.wait(min(seconds, MOST_WAIT))

    def files(self, task_id: str) -> list[Path]:
        """Return the images of a task that were saved and are still there, in their order."""
        return [path for path, _ in self._saved(task_id) if path.is_file()]

    def read(self, task_id: str, number: int) -> bytes | None:
        """Return an image of a task from its file; None if there is none, or it was edited.

        Args:
            task_id: the task.
            number: the image's place among `Result.images`.
        """
        saved = self._saved(task_id)
        if number >= len(saved):
            return None
        path, sha256 = saved[number]
        try:
            data = path.read_bytes()
        except OSError:
            return None
        return data if hashlib.sha256(data).hexdigest() == sha256 else None

    def flush(self, seconds: float = LEAVING) -> None:
        """Wait until everything is saved, for so long at most."""
        end = time.monotonic() + seconds
        with self._lock:
            waiting = list(self._open.values())
        for saving in waiting:
            saving.wait(max(0.0, end - time.monotonic()))

    def close(self) -> None:
        """Wait for what is under way, and take no more."""
        self.flush()
        self._closed.set()
        with self._lock:  # nobody waits for what is left: `resume` of another session saves it
            for saving in self._open.values():
                saving.set()

    def _work(self) -> None:
        while True:
            with self._lock:
                if self._queue.empty() or self._closed.is_set():
                    self._threads -= 1
                    return
                task = self._queue.get()
            try:
                self._save(task)
            finally:
                with self._lock:
                    self._open.pop(task.id).set()

    def _save(self, task: Task) -> None:
        """Save the images of a task, unless they are; a failure becomes a remark on it."""
        for last in (False, True):
            try:
                if self._saved(task.id) or self._table.get(task.id)["imported"]:
                    return
                result = self._build(task)
                paths = result.save(self.folder)[: len(result.images)]
                told = [
                    (str(path), hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths
                ]
                self._table.add_event(task.id, SAVED, json.dumps({"files": told}))
                task.remark(f"saved in {self.folder}: {', '.join(path.name for path in paths)}")
                return
            except Exception as error:  # whatever it is, the result stays
                why = error.message if isinstance(error, ImgOpenError) else type(error).__name__
            if last or self._closed.wait(PAUSE):
                task.remark(f"not saved in {self.folder}: {why}")
                return

    def _saved(self, task_id: str) -> list[tuple[Path, str]]:
        """Return the files that were saved, each with the SHA-256 of its content."""
        try:
            events = self._table.events(task_id)
        except JournalError:
            return []
        details = [event["detail"] for event in events if event["state"] == SAVED]
        told: Mapping[str, Any] = decode_json(details[-1]) if details else {}
        return [(Path(path), sha256) for path, sha256 in told.get("files", [])]


_savers: WeakSet[Saver] = WeakSet()


def _flush_all() -> None:
    for saver in list(_savers):
        saver.flush()


atexit.register(_flush_all)
