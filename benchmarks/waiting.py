"""The waiter on the wire: queries a task and lag, beside simpler rules for when to ask.

All rules run at the same time, each in a process of its own with its own service, in the same
waiter. The lag is from the end of a task at the service until a query has seen it.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

from .service import service, told

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
JITTER = 0.01  # of a fixed duration
Rule = Callable[[float, int], float]
RULES: dict[str, Rule | None] = {
    "fixed 0.5 s": lambda age, asked: 0.5,
    "fixed 1 s": lambda age, asked: 1.0,
    "backoff 0.25 s to 10 s, × 1.5": lambda age, asked: min(10.0, 0.25 * 1.5**asked),
    "imgopen_nb": None,
}


def rows() -> Iterator[tuple[str, ...]]:
    for name, median, sigma, tasks, together in CASES:
        found = measured(median, sigma, tasks, together)
        base = found["fixed 0.5 s"]["queries"]
        for rule, one in found.items():
            yield (
                f"{tasks} of {name}, {together} at a time",
                rule,
                f"{one['queries'] / tasks:.2f}",
                f"{statistics.mean(one['lags']):.3f} s",
                f"{statistics.quantiles(one['lags'], n=20)[-1]:.3f} s",
                f"{100 * statistics.mean(one['lags']) / one['mean']:.1f} %",
                f"{one['queries'] / base:.2f}",
            )


def measured(median: float, sigma: float, tasks: int, together: int) -> dict[str, dict[str, Any]]:
    """Return for each rule: queries, lags in seconds, and the mean duration."""
    running, services = {}, {}
    for rule in RULES:
        services[rule] = service()
        url = services[rule].__enter__()
        command = [sys.executable, "-m", __spec__.name, rule, url]
        command += [str(median), str(sigma), str(tasks), str(together)]
        running[rule] = (url, subprocess.Popen(command, stdout=subprocess.PIPE))
    found = {}
    for rule, (url, process) in running.items():
        out, _ = process.communicate()
        found[rule] = {**told(url), **json.loads(out)}
        services[rule].__exit__(None, None, None)
        assert len(found[rule]["lags"]) == tasks
    return found


def durations(median: float, sigma: float, tasks: int) -> list[float]:
    dice = random.Random(1)
    if not sigma:
        return [median + dice.uniform(0, JITTER) for _ in range(tasks)]
    return [median * math.exp(dice.gauss(0, sigma)) for _ in range(tasks)]


class Ruled:
    """A rule in the place of what the waiter has learned."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule

    def seconds_to_next_poll(self, task: Any) -> float:
        return max(0.0, task.pending + self._rule(task.pending, task.queries) - (task.seconds or 0))

    def ended(self, task: Any, asked: float) -> list[Any]:
        return []

    def forget(self, task: Any) -> None: ...


def run(rule: str, url: str, median: float, sigma: float, tasks: int, together: int) -> float:
    from imgopen_nb.session import Session

    os.environ["IMGOPEN_HOME"] = tempfile.mkdtemp()
    drawn = durations(median, sigma, tasks)
    images = [f"https://p.invalid/{seconds}/{number}" for number, seconds in enumerate(drawn)]
    with Session(url, "an-access-key-id", "an-access-key-secret") as session:
        simple = RULES[rule]
        if simple:
            ruled: Any = Ruled(simple)
            session.manager.timing = session.manager.scheduler._poll._timing = ruled  # type: ignore[attr-defined]
        session.map("describe", images, concurrency=together, model="clip", progress=False)
    return statistics.mean(drawn)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    kinds = {
        "rule": str,
        "url": str,
        "median": float,
        "sigma": float,
        "tasks": int,
        "together": int,
    }
    for name, kind in kinds.items():
        parser.add_argument(name, type=kind)
    print(json.dumps({"mean": run(**vars(parser.parse_args()))}))
