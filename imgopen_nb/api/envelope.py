"""Parses answers: the envelope {code, msg, data}, its failure codes as errors, its statuses.

Nothing here does I/O; `client.py` sends and receives.
"""

from __future__ import annotations

import email.utils
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..catalogue.operation import Operation, find
from ..catalogue.status import STATUSES, State
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
from ..text import clip

SUCCESS = "200"
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
    NotFoundError: "",
    RateLimitError: "wait a little and run it again",
    ServerError: "the trouble is on the service's side; try again later",
    RefusedError: "the vendor does not document its failure codes; the text above is all it says",
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
        for name in ("task_id", "taskId", "id_task"):
            value = self.data.get(name)
            if isinstance(value, (str, int)) and not isinstance(value, bool) and value != "":
                return clip(value, 128)
        return ""

    @property
    def status(self) -> int | str | None:
        """The status as a number if it is one, else as sent, but shortened."""
        value = self.data.get("status")
        if isinstance(value, str) and value.strip().lstrip("-").isdigit() and len(value) < 10:
            return int(value)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        return clip(value, 40)

    @property
    def explanation(self) -> str:
        """What the service says about a failure."""
        for name in ("errorMessage", "error", "msg", "desc"):
            if isinstance(self.data.get(name), str) and self.data[name].strip():
                return clip(self.data[name], 500)
        return clip(self.msg, 500)

    @property
    def progress(self) -> float | None:
        """The progress, 0 to 1. The name of the field is a guess: it is not documented."""
        for holder in (self.data.get("temporaryImageDto"), self.data):
            value = holder.get("percentage") if isinstance(holder, Mapping) else None
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                return min(1.0, max(0.0, value / 100))
        return None

    @property
    def preview(self) -> str:
        """URL of the intermediate picture, or "". The name of the field is a guess too."""
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


def parse_answer(body: bytes, http_status: int, headers: Mapping[str, str]) -> Answer:
    """Return the content of an answer, or raise the error that it reports.

    Raises:
        APIError: the subclass that fits the code, the HTTP status or the malformed body.
    """
    if 300 <= http_status < 400:
        raise _redirect(headers, http_status)
    try:
        code, msg, data = _envelope(body)
    except MalformedAnswerError as error:
        if http_status >= 400:
            raise _failure(str(http_status), f"HTTP {http_status}", http_status, headers) from None
        error.http_status = http_status
        raise
    if http_status >= 400 and code == SUCCESS:
        code = str(http_status)
    if code != SUCCESS:
        raise _failure(code, msg, http_status, headers)
    return Answer(data, msg, http_status)


def _envelope(body: bytes) -> tuple[str, str, Mapping[str, Any]]:
    if not body.strip():
        raise MalformedAnswerError("the service answered with nothing", hint=_HINT)
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        text = f"the service answered with {_description(body)}"
        raise MalformedAnswerError(text, hint=_HINT) from None
    if not isinstance(content, dict):
        raise MalformedAnswerError("the service answered with JSON that is no object", hint=_HINT)
    code, msg, data = content.get("code"), content.get("msg"), content.get("data")
    # The documentation says string. A number is accepted too, so that no paid answer is lost.
    if isinstance(code, bool) or not isinstance(code, (str, int)) or code == "":
        raise MalformedAnswerError("the service's answer has no usable code", hint=_HINT)
    if data is not None and not isinstance(data, dict):
        raise MalformedAnswerError("the service's answer has data that is no object", hint=_HINT)
    return clip(code, 20), clip(msg, 500) if isinstance(msg, str) else "", data or {}


_TOKEN_HINT = f"set {TOKEN_VARIABLE} to that token, then start this program or kernel again"
_HINT = "JSON with code, msg and data was expected: is the address right, or a proxy in between?"


def _description(body: bytes) -> str:
    head = body.lstrip()[:200].lower()
    if head.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")) or b"<html" in head:
        return "a web page instead of JSON"
    if head.startswith(b"{"):
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
    return kind(text, **more)


def _redirect(headers: Mapping[str, str], http_status: int) -> RedirectError:
    from urllib.parse import urlsplit

    host = clip(urlsplit(headers.get("Location", "")).hostname or "another address", 100)
    return RedirectError(
        f"the service redirects to {host}; the request was not repeated there, "
        "because the keys would have gone along",
        hint="if that is the true address, set IMGOPEN_BASE_URL to it",
        http_status=http_status,
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds in Retry-After-Ms or Retry-After (seconds or an HTTP date), or None."""
    for name, scale in (("Retry-After-Ms", 0.001), ("Retry-After", 1.0)):
        seconds = _float(headers.get(name, ""))
        if seconds is not None:
            return max(0.0, seconds * scale)
    try:
        date = email.utils.parsedate_to_datetime(headers.get("Retry-After", ""))
    except (TypeError, ValueError):
        return None
    return max(0.0, date.timestamp() - time.time())


def _float(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
