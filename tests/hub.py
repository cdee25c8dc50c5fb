"""A real JupyterHub with its Node proxy and a simple spawner, and kernels in its users' servers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .kernels import Kernel, connected
from .processes import answers, free_ports, wait_until

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
        self.wait_until(lambda: self.ask(f"hub/api/users/{user}")["servers"][""]["ready"])

    def wait_until(self, ready: Callable[[], object]) -> None:
        """Wait for an answer; without one, fail with the end of the log."""
        wait_until(lambda: answers(ready), 90, lambda: self.log.read_text("utf-8")[-3000:])

    @contextmanager
    def kernel(self, user: str) -> Iterator[Kernel]:
        """Yield a kernel that the user's server has started."""
        made = self.ask(f"user/{user}/api/kernels", "POST", {"name": "python3"})
        found = self.folder / user / "runtime" / f"kernel-{made['id']}.json"
        try:
            with connected(found) as kernel:
                yield kernel
        finally:
            self.ask(f"user/{user}/api/kernels/{made['id']}", "DELETE")


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
        started.wait_until(lambda: started.ask("hub/api/"))
        yield started
    finally:
        running.terminate()  # it stops its proxy and the users' servers
        running.wait(60)
