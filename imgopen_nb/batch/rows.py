"""The rows of a batch, their outcomes, and the records that a batch keeps of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..catalogue.operation import Operation
from ..catalogue.status import NOT_SENT
from ..database.task_table import TaskTable
from ..errors import ImgOpenError
from ..images.picture import name_of_unread
from ..tasks.result import Result

CONCURRENCY = 16


@dataclass(frozen=True, slots=True)
class Row:
    """One call to make.

    Attributes:
        place: its number among all calls, from 0.
        index: the index or key that the input has for it.
        params: its parameters.
        trouble: why the call cannot be made, if the input already shows that.
    """

    place: int
    index: Any
    params: Mapping[str, Any]
    trouble: ImgOpenError | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a row. If the row failed, the `status` and `error` of the result say so."""

    row: Row
    result: Result
    trouble: ImgOpenError | None = None

    @property
    def failed(self) -> bool:
        """Whether there is no result."""
        return self.trouble is not None


# Called with each outcome, and with None several times a second as time passes.
Watch = Callable[[Outcome | None], None]


@dataclass
class Limits:
    """How many calls run at a time, how long each may take, and how many may be sent.

    Attributes:
        concurrency: calls under way at a time.
        timeout: seconds that a row may take, network trouble included; None: the session's.
        most: how many new tasks may be sent; None for any number.
        fresh: whether to send calls again whose results are in the history.
        since: with `fresh`, tasks that were made from then on count all the same, in seconds since
            the epoch; None if each call is to be sent.
        sent: how many new tasks have been sent.
        waits_for: what the calls wait for that are looked for at the service, in words, or "".
    """

    concurrency: int = CONCURRENCY
    timeout: float | None = None
    most: int | None = None
    fresh: bool = False
    since: float | None = field(default=None, init=False)
    sent: int = field(default=0, init=False)
    waits_for: str = field(default="", init=False)

    @property
    def counted_since(self) -> float | None:
        """From when on earlier tasks count; None counts all of them, infinity none."""
        if not self.fresh:
            return None
        return math.inf if self.since is None else self.since

    def permit(self) -> bool:
        """Count one more task and return True, or return False if the limit is reached.

        Called by one thread at a time: the submitter sees to that.
        """
        if self.most is not None and self.sent >= self.most:
            return False
        self.sent += 1
        return True


def not_run(
    operation: Operation, params: Mapping[str, Any], error: str, status: str = NOT_SENT
) -> Result:
    """Return the result of a call for which there is no task, or none yet."""
    model = params.get("model")
    return Result(
        "",
        operation.name,
        operation.kind,
        {},
        model=model if isinstance(model, str) else None,
        image=name_of_unread(params.get("image")),
        status=status,
        error=error,
    )


NOT_IN_HISTORY = "it is no longer in the history"


@dataclass(frozen=True, slots=True)
class OutcomeRecord:
    """The part of an outcome that a batch keeps.

    Attributes:
        index, task_id, cached, error: of the row and its result.
        image: the name that the row gave to its image.
        status: that of the result when the outcome came; a task that was late may end after that.
        pictures: all images of the call by parameter, if there are others.
        over_limit: whether it was not sent because so many were sent as may be.
    """

    index: Any
    task_id: str
    status: str
    cached: bool
    error: str | None
    image: str | None
    pictures: Mapping[str, Any] | None = None
    over_limit: bool = False

    def named(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return a task's row with the name of this call's image in place of an earlier one's."""
        if self.image == row["image"] and not self.pictures:
            return dict(row)
        named = self.pictures or {
            n: self.image for n, v in row["params"].items() if v == row["image"]
        }
        return {**row, "image": self.image, "params": {**row["params"], **named}}


class InputPicture(NamedTuple):
    """The image of a row of the input: its name, which one it is, and why it cannot be read."""

    image: str | None
    picture: str | None
    trouble: str | None


@dataclass
class Calls:
    """The calls of a batch and the records of their outcomes, from which its frames are made.

    Attributes:
        operation: the operation of all calls.
        fixed: the parameters that all calls share.
        grid: the parameters of each combination.
        index: the pandas index of the input, None if it has none.
        table: the table of the tasks.
        records: a record of each call that was run, by its place.
    """

    operation: Operation
    fixed: Mapping[str, Any]
    grid: list[dict[str, Any]]
    index: Any
    table: TaskTable
    records: dict[int, OutcomeRecord] = field(default_factory=dict)

    def combination(self, place: int) -> dict[str, Any]:
        """Return the parameters that the grid gives to the call at a place."""
        return self.grid[place % len(self.grid)]
