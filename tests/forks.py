"""Forked processes for tests: each is waited for so long only, and killed if it hangs."""

from __future__ import annotations

import faulthandler
import gc
import json
import multiprocessing
import os
import select
import signal
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest

SECONDS = 40.0
WORKERS = 6
FORK = multiprocessing.get_context("fork") if hasattr(os, "fork") else multiprocessing
Work = Callable[..., Any]


class Child:
    """A process forked now, which runs `work(*given)` and sends what that returns, as JSON."""

    def __init__(self, work: Work, *given: Any) -> None:
        self._answers, write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            signal.alarm(int(2 * SECONDS))  # if its parent is killed
            faulthandler.register(signal.SIGUSR1, file=2)
            try:
                said = {"answer": work(*given)}
            except BaseException:
                said = {"error": traceback.format_exc()}
            os.write(write, json.dumps(said).encode())
            os._exit(0)
        os.close(write)

    def answer(self, seconds: float = SECONDS) -> Any:
        """Return what the work returned; fail if it raised an error, or did not end in time."""
        try:
            readable, _, _ = select.select([self._answers], [], [], seconds)
            if not readable:
                os.kill(self.pid, signal.SIGUSR1)  # it says on stderr where it hangs
                time.sleep(0.5)
                pytest.fail(f"a forked process did not end within {seconds:g} s")
            said = json.loads(os.read(self._answers, 2**16) or b'{"error": "it died"}')
        finally:
            os.close(self._answers)
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        assert "error" not in said, said["error"]
        return said["answer"]


def as_user(uid: int, work: Work, group: int | None = None) -> Any:
    """Return what a function returns in a forked child that has become another user."""

    def changed() -> Any:
        os.setgroups([])
        os.setgid(uid if group is None else group)
        os.setuid(uid)
        return work()

    gc.collect()  # what the child drops must not be ours
    return Child(changed).answer()


def by_pool(work: Work, items: Sequence[Any]) -> list[Any]:
    """Run the work in a pool of multiprocessing."""
    pool = FORK.Pool(WORKERS)
    try:
        return pool.map_async(work, items, chunksize=1).get(SECONDS)
    finally:  # which may wait for ever for a worker that hangs
        end = threading.Thread(target=pool.terminate, daemon=True)
        end.start()
        end.join(10)


def by_executor(work: Work, items: Sequence[Any]) -> list[Any]:
    """Run the work in a pool of concurrent.futures."""
    with ProcessPoolExecutor(WORKERS, mp_context=FORK) as pool:  # type: ignore[arg-type]
        try:
            return list(pool.map(work, items, timeout=SECONDS))
        except BaseException:
            _kill()
            raise


def by_fork(work: Work, items: Sequence[Any]) -> list[Any]:
    """Run the work in bare forks, each with its share of the items."""
    shares = [items[number::WORKERS] for number in range(WORKERS)]
    children = [Child(lambda share: [work(item) for item in share], share) for share in shares]
    answers = [child.answer() for child in children]
    return [answers[place % WORKERS][place // WORKERS] for place in range(len(items))]


def _kill() -> None:
    for process in multiprocessing.active_children():
        process.kill()


POOLS = {"multiprocessing": by_pool, "concurrent.futures": by_executor, "os.fork": by_fork}
