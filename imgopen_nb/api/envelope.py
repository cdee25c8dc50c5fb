"""Parses answers: the envelope {code, msg, data}, its failure codes as errors, its statuses.

Nothing here does I/O; `client.py` sends and receives.
"""

from __future__ import annotations

import email.utils
import math
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ..catalogue.operation import Operation, find
from ..catalogue.status import KNOWS_AT_ONCE, STATUSES, State
from ..errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    MalformedAnswerError,
    NotFoundError,
    RateLimitError,
    RedirectError,
    RefusedError,
    ServerError,
)
from ..sandbox.process import TOKEN_VARIABLE
from ..text import as_text, clip, decode_json
from .rate_limit import MAX_PAUSE

SUCCESS = "200"
MAX_CODE = 20  # characters
# The names under which an answer may give the id that a request carried, and the service's own.
OWN_IDS = ("businessTaskId", "business_task_id", "id_task")
SERVER_IDS = ("task_id", "taskId")
# What the message of an envelope says when the envelope is in order, whatever became of the task.
_NO_REASON = ("success", "succeeded", "ok", "成功", "操作成功")
_STATUS = re.compile(r"\s*(-?[0-9]{1,9})\s*")
# The error for each failure code. The vendor documents no codes: these have their HTTP meaning.
ERRORS: dict[str, type[APIError]] = {
    "400": BadRequestError,
    "401": AuthenticationError,
    "403": AuthenticationError,
    "404": NotFoundError,
    "405": BadRequestError,
    "413": BadRequestError,
    "415": BadRequestError,
    "422": BadRequestError,
    "429": RateLimitError,
    "501": BadRequestError,
}
HINTS: dict[type[APIError], str] = {
    AuthenticationError: "check the access key: %imgopen login, or the two environment variables",
    BadRequestError: "check the parameters (--help) and the address (%imgopen config)",
    NotFoundError: "",
    RateLimitError: "wait a moment, then run it again",
    ServerError: "the service has a problem; try again later",
    RefusedError: "the vendor does not document its error codes; the message above is all it says",
}


@dataclass(frozen=True)
class Answer:
    """The content of a successful envelope."""

    data: Mapping[str, Any]
    msg: str = ""
    http_status: int = 200

    @property
    def server_id(self) -> str:
        """The service's own id of the task: task_id, taskId or (if nothing else) id_task."""
        return next(_ids(self.data, (*SERVER_IDS, "id_task")), "")

    def foreign(self, own: Iterable[str], server_id: str = "") -> bool:
        """Whether this answer names a task, and not the one that it should be about.

        Args:
            own: the ids that we sent.
            server_id: the service's id of the task, "" while it is not known: any is taken then.
        """
        names = (*OWN_IDS, *SERVER_IDS) if server_id else OWN_IDS
        found = set(_ids(self.data, names))
        return bool(found) and found.isdisjoint((*own, server_id))

    @property
    def status(self) -> int | str | None:
        """The status as a number if it is one, else as sent, but shortened."""
        value = _whole(self.data.get("status"))
        if isinstance(value, str) and (number := _STATUS.fullmatch(value)):
            return int(number[1])
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        return clip(as_text(value), 40)

    @property
    def explanation(self) -> str:
        """What the service says about a failure."""
        for name in ("errorMessage", "error", "msg", "desc"):
            if isinstance(self.data.get(name), str) and self.data[name].strip():
                return clip(self.data[name], 500)
        return "" if self.msg.strip().lower() in _NO_REASON else clip(self.msg, 500)

    @property
    def progress(self) -> float | None:
        """The progress, 0 to 1. The name of the field is a guess: it is not documented."""
        for holder in (self.data.get("temporaryImageDto"), self.data):
            value = holder.get("percentage") if isinstance(holder, Mapping) else None
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                return min(100, max(0, value)) / 100
        return None

    @property
    def preview(self) -> str:
        """URL of the intermediate image, or "". The name of the field is a guess too."""
        url = find(self.data, "temporaryImageDto.imageUrl")
        return url if isinstance(url, str) and url.startswith(("http://", "https://")) else ""

    def state(self, operation: Operation) -> State | None:
        """Return the state that this answer reports, None for a status that is not documented."""
        if operation.family == "list" or not operation.query:
            return State.SUCCEEDED
        if self.status is None:
            return State.SUBMITTED
        state = (
            STATUSES[operation.family].get(self.status) if isinstance(self.status, int) else None
        )
        if state is State.FAILED and operation.zero_may_succeed and self.output(operation):
            return State.SUCCEEDED
        return state

    def output(self, operation: Operation) -> Any:
        """Return the operation's result in this answer, None if there is none."""
        return find(self.data, operation.output) if operation.output else None


