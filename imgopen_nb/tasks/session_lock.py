"""Which sessions still run: each holds a file lock that ends with its process.

A task that was written but perhaps not sent may only be taken over from a session that has ended.
Locks show this without a clock. If the file system has no locks, the process id is used instead.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from ..files import make_private_folder, shared_on_purpose

FOLDER = "sessions"
# Ending of the name of a session that could not get a lock.
UNLOCKED = "-pid"
_inherited: list[FileLock] = []  # of parents
_NAME = re.compile(rf"(\d{{1,10}})-[0-9a-f]{{12}}({UNLOCKED})?")


class SessionLock:
    """The lock of one session in a home folder; its `id` is made on first use."""

    def __init__(self, home: Path) -> None:
        self._folder = home / FOLDER
        self._held: FileLock | None = None
        self.after_fork()

    def after_fork(self) -> None:
        """Begin as a session of its own; a forked child does so again.

        The parent keeps the file lock that it has: its child must not even drop the object, as
        older versions of filelock would release the lock with it.
        """
        if self._held is not None:
            _inherited.append(self._held)
        self._guard = threading.Lock()
        self._id = ""
        self._held = None
        self._uses = 0
        self._releasing = False

    @property
    def id(self) -> str:
        """The name of this session, locked while its process runs."""
        with self._guard:
            if not self._id:
                self._id = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
                self._held = self._lock(self._id)
                try:
                    self._make_folder()
                    self._held.acquire(timeout=0)
                except (OSError, NotImplementedError, Timeout):
                    self._id += UNLOCKED
            return self._id

    def is_alive(self, name: str | None) -> bool:
        """Whether the session with this name still runs."""
        match = _NAME.fullmatch(name or "")
        if not name or not match:
            return False
        if name == self.id:
            return True
        try:
            if match[2]:
                return _process_runs(int(match[1]))
            if not self._path(name).exists():
                return False
            with self._lock(name).acquire(timeout=0):
                pass
        except Timeout:
            return True
        except (OSError, NotImplementedError):
            return _process_runs(int(match[1]))
        self._remove_file(name)
        return False

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Hold the lock while something is being sent, even after `release`."""
        with self._guard:
            self._uses += 1
        try:
            yield
        finally:
            with self._guard:
                self._uses -= 1
                if self._releasing and not self._uses:
                    self._release()

    def release(self) -> None:
        """Release the lock, as the end of the process would."""
        with self._guard:
            self._releasing = self._uses > 0
            if not self._releasing:
                self._release()

    def _release(self) -> None:
        if self._held is not None:
            self._held.release()
            self._remove_file(self._id)
        self._held, self._id, self._releasing = None, "", False

    def _remove_file(self, name: str) -> None:
        with contextlib.suppress(OSError):
            self._path(name).unlink()

    def _make_folder(self) -> None:
        if shared_on_purpose(self._folder.parent):  # its umask and its group rule here too
            self._folder.mkdir(0o770, exist_ok=True)
        else:
            make_private_folder(self._folder)

    def _lock(self, name: str) -> FileLock:
        mode = 0o660 if shared_on_purpose(self._folder.parent) else 0o600
        return FileLock(self._path(name), mode=mode, thread_local=False)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.lock"


def _process_runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it runs, as another user
        return True
    return True
