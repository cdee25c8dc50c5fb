"""A running kernel with a few plain questions."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import start_new_kernel


class Kernel:
    """Runs code and completes it."""

    def __init__(self, client: BlockingKernelClient) -> None:
        self.client = client

    def run(self, code: str, timeout: float = 60) -> dict[str, Any]:
        """Return what a cell did: "reply", "error", "data" (bundles), "text" and "stdout"."""
        seen: dict[str, Any] = {"data": [], "text": "", "stdout": "", "error": None}

        def hook(message: dict[str, Any]) -> None:
            content = message["content"]
            match message["msg_type"]:
                case "stream":
                    seen["text"] += content["text"]
                    seen["stdout"] += content["text"] if content["name"] == "stdout" else ""
                case "execute_result" | "display_data" | "update_display_data":
                    seen["data"].append(content["data"])
                case "error":
                    seen["error"] = content

        reply = self.client.execute_interactive(code, timeout=timeout, output_hook=hook)
        return seen | {"reply": reply["content"]}

    def printed(self, code: str) -> str:
        """Return what a cell prints, which must not fail."""
        seen = self.run(code, timeout=120)
        assert seen["error"] is None, "\n".join(seen["error"]["traceback"])
        return str(seen["stdout"]).strip()

    def complete(self, code: str) -> list[str]:
        """Return the whole lines that Tab would offer at the end of the code."""
        content = self.client.complete(code, reply=True, timeout=30)["content"]
        head = code[: content["cursor_start"]]
        return [head + match for match in content["matches"]]


@contextmanager
def started(folder: Path, **environment: str) -> Iterator[Kernel]:
    """Start a kernel that works in a folder; in the environment of the test and this one."""
    env = {**os.environ, "IPYTHONDIR": str(folder / "ipython"), **environment}
    manager, client = start_new_kernel(kernel_name="python3", env=env, cwd=str(folder))
    try:
        yield Kernel(client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@contextmanager
def connected(file: Path) -> Iterator[Kernel]:
    """Talk to a kernel that a server has started; `file` is its connection file."""
    client = BlockingKernelClient()
    client.load_connection_file(str(file))
    client.start_channels()
    try:
        wait_until_ready(client)
        yield Kernel(client)
    finally:
        client.stop_channels()


def wait_until_ready(client: BlockingKernelClient, tries: int = 3) -> None:
    """Wait for a kernel of a server's; a client takes one that misses a heartbeat for dead."""
    for left in reversed(range(tries)):
        try:
            return client.wait_for_ready(60)
        except RuntimeError:
            if not left:
                raise
