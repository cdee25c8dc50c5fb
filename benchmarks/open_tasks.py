"""What open tasks cost while nothing happens: queries a second, and CPU, of a real `Timing`.

The clock is simulated, half an hour of it. The CPU of one query is measured over HTTP; before, no
task was held back because many others are open.
"""

from __future__ import annotations

import heapq
import math
import os
import resource
import tempfile
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from unittest import mock

from imgopen_nb.catalogue.operations import OPERATIONS
from imgopen_nb.catalogue.status import State
from imgopen_nb.database.database import Database
from imgopen_nb.database.task_table import TaskTable
from imgopen_nb.session import Session
from imgopen_nb.tasks import task as task_module
from imgopen_nb.tasks.polling import plan
from imgopen_nb.tasks.polling.timing import Timing
from imgopen_nb.tasks.task import Task

from .processes import apart
from .service import service

HEAD = ("open tasks", "queries a second before", "now", "share of a core before", "now", "ratio")
SECONDS, LAST = 1800.0, 600.0
TRIP = 0.005  # seconds between two queries that are due at once


@dataclass
class Simulated:
    """When queries were sent, and how late each end was noticed, in seconds."""

    queries: list[float] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)

    def rate(self, since: float, until: float) -> float:
        """Return the queries a second in a span of time."""
        return sum(since <= at < until for at in self.queries) / (until - since)


def simulate(
    count: int,
    seconds: float,
    ends: Callable[[int], float] = lambda number: math.inf,
    rate: float = plan.FRUITLESS_RATE,
    pace: float = 0.01,
    known: Sequence[float] = (),
) -> Simulated:
    """Poll so many tasks as a session does.

    Args:
        count: how many are submitted.
        seconds: for how long.
        ends: the age at which the task of a number ends.
        rate: FRUITLESS_RATE; infinity holds none back.
        pace: seconds between two submissions.
        known: the seconds that earlier tasks took.
    """
    now, found = 0.0, Simulated()
    clock = types.SimpleNamespace(monotonic=lambda: 1e6 + now, time=lambda: 1e9 + now)
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home,
        mock.patch.object(task_module, "time", clock),
        mock.patch.object(plan, "FRUITLESS_RATE", rate),
        # The same figures in each run.
        mock.patch.object(plan, "random", types.SimpleNamespace(Random=lambda _: Random(1))),
    ):
        timing = Timing(TaskTable(Database(Path(home))))
        tasks: dict[str, tuple[Task, float]] = {}
        due: dict[str, float] = {}
        heap: list[tuple[float, str]] = []

        def put(task: Task) -> None:
            when = now + timing.seconds_to_next_poll(task)
            if when < due.get(task.id, math.inf):
                due[task.id] = when
                heapq.heappush(heap, (when, task.id))

        for place, took in enumerate(known):
            earlier = new_task(f"earlier-{place}", 3 * SECONDS)
            earlier.pending = took
            earlier.update(state=State.SUCCEEDED, took=took)
            timing.ended(earlier, took)
        for number in range(count):
            heapq.heappush(heap, (number * pace, f"new {number}"))
        while heap and now < seconds:
            when, name = heapq.heappop(heap)
            if name.startswith("new "):
                now = max(now, when)
                task = new_task(f"task {name[4:]}", 3 * SECONDS)
                tasks[task.id] = task, ends(int(name[4:]))
                put(task)
            elif due.get(name) == when:
                now = max(now + TRIP, when)
                task, end = tasks[name]
                del due[name]
                found.queries.append(now)
                age = task.seconds or 0.0
                if age >= end:
                    found.lags.append(age - end)
                    task.update(state=State.SUCCEEDED, took=age)
                    for other in timing.ended(task, age):
                        if not other.done:
                            put(other)
                else:
                    task.pending = age
                    timing.fruitless()
                    put(task)
    return found


def new_task(name: str, wanted: float) -> Task:
    task = Task(
        name,
        OPERATIONS["describe"],
        {},
        watch=lambda _: None,
        build=lambda _: None,  # type: ignore[arg-type,return-value]
    )
    task.submitted = task_module.time.time()
    task.start_clock()
    task.watch(wanted)
    return task


def ask(url: str, count: int) -> float:
    """Return the CPU seconds of one query of a session that asks again and again."""
    os.environ["IMGOPEN_HOME"] = tempfile.mkdtemp()
    with Session(url, "an-access-key-id", "an-access-key-secret") as session:
        task = session.submit("describe", image="https://p.invalid/3600/1")
        poll = session.manager.scheduler._poll
        poll(task)
        begun = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        for _ in range(count):
            poll(task)
        return (sum(resource.getrusage(resource.RUSAGE_SELF)[:2]) - begun) / count


def rows(
    counts: Sequence[int] = (10, 100, 1000, 10_000), queries: int = 400
) -> Iterator[tuple[str, ...]]:
    with service() as url:
        cost = apart(ask, url, queries)
    for count in counts:
        before, now = (
            simulate(count, SECONDS, rate=rate).rate(SECONDS - LAST, SECONDS)
            for rate in (math.inf, plan.FRUITLESS_RATE)
        )
        shares = (f"{100 * cost * each:.1f} %" for each in (before, now))
        yield f"{count:,}", f"{before:.1f}", f"{now:.1f}", *shares, f"{before / now:.1f}"
