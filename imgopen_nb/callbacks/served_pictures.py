"""Local images of folders that are served anyway, or that go into a store: setting `pictures`."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from ..config.picture_places import is_served
from ..config.server_address import is_private
from ..config.settings import Settings
from ..errors import PictureError
from ..images.download import Downloader
from ..images.picture import Picture, read_picture
from ..media.picture_store import PictureStore, check_store
from ..text import clip_path, short_path

CHECKED_FOR = 300.0  # seconds for which a served image that was there counts as there
KEPT = 10_000
MOST_LISTED = 100  # files among which an image is looked for
SECONDS = 10.0  # for the headers of a served image
_HINT = "correct what is served there, or change the address: %imgopen config pictures"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an image of this machine goes by the setting.

    Attributes:
        address: of the folder that is served, or of the store.
        url: of the image itself; "" in a store, which gives one when it is uploaded.
    """

    address: str
    url: str = ""


class ServedPictures:
    """Finds the places of images, checks them, and gives their addresses to the service.

    Args:
        settings: which folder is served where.
        downloader: asks the servers.
    """

    def __init__(self, settings: Settings, downloader: Downloader) -> None:
        self._settings = settings
        self._downloader = downloader
        self._stores = {
            address: PictureStore(address)
            for address in settings.pictures.values()
            if not is_served(address)
        }
        # The innermost folder first.
        self._folders = sorted(settings.pictures.items(), key=lambda pair: -len(pair[0]))
        self._checked: OrderedDict[tuple[str, int], float] = OrderedDict()
        self.after_fork()

    def after_fork(self) -> None:
        """Make the locks; a forked child does so again."""
        self._lock = threading.Lock()
        for store in self._stores.values():
            store.after_fork()

    def place(self, picture: Picture) -> Place | None:
        """Return the place of an image, None if the setting names none.

        A link counts as the file that it leads to, so nothing outside of a folder is of it.
        """
        file = "" if picture.embedded or not os.path.isabs(picture.label) else picture.label
        file = os.path.realpath(file) if file else ""
        for folder, address in self._folders:
            if folder and not (file and _is_below(file, os.path.realpath(folder))):
                continue
            if not is_served(address):
                return Place(address)
            parts = os.path.relpath(file, os.path.realpath(folder)).split(os.sep)
            return Place(address, address + "/".join(quote(os.fsencode(p), safe="") for p in parts))
        return None

    def address(self, picture: Picture, place: Place) -> str:
        """Return the address of an image for the service; upload it if it goes into a store.

        Raises:
            PictureError: what is served there is not this image, or the store refuses.
            SettingsError: the store cannot be used.
        """
        assert picture.data is not None, "an image on this machine has its bytes"
        if place.url:
            self.check(picture.label, len(picture.data), place)
            return place.url
        return self._stores[place.address].address(picture.data, picture.suffix)

    def check(self, label: str, size: int, place: Place) -> None:
        """Check that an image is served as it is here, as far as the headers say.

        Args:
            label: its name.
            size: its bytes.
            place: where it is served; a store is not asked.

        Raises:
            PictureError: it cannot be reached, or another one is there.
        """
        if not place.url or self._seen(place.url, size):
            return
        name = clip_path(short_path(label))
        host = urlsplit(place.url).hostname or ""
        if self._settings.needs_public and is_private(host):
            raise PictureError(
                f"{name} is served at {place.url}, which is only reachable in this network: Img "
                "Open cannot fetch it",
                hint="set a public address: %imgopen config pictures",
            )
        try:
            length = self._downloader.length(place.url, SECONDS)
        except PictureError as error:
            raise PictureError(f"{name}: {error.message}", hint=_HINT) from None
        if length is not None and length != size:
            raise PictureError(
                f"{place.url} serves another file than {name}: it has {size:,} bytes here and "
                f"{length:,} there",
                hint=_HINT,
            )
        with self._lock:
            self._checked[place.url, size] = time.monotonic()
            while len(self._checked) > KEPT:
                self._checked.popitem(last=False)

    def examine(self) -> Iterator[str]:
        """Yield what is found of each place of the setting; a folder's first image is tried.

        Raises:
            PictureError: an image is not served as it is here.
            SettingsError: a store cannot be used.
        """
        for folder, address in self._folders:
            what = clip_path(folder) or "all images"
            if not is_served(address):
                check_store(address)
                yield f"{what}: uploaded to {address}"
                continue
            first = _first_picture(folder)
            place = self.place(first) if first else None
            if first is None or place is None or first.data is None:
                yield f"{what}: served at {address}; it holds no image to try"
                continue
            self.check(first.label, len(first.data), place)
            yield (
                f"{what}: served at {address}; {clip_path(short_path(first.label))} was found there"
            )

    def _seen(self, url: str, size: int) -> bool:
        with self._lock:
            at = self._checked.get((url, size))
        return at is not None and time.monotonic() - at < CHECKED_FOR


def _is_below(file: str, folder: str) -> bool:
    return file.startswith(os.path.join(folder, ""))


def _first_picture(folder: str) -> Picture | None:
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(folder))[:MOST_LISTED]:
            with contextlib.suppress(PictureError):
                return read_picture(Path(folder, name))
    return None
