"""A real JupyterLab in a real Chromium, for tests of what people see.

Every image of the screen goes to artifacts/, to be looked at.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook
from playwright import sync_api
from playwright.sync_api import Browser, Locator, Page, ViewportSize
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from .notebook_server import TOKEN, notebook_server
from .processes import end as end
from .processes import wait_until as wait_until

PROJECT = Path(__file__).parents[1]
ARTIFACTS = PROJECT / "artifacts"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip
# Messages of JupyterLab itself: (part of the text, why it is no concern of ours).
NOISE = [
    ("favicon", "Lab changes its icon while a kernel is busy"),
    ("ResizeObserver loop", "Chromium says so when Lab lays out many cells at once"),
    ("/api/kernels/", "a socket that Lab closes while it shuts a kernel down"),
    ("reading 'schema'", "Notebook 7 says so of every notebook, an empty one too"),
]

WINDOW = ViewportSize(width=1200, height=1400)
OURS = '[class^="imgopen-"]'
CARD = f"{OURS} .io-card"
OUTPUT = ".jp-OutputArea-output"

# Whether the kernel of the notebook in front is there and has nothing to do.
READY = """() => {
  const kernel = window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel;
  return kernel?.connectionStatus === 'connected' && kernel.status === 'idle';
}"""

# Whether every cell has its number: Lab's command returns before that when a cell has failed.
ALL_RUN = """() => [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')]
  .every(prompt => /\\[\\d+\\]/.test(prompt.textContent))"""


# Notes when the notebook in front has been written to its file.
LISTEN = """() => {
  window.saved = false;
  window.jupyterapp.shell.currentWidget.context.saveState.connect((_, state) => {
    if (state.startsWith('completed')) window.saved = true;
  });
}"""


def find_chromium() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start Chromium; without one, fail in CI and skip elsewhere.

    Its first context has a profile on the disk, which keeps JupyterLab's code compiled.
    """
    path = find_chromium()
    if path is None:
        stop: Callable[[str], Any] = pytest.fail if os.environ.get("CI") else pytest.skip
        stop("the browser tests need chromium: sudo apt-get install chromium")
    with (
        sync_api.sync_playwright() as playwright,
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
    ):
        browser = playwright.chromium.launch_persistent_context(
            profile, executable_path=path, args=list(FLAGS), viewport=WINDOW
        ).browser
        assert browser is not None
        yield browser
        browser.close()


class Lab:
    """A JupyterLab with a configuration, a data folder and a home of its own."""

    APP = "jupyterlab"
    EXPOSE = "LabApp.expose_app_in_browser"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "root"
        self._write_settings()
        own = {
            "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
            "IMGOPEN_CACHE": "off",  # each call of a test is a call
        }
        self._running = ExitStack()
        server = notebook_server(folder, f"--{self.EXPOSE}=True", app=self.APP, **own)
        self.url = self._running.enter_context(server).url.rstrip("/")

    def address(self, name: str) -> str:
        # A workspace of its own has Lab open this notebook and nothing from before.
        return f"{self.url}/lab/workspaces/{Path(name).stem}/tree/{name}?token={TOKEN}"

    def put(self, name: str, notebook: NotebookNode) -> Path:
        nbformat.write(notebook, self.root / name)
        return self.root / name

    def stop(self) -> None:
        """End Lab the way Ctrl-C does, so that it ends its kernels."""
        self._running.close()

    def _write_settings(self) -> None:
        """Have no questions about news or updates appear over the notebook."""
        settings = self.folder / "settings/@jupyterlab/apputils-extension"
        settings.mkdir(parents=True)
        quiet = {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}
        (settings / "notification.jupyterlab-settings").write_text(json.dumps(quiet), "utf-8")


class Notebook7(Lab):
    """A Jupyter Notebook 7 instead."""

    APP = "notebook"
    EXPOSE = "JupyterNotebookApp.expose_app_in_browser"

    def address(self, name: str) -> str:
        return f"{self.url}/notebooks/{name}?token={TOKEN}"


class Sheet:
    """A notebook open in JupyterLab, and everything that the page complained about or fetched.

    Options are those of a browser's context, and give the page one of its own.
    """

    def __init__(self, lab: Lab, browser: Browser, name: str, **options: Any) -> None:
        self.path = lab.root / name
        wanted = {"viewport": WINDOW, **options}
        self._own = browser.new_context(**wanted) if options else None
        self.page = (self._own or browser.contexts[0]).new_page()
        self.page.set_default_timeout(30_000)
        self.complaints: list[str] = []
        self.fetched: list[str] = []
        self._listen()
        self.page.goto(lab.address(name))
        self.page.wait_for_selector(".jp-Notebook .jp-Cell")

    def _listen(self) -> None:
        self.page.on("console", lambda m: m.type == "error" and self._note(m.text, m.location))
        self.page.on("pageerror", lambda error: self._note(str(error), {}))
        self.page.on("dialog", lambda box: (self._note("dialog", {}), box.dismiss()))
        self.page.on("request", lambda request: self.fetched.append(request.url))

    def _note(self, text: str, location: Any) -> None:
        said = f"{text} {location.get('url', '')}"
        if not any(part in said for part, _ in NOISE):
            self.complaints.append(said)

    def command(self, name: str, **arguments: Any) -> None:
        """Execute a command of JupyterLab, and wait until it is done."""
        code = """([name, args]) => {
          window.pending = true;
          window.jupyterapp.commands.execute(name, args).then(() => { window.pending = false; });
        }"""
        self.page.evaluate(code, [name, arguments])
        self.page.wait_for_function("() => !window.pending", timeout=90_000)

    def run_all(self) -> None:
        """Run All Cells once the kernel is there, until none is busy any more."""
        self.page.wait_for_function(READY)  # else Lab asks which kernel to start
        self.command("notebook:run-all-cells")
        self.page.wait_for_function(ALL_RUN, timeout=90_000)

    def cell(self, source: str) -> Locator:
        return self.page.locator(".jp-CodeCell").filter(
            has=self.page.locator(".jp-InputArea-editor", has_text=source)
        )

    def text(self, selector: str) -> list[str]:
        """Return texts, those of cells that are out of sight included."""
        return self.page.locator(selector).evaluate_all("all => all.map(e => e.textContent.trim())")

    def captions(self) -> str:
        return "\n".join(self.text(f"{OURS} .io-caption"))

    def left(self, text: str) -> None:
        """Wait until a stand-in, hidden while its widget lives, says a text: it follows later."""
        place = self.page.locator(".imgopen-static", has_text=text)
        place.first.wait_for(state="attached")

    def theme(self, name: str) -> None:
        self.command("apputils:change-theme", theme=f"JupyterLab {name}")
        light = "true" if name == "Light" else "false"
        body = f'body[data-jp-theme-light="{light}"]'
        self.page.wait_for_selector(body, state="attached")

    def save(self) -> None:
        """Press Ctrl+S until Lab says that all is saved.

        It ignores keys during another save, and a widget may change just after one.
        """
        self.page.evaluate(LISTEN)
        for _ in range(5):
            self.page.keyboard.press("Escape")
            self.page.keyboard.press("Control+s")
            with suppress(PlaywrightTimeout):
                self.page.wait_for_function("window.saved", timeout=5000)
                self.page.wait_for_selector(".jp-mod-dirty", state="detached", timeout=5000)
                return
        raise AssertionError("Lab did not save")

    def shot(self, name: str) -> None:
        """Put an image of the whole notebook into artifacts/."""
        size = self.page.viewport_size
        tall = self.page.evaluate(
            "Math.max(...[...document.querySelectorAll('.jp-WindowedPanel-outer')]"
            ".map(e => e.scrollHeight))"
        )
        self.page.set_viewport_size({"width": size["width"], "height": min(tall + 150, 6000)})
        self.page.evaluate(
            "new Promise(done => requestAnimationFrame(() => setTimeout(done, 150)))"
        )
        snap(self.page, name, full=False)
        self.page.set_viewport_size(size)

    def close(self) -> None:
        """Shut the kernel down and close the page, so that one test leaves the next its CPU."""
        self.command("notebook:shutdown-kernel")
        self.leave()

    def leave(self) -> None:
        """Close the page; its kernel goes on."""
        self.page.close()
        if self._own is not None:
            self._own.close()


def snap(page: Page, name: str, full: bool = True) -> None:
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"{name}.png", full_page=full)


