"""Which sessions are still there: each holds a lock on a file, which ends with its process.

A task that was written down but never answered for may only be taken over from a session that is
gone. Locks tell that without any clock; where the file system has none, the process id must do.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import uuid
from pathlib import Path

from filelock import FileLock, Timeout

FOLDER = "sessions"
_NAME = re.compile(r"(\d{1,10})-[0-9a-f]{12}")


class Presence:
    """The sign of life of one session in a home folder; its `id` is made on first use."""

    def __init__(self, home: Path) -> None:
        self._folder = home / FOLDER
        self._guard = threading.Lock()
        self._id = ""
        self._pid = 0
        self._held: FileLock | None = None

    @property
    def id(self) -> str:
        """The name of this session, held while its process lives."""
        with self._guard:
            if self._pid != os.getpid():  # a forked child is a session of its own
                self._pid = os.getpid()
                self._id = f"{self._pid}-{uuid.uuid4().hex[:12]}"
                self._held = self._lock(self._id)
                with contextlib.suppress(OSError, NotImplementedError, Timeout):
                    self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                    self._held.acquire(timeout=0)
            return self._id

    def alive(self, name: str | None) -> bool:
        """Whether the session of that name still runs."""
        if not name or not _NAME.fullmatch(name):
            return False
        if name == self.id:
            return True
        if not self._path(name).exists():
            return False
        try:
            with self._lock(name).acquire(timeout=0):
                pass
        except Timeout:
            return True
        except (OSError, NotImplementedError):
            return _runs(int(name.partition("-")[0]))
        self._forget(name)
        return False

    def leave(self) -> None:
        """Give the name up, as the end of the process would."""
        with self._guard:
            if self._held is not None and self._pid == os.getpid():
                self._held.release()
                self._forget(self._id)
            self._held, self._pid = None, 0

    def _forget(self, name: str) -> None:
        with contextlib.suppress(OSError):
            self._path(name).unlink()

    def _lock(self, name: str) -> FileLock:
        return FileLock(self._path(name), thread_local=False)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.lock"


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is there, but somebody else's
        return True
    return True
