"""The log of requests that an admin may read: what was asked and taken, never what was sent."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from dataclasses import asdict, dataclass
from typing import Any

MOST_LINES = 1000
MOST_TASKS = 1000


@dataclass(slots=True)
class Request:
    """One request to an operation; `accepted` is whether its work was taken, heard of or not."""

    operation: str
    on: str
    at: float
    task: str = ""
    accepted: bool = False
    code: str = ""
    fault: str = ""
    seconds: float = 0.0


class Requests:
    """The last requests, and how often each of the last tasks was submitted and asked for."""

    def __init__(self) -> None:
        self._lines: deque[Request] = deque(maxlen=MOST_LINES)
        self._tasks: OrderedDict[str, dict[str, int]] = OrderedDict()

    def add(self, request: Request) -> None:
        """Note a request that was answered, or deliberately not."""
        request.seconds = round(time.time() - request.at, 3)
        self._lines.append(request)
        if request.task:
            self._count(request)

    def told(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        return {"requests": [asdict(line) for line in self._lines], "tasks": dict(self._tasks)}

    def _count(self, request: Request) -> None:
        empty = {"submissions": 0, "queries": 0, "accepted": 0}
        counts = self._tasks.setdefault(request.task, empty)
        self._tasks.move_to_end(request.task)
        counts["submissions" if request.on == "submit" else "queries"] += 1
        counts["accepted"] += request.accepted
        if len(self._tasks) > MOST_TASKS:
            self._tasks.popitem(last=False)
