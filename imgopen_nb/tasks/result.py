"""The result of a task: caption, tags, images, faces, prompts or rows, and their origin."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ..catalogue.operation import Operation, find
from ..display.record import name_and_score
from ..errors import PictureError, UsageError
from ..files import path_of
from ..images.identity import by_name
from ..images.picture import decode, suffix_of
from ..images.thumbnail import thumbnail
from ..text import as_text, clip
from .cards import result_bundle

if TYPE_CHECKING:
    import pandas as pd
    import PIL.Image

    from ..images.thumbnail import Thumbnail

T = TypeVar("T")
# What is taken of an answer that never ends; `Result.data` has the rest.
MAX_CAPTION = 1_000_000
MAX_ITEMS = 10_000
# Fields of the JSON file that is saved beside the images.
_ORIGIN = (
    "task_id", "server_id", "operation", "model", "image", "picture", "params", "backend",
    "engine", "fidelity", "submitted", "finished",
)  # fmt: skip
_SCHEME = re.compile(r"\s*(https?://)", re.IGNORECASE)
_WEIGHT = re.compile(r"(?P<open>\()?(?P<name>.+?):(?P<score>[01](?:\.[0-9]{1,20})?)(?(open)\))")


@dataclass(frozen=True)
class Tag:
    """One tag of a caption; `score` is 0 to 1, None if the service gives none."""

    name: str
    score: float | None = None

    def __str__(self) -> str:
        return self.name


class Home(Protocol):
    """Where a result comes from, which fetches its images and writes its files."""

    def download(self, url: str, task_id: str, number: int) -> bytes:
        """Return the bytes of an image that a task made; `number` is its place in `images`."""

    def kept(self, task_id: str) -> list[Path]:
        """Return the files of the images that a task made, once they are saved."""

    def thumbnail(self, image: str, size: int, *, picture: str, trusted: bool) -> Thumbnail:
        """Return a thumbnail, as `ThumbnailCache.thumbnail` does."""

    def write(self, contents: Mapping[Path, str | bytes], *, overwrite: bool) -> None:
        """Write files, as `WrittenFiles.write` does."""


class ResultImage(str):
    """The URL of an output image; `data()` and `pil()` fetch it, or read its saved file."""

    home: Home | None
    task_id: str
    number: int

    def __new__(
        cls, url: str, home: Home | None = None, task_id: str = "", number: int = 0
    ) -> ResultImage:
        """Make a URL that `home` fetches: the image of a task with this place in its result."""
        made = super().__new__(cls, url)
        made.home, made.task_id, made.number = home, task_id, number
        return made

    def data(self) -> bytes:
        """Return the image file's bytes.

        Raises:
            PictureError: it can no longer be fetched.
        """
        if self.home is None:
            raise PictureError(f"{self} cannot be fetched: its session no longer exists")
        return self.home.download(str(self), self.task_id, self.number)

    def pil(self) -> PIL.Image.Image:
        """Return the image as a PIL image."""
        image: PIL.Image.Image = decode(self.data())
        return image


@dataclass(frozen=True)
class Result:
    """The result of one task: a plain value that can be compared, copied and pickled.

    Attributes:
        task_id, server_id: the task's own id, and the service's id for it.
        operation, kind: the operation, and the kind of result.
        model: the model, None if the operation has none.
        image: the image as this call named it; a local path is absolute.
        picture: the identity of the image, by its content: see `images/identity.py`.
        params: the parameters, by the names that you use.
        data: the service's answer, unchanged; access keys in it are removed.
        backend: "real" or "sandbox"; `engine` and `fidelity` say how the sandbox made the result.
        submitted, finished: seconds since the epoch.
        queries, attempts: how often the task was polled, and how often it was sent.
        status: "succeeded", or "failed" with `error`.
        cached: whether it was taken from the history without sending a request.
        notes: remarks for the reader.
        home: the folder of the history, where a pickled result finds its images again.
    """

    task_id: str
    operation: str
    kind: str
    data: Mapping[str, Any] = field(repr=False)
    output: str = field(default="", repr=False)
    server_id: str = ""
    model: str | None = None
    image: str | None = None
    picture: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict, repr=False)
    backend: str = "real"
    status: str = "succeeded"
    error: str | None = None
    submitted: float | None = field(default=None, repr=False)
    finished: float | None = field(default=None, repr=False)
    queries: int = 0
    attempts: int = 1
    cached: bool = False
    notes: tuple[str, ...] = ()
    home: Home | None = field(default=None, repr=False, compare=False)

    def __hash__(self) -> int:
        return hash((self.task_id, self.operation, self.status, self.image))

    @property
    def id(self) -> str:
        """The same as `task_id`; a task has this name too."""
        return self.task_id

    @property
    def seconds(self) -> float | None:
        """Seconds from the submission until the result was seen."""
        if self.submitted is None or self.finished is None:
            return None
        return max(0.0, self.finished - self.submitted)

    @property
    def engine(self) -> str | None:
        """What computed the result; None if the answer does not say (the sandbox's does)."""
        return _text(self.data.get("engine"))

    @property
    def fidelity(self) -> str | None:
        """How real a result of the sandbox is: real, approximate or placeholder; else None."""
        return _text(self.data.get("fidelity"))

    @property
    def caption(self) -> str | None:
        """The description, or None."""
        value = find(self.data, self.output) if self.kind == "caption" else None
        return value[:MAX_CAPTION] if isinstance(value, str) else None

    @property
    def tags(self) -> list[Tag]:
        """The tags, with scores if given; for deepdanbooru, the parts of the caption."""
        given = self.data.get("styles" if self.kind == "style" else "tags")
        if isinstance(given, list):
            return [tag for tag in map(_tag, given[:MAX_ITEMS]) if tag]
        if self.model == "deepdanbooru" and self.caption:
            return [tag for tag in map(_tag, self.caption.split(",", MAX_ITEMS)[:MAX_ITEMS]) if tag]
        return []

    @property
    def images(self) -> list[ResultImage]:
        """The URLs of the output images; `.data()` and `.pil()` download one."""
        if self.kind != "images":
            return []
        found = [find(self.data, self.output), self.data.get("outputImageUrls")]
        known = dict.fromkeys(islice(_urls(found), MAX_ITEMS))
        return [ResultImage(u, self.home, self.task_id, at) for at, u in enumerate(known)]

    @property
    def files(self) -> list[Path]:
        """The files in which the setting `save` stores `images`; [] without that setting.

        If they are being saved at the moment, this waits for up to 30 s.
        """
        return self.home.kept(self.task_id) if self.home and self.kind == "images" else []

    @property
    def prompts(self) -> list[str]:
        """The expanded prompts."""
        given = find(self.data, self.output) if self.kind == "prompts" else None
        return _items(given, str)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of a list."""
        return _items(find(self.data, self.output) if self.kind == "rows" else None, dict)

    @property
    def faces(self) -> list[dict[str, Any]]:
        """The faces, left to right: box [x, y, width, height] in pixels, score, key points."""
        return _items(find(self.data, self.output) if self.kind == "boxes" else None, dict)

    def thumbnail(self, size: int = 512) -> Thumbnail | None:
        """Return the input image, longest side `size` pixels, or None if it cannot be read."""
        if not self.image:
            return None
        return self._thumbnail(self.image, size, self.picture or by_name(self.image), trusted=True)

    def output_thumbnail(self, index: int = 0, size: int = 512) -> Thumbnail | None:
        """Return one of `images`, longest side `size` pixels, or None if it cannot be read."""
        image = self.images[index]
        found = self._thumbnail(str(image), size, str(image), trusted=False)
        if found is None or max(found.width, found.height) < min(size, max(found.original)):
            with contextlib.suppress(PictureError):  # the address may be gone, and the file not
                return thumbnail(image.data(), size)
        return found

    def save(self, folder: str | Path, *, overwrite: bool = False) -> list[Path]:
        """Save the images (or the caption) and a JSON file that says where they come from.

        If there is neither, as for a list, the JSON file holds the answer itself.

        Files are named after the image, the operation and the task. Files from an earlier call are
        replaced, unless they were edited since.

        Args:
            folder: where to write; created if it does not exist.
            overwrite: whether to replace your own files too.

        Returns:
            The paths of the files, the JSON file last.

        Raises:
            PictureError: an image can no longer be fetched; nothing was written.
            UsageError: a file of yours is there; nothing was written.
            FileError: the folder cannot be written.

        Example:
            >>> session.run("upscale", image="sample:coffee").save("pictures")
        """
        if self.home is None:
            raise UsageError("this result does not come from a task, so it has no files to save")
        # All names may come from an imported file.
        name = "-".join(filter(None, (_origin(self.image), self.operation, self.task_id)))
        stem = path_of(folder) / re.sub(r"[^\w.-]", "_", name)[:180]
        contents: dict[Path, str | bytes] = {}
        for number, image in enumerate(self.images, 1):
            data = image.data()
            tail = f"-{number}" if len(self.images) > 1 else ""
            contents[stem.with_name(f"{stem.name}{tail}{suffix_of(data)}")] = data
        if self.caption is not None:
            contents[stem.with_name(f"{stem.name}.txt")] = self.caption + "\n"
        origin = {name: getattr(self, name) for name in _ORIGIN}
        origin |= {"urls": list(map(str, self.images)), "files": [file.name for file in contents]}
        if not contents:
            origin["data"] = dict(self.data)
        told = json.dumps(origin, indent=2, ensure_ascii=False)
        contents[stem.with_name(f"{stem.name}.json")] = told
        self.home.write(contents, overwrite=overwrite)
        return list(contents)

    def frame(self) -> pd.DataFrame:
        """Return the rows of a list as a DataFrame."""
        import pandas as pd

        return pd.DataFrame(self.rows)

    def _thumbnail(self, image: str, size: int, picture: str, *, trusted: bool) -> Thumbnail | None:
        if self.home is None:
            return None
        try:
            return self.home.thumbnail(image, size, picture=picture, trusted=trusted)
        except PictureError:
            return None

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return result_bundle(self)


def _origin(image: str | None) -> str:
    """Return an image's name without its folder and suffix, "" if it has none."""
    name = re.split(r"[/\\:]", re.split(r"[?#]", image or "")[0].rstrip("/\\"))[-1]
    return re.sub(r"\.\w{1,5}$", "", name).strip("<>. ")[:60]


def missing_note(operation: Operation, data: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a note if a result lacks its output."""
    if not operation.output or find(data, operation.output) not in (None, "", []):
        return ()
    return (f"the service reports success, but the answer has no {operation.output}",)


def _items(given: Any, kind: type[T]) -> list[T]:
    """Return the values of this type in a list; a single value counts as a list of one."""
    items = given[:MAX_ITEMS] if isinstance(given, list) else [given]
    return [each for each in items if isinstance(each, kind)]


def _tag(value: Any) -> Tag | None:
    if isinstance(value, Mapping):
        name, score = name_and_score(value)
        name = name or value.get("tag")
        return Tag(clip(as_text(name), 200), score) if name else None
    if not isinstance(value, str) or not value.strip():
        return None
    weighted = _WEIGHT.fullmatch(value.strip())
    if weighted:
        return Tag(clip(weighted["name"].strip(), 200), float(weighted["score"]))
    return Tag(clip(value.strip(), 200))


def _text(value: Any) -> str | None:
    return clip(value, 100) if isinstance(value, str) and value else None


def _urls(value: Any) -> Iterator[str]:
    """Yield the addresses in a text or in lists of texts, one inside the other."""
    if isinstance(value, list):
        for each in value:
            yield from _urls(each)
    elif isinstance(value, str) and (scheme := _SCHEME.match(value)):
        yield scheme[1].lower() + value[scheme.end() :].rstrip()
