"""When to poll a task: what always holds, and the queries and lag with a simulated service."""

from __future__ import annotations

import doctest
import math
import random
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.schedule_simulation import (
    KINDS,
    SIMPLE,
    Learned,
    Simple,
    Simulation,
    drawn,
    drifts,
    lognormal,
    mixed,
    narrow,
)
from imgopen_nb.tasks.polling import plan as planning
from imgopen_nb.tasks.polling.plan import FLOOR, Durations, Plan, probe_count

SECONDS = st.floats(0, 1e9)
PAIRS = st.tuples(SECONDS, SECONDS).map(sorted)
LEARNED = st.lists(st.tuples(PAIRS, st.floats(-1e9, 1e9)), max_size=250)
NOT_A_TIME = (math.nan, math.inf, -math.inf, -0.001)


def known(*seconds: float, seed: int = 0) -> Durations:
    durations = Durations(seed)
    durations.extend((each, each, at) for at, each in enumerate(seconds))
    return durations


def polls(plan: Plan, count: int, probe: bool = True) -> list[float]:
    """Return the ages at the first polls of a task that never ends."""
    ages = [0.0]
    for _ in range(count):
        ages.append(ages[-1] + plan.next_poll(ages[-1], probe=probe))
    return ages[1:]


def simulate(durations: Sequence[float], known: Sequence[float] = (), **how: int) -> Simulation:
    return Simulation(Learned(known), durations, **how)


# What always holds.


def test_the_example_of_durations_is_right():
    assert doctest.testmod(planning) == (0, 4)


@given(LEARNED, st.lists(st.tuples(SECONDS, SECONDS), max_size=30), SECONDS, st.booleans())
def test_a_step_is_finite_and_never_below_the_floor(learned, running, age, probe):
    durations = Durations(0)
    durations.extend((low, high, at) for (low, high), at in learned)
    plan = durations.plan(running)
    for progress in (None, 0.0, 0.3, 1.0, math.nan, 7.0, -1.0):
        assert plan.floor <= plan.next_poll(age, progress, probe) < math.inf


@given(st.lists(SECONDS, min_size=1, max_size=50), st.sampled_from([0.01, 0.1, 3.0]))
def test_the_floor_is_lower_only_where_it_is_a_large_part_of_a_task(known, floor):
    """15 % of the median, at least 20 ms, and never more than the floor that was passed."""
    durations = Durations(0)
    durations.extend((seconds, seconds, 0.0) for seconds in known)
    lowest = durations.plan(floor=floor).floor
    assert lowest == min(floor, max(0.02, 0.15 * durations.quantile(0.5)))


@given(LEARNED, st.sampled_from([0.01, 0.1, 0.5, 3.0]))
def test_a_task_that_never_ends_is_polled_for_ever_and_never_too_often(learned, floor):
    """Intervals are at least the floor, and at most 30 s after every known duration is over."""
    durations = Durations(0)
    durations.extend((low, high, at) for (low, high), at in learned)
    plan = durations.plan(floor=floor)
    ages = polls(plan, 60)
    steps = [after - before for before, after in pairwise(ages)]
    # The difference of two large ages is only as exact as these.
    assert all(step >= plan.floor - ages[-1] * 1e-15 for step in steps)
    longest = durations.quantile(1) if durations.count else 0.0
    assert plan.next_poll(2 * longest + 1) <= max(30.0, plan.floor)


@given(st.lists(PAIRS, min_size=1, max_size=300))
def test_a_learned_duration_lies_within_its_interval(pairs):
    for low, high in pairs:
        durations = Durations(1)
        durations.add(low, high, 0.0)
        assert low <= durations.quantile(0.5) <= high


@given(st.lists(SECONDS, min_size=1, max_size=60), st.floats(0, 1), st.floats(0, 1))
def test_quantiles_are_known_durations_in_order(seconds, low, high):
    durations = known(*seconds)
    low, high = sorted((low, high))
    assert durations.quantile(low) <= durations.quantile(high)
    assert {durations.quantile(low), durations.quantile(high)} <= set(seconds)


@pytest.mark.parametrize("bad", [*NOT_A_TIME, 1e10])
def test_an_invalid_duration_is_refused_and_changes_nothing(bad):
    durations = Durations(0)
    for interval in ((bad, 1.0, 0.0), (0.0, bad, 0.0)):
        with pytest.raises(ValueError, match="no duration"):
            durations.add(*interval)
    assert durations.count == 0
    assert not durations.outdated


