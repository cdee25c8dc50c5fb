"""HTTP: one exchange at a time, bounded in time and memory. The only user of requests."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import ipaddress
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, ReadTimeoutError

from . import __version__
from .errors import MalformedAnswerError, NetworkError, PictureError, RequestTimeoutError, clip
from .settings import LOOPBACK, Keys
from .wire import Answer, read_answer

MAX_ANSWER = 8 * 2**20
MAX_PICTURE = 25 * 2**20
MAX_REDIRECTS = 3


class Client:
    """The service at one address, with one pool of connections; safe to use from several threads.

    Args:
        base_url: the address, without the operation's path.
        keys: sent with every call as the two documented headers; None sends none (sandbox).
        connections: how many calls may run at once without opening further connections.
        connect, read, total: seconds to connect, between two reads, and for a whole answer.
    """

    def __init__(
        self,
        base_url: str,
        keys: Keys | None = None,
        *,
        connections: int = 16,
        connect: float = 5.0,
        read: float = 30.0,
        total: float = 60.0,
    ) -> None:
        self.base_url = base_url
        self._secrets = (keys.secret, keys.id) if keys else ()
        self._timeout = (connect, read)
        self._total = total
        self._http = _session(connections)
        self._http.proxies = _proxies(base_url)
        self._pictures = _session(connections)
        if keys:
            self._http.headers["X-Request-req-accessKeyId"] = keys.id
            self._http.headers["X-Request-req-accessKeySecret"] = keys.secret

    def exchange(self, path: str, body: Mapping[str, Any]) -> Answer:
        """POST a JSON body once and return the answer.

        Raises:
            NetworkError: no answer; its `sent` is False where the request surely did not leave.
            APIError: the service refused, failed, redirected or answered something else than JSON.
        """
        payload = json.dumps(body, ensure_ascii=False).encode()
        return self._post(path, payload, "application/json")

    def upload(self, data: bytes) -> str:
        """Give a local picture to the sandbox and return the URL that serves it there."""
        answer = self._post("/upload", data, "application/octet-stream")
        url = answer.data.get("url")
        if not isinstance(url, str):
            raise MalformedAnswerError("the sandbox's answer to the upload holds no URL")
        return url

    def download(self, url: str, *, trusted: bool = False, seconds: float = 15.0) -> bytes:
        """Return the picture file at `url`, without keys, at most 25 MiB.

        Args:
            url: an http(s) URL.
            trusted: the user gave it; otherwise it came over the wire, and addresses inside this
                machine's own networks are refused (the service's own address excepted).
            seconds: for the whole transfer.

        Raises:
            PictureError: it cannot be had within these limits.
        """
        deadline = time.monotonic() + seconds
        try:
            for _ in range(MAX_REDIRECTS + 1):
                self._check_address(url, trusted)
                with self._pictures.get(
                    url,
                    timeout=(5, 10),
                    stream=True,
                    allow_redirects=False,
                    proxies=_proxies(url),
                ) as response:
                    if not response.is_redirect:
                        return self._picture(response, url, deadline)
                    url = urljoin(url, response.headers["Location"])
        except PictureError:
            raise
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            raise PictureError(f"{clip(url, 120)} cannot be fetched ({_reason(error)})") from None
        raise PictureError(f"{clip(url, 120)} redirects more than {MAX_REDIRECTS} times")

    def version(self, url: str, seconds: float = 5.0, *, trusted: bool = True) -> str | None:
        """Return what tells this content of a URL that the user gave from any other.

        That is its ETag, or its date and length, or where its server names neither the hash of its
        bytes. None where the server cannot be reached.

        Raises:
            PictureError: the server has no such picture.
        """
        try:
            if not trusted and not self._may_be_asked(url):
                return None
            for method in ("HEAD", "GET"):
                with self._pictures.request(
                    method,
                    url,
                    timeout=(3, seconds),
                    stream=True,
                    allow_redirects=trusted,
                    proxies=_proxies(url),
                ) as response:
                    if response.status_code == 200 and (found := _validator(response)):
                        return found
                    if method == "GET":
                        if response.is_redirect or _passes(response.status_code):
                            return None
                        data = self._picture(response, url, time.monotonic() + 3 * seconds)
                        return f"sha256 {hashlib.sha256(data).hexdigest()}"
        except PictureError:
            raise
        except (requests.RequestException, HTTPError, OSError, ValueError):
            return None
        raise AssertionError("the second method returns or raises")

    def reach(self) -> float:
        """Return the seconds until any HTTP answer comes from the service; sends no keys.

        Raises:
            NetworkError: none comes.
        """
        begun = time.monotonic()
        try:
            with self._pictures.get(
                self.base_url,
                timeout=(5, 10),
                stream=True,
                allow_redirects=False,
                proxies=_proxies(self.base_url),
            ):
                return time.monotonic() - begun
        except (requests.RequestException, HTTPError) as error:
            raise self._network_error(error) from None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()
        self._pictures.close()

    def __repr__(self) -> str:
        return f"Client({self.base_url!r})"

    def _post(self, path: str, payload: bytes, content_type: str) -> Answer:
        url = self.base_url + path
        request = _prepared(url, {**self._http.headers, "Content-Type": content_type}, payload)
        try:
            with self._http.get_adapter(url).send(
                request,
                timeout=self._timeout,
                stream=True,
                verify=self._http.verify or True,
                proxies=self._http.proxies,
            ) as response:
                body = b"".join(self._read(response))
                return read_answer(self._scrub(body), response.status_code, response.headers)
        except (requests.RequestException, HTTPError) as error:
            raise self._network_error(error) from None

    def _read(self, response: requests.Response) -> Iterator[bytes]:
        deadline, size = time.monotonic() + self._total, 0
        for chunk in _chunks(response):
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
        """Take our own keys out of whatever the service echoes, before anything else sees it."""
        if self._secrets and b"\\" in body:  # JSON spells a sign in several ways: leave one
            with contextlib.suppress(ValueError, RecursionError):
                plain = json.dumps(json.loads(body), ensure_ascii=False)
                body = plain.encode("utf-8", "surrogatepass")
        for secret in self._secrets:
            if len(secret) >= 6:
                body = body.replace(secret.encode(), b"***")
        return body

    def _network_error(self, error: Exception) -> NetworkError:
        host = urlsplit(self.base_url).netloc
        sent = not _before_sending(error)
        if isinstance(error, (requests.Timeout, ReadTimeoutError)):
            limit = self._timeout[1] if sent else self._timeout[0]
            return RequestTimeoutError(
                f"{host} did not answer within {limit:g} s", sent=sent, hint=_NETWORK_HINT
            )
        return NetworkError(
            f"no answer from {host} ({_reason(error)})", sent=sent, hint=_NETWORK_HINT
        )

    def _may_be_asked(self, url: str) -> bool:
        try:
            self._check_address(url, trusted=False)
        except PictureError:
            return False
        return True

    def _check_address(self, url: str, trusted: bool) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise PictureError(f"{clip(url, 120)} is no http(s) URL")
        own = urlsplit(self.base_url)
        if trusted or (parts.hostname, parts.port) == (own.hostname, own.port):
            return
        for info in socket.getaddrinfo(parts.hostname, parts.port or 443):
            if not ipaddress.ip_address(str(info[4][0]).partition("%")[0]).is_global:
                raise PictureError(f"{clip(url, 120)} points into a private network; not fetched")

    @staticmethod
    def _picture(response: requests.Response, url: str, deadline: float) -> bytes:
        if response.status_code != 200:
            raise PictureError(f"{clip(url, 120)} answers HTTP {response.status_code}")
        parts, size = [], 0
        for chunk in _chunks(response):
            size += len(chunk)
            if size > MAX_PICTURE:
                raise PictureError(f"{clip(url, 120)} is larger than {MAX_PICTURE >> 20} MiB")
            if time.monotonic() > deadline:
                raise PictureError(f"{clip(url, 120)} takes too long")
            parts.append(chunk)
        return b"".join(parts)


def _passes(http_status: int) -> bool:
    """Whether a failure says nothing of the picture: its server is in trouble, or too busy."""
    return http_status >= 500 or http_status in (408, 425, 429)


def _validator(response: requests.Response) -> str | None:
    headers = response.headers
    if headers.get("ETag"):
        return _short(f"etag {headers['ETag'].removeprefix('W/')}")
    if headers.get("Last-Modified") and headers.get("Content-Length"):
        return _short(f"date {headers['Last-Modified']} length {headers['Content-Length']}")
    return None


def _short(text: str) -> str:
    """Return a text as it is, or its hash where it is long: two long ones must stay two."""
    return text if len(text) <= 200 else f"hash {hashlib.sha256(text.encode()).hexdigest()}"


_NETWORK_HINT = "check the connection and the address (%imgopen config)"


@functools.lru_cache(maxsize=256)
def _proxies_of_host(scheme: str, host: str) -> tuple[tuple[str, str], ...]:
    return tuple(requests.utils.get_environ_proxies(f"{scheme}://{host}").items())


def _proxies(url: str) -> dict[str, str]:
    """Return the environment's proxies for a URL, read once per host; none on this machine."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return {} if host in LOOPBACK else dict(_proxies_of_host(parts.scheme, host))


