"""Fetching pictures: bounded in time and memory, without keys, from nowhere inside this network."""

from __future__ import annotations

import functools
import hashlib
import ipaddress
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from .._version import __version__
from ..config.settings import LOOPBACK
from ..errors import PictureError
from ..text import clip

MAX_PICTURE = 25 * 2**20
MAX_REDIRECTS = 3


class Downloader:
    """Fetches pictures; safe to use from several threads.

    Args:
        own_address: returns the service's present address, "" while there is none; its own
            pictures may lie in a private network.
        connections: how many calls may run at once without opening further connections.
    """

    def __init__(self, own_address: Callable[[], str] = lambda: "", connections: int = 16) -> None:
        self._own_address = own_address
        self._pictures = session(connections)

    def close(self) -> None:
        """Close the connections."""
        self._pictures.close()

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
                    proxies=proxies(url),
                ) as response:
                    if not response.is_redirect:
                        return self._picture(response, url, deadline)
                    url = urljoin(url, response.headers["Location"])
        except PictureError:
            raise
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            raise PictureError(f"{clip(url, 120)} cannot be fetched ({reason(error)})") from None
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
                    proxies=proxies(url),
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
        own = urlsplit(self._own_address())
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
        for chunk in chunks(response):
            size += len(chunk)
            if size > MAX_PICTURE:
                raise PictureError(f"{clip(url, 120)} is larger than {MAX_PICTURE >> 20} MiB")
            if time.monotonic() > deadline:
                raise PictureError(f"{clip(url, 120)} takes too long")
            parts.append(chunk)
        return b"".join(parts)


def small_json(url: str, most: int = 4096) -> dict[str, Any]:
    """Return the JSON object at an address of our own server, {} where there is none."""
    try:
        with (
            session(1) as http,
            http.get(
                url, timeout=(3, 5), stream=True, allow_redirects=False, proxies=proxies(url)
            ) as response,
        ):
            content = json.loads(response.raw.read(most, decode_content=True))
    except (requests.RequestException, HTTPError, OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


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


@functools.lru_cache(maxsize=256)
def _proxies_of_host(scheme: str, host: str) -> tuple[tuple[str, str], ...]:
    return tuple(requests.utils.get_environ_proxies(f"{scheme}://{host}").items())


def proxies(url: str) -> dict[str, str]:
    """Return the environment's proxies for a URL, read once per host; none on this machine."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return {} if host in LOOPBACK else dict(_proxies_of_host(parts.scheme, host))


def session(connections: int) -> requests.Session:
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


def chunks(response: requests.Response) -> Iterator[bytes]:
    """Yield what has arrived as it arrives: `iter_content` would wait for full chunks."""
    while chunk := response.raw.read1(65536, decode_content=True):
        yield chunk


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


def reason(error: BaseException) -> str:
    """Return what to call a failure before people."""
    text = repr(error)
    return next((said for mark, said in _REASONS if mark in text), type(error).__name__)
