"""A batch against hand-written clients that send the same requests: wall time and CPU per task.

Each client runs in its own process. The others know in advance what ours must learn: how long a
task takes. They poll as often as ours did on average, the last time just after the task's end.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from .processes import apart
from .service import PATH, fetch_statistics, pin, service

HEAD = (
    "client",
    "tasks, at a time, each",
    "wall / ideal",
    "queries a task",
    "CPU",
    "CPU / requests",
)
CASES = ((16, 0.3), (32, 1.0), (64, 2.0))  # tasks at a time, and the seconds of each
Row = tuple[str, ...]
Client = Callable[[str, list[str], int, float, float], dict[str, float]]


def rows(
    tasks: int = 1000, cases: Sequence[tuple[int, float]] = CASES, rounds: int = 2
) -> Iterator[Row]:
    """Measure; the clients take turns, and the round with the least CPU time counts."""
    for concurrency, seconds in cases:
        ideal = tasks / concurrency * seconds
        turns = [turn(tasks, concurrency, seconds) for _ in range(rounds)]
        ours, bare, fast = (
            min(each, key=lambda one: one["cpu"]) for each in zip(*turns, strict=True)
        )
        for name, one in (("imgopen_nb", ours), ("requests pool", bare), ("aiohttp", fast)):
            yield (
                name,
                f"{tasks}, {concurrency}, {seconds:g} s",
                f"{one['wall'] / ideal:.3f}",
                f"{one['queries'] / tasks:.2f}",
                f"{1000 * one['cpu'] / tasks:.2f} ms",
                f"{one['cpu'] / bare['cpu']:.2f}",
            )


def turn(tasks: int, concurrency: int, seconds: float) -> tuple[dict[str, float], ...]:
    ours = measured(by_imgopen, tasks, concurrency, seconds, 0)
    polls = max(1.0, ours["queries"] / tasks)
    others = (by_requests, by_aiohttp)
    return ours, *(measured(client, tasks, concurrency, seconds, polls) for client in others)


def measured(
    client: Client, tasks: int, concurrency: int, seconds: float, polls: float
) -> dict[str, float]:
    images = [f"https://p.invalid/{seconds}/{number}" for number in range(tasks)]
    with service() as url:
        found = apart(client, url, images, concurrency, seconds, polls)
        figures = fetch_statistics(url)
    assert figures["submissions"] == tasks
    return {**found, "queries": figures["queries"]}


def polls_of(number: int, polls: float) -> int:
    """Return how often task `number` is polled, so that all tasks together reach the average."""
    return int((number + 1) * polls) - int(number * polls)


def by_imgopen(
    url: str, images: list[str], concurrency: int, seconds: float, polls: float
) -> dict[str, float]:
    pin(1)
    from imgopen_nb.session import Session

    os.environ["IMGOPEN_HOME"] = tempfile.mkdtemp()
    with Session(url, "an-access-key-id", "an-access-key-secret") as session:
        with Clocks() as read:
            batch = session.map(
                "describe", images, concurrency=concurrency, progress=False, model="clip"
            )
        figures = read()
    assert len(batch) == len(images)
    assert batch.errors().empty
    return figures


def by_requests(
    url: str, images: list[str], concurrency: int, seconds: float, polls: float
) -> dict[str, float]:
    pin(1)
    import requests
    from requests.adapters import HTTPAdapter

    http = requests.Session()
    http.mount("http://", HTTPAdapter(pool_maxsize=concurrency))
    http.headers.update({"X-Request-req-accessKeyId": "x", "X-Request-req-accessKeySecret": "y"})

    def one(number: int) -> str:
        key, begun = f"t{number}", time.monotonic()
        body = {"businessTaskId": key, "image": images[number]}
        http.post(url + PATH, json=body, timeout=30).json()
        for _ in range(polls_of(number, polls) - 1):
            time.sleep(seconds / polls)
            http.post(url + PATH + "/queryTask", json={"businessTaskId": key}, timeout=30).json()
        while True:
            time.sleep(max(0.0, begun + seconds + 0.01 - time.monotonic()))
            answer = http.post(
                url + PATH + "/queryTask", json={"businessTaskId": key}, timeout=30
            ).json()
            if answer["data"]["status"] == 2:
                return str(answer["data"]["caption"])

    with Clocks() as read, ThreadPoolExecutor(concurrency) as pool:
        captions = list(pool.map(one, range(len(images))))
    assert len(captions) == len(images)
    return read()


def by_aiohttp(
    url: str, images: list[str], concurrency: int, seconds: float, polls: float
) -> dict[str, float]:
    pin(1)
    import aiohttp

    async def post(http: aiohttp.ClientSession, path: str, body: dict[str, str]) -> dict:
        async with http.post(url + path, json=body) as answer:
            return await answer.json()

    async def one(http: aiohttp.ClientSession, room: asyncio.Semaphore, number: int) -> str:
        async with room:
            key, begun = f"t{number}", time.monotonic()
            body = {"businessTaskId": key, "image": images[number]}
            await post(http, PATH, body)
            for _ in range(polls_of(number, polls) - 1):
                await asyncio.sleep(seconds / polls)
                await post(http, PATH + "/queryTask", {"businessTaskId": key})
            while True:
                await asyncio.sleep(max(0.0, begun + seconds + 0.01 - time.monotonic()))
                answer = await post(http, PATH + "/queryTask", {"businessTaskId": key})
                if answer["data"]["status"] == 2:
                    return str(answer["data"]["caption"])

    async def all_of_them() -> list[str]:
        room = asyncio.Semaphore(concurrency)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=concurrency)) as http:
            return await asyncio.gather(*(one(http, room, number) for number in range(len(images))))

    with Clocks() as read:
        captions = asyncio.run(all_of_them())
    assert len(captions) == len(images)
    return read()


class Clocks:
    """Measures wall time and CPU of this process between entry and exit."""

    def __enter__(self) -> Callable[[], dict[str, float]]:
        self._begun = time.monotonic(), time.process_time()
        return lambda: self._figures

    def __exit__(self, *_: object) -> None:
        wall, cpu = self._begun
        self._figures = {"wall": time.monotonic() - wall, "cpu": time.process_time() - cpu}
