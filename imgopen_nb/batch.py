"""A batch: one operation over many pictures (or prompts), with every combination of a grid.

What is kept of a row is its task's id; results and frames are read from the history when asked for.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any

from .errors import ImgOpenError, ParameterError, TaskInterrupted, UsageError, clip
from .plaintext import shown
from .progress import counting
from .result import Result
from .sources import Source, axes_of, combinations, many, missing
from .spec import Operation, Param
from .stream import CONCURRENCY, Limits, Outcome, Row, not_run, stream
from .tables import Table
from .values import in_words
from .wire import State

if TYPE_CHECKING:
    import pandas as pd

    from .journal import Journal
    from .session import Session

_PASSWORD = re.compile(r"//[^/\s]*@")
_FILLED_IN = "https://imgopen.invalid/picture"  # stands for the pictures while the rest is checked


@dataclass(frozen=True, slots=True)
class Kept:
    """What a batch remembers of an outcome; `image` only where no task does."""

    index: Any
    task_id: str
    cached: bool
    error: str | None
    image: str | None


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


class Batch:
    """Calls of one operation; made by `Session.map`, to be run, looked through and read as frames.

    Args:
        session: where the calls go.
        operation: what is run.
        source: the pictures (or prompts).
        params: the other parameters; a list where one value belongs is an axis of the grid.
        limits: how much at a time, how long, how many.

    Raises:
        UsageError: a parameter does not fit; nothing was sent.
    """

    def __init__(
        self,
        session: Session,
        operation: Operation,
        source: Source,
        params: Mapping[str, Any],
        limits: Limits,
    ) -> None:
        self._session = session
        self._source = source
        self._limits = limits
        self.operation = operation
        self.param = main_param(operation)
        self.grid: list[dict[str, Any]] = []
        self._kept: dict[int, Kept] = {}
        _check_limits(limits)
        given = _given(operation, params, self.param)
        axes = axes_of(operation, given)
        self._fixed = {name: value for name, value in given.items() if name not in axes}
        for combination in combinations(axes):
            checked = self._checked({**self._fixed, **combination})
            self.grid.append({name: checked.get(name) for name in combination})

    def _checked(self, params: dict[str, Any]) -> dict[str, Any]:
        example = _FILLED_IN if self.param.picture else "x"
        value = [example] * (self.param.min_items or 1) if many(self.param) else example
        params = {self.param.name: value, **params}
        if any(self.operation.param(name).picture for name in params):
            self._session.caller.request(self.operation, params)  # reads what lies on this machine
        return self._session.caller.check(self.operation, params)

    def rows(self) -> Iterator[Row]:
        """Yield the calls, in the order of the input."""
        width = len(self.grid)
        for number, (index, value) in enumerate(self._source.pairs()):
            trouble = value if isinstance(value, ImgOpenError) else None
            if missing(value):
                trouble = ParameterError(f"there is no {self.param.name} in this row")
            given = {} if trouble else {self.param.name: value}
            for at, combination in enumerate(self.grid):
                params = {**given, **self._fixed, **combination}
                yield Row(number * width + at, index, params, trouble)

    def run(self, progress: bool = True) -> Batch:
        """Run it to its end, with one bar, and return it.

        Raises:
            TaskInterrupted: Ctrl-C; what is under way goes on into the history.
        """
        total = None if self._source.total is None else self._source.total * len(self.grid)
        with counting(self.operation.name, total) as count:
            deque(self.outcomes(count if progress else None), maxlen=0)
        return self

    def outcomes(self, watch: Callable[[Outcome | None], None] | None = None) -> Iterator[Outcome]:
        """Run it and yield the outcomes as they come.

        Args:
            watch: is told of each outcome, and with None several times a second that time passes.

        Raises:
            UsageError: it has run, and its input can be read only once.
            TaskInterrupted: Ctrl-C; what is under way goes on into the history.
        """
        if self._source.once and self._kept:
            raise UsageError("this input can be read only once", hint="give it as a list")
        self._kept.clear()
        self._limits.sent = 0

        def told(outcome: Outcome | None) -> None:
            if outcome is not None:
                self._kept[outcome.row.place] = _kept(outcome)
            if watch:
                watch(outcome)

        return stream(self._session, self.operation, self.rows(), self._limits, told)

    def __iter__(self) -> Iterator[Result]:
        return iter(self.results())

    def plan(self) -> Plan:
        """Return what running it would do; reads the input and the history, and sends nothing."""
        if self._source.total is None and self._source.once:
            raise UsageError(
                "a plan would use up this input: it can be read only once",
                hint="give it as a list",
            )
        counts: Counter[str] = Counter()
        seen: set[str] = set()
        new: Counter[str | None] = Counter()
        reason = ""
        for row in self.rows():
            try:
                fate = self._fate(row, seen)
            except ImgOpenError as error:
                fate, reason = "unusable", reason or error.message
            except Exception as error:  # one row's odd input, as in `stream`
                fate, reason = "unusable", reason or f"{type(error).__name__}: {error}"
            counts[fate] += 1
            new[row.params.get("model")] += fate == "new"
        return Plan(
            self.operation.name,
            sum(counts.values()) // len(self.grid),
            len(self.grid),
            counts["cached"],
            counts["under way"],
            counts["new"],
            counts["repeated"],
            counts["unusable"],
            reason,
            self._limits.most,
            self._limits.concurrency,
            self._expected(new),
        )

    def results(self) -> list[Result]:
        """Return a result for each call that was run, in the order of the input."""
        rows = {row["task_id"]: row for row in self._session.journal.by_ids(self._ids())}
        return [self._result(place, kept, rows) for place, kept in sorted(self._kept.items())]

    def frame(self) -> pd.DataFrame:
        """Return one row for each call that was run: index of the input, columns of the history.

        Further columns: `cached`, and those of the grid.
        """
        from .batch_frames import tidy

        return tidy(self)

    def wide(self) -> pd.DataFrame:
        """Return one row for each row of the input, in its order and with its index.

        There is a column for each combination of the grid, named by its values ("clip"), or by what
        the result is ("caption") where there is only one; and `error`.
        """
        from .batch_frames import wide

        return wide(self)

    def errors(self) -> pd.DataFrame:
        """Return the rows of `frame` that have no result."""
        frame = self.frame()
        return frame[frame["status"] != State.SUCCEEDED.value]

    @property
    def index(self) -> Any:
        """The pandas index of the input, None where it has none."""
        return self._source.index

    @property
    def journal(self) -> Journal:
        """The history that holds its tasks."""
        return self._session.journal

    @property
    def kept(self) -> Mapping[int, Kept]:
        """What is remembered of each call that was run, by its place."""
        return self._kept

    def __len__(self) -> int:
        return len(self._kept)

    def __repr__(self) -> str:
        failed = sum(kept.error is not None for kept in self._kept.values())
        cached = sum(kept.cached for kept in self._kept.values())
        advice = "\n  → .errors() tells why; the same again tries them again" if failed else ""
        return (
            f"{self.operation.name}: {len(self._kept):,} calls done: {self._limits.sent:,} sent, "
            f"{cached:,} from the history, {failed:,} failed{advice}"
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        from .batch_frames import overview

        bundle = overview(self)._repr_mimebundle_()
        return {**bundle, "text/plain": f"{self!r}\n{bundle['text/plain']}"}

    def _fate(self, row: Row, seen: set[str]) -> str:
        if row.trouble:
            raise row.trouble
        request = self._session.caller.request(self.operation, row.params)
        if request is None or self._limits.fresh:
            return "new"
        if request in seen:
            return "repeated"
        seen.add(request)
        known = self._session.journal.same(request)
        if known is None:
            return "new"
        return "cached" if known["status"] == State.SUCCEEDED else "under way"

    def _expected(self, new: Counter[str | None]) -> float | None:
        total, left = 0.0, self._limits.most
        for model, count in new.items():
            usual = self._session.timing.median(self.operation, model, self._session.backend)
            if count and usual is None:
                return None
            total += count * (usual or 0.0)
        share = min(1.0, left / max(1, new.total())) if left is not None else 1.0
        return total * share / self._limits.concurrency

    def _ids(self) -> Iterable[str]:
        return {kept.task_id for kept in self._kept.values() if kept.task_id}

    def _result(self, place: int, kept: Kept, rows: Mapping[str, Any]) -> Result:
        row = rows.get(kept.task_id)
        if row is None:
            params = {**self._fixed, **self.grid[place % len(self.grid)]}
            return not_run(self.operation, params, kept.error or "not run")
        ledger = self._session.ledger
        if row["status"] == State.SUCCEEDED:
            return ledger.cached(row).result(0) if kept.cached else ledger.take(row).result(0)
        return ledger.failed_result(ledger.take(row), kept.error or str(row["error"]))


def main_param(operation: Operation) -> Param:
    """Return the parameter that a batch goes through: the picture, else the first text.

    Raises:
        ParameterError: the operation has none.
    """
    names = {param.name: param for param in operation.user_params}
    first = names.get("image") if "image" in names else next(iter(operation.positional), None)
    if first is None:
        raise ParameterError(f"{operation.name} takes neither a picture nor a text: run it alone")
    return first


def _is_axis(operation: Operation, name: str, value: Any) -> bool:
    """Whether a value stands for several: a list where the parameter takes one."""
    if not isinstance(value, (list, tuple)):
        return False
    param = operation.param(name)
    return not _many(param) or any(isinstance(item, (list, tuple)) for item in value)


def _many(param: Param) -> bool:
    return param.type in ("images", "strings")


def _missing(value: Any) -> bool:
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, float) and value != value) or _is_na(value)


def _is_na(value: Any) -> bool:
    return type(value).__name__ in ("NAType", "NaTType")


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "no such task is known yet, so the time is not either"
    if seconds < 90:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"


__all__ = ["CONCURRENCY", "Batch", "Plan", "main_param"]
