"""Fetches files over HTTP: bounded in time, size and redirects, from addresses that were checked.

Built on requests' adapter and urllib3's pools, without requests' sessions: no cookies and no netrc.
Importing this loads requests, so programs that start often import it inside a function.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import queue
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from functools import lru_cache, partial
from typing import Any
from urllib.parse import urljoin, urlsplit
from weakref import WeakSet

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    IncompleteRead,
    NameResolutionError,
    ProxyError,
    ReadTimeoutError,
)

from .._version import __version__
from ..errors import PictureError
from ..text import clip
from .content_encoding import PIECE, UnreadableEncodingError, unpacked
from .formats import MAX_BYTES
from .network import LOOPBACK, Deadline, is_public

MAX_REDIRECTS = 3
CONNECT_SECONDS = 5.0
READ_SECONDS = 10.0
MAX_URL = 16_000  # characters; preparing a longer one may take seconds
USER_AGENT = f"imgopen_nb/{__version__}"
HEADERS = {
    "User-Agent": USER_AGENT,
    "Accept": "image/*,*/*;q=0.5",
    "Accept-Encoding": "identity",
}
_DEFAULT_PORTS = {"http": 80, "https": 443}


class FetchError(PictureError):
    """A file cannot be fetched; `final` if its server answered so, and would answer so again."""

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


class Answer:
    """A server's answer whose body has not been read yet."""

    def __init__(self, response: requests.Response, host: str, deadline: Deadline) -> None:
        self.status: int = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self._response, self._host, self._deadline = response, host, deadline

    def read(self, most: int = MAX_BYTES) -> bytes:
        """Return the body, decompressed.

        Args:
            most: how many bytes it may have.

        Raises:
            FetchError: the server has no such file, or it has too many bytes.
        """
        if self.status != 200:
            name = http.client.responses.get(self.status, "")
            text = f"{self._host} answered {self.status} {name}".rstrip()
            raise FetchError(text, final=not server_in_trouble(self.status))
        length = announced(self._response)
        data = bytearray()
        if (length or 0) <= most:
            for chunk in chunks(self._response):
                data += chunk
                if len(data) > most or self._deadline.late:
                    break
        if max(len(data), length or 0) > most:
            limit = f"{most // 10**6} MB" if most >= 10**6 else f"{most} bytes"
            raise FetchError(f"the file is too large: the limit is {limit}", final=True)
        return bytes(data)


class Fetcher:
    """Fetches files; safe to use from several threads.

    Args:
        connections: how many connections to one server are kept open for the next file.
    """

    def __init__(self, connections: int = 4) -> None:
        self._connections = connections
        self._verify = ca_bundle()
        self.after_fork()

    def after_fork(self) -> None:
        """Make the pools of connections; a forked child does so again."""
        # Two pools: a connection that was made for a trusted address, perhaps into a private
        # network, never serves one that came from a server.
        self._trusted, self._untrusted = (Adapter(self._connections) for _ in range(2))

    def fetch(self, url: str, *, trusted: bool, seconds: float, own: str = "") -> bytes:
        """Return what an http(s) URL holds; see `open`."""
        with self.open(url, trusted=trusted, seconds=seconds, own=own) as answer:
            return answer.read()

    @contextlib.contextmanager
    def open(
        self,
        url: str,
        *,
        trusted: bool,
        seconds: float,
        own: str = "",
        method: str = "GET",
        redirects: int = MAX_REDIRECTS,
    ) -> Iterator[Answer]:
        """Send one request, follow its redirects, and give the answer.

        Args:
            url: an http or https URL; what people leave unescaped, such as a space, is escaped.
            trusted: the user gave the URL. Otherwise only public addresses are connected to.
            seconds: for everything until the block ends, apart from asking the name server.
            own: the URL of the service, which is trusted wherever it is.
            method: "GET" or "HEAD".
            redirects: how many are followed. The user gave the first server and no other: a
                redirect to another one is followed to public addresses only.

        Raises:
            FetchError: says in one line why there is no file: unreachable, too large, too slow ...
        """
        url = url.strip()
        host = _host(url)
        with Deadline(seconds) as deadline:
            for _ in range(redirects + 1):
                try:
                    with self._send(method, url, trusted, own, deadline) as response:
                        if not response.is_redirect:
                            yield Answer(response, host, deadline)
                            if deadline.late:  # and what was read may have been cut off
                                raise TimeoutError
                            return
                        target = response.headers["Location"]
                except PictureError:
                    raise
                except TROUBLE as error:
                    raise _explained(error, host, deadline) from None
                previous = url
                url, host = _redirected(url, target, host)
                trusted = trusted and _same_server(previous, url)
            only = f"only http and https, at most {redirects} times"
            raise FetchError(f"{host} redirects to an address that is not allowed: {only}")

    def close(self) -> None:
        """Close the connections."""
        self._trusted.close()
        self._untrusted.close()

    def _send(
        self, method: str, url: str, trusted: bool, own: str, deadline: Deadline
    ) -> requests.Response:
        request = requests.Request(method, url, headers=HEADERS).prepare()
        # Of the URL as it is sent: another parser might find another host in the one given.
        address = str(request.url)
        through, origin = proxies(address), _origin(address)
        trusted = trusted or origin == _origin(own)
        if not trusted and requests.utils.select_proxy(address, through):
            # The proxy connects to the target: this is all that can be checked here.
            _addresses(*origin, only_public=True)
        adapter = self._trusted if trusted else self._untrusted
        limits = (CONNECT_SECONDS, READ_SECONDS)
        return adapter.exchange(
            request, deadline, limits, only_public=not trusted, proxies=through, verify=self._verify
        )


