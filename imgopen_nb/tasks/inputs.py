"""The images of a call: read, identified by content, and put where the service can fetch them."""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..api.backend import Backend
from ..callbacks.public_urls import PublicUrls
from ..callbacks.served_pictures import Place, ServedPictures
from ..catalogue.operation import Operation
from ..catalogue.parameter import Param
from ..errors import PictureError, naming
from ..images.cache import SMALL, ThumbnailCache
from ..images.identity import Identity, PictureIdentifier
from ..images.picture import Picture, read_picture
from ..images.thumbnail import thumbnail
from ..text import clip_path

KEPT_UPLOADS = 1000
MOST_PATH = 4096  # characters
Pictures = dict[str, list[Picture]]


@dataclass(frozen=True)
class Inputs:
    """The values of a call, and its images by parameter.

    Attributes:
        values: the checked values, as given.
        pictures: the images, read.
    """

    values: Mapping[str, Any]
    pictures: Mapping[str, list[Picture]]

    @property
    def shown(self) -> dict[str, Any]:
        """The values as the history shows them: an image by its label."""
        return self.placed(lambda picture: picture.label)

    @property
    def first(self) -> str | None:
        """The parameter of the image that stands for the call, None if there is none."""
        names = [name for name, each in self.pictures.items() if each]
        return "image" if "image" in names else next(iter(names), None)

    @property
    def name(self) -> str | None:
        """The name of that image."""
        return self.pictures[self.first][0].label if self.first else None

    @property
    def remote(self) -> bool:
        """Whether the service is given a URL for any of the images."""
        return any(picture.url for each in self.pictures.values() for picture in each)

    @property
    def hidden(self) -> bool:
        """Whether an image's URL has a password, which must not be stored."""
        return any(picture.hidden for each in self.pictures.values() for picture in each)

    def placed(self, place: Callable[[Picture], Any]) -> dict[str, Any]:
        """Return the values with `place(image)` for each image; errors name the parameter."""
        values = dict(self.values)
        for name, pictures in self.pictures.items():
            with naming(name):
                found = [place(picture) for picture in pictures]
            values[name] = found if isinstance(self.values[name], (list, tuple)) else found[0]
        return values


@dataclass(frozen=True, slots=True)
class Route:
    """Where an image of this machine goes, so that the service can fetch it.

    Attributes:
        label, picture: its name and its identity.
        size: its bytes.
        place: where the setting `pictures` puts it, or None.
        published: the address of the notebook server that publishes it, or "".
        why: why there is neither, or "".
    """

    label: str
    picture: str
    size: int
    place: Place | None
    published: str
    why: str


