"""The rate rule: how many requests per second may go out. No clock, no I/O, no randomness.

Additive increase, multiplicative decrease (AIMD), as in TCP. Nothing is limited until the service
refuses a request (HTTP 429). A refusal halves the rate; then it rises steadily, back to the refused
rate in 20 s and beyond, until the next refusal. The first refusal says little about the limit, and
so does one that was a minute ago: the rate then doubles every 4 s (slow start). A Retry-After stops
everybody until it is over, and the user's cap is never exceeded. Example:

    >>> limit = refuse(RateLimit(), 100.0, sent_at=99.8, lately=20.0, earlier=[], pause=0)
    >>> limit.rate()  # 20 requests per second were sent
    10.0
    >>> limit, slots = take(limit, 100.0, count=2)
    >>> [round(slot, 2) for slot in slots]
    [100.05, 100.15]
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

LOWEST, HIGHEST = 0.1, 10_000.0  # requests per second
RISE = 40.0  # seconds in which the rate increases by the refused rate
STEADY = 60.0  # seconds of steady increase; after them the rate doubles
DOUBLING = 4.0  # seconds in which the rate doubles
BATCH = 0.25  # seconds whose slots are taken at once, and whose unused slots are kept
BURST = 1.0  # seconds within which refusals count as one
MAX_PAUSE = 3600.0  # seconds that the service may ask for
MAX_BACKOFF = 30.0  # longest pause in seconds while everything is refused
WINDOW = 5.0  # seconds over which requests are counted
IDLE = 30.0  # seconds; a longer gap between two requests counts as this much use
DAY = 86400.0  # seconds after which a row is forgotten


@dataclass(frozen=True)
class RateLimit:
    """A row of the table `limits`. Times are seconds since the epoch, rates requests per second."""

    peak: float | None = None  # the rate when a request was refused last; None: unlimited
    age: float = 0.0  # seconds of use since then
    free: float = 0.0  # when the next slot is
    closed_until: float = 0.0  # nobody sends before
    refused: float = 0.0  # when the last refusal that counted came
    sent: float = 0.0  # the rate that is used, averaged over WINDOW
    written: float = 0.0  # when the row was written
    sure: float = 1.0  # 0 between the first refusal and the second, else 1

    def rate(self, cap: float | None = None) -> float:
        """Return the requests per second that may go out now, at most `cap`."""
        allowed = HIGHEST
        if self.peak is not None:
            steady = min(self.age, STEADY * self.sure)
            allowed = self.peak * (0.5 + steady / RISE) * 2 ** ((self.age - steady) / DOUBLING)
        return min(max(LOWEST, min(allowed, HIGHEST)), cap or HIGHEST)


COLUMNS = tuple(field.name for field in fields(RateLimit))


def take(
    limit: RateLimit, now: float, count: int, cap: float | None = None
) -> tuple[RateLimit, list[float]]:
    """Take up to `count` slots, none during a pause; return the new limit and their times."""
    if now < limit.closed_until:
        return limit, []
    if limit.age > STEADY and limit.rate() >= min(4 * limit.sent, HIGHEST):
        limit = replace(limit, peak=None)  # the limit is far above what is needed
    rate = limit.rate(cap)
    count = max(1, min(count, int(rate * BATCH)))
    # Other kernels have taken a few batches at most; a later time in the row cannot be right.
    start = min(max(limit.free, now - BATCH), now + 20 * max(BATCH, 1 / rate))
    gap = min(max(0.0, now - max(limit.written, limit.closed_until)), IDLE)
    sent = limit.sent * math.exp(-gap / WINDOW) + count / WINDOW
    slots = [start + i / rate for i in range(count)]
    free, age = start + count / rate, limit.age + gap if limit.peak else 0.0
    written = max(now, limit.written)  # never back, so that the newest one is known
    return replace(limit, age=age, free=free, sent=sent, written=written), slots


def refuse(
    limit: RateLimit, now: float, sent_at: float, lately: float, earlier: list[bool], pause: float
) -> RateLimit:
    """Return the limit after a refusal at `now`; its `refused` is `now` if the refusal counts.

    `sent_at` is when the request was sent, `lately` how many requests per second its sender sent,
    `earlier` the sender's answers (True: accepted) since the last refusal that counted, and `pause`
    the seconds that the service asks for (Retry-After), or 0.
    """
    written = max(now, limit.written)
    closed = max(limit.closed_until, now + pause if pause else 0.0)
    limited, accepted = limit.peak is not None, any(earlier)
    burst = limited and (sent_at <= limit.refused or now < limit.refused + BURST)
    # A few refusals, 6 % at most, are no sign that everybody is too fast.
    few = earlier.count(False) + 1 <= max(2, 0.06 * len(earlier))
    if burst or (accepted and earlier[-1] and few):
        return replace(limit, closed_until=closed, written=written)
    peak = limit.peak
    if peak is None or accepted:
        # A rate that nobody used says nothing; what was sent does.
        peak = max(LOWEST, min(limit.rate(), max(1.0, 2 * limit.sent if limited else lately)))
    elif not pause:
        # If everything is refused, a longer pause helps, not a lower rate.
        closed = max(closed, now + min(max(BURST, 2 * (closed - limit.refused)), MAX_BACKOFF))
    free = max(closed, limit.free, now + 1 / peak)
    return RateLimit(peak, 0.0, free, closed, now, peak, written, sure=float(limited))


def restore(row: Mapping[str, Any], now: float) -> RateLimit:
    """Return the limit that a row says; a new one if it is a day old or holds nonsense."""
    limit = RateLimit(**row)
    try:
        valid = (
            (limit.peak is None or LOWEST <= limit.peak <= HIGHEST)
            and (0 <= limit.age < 10 * STEADY and 0 <= limit.sent <= HIGHEST)
            and (limit.free < math.inf and limit.sure in (0, 1))
            and limit.refused < limit.written + 2
            and limit.closed_until < limit.written + MAX_PAUSE + 2
            and now - DAY < limit.written < math.inf
        )
    except TypeError:  # a value is text
        valid = False
    back = limit.written - now if valid else 0.0
    if back > 1:  # the clock was set back
        times = ("free", "closed_until", "refused", "written")
        limit = replace(limit, **{name: row[name] - back for name in times})
    return limit if valid else RateLimit()
