"""The contract of an engine: what it gets, what it returns, and how it is registered.

An engine is one function behind one operation. It imports numpy and onnxruntime when it first runs,
so that registering it costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from PIL import Image

# The content check of the sd family: the sandbox has none and reports every image as clean.
CLEAN: dict[str, Any] = {
    "image_status": 1,
    "img_audit_status": True,
    "img_audit": [{"confidence": None, "label": "nonLabel"}],
}


Fidelity = Literal["real", "approximate", "placeholder"]


class EngineError(Exception):
    """The image or the parameters cannot be used; the message is shown to the user."""

    code = "400"


class AbsentError(EngineError):
    """What was asked for does not exist."""

    code = "404"


@dataclass(frozen=True)
class TaskView:
    """A task as the engines of other tasks see it; `fraction` is how far it is, 1.0 at its end."""

    key: str
    server_id: str
    operation: str
    state: Literal["running", "succeeded", "failed"]
    fraction: float
    params: Mapping[str, Any]
    result: Mapping[str, Any]
    error: str


class TaskLookup(Protocol):
    """Finds other tasks: lists show what was trained, queries ask for it."""

    def task(self, asked: str) -> TaskView | None:
        """Return the task that has this id, the caller's or the sandbox's."""

    def trainings(self) -> list[TaskView]:
        """Return the training jobs, the oldest first."""


class Work(TaskLookup, Protocol):
    """What an engine gets: checked parameters, images to read, a place to save."""

    @property
    def params(self) -> Mapping[str, Any]:
        """Parameters by user-facing name, checked, with the defaults filled in.

        What the caller gave and nobody reads here is named in the answer, so an engine reads only
        what it uses.
        """

    def picture(self, name: str) -> Image.Image:
        """Return the image of parameter `name`: decoded, upright by EXIF, mode RGB or RGBA."""

    def each_picture(self, name: str) -> Iterator[Image.Image]:
        """Yield the images of a parameter one by one; an error names the image."""

    def picture_in(self, text: str, label: str) -> Image.Image:
        """Return an image that an object holds: an address, a data URL or base64."""

    def progress(self, fraction: float, preview: Image.Image | None = None) -> None:
        """Report how far the work is, from 0 to 1, with a preview of the image."""

    def pictures(self, name: str) -> list[Image.Image]:
        """Return the images of parameter `name`, which takes several."""

    def save(self, image: Image.Image, suffix: str = "png") -> str:
        """Store a result and return the URL that serves it."""


Run = Callable[[Work], dict[str, Any]]


@dataclass(frozen=True)
class Engine:
    """One operation's engine; `about` says in one line what it is and what it is not."""

    operation: str
    name: str
    fidelity: Fidelity
    about: str
    run: Run


ENGINES: dict[str, Engine] = {}


def engine(operation: str, *, name: str, fidelity: Fidelity, about: str) -> Callable[[Run], Run]:
    """Register the decorated function as the engine of `operation`."""

    def register(run: Run) -> Run:
        if operation in ENGINES:
            raise ValueError(
                f"operation {operation!r} already has the engine {ENGINES[operation].name!r}"
            )
        ENGINES[operation] = Engine(operation, name, fidelity, about, run)
        return run

    return register
