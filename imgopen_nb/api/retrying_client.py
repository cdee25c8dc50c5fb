"""Submits tasks and queries them, with retries that are safe on a bad network.

A submission may cost money, so it is repeated here only if it certainly did not arrive. If its
answer is lost, `tasks/submission.py` has it looked for by our own id (`tasks/search.py`).
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

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
from .client import SUBMISSION_READ, Client
from .envelope import Answer, sent_ids

if TYPE_CHECKING:
    from .throttle import Throttle

MAX_ATTEMPTS = 4
MAX_DELAY = 30.0
# Errors after which the same request may succeed a little later.
TRANSIENT = (RateLimitError, NetworkError, ServerError, MalformedAnswerError)


class Unknown(NamedTuple):
    """The service does not know a task; `at_once`: nor will it, as it knows each task at once."""

    at_once: bool


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
        self._unknown_signatures: dict[tuple[str, str], tuple[str, str]] = {}

    def path(self, operation: Operation) -> str:
        """Return the path of an operation; see `path_of`."""
        return path_of(operation, self._paths, assumed=self._assumed)

    def submit(
        self,
        operation: Operation,
        body: Mapping[str, Any],
        task_id: str,
        sending: Callable[[], None] = lambda: None,
    ) -> Answer:
        """Send a submission and return its answer; repeat it only if it certainly did not arrive.

        Args:
            operation: what to submit.
            body: the JSON object.
            task_id: our own id of the task.
            sending: called immediately before each request leaves.

        Raises:
            SubmissionLostError: it may have been accepted; if `again` is set, `find` tells later.
            APIError: it certainly was not accepted.
        """
        path = self.path(operation)
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                own = [task_id, *sent_ids(body)]
                return self._exchange(path, body, own, sending=sending, read=SUBMISSION_READ)
            except APIError as error:
                harmless = operation.kind == "rows"  # a list costs nothing
                if not harmless and not _not_accepted(error):
                    raise self._lost(operation, task_id, error) from None
                if attempt == MAX_ATTEMPTS or not isinstance(error, TRANSIENT):
                    raise
                seconds = backoff(attempt, error)
                if seconds > MAX_DELAY:
                    raise
                self._sleep(seconds)
        raise AssertionError("the loop returns or raises")

    def find(self, operation: Operation, task_id: str) -> Answer | Unknown:
        """Ask the service once for a task that may never have arrived.

        What it answers for an unknown id is not documented: one that was never used is asked for.

        Raises:
            SubmissionLostError: it gives no usable answer; `again` is set if it may do so later.
        """
        at_once = True
        try:
            for query in _queries(operation):
                seen = self._signature(operation, query, task_id)
                if isinstance(seen, Answer):
                    return seen
                if seen[:2] != self._unknown_signature(operation, query):
                    text = "the service does not say whether it knows the task"
                    raise SubmissionLostError(text, again=0.0)
                at_once = at_once and seen[2]
        except (APIError, AssumedPathError, SubmissionLostError) as error:
            may_pass = isinstance(error, (*TRANSIENT, SubmissionLostError)) or (
                isinstance(error, APIError) and not error.by_service
            )
            asked = error.retry_after if isinstance(error, RateLimitError) else None
            raise SubmissionLostError(
                f"the answer to {operation.name} was lost, and there is no way to tell whether "
                f"it was accepted ({error.message})",
                hint=f"nothing was sent twice; %imgopen resume looks for task {task_id} again",
                again=(asked or 0.0) if may_pass else None,
            ) from None
        return Unknown(at_once)

    def _lost(self, operation: Operation, task_id: str, cause: APIError) -> SubmissionLostError:
        """Return the error of a submission that may have been accepted."""
        text = f"the answer to {operation.name} was lost ({cause.message})"
        if not operation.query:
            return SubmissionLostError(
                f"{text}, and this path has no query that tells whether it was accepted",
                hint="nothing was sent twice: check with the service before you run it again",
            )
        try:
            for query in _queries(operation):
                self.path(OPERATIONS[query])
        except AssumedPathError as error:
            return SubmissionLostError(
                f"{text}, and there is no way to tell whether it was accepted ({error.message})",
                hint=f"nothing was sent twice; %imgopen resume looks for task {task_id} again",
            )
        return SubmissionLostError(text, again=0.0)

    def _unknown_signature(self, operation: Operation, query: str) -> tuple[str, str]:
        """Return how the service refuses an id that nobody has used."""
        key = (operation.name, query)
        if key not in self._unknown_signatures:
            probe = self._signature(operation, query, f"imgopen-nb-unused-{uuid.uuid4().hex}")
            if isinstance(probe, Answer):
                text = "the service claims to know an id that was never used"
                raise SubmissionLostError(text, again=0.0)
            self._unknown_signatures[key] = probe[:2]
        return self._unknown_signatures[key]

    def _signature(
        self, operation: Operation, query: str, task_id: str
    ) -> Answer | tuple[str, str, bool]:
        """Return the answer if it is about a task, else (kind, code, knows at once) of the refusal.

        Raises:
            APIError: it is no answer to this question.
        """
        try:
            answer = self._query(operation, query, task_id)
        except (*TRANSIENT, AuthenticationError):
            raise
        except APIError as error:
            if not error.by_service:
                raise
            return type(error).__name__, error.code, error.knows_at_once
        return answer if answer.status is not None else ("no status", "200", False)

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
                return self._query(operation, query, queried_id, (task_id, server_id))
            except NotFoundError as error:
                refused = refused or error
        assert refused is not None
        raise refused

    def _query(
        self, operation: Operation, query: str, task_id: str, known: tuple[str, str] = ("", "")
    ) -> Answer:
        """Query by one id of a task; `known` holds our own id and the service's."""
        row = OPERATIONS[query]
        code = self.path(operation).partition("/tool/")[2]
        path = self.path(row).replace("{tool_code}", code)
        carrier = row.params[0].wire
        return self._exchange(path, {carrier: task_id}, (task_id, known[0]), known[1])

    def _exchange(
        self,
        path: str,
        body: Mapping[str, Any],
        own: Iterable[str],
        server_id: str = "",
        *,
        sending: Callable[[], None] = lambda: None,
        read: float | None = None,
    ) -> Answer:
        """Exchange once about the task with these ids; `sending` is called just before."""
        answer = self._throttled(path, body, sending, read)
        if answer.foreign(own, server_id):
            raise MalformedAnswerError(
                "the service's answer is about another task",
                hint=(
                    "it was ignored; if this keeps happening, ask the vendor, or check the "
                    "proxy in between"
                ),
            )
        return answer

    def _throttled(
        self,
        path: str,
        body: Mapping[str, Any],
        sending: Callable[[], None],
        read: float | None,
    ) -> Answer:
        """Exchange once, when the throttle permits it."""
        throttle = self._throttle
        if throttle is None:
            sending()
            return self.client.exchange(path, body, read=read)
        closed = throttle.closed_for()
        if closed > MAX_DELAY:
            text = f"the service asked for a pause; {closed:.0f} s of it are left"
            raise RateLimitError(text, retry_after=closed, hint="run it again after that")
        throttle.wait()
        sending()
        try:
            answer = self.client.exchange(path, body, read=read)
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
            hint=(
                f"set the real path: IMGOPEN_PATHS={operation.name}=/path, or %imgopen config "
                f"paths {operation.name}=/path; the sandbox needs no such setting"
            ),
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


def _queries(operation: Operation) -> tuple[str, ...]:
    """Return the queries that may know a task: one of the sd family is archived one day."""
    if operation.family == "sd" and operation.query:
        return "query-v2", "query-v1"
    return (operation.query,) if operation.query else ()


def _candidates(operation: Operation, task_id: str, server_id: str) -> Iterator[tuple[str, str]]:
    ids = [i for i in dict.fromkeys((task_id, server_id)) if i]
    for query in _queries(operation):
        for queried_id in ids:
            yield query, queried_id
