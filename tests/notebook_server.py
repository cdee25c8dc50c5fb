"""A real Jupyter Server process with our extension, for tests of what outsiders can do to it.

`python -m tests.notebook_server COMMAND ...` runs a command as such a server runs kernels: with its
address, and with its home folder.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .processes import answers, end, free_ports, wait_until

TOKEN = "a-token-for-the-test"
# Extensions whose import takes longer than all the rest of a server's start.
OTHERS = ("voila.server_extension", "jupyterlab", "notebook", "notebook_shim", "jupyter_lsp")


class NotebookServer:
    """A running server: `url` ends with a slash, `log` is what it said so far."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes], url: str) -> None:
        self.folder = folder
        self.process = process
        self.url = url

    @property
    def log(self) -> str:
        return (self.folder / "server.log").read_text("utf-8", "replace")

    @property
    def ours(self) -> list[str]:
        """The lines of the log that the extension wrote."""
        return [line for line in self.log.splitlines() if "imgopen" in line and "| ext" not in line]

    def api(self, path: str, body: Any = None, method: str | None = None) -> Any:
        """Return what Jupyter's own REST API answers to its user."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"token {TOKEN}"}
        request = urllib.request.Request(f"{self.url}api/{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")


@contextmanager
def notebook_server(
    folder: Path,
    *options: str,
    home: Path | None = None,
    base_url: str = "/",
    config: str = "",
    token: str = TOKEN,
    app: str = "jupyter_server",
    **environ: str,
) -> Iterator[NotebookServer]:
    """Start a server and wait until it answers.

    Args:
        folder: for its configuration, its log and its notebooks.
        options: more of its command line.
        home: of imgopen_nb; by default a folder in `folder`.
        base_url: where it is served.
        config: Python that it executes as its configuration file.
        token: of its user; "" makes everybody one.
        app: jupyter_server, jupyterlab or notebook.
        **environ: more environment variables.
    """
    folder.mkdir(parents=True, exist_ok=True)
    root = folder / "root"
    root.mkdir(exist_ok=True)
    (port,) = free_ports(1)
    (folder / "settings.py").write_text(config, "utf-8")
    unneeded = OTHERS if app == "jupyter_server" else OTHERS[:1]
    command = [
        sys.executable, "-m", app, "--no-browser", "--allow-root",
        f"--ServerApp.port={port}", "--ServerApp.port_retries=0",
        f"--ServerApp.root_dir={root}", f"--ServerApp.base_url={base_url}",
        f"--IdentityProvider.token={token}", f"--config={folder / 'settings.py'}",
        *(f"--ServerApp.jpserver_extensions={name}=False" for name in unneeded),
        *options,
    ]  # fmt: skip
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env={**_environment(folder), "IMGOPEN_HOME": str(home or folder / "home"), **environ},
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    server = NotebookServer(folder, process, f"http://127.0.0.1:{port}{base_url}")
    try:
        wait_until(
            lambda: process.poll() is not None or answers(lambda: server.api("")),
            60,
            lambda: f"the server did not start:\n{server.log[-2000:]}",
        )
        assert process.poll() is None, f"the server ended:\n{server.log[-2000:]}"
        yield server
    finally:
        end(process)


def _environment(folder: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("IMGOPEN_", "JUPYTER"))}
    places = ("config", "data", "runtime")
    own = {f"JUPYTER_{name.upper()}_DIR": str(folder / name) for name in places}
    return {**kept, **own, "IPYTHONDIR": str(folder / "ipython")}


def main(command: list[str]) -> int:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        home = Path(os.environ.get("IMGOPEN_HOME") or f"{folder}/home")
        with notebook_server(Path(folder), home=home) as server:
            inside = {"IMGOPEN_SERVER": server.url, "IMGOPEN_HOME": str(home)}
            return subprocess.run(command, env={**os.environ, **inside}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
