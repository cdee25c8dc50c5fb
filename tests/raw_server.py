"""A server that says what it likes, byte by byte, below HTTP."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Talk = Callable[[socket.socket], None]


def drips(begin: bytes, more: bytes = b"x") -> Talk:
    """Return how to say the beginning of an answer, and then a little more again and again."""

    def drip(talk: socket.socket) -> None:
        talk.recv(65536)
        talk.sendall(begin)
        while True:
            talk.sendall(more)
            time.sleep(0.05)

    return drip


@contextmanager
def raw_server(speak: Talk) -> Iterator[str]:
    """Serve each connection with `speak`, in a thread of its own; yields the host and port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    talk, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=_talked, args=(talk, speak), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield f"127.0.0.1:{listening.getsockname()[1]}"
        finally:
            listening.shutdown(socket.SHUT_RDWR)


def _talked(talk: socket.socket, speak: Talk) -> None:
    with talk, suppress(OSError):
        speak(talk)
