"""What an engine gets: checked parameters, the images that they name, a place for results."""

from __future__ import annotations

import base64
import binascii
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ...catalogue.operation import Operation
from ...errors import PictureError, naming
from ..engine import Engine, TaskLookup
from .download import DEADLINE_SECONDS, fetch
from .pictures import decode, encode
from .store import FileStore

if TYPE_CHECKING:
    from PIL import Image

PREVIEW_SIDE = 256
ALL_BYTES = 100_000_000
ALL_SECONDS = 60.0


class Recorded(Mapping[str, Any]):
    """Values that remember which of them were read, also those in objects within them.

    Example:
        >>> values = Recorded({"steps": 20, "control": {"module": "canny", "weight": 1}})
        >>> values["control"]["module"], list(values.unread())
        ('canny', ['steps', 'control.weight'])
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = {name: _recorded(value) for name, value in values.items()}
        self._read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        value = self._values[name]
        self._read.add(name)
        return value

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def unread(self) -> Iterator[str]:
        """Yield the names of what was never read, dotted where an object holds it."""
        for name, value in self._values.items():
            if name not in self._read:
                yield name
                continue
            for inner in value if isinstance(value, list) else [value]:
                if isinstance(inner, Recorded):
                    yield from (f"{name}.{each}" for each in inner.unread())


def _recorded(value: Any) -> Any:
    if isinstance(value, dict):
        return Recorded(value)
    return [_recorded(item) for item in value] if isinstance(value, list) else value


class JobWork:
    """The work that an engine gets; fulfils `engine.Work`.

    Args:
        operation: what the engine does.
        values: the caller's parameters, checked.
        files: where images are read from and results go.
        base_url: the address that serves `files`.
        tasks: finds other tasks.
        report: is called with how far the work is, and the URL of a preview or "".
    """

    def __init__(
        self,
        operation: Operation,
        values: Mapping[str, Any],
        files: FileStore,
        base_url: str,
        tasks: TaskLookup,
        report: Callable[[float, str], None] | None = None,
    ) -> None:
        self.params = Recorded(with_defaults(operation, values))
        self._usual, self._given = with_defaults(operation, {}), values
        self.task, self.trainings = tasks.task, tasks.trainings
        self._operation, self._files, self._base_url = operation, files, base_url
        self._report = report
        self._fetched: dict[str, bytes] = {}

    def run(self, engine: Engine) -> dict[str, Any]:
        """Return the engine's result, with what the caller gave and the engine did not use."""
        result = engine.run(self)
        unused = self._unused()
        return {**result, **({"unused": unused} if unused else {})}

    def _unused(self) -> list[str]:
        """Return the names of what was given and never read; what is off needs no use."""
        known = {"callback_url": self._given.get("callback_url"), **self._usual}
        return list(
            dict.fromkeys(
                name
                for name in self.params.unread()
                if name.partition(".")[0] in self._given
                and self._given.get(name, "") is not False
                and not (name in known and known[name] == self._given.get(name))
            )
        )

    @property
    def remote(self) -> dict[str, str]:
        """The URLs that are not in the sandbox's folder, and what messages call each."""
        fields = [p for p in self._operation.params if p.picture and p.name in self.params]
        return {
            url: label
            for param in fields
            for label, url in _labelled(param.label, self._given.get(param.name))
            if self._files.local(url) is None
        }

    def fetch(self) -> None:
        """Download the images that are not in the sandbox's folder."""
        ends = time.monotonic() + ALL_SECONDS
        for url, field in self.remote.items():
            with naming(field):
                left = max(0.1, ends - time.monotonic())
                self._fetched[url] = fetch(url, seconds=min(DEADLINE_SECONDS, left))
                if sum(map(len, self._fetched.values())) > ALL_BYTES:
                    raise PictureError(f"more than {ALL_BYTES // 1_000_000} MB in total")

    def picture(self, name: str) -> Image.Image:
        """Return the image of a parameter: upright, RGB or RGBA."""
        return self.pictures(name)[0]

    def pictures(self, name: str) -> list[Image.Image]:
        """Return the images of a parameter that takes several."""
        return list(self.each_picture(name))

    def each_picture(self, name: str) -> Iterator[Image.Image]:
        """Yield the images of a parameter one by one; an error names the image."""
        field = self._operation.param(name).label
        for label, url in _labelled(field, self.params[name]):
            with naming(label):
                image = decode(self._bytes(url))
            yield image

    def picture_in(self, text: str, label: str) -> Image.Image:
        """Return an image that an object holds: an address, a data URL or base64.

        Raises:
            PictureError: it is none of these, or no image.
        """
        with naming(label):
            if re.match(r"https?://", text, re.IGNORECASE):
                return decode(self._bytes(text))
            try:
                data = base64.b64decode(re.sub(r"^data:[^,]*,|\s", "", text), validate=True)
            except (binascii.Error, ValueError):
                raise PictureError(
                    "neither an http(s) address nor base64; pass a local file as image"
                ) from None
            return decode(data)

    def progress(self, fraction: float, preview: Image.Image | None = None) -> None:
        """Report how far the work is, from 0 to 1, with a preview of the image."""
        if self._report is None:
            return
        url = ""
        if preview is not None:
            small = preview.convert("RGB")
            small.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
            url = self.save(small, "jpg")
        self._report(min(1.0, max(0.0, fraction)) if math.isfinite(fraction) else 0.0, url)

    def save(self, image: Image.Image, suffix: str = "png") -> str:
        """Store a result and return the URL that serves it."""
        return f"{self._base_url}/files/{self._files.add(encode(image, suffix), suffix)}"

    def _bytes(self, url: str) -> bytes:
        path = self._files.local(url)
        if path is not None:
            path.touch()
            return path.read_bytes()
        if url not in self._fetched:
            self._fetched[url] = fetch(url)
        return self._fetched[url]


def with_defaults(operation: Operation, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with the documented default, or our own preset, for each missing one."""
    found = dict(values)
    for param in operation.user_params:
        fallback = param.preset if param.default is None else param.default
        if param.name not in found and fallback is not None:
            found[param.name] = fallback
    return found


def _labelled(field: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield each URL of an image field after what messages call it."""
    if not isinstance(value, list):
        if value is not None:
            yield field, value
        return
    for number, url in enumerate(value, 1):
        yield f"{field}, image {number} of {len(value)}", url