def _session(connections: int) -> requests.Session:
    """Make a session with its pool sized, that does not look at the environment at every call."""
    session = requests.Session()
    session.verify = (
        os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
    )
    session.trust_env = False
    session.headers["User-Agent"] = f"imgopen_nb/{__version__}"
    session.headers["Accept-Encoding"] = "identity"
    adapter = HTTPAdapter(pool_connections=4, pool_maxsize=connections)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _prepared(url: str, headers: Mapping[str, Any], body: bytes) -> requests.PreparedRequest:
    """Return a request as `Session.post` would make it, at a third of the cost.

    Redirects, cookies and netrc, which a session looks after, are not wanted here.
    """
    request = requests.PreparedRequest()
    request.method, request.url, request.body = "POST", url, body
    request.headers = requests.structures.CaseInsensitiveDict(headers)
    request.headers["Content-Length"] = str(len(body))
    request.hooks = {"response": []}
    return request


def _chunks(response: requests.Response) -> Iterator[bytes]:
    """Yield what has arrived as it arrives: `iter_content` would wait for full chunks."""
    while chunk := response.raw.read1(65536, decode_content=True):
        yield chunk


def _before_sending(error: Exception) -> bool:
    if isinstance(error, (requests.ConnectTimeout, requests.exceptions.ProxyError)):
        return True
    text = repr(error)
    marks = ("NewConnectionError", "NameResolutionError", "CERTIFICATE_VERIFY_FAILED")
    return isinstance(error, requests.ConnectionError) and any(mark in text for mark in marks)


# What to call a failure, by what its text holds; the text itself is too technical to show.
_REASONS = (
    ("NameResolutionError", "its name cannot be resolved"),
    ("Connection refused", "connection refused"),
    ("CERTIFICATE_VERIFY_FAILED", "its certificate cannot be verified"),
    ("SSL", "the encrypted connection failed"),
    ("Proxy", "the proxy cannot be reached"),
    ("ConnectTimeout", "no connection in time"),
    ("timed out", "timed out"),
    ("Remote end closed", "the connection was closed without an answer"),
    ("reset", "the connection was reset"),
    ("IncompleteRead", "the answer was cut off"),
)


def _reason(error: BaseException) -> str:
    text = repr(error)
    return next((reason for mark, reason in _REASONS if mark in text), type(error).__name__)
