"""How many requests per second may go out: a limit, its slots, and how it falls and grows.

A refusal halves the rate. It comes back to what was refused in about 20 s, stays near it, and then
grows faster and faster (as TCP's CUBIC does): so it is mostly close to what the service allows, and
a limit that was raised is found within a minute. The very first refusal tells little of the rate
that is allowed: after it the rate doubles every few seconds until the next. Pure functions over
numbers; `throttle` waits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

BATCH = 0.25  # seconds: a kernel takes so many slots at once, and may catch up on so many
BURST = 1.0  # seconds within which refusals count as one
RATES = (0.1, 10_000.0)  # lowest and highest requests per second
RECOVERY = (20.0, 60.0)  # seconds until the refused rate is tried again; between, 40 requests
DOUBLING = 4.0  # seconds in which the rate doubles while it is not sure
CLOSED, GUESS = 3600.0, 30.0  # longest pauses in seconds: asked for, and guessed
WINDOW = 5.0  # seconds over which requests are counted
IDLE = 30.0  # a longer gap between two requests counts as so many seconds of use
EASY, LIFTED, FORGOTTEN = 60.0, 600.0, 86400.0  # seconds: see `current` and `sane`


@dataclass(frozen=True)
class Limit:
    """A row of the table `limits`. Times in seconds since the epoch, rates in requests a second."""

    peak: float | None = None  # the rate that was refused last; None: there is only the user's cap
    age: float = 0.0  # seconds of use since then
    free: float = 0.0  # when the next slot is
    closed_until: float = 0.0  # nobody sends before
    refused: float = 0.0  # when the last refusal came that counted
    sent: float = 0.0  # what goes out, smoothed over WINDOW
    written: float = 0.0
    sure: float = 1.0  # 0 after the first refusal: what it tells of the rate is little

    def rate(self, cap: float | None = None) -> float:
        """Return the requests per second that may go out now, at most `cap`."""
        allowed = RATES[1]
        if self.peak is not None and not self.sure:
            allowed = self.peak / 2 * 2 ** min(60.0, self.age / DOUBLING)
        elif self.peak is not None:
            recovery = min(RECOVERY[1], max(RECOVERY[0], 40 / self.peak))
            allowed = self.peak * (1 + 0.5 * (self.age / recovery - 1) ** 3)
        return min(max(RATES[0], min(allowed, RATES[1])), cap or RATES[1])


COLUMNS = tuple(field.name for field in fields(Limit))


def take(limit: Limit, now: float, count: int, cap: float | None) -> tuple[Limit, list[float]]:
    """Return the limit with up to `count` slots taken, and their times; none while it is closed."""
    if now < limit.closed_until:
        return limit, []
    rate = limit.rate(cap)
    count = max(1, min(count, int(rate * BATCH)))
    # Kernels in line are a few batches ahead; a row that says much more cannot be believed.
    first = max(limit.free, limit.refused + 0.5 / rate, now - BATCH)
    start = min(first, now + 20 * max(BATCH, 1 / rate))
    gap = min(max(0.0, now - max(limit.written, limit.closed_until)), IDLE)
    sent = limit.sent * math.exp(-gap / WINDOW) + count / WINDOW
    free, age = start + count / rate, limit.age + gap
    slots = [start + i / rate for i in range(count)]
    return replace(limit, age=age, free=free, sent=sent, written=now), slots


def lower(
    old: Limit, now: float, went: float, lately: float, accepted: bool, pause: float
) -> Limit:
    """Return the limit after the refusal of a request that went out at `went`.

    `lately`: requests per second sent by this kernel. `accepted`: whether one was accepted since
    the last refusal that counted. `pause`: seconds that the service asks for, or 0.
    """
    closed = max(old.closed_until, now + pause if pause else 0.0)
    if old.peak is not None and (went <= old.refused or now < old.refused + BURST):
        return replace(old, closed_until=closed, written=now)
    peak = old.peak
    if peak is None or accepted:
        # A rate that nobody made use of says nothing; what went out does.
        used = max(1.0, lately if peak is None else 2 * old.sent)
        peak = max(RATES[0], min(old.rate(), used))
    elif not pause:
        # Everything is refused: this tells to wait longer, and nothing about the rate.
        guess = min(max(BURST, 2 * (old.closed_until - old.refused)), GUESS)
        closed = max(closed, now + guess)
    sure = float(old.peak is not None)
    return Limit(peak, 0.0, max(closed, now), closed, now, sent=peak, written=now, sure=sure)


def current(limit: Limit | None, now: float) -> Limit:
    """Return the limit as it holds now: one that was far above the need for long is lifted."""
    limit = limit or Limit(written=now)
    easy = limit.age > EASY and limit.rate() > 4 * limit.sent
    return replace(limit, peak=None) if easy or limit.age > LIFTED else limit


def sane(row: Mapping[str, Any], now: float) -> Limit | None:
    """Return what a row says, whatever it may hold, or None if it is a day old."""
    value = {name: _finite(row[name]) for name in COLUMNS}
    limit = Limit(
        peak=min(max(RATES[0], value["peak"]), RATES[1]) if value["peak"] > 0 else None,
        age=min(max(0.0, value["age"]), 2 * LIFTED),
        free=value["free"],
        closed_until=min(value["closed_until"], value["written"] + CLOSED + 1),
        refused=min(value["refused"], value["written"]),
        sent=min(max(0.0, value["sent"]), RATES[1]),
        written=value["written"],
        sure=float(bool(value["sure"])),
    )
    return moved(limit, now) if limit.written > now - FORGOTTEN else None


def moved(limit: Limit, now: float) -> Limit:
    """Return a limit of the future with its times moved to now: the clock was set back."""
    back = limit.written - now if limit.written > now + 1 else 0.0
    times = ("free", "closed_until", "refused", "written")
    return replace(limit, **{name: getattr(limit, name) - back for name in times})


def _finite(value: Any) -> float:
    known = isinstance(value, (int, float)) and math.isfinite(value)
    return float(value) if known else 0.0
