"""A real sandbox over real HTTP, and a web server with all sorts of bad images.

PYTEST_DONT_REWRITE: the tests import helpers from here as well.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from PIL import Image

from imgopen_nb.catalogue.operations import OPERATIONS
from imgopen_nb.images.picture import samples
from imgopen_nb.sandbox.jobs.engine_loader import EngineLoader
from imgopen_nb.sandbox.jobs.jobs import Jobs
from imgopen_nb.sandbox.jobs.store import FileStore, JobStore
from imgopen_nb.sandbox.process import TOKEN_HEADER, SandboxProcess

numbers = itertools.count(1)


def headers_of(sandbox: SandboxProcess) -> dict[str, str]:
    """Return the headers that a request to a sandbox needs, in the open."""
    return {name: value.reveal() for name, value in sandbox.headers.items()}


class Api:
    """A small client of one sandbox; of a process that a test has started it knows the token."""

    def __init__(
        self, sandbox: SandboxProcess | str, headers: Mapping[str, str] | None = None
    ) -> None:
        own = {} if isinstance(sandbox, str) else headers_of(sandbox)
        self.url = sandbox if isinstance(sandbox, str) else sandbox.url
        self.http = requests.Session()
        self.token = own.get(TOKEN_HEADER) or (headers or {}).get(TOKEN_HEADER, "")
        self.http.headers.update({**own, **(headers or {})})

    def post(self, path: str, body: Any = None, **more: Any) -> dict[str, Any]:
        answer = self.http.post(self.url + path, json=body, timeout=30, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()  # type: ignore[no-any-return]

    def call(self, name: str, body: Any) -> dict[str, Any]:
        return self.post(OPERATIONS[name].path, body)

    def query(self, name: str, key: str) -> dict[str, Any]:
        """Ask as the family of the operation does."""
        op = OPERATIONS[name]
        path = f"{op.path}/queryTask" if op.tool_code else OPERATIONS["query-v2"].path
        return self.post(path, {"businessTaskId": key})

    def ended(self, name: str, key: str, seconds: float = 40) -> dict[str, Any]:
        """Return the answer of the first query that tells of an end."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            answer = self.query(name, key)
            if answer["code"] != "200" or answer["data"]["status"] not in (1, 3):
                return answer
            time.sleep(0.05)
        raise AssertionError(f"task {key} of {name} did not end within {seconds} s")

    def upload(self, data: bytes) -> dict[str, Any]:
        answer = self.http.post(f"{self.url}/upload", data=data, timeout=30)
        assert answer.status_code == 200
        return answer.json()  # type: ignore[no-any-return]

    def picture(self, data: bytes) -> str:
        return str(self.upload(data)["data"]["url"])


class FakeWork:
    """A `Work` of images in memory, whose results and reports stay in lists.

    Args:
        given: images by parameter; an image alone is the parameter `image`.
        params: the other parameters.
    """

    def __init__(
        self,
        given: Image.Image | dict[str, Any] | None = None,
        params: dict[str, Any] | None = None,
    ) -> None:
        self.given = {"image": given} if isinstance(given, Image.Image) else given or {}
        self.params = params or {}
        self.saved: list[Image.Image] = []
        self.suffixes: list[str] = []
        self.told: list[tuple[float, Image.Image | None]] = []

    def picture(self, name: str) -> Image.Image:
        return self.pictures(name)[0]

    def pictures(self, name: str) -> list[Image.Image]:
        found = self.given[name]
        return found if isinstance(found, list) else [found]

    def save(self, image: Image.Image, suffix: str = "png") -> str:
        self.saved.append(image)
        self.suffixes.append(suffix)
        return f"http://localhost/results/{len(self.saved)}.{suffix}"

    def trainings(self) -> list[Any]:
        return []

    def progress(self, fraction: float, preview: Image.Image | None = None) -> None:
        self.told.append((fraction, preview))


def sample(name: str) -> Image.Image:
    """Return one of the photographs that the package brings."""
    with Image.open(samples()[name]) as image:
        return image.convert("RGB")


def wait_for(condition: Callable[[], Any], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to be in time"
        time.sleep(0.02)


def new_key(prefix: str = "task") -> str:
    return f"{prefix}-{next(numbers)}-{time.time_ns()}"


def picture_bytes(
    kind: str = "PNG",
    size: tuple[int, int] = (96, 64),
    colour: Any = (200, 30, 30),
    mode: str = "RGB",
) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, colour).save(buffer, kind)
    return buffer.getvalue()


