"""The rate rule alone: plain values in, plain values out."""

from __future__ import annotations

import doctest
from collections.abc import Sequence

import pytest

from imgopen_nb.api import rate_limit
from imgopen_nb.api.rate_limit import COLUMNS, RateLimit, refuse, restore, take

NOW = 1.7e9
ACCEPTED, REFUSED = True, False


def refused(
    limit: RateLimit,
    now: float,
    sent_at: float,
    earlier: Sequence[bool] = (ACCEPTED, REFUSED),
    lately: float = 40.0,
    pause: float = 0.0,
) -> RateLimit:
    return refuse(limit, now, sent_at, lately, list(earlier), pause)


def test_the_example_of_the_rule_is_right():
    assert doctest.testmod(rate_limit) == (0, 4)


def test_one_refusal_among_accepted_requests_changes_nothing():
    limit = RateLimit(peak=10.0, age=20.0, sent=9.0, written=NOW)

    assert refused(limit, NOW, NOW - 0.1, earlier=[ACCEPTED] * 30) == limit
    assert refused(limit, NOW, NOW - 0.1, earlier=[ACCEPTED] * 94 + [REFUSED] * 6).age == 0.0


def test_a_request_sent_within_the_second_after_a_refusal_does_not_count_either():
    first = refused(RateLimit(), NOW, NOW - 0.1)
    second = refused(first, NOW + 0.9, NOW + 0.5)

    assert (second.peak, second.refused) == (first.peak, first.refused)


def test_a_second_refusal_halves_again_if_anything_was_accepted_in_between():
    first = refused(RateLimit(), NOW, NOW - 0.1)
    second = refused(first, NOW + 2, NOW + 1.9)
    third = refused(second, NOW + 4, NOW + 3.9)

    assert [limit.rate() for limit in (first, second, third)] == [20.0, 10.0, 5.0]


def test_refusals_of_everything_lengthen_the_pause_and_leave_the_rate():
    """1, 2, 4 ... at most 30 seconds, without a Retry-After."""
    limit, now, pauses = refused(RateLimit(), NOW, NOW, lately=8.0), NOW, []
    for _ in range(8):
        now = max(now + 2, limit.closed_until + 0.1)
        limit = refused(limit, now, now, earlier=[])
        pauses.append(round(limit.closed_until - now))

    assert limit.rate() == 4.0
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]


def test_the_rate_rises_steadily_for_a_minute_and_then_doubles_every_few_seconds():
    rates = [RateLimit(peak=10.0, age=age).rate() for age in (0, 4, 20, 24, 60, 64, 80)]

    assert rates == pytest.approx([5.0, 6.0, 10.0, 11.0, 20.0, 40.0, 640.0])


def test_after_the_first_refusal_the_rate_doubles_at_once():
    rates = [RateLimit(peak=10.0, age=age, sure=0.0).rate() for age in (0, 4, 8)]

    assert rates == [5.0, 10.0, 20.0]


def test_after_a_pause_the_rate_begins_low():
    """A pause of 2 minutes is not time in which the rate grows."""
    limit = refused(RateLimit(), NOW, NOW, lately=20.0, pause=120.0)
    opened, slots = take(limit, NOW + 121, 1, None)

    assert slots
    assert opened.rate() < 12


def test_one_kernel_takes_at_most_a_quarter_of_a_second_at_once():
    limit = RateLimit(peak=40.0, age=20.0, written=NOW, free=NOW)

    assert len(take(limit, NOW, 1000, None)[1]) == 10
    assert len(take(limit, NOW, 3, None)[1]) == 3
    assert len(take(limit, NOW, 1000, cap=1.0)[1]) == 1


@pytest.mark.parametrize(
    ("age", "sent", "peak"),
    [(61.0, 0.5, None), (61.0, 60.0, 10.0), (59.0, 0.5, 10.0), (601.0, 9000.0, None)],
)
def test_a_limit_far_above_the_need_is_lifted_and_one_in_use_stays(
    age: float, sent: float, peak: float | None
):
    limit, _ = take(RateLimit(peak=10.0, age=age, sent=sent, written=NOW), NOW, 1)

    assert limit.peak == peak


def test_a_row_of_yesterday_is_forgotten():
    row = dict.fromkeys(COLUMNS, 1.0) | {"written": NOW - 90_000.0}

    assert restore(row, NOW) == RateLimit()
    assert restore({**row, "written": NOW - 80_000.0}, NOW).peak == 1.0
