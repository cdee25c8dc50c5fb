"""How soon a kernel learns that a task has ended: by a callback through Jupyter, or by polling.

Each client runs in its own process against its own service, all at the same time. The callbacks go
through a real Jupyter Server with the extension. All times are from the monotonic clock.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from .service import fetch_statistics, service
from .waiting import JITTER, poll_by

HEAD = ("how", "queries a task", "end to kernel, mean", "p95", "POST to kernel, mean", "p95 ")
TASKS, CONCURRENCY, SECONDS = 300, 16, 1.0
WAYS = ("callbacks", "fixed 0.5 s", "imgopen_nb's own plan")


def rows() -> Iterator[tuple[str, ...]]:
    with ExitStack() as stack:
        started = {way: stack.enter_context(client(way)) for way in WAYS}
        found = {way: finish(*pair) for way, pair in started.items()}
    for way, one in found.items():
        lags = [one["seen"][key] - due for key, due in one["due"].items()]
        posts = [one["seen"][key] - at for key, at in one["posted"].items()]
        assert len(lags) == TASKS
        yield (
            f"{TASKS} of {SECONDS:g} s, {CONCURRENCY} at a time: {way}",
            f"{one['queries'] / TASKS:.2f}",
            *spread(lags),
            *(spread(posts) if posts else ("", "")),
        )


def spread(seconds: list[float]) -> tuple[str, str]:
    high = statistics.quantiles(seconds, n=20)[-1]
    return f"{1000 * statistics.mean(seconds):.0f} ms", f"{1000 * high:.0f} ms"


@contextmanager
def client(way: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Yield the URL of a running service, and the running client that uses it."""
    from tests.notebook_server import notebook_server

    folder = Path(tempfile.mkdtemp())
    server = notebook_server(folder, home=folder) if way == "callbacks" else nullcontext()
    with service() as url, server as running:
        environ = {k: v for k, v in os.environ.items() if not k.startswith("IMGOPEN_")}
        environ["IMGOPEN_HOME"] = str(folder)
        if running is not None:
            environ["IMGOPEN_SERVER"] = running.url
        command = [sys.executable, "-m", __spec__.name, way, url]
        yield url, subprocess.Popen(command, stdout=subprocess.PIPE, env=environ)


def finish(url: str, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Wait for a client; return what it has seen and when, with the figures of its service."""
    out, _ = process.communicate()
    return {**fetch_statistics(url), "seen": json.loads(out)}


def run(way: str, url: str) -> dict[str, float]:
    """Return when this process knew of the end of each task."""
    from imgopen_nb.session import Session

    seen: dict[str, float] = {}
    room = threading.Semaphore(CONCURRENCY)

    def ended(task: Any) -> None:
        seen[task.id] = time.monotonic()
        room.release()

    with Session(url, "an-access-key-id", "an-access-key-secret") as session:
        if way.startswith("fixed"):
            poll_by(lambda age, polls: 0.5, session)
        tasks = []
        for number in range(TASKS):
            room.acquire()
            image = f"https://p.invalid/{SECONDS + JITTER * number / TASKS}/{number}"
            tasks.append(session.submit("describe", image=image, model="clip"))
            tasks[-1].add_done_callback(ended)
        for task in tasks:
            task.wait(60)
    return seen


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("way")
    parser.add_argument("url")
    print(json.dumps(run(**vars(parser.parse_args()))))