def parse_answer(
    body: bytes | str,
    http_status: int = 200,
    headers: Mapping[str, str] | None = None,
    hide: Callable[[str], str] = str,
) -> Answer:
    """Return the content of an answer, or raise the error that it reports.

    Args:
        body: JSON; see `decode_json` for what becomes of text and numbers that are none.
        http_status: the status of HTTP.
        headers: those of HTTP.
        hide: puts *** where our own keys are in a text.

    Raises:
        APIError: the subclass that fits the code, the HTTP status or the malformed body.
    """
    headers = headers or {}
    if 300 <= http_status < 400:
        # Before and after, as host names are written in small letters.
        raise _redirect(hide(_host(hide(headers.get("Location", "")))), http_status)
    try:
        code, msg, data = _envelope(body, hide)
    except MalformedAnswerError as error:
        if http_status >= 400:
            failure = _failure(str(http_status), "", http_status, headers)
            failure.message = f"the service answered HTTP {http_status} without JSON"
            failure.by_service = False
            raise failure from None
        error.http_status = http_status
        raise
    if http_status >= 400 and code == SUCCESS and data.get("status") is None:
        code = str(http_status)  # where it tells how a task stands, that counts
    if code != SUCCESS:
        raise _failure(code, msg, http_status, headers)
    return Answer(data, msg, http_status)


def sent_ids(body: Mapping[str, Any]) -> list[str]:
    """Return the ids of its task that the body of a submission holds."""
    inner = body.get("alwayson_scripts")
    places = (body, inner if isinstance(inner, Mapping) else {})
    return [each for place in places for each in _ids(place, (*OWN_IDS, *SERVER_IDS))]


def _whole(value: Any) -> Any:
    """Return a number without a fraction as an integer: for JSON, 2 and 2.0 are the same."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _ids(fields: Mapping[str, Any], names: Iterable[str]) -> Iterator[str]:
    for value in map(fields.get, names):
        if isinstance(value, (str, int)) and not isinstance(value, bool) and value != "":
            yield clip(value, 128)


def _envelope(body: bytes | str, hide: Callable[[str], str]) -> tuple[str, str, Mapping[str, Any]]:
    if not body.strip():
        raise MalformedAnswerError("the service's answer is empty", hint=_HINT)
    try:
        content = decode_json(body, hide)
    except (ValueError, RecursionError):
        text = f"the service answered with {_description(body)}"
        raise MalformedAnswerError(text, hint=_HINT) from None
    if not isinstance(content, dict):
        raise MalformedAnswerError("the service's answer is JSON, but not an object", hint=_HINT)
    code, msg, data = _whole(content.get("code")), content.get("msg"), content.get("data")
    # The documentation says string. A number is accepted too, so that no paid answer is lost.
    usable = isinstance(code, (str, int)) and not isinstance(code, bool)
    code = str(code).strip() if usable else ""
    if not 0 < len(code) <= MAX_CODE:
        raise MalformedAnswerError("the service's answer has no usable code", hint=_HINT)
    if data is not None and not isinstance(data, dict):
        raise MalformedAnswerError("the data in the service's answer is not an object", hint=_HINT)
    if data is None and "status" in content:  # as in a callback, data alone is taken too
        data = {name: value for name, value in content.items() if name not in ("code", "msg")}
    return code, clip(msg, 500) if isinstance(msg, str) else "", data or {}


_TOKEN_HINT = f"set {TOKEN_VARIABLE} to that token, then start this program or kernel again"
_HINT = (
    "expected JSON with code, msg and data: check the address, and whether a proxy is in between"
)


def _description(body: bytes | str) -> str:
    head = body[:1000].strip().lower()
    head = head if isinstance(head, str) else head.decode("latin-1")
    if head.startswith(("<!doctype", "<head", "<?xml")) or "<html" in head[:200]:
        return "a web page instead of JSON"
    if head.startswith("{"):
        return "JSON that is cut off or broken"
    return "something that is not JSON"


def _failure(code: str, msg: str, http_status: int, headers: Mapping[str, str]) -> APIError:
    kind = ERRORS.get(code) or ERRORS.get(str(http_status))
    if kind is None:
        server = http_status >= 500 or (len(code) == 3 and code.startswith("5"))
        kind = ServerError if server else RefusedError
    if kind is RefusedError and http_status >= 400:
        kind = BadRequestError
    text = f"the service answered code {code}" + (f": {msg}" if msg else "")
    hint = _TOKEN_HINT if TOKEN_VARIABLE in msg else HINTS.get(kind, "")
    more: dict[str, Any] = {"hint": hint, "code": code, "http_status": http_status}
    if kind is RateLimitError:
        more["retry_after"] = retry_after(headers)
    error = kind(text, **more)
    error.knows_at_once = headers.get(KNOWS_AT_ONCE) == "1"
    return error


def _redirect(host: str, http_status: int) -> RedirectError:
    host = clip(host, 100) or "another address"
    return RedirectError(
        f"the service redirects to {host}; the request was not repeated there, because that "
        "would send your keys along",
        hint="if that is the right address, set IMGOPEN_BASE_URL to it",
        http_status=http_status,
    )


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:  # such as http://[::1
        return ""


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds in Retry-After-Ms or Retry-After (seconds or an HTTP date), or None."""
    for name, scale in (("Retry-After-Ms", 0.001), ("Retry-After", 1.0)):
        seconds = _float(headers.get(name, ""))
        if seconds is not None:
            return min(max(0.0, seconds * scale), MAX_PAUSE)
    try:
        date = email.utils.parsedate_to_datetime(headers.get("Retry-After", ""))
        return min(max(0.0, date.timestamp() - time.time()), MAX_PAUSE)
    except (TypeError, ValueError, OverflowError, IndexError):
        return None


def _float(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
