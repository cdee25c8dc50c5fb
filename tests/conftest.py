"""The world of every test: its own home folder, no keys, and a stub of the service to talk to."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from imgopen_nb import session as session_module
from imgopen_nb.session import Session

from .pictures import Pictures
from .stub import Stub

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from imgopen_nb.sandbox.process import SandboxProcess

    from .lab import Lab

KEY_ID = "canary-id-5f2b9c71"
KEY_SECRET = "canary-secret-0d9e7a44c1b8"

# What a command line names -> the marker of the tests that may start it.
STARTS = {
    "playwright": "browser",
    "ipykernel_launcher": "kernel",
    **dict.fromkeys(("jupyter_server", "jupyterlab", "notebook", "jupyterhub", "voila"), "server"),
}
SOAK = bool(os.environ.get("IMGOPEN_SOAK"))


def often(usually: int, in_a_soak: int) -> int:
    """Return how often a random test tries: in `make soak` many times more."""
    return in_a_soak if SOAK else usually


def marker_of(command: Any) -> str | None:
    """Return the marker that a command asks of its test."""
    words = [] if isinstance(command, (str, bytes)) else [str(word) for word in command]
    module = words[words.index("-m") + 1] if "-m" in words[:-1] else ""
    driver = "playwright" if any("playwright" in word for word in words[:2]) else ""
    return STARTS.get(module or driver)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no worker is left alone with one at the end.

    A test that starts a browser, a kernel or a server takes as long as some thirty others, and so
    does one that tries at random.
    """
    weights: Counter[Path] = Counter()
    for item in items:
        marks = {mark.name for mark in item.iter_markers()}
        weights[item.path] += 30 if marks & {"browser", "kernel", "server", "soak"} else 1
    items.sort(key=lambda item: (-weights[item.path], item.path))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let only tests with its marker start a browser, a kernel or a server.

    `make check` runs none of them. The notebooks of a browser test need all three.
    """
    popen = subprocess.Popen.__init__
    allowed = {mark.name for mark in item.iter_markers()}

    def start(self: Any, args: Any, *rest: Any, **named: Any) -> None:
        needed = marker_of(args)
        assert needed is None or {needed, "browser"} & allowed, f"{item.nodeid} is no {needed} test"
        popen(self, args, *rest, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", start)
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test that Ctrl-C ended: in a worker of xdist nobody pressed it but the tests."""
    try:
        return (yield)
    except KeyboardInterrupt as error:
        if "PYTEST_XDIST_WORKER" not in os.environ:
            raise
        raise AssertionError(f"Ctrl-C came through in {item.nodeid}") from error


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
    monkeypatch.setenv("IMGOPEN_SETTLE", "0")  # a stub's "not found" is taken at its word
    more = (
        "TRACEBACK", "TAGGER", "CAPTIONER", "CLIP", "DIFFUSERS", "PUBLIC_URL", "SERVER",
        "SANDBOX_TOKEN", "PICTURES", "SAVE",
    )  # fmt: skip
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
def cached(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was asked before comes from the history, as it does outside the tests."""
    monkeypatch.setenv("IMGOPEN_CACHE", "on")


@pytest.fixture
def pictures() -> Iterator[Pictures]:
    """An image server that answers as the test tells it to."""
    server = Pictures()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def sandbox_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One home for all tests that share a sandbox, so that it starts once."""
    return tmp_path_factory.mktemp("sandbox")


@pytest.fixture(scope="session")
def shared_sandbox(sandbox_home: Path) -> Iterator[SandboxProcess]:
    """A sandbox process that the whole test run shares."""
    from imgopen_nb.sandbox.process import SandboxProcess

    with SandboxProcess.start(sandbox_home) as process:
        yield process


@pytest.fixture
def sandbox_url(shared_sandbox: SandboxProcess, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of the shared sandbox, whose token the environment hands on."""
    monkeypatch.setenv("IMGOPEN_SANDBOX_TOKEN", shared_sandbox.token.reveal())
    return shared_sandbox.url


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


@pytest.fixture
def nobody() -> Iterator[Path]:
    """A folder, and the rights of somebody who is not root: root may write anywhere."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    home = folder / "home"
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    if root:
        shutil.chown(folder, 65534)
        os.seteuid(65534)
    try:
        home.mkdir()
        yield home
    finally:
        for path in (home, *home.rglob("*")):
            with contextlib.suppress(OSError):
                path.chmod(0o755)
        if root:
            os.seteuid(0)
        shutil.rmtree(folder, ignore_errors=True)
