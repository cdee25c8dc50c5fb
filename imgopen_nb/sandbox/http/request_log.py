"""The log of requests that an admin may read: which operation and task, never the contents."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from dataclasses import asdict, dataclass
from typing import Any

MOST_LINES = 1000
MOST_TASKS = 1000


@dataclass(slots=True)
class LoggedRequest:
    """One request to an operation; `accepted` is whether its work was accepted, answered or not."""

    operation: str
    on: str
    at: float
    task: str = ""
    accepted: bool = False
    code: str = ""
    fault: str = ""
    seconds: float = 0.0


class RequestLog:
    """The last requests, and how often each of the last tasks was submitted and queried."""

    def __init__(self) -> None:
        self._requests: deque[LoggedRequest] = deque(maxlen=MOST_LINES)
        self._tasks: OrderedDict[str, dict[str, int]] = OrderedDict()

    def add(self, request: LoggedRequest) -> None:
        """Add a request that was answered, or deliberately not."""
        request.seconds = round(time.time() - request.at, 3)
        self._requests.append(request)
        if request.task:
            self._count(request)

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {"requests": [asdict(line) for line in self._requests], "tasks": dict(self._tasks)}

    def _count(self, request: LoggedRequest) -> None:
        empty = {"submissions": 0, "queries": 0, "accepted": 0}
        counts = self._tasks.setdefault(request.task, empty)
        self._tasks.move_to_end(request.task)
        counts["submissions" if request.on == "submit" else "queries"] += 1
        counts["accepted"] += request.accepted
        if len(self._tasks) > MOST_TASKS:
            self._tasks.popitem(last=False)
