"""The one place where the parts behind a session are connected."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from weakref import WeakSet

from ..api.backend import Backend
from ..callbacks.inbox import Inbox
from ..callbacks.public_urls import PublicUrls
from ..callbacks.served_pictures import ServedPictures
from ..catalogue.status import UNSENT
from ..config.credentials import NotPickled
from ..config.settings import Settings, home_folder, load
from ..database.database import FILE, Database
from ..database.task_table import TaskTable
from ..database.written_files import WrittenFiles
from ..errors import ImgOpenError, JournalError, PictureError, SettingsError, WaitCancelledError
from ..images.cache import SMALL, ThumbnailCache
from ..images.download import Downloader
from ..images.identity import PictureIdentifier, by_content, name_of
from ..images.picture import read_picture
from ..images.thumbnail import Thumbnail
from ..media.stores import is_store
from .callback_trust import CallbackTrust
from .earlier_versions import EarlierTasks
from .inputs import InputResolver
from .polling.poller import Poller
from .polling.scheduler import Scheduler
from .polling.timing import Timing
from .saver import MOST_WAIT, RECENT, Saver
from .session_lock import SessionLock
from .store import TaskStore
from .submission import Submitter
from .task import Task


class Home(str):
    """The folder of a history, by which pickled results and tasks find their session again.

    It is that of the session that made them; after unpickling, a session of this process that has
    the same history and service, or else one is opened.

    Attributes:
        backend, base_url: the service of the session.
    """

    backend: str
    base_url: str
    _manager: TaskManager | None

    def __new__(
        cls, folder: str, backend: str, base_url: str, manager: TaskManager | None = None
    ) -> Home:
        """Return the home of a session."""
        made = super().__new__(cls, os.path.abspath(folder))
        made.backend, made.base_url, made._manager = backend, base_url, manager
        return made

    def __reduce__(self) -> Any:
        return Home, (str(self), self.backend, self.base_url)

    def __copy__(self) -> Home:
        return self

    def __deepcopy__(self, memo: object) -> Home:
        return self

    def download(self, url: str, task_id: str, number: int) -> bytes:
        """Return the bytes of an image that a task made, from its file if it was kept.

        Raises:
            PictureError: it cannot be fetched, or the history is not there any more.
        """
        found = self._found(PictureError)
        return found.saver.read(task_id, number) or found.thumbnails.download(url)

    def kept(self, task_id: str) -> list[Path]:
        """Return the files of the images that a task made, once they are saved.

        Raises:
            JournalError: the history is not there any more.
        """
        saver = self._found().saver
        saver.wait(task_id, MOST_WAIT)
        return saver.files(task_id)

    def thumbnail(self, image: str, size: int, *, picture: str, trusted: bool) -> Thumbnail:
        """Return a thumbnail; see `TaskManager.thumbnail`.

        Raises:
            PictureError: it cannot be read, or the history is not there any more.
        """
        found = self._found(PictureError)
        return found.thumbnail(image, size, picture=picture, trusted=trusted)

    def write(self, contents: Mapping[Path, str | bytes], *, overwrite: bool) -> None:
        """Write files; see `WrittenFiles.write`.

        Raises:
            JournalError: the history is not there any more.
        """
        self._found().files.write(contents, overwrite=overwrite)

    def task(self, task_id: str) -> Task:
        """Return the handle of a task.

        Raises:
            JournalError, UnknownNameError: the history, or the task in it, is not there any more.
            SettingsError: it has not ended, and its service cannot be asked from here.
        """
        manager = self._found()
        task = manager.store.find(task_id)
        asked = manager.settings.backend, manager.settings.base_url
        if not task.done and asked != (self.backend, self.base_url):
            where = self.base_url or f"the {self.backend} service"
            raise SettingsError(
                f"the task {task_id} was sent to {where}, but this process has no session for it",
                hint="open that Session first, with its access key",
            )
        return task

    def _found(self, error: type[ImgOpenError] = JournalError) -> TaskManager:
        if self._manager is None:
            self._manager = self._held(self) or self._opened(error)
        return self._manager

    def _held(self, folder: str) -> TaskManager | None:
        """Return this process's session of a history, for the same service."""
        here = (folder, self.backend, self.base_url)
        for manager in list(_managers):
            home = manager.home
            if not manager.closed and here == (home, home.backend, home.base_url):
                return manager
        return None

    def _opened(self, error: type[ImgOpenError]) -> TaskManager:
        """Return a session of this history, or of the present home if that folder was moved.

        An address of the real service in a pickle is not taken: the access key would go there.
        """
        folders = (Path(self), home_folder())
        folder = next((each for each in folders if (each / FILE).is_file()), None)
        if folder is None:
            raise error(
                f"this came from the history in {self}, which is not on this machine",
                hint="copy that folder here, or set IMGOPEN_HOME to where it is now",
            )
        if held := self._held(str(folder)):
            return held
        if self.backend == "real":
            with contextlib.suppress(SettingsError):  # what was made can be fetched without keys
                return _open(load(home=folder, backend="real"))
        address = self.base_url if self.backend == "sandbox" else ""
        return _open(load(home=folder, backend="sandbox", base_url=address))