def test_an_end_noticed_before_the_last_poll_is_refused():
    with pytest.raises(ValueError, match="no duration"):
        Durations(0).add(2.0, 1.0, 0.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_an_invalid_submission_time_is_refused(bad):
    with pytest.raises(ValueError, match="no duration"):
        Durations(0).add(1.0, 2.0, bad)


@pytest.mark.parametrize("bad", NOT_A_TIME)
def test_an_invalid_age_is_refused(bad):
    for durations in (known(), known(1, 2, 3, 4, 5)):
        with pytest.raises(ValueError, match="no age"):
            durations.plan().next_poll(bad)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_an_invalid_floor_is_refused(bad):
    with pytest.raises(ValueError, match="no time"):
        known().plan(floor=bad)


@pytest.mark.parametrize("q", [-0.1, 1.1, math.nan])
def test_an_invalid_quantile_is_refused(q):
    with pytest.raises(ValueError, match="no quantile"):
        known(1.0).quantile(q)
    with pytest.raises(ValueError, match="no quantile"):
        known().quantile(0.5)


# What is remembered.


def test_the_most_recently_submitted_are_remembered_whatever_the_order_of_their_ends():
    durations = Durations(0, size=3)
    for submitted in (5, 1, 4, 2, 3):
        durations.add(submitted, submitted, submitted)
    durations.plan()
    assert durations.count == 3
    assert [durations.quantile(q) for q in (0, 0.5, 1)] == [3, 4, 5]


def test_a_new_plan_is_due_after_each_of_the_first_ends_and_then_after_one_in_twenty():
    durations, due = Durations(0), []
    for at in range(400):
        durations.add(1.0, 1.0, at)
        if durations.outdated:
            due.append(at + 1)
            durations.plan()
    assert due[:5] == [1, 2, 3, 4, 6]
    assert {after - before for before, after in zip(due[-9:], due[-8:], strict=False)} == {10}


def test_polls_already_scheduled_are_moved_only_while_little_is_known():
    assert not known(*range(9)).settled
    assert known(*range(10)).settled


def test_open_tasks_count_as_longer_than_they_are_old():
    """Ten of a thousand have ended after 5 s; so a new task is not expected to end by then."""
    ended = known(*(4 + at / 10 for at in range(10)))
    alone, among = ended.plan(), ended.plan([(5.0, 0.0)] * 990)
    assert among.next_poll(0.0) >= alone.next_poll(0.0)
    assert among.next_poll(5.0) > 2 * alone.next_poll(5.0)


def test_the_same_seed_gives_the_same_plan():
    intervals = [(at, at + 5.0, at) for at in range(20)]
    plans = []
    for _ in range(2):
        durations = Durations(3)
        durations.extend(intervals)
        plans.append(polls(durations.plan(), 30))
    assert plans[0] == plans[1]


# Single steps.


def test_a_probe_is_polled_often_while_the_others_hold_back():
    plan = known().plan()
    assert all(plan.next_poll(age) == max(FLOOR, 0.08 * age) for age in (0.0, 1.0, 20.0))
    assert polls(plan, 3, probe=False) == pytest.approx([2.6, 5.2, 10.4])
    assert plan.next_poll(1000.0, probe=False) == 30.0


def test_the_number_of_probes_is_at_least_four_and_bounded():
    assert [probe_count(count) for count in (1, 16, 200, 400, 10**6)] == [4, 4, 4, 8, 10]


@pytest.mark.parametrize("count", [1, 2, 4])
def test_polls_are_close_to_the_few_known_durations(count):
    """After one or a few ends at 10 s, a task is polled several times between 8 and 14 s."""
    ages = polls(known(*[10.0] * count).plan(), 20)
    assert 8 <= ages[0] <= 10
    assert sum(8 <= age <= 14 for age in ages) >= 4


def test_a_task_that_outlives_all_is_polled_at_slowly_growing_intervals():
    plan = known(*drawn(narrow(2.0), 100)).plan()
    ages = [age for age in polls(plan, 60) if age > 2.1]
    steps = [after - before for before, after in pairwise(ages)]
    assert steps[0] == pytest.approx(FLOOR, abs=0.02)
    for age, step, after in zip(ages, steps, steps[1:], strict=False):
        assert step <= max(FLOOR, 0.16 * age)
        assert after <= 1.5 * step
    assert plan.next_poll(10_000.0) == 30.0


def test_progress_moves_the_next_poll_forward_or_back_within_bounds():
    plan = known(*drawn(lognormal(20), 100)).plan()
    step = plan.next_poll(15.0)
    assert plan.next_poll(15.0, 0.99) == max(FLOOR, step / 2)
    assert plan.next_poll(15.0, 0.3) == 2 * step
    assert plan.next_poll(15.0, 15.0 / (15.0 + step)) == pytest.approx(step)
    assert plan.next_poll(15.0, 0.0) == step


# Queries per task, and lag: the seconds from the end of a task until it is noticed.

WINDOWS = (None, 32, 16)
LIMITS = {  # queries, mean lag in seconds, mean lag as a part of the mean duration
    "0.3 s": (2.2, 0.06, 1.0),
    "2.0 s": (3.2, 0.055, 1.0),
    "lognormal 8 s": (13.0, 0.5, 0.05),
    "lognormal 20 s": (13.0, 1.15, 0.05),
}


@pytest.mark.parametrize("learned", [0, 50])
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("kind", KINDS)
def test_queries_and_lag_are_both_low(kind, window, learned):
    """A thousand tasks, all at once or a few at a time, with and without known durations."""
    queries, lag, part = LIMITS[kind]
    if (kind, window, learned) == ("lognormal 20 s", None, 0):
        queries = 15.1  # ends come late, and after each one all the others are polled
    run = simulate(drawn(KINDS[kind], 1000), drawn(KINDS[kind], learned, 2), window=window)
    assert run.queries <= queries
    assert run.lag <= lag
    assert run.part <= part


@pytest.mark.parametrize("kind", ["lognormal 8 s", "lognormal 20 s"])
def test_ends_are_noticed_sooner_than_with_a_backoff_for_about_as_many_queries(kind):
    durations = drawn(KINDS[kind], 1000)
    backoff = Simulation(Simple(SIMPLE["backoff 0.25 -> 10 s x1.5"]), durations)
    learned = simulate(durations, window=32)
    assert learned.lag < backoff.lag / 3
    assert learned.queries < 1.6 * backoff.queries


@pytest.mark.parametrize("kind", drifts(10))
def test_a_service_that_gets_twice_as_slow_or_fast_is_followed(kind):
    """The last quarter of the tasks fares as if the service had always been like that."""
    run = simulate(drifts(1000)[kind], window=32)
    last = run.jobs[750:]
    lag = sum(job.lag for job in last) / len(last)
    assert lag <= max(0.06, 0.055 * sum(job.duration for job in last) / len(last))
    assert sum(job.queries for job in last) / len(last) <= (14 if "lognormal" in kind else 3.5)


def test_two_groups_of_durations_are_both_noticed_soon():
    """80 % take 2 s and 20 % take 20 s: the lag is short, and the gap costs few queries."""
    both = mixed((0.8, narrow(2)), (0.2, lognormal(20, 0.1)))
    run = simulate(drawn(both, 1000), window=32)
    short = [job.lag for job in run.jobs if job.duration < 3]
    long = [job.lag for job in run.jobs if job.duration > 3]
    assert sum(short) / len(short) <= 0.1
    assert sum(long) / len(long) <= 0.05 * 20
    assert run.queries <= 7


@pytest.mark.parametrize("window", WINDOWS)
def test_outliers_do_not_spoil_the_polls_of_the_others(window):
    """One in a hundred takes a hundred times as long, and is itself noticed within 30 s."""
    odd = mixed((0.99, lognormal(8)), (0.01, lognormal(800)))
    run = simulate(drawn(odd, 1000), window=window)
    usual = [job for job in run.jobs if job.duration < 80]
    assert sum(job.lag for job in usual) <= 0.055 * sum(job.duration for job in usual)
    assert sum(job.queries for job in usual) <= 14 * len(usual)
    assert max(job.lag for job in run.jobs) <= 31


def test_what_was_learned_stays_true_over_thousands_of_tasks():
    """Learning from its own polls makes the durations neither longer nor shorter."""
    learned = Learned()
    Simulation(learned, drawn(lognormal(20), 4000), window=32)
    learned.durations.plan()
    assert 17 <= learned.durations.quantile(0.5) <= 23
    assert 38 <= learned.durations.quantile(0.95) <= 54  # 45.5


def test_progress_saves_queries_or_lag_and_a_stall_does_no_harm():
    durations = drawn(lognormal(20), 500)
    without = simulate(durations, window=32)
    even = Simulation(Learned(), durations, window=32, telling=lambda age, end: age / end)
    stuck = Simulation(Learned(), durations, window=32, telling=lambda age, end: 0.99)
    assert even.lag < 0.7 * without.lag
    assert even.queries < 1.2 * without.queries
    assert stuck.queries < 3 * without.queries
    assert stuck.lag < without.lag


def test_a_lone_task_of_an_unknown_kind_is_noticed_within_a_tenth_of_its_duration():
    rng = random.Random(4)
    for duration in [rng.uniform(0.2, 60) for _ in range(50)]:
        run = simulate([duration])
        assert run.lag <= max(0.13, 0.1 * duration)
        assert run.queries <= 65
