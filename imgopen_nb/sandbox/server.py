"""The sandbox's HTTP side: thin handlers over `Service`, on the loopback address only."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, HTTPError, RequestHandler, stream_request_body

from ..errors import PictureError
from . import answers
from .fetch import MAX_BYTES
from .jobs import Jobs
from .openapi import openapi
from .page import page, table
from .pictures import TYPES, identify, suffix_of
from .refusal import WireError
from .registry import Registry
from .service import PATHS, Service, unknown_path
from .store import Files, Tasks, prune
from .texts import told

ADDRESS = "127.0.0.1"
HOSTS = ("127.0.0.1", "localhost")
MAX_JSON = 1_000_000
MAX_DRAINED = 1 << 30
API = "/AIGCImgOpenServ/"

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Sandbox:
    """What the handlers work with."""

    url: str
    files: Files
    registry: Registry
    service: Service


def listen(
    home: Path, port: int = 0, *, keys: tuple[str, str] | None = None, delay: float = 0.0
) -> tuple[HTTPServer, str]:
    """Return the listening server and its URL; the engines are loaded in the background.

    An event loop must be running.
    """
    files, tasks = Files(home / "sandbox" / "files"), Tasks(home / "sandbox" / "tasks")
    sockets = bind_sockets(port, address=ADDRESS)
    url = f"http://{ADDRESS}:{sockets[0].getsockname()[1]}"
    registry = Registry()
    jobs = Jobs(files, tasks, registry, base_url=url, delay=delay)
    service = Service(jobs, registry, files, keys)
    application = _application(Sandbox(url, files, registry, service))
    server = HTTPServer(application, max_body_size=MAX_DRAINED, body_timeout=120)
    server.add_sockets(sockets)
    registry.start()
    threading.Thread(target=_tidy_up, args=(jobs, files, tasks), daemon=True).start()
    return server, url


def _application(sandbox: Sandbox) -> Application:
    own: dict[str, Any] = {"sandbox": sandbox}
    routes = [
        (r"/", FrontPage, own),
        (r"/health", Health, own),
        (r"/openapi\.json", OpenAPI, own),
        (r"/upload", Upload, own),
        (r"/files/(.*)", Picture, own),
    ]
    return Application(
        routes,
        default_handler_class=Call,
        default_handler_args=own,
        log_function=lambda handler: None,
    )


class Base(RequestHandler):
    """What all handlers share: who may ask, the shape of failures, no word of them in the log."""

    def initialize(self, sandbox: Sandbox) -> None:
        """Take the sandbox whose handler this is."""
        self.sandbox = sandbox

    def set_default_headers(self) -> None:
        """Keep browsers from guessing types."""
        self.clear_header("Server")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")

    def prepare(self) -> None:
        """Refuse what a foreign web page makes a browser send."""
        host, origin = self.request.host, self.request.headers.get("Origin")
        if not _ours(host):  # a foreign name that was made to point to this machine
            raise HTTPError(403, "this host name is not one of the sandbox's")
        if origin is not None and origin != f"http://{host}":
            raise HTTPError(403, "other origins may not ask the sandbox")

    def write_error(self, status_code: int, **more: Any) -> None:
        """Answer in the envelope."""
        error = more.get("exc_info", (None, None))[1]
        text = (isinstance(error, HTTPError) and error.log_message) or self._reason
        # tornado doubles each % of a message, for its log.
        self.finish(answers.envelope(None, text.replace("%%", "%"), str(status_code)))

    def log_exception(self, kind: Any, error: Any, trace: Any) -> None:
        """Log where it happened, never what was sent."""
        if not isinstance(error, HTTPError):
            place = "".join(traceback.format_tb(trace)[-3:])
            log.error("%s in %s:\n%s", kind.__name__, type(self).__name__, place)


@stream_request_body
class WithBody(Base):
    """A handler that reads its body up to a limit; what is beyond is only counted.

    To break off instead would cost the client the answer that says why.
    """

    limit = MAX_JSON

    def prepare(self) -> None:
        """Start with an empty body."""
        self._body, self._size = bytearray(), 0
        super().prepare()

    def data_received(self, chunk: bytes) -> None:
        """Collect the body."""
        self._size += len(chunk)
        if self._size <= self.limit:
            self._body += chunk
        else:
            self._body.clear()

    def whole_body(self) -> bytes:
        """Return the body, or raise the error of one that is too large."""
        if self._size > self.limit:
            megabytes = self.limit // 1_000_000
            raise WireError("413", f"the body is too large: at most {megabytes} MB are taken")
        return bytes(self._body)


class Call(WithBody):
    """Every path that is not the sandbox's own: the operations, and 404 for the rest."""

    async def post(self) -> None:
        """Answer an operation."""
        path, headers = self.request.path, self.request.headers
        if not path.startswith(API):
            raise HTTPError(404, unknown_path(path))
        try:
            self.finish(await self.sandbox.service.answer(path, headers, self.whole_body()))
        except WireError as fault:
            self.finish(answers.refusal(fault))
        except Exception:
            self.log_exception(*sys.exc_info())
            self.finish(answers.envelope(None, "the sandbox failed on its side", "500"))

    async def _other_method(self) -> None:
        path = self.request.path
        if not path.startswith(API):
            raise HTTPError(404, unknown_path(path))
        known = path in PATHS
        text = "use POST: every operation is one" if known else unknown_path(path)
        self.finish(answers.envelope(None, text, "405" if known else "404"))

    get = head = put = patch = delete = options = _other_method


