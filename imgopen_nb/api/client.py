"""Single HTTP exchanges with the service, bounded in time and memory."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError, ReadTimeoutError

from ..config.credentials import Keys, Secret
from ..errors import MalformedAnswerError, NetworkError, RequestTimeoutError
from ..media.fetch import USER_AGENT, chunks, proxies, reason
from .envelope import Answer, parse_answer
from .http import mount_pools, new_session, prepare, surely_unsent

MAX_ANSWER = 8 * 2**20


class Client:
    """An HTTP client for one address with a connection pool; safe to use from several threads.

    Args:
        base_url: the address, without an operation's path.
        keys: sent with each request in the two documented headers; None for a sandbox.
        headers: other headers for each request; their values are secrets too.
        connect, read, total: seconds to connect, between two reads, and for a complete answer.
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
        more = headers or {}
        self._secrets = ((keys.secret, keys.id) if keys else ()) + tuple(more.values())
        self._timeout = (connect, read)
        self._total = total
        self._http = new_session()
        self._http.proxies = proxies(base_url)
        self._http.headers.update(more)
        if keys:
            self._http.headers["X-Request-req-accessKeyId"] = keys.id
            self._http.headers["X-Request-req-accessKeySecret"] = keys.secret
        self.after_fork()

    def after_fork(self) -> None:
        """Make the connection pool; a forked child does so again."""
        mount_pools(self._http)

    def exchange(self, path: str, body: Mapping[str, Any]) -> Answer:
        """POST a JSON body once and return the answer.

        Raises:
            NetworkError: no answer; `sent` is False if the request certainly was not sent.
            APIError: the service refused, failed, redirected, or did not answer with JSON.
        """
        payload = json.dumps(body, ensure_ascii=False).encode()
        return self._post(path, payload, "application/json")

    def upload(self, data: bytes) -> str:
        """Upload a local picture to the sandbox and return its URL there.

        Raises:
            APIError: see `exchange`.
        """
        answer = self._post("/upload", data, "application/octet-stream")
        url = answer.data.get("url")
        if not isinstance(url, str):
            raise MalformedAnswerError("the sandbox's answer to the upload holds no URL")
        return url

    def ping(self) -> float:
        """Return the seconds until the service gives any HTTP answer; sends no keys.

        Raises:
            NetworkError: there is no answer.
        """
        begun = time.monotonic()
        try:
            request = prepare("GET", self.base_url, {"User-Agent": USER_AGENT})
            with self._send(request, (5, 10)):
                return time.monotonic() - begun
        except (requests.RequestException, HTTPError) as error:
            raise self._network_error(error) from None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __repr__(self) -> str:
        return f"Client({self.base_url!r})"

    def _post(self, path: str, payload: bytes, content_type: str) -> Answer:
        headers = {**self._http.headers, "Content-Type": content_type}
        request = prepare("POST", self.base_url + path, headers, payload)
        try:
            with self._send(request, self._timeout) as response:
                body = self._scrub(b"".join(self._read(response)))
                return parse_answer(body, response.status_code, response.headers)
        except (requests.RequestException, HTTPError) as error:
            raise self._network_error(error) from None

    def _send(
        self, request: requests.PreparedRequest, timeout: tuple[float, float]
    ) -> requests.Response:
        return self._http.get_adapter(self.base_url).send(
            request,
            timeout=timeout,
            stream=True,
            verify=self._http.verify or True,
            proxies=self._http.proxies,
        )

    def _read(self, response: requests.Response) -> Iterator[bytes]:
        deadline, size = time.monotonic() + self._total, 0
        for chunk in chunks(response):
            size += len(chunk)
            if size > MAX_ANSWER:
                raise MalformedAnswerError(
                    f"the service's answer is longer than {MAX_ANSWER >> 20} MiB; it was cut off",
                    http_status=response.status_code,
                )
            if time.monotonic() > deadline:
                raise RequestTimeoutError(f"the answer was not complete after {self._total:g} s")
            yield chunk

    def _scrub(self, body: bytes) -> bytes:
        """Replace our own keys in an answer that repeats them, before it is used anywhere."""
        if self._secrets and b"\\" in body:  # JSON can escape a character in several ways: use one
            with contextlib.suppress(ValueError, RecursionError):
                plain = json.dumps(json.loads(body), ensure_ascii=False)
                body = plain.encode("utf-8", "surrogatepass")
        for secret in self._secrets:
            if len(secret) >= 6:
                body = body.replace(secret.encode(), b"***")
        return body

    def _network_error(self, error: Exception) -> NetworkError:
        host = urlsplit(self.base_url).netloc
        sent = not surely_unsent(error)
        if isinstance(error, (requests.Timeout, ReadTimeoutError)):
            limit = self._timeout[1] if sent else self._timeout[0]
            return RequestTimeoutError(
                f"{host} did not answer within {limit:g} s", sent=sent, hint=_NETWORK_HINT
            )
        return NetworkError(
            f"no answer from {host} ({reason(error)})", sent=sent, hint=_NETWORK_HINT
        )


_NETWORK_HINT = "check the connection and the address (%imgopen config)"