class TaskManager(NotPickled):
    """Everything that the tasks of one session need, connected.

    Args:
        settings: the service, the keys and the home folder.

    Attributes:
        home: the folder of the history, as results keep it.
        database, table: the history's file, and its table of tasks.
        files: writes files where users have theirs.
        backend: the real service or the sandbox.
        served: the places of local images by the setting `pictures`.
        urls, trust: addresses for the service, and how far its callbacks can be relied on.
        identifier, thumbnails: which image it is, and small versions of images.
        store: task rows and task handles.
        saver: keeps the images that tasks made, by the setting `save`.
        submitter: turns calls into tasks.
        earlier_tasks: those of earlier versions, whose images are known by name only.
        timing, scheduler: when to poll which task, and the threads that do it.
    """

    instead = "it belongs to its session; create a new Session where you need it"

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.closed = False
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
        self.home = Home(str(settings.home), settings.backend, settings.base_url, self)
        self.store = TaskStore(
            self.table,
            timeout=settings.timeout,
            watch=self._watch,
            home=self.home,
        )
        self.served = ServedPictures(settings, self._downloader)
        inputs = InputResolver(
            self.backend, self.identifier, self.thumbnails, self.urls, self.served
        )
        self.saver = Saver(settings.save, self.table, self.store.result)
        self.store.saver = self.saver
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
            self.backend, self.urls, self.served, self._downloader, self.identifier, self.store,
            self.saver, self._lock, self.submitter, self.earlier_tasks, self.timing, self.scheduler,
            self._inbox,
        ):  # fmt: skip
            part.after_fork()

    def open_tasks(self) -> list[Task]:
        """Return the tasks of this backend that have not ended, oldest first."""
        rows = self.table.open_tasks(self.settings.backend, self.settings.base_url)
        return [self.store.load(row) for row in rows]

    def save_recent(self) -> None:
        """Save the images that tasks of this backend made lately, and that nobody saved."""
        if self.saver.folder:
            place = self.settings.backend, self.settings.base_url
            for row in self.table.unsaved(*place, time.time() - RECENT):
                self.saver.ended(self.store.load(row))

    def thumbnail(
        self, image: str, size: int = SMALL, *, picture: str | None = None, trusted: bool = True
    ) -> Thumbnail:
        """Return a thumbnail; see `ThumbnailCache.thumbnail`.

        An image of an earlier version, which is known by its name only, is looked for under that
        name; it is shown if it is the one that all tasks of this name were given.

        Raises:
            PictureError: it cannot be read, or another image has its name by now.
        """
        known_name = picture and name_of(picture) == image
        if known_name and not image.startswith("<") and not is_store(image):
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
        """Make a new key for callbacks and published images; no earlier address works after.

        Raises:
            SettingsError: it cannot be written.
        """
        self.urls.signer.rotate()
        self.trust.forget()

    def close(self) -> None:
        """End all waits, close the connections and the history, and stop the sandbox."""
        self.saver.close()
        self.closed = True
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
        if task.watched and self.closed:
            self._let_go(task)
        elif task.watched:
            self._inbox.watch()
            delay = self._delay(task)
            if not self.scheduler.add(task, delay) and task.waited_for:
                self.scheduler.bring_forward([(task, delay)])  # it may have been held back
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
_kept: list[TaskManager] = []  # opened for what was unpickled


def _open(settings: Settings) -> TaskManager:
    manager = TaskManager(settings)
    _kept.append(manager)
    return manager


def _after_fork_in_child() -> None:
    for manager in _managers:
        manager.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
