"""Many calls: a few under way at a time, each row's outcome kept, and none that stops the others.

`stream` is the core: rows in, outcomes out, whatever the number of rows, with no more held than is
under way. Everything else (`Session.map`, `run_all`, the magic) is made of it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from ..catalogue.operation import Operation
from ..errors import (
    AssumedFieldError,
    AssumedPathError,
    AuthenticationError,
    ImgOpenError,
    JournalError,
    SandboxError,
    SettingsError,
    TaskInterrupted,
    TaskTimeoutError,
)
from ..tasks.manager import TaskManager
from ..tasks.result import Result
from ..tasks.submission import TRANSIENT_ERRORS
from ..tasks.task import Task
from .rows import Limits, Outcome, Row, Watch, not_run

TICK = 0.25  # seconds between two signs that time passes
# Trouble that every other row would meet as well: the rest is not sent.
FOR_ALL = (
    AssumedFieldError, AssumedPathError, AuthenticationError, JournalError, SandboxError,
    SettingsError,
)  # fmt: skip


def stream(
    manager: TaskManager,
    operation: Operation,
    rows: Iterable[Row],
    limits: Limits | None = None,
    watch: Watch | None = None,
) -> Iterator[Outcome]:
    """Run a call for each row and yield the outcomes as they come, each row once.

    Args:
        manager: where the calls go.
        operation: what is run.
        rows: taken one by one, only as many as there is room for.
        limits: see Limits.
        watch: is told of each outcome, and with None several times a second that time passes.

    Raises:
        TaskInterrupted: Ctrl-C; what is under way goes on.
    """
    with _Stream(manager, operation, limits or Limits(), watch or (lambda _: None)) as under_way:
        try:
            yield from under_way.outcomes(iter(rows))
        except KeyboardInterrupt:
            raise TaskInterrupted(under_way.so_far()) from None


@dataclass
class _Open:
    """A row that is under way."""

    row: Row
    deadline: float
    task: Task | None = None


class _Stream:
    """The calls under way; the waiter's threads send them and report here."""

    def __init__(
        self, manager: TaskManager, operation: Operation, limits: Limits, watch: Watch
    ) -> None:
        self._manager = manager
        self._operation = operation
        self._limits = limits
        self._watch = watch
        self._reports: SimpleQueue[tuple[int, Task | ImgOpenError]] = SimpleQueue()
        self._open: dict[int, _Open] = {}
        self._trouble: ImgOpenError | None = None
        self._stopped = False
        self._done = 0

    def __enter__(self) -> _Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped = True  # what is under way goes on into the history

    def so_far(self) -> str:
        """Return what a person should know who stops here."""
        return (
            f"stopped: {self._done} done, {len(self._open)} under way go on at the service and "
            "into the history\n  → run the same again: it takes up here, and sends nothing twice"
        )

    def outcomes(self, rows: Iterator[Row]) -> Iterator[Outcome]:
        while True:
            while len(self._open) < self._limits.concurrency:
                row = next(rows, None)
                if row is None:
                    break
                self._begin(row)
            if not self._open:
                return
            outcome = self._next()
            self._done += 1
            self._watch(outcome)
            yield outcome

    def _begin(self, row: Row) -> None:
        seconds = self._limits.timeout
        if seconds is None:
            seconds = self._manager.settings.timeout
        under_way = self._open[row.place] = _Open(row, time.monotonic() + seconds)
        if row.trouble:
            self._reports.put((row.place, row.trouble))
        elif self._trouble:
            self._reports.put((row.place, _not_sent(self._trouble)))
        else:
            self._manager.scheduler.call(lambda: self._send(under_way))

    def _send(self, under_way: _Open) -> None:
        place = under_way.row.place
        if self._stopped or self._open.get(place) is not under_way:
            return  # nobody waits for it any more
        if self._trouble:
            self._reports.put((place, _not_sent(self._trouble)))
            return
        try:
            task = under_way.task = self._manager.submitter.submit(
                self._operation,
                dict(under_way.row.params),
                fresh=self._limits.fresh,
                retry_later=True,
                permit=self._limits.permit,
            )
        except ImgOpenError as error:
            if isinstance(error, FOR_ALL):
                self._trouble = error
            self._reports.put((place, error))
        except Exception as error:  # one row's odd input must not end the others
            self._reports.put((place, ImgOpenError(f"{type(error).__name__}: {error}")))
        else:
            self._follow(under_way, task)

    def _follow(self, under_way: _Open, task: Task) -> None:
        place = under_way.row.place
        task.watch(under_way.deadline - time.monotonic())
        task.add_done_callback(lambda ended: self._reports.put((place, ended)))

    def _next(self) -> Outcome:
        while True:
            first = min(self._open.values(), key=lambda under_way: under_way.deadline)
            try:
                left = first.deadline - time.monotonic()
                place, report = self._reports.get(timeout=max(0.0, min(left, TICK)))
            except Empty:
                if left > TICK:
                    self._watch(None)
                    continue
                return self._late(self._open.pop(first.row.place))
            under_way = self._open.get(place)
            if under_way is None or self._goes_on(under_way, report):
                continue
            return self._outcome(self._open.pop(place).row, report)

    def _goes_on(self, under_way: _Open, report: Task | ImgOpenError) -> bool:
        """Whether a task whose wait was given up is waited for again: trouble may pass."""
        if not isinstance(report, Task) or report.done:
            return False
        if report.trouble and not isinstance(report.trouble, TRANSIENT_ERRORS):
            return False
        self._follow(under_way, report)  # no trouble left: another row waits for it again already
        return True

    def _late(self, under_way: _Open) -> Outcome:
        task, name = under_way.task, self._operation.name
        error = TaskTimeoutError(
            f"{name} {task.id if task else ''} did not end in time (it is "
            f"{task.state if task else 'being sent'})",
            task=task,
            hint="it goes on at the service; run the same again to get its result",
        )
        return self._outcome(under_way.row, error)

    def _outcome(self, row: Row, report: Task | ImgOpenError) -> Outcome:
        task = report if isinstance(report, Task) else report.task
        try:
            if isinstance(report, ImgOpenError):
                raise report
            if not report.done and report.trouble:
                raise report.trouble
            return Outcome(row, report.result(timeout=0))
        except ImgOpenError as raised:
            error = raised.with_traceback(None)  # which would hold whatever was at hand there
        if isinstance(task, Task):
            return Outcome(row, self._manager.store.failed_result(task, error.message), error)
        return Outcome(row, not_run(self._operation, row.params, error.message), error)


def run_all(
    manager: TaskManager,
    operation: Operation,
    calls: list[dict[str, Any]],
    timeout: float | None,
    *,
    fresh: bool = False,
    watch: Watch | None = None,
) -> list[Result]:
    """Return a result for each call, in their order; see `Session.run_all`."""
    for call in calls:
        manager.submitter.check(operation, call)
    rows = [Row(place, place, call) for place, call in enumerate(calls)]
    results: dict[int, Result] = {}
    limits = Limits(timeout=timeout, fresh=fresh)
    for outcome in stream(manager, operation, rows, limits, watch):
        if isinstance(outcome.trouble, FOR_ALL):
            raise outcome.trouble  # no other call fares better
        results[outcome.row.place] = outcome.result
    return [results[place] for place in range(len(calls))]


def _not_sent(trouble: ImgOpenError) -> ImgOpenError:
    return ImgOpenError(f"not sent: {trouble.message}", hint=trouble.hint)
