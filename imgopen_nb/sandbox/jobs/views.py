"""Tasks as the engines of other tasks see them: lists show what was trained, queries ask for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...catalogue.operations import OPERATIONS
from .job import Job
from .jobs import Jobs
from .work import with_defaults

if TYPE_CHECKING:
    from ..engine import Seen


class Views:
    """Fulfils `work.Register`."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def task(self, asked: str) -> Seen | None:
        """Return the task that the caller, or the sandbox, calls so."""
        job = self._jobs.find(asked)
        if job is None and not self._jobs.indexed:
            self._jobs.index()
            job = self._jobs.find(asked)
        return self._seen(job) if job else None

    def trainings(self) -> list[Seen]:
        """Return the training jobs, the oldest first."""
        if not self._jobs.indexed:
            self._jobs.index()
        jobs = map(self._jobs.find, self._jobs.trained)
        return [self._seen(job) for job in jobs if job]

    def _seen(self, job: Job) -> Seen:
        from ..engine import Seen

        shown = job.state if self._jobs.shows_end(job) else "running"
        return Seen(
            key=job.key,
            server_id=job.server_id,
            operation=job.operation,
            state="running" if shown == "accepted" else shown,
            fraction=self._jobs.fraction(job),
            params=with_defaults(OPERATIONS[job.operation], job.values),
            result=self._jobs.result(job),
            error=job.error,
        )
