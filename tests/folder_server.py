"""A web server for a folder, and a store of fsspec that signs addresses, both of this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.memory import MemoryFileSystem

SIGNATURE = "canary-signature-77aa1c"


class _Quiet(SimpleHTTPRequestHandler):
    asked: list[str]

    def log_message(self, *_: Any) -> None:
        self.asked.append(f"{self.command} {self.path}")


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve a folder; yields its address and the requests so far."""
    asked: list[str] = []
    handler = partial(type("Handler", (_Quiet,), {"asked": asked}), directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", asked
    server.shutdown()
    server.server_close()
    thread.join()


class SigningStore(MemoryFileSystem):
    """A store in memory that signs: `signing://bucket/set`."""

    protocol = "signing"
    store: dict[str, Any] = {}  # noqa: RUF012
    pseudo_dirs: list[str] = [""]  # noqa: RUF012
    uploads: list[str] = []  # noqa: RUF012
    signed: list[int] = []  # noqa: RUF012
    headers: list[dict[str, str]] = []  # noqa: RUF012

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **more: Any) -> None:
        self.uploads.append(path)
        self.headers.append(more)
        super().pipe_file(path, value, mode=mode)

    def sign(self, path: str, expiration: int = 100, **_: Any) -> str:
        self.signed.append(expiration)
        number = len(self.signed)
        return f"https://store.example.org{path}?n={number}&Signature={SIGNATURE}"


class RefusingStore(SigningStore):
    """A store that says more than it should when it refuses: `refusing://bucket`."""

    protocol = "refusing"

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        raise PermissionError(f"not with {SIGNATURE}")


def register_stores() -> None:
    for kind in (SigningStore, RefusingStore):
        fsspec.register_implementation(kind.protocol, kind, clobber=True)
        for held in (kind.store, kind.uploads, kind.signed, kind.headers):
            held.clear()
