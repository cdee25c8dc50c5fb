"""A service for describe in its own process, fast enough that the clients are the limit.

The address of an image says how long its task takes: with `https://p.invalid/2.0/17`, two seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
import urllib.request
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

from tornado.httpclient import AsyncHTTPClient
from tornado.ioloop import IOLoop
from tornado.web import Application, RequestHandler

from . import processes

PATH = "/AIGCImgOpenServ/saas/tool/interrogate"


class Records:
    """When each task ends, when a query saw that, and how many requests there were."""

    def __init__(self) -> None:
        self.due: dict[str, float] = {}
        self.images: dict[str, str] = {}
        self.seen: dict[str, float] = {}
        self.posted: dict[str, float] = {}
        self.queries = 0
        self.submissions = 0


class Submit(RequestHandler):
    def initialize(self, records: Records) -> None:
        self.records = records

    def post(self) -> None:
        body = json.loads(self.request.body)
        key, image = body["businessTaskId"], body["image"]
        self.records.submissions += 1
        self.records.due.setdefault(key, time.monotonic() + float(image.split("/")[3]))
        self.records.images[key] = image
        if body.get("callbackUrl"):
            wait = self.records.due[key] - time.monotonic()
            IOLoop.current().call_later(wait, self.call_back, key, body["callbackUrl"])
        self.finish({"code": "200", "msg": "success", "data": {"task_id": f"s-{key}"}})

    async def call_back(self, key: str, url: str) -> None:
        """Report the end of a task, once."""
        data = {"taskId": f"s-{key}", "status": 2, "caption": f"a caption of {key}"}
        body = json.dumps({"code": "200", "msg": "success", "data": data})
        self.records.posted[key] = time.monotonic()
        headers = {"Content-Type": "application/json"}
        await AsyncHTTPClient().fetch(url, method="POST", body=body, headers=headers)


class Query(Submit):
    def post(self) -> None:
        key = json.loads(self.request.body)["businessTaskId"]
        self.records.queries += 1
        now = time.monotonic()
        data: dict[str, Any] = {"taskId": f"s-{key}", "status": 1}
        if now >= self.records.due[key]:
            self.records.seen.setdefault(key, now)
            data |= {"status": 2, "caption": f"a caption of {self.records.images[key]}"}
        self.finish({"code": "200", "msg": "success", "data": data})


class Statistics(Submit):
    """GET: the figures since the last time; they start again from zero."""

    def get(self) -> None:
        records = self.records
        lags = [seen - records.due[key] for key, seen in records.seen.items()]
        figures = {"queries": records.queries, "submissions": records.submissions}
        self.finish({"lags": lags, "due": records.due, "posted": records.posted, **figures})
        records.__init__()  # type: ignore[misc]


async def serve(told: Connection) -> None:
    given = {"records": Records()}
    handlers: list[Any] = [
        (PATH, Submit, given),
        (PATH + "/queryTask", Query, given),
        ("/statistics", Statistics, given),
    ]
    server = Application(handlers).listen(0, "127.0.0.1")
    (socket,) = server._sockets.values()
    told.send(f"http://127.0.0.1:{socket.getsockname()[1]}")
    await asyncio.Event().wait()


def pin(core: int) -> None:
    """Keep this process on one core, if the system allows it."""
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {core})


@contextlib.contextmanager
def service() -> Iterator[str]:
    """Yield the URL of a running service."""
    here, there = processes.FRESH.Pipe(duplex=False)
    running = processes.FRESH.Process(target=run, args=(there,))  # type: ignore[attr-defined]
    running.start()
    there.close()
    try:
        yield here.recv()
    finally:
        running.kill()
        running.join()


def run(told: Connection) -> None:
    """Serve until killed; the URL is sent first."""
    pin(0)
    asyncio.run(serve(told))


def fetch_statistics(url: str) -> dict[str, Any]:
    """Return the figures of a service since the last time."""
    with urllib.request.urlopen(f"{url}/statistics") as answer:
        figures: dict[str, Any] = json.load(answer)
    return figures
