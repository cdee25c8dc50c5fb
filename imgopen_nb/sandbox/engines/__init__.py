"""The sandbox's engines: what really does the work behind each operation.

An engine is one function, registered by the `engine` decorator. Importing this package costs
nothing, nor does `load`: an engine imports numpy and onnxruntime when it first runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from PIL import Image

Fidelity = Literal["real", "approximate", "placeholder"]

FAMILIES = ("describe", "faces", "style")


class EngineError(Exception):
    """The picture or the parameters cannot be worked on; the message is shown to the user."""


class Work(Protocol):
    """What the server hands to an engine: checked parameters, pictures to read, a place to save."""

    @property
    def params(self) -> Mapping[str, Any]:
        """Parameters by user-facing name, checked, with the defaults filled in."""

    def picture(self, name: str) -> Image.Image:
        """Return the picture of parameter `name`: decoded, upright by EXIF, mode RGB or RGBA."""

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


def load() -> dict[str, Engine]:
    """Import every family of engines and return the filled registry."""
    for family in FAMILIES:
        import_module(f"{__name__}.{family}")
    return ENGINES
