"""When to poll a task next, planned from how long earlier tasks of its kind took.

Pure functions: no clock and no I/O. All ages and durations are in seconds since the submission; the
age of a poll is the age at which its query was sent. Each poll costs a query, and a late poll means
that the end is noticed late (lag). A plan balances the two.
"""

from __future__ import annotations

import bisect
import math
import random
from collections.abc import Iterable, Sequence
from itertools import accumulate

MAX_DURATION = 1e9  # s; a longer one is an error
FLOOR = 0.1  # s, the shortest interval between two polls of a task
QUICK_FLOOR = (0.15, 0.02)  # the floor for quick tasks: share of the median, and at least s
WINDOW = 200  # durations that are remembered for each kind of task
ENOUGH = 5  # durations; with fewer, each one is spread
SPREAD = (0.85, 0.95, 1.0, 1.1, 1.3)  # the factors that it is spread by
SETTLED = 10  # durations; from then on, a new plan does not move polls already scheduled
RENEWALS = (0.24, 0.049)  # share of new durations that makes a new plan due: before, after that
TRUST = 0.8  # how often an interval that holds known durations is taken for one of them
POINTS = 48  # ages from which a plan chooses its polls
PRICE = (0.025, 0.003)  # lag that one query is worth: s, or a share of the median if that is more
MAX_PRICE = 0.05  # the same at most, as a share of the median
EARLY = 2.8  # how much more a query is worth while all tasks run: the median is not yet known
MAX_GAP = 0.5  # longest interval between planned polls, as a share of the age
TAIL = 0.05  # share of the tasks, the longest ones, that are polled at growing intervals
# Upper bounds of these intervals: share of the age (double while all tasks run), share of the time
# since the tail began, and s.
TAIL_SHARE, TAIL_GROWTH, MAX_INTERVAL = 0.15, 0.3, 30.0
MAX_PROBES = 10  # see `probe_count`
PROBE_SHARE = 0.08  # the interval of a probe, as a share of its age
NEWEST = 100  # tasks that are polled as if there were no others: those submitted last
FRUITLESS_RATE = 20.0  # queries a second of all other tasks together, while none of them ends
FRUITFUL = 0.2  # share of the queries that find an end, from which on nothing is held back
REMEMBERED = 32  # queries that this share is taken of, about
HOLD = (2.6, 1.0)  # the interval of the other tasks meanwhile: at least s, share of the age


