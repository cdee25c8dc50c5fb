"""The Jupyter Server extension: callbacks in, local pictures out, the sandbox in the browser.

Enabled by installing the package. It never breaks the server and costs its start a few
milliseconds: what a request needs is imported by the first one.
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
# What tells the kernels of this server where it is.
SERVER = "IMGOPEN_SERVER"
# Seconds until the leftovers are looked through: nobody shall wait for that.
TIDY_UP_DELAY = 3.0
HOSTS = {**dict.fromkeys(("", "*", "0.0.0.0", "localhost"), "127.0.0.1"), "::": "::1"}
# A request line may name the whole address (RFC 9112, 3.2.2): it is refused by us as well.
_ABSOLUTE = r"(?:[A-Za-z][A-Za-z0-9+.-]*:/*[^/]*)?"
_REST = r"(?s:.*)"


def _load_jupyter_server_extension(serverapp: ServerApp) -> None:
    try:
        _load(serverapp)
    except Exception as error:
        serverapp.log.warning("imgopen_nb's extension is off: %s", type(error).__name__)
        serverapp.log.debug("why it is off", exc_info=True)


def local_address(serverapp: ServerApp) -> str:
    """Return where this machine reaches the server, "" if only through a socket file."""
    if serverapp.sock or not serverapp.port:
        return ""
    host = HOSTS.get(serverapp.ip, serverapp.ip)
    host = f"[{host}]" if ":" in host else host
    scheme = "https" if serverapp.certfile else "http"
    return f"{scheme}://{host}:{serverapp.port}{_base(serverapp.base_url)}"


def routes(base_url: str, receivers: ReceiverPool, processes: SandboxProcessPool) -> list[Any]:
    """Return what is answered below the server's base URL: everything below `imgopen`."""
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
    loop.add_callback(_announce, serverapp)  # the port is found when the loop runs
    loop.call_later(TIDY_UP_DELAY, receivers.tidy_up)


def _announce(serverapp: ServerApp) -> None:
    """Tell the kernels where the server is; a server they cannot reach takes an older word away."""
    try:
        address = local_address(serverapp)
    except Exception as error:
        serverapp.log.debug("imgopen_nb: the address is not known (%s)", type(error).__name__)
        address = ""
    if address:
        os.environ[SERVER] = address
    else:
        os.environ.pop(SERVER, None)


def _base(base_url: str) -> str:
    """Return a base URL as it stands in a request line, with its slashes."""
    return quote(base_url.rstrip("/") + "/", safe="/%:@!$&'()*+,;=~")


def _part(text: str) -> str:
    """Return the pattern of a piece of the base URL; %c3 is as good as %C3."""
    return f"(?i:{text})" if text.startswith("%") else re.escape(text)
