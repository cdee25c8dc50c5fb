"""Tasks and their life: accepted, running, then succeeded or failed; kept in files throughout."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from ...catalogue.operation import Operation
from ...catalogue.operations import OPERATIONS
from ...errors import PictureError
from ..messages import WireError, place_of, tidy, told
from .callback_sender import Callbacks
from .clock import Clock
from .engine_loader import Registry
from .job import Job, State, new_server_id, revive
from .store import LOCAL_URL, Files, Tasks
from .work import Work
from .worker import Line

MOST_OPEN = 10_000
MOST_FETCHED = 8
MOST_REVIVALS = 2
FETCHERS = 8
LIMIT_SECONDS = 60.0
# A model of the user's own may have to be fetched, and draws slowly where there is no GPU.
OWN_MODEL_SECONDS = 3600.0

log = logging.getLogger(__name__)


class Jobs:
    """All tasks of one sandbox: those under way in memory, every one in a file."""

    def __init__(
        self,
        files: Files,
        tasks: Tasks,
        registry: Registry,
        *,
        base_url: str,
        delay: float = 0.0,
        limit: float = LIMIT_SECONDS,
        training: float = 0.0,
        clock: Clock | None = None,
        callbacks: Callbacks | None = None,
    ) -> None:
        self.delay = delay
        self.clock = clock or Clock()
        self._training = training
        self._callbacks = callbacks or Callbacks(self.clock)
        self._files, self._tasks, self._registry = files, tasks, registry
        self._base_url = base_url
        self._limit = limit
        self._open: dict[str, Job] = {}
        self._keys: dict[str, str] = {}
        self._trained: dict[str, float] = {}
        self._indexed = threading.Event()
        self._lock = threading.RLock()
        self._fetchers = ThreadPoolExecutor(FETCHERS, thread_name_prefix="fetch")
        self._room = threading.BoundedSemaphore(MOST_FETCHED)
        self._line = Line(self._compute, self._overdue, self._allowed)

    def submit(self, operation: Operation, key: str, values: dict[str, Any]) -> Job:
        """Accept a task, or return the one that the same submission made before."""
        server_id = new_server_id()
        key = key or server_id
        with self._lock:
            known = self.find(key)
            if known:
                return self._repeated(known, operation, values)
            if len(self._open) >= MOST_OPEN:
                raise WireError("429", f"{MOST_OPEN} tasks are waiting already: ask again later")
            job = Job(key, server_id, operation.name, values, self.clock.now())
            job.callback = self._callbacks.opened(values.get("callback_url", ""))
            self._tasks.write(key, asdict(job))
            self._learn(job)
            self._begin(job)
        return job

    def find(self, asked: str) -> Job | None:
        """Return the task by the caller's id or ours; one left by an ended process goes on."""
        with self._lock:
            key = self._keys.get(asked, asked)
            if key in self._open:
                return self._open[key]
            record = self._tasks.read(key)
            job = revive(record) if record else None
            if job and not job.ended:
                self._resume(job)
        return job

    def shows_end(self, job: Job) -> bool:
        """Whether a query may already tell how the task ended."""
        return job.ended and self.clock.now() >= self._moment(job)

    def fraction(self, job: Job) -> float:
        """Return how far a task is, from 0 to 1; training is as far as its time has passed."""
        if self.shows_end(job):
            return 1.0
        if job.until:
            passed = self.clock.now() - job.accepted
            return min(0.99, max(0.0, passed / max(0.001, self._moment(job) - job.accepted)))
        return min(0.99, job.percentage / 100)

    def _moment(self, job: Job) -> float:
        return max(job.until, job.accepted + self.delay)

    def index(self) -> None:
        """Learn the server ids of the tasks that earlier processes have left."""
        for record in self._tasks.all():
            job = revive(record)
            if job:
                self._learn(job)
                self._promised(job)
        self._indexed.set()

    def _learn(self, job: Job) -> None:
        with self._lock:
            self._keys.setdefault(job.server_id, job.key)
            if job.operation == "train":
                self._trained[job.key] = job.accepted

    def _promised(self, job: Job) -> None:
        """See to the callback that a task of an ended process still owes."""
        if self._callbacks.owed(job.callback):
            if job.ended:
                self._callbacks.schedule(job, job.callback["due"] or self._moment(job))
            else:
                self.find(job.key)

    @property
    def indexed(self) -> bool:
        """Whether the server ids of earlier processes are known by now."""
        return self._indexed.is_set()

    @property
    def trained(self) -> list[str]:
        """The callers' ids of the training jobs, the oldest first."""
        with self._lock:
            return sorted(self._trained, key=lambda key: self._trained[key])

    def result(self, job: Job) -> dict[str, Any]:
        """Return the result with the URLs of its files under this process's address."""
        moved: dict[str, Any] = self.moved(job.result)
        return moved

    def moved(self, node: Any) -> Any:
        """Return text, or whatever holds it, with the sandbox's own URLs as they are now."""
        if isinstance(node, dict):
            return {key: self.moved(value) for key, value in node.items()}
        if isinstance(node, list):
            return [self.moved(value) for value in node]
        found = LOCAL_URL.fullmatch(node) if isinstance(node, str) else None
        return f"{self._base_url}/files/{found[1]}" if found else node

    def _repeated(self, known: Job, operation: Operation, values: dict[str, Any]) -> Job:
        if known.same_as(operation.name, values):
            return known
        wire = operation.id_param.wire if operation.id_param else "id"
        what = "with other values" if known.operation == operation.name else known.operation
        raise WireError(
            "400", f"{wire} {tidy(known.key, 80)!r} is taken by an earlier task ({what})"
        )

    def _resume(self, job: Job) -> None:
        """Take up a task of an ended process, unless it looks as if the task had ended that."""
        job.state, job.percentage, job.preview = "accepted", 0, ""
        job.revivals += 1
        if job.revivals > MOST_REVIVALS:
            self._fail(job, f"the sandbox ended {job.revivals} times while it worked on this")
            return
        self._tasks.write(job.key, asdict(job))
        self._learn(job)
        self._begin(job)

    def _begin(self, job: Job) -> None:
        self._open[job.key] = job
        if self._registry.surely_missing(job.operation):
            self._fail(job, self._registry.missing(job.operation))
            return
        run = _Run(job, self._work(job))
        if run.work.remote:
            self._fetchers.submit(self._fetch, run)
        else:
            self._line.put(run)

    def _work(self, job: Job) -> Work:
        def report(fraction: float, preview: str) -> None:
            job.percentage, job.preview = round(100 * fraction), preview or job.preview

        operation = OPERATIONS[job.operation]
        return Work(operation, job.values, self._files, self._base_url, report=report)

    def _fetch(self, run: _Run) -> None:
        """Get a task's pictures; wait with them while the line is long, as they fill memory."""
        try:
            run.work.fetch()
        except PictureError as error:
            self._fail(run.job, told(error))
        except Exception as error:
            self._broken(run.job, error, "the pictures could not be fetched")
        else:
            self._room.acquire()
            run.room = self._room
            self._line.put(run)

    def _compute(self, run: _Run) -> None:
        job = run.job
        try:
            engine = self._registry.engine(job.operation)
            if engine is None:
                self._fail(job, self._registry.missing(job.operation))
                return
            job.state, job.engine, job.fidelity = "running", engine.name, engine.fidelity
            begun = time.monotonic()
            result = engine.run(run.work)
            # An engine that has several means tells which one it was.
            job.engine = str(result.pop("engine", job.engine))
            job.fidelity = str(result.pop("fidelity", job.fidelity))
            self._end(job, "succeeded", result=result, seconds=time.monotonic() - begun)
        except Exception as error:
            self._explain(job, error)
        finally:
            run.leave()

    def _explain(self, job: Job, error: Exception) -> None:
        from ..engine import EngineError

        if isinstance(error, (EngineError, PictureError)):
            self._fail(job, told(error))
        else:
            self._broken(job, error, f"the engine of {job.operation} failed")

    def _broken(self, job: Job, error: Exception, what: str) -> None:
        log.error("%s: %s", what, place_of(error))
        self._fail(job, f"{what} ({type(error).__name__}); sandbox.log has the place")

    def _allowed(self) -> float:
        from ..user_models.local_models import any_chosen

        return max(self._limit, OWN_MODEL_SECONDS) if any_chosen() else self._limit

    def _overdue(self, run: _Run, seconds: float) -> None:
        log.error("a task of %s took longer than %g s", run.job.operation, seconds)
        self._fail(run.job, f"the sandbox gave up: it took longer than {seconds:g} s")
        run.leave()

    def _fail(self, job: Job, text: str) -> None:
        self._end(job, "failed", error=tidy(text))

    def _end(self, job: Job, state: State, *, error: str = "", **found: Any) -> None:
        result, seconds = found.get("result", {}), found.get("seconds", 0.0)
        json.dumps(result, allow_nan=False)  # what cannot be told is the engine's fault
        with self._lock:
            if job.ended:
                return
            job.result, job.error, job.seconds = result, error, round(seconds, 3)
            if state == "succeeded" and job.operation == "train":
                job.until = self.clock.now() + self._training
            job.state = state
            try:
                self._tasks.write(job.key, asdict(job))
                self._open.pop(job.key, None)
            except OSError as problem:  # it stays in memory, so that it can still be asked for
                log.error("a task cannot be kept: %s", type(problem).__name__)
            if self._callbacks.owed(job.callback):
                self._callbacks.schedule(job, max(self.clock.now(), self._moment(job)))

    def note_callback(self, key: str, callback: dict[str, Any]) -> None:
        """Keep how the delivery of a task's callback stands."""
        with self._lock:
            record = self._tasks.read(key)
            job = self._open.get(key) or (revive(record) if record else None)
            if job:
                job.callback = callback
                self._tasks.write(key, asdict(job))


@dataclass(slots=True)
class _Run:
    """A job on its way through the line, and the room that its fetched pictures hold."""

    job: Job
    work: Work
    room: threading.BoundedSemaphore | None = None

    def leave(self) -> None:
        room, self.room = self.room, None
        if room:
            with contextlib.suppress(ValueError):
                room.release()
