"""Very many open tasks: what asking for them costs while none ends, and how late ends are noticed.

The clock is simulated; the decisions are those of a session's own `Timing`.
"""

from __future__ import annotations

import math
import statistics

import pytest

from benchmarks.open_tasks import simulate
from imgopen_nb.session import Session
from imgopen_nb.tasks.polling import plan, timing
from imgopen_nb.tasks.polling.plan import FRUITLESS_RATE, NEWEST, Crowd

from ...processes import wait_until
from ...stub import Stub, ok

KNOWN = [8.0 + number / 10 for number in range(40)]


@pytest.mark.parametrize("known", [(), KNOWN], ids=["nothing known", "8 to 12 s known"])
def test_thousands_of_tasks_of_which_none_ends_are_asked_for_seldom(known: list[float]):
    """n = 5,000 for 12 minutes: in the last three some 20 queries a second, not 150."""
    found = simulate(5000, 700, known=known)
    last = [found.rate(since, since + 50) for since in range(500, 700, 50)]
    assert max(last) < 2 * FRUITLESS_RATE
    assert min(last) > FRUITLESS_RATE / 4, "they are not forgotten either"


@pytest.mark.parametrize("count", [1, 16, NEWEST])
def test_a_hundred_tasks_are_asked_for_as_if_there_were_no_bound(count: int):
    for ends in (lambda number: math.inf, lambda number: 20.0 + number % 9):
        bounded, free = (simulate(count, 300, ends, rate=rate) for rate in (20.0, math.inf))
        assert len(bounded.queries) == pytest.approx(len(free.queries), rel=0.1)


def test_ends_that_come_one_after_the_other_are_noticed_as_before():
    """n = 1,000 tasks of 8 to 12 s, of which most are open at once."""
    bounded, free = (
        simulate(1000, 300, lambda number: 8.0 + number % 40 / 10, rate=rate, known=KNOWN)
        for rate in (20.0, math.inf)
    )
    assert len(bounded.lags) == len(free.lags) == 1000
    assert statistics.fmean(bounded.lags) < 1.5 * statistics.fmean(free.lags)


def test_when_a_service_wakes_up_all_ends_are_noticed_soon():
    """n = 2,000 tasks that end together after ten minutes: the first end releases the others."""
    found = simulate(2000, 900, lambda number: 600.0 - number / 100)
    assert len(found.lags) == 2000
    assert max(found.lags) < 60, "in turn they would take 100 s"


def test_a_new_task_is_asked_for_at_once_among_thousands():
    """The last of n = 3,000 takes 5 s; the others take for ever."""
    found = simulate(3000, 300, lambda number: 5.0 if number == 2999 else math.inf)
    assert len(found.lags) == 1
    assert found.lags[0] < 6


def test_a_task_that_somebody_waits_for_is_not_held_back(
    session: Session, stub: Stub, monkeypatch: pytest.MonkeyPatch
):
    """Not in a simulation: n = 3, which are held back for some 50 minutes."""
    monkeypatch.setattr(timing, "NEWEST", 0)
    monkeypatch.setattr(plan, "FRUITLESS_RATE", 1e-3)
    session.manager.timing._crowd._fruitful = 0.0
    stub.answer = lambda request: ok(status=1)
    tasks = [session.submit("describe", image=f"http://127.0.0.1:9/{n}.png") for n in range(3)]
    for task in tasks:
        task.watch()
    wait_until(lambda: len(session.manager.timing._held) == 3)

    stub.answer = lambda request: ok(status=2, caption="a cat")

    assert tasks[0].result(20).caption == "a cat"


def test_what_is_held_back_is_spread():
    crowd = Crowd(seed=0)
    assert crowd.least_step(10_000) == 0
    for _ in range(200):
        crowd.polled(ended=False)
    steps = [crowd.least_step(10_000) for _ in range(500)]
    assert statistics.fmean(steps) == pytest.approx(10_000 / FRUITLESS_RATE, rel=0.1)
    assert max(steps) > 2 * min(steps)
    for _ in range(20):
        crowd.polled(ended=True)
    assert crowd.least_step(10_000) == 0
