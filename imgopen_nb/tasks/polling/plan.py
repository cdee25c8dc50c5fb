"""When to look at a task again, planned from how long tasks of its kind have taken.

Pure: no clock, no input or output. All ages and durations are seconds since the submission, those
of a query as of its sending. A look costs a query, a late one costs lag; a plan weighs both.
"""

from __future__ import annotations

import bisect
import math
import random
from collections.abc import Iterable, Sequence
from itertools import accumulate

LONGEST_KNOWN = 1e9  # s: what takes longer is a mistake
FLOOR = 0.1  # s: the shortest time between two looks at a task
QUICK = (0.15, 0.02)  # of the median, s: the same where FLOOR is a large part of a task
WINDOW = 200  # durations that are remembered of a kind of task
ENOUGH = 5  # known durations from which on they are taken at their word
SPREAD = (0.85, 0.95, 1.0, 1.1, 1.3)  # what fewer than ENOUGH durations are multiplied with
SETTLED = 10  # known durations from which on a new plan is only for the looks after the next
RENEWALS = (0.24, 0.049)  # part of the durations that is new at a new plan: before, and settled
TRUST = 0.8  # how often a duration that fits what is known is taken to be one of the known
POINTS = 48  # ages that a plan may choose its looks from
PRICE = (0.025, 0.003)  # lag worth one query: seconds, or that part of the median if it is more
CHEAP = 0.05  # of the median: a query is never worth more lag
EARLY = 2.8  # how much more a query is worth while all tasks still run: the median is yet to come
GAP = 0.5  # of the age: the longest step between looks of a plan, in case that a gap has filled
TAIL = 0.05  # part of the tasks, the longest, that a plan leaves to steps that grow gently
# Such a step at most: of the age (twice that while all tasks still run), of the time in the tail, s
SHARE, GROWTH, LONGEST = 0.15, 0.3, 30.0
SCOUTS = 10  # at most; see `scouts`
SCOUT = 0.08  # of the age: a scout's step
HOLD = (2.6, 1.0)  # the step of those that wait for the scouts: seconds at least, of the age


class Durations:
    """What is known of how long tasks of one kind take: the most recently submitted of them.

    A duration is only known to lie between two looks, so it counts as a random point of that
    interval, drawn anew for each plan and the rather where other durations are. An end as it was
    noticed would push the durations up without end.

    Args:
        seed: of the random points, for runs that can be repeated.
        size: how many durations are remembered.
    """

    def __init__(self, seed: int | None = None, size: int = WINDOW) -> None:
        self._random = random.Random(seed)
        self._size = size
        self._entries: list[tuple[float, float, float]] = []  # (submitted, from, to), in order
        self._sorted: list[float] = []
        self._changes = 0

    @property
    def known(self) -> int:
        """How many durations are remembered."""
        return len(self._entries)

    @property
    def outdated(self) -> bool:
        """Whether about 5 % of the durations are new since the last plan, 25 % at first."""
        return self._changes > self.known * RENEWALS[self.settled]

    @property
    def settled(self) -> bool:
        """Whether so much is known that a new plan need not move looks that are already set."""
        return self.known >= SETTLED

    def add(self, pending: float, noticed: float, submitted: float) -> None:
        """Learn one duration.

        Args:
            pending: age in seconds at which the last "not yet" was asked for, 0 if there was none.
            noticed: age in seconds at which the query was sent that found the task finished.
            submitted: when it was submitted, in seconds of any clock; sets the order.

        Raises:
            ValueError: not a number, negative, over 1e9 s, or noticed before it was pending.
        """
        if not (0 <= pending <= noticed <= LONGEST_KNOWN and math.isfinite(submitted)):
            raise ValueError(f"no duration: from {pending} to {noticed} s, at {submitted}")
        bisect.insort(self._entries, (submitted, pending, noticed))
        bisect.insort(self._sorted, self._point(pending, noticed))
        self._changes += 1
        if len(self._entries) > self._size:
            del self._entries[0]
        if len(self._sorted) > 1.25 * self._size:
            self._redraw()

    def extend(self, intervals: Iterable[tuple[float, float, float]]) -> None:
        """Learn several durations, each as (pending, noticed, submitted); see `add`."""
        for interval in intervals:
            self.add(*interval)

    def quantile(self, q: float) -> float:
        """Return the duration in seconds that the part `q` (0 to 1) does not exceed.

        Raises:
            ValueError: nothing is known, or `q` is not between 0 and 1.
        """
        if not self._sorted or not 0 <= q <= 1:
            raise ValueError(f"no quantile {q} of {self.known} durations")
        return self._sorted[max(0, math.ceil(q * len(self._sorted)) - 1)]

    def plan(self, running: Iterable[tuple[float, float]] = (), floor: float = FLOOR) -> Plan:
        """Plan the looks at tasks of this kind.

        Args:
            running: of each open task (age in seconds of its last "not yet", submitted). They are
                known to take longer, without which a batch would seem as short as its first tasks.
            floor: shortest time between two looks in seconds; quick tasks have a shorter one.
        """
        self._changes = 0
        self._redraw()
        floor = min(floor, self._quickest()) if self._sorted else floor
        since = self._entries[0][0] if self.known == self._size else -math.inf
        ages = sorted(age for age, submitted in running if submitted >= since)
        if self.known >= ENOUGH:
            return Plan(self._sorted, ages, floor)
        wide = sorted(duration * factor for duration in self._sorted for factor in SPREAD)
        return Plan(wide, [age for age in ages for _ in SPREAD], floor)

    def _quickest(self) -> float:
        share, least = QUICK
        return max(least, share * self.quantile(0.5))

    def _redraw(self) -> None:
        self._sorted = sorted(self._point(low, high) for _, low, high in self._entries)

    def _point(self, low: float, high: float) -> float:
        """Return a random point of an interval, the rather a known one the more lie in it."""
        first, last = bisect.bisect_right(self._sorted, low), bisect.bisect(self._sorted, high)
        if last > first and self._random.random() * len(self._sorted) < TRUST * (last - first):
            return self._sorted[self._random.randrange(first, last)]
        return self._random.uniform(low, high)


