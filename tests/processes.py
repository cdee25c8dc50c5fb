"""Processes that tests start: their ports, waiting for them, and their end."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def python_programs() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Yield how to start a program, given its code and arguments; kill what runs at the end."""
    started = []

    def start(code: str, *arguments: str) -> subprocess.Popen[str]:
        command, pipe = [sys.executable, "-c", code, *arguments], subprocess.PIPE
        started.append(subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def free_ports(count: int) -> list[int]:
    """Return so many ports that nobody listens at."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def wait_until(
    done: Callable[[], object],
    seconds: float = 30.0,
    said: Callable[[], str] = lambda: "it did not happen in time",
) -> None:
    """Wait until something holds; else fail with what `said` returns."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, said()
        time.sleep(0.02)


def answers(ask: Callable[[], object]) -> bool:
    """Whether a server answers already, and with what is looked for."""
    try:
        return bool(ask())
    except (OSError, ValueError, KeyError):
        return False


def end(process: subprocess.Popen[bytes]) -> None:
    """End a server; one that hangs while it shuts its own extensions down is killed."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(20)
