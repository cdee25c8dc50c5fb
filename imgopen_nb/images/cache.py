"""The pictures a session has to do with: URLs for the service, thumbnails for the notebook."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..api.backend import Connection
from ..callbacks.public_urls import Links
from ..catalogue.operation import Operation
from ..catalogue.parameter import Param
from ..database.task_table import Journal, Small
from ..errors import PictureError, naming
from .picture import Picture, Thumbnail, read_picture, thumbnail
from .version import Versions

SMALL = 192
KEPT_THUMBNAILS = 64
KEPT_BYTES = 64 * 2**20
KEPT_UPLOADS = 1000


class Resolved(NamedTuple):
    """A call's values with its pictures found; in `sent` those to be published as `Picture`."""

    shown: dict[str, Any]
    sent: dict[str, Any]
    held: dict[str, list[str]]


class Album:
    """Reads the pictures of a call and keeps small versions of them in the journal."""

    def __init__(self, connection: Connection, journal: Journal, links: Links) -> None:
        self._connection = connection
        self._journal = journal
        self._links = links
        self._versions = Versions(connection, journal)
        self._uploads: OrderedDict[str, str] = OrderedDict()
        self._originals: OrderedDict[str, bytes] = OrderedDict()
        self._thumbnails: OrderedDict[tuple[str, int], Thumbnail] = OrderedDict()

    def resolve(self, operation: Operation, values: Mapping[str, Any]) -> Resolved:
        """Return the values as the history shows them, as they go on the wire, and what they hold.

        Raises:
            PictureError: a picture cannot be read, or the real service could not fetch it; the
                message names the parameter. All are read before the first is sent.
        """
        given = [p for p in operation.user_params if p.picture and p.name in values]
        read = {param.name: self._read_all(param, values[param.name]) for param in given}
        _check_mask(read)
        shown, sent, held = dict(values), dict(values), {}
        for param in given:
            pictures, one = read[param.name], param.type == "image"
            with naming(param.name):
                places = [self._place(picture) for picture in pictures]
            labels = [picture.label for picture in pictures]
            shown[param.name] = labels[0] if one else labels
            sent[param.name] = places[0] if one else places
            held[param.name] = [self._versions.of(picture) for picture in pictures]
        return Resolved(shown, sent, held)

    def held(self, operation: Operation, values: Mapping[str, Any]) -> dict[str, list[str]]:
        """Return what the pictures of a call hold, as far as it is known without asking anybody.

        Raises:
            PictureError: a picture on this machine cannot be read.
        """
        given = [p for p in operation.user_params if p.picture and p.name in values]
        return {
            param.name: [
                self._versions.last(picture)
                for picture in self._read_all(param, values[param.name])
            ]
            for param in given
        }

    def lives(self, url: str) -> bool:
        """Whether a picture that the service made can still be had; True where nobody tells."""
        return self._versions.lives(url)

    def thumbnail(self, label: str, size: int = SMALL, trusted: bool = True) -> Thumbnail:
        """Return a small version of a picture of the history.

        Args:
            label: the picture as the history shows it: a URL, a path or <...>.
            size: the long side in pixels, 512 at most.
            trusted: whether the user gave the address (see `Client.download`).

        Raises:
            PictureError: it is gone, cannot be fetched, or is no picture.
        """
        if size > SMALL and (label, size) in self._thumbnails:
            return self._thumbnails[label, size]
        kept = self._journal.thumbnail(label)
        if kept and size <= SMALL:
            return Thumbnail(*kept)
        try:
            data = self._bytes(label, trusted)
        except PictureError:
            if kept is None:
                raise
            return Thumbnail(*kept)
        small = kept or self._keep_small(label, data)
        return Thumbnail(*small) if size <= SMALL else self._large(label, data, size)

    def _keep_small(self, label: str, data: bytes) -> Small:
        made = thumbnail(data, SMALL)
        small = (made.jpeg, made.width, made.height, made.original)
        self._journal.put_thumbnail(label, small)
        return small

    def _large(self, label: str, data: bytes, size: int) -> Thumbnail:
        self._thumbnails[label, size] = thumbnail(data, size)
        while len(self._thumbnails) > KEPT_THUMBNAILS:
            self._thumbnails.popitem(last=False)
        return self._thumbnails[label, size]

    def _read_all(self, param: Param, value: Any) -> list[Picture]:
        """Return the pictures of a parameter; one that cannot be read is named."""
        if param.type == "image":
            with naming(param.name):
                return [self._read(value)]
        pictures = []
        for number, source in enumerate(value, 1):
            with naming(f"{param.name}, picture {number} of {len(value)}"):
                pictures.append(self._read(source))
        return pictures

    def _read(self, source: Any) -> Picture:
        picture = read_picture(source)
        if picture.data is not None and picture.label.startswith("<"):
            self._remember(picture.label, picture.data)
        return picture

    def _remember(self, label: str, data: bytes) -> None:
        """Keep a picture that has no address to be read from again."""
        if label not in self._originals:
            self._keep_small(label, data)
            self._originals[label] = data
        while len(self._originals) > 1 and sum(map(len, self._originals.values())) > KEPT_BYTES:
            self._originals.popitem(last=False)

    def _place(self, picture: Picture) -> str | Picture:
        """Return where the service finds a picture, or itself if a link is to be made for it."""
        if picture.url:
            return picture.url
        if self._links.publish_always or not self._connection.local:
            if self._links.address:
                return picture
            raise PictureError(
                f"{picture.label} is on this machine, and Img Open fetches pictures itself: "
                f"{self._links.why}",
                hint="put it where a public URL reaches it and give that URL; "
                "without keys the sandbox takes local files",
            )
        assert picture.data is not None, "a picture without a URL holds its bytes"
        client = self._connection.client
        key = f"{client.base_url} {hashlib.sha256(picture.data).hexdigest()}"
        url = self._uploads.get(key)
        if url is None:
            url = self._uploads[key] = client.upload(picture.data)
            if len(self._uploads) > KEPT_UPLOADS:
                self._uploads.popitem(last=False)
        return url

    def download(self, url: str) -> bytes:
        """Return a picture that came over the wire, such as a result; see `Client.download`."""
        return self._connection.client.download(self._connection.present(url))

    def _bytes(self, label: str, trusted: bool) -> bytes:
        if label in self._originals:
            return self._originals[label]
        picture = read_picture(label)
        if picture.data is not None:
            return picture.data
        url = self._connection.present(label)
        return self._connection.client.download(url, trusted=trusted)


def _check_mask(read: Mapping[str, list[Picture]]) -> None:
    """Refuse a mask of another size than its picture, where both are at hand."""
    at_hand = {}
    for name in ("mask", "image"):
        for picture in read.get(name, []):
            if picture.data is not None:
                with naming(name):
                    at_hand[name] = thumbnail(picture.data, SMALL).original
    if len(at_hand) == 2 and len(set(at_hand.values())) == 2:
        mask, image = (f"{width} × {height}" for width, height in at_hand.values())
        raise PictureError(
            f"mask has {mask} pixels, but image has {image}: they must have the same size"
        )
