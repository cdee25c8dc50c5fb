"""Thumbnails: small ones kept in the database, larger ones in memory for a while."""

from __future__ import annotations

import time
from collections import OrderedDict

from ..api.backend import Backend
from ..database.database import Database
from ..errors import PictureError
from .download import Downloader
from .picture import Picture, read_picture
from .thumbnail import Thumbnail, thumbnail

SMALL = 192  # pixels of the long side of a thumbnail that the database keeps
KEPT_LARGE = 64
KEPT_BYTES = 64 * 2**20
_COLUMNS = ("jpeg", "width", "height", "original_width", "original_height")


class ThumbnailCache:
    """Small versions of the pictures that tasks were given or have made."""

    def __init__(self, backend: Backend, database: Database, downloader: Downloader) -> None:
        self._backend = backend
        self._database = database
        self._downloader = downloader
        self._originals: OrderedDict[str, bytes] = OrderedDict()
        self._large: OrderedDict[tuple[str, int], Thumbnail] = OrderedDict()

    def thumbnail(self, label: str, size: int = SMALL, trusted: bool = True) -> Thumbnail:
        """Return a small version of a picture of the history.

        Args:
            label: the picture as the history shows it: a URL, a path or <...>.
            size: the long side in pixels, 512 at most.
            trusted: whether the user gave the address (see `Downloader.download`).

        Raises:
            PictureError: it is gone, cannot be fetched, or is no picture.
        """
        if size > SMALL and (label, size) in self._large:
            return self._large[label, size]
        kept = self.kept(label)
        if kept and size <= SMALL:
            return kept
        try:
            data = self._bytes(label, trusted)
        except PictureError:
            if kept is None:
                raise
            return kept
        small = kept or self._keep(label, data)
        return small if size <= SMALL else self._made_large(label, data, size)

    def remember(self, picture: Picture) -> None:
        """Keep a picture that has no address from which it could be read again."""
        label, data = picture.label, picture.data
        if data is None or not label.startswith("<") or label in self._originals:
            return
        if self.kept(label) is None:
            self._keep(label, data)
        self._originals[label] = data
        while len(self._originals) > 1 and sum(map(len, self._originals.values())) > KEPT_BYTES:
            self._originals.popitem(last=False)

    def download(self, url: str, *, trusted: bool = False) -> bytes:
        """Return the file of a picture, such as a result; see `Downloader.download`."""
        return self._downloader.download(self._backend.current_url(url), trusted=trusted)

    def _bytes(self, label: str, trusted: bool) -> bytes:
        if label in self._originals:
            return self._originals[label]
        data = read_picture(label).data
        return self.download(label, trusted=trusted) if data is None else data

    def kept(self, label: str) -> Thumbnail | None:
        """Return the thumbnail that the database has, None where it has none."""
        sql = f"SELECT {', '.join(_COLUMNS)} FROM thumbnails WHERE image = ?"
        for row in self._database.read(sql, (label,), _COLUMNS):
            jpeg, width, height, *original = row.values()
            return Thumbnail(jpeg, width, height, (original[0], original[1]))
        return None

    def _keep(self, label: str, data: bytes) -> Thumbnail:
        made = thumbnail(data, SMALL)
        values = (label, made.jpeg, made.width, made.height, *made.original, time.time())
        self._database.run("INSERT OR REPLACE INTO thumbnails VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        return Thumbnail(made.jpeg, made.width, made.height, made.original)

    def _made_large(self, label: str, data: bytes, size: int) -> Thumbnail:
        self._large[label, size] = thumbnail(data, size)
        while len(self._large) > KEPT_LARGE:
            self._large.popitem(last=False)
        return self._large[label, size]