# What sending a request and reading its answer may raise.
TROUBLE = (
    requests.RequestException, HTTPError, http.client.HTTPException, OSError, ValueError,
    AttributeError,
)  # fmt: skip
# What the connections that this thread opens or uses again have to keep to: (deadline, whether
# they may only lead to public addresses).
_exchange: ContextVar[tuple[Deadline, bool]] = ContextVar("exchange")
# urllib3 quotes headers that cannot be read in a warning, and an answer may repeat our own there.
logging.getLogger("urllib3.connection").addFilter(lambda record: _exchange.get(None) is None)


class _IdleConnections(queue.LifoQueue[Any]):
    """The connections that a pool keeps open; a forked child begins with none.

    The parent goes on using them: each of the two would read the other's answers.

    Taking one and giving it back are single steps, with no lock that Ctrl-C could leave locked.
    """

    def __init__(self, maxsize: int = 0) -> None:
        super().__init__(maxsize)
        _idle.add(self)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Return the connection that was used last; never wait for one."""
        try:
            return self.queue.pop()
        except IndexError:
            raise queue.Empty from None

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Keep a connection, unless there are enough."""
        if len(self.queue) >= self.maxsize:
            raise queue.Full
        self.queue.append(item)

    def after_fork(self) -> None:
        """Make new locks, and forget the connections: only this process's copies are closed."""
        super().__init__(self.maxsize)


_idle: WeakSet[_IdleConnections] = WeakSet()


def _after_fork_in_child() -> None:
    for queued in _idle:
        queued.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


class _Connection(HTTPConnection):
    """Resolves its host name once, and connects to the addresses that were checked."""

    debuglevel = 0  # whatever is set for all of http.client: it would print the access key

    def _new_conn(self) -> socket.socket:
        deadline, only_public = _exchange.get()
        name, limit = self._dns_host, self.timeout
        failure: Exception = OSError("the host name has no address")
        try:
            for address in _addresses(name, self.port, only_public and not self.proxy):
                self._dns_host, self.timeout = address, min(limit or CONNECT_SECONDS, deadline.left)
                try:
                    sock = super()._new_conn()
                except ConnectTimeoutError as error:  # refusals are of this class too
                    failure = error
                else:
                    deadline.watch(sock)
                    return sock
        except socket.gaierror as error:
            raise NameResolutionError(name, self, error) from error
        finally:
            self._dns_host, self.timeout = name, limit
        raise failure

    def putrequest(
        self, method: str, url: str, skip_host: bool = False, skip_accept_encoding: bool = False
    ) -> None:
        if self.sock:  # open since an earlier request
            _exchange.get()[0].watch(self.sock)
        super().putrequest(method, url, skip_host, skip_accept_encoding)


