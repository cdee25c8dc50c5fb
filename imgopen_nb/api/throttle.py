"""One rate of requests for each key, shared by all kernels of a user through the journal.

Nothing is limited until the service refuses (HTTP 429); then requests go out in slots, at the rate
that `rates` tells.
"""

from __future__ import annotations

import hashlib
import math
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import astuple, dataclass, replace

from ..database.database import Database
from ..errors import JournalError
from .rate_limit import CLOSED, COLUMNS, WINDOW, Limit, current, lower, moved, sane, take

LOOK = 0.5  # seconds between two looks at the shared limit; no single sleep is longer
# The share of the last 100 answers that may be refusals by accident, and their number in any case.
ACCIDENTS, FEW = 0.06, 2
PATIENCE, ALONE = 1.0, 10.0  # seconds: with a locked journal, and until one that failed is tried

Step = Callable[[Limit | None], Limit]


def name_of(base_url: str, key_id: str) -> str:
    """Return a name for the rate of a key at an address, from which neither can be had."""
    # encode() gives the content of a Secret; its str() does not.
    return hashlib.sha256(base_url.encode() + b"\0" + key_id.encode()).hexdigest()[:16]


@dataclass(eq=False)
class _Turn:
    """One thread in line: the limit when it was given its slot, and the seconds until that."""

    limit: Limit | None = None
    seconds: float = 0.0


