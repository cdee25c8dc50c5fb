"""What a batch would do, computed without sending anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..catalogue.operation import Operation
from ..catalogue.operations import OPERATIONS
from ..catalogue.status import UNSENT, State
from ..display.tables import Table
from ..errors import ImgOpenError
from ..tasks.inputs import Route
from ..tasks.manager import TaskManager
from ..text import counted, shown
from .routes import in_words
from .rows import Limits, Row
from .stream import FATAL


@dataclass(frozen=True)
class Plan:
    """What a batch would do, going by the input and the history; nothing was sent.

    Attributes:
        operation: the name of the operation.
        rows: the number of rows in the input.
        combinations: the number of calls for each row.
        cached: calls whose result is in the history.
        under_way: calls whose task was sent earlier and is unfinished.
        unsure: calls whose task may not have reached the service; it is asked for them, and they
            are sent again if it does not know them.
        new: calls that would be sent.
        repeated: calls that already occur in the input and need not be sent again.
        unusable: calls that cannot be sent.
        reason: why the first unusable call cannot be sent, "" if there is none.
        most: how many may be sent at most; None for any number.
        concurrency: how many tasks run at a time.
        seconds: the expected time in seconds, None if no such task is in the history.
        takes_up: which interrupted run with `fresh` this continues, "" if none.
        pictures: where local images of the new calls are sent, "" if none are.
        reads: which column of which table is read, and why; "" where that is obvious.

    Example:
        >>> plan = session.map("describe", "photos/", model="clip", dry_run=True)
        >>> plan.new, plan.cached
        (120, 30)
    """

    operation: str
    rows: int
    combinations: int
    cached: int
    under_way: int
    unsure: int
    new: int
    repeated: int
    unusable: int
    reason: str
    most: int | None
    concurrency: int
    seconds: float | None
    takes_up: str = ""
    pictures: str = ""
    reads: str = ""

    def __repr__(self) -> str:
        parts = [f"{number:,} {what}" for number, what in self._counts()]
        time = _duration(self.seconds, self.concurrency)
        first = [f"{self.operation}: {self._calls()}", *filter(None, [self.reads])]
        parts += filter(None, [self.pictures])
        return "\n  ".join([*first, *parts, time, "nothing was sent"])

    def _calls(self) -> str:
        calls = counted(self.rows, "row")
        if self.combinations != 1:
            calls += f" × {self.combinations:,} = {counted(self.rows * self.combinations, 'call')}"
        return f"{calls}; continues {self.takes_up}" if self.takes_up else calls

    def _counts(self) -> list[tuple[int, str]]:
        most = f" (limit {self.most:,})" if self.most is not None else ""
        counts = [
            (self.repeated, "repeated in the input, at no cost"),
            (self.under_way, "already running"),
            (self.unsure, "begun earlier, sent again only if the service does not know them"),
            (self.unusable, f"that cannot be sent: {shown(self.reason, 200)}"),
        ]
        makes = OPERATIONS[self.operation].kind == "images"
        there = ", if the images can still be downloaded" if makes and self.cached else ""
        first = [
            (self.new, f"to send{most}"),
            (self.cached, f"from the history, at no cost{there}"),
        ]
        return first + [(number, what) for number, what in counts if number]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        rows = [("input", self.reads)] if self.reads else []
        rows += [(f"{number:,}", what) for number, what in self._counts()]
        rows += [("images", self.pictures)] if self.pictures else []
        rows += [("time", _duration(self.seconds, self.concurrency))]
        html = Table((self.operation, f"{self._calls()}; nothing was sent"), rows)
        return {**html._repr_mimebundle_(), "text/plain": repr(self)}


def make_plan(
    manager: TaskManager, operation: Operation, rows: Iterable[Row], width: int, limits: Limits
) -> Plan:
    """Return what these calls would do; reads the input and the history, and sends nothing.

    Args:
        manager: would send the calls.
        operation: the operation of all calls.
        rows: the calls.
        width: how many calls there are for each row of the input.
        limits: as for `stream`.
    """
    counts: Counter[str] = Counter()
    new: Counter[str | None] = Counter()
    seen: set[str] = set()
    routes: dict[Route, None] = {}
    reason = ""
    for row in rows:
        outcome, why, placed = _classify(manager, operation, row, seen, limits)
        routes |= dict.fromkeys(placed)
        reason = reason or why
        counts[outcome] += 1
        new[row.params.get("model")] += outcome == "new"
    return Plan(
        operation=operation.name,
        rows=counts.total() // width,
        combinations=width,
        cached=counts["cached"],
        under_way=counts["under way"],
        unsure=counts["unsure"],
        new=counts["new"],
        repeated=counts["repeated"],
        unusable=counts["unusable"],
        reason=reason,
        most=limits.most,
        concurrency=limits.concurrency,
        pictures=in_words(routes, manager.submitter.check_route),
        seconds=_expected_seconds(manager, operation, new, limits),
    )


def _classify(
    manager: TaskManager, operation: Operation, row: Row, seen: set[str], limits: Limits
) -> tuple[str, str, list[Route]]:
    """Return the count that a call belongs to, why it is unusable, and where its images go."""
    try:
        if row.trouble:
            raise row.trouble
        request, routes = manager.submitter.look(operation, row.params)
    except FATAL:
        raise
    except ImgOpenError as error:
        return "unusable", error.message, []
    except Exception as error:  # as in `stream`: one bad row does not end the others
        return "unusable", f"{type(error).__name__}: {error}", []
    if request is None or (limits.fresh and limits.since is None):
        return "new", "", routes
    if request in seen:
        return "repeated", "", []
    seen.add(request)
    known = manager.table.cached(request, limits.counted_since)
    if known is None:
        return "new", "", routes
    if known["status"] in UNSENT:
        return "unsure", "", routes
    return ("cached" if known["status"] == State.SUCCEEDED else "under way"), "", []


def _expected_seconds(
    manager: TaskManager, operation: Operation, new: Counter[str | None], limits: Limits
) -> float | None:
    usual = {
        model: manager.timing.median_seconds(operation, model, manager.settings.backend)
        for model, count in new.items()
        if count
    }
    if None in usual.values():
        return None
    known = {model: seconds for model, seconds in usual.items() if seconds is not None}
    total = sum(new[model] * seconds for model, seconds in known.items())
    share = 1.0 if limits.most is None else min(1.0, limits.most / max(1, new.total()))
    return max(total * share / limits.concurrency, max(known.values(), default=0.0) * (share > 0))


def _duration(seconds: float | None, concurrency: int) -> str:
    if seconds is None:
        return f"time unknown (nothing like this has run yet); {concurrency} run at a time"
    about = f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
    if seconds >= 5400:
        about = f"{seconds / 3600:.1f} h"
    return f"about {about}, {concurrency} at a time"
