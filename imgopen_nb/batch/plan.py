"""What a batch would do, told before anything is sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..catalogue.operation import Operation
from ..catalogue.status import State
from ..display.tables import Table
from ..errors import ImgOpenError
from ..tasks.manager import TaskManager
from ..text import shown
from .rows import Limits, Row
from .stream import FOR_ALL


@dataclass(frozen=True)
class Plan:
    """What a batch would do, as far as the history tells; nothing was sent.

    Attributes:
        rows: rows of the input; `combinations` of the grid for each.
        cached: tasks whose result is in the history; `under_way` those that have not ended.
        new: tasks that would be sent, each once; `repeated` stand in the input once more.
        unusable: calls that could not be sent, with the first reason in `reason`.
        most: how many may be sent; None for any number.
        seconds: expected time in seconds, None where no such task is known.
    """

    operation: str
    rows: int
    combinations: int
    cached: int
    under_way: int
    new: int
    repeated: int
    unusable: int
    reason: str
    most: int | None
    concurrency: int
    seconds: float | None

    def __repr__(self) -> str:
        parts = [f"{number:,} {what}" for number, what in self._counts()]
        time = f"{_time(self.seconds)}, {self.concurrency} at a time"
        return "\n  ".join([f"{self.operation}: {self._calls()}", *parts, time, "nothing was sent"])

    def _calls(self) -> str:
        rows = f"{self.rows:,} rows"
        if self.combinations == 1:
            return rows
        return f"{rows} × {self.combinations:,} = {self.rows * self.combinations:,} calls"

    def _counts(self) -> list[tuple[int, str]]:
        most = f", of which at most {self.most:,} may go" if self.most is not None else ""
        counts = [
            (self.repeated, "that stand in the input once more, at no cost"),
            (self.under_way, "under way already"),
            (self.unusable, f"that cannot be sent: {shown(self.reason, 200)}"),
        ]
        first = [(self.new, f"to send{most}"), (self.cached, "from the history, at no cost")]
        return first + [(number, what) for number, what in counts if number]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        rows = [(f"{number:,}", what) for number, what in self._counts()]
        rows += [("time", f"{_time(self.seconds)}, {self.concurrency} at a time")]
        html = Table((self.operation, f"{self._calls()}; nothing was sent"), rows)
        return {**html._repr_mimebundle_(), "text/plain": repr(self)}


def plan_of(
    manager: TaskManager, operation: Operation, rows: Iterable[Row], width: int, limits: Limits
) -> Plan:
    """Return what running these rows would do; reads the input and the history, sends nothing.

    Args:
        manager: where the calls would go.
        operation: what would be run.
        rows: the calls.
        width: how many of them belong to a row of the input.
        limits: as for the run.
    """
    counts: Counter[str] = Counter()
    new: Counter[str | None] = Counter()
    seen: set[str] = set()
    reason = ""
    for row in rows:
        fate, why = _fate(manager, operation, row, seen, limits.fresh)
        reason = reason or why
        counts[fate] += 1
        new[row.params.get("model")] += fate == "new"
    return Plan(
        operation=operation.name,
        rows=counts.total() // width,
        combinations=width,
        cached=counts["cached"],
        under_way=counts["under way"],
        new=counts["new"],
        repeated=counts["repeated"],
        unusable=counts["unusable"],
        reason=reason,
        most=limits.most,
        concurrency=limits.concurrency,
        seconds=_expected(manager, operation, new, limits),
    )


def _fate(
    manager: TaskManager, operation: Operation, row: Row, seen: set[str], fresh: bool
) -> tuple[str, str]:
    """Return what would become of a call, and why if nothing would."""
    try:
        if row.trouble:
            raise row.trouble
        request = manager.submitter.cache_key(operation, row.params)
    except FOR_ALL:
        raise
    except ImgOpenError as error:
        return "unusable", error.message
    except Exception as error:  # one row's odd input, as in `stream`
        return "unusable", f"{type(error).__name__}: {error}"
    if request is None or fresh:
        return "new", ""
    if request in seen:
        return "repeated", ""
    seen.add(request)
    known = manager.table.cached(request)
    if known is None:
        return "new", ""
    return ("cached" if known["status"] == State.SUCCEEDED else "under way"), ""


def _expected(
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


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "no such task is known yet, so the time is not either"
    if seconds < 90:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"
