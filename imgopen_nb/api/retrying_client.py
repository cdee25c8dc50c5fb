"""Submits tasks and queries them, with retries that are safe on a bad network.

A submission may cost money, so it is repeated only if it certainly was not accepted. If its answer
is lost, the task is looked up by our own id. What the service answers for an unknown id is not
documented: to find out, we query an id that was never used.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..catalogue.operation import Operation
from ..catalogue.operations import OPERATIONS
from ..config.credentials import NotPickled
from ..errors import (
    APIError,
    AssumedPathError,
    AuthenticationError,
    MalformedAnswerError,
    NetworkError,
    NotFoundError,
    RateLimitError,
    ServerError,
    SubmissionLostError,
)
from .client import Client
from .envelope import Answer

if TYPE_CHECKING:
    from .throttle import Throttle

MAX_ATTEMPTS = 4
# Seconds before each look-up of a task: its submission may still be on its way.
LOOKUP_DELAYS = (0.2, 0.6, 1.5)
MAX_DELAY = 30.0


class RetryingClient(NotPickled):
    """Submits and queries tasks, and repeats a request if that is safe.

    Args:
        client: sends one request.
        paths: true paths in place of the catalogue's, by operation name.
        assumed: whether paths that are only assumed may be used (the sandbox serves them).
        sleep: waits for some seconds; tests pass a shorter one.
        throttle: delays requests to keep to a rate limit; None for no limit.
    """

    def __init__(
        self,
        client: Client,
        paths: Mapping[str, str] | None = None,
        *,
        assumed: bool = False,
        sleep: Callable[[float], None] = time.sleep,
        throttle: Throttle | None = None,
    ) -> None:
        self.client = client
        self._paths = dict(paths or {})
        self._assumed = assumed
        self._sleep = sleep
        self._throttle = throttle
        self._unknown_signatures: dict[str, tuple[str, str]] = {}

    def path(self, operation: Operation) -> str:
        """Return the path of an operation; see `path_of`."""
        return path_of(operation, self._paths, assumed=self._assumed)

    def submit(self, operation: Operation, body: Mapping[str, Any], task_id: str) -> Answer:
        """Send a submission so that it is accepted once, and return the first answer about it.

        Raises:
            SubmissionLostError: whether it was accepted cannot be found out.
            APIError: it certainly was not accepted.
        """
        path = self.path(operation)
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                return self._exchange(path, body)
            except APIError as error:
                last = attempt == MAX_ATTEMPTS
                if last and _not_accepted(error):
                    raise
                found = self._after_failure(error, operation, task_id, attempt)
                if found is not None:
                    return found
                if last:
                    raise
        raise AssertionError("the loop returns or raises")

    def find(self, operation: Operation, task_id: str) -> Answer | None:
        """Return the state of a task that may never have arrived, None if it did not.

        Raises:
            SubmissionLostError: whether it arrived cannot be found out.
        """
        if not operation.query:
            return None
        return self._look_up(operation, task_id, NetworkError("its session has ended"))

    def _after_failure(
        self, error: APIError, operation: Operation, task_id: str, attempt: int
    ) -> Answer | None:
        """Return the task if it was accepted after all, None if it may be sent again."""
        refused = _not_accepted(error)
        if refused and not isinstance(error, (RateLimitError, NetworkError)):
            raise error
        if not refused and operation.query:
            return self._look_up(operation, task_id, error)
        if not refused and operation.kind != "rows":
            raise SubmissionLostError(
                f"the answer to {operation.name} was lost ({error.message}), and this path cannot "
                "be asked whether it was accepted",
                hint="nothing was sent twice: look at the service before you run it again",
            )
        seconds = backoff(attempt, error)
        if seconds > MAX_DELAY:
            raise error
        self._sleep(seconds)
        return None

    def _look_up(self, operation: Operation, task_id: str, cause: APIError) -> Answer | None:
        try:
            for seconds in LOOKUP_DELAYS:
                self._sleep(seconds)
                answer = self._look_up_once(operation, task_id)
                if answer is not None:
                    return answer
        except (APIError, AssumedPathError, SubmissionLostError) as error:
            raise SubmissionLostError(
                f"the answer to {operation.name} was lost ({cause.message}), and whether it was "
                f"accepted cannot be found out ({error.message})",
                hint=f"nothing was sent twice; %imgopen resume looks for task {task_id} again",
            ) from None
        return None

    def _look_up_once(self, operation: Operation, task_id: str) -> Answer | None:
        """Return the task, or None if the service answers as for an id that was never used."""
        seen = self._signature(operation, task_id)
        if isinstance(seen, Answer):
            return seen
        if operation.name not in self._unknown_signatures:
            probe = self._signature(operation, f"imgopen-nb-unused-{uuid.uuid4().hex}")
            if isinstance(probe, Answer):
                raise SubmissionLostError("the service claims to know an id that nobody used")
            self._unknown_signatures[operation.name] = probe
        if seen != self._unknown_signatures[operation.name]:
            raise SubmissionLostError("the service does not say whether it knows the task")
        return None

    def _signature(self, operation: Operation, task_id: str) -> Answer | tuple[str, str]:
        """Return the answer if it is about a task, else (kind, code) of the refusal."""
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                answer = self._query(operation, operation.query, task_id)
            except (RateLimitError, NetworkError, ServerError, MalformedAnswerError) as error:
                if attempt == MAX_ATTEMPTS:
                    raise
                self._sleep(backoff(attempt, error))
            except AuthenticationError:
                raise
            except APIError as error:
                return type(error).__name__, error.code
            else:
                return answer if answer.status is not None else ("no status", "200")
        raise AssertionError("the loop returns or raises")

    def query(self, operation: Operation, task_id: str, server_id: str = "") -> Answer:
        """Query a task once, by our id and, if that is unknown, by the service's.

        Which id the sd queries take and when a task moves to the archive (V1) is not documented,
        so all are tried in turn.

        Raises:
            APIError: none of the queries gave an answer about the task.
        """
        refused: APIError | None = None
        for query, queried_id in _candidates(operation, task_id, server_id):
            try:
                return self._query(operation, query, queried_id)
            except NotFoundError as error:
                refused = refused or error
        assert refused is not None
        raise refused

    def _query(self, operation: Operation, query: str, task_id: str) -> Answer:
        row = OPERATIONS[query]
        code = self.path(operation).partition("/tool/")[2]
        path = self.path(row).replace("{tool_code}", code)
        carrier = row.params[0].wire
        return self._exchange(path, {carrier: task_id})

    def _exchange(self, path: str, body: Mapping[str, Any]) -> Answer:
        """Exchange once, when the throttle permits it."""
        throttle = self._throttle
        if throttle is None:
            return self.client.exchange(path, body)
        closed = throttle.closed_for()
        if closed > MAX_DELAY:
            text = f"the service asked for a pause, of which {closed:.0f} s are left"
            raise RateLimitError(text, retry_after=closed, hint="run it again then")
        throttle.wait()
        try:
            answer = self.client.exchange(path, body)
        except RateLimitError as error:
            throttle.refused(error.retry_after)
            raise
        except NetworkError:
            raise  # without an answer, nothing is known about the rate
        except APIError:
            throttle.accepted()
            raise
        throttle.accepted()
        return answer


def path_of(operation: Operation, paths: Mapping[str, str], *, assumed: bool) -> str:
    """Return the path of an operation.

    Args:
        operation: the operation.
        paths: true paths that the user has given, by operation name.
        assumed: whether a path that is only assumed may be used.

    Raises:
        AssumedPathError: the path is only assumed, and may not be used.
    """
    if operation.known == "assumed" and not assumed and operation.name not in paths:
        raise AssumedPathError(
            f"the path of {operation.name} on the real service is not documented; "
            f"{operation.path} is a guess, so nothing was sent",
            hint=f"set the true one: IMGOPEN_PATHS={operation.name}=/path, or "
            f"%imgopen config paths {operation.name}=/path; the sandbox runs it as it is",
        )
    return paths.get(operation.name, operation.path)


def backoff(attempt: int, error: APIError | None = None) -> float:
    """Return the seconds before the next attempt: as the service asks, or 0.4 s and doubling."""
    asked = error.retry_after if isinstance(error, RateLimitError) else None
    if asked is not None:
        return min(asked, 3600.0) + random.uniform(0, 0.2)
    return min(MAX_DELAY, 0.4 * 2.0 ** (attempt - 1)) * random.uniform(0.6, 1.2)


def _not_accepted(error: APIError) -> bool:
    """Whether an error proves that the submission was not accepted."""
    if isinstance(error, NetworkError):
        return not error.sent
    return not isinstance(error, (ServerError, MalformedAnswerError))


def _candidates(operation: Operation, task_id: str, server_id: str) -> Iterator[tuple[str, str]]:
    ids = [i for i in dict.fromkeys((task_id, server_id)) if i]
    queries = ("query-v2", "query-v1") if operation.family == "sd" else (operation.query,)
    for query in queries:
        for queried_id in ids:
            yield query, queried_id
