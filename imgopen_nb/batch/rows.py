"""Rows in, outcomes out: what a batch is made of, and what is kept of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..catalogue.operation import Operation
from ..database.task_table import TaskTable
from ..errors import ImgOpenError
from ..tasks.result import Result
from ..text import clip

CONCURRENCY = 16


@dataclass(frozen=True, slots=True)
class Row:
    """One call to make: where it stands in the input, what the input calls it, its parameters.

    With `trouble` the input itself tells that the call cannot be made.
    """

    place: int
    index: Any
    params: Mapping[str, Any]
    trouble: ImgOpenError | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a row; a row that failed has a result with `status` and `error`."""

    row: Row
    result: Result
    trouble: ImgOpenError | None = None

    @property
    def failed(self) -> bool:
        """Whether there is no result."""
        return self.trouble is not None


# Is told of each outcome, and with None that time passes.
Watch = Callable[[Outcome | None], None]


@dataclass
class Limits:
    """How much at a time, how long, and how many.

    Attributes:
        concurrency: calls under way at a time.
        timeout: seconds that a row may take, network trouble included; None: the session's.
        most: how many new tasks may be sent; None for any number.
        fresh: whether what was asked before is asked again.
    """

    concurrency: int = CONCURRENCY
    timeout: float | None = None
    most: int | None = None
    fresh: bool = False
    sent: int = field(default=0, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def permit(self) -> bool:
        """Count one more task, unless as many have been sent as were allowed."""
        with self._lock:
            if self.most is not None and self.sent >= self.most:
                return False
            self.sent += 1
            return True


def not_run(operation: Operation, params: Mapping[str, Any], error: str) -> Result:
    """Return a stand-in for the result of a call that no task was made for."""
    image, model = params.get("image"), params.get("model")
    return Result(
        "",
        operation.name,
        operation.kind,
        {},
        model=model if isinstance(model, str) else None,
        image=clip(image) if isinstance(image, str) else None,
        status="not sent",
        error=error,
    )


GONE = "it is not in the history any more"


@dataclass(frozen=True, slots=True)
class Kept:
    """What a batch remembers of an outcome; `image` only where no task does."""

    index: Any
    task_id: str
    cached: bool
    error: str | None
    image: str | None


@dataclass
class Calls:
    """The calls of a batch and what is kept of them: what its frames are made from.

    Attributes:
        operation: what is run.
        fixed: the parameters that all calls share.
        grid: the parameters of each combination.
        index: the pandas index of the input, None where it has none.
        table: where the tasks are.
        kept: what is kept of each call that was run, by its place.
    """

    operation: Operation
    fixed: Mapping[str, Any]
    grid: list[dict[str, Any]]
    index: Any
    table: TaskTable
    kept: dict[int, Kept] = field(default_factory=dict)

    def combination(self, place: int) -> dict[str, Any]:
        """Return the parameters of the grid that belong to a place."""
        return self.grid[place % len(self.grid)]
