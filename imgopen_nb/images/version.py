"""Finds out which version of a picture its URL has now, with as few requests as possible."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
import uuid
from urllib.parse import urlsplit

from ..api.backend import Backend
from ..database.database import Database
from ..errors import PictureError
from .download import Downloader
from .picture import Picture

# Seconds for which an answer stays valid.
FRESH = 60.0
# Seconds for which a server that could not be reached is not asked again.
RETRY_AFTER = 120.0
# Seconds in which the headers must come; the bytes of the file get three times as long.
TIMEOUT = 5.0
# Seconds after which an error means "cannot be reached".
SLOW = 5.0
MAX_CONCURRENT = 3
UNCHECKED = "unchecked"


class PictureVersions:
    """Versions of pictures, for cache keys: from the bytes, or from what a URL's server says.

    If a URL cannot be checked now, its last known version counts; if there is none, its address
    alone. A URL with a password must be checked each time, because the password is not stored: the
    next one may belong to another account.
    """

    def __init__(self, backend: Backend, database: Database, downloader: Downloader) -> None:
        self._backend = backend
        self._database = database
        self._downloader = downloader
        self._unreachable: dict[str, float] = {}
        self.after_fork()

    def after_fork(self) -> None:
        """Make the locks; a forked child does so again."""
        self._guard = threading.Lock()
        self._slots = threading.Semaphore(MAX_CONCURRENT)

    def current(self, picture: Picture) -> str:
        """Return the present version of a picture; asks the server of a URL.

        Raises:
            JournalError: the history cannot be used.
        """
        if picture.url is None:
            return _content(picture)
        place = self._backend.stable_url(picture.label)
        known, checked = self._stored(place)
        now = time.time()
        if known and not picture.hidden and 0 <= now - checked < FRESH:
            return f"{place} {known}"
        found = None
        with contextlib.suppress(PictureError):  # the service will report what is wrong with it
            found = self._ask(picture.url)
        if found:
            self._store(place, found, now)
        elif picture.hidden:
            known = uuid.uuid4().hex  # equal to no other: the account may be another one
        return f"{place} {found or known or UNCHECKED}"

    def known(self, picture: Picture) -> str:
        """Return the last known version of a picture, without asking a server."""
        if picture.url is None:
            return _content(picture)
        place = self._backend.stable_url(picture.label)
        return f"{place} {self._stored(place)[0] or UNCHECKED}"

    def exists(self, url: str) -> bool:
        """Whether a result of the service can still be fetched; True if there is no answer."""
        try:
            self._ask(url, trusted=False)
        except PictureError:
            return False
        return True

    def _ask(self, url: str, trusted: bool = True) -> str | None:
        """Return the version according to the server, None if it cannot be reached.

        Raises:
            PictureError: the server has no such picture.
        """
        host = urlsplit(url).netloc.rpartition("@")[2]
        with self._slots:
            if self._is_unreachable(host):
                return None
            begun = time.monotonic()
            try:
                current = self._backend.current_url(url)
                found = self._downloader.version(current, TIMEOUT, trusted=trusted)
            except PictureError:
                if time.monotonic() - begun < SLOW:
                    raise
                found = None
        if found is None:
            with self._guard:
                self._unreachable[host] = time.monotonic()
        return found

    def _is_unreachable(self, host: str) -> bool:
        with self._guard:
            return time.monotonic() - self._unreachable.get(host, -RETRY_AFTER) < RETRY_AFTER

    def _stored(self, place: str) -> tuple[str, float]:
        sql = "SELECT version, checked FROM pictures WHERE url = ?"
        rows = self._database.read(sql, (place,), ("version", "checked"))
        return (rows[0]["version"], rows[0]["checked"]) if rows else ("", 0.0)

    def _store(self, place: str, version: str, now: float) -> None:
        sql = "INSERT OR REPLACE INTO pictures VALUES (?, ?, ?)"
        self._database.run(sql, (place, version, now))


def _content(picture: Picture) -> str:
    assert picture.data is not None, "a picture has bytes or an address"
    return f"sha256 {hashlib.sha256(picture.data).hexdigest()}"
