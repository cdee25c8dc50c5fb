"""Callbacks: the result is posted to the caller's `callbackUrl` until it says that it has it.

Documented: only JSON with "code":"200" counts; retries after 3 ... 3600 s, ten at most.
Assumed: POST, the body of the query's answer, the last interval for the 8th to 10th retry, no
redirects, an HTTP status in the 200s, 10 s for the answer.
"""

from __future__ import annotations

import heapq
import http.client
import itertools
import json
import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from ...media.network import LOOPBACK, Deadline
from ..faults import Faults
from .clock import Clock
from .job import Job

LADDER = (3, 5, 15, 30, 60, 600, 3600)
MOST_RETRIES = 10
SECONDS = 10.0
MOST_ANSWER = 100_000
POSTMEN = 4
HEADERS = {"Content-Type": "application/json", "User-Agent": "imgopen-nb-sandbox"}
Callback = dict[str, Any]

log = logging.getLogger(__name__)


class Callbacks:
    """Delivers results to where callers want them; how a delivery stands is kept with its task."""

    def __init__(
        self, clock: Clock, allowed: Iterable[str] = (), faults: Faults | None = None
    ) -> None:
        self._clock = clock
        self._allowed = {*LOOPBACK, *(host.lower() for host in allowed)}
        self._faults = faults or Faults()
        self._due: list[tuple[float, int, str, str, Callback]] = []
        self._known: set[str] = set()
        self._order = itertools.count()
        self._ready = threading.Condition()
        clock.on_move(self._wake)

    def start(
        self, tell: Callable[[str], bytes | None], note: Callable[[str, Callback], None]
    ) -> None:
        """Begin to deliver: `tell` returns what to post about a task, `note` keeps how it went."""
        self._tell, self._note = tell, note
        self._postmen = ThreadPoolExecutor(POSTMEN, thread_name_prefix="callback")
        threading.Thread(target=self._run, name="callbacks", daemon=True).start()

    def opened(self, url: str) -> Callback:
        """Return how the delivery to a URL stands at the submission.

        An address that is not allowed refuses the callback and not the task: the vendor's service
        takes any address, so programs that always send one still run here, and can ask instead.
        """
        if not url:
            return {}
        if _host(url) in self._allowed:
            return {"url": url, "state": "waiting", "attempts": 0, "due": 0.0, "note": ""}
        log.warning("a callback was refused: its host is not allowed (--allow-callback)")
        note = "the sandbox calls only this machine and the hosts given with --allow-callback"
        return {"url": url, "state": "refused", "attempts": 0, "due": 0.0, "note": note}

    def owed(self, callback: Callback) -> bool:
        """Whether a delivery is still to be made."""
        return callback.get("state") == "waiting"

    def schedule(self, job: Job, moment: float) -> None:
        """Have a task's result delivered at that moment."""
        with self._ready:
            if job.key in self._known:
                return
            self._known.add(job.key)
        late = self._faults.draw(job.operation, "callback", "late-callback").seconds
        self._put(moment + late, job.key, job.operation, dict(job.callback))

    def _put(self, moment: float, key: str, operation: str, callback: Callback) -> None:
        with self._ready:
            heapq.heappush(self._due, (moment, next(self._order), key, operation, callback))
            self._ready.notify()

    def _wake(self) -> None:
        with self._ready:
            self._ready.notify_all()

    def _run(self) -> None:
        while True:
            with self._ready:
                while (left := self._left()) is None or left > 0:
                    self._ready.wait(left)
                _, _, key, operation, callback = heapq.heappop(self._due)
            self._postmen.submit(self._deliver, key, operation, callback)

    def _left(self) -> float | None:
        return self._due[0][0] - self._clock.now() if self._due else None

    def _deliver(self, key: str, operation: str, callback: Callback) -> None:
        try:
            self._attempt(key, operation, callback)
        except Exception as error:  # the other deliveries must go on
            log.error("a callback was dropped: %s", type(error).__name__)

    def _attempt(self, key: str, operation: str, callback: Callback) -> None:
        body = self._tell(key)
        if body is None:  # delivered meanwhile, or the task is too old and was deleted
            self._known.discard(key)
            return
        problem = post(callback["url"], body)
        if not problem and self._faults.draw(operation, "callback", "duplicate-callback").fault:
            post(callback["url"], body)
        callback = _next(callback, problem, self._clock.now())
        self._note(key, callback)
        if self.owed(callback):
            self._put(callback["due"], key, operation, callback)
        else:
            self._known.discard(key)


def _next(callback: Callback, problem: str, now: float) -> Callback:
    """Return how a delivery stands after one more attempt."""
    attempts = callback["attempts"] + 1
    done = {**callback, "attempts": attempts, "note": problem}
    if not problem:
        return {**done, "state": "delivered"}
    if attempts > MOST_RETRIES:
        return {**done, "state": "given up"}
    return {**done, "due": now + LADDER[min(attempts, len(LADDER)) - 1]}


def post(url: str, body: bytes) -> str:
    """Post a body; return "" if it was taken, else why it was not."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    try:
        connection = kind(parts.hostname or "", parts.port, timeout=SECONDS)
        with Deadline(SECONDS) as deadline:
            connection.connect()
            deadline.watch(connection.sock)
            return _exchange(connection, parts.path, parts.query, body)
    except (OSError, ValueError, http.client.HTTPException) as error:
        return f"the receiver could not be reached ({type(error).__name__})"


def _exchange(connection: http.client.HTTPConnection, path: str, query: str, body: bytes) -> str:
    try:
        target = (path or "/") + (f"?{query}" if query else "")
        connection.request("POST", target, body, HEADERS)
        answer = connection.getresponse()
        return _judge(answer.status, answer.read(MOST_ANSWER))
    finally:
        connection.close()


def _judge(status: int, content: bytes) -> str:
    if not 200 <= status < 300:
        return f"the receiver answered HTTP {status}"
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        return "the receiver's answer is not JSON"
    taken = isinstance(answer, dict) and answer.get("code") == "200"
    return "" if taken else 'the receiver\'s answer has no "code":"200"'


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""
