"""How soon a kernel learns that a task has ended: by a callback through Jupyter, or by polling.

Each client runs in its own process against its own service, all at the same time. The callbacks go
through a real Jupyter Server with the extension. All times are from the monotonic clock.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from .processes import side_by_side
from .service import fetch_statistics, service
from .waiting import JITTER, poll_by

HEAD = ("how", "queries a task", "end to kernel, mean", "p95", "POST to kernel, mean", "p95 ")
CONCURRENCY = 16
WAYS = ("callbacks", "fixed 0.5 s", "imgopen_nb's own plan")


def rows(tasks: int = 300, seconds: float = 1.0) -> Iterator[tuple[str, ...]]:
    with ExitStack() as stack:
        urls = [stack.enter_context(service()) for _ in WAYS]
        servers = [stack.enter_context(home(way)) for way in WAYS]
        images = [f"https://p.invalid/{seconds + JITTER * at / tasks}/{at}" for at in range(tasks)]
        calls = [(*each, images) for each in zip(WAYS, urls, servers, strict=True)]
        seen = side_by_side(run, calls)
        found = [{**fetch_statistics(url), "seen": by} for url, by in zip(urls, seen, strict=True)]
    for way, one in zip(WAYS, found, strict=True):
        lags = [one["seen"][key] - due for key, due in one["due"].items()]
        posts = [one["seen"][key] - at for key, at in one["posted"].items()]
        assert len(lags) == tasks
        yield (
            f"{tasks} of {seconds:g} s, {CONCURRENCY} at a time: {way}",
            f"{one['queries'] / tasks:.2f}",
            *spread(lags),
            *(spread(posts) if posts else ("", "")),
        )


def spread(seconds: list[float]) -> tuple[str, str]:
    high = statistics.quantiles(seconds, n=20)[-1]
    return f"{1000 * statistics.mean(seconds):.0f} ms", f"{1000 * high:.0f} ms"


@contextmanager
def home(way: str) -> Iterator[dict[str, str]]:
    """Yield what the environment says of a new home folder, and of its server for callbacks."""
    from tests.notebook_server import notebook_server

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        environ = {"IMGOPEN_HOME": folder}
        if way != "callbacks":
            yield environ
            return
        with notebook_server(Path(folder), home=Path(folder)) as server:
            yield {**environ, "IMGOPEN_SERVER": server.url}


def run(way: str, url: str, environ: dict[str, str], images: list[str]) -> dict[str, float]:
    """Return when this process knew of the end of each task."""
    from imgopen_nb.session import Session

    for name in [name for name in os.environ if name.startswith("IMGOPEN_")]:
        del os.environ[name]
    os.environ.update(environ)
    seen: dict[str, float] = {}
    room = threading.Semaphore(CONCURRENCY)

    def ended(task: Any) -> None:
        seen[task.id] = time.monotonic()
        room.release()

    with Session(url, "an-access-key-id", "an-access-key-secret") as session:
        if way.startswith("fixed"):
            poll_by(lambda age, polls: 0.5, session)
        tasks = []
        for image in images:
            room.acquire()
            tasks.append(session.submit("describe", image=image, model="clip"))
            tasks[-1].add_done_callback(ended)
        for task in tasks:
            task.wait(60)
        for _ in range(CONCURRENCY):  # a task has ended a moment before `ended` knows it
            room.acquire(timeout=60)
    return seen
