"""Which content a picture's URL has now, asked of its server as rarely as can be."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
import uuid
from queue import Empty, SimpleQueue
from urllib.parse import urlsplit

from ..api.backend import Connection
from ..database.task_table import Journal
from ..errors import PictureError
from .download import Downloader
from .picture import Picture

# Seconds for which an answer holds, and for which a server that was out of reach is let alone.
HOLDS = 60.0
SILENT = 120.0
# Seconds that an answer may take in all, and from which on a refusal counts as out of reach.
LONGEST = 20.0
SLOW = 5.0
# So many servers are asked at a time.
AT_ONCE = 3
UNCHECKED = "unchecked"


class Versions:
    """Tells what pictures hold: the hash of their bytes, or the version that their server names.

    Of a picture that cannot be checked now the last known version counts; of one that never could
    be, its address alone. An address that holds a password is written nowhere, so that of it only
    a version counts that its server names now.
    """

    def __init__(self, connection: Connection, journal: Journal) -> None:
        self._connection = connection
        self._downloader = Downloader(lambda: connection.client.base_url)
        self._journal = journal
        self._silent: dict[str, float] = {}
        self._guard = threading.Lock()
        self._turns = threading.Semaphore(AT_ONCE)

    def of(self, picture: Picture) -> str:
        """Return what tells this content from any other.

        Raises:
            JournalError: the history cannot be used.
        """
        if picture.url is None:
            return _hash(picture)
        place, secret = self._connection.place(picture.label), picture.label != picture.url
        known, checked = self._known(place)
        now = time.time()
        if known and not secret and 0 <= now - checked < HOLDS:
            return f"{place} {known}"
        found = None
        with contextlib.suppress(PictureError):  # the service's answer to that is what counts
            found = self._asked(picture.url)
        if found:
            self._keep(place, found, now)
        elif secret:
            known = uuid.uuid4().hex  # whose it is cannot be told: like no other
        return f"{place} {found or known or UNCHECKED}"

    def last(self, picture: Picture) -> str:
        """Return the same as `of` does, as far as it is known without asking anybody."""
        if picture.url is None:
            return _hash(picture)
        place = self._connection.place(picture.label)
        return f"{place} {self._known(place)[0] or UNCHECKED}"

    def lives(self, url: str) -> bool:
        """Whether a picture can still be had; True where its server cannot be asked."""
        try:
            self._asked(url, trusted=False)
        except PictureError:
            return False
        return True

    def _asked(self, url: str, trusted: bool = True) -> str | None:
        """Return what the server names; None where it is out of reach, or was a while ago.

        Raises:
            PictureError: the server has no such picture.
        """
        host = urlsplit(url).netloc.rpartition("@")[2]
        with self._turns:
            if self._is_silent(host):
                return None
            begun = time.monotonic()
            try:
                found = self._in_time(self._connection.present(url), trusted)
            except PictureError:
                if time.monotonic() - begun < SLOW:
                    raise
                found = None
        if found is None:
            with self._guard:
                self._silent[host] = time.monotonic()
        return found

    def _in_time(self, url: str, trusted: bool) -> str | None:
        """Ask in a thread of its own: a server that drips or leads astray has no other end."""
        answers: SimpleQueue[str | PictureError | None] = SimpleQueue()

        def ask() -> None:
            try:
                answers.put(self._downloader.version(url, trusted=trusted))
            except PictureError as error:
                answers.put(error)
            except Exception:  # whatever an odd server brings about
                answers.put(None)

        threading.Thread(target=ask, name="imgopen-picture", daemon=True).start()
        with contextlib.suppress(Empty):
            answer = answers.get(timeout=LONGEST)
            if isinstance(answer, PictureError):
                raise answer
            return answer
        return None

    def _is_silent(self, host: str) -> bool:
        with self._guard:
            return time.monotonic() - self._silent.get(host, -SILENT) < SILENT

    def _known(self, place: str) -> tuple[str, float]:
        sql = "SELECT version, checked FROM pictures WHERE url = ?"
        rows = self._journal.read(sql, (place,), ("version", "checked"))
        return (rows[0]["version"], rows[0]["checked"]) if rows else ("", 0.0)

    def _keep(self, place: str, version: str, now: float) -> None:
        sql = "INSERT OR REPLACE INTO pictures VALUES (?, ?, ?)"
        self._journal.run(sql, (place, version, now))


def _hash(picture: Picture) -> str:
    assert picture.data is not None, "a picture has bytes or an address"
    return f"sha256 {hashlib.sha256(picture.data).hexdigest()}"
