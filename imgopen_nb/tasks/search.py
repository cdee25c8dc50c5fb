"""The search for a task that may have reached the service although no answer came.

There is one such search, whatever it was that kept the answer away: a lost connection, a time-out,
Ctrl-C, or a kernel that was killed. The service is asked for the task, at first often, then seldom.
A request may sit in a proxy, and a service may know a task only some time after it has taken it.
So "not found" proves that the task never arrived only if it is said a settling time after the end
of the sending, or by a service that says that it always knows at once. Then it is sent again.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from ..api.client import SUBMISSION_TOTAL

# Seconds from one look to the next.
STEPS = (0.2, 0.6, 1.5, 3.0, 6.0, 12.0, 20.0, 30.0)
# A stored time that is older than this is not believed: the clock may have been wrong.
OLDEST = 86400.0


@dataclass
class Search:
    """The search for one task; for a task that never left it is over from the start.

    Attributes:
        sent: when the task was sent, in seconds since the epoch, as its row says. Another time in
            the row means that another session has sent the task since: the search begins anew.
        settled: from when on "not found" is proof, by time.monotonic; infinity while it is sent.
        looks: how often the service was asked; more after several losses, to go more slowly.
        losses: how often this session has sent the task without an answer.
    """

    sent: float | None
    settled: float = -math.inf
    looks: int = 0
    losses: int = 0

    @classmethod
    def for_row(cls, sent: float | None, settle: float) -> Search:
        """Return the search for a task that another session sent, or was about to send.

        It ended with that session, so before now, and at most SUBMISSION_TOTAL seconds after
        `sent`. If that time cannot be right, it counts as sent until now.
        """
        age = time.time() - sent if sent else 0.0
        passed = age - SUBMISSION_TOTAL if 0 <= age <= OLDEST else 0.0
        return cls(sent, time.monotonic() + settle - min(settle, max(0.0, passed)))

    @property
    def is_settled(self) -> bool:
        """Whether "not found" proves from now on that the task never arrived."""
        return time.monotonic() >= self.settled

    @property
    def until(self) -> float | None:
        """When the search is settled, in seconds since the epoch; None while the task is sent."""
        left = max(0.0, self.settled - time.monotonic())
        return time.time() + left if left < math.inf else None

    def next_look(self) -> float:
        """Count a look, and return the seconds until the next one."""
        step = STEPS[min(self.looks, len(STEPS) - 1)]
        self.looks += 1
        left = self.settled - time.monotonic()
        return min(step, left + 0.01) if left > 0 else step


def clock(moment: float) -> str:
    """Return a moment as the time of day, "14:05:20"."""
    return time.strftime("%H:%M:%S", time.localtime(moment))
