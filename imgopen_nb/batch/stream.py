"""Runs many calls, a few at a time; a call that fails does not stop the others.

`stream` takes rows and yields outcomes. It holds only the calls under way in memory, so the number
of rows does not matter. `Session.map`, `run_all` and the magic are built on it.
"""

from __future__ import annotations

import os
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
    UsageError,
)
from ..tasks.manager import TaskManager
from ..tasks.result import Result
from ..tasks.submission import TRANSIENT_ERRORS
from ..tasks.task import Task
from .rows import Limits, Outcome, Row, Watch, not_run

TICK = 0.25  # seconds between two calls of `watch` with None
# Errors that every other call would meet too: the rest is not sent.
FATAL = (
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
        manager: sends the calls.
        operation: the operation of all calls.
        rows: the calls; the next one is read only when it can be sent.
        limits: see `Limits`.
        watch: called with each outcome, and with None several times a second as time passes.

    Raises:
        TaskInterrupted: Ctrl-C; calls under way go on at the service and into the history.
    """
    with _Stream(manager, operation, limits or Limits(), watch or (lambda _: None)) as running:
        try:
            yield from running.outcomes(iter(rows))
        except KeyboardInterrupt:
            raise TaskInterrupted(running.interrupted_message()) from None


@dataclass
class _Call:
    """A row that is under way, until `deadline` (by time.monotonic)."""

    row: Row
    deadline: float
    task: Task | None = None


class _Stream:
    """The calls under way; the scheduler's threads send them and put reports into a queue."""

    def __init__(
        self, manager: TaskManager, operation: Operation, limits: Limits, watch: Watch
    ) -> None:
        self._manager = manager
        self._operation = operation
        self._limits = limits
        self._watch = watch
        self._reports: SimpleQueue[tuple[int, Task | ImgOpenError]] = SimpleQueue()
        self._open: dict[int, _Call] = {}
        self._trouble: ImgOpenError | None = None
        self._stopped = False
        self._done = 0
        self._pid = os.getpid()

    def __enter__(self) -> _Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped = True  # calls under way go on into the history

    def interrupted_message(self) -> str:
        """Return the message for Ctrl-C."""
        return (
            f"stopped: {self._done} done, {len(self._open)} under way go on at the service and "
            "into the history\n  → run the same again: it takes up here, and sends nothing twice"
        )

    def outcomes(self, rows: Iterator[Row]) -> Iterator[Outcome]:
        while True:
            if self._pid != os.getpid():  # its calls are under way in the parent
                raise UsageError(
                    "this batch goes on in the process that began it, not in its forked child",
                    hint="begin a batch of its own here: what is done comes from the history",
                )
            while len(self._open) < self._limits.concurrency:
                row = next(rows, None)
                if row is None:
                    break
                self._begin(row)
            if not self._open:
                return
            outcome = self._next_outcome()
            self._done += 1
            self._watch(outcome)
            yield outcome

    def _begin(self, row: Row) -> None:
        seconds = self._limits.timeout
        if seconds is None:
            seconds = self._manager.settings.timeout
        call = self._open[row.place] = _Call(row, time.monotonic() + seconds)
        if row.trouble:
            self._reports.put((row.place, row.trouble))
        elif self._trouble:
            self._reports.put((row.place, _not_sent(self._trouble)))
        else:
            self._manager.scheduler.call(lambda: self._send(call))

    def _send(self, call: _Call) -> None:
        place = call.row.place
        if self._stopped or self._open.get(place) is not call:
            return  # its outcome is not wanted any more
        if self._trouble:
            self._reports.put((place, _not_sent(self._trouble)))
            return
        try:
            task = call.task = self._manager.submitter.submit(
                self._operation,
                dict(call.row.params),
                fresh=self._limits.fresh,
                retry_later=True,
                permit=self._limits.permit,
            )
        except ImgOpenError as error:
            if isinstance(error, FATAL):
                self._trouble = error
            self._reports.put((place, error))
        except Exception as error:  # one bad row must not end the others
            self._reports.put((place, ImgOpenError(f"{type(error).__name__}: {error}")))
        else:
            self._follow(call, task)

    def _follow(self, call: _Call, task: Task) -> None:
        place = call.row.place
        task.watch(call.deadline - time.monotonic())
        task.add_done_callback(lambda ended: self._reports.put((place, ended)))

    def _next_outcome(self) -> Outcome:
        while True:
            first = min(self._open.values(), key=lambda call: call.deadline)
            try:
                left = first.deadline - time.monotonic()
                place, report = self._reports.get(timeout=max(0.0, min(left, TICK)))
            except Empty:
                if left > TICK:
                    self._watch(None)
                    continue
                return self._timed_out(self._open.pop(first.row.place))
            call = self._open.get(place)
            if call is None or self._waits_again(call, report):
                continue
            return self._outcome(self._open.pop(place).row, report)

    def _waits_again(self, call: _Call, report: Task | ImgOpenError) -> bool:
        """Wait again for a task whose wait ended early, if its trouble may pass; say whether."""
        if not isinstance(report, Task) or report.done:
            return False
        if report.trouble and not isinstance(report.trouble, TRANSIENT_ERRORS):
            return False
        self._follow(call, report)  # without trouble: another row waits for it again already
        return True

    def _timed_out(self, call: _Call) -> Outcome:
        task, name = call.task, self._operation.name
        error = TaskTimeoutError(
            f"{name} {task.id if task else ''} did not end in time (it is "
            f"{task.state if task else 'being sent'})",
            task=task,
            hint="it goes on at the service; run the same again to get its result",
        )
        return self._outcome(call.row, error)

    def _outcome(self, row: Row, report: Task | ImgOpenError) -> Outcome:
        task = report if isinstance(report, Task) else report.task
        try:
            if isinstance(report, ImgOpenError):
                raise report
            if not report.done and report.trouble:
                raise report.trouble
            return Outcome(row, report.result(timeout=0))
        except ImgOpenError as raised:
            error = raised.with_traceback(None)  # its frames would keep their objects in memory
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
        if isinstance(outcome.trouble, FATAL):
            raise outcome.trouble  # every other call would fail in the same way
        results[outcome.row.place] = outcome.result
    return [results[place] for place in range(len(calls))]


def _not_sent(trouble: ImgOpenError) -> ImgOpenError:
    return ImgOpenError(f"not sent: {trouble.message}", hint=trouble.hint)