class Throttle:
    """Holds requests back while the service, or the user, limits their rate; for any thread.

    With a journal that cannot be used, this kernel keeps to the rate by itself.

    Args:
        journal: the history whose file the kernels share.
        name: whose rate it is, see `name_of`.
        clock: seconds since the epoch, the same for all kernels; it may jump.
        sleep: how to pause.
        cap: requests per second that the user allows at most, all kernels together.
    """

    def __init__(
        self,
        journal: Database,
        name: str,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        cap: float | None = None,
    ) -> None:
        # A connection of its own, less patient than the one that writes the history.
        self._journal = Database(journal.path.parent)
        self._name, self._clock, self._sleep = name, clock, sleep
        self._cap = cap if cap and 0 < cap < math.inf else None
        self._lock = threading.Lock()
        self._thread = threading.local()
        self._line: deque[_Turn] = deque()
        self._times: deque[float] = deque(maxlen=1000)
        self._limit: Limit | None = None
        self._looked = self._served = self._busy = -math.inf
        self._failed: float | None = None
        self._answers: deque[bool] = deque(maxlen=100)

    def wait(self) -> None:
        """Return when one request may go out; call it before every request.

        Raises nothing but KeyboardInterrupt, after which it can be used as before.
        """
        while self._limited() and not self._in_turn():
            pass
        self._thread.went = now = self._clock()
        self._times.append(now)

    def refused(self, retry_after: float | None = None) -> None:
        """Learn that the request of this thread was refused (HTTP 429).

        Args:
            retry_after: seconds that the service asks for, None if it does not.
        """
        now, pause = self._clock(), 0.0
        if retry_after and retry_after > 0:  # all kernels would come back at the same moment
            pause = min(retry_after, CLOSED) + random.uniform(0, 0.2)
        went, lately = getattr(self._thread, "went", now), self._lately(now)
        again = bool(self._answers) and not self._answers[-1]
        self._answers.append(False)
        refusals = self._answers.count(False)
        # Now and then a refusal is an accident, and no sign that all of this is too fast.
        first = True not in self._answers
        counts = first or again or refusals > max(FEW, ACCIDENTS * len(self._answers))

        def step(old: Limit | None) -> Limit:
            old = old or Limit(written=now)
            if not counts:
                return replace(old, closed_until=max(old.closed_until, now + pause), written=now)
            return lower(old, now, went, lately, any(self._answers), pause)

        with self._lock:
            if self._change(step).refused == now:  # it counted
                self._answers.clear()
                self._busy = now

    def closed_for(self) -> float:
        """Return the seconds for which the service asked that nobody sends, 0 for none."""
        if not self._limited() or self._limit is None:
            return 0.0
        return min(CLOSED, max(0.0, self._limit.closed_until - self._clock()))

    def accepted(self) -> None:
        """Learn that a request was answered in any other way."""
        self._answers.append(True)

    def close(self) -> None:
        """Close the file."""
        self._journal.close()

    def _limited(self) -> bool:
        now = self._clock()
        if self._cap or _holds(self._limit, now):
            return True
        if abs(now - self._looked) < LOOK:
            return False
        self._looked = now
        self._limit = self._seen(now)
        return _holds(self._limit, now)

    def _in_turn(self) -> bool:
        """Line up for a slot and sleep until it; False where that was in vain."""
        turn = _Turn()
        try:
            with self._lock:
                self._line.append(turn)
            while turn.limit is None and self._limited():
                pause = self._serve()
                if turn.limit is None:
                    self._sleep(pause)
            return turn.limit is not None and self._slept(turn)
        finally:
            with self._lock:
                if turn in self._line:
                    self._line.remove(turn)

    def _serve(self) -> float:
        """Give slots to the first in line if it is time; return seconds until the next time."""
        with self._lock:
            now = self._clock()
            # One batch at a time, so that a kernel with many threads does not crowd out others.
            if now >= self._busy or now < self._served:
                self._served, self._busy = now, self._give(now)
            return min(max(self._busy - now, 0.001), LOOK)

    def _give(self, now: float) -> float:
        slots: list[float] = []

        def step(old: Limit | None) -> Limit:
            limit, slots[:] = take(current(old, now), now, len(self._line), self._cap)
            return limit

        limit = self._change(step)
        for slot in slots:
            turn = self._line.popleft()
            turn.seconds, turn.limit = slot - now, limit
        return slots[-1] if slots else limit.closed_until

    def _slept(self, turn: _Turn) -> bool:
        """Sleep until a slot; False where it no longer holds."""
        # By the seconds slept: the clock may jump.
        while turn.seconds > 0:
            step = min(turn.seconds, LOOK)
            self._sleep(step)
            turn.seconds -= step
            seen = self._seen(self._clock())
            if _pace(seen) != _pace(turn.limit):
                self._limit = seen
                return False
        return True

    def _seen(self, now: float) -> Limit | None:
        """Return the shared limit, or the own one while the journal fails."""
        if self._failed is not None and (self._limit or abs(now - self._failed) < ALONE):
            return self._limit
        try:
            found, self._failed = self._read(now), None
        except JournalError:
            found, self._failed = self._limit, now
        return found

    def _change(self, step: Step) -> Limit:
        """Change the shared limit in one short transaction, the own one if the journal fails."""
        now = self._clock()
        own = self._limit and moved(self._limit, now)
        if self._failed is None or abs(now - self._failed) >= ALONE:
            try:
                # What was learned alone nobody else has written down.
                self._limit = self._share(step, now, own if self._failed is not None else None)
                self._failed = None
                return self._limit
            except JournalError:
                self._failed = now
        self._limit = limit = step(own)
        return limit

    def _share(self, step: Step, now: float, learned: Limit | None) -> Limit:
        self._journal.run(f"PRAGMA busy_timeout = {PATIENCE * 1000:.0f}", ())
        marks = ", ".join("?" * len(COLUMNS))
        sql = f"REPLACE INTO limits (name, {', '.join(COLUMNS)}) VALUES (?, {marks})"
        with self._journal.transaction():
            limit = step(self._read(now) or learned)
            self._journal.run(sql, (self._name, *astuple(limit)))
        return limit

    def _read(self, now: float) -> Limit | None:
        sql = f"SELECT {', '.join(COLUMNS)} FROM limits WHERE name = ?"
        rows = self._journal.read(sql, (self._name,), COLUMNS)
        return sane(rows[0], now) if rows else None

    def _lately(self, now: float) -> float:
        times = [at for at in self._times.copy() if now - WINDOW < at <= now]
        return len(times) / max(1.0, now - times[0]) if times else 1.0


def _holds(limit: Limit | None, now: float) -> bool:
    return limit is not None and (limit.peak is not None or limit.closed_until > now)


def _pace(limit: Limit | None) -> tuple[float, float] | None:
    """Return what changes when slots that were given do not hold any more."""
    return (limit.refused, limit.closed_until) if limit else None
