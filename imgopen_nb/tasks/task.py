"""A task: the handle of one submitted operation, to inspect, wait for or await."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Protocol
from weakref import WeakSet

from ..catalogue.operation import Operation
from ..catalogue.status import UNSENT, State
from ..catalogue.values import scalar
from ..database.interrupts import Uninterrupted
from ..errors import (
    ImgOpenError,
    ParameterError,
    TaskFailedError,
    TaskInterrupted,
    TaskTimeoutError,
    UnknownStatusError,
    WaitCancelledError,
)
from ..text import as_text, as_typed, in_words
from .cards import task_bundle
from .result import Home, Result
from .search import Search, clock

# What the handles of one task have in common.
_MIRRORED = (
    "state", "status", "progress", "preview", "server_id", "message", "data", "submitted",
    "finished", "queries", "attempts", "pending", "took",
)  # fmt: skip


class TimeLimit(float):
    """Seconds from now on, which several steps share: `left` goes down to 0.

    Example:
        >>> limit = TimeLimit(25)
        >>> session.submit("upscale", timeout=limit, image="sample:coffee").result(limit)
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """The seconds that are left."""
        return max(0.0, self._end - time.monotonic())


@dataclass(frozen=True)
class Event:
    """One step in the life of a task, at the time it was noticed.

    Attributes:
        state: the new state.
        seconds: seconds since the submission.
        status: the status as the service sent it, None if it sent none.
        progress: 0 to 1, None if the service does not report it (the sd family does).
        preview: URL of an intermediate image, or "".
    """

    state: State
    seconds: float
    status: int | str | None = None
    progress: float | None = None
    preview: str = ""


class Saver(Protocol):
    """What keeps the images that tasks made."""

    def ended(self, task: Task) -> None:
        """Save the images of a task that has ended; returns at once."""

    def wait(self, task_id: str, seconds: float) -> None:
        """Wait until the images of a task are saved, if that is under way."""


class TaskHome(Home, Protocol):
    """Where a task is found again by its id."""

    def task(self, task_id: str) -> Task:
        """Return the task's handle."""


