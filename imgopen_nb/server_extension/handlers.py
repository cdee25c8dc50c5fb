"""Requests to the notebook server that need no login: each address has its own signature.

No cookie is read or set. Anything unknown, forged or malformed gets the same 404, and no log line
contains an address, a signature or a body.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.handlers import JupyterHandler
from tornado.web import HTTPError, stream_request_body

from .._version import __version__
from ..errors import ImgOpenError, JournalError

if TYPE_CHECKING:
    from .receiver import CallbackOutcome, Receiver

T = TypeVar("T")
MAX_BODY = 1 << 20
# A longer body is read up to here, so that the answer arrives; then the connection is closed.
MAX_DRAINED = 4 << 20
BODY_SECONDS = 60.0
THREADS = 4
# Callbacks wait for a history that is locked or slow, in a thread of their own: so many seconds and
# bytes of bodies at most. A callback that is refused comes again.
CALLBACK_SECONDS = 5.0
CALLBACK_BYTES = 64 << 20
JSON = "application/json"
NONCE = re.compile(r"[0-9a-f]{32}", re.ASCII)
CALLBACK_PATH = re.compile(r"([A-Za-z0-9_-]{1,64})/([A-Za-z0-9_-]{43})", re.ASCII)


class Reply(NamedTuple):
    """An answer, and the reason for it in the log."""

    status: int
    body: bytes
    why: str
    type: str = JSON


def _reply(status: int, msg: str, why: str) -> Reply:
    said = {"code": str(status), **({"msg": msg} if msg else {})}
    return Reply(status, json.dumps(said, separators=(",", ":")).encode(), why)


NOT_FOUND = _reply(404, "not found", "unknown address")
WRONG_METHOD = _reply(405, "use POST", "another method")
NOT_JSON = _reply(415, "send application/json", "no JSON")
TOO_LARGE = _reply(413, "too large", "too large")
UNAVAILABLE = _reply(503, "try again later", "the history or its key cannot be used")
# By the name of the `CallbackOutcome`.
OUTCOME_REPLIES = {
    "ACCEPTED": _reply(200, "", "taken"),
    "REPEATED": _reply(200, "", "known already"),
    "UNKNOWN": _reply(404, "not found", "no such task in this history"),
    "UNREADABLE": _reply(400, "no state of a task", "no state of a task"),
    "NOTED": _reply(200, "", "not usable as it is, noted"),
    "FOREIGN": _reply(400, "another task", "it tells of another task"),
}


class ReceiverPool:
    """The receiver, opened by the first request, with its own threads.

    The database may block on a lock, which must not hold up the server's loop or its threads; nor
    may callbacks, which write to it, hold up the other requests.
    """

    def __init__(self, log: logging.Logger | logging.LoggerAdapter[Any]) -> None:
        self._log = log
        self._guard = threading.Lock()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="imgopen-receivers")
        self._callbacks = ThreadPoolExecutor(1, thread_name_prefix="imgopen-callbacks")
        self._waiting = 0  # bytes
        self._receiver: Receiver | None = None

    async def receive(self, task_id: str, body: bytes) -> CallbackOutcome:
        """Write a callback to the history; see `Receiver.receive`.

        Raises:
            ImgOpenError: the history cannot be used, or other callbacks wait for it too long.
        """
        ends = time.monotonic() + CALLBACK_SECONDS

        def work() -> CallbackOutcome:
            if time.monotonic() > ends:
                raise JournalError("the history is busy")
            return self._open().receive(task_id, body)

        if self._waiting + len(body) > CALLBACK_BYTES:
            raise JournalError("too many callbacks wait for the history")
        self._waiting += len(body)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._callbacks, work)
        finally:
            self._waiting -= len(body)

    async def run(self, do: Callable[[Receiver], T]) -> T:
        """Run a function with the receiver in a thread, and return its result.

        Raises:
            ImgOpenError: the home folder, its history or its key cannot be used.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: do(self._open()))

    async def tidy_up(self) -> None:
        """Remove expired images, and log a warning if callbacks cannot be taken."""
        try:
            await self.run(lambda receiver: receiver.check())
            await self.run(lambda receiver: receiver.sweep())
        except ImgOpenError as error:
            self._log.warning("imgopen_nb takes no callbacks: %s", error.message)
        except Exception as error:
            self._log.debug("imgopen_nb: %s while tidying up", type(error).__name__)

    def _open(self) -> Receiver:
        with self._guard:
            if self._receiver is None:
                from ..config.settings import home_folder
                from .receiver import Receiver

                self._receiver = Receiver(home_folder())
            return self._receiver


@stream_request_body
class PublicHandler(JupyterHandler):
    """Base of the handlers without login; each one defines what it refuses and serves.

    A refusal is sent only after the body was read and discarded: if the connection were closed
    early, the answer could be lost.
    """

    name = "address"
    error_reply = NOT_FOUND

    def initialize(self, receivers: ReceiverPool, root: re.Pattern[str]) -> None:
        """Keep the receivers, and the part of the path after our root."""
        self.receivers = receivers
        found = root.match(self.request.path)
        # Still percent-encoded, so that nothing is hidden in it.
        self.tail = self.request.path[found.end() :] if found else ""
        self.body, self.size, self.why = bytearray(), 0, "failed"
        self.refused: Reply | None = NOT_FOUND

    async def refusal(self) -> Reply | None:
        """Return the refusal of a request, judged by its head; None to go on."""
        return NOT_FOUND

    async def serve(self) -> Reply:
        """Return the answer to a request that was not refused."""
        return NOT_FOUND

    async def prepare(self) -> None:  # type: ignore[override]
        """Check the head. The sender is not a Jupyter user, so there is no login."""
        self.current_user = self._jupyter_current_user = None
        connection: Any = self.request.connection
        connection.set_max_body_size(1 << 62)  # data_received counts
        connection.set_body_timeout(BODY_SECONDS)
        self.refused = await self._guarded(self.refusal) if self.check_host() else NOT_FOUND
        if self.declared > MAX_DRAINED:
            self._send(self.refused or TOO_LARGE)

    def data_received(self, chunk: bytes) -> None:
        """Collect the body, up to the limit."""
        self.size += len(chunk)
        if self.refused or self.size > MAX_BODY:
            self.body.clear()
        else:
            self.body += chunk
        if self.size > MAX_DRAINED and not self._finished:
            self._send(self.refused or TOO_LARGE)

    @property
    def declared(self) -> int:
        """The length of the body according to the request."""
        with contextlib.suppress(ValueError):
            return int(self.request.headers.get("Content-Length", "0"))
        return 0

    @property
    def has_no_query(self) -> bool:
        """Whether the address ends after the path, with no question mark."""
        return self.request.uri == self.request.path

    @allow_unauthenticated
    async def _any(self, *_: Any, **__: Any) -> None:
        self._send(self.refused or await self._guarded(self.serve) or NOT_FOUND)

    get = head = post = put = patch = delete = options = _any

    def check_xsrf_cookie(self) -> None:
        """Do nothing: without cookies there is no request forgery."""

    def set_default_headers(self) -> None:
        """Set the headers of every answer; no browser may run its content."""
        self.clear_header("Server")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")
        self.set_header("Content-Security-Policy", "sandbox; default-src 'none'")

    def compute_etag(self) -> None:
        """Set no ETag: nothing is cached."""

    def write_error(self, status_code: int, **more: Any) -> None:
        """Answer what Tornado refuses, such as an unknown method, in the same way."""
        if self.declared or "Transfer-Encoding" in self.request.headers:
            self.set_header("Connection", "close")  # the body may not have been read
        self._send(NOT_FOUND if status_code < 500 else self.error_reply)

    def log_exception(self, kind: Any, error: Any, trace: Any) -> None:
        """Log where the error happened, never what was sent."""
        if not isinstance(error, HTTPError):
            place = traceback.extract_tb(trace)[-1]
            self.log.error("imgopen %s: %s at %s:%s", self.name, kind.__name__, *place[:2])

    async def _guarded(self, do: Callable[[], Any]) -> Any:
        try:
            return await do()
        except ImgOpenError:
            return self.error_reply._replace(why=UNAVAILABLE.why)
        except Exception as error:
            self.log_exception(type(error), error, error.__traceback__)
            return self.error_reply._replace(why=type(error).__name__)

    def _send(self, reply: Reply) -> None:
        self.set_status(reply.status)
        self.why = reply.why
        self.set_header("Content-Type", reply.type)
        if reply.status == 405:
            self.set_header("Allow", "POST")
        if reply.status == 413:
            self.set_header("Connection", "close")
        self.finish(reply.body)

    def _log(self) -> None:
        status = self.get_status()
        level = logging.INFO if status < 400 else logging.WARNING
        self.log.log(
            level, "imgopen %s: %s %s, %s", self.name, status, self.why, self.request.remote_ip
        )


class NotFound(PublicHandler):
    """Every other path below `imgopen`."""


class Callback(PublicHandler):
    """POST callback/<task>/<signature>: the service reports how a task ended."""

    name = "callback"
    error_reply = UNAVAILABLE

    async def refusal(self) -> Reply | None:
        """Check the address first: without a valid one, a sender learns nothing."""
        found = CALLBACK_PATH.fullmatch(self.tail)
        if not found:
            return NOT_FOUND
        self.task_id, signature = found.groups()
        if not await self.receivers.run(lambda r: r.authentic(self.task_id, signature)):
            return NOT_FOUND
        if self.request.method != "POST":
            return WRONG_METHOD
        if not _is_json(self.request.headers.get("Content-Type", "")):
            return NOT_JSON
        return TOO_LARGE if self.declared > MAX_BODY else None

    async def serve(self) -> Reply:
        """Answer once the callback is on disk."""
        if self.size > MAX_BODY:
            return TOO_LARGE
        body = bytes(self.body)
        outcome = await self.receivers.receive(self.task_id, body)
        return OUTCOME_REPLIES[outcome.name]


class Picture(PublicHandler):
    """GET files/<name>: an input image of a call, while its task runs."""

    name = "picture"

    async def refusal(self) -> Reply | None:
        """Refuse anything but a plain GET or HEAD of a name."""
        plain = self.request.method in ("GET", "HEAD") and self.has_no_query
        return None if plain and self.tail else NOT_FOUND

    async def serve(self) -> Reply:
        """Send the image."""
        found = await self.receivers.run(lambda r: r.picture(self.tail))
        if found is None:
            return NOT_FOUND
        self.set_header("Content-Disposition", "inline")
        return Reply(200, found.data, "sent", found.type)


class Hello(PublicHandler):
    """GET hello/<nonce>: proves to a kernel that this server has its home folder."""

    name = "hello"

    async def refusal(self) -> Reply | None:
        """Refuse anything but a nonce."""
        plain = self.request.method == "GET" and self.has_no_query and NONCE.fullmatch(self.tail)
        return None if plain else NOT_FOUND

    async def serve(self) -> Reply:
        """Answer with the proof."""
        proof = await self.receivers.run(lambda r: r.hello(self.tail))
        said = {"proof": proof, "version": __version__}
        return Reply(200, json.dumps(said).encode(), "answered")


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == JSON or (kind.startswith("application/") and kind.endswith("+json"))
