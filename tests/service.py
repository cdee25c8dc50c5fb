"""A service for describe that keeps its own books: what it accepted, when, and how often.

It answers as the contract says, and misbehaves as it is told.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from .stub import Reply, Request, Stub, ok, refusal

Duration = Callable[[], float]


@dataclass
class Entry:
    """One accepted task."""

    image: str
    due: float
    model: str
    noticed: float | None = None


@dataclass
class Service:
    """Answers for a Stub: tasks take `duration` seconds, a share of the requests go wrong.

    Attributes:
        duration: gives the seconds that the next task takes.
        trouble: the share of requests, 0 to 1, that meet one of TROUBLES.
        accepted: the submissions that began new work, by the caller's id.
        repeated: submissions with an id that was accepted before.
    """

    duration: Duration = lambda: 0.3
    trouble: float = 0.0
    seed: int = 0
    tasks: dict[str, Entry] = field(default_factory=dict)
    accepted: Counter[str] = field(default_factory=Counter)
    repeated: Counter[str] = field(default_factory=Counter)
    queries: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._dice = random.Random(self.seed)
        self._lock = threading.Lock()

    def on(self, stub: Stub) -> Service:
        """Answer for a stub from now on."""
        stub.answer = self.answer
        return self

    def answer(self, request: Request) -> Reply:
        with self._lock:
            trouble = self._dice.random() < self.trouble
            spoil = self._dice.choice(TROUBLES) if trouble else None
            if spoil in BEFORE:
                return BEFORE[spoil]()
            query = request.path.endswith("queryTask")
            reply = self._query(request.body) if query else self._submit(request.body)
            return AFTER[spoil](reply) if spoil else reply

    def _submit(self, body: dict[str, str]) -> Reply:
        key = body["businessTaskId"]
        if key in self.tasks:
            self.repeated[key] += 1
        else:
            due = time.monotonic() + self.duration()
            self.tasks[key] = Entry(body["image"], due, body.get("model", ""))
            self.accepted[key] += 1
        return ok(task_id=f"s-{key}")

    def _query(self, body: dict[str, str]) -> Reply:
        key = body["businessTaskId"].removeprefix("s-")
        self.queries[key] += 1
        entry = self.tasks.get(key)
        if entry is None:
            return refusal("404", "no such task")
        now = time.monotonic()
        if now < entry.due:
            return ok(taskId=f"s-{key}", status=1)
        entry.noticed = entry.noticed or now
        return ok(taskId=f"s-{key}", status=2, caption=caption_of(entry.image, entry.model))

    def paid_once(self, images: Iterable[str]) -> None:
        """Check that each image was accepted once, and that no id was ever sent again."""
        assert sorted(entry.image for entry in self.tasks.values()) == sorted(set(images))
        assert set(self.accepted.values()) <= {1}
        assert not self.repeated

    def lags(self) -> list[float]:
        """Return for each finished task the seconds from its end until it was noticed."""
        return [e.noticed - e.due for e in self.tasks.values() if e.noticed is not None]


def caption_of(image: str, model: str) -> str:
    """Return what the service says of an image, so that a mix-up shows."""
    return f"{model} sees {image}"


def _cut(reply: Reply) -> Reply:
    import json

    whole = json.dumps(reply.body).encode()
    return Reply(whole[: len(whole) // 2])


PAGE = b"<!DOCTYPE html><html><body>Bad gateway</body></html>"
BEFORE: dict[str, Callable[[], Reply]] = {
    "429": lambda: Reply(
        {"code": "429", "msg": "slow down", "data": None}, 429, {"Retry-After": "0"}
    ),
    "500": lambda: Reply({"code": "500", "msg": "oops", "data": None}, 500),
    "502": lambda: Reply(PAGE, 502, {"Content-Type": "text/html"}),
    "html": lambda: Reply(PAGE, 200, {"Content-Type": "text/html"}),
    "dropped before": lambda: Reply(drop=True),
}
AFTER: dict[str, Callable[[Reply], Reply]] = {
    "500 after": lambda reply: Reply({"code": "500", "msg": "oops", "data": None}, 500),
    "502 after": lambda reply: Reply(PAGE, 502, {"Content-Type": "text/html"}),
    "truncated": _cut,
    "dropped after": lambda reply: Reply(drop=True),
}
TROUBLES = [*BEFORE, *AFTER]
