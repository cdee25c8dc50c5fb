"""Polling over HTTP: queries per task and lag of our schedule, against simpler rules.

All rules run at the same time, each in its own process with its own service, in our scheduler. The
lag is the time from the end of a task at the service until a query sees it.
"""

from __future__ import annotations

import math
import os
import random
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from imgopen_nb.session import Session

from .processes import side_by_side
from .service import fetch_statistics, service

HEAD = (
    "tasks",
    "rule",
    "queries a task",
    "lag mean",
    "lag p95",
    "lag / duration",
    "queries / 0.5 s",
)
# (name, median seconds, sigma of its logarithm, tasks, at a time)
CASES = (
    ("0.3 s", 0.3, 0.0, 400, 16),
    ("2 s", 2.0, 0.0, 400, 32),
    ("lognormal 8 s", 8.0, 0.5, 200, 50),
    ("lognormal 20 s", 20.0, 0.5, 200, 100),
)
JITTER = 0.01  # seconds that a fixed duration may vary
# From a task's age at its last poll and the number of polls: seconds until the next one.
Rule = Callable[[float, int], float]
RULES: dict[str, Rule | None] = {
    "fixed 0.5 s": lambda age, polls: 0.5,
    "fixed 1 s": lambda age, polls: 1.0,
    "backoff 0.25 s to 10 s, × 1.5": lambda age, polls: min(10.0, 0.25 * 1.5**polls),
    "imgopen_nb": None,
}


def rows(
    cases: Sequence[tuple[str, float, float, int, int]] = CASES,
) -> Iterator[tuple[str, ...]]:
    for name, median, sigma, tasks, concurrency in cases:
        found = measured(median, sigma, tasks, concurrency)
        base = found["fixed 0.5 s"]["queries"]
        for rule, one in found.items():
            yield (
                f"{tasks} of {name}, {concurrency} at a time",
                rule,
                f"{one['queries'] / tasks:.2f}",
                f"{statistics.mean(one['lags']):.3f} s",
                f"{statistics.quantiles(one['lags'], n=20)[-1]:.3f} s",
                f"{100 * statistics.mean(one['lags']) / one['mean']:.1f} %",
                f"{one['queries'] / base:.2f}",
            )


def measured(
    median: float, sigma: float, tasks: int, concurrency: int
) -> dict[str, dict[str, Any]]:
    """Return, for each rule, the queries, the lags in seconds and the mean duration."""
    with ExitStack() as stack:
        urls = {rule: stack.enter_context(service()) for rule in RULES}
        calls = [(rule, url, median, sigma, tasks, concurrency) for rule, url in urls.items()]
        means = side_by_side(run, calls)
        found = {
            rule: {**fetch_statistics(url), "mean": mean}
            for (rule, url), mean in zip(urls.items(), means, strict=True)
        }
    assert all(len(each["lags"]) == tasks for each in found.values())
    return found


def durations(median: float, sigma: float, tasks: int) -> list[float]:
    dice = random.Random(1)
    if not sigma:
        return [median + dice.uniform(0, JITTER) for _ in range(tasks)]
    return [median * math.exp(dice.gauss(0, sigma)) for _ in range(tasks)]


class RuleTiming:
    """A rule in place of `Timing`, which learns how long tasks take."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule

    def seconds_to_next_poll(self, task: Any) -> float:
        return max(0.0, task.pending + self._rule(task.pending, task.queries) - (task.seconds or 0))

    def ended(self, task: Any, age: float) -> list[Any]:
        return []

    def fruitless(self) -> None: ...

    def forget(self, task: Any) -> None: ...


def poll_by(rule: Rule, session: Session) -> None:
    """Have a session poll by a rule."""
    timing: Any = RuleTiming(rule)
    session.manager.timing = session.manager.scheduler._poll._timing = timing


def run(rule: str, url: str, median: float, sigma: float, tasks: int, concurrency: int) -> float:
    os.environ["IMGOPEN_HOME"] = tempfile.mkdtemp()
    drawn = durations(median, sigma, tasks)
    images = [f"https://p.invalid/{seconds}/{number}" for number, seconds in enumerate(drawn)]
    with Session(url, "an-access-key-id", "an-access-key-secret") as session:
        if simple := RULES[rule]:
            poll_by(simple, session)
        session.map("describe", images, concurrency=concurrency, model="clip", progress=False)
    return statistics.mean(drawn)