class Plan:
    """When to look at tasks of one kind; made by `Durations.plan`.

    The ages to look at are those that make the expected lag and the price of the expected queries
    together least, given that a task had not ended at the last look (dynamic programming).

    Args:
        durations: known durations in seconds, ascending.
        running: ages in seconds of tasks that have not ended, ascending.
        floor: shortest time between two looks in seconds.
    """

    def __init__(self, durations: Sequence[float], running: Sequence[float], floor: float) -> None:
        if not 0 < floor < math.inf:
            raise ValueError(f"no time between two looks: {floor} s")
        self.floor = floor
        self._ages: list[float] = []  # where a look may be
        self._next: list[float] = []  # for each of these the age of the look after it
        if durations:
            self._lay_out(durations, _survival(durations, running))

    def next_look(self, age: float, progress: float | None = None, scout: bool = True) -> float:
        """Return the seconds until the next look at a task that was not finished at an age.

        Args:
            age: of the last look in seconds, 0 if there was none.
            progress: 0 to 1 if the service tells it; halves or doubles a step at most.
            scout: whether the task is one of the few that look often while nothing is known.

        Raises:
            ValueError: the age is negative or not finite.
        """
        if not 0 <= age < math.inf:
            raise ValueError(f"no age: {age} s")
        if not self._ages:
            step = SCOUT * age if scout else max(HOLD[0], HOLD[1] * age)
            return max(self.floor, min(LONGEST, step))
        step = self._planned(age)
        if progress is not None and 0.05 <= progress <= 1:
            step = min(max(age / progress - age, step / 2), step * 2)
        return max(self.floor, step)

    def _planned(self, age: float) -> float:
        at = bisect.bisect_right(self._ages, age * (1 + 1e-9)) - 1
        if self._next[at] > age:
            step = self._next[at] - age
            return min(step, GAP * age) if age >= self._next[0] else step
        grown = max(self._tail, GROWTH * (age - self._ages[-1]))
        return min(grown, self._share * age, LONGEST)

    def _lay_out(self, durations: Sequence[float], left: Sequence[float]) -> None:
        inside = max(1, sum(part > TAIL for part in left))
        middle = durations[min(sum(part > 0.5 for part in left), len(left) - 1)]
        worth = min(max(PRICE[0], PRICE[1] * middle), CHEAP * middle)
        price = worth * (1 + EARLY * left[-1])
        self._share = SHARE * (1 + left[-1])
        self._tail = _step(durations[:inside], left[:inside], price)
        masses = [before - after for before, after in zip([1.0, *left], left, strict=False)]
        moments = [mass * seconds for mass, seconds in zip(masses, durations, strict=True)]
        total, moment = [0.0, *accumulate(masses)], [0.0, *accumulate(moments)]
        self._ages = _points(durations[:inside])
        ends = [bisect.bisect(durations, age, hi=inside) for age in self._ages]
        rows = [(total[end], moment[end]) for end in ends]
        self._next = _best(self._ages, rows, price, self.floor)


def _points(durations: Sequence[float]) -> list[float]:
    """Return the ages to choose looks from: 0, quantiles, and as many at even distances."""
    size = max(1, math.ceil(2 * len(durations) / POINTS))
    wide = durations[-1] - durations[0]
    even = (durations[0] + wide * at * 2 / POINTS for at in range(POINTS // 2))
    return sorted({0.0, *even, *durations[::-size]})


def scouts(running: int) -> int:
    """Return how many of so many open tasks look often while nothing is known of their kind."""
    return min(SCOUTS, max(4, running // 50))


def _survival(durations: Sequence[float], running: Sequence[float]) -> list[float]:
    """Return the part of tasks that takes longer than each duration (product-limit estimate)."""
    left, parts = 1.0, []
    for at, duration in enumerate(durations):
        longer = len(running) - bisect.bisect_left(running, duration)
        left *= 1 - 1 / (len(durations) - at + longer + 1)
        parts.append(left)
    return parts


def _step(durations: Sequence[float], left: Sequence[float], price: float) -> float:
    """Return the best step in seconds if tasks go on ending at the rate of the last fifth."""
    back = min(len(left) - 1, max(ENOUGH, len(left) // 5))
    passed = durations[-1] - durations[-1 - back]
    ended = math.log(left[-1 - back] / left[-1])
    return math.sqrt(2 * price * passed / ended) if ended > 0 else math.inf


def _best(
    ages: Sequence[float], rows: Sequence[tuple[float, float]], price: float, floor: float
) -> list[float]:
    """Return for each age the age of the best next look; its own where none is left.

    Args:
        ages: possible looks in seconds.
        rows: at each of them the part that has ended and the sum of its durations.
        price: seconds of lag that a query is worth.
        floor: shortest step in seconds.
    """
    costs, choices = [0.0] * len(ages), list(ages)
    for here in range(len(ages) - 2, -1, -1):
        ended, moment = rows[here]
        least = math.inf
        for there in range(bisect.bisect_left(ages, ages[here] + floor), len(ages)):
            part, seconds = rows[there]
            cost = ages[there] * (part - ended) - (seconds - moment) + costs[there]
            if cost < least:
                least, choices[here] = cost, ages[there]
        if choices[here] == ages[here]:  # too close to the last point for one more among them
            least = floor * (rows[-1][0] - ended)
        costs[here] = least + price * (1 - ended)
    return choices