def without_outputs(name: str) -> NotebookNode:
    notebook = nbformat.read(PROJECT / "notebooks" / name, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def book(*cells: str) -> NotebookNode:
    """Return a notebook of these cells, for the kernel of our notebooks."""
    made = new_notebook(cells=[new_code_cell(code) for code in cells])
    made.metadata = without_outputs("01_quickstart.ipynb").metadata
    return made


@contextmanager
def running(lab: Lab, browser: Browser, name: str) -> Iterator[Sheet]:
    """Open a notebook of ours without its outputs and run it."""
    lab.put(name, without_outputs(name))
    sheet = Sheet(lab, browser, name)
    sheet.run_all()
    yield sheet
    sheet.close()


def reopened(lab: Lab, browser: Browser, name: str, notebook: NotebookNode) -> Sheet:
    """Open a notebook whose kernel does not exist here, and choose none instead."""
    notebook.metadata = {"kernelspec": {"name": "not-here", "display_name": "x", "language": "x"}}
    lab.put(name, notebook)
    sheet = Sheet(lab, browser, name)
    sheet.page.locator(".jp-Dialog button.jp-mod-reject", has_text="No Kernel").click()
    sheet.page.wait_for_selector(".jp-Dialog", state="detached")
    ours = sum(
        "imgopen" in "".join(output.get("data", {}).get("text/html", ""))
        for cell in notebook.cells
        for output in cell.get("outputs", [])
    )
    # JupyterLab renders cells when it has nothing better to do.
    sheet.page.wait_for_function(
        f"document.querySelectorAll({OURS!r}).length >= {ours}", timeout=60_000
    )
    return sheet
