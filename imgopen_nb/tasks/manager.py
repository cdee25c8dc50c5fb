"""The one place where the parts behind a session are connected."""

from __future__ import annotations

import os
from weakref import WeakSet

from ..api.backend import Backend
from ..callbacks.inbox import Inbox
from ..callbacks.public_urls import PublicUrls
from ..catalogue.status import UNSENT
from ..config.settings import Settings
from ..database.database import Database
from ..database.task_table import TaskTable
from ..database.written_files import WrittenFiles
from ..errors import WaitCancelledError
from ..images.cache import SMALL, ThumbnailCache
from ..images.download import Downloader
from ..images.identity import PictureIdentifier, by_content, name_of
from ..images.picture import read_picture
from ..images.thumbnail import Thumbnail
from .callback_trust import CallbackTrust
from .earlier_versions import EarlierTasks
from .inputs import InputResolver
from .polling.poller import Poller
from .polling.scheduler import Scheduler
from .polling.timing import Timing
from .session_lock import SessionLock
from .store import TaskStore
from .submission import Submitter
from .task import Task


class TaskManager:
    """Everything that the tasks of one session need, connected.

    Args:
        settings: the service, the keys and the home folder.

    Attributes:
        database, table: the history's file, and its table of tasks.
        files: writes files where users have theirs.
        backend: the real service or the sandbox.
        urls, trust: addresses for the service, and how far its callbacks can be relied on.
        identifier, thumbnails: which picture it is, and small versions of pictures.
        store: task rows and task handles.
        submitter: turns calls into tasks.
        earlier_tasks: those of earlier versions, whose pictures are known by name only.
        timing, scheduler: when to poll which task, and the threads that do it.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._closed = False
        self.database = Database(settings.home)
        self.table = TaskTable(self.database)
        self.files = WrittenFiles(self.database)
        self.backend = Backend(settings, self.database)
        self.urls = PublicUrls(settings)
        self.trust = CallbackTrust()
        self._downloader = Downloader(lambda: self.backend.address)
        self.identifier = PictureIdentifier(self.backend, self.database, self._downloader)
        self.thumbnails = ThumbnailCache(
            self.backend, self.database, self._downloader, self.identifier
        )
        self.store = TaskStore(
            self.table,
            timeout=settings.timeout,
            watch=self._watch,
            thumbnail=self.thumbnail,
            download=self.thumbnails.download,
            write=self.files.write,
        )
        inputs = InputResolver(self.backend, self.identifier, self.thumbnails, self.urls)
        self._lock = SessionLock(settings.home)
        self.submitter = Submitter(
            self.backend, self.store, inputs, self._lock, self.urls, self.trust
        )
        self.earlier_tasks = EarlierTasks(self.table, self.submitter.backend_key)
        self.timing = Timing(self.table, self.trust.hold)
        parts = (self.backend, self.store, self.submitter, self.timing, self.trust)
        poller = Poller(*parts, reschedule=self._reschedule)
        self.scheduler = Scheduler(poller)
        self._inbox = Inbox(self.database, poller.on_callback, wanted=lambda: self.scheduler.busy)
        _managers.add(self)

    def after_fork(self) -> None:
        """Make everything that belongs to one process anew, in a forked child.

        The parts stay the same objects. The databases and the pools of connections see to
        themselves, as they are used without a manager too.
        """
        for part in (
            self.backend, self.urls, self._downloader, self.identifier, self.store, self._lock,
            self.submitter, self.earlier_tasks, self.timing, self.scheduler, self._inbox,
        ):  # fmt: skip
            part.after_fork()

    def open_tasks(self) -> list[Task]:
        """Return the tasks of this backend that have not ended, oldest first."""
        rows = self.table.open_tasks(self.settings.backend, self.settings.base_url)
        return [self.store.load(row) for row in rows]

    def thumbnail(
        self, image: str, size: int = SMALL, *, picture: str | None = None, trusted: bool = True
    ) -> Thumbnail:
        """Return a thumbnail; see `ThumbnailCache.thumbnail`.

        A picture of an earlier version, which is known by its name only, is looked for under that
        name; it is shown if it is the one that all tasks of this name were given.

        Raises:
            PictureError: it cannot be read, or another picture has its name by now.
        """
        if picture and name_of(picture) == image and not image.startswith("<"):
            found = read_picture(image)
            if found.data is not None:
                identity = by_content(found.data)
                self.earlier_tasks.identify([identity])
                rows = self.table.rows(pictures=[identity.picture], columns=("image",))
                if {"image": image} in rows and len(self.table.pictures_named(image)) == 1:
                    picture = identity.picture
        trusted = trusted and not self.table.only_imported(image, picture)
        return self.thumbnails.thumbnail(image, size, picture=picture, trusted=trusted)

    def rotate(self) -> None:
        """Make a new key for callbacks and published pictures; no earlier address works after.

        Raises:
            SettingsError: it cannot be written.
        """
        self.urls.signer.rotate()
        self.trust.forget()

    def close(self) -> None:
        """End all waits, close the connections and the history, and stop the sandbox."""
        self._closed = True
        for task in self.store.handles():
            self._let_go(task)
        self._inbox.close()
        self.scheduler.close()
        self.backend.close()
        self._downloader.close()
        self.database.close()
        self._lock.release()

    def _watch(self, task: Task) -> None:
        """Begin to poll a task, or let go of it if its wait was given up."""
        if task.watched and self._closed:
            self._let_go(task)
        elif task.watched:
            self._inbox.watch()
            self.scheduler.add(task, self._delay(task))
        else:  # the poller drops it
            self.scheduler.bring_forward([(task, 0.0)])

    def _let_go(self, task: Task) -> None:
        """End the waits for a task, as nobody polls it any more."""
        task.withdraw()
        text = f"the session of {task.operation.name} {task.id} is closed"
        task.abort_waits(WaitCancelledError(text, task=task, hint=task.outlook))

    def _reschedule(self, tasks: list[Task]) -> None:
        self.scheduler.bring_forward([(task, self._delay(task)) for task in tasks])

    def _delay(self, task: Task) -> float:
        ready = task.state.final or task.state in UNSENT
        return 0.0 if ready else self.timing.seconds_to_next_poll(task)


_managers: WeakSet[TaskManager] = WeakSet()


def _after_fork_in_child() -> None:
    for manager in _managers:
        manager.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