class Durations:
    """How long tasks of one kind take, learned from the most recently submitted ones.

    A duration is only known to lie between two polls. It counts as a random point of that interval,
    drawn again for each plan, and more often where other durations are. Taking the time at which
    the end was noticed instead would make the durations longer and longer.

    Args:
        seed: seed of the random points, for reproducible runs.
        size: how many durations are remembered.

    Example:
        >>> durations = Durations(seed=0)
        >>> durations.extend((seconds, seconds, 0.0) for seconds in (2.0, 2.1, 2.2, 2.3, 2.4))
        >>> durations.quantile(0.5)
        2.2
        >>> durations.plan().next_poll(age=0.0)  # seconds until the first poll
        2.1
    """

    def __init__(self, seed: int | None = None, size: int = WINDOW) -> None:
        self._random = random.Random(seed)
        self._size = size
        self._entries: list[tuple[float, float, float]] = []  # (submitted, from, to), in order
        self._sorted: list[float] = []
        self._changes = 0

    @property
    def count(self) -> int:
        """How many durations are remembered."""
        return len(self._entries)

    @property
    def outdated(self) -> bool:
        """Whether a new plan is due: about 5 % of the durations are new, or 25 % at first."""
        return self._changes > self.count * RENEWALS[self.settled]

    @property
    def settled(self) -> bool:
        """Whether so much is known that a new plan does not move polls already scheduled."""
        return self.count >= SETTLED

    def add(self, pending: float, noticed: float, submitted: float) -> None:
        """Learn one duration.

        Args:
            pending: age in seconds at the last poll that found the task unfinished, or 0.
            noticed: age in seconds at the poll that found the task finished.
            submitted: when it was submitted, in seconds of any clock; sets the order.

        Raises:
            ValueError: a value is not a number, negative, over 1e9 s, or `noticed` < `pending`.
        """
        if not (0 <= pending <= noticed <= MAX_DURATION and math.isfinite(submitted)):
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
        """Return the duration in seconds that a share `q` (0 to 1) of the tasks does not exceed.

        Raises:
            ValueError: no duration is known, or `q` is not between 0 and 1.
        """
        if not self._sorted or not 0 <= q <= 1:
            raise ValueError(f"no quantile {q} of {self.count} durations")
        return self._sorted[max(0, math.ceil(q * len(self._sorted)) - 1)]

    def plan(self, running: Iterable[tuple[float, float]] = (), floor: float = FLOOR) -> Plan:
        """Plan the polls of tasks of this kind.

        Args:
            running: for each open task, its age in seconds at the last poll, and its submission.
                These tasks take longer than that; without them, all tasks of a batch would seem
                to be as short as the first that end.
            floor: shortest interval between two polls in seconds; shorter for quick tasks.
        """
        self._changes = 0
        self._redraw()
        floor = min(floor, self._quickest()) if self._sorted else floor
        since = self._entries[0][0] if self.count == self._size else -math.inf
        ages = sorted(age for age, submitted in running if submitted >= since)
        if self.count >= ENOUGH:
            return Plan(self._sorted, ages, floor)
        wide = sorted(duration * factor for duration in self._sorted for factor in SPREAD)
        return Plan(wide, [age for age in ages for _ in SPREAD], floor)

    def _quickest(self) -> float:
        share, least = QUICK_FLOOR
        return max(least, share * self.quantile(0.5))

    def _redraw(self) -> None:
        self._sorted = sorted(self._point(low, high) for _, low, high in self._entries)

    def _point(self, low: float, high: float) -> float:
        """Return a random point of an interval, often a known duration if many lie in it."""
        first, last = bisect.bisect_right(self._sorted, low), bisect.bisect(self._sorted, high)
        if last > first and self._random.random() * len(self._sorted) < TRUST * (last - first):
            return self._sorted[self._random.randrange(first, last)]
        return self._random.uniform(low, high)