def noisy_jpeg(size: tuple[int, int] = (300, 200)) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise(size, 90).convert("RGB").save(buffer, "JPEG")
    return buffer.getvalue()


def png_bomb(side: int = 50_000) -> bytes:
    """A valid PNG of side × side black pixels in some 300 KB."""

    def chunk(name: bytes, data: bytes) -> bytes:
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    packer = zlib.compressobj(9)
    row = b"\0" * (1 + (side + 7) // 8)
    pixels = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(*c) for c in ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    )


class Gallery(BaseHTTPRequestHandler):
    """Serves `files` by path, and a few paths that misbehave."""

    files: dict[str, bytes]
    gone: threading.Event

    def do_GET(self) -> None:
        path = self.path
        with contextlib.suppress(OSError):
            if path.startswith("/to/"):
                self.redirect(self.files["/to/" + path.removeprefix("/to/")].decode())
            elif path == "/endless":
                self.start()
                while not self.gone.is_set():
                    self.wfile.write(b"\xff" * 65536)
            elif path in ("/drip", "/slow-header"):
                self.drip(path)
            elif path == "/broken-off":
                self.start(1000)
                self.wfile.write(noisy_jpeg()[:500])
            elif path == "/large":
                self.start(60_000_000)
                for _ in range(60):
                    self.wfile.write(b"\x89" * 1_000_000)
            elif path in self.files:
                self.start(len(self.files[path]))
                self.wfile.write(self.files[path])
            else:
                self.send_error(404)

    def start(self, size: int | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "image/png")
        if size is not None:
            self.send_header("Content-Length", str(size))
        self.end_headers()

    def redirect(self, where: str) -> None:
        self.send_response(302)
        self.send_header("Location", where)
        self.end_headers()

    def drip(self, path: str) -> None:
        """One byte now and then, of the body or of a header that never ends."""
        if path == "/drip":
            self.start(1_000_000)
        else:
            self.wfile.write(b"HTTP/1.0 200 OK\r\nX-Long: ")
        while not self.gone.wait(0.3):
            self.wfile.write(b"x")
            self.wfile.flush()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="session")
def gallery() -> Iterator[str]:
    """The URL of the gallery."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Gallery)
    server.daemon_threads = True
    url = f"http://127.0.0.1:{server.server_address[1]}"
    Gallery.gone = threading.Event()
    Gallery.files = {
        "/good.png": picture_bytes(),
        "/with%20space.png": picture_bytes(colour=(1, 2, 3)),
        "/page.html": b"<!DOCTYPE html><html><body>hello</body></html>",
        "/text": b"just text \x00\x07 here",
        "/empty": b"",
        "/truncated.jpg": noisy_jpeg()[:4000],
        "/bomb.png": png_bomb(),
        "/to/good": f"{url}/good.png".encode(),
        "/to/file": b"file:///etc/hostname",
        "/to/ftp": b"ftp://127.0.0.1/x",
        "/to/self": b"/to/self",
    }
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield url
    Gallery.gone.set()
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """The sandbox that most tests share."""
    with SandboxProcess.start(tmp_path_factory.mktemp("sandbox-home")) as running:
        yield running


@pytest.fixture(scope="session")
def api(sandbox: SandboxProcess) -> Api:
    return Api(sandbox)


@pytest.fixture
def idle_jobs(tmp_path: Path) -> Jobs:
    """Jobs without a server, whose engines are never loaded: nothing ends."""
    files, tasks = FileStore(tmp_path / "files"), JobStore(tmp_path / "tasks")
    return Jobs(files, tasks, EngineLoader(), base_url="http://127.0.0.1:7")


@contextlib.contextmanager
def command(
    home: Path, *arguments: str, env: dict[str, str] | None = None, **more: Any
) -> Iterator[tuple[subprocess.Popen[bytes], Api]]:
    """Run `python -m imgopen_nb.sandbox` as a person would; yield the process and its client."""
    line = [sys.executable, "-m", "imgopen_nb.sandbox", "--home", str(home), *arguments]
    with subprocess.Popen(line, stdout=subprocess.PIPE, env=env, **more) as running:
        assert running.stdout is not None
        try:
            told = json.loads(running.stdout.readline())
            yield running, Api(told["url"], {TOKEN_HEADER: told["token"]} if told["token"] else {})
        finally:
            running.kill()