class _TLSConnection(_Connection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    QueueCls = _IdleConnections
    ConnectionCls = _Connection


class _TLSPool(HTTPSConnectionPool):
    QueueCls = _IdleConnections
    ConnectionCls = _TLSConnection


_POOLS: dict[str, type] = {"http": _Pool, "https": _TLSPool}


class Adapter(HTTPAdapter):
    """Keeps so many connections to one server in the pools above, those to proxies too."""

    def __init__(self, connections: int) -> None:
        super().__init__(pool_connections=4, pool_maxsize=connections)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def exchange(
        self,
        request: requests.PreparedRequest,
        deadline: Deadline,
        limits: tuple[float, float],
        *,
        only_public: bool = False,
        proxies: Mapping[str, str],
        verify: str | bool,
    ) -> requests.Response:
        """Send a request and return the answer, whose body has not been read yet.

        Args:
            request: the request.
            deadline: for everything, apart from asking the name server.
            limits: seconds to connect, and between two reads.
            only_public: whether to connect to public addresses only.
            proxies: the proxy for each scheme.
            verify: the certificates to trust, as for requests.
        """
        token = _exchange.set((deadline, only_public))
        left = deadline.left
        try:
            return self.send(
                request,
                stream=True,
                timeout=(min(limits[0], left), min(limits[1], left)),
                verify=verify,
                proxies=dict(proxies),
            )
        finally:
            _exchange.reset(token)

    def proxy_manager_for(self, proxy: str, **more: object) -> urllib3.ProxyManager:
        """Return the pools of connections to a proxy."""
        manager: urllib3.ProxyManager = super().proxy_manager_for(proxy, **more)
        if not proxy.lower().startswith("socks"):  # those have connections of their own
            manager.pool_classes_by_scheme = _POOLS
        return manager

    def build_response(
        self, request: requests.PreparedRequest, answer: urllib3.BaseHTTPResponse
    ) -> requests.Response:
        """Return an answer as requests does, without reading its cookies."""
        made = requests.Response()
        made.status_code = answer.status
        made.headers = requests.structures.CaseInsensitiveDict(answer.headers)
        made.raw, made.request, made.url = answer, request, str(request.url)
        return made


def _addresses(host: str, port: int, only_public: bool) -> list[str]:
    """Return the addresses of a host.

    Raises:
        socket.gaierror: it has none.
        FetchError: one of them is not public.
    """
    found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
    if only_public and not all(map(is_public, addresses)):
        raise FetchError(f"{clip(host, 100)} is in a private network, so it was not fetched")
    return addresses


def _host(url: str) -> str:
    """Return what a message calls the server of a URL; FetchError if the URL cannot be used."""
    try:
        parts = urlsplit(url[: MAX_URL + 1])
        host = parts.hostname or ""
    except ValueError:
        raise FetchError("this is not a usable URL") from None
    if len(url) > MAX_URL:
        raise FetchError(f"the URL has more than {MAX_URL:,} characters")
    if parts.scheme.lower() not in _DEFAULT_PORTS or not host:
        named = f", not {clip(parts.scheme, 20)}" if parts.scheme else ""
        raise FetchError(f"an image needs an http or https URL{named}")
    return clip(host, 100)


def _redirected(url: str, target: str, host: str) -> tuple[str, str]:
    try:
        url = urljoin(url, target)
        return url, _host(url)
    except ValueError as error:  # a FetchError is one
        reason = error.message if isinstance(error, FetchError) else "this is not a usable URL"
        text = f"{host} redirects to an address that is not allowed: {reason}"
        raise FetchError(text) from None


def _origin(url: str) -> tuple[str, int]:
    """Return the host and the port of a URL; ("", 0) of none."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme.lower(), 0)


def _same_server(url: str, target: str) -> bool:
    """Whether a redirect stays at its server; to change from http to https is to stay."""
    try:
        (host, port), (there, other) = _origin(url), _origin(target)
    except ValueError:  # a port that is not a number; sending says so
        return False
    return host == there and (port == other or (port, other) == (80, 443))


def server_in_trouble(status: int) -> bool:
    """Whether an HTTP status says nothing about the file: the server failed, or is too busy."""
    return status >= 500 or status in (408, 425, 429)


@lru_cache(maxsize=256)
def _proxies_of_host(scheme: str, host: str) -> tuple[tuple[str, str], ...]:
    return tuple(requests.utils.get_environ_proxies(f"{scheme}://{host}").items())


def proxies(url: str) -> dict[str, str]:
    """Return the environment's proxies for a URL, read once per host; none for this machine."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return {} if host in LOOPBACK else dict(_proxies_of_host(parts.scheme, host))


def ca_bundle() -> str | bool:
    """Return the certificates to trust, as the environment names them."""
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True


def announced(response: requests.Response) -> int | None:
    """Return how many bytes the body has, None if the answer does not say.

    Raises:
        http.client.HTTPException: it does not say so in digits.
    """
    said = response.headers.get("Content-Length")
    if said is None or "Transfer-Encoding" in response.headers:
        return None
    lengths = {one.strip() for one in said.split(",")}
    if len(lengths) > 1 or not re.fullmatch("[0-9]{1,18}", min(lengths)):
        raise http.client.HTTPException("a Content-Length that is not a number")
    return int(min(lengths))


def chunks(response: requests.Response) -> Iterator[bytes]:
    """Yield what has arrived as it arrives, decompressed, in pieces of bounded size.

    `iter_content` would wait for full pieces, and urllib3 unpack a piece to a thousand times that.

    Raises:
        UnreadableEncodingError: it is compressed in a way that cannot be read, or broken.
    """
    read = partial(response.raw.read1, PIECE, decode_content=False)
    return unpacked(iter(read, b""), response.headers.get("Content-Encoding", ""))


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that it was made from, as requests and urllib3 nest them.

    `__context__` is left out: it may hold the error of an earlier attempt.
    """
    yield error
    inner = [error.__cause__, getattr(error, "reason", None), *error.args]
    for one in {id(e): e for e in inner if isinstance(e, BaseException)}.values():
        yield from causes(one)


# What to call a failure; its own text is too technical to show. The first row that fits counts.
_REASONS: tuple[tuple[str, tuple[type[BaseException], ...]], ...] = (
    ("its name cannot be resolved", (NameResolutionError, socket.gaierror)),
    ("connection refused", (ConnectionRefusedError,)),
    ("its certificate cannot be verified", (ssl.SSLCertVerificationError,)),
    ("the encrypted connection failed",
     (ssl.SSLError, urllib3.exceptions.SSLError, requests.exceptions.SSLError)),
    ("the proxy cannot be reached", (ProxyError, requests.exceptions.ProxyError)),
    ("the connection timed out", (requests.ConnectTimeout,)),
    ("timed out", (TimeoutError, ReadTimeoutError, requests.Timeout)),
    ("the connection was closed without an answer", (http.client.RemoteDisconnected,)),
    ("the connection was reset", (ConnectionResetError,)),
    ("the answer was cut off", (http.client.IncompleteRead,)),
    ("its answer cannot be decompressed", (UnreadableEncodingError,)),
    ("its answer is not HTTP", (http.client.HTTPException, urllib3.exceptions.InvalidHeader,
                                requests.exceptions.InvalidHeader)),
    ("this is not a usable URL", (ValueError,)),
)  # fmt: skip


def reason(error: BaseException) -> str:
    """Return what to call a failure when talking to people."""
    found = list(causes(error))
    for text, kinds in _REASONS:
        if any(isinstance(one, kinds) for one in found):
            return text
    texts = (one.strerror for one in found if isinstance(one, OSError))
    return next(filter(None, texts), "the connection failed")


def _explained(error: Exception, host: str, deadline: Deadline) -> FetchError:
    found = list(causes(error))
    if deadline.left < 0.01:
        limit = f"{deadline.seconds:.3g} s"
        return FetchError(f"timed out: {host} did not send the file within {limit}")
    for one in found:
        if isinstance(one, IncompleteRead):
            total = one.partial + one.expected
            return FetchError(f"the connection was lost after {one.partial} of {total} bytes")
        if isinstance(one, UnreadableEncodingError):
            return FetchError(f"{host} {one}", final=True)
        if isinstance(one, NameResolutionError):
            return FetchError(f"{host} cannot be reached: no such host, or no network")
    return FetchError(f"{host} cannot be reached: {reason(error)}")
