"""Tasks and their life: accepted, running, then succeeded or failed; kept in files throughout."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ...catalogue.operation import Operation
from ...catalogue.operations import OPERATIONS
from ...errors import PictureError
from ..engine import EngineError, TaskView
from ..messages import WireError, describe_error, place_of, tidy
from .callback_sender import CallbackSender
from .clock import Clock
from .engine_loader import EngineLoader
from .job import Job, State, load_job, new_server_id
from .store import LOCAL_URL, FileStore, JobStore
from .work import JobWork, with_defaults
from .worker import WorkQueue

MOST_OPEN = 10_000
MOST_FETCHED = 8
MOST_REVIVALS = 2
FETCHERS = 8
LIMIT_SECONDS = 60.0
# A model of the user's own may have to be downloaded, and is slow without a GPU.
OWN_MODEL_SECONDS = 3600.0

log = logging.getLogger(__name__)


class Jobs:
    """All tasks of one sandbox: the open ones in memory, every one in a file.

    Args:
        files: where images are kept.
        tasks: where tasks are kept.
        engines: what does the work.
        base_url: the address of this sandbox.
        delay: seconds from a submission until a query shows the result.
        training: seconds that a training job takes.
        callbacks: delivers the results that callers want delivered; it also has the clock.
    """

    def __init__(
        self,
        files: FileStore,
        tasks: JobStore,
        engines: EngineLoader,
        *,
        base_url: str,
        delay: float = 0.0,
        training: float = 0.0,
        callbacks: CallbackSender | None = None,
    ) -> None:
        self.files, self.tasks, self.engines, self.base_url = files, tasks, engines, base_url
        self._callbacks = callbacks or CallbackSender(Clock())
        self.clock = self._callbacks.clock
        self._delay, self._training = delay, training
        self._open: dict[str, Job] = {}
        self._keys: dict[str, str] = {}
        self._training_jobs: dict[str, float] = {}
        self._indexed = threading.Event()
        self._lock = threading.RLock()
        self._fetchers = ThreadPoolExecutor(FETCHERS, thread_name_prefix="fetch")
        self._slots = threading.BoundedSemaphore(MOST_FETCHED)
        self._queue = WorkQueue(self._compute, self._give_up, self._time_limit)

    def submit(self, operation: Operation, key: str, values: dict[str, Any]) -> Job:
        """Accept a task, or return the one that the same submission made before."""
        server_id = new_server_id()
        key = key or server_id
        with self._lock:
            known = self.find(key)
            if known:
                return self._repeated(known, operation, values)
            if len(self._open) >= MOST_OPEN:
                raise WireError("429", f"{MOST_OPEN} tasks are already waiting: try again later")
            job = Job(key, server_id, operation.name, values, self.clock.now())
            job.callback = self._callbacks.initial_state(values.get("callback_url", ""))
            self._write(job)
            self._remember_ids(job)
            self._start(job)
        return job

    def find(self, asked: str) -> Job | None:
        """Return the task by the caller's id or ours; resume it if an ended process left it."""
        with self._lock:
            key = self._keys.get(asked, asked)
            if key in self._open:
                return self._open[key]
            job = load_job(self.tasks.read(key))
            if job and not job.ended:
                self._resume(job)
        return job

    def shows_end(self, job: Job) -> bool:
        """Whether a query may already say how the task ended."""
        return job.ended and self.clock.now() >= self._visible_from(job)

    def fraction(self, job: Job) -> float:
        """Return how far a task is, from 0 to 1; training is as far as its time has passed."""
        if self.shows_end(job):
            return 1.0
        if job.until:
            passed = self.clock.now() - job.accepted
            return min(0.99, max(0.0, passed / max(0.001, self._visible_from(job) - job.accepted)))
        return min(0.99, job.percentage / 100)

    def _visible_from(self, job: Job) -> float:
        return max(job.until, job.accepted + self._delay)

    def task(self, asked: str) -> TaskView | None:
        """Return the task that has this id, the caller's or the sandbox's."""
        job = self.find(asked)
        if job is None and self.index_once():
            job = self.find(asked)
        return self._view(job) if job else None

    def trainings(self) -> list[TaskView]:
        """Return the training jobs, the oldest first."""
        self.index_once()
        with self._lock:
            keys = sorted(self._training_jobs, key=self._training_jobs.__getitem__)
        return [self._view(job) for job in map(self.find, keys) if job]

    def _view(self, job: Job) -> TaskView:
        shown = job.state if self.shows_end(job) else "running"
        return TaskView(
            key=job.key,
            server_id=job.server_id,
            operation=job.operation,
            state="running" if shown == "accepted" else shown,
            fraction=self.fraction(job),
            params=with_defaults(OPERATIONS[job.operation], job.values),
            result=self.result(job),
            error=job.error,
        )

    def index(self) -> None:
        """Learn the server ids of the tasks that earlier processes have left."""
        for job in filter(None, map(load_job, self.tasks.all())):
            self._remember_ids(job)
            if self._callbacks.is_pending(job.callback):
                if job.ended:
                    due = job.callback["due"] or self._visible_from(job)
                    self._callbacks.schedule(job, due)
                else:
                    self.find(job.key)
        self._indexed.set()

    def index_once(self) -> bool:
        """Call `index` unless that was done already; return whether it was called."""
        if self._indexed.is_set():
            return False
        self.index()
        return True

    def _remember_ids(self, job: Job) -> None:
        with self._lock:
            self._keys.setdefault(job.server_id, job.key)
            if job.operation == "train":
                self._training_jobs[job.key] = job.accepted

    def result(self, job: Job) -> dict[str, Any]:
        """Return the result with the URLs of its files under this process's address."""
        found: dict[str, Any] = self.with_our_urls(job.result)
        return found

    def with_our_urls(self, node: Any) -> Any:
        """Return JSON in which the URLs of files have the address of this process."""
        if isinstance(node, dict):
            return {key: self.with_our_urls(value) for key, value in node.items()}
        if isinstance(node, list):
            return [self.with_our_urls(value) for value in node]
        found = LOCAL_URL.fullmatch(node) if isinstance(node, str) else None
        return f"{self.base_url}/files/{found[1]}" if found else node

    def _repeated(self, known: Job, operation: Operation, values: dict[str, Any]) -> Job:
        if known.same_as(operation.name, values):
            return known
        wire = operation.id_param.wire if operation.id_param else "id"
        what = "with other values" if known.operation == operation.name else known.operation
        raise WireError(
            "400", f"{wire} {tidy(known.key, 80)!r} was already used by an earlier task ({what})"
        )

    def _resume(self, job: Job) -> None:
        """Resume a task of an ended process, unless it seems that the task ended that process."""
        job.state, job.percentage, job.preview = "accepted", 0, ""
        job.revivals += 1
        if job.revivals > MOST_REVIVALS:
            self._fail(job, f"the sandbox stopped {job.revivals} times while it worked on this")
            return
        if job.incomplete:
            self._fail(
                job, "the sandbox was restarted and stores no passwords: send the request again"
            )
            return
        self._write(job)
        self._remember_ids(job)
        self._start(job)

    def _write(self, job: Job) -> None:
        self.tasks.write(job.key, job.record())

    def _start(self, job: Job) -> None:
        self._open[job.key] = job
        if self.engines.surely_missing(job.operation):
            self._fail(job, self.engines.why_missing(job.operation))
            return
        run = _Run(job, self._work(job))
        if run.work.remote:
            self._fetchers.submit(self._fetch, run)
        else:
            self._queue.put(run)

    def _work(self, job: Job) -> JobWork:
        def report(fraction: float, preview: str) -> None:
            job.percentage, job.preview = round(100 * fraction), preview or job.preview

        operation = OPERATIONS[job.operation]
        return JobWork(operation, job.values, self.files, self.base_url, self, report)

    def _fetch(self, run: _Run) -> None:
        """Fetch a task's images, then wait for a slot: fetched images fill the memory."""
        try:
            run.work.fetch()
        except Exception as error:
            self._explain(run.job, error, "the images could not be fetched")
        else:
            self._slots.acquire()
            run.slots = self._slots
            self._queue.put(run)

    def _compute(self, run: _Run) -> None:
        job = run.job
        try:
            engine = self.engines.engine(job.operation)
            if engine is None:
                self._fail(job, self.engines.why_missing(job.operation))
                return
            job.state, job.engine, job.fidelity = "running", engine.name, engine.fidelity
            begun = time.monotonic()
            result = run.work.run(engine)
            # An engine with several methods says in its result which one it used.
            job.engine = str(result.pop("engine", job.engine))
            job.fidelity = str(result.pop("fidelity", job.fidelity))
            self._end(job, "succeeded", result=result, seconds=time.monotonic() - begun)
        except Exception as error:
            self._explain(job, error, f"the sandbox's {job.operation} failed")
        finally:
            run.leave()

    def _explain(self, job: Job, error: Exception, what: str) -> None:
        """End a task with the message of an error that is the user's, or say what broke."""
        if isinstance(error, (EngineError, PictureError)):
            self._fail(job, describe_error(error))
            return
        log.error("%s: %s", what, place_of(error))
        self._fail(job, f"{what} ({type(error).__name__}); see sandbox.log")

    def _time_limit(self) -> float:
        from ..user_models.local_models import any_chosen

        return OWN_MODEL_SECONDS if any_chosen() else LIMIT_SECONDS

    def _give_up(self, run: _Run, seconds: float) -> None:
        log.error("a task of %s took longer than %g s", run.job.operation, seconds)
        self._fail(run.job, f"the sandbox gave up after {seconds:g} s")
        run.leave()

    def _fail(self, job: Job, text: str) -> None:
        self._end(job, "failed", error=tidy(text))

    def _end(
        self,
        job: Job,
        state: State,
        *,
        error: str = "",
        result: dict[str, Any] | None = None,
        seconds: float = 0.0,
    ) -> None:
        json.dumps(result, allow_nan=False)  # a result that is not JSON is the engine's failure
        with self._lock:
            if job.ended:
                return
            job.result, job.error, job.seconds = result or {}, error, round(seconds, 3)
            if state == "succeeded" and job.operation == "train":
                job.until = self.clock.now() + self._training
            job.state = state
            try:
                self._write(job)
                self._open.pop(job.key, None)
            except OSError as problem:  # it stays in memory, so that queries still find it
                log.error("a task cannot be kept: %s", type(problem).__name__)
            if self._callbacks.is_pending(job.callback):
                self._callbacks.schedule(job, max(self.clock.now(), self._visible_from(job)))

    def save_callback(self, key: str, callback: dict[str, Any]) -> None:
        """Keep the state of a task's callback."""
        with self._lock:
            job = self._open.get(key) or load_job(self.tasks.read(key))
            if job:
                job.callback = callback
                self._write(job)


@dataclass(slots=True)
class _Run:
    """A job in the queue, and the slot that its fetched images hold."""

    job: Job
    work: JobWork
    slots: threading.BoundedSemaphore | None = None

    def leave(self) -> None:
        slots, self.slots = self.slots, None
        if slots:
            with contextlib.suppress(ValueError):
                slots.release()