class Crowd:
    """Bounds the queries of very many open tasks together, as long as they find no end.

    The more tasks are open, the wider are the steps of each: ten thousand tasks of which none ends
    are asked for some twenty times a second, not some hundred times.

    Args:
        seed: seed of the spreading, for reproducible runs.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed)
        self._fruitful = 1.0

    def polled(self, *, ended: bool) -> None:
        """Learn whether a query found an end."""
        self._fruitful += (ended - self._fruitful) / REMEMBERED

    def least_step(self, running: int) -> float:
        """Return the shortest interval in seconds between two polls of one of so many tasks.

        It is spread around its mean, so that tasks which began together are not polled together.
        """
        fruitless = max(0.0, 1.0 - self._fruitful / FRUITFUL)
        return fruitless * self._random.uniform(0.5, 1.5) * running / FRUITLESS_RATE


class Plan:
    """When to poll tasks of one kind; made by `Durations.plan`.

    The plan minimizes the expected lag plus the price of the expected queries, given that a task
    had not ended at its last poll (dynamic programming).

    Args:
        durations: known durations in seconds, ascending.
        running: ages in seconds of tasks that have not ended, ascending.
        floor: shortest interval between two polls in seconds.
    """

    def __init__(self, durations: Sequence[float], running: Sequence[float], floor: float) -> None:
        if not 0 < floor < math.inf:
            raise ValueError(f"no time between two polls: {floor} s")
        self.floor = floor
        self._ages: list[float] = []  # possible polls
        self._next: list[float] = []  # for each of them, the age at the poll after it
        if durations:
            self._lay_out(durations, _survival(durations, running))

    def next_poll(self, age: float, progress: float | None = None, probe: bool = True) -> float:
        """Return the seconds until the next poll of a task that was unfinished at `age`.

        Args:
            age: age in seconds at the last poll, 0 if there was none.
            progress: 0 to 1 if the service reports it; halves or doubles the interval at most.
            probe: whether this is one of the few tasks that are polled often while no duration
                is known.

        Raises:
            ValueError: the age is negative or not finite.
        """
        if not 0 <= age < math.inf:
            raise ValueError(f"no age: {age} s")
        if not self._ages:
            step = PROBE_SHARE * age if probe else max(HOLD[0], HOLD[1] * age)
            return max(self.floor, min(MAX_INTERVAL, step))
        step = self._planned(age)
        if progress is not None and 0.05 <= progress <= 1:
            step = min(max(age / progress - age, step / 2), step * 2)
        return max(self.floor, step)

    def _planned(self, age: float) -> float:
        at = bisect.bisect_right(self._ages, age * (1 + 1e-9)) - 1
        if self._next[at] > age:
            step = self._next[at] - age
            return min(step, MAX_GAP * age) if age >= self._next[0] else step
        grown = max(self._tail, TAIL_GROWTH * (age - self._ages[-1]))
        return min(grown, self._share * age, MAX_INTERVAL)

    def _lay_out(self, durations: Sequence[float], left: Sequence[float]) -> None:
        inside = max(1, sum(part > TAIL for part in left))
        middle = durations[min(sum(part > 0.5 for part in left), len(left) - 1)]
        worth = min(max(PRICE[0], PRICE[1] * middle), MAX_PRICE * middle)
        price = worth * (1 + EARLY * left[-1])
        self._share = TAIL_SHARE * (1 + left[-1])
        self._tail = _step(durations[:inside], left[:inside], price)
        masses = [before - after for before, after in zip([1.0, *left], left, strict=False)]
        moments = [mass * seconds for mass, seconds in zip(masses, durations, strict=True)]
        total, moment = [0.0, *accumulate(masses)], [0.0, *accumulate(moments)]
        self._ages = _points(durations[:inside])
        ends = [bisect.bisect(durations, age, hi=inside) for age in self._ages]
        rows = [(total[end], moment[end]) for end in ends]
        self._next = _best(self._ages, rows, price, self.floor)


def _points(durations: Sequence[float]) -> list[float]:
    """Return the ages to choose polls from: 0, quantiles, and as many evenly spaced ages."""
    size = max(1, math.ceil(2 * len(durations) / POINTS))
    wide = durations[-1] - durations[0]
    even = (durations[0] + wide * at * 2 / POINTS for at in range(POINTS // 2))
    return sorted({0.0, *even, *durations[::-size]})


def probe_count(running: int) -> int:
    """Return how many of the open tasks are polled often while no duration is known."""
    return min(MAX_PROBES, max(4, running // 50))


def _survival(durations: Sequence[float], running: Sequence[float]) -> list[float]:
    """Return the share of tasks that take longer than each duration (Kaplan-Meier estimate)."""
    left, parts = 1.0, []
    for at, duration in enumerate(durations):
        longer = len(running) - bisect.bisect_left(running, duration)
        left *= 1 - 1 / (len(durations) - at + longer + 1)
        parts.append(left)
    return parts


def _step(durations: Sequence[float], left: Sequence[float], price: float) -> float:
    """Return the best interval in seconds if tasks go on ending at the rate of the last fifth."""
    back = min(len(left) - 1, max(ENOUGH, len(left) // 5))
    passed = durations[-1] - durations[-1 - back]
    ended = math.log(left[-1 - back] / left[-1])
    return math.sqrt(2 * price * passed / ended) if ended > 0 else math.inf


def _best(
    ages: Sequence[float], rows: Sequence[tuple[float, float]], price: float, floor: float
) -> list[float]:
    """Return the age at the best next poll for each age; the same age if there is none.

    Args:
        ages: possible polls in seconds.
        rows: for each of them, the share of tasks that have ended and the sum of their durations.
        price: seconds of lag that a query is worth.
        floor: shortest interval in seconds.
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
        if choices[here] == ages[here]:  # too close to the last age for another poll
            least = floor * (rows[-1][0] - ended)
        costs[here] = least + price * (1 - ended)
    return choices
