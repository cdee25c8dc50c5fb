"""The HTTP server: thin handlers over `Service`, on the loopback address only."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, Template
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, HTTPError

from ...catalogue.operations import OPERATIONS
from ...catalogue.status import KNOWS_AT_ONCE
from ...media.formats import MAX_BYTES, MIME_TYPES, format_named
from ..faults import Fault, Faults
from ..jobs.callback_sender import CallbackSender
from ..jobs.clock import Clock
from ..jobs.engine_loader import EngineLoader
from ..jobs.jobs import Jobs
from ..jobs.pictures import identify
from ..jobs.store import FileStore, JobStore, prune
from ..messages import WireError
from ..process import sandbox_folder
from . import responses
from .access import Access
from .admin import routes as admin_routes
from .handlers import BaseHandler, BodyHandler, Sandbox
from .openapi import openapi
from .request_log import LoggedRequest, RequestLog
from .service import PATHS, Service, kind_of, task_of, unknown_path

ADDRESS = "127.0.0.1"
MAX_DRAINED = 1 << 30
API = "/AIGCImgOpenServ/"
LONGEST_WAIT = 600.0
ABSENT = "not there yet"


@dataclass(frozen=True, slots=True)
class Options:
    """How a sandbox behaves; `delay` and `training` are seconds until a result shows."""

    access: Access = field(default_factory=Access)
    delay: float = 0.0
    training: float = 120.0
    callbacks_to: Sequence[str] = ()
    faults: Faults = field(default_factory=Faults)
    admin: bool = False


def listen(home: Path, port: int = 0, options: Options | None = None) -> tuple[HTTPServer, str]:
    """Return the listening server and its URL; the engines are loaded in the background.

    An event loop must be running.
    """
    options, folder = options or Options(), sandbox_folder(home)
    sockets = bind_sockets(port, address=ADDRESS)
    url = f"http://{ADDRESS}:{sockets[0].getsockname()[1]}"
    callbacks = CallbackSender(Clock(), options.callbacks_to, options.faults)
    jobs = Jobs(
        FileStore(folder / "files"),
        JobStore(folder / "tasks"),
        EngineLoader(),
        base_url=url,
        delay=options.delay,
        training=options.training,
        callbacks=callbacks,
    )

    def body_of(key: str) -> bytes | None:
        job = jobs.find(key)
        if job is None or not callbacks.is_pending(job.callback):  # another sandbox delivered it
            return None
        return json.dumps(responses.delivery(job, jobs)).encode()

    callbacks.start(body_of, jobs.save_callback)
    sandbox = Sandbox(jobs, Service(jobs, options.access), options.faults, RequestLog())
    application = _application(sandbox, options.admin)
    server = HTTPServer(application, max_body_size=MAX_DRAINED, body_timeout=120)
    server.add_sockets(sockets)
    jobs.engines.start()
    threading.Thread(target=_tidy_up, args=(jobs,), daemon=True).start()
    return server, url


def _application(sandbox: Sandbox, admin: bool) -> Application:
    own: dict[str, Any] = {"sandbox": sandbox}
    routes: list[Any] = [
        (r"/", FrontPageHandler, own),
        (r"/health", HealthHandler, own),
        (r"/openapi\.json", OpenAPIHandler, own),
        (r"/upload", UploadHandler, own),
        (r"/files/(.*)", FileHandler, own),
        *((path, handler, own) for path, handler in (admin_routes if admin else ())),
    ]
    return Application(
        routes,
        default_handler_class=OperationHandler,
        default_handler_args=own,
        log_function=lambda handler: None,
    )


class OperationHandler(BodyHandler):
    """Every path that is not the sandbox's own: the operations, and 404 for the rest."""

    def prepare(self) -> None:
        """Note that a submission arrives, as soon as its headers are there."""
        if kind_of(self.request.path)[1] == "submit":
            self.sandbox.arriving.add(self)
        super().prepare()

    def on_finish(self) -> None:
        """Note that it has arrived, or is refused."""
        self.sandbox.arriving.discard(self)

    async def post(self) -> None:
        """Answer an operation, unless a fault prevents it."""
        path = self.request.path
        if not path.startswith(API):
            raise HTTPError(404, unknown_path(path))
        request = LoggedRequest(
            *kind_of(path), at=time.time(), task=task_of(path, self.body_so_far)
        )
        drawn = self.sandbox.faults.draw(request.operation, request.on)
        await asyncio.sleep(min(drawn.seconds, LONGEST_WAIT))
        fault = drawn.fault
        request.fault = fault.kind if fault else ""
        answer = None if fault and fault.refuses else await self._answer(request)
        request.code = answer["code"] if answer else ""
        self.sandbox.requests.add(request)
        self._send(answer, fault)

    async def _answer(self, request: LoggedRequest) -> responses.Answer:
        path, headers = self.request.path, self.request.headers
        try:
            return await self.sandbox.service.answer(path, headers, self.whole_body(), request)
        except WireError as error:
            return responses.refusal(error)
        except Exception:
            self.log_exception(*sys.exc_info())
            return responses.envelope(None, "the sandbox failed", "500")

    def _send(self, answer: responses.Answer | None, fault: Fault | None) -> None:
        if fault is None:
            asked = kind_of(self.request.path)[1] == "query"
            if answer and answer["code"] == "404" and asked and self.sandbox.knows_at_once:
                self.set_header(KNOWS_AT_ONCE, "1")
            self.finish(answer)
        elif fault.drops:
            self.on_finish()
            self.detach().close()
        else:
            faulty = fault.distort(answer)
            self.set_status(faulty.status)
            for name, value in faulty.headers.items():
                self.set_header(name, value)
            self.finish(faulty.body)

    async def _other_method(self) -> None:
        path = self.request.path
        if not path.startswith(API):
            raise HTTPError(404, unknown_path(path))
        known = path in PATHS
        text = "use POST for every operation" if known else unknown_path(path)
        self.finish(responses.envelope(None, text, "405" if known else "404"))

    get = head = put = patch = delete = options = _other_method


class UploadHandler(BodyHandler):
    """POST /upload: the bytes of an image in, its URL out."""

    limit = MAX_BYTES

    async def post(self) -> None:
        """Store an image."""
        self.sandbox.service.access.check_keys(self.request.headers)
        url = await asyncio.to_thread(self._store, self.whole_body())
        self.finish(responses.envelope({"url": url}))

    def _store(self, data: bytes) -> str:
        suffix = format_named(identify(data).format).suffix[1:]
        jobs = self.sandbox.jobs
        return f"{jobs.base_url}/files/{jobs.files.add(data, suffix)}"


class FileHandler(BaseHandler):
    """GET /files/<name>: an upload or a result, to whoever knows its name."""

    open_to_all = True

    async def get(self, name: str) -> None:
        """Send the file."""
        path = self.sandbox.jobs.files.find(name)
        if path is None:
            raise HTTPError(404, "there is no such file")
        self.set_header("Content-Type", MIME_TYPES[path.suffix])
        self.set_header("Cache-Control", "private, max-age=86400")
        self.set_header("Content-Security-Policy", "default-src 'none'")
        self.finish(await asyncio.to_thread(path.read_bytes))

    head = get


class PageHandler(BaseHandler):
    """A page to read, in a browser too, which has a dialog for passwords."""

    def check_access(self) -> None:
        """Refuse who has no access."""
        if not self.sandbox.service.access.may_read(self.request.headers):
            super().check_access()
            raise HTTPError(401, "the access key is required")

    def write_error(self, status_code: int, **more: Any) -> None:
        """Answer in the envelope, and have a browser ask for the token."""
        if status_code == 401:
            self.set_header("WWW-Authenticate", 'Basic realm="the token is the password"')
        super().write_error(status_code, **more)


class FrontPageHandler(PageHandler):
    """GET /: the front page with all operations, for people or as JSON."""

    async def get(self) -> None:
        """Answer as a page, or as JSON if `Accept` says so."""
        jobs = self.sandbox.jobs
        rows = await asyncio.to_thread(table, jobs.engines)
        if "application/json" in self.request.headers.get("Accept", ""):
            self.finish({"operations": rows})
        else:
            self.finish(page(rows, jobs.base_url, jobs.engines.problem))


class OpenAPIHandler(PageHandler):
    """GET /openapi.json: the catalogue as OpenAPI 3.1."""

    async def get(self) -> None:
        """Answer."""
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(openapi(*self.shown_at)))


class HealthHandler(BaseHandler):
    """GET /health: that there is a sandbox, and no more."""

    open_to_all = True

    async def get(self) -> None:
        """Answer."""
        self.finish({"ok": True})


def table(engines: EngineLoader) -> list[dict[str, str]]:
    """Return one row for each operation: what it does, by which engine, how faithful, where."""
    rows = []
    for operation in OPERATIONS.values():
        engine = engines.engine(operation.name)
        found = (engine.name, engine.fidelity, engine.about) if engine else ("", ABSENT, "")
        if operation.kind == "status":
            found = ("task store", "real", "")
        row = {name: getattr(operation, name) for name in ("name", "about", "path", "known")}
        rows.append({**row, **dict(zip(("engine", "fidelity", "note"), found, strict=True))})
    return rows


def page(rows: list[dict[str, str]], url: str, problem: str = "") -> str:
    """Return the front page as HTML; `problem` says which engines could not be loaded."""
    return _template().render(rows=rows, url=url, problem=problem, css=_css())


@cache
def _css() -> str:
    """Return the style of all pages: a file, as this package imports nothing above it."""
    return (Path(__file__).parents[2] / "display/imgopen.css").read_text("utf-8")


@cache
def _template() -> Template:
    loader = FileSystemLoader(Path(__file__).parent)
    return Environment(loader=loader, autoescape=True).get_template("page.html")


def _tidy_up(jobs: Jobs) -> None:
    """Delete old files, then index the rest."""
    prune(jobs.files.folder)
    prune(jobs.tasks.folder)
    jobs.index()
