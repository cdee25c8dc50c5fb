"""Deliberate faults: rows that say what goes wrong between a program and the sandbox, by seed."""

from __future__ import annotations

import json
import math
import random
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ..catalogue.operations import OPERATIONS
from ..text import one_of

WHEN = ("submit", "query", "callback")
# What each kind does, and whether it refuses the request before the sandbox has seen it.
KINDS = {
    "status": ("answers with HTTP status `value` (500); nothing is accepted", True),
    "code": ('answers with code `value` ("500") in the envelope; nothing is accepted', True),
    "429": ("answers 429, with Retry-After `retry_after`; nothing is accepted", True),
    "drop-before": ("closes the connection; nothing is accepted", True),
    "drop-after": ("accepts the work, then closes the connection", False),
    "html": ("accepts the work, answers a web page with HTTP status `value` (200)", False),
    "truncate": ("accepts the work, sends half of the answer", False),
    "empty": ("accepts the work, sends an empty body", False),
    "lost-result": ("a query tells of success, without the result", False),
    "delay": ("waits for `value` seconds first: a number or a distribution", False),
    "duplicate-callback": ("delivers a callback twice", False),
    "late-callback": ("delivers a callback `value` seconds later, by the sandbox's clock", False),
}
WAITS = ("delay", "late-callback")
WEB_PAGE = b"<!doctype html><html><body><h1>A fault on purpose</h1></body></html>"
KEPT = ("status", "desc", "id_task", "task_id", "taskId", "businessTaskId")
DISTRIBUTIONS = {"fixed": 1, "uniform": 2, "lognormal": 2}


