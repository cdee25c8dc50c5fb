"""A stub of the service on a real port: each test says what it answers, kindly or not."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOOL = "/AIGCImgOpenServ/saas/tool/"
SD = "/AIGCImgOpenServ/saas/sd/"


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    body: Any
    raw: bytes


@dataclass
class Reply:
    """What to answer: an object becomes JSON; `drop` closes the connection without a word."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    drop: bool = False
    length: int | None = None  # a false Content-Length
    write: Callable[[Any], None] | None = None  # writes the body itself
    delay: float = 0.0


def ok(**data: Any) -> Reply:
    return Reply({"code": "200", "msg": "success", "data": data})


def refusal(code: str, msg: str = "", status: int = 200) -> Reply:
    return Reply({"code": code, "msg": msg, "data": None}, status)


Answering = Callable[[Request], Reply]


class Stub:
    """`answer` gives the reply to each request; every request is kept in `requests`."""

    def __init__(self) -> None:
        self.answer: Answering = lambda request: refusal("404", "no such task")
        self.requests: list[Request] = []
        self._gone = threading.Event()
        handler = type("Handler", (_Handler,), {"stub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def replies(self, *replies: Reply) -> None:
        """Answer these in turn, the last one for ever."""
        waiting = list(replies)
        self.answer = lambda request: waiting.pop(0) if len(waiting) > 1 else waiting[0]

    def paths(self) -> list[str]:
        return [request.path for request in self.requests]

    def submissions(self) -> list[Request]:
        return [r for r in self.requests if not r.path.endswith(("queryTask", "queryTaskInfo"))]

    def __enter__(self) -> Stub:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._gone.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer waits 40 ms for the client
    stub: Stub

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        request = Request(self.path, dict(self.headers), body, raw)
        self.stub.requests.append(request)
        self._send(self.stub.answer(request))

    def do_GET(self) -> None:
        request = Request(self.path, dict(self.headers), None, b"")
        self.stub.requests.append(request)
        self._send(self.stub.answer(request))

    def _send(self, reply: Reply) -> None:
        self.stub._gone.wait(reply.delay)
        if reply.drop:
            self.close_connection = True
            self.connection.shutdown(2)
            return
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        try:
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.write:
                self.close_connection = True
                self.end_headers()
                reply.write(self.wfile)
                return
            length = len(body) if reply.length is None else reply.length
            self.send_header("Content-Length", str(length))
            if reply.length is not None:
                self.close_connection = True
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass
