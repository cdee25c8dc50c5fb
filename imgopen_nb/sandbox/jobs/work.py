"""What an engine is handed: checked parameters, the pictures they name, and a place for results."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from ...catalogue.operation import Operation
from ...errors import PictureError, naming
from .download import DEADLINE_SECONDS, fetch
from .pictures import decode, encode
from .store import Files

if TYPE_CHECKING:
    from PIL import Image

    from ..engine import Seen

PREVIEW_SIDE = 256
ALL_BYTES = 100_000_000
ALL_SECONDS = 60.0


class Register(Protocol):
    """Where an engine may look up other tasks."""

    def task(self, asked: str) -> Seen | None:
        """Return the task that the caller, or the sandbox, calls so."""

    def trainings(self) -> list[Seen]:
        """Return the training jobs, the oldest first."""


class Work:
    """One task as its engine sees it; fulfils `engines.Work`."""

    def __init__(
        self,
        operation: Operation,
        values: Mapping[str, Any],
        files: Files,
        base_url: str,
        *,
        register: Register | None = None,
        report: Callable[[float, str], None] | None = None,
    ) -> None:
        self._register, self._report = register, report
        self._operation = operation
        self._files = files
        self._base_url = base_url
        self._fetched: dict[str, bytes] = {}
        self.params: Mapping[str, Any] = with_defaults(operation, values)

    @property
    def remote(self) -> dict[str, str]:
        """The URLs that are not in the sandbox's own folder, and what a message calls each."""
        fields = [p for p in self._operation.params if p.picture and p.name in self.params]
        return {
            url: label
            for param in fields
            for label, url in _labelled(param.label, self.params[param.name])
            if self._files.local(url) is None
        }

    def fetch(self) -> None:
        """Get the pictures that come from elsewhere."""
        ends = time.monotonic() + ALL_SECONDS
        for url, field in self.remote.items():
            with naming(field):
                left = max(0.1, ends - time.monotonic())
                self._fetched[url] = fetch(url, seconds=min(DEADLINE_SECONDS, left))
                if sum(map(len, self._fetched.values())) > ALL_BYTES:
                    raise PictureError(f"more than {ALL_BYTES // 1_000_000} MB in all")

    def picture(self, name: str) -> Image.Image:
        """Return the picture of a parameter: upright, RGB or RGBA."""
        return self.pictures(name)[0]

    def pictures(self, name: str) -> list[Image.Image]:
        """Return the pictures of a parameter that takes several."""
        return list(self.each_picture(name))

    def each_picture(self, name: str) -> Iterator[Image.Image]:
        """Yield the pictures of a parameter one by one; one that cannot be read is named."""
        field = self._operation.param(name).label
        for label, url in _labelled(field, self.params[name]):
            with naming(label):
                image = decode(self._bytes(url))
            yield image

    def progress(self, fraction: float, preview: Image.Image | None = None) -> None:
        """Tell how far the work is, from 0 to 1, and how the picture looks by now."""
        if self._report is None:
            return
        url = ""
        if preview is not None:
            small = preview.convert("RGB")
            small.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
            url = self.save(small, "jpg")
        self._report(min(1.0, max(0.0, fraction)) if math.isfinite(fraction) else 0.0, url)

    def task(self, asked: str) -> Seen | None:
        """Return the task that the caller, or the sandbox, calls so."""
        return self._register.task(asked) if self._register else None

    def trainings(self) -> list[Seen]:
        """Return the training jobs, the oldest first."""
        return self._register.trainings() if self._register else []

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
    """Return values and, for what was not given, the documented default or our own preset."""
    found = dict(values)
    for param in operation.user_params:
        fallback = param.preset if param.default is None else param.default
        if param.name not in found and fallback is not None:
            found[param.name] = fallback
    return found


def _labelled(field: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield each URL of a picture field with what to call it in a message."""
    if not isinstance(value, list):
        yield field, value
        return
    for number, url in enumerate(value, 1):
        yield f"{field}, picture {number} of {len(value)}", url