class Upload(WithBody):
    """POST /upload: the bytes of a picture in, its URL out."""

    limit = MAX_BYTES

    async def post(self) -> None:
        """Keep a picture."""
        try:
            self.sandbox.service.check_keys(self.request.headers)
            url = await asyncio.to_thread(self._keep, self.whole_body())
            self.finish(answers.envelope({"url": url}))
        except WireError as fault:
            self.finish(answers.refusal(fault))
        except PictureError as error:
            self.finish(answers.envelope(None, told(error), "400"))

    def _keep(self, data: bytes) -> str:
        identify(data)
        return f"{self.sandbox.url}/files/{self.sandbox.files.add(data, suffix_of(data))}"


class Picture(Base):
    """GET /files/<name>: an upload or a result."""

    async def get(self, name: str) -> None:
        """Send the file."""
        path = self.sandbox.files.find(name)
        if path is None:
            raise HTTPError(404, "there is no such file")
        self.set_header("Content-Type", TYPES[path.suffix[1:]])
        self.set_header("Cache-Control", "private, max-age=86400")
        self.set_header("Content-Security-Policy", "default-src 'none'")
        self.finish(await asyncio.to_thread(path.read_bytes))

    head = get


class FrontPage(Base):
    """GET /: what this is and what it can do, for people or as JSON."""

    async def get(self) -> None:
        """Answer in the form that is asked for."""
        rows = await asyncio.to_thread(table, self.sandbox.registry)
        if "application/json" in self.request.headers.get("Accept", ""):
            self.finish({"operations": rows})
        else:
            self.finish(page(rows, self.sandbox.url))


class OpenAPI(Base):
    """GET /openapi.json: the catalogue as OpenAPI 3.1."""

    async def get(self) -> None:
        """Answer."""
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(openapi(self.sandbox.url)))


class Health(Base):
    """GET /health."""

    async def get(self) -> None:
        """Answer."""
        self.finish({"ok": True})


def _ours(host: str) -> bool:
    try:
        return urlsplit(f"//{host}").hostname in HOSTS
    except ValueError:
        return False


def _tidy_up(jobs: Jobs, files: Files, tasks: Tasks) -> None:
    """Delete what is old, then learn what is left."""
    prune(files.folder)
    prune(tasks.folder)
    jobs.index()
