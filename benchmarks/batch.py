"""A batch against hand-written clients that send the same requests: wall time and CPU per task.

Each client has a process of its own. The others are told what ours must find out: how long a task
takes; they ask as often as ours did on average, the last time just after its end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from .service import PATH, pin, service, told

HEAD = (
    "client",
    "tasks, at a time, each",
    "wall / ideal",
    "queries a task",
    "CPU",
    "CPU / requests",
)
TASKS = 1000
ROUNDS = 2  # taken in turn, of which the one with the least CPU time counts
CASES = ((16, 0.3), (32, 1.0), (64, 2.0))
Row = tuple[str, ...]


def rows() -> Iterator[Row]:
    for together, seconds in CASES:
        ideal = TASKS / together * seconds
        rounds = [turn(together, seconds) for _ in range(ROUNDS)]
        ours, bare, fast = (
            min(each, key=lambda one: one["cpu"]) for each in zip(*rounds, strict=True)
        )
        for name, one in (("imgopen_nb", ours), ("requests pool", bare), ("aiohttp", fast)):
            yield (
                name,
                f"{TASKS}, {together}, {seconds:g} s",
                f"{one['wall'] / ideal:.3f}",
                f"{one['queries'] / TASKS:.2f}",
                f"{1000 * one['cpu'] / TASKS:.2f} ms",
                f"{one['cpu'] / bare['cpu']:.2f}",
            )


def turn(together: int, seconds: float) -> tuple[dict[str, float], ...]:
    ours = measured("imgopen", together, seconds, 0)
    asked = max(1.0, ours["queries"] / TASKS)
    return ours, *(measured(name, together, seconds, asked) for name in ("requests", "aiohttp"))


def measured(client: str, together: int, seconds: float, asked: float) -> dict[str, float]:
    with service() as url:
        command = [sys.executable, "-m", __spec__.name, client, url]
        command += [str(together), str(seconds), str(asked)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        figures = told(url)
    assert figures["submissions"] == TASKS
    return {**json.loads(done.stdout), "queries": figures["queries"]}


def images(seconds: float, count: int = TASKS) -> list[str]:
    return [f"https://p.invalid/{seconds}/{number}" for number in range(count)]


def turns(number: int, asked: float) -> int:
    """Return how often task `number` is asked for, so that all tasks together reach the average."""
    return int((number + 1) * asked) - int(number * asked)


def by_imgopen(url: str, together: int, seconds: float, asked: float) -> dict[str, float]:
    from imgopen_nb.session import Session

    os.environ["IMGOPEN_HOME"] = tempfile.mkdtemp()
    with Session(url, "an-access-key-id", "an-access-key-secret") as session:
        with Clocks() as read:
            batch = session.map(
                "describe", images(seconds), concurrency=together, progress=False, model="clip"
            )
        figures = read()
    assert len(batch.kept) == TASKS
    assert not any(kept.error for kept in batch.kept.values())
    return figures


def by_requests(url: str, together: int, seconds: float, asked: float) -> dict[str, float]:
    import requests
    from requests.adapters import HTTPAdapter

    http = requests.Session()
    http.mount("http://", HTTPAdapter(pool_maxsize=together))
    http.headers.update({"X-Request-req-accessKeyId": "x", "X-Request-req-accessKeySecret": "y"})

    def one(number: int) -> str:
        key, begun = f"t{number}", time.monotonic()
        body = {"businessTaskId": key, "image": f"https://p.invalid/{seconds}/{number}"}
        http.post(url + PATH, json=body, timeout=30).json()
        for _ in range(turns(number, asked) - 1):
            time.sleep(seconds / asked)
            http.post(url + PATH + "/queryTask", json={"businessTaskId": key}, timeout=30).json()
        while True:
            time.sleep(max(0.0, begun + seconds + 0.01 - time.monotonic()))
            answer = http.post(
                url + PATH + "/queryTask", json={"businessTaskId": key}, timeout=30
            ).json()
            if answer["data"]["status"] == 2:
                return str(answer["data"]["caption"])

    with Clocks() as read, ThreadPoolExecutor(together) as pool:
        captions = list(pool.map(one, range(TASKS)))
    assert len(captions) == TASKS
    return read()


def by_aiohttp(url: str, together: int, seconds: float, asked: float) -> dict[str, float]:
    import aiohttp

    async def post(http: aiohttp.ClientSession, path: str, body: dict[str, str]) -> dict:
        async with http.post(url + path, json=body) as answer:
            return await answer.json()

    async def one(http: aiohttp.ClientSession, room: asyncio.Semaphore, number: int) -> str:
        async with room:
            key, begun = f"t{number}", time.monotonic()
            body = {"businessTaskId": key, "image": f"https://p.invalid/{seconds}/{number}"}
            await post(http, PATH, body)
            for _ in range(turns(number, asked) - 1):
                await asyncio.sleep(seconds / asked)
                await post(http, PATH + "/queryTask", {"businessTaskId": key})
            while True:
                await asyncio.sleep(max(0.0, begun + seconds + 0.01 - time.monotonic()))
                answer = await post(http, PATH + "/queryTask", {"businessTaskId": key})
                if answer["data"]["status"] == 2:
                    return str(answer["data"]["caption"])

    async def all_of_them() -> list[str]:
        room = asyncio.Semaphore(together)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=together)) as http:
            return await asyncio.gather(*(one(http, room, number) for number in range(TASKS)))

    with Clocks() as read:
        captions = asyncio.run(all_of_them())
    assert len(captions) == TASKS
    return read()


class Clocks:
    """Measures wall time and CPU of this process between entry and exit."""

    def __enter__(self) -> Callable[[], dict[str, float]]:
        self._begun = time.monotonic(), time.process_time()
        return lambda: self._figures

    def __exit__(self, *_: object) -> None:
        wall, cpu = self._begun
        self._figures = {"wall": time.monotonic() - wall, "cpu": time.process_time() - cpu}


CLIENTS = {"imgopen": by_imgopen, "requests": by_requests, "aiohttp": by_aiohttp}

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name, kind in {
        "client": str,
        "url": str,
        "together": int,
        "seconds": float,
        "asked": float,
    }.items():
        parser.add_argument(name, type=kind)
    options = parser.parse_args()
    pin(1)
    run = CLIENTS[options.client]
    print(json.dumps(run(options.url, options.together, options.seconds, options.asked)))
