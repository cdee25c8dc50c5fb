"""Processes that tests start: their ports, waiting for them, and their end."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable


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
