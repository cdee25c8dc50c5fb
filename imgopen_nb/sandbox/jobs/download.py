"""Pictures from elsewhere: fetched within limits. `pictures.py` decodes them."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from ...errors import PictureError
from ...media.formats import MAX_BYTES
from ..messages import tidy


STEP_SECONDS = 10.0
DEADLINE_SECONDS = 20.0
MAX_REDIRECTS = 3
CHUNK = 1 << 16
HEADERS = {"User-Agent": "imgopen-nb-sandbox", "Accept": "image/*,*/*;q=0.5"}
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class _Guard:
    """Ends a fetch at its deadline, even within a header or a handshake that never ends."""

    def __init__(self, seconds: float) -> None:
        self.ends = time.monotonic() + seconds
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    @property
    def late(self) -> bool:
        return time.monotonic() >= self.ends

    def watch(self, sock: socket.socket) -> None:
        self._sockets.append(sock)

    def __enter__(self) -> _Guard:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def _cut(self) -> None:
        for sock in self._sockets:
            with contextlib.suppress(OSError, ValueError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)


def fetch(url: str, *, seconds: float = DEADLINE_SECONDS) -> bytes:
    """Return what an http(s) URL holds.

    Raises:
        PictureError: says in one line why there is nothing: unreachable, too large, too slow ...
    """
    address = _address(url)
    host = urlsplit(address).hostname or ""
    with _Guard(seconds) as guard, _explained(guard, host, seconds):
        request = urllib.request.Request(address, headers=HEADERS)
        with _opener(guard, host).open(request, timeout=min(STEP_SECONDS, seconds)) as response:
            return _read(response, guard)


def _address(url: str) -> str:
    """Return the URL with everything escaped that people leave unescaped, such as a space."""
    try:
        parts = urlsplit(url.strip())
        host, scheme = parts.netloc.encode("idna").decode(), parts.scheme.lower()
    except ValueError:
        raise PictureError("this is not a usable URL") from None
    if scheme not in ("http", "https") or not host:
        named = f", not {tidy(scheme, 20)}" if scheme else ""
        raise PictureError(f"a picture is given as an http or https URL{named}")
    escape = "%/:=&?~+!$,;'@()*[]|"
    path = quote(parts.path, safe=escape, errors="replace")
    return urlunsplit((scheme, host, path, quote(parts.query, safe=escape, errors="replace"), ""))


def _read(response: Any, guard: _Guard) -> bytes:
    expected = response.length or 0
    if expected > MAX_BYTES:
        raise _too_large()
    data = bytearray()
    while chunk := response.read1(CHUNK):
        data += chunk
        if len(data) > MAX_BYTES:
            raise _too_large()
        if guard.late:
            raise TimeoutError
    if guard.late:
        raise TimeoutError
    if len(data) < expected:
        raise PictureError(f"the connection broke off after {len(data)} of {expected} bytes")
    return bytes(data)


def _too_large() -> PictureError:
    return PictureError(f"the file is too large: at most {MAX_BYTES // 1_000_000} MB are taken")


@contextlib.contextmanager
def _explained(guard: _Guard, host: str, seconds: float) -> Iterator[None]:
    """Turn everything that goes wrong on the way into one clear line."""
    try:
        yield
    except PictureError:
        raise
    except urllib.error.HTTPError as error:
        error.close()
        raise PictureError(_refusal(host, error.code)) from None
    except (OSError, ValueError, AttributeError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        if guard.late or isinstance(reason, TimeoutError):
            text = f"timed out: {host} did not deliver the file within {seconds:g} s"
        else:
            text = f"{host} is not reachable: {_why(reason)}"
        raise PictureError(tidy(text)) from None


def _refusal(host: str, code: int) -> str:
    if 300 <= code < 400:
        return tidy(
            f"{host} redirects to an address that is not followed: only http and https, "
            f"at most {MAX_REDIRECTS} times"
        )
    return tidy(f"{host} answered {code} {http.client.responses.get(code, '')}".strip())


def _why(reason: object) -> str:
    if isinstance(reason, socket.gaierror):
        return "no such host, or no network"
    if isinstance(reason, ConnectionRefusedError):
        return "connection refused"
    if isinstance(reason, ssl.SSLError):
        return f"TLS failed ({reason.reason})"
    if isinstance(reason, http.client.HTTPException):
        return f"its answer is not HTTP ({type(reason).__name__})"
    return str(getattr(reason, "strerror", None) or reason or type(reason).__name__)


class _Redirects(urllib.request.HTTPRedirectHandler):
    max_redirections = MAX_REDIRECTS

    def redirect_request(  # type: ignore[no-untyped-def] # urllib's own signature
        self, req, fp, code, msg, headers, newurl
    ) -> urllib.request.Request:
        return urllib.request.Request(_address(newurl), headers=HEADERS)


def _opener(guard: _Guard, host: str) -> urllib.request.OpenerDirector:
    """Return an opener that knows http and https only, with the proxies of the environment."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler({} if host in LOOPBACK else None),
        _handler(urllib.request.HTTPHandler, http.client.HTTPConnection, "http", guard)(),
        _handler(urllib.request.HTTPSHandler, http.client.HTTPSConnection, "https", guard)(),
        _Redirects(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _handler(base: Any, connection: Any, scheme: str, guard: _Guard) -> Callable[[], Any]:
    """Return the urllib handler of a scheme, with connections that the guard can cut."""

    class Watched(connection):  # type: ignore[misc]
        def connect(self) -> None:
            if guard.late:
                raise TimeoutError
            super().connect()
            guard.watch(self.sock)

    def opened(self: Any, request: urllib.request.Request) -> Any:
        return self.do_open(Watched, request)

    return type("Handler", (base,), {f"{scheme}_open": opened})
