"""Which image it is: known by its content, not by the name that somebody gave it.

What can be read here is known by the SHA-256 of its bytes. An image at a URL is known by what its
server says of its version, or by its content if it had to be fetched to find out. If neither can be
had, it is known by its address alone, and is marked as unverified.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
import uuid
from dataclasses import dataclass
from urllib.parse import urlsplit

from ..api.backend import Backend
from ..database.database import Database
from ..database.task_queries import BY_NAME
from ..errors import PictureError
from .download import Downloader, content_version
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
_CONTENT = "sha256 "


@dataclass(frozen=True, slots=True)
class Identity:
    """Which image it is.

    Attributes:
        place: the URL of an image that the service fetches; "" for one that was read here.
        version: what tells its content from any other at that place: "sha256 ...", "etag ...",
            "date ... length ...", or "unchecked".
    """

    place: str
    version: str

    @property
    def cache_key(self) -> str:
        """The part of a call's cache key that stands for the image. It must not change."""
        return f"{self.place} {self.version}" if self.place else self.version

    @property
    def picture(self) -> str:
        """The identity as the history keeps it, such as "sha256:3fa9...".

        An image that is known by its content has the same identity wherever it lies.
        """
        if self.version.startswith(_CONTENT):
            return f"sha256:{self.version.removeprefix(_CONTENT)}"
        return f"{self.place} {self.version.replace(UNCHECKED, 'unverified')}"


def by_content(data: bytes) -> Identity:
    """Return the identity of an image by the bytes of its file."""
    return Identity("", content_version(data))


def by_name(image: str) -> str:
    """Return the identity of an image in a row of an earlier version, which kept only its name."""
    return f"{BY_NAME}{image}"


def name_of(picture: str) -> str | None:
    """Return the name of an image that is known by its name only, None of any other."""
    return picture.removeprefix(BY_NAME) if picture.startswith(BY_NAME) else None


def is_identity(text: str) -> bool:
    """Whether a text is an identity, and not the name of an image."""
    url = re.match(r"(https?|sandbox):\S+ (etag|date|hash|unverified)", text)
    return text.startswith(("sha256:", BY_NAME)) or url is not None


def verified(picture: str) -> bool:
    """Whether an identity tells this content from any other."""
    return not doubt(picture)


def doubt(picture: str) -> str:
    """Return why it is not sure which image this is, in words for people; "" if it is."""
    if picture.startswith(BY_NAME):
        return "not verified: only its name is known"
    return "not verified: only its address is known" if " unverified" in picture else ""


class PictureIdentifier:
    """Identifies images: by their bytes, or by what the server of a URL says.

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

    def current(self, picture: Picture, *, max_age: float | None = None) -> Identity:
        """Return the present identity of an image; asks the server of a URL.

        Args:
            picture: the image.
            max_age: seconds for which an earlier answer of the server counts; FRESH by default.

        Raises:
            JournalError: the history cannot be used.
        """
        if picture.data is not None:
            return by_content(picture.data)
        place = self._backend.stable_url(picture.label)
        known, checked = self._stored(place)
        now, fresh = time.time(), FRESH if max_age is None else min(FRESH, max_age)
        if known and not picture.hidden and 0 <= now - checked < fresh:
            return Identity(place, known)
        found = None
        with contextlib.suppress(PictureError):  # the service will report what is wrong with it
            found = self._ask(picture.url or "")
        if found:
            self._store(place, found, now)
        elif picture.hidden:
            known = f"{UNCHECKED} {uuid.uuid4().hex}"  # equal to no other account's image
        return Identity(place, found or known or UNCHECKED)

    def known(self, picture: Picture) -> Identity:
        """Return the last known identity of an image, without asking a server."""
        if picture.data is not None:
            return by_content(picture.data)
        place = self._backend.stable_url(picture.label)
        return Identity(place, self._stored(place)[0] or UNCHECKED)

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
            PictureError: the server has no such image.
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
