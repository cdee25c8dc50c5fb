"""How soon a kernel knows of an end: told by a callback through a Jupyter Server, or by polling.

Every client runs in a process of its own against a service of its own, all at the same time; the
callbacks go through a true server with the extension. All clocks are the machine's monotonic one.
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

from .service import service, told
from .waiting import JITTER, Ruled

HEAD = ("how", "queries a task", "end to kernel, mean", "p95", "POST to kernel, mean", "p95 ")
TASKS, TOGETHER, SECONDS = 300, 16, 1.0
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
            f"{TASKS} of {SECONDS:g} s, {TOGETHER} at a time: {way}",
            f"{one['queries'] / TASKS:.2f}",
            *spread(lags),
            *(spread(posts) if posts else ("", "")),
        )


def spread(seconds: list[float]) -> tuple[str, str]:
    high = statistics.quantiles(seconds, n=20)[-1]
    return f"{1000 * statistics.mean(seconds):.0f} ms", f"{1000 * high:.0f} ms"


@contextmanager
def client(way: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Yield the service and the client of one way, both running."""
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
    """Return what a client has seen and when, with the figures of its service."""
    out, _ = process.communicate()
    return {**told(url), "seen": json.loads(out)}


def run(way: str, url: str) -> dict[str, float]:
    """Return when each task's end was known here."""
    from imgopen_nb.session import Session

    seen: dict[str, float] = {}
    room = threading.Semaphore(TOGETHER)

    def ended(task: Any) -> None:
        seen[task.id] = time.monotonic()
        room.release()

    with Session(url, "an-access-key-id", "an-access-key-secret") as session:
        if way.startswith("fixed"):
            ruled: Any = Ruled(lambda age, asked: 0.5)
            session.manager.timing = session.manager.scheduler._poll._timing = ruled  # type: ignore[attr-defined]
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
