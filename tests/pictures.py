"""An image server on a real port."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[BaseHTTPRequestHandler], None]


class Pictures:
    """An image server on a real port: bytes, headers and manners as a test sets them."""

    def __init__(self) -> None:
        self.body = b"one"
        self.headers: dict[str, str] = {}
        self.status = 200
        self.head = True
        self.instead: Answer | None = None
        self.asked: list[str] = []
        handler = type("Handler", (_Handler,), {"pictures": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.host}/cat.png"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    pictures: Pictures

    def do_GET(self) -> None:
        self.pictures.asked.append(self.command)
        try:
            (self.pictures.instead or plainly)(self)
        except OSError:
            self.close_connection = True

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass


def plainly(handler: BaseHTTPRequestHandler) -> None:
    """Answer with the bytes and headers that the test has set."""
    assert isinstance(handler, _Handler)
    pictures, head = handler.pictures, handler.command == "HEAD"
    status = 405 if head and not pictures.head else pictures.status
    handler.send_response(status)
    for name, value in pictures.headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(pictures.body)))
    handler.end_headers()
    if not head:
        handler.wfile.write(pictures.body)
