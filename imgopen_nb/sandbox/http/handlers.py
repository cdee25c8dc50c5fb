"""What all HTTP handlers share: who may call, bounded bodies, failures in the envelope."""

from __future__ import annotations

import logging
import re
import traceback
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakSet

from tornado.web import HTTPError, RequestHandler, stream_request_body

from ...errors import PictureError
from ..faults import Faults
from ..jobs.jobs import Jobs
from ..messages import WireError, describe_error
from . import responses
from .request_log import RequestLog
from .service import Service

HOSTS = ("127.0.0.1", "localhost")
# The path under which a proxy shows ours (see imgopen_nb/server_extension/sandbox_proxy.py).
PREFIX_HEADER = "X-Forwarded-Prefix"
_PREFIX = re.compile(r"(/[A-Za-z0-9._~@%+-]+)+/?", re.ASCII)
MAX_JSON = 1_000_000
REFUSALS = (WireError, PictureError)

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Sandbox:
    """What the handlers share."""

    jobs: Jobs
    service: Service
    faults: Faults
    requests: RequestLog
    # Submissions that are being received, held back or accepted. Tornado drops those whose
    # connection ends too early without a word.
    arriving: WeakSet[RequestHandler] = field(default_factory=WeakSet)

    @property
    def knows_at_once(self) -> bool:
        """Whether a task that is not found cannot be on its way (see KNOWS_AT_ONCE)."""
        return not self.arriving and not self.faults.delays


class BaseHandler(RequestHandler):
    """What all handlers share: who may call, the shape of failures, no contents in the log."""

    open_to_all = False

    def initialize(self, sandbox: Sandbox) -> None:
        """Take the sandbox whose handler this is."""
        self.sandbox = sandbox

    def set_default_headers(self) -> None:
        """Keep browsers from guessing types."""
        self.clear_header("Server")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")

    def prepare(self) -> None:
        """Refuse what a foreign web page makes a browser send, and who has no access."""
        host, origin = self.request.host, self.request.headers.get("Origin")
        if not _is_local(host):  # a foreign name that was made to point to this machine
            raise HTTPError(403, "this host name is not one of the sandbox's")
        if origin is not None and origin != f"http://{host}":
            raise HTTPError(403, "pages of other origins may not use the sandbox")
        if not self.open_to_all:
            self.check_access()

    def check_access(self) -> None:
        """Refuse who does not send the token."""
        try:
            self.sandbox.service.access.check_token(self.request.headers)
        except WireError as error:
            raise HTTPError(401, error.message) from None

    @property
    def shown_at(self) -> list[str]:
        """The addresses of the sandbox, that of a proxy first."""
        prefix = self.request.headers.get(PREFIX_HEADER, "")
        proxy = [prefix.rstrip("/")] if _PREFIX.fullmatch(prefix) else []
        return [*proxy, self.sandbox.jobs.base_url]

    def write_error(self, status_code: int, **more: Any) -> None:
        """Answer in the envelope; what the protocol refuses has HTTP status 200 and a code."""
        error = more.get("exc_info", (None, None))[1]
        if isinstance(error, REFUSALS):
            self.set_status(200)
            code = error.code if isinstance(error, WireError) else "400"
            self.finish(responses.envelope(None, describe_error(error), code))
            return
        text = (isinstance(error, HTTPError) and error.log_message) or self._reason
        # tornado doubles each % of a message, for its log.
        self.finish(responses.envelope(None, text.replace("%%", "%"), str(status_code)))

    def log_exception(self, kind: Any, error: Any, trace: Any) -> None:
        """Log where it happened, never what was sent."""
        if not isinstance(error, (HTTPError, *REFUSALS)):
            place = "".join(traceback.format_tb(trace)[-3:])
            log.error("%s in %s:\n%s", kind.__name__, type(self).__name__, place)


@stream_request_body
class BodyHandler(BaseHandler):
    """A handler that reads its body up to a limit and only counts the rest.

    If it broke off instead, the client would not get the answer that says why. For the same reason
    who has no access is told so after the body, of which nothing is kept.
    """

    limit = MAX_JSON
    _will_read = False

    def prepare(self) -> None:
        """Start with an empty body."""
        self._body, self._size = bytearray(), 0
        super().prepare()
        self._will_read = True

    def check_access(self) -> None:
        """Let a method answer that only refuses, in place of the one that was asked for."""
        try:
            super().check_access()
        except HTTPError as error:
            refused = error

            def refuse(*_: object) -> None:
                raise refused

            self.limit = 0
            setattr(self, str(self.request.method).lower(), refuse)

    def write_error(self, status_code: int, **more: Any) -> None:
        """Answer in the envelope, and say so if the connection ends with it.

        Tornado closes the connection when a request is refused before its body was read. A client
        that does not know sends its next request on a dead connection.
        """
        if not self._will_read:
            self.set_header("Connection", "close")
        super().write_error(status_code, **more)

    def data_received(self, chunk: bytes) -> None:
        """Collect the body."""
        self._size += len(chunk)
        if self._size <= self.limit:
            self._body += chunk
        else:
            self._body.clear()

    @property
    def body_so_far(self) -> bytes:
        """The body, or nothing if it is too large."""
        return bytes(self._body)

    def whole_body(self) -> bytes:
        """Return the body, or raise the error of a body that is too large."""
        if self._size > self.limit:
            megabytes = self.limit // 1_000_000
            raise WireError("413", f"the body is too large: the limit is {megabytes} MB")
        return bytes(self._body)


def _is_local(host: str) -> bool:
    try:
        return urlsplit(f"//{host}").hostname in HOSTS
    except ValueError:
        return False
