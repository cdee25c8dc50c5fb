"""Single HTTP exchanges with the service, bounded in time and memory."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import ReadTimeoutError

from ..config.credentials import Keys, NotPickled, Secret, frameless, hide
from ..errors import APIError, MalformedAnswerError, NetworkError, RequestTimeoutError
from ..media.fetch import (
    TROUBLE,
    USER_AGENT,
    Adapter,
    announced,
    ca_bundle,
    chunks,
    proxies,
    reason,
)
from ..media.network import Deadline
from ..text import hide_signatures
from .envelope import Answer, parse_answer
from .http import prepare, surely_unsent

MAX_ANSWER = 8 * 2**20
# Seconds that a submission may take: between two reads, and until the whole answer is there. A
# service that loads its images before it answers is slow, and giving up costs a search.
SUBMISSION_READ = 90.0
SUBMISSION_TOTAL = 120.0
CONNECTIONS = 16  # that are kept open


class Client(NotPickled):
    """An HTTP client for one address with a connection pool; safe to use from several threads.

    Args:
        base_url: the address, without an operation's path.
        keys: sent with each request in the two documented headers; None for a sandbox.
        headers: other headers for each request; their values are secrets too.
        connect, read, total: seconds to connect, between two reads, and for the whole exchange.
    """

    def __init__(
        self,
        base_url: str,
        keys: Keys | None = None,
        *,
        headers: Mapping[str, Secret] | None = None,
        connect: float = 5.0,
        read: float = 30.0,
        total: float = 60.0,
    ) -> None:
        self.base_url = base_url
        headers = dict(headers or {})
        if keys:
            headers["X-Request-req-accessKeyId"] = keys.id
            headers["X-Request-req-accessKeySecret"] = keys.secret
        self._secrets = tuple(headers.values())
        self._limits = (connect, read, total)
        self._proxies = proxies(base_url)
        self._verify = ca_bundle()
        fixed = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
        self._headers: dict[str, Any] = {**fixed, **headers}  # http.client calls `encode`
        self.after_fork()

    def after_fork(self) -> None:
        """Make the connection pool; a forked child does so again."""
        self._adapter = Adapter(CONNECTIONS)

    def exchange(self, path: str, body: Mapping[str, Any], *, read: float | None = None) -> Answer:
        """POST a JSON body once and return the answer.

        Args:
            path: the operation's path.
            body: the JSON object.
            read: seconds between two reads, for a submission, which may take SUBMISSION_TOTAL
                seconds in all; None for the limits of this client.

        Raises:
            NetworkError: no answer; `sent` is False if the request certainly was not sent.
            APIError: the service refused, failed, redirected, or did not answer with JSON.
        """
        payload = json.dumps(body, ensure_ascii=False).encode()
        return self._post(path, payload, "application/json", read)

    def upload(self, data: bytes) -> str:
        """Upload a local image to the sandbox and return its URL there.

        Raises:
            APIError: see `exchange`.
        """
        answer = self._post("/upload", data, "application/octet-stream")
        url = answer.data.get("url")
        if not isinstance(url, str) or not re.fullmatch(r"https?://\S{1,4000}", url):
            raise MalformedAnswerError("the sandbox's answer to the upload has no URL")
        return url

    def ping(self) -> float:
        """Return the seconds until the service gives any HTTP answer; sends no keys.

        Raises:
            NetworkError: there is no answer.
        """
        begun = time.monotonic()
        limits = (self._limits[0], 10.0, 15.0)
        request = prepare("GET", self.base_url, {"User-Agent": USER_AGENT})

        def exchanged() -> float:
            with Deadline(limits[2]) as deadline:
                try:
                    with self._send(request, deadline, limits):
                        return time.monotonic() - begun
                except TROUBLE as error:
                    raise self._network_error(error, deadline, limits) from None

        return frameless(exchanged)  # a proxy's password is among its variables

    def close(self) -> None:
        """Close the connections."""
        self._adapter.close()

    def _hide(self, text: str) -> str:
        """Return a text of the service without our keys and signed addresses."""
        return hide_signatures(hide(self._secrets, text))

    def __repr__(self) -> str:
        return f"Client({self.base_url!r})"

    def _post(
        self, path: str, payload: bytes, content_type: str, read: float | None = None
    ) -> Answer:
        connect, usual, total = self._limits
        limits = (connect, read, SUBMISSION_TOTAL) if read else (connect, usual, total)
        headers = {**self._headers, "Content-Type": content_type}
        request = prepare("POST", self.base_url + path, headers, payload)
        return frameless(lambda: self._exchanged(request, limits))

    def _exchanged(
        self, request: requests.PreparedRequest, limits: tuple[float, float, float]
    ) -> Answer:
        with Deadline(limits[2]) as deadline:
            try:
                with self._send(request, deadline, limits) as response:
                    body, status = self._read(response), response.status_code
                    if deadline.late:  # and what was read may have been cut off
                        raise TimeoutError
            except APIError:
                raise
            except TROUBLE as error:
                raise self._network_error(error, deadline, limits) from None
        return parse_answer(body, status, response.headers, self._hide)

    def _send(
        self,
        request: requests.PreparedRequest,
        deadline: Deadline,
        limits: tuple[float, float, float],
    ) -> requests.Response:
        return self._adapter.exchange(
            request, deadline, limits[:2], proxies=self._proxies, verify=self._verify
        )

    def _read(self, response: requests.Response) -> bytes:
        if response.status_code < 200 or response.status_code == 204:
            return b""  # it has no body; what follows all the same belongs to nothing
        size, body = announced(response) or 0, bytearray()
        if size <= MAX_ANSWER:
            for chunk in chunks(response):
                body += chunk
                if len(body) > MAX_ANSWER:
                    break
        if max(size, len(body)) > MAX_ANSWER:
            raise MalformedAnswerError(
                f"the service's answer is longer than {MAX_ANSWER >> 20} MiB; it was cut off",
                http_status=response.status_code,
            )
        return bytes(body)

    def _network_error(
        self, error: Exception, deadline: Deadline, limits: tuple[float, float, float]
    ) -> APIError:
        """Return what to tell of a failed exchange."""
        host = urlsplit(self.base_url).netloc
        sent = not surely_unsent(error)
        more: dict[str, Any] = {"sent": sent, "hint": _NETWORK_HINT}
        if sent and deadline.late:
            text = f"the answer of {host} was not complete after {deadline.seconds:g} s"
            return RequestTimeoutError(text, **more)
        if isinstance(error, (requests.Timeout, ReadTimeoutError)):
            return RequestTimeoutError(
                f"{host} did not answer within {limits[1] if sent else limits[0]:g} s", **more
            )
        return NetworkError(f"no answer from {host} ({reason(error)})", **more)


_NETWORK_HINT = "check the connection and the address (%imgopen config)"
