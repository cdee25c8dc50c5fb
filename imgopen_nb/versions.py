"""Which content a picture's URL has now, asked of its server as rarely as can be."""

from __future__ import annotations

import hashlib
import threading
import time
from urllib.parse import urlsplit

from .connection import Connection
from .errors import PictureError
from .images import Picture
from .journal import Journal

# Seconds for which an answer holds, and for which a server that was out of reach is let alone.
HOLDS = 60.0
SILENT = 120.0
UNCHECKED = "unchecked"


class Versions:
    """Tells what pictures hold: the hash of their bytes, or the version that their server names.

    Of a picture that cannot be checked now the last known version counts; of one that never could
    be, its address alone.
    """

    def __init__(self, connection: Connection, journal: Journal) -> None:
        self._connection = connection
        self._journal = journal
        self._silent: dict[str, float] = {}
        self._guard = threading.Lock()

    def of(self, picture: Picture) -> str:
        """Return what tells this content from any other.

        Raises:
            JournalError: the history cannot be used.
        """
        if picture.data is not None:
            return f"sha256 {hashlib.sha256(picture.data).hexdigest()}"
        assert picture.url is not None, "a picture has bytes or an address"
        url = self._connection.place(picture.url)
        known, checked = self._known(url)
        now = time.time()
        if known and 0 <= now - checked < HOLDS:
            return f"{url} {known}"
        found = self._asked(picture.url)
        if found:
            self._keep(url, found, now)
        return f"{url} {found or known or UNCHECKED}"

    def last(self, picture: Picture) -> str:
        """Return the same as `of` does, as far as it is known without asking anybody."""
        if picture.url is None:
            return self.of(picture)
        url = self._connection.place(picture.url)
        return f"{url} {self._known(url)[0] or UNCHECKED}"

    def _asked(self, url: str) -> str | None:
        host = urlsplit(url).netloc
        with self._guard:
            if time.monotonic() - self._silent.get(host, -SILENT) < SILENT:
                return None
        try:
            found = self._connection.client.version(self._connection.present(url))
        except PictureError:
            return None  # what the service makes of it is the service's answer to give
        if found is None:
            with self._guard:
                self._silent[host] = time.monotonic()
        return found

    def _known(self, url: str) -> tuple[str, float]:
        sql = "SELECT version, checked FROM pictures WHERE url = ?"
        rows = self._journal.read(sql, (url,), ("version", "checked"))
        return (rows[0]["version"], rows[0]["checked"]) if rows else ("", 0.0)

    def _keep(self, url: str, version: str, now: float) -> None:
        self._journal.run("INSERT OR REPLACE INTO pictures VALUES (?, ?, ?)", (url, version, now))
