"""A cache of thumbnails: small ones in the database, larger ones in memory."""

from __future__ import annotations

import contextlib
import time
from collections import OrderedDict

from ..api.backend import Backend
from ..database.database import Database
from ..errors import PictureError
from ..media.stores import is_store
from ..text import clip
from .download import Downloader
from .identity import PictureIdentifier, by_content, by_name, name_of, verified
from .picture import Picture, read_picture
from .thumbnail import Thumbnail, thumbnail

SMALL = 192  # long side in pixels of the thumbnails in the database
MAX_LARGE = 64  # thumbnails in memory
MAX_BYTES = 64 * 2**20  # of originals in memory
_COLUMNS = ("jpeg", "width", "height", "original_width", "original_height")


class ThumbnailCache:
    """Thumbnails of the images that tasks were given or have made.

    Each hangs on the identity of its image. If another image lies under the name by now, the
    old one has no thumbnail, unless it was made before: the new one is never shown in its place.
    """

    def __init__(
        self,
        backend: Backend,
        database: Database,
        downloader: Downloader,
        identifier: PictureIdentifier,
    ) -> None:
        self._backend = backend
        self._database = database
        self._downloader = downloader
        self._identifier = identifier
        self._originals: OrderedDict[str, bytes] = OrderedDict()
        self._large: OrderedDict[tuple[str, int], Thumbnail] = OrderedDict()

    def thumbnail(
        self, image: str, size: int = SMALL, *, picture: str | None = None, trusted: bool = True
    ) -> Thumbnail:
        """Return a thumbnail of an image.

        Args:
            image: its name: a URL, a path, sample:NAME or <...>.
            size: the long side in pixels, 512 at most.
            picture: its identity (`images/identity.py`); the URL itself for an image that a task
                made. None means whatever has this name now.
            trusted: whether the user gave the address (see `Downloader.download`).

        Raises:
            PictureError: the image is gone, cannot be fetched, or is not an image, or another
                one has its name by now.
        """
        data = None
        if picture is None:
            picture, data = self._present(image)
        if size > SMALL and (picture, size) in self._large:
            return self._large[picture, size]
        stored = self.stored(picture)
        if stored and size <= SMALL:
            return stored
        try:
            data = data or self._bytes(image, picture, trusted)
        except PictureError:
            if stored is None:
                raise
            return stored
        small = stored or self._store(picture, data)
        return small if size <= SMALL else self._make_large(picture, data, size)

    def remember(self, picture: Picture) -> None:
        """Keep an image that cannot be read again: it has neither a URL nor a path of its own."""
        data = picture.data
        if data is None or not (picture.embedded or picture.label.startswith("<")):
            return
        identity = by_content(data).picture
        if identity in self._originals:
            return
        if self.stored(identity) is None:
            self._store(identity, data)
        self._originals[identity] = data
        while len(self._originals) > 1 and sum(map(len, self._originals.values())) > MAX_BYTES:
            self._originals.popitem(last=False)

    def download(self, url: str, *, trusted: bool = False) -> bytes:
        """Return the bytes of an image file, such as a result; see `Downloader.download`.

        What the sandbox made is read from its folder, so that no sandbox has to run.
        """
        if kept := self._backend.file_of(url):
            with contextlib.suppress(OSError):
                return kept.read_bytes()
        return self._downloader.download(self._backend.current_url(url), trusted=trusted)

    def original(self, image: str, picture: str, *, trusted: bool = True) -> bytes:
        """Return the bytes of an image's file.

        Args:
            image: its name.
            picture: its identity.
            trusted: as for `thumbnail`.

        Raises:
            PictureError: it cannot be fetched, or another image has its name now.
        """
        return self._bytes(image, picture, trusted)

    def stored(self, picture: str) -> Thumbnail | None:
        """Return the thumbnail in the database, None if there is none."""
        name = name_of(picture)
        # Earlier versions kept thumbnails by name. A path may name another image by now.
        key = name if name and (name.startswith("<") or _is_url(name)) else picture
        sql = f"SELECT {', '.join(_COLUMNS)} FROM thumbnails WHERE image = ?"
        for row in self._database.read(sql, (key,), _COLUMNS):
            jpeg, width, height, *original = row.values()
            return Thumbnail(jpeg, width, height, (original[0], original[1]))
        return None

    def _present(self, image: str) -> tuple[str, bytes | None]:
        """Return the identity of what has this name now, and its bytes if they were read."""
        if image.startswith("<"):
            return by_name(image), None
        found = read_picture(image)
        return self._identifier.current(found).picture, found.data

    def _bytes(self, image: str, picture: str, trusted: bool) -> bytes:
        if picture in self._originals:
            return self._originals[picture]
        if _is_url(image):
            return self._downloaded(image, picture, trusted)
        if is_store(image) and not trusted:
            raise PictureError(
                f"{clip(image)} comes from an imported history, so it is not fetched"
            )
        if name_of(picture) and not image.startswith("sample:"):
            raise PictureError(f"only the name of {clip(image)} is known, not which image it was")
        data = read_picture(image).data
        assert data is not None, "only a URL has no bytes here"
        return _checked(image, picture, data)

    def _downloaded(self, image: str, picture: str, trusted: bool) -> bytes:
        version = picture.removeprefix(f"{self._backend.stable_url(image)} ")
        if picture == image or not verified(picture) or picture.startswith("sha256:"):
            return _checked(image, picture, self.download(image, trusted=trusted))
        url = self._backend.current_url(image)
        return self._downloader.download_version(url, version, trusted=trusted)

    def _store(self, picture: str, data: bytes) -> Thumbnail:
        made = thumbnail(data, SMALL)
        if verified(picture):  # the next image at an unverified address may be another one
            values = (picture, made.jpeg, made.width, made.height, *made.original, time.time())
            sql = "INSERT OR REPLACE INTO thumbnails VALUES (?, ?, ?, ?, ?, ?, ?)"
            self._database.run(sql, values)
        return Thumbnail(made.jpeg, made.width, made.height, made.original)

    def _make_large(self, picture: str, data: bytes, size: int) -> Thumbnail:
        made = thumbnail(data, size)
        if verified(picture):
            self._large[picture, size] = made
        while len(self._large) > MAX_LARGE:
            self._large.popitem(last=False)
        return made


def _is_url(image: str) -> bool:
    return image.lower().startswith(("http://", "https://"))


def _checked(image: str, picture: str, data: bytes) -> bytes:
    """Return the bytes, unless the image is known by its content and they are another one's."""
    if picture.startswith("sha256:") and by_content(data).picture != picture:
        raise PictureError(f"{clip(image)} is a different image now")
    return data
