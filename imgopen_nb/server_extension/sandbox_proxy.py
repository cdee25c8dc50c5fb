"""Serves the sandbox's page, images and /openapi.json to the notebook server's own user.

Only the paths below are requested from the sandbox, without anything that the browser sent, and
with the sandbox's token, which the browser never sees.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

from jupyter_server.base.handlers import JupyterHandler
from tornado.httpclient import HTTPRequest, HTTPResponse
from tornado.simple_httpclient import HTTPStreamClosedError, SimpleAsyncHTTPClient
from tornado.web import authenticated

from ..errors import SandboxError

if TYPE_CHECKING:
    from ..sandbox.process import SandboxProcess

MAX_BYTES = 64 << 20
SECONDS = 60.0
PAGE = "/"
# The paths that are passed on to the sandbox, as in a request line.
PROXIED_PATHS = re.compile(r"/|/openapi\.json|/health|/files/[0-9a-f]{32,64}\.[a-z]{3,4}", re.ASCII)
# The page has inline styles and nothing else; nothing in images and JSON may run.
PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
POLICY = "sandbox; default-src 'none'"


class SandboxProcessPool:
    """The sandbox of this server's home folder; started by the first request, ends with us."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._process: SandboxProcess | None = None

    async def running(self, silent: SandboxProcess | None = None) -> SandboxProcess:
        """Return the sandbox; start it if it does not run.

        Args:
            silent: a sandbox that did not answer; it is stopped and replaced.

        Raises:
            SandboxError: it cannot be started.
        """
        async with self._lock:
            if self._process and self._process is silent:
                await asyncio.to_thread(self._process.stop)
            if self._process is None or not self._process.alive:
                self._process = await asyncio.to_thread(_start)
            return self._process


class SandboxPages(JupyterHandler):
    """GET sandbox/...: for users who are logged in to the notebook server."""

    def initialize(self, processes: SandboxProcessPool, prefix: str, root: re.Pattern[str]) -> None:
        """Keep the sandbox, and the part of the path after our root."""
        self.processes, self.prefix = processes, prefix
        found = root.match(self.request.path)
        self.tail = self.request.path[found.end() :] if found else "?"

    @authenticated
    async def get(self) -> None:
        """Pass on the sandbox's answer."""
        if not self.tail:
            self.redirect(f"{self.prefix}/")
        elif not PROXIED_PATHS.fullmatch(self.tail):
            self._send_text(404, "The sandbox has no such page.")
        else:
            await self._fetch()

    head = get

    async def _fetch(self) -> None:
        try:
            answer = await self._answer()
        except SandboxError as error:
            self.log.warning("imgopen sandbox: %s", error.message)
            self._send_text(503, f"{_sentence(error.message)} {_hint(error)}".strip())
        except Exception as error:
            self.log.warning("imgopen sandbox: %s", type(error).__name__)
            self._send_text(502, "The sandbox did not answer; try again.")
        else:
            self._pass_on(answer)

    async def _answer(self) -> HTTPResponse:
        process = await self.processes.running()
        try:
            return await _request(process, self.tail, self._request_headers())
        except (ConnectionError, HTTPStreamClosedError):  # it died a moment ago
            process = await self.processes.running(silent=process)
            return await _request(process, self.tail, self._request_headers())

    def _request_headers(self) -> dict[str, str]:
        accepted = self.request.headers.get("Accept", "")
        kind = "application/json" if accepted.startswith("application/json") else "text/html"
        return {"Accept": kind, "X-Forwarded-Prefix": self.prefix}

    def _pass_on(self, answer: HTTPResponse) -> None:
        if answer.code != 200:
            self._send_text(404 if answer.code == 404 else 502, "The sandbox has no such page.")
            return
        kind = answer.headers.get("Content-Type", "application/octet-stream")
        self._finish(200, kind, answer.body)

    def _send_text(self, status: int, text: str) -> None:
        self._finish(status, "text/plain; charset=UTF-8", f"{text}\n".encode())

    def _finish(self, status: int, kind: str, body: bytes) -> None:
        self.clear_header("Server")
        self.set_status(status)
        self.set_header("Content-Type", kind)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")
        is_page = self.tail == PAGE and kind.startswith("text/html")
        self.set_header("Content-Security-Policy", PAGE_POLICY if is_page else POLICY)
        self.finish(body)


def _start() -> SandboxProcess:
    from ..config.settings import home_folder
    from ..sandbox.process import SandboxProcess

    return SandboxProcess.start(home_folder())


async def _request(process: SandboxProcess, path: str, headers: dict[str, str]) -> HTTPResponse:
    client = SimpleAsyncHTTPClient(force_instance=True, max_body_size=MAX_BYTES)
    request = HTTPRequest(
        process.url + path,
        headers=headers | {name: value.reveal() for name, value in process.headers.items()},
        follow_redirects=False,
        request_timeout=SECONDS,
        decompress_response=False,
    )
    try:
        return await client.fetch(request, raise_error=False)
    finally:
        client.close()


def _sentence(text: str) -> str:
    """Return the first line of a message as a sentence; the rest quotes a log."""
    line = text.partition("\n")[0]
    return f"{line[:1].upper()}{line[1:]}."


def _hint(error: Any) -> str:
    """Return how to install it, without the rest of the hint, which may name folders."""
    from ..sandbox.process import EXTRA_HINT

    return f"Install it with {EXTRA_HINT}" if EXTRA_HINT in error.hint else ""