class FaultError(ValueError):
    """A row of faults that cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class FaultyAnswer:
    """What is sent instead of an answer."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fault:
    """One row: at which requests (`operation`, `on`), how often (`rate`, `times`), and what."""

    kind: str
    operation: str = "*"
    on: str = "submit"
    rate: float = 1.0
    value: Any = None
    retry_after: float | None = None
    times: int | None = None

    @property
    def refuses(self) -> bool:
        """Whether the request never reaches the service."""
        return KINDS[self.kind][1]

    @property
    def drops(self) -> bool:
        """Whether the connection is closed instead of an answer."""
        return self.kind.startswith("drop-")

    def distort(self, answer: Mapping[str, Any] | None) -> FaultyAnswer:
        """Return what is sent instead of an answer (None if the request was refused)."""
        whole = json.dumps(answer).encode()
        if self.kind in ("status", "code", "429"):
            return self._refusal()
        if self.kind == "html":
            return FaultyAnswer(WEB_PAGE, self.value or 200, {"Content-Type": "text/html"})
        if self.kind == "truncate":
            return FaultyAnswer(whole[: len(whole) // 2])
        if self.kind == "lost-result" and answer:
            return FaultyAnswer(json.dumps(_without_result(answer)).encode())
        return FaultyAnswer(b"" if self.kind == "empty" else whole)

    def _refusal(self) -> FaultyAnswer:
        code = "429" if self.kind == "429" else str(self.value or 500)
        wait = self.retry_after
        headers = {"Retry-After": f"{wait:g}"} if wait is not None else {}
        body = {"code": code, "msg": "a fault on purpose", "data": None}
        status = 200 if self.kind == "code" else int(code)
        return FaultyAnswer(json.dumps(body).encode(), status, headers)

    def fits(self, operation: str, on: str) -> bool:
        """Whether this row applies to a request."""
        return self.operation in ("*", operation) and self.on == on


@dataclass(frozen=True, slots=True)
class Drawn:
    """What happens to one request: a wait, and at most one fault."""

    seconds: float = 0.0
    fault: Fault | None = None


@dataclass(slots=True)
class _Row:
    fault: Fault
    random: random.Random
    fired: int = 0

    def draw(self) -> bool:
        """Draw in any case, even if `times` is used up, so that later draws stay the same."""
        hit = self.random.random() < self.fault.rate
        left = self.fault.times is None or self.fired < self.fault.times
        self.fired += hit and left
        return hit and left


@dataclass(slots=True)
class Faults:
    """The rows in force. With the same seed, the nth request of a row always has the same fate."""

    rows: list[_Row] = field(default_factory=list)
    spec: dict[str, Any] = field(default_factory=lambda: {"seed": 0, "rows": []})
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, spec: Any) -> None:
        """Replace the rows: a list of them, or {"seed": 1, "rows": [...]}.

        Raises:
            FaultError: says which row cannot be used, and why.
        """
        spec = {"rows": spec} if isinstance(spec, list) else spec
        if not isinstance(spec, dict) or set(spec) - {"seed", "rows"}:
            raise FaultError('faults are a list of rows, or {"seed": 1, "rows": [...]}')
        seed, given = spec.get("seed", 0), spec.get("rows", [])
        if not isinstance(seed, int) or not isinstance(given, list):
            raise FaultError("seed is a whole number, rows a list")
        rows = [
            _Row(_fault(number, row), random.Random(f"{seed}:{number}"))
            for number, row in enumerate(given, 1)
        ]
        with self._lock:
            self.rows, self.spec = rows, {"seed": seed, "rows": given}

    def draw(self, operation: str, on: str, kind: str = "") -> Drawn:
        """Return what happens to a request; if several faults fit, the first one does."""
        seconds, found = 0.0, None
        with self._lock:
            for row in self.rows:
                fault = row.fault
                wanted = kind in ("", fault.kind)
                if not wanted or not fault.fits(operation, on) or not row.draw():
                    continue
                if fault.kind in WAITS:
                    seconds += _seconds(fault.value, row.random)
                else:
                    found = found or fault
        return Drawn(seconds, found)

    @property
    def delays(self) -> bool:
        """Whether a request may be held back."""
        return any(row.fault.kind == "delay" for row in self.rows)

    def fired(self) -> list[int]:
        """Return how often each row has caused a fault."""
        return [row.fired for row in self.rows]


def read(given: str) -> Any:
    """Return the faults given on a command line: JSON text, or the name of a JSON file."""
    text = given if given.lstrip().startswith(("[", "{")) else Path(given).read_text("utf-8")
    return json.loads(text)


def _without_result(answer: Mapping[str, Any]) -> dict[str, Any]:
    data = answer.get("data")
    if not isinstance(data, dict) or data.get("status") != 2:
        return dict(answer)
    return {**answer, "data": {name: data[name] for name in KEPT if name in data}}


def _fault(number: int, row: Any) -> Fault:
    if not isinstance(row, Mapping):
        raise FaultError(f"row {number} must be an object")
    names = [f.name for f in fields(Fault)]
    extra = sorted(str(key) for key in set(row) - set(names))
    if extra:
        raise FaultError(f"row {number} has an unknown member {extra[0][:40]!r}: {one_of(names)}")
    if row.get("kind") not in list(KINDS):
        raise FaultError(f"row {number} needs a kind: one of {', '.join(KINDS)}")
    on = "callback" if row["kind"].endswith("-callback") else "submit"
    on = "query" if row["kind"] == "lost-result" else on
    fault = Fault(**{"on": on, **row})
    for right, text in _checks(fault):
        if not right:
            raise FaultError(f"row {number}: {text}")
    return fault


def _checks(fault: Fault) -> Iterator[tuple[bool, str]]:
    """Yield whether each member of a row is right, and what to say if it is not."""
    operation, kind, value = fault.operation, fault.kind, fault.value
    yield operation in ("*", *OPERATIONS), "operation is a name such as describe, or *"
    yield fault.on in WHEN, f"on is one of {', '.join(WHEN)}"
    on_callback = kind.endswith("-callback") == (fault.on == "callback")
    yield on_callback, "the kinds that end in -callback, and only those, are on callback"
    yield _number(fault.rate, 1), "rate is from 0 to 1"
    yield fault.times is None or _count(fault.times), "times is a whole number"
    wait = fault.retry_after is None or _number(fault.retry_after, 86400)
    yield wait, "retry_after is a number of seconds"
    yield kind not in WAITS or _wait(value), f"value is seconds, or {_WAIT}"
    status = kind not in ("status", "html") or _status(value)
    yield status, "value is an HTTP status from 200 to 599"
    yield kind != "code" or isinstance(value, (str, int, type(None))), "value is a code"


_WAIT = '{"fixed": [s]}, {"uniform": [low, high]} or {"lognormal": [median, sigma]}'


def _number(value: Any, most: float) -> bool:
    plain = isinstance(value, (int, float)) and not isinstance(value, bool)
    return plain and 0 <= value <= most


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _status(value: Any) -> bool:
    return value is None or (_count(value) and 200 <= value < 600)


def _wait(value: Any) -> bool:
    if _number(value, 1e9):
        return True
    if not isinstance(value, dict) or len(value) != 1:
        return False
    ((name, numbers),) = value.items()
    right = isinstance(numbers, list) and len(numbers) == DISTRIBUTIONS.get(name)
    return right and all(_number(number, 1e9) for number in numbers)


def _seconds(value: Any, source: random.Random) -> float:
    if not isinstance(value, dict):
        return float(value)
    ((name, numbers),) = value.items()
    if name == "uniform":
        return source.uniform(*numbers)
    if name == "lognormal":
        median, sigma = map(float, numbers)
        return median * math.exp(min(50.0, source.gauss(0.0, sigma)))
    return float(numbers[0])
