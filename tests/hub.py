"""A real JupyterHub with its Node proxy and a simple spawner, and kernels in its users' servers."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient

PROXY = "configurable-http-proxy"
TOKEN = "a-token-for-the-test-of-the-hub"
CONFIG = """
c = get_config()
c.JupyterHub.bind_url = {bind!r}
c.JupyterHub.public_url = {public!r}
c.JupyterHub.hub_port = {hub}
c.JupyterHub.db_url = "sqlite:///{folder}/hub.sqlite"
c.JupyterHub.cookie_secret_file = "{folder}/cookie_secret"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api}"
c.ConfigurableHTTPProxy.command = [{proxy!r}]
c.ConfigurableHTTPProxy.pid_file = "{folder}/proxy.pid"
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = "{folder}/{{username}}"
c.Spawner.cmd = [{python!r}, "-m", "jupyterhub.singleuser"]
c.Spawner.args = ["--allow-root"]
c.Spawner.environment = {{
    "IMGOPEN_HOME": lambda spawner: f"{folder}/{{spawner.user.name}}/imgopen",
    "JUPYTER_RUNTIME_DIR": lambda spawner: f"{folder}/{{spawner.user.name}}/runtime",
    "JUPYTER_CONFIG_DIR": lambda spawner: f"{folder}/{{spawner.user.name}}/config",
    "PATH": {path!r},
}}
c.JupyterHub.services = [{{"name": "test", "api_token": {token!r}}}]
scopes = ["admin:users", "admin:servers", "access:servers"]
c.JupyterHub.load_roles = [{{"name": "test", "services": ["test"], "scopes": scopes}}]
"""


def find_proxy() -> str | None:
    """Return the Node proxy, from the path or from where `tests/get_proxy.sh` puts it."""
    own = Path(sys.prefix, "hub", "node_modules", ".bin")
    return shutil.which(PROXY) or shutil.which(PROXY, path=str(own))


class Hub:
    """A running hub; `url` is what people see, with the hub's base URL."""

    def __init__(self, folder: Path, url: str, log: Path) -> None:
        self.folder, self.url, self.log = folder, url, log

    def ask(self, path: str, method: str = "GET", body: Any = None) -> Any:
        """Return the JSON answer of the hub or of a user's server to a request with our token."""
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {TOKEN}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")

    def start(self, user: str) -> None:
        """Start the server of a user and wait for it."""
        self.ask(f"hub/api/users/{user}", "POST")
        self.ask(f"hub/api/users/{user}/server", "POST")
        wait_for(lambda: bool(self.ask(f"hub/api/users/{user}")["servers"][""]["ready"]), self.log)

    @contextmanager
    def kernel(self, user: str) -> Iterator[Kernel]:
        """Yield a kernel that the user's server has started."""
        made = self.ask(f"user/{user}/api/kernels", "POST", {"name": "python3"})
        found = self.folder / user / "runtime" / f"kernel-{made['id']}.json"
        client = BlockingKernelClient(connection_file=str(found))
        client.load_connection_file()
        client.start_channels()
        client.wait_for_ready(timeout=60)
        try:
            yield Kernel(client)
        finally:
            client.stop_channels()
            self.ask(f"user/{user}/api/kernels/{made['id']}", "DELETE")


class Kernel:
    """Runs code and returns what it printed."""

    def __init__(self, client: BlockingKernelClient) -> None:
        self._client = client

    def run(self, code: str) -> str:
        printed: list[str] = []

        def keep(message: dict[str, Any]) -> None:
            if message["msg_type"] == "stream" and message["content"]["name"] == "stdout":
                printed.append(message["content"]["text"])

        reply = self._client.execute_interactive(code, timeout=120, output_hook=keep)
        assert reply["content"]["status"] == "ok", "\n".join(reply["content"]["traceback"])
        return "".join(printed)


@contextmanager
def hub(folder: Path, *, base: str = "/", public: bool = True) -> Iterator[Hub]:
    """Yield a running hub.

    Args:
        folder: for everything it writes; each user has a folder of his own in it.
        base: its base URL.
        public: whether it is told its public address, and so can tell it to its users' servers.
    """
    port, hub_port, api = free_ports(3)
    url = f"http://127.0.0.1:{port}{base}"
    config = folder / "jupyterhub_config.py"
    config.write_text(
        CONFIG.format(
            bind=url,
            public=url if public else "",
            hub=hub_port,
            api=api,
            folder=folder,
            proxy=find_proxy(),
            python=sys.executable,
            path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            token=TOKEN,
        ),
        "utf-8",
    )
    log = folder / "hub.log"
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("IMGOPEN_", "JUPYTER"))}
    with log.open("wb") as out:
        running = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "-f", str(config)],
            cwd=folder, stdout=out, stderr=out, env=clean,
        )  # fmt: skip
    try:
        started = Hub(folder, url, log)
        wait_for(lambda: bool(started.ask("hub/api/")), log)
        yield started
    finally:
        running.terminate()  # it stops its proxy and the users' servers
        running.wait(60)


def wait_for(ready: Any, log: Path, seconds: float = 90.0) -> None:
    """Wait until something holds; a request that fails is made again.

    Raises:
        TimeoutError: with the end of the log.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if ready():
                return
        except (OSError, ValueError, KeyError):
            pass
        time.sleep(0.2)
    raise TimeoutError(log.read_text("utf-8", "replace")[-3000:])


def free_ports(count: int) -> list[int]:
    """Return so many ports that nobody listens at."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