class InputResolver:
    """Reads the images of calls, identifies them, and finds their URLs."""

    def __init__(
        self,
        backend: Backend,
        identifier: PictureIdentifier,
        thumbnails: ThumbnailCache,
        urls: PublicUrls,
        served: ServedPictures,
    ) -> None:
        self._backend = backend
        self._identifier = identifier
        self._thumbnails = thumbnails
        self._urls = urls
        self._served = served
        self._uploads: OrderedDict[str, str] = OrderedDict()

    def read(self, operation: Operation, values: Mapping[str, Any]) -> Inputs:
        """Read the images of a call. Sends nothing and starts nothing.

        Raises:
            PictureError: one cannot be read; the message names its parameter.
        """
        given = [p for p in operation.user_params if p.picture and p.name in values]
        read = {param.name: self._read_all(param, values[param.name]) for param in given}
        _check_mask(read)
        _refuse_files(operation, values)
        return Inputs(values, read)

    def identify(
        self, inputs: Inputs, *, ask: bool, max_age: float | None = None
    ) -> dict[str, list[Identity]]:
        """Return the identity of each image, by parameter.

        Args:
            inputs: the call.
            ask: whether to ask a URL's server for the current version.
            max_age: seconds for which an earlier answer of that server counts.
        """

        def identity(picture: Picture) -> Identity:
            if not ask:
                return self._identifier.known(picture)
            return self._identifier.current(picture, max_age=max_age)

        return {name: [identity(p) for p in each] for name, each in inputs.pictures.items()}

    def exists(self, url: str) -> bool:
        """Whether an output image can still be fetched; True if its server does not answer."""
        return self._identifier.exists(url)

    def place(self, picture: Picture) -> str | Picture:
        """Return the URL of an image for the service, or the image if it must be published.

        Raises:
            PictureError: the real service could not fetch it.
            SandboxError: the sandbox, which gets a copy, does not start.
        """
        if picture.url:
            return picture.url
        if self._fetched:
            if place := self._place(picture):
                return self._served.address(picture, place)
            if self._urls.address:
                return picture
            raise PictureError(
                f"{picture.label} is on this machine, but Img Open can only fetch images by URL: "
                f"{self._urls.why}",
                hint=(
                    "use a public URL, or say where its folder is served: %imgopen config "
                    "pictures FOLDER=https://...; without a key, the sandbox takes local files"
                ),
            )
        assert picture.data is not None, "an image without a URL has its bytes"
        client = self._backend.http
        key = f"{client.base_url} {hashlib.sha256(picture.data).hexdigest()}"
        url = self._uploads.get(key)
        if url is None:
            url = self._uploads[key] = client.upload(picture.data)
            if len(self._uploads) > KEPT_UPLOADS:
                self._uploads.popitem(last=False)
        return url

    def route(self, picture: Picture, identity: Identity) -> Route | None:
        """Return where an image of this machine goes; None if it stays, or is on the web."""
        if picture.data is None or not self._fetched:
            return None
        place = self._place(picture)
        published = "" if place else getattr(self._urls.address, "url", "")
        why = "" if place or published else self._urls.why
        size = len(picture.data)
        return Route(picture.label, identity.picture, size, place, published, why)

    def check(self, route: Route) -> str:
        """Return why the service cannot have an image, "" if nothing is known against it."""
        try:
            if route.place:
                self._served.check(route.label, route.size, route.place)
        except PictureError as error:
            return error.message
        return route.why

    @property
    def _fetched(self) -> bool:
        """Whether the service fetches local images from an address; the sandbox gets copies."""
        return self._urls.publish_always or not self._backend.local

    def _place(self, picture: Picture) -> Place | None:
        return None if self._urls.publish_always else self._served.place(picture)

    def _read_all(self, param: Param, value: Any) -> list[Picture]:
        """Return the images of a parameter; an error names the one that cannot be read."""
        if param.type == "image":
            with naming(param.name):
                _refuse_folder(param, value)
                return [self._read(value)]
        pictures = []
        for number, source in enumerate(value, 1):
            with naming(f"{param.name}, image {number} of {len(value)}"):
                pictures.append(self._read(source))
        return pictures

    def _read(self, source: Any) -> Picture:
        picture = read_picture(source)
        self._thumbnails.remember(picture)
        return picture


def _refuse_folder(param: Param, value: Any) -> None:
    """Refuse a folder where one image goes that does not vary in a batch, such as the mask."""
    if param.name != "image" and isinstance(value, (str, os.PathLike)) and os.path.isdir(value):
        names = sorted(os.listdir(value))[:1]
        example = f", such as {clip_path(os.path.join(value, names[0]))}" if names else ""
        raise PictureError(f"{clip_path(value)} is a folder", hint=f"give one file of it{example}")


def _refuse_files(operation: Operation, values: Mapping[str, Any]) -> None:
    """Refuse a file of this machine inside an object, where nothing puts it on the way."""
    for param in operation.user_params:
        for member, held in _members(values.get(param.name), param.name):
            if "image" in member.rpartition(".")[2] and os.path.isfile(held):
                raise PictureError(
                    f"{member}: {clip_path(held)} is a file on this machine, and files inside an "
                    "object are not uploaded: nothing was sent",
                    hint="pass the file as image, or use a URL or base64 here",
                )


def _members(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Yield the texts of moderate length inside an object, each after its dotted place."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from _members(each, f"{place}.{name}")
    elif isinstance(value, list):
        for each in value:
            yield from _members(each, place)
    elif isinstance(value, str) and "." in place and len(value) < MOST_PATH:
        yield place, value


def _check_mask(read: Mapping[str, list[Picture]]) -> None:
    """Refuse a mask whose size differs from its image's, if both are on this machine."""
    sizes = {}
    for name in ("mask", "image"):
        for picture in read.get(name, []):
            if picture.data is not None:
                with naming(name):
                    sizes[name] = thumbnail(picture.data, SMALL).original
    if len(sizes) == 2 and len(set(sizes.values())) == 2:
        mask, image = (f"{width} × {height}" for width, height in sizes.values())
        raise PictureError(
            f"mask is {mask} pixels, but image is {image}: they must have the same size"
        )
