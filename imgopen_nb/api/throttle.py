"""One rate of requests per access key, shared by all kernels of a user through the history file.

`rate_limit` has the rule; this module shares its state, queues the threads and waits.
"""

from __future__ import annotations

import hashlib
import math
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import astuple, dataclass

from ..config.credentials import Secret, frameless
from ..database.database import Database
from ..errors import JournalError
from .rate_limit import COLUMNS, MAX_PAUSE, WINDOW, RateLimit, refuse, restore, take

POLL = 0.5  # seconds between two reads of the shared limit; no sleep is longer
LOCK_TIMEOUT = 1.0  # seconds to wait for a locked history
RETRY = 10.0  # seconds until a history that failed is tried again
READ = f"SELECT {', '.join(COLUMNS)} FROM limits WHERE name = ?"
WRITE = f"REPLACE INTO limits (name, {', '.join(COLUMNS)}) VALUES (?{', ?' * len(COLUMNS)})"

_Step = Callable[[RateLimit], RateLimit]


def limit_name(base_url: str, key_id: str | Secret) -> str:
    """Return the name under which a key's rate at an address is shared; it reveals neither."""
    address = base_url.encode() + b"\0"
    return frameless(lambda: hashlib.sha256(address + key_id.encode()).hexdigest()[:16])


@dataclass(eq=False)
class _Turn:
    seconds: float | None = None  # until this thread's slot; None while it has no slot


class Throttle:
    """Holds requests back while the service, or the user, limits their rate; for any thread.

    Nothing is limited until the service refuses a request (HTTP 429). If the history cannot be
    used, this kernel keeps to the rate by itself.

    Args:
        journal: the history whose file the kernels share.
        name: whose rate it is, see `limit_name`.
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
        # Its own connection, which waits less long for a lock than that of the history.
        self._journal = Database(journal.path.parent)
        self._name, self._clock, self._sleep = name, clock, sleep
        self._cap = cap if cap and 0 < cap < math.inf else None
        self._limit = RateLimit()
        self._read_at = self._failed_at = -math.inf
        self.after_fork()

    def after_fork(self) -> None:
        """Make the lock, and begin with no thread's turns; a forked child does so again."""
        self._lock = threading.Lock()
        self._thread = threading.local()
        self._queue: deque[_Turn] = deque()
        self._batch = (0.0, 0.0)  # when slots were given last, and the time of the last of them
        self._times: deque[float] = deque(maxlen=1000)
        self._answers: deque[bool] = deque(maxlen=100)

    def wait(self) -> None:
        """Return when one request may go out; call it before every request.

        Raises nothing but KeyboardInterrupt, after which it can be used as before.
        """
        turn = _Turn()
        try:
            while (pause := self._pause(turn)) > 0:
                self._sleep(pause)
        finally:
            with self._lock:
                if turn in self._queue:
                    self._queue.remove(turn)
        self._thread.sent_at = now = self._clock()
        self._times.append(now)

    def refused(self, retry_after: float | None = None) -> None:
        """Note that the request of this thread was refused (HTTP 429).

        Args:
            retry_after: seconds that the service asks for, None if it does not.
        """
        now, pause = self._clock(), 0.0
        if retry_after and retry_after > 0:  # spread the kernels over a moment
            pause = min(retry_after, MAX_PAUSE) + random.uniform(0, 0.2)
        sent_at = getattr(self._thread, "sent_at", now)
        times = [at for at in self._times.copy() if now - WINDOW < at <= now] or [now]
        lately = len(times) / max(1.0, now - times[0])
        with self._lock:
            earlier = list(self._answers)
            self._share(lambda limit: refuse(limit, now, sent_at, lately, earlier, pause))
            self._answers.append(False)
            if self._limit.refused == now:  # it counted
                self._answers.clear()

    def accepted(self) -> None:
        """Note that a request was answered in any other way."""
        self._answers.append(True)

    def closed_for(self) -> float:
        """Return the seconds for which the service asked that nobody sends, 0 for none."""
        with self._lock:
            self._share()
            return min(MAX_PAUSE, max(0.0, self._limit.closed_until - self._clock()))

    def close(self) -> None:
        """Close the file."""
        self._journal.close()

    def _pause(self, turn: _Turn) -> float:
        """Return the seconds to sleep until the next call, 0 when the thread may send."""
        with self._lock:
            self._share()
            now, closed = self._clock(), self._limit.closed_until
            if not (self._cap or self._limit.peak is not None or closed > now):
                return 0.0
            if turn.seconds is None or closed > now:
                turn.seconds = None
                if turn not in self._queue:
                    self._queue.append(turn)
                # One batch at a time, so that a kernel with many threads does not crowd out others.
                if not self._batch[0] <= now < self._batch[1]:
                    self._give_slots(now)
            if turn.seconds is None:
                return min(max(self._batch[1] - now, 0.001), POLL)
            # Count down, because the clock may jump.
            step = min(turn.seconds, POLL)
            turn.seconds -= step
            return step

    def _give_slots(self, now: float) -> None:
        slots: list[float] = []

        def step(limit: RateLimit) -> RateLimit:
            limit, slots[:] = take(limit, now, len(self._queue), self._cap)
            return limit

        self._share(step)
        self._batch = (now, slots[-1] if slots else self._limit.closed_until)
        for slot in slots:
            self._queue.popleft().seconds = slot - now

    def _share(self, step: _Step | None = None) -> None:
        """Update the limit from the file and apply `step`; without the file if that fails."""
        now = self._clock()
        if step is None and abs(now - self._read_at) < POLL:
            return
        self._read_at = now
        own = restore(vars(self._limit), now)
        if abs(now - self._failed_at) >= RETRY:
            try:
                self._limit = self._change(step, now, own) if step else self._read(now, own)
                return
            except JournalError:
                self._failed_at = now
        self._limit = step(own) if step else own

    def _change(self, step: _Step, now: float, own: RateLimit) -> RateLimit:
        self._journal.run(f"PRAGMA busy_timeout = {LOCK_TIMEOUT * 1000:.0f}", ())
        with self._journal.transaction():
            limit = step(self._read(now, own))
            self._journal.run(WRITE, (self._name, *astuple(limit)))
        return limit

    def _read(self, now: float, own: RateLimit) -> RateLimit:
        """Return the newer limit: the shared one, or what this kernel learned without the file."""
        rows = self._journal.read(READ, (self._name,), COLUMNS)
        return max([*(restore(row, now) for row in rows), own], key=lambda limit: limit.written)