class Task:
    """One task of a session, created by `Session.submit`; safe to use from several threads.

    A pickled task consists of its id and the folder of its history; unpickled, it is the same task
        again, and you can wait for it there. A copy is the task itself.

    Attributes:
        id: the task's own id, which the service calls businessTaskId (or id_task).
        server_id: the service's id, once it is known.
        operation, params, model, image, backend: what was requested, and from which backend.
        picture: the identity of `image` (see `images/identity.py`), None if unknown.
        state: its state now; `status` is the last status as the service sent it.
        message: the service's reason for a failure.
        data: the last answer's data.
        submitted, finished: seconds since the epoch.
        queries, attempts: how often it was polled, and how often it was sent.
        cached: whether this is the result of an earlier task, so that nothing was sent.
        pending: seconds from the submission to the last poll that found it unfinished.
        shared: whether another session may be polling it too.
    """

    def __init__(
        self,
        task_id: str,
        operation: Operation,
        params: Mapping[str, Any],
        *,
        model: str | None = None,
        image: str | None = None,
        picture: str | None = None,
        backend: str = "real",
        state: State = State.CREATED,
        timeout: float = 600.0,
        watch: Callable[[Task], None] | None,
        build: Callable[[Task], Result],
        home: TaskHome | None = None,
        saver: Saver | None = None,
    ) -> None:
        self.id = task_id
        self.operation = operation
        self.params = dict(params)
        self.model = model
        self.image = image
        self.picture = picture
        self.backend = backend
        self.timeout = timeout
        self.state = state
        self.status: int | str | None = None
        self.progress: float | None = None
        self.preview = ""
        self.server_id = ""
        self.message = ""
        self.data: Mapping[str, Any] = {}
        self.submitted: float | None = None
        self.finished: float | None = None
        self.queries = 0
        self.attempts = 0
        self.pending = 0.0
        self.took: float | None = None
        self.cached = self.sending = self.shared = False
        self.remarks: tuple[str, ...] = ()
        self.watched = False
        self.withdrawn = False  # nobody wants it any more: if it was not sent, it must not be
        self.failures_in_a_row = 0
        self.search: Search | None = None
        self.unwritten_body: Mapping[str, Any] | None = None  # with a password, until it arrives
        self._started: float | None = None
        self._watch_until = 0.0
        self._watch = watch
        self._build = build
        self._home = home
        self._saver = saver
        self._wait_error: ImgOpenError | None = None
        self._result: Result | None = None
        self._callbacks: list[Callable[[Task], None]] = []
        self._lock = threading.RLock()
        self._waiters: WeakSet[SimpleQueue[None]] = WeakSet()
        self._original: Task | None = None
        self._aliases: WeakSet[Task] = WeakSet()

    # For the session.

    def update(self, **changes: Any) -> bool:
        """Set attributes and wake those who wait; False if the task had already ended."""
        with Uninterrupted(), self._lock:
            if self.state.final:
                return False
            vars(self).update(changes)  # at once: no fork sees a state without its data
            if self.state.final and self._saver and not self._original:
                self._saver.ended(self)  # before anybody who waits for the result goes on
            self._wake()
            ended, aliases = self.state.final, list(self._aliases)
        for alias in aliases:
            alias.update(**{name: getattr(self, name) for name in _MIRRORED})
        if ended:
            self._run_callbacks()
        return True

    def alias(self, image: str | None, picture: str | None, params: Mapping[str, Any]) -> Task:
        """Return a handle of this task for a call that gives the same image another name."""
        other = Task(
            self.id, self.operation, params, model=self.model, image=image, picture=picture,
            backend=self.backend, timeout=self.timeout, watch=None, build=self._build,
            home=self._home, saver=self._saver,
        )  # fmt: skip
        with Uninterrupted(), self._lock:  # a change comes either before this, or through `update`
            for name in (*_MIRRORED, "shared", "remarks", "_started"):
                setattr(other, name, getattr(self, name))
            other._original = self
            self._aliases.add(other)
        return other

    def remark(self, text: str) -> None:
        """Add a note that the result has from now on."""
        with Uninterrupted(), self._lock:
            for task in (self, *self._aliases):
                task.remarks += (text,)
                task._result = None

    def after_fork(self) -> None:
        """Make the lock in a forked child, where nobody polls the task until it is waited for.

        Its callbacks stay with the parent, which polls it too.
        """
        self._lock = threading.RLock()
        self._callbacks.clear()
        self._wait_error = None
        self.watched = self.sending = False
        self.shared = True

    def start_clock(self, age: float = 0.0) -> None:
        """Count the task's seconds from now, or from `age` seconds ago."""
        self._started = time.monotonic() - max(0.0, age)

    def withdraw(self) -> None:
        """Have its request not leave if it still waits for its turn; `watch` undoes this."""
        (self._original or self).withdrawn = True

    def abort_waits(self, error: ImgOpenError) -> None:
        """End all current waits with an error; the task itself does not change.

        If the error is that it was withdrawn, and somebody wants it again, nothing happens.
        """
        with Uninterrupted():
            with self._lock:
                wanted = not (self._original or self).withdrawn
                if self.state.final or (isinstance(error, WaitCancelledError) and wanted):
                    return
                self.watched = False
                self._wait_error = error
                self._wake()
                aliases = list(self._aliases)
            for alias in aliases:
                alias.abort_waits(error)
            if self._watch:
                self._watch(self)
            self._run_callbacks()

    def watch(self, seconds: float = 0.0) -> None:
        """Poll the task in the background, for at least `timeout` seconds from now.

        Each wait calls this, and each call sees to it that somebody polls the task.
        """
        with Uninterrupted():
            with self._lock:
                if self.state.final:
                    return
                self._watch_until = time.monotonic() + max(self.timeout, seconds)
                if not self.watched:
                    self._wait_error = None
                self.watched, self.withdrawn = True, False
            if self._original:
                self._original.watch(seconds)
            elif self._watch:
                self._watch(self)

    @property
    def waited_for(self) -> bool:
        """Whether somebody waits for its end just now."""
        return any(task._waiters for task in (self, *self._aliases))

    @property
    def watch_left(self) -> float:
        """Seconds until all current waits have timed out, negative if they have."""
        return self._watch_until - time.monotonic()

    @property
    def watch_expired(self) -> bool:
        """Whether all current waits have timed out."""
        return self.watch_left < 0

    def time_out(self) -> None:
        """End all current waits with a timeout."""
        self.abort_waits(self._timeout_error(self.timeout))

    # For users.

    @property
    def task_id(self) -> str:
        """The same as `id`; a result has this name too."""
        return self.id

    @property
    def done(self) -> bool:
        """Whether it has finished, with success or without."""
        return self.state.final

    @property
    def seconds(self) -> float | None:
        """Seconds from the submission to the end, or until now; not affected by clock changes."""
        if self.submitted is None:
            return None
        if self.took is not None:
            return self.took
        if self.finished is not None:
            return max(0.0, self.finished - self.submitted)
        return max(0.0, time.monotonic() - (self._started or time.monotonic()))

    @property
    def trouble(self) -> ImgOpenError | None:
        """The error that ended the last wait before the task ended, or None."""
        return self._wait_error

    @property
    def result_or_none(self) -> Result | None:
        """The result if the task has succeeded."""
        return self.result(timeout=0) if self.state is State.SUCCEEDED else None

    def events(self, timeout: float | None = None, tick: float | None = None) -> Iterator[Event]:
        """Yield an event for every change until the task finishes.

        Args:
            timeout: seconds; by default the session's `timeout` (600).
            tick: also yield when nothing has changed for this many seconds.

        Raises:
            TaskTimeoutError: it did not finish in time; it is still running at the service.
            WaitCancelledError: `cancel()` was called.
            APIError: polling failed too often.

        Example:
            >>> for event in task.events(tick=1.0):
            ...     print(event.state, event.seconds, event.progress)
        """
        limit = time_limit(timeout, self.timeout)
        changes: SimpleQueue[None] = SimpleQueue()
        try:
            with Uninterrupted(), self._lock:
                self._waiters.add(changes)
            self.watch(limit.left)
            while True:
                if self._wait_error is not None and not self.state.final:
                    raise self._wait_error
                seconds = self.seconds or 0.0
                event = Event(self.state, seconds, self.status, self.progress, self.preview)
                yield event
                if event.state.final:
                    return
                self._wait_for_change(changes, limit, tick)
        except KeyboardInterrupt:
            with Uninterrupted():
                self.withdraw()
                said = f"stopped waiting for {self.operation.name} {self.id}\n  → {self.outlook}"
                raise TaskInterrupted(said) from None

    def wait(self, timeout: float | None = None) -> Task:
        """Wait until the task finishes, and return it, failed or not. Raises what `events` does."""
        for _ in self.events(timeout):
            pass
        return self

    def result(self, timeout: float | None = None) -> Result:
        """Wait until the task finishes, and return its result.

        Args:
            timeout: seconds; by default the session's `timeout` (600).

        Raises:
            TaskFailedError: the service reports a failure.
            TaskTimeoutError, WaitCancelledError, APIError: the same errors as `events`.

        Example:
            >>> session.submit("describe", image="sample:coffee").result().caption
        """
        limit = time_limit(timeout, self.timeout)
        self.wait(limit)
        if self.state is not State.SUCCEEDED:
            raise self._failed_error()
        if self._saver:
            self._saver.wait(self.id, limit.left)
        result = self._result
        if result is None:
            result = self._result = self._build(self)
        return result

    def cancel(self) -> str:
        """Stop waiting. The API cannot cancel: the task keeps running at the service, and may cost.

        Returns:
            A sentence that explains this.
        """
        if self.state.final:
            return f"{self.id} has already finished: {self.state}"
        said = f"stopped waiting for {self.id}: Img Open cannot cancel a task"
        self.withdraw()
        outlook = self.outlook
        self.abort_waits(WaitCancelledError(said, task=self, hint=outlook))
        return f"{said}; {outlook}"

    @property
    def outlook(self) -> str:
        """What happens to the task if nobody waits for it, and how to get its result later."""
        if self.state.final:
            return f"it has finished: {self.state}"
        sent, wait = self._original or self, as_typed(f"%imgopen wait {self.id}")
        if self.state in UNSENT and sent.sending and not sent.withdrawn:
            return f"it is still being sent; to get its result later: {wait}"
        if self.state in UNSENT:
            return (
                f"it may or may not have reached the service: {wait} looks for it, and sends it "
                f"again once that is safe ({as_typed('%imgopen resume --send-lost')}: "
                "immediately)"
            )
        return f"it is still running at the service; to get its result later: {wait}"

    @property
    def looked_for_until(self) -> float | None:
        """Until when the service is asked for a lost task (seconds since the epoch), else None."""
        search = (self._original or self).search
        looked_for = self.state is State.LOST and self.watched and search
        return search.until if search and looked_for else None

    @property
    def looked_for(self) -> str:
        """What a wait is for while the service is asked for a lost task; else ""."""
        if (until := self.looked_for_until) is None:
            return ""
        return (
            "its answer was lost: the service is asked for it, and it is sent again after "
            f"{clock(until)} if the service does not know it"
        )

    def add_done_callback(self, call: Callable[[Task], None]) -> None:
        """Call `call(task)` once, when the task finishes or waiting stops, from any thread.

        If either has already happened, it is called immediately.
        """
        with Uninterrupted(), self._lock:
            if not self.state.final and self._wait_error is None:
                self._callbacks.append(call)
                return
        call(self)

    def __await__(self) -> Generator[Any, None, Result]:
        return self._wait_async().__await__()

    async def _wait_async(self) -> Result:
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def wake(_: Task) -> None:
            with contextlib.suppress(RuntimeError):  # the loop may be closed by then
                loop.call_soon_threadsafe(done.set)

        self.watch()
        self.add_done_callback(wake)
        try:
            await asyncio.wait_for(done.wait(), self.timeout)
        except TimeoutError:
            raise self._timeout_error(self.timeout) from None
        return self.result(timeout=0)

    def _wait_for_change(
        self, changes: SimpleQueue[None], limit: TimeLimit, tick: float | None
    ) -> None:
        """Return after a change, or after `tick` seconds."""
        end = limit if tick is None else TimeLimit(min(limit.left, tick))
        while not self.state.final and not self._wait_error:
            with contextlib.suppress(Empty):
                # For a second at most: Windows sees Ctrl-C only between two calls.
                changes.get(timeout=min(end.left, 1.0))
                break
            if not limit.left:
                raise self._timeout_error(limit)
            if not end.left:
                break
        while not changes.empty():
            changes.get()

    def _wake(self) -> None:
        for changes in self._waiters:
            changes.put(None)

    def _timeout_error(self, limit: float) -> TaskTimeoutError:
        text = (
            f"{self.operation.name} {self.id} did not finish within {limit:g} s (it is "
            f"{self.state})"
        )
        hint = self.outlook
        if self.status is not None and self.state is State.SUBMITTED:
            return UnknownStatusError(
                f"{text}; its status {as_text(self.status)} is not documented", task=self, hint=hint
            )
        output = self.operation.output.partition("[")[0]
        if output and self.data.get(output):
            text += (
                "; the last answer has a result although its status says generating: see task.data"
            )
        return TaskTimeoutError(text, task=self, hint=hint)

    def _failed_error(self) -> TaskFailedError:
        name = self.operation.name
        word, hint = "failed", "check the image and the parameters, then run the call again"
        if self.state is State.REFUSED:
            word, hint = "was refused", f"see %imgopen config and %imgopen {name} --help"
        reason = f": {self.message}" if self.message else " without giving a reason"
        return TaskFailedError(f"{name} {self.id} {word}{reason}", task=self, hint=hint)

    def _run_callbacks(self) -> None:
        with Uninterrupted(), self._lock:
            calls, self._callbacks = self._callbacks, []
        for call in calls:
            try:
                call(self)
            except Exception:  # one callback's error stops neither the task nor the other callbacks
                traceback.print_exc()

    def __copy__(self) -> Task:
        return self

    def __deepcopy__(self, memo: object) -> Task:
        return self

    def __reduce__(self) -> Any:
        if self._home is None:
            raise TypeError(f"the task {self.id} cannot be pickled: it belongs to no session")
        return self._home.task, (self.id,)

    def __repr__(self) -> str:
        seconds = "" if self.seconds is None else f", {self.seconds:.1f} s"
        return f"Task({self.operation.name} {self.id}: {self.state}{seconds}, {self.backend})"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return task_bundle(self)


def is_time(value: Any) -> bool:
    """Whether a value is a number or a difference of times, of whatever library."""
    return isinstance(value, TimeLimit) or isinstance(_seconds(value), (int, float))


def _seconds(value: Any) -> Any:
    if getattr(getattr(value, "dtype", None), "kind", "") == "m":  # NumPy's timedelta64
        value = value.astype("timedelta64[ms]").item()
    return value.total_seconds() if hasattr(value, "total_seconds") else scalar(value)


def time_limit(timeout: Any, default: float) -> TimeLimit:
    """Return how long somebody wants to wait at most, from now on; None stands for the default.

    Raises:
        ParameterError: it is not a number from 0.
    """
    if isinstance(timeout, TimeLimit):
        return timeout
    if timeout is None:
        return TimeLimit(default)
    seconds = _seconds(timeout)
    if not (isinstance(seconds, (int, float)) and seconds >= 0):
        raise ParameterError(f"timeout must be a number of seconds, not {in_words(timeout)}")
    return TimeLimit(min(seconds, threading.TIMEOUT_MAX))
