"""The world of every test: its own home folder, no keys, and a stub of the service to talk to."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from imgopen_nb import session as session_module
from imgopen_nb.api import retrying_client as delivery
from imgopen_nb.session import Session

from .pictures import Pictures
from .stub import Stub

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from .lab import Lab

KEY_ID = "canary-id-5f2b9c71"
KEY_SECRET = "canary-secret-0d9e7a44c1b8"


@pytest.fixture(scope="session", autouse=True)
def heeds_ctrl_c() -> None:
    """What a shell runs in the background ignores SIGINT, and so would all that it starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def clean_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """No test sees the developer's keys, settings, history or proxies."""
    home = tmp_path / "home"
    names = ("ACCESS_KEY_ID", "ACCESS_KEY_SECRET", "BASE_URL", "PATHS", "FIELDS", "BACKEND")
    monkeypatch.setenv("IMGOPEN_CACHE", "off")  # each call of a test is a call
    more = ("TRACEBACK", "TAGGER", "CAPTIONER", "CLIP", "DIFFUSERS", "PUBLIC_URL", "SERVER")
    for name in (*names, *more):
        monkeypatch.delenv(f"IMGOPEN_{name}", raising=False)
    for name in [name for name in os.environ if name.startswith(("JUPYTERHUB_", "BINDER_"))]:
        monkeypatch.delenv(name)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("IMGOPEN_HOME", str(home))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    yield home
    session_module.set_current(None)


@pytest.fixture
def stub() -> Iterator[Stub]:
    """A service that answers what the test tells it to."""
    with Stub() as service:
        yield service


@pytest.fixture
def session(stub: Stub) -> Iterator[Session]:
    """A session with keys, whose service is the stub."""
    with Session(stub.url, KEY_ID, KEY_SECRET) as made:
        yield made


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache on, and short pauses between looks for a lost task."""
    monkeypatch.setenv("IMGOPEN_CACHE", "on")
    monkeypatch.setattr(delivery, "LOOKS", (0.01, 0.05))


@pytest.fixture
def pictures() -> Iterator[Pictures]:
    """A picture server that answers as the test tells it to."""
    server = Pictures()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def sandbox_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One home for all tests that share a sandbox, so that it starts once."""
    return tmp_path_factory.mktemp("sandbox")


@pytest.fixture(scope="session")
def sandbox_url(sandbox_home: Path) -> Iterator[str]:
    """The address of a sandbox process that the whole test run shares."""
    from imgopen_nb.sandbox.process import SandboxProcess

    process = SandboxProcess.start(sandbox_home)
    yield process.url
    process.stop()


@pytest.fixture
def local(sandbox_url: str) -> Iterator[Session]:
    """A session without keys, whose service is the shared sandbox; its history is its own."""
    with Session(sandbox_url) as made:
        session_module.set_current(made)
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium. One for each module: while it runs, no other test could run an event loop."""
    from .lab import open_browser

    with open_browser() as started:
        yield started


@pytest.fixture(scope="module")
def lab(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A JupyterLab for the notebooks of one module."""
    from .lab import Lab

    running = Lab(tmp_path_factory.mktemp("lab"))
    yield running
    running.stop()
