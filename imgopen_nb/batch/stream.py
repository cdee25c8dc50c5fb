"""Runs many calls, a few at a time; a call that fails does not stop the others.

`stream` takes rows and yields outcomes. It holds only the calls under way in memory, so the number
of rows does not matter. `Session.map`, `run_all` and the magic are built on it.

A call whose answer was lost may be looked for during minutes. It leaves its place among the
`concurrency` calls to another row, so a few lost answers do not stop a batch. At most MOST_LOST
times `concurrency` calls do so: if a service loses every answer, the batch waits.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from ..catalogue.operation import Operation
from ..catalogue.status import NOT_SENT, UNSENT, State
from ..database.interrupts import Uninterrupted
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
from ..tasks.search import clock
from ..tasks.submission import TRANSIENT_ERRORS
from ..tasks.task import Task
from .fresh_runs import moment
from .rows import Limits, Outcome, Row, Watch, not_run

TICK = 0.25  # seconds between two calls of `watch` with None
MOST_LOST = 4  # times `concurrency`: rows that leave their place to others while looked for
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
    *,
    total: int | None = None,
    keep: Callable[[], float | None] | None = None,
) -> Iterator[Outcome]:
    """Run a call for each row and yield the outcomes as they come, each row once.

    Args:
        manager: sends the calls.
        operation: the operation of all calls.
        rows: the calls; the next one is read only when it can be sent.
        limits: see `Limits`.
        watch: called with each outcome, and with None several times a second as time passes.
        total: the number of rows, None if it is not known.
        keep: called after an interruption; returns until when the same rows with `fresh` would be
            taken up, in seconds since the epoch, None if they would not.

    Raises:
        TaskInterrupted: Ctrl-C; calls under way go on at the service and into the history.
    """
    limits = limits or Limits()
    with _Stream(manager, operation, limits, watch or (lambda _: None), total) as running:
        try:
            yield from running.outcomes(iter(rows))
        except KeyboardInterrupt:
            with Uninterrupted():
                running.stop()
                raise TaskInterrupted(running.interrupted_message(keep and keep())) from None


@dataclass
class _Call:
    """A row that is under way, until `deadline` (by time.monotonic)."""

    row: Row
    deadline: float
    task: Task | None = None
    stage: str = "waiting"  # then "sending", then "ended" if there is no task

    @property
    def where(self) -> str:
        """Return "waiting", "sending", "looked for", "under way" or "ended"."""
        if self.task is None:
            return self.stage
        if self.task.looked_for_until is not None:
            return "looked for"
        if self.task.state in UNSENT:
            return "sending"
        return "ended" if self.task.state.final else "under way"


class _Stream:
    """The calls under way; the scheduler's threads send them and put reports into a queue."""

    def __init__(
        self,
        manager: TaskManager,
        operation: Operation,
        limits: Limits,
        watch: Watch,
        total: int | None,
    ) -> None:
        self._manager = manager
        self._operation = operation
        self._limits = limits
        self._watch = watch
        self._reports: SimpleQueue[tuple[int, Task | ImgOpenError]] = SimpleQueue()
        self._open: dict[int, _Call] = {}
        self._trouble: ImgOpenError | None = None
        self._stopped = False
        self._total = total
        self._begun = self._done = self._failed = self._ended_badly = 0
        # Whether the results of calls that were sent can be taken from the history later.
        self._reusable: set[bool] = set()
        self._guard = threading.Lock()  # a call is given up before it is sent, or sent
        self._pid = os.getpid()

    def __enter__(self) -> _Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Send no more calls; those under way go on into the history."""
        with self._guard:
            self._stopped = True
            for call in self._open.values():
                if call.task:
                    call.task.withdraw()

    def interrupted_message(self, kept_until: float | None) -> str:
        """Return the message for Ctrl-C: where the calls stand, and what running it again would do.

        Args:
            kept_until: until when a run with `fresh` can be taken up; None if it cannot.
        """
        at = Counter(call.where for call in self._open.values())
        done = self._done + at["ended"]
        unsent = at["waiting"] + (max(0, self._total - self._begun) if self._total else 0)
        counts = [
            f"{done:,} done" + (f" ({self._failed:,} without a result)" if self._failed else ""),
            f"{at['under way']:,} still running at the service; the history gets their results",
            f"{at['sending']:,} possibly not sent yet" if at["sending"] else "",
            f"{at['looked for']:,} whose answers were lost, so it is unknown whether they arrived"
            if at["looked for"]
            else "",
            f"{unsent:,} not sent" if unsent else "",
        ]
        return f"stopped: {', '.join(filter(None, counts))}\n  → {self._same_again(kept_until)}"

    def _same_again(self, kept_until: float | None) -> str:
        """Return what the same rows would do if they were run again."""
        all_again = "run it again to send everything again"
        if self._reusable == {False}:
            return f"{all_again}: random results are never cached"
        if self._manager.settings.cache == "off":
            return f"{all_again}: the cache is off"
        if not self._limits.fresh:
            start = "run it again: it continues here"
        elif kept_until is not None:
            start = f"run it again before {moment(kept_until)}: it continues this --fresh run"
        else:
            return f"{all_again}, or without fresh to continue here"
        anew = ["what has random results"] * (False in self._reusable)
        anew += ["what failed"] * bool(self._ended_badly)
        what = f"only {' and '.join(anew)} again" if anew else "nothing twice"
        return f"{start}, and sends {what}"

    def outcomes(self, rows: Iterator[Row]) -> Iterator[Outcome]:
        while True:
            if self._pid != os.getpid():  # its calls are under way in the parent
                raise UsageError(
                    "this batch runs in the process that started it, not in a forked child",
                    hint="start a new batch here: finished rows come from the cache",
                )
            while self._has_room():
                row = next(rows, None)
                if row is None:
                    self._total = self._begun
                    break
                self._begun += 1
                self._begin(row)
            if not self._open:
                return
            outcome = self._next_outcome()
            if outcome is None:
                continue
            self._done += 1
            if outcome.failed:
                self._failed += 1
                self._ended_badly += outcome.result.status in (State.FAILED, State.REFUSED)
            self._watch(outcome)
            yield outcome

    def _has_room(self) -> bool:
        """Whether another call may be under way; say what the lost ones wait for."""
        times = [call.task.looked_for_until for call in self._open.values() if call.task]
        lost = [until for until in times if until is not None]
        self._limits.waits_for = _waits_for(lost) if lost else ""
        most = self._limits.concurrency
        return len(self._open) - min(len(lost), MOST_LOST * most) < most

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
        with self._guard:
            if self._stopped or self._open.get(place) is not call:
                return  # its outcome is not wanted any more
            if self._trouble:
                self._reports.put((place, _not_sent(self._trouble)))
                return
            call.stage = "sending"
        try:
            self._reusable.add(self._manager.submitter.reusable(self._operation, call.row.params))
            task = call.task = self._manager.submitter.submit(
                self._operation,
                dict(call.row.params),
                since=self._limits.counted_since,
                retry_later=True,
                permit=self._limits.permit,
                written=partial(self._written, call),
            )
        except ImgOpenError as error:
            call.stage = "ended"
            if isinstance(error, FATAL):
                self._trouble = error
            self._reports.put((place, error))
        except BaseException as error:  # a panic of a library too: the others go on
            call.stage = "ended"
            self._reports.put((place, ImgOpenError(f"{type(error).__name__}: {error}")))
        else:
            self._follow(call, task)

    def _written(self, call: _Call, task: Task) -> None:
        """Note the task of a call, which is in the history from now on."""
        with self._guard:
            call.task = task
            if self._stopped:
                task.withdraw()

    def _follow(self, call: _Call, task: Task) -> None:
        place = call.row.place
        task.watch(call.deadline - time.monotonic())
        task.add_done_callback(lambda ended: self._reports.put((place, ended)))

    def _next_outcome(self) -> Outcome | None:
        """Return the next outcome, None if it is time to see whether there is room for more."""
        while True:
            first = min(self._open.values(), key=lambda call: call.deadline)
            try:
                left = first.deadline - time.monotonic()
                place, report = self._reports.get(timeout=max(0.0, min(left, TICK)))
            except Empty:
                if left > TICK:
                    self._watch(None)
                    return None
                with self._guard:
                    self._open.pop(first.row.place)
                return self._timed_out(first)
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
        if task:
            text, hint = (
                f"{name} {task.id} did not finish in time (it is {task.state})",
                task.outlook,
            )
        elif call.stage == "waiting":
            text, hint = f"{name} was not sent in time", "give a longer timeout"
        else:
            text, hint = f"{name} is still being sent", "%imgopen history shows it once it is sent"
        return self._outcome(call.row, TaskTimeoutError(text, task=task, hint=hint), call.stage)

    def _outcome(self, row: Row, report: Task | ImgOpenError, stage: str = "") -> Outcome:
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
        status = State.CREATED.value if stage == "sending" else NOT_SENT
        return Outcome(row, not_run(self._operation, row.params, error.message, status), error)


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
    for outcome in stream(manager, operation, rows, limits, watch, total=len(rows)):
        if isinstance(outcome.trouble, FATAL):
            raise outcome.trouble  # every other call would fail in the same way
        results[outcome.row.place] = outcome.result
    return [results[place] for place in range(len(calls))]


def _not_sent(trouble: ImgOpenError) -> ImgOpenError:
    return ImgOpenError(f"not sent: {trouble.message}", hint=trouble.hint)


def _waits_for(lost: list[float]) -> str:
    """Return what a batch waits for that looks for tasks until these moments."""
    one = len(lost) == 1
    they_are, answers = ("is", "its answer was") if one else ("are", "their answers were")
    return f"{len(lost):,} {they_are} looked for until {clock(max(lost))}: {answers} lost"
