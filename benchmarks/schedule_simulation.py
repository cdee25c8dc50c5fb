"""Simulates how often each strategy polls tasks, and how late it notices their ends.

Run: python -m benchmarks.schedule_simulation
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import math
import random
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from imgopen_nb.tasks.polling.plan import FLOOR, Durations, probe_count

HEAD = ("tasks", "open", "strategy", "queries", "lag mean", "lag p95", "of duration", "plan ms")


@dataclass
class Job:
    """One simulated task; times are in seconds, ages are those at which queries were sent."""

    duration: float
    submitted: float = 0.0
    pending: float = 0.0
    sent: float = -1.0  # when the query under way was sent
    due: float = 0.0  # polls that were planned for another time are dropped
    queries: int = 0
    lag: float = -1.0
    probe: bool = False
    progress: float | None = None


class Strategy(Protocol):
    def step(self, job: Job, running: int) -> float: ...

    def ended(self, job: Job, noticed: float, running: Iterable[Job]) -> bool: ...


class Simple:
    """Learns nothing: the next interval depends on the age and the number of queries."""

    def __init__(self, rule: Callable[[float, int], float]) -> None:
        self.rule = rule

    def step(self, job: Job, running: int) -> float:
        return self.rule(job.pending, job.queries)

    def ended(self, job: Job, noticed: float, running: Iterable[Job]) -> bool:
        return False


class Learned:
    """Plans polls with `imgopen_nb.tasks.polling.plan`, as a session does."""

    def __init__(self, known: Iterable[float] = (), seed: int = 0, floor: float = FLOOR) -> None:
        self.floor, self.probes, self.plans, self.cpu = floor, 0, 0, 0.0
        self.durations = Durations(seed)
        self.durations.extend((d, d, at - 1e6) for at, d in enumerate(known))
        self.plan = self.durations.plan(floor=floor)

    def step(self, job: Job, running: int) -> float:
        if not self.durations.count and not job.probe and self.probes < probe_count(running):
            job.probe, self.probes = True, self.probes + 1
        return self.plan.next_poll(job.pending, progress=job.progress, probe=job.probe)

    def ended(self, job: Job, noticed: float, running: Iterable[Job]) -> bool:
        self.durations.add(job.pending, noticed, job.submitted)
        if not self.durations.outdated:
            return False
        move = not self.durations.settled
        begun = time.thread_time()
        ages = [(one.pending, one.submitted) for one in running]
        self.plan = self.durations.plan(ages, self.floor)
        self.plans, self.cpu = self.plans + 1, self.cpu + time.thread_time() - begun
        return move


class Simulation:
    """A client and a service; a poll reaches the service after half a round trip.

    Args:
        telling: returns the progress for an age and a duration, if the service reports it.
        pace: seconds between the first submissions.
        lanes: how many queries can be under way at once.
    """

    def __init__(
        self,
        strategy: Strategy,
        durations: Iterable[float],
        *,
        trip: float = 0.02,
        window: int | None = None,
        pace: float = 0.001,
        lanes: int | None = None,
        telling: Callable[[float, float], float] | None = None,
    ) -> None:
        self.strategy, self.trip, self.telling = strategy, trip, telling
        self.jobs = [Job(duration) for duration in durations]
        self.waiting = iter(self.jobs)
        self.open: dict[int, Job] = {}
        self.heap: list[tuple[float, int, Callable[[float, Job], None], Job]] = []
        self.order = itertools.count()
        self.lanes = [0.0] * (lanes or len(self.jobs))
        for at, job in enumerate(itertools.islice(self.waiting, window)):
            self._push(at * pace, self._submit, job)
        while self.heap:
            now, _, call, job = heapq.heappop(self.heap)
            call(now, job)

    def _push(self, when: float, call: Callable[[float, Job], None], job: Job) -> None:
        heapq.heappush(self.heap, (when, next(self.order), call, job))

    def _submit(self, now: float, job: Job) -> None:
        job.submitted, self.open[id(job)] = now, job
        self._plan(now, job)

    def _plan(self, now: float, job: Job, latest: float = math.inf) -> None:
        due = job.submitted + job.pending + self.strategy.step(job, len(self.open))
        job.due = max(now, min(due, latest))
        self._push(job.due, self._poll, job)

    def _poll(self, now: float, job: Job) -> None:
        if now != job.due or job.sent >= 0 or job.lag >= 0:
            return
        job.sent = max(now, heapq.heappop(self.lanes))
        heapq.heappush(self.lanes, job.sent + self.trip)
        job.queries += 1
        self._push(job.sent + self.trip, self._answer, job)

    def _answer(self, now: float, job: Job) -> None:
        age, job.sent = job.sent - job.submitted, -1.0
        seen = age + self.trip / 2
        if seen < job.duration:
            job.pending = age
            job.progress = self.telling(seen, job.duration) if self.telling else None
            self._plan(now, job)
            return
        job.lag = now - job.submitted - job.duration
        del self.open[id(job)]
        if self.strategy.ended(job, age, self.open.values()):
            for other in self.open.values():
                if other.sent < 0:
                    self._plan(now, other, other.due)
        for following in itertools.islice(self.waiting, 1):
            self._submit(now, following)

    @property
    def queries(self) -> float:
        """Mean number of queries per task."""
        return statistics.fmean(job.queries for job in self.jobs)

    @property
    def lag(self) -> float:
        """Mean seconds from the end of a task to its being noticed."""
        return statistics.fmean(job.lag for job in self.jobs)

    @property
    def late(self) -> float:
        """The 95th percentile of the lag."""
        return sorted(job.lag for job in self.jobs)[int(0.95 * len(self.jobs))]

    @property
    def part(self) -> float:
        """The lag as a part of the duration, over all tasks."""
        return self.lag / statistics.fmean(job.duration for job in self.jobs)


# A function that draws one duration.
Draw = Callable[[random.Random], float]


def narrow(seconds: float) -> Draw:
    return lambda rng: seconds + rng.uniform(0.005, 0.02)


def lognormal(median: float, sigma: float = 0.5) -> Draw:
    return lambda rng: median * rng.lognormvariate(0, sigma)


def mixed(*parts: tuple[float, Draw]) -> Draw:
    """Draw from several kinds of duration, each with its weight."""
    weights, draws = [part[0] for part in parts], [part[1] for part in parts]
    return lambda rng: rng.choices(draws, weights)[0](rng)


def drawn(draw: Draw, count: int, seed: int = 1) -> list[float]:
    rng = random.Random(seed)
    return [draw(rng) for _ in range(count)]


KINDS: dict[str, Draw] = {
    "0.3 s": narrow(0.3),
    "2.0 s": narrow(2.0),
    "lognormal 8 s": lognormal(8),
    "lognormal 20 s": lognormal(20),
}
HARD: dict[str, Draw] = {
    "2 s, 20 % 20 s": mixed((0.8, narrow(2)), (0.2, lognormal(20, 0.1))),
    "2 s, 2 % 200 s": mixed((0.98, narrow(2)), (0.02, lognormal(200, 0.1))),
    "lognormal 8 s, 1 % x100": mixed((0.99, lognormal(8)), (0.01, lognormal(800))),
    "lognormal 60 s": lognormal(60),
}
SIMPLE: dict[str, Callable[[float, int], float]] = {
    "fixed 0.5 s": lambda age, count: 0.5,
    "fixed 1 s": lambda age, count: 1.0,
    "backoff 0.25 -> 10 s x1.5": lambda age, count: min(10, 0.25 * 1.5**count),
    "15 % of the age, >= 0.25 s": lambda age, count: max(0.25, 0.15 * age),
}


def rows(count: int = 1000, seed: int = 0, **client: float) -> Iterator[tuple[str, ...]]:
    for kind, draw in {**KINDS, **HARD}.items():
        durations = drawn(draw, count, seed + 1)
        for name, rule in SIMPLE.items():
            run = Simulation(Simple(rule), durations)
            yield cells(kind, "all", name, run)
        for window, known in itertools.product((None, 32, 16), (0, 50)):
            learned = Learned(drawn(draw, known, seed + 2), seed)
            run = Simulation(learned, durations, window=window, **client)  # type: ignore[arg-type]
            cpu = f"{1000 * learned.cpu / max(1, learned.plans):.2f} x {learned.plans}"
            yield cells(kind, str(window or "all"), f"learned from {known}", run, cpu)
    for kind, durations in drifts(count, seed).items():
        learned = Learned(seed=seed)
        yield cells(kind, "32", "learned from 0", Simulation(learned, durations, window=32))


def drifts(count: int, seed: int = 0) -> dict[str, list[float]]:
    """Return durations that double or halve in the middle of the run."""
    half = count // 2
    return {
        f"{kind}, then {factor:g} x": [
            *drawn(KINDS[kind], half, seed + 1),
            *(factor * d for d in drawn(KINDS[kind], half, seed + 3)),
        ]
        for kind, factor in itertools.product(("2.0 s", "lognormal 20 s"), (2, 0.5))
    }


def cells(kind: str, window: str, name: str, run: Simulation, cpu: str = "") -> tuple[str, ...]:
    lags = (f"{run.lag:.3f}", f"{run.late:.3f}", f"{100 * run.part:.1f} %")
    return kind, window, name, f"{run.queries:.2f}", *lags, cpu


def row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pace", type=float, default=0.001, help="seconds between submissions")
    parser.add_argument("--lanes", type=int, default=0, help="queries at once; 0: any number")
    given = parser.parse_args()
    print(row(HEAD), row(["---"] * len(HEAD)), sep="\n")
    for line in rows(seed=given.seed, pace=given.pace, lanes=given.lanes):
        print(row(line), flush=True)


if __name__ == "__main__":
    main()
