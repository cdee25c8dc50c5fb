"""A cache of thumbnails: small ones in the database, larger ones in memory."""

from __future__ import annotations

import time
from collections import OrderedDict

from ..api.backend import Backend
from ..database.database import Database
from ..errors import PictureError
from .download import Downloader
from .picture import Picture, read_picture
from .thumbnail import Thumbnail, thumbnail

SMALL = 192  # long side in pixels of the thumbnails in the database
MAX_LARGE = 64  # thumbnails in memory
MAX_BYTES = 64 * 2**20  # of originals in memory
_COLUMNS = ("jpeg", "width", "height", "original_width", "original_height")


class ThumbnailCache:
    """Thumbnails of the pictures that tasks were given or have made."""

    def __init__(self, backend: Backend, database: Database, downloader: Downloader) -> None:
        self._backend = backend
        self._database = database
        self._downloader = downloader
        self._originals: OrderedDict[str, bytes] = OrderedDict()
        self._large: OrderedDict[tuple[str, int], Thumbnail] = OrderedDict()

    def thumbnail(self, label: str, size: int = SMALL, trusted: bool = True) -> Thumbnail:
        """Return a thumbnail of a picture in the history.

        Args:
            label: the picture's name in the history: a URL, a path or <...>.
            size: the long side in pixels, 512 at most.
            trusted: whether the user gave the address (see `Downloader.download`).

        Raises:
            PictureError: the picture is gone, cannot be fetched, or is not a picture.
        """
        if size > SMALL and (label, size) in self._large:
            return self._large[label, size]
        stored = self.stored(label)
        if stored and size <= SMALL:
            return stored
        try:
            data = self._bytes(label, trusted)
        except PictureError:
            if stored is None:
                raise
            return stored
        small = stored or self._store(label, data)
        return small if size <= SMALL else self._make_large(label, data, size)

    def remember(self, picture: Picture) -> None:
        """Keep a picture that cannot be read again, because it has neither a URL nor a path."""
        label, data = picture.label, picture.data
        if data is None or not label.startswith("<") or label in self._originals:
            return
        if self.stored(label) is None:
            self._store(label, data)
        self._originals[label] = data
        while len(self._originals) > 1 and sum(map(len, self._originals.values())) > MAX_BYTES:
            self._originals.popitem(last=False)

    def download(self, url: str, *, trusted: bool = False) -> bytes:
        """Return the bytes of a picture file, such as a result; see `Downloader.download`."""
        return self._downloader.download(self._backend.current_url(url), trusted=trusted)

    def _bytes(self, label: str, trusted: bool) -> bytes:
        if label in self._originals:
            return self._originals[label]
        data = read_picture(label).data
        return self.download(label, trusted=trusted) if data is None else data

    def stored(self, label: str) -> Thumbnail | None:
        """Return the thumbnail in the database, None if there is none."""
        sql = f"SELECT {', '.join(_COLUMNS)} FROM thumbnails WHERE image = ?"
        for row in self._database.read(sql, (label,), _COLUMNS):
            jpeg, width, height, *original = row.values()
            return Thumbnail(jpeg, width, height, (original[0], original[1]))
        return None

    def _store(self, label: str, data: bytes) -> Thumbnail:
        made = thumbnail(data, SMALL)
        values = (label, made.jpeg, made.width, made.height, *made.original, time.time())
        self._database.run("INSERT OR REPLACE INTO thumbnails VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        return Thumbnail(made.jpeg, made.width, made.height, made.original)

    def _make_large(self, label: str, data: bytes, size: int) -> Thumbnail:
        self._large[label, size] = thumbnail(data, size)
        while len(self._large) > MAX_LARGE:
            self._large.popitem(last=False)
        return self._large[label, size]
