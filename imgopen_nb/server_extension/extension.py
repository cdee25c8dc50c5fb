"""The Jupyter Server extension: takes callbacks, serves local images and the sandbox's page.

Installing the package enables it. It never breaks the server and adds only a few milliseconds to
its start: what a request needs is imported by the first request.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tornado.ioloop import IOLoop

from .handlers import Callback, Hello, NotFound, Picture, ReceiverPool
from .sandbox_proxy import SandboxPages, SandboxProcessPool

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

ROOT = "imgopen"
# The environment variable that gives this server's address to its kernels. It is read by
# `config/server_address.py`, which is not imported here: the server should start fast.
SERVER_VARIABLE = "IMGOPEN_SERVER"
# Seconds after the start until old files are removed, so that nobody waits for it.
TIDY_UP_DELAY = 3.0
HOSTS = {**dict.fromkeys(("", "*", "0.0.0.0", "localhost"), "127.0.0.1"), "::": "::1"}
# A request line may hold the full URL (RFC 9112, 3.2.2): such requests are ours to refuse.
_ABSOLUTE = r"(?:[A-Za-z][A-Za-z0-9+.-]*:/*[^/]*)?"
_REST = r"(?s:.*)"


def _load_jupyter_server_extension(serverapp: ServerApp) -> None:
    try:
        _load(serverapp)
    except Exception as error:
        serverapp.log.warning("imgopen_nb's extension is off: %s", type(error).__name__)
        serverapp.log.debug("why it is off", exc_info=True)


def local_address(serverapp: ServerApp) -> str:
    """Return the server's address on this machine, "" if it only has a socket file."""
    if serverapp.sock or not serverapp.port:
        return ""
    host = HOSTS.get(serverapp.ip, serverapp.ip)
    host = f"[{host}]" if ":" in host else host
    scheme = "https" if serverapp.certfile else "http"
    return f"{scheme}://{host}:{serverapp.port}{_base(serverapp.base_url)}"


def routes(base_url: str, receivers: ReceiverPool, processes: SandboxProcessPool) -> list[Any]:
    """Return the routes below the server's base URL: everything below `imgopen`."""
    base = _base(base_url)
    start = "".join(_part(part) for part in re.split("(%[0-9A-Fa-f]{2})", base)) + ROOT
    handlers: tuple[tuple[str, Any, dict[str, Any]], ...] = (
        ("/callback/", Callback, {"receivers": receivers}),
        ("/files/", Picture, {"receivers": receivers}),
        ("/hello/", Hello, {"receivers": receivers}),
        (
            "/sandbox(?=/|$)",
            SandboxPages,
            {"processes": processes, "prefix": f"{base}{ROOT}/sandbox"},
        ),
        ("", NotFound, {"receivers": receivers}),
    )
    return [
        (f"{_ABSOLUTE}{start}{place}{_REST}", kind, {**more, "root": re.compile(start + place)})
        for place, kind, more in handlers
    ]


def _load(serverapp: ServerApp) -> None:
    receivers = ReceiverPool(serverapp.log)
    web_app: Any = serverapp.web_app
    web_app.add_handlers(".*$", routes(serverapp.base_url, receivers, SandboxProcessPool()))
    loop = IOLoop.current()
    loop.add_callback(_announce, serverapp)  # the port is known once the loop runs
    loop.call_later(TIDY_UP_DELAY, receivers.tidy_up)


def _announce(serverapp: ServerApp) -> None:
    """Set the server's address for its kernels, or remove an old one if there is none."""
    try:
        address = local_address(serverapp)
    except Exception as error:
        serverapp.log.debug("imgopen_nb: the address is not known (%s)", type(error).__name__)
        address = ""
    if address:
        os.environ[SERVER_VARIABLE] = address
    else:
        os.environ.pop(SERVER_VARIABLE, None)


def _base(base_url: str) -> str:
    """Return a base URL as in a request line, ending with a slash."""
    return quote(base_url.rstrip("/") + "/", safe="/%:@!$&'()*+,;=~")


def _part(text: str) -> str:
    """Return the pattern of a piece of the base URL; %c3 and %C3 are the same."""
    return f"(?i:{text})" if text.startswith("%") else re.escape(text)
