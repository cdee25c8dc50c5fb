"""The result of a form's run: large, with its next steps, above the earlier runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from ...catalogue.operation import Operation
from ...catalogue.operations import OPERATIONS
from ...catalogue.status import UNSENT
from ...display.parts import seconds
from ...errors import ImgOpenError, WaitCancelledError
from ...session import Session
from ...syntax.snippets import settable
from ...tasks.result import Result
from ...tasks.task import Task
from ...text import as_typed, clip, shown
from ..before_after import before_after
from .frame import FormFrame

FOLDER = "pictures"
LARGE, SMALL = 1280, 192  # pixels of the long side
MOST_PICTURES = 16
EARLIER = 12


def input_operations() -> list[tuple[str, str]]:
    """Return the operations that take an image, as (name, text)."""
    return [
        (row.name, row.heading)
        for row in OPERATIONS.runnable
        if any(param.name == "image" and param.picture for param in row.user_params)
    ]


class Outcome:
    """The pane beside the fields: shows a result or an error, and does what its buttons say.

    Args:
        frame: where it is shown.
        operation: the form's operation.
        session: whose history; a function, as making one may take time.
        use: called with the name of an operation and an image that it is to take.

    Attributes:
        place: holds the before/after slider.
    """

    def __init__(
        self,
        frame: FormFrame,
        operation: Operation,
        session: Callable[[], Session],
        use: Callable[[str, str], None],
    ) -> None:
        self._frame, self._operation, self._session, self._use = frame, operation, session, use
        self._result: Result | None = None
        self._details: Sequence[tuple[str, str]] = ()
        self._before: Any = None  # of the run before, if the operation takes no image
        self._has_film = False
        self.place = widgets.VBox()

    def show(self, result: Result, details: Sequence[tuple[str, str]] = ()) -> None:
        """Show a result, and what "Details" says of it; called in the thread of the run."""
        earlier, self._result, self._details = self._result, result, details
        if earlier is not None and earlier.images and earlier.task_id != result.task_id:
            self._before = earlier.images[0]
        self.place.children = []
        small = [
            result.output_thumbnail(n, SMALL) for n in range(min(len(result.images), MOST_PICTURES))
        ]
        with self._frame.hold_sync():
            self._frame.pictures = [found.jpeg if found else b"" for found in small]
            self._choose(0)
        if self._has_film:
            self.read_earlier()

    def show_error(
        self, error: ImgOpenError, lead: tuple[str, str] | None = None, *, again: bool = False
    ) -> None:
        """Show why something did not work; the result before stays.

        Args:
            error: what happened.
            lead: the field that leads on, and what its button says.
            again: whether the run can be started again.
        """
        message, task = _reason(error)
        told = {"message": message, "task": task, "lead": lead or (), "again": again}
        self._tell(told, error.hint)

    def show_stopped(self, error: WaitCancelledError) -> None:
        """Say that a run is not waited for any more, and what becomes of its task."""
        message, hint, task = error.message, error.hint, error.task
        if isinstance(task, Task) and task.state not in UNSENT:
            where = "in the sandbox" if task.backend == "sandbox" else "at the service"
            message = f"Stopped waiting. The task continues {where}."
            hint = as_typed(f"To get its result later: %imgopen wait {task.id}")
        self._tell({"message": _sentence(message), "calm": True}, _sentence(hint))

    def _tell(self, told: dict[str, Any], hint: str) -> None:
        told = {**told, "message": shown(told["message"]), "hint": shown(hint or "", 500)}
        self._frame.outcome = {**self._frame.outcome, "error": told, "said": ""}

    def choose(self, number: str) -> None:
        """Show one of the images large."""
        if number.isdecimal() and int(number) < len(self._frame.pictures):
            self._choose(int(number))

    def _choose(self, number: int) -> None:
        result, large = self._result, None
        assert result is not None
        if result.images:
            large = result.output_thumbnail(number, LARGE)
        with self._frame.hold_sync():
            self._frame.chosen = number
            self._frame.main = large.jpeg if large else b""
            self._frame.outcome = self._told(result, large.original if large else None, number)

    def _told(self, result: Result, size: tuple[int, int] | None, number: int) -> dict[str, Any]:
        count = len(result.images)
        seed = _seed(result, number)
        facts = [
            f"image {number + 1} of {count}" if count > 1 else "",
            f"{size[0]} × {size[1]}" if size else "",
            f"seed {seed}" if seed is not None else "",
            result.engine or "",
            seconds(result.seconds),
            "from the history" if result.cached else "",
        ]
        badges = ["sandbox"] if result.backend == "sandbox" else []
        return {
            "task": result.task_id,
            "badges": [*badges, *([result.fidelity] if result.fidelity else [])],
            "facts": " · ".join(filter(None, facts)),
            "alt": clip(result.params.get("prompt") or result.image or "", 120) if count else "",
            "can": [
                *(["save"] if result.status == "succeeded" else []),
                *(["use"] if count else []),
                *(["compare"] if size and self._compared(result) is not None else []),
            ],
            "details": list(self._details),
            "caption": result.caption or "",
            "seed": "" if seed is None else str(seed),
            "cutout": self._operation.name == "remove-background",
        }

    def _compared(self, result: Result) -> Any:
        return result.image or self._before

    def save(self, _: str = "") -> None:
        """Write the images or the caption into the folder `pictures`."""
        if self._result is not None:
            self._say(f"Saved {_named(self._result.save(FOLDER))} in {FOLDER}/")

    def compare(self, _: str = "") -> None:
        """Show the slider between the image before and the one shown, or put it away."""
        if self.place.children or self._result is None or not self._result.images:
            self.place.children = []
            return
        before = self._compared(self._result)
        if before is not None:
            after = self._result.images[self._frame.chosen]
            self.place.children = [before_after(before, after).widget]

    def use(self, operation: str) -> None:
        """Give the image that is shown to another operation."""
        if self._result is not None and self._result.images:
            self._use(operation, str(self._result.images[self._frame.chosen]))

    def read_earlier(self, _: str = "") -> None:
        """Show the newest runs of this operation as a filmstrip; from then on after each run."""
        self._has_film = True
        session = self._session()
        rows = session.rows(operation=self._operation.name, status="succeeded", limit=EARLIER)
        rows.reverse()
        film, frames = [], []
        for row, title in zip(rows, _titles(self._operation, rows), strict=True):
            address = (row["image_urls"] or [row["image"]])[0]
            found = session.thumbnail(address, SMALL) if address else None
            film.append((row["task_id"], title))
            frames.append(found.jpeg if found else b"")
        with self._frame.hold_sync():
            self._frame.film, self._frame.frames = film, frames

    def _say(self, text: str) -> None:
        self._frame.outcome = {**self._frame.outcome, "said": text, "at": time.time()}


def _seed(result: Result, number: int) -> int | None:
    """Return the seed of an image: as the answer says it, else as the call gave it."""
    told = list(_seeds(result.data))
    if told and len(told) == len(result.images):
        return told[number]
    given = result.params.get("seed")
    return given if isinstance(given, int) and given >= 0 and number == 0 else None


def _seeds(data: Any) -> Iterator[int]:
    """Yield the seeds in an answer, in its order."""
    if isinstance(data, Mapping):
        seed = data.get("seed")
        if isinstance(seed, int) and not isinstance(seed, bool):
            yield seed
        data = data.values()
    elif not isinstance(data, list):
        return
    for each in data:
        yield from _seeds(each)


def _titles(operation: Operation, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what tells each run from the others: first the parameters that differ."""
    hidden = {param.name for param in operation.user_params if param.picture} | {"prompt"}
    given = [
        {n: v for n, v in settable(operation, row["params"] or {}).items() if n not in hidden}
        for row in rows
    ]
    names = dict.fromkeys(name for each in given for name in each)
    same = {name for name in names if all(each.get(name) == given[0].get(name) for each in given)}
    titles = []
    for row, each in zip(rows, given, strict=True):
        said = row["caption"] or (row["params"] or {}).get("prompt") or row["image"]
        said = str(said or row["task_id"])
        name = said.rpartition("/")[2] if said == row["image"] else said
        told = {n: f"{operation.param(n).heading.lower()} {clip(v, 24)}" for n, v in each.items()}
        differing = [told[n] for n in names if n in told and n not in same]
        alike = [told[n] for n in names if n in told and n in same]
        titles.append(clip(" · ".join([*differing, name, *alike]), 80))
    return titles


def _named(paths: Sequence[Path]) -> str:
    """Return the names of saved files: "cat.png and its .json"."""
    main = [path for path in paths if path.suffix != ".json"] or list(paths)
    notes = len(main) < len(paths)
    if len(main) == 1:
        return main[0].name + (" and its .json" if notes else "")
    return f"{len(main)} files" + (" and their .json" if notes else "")


def _reason(error: ImgOpenError) -> tuple[str, str]:
    """Return why it did not work, and apart from it which task that was."""
    head, _, reason = error.message.partition(": ")
    task = str(getattr(error.task, "id", ""))
    return (reason, head) if task and task in head and reason else (error.message, "")


def _sentence(text: str) -> str:
    """Return a text with a capital letter at its beginning."""
    return text[:1].upper() + text[1:]
