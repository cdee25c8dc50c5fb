"""A service for describe in a process of its own, quick enough that clients are the limit.

`python -m benchmarks.service` prints its URL. Tasks take what their picture's address says:
`https://p.invalid/2.0/17` two seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

from tornado.httpclient import AsyncHTTPClient
from tornado.ioloop import IOLoop
from tornado.web import Application, RequestHandler

PATH = "/AIGCImgOpenServ/saas/tool/interrogate"


class Books:
    """When each task is due, when it was noticed, and how many requests there were."""

    def __init__(self) -> None:
        self.due: dict[str, float] = {}
        self.images: dict[str, str] = {}
        self.noticed: dict[str, float] = {}
        self.posted: dict[str, float] = {}
        self.queries = 0
        self.submissions = 0


class Submit(RequestHandler):
    def initialize(self, books: Books) -> None:
        self.books = books

    def post(self) -> None:
        body = json.loads(self.request.body)
        key, image = body["businessTaskId"], body["image"]
        self.books.submissions += 1
        self.books.due.setdefault(key, time.monotonic() + float(image.split("/")[3]))
        self.books.images[key] = image
        if body.get("callbackUrl"):
            wait = self.books.due[key] - time.monotonic()
            IOLoop.current().call_later(wait, self.call_back, key, body["callbackUrl"])
        self.finish({"code": "200", "msg": "success", "data": {"task_id": f"s-{key}"}})

    async def call_back(self, key: str, url: str) -> None:
        """Tell the end of a task, once."""
        data = {"taskId": f"s-{key}", "status": 2, "caption": f"a caption of {key}"}
        told = json.dumps({"code": "200", "msg": "success", "data": data})
        self.books.posted[key] = time.monotonic()
        headers = {"Content-Type": "application/json"}
        await AsyncHTTPClient().fetch(url, method="POST", body=told, headers=headers)


class Query(Submit):
    def post(self) -> None:
        key = json.loads(self.request.body)["businessTaskId"]
        self.books.queries += 1
        now = time.monotonic()
        data: dict[str, Any] = {"taskId": f"s-{key}", "status": 1}
        if now >= self.books.due[key]:
            self.books.noticed.setdefault(key, now)
            data |= {"status": 2, "caption": f"a caption of {self.books.images[key]}"}
        self.finish({"code": "200", "msg": "success", "data": data})


class Told(Submit):
    """GET: the figures since the last time."""

    def get(self) -> None:
        books = self.books
        lags = [noticed - books.due[key] for key, noticed in books.noticed.items()]
        figures = {"queries": books.queries, "submissions": books.submissions}
        self.finish({"lags": lags, "due": books.due, "posted": books.posted, **figures})
        books.__init__()  # type: ignore[misc]


async def serve() -> None:
    given = {"books": Books()}
    handlers: list[Any] = [
        (PATH, Submit, given), (PATH + "/queryTask", Query, given), ("/told", Told, given),
    ]  # fmt: skip
    server = Application(handlers).listen(0, "127.0.0.1")
    (socket,) = server._sockets.values()
    print(f"http://127.0.0.1:{socket.getsockname()[1]}", flush=True)
    await asyncio.Event().wait()


def pin(core: int) -> None:
    """Keep this process to one core, where the system lets it."""
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {core})


@contextlib.contextmanager
def service() -> Iterator[str]:
    """Yield the URL of a running service."""
    with subprocess.Popen([sys.executable, "-m", __spec__.name], stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        try:
            yield running.stdout.readline().decode().strip()
        finally:
            running.kill()


def told(url: str) -> dict[str, Any]:
    """Return the figures of a service, and have it begin anew."""
    with urllib.request.urlopen(f"{url}/told") as answer:
        figures: dict[str, Any] = json.load(answer)
    return figures


if __name__ == "__main__":
    pin(0)
    asyncio.run(serve())
