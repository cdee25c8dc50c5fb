"""The sandbox's HTTP side: thin handlers over `Service`, on the loopback address only."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, HTTPError

from ...errors import PictureError
from ...media.formats import MAX_BYTES, MIME_TYPES, format_named
from ..faults import Fault, Faults
from ..jobs.callback_sender import Callbacks
from ..jobs.clock import Clock
from ..jobs.engine_loader import Registry
from ..jobs.jobs import Jobs
from ..jobs.pictures import identify
from ..jobs.store import Files, Tasks, prune
from ..messages import WireError, told
from . import responses as answers
from .admin import routes as admin_routes
from .handlers import Base, Sandbox, WithBody
from .openapi import openapi
from .page import page, table
from .request_log import Request, Requests
from .service import PATHS, Service, kind_of, task_of, unknown_path

ADDRESS = "127.0.0.1"
MAX_DRAINED = 1 << 30
API = "/AIGCImgOpenServ/"
LONGEST_WAIT = 600.0


@dataclass(frozen=True, slots=True)
class Options:
    """How a sandbox behaves: seconds until a result shows, what goes wrong, who may be called."""

    keys: tuple[str, str] | None = None
    delay: float = 0.0
    training: float = 120.0
    callbacks_to: Sequence[str] = ()
    faults: Faults = field(default_factory=Faults)
    admin: bool = False


def listen(home: Path, port: int = 0, options: Options | None = None) -> tuple[HTTPServer, str]:
    """Return the listening server and its URL; the engines are loaded in the background.

    An event loop must be running.
    """
    options = options or Options()
    files, tasks = Files(home / "sandbox" / "files"), Tasks(home / "sandbox" / "tasks")
    sockets = bind_sockets(port, address=ADDRESS)
    url = f"http://{ADDRESS}:{sockets[0].getsockname()[1]}"
    registry, clock = Registry(), Clock()
    jobs = _jobs(files, tasks, registry, clock, url, options)
    service = Service(jobs, registry, files, url, options.keys)
    sandbox = Sandbox(url, files, registry, service, clock, options.faults, Requests())
    application = _application(sandbox, options.admin)
    server = HTTPServer(application, max_body_size=MAX_DRAINED, body_timeout=120)
    server.add_sockets(sockets)
    registry.start()
    threading.Thread(target=_tidy_up, args=(jobs, files, tasks), daemon=True).start()
    return server, url


def _jobs(
    files: Files, tasks: Tasks, registry: Registry, clock: Clock, url: str, options: Options
) -> Jobs:
    callbacks = Callbacks(clock, options.callbacks_to, options.faults)
    jobs = Jobs(
        files,
        tasks,
        registry,
        base_url=url,
        delay=options.delay,
        training=options.training,
        clock=clock,
        callbacks=callbacks,
    )

    def tell(key: str) -> bytes | None:
        job = jobs.find(key)
        if job is None or not callbacks.owed(job.callback):  # another sandbox has delivered it
            return None
        return json.dumps(answers.delivery(job, jobs)).encode()

    callbacks.start(tell, jobs.note_callback)
    return jobs


def _application(sandbox: Sandbox, admin: bool) -> Application:
    own: dict[str, Any] = {"sandbox": sandbox}
    routes: list[Any] = [
        (r"/", FrontPage, own),
        (r"/health", Health, own),
        (r"/openapi\.json", OpenAPI, own),
        (r"/upload", Upload, own),
        (r"/files/(.*)", Picture, own),
        *((path, handler, own) for path, handler in (admin_routes if admin else ())),
    ]
    return Application(
        routes,
        default_handler_class=Call,
        default_handler_args=own,
        log_function=lambda handler: None,
    )


class Call(WithBody):
    """Every path that is not the sandbox's own: the operations, and 404 for the rest."""

    async def post(self) -> None:
        """Answer an operation, unless a fault is in the way."""
        path = self.request.path
        if not path.startswith(API):
            raise HTTPError(404, unknown_path(path))
        request = Request(*kind_of(path), at=time.time(), task=task_of(path, self.body_so_far))
        drawn = self.sandbox.faults.draw(request.operation, request.on)
        await asyncio.sleep(min(drawn.seconds, LONGEST_WAIT))
        fault = drawn.fault
        request.fault = fault.kind if fault else ""
        answer = None if fault and fault.refuses else await self._answer(request)
        request.code = answer["code"] if answer else ""
        self.sandbox.requests.add(request)
        self._send(answer, fault)

    async def _answer(self, request: Request) -> answers.Answer:
        path, headers = self.request.path, self.request.headers
        try:
            return await self.sandbox.service.answer(path, headers, self.whole_body(), request)
        except WireError as fault:
            return answers.refusal(fault)
        except Exception:
            self.log_exception(*sys.exc_info())
            return answers.envelope(None, "the sandbox failed on its side", "500")

    def _send(self, answer: answers.Answer | None, fault: Fault | None) -> None:
        if fault is None:
            self.finish(answer)
        elif fault.drops:
            self.detach().close()
        else:
            spoiled = fault.spoil(answer)
            self.set_status(spoiled.status)
            for name, value in spoiled.headers.items():
                self.set_header(name, value)
            self.finish(spoiled.body)

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
        suffix = format_named(identify(data).format).suffix[1:]
        return f"{self.sandbox.url}/files/{self.sandbox.files.add(data, suffix)}"


class Picture(Base):
    """GET /files/<name>: an upload or a result."""

    async def get(self, name: str) -> None:
        """Send the file."""
        path = self.sandbox.files.find(name)
        if path is None:
            raise HTTPError(404, "there is no such file")
        self.set_header("Content-Type", MIME_TYPES[path.suffix])
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
            self.finish(page(rows, self.sandbox.url, self.sandbox.registry.problem))


class OpenAPI(Base):
    """GET /openapi.json: the catalogue as OpenAPI 3.1."""

    async def get(self) -> None:
        """Answer."""
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(openapi(*self.shown_at)))


class Health(Base):
    """GET /health."""

    async def get(self) -> None:
        """Answer."""
        self.finish({"ok": True})


def _tidy_up(jobs: Jobs, files: Files, tasks: Tasks) -> None:
    """Delete what is old, then learn what is left."""
    prune(files.folder)
    prune(tasks.folder)
    jobs.index()
